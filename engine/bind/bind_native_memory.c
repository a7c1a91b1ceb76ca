/* bind_native_memory.c - memory with a C type: buffers, views of a dump, parts of both, and what pointers of native code
 * lead to. */
#include "bind/bind_native.h"

#include <inttypes.h>
#include <stdlib.h>

static const uint8_t fence[BIND_FENCE] = {0xfd, 0x5e, 0xa7, 0x1c, 0xb3, 0x42, 0xd9, 0x68,
                                          0x9e, 0x31, 0xc4, 0x77, 0xeb, 0x0d, 0x56, 0x8a};

/* ---- making ---- */

static struct bind_memory *memory_new(lua_State *lua, int library_idx, uint64_t more)
{
    library_idx = lua_absindex(lua, library_idx);
    struct bind_memory *memory = lua_newuserdatauv(lua, sizeof *memory + (size_t)more, 3);
    memset(memory, 0, sizeof *memory);
    lua_pushvalue(lua, library_idx);
    lua_setiuservalue(lua, -2, 1);
    luaL_setmetatable(lua, BIND_MEMORY);
    return memory;
}

struct bind_memory *bind_memory_new(lua_State *lua, int library_idx, struct hs_native_type *type, uint64_t size)
{
    uint64_t align = type->align < 16 ? 16 : type->align;
    if (size > SIZE_MAX / 2)
        luaL_error(lua, "a buffer of %I bytes: too large", (LUAI_UACINT)size);
    struct bind_memory *memory = memory_new(lua, library_idx, size + BIND_FENCE + align);
    uintptr_t from = (uintptr_t)(memory + 1);
    memory->kind = BIND_MEMORY_OWN;
    memory->type = type;
    memory->bytes = (uint8_t *)(from + (0 - from) % align);
    memory->size = size;
    memory->root = memory;
    memset(memory->bytes, 0, (size_t)size);
    memcpy(memory->bytes + size, fence, sizeof fence);
    return memory;
}

/* Pushes memory at an address that native code gave. */
static void foreign_push(lua_State *lua, int library_idx, struct hs_native_type *type, void *bytes)
{
    struct bind_memory *memory = memory_new(lua, library_idx, 0);
    memory->kind = BIND_MEMORY_FOREIGN;
    memory->type = type;
    memory->bytes = bytes;
    memory->size = UINT64_MAX;
}

/* Pushes the part at `off` of the memory at `idx`. */
static void part_push(lua_State *lua, int library_idx, int idx, struct hs_native_type *type, uint64_t off,
                      uint64_t size)
{
    const struct bind_memory *whole = lua_touserdata(lua, idx);
    if (whole->kind == BIND_MEMORY_FOREIGN) {
        foreign_push(lua, library_idx, type, whole->bytes + off);
        return;
    }
    struct bind_memory *part = memory_new(lua, library_idx, 0);
    part->kind = BIND_MEMORY_PART;
    part->type = type;
    part->bytes = whole->bytes + off;
    part->size = size;
    part->read_only = whole->read_only;
    part->root = whole->kind == BIND_MEMORY_PART ? whole->root : (struct bind_memory *)(uintptr_t)whole;
    if (whole->kind == BIND_MEMORY_PART)
        lua_getiuservalue(lua, idx, 2);
    else
        lua_pushvalue(lua, idx);
    lua_setiuservalue(lua, -2, 2);
}

struct bind_memory *bind_check_memory(lua_State *lua, int idx)
{
    struct bind_memory *memory = luaL_checkudata(lua, idx, BIND_MEMORY);
    const struct bind_memory *root = memory->kind == BIND_MEMORY_PART ? memory->root : memory;
    if (root->freed)
        luaL_error(lua, "the buffer was freed");
    if (root->kind == BIND_MEMORY_DUMP && !root->dump->dump)
        luaL_error(lua, "view: its dump is closed");
    return memory;
}

