/* ust_xp.c - the stack trace database of Windows XP and 2003.
 *
 * Entries grow up from the start of the database, an array of pointers to them grows down from its end: the pointer to
 * entry i stands at EntryIndexArray - pointer size * i. Nothing in it is believed before it has been checked. */
#include "trace/trace.h"

#include <inttypes.h>

#define ENTRIES_MAX (1u << 24) /* 16 million traces: a database of 1 GiB and more */
#define SAMPLES 32u            /* entries that are looked at to tell a database from something else */
#define GLOBAL_FLAG_UST 0x1000u
#define STOP_ENTRIES 0x4000u /* entries between two looks at the job */

static bool field(const struct hs_process *process, hs_va va, enum hs_field id, uint64_t *value_ret)
{
    return hs_layout_read(process->layout, process->space, va, id, value_ret);
}

/* The fields of the database at `va`; false if some are not in the dump or cannot be those of a database. */
static bool read_header(const struct hs_process *process, hs_va va, struct hs_traces_info *info)
{
    uint64_t precommitted, dumping, added, buckets;

    if (!field(process, va, HS_FIELD_DATABASE_BUCKET_COUNT, &buckets) || buckets == 0 || buckets > 0x100000 ||
        !field(process, va, HS_FIELD_DATABASE_ADDED, &added) || added == 0 || added > UINT32_MAX ||
        !field(process, va, HS_FIELD_DATABASE_INDEX_ARRAY, &info->index_array_va) ||
        info->index_array_va % process->space->pointer_size || info->index_array_va <= va ||
        !field(process, va, HS_FIELD_DATABASE_COMMIT_BASE, &info->commit_va) ||
        info->commit_va >= info->index_array_va || !field(process, va, HS_FIELD_DATABASE_ACQUIRE, &info->acquire_va) ||
        !field(process, va, HS_FIELD_DATABASE_RELEASE, &info->release_va) ||
        !field(process, va, HS_FIELD_DATABASE_OKAY, &info->okay_va) ||
        !field(process, va, HS_FIELD_DATABASE_PRECOMMITTED, &precommitted) ||
        !field(process, va, HS_FIELD_DATABASE_DUMP_IN_PROGRESS, &dumping) ||
        !field(process, va, HS_FIELD_DATABASE_LOWER_LIMIT, &info->lower_limit_va) ||
        !field(process, va, HS_FIELD_DATABASE_UPPER_LIMIT, &info->upper_limit_va) ||
        !field(process, va, HS_FIELD_DATABASE_NEXT_LOWER, &info->next_lower_va) ||
        !field(process, va, HS_FIELD_DATABASE_NEXT_UPPER, &info->next_upper_va) ||
        !field(process, va, HS_FIELD_DATABASE_LOOKED_UP, &info->looked_up))
        return false;
    info->va = va;
    info->added = (uint32_t)added;
    info->bucket_count = (uint32_t)buckets;
    info->buckets_va = va + hs_layout_off(process->layout, HS_FIELD_DATABASE_BUCKETS);
    info->precommitted = precommitted != 0;
    info->dump_in_progress = dumping != 0;
    info->index_bits = 16;
    return true;
}

/* Whether the figures of the header agree with each other. */
static bool figures_agree(const struct hs_process *process, const struct hs_traces_info *info)
{
    return info->next_upper_va == info->index_array_va - (uint64_t)info->added * process->space->pointer_size &&
           info->commit_va <= info->next_lower_va && info->next_lower_va <= info->next_upper_va;
}

/* Where the last look-ups of one reader fell. */
struct hints {
    size_t slot, entry;
};

/* Bytes of [va, va + size): mapped ones, or a copy in `buffer` where they cross a border. False if not all are there. */
static bool entry_bytes(const struct hs_space *space, hs_va va, uint64_t size, size_t *hint, uint8_t *buffer,
                        const uint8_t **bytes_ret)
{
    struct hs_span view = hs_space_view_near(space, va, hint);

    *bytes_ret = view.bytes;
    if (view.size >= size)
        return true;
    *bytes_ret = buffer;
    return hs_space_read_all(space, va, buffer, size);
}

