/* heap_test.c - engine/heap/ on heaps written by hand: every block as planted, odd heaps, lists that do not end.
 * `heap_test --seeds DIR` writes the seed files of tests/fuzz/fuzz_heap.c instead. */
#include "heap_writer.h"

#include "query/query.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEAP_A UINT64_C(0x150000)
#define HEAP_B UINT64_C(0x36f0000)

/* Two widths, each test. */
static void for_both(void (*run)(unsigned pointer))
{
    run(4);
    run(8);
}

static void assert_unread(struct hs_dump *dump, size_t heap_idx, uint64_t expected)
{
    uint64_t unread = hs_dump_heap(dump, heap_idx)->unread_size;

    if (unread != expected)
        fail_msg("unread_size of heap %zu is 0x%" PRIx64 ", expected 0x%" PRIx64, heap_idx, unread, expected);
}

static const struct hs_blocks *blocks_of(struct hs_dump *dump)
{
    const struct hs_blocks *blocks = NULL;

    assert_int_equal(hs_dump_blocks(dump, NULL, &blocks, NULL), HS_OK);
    return blocks;
}

/* ---- a process with everything in it ---- */

struct rich {
    struct hw_process process;
    struct hw_heap a, b;
    uint64_t users[3]; /* on a look-aside list */
};

static void plant_states(struct hw_heap *heap, bool extra)
{
    for (unsigned i = 0; i < 40; i++) {
        struct hw_plan plan = {.state = HS_BLOCK_BUSY,
                               .size = 1 + i * 37 % 300,
                               .extra = extra,
                               .tail_fill = extra,
                               .stored = (uint16_t)(i * 0x1234),
                               .tag = (uint16_t)(i % 3),
                               .settable = i * 0x1001,
                               .small_tag = (uint8_t)(i * 7)};

        if (i % 5 == 1)
            plan.flags = (uint8_t)(0x20u << i % 3); /* set by the caller */
        if (i % 11 == 3)
            plan = (struct hw_plan){.state = HS_BLOCK_FREE, .size = 24 + i * 8};
        if (i == 17)
            plan = (struct hw_plan){.state = HS_BLOCK_INTERNAL, .size = 200};
        if (i == 23)
            plan = (struct hw_plan){.state = HS_BLOCK_INTERNAL, .size = 64, .flags = HS_ENTRY_VIRTUAL};
        if (i == 29)
            plan.more_unused = 3;
        hw_block(heap, &plan);
    }
}

static void rich_init(struct rich *r, unsigned pointer)
{
    const struct hw_heap_plan tracing = {.flags = 0x58001062, .lock = true, .reserve = 0x20000};
    const struct hw_heap_plan odd = {.flags = 2, .header_size = pointer == 4 ? 0x608 : 0xb90};
    struct hw_heap *h = &r->a;
    uint64_t table;

    hw_process_init(&r->process, pointer);
    hw_heap_init(&r->a, &r->process, HEAP_A, &tracing);
    plant_states(h, true);
    hw_fill(h, 0);
    hw_hole(h, 0x3000);
    plant_states(h, true); /* the first block behind the hole has PreviousSize 0 */
    hw_fill(h, 1);
    hw_hole(h, 0x1000);
    hw_previous(h, 0x77); /* ... and this one has not */
    plant_states(h, true);
    hw_block(h, &(struct hw_plan){.state = HS_BLOCK_FREE, .size = 0x100, .flags = HS_ENTRY_LAST});
    hw_segment_end(h, false);
    hw_heap_segment(h, 0x1120000, 0x10000);
    plant_states(h, true);
    hw_block(h,
             &(struct hw_plan){
                 .state = HS_BLOCK_BUSY, .size = 100, .extra = true, .stored = 0xffff, .flags = HS_ENTRY_LAST | 0xe0});
    hw_segment_end(h, true);
    hw_large(h, 0x2000000, &(struct hw_plan){.size = 0x8ab12, .stored = 0x7dfe, .tag = 2, .settable = 0x55}, 0);
    hw_large(h, 0x1f00000, &(struct hw_plan){.size = 0x100, .small_tag = 9}, 0x1000); /* shrunk in place */

    hw_heap_init(&r->b, &r->process, HEAP_B, &odd);
    table = hw_front_end(&r->b, 1);
    plant_states(&r->b, false);
    for (unsigned i = 0; i < 3; i++) {
        r->users[i] = hw_block(&r->b, &(struct hw_plan){.state = HS_BLOCK_LOOKASIDE, .size = 24})->user_va;
        hw_busy(&r->b, 24);
    }
    hw_lookaside(&r->b, table, 4, r->users, 3);
    plant_states(&r->b, true); /* extras, but the heap was not told to record traces */
    hw_segment_end(&r->b, false);
}

static void rich_deinit(struct rich *r)
{
    hw_heap_deinit(&r->a);
    hw_heap_deinit(&r->b);
    hw_process_deinit(&r->process);
}

static struct hw_block *rich_all(struct rich *r, size_t *count_ret)
{
    struct hw_heap *heaps[2] = {&r->a, &r->b};

    return hw_all(heaps, 2, count_ret);
}

static void check_planted(unsigned pointer)
{
    struct rich r;
    struct hw_block *all;
    struct hs_dump *dump;
    uint8_t *bytes;
    size_t count, heaps;

    rich_init(&r, pointer);
    all = rich_all(&r, &count);
    assert_true(count > 250);
    dump = hw_open(&r.process, 1, &bytes);
    assert_int_equal(hs_dump_heaps(dump, &heaps, NULL), HS_OK);
    assert_int_equal(heaps, 2);
    hw_assert_blocks(dump, all, count);
    hw_check_invariants(dump);
    assert_unread(dump, 0, 0);
    assert_unread(dump, 1, 0);
    hs_dump_close(dump);
    free(bytes);
    free(all);
    rich_deinit(&r);
}

static void test_planted(void **state)
{
    (void)state;
    for_both(check_planted);
}

/* Free blocks of a heap that FreeLists[0] holds. */
static uint32_t large_free(struct hs_dump *dump, uint32_t heap_idx)
{
    const struct hs_blocks *blocks = blocks_of(dump);
    unsigned unit = hs_dump_facts(dump)->pointer_size * 2;
    uint32_t count = 0;
    struct hs_block block;

    for (uint32_t id = 0; hs_blocks_get(blocks, id, &block) == HS_OK; id++)
        count += block.heap_idx == heap_idx && block.state == HS_BLOCK_FREE && block.total >= 128 * unit;
    return count;
}

