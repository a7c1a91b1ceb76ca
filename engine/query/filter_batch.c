/* filter_batch.c - runs the programs of filter.c on many blocks, test by test as long as there are tests: what one block
 * does says nothing about the next, so a processor that guesses the way of each block would often guess wrong. */
#include "query/filter.h"

#define BATCH_MAX 64u /* a word has a bit for each block */
_Static_assert(HS_BATCH <= BATCH_MAX, "a word has a bit for each block of a batch");

/* Blocks, a bit each. */
struct batch {
    const struct hs_filter *filter;
    uint64_t all;
    const struct hs_spot *spots;

    /* Plain ones: block `first_id` and those behind it. */
    const uint64_t *summaries; /* NULL: they are not plain, and all have spots */
    const uint32_t *firsts;
    uint32_t first_id;
    struct hs_spot *made; /* the spots; of these blocks they were needed: */
    uint64_t made_of;
};

/* ---- one block at a time ---- */

/* Makes the spots of some blocks. */
static void need_spots(struct batch *batch, uint64_t asked)
{
    for (uint64_t left = batch->summaries ? asked & ~batch->made_of : 0; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);

        hs_spot_take_plain(batch->filter->blocks, batch->first_id + i, batch->summaries[i], &batch->firsts[i],
                           &batch->made[i]);
    }
    batch->made_of |= asked;
}

/* Those that the program is true for, from a stop on. */
static uint64_t true_from(struct batch *batch, size_t stop, uint64_t asked)
{
    uint64_t found = 0;

    need_spots(batch, asked);
    for (uint64_t left = asked; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);

        found |= (uint64_t)hs_filter_true_from(batch->filter, stop, &batch->spots[i]) << i;
    }
    return found;
}

/* Those that meet a test. */
static uint64_t met_of(struct batch *batch, const struct hs_instruction *test, uint64_t asked)
{
    uint64_t met = 0;

    need_spots(batch, asked);
    for (uint64_t left = asked; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);

        met |= (uint64_t)hs_filter_met(batch->filter, test, &batch->spots[i]) << i;
    }
    return met;
}

/* ---- tests of user bytes ---- */

/* Always inline: what does not change is asked once. Where the bytes of a block are not at hand, it is met_of. */
__attribute__((always_inline)) static inline uint64_t reads_met_of(struct batch *batch,
                                                                   const struct hs_instruction *test, uint64_t asked,
                                                                   unsigned size, bool among)
{
    const struct hs_spot *spots = batch->spots;
    const uint64_t off = (uint64_t)test->off, end = off + size;
    const int64_t wanted = test->value;
    uint64_t met = 0;

    for (uint64_t left = asked; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        int64_t number;

        if (spots[i].brief.size < end)
            continue;
        if (!spots[i].user) {
            met |= met_of(batch, test, UINT64_C(1) << i);
            continue;
        }
        number = (int64_t)hs_filter_load(spots[i].user + off, size);
        met |= (uint64_t)(among ? hs_filter_wanted(test, number) : number == wanted) << i;
    }
    return met;
}

/* The same of plain blocks: within their first 4 bytes. */
__attribute__((always_inline)) static inline uint64_t firsts_met_of(struct batch *batch,
                                                                    const struct hs_instruction *test, uint64_t asked,
                                                                    bool among)
{
    const uint64_t *summaries = batch->summaries;
    const uint32_t *firsts = batch->firsts;
    const unsigned size = (unsigned)test->field, shift = 8 * (unsigned)test->off;
    const uint32_t mask = UINT32_MAX >> (32 - 8 * size);
    const uint64_t end = (uint64_t)test->off + size;
    uint64_t met = 0;

    for (uint64_t left = asked; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        int64_t number = firsts[i] >> shift & mask;

        if ((summaries[i] & HS_SUMMARY_SIZE) < end)
            continue;
        if (!(summaries[i] & HS_SUMMARY_HAS_FIRST)) {
            met |= met_of(batch, test, UINT64_C(1) << i);
            continue;
        }
        met |= (uint64_t)(among ? hs_filter_wanted(test, number) : number == test->value) << i;
    }
    return met;
}

static uint64_t reads_met(struct batch *batch, const struct hs_instruction *test, uint64_t asked)
{
    bool among = test->code == HS_RUN_READ_AMONG;

    if (test->field < 0 || test->off < 0 || test->off > INT32_MAX)
        return met_of(batch, test, asked);
    if (batch->summaries)
        return among ? firsts_met_of(batch, test, asked, true) : firsts_met_of(batch, test, asked, false);
    switch (among ? -test->field : test->field) {
    case 1: return reads_met_of(batch, test, asked, 1, false);
    case 2: return reads_met_of(batch, test, asked, 2, false);
    case 4: return reads_met_of(batch, test, asked, 4, false);
    case 8: return reads_met_of(batch, test, asked, 8, false);
    case -1: return reads_met_of(batch, test, asked, 1, true);
    case -2: return reads_met_of(batch, test, asked, 2, true);
    case -4: return reads_met_of(batch, test, asked, 4, true);
    case -8: return reads_met_of(batch, test, asked, 8, true);
    default: return met_of(batch, test, asked);
    }
}

#define BROUGHT 16u /* user bytes that a cursor brings into the cache with the header */
#define AHEAD 48u   /* user bytes that are brought behind those a test reads: less than a line of the cache */

