/* group.c - the blocks of a set counted by what they have in common.
 *
 * Each shard of blocks is counted into a table of its own thread; the tables are added up and sorted, so the result does
 * not depend on how many threads there were. */
#include "query/query.h"

#include "query/candidate.h"

#include <stdlib.h>

struct hs_groups {
    struct hs_group *rows;
    size_t count;
};

/* Open addressing; a row with count 0 is free. */
struct table {
    struct hs_group *rows;
    size_t capacity, count; /* capacity: a power of two */
};

#define TABLE_START 1024u

static inline uint64_t hash_keys(const uint64_t *keys, unsigned key_count)
{
    uint64_t hash = 0;

    for (unsigned i = 0; i < key_count; i++)
        hash = (hash ^ keys[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

static inline bool same_keys(const uint64_t *a, const uint64_t *b, unsigned key_count)
{
    for (unsigned i = 0; i < key_count; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

static inline struct hs_group *table_slot(const struct table *table, const uint64_t *keys, unsigned key_count)
{
    size_t idx = hash_keys(keys, key_count) & (table->capacity - 1);

    while (table->rows[idx].count && !same_keys(table->rows[idx].keys, keys, key_count))
        idx = (idx + 1) & (table->capacity - 1);
    return &table->rows[idx];
}

static bool table_grow(struct table *table, unsigned key_count)
{
    struct table bigger = {.capacity = table->capacity ? table->capacity * 2 : TABLE_START, .count = table->count};

    bigger.rows = calloc(bigger.capacity, sizeof *bigger.rows);
    if (!bigger.rows)
        return false;
    for (size_t i = 0; i < table->capacity; i++)
        if (table->rows[i].count)
            *table_slot(&bigger, table->rows[i].keys, key_count) = table->rows[i];
    free(table->rows);
    *table = bigger;
    return true;
}

static inline bool table_add(struct table *table, const uint64_t *keys, unsigned key_count, uint64_t count,
                             uint64_t bytes)
{
    struct hs_group *row;

    if (table->count * 2 >= table->capacity && !table_grow(table, key_count))
        return false;
    row = table_slot(table, keys, key_count);
    if (!row->count) {
        memcpy(row->keys, keys, key_count * sizeof *keys);
        table->count++;
    }
    row->count += count;
    row->bytes += bytes;
    return true;
}

static uint64_t size_class(uint64_t size)
{
    uint64_t class = 8;

    while (class < size && class < UINT64_C(1) << 63)
        class *= 2;
    return class;
}

/* The value of one key of one block. */
static uint64_t key_of(const struct hs_heaps *heaps, const struct hs_block_cursor *cursor, const struct hs_brief *brief,
                       const uint64_t *caller_modules, enum hs_key key)
{
    const struct hs_extent *extent = cursor->extent;
    uint32_t stored;
    uint16_t number;
    uint64_t value;
    struct hs_block block;

    switch (key) {
    case HS_KEY_SIZE: return brief->size;
    case HS_KEY_SIZE_CLASS: return size_class(brief->size);
    case HS_KEY_HEAP: return extent->heap_idx;
    case HS_KEY_STATE: return (uint64_t)brief->state;
    case HS_KEY_TOTAL: return brief->total;
    case HS_KEY_FLAGS: return brief->flags;
    case HS_KEY_STORED:
        stored = hs_block_stored(heaps, extent, cursor->off, brief);
        return stored == UINT32_MAX ? HS_KEY_NONE : stored;
    case HS_KEY_LABEL:
        number = hs_blocks_label_number(cursor->blocks, cursor->id);
        return number ? hs_blocks_label_type(cursor->blocks, number) : HS_KEY_NONE;
    case HS_KEY_CANDIDATE_MODULE:
        stored = hs_block_stored(heaps, extent, cursor->off, brief);
        return stored == UINT32_MAX ? HS_KEY_NONE : caller_modules[stored];
    case HS_KEY_EXPRESSION: break;
    case HS_KEY_TAG: hs_block_fill(cursor->blocks, extent, cursor->id, cursor->off, &block); return block.tag;
    case HS_KEY_FIRST_WORD:
        hs_block_fill(cursor->blocks, extent, cursor->id, cursor->off, &block);
        return extent->kind != HS_EXTENT_HOLE && block.size >= heaps->process->space->pointer_size &&
                       hs_space_pointer(heaps->process->space, block.user_va, &value)
                   ? value
                   : HS_KEY_NONE;
    }
    return HS_KEY_NONE;
}

struct grouping {
    const struct hs_set *set;
    const enum hs_key *keys;
    const struct hs_filter *const *expressions;
    unsigned key_count;
    struct hs_job *job;
    struct table *tables; /* a slot; a shard uses the slot it can get */
    atomic_bool *taken;
    size_t table_count;
    atomic_bool out_of_memory;
};

/* Groups by size, or by size and heap, are what is asked for most: small sizes are counted in an array first. */
#define DENSE_SIZES 4096u
struct dense {
    uint32_t counts[DENSE_SIZES]; /* of blocks of that size in the present heap */
    uint64_t heap;
};

static bool is_dense(const struct grouping *grouping)
{
    bool by_size = false;

    for (unsigned i = 0; i < grouping->key_count; i++) {
        if (grouping->keys[i] != HS_KEY_SIZE && grouping->keys[i] != HS_KEY_HEAP)
            return false;
        by_size |= grouping->keys[i] == HS_KEY_SIZE;
    }
    return by_size;
}

/* Moves what was counted into the table. */
static bool flush_dense(const struct grouping *grouping, struct dense *dense, struct table *table)
{
    for (uint64_t size = 0; size < DENSE_SIZES; size++) {
        uint64_t keys[HS_KEY_MAX];

        if (!dense->counts[size])
            continue;
        for (unsigned i = 0; i < grouping->key_count; i++)
            keys[i] = grouping->keys[i] == HS_KEY_SIZE ? size : dense->heap;
        if (!table_add(table, keys, grouping->key_count, dense->counts[size], dense->counts[size] * size))
            return false;
        dense->counts[size] = 0;
    }
    return true;
}

static uint64_t expression_key(const struct hs_filter *expression, const struct hs_set_cursor *cursor)
{
    int64_t value;

    return hs_filter_value(expression, cursor, &value) ? (uint64_t)value : HS_KEY_NONE;
}

static bool add_block(const struct grouping *grouping, const struct hs_set_cursor *cursor, struct table *table)
{
    const struct hs_heaps *heaps = grouping->set->blocks->heaps;
    uint64_t keys[HS_KEY_MAX];

    for (unsigned i = 0; i < grouping->key_count; i++)
        keys[i] =
            grouping->keys[i] == HS_KEY_EXPRESSION
                ? expression_key(grouping->expressions[i], cursor)
                : key_of(heaps, &cursor->block, &cursor->brief, grouping->set->dump->caller_modules, grouping->keys[i]);
    return table_add(table, keys, grouping->key_count, 1, cursor->brief.size);
}

static bool group_range(const struct grouping *grouping, uint32_t from, uint32_t to, struct table *table)
{
    struct hs_set_cursor cursor;
    struct dense dense = {.counts = {0}};
    bool use_dense = is_dense(grouping);

    hs_set_cursor_init(&cursor, grouping->set, from, to);
    while (hs_set_cursor_next(&cursor)) {
        if (use_dense && cursor.brief.size < DENSE_SIZES) {
            if (dense.heap != cursor.block.extent->heap_idx) {
                if (!flush_dense(grouping, &dense, table))
                    return false;
                dense.heap = cursor.block.extent->heap_idx;
            }
            dense.counts[cursor.brief.size]++;
        } else if (!add_block(grouping, &cursor, table)) {
            return false;
        }
    }
    return !use_dense || flush_dense(grouping, &dense, table);
}

static void group_shard(void *context, size_t shard)
{
    struct grouping *grouping = context;
    uint32_t from = hs_shard_from(grouping->set, shard), to = hs_shard_to(grouping->set, shard);
    size_t slot = 0;

    if (hs_job_stopped(grouping->job))
        return;
    /* As many tables as threads: one is always free. */
    while (atomic_exchange(&grouping->taken[slot], true))
        slot = (slot + 1) % grouping->table_count;
    if (!group_range(grouping, from, to, &grouping->tables[slot]))
        atomic_store(&grouping->out_of_memory, true);
    atomic_store(&grouping->taken[slot], false);
    hs_job_advance(grouping->job, to - from);
}

/* Most bytes first, then most blocks, then smallest keys. */
static int compare_groups(const void *a, const void *b)
{
    const struct hs_group *one = a, *two = b;

    if (one->bytes != two->bytes)
        return one->bytes > two->bytes ? -1 : 1;
    if (one->count != two->count)
        return one->count > two->count ? -1 : 1;
    for (unsigned i = 0; i < HS_KEY_MAX; i++)
        if (one->keys[i] != two->keys[i])
            return one->keys[i] < two->keys[i] ? -1 : 1;
    return 0;
}

/* Adds all tables up into the first and makes a sorted array of it. */
static enum hs_status finish(struct grouping *grouping, struct hs_groups **groups_ret, struct hs_error *err)
{
    struct table *sum = &grouping->tables[0];
    struct hs_groups *groups;

    for (size_t t = 1; t < grouping->table_count; t++)
        for (size_t i = 0; i < grouping->tables[t].capacity; i++) {
            const struct hs_group *row = &grouping->tables[t].rows[i];

            if (row->count && !table_add(sum, row->keys, grouping->key_count, row->count, row->bytes))
                return hs_fail_memory(err, "groups of blocks");
        }
    groups = calloc(1, sizeof *groups);
    if (!groups)
        return hs_fail_memory(err, "groups of blocks");
    groups->rows = calloc(sum->count + 1, sizeof *groups->rows);
    if (!groups->rows) {
        free(groups);
        return hs_fail_memory(err, "groups of blocks");
    }
    for (size_t i = 0; i < sum->capacity; i++)
        if (sum->rows[i].count)
            groups->rows[groups->count++] = sum->rows[i];
    qsort(groups->rows, groups->count, sizeof *groups->rows, compare_groups);
    *groups_ret = groups;
    return HS_OK;
}

/* Whether the walk has counted the busy blocks of a set by size already: it is all of them, of whole heaps. */
static bool is_tallied(const struct grouping *grouping)
{
    const struct hs_set *set = grouping->set;
    const struct hs_blocks *blocks = set->blocks;

    if (!is_dense(grouping) || atomic_load(&set->settled) || set->states != 1u << HS_BLOCK_BUSY)
        return false;
    for (size_t heap = 0; heap < blocks->heaps->count; heap++)
        if (blocks->first_id[heap] >= set->from && blocks->first_id[heap + 1] <= set->to && !blocks->sizes[heap])
            return false;
    return true;
}

static bool add_size(const struct grouping *grouping, uint64_t heap, struct hs_size_count size)
{
    uint64_t keys[HS_KEY_MAX];

    for (unsigned i = 0; i < grouping->key_count; i++)
        keys[i] = grouping->keys[i] == HS_KEY_SIZE ? size.size : heap;
    return table_add(&grouping->tables[0], keys, grouping->key_count, size.count, size.count * size.size);
}

/* Groups out of what the walk counted, and large blocks, which it does not see. */
static bool group_tallied(const struct grouping *grouping)
{
    const struct hs_set *set = grouping->set;
    const struct hs_blocks *blocks = set->blocks;
    const struct hs_heaps *heaps = blocks->heaps;

    for (size_t heap = 0; heap < heaps->count; heap++) {
        if (blocks->first_id[heap] < set->from || blocks->first_id[heap + 1] > set->to)
            continue;
        for (size_t i = 0; i < blocks->size_counts[heap]; i++)
            if (!add_size(grouping, heap, blocks->sizes[heap][i]))
                return false;
    }
    for (size_t i = 0; i < heaps->extent_count; i++) {
        const struct hs_extent *extent = &heaps->extents[i];
        struct hs_brief brief;

        if (extent->kind != HS_EXTENT_LARGE || extent->count == 0 || extent->first_id < set->from ||
            extent->first_id >= set->to)
            continue;
        hs_block_brief_special(heaps, extent, 0, &brief);
        if (!add_size(grouping, extent->heap_idx, (struct hs_size_count){brief.size, 1}))
            return false;
    }
    return true;
}

enum hs_status hs_set_group(const struct hs_set *set, const enum hs_key *keys,
                            const struct hs_filter *const *expressions, unsigned key_count, struct hs_job *job,
                            struct hs_groups **groups_ret, struct hs_error *err)
{
    struct grouping grouping = {.set = set,
                                .keys = keys,
                                .expressions = expressions,
                                .key_count = key_count,
                                .job = job,
                                .table_count = set->dump->thread_count};
    enum hs_status status;

    if (key_count == 0 || key_count > HS_KEY_MAX)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "%u keys to group by, expected 1 to %d", key_count,
                       HS_KEY_MAX);
    for (unsigned i = 0; i < key_count; i++)
        if (keys[i] == HS_KEY_EXPRESSION &&
            (!expressions || !expressions[i] || hs_filter_dump(expressions[i]) != set->dump))
            return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA,
                           "key %u is an expression, but there is none of this dump", i + 1);
    for (unsigned i = 0; i < key_count; i++)
        if (keys[i] == HS_KEY_CANDIDATE_MODULE && (status = hs_candidates_callers(set->dump, job, err)) != HS_OK)
            return status;
    grouping.tables = calloc(grouping.table_count, sizeof *grouping.tables);
    grouping.taken = calloc(grouping.table_count, sizeof *grouping.taken);
    if (!grouping.tables || !grouping.taken) {
        status = hs_fail_memory(err, "groups of blocks");
        goto done;
    }
    hs_job_start(job, set->to - set->from);
    if (!is_tallied(&grouping))
        hs_set_parallel(set, group_shard, &grouping);
    else if (!group_tallied(&grouping))
        atomic_store(&grouping.out_of_memory, true);
    if (atomic_load(&grouping.out_of_memory))
        status = hs_fail_memory(err, "groups of blocks");
    else if (hs_job_stopped(job))
        status = hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while grouping blocks");
    else
        status = finish(&grouping, groups_ret, err);

done:
    for (size_t i = 0; grouping.tables && i < grouping.table_count; i++)
        free(grouping.tables[i].rows);
    free(grouping.tables);
    free(grouping.taken);
    return status;
}

void hs_groups_destroy(struct hs_groups *groups)
{
    if (!groups)
        return;
    free(groups->rows);
    free(groups);
}

size_t hs_groups_count(const struct hs_groups *groups)
{
    return groups->count;
}

const struct hs_group *hs_groups_get(const struct hs_groups *groups, size_t idx)
{
    return idx < groups->count ? &groups->rows[idx] : NULL;
}
