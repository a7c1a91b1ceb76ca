/* fuzz_pe.c - any bytes as an image in memory: reading it and looking things up in it must neither crash nor hang. */
#include "image/image.h"

#define BASE 0x10000000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_up(const struct hs_image *image)
{
    for (size_t i = 0; i < image->export_count; i += 1 + image->export_count / 16) {
        const struct hs_export *item = &image->exports[i];
        const struct hs_export *nearest = hs_image_nearest(image, item->va);

        if (*item->name && !hs_image_named(image, item->name))
            __builtin_trap();
        if (item->va && (!nearest || nearest->va != item->va))
            __builtin_trap();
        (void)hs_image_section_at(image, item->va);
    }
    (void)hs_image_named(image, "Ordinal1");
}

static void read_image(const struct hs_range *ranges, size_t range_count, uint64_t size)
{
    struct hs_space space;
    struct hs_notes notes;
    struct hs_image image;

    hs_notes_init(&notes);
    if (hs_space_init(&space, ranges, range_count, 4, NULL) != HS_OK)
        return;
    if (hs_image_init(&image, &space, BASE, size, "fuzz", &notes, NULL) == HS_OK) {
        look_up(&image);
        hs_image_deinit(&image);
    }
    hs_space_deinit(&space);
    hs_notes_deinit(&notes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hs_range whole = {BASE, size, data};
    const uint64_t hole = size / 2, hole_end = hole + (size - hole) / 8;
    const struct hs_range holed[2] = {{BASE, hole, data}, {BASE + hole_end, size - hole_end, data + hole_end}};
    struct hs_arena arena;
    const char *pdb_name, *pdb_id;

    read_image(&whole, 1, size);
    read_image(&whole, 1, 0); /* the size that the header claims */
    read_image(holed, 2, size);
    hs_arena_init(&arena);
    if (hs_image_codeview((struct hs_span){data, size}, &arena, &pdb_name, &pdb_id) == HS_ERR_MEMORY)
        __builtin_trap();
    hs_arena_deinit(&arena);
    return 0;
}
