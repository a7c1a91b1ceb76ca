/* heap.h - the door of heap/: where blocks begin and end, and which are in use. */
#ifndef HS_HEAP_H
#define HS_HEAP_H

#include "process/process.h"
#include <heapsift/heap.h>

/* What is inside an extent. */
enum hs_extent_kind {
    HS_EXTENT_RUN,  /* bytes of a segment that the dump holds: any number of blocks, starts in a bitmap */
    HS_EXTENT_HOLE, /* an uncommitted range of a segment: one block, no bytes */
    HS_EXTENT_LARGE /* a block allocated with VirtualAlloc */
};

/* A piece of a heap. Extents do not overlap; those of a heap stand together, its segments' in address order first. */
struct hs_extent {
    enum hs_extent_kind kind;
    hs_va va;
    uint64_t size;        /* bytes; of a large block its whole commit, from the list entry on */
    const uint8_t *bytes; /* mapped dump memory: run: all of it; large: at least the list entry and header */
    uint32_t heap_idx;
    uint32_t segment_idx;     /* into hs_heaps.segments; UINT32_MAX for a large block */
    uint64_t headers_off;     /* from there on, headers say what blocks are; UINT64_MAX: they have none like others */
    uint32_t first_id, count; /* of its blocks */
    uint64_t *starts;         /* run: one bit a unit, set where a block begins */
    uint32_t *ranks;          /* run: blocks before each HS_RANK_WORDS words */
};
#define HS_RANK_WORDS 2u

/* A segment and where its extents stand. */
struct hs_heap_segment {
    struct hs_segment facts;
    size_t first_extent, extent_count;
    bool whole; /* the walk found blocks side by side from base to end */
};

struct hs_extent_place {
    hs_va va;
    uint32_t idx;
};

struct hs_heaps {
    const struct hs_process *process;
    struct hs_notes *notes;
    struct hs_arena arena;
    unsigned unit;       /* bytes: 8 or 16 */
    unsigned unit_shift; /* unit = 1 << unit_shift */
    unsigned header_off; /* of the 8 bytes in a _HEAP_ENTRY that say something */

    struct hs_heap *heaps;
    size_t count;
    enum hs_heap_list list;
    hs_va *front_end_va; /* a heap: user address of its look-aside array, or 0 */
    hs_va **lookaside;   /* a heap: header addresses of blocks on look-aside lists, sorted */
    size_t *lookaside_count;
    size_t *first_segment; /* count + 1 entries into segments */
    struct hs_heap_segment *segments;
    size_t segment_count, segment_capacity;

    struct hs_extent *extents;
    size_t extent_count, extent_capacity;
    bool too_many;                         /* extents: some were left out */
    struct hs_extent_place *extents_by_va; /* those that are not empty, in address order */
    size_t extents_by_va_count;
    /* Where to look among them: near[i] of them begin at or below near_va + (i << near_shift). */
    uint32_t *near;
    hs_va near_va;
    unsigned near_shift;
    uint64_t *lost; /* a heap: bytes whose headers or segment records cannot be used, known before the walk */
};

/* Finds heaps, segments, uncommitted ranges, large blocks and look-aside lists. Walks no blocks. HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_heaps_init(struct hs_heaps *heaps, const struct hs_process *process,
                                           struct hs_notes *notes, struct hs_error *err);
void hs_heaps_deinit(struct hs_heaps *heaps);
#define HS_NEAR_COUNT 32768u /* slices of the address range of all heaps */
/* Index into extents_by_va of the last extent that begins at or below `va`; SIZE_MAX if there is none. */
size_t hs_heaps_extent_below(const struct hs_heaps *heaps, hs_va va);

/* How many busy blocks have one user size. */
struct hs_size_count {
    uint64_t size, count;
};

