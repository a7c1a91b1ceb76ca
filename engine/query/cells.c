/* cells.c - busy blocks by stored index, heap, label, module of their class and size: one pass over the blocks, then a
 * counting sort by stored index, then a sort of the few blocks of each. */
#include "query/attribution.h"

#include <stdlib.h>

/* A busy block, while cells are made. */
struct record {
    uint64_t key;
    uint32_t id;
};

#define PART 256u /* stored indexes that are sorted together; those without one are a part of their own */
#define PARTS ((HS_CELL_UNTRACED + PART) / PART)

/* The busy blocks of one item of the pass, by part, in id order in each. */
struct shard {
    uint64_t *keys;
    uint32_t *places;          /* stored index << 16 | place in the shard */
    uint32_t first[PARTS + 1]; /* of a part */
    struct hs_cell_tag *tags;
    size_t tag_count, tag_capacity;
};

struct part {
    uint32_t first_id, id_count; /* in hs_cells.ids */
    struct hs_cell *cells;
    uint32_t cell_count, cell_capacity;
};

struct collect {
    struct hs_cells *cells;
    const struct hs_blocks *blocks;
    const struct hs_set *set;
    const uint64_t *summaries;
    const uint8_t *objects;
    struct hs_job *job;
    struct shard *shards;
    size_t shard_count;
    struct part parts[PARTS];
    struct record **scratch; /* a slot: two of the largest part; an item uses the slot it can get */
    atomic_bool *taken;
    atomic_bool out_of_memory;
};

static unsigned bits_for(uint64_t values)
{
    unsigned bits = 0;

    while (bits < 32 && values > UINT64_C(1) << bits)
        bits++;
    return bits;
}

static uint32_t label_of(const struct hs_blocks *blocks, uint32_t id)
{
    uint16_t number = hs_blocks_label_number(blocks, id);
    uint32_t label = number ? hs_blocks_label_type(blocks, number) + 1u : 0;

    return label <= HS_CELL_LABELS ? label : 0;
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
                       const uint8_t *objects, uint32_t id, size_t heap)
{
    uint32_t label = label_of(blocks, id);
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
    *key_ret = key_of(cells, blocks, summaries, objects, id, heap);
    return true;
}

static bool add_tag(struct shard *shard, uint64_t key, uint32_t stored, uint16_t tag)
{
    if (shard->tag_count && shard->tags[shard->tag_count - 1].key == key &&
        shard->tags[shard->tag_count - 1].stored == stored)
        return true;
    if (shard->tag_count == shard->tag_capacity) {
        size_t capacity = shard->tag_capacity ? shard->tag_capacity * 2 : 64;
        struct hs_cell_tag *tags = realloc(shard->tags, capacity * sizeof *tags);

        if (!tags)
            return false;
        shard->tags = tags;
        shard->tag_capacity = capacity;
    }
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
    return stored == UINT32_MAX ? PARTS - 1 : stored / PART;
}

/* Whether block `id` of a shard is busy; then *heap, which is that of a block before it, is its own. */
static bool is_busy(const struct collect *collect, uint32_t id, size_t *heap)
{
    if (hs_summary_state(collect->summaries[id]) != HS_BLOCK_BUSY)
        return false;
    while (id >= collect->blocks->first_id[*heap + 1])
        ++*heap;
    return true;
}

/* Counts the blocks of each part; gives how many there are. */
static uint32_t count_parts(const struct collect *collect, struct shard *shard, uint32_t from, uint32_t to)
{
    uint32_t sum = 0;
    size_t heap = 0;

    for (uint32_t id = from; id < to; id++)
        if (is_busy(collect, id, &heap))
            shard->first[part_of(hs_summary_stored(collect->summaries[id]))]++;
    for (size_t part = 0; part <= PARTS; part++) {
        uint32_t here = shard->first[part];

        shard->first[part] = sum;
        sum += here;
    }
    return sum;
}

static bool read_shard(struct collect *collect, struct shard *shard, uint32_t from, uint32_t to)
{
    const struct hs_blocks *blocks = collect->blocks;
    uint32_t count = count_parts(collect, shard, from, to), next[PARTS];
    size_t heap = 0;

    shard->keys = malloc((count + (size_t)1) * sizeof *shard->keys);
    shard->places = malloc((count + (size_t)1) * sizeof *shard->places);
    if (!shard->keys || !shard->places)
        return false;
    memcpy(next, shard->first, sizeof next);
    for (uint32_t id = from; id < to; id++) {
        uint64_t summary = collect->summaries[id], key;
        uint32_t stored = hs_summary_stored(summary), at;

        if (!is_busy(collect, id, &heap))
            continue;
        key = key_of(collect->cells, blocks, collect->summaries, collect->objects, id, heap);
        at = next[part_of(stored)]++;
        shard->keys[at] = key;
        shard->places[at] = stored << 16 | (id % HS_SHARD_BLOCKS);
        if ((summary & HS_SUMMARY_TAGGED) && !add_tag(shard, key, stored, tag_of(blocks, id)))
            return false;
    }
    return true;
}

