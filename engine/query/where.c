/* where.c - the blocks of a set that filters are true for: one pass, however many filters there are. */
#include "query/query.h"

struct where_pass {
    const struct hs_set *from;
    const uint64_t *summaries;  /* every filter is plain: no block is looked at */
    struct hs_summing *summing; /* all blocks are looked at, and their summaries are expected; */
    atomic_bool passed_over;    /* but some were not after all, as somebody settled the set */
    const struct hs_filter *const *filters;
    struct hs_set **to;
    size_t count;
    struct hs_job *job;
};

struct where_sum {
    uint64_t count, bytes;
};

/* One filter over some blocks, into its set. */
static void where_batch(const struct hs_filter *filter, const struct hs_spot *spots, size_t taken, struct hs_set *to,
                        struct where_sum *sum)
{
    uint64_t found = hs_filter_batch(filter, spots, taken);

    for (; found; found &= found - 1) {
        const struct hs_spot *spot = &spots[__builtin_ctzll(found)];

        to->words[spot->id / 64] |= UINT64_C(1) << (spot->id % 64);
        sum->count++;
        sum->bytes += spot->brief.size;
    }
}

/* The blocks of a shard by filters that are all plain: no block is looked at. Bytes are added up when somebody asks. */
static void where_words(const struct where_pass *pass, uint32_t from, uint32_t to, struct where_sum *sums)
{
    for (size_t word = from / 64; (uint64_t)word * 64 < to; word++) {
        uint64_t bits = hs_set_bits(pass->from, pass->summaries, word);

        for (size_t i = 0; bits && i < pass->count; i++) {
            uint64_t found = hs_filter_word(pass->filters[i], pass->summaries, word, bits);

            pass->to[i]->words[word] = found;
            sums[i].count += hs_popcount(found);
        }
    }
    hs_job_advance(pass->job, to - from);
}

#define TELL_BLOCKS 2048u /* between two reports of how far the pass is: filters may take their time */

static void where_spots(struct where_pass *pass, uint32_t from, uint32_t to, struct where_sum *sums)
{
    struct hs_set_cursor cursor;
    struct hs_spot spots[HS_BATCH];
    uint32_t told = from;
    size_t taken;

    hs_set_cursor_init(&cursor, pass->from, from, to);
    if (pass->summing && cursor.words)
        atomic_store(&pass->passed_over, true);
    else
        cursor.summing = pass->summing;
    while (!hs_job_stopped(pass->job) && (taken = hs_set_cursor_take(&cursor, spots)) > 0) {
        uint32_t id = spots[taken - 1].id;

        for (size_t i = 0; i < pass->count; i++)
            where_batch(pass->filters[i], spots, taken, pass->to[i], &sums[i]);
        if (id - told >= TELL_BLOCKS) {
            hs_job_advance(pass->job, id - told);
            told = id;
        }
    }
    hs_job_advance(pass->job, to - told);
}

static void where_shard(void *context, size_t shard)
{
    struct where_pass *pass = context;
    struct where_sum sums[HS_WHERE_MAX] = {{0}};
    uint32_t from = hs_shard_from(pass->from, shard), to = hs_shard_to(pass->from, shard);

    if (hs_job_stopped(pass->job))
        return;
    if (pass->summaries)
        where_words(pass, from, to, sums);
    else
        where_spots(pass, from, to, sums);
    for (size_t i = 0; i < pass->count; i++) {
        __atomic_fetch_add(&pass->to[i]->count, (uint32_t)sums[i].count, __ATOMIC_RELAXED);
        atomic_fetch_add_explicit(&pass->to[i]->bytes, sums[i].bytes, memory_order_relaxed);
    }
}

static bool all_plain(const struct hs_filter *const *filters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!hs_filter_is_plain(filters[i]))
            return false;
    return true;
}

/* Whether a pass over a set looks at every block of the dump, also at those that do not belong to it. */
static bool is_all(const struct hs_set *set)
{
    return set->from == 0 && set->to == set->blocks->count && !atomic_load(&set->settled);
}

enum hs_status hs_set_where_each(const struct hs_set *set, const struct hs_filter *const *filters, size_t count,
                                 struct hs_job *job, struct hs_set **sets_ret, struct hs_error *err)
{
    struct hs_set *sets[HS_WHERE_MAX] = {NULL};
    struct where_pass pass = {.from = set, .filters = filters, .to = sets, .count = count, .job = job};
    enum hs_status status = HS_OK;

    if (count == 0 || count > HS_WHERE_MAX)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "%zu filters at once, expected 1 to %d", count,
                       HS_WHERE_MAX);
    for (size_t i = 0; i < count; i++)
        if (hs_filter_dump(filters[i]) != set->dump)
            return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "the filter and the set come from two dumps");
    for (size_t i = 0; i < count && status == HS_OK; i++)
        if (!(sets[i] = hs_set_new(set->dump, set->blocks)))
            status = hs_fail_memory(err, "a set of blocks");
    if (status == HS_OK) {
        if (all_plain(filters, count))
            pass.summaries = hs_blocks_summaries_made(set->blocks);
        if (!pass.summaries && is_all(set))
            pass.summing = hs_summing_begin(set->blocks);
        hs_job_start(job, set->to - set->from);
        hs_set_parallel(set, where_shard, &pass);
        hs_summing_end(pass.summing, !hs_job_stopped(job) && !atomic_load(&pass.passed_over));
        if (hs_job_stopped(job))
            status = hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while filtering blocks");
    }
    for (size_t i = 0; i < count; i++) {
        if (pass.summaries && sets[i] && sets[i]->count)
            atomic_store(&sets[i]->bytes, HS_SET_NOT_ADDED);
        if (status == HS_OK)
            sets_ret[i] = sets[i];
        else
            hs_set_destroy(sets[i]);
    }
    return status;
}

enum hs_status hs_set_where(const struct hs_set *set, const struct hs_filter *filter, struct hs_job *job,
                            struct hs_set **set_ret, struct hs_error *err)
{
    return hs_set_where_each(set, &filter, 1, job, set_ret, err);
}
