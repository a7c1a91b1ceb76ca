/* space_test.c - engine/space/: reads, views and searches across borders and gaps, and at both ends of addresses. */
#include "space/space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define RANGES_MAX 16u

struct fixture {
    struct hs_space space;
    uint8_t *pieces[RANGES_MAX]; /* allocated to the byte, so that the sanitizer sees every step too far */
    struct hs_range ranges[RANGES_MAX];
    size_t count;
};

static uint8_t byte_at(hs_va va)
{
    return (uint8_t)(va * 7 + va / 256 + 3);
}

static void add(struct fixture *f, hs_va va, uint64_t size)
{
    uint8_t *bytes = malloc(size ? size : 1);

    assert_non_null(bytes);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = byte_at(va + i);
    f->pieces[f->count] = bytes;
    f->ranges[f->count++] = (struct hs_range){va, size, bytes};
}

static void open_space(struct fixture *f, unsigned pointer_size)
{
    assert_int_equal(hs_space_init(&f->space, f->ranges, f->count, pointer_size, NULL), HS_OK);
}

static void close_space(struct fixture *f)
{
    hs_space_deinit(&f->space);
    for (size_t i = 0; i < f->count; i++)
        free(f->pieces[i]);
    memset(f, 0, sizeof *f);
}

/* Four ranges: two that touch, a gap, two that touch at an odd address. */
static void open_four(struct fixture *f, unsigned pointer_size)
{
    memset(f, 0, sizeof *f);
    add(f, 0x1000, 0x100);
    add(f, 0x1100, 0x80);
    add(f, 0x2000, 0x13);
    add(f, 0x2013, 0x10);
    open_space(f, pointer_size);
}

static bool is_there(hs_va va)
{
    return (va >= 0x1000 && va < 0x1180) || (va >= 0x2000 && va < 0x2023);
}

static void test_init(void **state)
{
    static const uint8_t bytes[0x300];
    const struct hs_range ranges[] = {
        {0x1000, 0x100, bytes},                             /* one with the next: touches in address and in bytes */
        {0x1100, 0x100, bytes + 0x100}, {0x1200, 0, bytes}, /* empty: not kept */
        {0x1200, 0x10, bytes + 0x210},                      /* touches in address only */
        {0x1300, 0x10, bytes + 0x220},                      /* touches in bytes only */
    };
    struct hs_space space;

    (void)state;
    assert_int_equal(hs_space_init(&space, ranges, 5, 4, NULL), HS_OK);
    assert_int_equal(space.range_count, 3);
    assert_true(space.ranges[0].va == 0x1000 && space.ranges[0].size == 0x200);
    assert_true(space.ranges[1].va == 0x1200 && space.ranges[2].va == 0x1300);
    hs_space_deinit(&space);
    hs_space_deinit(&space);
    assert_int_equal(hs_space_init(&space, NULL, 0, 8, NULL), HS_OK);
    assert_int_equal(space.range_count, 0);
    assert_int_equal(hs_space_view(&space, 0).size, 0);
    assert_int_equal(hs_space_read(&space, 0x1000, &space, 1), 0);
    assert_int_equal(hs_space_present(&space, 0, UINT64_MAX), 0);
    assert_int_equal(hs_space_range_from(&space, 5), 0);
    hs_space_deinit(&space);
}

static void test_view(void **state)
{
    struct fixture f;

    (void)state;
    open_four(&f, 4);
    for (hs_va va = 0xff0; va < 0x2100; va++) {
        struct hs_span view = hs_space_view(&f.space, va);
        size_t from = hs_space_range_from(&f.space, va);

        assert_int_equal(view.size != 0, is_there(va));
        if (view.size) {
            assert_int_equal(*view.bytes, byte_at(va));
            assert_int_equal(view.bytes[view.size - 1], byte_at(va + view.size - 1));
            assert_true(f.space.ranges[from].va <= va);
        } else {
            assert_null(view.bytes);
            assert_true(from == f.space.range_count || f.space.ranges[from].va > va);
        }
        assert_true(from == 0 || f.space.ranges[from - 1].va + f.space.ranges[from - 1].size <= va);
    }
    assert_int_equal(hs_space_view(&f.space, 0x10ff).size, 1);
    close_space(&f);
}

static void test_read(void **state)
{
    struct fixture f;
    uint8_t bytes[0x400];

    (void)state;
    open_four(&f, 4);
    for (hs_va va = 0xff8; va < 0x2030; va++) {
        for (uint64_t size = 0; size < 0x30; size++) {
            uint64_t want = 0, present = 0, got;

            while (want < size && is_there(va + want))
                want++;
            for (uint64_t i = 0; i < size; i++)
                present += is_there(va + i);
            memset(bytes, 0xee, sizeof bytes);
            got = hs_space_read(&f.space, va, bytes, size);
            assert_true(got == want);
            for (uint64_t i = 0; i < got; i++)
                assert_int_equal(bytes[i], byte_at(va + i));
            assert_int_equal(bytes[got], 0xee); /* not a byte too many */
            assert_int_equal(hs_space_read_all(&f.space, va, bytes, size), want == size);
            assert_true(hs_space_present(&f.space, va, size) == present);
        }
    }
    assert_int_equal(hs_space_read(&f.space, 0x1000, bytes, sizeof bytes), 0x180);
    assert_int_equal(hs_space_present(&f.space, 0, UINT64_MAX), 0x180 + 0x23);
    close_space(&f);
}