static void check_facts(unsigned pointer)
{
    struct rich r;
    struct hs_dump *dump;
    uint8_t *bytes;
    size_t heaps, idx;
    const struct hs_heap *a, *b;
    const struct hs_segment *segment;
    const struct hs_heap_totals *totals;

    rich_init(&r, pointer);
    hw_put(&r.process, HEAP_A + (pointer == 4 ? 0x28 : 0x40), 4, 0x1687); /* in units */
    dump = hw_open(&r.process, 1, &bytes);
    assert_int_equal(hs_dump_heap_named(dump, HEAP_B, &idx), HS_NOT_FOUND); /* nobody asked for heaps yet */
    assert_int_equal(hs_dump_heaps(dump, &heaps, NULL), HS_OK);
    a = hs_dump_heap(dump, 0);
    b = hs_dump_heap(dump, 1);
    assert_null(hs_dump_heap(dump, 2));
    assert_int_equal(a->va, HEAP_A);
    assert_int_equal(a->kind, HS_HEAP_NT_XP);
    assert_string_equal(a->reason, "");
    assert_int_equal(a->flags, 0x58001062);
    assert_int_equal(a->force_flags, 0x62);
    assert_int_equal(a->reserved, 0x30000);
    assert_int_equal(a->committed, 0x30000 - r.a.segments[0].uncommitted);
    assert_int_equal(a->segment_count, 2);
    assert_int_equal(a->uncommitted_count, 3);
    assert_int_equal(a->virtual_size, r.a.segments[0].blocks[r.a.segments[0].block_count - 1].va - HEAP_A + 0x10000);
    assert_int_equal(a->large_count, 2);
    assert_int_equal(a->large_committed, 0x8c000);
    assert_int_equal(a->free_recorded, (uint64_t)0x1687 * 2 * pointer);
    assert_true(a->has_lock);
    assert_int_equal(a->front_end, HS_FRONT_NONE);
    assert_false(b->has_lock);
    assert_int_equal(b->front_end, HS_FRONT_LOOKASIDE);
    assert_int_equal(hs_dump_segment_count(dump, 0), 2);
    assert_int_equal(hs_dump_segment_count(dump, 2), 0);
    segment = hs_dump_segment(dump, 0, 1);
    assert_int_equal(segment->base_va, 0x1120000);
    assert_int_equal(segment->va, 0x1120000);
    assert_int_equal(segment->first_entry_va, r.a.segments[1].first_entry);
    assert_int_equal(segment->end_va, 0x1130000);
    segment = hs_dump_segment(dump, 1, 0);
    assert_int_equal(segment->first_entry_va, HEAP_B + (pointer == 4 ? 0x648 : 0xc00));
    assert_int_equal(hs_dump_heap_named(dump, HEAP_B, &idx), HS_OK);
    assert_int_equal(idx, 1);
    assert_int_equal(hs_dump_heap_named(dump, 0, &idx), HS_OK);
    assert_int_equal(idx, 0);
    assert_int_equal(hs_dump_heap_named(dump, 2, &idx), HS_NOT_FOUND);
    totals = hs_blocks_totals(blocks_of(dump), 1);
    assert_int_equal(totals->count[HS_BLOCK_LOOKASIDE], 3);
    assert_int_equal(hs_dump_heap(dump, 0)->free_list_length, large_free(dump, 0));
    assert_int_equal(b->free_list_length, large_free(dump, 1));
    assert_true(large_free(dump, 0) + large_free(dump, 1) > 0);
    assert_null(hs_blocks_totals(blocks_of(dump), 2));
    hs_dump_close(dump);
    free(bytes);
    rich_deinit(&r);
}

static void test_facts(void **state)
{
    (void)state;
    for_both(check_facts);
}

/* Every byte from below the heap to above it: which block holds it, told by a slow loop. */
static void check_every_byte(unsigned pointer)
{
    struct rich r;
    struct hw_block *all;
    struct hs_dump *dump;
    const struct hs_blocks *blocks;
    uint8_t *bytes;
    size_t count;
    const uint64_t areas[][2] = {
        {HEAP_A - 64, HEAP_A + 0x20000 + 64}, {0x1120000 - 64, 0x1130000 + 64},     {0x1f00000 - 64, 0x1f01000 + 64},
        {0x2000000 - 64, 0x208b000 + 64},     {HEAP_B - 64, HEAP_B + 0x40000 + 64}, {0, 64},
    };

    rich_init(&r, pointer);
    all = rich_all(&r, &count);
    dump = hw_open(&r.process, 1, &bytes);
    blocks = blocks_of(dump);
    for (size_t a = 0; a < sizeof areas / sizeof *areas; a++) {
        size_t last = SIZE_MAX;

        for (uint64_t va = areas[a][0]; va < areas[a][1]; va++) {
            struct hs_block block;
            size_t owner = SIZE_MAX;

            if (last != SIZE_MAX && va - all[last].va < all[last].total)
                owner = last;
            for (size_t i = 0; owner == SIZE_MAX && i < count; i++) {
                uint64_t before = all[i].large ? (pointer == 4 ? 0x18 : 0x30) : 0; /* the list entry */

                if (va >= all[i].va - before && va < all[i].va + all[i].total)
                    owner = i;
            }
            last = owner;
            if (hs_blocks_find(blocks, va, &block) != (owner == SIZE_MAX ? HS_NOT_FOUND : HS_OK))
                fail_msg("%" PRIx64 " is%s in a block", va, owner == SIZE_MAX ? " not" : "");
            if (owner != SIZE_MAX && block.id != owner)
                fail_msg("%" PRIx64 " is in block %zu, found %" PRIu32, va, owner, block.id);
        }
    }
    {
        struct hs_block block;
        assert_int_equal(hs_blocks_find(blocks, UINT64_MAX, &block), HS_NOT_FOUND);
    }
    hs_dump_close(dump);
    free(bytes);
    free(all);
    rich_deinit(&r);
}

static void test_every_byte(void **state)
{
    (void)state;
    for_both(check_every_byte);
}

