/* failing.h - allocations that fail, for the one test program that includes it: malloc, calloc and realloc of everything
 * that is linked in go through here (see tests/CMakeLists.txt). */
#ifndef FAILING_H
#define FAILING_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *bytes, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *bytes, size_t size);

static struct {
    _Atomic unsigned long made; /* since allocations_fail; by any thread */
    unsigned long from, to;
} allocations = {0, ULONG_MAX, ULONG_MAX};

/* Counted from now, from 0, every allocation from the `from`-th on fails, up to the `to`-th. */
static void allocations_fail(unsigned long from, unsigned long to)
{
    allocations.made = 0;
    allocations.from = from;
    allocations.to = to;
}

/* None fails any more; how many were asked for since the last call of allocations_fail. */
static unsigned long allocations_succeed(void)
{
    unsigned long made = allocations.made;

    allocations_fail(ULONG_MAX, ULONG_MAX);
    return made;
}

static bool may_allocate(void)
{
    unsigned long number = allocations.made++;

    return number < allocations.from || number >= allocations.to;
}

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *bytes, size_t size)
{
    return may_allocate() ? __real_realloc(bytes, size) : NULL;
}

#endif
