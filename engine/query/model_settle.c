/* model_settle.c - from probabilities to shares: each clump to its likeliest owner, what an owner cannot have made to the
 * next, and how sure that is. */
#include "query/model.h"

#include <math.h>
#include <stdlib.h>

/* Chance that a rival that lost has some blocks of the clump all the same. */
static double stray(const struct hs_model *model, const struct hs_clump *clump, uint32_t owner)
{
    const struct hs_opinions *opinions = model->opinions;
    double chance = 0;

    for (uint32_t i = 0; i < hs_model_candidates(model, clump->stored); i++) {
        uint32_t index = hs_model_candidate(model, clump->stored, i);

        if (i == owner || !index)
            continue;
        chance += (clump->several ? opinions->stray_odd : opinions->stray_fixed) * model->learned->second *
                  (clump->mixed ? 1 : hs_model_likelihood(model, model->traces[index].maker, clump->label));
    }
    return chance < opinions->stray_most ? chance : opinions->stray_most;
}

static double confidence(const struct hs_model *model, const struct hs_clump *clump, uint32_t owner)
{
    uint32_t stored = clump->stored, index = hs_model_candidate(model, stored, owner);
    const struct hs_trace_fact *trace = &model->traces[index];
    double p = (double)model->odds[clump->odds + owner];

    if (hs_model_candidates(model, stored) == 1) { /* nothing to compare with; a damaged entry is no good witness */
        if (!index)
            return stored == 0 ? p : 0;
        return trace->readable && clump->count <= trace->count * model->opinions->tolerance ? p : 0.5;
    }
    p *= 1 - stray(model, clump, owner);
    return stored == 0 && model->full && index ? p * model->opinions->zero_most : p;
}

/* The spills of one part of the stored indexes. */
struct spilling {
    struct hs_model *model;
    struct hs_spill *spills;
    size_t count, capacity;
    bool failed;
};

static void spill(struct spilling *spilling, uint32_t cell, uint32_t candidate, uint64_t blocks, double p)
{
    struct hs_spill *spills;

    if (blocks == 0)
        return;
    spills = hs_grow(spilling->spills, spilling->count, &spilling->capacity, sizeof *spills);
    if (!spills) {
        spilling->failed = true;
        return;
    }
    spilling->spills = spills;
    spilling->spills[spilling->count++] = (struct hs_spill){cell, candidate, (uint32_t)blocks, (float)p};
}

/* Blocks beyond an owner's TraceCount go to the next candidate that can have them. */
static void spill_cell(struct spilling *spilling, uint32_t cell, const struct hs_clump *clump, uint64_t *left,
                       uint32_t candidates)
{
    struct hs_model *model = spilling->model;
    uint64_t count = model->cells->cells[cell].count;
    uint64_t mine = count < left[clump->owner] ? count : left[clump->owner], rest = count - mine;

    left[clump->owner] -= mine;
    if (rest == 0)
        return;
    spill(spilling, cell, clump->owner, mine, (double)clump->confidence);
    for (uint32_t i = 0; i < candidates && rest; i++) {
        uint64_t more = rest < left[i] ? rest : left[i];
        double p = (double)model->odds[clump->odds + i];

        if (i == clump->owner)
            continue;
        spill(spilling, cell, i, more, p < 0.5 ? p : 0.5);
        left[i] -= more;
        rest -= more;
    }
    spill(spilling, cell, clump->owner, rest, 0.05);
}

static void settle_stored(struct spilling *spilling, uint32_t stored)
{
    struct hs_model *model = spilling->model;
    uint32_t candidates = hs_model_candidates(model, stored), first = model->first_clump[stored];
    uint64_t room[HS_MANY] = {0}, *left = room;

    for (uint32_t c = first; c < model->first_clump[stored + 1]; c++) {
        struct hs_clump *clump = &model->clumps[c];

        clump->owner = hs_model_likeliest(model, clump);
        clump->confidence = (float)confidence(model, clump, clump->owner);
    }
    if (candidates == 1)
        return;
    if (candidates > HS_MANY) {
        left = calloc(candidates, sizeof *left);
        if (!left) {
            spilling->failed = true;
            return;
        }
    }
    for (uint32_t i = 0; i < candidates; i++) {
        uint32_t index = hs_model_candidate(model, stored, i);

        left[i] = index ? (uint64_t)ceil(model->traces[index].count * model->opinions->tolerance) : UINT64_MAX;
    }
    for (uint32_t c = first; c < model->first_clump[stored + 1]; c++) {
        const struct hs_clump *clump = &model->clumps[c];

        if (clump->count <= left[clump->owner]) {
            left[clump->owner] -= clump->count;
            continue;
        }
        for (uint32_t cell = model->cells->first[stored]; cell < model->cells->first[stored + 1]; cell++)
            if (model->cell_clump[cell] == c)
                spill_cell(spilling, cell, clump, left, candidates);
    }
    if (left != room)
        free(left);
}

