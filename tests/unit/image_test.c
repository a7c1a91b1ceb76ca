/* image_test.c - engine/image/ on images written by hand: sound, wrong in each field, cut, holed and flipped.
 * `image_test --seeds DIR` writes the seed files of tests/fuzz/fuzz_pe.c instead. */
#include "image/image.h"

#include "pe_writer.h"
#include "failing.h"

#include <inttypes.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BASE 0x36f00000u

/* ---- allocations that fail: linked with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc; skipped without ---- */

/* ---- an image in a space ---- */

#define PIECE_MAX 3u

struct fixture {
    struct pe_writer pe;
    uint8_t *pieces[PIECE_MAX]; /* allocated to the byte, so that the sanitizer sees every step too far */
    struct hs_range ranges[PIECE_MAX];
    size_t piece_count;
    struct hs_space space;
    struct hs_notes notes;
    struct hs_image image;
};

static void add_piece(struct fixture *f, hs_va va, const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return;
    assert_true(f->piece_count < PIECE_MAX);
    f->pieces[f->piece_count] = malloc(size);
    assert_non_null(f->pieces[f->piece_count]);
    memcpy(f->pieces[f->piece_count], bytes, size);
    f->ranges[f->piece_count] = (struct hs_range){va, size, f->pieces[f->piece_count]};
    f->piece_count++;
}

static enum hs_status load(struct fixture *f, hs_va base, uint64_t size, struct hs_error *err)
{
    enum hs_status status = hs_space_init(&f->space, f->ranges, f->piece_count, 4, err);

    hs_notes_init(&f->notes);
    if (status != HS_OK)
        return status;
    return hs_image_init(&f->image, &f->space, base, size, "small.dll", &f->notes, err);
}

static void unload(struct fixture *f)
{
    hs_image_deinit(&f->image);
    hs_notes_deinit(&f->notes);
    hs_space_deinit(&f->space);
    for (size_t i = 0; i < f->piece_count; i++)
        free(f->pieces[i]);
    f->piece_count = 0;
}

/* Loads the whole of f->pe. */
static void load_whole(struct fixture *f)
{
    f->piece_count = 0;
    add_piece(f, BASE, f->pe.bytes, IMAGE_SIZE);
    assert_int_equal(load(f, BASE, IMAGE_SIZE, NULL), HS_OK);
}

static bool has_note(struct fixture *f, const char *part)
{
    for (size_t i = 0; i < hs_notes_lines(&f->notes); i++)
        if (strstr(hs_notes_line(&f->notes, i), part))
            return true;
    return false;
}

static void assert_note(struct fixture *f, const char *part)
{
    if (has_note(f, part))
        return;
    for (size_t i = 0; i < hs_notes_lines(&f->notes); i++)
        print_error("note: %s\n", hs_notes_line(&f->notes, i));
    fail_msg("no note says \"%s\"", part);
}

static void assert_printable(const char *text)
{
    assert_non_null(text);
    for (; *text; text++)
        assert_true((unsigned char)*text >= ' ' && *text != 0x7f);
}

static bool is_better(const struct hs_export *a, const struct hs_export *b)
{
    if (!*a->name != !*b->name)
        return *a->name != 0;
    return strcmp(a->name, b->name) <= 0;
}

/* What must hold of every image, whatever the bytes. */
static void assert_sound(const struct hs_image *image, hs_va base, uint64_t size)
{
    size_t addressed = 0, named = 0;

    assert_true(image->section_count <= 96);
    for (size_t i = 0; i < image->section_count; i++) {
        const struct hs_section *section = &image->sections[i];

        assert_printable(section->name);
        assert_true(section->va >= base && section->va - base < size);
        assert_true(section->size <= size - (section->va - base));
    }
    assert_true(image->export_count <= 65536);
    for (size_t i = 0; i < image->export_count; i++) {
        const struct hs_export *item = &image->exports[i];

        assert_printable(item->name);
        assert_printable(item->forwarder);
        assert_true(i == 0 || image->exports[i - 1].ordinal <= item->ordinal);
        assert_true((item->va == 0) == (*item->forwarder != 0));
        assert_true(item->va == 0 || (item->va > base && item->va - base < size));
        addressed += item->va != 0;
        named += *item->name != 0;
        if (*item->name)
            assert_string_equal(hs_image_named(image, item->name)->name, item->name);
        if (item->va) {
            const struct hs_export *nearest = hs_image_nearest(image, item->va);

            assert_non_null(nearest);
            assert_true(nearest->va == item->va);
            assert_true(is_better(nearest, item));
        }
    }
    assert_true(image->by_va_count <= addressed);
    for (size_t i = 1; i < image->by_va_count; i++)
        assert_true(image->exports[image->by_va[i - 1]].va < image->exports[image->by_va[i]].va);
    assert_int_equal(image->by_name_count, named);
    for (size_t i = 1; i < image->by_name_count; i++)
        assert_true(strcmp(image->exports[image->by_name[i - 1]].name, image->exports[image->by_name[i]].name) <= 0);
    assert_printable(image->pdb_name);
    assert_printable(image->pdb_id);
    assert_true(strlen(image->pdb_id) == 0 || (strlen(image->pdb_id) >= 33 && strlen(image->pdb_id) <= 40));
}

/* ---- sound images ---- */

static void assert_export(const struct hs_image *image, size_t idx, uint32_t ordinal, uint32_t rva, const char *name,
                          const char *forwarder)
{
    const struct hs_export *item = &image->exports[idx];

    assert_int_equal(item->ordinal, ordinal);
    assert_int_equal(item->va, rva ? image->base + rva : 0);
    assert_string_equal(item->name, name);
    assert_string_equal(item->forwarder, forwarder);
}

static void assert_section(const struct hs_image *image, size_t idx, const char *name, uint32_t rva, uint32_t size,
                           bool writable, bool executable)
{
    const struct hs_section *section = &image->sections[idx];

    assert_string_equal(section->name, name);
    assert_int_equal(section->va, image->base + rva);
    assert_int_equal(section->size, size);
    assert_true(section->readable);
    assert_int_equal(section->writable, writable);
    assert_int_equal(section->executable, executable);
}

