/* pointers_test.c - engine/query/scan.c and pointed.c: what words in blocks lead to, against a look-up of each word. */
#include "heap_writer.h"

#include "query/query.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#define BLOCKS 3000u /* of the first heap: several words of a set, of starts, and of what is pointed to */

struct fixture {
    struct hw_dump d;
    uint64_t random;
};

static uint64_t next_random(struct fixture *f, uint64_t below)
{
    f->random = f->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (f->random >> 33) % below;
}

static void plant(struct fixture *f, struct hw_heap *heap, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t size = next_random(f, 8) ? 1 + next_random(f, 90) : 0;

        if (next_random(f, 11) == 0)
            hw_free(heap, 16 + next_random(f, 9) * 16);
        else
            hw_block(heap, &(struct hw_plan){.state = HS_BLOCK_BUSY, .size = size, .extra = next_random(f, 2)});
        if (i % 1000 == 500) {
            hw_fill(heap, 0);
            hw_hole(heap, 0x3000);
        }
    }
}

/* Something to point to: most often one of the places that mean something, of any block. */
static uint64_t target_of(struct fixture *f, const struct hw_block *all, size_t count, const struct hw_block *own)
{
    const struct hw_block *to = next_random(f, 10) ? &all[next_random(f, count)] : own;
    unsigned pointer = f->d.process.pointer;

    switch (next_random(f, 8)) {
    case 0: return to->va;
    case 1:
    case 2: return to->user_va;
    case 3: return to->user_va + 2 * (uint64_t)pointer;
    case 4: return to->va + next_random(f, 24); /* often no multiple of anything */
    case 5: return to->va + next_random(f, to->total);
    case 6: return to->va + to->total - 1;
    default: return next_random(f, UINT32_MAX);
    }
}

static void write_pointers(struct fixture *f)
{
    struct hw_heap *heaps[] = {&f->d.heaps[0], &f->d.heaps[1]};
    size_t count;
    struct hw_block *all = hw_all(heaps, 2, &count);

    for (size_t i = 0; i < count; i++)
        for (uint64_t at = 0; all[i].state == HS_BLOCK_BUSY && at + f->d.process.pointer <= all[i].size;
             at += f->d.process.pointer)
            if (next_random(f, 4) == 0)
                hw_put_pointer(&f->d.process, all[i].user_va + at, target_of(f, all, count, &all[i]));
    free(all);
}

static void fixture_init(struct fixture *f, unsigned pointer, bool damaged, unsigned thread_count)
{
    memset(f, 0, sizeof *f);
    f->random = pointer + damaged;
    hw_process_init(&f->d.process, pointer);
    hw_heap_init(&f->d.heaps[0], &f->d.process, 0x10000000,
                 &(struct hw_heap_plan){.flags = HW_CAPTURE, .reserve = 0x200000});
    plant(f, &f->d.heaps[0], BLOCKS);
    hw_segment_end(&f->d.heaps[0], false);
    hw_large(&f->d.heaps[0], 0x8000000, &(struct hw_plan){.size = 0x12345}, 0);
    hw_heap_init(&f->d.heaps[1], &f->d.process, 0x40000000, &(struct hw_heap_plan){.reserve = 0x100000});
    plant(f, &f->d.heaps[1], 400);
    hw_segment_end(&f->d.heaps[1], false);
    write_pointers(f);
    if (damaged) {
        hw_header(&f->d.heaps[0], f->d.heaps[0].segments[0].blocks[700].va, 0, 0, 0, 0);
        hw_omit(&f->d.process, 0x40002000, 0x1000);
    }
    hw_split(&f->d.process, 0x40001008); /* inside a block, most likely: what follows begins with the rest of it */
    hw_dump_open(&f->d, thread_count);
}

static enum hs_aim aim_of(const struct fixture *f, const struct hs_block *block, uint64_t value)
{
    if (value == block->user_va)
        return HS_AIM_USER;
    if (value == block->user_va + 2 * (uint64_t)f->d.process.pointer)
        return HS_AIM_MAPI;
    return value == (block->large ? 0 : block->va) ? HS_AIM_HEADER : HS_AIM_INTERIOR;
}