void bind_memory_check_fence(lua_State *lua, const struct bind_memory *memory, const char *function, int argument)
{
    struct bind_memory *root = memory->root;
    if (!root || root->kind != BIND_MEMORY_OWN || memcmp(root->bytes + root->size, fence, sizeof fence) == 0)
        return;
    memcpy(root->bytes + root->size, fence, sizeof fence); /* said once */
    luaL_error(lua, "%s wrote past the end of a buffer of %I bytes (argument %d)", function, (LUAI_UACINT)root->size,
               argument);
}

/* ---- places in memory ---- */

/* A value inside memory. */
struct spot {
    struct hs_native_type *type;
    uint64_t off, size;
    const char *name;
    const struct hs_native_member *bits; /* NULL: no bit field */
};

/* Bytes that a bit field lies in: at most 9. */
static size_t bit_bytes(const struct hs_native_member *bits)
{
    return (bits->bit + bits->width + 7) / 8;
}

static void offer_members(struct bind_nearest *nearest, const struct hs_native_type *record)
{
    for (size_t i = 0; i < record->member_count; i++) {
        if (record->members[i].name)
            bind_nearest_offer(nearest, record->members[i].name);
        else if (record->members[i].type->kind == HS_NATIVE_RECORD)
            offer_members(nearest, record->members[i].type);
    }
}

static void member_spot(lua_State *lua, const struct bind_memory *memory, struct spot *spot)
{
    const char *name = lua_tostring(lua, 2);
    const struct hs_native_type *type = memory->type;
    uint64_t off = 0;
    const struct hs_native_member *member =
        type->kind == HS_NATIVE_RECORD ? bind_native_member(type, name, &off) : NULL;
    if (member) {
        uint64_t size = member->width ? bit_bytes(member) : member->type->size;
        *spot = (struct spot){member->type, off, size, member->name, member->width ? member : NULL};
        return;
    }
    struct bind_nearest nearest;
    bind_nearest_init(&nearest, name);
    if (type->kind == HS_NATIVE_RECORD)
        offer_members(&nearest, type);
    bind_native_raise(lua, "%s has no member '%s'%s%s%s", type->name, name, nearest.best ? " (did you mean '" : "",
                      nearest.best ? nearest.best : "", nearest.best ? "'?)" : "");
}

static void element_spot(lua_State *lua, const struct bind_memory *memory, struct spot *spot)
{
    lua_Integer index = lua_tointeger(lua, 2);
    struct hs_native_type *type = memory->type->kind == HS_NATIVE_ARRAY ? memory->type->of : memory->type;
    if (type->size == 0)
        bind_native_raise(lua, "%s has no elements: its size is not known", type->name);
    if (index < 0 || (uint64_t)index >= memory->size / type->size) {
        if (memory->kind != BIND_MEMORY_FOREIGN)
            luaL_error(lua, "element %I is outside of %I bytes: %I elements of %s, from 0", (LUAI_UACINT)index,
                       (LUAI_UACINT)memory->size, (LUAI_UACINT)(memory->size / type->size), type->name);
        luaL_error(lua, "element %I: an index from 0 expected", (LUAI_UACINT)index);
    }
    *spot = (struct spot){type, (uint64_t)index * type->size, type->size, "element", NULL};
}

/* What the key at stack index 2 means in the memory at 1. */
static void spot_of(lua_State *lua, const struct bind_memory *memory, struct spot *spot)
{
    if (lua_isinteger(lua, 2))
        element_spot(lua, memory, spot);
    else if (lua_type(lua, 2) == LUA_TSTRING)
        member_spot(lua, memory, spot);
    else
        bind_native_raise(lua, "the name of a member or an index (an integer from 0) expected, got %s",
                          luaL_typename(lua, 2));
    if (spot->type->kind == HS_NATIVE_ARRAY && spot->type->count == HS_NATIVE_FLEXIBLE)
        spot->size = memory->size - spot->off; /* all that is behind it */
    if (memory->kind != BIND_MEMORY_FOREIGN && (spot->off > memory->size || spot->size > memory->size - spot->off))
        luaL_error(lua, "'%s' of %s is outside of %I bytes", spot->name, memory->type->name, (LUAI_UACINT)memory->size);
}

