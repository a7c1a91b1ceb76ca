/* file_test.c - engine/file/ on dumps written by hand: sound, wrong in each field, doubled, cut and flipped; and files
 * that are no dumps. `file_test --seeds DIR` writes the seed files of tests/fuzz/fuzz_container.c instead. */
#include "file/file.h"

#include "minidump_writer.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a dump that is open ---- */

struct fixture {
    struct mdw w;
    struct mdw_process_places places;
    uint8_t *exact; /* a copy of exactly its size, so that the sanitizer sees every step too far */
    struct hs_notes notes;
    struct hs_file *file;
    struct hs_error err;
};

static bool is_in_map(const struct hs_file *file, struct hs_span span)
{
    uint64_t off;

    if (span.size == 0)
        return true;
    off = (uint64_t)(span.bytes - file->map.bytes);
    return span.bytes >= file->map.bytes && off < file->map.size && span.size <= file->map.size - off;
}

static void assert_printable(const char *text)
{
    assert_non_null(text);
    for (; *text; text++)
        assert_true((unsigned char)*text >= ' ' && *text != 0x7f);
}

/* What must hold of every open file, whatever its bytes. */
static void assert_sound(struct fixture *f)
{
    const struct hs_file *file = f->file;
    const uint64_t top = file->arch == HS_ARCH_X86 ? 0x100000000 : UINT64_MAX;
    hs_va end = 0;

    assert_printable(file->service_pack);
    assert_printable(file->comment);
    assert_true(is_in_map(file, file->exception_context));
    for (size_t i = 0; i < file->module_count; i++) {
        assert_true(file->modules[i].base && file->modules[i].base < top && file->modules[i].size);
        assert_printable(file->modules[i].path);
        assert_true(is_in_map(file, file->modules[i].codeview));
    }
    for (size_t i = 0; i < file->unloaded_count; i++)
        assert_printable(file->unloaded[i].name);
    for (size_t i = 0; i < file->thread_count; i++)
        assert_true(is_in_map(file, file->threads[i].context));
    for (size_t i = 0; i < file->run_count; i++) {
        const struct hs_run *run = &file->runs[i];

        assert_true(run->size && run->va >= end && run->va < top && run->size <= top - run->va);
        assert_true(run->file_off < file->map.size && run->size <= file->map.size - run->file_off);
        end = run->va + run->size;
    }
    end = 0;
    for (size_t i = 0; i < file->region_count; i++) {
        assert_true(file->regions[i].size && file->regions[i].va >= end);
        end = file->regions[i].va + file->regions[i].size;
        assert_true(end > file->regions[i].va);
    }
    assert_int_equal(file->has_regions, file->region_count != 0);
    for (size_t i = 0; i < hs_notes_lines(&f->notes); i++)
        assert_printable(hs_notes_line(&f->notes, i));
}

static enum hs_status open_bytes(struct fixture *f, const void *bytes, size_t size)
{
    enum hs_status status;

    f->exact = malloc(size ? size : 1);
    assert_non_null(f->exact);
    memcpy(f->exact, bytes, size);
    f->file = NULL;
    hs_notes_init(&f->notes);
    memset(&f->err, 0, sizeof f->err);
    status = hs_file_open_bytes("test.dmp", (struct hs_span){f->exact, size}, &f->notes, &f->file, &f->err);
    if (status == HS_OK) {
        assert_sound(f);
    } else {
        assert_null(f->file);
        assert_int_equal(f->err.status, status);
        assert_printable(f->err.text);
        assert_true(strlen(f->err.text) > 10);
    }
    return status;
}

static void close_file(struct fixture *f)
{
    hs_file_close(f->file);
    f->file = NULL;
    hs_notes_deinit(&f->notes);
    free(f->exact);
    f->exact = NULL;
}

static void open_written(struct fixture *f)
{
    if (open_bytes(f, f->w.bytes, f->w.size) != HS_OK)
        fail_msg("not opened: %s", f->err.text);
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

static void assert_no_notes(struct fixture *f)
{
    if (hs_notes_lines(&f->notes))
        fail_msg("a note: %s", hs_notes_line(&f->notes, 0));
}

static const struct mdw_process_options plain;

static void write_process(struct fixture *f, struct mdw_process_options options)
{
    mdw_write_process(&f->w, &options, &f->places);
}

/* A dump with SystemInfo (x86 or x64) and room for others. */
static void start_small(struct fixture *f, bool is_64)
{
    mdw_start(&f->w, 8);
    mdw_add_system(&f->w, is_64 ? 9 : 0, 5, 1, 2600, 0);
}

/* ---- sound dumps ---- */

static void assert_process(struct fixture *f, const struct mdw_process_options *o)
{
    const struct mdw_process_places *p = &f->places;
    const struct hs_file *file = f->file;
    const size_t run_count = 8 - (o->no_tebs ? 2 : 0) - (o->no_peb ? 1 : 0);

    assert_string_equal(file->path, "test.dmp");
    assert_int_equal(file->time, 0x4cf1a2b3);
    assert_int_equal(file->flags, 0x1806);
    assert_false(file->cut);
    assert_int_equal(file->arch, o->is_64 ? HS_ARCH_X64 : HS_ARCH_X86);
    assert_int_equal(file->windows_major, 5);
    assert_int_equal(file->windows_minor, o->is_64 ? 2 : 1);
    if (!o->no_system) {
        assert_true(file->has_system);
        assert_int_equal(file->windows_build, o->is_64 ? 3790 : 2600);
        assert_int_equal(file->processor_count, 2);
        assert_int_equal(file->platform_id, 2);
        assert_string_equal(file->service_pack, "Service Pack 3");
    }
    assert_true(file->has_process_id && file->has_process_times);
    assert_int_equal(file->process_id, 0xd3c);
    assert_int_equal(file->create_time, 0x4cf19000);
    assert_int_equal(file->user_time, 77);
    assert_int_equal(file->kernel_time, 66);
    assert_string_equal(file->comment, o->no_comment ? "" : "written by a test");

    assert_int_equal(file->module_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct hs_module_record *module = &file->modules[i];

        assert_true(module->base == p->module_va[i] && module->size == p->module_size[i]);
        assert_int_equal(module->checksum, 0xc0c0a);
        assert_int_equal(module->timestamp, 0x48025d00);
        assert_true(module->has_version);
        assert_true(module->version[0] == 5 && module->version[1] == 1 && module->version[2] == 2600 &&
                    module->version[3] == 5512);
    }
    assert_string_equal(file->modules[0].path, "C:\\APP\\MAIN.EXE");
    assert_string_equal(file->modules[1].path, "C:\\WINDOWS\\system32\\ntdll.dll");
    assert_int_equal(file->modules[0].codeview.size, 33);
    assert_memory_equal(file->modules[0].codeview.bytes, "RSDS", 4);
    assert_int_equal(file->modules[1].codeview.size, 0);
    assert_int_equal(file->unloaded_count, 1);
    assert_true(file->unloaded[0].base == (o->sign_extended ? 0x91000000 : 0x61000000));
    assert_int_equal(file->unloaded[0].size, 0x2000);
    assert_int_equal(file->unloaded[0].checksum, 0xabc);
    assert_int_equal(file->unloaded[0].timestamp, 0x41424344);
    assert_string_equal(file->unloaded[0].name, "GONE.DLL");

    assert_int_equal(file->thread_count, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct hs_thread_record *thread = &file->threads[i];

        assert_int_equal(thread->id, p->thread_id[i]);
        assert_int_equal(thread->suspend_count, 1);
        assert_int_equal(thread->priority_class, 0x20);
        assert_int_equal(thread->priority, 9);
        assert_true(thread->teb_va == p->teb_va[i]);
        assert_true(thread->stack_va == p->stack_va[i] + 0xfc0 && thread->stack_size == 0x40);
        assert_int_equal(thread->context.size, p->context_size);
    }
    assert_true(file->has_exception);
    assert_int_equal(file->exception_thread_id, p->thread_id[1]);
    assert_int_equal(file->exception_code, 0xc0000005);
    assert_true(file->exception_va == p->module_va[0] + 0x250);
    assert_int_equal(file->exception_context.size, p->context_size);
    assert_true(file->exception_context.bytes != file->threads[1].context.bytes);

    assert_int_equal(file->full_memory, !o->memory_list);
    assert_int_equal(file->run_count, run_count);
    for (size_t i = 0; i < run_count; i++) { /* each of the blocks that were written, with its bytes */
        const struct mdw_block *block = NULL;

        for (size_t k = 0; k < f->w.block_count; k++)
            if ((o->is_64 ? f->w.blocks[k].va : (uint32_t)f->w.blocks[k].va) == file->runs[i].va)
                block = &f->w.blocks[k];
        assert_non_null(block);
        assert_int_equal(file->runs[i].size, block->size);
    }
    assert_int_equal(file->has_regions, !o->no_infos);
    assert_int_equal(file->region_count, o->no_infos ? 0 : 4);
    if (!o->no_infos) {
        const struct hs_region *region = &file->regions[3];

        assert_true(region->va == p->module_va[1] && region->size == p->module_size[1]);
        assert_true(region->allocation_va == (p->module_va[1] & ~(hs_va)0xffff));
        assert_true(region->state == 0x1000 && region->protect == 0x20 && region->type == 0x1000000 &&
                    region->allocation_protect == 0x40);
        assert_int_equal(file->regions[1].va, p->heap_va);
        assert_int_equal(file->regions[1].state, 0x2000);
    }
}

static void test_sound(void **state)
{
    static const struct mdw_process_options variants[] = {
        {.is_64 = false},
        {.is_64 = true},
        {.sign_extended = true},
        {.padded = true},
        {.is_64 = true, .padded = true},
        {.memory_list = true},
        {.memory_list = true, .sign_extended = true, .padded = true},
        {.is_64 = true, .memory_list = true, .padded = true},
        {.threads_ex = true},
        {.is_64 = true, .threads_ex = true, .padded = true},
        {.no_infos = true, .no_comment = true},
        {.no_tebs = true, .no_peb = true},
    };
    struct fixture f;

    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        write_process(&f, variants[i]);
        open_written(&f);
        assert_no_notes(&f);
        assert_process(&f, &variants[i]);
        close_file(&f);
    }
}