/* A cursor that begins at any id goes on as the one from the start. */
static void check_cursor(unsigned pointer)
{
    struct rich r;
    struct hs_dump *dump;
    const struct hs_blocks *blocks;
    uint8_t *bytes;

    rich_init(&r, pointer);
    dump = hw_open(&r.process, 1, &bytes);
    blocks = blocks_of(dump);
    for (uint32_t from = 0; from <= hs_blocks_count(blocks); from++) {
        struct hs_block_cursor cursor;
        struct hs_block block;

        hs_block_cursor_init(&cursor, blocks, from);
        for (uint32_t id = from; id < from + 3 && id < hs_blocks_count(blocks); id++) {
            assert_true(hs_block_cursor_next(&cursor));
            assert_int_equal(cursor.id, id);
            assert_int_equal(hs_blocks_get(blocks, id, &block), HS_OK);
            assert_int_equal(cursor.extent->va + cursor.off + (block.large ? (pointer == 4 ? 0x18 : 0x30) : 0),
                             block.va);
        }
    }
    hs_dump_close(dump);
    free(bytes);
    rich_deinit(&r);
}

static void test_cursor(void **state)
{
    (void)state;
    for_both(check_cursor);
}

/* A run of more than 8 bitmap words, so that ranks matter, with sparse starts. */
static void check_ranks(unsigned pointer)
{
    struct hw_process process;
    struct hw_heap heap, *list = &heap;
    struct hw_block *all;
    struct hs_dump *dump;
    uint8_t *bytes;
    size_t count;

    hw_process_init(&process, pointer);
    hw_heap_init(&heap, &process, HEAP_A, &(struct hw_heap_plan){.reserve = 0x200000});
    for (unsigned i = 0; i < 24; i++) {
        hw_free(&heap, 0xc000 + i * 0x100);
        for (unsigned k = 0; k < i * 20; k++)
            hw_busy(&heap, 8);
    }
    hw_segment_end(&heap, true);
    all = hw_all(&list, 1, &count);
    dump = hw_open(&process, 1, &bytes);
    hw_assert_blocks(dump, all, count);
    hs_dump_close(dump);
    free(bytes);
    free(all);
    hw_heap_deinit(&heap);
    hw_process_deinit(&process);
}

static void test_ranks(void **state)
{
    (void)state;
    for_both(check_ranks);
}

/* ---- memory in pieces ---- */

/* Pages of a segment stand anywhere in the file: the same blocks. */
static void check_split(unsigned pointer)
{
    struct rich r;
    struct hw_block *all;
    struct hs_dump *dump;
    uint8_t *bytes;
    size_t count;

    rich_init(&r, pointer);
    all = rich_all(&r, &count);
    for (uint64_t va = HEAP_A + 0x1000; va < HEAP_A + 0x8000; va += 0x1000)
        hw_split(&r.process, va);
    hw_split(&r.process, HEAP_B + 0x408);
    hw_split(&r.process, HEAP_B + 0x1008); /* on no unit of x64 */
    hw_split(&r.process, HEAP_B + 0x2004); /* on no unit at all: the engine skips to the next */
    dump = hw_open(&r.process, 1, &bytes);
    if (pointer == 4) {
        hw_check_invariants(dump);
        assert_unread(dump, 0, 0);
    }
    {
        /* Whatever was lost around the odd borders, no block of heap A was. */
        const struct hs_blocks *blocks = blocks_of(dump);
        struct hs_block block;

        for (size_t i = 0; i < count && all[i].heap_idx == 0; i++) {
            assert_int_equal(hs_blocks_get(blocks, (uint32_t)i, &block), HS_OK);
            hw_assert_block(&block, &all[i], (uint32_t)i);
        }
    }
    hs_dump_close(dump);
    free(bytes);
    free(all);
    rich_deinit(&r);
}

static void test_split(void **state)
{
    (void)state;
    for_both(check_split);
}

/* Pages are missing in the middle: the blocks on them are lost and noted, those around them are not. */
static void check_missing_pages(unsigned pointer)
{
    struct hw_process process;
    struct hw_heap heap;
    const struct hw_block *into = NULL, *after = NULL;
    struct hs_dump *dump;
    const struct hs_blocks *blocks;
    struct hs_block block;
    uint8_t *bytes;
    uint64_t gap = HEAP_A + 0x4000, gap_end = HEAP_A + 0x6000, covered = 0;

    hw_process_init(&process, pointer);
    hw_heap_init(&heap, &process, HEAP_A, NULL);
    while (heap.segments[0].next < HEAP_A + 0x9000)
        hw_busy(&heap, 200);
    hw_segment_end(&heap, false);
    for (size_t i = 0; i < heap.segments[0].block_count; i++) {
        const struct hw_block *b = &heap.segments[0].blocks[i];

        if (b->va < gap && b->va + b->total > gap)
            into = b;
        if (!after && b->va >= gap_end)
            after = b;
    }
    assert_non_null(into);
    /* What stands at the end of the gap is the middle of a block, even if it might be a header. */
    hw_header(&heap, gap_end, 3, 3, 1, 8);
    hw_omit(&process, gap, gap_end - gap);
    dump = hw_open(&process, 1, &bytes);
    blocks = blocks_of(dump);
    for (size_t i = 0; i < heap.segments[0].block_count; i++) {
        const struct hw_block *b = &heap.segments[0].blocks[i];
        bool there = b <= into || b >= after;

        if (hs_blocks_find(blocks, b->va, &block) != (there ? HS_OK : HS_NOT_FOUND))
            fail_msg("block at %" PRIx64 " was%s found", b->va, there ? " not" : "");
        if (there) {
            hw_assert_block(&block, b, block.id);
            covered += block.total;
        }
    }
    assert_unread(dump, 0, 0x40000 - covered);
    assert_int_equal(hs_blocks_find(blocks, gap + 0x1800, &block), HS_NOT_FOUND);
    assert_int_equal(hs_blocks_find(blocks, into->va + into->total - 1, &block), HS_OK); /* reaches into the gap */
    assert_true(hw_has_note(dump, "00154", "the dump does not hold it"));
    hs_dump_close(dump);
    free(bytes);
    hw_heap_deinit(&heap);
    hw_process_deinit(&process);
}

static void test_missing_pages(void **state)
{
    (void)state;
    for_both(check_missing_pages);
}

