/* damage_test.c - headers that are damaged: exactly the blocks they describe are lost, noted, and nothing else. */
#include "heap_writer.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAP UINT64_C(0x150000)
#define RESERVE 0x40000u

/* A heap with two runs of blocks in one segment and one in a second. */
struct fixture {
    struct hw_process process;
    struct hw_heap heap;
    size_t first, middle, before_hole, behind_hole, last, in_second; /* interesting blocks of `all` */
    struct hw_block *all;
    size_t count;
};

static void fill(struct hw_heap *heap, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (i % 7 == 4)
            hw_free(heap, 0x40 + i * 24);
        else
            hw_busy(heap, 40 + i * 53 % 500);
    }
}

static void fixture_init(struct fixture *f, unsigned pointer)
{
    struct hw_heap *list = &f->heap;

    memset(f, 0, sizeof *f);
    hw_process_init(&f->process, pointer);
    hw_heap_init(&f->heap, &f->process, HEAP, &(struct hw_heap_plan){.reserve = RESERVE, .lock = true});
    f->first = 2;
    fill(&f->heap, 60);
    f->middle = 30;
    hw_fill(&f->heap, 0);
    f->before_hole = f->heap.segments[0].block_count - 1;
    hw_hole(&f->heap, 0x2000);
    f->behind_hole = f->before_hole + 2;
    fill(&f->heap, 40);
    hw_segment_end(&f->heap, true);
    f->last = f->heap.segments[0].block_count - 1;
    hw_heap_segment(&f->heap, 0x1120000, 0x10000);
    f->in_second = f->last + 9;
    fill(&f->heap, 30);
    hw_segment_end(&f->heap, false);
    f->all = hw_all(&list, 1, &f->count);
}

static void fixture_deinit(struct fixture *f)
{
    free(f->all);
    hw_heap_deinit(&f->heap);
    hw_process_deinit(&f->process);
}

/* The blocks `from` .. `to` - 1 of the planted ones are lost, the rest is as planted; `reason` is noted for the address
 * where they begin (NULL: no note). `changed`: a block whose raw header fields may differ. */
static void expect_lost(struct fixture *f, const char *what, size_t from, size_t to, const char *reason, size_t changed)
{
    const struct hs_blocks *blocks = NULL;
    struct hs_dump *dump;
    uint64_t lost = 0;
    uint8_t *bytes;
    char address[32];
    uint32_t id = 0;

    dump = hw_open(&f->process, 1, &bytes);
    assert_int_equal(hs_dump_blocks(dump, NULL, &blocks, NULL), HS_OK);
    for (size_t i = 0; i < f->count; i++) {
        const struct hw_block *planted = &f->all[i];
        struct hs_block block;
        enum hs_status found = hs_blocks_find(blocks, planted->va, &block);

        if (i >= from && i < to) {
            lost += planted->total;
            if (found == HS_OK)
                fail_msg("%s: block %zu at %" PRIx64 " was not lost", what, i, planted->va);
            assert_int_equal(hs_blocks_find(blocks, planted->va + planted->total - 1, &block), HS_NOT_FOUND);
            continue;
        }
        if (found != HS_OK)
            fail_msg("%s: block %zu at %" PRIx64 " was lost, too", what, i, planted->va);
        if (block.va != planted->va || block.total != planted->total)
            fail_msg("%s: block %zu at %" PRIx64 " is %" PRIx64 " + %" PRIx64, what, i, planted->va, block.va,
                     block.total);
        if (i != changed)
            hw_assert_block(&block, planted, id);
        id++;
    }
    if (hs_blocks_count(blocks) != id)
        fail_msg("%s: %u blocks, expected %u", what, hs_blocks_count(blocks), id);
    if (hs_dump_heap(dump, 0)->unread_size != lost)
        fail_msg("%s: unread 0x%" PRIx64 ", expected 0x%" PRIx64, what, hs_dump_heap(dump, 0)->unread_size, lost);
    snprintf(address, sizeof address, "%08" PRIx64, from < f->count ? f->all[from].va : 0);
    if (reason && !hw_has_note(dump, address, reason)) {
        for (size_t i = 0; i < hs_dump_note_count(dump); i++)
            print_message("%s\n", hs_dump_note(dump, i));
        fail_msg("%s: no note with %s and \"%s\"", what, address, reason);
    }
    hw_check_invariants(dump);
    hs_dump_close(dump);
    free(bytes);
}

