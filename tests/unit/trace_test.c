/* trace_test.c - engine/trace/ on databases written by hand: found, read, believed only where it makes sense.
 * `trace_test --seeds DIR` writes the seed files of tests/fuzz/fuzz_trace.c instead. */
#include "heap_writer.h"
#include "pe_writer.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NTDLL UINT64_C(0x7c900000)
#define DATABASE UINT64_C(0x160000)
#define UST 0x1000u

struct fixture {
    struct hw_process process;
    struct hw_traces traces;
};

/* ntdll with or without its headers; `pointer` to the database at the end of its data. */
static void add_ntdll(struct hw_process *process, bool headers, bool exported, uint64_t pointer)
{
    struct pe_writer pe;
    uint8_t *bytes = hw_map(process, NTDLL, IMAGE_SIZE);

    hw_module(process, "C:\\WINDOWS\\system32\\ntdll.dll", NTDLL, 0xb0000);
    if (headers) {
        pe_write(&pe, process->pointer == 8);
        if (exported) {
            put(&pe, NAMES_AT + 4 * 5, 4, 0x6a0);
            put_text(&pe, 0x6a0, "RtlpStackTraceDataBase");
            put(&pe, DATA_AT + 0x10, process->pointer, pointer);
        }
        memcpy(bytes, pe.bytes, IMAGE_SIZE);
    }
    hw_put_pointer(process, NTDLL + 0x7f0, pointer);
}

static void fixture_init(struct fixture *f, unsigned pointer, uint32_t count)
{
    uint64_t frames[32];

    hw_process_init(&f->process, pointer);
    f->process.global_flag = UST;
    hw_traces_init(&f->traces, &f->process, DATABASE,
                   DATABASE + 0x2000 + (uint64_t)count * (count < 1000 ? 0x140 : 0x40));
    for (uint32_t i = 1; i <= count; i++) {
        unsigned depth = count < 1000 ? 1 + i % 32 : 1;

        for (unsigned k = 0; k < depth; k++)
            frames[k] = 0x77000000 + i * 0x100 + k;
        hw_trace(&f->traces, i * 3, frames, depth);
    }
    hw_traces_end(&f->traces);
}

static void fixture_deinit(struct fixture *f)
{
    hw_process_deinit(&f->process);
}

static const struct hs_traces *traces_of(struct hs_dump *dump)
{
    const struct hs_traces *traces = NULL;
    struct hs_error err = {0};

    if (hs_dump_traces(dump, NULL, &traces, &err) != HS_OK)
        fail_msg("%s", err.text);
    return traces;
}

static void for_both(void (*run)(unsigned pointer))
{
    run(4);
    run(8);
}

/* ---- what is there is read ---- */

static void check_sound(unsigned pointer)
{
    struct fixture f;
    const struct hs_traces *traces;
    const struct hs_traces_info *info;
    struct hs_trace trace;
    struct hs_dump *dump;
    uint8_t *bytes;

    fixture_init(&f, pointer, 200);
    add_ntdll(&f.process, true, true, DATABASE);
    dump = hw_open(&f.process, 1, &bytes);
    traces = traces_of(dump);
    assert_non_null(traces);
    info = hs_traces_info(traces);
    assert_int_equal(info->va, DATABASE);
    assert_int_equal(info->pointer_va, NTDLL + DATA_AT + 0x10);
    assert_int_equal(info->source, HS_TRACES_SYMBOL);
    assert_int_equal(info->unproven, pointer == 8);
    assert_int_equal(info->acquire_va, 0x7c901000);
    assert_int_equal(info->release_va, 0x7c9010e0);
    assert_int_equal(info->okay_va, 0x7c9518ea);
    assert_int_equal(info->commit_va, DATABASE);
    assert_int_equal(info->next_lower_va, f.traces.next_lower);
    assert_int_equal(info->next_upper_va, f.traces.array_va - 200 * pointer);
    assert_int_equal(info->index_array_va, f.traces.array_va);
    assert_int_equal(info->looked_up, 600);
    assert_int_equal(info->added, 200);
    assert_int_equal(info->count, 200);
    assert_int_equal(info->bucket_count, 0x89);
    assert_int_equal(info->buckets_va, DATABASE + (pointer == 4 ? 0x6c : 0xc8));
    assert_int_equal(info->unreadable, 0);
    assert_int_equal(info->captures, 3 * 200 * 201 / 2);
    assert_false(info->wraps);
    assert_false(info->full);
    assert_int_equal(info->index_bits, 16);
    for (uint32_t i = 1; i <= 200; i++) {
        assert_int_equal(hs_traces_get(traces, i, &trace, NULL), HS_OK);
        assert_int_equal(trace.index, i);
        assert_int_equal(trace.stored, i);
        assert_int_equal(trace.count, 3 * i);
        assert_int_equal(trace.depth, 1 + i % 32);
        for (unsigned k = 0; k < trace.depth; k++)
            assert_int_equal(trace.frames[k], 0x77000000 + i * 0x100 + k);
    }
    assert_int_equal(hs_traces_get(traces, 0, &trace, NULL), HS_NOT_FOUND);
    assert_int_equal(hs_traces_get(traces, 201, &trace, NULL), HS_NOT_FOUND);
    assert_int_equal(hs_traces_get(traces, UINT32_MAX, &trace, NULL), HS_NOT_FOUND);
    hs_dump_close(dump);
    free(bytes);
    fixture_deinit(&f);
}

