/* query_test.c - engine/query/: sets and groups against plain loops over hs_blocks_get; allocations that fail. */
#include "heap_writer.h"

#include "query/query.h"
#include "failing.h"

#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- a process with enough blocks for several shards ---- */

static void plant(struct hw_heap *heap, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (i % 13 == 5)
            hw_free(heap, 16 + i % 7 * 8);
        else
            hw_block(heap, &(struct hw_plan){.state = HS_BLOCK_BUSY,
                                             .size = 1 + i * i % 61,
                                             .extra = i % 3 == 0,
                                             .stored = (uint16_t)(i % 29),
                                             .tag = (uint16_t)(i % 4),
                                             .flags = i % 17 == 0 ? 0x20 : 0});
    }
}

static void fixture_init(struct hw_dump *f, unsigned pointer, unsigned count, unsigned thread_count)
{
    memset(f, 0, sizeof *f);
    hw_process_init(&f->process, pointer);
    hw_heap_init(
        &f->heaps[0], &f->process, 0x10000000,
        &(struct hw_heap_plan){.flags = HW_CAPTURE, .reserve = 0x40000 + ((uint64_t)count * 160 & ~UINT64_C(0xfff))});
    plant(&f->heaps[0], count);
    hw_segment_end(&f->heaps[0], false);
    hw_large(&f->heaps[0], 0x8000000, &(struct hw_plan){.size = 0x12345, .stored = 7, .tag = 1}, 0);
    hw_heap_init(&f->heaps[1], &f->process, 0x40000000, &(struct hw_heap_plan){.reserve = 0x100000});
    plant(&f->heaps[1], 500);
    hw_segment_end(&f->heaps[1], false);
    hw_dump_open(f, thread_count);
}

static struct hs_set *create(struct hw_dump *f, const struct hs_set_options *options)
{
    struct hs_set *set = NULL;
    struct hs_error err = {0};

    if (hs_set_create(f->dump, options, NULL, &set, &err) != HS_OK)
        fail_msg("%s", err.text);
    return set;
}

static bool fits(const struct hs_block *block, const struct hs_set_options *options)
{
    return (!options->one_heap || block->heap_idx == options->heap_idx) &&
           (!options->states || (options->states >> block->state & 1));
}

static const struct hs_set_options choices[] = {
    {0},
    {.states = 1u << HS_BLOCK_BUSY},
    {.states = 1u << HS_BLOCK_FREE},
    {.states = 1u << HS_BLOCK_BUSY | 1u << HS_BLOCK_FREE},
    {.states = 1u << HS_BLOCK_UNCOMMITTED},
    {.states = 1u << HS_BLOCK_LOOKASIDE},
    {.one_heap = true, .heap_idx = 0},
    {.one_heap = true, .heap_idx = 1},
    {.one_heap = true, .heap_idx = 1, .states = 1u << HS_BLOCK_BUSY},
};
#define CHOICES (sizeof choices / sizeof *choices)

/* A set against what a loop over all blocks says belongs to it. */
static void assert_set(const struct hw_dump *f, const struct hs_set *set, const uint8_t *wanted)
{
    uint32_t count = 0, next = 0, id;
    uint64_t bytes = 0;

    for (id = 0; id < f->count; id++) {
        struct hs_block block;

        if (!wanted[id]) {
            if (hs_set_has(set, id))
                fail_msg("block %" PRIu32 " is in the set", id);
            continue;
        }
        if (!hs_set_has(set, id))
            fail_msg("block %" PRIu32 " is not in the set", id);
        assert_int_equal(hs_blocks_get(f->blocks, id, &block), HS_OK);
        assert_int_equal(hs_set_next(set, next, &next), HS_OK);
        assert_int_equal(next, id);
        next++;
        count++;
        bytes += block.size;
    }
    assert_int_equal(hs_set_next(set, next, &id), HS_NOT_FOUND);
    assert_int_equal(hs_set_next(set, f->count, &id), HS_NOT_FOUND);
    assert_int_equal(hs_set_next(set, UINT32_MAX, &id), HS_NOT_FOUND);
    assert_false(hs_set_has(set, f->count));
    assert_false(hs_set_has(set, UINT32_MAX));
    assert_int_equal(hs_set_count(set), count);
    assert_int_equal(hs_set_bytes(set), bytes);
}

static uint8_t *wanted_by(const struct hw_dump *f, const struct hs_set_options *options)
{
    uint8_t *wanted = calloc(f->count + 1, 1);

    assert_non_null(wanted);
    for (uint32_t id = 0; id < f->count; id++) {
        struct hs_block block;

        assert_int_equal(hs_blocks_get(f->blocks, id, &block), HS_OK);
        wanted[id] = fits(&block, options);
    }
    return wanted;
}

