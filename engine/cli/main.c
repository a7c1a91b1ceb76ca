/* main.c - the program `heapsift`. What it was asked to do is worked out by the host. */
#include "host/host.h"

int main(int argc, char **argv)
{
    return hs_host_run(argc, argv);
}
