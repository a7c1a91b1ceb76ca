/* nt.c - an NT heap of Windows XP and 2003 as its headers describe it: segments, uncommitted ranges, large blocks.
 *
 * Headers of different lengths occur (with and without a lock): nothing is assumed behind _HEAP but what Segments[0]
 * and FirstEntry say. */
#include "heap/nt.h"

#include <inttypes.h>
#include <stdlib.h>

#define PAGE 0x1000u
#define SEGMENTS_MAX 64u /* elements of _HEAP.Segments */
#define SEGMENT_SIGNATURE 0xffeeffeeu
#define LARGE_MAX 0x100000u       /* steps along VirtualAllocdBlocks */
#define UNCOMMITTED_MAX 0x100000u /* steps along one UnCommittedRanges list */

/* An uncommitted range of a segment. */
struct hole {
    hs_va va;
    uint64_t size;
};

static int compare_holes(const void *a, const void *b)
{
    const struct hole *one = a, *two = b;

    return one->va < two->va ? -1 : one->va > two->va;
}

static bool field(const struct hs_heaps *heaps, hs_va va, enum hs_field id, uint64_t *value_ret)
{
    return hs_layout_read(heaps->process->layout, heaps->process->space, va, id, value_ret);
}

/* First address that user memory cannot have. */
static uint64_t address_limit(const struct hs_space *space)
{
    return space->pointer_size == 4 ? 0x100000000u : 0x800000000000u;
}

static uint64_t field_or_zero(const struct hs_heaps *heaps, hs_va va, enum hs_field id)
{
    uint64_t value;

    return field(heaps, va, id, &value) ? value : 0;
}

static void read_header(struct hs_heaps *heaps, size_t heap_idx)
{
    struct hs_heap *heap = &heaps->heaps[heap_idx];
    uint64_t type = field_or_zero(heaps, heap->va, HS_FIELD_HEAP_FRONT_END_TYPE);
    uint64_t lock = field_or_zero(heaps, heap->va, HS_FIELD_HEAP_LOCK);
    uint64_t front_end = field_or_zero(heaps, heap->va, HS_FIELD_HEAP_FRONT_END);
    uint64_t debug, contention;

    heap->flags = (uint32_t)field_or_zero(heaps, heap->va, HS_FIELD_HEAP_FLAGS);
    heap->force_flags = (uint32_t)field_or_zero(heaps, heap->va, HS_FIELD_HEAP_FORCE_FLAGS);
    heap->free_recorded = field_or_zero(heaps, heap->va, HS_FIELD_HEAP_TOTAL_FREE_SIZE) * heaps->unit;
    heap->has_lock = lock != 0;
    if (lock && field(heaps, lock, HS_FIELD_CRITICAL_SECTION_DEBUG, &debug) && debug &&
        field(heaps, debug, HS_FIELD_SECTION_DEBUG_CONTENTION, &contention)) {
        heap->has_contention = true;
        heap->contention_count = (uint32_t)contention;
    }
    if (front_end && type == 1) {
        heap->front_end = HS_FRONT_LOOKASIDE;
        heaps->front_end_va[heap_idx] = front_end;
    } else if (front_end && type == 2) {
        heap->front_end = HS_FRONT_LFH;
        heaps->front_end_va[heap_idx] = front_end;
    }
}

/* The uncommitted ranges of a segment, sorted, inside it, without overlap. */
static enum hs_status read_holes(struct hs_heaps *heaps, const struct hs_segment *segment, uint64_t expected,
                                 struct hole **holes_ret, size_t *count_ret, struct hs_error *err)
{
    hs_va heap_va = heaps->heaps[segment->heap_idx].va;
    hs_va segment_end = segment->base_va + segment->reserved;
    uint64_t budget = segment->reserved / PAGE < UNCOMMITTED_MAX ? segment->reserved / PAGE : UNCOMMITTED_MAX;
    hs_va va = field_or_zero(heaps, segment->va, HS_FIELD_SEGMENT_UNCOMMITTED_RANGES);
    struct hole *holes = NULL, *grown;
    size_t count = 0, capacity = 0, kept = 0;

