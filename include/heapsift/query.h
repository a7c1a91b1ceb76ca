/* query.h - sets of blocks and groups of them: whole-heap questions without a call per block. */
#ifndef HEAPSIFT_QUERY_H
#define HEAPSIFT_QUERY_H

#include <heapsift/heap.h>
#include <heapsift/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A set of blocks of one dump. Owned by the caller. */
struct hs_set;

/* Which blocks hs_set_create takes. */
struct hs_set_options {
    bool one_heap; /* only those of heap_idx */
    size_t heap_idx;
    unsigned states; /* bit 1 << enum hs_block_state for each state to take; 0: all */
};

/* All blocks that fit `options` (NULL: all). Walks the heaps if that has not been done.
 * HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK HS_API enum hs_status hs_set_create(struct hs_dump *dump, const struct hs_set_options *options,
                                                  struct hs_job *job, struct hs_set **set_ret, struct hs_error *err);
/* NULL is allowed; the dump may be closed already. */
HS_API void hs_set_destroy(struct hs_set *set);

enum hs_set_op { HS_SET_OR, HS_SET_AND, HS_SET_MINUS };

/* A new set: a op b. Both must come from the same dump: HS_ERR_ARGUMENT. */
HS_MUST_CHECK HS_API enum hs_status hs_set_combine(const struct hs_set *a, enum hs_set_op op, const struct hs_set *b,
                                                   struct hs_set **set_ret, struct hs_error *err);

/* How many blocks; their sizes added up (user sizes) are hs_set_bytes. */
HS_API uint32_t hs_set_count(const struct hs_set *set);
HS_API uint64_t hs_set_bytes(const struct hs_set *set);
HS_API bool hs_set_has(const struct hs_set *set, uint32_t id);

/* The smallest id in the set that is at least `id`. HS_NOT_FOUND: there is none. */
HS_MUST_CHECK HS_API enum hs_status hs_set_next(const struct hs_set *set, uint32_t id, uint32_t *id_ret);

/* What blocks can be grouped by. */
enum hs_key {
    HS_KEY_SIZE,       /* user size */
    HS_KEY_SIZE_CLASS, /* smallest power of two that holds the user size */
    HS_KEY_HEAP,       /* heap index */
    HS_KEY_STATE,      /* enum hs_block_state */
    HS_KEY_STORED,     /* stored index; blocks without one are in a group of their own, HS_KEY_NONE */
    HS_KEY_TOTAL,      /* bytes with header */
    HS_KEY_FLAGS,      /* raw flags */
    HS_KEY_TAG,        /* TagIndex */
    HS_KEY_FIRST_WORD  /* the first 4 (x86) or 8 (x64) user bytes; HS_KEY_NONE if they cannot be read */
};
#define HS_KEY_MAX 4           /* keys of one grouping */
#define HS_KEY_NONE UINT64_MAX /* "has none" as a key */

struct hs_group {
    uint64_t keys[HS_KEY_MAX];
    uint64_t count; /* blocks */
    uint64_t bytes; /* user sizes added up */
};

/* Groups of a set, most bytes first; then most blocks, then smallest keys. Owned by the caller. */
struct hs_groups;

/* HS_ERR_ARGUMENT: no key, more than HS_KEY_MAX. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK HS_API enum hs_status hs_set_group(const struct hs_set *set, const enum hs_key *keys, unsigned key_count,
                                                 struct hs_job *job, struct hs_groups **groups_ret,
                                                 struct hs_error *err);
HS_API void hs_groups_destroy(struct hs_groups *groups);
HS_API size_t hs_groups_count(const struct hs_groups *groups);
/* NULL past the last. */
HS_API const struct hs_group *hs_groups_get(const struct hs_groups *groups, size_t idx);

#ifdef __cplusplus
}
#endif

#endif
