/* blocks.c - the index of all blocks: a bitmap of starts with rank for each run, ids, address to block. */
#include "heap/heap.h"
#include "heap/nt.h"

#include <inttypes.h>
#include <stdlib.h>

#define LARGE_HEADER(heaps) hs_layout_off((heaps)->process->layout, HS_FIELD_VIRTUAL_BUSY_BLOCK)

static uint64_t word_count(const struct hs_heaps *heaps, const struct hs_extent *extent)
{
    return (extent->size / heaps->unit + 63) / 64;
}

static uint64_t rank_count(const struct hs_heaps *heaps, const struct hs_extent *extent)
{
    return word_count(heaps, extent) / HS_RANK_WORDS + 1;
}

/* Readies the extents for the walk. */
static enum hs_status allocate_bitmaps(struct hs_heaps *heaps, struct hs_error *err)
{
    for (size_t i = 0; i < heaps->extent_count; i++) {
        struct hs_extent *extent = &heaps->extents[i];
        hs_va first;

        extent->headers_off = UINT64_MAX;
        if (extent->kind != HS_EXTENT_RUN || extent->size == 0)
            continue;
        first = heaps->segments[extent->segment_idx].facts.first_entry_va;
        extent->headers_off = first > extent->va ? first - extent->va : 0;
        free(extent->starts);
        free(extent->ranks);
        extent->starts = calloc(word_count(heaps, extent), sizeof *extent->starts);
        extent->ranks = calloc(rank_count(heaps, extent), sizeof *extent->ranks);
        if (!extent->starts || !extent->ranks)
            return hs_fail_memory(err, "the block index");
    }
    return HS_OK;
}

/* What the threads of the walk share. */
struct walk_all {
    struct hs_heaps *heaps;
    struct hs_segment_walk *walks; /* a segment */
    uint32_t *order;               /* segments, longest first, so that the last to finish is short */
    struct hs_job *job;
};

static void count_ranks(const struct hs_heaps *heaps, struct hs_extent *extent)
{
    uint64_t words = word_count(heaps, extent);
    uint32_t count = 0;

    for (uint64_t i = 0; i < words; i++) {
        if (i % HS_RANK_WORDS == 0)
            extent->ranks[i / HS_RANK_WORDS] = count;
        count += hs_popcount(extent->starts[i]);
    }
    if (words % HS_RANK_WORDS == 0)
        extent->ranks[words / HS_RANK_WORDS] = count;
    extent->count = count;
}

static void walk_one(void *context, size_t item)
{
    struct walk_all *all = context;
    uint32_t idx = all->order[item];
    const struct hs_heap_segment *segment = &all->heaps->segments[idx];

    if (hs_job_stopped(all->job)) {
        all->walks[idx].cancelled = true;
        return;
    }
    hs_nt_walk_segment(all->heaps, idx, all->job, &all->walks[idx]);
    all->heaps->segments[idx].whole = all->walks[idx].lost == 0 && !all->walks[idx].cancelled;
    for (size_t i = 0; i < segment->extent_count; i++) {
        struct hs_extent *extent = &all->heaps->extents[segment->first_extent + i];

        if (extent->kind == HS_EXTENT_RUN && extent->size)
            count_ranks(all->heaps, extent);
    }
}

struct by_size {
    uint64_t size;
    uint32_t idx;
};

static int compare_by_size(const void *a, const void *b)
{
    const struct by_size *one = a, *two = b;

    if (one->size != two->size)
        return one->size > two->size ? -1 : 1;
    return one->idx < two->idx ? -1 : one->idx > two->idx;
}

static enum hs_status walk_segments(struct hs_heaps *heaps, unsigned thread_count, struct hs_segment_walk *walks,
                                    struct hs_job *job, struct hs_error *err)
{
    size_t count = heaps->segment_count;
    struct by_size *sizes = calloc(count + 1, sizeof *sizes);
    uint32_t *order = calloc(count + 1, sizeof *order);
    struct walk_all all = {.heaps = heaps, .walks = walks, .order = order, .job = job};
    uint64_t total = 0;
    enum hs_status status = HS_OK;