/* A kind of damage to block `idx`; returns how many blocks from it on are lost. */
struct damage {
    const char *name;
    size_t (*apply)(struct fixture *f, size_t idx);
    const char *reason; /* of the note at the first lost block; NULL: nothing is lost */
};

static uint16_t units_of(const struct fixture *f, const struct hw_block *block)
{
    return (uint16_t)(block->total / f->heap.unit);
}

static void put_units(struct fixture *f, size_t idx, uint16_t units)
{
    hw_put(&f->process, f->all[idx].va + f->heap.header_off, 2, units);
}

static size_t size_zero(struct fixture *f, size_t idx)
{
    put_units(f, idx, 0);
    return 1;
}

static size_t size_huge(struct fixture *f, size_t idx)
{
    put_units(f, idx, 0xffff);
    return 1;
}

/* Ends inside the next block but one, or past the run. */
static size_t size_longer(struct fixture *f, size_t idx)
{
    put_units(f, idx, (uint16_t)(units_of(f, &f->all[idx]) + units_of(f, &f->all[idx + 1]) + 1));
    return 1;
}

/* Swallows the next block exactly. */
static size_t size_of_two(struct fixture *f, size_t idx)
{
    put_units(f, idx, (uint16_t)(units_of(f, &f->all[idx]) + units_of(f, &f->all[idx + 1])));
    return 1;
}

static size_t size_of_three(struct fixture *f, size_t idx)
{
    put_units(f, idx,
              (uint16_t)(units_of(f, &f->all[idx]) + units_of(f, &f->all[idx + 1]) + units_of(f, &f->all[idx + 2])));
    return 1;
}

static size_t size_shorter(struct fixture *f, size_t idx)
{
    put_units(f, idx, (uint16_t)(units_of(f, &f->all[idx]) - 1));
    return 1;
}

static size_t size_one(struct fixture *f, size_t idx)
{
    put_units(f, idx, 1);
    return 1;
}

static size_t previous_wrong(struct fixture *f, size_t idx)
{
    hw_put(&f->process, f->all[idx].va + f->heap.header_off + 2, 2, f->all[idx].previous_units ^ 0x5a5a);
    return 0;
}

static size_t previous_a_bit_wrong(struct fixture *f, size_t idx)
{
    hw_put(&f->process, f->all[idx].va + f->heap.header_off + 2, 2, f->all[idx].previous_units - 1u);
    return 0;
}

static size_t flags_wrong(struct fixture *f, size_t idx)
{
    hw_put(&f->process, f->all[idx].va + f->heap.header_off + 5, 1, 0x10);
    return 0;
}

static size_t overwrite(struct fixture *f, size_t idx, unsigned size, uint8_t value)
{
    uint64_t from = f->all[idx].va + f->heap.header_off, to = from + size;
    size_t lost = 0;

    memset(hw_at(&f->process, from), value, size);
    /* Every block whose header was hit. */
    while (idx + lost < f->count && f->all[idx + lost].state != HS_BLOCK_UNCOMMITTED &&
           f->all[idx + lost].va + f->heap.header_off < to)
        lost++;
    return lost;
}

static size_t overwrite_8(struct fixture *f, size_t idx)
{
    return overwrite(f, idx, 8, 0xff);
}

static size_t overwrite_8_zero(struct fixture *f, size_t idx)
{
    return overwrite(f, idx, 8, 0);
}