static void assert_all_exports(const struct hs_image *image)
{
    assert_int_equal(image->export_count, 8);
    assert_export(image, 0, 5, TEXT_AT + 0x10, "Alpha", "");
    assert_export(image, 1, 5, TEXT_AT + 0x10, "AlphaAlias", "");
    assert_export(image, 2, 6, TEXT_AT + 0x20, "", "");
    assert_export(image, 3, 8, 0, "HeapAlloc", "NTDLL.RtlAllocateHeap");
    assert_export(image, 4, 9, TEXT_AT + 0x40, "Gamma", "");
    assert_export(image, 5, 10, TEXT_AT + 0x40, "", "");
    assert_export(image, 6, 11, TEXT_AT + 0x30, "Beta", "");
    assert_export(image, 7, 12, DATA_AT + 0x10, "Table", "");
}

/* All that pe_write puts into an image. */
static void assert_whole(struct fixture *f)
{
    static const uint16_t version[4] = {6, 1, 7601, 17514};
    const struct hs_image *image = &f->image;

    assert_int_equal(hs_notes_lines(&f->notes), 0);
    assert_true(image->readable);
    assert_int_equal(image->is_64, f->pe.is_64);
    assert_int_equal(image->size, IMAGE_SIZE);
    assert_int_equal(image->timestamp, 0x4a5bdb01);
    assert_int_equal(image->checksum, 0xbeef1);
    assert_int_equal(image->header_size, 0x240);
    assert_int_equal(image->section_count, 4);
    assert_section(image, 0, ".text", TEXT_AT, 0xc0, false, true);
    assert_section(image, 1, ".rdata_8", EXPORTS_AT, 0x280, false, false);
    assert_section(image, 2, ".rsrc", RESOURCES_AT, RESOURCES_SIZE, false, false);
    assert_section(image, 3, ".data", DATA_AT, IMAGE_SIZE - DATA_AT, true, false);
    assert_all_exports(image);
    assert_int_equal(image->by_va_count, 5);
    assert_int_equal(image->by_name_count, 6);
    assert_string_equal(image->pdb_name, "c:\\build\\small.pdb");
    assert_string_equal(image->pdb_id, "A3A2A1A0A5A4A7A6A8A9AAABACADAEAF1A");
    assert_true(image->has_version);
    assert_memory_equal(image->version, version, sizeof version);
    assert_sound(image, BASE, IMAGE_SIZE);
}

static void test_sound(void **state)
{
    (void)state;
    for (int is_64 = 0; is_64 < 2; is_64++) {
        struct fixture f = {0};

        pe_write(&f.pe, is_64);
        load_whole(&f);
        assert_whole(&f);
        unload(&f);
    }
}

static void test_size_from_header(void **state)
{
    struct fixture f = {0};

    (void)state;
    pe_write(&f.pe, false);
    add_piece(&f, BASE, f.pe.bytes, IMAGE_SIZE);
    assert_int_equal(load(&f, BASE, 0, NULL), HS_OK);
    assert_whole(&f);
    unload(&f);

    put(&f.pe, OPTIONAL_AT + 56, 4, 0);
    add_piece(&f, BASE, f.pe.bytes, IMAGE_SIZE);
    assert_int_equal(load(&f, BASE, 0, NULL), HS_OK);
    assert_false(f.image.readable);
    assert_note(&f, "no size");
    unload(&f);
    load_whole(&f); /* the module list's size is enough */
    assert_whole(&f);
    unload(&f);
}

static void test_lookup(void **state)
{
    struct fixture f = {0};
    const struct hs_image *image = &f.image;

    (void)state;
    pe_write(&f.pe, false);
    load_whole(&f);
    assert_null(hs_image_nearest(image, 0));
    assert_null(hs_image_nearest(image, BASE + TEXT_AT + 0xf));
    assert_string_equal(hs_image_nearest(image, BASE + TEXT_AT + 0x10)->name, "Alpha");
    assert_string_equal(hs_image_nearest(image, BASE + TEXT_AT + 0x1f)->name, "Alpha");
    assert_int_equal(hs_image_nearest(image, BASE + TEXT_AT + 0x2f)->ordinal, 6);
    assert_string_equal(hs_image_nearest(image, BASE + TEXT_AT + 0x44)->name, "Gamma");
    assert_string_equal(hs_image_nearest(image, UINT64_MAX)->name, "Table");

    assert_int_equal(hs_image_named(image, "Beta")->ordinal, 11);
    assert_int_equal(hs_image_named(image, "AlphaAlias")->ordinal, 5);
    assert_string_equal(hs_image_named(image, "HeapAlloc")->forwarder, "NTDLL.RtlAllocateHeap");
    assert_int_equal(hs_image_named(image, "Ordinal6")->va, BASE + TEXT_AT + 0x20);
    assert_string_equal(hs_image_named(image, "Ordinal5")->name, "Alpha");
    assert_null(hs_image_named(image, ""));
    assert_null(hs_image_named(image, "beta"));
    assert_null(hs_image_named(image, "Zeta"));
    assert_null(hs_image_named(image, "Ordinal"));
    assert_null(hs_image_named(image, "Ordinal7")); /* not in use */
    assert_null(hs_image_named(image, "Ordinal13"));
    assert_null(hs_image_named(image, "Ordinal06"));
    assert_null(hs_image_named(image, "Ordinal6x"));
    assert_null(hs_image_named(image, "Ordinal4294967302")); /* 6 in 32 bits */

    assert_string_equal(hs_image_section_at(image, BASE + TEXT_AT)->name, ".text");
    assert_string_equal(hs_image_section_at(image, BASE + TEXT_AT + 0xbf)->name, ".text");
    assert_string_equal(hs_image_section_at(image, BASE + EXPORTS_AT)->name, ".rdata_8");
    assert_null(hs_image_section_at(image, BASE));
    assert_null(hs_image_section_at(image, BASE + IMAGE_SIZE));
    assert_null(hs_image_section_at(image, 0));
    unload(&f);

    memset(&f, 0, sizeof f); /* an image that was never read answers too */
    assert_null(hs_image_nearest(image, BASE));
    assert_null(hs_image_named(image, "Ordinal5"));
    assert_null(hs_image_section_at(image, BASE));
}

