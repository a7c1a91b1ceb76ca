/* fuzz_attribution.c - any bytes as what the attribution is told: traces, groups of blocks, opinions, witnesses. It must
 * neither crash nor hang; odds are probabilities, every block has one owner, sites add up to all blocks, and the number
 * of threads changes no bit. */
#include "query/query.h"

#include <math.h>
#include <stdlib.h>

#define INDEX_BITS 5u /* few stored indexes: many candidates */
#define LABELS 5u
#define MAKERS 4u
#define CLASSES 2u
#define MODULES 3u
#define CELLS_MAX 512u
#define TRACES_MAX 1500u
#define BLOCKS_MAX 0x40000u
#define SHARES_MAX 64u
#define SIZE_BITS 40u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        __builtin_trap();
}

/* ---- bytes to numbers ---- */

struct input {
    const uint8_t *data;
    size_t left;
};

static uint32_t take(struct input *input, unsigned bytes)
{
    uint32_t value = 0;

    for (; bytes && input->left; bytes--, input->left--)
        value = value << 8 | *input->data++;
    return value;
}

static double take_share(struct input *input)
{
    return take(input, 1) / 255.0;
}

/* Small numbers mostly, and the largest. */
static uint32_t take_count(struct input *input)
{
    uint32_t byte = take(input, 1);

    return byte < 0xc0 ? byte : byte < 0xf0 ? take(input, 2) : UINT32_MAX - (byte & 15);
}

/* ---- a world of it ---- */

struct group {
    uint64_t key;
    uint32_t stored, count;
    uint16_t tag;
};

struct world {
    struct hs_attribution attribution;
    struct hs_blocks blocks;
    struct hs_trace_fact facts[TRACES_MAX + 1];
    struct group groups[CELLS_MAX];
    struct hs_cell cells[CELLS_MAX];
    struct hs_cell_tag tags[CELLS_MAX];
    uint32_t ids[BLOCKS_MAX];
    uint8_t maker_class[MAKERS], module_bit[MODULES];
    double prior[CLASSES * LABELS];
    struct hs_witness witnesses[32];
    size_t witness_count;
};

/* One after the other: the order in which an initialiser is worked out is the compiler's. */
static void take_opinions(struct input *input, struct hs_opinions *opinions)
{
    uint32_t use = take(input, 1);
    double share[15];

    for (size_t i = 0; i < sizeof share / sizeof *share; i++)
        share[i] = take_share(input);
    *opinions = (struct hs_opinions){.temper = share[0],
                                     .tolerance = 1 + share[1],
                                     .floor = 0.001 + share[2],
                                     .strength = 0.1 + 10 * share[3],
                                     .size_weight = share[4],
                                     .module_absent = 0.01 + share[5] / 2,
                                     .stray_odd = share[6],
                                     .stray_fixed = share[7],
                                     .stray_most = share[8],
                                     .zero_most = share[9],
                                     .unrecorded = 1e-4 + share[10] / 2,
                                     .behind_fall = 1 + 8 * share[11],
                                     .behind_strength = 1 + 50 * share[12],
                                     .likely_min = 0.05,
                                     .clear = share[13],
                                     .undecided = share[14],
                                     .witnesses = 3,
                                     .seen = {[HS_EVIDENCE_NEIGHBOURS] = 0.35, [HS_EVIDENCE_LINKS] = 0.85},
                                     .regular = {0.5, 0.2, 0.3},
                                     .looks = 100,
                                     .looks_clump = 12};
    opinions->fixed_min = take(input, 1);
    opinions->near = take(input, 2) + 1;
    opinions->learn = take(input, 1);
    for (int kind = 0; kind < HS_EVIDENCE_COUNT; kind++)
        opinions->use[kind] = use >> kind & 1;
}

static void take_traces(struct input *input, struct world *world)
{
    struct hs_model *model = &world->attribution.model;

    model->trace_count = take(input, 2) % (TRACES_MAX + 1);
    for (uint32_t index = 1; index <= model->trace_count && input->left; index++) {
        uint32_t kind = take(input, 1);
        struct hs_trace_fact *fact = &world->facts[index];

        fact->maker = kind % MAKERS;
        fact->outermost = kind >> 2 & 1;
        fact->modules = kind >> 3 & 3;
        fact->readable = (kind >> 5 & 7) != 7;
        fact->caller = fact->readable ? (hs_va)take(input, 1) << 9 : 0;
        fact->count = fact->readable ? take_count(input) : 0;
    }
}

static int compare_groups(const void *a, const void *b)
{
    const struct group *one = a, *two = b;

    if (one->stored != two->stored)
        return one->stored < two->stored ? -1 : 1;
    return one->key < two->key ? -1 : one->key > two->key;
}

