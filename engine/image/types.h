/* types.h - inside image/: the records of a PDB's types, found by number and by name. */
#ifndef HS_IMAGE_TYPES_H
#define HS_IMAGE_TYPES_H

#include "image/pdb.h"

#define HS_TYPES_FIRST 0x1000u /* numbers below are of types that need no record */

/* The stream, and how a number leads to its record. */
struct hs_types {
    struct hs_msf_bytes records, hashes, places;
    struct hs_span bodies; /* the records behind the header */
    uint32_t first, end;   /* numbers */
    uint32_t bucket_count; /* of `hashes`; 0: no hashes */
    uint8_t *own_places;   /* rows as in `places`: number, offset; every CHECKPOINT records */
    struct hs_span rows;
};

/* Bytes still to be read of one record. */
struct hs_type_record {
    const uint8_t *at, *end;
};

/* Bytes left; what is taken past the last is 0. */
size_t hs_type_left(const struct hs_type_record *record);
uint16_t hs_type_u16(struct hs_type_record *record);
uint32_t hs_type_u32(struct hs_type_record *record);
/* A number of the kind that CodeView calls numeric leaf: small ones stand for themselves. */
uint64_t hs_type_number(struct hs_type_record *record);
/* A name and the 0 behind it; empty if it has no end. */
struct hs_span hs_type_name(struct hs_type_record *record);

/* The types of a PDB, opened when first asked for; NULL when out of memory. */
struct hs_types *hs_types_need(struct hs_pdb *pdb);
/* The record at `off` of the bodies; false past the last. *next_ret: where the next one begins. */
bool hs_types_at(const struct hs_types *types, uint64_t off, struct hs_type_record *record_ret, uint64_t *next_ret);
bool hs_types_find(const struct hs_types *types, uint32_t id, struct hs_type_record *record_ret);

/* What the record of a class, union or enum says. */
struct hs_type_named {
    enum hs_type_kind kind;
    bool is_class, is_forward;
    uint32_t fields, underlying; /* numbers: the list of members; of an enum, what it is stored as */
    uint64_t size;
    struct hs_span name, unique;
};

/* False for any other record. */
bool hs_type_read_named(struct hs_type_record record, struct hs_type_named *ret);
/* Number of the definition of what `named` declares; 0 if the PDB has none. */
uint32_t hs_types_definition(const struct hs_types *types, const struct hs_type_named *named);
/* Number of the definition of that name; 0 if the PDB has none. */
uint32_t hs_types_named(const struct hs_types *types, const char *name);

#endif