struct hs_blocks {
    struct hs_heaps *heaps;
    uint32_t count;
    struct hs_heap_totals *totals; /* a heap */
    uint32_t *first_id;            /* a heap: of its blocks; heap count + 1 elements */
    struct hs_size_count **sizes;  /* a heap: busy blocks in its segments by size, ascending; NULL: no memory for it */
    size_t *size_counts;           /* a heap: elements of that */
    struct hs_labels *labels;      /* label.c; NULL until something is labelled */
    uint64_t *_Atomic summaries;   /* summary.c: a block; NULL until somebody asks */
    atomic_bool summaries_expected;
};

/* Walks every segment, on `thread_count` threads. `heaps` gets its bitmaps, ids and unread sizes. HS_ERR_MEMORY,
 * HS_ERR_CANCELLED (then deinit and begin again). */
HS_MUST_CHECK enum hs_status hs_blocks_init(struct hs_blocks *blocks, struct hs_heaps *heaps, unsigned thread_count,
                                            struct hs_notes *notes, struct hs_job *job, struct hs_error *err);
void hs_blocks_deinit(struct hs_blocks *blocks);

/* Extent, id and place in it of the block that holds `va`; NULL if no block does. */
const struct hs_extent *hs_blocks_locate(const struct hs_blocks *blocks, hs_va va, uint32_t *id_ret, uint64_t *off_ret);

/* label.c: what somebody says blocks hold. Not for several threads at once. */
HS_MUST_CHECK enum hs_status hs_blocks_add_label(struct hs_blocks *blocks, const struct hs_label *label,
                                                 unsigned thread_count, uint16_t *number_ret, struct hs_error *err);
/* Gives block `id` that label unless it has a better one. */
void hs_blocks_set_label(struct hs_blocks *blocks, uint32_t id, uint16_t number);
/* Numbers of the labels of all blocks, as the next function gives them; NULL while there are none. */
const uint16_t *hs_blocks_label_numbers(const struct hs_blocks *blocks);
/* Number of the label of a block, 0 if it has none; the label and its type's number (from 0) by number. */
uint16_t hs_blocks_label_number(const struct hs_blocks *blocks, uint32_t id);
const struct hs_label *hs_blocks_label(const struct hs_blocks *blocks, uint16_t number);
uint16_t hs_blocks_label_count(const struct hs_blocks *blocks);
uint16_t hs_blocks_label_type(const struct hs_blocks *blocks, uint16_t number);
/* The types' numbers of all labels, by number - 1; NULL: there are no labels yet. Valid until one is given. */
const uint16_t *hs_blocks_label_types(const struct hs_blocks *blocks);
void hs_labels_destroy(struct hs_labels *labels);

/* The 8 bytes of a _HEAP_ENTRY that say something. */
struct hs_entry {
    uint16_t units, previous_units;
    uint8_t small_tag, flags, unused_bytes, segment_index;
};

static inline struct hs_entry hs_entry_load(const struct hs_heaps *heaps, const uint8_t *bytes)
{
    uint64_t raw = hs_load_u64(bytes + heaps->header_off);

    return (struct hs_entry){(uint16_t)raw,        (uint16_t)(raw >> 16), (uint8_t)(raw >> 32),
                             (uint8_t)(raw >> 40), (uint8_t)(raw >> 48),  (uint8_t)(raw >> 56)};
}

/* What whole-heap kernels ask of a block. */
struct hs_brief {
    enum hs_block_state state;
    uint8_t flags;
    uint64_t size, total; /* as in struct hs_block */
};

/* Goes through blocks in id order. */
struct hs_block_cursor {
    const struct hs_blocks *blocks;
    const struct hs_extent *extent;
    size_t word;   /* of extent->starts */
    uint64_t bits; /* of that word, not yet given out */
    uint32_t next_id;
    uint32_t id;  /* of the block found */
    uint64_t off; /* of its header in the extent */
};

/* The cursor's next block is `id` (or there is none). */
void hs_block_cursor_init(struct hs_block_cursor *cursor, const struct hs_blocks *blocks, uint32_t id);
bool hs_block_cursor_next_extent(struct hs_block_cursor *cursor);

