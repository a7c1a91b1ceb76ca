/* heap.c - the heaps of the process: from the PEB's list, or found by their signatures; what kind each one is. */
#include "heap/heap.h"
#include "heap/nt.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#define HEAPS_MAX 4096u          /* believable length of the PEB's list */
#define SIGNATURE_XP 0xeeffeeffu /* _HEAP.Signature; behind the first header only up to 2003 */
#define SIGNATURE_NT 0xffeeffeeu /* _HEAP_SEGMENT.SegmentSignature: first thing in a heap from Vista on */
#define SIGNATURE_SEGMENT 0xddeeddeeu
#define GLOBAL_FLAG_PAGE_HEAP 0x02000000u
#define ALLOCATION_GRANULARITY 0x10000u
#define EXTENTS_MAX                                                                                                    \
    (1u << 19) /* forged segments may all share one long list of holes; real heaps have some thousands */

const char *hs_heap_kind_name(enum hs_heap_kind kind)
{
    switch (kind) {
    case HS_HEAP_NT_XP: return "nt-xp";
    case HS_HEAP_NT: return "nt";
    case HS_HEAP_SEGMENT: return "segment";
    case HS_HEAP_PAGE: return "page";
    case HS_HEAP_UNKNOWN: break;
    }
    return "unknown";
}

const char *hs_heap_list_name(enum hs_heap_list list)
{
    switch (list) {
    case HS_HEAP_LIST_WHOLE: return "whole";
    case HS_HEAP_LIST_PART: return "part";
    case HS_HEAP_LIST_MISSING: break;
    }
    return "missing";
}

const char *hs_block_state_name(enum hs_block_state state)
{
    switch (state) {
    case HS_BLOCK_BUSY: return "busy";
    case HS_BLOCK_FREE: return "free";
    case HS_BLOCK_LOOKASIDE: return "lookaside";
    case HS_BLOCK_INTERNAL: return "internal";
    case HS_BLOCK_UNCOMMITTED: return "uncommitted";
    }
    return "unknown";
}

enum hs_status hs_heaps_add_segment(struct hs_heaps *heaps, const struct hs_heap_segment *segment, struct hs_error *err)
{
    struct hs_heap_segment *segments =
        hs_grow(heaps->segments, heaps->segment_count, &heaps->segment_capacity, sizeof *segments);

    if (!segments)
        return hs_fail_memory(err, "the heap segments");
    heaps->segments = segments;
    heaps->segments[heaps->segment_count++] = *segment;
    return HS_OK;
}

enum hs_status hs_heaps_add_extent(struct hs_heaps *heaps, const struct hs_extent *extent, struct hs_error *err)
{
    struct hs_extent *extents;

    if (heaps->extent_count >= EXTENTS_MAX) {
        if (heaps->extent_count == EXTENTS_MAX && !heaps->too_many)
            hs_notes_add(heaps->notes,
                         "heap %08" PRIx64 ": more than %u pieces of memory and holes, the rest is not read",
                         heaps->heaps[extent->heap_idx].va, EXTENTS_MAX);
        heaps->too_many = true;
        return HS_OK;
    }

    extents = hs_grow(heaps->extents, heaps->extent_count, &heaps->extent_capacity, sizeof *extents);
    if (!extents)
        return hs_fail_memory(err, "the pieces of the heaps");
    heaps->extents = extents;
    heaps->extents[heaps->extent_count++] = *extent;
    return HS_OK;
}

static const char *unknown_reason(struct hs_heaps *heaps, uint32_t signature)
{
    struct hs_text text;
    const char *kept;

    hs_text_init(&text);
    hs_text_add(&text, "its header has 0x%08" PRIx32 " where an NT heap has 0xeeffeeff: no heap that heapsift knows",
                signature);
    kept = text.failed ? NULL : hs_arena_string(&heaps->arena, text.bytes);
    hs_text_deinit(&text);
    return kept ? kept : "";
}

