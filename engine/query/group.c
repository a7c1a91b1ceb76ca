/* group.c - the blocks of a set counted by what they have in common.
 *
 * Each shard of blocks is counted into a table of its own thread; the tables are added up and sorted, so the result does
 * not depend on how many threads there were. The keys of a group are packed into one word where they fit: there may be
 * a million groups. */
#include "query/query.h"

#include "query/candidate.h"

#include <stdlib.h>

/* How the keys of a group stand in its row. */
struct shape {
    enum hs_key keys[HS_KEY_MAX];
    unsigned key_count;
    unsigned key_words;         /* 1: packed, the first key in the highest bits; else one word a key */
    uint8_t widths[HS_KEY_MAX]; /* packed: bits of each key */
    unsigned stride;            /* words of a row: keys, blocks, bytes */
};

struct hs_groups {
    struct shape shape;
    uint64_t *rows;
    size_t count;
};

/* Rows in the order in which they came, found by open addressing. */
struct table {
    uint64_t *rows;
    size_t count, room;
    uint32_t *places; /* row number + 1; 0 is free */
    unsigned bits;    /* there are 1 << bits places */
};

#define TABLE_START_BITS 11u
#define ROWS_AT_ONCE HS_BATCH

static inline size_t place_of(const struct table *table, const uint64_t *keys, unsigned key_words)
{
    uint64_t hash = 0;

    for (unsigned i = 0; i < key_words; i++) {
        hash = (hash ^ keys[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return (hash * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - table->bits);
}

static inline bool same_keys(const uint64_t *a, const uint64_t *b, unsigned key_words)
{
    for (unsigned i = 0; i < key_words; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/* Makes room for ROWS_AT_ONCE more rows. */
static bool table_reserve(struct table *table, const struct shape *shape)
{
    size_t wanted = table->count + ROWS_AT_ONCE;

    if (wanted > table->room) {
        size_t room = table->room + table->room / 2 + (1u << TABLE_START_BITS) / 2;
        uint64_t *rows = realloc(table->rows, room * shape->stride * sizeof *rows);

        if (!rows)
            return false;
        table->rows = rows;
        table->room = room;
    }
    if (!table->bits || wanted * 2 > (size_t)1 << table->bits) {
        unsigned bits = table->bits ? table->bits + 1 : TABLE_START_BITS;
        size_t mask = ((size_t)1 << bits) - 1;
        uint32_t *places = calloc(mask + 1, sizeof *places);

        if (!places)
            return false;
        free(table->places);
        table->places = places;
        table->bits = bits;
        for (size_t row = 0; row < table->count; row++) {
            size_t place = place_of(table, table->rows + row * shape->stride, shape->key_words);

            while (places[place])
                place = (place + 1) & mask;
            places[place] = (uint32_t)row + 1;
        }
    }
    return true;
}

static inline void table_add_row(struct table *table, const struct shape *shape, const uint64_t *row, size_t place)
{
    unsigned key_words = shape->key_words, stride = shape->stride;
    size_t mask = ((size_t)1 << table->bits) - 1;
    uint64_t *own;

    while (table->places[place] &&
           !same_keys(table->rows + (size_t)(table->places[place] - 1) * stride, row, key_words))
        place = (place + 1) & mask;
    if (!table->places[place]) {
        memcpy(table->rows + table->count * stride, row, stride * sizeof *row);
        table->places[place] = (uint32_t)++table->count;
        return;
    }
    own = table->rows + (size_t)(table->places[place] - 1) * stride + key_words;
    own[0] += row[key_words];
    own[1] += row[key_words + 1];
}

/* Adds at most ROWS_AT_ONCE rows. Where they belong is fetched for all of them before it is looked at. */
static bool table_add(struct table *table, const struct shape *shape, const uint64_t *rows, size_t count)
{
    size_t places[ROWS_AT_ONCE];

    if (!table_reserve(table, shape))
        return false;
    for (size_t i = 0; i < count; i++) {
        places[i] = place_of(table, rows + i * shape->stride, shape->key_words);
        hs_prefetch(&table->places[places[i]]);
    }
    for (size_t i = 0; i < count; i++)
        if (table->places[places[i]])
            hs_prefetch(table->rows + (size_t)(table->places[places[i]] - 1) * shape->stride);
    for (size_t i = 0; i < count; i++)
        table_add_row(table, shape, rows + i * shape->stride, places[i]);
    return true;
}

/* ---- keys ---- */

static unsigned bits_for(uint64_t value)
{
    return value ? 64 - (unsigned)__builtin_clzll(value) : 0;
}

/* Bits that hold every value of a key and the words for "none" and "several", which are the highest values; 0: as many
 * as are left over. */
static unsigned key_bits(const struct hs_set *set, enum hs_key key)
{
    switch (key) {
    case HS_KEY_HEAP: return bits_for(set->blocks->heaps->count);
    case HS_KEY_STATE: return bits_for(HS_BLOCK_STATE_COUNT);
    case HS_KEY_FLAGS: return 8;
    case HS_KEY_TAG: return 16;
    case HS_KEY_STORED:
    case HS_KEY_LABEL: return 17;
    case HS_KEY_CANDIDATE_MODULE: return bits_for(hs_dump_module_count(set->dump) + UINT64_C(2));
    case HS_KEY_FIRST_WORD:
    case HS_KEY_EXPRESSION: return 64;
    case HS_KEY_SIZE:
    case HS_KEY_SIZE_CLASS:
    case HS_KEY_TOTAL: break;
    }
    return 0;
}

#define SIZE_BITS_MIN 20u /* less is not worth trying */

static struct shape shape_of(const struct hs_set *set, const enum hs_key *keys, unsigned key_count)
{
    struct shape shape = {.key_count = key_count};
    unsigned used = 0, open = 0;

    for (unsigned i = 0; i < key_count; i++) {
        unsigned bits = key_bits(set, keys[i]);

        shape.keys[i] = keys[i];
        shape.widths[i] = (uint8_t)bits;
        used += bits;
        open += bits == 0;
    }
    for (unsigned i = 0; i < key_count && used + open * SIZE_BITS_MIN <= 64; i++)
        if (!shape.widths[i])
            shape.widths[i] = (uint8_t)((64 - used) / open);
    shape.key_words = used + open * SIZE_BITS_MIN <= 64 ? 1 : key_count;
    shape.stride = shape.key_words + 2;
    return shape;
}

static inline uint64_t mask_of(const struct shape *shape, unsigned idx)
{
    return UINT64_MAX >> (64 - shape->widths[idx]);
}

static bool may_be_missing(enum hs_key key)
{
    return key == HS_KEY_STORED || key == HS_KEY_LABEL || key == HS_KEY_CANDIDATE_MODULE;
}

/* Writes keys into a row; false if one is too large for its bits. */
static inline bool put_keys(const struct shape *shape, const uint64_t *keys, uint64_t *row)
{
    uint64_t packed = 0;
    bool fits = true;

    if (shape->key_count == 1) {
        row[0] = keys[0];
        return true;
    }
    if (shape->key_words == shape->key_count) {
        memcpy(row, keys, shape->key_count * sizeof *keys);
        return true;
    }
    for (unsigned i = 0; i < shape->key_count; i++) {
        uint64_t mask = mask_of(shape, i);

        fits &= keys[i] <= mask || (keys[i] >= HS_KEY_SEVERAL && may_be_missing(shape->keys[i]));
        packed = packed << shape->widths[i] | (keys[i] & mask);
    }
    row[0] = packed;
    return fits;
}

static void get_keys(const struct shape *shape, const uint64_t *row, uint64_t *keys)
{
    uint64_t packed = row[0];

    if (shape->key_words == shape->key_count) {
        memcpy(keys, row, shape->key_count * sizeof *keys);
        return;
    }
    for (unsigned i = shape->key_count; i-- > 0;) {
        uint64_t mask = mask_of(shape, i);

        keys[i] = packed & mask;
        packed >>= shape->widths[i];
        if (may_be_missing(shape->keys[i]) && keys[i] >= mask - (UINT64_MAX - HS_KEY_SEVERAL))
            keys[i] |= ~mask;
    }
}

static uint64_t size_class(uint64_t size)
{
    uint64_t class = 8;

    while (class < size && class < UINT64_C(1) << 63)
        class *= 2;
    return class;
}

/* Whether a key is told by the summary of a block, its label and its heap. */
static bool is_plain(enum hs_key key)
{
    return key != HS_KEY_EXPRESSION && key != HS_KEY_TAG && key != HS_KEY_FIRST_WORD;
}

/* What is known of blocks by id, but their summaries. */
struct known {
    const uint16_t *labels; /* NULL: none */
    const uint16_t *types;  /* of labels */
    const uint64_t *caller_modules;
};

static inline uint64_t label_key(const struct known *known, uint32_t id)
{
    uint16_t number = known->labels ? known->labels[id] : 0;

    return number ? known->types[number - 1] : HS_KEY_NONE;
}

/* The value of a plain key of one block. */
static inline uint64_t plain_key(const struct known *known, uint32_t id, uint64_t summary, const struct hs_brief *brief,
                                 size_t heap, enum hs_key key)
{
    uint32_t stored = hs_summary_stored(summary);

    switch (key) {
    case HS_KEY_SIZE: return brief->size;
    case HS_KEY_SIZE_CLASS: return size_class(brief->size);
    case HS_KEY_HEAP: return heap;
    case HS_KEY_STATE: return (uint64_t)brief->state;
    case HS_KEY_TOTAL: return brief->total;
    case HS_KEY_FLAGS: return brief->flags;
    case HS_KEY_STORED: return stored == UINT32_MAX ? HS_KEY_NONE : stored;
    case HS_KEY_LABEL: return label_key(known, id);
    case HS_KEY_CANDIDATE_MODULE: return stored == UINT32_MAX ? HS_KEY_NONE : known->caller_modules[stored];
    case HS_KEY_EXPRESSION:
    case HS_KEY_TAG:
    case HS_KEY_FIRST_WORD: break;
    }
    return HS_KEY_NONE;
}

/* The value of one key of one block. */
static uint64_t key_of(const struct hs_blocks *blocks, const struct known *known, const struct hs_spot *spot,
                       enum hs_key key)
{
    const struct hs_heaps *heaps = blocks->heaps;
    const struct hs_extent *extent = spot->extent;
    const struct hs_brief *brief = &spot->brief;
    uint32_t stored;
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
        stored = hs_block_stored(heaps, extent, spot->off, brief);
        return stored == UINT32_MAX ? HS_KEY_NONE : stored;
    case HS_KEY_LABEL: return label_key(known, spot->id);
    case HS_KEY_CANDIDATE_MODULE:
        stored = hs_block_stored(heaps, extent, spot->off, brief);
        return stored == UINT32_MAX ? HS_KEY_NONE : known->caller_modules[stored];
    case HS_KEY_EXPRESSION: break;
    case HS_KEY_TAG: hs_block_fill(blocks, extent, spot->id, spot->off, &block); return block.tag;
    case HS_KEY_FIRST_WORD:
        hs_block_fill(blocks, extent, spot->id, spot->off, &block);
        return extent->kind != HS_EXTENT_HOLE && block.size >= heaps->process->space->pointer_size &&
                       hs_space_pointer(heaps->process->space, block.user_va, &value)
                   ? value
                   : HS_KEY_NONE;
    }
    return HS_KEY_NONE;
}

struct dense;

struct grouping {
    const struct hs_set *set;
    struct shape shape;
    const struct hs_filter *const *expressions;
    struct known known;
    const uint64_t *summaries; /* NULL: headers are looked at */
    struct dense *dense;       /* a slot: DENSE of them, if there are summaries */
    const uint64_t *plain;     /* summaries, where expressions among the keys take plain spots; else NULL */
    struct hs_job *job;
    struct table *tables; /* a slot of the parallel loop */
    unsigned table_count;
    atomic_bool out_of_memory, too_large; /* too_large: a key does not fit its bits */
};

static uint64_t expression_key(const struct hs_filter *expression, const struct hs_spot *spot)
{
    int64_t value;

    return hs_filter_value(expression, spot, &value) ? (uint64_t)value : HS_KEY_NONE;
}

static bool put_block(const struct grouping *grouping, const struct hs_spot *spot, uint64_t *row)
{
    const struct shape *shape = &grouping->shape;
    uint64_t keys[HS_KEY_MAX];

    for (unsigned i = 0; i < shape->key_count; i++)
        keys[i] = shape->keys[i] == HS_KEY_EXPRESSION
                      ? expression_key(grouping->expressions[i], spot)
                      : key_of(grouping->set->blocks, &grouping->known, spot, shape->keys[i]);
    row[shape->key_words] = 1;
    row[shape->key_words + 1] = spot->brief.size;
    return put_keys(shape, keys, row);
}

/* Rows of one word of keys that are small, or "none", are counted by key, in an array, and become rows of the table at the
 * end. */
#define DENSE 2048u
#define DENSE_NONE (DENSE - 1) /* the place of "none" */
#define DENSE_STRIDE 3u
struct dense {
    uint64_t count, bytes;
};

/* Adds what was counted by key to the first table. */
static bool add_dense(struct grouping *grouping)
{
    for (size_t i = 0; i < (size_t)grouping->table_count * DENSE; i++) {
        const struct dense *dense = &grouping->dense[i];
        uint64_t key = i % DENSE == DENSE_NONE ? HS_KEY_NONE : i % DENSE;
        uint64_t row[DENSE_STRIDE] = {key, dense->count, dense->bytes};

        if (dense->count && !table_add(&grouping->tables[0], &grouping->shape, row, 1))
            return false;
    }
    return true;
}

/* A row for each block of one word of the set, unless its key is counted in `dense` (if there is one); how many, or
 * SIZE_MAX: a key does not fit its bits. *heap: of a block before these, and then of the last. `single`: the only key,
 * HS_KEY_EXPRESSION: there are several. It is inlined for the keys that are asked for most. */
__attribute__((always_inline)) static inline size_t put_word(const struct grouping *grouping, size_t word,
                                                             struct dense *dense, size_t *heap, uint64_t *rows,
                                                             const enum hs_key single)
{
    const struct hs_blocks *blocks = grouping->set->blocks;
    const struct known *known = &grouping->known;
    const struct shape *shape = &grouping->shape;
    uint64_t bits = hs_set_bits(grouping->set, grouping->summaries, word), keys[HS_KEY_MAX];
    size_t count = 0;

    for (; bits; bits &= bits - 1) {
        uint32_t id = (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(bits);
        uint64_t summary = grouping->summaries[id];
        struct hs_brief brief;

        while (id >= blocks->first_id[*heap + 1])
            ++*heap;
        hs_summary_brief(blocks, id, summary, &brief);
        if (single != HS_KEY_EXPRESSION) {
            rows[0] = plain_key(known, id, summary, &brief, *heap, single);
        } else {
            for (unsigned i = 0; i < shape->key_count; i++)
                keys[i] = plain_key(known, id, summary, &brief, *heap, shape->keys[i]);
            if (!put_keys(shape, keys, rows))
                return SIZE_MAX;
        }
        if (dense && (rows[0] < DENSE_NONE || rows[0] == HS_KEY_NONE)) {
            struct dense *place = &dense[rows[0] % DENSE];

            place->count++;
            place->bytes += brief.size;
            continue;
        }
        rows[shape->key_words] = 1;
        rows[shape->key_words + 1] = brief.size;
        rows += shape->stride;
        count++;
    }
    return count;
}

static size_t put_blocks(const struct grouping *grouping, size_t word, struct dense *dense, size_t *heap,
                         uint64_t *rows)
{
    enum hs_key single = grouping->shape.key_count == 1 ? grouping->shape.keys[0] : HS_KEY_EXPRESSION;

    if (single == HS_KEY_SIZE)
        return put_word(grouping, word, dense, heap, rows, HS_KEY_SIZE);
    if (single == HS_KEY_HEAP)
        return put_word(grouping, word, dense, heap, rows, HS_KEY_HEAP);
    if (single == HS_KEY_LABEL)
        return put_word(grouping, word, dense, heap, rows, HS_KEY_LABEL);
    return put_word(grouping, word, dense, heap, rows, single);
}

/* By what the summaries say: no header is looked at. */
static void group_plain(struct grouping *grouping, uint32_t from, uint32_t to, struct table *table)
{
    struct dense *dense = grouping->dense ? grouping->dense + (size_t)(table - grouping->tables) * DENSE : NULL;
    uint64_t rows[ROWS_AT_ONCE * (HS_KEY_MAX + 2)];
    size_t heap = 0;

    for (size_t word = from / 64; (uint64_t)word * 64 < to; word++) {
        size_t count = put_blocks(grouping, word, dense, &heap, rows);

        if (count == SIZE_MAX) {
            atomic_store(&grouping->too_large, true);
            return;
        }
        if (count && !table_add(table, &grouping->shape, rows, count)) {
            atomic_store(&grouping->out_of_memory, true);
            return;
        }
    }
}

static void group_range(struct grouping *grouping, uint32_t from, uint32_t to, struct table *table)
{
    struct hs_set_cursor cursor;
    struct hs_spot spots[HS_BATCH];
    uint64_t rows[ROWS_AT_ONCE * (HS_KEY_MAX + 2)];
    size_t count;

    if (grouping->plain)
        hs_set_cursor_init_plain(&cursor, grouping->set, grouping->plain, from, to);
    else
        hs_set_cursor_init(&cursor, grouping->set, from, to);
    while ((count = hs_set_cursor_take(&cursor, spots)) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (!put_block(grouping, &spots[i], rows + i * grouping->shape.stride)) {
                atomic_store(&grouping->too_large, true);
                return;
            }
        }
        if (!table_add(table, &grouping->shape, rows, count)) {
            atomic_store(&grouping->out_of_memory, true);
            return;
        }
    }
}

static void group_shard(void *context, size_t shard, unsigned slot)
{
    struct grouping *grouping = context;
    uint32_t from = hs_shard_from(grouping->set, shard), to = hs_shard_to(grouping->set, shard);

    if (hs_job_stopped(grouping->job) || atomic_load_explicit(&grouping->too_large, memory_order_relaxed))
        return;
    if (grouping->summaries)
        group_plain(grouping, from, to, &grouping->tables[slot]);
    else
        group_range(grouping, from, to, &grouping->tables[slot]);
    hs_job_advance(grouping->job, to - from);
}

/* ---- the result ---- */

/* Most bytes first, then most blocks, then smallest keys. */
static inline int compare_rows(const uint64_t *a, const uint64_t *b, unsigned key_words)
{
    if (a[key_words + 1] != b[key_words + 1])
        return a[key_words + 1] > b[key_words + 1] ? -1 : 1;
    if (a[key_words] != b[key_words])
        return a[key_words] > b[key_words] ? -1 : 1;
    for (unsigned i = 0; i < key_words; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

static int compare_packed(const void *a, const void *b)
{
    return compare_rows(a, b, 1);
}
static int compare_two(const void *a, const void *b)
{
    return compare_rows(a, b, 2);
}
static int compare_three(const void *a, const void *b)
{
    return compare_rows(a, b, 3);
}
static int compare_four(const void *a, const void *b)
{
    return compare_rows(a, b, 4);
}

static void table_free(struct table *table)
{
    free(table->rows);
    free(table->places);
    *table = (struct table){0};
}

/* Adds all tables up into the first and sorts its rows. */
static enum hs_status finish(struct grouping *grouping, struct hs_groups **groups_ret, struct hs_error *err)
{
    static int (*const compare[])(const void *, const void *) = {compare_packed, compare_two, compare_three,
                                                                 compare_four};
    const struct shape *shape = &grouping->shape;
    struct table *sum = &grouping->tables[0];
    struct hs_groups *groups;

    for (size_t t = 1; t < grouping->table_count; t++) {
        struct table *table = &grouping->tables[t];

        for (size_t i = 0; i < table->count; i += ROWS_AT_ONCE) {
            size_t count = table->count - i < ROWS_AT_ONCE ? table->count - i : ROWS_AT_ONCE;

            if (!table_add(sum, shape, table->rows + i * shape->stride, count))
                return hs_fail_memory(err, "groups of blocks");
        }
        table_free(table);
    }
    groups = calloc(1, sizeof *groups);
    if (!groups)
        return hs_fail_memory(err, "groups of blocks");
    groups->shape = *shape;
    groups->rows = sum->count ? realloc(sum->rows, sum->count * shape->stride * sizeof *sum->rows) : NULL;
    if (!groups->rows)
        groups->rows = sum->rows; /* no smaller, then */
    groups->count = sum->count;
    sum->rows = NULL;
    if (groups->count)
        qsort(groups->rows, groups->count, shape->stride * sizeof *groups->rows, compare[shape->key_words - 1]);
    *groups_ret = groups;
    return HS_OK;
}

/* Whether only sizes, or sizes and heaps, are asked for. */
static bool is_by_size(const struct shape *shape)
{
    bool by_size = false;

    for (unsigned i = 0; i < shape->key_count; i++) {
        if (shape->keys[i] != HS_KEY_SIZE && shape->keys[i] != HS_KEY_HEAP)
            return false;
        by_size |= shape->keys[i] == HS_KEY_SIZE;
    }
    return by_size;
}

/* Whether the walk has counted the busy blocks of a set by size already: it is all of them, of whole heaps. */
static bool is_tallied(const struct grouping *grouping)
{
    const struct hs_set *set = grouping->set;
    const struct hs_blocks *blocks = set->blocks;

    if (!is_by_size(&grouping->shape) || atomic_load(&set->settled) || set->states != 1u << HS_BLOCK_BUSY)
        return false;
    for (size_t heap = 0; heap < blocks->heaps->count; heap++)
        if (blocks->first_id[heap] >= set->from && blocks->first_id[heap + 1] <= set->to && !blocks->sizes[heap])
            return false;
    return true;
}

static bool all_plain(const struct shape *shape)
{
    for (unsigned i = 0; i < shape->key_count; i++)
        if (!is_plain(shape->keys[i]))
            return false;
    return true;
}

/* Whether plain spots tell every key: expressions, and what their briefs and labels say. */
static bool takes_plain(const struct grouping *grouping)
{
    const struct shape *shape = &grouping->shape;

    for (unsigned i = 0; i < shape->key_count; i++) {
        enum hs_key key = shape->keys[i];

        if (key == HS_KEY_EXPRESSION ? !hs_filter_is_plain(grouping->expressions[i])
                                     : key != HS_KEY_SIZE && key != HS_KEY_SIZE_CLASS && key != HS_KEY_STATE &&
                                           key != HS_KEY_TOTAL && key != HS_KEY_FLAGS && key != HS_KEY_LABEL)
            return false;
    }
    return true;
}

static bool add_size(struct grouping *grouping, uint64_t heap, struct hs_size_count size)
{
    const struct shape *shape = &grouping->shape;
    uint64_t keys[HS_KEY_MAX], row[HS_KEY_MAX + 2];

    for (unsigned i = 0; i < shape->key_count; i++)
        keys[i] = shape->keys[i] == HS_KEY_SIZE ? size.size : heap;
    row[shape->key_words] = size.count;
    row[shape->key_words + 1] = size.count * size.size;
    if (!put_keys(shape, keys, row))
        atomic_store(&grouping->too_large, true);
    return table_add(&grouping->tables[0], shape, row, 1);
}

/* Groups out of what the walk counted, and large blocks, which it does not see. */
static bool group_tallied(struct grouping *grouping)
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

static enum hs_status check_keys(const struct hs_set *set, const enum hs_key *keys,
                                 const struct hs_filter *const *expressions, unsigned key_count, struct hs_job *job,
                                 struct hs_error *err)
{
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
    return HS_OK;
}

/* Groups block by block; false if there is no memory. To make summaries for it would cost as much as to do without. */
static bool group_blocks(struct grouping *grouping)
{
    const struct hs_set *set = grouping->set;

    if (all_plain(&grouping->shape))
        grouping->summaries = hs_blocks_summaries_made(set->blocks);
    else if (takes_plain(grouping))
        grouping->plain = hs_blocks_summaries_made(set->blocks);
    if (grouping->summaries && grouping->shape.stride == DENSE_STRIDE)
        grouping->dense = calloc((size_t)grouping->table_count * DENSE, sizeof *grouping->dense);
    if (grouping->summaries && grouping->shape.stride == DENSE_STRIDE && !grouping->dense)
        return false;
    hs_parallel_slots(grouping->table_count, hs_set_shards(set), group_shard, grouping);
    return !grouping->dense || add_dense(grouping);
}

/* Groups in the shape that `grouping` says. *groups_ret stays NULL if a key does not fit it. */
static enum hs_status group(struct grouping *grouping, struct hs_groups **groups_ret, struct hs_error *err)
{
    const struct hs_set *set = grouping->set;
    enum hs_status status = HS_OK;

    *groups_ret = NULL;
    grouping->known = (struct known){hs_blocks_label_numbers(set->blocks), hs_blocks_label_types(set->blocks),
                                     set->dump->caller_modules};
    grouping->table_count = set->dump->thread_count;
    grouping->tables = calloc(grouping->table_count, sizeof *grouping->tables);
    if (!grouping->tables) {
        status = hs_fail_memory(err, "groups of blocks");
        goto done;
    }
    hs_job_start(grouping->job, set->to - set->from);
    if (is_tallied(grouping) ? !group_tallied(grouping) : !group_blocks(grouping))
        atomic_store(&grouping->out_of_memory, true);
    if (atomic_load(&grouping->out_of_memory))
        status = hs_fail_memory(err, "groups of blocks");
    else if (hs_job_stopped(grouping->job))
        status = hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while grouping blocks");
    else if (!atomic_load(&grouping->too_large))
        status = finish(grouping, groups_ret, err);

done:
    for (size_t i = 0; grouping->tables && i < grouping->table_count; i++)
        table_free(&grouping->tables[i]);
    free(grouping->tables);
    free(grouping->dense);
    return status;
}

enum hs_status hs_set_group(const struct hs_set *set, const enum hs_key *keys,
                            const struct hs_filter *const *expressions, unsigned key_count, struct hs_job *job,
                            struct hs_groups **groups_ret, struct hs_error *err)
{
    enum hs_status status = check_keys(set, keys, expressions, key_count, job, err);
    struct hs_groups *groups = NULL;

    if (status == HS_OK) {
        struct grouping packed = {
            .set = set, .expressions = expressions, .job = job, .shape = shape_of(set, keys, key_count)};

        status = group(&packed, &groups, err);
        if (status == HS_OK && !groups) {
            struct grouping wide = {.set = set, .expressions = expressions, .job = job, .shape = packed.shape};

            wide.shape.key_words = key_count;
            wide.shape.stride = key_count + 2;
            status = group(&wide, &groups, err);
        }
    }
    if (status == HS_OK)
        *groups_ret = groups;
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

size_t hs_groups_memory(const struct hs_groups *groups)
{
    return sizeof *groups + groups->count * groups->shape.stride * sizeof *groups->rows;
}

enum hs_status hs_groups_get(const struct hs_groups *groups, size_t idx, struct hs_group *group_ret)
{
    const struct shape *shape = &groups->shape;
    const uint64_t *row = groups->rows + idx * shape->stride;

    if (idx >= groups->count)
        return HS_NOT_FOUND;
    memset(group_ret, 0, sizeof *group_ret);
    get_keys(shape, row, group_ret->keys);
    group_ret->count = row[shape->key_words];
    group_ret->bytes = row[shape->key_words + 1];
    return HS_OK;
}
