/* types.c - the types of a PDB, read by name or number when they are asked for.
 * Layouts: LLVM's "The PDB TPI and IPI Streams" and CodeViewTypes, Microsoft's published cvinfo.h. */
#include "image/pdb.h"

#include <stdlib.h>

#define HEADER_SIZE 56u
#define FIRST_ID 0x1000u /* below are the types that need no record */
#define CHECKPOINT 64u   /* records between two places that are remembered, where the PDB does not tell them itself */
#define GAP_MAX 1024u    /* records between two places that the PDB tells: linkers tell one each 8 KiB */
#define STEPS_MAX 64u    /* modifiers on one type; continued lists of members */
#define TRIES_MAX 4096u  /* records of one hash */
#define NO_STREAM 0xffffu

#define LEAF_MODIFIER 0x1001u
#define LEAF_POINTER 0x1002u
#define LEAF_PROCEDURE 0x1008u
#define LEAF_MEMBER_FUNCTION 0x1009u
#define LEAF_FIELDS 0x1203u
#define LEAF_BIT_FIELD 0x1205u
#define LEAF_ARRAY 0x1503u
#define LEAF_CLASS 0x1504u
#define LEAF_STRUCTURE 0x1505u
#define LEAF_UNION 0x1506u
#define LEAF_ENUM 0x1507u
#define LEAF_INTERFACE 0x1519u
#define LEAF_VTABLE_SHAPE 0x000au

#define PROPERTY_FORWARD 0x80u
#define PROPERTY_UNIQUE_NAME 0x200u

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
struct cursor {
    const uint8_t *at, *end;
};

static size_t left(const struct cursor *cursor)
{
    return (size_t)(cursor->end - cursor->at);
}

static uint16_t take_u16(struct cursor *cursor)
{
    uint16_t value = left(cursor) >= 2 ? hs_load_u16(cursor->at) : 0;

    cursor->at = left(cursor) >= 2 ? cursor->at + 2 : cursor->end;
    return value;
}

static uint32_t take_u32(struct cursor *cursor)
{
    uint32_t value = left(cursor) >= 4 ? hs_load_u32(cursor->at) : 0;

    cursor->at = left(cursor) >= 4 ? cursor->at + 4 : cursor->end;
    return value;
}

