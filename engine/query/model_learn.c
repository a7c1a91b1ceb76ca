/* model_learn.c - what is learned from the dump at hand: how often a call site makes a kind of content, how many captures
 * stand behind a live block, which callers there are. Counted as integers, then turned into odds. */
#include "query/model.h"

#include <math.h>
#include <stdlib.h>

enum hs_status hs_learned_create(struct hs_model *model, struct hs_error *err)
{
    struct hs_learned *learned = calloc(1, sizeof *learned);
    size_t pairs = (size_t)model->maker_count * model->label_count;

    model->learned = learned;
    if (!learned)
        return hs_fail_memory(err, "what is learned of call sites");
    learned->by_maker = calloc(pairs + 1, sizeof *learned->by_maker);
    learned->by_class = calloc((size_t)model->class_count * model->label_count + 1, sizeof *learned->by_class);
    learned->regular = calloc((size_t)model->maker_count * HS_REGULAR_COUNT + 1, sizeof *learned->regular);
    learned->likely = calloc(pairs + 1, sizeof *learned->likely);
    learned->log_likely = calloc(pairs + 1, sizeof *learned->log_likely);
    learned->log_regular = calloc((size_t)model->maker_count * HS_REGULAR_COUNT + 1, sizeof *learned->log_regular);
    learned->log_overall = calloc(model->label_count + (size_t)1, sizeof *learned->log_overall);
    if (!learned->by_maker || !learned->by_class || !learned->regular || !learned->likely || !learned->log_likely ||
        !learned->log_regular || !learned->log_overall)
        return hs_fail_memory(err, "what is learned of call sites");
    return HS_OK;
}

void hs_learned_destroy(struct hs_learned *learned)
{
    if (!learned)
        return;
    free(learned->by_maker);
    free(learned->by_class);
    free(learned->regular);
    free(learned->likely);
    free(learned->log_likely);
    free(learned->log_regular);
    free(learned->log_overall);
    free(learned->tags);
    free(learned->tag_sums);
    free(learned->tag_odds_then);
    free(learned->callers);
    free(learned);
}

static double sum_of(const _Atomic uint64_t *row, uint32_t count)
{
    double sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += (double)row[i] / HS_FIXED;
    return sum;
}

/* Smoothed over neighbours, so that a site is no evidence for just its own bin. */
static void log_density(const double *bins, unsigned count, double floor, double *log_ret)
{
    double sum = 0;

    for (unsigned i = 0; i < count; i++)
        sum += bins[i];
    for (unsigned i = 0; i < count; i++) {
        double low = bins[i ? i - 1 : i], high = bins[i + 1 < count ? i + 1 : i];

        log_ret[i] = log((low + 2 * bins[i] + high) / 4 / (sum > 0 ? sum : 1) + floor);
    }
}

void hs_learned_captures(struct hs_model *model)
{
    double bins[HS_CAPTURE_BINS], sum = 0;

    for (unsigned i = 0; i < HS_CAPTURE_BINS; i++)
        sum += bins[i] = exp(-(double)i / 3);
    for (unsigned i = 0; i < HS_CAPTURE_BINS; i++)
        bins[i] *= 5 / sum;
    for (uint32_t index = 1; index <= model->trace_count; index++)
        if (model->traces[index].readable)
            bins[hs_log2_floor(model->traces[index].count)] += 1;
    log_density(bins, HS_CAPTURE_BINS, model->opinions->floor, model->learned->log_captures);
}

static void behind_tables(struct hs_model *model)
{
    const struct hs_opinions *opinions = model->opinions;
    double bins[HS_BEHIND_BINS], sum = 0;

    for (unsigned i = 0; i < HS_BEHIND_BINS; i++)
        sum += bins[i] = i == 0 ? 1 : 0.5 * exp(-(double)i / opinions->behind_fall);
    for (unsigned i = 0; i < HS_BEHIND_BINS; i++)
        bins[i] = bins[i] / sum * opinions->behind_strength + (double)model->learned->behind[i] / HS_FIXED;
    log_density(bins, HS_BEHIND_BINS, opinions->floor, model->learned->log_behind);
}

