/* mutation_test.c - a thousand damaged dumps: always an answer or one clear error, in bounded time and memory.
 *
 * The samples come from `heapsift run sample` ($HEAPSIFT). Each mutation has a seed of its own; a failure names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "dump/dump.h"

#include <heapsift/heapsift.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define MUTATIONS 1000u
#define SECONDS_MAX                                                                                                    \
    10.0 /* of processor time, for one damaged dump of a megabyte under sanitizers: it takes milliseconds */
#define RSS_MAX (256 * 1024) /* KiB; not looked at under sanitizers */

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct sample {
    const char *options;
    uint8_t *bytes;
    size_t size;
};

static struct sample samples[] = {
    {"--tiny", NULL, 0},
    {"--tiny --no-ust", NULL, 0},
    {"--tiny --arch x64", NULL, 0},
    {"--tiny --arch x64 --no-ust", NULL, 0},
};
#define SAMPLE_COUNT (sizeof samples / sizeof *samples)

static uint64_t random_next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 24;
}

static void put(uint8_t *bytes, size_t size, size_t off, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width && off + i < size; i++)
        bytes[off + i] = (uint8_t)(value >> (8 * i));
}

/* Offset of a stream of the directory; 0 if there is none of that number. */
static size_t stream_entry(const uint8_t *bytes, size_t size, uint64_t number)
{
    uint32_t count = hs_load_u32(bytes + 8), directory = hs_load_u32(bytes + 12);
    size_t off = directory + (size_t)(number % (count ? count : 1)) * 12;

    return off + 12 <= size ? off : 0;
}

/* File offset of a random header, pointer or count inside the heaps: found by what heaps are full of. */
static size_t somewhere_in_heaps(const uint8_t *bytes, size_t size, uint64_t *seed)
{
    for (int tries = 0; tries < 2000; tries++) {
        size_t off = (size_t)(random_next(seed) % (size - 16)) & ~(size_t)7;

        if (bytes[off + 5] == 7 || bytes[off + 5] == 1 || bytes[off + 13] == 7)
            return off;
    }
    return (size_t)(random_next(seed) % (size - 16));
}

/* Damages `bytes`; may make it shorter. */
static void mutate(uint8_t *bytes, size_t *size, uint64_t *seed)
{
    static const uint64_t odd[] = {0,
                                   1,
                                   0x7f,
                                   0xff,
                                   0x7fff,
                                   0xffff,
                                   0x10000,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0xfffffff8,
                                   UINT64_MAX,
                                   UINT64_C(0x8000000000000000),
                                   0x7fff0000};
    unsigned count = 1 + (unsigned)(random_next(seed) % 8);

    for (unsigned i = 0; i < count; i++) {
        size_t off = (size_t)(random_next(seed) % *size);
        uint64_t value = odd[random_next(seed) % (sizeof odd / sizeof *odd)];
        size_t entry = stream_entry(bytes, *size, random_next(seed));

        switch (random_next(seed) % 9) {
        case 0: bytes[off] ^= (uint8_t)(1u << random_next(seed) % 8); break;
        case 1: *size = 1 + off; return;
        case 2: put(bytes, *size, off & ~(size_t)3, value, 4); break;
        case 3: put(bytes, *size, entry + 4 * (random_next(seed) % 3), value, 4); break; /* directory */
        case 4: {                                                                        /* two streams swapped */
            size_t other = stream_entry(bytes, *size, random_next(seed));
            uint8_t copy[8];

            if (!entry || !other)
                break;
            memcpy(copy, bytes + entry + 4, 8);
            memmove(bytes + entry + 4, bytes + other + 4, 8);
            memcpy(bytes + other + 4, copy, 8);
            break;
        }
        case 5: /* a count at the head of a stream */
            put(bytes, *size, entry ? hs_load_u32(bytes + entry + 8) : 0, value, 8);
            break;
        case 6: put(bytes, *size, somewhere_in_heaps(bytes, *size, seed), random_next(seed), 8); break;
        case 7: { /* a pointer that stands elsewhere: cycles, lists that lead into each other */
            size_t from = (size_t)(random_next(seed) % (*size - 8)) & ~(size_t)3;
            size_t to = (size_t)(random_next(seed) % (*size - 8)) & ~(size_t)3;

            memmove(bytes + to, bytes + from, 8);
            break;
        }
        default: { /* a page that is gone */
            size_t page = off & ~(size_t)4095;

            memset(bytes + page, (int)(random_next(seed) % 3 ? 0 : 0xee), *size - page < 4096 ? *size - page : 4096);
            break;
        }
        }
        if (*size < 64)
            return;
    }
}

