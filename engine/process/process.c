/* process.c - the process as a whole: Windows, the process environment block, global flags, regions. */
#include "process/process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 0x1000u
#define PEB_SCAN_PAGES 0x40000u            /* pages looked at for a PEB without TEBs: 1 GiB */
#define HEAPS_MAX 4096u                    /* NumberOfHeaps of a believable PEB */
#define PARAMETER_SIZE_MAX UINT64_C(65534) /* bytes of a UNICODE_STRING */

/* gflags' names; meanings in own words */
static const struct hs_global_flag global_flags[] = {
    {0x00000001, "soe", "stop on exception"},
    {0x00000002, "sls", "show loader snaps"},
    {0x00000004, "dic", "debug initial command"},
    {0x00000008, "shg", "stop on hung GUI"},
    {0x00000010, "htc", "heap tail checking"},
    {0x00000020, "hfc", "heap free checking"},
    {0x00000040, "hpc", "heap parameter checking"},
    {0x00000080, "hvc", "heap validation on call"},
    {0x00000100, "vrf", "application verifier"},
    {0x00000200, "cse", "early critical section event creation"},
    {0x00000400, "ptg", "pool tagging"},
    {0x00000800, "htg", "heap tagging"},
    {0x00001000, "ust", "user mode stack trace database"},
    {0x00002000, "kst", "kernel mode stack trace database"},
    {0x00004000, "otl", "list of objects for each type"},
    {0x00008000, "htd", "heap tagging by DLL"},
    {0x00010000, "dse", "stack extension disabled"},
    {0x00020000, "d32", "debugging of Win32 subsystem"},
    {0x00040000, "ksl", "kernel debugger symbol load"},
    {0x00080000, "dps", "paging of kernel stacks disabled"},
    {0x00100000, "scb", "critical system breaks"},
    {0x00200000, "dhc", "heap coalesce on free disabled"},
    {0x00400000, "ece", "close exception"},
    {0x00800000, "eel", "exception logging"},
    {0x01000000, "eot", "object handle type tagging"},
    {0x02000000, "hpa", "page heap"},
    {0x04000000, "dwl", "winlogon debugging"},
    {0x08000000, "ddp", "kernel mode DbgPrint output buffered"},
    {0x40000000, "ltd", "DLL load time"},
    {0x80000000, "dpd", "protected DLL verification disabled"},
};

const struct hs_global_flag *hs_global_flag_get(uint32_t flag, unsigned idx)
{
    static const struct hs_global_flag unknown[] = {{0x10000000, "", "unknown"}, {0x20000000, "", "unknown"}};
    size_t next_unknown = 0;

    for (size_t i = 0; i < sizeof global_flags / sizeof *global_flags; i++) {
        while (next_unknown < 2 && unknown[next_unknown].bit < global_flags[i].bit) {
            if ((flag & unknown[next_unknown].bit) && idx-- == 0)
                return &unknown[next_unknown];
            next_unknown++;
        }
        if ((flag & global_flags[i].bit) && idx-- == 0)
            return &global_flags[i];
    }
    return NULL;
}

const char *hs_arch_name(enum hs_arch arch)
{
    switch (arch) {
    case HS_ARCH_X86: return "x86";
    case HS_ARCH_X64: return "x64";
    case HS_ARCH_ARM: return "arm";
    case HS_ARCH_ARM64: return "arm64";
    case HS_ARCH_IA64: return "ia64";
    case HS_ARCH_UNKNOWN: break;
    }
    return "unknown";
}

/* Reads one field of the PEB at `va`. */
static bool peb_field(const struct hs_process *process, hs_va va, enum hs_field field, uint64_t *value_ret)
{
    return hs_layout_read(process->layout, process->space, va, field, value_ret);
}

/* Whether a PEB may lie at `va`: its image base is a module, its heap list is sane and lies in the dump. */
static bool looks_like_peb(const struct hs_process *process, hs_va va)
{
    uint64_t image, count, maximum, heaps, first;
    size_t idx;

    if (!peb_field(process, va, HS_FIELD_PEB_IMAGE_BASE, &image) || image == 0)
        return false;
    idx = hs_process_module_at(process, image);
    if (process->module_count && (idx == SIZE_MAX || process->modules[idx].facts.base != image))
        return false;
    return peb_field(process, va, HS_FIELD_PEB_NUMBER_OF_HEAPS, &count) && count >= 1 && count <= HEAPS_MAX &&
           peb_field(process, va, HS_FIELD_PEB_MAXIMUM_NUMBER_OF_HEAPS, &maximum) && maximum >= count &&
           peb_field(process, va, HS_FIELD_PEB_PROCESS_HEAPS, &heaps) &&
           hs_space_pointer(process->space, heaps, &first) && first != 0 &&
           hs_space_present(process->space, first, 1) == 1;
}