/* The runs lead to the very bytes that were written. */
static void test_run_bytes(void **state)
{
    struct fixture f;

    (void)state;
    for (int list = 0; list < 2; list++) {
        write_process(&f, (struct mdw_process_options){.memory_list = list});
        open_written(&f);
        for (size_t i = 0; i < f.file->run_count; i++) {
            const struct hs_run *run = &f.file->runs[i];

            if (run->va == 0x12ffc0)
                for (unsigned k = 0; k < 0x40; k++)
                    assert_int_equal(f.file->map.bytes[run->file_off + k], k);
            if (run->va == 0x22ffc0)
                assert_int_equal(f.file->map.bytes[run->file_off], 16);
            if (run->va == f.places.heap_va)
                assert_int_equal(f.file->map.bytes[run->file_off + 15], 0xcc);
        }
        close_file(&f);
    }
}

static void test_no_system(void **state)
{
    static const struct mdw_process_options variants[] = {
        {.no_system = true},
        {.no_system = true, .is_64 = true},
        {.no_system = true, .sign_extended = true},
        {.no_system = true, .padded = true},
        {.no_system = true, .is_64 = true, .padded = true},
    };
    struct fixture f;

    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        write_process(&f, variants[i]);
        open_written(&f);
        assert_false(f.file->has_system);
        assert_note(&f, "SystemInfo is missing");
        assert_process(&f, &variants[i]);
        close_file(&f);
    }
    mdw_start(&f.w, 1); /* and no modules either */
    mdw_begin(&f.w, MDW_MISC);
    mdw_add(&f.w, 8, 8);
    mdw_end(&f.w);
    open_written(&f);
    assert_int_equal(f.file->arch, HS_ARCH_X86);
    assert_note(&f, "SystemInfo is missing");
    close_file(&f);
}

/* ---- each field wrong ---- */

static void test_header(void **state)
{
    struct fixture f;

    (void)state;
    write_process(&f, plain);
    mdw_put(&f.w, 4, 2, 0xa794);
    open_written(&f);
    assert_note(&f, "version 0xa794, expected 0xa793");
    close_file(&f);
    for (unsigned at = 0; at < 4; at++) {
        write_process(&f, plain);
        f.w.bytes[at] ^= 0x20;
        assert_int_equal(open_bytes(&f, f.w.bytes, f.w.size), HS_ERR_FORMAT);
        assert_non_null(strstr(f.err.text, "not a user minidump"));
        close_file(&f);
    }
    for (uint32_t size = 4; size < 32; size++) {
        write_process(&f, plain);
        assert_int_equal(open_bytes(&f, f.w.bytes, size), HS_ERR_FORMAT);
        assert_non_null(strstr(f.err.text, "expected at least 32"));
        close_file(&f);
    }
    for (uint32_t size = 32; size < 44; size++) { /* not even one row of the directory */
        assert_int_equal(open_bytes(&f, f.w.bytes, size), HS_ERR_FORMAT);
        assert_non_null(strstr(f.err.text, "stream directory"));
        close_file(&f);
    }
}

