/* memory.c - MemoryList, Memory64List and MemoryInfoList: which memory the process had and where its bytes lie.
 *
 * Layouts: MINIDUMP_MEMORY_LIST, MINIDUMP_MEMORY64_LIST, MINIDUMP_MEMORY_INFO_LIST of minidumpapiset.h. */
#include "file/memory.h"

#include <inttypes.h>
#include <stdlib.h>

#define RUNS_MAX (1u << 22) /* real dumps have below 100,000 */

static enum hs_status reserve_runs(struct hs_file *file, uint64_t *more, const char *what, struct hs_error *err)
{
    struct hs_run *runs;

    if (*more > RUNS_MAX - file->run_count) {
        hs_notes_add(file->notes, "%s: %" PRIu64 " entries, only %u are read", what, *more,
                     RUNS_MAX - (unsigned)file->run_count);
        *more = RUNS_MAX - file->run_count;
    }
    if (*more == 0)
        return HS_OK;
    runs = realloc(file->runs, (file->run_count + *more) * sizeof *runs);
    if (!runs)
        return hs_fail_memory(err, "the list of memory runs");
    file->runs = runs;
    return HS_OK;
}

/* Adds a run clipped to the file and to the address space; returns the bytes that the file lacks. */
static uint64_t add_run(struct hs_file *file, uint64_t va, uint64_t size, uint64_t file_off)
{
    uint64_t held = file_off < file->map.size ? file->map.size - file_off : 0;
    uint64_t missing = size > held ? size - held : 0;
    struct hs_run run = {hs_file_va(file, va), size - missing, file_off};
    uint64_t room = file->arch == HS_ARCH_X86 ? 0x100000000u - run.va : UINT64_MAX - run.va;

    if (run.size > room)
        run.size = room;
    if (run.size)
        file->runs[file->run_count++] = run;
    return missing;
}

static void note_missing(struct hs_file *file, const char *what, uint64_t missing)
{
    if (!missing)
        return;
    file->cut = true;
    hs_notes_add(file->notes, "%s: the file ends 0x%" PRIx64 " bytes (%" PRIu64 " MiB) before the memory it lists",
                 what, missing, missing >> 20);
}

enum hs_status hs_memory_read_list(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    uint32_t declared;
    uint64_t count, off = 4, missing = 0;
    enum hs_status status;

    if (!hs_span_u32(stream->bytes, 0, &declared))
        return HS_OK;
    if (stream->bytes.size == 8 + (uint64_t)declared * 16) /* some writers align the array to 8 */
        off = 8;
    count = hs_stream_count(file, stream, "MemoryList", off, declared, 16);
    status = reserve_runs(file, &count, "MemoryList", err);
    for (uint64_t i = 0; status == HS_OK && i < count; i++) {
        const uint8_t *entry = stream->bytes.bytes + off + i * 16;
        missing += add_run(file, hs_load_u64(entry), hs_load_u32(entry + 8), hs_load_u32(entry + 12));
    }
    note_missing(file, "MemoryList", missing);
    return status;
}

enum hs_status hs_memory_read_list64(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    uint64_t declared, file_off, count, missing = 0;
    enum hs_status status;

    file->full_memory = true;
    if (!hs_span_u64(stream->bytes, 0, &declared) || !hs_span_u64(stream->bytes, 8, &file_off))
        return HS_OK;
    count = hs_stream_count(file, stream, "Memory64List", 16, declared, 16);
    status = reserve_runs(file, &count, "Memory64List", err);
    for (uint64_t i = 0; status == HS_OK && i < count; i++) {
        const uint8_t *entry = stream->bytes.bytes + 16 + i * 16;
        uint64_t size = hs_load_u64(entry + 8);
        uint64_t lacking = add_run(file, hs_load_u64(entry), size, file_off);

        missing = missing + lacking < missing ? UINT64_MAX : missing + lacking;
        if (!hs_add_u64(file_off, size, &file_off))
            file_off = UINT64_MAX;
    }
    note_missing(file, "Memory64List", missing);
    return status;
}

