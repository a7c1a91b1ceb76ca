/* types.c - what the records of a PDB's types say, read when they are asked for.
 * Layouts: LLVM's "The PDB TPI and IPI Streams" and CodeViewTypes, Microsoft's published cvinfo.h. */
#include "image/types.h"

#define STEPS_MAX 64u /* modifiers on one type; continued lists of members */
#define LEAF_MODIFIER 0x1001u
#define LEAF_POINTER 0x1002u
#define LEAF_PROCEDURE 0x1008u
#define LEAF_MEMBER_FUNCTION 0x1009u
#define LEAF_FIELDS 0x1203u
#define LEAF_BIT_FIELD 0x1205u
#define LEAF_ARRAY 0x1503u
#define LEAF_VTABLE_SHAPE 0x000au

static const char *shown_name(struct hs_pdb *pdb, struct hs_span name)
{
    const char *text = name.size ? hs_pdb_text(pdb, name.bytes, name.bytes + name.size + 1) : "";

    return text ? text : "";
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

static void read_array(struct hs_pdb *pdb, struct hs_type_record record, struct hs_type *type)
{
    type->kind = HS_TYPE_ARRAY;
    type->target = hs_type_u32(&record);
    hs_type_u32(&record); /* type of the index */
    type->size = hs_type_number(&record);
    type->name = shown_name(pdb, hs_type_name(&record));
}

static void read_pointer(struct hs_type_record record, struct hs_type *type)
{
    uint32_t attributes;

    type->kind = HS_TYPE_POINTER;
    type->target = hs_type_u32(&record);
    attributes = hs_type_u32(&record);
    type->size = attributes >> 13 & 0x3f;
    type->is_reference = (attributes >> 5 & 7) == 1 || (attributes >> 5 & 7) == 4;
}

static void read_bit_field(struct hs_type_record record, struct hs_type *type)
{
    type->kind = HS_TYPE_BIT_FIELD;
    type->target = hs_type_u32(&record);
    if (hs_type_left(&record) >= 2) {
        type->bit_width = record.at[0];
        type->bit_position = record.at[1];
    }
}

static void fill_named(struct hs_pdb *pdb, const struct hs_type_named *named, struct hs_type *type)
{
    type->kind = named->kind;
    type->is_class = named->is_class;
    type->is_forward = named->is_forward;
    type->name = shown_name(pdb, named->name);
    type->size = named->size;
    type->target = named->underlying;
    type->members = type->is_forward ? 0 : named->fields;
}

/* One record; *again_ret: what it modifies, to be looked at in its place. */
static bool read_type(struct hs_pdb *pdb, const struct hs_types *types, uint32_t id, struct hs_type *type,
                      uint32_t *again_ret)
{
    struct hs_type_record record, body;
    struct hs_type_named named;
    uint32_t definition;
    uint16_t flags;

    *again_ret = 0;
    type->id = id;
    if (id < HS_TYPES_FIRST)
        return simple_type(id, type);
    if (!hs_types_find(types, id, &record))
        return false;
    if (hs_type_read_named(record, &named)) {
        definition = named.is_forward ? hs_types_definition(types, &named) : 0;
        if (definition && hs_types_find(types, definition, &record) && hs_type_read_named(record, &named))
            type->id = definition;
        fill_named(pdb, &named, type);
        return true;
    }
    body = record;
    switch (hs_type_u16(&body)) {
    case LEAF_MODIFIER:
        *again_ret = hs_type_u32(&body);
        if (*again_ret >= id)
            *again_ret = 0; /* records only name those before them */
        flags = hs_type_u16(&body);
        type->is_const |= (flags & 1) != 0;
        type->is_volatile |= (flags & 2) != 0;
        break;
    case LEAF_POINTER: read_pointer(body, type); break;
    case LEAF_ARRAY: read_array(pdb, body, type); break;
    case LEAF_BIT_FIELD: read_bit_field(body, type); break;
    case LEAF_PROCEDURE:
    case LEAF_MEMBER_FUNCTION:
        type->kind = HS_TYPE_FUNCTION;
        type->target = hs_type_u32(&body);
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
            if (type->kind == HS_TYPE_ENUM && type->target < HS_TYPES_FIRST && simple_type(type->target, &stored))
                type->size = stored.size; /* its record does not tell */
            return true;
        }
        id = again;
    }
    return false;
}

bool hs_pdb_type(struct hs_pdb *pdb, uint32_t id, struct hs_type *type_ret)
{
    const struct hs_types *types = hs_types_need(pdb);
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
    const struct hs_types *types = hs_types_need(pdb);
    uint32_t id = types ? hs_types_named(types, name) : 0;

    return id && hs_pdb_type(pdb, id, type_ret);
}

bool hs_pdb_next_type(struct hs_pdb *pdb, struct hs_type_cursor *cursor, struct hs_type *type_ret)
{
    const struct hs_types *types = hs_types_need(pdb);
    struct hs_type_record record;
    struct hs_type_named named;
    uint64_t next;

    if (!types)
        return false;
    if (cursor->id < types->first)
        *cursor = (struct hs_type_cursor){types->first, 0};
    while (cursor->id < types->end && hs_types_at(types, cursor->off, &record, &next)) {
        uint32_t id = cursor->id;

        *cursor = (struct hs_type_cursor){id + 1, next};
        if (!hs_type_read_named(record, &named) || named.is_forward)
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
static void take_method(struct hs_type_record *cursor, struct hs_member *member)
{
    uint16_t property = hs_type_u16(cursor) >> 2 & 7;

    member->type = hs_type_u32(cursor);
    if (property == 4 || property == 6)
        hs_type_u32(cursor);
}

static void take_part(struct hs_pdb *pdb, struct hs_type_record *cursor, enum part part, struct hs_member *member)
{
    switch (part) {
    case SKIP_U16: hs_type_u16(cursor); break;
    case TYPE: member->type = hs_type_u32(cursor); break;
    case OFFSET: member->offset = hs_type_number(cursor); break;
    case VALUE: member->value = (int64_t)hs_type_number(cursor); break;
    case SKIP_NUMBER: hs_type_number(cursor); break;
    case SKIP_TYPE: hs_type_u32(cursor); break;
    case NAME: member->name = shown_name(pdb, hs_type_name(cursor)); break;
    case INTRODUCES: take_method(cursor, member); break;
    case END: break;
    }
}

static bool take_member(struct hs_pdb *pdb, struct hs_type_record *cursor, uint16_t leaf, struct hs_member *member)
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
    const struct hs_types *types = hs_types_need(pdb);
    struct hs_type_record list;
    struct hs_type bits;
    uint32_t next_list;
    uint16_t leaf;

    if (!types)
        return false;
    if (place->list == 0)
        *place = (struct hs_member_cursor){type->members, 0, 0};
    while (place->list && hs_types_find(types, place->list, &list) && hs_type_u16(&list) == LEAF_FIELDS &&
           place->off < hs_type_left(&list)) {
        const uint8_t *start = list.at;

        list.at += place->off;
        if (*list.at >= 0xf0) { /* padding */
            place->off++;
            continue;
        }
        leaf = hs_type_u16(&list);
        if (leaf == LEAF_CONTINUED) {
            hs_type_u16(&list);
            next_list = hs_type_u32(&list);
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