static void test_sets(void **state)
{
    (void)state;
    for (unsigned threads = 1; threads <= 7; threads += 3) {
        struct hw_dump f;

        fixture_init(&f, threads == 4 ? 8 : 4, threads == 4 ? 70000 : 3000, threads);
        assert_true(f.count > (threads == 4 ? HS_SHARD_BLOCKS : 3000));
        for (size_t i = 0; i < CHOICES; i++) {
            struct hs_set *set = create(&f, &choices[i]);
            uint8_t *wanted = wanted_by(&f, &choices[i]);

            assert_set(&f, set, wanted);
            hs_set_destroy(set);
            free(wanted);
        }
        {
            struct hs_set *set = create(&f, NULL);

            assert_int_equal(hs_set_count(set), f.count);
            hs_set_destroy(set);
        }
        hw_dump_close(&f);
    }
    hs_set_destroy(NULL);
}

static void test_algebra(void **state)
{
    struct hw_dump f;

    (void)state;
    fixture_init(&f, 4, 2000, 2);
    for (size_t a = 0; a < CHOICES; a++) {
        for (size_t b = 0; b < CHOICES; b++) {
            struct hs_set *one = create(&f, &choices[a]), *two = create(&f, &choices[b]);
            uint8_t *in_one = wanted_by(&f, &choices[a]), *in_two = wanted_by(&f, &choices[b]);

            for (int op = HS_SET_OR; op <= HS_SET_MINUS; op++) {
                struct hs_set *sum = NULL;
                uint8_t *wanted = calloc(f.count + 1, 1);

                assert_non_null(wanted);
                assert_int_equal(hs_set_combine(one, (enum hs_set_op)op, two, &sum, NULL), HS_OK);
                for (uint32_t id = 0; id < f.count; id++)
                    wanted[id] = op == HS_SET_OR    ? in_one[id] | in_two[id]
                                 : op == HS_SET_AND ? in_one[id] & in_two[id]
                                                    : in_one[id] & !in_two[id];
                assert_set(&f, sum, wanted);
                hs_set_destroy(sum);
                free(wanted);
            }
            hs_set_destroy(one);
            hs_set_destroy(two);
            free(in_one);
            free(in_two);
        }
    }
    hw_dump_close(&f);
}

static void test_two_dumps(void **state)
{
    struct hw_dump f, g;
    struct hs_set *one, *two, *sum = NULL;
    struct hs_error err = {0};

    (void)state;
    fixture_init(&f, 4, 100, 1);
    fixture_init(&g, 4, 100, 1);
    one = create(&f, NULL);
    two = create(&g, NULL);
    assert_int_equal(hs_set_combine(one, HS_SET_AND, two, &sum, &err), HS_ERR_ARGUMENT);
    assert_int_equal(err.status, HS_ERR_ARGUMENT);
    assert_null(sum);
    hw_dump_close(&f);
    hs_set_destroy(one); /* after its dump: allowed */
    hs_set_destroy(two);
    hw_dump_close(&g);
}

/* Bytes that tell blocks apart, at the start of what each caller got. */
static void fill(const struct hw_dump *f)
{
    struct hs_block_cursor cursor;

    hs_block_cursor_init(&cursor, f->blocks, 0);
    while (hs_block_cursor_next(&cursor)) {
        uint8_t *bytes = (uint8_t *)(uintptr_t)cursor.extent->bytes;
        struct hs_brief brief;

        if (cursor.extent->kind != HS_EXTENT_RUN)
            continue;
        hs_block_brief(f->blocks->heaps, cursor.extent, cursor.off, &brief);
        for (uint64_t i = 0; brief.state == HS_BLOCK_BUSY && i < brief.size && i < 5; i++)
            bytes[cursor.off + f->blocks->heaps->unit + i] = (uint8_t)(cursor.id * (37 + i) % 251);
    }
}

