/* pdb_test.c - PDBs: the container in every shape, symbols and types against the source of the fixtures, damage, and
 * memory that runs out. What LLVM's own reader says of the same files is compared in tests/witness/pdb.sh. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pdb_exercise.h"
#include "failing.h"

#define MUTATIONS 1500u
#define STREAMS_MAX 40000u

/* ---- fixtures, and a writer of containers that shares nothing with the reader ---- */

struct file {
    uint8_t *bytes;
    size_t size;
};

static struct file load(const char *name)
{
    const char *source = getenv("SRC");
    char path[1024];
    struct file file = {NULL, 0};
    FILE *stream;

    snprintf(path, sizeof path, "%s/tests/fixtures/pdb/%s", source ? source : ".", name);
    stream = fopen(path, "rb");
    assert_non_null(stream);
    fseek(stream, 0, SEEK_END);
    file.size = (size_t)ftell(stream);
    rewind(stream);
    file.bytes = malloc(file.size);
    assert_non_null(file.bytes);
    assert_int_equal(fread(file.bytes, 1, file.size, stream), file.size);
    fclose(stream);
    return file;
}

static uint32_t get32(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, 4); /* the tests run on little-endian hosts */
    return value;
}

static void put32(uint8_t *bytes, uint32_t value)
{
    memcpy(bytes, &value, 4);
}

struct streams {
    struct file at[STREAMS_MAX];
    uint32_t count;
};

/* Takes a PDB of one directory map block apart. */
static struct streams *take_apart(const struct file *pdb)
{
    struct streams *streams = calloc(1, sizeof *streams);
    uint32_t block = get32(pdb->bytes + 32), size = get32(pdb->bytes + 44);
    const uint8_t *map = pdb->bytes + (size_t)get32(pdb->bytes + 52) * block;
    uint8_t *directory = malloc(size + block), *numbers;

    for (uint32_t i = 0; i * block < size; i++)
        memcpy(directory + (size_t)i * block, pdb->bytes + (size_t)get32(map + 4 * i) * block, block);
    streams->count = get32(directory);
    numbers = directory + 4 + 4 * (size_t)streams->count;
    for (uint32_t i = 0; i < streams->count; i++) {
        struct file *stream = &streams->at[i];

        stream->size = get32(directory + 4 + 4 * (size_t)i);
        if (stream->size == UINT32_MAX)
            stream->size = 0;
        stream->bytes = malloc(stream->size + block);
        for (size_t off = 0; off < stream->size; off += block, numbers += 4)
            memcpy(stream->bytes + off, pdb->bytes + (size_t)get32(numbers) * block, block);
    }
    free(directory);
    return streams;
}

static void drop(struct streams *streams)
{
    for (uint32_t i = 0; i < streams->count; i++)
        free(streams->at[i].bytes);
    free(streams);
}

static size_t blocks_of(size_t size, uint32_t block)
{
    return (size + block - 1) / block;
}

/* Puts it together again with blocks of that size; `backwards`: no two blocks of a stream lie in a row. */
static struct file put_together(const struct streams *streams, uint32_t block, bool backwards)
{
    static const char magic[32] = "Microsoft C/C++ MSF 7.00\r\n\x1a"
                                  "DS\0\0";
    size_t directory_size = 4 + 4 * (size_t)streams->count, data_blocks = 0, list_blocks, directory_blocks, next, total;
    struct file pdb;
    uint8_t *directory, *sizes, *numbers;

