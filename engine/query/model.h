/* model.h - inside model.c and its test: what is learned from the dump at hand. */
#ifndef HS_QUERY_MODEL_H
#define HS_QUERY_MODEL_H

#include "query/attribution.h"

#define HS_WAYS_MAX 64u /* ways to give clumps to candidates that are tried */

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
    double second;              /* chance that another candidate has live blocks too */
    size_t live;                /* stored indexes with blocks */
    struct hs_tag_caller *tags; /* by tag, then caller */
    double *tag_sums;           /* tag_count + 1: of weights before each */
    size_t tag_count;
    bool tag_learned[HS_CELL_STORED];
    float *tag_odds_then; /* odds that the weights were taken from */
    hs_va *callers;       /* of a sample of the traces, sorted */
    size_t caller_count;
};

/* The first of `tags` that is not before this tag and caller. */
void hs_learned_tag(const struct hs_learned *learned, uint32_t tag, hs_va caller, size_t *at_ret);

#endif