    if (!sizes || !order) {
        status = hs_fail_memory(err, "the walk of the segments");
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        sizes[i] = (struct by_size){heaps->segments[i].facts.committed, (uint32_t)i};
        total += heaps->segments[i].facts.committed;
    }
    qsort(sizes, count, sizeof *sizes, compare_by_size);
    for (size_t i = 0; i < count; i++)
        order[i] = sizes[i].idx;
    hs_job_start(job, total);
    hs_parallel(thread_count, count, walk_one, &all);
    for (size_t i = 0; i < count; i++)
        if (walks[i].cancelled)
            status = HS_ERR_CANCELLED;
    if (status == HS_ERR_CANCELLED)
        hs_fail(err, status, HS_NO_OFF, HS_NO_VA, "stopped while walking the heaps");

done:
    free(sizes);
    free(order);
    return status;
}

static int compare_sizes(const void *a, const void *b)
{
    const struct hs_size_count *one = a, *two = b;

    return one->size < two->size ? -1 : one->size > two->size;
}

/* Sizes of the busy blocks of a heap out of those of its segments. Without memory for them nothing is lost but speed. */
static void sum_sizes(struct hs_blocks *blocks, size_t heap_idx, const struct hs_segment_walk *walks)
{
    const struct hs_heaps *heaps = blocks->heaps;
    size_t first = heaps->first_segment[heap_idx], end = heaps->first_segment[heap_idx + 1];
    size_t count = 0, kept = 0;
    struct hs_size_count *sizes;

    for (size_t i = first; i < end; i++) {
        if (walks[i].sizes_lost)
            return;
        count += walks[i].size_count;
    }
    sizes = calloc(count + 1, sizeof *sizes);
    if (!sizes)
        return;
    count = 0;
    for (size_t i = first; i < end; i++) {
        memcpy(sizes + count, walks[i].sizes, walks[i].size_count * sizeof *sizes);
        count += walks[i].size_count;
    }
    qsort(sizes, count, sizeof *sizes, compare_sizes);
    for (size_t i = 0; i < count; i++) {
        if (kept && sizes[kept - 1].size == sizes[i].size)
            sizes[kept - 1].count += sizes[i].count;
        else if (sizes[i].count)
            sizes[kept++] = sizes[i];
    }
    blocks->sizes[heap_idx] = sizes;
    blocks->size_counts[heap_idx] = kept;
}

/* Adds up what the segments of a heap gave, in segment order. */
static void sum_heap(struct hs_blocks *blocks, size_t heap_idx, struct hs_segment_walk *walks, struct hs_notes *notes)
{
    struct hs_heaps *heaps = blocks->heaps;
    struct hs_heap *heap = &heaps->heaps[heap_idx];
    struct hs_heap_totals *totals = &blocks->totals[heap_idx];
    uint64_t front_areas = 0, list_length = 0;

    heap->unread_size = heaps->lost[heap_idx];
    for (size_t i = heaps->first_segment[heap_idx]; i < heaps->first_segment[heap_idx + 1]; i++) {
        for (int s = 0; s < HS_BLOCK_STATE_COUNT; s++) {
            totals->count[s] += walks[i].totals.count[s];
            totals->total[s] += walks[i].totals.total[s];
            totals->size[s] += walks[i].totals.size[s];
        }
        heap->unread_size += walks[i].lost;
        front_areas += walks[i].front_areas;
        list_length += walks[i].list_length;
        hs_notes_move(notes, &walks[i].notes);
    }
    sum_sizes(blocks, heap_idx, walks);
    heap->free_list_length = (uint32_t)list_length;
    if (heap->front_end == HS_FRONT_LFH)
        hs_notes_add(notes,
                     "heap %08" PRIx64 ": its low-fragmentation front end keeps callers' blocks in %" PRIu64
                     " areas that are counted as internal: those blocks are not read",
                     heap->va, front_areas);
}

/* Gives ids, heap by heap: extents stand in that order already. Large blocks are counted here, as they have no walk. */
static enum hs_status number_blocks(struct hs_blocks *blocks, struct hs_error *err)
{
    struct hs_heaps *heaps = blocks->heaps;
    uint64_t id = 0;
    size_t heap = 0;