void hs_learned_tables(struct hs_model *model)
{
    struct hs_learned *learned = model->learned;
    const struct hs_opinions *opinions = model->opinions;
    uint32_t labels = model->label_count;
    double all = 2;

    behind_tables(model);
    learned->log_second = log(learned->second);
    learned->log_unrecorded = log(opinions->unrecorded);
    learned->log_absent = log(opinions->module_absent);
    for (unsigned r = 0; r < HS_REGULAR_COUNT; r++)
        learned->log_sizes[r] = log(opinions->regular[r]);
    for (uint32_t class = 0; class < model->class_count; class ++)
        all += sum_of(learned->by_class + (size_t) class * labels, labels);
    for (uint32_t label = 0; label < labels; label++) {
        double sum = 0.5;

        for (uint32_t class = 0; class < model->class_count; class ++)
            sum += (double)learned->by_class[(size_t) class * labels + label] / HS_FIXED;
        learned->log_overall[label] = log(sum / all);
    }
    for (uint32_t maker = 0; maker < model->maker_count; maker++) {
        size_t class_row = (size_t)model->maker_class[maker] * labels, row = (size_t)maker * labels;
        double class_sum = sum_of(learned->by_class + class_row, labels), sum = sum_of(learned->by_maker + row, labels);
        double strength = opinions->strength;

        for (uint32_t label = 0; label < labels; label++) {
            double from_class =
                ((double)learned->by_class[class_row + label] / HS_FIXED + strength * model->prior[class_row + label]) /
                (class_sum + strength);

            learned->likely[row + label] =
                ((double)learned->by_maker[row + label] / HS_FIXED + strength * from_class) / (sum + strength);
            learned->log_likely[row + label] = log(learned->likely[row + label]);
        }
        row = (size_t)maker * HS_REGULAR_COUNT;
        sum = sum_of(learned->regular + row, HS_REGULAR_COUNT);
        for (unsigned r = 0; r < HS_REGULAR_COUNT; r++)
            learned->log_regular[row + r] = log(
                ((double)learned->regular[row + r] / HS_FIXED + strength * opinions->regular[r]) / (sum + strength));
    }
}

double hs_model_likelihood(const struct hs_model *model, uint32_t maker, uint32_t label)
{
    return model->learned->likely[(size_t)maker * model->label_count + label];
}

/* ---- callers ---- */

static int compare_va(const void *a, const void *b)
{
    hs_va one = *(const hs_va *)a, two = *(const hs_va *)b;

    return one < two ? -1 : one > two;
}

#define CALLER_SAMPLES 16384u

enum hs_status hs_learned_callers(struct hs_model *model, struct hs_error *err)
{
    struct hs_learned *learned = model->learned;
    uint32_t step = model->trace_count / CALLER_SAMPLES + 1;

    learned->callers = calloc(CALLER_SAMPLES + 1, sizeof *learned->callers);
    if (!learned->callers)
        return hs_fail_memory(err, "callers of traces");
    for (uint64_t index = 1; index <= model->trace_count && learned->caller_count < CALLER_SAMPLES; index += step)
        if (model->traces[index].caller)
            learned->callers[learned->caller_count++] = model->traces[index].caller;
    if (learned->caller_count)
        qsort(learned->callers, learned->caller_count, sizeof *learned->callers, compare_va);
    return HS_OK;
}