static size_t take_groups(struct input *input, struct world *world)
{
    size_t count = 0;

    for (uint32_t blocks = 0; input->left && count < CELLS_MAX; count++) {
        uint32_t stored = take(input, 1), kind = take(input, 1), size = take(input, 1);
        uint64_t place = kind >> 5, label = kind % LABELS, module = kind >> 3 & 3;
        struct group *group = &world->groups[count];

        group->stored = stored >= 0xf0 ? HS_CELL_UNTRACED : stored % (1u << INDEX_BITS);
        group->key = ((place << 8 | label) << 8 | module % MODULES) << SIZE_BITS | size;
        group->count = take_count(input) % 5000 + 1;
        group->tag = group->stored == HS_CELL_UNTRACED ? 0 : (uint16_t)(take(input, 1) % 4);
        blocks += group->count;
        if (blocks > BLOCKS_MAX)
            break;
    }
    if (count)
        qsort(world->groups, count, sizeof *world->groups, compare_groups);
    return count;
}

static void make_cells(struct world *world, size_t group_count)
{
    struct hs_cells *cells = &world->attribution.cells;

    *cells = (struct hs_cells){.size_bits = SIZE_BITS,
                               .module_bits = 8,
                               .label_bits = 8,
                               .cells = world->cells,
                               .ids = world->ids,
                               .tags = world->tags};
    for (size_t i = 0; i < group_count; i++) {
        const struct group *group = &world->groups[i];

        if (i && compare_groups(group, group - 1) == 0)
            continue;
        cells->cells[cells->count++] = (struct hs_cell){group->key, cells->id_count, group->count};
        cells->id_count += group->count;
        cells->first[group->stored + 1] = cells->count;
        if (group->tag)
            cells->tags[cells->tag_count++] = (struct hs_cell_tag){group->key, group->stored, group->tag};
    }
    for (uint32_t stored = 1; stored <= HS_CELL_UNTRACED + 1; stored++)
        if (cells->first[stored] < cells->first[stored - 1])
            cells->first[stored] = cells->first[stored - 1];
    for (uint32_t i = 0; i < cells->id_count; i++)
        cells->ids[i] = i;
    world->blocks.count = cells->id_count;
}

static struct world *make_world(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct world *world = calloc(1, sizeof *world);
    struct hs_attribution *attribution;
    struct hs_model *model;

    if (!world)
        return NULL;
    attribution = &world->attribution;
    attribution->blocks = &world->blocks;
    attribution->facts = world->facts;
    model = &attribution->model;
    model->full = take(&input, 1) & 1;
    take_opinions(&input, &attribution->opinions);
    world->module_bit[0] = 255;
    world->module_bit[2] = 1;
    for (unsigned i = 0; i < MAKERS; i++)
        world->maker_class[i] = (uint8_t)(i % CLASSES);
    for (unsigned i = 0; i < CLASSES * LABELS; i++)
        world->prior[i] = 0.001 + take_share(&input);
    world->witness_count = take(&input, 1) % 32;
    for (size_t i = 0; i < world->witness_count; i++) {
        struct hs_witness *witness = &world->witnesses[i];

        witness->kind = take(&input, 1) & 1 ? HS_EVIDENCE_LINKS : HS_EVIDENCE_NEIGHBOURS;
        witness->clump = take(&input, 1);
        witness->other = take(&input, 1);
    }
    take_traces(&input, world);
    make_cells(world, take_groups(&input, world));
    model->cells = &attribution->cells;
    model->traces = world->facts;
    model->index_bits = INDEX_BITS;
    model->opinions = &attribution->opinions;
    model->maker_count = MAKERS;
    model->class_count = CLASSES;
    model->label_count = LABELS;
    model->maker_class = world->maker_class;
    model->prior = world->prior;
    model->module_bit = world->module_bit;
    model->module_count = MODULES;
    return world;
}

/* ---- what must hold ---- */

static bool run(struct world *world, unsigned threads)
{
    struct hs_model *model = &world->attribution.model;
    struct hs_witness *witnesses = calloc(world->witness_count + 1, sizeof *witnesses);
    uint32_t doubtful[8];
    size_t count = 0;

    model->thread_count = threads;
    if (!witnesses || hs_model_judge(model, NULL) != HS_OK) {
        free(witnesses);
        return false;
    }
    for (size_t i = 0; i < world->witness_count && model->clump_count; i++) {
        witnesses[count] = world->witnesses[i];
        witnesses[count].clump %= model->clump_count;
        witnesses[count++].other %= model->clump_count;
    }
    check(hs_model_doubtful(model, doubtful, 8) <= 8);
    return hs_model_hear(model, witnesses, count, NULL) == HS_OK && hs_model_settle(model, NULL) == HS_OK;
}

static bool is_probability(double p)
{
    return p >= 0 && p <= 1.000001;
}

static void check_clumps(const struct hs_model *model)
{
    for (uint32_t c = 0; c < model->clump_count; c++) {
        const struct hs_clump *clump = &model->clumps[c];
        uint32_t candidates = hs_model_candidates(model, clump->stored);
        double sum = 0;

        for (uint32_t i = 0; i < candidates; i++) {
            double p = (double)model->odds[clump->odds + i];

            check(is_probability(p));
            sum += p;
        }
        check(fabs(sum - 1) < 1e-3 && clump->owner < candidates && is_probability((double)clump->confidence));
    }
}

