/* base.h - the door of base/: errors, notes, bytes, text, tables, parallel loops. No Windows, no files, no Lua. */
#ifndef HS_BASE_H
#define HS_BASE_H

#include <heapsift/error.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

#if defined(__GNUC__)
#define HS_PRINTF(format_idx, first_idx) __attribute__((format(printf, format_idx, first_idx)))
#else
#define HS_PRINTF(format_idx, first_idx)
#endif

#define HS_NO_OFF UINT64_MAX /* no file offset applies */
#define HS_NO_VA UINT64_MAX  /* no address applies */

/* ---- error.c ---- */

/* Fills `err` (NULL allowed) and returns `status`, so that `return hs_fail(...)` reads well. */
enum hs_status hs_fail(struct hs_error *err, enum hs_status status, uint64_t file_off, hs_va va, const char *format,
                       ...) HS_PRINTF(5, 6);
/* The same for running out of memory: `what` is what it was for. */
enum hs_status hs_fail_memory(struct hs_error *err, const char *what);
/* Puts "text: " before the text of `err`. */
void hs_error_prefix(struct hs_error *err, const char *format, ...) HS_PRINTF(2, 3);

/* Notes: what could not be read and why; at most HS_NOTES_MAX, then only counted. Not for several threads at once. */
#define HS_NOTES_MAX 64u
struct hs_notes {
    char *texts[HS_NOTES_MAX];
    size_t count;
    uint64_t dropped; /* notes beyond the list, or for want of memory */
    char more[64];    /* the text that says so */
};
void hs_notes_init(struct hs_notes *notes);
void hs_notes_deinit(struct hs_notes *notes);
void hs_notes_add(struct hs_notes *notes, const char *format, ...) HS_PRINTF(2, 3);
/* Moves all notes of `from` behind those of `to`. */
void hs_notes_move(struct hs_notes *to, struct hs_notes *from);
/* Number of lines, and the idx-th one: the last says how many were dropped, if any were. */
size_t hs_notes_lines(const struct hs_notes *notes);
const char *hs_notes_line(struct hs_notes *notes, size_t idx);

/* ---- bytes.c: the only place where raw bytes become integers ---- */

