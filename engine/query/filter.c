/* filter.c - a small checked program that is run for each block of a set.
 *
 * A program comes from the grammar of filter texts, or from anybody else: it is checked once (codes, operands, stack
 * depth, jumps only forward, so that every program ends), then run without checks. Whatever does not depend on the
 * block is looked up when the filter is made. */
#include "query/query.h"

#include "query/candidate.h"
#include "query/scan.h"

#include <stdlib.h>

/* Codes that only the run knows: what programs are full of, in one step. From RUN_TESTS on they are tests, which know
 * their ways on. */
enum {
    RUN_READ = HS_FILTER_CODE_COUNT, /* user bytes at `off`, `field` as in HS_FILTER_READ */
    RUN_TESTS,
    RUN_SIZE_EQUAL = RUN_TESTS, /* user size == value */
    RUN_FIELD_EQUAL,            /* field `field` == value */
    RUN_READ_EQUAL,             /* user bytes at `off`, `field` as in HS_FILTER_READ, == value */
    RUN_WITHIN,                 /* value <= what `of` says, an HS_FILTER_FIELD, _READ, _ASCII or _UTF16, <= high */
    RUN_READ_AMONG,             /* the same, >> value, in the list of `among` */
    RUN_TRUTH                   /* what code `field` says, one of those that leave a truth and take nothing */
};

/* Where a test leads, and what it leaves there: nothing where the jump that follows it takes its value. */
struct way {
    uint32_t next;
    enum { LEAVE_FALSE, LEAVE_TRUE, LEAVE_NOTHING } leave;
};

struct instruction {
    int code;           /* enum hs_filter_code or one of the above */
    int field;          /* a jump: 1 if the value is taken off also where it jumps */
    struct way ways[2]; /* a test: if false, if true */
    int64_t off, value, high;
    int of;
    const struct hs_stored_bits *bits; /* candidate codes */
    const uint64_t *traces;            /* trace codes: a bit a trace; NULL: there are none */
    const uint8_t *labels;             /* label code: a byte a label number */
    struct hs_column *column;          /* column code: retained */
    const struct instruction *among;   /* RUN_READ_AMONG: the instruction with the list */
    const struct hs_filter_text *text; /* contains, among */
    const uint64_t *map;               /* among: a bit an integer from `off` on, `value` of them; NULL: by halves */
};

/* Lists whose integers lie that close together are looked up in a bitmap. */
#define MAP_BITS_MAX (1 << 18)

struct hs_filter {
    const struct hs_dump *dump;
    const struct hs_blocks *blocks;
    struct instruction *code;
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

/* What the value of an instruction is. */
enum operand { NO_OPERAND, NUMBER, FIELD, READ_SIZE, TEXT, INTEGERS, JUMP };

/* How many values each code pops and pushes, and what its operand is. */
static const struct {
    uint8_t pops, pushes, operand;
} effects[HS_FILTER_CODE_COUNT] = {
    [HS_FILTER_PUSH] = {0, 1, NUMBER},
    [HS_FILTER_FIELD] = {0, 1, FIELD},
    [HS_FILTER_READ] = {1, 1, READ_SIZE},
    [HS_FILTER_ASCII] = {1, 1, NO_OPERAND},
    [HS_FILTER_UTF16] = {1, 1, NO_OPERAND},
    [HS_FILTER_AMONG] = {1, 1, INTEGERS},
    [HS_FILTER_NEGATE] = {1, 1, NO_OPERAND},
    [HS_FILTER_INVERT] = {1, 1, NO_OPERAND},
    [HS_FILTER_ADD] = {2, 1, NO_OPERAND},
    [HS_FILTER_SUBTRACT] = {2, 1, NO_OPERAND},
    [HS_FILTER_MULTIPLY] = {2, 1, NO_OPERAND},
    [HS_FILTER_DIVIDE] = {2, 1, NO_OPERAND},
    [HS_FILTER_MODULO] = {2, 1, NO_OPERAND},
    [HS_FILTER_AND] = {2, 1, NO_OPERAND},
    [HS_FILTER_OR] = {2, 1, NO_OPERAND},
    [HS_FILTER_XOR] = {2, 1, NO_OPERAND},
    [HS_FILTER_SHIFT_LEFT] = {2, 1, NO_OPERAND},
    [HS_FILTER_SHIFT_RIGHT] = {2, 1, NO_OPERAND},
    [HS_FILTER_EQUAL] = {2, 1, NO_OPERAND},
    [HS_FILTER_LESS] = {2, 1, NO_OPERAND},
    [HS_FILTER_LESS_EQUAL] = {2, 1, NO_OPERAND},
    [HS_FILTER_BETWEEN] = {3, 1, NO_OPERAND},
    [HS_FILTER_NOT] = {1, 1, NO_OPERAND},
    [HS_FILTER_JUMP_IF] = {1, 0, JUMP},
    [HS_FILTER_JUMP_UNLESS] = {1, 0, JUMP},
    [HS_FILTER_CONTAINS] = {0, 1, TEXT},
    [HS_FILTER_CANDIDATE_MODULE] = {0, 1, TEXT},
    [HS_FILTER_CANDIDATE_SYMBOL] = {0, 1, TEXT},
    [HS_FILTER_CANDIDATE_INDEX] = {0, 1, NUMBER},
    [HS_FILTER_TRACE_MODULE] = {0, 1, TEXT},
    [HS_FILTER_TRACE_SYMBOL] = {0, 1, TEXT},
    [HS_FILTER_REFERENCED] = {0, 1, NO_OPERAND},
    [HS_FILTER_LABEL] = {0, 1, TEXT},
    [HS_FILTER_COLUMN] = {0, 1, TEXT},
};

static bool is_jump(enum hs_filter_code code)
{
    return effects[code].operand == JUMP;
}

/* What is wrong with one instruction by itself; NULL if nothing is. */
static const char *check_operand(const struct hs_filter_op *op, size_t idx, size_t op_count,
                                 const struct hs_filter_text *texts, size_t text_count)
{
    int64_t size;

    if ((unsigned)op->code >= HS_FILTER_CODE_COUNT)
        return "no such code";
    switch ((enum operand)effects[op->code].operand) {
    case TEXT:
    case INTEGERS:
        if (op->value < 0 || (uint64_t)op->value >= text_count)
            return "no such text";
        if (effects[op->code].operand == INTEGERS && texts[op->value].size % 8)
            return "a text of integers of 8 bytes was expected";
        break;
    case FIELD:
        if (op->value < 0 || op->value >= HS_BLOCK_FIELD_COUNT)
            return "no such field";
        break;
    case READ_SIZE:
        size = op->value < 0 && op->value >= -8 ? -op->value : op->value;
        if (size != 1 && size != 2 && size != 4 && size != 8)
            return "a read of 1, 2, 4 or 8 bytes was expected";
        break;
    case JUMP:
        if (op->value <= (int64_t)idx || (uint64_t)op->value > op_count)
            return "a jump further on was expected";
        break;
    case NUMBER:
    case NO_OPERAND: break;
    }
    return NULL;
}

/* What is wrong with a program, and where; NULL if it is sound. depths has op_count + 1 elements, all -1. */
static const char *check_program(const struct hs_filter_op *ops, size_t op_count, const struct hs_filter_text *texts,
                                 size_t text_count, int *depths, size_t *idx_ret)
{
    int depth = 0;

    for (size_t i = 0; i < op_count; i++) {
        const char *wrong = check_operand(&ops[i], i, op_count, texts, text_count);

        *idx_ret = i;
        if (wrong)
            return wrong;
        if (depths[i] >= 0 && depths[i] != depth)
            return "paths that meet here leave different numbers of values";
        if (depth < effects[ops[i].code].pops)
            return "not enough values";
        /* A jump that is taken keeps its value. */
        if (is_jump(ops[i].code)) {
            int *target = &depths[ops[i].value];

            if (*target >= 0 && *target != depth)
                return "paths that meet at its target leave different numbers of values";
            *target = depth;
        }
        depth += effects[ops[i].code].pushes - effects[ops[i].code].pops;
        if (depth > HS_FILTER_STACK)
            return "too many values";
    }
    *idx_ret = op_count;
    if (depth != 1 || (depths[op_count] >= 0 && depths[op_count] != 1))
        return "one value was expected at the end";
    return NULL;
}

/* Labels that match a pattern, a byte each; NULL when out of memory. */
static const uint8_t *match_labels(struct hs_filter *filter, const struct hs_blocks *blocks,
                                   const struct hs_filter_text *pattern)
{
    uint8_t *matches = hs_arena_alloc(&filter->arena, (uint64_t)filter->label_count + 1, 1);

    for (uint32_t number = 1; matches && number <= filter->label_count; number++)
        matches[number] =
            hs_text_matches(hs_blocks_label(blocks, (uint16_t)number)->type, pattern->bytes, pattern->size);
    return matches;
}

/* The stored indexes a candidate code is true for. */
static enum hs_status find_candidates(struct hs_filter *filter, struct hs_dump *dump, struct instruction *instruction,
                                      struct hs_job *job, struct hs_error *err)
{
    struct hs_stored_bits *bits = hs_arena_alloc(&filter->arena, 1, sizeof *bits);
    const struct hs_traces *traces;
    enum hs_status status;