/* The shares of each cell are its blocks, found one by one and in a row. */
static void check_shares(const struct hs_model *model)
{
    const struct hs_cells *cells = model->cells;
    size_t spill = 0;

    for (uint32_t cell = 0; cell < cells->first[HS_CELL_STORED]; cell++) {
        struct hs_share shares[SHARES_MAX], again[SHARES_MAX];
        size_t count = hs_model_shares(model, cell, shares, SHARES_MAX);
        uint64_t blocks = 0;

        check(count > 0 && count < SHARES_MAX);
        check(hs_model_shares_next(model, cell, &spill, again, SHARES_MAX) == count);
        for (size_t i = 0; i < count; i++) {
            check(shares[i].trace == again[i].trace && shares[i].blocks == again[i].blocks);
            check(shares[i].trace <= model->trace_count && is_probability((double)shares[i].confidence));
            blocks += shares[i].blocks;
        }
        check(blocks == cells->cells[cell].count);
    }
}

static void check_site(struct hs_attribution *attribution, uint32_t number)
{
    const struct hs_site *site = &attribution->sites[number];
    struct hs_site_type types[HS_CELL_LABELS];
    size_t type_count = hs_attribution_types(attribution, number, types);
    uint64_t claimed, traced = 0, typed = 0;
    struct hs_set *set;

    if (hs_attribution_set(attribution, number, 0, &set, &claimed, NULL) != HS_OK)
        return;
    check(claimed == site->blocks && hs_set_count(set) >= claimed && hs_set_bytes(set) >= site->bytes);
    hs_set_destroy(set);
    for (size_t i = 0; i < type_count; i++) {
        typed += types[i].bytes;
        check(types[i].label > 0 && types[i].label < LABELS && (i == 0 || types[i].bytes <= types[i - 1].bytes));
    }
    check(typed <= site->bytes);
    for (uint32_t i = 0; i < site->traces; i++) {
        const struct hs_site_trace *trace = &attribution->site_traces[site->trace + i];

        check(trace->site == number && attribution->trace_site[trace->trace] == number);
        check(i == 0 || trace->bytes <= trace[-1].bytes);
        traced += trace->blocks;
        if (hs_attribution_set(attribution, UINT32_MAX, trace->trace, &set, &claimed, NULL) != HS_OK)
            continue;
        check(claimed >= trace->blocks && hs_set_count(set) >= claimed); /* some of it may be undecided */
        hs_set_destroy(set);
    }
    check((site->kind == HS_SITE_CALLER ? site->blocks : 0) == traced);
}

static void check_sites(struct hs_attribution *attribution)
{
    uint64_t blocks = 0, bytes = 0;

    if (hs_attribution_sites(attribution, NULL) != HS_OK)
        return;
    for (uint32_t i = 0; i < attribution->site_count; i++) {
        const struct hs_site *site = &attribution->sites[i];

        check(site->blocks > 0 && is_probability(site->confidence) && (i == 0 || site->bytes <= site[-1].bytes));
        blocks += site->blocks;
        bytes += site->bytes;
        if (i < 40)
            check_site(attribution, i);
    }
    for (uint32_t c = 0; c < attribution->cells.count; c++) {
        blocks -= attribution->cells.cells[c].count;
        bytes -= attribution->cells.cells[c].count *
                 hs_cells_part(&attribution->cells, attribution->cells.cells[c].key).size;
    }
    check(blocks == 0 && bytes == 0);
}

/* Bit for bit. */
static bool same(float a, float b)
{
    uint32_t bits_a, bits_b;

    memcpy(&bits_a, &a, sizeof bits_a);
    memcpy(&bits_b, &b, sizeof bits_b);
    return bits_a == bits_b;
}

static void check_same(const struct hs_model *one, const struct hs_model *two)
{
    check(one->clump_count == two->clump_count && one->odds_count == two->odds_count &&
          one->spill_count == two->spill_count);
    for (uint32_t i = 0; i < one->odds_count; i++)
        check(same(one->odds[i], two->odds[i]));
    for (uint32_t c = 0; c < one->clump_count; c++)
        check(one->clumps[c].owner == two->clumps[c].owner &&
              same(one->clumps[c].confidence, two->clumps[c].confidence));
}

static void destroy(struct world *world)
{
    struct hs_attribution *attribution;

    if (!world)
        return;
    attribution = &world->attribution;
    hs_model_deinit(&attribution->model);
    free(attribution->sites);
    free(attribution->site_traces);
    free(attribution->trace_site);
    free(attribution->ownerless);
    free(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *one = make_world(data, size), *two = size && data[0] & 2 ? make_world(data, size) : NULL;

    if (one && run(one, 1)) {
        if (two && run(two, 3))
            check_same(&one->attribution.model, &two->attribution.model);
        check_clumps(&one->attribution.model);
        check_shares(&one->attribution.model);
        check_sites(&one->attribution);
    }
    destroy(one);
    destroy(two);
    return 0;
}
