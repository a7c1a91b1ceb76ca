/* model.h - between the files of the model (model*.c) and for its test: what is learned from the dump at hand. */
#ifndef HS_QUERY_MODEL_H
#define HS_QUERY_MODEL_H

#include "query/attribution.h"

#define HS_WAYS_MAX 64u  /* ways to give clumps to candidates that are tried */
#define HS_MANY 8u       /* candidates from which on there is one clump: HS_WAYS_MAX is less than their square */
#define HS_FIXED 65536.0 /* weights are added up as integers of this fraction */

static inline unsigned hs_log2_floor(uint64_t value)
{
    return value ? 63u - (unsigned)__builtin_clzll(value) : 0;
}

struct hs_tag_caller {
    hs_va caller;
    double weight;
    uint16_t tag;
};

struct hs_learned {
    /* Counted, as fixed-point integers, so that the order of adding does not matter. */
    _Atomic uint64_t *by_maker, *by_class; /* rows of label_count */
    _Atomic uint64_t *regular;             /* rows of HS_REGULAR_COUNT */
    _Atomic uint64_t behind[HS_BEHIND_BINS];
    _Atomic uint64_t several, contested;
    /* Worked out. */
    double *likely, *log_likely, *log_regular, *log_overall;
    double log_behind[HS_BEHIND_BINS], log_captures[HS_CAPTURE_BINS];
    double second; /* chance that another candidate has live blocks too */
    /* Logarithms of that and of some opinions. */
    double log_second, log_unrecorded, log_absent, log_sizes[HS_REGULAR_COUNT];
    size_t live;                /* stored indexes with blocks */
    struct hs_tag_caller *tags; /* by tag, then caller */
    double *tag_sums;           /* tag_count + 1: of weights before each */
    size_t tag_count;
    bool tag_learned[HS_CELL_STORED];
    float *tag_odds_then; /* odds that the weights were taken from */
    hs_va *callers;       /* of a sample of the traces, sorted */
    size_t caller_count;
};

/* ---- model_learn.c ---- */

/* Makes model->learned, empty; hs_learned_destroy also of what is half made. HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_learned_create(struct hs_model *model, struct hs_error *err);
void hs_learned_destroy(struct hs_learned *learned);
/* Captures of traces over the whole database; a sample of their callers. */
void hs_learned_captures(struct hs_model *model);
HS_MUST_CHECK enum hs_status hs_learned_callers(struct hs_model *model, struct hs_error *err);
/* Counts what a judged stored index says of its makers; any number of threads. several: the probability of two owners. */
void hs_learned_add(struct hs_model *model, uint32_t stored, double several);
/* Callers of blocks with heap tags, out of the `count` stored indexes of `list`. HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_learned_tags(struct hs_model *model, const uint32_t *list, size_t count,
                                             struct hs_error *err);
/* Turns what was counted into odds; forgets what was counted. */
void hs_learned_tables(struct hs_model *model);
void hs_learned_forget(struct hs_model *model);
/* The first of `tags` that is not before this tag and caller. */
void hs_learned_tag(const struct hs_learned *learned, uint32_t tag, hs_va caller, size_t *at_ret);
/* The addresses that count as the same caller: [*from_ret, *to_ret); whether two do. */
void hs_caller_window(const struct hs_model *model, hs_va caller, hs_va *from_ret, hs_va *to_ret);
bool hs_caller_same(const struct hs_model *model, hs_va a, hs_va b);
/* How often a trace has this caller: outer frames of a thread are common to many. */
double hs_caller_chance(const struct hs_model *model, hs_va caller);

/* ---- model_clumps.c, model_odds.c ---- */

/* Puts the cells of all stored indexes into clumps. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK enum hs_status hs_model_clump(struct hs_model *model, struct hs_error *err);
/* Judges one stored index: the odds of its clumps. *several_ret: the probability that it has two owners or more. */
void hs_model_weigh(struct hs_model *model, uint32_t stored, double *several_ret);

/* Candidate that is the likeliest owner of a clump. */
uint32_t hs_model_likeliest(const struct hs_model *model, const struct hs_clump *clump);

#endif