static void test_directory(void **state)
{
    struct fixture f;
    uint32_t row;

    (void)state;
    write_process(&f, plain);
    mdw_put(&f.w, 8, 4, 0); /* no streams */
    assert_int_equal(open_bytes(&f, f.w.bytes, f.w.size), HS_ERR_FORMAT);
    assert_non_null(strstr(f.err.text, "none of 0 streams"));
    assert_int_equal(f.err.file_off, 32);
    close_file(&f);

    static const uint32_t bad_places[] = {UINT32_MAX, 0x7fffffff, 0};
    for (size_t i = 0; i < 3; i++) {
        write_process(&f, plain);
        mdw_put(&f.w, 12, 4, bad_places[i] ? bad_places[i] : f.w.size - 11);
        assert_int_equal(open_bytes(&f, f.w.bytes, f.w.size), HS_ERR_FORMAT);
        assert_non_null(strstr(f.err.text, "past the end of the file"));
        close_file(&f);
    }

    write_process(&f, plain); /* a huge count: the rest of the file is taken for rows, up to a limit */
    mdw_put(&f.w, 8, 4, UINT32_MAX);
    open_written(&f);
    assert_int_equal(f.file->module_count, 2);
    assert_true(hs_notes_lines(&f.notes) > 0);
    close_file(&f);

    mdw_start(&f.w, 1); /* more rows than are read */
    mdw_put(&f.w, 8, 4, 1100);
    while (f.w.size < 32 + 12 * 1100)
        mdw_add(&f.w, 4, 0);
    mdw_put(&f.w, 32 + 12 * 1023, 4, MDW_MISC);
    mdw_put(&f.w, 32 + 12 * 1023 + 4, 4, 24);
    mdw_put(&f.w, 32 + 12 * 1024, 4, MDW_MODULES);
    mdw_put(&f.w, 32 + 12 * 1024 + 4, 4, 24);
    open_written(&f);
    assert_note(&f, "only the first 1024 are read");
    assert_false(has_note(&f, "ModuleList"));
    close_file(&f);

    write_process(&f, plain); /* a stream past the end, one that runs past it, an unused row */
    row = mdw_row(&f.w, MDW_MODULES, 0);
    mdw_put(&f.w, row + 8, 4, f.w.size);
    mdw_put(&f.w, mdw_row(&f.w, MDW_MISC, 0), 4, 0);
    open_written(&f);
    assert_note(&f, "stream of type 4: starts at");
    assert_true(f.file->cut);
    assert_int_equal(f.file->module_count, 0);
    assert_false(f.file->has_process_id);
    close_file(&f);
    write_process(&f, plain);
    mdw_put(&f.w, mdw_row(&f.w, MDW_MISC, 0) + 4, 4, UINT32_MAX);
    open_written(&f);
    assert_note(&f, "stream of type 15");
    assert_true(f.file->cut && f.file->has_process_id);
    close_file(&f);
    write_process(&f, plain); /* an empty stream past the end */
    mdw_put(&f.w, row + 8, 4, UINT32_MAX);
    mdw_put(&f.w, row + 4, 4, 0);
    open_written(&f);
    assert_note(&f, "ModuleList: the stream is empty");
    close_file(&f);
}

static void test_system_wrong(void **state)
{
    static const struct {
        unsigned value;
        enum hs_arch arch;
    } arches[] = {{0, HS_ARCH_X86},    {5, HS_ARCH_ARM},     {6, HS_ARCH_IA64},        {9, HS_ARCH_X64},
                  {12, HS_ARCH_ARM64}, {1, HS_ARCH_UNKNOWN}, {0xffff, HS_ARCH_UNKNOWN}};
    struct fixture f;
    uint32_t at;

    (void)state;
    for (size_t i = 0; i < sizeof arches / sizeof *arches; i++) {
        mdw_start(&f.w, 1);
        mdw_add_system(&f.w, arches[i].value, 6, 0, 6002, 0);
        open_written(&f);
        assert_int_equal(f.file->arch, arches[i].arch);
        assert_true(f.file->has_system);
        assert_string_equal(f.file->service_pack, "");
        close_file(&f);
    }
    write_process(&f, plain);
    mdw_put(&f.w, mdw_row(&f.w, MDW_SYSTEM, 0) + 4, 4, 27);
    open_written(&f);
    assert_note(&f, "SystemInfo at offset");
    assert_note(&f, "SystemInfo is missing");
    assert_false(f.file->has_system);
    assert_int_equal(f.file->module_count, 2);
    close_file(&f);
    write_process(&f, plain);
    mdw_put(&f.w, mdw_row(&f.w, MDW_SYSTEM, 0) + 4, 4, 28);
    open_written(&f);
    assert_no_notes(&f);
    assert_string_equal(f.file->service_pack, "Service Pack 3");
    close_file(&f);
    write_process(&f, plain);
    at = mdw_at(&f.w, MDW_SYSTEM);
    mdw_put(&f.w, at + 24, 4, UINT32_MAX);
    open_written(&f);
    assert_note(&f, "SystemInfo: its text at offset 0xffffffff");
    assert_string_equal(f.file->service_pack, "");
    close_file(&f);
}

static void test_module_wrong(void **state)
{
    struct fixture f;
    uint32_t at;

    (void)state;
    write_process(&f, plain);
    at = mdw_at(&f.w, MDW_MODULES) + 4;
    mdw_put(&f.w, at, 8, 0); /* no base: left out, the other one stays */
    open_written(&f);
    assert_note(&f, "ModuleList: entry 0 has base 0");
    assert_int_equal(f.file->module_count, 1);
    assert_string_equal(f.file->modules[0].path, "C:\\WINDOWS\\system32\\ntdll.dll");
    close_file(&f);

    write_process(&f, plain);
    mdw_put(&f.w, at + 108 + 8, 4, 0); /* no size */
    open_written(&f);
    assert_note(&f, "ModuleList: entry 1 has base 0 or size 0");
    assert_int_equal(f.file->module_count, 1);
    close_file(&f);

    write_process(&f, plain);
    mdw_put(&f.w, at + 20, 4, 0);                  /* no name */
    mdw_put(&f.w, at + 24, 4, 0xfeef04bc);         /* no version */
    mdw_put(&f.w, at + 108 + 20, 4, f.w.size - 2); /* a name at the very end */
    open_written(&f);
    assert_string_equal(f.file->modules[0].path, "");
    assert_false(f.file->modules[0].has_version);
    assert_string_equal(f.file->modules[1].path, "");
    assert_true(f.file->modules[1].has_version);
    assert_note(&f, "ModuleList: its text at offset");
    close_file(&f);

    write_process(&f, plain);
    mdw_put(&f.w, at + 76, 4, UINT32_MAX); /* debug records that are not in the file */
    mdw_put(&f.w, at + 108 + 76, 4, 8);
    mdw_put(&f.w, at + 108 + 80, 4, f.w.size - 4);
    open_written(&f);
    assert_int_equal(f.file->modules[0].codeview.size, 0);
    assert_int_equal(f.file->modules[1].codeview.size, 0);
    assert_note(&f, "ModuleList: a debug record: 0xffffffff bytes at offset");
    assert_note(&f, "ModuleList: a debug record: 0x8 bytes at offset");
    assert_true(f.file->cut);
    close_file(&f);
}

static void test_names(void **state)
{
    struct fixture f;
    uint32_t name;

    (void)state;
    start_small(&f, false);
    mdw_align(&f.w, 4);
    name = mdw_add(&f.w, 4, 13); /* an odd size: the half unit is dropped */
    mdw_add_bytes(&f.w, "a\0\x1b\0\x3d\xd8\0\xde\x2e\x20\0\xd8z", 13);
    mdw_begin(&f.w, MDW_MODULES);
    mdw_add(&f.w, 4, 1);
    mdw_add_module(&f.w, 0x400000, 0x1000, name, 0, 0);
    mdw_end(&f.w);
    open_written(&f);
    assert_string_equal(f.file->modules[0].path, "a\\x1b\xf0\x9f\x98\x80\\xe2\\x80\\xae\\ud800");
    close_file(&f);
    mdw_put(&f.w, name, 4, 0); /* empty */
    open_written(&f);
    assert_string_equal(f.file->modules[0].path, "");
    close_file(&f);
    mdw_put(&f.w, name, 4, 12);
    mdw_put(&f.w, name + 6, 2, 0); /* cut at an embedded 0 */
    open_written(&f);
    assert_string_equal(f.file->modules[0].path, "a");
    close_file(&f);
    mdw_put(&f.w, name, 4, UINT32_MAX);
    open_written(&f);
    assert_string_equal(f.file->modules[0].path, "");
    assert_note(&f, "its text at offset");
    close_file(&f);
}

