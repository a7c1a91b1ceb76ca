/* pe.h - inside image/: bounded reads of one image in memory, and the parts that are read from it. */
#ifndef HS_IMAGE_PE_H
#define HS_IMAGE_PE_H

#include "image/image.h"

#define HS_PE_NAME_MAX 512u     /* bytes of a name without its closing 0 */
#define HS_PE_SECTION_MAX 96u   /* Windows' loader refuses more (PE format, NumberOfSections) */
#define HS_PE_EXPORT_MAX 65536u /* ordinals have 16 bits */

/* Indexes of the data directory (PE format, "Optional Header Data Directories"). */
enum hs_pe_directory_idx { HS_PE_EXPORTS = 0, HS_PE_RESOURCES = 2, HS_PE_DEBUG = 6, HS_PE_DIRECTORY_COUNT = 16 };

struct hs_pe_directory {
    uint32_t rva, size;
};

/* One image being read. */
struct hs_pe {
    struct hs_image *image;
    const struct hs_space *space;
    const char *name; /* for notes */
    struct hs_notes *notes;
    uint32_t limit;               /* RVAs from here on are not of this image; never more than 0xffffffff */
    const struct hs_range *range; /* where the last bytes were found: most reads hit it again */
    struct hs_text text;          /* scratch of hs_pe_text */
    struct hs_pe_directory directories[HS_PE_DIRECTORY_COUNT];
    uint8_t scratch[HS_PE_NAME_MAX + 1];
};

/* All the functions below name in `trouble` what could not be read and why: HS_ERR_FORMAT if it lies outside the
 * image, HS_ERR_UNMAPPED if the dump lacks it. */

/* The status for [rva, rva + size) being inside the image: HS_OK or HS_ERR_FORMAT. */
enum hs_status hs_pe_inside(const struct hs_pe *pe, const char *what, uint64_t rva, uint64_t size,
                            struct hs_error *trouble);
/* All of [rva, rva + size), copied. */
enum hs_status hs_pe_read(struct hs_pe *pe, const char *what, uint64_t rva, void *bytes_ret, uint64_t size,
                          struct hs_error *trouble);

/* An array in the image: borrowed where the dump has it in one piece, otherwise a copy in which bytes that the dump
 * lacks are 0. */
struct hs_pe_table {
    const uint8_t *bytes;
    uint32_t count; /* elements, cut to those inside the image */
    uint32_t element_size;
    hs_va va;
    bool has_gaps;
    uint8_t *copy; /* NULL if borrowed */
};
/* HS_ERR_MEMORY too. `count` is the caller's bound on the elements to look at. The table is empty after a failure. */
enum hs_status hs_pe_table_init(struct hs_pe *pe, struct hs_pe_table *table, const char *what, uint64_t rva,
                                uint32_t count, uint32_t element_size, struct hs_error *trouble);
void hs_pe_table_deinit(struct hs_pe_table *table);
/* Whether the dump holds all of element `idx`. */
bool hs_pe_table_has(const struct hs_pe *pe, const struct hs_pe_table *table, uint32_t idx);

/* The 0-terminated bytes at `rva`, without the 0; valid until the next call. False if they are empty, longer than
 * HS_PE_NAME_MAX, outside the image or not all in the dump. */
bool hs_pe_name(struct hs_pe *pe, uint64_t rva, struct hs_span *name_ret);
/* A copy in the image's arena, escaped. NULL when out of memory. */
const char *hs_pe_text(struct hs_pe *pe, struct hs_span bytes);

/* exports.c: fills image->exports in ordinal order. HS_ERR_MEMORY only; the rest becomes notes. */
HS_MUST_CHECK enum hs_status hs_exports_read(struct hs_pe *pe, struct hs_error *err);
struct hs_rva_key {
    uint32_t rva, idx;
};
/* symbols.c: sorts by rva, equal ones as they stand. `other` has room for `count` too; returns the one of the two that
 * holds the result. */
struct hs_rva_key *hs_sort_rvas(struct hs_rva_key *keys, struct hs_rva_key *other, size_t count);
/* Fills by_va and by_name. HS_ERR_MEMORY only. */
HS_MUST_CHECK enum hs_status hs_symbols_build(struct hs_image *image, struct hs_error *err);

#endif