/* Every other page is missing, below one block: each of its bytes still belongs to it. */
static void check_missing_under_block(unsigned pointer)
{
    struct hw_process process;
    struct hw_heap heap;
    const struct hw_block *big;
    struct hs_dump *dump;
    struct hs_block block;
    uint8_t *bytes;
    uint64_t va;

    hw_process_init(&process, pointer);
    hw_heap_init(&heap, &process, HEAP_A, &(struct hw_heap_plan){.reserve = 0x80000});
    va = hw_free(&heap, 0x60000)->va;
    hw_segment_end(&heap, true);
    big = &heap.segments[0].blocks[2];
    for (uint64_t page = HEAP_A + 0x2000; page < HEAP_A + 0x60000; page += 0x2000)
        hw_omit(&process, page, 0x1000);
    dump = hw_open(&process, 1, &bytes);
    for (uint64_t at = va; at < va + big->total; at += 0x400) {
        if (hs_blocks_find(blocks_of(dump), at, &block) != HS_OK)
            fail_msg("%" PRIx64 " is in no block", at);
        hw_assert_block(&block, big, 2);
    }
    assert_unread(dump, 0, 0);
    hs_dump_close(dump);
    free(bytes);
    hw_heap_deinit(&heap);
    hw_process_deinit(&process);
}

static void test_missing_under_block(void **state)
{
    (void)state;
    for_both(check_missing_under_block);
}

/* The page with the heap header, or that with a segment's record, is missing. */
static void check_missing_header(unsigned pointer)
{
    struct rich r;
    struct hs_dump *dump;
    uint8_t *bytes;
    size_t heaps;

    rich_init(&r, pointer);
    hw_omit(&r.process, HEAP_B, 0x1000);
    hw_omit(&r.process, 0x1120000, 0x1000);
    dump = hw_open(&r.process, 1, &bytes);
    assert_int_equal(hs_dump_heaps(dump, &heaps, NULL), HS_OK);
    assert_int_equal(heaps, 2);
    assert_int_equal(hs_dump_heap(dump, 1)->kind, HS_HEAP_UNKNOWN);
    assert_non_null(strstr(hs_dump_heap(dump, 1)->reason, "not in the dump"));
    assert_int_equal(hs_dump_heap(dump, 0)->segment_count, 1);
    assert_true(hw_has_note(dump, "01120000", "its record is not in the dump"));
    hw_check_invariants(dump);
    hs_dump_close(dump);
    free(bytes);
    rich_deinit(&r);
}

static void test_missing_header(void **state)
{
    (void)state;
    for_both(check_missing_header);
}

/* Memory that the process had not committed, though the heap's list of such ranges does not say so. */
static void check_reserved_by_region(unsigned pointer)
{
    struct hw_process process;
    struct hw_heap heap;
    struct hs_dump *dump;
    struct hs_block block;
    uint8_t *bytes;
    uint64_t hole;
    unsigned list_off = pointer == 4 ? 0x30 : 0x50;

    hw_process_init(&process, pointer);
    hw_heap_init(&heap, &process, HEAP_A, NULL);
    hw_busy(&heap, 100);
    hole = hw_fill(&heap, 0)->va;
    hole += heap.segments[0].blocks[heap.segments[0].block_count - 1].total;
    hw_segment_end(&heap, false);
    hw_put_pointer(&process, heap.segments[0].va + list_off, 0);
    process.infos[0] = (struct hw_area){.va = HEAP_A, .size = hole - HEAP_A};
    process.infos[1] = (struct hw_area){.va = hole, .size = HEAP_A + 0x40000 - hole, .absent = true};
    process.info_count = 2;
    dump = hw_open(&process, 1, &bytes);
    assert_int_equal(hs_blocks_find(blocks_of(dump), hole, &block), HS_OK);
    assert_int_equal(block.state, HS_BLOCK_UNCOMMITTED);
    assert_int_equal(block.total, HEAP_A + 0x40000 - hole);
    assert_unread(dump, 0, 0);
    assert_true(hw_has_note(dump, "is not committed although", NULL));
    assert_true(hw_has_note(dump, "counts 1 uncommitted ranges, its list has 0", NULL));
    hs_dump_close(dump);
    free(bytes);
    hw_heap_deinit(&heap);
    hw_process_deinit(&process);
}

static void test_reserved_by_region(void **state)
{
    (void)state;
    for_both(check_reserved_by_region);
}

/* ---- which heaps there are ---- */

static void check_listed_twice(unsigned pointer)
{
    struct rich r;
    struct hw_block *all;
    struct hs_dump *dump;
    uint8_t *bytes;
    size_t count, heaps;

    rich_init(&r, pointer);
    all = rich_all(&r, &count);
    r.process.heap_list[r.process.heap_count++] = HEAP_A;
    r.process.heap_list[r.process.heap_count++] = 0;
    r.process.heap_list[r.process.heap_count++] = 0x7ff00000;       /* nowhere */
    r.process.heap_list[r.process.heap_count++] = HEAP_B + 0x10000; /* no heap */
    dump = hw_open(&r.process, 1, &bytes);
    assert_int_equal(hs_dump_heaps(dump, &heaps, NULL), HS_OK);
    assert_int_equal(heaps, 4);
    assert_true(hw_has_note(dump, "00150000: listed twice", NULL));
    assert_true(hw_has_note(dump, " entries of the heap list are 0", NULL));
    assert_int_equal(hs_dump_heap_list(dump), HS_HEAP_LIST_PART); /* because of the 0 */
    assert_int_equal(hs_dump_heap(dump, 2)->kind, HS_HEAP_UNKNOWN);
    assert_int_equal(hs_dump_heap(dump, 3)->kind, HS_HEAP_UNKNOWN);
    assert_true(hw_has_note(dump, "heap 7ff00000: not read: its header is not in the dump", NULL));
    hw_assert_blocks(dump, all, count);
    hs_dump_close(dump);
    free(bytes);
    free(all);
    rich_deinit(&r);
}

static void test_listed_twice(void **state)
{
    (void)state;
    for_both(check_listed_twice);
}

/* NumberOfHeaps far too large; then none of the list readable: heaps by signature. */
static void check_heap_list(unsigned pointer)
{
    struct rich r;
    struct hw_block *all;
    struct hs_dump *dump;
    uint8_t *bytes;
    size_t count, heaps;

    rich_init(&r, pointer);
    all = rich_all(&r, &count);
    r.process.told_heap_count = UINT32_MAX;
    dump = hw_open(&r.process, 1, &bytes);
    assert_int_equal(hs_dump_heaps(dump, &heaps, NULL), HS_OK);
    assert_int_equal(heaps, 2);
    assert_int_equal(hs_dump_heap_list(dump), HS_HEAP_LIST_PART);
    assert_true(hw_has_note(dump, "NumberOfHeaps is 4294967295", NULL));
    assert_true(hw_has_note(dump, "of the heap list at", "is not in the dump"));
    hw_assert_blocks(dump, all, count);
    hs_dump_close(dump);
    free(bytes);

    r.process.told_heap_count = 0;
    r.process.no_teb = true;
    r.process.heap_list[0] = 0x66660000; /* so that no page looks like a PEB */
    dump = hw_open(&r.process, 1, &bytes);
    assert_int_equal(hs_dump_heaps(dump, &heaps, NULL), HS_OK);
    assert_int_equal(heaps, 2);
    assert_int_equal(hs_dump_heap_list(dump), HS_HEAP_LIST_MISSING);
    assert_true(hw_has_note(dump, "2 heaps were found by their signatures", NULL));
    hw_assert_blocks(dump, all, count);
    hs_dump_close(dump);
    free(bytes);
    free(all);
    rich_deinit(&r);
}

