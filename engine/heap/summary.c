/* summary.c - one word a block: state, flags, sizes, stored index; and its first 4 user bytes. Headers lie far apart; the
 * words lie side by side, so that a kernel that asks no more of a million blocks goes through 12 MB and not through their
 * heaps. */
#include "heap/heap.h"

#include <stdlib.h>

#define ITEM 32768u /* blocks of one item of the parallel loop */
#define AHEAD 32u   /* blocks whose headers are fetched while those before them are read */

struct hs_summing {
    const struct hs_blocks *blocks;
    uint64_t *summaries;
    uint32_t *firsts;
};

static uint64_t summary_of(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off,
                           const struct hs_brief *brief)
{
    uint16_t tag = 0;
    uint32_t stored = hs_block_stored_tag(heaps, extent, off, brief, &tag);
    uint64_t summary = (uint64_t)brief->state << HS_SUMMARY_STATE_AT | (uint64_t)brief->flags << HS_SUMMARY_FLAGS_AT;
    uint64_t extra = brief->total - brief->size; /* of a large block it may be anything */

    if (stored != UINT32_MAX)
        summary |= HS_SUMMARY_HAS_STORED | (uint64_t)stored << HS_SUMMARY_STORED_AT;
    if (tag)
        summary |= HS_SUMMARY_TAGGED;
    if (brief->size >= HS_SUMMARY_SIZE || extra > 0xff)
        return summary | HS_SUMMARY_SIZE;
    return summary | brief->size | extra << HS_SUMMARY_EXTRA_AT;
}

/* Takes the first user bytes of a block, if they are mapped together with its header. */
static uint64_t take_first(const struct hs_heaps *heaps, const struct hs_extent *extent, uint64_t off, uint64_t summary,
                           uint32_t *first_ret)
{
    uint64_t size = summary & HS_SUMMARY_SIZE, at = off + heaps->unit;

    *first_ret = 0;
    if (size > sizeof *first_ret)
        size = sizeof *first_ret;
    if (extent->kind != HS_EXTENT_RUN || at + size > extent->size)
        return summary;
    *first_ret =
        size == 4 ? hs_load_u32(extent->bytes + at) : (uint32_t)hs_load_uint(extent->bytes + at, (unsigned)size);
    return summary | HS_SUMMARY_HAS_FIRST;
}

void hs_summing_take(const struct hs_summing *summing, const struct hs_extent *extent, uint64_t off, uint32_t id,
                     const struct hs_brief *brief)
{
    const struct hs_heaps *heaps = summing->blocks->heaps;

    summing->summaries[id] =
        take_first(heaps, extent, off, summary_of(heaps, extent, off, brief), &summing->firsts[id]);
}

struct place {
    const struct hs_extent *extent;
    uint64_t off;
};

static void sum_item(void *context, size_t item)
{
    const struct hs_summing *summing = context;
    const struct hs_blocks *blocks = summing->blocks;
    uint32_t from = (uint32_t)item * ITEM, to = blocks->count - from > ITEM ? from + ITEM : blocks->count;
    struct hs_block_cursor cursor;
    struct place places[AHEAD];

    hs_block_cursor_init(&cursor, blocks, from);
    for (uint64_t id = from; id < to + (uint64_t)AHEAD; id++) {
        struct place *place = &places[id % AHEAD];

        if (id >= from + AHEAD) {
            struct hs_brief brief;

            hs_block_brief(blocks->heaps, place->extent, place->off, &brief);
            hs_summing_take(summing, place->extent, place->off, (uint32_t)id - AHEAD, &brief);
        }
        if (id >= to || !hs_block_cursor_next(&cursor))
            continue;
        *place = (struct place){cursor.extent, cursor.off};
        if (cursor.extent->kind == HS_EXTENT_RUN) {
            hs_prefetch(cursor.extent->bytes + cursor.off);
            hs_prefetch(cursor.extent->bytes + cursor.off + blocks->heaps->unit);
        }
    }
}

static struct hs_summing *summing_new(const struct hs_blocks *blocks)
{
    struct hs_summing *summing = malloc(sizeof *summing);
    uint64_t *summaries = malloc(((size_t)blocks->count + 1) * (sizeof *summaries + sizeof *summing->firsts));
    void *behind;

    if (!summing || !summaries) {
        free(summing);
        free(summaries);
        return NULL;
    }
    behind = summaries + blocks->count;
    *summing = (struct hs_summing){blocks, summaries, behind};
    return summing;
}

void hs_blocks_expect_summaries(const struct hs_blocks *blocks)
{
    atomic_store_explicit(&((struct hs_blocks *)(uintptr_t)blocks)->summaries_expected, true, memory_order_relaxed);
}

struct hs_summing *hs_summing_begin(const struct hs_blocks *blocks)
{
    bool expected =
        atomic_load_explicit(&((struct hs_blocks *)(uintptr_t)blocks)->summaries_expected, memory_order_relaxed);

    return expected && !hs_blocks_summaries_made(blocks) ? summing_new(blocks) : NULL;
}

void hs_summing_end(struct hs_summing *summing, bool all_taken)
{
    uint64_t *present = NULL;

    if (!summing)
        return;
    if (!all_taken || !atomic_compare_exchange_strong(&((struct hs_blocks *)(uintptr_t)summing->blocks)->summaries,
                                                      &present, summing->summaries))
        free(summing->summaries); /* or somebody else was quicker */
    free(summing);
}

const uint64_t *hs_blocks_summaries(const struct hs_blocks *blocks, unsigned thread_count)
{
    struct hs_summing *summing;

    if (hs_blocks_summaries_made(blocks) || !(summing = summing_new(blocks)))
        return hs_blocks_summaries_made(blocks);
    hs_parallel(thread_count, ((size_t)blocks->count + ITEM - 1) / ITEM, sum_item, summing);
    hs_summing_end(summing, true);
    return hs_blocks_summaries_made(blocks);
}

void hs_block_brief_of(const struct hs_blocks *blocks, uint32_t id, struct hs_brief *brief_ret)
{
    struct hs_block_cursor cursor;

    memset(brief_ret, 0, sizeof *brief_ret);
    hs_block_cursor_init(&cursor, blocks, id);
    if (hs_block_cursor_next(&cursor))
        hs_block_brief(blocks->heaps, cursor.extent, cursor.off, brief_ret);
}
