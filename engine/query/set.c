/* set.c - sets of blocks as bitmaps over block ids. */
#include "query/query.h"

#include <stdlib.h>

#define ALL_STATES ((1u << HS_BLOCK_STATE_COUNT) - 1)

static size_t word_count(const struct hs_set *set)
{
    return ((size_t)set->blocks->count + 63) / 64;
}

struct hs_set *hs_set_new(struct hs_dump *dump, const struct hs_blocks *blocks)
{
    struct hs_set *set = calloc(1, sizeof *set);

    if (!set)
        return NULL;
    set->dump = dump;
    set->blocks = blocks;
    set->to = blocks->count;
    set->states = ALL_STATES;
    atomic_store(&set->settled, true);
    set->words = calloc(word_count(set) + 1, sizeof *set->words);
    if (!set->words) {
        free(set);
        return NULL;
    }
    return set;
}

void hs_set_destroy(struct hs_set *set)
{
    if (!set)
        return;
    free(set->words);
    free(set);
}

#define FEW_OF 8u /* a set with no more than such a part of the blocks that it can have: the others are stepped over */

void hs_set_cursor_init(struct hs_set_cursor *cursor, const struct hs_set *set, uint32_t from, uint32_t to)
{
    bool settled = atomic_load_explicit(&set->settled, memory_order_acquire);

    cursor->summaries = NULL;
    cursor->made = hs_blocks_summaries_made(set->blocks);
    cursor->summing = NULL;
    cursor->words = settled ? set->words : NULL;
    cursor->states = settled ? ALL_STATES : set->states;
    cursor->few = settled && set->count < (set->to - set->from) / FEW_OF;
    cursor->to = to < set->to ? to : set->to;
    hs_block_cursor_init(&cursor->block, set->blocks, from > set->from ? from : set->from);
}

/* Brings the header of a block into the cache, and where it may reach into the next line. */
static inline void fetch(const struct hs_extent *extent, uint64_t off)
{
    hs_prefetch(extent->bytes + off);
    hs_prefetch(extent->bytes + off + 24);
}

/* Steps to the next block that the words have; false past the last. */
static bool step(struct hs_set_cursor *cursor)
{
    uint32_t id = cursor->block.next_id;
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
    hs_block_cursor_skip(&cursor->block, id);
    return hs_block_cursor_next(&cursor->block);
}

/* Finds blocks one by one: those of a set that has few. */
static size_t find_few(struct hs_set_cursor *cursor, struct hs_spot *spots)
{
    size_t count = 0;

    for (; count < HS_BATCH && step(cursor); count++) {
        spots[count].extent = cursor->block.extent;
        spots[count].off = cursor->block.off;
        spots[count].id = cursor->block.id;
        if (cursor->block.extent->kind == HS_EXTENT_RUN)
            fetch(cursor->block.extent, cursor->block.off);
    }
    return count;
}

/* Adds blocks of the cursor's extent, a run, to `count` spots; gives how many there are then. */
static size_t find_run(struct hs_set_cursor *cursor, struct hs_spot *spots, size_t count)
{
    const struct hs_extent *extent = cursor->block.extent;
    const unsigned shift = cursor->block.blocks->heaps->unit_shift;
    const uint64_t *starts = extent->starts, *words = cursor->words;
    uint64_t bits = cursor->block.bits;
    size_t word = cursor->block.word;
    uint32_t id = cursor->block.next_id, end = extent->first_id + extent->count;

    end = end < cursor->to ? end : cursor->to;
    for (; count < HS_BATCH && id < end; id++) {
        uint64_t off;

        while (!bits)
            bits = starts[++word];
        off = (word * 64 + (size_t)__builtin_ctzll(bits)) << shift;
        bits &= bits - 1;
        if (words && !(words[id / 64] >> (id % 64) & 1))
            continue;
        spots[count].extent = extent;
        spots[count].off = off;
        spots[count++].id = id;
        fetch(extent, off);
    }
    cursor->block.bits = bits;
    cursor->block.word = word;
    cursor->block.next_id = id;
    return count;
}

/* Finds the next blocks out of the bitmaps alone: no header is looked at yet. */
static size_t find(struct hs_set_cursor *cursor, struct hs_spot *spots)
{
    struct hs_block_cursor *block = &cursor->block;
    size_t count = 0;

    if (cursor->few)
        return find_few(cursor, spots);
    while (count < HS_BATCH && block->next_id < cursor->to) {
        if (block->extent && block->extent->kind == HS_EXTENT_RUN &&
            block->next_id < block->extent->first_id + block->extent->count) {
            count = find_run(cursor, spots, count);
            continue;
        }
        if (!hs_block_cursor_next(block))
            break;
        if (cursor->words && !(cursor->words[block->id / 64] >> (block->id % 64) & 1))
            continue;
        spots[count].extent = block->extent;
        spots[count].off = block->off;
        spots[count++].id = block->id;
    }
    return count;
}