/* ---- wrong fields ---- */

struct change {
    uint32_t at;
    unsigned width;
    uint64_t value;
    const char *note; /* part of a note; NULL: there is none */
};

/* Loads a sound image with one field changed; checks the note and what always holds. */
static void load_changed(struct fixture *f, bool is_64, const struct change *change)
{
    memset(f, 0, sizeof *f);
    pe_write(&f->pe, is_64);
    put(&f->pe, change->at, change->width, change->value);
    load_whole(f);
    assert_sound(&f->image, BASE, IMAGE_SIZE);
    if (change->note)
        assert_note(f, change->note);
    else
        assert_int_equal(hs_notes_lines(&f->notes), 0);
}

static void test_headers_wrong(void **state)
{
    static const struct change changes[] = {
        {0, 1, 'X', "expected \"MZ\""},
        {0x3c, 4, 0, "expected \"PE\""},
        {0x3c, 4, IMAGE_SIZE - 8, "lies outside"},
        {0x3c, 4, IMAGE_SIZE - 24, "begins with"},
        {0x3c, 4, UINT32_MAX, "lies outside"},
        {PE_AT, 1, 'Q', "expected \"PE\""},
        {PE_AT + 3, 1, 1, "expected \"PE\""},
        {OPTIONAL_AT, 2, 0x107, "expected 0x10b"},
        {FILE_AT + 16, 2, 0, "expected 96"},
        {FILE_AT + 16, 2, 1, "expected 96"},
        {FILE_AT + 16, 2, 95, "or more"},
    };

    (void)state;
    for (int is_64 = 0; is_64 < 2; is_64++) {
        for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
            struct fixture f;

            load_changed(&f, is_64, &changes[i]);
            assert_false(f.image.readable);
            assert_int_equal(f.image.section_count, 0);
            assert_int_equal(f.image.export_count, 0);
            assert_int_equal(hs_notes_lines(&f.notes), 1);
            unload(&f);
        }
    }
}

static void test_directory_count(void **state)
{
    (void)state;
    for (int is_64 = 0; is_64 < 2; is_64++) {
        struct fixture f = {0};

        pe_write(&f.pe, is_64);
        put(&f.pe, directory_at(&f.pe, 0) - 4, 4, UINT32_MAX); /* more than there are: as many as there are */
        load_whole(&f);
        assert_whole(&f);
        unload(&f);
        put(&f.pe, directory_at(&f.pe, 0) - 4, 4, 1);
        load_whole(&f);
        assert_int_equal(f.image.export_count, 8);
        assert_false(f.image.has_version);
        assert_string_equal(f.image.pdb_id, "");
        assert_int_equal(hs_notes_lines(&f.notes), 0);
        unload(&f);
        put(&f.pe, directory_at(&f.pe, 0) - 4, 4, 0);
        load_whole(&f);
        assert_int_equal(f.image.export_count, 0);
        assert_int_equal(f.image.section_count, 4);
        unload(&f);
    }
}

static void test_sections_wrong(void **state)
{
    struct fixture f = {0};
    struct pe_writer layout = {.is_64 = false};
    struct change change = {section_at(&layout, 0) + 12, 4, IMAGE_SIZE, "1 of 4 sections"};

    (void)state;
    load_changed(&f, false, &change); /* begins outside: dropped */
    assert_int_equal(f.image.section_count, 3);
    assert_string_equal(f.image.sections[0].name, ".rdata_8");
    unload(&f);

    change = (struct change){section_at(&layout, 3) + 8, 4, UINT32_MAX, "1 of 4 sections"};
    load_changed(&f, false, &change); /* ends outside: cut */
    assert_int_equal(f.image.section_count, 4);
    assert_int_equal(f.image.sections[3].size, IMAGE_SIZE - DATA_AT);
    unload(&f);

    change = (struct change){section_at(&layout, 1), 4, 0xff1b0a41, NULL};
    load_changed(&f, false, &change);
    assert_string_equal(f.image.sections[1].name, "A\\x0a\\x1b\\xffta_8");
    unload(&f);

    change = (struct change){FILE_AT + 2, 2, 0, NULL};
    load_changed(&f, false, &change);
    assert_int_equal(f.image.section_count, 0);
    assert_int_equal(f.image.export_count, 8);
    unload(&f);

    change = (struct change){FILE_AT + 2, 2, 65535, "declares 65535 sections"};
    load_changed(&f, false, &change);
    assert_string_equal(f.image.sections[3].name, ".data");
    unload(&f);

    change = (struct change){FILE_AT + 16, 2, IMAGE_SIZE, "the section table"};
    load_changed(&f, false, &change);
    assert_int_equal(f.image.section_count, 0);
    assert_int_equal(f.image.export_count, 8);
    unload(&f);

    memset(&f, 0, sizeof f);
    pe_write(&f.pe, false);
    put(&f.pe, section_at(&f.pe, 0) + 8, 4, 0); /* VirtualSize empty, SizeOfRawData not */
    put(&f.pe, section_at(&f.pe, 0) + 16, 4, 0x90);
    load_whole(&f);
    assert_int_equal(f.image.sections[0].size, 0x90);
    unload(&f);
}