static void test_heap_list(void **state)
{
    (void)state;
    for_both(check_heap_list);
}

/* Kinds that are named and not read. */
static void check_kinds(unsigned pointer)
{
    static const struct {
        uint32_t signature, flag;
        bool vista;
        enum hs_heap_kind kind;
        const char *name, *reason;
    } cases[] = {
        {0xeeffeeff, 0, false, HS_HEAP_NT_XP, "nt-xp", ""},
        {0xffeeffee, 0, true, HS_HEAP_NT, "nt", "Vista"},
        {0xffeeffee, 0, false, HS_HEAP_UNKNOWN, "unknown", "0xffeeffee"},
        {0xddeeddee, 0, false, HS_HEAP_SEGMENT, "segment", "segment heap"},
        {0x12345678, 0x02000000, false, HS_HEAP_PAGE, "page", "page heap"},
        {0x12345678, 0, false, HS_HEAP_UNKNOWN, "unknown", "0x12345678"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hw_process process;
        struct hw_heap heap;
        struct hs_dump *dump;
        uint8_t *bytes;
        size_t heaps;

        hw_process_init(&process, pointer);
        hw_heap_init(&heap, &process, HEAP_A, NULL);
        hw_segment_end(&heap, false);
        process.global_flag = cases[i].flag;
        hw_put(&process, HEAP_A + 2 * pointer, 4, cases[i].signature);
        if (cases[i].vista)
            hw_put(&process, HEAP_A + 0x70, 4, 0xeeffeeff);
        dump = hw_open(&process, 1, &bytes);
        assert_int_equal(hs_dump_heaps(dump, &heaps, NULL), HS_OK);
        assert_int_equal(hs_dump_heap(dump, 0)->kind, cases[i].kind);
        assert_string_equal(hs_heap_kind_name(hs_dump_heap(dump, 0)->kind), cases[i].name);
        assert_non_null(strstr(hs_dump_heap(dump, 0)->reason, cases[i].reason));
        assert_int_equal(hs_blocks_count(blocks_of(dump)) > 0, cases[i].kind == HS_HEAP_NT_XP);
        hs_dump_close(dump);
        free(bytes);
        hw_heap_deinit(&heap);
        hw_process_deinit(&process);
    }
}

static void test_kinds(void **state)
{
    (void)state;
    for_both(check_kinds);
}

static void check_lfh(unsigned pointer)
{
    struct hw_process process;
    struct hw_heap heap, *list = &heap;
    struct hw_block *all;
    struct hs_dump *dump;
    uint8_t *bytes;
    size_t count;

    hw_process_init(&process, pointer);
    hw_heap_init(&heap, &process, HEAP_A, NULL);
    hw_front_end(&heap, 2);
    for (unsigned i = 0; i < 5; i++) {
        hw_block(&heap, &(struct hw_plan){.state = HS_BLOCK_INTERNAL, .size = 0x400, .flags = HS_ENTRY_VIRTUAL});
        hw_busy(&heap, 50);
    }
    hw_segment_end(&heap, false);
    all = hw_all(&list, 1, &count);
    dump = hw_open(&process, 1, &bytes);
    hw_assert_blocks(dump, all, count);
    assert_int_equal(hs_dump_heap(dump, 0)->front_end, HS_FRONT_LFH);
    assert_true(hw_has_note(dump, "low-fragmentation front end", "5 areas"));
    hs_dump_close(dump);
    free(bytes);
    free(all);
    hw_heap_deinit(&heap);
    hw_process_deinit(&process);
}

static void test_lfh(void **state)
{
    (void)state;
    for_both(check_lfh);
}

/* ---- segments that cannot be ---- */

static unsigned segment_table(unsigned pointer)
{
    return pointer == 4 ? 0x58 : 0xa0;
}

/* What a field of the second segment's record is set to, and what the note says. */
static void check_bad_segments(unsigned pointer)
{
    const struct {
        unsigned off[2], size[2];
        uint64_t value;
        const char *note;
    } cases[] = {
        {{8, 0x10}, {4, 4}, 0x11111111, "no segment signature"},
        {{0x10, 0x18}, {4, 8}, HEAP_B, "belongs to another heap"},
        {{0x18, 0x28}, {4, 8}, 0x1120008, "makes no sense"}, /* base: no page */
        {{0x18, 0x28}, {4, 8}, 0x1121000, "makes no sense"}, /* above the record */
        {{0x1c, 0x30}, {4, 4}, 0, "makes no sense"},         /* no pages */
        {{0x20, 0x38}, {4, 8}, 0x1120000, "lies outside"},   /* first entry below the record */
        {{0x20, 0x38}, {4, 8}, 0x1120044, "lies outside"},   /* on no unit */
        {{0x20, 0x38}, {4, 8}, 0x2000000, "lies outside"},   /* above the end */
    };
    unsigned p = pointer == 8;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rich r;
        struct hs_dump *dump;
        uint8_t *bytes;

        rich_init(&r, pointer);
        hw_put(&r.process, 0x1120000 + cases[i].off[p], cases[i].size[p], cases[i].value);
        dump = hw_open(&r.process, 1, &bytes);
        hw_check_invariants(dump);
        assert_int_equal(hs_dump_heap(dump, 0)->segment_count, 1);
        assert_int_equal(hs_dump_heap(dump, 0)->unread_segments, 1);
        assert_int_equal(hs_dump_heap(dump, 1)->unread_segments, 0);
        if (!hw_has_note(dump, "segment 1 at 01120000 is not read", cases[i].note))
            fail_msg("case %zu: no note", i);
        hs_dump_close(dump);
        free(bytes);
        rich_deinit(&r);
    }
}