/* A number of the kind that CodeView calls numeric leaf: small ones stand for themselves. */
static uint64_t take_number(struct cursor *cursor)
{
    static const struct {
        uint16_t leaf;
        uint8_t size;
        bool is_signed;
    } kinds[] = {{0x8000, 1, true},  {0x8001, 2, true}, {0x8002, 2, false}, {0x8003, 4, true},
                 {0x8004, 4, false}, {0x8009, 8, true}, {0x800a, 8, false}};
    uint16_t leaf = take_u16(cursor);
    uint64_t value;

    if (leaf < 0x8000)
        return leaf;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        unsigned bits = kinds[i].size * 8u;

        if (kinds[i].leaf != leaf || left(cursor) < kinds[i].size)
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

/* A name and the 0 behind it; empty if it has no end. */
static struct hs_span take_name(struct cursor *cursor)
{
    const uint8_t *end = left(cursor) ? memchr(cursor->at, 0, left(cursor)) : NULL;
    struct hs_span name = {cursor->at, end ? (uint64_t)(end - cursor->at) : 0};

    cursor->at = end ? end + 1 : cursor->end;
    return name;
}

static const char *shown_name(struct hs_pdb *pdb, struct hs_span name)
{
    const char *text = name.size ? hs_pdb_text(pdb, name.bytes, name.bytes + name.size + 1) : "";

    return text ? text : "";
}

/* ---- from numbers to records ---- */

/* The record at `off` of the bodies; false past the last. *next_ret: where the next one begins. */
static bool record_at(const struct hs_types *types, uint64_t off, struct cursor *record_ret, uint64_t *next_ret)
{
    uint16_t size;

    if (!hs_span_u16(types->bodies, off, &size) || size < 2 || (uint64_t)size + 2 > types->bodies.size - off)
        return false;
    *record_ret = (struct cursor){types->bodies.bytes + off + 2, types->bodies.bytes + off + 2 + size};
    *next_ret = off + 2 + size;
    return true;
}

/* Remembers every CHECKPOINT-th record. */
static bool make_places(struct hs_types *types)
{
    uint64_t most = types->bodies.size / 4 / CHECKPOINT + 1, count = 0, off = 0, next;
    uint32_t id = types->first;
    struct cursor record;

    types->own_places = malloc(most * 8);
    if (!types->own_places)
        return false;
    for (; id < types->end && record_at(types, off, &record, &next); id++, off = next) {
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

static bool find_record(const struct hs_types *types, uint32_t id, struct cursor *record_ret)
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
    while (record_at(types, off, record_ret, &next)) {
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
    enum hs_status status = hs_msf_load(&pdb->msf, HS_PDB_TYPES_STREAM, 0, UINT32_MAX, &types->records);

    if (status != HS_OK)
        return status != HS_ERR_MEMORY; /* without types */
    if (types->records.span.size < HEADER_SIZE)
        return true;
    memcpy(header, types->records.span.bytes, HEADER_SIZE);
    types->first = hs_load_u32(header + 8);
    types->end = hs_load_u32(header + 12);
    size = hs_load_u32(header + 4);
    if (size < HEADER_SIZE || size >= types->records.span.size || types->first < FIRST_ID ||
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

static struct hs_types *need_types(struct hs_pdb *pdb)
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

struct named {
    uint16_t leaf, properties;
    uint32_t fields, underlying;
    uint64_t size;
    struct hs_span name, unique;
};

/* Reads the record of a class, union or enum; false for any other. */
static bool read_named(struct cursor record, struct named *ret)
{
    *ret = (struct named){.leaf = take_u16(&record)};
    if (ret->leaf != LEAF_CLASS && ret->leaf != LEAF_STRUCTURE && ret->leaf != LEAF_INTERFACE &&
        ret->leaf != LEAF_UNION && ret->leaf != LEAF_ENUM)
        return false;
    take_u16(&record); /* count of members: the list tells it too */
    ret->properties = take_u16(&record);
    if (ret->leaf == LEAF_ENUM)
        ret->underlying = take_u32(&record);
    ret->fields = take_u32(&record);
    if (ret->leaf != LEAF_ENUM && ret->leaf != LEAF_UNION)
        take_u32(&record), take_u32(&record); /* derived from, vtable shape */
    if (ret->leaf != LEAF_ENUM)
        ret->size = take_number(&record);
    ret->name = take_name(&record);
    if (ret->properties & PROPERTY_UNIQUE_NAME)
        ret->unique = take_name(&record);
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
static bool defines(struct cursor record, struct hs_span name, bool unique)
{
    struct named named;

    return read_named(record, &named) && !(named.properties & PROPERTY_FORWARD) &&
           same(unique ? named.unique : named.name, name);
}

/* Number of the definition whose record has this hash; 0 if there is none. */
static uint32_t find_hashed(const struct hs_types *types, struct hs_span hashed, struct hs_span name, bool unique)
{
    uint32_t bucket = types->bucket_count ? hash_name(hashed) % types->bucket_count : 0;
    unsigned tries = 0;
    struct cursor record;

    for (uint32_t id = types->first; types->bucket_count && id < types->end && tries < TRIES_MAX; id++) {
        if (hs_load_u32(types->hashes.span.bytes + 4 * (size_t)(id - types->first)) != bucket)
            continue;
        tries++;
        if (find_record(types, id, &record) && defines(record, name, unique))
            return id;
    }
    return 0;
}

/* The same by looking at every record: local types have other hashes, and old PDBs none at all. */
static uint32_t find_anywhere(const struct hs_types *types, struct hs_span name, bool unique)
{
    uint64_t off = 0, next;
    struct cursor record;

    for (uint32_t id = types->first; id < types->end && record_at(types, off, &record, &next); id++, off = next)
        if (defines(record, name, unique))
            return id;
    return 0;
}

/* Number of the definition of what `named` declares; 0 if the PDB has none. */
static uint32_t find_definition(const struct hs_types *types, const struct named *named)
{
    bool unique = named->unique.size > 0;
    struct hs_span name = unique ? named->unique : named->name;
    uint32_t id;

    if (!types->bucket_count)
        return find_anywhere(types, name, unique);
    id = find_hashed(types, named->name, name, unique);
    return id || !unique ? id : find_hashed(types, name, name, unique);
}

/* ---- one type ---- */

static const struct {
    uint8_t kind, size;
    enum hs_type_encoding encoding;
    const char *name;
} base_types[] = {
    {0x03, 0, HS_ENCODING_VOID, "void"},
    {0x08, 4, HS_ENCODING_SIGNED, "HRESULT"},
    {0x10, 1, HS_ENCODING_CHARACTER, "signed char"},
    {0x11, 2, HS_ENCODING_SIGNED, "short"},
    {0x12, 4, HS_ENCODING_SIGNED, "long"},
    {0x13, 8, HS_ENCODING_SIGNED, "__int64"},
    {0x14, 16, HS_ENCODING_SIGNED, "__int128"},
    {0x20, 1, HS_ENCODING_UNSIGNED, "unsigned char"},
    {0x21, 2, HS_ENCODING_UNSIGNED, "unsigned short"},
    {0x22, 4, HS_ENCODING_UNSIGNED, "unsigned long"},
    {0x23, 8, HS_ENCODING_UNSIGNED, "unsigned __int64"},
    {0x24, 16, HS_ENCODING_UNSIGNED, "unsigned __int128"},
    {0x30, 1, HS_ENCODING_BOOL, "bool"},
    {0x31, 2, HS_ENCODING_BOOL, "__bool16"},
    {0x32, 4, HS_ENCODING_BOOL, "__bool32"},
    {0x33, 8, HS_ENCODING_BOOL, "__bool64"},
    {0x40, 4, HS_ENCODING_FLOAT, "float"},
    {0x41, 8, HS_ENCODING_FLOAT, "double"},
    {0x42, 10, HS_ENCODING_FLOAT, "long double"},
    {0x43, 16, HS_ENCODING_FLOAT, "__float128"},
    {0x46, 2, HS_ENCODING_FLOAT, "__half"},
    {0x68, 1, HS_ENCODING_SIGNED, "__int8"},
    {0x69, 1, HS_ENCODING_UNSIGNED, "unsigned __int8"},
    {0x70, 1, HS_ENCODING_CHARACTER, "char"},
    {0x71, 2, HS_ENCODING_CHARACTER, "wchar_t"},
    {0x72, 2, HS_ENCODING_SIGNED, "__int16"},
    {0x73, 2, HS_ENCODING_UNSIGNED, "unsigned __int16"},
    {0x74, 4, HS_ENCODING_SIGNED, "int"},
    {0x75, 4, HS_ENCODING_UNSIGNED, "unsigned int"},
    {0x76, 8, HS_ENCODING_SIGNED, "__int64"},
    {0x77, 8, HS_ENCODING_UNSIGNED, "unsigned __int64"},
    {0x78, 16, HS_ENCODING_SIGNED, "__int128"},
    {0x79, 16, HS_ENCODING_UNSIGNED, "unsigned __int128"},
    {0x7a, 2, HS_ENCODING_CHARACTER, "char16_t"},
    {0x7b, 4, HS_ENCODING_CHARACTER, "char32_t"},
    {0x7c, 1, HS_ENCODING_CHARACTER, "char8_t"},
};

/* A type that needs no record: bits 0-7 say which, 8-11 what kind of pointer to it. */
static bool simple_type(uint32_t id, struct hs_type *type)
{
    static const uint8_t pointer_sizes[] = {0, 2, 4, 4, 4, 6, 8, 16};
    uint32_t mode = id >> 8 & 0xf;

    if (mode) {
        type->kind = HS_TYPE_POINTER;
        type->size = mode < sizeof pointer_sizes ? pointer_sizes[mode] : 0;
        type->target = id & 0xff;
        return true;
    }
    for (size_t i = 0; i < sizeof base_types / sizeof *base_types; i++) {
        if (base_types[i].kind != id)
            continue;
        type->kind = HS_TYPE_BASE;
        type->size = base_types[i].size;
        type->encoding = base_types[i].encoding;
        type->name = base_types[i].name;
        return true;
    }
    return id == 0; /* "no type": an unknown one */
}

static void read_array(struct hs_pdb *pdb, struct cursor record, struct hs_type *type)
{
    type->kind = HS_TYPE_ARRAY;
    type->target = take_u32(&record);
    take_u32(&record); /* type of the index */
    type->size = take_number(&record);
    type->name = shown_name(pdb, take_name(&record));
}

static void read_pointer(struct cursor record, struct hs_type *type)
{
    uint32_t attributes;

    type->kind = HS_TYPE_POINTER;
    type->target = take_u32(&record);
    attributes = take_u32(&record);
    type->size = attributes >> 13 & 0x3f;
    type->is_reference = (attributes >> 5 & 7) == 1 || (attributes >> 5 & 7) == 4;
}

static void read_bit_field(struct cursor record, struct hs_type *type)
{
    type->kind = HS_TYPE_BIT_FIELD;
    type->target = take_u32(&record);
    if (left(&record) >= 2) {
        type->bit_width = record.at[0];
        type->bit_position = record.at[1];
    }
}

static void fill_named(struct hs_pdb *pdb, const struct named *named, struct hs_type *type)
{
    type->kind = named->leaf == LEAF_UNION ? HS_TYPE_UNION : named->leaf == LEAF_ENUM ? HS_TYPE_ENUM : HS_TYPE_STRUCT;
    type->is_class = named->leaf == LEAF_CLASS;
    type->is_forward = (named->properties & PROPERTY_FORWARD) != 0;
    type->name = shown_name(pdb, named->name);
    type->size = named->size;
    type->target = named->underlying;
    type->members = type->is_forward ? 0 : named->fields;
}

/* One record; *again_ret: what it modifies, to be looked at in its place. */
static bool read_type(struct hs_pdb *pdb, const struct hs_types *types, uint32_t id, struct hs_type *type,
                      uint32_t *again_ret)
{
    struct cursor record, body;
    struct named named;
    uint32_t definition;
    uint16_t flags;

    *again_ret = 0;
    type->id = id;
    if (id < FIRST_ID)
        return simple_type(id, type);
    if (!find_record(types, id, &record))
        return false;
    if (read_named(record, &named)) {
        definition = named.properties & PROPERTY_FORWARD ? find_definition(types, &named) : 0;
        if (definition && find_record(types, definition, &record) && read_named(record, &named))
            type->id = definition;
        fill_named(pdb, &named, type);
        return true;
    }
    body = record;
    switch (take_u16(&body)) {
    case LEAF_MODIFIER:
        *again_ret = take_u32(&body);
        if (*again_ret >= id)
            *again_ret = 0; /* records only name those before them */
        flags = take_u16(&body);
        type->is_const |= (flags & 1) != 0;
        type->is_volatile |= (flags & 2) != 0;
        break;
    case LEAF_POINTER: read_pointer(body, type); break;
    case LEAF_ARRAY: read_array(pdb, body, type); break;
    case LEAF_BIT_FIELD: read_bit_field(body, type); break;
    case LEAF_PROCEDURE:
    case LEAF_MEMBER_FUNCTION:
        type->kind = HS_TYPE_FUNCTION;
        type->target = take_u32(&body);
        break;
    case LEAF_VTABLE_SHAPE: type->kind = HS_TYPE_VTABLE; break;
    default: break; /* HS_TYPE_UNKNOWN */
    }
    return true;
}

static bool type_of(struct hs_pdb *pdb, const struct hs_types *types, uint32_t id, struct hs_type *type)
{
    struct hs_type stored = {0};
    uint32_t again;

    *type = (struct hs_type){.name = ""};
    for (unsigned step = 0; step < STEPS_MAX; step++) {
        if (!read_type(pdb, types, id, type, &again))
            return false;
        if (!again) {
            if (type->kind == HS_TYPE_ENUM && type->target < FIRST_ID && simple_type(type->target, &stored))
                type->size = stored.size; /* its record does not tell */
            return true;
        }
        id = again;
    }
    return false;
}

bool hs_pdb_type(struct hs_pdb *pdb, uint32_t id, struct hs_type *type_ret)
{
    const struct hs_types *types = need_types(pdb);
    struct hs_type element;

    if (!types || !type_of(pdb, types, id, type_ret))
        return false;
    /* The record of an array tells bytes; how many elements they are follows from the size of one. */
    if (type_ret->kind == HS_TYPE_ARRAY && type_of(pdb, types, type_ret->target, &element) && element.size)
        type_ret->count = type_ret->size / element.size;
    return true;
}

bool hs_pdb_type_named(struct hs_pdb *pdb, const char *name, struct hs_type *type_ret)
{
    const struct hs_types *types = need_types(pdb);
    struct hs_span span = {(const uint8_t *)name, strlen(name)};
    uint32_t id;

    if (!types || span.size == 0)
        return false;
    id = find_hashed(types, span, span, false);
    if (!id)
        id = find_anywhere(types, span, false);
    return id && hs_pdb_type(pdb, id, type_ret);
}

bool hs_pdb_next_type(struct hs_pdb *pdb, struct hs_type_cursor *cursor, struct hs_type *type_ret)
{
    const struct hs_types *types = need_types(pdb);
    struct cursor record;
    struct named named;
    uint64_t next;

    if (!types)
        return false;
    if (cursor->id < types->first)
        *cursor = (struct hs_type_cursor){types->first, 0};
    while (cursor->id < types->end && record_at(types, cursor->off, &record, &next)) {
        uint32_t id = cursor->id;

        *cursor = (struct hs_type_cursor){id + 1, next};
        if (!read_named(record, &named) || named.properties & PROPERTY_FORWARD)
            continue;
        *type_ret = (struct hs_type){.id = id, .name = ""};
        fill_named(pdb, &named, type_ret);
        return true;
    }
    return false;
}

/* ---- members ---- */

/* What stands in a list of members, by leaf: the parts behind it, in order. */
enum part { END, SKIP_U16, TYPE, OFFSET, VALUE, SKIP_NUMBER, SKIP_TYPE, NAME, INTRODUCES };
static const struct {
    uint16_t leaf;
    enum hs_member_kind kind;
    uint8_t parts[6];
} member_leaves[] = {
    {0x150d, HS_MEMBER_FIELD, {SKIP_U16, TYPE, OFFSET, NAME}},
    {0x150e, HS_MEMBER_STATIC, {SKIP_U16, TYPE, NAME}},
    {0x1400, HS_MEMBER_BASE, {SKIP_U16, TYPE, OFFSET}},
    {0x151a, HS_MEMBER_BASE, {SKIP_U16, TYPE, OFFSET}}, /* of an interface */
    {0x1401, HS_MEMBER_VIRTUAL_BASE, {SKIP_U16, TYPE, SKIP_TYPE, OFFSET, SKIP_NUMBER}},
    {0x1402, HS_MEMBER_VIRTUAL_BASE, {SKIP_U16, TYPE, SKIP_TYPE, OFFSET, SKIP_NUMBER}}, /* indirect */
    {0x1409, HS_MEMBER_VTABLE, {SKIP_U16, TYPE}},
    {0x1502, HS_MEMBER_ENUMERATOR, {SKIP_U16, VALUE, NAME}},
    {0x1510, HS_MEMBER_TYPE, {SKIP_U16, TYPE, NAME}},
    {0x150f, HS_MEMBER_METHOD, {SKIP_U16, TYPE, NAME}},
    {0x1511, HS_MEMBER_METHOD, {INTRODUCES, NAME}},
};

#define LEAF_CONTINUED 0x1404u

/* LF_ONEMETHOD: attributes, type, and an offset where the method is a new virtual one (property 4 or 6). */
static void take_method(struct cursor *cursor, struct hs_member *member)
{
    uint16_t property = take_u16(cursor) >> 2 & 7;

    member->type = take_u32(cursor);
    if (property == 4 || property == 6)
        take_u32(cursor);
}

static void take_part(struct hs_pdb *pdb, struct cursor *cursor, enum part part, struct hs_member *member)
{
    switch (part) {
    case SKIP_U16: take_u16(cursor); break;
    case TYPE: member->type = take_u32(cursor); break;
    case OFFSET: member->offset = take_number(cursor); break;
    case VALUE: member->value = (int64_t)take_number(cursor); break;
    case SKIP_NUMBER: take_number(cursor); break;
    case SKIP_TYPE: take_u32(cursor); break;
    case NAME: member->name = shown_name(pdb, take_name(cursor)); break;
    case INTRODUCES: take_method(cursor, member); break;
    case END: break;
    }
}

static bool take_member(struct hs_pdb *pdb, struct cursor *cursor, uint16_t leaf, struct hs_member *member)
{
    for (size_t i = 0; i < sizeof member_leaves / sizeof *member_leaves; i++) {
        if (member_leaves[i].leaf != leaf)
            continue;
        member->kind = member_leaves[i].kind;
        for (size_t k = 0; k < sizeof member_leaves[i].parts && member_leaves[i].parts[k] != END; k++)
            take_part(pdb, cursor, (enum part)member_leaves[i].parts[k], member);
        return true;
    }
    return false;
}

bool hs_pdb_next_member(struct hs_pdb *pdb, const struct hs_type *type, struct hs_member_cursor *place,
                        struct hs_member *member_ret)
{
    const struct hs_types *types = need_types(pdb);
    struct cursor list;
    struct hs_type bits;
    uint32_t next_list;
    uint16_t leaf;

    if (!types)
        return false;
    if (place->list == 0)
        *place = (struct hs_member_cursor){type->members, 0, 0};
    while (place->list && find_record(types, place->list, &list) && take_u16(&list) == LEAF_FIELDS &&
           place->off < left(&list)) {
        const uint8_t *start = list.at;

        list.at += place->off;
        if (*list.at >= 0xf0) { /* padding */
            place->off++;
            continue;
        }
        leaf = take_u16(&list);
        if (leaf == LEAF_CONTINUED) {
            take_u16(&list);
            next_list = take_u32(&list);
            if (next_list >= place->list || ++place->continued > STEPS_MAX)
                return false; /* records only name those before them */
            place->list = next_list;
            place->off = 0;
            continue;
        }
        *member_ret = (struct hs_member){.name = ""};
        if (!take_member(pdb, &list, leaf, member_ret))
            return false; /* where it ends is unknown */
        place->off = (size_t)(list.at - start);
        if (member_ret->kind == HS_MEMBER_FIELD && type_of(pdb, types, member_ret->type, &bits) &&
            bits.kind == HS_TYPE_BIT_FIELD) {
            member_ret->type = bits.target;
            member_ret->bit_position = bits.bit_position;
            member_ret->bit_width = bits.bit_width;
        }
        return true;
    }
    return false;
}