void hs_set_cursor_init_plain(struct hs_set_cursor *cursor, const struct hs_set *set, const uint64_t *summaries,
                              uint32_t from, uint32_t to)
{
    *cursor = (struct hs_set_cursor){.set = set, .summaries = summaries, .word = from / 64, .to = to};
}

/* The user bytes of a spot that is not plain, if they are mapped side by side. */
static inline const uint8_t *user_of(const struct hs_heaps *heaps, const struct hs_spot *spot)
{
    uint64_t at = spot->off + heaps->unit;

    return spot->extent->kind == HS_EXTENT_RUN && at + spot->brief.size <= spot->extent->size ? spot->extent->bytes + at
                                                                                              : NULL;
}

void hs_spot_take_plain(const struct hs_blocks *blocks, uint32_t id, uint64_t summary, const uint32_t *first,
                        struct hs_spot *spot)
{
    struct hs_block_cursor cursor;

    spot->id = id;
    if (summary & HS_SUMMARY_HAS_FIRST) {
        spot->extent = NULL;
        spot->summary = summary;
        spot->user = (const uint8_t *)first;
        hs_summary_brief(blocks, id, summary, &spot->brief);
        return;
    }
    hs_block_cursor_init(&cursor, blocks, id);
    hs_block_cursor_next(&cursor);
    spot->extent = cursor.extent;
    spot->off = cursor.off;
    hs_block_brief(blocks->heaps, spot->extent, spot->off, &spot->brief);
    spot->user = user_of(blocks->heaps, spot);
}

/* The blocks of the next word that has any. */
static size_t take_word(struct hs_set_cursor *cursor, struct hs_spot *spots)
{
    const struct hs_blocks *blocks = cursor->set->blocks;
    const uint64_t *summaries = cursor->summaries;
    const uint32_t *firsts = hs_summary_firsts(blocks, summaries);
    size_t count = 0;

    while (count == 0 && (uint64_t)cursor->word * 64 < cursor->to) {
        uint32_t first_id = (uint32_t)(cursor->word * 64);

        for (uint64_t bits = hs_set_bits(cursor->set, summaries, cursor->word++); bits; bits &= bits - 1) {
            uint32_t id = first_id + (uint32_t)__builtin_ctzll(bits);

            hs_spot_take_plain(blocks, id, summaries[id], &firsts[id], &spots[count++]);
        }
    }
    return count;
}

size_t hs_set_cursor_take(struct hs_set_cursor *cursor, struct hs_spot *spots)
{
    const struct hs_heaps *heaps;
    size_t found, kept = 0;

    if (cursor->summaries)
        return take_word(cursor, spots);
    heaps = cursor->block.blocks->heaps;
    while (kept == 0 && (found = find(cursor, spots)) > 0) {
        for (size_t i = 0; i < found; i++) {
            struct hs_spot *spot = &spots[kept];

            if (kept < i) {
                spot->extent = spots[i].extent;
                spot->off = spots[i].off;
                spot->id = spots[i].id;
            }
            if (cursor->made)
                hs_summary_brief(cursor->block.blocks, spot->id, cursor->made[spot->id], &spot->brief);
            else
                hs_block_brief(heaps, spot->extent, spot->off, &spot->brief);
            spot->user = user_of(heaps, spot);
            if (cursor->summing)
                hs_summing_take(cursor->summing, spot->extent, spot->off, spot->id, &spot->brief);
            kept += cursor->states >> spot->brief.state & 1;
        }
    }
    return kept;
}

/* Shards begin at multiples of HS_SHARD_BLOCKS, so no two of them share a word. */
size_t hs_set_shards(const struct hs_set *set)
{
    if (set->to <= set->from)
        return 0;
    return (set->to - 1) / HS_SHARD_BLOCKS - set->from / HS_SHARD_BLOCKS + 1;
}

uint32_t hs_shard_from(const struct hs_set *set, size_t shard)
{
    uint64_t from = (set->from / HS_SHARD_BLOCKS + (uint64_t)shard) * HS_SHARD_BLOCKS;

    return from > set->from ? (uint32_t)from : set->from;
}