static void test_unloaded_wrong(void **state)
{
    struct fixture f;
    uint32_t at;

    (void)state;
    for (unsigned field = 0; field < 2; field++) {
        write_process(&f, plain);
        at = mdw_at(&f.w, MDW_UNLOADED);
        mdw_put(&f.w, at + 4 * field, 4, field ? 23 : 11);
        open_written(&f);
        assert_note(&f, "UnloadedModuleList at offset");
        assert_int_equal(f.file->unloaded_count, 0);
        close_file(&f);
        mdw_put(&f.w, at + 4 * field, 4, UINT32_MAX);
        open_written(&f);
        assert_note(&f, "UnloadedModuleList at offset");
        assert_int_equal(f.file->unloaded_count, 0);
        close_file(&f);
    }
    write_process(&f, plain);
    mdw_put(&f.w, at + 8, 4, UINT32_MAX);
    open_written(&f);
    assert_note(&f, "4294967295 entries declared, the stream holds 1");
    assert_int_equal(f.file->unloaded_count, 1);
    close_file(&f);

    start_small(&f, false); /* longer headers and entries, as later versions may write them */
    mdw_begin(&f.w, MDW_UNLOADED);
    mdw_add(&f.w, 4, 16);
    mdw_add(&f.w, 4, 32);
    mdw_add(&f.w, 4, 2);
    mdw_add(&f.w, 4, 0);
    for (unsigned i = 0; i < 2; i++) {
        mdw_add(&f.w, 8, 0x60000000 + 0x1000 * i);
        mdw_add(&f.w, 4, 0x1000);
        mdw_add(&f.w, 8, 0);
        mdw_add(&f.w, 4, 0);
        mdw_add(&f.w, 8, UINT64_MAX);
    }
    mdw_end(&f.w);
    open_written(&f);
    assert_no_notes(&f);
    assert_int_equal(f.file->unloaded_count, 2);
    assert_int_equal(f.file->unloaded[1].base, 0x60001000);
    close_file(&f);
}

static void test_threads_wrong(void **state)
{
    struct fixture f;
    uint32_t at;

    (void)state;
    write_process(&f, plain);
    at = mdw_at(&f.w, MDW_THREADS);
    mdw_put(&f.w, at + 4 + 40, 4, UINT32_MAX);
    mdw_put(&f.w, at + 4 + 48 + 44, 4, UINT32_MAX);
    open_written(&f);
    assert_int_equal(f.file->thread_count, 2);
    assert_int_equal(f.file->threads[0].context.size, 0);
    assert_int_equal(f.file->threads[1].context.size, 0);
    assert_note(&f, "ThreadList: 0xffffffff bytes at offset");
    assert_true(f.file->cut);
    close_file(&f);
    write_process(&f, plain);
    mdw_put(&f.w, at, 4, UINT32_MAX);
    open_written(&f);
    assert_note(&f, "ThreadList at offset");
    assert_int_equal(f.file->thread_count, 2);
    close_file(&f);
    write_process(&f, (struct mdw_process_options){.threads_ex = true});
    mdw_put(&f.w, mdw_at(&f.w, MDW_THREADS_EX), 4, 3);
    open_written(&f);
    assert_note(&f, "ThreadExList at offset");
    assert_int_equal(f.file->thread_count, 2);
    close_file(&f);

    for (unsigned first = 0; first < 2; first++) { /* both lists: ThreadList is used, if it has any */
        start_small(&f, false);
        mdw_begin(&f.w, MDW_THREADS_EX);
        mdw_add(&f.w, 4, 1);
        mdw_add_thread(&f.w, 0x77, 0, 0, 0, 0, 0);
        mdw_add(&f.w, 8, 0);
        mdw_add(&f.w, 8, 0);
        mdw_end(&f.w);
        mdw_begin(&f.w, MDW_THREADS);
        mdw_add(&f.w, 4, first);
        if (first)
            mdw_add_thread(&f.w, 0x66, 0, 0, 0, 0, 0);
        mdw_end(&f.w);
        open_written(&f);
        assert_int_equal(f.file->thread_count, 1);
        assert_int_equal(f.file->threads[0].id, first ? 0x66 : 0x77);
        close_file(&f);
    }
}

static void test_misc_wrong(void **state)
{
    struct fixture f;
    uint32_t at, row;

    (void)state;
    write_process(&f, plain);
    at = mdw_at(&f.w, MDW_MISC);
    row = mdw_row(&f.w, MDW_MISC, 0);
    for (unsigned flags = 0; flags < 4; flags++) {
        mdw_put(&f.w, at + 4, 4, flags);
        open_written(&f);
        assert_int_equal(f.file->has_process_id, flags & 1);
        assert_int_equal(f.file->has_process_times, flags >> 1);
        close_file(&f);
    }
    for (uint32_t size = 1; size <= 24; size++) {
        mdw_put(&f.w, row + 4, 4, size);
        open_written(&f);
        assert_int_equal(f.file->has_process_id, size >= 12);
        assert_int_equal(f.file->has_process_times, size >= 24);
        close_file(&f);
    }
}

static void test_exception_wrong(void **state)
{
    struct fixture f;
    uint32_t row;

    (void)state;
    write_process(&f, plain);
    row = mdw_row(&f.w, MDW_EXCEPTION, 0);
    mdw_put(&f.w, row + 4, 4, 167);
    open_written(&f);
    assert_false(f.file->has_exception);
    assert_note(&f, "Exception at offset");
    close_file(&f);
    write_process(&f, plain);
    mdw_put(&f.w, mdw_at(&f.w, MDW_EXCEPTION) + 164, 4, f.w.size);
    open_written(&f);
    assert_true(f.file->has_exception);
    assert_int_equal(f.file->exception_context.size, 0);
    assert_note(&f, "Exception: its context: 0x2cc bytes at offset");
    close_file(&f);
}

static void add_comment(struct fixture *f, enum mdw_stream type, const char *bytes, uint32_t size)
{
    mdw_begin(&f->w, type);
    mdw_add_bytes(&f->w, bytes, size);
    mdw_end(&f->w);
}

static void test_comments(void **state)
{
    struct fixture f;

    (void)state;
    start_small(&f, false);
    add_comment(&f, MDW_COMMENT_A, "no end\xff\n", 8); /* as a stream may end without a 0 */
    open_written(&f);
    assert_string_equal(f.file->comment, "no end\\xff\\x0a");
    close_file(&f);
    start_small(&f, false);
    add_comment(&f, MDW_COMMENT_W, "w\0i\0d\0e", 7);
    open_written(&f);
    assert_string_equal(f.file->comment, "wid");
    close_file(&f);
    start_small(&f, false);
    add_comment(&f, MDW_COMMENT_W, "w\0", 2);
    add_comment(&f, MDW_COMMENT_A, "", 1); /* empty: the wide one is used */
    open_written(&f);
    assert_string_equal(f.file->comment, "w");
    close_file(&f);
    start_small(&f, false);
    mdw_begin(&f.w, MDW_COMMENT_A);
    while (f.w.size < 0x18000)
        mdw_add(&f.w, 1, 'c');
    mdw_end(&f.w);
    open_written(&f);
    assert_in_range(strlen(f.file->comment), 0x1000, 0x10000);
    close_file(&f);
}

/* ---- several streams, and shared bytes ---- */

