/* process_test.c - engine/process/ on dumps written by hand: PEB, stacks, registers, modules, symbols, flags. */
#include "process/process.h"

#include "minidump_writer.h"
#include "pe_writer.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* ---- a process that is open ---- */

struct fixture {
    struct mdw w;
    struct mdw_process_places places;
    uint8_t *exact; /* a copy of exactly its size, so that the sanitizer sees every step too far */
    struct hs_notes notes;
    struct hs_file *file;
    struct hs_space space;
    struct hs_process process;
};

static void open_bytes(struct fixture *f, const void *bytes, size_t size)
{
    struct hs_range ranges[MDW_BLOCKS_MAX];
    struct hs_error err;

    f->exact = malloc(size);
    assert_non_null(f->exact);
    memcpy(f->exact, bytes, size);
    hs_notes_init(&f->notes);
    if (hs_file_open_bytes("test.dmp", (struct hs_span){f->exact, size}, &f->notes, &f->file, &err) != HS_OK)
        fail_msg("not opened: %s", err.text);
    assert_true(f->file->run_count <= MDW_BLOCKS_MAX);
    for (size_t i = 0; i < f->file->run_count; i++)
        ranges[i] = (struct hs_range){f->file->runs[i].va, f->file->runs[i].size, f->exact + f->file->runs[i].file_off};
    assert_int_equal(hs_space_init(&f->space, ranges, f->file->run_count, f->file->arch == HS_ARCH_X64 ? 8 : 4, NULL),
                     HS_OK);
    assert_int_equal(hs_process_init(&f->process, f->file, &f->space, &f->notes, &err), HS_OK);
}

static void open_process(struct fixture *f)
{
    open_bytes(f, f->w.bytes, f->w.size);
}

static void close_process(struct fixture *f)
{
    hs_process_deinit(&f->process);
    hs_space_deinit(&f->space);
    hs_file_close(f->file);
    hs_notes_deinit(&f->notes);
    free(f->exact);
}

static bool has_note(struct fixture *f, const char *part)
{
    for (size_t i = 0; i < hs_notes_lines(&f->notes); i++)
        if (strstr(hs_notes_line(&f->notes, i), part))
            return true;
    return false;
}

static void write_process(struct fixture *f, struct mdw_process_options options)
{
    mdw_write_process(&f->w, &options, &f->places);
}

/* Where the bytes of memory at `va` are in the written dump. */
static uint32_t memory_at(const struct fixture *f, hs_va va)
{
    uint32_t at = f->w.memory_off;

    for (uint32_t i = 0; i < f->w.block_count; at += f->w.blocks[i++].size)
        if (va >= f->w.blocks[i].va && va - f->w.blocks[i].va < f->w.blocks[i].size)
            return at + (uint32_t)(va - f->w.blocks[i].va);
    fail_msg("nothing was written at %" PRIx64, va);
    return 0;
}

static void poke(struct fixture *f, hs_va va, unsigned width, uint64_t value)
{
    mdw_put(&f->w, memory_at(f, va), width, value);
}

/* ---- facts ---- */

static void test_facts(void **state)
{
    static const struct mdw_process_options variants[] = {
        {.is_64 = false}, {.is_64 = true}, {.sign_extended = true}, {.memory_list = true}};
    struct fixture f;

    (void)state;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        const struct hs_facts *facts = &f.process.facts;
        bool is_64 = variants[i].is_64;

        write_process(&f, variants[i]);
        open_process(&f);
        assert_int_equal(hs_notes_lines(&f.notes), 0);
        assert_int_equal(facts->arch, is_64 ? HS_ARCH_X64 : HS_ARCH_X86);
        assert_int_equal(facts->pointer_size, is_64 ? 8 : 4);
        assert_string_equal(facts->windows, is_64 ? "5.2.3790" : "5.1.2600");
        assert_string_equal(facts->service_pack, "Service Pack 3");
        assert_string_equal(facts->image_name, "MAIN.EXE");
        assert_string_equal(facts->image_path, "C:\\APP\\MAIN.EXE");
        assert_string_equal(facts->command_line, f.places.command_line);
        assert_string_equal(facts->comment, "written by a test");
        assert_true(facts->peb_va == f.places.peb_va && facts->peb_source == HS_PEB_FROM_TEB);
        assert_true(facts->has_global_flag && facts->global_flag == 0x1040);
        assert_true(facts->has_process_id && facts->process_id == 0xd3c);
        assert_true(facts->has_process_times && facts->create_time == 0x4cf19000 && facts->user_time == 77 &&
                    facts->kernel_time == 66);
        assert_true(facts->has_exception && facts->exception_code == 0xc0000005 && facts->exception_thread_id == 0x1b8);
        assert_true(facts->exception_va == f.places.module_va[0] + 0x250);
        assert_true(facts->dump_time == 0x4cf1a2b3 && facts->dump_flags == 0x1806 && facts->file_size == f.w.size);
        assert_int_equal(facts->full_memory, !variants[i].memory_list);
        assert_false(facts->cut || facts->wow64);
        assert_int_equal(facts->processor_count, 2);
        close_process(&f);
    }
    assert_string_equal(hs_arch_name(HS_ARCH_X86), "x86");
    assert_string_equal(hs_arch_name(HS_ARCH_ARM64), "arm64");
    assert_string_equal(hs_arch_name((enum hs_arch)77), "unknown");
}

