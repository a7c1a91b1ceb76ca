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

/* ---- types of a PDB (types.c) ---- */

enum hs_type_kind {
    HS_TYPE_UNKNOWN, /* a record that describes no data, or one of a kind that is not read */
    HS_TYPE_BASE,
    HS_TYPE_POINTER,
    HS_TYPE_ARRAY,
    HS_TYPE_STRUCT,
    HS_TYPE_UNION,
    HS_TYPE_ENUM,
    HS_TYPE_FUNCTION,
    HS_TYPE_BIT_FIELD, /* members tell it of themselves: only met by number */
    HS_TYPE_VTABLE     /* what a vtable pointer points to */
};

enum hs_type_encoding {
    HS_ENCODING_VOID,
    HS_ENCODING_SIGNED,
    HS_ENCODING_UNSIGNED,
    HS_ENCODING_FLOAT,
    HS_ENCODING_BOOL,
    HS_ENCODING_CHARACTER
};

/* A type. Others are named by their numbers: ask hs_pdb_type. */
struct hs_type {
    uint32_t id; /* its number: of the definition, where a forward reference was asked for */
    enum hs_type_kind kind;
    const char *name;               /* "" if it has none; fit to be shown; valid while the PDB is open */
    uint64_t size;                  /* bytes; 0 for functions and for what is only declared */
    enum hs_type_encoding encoding; /* of a base type */
    uint32_t target;  /* pointer: to what; array: of what; enum: stored as; function: returns; bit field: of what */
    uint64_t count;   /* array: elements; 0 where the size of one is not known */
    uint32_t members; /* struct, union, enum: for hs_pdb_next_member; 0: none */
    uint8_t bit_position, bit_width;
    bool is_class, is_reference, is_const, is_volatile;
    bool is_forward; /* only declared: the PDB has no definition */
};

/* The type of that number; const and volatile are looked through and told in flags, forward references are resolved to
 * their definition. False if there is none. Any thread. */
bool hs_pdb_type(struct hs_pdb *pdb, uint32_t id, struct hs_type *type_ret);
/* The definition of that name: "_HEAP", "geo::Box<int,4>"; of several the first. */
bool hs_pdb_type_named(struct hs_pdb *pdb, const char *name, struct hs_type *type_ret);
/* Steps through all definitions of structs, unions and enums. Starts from zeros. False past the last. */
struct hs_type_cursor {
    uint32_t id;
    uint64_t off;
};
bool hs_pdb_next_type(struct hs_pdb *pdb, struct hs_type_cursor *cursor, struct hs_type *type_ret);

enum hs_member_kind {
    HS_MEMBER_FIELD,
    HS_MEMBER_BASE,         /* a base class lies there; no name */
    HS_MEMBER_VIRTUAL_BASE, /* offset: of the pointer to the table that leads to it */
    HS_MEMBER_VTABLE,       /* the class has a vtable pointer of its own, at its start */
    HS_MEMBER_STATIC,
    HS_MEMBER_ENUMERATOR,
    HS_MEMBER_TYPE, /* a type declared inside */
    HS_MEMBER_METHOD
};

struct hs_member {
    enum hs_member_kind kind;
    const char *name;
    uint32_t type;                   /* number; of a bit field: what it is stored in */
    uint64_t offset;                 /* bytes from the start */
    int64_t value;                   /* of an enumerator */
    uint8_t bit_position, bit_width; /* width 0: no bit field */
};

/* Steps through the members of a struct, union or enum in the order of their declaration. Starts from zeros. False past
 * the last, or where the list is damaged. */
struct hs_member_cursor {
    uint32_t list;
    size_t off;
    unsigned continued;
};
bool hs_pdb_next_member(struct hs_pdb *pdb, const struct hs_type *type, struct hs_member_cursor *cursor,
                        struct hs_member *member_ret);

/* symbols.c: what x86 linkers put around a name in C is taken off: "_name", "name@8", "_name@8", "@fast@8"; on x64 only
 * "name@@16" has something. C++ names ("?...") stay whole. Returns the length of *plain_ret, a part of `name`. */
size_t hs_symbol_plain(const char *name, size_t size, bool is_x86, const char **plain_ret);
/* Names an address of the image from the PDB (NULL: none) and the exports: fills has_name, name, ordinal, offset, size,
 * near_name, source, is_decorated; leaves them where nothing names it. */
void hs_image_symbol(const struct hs_image *image, struct hs_pdb *pdb, hs_va va, struct hs_symbol *symbol);

#endif
