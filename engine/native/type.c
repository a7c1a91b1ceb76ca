/* type.c - types as libffi knows them, and which of them can be passed by value. */
#include "native/native.h"
#include "native/ffi.h"

#define ELEMENTS_MAX HS_NATIVE_VALUE_MAX /* of a structure, arrays taken apart */

static enum hs_status describe(struct hs_native_type *type, struct hs_arena *arena, struct hs_error *err);

static enum hs_status refuse(struct hs_error *err, const struct hs_native_type *type, const char *why)
{
    return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "%s cannot be passed by value: %s", type->name, why);
}

static ffi_type *integer_type(uint64_t size, bool is_signed)
{
    switch (size) {
    case 1: return is_signed ? &ffi_type_sint8 : &ffi_type_uint8;
    case 2: return is_signed ? &ffi_type_sint16 : &ffi_type_uint16;
    case 4: return is_signed ? &ffi_type_sint32 : &ffi_type_uint32;
    default: return is_signed ? &ffi_type_sint64 : &ffi_type_uint64;
    }
}

/* How many elements a member is to libffi, which knows no arrays; 0 if it is too many. */
static uint64_t element_count(const struct hs_native_type *type)
{
    uint64_t count = 1;

    for (; type->kind == HS_NATIVE_ARRAY; type = type->of) {
        if (type->count > ELEMENTS_MAX || count * type->count > ELEMENTS_MAX)
            return 0;
        count *= type->count;
    }
    return count;
}

/* Why a record cannot be passed by value, whatever its members are; NULL: it may be. */
static const char *against_record(const struct hs_native_type *type)
{
    if (!type->is_known)
        return "it has no definition";
    if (type->is_union)
        return "libffi knows no unions";
    if (type->size == 0)
        return "it is empty";
    if (type->size > HS_NATIVE_VALUE_MAX)
        return "it is larger than 4096 bytes";
    for (size_t i = 0; i < type->member_count; i++) {
        const struct hs_native_member *member = &type->members[i];

        if (member->width || !member->name)
            if (member->type->kind != HS_NATIVE_RECORD)
                return "it has bit fields";
        if (element_count(member->type) == 0 || member->type->size == 0)
            return "a member has no size";
    }
    return NULL;
}

/* Whether libffi puts the members where C does: not in packed or over-aligned records. */
static bool same_layout(const struct hs_native_type *type, ffi_type *made, size_t *offsets)
{
    size_t element = 0;

    if (ffi_get_struct_offsets(FFI_DEFAULT_ABI, made, offsets) != FFI_OK || made->size != type->size ||
        made->alignment != type->align)
        return false;
    for (size_t i = 0; i < type->member_count; i++) {
        if (offsets[element] != type->members[i].offset)
            return false;
        element += element_count(type->members[i].type);
    }
    return true;
}

static enum hs_status describe_record(struct hs_native_type *type, struct hs_arena *arena, struct hs_error *err)
{
    const char *why = against_record(type);
    uint64_t count = 0, at = 0;
    ffi_type *made;
    size_t *offsets;

    if (why)
        return refuse(err, type, why);
    for (size_t i = 0; i < type->member_count; i++)
        count += element_count(type->members[i].type);
    if (count > ELEMENTS_MAX)
        return refuse(err, type, "it has too many members");
    made = hs_arena_alloc(arena, 1, sizeof *made);
    if (made)
        made->elements = hs_arena_alloc(arena, count + 1, sizeof(ffi_type *));
    offsets = hs_arena_alloc(arena, count + 1, sizeof *offsets);
    if (!made || !made->elements || !offsets)
        return hs_fail_memory(err, "a type");
    made->type = FFI_TYPE_STRUCT;
    for (size_t i = 0; i < type->member_count; i++) {
        struct hs_native_type *element = type->members[i].type;
        enum hs_status status;

        while (element->kind == HS_NATIVE_ARRAY)
            element = element->of;
        status = describe(element, arena, err);
        if (status != HS_OK)
            return status;
        for (uint64_t n = element_count(type->members[i].type); n > 0; n--)
            made->elements[at++] = element->ffi;
    }
    if (!same_layout(type, made, offsets))
        return refuse(err, type, "it is packed or aligned in a way of its own");
    type->ffi = made;
    return HS_OK;
}

/* Gives a type its ffi. */
static enum hs_status describe(struct hs_native_type *type, struct hs_arena *arena, struct hs_error *err)
{
    if (type->ffi)
        return HS_OK;
    switch (type->kind) {
    case HS_NATIVE_VOID: type->ffi = &ffi_type_void; return HS_OK;
    case HS_NATIVE_BOOL: type->ffi = &ffi_type_uint8; return HS_OK;
    case HS_NATIVE_INTEGER: type->ffi = integer_type(type->size, type->is_signed); return HS_OK;
    case HS_NATIVE_FLOAT:
        type->ffi = type->size == 4 ? &ffi_type_float : type->size == 8 ? &ffi_type_double : &ffi_type_longdouble;
        return HS_OK;
    case HS_NATIVE_POINTER: type->ffi = &ffi_type_pointer; return HS_OK;
    case HS_NATIVE_RECORD: return describe_record(type, arena, err);
    case HS_NATIVE_ARRAY:
    case HS_NATIVE_FUNCTION: break;
    }
    return refuse(err, type, "it is an array or a function");
}

/* A structure of a long double and nothing else comes back on the floating-point stack, where libffi does not look. */
static bool is_lone_long_double(const struct hs_native_type *type)
{
    while (type->kind == HS_NATIVE_RECORD || type->kind == HS_NATIVE_ARRAY) {
        if (type->size != 16)
            return false;
        type = type->kind == HS_NATIVE_ARRAY ? type->of : type->members[0].type;
    }
    return type->kind == HS_NATIVE_FLOAT && type->size == 16;
}

enum hs_status hs_native_prepare(struct hs_native_type *function, struct hs_arena *arena, struct hs_error *err)
{
    struct hs_signature *signature;
    enum hs_status status;

    if (function->signature)
        return HS_OK;
    if (function->member_count > HS_NATIVE_PARAMETERS_MAX)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "%zu parameters, at most %u are possible",
                       function->member_count, HS_NATIVE_PARAMETERS_MAX);
    signature = hs_arena_alloc(arena, 1, sizeof *signature);
    if (!signature)
        return hs_fail_memory(err, "a prototype");
    for (size_t i = 0; i < function->member_count; i++) {
        status = describe(function->members[i].type, arena, err);
        if (status != HS_OK) {
            hs_error_prefix(err, "parameter %zu", i + 1);
            return status;
        }
        signature->parameters[i] = function->members[i].type->ffi;
    }
    status = describe(function->of, arena, err);
    if (status != HS_OK) {
        hs_error_prefix(err, "result");
        return status;
    }
    if (function->of->kind == HS_NATIVE_RECORD && is_lone_long_double(function->of))
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA,
                       "result: %s cannot be given back by value: it is a long double and nothing else",
                       function->of->name);
    if (ffi_prep_cif(&signature->cif, FFI_DEFAULT_ABI, (unsigned)function->member_count, function->of->ffi,
                     signature->parameters) != FFI_OK)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "libffi takes no such prototype");
    function->signature = signature;
    return HS_OK;
}
