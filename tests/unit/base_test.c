/* base_test.c - engine/base/: bytes, text, arena, look-up, errors, notes, parallel loops, jobs. */
#include "base/base.h"
#include "failing.h"

#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- bytes ---- */

static void test_loads(void **state)
{
    static const uint8_t bytes[] = {0xff, 0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8, 0x09};

    (void)state;
    assert_int_equal(hs_load_u16(bytes + 1), 0x9281); /* odd addresses too */
    assert_int_equal(hs_load_u32(bytes + 1), 0xb4a39281);
    assert_true(hs_load_u64(bytes + 1) == 0xf8e7d6c5b4a39281);
    for (unsigned size = 0; size <= 8; size++) {
        uint64_t mask = size == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * size) - 1;
        assert_true(hs_load_uint(bytes + 1, size) == (0xf8e7d6c5b4a39281 & mask));
    }
    assert_true(hs_load_uint(bytes + 1, 9) == 0xf8e7d6c5b4a39281);
}

static void test_span_part(void **state)
{
    static const uint8_t bytes[10];
    const struct hs_span span = {bytes, 10};
    const struct {
        uint64_t off, size;
        bool fits;
    } rows[] = {
        {0, 10, true},
        {0, 0, true},
        {10, 0, true},
        {3, 7, true},
        {9, 1, true},
        {0, 11, false},
        {10, 1, false},
        {11, 0, false},
        {3, 8, false},
        {UINT64_MAX, 1, false},
        {1, UINT64_MAX, false},
        {UINT64_MAX, UINT64_MAX, false},
        {5, UINT64_MAX - 4, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct hs_span part = {NULL, 77};

        assert_int_equal(hs_span_part(span, rows[i].off, rows[i].size, &part), rows[i].fits);
        if (rows[i].fits) {
            assert_ptr_equal(part.bytes, bytes + rows[i].off);
            assert_true(part.size == rows[i].size);
        } else {
            assert_null(part.bytes);
            assert_int_equal(part.size, 77);
        }
    }
}

static void test_span_integers(void **state)
{
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const struct hs_span span = {bytes, sizeof bytes}, none = {NULL, 0};
    uint16_t half = 7;
    uint32_t word = 7;
    uint64_t wide = 7;

    (void)state;
    assert_false(hs_span_u16(span, 8, &half) || hs_span_u16(span, UINT64_MAX, &half) || hs_span_u16(none, 0, &half));
    assert_false(hs_span_u32(span, 6, &word) || hs_span_u32(span, UINT64_MAX - 1, &word) ||
                 hs_span_u32(none, 0, &word));
    assert_false(hs_span_u64(span, 2, &wide) || hs_span_u64(span, UINT64_MAX - 7, &wide) ||
                 hs_span_u64(none, 0, &wide));
    assert_true(half == 7 && word == 7 && wide == 7);
    assert_true(hs_span_u16(span, 7, &half) && half == 0x0908);
    assert_true(hs_span_u32(span, 5, &word) && word == 0x09080706);
    assert_true(hs_span_u64(span, 1, &wide) && wide == 0x0908070605040302);
}

static void test_arithmetic(void **state)
{
    uint64_t result;

    (void)state;
    assert_true(hs_add_u64(UINT64_MAX, 0, &result) && result == UINT64_MAX);
    assert_true(hs_add_u64(UINT64_MAX - 5, 5, &result) && result == UINT64_MAX);
    assert_false(hs_add_u64(UINT64_MAX, 1, &result));
    assert_false(hs_add_u64(UINT64_MAX, UINT64_MAX, &result));
    assert_true(hs_mul_u64(0, UINT64_MAX, &result) && result == 0);
    assert_true(hs_mul_u64(UINT64_MAX, 0, &result) && result == 0);
    assert_true(hs_mul_u64(UINT64_MAX, 1, &result) && result == UINT64_MAX);
    assert_true(hs_mul_u64(0xffffffff, 0x100000001, &result) && result == UINT64_MAX);
    assert_false(hs_mul_u64((uint64_t)1 << 32, (uint64_t)1 << 32, &result));
    assert_false(hs_mul_u64(3, UINT64_MAX / 3 + 1, &result));
}

/* ---- text ---- */

#define ESCAPED(want, in, keep) assert_escaped(want, in, sizeof in - 1, keep, __LINE__)

static void assert_escaped(const char *want, const char *in, size_t size, bool keep_lines, int line)
{
    char *exact = malloc(size + 1); /* to the byte: the sanitizer sees each look past the end */
    struct hs_text text;

    assert_non_null(exact);
    exact = realloc(exact, size ? size : 1);
    memcpy(exact, in, size);
    hs_text_init(&text);
    hs_text_add_escaped(&text, exact, size, keep_lines);
    assert_false(text.failed);
    if (strcmp(text.bytes ? text.bytes : "", want) != 0 || text.size != strlen(want))
        fail_msg("line %d: \"%s\", expected \"%s\"", line, text.bytes, want);
    hs_text_deinit(&text);
    free(exact);
}

static void test_text_grows(void **state)
{
    struct hs_text text;

    (void)state;
    hs_text_init(&text);
    assert_null(text.bytes);
    hs_text_add(&text, "%s", "");
    assert_string_equal(text.bytes, "");
    for (unsigned i = 0; i < 1000; i++)
        hs_text_add(&text, "%03u,", i);
    assert_int_equal(text.size, 4000);
    assert_int_equal(strlen(text.bytes), 4000);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(strtoul(text.bytes + 4 * i, NULL, 10), i);
    hs_text_deinit(&text);
    assert_null(text.bytes);
    hs_text_deinit(&text);
    /* exactly at the borders of what is reserved */
    for (size_t size = 60; size <= 130; size++) {
        char buffer[131];

        memset(buffer, 'x', size);
        buffer[size] = 0;
        hs_text_add(&text, "%s", buffer);
        assert_string_equal(text.bytes, buffer);
        hs_text_deinit(&text);
        hs_text_add_escaped(&text, buffer, size, false);
        assert_string_equal(text.bytes, buffer);
        hs_text_deinit(&text);
    }
}

static void test_text_out_of_memory(void **state)
{
    char big[200];
    struct hs_text text;

    (void)state;
    memset(big, 'y', sizeof big);
    big[sizeof big - 1] = 0;
    hs_text_init(&text);
    hs_text_add(&text, "kept");
    allocations_fail(0, ULONG_MAX);
    hs_text_add(&text, "%s", big);
    allocations_succeed();
    assert_true(text.failed);
    assert_string_equal(text.bytes, "kept");
    hs_text_add(&text, "not added any more");
    hs_text_add_escaped(&text, "nor this", 8, false);
    hs_text_add_utf16(&text, "a\0b\0", 2);
    assert_string_equal(text.bytes, "kept");
    assert_true(text.failed);
    hs_text_deinit(&text);
    assert_false(text.failed);
    allocations_fail(0, ULONG_MAX);
    hs_text_add_escaped(&text, "x", 1, false);
    allocations_succeed();
    assert_true(text.failed);
    assert_null(text.bytes);
    hs_text_deinit(&text);
}

static void test_escape_plain(void **state)
{
    (void)state;
    ESCAPED("", "", false);
    ESCAPED("C:\\a b~!", "C:\\a b~!", false);
    ESCAPED("\xc2\xa0\xc3\xa4\xd0\x96\xe2\x82\xac\xef\xbf\xbd\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf",
            "\xc2\xa0\xc3\xa4\xd0\x96\xe2\x82\xac\xef\xbf\xbd\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf", false);
    ESCAPED("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80",
            "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80",
            false); /* the smallest and largest of each length */
}

static void test_escape_control(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 0xa0; c++) {
        char in[3] = {'a', (char)c, 0}, want[16];
        bool plain = c >= 0x20 && c < 0x7f;

        snprintf(want, sizeof want, plain ? "a%c" : "a\\x%02x", c);
        assert_escaped(want, in, 2, false, __LINE__);
        if (c == '\n' || c == '\t')
            assert_escaped(c == '\n' ? "a\n" : "a\t", in, 2, true, __LINE__);
        else
            assert_escaped(want, in, 2, true, __LINE__);
    }
    for (unsigned c = 0x80; c < 0xa0; c++) { /* C1 control characters as UTF-8 */
        char in[3] = {(char)0xc2, (char)c, 'b'}, want[16];

        snprintf(want, sizeof want, "\\xc2\\x%02xb", c);
        assert_escaped(want, in, 3, true, __LINE__);
    }
}

