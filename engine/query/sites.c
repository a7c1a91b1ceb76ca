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

static size_t claims_of(const struct hs_attribution *attribution, uint32_t cell, struct claim *claims)
{
    struct hs_share shares[CLAIMS_MAX];
    size_t count;

    if (cell >= attribution->cells.first[HS_CELL_UNTRACED]) {
        claims[0] = (struct claim){HS_SITE_UNTRACED, 0, attribution->cells.cells[cell].count, 1};
        return 1;
    }
    count = hs_model_shares(&attribution->model, cell, shares, CLAIMS_MAX);
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
    struct hs_site_trace *traces;   /* a trace */
    struct hs_map by_caller, types; /* caller -> site + 1; site << 8 | label -> bytes + 1 */
};

/* The first sites are those of the other kinds. */
static struct hs_site *site_of(struct adding *adding, const struct claim *claim)
{
    const struct hs_trace_fact *fact = &adding->attribution->facts[claim->trace];
    uint64_t *number;

    if (claim->kind != HS_SITE_CALLER)
        return &adding->sites[claim->kind];
    number = hs_map_value(&adding->by_caller, fact->caller);
    if (!number)
        return NULL;
    if (!*number) {
        if (adding->count == adding->capacity) {
            uint32_t capacity = adding->capacity * 2;
            struct hs_site *sites = realloc(adding->sites, capacity * sizeof *sites);

            if (!sites)
                return NULL;
            adding->sites = sites;
            adding->capacity = capacity;
        }
        adding->sites[adding->count] = (struct hs_site){.caller = fact->caller, .outermost = fact->outermost};
        *number = ++adding->count;
    }
    return &adding->sites[*number - 1];
}

static bool add_claim(struct adding *adding, const struct claim *claim, const struct hs_cell_part *part)
{
    struct hs_site *site = site_of(adding, claim);
    uint64_t bytes = part->size * claim->blocks, *type;
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
    if (!part->label)
        return true;
    type = hs_map_value(&adding->types, (uint64_t)(site - adding->sites) << 8 | part->label);
    if (!type)
        return false;
    *type = (*type ? *type : 1) + bytes;
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

    if (one->site != two->site)
        return one->site < two->site ? -1 : 1;
    if (one->bytes != two->bytes)
        return one->bytes > two->bytes ? -1 : 1;
    return one->trace < two->trace ? -1 : one->trace > two->trace;
}
static int compare_types(const void *a, const void *b)
{
    const struct hs_site_type *one = a, *two = b;

    if (one->site != two->site)
        return one->site < two->site ? -1 : 1;
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
    uint32_t count = 0, traces = 0, types = 0, *places = calloc(adding->count + (size_t)1, sizeof *places);
    uint64_t key, bytes;

    attribution->site_types = calloc(adding->types.count + 1, sizeof *attribution->site_types);
    attribution->trace_site = malloc((attribution->model.trace_count + (size_t)1) * sizeof *attribution->trace_site);
    if (!places || !attribution->site_types || !attribution->trace_site) {
        free(places);
        return false;
    }
    memset(attribution->trace_site, 255,
           (attribution->model.trace_count + (size_t)1) * sizeof *attribution->trace_site);
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
    for (uint32_t index = 1; index <= attribution->model.trace_count; index++)
        if (adding->traces[index].blocks) {
            struct hs_site_trace *trace = &adding->traces[traces++];

            *trace = adding->traces[index];
            trace->site = places[trace->site];
            trace->confidence = mean(trace->confidence, trace->bytes);
            attribution->trace_site[index] = trace->site;
        }
    for (size_t place = 0; hs_map_next(&adding->types, &place, &key, &bytes);)
        attribution->site_types[types++] = (struct hs_site_type){places[key >> 8], (uint32_t)(key & 255), bytes - 1};
    free(places);
    if (traces)
        qsort(adding->traces, traces, sizeof *adding->traces, compare_traces);
    if (types)
        qsort(attribution->site_types, types, sizeof *attribution->site_types, compare_types);
    for (uint32_t i = traces; i-- > 0;) {
        adding->sites[adding->traces[i].site].trace = i;
        adding->sites[adding->traces[i].site].traces++;
    }
    for (uint32_t i = types; i-- > 0;) {
        adding->sites[attribution->site_types[i].site].type = i;
        adding->sites[attribution->site_types[i].site].types++;
    }
    attribution->sites = adding->sites;
    attribution->site_count = count;
    attribution->site_traces = adding->traces;
    adding->sites = NULL;
    adding->traces = NULL;
    return true;
}

