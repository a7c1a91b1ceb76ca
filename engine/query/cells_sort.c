/* cells_sort.c - busy blocks in the order of cells: by stored index, then key, then id. Keys are few, some ten thousand for
 * millions of blocks, and sizes make them long: each is replaced by its place among all keys, its rank. A block is then
 * one word, rank above id, and the blocks of a stored index are sorted as words. */
#include "query/cells.h"

#include <stdlib.h>

#define DIGIT_BITS 8u
#define DIGIT (1u << DIGIT_BITS)

/* ---- ranks of keys ---- */

/* Lists the keys of slot `idx`, which has room for their ranks then. Each is of a block of its own, so of all slots
 * together there are no more than blocks. */
static bool list_keys(struct hs_cell_sorting *sorting, uint64_t idx, struct hs_keyed *list, uint32_t *count)
{
    struct hs_cell_slot *slot = &sorting->slots[idx];
    size_t place = 0;
    uint64_t key, number;

    slot->ranks = malloc((slot->numbers.count + 1) * sizeof *slot->ranks);
    while (slot->ranks && hs_map_next(&slot->numbers, &place, &key, &number))
        list[(*count)++] = (struct hs_keyed){key, idx << 32 | (number - 1)};
    return slot->ranks != NULL;
}

static bool rank_keys(struct hs_cell_sorting *sorting)
{
    uint32_t count = 0;
    size_t all = 0;
    struct hs_keyed *list, *sorted;
    bool fine;

    for (unsigned slot = 0; slot < sorting->thread_count; slot++)
        all += sorting->slots[slot].numbers.count;
    list = malloc((2 * all + 1) * sizeof *list);
    sorting->keys = malloc((all + 1) * sizeof *sorting->keys);
    fine = list && sorting->keys;
    for (unsigned slot = 0; fine && slot < sorting->thread_count; slot++)
        fine = list_keys(sorting, slot, list, &count);
    sorted = fine ? hs_keyed_sort(list, list + count, count) : list;
    for (uint32_t i = 0; fine && i < count; i++) {
        if (i == 0 || sorted[i].key != sorted[i - 1].key)
            sorting->keys[sorting->key_count++] = sorted[i].key;
        sorting->slots[sorted[i].value >> 32].ranks[(uint32_t)sorted[i].value] = sorting->key_count - 1;
    }
    free(list);
    return fine;
}

/* ---- sorting a part ---- */

#define RANK_AT 32u       /* in a word; below is the id */
#define INSERTION_MAX 32u /* up to so many words a radix sort takes longer */
#define HEAVY_MIN 16384u /* blocks of one stored index: if they are more than keys, too, they are counted, not sorted */
#define HEAVY UINT32_MAX /* instead of where its words begin: it has none */

static void insertion_sort(uint64_t *words, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint64_t word = words[i];
        uint32_t at = i;

        for (; at && words[at - 1] > word; at--)
            words[at] = words[at - 1];
        words[at] = word;
    }
}

/* Sorts words that are in id order by rank. other: room for as many. */
static void sort_words(uint64_t *words, uint32_t count, uint64_t *other, uint32_t key_count)
{
    uint64_t *from = words;

    if (count <= INSERTION_MAX) {
        insertion_sort(words, count);
        return;
    }
    for (unsigned shift = RANK_AT; shift < 64 && (key_count - 1) >> (shift - RANK_AT); shift += DIGIT_BITS) {
        uint32_t next[DIGIT] = {0};
        uint64_t *sorted = other;

        for (uint32_t i = 0; i < count; i++)
            next[from[i] >> shift & (DIGIT - 1)]++;
        if (!hs_digit_starts(next, count))
            continue;
        for (uint32_t i = 0; i < count; i++)
            sorted[next[from[i] >> shift & (DIGIT - 1)]++] = from[i];
        other = from;
        from = sorted;
    }
    if (from != words)
        memcpy(words, from, count * sizeof *words);
}

/* Counts the blocks of a part by stored index. start: where those of each begin, counted from the first of the part. */
static void count_stored(const struct hs_cell_sorting *sorting, size_t number, uint32_t start[HS_CELL_PART + 1])
{
    memset(start, 0, (HS_CELL_PART + 1) * sizeof *start);
    for (size_t s = 0; s < sorting->shard_count; s++) {
        const struct hs_cell_shard *shard = &sorting->shards[s];

        for (uint32_t i = shard->first[number]; i < shard->first[number + 1]; i++)
            start[(shard->places[i] >> 16) % HS_CELL_PART]++;
    }
    hs_starts(start, HS_CELL_PART + 1);
}

