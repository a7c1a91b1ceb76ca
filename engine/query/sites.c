/* sites.c - an attribution added up: everything busy by the caller that asked for it. */
#include "query/attribution.h"

#include <stdlib.h>

/* Of the blocks of one cell that go to one trace. */
struct claim {
    enum hs_site_kind kind;
    uint32_t trace, blocks;
    double confidence;
};
#define CLAIMS_MAX 64u

/* Of cells in ascending order; *spill as for hs_model_shares_next. */
static size_t claims_of(const struct hs_attribution *attribution, uint32_t cell, size_t *spill, struct claim *claims)
{
    struct hs_share shares[CLAIMS_MAX];
    size_t count;

    if (cell >= attribution->cells.first[HS_CELL_UNTRACED]) {
        claims[0] = (struct claim){HS_SITE_UNTRACED, 0, attribution->cells.cells[cell].count, 1};
        return 1;
    }
    count = hs_model_shares_next(&attribution->model, cell, spill, shares, CLAIMS_MAX);
    count = count < CLAIMS_MAX ? count : CLAIMS_MAX;
    for (size_t i = 0; i < count; i++) {
        double p = (double)shares[i].confidence;

        claims[i] = (struct claim){shares[i].trace == 0                  ? HS_SITE_UNRECORDED
                                   : p < attribution->opinions.undecided ? HS_SITE_UNDECIDED
                                                                         : HS_SITE_CALLER,
                                   shares[i].trace, shares[i].blocks, p};
    }
    return count;
}

struct adding {
    struct hs_attribution *attribution;
    struct hs_site *sites;
    uint32_t count, capacity;
    struct hs_site_trace *traces; /* a trace */
    uint32_t *trace_site;         /* a trace: its site + 1, once it has one */
    struct hs_map by_caller;      /* caller -> site + 1 */
};

/* The site of a caller, made when first seen: its number + 1; 0: no memory. */
static uint32_t caller_site(struct adding *adding, const struct hs_trace_fact *fact)
{
    uint64_t *number = hs_map_value(&adding->by_caller, fact->caller);

    if (!number || *number)
        return number ? (uint32_t)*number : 0;
    if (adding->count == adding->capacity) {
        uint32_t capacity = adding->capacity * 2;
        struct hs_site *sites = realloc(adding->sites, capacity * sizeof *sites);

        if (!sites)
            return 0;
        adding->sites = sites;
        adding->capacity = capacity;
    }
    adding->sites[adding->count] = (struct hs_site){.caller = fact->caller, .outermost = fact->outermost};
    *number = ++adding->count;
    return adding->count;
}

/* The first sites are those of the other kinds. */
static struct hs_site *site_of(struct adding *adding, const struct claim *claim)
{
    uint32_t *number = &adding->trace_site[claim->trace];

    if (claim->kind != HS_SITE_CALLER)
        return &adding->sites[claim->kind];
    if (!*number)
        *number = caller_site(adding, &adding->attribution->facts[claim->trace]);
    return *number ? &adding->sites[*number - 1] : NULL;
}

static bool add_claim(struct adding *adding, const struct claim *claim, uint64_t size)
{
    struct hs_site *site = site_of(adding, claim);
    uint64_t bytes = size * claim->blocks;
    double weight = claim->confidence * (double)bytes;

    if (!site)
        return false;
    site->blocks += claim->blocks;
    site->bytes += bytes;
    site->confidence += weight;
    if (claim->kind == HS_SITE_CALLER) {
        struct hs_site_trace *trace = &adding->traces[claim->trace];

        trace->site = (uint32_t)(site - adding->sites);
        trace->trace = claim->trace;
        trace->blocks += claim->blocks;
        trace->bytes += bytes;
        trace->confidence += weight;
    }
    return true;
}

static int compare_sites(const void *a, const void *b)
{
    const struct hs_site *one = a, *two = b;

    if (one->bytes != two->bytes)
        return one->bytes > two->bytes ? -1 : 1;
    if (one->kind != two->kind)
        return one->kind < two->kind ? -1 : 1;
    return one->caller < two->caller ? -1 : one->caller > two->caller;
}
static int compare_traces(const void *a, const void *b)
{
    const struct hs_site_trace *one = a, *two = b;

    if (one->bytes != two->bytes)
        return one->bytes > two->bytes ? -1 : 1;
    return one->trace < two->trace ? -1 : one->trace > two->trace;
}
/* Sorts the traces of all sites, which stand by trace, and tells each site which are its own. */
static bool sort_traces(struct adding *adding, uint32_t count)
{
    struct hs_site_trace *sorted = malloc((count + (size_t)1) * sizeof *sorted);
    uint32_t next = 0;

    if (!sorted)
        return false;
    for (uint32_t i = 0; i < count; i++)
        adding->sites[adding->traces[i].site].traces++;
    for (uint32_t i = 0; i < adding->count; i++) {
        adding->sites[i].trace = next;
        next += adding->sites[i].traces;
    }
    for (uint32_t i = 0; i < count; i++)
        sorted[adding->sites[adding->traces[i].site].trace++] = adding->traces[i];
    for (uint32_t i = 0; i < adding->count; i++) {
        struct hs_site *site = &adding->sites[i];

        site->trace -= site->traces;
        if (site->traces > 1)
            qsort(sorted + site->trace, site->traces, sizeof *sorted, compare_traces);
    }
    free(adding->traces);
    adding->traces = sorted;
    return true;
}

