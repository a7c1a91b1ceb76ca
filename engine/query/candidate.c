/* candidate.c - which stored indexes have a candidate with a certain module or symbol in its stack, or a certain
 * caller. Each trace is looked at once, whatever the number of blocks. */
#include "query/candidate.h"

#include <stdio.h>
#include <stdlib.h>

#define STOP_TRACES 0x1000u /* traces between two looks at the job */

/* What a frame was found to be, in a map by address. */
enum { FRAME_NO_MATCH = 1, FRAME_MATCH = 2 };

/* Whether a frame matches; `names` has room for its text. */
static bool frame_matches(const struct hs_process *process, hs_va va, const struct hs_filter_text *pattern,
                          bool symbols)
{
    char text[1024];
    struct hs_symbol symbol;

    if (hs_process_symbol(process, va, &symbol) != HS_OK)
        return false;
    if (!symbols)
        return hs_text_matches(process->modules[symbol.module_idx].facts.name, pattern->bytes, pattern->size);
    if (!symbol.has_name)
        return false;
    /* The name counts, however far away: the debugger's spelling is what people search for. */
    symbol.offset = 0;
    hs_process_symbol_text(process, &symbol, HS_SYMBOL_WINDBG, text, sizeof text);
    return hs_text_matches(text, pattern->bytes, pattern->size);
}

/* FRAME_MATCH or FRAME_NO_MATCH, remembered; 0 when out of memory. */
static uint64_t frame_verdict(const struct hs_process *process, struct hs_map *known, hs_va va,
                              const struct hs_filter_text *pattern, bool symbols)
{
    uint64_t *value = hs_map_value(known, va);

    if (!value)
        return 0;
    if (!*value)
        *value = frame_matches(process, va, pattern, symbols) ? FRAME_MATCH : FRAME_NO_MATCH;
    return *value;
}

/* Sets bit index % modulo of each trace that matches. */
static enum hs_status match(const struct hs_dump *dump, const struct hs_traces *traces,
                            const struct hs_filter_text *pattern, bool symbols, struct hs_job *job, uint64_t modulo,
                            uint64_t *words, struct hs_error *err)
{
    enum hs_status status = HS_OK;
    struct hs_map known;

    hs_map_init(&known);
    hs_job_start(job, traces->info.count);
    for (uint32_t index = 1; index <= traces->info.count && status == HS_OK; index++) {
        uint64_t bit = index % modulo;
        struct hs_trace trace;

        if (index % STOP_TRACES == 0) {
            hs_job_advance(job, STOP_TRACES);
            if (hs_job_stopped(job))
                status = hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while searching the traces");
        }
        if ((words[bit / 64] >> (bit % 64) & 1) || hs_traces_get(traces, index, &trace, NULL) != HS_OK)
            continue;
        for (unsigned i = 0; i < trace.depth; i++) {
            uint64_t verdict = frame_verdict(&dump->process, &known, trace.frames[i], pattern, symbols);

            if (verdict == 0) {
                status = hs_fail_memory(err, "the search of the traces");
                break;
            }
            if (verdict == FRAME_MATCH) {
                words[bit / 64] |= UINT64_C(1) << (bit % 64);
                break;
            }
        }
    }
    hs_map_deinit(&known);
    return status;
}

enum hs_status hs_candidates_match(const struct hs_dump *dump, const struct hs_traces *traces,
                                   const struct hs_filter_text *pattern, bool symbols, struct hs_job *job,
                                   struct hs_stored_bits *bits, struct hs_error *err)
{
    return match(dump, traces, pattern, symbols, job, HS_STORED_COUNT, bits->words, err);
}

enum hs_status hs_traces_match(const struct hs_dump *dump, const struct hs_traces *traces,
                               const struct hs_filter_text *pattern, bool symbols, struct hs_job *job, uint64_t *words,
                               struct hs_error *err)
{
    return match(dump, traces, pattern, symbols, job, UINT64_C(1) << 32, words, err);
}

static bool is_skipped(const struct hs_dump *dump, hs_va va)
{
    size_t idx = hs_sorted_find(dump->caller_ranges, dump->caller_range_count, sizeof *dump->caller_ranges,
                                offsetof(struct hs_code_range, from), va);

    return idx != SIZE_MAX && va < dump->caller_ranges[idx].to;
}

/* Module of the innermost frame that is not skipped; HS_KEY_NONE if all are or no module holds it. */
static uint64_t caller_module(const struct hs_dump *dump, const struct hs_trace *trace)
{
    size_t module;
    unsigned i = 0;

    while (i < trace->depth && is_skipped(dump, trace->frames[i]))
        i++;
    if (i == trace->depth)
        return HS_KEY_NONE;
    module = hs_process_module_at(&dump->process, trace->frames[i]);
    return module == SIZE_MAX ? HS_KEY_NONE : module;
}

#define UNSEEN (HS_KEY_NONE - 2) /* no trace with that stored index so far; no module has such an index */

enum hs_status hs_candidates_callers(struct hs_dump *dump, struct hs_job *job, struct hs_error *err)
{
    const struct hs_traces *traces;
    uint64_t *modules;
    enum hs_status status = hs_dump_traces(dump, job, &traces, err);

    if (status != HS_OK || dump->caller_modules)
        return status;
    modules = malloc(HS_STORED_COUNT * sizeof *modules);
    if (!modules)
        return hs_fail_memory(err, "the callers of the traces");
    for (size_t i = 0; i < HS_STORED_COUNT; i++)
        modules[i] = UNSEEN;
    for (uint32_t index = 1; traces && index <= traces->info.count; index++) {
        uint64_t *known = &modules[index % HS_STORED_COUNT];
        struct hs_trace trace;
        uint64_t module;

        if (index % STOP_TRACES == 0 && hs_job_stopped(job)) {
            free(modules);
            return hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while searching the traces");
        }
        if (hs_traces_get(traces, index, &trace, NULL) != HS_OK)
            continue;
        module = caller_module(dump, &trace);
        *known = *known == UNSEEN || *known == module ? module : HS_KEY_SEVERAL;
    }
    for (size_t i = 0; i < HS_STORED_COUNT; i++)
        if (modules[i] == UNSEEN)
            modules[i] = HS_KEY_NONE;
    dump->caller_modules = modules;
    return HS_OK;
}

enum hs_status hs_dump_set_callers(struct hs_dump *dump, const struct hs_code_range *ranges, size_t count,
                                   struct hs_error *err)
{
    struct hs_code_range *kept = calloc(count + 1, sizeof *kept);

    if (!kept)
        return hs_fail_memory(err, "the ranges of code that are no callers");
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].from >= ranges[i].to || (i && ranges[i].from < ranges[i - 1].to)) {
            free(kept);
            return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, ranges[i].from,
                           "ranges of code must be sorted and must not overlap: number %zu", i);
        }
        kept[i] = ranges[i];
    }
    free(dump->caller_ranges);
    free(dump->caller_modules);
    dump->caller_ranges = kept;
    dump->caller_range_count = count;
    dump->caller_modules = NULL;
    return HS_OK;
}
