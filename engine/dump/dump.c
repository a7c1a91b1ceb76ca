/* dump.c - opens a dump and builds each part of it once, when it is asked for. */
#include "dump/dump.h"

#include <heapsift/heapsift.h>

#include <inttypes.h>
#include <stdlib.h>

const char *hs_version(void)
{
    return HEAPSIFT_VERSION;
}

/* The memory runs of the file as ranges of the address space. */
static enum hs_status init_space(struct hs_dump *dump, struct hs_error *err)
{
    const struct hs_file *file = dump->file;
    struct hs_range *ranges = calloc(file->run_count + 1, sizeof *ranges);
    enum hs_status status;

    if (!ranges)
        return hs_fail_memory(err, "the table of memory ranges");
    for (size_t i = 0; i < file->run_count; i++)
        ranges[i] = (struct hs_range){file->runs[i].va, file->runs[i].size, file->map.bytes + file->runs[i].file_off};
    status = hs_space_init(&dump->space, ranges, file->run_count, file->arch == HS_ARCH_X64 ? 8 : 4, err);
    free(ranges);
    return status;
}

static enum hs_status open_rooms(struct hs_dump *dump, struct hs_error *err)
{
    enum hs_arch arch = dump->file->arch;
    enum hs_status status;

    if (arch != HS_ARCH_X86 && arch != HS_ARCH_X64)
        return hs_fail(err, HS_ERR_UNSUPPORTED, HS_NO_OFF, HS_NO_VA,
                       "a dump of a process on %s: heapsift reads x86 and x64", hs_arch_name(arch));
    status = init_space(dump, err);
    if (status == HS_OK)
        status = hs_process_init(&dump->process, dump->file, &dump->space, &dump->notes, err);
    return status;
}

/* `open` fills dump->file. */
static enum hs_status open_dump(const struct hs_open_options *options, struct hs_dump **dump_ret, struct hs_error *err,
                                const char *path, const struct hs_span *bytes)
{
    struct hs_dump *dump = calloc(1, sizeof *dump);
    enum hs_status status;

    if (!dump)
        return hs_fail_memory(err, "the dump");
    hs_notes_init(&dump->notes);
    pthread_mutex_init(&dump->lock, NULL);
    dump->thread_count = options && options->thread_count ? options->thread_count : hs_processor_count();
    status = bytes ? hs_file_open_bytes(path, *bytes, &dump->notes, &dump->file, err)
                   : hs_file_open(path, &dump->notes, &dump->file, err);
    if (status == HS_OK && options && options->name) {
        dump->file->path = hs_arena_string(&dump->file->arena, options->name);
        if (!dump->file->path)
            status = hs_fail_memory(err, "the name of the dump");
    }
    if (status == HS_OK)
        status = open_rooms(dump, err);
    if (status == HS_OK && options && options->symbol_path)
        status = hs_process_set_symbol_path(&dump->process, options->symbol_path, err);
    if (status != HS_OK) {
        hs_dump_close(dump);
        return status;
    }
    *dump_ret = dump;
    return HS_OK;
}

enum hs_status hs_dump_open(const char *path, const struct hs_open_options *options, struct hs_dump **dump_ret,
                            struct hs_error *err)
{
    return open_dump(options, dump_ret, err, path, NULL);
}

enum hs_status hs_dump_open_bytes(const char *name, const void *bytes, size_t size,
                                  const struct hs_open_options *options, struct hs_dump **dump_ret,
                                  struct hs_error *err)
{
    struct hs_span span = {bytes, size};

    return open_dump(options, dump_ret, err, name, &span);
}