static int compare_types(const void *a, const void *b)
{
    const struct hs_site_type *one = a, *two = b;

    if (one->bytes != two->bytes)
        return one->bytes > two->bytes ? -1 : 1;
    return one->label < two->label ? -1 : one->label > two->label;
}

void hs_site_types_sort(struct hs_site_type *types, size_t count)
{
    if (count)
        qsort(types, count, sizeof *types, compare_types);
}

static double mean(double weight, uint64_t bytes)
{
    return bytes ? weight / (double)bytes : 0;
}

/* Sorts sites, and what belongs to them by their new places. */
static bool finish(struct adding *adding)
{
    struct hs_attribution *attribution = adding->attribution;
    uint32_t count = 0, traces = 0, *places = calloc(adding->count + (size_t)1, sizeof *places);

    if (!places)
        return false;
    for (uint32_t i = 0; i < adding->count; i++)
        adding->sites[i].trace = i; /* where it stood */
    qsort(adding->sites, adding->count, sizeof *adding->sites, compare_sites);
    for (uint32_t i = 0; i < adding->count; i++) {
        struct hs_site *site = &adding->sites[i];

        if (!site->blocks)
            continue;
        places[site->trace] = count;
        site->confidence = mean(site->confidence, site->bytes);
        site->trace = 0;
        adding->sites[count++] = *site;
    }
    for (uint32_t index = 0; index <= attribution->model.trace_count; index++) {
        adding->trace_site[index] = UINT32_MAX;
        if (adding->traces[index].blocks) {
            struct hs_site_trace *trace = &adding->traces[traces++];

            *trace = adding->traces[index];
            trace->site = places[trace->site];
            trace->confidence = mean(trace->confidence, trace->bytes);
            adding->trace_site[index] = trace->site;
        }
    }
    free(places);
    adding->count = count;
    if (!sort_traces(adding, traces))
        return false;
    attribution->sites = adding->sites;
    attribution->site_count = count;
    attribution->site_traces = adding->traces;
    attribution->trace_site = adding->trace_site;
    adding->sites = NULL;
    adding->traces = NULL;
    adding->trace_site = NULL;
    return true;
}

enum hs_status hs_attribution_sites(struct hs_attribution *attribution, struct hs_error *err)
{
    struct adding adding = {.attribution = attribution, .capacity = 1024, .count = HS_SITE_UNTRACED + 1};
    struct claim claims[CLAIMS_MAX];
    size_t spill = 0;
    bool fine;

    if (attribution->sites)
        return HS_OK;
    adding.sites = calloc(adding.capacity, sizeof *adding.sites);
    adding.traces = calloc(attribution->model.trace_count + (size_t)1, sizeof *adding.traces);
    adding.trace_site = calloc(attribution->model.trace_count + (size_t)1, sizeof *adding.trace_site);
    free(attribution->ownerless);
    attribution->ownerless_count = 0;
    attribution->ownerless = malloc((attribution->cells.count + (size_t)1) * sizeof *attribution->ownerless);
    hs_map_init(&adding.by_caller);
    fine = attribution->ownerless && adding.sites && adding.traces && adding.trace_site;
    for (int kind = HS_SITE_UNRECORDED; fine && kind <= HS_SITE_UNTRACED; kind++)
        adding.sites[kind].kind = (enum hs_site_kind)kind;
    for (uint32_t cell = 0; fine && cell < attribution->cells.count; cell++) {
        uint64_t size = hs_cells_part(&attribution->cells, attribution->cells.cells[cell].key).size;
        size_t count = claims_of(attribution, cell, &spill, claims);

        bool ownerless = false;

        for (size_t i = 0; fine && i < count; i++) {
            fine = add_claim(&adding, &claims[i], size);
            ownerless |= claims[i].kind == HS_SITE_UNRECORDED || claims[i].kind == HS_SITE_UNDECIDED;
        }
        if (ownerless && fine)
            attribution->ownerless[attribution->ownerless_count++] = cell;
    }
    fine = fine && finish(&adding);
    hs_map_deinit(&adding.by_caller);
    free(adding.sites);
    free(adding.traces);
    free(adding.trace_site);
    return fine ? HS_OK : hs_fail_memory(err, "blocks by call site");
}

/* ---- the blocks of a site or of a trace ---- */