static size_t put_utf8(char *bytes, unsigned point) /* three bytes or two */
{
    if (point < 0x800) {
        bytes[0] = (char)(0xc0 + point / 64);
        bytes[1] = (char)(0x80 + point % 64);
        return 2;
    }
    bytes[0] = (char)(0xe0 + point / 4096);
    bytes[1] = (char)(0x80 + point / 64 % 64);
    bytes[2] = (char)(0x80 + point % 64);
    return 3;
}

static void test_escape_direction(void **state)
{
    static const unsigned bad[] = {0x61c,  0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c,
                                   0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0xfeff};
    static const unsigned good[] = {0x61b, 0x61d, 0x2010, 0x2027, 0x202f, 0x2065, 0x206a, 0xfefe, 0xff00};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char in[4], want[16] = "";
        size_t size = put_utf8(in, bad[i]);

        for (size_t k = 0; k < size; k++)
            snprintf(want + strlen(want), sizeof want - strlen(want), "\\x%02x", (unsigned char)in[k]);
        assert_escaped(want, in, size, true, __LINE__);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char in[4] = {0};
        size_t size = put_utf8(in, good[i]);

        assert_escaped(in, in, size, false, __LINE__);
    }
}

static void test_escape_not_utf8(void **state)
{
    (void)state;
    ESCAPED("\\x80", "\x80", false); /* continuation alone */
    ESCAPED("a\\xbf\\xbf"
            "b",
            "a\xbf\xbf"
            "b",
            false);
    ESCAPED("\\xc0\\xaf", "\xc0\xaf", false); /* overlong, two bytes */
    ESCAPED("\\xc1\\xbf", "\xc1\xbf", false);
    ESCAPED("\\xe0\\x80\\xaf", "\xe0\x80\xaf", false); /* overlong, three */
    ESCAPED("\\xe0\\x9f\\xbf", "\xe0\x9f\xbf", false);
    ESCAPED("\\xf0\\x80\\x80\\xaf", "\xf0\x80\x80\xaf", false); /* overlong, four */
    ESCAPED("\\xf0\\x8f\\xbf\\xbf", "\xf0\x8f\xbf\xbf", false);
    ESCAPED("\\xed\\xa0\\x80", "\xed\xa0\x80", false); /* surrogates */
    ESCAPED("\\xed\\xbf\\xbf", "\xed\xbf\xbf", false);
    ESCAPED("\\xf4\\x90\\x80\\x80", "\xf4\x90\x80\x80", false); /* above U+10FFFF */
    ESCAPED("\\xf5\\x80\\x80\\x80", "\xf5\x80\x80\x80", false);
    ESCAPED("\\xf8\\x88\\x80\\x80\\x80", "\xf8\x88\x80\x80\x80", false);
    ESCAPED("\\xfe\\xff", "\xfe\xff", false);
    ESCAPED("\\xc3", "\xc3", false); /* cut */
    ESCAPED("\\xe2\\x82", "\xe2\x82", false);
    ESCAPED("\\xf0\\x9f\\x98", "\xf0\x9f\x98", false);
    ESCAPED("\\xc3(", "\xc3(", false); /* broken off by another character */
    ESCAPED("\\xe2(\\x82", "\xe2(\x82", false);
    ESCAPED("\\xe2\\x82(", "\xe2\x82(", false);
    ESCAPED("\\xf0\\x9f\\x98\xc3\xa4", "\xf0\x9f\x98\xc3\xa4", false);
}