static void test_sound(void **state)
{
    (void)state;
    for_both(check_sound);
}

/* The figures of the case (a published session on Windows XP SP2, x86): 0x1ff6b entries, two of them as they were. */
static void test_case(void **state)
{
    static const uint32_t rpc[] = {
        0x7c96cf9a, 0x7c949564, 0x7c918f01, 0x77e781f9, 0x77e781d0, 0x77e7e697, 0x77e7e71a, 0x77e7ed6b, 0x77e93fde,
        0x77e936d3, 0x77e9f3db, 0x77e800aa, 0x77e7fdbc, 0x77e78a01, 0x77e78a38, 0x77e7906d, 0x77ef557d, 0x38b8ef6a,
        0x38b8ef26, 0x38b4c7ca, 0x38b4c70a, 0x38b4965b, 0x326172d1, 0x3261710f, 0x7c80b713,
    };
    static const uint32_t mapi[] = {
        0x7c96cf9a, 0x7c949564, 0x7c918f01, 0x38eea271, 0x38eea23c, 0x38ef0674,
        0x38ef4783, 0x38f0b31e, 0x38f0b208, 0x38ef82fa, 0x38f2d7fd, 0x100c8141,
    };
    static const struct {
        uint32_t index, va, chain, count;
        const uint32_t *frames;
        unsigned depth;
    } known[] = {{0x7dfe, 0x547c18, 0x54ecd0, 2, rpc, 25}, {0x17dfe, 0xcebde8, 0xced18c, 0x442ac, mapi, 12}};
    struct hw_process process;
    struct hw_traces planted = {0};
    const struct hs_traces *traces;
    const struct hs_traces_info *info;
    struct hs_trace trace;
    struct hs_dump *dump;
    uint8_t *memory, *bytes;
    uint64_t next = 0x162000;

    (void)state;
    hw_process_init(&process, 4);
    process.global_flag = UST;
    planted = (struct hw_traces){.process = &process, .va = DATABASE, .array_va = 0x1160000};
    memory = hw_map(&process, DATABASE, 0x1160000 - DATABASE);
    for (uint32_t i = 1; i <= 0x1ff6b; i++) {
        uint8_t *slot = memory + (0x1160000 - 4 * i - DATABASE), *entry;
        uint64_t va = next;

        for (unsigned k = 0; k < 2; k++) {
            if (va + 0x70 > known[k].va && va < known[k].va + 0x70u)
                va = known[k].va + 0x70;
            if (i == known[k].index)
                va = known[k].va;
        }
        entry = memory + (va - DATABASE);
        for (unsigned b = 0; b < 4; b++)
            slot[b] = (uint8_t)(va >> (8 * b));
        entry[4] = 1;
        entry[8] = (uint8_t)i;
        entry[9] = (uint8_t)(i >> 8);
        entry[10] = 3;
        entry[12] = 0x11;
        if (i != known[0].index && i != known[1].index)
            next = va + 0x18;
    }
    for (unsigned k = 0; k < 2; k++) {
        hw_put(&process, known[k].va, 4, known[k].chain);
        hw_put(&process, known[k].va + 4, 4, known[k].count);
        hw_put(&process, known[k].va + 10, 2, known[k].depth);
        for (unsigned i = 0; i < known[k].depth; i++)
            hw_put(&process, known[k].va + 12 + 4 * i, 4, known[k].frames[i]);
    }
    hw_trace_put(&planted, 'A', 0x7c901000);
    hw_trace_put(&planted, 'R', 0x7c9010e0);
    hw_trace_put(&planted, 'O', 0x7c9518ea);
    hw_trace_put(&planted, 'c', 0x00160000);
    hw_trace_put(&planted, 'l', 0x010e0000);
    hw_trace_put(&planted, 'u', 0x010e0000);
    hw_trace_put(&planted, 'n', 0x010dffec);
    hw_trace_put(&planted, 'N', 0x010e0254);
    hw_trace_put(&planted, 'k', 0x33c97e8);
    hw_trace_put(&planted, 'a', 0x1ff6b);
    hw_trace_put(&planted, 'i', 0x01160000);
    hw_trace_put(&planted, 'b', 0x89);
    hw_module(&process, "C:\\WINDOWS\\system32\\ntdll.dll", NTDLL, 0xb0000);
    hw_map(&process, 0x7c97b000, 0x1000);
    hw_put(&process, 0x7c97b170, 4, DATABASE);

    dump = hw_open(&process, 1, &bytes);
    traces = traces_of(dump);
    assert_non_null(traces);
    info = hs_traces_info(traces);
    assert_int_equal(info->pointer_va, 0x7c97b170);
    assert_int_equal(info->source, HS_TRACES_SCAN);
    assert_int_equal(info->count, 0x1ff6b);
    assert_int_equal(info->looked_up, 0x33c97e8);
    assert_int_equal(info->lower_limit_va, 0x010e0000);
    assert_int_equal(info->upper_limit_va, 0x010e0000);
    assert_int_equal(info->next_lower_va, 0x010dffec);
    assert_int_equal(info->next_upper_va, 0x010e0254);
    assert_int_equal(info->unreadable, 0);
    assert_true(info->wraps);
    assert_true(info->full);
    assert_false(info->unproven);
    assert_int_equal(info->captures, 0x1ff6b - 2 + 2 + 0x442ac);
    for (unsigned k = 0; k < 2; k++) {
        assert_int_equal(hs_traces_get(traces, known[k].index, &trace, NULL), HS_OK);
        assert_int_equal(trace.va, known[k].va);
        assert_int_equal(trace.chain_va, known[k].chain);
        assert_int_equal(trace.count, known[k].count);
        assert_int_equal(trace.stored, 0x7dfe);
        assert_int_equal(trace.depth, known[k].depth);
        for (unsigned i = 0; i < known[k].depth; i++)
            assert_int_equal(trace.frames[i], known[k].frames[i]);
    }
    assert_int_equal(hs_traces_candidate_count(traces, 0x7dfe), 2);
    assert_int_equal(hs_traces_candidate(traces, 0x7dfe, 0), 0x7dfe);
    assert_int_equal(hs_traces_candidate(traces, 0x7dfe, 1), 0x17dfe);
    assert_int_equal(hs_traces_candidate(traces, 0x7dfe, 2), 0);
    assert_int_equal(hs_traces_candidate_count(traces, 0xff6b), 2);
    assert_int_equal(hs_traces_candidate_count(traces, 0xff6c), 1);
    assert_int_equal(hs_traces_candidate_count(traces, 0xffff), 1);
    assert_int_equal(hs_traces_candidate_count(traces, 0), 1);
    assert_int_equal(hs_traces_candidate(traces, 0, 0), 0x10000);
    hs_dump_close(dump);
    free(bytes);
    hw_process_deinit(&process);
}

