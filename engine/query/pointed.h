/* pointed.h - inside query/: places of heaps that many pointers lead to, one bit a unit; then the blocks there. */
#ifndef HS_QUERY_POINTED_H
#define HS_QUERY_POINTED_H

#include "query/query.h"

/* Threads set bits of `units` and `inside` themselves, with atomic operations. */
struct hs_pointed {
    const struct hs_blocks *blocks;
    uint64_t **units;  /* an extent: a bit a unit, as its `starts`: something points to its first byte, */
    uint64_t **inside; /* or to another one; both NULL where blocks do not lie side by side */
    uint64_t *unit_bits, *inside_bits;
};

/* HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_pointed_init(struct hs_pointed *pointed, const struct hs_blocks *blocks,
                                             unsigned thread_count, struct hs_error *err);
void hs_pointed_deinit(struct hs_pointed *pointed);
/* Adds the blocks that the bits lie in: one bit a block, in id order, for each aim. */
void hs_pointed_blocks(const struct hs_pointed *pointed, unsigned thread_count, uint64_t *const aims[HS_AIM_COUNT]);

#endif