static void test_duplicates(void **state)
{
    static const char *const names[] = {"SystemInfo",   "ModuleList",        "MemoryList", "MemoryInfoList",
                                        "Memory64List", "ThreadList",        "MiscInfo",   "Exception",
                                        "CommentA",     "UnloadedModuleList"};
    static const enum mdw_stream types[] = {MDW_SYSTEM,  MDW_MODULES, MDW_MEMORY,    MDW_INFOS,     MDW_MEMORY64,
                                            MDW_THREADS, MDW_MISC,    MDW_EXCEPTION, MDW_COMMENT_A, MDW_UNLOADED};
    struct fixture f;
    char want[100];

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct mdw_process_options options = {.memory_list = types[i] == MDW_MEMORY};
        uint32_t row, off;

        /* a second one, all ones: the first is used */
        write_process(&f, options);
        off = f.w.size;
        for (unsigned k = 0; k < 64; k++)
            mdw_add(&f.w, 4, UINT32_MAX);
        row = 32 + 12 * 11; /* the last of the directory, not in use */
        mdw_put(&f.w, row, 4, types[i]);
        mdw_put(&f.w, row + 4, 4, 256);
        mdw_put(&f.w, row + 8, 4, off);
        open_written(&f);
        snprintf(want, sizeof want, "%s: a second one at offset 0x%" PRIx32 " is ignored", names[i], off);
        assert_note(&f, want);
        assert_int_equal(hs_notes_lines(&f.notes), 1);
        assert_process(&f, &options);
        close_file(&f);

        /* an empty one before it in the directory: the one that has something is used */
        write_process(&f, options);
        row = mdw_row(&f.w, types[i], 0);
        memcpy(f.w.bytes + 32 + 12 * 11, f.w.bytes + row, 12);
        mdw_put(&f.w, row + 4, 4, 0);
        open_written(&f);
        snprintf(want, sizeof want, "%s: the stream is empty", names[i]);
        assert_note(&f, want);
        assert_process(&f, &options);
        close_file(&f);

        /* alone, and empty */
        write_process(&f, options);
        mdw_put(&f.w, mdw_row(&f.w, types[i], 0) + 4, 4, 0);
        open_written(&f);
        assert_note(&f, want);
        close_file(&f);

        /* too short for anything */
        for (uint32_t size = 1; size < 16; size++) {
            write_process(&f, options);
            mdw_put(&f.w, mdw_row(&f.w, types[i], 0) + 4, 4, size);
            open_written(&f);
            close_file(&f);
        }
    }
}

/* Every stream in the bytes of every other one. */
static void test_shared_bytes(void **state)
{
    struct fixture f;
    uint8_t row[12];

    (void)state;
    write_process(&f, plain);
    for (uint32_t a = 0; a < f.w.stream_count; a++) {
        for (uint32_t b = 0; b < f.w.stream_count; b++) {
            memcpy(row, f.w.bytes + 32 + 12 * a, 12);
            memcpy(f.w.bytes + 32 + 12 * a + 4, f.w.bytes + 32 + 12 * b + 4, 8);
            assert_int_equal(open_bytes(&f, f.w.bytes, f.w.size), HS_OK);
            close_file(&f);
            memcpy(f.w.bytes + 32 + 12 * a, row, 12);
        }
    }
}

/* ---- memory lists ---- */

static uint8_t block_bytes[0x400];

static void assert_run(const struct fixture *f, size_t idx, hs_va va, uint64_t size, uint64_t off)
{
    assert_true(idx < f->file->run_count);
    if (f->file->runs[idx].va != va || f->file->runs[idx].size != size ||
        f->file->runs[idx].file_off != f->w.memory_off + off)
        fail_msg("run %zu is %" PRIx64 " + %" PRIx64 " at %" PRIx64, idx, f->file->runs[idx].va,
                 f->file->runs[idx].size, f->file->runs[idx].file_off - f->w.memory_off);
}

static void test_runs_settle(void **state)
{
    struct fixture f;

    (void)state;
    for (int list = 0; list < 2; list++) {
        start_small(&f, list);
        mdw_block(&f.w, 0x5000, 0x100, block_bytes); /* unsorted */
        mdw_block(&f.w, 0x1000, 0x100, block_bytes);
        mdw_block(&f.w, 0x1080, 0x100, block_bytes); /* begins inside the one before */
        mdw_block(&f.w, 0x5000, 0x180, block_bytes); /* begins with the first one and is longer */
        mdw_block(&f.w, 0x1010, 0x20, block_bytes);  /* wholly inside */
        mdw_block(&f.w, 0x3000, 0, block_bytes);     /* empty */
        mdw_block(&f.w, 0x1180, 0x10, block_bytes);  /* touches */
        if (list)
            mdw_add_memory(&f.w);
        else
            mdw_add_memory64(&f.w);
        mdw_end_memory(&f.w);
        open_written(&f);
        assert_int_equal(f.file->run_count, 5);
        assert_run(&f, 0, 0x1000, 0x100, 0x100);
        assert_run(&f, 1, 0x1100, 0x80, 0x280);
        assert_run(&f, 2, 0x1180, 0x10, 0x4a0);
        assert_run(&f, 3, 0x5000, 0x100, 0);
        assert_run(&f, 4, 0x5100, 0x80, 0x400);
        assert_int_equal(has_note(&f, "0x1a0 bytes are listed more than once"), list);
        close_file(&f);
    }
}

static void test_both_lists(void **state)
{
    struct fixture f;
    uint32_t at;

    (void)state;
    start_small(&f, false); /* a stack listed in both, and one in MemoryList only */
    mdw_block(&f.w, 0x1000, 0x100, block_bytes);
    mdw_block(&f.w, 0x2000, 0x100, block_bytes);
    mdw_add_memory64(&f.w);
    mdw_begin(&f.w, MDW_MEMORY);
    at = mdw_add(&f.w, 4, 2);
    for (unsigned i = 0; i < 2; i++) {
        mdw_add(&f.w, 8, 0x1000 + 0x7000 * i);
        mdw_add(&f.w, 4, 0x40);
        mdw_add(&f.w, 4, 0);
    }
    mdw_end(&f.w);
    mdw_align(&f.w, 16);
    f.w.memory_off = f.w.size;
    mdw_put(&f.w, mdw_at(&f.w, MDW_MEMORY64) + 8, 8, f.w.size);
    mdw_put(&f.w, at + 4 + 12, 4, f.w.size);
    mdw_put(&f.w, at + 4 + 16 + 12, 4, f.w.size + 0x80);
    mdw_add_bytes(&f.w, block_bytes, 0x200);
    open_written(&f);
    assert_no_notes(&f);
    assert_true(f.file->full_memory);
    assert_int_equal(f.file->run_count, 3);
    hs_va end = 0;
    uint64_t total = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_true(f.file->runs[i].va >= end);
        end = f.file->runs[i].va + f.file->runs[i].size;
        total += f.file->runs[i].size;
    }
    assert_int_equal(total, 0x240);
    assert_int_equal(f.file->runs[2].va, 0x8000);
    close_file(&f);
}

