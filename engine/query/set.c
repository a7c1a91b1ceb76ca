/* set.c - sets of blocks as bitmaps over block ids. */
#include "query/query.h"

#include <stdlib.h>

static size_t word_count(const struct hs_set *set)
{
    return ((size_t)set->block_count + 63) / 64;
}

struct hs_set *hs_set_new(const struct hs_blocks *blocks, unsigned thread_count)
{
    struct hs_set *set = calloc(1, sizeof *set);

    if (!set)
        return NULL;
    set->blocks = blocks;
    set->thread_count = thread_count;
    set->block_count = blocks->count;
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

/* What one pass over blocks needs: which to look at, which to keep. */
struct pass {
    struct hs_set *set;
    const struct hs_set_options *options; /* NULL: keep what the words say already, only count */
    struct hs_job *job;
    atomic_uint_fast64_t count, bytes;
};

static bool fits(const struct hs_set_options *options, const struct hs_extent *extent, const struct hs_brief *brief)
{
    return (!options->one_heap || options->heap_idx == extent->heap_idx) &&
           (!options->states || (options->states >> brief->state & 1));
}

static void run_shard(void *context, size_t shard)
{
    struct pass *pass = context;
    struct hs_set *set = pass->set;
    const struct hs_heaps *heaps = set->blocks->heaps;
    uint32_t from = (uint32_t)(shard * HS_SHARD_BLOCKS);
    uint32_t to = set->block_count - from > HS_SHARD_BLOCKS ? from + HS_SHARD_BLOCKS : set->block_count;
    struct hs_block_cursor cursor;
    uint64_t count = 0, bytes = 0;

    if (hs_job_stopped(pass->job))
        return;
    hs_block_cursor_init(&cursor, set->blocks, from);
    while (cursor.next_id < to && hs_block_cursor_next(&cursor)) {
        uint64_t *word = &set->words[cursor.id / 64];
        uint64_t bit = UINT64_C(1) << (cursor.id % 64);
        struct hs_brief brief;

        if (!pass->options && !(*word & bit))
            continue;
        hs_block_brief(heaps, cursor.extent, cursor.off, &brief);
        if (pass->options && !fits(pass->options, cursor.extent, &brief))
            continue;
        *word |= bit;
        count++;
        bytes += brief.size;
    }
    atomic_fetch_add_explicit(&pass->count, count, memory_order_relaxed);
    atomic_fetch_add_explicit(&pass->bytes, bytes, memory_order_relaxed);
    hs_job_advance(pass->job, to - from);
}

static enum hs_status run_pass(struct pass *pass, struct hs_error *err)
{
    struct hs_set *set = pass->set;

    hs_job_start(pass->job, set->block_count);
    hs_parallel(set->thread_count, hs_shard_count(set->block_count), run_shard, pass);
    if (hs_job_stopped(pass->job))
        return hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while choosing blocks");
    set->count = (uint32_t)pass->count;
    set->bytes = pass->bytes;
    return HS_OK;
}

enum hs_status hs_set_create(struct hs_dump *dump, const struct hs_set_options *options, struct hs_job *job,
                             struct hs_set **set_ret, struct hs_error *err)
{
    static const struct hs_set_options all = {0};
    struct pass pass = {.options = options ? options : &all, .job = job};
    const struct hs_blocks *blocks;
    enum hs_status status = hs_dump_blocks(dump, job, &blocks, err);

    if (status != HS_OK)
        return status;
    pass.set = hs_set_new(blocks, dump->thread_count);
    if (!pass.set)
        return hs_fail_memory(err, "a set of blocks");
    status = run_pass(&pass, err);
    if (status != HS_OK) {
        hs_set_destroy(pass.set);
        return status;
    }
    *set_ret = pass.set;
    return HS_OK;
}

enum hs_status hs_set_combine(const struct hs_set *a, enum hs_set_op op, const struct hs_set *b,
                              struct hs_set **set_ret, struct hs_error *err)
{
    struct pass pass = {0};
    enum hs_status status;

    if (a->blocks != b->blocks)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "the sets come from two dumps");
    pass.set = hs_set_new(a->blocks, a->thread_count);
    if (!pass.set)
        return hs_fail_memory(err, "a set of blocks");
    for (size_t i = 0; i < word_count(a); i++) {
        switch (op) {
        case HS_SET_OR: pass.set->words[i] = a->words[i] | b->words[i]; break;
        case HS_SET_AND: pass.set->words[i] = a->words[i] & b->words[i]; break;
        case HS_SET_MINUS: pass.set->words[i] = a->words[i] & ~b->words[i]; break;
        }
    }
    status = run_pass(&pass, err);
    if (status != HS_OK) {
        hs_set_destroy(pass.set);
        return status;
    }
    *set_ret = pass.set;
    return HS_OK;
}

uint32_t hs_set_count(const struct hs_set *set)
{
    return set->count;
}

uint64_t hs_set_bytes(const struct hs_set *set)
{
    return set->bytes;
}

bool hs_set_has(const struct hs_set *set, uint32_t id)
{
    return id < set->block_count && (set->words[id / 64] >> (id % 64) & 1);
}

enum hs_status hs_set_next(const struct hs_set *set, uint32_t id, uint32_t *id_ret)
{
    size_t word = id / 64;
    uint64_t bits;

    if (id >= set->block_count)
        return HS_NOT_FOUND;
    bits = set->words[word] & (UINT64_MAX << (id % 64));
    while (!bits)
        if (++word >= word_count(set))
            return HS_NOT_FOUND;
        else
            bits = set->words[word];
    *id_ret = (uint32_t)(word * 64 + (size_t)__builtin_ctzll(bits));
    return HS_OK;
}
