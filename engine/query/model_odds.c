/* model_odds.c - the probabilities of who owns the clumps of one stored index: evidence added up as log-odds, over every
 * way to give the clumps to the candidates. */
#include "query/model.h"

#include <math.h>

/* floor(log2(a / b)); 0 where a < b. */
static unsigned log2_ratio(uint64_t a, uint64_t b)
{
    unsigned bits;

    if (b == 0 || a < b)
        return 0;
    bits = hs_log2_floor(a) - hs_log2_floor(b);
    return b > a >> bits ? bits - 1 : bits; /* b << bits would be more than a */
}

static double tag_odds(const struct hs_model *model, const struct hs_clump *clump, hs_va caller)
{
    const struct hs_learned *learned = model->learned;
    double same, all, chance = hs_caller_chance(model, caller), odds;
    size_t low, high;
    hs_va from, to;

    hs_learned_tag(learned, clump->tag, 0, &low);
    hs_learned_tag(learned, clump->tag + 1u, 0, &high);
    all = learned->tag_sums[high] - learned->tag_sums[low];
    if (high == low)
        return 0;
    hs_caller_window(model, caller, &from, &to);
    hs_learned_tag(learned, clump->tag, caller ? from : 0, &low);
    hs_learned_tag(learned, clump->tag, caller ? to : 0, &high);
    same = caller ? learned->tag_sums[high] - learned->tag_sums[low] : 0;
    /* Its own stored index is no witness. */
    for (uint32_t c = model->first_clump[clump->stored];
         learned->tag_learned[clump->stored] && c < model->first_clump[clump->stored + 1]; c++) {
        const struct hs_clump *own = &model->clumps[c];

        if (own->tag != clump->tag)
            continue;
        for (uint32_t i = 0; i < hs_model_candidates(model, own->stored); i++) {
            uint32_t index = hs_model_candidate(model, own->stored, i);
            double p = learned->tag_odds_then ? (double)learned->tag_odds_then[own->odds + i] : 0;

            if (!index || p <= model->opinions->likely_min)
                continue;
            all -= p;
            if (hs_caller_same(model, model->traces[index].caller, caller))
                same -= p;
        }
    }
    same = same > 0 ? same : 0;
    all = all > 0 ? all : 0;
    odds = log((same + chance) / (all + 1) / chance);
    return odds < -2 ? -2 : odds > 3 ? 3 : odds;
}

/* What speaks for a candidate as the owner of a clump, counts apart. */
static double clump_odds(const struct hs_model *model, const struct hs_clump *clump, uint32_t candidate)
{
    const struct hs_learned *learned = model->learned;
    const struct hs_opinions *opinions = model->opinions;
    uint32_t index = hs_model_candidate(model, clump->stored, candidate);
    const struct hs_trace_fact *trace = &model->traces[index];
    double odds = 0;

    if (!index) {
        odds = learned->log_unrecorded;
        if (opinions->use[HS_EVIDENCE_CONTENT])
            odds += learned->log_overall[clump->label];
        if (opinions->use[HS_EVIDENCE_SIZES] && clump->regular < HS_REGULAR_COUNT)
            odds += learned->log_sizes[clump->regular];
        return odds;
    }
    if (opinions->use[HS_EVIDENCE_CONTENT]) {
        odds += learned->log_likely[(size_t)trace->maker * model->label_count + clump->label];
        if (clump->module_bit < 64 && !(trace->modules >> clump->module_bit & 1))
            odds += learned->log_absent;
    }
    if (opinions->use[HS_EVIDENCE_SIZES] && clump->regular < HS_REGULAR_COUNT)
        odds += opinions->size_weight * learned->log_regular[(size_t)trace->maker * HS_REGULAR_COUNT + clump->regular];
    if (opinions->use[HS_EVIDENCE_TAGS] && clump->tag && learned->tag_count)
        odds += tag_odds(model, clump, trace->caller);
    if (model->seen)
        odds += (double)model->seen[clump->odds + candidate];
    return odds;
}

/* What `blocks` live blocks say of a trace. */
static double count_odds(const struct hs_model *model, uint32_t index, uint64_t blocks)
{
    const struct hs_trace_fact *trace = &model->traces[index];
    unsigned behind;

    if (!index || !blocks)
        return 0;
    if (trace->count == 0)
        return -12; /* an entry that makes no sense */
    if (!model->opinions->use[HS_EVIDENCE_COUNTS])
        return 0;
    if ((double)blocks > (double)trace->count * model->opinions->tolerance) {
        double over = log2((double)blocks / trace->count);

        return -20 - (over < 20 ? over : 20);
    }
    behind = log2_ratio(trace->count, blocks);
    return model->learned->log_behind[behind < HS_BEHIND_BINS ? behind : HS_BEHIND_BINS - 1] -
           model->learned->log_captures[hs_log2_floor(trace->count)];
}

/* The ways to give some of the clumps to candidates. */
struct ways {
    double *sum;      /* a way */
    uint64_t *blocks; /* a way, a candidate */
    uint32_t count;
};

