/* symbols.c - names of an image: exports by address and by name, joined with those of a PDB. */
#include "image/pe.h"

#include <stdlib.h>

/* qsort has no context, so a key carries what its order needs. */
struct name_key {
    const char *name;
    uint32_t idx;
};

static int compare_names(const void *left, const void *right)
{
    const struct name_key *a = left, *b = right;
    int order = strcmp(a->name, b->name);

    return order ? order : (a->idx > b->idx) - (a->idx < b->idx);
}

static enum hs_status sort_by_name(struct hs_image *image)
{
    struct name_key *keys = malloc(image->export_count * sizeof *keys);
    size_t count = 0;
    bool is_sorted = true;

    if (!keys)
        return HS_ERR_MEMORY;
    for (size_t i = 0; i < image->export_count; i++)
        if (*image->exports[i].name)
            keys[count++] = (struct name_key){image->exports[i].name, (uint32_t)i};
    for (size_t i = 1; i < count && is_sorted; i++) /* usual: linkers number exports in the order of their names */
        is_sorted = compare_names(&keys[i - 1], &keys[i]) <= 0;
    if (!is_sorted)
        qsort(keys, count, sizeof *keys, compare_names);
    for (size_t i = 0; i < count; i++)
        image->by_name[i] = keys[i].idx;
    image->by_name_count = count;
    free(keys);
    return HS_OK;
}

/* Linear whatever the image says, and several times faster here than qsort. */
struct hs_rva_key *hs_sort_rvas(struct hs_rva_key *keys, struct hs_rva_key *other, size_t count)
{
    for (unsigned shift = 0; shift < 32; shift += 8) {
        size_t starts[256] = {0}, total = 0;
        struct hs_rva_key *swap;

        for (size_t i = 0; i < count; i++)
            starts[keys[i].rva >> shift & 0xff]++;
        if (count && starts[keys[0].rva >> shift & 0xff] == count)
            continue;
        for (size_t digit = 0; digit < 256; digit++) {
            size_t here = starts[digit];

            starts[digit] = total;
            total += here;
        }
        for (size_t i = 0; i < count; i++)
            other[starts[keys[i].rva >> shift & 0xff]++] = keys[i];
        swap = keys;
        keys = other;
        other = swap;
    }
    return keys;
}

/* Whether `a` names an address better than `b`, which comes before it in ordinal order. */
static bool is_better(const struct hs_export *a, const struct hs_export *b)
{
    return *a->name && (!*b->name || strcmp(a->name, b->name) < 0);
}

static enum hs_status sort_by_va(struct hs_image *image)
{
    struct hs_rva_key *keys = malloc(image->export_count * 2 * sizeof *keys), *sorted;
    uint32_t *by_va = image->by_va;
    size_t count = 0, kept = 0;

    if (!keys)
        return HS_ERR_MEMORY;
    for (size_t i = 0; i < image->export_count; i++)
        if (image->exports[i].va)
            keys[count++] = (struct hs_rva_key){(uint32_t)(image->exports[i].va - image->base), (uint32_t)i};
    sorted = hs_sort_rvas(keys, keys + count, count);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || sorted[i].rva != sorted[i - 1].rva)
            by_va[kept++] = sorted[i].idx;
        else if (is_better(&image->exports[sorted[i].idx], &image->exports[by_va[kept - 1]]))
            by_va[kept - 1] = sorted[i].idx;
    }
    image->by_va_count = kept;
    free(keys);
    return HS_OK;
}

enum hs_status hs_symbols_build(struct hs_image *image, struct hs_error *err)
{
    if (image->export_count == 0)
        return HS_OK;
    image->by_va = hs_arena_alloc(&image->arena, image->export_count, sizeof *image->by_va);
    image->by_name = hs_arena_alloc(&image->arena, image->export_count, sizeof *image->by_name);
    if (!image->by_va || !image->by_name || sort_by_name(image) != HS_OK || sort_by_va(image) != HS_OK)
        return hs_fail_memory(err, "the symbols of an image");
    return HS_OK;
}

const struct hs_export *hs_image_nearest(const struct hs_image *image, hs_va va)
{
    size_t low = 0, high = image->by_va_count; /* those before `low` are at or below va, those from `high` on above */

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (image->exports[image->by_va[middle]].va <= va)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &image->exports[image->by_va[low - 1]] : NULL;
}