static void test_memory64_cut(void **state)
{
    struct fixture f;
    uint32_t whole;

    (void)state;
    start_small(&f, true);
    mdw_block(&f.w, 0x10000, 0x100, block_bytes);
    mdw_block(&f.w, 0x7ff00000000, 0x100, block_bytes);
    mdw_block(&f.w, 0x7ff00001000, 0x100, block_bytes);
    mdw_add_memory64(&f.w);
    mdw_end_memory(&f.w);
    whole = f.w.size;
    for (uint32_t cut = 0; cut <= 0x300; cut += 0x10) {
        f.w.size = whole - cut;
        open_written(&f);
        assert_int_equal(f.file->cut, cut != 0);
        if (cut) {
            char want[40];

            snprintf(want, sizeof want, "the file ends 0x%x bytes", cut);
            assert_note(&f, want);
        } else {
            assert_no_notes(&f);
        }
        assert_int_equal(f.file->run_count, 3 - cut / 0x100);
        if (cut % 0x100)
            assert_int_equal(f.file->runs[f.file->run_count - 1].size, 0x100 - cut % 0x100);
        close_file(&f);
    }
}

static void test_memory_wrong(void **state)
{
    struct fixture f;
    uint32_t at;

    (void)state;
    start_small(&f, true);
    for (unsigned i = 0; i < 3; i++)
        mdw_block(&f.w, 0x10000 + 0x1000 * i, 0x100, block_bytes);
    mdw_add_memory64(&f.w);
    mdw_end_memory(&f.w);
    at = mdw_at(&f.w, MDW_MEMORY64);

    mdw_put(&f.w, at, 8, UINT64_MAX); /* a huge count */
    open_written(&f);
    assert_note(&f, "18446744073709551615 entries declared, the stream holds 3");
    assert_int_equal(f.file->run_count, 3);
    close_file(&f);
    mdw_put(&f.w, at, 8, 0);
    open_written(&f);
    assert_int_equal(f.file->run_count, 0);
    close_file(&f);
    mdw_put(&f.w, at, 8, 3);
    mdw_put(&f.w, at + 8, 8, UINT64_MAX - 4); /* bytes past the end of everything */
    open_written(&f);
    assert_int_equal(f.file->run_count, 0);
    assert_true(f.file->cut);
    close_file(&f);
    mdw_put(&f.w, at + 8, 8, f.w.memory_off);
    mdw_put(&f.w, at + 16 + 8, 8, UINT64_MAX); /* a size that leaves no room for the others */
    open_written(&f);
    assert_true(f.file->cut);
    assert_int_equal(f.file->run_count, 1);
    assert_int_equal(f.file->runs[0].size, 0x300);
    close_file(&f);
    for (unsigned i = 0; i < 3; i++)
        mdw_put(&f.w, at + 16 + 16 * i + 8, 8, UINT64_MAX / 2);
    open_written(&f);
    assert_true(f.file->cut);
    close_file(&f);
    mdw_put(&f.w, at + 16, 8, UINT64_MAX - 0x7f); /* memory over the end of the address space */
    mdw_put(&f.w, at + 16 + 8, 8, 0x100);
    open_written(&f);
    assert_true(f.file->run_count >= 1);
    close_file(&f);

    start_small(&f, false); /* the same at 4 GiB in a 32-bit process */
    mdw_block(&f.w, 0xffffff80, 0x100, block_bytes);
    mdw_add_memory(&f.w);
    mdw_end_memory(&f.w);
    open_written(&f);
    assert_int_equal(f.file->run_count, 1);
    assert_run(&f, 0, 0xffffff80, 0x80, 0);
    close_file(&f);
    at = mdw_at(&f.w, MDW_MEMORY);
    mdw_put(&f.w, at, 4, UINT32_MAX);
    open_written(&f);
    assert_note(&f, "4294967295 entries declared, the stream holds 1");
    close_file(&f);
    mdw_put(&f.w, at, 4, 1);
    mdw_put(&f.w, at + 4 + 12, 4, UINT32_MAX);
    open_written(&f);
    assert_int_equal(f.file->run_count, 0);
    assert_note(&f, "MemoryList: the file ends");
    close_file(&f);
}

static void test_infos(void **state)
{
    struct fixture f;
    uint32_t at;

    (void)state;
    start_small(&f, true);
    mdw_begin(&f.w, MDW_INFOS);
    mdw_add(&f.w, 4, 16);
    mdw_add(&f.w, 4, 48);
    mdw_add(&f.w, 8, 6);
    mdw_add_info(&f.w, 0x9000, 0x1000, 0x10000, 1, 0); /* unsorted */
    mdw_add_info(&f.w, 0x1000, 0x2000, 0x1000, 4, 0x20000);
    mdw_add_info(&f.w, 0x2000, 0x3000, 0x2000, 0, 0x20000); /* overlaps */
    mdw_add_info(&f.w, 0x1000, 0x1000, 0x1000, 2, 0x40000); /* begins with another: the longer one stays */
    mdw_add_info(&f.w, 0x7000, 0, 0x1000, 4, 0x20000);      /* empty */
    mdw_add_info(&f.w, 0x7ffffff0000, UINT64_MAX, 0x10000, 1, 0);
    mdw_end(&f.w);
    at = mdw_at(&f.w, MDW_INFOS);
    open_written(&f);
    assert_note(&f, "regions overlap by 0x2000 bytes");
    assert_int_equal(f.file->region_count, 4);
    assert_true(f.file->regions[0].va == 0x1000 && f.file->regions[0].size == 0x2000 &&
                f.file->regions[0].protect == 4);
    assert_true(f.file->regions[1].va == 0x3000 && f.file->regions[1].size == 0x2000);
    assert_true(f.file->regions[2].va == 0x9000 && f.file->regions[2].state == 0x10000);
    assert_true(f.file->regions[3].va == 0x7ffffff0000);
    close_file(&f);
    for (unsigned field = 0; field < 2; field++) {
        static const uint32_t bad[2][3] = {{0, 15, UINT32_MAX}, {0, 47, UINT32_MAX}};

        for (unsigned i = 0; i < 3; i++) {
            mdw_put(&f.w, at + 4 * field, 4, bad[field][i]);
            open_written(&f);
            assert_note(&f, "MemoryInfoList at offset");
            assert_false(f.file->has_regions);
            close_file(&f);
        }
        mdw_put(&f.w, at + 4 * field, 4, field ? 48 : 16);
    }
    mdw_put(&f.w, at + 8, 8, UINT64_MAX);
    open_written(&f);
    assert_note(&f, "MemoryInfoList at offset");
    assert_int_equal(f.file->region_count, 4);
    close_file(&f);
    mdw_put(&f.w, at + 8, 8, 0);
    open_written(&f);
    assert_false(f.file->has_regions);
    close_file(&f);
}