static void test_summaries(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct hw_dump f;
        const uint64_t *summaries;
        uint32_t tagged = 0, large = 0;

        fixture_init(&f, round & 1 ? 8 : 4, round & 2 ? 70000 : 11, round & 2 ? 3 : 1);
        fill(&f);
        summaries = hs_blocks_summaries(f.blocks, f.dump->thread_count);
        assert_non_null(summaries);
        assert_ptr_equal(hs_blocks_summaries(f.blocks, 1), summaries);
        for (uint32_t id = 0; id < f.count; id++) {
            struct hs_block block;
            struct hs_brief brief;

            assert_int_equal(hs_blocks_get(f.blocks, id, &block), HS_OK);
            hs_summary_brief(f.blocks, id, summaries[id], &brief);
            assert_int_equal(brief.state, block.state);
            assert_int_equal(brief.flags, block.flags);
            assert_int_equal(brief.size, block.size);
            assert_int_equal(brief.total, block.total);
            assert_int_equal(hs_summary_state(summaries[id]), block.state);
            assert_int_equal(hs_summary_size(f.blocks, id, summaries[id]), block.size);
            assert_int_equal(hs_summary_stored(summaries[id]), block.has_stored ? block.stored : UINT32_MAX);
            assert_int_equal((summaries[id] & HS_SUMMARY_TAGGED) != 0, block.has_stored && block.tag != 0);
            if (summaries[id] & HS_SUMMARY_HAS_FIRST) {
                uint8_t first[4] = {0};

                assert_int_equal(
                    hs_dump_read(f.dump, block.user_va, first, block.size < 4 ? block.size : 4, NULL, NULL), HS_OK);
                assert_int_equal(hs_summary_firsts(f.blocks, summaries)[id], hs_load_u32(first));
            } else {
                assert_true(block.state == HS_BLOCK_UNCOMMITTED || block.large);
            }
            tagged += block.has_stored && block.tag;
            large += (summaries[id] & HS_SUMMARY_SIZE) == HS_SUMMARY_SIZE;
        }
        assert_true(tagged > 0);
        assert_true(large > 0); /* a size that does not fit its bits */
        hw_dump_close(&f);
    }
}

/* ---- filters, of headers and of summaries ---- */

static const struct program {
    struct hs_filter_op ops[12];
    size_t count;
    bool plain, plain_wide; /* with pointers of 4 and of 8 bytes */
} programs[] = {
    {{{HS_FILTER_FIELD, HS_BLOCK_FIELD_SIZE}, {HS_FILTER_PUSH, 20}, {HS_FILTER_EQUAL, 0}}, 3, true, true},
    {{{HS_FILTER_FIELD, HS_BLOCK_FIELD_TOTAL}, {HS_FILTER_PUSH, 48}, {HS_FILTER_LESS, 0}}, 3, true, true},
    {{{HS_FILTER_FIELD, HS_BLOCK_FIELD_STORED}, {HS_FILTER_PUSH, 12}, {HS_FILTER_LESS_EQUAL, 0}}, 3, true, true},
    {{{HS_FILTER_FIELD, HS_BLOCK_FIELD_STATE}, {HS_FILTER_PUSH, HS_BLOCK_FREE}, {HS_FILTER_EQUAL, 0}}, 3, true, true},
    {{{HS_FILTER_FIELD, HS_BLOCK_FIELD_FLAGS}, {HS_FILTER_PUSH, 0x20}, {HS_FILTER_AND, 0}}, 3, true, true},
    {{{HS_FILTER_FIELD, HS_BLOCK_FIELD_ID}, {HS_FILTER_PUSH, 3}, {HS_FILTER_MODULO, 0}}, 3, true, true},
    {{{HS_FILTER_FIELD, HS_BLOCK_FIELD_FIRST_WORD}, {HS_FILTER_PUSH, 3}, {HS_FILTER_MODULO, 0}}, 3, true, false},
    {{{HS_FILTER_PUSH, 0}, {HS_FILTER_READ, 1}, {HS_FILTER_PUSH, 100}, {HS_FILTER_LESS, 0}}, 4, true, true},
    {{{HS_FILTER_PUSH, 3}, {HS_FILTER_READ, 1}, {HS_FILTER_PUSH, 100}, {HS_FILTER_LESS, 0}}, 4, true, true},
    {{{HS_FILTER_PUSH, 2}, {HS_FILTER_READ, -2}, {HS_FILTER_PUSH, 0}, {HS_FILTER_LESS, 0}}, 4, true, true},
    {{{HS_FILTER_PUSH, 0}, {HS_FILTER_READ, -4}, {HS_FILTER_PUSH, -5}, {HS_FILTER_LESS, 0}}, 4, true, true},
    {{{HS_FILTER_PUSH, 0}, {HS_FILTER_READ, 4}, {HS_FILTER_PUSH, 0x40000000}, {HS_FILTER_LESS, 0}}, 4, true, true},
    {{{HS_FILTER_PUSH, 1}, {HS_FILTER_READ, 4}, {HS_FILTER_PUSH, 0x40000000}, {HS_FILTER_LESS, 0}}, 4, false, false},
    {{{HS_FILTER_PUSH, 4}, {HS_FILTER_READ, 1}, {HS_FILTER_PUSH, 100}, {HS_FILTER_LESS, 0}}, 4, false, false},
    {{{HS_FILTER_PUSH, -1}, {HS_FILTER_READ, 1}, {HS_FILTER_PUSH, 100}, {HS_FILTER_LESS, 0}}, 4, false, false},
    {{{HS_FILTER_PUSH, 0}, {HS_FILTER_READ, 8}, {HS_FILTER_PUSH, INT64_C(1) << 38}, {HS_FILTER_LESS, 0}},
     4,
     false,
     false},
    {{{HS_FILTER_FIELD, HS_BLOCK_FIELD_HEAP}, {HS_FILTER_PUSH, 0x40000000}, {HS_FILTER_EQUAL, 0}}, 3, false, false},
    {{{HS_FILTER_PUSH, 0}, {HS_FILTER_PUSH, 0}, {HS_FILTER_ASCII, 0}, {HS_FILTER_LESS, 0}}, 4, false, false},
    /* an offset that a jump brings: the block's state, or 0 */
    {{{HS_FILTER_FIELD, HS_BLOCK_FIELD_STATE},
      {HS_FILTER_JUMP_IF, 3},
      {HS_FILTER_PUSH, 0},
      {HS_FILTER_READ, 1},
      {HS_FILTER_PUSH, 9},
      {HS_FILTER_LESS, 0}},
     6,
     false,
     false},
    /* of one or of the other */
    {{{HS_FILTER_FIELD, HS_BLOCK_FIELD_SIZE},
      {HS_FILTER_PUSH, 20},
      {HS_FILTER_EQUAL, 0},
      {HS_FILTER_JUMP_IF, 8},
      {HS_FILTER_PUSH, 0},
      {HS_FILTER_READ, 1},
      {HS_FILTER_PUSH, 37},
      {HS_FILTER_EQUAL, 0}},
     8,
     true,
     true},
};
#define PROGRAMS (sizeof programs / sizeof *programs)