/* What the first words of busy blocks of a set lead to: bit 1 << aim of each block. */
static uint8_t *look_plainly(const struct fixture *f, const struct hs_set *from, uint64_t first_bytes)
{
    const struct hs_space *space = &f->d.dump->space;
    uint8_t *aims = calloc(f->d.count + 1, 1);

    for (uint32_t id = 0; hs_set_next(from, id, &id) == HS_OK; id++) {
        struct hs_block block, to;
        hs_va value;

        assert_int_equal(hs_blocks_get(f->d.blocks, id, &block), HS_OK);
        for (uint64_t at = 0; at + f->d.process.pointer <= block.size && at + f->d.process.pointer <= first_bytes;
             at += f->d.process.pointer)
            if (hs_space_pointer(space, block.user_va + at, &value) &&
                hs_blocks_find(f->d.blocks, value, &to) == HS_OK && to.id != id && to.state != HS_BLOCK_UNCOMMITTED)
                aims[to.id] |= (uint8_t)(1u << aim_of(f, &to, value));
    }
    return aims;
}

static void assert_referenced(const struct fixture *f, const struct hs_set *all, const struct hs_set *from,
                              uint64_t first_bytes, const uint8_t *aims, uint32_t *found)
{
    for (unsigned aim = 0; aim < HS_AIM_COUNT; aim++) {
        struct hs_referenced_options options = {
            .sources = 1u << HS_SOURCE_BLOCK, .aims = 1u << aim, .from = from, .first_bytes = first_bytes};
        struct hs_set *set = NULL;

        assert_int_equal(hs_set_referenced(all, &options, NULL, &set, NULL), HS_OK);
        for (uint32_t id = 0; id < f->d.count; id++)
            if (hs_set_has(set, id) != (bool)(aims[id] >> aim & 1))
                fail_msg("block %" PRIu32 ", aim %s: %s", id, hs_aim_name((enum hs_aim)aim),
                         hs_set_has(set, id) ? "found" : "not found");
        *found += hs_set_count(set);
        hs_set_destroy(set);
    }
}

/* Sets of sizes that are looked into in different ways. */
static void check(unsigned pointer, bool damaged, unsigned thread_count, bool summarised)
{
    const struct hs_filter_op ops[3][5] = {
        {{.code = HS_FILTER_FIELD, .value = HS_BLOCK_FIELD_STATE},
         {.code = HS_FILTER_PUSH, .value = HS_BLOCK_BUSY},
         {.code = HS_FILTER_EQUAL}},
        {{.code = HS_FILTER_FIELD, .value = HS_BLOCK_FIELD_ID},
         {.code = HS_FILTER_PUSH, .value = 5},
         {.code = HS_FILTER_MODULO},
         {.code = HS_FILTER_PUSH, .value = 2},
         {.code = HS_FILTER_EQUAL}},
        {{.code = HS_FILTER_FIELD, .value = HS_BLOCK_FIELD_ID},
         {.code = HS_FILTER_PUSH, .value = 97},
         {.code = HS_FILTER_MODULO},
         {.code = HS_FILTER_PUSH, .value = 2},
         {.code = HS_FILTER_EQUAL}},
    };
    const size_t op_counts[] = {3, 5, 5};
    const struct hs_set_options busy_only = {.states = 1u << HS_BLOCK_BUSY};
    struct fixture f;
    struct hs_set *all = NULL, *busy = NULL;
    uint32_t found = 0;
    uint8_t *aims;

    fixture_init(&f, pointer, damaged, thread_count);
    if (summarised)
        assert_non_null(hs_blocks_summaries(f.d.blocks, thread_count));
    assert_int_equal(hs_set_create(f.d.dump, NULL, NULL, &all, NULL), HS_OK);
    assert_int_equal(hs_set_create(f.d.dump, &busy_only, NULL, &busy, NULL), HS_OK);
    aims = look_plainly(&f, busy, UINT64_MAX);
    assert_referenced(&f, all, NULL, 0, aims, &found);
    free(aims);
    for (unsigned i = 0; i < 3; i++) {
        struct hs_filter *filter;
        struct hs_set *from;

        assert_int_equal(hs_filter_create(f.d.dump, ops[i], op_counts[i], NULL, 0, NULL, &filter, NULL), HS_OK);
        assert_int_equal(hs_set_where(busy, filter, NULL, &from, NULL), HS_OK);
        hs_filter_destroy(filter);
        for (unsigned k = 0; k < 4; k++) {
            const uint64_t first_bytes[] = {0, 1, 20, UINT64_MAX};

            aims = look_plainly(&f, from, first_bytes[k] ? first_bytes[k] : UINT64_MAX);
            assert_referenced(&f, all, from, first_bytes[k], aims, &found);
            free(aims);
        }
        hs_set_destroy(from);
    }
    assert_true(found > 3000);
    hs_set_destroy(all);
    hs_set_destroy(busy);
    hw_dump_close(&f.d);
}

static void test_pointers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++)
        check(i & 1 ? 8 : 4, i & 2, i & 4 ? 3 : 1, i & 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pointers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
