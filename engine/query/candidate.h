/* candidate.h - inside query/: questions about the candidates of a stored index, answered once for all of them. */
#ifndef HS_QUERY_CANDIDATE_H
#define HS_QUERY_CANDIDATE_H

#include "query/query.h"

#define HS_STORED_COUNT 0x10000u /* values that a stored index can have */

/* One bit a stored index. */
struct hs_stored_bits {
    uint64_t words[HS_STORED_COUNT / 64];
};
static inline bool hs_stored_bit(const struct hs_stored_bits *bits, uint64_t stored)
{
    return stored < HS_STORED_COUNT && (bits->words[stored / 64] >> (stored % 64) & 1);
}

/* Sets the bit of every stored index with a candidate that has a frame in a module whose name matches the pattern, or
 * a frame whose symbol ("module!name", without offset) does. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK enum hs_status hs_candidates_match(const struct hs_dump *dump, const struct hs_traces *traces,
                                                 const struct hs_filter_text *pattern, bool symbols, struct hs_job *job,
                                                 struct hs_stored_bits *bits, struct hs_error *err);
/* The same by full index: `words` has a bit a trace, count + 1 of them. */
HS_MUST_CHECK enum hs_status hs_traces_match(const struct hs_dump *dump, const struct hs_traces *traces,
                                             const struct hs_filter_text *pattern, bool symbols, struct hs_job *job,
                                             uint64_t *words, struct hs_error *err);

/* dump->caller_modules, made when first asked for. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK enum hs_status hs_candidates_callers(struct hs_dump *dump, struct hs_job *job, struct hs_error *err);

#endif
