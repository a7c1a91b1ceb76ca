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
    _Atomic uint64_t bytes; /* user sizes added up; HS_SET_NOT_ADDED: see hs_set_bytes */
};
#define HS_SET_NOT_ADDED UINT64_MAX

/* Blocks of one item of a parallel loop: a multiple of 64, so that no two items write one word of a set. */
#define HS_SHARD_BLOCKS 65536u

/* A block that a cursor found. */
struct hs_spot {
    const struct hs_extent *extent; /* NULL: it is plain, nobody has looked where it lies */
    union {
        uint64_t off;     /* of its header in the extent */
        uint64_t summary; /* plain */
    };
    const uint8_t *user; /* its user bytes; NULL: not all are mapped side by side. Plain: the first 4 of them */
    struct hs_brief brief;
    uint32_t id;
};

/* Where the user bytes of a block that is no hole begin in its extent. */
static inline uint64_t hs_spot_user_off(const struct hs_heaps *heaps, const struct hs_spot *spot)
{
    if (spot->extent->kind == HS_EXTENT_LARGE)
        return hs_layout_off(heaps->process->layout, HS_FIELD_VIRTUAL_SIZEOF);
    return spot->off + heaps->unit;
}

/* Goes over the blocks of a set with ids in [from, to), in id order. */
struct hs_set_cursor {
    struct hs_block_cursor block;
    const uint64_t *words; /* NULL: by states */
    bool few;              /* they have few of the blocks */
    unsigned states;
    uint32_t to;
    const uint64_t *made;       /* summaries of all blocks, if they were made already: headers need no look then */
    struct hs_summing *summing; /* NULL, or takes each block that is looked at */
    const struct hs_set *set;   /* plain: the set and the summaries of all blocks, else NULL; */
    const uint64_t *summaries;  /* `word` is the next of the set's */
    size_t word;
};

/* Blocks that are looked at together: their headers come into the cache while others are still being found. */
#define HS_BATCH 64u

void hs_set_cursor_init(struct hs_set_cursor *cursor, const struct hs_set *set, uint32_t from, uint32_t to);
/* A plain one, for from and to between shards: gives plain spots, where the summary says enough of a block. */
void hs_set_cursor_init_plain(struct hs_set_cursor *cursor, const struct hs_set *set, const uint64_t *summaries,
                              uint32_t from, uint32_t to);
/* Makes a plain spot where the summary says enough of a block, else one like any other. first: see hs_summary_firsts. */
void hs_spot_take_plain(const struct hs_blocks *blocks, uint32_t id, uint64_t summary, const uint32_t *first,
                        struct hs_spot *spot);
/* The next blocks, at most HS_BATCH; 0 past the last. */
size_t hs_set_cursor_take(struct hs_set_cursor *cursor, struct hs_spot *spots);

/* Which of the 64 blocks from id `word` * 64 on belong to the set: bit i is block `word` * 64 + i. `summaries` are those of
 * all blocks. Whoever needs no more of a block than its summary goes over a set with this, and not with a cursor. */
static inline uint64_t hs_set_bits(const struct hs_set *set, const uint64_t *summaries, size_t word)
{
    uint64_t first = (uint64_t)word * 64, bits = 0;
    uint64_t from = set->from > first ? set->from : first, to = set->to < first + 64 ? set->to : first + 64;

    if (atomic_load_explicit(&set->settled, memory_order_acquire))
        return set->words[word];
    for (uint64_t id = from; id < to; id++)
        bits |= (uint64_t)(set->states >> hs_summary_state(summaries[id]) & 1) << (id - first);
    return bits;
}

/* Runs `run(context, shard)` for each shard of the blocks [from, to) on all threads of the dump. Shard s has the ids
 * hs_shard_from(set, s) up to the next one's. */
void hs_set_parallel(const struct hs_set *set, void (*run)(void *context, size_t shard), void *context);
size_t hs_set_shards(const struct hs_set *set);
uint32_t hs_shard_from(const struct hs_set *set, size_t shard);
uint32_t hs_shard_to(const struct hs_set *set, size_t shard);

/* filter.c: what the program leaves for a block; false if that is missing. Only a plain program takes plain spots. */
bool hs_filter_value(const struct hs_filter *filter, const struct hs_spot *spot, int64_t *value_ret);
/* filter_batch.c: the blocks that it is true for, of 1 to HS_BATCH that are not plain: bit i is spots[i]. */
uint64_t hs_filter_batch(const struct hs_filter *filter, const struct hs_spot *spots, size_t count);
/* A plain program: those of the blocks `bits` from id `word` * 64 on. */
uint64_t hs_filter_word(const struct hs_filter *filter, const uint64_t *summaries, size_t word, uint64_t bits);
/* Whether it asks for nothing but what summaries, labels and other facts by id tell. */
bool hs_filter_is_plain(const struct hs_filter *filter);
/* The dump that a filter was made for. */
const struct hs_dump *hs_filter_dump(const struct hs_filter *filter);

/* An empty, settled set for the blocks of a dump; NULL when out of memory. */
struct hs_set *hs_set_new(struct hs_dump *dump, const struct hs_blocks *blocks);

/* ---- column.c: numbers of blocks ---- */

/* A number for each block of a set, or none. Counted owners: whoever creates or retains it releases it. */
struct hs_column {
    atomic_uint owners;
    uint32_t from, to; /* ids of blocks that can have one; from is a multiple of 64 */
    uint64_t *has;     /* a bit a block, from `from` on */
    int64_t *values;
};

/* Without any number yet, for the blocks of a set. NULL when out of memory. */
struct hs_column *hs_column_create(const struct hs_set *set);
struct hs_column *hs_column_retain(struct hs_column *column);
/* NULL is allowed. */
void hs_column_release(struct hs_column *column);
/* How many blocks have a number; bytes of memory that the column takes. */
uint64_t hs_column_count(const struct hs_column *column);
size_t hs_column_memory(const struct hs_column *column);

/* Two threads may put at once if their blocks are in different shards. */
static inline void hs_column_put(struct hs_column *column, uint32_t id, int64_t value)
{
    uint32_t at = id - column->from;

    column->has[at / 64] |= UINT64_C(1) << (at % 64);
    column->values[at] = value;
}

static inline bool hs_column_get(const struct hs_column *column, uint32_t id, int64_t *value_ret)
{
    uint32_t at = id - column->from;

    if (id < column->from || id >= column->to || !(column->has[at / 64] >> (at % 64) & 1))
        return false;
    *value_ret = column->values[at];
    return true;
}

/* Gives a dump a column by name, in the place of one that had that name. Retains it. HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_dump_set_column(struct hs_dump *dump, const char *name, struct hs_column *column,
                                                struct hs_error *err);
/* That column, retained for the caller; NULL: there is none. */
struct hs_column *hs_dump_column(struct hs_dump *dump, const char *name);

#include "query/attribution.h"

#endif
