/* attribution_test.c - the model of engine/query/model.c, alone: made-up cells and traces, also such as no process has. */
#include "query/query.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define INDEX_BITS 4u /* of a stored index: few traces give many candidates */
#define LABELS 4u
#define MAKERS 3u
#define CELLS_MAX 4096u

struct world {
    struct hs_cells cells;
    struct hs_cell list[CELLS_MAX];
    struct hs_cell_tag tags[CELLS_MAX];
    struct hs_trace_fact *traces;
    struct hs_opinions opinions;
    uint8_t maker_class[MAKERS], module_bit[3];
    double prior[2 * LABELS];
    struct hs_model model;
};

static struct world *world_new(uint32_t trace_count)
{
    static const double prior[2 * LABELS] = {0.1, 0.8, 0.05, 0.05, 0.4, 0.02, 0.3, 0.28};
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    world->traces = calloc(trace_count + (size_t)1, sizeof *world->traces);
    assert_non_null(world->traces);
    world->cells = (struct hs_cells){
        .size_bits = 40, .module_bits = 8, .label_bits = 8, .cells = world->list, .tags = world->tags};
    world->opinions = (struct hs_opinions){.temper = 0.8,
                                           .tolerance = 1.01,
                                           .floor = 0.004,
                                           .strength = 6,
                                           .size_weight = 0.7,
                                           .module_absent = 0.04,
                                           .stray_odd = 0.3,
                                           .stray_fixed = 0.1,
                                           .stray_most = 0.15,
                                           .zero_most = 0.9,
                                           .unrecorded = 1e-4,
                                           .behind_fall = 4,
                                           .behind_strength = 30,
                                           .likely_min = 0.05,
                                           .clear = 0.995,
                                           .undecided = 0.5,
                                           .witnesses = 3,
                                           .seen = {[HS_EVIDENCE_NEIGHBOURS] = 0.35, [HS_EVIDENCE_LINKS] = 0.85},
                                           .regular = {0.5, 0.2, 0.3},
                                           .fixed_min = 10,
                                           .near = 0x400,
                                           .learn = 4096,
                                           .looks = 100,
                                           .looks_clump = 12,
                                           .use = {true, true, true, true, true, true}};
    world->maker_class[0] = 0;
    world->maker_class[1] = world->maker_class[2] = 1;
    world->module_bit[0] = 255;
    world->module_bit[1] = 0;
    world->module_bit[2] = 1;
    memcpy(world->prior, prior, sizeof prior);
    world->model = (struct hs_model){.cells = &world->cells,
                                     .traces = world->traces,
                                     .trace_count = trace_count,
                                     .index_bits = INDEX_BITS,
                                     .opinions = &world->opinions,
                                     .maker_count = MAKERS,
                                     .class_count = 2,
                                     .label_count = LABELS,
                                     .maker_class = world->maker_class,
                                     .prior = world->prior,
                                     .module_bit = world->module_bit,
                                     .module_count = 3,
                                     .thread_count = 1};
    return world;
}

static void world_destroy(struct world *world)
{
    hs_model_deinit(&world->model);
    free(world->traces);
    free(world);
}

static void add_trace(struct world *world, uint32_t index, uint32_t count, uint32_t maker, hs_va caller)
{
    world->traces[index] = (struct hs_trace_fact){.caller = caller, .count = count, .maker = maker, .readable = true};
}

/* Cells come by stored index, then heap, label, module, size. */
static void add_cell(struct world *world, uint32_t stored, uint64_t heap, uint64_t label, uint64_t module,
                     uint64_t size, uint32_t count)
{
    struct hs_cells *cells = &world->cells;
    uint64_t key = ((heap << 8 | label) << 8 | module) << 40 | size;

    assert_true(cells->count < CELLS_MAX);
    world->list[cells->count++] = (struct hs_cell){key, cells->id_count, count};
    cells->id_count += count;
    for (uint32_t s = stored + 1; s <= HS_CELL_UNTRACED + 1; s++)
        cells->first[s] = cells->count;
}

