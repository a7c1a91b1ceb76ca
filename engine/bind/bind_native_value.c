/* bind_native_value.c - between Lua values and values of C. Everything that a type can say of a value is checked. */
#include "bind/bind_native.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define DEPTH_MAX 100 /* records inside records */

struct store {
    lua_State *lua;
    int library_idx, anchors_idx;
    const struct bind_place *place;
    int depth;
};

/* ---- messages ---- */

/* Raises "argument 2 of 'f': <reason>"; the reason is at the stack top. */
static _Noreturn void refuse(lua_State *lua, const struct bind_place *place)
{
    if (!place->number)
        lua_pushfstring(lua, place->format, place->name);
    else
        lua_pushfstring(lua, place->format, place->number, place->name);
    luaL_error(lua, "%s: %s", lua_tostring(lua, -1), lua_tostring(lua, -2));
    abort(); /* luaL_error does not return */
}

/* What the value at `idx` is, in words. */
static const char *what_is(lua_State *lua, int idx)
{
    if (luaL_testudata(lua, idx, BIND_MEMORY) || luaL_testudata(lua, idx, BIND_CALLBACK) ||
        luaL_testudata(lua, idx, BIND_FUNCTION))
        return luaL_tolstring(lua, idx, NULL);
    if (lua_type(lua, idx) == LUA_TNUMBER)
        return lua_pushfstring(lua, lua_isinteger(lua, idx) ? "the integer %s" : "the number %s",
                               luaL_tolstring(lua, idx, NULL));
    if (lua_type(lua, idx) == LUA_TUSERDATA)
        return luaL_tolstring(lua, idx, NULL);
    return lua_pushfstring(lua, "%s", luaL_typename(lua, idx));
}

static _Noreturn void expected(const struct store *store, const char *what, int idx)
{
    lua_pushfstring(store->lua, "%s expected, got %s", what, what_is(store->lua, idx));
    refuse(store->lua, store->place);
}

/* ---- numbers ---- */

static void store_integer(const struct store *store, const struct hs_native_type *type, int idx, uint8_t *to)
{
    lua_State *lua = store->lua;
    if (!lua_isinteger(lua, idx))
        expected(store, "an integer", idx);
    lua_Integer value = lua_tointeger(lua, idx);
    if (type->size < 8) {
        unsigned bits = (unsigned)type->size * 8;
        lua_Integer low = type->is_signed ? -((lua_Integer)1 << (bits - 1)) : 0;
        lua_Integer high = ((lua_Integer)1 << (type->is_signed ? bits - 1 : bits)) - 1;
        if (value < low || value > high) {
            lua_pushfstring(lua, "%I is out of range for %s (%I to %I)", (LUAI_UACINT)value, type->name,
                            (LUAI_UACINT)low, (LUAI_UACINT)high);
            refuse(lua, store->place);
        }
    }
    uint64_t bytes = (uint64_t)value; /* an unsigned one of 8 bytes: the same bits */
    memcpy(to, &bytes, (size_t)type->size);
}

static void store_float(const struct store *store, const struct hs_native_type *type, int idx, uint8_t *to)
{
    lua_State *lua = store->lua;
    if (lua_type(lua, idx) != LUA_TNUMBER)
        expected(store, "a number", idx);
    double value = lua_tonumber(lua, idx);
    if (type->size == 4) {
        if (isfinite(value) && fabs(value) > (double)FLT_MAX) {
            lua_pushfstring(lua, "%f is out of range for float", value);
            refuse(lua, store->place);
        }
        float narrow = (float)value;
        memcpy(to, &narrow, sizeof narrow);
    } else if (type->size == 8) {
        memcpy(to, &value, sizeof value);
    } else {
        long double wide = value;
        memset(to, 0, 16);
        memcpy(to, &wide, sizeof wide < 16 ? sizeof wide : 16);
    }
}

/* ---- pointers ---- */

static bool is_byte(const struct hs_native_type *type)
{
    return type->kind == HS_NATIVE_INTEGER && type->size == 1;
}

static bool matches(const struct store *store, struct hs_native_type *wanted, struct hs_native_type *given, int depth);