/* Steps to the next block; false past the last. */
__attribute__((always_inline)) static inline bool hs_block_cursor_next(struct hs_block_cursor *cursor)
{
    const struct hs_extent *extent = cursor->extent;

    while (!extent || cursor->next_id == extent->first_id + extent->count) {
        if (!hs_block_cursor_next_extent(cursor))
            return false;
        extent = cursor->extent;
    }
    cursor->id = cursor->next_id++;
    if (extent->kind != HS_EXTENT_RUN) {
        cursor->off = 0;
        return true;
    }
    while (!cursor->bits)
        cursor->bits = extent->starts[++cursor->word];
    cursor->off = (cursor->word * 64 + (size_t)__builtin_ctzll(cursor->bits)) * cursor->blocks->heaps->unit;
    cursor->bits &= cursor->bits - 1;
    return true;
}

#define HS_SKIP_MAX 256 /* blocks that are skipped step by step rather than looked up */

/* Makes `id` the cursor's next block; it is not before the present one. */
static inline void hs_block_cursor_skip(struct hs_block_cursor *cursor, uint32_t id)
{
    const struct hs_extent *extent = cursor->extent;
    uint32_t left = id - cursor->next_id;

    if (left == 0)
        return;
    if (!extent || id >= extent->first_id + extent->count || left > HS_SKIP_MAX) {
        hs_block_cursor_init(cursor, cursor->blocks, id);
        return;
    }
    cursor->next_id = id;
    while (extent->kind == HS_EXTENT_RUN && left > 0) {
        uint32_t here = hs_popcount(cursor->bits);

        if (here > left) {
            for (; left > 0; left--)
                cursor->bits &= cursor->bits - 1;
        } else {
            left -= here; /* `id` is still to come, so there are more words */
            cursor->bits = extent->starts[++cursor->word];
        }
    }
}

/* State and sizes of the block at `off` in `extent`. */
void hs_block_brief_special(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off,
                            struct hs_brief *brief_ret);
bool hs_block_is_lookaside(const struct hs_heaps *heaps, uint32_t heap_idx, hs_va va);

__attribute__((always_inline)) static inline void hs_block_brief(const struct hs_heaps *heaps,
                                                                 const struct hs_extent *extent, uint64_t off,
                                                                 struct hs_brief *brief_ret)
{
    struct hs_entry entry;
    hs_va va = extent->va + off;

    if (off < extent->headers_off) {
        hs_block_brief_special(heaps, extent, off, brief_ret);
        return;
    }
    entry = hs_entry_load(heaps, extent->bytes + off);
    brief_ret->flags = entry.flags;
    brief_ret->total = (uint64_t)entry.units * heaps->unit;
    brief_ret->size = brief_ret->total - heaps->unit;
    if (!(entry.flags & HS_ENTRY_BUSY)) {
        brief_ret->state = HS_BLOCK_FREE;
    } else if ((entry.flags & HS_ENTRY_VIRTUAL) || entry.unused_bytes < 8 ||
               va + heaps->unit == heaps->front_end_va[extent->heap_idx]) {
        brief_ret->state = HS_BLOCK_INTERNAL;
    } else if (heaps->lookaside_count[extent->heap_idx] && hs_block_is_lookaside(heaps, extent->heap_idx, va)) {
        brief_ret->state = HS_BLOCK_LOOKASIDE;
    } else {
        brief_ret->state = HS_BLOCK_BUSY;
        brief_ret->size = brief_ret->total - entry.unused_bytes;
    }
}

/* What became of its fill. */
enum hs_fill hs_block_fill_of(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off,
                              const struct hs_brief *brief);
/* The whole block. */
void hs_block_fill(const struct hs_blocks *blocks, const struct hs_extent *extent, uint32_t id, uint64_t off,
                   struct hs_block *block_ret);
/* Its stored index; HS_KEY-like UINT32_MAX if it has none. */
uint32_t hs_block_stored(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off,
                         const struct hs_brief *brief);
/* The same with its heap tag (TagIndex), if it has one; NULL: not wanted. */
uint32_t hs_block_stored_tag(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off,
                             const struct hs_brief *brief, uint16_t *tag_ret);