static void test_exports_wrong(void **state)
{
    static const struct {
        struct change change;
        size_t export_count, name_count;
    } cases[] = {
        {{EXPORTS_AT + 20, 4, 0, NULL}, 0, 0},
        {{EXPORTS_AT + 20, 4, 3, "4 of 6 names"}, 3, 2},            /* names of ordinals that are not there */
        {{EXPORTS_AT + 20, 4, UINT32_MAX, "the image ends"}, 0, 6}, /* rubbish behind the table may be addresses */
        {{EXPORTS_AT + 24, 4, 0, NULL}, 7, 0},
        {{EXPORTS_AT + 24, 4, UINT32_MAX, "the image ends"}, 0, 6},
        {{EXPORTS_AT + 28, 4, IMAGE_SIZE, "lies outside"}, 0, 0},
        {{EXPORTS_AT + 28, 4, UINT32_MAX, "lies outside"}, 0, 0},
        {{EXPORTS_AT + 28, 4, IMAGE_SIZE - 4, "the image ends after 1"}, 0, 0},
        {{EXPORTS_AT + 32, 4, IMAGE_SIZE - 3, "shown by ordinal"}, 7, 0},
        {{EXPORTS_AT + 36, 4, UINT32_MAX, "shown by ordinal"}, 7, 0},
        {{EXPORTS_AT + 36, 4, IMAGE_SIZE - 2, "the image ends after 1"}, 7, 1},
        {{FUNCTIONS_AT, 4, IMAGE_SIZE, "1 of 8 addresses, 2 of 6 names"}, 6, 4},
        {{FUNCTIONS_AT, 4, UINT32_MAX, "1 of 8 addresses, 2 of 6 names"}, 6, 4},
        {{FUNCTIONS_AT, 4, 0, "2 of 6 names"}, 6, 4}, /* names for an ordinal that is not in use */
        {{NAMES_AT, 4, 0x40, "1 of 6 names"}, 7, 5},  /* an empty name */
        {{NAMES_AT, 4, UINT32_MAX, "1 of 6 names"}, 7, 5},
        {{NAMES_AT + 8, 4, UINT32_MAX, "1 of 6 names"}, 8, 5}, /* Beta: its export stays, nameless */
        {{ORDINALS_AT, 2, FUNCTION_COUNT, "1 of 6 names"}, 7, 5},
        {{ORDINALS_AT, 2, 0xffff, "1 of 6 names"}, 7, 5},
    };

    (void)state;
    for (int is_64 = 0; is_64 < 2; is_64++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct fixture f;

            load_changed(&f, is_64, &cases[i].change);
            assert_true(f.image.readable && f.image.has_version);
            if (cases[i].export_count)
                assert_int_equal(f.image.export_count, cases[i].export_count);
            if (cases[i].change.at != EXPORTS_AT + 24 || cases[i].change.value == 0)
                assert_int_equal(f.image.by_name_count, cases[i].name_count);
            else
                assert_true(f.image.by_name_count >= cases[i].name_count);
            unload(&f);
        }
    }
}

static void test_export_directory_place(void **state)
{
    struct pe_writer layout = {.is_64 = true};
    struct change change = {directory_at(&layout, 0), 4, 0, NULL};
    struct fixture f;

    (void)state;
    load_changed(&f, true, &change);
    assert_int_equal(f.image.export_count, 0);
    unload(&f);
    change.value = IMAGE_SIZE - 39;
    change.note = "the export directory";
    load_changed(&f, true, &change);
    assert_int_equal(f.image.export_count, 0);
    unload(&f);
    change = (struct change){directory_at(&layout, 0) + 4, 4, 0, NULL}; /* no size: no forwarders */
    load_changed(&f, true, &change);
    assert_int_equal(f.image.export_count, 8);
    assert_true(hs_image_named(&f.image, "HeapAlloc")->va > BASE + EXPORTS_AT);
    unload(&f);
    change.value = UINT32_MAX; /* all the rest of the image: .data's export becomes a forwarder without a target */
    change.note = "1 forwarders";
    load_changed(&f, true, &change);
    assert_string_equal(hs_image_named(&f.image, "Table")->forwarder, "?");
    assert_string_equal(hs_image_named(&f.image, "HeapAlloc")->forwarder, "NTDLL.RtlAllocateHeap");
    unload(&f);
}

static void test_ordinal_base(void **state)
{
    struct change change = {EXPORTS_AT + 16, 4, UINT32_MAX - 3, "ordinal base 0xfffffffc"};
    struct fixture f;

    (void)state;
    load_changed(&f, false, &change);
    assert_int_equal(f.image.export_count, 8);
    assert_int_equal(f.image.exports[0].ordinal, UINT32_MAX - 3);
    assert_int_equal(f.image.exports[7].ordinal, UINT32_MAX);
    assert_string_equal(hs_image_nearest(&f.image, BASE + TEXT_AT + 0x33)->name, "Beta");
    unload(&f);
    change = (struct change){EXPORTS_AT + 16, 4, 0, NULL};
    load_changed(&f, false, &change);
    assert_int_equal(hs_image_named(&f.image, "Ordinal1")->va, BASE + TEXT_AT + 0x20);
    assert_string_equal(hs_image_named(&f.image, "Ordinal0")->name, "Alpha");
    unload(&f);
}

static void test_forwarders(void **state)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"ntdll.#12", "ntdll.#12"},
        {"api-ms-win-core-1.0.Sleep", "api-ms-win-core-1.0.Sleep"},
        {"", "?"},
        {"ntdll", "?"},
        {".x", "?"},
        {"ntdll.", "?"},
        {"nt dll.x", "?"},
        {"ntdll.\x1b[31m", "?"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f = {0};
        const struct hs_export *item;

        pe_write(&f.pe, false);
        put_text(&f.pe, f.pe.text_end, cases[i].text);
        load_whole(&f);
        assert_sound(&f.image, BASE, IMAGE_SIZE);
        item = hs_image_named(&f.image, "HeapAlloc");
        assert_string_equal(item->forwarder, cases[i].expected);
        assert_int_equal(item->va, 0);
        assert_int_equal(has_note(&f, "1 forwarders"), cases[i].expected[0] == '?');
        unload(&f);
    }
}