/* Brings user bytes into the cache: asked for one by one, each would be waited for. */
static void bring(const struct batch *batch, uint64_t asked, uint64_t off)
{
    const uint64_t at = batch->filter->blocks->heaps->unit + off;

    for (uint64_t left = asked; left; left &= left - 1) {
        const struct hs_spot *spot = &batch->spots[__builtin_ctzll(left)];

        if (spot->extent->kind != HS_EXTENT_RUN || spot->off + at + AHEAD > spot->extent->size)
            continue;
        hs_prefetch(spot->extent->bytes + spot->off + at);
        hs_prefetch(spot->extent->bytes + spot->off + at + AHEAD);
    }
}

/* The user offset that a test reads at; 0 if it reads none. */
static uint64_t offset_of(const struct hs_instruction *test)
{
    bool reads = test->code == HS_RUN_READ_EQUAL || test->code == HS_RUN_READ_AMONG ||
                 (test->code == HS_RUN_WITHIN && test->of != HS_FILTER_FIELD);

    return reads && test->off > 0 && test->off <= INT32_MAX ? (uint64_t)test->off : 0;
}

/* ---- tests of sizes and labels ---- */

static uint64_t sizes_met(struct batch *batch, const struct hs_instruction *test, uint64_t asked)
{
    const uint64_t size = (uint64_t)test->value;
    uint64_t met = 0;

    if (!batch->summaries)
        for (uint64_t left = asked; left; left &= left - 1) {
            unsigned i = (unsigned)__builtin_ctzll(left);

            met |= (uint64_t)(batch->spots[i].brief.size == size) << i;
        }
    else if (size < HS_SUMMARY_SIZE)
        for (uint64_t left = asked; left; left &= left - 1) {
            unsigned i = (unsigned)__builtin_ctzll(left);

            met |= (uint64_t)((batch->summaries[i] & HS_SUMMARY_SIZE) == size) << i;
        }
    else
        met = met_of(batch, test, asked);
    return met;
}

static uint64_t labels_met(const struct batch *batch, const struct hs_instruction *test, uint64_t asked)
{
    const uint16_t *numbers = batch->filter->numbers;
    uint64_t met = 0;

    for (uint64_t left = numbers ? asked : 0; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctzll(left);
        uint16_t number = numbers[batch->summaries ? batch->first_id + i : batch->spots[i].id];

        met |= (uint64_t)test->labels[number <= batch->filter->label_count ? number : 0] << i;
    }
    return met;
}

/* ---- the program ---- */

static uint64_t lead(struct batch *batch)
{
    const struct hs_filter *filter = batch->filter;
    const size_t count = filter->count < HS_BATCHED_MAX ? filter->count : HS_BATCHED_MAX;
    uint64_t waiting[HS_BATCHED_MAX]; /* before each instruction */
    uint64_t found = 0, brought = batch->summaries ? UINT64_MAX : BROUGHT;

    for (size_t i = 0; i < count; i++)
        waiting[i] = 0; /* not all of them: programs are short */
    waiting[0] = batch->all;
    for (size_t i = 0; i < count; i++) {
        const struct hs_instruction *test = &filter->code[i];
        uint64_t sides[2], off;

        if (!waiting[i])
            continue;
        if (filter->stops >> i & 1) {
            found |= true_from(batch, i, waiting[i]);
            continue;
        }
        off = offset_of(test);
        if (off + 8 > brought) {
            bring(batch, waiting[i], off);
            brought = off + AHEAD;
        }
        if (test->code == HS_RUN_SIZE_EQUAL)
            sides[1] = sizes_met(batch, test, waiting[i]);
        else if (test->code == HS_RUN_READ_EQUAL || test->code == HS_RUN_READ_AMONG)
            sides[1] = reads_met(batch, test, waiting[i]);
        else if (test->code == HS_RUN_TRUTH && test->field == HS_FILTER_LABEL)
            sides[1] = labels_met(batch, test, waiting[i]);
        else
            sides[1] = met_of(batch, test, waiting[i]);
        sides[0] = waiting[i] & ~sides[1];
        for (unsigned truth = 0; truth < 2; truth++) {
            const struct hs_way *way = &test->ways[truth];

            if (way->leave == HS_LEAVE_NOTHING)
                waiting[way->next] |= sides[truth];
            else if (way->leave == HS_LEAVE_TRUE)
                found |= sides[truth];
        }
    }
    return found;
}

uint64_t hs_filter_batch(const struct hs_filter *filter, const struct hs_spot *spots, size_t count)
{
    struct batch batch = {.filter = filter, .all = UINT64_MAX >> (64 - count), .spots = spots};

    return lead(&batch);
}

uint64_t hs_filter_word(const struct hs_filter *filter, const uint64_t *summaries, size_t word, uint64_t bits)
{
    struct hs_spot spots[BATCH_MAX];
    uint32_t first_id = (uint32_t)(word * 64);
    struct batch batch = {.filter = filter,
                          .all = bits,
                          .spots = spots,
                          .summaries = summaries + first_id,
                          .firsts = hs_summary_firsts(filter->blocks, summaries) + first_id,
                          .first_id = first_id,
                          .made = spots};

    return lead(&batch);
}