/* The PEB that most TEBs point to (they all do, unless one is damaged). */
static hs_va peb_from_tebs(const struct hs_process *process)
{
    hs_va best = 0;
    size_t best_votes = 0;

    for (size_t i = 0; i < process->thread_count && i < 64; i++) {
        uint64_t peb, other, self;
        hs_va teb = process->threads[i].teb_va;
        size_t votes = 0;

        if (!teb || !hs_layout_read(process->layout, process->space, teb, HS_FIELD_TEB_PEB, &peb) || !peb ||
            !hs_layout_read(process->layout, process->space, teb, HS_FIELD_TEB_SELF, &self) || self != teb ||
            !hs_space_present(process->space, peb, 1))
            continue;
        for (size_t k = 0; k < process->thread_count && k < 64; k++)
            votes +=
                process->threads[k].teb_va &&
                hs_layout_read(process->layout, process->space, process->threads[k].teb_va, HS_FIELD_TEB_PEB, &other) &&
                other == peb;
        if (votes > best_votes ||
            (votes == best_votes && !looks_like_peb(process, best) && looks_like_peb(process, peb))) {
            best = peb;
            best_votes = votes;
        }
    }
    return best;
}

/* Without TEBs: a page that looks like a PEB, from high addresses down, where Windows puts it. */
static hs_va peb_from_scan(const struct hs_process *process)
{
    uint64_t looked = 0;

    for (size_t i = process->space->range_count; i-- > 0;) {
        const struct hs_range *range = &process->space->ranges[i];
        hs_va page = (range->va + range->size - 1) & ~(hs_va)(PAGE - 1);

        for (;; page -= PAGE) {
            if (page < range->va)
                break;
            if (looks_like_peb(process, page))
                return page;
            if (++looked == PEB_SCAN_PAGES)
                return 0;
            if (page < PAGE)
                break;
        }
    }
    return 0;
}

/* A UNICODE_STRING of the process parameters as escaped text; "" if it cannot be read; NULL when out of memory. */
static const char *parameter_text(struct hs_process *process, hs_va va)
{
    const char *kept;
    struct hs_text text;
    uint64_t size, buffer;
    uint8_t *bytes;

    if (!hs_layout_read(process->layout, process->space, va, HS_FIELD_UNICODE_STRING_LENGTH, &size) ||
        !hs_layout_read(process->layout, process->space, va, HS_FIELD_UNICODE_STRING_BUFFER, &buffer) || size == 0 ||
        buffer == 0)
        return "";
    if (size > PARAMETER_SIZE_MAX)
        size = PARAMETER_SIZE_MAX;
    bytes = malloc(size);
    if (!bytes)
        return NULL;
    size = hs_space_read(process->space, buffer, bytes, size);
    hs_text_init(&text);
    hs_text_add_utf16(&text, bytes, size / 2);
    free(bytes);
    kept = text.failed ? NULL : hs_arena_string(&process->arena, text.bytes ? text.bytes : "");
    hs_text_deinit(&text);
    return kept;
}

static enum hs_status read_peb(struct hs_process *process, struct hs_error *err)
{
    struct hs_facts *facts = &process->facts;
    uint64_t value;

    facts->command_line = "";
    facts->peb_va = peb_from_tebs(process);
    facts->peb_source = HS_PEB_FROM_TEB;
    if (!facts->peb_va) {
        facts->peb_va = peb_from_scan(process);
        facts->peb_source = facts->peb_va ? HS_PEB_FROM_SCAN : HS_PEB_NONE;
        hs_notes_add(process->notes,
                     facts->peb_va ? "no thread leads to the process environment block: found by its contents at "
                                     "0x%" PRIx64
                                   : "the process environment block was not found: neither threads nor memory lead "
                                     "to it",
                     facts->peb_va);
    }
    if (!facts->peb_va)
        return HS_OK;
    if (peb_field(process, facts->peb_va, HS_FIELD_PEB_NT_GLOBAL_FLAG, &value)) {
        facts->has_global_flag = true;
        facts->global_flag = (uint32_t)value;
    }
    if (peb_field(process, facts->peb_va, HS_FIELD_PEB_PROCESS_PARAMETERS, &value) && value) {
        facts->command_line =
            parameter_text(process, value + hs_layout_off(process->layout, HS_FIELD_PARAMETERS_COMMAND_LINE));
        if (!facts->command_line)
            return hs_fail_memory(err, "the command line");
    }
    return HS_OK;
}