static void test_names(void **state)
{
    struct fixture f = {0};

    (void)state;
    pe_write(&f.pe, false);
    put_text(&f.pe, NAME_TEXT_AT, "A\x1b\n\xc3\xa9");
    load_whole(&f);
    assert_string_equal(f.image.exports[0].name, "A\\x1b\\x0a\xc3\xa9");
    assert_ptr_equal(hs_image_named(&f.image, "A\\x1b\\x0a\xc3\xa9"), &f.image.exports[0]);
    unload(&f);

    /* 512 bytes are a name, 513 are none. Laid over everything behind the directories that stay in use. */
    for (unsigned length = 512; length <= 513; length++) {
        pe_write(&f.pe, false);
        put(&f.pe, directory_at(&f.pe, 2), 4, 0);
        put(&f.pe, directory_at(&f.pe, 6), 4, 0);
        memset(f.pe.bytes + 0x500, 'n', length);
        put(&f.pe, 0x500 + length, 1, 0);
        put(&f.pe, NAMES_AT + 8, 4, 0x500);
        load_whole(&f);
        assert_int_equal(strlen(f.image.exports[6].name), length == 512 ? 512 : 0);
        assert_int_equal(has_note(&f, "1 of 6 names"), length == 513);
        unload(&f);
    }

    pe_write(&f.pe, false); /* a name without an end, at the end of the image */
    memset(f.pe.bytes + IMAGE_SIZE - 8, 'n', 8);
    put(&f.pe, NAMES_AT + 8, 4, IMAGE_SIZE - 8);
    load_whole(&f);
    assert_string_equal(f.image.exports[6].name, "");
    assert_note(&f, "1 of 6 names");
    unload(&f);

    pe_write(&f.pe, false); /* names out of order are found all the same */
    put(&f.pe, NAMES_AT, 4, hs_load_u32(f.pe.bytes + NAMES_AT + 20));
    put(&f.pe, NAMES_AT + 20, 4, NAME_TEXT_AT);
    load_whole(&f);
    assert_sound(&f.image, BASE, IMAGE_SIZE);
    assert_int_equal(hs_image_named(&f.image, "Alpha")->ordinal, 12);
    assert_int_equal(hs_image_named(&f.image, "Table")->ordinal, 5);
    unload(&f);
}

static void test_debug_wrong(void **state)
{
    static const struct change changes[] = {
        {DEBUG_AT + 28 + 12, 4, 3, NULL},
        {DEBUG_AT + 28 + 16, 4, 23, NULL},
        {DEBUG_AT + 28 + 16, 4, UINT32_MAX, "the debug record"},
        {DEBUG_AT + 28 + 20, 4, 0, NULL},
        {DEBUG_AT + 28 + 20, 4, IMAGE_SIZE, "the debug record"},
        {RSDS_AT, 4, 0x3031424e, NULL}, /* NB10 */
    };
    struct fixture f;

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        load_changed(&f, i % 2, &changes[i]);
        assert_string_equal(f.image.pdb_id, "");
        assert_string_equal(f.image.pdb_name, "");
        assert_int_equal(f.image.export_count, 8);
        unload(&f);
    }

    memset(&f, 0, sizeof f);
    pe_write(&f.pe, true);
    put(&f.pe, directory_at(&f.pe, 6) + 4, 4, UINT32_MAX); /* a huge directory: 64 entries, some of them rubbish */
    load_whole(&f);
    assert_string_equal(f.image.pdb_name, "c:\\build\\small.pdb");
    assert_int_equal(hs_notes_lines(&f.notes), 0);
    unload(&f);
    put(&f.pe, directory_at(&f.pe, 6), 4, IMAGE_SIZE);
    load_whole(&f);
    assert_string_equal(f.image.pdb_name, "");
    assert_note(&f, "the debug directory");
    unload(&f);

    pe_write(&f.pe, true); /* a first CodeView entry that leads nowhere does not hide the second */
    put(&f.pe, DEBUG_AT + 12, 4, 2);
    put(&f.pe, DEBUG_AT + 16, 4, 40);
    put(&f.pe, DEBUG_AT + 20, 4, UINT32_MAX - 20);
    load_whole(&f);
    assert_whole(&f);
    unload(&f);
}

static void test_codeview(void **state)
{
    uint8_t bytes[700] = "RSDS";
    struct hs_arena arena;
    const char *name = "kept", *id = "kept";

    (void)state;
    hs_arena_init(&arena);
    assert_int_equal(hs_image_codeview((struct hs_span){NULL, 0}, &arena, &name, &id), HS_NOT_FOUND);
    for (uint64_t size = 0; size < 24; size++)
        assert_int_equal(hs_image_codeview((struct hs_span){bytes, size}, &arena, &name, &id), HS_NOT_FOUND);
    assert_string_equal(name, "kept");
    assert_string_equal(id, "kept");

    assert_int_equal(hs_image_codeview((struct hs_span){bytes, 24}, &arena, &name, &id), HS_OK);
    assert_string_equal(name, "");
    assert_string_equal(id, "000000000000000000000000000000000");
    memcpy(bytes + 24, "a\x1b\x80.pdb", 7); /* no closing 0: the record ends it */
    assert_int_equal(hs_image_codeview((struct hs_span){bytes, 31}, &arena, &name, &id), HS_OK);
    assert_string_equal(name, "a\\x1b\\x80.pdb");
    memset(bytes + 20, 0xff, 4);
    memset(bytes + 24, 'p', sizeof bytes - 24);
    assert_int_equal(hs_image_codeview((struct hs_span){bytes, 24 + 512}, &arena, &name, &id), HS_OK);
    assert_int_equal(strlen(name), 512);
    assert_int_equal(hs_image_codeview((struct hs_span){bytes, sizeof bytes}, &arena, &name, &id), HS_OK);
    assert_string_equal(name, "");
    assert_string_equal(id, "00000000000000000000000000000000FFFFFFFF");
    bytes[0] = 'X';
    assert_int_equal(hs_image_codeview((struct hs_span){bytes, sizeof bytes}, &arena, &name, &id), HS_NOT_FOUND);
    hs_arena_deinit(&arena);
}

