/* filter.h - inside query/: a filter's program as filter.c makes it, filter_run.c runs it on a block and filter_batch.c on
 * many. */
#ifndef HS_QUERY_FILTER_H
#define HS_QUERY_FILTER_H

#include "query/query.h"

/* Codes that only the run knows: what programs are full of, in one step. From HS_RUN_TESTS on they are tests, which know
 * their ways on. */
enum {
    HS_RUN_READ = HS_FILTER_CODE_COUNT, /* user bytes at `off`, `field` as in HS_FILTER_READ */
    HS_RUN_TESTS,
    HS_RUN_SIZE_EQUAL = HS_RUN_TESTS, /* user size == value */
    HS_RUN_FIELD_EQUAL,               /* field `field` == value */
    HS_RUN_READ_EQUAL,                /* user bytes at `off`, `field` as in HS_FILTER_READ, == value */
    HS_RUN_WITHIN,     /* value <= what `of` says, an HS_FILTER_FIELD, _READ, _ASCII or _UTF16, <= high */
    HS_RUN_READ_AMONG, /* the same, >> value, in the list of `among` */
    HS_RUN_TRUTH       /* what code `field` says, one of those that leave a truth and take nothing */
};

/* Where a test leads, and what it leaves there: nothing where the jump that follows it takes its value. */
struct hs_way {
    uint32_t next;
    enum { HS_LEAVE_FALSE, HS_LEAVE_TRUE, HS_LEAVE_NOTHING } leave;
};

struct hs_instruction {
    int code;              /* enum hs_filter_code or one of the above */
    int field;             /* a jump: 1 if the value is taken off also where it jumps */
    struct hs_way ways[2]; /* a test: if false, if true */
    int64_t off, value, high;
    int of;
    const struct hs_stored_bits *bits;  /* candidate codes */
    const uint64_t *traces;             /* trace codes: a bit a trace; NULL: there are none */
    const uint8_t *labels;              /* label code: a byte a label number */
    struct hs_column *column;           /* column code: retained */
    const struct hs_instruction *among; /* HS_RUN_READ_AMONG: the instruction with the list */
    const struct hs_filter_text *text;  /* contains, among */
    const uint64_t *map;                /* among: a bit an integer from `off` on, `value` of them; NULL: by halves */
};

struct hs_filter {
    const struct hs_dump *dump;
    const struct hs_blocks *blocks;
    struct hs_instruction *code;
    size_t count;
    struct hs_filter_text *texts;
    size_t text_count;
    bool plain;                 /* see hs_filter_is_plain */
    uint64_t stops;             /* see find_stops: from there on, block by block */
    const struct hs_scan *scan; /* the dump's, if the program asks for it */
    uint16_t label_count;       /* labels known when the filter was made */
    const uint16_t *numbers;    /* of the labels of blocks; NULL where there were none */
    struct hs_arena arena;
};

static inline uint64_t hs_filter_load(const uint8_t *bytes, unsigned size)
{
    switch (size) {
    case 1: return *bytes;
    case 2: return hs_load_u16(bytes);
    case 4: return hs_load_u32(bytes);
    default: return hs_load_u64(bytes);
    }
}

/* Whether a number is in the list of an instruction that has no map. */
bool hs_filter_among_sorted(const struct hs_instruction *at, int64_t number);
/* Whether a number is in the list of an instruction. */
static inline bool hs_filter_among(const struct hs_instruction *at, int64_t number)
{
    uint64_t bit = (uint64_t)number - (uint64_t)at->off;

    if (!at->map)
        return hs_filter_among_sorted(at, number);
    return bit < (uint64_t)at->value && (at->map[bit / 64] >> (bit % 64) & 1);
}
/* Whether user bytes are what HS_RUN_READ_EQUAL or HS_RUN_READ_AMONG wants. */
static inline bool hs_filter_wanted(const struct hs_instruction *test, int64_t number)
{
    return test->code == HS_RUN_READ_AMONG ? hs_filter_among(test->among, (int64_t)((uint64_t)number >> test->value))
                                           : number == test->value;
}
/* Whether a block meets a test. */
bool hs_filter_met(const struct hs_filter *filter, const struct hs_instruction *test, const struct hs_spot *spot);
/* Whether the program is true for a block from an instruction on that is reached with nothing on the stack. */
bool hs_filter_true_from(const struct hs_filter *filter, size_t start, const struct hs_spot *spot);

#define HS_BATCHED_MAX 64u /* the first instructions of a program, over which many blocks are led at once */

#endif