/* From Vista on _HEAP.Signature stands somewhere in [0x60, 0xa4), by build. Wine's heap has only the segment's. */
static bool has_nt_signature(const struct hs_heaps *heaps, hs_va va)
{
    uint64_t value;

    for (hs_va at = va + 0x60; at < va + 0xa4; at += 4)
        if (hs_space_uint(heaps->process->space, at, 4, &value) && value == SIGNATURE_XP)
            return true;
    return false;
}

/* The kind of the heap at heap->va, and why it is not read. */
static void recognise(struct hs_heaps *heaps, struct hs_heap *heap)
{
    const struct hs_process *process = heaps->process;
    uint64_t signature;

    heap->reason = "";
    if (!hs_layout_read(process->layout, process->space, heap->va, HS_FIELD_HEAP_SIGNATURE, &signature)) {
        heap->reason = "its header is not in the dump";
        return;
    }
    if (signature == SIGNATURE_XP) {
        heap->kind = HS_HEAP_NT_XP;
    } else if (signature == SIGNATURE_NT && has_nt_signature(heaps, heap->va)) {
        heap->kind = HS_HEAP_NT;
        heap->reason = "an NT heap of Windows Vista or later: not read by this version";
    } else if (signature == SIGNATURE_SEGMENT) {
        heap->kind = HS_HEAP_SEGMENT;
        heap->reason = "a segment heap (Windows 8.1 and later): not read by this version";
    } else if (process->facts.has_global_flag && (process->facts.global_flag & GLOBAL_FLAG_PAGE_HEAP)) {
        heap->kind = HS_HEAP_PAGE;
        heap->reason = "a page heap root (NtGlobalFlag has hpa): not read by this version";
    } else {
        heap->reason = unknown_reason(heaps, (uint32_t)signature);
    }
}

/* Adds a heap unless the list has it already. */
static void add_heap(struct hs_heaps *heaps, hs_va va)
{
    for (size_t i = 0; i < heaps->count; i++) {
        if (heaps->heaps[i].va == va) {
            hs_notes_add(heaps->notes, "heap %08" PRIx64 ": listed twice, counted once", va);
            return;
        }
    }
    heaps->heaps[heaps->count].va = va;
    recognise(heaps, &heaps->heaps[heaps->count]);
    heaps->count++;
}

/* The PEB's list, and how much of it could be read. */
static enum hs_heap_list heaps_from_peb(struct hs_heaps *heaps)
{
    const struct hs_process *process = heaps->process;
    hs_va peb = process->facts.peb_va;
    uint64_t count, list, va, empty = 0;
    size_t pointer = process->space->pointer_size;
    enum hs_heap_list list_read = HS_HEAP_LIST_WHOLE;

    if (!peb || !hs_layout_read(process->layout, process->space, peb, HS_FIELD_PEB_NUMBER_OF_HEAPS, &count) ||
        !hs_layout_read(process->layout, process->space, peb, HS_FIELD_PEB_PROCESS_HEAPS, &list))
        return HS_HEAP_LIST_MISSING;
    if (count == 0 && hs_layout_read(process->layout, process->space, peb, HS_FIELD_PEB_PROCESS_HEAP, &va) && va) {
        hs_notes_add(heaps->notes, "PEB %08" PRIx64 ": its heap list is empty, only the default heap is known", peb);
        add_heap(heaps, va);
        return HS_HEAP_LIST_PART;
    }
    if (count == 0)
        return HS_HEAP_LIST_MISSING;
    if (count > HEAPS_MAX) {
        hs_notes_add(heaps->notes, "PEB %08" PRIx64 ": NumberOfHeaps is %" PRIu64 ", only %u are read", peb, count,
                     HEAPS_MAX);
        count = HEAPS_MAX;
        list_read = HS_HEAP_LIST_PART;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!hs_space_pointer(process->space, list + i * pointer, &va)) {
            hs_notes_add(heaps->notes,
                         "PEB %08" PRIx64 ": entry %" PRIu64 " of %" PRIu64 " of the heap list at %08" PRIx64
                         " is not in the dump",
                         peb, i, count, list);
            return i ? HS_HEAP_LIST_PART : HS_HEAP_LIST_MISSING;
        }
        if (va == 0)
            empty++;
        else
            add_heap(heaps, va);
    }
    if (empty) {
        hs_notes_add(heaps->notes, "PEB %08" PRIx64 ": %" PRIu64 " of %" PRIu64 " entries of the heap list are 0", peb,
                     empty, count);
        list_read = HS_HEAP_LIST_PART;
    }
    return list_read;
}