/* Whether one function can be called as the other. */
static bool same_function(const struct store *store, const struct hs_native_type *wanted,
                          const struct hs_native_type *given, int depth)
{
    if (wanted->member_count != given->member_count || wanted->varargs != given->varargs ||
        wanted->of->kind != given->of->kind || !matches(store, wanted->of, given->of, depth))
        return false;
    for (size_t i = 0; i < wanted->member_count; i++) {
        struct hs_native_type *one = wanted->members[i].type, *other = given->members[i].type;
        if (one->kind != other->kind || one->size != other->size || !matches(store, one, other, depth))
            return false;
    }
    return true;
}

/* Whether memory of one type may be meant by a pointer to the other; bytes and void stand for any data. */
static bool matches(const struct store *store, struct hs_native_type *wanted, struct hs_native_type *given, int depth)
{
    if (wanted == given)
        return true;
    if (depth > DEPTH_MAX)
        return false;
    if (wanted->kind == HS_NATIVE_FUNCTION || given->kind == HS_NATIVE_FUNCTION)
        return wanted->kind == given->kind && same_function(store, wanted, given, depth + 1);
    if (wanted->kind == HS_NATIVE_VOID || given->kind == HS_NATIVE_VOID || is_byte(wanted) || is_byte(given))
        return true;
    if (wanted->kind != given->kind || wanted->size != given->size)
        return false;
    switch (wanted->kind) {
    case HS_NATIVE_POINTER:
        return matches(store, bind_native_target(store->lua, store->library_idx, wanted),
                       bind_native_target(store->lua, store->library_idx, given), depth + 1);
    case HS_NATIVE_ARRAY: return matches(store, wanted->of, given->of, depth + 1);
    case HS_NATIVE_RECORD: return strcmp(wanted->name, given->name) == 0;
    case HS_NATIVE_FUNCTION:
    case HS_NATIVE_VOID:
    case HS_NATIVE_BOOL:
    case HS_NATIVE_INTEGER:
    case HS_NATIVE_FLOAT: break;
    }
    return true;
}

static void *memory_pointer(const struct store *store, const struct hs_native_type *pointer,
                            struct hs_native_type *target, int idx)
{
    lua_State *lua = store->lua;
    struct bind_memory *memory = bind_check_memory(lua, idx);
    struct hs_native_type *given = memory->type;
    if (given->kind == HS_NATIVE_ARRAY && target->kind != HS_NATIVE_ARRAY)
        given = given->of;
    if (!matches(store, target, given, 0)) {
        lua_pushfstring(lua, "%s expected, got memory of %s", pointer->name, memory->type->name);
        refuse(lua, store->place);
    }
    if (memory->read_only && !pointer->is_const) {
        lua_pushfstring(lua, "%s: what is in a dump cannot be written to, so the parameter must point to const",
                        pointer->name);
        refuse(lua, store->place);
    }
    if (memory->kind != BIND_MEMORY_FOREIGN && memory->size < target->size) {
        lua_pushfstring(lua, "%s has %I bytes, the memory given only %I", target->name, (LUAI_UACINT)target->size,
                        (LUAI_UACINT)memory->size);
        refuse(lua, store->place);
    }
    return memory->bytes;
}

static void *code_pointer(const struct store *store, const struct hs_native_type *pointer,
                          const struct hs_native_type *target, int idx)
{
    const struct hs_native_type *given;
    void *code;
    const struct bind_function *function = luaL_testudata(store->lua, idx, BIND_FUNCTION);
    if (function) {
        given = function->type;
        code = function->code;
    } else {
        code = bind_callback_code(store->lua, idx, &given);
    }
    if (target->kind == HS_NATIVE_VOID)
        return code;
    if (target->kind != HS_NATIVE_FUNCTION)
        expected(store, "memory", idx);
    if (!same_function(store, target, given, 0)) {
        lua_pushfstring(store->lua, "%s expected, got a function of another type (%d parameter%s, gives %s)",
                        pointer->name, (int)given->member_count, given->member_count == 1 ? "" : "s", given->of->name);
        refuse(store->lua, store->place);
    }
    return code;
}

