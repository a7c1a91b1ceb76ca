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

/* What cells of one part of the stored indexes add up to. A trace has blocks of one stored index only, so each is added
 * up by one part. */
struct tally {
    struct hs_site others[HS_SITE_UNTRACED + 1]; /* by kind: those that are no caller's */
    uint32_t ownerless;
};

struct adding {
    struct hs_attribution *attribution;
    struct hs_site_trace *traces; /* by index */
    struct tally *tallies;        /* a part */
};

static void add_claim(struct adding *adding, struct tally *tally, const struct claim *claim, uint64_t size)
{
    uint64_t bytes = size * claim->blocks;
    double weight = claim->confidence * (double)bytes;

    if (claim->kind == HS_SITE_CALLER) {
        struct hs_site_trace *trace = &adding->traces[claim->trace];

        trace->trace = claim->trace;
        trace->blocks += claim->blocks;
        trace->bytes += bytes;
        trace->confidence += weight;
    } else {
        tally->others[claim->kind].blocks += claim->blocks;
        tally->others[claim->kind].bytes += bytes;
        tally->others[claim->kind].confidence += weight;
    }
}

/* Adds up the cells of a part. Those without an owner are listed where the cells of the part are. */
static void add_item(void *context, size_t part)
{
    struct adding *adding = context;
    struct hs_attribution *attribution = adding->attribution;
    const struct hs_cells *cells = &attribution->cells;
    struct tally *tally = &adding->tallies[part];
    size_t from = part * HS_CELL_PART, to = from < HS_CELL_UNTRACED ? from + HS_CELL_PART : from + 1;
    size_t spill = hs_model_spill(&attribution->model, cells->first[from]);
    struct claim claims[CLAIMS_MAX];

    for (uint32_t cell = cells->first[from]; cell < cells->first[to]; cell++) {
        uint64_t size = hs_cells_part(cells, cells->cells[cell].key).size;
        size_t count = claims_of(attribution, cell, &spill, claims);
        bool ownerless = false;

        for (size_t i = 0; i < count; i++) {
            add_claim(adding, tally, &claims[i], size);
            ownerless |= claims[i].kind == HS_SITE_UNRECORDED || claims[i].kind == HS_SITE_UNDECIDED;
        }
        if (ownerless)
            attribution->ownerless[cells->first[from] + tally->ownerless++] = cell;
    }
}

/* Puts the lists of cells without an owner one behind the other. */
static void join_ownerless(const struct adding *adding)
{
    struct hs_attribution *attribution = adding->attribution;

    for (size_t part = 0; part < HS_CELL_PARTS; part++) {
        uint32_t count = adding->tallies[part].ownerless;

        memmove(attribution->ownerless + attribution->ownerless_count,
                attribution->ownerless + attribution->cells.first[part * HS_CELL_PART],
                count * sizeof *attribution->ownerless);
        attribution->ownerless_count += count;
    }
}

static double mean(double weight, uint64_t bytes)
{
    return bytes ? weight / (double)bytes : 0;
}

static int compare_traces(const void *a, const void *b)
{
    const struct hs_site_trace *one = a, *two = b;

    if (one->bytes != two->bytes)
        return one->bytes > two->bytes ? -1 : 1;
    return one->trace < two->trace ? -1 : one->trace > two->trace;
}

#define INSERTION_MAX 16u

/* Sorts the traces of one caller, which are mostly few: most bytes first. They stand by index. */
static void sort_by_bytes(struct hs_site_trace *traces, uint32_t count)
{
    if (count > INSERTION_MAX) {
        qsort(traces, count, sizeof *traces, compare_traces);
        return;
    }
    for (uint32_t i = 1; i < count; i++) {
        struct hs_site_trace one = traces[i];
        uint32_t at = i;

        for (; at && traces[at - 1].bytes < one.bytes; at--)
            traces[at] = traces[at - 1];
        traces[at] = one;
    }
}

/* The traces that have blocks, by caller, then by index; `places`: room for twice as many. Gives how many. */
static uint32_t sort_traces(const struct adding *adding, struct hs_keyed *places, struct hs_site_trace *sorted)
{
    const struct hs_trace_fact *facts = adding->attribution->facts;
    uint32_t count = 0;

    for (uint32_t index = 1; index <= adding->attribution->model.trace_count; index++)
        if (adding->traces[index].blocks)
            places[count++] = (struct hs_keyed){facts[index].caller, index};
    places = hs_keyed_sort(places, places + count, count);
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = adding->traces[places[i].value];
        sorted[i].site = i && places[i].key == places[i - 1].key ? sorted[i - 1].site : i; /* the first of its caller */
    }
    return count;
}

