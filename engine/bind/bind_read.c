/* bind_read.c - memory of the process as Lua strings and integers: dump:u32(va), block:u32(offset), find. */
#include "bind/bind_internal.h"

#include <inttypes.h>

#define STRING_DEFAULT 4096 /* bytes or units a string is read for when no bound is given */
#define STRING_MAX (1 << 24)
#define PIECE 512u

/* ---- integers ---- */

static int unmapped(lua_State *lua, const struct bind_dump *box, hs_va va, uint64_t wanted, uint64_t there)
{
    int digits = bind_va_digits(box->dump);
    if (there == 0)
        return bind_fail_text(lua, "unmapped", "the dump holds no memory at %0*" PRIx64, digits, va);
    return bind_fail_text(lua, "unmapped", "only %" PRIu64 " of %" PRIu64 " bytes at %0*" PRIx64 " are in the dump",
                          there, wanted, digits, va);
}

static int integer_read(lua_State *lua, const struct bind_dump *box, hs_va va, unsigned size, bool is_signed)
{
    uint8_t bytes[8];
    size_t there = 0;
    if (hs_dump_read(box->dump, va, bytes, size, &there, NULL) != HS_OK)
        return unmapped(lua, box, va, size, there);
    bind_push_integer(lua, bytes, size, is_signed);
    return 1;
}

static int dump_integer(lua_State *lua, unsigned size, bool is_signed)
{
    const struct bind_dump *box = bind_check_dump(lua, 1);
    return integer_read(lua, box, bind_check_va(lua, 2), size, is_signed);
}

/* An integer `offset` bytes into the user bytes of a block, wholly inside them. */
static int block_integer(lua_State *lua, unsigned size, bool is_signed)
{
    const struct bind_block *box = bind_check_box(lua, 1, &bind_block_class);
    uint64_t offset = (uint64_t)bind_check_integer(lua, 2, "offset", 0, LUA_MAXINTEGER);
    if (box->block.size < size || offset > box->block.size - size)
        return bind_fail_text(lua, "outside", "offset %" PRIu64 " + %u is past the %" PRIu64 " bytes of the block",
                              offset, size, box->block.size);
    return integer_read(lua, box->owner, box->block.user_va + offset, size, is_signed);
}

int bind_dump_u8(lua_State *lua)
{
    return dump_integer(lua, 1, false);
}
int bind_dump_u16(lua_State *lua)
{
    return dump_integer(lua, 2, false);
}
int bind_dump_u32(lua_State *lua)
{
    return dump_integer(lua, 4, false);
}
int bind_dump_u64(lua_State *lua)
{
    return dump_integer(lua, 8, false);
}
int bind_dump_i8(lua_State *lua)
{
    return dump_integer(lua, 1, true);
}
int bind_dump_i16(lua_State *lua)
{
    return dump_integer(lua, 2, true);
}
int bind_dump_i32(lua_State *lua)
{
    return dump_integer(lua, 4, true);
}
int bind_dump_i64(lua_State *lua)
{
    return dump_integer(lua, 8, true);
}
int bind_dump_ptr(lua_State *lua)
{
    return dump_integer(lua, hs_dump_facts(bind_check_dump(lua, 1)->dump)->pointer_size, false);
}

int bind_block_u8(lua_State *lua)
{
    return block_integer(lua, 1, false);
}
int bind_block_u16(lua_State *lua)
{
    return block_integer(lua, 2, false);
}
int bind_block_u32(lua_State *lua)
{
    return block_integer(lua, 4, false);
}
int bind_block_u64(lua_State *lua)
{
    return block_integer(lua, 8, false);
}
int bind_block_i8(lua_State *lua)
{
    return block_integer(lua, 1, true);
}
int bind_block_i16(lua_State *lua)
{
    return block_integer(lua, 2, true);
}
int bind_block_i32(lua_State *lua)
{
    return block_integer(lua, 4, true);
}
int bind_block_i64(lua_State *lua)
{
    return block_integer(lua, 8, true);
}
int bind_block_ptr(lua_State *lua)
{
    const struct bind_block *box = bind_check_box(lua, 1, &bind_block_class);
    return block_integer(lua, hs_dump_facts(box->owner->dump)->pointer_size, false);
}

/* ---- bytes ---- */

/* How many of `size` bytes at `va` the dump holds without a gap: asked before anything is allocated for them. */
static uint64_t contiguous(const struct hs_dump *dump, hs_va va, uint64_t size)
{
    uint64_t there = 0;
    while (there < size) {
        const void *bytes;
        uint64_t part;
        if (va + there < va || hs_dump_view(dump, va + there, &bytes, &part) != HS_OK || part == 0)
            break;
        there += part < size - there ? part : size - there;
    }
    return there;
}

