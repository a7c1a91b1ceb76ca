#ifndef X
#define X (2 + \
 3)
#if defined(_WIN64) && X > 4
typedef unsigned __int64 T; /* wide */
#else
typedef unsigned long T; // narrow
#endif
_Static_assert(X == 5, "x");
struct A { T t[X % 3 ? X : 1]; _In_opt_ void *v; char c['a' - '\x60']; };
#endif
