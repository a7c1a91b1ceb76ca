/* fuzz_container.c - any bytes as a dump file: opening it and touching all that it lists, as records and as a process,
 * must neither crash nor hang, and what it lists must keep the promises of file.h. */
#include "file/file.h"
#include "process/process.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

static void touch(const void *bytes, uint64_t size)
{
    const uint8_t *b = bytes;
    uint8_t sum = 0;

    for (uint64_t i = 0; i < size; i++)
        sum ^= b[i];
    sink = sum;
}

static void touch_text(const char *text)
{
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            __builtin_trap();
}

static void touch_lists(const struct hs_file *file)
{
    hs_va end = 0;

    touch_text(file->service_pack);
    touch_text(file->comment);
    touch(file->exception_context.bytes, file->exception_context.size);
    for (size_t i = 0; i < file->module_count; i++) {
        touch_text(file->modules[i].path);
        touch(file->modules[i].codeview.bytes, file->modules[i].codeview.size);
    }
    for (size_t i = 0; i < file->unloaded_count; i++)
        touch_text(file->unloaded[i].name);
    for (size_t i = 0; i < file->thread_count; i++)
        touch(file->threads[i].context.bytes, file->threads[i].context.size);
    for (size_t i = 0; i < file->run_count; i++) {
        const struct hs_run *run = &file->runs[i];

        if (run->size == 0 || run->va < end || run->va + run->size < run->va || run->file_off > file->map.size ||
            run->size > file->map.size - run->file_off)
            __builtin_trap();
        end = run->va + run->size;
        touch(file->map.bytes + run->file_off, run->size);
    }
    end = 0;
    for (size_t i = 0; i < file->region_count; i++) {
        if (file->regions[i].size == 0 || file->regions[i].va < end)
            __builtin_trap();
        end = file->regions[i].va + file->regions[i].size;
    }
}

/* Whatever has a name can be resolved by it, unless another thing of that name comes first. */
static void touch_process(const struct hs_process *process)
{
    struct hs_register reg;
    struct hs_symbol symbol;
    char text[200];
    hs_va va;

    touch_text(process->facts.command_line);
    for (size_t i = 0; i < process->module_count && i < 16; i++) {
        const struct hs_module *module = &process->modules[i].facts;

        touch_text(module->name);
        touch_text(module->pdb_name);
        if (hs_process_module_named(process, module->name) > i)
            __builtin_trap();
        if (hs_process_symbol(process, module->base + module->size / 2, &symbol) == HS_OK) {
            hs_process_symbol_text(process, &symbol, HS_SYMBOL_HONEST, text, sizeof text);
            (void)hs_process_resolve(process, text, &va);
        }
        (void)hs_process_executable(process, module->base);
    }
    for (size_t i = 0; i < process->thread_count && i < 16; i++) {
        for (unsigned k = 0; hs_process_register(process, i, k, &reg) == HS_OK; k++)
            if (reg.size < 8 && reg.value >> 8 * reg.size)
                __builtin_trap();
        if (process->threads[i].stack_base < process->threads[i].stack_limit)
            __builtin_trap();
        (void)hs_process_region_at(process, process->threads[i].sp);
    }
    for (size_t i = 0; i < process->region_count; i++)
        if (process->regions[i].present_size > process->regions[i].size)
            __builtin_trap();
    (void)hs_space_find(process->space, "\0\0\1", 3, 0, UINT64_MAX, 1, NULL, &va);
}

static void open_process(struct hs_file *file, struct hs_notes *notes)
{
    struct hs_range *ranges = calloc(file->run_count + 1, sizeof *ranges);
    struct hs_process process;
    struct hs_space space;

    for (size_t i = 0; ranges && i < file->run_count; i++)
        ranges[i] = (struct hs_range){file->runs[i].va, file->runs[i].size, file->map.bytes + file->runs[i].file_off};
    if (ranges && hs_space_init(&space, ranges, file->run_count, file->arch == HS_ARCH_X64 ? 8 : 4, NULL) == HS_OK) {
        if (hs_process_init(&process, file, &space, notes, NULL) == HS_OK) {
            touch_process(&process);
            hs_process_deinit(&process);
        }
        hs_space_deinit(&space);
    }
    free(ranges);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_error err = {.status = HS_OK};
    struct hs_file *file = NULL;
    struct hs_notes notes;
    enum hs_status status;

    hs_notes_init(&notes);
    status = hs_file_open_bytes("fuzz.dmp", (struct hs_span){data, size}, &notes, &file, &err);
    if (status == HS_OK) {
        touch_lists(file);
        if (file->arch == HS_ARCH_X86 || file->arch == HS_ARCH_X64)
            open_process(file, &notes);
        hs_file_close(file);
    } else if (err.status != status || !*err.text) {
        __builtin_trap();
    }
    for (size_t i = 0; i < hs_notes_lines(&notes); i++)
        touch_text(hs_notes_line(&notes, i));
    hs_notes_deinit(&notes);
    return 0;
}
