/* pointed.c - from places that pointers lead to, to blocks. To find the block of each pointer, one by one, takes longer
 * than to find the pointers: so their targets become bits, beside the bits of where blocks begin, and both are gone
 * through together, once. */
#include "query/pointed.h"

#include <stdlib.h>

static uint64_t word_count(const struct hs_heaps *heaps, const struct hs_extent *extent)
{
    return (extent->size / heaps->unit + 63) / 64;
}

/* Whether each unit of an extent belongs to the last block that begins at or before it. */
static bool is_whole(const struct hs_heaps *heaps, const struct hs_extent *extent)
{
    return extent->kind == HS_EXTENT_RUN && extent->count && extent->starts[0] & 1 &&
           heaps->segments[extent->segment_idx].whole;
}

enum hs_status hs_pointed_init(struct hs_pointed *pointed, const struct hs_blocks *blocks, unsigned thread_count,
                               struct hs_error *err)
{
    const struct hs_heaps *heaps = blocks->heaps;
    size_t words = 0;

    *pointed = (struct hs_pointed){.blocks = blocks};
    for (size_t i = 0; i < heaps->extent_count; i++)
        if (is_whole(heaps, &heaps->extents[i]))
            words += word_count(heaps, &heaps->extents[i]);
    pointed->units = calloc(heaps->extent_count + 1, sizeof *pointed->units);
    pointed->inside = calloc(heaps->extent_count + 1, sizeof *pointed->inside);
    pointed->unit_bits = hs_alloc_touched(thread_count, (words + 1) * sizeof(uint64_t));
    pointed->inside_bits = hs_alloc_touched(thread_count, (words + 1) * sizeof(uint64_t));
    if (!pointed->units || !pointed->inside || !pointed->unit_bits || !pointed->inside_bits) {
        hs_pointed_deinit(pointed);
        return hs_fail_memory(err, "the search for pointers");
    }
    words = 0;
    for (size_t i = 0; i < heaps->extent_count; i++) {
        if (!is_whole(heaps, &heaps->extents[i]))
            continue;
        pointed->units[i] = pointed->unit_bits + words;
        pointed->inside[i] = pointed->inside_bits + words;
        words += word_count(heaps, &heaps->extents[i]);
    }
    return HS_OK;
}

void hs_pointed_deinit(struct hs_pointed *pointed)
{
    free(pointed->units);
    free(pointed->inside);
    free(pointed->unit_bits);
    free(pointed->inside_bits);
}

struct finding {
    const struct hs_pointed *pointed;
    uint64_t *const *aims;
};

/* Blocks of one aim, a word of them at a time. Another extent may have blocks of the same word. */
struct gathered {
    uint64_t *to;
    size_t word;
    uint64_t bits;
};

static void put(const struct gathered *gathered)
{
    if (gathered->bits)
        __atomic_fetch_or(&gathered->to[gathered->word], gathered->bits, __ATOMIC_RELAXED);
}

/* The blocks with these units of a word with these starts, the first of which is block `id`. */
static void gather(struct gathered *gathered, uint64_t units, uint64_t starts, uint32_t id)
{
    for (; units; units &= units - 1) {
        uint64_t upto = units ^ (units - 1); /* the lowest unit and all below */
        uint32_t at = id + hs_popcount(starts & upto) - 1;

        if (gathered->word != at / 64) {
            put(gathered);
            gathered->word = at / 64;
            gathered->bits = 0;
        }
        gathered->bits |= UINT64_C(1) << (at % 64);
    }
}

static void find_extent(void *context, size_t extent_idx)
{
    const struct finding *finding = context;
    const struct hs_heaps *heaps = finding->pointed->blocks->heaps;
    const struct hs_extent *extent = &heaps->extents[extent_idx];
    const uint64_t *units = finding->pointed->units[extent_idx], *inside = finding->pointed->inside[extent_idx];
    uint64_t before = 0; /* the starts of the last word */
    uint32_t id = extent->first_id;
    struct gathered gathered[HS_AIM_COUNT];

    for (unsigned aim = 0; aim < HS_AIM_COUNT; aim++)
        gathered[aim] = (struct gathered){finding->aims[aim], 0, 0};
    for (uint64_t word = 0; units && word < word_count(heaps, extent); word++) {
        uint64_t starts = extent->starts[word], left = units[word];

        if (left) {
            uint64_t seconds = starts << 1 | before >> 63, thirds = starts << 2 | before >> 62;

            gather(&gathered[HS_AIM_HEADER], left & starts, starts, id);
            left &= ~starts;
            gather(&gathered[HS_AIM_USER], left & seconds, starts, id);
            left &= ~seconds;
            gather(&gathered[HS_AIM_MAPI], left & thirds, starts, id);
            gather(&gathered[HS_AIM_INTERIOR], left & ~thirds, starts, id);
        }
        gather(&gathered[HS_AIM_INTERIOR], inside[word], starts, id);
        id += hs_popcount(starts);
        before = starts;
    }
    for (unsigned aim = 0; aim < HS_AIM_COUNT; aim++)
        put(&gathered[aim]);
}

void hs_pointed_blocks(const struct hs_pointed *pointed, unsigned thread_count, uint64_t *const aims[HS_AIM_COUNT])
{
    struct finding finding = {pointed, aims};

    hs_parallel(thread_count, pointed->blocks->heaps->extent_count, find_extent, &finding);
}