static void assert_same_set(const struct hs_set *one, const struct hs_set *two, size_t program)
{
    uint32_t a = 0, b = 0;

    if (hs_set_count(one) != hs_set_count(two) || hs_set_bytes(one) != hs_set_bytes(two))
        fail_msg("program %zu: %" PRIu32 " and %" PRIu32 " blocks", program, hs_set_count(one), hs_set_count(two));
    while (hs_set_next(one, a, &a) == HS_OK) {
        assert_int_equal(hs_set_next(two, b, &b), HS_OK);
        assert_int_equal(a++, b++);
    }
}

static void assert_same_groups(const struct hs_groups *one, const struct hs_groups *two)
{
    struct hs_group a, b;

    assert_int_equal(hs_groups_count(one), hs_groups_count(two));
    for (size_t i = 0; hs_groups_get(one, i, &a) == HS_OK; i++) {
        assert_int_equal(hs_groups_get(two, i, &b), HS_OK);
        assert_memory_equal(&a, &b, sizeof a);
    }
}

/* Everything a program is used for, of one set. */
struct answers {
    struct hs_set *set;
    struct hs_groups *groups;
};

static void answer(const struct hs_set *set, const struct hs_filter *filter, struct answers *answers)
{
    const struct hs_filter *expressions[] = {NULL, filter};
    struct hs_error err = {0};

    if (hs_set_where(set, filter, NULL, &answers->set, &err) != HS_OK ||
        hs_set_group(set, (enum hs_key[]){HS_KEY_SIZE, HS_KEY_EXPRESSION}, expressions, 2, NULL, &answers->groups,
                     &err) != HS_OK)
        fail_msg("%s", err.text);
}

static void assert_plain(struct hw_dump *f, size_t choice)
{
    struct hs_filter *filters[PROGRAMS];
    struct answers before[PROGRAMS], after;
    struct hs_set *set = create(f, &choices[choice]);
    struct hs_error err = {0};

    for (size_t i = 0; i < PROGRAMS; i++) {
        const struct program *program = &programs[i];

        if (hs_filter_create(f->dump, program->ops, program->count, NULL, 0, NULL, &filters[i], &err) != HS_OK)
            fail_msg("program %zu: %s", i, err.text);
        assert_int_equal(hs_filter_is_plain(filters[i]),
                         f->process.pointer == 4 ? program->plain : program->plain_wide);
        answer(set, filters[i], &before[i]);
        if (choice == 0 && i != 14)
            if (hs_set_count(before[i].set) == 0 || hs_set_count(before[i].set) == f->count)
                fail_msg("program %zu tells no blocks apart", i);
    }
    assert_non_null(hs_blocks_summaries(f->blocks, 2));
    for (size_t i = 0; i < PROGRAMS; i++) {
        answer(set, filters[i], &after);
        assert_same_set(before[i].set, after.set, i);
        assert_same_groups(before[i].groups, after.groups);
        hs_set_destroy(before[i].set);
        hs_set_destroy(after.set);
        hs_groups_destroy(before[i].groups);
        hs_groups_destroy(after.groups);
        hs_filter_destroy(filters[i]);
    }
    hs_set_destroy(set);
}