static size_t overwrite_16(struct fixture *f, size_t idx)
{
    return overwrite(f, idx, 16, 'A');
}

static size_t overwrite_64(struct fixture *f, size_t idx)
{
    return overwrite(f, idx, 64, 0xff);
}

static size_t overwrite_1000(struct fixture *f, size_t idx)
{
    uint64_t room = f->all[idx].va / RESERVE * RESERVE + RESERVE - f->all[idx].va - 16;
    size_t behind = idx;

    while (f->all[behind].state != HS_BLOCK_UNCOMMITTED && behind < f->last)
        behind++;
    if (f->all[behind].state == HS_BLOCK_UNCOMMITTED && f->all[behind].va - f->all[idx].va - 16 < room)
        room = f->all[behind].va - f->all[idx].va - 16;
    return overwrite(f, idx, room < 1000 ? (unsigned)room : 1000, 0xee);
}

static const struct damage damages[] = {
    {"size 0", size_zero, "not read"},
    {"size ffff", size_huge, "not read"},
    {"size longer", size_longer, "not read"},
    {"size of two", size_of_two, "not read"},
    {"size of three", size_of_three, "not read"},
    {"size shorter", size_shorter, "not read"},
    {"size 1", size_one, "not read"},
    {"previous wrong", previous_wrong, NULL},
    {"previous a bit wrong", previous_a_bit_wrong, NULL},
    {"flags wrong", flags_wrong, NULL},
    {"8 bytes of ff", overwrite_8, "not read"},
    {"8 bytes of 0", overwrite_8_zero, "not read"},
    {"16 bytes of A", overwrite_16, "not read"},
    {"64 bytes of ff", overwrite_64, "not read"},
    {"1000 bytes of ee", overwrite_1000, "not read"},
};

static void check_place(unsigned pointer, const char *place, size_t offset)
{
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        struct fixture f;
        char what[96];
        size_t idx, lost;

        fixture_init(&f, pointer);
        idx = *(const size_t *)(const void *)((const char *)&f + offset);
        snprintf(what, sizeof what, "x%u, %s, %s block", pointer * 8, damages[i].name, place);
        lost = damages[i].apply(&f, idx);
        expect_lost(&f, what, idx, idx + lost, damages[i].reason, idx);
        fixture_deinit(&f);
    }
}

static void test_first(void **state)
{
    (void)state;
    check_place(4, "first", offsetof(struct fixture, first));
    check_place(8, "first", offsetof(struct fixture, first));
}

static void test_middle(void **state)
{
    (void)state;
    check_place(4, "middle", offsetof(struct fixture, middle));
    check_place(8, "middle", offsetof(struct fixture, middle));
}

static void test_behind_hole(void **state)
{
    (void)state;
    check_place(4, "first behind a hole", offsetof(struct fixture, behind_hole));
    check_place(8, "first behind a hole", offsetof(struct fixture, behind_hole));
}

static void test_in_second(void **state)
{
    (void)state;
    check_place(4, "second segment's", offsetof(struct fixture, in_second));
    check_place(8, "second segment's", offsetof(struct fixture, in_second));
}

/* Blocks with nothing behind them that could tell their size: what is damaged is lost, sizes that are too small leave
 * the block with that size and lose the rest. */