/* Where the words of each stored index begin. Returns how many there are. */
static uint32_t place_words(const struct hs_cell_sorting *sorting, const uint32_t start[HS_CELL_PART + 1],
                            uint32_t first[HS_CELL_PART])
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < HS_CELL_PART; i++) {
        uint32_t count = start[i + 1] - start[i];

        if (count >= HEAVY_MIN && count >= sorting->key_count) {
            first[i] = HEAVY;
        } else {
            first[i] = sum;
            sum += count;
        }
    }
    return sum;
}

/* The words of a part by stored index, in id order in each. first: where those of each begin. */
static void gather(const struct hs_cell_sorting *sorting, size_t number, uint64_t *words,
                   const uint32_t first[HS_CELL_PART])
{
    uint32_t next[HS_CELL_PART];

    memcpy(next, first, sizeof next);
    for (size_t s = 0; s < sorting->shard_count; s++) {
        const struct hs_cell_shard *shard = &sorting->shards[s];
        const uint32_t *ranks = sorting->slots[shard->slot].ranks;
        uint64_t base = (uint64_t)s * HS_SHARD_BLOCKS;

        for (uint32_t i = shard->first[number]; i < shard->first[number + 1]; i++) {
            uint32_t stored = (shard->places[i] >> 16) % HS_CELL_PART;

            if (next[stored] != HEAVY)
                words[next[stored]++] =
                    (uint64_t)ranks[shard->numbers[i]] << RANK_AT | (base + shard->places[i] % HS_SHARD_BLOCKS);
        }
    }
}

static bool add_cell(struct hs_cell_part_of *part, uint64_t key, uint32_t first)
{
    struct hs_cell *cells = hs_grow(part->cells, part->cell_count, &part->cell_capacity, sizeof *cells);

    if (!cells)
        return false;
    part->cells = cells;
    part->cells[part->cell_count++] = (struct hs_cell){key, first, 0};
    return true;
}

/* Makes cells out of the sorted words of one stored index, the first of which is number `first` of all. */
static bool add_cells(const struct hs_cell_sorting *sorting, struct hs_cell_part_of *part, const uint64_t *words,
                      uint32_t count, uint32_t first)
{
    uint32_t *ids = sorting->cells->ids + first;
    uint64_t rank = UINT64_MAX;

    for (uint32_t i = 0; i < count; i++) {
        if (words[i] >> RANK_AT != rank) {
            rank = words[i] >> RANK_AT;
            if (!add_cell(part, sorting->keys[rank], first + i))
                return false;
        }
        part->cells[part->cell_count - 1].count++;
        ids[i] = (uint32_t)words[i];
    }
    return true;
}

/* The same for a heavy one: its blocks are counted by rank, then put where they belong. */
static bool add_heavy(const struct hs_cell_sorting *sorting, size_t number, uint32_t stored,
                      struct hs_cell_part_of *part, uint32_t first)
{
    uint32_t *next = calloc(sorting->key_count, sizeof *next); /* a rank: how many; then, where the next one goes */
    uint32_t sum = first;
    bool fine = next != NULL;

    for (size_t s = 0; fine && s < sorting->shard_count; s++) {
        const struct hs_cell_shard *shard = &sorting->shards[s];
        const uint32_t *ranks = sorting->slots[shard->slot].ranks;

        for (uint32_t i = shard->first[number]; i < shard->first[number + 1]; i++)
            next[ranks[shard->numbers[i]]] += (shard->places[i] >> 16) % HS_CELL_PART == stored;
    }
    for (uint32_t rank = 0; fine && rank < sorting->key_count; rank++) {
        uint32_t count = next[rank];

        if (count && (fine = add_cell(part, sorting->keys[rank], sum)))
            part->cells[part->cell_count - 1].count = count;
        next[rank] = sum;
        sum += count;
    }
    for (size_t s = 0; fine && s < sorting->shard_count; s++) {
        const struct hs_cell_shard *shard = &sorting->shards[s];
        const uint32_t *ranks = sorting->slots[shard->slot].ranks;

        for (uint32_t i = shard->first[number]; i < shard->first[number + 1]; i++)
            if ((shard->places[i] >> 16) % HS_CELL_PART == stored)
                sorting->cells->ids[next[ranks[shard->numbers[i]]]++] =
                    (uint32_t)(s * HS_SHARD_BLOCKS) + shard->places[i] % HS_SHARD_BLOCKS;
    }
    free(next);
    return fine;
}