static void assert_utf16(const char *want, const char *want_raw, const uint16_t *units, size_t count, int line)
{
    uint8_t *bytes = malloc(2 * count + 1);
    struct hs_text text;

    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++) {
        bytes[1 + 2 * i] = (uint8_t)units[i]; /* at an odd address */
        bytes[2 + 2 * i] = (uint8_t)(units[i] >> 8);
    }
    for (int raw = 0; raw < 2; raw++) {
        const char *expected = raw ? want_raw : want;

        hs_text_init(&text);
        (raw ? hs_text_add_utf16_raw : hs_text_add_utf16)(&text, bytes + 1, count);
        if (strcmp(text.bytes ? text.bytes : "", expected) != 0)
            fail_msg("line %d: \"%s\", expected \"%s\"", line, text.bytes, expected);
        hs_text_deinit(&text);
    }
    free(bytes);
}

#define UTF16(want, want_raw, ...)                                                                                     \
    assert_utf16(want, want_raw, (const uint16_t[]){__VA_ARGS__}, sizeof(const uint16_t[]){__VA_ARGS__} / 2, __LINE__)

static void test_utf16(void **state)
{
    (void)state;
    assert_utf16("", "", (const uint16_t[]){'x'}, 0, __LINE__);
    UTF16("a\xc3\xa4\xe2\x82\xac", "a\xc3\xa4\xe2\x82\xac", 'a', 0xe4, 0x20ac);
    UTF16("\xc2\xa0\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", "\xc2\xa0\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", 0xa0, 0x7ff, 0x800,
          0xffff);
    UTF16("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", 0xd83d, 0xde00);
    UTF16("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 0xd800, 0xdc00, 0xdbff, 0xdfff);
    UTF16("\\ud800", "\xef\xbf\xbd", 0xd800); /* cut behind the first half */
    UTF16("\\udbff"
          "a",
          "\xef\xbf\xbd"
          "a",
          0xdbff, 'a');                                                  /* no second half */
    UTF16("\\udc00\\udfff", "\xef\xbf\xbd\xef\xbf\xbd", 0xdc00, 0xdfff); /* second halves alone */
    UTF16("\\ud800\xf0\x90\x80\x80", "\xef\xbf\xbd\xf0\x90\x80\x80", 0xd800, 0xd800, 0xdc00);
    UTF16("\\udc00\\ud800", "\xef\xbf\xbd\xef\xbf\xbd", 0xdc00, 0xd800); /* the wrong way round */
    UTF16("\\x1b[\\x0a\\x7f", "\x1b[\n\x7f", 0x1b, '[', '\n', 0x7f);
    UTF16("\\xc2\\x9b", "\xc2\x9b", 0x9b);
    UTF16("\\xe2\\x80\\xae\\xef\\xbb\\xbf", "\xe2\x80\xae\xef\xbb\xbf", 0x202e, 0xfeff);
}

/* ---- arrays, arena and look-up ---- */

static void test_grow(void **state)
{
    uint32_t *array = NULL, *grown;
    size_t capacity = 0;

    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        size_t before = capacity;

        grown = hs_grow(array, i, &capacity, sizeof *array);
        assert_non_null(grown);
        assert_true(capacity > i && capacity <= (i < 64 ? 64 : 2 * (size_t)i));
        assert_true(i < before ? grown == array && capacity == before : capacity > before);
        array = grown;
        array[i] = i;
    }
    for (uint32_t i = 0; i < 1000; i++)
        assert_int_equal(array[i], i);
    allocations_fail(0, ULONG_MAX);
    assert_ptr_equal(hs_grow(array, 1000, &capacity, sizeof *array), array); /* there is room */
    assert_null(hs_grow(array, capacity, &capacity, sizeof *array));
    allocations_succeed();
    assert_int_equal(capacity, 1024);
    assert_int_equal(array[999], 999);
    free(array);
    capacity = SIZE_MAX / 8;
    assert_null(hs_grow(NULL, capacity, &capacity, 8)); /* twice as many are more than there is */
    assert_int_equal(capacity, SIZE_MAX / 8);
}