static void check_last(unsigned pointer, size_t offset)
{
    static size_t (*const applies[])(struct fixture * f, size_t idx) = {size_zero, size_huge, overwrite_8,
                                                                        overwrite_8_zero, overwrite_16};
    struct fixture f;
    struct hs_dump *dump;
    uint8_t *bytes;
    size_t idx;
    const struct hs_blocks *blocks = NULL;

    for (size_t i = 0; i < sizeof applies / sizeof *applies; i++) {
        fixture_init(&f, pointer);
        idx = *(const size_t *)(const void *)((const char *)&f + offset);
        applies[i](&f, idx);
        expect_lost(&f, "last block", idx, idx + 1, "not read", SIZE_MAX);
        fixture_deinit(&f);
    }
    fixture_init(&f, pointer);
    idx = *(const size_t *)(const void *)((const char *)&f + offset);
    previous_wrong(&f, idx);
    expect_lost(&f, "last block, previous", SIZE_MAX, SIZE_MAX, NULL, idx);
    fixture_deinit(&f);
    /* the block before it claims to be longer, or shorter */
    for (unsigned i = 0; i < 2; i++) {
        fixture_init(&f, pointer);
        idx = *(const size_t *)(const void *)((const char *)&f + offset) - 1;
        put_units(&f, idx, (uint16_t)(units_of(&f, &f.all[idx]) + (i ? 1 : -1)));
        expect_lost(&f, "last but one", idx, idx + 1, "not read", SIZE_MAX);
        fixture_deinit(&f);
    }
    fixture_init(&f, pointer);
    idx = *(const size_t *)(const void *)((const char *)&f + offset);
    put_units(&f, idx, (uint16_t)(units_of(&f, &f.all[idx]) - 2));
    dump = hw_open(&f.process, 1, &bytes);
    assert_int_equal(hs_dump_blocks(dump, NULL, &blocks, NULL), HS_OK);
    assert_int_equal(hs_blocks_count(blocks), f.count);
    assert_int_equal(hs_dump_heap(dump, 0)->unread_size, 2 * f.heap.unit);
    hs_dump_close(dump);
    free(bytes);
    fixture_deinit(&f);
}

static void test_last(void **state)
{
    (void)state;
    for (unsigned pointer = 4; pointer <= 8; pointer += 4) {
        check_last(pointer, offsetof(struct fixture, last));
        check_last(pointer, offsetof(struct fixture, before_hole));
    }
}

/* Every block in turn, by every damage that leaves what follows intact. */
static void check_each(unsigned pointer)
{
    static size_t (*const applies[])(struct fixture * f, size_t idx) = {size_zero, overwrite_8, size_longer,
                                                                        size_of_two, size_one};

    for (size_t i = 0; i < sizeof applies / sizeof *applies; i++) {
        for (size_t idx = 2;; idx++) {
            struct fixture f;
            char what[64];

            fixture_init(&f, pointer);
            if (idx + 2 >= f.last) {
                fixture_deinit(&f);
                break;
            }
            if (idx + 3 < f.before_hole || idx > f.before_hole + 1) {
                snprintf(what, sizeof what, "x%u, damage %zu", pointer * 8, i);
                applies[i](&f, idx);
                expect_lost(&f, what, idx, idx + 1, "not read", SIZE_MAX);
            }
            fixture_deinit(&f);
        }
    }
}

static void test_each(void **state)
{
    (void)state;
    check_each(4);
    check_each(8);
}

/* More unused bytes than the block has: its size chain is sound, so only it is lost. */
static void check_unused(unsigned pointer)
{
    for (unsigned i = 0; i < 4; i++) {
        struct fixture f;
        size_t idx;

        fixture_init(&f, pointer);
        idx = (const size_t[]){f.first, f.middle, f.behind_hole, f.last}[i];
        hw_put(&f.process, f.all[idx].va + f.heap.header_off + 5, 1, 1);
        if (f.all[idx].total >= 0xff) { /* one that is short enough */
            while (f.all[idx].total >= 0xff || f.all[idx].state != HS_BLOCK_BUSY)
                idx--;
        }
        hw_put(&f.process, f.all[idx].va + f.heap.header_off + 6, 1, 0xff);
        alarm(20); /* it once went round for ever */
        expect_lost(&f, "unused bytes", idx, idx + 1, "unused bytes", i == 3 ? f.last : SIZE_MAX);
        alarm(0);
        fixture_deinit(&f);
    }
}

static void test_unused(void **state)
{
    (void)state;
    check_unused(4);
    check_unused(8);
}