/* Sorts the blocks of a part and makes its cells. Where those of a stored index begin counts from the first of the part. */
static bool sort_part(struct hs_cell_sorting *sorting, size_t number, struct hs_cell_slot *slot)
{
    struct hs_cell_part_of *part = &sorting->parts[number];
    uint32_t start[HS_CELL_PART + 1], first[HS_CELL_PART], word_count;
    size_t room;
    bool fine = true;

    count_stored(sorting, number, start);
    word_count = place_words(sorting, start, first);
    room = 2 * (size_t)word_count + 1;
    if (room > slot->capacity) {
        free(slot->words);
        slot->words = malloc(room * sizeof *slot->words);
        slot->capacity = slot->words ? room : 0;
    }
    if (!slot->words)
        return false;
    gather(sorting, number, slot->words, first);
    for (uint32_t i = 0; fine && i < HS_CELL_PART && number * HS_CELL_PART + i <= HS_CELL_UNTRACED; i++) {
        uint32_t count = start[i + 1] - start[i], first_id = part->first_id + start[i];

        sorting->cells->first[number * HS_CELL_PART + i] = part->cell_count;
        if (first[i] == HEAVY) {
            fine = add_heavy(sorting, number, i, part, first_id);
        } else {
            sort_words(slot->words + first[i], count, slot->words + word_count, sorting->key_count);
            fine = add_cells(sorting, part, slot->words + first[i], count, first_id);
        }
    }
    return fine;
}

static void sort_item(void *context, size_t number, unsigned slot)
{
    struct hs_cell_sorting *sorting = context;

    if (!hs_job_stopped(sorting->job) && !sort_part(sorting, number, &sorting->slots[slot]))
        atomic_store(&sorting->out_of_memory, true);
}

/* Puts the cells of a part behind those of the others. */
static void place_item(void *context, size_t number)
{
    struct hs_cell_sorting *sorting = context;
    struct hs_cells *cells = sorting->cells;
    const struct hs_cell_part_of *part = &sorting->parts[number];
    size_t stored = number * HS_CELL_PART;

    for (; stored < (number + 1) * HS_CELL_PART && stored <= HS_CELL_UNTRACED; stored++)
        cells->first[stored] += part->first_cell;
    if (part->cell_count)
        memcpy(cells->cells + part->first_cell, part->cells, part->cell_count * sizeof *part->cells);
}

static bool join_parts(struct hs_cell_sorting *sorting)
{
    struct hs_cells *cells = sorting->cells;

    for (size_t number = 0; number < HS_CELL_PARTS; number++) {
        sorting->parts[number].first_cell = cells->count;
        cells->count += sorting->parts[number].cell_count;
    }
    cells->first[HS_CELL_UNTRACED + 1] = cells->count;
    cells->cells = malloc((cells->count + (size_t)1) * sizeof *cells->cells);
    if (cells->cells)
        hs_parallel(sorting->thread_count, HS_CELL_PARTS, place_item, sorting);
    return cells->cells != NULL;
}

bool hs_cells_sort(struct hs_cell_sorting *sorting)
{
    struct hs_cells *cells = sorting->cells;

    for (size_t number = 0; number < HS_CELL_PARTS; number++) {
        sorting->parts[number].first_id = cells->id_count;
        for (size_t s = 0; s < sorting->shard_count; s++)
            cells->id_count += sorting->shards[s].first[number + 1] - sorting->shards[s].first[number];
    }
    cells->ids = malloc((cells->id_count + (size_t)1) * sizeof *cells->ids);
    if (!cells->ids || !rank_keys(sorting))
        return false;
    hs_parallel_slots(sorting->thread_count, HS_CELL_PARTS, sort_item, sorting);
    return !atomic_load(&sorting->out_of_memory) && (hs_job_stopped(sorting->job) || join_parts(sorting));
}
