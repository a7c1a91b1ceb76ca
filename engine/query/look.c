/* look.c - what stands beside blocks in doubt, and what they point to: witnesses for the model. */
#include "query/attribution.h"

#include <stdlib.h>

/* A clump in doubt, and how many of its blocks are looked at. */
struct doubt {
    uint32_t clump, wanted;
};

/* What was seen of some of them. */
struct look {
    const struct hs_attribution *attribution;
    struct hs_witness *witnesses;
    size_t count, capacity;
    bool failed;
};

static void add_witness(struct look *look, uint32_t clump, uint32_t other, enum hs_evidence kind)
{
    struct hs_witness *witnesses = hs_grow(look->witnesses, look->count, &look->capacity, sizeof *witnesses);

    if (!witnesses) {
        look->failed = true;
        return;
    }
    look->witnesses = witnesses;
    look->witnesses[look->count++] = (struct hs_witness){clump, other, kind};
}

/* Block `id`, next to or linked with one of clump `clump`. */
static void see(struct look *look, uint32_t clump, uint32_t id, enum hs_evidence kind)
{
    const struct hs_attribution *attribution = look->attribution;
    const struct hs_model *model = &attribution->model;
    uint32_t stored, cell;
    uint64_t key;

    if (!hs_cells_key(&attribution->cells, attribution->blocks, attribution->objects, id, &stored, &key) ||
        stored == HS_CELL_UNTRACED || stored == model->clumps[clump].stored)
        return;
    cell = hs_cells_find(&attribution->cells, stored, key);
    if (cell == HS_CELL_NONE)
        return;
    add_witness(look, clump, model->cell_clump[cell], kind);
    if (kind == HS_EVIDENCE_LINKS) /* is seen from both ends */
        add_witness(look, model->cell_clump[cell], clump, kind);
}

static void see_neighbours(struct look *look, uint32_t clump, const struct hs_extent *extent, uint32_t id,
                           const struct hs_block *block)
{
    const struct hs_blocks *blocks = look->attribution->blocks;
    struct hs_block_cursor cursor;
    struct hs_brief brief;

    if (id > extent->first_id) {
        hs_block_cursor_init(&cursor, blocks, id - 1);
        if (hs_block_cursor_next(&cursor)) {
            hs_block_brief(blocks->heaps, cursor.extent, cursor.off, &brief);
            if (cursor.extent->va + cursor.off + brief.total == block->va)
                see(look, clump, id - 1, HS_EVIDENCE_NEIGHBOURS);
        }
    }
    if (id + 1 < extent->first_id + extent->count) {
        hs_block_cursor_init(&cursor, blocks, id + 1);
        if (hs_block_cursor_next(&cursor) && cursor.extent->va + cursor.off == block->va + block->total)
            see(look, clump, id + 1, HS_EVIDENCE_NEIGHBOURS);
    }
}

static void see_links(struct look *look, uint32_t clump, const struct hs_block *block)
{
    const struct hs_attribution *attribution = look->attribution;
    const struct hs_space *space = attribution->blocks->heaps->process->space;

    for (size_t r = 0; r < attribution->link_count; r++) {
        const struct hs_link_rule *rule = &attribution->links[r];
        struct hs_block other;
        uint64_t value;
        uint32_t id;
        uint64_t off;

        if (rule->label != attribution->model.clumps[clump].label ||
            block->size < (uint64_t)rule->at + space->pointer_size ||
            !hs_space_pointer(space, block->user_va + rule->at, &value) || !value ||
            !hs_blocks_locate(attribution->blocks, value, &id, &off) ||
            hs_blocks_get(attribution->blocks, id, &other) != HS_OK)
            continue;
        if (!rule->exact || other.user_va + rule->target == value)
            see(look, clump, id, HS_EVIDENCE_LINKS);
    }
}