static void test_arena(void **state)
{
    static const size_t sizes[] = {1, 7, 16, 17, 4000, 16368, 16383, 16384, 16385, 100000, 3, 0};
    uint8_t *seen[12];
    struct hs_arena arena;

    (void)state;
    hs_arena_init(&arena);
    for (size_t i = 0; i < 12; i++) {
        seen[i] = hs_arena_alloc(&arena, sizes[i], 1);
        assert_non_null(seen[i]);
        assert_int_equal((uintptr_t)seen[i] % _Alignof(max_align_t), 0);
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(seen[i][k], 0);
        if (sizes[i])
            memset(seen[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < 12; i++) /* nobody was written over */
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(seen[i][k], i + 1);
    assert_null(hs_arena_alloc(&arena, UINT64_MAX, 1));
    assert_null(hs_arena_alloc(&arena, UINT64_MAX / 2 + 2, 2));
    assert_null(hs_arena_alloc(&arena, (uint64_t)1 << 40, (size_t)1 << 40));
    assert_null(hs_arena_alloc(&arena, UINT64_MAX - 15, 1));
    assert_string_equal(hs_arena_string(&arena, "copied"), "copied");
    assert_string_equal(hs_arena_string(&arena, ""), "");
    allocations_fail(0, ULONG_MAX);
    assert_null(hs_arena_alloc(&arena, 200000, 1));
    allocations_succeed();
    for (size_t k = 0; k < 100000; k++)
        assert_int_equal(seen[9][k], 10);
    hs_arena_deinit(&arena);
    hs_arena_deinit(&arena);
}

/* A chunk filled to its last byte, and one byte more. */
static void test_arena_border(void **state)
{
    (void)state;
    for (size_t left = 0; left <= 48; left++) {
        struct hs_arena arena;
        uint8_t *parts[4];
        const size_t sizes[4] = {0x4000 - left, left, 1, 16};

        hs_arena_init(&arena);
        for (size_t i = 0; i < 4; i++) {
            parts[i] = hs_arena_alloc(&arena, sizes[i], 1);
            assert_non_null(parts[i]);
            memset(parts[i], (int)i + 1, sizes[i]); /* the sanitizer sees a step over the chunk's end */
        }
        for (size_t i = 0; i < 4; i++)
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(parts[i][k], i + 1);
        hs_arena_deinit(&arena);
    }
}

struct item {
    char before[3];
    uint64_t key;
};

static void test_sorted_find(void **state)
{
    struct item items[40];

    (void)state;
    assert_true(hs_sorted_find(NULL, 0, sizeof *items, offsetof(struct item, key), 5) == SIZE_MAX);
    for (size_t count = 1; count <= 40; count++) {
        for (size_t i = 0; i < count; i++)
            items[i].key = 10 + 10 * i;
        for (uint64_t key = 0; key < 10 * count + 30; key++) {
            size_t want = key < 10 ? SIZE_MAX : (size_t)(key / 10 - 1 < count ? key / 10 - 1 : count - 1);
            assert_true(hs_sorted_find(items, count, sizeof *items, offsetof(struct item, key), key) == want);
        }
        assert_true(hs_sorted_find(items, count, sizeof *items, offsetof(struct item, key), UINT64_MAX) == count - 1);
    }
    items[0].key = 1;
    items[1].key = items[2].key = items[3].key = 5;
    items[4].key = UINT64_MAX;
    assert_int_equal(hs_sorted_find(items, 5, sizeof *items, offsetof(struct item, key), 5), 3); /* last of equals */
    assert_int_equal(hs_sorted_find(items, 5, sizeof *items, offsetof(struct item, key), UINT64_MAX - 1), 3);
    assert_int_equal(hs_sorted_find(items, 5, sizeof *items, offsetof(struct item, key), UINT64_MAX), 4);
}

/* ---- errors and notes ---- */

static void test_errors(void **state)
{
    char long_text[400];
    struct hs_error err;

    (void)state;
    assert_int_equal(hs_fail(&err, HS_ERR_FORMAT, 0x10, 0x20, "entry %d of %s", 3, "list"), HS_ERR_FORMAT);
    assert_int_equal(err.status, HS_ERR_FORMAT);
    assert_true(err.file_off == 0x10 && err.va == 0x20);
    assert_string_equal(err.text, "entry 3 of list");
    hs_error_prefix(&err, "module %u", 12u);
    hs_error_prefix(&err, "dump");
    assert_string_equal(err.text, "dump: module 12: entry 3 of list");
    assert_int_equal(err.status, HS_ERR_FORMAT);
    assert_int_equal(hs_fail(NULL, HS_ERR_IO, 0, 0, "nobody listens"), HS_ERR_IO);
    hs_error_prefix(NULL, "nobody listens");
    assert_int_equal(hs_fail_memory(&err, "the list"), HS_ERR_MEMORY);
    assert_string_equal(err.text, "out of memory for the list");
    assert_true(err.file_off == HS_NO_OFF && err.va == HS_NO_VA);
    assert_int_equal(hs_fail_memory(NULL, "x"), HS_ERR_MEMORY);

    memset(long_text, 'z', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    hs_fail(&err, HS_ERR_FORMAT, 0, 0, "%s", long_text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    hs_error_prefix(&err, "before"); /* the end is lost, not the beginning */
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "before: zzz", 11);
    hs_fail(&err, HS_ERR_FORMAT, 0, 0, "kept");
    hs_error_prefix(&err, "%s", long_text); /* no room for anything behind it */
    assert_string_equal(err.text, "kept");
    for (size_t size = 230; size < 245; size++) { /* at the border */
        hs_fail(&err, HS_ERR_FORMAT, 0, 0, "kept");
        hs_error_prefix(&err, "%.*s", (int)size, long_text);
        if (size < sizeof err.text)
            assert_true(err.text[0] == 'z' && strlen(err.text) < sizeof err.text);
        else
            assert_string_equal(err.text, "kept");
    }
}

/* Against the order of a simple sort: keys of one byte, of all bytes, and equal ones, which stay in their order. */
static void test_keyed_sort(void **state)
{
    enum { COUNT = 1000 };
    static const uint64_t masks[] = {0, 0xff, UINT64_MAX, UINT64_C(0xff00000000000000), 7};
    struct hs_keyed items[2 * COUNT], *sorted;
    uint64_t seed = 1;

    (void)state;
    for (size_t m = 0; m < sizeof masks / sizeof *masks; m++) {
        for (size_t i = 0; i < COUNT; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            items[i] = (struct hs_keyed){(seed ^ seed >> 29) & masks[m], i};
        }
        sorted = hs_keyed_sort(items, items + COUNT, COUNT);
        assert_true(sorted == items || sorted == items + COUNT);
        for (size_t i = 1; i < COUNT; i++)
            assert_true(sorted[i - 1].key < sorted[i].key ||
                        (sorted[i - 1].key == sorted[i].key && sorted[i - 1].value < sorted[i].value));
    }
    assert_ptr_equal(hs_keyed_sort(items, items + COUNT, 0), items);
}

static void test_status_names(void **state)
{
    static const char *const names[] = {"ok",       "not-found", "io",       "format",   "unsupported",
                                        "unmapped", "memory",    "argument", "cancelled"};

    (void)state;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(hs_status_name((enum hs_status)i), names[i]);
    assert_string_equal(hs_status_name((enum hs_status)99), "unknown");
}

static void test_notes(void **state)
{
    char long_text[2000], want[64];
    struct hs_notes notes;

    (void)state;
    hs_notes_init(&notes);
    assert_int_equal(hs_notes_lines(&notes), 0);
    assert_null(hs_notes_line(&notes, 0));
    for (unsigned i = 0; i < HS_NOTES_MAX; i++)
        hs_notes_add(&notes, "note %u", i);
    assert_int_equal(hs_notes_lines(&notes), HS_NOTES_MAX);
    assert_null(hs_notes_line(&notes, HS_NOTES_MAX));
    for (unsigned i = 0; i < 1000; i++)
        hs_notes_add(&notes, "too many");
    assert_int_equal(hs_notes_lines(&notes), HS_NOTES_MAX + 1);
    for (unsigned i = 0; i < HS_NOTES_MAX; i++) {
        snprintf(want, sizeof want, "note %u", i);
        assert_string_equal(hs_notes_line(&notes, i), want);
    }
    assert_non_null(strstr(hs_notes_line(&notes, HS_NOTES_MAX), "1000"));
    assert_null(hs_notes_line(&notes, HS_NOTES_MAX + 1));
    hs_notes_deinit(&notes);
    assert_int_equal(hs_notes_lines(&notes), 0);

    memset(long_text, 'n', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    hs_notes_add(&notes, "%s", long_text);
    assert_in_range(strlen(hs_notes_line(&notes, 0)), 200, 1000);
    allocations_fail(0, ULONG_MAX);
    hs_notes_add(&notes, "lost for want of memory");
    allocations_succeed();
    assert_int_equal(hs_notes_lines(&notes), 2);
    assert_non_null(strstr(hs_notes_line(&notes, 1), "1 more"));
    hs_notes_deinit(&notes);
}

static void test_notes_move(void **state)
{
    struct hs_notes one, two;

    (void)state;
    hs_notes_init(&one);
    hs_notes_init(&two);
    for (unsigned i = 0; i < HS_NOTES_MAX - 2; i++)
        hs_notes_add(&one, "one %u", i);
    for (unsigned i = 0; i < HS_NOTES_MAX + 3; i++)
        hs_notes_add(&two, "two %u", i);
    hs_notes_move(&one, &two);
    assert_int_equal(hs_notes_lines(&two), 0);
    assert_int_equal(hs_notes_lines(&one), HS_NOTES_MAX + 1);
    assert_string_equal(hs_notes_line(&one, HS_NOTES_MAX - 3), "one 61");
    assert_string_equal(hs_notes_line(&one, HS_NOTES_MAX - 2), "two 0");
    assert_string_equal(hs_notes_line(&one, HS_NOTES_MAX - 1), "two 1");
    assert_int_equal(one.dropped, HS_NOTES_MAX - 2 + 3);
    hs_notes_deinit(&one);
    hs_notes_deinit(&two);
}

/* ---- parallel loops and jobs ---- */

struct counted {
    atomic_uint calls[2000];
    atomic_uint order_breaks;
    atomic_size_t last;
    unsigned threads;
    atomic_bool busy[64], slot_breaks; /* a slot that two threads have, or that there is not */
};

static void count_item(void *context, size_t item)
{
    struct counted *counted = context;

    atomic_fetch_add(&counted->calls[item], 1);
    if (item && atomic_exchange(&counted->last, item) + 1 != item)
        atomic_fetch_add(&counted->order_breaks, 1);
}

static void count_slot(void *context, size_t item, unsigned slot)
{
    struct counted *counted = context;

    atomic_fetch_add(&counted->calls[item], 1);
    if (slot >= 64 || (slot && slot >= counted->threads) || atomic_exchange(&counted->busy[slot % 64], true))
        atomic_store(&counted->slot_breaks, true);
    atomic_store(&counted->busy[slot % 64], false);
}

static void test_parallel(void **state)
{
    static const unsigned threads[] = {0, 1, 2, 3, 8, 64, 65, 1000, UINT_MAX};
    static const size_t items[] = {0, 1, 2, 63, 64, 65, 2000};
    static struct counted counted;

    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        for (size_t n = 0; n < sizeof items / sizeof *items; n++) {
            memset(&counted, 0, sizeof counted);
            hs_parallel(threads[t], items[n], count_item, &counted);
            for (size_t i = 0; i < 2000; i++)
                assert_int_equal(atomic_load(&counted.calls[i]), i < items[n]);
            if (threads[t] <= 1)
                assert_int_equal(atomic_load(&counted.order_breaks), 0);
            memset(&counted, 0, sizeof counted);
            counted.threads = threads[t];
            hs_parallel_slots(threads[t], items[n], count_slot, &counted);
            for (size_t i = 0; i < 2000; i++)
                assert_int_equal(atomic_load(&counted.calls[i]), i < items[n]);
            assert_false(atomic_load(&counted.slot_breaks));
        }
    }
    assert_true(hs_processor_count() >= 1);
}

static void test_job(void **state)
{
    struct hs_job *job = hs_job_create();
    uint64_t done, total;

    (void)state;
    assert_non_null(job);
    hs_job_progress(job, &done, &total);
    assert_true(done == 0 && total == 0 && !hs_job_cancelled(job) && !hs_job_stopped(job));
    hs_job_start(job, 100);
    hs_job_advance(job, 30);
    hs_job_advance(job, 12);
    hs_job_progress(job, &done, &total);
    assert_true(done == 42 && total == 100);
    hs_job_cancel(job);
    assert_true(hs_job_cancelled(job) && hs_job_stopped(job));
    hs_job_start(job, 7); /* a new step of work that was stopped stays stopped */
    hs_job_progress(job, &done, &total);
    assert_true(done == 0 && total == 7 && hs_job_stopped(job));
    hs_job_destroy(job);
    hs_job_destroy(NULL);
    hs_job_start(NULL, 5);
    hs_job_advance(NULL, 5);
    assert_false(hs_job_stopped(NULL));
    allocations_fail(0, ULONG_MAX);
    job = hs_job_create();
    allocations_succeed();
    assert_null(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loads),
        cmocka_unit_test(test_span_part),
        cmocka_unit_test(test_span_integers),
        cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_text_grows),
        cmocka_unit_test(test_text_out_of_memory),
        cmocka_unit_test(test_escape_plain),
        cmocka_unit_test(test_escape_control),
        cmocka_unit_test(test_escape_direction),
        cmocka_unit_test(test_escape_not_utf8),
        cmocka_unit_test(test_utf16),
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_arena_border),
        cmocka_unit_test(test_sorted_find),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_keyed_sort),
        cmocka_unit_test(test_status_names),
        cmocka_unit_test(test_notes),
        cmocka_unit_test(test_notes_move),
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