/* Everything of an entry but its frames, which are left raw at *frames_ret (in `buffer` or mapped). */
static enum hs_status read_entry(const struct hs_traces *traces, uint32_t index, struct hints *hints,
                                 struct hs_trace *trace, uint8_t *buffer, const uint8_t **frames_ret,
                                 struct hs_error *err)
{
    const struct hs_process *process = traces->process;
    const struct hs_layout *layout = process->layout;
    const unsigned pointer = process->space->pointer_size;
    const uint64_t header_size = hs_layout_off(layout, HS_FIELD_TRACE_FRAMES);
    const hs_va slot = traces->info.index_array_va - (uint64_t)index * pointer;
    const uint8_t *bytes;
    struct hs_span header;

    if (!entry_bytes(process->space, slot, pointer, &hints->slot, buffer, &bytes))
        return hs_fail(err, HS_ERR_UNMAPPED, HS_NO_OFF, slot,
                       "trace %" PRIx32 ": its pointer at %08" PRIx64 " is not in the dump", index, slot);
    trace->va = hs_load_uint(bytes, pointer);
    if (!entry_bytes(process->space, trace->va, header_size, &hints->entry, buffer, &bytes))
        return hs_fail(err, HS_ERR_UNMAPPED, HS_NO_OFF, trace->va,
                       "trace %" PRIx32 ": its entry at %08" PRIx64 " is not in the dump", index, trace->va);
    header = (struct hs_span){bytes, header_size};
    trace->index = index;
    trace->chain_va = hs_layout_load(layout, header, HS_FIELD_TRACE_CHAIN);
    trace->count = (uint32_t)hs_layout_load(layout, header, HS_FIELD_TRACE_COUNT);
    trace->stored = (uint16_t)hs_layout_load(layout, header, HS_FIELD_TRACE_INDEX);
    trace->depth = (uint16_t)hs_layout_load(layout, header, HS_FIELD_TRACE_DEPTH);
    if (trace->depth == 0 || trace->depth > HS_TRACE_DEPTH_MAX || trace->stored != (uint16_t)index)
        return hs_fail(
            err, HS_ERR_FORMAT, HS_NO_OFF, trace->va,
            "trace %" PRIx32 ": the entry at %08" PRIx64 " has Index %04x and Depth %u, expected %04x and 1..%u", index,
            trace->va, (unsigned)trace->stored, (unsigned)trace->depth, (unsigned)(uint16_t)index, HS_TRACE_DEPTH_MAX);
    if (!entry_bytes(process->space, trace->va + header_size, (uint64_t)trace->depth * pointer, &hints->entry, buffer,
                     frames_ret))
        return hs_fail(err, HS_ERR_UNMAPPED, HS_NO_OFF, trace->va + header_size,
                       "trace %" PRIx32 ": the frames of its entry at %08" PRIx64 " are not in the dump", index,
                       trace->va);
    return HS_OK;
}

#define FRAMES_SIZE (HS_TRACE_DEPTH_MAX * 8u) /* of the longest entry, x64 */

enum hs_status hs_traces_get(const struct hs_traces *traces, uint32_t index, struct hs_trace *trace_ret,
                             struct hs_error *err)
{
    const unsigned pointer = traces->process->space->pointer_size;
    struct hs_trace trace = {0};
    struct hints hints = {0};
    uint8_t buffer[FRAMES_SIZE];
    const uint8_t *frames;
    enum hs_status status;

    if (index == 0 || index > traces->info.count)
        return HS_NOT_FOUND;
    status = read_entry(traces, index, &hints, &trace, buffer, &frames, err);
    if (status != HS_OK)
        return status;
    for (size_t i = 0; i < trace.depth; i++)
        trace.frames[i] = pointer == 4 ? hs_load_u32(frames + i * 4u) : hs_load_u64(frames + i * 8u);
    *trace_ret = trace;
    return HS_OK;
}

