/* vectors_test.c - what debuggers printed of real Windows XP and 2003 processes, against the engine's own decoding.
 *
 * Each vector has an id and the public page it is from; the bytes are those of the page. */
#include "heap/heap.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- headers: `dt _HEAP_ENTRY`, `!heap -p -a`, `dc` ---- */

static const struct {
    const char *id, *source;
    uint32_t raw[2]; /* as `dc` prints them; worked out from the fields where the page prints only those */
    uint64_t va, user_va, size, total;
    uint16_t previous_units;
    uint8_t flags, unused_bytes, small_tag;
} headers[] = {
    {"duet-0372e598",
     "the case: `dc 0372e598`",
     {0x000d0022, 0x001807d6},
     0x372e598,
     0x372e5a0,
     0xf8,
     0x110,
     0xd,
     7,
     0x18,
     0xd6},
    {"xp-hdr-e0c20",
     "public GitHub text, catalogue id 43749113602, notes on the XP heap manager",
     {0x00080002, 0x000e0180},
     0xe0c20,
     0xe0c28,
     2,
     0x10,
     8,
     1,
     0xe,
     0x80},
    {"row-xp-c",
     "public GitHub text, catalogue id 128072284",
     {0x0000186b, 0x00080100},
     0x1220108,
     0x1220110,
     0xc350,
     0xc358,
     0,
     1,
     8,
     0},
    {"ust-xp-a",
     "public GitHub text, catalogue id 24963996605",
     {0x0000000a, 0x001e0700},
     0x63eb128,
     0x63eb130,
     0x32,
     0x50,
     0,
     7,
     0x1e,
     0},
    {"ust-xp-b",
     "public GitHub text, catalogue id 4523980013",
     {0x00000073, 0x00180700},
     0xbbf7308,
     0xbbf7310,
     0x380,
     0x398,
     0,
     7,
     0x18,
     0},
};

/* A run with one block, as the walker leaves it. */
struct one_block {
    struct hs_range range;
    struct hs_space space;
    struct hs_process process;
    struct hs_heap heap;
    struct hs_heap_segment segment;
    struct hs_extent extent;
    struct hs_heaps heaps;
    struct hs_blocks blocks;
    uint64_t starts[128]; /* of the longest vector, with its ranks */
    uint32_t ranks[128 / HS_RANK_WORDS + 1];
    hs_va front_end;
    hs_va *lookaside;
    size_t lookaside_count, first_segment[2];
};