static void read_bytes(lua_State *lua, const struct bind_memory *memory, uint64_t off, uint64_t size, uint8_t *to)
{
    if (memory->kind != BIND_MEMORY_FOREIGN)
        memcpy(to, memory->bytes + off, (size_t)size);
    else if (!hs_native_read(to, memory->bytes + off, (size_t)size))
        luaL_error(lua, "nothing is at %p, where a pointer to %s leads", (void *)(memory->bytes + off),
                   memory->type->name);
}

static void bits_push(lua_State *lua, const struct bind_memory *memory, uint64_t off,
                      const struct hs_native_member *bits)
{
    uint8_t bytes[16] = {0};
    read_bytes(lua, memory, off, bit_bytes(bits), bytes);
    uint64_t value = hs_load_u64(bytes) >> bits->bit;
    if (bits->bit > 0)
        value |= (uint64_t)bytes[8] << (64 - bits->bit);
    if (bits->width < 64)
        value &= (UINT64_C(1) << bits->width) - 1;
    if (bits->type->kind == HS_NATIVE_BOOL) {
        lua_pushboolean(lua, value != 0);
        return;
    }
    if (bits->type->is_signed && bits->width < 64 && value >> (bits->width - 1) & 1)
        value |= UINT64_MAX << bits->width;
    lua_pushinteger(lua, (lua_Integer)value);
}

/* memory[key] */
static int memory_index(lua_State *lua)
{
    const struct bind_memory *memory = bind_check_memory(lua, 1);
    struct spot spot;
    lua_settop(lua, 2);
    spot_of(lua, memory, &spot);
    lua_getiuservalue(lua, 1, 1);
    if (spot.bits) {
        bits_push(lua, memory, spot.off, spot.bits);
        return 1;
    }
    switch (spot.type->kind) {
    case HS_NATIVE_RECORD:
    case HS_NATIVE_ARRAY: part_push(lua, 3, 1, spot.type, spot.off, spot.size); return 1;
    case HS_NATIVE_VOID:
    case HS_NATIVE_FUNCTION: return luaL_error(lua, "nothing can be read as %s", spot.type->name);
    case HS_NATIVE_BOOL:
    case HS_NATIVE_INTEGER:
    case HS_NATIVE_FLOAT:
    case HS_NATIVE_POINTER: break;
    }
    uint8_t bytes[16] = {0};
    read_bytes(lua, memory, spot.off, spot.type->size, bytes);
    bind_native_push(lua, 3, spot.type, bytes);
    return 1;
}

/* ---- writing ---- */

static void write_bytes(lua_State *lua, struct bind_memory *memory, uint64_t off, uint64_t size, const uint8_t *from)
{
    if (memory->kind != BIND_MEMORY_FOREIGN)
        memcpy(memory->bytes + off, from, (size_t)size);
    else if (!hs_native_write(memory->bytes + off, from, (size_t)size))
        luaL_error(lua, "nothing that can be written is at %p, where a pointer to %s leads",
                   (void *)(memory->bytes + off), memory->type->name);
}

/* Pushes the table of what the pointers in the buffer that memory is (part of) lead to; 0: it is no buffer. */
static int anchors_push(lua_State *lua, const struct bind_memory *memory)
{
    if (!memory->root || memory->root->kind != BIND_MEMORY_OWN)
        return 0;
    if (memory->kind == BIND_MEMORY_PART)
        lua_getiuservalue(lua, 1, 2);
    else
        lua_pushvalue(lua, 1);
    if (lua_getiuservalue(lua, -1, 3) != LUA_TTABLE) {
        lua_pop(lua, 1);
        lua_newtable(lua);
        lua_pushvalue(lua, -1);
        lua_setiuservalue(lua, -3, 3);
    }
    return lua_gettop(lua);
}