/* ---- a merged free block, full of old headers that agree with each other ---- */

static void plant_old_headers(struct fixture *f, const struct hw_block *block)
{
    uint64_t va = block->user_va + 2 * f->heap.unit, end = block->va + block->total;
    uint16_t previous = 4;

    for (unsigned i = 0; va < end; i++) {
        uint16_t units = (uint16_t)(4 + i % 5);

        if (va + 10u * f->heap.unit > end)
            units = (uint16_t)((end - va) / f->heap.unit); /* the old last one ended where the merged block does */
        hw_header(&f->heap, va, units, previous, 1, 8);
        va += (uint64_t)units * f->heap.unit;
        previous = units;
    }
}

/* `at`: the damaged block, counted from the merged one. */
static void check_merged(unsigned pointer, int at, size_t (*apply)(struct fixture *f, size_t idx), const char *what)
{
    struct fixture f;
    struct hw_heap *list = &f.heap;
    size_t merged, idx, lost;

    memset(&f, 0, sizeof f);
    hw_process_init(&f.process, pointer);
    hw_heap_init(&f.heap, &f.process, HEAP, &(struct hw_heap_plan){.reserve = RESERVE});
    fill(&f.heap, 20);
    hw_free(&f.heap, 0x3000);
    merged = f.heap.segments[0].block_count - 1;
    fill(&f.heap, 30);
    hw_segment_end(&f.heap, false);
    f.all = hw_all(&list, 1, &f.count);
    f.last = f.count - 2;
    plant_old_headers(&f, &f.all[merged]);
    idx = merged + (size_t)at; /* modulo: `at` may be below 0 */
    lost = apply(&f, idx);
    expect_lost(&f, what, idx, idx + lost, lost ? "not read" : NULL, idx);
    fixture_deinit(&f);
}

/* The block before ends inside the merged one, or swallows it. */
static size_t size_into_next(struct fixture *f, size_t idx)
{
    put_units(f, idx, (uint16_t)(units_of(f, &f->all[idx]) + 37));
    return 1;
}

static void test_merged(void **state)
{
    (void)state;
    for (unsigned pointer = 4; pointer <= 8; pointer += 4) {
        check_merged(pointer, -1, size_zero, "before the merged block, size 0");
        check_merged(pointer, -1, overwrite_8, "before the merged block, ff");
        check_merged(pointer, -1, size_one, "before the merged block, size 1");
        check_merged(pointer, -1, size_into_next, "before the merged block, into it");
        check_merged(pointer, -1, size_of_two, "before the merged block, over it");
        check_merged(pointer, 1, size_zero, "behind the merged block, size 0");
        check_merged(pointer, 1, overwrite_8, "behind the merged block, ff");
        check_merged(pointer, 1, overwrite_64, "behind the merged block, 64 bytes");
        check_merged(pointer, 1, size_one, "behind the merged block, size 1");
        check_merged(pointer, 1, size_longer, "behind the merged block, longer");
        check_merged(pointer, 1, previous_wrong, "behind the merged block, previous");
    }
}

/* The merged block's own header is gone: what lies in it is not taken for blocks. */
static void test_merged_itself(void **state)
{
    (void)state;
    for (unsigned pointer = 4; pointer <= 8; pointer += 4) {
        check_merged(pointer, 0, size_zero, "the merged block, size 0");
        check_merged(pointer, 0, overwrite_8, "the merged block, ff");
        check_merged(pointer, 0, overwrite_16, "the merged block, 16 bytes");
    }
}

/* The same for a block whose user bytes all look like headers of the smallest block. (A size that agrees with the
 * first of them cannot be told from a wrong PreviousSize of the block behind.) */
