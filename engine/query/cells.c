/* cells.c - busy blocks by stored index, heap, label, module of their class and size: one pass over the blocks, then a
 * counting sort by stored index, then a sort of the few blocks of each. */
#include "query/attribution.h"

#include <stdlib.h>

/* A busy block, while cells are made. */
struct record {
    uint64_t key;
    uint32_t id;
};

/* What one item of the pass found; `stored` is parallel to `records`. */
struct shard {
    uint64_t *keys;
    uint32_t *places; /* stored index << 16 | place in the shard */
    uint32_t count;
    uint64_t untraced[HS_SHARD_BLOCKS / 64]; /* a bit a record: it stores no index */
    struct hs_cell_tag *tags;
    size_t tag_count, tag_capacity;
};

struct collect {
    struct hs_cells *cells;
    const struct hs_blocks *blocks;
    const struct hs_set *set;
    const uint8_t *objects;
    struct hs_job *job;
    struct shard *shards;
    size_t shard_count;
    struct record *records; /* of all, by stored index */
    uint32_t start[HS_CELL_UNTRACED + 2];
    uint32_t parts;
    uint32_t *part_cells; /* a part of the stored indexes: cells in it, then its first one */
    atomic_bool out_of_memory;
};

#define PART 256u /* stored indexes of one item of a parallel loop */
#define PARTS ((HS_CELL_UNTRACED + PART) / PART)

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
static uint32_t module_of(const struct hs_blocks *blocks, const struct hs_spot *spot)
{
    const struct hs_process *process = blocks->heaps->process;
    unsigned pointer = process->space->pointer_size;
    uint64_t at;
    size_t module;

    if (spot->extent->kind == HS_EXTENT_HOLE || spot->brief.size < pointer)
        return 0;
    at = hs_spot_user_off(blocks->heaps, spot);
    if (at + pointer > spot->extent->size)
        return 0;
    module = hs_process_module_at(process, hs_load_uint(spot->extent->bytes + at, pointer));
    return module == SIZE_MAX ? 0 : (uint32_t)module + 1;
}

static uint64_t key_of(const struct hs_cells *cells, const struct hs_blocks *blocks, const uint8_t *objects,
                       const struct hs_spot *spot)
{
    uint32_t label = label_of(blocks, spot->id);
    uint64_t most = (UINT64_C(1) << cells->size_bits) - 1, key = spot->extent->heap_idx;
    uint32_t module = cells->module_bits && objects[label] ? module_of(blocks, spot) : 0;

    key = key << cells->label_bits | label;
    key = key << cells->module_bits | module;
    return key << cells->size_bits | (spot->brief.size < most ? spot->brief.size : most);
}

