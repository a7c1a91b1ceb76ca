/* slices.c - the last element at or below an address, of an array sorted by the rva that each element begins with. */
#include "image/pdb.h"

#include <stdlib.h>

static uint32_t rva_of(const void *elements, size_t element_size, size_t idx)
{
    uint32_t rva;

    memcpy(&rva, (const char *)elements + idx * element_size, sizeof rva);
    return rva;
}

bool hs_slices_init(struct hs_slices *slices, const void *elements, size_t count, size_t element_size)
{
    uint32_t range, below = 0;

    *slices = (struct hs_slices){0};
    if (count == 0)
        return true;
    if (count >= UINT32_MAX)
        return false;
    slices->rva = rva_of(elements, element_size, 0);
    range = rva_of(elements, element_size, count - 1) - slices->rva;
    while (range >> slices->shift >= count)
        slices->shift++;
    slices->count = (range >> slices->shift) + 1;
    slices->below = malloc(((size_t)slices->count + 1) * sizeof *slices->below);
    if (!slices->below)
        return false;
    for (uint32_t slice = 0; slice < slices->count; slice++) {
        slices->below[slice] = below;
        while (below < count && (rva_of(elements, element_size, below) - slices->rva) >> slices->shift == slice)
            below++;
    }
    slices->below[slices->count] = below;
    return true;
}

void hs_slices_deinit(struct hs_slices *slices)
{
    free(slices->below);
    *slices = (struct hs_slices){0};
}

size_t hs_slices_at(const struct hs_slices *slices, const void *elements, size_t element_size, uint32_t rva)
{
    uint32_t slice;
    size_t low, high;

    if (slices->count == 0 || rva < slices->rva)
        return SIZE_MAX;
    slice = (rva - slices->rva) >> slices->shift;
    if (slice >= slices->count)
        slice = slices->count - 1;
    low = slices->below[slice]; /* those before it are at or below rva, those from `high` on above */
    high = slices->below[slice + 1];
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (rva_of(elements, element_size, middle) <= rva)
            low = middle + 1;
        else
            high = middle;
    }
    return low - 1;
}