static void check_pattern(unsigned pointer, size_t (*apply)(struct fixture *f, size_t idx), const char *what)
{
    struct fixture f;
    struct hw_heap *list = &f.heap;

    memset(&f, 0, sizeof f);
    hw_process_init(&f.process, pointer);
    hw_heap_init(&f.heap, &f.process, HEAP, &(struct hw_heap_plan){.reserve = RESERVE});
    fill(&f.heap, 20);
    hw_busy(&f.heap, 0x2000);
    f.middle = f.heap.segments[0].block_count - 1;
    fill(&f.heap, 30);
    hw_segment_end(&f.heap, false);
    f.all = hw_all(&list, 1, &f.count);
    f.last = f.count - 2;
    for (uint64_t va = f.all[f.middle].user_va; va < f.all[f.middle].va + f.all[f.middle].total; va += 4)
        hw_put(&f.process, va, 4, 0x00010001);
    apply(&f, f.middle);
    expect_lost(&f, what, f.middle, f.middle + 1, "not read", SIZE_MAX);
    fixture_deinit(&f);
}

static void test_pattern(void **state)
{
    (void)state;
    for (unsigned pointer = 4; pointer <= 8; pointer += 4) {
        check_pattern(pointer, size_zero, "a block full of 1, size 0");
        check_pattern(pointer, overwrite_8, "a block full of 1, ff");
        check_pattern(pointer, size_shorter, "a block full of 1, shorter");
        check_pattern(pointer, size_longer, "a block full of 1, longer");
    }
}

/* Two damaged places, far apart and side by side. */
static void check_two(unsigned pointer)
{
    struct fixture f;

    fixture_init(&f, pointer);
    size_zero(&f, f.middle);
    overwrite_8(&f, f.middle + 1);
    expect_lost(&f, "two neighbours", f.middle, f.middle + 2, "not read", SIZE_MAX);
    fixture_deinit(&f);

    fixture_init(&f, pointer);
    size_one(&f, f.middle);
    size_zero(&f, f.middle + 1);
    expect_lost(&f, "short, then 0", f.middle, f.middle + 2, "not read", SIZE_MAX);
    fixture_deinit(&f);
}

static void test_two(void **state)
{
    (void)state;
    check_two(4);
    check_two(8);
}

/* A whole segment of noise: nothing but notes, and in little time. */
static void check_noise(unsigned pointer)
{
    struct hw_process process;
    struct hw_heap heap;
    struct hs_dump *dump;
    uint8_t *bytes;
    uint64_t seed = 1, at;

    for (unsigned round = 0; round < 3; round++) {
        hw_process_init(&process, pointer);
        hw_heap_init(&heap, &process, HEAP, &(struct hw_heap_plan){.reserve = 0x200000});
        for (at = heap.segments[0].first_entry; at < HEAP + 0x200000; at += 8) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            memset(hw_at(&process, at), (int)(round == 1 ? 0xfe : 0), 8);
            if (round == 0)
                hw_put(&process, at, 8, seed >> 11);
            if (round == 2)
                hw_put(&process, at, 8, (seed >> 60 ? 2 : 0xff00) | (seed >> 40 & 3) << 16 | UINT64_C(0x080100000000));
        }
        alarm(60);
        dump = hw_open(&process, 2, &bytes);
        hw_check_invariants(dump);
        assert_true(hs_dump_heap(dump, 0)->unread_size > 0);
        alarm(0);
        hs_dump_close(dump);
        free(bytes);
        hw_heap_deinit(&heap);
        hw_process_deinit(&process);
    }
}

static void test_noise(void **state)
{
    (void)state;
    check_noise(4);
    check_noise(8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first),     cmocka_unit_test(test_middle), cmocka_unit_test(test_behind_hole),
        cmocka_unit_test(test_in_second), cmocka_unit_test(test_last),   cmocka_unit_test(test_each),
        cmocka_unit_test(test_unused),    cmocka_unit_test(test_merged), cmocka_unit_test(test_merged_itself),
        cmocka_unit_test(test_pattern),   cmocka_unit_test(test_two),    cmocka_unit_test(test_noise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