    for (uint32_t i = 0; i < streams->count; i++)
        data_blocks += blocks_of(streams->at[i].size, block);
    directory_size += 4 * data_blocks;
    directory_blocks = blocks_of(directory_size, block);
    list_blocks = blocks_of(4 * directory_blocks, block);
    total = 3 + list_blocks + directory_blocks + data_blocks; /* superblock and two free maps first */
    pdb.size = total * block;
    pdb.bytes = calloc(pdb.size, 1);
    directory = calloc(directory_blocks * block, 1);
    memcpy(pdb.bytes, magic, 32);
    put32(pdb.bytes + 32, block);
    put32(pdb.bytes + 36, 1);
    put32(pdb.bytes + 40, (uint32_t)total);
    put32(pdb.bytes + 44, (uint32_t)directory_size);
    for (size_t i = 0; i < list_blocks; i++)
        put32(pdb.bytes + 52 + 4 * i, (uint32_t)(3 + i));
    for (size_t i = 0; i < directory_blocks; i++) /* the list's blocks do lie in a row, so it is one array */
        put32(pdb.bytes + 3 * (size_t)block + 4 * i, (uint32_t)(3 + list_blocks + i));
    put32(directory, streams->count);
    sizes = directory + 4;
    numbers = sizes + 4 * (size_t)streams->count;
    next = 3 + list_blocks + directory_blocks;
    for (uint32_t i = 0; i < streams->count; i++) {
        size_t count = blocks_of(streams->at[i].size, block);

        put32(sizes + 4 * (size_t)i, (uint32_t)streams->at[i].size);
        for (size_t k = 0; k < count; k++, numbers += 4) {
            size_t number = backwards ? next + count - 1 - k : next + k, off = k * block;
            size_t part = streams->at[i].size - off < block ? streams->at[i].size - off : block;

            put32(numbers, (uint32_t)number);
            memcpy(pdb.bytes + number * block, streams->at[i].bytes + off, part);
        }
        next += count;
    }
    memcpy(pdb.bytes + (3 + list_blocks) * block, directory, directory_size);
    free(directory);
    return pdb;
}

static struct pdb_answers ask(const struct file *pdb)
{
    struct pdb_answers answers;

    assert_int_equal(ask_pdb((struct hs_span){pdb->bytes, pdb->size}, &answers), HS_OK);
    return answers;
}

/* ---- what the source of the fixtures says ---- */

static struct hs_pdb *open_file(const struct file *file)
{
    struct hs_pdb *pdb;

    assert_int_equal(hs_pdb_open_bytes((struct hs_span){file->bytes, file->size}, &pdb, NULL), HS_OK);
    return pdb;
}

static uint64_t size_of(struct hs_pdb *pdb, const char *name)
{
    struct hs_type type;

    if (!hs_pdb_type_named(pdb, name, &type))
        fail_msg("no type %s", name);
    assert_string_equal(type.name, name);
    assert_false(type.is_forward);
    return type.size;
}

static struct hs_member member_of(struct hs_pdb *pdb, const char *type_name, const char *name)
{
    struct hs_member_cursor place = {0};
    struct hs_member member;
    struct hs_type type;

    assert_true(hs_pdb_type_named(pdb, type_name, &type));
    while (hs_pdb_next_member(pdb, &type, &place, &member))
        if (strcmp(member.name, name) == 0)
            return member;
    fail_msg("%s has no member %s", type_name, name);
    return member;
}

static void test_types(void **state)
{
    static const struct {
        const char *file;
        uint64_t pointer, node, shape, virt, names_at;
    } rows[] = {{"shapes-x86.pdb", 4, 72, 40, 16, 52}, {"shapes-x64.pdb", 8, 88, 56, 32, 56}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct file file = load(rows[i].file);
        struct hs_pdb *pdb = open_file(&file);
        struct hs_member member;
        struct hs_type type;

        assert_int_equal(size_of(pdb, "geo::Value"), 16);
        assert_int_equal(size_of(pdb, "geo::Box<long long,4>"), 32);
        assert_int_equal(size_of(pdb, "use::Local"), 8);
        assert_int_equal(size_of(pdb, "geo::Kind"), 2);
        assert_int_equal(size_of(pdb, "geo::Shape::Inner"), 2 * rows[i].pointer);
        assert_int_equal(size_of(pdb, "geo::Node"), rows[i].node);
        assert_int_equal(size_of(pdb, "geo::Shape"), rows[i].shape);
        assert_int_equal(size_of(pdb, "geo::Virt"), rows[i].virt);

        member = member_of(pdb, "geo::Bits", "b");
        assert_int_equal(member.offset, 0);
        assert_int_equal(member.bit_position, 3);
        assert_int_equal(member.bit_width, 13);
        member = member_of(pdb, "geo::Bits", "d");
        assert_int_equal(member.bit_width, 40);
        assert_true(hs_pdb_type(pdb, member.type, &type));
        assert_int_equal(type.kind, HS_TYPE_BASE);
        assert_int_equal(type.encoding, HS_ENCODING_UNSIGNED);
        assert_int_equal(type.size, 8);

        member = member_of(pdb, "geo::Node", "names"); /* const char *names[3] */
        assert_int_equal(member.offset, rows[i].names_at);
        assert_true(hs_pdb_type(pdb, member.type, &type));
        assert_int_equal(type.kind, HS_TYPE_ARRAY);
        assert_int_equal(type.count, 3);
        assert_true(hs_pdb_type(pdb, type.target, &type));
        assert_int_equal(type.kind, HS_TYPE_POINTER);
        assert_int_equal(type.size, rows[i].pointer);
        assert_true(hs_pdb_type(pdb, type.target, &type));
        assert_string_equal(type.name, "char");
        assert_true(type.is_const);

        member = member_of(pdb, "geo::Node", "next"); /* through a pointer and a forward reference back to itself */
        assert_true(hs_pdb_type(pdb, member.type, &type));
        assert_true(hs_pdb_type(pdb, type.target, &type));
        assert_string_equal(type.name, "geo::Node");
        assert_false(type.is_forward);
        assert_int_equal(type.size, rows[i].node);
        assert_int_equal(member_of(pdb, "geo::Kind", "BIG").value, 0xfff0);

        assert_false(hs_pdb_type_named(pdb, "geo::Nothing", &type));
        assert_false(hs_pdb_type(pdb, 0x7fffffff, &type));
        hs_pdb_close(pdb);
        free(file.bytes);
    }
}