bool hs_cells_key(const struct hs_cells *cells, const struct hs_blocks *blocks, const uint8_t *objects, uint32_t id,
                  uint32_t *stored_ret, uint64_t *key_ret)
{
    struct hs_block_cursor cursor;
    struct hs_spot spot = {.id = id};
    uint32_t stored;

    if (id >= blocks->count)
        return false;
    hs_block_cursor_init(&cursor, blocks, id);
    if (!hs_block_cursor_next(&cursor))
        return false;
    spot.extent = cursor.extent;
    spot.off = cursor.off;
    hs_block_brief(blocks->heaps, spot.extent, spot.off, &spot.brief);
    if (spot.brief.state != HS_BLOCK_BUSY)
        return false;
    stored = hs_block_stored(blocks->heaps, spot.extent, spot.off, &spot.brief);
    *stored_ret = stored == UINT32_MAX ? HS_CELL_UNTRACED : stored;
    *key_ret = key_of(cells, blocks, objects, &spot);
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

static bool read_spot(const struct collect *collect, struct shard *shard, const struct hs_spot *spot, uint32_t base)
{
    uint16_t tag = 0;
    uint32_t stored = hs_block_stored_tag(collect->blocks->heaps, spot->extent, spot->off, &spot->brief, &tag);
    uint64_t key = key_of(collect->cells, collect->blocks, collect->objects, spot);
    uint32_t at = shard->count++;

    shard->keys[at] = key;
    if (stored == UINT32_MAX) {
        shard->untraced[at / 64] |= UINT64_C(1) << (at % 64);
        stored = 0;
    } else if (tag && !add_tag(shard, key, stored, tag)) {
        return false;
    }
    shard->places[at] = stored << 16 | (spot->id - base);
    return true;
}

static bool read_shard(struct collect *collect, struct shard *shard, uint32_t from, uint32_t to)
{
    uint32_t base = from - from % HS_SHARD_BLOCKS;
    struct hs_spot spots[HS_BATCH];
    struct hs_set_cursor cursor;

    shard->keys = malloc((to - from + 1) * sizeof *shard->keys);
    shard->places = malloc((to - from + 1) * sizeof *shard->places);
    if (!shard->keys || !shard->places)
        return false;
    hs_set_cursor_init(&cursor, collect->set, from, to);
    for (size_t count; (count = hs_set_cursor_take(&cursor, spots)) > 0;)
        for (size_t i = 0; i < count; i++)
            if (!read_spot(collect, shard, &spots[i], base))
                return false;
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

static inline uint32_t stored_at(const struct shard *shard, uint32_t at)
{
    return shard->untraced[at / 64] >> (at % 64) & 1 ? HS_CELL_UNTRACED : shard->places[at] >> 16;
}

/* Counting sort by stored index; frees the shards on the way. */
static bool scatter(struct collect *collect)
{
    uint32_t *next = calloc(HS_CELL_UNTRACED + 2, sizeof *next);
    uint32_t sum = 0;

    if (!next)
        return false;
    for (size_t s = 0; s < collect->shard_count; s++)
        for (uint32_t i = 0; i < collect->shards[s].count; i++)
            next[stored_at(&collect->shards[s], i)]++;
    for (uint32_t stored = 0; stored <= HS_CELL_UNTRACED; stored++) {
        collect->start[stored] = sum;
        sum += next[stored];
        next[stored] = collect->start[stored];
    }
    collect->start[HS_CELL_UNTRACED + 1] = sum;
    collect->records = malloc((sum + (size_t)1) * sizeof *collect->records);
    for (size_t s = 0; collect->records && s < collect->shard_count; s++) {
        struct shard *shard = &collect->shards[s];
        uint32_t base = hs_shard_from(collect->set, s);

        base -= base % HS_SHARD_BLOCKS;
        for (uint32_t i = 0; i < shard->count; i++)
            collect->records[next[stored_at(shard, i)]++] =
                (struct record){shard->keys[i], base + (shard->places[i] & 0xffff)};
        free(shard->keys);
        free(shard->places);
        shard->keys = NULL;
        shard->places = NULL;
    }
    free(next);
    return collect->records != NULL;
}

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

/* Stable: ids stay in order where keys are equal. Merges runs bottom up. */
static bool sort_records(struct record *records, uint32_t count)
{
    struct record *room;

    if (count <= INSERTION_MAX) {
        insertion_sort(records, count);
        return true;
    }
    room = malloc(count * sizeof *room);
    if (!room)
        return false;
    for (uint32_t from = 0; from < count; from += INSERTION_MAX)
        insertion_sort(records + from, count - from < INSERTION_MAX ? count - from : INSERTION_MAX);
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
    free(room);
    return true;
}

static void part_range(size_t part, uint32_t *from_ret, uint32_t *to_ret)
{
    *from_ret = (uint32_t)part * PART;
    *to_ret = *from_ret + PART <= HS_CELL_UNTRACED ? *from_ret + PART : HS_CELL_UNTRACED + 1;
}

/* Sorts the blocks of each stored index of a part and counts its cells. */
static void sort_item(void *context, size_t part)
{
    struct collect *collect = context;
    uint32_t from, to, cells = 0;

    if (hs_job_stopped(collect->job))
        return;
    part_range(part, &from, &to);
    for (uint32_t stored = from; stored < to; stored++) {
        struct record *records = collect->records + collect->start[stored];
        uint32_t count = collect->start[stored + 1] - collect->start[stored];

        if (!sort_records(records, count)) {
            atomic_store(&collect->out_of_memory, true);
            return;
        }
        collect->cells->first[stored] = cells;
        for (uint32_t i = 0; i < count; i++)
            cells += i == 0 || records[i].key != records[i - 1].key;
    }
    collect->part_cells[part] = cells;
}

static void fill_item(void *context, size_t part)
{
    struct collect *collect = context;
    struct hs_cells *cells = collect->cells;
    uint32_t from, to, base = collect->part_cells[part];

    part_range(part, &from, &to);
    for (uint32_t stored = from; stored < to; stored++) {
        struct hs_cell *cell = NULL;
        uint32_t next = cells->first[stored] += base;

        for (uint32_t i = collect->start[stored]; i < collect->start[stored + 1]; i++) {
            const struct record *record = &collect->records[i];

            if (!cell || cell->key != record->key) {
                cell = &cells->cells[next++];
                *cell = (struct hs_cell){record->key, i, 0};
            }
            cell->count++;
            cells->ids[i] = record->id;
        }
    }
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

static bool make_cells(struct collect *collect)
{
    struct hs_cells *cells = collect->cells;
    unsigned threads = collect->set->dump->thread_count;
    uint32_t sum = 0;

    collect->part_cells = calloc(PARTS + 1, sizeof *collect->part_cells);
    if (!collect->part_cells || !join_tags(collect) || !scatter(collect))
        return false;
    hs_parallel(threads, PARTS, sort_item, collect);
    if (atomic_load(&collect->out_of_memory))
        return false;
    for (size_t part = 0; part < PARTS; part++) {
        uint32_t here = collect->part_cells[part];

        collect->part_cells[part] = sum;
        sum += here;
    }
    cells->count = cells->first[HS_CELL_UNTRACED + 1] = sum;
    cells->id_count = collect->start[HS_CELL_UNTRACED + 1];
    cells->cells = malloc((sum + (size_t)1) * sizeof *cells->cells);
    cells->ids = malloc((cells->id_count + (size_t)1) * sizeof *cells->ids);
    if (!cells->cells || !cells->ids)
        return false;
    if (!hs_job_stopped(collect->job))
        hs_parallel(threads, PARTS, fill_item, collect);
    return true;
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
    if (collect->shards) {
        hs_job_start(job, set->to - set->from);
        hs_set_parallel(set, read_item, collect);
    }
    if (!collect->shards || atomic_load(&collect->out_of_memory) || (!hs_job_stopped(job) && !make_cells(collect)))
        status = hs_fail_memory(err, "cells of blocks");
    else if (hs_job_stopped(job)) /* before the cells or while they were made */
        status = hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while sorting blocks");

done:
    for (size_t s = 0; collect->shards && s < collect->shard_count; s++) {
        free(collect->shards[s].keys);
        free(collect->shards[s].places);
        free(collect->shards[s].tags);
    }
    free(collect->shards);
    free(collect->records);
    free(collect->part_cells);
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
