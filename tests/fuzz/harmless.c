/* harmless.c - the library of fuzz_native.c: functions that look at no argument, so that any prototype will do for them in
 * the calling convention of x86-64 Linux. */
#include <stdint.h>

static uint64_t room[64];
uint64_t v[64];

int64_t f(void)
{
    return 0;
}

int64_t g(void)
{
    return -1;
}

/* Gives a pointer that leads somewhere. */
void *p(void)
{
    return room;
}

/* Calls what it is given: its prototype is `int (int (*)(int))`. */
int h(int (*callback)(int))
{
    return callback ? callback(1) + callback(-1) : 0;
}