    for (size_t i = 0; i < heaps->extent_count; i++) {
        struct hs_extent *extent = &heaps->extents[i];

        while (heap <= extent->heap_idx)
            blocks->first_id[heap++] = (uint32_t)id;
        extent->first_id = (uint32_t)id;
        if (extent->size == 0)
            extent->count = 0;
        else if (extent->kind != HS_EXTENT_RUN)
            extent->count = 1;
        id += extent->count;
        if (id >= UINT32_MAX)
            return hs_fail(err, HS_ERR_UNSUPPORTED, HS_NO_OFF, HS_NO_VA, "more than 4 billion blocks");
        if (extent->kind == HS_EXTENT_LARGE && extent->size) {
            struct hs_brief brief;

            hs_block_brief_special(heaps, extent, 0, &brief);
            blocks->totals[extent->heap_idx].count[brief.state]++;
            blocks->totals[extent->heap_idx].total[brief.state] += brief.total;
            blocks->totals[extent->heap_idx].size[brief.state] += brief.size;
        }
    }
    while (heap <= heaps->count)
        blocks->first_id[heap++] = (uint32_t)id;
    blocks->count = (uint32_t)id;
    return HS_OK;
}

enum hs_status hs_blocks_init(struct hs_blocks *blocks, struct hs_heaps *heaps, unsigned thread_count,
                              struct hs_notes *notes, struct hs_job *job, struct hs_error *err)
{
    struct hs_segment_walk *walks = calloc(heaps->segment_count + 1, sizeof *walks);
    enum hs_status status;

    memset(blocks, 0, sizeof *blocks);
    blocks->heaps = heaps;
    blocks->totals = calloc(heaps->count + 1, sizeof *blocks->totals);
    blocks->first_id = calloc(heaps->count + 1, sizeof *blocks->first_id);
    blocks->sizes = calloc(heaps->count + 1, sizeof *blocks->sizes);
    blocks->size_counts = calloc(heaps->count + 1, sizeof *blocks->size_counts);
    if (!walks || !blocks->totals || !blocks->first_id || !blocks->sizes || !blocks->size_counts) {
        status = hs_fail_memory(err, "the block index");
        goto done;
    }
    if ((status = allocate_bitmaps(heaps, err)) != HS_OK ||
        (status = walk_segments(heaps, thread_count, walks, job, err)) != HS_OK)
        goto done;
    for (size_t i = 0; i < heaps->count; i++)
        sum_heap(blocks, i, walks, notes);
    status = number_blocks(blocks, err);

done:
    for (size_t i = 0; walks && i < heaps->segment_count; i++) {
        hs_notes_deinit(&walks[i].notes);
        free(walks[i].sizes);
    }
    free(walks);
    if (status != HS_OK)
        hs_blocks_deinit(blocks);
    return status;
}

void hs_blocks_deinit(struct hs_blocks *blocks)
{
    for (size_t i = 0; blocks->sizes && i < blocks->heaps->count; i++)
        free(blocks->sizes[i]);
    free(blocks->sizes);
    free(blocks->size_counts);
    free(blocks->totals);
    free(blocks->first_id);
    hs_labels_destroy(blocks->labels);
    free(blocks->summaries);
    memset(blocks, 0, sizeof *blocks);
}

/* ---- from an id or an address to a block ---- */

/* The extent with block `id`; NULL past the last. */
static const struct hs_extent *extent_of(const struct hs_blocks *blocks, uint32_t id)
{
    const struct hs_heaps *heaps = blocks->heaps;
    size_t low = 0, high = heaps->extent_count;

    if (id >= blocks->count)
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (heaps->extents[middle].first_id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return &heaps->extents[low - 1]; /* of several with one first id, the last: those before it are empty */
}

/* Word that holds the nth (from 0) start of a run, and its bits with the earlier starts of the word cleared. */
static size_t select_word(const struct hs_heaps *heaps, const struct hs_extent *extent, uint32_t nth,
                          uint64_t *bits_ret)
{
    size_t low = 0, high = rank_count(heaps, extent);
    size_t word;
    uint64_t bits;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (extent->ranks[middle] <= nth)
            low = middle + 1;
        else
            high = middle;
    }
    word = (low - 1) * HS_RANK_WORDS;
    nth -= extent->ranks[low - 1];
    while (hs_popcount(extent->starts[word]) <= nth)
        nth -= hs_popcount(extent->starts[word++]);
    bits = extent->starts[word];
    while (nth--)
        bits &= bits - 1;
    *bits_ret = bits;
    return word;
}