static inline uint16_t hs_load_u16(const void *bytes)
{
    const uint8_t *b = bytes;
    return (uint16_t)(b[0] | (uint16_t)(b[1] << 8));
}
static inline uint32_t hs_load_u32(const void *bytes)
{
    const uint8_t *b = bytes;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
static inline uint64_t hs_load_u64(const void *bytes)
{
    const uint8_t *b = bytes;
    return (uint64_t)hs_load_u32(b) | (uint64_t)hs_load_u32(b + 4) << 32;
}
/* Brings the line of `address` into the cache. The empty statement is what keeps it: a function that does nothing but
 * prefetch has no effect for GCC 12, which then drops the calls of it. */
static inline void hs_prefetch(const void *address)
{
    __builtin_prefetch(address);
    __asm__ volatile("");
}
/* An unsigned integer of 1 to 8 bytes. */
uint64_t hs_load_uint(const void *bytes, unsigned size);

/* Borrowed bytes. */
struct hs_span {
    const uint8_t *bytes;
    uint64_t size;
};
/* The part [off, off + size) of a span; false (and nothing written) if it is not wholly inside; an
 * empty span has no parts. */
bool hs_span_part(struct hs_span span, uint64_t off, uint64_t size, struct hs_span *part_ret);
/* Integers at an offset; false (and nothing written) past the end. */
bool hs_span_u16(struct hs_span span, uint64_t off, uint16_t *value_ret);
bool hs_span_u32(struct hs_span span, uint64_t off, uint32_t *value_ret);
bool hs_span_u64(struct hs_span span, uint64_t off, uint64_t *value_ret);

/* Number of bits that are set. Plain arithmetic: the built-in is a library call on processors that are not named. */
static inline unsigned hs_popcount(uint64_t bits)
{
    bits -= bits >> 1 & UINT64_C(0x5555555555555555);
    bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
    bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (unsigned)(bits * UINT64_C(0x0101010101010101) >> 56);
}

/* a + b, a * b; false on overflow. */
static inline bool hs_add_u64(uint64_t a, uint64_t b, uint64_t *sum_ret)
{
    *sum_ret = a + b;
    return *sum_ret >= a;
}
static inline bool hs_mul_u64(uint64_t a, uint64_t b, uint64_t *product_ret)
{
    *product_ret = a * b;
    return a == 0 || *product_ret / a == b;
}

/* ---- text.c ---- */

/* A growing string. After a failed allocation it stays as it is and `failed` is set: check once, at the end. */
struct hs_text {
    char *bytes; /* 0-terminated once something was added, else NULL */
    size_t size, capacity;
    bool failed;
};
void hs_text_init(struct hs_text *text);
void hs_text_deinit(struct hs_text *text);
void hs_text_add(struct hs_text *text, const char *format, ...) HS_PRINTF(2, 3);
void hs_text_add_bytes(struct hs_text *text, const void *bytes, size_t size);
/* Bytes that should be UTF-8, made fit for a terminal: control characters, direction marks, line separators and bytes
 * that are no UTF-8 become \xNN; with `keep_lines` tab and newline stay. */
void hs_text_add_escaped(struct hs_text *text, const void *bytes, size_t size, bool keep_lines);
/* UTF-16LE to escaped UTF-8; `unit_count` 16-bit units; a lone surrogate becomes \uNNNN. */
void hs_text_add_utf16(struct hs_text *text, const void *bytes, size_t unit_count);
/* Whether a name matches a pattern: * stands for any characters, ? for one, ASCII case does not matter. */
bool hs_text_matches(const char *name, const char *pattern, size_t pattern_size);
/* Raw UTF-16LE to UTF-8 without escapes, lone surrogates as U+FFFD. */
void hs_text_add_utf16_raw(struct hs_text *text, const void *bytes, size_t unit_count);

/* ---- table.c ---- */

/* Strings and arrays that live as long as their owner. Zeroed, aligned for any type. */
struct hs_arena {
    struct hs_arena_chunk *chunks;
};
void hs_arena_init(struct hs_arena *arena);
void hs_arena_deinit(struct hs_arena *arena);
/* NULL when out of memory (or count * size overflows). */
void *hs_arena_alloc(struct hs_arena *arena, uint64_t count, size_t size);
/* A copy of a string; NULL when out of memory. */
const char *hs_arena_string(struct hs_arena *arena, const char *text);

/* An array with room for one more than `count` elements: the same, or twice as large where it is full (NULL and 0: begins
 * with 64). NULL when out of memory: then it is what it was. */
void *hs_grow(void *array, size_t count, size_t *capacity, size_t element_size);

/* Index of the last element of a sorted array whose uint64_t key is at most `key`; SIZE_MAX if there is none. The key
 * lies `key_off` bytes into each element of `element_size`. */
size_t hs_sorted_find(const void *array, size_t count, size_t element_size, size_t key_off, uint64_t key);

/* A number that things are sorted by, and what has it. */
struct hs_keyed {
    uint64_t key, value;
};
/* Sorts by key; those of one key stay in their order. `other` has room for as many. Gives which of the two arrays they are
 * in then. */
struct hs_keyed *hs_keyed_sort(struct hs_keyed *items, struct hs_keyed *other, uint32_t count);
/* Turns how many things are of each kind into where those of each begin in an array sorted by kind. Gives the sum. */
uint32_t hs_starts(uint32_t *counts, size_t kind_count);
/* The same for the values of an 8-bit digit; false if all have the same one: then nothing is to be sorted, and nothing
 * changed. */
bool hs_digit_starts(uint32_t counts[256], uint32_t all);

/* A number whose high bits depend on all bits of a key. */
static inline uint64_t hs_hash(uint64_t key)
{
    return (key ^ key >> 32) * UINT64_C(0x9e3779b97f4a7c15);
}

/* A map from 64-bit keys to values that are not 0. */
struct hs_map {
    struct hs_map_slot *slots;
    size_t capacity, count;
};
void hs_map_init(struct hs_map *map);
void hs_map_deinit(struct hs_map *map);
/* The value of `key`, to be read and written; 0 if the key is new, and then it must be set before the next call. Valid
 * until then. NULL when out of memory. */
uint64_t *hs_map_value(struct hs_map *map, uint64_t key);
/* The value of `key`; 0 if the map does not have it. */
uint64_t hs_map_find(const struct hs_map *map, uint64_t key);
/* Steps through a map, in no particular order: *place is 0 at first. False past the last. */
bool hs_map_next(const struct hs_map *map, size_t *place, uint64_t *key_ret, uint64_t *value_ret);

/* ---- parallel.c ---- */

/* Number of processors this process may use, at least 1. */
unsigned hs_processor_count(void);

/* Calls run(context, item) once for each item 0 .. item_count - 1, on up to `thread_count` threads (the caller's is
 * one of them), items given out in order. Returns when all are done. Works with fewer threads where none can be had. */
void hs_parallel(unsigned thread_count, size_t item_count, void (*run)(void *context, size_t item), void *context);
/* The same, for items that need something only one thread has: `slot` is below thread_count (0 if that is 0), and no two
 * threads have the same. */
void hs_parallel_slots(unsigned thread_count, size_t item_count, void (*run)(void *context, size_t item, unsigned slot),
                       void *context);

/* Zeroed memory for many threads to read and write here and there; for free(). What calloc gives is the kernel's page of
 * zeros until it is written to, and then all threads wait, page after page, until each has the new page in its view.
 * NULL when out of memory. */
void *hs_alloc_touched(unsigned thread_count, size_t size);

struct hs_job {
    _Atomic uint64_t done, total;
    atomic_bool cancel;
};
/* The engine's side of a job; `job` may be NULL. */
void hs_job_start(struct hs_job *job, uint64_t total);
static inline void hs_job_advance(struct hs_job *job, uint64_t amount)
{
    if (job)
        atomic_fetch_add_explicit(&job->done, amount, memory_order_relaxed);
}
static inline bool hs_job_stopped(const struct hs_job *job)
{
    return job && atomic_load_explicit(&job->cancel, memory_order_relaxed);
}

#endif