static int bytes_read(lua_State *lua, const struct bind_dump *box, hs_va va, uint64_t size)
{
    uint64_t there = contiguous(box->dump, va, size);
    if (there < size)
        return unmapped(lua, box, va, size, there);
    luaL_Buffer buffer;
    char *bytes = luaL_buffinitsize(lua, &buffer, (size_t)size);
    size_t read = 0;
    enum hs_status status = size ? hs_dump_read(box->dump, va, bytes, (size_t)size, &read, NULL) : HS_OK;
    luaL_pushresultsize(&buffer, status == HS_OK ? (size_t)size : 0);
    return status == HS_OK ? 1 : unmapped(lua, box, va, size, read);
}

/* dump:read(va, n) */
int bind_dump_read(lua_State *lua)
{
    const struct bind_dump *box = bind_check_dump(lua, 1);
    hs_va va = bind_check_va(lua, 2);
    return bytes_read(lua, box, va, (uint64_t)bind_check_integer(lua, 3, "number of bytes", 0, LUA_MAXINTEGER));
}

/* block:bytes([from[, to]]): offsets from 0, `to` exclusive. */
int bind_block_bytes(lua_State *lua)
{
    const struct bind_block *box = bind_check_box(lua, 1, &bind_block_class);
    uint64_t size = box->block.size;
    uint64_t from = lua_isnoneornil(lua, 2) ? 0 : (uint64_t)bind_check_integer(lua, 2, "from", 0, LUA_MAXINTEGER);
    uint64_t to = lua_isnoneornil(lua, 3) ? size : (uint64_t)bind_check_integer(lua, 3, "to", 0, LUA_MAXINTEGER);
    if (from > to || to > size)
        return bind_fail_text(lua, "outside",
                              "bytes %" PRIu64 " to %" PRIu64 " are not inside the %" PRIu64 " bytes of the block",
                              from, to, size);
    return bytes_read(lua, box->owner, box->block.user_va + from, to - from);
}

/* ---- strings ---- */

/* Adds bytes of a code page that the dump does not name: UTF-8 if they are, else each byte as Latin-1. */
static void add_narrow(luaL_Buffer *buffer, const char *bytes, size_t size, bool is_utf8)
{
    if (is_utf8) {
        luaL_addlstring(buffer, bytes, size);
        return;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c < 0x80) {
            luaL_addchar(buffer, (char)c);
        } else {
            luaL_addchar(buffer, (char)(0xc0 | c >> 6));
            luaL_addchar(buffer, (char)(0x80 | (c & 0x3f)));
        }
    }
}

static bool utf8_valid(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        unsigned char c = bytes[i++];
        if (c < 0x80)
            continue;
        unsigned follow = c >= 0xc2 && c <= 0xdf ? 1 : (c & 0xf0) == 0xe0 ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : 0;
        if (follow == 0 || size - i < follow)
            return false;
        unsigned char second = bytes[i];
        if ((c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) || (c == 0xf0 && second < 0x90) ||
            (c == 0xf4 && second > 0x8f))
            return false;
        for (; follow > 0; follow--)
            if ((bytes[i++] & 0xc0) != 0x80)
                return false;
    }
    return true;
}

/* Leaves the raw bytes up to a terminator of `unit` bytes as a Lua string at the stack top. *cut_ret: the bound or the
 * end of memory came before the terminator. False: nothing could be read. */
static bool terminated_push(lua_State *lua, const struct hs_dump *dump, hs_va va, size_t unit, lua_Integer max,
                            bool *cut_ret)
{
    uint8_t piece[PIECE];
    luaL_Buffer buffer;
    luaL_buffinit(lua, &buffer);
    uint64_t left = (uint64_t)max * unit;
    bool any = false, end = false;
    while (left > 0 && !end) {
        size_t wanted = left < PIECE ? (size_t)left : PIECE, there = 0;
        enum hs_status status = hs_dump_read(dump, va, piece, wanted, &there, NULL);
        size_t used = 0;
        any = any || there >= unit;
        while (used + unit <= there && !end) {
            end = piece[used] == 0 && (unit == 1 || piece[used + 1] == 0);
            used += end ? 0 : unit;
        }
        luaL_addlstring(&buffer, (const char *)piece, used);
        if (status != HS_OK)
            break;
        va += wanted;
        left -= wanted;
    }
    luaL_pushresult(&buffer);
    *cut_ret = !end;
    return any || max == 0;
}