void hs_block_cursor_init(struct hs_block_cursor *cursor, const struct hs_blocks *blocks, uint32_t id)
{
    const struct hs_extent *extent = extent_of(blocks, id);

    *cursor = (struct hs_block_cursor){.blocks = blocks, .next_id = id};
    if (!extent) {
        cursor->next_id = blocks->count;
        return;
    }
    cursor->extent = extent;
    if (extent->kind == HS_EXTENT_RUN)
        cursor->word = select_word(blocks->heaps, extent, id - extent->first_id, &cursor->bits);
}

bool hs_block_cursor_next_extent(struct hs_block_cursor *cursor)
{
    const struct hs_heaps *heaps = cursor->blocks->heaps;
    const struct hs_extent *extent = cursor->extent ? cursor->extent + 1 : heaps->extents;

    if (cursor->next_id >= cursor->blocks->count)
        return false;
    while (extent->count == 0)
        extent++;
    cursor->extent = extent;
    cursor->word = 0;
    cursor->bits = extent->kind == HS_EXTENT_RUN ? extent->starts[0] : 0;
    return true;
}

void hs_block_brief_special(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off,
                            struct hs_brief *brief_ret)
{
    const struct hs_segment *segment;
    struct hs_entry entry;
    hs_va va = extent->va + off;

    memset(brief_ret, 0, sizeof *brief_ret);
    switch (extent->kind) {
    case HS_EXTENT_HOLE:
        brief_ret->state = HS_BLOCK_UNCOMMITTED;
        brief_ret->size = brief_ret->total = extent->size;
        return;
    case HS_EXTENT_LARGE:
        entry = hs_entry_load(heaps, extent->bytes + LARGE_HEADER(heaps));
        brief_ret->flags = entry.flags;
        brief_ret->total = extent->size - LARGE_HEADER(heaps);
        /* The 16 bits that hold the size of other blocks hold the unused bytes of these. */
        brief_ret->size = extent->size > entry.units ? extent->size - entry.units : 0;
        brief_ret->state = HS_BLOCK_BUSY;
        return;
    case HS_EXTENT_RUN:
        segment = &heaps->segments[extent->segment_idx].facts;
        brief_ret->flags = hs_entry_load(heaps, extent->bytes + off).flags;
        brief_ret->state = HS_BLOCK_INTERNAL;
        brief_ret->total = (va < segment->va ? segment->va : segment->first_entry_va) - va;
        brief_ret->size = brief_ret->total > heaps->unit ? brief_ret->total - heaps->unit : 0;
        return;
    }
}

/* Address of the extra of a block; 0 if it has none. */
static hs_va extra_va(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off,
                      const struct hs_brief *brief)
{
    const struct hs_layout *layout = heaps->process->layout;
    uint64_t size = hs_layout_off(layout, HS_FIELD_EXTRA_SIZEOF);

    if (brief->state != HS_BLOCK_BUSY || !(brief->flags & HS_ENTRY_EXTRA))
        return 0;
    if (extent->kind == HS_EXTENT_LARGE)
        return extent->va + hs_layout_off(layout, HS_FIELD_VIRTUAL_EXTRA);
    return brief->total >= size + heaps->unit ? extent->va + off + brief->total - size : 0;
}

#define CAPTURE_STACKS 0x08000000u /* HEAP_CAPTURE_STACK_BACKTRACES of _HEAP.Flags */

uint32_t hs_block_stored(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off,
                         const struct hs_brief *brief)
{
    return hs_block_stored_tag(heaps, extent, off, brief, NULL);
}