static void judge(struct world *world)
{
    assert_int_equal(hs_model_judge(&world->model, NULL), HS_OK);
    assert_int_equal(hs_model_settle(&world->model, NULL), HS_OK);
}

/* What must hold of any input: odds are probabilities, shares add up to the blocks. */
static void check(const struct world *world)
{
    const struct hs_model *model = &world->model;

    for (uint32_t c = 0; c < model->clump_count; c++) {
        const struct hs_clump *clump = &model->clumps[c];
        uint32_t candidates = hs_model_candidates(model, clump->stored);
        double sum = 0;

        for (uint32_t i = 0; i < candidates; i++) {
            double p = (double)model->odds[clump->odds + i];

            assert_true(p >= 0 && p <= 1.000001);
            sum += p;
        }
        assert_true(fabs(sum - 1) < 1e-3);
        assert_true(clump->owner < candidates);
        assert_true(clump->confidence >= 0 && clump->confidence <= 1.000001F);
    }
    for (uint32_t cell = 0; cell < world->cells.first[HS_CELL_STORED]; cell++) {
        static struct hs_share shares[4096];
        size_t count = hs_model_shares(model, cell, shares, 4096);
        uint64_t blocks = 0;

        assert_true(count > 0 && count < 4096);
        for (size_t i = 0; i < count; i++) {
            blocks += shares[i].blocks;
            assert_true(shares[i].confidence >= 0 && shares[i].confidence <= 1.000001F);
            assert_true(shares[i].trace <= model->trace_count);
        }
        assert_int_equal(blocks, world->list[cell].count);
    }
}

static struct hs_share only_share(const struct world *world, uint32_t cell)
{
    struct hs_share share;

    assert_int_equal(hs_model_shares(&world->model, cell, &share, 1), 1);
    return share;
}

/* ---- what each kind of evidence does ---- */

static void test_counts_refute(void **state)
{
    struct world *world = world_new(40);

    (void)state;
    add_trace(world, 5, 2, 1, 0x1000);
    add_trace(world, 21, 1000, 1, 0x9000);
    add_trace(world, 37, 600, 1, 0x19000);
    add_cell(world, 5, 0, 2, 0, 0xf8, 700);
    judge(world);
    check(world);
    assert_int_equal(only_share(world, 0).trace, 21);
    assert_true(only_share(world, 0).confidence > 0.95F);
    world_destroy(world);
}

static void test_counts_off(void **state)
{
    struct world *world = world_new(40);

    (void)state;
    add_trace(world, 5, 2, 1, 0x1000);
    add_trace(world, 21, 1000, 1, 0x9000);
    add_cell(world, 5, 0, 2, 0, 0xf8, 700);
    world->opinions.use[HS_EVIDENCE_COUNTS] = false;
    assert_int_equal(hs_model_judge(&world->model, NULL), HS_OK);
    /* Nothing else tells them apart. */
    assert_true(fabsf(world->model.odds[0] - world->model.odds[1]) < 0.01F);
    world_destroy(world);
}

static void test_content(void **state)
{
    struct world *world = world_new(40);

    (void)state;
    world->prior[2] = 0.002;             /* class 0 does not make label 2 */
    world->opinions.learn = 0;           /* one stored index is no school */
    add_trace(world, 5, 100, 0, 0x1000); /* makes label 1 */
    add_trace(world, 21, 100, 1, 0x9000);
    add_cell(world, 5, 0, 1, 0, 0xf8, 20);
    add_cell(world, 5, 0, 2, 0, 0x20, 20);
    judge(world);
    check(world);
    assert_int_equal(only_share(world, 0).trace, 5);
    assert_int_equal(only_share(world, 1).trace, 21);
    world_destroy(world);
}