static void test_bad_segments(void **state)
{
    (void)state;
    for_both(check_bad_segments);
}

static void check_segment_twice(unsigned pointer)
{
    struct rich r;
    struct hw_block *all;
    struct hs_dump *dump;
    uint8_t *bytes;
    size_t count;

    rich_init(&r, pointer);
    all = rich_all(&r, &count);
    for (unsigned i = 5; i < 64; i++)
        hw_put_pointer(&r.process, HEAP_A + segment_table(pointer) + i * pointer, 0x1120000);
    dump = hw_open(&r.process, 1, &bytes);
    hw_assert_blocks(dump, all, count);
    assert_true(hw_has_note(dump, "segment 5 at 01120000 is not read", "twice"));
    assert_unread(dump, 0, 0);
    assert_int_equal(hs_dump_heap(dump, 0)->unread_segments, 0);
    hs_dump_close(dump);
    free(bytes);
    free(all);
    rich_deinit(&r);
}

static void test_segment_twice(void **state)
{
    (void)state;
    for_both(check_segment_twice);
}

/* A segment that claims the memory of another heap: each byte is in one block at most, and counted once as unread. */
static void check_overlap(unsigned pointer)
{
    struct rich r;
    struct hw_heap c;
    struct hs_dump *dump;
    uint8_t *bytes;
    struct hs_block block;
    unsigned pages = pointer == 4 ? 0x1c : 0x30, last = pointer == 4 ? 0x24 : 0x40;

    rich_init(&r, pointer);
    hw_heap_init(&c, &r.process, 0x1110000, &(struct hw_heap_plan){.reserve = 0x10000});
    hw_segment_end(&c, true);
    hw_put(&r.process, c.segments[0].va + pages, 4, 0x18); /* half of heap A's second segment */
    hw_put_pointer(&r.process, c.segments[0].va + last, 0x1128000);
    dump = hw_open(&r.process, 1, &bytes);
    hw_check_invariants(dump);
    assert_true(hw_has_note(dump, "01120000", "heap 01110000"));
    for (uint64_t va = 0x1110000; va < 0x1120000; va += 0x400) {
        assert_int_equal(hs_blocks_find(blocks_of(dump), va, &block), HS_OK);
        assert_int_equal(block.heap_idx, 2);
    }
    assert_unread(dump, 0, 0);
    assert_unread(dump, 2, 0x8000); /* once */
    hs_dump_close(dump);
    free(bytes);
    hw_heap_deinit(&c);
    rich_deinit(&r);
}

static void test_overlap(void **state)
{
    (void)state;
    for_both(check_overlap);
}

/* ---- lists that are broken or do not end ---- */

/* One thing written over in the rich process, the note it must give, and how many large blocks it must cost. */
static void check_list(unsigned pointer, uint64_t va, unsigned size, uint64_t value, const char *one, const char *two,
                       uint32_t large)
{
    struct rich r;
    struct hs_dump *dump;
    uint8_t *bytes;

    rich_init(&r, pointer);
    hw_put(&r.process, va, size, value);
    dump = hw_open(&r.process, 1, &bytes);
    hw_check_invariants(dump);
    if (!hw_has_note(dump, one, two)) {
        for (size_t i = 0; i < hs_dump_note_count(dump); i++)
            print_message("%s\n", hs_dump_note(dump, i));
        fail_msg("x%u: no note with \"%s\"", pointer * 8, one);
    }
    assert_int_equal(hs_dump_heap(dump, 0)->unread_large, large);
    hs_dump_close(dump);
    free(bytes);
    rich_deinit(&r);
}

static void check_uncommitted_list(unsigned pointer)
{
    unsigned header = pointer == 4 ? 0x640 : 0xbc0;
    uint64_t list = HEAP_A + header + (pointer == 4 ? 0x30 : 0x50),
             count = HEAP_A + header + (pointer == 4 ? 0x2c : 0x4c);
    uint64_t first = HEAP_A + (pointer == 4 ? 0x598 : 0xb00);
    unsigned length = 2 * pointer;

    check_list(pointer, first, pointer, first, "does not end", NULL, 0);            /* a loop of one */
    check_list(pointer, list, pointer, 0x66660000, "is lost at 66660000", NULL, 0); /* leads nowhere */
    check_list(pointer, first + pointer, pointer, 0x9990000, "outside of its segment", NULL, 0);
    check_list(pointer, first + length, pointer, 0x100000000 - 0x1000, "outside of its segment", NULL, 0);
    check_list(pointer, first + length, pointer, 0, "outside of its segment", NULL, 0);
    check_list(pointer, first + length, pointer, 0x1008, "outside of its segment", NULL, 0);
    check_list(pointer, first + length, pointer, 0x8000, "uncommitted ranges overlap", NULL, 0);
    check_list(pointer, count, 4, UINT32_MAX, "counts 4294967295", NULL, 0);
}

static void test_uncommitted_list(void **state)
{
    (void)state;
    for_both(check_uncommitted_list);
}

static void check_large_list(unsigned pointer)
{
    uint64_t head = HEAP_A + (pointer == 4 ? 0x50 : 0x90);
    uint64_t commit = pointer == 4 ? 0x10 : 0x20;

    check_list(pointer, head, pointer, 0x66660000, "ends after 0", "66660000 is not in the dump", 1);
    check_list(pointer, head, pointer, 0, "ends after 0", "is not in the dump", 1);
    check_list(pointer, 0x2000000, pointer, 0x2000000, "ends after 1", "does not point back", 1);
    check_list(pointer, 0x1f00000, pointer, 0x2000000, "ends after 2", "does not point back", 1);
    check_list(pointer, 0x1f00000 + pointer, pointer, head, "ends after 1", "does not point back", 1);
    check_list(pointer, 0x2000000 + commit, pointer, 0x10, "02000000 has commit size 0x10", NULL, 1);
    check_list(pointer, 0x2000000 + commit, pointer, UINT64_MAX, "large block 02000000", NULL, 1);
}

static void test_large_list(void **state)
{
    (void)state;
    for_both(check_large_list);
}