/* memory[key] = value */
static int memory_newindex(lua_State *lua)
{
    struct bind_memory *memory = bind_check_memory(lua, 1);
    struct spot spot;
    lua_settop(lua, 3);
    spot_of(lua, memory, &spot);
    if (memory->read_only)
        return luaL_error(lua, "what is in a dump cannot be changed");
    lua_getiuservalue(lua, 1, 1);
    lua_insert(lua, 3); /* library 3, value 4 */
    struct bind_place place = {"member '%s'", 0, spot.name};
    if (spot.bits) {
        uint8_t unit[16] = {0};
        read_bytes(lua, memory, spot.off, bit_bytes(spot.bits), unit);
        bind_native_store_bits(lua, 3, &place, spot.bits, 4, unit);
        write_bytes(lua, memory, spot.off, bit_bytes(spot.bits), unit);
        return 0;
    }
    int anchors_idx = anchors_push(lua, memory);
    uint8_t *to = lua_newuserdatauv(lua, (size_t)spot.size + 16, 0);
    bind_native_store(lua, 3, &place, spot.type, 4, anchors_idx, to);
    bind_check_memory(lua, 1);
    write_bytes(lua, memory, spot.off, spot.size, to);
    return 0;
}

static int memory_len(lua_State *lua)
{
    const struct bind_memory *memory = bind_check_memory(lua, 1);
    const struct hs_native_type *type = memory->type->kind == HS_NATIVE_ARRAY ? memory->type->of : memory->type;
    if (memory->kind == BIND_MEMORY_FOREIGN && memory->type->kind != HS_NATIVE_ARRAY)
        return luaL_error(lua, "how much a pointer to %s leads to is not known", type->name);
    uint64_t size = memory->kind == BIND_MEMORY_FOREIGN ? memory->type->size : memory->size;
    lua_pushinteger(lua, type->size ? (lua_Integer)(size / type->size) : 0);
    return 1;
}

static int memory_eq(lua_State *lua)
{
    const struct bind_memory *a = luaL_testudata(lua, 1, BIND_MEMORY), *b = luaL_testudata(lua, 2, BIND_MEMORY);
    lua_pushboolean(lua, a && b && a->bytes == b->bytes);
    return 1;
}

static int memory_tostring(lua_State *lua)
{
    const struct bind_memory *memory = luaL_checkudata(lua, 1, BIND_MEMORY);
    if (memory->kind == BIND_MEMORY_FOREIGN)
        lua_pushfstring(lua, "pointer to %s", memory->type->name);
    else
        lua_pushfstring(lua, "%s, %I bytes", memory->type->name, (LUAI_UACINT)memory->size);
    return 1;
}

/* ---- functions for plugins/lib/native ---- */

/* core.new(library, type table, count or nil, value) -> buffer; with a count an array of so many */
static int native_new(lua_State *lua)
{
    bind_check_library(lua, 1);
    lua_settop(lua, 4);
    struct hs_native_type *type = bind_native_type(lua, 1, 2);
    if (type->size == 0)
        return luaL_error(lua, "a buffer of %s: its size is not known", type->name);
    uint64_t size = type->size;
    if (!lua_isnil(lua, 3)) {
        lua_Integer count = bind_check_integer(lua, 3, "number of elements", 0, LUA_MAXINTEGER);
        if ((uint64_t)count > (UINT64_C(1) << 40) / size)
            return luaL_error(lua, "%I elements of %s: too many", (LUAI_UACINT)count, type->name);
        size *= (uint64_t)count;
    }
    struct bind_memory *memory = bind_memory_new(lua, 1, type, size);
    if (lua_isnil(lua, 4))
        return 1;
    int memory_idx = lua_gettop(lua);
    lua_newtable(lua);
    lua_pushvalue(lua, -1);
    lua_setiuservalue(lua, memory_idx, 3);
    int anchors_idx = lua_gettop(lua);
    struct bind_place place = {"value for %s", 0, type->name};
    if (lua_isnil(lua, 3)) {
        bind_native_store(lua, 1, &place, type, 4, anchors_idx, memory->bytes);
    } else if (lua_type(lua, 4) == LUA_TSTRING && type->kind == HS_NATIVE_INTEGER && type->size == 1) {
        size_t length;
        const char *text = lua_tolstring(lua, 4, &length);
        if (length > size)
            return luaL_error(lua, "a text of %I bytes does not fit into %I", (LUAI_UACINT)length, (LUAI_UACINT)size);
        memcpy(memory->bytes, text, length);
    } else {
        luaL_checktype(lua, 4, LUA_TTABLE);
        lua_Integer length = luaL_len(lua, 4);
        if (length < 0 || (uint64_t)length > size / type->size)
            return luaL_error(lua, "%I values for %I elements", (LUAI_UACINT)length, (LUAI_UACINT)(size / type->size));
        for (lua_Integer i = 0; i < length; i++) {
            lua_geti(lua, 4, i + 1);
            bind_native_store(lua, 1, &place, type, lua_gettop(lua), anchors_idx,
                              memory->bytes + (uint64_t)i * type->size);
            lua_settop(lua, anchors_idx);
        }
    }
    lua_settop(lua, memory_idx);
    return 1;
}