void hs_dump_close(struct hs_dump *dump)
{
    if (!dump)
        return;
    if (dump->has_blocks)
        hs_blocks_deinit(&dump->blocks);
    if (dump->has_heaps)
        hs_heaps_deinit(&dump->heaps);
    if (dump->process.file)
        hs_process_deinit(&dump->process);
    free(dump->scan);
    if (dump->columns)
        dump->columns_destroy(dump->columns);
    free(dump->caller_ranges);
    free(dump->caller_modules);
    free(dump->block_traces);
    hs_space_deinit(&dump->space);
    hs_file_close(dump->file);
    hs_notes_deinit(&dump->notes);
    pthread_mutex_destroy(&dump->lock);
    free(dump);
}

/* ---- parts that are built on demand ---- */

/* Under the lock. */
static enum hs_status need_heaps(struct hs_dump *dump, struct hs_error *err)
{
    enum hs_status status = HS_OK;

    if (!dump->has_heaps) {
        status = hs_heaps_init(&dump->heaps, &dump->process, &dump->notes, err);
        dump->has_heaps = status == HS_OK;
    }
    return status;
}

enum hs_status hs_dump_heaps(struct hs_dump *dump, size_t *count_ret, struct hs_error *err)
{
    enum hs_status status;

    pthread_mutex_lock(&dump->lock);
    status = need_heaps(dump, err);
    pthread_mutex_unlock(&dump->lock);
    if (status == HS_OK)
        *count_ret = dump->heaps.count;
    return status;
}

enum hs_status hs_dump_blocks(struct hs_dump *dump, struct hs_job *job, const struct hs_blocks **blocks_ret,
                              struct hs_error *err)
{
    enum hs_status status;

    pthread_mutex_lock(&dump->lock);
    status = need_heaps(dump, err);
    if (status == HS_OK && !dump->has_blocks) {
        status = hs_blocks_init(&dump->blocks, &dump->heaps, dump->thread_count, &dump->notes, job, err);
        dump->has_blocks = status == HS_OK;
    }
    pthread_mutex_unlock(&dump->lock);
    if (status == HS_OK)
        *blocks_ret = &dump->blocks;
    return status;
}

enum hs_status hs_dump_traces(struct hs_dump *dump, struct hs_job *job, const struct hs_traces **traces_ret,
                              struct hs_error *err)
{
    enum hs_status status = HS_OK;

    pthread_mutex_lock(&dump->lock);
    if (!dump->looked_for_traces) {
        status = hs_traces_init(&dump->traces, &dump->process, &dump->notes, job, err);
        dump->has_traces = status == HS_OK;
        if (status == HS_NOT_FOUND)
            status = HS_OK;
        dump->looked_for_traces = status == HS_OK;
    }
    pthread_mutex_unlock(&dump->lock);
    if (status == HS_OK)
        *traces_ret = dump->has_traces ? &dump->traces : NULL;
    return status;
}

/* ---- what the rooms know, under the names of the public headers ---- */

const char *hs_dump_path(const struct hs_dump *dump)
{
    return dump->file->path;
}

const struct hs_facts *hs_dump_facts(const struct hs_dump *dump)
{
    return &dump->process.facts;
}

size_t hs_dump_note_count(const struct hs_dump *dump)
{
    return hs_notes_lines(&dump->notes);
}

const char *hs_dump_note(const struct hs_dump *dump, size_t idx)
{
    return hs_notes_line((struct hs_notes *)(uintptr_t)&dump->notes, idx);
}

enum hs_status hs_dump_read(const struct hs_dump *dump, hs_va va, void *bytes_ret, size_t size, size_t *read_ret,
                            struct hs_error *err)
{
    size_t held = (size_t)hs_space_read(&dump->space, va, bytes_ret, size);

    if (read_ret)
        *read_ret = held;
    if (held == size)
        return HS_OK;
    return hs_fail(err, HS_ERR_UNMAPPED, HS_NO_OFF, va + held, "the dump holds no memory at %08" PRIx64, va + held);
}

enum hs_status hs_dump_view(const struct hs_dump *dump, hs_va va, const void **bytes_ret, uint64_t *size_ret)
{
    struct hs_span view = hs_space_view(&dump->space, va);