uint32_t hs_block_stored_tag(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off,
                             const struct hs_brief *brief, uint16_t *tag_ret)
{
    const struct hs_layout *layout = heaps->process->layout;
    hs_va extra;
    uint64_t value;

    if (!(heaps->heaps[extent->heap_idx].flags & CAPTURE_STACKS))
        return UINT32_MAX;
    extra = extra_va(heaps, extent, off, brief);
    if (!extra)
        return UINT32_MAX;
    if (extra - extent->va + 8 <= extent->size && extent->kind == HS_EXTENT_RUN) {
        const uint8_t *bytes = extent->bytes + (extra - extent->va);

        if (tag_ret)
            *tag_ret = hs_load_u16(bytes + hs_layout_off(layout, HS_FIELD_EXTRA_TAG_INDEX));
        return hs_load_u16(bytes);
    }
    if (tag_ret && hs_layout_read(layout, heaps->process->space, extra, HS_FIELD_EXTRA_TAG_INDEX, &value))
        *tag_ret = (uint16_t)value;
    return hs_layout_read(layout, heaps->process->space, extra, HS_FIELD_EXTRA_TRACE_INDEX, &value) ? (uint32_t)value
                                                                                                    : UINT32_MAX;
}

const char *hs_fill_name(enum hs_fill fill)
{
    switch (fill) {
    case HS_FILL_INTACT: return "intact";
    case HS_FILL_BROKEN: return "broken";
    case HS_FILL_NONE: break;
    }
    return "none";
}

#define TAIL_FILL 0xabu       /* of a busy block: one unit of it behind what was asked for; x64: inferred */
#define FREE_FILL 0xfeeefeeeu /* of a free block: from behind its list entry to its end */

enum hs_fill hs_block_fill_of(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off,
                              const struct hs_brief *brief)
{
    uint64_t at, end, step;
    uint32_t pattern;

    if (extent->kind != HS_EXTENT_RUN || !(brief->flags & HS_ENTRY_FILL))
        return HS_FILL_NONE;
    if (brief->state == HS_BLOCK_BUSY) {
        at = off + heaps->unit + brief->size;
        end = at + heaps->unit;
        step = 1;
        pattern = TAIL_FILL;
    } else if (brief->state == HS_BLOCK_FREE) {
        at = off + 2 * (uint64_t)heaps->unit;
        end = off + brief->total;
        step = 4;
        pattern = FREE_FILL;
    } else {
        return HS_FILL_NONE;
    }
    if (at >= end || end > off + brief->total || end > extent->size)
        return HS_FILL_NONE;
    for (; at < end; at += step)
        if ((step == 1 ? extent->bytes[at] : hs_load_u32(extent->bytes + at)) != pattern)
            return HS_FILL_BROKEN;
    return HS_FILL_INTACT;
}

void hs_block_fill(const struct hs_blocks *blocks, const struct hs_extent *extent, uint32_t id, uint64_t off,
                   struct hs_block *block_ret)
{
    const struct hs_heaps *heaps = blocks->heaps;
    const struct hs_process *process = heaps->process;
    bool large = extent->kind == HS_EXTENT_LARGE;
    struct hs_brief brief;
    uint32_t stored;
    uint64_t value;
    hs_va extra;

    hs_block_brief(heaps, extent, off, &brief);
    *block_ret = (struct hs_block){
        .id = id,
        .va = extent->va + off + (large ? LARGE_HEADER(heaps) : 0),
        .size = brief.size,
        .total = brief.total,
        .state = brief.state,
        .heap_idx = extent->heap_idx,
        .segment_idx = large ? UINT32_MAX : extent->segment_idx - (uint32_t)heaps->first_segment[extent->heap_idx],
        .flags = brief.flags,
        .large = large,
    };
    block_ret->user_va = block_ret->va;
    if (extent->kind == HS_EXTENT_HOLE)
        return;
    block_ret->user_va += heaps->unit;
    {
        struct hs_entry entry = hs_entry_load(heaps, extent->bytes + (block_ret->va - extent->va));

        block_ret->unused_bytes = entry.unused_bytes;
        block_ret->small_tag = entry.small_tag;
        block_ret->previous_units = entry.previous_units;
    }
    block_ret->fill = hs_block_fill_of(heaps, extent, off, &brief);
    stored = hs_block_stored(heaps, extent, off, &brief);
    block_ret->has_stored = stored != UINT32_MAX;
    block_ret->stored = block_ret->has_stored ? (uint16_t)stored : 0;
    extra = extra_va(heaps, extent, off, &brief);
    if (extra && hs_layout_read(process->layout, process->space, extra, HS_FIELD_EXTRA_TAG_INDEX, &value))
        block_ret->tag = (uint16_t)value;
    if (extra && hs_layout_read(process->layout, process->space, extra, HS_FIELD_EXTRA_SETTABLE, &value))
        block_ret->settable = value;
}

