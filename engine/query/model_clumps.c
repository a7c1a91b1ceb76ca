/* model_clumps.c - the cells of a stored index put into clumps: blocks of one kind that had one owner. */
#include "query/model.h"

#include <stdlib.h>

struct hs_room {
    struct hs_clump *clumps;
    uint32_t capacity, count;
    uint32_t *cell_clump; /* a cell of the stored index */
    uint32_t cell_capacity;
    size_t tag; /* the first that may belong to the next cell */
};

static bool room_for(struct hs_room *room, uint32_t cells)
{
    if (cells > room->cell_capacity) {
        uint32_t *bigger = calloc(cells, sizeof *bigger); /* nothing of the last stored index is kept */

        if (!bigger)
            return false;
        free(room->cell_clump);
        room->cell_clump = bigger;
        room->cell_capacity = cells;
    }
    if (cells > room->capacity) {
        struct hs_clump *bigger = realloc(room->clumps, cells * sizeof *bigger);

        if (!bigger)
            return false;
        room->clumps = bigger;
        room->capacity = cells;
    }
    return true;
}

static bool tag_is_before(const struct hs_cell_tag *tag, uint32_t stored, uint64_t key)
{
    return tag->stored < stored || (tag->stored == stored && tag->key < key);
}

/* The first tag that is not before this stored index. */
static size_t first_tag(const struct hs_cells *cells, uint32_t stored)
{
    size_t low = 0, high = cells->tag_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (tag_is_before(&cells->tags[middle], stored, 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The tag of a cell, 0 if it has none. Cells are asked for in their order: *at moves on. */
static uint16_t tag_of(const struct hs_cells *cells, uint32_t stored, uint64_t key, size_t *at)
{
    const struct hs_cell_tag *tags = cells->tags;

    while (*at < cells->tag_count && tag_is_before(&tags[*at], stored, key))
        ++*at;
    return *at < cells->tag_count && tags[*at].stored == stored && tags[*at].key == key ? tags[*at].tag : 0;
}

/* Most blocks first; then the first to be found (`odds` holds the place meanwhile). */
static int compare_clumps(const void *a, const void *b)
{
    const struct hs_clump *one = a, *two = b;

    if (one->count != two->count)
        return one->count > two->count ? -1 : 1;
    return one->odds < two->odds ? -1 : one->odds > two->odds;
}

/* One clump for each kind with a size of its own, one for the odd sizes of a kind. */
static void first_clumps(const struct hs_model *model, uint32_t stored, struct hs_room *room)
{
    const struct hs_cells *cells = model->cells;
    uint64_t kind = UINT64_MAX;
    uint32_t odd = UINT32_MAX, first = cells->first[stored];

    room->count = 0;
    for (uint32_t c = first; c < cells->first[stored + 1]; c++) {
        const struct hs_cell *cell = &cells->cells[c];
        bool alone = cell->count >= model->opinions->fixed_min;
        uint32_t at = alone ? UINT32_MAX : odd;
        struct hs_cell_part part = hs_cells_part(cells, cell->key);

        if (cell->key >> cells->size_bits != kind) {
            kind = cell->key >> cells->size_bits;
            at = odd = UINT32_MAX;
        }
        if (at == UINT32_MAX) {
            at = room->count++;
            room->clumps[at] = (struct hs_clump){
                .stored = stored,
                .odds = at,
                .label = (uint8_t)part.label,
                .module_bit = part.module < model->module_count ? model->module_bit[part.module] : 255,
                .regular = 0};
            if (!alone)
                odd = at;
        } else {
            room->clumps[at].several = true;
        }
        room->cell_clump[c - first] = at;
        room->clumps[at].count += cell->count;
        room->clumps[at].bytes += part.size * cell->count;
        if (cells->tag_count && !room->clumps[at].tag)
            room->clumps[at].tag = tag_of(cells, stored, cell->key, &room->tag);
    }
}

/* Keeps the `most` largest clumps; each other one goes to the smallest of its label that is kept, or the smallest. */
static bool join_clumps(const struct hs_model *model, uint32_t stored, struct hs_room *room, uint32_t most)
{
    uint32_t cell_count = model->cells->first[stored + 1] - model->cells->first[stored];
    uint32_t *place = calloc(room->count + (size_t)1, sizeof *place); /* from the first order to the last */
    uint32_t kept;

    if (!place)
        return false;
    qsort(room->clumps, room->count, sizeof *room->clumps, compare_clumps);
    kept = room->count < most ? room->count : most;
    for (uint32_t i = 0; i < room->count; i++) {
        struct hs_clump *small = &room->clumps[i], *into;
        uint32_t at = i;

        if (i >= kept) {
            at = kept - 1;
            for (uint32_t j = kept; j-- > 0;)
                if (room->clumps[j].label == small->label) {
                    at = j;
                    break;
                }
            into = &room->clumps[at];
            into->mixed |= into->label != small->label;
            into->several = true;
            into->count += small->count;
            into->bytes += small->bytes;
            into->tag = into->tag ? into->tag : small->tag;
        }
        place[small->odds] = at;
    }
    for (uint32_t c = 0; c < cell_count; c++)
        room->cell_clump[c] = place[room->cell_clump[c]];
    room->count = kept;
    free(place);
    return true;
}

/* One size, several or many. Cells of one size in several heaps or labels count as several sizes where they were joined:
 * they stand apart in the order of cells. */
static void regularity(const struct hs_model *model, uint32_t stored, struct hs_room *room)
{
    uint32_t first = model->cells->first[stored], cell_count = model->cells->first[stored + 1] - first;

    for (uint32_t c = 0; c < cell_count; c++)
        if (room->clumps[room->cell_clump[c]].odds < UINT32_MAX)
            room->clumps[room->cell_clump[c]].odds++;
    for (uint32_t i = 0; i < room->count; i++) {
        struct hs_clump *clump = &room->clumps[i];
        uint32_t sizes = clump->odds;

        clump->regular = clump->count < 3                      ? HS_REGULAR_COUNT
                         : sizes == 1                          ? 0
                         : (uint64_t)sizes * 3 <= clump->count ? 1
                                                               : 2;
    }
}

static uint32_t ways_max(uint32_t candidates)
{
    uint32_t base = candidates < 2 ? 2 : candidates, ways = base, clumps = 1;

    while ((uint64_t)ways * base <= HS_WAYS_MAX) {
        ways *= base;
        clumps++;
    }
    return clumps;
}

static bool make_clumps(const struct hs_model *model, uint32_t stored, struct hs_room *room)
{
    uint32_t cells = model->cells->first[stored + 1] - model->cells->first[stored];

    room->count = 0;
    if (cells == 0)
        return true;
    if (!room_for(room, cells))
        return false;
    first_clumps(model, stored, room);
    if (!join_clumps(model, stored, room, ways_max(hs_model_candidates(model, stored))))
        return false;
    for (uint32_t i = 0; i < room->count; i++)
        room->clumps[i].odds = 0;
    regularity(model, stored, room);
    return true;
}

struct clumping {
    struct hs_model *model;
    struct hs_clump *parts[HS_STORED_PARTS]; /* `odds` counts from the first of the part */
    uint32_t counts[HS_STORED_PARTS], first[HS_STORED_PARTS];
    uint64_t odds[HS_STORED_PARTS], first_odds[HS_STORED_PARTS];
    atomic_bool out_of_memory;
};

/* Adds the clumps in `room`, of one stored index, to those of its part. */
static bool add_clumps(struct clumping *clumping, size_t part, const struct hs_room *room, uint32_t *capacity)
{
    uint32_t done = clumping->counts[part];

    if (done + room->count > *capacity) {
        struct hs_clump *bigger;

        *capacity = (done + room->count) * 2;
        bigger = realloc(clumping->parts[part], *capacity * sizeof *bigger);
        if (!bigger)
            return false;
        clumping->parts[part] = bigger;
    }
    for (uint32_t i = 0; i < room->count; i++) {
        struct hs_clump *clump = &clumping->parts[part][done + i];

        *clump = room->clumps[i];
        clump->odds = (uint32_t)clumping->odds[part];
        clumping->odds[part] += hs_model_candidates(clumping->model, clump->stored);
    }
    clumping->counts[part] = done + room->count;
    return true;
}

static void clump_item(void *context, size_t part)
{
    struct clumping *clumping = context;
    struct hs_model *model = clumping->model;
    const uint32_t *first = model->cells->first;
    struct hs_room room = {0};
    uint32_t from = (uint32_t)part * HS_CELL_PART, capacity = 0;
    bool fine = true;

    if (hs_job_stopped(model->job))
        return;
    room.tag = first_tag(model->cells, from);
    for (uint32_t stored = from; fine && stored < from + HS_CELL_PART; stored++) {
        uint32_t done = clumping->counts[part];

        fine = make_clumps(model, stored, &room) && add_clumps(clumping, part, &room, &capacity);
        model->first_clump[stored] = done;
        for (uint32_t c = first[stored]; fine && c < first[stored + 1]; c++)
            model->cell_clump[c] = done + room.cell_clump[c - first[stored]];
    }
    if (!fine)
        atomic_store(&clumping->out_of_memory, true);
    free(room.clumps);
    free(room.cell_clump);
}

/* Puts a part in its place behind the others. */
static void place_item(void *context, size_t part)
{
    struct clumping *clumping = context;
    struct hs_model *model = clumping->model;
    const uint32_t *first = model->cells->first;
    uint32_t from = (uint32_t)part * HS_CELL_PART, sum = clumping->first[part];

    for (uint32_t i = 0; i < clumping->counts[part]; i++) {
        model->clumps[sum + i] = clumping->parts[part][i];
        model->clumps[sum + i].odds += (uint32_t)clumping->first_odds[part];
    }
    for (uint32_t stored = from; stored < from + HS_CELL_PART; stored++)
        model->first_clump[stored] += sum;
    for (uint32_t c = first[from]; c < first[from + HS_CELL_PART]; c++)
        model->cell_clump[c] += sum;
}

/* Puts the parts one behind the other. */
static enum hs_status join_parts(struct clumping *clumping, struct hs_error *err)
{
    struct hs_model *model = clumping->model;
    uint64_t odds = 0;
    uint32_t sum = 0;

    for (size_t part = 0; part < HS_STORED_PARTS; part++) {
        clumping->first[part] = sum;
        clumping->first_odds[part] = odds;
        sum += clumping->counts[part];
        odds += clumping->odds[part];
    }
    if (odds > UINT32_MAX)
        return hs_fail_memory(err, "odds of candidates");
    model->clumps = malloc((sum + (size_t)1) * sizeof *model->clumps);
    model->odds = calloc((size_t)odds + 1, sizeof *model->odds);
    if (!model->clumps || !model->odds)
        return hs_fail_memory(err, "clumps of blocks");
    model->clump_count = model->first_clump[HS_CELL_STORED] = sum;
    model->odds_count = (uint32_t)odds;
    hs_parallel(model->thread_count, HS_STORED_PARTS, place_item, clumping);
    return HS_OK;
}

enum hs_status hs_model_clump(struct hs_model *model, struct hs_error *err)
{
    struct clumping *clumping = calloc(1, sizeof *clumping);
    enum hs_status status;

    if (!clumping)
        return hs_fail_memory(err, "clumps of blocks");
    clumping->model = model;
    model->cell_clump = calloc(model->cells->first[HS_CELL_STORED] + (size_t)1, sizeof *model->cell_clump);
    if (model->cell_clump)
        hs_parallel(model->thread_count, HS_STORED_PARTS, clump_item, clumping);
    if (hs_job_stopped(model->job))
        status = hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while judging traces");
    else if (!model->cell_clump || atomic_load(&clumping->out_of_memory))
        status = hs_fail_memory(err, "clumps of blocks");
    else
        status = join_parts(clumping, err);
    for (size_t part = 0; part < HS_STORED_PARTS; part++)
        free(clumping->parts[part]);
    free(clumping);
    return status;
}