static void *pointer_of(const struct store *store, struct hs_native_type *pointer, int idx)
{
    lua_State *lua = store->lua;
    struct hs_native_type *target = bind_native_target(lua, store->library_idx, pointer);
    switch (lua_type(lua, idx)) {
    case LUA_TNIL: return NULL;
    case LUA_TSTRING:
        if (!is_byte(target) && target->kind != HS_NATIVE_VOID)
            expected(store, pointer->name, idx);
        if (!pointer->is_const) {
            lua_pushfstring(lua, "%s: a text cannot be written to: give a buffer (lib:array)", pointer->name);
            refuse(lua, store->place);
        }
        return (void *)(uintptr_t)lua_tostring(lua, idx);
    case LUA_TFUNCTION:
        lua_pushfstring(lua, "a callback expected, got a Lua function: lib:callback makes one of it");
        refuse(lua, store->place);
    case LUA_TUSERDATA:
        if (luaL_testudata(lua, idx, BIND_MEMORY))
            return memory_pointer(store, pointer, target, idx);
        if (luaL_testudata(lua, idx, BIND_CALLBACK) || luaL_testudata(lua, idx, BIND_FUNCTION))
            return code_pointer(store, pointer, target, idx);
        if (luaL_testudata(lua, idx, bind_block_class.name)) {
            lua_pushfstring(lua, "%s expected, got a block: lib:view(block) is its memory", pointer->name);
            refuse(lua, store->place);
        }
        break;
    case LUA_TNUMBER:
        lua_pushfstring(lua, "%s expected, got a number: an address of the dump is none of this program",
                        pointer->name);
        refuse(lua, store->place);
    default: break;
    }
    expected(store, pointer->name, idx);
}

/* ---- records and arrays ---- */

static void store_value(struct store *store, struct hs_native_type *type, int idx, uint8_t *to);

/* Copies memory of the very type; false: the value at `idx` is none. */
static bool store_memory(const struct store *store, const struct hs_native_type *type, int idx, uint8_t *to)
{
    lua_State *lua = store->lua;
    if (!luaL_testudata(lua, idx, BIND_MEMORY))
        return false;
    const struct bind_memory *memory = bind_check_memory(lua, idx);
    const struct hs_native_type *given = memory->type;
    bool same = given == type ||
                (given->kind == type->kind && given->size == type->size && strcmp(given->name, type->name) == 0);
    if (!same && !(is_byte(given) || (given->kind == HS_NATIVE_ARRAY && is_byte(given->of)))) {
        lua_pushfstring(lua, "%s expected, got memory of %s", type->name, given->name);
        refuse(lua, store->place);
    }
    if (memory->kind != BIND_MEMORY_FOREIGN && memory->size < type->size) {
        lua_pushfstring(lua, "%s has %I bytes, the memory given only %I", type->name, (LUAI_UACINT)type->size,
                        (LUAI_UACINT)memory->size);
        refuse(lua, store->place);
    }
    if (memory->kind != BIND_MEMORY_FOREIGN) {
        memmove(to, memory->bytes, (size_t)type->size);
    } else if (!hs_native_read(to, memory->bytes, (size_t)type->size)) {
        lua_pushfstring(lua, "nothing is where the pointer to %s leads", given->name);
        refuse(lua, store->place);
    }
    return true;
}

const struct hs_native_member *bind_native_member(const struct hs_native_type *record, const char *name, uint64_t *off)
{
    for (size_t i = 0; i < record->member_count; i++) {
        const struct hs_native_member *member = &record->members[i], *inner;
        if (member->name && strcmp(member->name, name) == 0) {
            *off += member->offset;
            return member;
        }
        uint64_t inner_off = *off + member->offset;
        if (!member->name && !member->width && member->type->kind == HS_NATIVE_RECORD &&
            (inner = bind_native_member(member->type, name, &inner_off))) {
            *off = inner_off;
            return inner;
        }
    }
    return NULL;
}