    if (!bits)
        return hs_fail_memory(err, "a filter");
    instruction->bits = bits;
    status = hs_dump_traces(dump, job, &traces, err);
    if (status != HS_OK || !traces)
        return status;
    if (instruction->code == HS_FILTER_CANDIDATE_INDEX) {
        if (instruction->value > 0 && instruction->value <= traces->info.count) {
            uint64_t stored = (uint64_t)instruction->value % HS_STORED_COUNT;

            bits->words[stored / 64] |= UINT64_C(1) << (stored % 64);
        }
        return HS_OK;
    }
    return hs_candidates_match(dump, traces, &filter->texts[instruction->value],
                               instruction->code == HS_FILTER_CANDIDATE_SYMBOL, job, bits, err);
}

/* The traces a trace code is true for. */
static enum hs_status find_traces(struct hs_filter *filter, struct hs_dump *dump, struct instruction *instruction,
                                  struct hs_job *job, struct hs_error *err)
{
    const struct hs_traces *traces;
    enum hs_status status = hs_dump_traces(dump, job, &traces, err);
    uint64_t *words;

    if (status != HS_OK || !traces)
        return status;
    words = hs_arena_alloc(&filter->arena, traces->info.count / 64 + UINT64_C(1), sizeof *words);
    if (!words)
        return hs_fail_memory(err, "a filter");
    instruction->traces = words;
    return hs_traces_match(dump, traces, &filter->texts[instruction->value],
                           instruction->code == HS_FILTER_TRACE_SYMBOL, job, words, err);
}

/* Gives a list its bitmap if that is worth it. */
static enum hs_status map_list(struct hs_filter *filter, struct instruction *instruction, struct hs_error *err)
{
    const struct hs_filter_text *list = instruction->text;
    int64_t low = INT64_MAX, high = INT64_MIN;
    uint64_t span;
    uint64_t *map;

