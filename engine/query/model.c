/* model.c - which candidate made each clump of blocks: log-odds of several kinds of evidence, added up over every way to
 * give the clumps of a stored index to its candidates. What is assumed and why is told in plugins/lib/attribution.lua;
 * this file is its arithmetic. Nothing here depends on the number of threads: what threads add up are integers. */
#include "query/model.h"

#include <math.h>
#include <stdlib.h>

#define FIXED 65536.0 /* weights are added up as integers of this fraction */

static unsigned log2_floor(uint64_t value)
{
    return value ? 63u - (unsigned)__builtin_clzll(value) : 0;
}

/* floor(log2(a / b)); 0 where a < b. */
static unsigned log2_ratio(uint64_t a, uint64_t b)
{
    unsigned bits;

    if (b == 0 || a < b)
        return 0;
    bits = log2_floor(a) - log2_floor(b);
    return b > a >> bits ? bits - 1 : bits; /* b << bits would be more than a */
}

/* ---- what is learned ---- */

static enum hs_status learned_create(struct hs_model *model, struct hs_error *err)
{
    struct hs_learned *learned = calloc(1, sizeof *learned);
    size_t pairs = (size_t)model->maker_count * model->label_count;

    model->learned = learned;
    if (!learned)
        return hs_fail_memory(err, "what is learned of call sites");
    learned->by_maker = calloc(pairs + 1, sizeof *learned->by_maker);
    learned->by_class = calloc((size_t)model->class_count * model->label_count + 1, sizeof *learned->by_class);
    learned->regular = calloc((size_t)model->maker_count * HS_REGULAR_COUNT + 1, sizeof *learned->regular);
    learned->likely = calloc(pairs + 1, sizeof *learned->likely);
    learned->log_likely = calloc(pairs + 1, sizeof *learned->log_likely);
    learned->log_regular = calloc((size_t)model->maker_count * HS_REGULAR_COUNT + 1, sizeof *learned->log_regular);
    learned->log_overall = calloc(model->label_count + (size_t)1, sizeof *learned->log_overall);
    if (!learned->by_maker || !learned->by_class || !learned->regular || !learned->likely || !learned->log_likely ||
        !learned->log_regular || !learned->log_overall)
        return hs_fail_memory(err, "what is learned of call sites");
    return HS_OK;
}

static void learned_destroy(struct hs_learned *learned)
{
    if (!learned)
        return;
    free(learned->by_maker);
    free(learned->by_class);
    free(learned->regular);
    free(learned->likely);
    free(learned->log_likely);
    free(learned->log_regular);
    free(learned->log_overall);
    free(learned->tags);
    free(learned->callers);
    free(learned);
}

static double sum_of(const _Atomic uint64_t *row, uint32_t count)
{
    double sum = 0;

    for (uint32_t i = 0; i < count; i++)
        sum += (double)row[i] / FIXED;
    return sum;
}

/* Smoothed over neighbours, so that a site is no evidence for just its own bin. */
static void log_density(const double *bins, unsigned count, double floor, double *log_ret)
{
    double sum = 0;

    for (unsigned i = 0; i < count; i++)
        sum += bins[i];
    for (unsigned i = 0; i < count; i++) {
        double low = bins[i ? i - 1 : i], high = bins[i + 1 < count ? i + 1 : i];

        log_ret[i] = log((low + 2 * bins[i] + high) / 4 / (sum > 0 ? sum : 1) + floor);
    }
}

/* Captures of traces over the whole database. */
static void learn_captures(struct hs_model *model)
{
    double bins[HS_CAPTURE_BINS], sum = 0;

    for (unsigned i = 0; i < HS_CAPTURE_BINS; i++)
        sum += bins[i] = exp(-(double)i / 3);
    for (unsigned i = 0; i < HS_CAPTURE_BINS; i++)
        bins[i] *= 5 / sum;
    for (uint32_t index = 1; index <= model->trace_count; index++)
        if (model->traces[index].readable)
            bins[log2_floor(model->traces[index].count)] += 1;
    log_density(bins, HS_CAPTURE_BINS, model->opinions->floor, model->learned->log_captures);
}

static void behind_tables(struct hs_model *model)
{
    const struct hs_opinions *opinions = model->opinions;
    double bins[HS_BEHIND_BINS], sum = 0;

    for (unsigned i = 0; i < HS_BEHIND_BINS; i++)
        sum += bins[i] = i == 0 ? 1 : 0.5 * exp(-(double)i / opinions->behind_fall);
    for (unsigned i = 0; i < HS_BEHIND_BINS; i++)
        bins[i] = bins[i] / sum * opinions->behind_strength + (double)model->learned->behind[i] / FIXED;
    log_density(bins, HS_BEHIND_BINS, opinions->floor, model->learned->log_behind);
}