static void store_bits(struct store *store, const struct hs_native_member *member, int idx, uint8_t *to)
{
    uint8_t bytes[16] = {0};
    store_value(store, member->type, idx, bytes);
    uint64_t value = hs_load_u64(bytes);
    bool is_signed = member->type->is_signed;
    unsigned unused = 64 - (unsigned)member->type->size * 8;
    int64_t as_signed = (int64_t)(value << unused) >> unused;
    bool fits = member->width >= 64 || (!is_signed && value >> member->width == 0) ||
                (is_signed && as_signed >= -(INT64_C(1) << (member->width - 1)) &&
                 as_signed < INT64_C(1) << (member->width - 1));
    if (!fits) {
        lua_pushfstring(store->lua, "%I is out of range for a bit field of %d bits", (LUAI_UACINT)as_signed,
                        (int)member->width);
        refuse(store->lua, store->place);
    }
    for (unsigned i = 0; i < member->width; i++) {
        unsigned at = member->bit + i;
        uint8_t mask = (uint8_t)(1u << (at % 8));
        to[at / 8] = (uint8_t)((value >> i & 1) ? to[at / 8] | mask : to[at / 8] & ~mask);
    }
}

static void store_record(struct store *store, struct hs_native_type *type, int idx, uint8_t *to)
{
    lua_State *lua = store->lua;
    if (store_memory(store, type, idx, to))
        return;
    if (!lua_istable(lua, idx))
        expected(store, type->name, idx);
    if (!type->is_known)
        expected(store, "a type with a definition", idx);
    memset(to, 0, (size_t)type->size);
    lua_pushnil(lua);
    while (lua_next(lua, idx)) {
        const char *name = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : NULL;
        uint64_t off = 0;
        const struct hs_native_member *member = name ? bind_native_member(type, name, &off) : NULL;
        if (!member) {
            lua_pushfstring(lua, "%s has no member '%s'", type->name, name ? name : luaL_tolstring(lua, -2, NULL));
            refuse(lua, store->place);
        }
        struct bind_place inside = {"member '%s'", 0, name};
        struct store inner = *store;
        inner.place = &inside;
        if (member->width)
            store_bits(&inner, member, lua_gettop(lua), to + off);
        else
            store_value(&inner, member->type, lua_gettop(lua), to + off);
        lua_pop(lua, 1);
    }
}

static void store_array(struct store *store, struct hs_native_type *type, int idx, uint8_t *to)
{
    lua_State *lua = store->lua;
    if (type->count == HS_NATIVE_FLEXIBLE)
        expected(store, "no value for an array without a count", idx);
    if (lua_type(lua, idx) == LUA_TSTRING && is_byte(type->of)) {
        size_t size;
        const char *text = lua_tolstring(lua, idx, &size);
        if (size > type->size) {
            lua_pushfstring(lua, "a text of %I bytes does not fit into %s", (LUAI_UACINT)size, type->name);
            refuse(lua, store->place);
        }
        memset(to, 0, (size_t)type->size);
        memcpy(to, text, size);
        return;
    }
    if (store_memory(store, type, idx, to))
        return;
    if (!lua_istable(lua, idx))
        expected(store, type->name, idx);
    lua_Integer count = luaL_len(lua, idx);
    if (count < 0 || (uint64_t)count > type->count) {
        lua_pushfstring(lua, "%I values for %s", (LUAI_UACINT)count, type->name);
        refuse(lua, store->place);
    }
    memset(to, 0, (size_t)type->size);
    for (lua_Integer i = 0; i < count; i++) {
        lua_geti(lua, idx, i + 1);
        store_value(store, type->of, lua_gettop(lua), to + (uint64_t)i * type->of->size);
        lua_pop(lua, 1);
    }
}

/* ---- the doors ---- */

static void store_pointer(const struct store *store, struct hs_native_type *type, int idx, uint8_t *to)
{
    lua_State *lua = store->lua;
    void *pointer = pointer_of(store, type, idx);
    memcpy(to, &pointer, sizeof pointer);
    if (!store->anchors_idx || lua_isnil(lua, idx))
        return;
    lua_pushvalue(lua, idx); /* kept as long as the buffer, even where another value takes its place */
    lua_pushboolean(lua, true);
    lua_rawset(lua, store->anchors_idx);
}