    for (size_t i = 0; i + 8 <= list->size; i += 8) {
        int64_t number = (int64_t)hs_load_u64(list->bytes + i);

        low = number < low ? number : low;
        high = number > high ? number : high;
    }
    span = low <= high ? (uint64_t)high - (uint64_t)low : UINT64_MAX;
    if (span >= MAP_BITS_MAX)
        return HS_OK;
    map = hs_arena_alloc(&filter->arena, span / 64 + 1, sizeof *map);
    if (!map)
        return hs_fail_memory(err, "a filter");
    for (size_t i = 0; i + 8 <= list->size; i += 8) {
        uint64_t bit = hs_load_u64(list->bytes + i) - (uint64_t)low;

        map[bit / 64] |= UINT64_C(1) << (bit % 64);
    }
    instruction->off = low;
    instruction->value = (int64_t)span + 1;
    instruction->map = map;
    return HS_OK;
}

static enum hs_status copy_texts(struct hs_filter *filter, const struct hs_filter_text *texts, size_t text_count,
                                 struct hs_error *err)
{
    filter->texts = hs_arena_alloc(&filter->arena, text_count, sizeof *filter->texts);
    filter->text_count = text_count;
    for (size_t i = 0; filter->texts && i < text_count; i++) {
        char *bytes = hs_arena_alloc(&filter->arena, texts[i].size + UINT64_C(1), 1);

        if (!bytes)
            return hs_fail_memory(err, "a filter");
        memcpy(bytes, texts[i].bytes, texts[i].size);
        filter->texts[i] = (struct hs_filter_text){bytes, texts[i].size};
    }
    return filter->texts ? HS_OK : hs_fail_memory(err, "a filter");
}

static enum hs_status check(const struct hs_filter_op *ops, size_t op_count, const struct hs_filter_text *texts,
                            size_t text_count, struct hs_error *err)
{
    const char *wrong;
    size_t idx = 0;
    int *depths;

    if (op_count == 0 || op_count > HS_FILTER_OPS_MAX)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "a filter of %zu instructions, expected 1 to %d",
                       op_count, HS_FILTER_OPS_MAX);
    depths = malloc((op_count + 1) * sizeof *depths);
    if (!depths)
        return hs_fail_memory(err, "a filter");
    for (size_t i = 0; i <= op_count; i++)
        depths[i] = -1;
    wrong = check_program(ops, op_count, texts, text_count, depths, &idx);
    free(depths);
    return wrong ? hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "filter instruction %zu: %s", idx, wrong) : HS_OK;
}

/* Fuses a read, a shift to the right or none, and a look into a list; `i` is the read, with its offset before it. */
static void fuse_list(struct instruction *code, size_t count, size_t i)
{
    size_t list = i + 2;
    int64_t shift = 0;

    if (list + 2 < count && code[list].code == HS_FILTER_PUSH && code[list + 1].code == HS_FILTER_SHIFT_RIGHT &&
        code[list].value >= 0 && code[list].value < 64) {
        shift = code[list].value;
        list += 2;
    }
    if (list >= count || code[list].code != HS_FILTER_AMONG)
        return;
    code[i].code = RUN_READ_AMONG;
    code[i].value = shift;
    code[i].among = &code[list];
    code[i].ways[0].next = (uint32_t)list + 1;
}

static bool is_truth(int code)
{
    return code == HS_FILTER_CONTAINS || code == HS_FILTER_CANDIDATE_MODULE || code == HS_FILTER_CANDIDATE_SYMBOL ||
           code == HS_FILTER_CANDIDATE_INDEX || code == HS_FILTER_TRACE_MODULE || code == HS_FILTER_TRACE_SYMBOL ||
           code == HS_FILTER_REFERENCED || code == HS_FILTER_LABEL;
}

/* Whether instruction `i` begins what leaves a value of the block: a field, or something read at a fixed offset. Gives how
 * many instructions that takes; 0: it does not. */
static size_t value_length(const struct instruction *code, size_t count, size_t i)
{
    if (i < count && code[i].code == HS_FILTER_FIELD)
        return 1;
    if (i + 1 < count && code[i].code == HS_FILTER_PUSH &&
        (code[i + 1].code == HS_FILTER_READ || code[i + 1].code == HS_FILTER_ASCII ||
         code[i + 1].code == HS_FILTER_UTF16))
        return 2;
    return 0;
}

/* Fuses the comparison of a value with constants: low <= value <= high. The value's instructions are `at`, `length` of them;
 * behind the comparison stands `next`. */
static void fuse_within(struct instruction *code, size_t i, size_t at, size_t length, int64_t low, int64_t high,
                        size_t next)
{
    const struct instruction value = code[at], last = code[at + length - 1];

    code[i].of = last.code;
    code[i].off = value.value;
    code[i].field = (int)last.value;
    code[i].code = RUN_WITHIN;
    code[i].value = low;
    code[i].high = high;
    code[i].ways[0].next = (uint32_t)next;
}

/* Fuses `value < constant`, `constant < value`, the same with <=, and `value in low..high`; false: none stands there. */
static bool fuse_comparison(struct instruction *code, size_t count, size_t i)
{
    size_t length = value_length(code, count, i), end = i + length;

    if (length && end + 1 < count && code[end].code == HS_FILTER_PUSH) {
        int64_t bound = code[end].value;

        if (code[end + 1].code == HS_FILTER_LESS_EQUAL || (code[end + 1].code == HS_FILTER_LESS && bound > INT64_MIN)) {
            fuse_within(code, i, i, length, INT64_MIN, bound - (code[end + 1].code == HS_FILTER_LESS), end + 2);
            return true;
        }
        if (end + 2 < count && code[end + 1].code == HS_FILTER_PUSH && code[end + 2].code == HS_FILTER_BETWEEN) {
            fuse_within(code, i, i, length, bound, code[end + 1].value, end + 3);
            return true;
        }
    }
    if (code[i].code != HS_FILTER_PUSH || (length = value_length(code, count, i + 1)) == 0)
        return false;
    end = i + 1 + length;
    if (end < count &&
        (code[end].code == HS_FILTER_LESS_EQUAL || (code[end].code == HS_FILTER_LESS && code[i].value < INT64_MAX))) {
        fuse_within(code, i, i + 1, length, code[i].value + (code[end].code == HS_FILTER_LESS), INT64_MAX, end + 1);
        return true;
    }
    return false;
}

/* Puts fused instructions over the first of those they stand for. The others stay: a jump may lead to them. */
static void fuse(struct instruction *code, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_truth(code[i].code))
            continue;
        code[i].field = code[i].code;
        code[i].code = RUN_TRUTH;
        code[i].ways[0].next = (uint32_t)i + 1;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        const struct instruction *next = &code[i + 1];
        bool equal = i + 2 < count && next->code == HS_FILTER_PUSH && code[i + 2].code == HS_FILTER_EQUAL;

        if (fuse_comparison(code, count, i))
            continue;
        if (code[i].code == HS_FILTER_FIELD && equal) {
            code[i].code = code[i].value == HS_BLOCK_FIELD_SIZE ? RUN_SIZE_EQUAL : RUN_FIELD_EQUAL;
            code[i].field = (int)code[i].value;
            code[i].value = next->value;
            code[i].ways[0].next = (uint32_t)i + 3;
        } else if (code[i].code == HS_FILTER_PUSH && next->code == HS_FILTER_READ) {
            code[i].off = code[i].value;
            code[i].field = (int)next->value;
            code[i].code = RUN_READ;
            if (i + 3 < count && code[i + 2].code == HS_FILTER_PUSH && code[i + 3].code == HS_FILTER_EQUAL) {
                code[i].code = RUN_READ_EQUAL;
                code[i].value = code[i + 2].value;
                code[i].ways[0].next = (uint32_t)i + 4;
            } else {
                fuse_list(code, count, i);
            }
        }
    }
}

