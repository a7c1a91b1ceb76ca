/* model.c - which candidate made each clump of blocks: log-odds of several kinds of evidence, added up over every way to
 * give the clumps of a stored index to its candidates. What is assumed and why is told in plugins/lib/attribution.lua;
 * this file is its arithmetic. Nothing here depends on the number of threads: what threads add up are integers. */
#include "query/model.h"

#include <math.h>
#include <stdlib.h>

struct judging {
    struct hs_model *model;
    const uint32_t *list; /* stored indexes; NULL: all */
    size_t count;
    bool learning;
};
#define JUDGE_ITEM 64u

static void judge_item(void *context, size_t item)
{
    struct judging *judging = context;
    size_t to = (item + 1) * JUDGE_ITEM < judging->count ? (item + 1) * JUDGE_ITEM : judging->count;

    if (hs_job_stopped(judging->model->job))
        return;
    for (size_t at = item * JUDGE_ITEM; at < to; at++) {
        uint32_t stored = judging->list ? judging->list[at] : (uint32_t)at;
        double several;

        hs_model_weigh(judging->model, stored, &several);
        if (judging->learning)
            hs_learned_add(judging->model, stored, several);
    }
    hs_job_advance(judging->model->job, to - item * JUDGE_ITEM);
}

static enum hs_status judge_list(struct hs_model *model, const uint32_t *list, size_t count, bool learning,
                                 struct hs_error *err)
{
    struct judging judging = {.model = model, .list = list, .count = count, .learning = learning};

    if (learning)
        hs_learned_forget(model);
    hs_parallel(model->thread_count, (count + JUDGE_ITEM - 1) / JUDGE_ITEM, judge_item, &judging);
    if (hs_job_stopped(model->job))
        return hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while judging traces");
    return HS_OK;
}

/* A thing with bytes, most of them first. */
struct weight {
    uint64_t bytes;
    uint32_t what;
};
static int compare_weights(const void *a, const void *b)
{
    const struct weight *one = a, *two = b;

    if (one->bytes != two->bytes)
        return one->bytes > two->bytes ? -1 : 1;
    return one->what < two->what ? -1 : one->what > two->what;
}

/* Bytes by order of magnitude, 16 steps for each power of two. */
#define STEP_BITS 4u
#define STEPS (64u << STEP_BITS)
static unsigned step_of(uint64_t bytes)
{
    unsigned bits = hs_log2_floor(bytes);
    uint64_t rest = bits > STEP_BITS ? bytes >> (bits - STEP_BITS) : bytes << (STEP_BITS - bits);

    return bits << STEP_BITS | (unsigned)(rest & ((1u << STEP_BITS) - 1));
}

/* Puts the first `wanted` of the order of weights to the front, in that order; gives how many these are. */
static size_t heaviest(struct weight *weights, size_t count, size_t wanted)
{
    size_t steps[STEPS] = {0}, sum = 0, kept = 0;
    unsigned least = STEPS;

    for (size_t i = 0; i < count; i++)
        steps[step_of(weights[i].bytes)]++;
    while (least > 0 && sum < wanted)
        sum += steps[--least];
    for (size_t i = 0; i < count; i++)
        if (step_of(weights[i].bytes) >= least)
            weights[kept++] = weights[i];
    if (kept)
        qsort(weights, kept, sizeof *weights, compare_weights);
    return kept < wanted ? kept : wanted;
}

/* The stored indexes with most bytes, at most `learn` of them. */
static uint32_t *learning_list(const struct hs_model *model, size_t *count_ret)
{
    struct weight *weights = calloc(HS_CELL_STORED, sizeof *weights);
    uint32_t *list = calloc(HS_CELL_STORED, sizeof *list);
    size_t count = 0;

    for (uint32_t stored = 0; weights && stored < HS_CELL_STORED; stored++) {
        uint64_t bytes = 0;

        for (uint32_t c = model->first_clump[stored]; c < model->first_clump[stored + 1]; c++)
            bytes += model->clumps[c].bytes;
        if (model->first_clump[stored] < model->first_clump[stored + 1])
            weights[count++] = (struct weight){bytes, stored};
    }
    model->learned->live = count;
    if (weights)
        count = heaviest(weights, count, model->opinions->learn);
    for (size_t i = 0; weights && list && i < count; i++)
        list[i] = weights[i].what;
    *count_ret = count;
    if (!weights) {
        free(list);
        list = NULL;
    }
    free(weights);
    return list;
}