/* A count one larger than what is there, in every list; and a count of 0. */
static void test_lists_cut(void **state)
{
    struct fixture f;

    (void)state;
    for (int padded = 0; padded < 2; padded++) {
        write_process(&f, (struct mdw_process_options){.memory_list = true, .padded = padded});
        mdw_put(&f.w, mdw_at(&f.w, MDW_MODULES), 4, 0);
        mdw_put(&f.w, mdw_at(&f.w, MDW_THREADS), 4, 0);
        mdw_put(&f.w, mdw_at(&f.w, MDW_MEMORY), 4, 0);
        open_written(&f);
        assert_no_notes(&f);
        assert_int_equal(f.file->module_count + f.file->thread_count + f.file->run_count, 0);
        close_file(&f);
    }
    write_process(&f, (struct mdw_process_options){.memory_list = true});
    mdw_put(&f.w, mdw_row(&f.w, MDW_MODULES, 0) + 4, 4, 4 + 108 + 107);
    mdw_put(&f.w, mdw_row(&f.w, MDW_THREADS, 0) + 4, 4, 4 + 48 + 47);
    mdw_put(&f.w, mdw_row(&f.w, MDW_MEMORY, 0) + 4, 4, 4 + 3 * 16 + 15);
    mdw_put(&f.w, mdw_row(&f.w, MDW_INFOS, 0) + 4, 4, 16 + 2 * 48 + 47);
    open_written(&f);
    assert_note(&f, "ModuleList at offset");
    assert_note(&f, "ThreadList at offset");
    assert_note(&f, "8 entries declared, the stream holds 3");
    assert_note(&f, "4 entries declared, the stream holds 2");
    assert_int_equal(f.file->module_count, 1);
    assert_int_equal(f.file->thread_count, 1);
    assert_int_equal(f.file->run_count, 3);
    assert_int_equal(f.file->region_count, 2);
    close_file(&f);
}

/* ---- files that are no dumps ---- */

static void test_other_bytes(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum hs_status status;
        const char *part;
    } rows[] = {
        {"", 0, HS_ERR_FORMAT, "the file is empty"},
        {"M", 1, HS_ERR_FORMAT, "starts with bytes 4d 00 00 00"},
        {"MDM", 3, HS_ERR_FORMAT, "4d 44 4d 00"},
        {"MDMQ\x93\xa7", 6, HS_ERR_FORMAT, "4d 44 4d 51"},
        {"A plain text.\n", 14, HS_ERR_FORMAT, "not a user minidump"},
        {"PAGEDUMP", 8, HS_ERR_UNSUPPORTED, "kernel dump (32-bit)"},
        {"PAGEDU64xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 40, HS_ERR_UNSUPPORTED, "kernel dump (64-bit)"},
        {"PAGEDUM", 7, HS_ERR_FORMAT, "not a user minidump"},
        {"PAGE", 4, HS_ERR_FORMAT, "not a user minidump"},
        {"USERDUMP", 8, HS_ERR_UNSUPPORTED, "old-style user dump"},
        {"\x7f\x45LF\2", 5, HS_ERR_UNSUPPORTED, "ELF"},
        {"MZ\x90", 3, HS_ERR_UNSUPPORTED, "Windows program"},
        {"PK\3\4", 4, HS_ERR_UNSUPPORTED, "zip"},
        {"7z\xbc\xaf\x27\x1c", 6, HS_ERR_UNSUPPORTED, "7z"},
        {"MSCF", 4, HS_ERR_UNSUPPORTED, "cabinet"},
        {"\x1f\x8b\x08", 3, HS_ERR_UNSUPPORTED, "gzip"},
        {"\xfd"
         "7zXZ\0",
         6, HS_ERR_UNSUPPORTED, "xz"},
        {"\x28\xb5\x2f\xfd", 4, HS_ERR_UNSUPPORTED, "zstd"},
        {"\0\0\0\0\0\0\0\0", 8, HS_ERR_FORMAT, "00 00 00 00"},
    };
    struct fixture f;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(open_bytes(&f, rows[i].bytes, rows[i].size), rows[i].status);
        if (!strstr(f.err.text, rows[i].part))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, f.err.text, rows[i].part);
        assert_int_equal(hs_notes_lines(&f.notes), 0);
        close_file(&f);
    }
}

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void assert_refused(const char *path, enum hs_status status, const char *part)
{
    struct hs_file *file = NULL;
    struct hs_notes notes;
    struct hs_error err;

    hs_notes_init(&notes);
    assert_int_equal(hs_file_open(path, &notes, &file, &err), status);
    assert_null(file);
    assert_int_equal(err.status, status);
    if (!strstr(err.text, part))
        fail_msg("\"%s\" does not say \"%s\"", err.text, part);
    assert_int_equal(hs_file_open(path, &notes, &file, NULL), status);
    hs_notes_deinit(&notes);
}

static unsigned count_descriptors(void)
{
    unsigned count = 0;
    struct stat facts;

    for (int i = 0; i < 256; i++)
        count += fstat(i, &facts) == 0;
    return count;
}