static void test_integers(void **state)
{
    struct fixture f;

    (void)state;
    for (unsigned pointer_size = 4; pointer_size <= 8; pointer_size += 4) {
        open_four(&f, pointer_size);
        for (hs_va va = 0x10f4; va < 0x1190; va++) {
            for (unsigned size = 1; size <= 8; size++) {
                uint64_t want = 0, got = 0x5555;
                bool there = is_there(va) && is_there(va + size - 1);

                for (unsigned i = 0; i < size; i++)
                    want |= (uint64_t)byte_at(va + i) << 8 * i;
                assert_int_equal(hs_space_uint(&f.space, va, size, &got), there);
                assert_true(got == (there ? want : 0x5555));
                got = 0x5555;
                if (size == pointer_size) {
                    assert_int_equal(hs_space_pointer(&f.space, va, &got), there);
                    assert_true(got == (there ? want : 0x5555));
                }
            }
        }
        uint64_t value = 9;
        assert_false(hs_space_uint(&f.space, 0x1000, 9, &value));
        assert_int_equal(value, 9);
        close_space(&f);
    }
}

/* The first and the last bytes of 64-bit addresses. The very last one, UINT64_MAX, cannot be in a dump. */
static void test_ends(void **state)
{
    struct fixture f = {0};
    uint8_t bytes[64];
    uint64_t value;
    hs_va found;

    (void)state;
    add(&f, 0, 0x20);
    add(&f, UINT64_MAX - 0x20, 0x20);
    open_space(&f, 8);
    assert_int_equal(hs_space_view(&f.space, 0).size, 0x20);
    assert_int_equal(hs_space_view(&f.space, UINT64_MAX - 1).size, 1);
    assert_int_equal(hs_space_view(&f.space, UINT64_MAX).size, 0);
    assert_int_equal(hs_space_read(&f.space, UINT64_MAX - 4, bytes, sizeof bytes), 4); /* does not go on at 0 */
    assert_int_equal(hs_space_read(&f.space, UINT64_MAX, bytes, sizeof bytes), 0);
    assert_false(hs_space_uint(&f.space, UINT64_MAX - 3, 8, &value));
    assert_true(hs_space_uint(&f.space, UINT64_MAX - 8, 8, &value));
    assert_int_equal(hs_space_present(&f.space, UINT64_MAX - 8, 0x100), 8);
    assert_int_equal(hs_space_present(&f.space, 0, UINT64_MAX), 0x40);
    assert_int_equal(hs_space_present(&f.space, UINT64_MAX, UINT64_MAX), 0);
    assert_int_equal(hs_space_range_from(&f.space, UINT64_MAX), 2);

    assert_int_equal(hs_space_find(&f.space, f.pieces[1] + 0x1c, 4, 0x20, UINT64_MAX, 1, NULL, &found), HS_OK);
    assert_true(found == UINT64_MAX - 4);
    assert_int_equal(hs_space_find(&f.space, f.pieces[1] + 0x1c, 4, 0x20, UINT64_MAX - 1, 1, NULL, &found),
                     HS_NOT_FOUND);
    assert_int_equal(hs_space_find(&f.space, "none", 4, UINT64_MAX, UINT64_MAX, 1, NULL, &found), HS_NOT_FOUND);
    assert_int_equal(hs_space_find(&f.space, "none", 4, 0, UINT64_MAX, 1, NULL, &found), HS_NOT_FOUND);
    close_space(&f);
}

/* What hs_space_find should give, the slow way. */
static hs_va find_slowly(const struct hs_space *space, const uint8_t *pattern, size_t size, hs_va from, hs_va to,
                         uint64_t align)
{
    uint8_t bytes[64];

    for (hs_va va = from; va + size <= to; va++)
        if (va % align == 0 && hs_space_read(space, va, bytes, size) == size && memcmp(bytes, pattern, size) == 0)
            return va;
    return HS_NO_VA;
}