enum hs_status hs_memory_read_infos(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    uint32_t header_size, entry_size;
    uint64_t declared, count;

    if (!hs_span_u32(stream->bytes, 0, &header_size) || !hs_span_u32(stream->bytes, 4, &entry_size) ||
        !hs_span_u64(stream->bytes, 8, &declared))
        return HS_OK;
    if (header_size < 16 || entry_size < 48) {
        hs_notes_add(file->notes,
                     "MemoryInfoList at offset 0x%" PRIx64 ": header of %" PRIu32 " and entries of %" PRIu32
                     " bytes, expected at least 16 and 48; not used",
                     stream->file_off, header_size, entry_size);
        return HS_OK;
    }
    count = hs_stream_count(file, stream, "MemoryInfoList", header_size, declared, entry_size);
    if (count > RUNS_MAX) {
        hs_notes_add(file->notes, "MemoryInfoList: %" PRIu64 " entries, only %u are read", count, RUNS_MAX);
        count = RUNS_MAX;
    }
    if (count == 0)
        return HS_OK;
    file->regions = hs_arena_alloc(&file->arena, count, sizeof *file->regions);
    if (!file->regions)
        return hs_fail_memory(err, "the list of regions");
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *entry = stream->bytes.bytes + header_size + i * entry_size;
        struct hs_region region = {
            .va = hs_file_va(file, hs_load_u64(entry)),
            .allocation_va = hs_file_va(file, hs_load_u64(entry + 8)),
            .allocation_protect = hs_load_u32(entry + 16),
            .size = hs_load_u64(entry + 24),
            .state = hs_load_u32(entry + 32),
            .protect = hs_load_u32(entry + 36),
            .type = hs_load_u32(entry + 40),
        };
        uint64_t room = file->arch == HS_ARCH_X86 ? 0x100000000u - region.va : UINT64_MAX - region.va;

        if (region.size > room)
            region.size = room;
        if (region.size)
            file->regions[file->region_count++] = region;
    }
    file->has_regions = file->region_count > 0;
    return HS_OK;
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_runs(const void *a, const void *b)
{
    const struct hs_run *one = a, *two = b;
    int order = compare_u64(one->va, two->va);

    return order ? order : compare_u64(one->file_off, two->file_off);
}

static int compare_regions(const void *a, const void *b)
{
    const struct hs_region *one = a, *two = b;
    int order = compare_u64(one->va, two->va);

    return order ? order : compare_u64(two->size, one->size);
}

void hs_memory_settle(struct hs_file *file)
{
    uint64_t overlap = 0;
    size_t kept = 0;
    hs_va end = 0;

    if (file->run_count)
        qsort(file->runs, file->run_count, sizeof *file->runs, compare_runs);
    for (size_t i = 0; i < file->run_count; i++) {
        struct hs_run run = file->runs[i];

        if (kept && run.va < end) {
            uint64_t cut = end - run.va < run.size ? end - run.va : run.size;

            overlap += cut;
            run.va += cut;
            run.file_off += cut;
            run.size -= cut;
        }
        if (!run.size)
            continue;
        end = run.va + run.size;
        file->runs[kept++] = run;
    }
    file->run_count = kept;
    /* A full dump may list thread stacks a second time in MemoryList: the same bytes, nothing to tell. */
    if (overlap && !file->full_memory)
        hs_notes_add(file->notes, "memory lists: 0x%" PRIx64 " bytes are listed more than once, the first is used",
                     overlap);

    overlap = 0;
    kept = 0;
    end = 0;
    if (file->region_count)
        qsort(file->regions, file->region_count, sizeof *file->regions, compare_regions);
    for (size_t i = 0; i < file->region_count; i++) {
        struct hs_region region = file->regions[i];

        if (kept && region.va < end) {
            uint64_t cut = end - region.va < region.size ? end - region.va : region.size;

            overlap += cut;
            region.va += cut;
            region.size -= cut;
        }
        if (!region.size)
            continue;
        end = region.va + region.size;
        file->regions[kept++] = region;
    }
    file->region_count = kept;
    if (overlap)
        hs_notes_add(file->notes, "MemoryInfoList: regions overlap by 0x%" PRIx64 " bytes, the lower one is used",
                     overlap);
}
