/* records.c - functions over blocks, and some that go wrong, for tests/lua/native_spec.lua. */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

uint32_t first_word(const void *data, size_t size, uint64_t address)
{
    uint32_t word = 0;
    (void)address;
    if (size >= sizeof word)
        memcpy(&word, data, sizeof word);
    return word;
}

uint64_t sum_pure(const void *data, size_t size, uint64_t address)
{
    const uint8_t *at = data;
    uint64_t sum = address;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + at[i];
    return sum;
}

int8_t size_class(const void *data, size_t size, uint64_t address)
{
    (void)data;
    (void)address;
    return (int8_t)(size < 64 ? -(int)size : 1);
}

_Bool is_large(const void *data, size_t size, uint64_t address)
{
    (void)data;
    (void)address;
    return size >= 1000;
}

/* Depends on the order of the calls. */
uint64_t next_number(const void *data, size_t size, uint64_t address)
{
    static uint64_t number;
    (void)data;
    (void)size;
    (void)address;
    return number++;
}

struct totals {
    uint64_t count, bytes, last, ascending;
};

void add_up(const void *data, size_t size, uint64_t address, struct totals *totals)
{
    (void)data;
    totals->ascending += address > totals->last;
    totals->last = address;
    totals->count++;
    totals->bytes += size;
}

int32_t stop_at(const void *data, size_t size, uint64_t address, const uint64_t *wanted)
{
    (void)data;
    (void)size;
    return address == *wanted ? -7 : 0;
}

static int (*kept)(int);
void keep(int (*f)(int))
{
    kept = f;
}

int call_kept(int x)
{
    return kept(x);
}

static void *other(void *argument)
{
    *(int *)argument = kept(1);
    return NULL;
}

int call_on_thread(void)
{
    pthread_t thread;
    int result = -1;
    pthread_create(&thread, NULL, other, &result);
    pthread_join(thread, NULL);
    return result;
}

int call_per_block(const void *data, size_t size, uint64_t address)
{
    (void)data;
    (void)address;
    return kept((int)(size & 0xffff));
}

int call_twice(int (*f)(int), int x)
{
    return f(x) + 100 * f(x + 1);
}

/* ---- crashes ---- */

int read_null(int offset)
{
    return *(volatile int *)(uintptr_t)(unsigned)offset;
}

int divide(int a, int b)
{
    return *(volatile int *)&a / *(volatile int *)&b;
}

void trap(void)
{
    raise(SIGILL);
}

void bus(void)
{
    raise(SIGBUS);
}

void give_up(void)
{
    abort();
}

int overflow(int depth)
{
    volatile char room[4096];
    room[depth % 4096] = (char)depth;
    if (depth < 0)
        return 0;
    return overflow(depth + 1) + room[(depth + 1) % 4096];
}

/* Writes to the dump where a block begins with the bytes of a row. */
uint32_t write_to_rows(const void *data, size_t size, uint64_t address)
{
    (void)address;
    if (size == 0xf8 && memcmp(data, "\x01\x00\x00\x10", 4) == 0)
        *(volatile uint8_t *)(uintptr_t)data = 0;
    return 0;
}