/* ---- candidates ---- */

static void check_candidates(unsigned pointer)
{
    static const struct {
        uint32_t entries, stored, count;
    } cases[] = {
        {1, 0, 0},
        {1, 1, 1},
        {1, 2, 0},
        {1, 0xffff, 0},
        {0xffff, 0, 0},
        {0xffff, 1, 1},
        {0xffff, 0xffff, 1},
        {0x10000, 0, 1},
        {0x10000, 1, 1},
        {0x10000, 0xffff, 1},
        {0x10001, 1, 2},
        {0x10001, 2, 1},
        {0x1ff6b, 0x7dfe, 2},
        {0x1ff6b, 0xffff, 1},
        {0x1ff6b, 0, 1},
        {0x1ffff, 0xffff, 2},
        {0x20000, 0, 2},
        {0x20000, 0xffff, 2},
    };
    struct fixture f;
    struct hs_dump *dump;
    uint8_t *bytes;

    /* One database; the number of its entries is all that matters here. */
    fixture_init(&f, pointer, 3);
    add_ntdll(&f.process, false, false, DATABASE);
    dump = hw_open(&f.process, 1, &bytes);
    assert_non_null(traces_of(dump));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct hs_traces traces = dump->traces;
        uint16_t stored = (uint16_t)cases[i].stored;
        uint32_t slow = 0;

        traces.info.count = cases[i].entries;
        for (uint32_t index = 1; index <= cases[i].entries; index++) {
            if ((uint16_t)index != stored)
                continue;
            assert_int_equal(hs_traces_candidate(&traces, stored, slow), index);
            slow++;
        }
        assert_int_equal(slow, cases[i].count);
        assert_int_equal(hs_traces_candidate_count(&traces, stored), slow);
        assert_int_equal(hs_traces_candidate(&traces, stored, slow), 0);
        assert_int_equal(hs_traces_candidate(&traces, stored, UINT32_MAX), 0);
    }
    hs_dump_close(dump);
    free(bytes);
    fixture_deinit(&f);
}