static void owners_of(const struct hs_model *model, uint32_t stored, const struct ways *ways, uint32_t way,
                      uint32_t candidates, double *sum_ret, uint32_t *active_ret)
{
    uint32_t active = 0, paid;
    double sum = ways->sum[way];

    for (uint32_t i = 0; i < candidates; i++) {
        uint64_t blocks = ways->blocks[(size_t)way * candidates + i];
        uint32_t index = hs_model_candidate(model, stored, i);

        if (!blocks)
            continue;
        sum += count_odds(model, index, blocks);
        active += index != 0;
    }
    /* Where stacks were not recorded, the first owner pays too: the unrecorded need no trace of their own. */
    paid = stored == 0 ? active : active ? active - 1 : 0;
    *sum_ret = (sum + paid * model->learned->log_second) * model->opinions->temper;
    *active_ret = active;
}

/* Gives clump `clump` to each candidate in every way so far. Goes backwards, so that the arrays can be the same. */
static void branch(const struct hs_model *model, const struct hs_clump *clump, uint32_t candidates, struct ways *ways)
{
    double given[HS_MANY];

    for (uint32_t i = 0; i < candidates; i++)
        given[i] = clump_odds(model, clump, i);
    for (uint32_t way = ways->count; way-- > 0;)
        for (uint32_t i = candidates; i-- > 0;) {
            size_t to = (size_t)way * candidates + i;

            for (uint32_t j = 0; j < candidates; j++)
                ways->blocks[to * candidates + j] = ways->blocks[(size_t)way * candidates + j];
            ways->sum[to] = ways->sum[way] + given[i];
            ways->blocks[to * candidates + i] += clump->count;
        }
    ways->count *= candidates;
}

/* Probabilities of each clump's owners. Adds to *several_ret the probability that there are two or more. */
static void weigh_ways(struct hs_model *model, uint32_t stored, struct ways *ways, double *several_ret)
{
    uint32_t candidates = hs_model_candidates(model, stored), first = model->first_clump[stored];
    uint32_t clumps = model->first_clump[stored + 1] - first;
    double highest = -INFINITY, total = 0, several = 0;

    memset(ways->blocks, 0, candidates * sizeof *ways->blocks);
    ways->sum[0] = 0;
    ways->count = 1;
    for (uint32_t j = 0; j < clumps; j++)
        branch(model, &model->clumps[first + j], candidates, ways);
    for (uint32_t way = 0; way < ways->count; way++) {
        uint32_t active;

        owners_of(model, stored, ways, way, candidates, &ways->sum[way], &active);
        ways->blocks[(size_t)way * candidates] = active;
        if (ways->sum[way] > highest)
            highest = ways->sum[way];
    }
    for (uint32_t way = 0; way < ways->count; way++) {
        double p = ways->sum[way] - highest;

        ways->sum[way] = p = p > -40 ? exp(p) : 0;
        total += p;
        if (ways->blocks[(size_t)way * candidates] > 1)
            several += p;
    }
    for (uint32_t j = clumps, step = 1; j-- > 0; step *= candidates) {
        float *odds = model->odds + model->clumps[first + j].odds;

        for (uint32_t i = 0; i < candidates; i++) {
            double p = 0;

            for (uint32_t base = i * step; base < ways->count; base += candidates * step)
                for (uint32_t way = base; way < base + step; way++)
                    p += ways->sum[way];
            odds[i] = (float)(p / total);
        }
    }
    *several_ret = several / total;
}

/* The same for one clump and many candidates: each way is one candidate. */
static void weigh_many(struct hs_model *model, const struct hs_clump *clump, uint32_t candidates)
{
    float *odds = model->odds + clump->odds;
    double highest = -INFINITY, total = 0;

    for (unsigned pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < candidates; i++) {
            uint32_t index = hs_model_candidate(model, clump->stored, i);
            double paid = clump->stored == 0 && index ? model->learned->log_second : 0;
            double score =
                (clump_odds(model, clump, i) + count_odds(model, index, clump->count) + paid) * model->opinions->temper;

            if (pass == 0)
                highest = score > highest ? score : highest;
            else
                total += odds[i] = (float)exp(score - highest);
        }
    for (uint32_t i = 0; i < candidates; i++)
        odds[i] = (float)((double)odds[i] / total);
}

void hs_model_weigh(struct hs_model *model, uint32_t stored, double *several_ret)
{
    uint32_t candidates = hs_model_candidates(model, stored), first = model->first_clump[stored];
    uint32_t clumps = model->first_clump[stored + 1] - first;

    *several_ret = 0;
    if (clumps == 0)
        return;
    if (candidates == 1) {
        for (uint32_t j = 0; j < clumps; j++)
            model->odds[model->clumps[first + j].odds] = 1;
    } else if (candidates <= HS_MANY) {
        double sums[HS_WAYS_MAX];
        uint64_t blocks[HS_WAYS_MAX * HS_MANY];
        struct ways ways = {.sum = sums, .blocks = blocks};

        weigh_ways(model, stored, &ways, several_ret);
    } else {
        weigh_many(model, &model->clumps[first], candidates); /* ways_max leaves one clump */
    }
}