/* core.view(library, type table, block or dump, va, size) -> view, or nil, message, code; of a block its user bytes */
static int native_view(lua_State *lua)
{
    bind_check_library(lua, 1);
    lua_settop(lua, 5);
    struct hs_native_type *type = bind_native_type(lua, 1, 2);
    uint64_t size;
    hs_va va;
    int owner_idx = 3;
    if (luaL_testudata(lua, 3, bind_block_class.name)) {
        const struct bind_block *block = bind_check_box(lua, 3, &bind_block_class);
        va = block->block.user_va;
        size = block->block.size;
        owner_idx = bind_owner_push(lua, 3);
    } else {
        bind_check_dump(lua, 3);
        va = bind_check_va(lua, 4);
        size = (uint64_t)bind_check_integer(lua, 5, "size", 0, LUA_MAXINTEGER);
    }
    struct bind_dump *owner = bind_check_dump(lua, owner_idx);
    struct hs_span span = hs_space_view(&owner->dump->space, va);
    if (span.size < size || !span.bytes)
        return bind_fail_text(lua, "unmapped", "the %" PRIu64 " bytes at %" PRIx64 " are not in the dump in one piece",
                              size, va);
    if (type->size == 0 || type->size > size)
        return bind_fail_text(lua, "outside", "%s has %" PRIu64 " bytes, here are %" PRIu64, type->name, type->size,
                              size);
    struct bind_memory *memory = memory_new(lua, 1, 0);
    memory->kind = BIND_MEMORY_DUMP;
    memory->type = type;
    memory->bytes = (uint8_t *)(uintptr_t)span.bytes;
    memory->size = size;
    memory->read_only = true;
    memory->dump = owner;
    memory->root = memory;
    lua_pushvalue(lua, owner_idx);
    lua_setiuservalue(lua, -2, 2);
    return 1;
}

/* core.bytes(memory, from, count) -> string; of foreign memory nil, message, code if it is not there */
static int native_bytes(lua_State *lua)
{
    const struct bind_memory *memory = bind_check_memory(lua, 1);
    uint64_t from = (uint64_t)bind_check_integer(lua, 2, "from", 0, LUA_MAXINTEGER);
    if (lua_isnoneornil(lua, 3) && memory->kind == BIND_MEMORY_FOREIGN)
        return luaL_error(lua, "bytes: how many? what a pointer leads to has no size that is known");
    uint64_t count = lua_isnoneornil(lua, 3) ? (from > memory->size ? 0 : memory->size - from)
                                             : (uint64_t)bind_check_integer(lua, 3, "count", 0, LUA_MAXINTEGER);
    if (memory->kind != BIND_MEMORY_FOREIGN && (from > memory->size || count > memory->size - from))
        return luaL_error(lua, "bytes %I to %I are outside of %I bytes", (LUAI_UACINT)from,
                          ((LUAI_UACINT)from + (LUAI_UACINT)count), (LUAI_UACINT)memory->size);
    luaL_Buffer buffer;
    char *to = luaL_buffinitsize(lua, &buffer, (size_t)count);
    bool there = true;
    if (memory->kind == BIND_MEMORY_FOREIGN)
        there = hs_native_read(to, memory->bytes + from, (size_t)count);
    else if (count > 0)
        memcpy(to, memory->bytes + from, (size_t)count);
    luaL_pushresultsize(&buffer, there ? (size_t)count : 0);
    return there ? 1 : bind_fail_text(lua, "unmapped", "the %" PRIu64 " bytes are not there", count);
}