static void test_symbols(void **state)
{
    struct file file = load("shapes-x86.pdb");
    struct hs_pdb *pdb = open_file(&file);
    struct hs_pdb_symbol symbol, found;
    struct hs_pdb_cursor cursor = {0};
    uint32_t offset, end;
    bool is_near;
    static const char *const names[] = {"Std",          "Fast",           "Plain",
                                        "geo::measure", "geo::the_shape", "_Std@8",
                                        "@Fast@8",      "_Plain",         "?measure@geo@@YAHPBUBase@1@@Z"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!hs_pdb_named(pdb, names[i], &symbol))
            fail_msg("no symbol %s", names[i]);
    assert_false(hs_pdb_named(pdb, "Std@8x", &symbol));
    while (hs_pdb_next(pdb, &cursor, &symbol)) {
        if (!symbol.has_size)
            continue;
        assert_true(hs_pdb_at(pdb, symbol.rva + symbol.size - 1, &found, &offset, &is_near));
        assert_true(is_near);
        assert_string_equal(found.name, symbol.name);
        assert_int_equal(offset, symbol.size - 1);
    }
    /* Past the end of a function is not in it, whatever comes next. */
    assert_true(hs_pdb_named(pdb, "Std", &symbol));
    end = symbol.rva + symbol.size;
    assert_true(hs_pdb_at(pdb, end, &found, &offset, &is_near));
    assert_false(is_near);
    assert_int_equal(offset, symbol.size);
    assert_false(hs_pdb_at(pdb, 0x10, &found, &offset, &is_near));
    hs_pdb_close(pdb);
    free(file.bytes);
}

