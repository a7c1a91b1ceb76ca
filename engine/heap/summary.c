/* summary.c - one word a block: state, flags, sizes, stored index; and its first 4 user bytes. Headers lie far apart; the
 * words lie side by side, so that a kernel that asks no more of a million blocks goes through 12 MB and not through their
 * heaps. */
#include "heap/heap.h"

#include <stdlib.h>

#define ITEM 32768u /* blocks of one item of the parallel loop */
#define AHEAD 32u   /* blocks whose headers are fetched while those before them are read */

struct summing {
    const struct hs_blocks *blocks;
    uint64_t *summaries;
    uint32_t *firsts;
};

struct place {
    const struct hs_extent *extent;
    uint64_t off;
};

static uint64_t summary_of(const struct hs_heaps *heaps, const struct place *place)
{
    struct hs_brief brief;
    uint32_t stored;
    uint16_t tag = 0;
    uint64_t summary, extra;

    hs_block_brief(heaps, place->extent, place->off, &brief);
    stored = hs_block_stored_tag(heaps, place->extent, place->off, &brief, &tag);
    summary = (uint64_t)brief.state << HS_SUMMARY_STATE_AT | (uint64_t)brief.flags << HS_SUMMARY_FLAGS_AT;
    if (stored != UINT32_MAX)
        summary |= HS_SUMMARY_HAS_STORED | (uint64_t)stored << HS_SUMMARY_STORED_AT;
    if (tag)
        summary |= HS_SUMMARY_TAGGED;
    extra = brief.total - brief.size; /* of a large block it may be anything */
    if (brief.size >= HS_SUMMARY_SIZE || extra > 0xff)
        return summary | HS_SUMMARY_SIZE;
    return summary | brief.size | extra << HS_SUMMARY_EXTRA_AT;
}

/* Takes the first user bytes of a block, if they are mapped together with its header. */
static uint64_t take_first(const struct hs_heaps *heaps, const struct place *place, uint64_t summary,
                           uint32_t *first_ret)
{
    uint64_t size = summary & HS_SUMMARY_SIZE, at = place->off + heaps->unit;

    *first_ret = 0;
    if (size > sizeof *first_ret)
        size = sizeof *first_ret;
    if (place->extent->kind != HS_EXTENT_RUN || at + size > place->extent->size)
        return summary;
    *first_ret = size == 4 ? hs_load_u32(place->extent->bytes + at)
                           : (uint32_t)hs_load_uint(place->extent->bytes + at, (unsigned)size);
    return summary | HS_SUMMARY_HAS_FIRST;
}

static void sum_item(void *context, size_t item)
{
    const struct summing *summing = context;
    const struct hs_blocks *blocks = summing->blocks;
    uint32_t from = (uint32_t)item * ITEM, to = blocks->count - from > ITEM ? from + ITEM : blocks->count;
    struct hs_block_cursor cursor;
    struct place places[AHEAD];

    hs_block_cursor_init(&cursor, blocks, from);
    for (uint64_t id = from; id < to + (uint64_t)AHEAD; id++) {
        struct place *place = &places[id % AHEAD];

        if (id >= from + AHEAD)
            summing->summaries[id - AHEAD] =
                take_first(blocks->heaps, place, summary_of(blocks->heaps, place), &summing->firsts[id - AHEAD]);
        if (id >= to || !hs_block_cursor_next(&cursor))
            continue;
        *place = (struct place){cursor.extent, cursor.off};
        if (cursor.extent->kind == HS_EXTENT_RUN) {
            hs_prefetch(cursor.extent->bytes + cursor.off);
            hs_prefetch(cursor.extent->bytes + cursor.off + blocks->heaps->unit);
        }
    }
}

const uint64_t *hs_blocks_summaries(const struct hs_blocks *blocks, unsigned thread_count)
{
    struct hs_blocks *own = (struct hs_blocks *)(uintptr_t)blocks;
    struct summing summing = {.blocks = blocks};
    const uint64_t *made = hs_blocks_summaries_made(blocks);
    uint64_t *present = NULL;
    void *behind;

    if (made)
        return made;
    summing.summaries = malloc(((size_t)blocks->count + 1) * (sizeof *summing.summaries + sizeof *summing.firsts));
    if (!summing.summaries)
        return NULL;
    behind = summing.summaries + blocks->count;
    summing.firsts = behind;
    hs_parallel(thread_count, ((size_t)blocks->count + ITEM - 1) / ITEM, sum_item, &summing);
    if (!atomic_compare_exchange_strong(&own->summaries, &present, summing.summaries)) {
        free(summing.summaries); /* somebody else was quicker */
        return present;
    }
    return summing.summaries;
}

void hs_block_brief_of(const struct hs_blocks *blocks, uint32_t id, struct hs_brief *brief_ret)
{
    struct hs_block_cursor cursor;

    memset(brief_ret, 0, sizeof *brief_ret);
    hs_block_cursor_init(&cursor, blocks, id);
    if (hs_block_cursor_next(&cursor))
        hs_block_brief(blocks->heaps, cursor.extent, cursor.off, brief_ret);
}