static int string_read(lua_State *lua, size_t unit)
{
    const struct bind_dump *box = bind_check_dump(lua, 1);
    hs_va va = bind_check_va(lua, 2);
    lua_Integer max = lua_isnoneornil(lua, 3) ? STRING_DEFAULT : bind_check_integer(lua, 3, "max", 0, STRING_MAX);
    bool cut;
    if (!terminated_push(lua, box->dump, va, unit, max, &cut))
        return unmapped(lua, box, va, unit, 0);
    size_t size;
    const char *raw = lua_tolstring(lua, -1, &size);
    if (unit == 1) {
        luaL_Buffer buffer;
        luaL_buffinit(lua, &buffer);
        add_narrow(&buffer, raw, size, utf8_valid((const unsigned char *)raw, size));
        luaL_pushresult(&buffer);
    } else {
        /* The growing text is malloc'ed: copied into a Lua buffer that is made first. */
        luaL_Buffer buffer;
        char *room = luaL_buffinitsize(lua, &buffer, size / 2 * 3 + 1);
        struct hs_text text;
        hs_text_init(&text);
        hs_text_add_utf16_raw(&text, raw, size / 2);
        size_t length = text.failed ? 0 : text.size;
        if (length > 0 && length <= size / 2 * 3)
            memcpy(room, text.bytes, length);
        bool failed = text.failed;
        hs_text_deinit(&text);
        if (failed)
            bind_raise(lua, HS_ERR_MEMORY, NULL);
        luaL_pushresultsize(&buffer, length);
    }
    lua_pushboolean(lua, cut);
    return 2;
}

int bind_dump_cstring(lua_State *lua)
{
    return string_read(lua, 1);
}
int bind_dump_wstring(lua_State *lua)
{
    return string_read(lua, 2);
}

/* ---- find ---- */

struct find {
    const struct hs_dump *dump;
    const char *pattern;
    size_t size;
    hs_va from, to;
    uint64_t align;
    hs_va va;
};

static enum hs_status work_find(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct find *find = arguments;
    return hs_dump_find(find->dump, find->pattern, find->size, find->from, find->to, find->align, job, &find->va, err);
}

/* Upvalues: dump, pattern, from, to, align. Called with (nil, previous address). */
static int find_next(lua_State *lua)
{
    const struct bind_dump *box = bind_check_dump(lua, lua_upvalueindex(1));
    struct find find = {.dump = box->dump};
    find.pattern = lua_tolstring(lua, lua_upvalueindex(2), &find.size);
    find.from = (hs_va)lua_tointeger(lua, lua_upvalueindex(3));
    find.to = (hs_va)lua_tointeger(lua, lua_upvalueindex(4));
    find.align = (uint64_t)lua_tointeger(lua, lua_upvalueindex(5));
    if (!lua_isnoneornil(lua, 2))
        find.from = bind_check_va(lua, 2) + 1;
    struct hs_error err = {0};
    lua_settop(lua, 2);
    lua_pushvalue(lua, lua_upvalueindex(1));
    enum hs_status status = bind_run(lua, 3, "searching memory", work_find, &find, &err);
    if (status == HS_OK)
        lua_pushinteger(lua, (lua_Integer)find.va);
    else if (status == HS_NOT_FOUND)
        lua_pushnil(lua);
    else
        bind_raise(lua, status, &err);
    return 1;
}

static lua_Integer find_option(lua_State *lua, const char *name, lua_Integer fallback, lua_Integer low)
{
    if (lua_getfield(lua, 3, name) != LUA_TNIL) {
        if (!lua_isinteger(lua, -1) || lua_tointeger(lua, -1) < low)
            luaL_argerror(lua, 3, lua_pushfstring(lua, "%s: an integer from %I expected", name, (LUAI_UACINT)low));
        fallback = lua_tointeger(lua, -1);
    }
    lua_pop(lua, 1);
    return fallback;
}

/* dump:find(pattern[, { from =, to =, align = }]) -> iterator of addresses */
int bind_dump_find(lua_State *lua)
{
    bind_check_dump(lua, 1);
    size_t size;
    luaL_checktype(lua, 2, LUA_TSTRING);
    lua_tolstring(lua, 2, &size);
    luaL_argcheck(lua, size > 0, 2, "the pattern is empty");
    lua_Integer from = 0, to = LUA_MAXINTEGER, align = 1;
    lua_settop(lua, 3);
    if (!lua_isnil(lua, 3)) {
        luaL_checktype(lua, 3, LUA_TTABLE);
        from = find_option(lua, "from", from, 0);
        to = find_option(lua, "to", to, 0);
        align = find_option(lua, "align", align, 1);
        lua_pushnil(lua);
        while (lua_next(lua, 3)) {
            const char *key = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : "?";
            if (strcmp(key, "from") != 0 && strcmp(key, "to") != 0 && strcmp(key, "align") != 0)
                luaL_argerror(lua, 3, lua_pushfstring(lua, "unknown option '%s' (from, to, align)", key));
            lua_pop(lua, 1);
        }
    }
    lua_settop(lua, 2);
    lua_pushinteger(lua, from);
    lua_pushinteger(lua, to);
    lua_pushinteger(lua, align);
    lua_pushcclosure(lua, find_next, 5);
    return 1;
}