/* Regions of the dump's list with what the dump holds of each; without a list, one for each run of memory. */
static enum hs_status init_regions(struct hs_process *process, struct hs_error *err)
{
    const struct hs_file *file = process->file;
    const struct hs_space *space = process->space;
    size_t count = file->has_regions ? file->region_count : space->range_count;

    process->regions = hs_arena_alloc(&process->arena, count, sizeof *process->regions);
    if (!process->regions)
        return hs_fail_memory(err, "the regions");
    process->region_count = count;
    for (size_t i = 0; i < count; i++) {
        struct hs_region *region = &process->regions[i];

        if (file->has_regions) {
            *region = file->regions[i];
        } else {
            size_t module = hs_process_module_at(process, space->ranges[i].va);

            *region = (struct hs_region){
                .va = space->ranges[i].va,
                .size = space->ranges[i].size,
                .state = 0x1000,
                .type = module == SIZE_MAX ? 0 : 0x1000000,
                .allocation_va = module == SIZE_MAX ? 0 : process->modules[module].facts.base,
            };
        }
        region->present_size = region->state == 0x10000 ? 0 : hs_space_present(space, region->va, region->size);
    }
    if (!file->has_regions)
        hs_notes_add(process->notes, "the dump has no MemoryInfoList: protection and free memory are not known, "
                                     "regions are what the dump holds");
    return HS_OK;
}

size_t hs_process_region_at(const struct hs_process *process, hs_va va)
{
    size_t idx = hs_sorted_find(process->regions, process->region_count, sizeof *process->regions,
                                offsetof(struct hs_region, va), va);

    return idx != SIZE_MAX && va - process->regions[idx].va < process->regions[idx].size ? idx : SIZE_MAX;
}

static enum hs_status init_facts(struct hs_process *process, struct hs_error *err)
{
    const struct hs_file *file = process->file;
    struct hs_facts *facts = &process->facts;
    char windows[48];

    *facts = (struct hs_facts){
        .arch = file->arch,
        .pointer_size = process->space->pointer_size,
        .windows_major = file->windows_major,
        .windows_minor = file->windows_minor,
        .windows_build = file->windows_build,
        .service_pack = file->service_pack,
        .processor_count = file->processor_count,
        .dump_time = file->time,
        .dump_flags = file->flags,
        .file_size = file->map.size,
        .full_memory = file->full_memory,
        .cut = file->cut,
        .has_process_id = file->has_process_id,
        .has_process_times = file->has_process_times,
        .process_id = file->process_id,
        .create_time = file->create_time,
        .user_time = file->user_time,
        .kernel_time = file->kernel_time,
        .comment = file->comment,
        .has_exception = file->has_exception,
        .exception_thread_id = file->exception_thread_id,
        .exception_code = file->exception_code,
        .exception_va = file->exception_va,
        .image_name = "",
        .image_path = "",
        .command_line = "",
    };
    snprintf(windows, sizeof windows, "%" PRIu32 ".%" PRIu32 ".%" PRIu32, file->windows_major, file->windows_minor,
             file->windows_build);
    facts->windows = hs_arena_string(&process->arena, windows);
    if (!facts->windows)
        return hs_fail_memory(err, "the Windows version");
    if (process->module_count) {
        facts->image_path = process->modules[0].facts.path;
        facts->image_name = facts->image_path;
        for (const char *p = facts->image_path; *p; p++)
            if (*p == '\\' || *p == '/')
                facts->image_name = p + 1;
    }
    facts->wow64 = file->arch == HS_ARCH_X64 && hs_process_module_named(process, "wow64") != SIZE_MAX;
    return HS_OK;
}

enum hs_status hs_process_init(struct hs_process *process, const struct hs_file *file, const struct hs_space *space,
                               struct hs_notes *notes, struct hs_error *err)
{
    enum hs_status status;

    memset(process, 0, sizeof *process);
    process->file = file;
    process->space = space;
    process->notes = notes;
    process->layout = hs_layout_get(space->pointer_size);
    hs_arena_init(&process->arena);
    pthread_mutex_init(&process->lock, NULL);

    if ((status = hs_process_init_modules(process, err)) != HS_OK || (status = init_facts(process, err)) != HS_OK ||
        (status = hs_process_init_threads(process, err)) != HS_OK || (status = read_peb(process, err)) != HS_OK ||
        (status = init_regions(process, err)) != HS_OK)
        hs_process_deinit(process);
    return status;
}

void hs_process_deinit(struct hs_process *process)
{
    hs_process_deinit_modules(process);
    pthread_mutex_destroy(&process->lock);
    hs_arena_deinit(&process->arena);
    memset(process, 0, sizeof *process);
}