/* Makes jumps go where they end up: one that leads to another jump is decided there by the same value. The others stay. */
static void thread_jumps(struct instruction *code, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int jump = code[i].code;
        size_t target = (size_t)code[i].value;

        if (jump != HS_FILTER_JUMP_IF && jump != HS_FILTER_JUMP_UNLESS)
            continue;
        while (target < count && code[target].code == jump)
            target = (size_t)code[target].value;
        code[i].field = 0;
        if (target < count && (code[target].code == HS_FILTER_JUMP_IF || code[target].code == HS_FILTER_JUMP_UNLESS)) {
            target++;
            code[i].field = 1; /* it would not be taken there, and take its value off */
        }
        code[i].value = (int64_t)target;
    }
}

/* Where a test with that outcome leads, the instruction behind it being `next`. */
static struct way find_way(const struct instruction *code, size_t count, uint32_t next, bool truth)
{
    for (; next < count && code[next].code == HS_FILTER_NOT; next++)
        truth = !truth;
    if (next == count || (code[next].code != HS_FILTER_JUMP_IF && code[next].code != HS_FILTER_JUMP_UNLESS))
        return (struct way){next, truth ? LEAVE_TRUE : LEAVE_FALSE};
    if (truth != (code[next].code == HS_FILTER_JUMP_IF))
        return (struct way){next + 1, LEAVE_NOTHING};
    return (struct way){(uint32_t)code[next].value, code[next].field ? LEAVE_NOTHING
                                                    : truth          ? LEAVE_TRUE
                                                                     : LEAVE_FALSE};
}

static void find_ways(struct instruction *code, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t next = code[i].ways[0].next;

        if (code[i].code < RUN_TESTS)
            continue;
        code[i].ways[0] = find_way(code, count, next, false);
        code[i].ways[1] = find_way(code, count, next, true);
    }
}

static bool is_plain_field(int64_t field, unsigned pointer)
{
    return field == HS_BLOCK_FIELD_SIZE || field == HS_BLOCK_FIELD_TOTAL || field == HS_BLOCK_FIELD_FLAGS ||
           field == HS_BLOCK_FIELD_STATE || field == HS_BLOCK_FIELD_STORED || field == HS_BLOCK_FIELD_ID ||
           field == HS_BLOCK_FIELD_TRACE || (field == HS_BLOCK_FIELD_FIRST_WORD && pointer == 4);
}

/* Whether a program asks for nothing but what plain spots tell. Reads must be of a constant offset that no jump goes
 * around. */
static bool is_plain(const struct hs_filter_op *ops, size_t count, unsigned pointer)
{
    uint64_t targets[HS_FILTER_OPS_MAX / 64 + 1] = {0};

    for (size_t i = 0; i < count; i++) {
        enum hs_filter_code code = ops[i].code;
        int64_t value = ops[i].value, size = value < 0 ? -value : value;

        if (is_jump(code))
            targets[value / 64] |= UINT64_C(1) << (value % 64);
        if (code == HS_FILTER_ASCII || code == HS_FILTER_UTF16 || code == HS_FILTER_CONTAINS ||
            (code == HS_FILTER_FIELD && !is_plain_field(value, pointer)))
            return false;
        if (code == HS_FILTER_READ && (i == 0 || ops[i - 1].code != HS_FILTER_PUSH || ops[i - 1].value < 0 ||
                                       ops[i - 1].value > 4 - size || (targets[i / 64] >> (i % 64) & 1)))
            return false;
    }
    return true;
}

bool hs_filter_is_plain(const struct hs_filter *filter)
{
    return filter->plain;
}

#define BATCHED_MAX 64u /* the first instructions of a program, over which many blocks are led at once */

/* Whether a test can be made of many blocks at once: it leaves a value only at the end of the program. */
static bool is_batched(const struct instruction *test, size_t count)
{
    if (test->code < RUN_TESTS)
        return false;
    for (unsigned truth = 0; truth < 2; truth++) {
        const struct way *way = &test->ways[truth];

        if ((way->leave == LEAVE_NOTHING) == (way->next == count) || (way->next >= BATCHED_MAX && way->next < count))
            return false;
    }
    return true;
}

/* The first instructions, a bit each, on the ways from the start that are no such tests. */
static uint64_t find_stops(const struct instruction *code, size_t count)
{
    uint64_t reached = 1, stops = 0;

    for (size_t i = 0; i < count && i < BATCHED_MAX; i++) {
        if (!(reached >> i & 1))
            continue;
        if (!is_batched(&code[i], count)) {
            stops |= UINT64_C(1) << i;
            continue;
        }
        for (unsigned truth = 0; truth < 2; truth++)
            if (code[i].ways[truth].next < count)
                reached |= UINT64_C(1) << code[i].ways[truth].next;
    }
    return stops;
}

static enum hs_status find_column(const struct hs_filter *filter, struct hs_dump *dump, struct instruction *instruction,
                                  struct hs_error *err)
{
    const char *name = filter->texts[instruction->value].bytes; /* copy_texts ends it */

    instruction->column = hs_dump_column(dump, name);
    if (instruction->column)
        return HS_OK;
    return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA,
                   "filter: there is no column '%s' on this dump: set:map makes one", name);
}

/* The instructions, with everything looked up that does not depend on the block. */
static enum hs_status copy_code(struct hs_filter *filter, struct hs_dump *dump, const struct hs_blocks *blocks,
                                const struct hs_filter_op *ops, size_t op_count, struct hs_job *job,
                                struct hs_error *err)
{
    enum hs_status status = HS_OK;