    if (!view.size)
        return HS_NOT_FOUND;
    *bytes_ret = view.bytes;
    *size_ret = view.size;
    return HS_OK;
}

enum hs_status hs_dump_find(const struct hs_dump *dump, const void *pattern, size_t size, hs_va from, hs_va to,
                            uint64_t align, struct hs_job *job, hs_va *va_ret, struct hs_error *err)
{
    enum hs_status status = hs_space_find(&dump->space, pattern, size, from, to, align, job, va_ret);

    if (status == HS_ERR_CANCELLED)
        return hs_fail(err, status, HS_NO_OFF, HS_NO_VA, "stopped while searching memory");
    return status == HS_ERR_MEMORY ? hs_fail_memory(err, "the search") : status;
}

size_t hs_dump_region_count(const struct hs_dump *dump)
{
    return dump->process.region_count;
}

const struct hs_region *hs_dump_region(const struct hs_dump *dump, size_t idx)
{
    return idx < dump->process.region_count ? &dump->process.regions[idx] : NULL;
}

const struct hs_region *hs_dump_region_at(const struct hs_dump *dump, hs_va va)
{
    return hs_dump_region(dump, hs_process_region_at(&dump->process, va));
}

size_t hs_dump_module_count(const struct hs_dump *dump)
{
    return dump->process.module_count;
}

const struct hs_module *hs_dump_module(const struct hs_dump *dump, size_t idx)
{
    return idx < dump->process.module_count ? &dump->process.modules[idx].facts : NULL;
}

enum hs_status hs_dump_module_at(const struct hs_dump *dump, hs_va va, size_t *idx_ret)
{
    size_t idx = hs_process_module_at(&dump->process, va);

    if (idx == SIZE_MAX)
        return HS_NOT_FOUND;
    *idx_ret = idx;
    return HS_OK;
}

enum hs_status hs_dump_module_named(const struct hs_dump *dump, const char *name, size_t *idx_ret)
{
    size_t idx = hs_process_module_named(&dump->process, name);

    if (idx == SIZE_MAX)
        return HS_NOT_FOUND;
    *idx_ret = idx;
    return HS_OK;
}

size_t hs_dump_unloaded_count(const struct hs_dump *dump)
{
    return dump->file->unloaded_count;
}

const struct hs_unloaded_module *hs_dump_unloaded(const struct hs_dump *dump, size_t idx)
{
    return idx < dump->file->unloaded_count ? &dump->file->unloaded[idx] : NULL;
}

/* The image of a module; NULL past the last module (or out of memory: then it has nothing to tell). */
static const struct hs_image *image_of(const struct hs_dump *dump, size_t module_idx)
{
    return module_idx < dump->process.module_count ? hs_process_image(&dump->process, module_idx) : NULL;
}

size_t hs_dump_section_count(const struct hs_dump *dump, size_t module_idx)
{
    const struct hs_image *image = image_of(dump, module_idx);

    return image ? image->section_count : 0;
}

const struct hs_section *hs_dump_section(const struct hs_dump *dump, size_t module_idx, size_t idx)
{
    const struct hs_image *image = image_of(dump, module_idx);

    return image && idx < image->section_count ? &image->sections[idx] : NULL;
}

size_t hs_dump_export_count(const struct hs_dump *dump, size_t module_idx)
{
    const struct hs_image *image = image_of(dump, module_idx);

    return image ? image->export_count : 0;
}

const struct hs_export *hs_dump_export(const struct hs_dump *dump, size_t module_idx, size_t idx)
{
    const struct hs_image *image = image_of(dump, module_idx);

    return image && idx < image->export_count ? &image->exports[idx] : NULL;
}

enum hs_status hs_dump_symbol(const struct hs_dump *dump, hs_va va, struct hs_symbol *symbol_ret)
{
    return hs_process_symbol(&dump->process, va, symbol_ret);
}