static void test_candidates(void **state)
{
    (void)state;
    for_both(check_candidates);
}

static void check_wraps(unsigned pointer)
{
    const uint32_t counts[] = {1, 0xffff, 0x10000};

    for (unsigned i = 0; i < 3; i++) {
        struct fixture f;
        const struct hs_traces *traces;
        struct hs_dump *dump;
        uint8_t *bytes;

        fixture_init(&f, pointer, counts[i]);
        add_ntdll(&f.process, false, false, DATABASE);
        dump = hw_open(&f.process, 1, &bytes);
        traces = traces_of(dump);
        assert_non_null(traces);
        assert_int_equal(hs_traces_info(traces)->count, counts[i]);
        assert_int_equal(hs_traces_info(traces)->wraps, counts[i] >= 0x10000);
        assert_int_equal(hs_traces_info(traces)->unreadable, 0);
        hs_dump_close(dump);
        free(bytes);
        fixture_deinit(&f);
    }
}

static void test_wraps(void **state)
{
    (void)state;
    for_both(check_wraps);
}

/* ---- entries that cannot be ---- */

static void check_entries(unsigned pointer)
{
    struct fixture f;
    const struct hs_traces *traces;
    struct hs_trace trace;
    struct hs_error err;
    struct hs_dump *dump;
    uint8_t *bytes;
    uint64_t va[10];
    unsigned index_at = pointer + 4, depth_at = pointer + 6;

    fixture_init(&f, pointer, 300);
    add_ntdll(&f.process, false, false, DATABASE);
    for (unsigned i = 0; i < 10; i++)
        va[i] = hw_get(&f.process, f.traces.array_va - (51 + i) * pointer, pointer);
    hw_put_pointer(&f.process, f.traces.array_va - 51 * pointer, 0x66660000); /* nowhere */
    hw_put_pointer(&f.process, f.traces.array_va - 52 * pointer, 0);
    hw_put(&f.process, va[2] + depth_at, 2, 0);
    hw_put(&f.process, va[3] + depth_at, 2, 33);
    hw_put(&f.process, va[4] + depth_at, 2, 0xffff);
    hw_put(&f.process, va[5] + index_at, 2, 57);
    hw_map(&f.process, 0x5000000, 0x18); /* its frames are not in the dump */
    hw_put(&f.process, 0x5000000 + index_at, 2, 57);
    hw_put(&f.process, 0x5000000 + depth_at, 2, 5);
    hw_put_pointer(&f.process, f.traces.array_va - 57 * pointer, 0x5000000);
    hw_put_pointer(&f.process, va[7], va[7]); /* a chain that leads to itself does no harm */
    dump = hw_open(&f.process, 1, &bytes);
    traces = traces_of(dump);
    assert_non_null(traces);
    assert_int_equal(hs_traces_info(traces)->unreadable, 7);
    assert_true(hw_has_note(dump, "7 of 300 entries cannot be read", "trace 33"));
    assert_int_equal(hs_traces_get(traces, 51, &trace, &err), HS_ERR_UNMAPPED);
    assert_int_equal(err.va, 0x66660000);
    assert_int_equal(hs_traces_get(traces, 52, &trace, &err), HS_ERR_UNMAPPED);
    for (uint32_t i = 53; i <= 56; i++) {
        assert_int_equal(hs_traces_get(traces, i, &trace, &err), HS_ERR_FORMAT);
        assert_int_equal(err.va, va[i - 51]);
        assert_non_null(strstr(err.text, i == 56 ? "Index 0039" : "Depth"));
    }
    assert_int_equal(hs_traces_get(traces, 57, &trace, &err), HS_ERR_UNMAPPED);
    assert_non_null(strstr(err.text, "frames"));
    assert_int_equal(hs_traces_get(traces, 58, &trace, &err), HS_OK);
    assert_int_equal(trace.chain_va, va[7]);
    hs_dump_close(dump);
    free(bytes);
    fixture_deinit(&f);
}