/* core.text(memory, max) -> the bytes before the first 0, at most max */
static int native_text(lua_State *lua)
{
    const struct bind_memory *memory = bind_check_memory(lua, 1);
    uint64_t max = (uint64_t)bind_check_integer(lua, 2, "max", 0, LUA_MAXINTEGER), size = 0;
    luaL_Buffer buffer;
    luaL_buffinit(lua, &buffer);
    if (memory->kind != BIND_MEMORY_FOREIGN) {
        max = max < memory->size ? max : memory->size;
        const uint8_t *end = max ? memchr(memory->bytes, 0, (size_t)max) : NULL;
        lua_pushlstring(lua, (const char *)memory->bytes, end ? (size_t)(end - memory->bytes) : (size_t)max);
        return 1;
    }
    while (size < max) { /* up to the next border of a page at a time: what is behind it may not be there */
        const uint8_t *at = memory->bytes + size;
        uint64_t step = 256 - (uintptr_t)at % 256;
        char piece[256];
        step = step < max - size ? step : max - size;
        if (!hs_native_read(piece, at, (size_t)step)) {
            luaL_pushresult(&buffer);
            return bind_fail_text(lua, "unmapped", "the text runs into memory that is not there");
        }
        const char *end = memchr(piece, 0, (size_t)step);
        luaL_addlstring(&buffer, piece, end ? (size_t)(end - piece) : (size_t)step);
        if (end)
            break;
        size += step;
    }
    luaL_pushresult(&buffer);
    return 1;
}

/* core.memory(value) -> size, address, type table; nothing if it is no memory */
static int native_memory(lua_State *lua)
{
    if (!luaL_testudata(lua, 1, BIND_MEMORY))
        return 0;
    const struct bind_memory *memory = bind_check_memory(lua, 1);
    if (memory->kind == BIND_MEMORY_FOREIGN)
        lua_pushinteger(lua, (lua_Integer)memory->type->size);
    else
        lua_pushinteger(lua, (lua_Integer)memory->size);
    lua_pushinteger(lua, (lua_Integer)(uintptr_t)memory->bytes);
    lua_getiuservalue(lua, 1, 1);
    lua_getiuservalue(lua, -1, 2);
    lua_rawgetp(lua, -1, memory->type);
    lua_replace(lua, -3);
    lua_pop(lua, 1);
    return 3;
}

/* core.variable(library, name, type table) -> memory of a variable of the library; nil: it has none of that name */
static int native_variable(lua_State *lua)
{
    struct bind_library *library = bind_check_library(lua, 1);
    void *at = hs_library_symbol(library->library, luaL_checkstring(lua, 2));
    struct hs_native_type *type = bind_native_type(lua, 1, 3);
    if (!at)
        return 0;
    foreign_push(lua, 1, type, at);
    return 1;
}

const luaL_Reg bind_native_memory_functions[] = {
    {"new", native_new},   {"view", native_view},     {"bytes", native_bytes},
    {"text", native_text}, {"memory", native_memory}, {"variable", native_variable},
    {NULL, NULL},
};

void bind_native_memory_create(lua_State *lua)
{
    static const luaL_Reg metamethods[] = {
        {"__index", memory_index}, {"__newindex", memory_newindex}, {"__len", memory_len},
        {"__eq", memory_eq},       {"__tostring", memory_tostring}, {NULL, NULL},
    };
    luaL_newmetatable(lua, BIND_MEMORY);
    luaL_setfuncs(lua, metamethods, 0);
    lua_pushliteral(lua, BIND_MEMORY);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 1);
}

/* ---- pointers to memory ---- */

void bind_memory_push_pointer(lua_State *lua, int library_idx, struct hs_native_type *pointer, void *to)
{
    struct hs_native_type *target = bind_native_target(lua, library_idx, pointer);
    if (!to)
        lua_pushnil(lua);
    else if (target->kind == HS_NATIVE_FUNCTION)
        bind_function_push(lua, library_idx, target, to, "a function");
    else
        foreign_push(lua, library_idx, target, to);
}