static void read_item(void *context, size_t item)
{
    struct collect *collect = context;
    uint32_t from = hs_shard_from(collect->set, item), to = hs_shard_to(collect->set, item);

    if (hs_job_stopped(collect->job))
        return;
    if (!read_shard(collect, &collect->shards[item], from, to))
        atomic_store(&collect->out_of_memory, true);
    hs_job_advance(collect->job, to - from);
}

/* ---- sorting ---- */

#define INSERTION_MAX 24u

static void insertion_sort(struct record *records, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        struct record one = records[i];
        uint32_t at = i;

        for (; at && records[at - 1].key > one.key; at--)
            records[at] = records[at - 1];
        records[at] = one;
    }
}

/* Counting records by key pays where there are at least so many, and so many times as many as keys. */
#define FEW_MIN 256u
#define FEW_SHARE 16u
#define FEW_BITS_MAX 14u

struct key_count {
    uint64_t key;
    uint32_t count;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key_count *one = a, *two = b;

    return one->key < two->key ? -1 : one->key > two->key;
}

/* The place of a key among `1 << bits` places, where it is (or, if it is nowhere, is to be) counted. */
static inline struct key_count *key_place(struct key_count *places, unsigned bits, uint64_t key)
{
    size_t place = key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - bits);

    while (places[place].count && places[place].key != key)
        place = (place + 1) & (((size_t)1 << bits) - 1);
    return &places[place];
}

/* Counts records by key; false if there are more than `keys_max`. */
static bool count_keys(const struct record *records, uint32_t count, struct key_count *places, unsigned bits,
                       uint32_t keys_max)
{
    uint32_t known = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct key_count *place = key_place(places, bits, records[i].key);

        if (!place->count && known++ == keys_max)
            return false;
        place->key = records[i].key;
        place->count++;
    }
    return true;
}

/* Sorts many records of few keys, as those of a leak are, by counting; false if the keys are too many. */
static bool sort_few(struct record *records, uint32_t count, struct record *room)
{
    unsigned bits = 6;
    uint32_t known = 0, sum = 0, keys_max;
    struct key_count *places, *keys;

    while (bits < FEW_BITS_MAX && (UINT32_C(1) << bits) * FEW_SHARE < count)
        bits++;
    keys_max = UINT32_C(1) << (bits - 2);
    places = calloc(((size_t)1 << bits) + keys_max, sizeof *places);
    if (!places || !count_keys(records, count, places, bits, keys_max)) {
        free(places);
        return false;
    }
    keys = places + ((size_t)1 << bits);
    for (size_t i = 0; i < (size_t)1 << bits; i++)
        if (places[i].count)
            keys[known++] = places[i];
    qsort(keys, known, sizeof *keys, compare_keys);
    for (uint32_t i = 0; i < known; i++) {
        key_place(places, bits, keys[i].key)->count = sum + 1; /* where the next goes, + 1: 0 is free */
        sum += keys[i].count;
    }
    memcpy(room, records, count * sizeof *room);
    for (uint32_t i = 0; i < count; i++)
        records[key_place(places, bits, room[i].key)->count++ - 1] = room[i];
    free(places);
    return true;
}

/* Merges sorted runs bottom up. */
static void merge_runs(struct record *records, uint32_t count, struct record *room)
{
    for (uint64_t width = INSERTION_MAX; width < count; width *= 2)
        for (uint64_t from = 0; from + width < count; from += 2 * width) {
            uint64_t middle = from + width, end = middle + width < count ? middle + width : count;
            uint64_t a = 0, b = middle, out = from;

            if (records[middle - 1].key <= records[middle].key)
                continue;
            memcpy(room, records + from, width * sizeof *room);
            while (a < width)
                records[out++] = b < end && records[b].key < room[a].key ? records[b++] : room[a++];
        }
}

/* Stable: ids stay in order where keys are equal. room: for as many records. */
static void sort_records(struct record *records, uint32_t count, struct record *room)
{
    if (count >= FEW_MIN && sort_few(records, count, room))
        return;
    for (uint32_t from = 0; from < count; from += INSERTION_MAX)
        insertion_sort(records + from, count - from < INSERTION_MAX ? count - from : INSERTION_MAX);
    merge_runs(records, count, room);
}