static void test_plain_filters(void **state)
{
    (void)state;
    for (size_t choice = 0; choice < 2 * CHOICES; choice++) {
        struct hw_dump f; /* one each: its summaries are not there before */

        fixture_init(&f, choice & 1 ? 8 : 4, 1500, 2);
        fill(&f);
        assert_null(hs_blocks_summaries_made(f.blocks));
        assert_plain(&f, choice / 2);
        hw_dump_close(&f);
    }
}

/* Comparisons of a value with constants run in one step; the same with a value that was negated twice do not. */
static void assert_comparison(struct hw_dump *f, const struct hs_set *set, const struct hs_filter_op *value,
                              size_t length, enum hs_filter_code code, int64_t low, int64_t high, bool swapped)
{
    struct hs_set *sets[2];

    for (unsigned plain = 0; plain < 2; plain++) {
        struct hs_filter_op ops[8];
        size_t count = 0;
        struct hs_filter *filter;
        struct hs_error err = {0};

        if (swapped)
            ops[count++] = (struct hs_filter_op){HS_FILTER_PUSH, low};
        for (size_t i = 0; i < length; i++)
            ops[count++] = value[i];
        for (unsigned i = 0; i < 2 * plain; i++)
            ops[count++] = (struct hs_filter_op){HS_FILTER_NEGATE, 0};
        if (!swapped)
            ops[count++] = (struct hs_filter_op){HS_FILTER_PUSH, low};
        if (code == HS_FILTER_BETWEEN)
            ops[count++] = (struct hs_filter_op){HS_FILTER_PUSH, high};
        ops[count++] = (struct hs_filter_op){code, 0};
        if (hs_filter_create(f->dump, ops, count, NULL, 0, NULL, &filter, &err) != HS_OK ||
            hs_set_where(set, filter, NULL, &sets[plain], &err) != HS_OK)
            fail_msg("%s", err.text);
        hs_filter_destroy(filter);
    }
    assert_same_set(sets[0], sets[1], (size_t)code);
    hs_set_destroy(sets[0]);
    hs_set_destroy(sets[1]);
}

static void test_comparisons(void **state)
{
    static const struct hs_filter_op values[][2] = {
        {{HS_FILTER_FIELD, HS_BLOCK_FIELD_SIZE}, {0}}, {{HS_FILTER_FIELD, HS_BLOCK_FIELD_STORED}, {0}},
        {{HS_FILTER_PUSH, 0}, {HS_FILTER_READ, 1}},    {{HS_FILTER_PUSH, 1}, {HS_FILTER_READ, -2}},
        {{HS_FILTER_PUSH, 0}, {HS_FILTER_READ, 8}},    {{HS_FILTER_PUSH, -1}, {HS_FILTER_READ, 4}},
        {{HS_FILTER_PUSH, 0}, {HS_FILTER_ASCII, 0}},   {{HS_FILTER_PUSH, 2}, {HS_FILTER_UTF16, 0}},
    };
    static const int64_t bounds[] = {INT64_MIN, INT64_MIN + 1, -300, -1, 0, 1, 20, 21, 100, INT64_MAX - 1, INT64_MAX};
    const size_t bound_count = sizeof bounds / sizeof *bounds;
    struct hw_dump f;
    struct hs_set *set;

    (void)state;
    fixture_init(&f, 4, 300, 1);
    fill(&f);
    set = create(&f, NULL);
    for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
        size_t length = values[v][0].code == HS_FILTER_FIELD ? 1 : 2;

        for (size_t i = 0; i < bound_count; i++) {
            for (unsigned swapped = 0; swapped < 2; swapped++) {
                assert_comparison(&f, set, values[v], length, HS_FILTER_LESS, bounds[i], 0, swapped);
                assert_comparison(&f, set, values[v], length, HS_FILTER_LESS_EQUAL, bounds[i], 0, swapped);
                assert_comparison(&f, set, values[v], length, HS_FILTER_EQUAL, bounds[i], 0, swapped);
            }
            for (size_t k = 0; k < bound_count; k++)
                assert_comparison(&f, set, values[v], length, HS_FILTER_BETWEEN, bounds[i], bounds[k], false);
        }
    }
    hs_set_destroy(set);
    hw_dump_close(&f);
}

/* ---- groups ---- */