/* Looks at everything that the library tells of a dump. */
static void touch_all(struct hs_dump *dump)
{
    static const enum hs_key keys[] = {HS_KEY_HEAP, HS_KEY_SIZE, HS_KEY_STORED, HS_KEY_FIRST_WORD};
    static const struct hs_filter_text text = {"*alloc*", 7};
    static const struct hs_filter_op ops[] = {
        {HS_FILTER_REFERENCED, 0},
        {HS_FILTER_JUMP_IF, 3},
        {HS_FILTER_CANDIDATE_SYMBOL, 0},
        {HS_FILTER_NOT, 0},
    };
    const struct hs_blocks *blocks;
    const struct hs_traces *traces;
    struct hs_filter *filter;
    struct hs_groups *groups;
    struct hs_set *all, *some;
    struct hs_usage usage;
    struct hs_block block;
    hs_va va;

    assert_int_equal(hs_dump_usage(dump, &usage, NULL), HS_OK);
    assert_int_equal(hs_dump_blocks(dump, NULL, &blocks, NULL), HS_OK);
    assert_int_equal(hs_dump_traces(dump, NULL, &traces, NULL), HS_OK);
    for (uint32_t id = 0; id < hs_blocks_count(blocks); id++) {
        struct hs_block found;

        assert_int_equal(hs_blocks_get(blocks, id, &block), HS_OK);
        assert_int_equal(block.id, id);
        assert_int_equal(hs_blocks_find(blocks, block.va, &found), HS_OK);
        assert_int_equal(found.id, id);
    }
    assert_int_equal(hs_set_create(dump, NULL, NULL, &all, NULL), HS_OK);
    assert_int_equal(hs_set_group(all, keys, NULL, 4, NULL, &groups, NULL), HS_OK);
    assert_int_equal(hs_filter_create(dump, ops, 4, &text, 1, NULL, &filter, NULL), HS_OK);
    assert_int_equal(hs_set_where(all, filter, NULL, &some, NULL), HS_OK);
    hs_set_destroy(some);
    hs_filter_destroy(filter);
    hs_groups_destroy(groups);
    hs_set_destroy(all);
    for (uint32_t i = 1; traces && i <= hs_traces_info(traces)->count && i < 2000; i++) {
        struct hs_trace trace;
        struct hs_symbol symbol;
        char name[64];

        if (hs_traces_get(traces, i, &trace, NULL) == HS_OK && hs_dump_symbol(dump, trace.frames[0], &symbol) == HS_OK)
            hs_symbol_text(dump, &symbol, HS_SYMBOL_HONEST, name, sizeof name);
    }
    for (size_t i = 0; i < hs_dump_module_count(dump) && i < 64; i++) {
        for (size_t k = 0; k < hs_dump_export_count(dump, i); k++)
            assert_non_null(hs_dump_export(dump, i, k)->name);
        assert_true(hs_dump_section_count(dump, i) <= 96);
    }
    for (size_t i = 0; i < hs_dump_region_count(dump); i++)
        assert_ptr_equal(hs_dump_region_at(dump, hs_dump_region(dump, i)->va), hs_dump_region(dump, i));
    if (hs_dump_find(dump, "\x10\x00\x00\x01", 4, 0, UINT64_MAX, 4, NULL, &va, NULL) == HS_OK)
        assert_int_equal(va % 4, 0);
    for (size_t i = 0; i < hs_dump_note_count(dump); i++)
        for (const char *c = hs_dump_note(dump, i); *c; c++)
            assert_true((unsigned char)*c >= 0x20);
}