static void test_version_wrong(void **state)
{
    static const struct change changes[] = {
        {RESOURCES_AT + 14, 2, 0, NULL},
        {RESOURCES_AT + 14, 2, 1, NULL}, /* the version is the second */
        {RESOURCES_AT + 14, 2, 0xffff, "expected at most 4096"},
        {RESOURCES_AT + 16 + 8, 4, 17, NULL},                 /* no such type */
        {RESOURCES_AT + 16 + 12, 4, 0x20, "ends at level 1"}, /* a leaf too early */
        {RESOURCES_AT + 16 + 12, 4, 0x80000000, NULL},        /* itself: its first entry is 0, a leaf */
        {RESOURCES_AT + 16 + 12, 4, UINT32_MAX, "a resource directory"},
        {RESOURCES_AT + 0x20 + 14, 2, 0, NULL},
        {RESOURCES_AT + 0x20 + 20, 4, 0x80000020, "below level 3"}, /* a cycle */
        {RESOURCES_AT + 0x38 + 20, 4, 0x80000038, "below level 3"},
        {RESOURCES_AT + 0x38 + 20, 4, 0x7fffffff, "the entry of the version resource"},
        {LEAF_AT, 4, IMAGE_SIZE, "the version resource"},
        {LEAF_AT, 4, UINT32_MAX, "the version resource"},
        {LEAF_AT + 4, 4, 55, "expected 0x38"},
        {VERSION_AT + 40, 4, 0xfeef04bc, "signature"},
    };
    struct fixture f;

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct change change = changes[i];

        if (change.value == 0x80000000)
            change.note = "ends at level 2";
        load_changed(&f, i % 2, &change);
        assert_false(f.image.has_version);
        assert_int_equal(f.image.export_count, 8);
        unload(&f);
    }
    memset(&f, 0, sizeof f);
    pe_write(&f.pe, false);
    put(&f.pe, directory_at(&f.pe, 2), 4, UINT32_MAX);
    load_whole(&f);
    assert_false(f.image.has_version);
    assert_note(&f, "a resource directory");
    unload(&f);
}

/* ---- missing bytes ---- */

static void test_absent(void **state)
{
    struct fixture f = {0};

    (void)state;
    assert_int_equal(load(&f, BASE, IMAGE_SIZE, NULL), HS_OK); /* no memory at all */
    assert_false(f.image.readable);
    assert_int_equal(hs_notes_lines(&f.notes), 0);
    assert_string_equal(f.image.pdb_id, "");
    unload(&f);

    pe_write(&f.pe, false);
    add_piece(&f, BASE + 0x10000, f.pe.bytes, IMAGE_SIZE);
    assert_int_equal(load(&f, BASE, IMAGE_SIZE, NULL), HS_OK);
    assert_false(f.image.readable);
    assert_int_equal(f.image.size, IMAGE_SIZE);
    assert_int_equal(hs_notes_lines(&f.notes), 0);
    unload(&f);
}

/* The whole image in two ranges that touch in address, but not in file: nothing is lost. */
static void test_split(void **state)
{
    (void)state;
    for (unsigned at = 1; at < IMAGE_SIZE; at++) {
        struct fixture f = {0};

        pe_write(&f.pe, at % 2);
        add_piece(&f, BASE, f.pe.bytes, at);
        add_piece(&f, BASE + at, f.pe.bytes + at, IMAGE_SIZE - at);
        assert_int_equal(load(&f, BASE, IMAGE_SIZE, NULL), HS_OK);
        assert_whole(&f);
        unload(&f);
    }
}

static void test_truncated(void **state)
{
    (void)state;
    for (int is_64 = 0; is_64 < 2; is_64++) {
        for (unsigned size = 0; size < IMAGE_SIZE; size += 16) {
            struct fixture f = {0};

            pe_write(&f.pe, is_64);
            add_piece(&f, BASE, f.pe.bytes, size); /* the dump ends */
            assert_int_equal(load(&f, BASE, IMAGE_SIZE, NULL), HS_OK);
            assert_sound(&f.image, BASE, IMAGE_SIZE);
            assert_int_equal(f.image.readable, size >= OPTIONAL_AT + optional_size(&f.pe));
            assert_int_equal(f.image.has_version, size >= VERSION_AT + 56);
            assert_int_equal(*f.image.pdb_id != 0, size >= RSDS_AT + 24);
            assert_int_equal(*f.image.pdb_name != 0, size >= RSDS_AT + 24 + 19);
            if (size >= 0x400)
                assert_all_exports(&f.image);
            unload(&f);

            add_piece(&f, BASE, f.pe.bytes, IMAGE_SIZE); /* the module list says that the image ends */
            if (size) {
                assert_int_equal(load(&f, BASE, size, NULL), HS_OK);
                assert_sound(&f.image, BASE, size);
            } else {
                assert_int_equal(load(&f, BASE, IMAGE_SIZE, NULL), HS_OK);
            }
            unload(&f);
        }
    }
}

/* Whether `item` is one of the exports of a whole image, or that export without its name. */
static bool is_true_export(const struct hs_export *item, const struct hs_image *whole)
{
    for (size_t i = 0; i < whole->export_count; i++) {
        const struct hs_export *truth = &whole->exports[i];

        if (truth->ordinal == item->ordinal && truth->va == item->va &&
            (!*item->name || strcmp(truth->name, item->name) == 0) &&
            (strcmp(truth->forwarder, item->forwarder) == 0 || strcmp(item->forwarder, "?") == 0))
            return true;
    }
    return false;
}

