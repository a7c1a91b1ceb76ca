/* query.h - the door of query/: sets of blocks and groups of them, over whole heaps at once. */
#ifndef HS_QUERY_H
#define HS_QUERY_H

#include "dump/dump.h"
#include <heapsift/query.h>

/* One bit a block, in id order. */
struct hs_set {
    const struct hs_blocks *blocks;
    unsigned thread_count;
    uint32_t block_count; /* of the dump: bits that are used */
    uint64_t *words;
    uint32_t count; /* bits that are set */
    uint64_t bytes; /* user sizes of those blocks added up */
};

/* Blocks of one item of a parallel loop: a multiple of 64, so that no two items write one word of a set. */
#define HS_SHARD_BLOCKS 65536u
static inline size_t hs_shard_count(uint32_t block_count)
{
    return ((size_t)block_count + HS_SHARD_BLOCKS - 1) / HS_SHARD_BLOCKS;
}

/* An empty set for the blocks of a dump; NULL when out of memory. */
struct hs_set *hs_set_new(const struct hs_blocks *blocks, unsigned thread_count);

#endif