static void test_plain(void **state)
{
    static const struct {
        const char *name, *x86, *x64;
    } rows[] = {
        {"_name", "name", "_name"},
        {"_name@8", "name", "_name@8"},
        {"@fast@8", "fast", "@fast@8"},
        {"name@8", "name", "name@8"},
        {"vector@@16", "vector", "vector"},
        {"?f@@YAXXZ", "?f@@YAXXZ", "?f@@YAXXZ"},
        {"name", "name", "name"},
        {"_", "_", "_"},
        {"@8", "@8", "@8"},
        {"a@b", "a@b", "a@b"},
        {"__imp__f@4", "_imp__f", "__imp__f@4"},
        {"", "", ""},
        {"@f", "@f", "@f"},
        {"_@8", "@8", "_@8"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int x86 = 0; x86 < 2; x86++) {
            const char *wanted = x86 ? rows[i].x86 : rows[i].x64, *plain;
            size_t size = hs_symbol_plain(rows[i].name, strlen(rows[i].name), x86, &plain);

            if (size != strlen(wanted) || memcmp(plain, wanted, size) != 0)
                fail_msg("%s is %.*s, expected %s", rows[i].name, (int)size, plain, wanted);
        }
}

/* ---- containers ---- */

static void test_block_sizes(void **state)
{
    static const char *const names[] = {"shapes-x86.pdb", "shapes-x64.pdb", "ntdll-x86.pdb"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct file file = load(names[i]);
        struct pdb_answers wanted = ask(&file);
        struct streams *streams = take_apart(&file);

        assert_true(wanted.symbols > 5);
        for (uint32_t block = 512; block <= 65536; block *= 2)
            for (int backwards = 0; backwards < 2; backwards++) {
                struct file again = put_together(streams, block, backwards);

                assert_int_equal(ask(&again).hash, wanted.hash);
                free(again.bytes);
            }
        drop(streams);
        free(file.bytes);
    }
}

/* A directory whose list of blocks takes several blocks itself. */
static void test_big_directory(void **state)
{
    struct file file = load("shapes-x64.pdb"), big;
    struct pdb_answers wanted = ask(&file);
    struct streams *streams = take_apart(&file);

    (void)state;
    for (; streams->count < STREAMS_MAX - 1; streams->count++)
        streams->at[streams->count] = (struct file){calloc(1, 513), streams->count % 100 ? 0 : 1};
    big = put_together(streams, 512, true);
    assert_int_equal(ask(&big).hash, wanted.hash);
    free(big.bytes);
    drop(streams);
    free(file.bytes);
}

/* Without hashes types are found by looking. */
static void test_no_hashes(void **state)
{
    struct file file = load("shapes-x86.pdb"), again;
    struct pdb_answers wanted = ask(&file);
    struct streams *streams = take_apart(&file);

    (void)state;
    streams->at[2].bytes[20] = streams->at[2].bytes[21] = 0xff;
    again = put_together(streams, 4096, false);
    assert_int_equal(ask(&again).hash, wanted.hash);
    free(again.bytes);
    drop(streams);
    free(file.bytes);
}

/* A tool moved half of what the compiler laid out: names and offsets stay those of the compiler's layout. */
static void test_moved_code(void **state)
{
    static const uint32_t to_source[][2] = {{0x1000, 0x1000}, {0x1010, 0x1040}, {0x1050, 0}, {0x2000, 0x2000}};
    static const uint32_t from_source[][2] = {{0x1000, 0x1000}, {0x1010, 0}, {0x1040, 0x1010}, {0x2000, 0x2000}};
    struct file file = load("shapes-x86.pdb"), again;
    struct streams *streams = take_apart(&file);
    struct file *dbi = &streams->at[3];
    uint8_t *row;
    struct hs_pdb_symbol symbol;
    struct hs_pdb *pdb;
    uint32_t offset, off = 64, numbers[2];
    bool is_near;

    (void)state;
    for (unsigned i = 24; i <= 40; i += 4)
        off += get32(dbi->bytes + i);
    row = dbi->bytes + off + get32(dbi->bytes + 52);
    for (unsigned i = 0; i < 2; i++) {
        const void *omap = i ? (const void *)from_source : (const void *)to_source;

        numbers[i] = streams->count;
        streams->at[streams->count++] = (struct file){calloc(1, 4096), sizeof to_source};
        memcpy(streams->at[numbers[i]].bytes, omap, sizeof to_source);
        row[6 + 2 * i] = (uint8_t)numbers[i];
        row[7 + 2 * i] = 0;
    }
    again = put_together(streams, 4096, false);
    pdb = open_file(&again);
    assert_true(hs_pdb_at(pdb, 0x1004, &symbol, &offset, &is_near));
    assert_string_equal(symbol.name, "Std");
    assert_true(hs_pdb_at(pdb, 0x1013, &symbol, &offset, &is_near)); /* 0x1043 as the compiler laid it out */
    assert_string_equal(symbol.name, "geo::measure");
    assert_int_equal(offset, 3);
    assert_true(is_near);
    assert_false(hs_pdb_at(pdb, 0x1050, &symbol, &offset, &is_near)); /* the tool's own */
    assert_true(hs_pdb_named(pdb, "geo::measure", &symbol));
    assert_int_equal(symbol.rva, 0x1010);
    assert_false(hs_pdb_named(pdb, "Plain", &symbol)); /* left out */
    hs_pdb_close(pdb);
    free(again.bytes);
    drop(streams);
    free(file.bytes);
}

static void test_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum hs_status status;
    } rows[] = {
        {"", 0, HS_ERR_FORMAT},
        {"MZ and no PDB", 13, HS_ERR_FORMAT},
        {"Microsoft C/C++ program database 2.00\r\n\x1aJG\0\0", 44, HS_ERR_UNSUPPORTED},
        {"BSJB\1\0\1\0", 8, HS_ERR_UNSUPPORTED},
        {"MSCF\0\0\0\0", 8, HS_ERR_UNSUPPORTED},
        {"Microsoft C/C++ MSF 7.00\r\n\x1a"
         "DS\0\0\0",
         32, HS_ERR_FORMAT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pdb_answers answers;

        assert_int_equal(ask_pdb((struct hs_span){(const uint8_t *)rows[i].bytes, rows[i].size}, &answers),
                         rows[i].status);
    }
}