static void assert_peb(struct fixture *f, enum hs_peb_source source, int line)
{
    open_process(f);
    if (f->process.facts.peb_source != source ||
        f->process.facts.peb_va != (source == HS_PEB_NONE ? 0 : f->places.peb_va))
        fail_msg("line %d: source %d at %" PRIx64, line, (int)f->process.facts.peb_source, f->process.facts.peb_va);
    assert_int_equal(f->process.facts.has_global_flag, source != HS_PEB_NONE);
    assert_int_equal(has_note(f, "found by its contents"), source == HS_PEB_FROM_SCAN);
    assert_int_equal(has_note(f, "process environment block was not found"), source == HS_PEB_NONE);
    assert_string_equal(f->process.facts.command_line, source == HS_PEB_NONE ? "" : f->places.command_line);
    close_process(f);
}

#define PEB(f, source) assert_peb(f, source, __LINE__)

static void test_peb_through_tebs(void **state)
{
    struct fixture f;

    (void)state;
    for (int is_64 = 0; is_64 < 2; is_64++) {
        const struct mdw_process_options options = {.is_64 = is_64};
        const unsigned wide = is_64 ? 8 : 4, self = is_64 ? 0x30 : 0x18, peb = is_64 ? 0x60 : 0x30;

        for (unsigned damaged = 0; damaged < 2; damaged++) {
            write_process(&f, options); /* one TEB that does not point to itself leads nowhere */
            poke(&f, f.places.teb_va[damaged] + self, wide, 0x1234);
            poke(&f, f.places.teb_va[damaged] + peb, wide, f.places.heap_va);
            PEB(&f, HS_PEB_FROM_TEB);
            write_process(&f, options); /* nor does one whose PEB is not in the dump, or 0 */
            poke(&f, f.places.teb_va[damaged] + peb, wide, damaged ? 0 : 0x7000);
            PEB(&f, HS_PEB_FROM_TEB);
        }
        write_process(&f, options);
        for (unsigned i = 0; i < 2; i++)
            poke(&f, f.places.teb_va[i] + peb, wide, 0);
        PEB(&f, HS_PEB_FROM_SCAN);
    }
}

static void test_peb_without_tebs(void **state)
{
    struct fixture f;

    (void)state;
    for (int is_64 = 0; is_64 < 2; is_64++) {
        const struct mdw_process_options options = {.is_64 = is_64, .no_tebs = true};
        const unsigned wide = is_64 ? 8 : 4;
        const struct {
            unsigned off, width;
            uint64_t value;
        } wrong[] = {
            {is_64 ? 0x10 : 0x08, wide, 0}, /* image base: none, not a module, inside a module */
            {is_64 ? 0x10 : 0x08, wide, 0x900000},
            {is_64 ? 0x10 : 0x08, wide, (is_64 ? 0x140000000 : 0x400000) + 0x1000},
            {is_64 ? 0xe8 : 0x88, 4, 0}, /* heaps: none, too many, more than there is room for */
            {is_64 ? 0xe8 : 0x88, 4, 0xffffffff},
            {is_64 ? 0xec : 0x8c, 4, 0},
            {is_64 ? 0xf0 : 0x90, wide, 0}, /* their list: nowhere */
            {is_64 ? 0xf0 : 0x90, wide, 0x7777000},
        };

        write_process(&f, options);
        PEB(&f, HS_PEB_FROM_SCAN);
        write_process(&f, (struct mdw_process_options){.is_64 = is_64, .no_tebs = true, .no_peb = true});
        PEB(&f, HS_PEB_NONE);
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            write_process(&f, options);
            poke(&f, f.places.peb_va + wrong[i].off, wrong[i].width, wrong[i].value);
            PEB(&f, HS_PEB_NONE);
        }
        write_process(&f, options); /* the first heap: 0, not in the dump */
        poke(&f, f.places.heaps_va, wide, 0);
        PEB(&f, HS_PEB_NONE);
        poke(&f, f.places.heaps_va, wide, 0x6660000);
        PEB(&f, HS_PEB_NONE);
    }
}

