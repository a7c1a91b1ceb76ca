/* filter.c - a small checked program that is run for each block of a set.
 *
 * A program comes from the grammar of filter texts, or from anybody else: it is checked once (codes, operands, stack
 * depth, jumps only forward, so that every program ends), then run without checks. Whatever does not depend on the
 * block is looked up when the filter is made. */
#include "query/filter.h"

#include "query/candidate.h"
#include "query/scan.h"

#include <stdlib.h>

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
static enum hs_status find_candidates(struct hs_filter *filter, struct hs_dump *dump,
                                      struct hs_instruction *instruction, struct hs_job *job, struct hs_error *err)
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
static enum hs_status find_traces(struct hs_filter *filter, struct hs_dump *dump, struct hs_instruction *instruction,
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

/* Lists whose integers lie that close together are looked up in a bitmap. */
#define MAP_BITS_MAX (1 << 18)

/* Gives a list its bitmap if that is worth it. */
static enum hs_status map_list(struct hs_filter *filter, struct hs_instruction *instruction, struct hs_error *err)
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
static void fuse_list(struct hs_instruction *code, size_t count, size_t i)
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
    code[i].code = HS_RUN_READ_AMONG;
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
static size_t value_length(const struct hs_instruction *code, size_t count, size_t i)
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
static void fuse_within(struct hs_instruction *code, size_t i, size_t at, size_t length, int64_t low, int64_t high,
                        size_t next)
{
    const struct hs_instruction value = code[at], last = code[at + length - 1];

    code[i].of = last.code;
    code[i].off = value.value;
    code[i].field = (int)last.value;
    code[i].code = HS_RUN_WITHIN;
    code[i].value = low;
    code[i].high = high;
    code[i].ways[0].next = (uint32_t)next;
}

/* Fuses `value < constant`, `constant < value`, the same with <=, and `value in low..high`; false: none stands there. */
static bool fuse_comparison(struct hs_instruction *code, size_t count, size_t i)
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
static void fuse(struct hs_instruction *code, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_truth(code[i].code))
            continue;
        code[i].field = code[i].code;
        code[i].code = HS_RUN_TRUTH;
        code[i].ways[0].next = (uint32_t)i + 1;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        const struct hs_instruction *next = &code[i + 1];
        bool equal = i + 2 < count && next->code == HS_FILTER_PUSH && code[i + 2].code == HS_FILTER_EQUAL;

        if (fuse_comparison(code, count, i))
            continue;
        if (code[i].code == HS_FILTER_FIELD && equal) {
            code[i].code = code[i].value == HS_BLOCK_FIELD_SIZE ? HS_RUN_SIZE_EQUAL : HS_RUN_FIELD_EQUAL;
            code[i].field = (int)code[i].value;
            code[i].value = next->value;
            code[i].ways[0].next = (uint32_t)i + 3;
        } else if (code[i].code == HS_FILTER_PUSH && next->code == HS_FILTER_READ) {
            code[i].off = code[i].value;
            code[i].field = (int)next->value;
            code[i].code = HS_RUN_READ;
            if (i + 3 < count && code[i + 2].code == HS_FILTER_PUSH && code[i + 3].code == HS_FILTER_EQUAL) {
                code[i].code = HS_RUN_READ_EQUAL;
                code[i].value = code[i + 2].value;
                code[i].ways[0].next = (uint32_t)i + 4;
            } else {
                fuse_list(code, count, i);
            }
        }
    }
}

/* Makes jumps go where they end up: one that leads to another jump is decided there by the same value. The others stay. */
static void thread_jumps(struct hs_instruction *code, size_t count)
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
static struct hs_way find_way(const struct hs_instruction *code, size_t count, uint32_t next, bool truth)
{
    for (; next < count && code[next].code == HS_FILTER_NOT; next++)
        truth = !truth;
    if (next == count || (code[next].code != HS_FILTER_JUMP_IF && code[next].code != HS_FILTER_JUMP_UNLESS))
        return (struct hs_way){next, truth ? HS_LEAVE_TRUE : HS_LEAVE_FALSE};
    if (truth != (code[next].code == HS_FILTER_JUMP_IF))
        return (struct hs_way){next + 1, HS_LEAVE_NOTHING};
    return (struct hs_way){(uint32_t)code[next].value, code[next].field ? HS_LEAVE_NOTHING
                                                       : truth          ? HS_LEAVE_TRUE
                                                                        : HS_LEAVE_FALSE};
}

static void find_ways(struct hs_instruction *code, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t next = code[i].ways[0].next;

        if (code[i].code < HS_RUN_TESTS)
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

/* Whether a test can be made of many blocks at once: it leaves a value only at the end of the program. */
static bool is_batched(const struct hs_instruction *test, size_t count)
{
    if (test->code < HS_RUN_TESTS)
        return false;
    for (unsigned truth = 0; truth < 2; truth++) {
        const struct hs_way *way = &test->ways[truth];

        if ((way->leave == HS_LEAVE_NOTHING) == (way->next == count) ||
            (way->next >= HS_BATCHED_MAX && way->next < count))
            return false;
    }
    return true;
}

/* The first instructions, a bit each, on the ways from the start that are no such tests. */
static uint64_t find_stops(const struct hs_instruction *code, size_t count)
{
    uint64_t reached = 1, stops = 0;

    for (size_t i = 0; i < count && i < HS_BATCHED_MAX; i++) {
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

static enum hs_status find_column(const struct hs_filter *filter, struct hs_dump *dump,
                                  struct hs_instruction *instruction, struct hs_error *err)
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
        struct hs_instruction *instruction = &filter->code[i];

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