enum hs_status hs_attribution_sites(struct hs_attribution *attribution, struct hs_error *err)
{
    struct adding adding = {.attribution = attribution, .capacity = 1024, .count = HS_SITE_UNTRACED + 1};
    struct claim claims[CLAIMS_MAX];
    bool fine;

    if (attribution->sites)
        return HS_OK;
    adding.sites = calloc(adding.capacity, sizeof *adding.sites);
    adding.traces = calloc(attribution->model.trace_count + (size_t)1, sizeof *adding.traces);
    hs_map_init(&adding.by_caller);
    hs_map_init(&adding.types);
    fine = adding.sites && adding.traces;
    for (int kind = HS_SITE_UNRECORDED; fine && kind <= HS_SITE_UNTRACED; kind++)
        adding.sites[kind].kind = (enum hs_site_kind)kind;
    for (uint32_t cell = 0; fine && cell < attribution->cells.count; cell++) {
        struct hs_cell_part part = hs_cells_part(&attribution->cells, attribution->cells.cells[cell].key);
        size_t count = claims_of(attribution, cell, claims);

        for (size_t i = 0; fine && i < count; i++)
            fine = add_claim(&adding, &claims[i], &part);
    }
    fine = fine && finish(&adding);
    hs_map_deinit(&adding.by_caller);
    hs_map_deinit(&adding.types);
    free(adding.sites);
    free(adding.traces);
    return fine ? HS_OK : hs_fail_memory(err, "blocks by call site");
}

enum hs_status hs_attribution_set(struct hs_attribution *attribution, uint32_t site, uint32_t trace,
                                  struct hs_set **set_ret, uint64_t *count_ret, struct hs_error *err)
{
    const struct hs_cells *cells = &attribution->cells;
    struct hs_set *set = hs_set_new(attribution->dump, attribution->blocks);
    enum hs_status status = hs_attribution_sites(attribution, err);
    struct claim claims[CLAIMS_MAX];
    uint64_t claimed = 0;

    if (status == HS_OK && !set)
        status = hs_fail_memory(err, "a set of blocks");
    for (uint32_t c = 0; status == HS_OK && set && c < cells->count; c++) {
        const struct hs_cell *cell = &cells->cells[c];
        size_t count = claims_of(attribution, c, claims);
        uint64_t here = 0;

        for (size_t i = 0; i < count; i++) {
            bool mine = site == UINT32_MAX                                ? claims[i].trace == trace
                        : claims[i].kind != attribution->sites[site].kind ? false
                        : claims[i].kind != HS_SITE_CALLER                ? true
                                                           : attribution->trace_site[claims[i].trace] == site;

            here += mine ? claims[i].blocks : 0;
        }
        if (!here)
            continue;
        claimed += here;
        set->count += cell->count;
        set->bytes += cell->count * hs_cells_part(cells, cell->key).size;
        for (uint32_t i = cell->first; i < cell->first + cell->count; i++)
            set->words[cells->ids[i] / 64] |= UINT64_C(1) << (cells->ids[i] % 64);
    }
    if (status != HS_OK) {
        hs_set_destroy(set);
        return status;
    }
    *set_ret = set;
    *count_ret = claimed;
    return HS_OK;
}
