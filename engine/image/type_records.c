/* type_records.c - the records of a PDB's types: found by number and by name, read part by part.
 * Layouts: LLVM's "The PDB TPI and IPI Streams" and CodeViewTypes, Microsoft's published cvinfo.h. */
#include "image/types.h"

#include <stdlib.h>

#define TYPES_STREAM 2u
#define HEADER_SIZE 56u
#define CHECKPOINT 64u  /* records between two places that are remembered, where the PDB does not tell them itself */
#define GAP_MAX 1024u   /* records between two places that the PDB tells: linkers tell one each 8 KiB */
#define TRIES_MAX 4096u /* records of one hash */
#define NO_STREAM 0xffffu
#define LEAF_CLASS 0x1504u
#define LEAF_STRUCTURE 0x1505u
#define LEAF_UNION 0x1506u
#define LEAF_ENUM 0x1507u
#define LEAF_INTERFACE 0x1519u
#define PROPERTY_FORWARD 0x80u
#define PROPERTY_UNIQUE_NAME 0x200u

size_t hs_type_left(const struct hs_type_record *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

uint16_t hs_type_u16(struct hs_type_record *cursor)
{
    uint16_t value = hs_type_left(cursor) >= 2 ? hs_load_u16(cursor->at) : 0;

    cursor->at = hs_type_left(cursor) >= 2 ? cursor->at + 2 : cursor->end;
    return value;
}

uint32_t hs_type_u32(struct hs_type_record *cursor)
{
    uint32_t value = hs_type_left(cursor) >= 4 ? hs_load_u32(cursor->at) : 0;

    cursor->at = hs_type_left(cursor) >= 4 ? cursor->at + 4 : cursor->end;
    return value;
}

uint64_t hs_type_number(struct hs_type_record *cursor)
{
    static const struct {
        uint16_t leaf;
        uint8_t size;
        bool is_signed;
    } kinds[] = {{0x8000, 1, true},  {0x8001, 2, true}, {0x8002, 2, false}, {0x8003, 4, true},
                 {0x8004, 4, false}, {0x8009, 8, true}, {0x800a, 8, false}};
    uint16_t leaf = hs_type_u16(cursor);
    uint64_t value;

    if (leaf < 0x8000)
        return leaf;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        unsigned bits = kinds[i].size * 8u;

        if (kinds[i].leaf != leaf || hs_type_left(cursor) < kinds[i].size)
            continue;
        value = hs_load_uint(cursor->at, kinds[i].size);
        cursor->at += kinds[i].size;
        if (kinds[i].is_signed && bits < 64 && value >> (bits - 1) & 1)
            value |= UINT64_MAX << bits;
        return value;
    }
    cursor->at = cursor->end; /* a kind of number that no layout has: where it ends is unknown */
    return 0;
}

struct hs_span hs_type_name(struct hs_type_record *cursor)
{
    const uint8_t *end = hs_type_left(cursor) ? memchr(cursor->at, 0, hs_type_left(cursor)) : NULL;
    struct hs_span name = {cursor->at, end ? (uint64_t)(end - cursor->at) : 0};

    cursor->at = end ? end + 1 : cursor->end;
    return name;
}

/* ---- from numbers to records ---- */

bool hs_types_at(const struct hs_types *types, uint64_t off, struct hs_type_record *record_ret, uint64_t *next_ret)
{
    uint16_t size;

    if (!hs_span_u16(types->bodies, off, &size) || size < 2 || (uint64_t)size + 2 > types->bodies.size - off)
        return false;
    *record_ret = (struct hs_type_record){types->bodies.bytes + off + 2, types->bodies.bytes + off + 2 + size};
    *next_ret = off + 2 + size;
    return true;
}

/* Remembers every CHECKPOINT-th record. */
static bool make_places(struct hs_types *types)
{
    uint64_t most = types->bodies.size / 4 / CHECKPOINT + 1, count = 0, off = 0, next;
    uint32_t id = types->first;
    struct hs_type_record record;

    types->own_places = malloc(most * 8);
    if (!types->own_places)
        return false;
    for (; id < types->end && hs_types_at(types, off, &record, &next); id++, off = next) {
        uint8_t *row = types->own_places + count * 8;

        if ((id - types->first) % CHECKPOINT != 0)
            continue;
        for (unsigned i = 0; i < 4; i++) {
            row[i] = (uint8_t)(id >> (8 * i));
            row[4 + i] = (uint8_t)(off >> (8 * i));
        }
        count++;
    }
    types->rows = (struct hs_span){types->own_places, count * 8};
    return true;
}