static void store_value(struct store *store, struct hs_native_type *type, int idx, uint8_t *to)
{
    lua_State *lua = store->lua;
    if (++store->depth > DEPTH_MAX)
        luaL_error(lua, "values inside values, more than %d deep", DEPTH_MAX);
    luaL_checkstack(lua, 16, NULL);
    switch (type->kind) {
    case HS_NATIVE_BOOL:
        if (!lua_isboolean(lua, idx))
            expected(store, "a boolean", idx);
        *to = (uint8_t)lua_toboolean(lua, idx);
        break;
    case HS_NATIVE_INTEGER: store_integer(store, type, idx, to); break;
    case HS_NATIVE_FLOAT: store_float(store, type, idx, to); break;
    case HS_NATIVE_POINTER: store_pointer(store, type, idx, to); break;
    case HS_NATIVE_RECORD: store_record(store, type, idx, to); break;
    case HS_NATIVE_ARRAY: store_array(store, type, idx, to); break;
    case HS_NATIVE_VOID:
    case HS_NATIVE_FUNCTION: expected(store, "a type that has values", idx);
    }
    store->depth--;
}

void bind_native_store(lua_State *lua, int library_idx, const struct bind_place *place, struct hs_native_type *type,
                       int idx, int anchors_idx, uint8_t *to)
{
    struct store store = {lua, library_idx, anchors_idx, place, 0};
    store_value(&store, type, idx, to);
}

void bind_native_store_bits(lua_State *lua, int library_idx, const struct bind_place *place,
                            const struct hs_native_member *member, int idx, uint8_t *unit)
{
    struct store store = {lua, library_idx, 0, place, 0};
    store_bits(&store, member, idx, unit);
}

enum hs_native_vararg bind_native_vararg(lua_State *lua, const struct bind_place *place, int idx, uint8_t *to)
{
    struct store store = {lua, 0, 0, place, 0};
    void *pointer = NULL;
    lua_Integer integer;
    lua_Number number;
    const struct hs_native_type *type;
    switch (lua_type(lua, idx)) {
    case LUA_TNUMBER:
        if (lua_isinteger(lua, idx)) {
            integer = lua_tointeger(lua, idx);
            memcpy(to, &integer, sizeof integer);
            return HS_NATIVE_VARARG_INTEGER;
        }
        number = lua_tonumber(lua, idx);
        memcpy(to, &number, sizeof number);
        return HS_NATIVE_VARARG_DOUBLE;
    case LUA_TBOOLEAN:
        integer = lua_toboolean(lua, idx);
        memcpy(to, &integer, sizeof integer);
        return HS_NATIVE_VARARG_INTEGER;
    case LUA_TNIL: break;
    case LUA_TSTRING: pointer = (void *)(uintptr_t)lua_tostring(lua, idx); break;
    default:
        if (luaL_testudata(lua, idx, BIND_MEMORY)) {
            const struct bind_memory *memory = bind_check_memory(lua, idx);
            pointer = memory->bytes;
            break;
        }
        if (!luaL_testudata(lua, idx, BIND_CALLBACK))
            expected(&store, "a number, boolean, text, memory, callback or nil", idx);
        pointer = bind_callback_code(lua, idx, &type);
    }
    memcpy(to, &pointer, sizeof pointer);
    return HS_NATIVE_VARARG_POINTER;
}

void bind_native_push(lua_State *lua, int library_idx, struct hs_native_type *type, const uint8_t *bytes)
{
    float narrow;
    double number;
    long double wide;
    void *pointer;
    switch (type->kind) {
    case HS_NATIVE_BOOL: lua_pushboolean(lua, *bytes != 0); break;
    case HS_NATIVE_INTEGER: bind_push_integer(lua, bytes, (unsigned)type->size, type->is_signed); break;
    case HS_NATIVE_FLOAT:
        if (type->size == 4) {
            memcpy(&narrow, bytes, sizeof narrow);
            lua_pushnumber(lua, (lua_Number)narrow);
        } else if (type->size == 8) {
            memcpy(&number, bytes, sizeof number);
            lua_pushnumber(lua, number);
        } else {
            memcpy(&wide, bytes, sizeof wide < 16 ? sizeof wide : 16);
            lua_pushnumber(lua, (lua_Number)wide);
        }
        break;
    case HS_NATIVE_POINTER:
        memcpy(&pointer, bytes, sizeof pointer);
        bind_memory_push_pointer(lua, library_idx, type, pointer);
        break;
    case HS_NATIVE_VOID:
    case HS_NATIVE_ARRAY:
    case HS_NATIVE_RECORD:
    case HS_NATIVE_FUNCTION: lua_pushnil(lua); break;
    }
}