static void test_command_line(void **state)
{
    struct fixture f;
    hs_va text;

    (void)state;
    write_process(&f, (struct mdw_process_options){.is_64 = false});
    text = f.places.parameters_va + 0x40;
    poke(&f, text, 2, 9); /* an odd size */
    open_process(&f);
    assert_string_equal(f.process.facts.command_line, "\"C:\\");
    close_process(&f);
    poke(&f, text, 2, 0xffff); /* longer than what the dump holds: what is there */
    open_process(&f);
    assert_true(strlen(f.process.facts.command_line) < 0x100);
    assert_memory_equal(f.process.facts.command_line, "\"C:\\APP", 7);
    close_process(&f);
    poke(&f, text, 2, 0);
    open_process(&f);
    assert_string_equal(f.process.facts.command_line, "");
    close_process(&f);
    poke(&f, text, 2, 10);
    poke(&f, text + 4, 4, 0xfffffff0);
    open_process(&f);
    assert_string_equal(f.process.facts.command_line, "");
    close_process(&f);
    poke(&f, f.places.peb_va + 0x10, 4, 0xffffffff);
    open_process(&f);
    assert_string_equal(f.process.facts.command_line, "");
    assert_true(f.process.facts.has_global_flag);
    close_process(&f);
}

static void test_global_flags(void **state)
{
    static const char *const names[32] = {"soe", "sls", "dic", "shg", "htc", "hfc", "hpc", "hvc", "vrf", "cse", "ptg",
                                          "htg", "ust", "kst", "otl", "htd", "dse", "d32", "ksl", "dps", "scb", "dhc",
                                          "ece", "eel", "eot", "hpa", "dwl", "ddp", "",    "",    "ltd", "dpd"};
    const struct hs_global_flag *flag;

    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        flag = hs_global_flag_get((uint32_t)1 << bit, 0);
        assert_non_null(flag);
        assert_true(flag->bit == (uint32_t)1 << bit);
        assert_string_equal(flag->abbreviation, names[bit]);
        assert_true(strlen(flag->meaning) > 5);
        assert_null(hs_global_flag_get((uint32_t)1 << bit, 1));
        flag = hs_global_flag_get(UINT32_MAX, bit);
        assert_true(flag && flag->bit == (uint32_t)1 << bit);
    }
    assert_null(hs_global_flag_get(0, 0));
    assert_null(hs_global_flag_get(UINT32_MAX, 32));
    assert_string_equal(hs_global_flag_get(0x1040, 0)->abbreviation, "hpc");
    assert_string_equal(hs_global_flag_get(0x1040, 1)->abbreviation, "ust");
    assert_null(hs_global_flag_get(0x1040, 2));
}

/* ---- threads ---- */

static void test_stacks(void **state)
{
    struct fixture f;

    (void)state;
    for (int is_64 = 0; is_64 < 2; is_64++) {
        const unsigned wide = is_64 ? 8 : 4;

        write_process(&f, (struct mdw_process_options){.is_64 = is_64});
        poke(&f, f.places.teb_va[1] + 2 * wide, wide, f.places.stack_va[1] + 0x1000); /* its limit is at its base */
        open_process(&f);
        assert_int_equal(f.process.thread_count, 2);
        for (size_t i = 0; i < 2; i++) {
            const struct hs_thread *thread = &f.process.threads[i];

            assert_true(thread->id == f.places.thread_id[i] && thread->teb_va == f.places.teb_va[i]);
            assert_true(thread->suspend_count == 1 && thread->priority == 9 && thread->priority_class == 0x20);
            assert_true(thread->stack_base == f.places.stack_va[i] + 0x1000);
            assert_true(thread->stack_limit == f.places.stack_va[i] + (i ? 0xfc0 : 0)); /* as the dump's list says */
        }
        close_process(&f);
        write_process(&f, (struct mdw_process_options){.is_64 = is_64, .no_tebs = true});
        mdw_put(&f.w, mdw_at(&f.w, MDW_THREADS) + 4 + 32, 4, 0); /* neither TEB nor list */
        mdw_put(&f.w, mdw_at(&f.w, MDW_THREADS) + 4 + 48 + 24, 8, UINT64_MAX - 0x10);
        open_process(&f);
        assert_true(f.process.threads[0].stack_base == 0 && f.process.threads[0].stack_limit == 0);
        if (is_64)
            assert_true(f.process.threads[1].stack_base == 0 && f.process.threads[1].stack_limit == 0);
        assert_true(f.process.threads[1].stack_limit <= f.process.threads[1].stack_base);
        close_process(&f);
    }
}

static void assert_registers(struct fixture *f, size_t thread_idx, const char *names, const uint64_t *values)
{
    struct hs_register reg;
    unsigned idx = 0;

    for (; *names; idx++) {
        size_t length = strcspn(names, " ");

        assert_int_equal(hs_process_register(&f->process, thread_idx, idx, &reg), HS_OK);
        if (strlen(reg.name) != length || strncmp(reg.name, names, length) != 0)
            fail_msg("register %u is %s, expected %.*s", idx, reg.name, (int)length, names);
        if (reg.value != values[idx])
            fail_msg("%s is %" PRIx64 ", expected %" PRIx64, reg.name, reg.value, values[idx]);
        names += length + (names[length] == ' ');
    }
    assert_int_equal(hs_process_register(&f->process, thread_idx, idx, &reg), HS_NOT_FOUND);
    assert_int_equal(hs_process_register(&f->process, thread_idx, 1000, &reg), HS_NOT_FOUND);
}