/* Without a list: every place where a heap may start and that has a heap's signature and a segment record of its own. */
static void heaps_from_signatures(struct hs_heaps *heaps)
{
    const struct hs_process *process = heaps->process;
    const struct hs_space *space = process->space;

    for (size_t i = 0; i < space->range_count; i++) {
        const struct hs_range *range = &space->ranges[i];
        hs_va va = (range->va + ALLOCATION_GRANULARITY - 1) & ~(hs_va)(ALLOCATION_GRANULARITY - 1);

        for (; va >= range->va && va - range->va < range->size && heaps->count < HEAPS_MAX;
             va += ALLOCATION_GRANULARITY) {
            uint64_t value;
            hs_va record;

            if (hs_layout_read(process->layout, space, va, HS_FIELD_HEAP_SIGNATURE, &value) && value == SIGNATURE_XP &&
                hs_space_pointer(space, va + hs_layout_off(process->layout, HS_FIELD_HEAP_SEGMENTS), &record) &&
                hs_layout_read(process->layout, space, record, HS_FIELD_SEGMENT_SIGNATURE, &value) &&
                value == SIGNATURE_NT &&
                hs_layout_read(process->layout, space, record, HS_FIELD_SEGMENT_HEAP, &value) && value == va)
                add_heap(heaps, va);
        }
    }
    hs_notes_add(heaps->notes, "the PEB's heap list cannot be read: %zu heaps were found by their signatures",
                 heaps->count);
}

static int compare_by_va(const void *a, const void *b)
{
    const struct hs_extent_place *one = a, *two = b;

    if (one->va != two->va)
        return one->va < two->va ? -1 : 1;
    return one->idx < two->idx ? -1 : one->idx > two->idx;
}

size_t hs_heaps_extent_below(const struct hs_heaps *heaps, hs_va va)
{
    size_t low, high;
    uint64_t slice = (va - heaps->near_va) >> heaps->near_shift;

    if (!heaps->near || va < heaps->near_va)
        return SIZE_MAX;
    if (slice >= HS_NEAR_COUNT)
        slice = HS_NEAR_COUNT - 1;
    low = heaps->near[slice];
    high = slice + 1 < HS_NEAR_COUNT ? heaps->near[slice + 1] : heaps->extents_by_va_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (heaps->extents_by_va[middle].va <= va)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? low - 1 : SIZE_MAX;
}

/* A large block whose CommitSize leads over the memory of a segment: that size is wrong, the segment is not. */
static void drop_large(struct hs_heaps *heaps, struct hs_extent *large, hs_va segment_va)
{
    hs_notes_add(heaps->notes,
                 "heap %08" PRIx64 ": large block %08" PRIx64 " has commit size 0x%" PRIx64
                 ", which leads over a segment at %08" PRIx64 ": it is left out",
                 heaps->heaps[large->heap_idx].va, large->va, large->size, segment_va);
    heaps->heaps[large->heap_idx].large_committed -= large->size;
    heaps->lost[large->heap_idx] += segment_va - large->va;
    large->size = 0;
}

/* Cuts the address range of the extents into slices, so that nobody has to search all of them. */
static enum hs_status slice_extents(struct hs_heaps *heaps, struct hs_error *err)
{
    size_t count = heaps->extents_by_va_count, below = 0;