static void test_module_of_class(void **state)
{
    struct world *world = world_new(40);

    (void)state;
    add_trace(world, 5, 100, 1, 0x1000);
    add_trace(world, 21, 100, 1, 0x9000);
    world->traces[21].modules = 2; /* bit of module 2 */
    add_cell(world, 5, 0, 3, 2, 0x40, 30);
    judge(world);
    check(world);
    assert_int_equal(only_share(world, 0).trace, 21);
    assert_true(only_share(world, 0).confidence > 0.8F);
    world_destroy(world);
}

static void test_tags(void **state)
{
    struct world *world = world_new(40);

    (void)state;
    add_trace(world, 3, 50, 1, 0x9010); /* its only candidate is 3 and 19, 35 have no captures */
    add_trace(world, 5, 100, 1, 0x1000);
    add_trace(world, 21, 100, 1, 0x9000);
    add_cell(world, 3, 0, 2, 0, 0x40, 30);
    add_cell(world, 5, 0, 2, 0, 0x40, 30);
    world->tags[0] = (struct hs_cell_tag){world->list[0].key, 3, 7};
    world->tags[1] = (struct hs_cell_tag){world->list[1].key, 5, 7};
    world->cells.tag_count = 2;
    judge(world);
    check(world);
    assert_int_equal(only_share(world, 1).trace, 21);
    world_destroy(world);
}

static void test_witnesses(void **state)
{
    struct world *world = world_new(40);
    struct hs_witness *witnesses = calloc(4, sizeof *witnesses);
    size_t looked;

    (void)state;
    assert_non_null(witnesses);
    for (uint32_t index = 1; index <= 40; index++)
        add_trace(world, index, 1, 1, 0x100000 + index * 0x10000);
    add_trace(world, 3, 50, 1, 0x9010);
    add_trace(world, 5, 100, 1, 0x1000);
    add_trace(world, 21, 100, 1, 0x9000);
    add_cell(world, 3, 0, 2, 0, 0x40, 40);
    add_cell(world, 5, 0, 2, 0, 0x40, 30);
    assert_int_equal(hs_model_judge(&world->model, NULL), HS_OK);
    witnesses[0] = witnesses[1] = (struct hs_witness){1, 0, HS_EVIDENCE_LINKS};
    witnesses[2] = (struct hs_witness){1, 0, HS_EVIDENCE_NEIGHBOURS};
    assert_int_equal(hs_model_hear(&world->model, witnesses, 3, NULL), HS_OK);
    assert_int_equal(hs_model_settle(&world->model, NULL), HS_OK);
    check(world);
    assert_int_equal(only_share(world, 1).trace, 21);
    assert_true(only_share(world, 1).confidence > 0.9F);
    assert_true(hs_model_seen(&world->model, 1, 1, HS_EVIDENCE_LINKS, &looked) > 1);
    assert_int_equal(looked, 2);
    world_destroy(world);
}

static void test_not_recorded(void **state)
{
    struct world *world = world_new(40);

    (void)state;
    add_trace(world, 16, 3, 1, 0x1000);
    world->model.full = true;
    world->opinions.unrecorded = 0.5;
    add_cell(world, 0, 0, 2, 0, 0x40, 500);
    judge(world);
    check(world);
    assert_int_equal(only_share(world, 0).trace, 0);
    world_destroy(world);
}

static void test_no_traces(void **state)
{
    struct world *world = world_new(0);

    (void)state;
    add_cell(world, 7, 0, 2, 0, 0x40, 500);
    judge(world);
    check(world);
    assert_int_equal(only_share(world, 0).trace, 0);
    assert_true(only_share(world, 0).confidence == 0);
    world_destroy(world);
}

static void test_spill(void **state)
{
    struct world *world = world_new(40);
    struct hs_share shares[4];

    (void)state;
    add_trace(world, 5, 300, 1, 0x1000);
    add_trace(world, 21, 250, 1, 0x9000);
    add_cell(world, 5, 0, 2, 0, 0xf8, 500); /* more than either can have */
    judge(world);
    check(world);
    assert_int_equal(hs_model_shares(&world->model, 0, shares, 4), 2);
    assert_int_equal(shares[0].blocks, 303);
    assert_int_equal(shares[1].blocks, 197);
    world_destroy(world);
}