static void test_registers(void **state)
{
    const uint64_t x = 0x1111111100000000;
    struct hs_register reg;
    struct fixture f;

    (void)state;
    write_process(&f, (struct mdw_process_options){.is_64 = false});
    open_process(&f);
    assert_registers(&f, 0, "eax ebx ecx edx esi edi eip esp ebp cs ss ds es fs gs efl",
                     (const uint64_t[]){0x11110005, 0x11110002, 0x11110004, 0x11110003, 0x11110001, 0x11110000,
                                        0x7c900100, 0x12ffc0, 0x11110006, 0x1b, 0x23, 0x33, 0x32, 0x31, 0x30, 0x246});
    assert_registers(&f, 1, "eax ebx ecx edx esi edi eip esp ebp cs ss ds es fs gs efl", /* the exception's context */
                     (const uint64_t[]){0x11110005, 0x11110002, 0x11110004, 0x11110003, 0x11110001, 0x11110000,
                                        0x400250, 0x22ffd0, 0x11110006, 0x1b, 0x23, 0x33, 0x32, 0x31, 0x30, 0x246});
    assert_int_equal(hs_process_register(&f.process, 2, 0, &reg), HS_NOT_FOUND);
    assert_true(f.process.threads[0].has_context && f.process.threads[0].ip == 0x7c900100 &&
                f.process.threads[0].sp == 0x12ffc0 && f.process.threads[0].bp == 0x11110006);
    assert_true(f.process.threads[1].ip == 0x400250 && f.process.threads[1].sp == 0x22ffd0);
    close_process(&f);

    write_process(&f, (struct mdw_process_options){.is_64 = true});
    open_process(&f);
    assert_registers(&f, 0, "rax rbx rcx rdx rsi rdi rip rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 cs ds es fs gs ss efl",
                     (const uint64_t[]){x,      x + 3, x + 1, x + 2,  x + 6,  x + 7,  0x7ff80010100, 0x12ffc0,
                                        x + 5,  x + 8, x + 9, x + 10, x + 11, x + 12, x + 13,        x + 14,
                                        x + 15, 0x33,  0,     0,      0,      0,      0x2b,          0x246});
    assert_true(f.process.threads[1].ip == 0x140000250 && f.process.threads[1].bp == x + 5);
    close_process(&f);

    for (int is_64 = 0; is_64 < 2; is_64++) { /* no exception: the thread's own; a context that is cut: none */
        uint32_t size = is_64 ? 0x100 : 0xcc;

        write_process(&f, (struct mdw_process_options){.is_64 = is_64});
        mdw_put(&f.w, mdw_row(&f.w, MDW_EXCEPTION, 0) + 4, 4, 0);
        mdw_put(&f.w, mdw_at(&f.w, MDW_THREADS) + 4 + 40, 4, size - 1);
        mdw_put(&f.w, mdw_at(&f.w, MDW_THREADS) + 4 + 48 + 40, 4, size);
        open_process(&f);
        assert_false(f.process.threads[0].has_context);
        assert_int_equal(hs_process_register(&f.process, 0, 0, &reg), HS_NOT_FOUND);
        assert_true(f.process.threads[0].ip == 0 && f.process.threads[0].sp == 0 && f.process.threads[0].bp == 0);
        assert_true(f.process.threads[1].has_context);
        assert_true(f.process.threads[1].ip == f.places.module_va[1] + 0x200);
        close_process(&f);
    }
}

/* ---- modules ---- */

/* A dump of `count` modules of 0x10000 bytes, 0x100000 apart from 0x1000000 on; `images` has each one's, or NULL. */
static void write_modules(struct fixture *f, unsigned count, const char *const *paths, const struct pe_writer *images)
{
    uint32_t names[16];

    assert_true(count <= 16);
    mdw_start(&f->w, 4);
    mdw_add_system(&f->w, 0, 5, 1, 2600, 0);
    for (unsigned i = 0; i < count; i++)
        names[i] = mdw_string(&f->w, paths[i]);
    mdw_begin(&f->w, MDW_MODULES);
    mdw_add(&f->w, 4, count);
    for (unsigned i = 0; i < count; i++) {
        mdw_add_module(&f->w, 0x1000000 + 0x100000 * i, 0x10000, names[i], 0, 0);
        if (images)
            mdw_block(&f->w, 0x1000000 + 0x100000 * i, IMAGE_SIZE, images[i].bytes);
    }
    mdw_end(&f->w);
    mdw_add_memory64(&f->w);
    mdw_end_memory(&f->w);
}