static void test_entries(void **state)
{
    (void)state;
    for_both(check_entries);
}

/* Part of the index array and part of the entries are not in the dump. */
static void check_missing(unsigned pointer)
{
    struct fixture f;
    const struct hs_traces *traces;
    struct hs_trace trace;
    struct hs_dump *dump;
    uint8_t *bytes;
    uint64_t slot;

    fixture_init(&f, pointer, 2000);
    add_ntdll(&f.process, false, false, DATABASE);
    slot = f.traces.array_va - 1000 * pointer;
    hw_omit(&f.process, slot, 10 * pointer); /* of 991 .. 1000 */
    hw_omit(&f.process, DATABASE + 0x1000, 0x100);
    dump = hw_open(&f.process, 1, &bytes);
    traces = traces_of(dump);
    assert_non_null(traces);
    assert_int_equal(hs_traces_get(traces, 990, &trace, NULL), HS_OK);
    assert_int_equal(hs_traces_get(traces, 991, &trace, NULL), HS_ERR_UNMAPPED);
    assert_int_equal(hs_traces_get(traces, 1000, &trace, NULL), HS_ERR_UNMAPPED);
    assert_int_equal(hs_traces_get(traces, 1001, &trace, NULL), HS_OK);
    assert_true(hs_traces_info(traces)->unreadable > 10);
    assert_true(hw_has_note(dump, "entries cannot be read", "not in the dump"));
    hs_dump_close(dump);
    free(bytes);
    fixture_deinit(&f);
}

static void test_missing(void **state)
{
    (void)state;
    for_both(check_missing);
}

/* ---- figures that cannot be ---- */

struct figure {
    char field;
    int64_t from_array; /* value: this, or relative to the index array if `relative` */
    bool relative;
    bool found;
    const char *note;
};