/* Whether most of some entries spread over the database can be read. */
static bool entries_agree(const struct hs_traces *traces)
{
    uint32_t samples = traces->info.count < SAMPLES ? traces->info.count : SAMPLES;
    uint32_t sound = 0;

    for (uint32_t i = 0; i < samples; i++) {
        struct hs_trace trace;
        uint32_t index = 1 + (uint32_t)((uint64_t)(traces->info.count - 1) * i / (samples > 1 ? samples - 1 : 1));

        sound += hs_traces_get(traces, index, &trace, NULL) == HS_OK;
    }
    return samples > 0 && sound * 2 > samples;
}

/* Whether a database lies at `va`; fills traces->info if so. */
static bool try_database(struct hs_traces *traces, hs_va va)
{
    const struct hs_process *process = traces->process;
    struct hs_traces_info *info = &traces->info;
    uint64_t reachable;

    *info = (struct hs_traces_info){0};
    if (va == 0 || va % process->space->pointer_size || !read_header(process, va, info))
        return false;
    if (process->space->pointer_size == 8) {
        info->unproven = true;
        if (!figures_agree(process, info))
            return false;
    }
    /* The array lies between the database and its end: no more entries than fit there. */
    reachable = (info->index_array_va - info->commit_va) / process->space->pointer_size;
    if (reachable > ENTRIES_MAX)
        reachable = ENTRIES_MAX;
    info->count = info->added < reachable ? info->added : (uint32_t)reachable;
    if (entries_agree(traces))
        return true;
    /* NumberOfEntriesAdded may be the damaged figure: the end of the index array tells the number, too. */
    if (info->next_upper_va >= info->index_array_va || info->next_upper_va < info->commit_va)
        return false;
    reachable = (info->index_array_va - info->next_upper_va) / process->space->pointer_size;
    info->count = reachable < info->count ? (uint32_t)reachable : info->count;
    return info->count > 0 && entries_agree(traces);
}

/* Follows every aligned pointer in the writable sections of ntdll (in all of it if its headers are missing). */
static bool scan_ntdll(struct hs_traces *traces, size_t ntdll)
{
    const struct hs_process *process = traces->process;
    const struct hs_module *module = &process->modules[ntdll].facts;
    const struct hs_image *image = hs_process_image(process, ntdll);
    struct hs_section whole = {.va = module->base, .size = module->size, .writable = true};
    size_t count = image && image->section_count ? image->section_count : 1;
    const unsigned pointer = process->space->pointer_size;

    for (size_t i = 0; i < count; i++) {
        const struct hs_section *section = image && image->section_count ? &image->sections[i] : &whole;
        hs_va end = section->va + section->size;
        hs_va va = (section->va + pointer - 1) / pointer * pointer;

        if (!section->writable)
            continue;
        while (va < end) {
            struct hs_span view = hs_space_view(process->space, va);

            if (view.size < pointer) {
                size_t next = hs_space_range_from(process->space, va + view.size);

                if (next == process->space->range_count || process->space->ranges[next].va >= end)
                    break;
                va = (process->space->ranges[next].va + pointer - 1) / pointer * pointer;
                continue;
            }
            for (; view.size >= pointer && va < end; va += pointer) {
                if (try_database(traces, hs_load_uint(view.bytes, pointer))) {
                    traces->info.pointer_va = va;
                    traces->info.source = HS_TRACES_SCAN;
                    return true;
                }
                view.bytes += pointer;
                view.size -= pointer;
            }
        }
    }
    return false;
}

static bool find_database(struct hs_traces *traces)
{
    const struct hs_process *process = traces->process;
    size_t ntdll = hs_process_module_named(process, "ntdll");
    hs_va pointer_va, va;

    if (hs_process_resolve(process, "ntdll!RtlpStackTraceDataBase", &pointer_va) == HS_OK &&
        hs_space_pointer(process->space, pointer_va, &va) && try_database(traces, va)) {
        traces->info.pointer_va = pointer_va;
        traces->info.source = HS_TRACES_SYMBOL;
        return true;
    }
    return ntdll != SIZE_MAX && scan_ntdll(traces, ntdll);
}

