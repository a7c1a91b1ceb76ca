/* attribution.c - the model on a dump, and the facts of its traces. */
#include "query/attribution.h"

#include <stdlib.h>

/* ---- facts of traces ---- */

/* Modules lie at multiples of 64 KiB: what was found of a slice of the first 4 GiB is kept. */
#define SLICE_SHIFT 16u
#define SLICES 0x10000u
#define SLICE_MIXED UINT32_MAX /* not all of it is of one module */

struct reading {
    struct hs_attribution *attribution;
    const uint8_t *heap_modules;
    hs_va *maker;             /* a trace */
    _Atomic uint32_t *slices; /* module + 1; 0: not looked at yet */
    struct hs_job *job;
};
#define READ_ITEM 4096u

/* Number of the module that holds an address + 1; 0: none. */
static uint32_t module_of(const struct reading *reading, hs_va va)
{
    const struct hs_process *process = &reading->attribution->dump->process;
    uint64_t slice = va >> SLICE_SHIFT;
    uint32_t known = slice < SLICES ? atomic_load_explicit(&reading->slices[slice], memory_order_relaxed) : SLICE_MIXED;
    size_t module;

    if (known && known != SLICE_MIXED)
        return known;
    module = hs_process_module_at(process, va);
    if (!known) {
        hs_va from = slice << SLICE_SHIFT, last = from + (UINT64_C(1) << SLICE_SHIFT) - 1;
        bool whole = module != SIZE_MAX && hs_process_module_at(process, from) == module &&
                     hs_process_module_at(process, last) == module; /* so none begins in between */

        atomic_store_explicit(&reading->slices[slice], whole ? (uint32_t)module + 1 : SLICE_MIXED,
                              memory_order_relaxed);
    }
    return module == SIZE_MAX ? 0 : (uint32_t)module + 1;
}

/* Whether an address lies in an allocator or a system module. */
static bool is_skipped(const struct hs_dump *dump, hs_va va)
{
    size_t range = hs_sorted_find(dump->caller_ranges, dump->caller_range_count, sizeof *dump->caller_ranges,
                                  offsetof(struct hs_code_range, from), va);

    return range != SIZE_MAX && va < dump->caller_ranges[range].to;
}

static void read_fact(const struct reading *reading, uint32_t index)
{
    const struct hs_attribution *attribution = reading->attribution;
    struct hs_trace_fact *fact = &attribution->facts[index];
    struct hs_trace trace;

    if (hs_traces_get(attribution->traces, index, &trace, NULL) != HS_OK || trace.depth == 0)
        return;
    fact->readable = true;
    fact->outermost = true;
    fact->count = trace.count;
    for (unsigned i = 0; i < trace.depth; i++) {
        uint32_t module = module_of(reading, trace.frames[i]);
        uint8_t bit = attribution->module_bit[module];

        if (bit < 64)
            fact->modules |= UINT64_C(1) << bit;
        if (!reading->maker[index] && module && !reading->heap_modules[module - 1])
            reading->maker[index] = trace.frames[i];
        if (fact->outermost && !is_skipped(attribution->dump, trace.frames[i])) {
            fact->outermost = false;
            fact->caller = trace.frames[i];
        }
    }
    if (fact->outermost)
        fact->caller = trace.frames[trace.depth - 1];
}

static void read_item(void *context, size_t item)
{
    struct reading *reading = context;
    uint32_t count = reading->attribution->traces->info.count;
    uint64_t to = (item + 1) * (uint64_t)READ_ITEM;

    if (hs_job_stopped(reading->job))
        return;
    for (uint64_t index = item * (uint64_t)READ_ITEM + 1; index <= to && index <= count; index++)
        read_fact(reading, (uint32_t)index);
    hs_job_advance(reading->job, READ_ITEM);
}

/* Numbers the makers in the order of traces. */
static bool number_makers(struct reading *reading)
{
    struct hs_attribution *attribution = reading->attribution;
    uint32_t count = attribution->traces->info.count;
    struct hs_map known;
    bool fine = true;

    hs_map_init(&known);
    for (uint32_t index = 1; fine && index <= count; index++) {
        uint64_t *number;

        if (!reading->maker[index])
            continue;
        number = hs_map_value(&known, reading->maker[index]);
        fine = number != NULL;
        if (fine && !*number) {
            *number = ++attribution->maker_va_count;
            attribution->maker_vas[*number - 1] = reading->maker[index];
        }
        if (fine)
            attribution->facts[index].maker = (uint32_t)*number;
    }
    hs_map_deinit(&known);
    return fine;
}

/* Numbers the modules that hold classes of objects: bits of hs_trace_fact.modules. */
static void number_modules(struct hs_attribution *attribution)
{
    const struct hs_cells *cells = &attribution->cells;
    uint8_t next = 0;

    memset(attribution->module_bit, 255, attribution->dump->process.module_count + 1);
    for (uint32_t c = 0; c < cells->first[HS_CELL_STORED] && next < 64; c++) {
        uint32_t module = hs_cells_part(cells, cells->cells[c].key).module;

        if (module && module <= attribution->dump->process.module_count && attribution->module_bit[module] == 255)
            attribution->module_bit[module] = next++;
    }
}