static void check_figures(unsigned pointer)
{
    const struct figure cases[] = {
        {'a', 0, false, false, "none was found"},
        {'a', 0x7fffffff, false, pointer == 4, "NumberOfEntriesAdded is 2147483647"}, /* the array's end tells it */
        {'a', 301, false, pointer == 4, "its figures do not agree"},
        {'i', 0, false, false, "none was found"},
        {'i', 2, true, false, "none was found"},
        {'b', 0, false, false, "none was found"},
        {'b', 0x7fffffff, false, false, "none was found"},
        {'c', 0, true, false, "none was found"},
        {'c', 0x66660000, false, false, "none was found"},
        {'N', 0, false, pointer == 4, pointer == 4 ? "its figures do not agree" : "none was found"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        struct hs_dump *dump;
        uint8_t *bytes;

        fixture_init(&f, pointer, 300);
        add_ntdll(&f.process, false, false, DATABASE);
        hw_trace_put(&f.traces, cases[i].field,
                     cases[i].relative ? f.traces.array_va + (uint64_t)cases[i].from_array
                                       : (uint64_t)cases[i].from_array);
        dump = hw_open(&f.process, 1, &bytes);
        if ((traces_of(dump) != NULL) != cases[i].found)
            fail_msg("x%u, case %zu: %s", pointer * 8, i, cases[i].found ? "not found" : "found");
        if (!cases[i].found)
            assert_true(hw_has_note(dump, "none was found", NULL));
        else if (!hw_has_note(dump, cases[i].note, NULL))
            fail_msg("x%u, case %zu: no note", pointer * 8, i);
        hs_dump_close(dump);
        free(bytes);
        fixture_deinit(&f);
    }
}

static void test_figures(void **state)
{
    (void)state;
    for_both(check_figures);
}

/* More entries told of than its array has room for: the array bounds them. */
static void test_array_bound(void **state)
{
    struct fixture f;
    const struct hs_traces *traces;
    struct hs_dump *dump;
    uint8_t *bytes;

    (void)state;
    fixture_init(&f, 4, 300);
    add_ntdll(&f.process, false, false, DATABASE);
    hw_trace_put(&f.traces, 'c', f.traces.array_va - 310 * 4);
    hw_trace_put(&f.traces, 'a', 100000);
    dump = hw_open(&f.process, 1, &bytes);
    traces = traces_of(dump);
    assert_non_null(traces);
    assert_int_equal(hs_traces_info(traces)->added, 100000);
    assert_int_equal(hs_traces_info(traces)->count, 310);
    assert_int_equal(hs_traces_info(traces)->unreadable, 10);
    assert_true(hw_has_note(dump, "its index array has 310", NULL));
    hs_dump_close(dump);
    free(bytes);
    fixture_deinit(&f);
}

/* Full: committed from both ends, and no room for the longest entry. */
static void check_full(unsigned pointer)
{
    unsigned largest = pointer == 4 ? 0x8c : 0x110;

    for (unsigned i = 0; i < 4; i++) {
        struct fixture f;
        struct hs_dump *dump;
        uint8_t *bytes;
        uint64_t limit;

        fixture_init(&f, pointer, 50);
        add_ntdll(&f.process, false, false, DATABASE);
        limit = f.traces.next_lower + largest - (i == 1 ? 0 : 1);
        hw_trace_put(&f.traces, 'l', limit);
        hw_trace_put(&f.traces, 'u', i == 2 ? limit + 0x1000 : limit);
        if (i == 3)
            hw_trace_put(&f.traces, 'l', f.traces.next_lower - 8);
        dump = hw_open(&f.process, 1, &bytes);
        assert_non_null(traces_of(dump));
        assert_int_equal(hs_traces_info(traces_of(dump))->full, i == 0);
        hs_dump_close(dump);
        free(bytes);
        fixture_deinit(&f);
    }
}

static void test_full(void **state)
{
    (void)state;
    for_both(check_full);
}

/* ---- where it is looked for ---- */

/* Pointers in ntdll's data to what looks like a database at first. */
static void check_decoys(unsigned pointer)
{
    struct fixture f;
    struct hw_traces decoy;
    struct hs_dump *dump;
    uint8_t *bytes;

    fixture_init(&f, pointer, 100);
    add_ntdll(&f.process, true, false, DATABASE);
    /* Figures as they should be; nothing where the index array leads. */
    hw_traces_init(&decoy, &f.process, 0x3000000, 0x3004000);
    decoy.count = 40;
    hw_traces_end(&decoy);
    hw_put_pointer(&f.process, NTDLL + DATA_AT, 0x3000000);
    hw_put_pointer(&f.process, NTDLL + DATA_AT + pointer, DATABASE + 4);
    hw_put_pointer(&f.process, NTDLL + DATA_AT + 2 * pointer, NTDLL);
    hw_put_pointer(&f.process, NTDLL + DATA_AT + 3 * pointer, UINT64_MAX);
    hw_put_pointer(&f.process, NTDLL + DATA_AT + 4 * pointer, 0x66660000);
    hw_put_pointer(&f.process, NTDLL + TEXT_AT, DATABASE); /* code is not looked through */
    dump = hw_open(&f.process, 1, &bytes);
    assert_non_null(traces_of(dump));
    assert_int_equal(hs_traces_info(traces_of(dump))->va, DATABASE);
    assert_int_equal(hs_traces_info(traces_of(dump))->pointer_va, NTDLL + 0x7f0);
    assert_int_equal(hs_traces_info(traces_of(dump))->source, HS_TRACES_SCAN);
    hs_dump_close(dump);
    free(bytes);
    fixture_deinit(&f);
}

static void test_decoys(void **state)
{
    (void)state;
    for_both(check_decoys);
}

/* The export leads nowhere: the scan finds it all the same. */
static void check_symbol_wrong(unsigned pointer)
{
    struct fixture f;
    struct hs_dump *dump;
    uint8_t *bytes;

    fixture_init(&f, pointer, 100);
    add_ntdll(&f.process, true, true, DATABASE);
    hw_put_pointer(&f.process, NTDLL + DATA_AT + 0x10, 0x66660000);
    dump = hw_open(&f.process, 1, &bytes);
    assert_non_null(traces_of(dump));
    assert_int_equal(hs_traces_info(traces_of(dump))->source, HS_TRACES_SCAN);
    hs_dump_close(dump);
    free(bytes);
    fixture_deinit(&f);
}

static void test_symbol_wrong(void **state)
{
    (void)state;
    for_both(check_symbol_wrong);
}

static void check_none(unsigned pointer)
{
    for (unsigned i = 0; i < 5; i++) {
        struct fixture f;
        struct hs_dump *dump;
        uint8_t *bytes;
        bool quiet = i == 2 || i == 4;

        fixture_init(&f, pointer, 100);
        if (i != 0) /* 0: no ntdll at all */
            add_ntdll(&f.process, false, false, i == 1 || i == 2 ? 0 : DATABASE);
        if (quiet)
            f.process.global_flag = 0;
        if (i >= 3)
            f.process.major = 6;
        dump = hw_open(&f.process, 1, &bytes);
        assert_null(traces_of(dump));
        assert_null(traces_of(dump)); /* asked again */
        if (i >= 3)
            assert_int_equal(hw_has_note(dump, "the stack trace database of Windows 6.", "not read"), !quiet);
        else
            assert_int_equal(hw_has_note(dump, "none was found", NULL), !quiet);
        hs_dump_close(dump);
        free(bytes);
        fixture_deinit(&f);
    }
}

static void test_none(void **state)
{
    (void)state;
    for_both(check_none);
}

static void test_cancel(void **state)
{
    struct fixture f;
    struct hs_dump *dump;
    struct hs_job *job = hs_job_create();
    const struct hs_traces *traces = NULL;
    uint8_t *bytes;

    (void)state;
    assert_non_null(job);
    fixture_init(&f, 4, 0x4100);
    add_ntdll(&f.process, false, false, DATABASE);
    dump = hw_open(&f.process, 1, &bytes);
    hs_job_cancel(job);
    assert_int_equal(hs_dump_traces(dump, job, &traces, NULL), HS_ERR_CANCELLED);
    assert_non_null(traces_of(dump));
    assert_int_equal(hs_traces_info(traces_of(dump))->unreadable, 0);
    hs_dump_close(dump);
    hs_job_destroy(job);
    free(bytes);
    fixture_deinit(&f);
}

/* ---- seeds for fuzzing: a byte for the pointer width, then the memory of a database ---- */

static int write_seeds(const char *folder)
{
    for (unsigned pointer = 4; pointer <= 8; pointer += 4) {
        const uint64_t frames[] = {0x7c96cf9a, 0x7c949564, 0x7c918f01, 0x38eea271};
        struct hw_process process;
        struct hw_traces traces;
        char path[512];
        FILE *file;

        hw_process_init(&process, pointer);
        hw_traces_init(&traces, &process, DATABASE, DATABASE + 0x700);
        for (unsigned i = 0; i < 10; i++)
            hw_trace(&traces, i, frames, 1 + i % 4);
        hw_traces_end(&traces);
        snprintf(path, sizeof path, "%s/x%u.bin", folder, pointer == 4 ? 86 : 64);
        file = fopen(path, "wb");
        if (!file || fputc(pointer == 8, file) == EOF || fwrite(hw_at(&process, DATABASE), 1, 0x700, file) != 0x700 ||
            fclose(file) != 0) {
            fprintf(stderr, "trace_test: %s cannot be written\n", path);
            return 1;
        }
        hw_process_deinit(&process);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),   cmocka_unit_test(test_case),         cmocka_unit_test(test_candidates),
        cmocka_unit_test(test_wraps),   cmocka_unit_test(test_entries),      cmocka_unit_test(test_missing),
        cmocka_unit_test(test_figures), cmocka_unit_test(test_array_bound),  cmocka_unit_test(test_full),
        cmocka_unit_test(test_decoys),  cmocka_unit_test(test_symbol_wrong), cmocka_unit_test(test_none),
        cmocka_unit_test(test_cancel),
    };

    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