    filter->code = hs_arena_alloc(&filter->arena, op_count, sizeof *filter->code);
    if (!filter->code)
        return hs_fail_memory(err, "a filter");
    filter->count = op_count;
    for (size_t i = 0; i < op_count && status == HS_OK; i++) {
        struct instruction *instruction = &filter->code[i];

        instruction->code = (int)ops[i].code;
        instruction->value = ops[i].value;
        if (ops[i].code == HS_FILTER_CONTAINS || ops[i].code == HS_FILTER_AMONG)
            instruction->text = &filter->texts[ops[i].value];
        if (ops[i].code == HS_FILTER_AMONG)
            status = map_list(filter, instruction, err);
        else if (ops[i].code == HS_FILTER_CANDIDATE_MODULE || ops[i].code == HS_FILTER_CANDIDATE_SYMBOL ||
                 ops[i].code == HS_FILTER_CANDIDATE_INDEX)
            status = find_candidates(filter, dump, instruction, job, err);
        else if (ops[i].code == HS_FILTER_TRACE_MODULE || ops[i].code == HS_FILTER_TRACE_SYMBOL)
            status = find_traces(filter, dump, instruction, job, err);
        else if (ops[i].code == HS_FILTER_REFERENCED)
            status = hs_dump_scan(dump, job, &filter->scan, err);
        else if (ops[i].code == HS_FILTER_COLUMN)
            status = find_column(filter, dump, instruction, err);
        else if (ops[i].code == HS_FILTER_LABEL &&
                 !(instruction->labels = match_labels(filter, blocks, &filter->texts[ops[i].value])))
            status = hs_fail_memory(err, "a filter");
    }
    if (status == HS_OK) {
        fuse(filter->code, op_count);
        thread_jumps(filter->code, op_count);
        find_ways(filter->code, op_count);
        filter->stops = find_stops(filter->code, op_count);
        filter->plain = is_plain(ops, op_count, blocks->heaps->process->space->pointer_size);
    }
    return status;
}

enum hs_status hs_filter_create(struct hs_dump *dump, const struct hs_filter_op *ops, size_t op_count,
                                const struct hs_filter_text *texts, size_t text_count, struct hs_job *job,
                                struct hs_filter **filter_ret, struct hs_error *err)
{
    enum hs_status status = check(ops, op_count, texts, text_count, err);
    const struct hs_blocks *blocks = NULL;
    struct hs_filter *filter;

    if (status == HS_OK)
        status = hs_dump_blocks(dump, job, &blocks, err);
    if (status != HS_OK)
        return status;
    filter = calloc(1, sizeof *filter);
    if (!filter)
        return hs_fail_memory(err, "a filter");
    filter->dump = dump;
    filter->blocks = blocks;
    hs_arena_init(&filter->arena);
    filter->label_count = hs_blocks_label_count(blocks);
    filter->numbers = hs_blocks_label_numbers(blocks);
    status = copy_texts(filter, texts, text_count, err);
    if (status == HS_OK)
        status = copy_code(filter, dump, blocks, ops, op_count, job, err);
    if (status != HS_OK) {
        hs_filter_destroy(filter);
        return status;
    }
    *filter_ret = filter;
    return HS_OK;
}

void hs_filter_destroy(struct hs_filter *filter)
{
    if (!filter)
        return;
    for (size_t i = 0; filter->code && i < filter->count; i++)
        hs_column_release(filter->code[i].column);
    hs_arena_deinit(&filter->arena);
    free(filter);
}

/* ---- running ---- */

struct value {
    int64_t number;
    uint64_t missing; /* 0 or 1; as wide as the number, so that what was just stored can be loaded without a wait */
};

static const struct value missing = {0, 1};

static struct value present(uint64_t number)
{
    return (struct value){(int64_t)number, 0};
}

static inline uint64_t load_user(const uint8_t *bytes, unsigned size)
{
    switch (size) {
    case 1: return *bytes;
    case 2: return hs_load_u16(bytes);
    case 4: return hs_load_u32(bytes);
    default: return hs_load_u64(bytes);
    }
}

static inline struct value read_user(const struct hs_filter *filter, const struct hs_spot *spot, int64_t off,
                                     int64_t size_signed)
{
    const struct hs_heaps *heaps = filter->blocks->heaps;
    const struct hs_extent *extent = spot->extent;
    unsigned size = (unsigned)(size_signed < 0 ? -size_signed : size_signed);
    uint64_t at, number;

    if (off < 0 || spot->brief.size < size || (uint64_t)off > spot->brief.size - size ||
        (extent && extent->kind == HS_EXTENT_HOLE))
        return missing;
    at = extent ? hs_spot_user_off(heaps, spot) + (uint64_t)off : 0;
    if (!extent) /* a plain program reads within the first 4 bytes */
        number = spot->first >> (8 * off) & (UINT32_MAX >> (32 - 8 * size));
    else if (extent->kind == HS_EXTENT_RUN && at + size <= extent->size)
        number = load_user(extent->bytes + at, size);
    else if (!hs_space_uint(heaps->process->space, extent->va + at, size, &number))
        return missing;
    if (size_signed < 0 && size < 8 && number >> (8 * size - 1))
        number |= UINT64_MAX << (8 * size);
    return present(number);
}

/* Printable ASCII, a tab or the end of a line. */
static inline bool is_letter(unsigned unit)
{
    return unit - 0x20 <= 0x7e - 0x20 || unit == '\t' || unit == '\n' || unit == '\r';
}

/* A UTF-16 unit of the scripts in use. */
static inline bool is_unit(unsigned unit)
{
    return is_letter(unit) || (unit >= 0xa0 && unit <= 0x1fff) || (unit >= 0x2010 && unit <= 0x20cf) ||
           (unit >= 0x3000 && unit <= 0x9fff) || (unit >= 0xac00 && unit <= 0xd7a3);
}

/* Length of the text at user offset `off`, in characters of `width` bytes; see HS_FILTER_ASCII and HS_FILTER_UTF16. Only
 * what is mapped together with the header is looked at. */
