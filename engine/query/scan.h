/* scan.h - inside query/: which blocks something points to, one bit each. */
#ifndef HS_QUERY_SCAN_H
#define HS_QUERY_SCAN_H

#include "query/query.h"

struct hs_scan {
    uint64_t *words[HS_SOURCE_COUNT][HS_AIM_COUNT]; /* one bit a block, in id order */
    uint64_t bits[];
};

/* dump->scan, made when first asked for. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK enum hs_status hs_dump_scan(struct hs_dump *dump, struct hs_job *job, const struct hs_scan **scan_ret,
                                          struct hs_error *err);
/* 64 blocks: those that some of these sources point to with some of these aims. */
uint64_t hs_scan_word(const struct hs_scan *scan, size_t word, unsigned sources, unsigned aims);

#endif