    for (; va; va = field_or_zero(heaps, va, HS_FIELD_UNCOMMITTED_NEXT)) {
        uint64_t address, size;

        if (count == budget || !field(heaps, va, HS_FIELD_UNCOMMITTED_ADDRESS, &address) ||
            !field(heaps, va, HS_FIELD_UNCOMMITTED_SIZE, &size)) {
            hs_notes_add(heaps->notes,
                         "heap %08" PRIx64 ": the list of uncommitted ranges of segment %08" PRIx64 " %s %08" PRIx64,
                         heap_va, segment->base_va, count == budget ? "does not end; stopped at" : "is lost at", va);
            break;
        }
        if (address < segment->base_va || address >= segment_end || size == 0 || size > segment_end - address ||
            (address | size) % PAGE) {
            hs_notes_add(heaps->notes,
                         "heap %08" PRIx64 ": uncommitted range %08" PRIx64 " + 0x%" PRIx64
                         " is outside of its segment %08" PRIx64 "..%08" PRIx64 " and is left out",
                         heap_va, address, size, segment->base_va, segment_end);
            break;
        }
        grown = hs_grow(holes, count, &capacity, sizeof *holes);
        if (!grown) {
            free(holes);
            return hs_fail_memory(err, "uncommitted ranges");
        }
        holes = grown;
        holes[count++] = (struct hole){address, size};
    }
    if (count)
        qsort(holes, count, sizeof *holes, compare_holes);
    for (size_t i = 0; i < count; i++) {
        if (kept && holes[i].va < holes[kept - 1].va + holes[kept - 1].size)
            hs_notes_add(heaps->notes, "heap %08" PRIx64 ": uncommitted ranges overlap at %08" PRIx64, heap_va,
                         holes[i].va);
        else
            holes[kept++] = holes[i];
    }
    if (kept != expected)
        hs_notes_add(heaps->notes,
                     "heap %08" PRIx64 ": segment %08" PRIx64 " counts %" PRIu64
                     " uncommitted ranges, its list has %zu that make sense",
                     heap_va, segment->base_va, expected, kept);
    *holes_ret = holes;
    *count_ret = kept;
    return HS_OK;
}

/* Extents for [from, to): runs where the dump holds it; where it does not, a hole if the process had no memory there. */
static enum hs_status add_runs(struct hs_heaps *heaps, struct hs_heap_segment *segment, uint32_t segment_idx,
                               hs_va from, hs_va to, struct hs_error *err)
{
    const struct hs_process *process = heaps->process;
    const uint64_t mask = heaps->unit - 1;
    struct hs_extent extent = {.heap_idx = segment->facts.heap_idx, .segment_idx = segment_idx};

    while (from < to) {
        struct hs_span view = hs_space_view(process->space, from);
        enum hs_status status;

        if (view.size) {
            uint64_t skip = (0 - from) & mask;

            if (view.size > to - from)
                view.size = to - from;
            extent.kind = HS_EXTENT_RUN;
            extent.va = from + skip;
            extent.bytes = view.bytes + skip;
            extent.size = view.size > skip ? (view.size - skip) & ~mask : 0;
            from += view.size;
        } else {
            size_t next = hs_space_range_from(process->space, from);
            size_t region = hs_process_region_at(process, from);
            hs_va end = next < process->space->range_count ? process->space->ranges[next].va : to;

            end = end < to ? end : to;
            extent.size = 0;
            if (process->file->has_regions && region != SIZE_MAX && process->regions[region].state != 0x1000) {
                hs_va region_end = process->regions[region].va + process->regions[region].size;

                end = end < region_end ? end : region_end;
                hs_notes_add(heaps->notes,
                             "heap %08" PRIx64 ": %08" PRIx64 "..%08" PRIx64
                             " is not committed although the heap does not list it so",
                             heaps->heaps[segment->facts.heap_idx].va, from, end);
                extent.kind = HS_EXTENT_HOLE;
                extent.va = from;
                extent.bytes = NULL;
                extent.size = end - from;
            }
            from = end;
        }
        if (extent.size) {
            if ((status = hs_heaps_add_extent(heaps, &extent, err)) != HS_OK)
                return status;
            segment->extent_count = heaps->extent_count - segment->first_extent;
        }
    }
    return HS_OK;
}