static void test_module_names(void **state)
{
    static const char *const paths[] = {
        "C:\\WINDOWS\\system32\\ntdll.dll", "C:/a/3rdparty.v2.dll", "noextension", "C:\\dir\\.hidden", "", "C:\\dir\\",
        "\\\\server\\share\\x.y",           "D:\\other\\NTDLL.DLL", "wow64.dll",   "ntdll.exe"};
    static const char *const names[] = {"ntdll",         "3rdparty.v2", "noextension",    ".hidden", "image01400000",
                                        "image01500000", "x",           "NTDLL_01700000", "wow64",   "ntdll_01900000"};
    struct fixture f;

    (void)state;
    write_modules(&f, 10, paths, NULL);
    open_process(&f);
    assert_int_equal(f.process.module_count, 10);
    for (size_t i = 0; i < 10; i++) {
        assert_string_equal(f.process.modules[i].facts.name, names[i]);
        assert_string_equal(f.process.modules[i].facts.path, paths[i]);
        assert_int_equal(hs_process_module_named(&f.process, names[i]), i);
    }
    assert_int_equal(hs_process_module_named(&f.process, "NtDll"), 0);
    assert_int_equal(hs_process_module_named(&f.process, "ntdll.dll"), 0);
    assert_int_equal(hs_process_module_named(&f.process, "NTDLL_01700000"), 7);
    assert_int_equal(hs_process_module_named(&f.process, "3rdparty.v2"), 1); /* not taken for an extension */
    assert_int_equal(hs_process_module_named(&f.process, "3rdparty.v2.dll"), 1);
    assert_true(hs_process_module_named(&f.process, "3rdparty") == SIZE_MAX);
    assert_true(hs_process_module_named(&f.process, "") == SIZE_MAX);
    assert_true(hs_process_module_named(&f.process, "ntdl") == SIZE_MAX);
    assert_true(hs_process_module_named(&f.process, "ntdlll") == SIZE_MAX);
    assert_string_equal(f.process.facts.image_name, "ntdll.dll");
    assert_false(f.process.facts.wow64); /* a 32-bit dump is none */
    close_process(&f);
    mdw_put(&f.w, mdw_at(&f.w, MDW_SYSTEM), 2, 9);
    open_process(&f);
    assert_true(f.process.facts.wow64);
    close_process(&f);
}