    if (count == 0)
        return HS_OK;
    heaps->near = hs_arena_alloc(&heaps->arena, HS_NEAR_COUNT, sizeof *heaps->near);
    if (!heaps->near)
        return hs_fail_memory(err, "the pieces of the heaps");
    heaps->near_va = heaps->extents_by_va[0].va;
    while ((heaps->extents_by_va[count - 1].va - heaps->near_va) >> heaps->near_shift >= HS_NEAR_COUNT)
        heaps->near_shift++;
    for (uint64_t slice = 0; slice < HS_NEAR_COUNT; slice++) {
        while (below < count && heaps->extents_by_va[below].va - heaps->near_va <= slice << heaps->near_shift)
            below++;
        heaps->near[slice] = (uint32_t)below;
    }
    return HS_OK;
}

/* Sorts the extents by address; one that overlaps an earlier one is emptied with a note. */
static enum hs_status sort_extents(struct hs_heaps *heaps, struct hs_error *err)
{
    struct hs_extent_place *order = calloc(heaps->extent_count + 1, sizeof *order);
    struct hs_extent *last = NULL;

    heaps->extents_by_va = hs_arena_alloc(&heaps->arena, heaps->extent_count, sizeof *heaps->extents_by_va);
    if (!order || !heaps->extents_by_va) {
        free(order);
        return hs_fail_memory(err, "the pieces of the heaps");
    }
    for (size_t i = 0; i < heaps->extent_count; i++)
        order[i] = (struct hs_extent_place){heaps->extents[i].va, (uint32_t)i};
    qsort(order, heaps->extent_count, sizeof *order, compare_by_va);
    for (size_t i = 0; i < heaps->extent_count; i++) {
        struct hs_extent *extent = &heaps->extents[order[i].idx];

        if (last && extent->size && extent->va < last->va + last->size && last->kind == HS_EXTENT_LARGE &&
            extent->kind != HS_EXTENT_LARGE) {
            drop_large(heaps, last, extent->va);
            heaps->extents_by_va_count--;
        } else if (last && extent->size && extent->va < last->va + last->size) {
            hs_notes_add(heaps->notes,
                         "heap %08" PRIx64 ": memory at %08" PRIx64 " (0x%" PRIx64 " bytes) belongs to heap %08" PRIx64
                         " too and is not read a second time",
                         heaps->heaps[extent->heap_idx].va, extent->va, extent->size, heaps->heaps[last->heap_idx].va);
            if (extent->kind == HS_EXTENT_LARGE) /* what a segment lacks the walk counts */
                heaps->lost[extent->heap_idx] += extent->size;
            extent->size = 0;
        }
        if (extent->size) {
            last = extent;
            heaps->extents_by_va[heaps->extents_by_va_count++] = order[i];
        }
    }
    free(order);
    return slice_extents(heaps, err);
}

static enum hs_status read_heaps(struct hs_heaps *heaps, struct hs_error *err)
{
    enum hs_status status;

    for (size_t i = 0; i < heaps->count; i++) {
        heaps->first_segment[i] = heaps->segment_count;
        if (heaps->heaps[i].kind == HS_HEAP_NT_XP) {
            if ((status = hs_nt_read(heaps, i, err)) != HS_OK)
                return status;
        } else if (heaps->heaps[i].kind == HS_HEAP_UNKNOWN) {
            hs_notes_add(heaps->notes, "heap %08" PRIx64 ": not read: %s", heaps->heaps[i].va, heaps->heaps[i].reason);
        }
    }
    heaps->first_segment[heaps->count] = heaps->segment_count;
    if ((status = sort_extents(heaps, err)) != HS_OK)
        return status;
    for (size_t i = 0; i < heaps->count; i++)
        if (heaps->heaps[i].kind == HS_HEAP_NT_XP && (status = hs_nt_read_lookaside(heaps, i, err)) != HS_OK)
            return status;
    return HS_OK;
}