/* Turns what was counted into odds. */
static void make_tables(struct hs_model *model)
{
    struct hs_learned *learned = model->learned;
    const struct hs_opinions *opinions = model->opinions;
    uint32_t labels = model->label_count;
    double all = 2;

    behind_tables(model);
    for (uint32_t class = 0; class < model->class_count; class ++)
        all += sum_of(learned->by_class + (size_t) class * labels, labels);
    for (uint32_t label = 0; label < labels; label++) {
        double sum = 0.5;

        for (uint32_t class = 0; class < model->class_count; class ++)
            sum += (double)learned->by_class[(size_t) class * labels + label] / FIXED;
        learned->log_overall[label] = log(sum / all);
    }
    for (uint32_t maker = 0; maker < model->maker_count; maker++) {
        size_t class_row = (size_t)model->maker_class[maker] * labels, row = (size_t)maker * labels;
        double class_sum = sum_of(learned->by_class + class_row, labels), sum = sum_of(learned->by_maker + row, labels);
        double strength = opinions->strength;

        for (uint32_t label = 0; label < labels; label++) {
            double from_class =
                ((double)learned->by_class[class_row + label] / FIXED + strength * model->prior[class_row + label]) /
                (class_sum + strength);

            learned->likely[row + label] =
                ((double)learned->by_maker[row + label] / FIXED + strength * from_class) / (sum + strength);
            learned->log_likely[row + label] = log(learned->likely[row + label]);
        }
        row = (size_t)maker * HS_REGULAR_COUNT;
        sum = sum_of(learned->regular + row, HS_REGULAR_COUNT);
        for (unsigned r = 0; r < HS_REGULAR_COUNT; r++)
            learned->log_regular[row + r] =
                log(((double)learned->regular[row + r] / FIXED + strength * opinions->regular[r]) / (sum + strength));
    }
}

double hs_model_likelihood(const struct hs_model *model, uint32_t maker, uint32_t label)
{
    return model->learned->likely[(size_t)maker * model->label_count + label];
}

/* ---- callers ---- */

static int compare_va(const void *a, const void *b)
{
    hs_va one = *(const hs_va *)a, two = *(const hs_va *)b;

    return one < two ? -1 : one > two;
}

#define CALLER_SAMPLES 16384u

static enum hs_status sample_callers(struct hs_model *model, struct hs_error *err)
{
    struct hs_learned *learned = model->learned;
    uint32_t step = model->trace_count / CALLER_SAMPLES + 1;

    learned->callers = calloc(CALLER_SAMPLES + 1, sizeof *learned->callers);
    if (!learned->callers)
        return hs_fail_memory(err, "callers of traces");
    for (uint64_t index = 1; index <= model->trace_count && learned->caller_count < CALLER_SAMPLES; index += step)
        if (model->traces[index].caller)
            learned->callers[learned->caller_count++] = model->traces[index].caller;
    if (learned->caller_count)
        qsort(learned->callers, learned->caller_count, sizeof *learned->callers, compare_va);
    return HS_OK;
}