/* Makes the sites of callers out of sorted traces, whose fields `site` tell their places then. Gives how many. */
static uint32_t make_sites(const struct hs_attribution *attribution, struct hs_site_trace *traces, uint32_t count,
                           struct hs_site *sites)
{
    uint32_t made = 0;

    for (uint32_t first = 0, end; first < count; first = end) {
        const struct hs_trace_fact *fact = &attribution->facts[traces[first].trace];
        struct hs_site *site = &sites[made];

        for (end = first + 1; end < count && traces[end].site == first;)
            end++;
        sort_by_bytes(traces + first, end - first);
        *site = (struct hs_site){
            .caller = fact->caller, .outermost = fact->outermost, .trace = first, .traces = end - first};
        for (uint32_t i = first; i < end; i++) {
            traces[i].site = made;
            site->blocks += traces[i].blocks;
            site->bytes += traces[i].bytes;
            site->confidence += traces[i].confidence;
        }
        made++;
    }
    return made;
}

/* Adds those of the other kinds, behind `made` sites. Gives how many there are then. */
static uint32_t add_others(const struct adding *adding, struct hs_site *sites, uint32_t made)
{
    for (int kind = HS_SITE_UNRECORDED; kind <= HS_SITE_UNTRACED; kind++) {
        struct hs_site site = {.kind = (enum hs_site_kind)kind};

        for (size_t part = 0; part < HS_CELL_PARTS; part++) {
            site.blocks += adding->tallies[part].others[kind].blocks;
            site.bytes += adding->tallies[part].others[kind].bytes;
            site.confidence += adding->tallies[part].others[kind].confidence;
        }
        if (site.blocks)
            sites[made++] = site;
    }
    return made;
}

/* Sorts `count` sites, which stand by kind and caller, by bytes, and tells the traces where they are then. */
static void sort_sites(struct hs_attribution *attribution, struct hs_site *sites, uint32_t count, uint32_t trace_count,
                       struct hs_keyed *places)
{
    for (uint32_t i = 0; i < count; i++)
        places[i] = (struct hs_keyed){~sites[i].bytes, i};
    places = hs_keyed_sort(places, places + count, count);
    for (uint32_t i = 0; i < count; i++) {
        struct hs_site *from = &sites[places[i].value], *site = &attribution->sites[i];

        *site = *from;
        site->confidence = mean(site->confidence, site->bytes);
        from->trace = i; /* its place */
    }
    memset(attribution->trace_site, 255, (attribution->model.trace_count + (size_t)1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < trace_count; i++) {
        struct hs_site_trace *trace = &attribution->site_traces[i];

        trace->site = sites[trace->site].trace;
        trace->confidence = mean(trace->confidence, trace->bytes);
        attribution->trace_site[trace->trace] = trace->site;
    }
    attribution->site_count = count;
}

static bool add_up(struct hs_attribution *attribution, struct adding *adding, struct hs_site *sites,
                   struct hs_keyed *places)
{
    size_t traces = attribution->model.trace_count + (size_t)1;
    uint32_t trace_count, count;

    attribution->ownerless = malloc((attribution->cells.count + (size_t)1) * sizeof *attribution->ownerless);
    attribution->trace_site = malloc(traces * sizeof *attribution->trace_site);
    attribution->site_traces = malloc(traces * sizeof *attribution->site_traces);
    if (!attribution->ownerless || !attribution->trace_site || !attribution->site_traces)
        return false;
    hs_parallel(attribution->model.thread_count, HS_CELL_PARTS, add_item, adding);
    join_ownerless(adding);
    trace_count = sort_traces(adding, places, attribution->site_traces);
    count = add_others(adding, sites, make_sites(attribution, attribution->site_traces, trace_count, sites));
    attribution->sites = malloc((count + (size_t)1) * sizeof *attribution->sites);
    if (attribution->sites)
        sort_sites(attribution, sites, count, trace_count, places);
    return attribution->sites != NULL;
}

static void forget(struct hs_attribution *attribution)
{
    free(attribution->ownerless);
    free(attribution->trace_site);
    free(attribution->site_traces);
    attribution->ownerless = attribution->trace_site = NULL;
    attribution->site_traces = NULL;
    attribution->ownerless_count = 0;
}

enum hs_status hs_attribution_sites(struct hs_attribution *attribution, struct hs_error *err)
{
    size_t room = attribution->model.trace_count + (size_t)HS_SITE_UNTRACED + 1;
    struct adding adding = {.attribution = attribution};
    struct hs_keyed *places;
    struct hs_site *sites;
    bool fine;