static void store(uint8_t *bytes, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static void one_block_init(struct one_block *o, enum hs_extent_kind kind, hs_va va, const uint8_t *bytes, uint64_t held,
                           uint64_t size)
{
    memset(o, 0, sizeof *o);
    o->range = (struct hs_range){va, held, bytes};
    assert_int_equal(hs_space_init(&o->space, &o->range, 1, 4, NULL), HS_OK);
    o->process.space = &o->space;
    o->process.layout = hs_layout_get(4);
    o->heap.flags = 0x08000000;
    o->segment.facts.first_entry_va = va;
    o->starts[0] = 1;
    for (size_t i = 1; i < sizeof o->ranks / sizeof *o->ranks; i++)
        o->ranks[i] = 1;
    o->extent = (struct hs_extent){.kind = kind,
                                   .va = va,
                                   .size = size,
                                   .headers_off = kind == HS_EXTENT_LARGE ? UINT64_MAX : 0,
                                   .bytes = bytes,
                                   .count = 1,
                                   .segment_idx = kind == HS_EXTENT_LARGE ? UINT32_MAX : 0,
                                   .starts = o->starts,
                                   .ranks = o->ranks};
    o->heaps.process = &o->process;
    o->heaps.unit = (unsigned)hs_layout_off(o->process.layout, HS_FIELD_ENTRY_SIZEOF);
    o->heaps.header_off = (unsigned)hs_layout_off(o->process.layout, HS_FIELD_ENTRY_SIZE);
    o->heaps.heaps = &o->heap;
    o->heaps.count = 1;
    o->heaps.front_end_va = &o->front_end;
    o->heaps.lookaside = &o->lookaside;
    o->heaps.lookaside_count = &o->lookaside_count;
    o->heaps.first_segment = o->first_segment;
    o->heaps.segments = &o->segment;
    o->heaps.segment_count = 1;
    o->heaps.extents = &o->extent;
    o->heaps.extent_count = 1;
    o->blocks.heaps = &o->heaps;
    o->blocks.count = 1;
}

static void test_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        uint8_t *bytes = calloc(1, headers[i].total);
        struct one_block o;
        struct hs_block block;

        assert_non_null(bytes);
        store(bytes, 4, headers[i].raw[0]);
        store(bytes + 4, 4, headers[i].raw[1]);
        one_block_init(&o, HS_EXTENT_RUN, headers[i].va, bytes, headers[i].total, headers[i].total);
        assert_int_equal(hs_blocks_get(&o.blocks, 0, &block), HS_OK);
        if (block.user_va != headers[i].user_va || block.size != headers[i].size || block.total != headers[i].total ||
            block.previous_units != headers[i].previous_units || block.flags != headers[i].flags ||
            block.unused_bytes != headers[i].unused_bytes || block.small_tag != headers[i].small_tag ||
            block.state != HS_BLOCK_BUSY)
            fail_msg("%s (%s)", headers[i].id, headers[i].source);
        hs_space_deinit(&o.space);
        free(bytes);
    }
}

/* xp-hdr-heap (id 43749113602): Size c8, PreviousSize 0, SmallTagIndex 4, Flags 1. The case: c8 at 01160000. */
static void test_heap_header(void **state)
{
    const uint8_t bytes[8] = {0xc8, 0, 0, 0, 4, 1, 0, 0};
    struct hs_heaps heaps = {.unit = 8, .header_off = 0};
    struct hs_entry entry = hs_entry_load(&heaps, bytes);

    (void)state;
    assert_int_equal(entry.units * 8, 0x640);
    assert_int_equal(entry.previous_units, 0);
    assert_int_equal(entry.small_tag, 4);
    assert_int_equal(entry.flags, HS_ENTRY_BUSY);
}

/* duet-0372e598: 7dfe in the last 8 bytes, behind eight bytes ab. ust-xp-a, -b: the debugger printed these indexes. */
static void test_stored(void **state)
{
    static const struct {
        const char *id;
        hs_va va;
        uint32_t units;
        uint8_t unused;
        uint16_t stored;
    } cases[] = {{"duet", 0x372e598, 0x22, 0x18, 0x7dfe},
                 {"ust-xp-a", 0x63eb128, 0xa, 0x1e, 0x6af6},
                 {"ust-xp-b", 0xbbf7308, 0x73, 0x18, 0x401c}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t total = cases[i].units * 8;
        uint8_t *bytes = calloc(1, total);
        struct one_block o;
        struct hs_block block;

        assert_non_null(bytes);
        store(bytes, 2, cases[i].units);
        bytes[5] = 7;
        bytes[6] = cases[i].unused;
        memset(bytes + 8 + total - cases[i].unused, 0xab, 8);
        store(bytes + total - 8, 4, cases[i].stored);
        one_block_init(&o, HS_EXTENT_RUN, cases[i].va, bytes, total, total);
        assert_int_equal(hs_blocks_get(&o.blocks, 0, &block), HS_OK);
        if (!block.has_stored || block.stored != cases[i].stored || block.tag != 0 || block.settable != 0)
            fail_msg("%s: stored %x", cases[i].id, block.stored);
        o.heap.flags = 2; /* the same bytes where nobody asked for traces mean nothing */
        assert_int_equal(hs_blocks_get(&o.blocks, 0, &block), HS_OK);
        assert_false(block.has_stored);
        hs_space_deinit(&o.space);
        free(bytes);
    }
}