/* A hole of 4 to 100 bytes at every 4 bytes: what is read is true, and what the hole does not touch is read. */
static void test_holes(void **state)
{
    static const unsigned sizes[] = {4, 16, 100};
    struct fixture whole = {0};

    (void)state;
    pe_write(&whole.pe, false);
    load_whole(&whole);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (unsigned at = 0; at + sizes[s] <= IMAGE_SIZE; at += 4) {
            unsigned end = at + sizes[s];
            struct fixture f = {0};

            pe_write(&f.pe, false);
            add_piece(&f, BASE, f.pe.bytes, at);
            add_piece(&f, BASE + end, f.pe.bytes + end, IMAGE_SIZE - end);
            assert_int_equal(load(&f, BASE, IMAGE_SIZE, NULL), HS_OK);
            assert_sound(&f.image, BASE, IMAGE_SIZE);
            for (size_t i = 0; i < f.image.export_count; i++)
                assert_true(is_true_export(&f.image.exports[i], &whole.image));
            for (size_t i = 0; i < f.image.section_count; i++)
                assert_non_null(hs_image_section_at(&whole.image, f.image.sections[i].va));
            if (at >= EXPORTS_AT + 0x100)
                assert_all_exports(&f.image);
            if (at >= FUNCTIONS_AT && end <= NAMES_AT) { /* addresses lost: the others keep theirs */
                assert_note(&f, "addresses");
                assert_true(f.image.export_count < 8 || at == FUNCTIONS_AT + 8); /* the ordinal that is not in use */
                assert_true(f.image.export_count > 0 || sizes[s] > 16);
            }
            if (at >= NAMES_AT && end <= NAME_TEXT_AT) { /* names lost: their exports remain, nameless */
                assert_true(f.image.export_count >= 7);
                assert_true(hs_notes_lines(&f.notes) > 0 || at >= ORDINALS_AT + 12);
            }
            unload(&f);
        }
    }
    unload(&whole);
}

/* ---- bounds and cost ---- */

/* A large image: headers of pe_write, then `count` functions and names at 0x1000. `same` names share one text. */
static uint8_t *write_large(size_t size, uint32_t count, uint32_t name_text_rva, bool is_same)
{
    uint8_t *bytes = calloc(1, size);
    struct pe_writer head;
    uint32_t names = 0x1000 + 4 * count, ordinals = names + 4 * count, text = name_text_rva;
    char name[16];

    assert_non_null(bytes);
    pe_write(&head, false);
    put(&head, OPTIONAL_AT + 56, 4, size);
    put(&head, EXPORTS_AT + 20, 4, count);
    put(&head, EXPORTS_AT + 24, 4, count);
    put(&head, EXPORTS_AT + 28, 4, 0x1000);
    put(&head, EXPORTS_AT + 32, 4, names);
    put(&head, EXPORTS_AT + 36, 4, ordinals);
    memcpy(bytes, head.bytes, IMAGE_SIZE);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t rva = 0x800 + (i * 7919u) % 0x800;

        for (unsigned b = 0; b < 4; b++) {
            bytes[0x1000 + 4 * i + b] = (uint8_t)(rva >> (8 * b));
            bytes[names + 4 * i + b] = (uint8_t)(text >> (8 * b));
        }
        bytes[ordinals + 2 * i] = (uint8_t)i;
        bytes[ordinals + 2 * i + 1] = (uint8_t)(i >> 8);
        if (!is_same) {
            snprintf(name, sizeof name, "N%06" PRIu32, i);
            memcpy(bytes + text, name, strlen(name) + 1);
            text += 8;
        }
    }
    return bytes;
}

static void test_most_exports(void **state)
{
    size_t size = 0x1000 + 65536 * 10 + 65536 * 8;
    uint8_t *bytes = write_large(size, 65536, 0x1000 + 65536 * 10, false);
    struct fixture f = {0};

    (void)state;
    add_piece(&f, BASE, bytes, size);
    assert_int_equal(load(&f, BASE, size, NULL), HS_OK);
    assert_int_equal(f.image.export_count, 65536);
    assert_int_equal(f.image.by_name_count, 65536);
    assert_int_equal(hs_notes_lines(&f.notes), 0);
    assert_string_equal(hs_image_named(&f.image, "N065535")->name, "N065535");
    assert_int_equal(hs_image_named(&f.image, "Ordinal65540")->ordinal, 65540);
    assert_sound(&f.image, BASE, size);
    unload(&f);

    bytes[EXPORTS_AT + 22] = 0x10; /* 0x100000 functions declared */
    add_piece(&f, BASE, bytes, size);
    assert_int_equal(load(&f, BASE, size, NULL), HS_OK);
    assert_int_equal(f.image.export_count, 65536);
    assert_note(&f, "only the first 65536");
    unload(&f);
    bytes[EXPORTS_AT + 22] = 1;

    for (uint32_t i = 0; i < 65536; i++) /* all names for ordinal index 0: 65,536 for it, none for the others */
        bytes[0x1000 + 65536 * 8 + 2 * i] = bytes[0x1000 + 65536 * 8 + 2 * i + 1] = 0;
    add_piece(&f, BASE, bytes, size);
    assert_int_equal(load(&f, BASE, size, NULL), HS_OK);
    assert_int_equal(f.image.export_count, 65536);
    assert_note(&f, "of 131071 exports only the first 65536");
    assert_sound(&f.image, BASE, size);
    unload(&f);
    free(bytes);
}

/* 65,536 names that all lead to the same 512 bytes: no more text is taken than the image could hold. */
static void test_text_is_bounded(void **state)
{
    size_t size = 0x1000 + 65536 * 10 + 0x400, total = 0;
    uint32_t text = 0x1000 + 65536 * 10;
    uint8_t *bytes = write_large(size, 65536, text, true);
    struct fixture f = {0};

    (void)state;
    memset(bytes + text, 'x', 512);
    add_piece(&f, BASE, bytes, size);
    assert_int_equal(load(&f, BASE, size, NULL), HS_OK);
    assert_int_equal(f.image.export_count, 65536);
    for (size_t i = 0; i < f.image.export_count; i++)
        total += strlen(f.image.exports[i].name);
    assert_true(total > 0 && total <= size);
    assert_note(&f, "of 65536 names");
    unload(&f);
    free(bytes);
}