/* The extents of a segment: its holes, and between them what the dump holds. */
static enum hs_status add_segment_extents(struct hs_heaps *heaps, struct hs_heap_segment *segment, uint32_t segment_idx,
                                          const struct hole *holes, size_t hole_count, struct hs_error *err)
{
    hs_va va = segment->facts.base_va;
    hs_va end = segment->facts.end_va;

    segment->first_extent = heaps->extent_count;
    for (size_t i = 0; i <= hole_count; i++) {
        hs_va stop = i < hole_count ? holes[i].va : end;
        enum hs_status status = add_runs(heaps, segment, segment_idx, va, stop, err);
        struct hs_extent extent = {
            .kind = HS_EXTENT_HOLE, .heap_idx = segment->facts.heap_idx, .segment_idx = segment_idx};

        if (status != HS_OK || i == hole_count)
            return status;
        extent.va = holes[i].va;
        extent.size = holes[i].size;
        if ((status = hs_heaps_add_extent(heaps, &extent, err)) != HS_OK)
            return status;
        segment->extent_count = heaps->extent_count - segment->first_extent;
        va = holes[i].va + holes[i].size;
    }
    return HS_OK;
}

/* Fills the facts of the segment whose record is at `va`; says why not where it is none. */
static const char *read_segment_record(const struct hs_heaps *heaps, hs_va va, struct hs_segment *segment)
{
    hs_va heap_va = heaps->heaps[segment->heap_idx].va;
    uint64_t value, pages, uncommitted, last, limit;

    if (!field(heaps, va, HS_FIELD_SEGMENT_SIGNATURE, &value))
        return "its record is not in the dump";
    if (value != SEGMENT_SIGNATURE)
        return "its record has no segment signature (ffeeffee)";
    if (!field(heaps, va, HS_FIELD_SEGMENT_HEAP, &value) || value != heap_va)
        return "its record belongs to another heap";
    segment->va = va;
    segment->base_va = field_or_zero(heaps, va, HS_FIELD_SEGMENT_BASE);
    pages = field_or_zero(heaps, va, HS_FIELD_SEGMENT_PAGE_COUNT);
    segment->first_entry_va = field_or_zero(heaps, va, HS_FIELD_SEGMENT_FIRST_ENTRY);
    last = field_or_zero(heaps, va, HS_FIELD_SEGMENT_LAST_VALID_ENTRY);
    uncommitted = field_or_zero(heaps, va, HS_FIELD_SEGMENT_UNCOMMITTED_PAGES);
    segment->reserved = pages * PAGE;
    limit = address_limit(heaps->process->space);
    if (segment->base_va % PAGE || segment->base_va > va || pages == 0 || segment->base_va >= limit ||
        segment->reserved > limit - segment->base_va)
        return "its base address or number of pages makes no sense";
    if (segment->first_entry_va <= va || segment->first_entry_va % heaps->unit ||
        segment->first_entry_va - segment->base_va >= segment->reserved || (va - segment->base_va) % heaps->unit)
        return "its first entry lies outside of it";
    segment->end_va = segment->base_va + segment->reserved;
    if (last > segment->first_entry_va && last < segment->end_va && last % PAGE == 0)
        segment->end_va = last;
    segment->uncommitted_size = uncommitted <= pages ? uncommitted * PAGE : 0;
    segment->committed = segment->reserved - segment->uncommitted_size;
    return NULL;
}

static enum hs_status read_segment(struct hs_heaps *heaps, size_t heap_idx, unsigned number, hs_va va,
                                   struct hs_error *err)
{
    struct hs_heap *heap = &heaps->heaps[heap_idx];
    struct hs_heap_segment segment = {.facts = {.heap_idx = (uint32_t)heap_idx}};
    const char *reason = read_segment_record(heaps, va, &segment.facts);
    struct hole *holes = NULL;
    size_t hole_count = 0;
    enum hs_status status;
    hs_va last;

    if (reason)
        heap->unread_segments++;
    for (size_t i = heaps->first_segment[heap_idx]; !reason && i < heaps->segment_count; i++)
        if (heaps->segments[i].facts.base_va == segment.facts.base_va)
            reason = "it is listed twice";
    if (reason) {
        hs_notes_add(heaps->notes, "heap %08" PRIx64 ": segment %u at %08" PRIx64 " is not read: %s", heap->va, number,
                     va, reason);
        return HS_OK;
    }
    status = read_holes(heaps, &segment.facts, field_or_zero(heaps, va, HS_FIELD_SEGMENT_UNCOMMITTED_COUNT), &holes,
                        &hole_count, err);
    if (status == HS_OK)
        status = add_segment_extents(heaps, &segment, (uint32_t)heaps->segment_count, holes, hole_count, err);
    if (status == HS_OK) {
        segment.facts.uncommitted_count = (uint32_t)hole_count;
        last = hole_count && holes[hole_count - 1].va + holes[hole_count - 1].size == segment.facts.end_va
                   ? holes[hole_count - 1].va
                   : segment.facts.end_va;
        heap->segment_count++;
        heap->reserved += segment.facts.reserved;
        heap->committed += segment.facts.committed;
        heap->virtual_size += last - segment.facts.base_va;
        heap->uncommitted_count += segment.facts.uncommitted_count;
        status = hs_heaps_add_segment(heaps, &segment, err);
    }
    free(holes);
    return status;
}