static size_t below(const hs_va *callers, size_t count, hs_va va)
{
    size_t low = 0;

    while (low < count) {
        size_t middle = low + (count - low) / 2;

        if (callers[middle] < va)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

void hs_caller_window(const struct hs_model *model, hs_va caller, hs_va *from_ret, hs_va *to_ret)
{
    uint32_t near = model->opinions->near;

    *from_ret = caller > near ? caller - near + 1 : 1;
    *to_ret = caller <= UINT64_MAX - near ? caller + near : UINT64_MAX;
}

bool hs_caller_same(const struct hs_model *model, hs_va a, hs_va b)
{
    return a && b && (a > b ? a - b : b - a) < model->opinions->near;
}

double hs_caller_chance(const struct hs_model *model, hs_va caller)
{
    const struct hs_learned *learned = model->learned;
    hs_va from, to;
    double chance;

    if (!caller)
        return 1;
    hs_caller_window(model, caller, &from, &to);
    chance = (double)(below(learned->callers, learned->caller_count, to) -
                      below(learned->callers, learned->caller_count, from)) /
             (double)(learned->caller_count + 1);
    return chance > 0.003 ? chance : 0.003;
}

/* ---- learning ---- */

static void add_weight(_Atomic uint64_t *sum, double weight)
{
    atomic_fetch_add_explicit(sum, (uint64_t)(weight * HS_FIXED), memory_order_relaxed);
}

void hs_learned_add(struct hs_model *model, uint32_t stored, double several)
{
    struct hs_learned *learned = model->learned;
    uint32_t candidates = hs_model_candidates(model, stored), first = model->first_clump[stored];
    uint32_t end = model->first_clump[stored + 1];

    if (candidates > 1 && end - first > 1) {
        add_weight(&learned->several, several);
        add_weight(&learned->contested, 1);
    }
    for (uint32_t i = 0; i < candidates; i++) {
        uint32_t index = hs_model_candidate(model, stored, i);
        const struct hs_trace_fact *trace = &model->traces[index];
        double live = 0;

        for (uint32_t c = first; index && c < end; c++) {
            const struct hs_clump *clump = &model->clumps[c];
            double p = (double)model->odds[clump->odds + i];

            if (p <= 0.02)
                continue;
            live += p * clump->count;
            add_weight(&learned->by_maker[(size_t)trace->maker * model->label_count + clump->label], p);
            add_weight(&learned->by_class[(size_t)model->maker_class[trace->maker] * model->label_count + clump->label],
                       p);
            if (clump->regular < HS_REGULAR_COUNT)
                add_weight(&learned->regular[(size_t)trace->maker * HS_REGULAR_COUNT + clump->regular], p);
        }
        if (index && trace->count && live >= 0.5) {
            double behind = log2(trace->count / live);
            unsigned bin = behind <= 0 ? 0 : behind >= HS_BEHIND_BINS ? HS_BEHIND_BINS - 1 : (unsigned)behind;

            add_weight(&learned->behind[bin], live < 1 ? live : 1);
        }
    }
}

void hs_learned_forget(struct hs_model *model)
{
    struct hs_learned *learned = model->learned;

    memset((void *)learned->by_maker, 0, (size_t)model->maker_count * model->label_count * sizeof *learned->by_maker);
    memset((void *)learned->by_class, 0, (size_t)model->class_count * model->label_count * sizeof *learned->by_class);
    memset((void *)learned->regular, 0, (size_t)model->maker_count * HS_REGULAR_COUNT * sizeof *learned->regular);
    memset((void *)learned->behind, 0, sizeof learned->behind);
    learned->several = learned->contested = 0;
}

static int compare_tags(const void *a, const void *b)
{
    const struct hs_tag_caller *one = a, *two = b;

    if (one->tag != two->tag)
        return one->tag < two->tag ? -1 : 1;
    if (one->caller != two->caller)
        return one->caller < two->caller ? -1 : 1;
    return one->weight < two->weight ? -1 : one->weight > two->weight;
}

void hs_learned_tag(const struct hs_learned *learned, uint32_t tag, hs_va caller, size_t *at_ret)
{
    size_t low = 0, high = learned->tag_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct hs_tag_caller *one = &learned->tags[middle];

        if (one->tag < tag || (one->tag == tag && one->caller < caller))
            low = middle + 1;
        else
            high = middle;
    }
    *at_ret = low;
}

enum hs_status hs_learned_tags(struct hs_model *model, const uint32_t *list, size_t count, struct hs_error *err)
{
    struct hs_learned *learned = model->learned;
    size_t found = 0, room = 0;

    if (!model->cells->tag_count || !model->opinions->use[HS_EVIDENCE_TAGS])
        return HS_OK;
    for (size_t s = 0; s < count; s++)
        for (uint32_t c = model->first_clump[list[s]]; c < model->first_clump[list[s] + 1]; c++)
            if (model->clumps[c].tag)
                room += hs_model_candidates(model, list[s]);
    free(learned->tags);
    free(learned->tag_sums);
    free(learned->tag_odds_then);
    learned->tags = calloc(room + 1, sizeof *learned->tags);
    learned->tag_sums = calloc(room + 1, sizeof *learned->tag_sums);
    learned->tag_odds_then = malloc((model->odds_count + (size_t)1) * sizeof *learned->tag_odds_then);
    learned->tag_count = 0;
    if (!learned->tags || !learned->tag_sums || !learned->tag_odds_then)
        return hs_fail_memory(err, "callers by heap tag");
    memcpy(learned->tag_odds_then, model->odds, model->odds_count * sizeof *learned->tag_odds_then);
    for (size_t s = 0; s < count; s++) {
        learned->tag_learned[list[s]] = true;
        for (uint32_t c = model->first_clump[list[s]]; c < model->first_clump[list[s] + 1]; c++)
            for (uint32_t i = 0; model->clumps[c].tag && i < hs_model_candidates(model, list[s]); i++) {
                uint32_t index = hs_model_candidate(model, list[s], i);
                double p = (double)model->odds[model->clumps[c].odds + i];

                if (index && model->traces[index].caller && p > model->opinions->likely_min)
                    learned->tags[found++] =
                        (struct hs_tag_caller){model->traces[index].caller, p, model->clumps[c].tag};
            }
    }
    if (found)
        qsort(learned->tags, found, sizeof *learned->tags, compare_tags);
    for (size_t i = 0; i < found; i++)
        learned->tag_sums[i + 1] = learned->tag_sums[i] + learned->tags[i].weight;
    learned->tag_count = found;
    return HS_OK;
}