static size_t below(const hs_va *callers, size_t count, hs_va va)
{
    size_t low = 0;

    while (low < count) {
        size_t middle = low + (count - low) / 2;

        if (callers[middle] < va)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

/* The addresses that count as the same caller: [*from_ret, *to_ret). */
static void caller_window(const struct hs_model *model, hs_va caller, hs_va *from_ret, hs_va *to_ret)
{
    uint32_t near = model->opinions->near;

    *from_ret = caller > near ? caller - near + 1 : 1;
    *to_ret = caller <= UINT64_MAX - near ? caller + near : UINT64_MAX;
}

static bool same_caller(const struct hs_model *model, hs_va a, hs_va b)
{
    return a && b && (a > b ? a - b : b - a) < model->opinions->near;
}

/* How often a trace has this caller: outer frames of a thread are common to many. */
static double chance_of(const struct hs_model *model, hs_va caller)
{
    const struct hs_learned *learned = model->learned;
    hs_va from, to;
    double chance;

    if (!caller)
        return 1;
    caller_window(model, caller, &from, &to);
    chance = (double)(below(learned->callers, learned->caller_count, to) -
                      below(learned->callers, learned->caller_count, from)) /
             (double)(learned->caller_count + 1);
    return chance > 0.003 ? chance : 0.003;
}

/* ---- clumps ---- */

struct hs_room {
    struct hs_clump *clumps;
    uint32_t capacity, count;
    uint32_t *cell_clump; /* a cell of the stored index */
    uint32_t cell_capacity;
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

static uint16_t tag_of(const struct hs_cells *cells, uint32_t stored, uint64_t key)
{
    size_t low = 0, high = cells->tag_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct hs_cell_tag *tag = &cells->tags[middle];

        if (tag->stored < stored || (tag->stored == stored && tag->key < key))
            low = middle + 1;
        else
            high = middle;
    }
    return low < cells->tag_count && cells->tags[low].stored == stored && cells->tags[low].key == key
               ? cells->tags[low].tag
               : 0;
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
            room->clumps[at].tag = tag_of(cells, stored, cell->key);
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

/* Stored indexes of one item of a parallel loop. */
#define PART 256u
#define PARTS (HS_CELL_STORED / PART)

struct clumping {
    struct hs_model *model;
    struct hs_clump *parts[PARTS];
    uint32_t counts[PARTS];
    atomic_bool out_of_memory;
};

static void clump_item(void *context, size_t part)
{
    struct clumping *clumping = context;
    struct hs_model *model = clumping->model;
    const uint32_t *first = model->cells->first;
    struct hs_room room = {0};
    uint32_t from = (uint32_t)part * PART, done = 0, capacity = 0;

    if (hs_job_stopped(model->job))
        return;
    for (uint32_t stored = from; stored < from + PART; stored++) {
        if (!make_clumps(model, stored, &room))
            goto failed;
        if (done + room.count > capacity) {
            struct hs_clump *bigger;

            capacity = (done + room.count) * 2;
            bigger = realloc(clumping->parts[part], capacity * sizeof *bigger);
            if (!bigger)
                goto failed;
            clumping->parts[part] = bigger;
        }
        model->first_clump[stored] = done;
        if (room.count)
            memcpy(clumping->parts[part] + done, room.clumps, room.count * sizeof *room.clumps);
        for (uint32_t c = first[stored]; c < first[stored + 1]; c++)
            model->cell_clump[c] = done + room.cell_clump[c - first[stored]];
        done += room.count;
    }
    clumping->counts[part] = done;
    goto done;

failed:
    atomic_store(&clumping->out_of_memory, true);
done:
    free(room.clumps);
    free(room.cell_clump);
}

/* Puts the parts one behind the other. */
static enum hs_status join_parts(struct clumping *clumping, struct hs_error *err)
{
    struct hs_model *model = clumping->model;
    const uint32_t *first = model->cells->first;
    uint64_t odds = 0;
    uint32_t sum = 0;

    for (size_t part = 0; part < PARTS; part++)
        sum += clumping->counts[part];
    model->clumps = malloc((sum + (size_t)1) * sizeof *model->clumps);
    if (!model->clumps)
        return hs_fail_memory(err, "clumps of blocks");
    sum = 0;
    for (size_t part = 0; part < PARTS; part++) {
        if (clumping->counts[part])
            memcpy(model->clumps + sum, clumping->parts[part], clumping->counts[part] * sizeof *model->clumps);
        for (uint32_t stored = (uint32_t)part * PART; stored < (part + 1) * PART; stored++) {
            model->first_clump[stored] += sum;
            for (uint32_t c = first[stored]; c < first[stored + 1]; c++)
                model->cell_clump[c] += sum;
        }
        sum += clumping->counts[part];
    }
    model->clump_count = model->first_clump[HS_CELL_STORED] = sum;
    for (uint32_t i = 0; i < sum; i++) {
        model->clumps[i].odds = (uint32_t)odds;
        odds += hs_model_candidates(model, model->clumps[i].stored);
    }
    if (odds > UINT32_MAX)
        return hs_fail_memory(err, "odds of candidates");
    model->odds = calloc((size_t)odds + 1, sizeof *model->odds);
    model->odds_count = (uint32_t)odds;
    return model->odds ? HS_OK : hs_fail_memory(err, "odds of candidates");
}

static enum hs_status make_all_clumps(struct hs_model *model, struct hs_error *err)
{
    struct clumping *clumping = calloc(1, sizeof *clumping);
    enum hs_status status;

    if (!clumping)
        return hs_fail_memory(err, "clumps of blocks");
    clumping->model = model;
    model->cell_clump = calloc(model->cells->first[HS_CELL_STORED] + (size_t)1, sizeof *model->cell_clump);
    if (model->cell_clump)
        hs_parallel(model->thread_count, PARTS, clump_item, clumping);
    if (hs_job_stopped(model->job))
        status = hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while judging traces");
    else if (!model->cell_clump || atomic_load(&clumping->out_of_memory))
        status = hs_fail_memory(err, "clumps of blocks");
    else
        status = join_parts(clumping, err);
    for (size_t part = 0; part < PARTS; part++)
        free(clumping->parts[part]);
    free(clumping);
    return status;
}

/* ---- the odds ---- */

static double tag_odds(const struct hs_model *model, const struct hs_clump *clump, hs_va caller)
{
    const struct hs_learned *learned = model->learned;
    double same, all, chance = chance_of(model, caller), odds;
    size_t low, high;
    hs_va from, to;

    hs_learned_tag(learned, clump->tag, 0, &low);
    hs_learned_tag(learned, clump->tag + 1u, 0, &high);
    all = learned->tag_sums[high] - learned->tag_sums[low];
    if (high == low)
        return 0;
    caller_window(model, caller, &from, &to);
    hs_learned_tag(learned, clump->tag, caller ? from : 0, &low);
    hs_learned_tag(learned, clump->tag, caller ? to : 0, &high);
    same = caller ? learned->tag_sums[high] - learned->tag_sums[low] : 0;
    /* Its own stored index is no witness. */
    for (uint32_t c = model->first_clump[clump->stored];
         learned->tag_learned[clump->stored] && c < model->first_clump[clump->stored + 1]; c++) {
        const struct hs_clump *own = &model->clumps[c];

        if (own->tag != clump->tag)
            continue;
        for (uint32_t i = 0; i < hs_model_candidates(model, own->stored); i++) {
            uint32_t index = hs_model_candidate(model, own->stored, i);
            double p = learned->tag_odds_then ? (double)learned->tag_odds_then[own->odds + i] : 0;

            if (!index || p <= model->opinions->likely_min)
                continue;
            all -= p;
            if (same_caller(model, model->traces[index].caller, caller))
                same -= p;
        }
    }
    same = same > 0 ? same : 0;
    all = all > 0 ? all : 0;
    odds = log((same + chance) / (all + 1) / chance);
    return odds < -2 ? -2 : odds > 3 ? 3 : odds;
}

/* What speaks for a candidate as the owner of a clump, counts apart. */
static double clump_odds(const struct hs_model *model, const struct hs_clump *clump, uint32_t candidate)
{
    const struct hs_learned *learned = model->learned;
    const struct hs_opinions *opinions = model->opinions;
    uint32_t index = hs_model_candidate(model, clump->stored, candidate);
    const struct hs_trace_fact *trace = &model->traces[index];
    double odds = 0;

    if (!index) {
        odds = log(opinions->unrecorded);
        if (opinions->use[HS_EVIDENCE_CONTENT])
            odds += learned->log_overall[clump->label];
        if (opinions->use[HS_EVIDENCE_SIZES] && clump->regular < HS_REGULAR_COUNT)
            odds += log(opinions->regular[clump->regular]);
        return odds;
    }
    if (opinions->use[HS_EVIDENCE_CONTENT]) {
        odds += learned->log_likely[(size_t)trace->maker * model->label_count + clump->label];
        if (clump->module_bit < 64 && !(trace->modules >> clump->module_bit & 1))
            odds += log(opinions->module_absent);
    }
    if (opinions->use[HS_EVIDENCE_SIZES] && clump->regular < HS_REGULAR_COUNT)
        odds += opinions->size_weight * learned->log_regular[(size_t)trace->maker * HS_REGULAR_COUNT + clump->regular];
    if (opinions->use[HS_EVIDENCE_TAGS] && clump->tag && learned->tag_count)
        odds += tag_odds(model, clump, trace->caller);
    if (model->seen)
        odds += (double)model->seen[clump->odds + candidate];
    return odds;
}

/* What `blocks` live blocks say of a trace. */
static double count_odds(const struct hs_model *model, uint32_t index, uint64_t blocks)
{
    const struct hs_trace_fact *trace = &model->traces[index];
    unsigned behind;

    if (!index || !blocks)
        return 0;
    if (trace->count == 0)
        return -12; /* an entry that makes no sense */
    if (!model->opinions->use[HS_EVIDENCE_COUNTS])
        return 0;
    if ((double)blocks > (double)trace->count * model->opinions->tolerance) {
        double over = log2((double)blocks / trace->count);

        return -20 - (over < 20 ? over : 20);
    }
    behind = log2_ratio(trace->count, blocks);
    return model->learned->log_behind[behind < HS_BEHIND_BINS ? behind : HS_BEHIND_BINS - 1] -
           model->learned->log_captures[log2_floor(trace->count)];
}

/* Candidates from which on there is one clump: HS_WAYS_MAX is less than their square. */
#define MANY 8u

/* The ways to give some of the clumps to candidates. */
struct ways {
    double *sum;      /* a way */
    uint64_t *blocks; /* a way, a candidate */
    uint32_t count;
};

static void owners_of(const struct hs_model *model, uint32_t stored, const struct ways *ways, uint32_t way,
                      uint32_t candidates, double *sum_ret, uint32_t *active_ret)
{
    uint32_t active = 0, paid;
    double sum = ways->sum[way];

    for (uint32_t i = 0; i < candidates; i++) {
        uint64_t blocks = ways->blocks[(size_t)way * candidates + i];
        uint32_t index = hs_model_candidate(model, stored, i);

        if (!blocks)
            continue;
        sum += count_odds(model, index, blocks);
        active += index != 0;
    }
    /* Where stacks were not recorded, the first owner pays too: the unrecorded need no trace of their own. */
    paid = stored == 0 ? active : active ? active - 1 : 0;
    *sum_ret = (sum + paid * log(model->learned->second)) * model->opinions->temper;
    *active_ret = active;
}

/* Gives clump `clump` to each candidate in every way so far. Goes backwards, so that the arrays can be the same. */
static void branch(const struct hs_model *model, const struct hs_clump *clump, uint32_t candidates, struct ways *ways)
{
    double given[MANY];

    for (uint32_t i = 0; i < candidates; i++)
        given[i] = clump_odds(model, clump, i);
    for (uint32_t way = ways->count; way-- > 0;)
        for (uint32_t i = candidates; i-- > 0;) {
            size_t to = (size_t)way * candidates + i;

            if (to != way)
                memmove(ways->blocks + to * candidates, ways->blocks + (size_t)way * candidates,
                        candidates * sizeof *ways->blocks);
            ways->sum[to] = ways->sum[way] + given[i];
            ways->blocks[to * candidates + i] += clump->count;
        }
    ways->count *= candidates;
}

/* Probabilities of each clump's owners. Adds to *several_ret the probability that there are two or more. */
static void weigh_ways(struct hs_model *model, uint32_t stored, struct ways *ways, double *several_ret)
{
    uint32_t candidates = hs_model_candidates(model, stored), first = model->first_clump[stored];
    uint32_t clumps = model->first_clump[stored + 1] - first;
    double highest = -INFINITY, total = 0, several = 0;

    memset(ways->blocks, 0, candidates * sizeof *ways->blocks);
    ways->sum[0] = 0;
    ways->count = 1;
    for (uint32_t j = 0; j < clumps; j++)
        branch(model, &model->clumps[first + j], candidates, ways);
    for (uint32_t way = 0; way < ways->count; way++) {
        uint32_t active;

        owners_of(model, stored, ways, way, candidates, &ways->sum[way], &active);
        ways->blocks[(size_t)way * candidates] = active;
        if (ways->sum[way] > highest)
            highest = ways->sum[way];
    }
    for (uint32_t way = 0; way < ways->count; way++) {
        double p = ways->sum[way] - highest;

        ways->sum[way] = p = p > -40 ? exp(p) : 0;
        total += p;
        if (ways->blocks[(size_t)way * candidates] > 1)
            several += p;
    }
    for (uint32_t j = clumps, step = 1; j-- > 0; step *= candidates) {
        float *odds = model->odds + model->clumps[first + j].odds;

        for (uint32_t i = 0; i < candidates; i++) {
            double p = 0;

            for (uint32_t base = i * step; base < ways->count; base += candidates * step)
                for (uint32_t way = base; way < base + step; way++)
                    p += ways->sum[way];
            odds[i] = (float)(p / total);
        }
    }
    *several_ret = several / total;
}

/* The same for one clump and many candidates: each way is one candidate. */
static void weigh_many(struct hs_model *model, const struct hs_clump *clump, uint32_t candidates)
{
    float *odds = model->odds + clump->odds;
    double highest = -INFINITY, total = 0;

    for (unsigned pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < candidates; i++) {
            uint32_t index = hs_model_candidate(model, clump->stored, i);
            double paid = clump->stored == 0 && index ? log(model->learned->second) : 0;
            double score =
                (clump_odds(model, clump, i) + count_odds(model, index, clump->count) + paid) * model->opinions->temper;

            if (pass == 0)
                highest = score > highest ? score : highest;
            else
                total += odds[i] = (float)exp(score - highest);
        }
    for (uint32_t i = 0; i < candidates; i++)
        odds[i] = (float)((double)odds[i] / total);
}

/* Judges one stored index. *several_ret: the probability that it has two owners or more. */
static void weigh(struct hs_model *model, uint32_t stored, double *several_ret)
{
    uint32_t candidates = hs_model_candidates(model, stored), first = model->first_clump[stored];
    uint32_t clumps = model->first_clump[stored + 1] - first;

    *several_ret = 0;
    if (clumps == 0)
        return;
    if (candidates == 1) {
        for (uint32_t j = 0; j < clumps; j++)
            model->odds[model->clumps[first + j].odds] = 1;
    } else if (candidates <= MANY) {
        double sums[HS_WAYS_MAX];
        uint64_t blocks[HS_WAYS_MAX * MANY];
        struct ways ways = {.sum = sums, .blocks = blocks};

        weigh_ways(model, stored, &ways, several_ret);
    } else {
        weigh_many(model, &model->clumps[first], candidates); /* ways_max leaves one clump */
    }
}

/* ---- learning ---- */

static void add_weight(_Atomic uint64_t *sum, double weight)
{
    atomic_fetch_add_explicit(sum, (uint64_t)(weight * FIXED), memory_order_relaxed);
}

/* Counts what a judged stored index says of its makers. */
static void learn(struct hs_model *model, uint32_t stored, double several)
{
    struct hs_learned *learned = model->learned;
    uint32_t candidates = hs_model_candidates(model, stored), first = model->first_clump[stored];
    uint32_t end = model->first_clump[stored + 1];

    if (candidates > 1 && end - first > 1) {
        add_weight(&learned->several, several);
        add_weight(&learned->contested, 1);
    }
    for (uint32_t i = 0; i < candidates; i++) {
        uint32_t index = hs_model_candidate(model, stored, i);
        const struct hs_trace_fact *trace = &model->traces[index];
        double live = 0;

        for (uint32_t c = first; index && c < end; c++) {
            const struct hs_clump *clump = &model->clumps[c];
            double p = (double)model->odds[clump->odds + i];

            if (p <= 0.02)
                continue;
            live += p * clump->count;
            add_weight(&learned->by_maker[(size_t)trace->maker * model->label_count + clump->label], p);
            add_weight(&learned->by_class[(size_t)model->maker_class[trace->maker] * model->label_count + clump->label],
                       p);
            if (clump->regular < HS_REGULAR_COUNT)
                add_weight(&learned->regular[(size_t)trace->maker * HS_REGULAR_COUNT + clump->regular], p);
        }
        if (index && trace->count && live >= 0.5) {
            double behind = log2(trace->count / live);
            unsigned bin = behind <= 0 ? 0 : behind >= HS_BEHIND_BINS ? HS_BEHIND_BINS - 1 : (unsigned)behind;

            add_weight(&learned->behind[bin], live < 1 ? live : 1);
        }
    }
}

static void forget(struct hs_model *model)
{
    struct hs_learned *learned = model->learned;

    memset((void *)learned->by_maker, 0, (size_t)model->maker_count * model->label_count * sizeof *learned->by_maker);
    memset((void *)learned->by_class, 0, (size_t)model->class_count * model->label_count * sizeof *learned->by_class);
    memset((void *)learned->regular, 0, (size_t)model->maker_count * HS_REGULAR_COUNT * sizeof *learned->regular);
    memset((void *)learned->behind, 0, sizeof learned->behind);
    learned->several = learned->contested = 0;
}

static int compare_tags(const void *a, const void *b)
{
    const struct hs_tag_caller *one = a, *two = b;

    if (one->tag != two->tag)
        return one->tag < two->tag ? -1 : 1;
    if (one->caller != two->caller)
        return one->caller < two->caller ? -1 : 1;
    return one->weight < two->weight ? -1 : one->weight > two->weight;
}

void hs_learned_tag(const struct hs_learned *learned, uint32_t tag, hs_va caller, size_t *at_ret)
{
    size_t low = 0, high = learned->tag_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct hs_tag_caller *one = &learned->tags[middle];

        if (one->tag < tag || (one->tag == tag && one->caller < caller))
            low = middle + 1;
        else
            high = middle;
    }
    *at_ret = low;
}

/* Callers of blocks with heap tags, out of the stored indexes that were learned from. */
static enum hs_status learn_tags(struct hs_model *model, const uint32_t *list, size_t count, struct hs_error *err)
{
    struct hs_learned *learned = model->learned;
    size_t found = 0, room = 0;

    if (!model->cells->tag_count || !model->opinions->use[HS_EVIDENCE_TAGS])
        return HS_OK;
    for (size_t s = 0; s < count; s++)
        for (uint32_t c = model->first_clump[list[s]]; c < model->first_clump[list[s] + 1]; c++)
            if (model->clumps[c].tag)
                room += hs_model_candidates(model, list[s]);
    free(learned->tags);
    free(learned->tag_sums);
    free(learned->tag_odds_then);
    learned->tags = calloc(room + 1, sizeof *learned->tags);
    learned->tag_sums = calloc(room + 1, sizeof *learned->tag_sums);
    learned->tag_odds_then = malloc((model->odds_count + (size_t)1) * sizeof *learned->tag_odds_then);
    learned->tag_count = 0;
    if (!learned->tags || !learned->tag_sums || !learned->tag_odds_then)
        return hs_fail_memory(err, "callers by heap tag");
    memcpy(learned->tag_odds_then, model->odds, model->odds_count * sizeof *learned->tag_odds_then);
    for (size_t s = 0; s < count; s++) {
        learned->tag_learned[list[s]] = true;
        for (uint32_t c = model->first_clump[list[s]]; c < model->first_clump[list[s] + 1]; c++)
            for (uint32_t i = 0; model->clumps[c].tag && i < hs_model_candidates(model, list[s]); i++) {
                uint32_t index = hs_model_candidate(model, list[s], i);
                double p = (double)model->odds[model->clumps[c].odds + i];

                if (index && model->traces[index].caller && p > model->opinions->likely_min)
                    learned->tags[found++] =
                        (struct hs_tag_caller){model->traces[index].caller, p, model->clumps[c].tag};
            }
    }
    if (found)
        qsort(learned->tags, found, sizeof *learned->tags, compare_tags);
    for (size_t i = 0; i < found; i++)
        learned->tag_sums[i + 1] = learned->tag_sums[i] + learned->tags[i].weight;
    learned->tag_count = found;
    return HS_OK;
}

/* ---- all of them ---- */

struct judging {
    struct hs_model *model;
    const uint32_t *list; /* stored indexes; NULL: all */
    size_t count;
    bool learning;
};
#define JUDGE_ITEM 64u

static void judge_item(void *context, size_t item)
{
    struct judging *judging = context;
    size_t to = (item + 1) * JUDGE_ITEM < judging->count ? (item + 1) * JUDGE_ITEM : judging->count;

    if (hs_job_stopped(judging->model->job))
        return;
    for (size_t at = item * JUDGE_ITEM; at < to; at++) {
        uint32_t stored = judging->list ? judging->list[at] : (uint32_t)at;
        double several;

        weigh(judging->model, stored, &several);
        if (judging->learning)
            learn(judging->model, stored, several);
    }
    hs_job_advance(judging->model->job, to - item * JUDGE_ITEM);
}

static enum hs_status judge_list(struct hs_model *model, const uint32_t *list, size_t count, bool learning,
                                 struct hs_error *err)
{
    struct judging judging = {.model = model, .list = list, .count = count, .learning = learning};

    if (learning)
        forget(model);
    hs_parallel(model->thread_count, (count + JUDGE_ITEM - 1) / JUDGE_ITEM, judge_item, &judging);
    if (hs_job_stopped(model->job))
        return hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while judging traces");
    return HS_OK;
}

/* A thing with bytes, most of them first. */
struct weight {
    uint64_t bytes;
    uint32_t what;
};
static int compare_weights(const void *a, const void *b)
{
    const struct weight *one = a, *two = b;

    if (one->bytes != two->bytes)
        return one->bytes > two->bytes ? -1 : 1;
    return one->what < two->what ? -1 : one->what > two->what;
}

/* The stored indexes with most bytes, at most `learn` of them. */
static uint32_t *learning_list(const struct hs_model *model, size_t *count_ret)
{
    struct weight *weights = calloc(HS_CELL_STORED, sizeof *weights);
    uint32_t *list = calloc(HS_CELL_STORED, sizeof *list);
    size_t count = 0;

    for (uint32_t stored = 0; weights && stored < HS_CELL_STORED; stored++) {
        uint64_t bytes = 0;

        for (uint32_t c = model->first_clump[stored]; c < model->first_clump[stored + 1]; c++)
            bytes += model->clumps[c].bytes;
        if (model->first_clump[stored] < model->first_clump[stored + 1])
            weights[count++] = (struct weight){bytes, stored};
    }
    if (weights)
        qsort(weights, count, sizeof *weights, compare_weights);
    model->learned->live = count;
    if (count > model->opinions->learn)
        count = model->opinions->learn;
    for (size_t i = 0; weights && list && i < count; i++)
        list[i] = weights[i].what;
    *count_ret = count;
    if (!weights) {
        free(list);
        list = NULL;
    }
    free(weights);
    return list;
}

enum hs_status hs_model_judge(struct hs_model *model, struct hs_error *err)
{
    struct hs_learned *learned;
    enum hs_status status = learned_create(model, err);
    uint32_t *list = NULL;
    size_t count = 0;
    double active;

    if (status == HS_OK)
        status = make_all_clumps(model, err);
    if (status == HS_OK)
        status = sample_callers(model, err);
    if (status != HS_OK)
        return status;
    learned = model->learned;
    list = learning_list(model, &count);
    if (!list)
        return hs_fail_memory(err, "stored indexes");
    active = ((double)learned->live + 1) / ((double)model->trace_count + 1);
    active = active < 0.5 ? active : 0.5;
    learned->second = active;
    learn_captures(model);
    make_tables(model);
    hs_job_start(model->job, HS_CELL_STORED + 2 * count);
    for (unsigned round = 0; round < 2 && status == HS_OK; round++) {
        status = judge_list(model, list, count, true, err);
        if (status == HS_OK)
            status = learn_tags(model, list, count, err);
        learned->second = (10 * active + (double)learned->several / FIXED) / (10 + (double)learned->contested / FIXED);
        learned->second = learned->second < 0.5 ? learned->second : 0.5;
        make_tables(model);
    }
    if (status == HS_OK)
        status = judge_list(model, NULL, HS_CELL_STORED, false, err);
    free(list);
    return status;
}

static uint32_t likeliest(const struct hs_model *model, const struct hs_clump *clump)
{
    const float *odds = model->odds + clump->odds;
    uint32_t best = 0, candidates = hs_model_candidates(model, clump->stored);

    for (uint32_t i = 1; i < candidates; i++)
        if (odds[i] > odds[best])
            best = i;
    return best;
}

size_t hs_model_doubtful(const struct hs_model *model, uint32_t *clumps, size_t count)
{
    struct weight *weights = calloc(model->clump_count + (size_t)1, sizeof *weights);
    size_t found = 0;

    for (uint32_t c = 0; weights && c < model->clump_count; c++) {
        const struct hs_clump *clump = &model->clumps[c];

        if ((double)model->odds[clump->odds + likeliest(model, clump)] < model->opinions->clear)
            weights[found++] = (struct weight){clump->bytes, c};
    }
    if (weights && found)
        qsort(weights, found, sizeof *weights, compare_weights);
    count = found < count ? found : count;
    for (size_t i = 0; i < count; i++)
        clumps[i] = weights[i].what;
    free(weights);
    return count;
}

/* ---- witnesses ---- */

static int compare_witnesses(const void *a, const void *b)
{
    const struct hs_witness *one = a, *two = b;

    if (one->clump != two->clump)
        return one->clump < two->clump ? -1 : 1;
    if (one->kind != two->kind)
        return one->kind < two->kind ? -1 : 1;
    return one->other < two->other ? -1 : one->other > two->other;
}

static size_t first_witness(const struct hs_model *model, uint32_t clump)
{
    size_t low = 0, high = model->witness_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (model->witnesses[middle].clump < clump)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

double hs_model_seen(const struct hs_model *model, uint32_t clump, uint32_t candidate, enum hs_evidence kind,
                     size_t *looked_ret)
{
    uint32_t index = hs_model_candidate(model, model->clumps[clump].stored, candidate);
    hs_va caller = model->traces[index].caller;
    double hits = 0, n = 0, chance, hit, share;

    for (size_t w = first_witness(model, clump); w < model->witness_count && model->witnesses[w].clump == clump; w++) {
        const struct hs_clump *other = &model->clumps[model->witnesses[w].other];

        if (model->witnesses[w].kind != kind)
            continue;
        n++;
        for (uint32_t i = 0; i < hs_model_candidates(model, other->stored); i++) {
            uint32_t its = hs_model_candidate(model, other->stored, i);
            double p = (double)model->odds[other->odds + i];

            if (its && p > model->opinions->likely_min && same_caller(model, model->traces[its].caller, caller))
                hits += p;
        }
    }
    *looked_ret = (size_t)n;
    if (n == 0 || !index)
        return 0;
    share = hits / n;
    share = share < 1 ? share : 1;
    n = n < model->opinions->witnesses ? n : model->opinions->witnesses;
    chance = chance_of(model, caller);
    hit = model->opinions->seen[kind] > chance ? model->opinions->seen[kind] : chance;
    return n *
           log((share * hit + (1 - share) * (1 - hit)) / (share * chance + (1 - share) * (1 - chance) + 1e-12) + 1e-9);
}

/* Fills model->seen for each clump that has witnesses and lists their stored indexes, each once. */
static size_t hear_all(struct hs_model *model, uint32_t *list)
{
    size_t count = 0;

    for (size_t w = 0; w < model->witness_count; w++) {
        uint32_t c = model->witnesses[w].clump, stored = model->clumps[c].stored;
        uint32_t candidates = hs_model_candidates(model, stored);

        if (w && model->witnesses[w - 1].clump == c)
            continue;
        for (uint32_t i = 0; i < candidates; i++) {
            double odds = 0;
            size_t looked;

            if (hs_model_candidate(model, stored, i) == 0)
                continue;
            if (model->opinions->use[HS_EVIDENCE_NEIGHBOURS])
                odds += hs_model_seen(model, c, i, HS_EVIDENCE_NEIGHBOURS, &looked);
            if (model->opinions->use[HS_EVIDENCE_LINKS])
                odds += hs_model_seen(model, c, i, HS_EVIDENCE_LINKS, &looked);
            model->seen[model->clumps[c].odds + i] = (float)odds;
        }
        if (count == 0 || list[count - 1] != stored) /* clumps go by stored index */
            list[count++] = stored;
    }
    return count;
}

enum hs_status hs_model_hear(struct hs_model *model, struct hs_witness *witnesses, size_t count, struct hs_error *err)
{
    uint32_t *list;
    enum hs_status status = HS_OK;

    model->witnesses = witnesses;
    model->witness_count = count;
    if (count == 0)
        return HS_OK;
    qsort(witnesses, count, sizeof *witnesses, compare_witnesses);
    model->seen = calloc(model->odds_count + (size_t)1, sizeof *model->seen);
    list = calloc(HS_CELL_STORED, sizeof *list);
    if (!model->seen || !list) {
        free(list);
        return hs_fail_memory(err, "what neighbours say");
    }
    for (unsigned round = 0; round < 2 && status == HS_OK; round++) /* neighbours may be in doubt themselves */
        status = judge_list(model, list, hear_all(model, list), false, err);
    free(list);
    return status;
}

/* ---- results ---- */

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

struct spilling {
    struct hs_model *model;
    struct hs_spill *spills;
    size_t count, capacity;
    bool failed;
};

static void spill(struct spilling *spilling, uint32_t cell, uint32_t candidate, uint64_t blocks, double p)
{
    if (blocks == 0)
        return;
    if (spilling->count == spilling->capacity) {
        size_t capacity = spilling->capacity ? spilling->capacity * 2 : 64;
        struct hs_spill *spills = realloc(spilling->spills, capacity * sizeof *spills);

        if (!spills) {
            spilling->failed = true;
            return;
        }
        spilling->spills = spills;
        spilling->capacity = capacity;
    }
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
    uint64_t room[MANY] = {0}, *left = room;

    for (uint32_t c = first; c < model->first_clump[stored + 1]; c++) {
        struct hs_clump *clump = &model->clumps[c];

        clump->owner = likeliest(model, clump);
        clump->confidence = (float)confidence(model, clump, clump->owner);
    }
    if (candidates == 1)
        return;
    if (candidates > MANY) {
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

enum hs_status hs_model_settle(struct hs_model *model, struct hs_error *err)
{
    struct spilling spilling = {.model = model};

    for (uint32_t stored = 0; stored < HS_CELL_STORED; stored++)
        settle_stored(&spilling, stored);
    model->spills = spilling.spills;
    model->spill_count = spilling.count;
    if (spilling.failed)
        return hs_fail_memory(err, "shares of cells");
    if (spilling.count)
        qsort(spilling.spills, spilling.count, sizeof *spilling.spills, compare_spills);
    return HS_OK;
}

size_t hs_model_shares(const struct hs_model *model, uint32_t cell, struct hs_share *shares, size_t room)
{
    const struct hs_clump *clump = &model->clumps[model->cell_clump[cell]];
    size_t low = 0, high = model->spill_count, count = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (model->spills[middle].cell < cell)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < model->spill_count && model->spills[low].cell == cell; low++, count++)
        if (count < room)
            shares[count] = (struct hs_share){hs_model_candidate(model, clump->stored, model->spills[low].candidate),
                                              model->spills[low].blocks, model->spills[low].confidence};
    if (count == 0 && room)
        shares[0] = (struct hs_share){hs_model_candidate(model, clump->stored, clump->owner),
                                      model->cells->cells[cell].count, clump->confidence};
    return count ? count : 1;
}

void hs_model_deinit(struct hs_model *model)
{
    free(model->clumps);
    free(model->cell_clump);
    free(model->odds);
    free(model->spills);
    free(model->witnesses);
    free(model->seen);
    if (model->learned) {
        free(model->learned->tag_sums);
        free(model->learned->tag_odds_then);
    }
    learned_destroy(model->learned);
}