static struct value text_run(const struct hs_filter *filter, const struct hs_spot *spot, int64_t off, unsigned width)
{
    const struct hs_extent *extent = spot->extent;
    const uint8_t *bytes;
    uint64_t at, size, count = 0;

    if (extent->kind != HS_EXTENT_RUN || off < 0 || (uint64_t)off > spot->brief.size)
        return missing;
    at = hs_spot_user_off(filter->blocks->heaps, spot) + (uint64_t)off;
    size = spot->brief.size - (uint64_t)off;
    if (at >= extent->size)
        return missing;
    if (size > extent->size - at)
        size = extent->size - at;
    bytes = extent->bytes + at;
    if (width == 1) {
        while (count < size && is_letter(bytes[count]))
            count++;
        return present(count == size || bytes[count] == 0 ? count : 0);
    }
    while (2 * count + 1 < size && is_unit(hs_load_u16(bytes + 2 * count)))
        count++;
    return present(2 * count + 1 >= size || hs_load_u16(bytes + 2 * count) == 0 ? count : 0);
}

static bool is_among(int64_t number, const struct instruction *at)
{
    const struct hs_filter_text *sorted = at->text;
    size_t low = 0, high = sorted->size / 8;

    if (at->map) {
        uint64_t bit = (uint64_t)number - (uint64_t)at->off;

        return bit < (uint64_t)at->value && (at->map[bit / 64] >> (bit % 64) & 1);
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int64_t found = (int64_t)hs_load_u64(sorted->bytes + middle * 8);

        if (found == number)
            return true;
        if (found < number)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool contains(const struct hs_filter *filter, const struct hs_spot *spot, const struct hs_filter_text *text)
{
    const struct hs_space *space = filter->blocks->heaps->process->space;
    const struct hs_extent *extent = spot->extent;
    uint64_t at = hs_spot_user_off(filter->blocks->heaps, spot);
    hs_va user = extent->va + at, found;

    if (extent->kind == HS_EXTENT_HOLE || text->size == 0 || spot->brief.size < text->size)
        return false;
    if (extent->kind == HS_EXTENT_RUN && at + spot->brief.size <= extent->size)
        return memmem(extent->bytes + at, spot->brief.size, text->bytes, text->size) != NULL;
    return hs_space_find(space, text->bytes, text->size, user, user + spot->brief.size, 1, NULL, &found) == HS_OK;
}

static struct value trace_of(const struct hs_filter *filter, const struct hs_spot *spot)
{
    const uint32_t *traces = filter->dump->block_traces;

    return traces && traces[spot->id] != UINT32_MAX ? present(traces[spot->id]) : missing;
}

static struct value number_of(const struct hs_column *column, uint32_t id)
{
    int64_t number;

    return hs_column_get(column, id, &number) ? present((uint64_t)number) : missing;
}

static uint32_t stored_of(const struct hs_filter *filter, const struct hs_spot *spot)
{
    return spot->extent ? hs_block_stored(filter->blocks->heaps, spot->extent, spot->off, &spot->brief)
                        : hs_summary_stored(spot->summary);
}

static struct value field_of(const struct hs_filter *filter, const struct hs_spot *spot, int field)
{
    const struct hs_heaps *heaps = filter->blocks->heaps;
    const struct hs_extent *extent = spot->extent;
    struct hs_block block;
    uint32_t stored;

    switch ((enum hs_block_field)field) {
    case HS_BLOCK_FIELD_SIZE: return present(spot->brief.size);
    case HS_BLOCK_FIELD_TOTAL: return present(spot->brief.total);
    case HS_BLOCK_FIELD_FLAGS: return present(spot->brief.flags);
    case HS_BLOCK_FIELD_STATE: return present((uint64_t)spot->brief.state);
    case HS_BLOCK_FIELD_HEAP: return present(heaps->heaps[extent->heap_idx].va);
    case HS_BLOCK_FIELD_LARGE: return present(extent->kind == HS_EXTENT_LARGE);
    case HS_BLOCK_FIELD_ID: return present(spot->id);
    case HS_BLOCK_FIELD_TRACE: return trace_of(filter, spot);
    case HS_BLOCK_FIELD_SEGMENT:
        return extent->kind == HS_EXTENT_LARGE
                   ? missing
                   : present(extent->segment_idx - heaps->first_segment[extent->heap_idx] + 1);
    case HS_BLOCK_FIELD_STORED:
        stored = stored_of(filter, spot);
        return stored == UINT32_MAX ? missing : present(stored);
    case HS_BLOCK_FIELD_FILL: return present((uint64_t)hs_block_fill_of(heaps, extent, spot->off, &spot->brief));
    case HS_BLOCK_FIELD_FIRST_WORD: return read_user(filter, spot, 0, heaps->process->space->pointer_size);
    case HS_BLOCK_FIELD_USER:
        return present(extent->va + (extent->kind == HS_EXTENT_HOLE ? 0 : hs_spot_user_off(heaps, spot)));
    case HS_BLOCK_FIELD_ADDRESS: /* the header's last unit lies before the user bytes, also in a large block */
        return present(extent->va + (extent->kind == HS_EXTENT_HOLE ? 0 : hs_spot_user_off(heaps, spot) - heaps->unit));
    case HS_BLOCK_FIELD_TAG:
    case HS_BLOCK_FIELD_UNUSED:
    case HS_BLOCK_FIELD_PREVIOUS:
    case HS_BLOCK_FIELD_SETTABLE:
    case HS_BLOCK_FIELD_COUNT: break;
    }
    hs_block_fill(filter->blocks, extent, spot->id, spot->off, &block);
    switch ((int)field) {
    case HS_BLOCK_FIELD_TAG: return present(block.tag);
    case HS_BLOCK_FIELD_UNUSED: return present(block.unused_bytes);
    case HS_BLOCK_FIELD_PREVIOUS: return present((uint64_t)block.previous_units * heaps->unit);
    case HS_BLOCK_FIELD_SETTABLE: return present(block.settable);
    default: return missing;
    }
}

/* Towards minus infinity, as Lua divides. */
static struct value divide(int64_t a, int64_t b, bool modulo)
{
    int64_t quotient, rest;

    if (b == 0)
        return missing;
    if (b == -1)
        return modulo ? present(0) : present(0 - (uint64_t)a);
    quotient = a / b;
    rest = a % b;
    if (rest && (rest < 0) != (b < 0)) {
        quotient--;
        rest += b;
    }
    return present((uint64_t)(modulo ? rest : quotient));
}

/* NOLINTBEGIN(clang-analyzer-core.*): check_program has proved that no instruction pops a value that is not there */
static struct value combine(int code, struct value a, struct value b)
{
    uint64_t x = (uint64_t)a.number, y = (uint64_t)b.number;
    bool both = !a.missing && !b.missing;

    switch (code) {
    case HS_FILTER_EQUAL: return present(both && x == y);
    case HS_FILTER_LESS: return present(both && a.number < b.number);
    case HS_FILTER_LESS_EQUAL: return present(both && a.number <= b.number);
    default: break;
    }
    if (!both)
        return missing;
    switch (code) {
    case HS_FILTER_ADD: return present(x + y);
    case HS_FILTER_SUBTRACT: return present(x - y);
    case HS_FILTER_MULTIPLY: return present(x * y);
    case HS_FILTER_DIVIDE: return divide(a.number, b.number, false);
    case HS_FILTER_MODULO: return divide(a.number, b.number, true);
    case HS_FILTER_AND: return present(x & y);
    case HS_FILTER_OR: return present(x | y);
    case HS_FILTER_XOR: return present(x ^ y);
    case HS_FILTER_SHIFT_LEFT: return present(y < 64 ? x << y : 0);
    case HS_FILTER_SHIFT_RIGHT: return present(y < 64 ? x >> y : 0);
    default: return missing;
    }
}

static bool is_true(struct value value)
{
    return !value.missing && value.number != 0;
}

/* What one of the codes of is_truth says of a block. */
static bool is_so(const struct hs_filter *filter, const struct instruction *at, const struct hs_spot *spot)
{
    struct value trace;
    uint16_t number;

    switch (at->field) {
    case HS_FILTER_LABEL:
        number = filter->numbers ? filter->numbers[spot->id] : 0;
        return number && number <= filter->label_count && at->labels[number];
    case HS_FILTER_REFERENCED: return hs_scan_word(filter->scan, spot->id / 64, ~0u, ~0u) >> (spot->id % 64) & 1;
    case HS_FILTER_TRACE_MODULE:
    case HS_FILTER_TRACE_SYMBOL:
        trace = trace_of(filter, spot);
        return at->traces && !trace.missing && (at->traces[trace.number / 64] >> (trace.number % 64) & 1);
    case HS_FILTER_CONTAINS: return contains(filter, spot, at->text);
    default: return hs_stored_bit(at->bits, stored_of(filter, spot)); /* a candidate code */
    }
}

/* What a test wants of a value. */
static inline bool is_wanted(const struct instruction *test, int64_t number)
{
    return test->code == RUN_READ_AMONG ? is_among((int64_t)((uint64_t)number >> test->value), test->among)
                                        : number == test->value;
}

static struct value value_of(const struct hs_filter *filter, const struct instruction *test, const struct hs_spot *spot)
{
    switch (test->of) {
    case HS_FILTER_FIELD: return field_of(filter, spot, test->field);
    case HS_FILTER_READ: return read_user(filter, spot, test->off, test->field);
    default: return text_run(filter, spot, test->off, test->of == HS_FILTER_ASCII ? 1 : 2);
    }
}

static inline bool is_met(const struct hs_filter *filter, const struct instruction *test, const struct hs_spot *spot)
{
    struct value value;

    if (test->code == RUN_SIZE_EQUAL)
        return spot->brief.size == (uint64_t)test->value;
    if (test->code == RUN_TRUTH)
        return is_so(filter, test, spot);
    if (test->code == RUN_WITHIN) {
        value = value_of(filter, test, spot);
        return !value.missing && value.number >= test->value && value.number <= test->high;
    }
    value = test->code == RUN_FIELD_EQUAL ? field_of(filter, spot, test->field)
                                          : read_user(filter, spot, test->off, test->field);
    return !value.missing && is_wanted(test, value.number);
}

/* Runs the program from an instruction that is reached with nothing on the stack. */
static struct value run(const struct hs_filter *filter, const struct hs_spot *spot, size_t start)
{
    struct value stack[HS_FILTER_STACK + 1];
    struct value *top = stack; /* one past the last value */

    for (size_t i = start; i < filter->count; i++) {
        const struct instruction *at = &filter->code[i];

        /* Most programs are tests and nothing else. */
        while (at->code >= RUN_TESTS) {
            const struct way *way = &at->ways[is_met(filter, at, spot)];

            if (way->leave != LEAVE_NOTHING)
                *top++ = present(way->leave == LEAVE_TRUE);
            if (way->next == filter->count)
                return top[-1];
            i = way->next;
            at = &filter->code[i];
        }
        switch (at->code) {
        case HS_FILTER_PUSH: *top++ = present((uint64_t)at->value); break;
        case HS_FILTER_FIELD: *top++ = field_of(filter, spot, (int)at->value); break;
        case RUN_READ:
            *top++ = read_user(filter, spot, at->off, at->field);
            i += 1;
            break;
        case HS_FILTER_READ:
            top[-1] = top[-1].missing ? missing : read_user(filter, spot, top[-1].number, at->value);
            break;
        case HS_FILTER_ASCII:
        case HS_FILTER_UTF16:
            top[-1] =
                top[-1].missing ? missing : text_run(filter, spot, top[-1].number, at->code == HS_FILTER_ASCII ? 1 : 2);
            break;
        case HS_FILTER_AMONG: top[-1] = present(!top[-1].missing && is_among(top[-1].number, at)); break;
        case HS_FILTER_NEGATE: top[-1].number = (int64_t)(0 - (uint64_t)top[-1].number); break;
        case HS_FILTER_INVERT: top[-1].number = ~top[-1].number; break;
        case HS_FILTER_ADD:
        case HS_FILTER_SUBTRACT:
        case HS_FILTER_MULTIPLY:
        case HS_FILTER_DIVIDE:
        case HS_FILTER_MODULO:
        case HS_FILTER_AND:
        case HS_FILTER_OR:
        case HS_FILTER_XOR:
        case HS_FILTER_SHIFT_LEFT:
        case HS_FILTER_SHIFT_RIGHT:
        case HS_FILTER_EQUAL:
        case HS_FILTER_LESS:
        case HS_FILTER_LESS_EQUAL:
            top--;
            top[-1] = combine(at->code, top[-1], *top);
            break;
        case HS_FILTER_BETWEEN:
            top -= 2;
            top[-1] = present(is_true(combine(HS_FILTER_LESS_EQUAL, top[0], top[-1])) &&
                              is_true(combine(HS_FILTER_LESS_EQUAL, top[-1], top[1])));
            break;
        case HS_FILTER_NOT: top[-1] = present(!is_true(top[-1])); break;
        case HS_FILTER_JUMP_IF:
        case HS_FILTER_JUMP_UNLESS:
            if (is_true(top[-1]) == (at->code == HS_FILTER_JUMP_IF)) {
                i = (size_t)at->value - 1;
                top -= at->field;
            } else {
                top--;
            }
            break;
        case HS_FILTER_COLUMN: *top++ = number_of(at->column, spot->id); break;
        default: break;
        }
    }
    return top[-1];
}

bool hs_filter_value(const struct hs_filter *filter, const struct hs_spot *spot, int64_t *value_ret)
{
    struct value value = run(filter, spot, 0);

    *value_ret = value.number;
    return !value.missing;
}

/* NOLINTEND(clang-analyzer-core.*) */

const struct hs_dump *hs_filter_dump(const struct hs_filter *filter)
{
    return filter->dump;
}

/* Those of some blocks, a bit each, that the program is true for, from a stop on. */
static uint64_t run_on(const struct hs_filter *filter, size_t stop, const struct hs_spot *spots, uint64_t asked)
{
    uint64_t found = 0;

    for (uint64_t left = asked; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);

        found |= (uint64_t)is_true(run(filter, &spots[i], stop)) << i;
    }
    return found;
}

/* Those of some blocks, a bit each, that meet a test. */
static uint64_t met_of(const struct hs_filter *filter, const struct instruction *test, const struct hs_spot *spots,
                       uint64_t asked)
{
    uint64_t met = 0;

    for (uint64_t left = asked; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);

        met |= (uint64_t)is_met(filter, test, &spots[i]) << i;
    }
    return met;
}