static double processor_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static void test_mutations(void **state)
{
    unsigned answers = 0, errors = 0, with_notes = 0;
    double slowest = 0;

    (void)state;
    for (unsigned i = 0; i < MUTATIONS; i++) {
        const struct sample *sample = &samples[i % SAMPLE_COUNT];
        struct hs_error err = {HS_OK, 0, 0, ""};
        uint64_t seed = 1000 + i;
        size_t size = sample->size;
        uint8_t *bytes = malloc(size);
        struct hs_dump *dump;
        double start, seconds;
        enum hs_status status;

        assert_non_null(bytes);
        memcpy(bytes, sample->bytes, size);
        mutate(bytes, &size, &seed);
        /* Of its exact size, so that a read past the end is seen. */
        bytes = realloc(bytes, size);
        assert_non_null(bytes);
        start = processor_seconds();
        status = hs_dump_open_bytes("mutation", bytes, size, NULL, &dump, &err);
        if (status == HS_OK) {
            touch_all(dump);
            answers++;
            with_notes += hs_dump_note_count(dump) > 0;
            hs_dump_close(dump);
        } else {
            errors++;
            if (status == HS_ERR_MEMORY || !err.text[0])
                fail_msg("mutation %u (%s): %s: %s", i, sample->options, hs_status_name(status), err.text);
        }
        seconds = processor_seconds() - start;
        if (seconds > SECONDS_MAX)
            fail_msg("mutation %u (%s): %.1f s", i, sample->options, seconds);
        slowest = seconds > slowest ? seconds : slowest;
        free(bytes);
    }
    print_message("%u answers, %u of them with notes, %u errors; the slowest took %.3f s\n", answers, with_notes,
                  errors, slowest);
    assert_true(answers > MUTATIONS / 2);
    assert_true(with_notes > MUTATIONS / 4);
    assert_true(errors > 0);
}

static void test_memory(void **state)
{
    struct rusage usage;

    (void)state;
    if (SANITIZED)
        skip();
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    print_message("at most %ld KiB in memory\n", usage.ru_maxrss);
    assert_true(usage.ru_maxrss < RSS_MAX);
}

static bool load_sample(struct sample *sample, const char *program, const char *folder)
{
    char path[512], command[1200];
    FILE *file;
    bool done = false;

    snprintf(path, sizeof path, "%s/mutation-%d.dmp", folder, (int)(sample - samples));
    snprintf(command, sizeof command, "'%s' run sample '%s' %s >/dev/null", program, path, sample->options);
    if (system(command) != 0) /* NOLINT(cert-env33-c): the test's own program */
        return false;
    file = fopen(path, "rb");
    if (!file)
        return false;
    if (fseek(file, 0, SEEK_END) == 0) {
        sample->size = (size_t)ftell(file);
        sample->bytes = malloc(sample->size);
        rewind(file);
        done = sample->bytes && fread(sample->bytes, 1, sample->size, file) == sample->size;
    }
    fclose(file);
    remove(path);
    return done;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutations), cmocka_unit_test(test_memory)};
    const char *program = getenv("HEAPSIFT"), *folder = getenv("TMPDIR");
    int failed;

    if (!program)
        return 77;
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        if (!load_sample(&samples[i], program, folder ? folder : "/tmp")) {
            fprintf(stderr, "mutation_test: cannot make the sample %s\n", samples[i].options);
            return 1;
        }
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < SAMPLE_COUNT; i++)
        free(samples[i].bytes);
    return failed;
}