/* Looks at so many blocks of a clump, evenly spaced. */
static void look_at(struct look *look, uint32_t clump, uint32_t wanted)
{
    const struct hs_attribution *attribution = look->attribution;
    const struct hs_cells *cells = &attribution->cells;
    const struct hs_clump *what = &attribution->model.clumps[clump];
    uint32_t taken = 0;
    uint64_t passed = 0;

    for (uint32_t c = cells->first[what->stored]; c < cells->first[what->stored + 1] && taken < wanted; c++) {
        const struct hs_cell *cell = &cells->cells[c];

        if (attribution->model.cell_clump[c] != clump)
            continue;
        for (uint64_t next; taken < wanted && (next = (uint64_t)taken * what->count / wanted) < passed + cell->count;
             taken++) {
            uint32_t id = cells->ids[cell->first + (next - passed)];
            struct hs_block_cursor cursor;
            struct hs_block block;

            hs_block_cursor_init(&cursor, attribution->blocks, id);
            if (!hs_block_cursor_next(&cursor))
                continue;
            hs_block_fill(attribution->blocks, cursor.extent, id, cursor.off, &block);
            see_neighbours(look, clump, cursor.extent, id, &block);
            see_links(look, clump, &block);
        }
        passed += cell->count;
    }
}

/* ---- all of them ---- */

#define LOOK_ITEM 16u /* clumps of one item of the parallel loop */

struct around {
    const struct hs_attribution *attribution;
    struct doubt *doubts;
    size_t count;
    struct look *looks; /* an item */
    size_t look_count;
};

/* Which clumps, until there are as many blocks as are to be looked at. */
static bool choose(struct around *around)
{
    const struct hs_opinions *opinions = &around->attribution->opinions;
    const struct hs_model *model = &around->attribution->model;
    uint32_t *doubtful = calloc(opinions->looks + (size_t)1, sizeof *doubtful);
    uint32_t left = opinions->looks;
    size_t count = 0;

    around->doubts = calloc(opinions->looks + (size_t)1, sizeof *around->doubts);
    if (doubtful && around->doubts)
        count = hs_model_doubtful(model, doubtful, opinions->looks);
    for (size_t i = 0; i < count && left; i++) {
        uint32_t most = opinions->looks_clump < left ? opinions->looks_clump : left;
        uint32_t blocks = model->clumps[doubtful[i]].count, wanted = blocks < most ? blocks : most;

        around->doubts[around->count++] = (struct doubt){doubtful[i], wanted};
        left -= wanted;
    }
    free(doubtful);
    around->look_count = (around->count + LOOK_ITEM - 1) / LOOK_ITEM;
    around->looks = calloc(around->look_count + 1, sizeof *around->looks);
    return doubtful && around->doubts && around->looks;
}

static void look_item(void *context, size_t item)
{
    const struct around *around = context;
    struct look *look = &around->looks[item];
    size_t to = (item + 1) * LOOK_ITEM < around->count ? (item + 1) * LOOK_ITEM : around->count;

    look->attribution = around->attribution;
    for (size_t i = item * LOOK_ITEM; i < to; i++)
        look_at(look, around->doubts[i].clump, around->doubts[i].wanted);
}

/* What all items saw, in one array; NULL: no memory. */
static struct hs_witness *join_looks(const struct around *around, size_t *count_ret)
{
    struct hs_witness *witnesses;
    size_t count = 0;
    bool failed = false;

    for (size_t item = 0; item < around->look_count; item++) {
        count += around->looks[item].count;
        failed |= around->looks[item].failed;
    }
    witnesses = failed ? NULL : malloc((count + 1) * sizeof *witnesses);
    *count_ret = count;
    count = 0;
    for (size_t item = 0; witnesses && item < around->look_count; item++) {
        const struct look *look = &around->looks[item];

        if (look->count)
            memcpy(witnesses + count, look->witnesses, look->count * sizeof *witnesses);
        count += look->count;
    }
    return witnesses;
}

enum hs_status hs_attribution_look(struct hs_attribution *attribution, struct hs_error *err)
{
    struct around around = {.attribution = attribution};
    struct hs_witness *witnesses = NULL;
    size_t count;

    if (choose(&around)) {
        hs_parallel(attribution->dump->thread_count, around.look_count, look_item, &around);
        witnesses = join_looks(&around, &count);
    }
    for (size_t item = 0; around.looks && item < around.look_count; item++)
        free(around.looks[item].witnesses);
    free(around.looks);
    free(around.doubts);
    if (!witnesses)
        return hs_fail_memory(err, "neighbours of blocks");
    return hs_model_hear(&attribution->model, witnesses, count, err);
}