/* Reads every entry once: how many cannot be read, and how many captures the others count. */
static enum hs_status count_entries(struct hs_traces *traces, struct hs_notes *notes, struct hs_job *job)
{
    struct hs_traces_info *info = &traces->info;
    struct hs_error first = {0};
    struct hints hints = {0};
    struct hs_trace trace = {0};
    uint8_t buffer[FRAMES_SIZE];
    const uint8_t *frames = NULL;

    hs_job_start(job, info->count);
    for (uint32_t i = 1; i <= info->count; i++) {
        if (read_entry(traces, i, &hints, &trace, buffer, &frames, info->unreadable ? NULL : &first) == HS_OK)
            info->captures += trace.count;
        else
            info->unreadable++;
        if (i % STOP_ENTRIES == 0) {
            hs_job_advance(job, STOP_ENTRIES);
            if (hs_job_stopped(job))
                return HS_ERR_CANCELLED;
        }
    }
    if (info->unreadable)
        hs_notes_add(notes,
                     "trace database %08" PRIx64 ": %" PRIu32 " of %" PRIu32 " entries cannot be read; the first: %s",
                     info->va, info->unreadable, info->count, first.text);
    return HS_OK;
}

enum hs_status hs_traces_init(struct hs_traces *traces, const struct hs_process *process, struct hs_notes *notes,
                              struct hs_job *job, struct hs_error *err)
{
    struct hs_traces_info *info = &traces->info;
    uint64_t largest;

    *traces = (struct hs_traces){.process = process};
    /* From Vista on blocks and database look different; what they hold is not read by this version. */
    if (process->facts.windows_major > 5) {
        if (process->facts.has_global_flag && (process->facts.global_flag & GLOBAL_FLAG_UST))
            hs_notes_add(notes, "the stack trace database of Windows %s is not read by this version",
                         process->facts.windows);
        return HS_NOT_FOUND;
    }
    if (!find_database(traces)) {
        if (process->facts.has_global_flag && (process->facts.global_flag & GLOBAL_FLAG_UST))
            hs_notes_add(notes, "NtGlobalFlag asks for a stack trace database (ust), but none was found from ntdll's "
                                "writable data");
        return HS_NOT_FOUND;
    }
    if (info->count < info->added)
        hs_notes_add(notes,
                     "trace database %08" PRIx64 ": NumberOfEntriesAdded is %" PRIu32 ", its index array has %" PRIu32,
                     info->va, info->added, info->count);
    else if (!figures_agree(process, info))
        hs_notes_add(notes,
                     "trace database %08" PRIx64 ": its figures do not agree: NextFreeUpperMemory is %08" PRIx64
                     ", expected %08" PRIx64,
                     info->va, info->next_upper_va,
                     info->index_array_va - (uint64_t)info->added * process->space->pointer_size);
    /* Full: what is committed from below and from above has met, and the longest entry does not fit any more. */
    largest = hs_layout_off(process->layout, HS_FIELD_TRACE_FRAMES) +
              (uint64_t)HS_TRACE_DEPTH_MAX * process->space->pointer_size;
    info->full = info->lower_limit_va >= info->upper_limit_va && info->next_lower_va <= info->lower_limit_va &&
                 info->lower_limit_va - info->next_lower_va < largest;
    info->wraps = info->count >> info->index_bits != 0;
    if (count_entries(traces, notes, job) != HS_OK)
        return hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while reading the trace database");
    return HS_OK;
}

const struct hs_traces_info *hs_traces_info(const struct hs_traces *traces)
{
    return &traces->info;
}

uint32_t hs_traces_candidate_count(const struct hs_traces *traces, uint16_t stored)
{
    uint32_t count = traces->info.count;
    uint32_t with_zero = count >= stored ? ((count - stored) >> traces->info.index_bits) + 1 : 0;

    return stored == 0 ? with_zero - 1 : with_zero;
}

uint32_t hs_traces_candidate(const struct hs_traces *traces, uint16_t stored, uint32_t idx)
{
    if (idx >= hs_traces_candidate_count(traces, stored))
        return 0;
    return stored + ((stored == 0 ? idx + 1 : idx) << traces->info.index_bits);
}