const char *hs_symbol_source_name(enum hs_symbol_source source)
{
    switch (source) {
    case HS_SYMBOLS_EXPORTS: return "exports";
    case HS_SYMBOLS_PDB: return "pdb";
    case HS_SYMBOLS_NONE: break;
    }
    return "none";
}

enum hs_symbol_source hs_dump_symbol_source(const struct hs_dump *dump, size_t module_idx, const char **path_ret)
{
    enum hs_symbol_source source = HS_SYMBOLS_NONE;
    const char *path = NULL;

    if (module_idx < dump->process.module_count) {
        source = hs_process_symbol_source(&dump->process, module_idx);
        path = dump->process.modules[module_idx].pdb_path;
    }
    if (path_ret)
        *path_ret = path ? path : "";
    return source;
}

enum hs_status hs_dump_set_symbol_path(struct hs_dump *dump, const char *path, struct hs_error *err)
{
    return hs_process_set_symbol_path(&dump->process, path, err);
}

const char *hs_dump_symbol_path(const struct hs_dump *dump)
{
    return dump->process.symbol_path ? dump->process.symbol_path : "";
}

enum hs_status hs_dump_next_symbol(const struct hs_dump *dump, size_t module_idx, struct hs_symbol_cursor *cursor,
                                   struct hs_symbol *symbol_ret)
{
    if (module_idx >= dump->process.module_count)
        return HS_NOT_FOUND;
    return hs_process_next_symbol(&dump->process, module_idx, cursor, symbol_ret);
}

size_t hs_symbol_text(const struct hs_dump *dump, const struct hs_symbol *symbol, enum hs_symbol_style style,
                      char *text_ret, size_t size)
{
    return hs_process_symbol_text(&dump->process, symbol, style, text_ret, size);
}

enum hs_status hs_dump_resolve(const struct hs_dump *dump, const char *text, hs_va *va_ret)
{
    return hs_process_resolve(&dump->process, text, va_ret);
}

size_t hs_dump_thread_count(const struct hs_dump *dump)
{
    return dump->process.thread_count;
}

const struct hs_thread *hs_dump_thread(const struct hs_dump *dump, size_t idx)
{
    return idx < dump->process.thread_count ? &dump->process.threads[idx] : NULL;
}

enum hs_status hs_dump_register(const struct hs_dump *dump, size_t thread_idx, unsigned idx,
                                struct hs_register *register_ret)
{
    return hs_process_register(&dump->process, thread_idx, idx, register_ret);
}

const struct hs_heap *hs_dump_heap(const struct hs_dump *dump, size_t idx)
{
    return dump->has_heaps && idx < dump->heaps.count ? &dump->heaps.heaps[idx] : NULL;
}

enum hs_heap_list hs_dump_heap_list(const struct hs_dump *dump)
{
    return dump->has_heaps ? dump->heaps.list : HS_HEAP_LIST_MISSING;
}

size_t hs_dump_segment_count(const struct hs_dump *dump, size_t heap_idx)
{
    return dump->has_heaps && heap_idx < dump->heaps.count
               ? dump->heaps.first_segment[heap_idx + 1] - dump->heaps.first_segment[heap_idx]
               : 0;
}

const struct hs_segment *hs_dump_segment(const struct hs_dump *dump, size_t heap_idx, size_t idx)
{
    return idx < hs_dump_segment_count(dump, heap_idx)
               ? &dump->heaps.segments[dump->heaps.first_segment[heap_idx] + idx].facts
               : NULL;
}

enum hs_status hs_dump_heap_named(const struct hs_dump *dump, hs_va va, size_t *idx_ret)
{
    if (!dump->has_heaps)
        return HS_NOT_FOUND;
    for (size_t i = 0; i < dump->heaps.count; i++) {
        if (dump->heaps.heaps[i].va == va || (va < dump->heaps.count && i == va)) {
            *idx_ret = i;
            return HS_OK;
        }
    }
    return HS_NOT_FOUND;
}