static void store(uint8_t *bytes, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

/* 4,096 modules whose long names differ at the end only: looking for twins must not compare each with each. */
static void test_many_names(void **state)
{
    const uint32_t count = 4096, length = 600, row = 4 + 2 * length + 4, list = 64 + count * row;
    const size_t size = list + 4 + 108 * (size_t)count;
    uint8_t *bytes = calloc(size, 1);
    clock_t start;
    struct fixture f;

    (void)state;
    assert_non_null(bytes);
    mdw_start(&f.w, 1);
    memcpy(bytes, f.w.bytes, f.w.size);
    store(bytes + 32, 4, MDW_MODULES);
    store(bytes + 36, 4, 4 + 108 * count);
    store(bytes + 40, 4, list);
    store(bytes + list, 4, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *name = bytes + 64 + i * row, *module = bytes + list + 4 + 108 * i;

        store(name, 4, 2 * length);
        for (uint32_t k = 0; k < length; k++)
            store(name + 4 + 2 * k, 2, 'n');
        for (uint32_t k = 0; k < 3; k++) /* two of each name */
            store(name + 4 + 2 * (length - 1 - k), 2, (uint64_t) "0123456789abcdef"[i / 2 >> 4 * k & 15]);
        store(module, 8, 0x10000 * (i + 1));
        store(module + 8, 4, 0x1000);
        store(module + 20, 4, 64 + i * row);
    }
    start = clock();
    open_bytes(&f, bytes, size);
    assert_true((clock() - start) / CLOCKS_PER_SEC < 5);
    assert_int_equal(f.process.module_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(strlen(f.process.modules[i].facts.name), length + i % 2 * 9);
    close_process(&f);
    free(bytes);
}

static void test_module_at(void **state)
{
    static const char *const paths[] = {"a.dll", "b.dll", "c.dll", "d.dll"};
    struct fixture f;

    (void)state;
    write_modules(&f, 4, paths, NULL);
    mdw_put(&f.w, mdw_at(&f.w, MDW_MODULES) + 4 + 108, 8, 0x500000); /* b lies below a */
    open_process(&f);
    assert_true(hs_process_module_at(&f.process, 0) == SIZE_MAX);
    assert_true(hs_process_module_at(&f.process, 0x4fffff) == SIZE_MAX);
    assert_int_equal(hs_process_module_at(&f.process, 0x500000), 1);
    assert_int_equal(hs_process_module_at(&f.process, 0x50ffff), 1);
    assert_true(hs_process_module_at(&f.process, 0x510000) == SIZE_MAX);
    assert_int_equal(hs_process_module_at(&f.process, 0x1000000), 0);
    assert_int_equal(hs_process_module_at(&f.process, 0x1200001), 2);
    assert_int_equal(hs_process_module_at(&f.process, 0x130ffff), 3);
    assert_true(hs_process_module_at(&f.process, 0x1310000) == SIZE_MAX);
    assert_true(hs_process_module_at(&f.process, UINT64_MAX) == SIZE_MAX);
    close_process(&f);
}

static void test_no_modules(void **state)
{
    struct hs_symbol symbol;
    struct fixture f;
    hs_va va;

    (void)state;
    mdw_start(&f.w, 1);
    mdw_add_system(&f.w, 0, 5, 1, 2600, 0);
    open_process(&f);
    assert_string_equal(f.process.facts.image_name, "");
    assert_string_equal(f.process.facts.command_line, "");
    assert_true(hs_process_module_at(&f.process, 0x1000) == SIZE_MAX);
    assert_int_equal(hs_process_symbol(&f.process, 0x1000, &symbol), HS_NOT_FOUND);
    assert_int_equal(hs_process_resolve(&f.process, "ntdll", &va), HS_NOT_FOUND);
    assert_int_equal(f.process.region_count + f.process.thread_count, 0);
    assert_true(hs_process_region_at(&f.process, 0) == SIZE_MAX);
    close_process(&f);
}

/* ---- symbols ---- */

static void assert_symbol(struct fixture *f, hs_va va, const char *honest, const char *windbg, int line)
{
    struct hs_symbol symbol;
    char text[100], cut[8];
    size_t length;
    hs_va back;

    if (hs_process_symbol(&f->process, va, &symbol) != HS_OK)
        fail_msg("line %d: %" PRIx64 " has no symbol", line, va);
    length = hs_process_symbol_text(&f->process, &symbol, HS_SYMBOL_HONEST, text, sizeof text);
    if (strcmp(text, honest) != 0 || length != strlen(honest))
        fail_msg("line %d: \"%s\", expected \"%s\"", line, text, honest);
    assert_int_equal(hs_process_symbol_text(&f->process, &symbol, HS_SYMBOL_HONEST, cut, sizeof cut), length);
    assert_int_equal(strlen(cut), length < 7 ? length : 7);
    assert_memory_equal(cut, text, strlen(cut));
    hs_process_symbol_text(&f->process, &symbol, HS_SYMBOL_WINDBG, text, sizeof text);
    if (strcmp(text, windbg) != 0)
        fail_msg("line %d: \"%s\", expected \"%s\"", line, text, windbg);
    assert_int_equal(hs_process_resolve(&f->process, text, &back), HS_OK); /* and back again */
    assert_true(back == va);
}

#define SYMBOL(va, honest, windbg) assert_symbol(&f, va, honest, windbg, __LINE__)

static void test_symbols(void **state)
{
    static const char *const paths[] = {"C:\\small.dll", "C:\\empty.dll"};
    struct pe_writer images[2];
    struct hs_symbol symbol;
    struct fixture f;

    (void)state;
    pe_write(&images[0], false);
    memset(&images[1], 0, sizeof images[1]); /* an image that is no image */
    write_modules(&f, 2, paths, images);
    open_process(&f);
    SYMBOL(0x1000250, "small!Alpha", "small!Alpha");
    SYMBOL(0x100025f, "small!Alpha+0xf", "small!Alpha+0xf");
    SYMBOL(0x1000260, "small!Ordinal6", "small!Ordinal6");
    SYMBOL(0x1000261, "small!Ordinal6+0x1", "small!Ordinal6+0x1");
    SYMBOL(0x1000270, "small!Beta", "small!Beta");
    SYMBOL(0x1000690, "small!Table", "small!Table");
    SYMBOL(0x1001690, "small!Table+0x1000", "small!Table+0x1000");
    SYMBOL(0x1001691, "small+0x1691 [Table+0x1001]", "small!Table+0x1001"); /* too far to be believed */
    SYMBOL(0x100ffff, "small+0xffff [Table+0xf96f]", "small!Table+0xf96f");
    SYMBOL(0x1000000, "small", "small"); /* below the first export */
    SYMBOL(0x100024f, "small+0x24f", "small+0x24f");
    SYMBOL(0x1100000, "empty", "empty");
    SYMBOL(0x1100250, "empty+0x250", "empty+0x250");
    assert_int_equal(hs_process_symbol(&f.process, 0xffffff, &symbol), HS_NOT_FOUND);
    assert_int_equal(hs_process_symbol(&f.process, 0x1010000, &symbol), HS_NOT_FOUND);
    assert_int_equal(hs_process_symbol(&f.process, 0x1001690, &symbol), HS_OK);
    assert_true(symbol.near_name && symbol.has_name && symbol.offset == 0x1000 && symbol.rva == 0x1690);
    assert_int_equal(hs_process_symbol(&f.process, 0x1001691, &symbol), HS_OK);
    assert_true(!symbol.near_name && symbol.has_name && symbol.offset == 0x1001 && symbol.module_idx == 0);
    assert_string_equal(symbol.name, "Table");
    assert_int_equal(hs_process_symbol(&f.process, 0x100024f, &symbol), HS_OK);
    assert_true(!symbol.near_name && !symbol.has_name && symbol.rva == 0x24f);
    assert_string_equal(symbol.name, "");
    assert_true(hs_process_executable(&f.process, 0x1000250));
    assert_false(hs_process_executable(&f.process, 0x1000690));
    assert_false(hs_process_executable(&f.process, 0x1100250));
    assert_false(hs_process_executable(&f.process, 0x10));
    close_process(&f);
}

static void test_resolve(void **state)
{
    static const char *const paths[] = {"C:\\small.dll", "C:\\a+z.dll", "C:\\c+d.e.dll"};
    static const struct {
        const char *text;
        hs_va va; /* 0: not found */
    } rows[] = {
        {"small", 0x1000000},
        {"SMALL.dll", 0x1000000},
        {"small+0x12", 0x1000012},
        {"small+12", 0x1000012},
        {"small!Beta", 0x1000270},
        {"Small!Beta+0x10", 0x1000280},
        {"small.DLL!Alpha", 0x1000250},
        {"small!AlphaAlias", 0x1000250},
        {"small!Ordinal6", 0x1000260},
        {"small!Ordinal6+0x3", 0x1000263},
        {"small!Ordinal5", 0x1000250},
        {"a+z", 0x1100000},
        {"a+z+0x1", 0x1100001},
        {"c+d.e", 0x1200000},
        {"a+z!Alpha", 0x1100250},
        {"a+z!Alpha+a", 0x110025a},
        {"small!beta", 0},
        {"small!", 0},
        {"!Beta", 0},
        {"", 0},
        {"small!Nothing", 0},
        {"small!Ordinal7", 0},
        {"small!Ordinal99", 0},
        {"small!Ordinal", 0},
        {"nosuch!Beta", 0},
        {"nosuch", 0},
        {"small+0xg", 0},
        {"small+", 0},
        {"+0x10", 0},
        {"small!Beta+", 0},
        {"small!Beta!Beta", 0},
        {"small!Ordinal4294967302", 0},
        {"small!Ordinal-1", 0},
    };
    struct pe_writer images[3];
    char long_text[2000];
    struct fixture f;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        pe_write(&images[i], false);
    write_modules(&f, 3, paths, images);
    open_process(&f);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hs_va va = 0;
        enum hs_status status = hs_process_resolve(&f.process, rows[i].text, &va);

        if (status != (rows[i].va ? HS_OK : HS_NOT_FOUND) || va != rows[i].va)
            fail_msg("\"%s\": status %d, %" PRIx64 ", expected %" PRIx64, rows[i].text, (int)status, va, rows[i].va);
    }
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    hs_va va;
    assert_int_equal(hs_process_resolve(&f.process, long_text, &va), HS_NOT_FOUND);
    memcpy(long_text, "small!", 6);
    for (size_t size = 1000; size < 1050; size++) {
        long_text[size] = 0;
        assert_int_equal(hs_process_resolve(&f.process, long_text, &va), HS_NOT_FOUND);
        long_text[size] = 'x';
    }
    close_process(&f);
}

/* Another text for the forwarder "HeapAlloc" of an image; at most 21 characters. */
static void forward(struct pe_writer *image, const char *to)
{
    static const char old[] = "NTDLL.RtlAllocateHeap";
    static uint32_t at;

    assert_true(strlen(to) < sizeof old);
    if (!at)
        at = (uint32_t)((uint8_t *)memmem(image->bytes, IMAGE_SIZE, old, sizeof old) - image->bytes);
    memset(image->bytes + at, 0, sizeof old);
    memcpy(image->bytes + at, to, strlen(to));
}

static void test_forwarders(void **state)
{
    static const char *const paths[] = {"m0.dll", "m1.dll", "m2.dll", "m3.dll", "m4.dll", "m5.dll",
                                        "m6.dll", "m7.dll", "m8.dll", "m9.dll", "m.x.dll"};
    static struct pe_writer images[11];
    static const struct {
        const char *to;
        hs_va va;
    } rows[] = {
        {"M1.Alpha", 0x1100250},
        {"m1.#5", 0x1100250},
        {"M1.#6", 0x1100260},
        {"m.x.Beta", 0x1a00270},
        {"M1.Ordinal5", 0x1100250},
        {"NTDLL.RtlAlloc", 0},
        {"M1.Nothing", 0},
        {"M1.#7", 0},
        {"M1.#", 0},
        {"M1.#99999999999", 0},
        {"M1.#x", 0},
        {"M0.HeapAlloc", 0}, /* itself */
        {"M0.#8", 0},
        {"M1.", 0},
        {".Alpha", 0},
        {"NoDot", 0},
    };
    struct fixture f;
    hs_va va;

    (void)state;
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        for (unsigned i = 0; i < 11; i++)
            pe_write(&images[i], false);
        forward(&images[0], rows[row].to);
        write_modules(&f, 11, paths, images);
        open_process(&f);
        for (unsigned twice = 0; twice < 2; twice++) {
            enum hs_status status;

            va = 0;
            status = hs_process_resolve(&f.process, twice ? "m0!Ordinal8+0x2" : "m0!HeapAlloc", &va);
            if (status != (rows[row].va ? HS_OK : HS_NOT_FOUND) || va != (rows[row].va ? rows[row].va + 2 * twice : 0))
                fail_msg("to \"%s\": status %d, %" PRIx64, rows[row].to, (int)status, va);
        }
        close_process(&f);
    }
    for (unsigned length = 1; length <= 9; length++) { /* chains: up to 7 are followed, 9 and more are not */
        char to[16];

        for (unsigned i = 0; i < 10; i++) {
            pe_write(&images[i], false);
            snprintf(to, sizeof to, i + 1 < length ? "M%u.HeapAlloc" : "M%u.Alpha", i + 1);
            forward(&images[i], to);
        }
        write_modules(&f, 10, paths, images);
        open_process(&f);
        if (length <= 7) {
            assert_int_equal(hs_process_resolve(&f.process, "m0!HeapAlloc", &va), HS_OK);
            assert_true(va == 0x1000250 + 0x100000 * length);
        } else if (length >= 9) {
            assert_int_equal(hs_process_resolve(&f.process, "m0!HeapAlloc", &va), HS_NOT_FOUND);
        }
        close_process(&f);
    }
    pe_write(&images[0], false); /* two that point at each other */
    pe_write(&images[1], false);
    forward(&images[0], "M1.HeapAlloc");
    forward(&images[1], "M0.HeapAlloc");
    write_modules(&f, 2, paths, images);
    open_process(&f);
    assert_int_equal(hs_process_resolve(&f.process, "m0!HeapAlloc", &va), HS_NOT_FOUND);
    close_process(&f);
}

