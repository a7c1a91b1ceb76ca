/* main.c - the program `heapsift`. What it was asked to do is worked out by the host. */
#include "cli/shell.h"

int main(int argc, char **argv)
{
    static const struct hs_prompt prompt = {
        .open = hs_shell_open,
        .complete = hs_shell_complete,
        .read = hs_shell_read,
        .remember = hs_shell_remember,
        .close = hs_shell_close,
    };
    return hs_host_run(argc, argv, &prompt);
}