/* A look at every cell that has blocks of a site or of a trace. */
struct visit {
    const struct hs_attribution *attribution;
    uint32_t site, trace; /* site UINT32_MAX: the trace is wanted */
    void (*see)(struct visit *visit, const struct hs_cell *cell, uint64_t claimed);
    struct hs_set *set;
    uint64_t bytes, claimed;
    uint64_t by_label[HS_CELL_LABELS + 1]; /* bytes + 1 */
};

static bool is_wanted(const struct visit *visit, const struct claim *claim)
{
    const struct hs_attribution *attribution = visit->attribution;

    if (visit->site == UINT32_MAX)
        return claim->trace == visit->trace;
    if (claim->kind != attribution->sites[visit->site].kind)
        return false;
    return claim->kind != HS_SITE_CALLER || attribution->trace_site[claim->trace] == visit->site;
}

static void see_cells(struct visit *visit, uint32_t from, uint32_t to)
{
    struct claim claims[CLAIMS_MAX];
    size_t spill = hs_model_spill(&visit->attribution->model, from);

    for (uint32_t c = from; c < to; c++) {
        size_t count = claims_of(visit->attribution, c, &spill, claims);
        uint64_t claimed = 0;

        for (size_t i = 0; i < count; i++)
            claimed += is_wanted(visit, &claims[i]) ? claims[i].blocks : 0;
        if (claimed)
            visit->see(visit, &visit->attribution->cells.cells[c], claimed);
    }
}

/* Those of the stored index of a trace, if they were not seen before. done: a bit a stored index. */
static void see_stored(struct visit *visit, uint32_t trace, uint64_t *done)
{
    const struct hs_attribution *attribution = visit->attribution;
    uint32_t stored = trace & ((UINT32_C(1) << attribution->model.index_bits) - 1);

    if (done[stored / 64] >> (stored % 64) & 1)
        return;
    done[stored / 64] |= UINT64_C(1) << (stored % 64);
    see_cells(visit, attribution->cells.first[stored], attribution->cells.first[stored + 1]);
}

/* A trace has no blocks but those of its stored index, a site none but its traces'. Blocks without an owner can have any
 * stored index: their cells are listed. */
static void see_all(struct visit *visit)
{
    const struct hs_attribution *attribution = visit->attribution;
    const struct hs_cells *cells = &attribution->cells;
    uint64_t done[HS_CELL_STORED / 64] = {0};
    const struct hs_site *site;

    if (visit->site == UINT32_MAX) {
        see_stored(visit, visit->trace, done);
        return;
    }
    site = &attribution->sites[visit->site];
    if (site->kind == HS_SITE_CALLER) {
        for (uint32_t i = 0; i < site->traces; i++)
            see_stored(visit, attribution->site_traces[site->trace + i].trace, done);
    } else if (site->kind == HS_SITE_UNTRACED) {
        see_cells(visit, cells->first[HS_CELL_UNTRACED], cells->count);
    } else {
        for (uint32_t i = 0; i < attribution->ownerless_count; i++)
            see_cells(visit, attribution->ownerless[i], attribution->ownerless[i] + 1);
    }
}

static void take_cell(struct visit *visit, const struct hs_cell *cell, uint64_t claimed)
{
    const struct hs_cells *cells = &visit->attribution->cells;

    visit->claimed += claimed;
    visit->set->count += cell->count;
    visit->bytes += cell->count * hs_cells_part(cells, cell->key).size;
    for (uint32_t i = cell->first; i < cell->first + cell->count; i++)
        visit->set->words[cells->ids[i] / 64] |= UINT64_C(1) << (cells->ids[i] % 64);
}

enum hs_status hs_attribution_set(struct hs_attribution *attribution, uint32_t site, uint32_t trace,
                                  struct hs_set **set_ret, uint64_t *count_ret, struct hs_error *err)
{
    struct visit visit = {.attribution = attribution, .site = site, .trace = trace, .see = take_cell};
    enum hs_status status = hs_attribution_sites(attribution, err);

    if (status != HS_OK)
        return status;
    visit.set = hs_set_new(attribution->dump, attribution->blocks);
    if (!visit.set)
        return hs_fail_memory(err, "a set of blocks");
    see_all(&visit);
    atomic_store(&visit.set->bytes, visit.bytes);
    *set_ret = visit.set;
    *count_ret = visit.claimed;
    return HS_OK;
}

static void add_label(struct visit *visit, const struct hs_cell *cell, uint64_t claimed)
{
    struct hs_cell_part part = hs_cells_part(&visit->attribution->cells, cell->key);

    visit->by_label[part.label] = (visit->by_label[part.label] ? visit->by_label[part.label] : 1) + part.size * claimed;
}

size_t hs_attribution_types(const struct hs_attribution *attribution, uint32_t site, struct hs_site_type *types)
{
    struct visit visit = {.attribution = attribution, .site = site, .see = add_label};
    size_t count = 0;

    see_all(&visit);
    for (uint32_t label = 1; label <= HS_CELL_LABELS; label++)
        if (visit.by_label[label])
            types[count++] = (struct hs_site_type){label, visit.by_label[label] - 1};
    hs_site_types_sort(types, count);
    return count;
}
