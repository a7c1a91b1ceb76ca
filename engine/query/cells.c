/* cells.c - busy blocks by stored index, heap, label, module of their class and size: one pass over the blocks, which
 * numbers the keys and puts the blocks into parts; then those are sorted (cells_sort.c). */
#include "query/cells.h"

#include <stdlib.h>

/* What the pass over the blocks needs. */
struct reading {
    struct hs_cell_sorting sorting;
    const struct hs_blocks *blocks;
    const struct hs_set *set;
    const uint64_t *summaries;
    const uint8_t *objects;
    uint8_t *types; /* of a label, by number */
};

static unsigned bits_for(uint64_t values)
{
    unsigned bits = 0;

    while (bits < 32 && values > UINT64_C(1) << bits)
        bits++;
    return bits;
}

/* The type of a label as cells have it. */
static uint8_t type_of(const struct hs_blocks *blocks, uint16_t number)
{
    uint32_t type = number ? hs_blocks_label_type(blocks, number) + 1u : 0;

    return type <= HS_CELL_LABELS ? (uint8_t)type : 0;
}

/* Module that the first word of a block points into, + 1; 0: none. */
static uint32_t module_of(const struct hs_blocks *blocks, const uint64_t *summaries, uint32_t id)
{
    const struct hs_process *process = blocks->heaps->process;
    const struct hs_space *space = process->space;
    struct hs_block block;
    uint64_t word;
    size_t module;

    if (hs_summary_size(blocks, id, summaries[id]) < space->pointer_size)
        return 0;
    if (space->pointer_size == sizeof(uint32_t) && (summaries[id] & HS_SUMMARY_HAS_FIRST))
        word = hs_summary_firsts(blocks, summaries)[id];
    else if (hs_blocks_get(blocks, id, &block) != HS_OK || !hs_space_pointer(space, block.user_va, &word))
        return 0;
    module = hs_process_module_at(process, word);
    return module == SIZE_MAX ? 0 : (uint32_t)module + 1;
}

static uint64_t key_of(const struct hs_cells *cells, const struct hs_blocks *blocks, const uint64_t *summaries,
                       const uint8_t *objects, uint32_t id, size_t heap, uint8_t label)
{
    uint64_t most = (UINT64_C(1) << cells->size_bits) - 1, key = heap;
    uint64_t size = hs_summary_size(blocks, id, summaries[id]);
    uint32_t module = cells->module_bits && objects[label] ? module_of(blocks, summaries, id) : 0;

    key = key << cells->label_bits | label;
    key = key << cells->module_bits | module;
    return key << cells->size_bits | (size < most ? size : most);
}

bool hs_cells_key(const struct hs_cells *cells, const struct hs_blocks *blocks, const uint8_t *objects, uint32_t id,
                  uint32_t *stored_ret, uint64_t *key_ret)
{
    const uint64_t *summaries = hs_blocks_summaries_made(blocks); /* by hs_cells_init */
    size_t heap = 0;
    uint32_t stored;

    if (!summaries || id >= blocks->count || hs_summary_state(summaries[id]) != HS_BLOCK_BUSY)
        return false;
    while (id >= blocks->first_id[heap + 1])
        heap++;
    stored = hs_summary_stored(summaries[id]);
    *stored_ret = stored == UINT32_MAX ? HS_CELL_UNTRACED : stored;
    *key_ret = key_of(cells, blocks, summaries, objects, id, heap, type_of(blocks, hs_blocks_label_number(blocks, id)));
    return true;
}

static bool add_tag(struct hs_cell_shard *shard, uint64_t key, uint32_t stored, uint16_t tag)
{
    struct hs_cell_tag *tags;

    if (shard->tag_count && shard->tags[shard->tag_count - 1].key == key &&
        shard->tags[shard->tag_count - 1].stored == stored)
        return true;
    tags = hs_grow(shard->tags, shard->tag_count, &shard->tag_capacity, sizeof *tags);
    if (!tags)
        return false;
    shard->tags = tags;
    shard->tags[shard->tag_count++] = (struct hs_cell_tag){key, stored, tag};
    return true;
}

/* TagIndex of a block that has one. */
static uint16_t tag_of(const struct hs_blocks *blocks, uint32_t id)
{
    struct hs_block block;

    return hs_blocks_get(blocks, id, &block) == HS_OK ? block.tag : 0;
}

static size_t part_of(uint32_t stored)
{
    return stored == UINT32_MAX ? HS_CELL_PARTS - 1 : stored / HS_CELL_PART;
}

