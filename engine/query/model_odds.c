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

/* What the live blocks of a candidate are compared with. */
struct counted {
    bool recorded;
    uint32_t count;  /* TraceCount */
    double most;     /* live blocks that it allows for */
    double captures; /* how common such a TraceCount is */
};

static struct counted counted_of(const struct hs_model *model, uint32_t index)
{
    const struct hs_trace_fact *trace = &model->traces[index];

    return (struct counted){index != 0, trace->count, (double)trace->count * model->opinions->tolerance,
                            model->learned->log_captures[hs_log2_floor(trace->count)]};
}

/* What `blocks` live blocks say of a trace. */
static inline double count_odds(const struct hs_model *model, const struct counted *trace, uint64_t blocks)
{
    unsigned behind;

    if (!trace->recorded || !blocks)
        return 0;
    if (trace->count == 0)
        return -12; /* an entry that makes no sense */
    if (!model->opinions->use[HS_EVIDENCE_COUNTS])
        return 0;
    if ((double)blocks > trace->most) {
        double over = log2((double)blocks / trace->count);

        return -20 - (over < 20 ? over : 20);
    }
    behind = log2_ratio(trace->count, blocks);
    return model->learned->log_behind[behind < HS_BEHIND_BINS ? behind : HS_BEHIND_BINS - 1] - trace->captures;
}

/* The ways to give some of the clumps to candidates. */
struct ways {
    double sum[HS_WAYS_MAX];               /* a way */
    uint64_t blocks[HS_WAYS_MAX][HS_MANY]; /* a way, a candidate */
    uint8_t owners[HS_WAYS_MAX];           /* a way: how many candidates have blocks, the unrecorded apart */
    uint32_t count;
};

/* Adds what the counts of the owners say to a way. */
static inline void count_owners(const struct hs_model *model, uint32_t stored, struct ways *ways, uint32_t way,
                                const struct counted *counted, uint32_t candidates)
{
    uint32_t active = 0, paid;
    double sum = ways->sum[way];

    for (uint32_t i = 0; i < candidates; i++) {
        if (!ways->blocks[way][i])
            continue;
        sum += count_odds(model, &counted[i], ways->blocks[way][i]);
        active += counted[i].recorded;
    }
    /* Where stacks were not recorded, the first owner pays too: the unrecorded need no trace of their own. */
    paid = stored == 0 ? active : active ? active - 1 : 0;
    ways->sum[way] = (sum + paid * model->learned->log_second) * model->opinions->temper;
    ways->owners[way] = (uint8_t)active;
}

/* Gives clump `clump` to each candidate in every way so far. Goes backwards, so that the arrays can be the same. */
static inline void branch(const struct hs_model *model, const struct hs_clump *clump, uint32_t candidates,
                          struct ways *ways)
{
    double given[HS_MANY];

    for (uint32_t i = 0; i < candidates; i++)
        given[i] = clump_odds(model, clump, i);
    for (uint32_t way = ways->count; way-- > 0;)
        for (uint32_t i = candidates; i-- > 0;) {
            uint32_t to = way * candidates + i;

            for (uint32_t j = 0; j < candidates; j++)
                ways->blocks[to][j] = ways->blocks[way][j];
            ways->sum[to] = ways->sum[way] + given[i];
            ways->blocks[to][i] += clump->count;
        }
    ways->count *= candidates;
}

/* Turns what speaks for each way into probabilities, which add up to *total_ret; gives that of several owners. */
static double exponentiate(struct ways *ways, double *total_ret)
{
    double highest = -INFINITY, total = 0, several = 0;

    for (uint32_t way = 0; way < ways->count; way++)
        highest = ways->sum[way] > highest ? ways->sum[way] : highest;
    for (uint32_t way = 0; way < ways->count; way++) {
        double p = ways->sum[way] - highest;

        ways->sum[way] = p = p > -40 ? exp(p) : 0;
        total += p;
        if (ways->owners[way] > 1)
            several += p;
    }
    *total_ret = total;
    return several;
}

/* Probabilities of each clump's owners. Gives the probability that there are two or more. Inlined for two candidates,
 * which is the common case: the loops over them are then none. */
__attribute__((always_inline)) static inline double weigh_ways(struct hs_model *model, uint32_t stored,
                                                               const uint32_t candidates)
{
    uint32_t first = model->first_clump[stored], clumps = model->first_clump[stored + 1] - first;
    struct counted counted[HS_MANY];
    struct ways ways;
    double total, several;

    for (uint32_t i = 0; i < candidates; i++) {
        counted[i] = counted_of(model, hs_model_candidate(model, stored, i));
        ways.blocks[0][i] = 0;
    }
    ways.sum[0] = 0;
    ways.count = 1;
    for (uint32_t j = 0; j < clumps; j++)
        branch(model, &model->clumps[first + j], candidates, &ways);
    for (uint32_t way = 0; way < ways.count; way++)
        count_owners(model, stored, &ways, way, counted, candidates);
    several = exponentiate(&ways, &total);
    for (uint32_t j = clumps, step = 1; j-- > 0; step *= candidates) {
        double p[HS_MANY] = {0};

        for (uint32_t base = 0; base < ways.count; base += candidates * step)
            for (uint32_t way = base; way < base + step; way++)
                for (uint32_t i = 0; i < candidates; i++)
                    p[i] += ways.sum[way + i * step];
        for (uint32_t i = 0; i < candidates; i++)
            model->odds[model->clumps[first + j].odds + i] = (float)(p[i] / total);
    }
    return several / total;
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
            struct counted counted = counted_of(model, index);
            double score = (clump_odds(model, clump, i) + count_odds(model, &counted, clump->count) + paid) *
                           model->opinions->temper;

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
    } else if (candidates == 2) {
        *several_ret = weigh_ways(model, stored, 2);
    } else if (candidates <= HS_MANY) {
        *several_ret = weigh_ways(model, stored, candidates);
    } else {
        weigh_many(model, &model->clumps[first], candidates); /* ways_max leaves one clump */
    }
}