/* hs_entry_load takes the 8 bytes of a header in one go: the rows must have them in that order. */
static void assert_header_order(const struct hs_layout *layout)
{
    static const enum hs_field order[] = {
        HS_FIELD_ENTRY_SIZE,      HS_FIELD_ENTRY_SIZE,  HS_FIELD_ENTRY_PREVIOUS_SIZE, HS_FIELD_ENTRY_PREVIOUS_SIZE,
        HS_FIELD_ENTRY_SMALL_TAG, HS_FIELD_ENTRY_FLAGS, HS_FIELD_ENTRY_UNUSED_BYTES,  HS_FIELD_ENTRY_SEGMENT_INDEX};
    uint64_t first = hs_layout_off(layout, HS_FIELD_ENTRY_SIZE);

    for (unsigned i = 0; i < sizeof order / sizeof *order; i++)
        assert(hs_layout_off(layout, order[i]) == first + i - (i < 4 ? i % 2 : 0));
    (void)first;
}

enum hs_status hs_heaps_init(struct hs_heaps *heaps, const struct hs_process *process, struct hs_notes *notes,
                             struct hs_error *err)
{
    const struct hs_layout *layout = process->layout;
    enum hs_status status;

    memset(heaps, 0, sizeof *heaps);
    heaps->process = process;
    heaps->notes = notes;
    heaps->unit = (unsigned)hs_layout_off(layout, HS_FIELD_ENTRY_SIZEOF);
    heaps->unit_shift = heaps->unit == 16 ? 4 : 3;
    assert_header_order(layout);
    heaps->header_off = (unsigned)hs_layout_off(layout, HS_FIELD_ENTRY_SIZE);
    hs_arena_init(&heaps->arena);

    heaps->heaps = hs_arena_alloc(&heaps->arena, HEAPS_MAX, sizeof *heaps->heaps);
    heaps->front_end_va = hs_arena_alloc(&heaps->arena, HEAPS_MAX, sizeof *heaps->front_end_va);
    heaps->lookaside = hs_arena_alloc(&heaps->arena, HEAPS_MAX, sizeof *heaps->lookaside);
    heaps->lookaside_count = hs_arena_alloc(&heaps->arena, HEAPS_MAX, sizeof *heaps->lookaside_count);
    heaps->first_segment = hs_arena_alloc(&heaps->arena, HEAPS_MAX + 1, sizeof *heaps->first_segment);
    heaps->lost = hs_arena_alloc(&heaps->arena, HEAPS_MAX, sizeof *heaps->lost);
    if (!heaps->heaps || !heaps->front_end_va || !heaps->lookaside || !heaps->lookaside_count ||
        !heaps->first_segment || !heaps->lost) {
        status = hs_fail_memory(err, "the heap list");
        goto failed;
    }
    if (process->facts.wow64)
        hs_notes_add(notes, "a 32-bit process dumped by a 64-bit debugger (WOW64): its 32-bit heaps are not read; "
                            "dump it with the 32-bit debugger or %%windir%%\\SysWOW64\\taskmgr.exe");
    heaps->list = heaps_from_peb(heaps);
    if (heaps->list == HS_HEAP_LIST_MISSING)
        heaps_from_signatures(heaps);
    else if (process->facts.wow64)
        heaps->list = HS_HEAP_LIST_PART;
    status = read_heaps(heaps, err);
    if (status == HS_OK)
        return HS_OK;

failed:
    hs_heaps_deinit(heaps);
    return status;
}

void hs_heaps_deinit(struct hs_heaps *heaps)
{
    for (size_t i = 0; i < heaps->extent_count; i++) {
        free(heaps->extents[i].starts);
        free(heaps->extents[i].ranks);
    }
    free(heaps->extents);
    free(heaps->segments);
    hs_arena_deinit(&heaps->arena);
    memset(heaps, 0, sizeof *heaps);
}