/* The number in "Ordinal577", as the formatter writes it: decimal without leading zeros. */
static bool parse_ordinal(const char *name, uint32_t *ordinal_ret)
{
    static const char prefix[] = "Ordinal";
    const char *digit = name + sizeof prefix - 1;
    uint64_t value = 0;

    if (strncmp(name, prefix, sizeof prefix - 1) != 0 || *digit == 0 || (*digit == '0' && digit[1] != 0))
        return false;
    for (; *digit; digit++) {
        if (*digit < '0' || *digit > '9')
            return false;
        value = value * 10 + (uint64_t)(*digit - '0');
        if (value > UINT32_MAX)
            return false;
    }
    *ordinal_ret = (uint32_t)value;
    return true;
}

static const struct hs_export *export_of_ordinal(const struct hs_image *image, uint32_t ordinal)
{
    size_t low = 0, high = image->export_count; /* those before `low` have smaller ordinals */

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (image->exports[middle].ordinal < ordinal)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == image->export_count || image->exports[low].ordinal != ordinal)
        return NULL;
    return &image->exports[low];
}

const struct hs_export *hs_image_named(const struct hs_image *image, const char *name)
{
    size_t low = 0, high = image->by_name_count; /* names before `low` come before `name` */
    uint32_t ordinal;

    if (!*name)
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(image->exports[image->by_name[middle]].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < image->by_name_count && strcmp(image->exports[image->by_name[low]].name, name) == 0)
        return &image->exports[image->by_name[low]];
    return parse_ordinal(name, &ordinal) ? export_of_ordinal(image, ordinal) : NULL;
}

const struct hs_section *hs_image_section_at(const struct hs_image *image, hs_va va)
{
    for (size_t i = 0; i < image->section_count; i++) {
        const struct hs_section *section = &image->sections[i];

        if (va >= section->va && va - section->va < section->size)
            return section;
    }
    return NULL;
}

/* ---- joined with a PDB ---- */

/* Cuts "@8" or "@@16" off the end. */
static size_t without_bytes(const char *name, size_t size)
{
    size_t end = size;

    while (end > 0 && name[end - 1] >= '0' && name[end - 1] <= '9')
        end--;
    if (end == size || end < 2 || name[end - 1] != '@')
        return size;
    return end > 2 && name[end - 2] == '@' ? end - 2 : end - 1;
}

size_t hs_symbol_plain(const char *name, size_t size, bool is_x86, const char **plain_ret)
{
    size_t cut;

    *plain_ret = name;
    if (size == 0 || *name == '?')
        return size; /* C++: what it says is told by more than cutting */
    if (!is_x86) {   /* only __vectorcall decorates there: name@@16 */
        cut = without_bytes(name, size);
        return cut < size && name[cut + 1] == '@' ? cut : size;
    }
    cut = without_bytes(name, size);
    if (size > 1 && (*name == '_' || (*name == '@' && cut < size))) {
        *plain_ret = name + 1;
        return cut > 1 ? cut - 1 : size - 1;
    }
    return cut;
}

void hs_image_symbol(const struct hs_image *image, struct hs_pdb *pdb, hs_va va, struct hs_symbol *symbol)
{
    const struct hs_export *nearest = hs_image_nearest(image, va);
    struct hs_pdb_symbol found;
    uint32_t offset;
    bool is_near;

    if (pdb && va - image->base <= UINT32_MAX &&
        hs_pdb_at(pdb, (uint32_t)(va - image->base), &found, &offset, &is_near) &&
        /* Past its end only an export between it and the address can name it. */
        (is_near || !nearest || va - nearest->va > HS_SYMBOL_NEAR || va - nearest->va >= offset)) {
        symbol->has_name = true;
        symbol->name = found.name;
        symbol->offset = offset;
        symbol->near_name = is_near;
        symbol->size = found.size;
        symbol->source = HS_SYMBOLS_PDB;
        symbol->is_decorated = found.is_public;
    } else if (nearest) {
        symbol->has_name = true;
        symbol->name = nearest->name;
        symbol->ordinal = nearest->ordinal;
        symbol->offset = va - nearest->va;
        symbol->near_name = symbol->offset <= HS_SYMBOL_NEAR;
        symbol->source = HS_SYMBOLS_EXPORTS;
    }
}