/* The same for a test of user bytes at one offset: most lie where nothing else has to be asked. */
static uint64_t reads_met(const struct hs_filter *filter, const struct instruction *test, const struct hs_spot *spots,
                          uint64_t asked)
{
    const unsigned unit = filter->blocks->heaps->unit;
    const unsigned size = (unsigned)(test->field < 0 ? -test->field : test->field);
    const uint64_t off = (uint64_t)test->off, end = off + size;
    uint64_t met = 0;

    if (test->field < 0 || test->off < 0 || test->off > INT32_MAX)
        return met_of(filter, test, spots, asked);
    for (uint64_t left = asked; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        const struct hs_extent *extent = spots[i].extent;
        bool is;

        if (spots[i].brief.size < end)
            continue;
        if (extent && extent->kind == HS_EXTENT_RUN && spots[i].off + unit + end <= extent->size)
            is = is_wanted(test, (int64_t)load_user(extent->bytes + spots[i].off + unit + off, size));
        else
            is = is_met(filter, test, &spots[i]);
        met |= (uint64_t)is << i;
    }
    return met;
}

/* The same of all blocks for a test of their sizes: without a branch. */
static uint64_t sizes_met(const struct hs_spot *spots, size_t taken, uint64_t size)
{
    uint64_t met = 0;

    for (size_t i = 0; i < taken; i++)
        met |= (uint64_t)(spots[i].brief.size == size) << i;
    return met;
}