/* ---- images on demand, by many threads at once ---- */

struct asked {
    struct fixture *f;
    const struct hs_image *images[64];
};

static void ask(void *context, size_t item)
{
    struct asked *asked = context;

    asked->images[item] = hs_process_image(&asked->f->process, item % 4);
}

static void test_images_on_demand(void **state)
{
    static const char *const paths[] = {"m0.dll", "m1.dll", "m2.dll", "m3.dll"};
    static struct pe_writer images[4];
    struct asked asked;
    struct fixture f;

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        pe_write(&images[i], false);
    write_modules(&f, 4, paths, images);
    open_process(&f);
    for (size_t i = 0; i < 4; i++)
        assert_null(atomic_load(&f.process.modules[i].image));
    asked.f = &f;
    hs_parallel(8, 64, ask, &asked);
    for (size_t i = 0; i < 64; i++) {
        assert_ptr_equal(asked.images[i], hs_process_image(&f.process, i % 4));
        assert_true(asked.images[i]->readable && asked.images[i]->base == f.process.modules[i % 4].facts.base);
    }
    close_process(&f);
}

/* ---- regions ---- */

static void test_regions(void **state)
{
    struct fixture f;

    (void)state;
    write_process(&f, (struct mdw_process_options){.is_64 = false});
    open_process(&f);
    assert_int_equal(f.process.region_count, 4);
    assert_int_equal(f.process.regions[0].present_size, 0x40); /* the top of the first stack */
    assert_int_equal(f.process.regions[1].present_size, 0x10); /* of a heap, of which the dump has some bytes */
    assert_int_equal(f.process.regions[2].present_size, 0);    /* free */
    assert_int_equal(f.process.regions[3].present_size, 0);    /* an image that the dump lacks */
    assert_true(hs_process_region_at(&f.process, 0x12efff) == SIZE_MAX);
    assert_int_equal(hs_process_region_at(&f.process, 0x12f000), 0);
    assert_int_equal(hs_process_region_at(&f.process, 0x12ffff), 0);
    assert_true(hs_process_region_at(&f.process, 0x130000) == SIZE_MAX);
    assert_int_equal(hs_process_region_at(&f.process, 0x160000), 2);
    assert_int_equal(hs_process_region_at(&f.process, 0x7c905fff), 3);
    assert_true(hs_process_region_at(&f.process, 0x7c906000) == SIZE_MAX);
    assert_true(hs_process_region_at(&f.process, UINT64_MAX) == SIZE_MAX);
    close_process(&f);

    static struct pe_writer image;
    pe_write(&image, false);
    write_process(&f, (struct mdw_process_options){.no_infos = true, .image = image.bytes, .image_size = IMAGE_SIZE});
    open_process(&f);
    assert_true(has_note(&f, "no MemoryInfoList"));
    assert_int_equal(f.process.region_count, f.space.range_count);
    for (size_t i = 0; i < f.process.region_count; i++) {
        const struct hs_region *region = &f.process.regions[i];
        bool is_image = region->va == f.places.module_va[0];

        assert_true(region->va == f.space.ranges[i].va && region->size == f.space.ranges[i].size);
        assert_true(region->present_size == region->size && region->state == 0x1000);
        assert_int_equal(region->type, is_image ? 0x1000000 : 0);
        assert_true(region->allocation_va == (is_image ? region->va : 0));
    }
    close_process(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_peb_through_tebs),
        cmocka_unit_test(test_peb_without_tebs),
        cmocka_unit_test(test_command_line),
        cmocka_unit_test(test_global_flags),
        cmocka_unit_test(test_stacks),
        cmocka_unit_test(test_registers),
        cmocka_unit_test(test_module_names),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_module_at),
        cmocka_unit_test(test_no_modules),
        cmocka_unit_test(test_symbols),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_forwarders),
        cmocka_unit_test(test_images_on_demand),
        cmocka_unit_test(test_regions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