/* ---- summary.c: what whole-heap kernels ask of a block in one word, so that they need not look at its header ---- */

#define HS_SUMMARY_SIZE UINT64_C(0x3ffffff)      /* bits of the user size; all set: a size that does not fit */
#define HS_SUMMARY_HAS_FIRST (UINT64_C(1) << 26) /* hs_summary_firsts tells its first bytes */
#define HS_SUMMARY_TAGGED (UINT64_C(1) << 27)
#define HS_SUMMARY_HAS_STORED (UINT64_C(1) << 28)
#define HS_SUMMARY_STATE_AT 29u  /* 3 bits */
#define HS_SUMMARY_FLAGS_AT 32u  /* 8 bits */
#define HS_SUMMARY_EXTRA_AT 40u  /* 8 bits: total size less user size */
#define HS_SUMMARY_STORED_AT 48u /* 16 bits */

/* One word a block, made when first asked for; NULL: no memory for it. Behind them stand the first user bytes. */
const uint64_t *hs_blocks_summaries(const struct hs_blocks *blocks, unsigned thread_count);
/* The same if they are made already, else NULL. */
static inline const uint64_t *hs_blocks_summaries_made(const struct hs_blocks *blocks)
{
    return atomic_load_explicit(&((struct hs_blocks *)(uintptr_t)blocks)->summaries, memory_order_acquire);
}
/* The first 4 user bytes of each block with HS_SUMMARY_HAS_FIRST, as a little-endian integer; past its end they are 0. */
static inline const uint32_t *hs_summary_firsts(const struct hs_blocks *blocks, const uint64_t *summaries)
{
    const void *behind = summaries + blocks->count;

    return behind;
}
/* Says that many will ask: whoever goes through the headers of all blocks before that makes them by the way. */
void hs_blocks_expect_summaries(const struct hs_blocks *blocks);
/* Those that are made by the way; NULL: they are not expected, or made already, or there is no memory for them. */
struct hs_summing *hs_summing_begin(const struct hs_blocks *blocks);
/* Takes block `id`, whose header was just read. Not for one block twice. */
void hs_summing_take(const struct hs_summing *summing, const struct hs_extent *extent, uint64_t off, uint32_t id,
                     const struct hs_brief *brief);
/* Keeps the summaries if every block was taken. NULL is allowed. */
void hs_summing_end(struct hs_summing *summing, bool all_taken);
/* State and sizes of block `id`, from its header. */
void hs_block_brief_of(const struct hs_blocks *blocks, uint32_t id, struct hs_brief *brief_ret);

static inline enum hs_block_state hs_summary_state(uint64_t summary)
{
    return (enum hs_block_state)(summary >> HS_SUMMARY_STATE_AT & 7);
}
/* UINT32_MAX: it has none. */
static inline uint32_t hs_summary_stored(uint64_t summary)
{
    return summary & HS_SUMMARY_HAS_STORED ? (uint32_t)(summary >> HS_SUMMARY_STORED_AT) : UINT32_MAX;
}
static inline void hs_summary_brief(const struct hs_blocks *blocks, uint32_t id, uint64_t summary,
                                    struct hs_brief *brief_ret)
{
    if ((summary & HS_SUMMARY_SIZE) == HS_SUMMARY_SIZE) {
        hs_block_brief_of(blocks, id, brief_ret);
        return;
    }
    brief_ret->state = hs_summary_state(summary);
    brief_ret->flags = (uint8_t)(summary >> HS_SUMMARY_FLAGS_AT);
    brief_ret->size = summary & HS_SUMMARY_SIZE;
    brief_ret->total = brief_ret->size + (summary >> HS_SUMMARY_EXTRA_AT & 0xff);
}
static inline uint64_t hs_summary_size(const struct hs_blocks *blocks, uint32_t id, uint64_t summary)
{
    struct hs_brief brief;

    hs_summary_brief(blocks, id, summary, &brief);
    return brief.size;
}

#endif