/* Counts the blocks of each part; gives how many there are. */
static uint32_t count_parts(const struct reading *reading, struct hs_cell_shard *shard, uint32_t from, uint32_t to)
{
    for (uint32_t id = from; id < to; id++)
        if (hs_summary_state(reading->summaries[id]) == HS_BLOCK_BUSY)
            shard->first[part_of(hs_summary_stored(reading->summaries[id]))]++;
    return hs_starts(shard->first, HS_CELL_PARTS + 1);
}

/* The number of a key in a slot + 1; 0: no memory. */
static inline uint32_t number_of(struct hs_cell_slot *slot, uint64_t key)
{
    struct hs_cell_known *recent = &slot->recent[hs_hash(key) >> (64 - HS_CELL_RECENT_BITS)];
    uint64_t *number;

    if (recent->number && recent->key == key)
        return recent->number;
    number = hs_map_value(&slot->numbers, key);
    if (!number)
        return 0;
    if (!*number)
        *number = slot->numbers.count;
    *recent = (struct hs_cell_known){key, (uint32_t)*number};
    return recent->number;
}

static bool read_shard(struct reading *reading, struct hs_cell_shard *shard, uint32_t from, uint32_t to)
{
    struct hs_cell_sorting *sorting = &reading->sorting;
    const struct hs_blocks *blocks = reading->blocks;
    uint32_t count = count_parts(reading, shard, from, to), next[HS_CELL_PARTS];
    const uint16_t *labels = hs_blocks_label_numbers(blocks);
    size_t heap = 0;

    shard->numbers = malloc((count + (size_t)1) * sizeof *shard->numbers);
    shard->places = malloc((count + (size_t)1) * sizeof *shard->places);
    if (!shard->numbers || !shard->places)
        return false;
    memcpy(next, shard->first, sizeof next);
    for (uint32_t id = from; id < to; id++) {
        uint64_t summary = reading->summaries[id], key;
        uint32_t stored = hs_summary_stored(summary), at, number;

        if (hs_summary_state(summary) != HS_BLOCK_BUSY)
            continue;
        while (id >= blocks->first_id[heap + 1])
            heap++;
        key = key_of(sorting->cells, blocks, reading->summaries, reading->objects, id, heap,
                     reading->types[labels ? labels[id] : 0]);
        at = next[part_of(stored)]++;
        number = number_of(&sorting->slots[shard->slot], key);
        if (!number)
            return false;
        shard->numbers[at] = number - 1;
        /* What stores none is a part of its own, and the first of that. */
        shard->places[at] = (stored == UINT32_MAX ? 0 : stored) << 16 | id % HS_SHARD_BLOCKS;
        if ((summary & HS_SUMMARY_TAGGED) && !add_tag(shard, key, stored, tag_of(blocks, id)))
            return false;
    }
    return true;
}

static void read_item(void *context, size_t item, unsigned slot)
{
    struct reading *reading = context;
    struct hs_cell_sorting *sorting = &reading->sorting;
    uint32_t from = hs_shard_from(reading->set, item), to = hs_shard_to(reading->set, item);
    struct hs_cell_shard *shard = &sorting->shards[item];

    if (hs_job_stopped(sorting->job))
        return;
    shard->slot = slot;
    if (!read_shard(reading, shard, from, to))
        atomic_store(&sorting->out_of_memory, true);
    hs_job_advance(sorting->job, to - from);
}

static int compare_tags(const void *a, const void *b)
{
    const struct hs_cell_tag *one = a, *two = b;

    if (one->stored != two->stored)
        return one->stored < two->stored ? -1 : 1;
    if (one->key != two->key)
        return one->key < two->key ? -1 : 1;
    return one->tag < two->tag ? -1 : one->tag > two->tag;
}

static bool join_tags(const struct hs_cell_sorting *sorting)
{
    struct hs_cells *cells = sorting->cells;
    size_t count = 0;

    for (size_t s = 0; s < sorting->shard_count; s++)
        count += sorting->shards[s].tag_count;
    cells->tags = malloc((count + 1) * sizeof *cells->tags);
    if (!cells->tags)
        return false;
    for (size_t s = 0; s < sorting->shard_count; s++) {
        const struct hs_cell_shard *shard = &sorting->shards[s];

        if (shard->tag_count)
            memcpy(cells->tags + cells->tag_count, shard->tags, shard->tag_count * sizeof *shard->tags);
        cells->tag_count += shard->tag_count;
    }
    if (count)
        qsort(cells->tags, count, sizeof *cells->tags, compare_tags);
    cells->tag_count = 0;
    for (size_t i = 0; i < count; i++) /* the lowest tag of each cell */
        if (i == 0 || cells->tags[i].stored != cells->tags[cells->tag_count - 1].stored ||
            cells->tags[i].key != cells->tags[cells->tag_count - 1].key)
            cells->tags[cells->tag_count++] = cells->tags[i];
    return true;
}

