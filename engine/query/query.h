/* query.h - the door of query/: sets of blocks and groups of them, over whole heaps at once. */
#ifndef HS_QUERY_H
#define HS_QUERY_H

#include "dump/dump.h"
#include <heapsift/query.h>

/* Some of the blocks [from, to), one bit a block in id order. A set that was only asked for by state keeps no bits until
 * somebody needs them: whoever goes over its blocks looks at their headers anyway. */
struct hs_set {
    struct hs_dump *dump;
    const struct hs_blocks *blocks;
    uint32_t from, to;   /* ids; every bit outside is clear */
    unsigned states;     /* while !settled: blocks of these states (bit 1 << state) belong to it */
    atomic_bool settled; /* words say what belongs to it */
    uint64_t *words;     /* for all blocks of the dump */
    uint32_t count;
    uint64_t bytes; /* user sizes added up */
};

/* Blocks of one item of a parallel loop: a multiple of 64, so that no two items write one word of a set. */
#define HS_SHARD_BLOCKS 65536u

/* Goes over the blocks of a set with ids in [from, to), in id order. */
struct hs_set_cursor {
    struct hs_block_cursor block;
    struct hs_brief brief; /* of the block found */
    const uint64_t *words; /* NULL: by states */
    unsigned states;
    uint32_t to;
    struct hs_block_cursor ahead; /* some blocks further on: what it finds is fetched into the cache */
};
#define HS_SET_AHEAD 16
/* The same where every block is looked at: as many bytes further on, whatever stands there. */
#define HS_BYTES_AHEAD 1024

void hs_set_cursor_init(struct hs_set_cursor *cursor, const struct hs_set *set, uint32_t from, uint32_t to);

/* Steps one of the cursor's two places to the next block that the words have; false past the last. */
static inline bool hs_set_cursor_step(const struct hs_set_cursor *cursor, struct hs_block_cursor *place)
{
    uint32_t id = place->next_id;
    size_t word = id / 64;
    uint64_t bits;

    if (id >= cursor->to)
        return false;
    bits = cursor->words[word] & (UINT64_MAX << (id % 64));
    while (!bits) {
        if ((uint64_t)++word * 64 >= cursor->to)
            return false;
        bits = cursor->words[word];
    }
    id = (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(bits);
    if (id >= cursor->to)
        return false;
    hs_block_cursor_skip(place, id);
    return hs_block_cursor_next(place);
}

/* Blocks of a thin set lie too far apart for the processor to guess where the next one is. */
static inline void hs_set_cursor_fetch(struct hs_set_cursor *cursor)
{
    if (!hs_set_cursor_step(cursor, &cursor->ahead)) {
        cursor->ahead.next_id = cursor->to;
    } else if (cursor->ahead.extent->kind == HS_EXTENT_RUN) {
        __builtin_prefetch(cursor->ahead.extent->bytes + cursor->ahead.off);
        __builtin_prefetch(cursor->ahead.extent->bytes + cursor->ahead.off + 24);
    }
}

/* The place may lie outside of what is mapped, so it is no pointer until the processor looks at it. */
static inline void hs_fetch_ahead(const struct hs_block_cursor *place)
{
    uintptr_t at = (uintptr_t)place->extent->bytes + place->off + HS_BYTES_AHEAD;

    __builtin_prefetch((const void *)at); /* NOLINT(performance-no-int-to-ptr) */
}

static inline bool hs_set_cursor_next(struct hs_set_cursor *cursor)
{
    if (cursor->words) {
        hs_set_cursor_fetch(cursor);
        if (!hs_set_cursor_step(cursor, &cursor->block))
            return false;
        hs_block_brief(cursor->block.blocks->heaps, cursor->block.extent, cursor->block.off, &cursor->brief);
        return true;
    }
    while (cursor->block.next_id < cursor->to && hs_block_cursor_next(&cursor->block)) {
        hs_fetch_ahead(&cursor->block);
        hs_block_brief(cursor->block.blocks->heaps, cursor->block.extent, cursor->block.off, &cursor->brief);
        if (cursor->states >> cursor->brief.state & 1)
            return true;
    }
    return false;
}

/* Runs `run(context, shard)` for each shard of the blocks [from, to) on all threads of the dump. Shard s has the ids
 * hs_shard_from(set, s) up to the next one's. */
void hs_set_parallel(const struct hs_set *set, void (*run)(void *context, size_t shard), void *context);
size_t hs_set_shards(const struct hs_set *set);
uint32_t hs_shard_from(const struct hs_set *set, size_t shard);
uint32_t hs_shard_to(const struct hs_set *set, size_t shard);

/* filter.c: what the program leaves for the cursor's block; false if that is missing. */
bool hs_filter_value(const struct hs_filter *filter, const struct hs_set_cursor *cursor, int64_t *value_ret);
/* The dump that a filter was made for. */
const struct hs_dump *hs_filter_dump(const struct hs_filter *filter);

/* An empty, settled set for the blocks of a dump; NULL when out of memory. */
struct hs_set *hs_set_new(struct hs_dump *dump, const struct hs_blocks *blocks);

#endif