/* ---- damage ---- */

static uint64_t random_next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 24;
}

static void test_truncated(void **state)
{
    struct file file = load("shapes-x64.pdb");

    (void)state;
    for (size_t size = 0; size < file.size; size += size < 600 ? 1 : 509) {
        uint8_t *bytes = malloc(size + 1); /* of its own size, so that the sanitizer sees a read past it */
        struct pdb_answers answers;

        memcpy(bytes, file.bytes, size);
        bytes = realloc(bytes, size ? size : 1);
        assert_int_not_equal(ask_pdb((struct hs_span){bytes, size}, &answers), HS_NOT_FOUND);
        free(bytes);
    }
    free(file.bytes);
}

/* Some bytes, or words that are often counts, sizes, offsets and numbers, are changed: in the file as it lies, or in one
 * stream. */
static void mutate(struct streams *streams, struct file *file, uint64_t *seed)
{
    static const uint32_t words[] = {0, 1, 0xffffffff, 0x7fffffff, 0x80000000, 0xffff, 0x1000, 0x10000000, 0x1400};
    static const uint8_t likely[] = {1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    unsigned count = 1 + (unsigned)(random_next(seed) % 12);

    for (unsigned i = 0; i < count; i++) {
        struct file *target = file;
        size_t off;

        if (streams) {
            target = &streams->at[likely[random_next(seed) % sizeof likely] % streams->count];
            if (target->size < 8)
                continue;
        }
        off = random_next(seed) % 4 ? random_next(seed) % (target->size - 4)
                                    : random_next(seed) % (target->size < 100 ? target->size - 4 : 96);
        if (random_next(seed) % 2)
            target->bytes[off] = (uint8_t)random_next(seed);
        else
            put32(target->bytes + off / 2 * 2, words[random_next(seed) % (sizeof words / sizeof *words)]);
    }
}

static void test_mutations(void **state)
{
    static const char *const names[] = {"shapes-x86.pdb", "shapes-x64.pdb", "ntdll-x86.pdb"};

    (void)state;
    for (unsigned number = 0; number < MUTATIONS; number++) {
        uint64_t seed = number;
        struct file file = load(names[number % 3]), again;
        struct streams *streams = number % 5 ? take_apart(&file) : NULL;
        struct pdb_answers answers;

        mutate(streams, &file, &seed);
        again = streams ? put_together(streams, 4096, number % 2) : file;
        if (ask_pdb((struct hs_span){again.bytes, again.size}, &answers) == HS_NOT_FOUND)
            fail_msg("mutation %u: a failure without a text", number);
        if (streams) {
            free(again.bytes);
            drop(streams);
        }
        free(file.bytes);
    }
}

/* ---- memory that runs out ---- */

static void test_memory(void **state)
{
    struct file file = load("shapes-x86.pdb"), again;
    struct pdb_answers wanted = ask(&file), answers;
    struct streams *streams = take_apart(&file);
    unsigned long needed;

    (void)state;
    again = put_together(streams, 512, true); /* nothing can be borrowed */
    for (int that_and_later = 0; that_and_later < 2; that_and_later++) {
        allocations_succeed();
        assert_int_equal(ask_pdb((struct hs_span){again.bytes, again.size}, &answers), HS_OK);
        needed = allocations_succeed();
        assert_true(needed > 10);
        for (unsigned long n = 0; n < needed; n++) {
            enum hs_status status;

            allocations_fail(n, that_and_later ? ULONG_MAX : n + 1);
            status = ask_pdb((struct hs_span){again.bytes, again.size}, &answers);
            allocations_succeed();
            assert_true(status == HS_OK || status == HS_ERR_MEMORY);
        }
    }
    assert_int_equal(ask(&again).hash, wanted.hash);
    free(again.bytes);
    drop(streams);
    free(file.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),       cmocka_unit_test(test_symbols),       cmocka_unit_test(test_plain),
        cmocka_unit_test(test_block_sizes), cmocka_unit_test(test_big_directory), cmocka_unit_test(test_no_hashes),
        cmocka_unit_test(test_moved_code),  cmocka_unit_test(test_refused),       cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_mutations),   cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