/* va-xp (id 52290944794): entry 03680018, units 1fffc, flags 0b, user 03680020, user size fffe0. */
static void test_large(void **state)
{
    uint8_t bytes[0x20] = {0};
    struct one_block o;
    struct hs_block block;

    (void)state;
    store(bytes + 0x10, 4, 0x100000);
    store(bytes + 0x14, 4, 0x100000);
    store(bytes + 0x18, 2, 0x100000 - 0xfffe0);
    bytes[0x18 + 5] = 0xb;
    one_block_init(&o, HS_EXTENT_LARGE, 0x3680000, bytes, sizeof bytes, 0x100000);
    assert_int_equal(hs_blocks_get(&o.blocks, 0, &block), HS_OK);
    assert_int_equal(block.va, 0x3680018);
    assert_int_equal(block.user_va, 0x3680020);
    assert_int_equal(block.size, 0xfffe0);
    assert_int_equal(block.flags, 0xb);
    assert_int_equal(block.state, HS_BLOCK_BUSY);
    assert_true(block.large);
    hs_space_deinit(&o.space);
}

/* ---- offsets: what `dt` printed against rows.inc ---- */

static const struct {
    const char *id, *name;
    enum hs_field field;
    unsigned off;
} offsets[] = {
    {"dt-heap-xp", "Signature", HS_FIELD_HEAP_SIGNATURE, 0x8},
    {"dt-heap-xp", "Flags", HS_FIELD_HEAP_FLAGS, 0xc},
    {"dt-heap-xp", "TotalFreeSize", HS_FIELD_HEAP_TOTAL_FREE_SIZE, 0x28},
    {"dt-heap-xp", "VirtualAllocdBlocks", HS_FIELD_HEAP_VIRTUAL_BLOCKS, 0x50},
    {"dt-heap-xp", "Segments", HS_FIELD_HEAP_SEGMENTS, 0x58},
    {"dt-heap-xp", "FreeLists", HS_FIELD_HEAP_FREE_LISTS, 0x178},
    {"dt-heap-xp", "LockVariable", HS_FIELD_HEAP_LOCK, 0x578},
    {"dt-heap-xp", "FrontEndHeap", HS_FIELD_HEAP_FRONT_END, 0x580},
    {"dt-heap-xp", "FrontEndHeapType", HS_FIELD_HEAP_FRONT_END_TYPE, 0x586},
    {"hs-xp-a", "virtual_alloc_list", HS_FIELD_HEAP_VIRTUAL_BLOCKS, 0x50},
    {"hs-xp-a", "free_list", HS_FIELD_HEAP_FREE_LISTS, 0x178},
    {"hs-2003-a", "ucr_free_list of a heap without lock", HS_FIELD_HEAP_SIZEOF, 0x588},
    {"dt-seg-xp", "Signature", HS_FIELD_SEGMENT_SIGNATURE, 0x8},
    {"dt-seg-xp", "Heap", HS_FIELD_SEGMENT_HEAP, 0x10},
    {"dt-seg-xp", "BaseAddress", HS_FIELD_SEGMENT_BASE, 0x18},
    {"dt-seg-xp", "NumberOfPages", HS_FIELD_SEGMENT_PAGE_COUNT, 0x1c},
    {"dt-seg-xp", "FirstEntry", HS_FIELD_SEGMENT_FIRST_ENTRY, 0x20},
    {"dt-seg-xp", "LastValidEntry", HS_FIELD_SEGMENT_LAST_VALID_ENTRY, 0x24},
    {"dt-seg-xp", "NumberOfUnCommittedPages", HS_FIELD_SEGMENT_UNCOMMITTED_PAGES, 0x28},
    {"dt-seg-xp", "NumberOfUnCommittedRanges", HS_FIELD_SEGMENT_UNCOMMITTED_COUNT, 0x2c},
    {"dt-seg-xp", "UnCommittedRanges", HS_FIELD_SEGMENT_UNCOMMITTED_RANGES, 0x30},
    {"peb-xp", "ProcessHeap", HS_FIELD_PEB_PROCESS_HEAP, 0x18},
    {"peb-xp", "NumberOfHeaps", HS_FIELD_PEB_NUMBER_OF_HEAPS, 0x88},
    {"peb-xp", "ProcessHeaps", HS_FIELD_PEB_PROCESS_HEAPS, 0x90},
    {"va-xp", "BusyBlock", HS_FIELD_VIRTUAL_BUSY_BLOCK, 0x18},
    {"xp-hdr-e0c20", "stride of the look-aside lists", HS_FIELD_LOOKASIDE_SIZEOF, 0x30},
    {"duet", "AcquireLockRoutine", HS_FIELD_DATABASE_ACQUIRE, 0x38},
    {"duet", "ReleaseLockRoutine", HS_FIELD_DATABASE_RELEASE, 0x3c},
    {"duet", "OkayToLockRoutine", HS_FIELD_DATABASE_OKAY, 0x40},
    {"duet", "PreCommitted", HS_FIELD_DATABASE_PRECOMMITTED, 0x44},
    {"duet", "DumpInProgress", HS_FIELD_DATABASE_DUMP_IN_PROGRESS, 0x45},
    {"duet", "CommitBase", HS_FIELD_DATABASE_COMMIT_BASE, 0x48},
    {"duet", "CurrentLowerCommitLimit", HS_FIELD_DATABASE_LOWER_LIMIT, 0x4c},
    {"duet", "CurrentUpperCommitLimit", HS_FIELD_DATABASE_UPPER_LIMIT, 0x50},
    {"duet", "NextFreeLowerMemory", HS_FIELD_DATABASE_NEXT_LOWER, 0x54},
    {"duet", "NextFreeUpperMemory", HS_FIELD_DATABASE_NEXT_UPPER, 0x58},
    {"duet", "NumberOfEntriesLookedUp", HS_FIELD_DATABASE_LOOKED_UP, 0x5c},
    {"duet", "NumberOfEntriesAdded", HS_FIELD_DATABASE_ADDED, 0x60},
    {"duet", "EntryIndexArray", HS_FIELD_DATABASE_INDEX_ARRAY, 0x64},
    {"duet", "NumberOfBuckets", HS_FIELD_DATABASE_BUCKET_COUNT, 0x68},
    {"duet", "Buckets", HS_FIELD_DATABASE_BUCKETS, 0x6c},
    {"duet", "HashChain", HS_FIELD_TRACE_CHAIN, 0x0},
    {"duet", "TraceCount", HS_FIELD_TRACE_COUNT, 0x4},
    {"duet", "Index", HS_FIELD_TRACE_INDEX, 0x8},
    {"duet", "Depth", HS_FIELD_TRACE_DEPTH, 0xa},
    {"duet", "BackTrace", HS_FIELD_TRACE_FRAMES, 0xc},
};

static void test_offsets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        if (hs_layout_off(hs_layout_get(4), offsets[i].field) != offsets[i].off)
            fail_msg("%s: %s", offsets[i].id, offsets[i].name);
}

/* hs-xp-a, hs-zeus: first entry 40 behind the record, which is at heap+640, or at the base of later segments. The
 * record must end there. */
static void test_segment_size(void **state)
{
    (void)state;
    assert_true(hs_layout_off(hs_layout_get(4), HS_FIELD_SEGMENT_SIZEOF) <= 0x40);
    assert_true(hs_layout_off(hs_layout_get(4), HS_FIELD_SEGMENT_SIZEOF) > 0x40 - 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers), cmocka_unit_test(test_heap_header), cmocka_unit_test(test_stored),
        cmocka_unit_test(test_large),   cmocka_unit_test(test_offsets),     cmocka_unit_test(test_segment_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