static uint64_t key_of(const struct hw_dump *f, const struct hs_block *block, enum hs_key key)
{
    uint64_t value = 8;

    switch (key) {
    case HS_KEY_SIZE: return block->size;
    case HS_KEY_SIZE_CLASS:
        while (value < block->size)
            value *= 2;
        return value;
    case HS_KEY_HEAP: return block->heap_idx;
    case HS_KEY_STATE: return block->state;
    case HS_KEY_STORED: return block->has_stored ? block->stored : HS_KEY_NONE;
    case HS_KEY_TOTAL: return block->total;
    case HS_KEY_FLAGS: return block->flags;
    case HS_KEY_TAG: return block->tag;
    case HS_KEY_FIRST_WORD:
        value = 0;
        if (block->state == HS_BLOCK_UNCOMMITTED || block->size < f->process.pointer ||
            hs_dump_read(f->dump, block->user_va, &value, f->process.pointer, NULL, NULL) != HS_OK)
            return HS_KEY_NONE;
        return value;
    case HS_KEY_LABEL:
    case HS_KEY_EXPRESSION:
    case HS_KEY_CANDIDATE_MODULE: break; /* tested through Lua */
    }
    fail_msg("no such key here");
    return 0;
}

/* Counts the blocks of a group the slow way. */
static void assert_group(const struct hw_dump *f, const struct hs_set *set, const enum hs_key *keys, unsigned key_count,
                         const struct hs_group *group)
{
    uint64_t count = 0, bytes = 0;

    for (uint32_t id = 0; id < f->count; id++) {
        struct hs_block block;
        bool same = hs_set_has(set, id);

        assert_int_equal(hs_blocks_get(f->blocks, id, &block), HS_OK);
        for (unsigned k = 0; k < key_count && same; k++)
            same = key_of(f, &block, keys[k]) == group->keys[k];
        count += same;
        bytes += same ? block.size : 0;
    }
    assert_int_equal(group->count, count);
    assert_int_equal(group->bytes, bytes);
}

static void assert_groups(const struct hw_dump *f, const struct hs_set *set, const enum hs_key *keys,
                          unsigned key_count)
{
    struct hs_groups *groups = NULL;
    uint64_t count = 0, bytes = 0;
    struct hs_group group, before;

    assert_int_equal(hs_set_group(set, keys, NULL, key_count, NULL, &groups, NULL), HS_OK);
    for (size_t i = 0; i < hs_groups_count(groups); i++) {
        assert_int_equal(hs_groups_get(groups, i, &group), HS_OK);
        if (i < 40 || i % 50 == 0)
            assert_group(f, set, keys, key_count, &group);
        count += group.count;
        bytes += group.bytes;
        assert_true(group.count > 0);
        for (unsigned k = key_count; k < HS_KEY_MAX; k++)
            assert_int_equal(group.keys[k], 0);
        if (i > 0) {
            assert_memory_not_equal(group.keys, before.keys, sizeof group.keys); /* no two alike */
            assert_true(before.bytes >= group.bytes);
            if (before.bytes == group.bytes) {
                assert_true(before.count >= group.count);
                if (before.count == group.count) {
                    unsigned k = 0;

                    while (before.keys[k] == group.keys[k])
                        k++;
                    assert_true(before.keys[k] < group.keys[k]);
                }
            }
        }
        before = group;
    }
    assert_int_equal(count, hs_set_count(set));
    assert_int_equal(bytes, hs_set_bytes(set));
    assert_int_equal(hs_groups_get(groups, hs_groups_count(groups), &group), HS_NOT_FOUND);
    hs_groups_destroy(groups);
}

/* Out of headers, and out of summaries once these are there. */
static void test_groups(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct hw_dump f;

        fixture_init(&f, round & 1 ? 8 : 4, 1500, 2);
        assert_null(hs_blocks_summaries_made(f.blocks));
        if (round & 2)
            assert_non_null(hs_blocks_summaries(f.blocks, 2));
        for (size_t i = 0; i < CHOICES; i++) {
            struct hs_set *set = create(&f, &choices[i]);

            for (int key = HS_KEY_SIZE; key <= HS_KEY_FIRST_WORD; key++)
                assert_groups(&f, set, (enum hs_key[]){(enum hs_key)key}, 1);
            assert_groups(&f, set, (enum hs_key[]){HS_KEY_SIZE, HS_KEY_HEAP}, 2);
            assert_groups(&f, set, (enum hs_key[]){HS_KEY_HEAP, HS_KEY_SIZE}, 2);
            assert_groups(&f, set, (enum hs_key[]){HS_KEY_STORED, HS_KEY_SIZE, HS_KEY_STATE}, 3);
            assert_groups(&f, set, (enum hs_key[]){HS_KEY_TAG, HS_KEY_FLAGS, HS_KEY_TOTAL, HS_KEY_HEAP}, 4);
            hs_set_destroy(set);
        }
        hw_dump_close(&f);
    }
    hs_groups_destroy(NULL);
}

