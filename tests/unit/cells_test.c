/* cells_test.c - engine/query/cells.c: every busy block in the cell of its key, once, whatever its stored index has of
 * blocks, and also where it stores none. */
#include "heap_writer.h"

#include "query/query.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

#define MANY 90000u /* more than a shard has; half of them of one stored index */

/* Blocks of a heap that records stacks, and of one that does not. */
static void open_dump(struct hw_dump *d, unsigned count, unsigned thread_count)
{
    struct hw_heap *heaps = d->heaps;

    memset(d, 0, sizeof *d);
    hw_process_init(&d->process, 4);
    hw_heap_init(&heaps[0], &d->process, 0x10000000, &(struct hw_heap_plan){.flags = HW_CAPTURE, .reserve = 0x1000000});
    hw_heap_init(&heaps[1], &d->process, 0x40000000, &(struct hw_heap_plan){.reserve = 0x100000});
    for (unsigned i = 0; i < count; i++) {
        if (i % 101 == 5)
            hw_free(&heaps[0], 16 + i % 7 * 8);
        hw_block(&heaps[0], &(struct hw_plan){.state = HS_BLOCK_BUSY,
                                              .size = 1 + (uint64_t)i * i % 61,
                                              .extra = i % 10 != 3,
                                              .stored = (uint16_t)(i % 2 ? 7 : i * 7919),
                                              .tag = (uint16_t)(i % 500 == 0)});
        if (i < 300)
            hw_busy(&heaps[1], i % 40);
    }
    hw_segment_end(&heaps[0], false);
    hw_segment_end(&heaps[1], false);
    hw_dump_open(d, thread_count);
}

/* Cells are in order, and so are the blocks of each; those are where they belong, and each once. */
static void assert_cells(const struct hs_cells *cells, const struct hs_blocks *blocks, const uint8_t *objects)
{
    uint8_t *seen = calloc(hs_blocks_count(blocks) + (size_t)1, 1);
    uint32_t stored = 0, id = 0, left = 0;

    for (uint32_t c = 0; c < cells->count; c++) {
        const struct hs_cell *cell = &cells->cells[c];

        while (c >= cells->first[stored + 1])
            stored++;
        assert_true(cell->count > 0);
        assert_true(c == cells->first[stored] || cell[-1].key < cell->key);
        assert_int_equal(cell->first, c ? cell[-1].first + cell[-1].count : 0);
        for (uint32_t i = cell->first; i < cell->first + cell->count; i++) {
            uint32_t its_stored;
            uint64_t key;

            assert_true(hs_cells_key(cells, blocks, objects, cells->ids[i], &its_stored, &key));
            assert_int_equal(its_stored, stored);
            assert_int_equal(key, cell->key);
            assert_true(i == cell->first || cells->ids[i - 1] < cells->ids[i]);
            assert_false(seen[cells->ids[i]]++);
        }
    }
    for (; id < hs_blocks_count(blocks); id++) {
        struct hs_block block;

        assert_int_equal(hs_blocks_get(blocks, id, &block), HS_OK);
        if ((block.state == HS_BLOCK_BUSY) != seen[id])
            fail_msg("block %" PRIu32 " is in %d cells", id, seen[id]);
        left += block.state == HS_BLOCK_BUSY;
    }
    assert_int_equal(cells->id_count, left);
    assert_true(cells->first[HS_CELL_UNTRACED + 1] > cells->first[HS_CELL_UNTRACED]);
    free(seen);
}

static void check(unsigned count, unsigned thread_count)
{
    static const uint8_t objects[HS_CELL_LABELS + 1];
    struct hw_dump d;
    struct hs_cells cells;
    struct hs_error err = {0};

    open_dump(&d, count, thread_count);
    if (hs_cells_init(&cells, d.dump, d.blocks, objects, NULL, &err) != HS_OK)
        fail_msg("%s", err.text);
    assert_cells(&cells, d.blocks, objects);
    hs_cells_deinit(&cells);
    hw_dump_close(&d);
}

static void test_cells(void **state)
{
    (void)state;
    check(100, 1);
    check(3000, 2);
    check(MANY, 1);
    check(MANY, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cells)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