/* VirtualAllocdBlocks. Each entry's back link is checked, so a loop that does not lead to the head ends where it is
 * entered a second time. */
static enum hs_status read_large(struct hs_heaps *heaps, size_t heap_idx, struct hs_error *err)
{
    const struct hs_process *process = heaps->process;
    const struct hs_layout *layout = process->layout;
    struct hs_heap *heap = &heaps->heaps[heap_idx];
    uint64_t entry_size = hs_layout_off(layout, HS_FIELD_VIRTUAL_SIZEOF);
    hs_va head = heap->va + hs_layout_off(layout, HS_FIELD_HEAP_VIRTUAL_BLOCKS);
    uint64_t limit = address_limit(process->space);
    hs_va previous = head, va;

    if (!hs_space_pointer(process->space, head, &va)) {
        heap->unread_large++;
        return HS_OK;
    }
    while (va != head) {
        struct hs_span view = hs_space_view(process->space, va);
        struct hs_span entry;
        struct hs_extent extent = {.kind = HS_EXTENT_LARGE,
                                   .va = va,
                                   .bytes = view.bytes,
                                   .heap_idx = (uint32_t)heap_idx,
                                   .segment_idx = UINT32_MAX};
        const char *reason = NULL;
        enum hs_status status;

        if (!hs_span_part(view, 0, entry_size, &entry))
            reason = "is not in the dump";
        else if (hs_layout_load(layout, entry, HS_FIELD_VIRTUAL_PREVIOUS) != previous)
            reason = "does not point back to the one before it";
        else if (heap->large_count == LARGE_MAX)
            reason = "is one too many: the list does not end";
        if (reason) {
            hs_notes_add(heaps->notes,
                         "heap %08" PRIx64 ": the list of large blocks ends after %" PRIu32 ": entry %08" PRIx64 " %s",
                         heap->va, heap->large_count, va, reason);
            heap->unread_large++;
            return HS_OK;
        }
        extent.size = hs_layout_load(layout, entry, HS_FIELD_VIRTUAL_COMMIT_SIZE);
        if (extent.size < entry_size || va >= limit || extent.size > limit - va || va % heaps->unit) {
            hs_notes_add(heaps->notes,
                         "heap %08" PRIx64 ": large block %08" PRIx64 " has commit size 0x%" PRIx64 " and is left out",
                         heap->va, va, extent.size);
            heap->unread_large++;
        } else {
            if ((status = hs_heaps_add_extent(heaps, &extent, err)) != HS_OK)
                return status;
            heap->large_committed += extent.size;
        }
        heap->large_count++;
        previous = va;
        va = hs_layout_load(layout, entry, HS_FIELD_VIRTUAL_NEXT);
    }
    return HS_OK;
}

enum hs_status hs_nt_read(struct hs_heaps *heaps, size_t heap_idx, struct hs_error *err)
{
    const struct hs_space *space = heaps->process->space;
    struct hs_heap *heap = &heaps->heaps[heap_idx];
    hs_va table = heap->va + hs_layout_off(heaps->process->layout, HS_FIELD_HEAP_SEGMENTS);
    enum hs_status status;

    read_header(heaps, heap_idx);
    for (unsigned i = 0; i < SEGMENTS_MAX; i++) {
        hs_va va;

        if (!hs_space_pointer(space, table + (uint64_t)i * space->pointer_size, &va)) {
            hs_notes_add(heaps->notes, "heap %08" PRIx64 ": its table of segments is not in the dump", heap->va);
            heap->unread_segments++;
            break;
        }
        if (va && (status = read_segment(heaps, heap_idx, i, va, err)) != HS_OK)
            return status;
    }
    return read_large(heaps, heap_idx, err);
}