/* A large block whose CommitSize is damaged reaches over segments: those are read all the same. */
static void check_large_over_segment(unsigned pointer)
{
    struct rich r;
    struct hw_block *all;
    struct hs_dump *dump;
    const struct hs_blocks *blocks;
    struct hs_block block;
    uint8_t *bytes;
    size_t count;

    rich_init(&r, pointer);
    all = rich_all(&r, &count);
    hw_put(&r.process, 0x1f00000 + (pointer == 4 ? 0x10 : 0x20), pointer, 0x20000000);
    dump = hw_open(&r.process, 1, &bytes);
    blocks = blocks_of(dump);
    for (size_t i = 0; i < count; i++)
        if (!all[i].large && hs_blocks_find(blocks, all[i].va, &block) != HS_OK)
            fail_msg("block at %" PRIx64 " was lost to a large block", all[i].va);
    assert_true(hw_has_note(dump, "01f00000", NULL));
    hs_dump_close(dump);
    free(bytes);
    free(all);
    rich_deinit(&r);
}

static void test_large_over_segment(void **state)
{
    (void)state;
    for_both(check_large_over_segment);
}

/* A look-aside list with a loop, with a pointer nowhere, into a header, longer than it declares; no table. */
static void check_lookaside(unsigned pointer)
{
    for (unsigned i = 0; i < 6; i++) {
        struct rich r;
        struct hs_dump *dump;
        uint8_t *bytes;
        size_t heaps;
        uint64_t front_off = pointer == 4 ? 0x580 : 0xad8;
        uint64_t head;

        rich_init(&r, pointer);
        head = hw_get(&r.process, HEAP_B + front_off, pointer) + 4 * (pointer == 4 ? 0x30 : 0x40);
        switch (i) {
        case 0: hw_put_pointer(&r.process, r.users[2], r.users[0]); break;
        case 1: hw_put_pointer(&r.process, r.users[1], 0x66660000); break;
        case 2: hw_put_pointer(&r.process, r.users[0], r.users[1] + 4); break;
        case 3: hw_put(&r.process, head + (pointer == 4 ? 4 : 0), 2, 1); break;
        case 4: hw_put_pointer(&r.process, HEAP_B + front_off, 0x66660000); break;
        case 5: hw_put_pointer(&r.process, r.users[2], r.users[2]); break;
        }
        dump = hw_open(&r.process, 1, &bytes);
        hw_check_invariants(dump);
        assert_int_equal(hs_dump_heaps(dump, &heaps, NULL), HS_OK);
        if (!hw_has_note(dump, "heap 036f0000: look-aside list", i == 4 ? "is not in the dump" : "is lost after"))
            fail_msg("case %u: no note", i);
        assert_unread(dump, 1, 0);
        hs_dump_close(dump);
        free(bytes);
        rich_deinit(&r);
    }
}

static void test_lookaside(void **state)
{
    (void)state;
    for_both(check_lookaside);
}

/* ---- threads, stopping ---- */

static void many_heaps(struct hw_process *process, struct hw_heap *heaps, unsigned count, unsigned pointer)
{
    hw_process_init(process, pointer);
    for (unsigned i = 0; i < count; i++) {
        hw_heap_init(&heaps[i], process, HEAP_A + i * 0x1000000, &(struct hw_heap_plan){.flags = HW_CAPTURE});
        plant_states(&heaps[i], true);
        hw_segment_end(&heaps[i], false);
        for (unsigned s = 0; s < i; s++) {
            hw_heap_segment(&heaps[i], HEAP_A + i * 0x1000000 + 0x100000 * (s + 1), 0x10000);
            plant_states(&heaps[i], s % 2);
            hw_segment_end(&heaps[i], s % 3 == 0);
        }
        /* damage, for the order of notes */
        hw_header(&heaps[i], heaps[i].segments[i].blocks[5].va, 0, 0, 0, 0);
        hw_header(&heaps[i], heaps[i].segments[0].blocks[20].va, 0, 0, 0, 0);
    }
}

static void check_threads(unsigned pointer)
{
    struct hw_process process;
    struct hw_heap *heaps = calloc(6, sizeof *heaps);
    struct hs_dump *dumps[3];
    uint8_t *bytes[3];
    const unsigned threads[3] = {1, 2, 7};

    assert_non_null(heaps);
    many_heaps(&process, heaps, 6, pointer);
    for (unsigned i = 0; i < 3; i++) {
        dumps[i] = hw_open(&process, threads[i], &bytes[i]);
        hw_check_invariants(dumps[i]);
    }
    for (unsigned i = 1; i < 3; i++) {
        const struct hs_blocks *one = blocks_of(dumps[0]), *two = blocks_of(dumps[i]);

        assert_int_equal(hs_blocks_count(one), hs_blocks_count(two));
        for (uint32_t id = 0; id < hs_blocks_count(one); id++) {
            struct hs_block a, b;

            memset(&a, 0, sizeof a);
            memset(&b, 0, sizeof b);
            assert_int_equal(hs_blocks_get(one, id, &a), HS_OK);
            assert_int_equal(hs_blocks_get(two, id, &b), HS_OK);
            assert_memory_equal(&a, &b, sizeof a);
        }
        assert_int_equal(hs_dump_note_count(dumps[0]), hs_dump_note_count(dumps[i]));
        for (size_t n = 0; n < hs_dump_note_count(dumps[0]); n++)
            assert_string_equal(hs_dump_note(dumps[0], n), hs_dump_note(dumps[i], n));
        for (size_t h = 0; h < 6; h++)
            assert_int_equal(hs_dump_heap(dumps[0], h)->unread_size, hs_dump_heap(dumps[i], h)->unread_size);
    }
    assert_true(hw_has_note(dumps[0], "has size 0", NULL));
    { /* notes stand in the order of segments */
        size_t last = 0, found = 0;

        for (size_t n = 0; n < hs_dump_note_count(dumps[0]); n++) {
            for (unsigned s = 0; s < 6; s += 5) {
                char address[32];

                snprintf(address, sizeof address, " %08" PRIx64 "..", heaps[5].segments[s].blocks[s ? 5 : 20].va);
                if (strstr(hs_dump_note(dumps[0], n), address)) {
                    assert_true(s >= last);
                    last = s;
                    found++;
                }
            }
        }
        assert_int_equal(found, 2);
    }
    for (unsigned i = 0; i < 3; i++) {
        hs_dump_close(dumps[i]);
        free(bytes[i]);
    }
    for (unsigned i = 0; i < 6; i++)
        hw_heap_deinit(&heaps[i]);
    free(heaps);
    hw_process_deinit(&process);
}

static void test_threads(void **state)
{
    (void)state;
    for_both(check_threads);
}