    if (attribution->sites)
        return HS_OK;
    adding.traces = calloc(room, sizeof *adding.traces);
    adding.tallies = calloc(HS_CELL_PARTS, sizeof *adding.tallies);
    places = malloc(2 * room * sizeof *places);
    sites = malloc(room * sizeof *sites);
    fine = adding.traces && adding.tallies && places && sites && add_up(attribution, &adding, sites, places);
    if (!fine)
        forget(attribution);
    free(adding.traces);
    free(adding.tallies);
    free(places);
    free(sites);
    return fine ? HS_OK : hs_fail_memory(err, "blocks by call site");
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

/* ---- the blocks of a site or of a trace ---- */

/* A look at every cell that has blocks of a site or of a trace; or, of several threads, at some of them. */
struct visit {
    const struct hs_attribution *attribution;
    uint32_t site, trace;                  /* site UINT32_MAX: the trace is wanted */
    uint64_t *done;                        /* a bit a stored index that somebody looks at or has looked at */
    struct hs_set *set;                    /* the blocks; or, if there is none, */
    uint64_t by_label[HS_CELL_LABELS + 1]; /* bytes + 1 */
    uint64_t bytes, claimed;
};
#define DONE_WORDS (HS_CELL_STORED / 64)
#define VISIT_PARTS 64u

static bool is_wanted(const struct visit *visit, const struct claim *claim)
{
    const struct hs_attribution *attribution = visit->attribution;

    if (visit->site == UINT32_MAX)
        return claim->trace == visit->trace;
    if (claim->kind != attribution->sites[visit->site].kind)
        return false;
    return claim->kind != HS_SITE_CALLER || attribution->trace_site[claim->trace] == visit->site;
}

static void take_blocks(struct hs_set *set, const struct hs_cells *cells, const struct hs_cell *cell)
{
    for (uint32_t i = cell->first; i < cell->first + cell->count; i++)
        set->words[cells->ids[i] / 64] |= UINT64_C(1) << (cells->ids[i] % 64);
    set->count += cell->count;
}

/* Cells are seen in ascending order: *spill as for hs_model_shares_next. */
static void see_cell(struct visit *visit, uint32_t c, size_t *spill)
{
    const struct hs_cells *cells = &visit->attribution->cells;
    struct hs_cell_part part = hs_cells_part(cells, cells->cells[c].key);
    struct claim claims[CLAIMS_MAX];
    size_t count = claims_of(visit->attribution, c, spill, claims);
    uint64_t claimed = 0;

    for (size_t i = 0; i < count; i++)
        claimed += is_wanted(visit, &claims[i]) ? claims[i].blocks : 0;
    if (!claimed)
        return;
    if (!visit->set) {
        visit->by_label[part.label] += part.size * claimed + (visit->by_label[part.label] == 0);
        return;
    }
    take_blocks(visit->set, cells, &cells->cells[c]);
    visit->claimed += claimed;
    visit->bytes += cells->cells[c].count * part.size;
}

static void see_cells(struct visit *visit, uint32_t from, uint32_t to)
{
    size_t spill = hs_model_spill(&visit->attribution->model, from);

    for (uint32_t c = from; c < to; c++)
        see_cell(visit, c, &spill);
}

/* Those of the stored index of a trace, if nobody else sees them. */
static void see_stored(struct visit *visit, uint32_t trace)
{
    const struct hs_attribution *attribution = visit->attribution;
    uint32_t stored = trace & ((UINT32_C(1) << attribution->model.index_bits) - 1);
    uint64_t bit = UINT64_C(1) << (stored % 64);

    if (!(__atomic_fetch_or(&visit->done[stored / 64], bit, __ATOMIC_RELAXED) & bit))
        see_cells(visit, attribution->cells.first[stored], attribution->cells.first[stored + 1]);
}

static uint32_t part_start(uint32_t count, size_t part)
{
    return (uint32_t)((uint64_t)count * part / VISIT_PARTS);
}

/* A trace has no blocks but those of its stored index, a site none but its traces'. Blocks without an owner can have any
 * stored index: their cells are listed. */
static void see_part(struct visit *visit, size_t part)
{
    const struct hs_attribution *attribution = visit->attribution;
    const struct hs_cells *cells = &attribution->cells;
    const struct hs_site *site;

    if (visit->site == UINT32_MAX) {
        see_stored(visit, visit->trace);
        return;
    }
    site = &attribution->sites[visit->site];
    if (site->kind == HS_SITE_CALLER) {
        for (uint32_t i = part_start(site->traces, part); i < part_start(site->traces, part + 1); i++)
            see_stored(visit, attribution->site_traces[site->trace + i].trace);
    } else if (site->kind == HS_SITE_UNTRACED) {
        uint32_t first = cells->first[HS_CELL_UNTRACED], count = cells->count - first;

        see_cells(visit, first + part_start(count, part), first + part_start(count, part + 1));
    } else {
        const uint32_t *list = attribution->ownerless;
        uint32_t from = part_start(attribution->ownerless_count, part);
        uint32_t to = part_start(attribution->ownerless_count, part + 1);
        size_t spill = from < to ? hs_model_spill(&attribution->model, list[from]) : 0;

        for (uint32_t i = from; i < to; i++)
            see_cell(visit, list[i], &spill);
    }
}

/* The same by several threads, each of which takes blocks into a set of its own. */
struct visits {
    struct visit *list; /* a thread */
    unsigned count;
};

static void visit_item(void *context, size_t part, unsigned slot)
{
    const struct visits *visits = context;

    see_part(&visits->list[slot], part);
}

/* Unites the sets in the first, which is given; *count_ret: how many of its blocks are claimed. */
static struct hs_set *unite(const struct visits *visits, uint64_t *count_ret)
{
    struct hs_set *all = visits->list[0].set;
    uint64_t bytes = 0, claimed = 0;

