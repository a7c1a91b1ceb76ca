/* layout.c - field id to offset and size for a pointer width; the rows are data. */
#include "layout/layout.h"

static const struct hs_layout layouts[] = {
    {4,
     {
#define ROW(field, x86_off, x86_size, x64_off, x64_size) [HS_FIELD_##field] = {x86_off, x86_size},
#include "layout/rows.inc"
#undef ROW
     }},
    {8,
     {
#define ROW(field, x86_off, x86_size, x64_off, x64_size) [HS_FIELD_##field] = {x64_off, x64_size},
#include "layout/rows.inc"
#undef ROW
     }},
};

const struct hs_layout *hs_layout_get(unsigned pointer_size)
{
    return pointer_size == 8 ? &layouts[1] : &layouts[0];
}

const char *hs_layout_name(enum hs_field field)
{
    static const char *const names[HS_FIELD_COUNT] = {
#define ROW(field, x86_off, x86_size, x64_off, x64_size) [HS_FIELD_##field] = #field,
#include "layout/rows.inc"
#undef ROW
    };

    return names[field];
}

bool hs_layout_read(const struct hs_layout *layout, const struct hs_space *space, hs_va va, enum hs_field field,
                    uint64_t *value_ret)
{
    const struct hs_place *place = &layout->places[field];

    return hs_space_uint(space, va + place->off, place->size, value_ret);
}

uint64_t hs_layout_load(const struct hs_layout *layout, struct hs_span bytes, enum hs_field field)
{
    const struct hs_place *place = &layout->places[field];
    struct hs_span part;

    return hs_span_part(bytes, place->off, place->size, &part) ? hs_load_uint(part.bytes, place->size) : 0;
}