static int compare_spills(const void *a, const void *b)
{
    const struct hs_spill *one = a, *two = b;

    if (one->cell != two->cell)
        return one->cell < two->cell ? -1 : 1;
    if (one->blocks != two->blocks)
        return one->blocks > two->blocks ? -1 : 1;
    return one->candidate < two->candidate ? -1 : one->candidate > two->candidate;
}

static void settle_item(void *context, size_t part)
{
    struct spilling *spilling = (struct spilling *)context + part;
    uint32_t from = (uint32_t)part * HS_CELL_PART;

    for (uint32_t stored = from; stored < from + HS_CELL_PART; stored++)
        settle_stored(spilling, stored);
}

/* The spills of all parts in one array. */
static bool join_spills(struct hs_model *model, const struct spilling *parts)
{
    size_t count = 0;
    bool failed = false;

    for (size_t part = 0; part < HS_STORED_PARTS; part++) {
        count += parts[part].count;
        failed |= parts[part].failed;
    }
    model->spills = malloc((count + 1) * sizeof *model->spills);
    if (!model->spills || failed)
        return false;
    for (size_t part = 0; part < HS_STORED_PARTS; part++) {
        if (parts[part].count)
            memcpy(model->spills + model->spill_count, parts[part].spills, parts[part].count * sizeof *model->spills);
        model->spill_count += parts[part].count;
    }
    if (count)
        qsort(model->spills, count, sizeof *model->spills, compare_spills);
    return true;
}

enum hs_status hs_model_settle(struct hs_model *model, struct hs_error *err)
{
    struct spilling *parts = calloc(HS_STORED_PARTS, sizeof *parts);
    bool fine = parts != NULL;

    for (size_t part = 0; parts && part < HS_STORED_PARTS; part++)
        parts[part].model = model;
    if (parts) {
        hs_parallel(model->thread_count, HS_STORED_PARTS, settle_item, parts);
        fine = join_spills(model, parts);
    }
    for (size_t part = 0; parts && part < HS_STORED_PARTS; part++)
        free(parts[part].spills);
    free(parts);
    return fine ? HS_OK : hs_fail_memory(err, "shares of cells");
}

size_t hs_model_shares_next(const struct hs_model *model, uint32_t cell, size_t *spill, struct hs_share *shares,
                            size_t room)
{
    const struct hs_clump *clump = &model->clumps[model->cell_clump[cell]];
    size_t count = 0;

    while (*spill < model->spill_count && model->spills[*spill].cell < cell)
        ++*spill;
    for (; *spill < model->spill_count && model->spills[*spill].cell == cell; ++*spill, count++) {
        const struct hs_spill *one = &model->spills[*spill];

        if (count < room)
            shares[count] = (struct hs_share){hs_model_candidate(model, clump->stored, one->candidate), one->blocks,
                                              one->confidence};
    }
    if (count == 0 && room)
        shares[0] = (struct hs_share){hs_model_candidate(model, clump->stored, clump->owner),
                                      model->cells->cells[cell].count, clump->confidence};
    return count ? count : 1;
}

size_t hs_model_spill(const struct hs_model *model, uint32_t cell)
{
    size_t low = 0, high = model->spill_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (model->spills[middle].cell < cell)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t hs_model_shares(const struct hs_model *model, uint32_t cell, struct hs_share *shares, size_t room)
{
    size_t spill = hs_model_spill(model, cell);

    return hs_model_shares_next(model, cell, &spill, shares, room);
}