    for (unsigned i = 0; i < visits->count; i++) {
        const struct visit *visit = &visits->list[i];

        bytes += visit->bytes;
        claimed += visit->claimed;
        for (size_t word = 0; i && word < ((size_t)all->to + 63) / 64; word++)
            all->words[word] |= visit->set->words[word];
        all->count += i ? visit->set->count : 0;
    }
    atomic_store(&all->bytes, bytes);
    *count_ret = claimed;
    visits->list[0].set = NULL;
    return all;
}

enum hs_status hs_attribution_set(struct hs_attribution *attribution, uint32_t site, uint32_t trace,
                                  struct hs_set **set_ret, uint64_t *count_ret, struct hs_error *err)
{
    struct visits visits = {.count = attribution->model.thread_count};
    uint64_t done[DONE_WORDS] = {0};
    enum hs_status status = hs_attribution_sites(attribution, err);
    bool fine;

    if (status != HS_OK)
        return status;
    visits.list = calloc(visits.count, sizeof *visits.list);
    fine = visits.list != NULL;
    for (unsigned i = 0; fine && i < visits.count; i++) {
        visits.list[i] = (struct visit){.attribution = attribution, .site = site, .trace = trace, .done = done};
        visits.list[i].set = hs_set_new(attribution->dump, attribution->blocks);
        fine = visits.list[i].set != NULL;
    }
    if (fine) {
        hs_parallel_slots(visits.count, VISIT_PARTS, visit_item, &visits);
        *set_ret = unite(&visits, count_ret);
    }
    for (unsigned i = 0; visits.list && i < visits.count; i++)
        hs_set_destroy(visits.list[i].set);
    free(visits.list);
    return fine ? HS_OK : hs_fail_memory(err, "a set of blocks");
}

size_t hs_attribution_types(const struct hs_attribution *attribution, uint32_t site, struct hs_site_type *types)
{
    uint64_t done[DONE_WORDS] = {0};
    struct visit visit = {.attribution = attribution, .site = site, .done = done};
    size_t count = 0;

    for (size_t part = 0; part < VISIT_PARTS; part++)
        see_part(&visit, part);
    for (uint32_t label = 1; label <= HS_CELL_LABELS; label++)
        if (visit.by_label[label])
            types[count++] = (struct hs_site_type){label, visit.by_label[label] - 1};
    hs_site_types_sort(types, count);
    return count;
}