static void test_group_misuse(void **state)
{
    struct hw_dump f;
    struct hs_set *set;
    struct hs_groups *groups = NULL;
    struct hs_error err = {0};
    const enum hs_key keys[HS_KEY_MAX + 1] = {HS_KEY_SIZE};

    (void)state;
    fixture_init(&f, 4, 50, 1);
    set = create(&f, NULL);
    assert_int_equal(hs_set_group(set, keys, NULL, 0, NULL, &groups, &err), HS_ERR_ARGUMENT);
    assert_int_equal(hs_set_group(set, keys, NULL, HS_KEY_MAX + 1, NULL, &groups, &err), HS_ERR_ARGUMENT);
    assert_null(groups);
    hs_set_destroy(set);
    hw_dump_close(&f);
}

/* The same groups in the same order, whatever the number of threads; several shards. */
static void test_group_threads(void **state)
{
    struct hs_groups *groups[3][2];
    struct hw_dump f[3];
    const unsigned threads[3] = {1, 2, 7};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct hs_set *set;

        fixture_init(&f[i], 4, 140000, threads[i]);
        set = create(&f[i], NULL);
        assert_int_equal(
            hs_set_group(set, (enum hs_key[]){HS_KEY_SIZE, HS_KEY_STORED}, NULL, 2, NULL, &groups[i][0], NULL), HS_OK);
        assert_int_equal(
            hs_set_group(set, (enum hs_key[]){HS_KEY_SIZE, HS_KEY_HEAP}, NULL, 2, NULL, &groups[i][1], NULL), HS_OK);
        if (i == 2)
            assert_groups(&f[i], set, (enum hs_key[]){HS_KEY_STATE}, 1);
        assert_non_null(hs_blocks_summaries(f[i].blocks, threads[i]));
        if (i == 2)
            assert_groups(&f[i], set, (enum hs_key[]){HS_KEY_HEAP, HS_KEY_STATE}, 2);
        hs_set_destroy(set);
    }
    assert_true(f[0].count > 2 * HS_SHARD_BLOCKS);
    for (unsigned i = 1; i < 3; i++) {
        for (unsigned g = 0; g < 2; g++) {
            assert_int_equal(hs_groups_count(groups[0][g]), hs_groups_count(groups[i][g]));
            for (size_t n = 0; n < hs_groups_count(groups[0][g]); n++) {
                struct hs_group one, other;

                assert_int_equal(hs_groups_get(groups[0][g], n, &one), HS_OK);
                assert_int_equal(hs_groups_get(groups[i][g], n, &other), HS_OK);
                assert_memory_equal(&one, &other, sizeof one);
            }
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        hs_groups_destroy(groups[i][0]);
        hs_groups_destroy(groups[i][1]);
        hw_dump_close(&f[i]);
    }
}

static void test_refused(void **state)
{
    struct hw_dump f;
    struct hs_set *set = NULL, *all;
    struct hs_groups *groups = NULL;
    struct hs_job *job = hs_job_create();

    (void)state;
    assert_non_null(job);
    fixture_init(&f, 4, 50, 1);
    all = create(&f, NULL);
    assert_int_equal(hs_set_create(f.dump, &(struct hs_set_options){.one_heap = true, .heap_idx = 2}, NULL, &set, NULL),
                     HS_ERR_ARGUMENT);
    assert_null(set);
    hs_job_cancel(job);
    assert_int_equal(hs_set_group(all, (enum hs_key[]){HS_KEY_SIZE}, NULL, 1, job, &groups, NULL), HS_ERR_CANCELLED);
    assert_null(groups);
    hs_set_destroy(all);
    hs_job_destroy(job);
    hw_dump_close(&f);
}

/* ---- allocations that fail ---- */

/* `sums_ret`: what came out, which must not depend on memory that was short for a while. */
static enum hs_status all_steps(const uint8_t *bytes, size_t size, uint64_t sums_ret[5], struct hs_error *err)
{
    static const enum hs_key keys[] = {HS_KEY_SIZE, HS_KEY_STORED};
    const struct hs_open_options options = {.thread_count = 1};
    const struct hs_blocks *blocks;
    const struct hs_traces *traces;
    struct hs_set *set = NULL, *busy = NULL, *both = NULL;
    struct hs_groups *groups = NULL, *dense = NULL;
    struct hs_dump *dump = NULL;
    struct hs_usage usage;
    struct hs_set_options only_busy = {.states = 1u << HS_BLOCK_BUSY};
    enum hs_status status = hs_dump_open_bytes("test", bytes, size, &options, &dump, err);