/* ---- any numbers at all ---- */

static uint64_t seed;
static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 33) % below;
}

static uint32_t draw_count(void)
{
    static const uint32_t odd[] = {0, 1, 2, 3, INT32_MAX, UINT32_MAX, UINT32_MAX - 1};

    return draw(3) ? (uint32_t)draw(1u << draw(20)) : odd[draw(sizeof odd / sizeof *odd)];
}

static struct world *draw_world(uint64_t number)
{
    uint32_t trace_count;
    struct world *world;

    seed = number;
    trace_count = (uint32_t)draw(4) ? (uint32_t)draw(80) : (uint32_t)draw(3000);
    world = world_new(trace_count);
    for (uint32_t index = 1; index <= trace_count; index++)
        if (draw(8))
            add_trace(world, index, draw_count(), (uint32_t)draw(MAKERS), draw(4) ? draw(16) << 9 : draw(2) - 1);
    world->model.full = draw(2);
    if (!draw(4))
        world->opinions.fixed_min = (uint32_t)draw(3);
    for (unsigned kind = 0; kind < HS_EVIDENCE_COUNT; kind++)
        world->opinions.use[kind] = draw(6) != 0;
    for (uint32_t stored = 0; stored < 1u << INDEX_BITS; stored++)
        for (uint64_t key = 0, n = draw(20); key < n; key++) {
            add_cell(world, stored, key / 8, key / 2 % LABELS, key % 2 ? draw(2) : 0, 3 * key + draw(3),
                     draw_count() / 64 + 1);
            if (!draw(5))
                world->tags[world->cells.tag_count++] =
                    (struct hs_cell_tag){world->list[world->cells.count - 1].key, stored, (uint16_t)(1 + draw(3))};
        }
    return world;
}

static void run_all(struct world *world, unsigned threads)
{
    struct hs_witness *witnesses = calloc(64, sizeof *witnesses);
    uint32_t doubtful[64];
    size_t count;

    assert_non_null(witnesses);
    world->model.thread_count = threads;
    assert_int_equal(hs_model_judge(&world->model, NULL), HS_OK);
    count = hs_model_doubtful(&world->model, doubtful, 64);
    for (size_t i = 0; i < count; i++)
        witnesses[i] = (struct hs_witness){doubtful[i], (uint32_t)(i * 7 % world->model.clump_count),
                                           i % 2 ? HS_EVIDENCE_LINKS : HS_EVIDENCE_NEIGHBOURS};
    assert_int_equal(hs_model_hear(&world->model, witnesses, count, NULL), HS_OK);
    assert_int_equal(hs_model_settle(&world->model, NULL), HS_OK);
}

static void test_anything(void **state)
{
    (void)state;
    for (uint64_t number = 1; number <= 40; number++) {
        struct world *one = draw_world(number), *many = draw_world(number);

        run_all(one, 1);
        run_all(many, 4);
        check(one);
        /* Bit for bit the same, however many threads. */
        assert_int_equal(one->model.clump_count, many->model.clump_count);
        assert_int_equal(one->model.odds_count, many->model.odds_count);
        assert_memory_equal(one->model.odds, many->model.odds, one->model.odds_count * sizeof *one->model.odds + 1);
        assert_int_equal(one->model.spill_count, many->model.spill_count);
        for (uint32_t c = 0; c < one->model.clump_count; c++) {
            assert_int_equal(one->model.clumps[c].owner, many->model.clumps[c].owner);
            assert_true(one->model.clumps[c].confidence == many->model.clumps[c].confidence);
        }
        world_destroy(one);
        world_destroy(many);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_refute),   cmocka_unit_test(test_counts_off), cmocka_unit_test(test_content),
        cmocka_unit_test(test_module_of_class), cmocka_unit_test(test_tags),       cmocka_unit_test(test_witnesses),
        cmocka_unit_test(test_not_recorded),    cmocka_unit_test(test_no_traces),  cmocka_unit_test(test_spill),
        cmocka_unit_test(test_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