static void test_paths(void **state)
{
    struct hs_file *file = NULL;
    struct fixture f;
    const bool is_root = geteuid() == 0;
    unsigned before = count_descriptors();

    (void)state;
    strcpy(folder, "/tmp/heapsift-file-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_refused(path_of("missing"), HS_ERR_IO, "cannot open the file: No such file");
    assert_refused("", HS_ERR_IO, "cannot open the file");
    assert_refused(folder, HS_ERR_IO, "is a directory");
    assert_refused("/dev/null", HS_ERR_IO, "is no regular file");
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    assert_refused(path_of("fifo"), HS_ERR_IO, "is no regular file"); /* and does not wait for a writer */
    write_file(path_of("empty"), "", 0);
    assert_refused(path_of("empty"), HS_ERR_FORMAT, "the file is empty");
    write_file(path_of("text"), "hello, world\n", 13);
    assert_refused(path_of("text"), HS_ERR_FORMAT, "not a user minidump");
    write_file(path_of("kernel"), "PAGEDU64", 8);
    assert_refused(path_of("kernel"), HS_ERR_UNSUPPORTED, "kernel dump");
    assert_refused(path_of("text/below"), HS_ERR_IO, "Not a directory");

    write_process(&f, plain);
    write_file(path_of("good"), f.w.bytes, f.w.size);
    hs_notes_init(&f.notes);
    assert_int_equal(hs_file_open(path_of("good"), &f.notes, &file, NULL), HS_OK);
    assert_string_equal(file->path, path_of("good"));
    assert_int_equal(file->map.size, f.w.size);
    assert_memory_equal(file->map.bytes, f.w.bytes, f.w.size);
    assert_int_equal(file->module_count, 2);
    hs_file_close(file);
    hs_file_close(NULL);
    hs_notes_deinit(&f.notes);

    assert_int_equal(chmod(path_of("good"), 0), 0);
    if (is_root) { /* root may read everything: be somebody else for a moment */
        assert_int_equal(chmod(folder, 0755), 0);
        assert_int_equal(seteuid(65534), 0);
    }
    assert_refused(path_of("good"), HS_ERR_IO, "cannot open the file: Permission denied");
    if (is_root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(count_descriptors(), before); /* nothing stays open */

    static const char *const names[] = {"fifo", "empty", "text", "kernel", "good"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(unlink(path_of(names[i])), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* ---- any damage ---- */

/* Cut at every 4 bytes: an answer that says what is missing, or one clear error. */
static void test_truncated(void **state)
{
    static const struct mdw_process_options variants[] = {
        {.is_64 = false}, {.is_64 = true}, {.sign_extended = true, .memory_list = true, .padded = true}};
    struct fixture f;

    (void)state;
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        unsigned opened = 0, refused = 0;

        write_process(&f, variants[v]);
        for (uint32_t size = 0; size < f.w.size; size += 4) {
            enum hs_status status = open_bytes(&f, f.w.bytes, size);

            if (status == HS_OK) {
                opened++;
                if (!hs_notes_lines(&f.notes) || !f.file->cut)
                    fail_msg("variant %zu cut at 0x%" PRIx32 ": %zu notes, cut %d", v, size, hs_notes_lines(&f.notes),
                             f.file->cut);
            } else {
                refused++;
                assert_int_equal(status, HS_ERR_FORMAT);
            }
            close_file(&f);
        }
        assert_true(opened > 500 && refused > 8 && refused < 100);
    }
}

static void test_flips(void **state)
{
    struct mdw_process_options options = plain;
    unsigned opened = 0;
    uint64_t seed = 1;
    struct fixture f;

    (void)state;
    for (unsigned round = 0; round < 2000; round++) {
        unsigned flips = 1 + round % 8;

        options.is_64 = round & 1;
        options.memory_list = round & 2;
        options.padded = round & 4;
        write_process(&f, options);
        while (flips--) {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            /* half of them in the header and the streams' beginnings, where it hurts */
            uint32_t at = (uint32_t)(seed >> 33) % (flips % 2 ? f.w.size : 0x400);
            if (at >= 4)
                f.w.bytes[at] ^= (uint8_t)(1u << (seed >> 29 & 7));
        }
        opened += open_bytes(&f, f.w.bytes, f.w.size) == HS_OK;
        close_file(&f);
    }
    assert_true(opened > 1000);
}

/* A small file must not grow to something huge: 4,096 modules that share one long name, all of it escaped. */
static void test_text_is_bounded(void **state)
{
    const uint32_t count = 4096, name_size = 65534;
    const size_t size = 0x100 + name_size + 16 + 108 * (size_t)count;
    uint8_t *bytes = calloc(size, 1);
    const uint32_t list = 0x100 + name_size + 4;
    size_t total = 0;
    struct fixture f;

    (void)state;
    assert_non_null(bytes);
    mdw_start(&f.w, 1);
    memcpy(bytes, f.w.bytes, f.w.size);
    const uint32_t row[] = {MDW_MODULES, 4 + 108 * count, list, 0};
    memcpy(bytes + 32, row, 12); /* the tests run on little-endian machines only */
    memcpy(bytes + 0x100, &name_size, 4);
    for (uint32_t i = 0; i < name_size; i += 2)
        memcpy(bytes + 0x104 + i, "\x28\x20", 2);
    memcpy(bytes + list, &count, 4);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t entry[] = {0x10000 * (i + 1), 0, 0x1000, 0, 0, 0x100};
        memcpy(bytes + list + 4 + 108 * i, entry, sizeof entry);
    }
    assert_int_equal(open_bytes(&f, bytes, size), HS_OK);
    assert_int_equal(f.file->module_count, count);
    for (size_t i = 0; i < f.file->module_count; i++)
        total += strlen(f.file->modules[i].path);
    if (total > 5u << 20)
        fail_msg("%zu bytes of names out of a file of %zu", total, size);
    assert_note(&f, "ModuleList: more than 4194304 bytes of texts");
    close_file(&f);
    free(bytes);
}

/* ---- seeds ---- */

static void write_seed(const char *dir, const char *name, const struct mdw *w)
{
    char path[1024];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    file = fopen(path, "wb");
    if (!file || fwrite(w->bytes, 1, w->size, file) != w->size || fclose(file) != 0) {
        fprintf(stderr, "file_test: %s cannot be written\n", path);
        exit(1);
    }
}

static int write_seeds(const char *dir)
{
    static struct fixture f;

    static const struct {
        const char *name;
        struct mdw_process_options options;
    } processes[] = {
        {"x86.dmp", {.short_contexts = true}},
        {"x86-high-padded.dmp", {.short_contexts = true, .sign_extended = true, .memory_list = true, .padded = true}},
        {"x86-bare.dmp", {.short_contexts = true, .no_system = true, .no_infos = true, .no_tebs = true}},
        {"x86-threads-ex.dmp", {.short_contexts = true, .threads_ex = true, .no_comment = true, .no_peb = true}},
        {"x64.dmp", {.short_contexts = true, .is_64 = true}},
    };

    for (size_t i = 0; i < sizeof processes / sizeof *processes; i++) {
        write_process(&f, processes[i].options);
        write_seed(dir, processes[i].name, &f.w);
    }
    f.w.size -= 0x180;
    write_seed(dir, "x64-cut.dmp", &f.w);
    start_small(&f, true);
    mdw_begin(&f.w, MDW_THREADS);
    mdw_add(&f.w, 4, 1);
    mdw_add_thread(&f.w, 0x1234, 0x7fffffde000, 0x12f000, 0x40, 0, 0);
    mdw_end(&f.w);
    uint32_t name = mdw_string(&f.w, "C:\\a\\b.dll");
    mdw_begin(&f.w, MDW_MODULES);
    mdw_add(&f.w, 4, 1);
    mdw_add_module(&f.w, 0x140000000, 0x1000, name, 0, 0);
    mdw_end(&f.w);
    for (unsigned i = 0; i < 4; i++)
        mdw_block(&f.w, 0x7fffffde000 + 0xf80 * i, 0x100, block_bytes);
    mdw_add_memory64(&f.w);
    mdw_end_memory(&f.w);
    mdw_put(&f.w, mdw_at(&f.w, MDW_MODULES), 4, UINT32_MAX);
    mdw_put(&f.w, mdw_at(&f.w, MDW_THREADS), 4, UINT32_MAX);
    mdw_put(&f.w, mdw_at(&f.w, MDW_MEMORY64), 8, UINT64_MAX);
    mdw_put(&f.w, mdw_at(&f.w, MDW_MEMORY64) + 24, 8, UINT64_MAX);
    write_seed(dir, "x64-huge-counts.dmp", &f.w);
    start_small(&f, false);
    mdw_begin(&f.w, MDW_INFOS);
    mdw_add(&f.w, 4, 16);
    mdw_add(&f.w, 4, 48);
    mdw_add(&f.w, 8, 3);
    mdw_add_info(&f.w, 0x9000, 0x1000, 0x10000, 1, 0);
    mdw_add_info(&f.w, 0x1000, 0x2000, 0x1000, 4, 0x20000);
    mdw_add_info(&f.w, 0x2000, 0x3000, 0x2000, 0, 0x20000);
    mdw_end(&f.w);
    mdw_block(&f.w, 0x1000, 0x100, block_bytes);
    mdw_block(&f.w, 0x1080, 0x100, block_bytes);
    mdw_add_memory(&f.w);
    mdw_end_memory(&f.w);
    write_seed(dir, "overlaps.dmp", &f.w);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound),          cmocka_unit_test(test_run_bytes),
        cmocka_unit_test(test_no_system),      cmocka_unit_test(test_header),
        cmocka_unit_test(test_directory),      cmocka_unit_test(test_system_wrong),
        cmocka_unit_test(test_module_wrong),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_unloaded_wrong), cmocka_unit_test(test_threads_wrong),
        cmocka_unit_test(test_misc_wrong),     cmocka_unit_test(test_exception_wrong),
        cmocka_unit_test(test_comments),       cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_shared_bytes),   cmocka_unit_test(test_runs_settle),
        cmocka_unit_test(test_both_lists),     cmocka_unit_test(test_memory64_cut),
        cmocka_unit_test(test_memory_wrong),   cmocka_unit_test(test_infos),
        cmocka_unit_test(test_lists_cut),      cmocka_unit_test(test_other_bytes),
        cmocka_unit_test(test_paths),          cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flips),          cmocka_unit_test(test_text_is_bounded),
    };

    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
