/* layout.h - the door of layout/: where the fields of Windows structures lie. */
#ifndef HS_LAYOUT_H
#define HS_LAYOUT_H

#include "space/space.h"

enum hs_field {
#define ROW(field, x86_off, x86_size, x64_off, x64_size) HS_FIELD_##field,
#include "layout/rows.inc"
#undef ROW
    HS_FIELD_COUNT
};

struct hs_place {
    uint16_t off, size; /* bytes */
};

/* All fields for one pointer width. The structures of heaps and of the trace database are those of Windows XP and 2003;
 * the PEB and TEB fields are the same on every Windows since. */
struct hs_layout {
    unsigned pointer_size;
    struct hs_place places[HS_FIELD_COUNT];
};

const struct hs_layout *hs_layout_get(unsigned pointer_size);
/* As the row spells it: "HEAP_FLAGS". Static. */
const char *hs_layout_name(enum hs_field field);

static inline uint64_t hs_layout_off(const struct hs_layout *layout, enum hs_field field)
{
    return layout->places[field].off;
}

/* The field of the structure at `va` as an unsigned integer (fields of 1 to 8 bytes). False if it is not in the dump. */
bool hs_layout_read(const struct hs_layout *layout, const struct hs_space *space, hs_va va, enum hs_field field,
                    uint64_t *value_ret);
/* The same out of bytes that hold the structure from its start; 0 past their end. */
uint64_t hs_layout_load(const struct hs_layout *layout, struct hs_span bytes, enum hs_field field);

#endif
