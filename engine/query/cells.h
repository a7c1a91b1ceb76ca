/* cells.h - between cells.c, which reads the busy blocks, and cells_sort.c, which sorts them. */
#ifndef HS_QUERY_CELLS_H
#define HS_QUERY_CELLS_H

#include "query/attribution.h"

/* The busy blocks of one item of the pass, by part, in id order in each. */
struct hs_cell_shard {
    uint32_t slot;                     /* whose numbers these are */
    uint32_t *numbers;                 /* of keys */
    uint32_t *places;                  /* stored index << 16 | place in the shard */
    uint32_t first[HS_CELL_PARTS + 1]; /* of a part */
    struct hs_cell_tag *tags;
    size_t tag_count, tag_capacity;
};

struct hs_cell_part_of {
    uint32_t first_id; /* in hs_cells.ids */
    struct hs_cell *cells;
    uint32_t cell_count, first_cell;
    size_t cell_capacity;
};

/* A key and its number + 1; 0: none. */
struct hs_cell_known {
    uint64_t key;
    uint32_t number;
};
#define HS_CELL_RECENT_BITS 10u

/* What each thread has for itself. */
struct hs_cell_slot {
    struct hs_map numbers; /* a key: its number + 1, in the order in which they came up */
    struct hs_cell_known
        recent[1u << HS_CELL_RECENT_BITS]; /* most blocks have one of few keys: these stay in the cache */
    uint32_t *ranks;                       /* a number: the place of its key among all keys in order */
    uint64_t *words;                       /* room to sort in */
    size_t capacity;
};

struct hs_cell_sorting {
    struct hs_cells *cells;
    struct hs_job *job;
    unsigned thread_count;
    struct hs_cell_shard *shards;
    size_t shard_count;
    struct hs_cell_slot *slots;
    uint64_t *keys; /* of all blocks, each once, in order */
    uint32_t key_count;
    struct hs_cell_part_of parts[HS_CELL_PARTS];
    atomic_bool out_of_memory;
};

/* Makes the cells of what the shards hold; false if there is no memory. */
bool hs_cells_sort(struct hs_cell_sorting *sorting);

#endif