/* The records of a part by stored index, in id order in each. start: PART + 1 of them. */
static void gather(const struct collect *collect, size_t number, struct record *records, uint32_t *start)
{
    uint32_t next[PART], sum = 0;

    memset(start, 0, (PART + 1) * sizeof *start);
    for (size_t s = 0; s < collect->shard_count; s++) {
        const struct shard *shard = &collect->shards[s];

        for (uint32_t i = shard->first[number]; i < shard->first[number + 1]; i++)
            start[(shard->places[i] >> 16) % PART]++;
    }
    for (size_t i = 0; i <= PART; i++) {
        uint32_t here = start[i];

        start[i] = sum;
        sum += here;
    }
    memcpy(next, start, sizeof next);
    for (size_t s = 0; s < collect->shard_count; s++) {
        const struct shard *shard = &collect->shards[s];
        uint32_t base = hs_shard_from(collect->set, s) / HS_SHARD_BLOCKS * HS_SHARD_BLOCKS;

        for (uint32_t i = shard->first[number]; i < shard->first[number + 1]; i++)
            records[next[(shard->places[i] >> 16) % PART]++] =
                (struct record){shard->keys[i], base + (shard->places[i] & 0xffff)};
    }
}

/* Adds the cells of sorted records, the first of which is number `first` of all. */
static bool add_cells(struct part *part, const struct record *records, uint32_t count, uint32_t first)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || records[i].key != records[i - 1].key) {
            if (part->cell_count == part->cell_capacity) {
                uint32_t capacity = part->cell_capacity ? part->cell_capacity * 2 : 1024;
                struct hs_cell *cells = realloc(part->cells, capacity * sizeof *cells);

                if (!cells)
                    return false;
                part->cells = cells;
                part->cell_capacity = capacity;
            }
            part->cells[part->cell_count++] = (struct hs_cell){records[i].key, first + i, 0};
        }
        part->cells[part->cell_count - 1].count++;
    }
    return true;
}

/* Sorts the blocks of a part and makes its cells. records: room for two parts. */
static bool sort_part(struct collect *collect, size_t number, struct record *records)
{
    struct part *part = &collect->parts[number];
    uint32_t start[PART + 1];
    bool fine = true;

    gather(collect, number, records, start);
    for (uint32_t i = 0; fine && i < PART && number * PART + i <= HS_CELL_UNTRACED; i++) {
        uint32_t count = start[i + 1] - start[i];

        collect->cells->first[number * PART + i] = part->cell_count;
        sort_records(records + start[i], count, records + part->id_count);
        fine = add_cells(part, records + start[i], count, part->first_id + start[i]);
    }
    for (uint32_t i = 0; fine && i < part->id_count; i++)
        collect->cells->ids[part->first_id + i] = records[i].id;
    return fine;
}

static void sort_item(void *context, size_t number)
{
    struct collect *collect = context;
    size_t slot = 0;

    if (hs_job_stopped(collect->job))
        return;
    /* As many slots as threads: one is always free. */
    while (atomic_exchange(&collect->taken[slot], true))
        slot = (slot + 1) % collect->set->dump->thread_count;
    if (!sort_part(collect, number, collect->scratch[slot]))
        atomic_store(&collect->out_of_memory, true);
    atomic_store(&collect->taken[slot], false);
}

/* Room to sort in, for each thread. */
static bool make_scratch(struct collect *collect)
{
    unsigned slots = collect->set->dump->thread_count;
    size_t most = 0;
    bool fine;

    for (size_t number = 0; number < PARTS; number++)
        most = most > collect->parts[number].id_count ? most : collect->parts[number].id_count;
    collect->scratch = calloc(slots, sizeof *collect->scratch);
    collect->taken = calloc(slots, sizeof *collect->taken);
    fine = collect->scratch && collect->taken;
    for (unsigned slot = 0; fine && slot < slots; slot++)
        fine = (collect->scratch[slot] = malloc(2 * (most + 1) * sizeof **collect->scratch)) != NULL;
    return fine;
}