enum hs_status hs_attribution_read(struct hs_attribution *attribution, struct hs_dump *dump,
                                   const uint8_t *heap_modules, struct hs_job *job, struct hs_error *err)
{
    struct reading reading = {.attribution = attribution, .heap_modules = heap_modules, .job = job};
    enum hs_status status = hs_dump_blocks(dump, job, &attribution->blocks, err);
    uint32_t count;

    attribution->dump = dump;
    if (status == HS_OK)
        status = hs_dump_traces(dump, job, &attribution->traces, err);
    if (status == HS_OK)
        status = hs_cells_init(&attribution->cells, dump, attribution->blocks, attribution->objects, job, err);
    if (status != HS_OK)
        return status;
    count = attribution->traces ? attribution->traces->info.count : 0;
    attribution->module_bit = malloc(dump->process.module_count + 1);
    attribution->facts = calloc(count + (size_t)1, sizeof *attribution->facts);
    attribution->maker_vas = calloc(count + (size_t)1, sizeof *attribution->maker_vas);
    reading.maker = calloc(count + (size_t)1, sizeof *reading.maker);
    reading.slices = calloc(SLICES, sizeof *reading.slices);
    if (!attribution->module_bit || !attribution->facts || !attribution->maker_vas || !reading.maker ||
        !reading.slices) {
        free(reading.maker);
        free(reading.slices);
        return hs_fail_memory(err, "facts of traces");
    }
    number_modules(attribution);
    hs_job_start(job, count);
    hs_parallel(dump->thread_count, (count + (size_t)READ_ITEM - 1) / READ_ITEM, read_item, &reading);
    if (hs_job_stopped(job))
        status = hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while reading traces");
    else if (count && !number_makers(&reading))
        status = hs_fail_memory(err, "makers of blocks");
    free(reading.maker);
    free(reading.slices);
    return status;
}

/* ---- judging ---- */

enum hs_status hs_attribution_judge(struct hs_attribution *attribution, struct hs_job *job, struct hs_error *err)
{
    struct hs_model *model = &attribution->model;
    const struct hs_opinions *opinions = &attribution->opinions;
    enum hs_status status;
    uint32_t count = attribution->traces ? attribution->traces->info.count : 0;

    for (uint32_t index = 0; index <= count; index++)
        attribution->facts[index].maker = attribution->makers[attribution->facts[index].maker];
    model->cells = &attribution->cells;
    model->traces = attribution->facts;
    model->trace_count = count;
    model->index_bits = attribution->traces ? attribution->traces->info.index_bits : 16;
    model->full = attribution->traces && attribution->traces->info.full;
    model->opinions = opinions;
    model->maker_class = attribution->maker_class;
    model->prior = attribution->prior;
    model->module_bit = attribution->module_bit;
    model->module_count = attribution->dump->process.module_count + 1;
    model->thread_count = attribution->dump->thread_count;
    model->job = job;
    status = hs_model_judge(model, err);
    if (status == HS_OK && (opinions->use[HS_EVIDENCE_NEIGHBOURS] || opinions->use[HS_EVIDENCE_LINKS]))
        status = hs_attribution_look(attribution, err);
    if (status == HS_OK)
        status = hs_model_settle(model, err);
    model->job = NULL;
    attribution->judged = status == HS_OK;
    return status;
}

enum hs_status hs_attribution_publish(const struct hs_attribution *attribution, struct hs_error *err)
{
    const struct hs_cells *cells = &attribution->cells;
    const struct hs_model *model = &attribution->model;
    size_t size = (attribution->blocks->count + (size_t)1) * sizeof(uint32_t);
    uint32_t *traces = malloc(size);

    if (!traces)
        return hs_fail_memory(err, "the traces of blocks");
    memset(traces, 255, size);
    for (uint32_t c = 0; c < cells->first[HS_CELL_STORED]; c++) {
        const struct hs_clump *clump = &model->clumps[model->cell_clump[c]];
        uint32_t trace = hs_model_candidate(model, clump->stored, clump->owner);

        if (!trace || (double)clump->confidence < attribution->opinions.undecided)
            continue;
        for (uint32_t i = cells->cells[c].first; i < cells->cells[c].first + cells->cells[c].count; i++)
            traces[cells->ids[i]] = trace;
    }
    free(attribution->dump->block_traces);
    attribution->dump->block_traces = traces;
    return HS_OK;
}

void hs_attribution_deinit(struct hs_attribution *attribution)
{
    hs_model_deinit(&attribution->model);
    hs_cells_deinit(&attribution->cells);
    free(attribution->facts);
    free(attribution->maker_vas);
    free(attribution->module_bit);
    free(attribution->makers);
    free(attribution->maker_class);
    free(attribution->prior);
    free(attribution->sites);
    free(attribution->site_traces);
    free(attribution->ownerless);
    free(attribution->trace_site);
    memset(attribution, 0, sizeof *attribution);
}