enum hs_status hs_model_judge(struct hs_model *model, struct hs_error *err)
{
    struct hs_learned *learned;
    enum hs_status status = hs_learned_create(model, err);
    uint32_t *list = NULL;
    size_t count = 0;
    double active;

    if (status == HS_OK)
        status = hs_model_clump(model, err);
    if (status == HS_OK)
        status = hs_learned_callers(model, err);
    if (status != HS_OK)
        return status;
    learned = model->learned;
    list = learning_list(model, &count);
    if (!list)
        return hs_fail_memory(err, "stored indexes");
    active = ((double)learned->live + 1) / ((double)model->trace_count + 1);
    active = active < 0.5 ? active : 0.5;
    learned->second = active;
    hs_learned_captures(model);
    hs_learned_tables(model);
    hs_job_start(model->job, HS_CELL_STORED + 2 * count);
    for (unsigned round = 0; round < 2 && status == HS_OK; round++) {
        status = judge_list(model, list, count, true, err);
        if (status == HS_OK)
            status = hs_learned_tags(model, list, count, err);
        learned->second =
            (10 * active + (double)learned->several / HS_FIXED) / (10 + (double)learned->contested / HS_FIXED);
        learned->second = learned->second < 0.5 ? learned->second : 0.5;
        hs_learned_tables(model);
    }
    if (status == HS_OK)
        status = judge_list(model, NULL, HS_CELL_STORED, false, err);
    free(list);
    return status;
}

uint32_t hs_model_likeliest(const struct hs_model *model, const struct hs_clump *clump)
{
    const float *odds = model->odds + clump->odds;
    uint32_t best = 0, candidates = hs_model_candidates(model, clump->stored);

    for (uint32_t i = 1; i < candidates; i++)
        if (odds[i] > odds[best])
            best = i;
    return best;
}

size_t hs_model_doubtful(const struct hs_model *model, uint32_t *clumps, size_t count)
{
    struct weight *weights = calloc(model->clump_count + (size_t)1, sizeof *weights);
    size_t found = 0;

    for (uint32_t c = 0; weights && c < model->clump_count; c++) {
        const struct hs_clump *clump = &model->clumps[c];

        if ((double)model->odds[clump->odds + hs_model_likeliest(model, clump)] < model->opinions->clear)
            weights[found++] = (struct weight){clump->bytes, c};
    }
    count = weights ? heaviest(weights, found, count) : 0;
    for (size_t i = 0; i < count; i++)
        clumps[i] = weights[i].what;
    free(weights);
    return count;
}

/* ---- witnesses ---- */

static int compare_witnesses(const void *a, const void *b)
{
    const struct hs_witness *one = a, *two = b;

    if (one->clump != two->clump)
        return one->clump < two->clump ? -1 : 1;
    if (one->kind != two->kind)
        return one->kind < two->kind ? -1 : 1;
    return one->other < two->other ? -1 : one->other > two->other;
}

