/* sort.c - a stable sort by numbers that takes as many passes as they have digits that differ. */
#include "base/base.h"

#define DIGIT_BITS 8u
#define DIGIT (1u << DIGIT_BITS)

bool hs_digit_starts(size_t counts[256], size_t all)
{
    size_t sum = 0;
    bool several = true;

    for (unsigned i = 0; i < DIGIT; i++) {
        size_t here = counts[i];

        several &= here != all;
        counts[i] = sum;
        sum += here;
    }
    return several;
}

struct hs_keyed *hs_keyed_sort(struct hs_keyed *items, struct hs_keyed *other, size_t count)
{
    for (unsigned shift = 0; shift < 64; shift += DIGIT_BITS) {
        size_t next[DIGIT] = {0};
        struct hs_keyed *sorted = other;

        for (size_t i = 0; i < count; i++)
            next[items[i].key >> shift & (DIGIT - 1)]++;
        if (!hs_digit_starts(next, count))
            continue;
        for (size_t i = 0; i < count; i++)
            sorted[next[items[i].key >> shift & (DIGIT - 1)]++] = items[i];
        other = items;
        items = sorted;
    }
    return items;
}