    if (status == HS_OK)
        status = hs_dump_blocks(dump, NULL, &blocks, err);
    if (status == HS_OK)
        status = hs_dump_traces(dump, NULL, &traces, err);
    if (status == HS_OK)
        status = hs_dump_usage(dump, &usage, err);
    if (status == HS_OK)
        status = hs_set_create(dump, NULL, NULL, &set, err);
    if (status == HS_OK)
        status = hs_set_create(dump, &only_busy, NULL, &busy, err);
    if (status == HS_OK)
        status = hs_set_combine(set, HS_SET_MINUS, busy, &both, err);
    if (status == HS_OK)
        status = hs_set_group(busy, keys, NULL, 2, NULL, &groups, err);
    if (status == HS_OK)
        status = hs_set_group(set, keys, NULL, 1, NULL, &dense, err);
    if (status == HS_OK) {
        sums_ret[0] = hs_blocks_count(blocks);
        sums_ret[1] = hs_set_bytes(set);
        sums_ret[2] = traces ? hs_traces_info(traces)->count : 0;
        sums_ret[3] = hs_groups_count(groups) * 1000 + hs_groups_count(dense);
        sums_ret[4] = usage.committed_total + hs_dump_heap(dump, 0)->unread_size;
    }
    hs_groups_destroy(groups);
    hs_groups_destroy(dense);
    hs_set_destroy(set);
    hs_set_destroy(busy);
    hs_set_destroy(both);
    hs_dump_close(dump);
    return status;
}

static void check_failing(bool only_one)
{
    struct hw_process process;
    struct hw_heap heap;
    struct hw_traces traces;
    struct hs_error err = {0};
    uint8_t *bytes;
    size_t size;
    uint64_t table, user, whole[5], sums[5];
    unsigned long n, failed = 0;

    hw_process_init(&process, 4);
    hw_heap_init(&heap, &process, 0x150000, &(struct hw_heap_plan){.flags = HW_CAPTURE, .lock = true});
    table = hw_front_end(&heap, 1);
    user = hw_block(&heap, &(struct hw_plan){.state = HS_BLOCK_LOOKASIDE, .size = 24})->user_va;
    hw_lookaside(&heap, table, 4, &user, 1);
    plant(&heap, 100);
    hw_segment_end(&heap, false);
    hw_large(&heap, 0x2000000, &(struct hw_plan){.size = 100}, 0);
    hw_header(&heap, heap.segments[0].blocks[30].va, 0, 0, 0, 0); /* a note */
    hw_traces_init(&traces, &process, 0x3000000, 0x3002000);
    hw_trace(&traces, 1, (uint64_t[]){0x77001000, 0x77002000}, 2);
    hw_traces_end(&traces);
    hw_module(&process, "C:\\WINDOWS\\system32\\ntdll.dll", 0x7c900000, 0x1000);
    hw_map(&process, 0x7c900000, 0x1000);
    hw_put(&process, 0x7c900800, 4, 0x3000000);
    bytes = hw_minidump(&process, &size);
    assert_int_equal(all_steps(bytes, size, whole, &err), HS_OK);
    assert_int_equal(whole[2], 1);
    for (n = 0; n < 100000; n++) {
        enum hs_status status;

        allocations_fail(n, only_one ? n + 1 : ULONG_MAX);
        status = all_steps(bytes, size, sums, &err);
        if (allocations_succeed() <= n) {
            assert_int_equal(status, HS_OK);
            break;
        }
        if (status != HS_OK) {
            assert_int_equal(status, HS_ERR_MEMORY);
            assert_int_equal(err.status, HS_ERR_MEMORY);
            failed++;
        } else {
            assert_memory_equal(sums, whole, sizeof whole);
        }
    }
    assert_true(n > 30);
    assert_true(failed > 20); /* not all: a note that cannot be kept is only counted */
    free(bytes);
    hw_heap_deinit(&heap);
    hw_process_deinit(&process);
}

static void test_allocations_fail(void **state)
{
    (void)state;
    check_failing(false);
    check_failing(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets),      cmocka_unit_test(test_algebra),          cmocka_unit_test(test_two_dumps),
        cmocka_unit_test(test_summaries), cmocka_unit_test(test_plain_filters),    cmocka_unit_test(test_comparisons),
        cmocka_unit_test(test_groups),    cmocka_unit_test(test_group_misuse),     cmocka_unit_test(test_group_threads),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_allocations_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