static void test_find(void **state)
{
    static const uint64_t aligns[] = {1, 2, 3, 4, 8, 16, 0x100};
    struct fixture f;
    uint32_t seed = 1;

    (void)state;
    memset(&f, 0, sizeof f);
    add(&f, 0x1000, 0x40); /* of three different bytes, so that there is much to find */
    add(&f, 0x1040, 1);
    add(&f, 0x1041, 2);
    add(&f, 0x1043, 0x3d);
    add(&f, 0x1090, 0x31);
    for (size_t i = 0; i < f.count; i++)
        for (uint64_t k = 0; k < f.ranges[i].size; k++)
            f.pieces[i][k] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16) % 3;
    open_space(&f, 4);
    assert_int_equal(f.space.range_count, 5);
    for (unsigned round = 0; round < 40000; round++) {
        uint8_t pattern[12];
        size_t size;
        uint64_t align;
        hs_va from, to, want, found = HS_NO_VA;
        enum hs_status status;

        seed = seed * 1103515245 + 12345;
        size = 1 + (seed >> 16) % sizeof pattern;
        align = aligns[(seed >> 20) % 7];
        from = 0xff0 + (seed >> 8) % 0xf0;
        to = from + (seed >> 14) % 0xe0;
        for (size_t i = 0; i < size; i++)
            pattern[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16) % 3;
        if (round % 2) /* a pattern that is there somewhere */
            hs_space_read(&f.space, 0x1000 + seed / 65536 % 0xc0, pattern, size);
        want = find_slowly(&f.space, pattern, size, from, to, align);
        status = hs_space_find(&f.space, pattern, size, from, to, align, NULL, &found);
        assert_int_equal(status, want == HS_NO_VA ? HS_NOT_FOUND : HS_OK);
        assert_true(found == want);
    }
    close_space(&f);
}

static void test_find_borders(void **state)
{
    struct fixture f;
    uint8_t pattern[0x180];
    hs_va found;

    (void)state;
    open_four(&f, 4);
    hs_space_read(&f.space, 0x1000, pattern, 0x180);
    assert_int_equal(hs_space_find(&f.space, pattern, 0x180, 0, UINT64_MAX, 1, NULL, &found), HS_OK);
    assert_true(found == 0x1000); /* the whole of two ranges */
    assert_int_equal(hs_space_find(&f.space, pattern, 0x180, 0x1001, UINT64_MAX, 1, NULL, &found), HS_NOT_FOUND);
    assert_int_equal(hs_space_find(&f.space, pattern, 0x180, 0x1000, 0x1180, 1, NULL, &found), HS_OK);
    assert_int_equal(hs_space_find(&f.space, pattern, 0x180, 0x1000, 0x117f, 1, NULL, &found), HS_NOT_FOUND);
    assert_int_equal(hs_space_find(&f.space, pattern + 0xfe, 4, 0, UINT64_MAX, 1, NULL, &found), HS_OK);
    assert_true(found == 0x10fe);
    assert_int_equal(hs_space_find(&f.space, pattern + 0xfe, 4, 0, UINT64_MAX, 4, NULL, &found), HS_NOT_FOUND);
    assert_int_equal(hs_space_find(&f.space, pattern + 0xfc, 8, 0, UINT64_MAX, 4, NULL, &found), HS_OK);
    assert_true(found == 0x10fc);
    assert_int_equal(hs_space_find(&f.space, f.pieces[3] + 0xc, 4, 0x2000, UINT64_MAX, 1, NULL, &found), HS_OK);
    assert_true(found == 0x201f); /* the last bytes there are */
    assert_int_equal(hs_space_find(&f.space, pattern, 0, 0, UINT64_MAX, 1, NULL, &found), HS_NOT_FOUND);
    assert_int_equal(hs_space_find(&f.space, pattern, 4, 0, UINT64_MAX, 0, NULL, &found), HS_NOT_FOUND);
    assert_int_equal(hs_space_find(&f.space, pattern, 4, 0x1000, 3, 1, NULL, &found), HS_NOT_FOUND);
    assert_int_equal(hs_space_find(&f.space, pattern, 4, 0x1000, 0x1000, 1, NULL, &found), HS_NOT_FOUND);
    close_space(&f);
}

static void test_find_large(void **state)
{
    const uint64_t size = 0x2400000; /* more than two steps of the search */
    static const hs_va places[] = {0x10000000, 0x10fffffe, 0x11000000, 0x11000007, 0x12000001, 0x123ffffc};
    uint8_t *bytes = calloc(size, 1);
    struct hs_range range = {0x10000000, size, bytes};
    struct hs_space space;
    struct hs_job *job = hs_job_create();
    hs_va found;

    (void)state;
    assert_non_null(bytes);
    assert_non_null(job);
    assert_int_equal(hs_space_init(&space, &range, 1, 4, NULL), HS_OK);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        memcpy(bytes + (places[i] - range.va), "\1\2\3\4", 4);
        assert_int_equal(hs_space_find(&space, "\1\2\3\4", 4, 0, UINT64_MAX, 1, job, &found), HS_OK);
        assert_true(found == places[i]);
        memset(bytes + (places[i] - range.va), 0, 4);
    }
    hs_job_cancel(job);
    found = 7;
    assert_int_equal(hs_space_find(&space, "\1\2\3\4", 4, 0, UINT64_MAX, 1, job, &found), HS_ERR_CANCELLED);
    assert_int_equal(found, 7);
    hs_job_destroy(job);
    hs_space_deinit(&space);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init),         cmocka_unit_test(test_view),       cmocka_unit_test(test_read),
        cmocka_unit_test(test_integers),     cmocka_unit_test(test_ends),       cmocka_unit_test(test_find),
        cmocka_unit_test(test_find_borders), cmocka_unit_test(test_find_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
