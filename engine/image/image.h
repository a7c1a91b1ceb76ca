/* image.h - the door of image/: a PE image as it stands in memory, and PDBs. Knows no process. */
#ifndef HS_IMAGE_H
#define HS_IMAGE_H

#include "space/space.h"
#include <heapsift/dump.h>

/* What the headers of one image say. Each part is empty where the dump lacks it or it makes no sense; a note says so
 * only where there was something that could not be read. */
struct hs_image {
    hs_va base;
    uint64_t size;
    bool readable; /* DOS and PE headers are there and sound */
    bool is_64;    /* PE32+ */
    uint32_t timestamp, checksum;
    uint64_t header_size;
    struct hs_section *sections;
    size_t section_count;
    /* As hs_dump_export tells. A forwarder whose text cannot be read (not in the dump, or not "module.name") has va 0
     * and forwarder "?". */
    struct hs_export *exports;
    size_t export_count;
    /* Indexes into exports of those with an address, sorted by it; one per address: among several, the first by (has a
     * name, name, place in exports). */
    uint32_t *by_va;
    size_t by_va_count;
    uint32_t *by_name; /* indexes into exports of those with a name, sorted by strcmp */
    size_t by_name_count;
    bool has_version;
    uint16_t version[4];   /* from VS_FIXEDFILEINFO in the resources, most significant first */
    const char *pdb_name;  /* RSDS: "" if none */
    const char *pdb_id;    /* RSDS: GUID and age; "" if none */
    struct hs_arena arena; /* owns all of the above */
};

/* Reads headers, sections, exports, debug record and version of the image at `base`, which the dump's module list says
 * is `size` bytes long (0: ask the header). Everything is bounded: sections by 96, exports by 65,536 and by the bytes
 * left, names by 512 bytes each and by the image's bytes together, resource depth by 3. Memory that the dump lacks
 * leaves a gap: of sections and exports a note tells it (unless the headers are missing too), debug record and version
 * stay empty without a word, since the module list has them as well. `name` is used in notes. HS_ERR_MEMORY only. */
HS_MUST_CHECK enum hs_status hs_image_init(struct hs_image *image, const struct hs_space *space, hs_va base,
                                           uint64_t size, const char *name, struct hs_notes *notes,
                                           struct hs_error *err);
void hs_image_deinit(struct hs_image *image);

/* The RSDS record of CodeView bytes (from an image or from a dump's module list): PDB file name (escaped) and id, both
 * in `arena`. HS_NOT_FOUND if it is none; HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_image_codeview(struct hs_span codeview, struct hs_arena *arena,
                                               const char **pdb_name_ret, const char **pdb_id_ret);

/* Nearest export at or below `va`; NULL if there is none. Whether it may be believed is the caller's business. */
const struct hs_export *hs_image_nearest(const struct hs_image *image, hs_va va);
/* The export of that name, or with that ordinal for the name "Ordinal577"; NULL if there is none. */
const struct hs_export *hs_image_named(const struct hs_image *image, const char *name);

/* The section that holds `va`, or NULL. */
const struct hs_section *hs_image_section_at(const struct hs_image *image, hs_va va);

/* ---- PDBs ---- */

struct hs_pdb;

/* Opens a PDB lazily: superblock, directory and two headers are read; the file is mapped and must not shrink.
 * HS_ERR_IO, HS_ERR_FORMAT, HS_ERR_UNSUPPORTED, HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_pdb_open(const char *path, struct hs_pdb **pdb_ret, struct hs_error *err);
/* The same over bytes that the caller keeps. */
HS_MUST_CHECK enum hs_status hs_pdb_open_bytes(struct hs_span bytes, struct hs_pdb **pdb_ret, struct hs_error *err);
void hs_pdb_close(struct hs_pdb *pdb);

/* GUID and age, written as RSDS ids are (hs_image.pdb_id). */
const char *hs_pdb_id(const struct hs_pdb *pdb);
/* Whether an image with that RSDS id was linked with this PDB. */
bool hs_pdb_matches(const struct hs_pdb *pdb, const char *id);

struct hs_pdb_symbol {
    const char *name; /* as the PDB has it, fit to be shown; valid while the PDB is open */
    uint32_t rva;
    uint32_t size;  /* bytes; 0 if not told */
    bool has_size;  /* a function */
    bool is_public; /* the name is decorated */
    bool is_data;
};

/* The symbol at or below an address of the image. *near_ret: the address lies inside it: for a function its size says so;
 * a public goes to the next symbol or to the end of what its object file contributed. False if there is none. What is
 * needed is indexed when first asked for. Any thread. *offset_ret: bytes from the symbol on, as the compiler laid it out
 * (a tool may have moved parts of a function since). */
bool hs_pdb_at(struct hs_pdb *pdb, uint32_t rva, struct hs_pdb_symbol *symbol_ret, uint32_t *offset_ret,
               bool *near_ret);
/* The public, function or data of that name, without its decoration or as it stands in the file. */
bool hs_pdb_named(struct hs_pdb *pdb, const char *name, struct hs_pdb_symbol *symbol_ret);

/* Steps through all publics and data by address, then all functions by object file. Starts from zeros. False past the
 * last. */
struct hs_pdb_cursor {
    size_t entry, module, procedure;
};
bool hs_pdb_next(struct hs_pdb *pdb, struct hs_pdb_cursor *cursor, struct hs_pdb_symbol *symbol_ret);

/* symbols.c: what x86 linkers put around a name in C is taken off: "_name", "name@8", "_name@8", "@fast@8"; on x64 only
 * "name@@16" has something. C++ names ("?...") stay whole. Returns the length of *plain_ret, a part of `name`. */
size_t hs_symbol_plain(const char *name, size_t size, bool is_x86, const char **plain_ret);
/* Names an address of the image from the PDB (NULL: none) and the exports: fills has_name, name, ordinal, offset, size,
 * near_name, source, is_decorated; leaves them where nothing names it. */
void hs_image_symbol(const struct hs_image *image, struct hs_pdb *pdb, hs_va va, struct hs_symbol *symbol);

#endif