/* The same for a test of their labels. */
static uint64_t labels_met(const struct hs_filter *filter, const uint8_t *labels, const struct hs_spot *spots,
                           size_t taken)
{
    uint64_t met = 0;

    for (size_t i = 0; filter->numbers && i < taken; i++) {
        uint16_t number = filter->numbers[spots[i].id];

        met |= (uint64_t)labels[number <= filter->label_count ? number : 0] << i;
    }
    return met;
}

_Static_assert(HS_BATCH <= 64, "a word has a bit for each block of a batch");

/* A program over a batch, test by test as long as there are tests: what one block does says nothing about the next, so a
 * processor that guesses the way of each block would often guess wrong. */
uint64_t hs_filter_batch(const struct hs_filter *filter, const struct hs_spot *spots, size_t count)
{
    uint64_t waiting[BATCHED_MAX] = {0}; /* before each instruction, a bit a block */
    uint64_t all = UINT64_MAX >> (64 - count), found = 0;

    waiting[0] = all;
    for (size_t i = 0; i < filter->count && i < BATCHED_MAX; i++) {
        const struct instruction *test = &filter->code[i];
        uint64_t sides[2];

        if (!waiting[i])
            continue;
        if (filter->stops >> i & 1) {
            found |= run_on(filter, i, spots, waiting[i]);
            continue;
        }
        if (test->code == RUN_SIZE_EQUAL && waiting[i] == all)
            sides[1] = sizes_met(spots, count, (uint64_t)test->value);
        else if (test->code == RUN_READ_EQUAL || test->code == RUN_READ_AMONG)
            sides[1] = reads_met(filter, test, spots, waiting[i]);
        else if (test->code == RUN_TRUTH && test->field == HS_FILTER_LABEL)
            sides[1] = waiting[i] & labels_met(filter, test->labels, spots, count);
        else
            sides[1] = met_of(filter, test, spots, waiting[i]);
        sides[0] = waiting[i] & ~sides[1];
        for (unsigned truth = 0; truth < 2; truth++) {
            const struct way *way = &test->ways[truth];

            if (way->leave == LEAVE_NOTHING)
                waiting[way->next] |= sides[truth];
            else if (way->leave == LEAVE_TRUE)
                found |= sides[truth];
        }
    }
    return found;
}