/* Whether the places that the PDB tells are of use: in order, from the first record to the last, close enough. */
static bool are_places(const struct hs_types *types, struct hs_span rows)
{
    uint32_t last = types->first;

    if (rows.size < 8 || hs_load_u32(rows.bytes) != types->first)
        return false;
    for (uint64_t off = 0; off + 8 <= rows.size; off += 8) {
        uint32_t id = hs_load_u32(rows.bytes + off);

        if (id < last || id - last > GAP_MAX)
            return false;
        last = id;
    }
    return last >= types->end || types->end - last <= GAP_MAX;
}

bool hs_types_find(const struct hs_types *types, uint32_t id, struct hs_type_record *record_ret)
{
    size_t low = 0, high = types->rows.size / 8;
    uint64_t off, next;
    uint32_t at;

    if (id < types->first || id >= types->end)
        return false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (hs_load_u32(types->rows.bytes + 8 * middle) <= id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    at = hs_load_u32(types->rows.bytes + 8 * (low - 1));
    off = hs_load_u32(types->rows.bytes + 8 * (low - 1) + 4);
    while (hs_types_at(types, off, record_ret, &next)) {
        if (at++ >= id)
            return true;
        off = next;
    }
    return false;
}

static bool open_types(struct hs_pdb *pdb, struct hs_types *types)
{
    uint8_t header[HEADER_SIZE];
    uint32_t size, hash_stream;
    enum hs_status status = hs_msf_load(&pdb->msf, TYPES_STREAM, 0, UINT32_MAX, &types->records);

    if (status != HS_OK)
        return status != HS_ERR_MEMORY; /* without types */
    if (types->records.span.size < HEADER_SIZE)
        return true;
    memcpy(header, types->records.span.bytes, HEADER_SIZE);
    types->first = hs_load_u32(header + 8);
    types->end = hs_load_u32(header + 12);
    size = hs_load_u32(header + 4);
    if (size < HEADER_SIZE || size >= types->records.span.size || types->first < HS_TYPES_FIRST ||
        types->end < types->first) {
        types->first = types->end = 0;
        return true;
    }
    types->bodies = (struct hs_span){types->records.span.bytes + size, types->records.span.size - size};
    if (hs_load_u32(header + 16) < types->bodies.size)
        types->bodies.size = hs_load_u32(header + 16);
    hash_stream = hs_load_u16(header + 20);
    if (hash_stream != NO_STREAM && hs_load_u32(header + 24) == 4) {
        status =
            hs_msf_load(&pdb->msf, hash_stream, hs_load_u32(header + 32), hs_load_u32(header + 36), &types->hashes);
        if (status == HS_OK && types->hashes.span.size / 4 >= types->end - types->first)
            types->bucket_count = hs_load_u32(header + 28);
        if (status != HS_ERR_MEMORY)
            status =
                hs_msf_load(&pdb->msf, hash_stream, hs_load_u32(header + 40), hs_load_u32(header + 44), &types->places);
        if (are_places(types, types->places.span))
            types->rows = types->places.span;
    }
    if (status == HS_ERR_MEMORY)
        return false;
    return types->rows.size > 0 || make_places(types);
}

void hs_types_destroy(struct hs_types *types)
{
    if (!types)
        return;
    hs_msf_unload(&types->records);
    hs_msf_unload(&types->hashes);
    hs_msf_unload(&types->places);
    free(types->own_places);
    free(types);
}

struct hs_types *hs_types_need(struct hs_pdb *pdb)
{
    struct hs_types *types = atomic_load_explicit(&pdb->types, memory_order_acquire);

    if (types)
        return types;
    pthread_mutex_lock(&pdb->lock);
    types = atomic_load_explicit(&pdb->types, memory_order_relaxed);
    if (!types && (types = calloc(1, sizeof *types))) {
        if (open_types(pdb, types)) {
            atomic_store_explicit(&pdb->types, types, memory_order_release);
        } else {
            hs_types_destroy(types);
            types = NULL;
        }
    }
    pthread_mutex_unlock(&pdb->lock);
    return types;
}

/* ---- classes, unions, enums ---- */

bool hs_type_read_named(struct hs_type_record record, struct hs_type_named *ret)
{
    static const struct {
        uint16_t leaf;
        enum hs_type_kind kind;
    } kinds[] = {{LEAF_CLASS, HS_TYPE_STRUCT},
                 {LEAF_STRUCTURE, HS_TYPE_STRUCT},
                 {LEAF_INTERFACE, HS_TYPE_STRUCT},
                 {LEAF_UNION, HS_TYPE_UNION},
                 {LEAF_ENUM, HS_TYPE_ENUM}};
    uint16_t leaf = hs_type_u16(&record), properties;
    size_t i = 0;

    while (i < sizeof kinds / sizeof *kinds && kinds[i].leaf != leaf)
        i++;
    if (i == sizeof kinds / sizeof *kinds)
        return false;
    hs_type_u16(&record); /* count of members: the list tells it too */
    properties = hs_type_u16(&record);
    *ret = (struct hs_type_named){
        .kind = kinds[i].kind, .is_class = leaf == LEAF_CLASS, .is_forward = (properties & PROPERTY_FORWARD) != 0};
    if (ret->kind == HS_TYPE_ENUM)
        ret->underlying = hs_type_u32(&record);
    ret->fields = hs_type_u32(&record);
    if (ret->kind == HS_TYPE_STRUCT)
        hs_type_u32(&record), hs_type_u32(&record); /* derived from, vtable shape */
    if (ret->kind != HS_TYPE_ENUM)
        ret->size = hs_type_number(&record);
    ret->name = hs_type_name(&record);
    if (properties & PROPERTY_UNIQUE_NAME)
        ret->unique = hs_type_name(&record);
    return true;
}

/* The hash of names in the hash stream: version 1 of Microsoft's string hash (microsoft-pdb, misc.h). */
static uint32_t hash_name(struct hs_span name)
{
    uint32_t hash = 0;
    uint64_t off = 0;

    for (; name.size - off >= 4; off += 4)
        hash ^= hs_load_u32(name.bytes + off);
    if (name.size - off >= 2) {
        hash ^= hs_load_u16(name.bytes + off);
        off += 2;
    }
    if (name.size - off == 1)
        hash ^= name.bytes[off];
    hash |= 0x20202020u;
    hash ^= hash >> 11;
    return hash ^ hash >> 16;
}

static bool same(struct hs_span a, struct hs_span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

/* Whether a record defines the type of that name (or, with `unique`, of that unique name). */
static bool defines(struct hs_type_record record, struct hs_span name, bool unique)
{
    struct hs_type_named named;

    return hs_type_read_named(record, &named) && !named.is_forward && same(unique ? named.unique : named.name, name);
}

/* Number of the definition whose record has this hash; 0 if there is none. */
static uint32_t find_hashed(const struct hs_types *types, struct hs_span hashed, struct hs_span name, bool unique)
{
    uint32_t bucket = types->bucket_count ? hash_name(hashed) % types->bucket_count : 0;
    unsigned tries = 0;
    struct hs_type_record record;

    for (uint32_t id = types->first; types->bucket_count && id < types->end && tries < TRIES_MAX; id++) {
        if (hs_load_u32(types->hashes.span.bytes + 4 * (size_t)(id - types->first)) != bucket)
            continue;
        tries++;
        if (hs_types_find(types, id, &record) && defines(record, name, unique))
            return id;
    }
    return 0;
}

/* The same by looking at every record: local types have other hashes, and old PDBs none at all. */
static uint32_t find_anywhere(const struct hs_types *types, struct hs_span name, bool unique)
{
    uint64_t off = 0, next;
    struct hs_type_record record;

    for (uint32_t id = types->first; id < types->end && hs_types_at(types, off, &record, &next); id++, off = next)
        if (defines(record, name, unique))
            return id;
    return 0;
}

uint32_t hs_types_definition(const struct hs_types *types, const struct hs_type_named *named)
{
    bool unique = named->unique.size > 0;
    struct hs_span name = unique ? named->unique : named->name;
    uint32_t id;

    if (!types->bucket_count)
        return find_anywhere(types, name, unique);
    id = find_hashed(types, named->name, name, unique);
    return id || !unique ? id : find_hashed(types, name, name, unique);
}

uint32_t hs_types_named(const struct hs_types *types, const char *name)
{
    struct hs_span span = {(const uint8_t *)name, strlen(name)};
    uint32_t id = span.size ? find_hashed(types, span, span, false) : 0;

    return id || !span.size ? id : find_anywhere(types, span, false);
}