uint32_t hs_shard_to(const struct hs_set *set, size_t shard)
{
    uint64_t to = (set->from / HS_SHARD_BLOCKS + (uint64_t)shard + 1) * HS_SHARD_BLOCKS;

    return to < set->to ? (uint32_t)to : set->to;
}

void hs_set_parallel(const struct hs_set *set, void (*run)(void *context, size_t shard), void *context)
{
    hs_parallel(set->dump->thread_count, hs_set_shards(set), run, context);
}

/* Count and bytes of a set that is all blocks of some states of some heaps, from the walk's totals. */
static void take_totals(struct hs_set *set, size_t first_heap, size_t heap_count)
{
    uint64_t count = 0, bytes = 0;

    for (size_t heap = first_heap; heap < first_heap + heap_count; heap++) {
        const struct hs_heap_totals *totals = &set->blocks->totals[heap];

        for (unsigned state = 0; state < HS_BLOCK_STATE_COUNT; state++) {
            if (set->states >> state & 1) {
                count += totals->count[state];
                bytes += totals->size[state];
            }
        }
    }
    set->count = (uint32_t)count;
    atomic_store(&set->bytes, bytes);
}

enum hs_status hs_set_create(struct hs_dump *dump, const struct hs_set_options *options, struct hs_job *job,
                             struct hs_set **set_ret, struct hs_error *err)
{
    const struct hs_blocks *blocks;
    struct hs_set *set;
    bool one_heap = options && options->one_heap;
    enum hs_status status = hs_dump_blocks(dump, job, &blocks, err);

    if (status != HS_OK)
        return status;
    if (one_heap && options->heap_idx >= blocks->heaps->count)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "heap %zu of %zu", options->heap_idx,
                       blocks->heaps->count);
    set = hs_set_new(dump, blocks);
    if (!set)
        return hs_fail_memory(err, "a set of blocks");
    atomic_store(&set->settled, false);
    if (options && options->states)
        set->states = options->states & ALL_STATES;
    if (one_heap) {
        set->from = blocks->first_id[options->heap_idx];
        set->to = blocks->first_id[options->heap_idx + 1];
    }
    take_totals(set, one_heap ? options->heap_idx : 0, one_heap ? 1 : blocks->heaps->count);
    *set_ret = set;
    return HS_OK;
}

/* What a pass over shards of a set shares. */
struct pass {
    struct hs_set *set;
    const uint64_t *summaries;
    atomic_uint_fast64_t bytes;
};

/* The words of a shard: no two shards share one. */
static size_t first_word(const struct hs_set *set, size_t shard)
{
    return hs_shard_from(set, shard) / 64;
}
static size_t end_word(const struct hs_set *set, size_t shard)
{
    return ((size_t)hs_shard_to(set, shard) + 63) / 64;
}

static void settle_shard(void *context, size_t shard)
{
    const struct pass *pass = context;

    for (size_t word = first_word(pass->set, shard); word < end_word(pass->set, shard); word++)
        pass->set->words[word] = hs_set_bits(pass->set, pass->summaries, word);
}

/* Where there is no memory for summaries. */
static void settle_slowly(void *context, size_t shard)
{
    struct hs_set *set = ((struct pass *)context)->set;
    struct hs_set_cursor cursor;
    struct hs_spot spots[HS_BATCH];
    size_t count;

    hs_set_cursor_init(&cursor, set, hs_shard_from(set, shard), hs_shard_to(set, shard));
    while ((count = hs_set_cursor_take(&cursor, spots)) > 0)
        for (size_t i = 0; i < count; i++)
            set->words[spots[i].id / 64] |= UINT64_C(1) << (spots[i].id % 64);
}

/* Makes the words of a set say what belongs to it. */
static void settle(const struct hs_set *set)
{
    struct hs_set *own = (struct hs_set *)(uintptr_t)set;

    if (atomic_load_explicit(&own->settled, memory_order_acquire))
        return;
    pthread_mutex_lock(&own->dump->lock);
    if (!atomic_load_explicit(&own->settled, memory_order_relaxed)) {
        struct pass pass = {.set = own, .summaries = hs_blocks_summaries(own->blocks, own->dump->thread_count)};

        hs_set_parallel(own, pass.summaries ? settle_shard : settle_slowly, &pass);
        atomic_store_explicit(&own->settled, true, memory_order_release);
    }
    pthread_mutex_unlock(&own->dump->lock);
}

enum hs_status hs_set_combine(const struct hs_set *a, enum hs_set_op op, const struct hs_set *b,
                              struct hs_set **set_ret, struct hs_error *err)
{
    struct hs_set *set;

