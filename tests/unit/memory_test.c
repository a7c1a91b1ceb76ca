/* memory_test.c - opening a dump and asking it while memory runs out: each n-th allocation fails, alone or with all
 * that follow. Every call answers or says HS_ERR_MEMORY; nothing leaks (the sanitizer looks). */
#include "dump/dump.h"

#include "minidump_writer.h"
#include "pe_writer.h"
#include "failing.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a dump, asked everything that needs memory ---- */

static const struct hs_open_options one_thread = {.thread_count = 1};

/* What ran out of memory after the dump was open. */
struct shortages {
    unsigned images, searches;
};

/* HS_OK or HS_ERR_MEMORY; adds to what ran out later. */
static enum hs_status open_and_ask(const char *path, const void *bytes, size_t size, struct shortages *later)
{
    const uint8_t pattern[] = {0x3e, 0x3f, 0xcc}; /* over the end of one block: a copy is made to compare */
    struct hs_error err = {.status = HS_OK};
    struct hs_dump *dump = NULL;
    struct hs_symbol symbol;
    enum hs_status status = path ? hs_dump_open(path, &one_thread, &dump, &err)
                                 : hs_dump_open_bytes("test.dmp", bytes, size, &one_thread, &dump, &err);
    char text[100];
    hs_va va;

    if (status != HS_OK) {
        if (status != HS_ERR_MEMORY || err.status != status || !strstr(err.text, "out of memory for "))
            fail_msg("status %d, \"%s\"", (int)status, err.text);
        assert_null(dump);
        return status;
    }
    for (size_t i = 0; i < hs_dump_module_count(dump); i++) {
        later->images += hs_dump_export_count(dump, i) == 0 && i == 0;
        hs_dump_section_count(dump, i);
    }
    if (hs_dump_symbol(dump, hs_dump_module(dump, 0)->base + 0x250, &symbol) == HS_OK)
        hs_symbol_text(dump, &symbol, HS_SYMBOL_HONEST, text, sizeof text);
    status = hs_dump_resolve(dump, "main!Alpha", &va);
    assert_true(status == HS_OK || status == HS_NOT_FOUND);
    status = hs_dump_find(dump, pattern, sizeof pattern, 0, UINT64_MAX, 1, NULL, &va, &err);
    later->searches += status == HS_ERR_MEMORY;
    assert_true(status == HS_NOT_FOUND || (status == HS_ERR_MEMORY && err.status == HS_ERR_MEMORY));
    for (size_t i = 0; i < hs_dump_note_count(dump); i++)
        assert_non_null(hs_dump_note(dump, i));
    hs_dump_close(dump);
    return HS_OK;
}

static void run_short(const char *path, const void *bytes, size_t size)
{
    struct shortages none = {0, 0};
    unsigned long all;

    allocations_succeed();
    assert_int_equal(open_and_ask(path, bytes, size, &none), HS_OK);
    all = allocations_succeed();
    assert_in_range(all, 20, 10000);
    for (int alone = 0; alone < 2; alone++) {
        struct shortages later = {0, 0};
        unsigned refused = 0;

        for (unsigned long n = 0; n < all; n++) {
            enum hs_status status;

            allocations_fail(n, alone ? n + 1 : ULONG_MAX);
            status = open_and_ask(path, bytes, size, &later);
            allocations_succeed();
            refused += status != HS_OK;
        }
        assert_true(refused >= 10 && later.images && later.searches); /* it was really short of memory */
    }
    assert_int_equal(open_and_ask(path, bytes, size, &none), HS_OK);
    assert_true(none.images == 0 && none.searches == 0);
}

static void test_bytes(void **state)
{
    static const struct mdw_process_options variants[] = {
        {.is_64 = false},
        {.is_64 = true, .memory_list = true},
        {.no_system = true, .no_tebs = true, .no_infos = true}, /* notes need memory too */
    };
    static struct mdw w;

    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        struct mdw_process_options options = variants[i];
        struct mdw_process_places places;
        struct pe_writer image;
        uint8_t *exact;

        allocations_succeed();
        pe_write(&image, options.is_64);
        options.image = image.bytes;
        options.image_size = IMAGE_SIZE;
        mdw_write_process(&w, &options, &places);
        exact = malloc(w.size);
        assert_non_null(exact);
        memcpy(exact, w.bytes, w.size);
        run_short(NULL, exact, w.size);
        free(exact);
    }
}

/* The same with a file: its map and its descriptor must not stay. */
static void test_file(void **state)
{
    static struct mdw w;
    struct mdw_process_options options = {.is_64 = false};
    struct mdw_process_places places;
    struct pe_writer image;
    char path[] = "/tmp/heapsift-memory-test-XXXXXX";
    int descriptor = mkstemp(path), before, after;

    (void)state;
    assert_true(descriptor >= 0);
    pe_write(&image, false);
    options.image = image.bytes;
    options.image_size = IMAGE_SIZE;
    mdw_write_process(&w, &options, &places);
    assert_int_equal(write(descriptor, w.bytes, w.size), w.size);
    before = dup(descriptor); /* the lowest number that is free */
    close(before);
    run_short(path, NULL, 0);
    after = dup(descriptor);
    close(after);
    close(descriptor);
    unlink(path);
    assert_int_equal(after, before);
}

/* So many modules that each table of them is an allocation of its own; the last allocations of opening fail. */
static void test_many_modules(void **state)
{
    const uint32_t count = 4096;
    const size_t size = 64 + 4 + 108 * (size_t)count;
    static struct mdw w;
    uint8_t *bytes = calloc(size, 1);
    unsigned long all = 0;
    unsigned refused = 0;

    (void)state;
    assert_non_null(bytes);
    mdw_start(&w, 1);
    mdw_put(&w, 32, 4, MDW_MODULES);
    mdw_put(&w, 36, 4, 4 + 108 * count);
    mdw_put(&w, 40, 4, 64);
    mdw_put(&w, 64, 4, count);
    memcpy(bytes, w.bytes, 68);
    for (uint32_t i = 0; i < count; i++) {
        bytes[68 + 108 * i + 2] = (uint8_t)(i + 1);
        bytes[68 + 108 * i + 3] = (uint8_t)((i + 1) >> 8);
        bytes[68 + 108 * i + 9] = 0x10;
    }
    for (unsigned long from_end = 0; from_end <= 40; from_end++) { /* 0: to count them */
        struct hs_dump *dump = NULL;
        enum hs_status status;
        unsigned long made;

        allocations_fail(from_end ? all - from_end : ULONG_MAX, ULONG_MAX);
        status = hs_dump_open_bytes("test.dmp", bytes, size, &one_thread, &dump, NULL);
        made = allocations_succeed();
        if (!from_end)
            all = made;
        refused += status == HS_ERR_MEMORY;
        assert_true(status == HS_OK || status == HS_ERR_MEMORY);
        if (status == HS_OK)
            assert_int_equal(hs_dump_module_count(dump), count);
        hs_dump_close(dump);
    }
    assert_true(all > count && refused > 30);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_many_modules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