uint32_t hs_blocks_count(const struct hs_blocks *blocks)
{
    return blocks->count;
}

enum hs_status hs_blocks_get(const struct hs_blocks *blocks, uint32_t id, struct hs_block *block_ret)
{
    struct hs_block_cursor cursor;

    hs_block_cursor_init(&cursor, blocks, id);
    if (!hs_block_cursor_next(&cursor))
        return HS_NOT_FOUND;
    hs_block_fill(blocks, cursor.extent, id, cursor.off, block_ret);
    return HS_OK;
}

/* The last block of a run that begins at or below byte `off` of it; false if there is none. */
static bool last_start(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off, uint32_t *id_ret,
                       uint64_t *off_ret)
{
    uint64_t unit_idx = (off < extent->size ? off : extent->size - 1) >> heaps->unit_shift;
    uint64_t word, bits;
    uint32_t count;

    if (extent->count == 0)
        return false;
    word = unit_idx / 64;
    bits = extent->starts[word] & (UINT64_MAX >> (63 - unit_idx % 64));
    while (!bits && word > 0)
        bits = extent->starts[--word];
    if (!bits)
        return false;
    count = extent->ranks[word / HS_RANK_WORDS];
    for (uint64_t i = word / HS_RANK_WORDS * HS_RANK_WORDS; i < word; i++)
        count += hs_popcount(extent->starts[i]);
    count += hs_popcount(bits) - 1;
    *id_ret = extent->first_id + count;
    *off_ret = (word * 64 + 63 - (uint64_t)__builtin_clzll(bits)) * heaps->unit;
    return true;
}

#define FIND_STEPS 64 /* runs without a start that the last block of an earlier run may reach over */

const struct hs_extent *hs_blocks_locate(const struct hs_blocks *blocks, hs_va va, uint32_t *id_ret, uint64_t *off_ret)
{
    const struct hs_heaps *heaps = blocks->heaps;
    size_t idx = hs_heaps_extent_below(heaps, va);

    for (int step = 0; idx != SIZE_MAX && step < FIND_STEPS; step++, idx--) {
        const struct hs_extent *extent = &heaps->extents[heaps->extents_by_va[idx].idx];
        struct hs_brief brief;

        *id_ret = extent->first_id;
        *off_ret = 0;
        if (extent->kind != HS_EXTENT_RUN)
            return va - extent->va < extent->size ? extent : NULL;
        if (!last_start(heaps, extent, va - extent->va, id_ret, off_ret))
            continue;
        /* Where the walk lost nothing, blocks lie side by side: no need to look at the header. */
        if (heaps->segments[extent->segment_idx].whole && va - extent->va < extent->size)
            return extent;
        hs_block_brief(heaps, extent, *off_ret, &brief);
        return va - extent->va - *off_ret < brief.total ? extent : NULL;
    }
    return NULL;
}

enum hs_status hs_blocks_find_id(const struct hs_blocks *blocks, hs_va va, uint32_t *id_ret)
{
    uint64_t off;
    uint32_t id;

    if (!hs_blocks_locate(blocks, va, &id, &off))
        return HS_NOT_FOUND;
    *id_ret = id;
    return HS_OK;
}

enum hs_status hs_blocks_find(const struct hs_blocks *blocks, hs_va va, struct hs_block *block_ret)
{
    const struct hs_extent *extent;
    uint64_t off;
    uint32_t id;

    extent = hs_blocks_locate(blocks, va, &id, &off);
    if (!extent)
        return HS_NOT_FOUND;
    hs_block_fill(blocks, extent, id, off, block_ret);
    return HS_OK;
}

const struct hs_heap_totals *hs_blocks_totals(const struct hs_blocks *blocks, size_t heap_idx)
{
    return heap_idx < blocks->heaps->count ? &blocks->totals[heap_idx] : NULL;
}
