/* What a compiler makes of branches, loops, tables of jumps, calls and floats: built by code.sh for x86 and x64. */
#define EXPORT __declspec(dllexport)

/* The sample puts return addresses into a module's code, and wants room for them. */
__asm__(".section .text$z, \"xr\"\n.fill 0x9000, 1, 0xcc\n.text");

int _fltused;
volatile int sink;
static volatile double number;

EXPORT __declspec(noinline) int small(int a)
{
    return a * 3 + sink;
}

EXPORT int branches(int a, int b)
{
    if (a > b)
        sink = a;
    else if (a == b)
        return small(b) + 1;
    for (int i = 0; i < a; i++)
        sink += small(i ^ b);
    return sink ? a - b : small(a);
}

EXPORT double floats(const double *values, int count)
{
    double sum = 0.5;
    for (int i = 0; i < count; i++)
        sum += values[i] * 1.25 - number;
    return sum;
}

EXPORT void *copy(char *to, const char *from, unsigned size)
{
    while (size--)
        *to++ = *from++;
    return to;
}

EXPORT long long wide(long long a, long long b)
{
    return a * b + (a << 7) - (b >> 3);
}

EXPORT int tail(int a)
{
    sink = a;
    return branches(a, 3);
}

EXPORT void never(int a)
{
    if (a)
        __builtin_trap();
    sink = 1;
    for (;;)
        sink++;
}

EXPORT int through(int (*call)(int), int a)
{
    return call(a) + call(small(a));
}

EXPORT int table(int a)
{
    switch (a) {
    case 0: return small(7);
    case 1: sink = 5; break;
    case 2: sink += 9; return 3;
    case 3: sink ^= 0x12345678; break;
    case 4: return small(sink);
    case 5: sink = sink * 1001; break;
    case 6: return sink / 7;
    default: return -1;
    }
    return small(a);
}
