/* sort.c - a stable sort by numbers that takes as many passes as they have digits that differ. */
#include "base/base.h"

#define DIGIT_BITS 8u
#define DIGIT (1u << DIGIT_BITS)

uint32_t hs_starts(uint32_t *counts, size_t kind_count)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < kind_count; i++) {
        uint32_t here = counts[i];

        counts[i] = sum;
        sum += here;
    }
    return sum;
}

bool hs_digit_starts(uint32_t counts[256], uint32_t all)
{
    for (unsigned i = 0; i < DIGIT; i++)
        if (counts[i] == all)
            return false;
    hs_starts(counts, DIGIT);
    return true;
}

struct hs_keyed *hs_keyed_sort(struct hs_keyed *items, struct hs_keyed *other, uint32_t count)
{
    for (unsigned shift = 0; shift < 64; shift += DIGIT_BITS) {
        uint32_t next[DIGIT] = {0};
        struct hs_keyed *sorted = other;

        for (uint32_t i = 0; i < count; i++)
            next[items[i].key >> shift & (DIGIT - 1)]++;
        if (!hs_digit_starts(next, count))
            continue;
        for (uint32_t i = 0; i < count; i++)
            sorted[next[items[i].key >> shift & (DIGIT - 1)]++] = items[i];
        other = items;
        items = sorted;
    }
    return items;
}