static void free_scratch(struct collect *collect)
{
    for (unsigned slot = 0; collect->scratch && slot < collect->set->dump->thread_count; slot++)
        free(collect->scratch[slot]);
    free(collect->scratch);
    free(collect->taken);
    collect->scratch = NULL;
    collect->taken = NULL;
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

static bool join_tags(struct collect *collect)
{
    struct hs_cells *cells = collect->cells;
    size_t count = 0;

    for (size_t s = 0; s < collect->shard_count; s++)
        count += collect->shards[s].tag_count;
    cells->tags = malloc((count + 1) * sizeof *cells->tags);
    if (!cells->tags)
        return false;
    for (size_t s = 0; s < collect->shard_count; s++) {
        const struct shard *shard = &collect->shards[s];

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

/* Puts the cells of the parts one behind the other. */
static bool join_parts(struct collect *collect)
{
    struct hs_cells *cells = collect->cells;
    uint32_t sum = 0;

    for (size_t number = 0; number < PARTS; number++)
        sum += collect->parts[number].cell_count;
    cells->count = cells->first[HS_CELL_UNTRACED + 1] = sum;
    cells->cells = malloc((sum + (size_t)1) * sizeof *cells->cells);
    if (!cells->cells)
        return false;
    sum = 0;
    for (size_t number = 0; number < PARTS; number++) {
        struct part *part = &collect->parts[number];

        for (size_t stored = number * PART; stored < (number + 1) * PART && stored <= HS_CELL_UNTRACED; stored++)
            cells->first[stored] += sum;
        if (part->cell_count)
            memcpy(cells->cells + sum, part->cells, part->cell_count * sizeof *part->cells);
        sum += part->cell_count;
        free(part->cells);
        part->cells = NULL;
    }
    return true;
}

static bool make_cells(struct collect *collect)
{
    struct hs_cells *cells = collect->cells;

    for (size_t number = 0; number < PARTS; number++) {
        struct part *part = &collect->parts[number];

        part->first_id = cells->id_count;
        for (size_t s = 0; s < collect->shard_count; s++)
            part->id_count += collect->shards[s].first[number + 1] - collect->shards[s].first[number];
        cells->id_count += part->id_count;
    }
    cells->ids = malloc((cells->id_count + (size_t)1) * sizeof *cells->ids);
    if (!cells->ids || !join_tags(collect) || !make_scratch(collect))
        return false;
    hs_parallel(collect->set->dump->thread_count, PARTS, sort_item, collect);
    free_scratch(collect);
    return !atomic_load(&collect->out_of_memory) && (hs_job_stopped(collect->job) || join_parts(collect));
}

enum hs_status hs_cells_init(struct hs_cells *cells, struct hs_dump *dump, const struct hs_blocks *blocks,
                             const uint8_t *objects, struct hs_job *job, struct hs_error *err)
{
    struct hs_set_options options = {.states = 1u << HS_BLOCK_BUSY};
    struct hs_set *set = NULL;
    struct collect *collect = calloc(1, sizeof *collect);
    enum hs_status status = HS_OK;

    memset(cells, 0, sizeof *cells);
    if (!collect)
        return hs_fail_memory(err, "cells of blocks");
    cells->label_bits = bits_for(HS_CELL_LABELS + 1u);
    cells->module_bits = bits_for(dump->process.module_count + 1);
    cells->size_bits = bits_for(blocks->heaps->count);
    if (cells->module_bits + cells->size_bits > 20)
        cells->module_bits = 0; /* thousands of heaps and modules: sizes matter more */
    cells->size_bits = 64 - cells->label_bits - cells->module_bits - cells->size_bits;
    status = hs_set_create(dump, &options, job, &set, err);
    if (status != HS_OK)
        goto done;
    collect->cells = cells;
    collect->blocks = blocks;
    collect->set = set;
    collect->objects = objects;
    collect->job = job;
    collect->shard_count = hs_set_shards(set);
    collect->shards = calloc(collect->shard_count + 1, sizeof *collect->shards);
    collect->summaries = hs_blocks_summaries(blocks, dump->thread_count);
    if (collect->shards && collect->summaries) {
        hs_job_start(job, set->to - set->from);
        hs_set_parallel(set, read_item, collect);
    }
    if (!collect->shards || !collect->summaries || atomic_load(&collect->out_of_memory) ||
        (!hs_job_stopped(job) && !make_cells(collect)))
        status = hs_fail_memory(err, "cells of blocks");
    else if (hs_job_stopped(job)) /* before the cells or while they were made */
        status = hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while sorting blocks");

done:
    for (size_t s = 0; collect->shards && s < collect->shard_count; s++) {
        free(collect->shards[s].keys);
        free(collect->shards[s].places);
        free(collect->shards[s].tags);
    }
    for (size_t number = 0; number < PARTS; number++)
        free(collect->parts[number].cells);
    free_scratch(collect);
    free(collect->shards);
    free(collect);
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