static size_t first_witness(const struct hs_model *model, uint32_t clump)
{
    size_t low = 0, high = model->witness_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (model->witnesses[middle].clump < clump)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

double hs_model_seen(const struct hs_model *model, uint32_t clump, uint32_t candidate, enum hs_evidence kind,
                     size_t *looked_ret)
{
    uint32_t index = hs_model_candidate(model, model->clumps[clump].stored, candidate);
    hs_va caller = model->traces[index].caller;
    double hits = 0, n = 0, chance, hit, share;

    for (size_t w = first_witness(model, clump); w < model->witness_count && model->witnesses[w].clump == clump; w++) {
        const struct hs_clump *other = &model->clumps[model->witnesses[w].other];

        if (model->witnesses[w].kind != kind)
            continue;
        n++;
        for (uint32_t i = 0; i < hs_model_candidates(model, other->stored); i++) {
            uint32_t its = hs_model_candidate(model, other->stored, i);
            double p = (double)model->odds[other->odds + i];

            if (its && p > model->opinions->likely_min && hs_caller_same(model, model->traces[its].caller, caller))
                hits += p;
        }
    }
    *looked_ret = (size_t)n;
    if (n == 0 || !index)
        return 0;
    share = hits / n;
    share = share < 1 ? share : 1;
    n = n < model->opinions->witnesses ? n : model->opinions->witnesses;
    chance = hs_caller_chance(model, caller);
    hit = model->opinions->seen[kind] > chance ? model->opinions->seen[kind] : chance;
    return n *
           log((share * hit + (1 - share) * (1 - hit)) / (share * chance + (1 - share) * (1 - chance) + 1e-12) + 1e-9);
}

static bool is_first_of_clump(const struct hs_model *model, size_t witness)
{
    return witness == 0 || model->witnesses[witness - 1].clump != model->witnesses[witness].clump;
}

/* Fills model->seen for a clump. */
static void hear_clump(struct hs_model *model, uint32_t c)
{
    uint32_t stored = model->clumps[c].stored, candidates = hs_model_candidates(model, stored);

    for (uint32_t i = 0; i < candidates; i++) {
        double odds = 0;
        size_t looked;

        if (hs_model_candidate(model, stored, i) == 0)
            continue;
        if (model->opinions->use[HS_EVIDENCE_NEIGHBOURS])
            odds += hs_model_seen(model, c, i, HS_EVIDENCE_NEIGHBOURS, &looked);
        if (model->opinions->use[HS_EVIDENCE_LINKS])
            odds += hs_model_seen(model, c, i, HS_EVIDENCE_LINKS, &looked);
        model->seen[model->clumps[c].odds + i] = (float)odds;
    }
}

#define HEARING_ITEM 1024u /* witnesses */

/* Clumps whose first witness is of an item. */
static void hear_item(void *context, size_t item)
{
    struct hs_model *model = context;
    size_t end = (item + 1) * HEARING_ITEM;

    for (size_t w = item * HEARING_ITEM; w < end && w < model->witness_count; w++)
        if (is_first_of_clump(model, w))
            hear_clump(model, model->witnesses[w].clump);
}

/* Lists the stored indexes that witnesses speak of, each once. */
static size_t list_heard(const struct hs_model *model, uint32_t *list)
{
    size_t count = 0;

    for (size_t w = 0; w < model->witness_count; w++) {
        uint32_t stored = model->clumps[model->witnesses[w].clump].stored;

        if (count == 0 || list[count - 1] != stored) /* clumps go by stored index */
            list[count++] = stored;
    }
    return count;
}

enum hs_status hs_model_hear(struct hs_model *model, struct hs_witness *witnesses, size_t count, struct hs_error *err)
{
    uint32_t *list;
    size_t heard;
    enum hs_status status = HS_OK;

    model->witnesses = witnesses;
    model->witness_count = count;
    if (count == 0)
        return HS_OK;
    qsort(witnesses, count, sizeof *witnesses, compare_witnesses);
    model->seen = calloc(model->odds_count + (size_t)1, sizeof *model->seen);
    list = calloc(HS_CELL_STORED, sizeof *list);
    if (!model->seen || !list) {
        free(list);
        return hs_fail_memory(err, "what neighbours say");
    }
    heard = list_heard(model, list);
    for (unsigned round = 0; round < 2 && status == HS_OK; round++) { /* neighbours may be in doubt themselves */
        hs_parallel(model->thread_count, (count + HEARING_ITEM - 1) / HEARING_ITEM, hear_item, model);
        status = judge_list(model, list, heard, false, err);
    }
    free(list);
    return status;
}

void hs_model_deinit(struct hs_model *model)
{
    free(model->clumps);
    free(model->cell_clump);
    free(model->odds);
    free(model->spills);
    free(model->witnesses);
    free(model->seen);
    hs_learned_destroy(model->learned);
}