/* A walk that is stopped gives nothing, and can be asked for again. */
static void check_cancel(unsigned pointer)
{
    struct rich r;
    struct hw_block *all;
    struct hs_dump *dump;
    struct hs_job *job = hs_job_create();
    const struct hs_blocks *blocks = NULL;
    struct hs_error err;
    uint8_t *bytes;
    size_t count;

    assert_non_null(job);
    rich_init(&r, pointer);
    all = rich_all(&r, &count);
    dump = hw_open(&r.process, 2, &bytes);
    hs_job_cancel(job);
    assert_int_equal(hs_dump_blocks(dump, job, &blocks, &err), HS_ERR_CANCELLED);
    assert_int_equal(err.status, HS_ERR_CANCELLED);
    assert_null(blocks);
    hw_assert_blocks(dump, all, count);
    hs_dump_close(dump);
    hs_job_destroy(job);
    free(bytes);
    free(all);
    rich_deinit(&r);
}

static void test_cancel(void **state)
{
    (void)state;
    for_both(check_cancel);
}

static void test_names(void **state)
{
    static const char *const states[] = {"busy", "free", "lookaside", "internal", "uncommitted"};

    (void)state;
    for (int i = 0; i < HS_BLOCK_STATE_COUNT; i++)
        assert_string_equal(hs_block_state_name((enum hs_block_state)i), states[i]);
    assert_string_equal(hs_heap_list_name(HS_HEAP_LIST_WHOLE), "whole");
    assert_string_equal(hs_heap_list_name(HS_HEAP_LIST_PART), "part");
    assert_string_equal(hs_heap_list_name(HS_HEAP_LIST_MISSING), "missing");
}

/* ---- seeds for fuzzing: a choice (see fuzz_heap.c), then the memory of a heap of one page ---- */

static void write_seed(const char *folder, const char *name, unsigned pointer, unsigned kind)
{
    struct hw_process process;
    struct hw_heap heap;
    char path[512];
    FILE *file;
    uint64_t ucr = HEAP_A + (pointer == 4 ? 0x598 : 0xb00);
    unsigned list = pointer == 4 ? 0x30 : 0x50;
    uint8_t choice = pointer == 8;

    hw_process_init(&process, pointer);
    hw_heap_init(&heap, &process, HEAP_A, &(struct hw_heap_plan){.flags = HW_CAPTURE, .lock = true, .reserve = 0x2000});
    for (unsigned i = 0; i < 6; i++)
        hw_block(&heap, &(struct hw_plan){.state = i == 3 ? HS_BLOCK_FREE : HS_BLOCK_BUSY,
                                          .size = 8 + i * 13,
                                          .extra = i % 2 == 0,
                                          .stored = (uint16_t)i,
                                          .tag = 1});
    hw_free(&heap, HEAP_A + 0x1000 - heap.segments[0].next - heap.unit);
    if (kind != 2)
        hw_hole(&heap, 0x1000);
    if (kind == 1) /* a damaged size */
        hw_header(&heap, heap.segments[0].blocks[4].va, 0x30, 3, 1, 8);
    if (kind == 2) { /* uncommitted ranges that go round */
        hw_put_pointer(&process, heap.segments[0].va + list, ucr);
        hw_put_pointer(&process, ucr, ucr);
        hw_put_pointer(&process, ucr + pointer, HEAP_A + 0x1000);
        hw_put_pointer(&process, ucr + 2 * pointer, 0x1000);
    }
    if (kind == 3) { /* a large block inside, and a second segment that is the first again */
        uint64_t head = HEAP_A + (pointer == 4 ? 0x50 : 0x90), entry = HEAP_A + 0xe00;

        hw_put_pointer(&process, head, entry);
        hw_put_pointer(&process, entry, head);
        hw_put_pointer(&process, entry + pointer, head);
        hw_put_pointer(&process, entry + 4 * pointer, 0x2000);
        hw_put_pointer(&process, HEAP_A + segment_table(pointer) + pointer, heap.segments[0].va);
    }
    if (kind == 5) /* more unused bytes than the block has: the walk once went round for ever */
        hw_put(&process, heap.segments[0].blocks[3].va + heap.header_off + 6, 1, 0xff);
    if (kind == 4) { /* look-aside lists over the blocks */
        hw_put_pointer(&process, HEAP_A + (pointer == 4 ? 0x580 : 0xad8), HEAP_A + (pointer == 4 ? 0x178 : 0x2c8));
        hw_put(&process, HEAP_A + (pointer == 4 ? 0x586 : 0xae2), 1, 1);
        hw_lookaside(&heap, HEAP_A + (pointer == 4 ? 0x178 : 0x2c8), 2, &heap.segments[0].blocks[2].user_va, 1);
        choice |= 2;
    }
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "wb");
    if (!file || fputc(choice, file) == EOF || fwrite(hw_at(&process, HEAP_A), 1, 0x1000 - 2, file) != 0x1000 - 2 ||
        fclose(file) != 0) {
        fprintf(stderr, "heap_test: %s cannot be written\n", path);
        exit(1);
    }
    hw_heap_deinit(&heap);
    hw_process_deinit(&process);
}

static int write_seeds(const char *folder)
{
    static const char *const names[] = {"sound", "size", "endless-ranges", "large", "lookaside", "unused"};
    char name[64];

    for (unsigned kind = 0; kind < sizeof names / sizeof *names; kind++) {
        for (unsigned pointer = 4; pointer <= 8; pointer += 4) {
            snprintf(name, sizeof name, "x%u-%s.bin", pointer == 4 ? 86 : 64, names[kind]);
            write_seed(folder, name, pointer, kind);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_planted),        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_every_byte),     cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_ranks),          cmocka_unit_test(test_split),
        cmocka_unit_test(test_missing_pages),  cmocka_unit_test(test_missing_under_block),
        cmocka_unit_test(test_missing_header), cmocka_unit_test(test_reserved_by_region),
        cmocka_unit_test(test_listed_twice),   cmocka_unit_test(test_heap_list),
        cmocka_unit_test(test_kinds),          cmocka_unit_test(test_lfh),
        cmocka_unit_test(test_bad_segments),   cmocka_unit_test(test_segment_twice),
        cmocka_unit_test(test_overlap),        cmocka_unit_test(test_uncommitted_list),
        cmocka_unit_test(test_large_list),     cmocka_unit_test(test_large_over_segment),
        cmocka_unit_test(test_lookaside),      cmocka_unit_test(test_threads),
        cmocka_unit_test(test_cancel),         cmocka_unit_test(test_names),
    };

    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