    if (a->blocks != b->blocks)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "the sets come from two dumps");
    settle(a);
    settle(b);
    set = hs_set_new(a->dump, a->blocks);
    if (!set)
        return hs_fail_memory(err, "a set of blocks");
    for (size_t i = 0; i < word_count(a); i++) {
        switch (op) {
        case HS_SET_OR: set->words[i] = a->words[i] | b->words[i]; break;
        case HS_SET_AND: set->words[i] = a->words[i] & b->words[i]; break;
        case HS_SET_MINUS: set->words[i] = a->words[i] & ~b->words[i]; break;
        }
        set->count += hs_popcount(set->words[i]);
    }
    atomic_store(&set->bytes, set->count ? HS_SET_NOT_ADDED : 0);
    *set_ret = set;
    return HS_OK;
}

uint32_t hs_set_count(const struct hs_set *set)
{
    return set->count;
}

static void sum_shard(void *context, size_t shard)
{
    struct pass *pass = context;
    const struct hs_set *set = pass->set;
    uint64_t bytes = 0;

    for (size_t word = first_word(set, shard); word < end_word(set, shard); word++)
        for (uint64_t bits = set->words[word]; bits; bits &= bits - 1) {
            uint32_t id = (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(bits);

            bytes += hs_summary_size(set->blocks, id, pass->summaries ? pass->summaries[id] : HS_SUMMARY_SIZE);
        }
    atomic_fetch_add_explicit(&pass->bytes, bytes, memory_order_relaxed);
}

#define FEW 64u /* a set with so small a part of all blocks is no reason to make summaries */

/* Many a set is only counted: sizes are added up when somebody asks. */
uint64_t hs_set_bytes(const struct hs_set *set)
{
    struct hs_set *own = (struct hs_set *)(uintptr_t)set;
    struct pass pass = {.set = own};

    if (atomic_load(&own->bytes) == HS_SET_NOT_ADDED) {
        pass.summaries = set->count < set->blocks->count / FEW
                             ? hs_blocks_summaries_made(set->blocks)
                             : hs_blocks_summaries(set->blocks, set->dump->thread_count);
        hs_set_parallel(set, sum_shard, &pass);
        atomic_store(&own->bytes, pass.bytes);
    }
    return atomic_load(&own->bytes);
}

size_t hs_set_memory(const struct hs_set *set)
{
    return sizeof *set + (word_count(set) + 1) * sizeof *set->words;
}

bool hs_set_has(const struct hs_set *set, uint32_t id)
{
    settle(set);
    return id < set->blocks->count && (set->words[id / 64] >> (id % 64) & 1);
}

enum hs_status hs_set_next(const struct hs_set *set, uint32_t id, uint32_t *id_ret)
{
    size_t word = id / 64;
    uint64_t bits;

    if (id >= set->blocks->count)
        return HS_NOT_FOUND;
    settle(set);
    bits = set->words[word] & (UINT64_MAX << (id % 64));
    while (!bits) {
        if (++word >= word_count(set))
            return HS_NOT_FOUND;
        bits = set->words[word];
    }
    *id_ret = (uint32_t)(word * 64 + (size_t)__builtin_ctzll(bits));
    return HS_OK;
}

struct label_pass {
    const struct hs_set *set;
    struct hs_blocks *blocks;
    uint16_t number;
};

/* Each block is of one shard, so no two threads label the same. */
static void label_shard(void *context, size_t shard)
{
    const struct label_pass *pass = context;
    uint32_t to = hs_shard_to(pass->set, shard);

    for (size_t word = hs_shard_from(pass->set, shard) / 64; (uint64_t)word * 64 < to; word++)
        for (uint64_t bits = pass->set->words[word]; bits; bits &= bits - 1)
            hs_blocks_set_label(pass->blocks, (uint32_t)(word * 64) + (uint32_t)__builtin_ctzll(bits), pass->number);
}

enum hs_status hs_set_label(const struct hs_set *set, const struct hs_label *label, struct hs_error *err)
{
    struct label_pass pass = {.set = set, .blocks = (struct hs_blocks *)(uintptr_t)set->blocks};
    enum hs_status status;

    if (!(label->confidence >= 0 && label->confidence <= 1))
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "a confidence of %g, expected 0 to 1",
                       label->confidence);
    status = hs_blocks_add_label(pass.blocks, label, set->dump->thread_count, &pass.number, err);
    if (status != HS_OK)
        return status;
    settle(set);
    hs_set_parallel(set, label_shard, &pass);
    return HS_OK;
}