/* Gives heap, label, module and size their bits of a key. */
static void share_bits(struct hs_cells *cells, const struct hs_dump *dump, const struct hs_blocks *blocks)
{
    unsigned heap_bits = bits_for(blocks->heaps->count);

    cells->label_bits = bits_for(HS_CELL_LABELS + 1u);
    cells->module_bits = bits_for(dump->process.module_count + 1);
    if (cells->module_bits + heap_bits > 20)
        cells->module_bits = 0; /* thousands of heaps and modules: sizes matter more */
    cells->size_bits = 64 - cells->label_bits - cells->module_bits - heap_bits;
}

static uint8_t *make_types(const struct hs_blocks *blocks)
{
    uint16_t count = hs_blocks_label_count(blocks);
    uint8_t *types = calloc(count + (size_t)1, sizeof *types);

    for (uint32_t number = 1; types && number <= count; number++)
        types[number] = type_of(blocks, (uint16_t)number);
    return types;
}

/* Reads the blocks and sorts them; false if there is no memory. */
static bool make_cells(struct reading *reading)
{
    struct hs_cell_sorting *sorting = &reading->sorting;

    sorting->shard_count = hs_set_shards(reading->set);
    sorting->shards = calloc(sorting->shard_count + 1, sizeof *sorting->shards);
    sorting->slots = calloc(sorting->thread_count, sizeof *sorting->slots);
    reading->summaries = hs_blocks_summaries(reading->blocks, sorting->thread_count);
    reading->types = make_types(reading->blocks);
    if (!sorting->shards || !sorting->slots || !reading->summaries || !reading->types)
        return false;
    hs_job_start(sorting->job, reading->set->to - reading->set->from);
    hs_parallel_slots(sorting->thread_count, sorting->shard_count, read_item, reading);
    if (atomic_load(&sorting->out_of_memory))
        return false;
    return hs_job_stopped(sorting->job) || (join_tags(sorting) && hs_cells_sort(sorting));
}

static void forget(struct hs_cell_sorting *sorting)
{
    for (size_t s = 0; sorting->shards && s < sorting->shard_count; s++) {
        free(sorting->shards[s].numbers);
        free(sorting->shards[s].places);
        free(sorting->shards[s].tags);
    }
    for (unsigned slot = 0; sorting->slots && slot < sorting->thread_count; slot++) {
        hs_map_deinit(&sorting->slots[slot].numbers);
        free(sorting->slots[slot].ranks);
        free(sorting->slots[slot].words);
    }
    for (size_t number = 0; number < HS_CELL_PARTS; number++)
        free(sorting->parts[number].cells);
    free(sorting->shards);
    free(sorting->slots);
    free(sorting->keys);
}

enum hs_status hs_cells_init(struct hs_cells *cells, struct hs_dump *dump, const struct hs_blocks *blocks,
                             const uint8_t *objects, struct hs_job *job, struct hs_error *err)
{
    struct hs_set_options options = {.states = 1u << HS_BLOCK_BUSY};
    struct reading reading = {.sorting = {.cells = cells, .job = job, .thread_count = dump->thread_count},
                              .blocks = blocks,
                              .objects = objects};
    struct hs_set *set = NULL;
    enum hs_status status = hs_set_create(dump, &options, job, &set, err);

    memset(cells, 0, sizeof *cells);
    if (status != HS_OK)
        return status;
    reading.set = set;
    share_bits(cells, dump, blocks);
    if (!make_cells(&reading))
        status = hs_fail_memory(err, "cells of blocks");
    else if (hs_job_stopped(job)) /* before the cells or while they were made */
        status = hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while sorting blocks");
    free(reading.types);
    forget(&reading.sorting);
    hs_set_destroy(set);
    if (status != HS_OK)
        hs_cells_deinit(cells);
    return status;
}

void hs_cells_deinit(struct hs_cells *cells)
{
    free(cells->cells);
    free(cells->ids);
    free(cells->tags);
    memset(cells, 0, sizeof *cells);
}

uint32_t hs_cells_find(const struct hs_cells *cells, uint32_t stored, uint64_t key)
{
    uint32_t low = cells->first[stored], high = cells->first[stored + 1];

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (cells->cells[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < cells->first[stored + 1] && cells->cells[low].key == key ? low : HS_CELL_NONE;
}