static void test_top_of_addresses(void **state)
{
    const hs_va base = UINT64_MAX - IMAGE_SIZE + 1;
    struct fixture f = {0};

    (void)state;
    pe_write(&f.pe, true);
    add_piece(&f, base, f.pe.bytes, IMAGE_SIZE - 1);
    assert_int_equal(load(&f, base, UINT64_MAX, NULL), HS_OK);
    assert_true(f.image.readable);
    assert_int_equal(f.image.export_count, 8);
    unload(&f);
    add_piece(&f, base, f.pe.bytes, IMAGE_SIZE - 1);
    assert_int_equal(load(&f, UINT64_MAX, UINT64_MAX, NULL), HS_OK);
    assert_false(f.image.readable);
    unload(&f);
}

/* xorshift64 (Marsaglia): the same flips on every machine. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void test_flips(void **state)
{
    uint64_t seed = 0x1ff6b;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        unsigned flips = 1 + (unsigned)(next_random(&seed) % 8);
        struct fixture f = {0};

        pe_write(&f.pe, round % 2);
        for (unsigned i = 0; i < flips; i++) {
            uint64_t bit = next_random(&seed) % (8 * 0x620); /* what lies behind is empty */

            f.pe.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        add_piece(&f, BASE, f.pe.bytes, IMAGE_SIZE);
        assert_int_equal(load(&f, BASE, round % 3 ? IMAGE_SIZE : 0, NULL), HS_OK);
        assert_sound(&f.image, BASE, round % 3 ? IMAGE_SIZE : UINT32_MAX);
        unload(&f);
    }
}

/* Loads the image again and again, each time with one allocation more than before, until none fails. Returns how often
 * one did. */
static unsigned load_short_of_memory(struct fixture *f, size_t size)
{
    enum hs_status status = HS_ERR_MEMORY;
    unsigned failures = 0;

    for (unsigned long allowed = 0; allowed < 1000; allowed++) {
        struct hs_error err = {0};

        memset(&f->image, 0, sizeof f->image);
        allocations_fail(allowed, ULONG_MAX);
        status = load(f, BASE, size, &err);
        allocations_succeed();
        if (status == HS_OK)
            return failures;
        assert_int_equal(status, HS_ERR_MEMORY);
        assert_int_equal(err.status, HS_ERR_MEMORY);
        assert_non_null(strstr(err.text, "out of memory"));
        assert_int_equal(f->image.export_count, 0);
        failures++;
        hs_image_deinit(&f->image);
        hs_notes_deinit(&f->notes);
        hs_space_deinit(&f->space);
    }
    fail_msg("still short of memory after %u rounds", failures);
    return failures;
}

static void test_allocations_fail(void **state)
{
    const size_t size = 0x1000 + 3000 * 18;
    struct fixture f = {0};
    uint8_t *bytes;

    (void)state;
    pe_write(&f.pe, false);
    add_piece(&f, BASE, f.pe.bytes, 0x350); /* the tables are copied where a piece ends in them */
    add_piece(&f, BASE + 0x350, f.pe.bytes + 0x350, IMAGE_SIZE - 0x350);
    assert_true(load_short_of_memory(&f, IMAGE_SIZE) >= 6);
    assert_whole(&f);
    unload(&f);

    bytes = write_large(size, 3000, 0x1000 + 3000 * 10, false);
    bytes[0x1000 + 3000 * 10] = 0x1b; /* a name that needs an escape, and forwarders without end */
    for (unsigned i = 4; i < 8; i++)
        bytes[directory_at(&f.pe, 0) + i] = (uint8_t)(i < 6 ? 0xff : 0);
    add_piece(&f, BASE, bytes, size);
    assert_true(load_short_of_memory(&f, size) >= 8);
    assert_int_equal(f.image.export_count, 3000);
    assert_int_equal(f.image.exports[0].name[0], '\\');
    unload(&f);
    free(bytes);
}

/* ---- seeds ---- */

static void write_seed(const char *folder, const char *name, const struct pe_writer *pe)
{
    char path[1024];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "wb");
    if (!file || fwrite(pe->bytes, 1, IMAGE_SIZE, file) != IMAGE_SIZE || fclose(file) != 0) {
        fprintf(stderr, "image_test: %s cannot be written\n", path);
        exit(1);
    }
}

static int write_seeds(const char *folder)
{
    struct pe_writer pe;

    pe_write(&pe, false);
    write_seed(folder, "x86.bin", &pe);
    pe_write(&pe, true);
    write_seed(folder, "x64.bin", &pe);
    pe_write(&pe, false);
    put(&pe, EXPORTS_AT + 20, 4, UINT32_MAX);
    put(&pe, EXPORTS_AT + 24, 4, UINT32_MAX);
    put(&pe, FILE_AT + 2, 2, 65535);
    write_seed(folder, "huge-counts.bin", &pe);
    pe_write(&pe, true);
    put(&pe, RESOURCES_AT + 0x20 + 20, 4, 0x80000020);
    write_seed(folder, "resource-cycle.bin", &pe);
    pe_write(&pe, true);
    put(&pe, directory_at(&pe, 0) + 4, 4, UINT32_MAX);
    write_seed(folder, "all-forwarders.bin", &pe);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),
        cmocka_unit_test(test_size_from_header),
        cmocka_unit_test(test_lookup),
        cmocka_unit_test(test_headers_wrong),
        cmocka_unit_test(test_directory_count),
        cmocka_unit_test(test_sections_wrong),
        cmocka_unit_test(test_exports_wrong),
        cmocka_unit_test(test_export_directory_place),
        cmocka_unit_test(test_ordinal_base),
        cmocka_unit_test(test_forwarders),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_debug_wrong),
        cmocka_unit_test(test_codeview),
        cmocka_unit_test(test_version_wrong),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_most_exports),
        cmocka_unit_test(test_text_is_bounded),
        cmocka_unit_test(test_top_of_addresses),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_allocations_fail),
    };

    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
