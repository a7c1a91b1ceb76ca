/* bind_names.c - C++ names as people write them. The grammar is Lua (plugins/lib/undecorate.lua); the host puts its function
 * under HS_BIND_UNDECORATE. What it gave is remembered, since a few names stand in nearly every stack. */
#include "bind/bind_internal.h"

#define CACHE_KEY "heapsift.names"
#define CACHE_MAX (32 << 20) /* bytes of names and texts in one form; then it starts anew */

static const char *const form_names[] = {"short", "full", "raw", NULL};

enum hs_name_form bind_name_form_argument(lua_State *lua, int arg)
{
    static const enum hs_name_form forms[] = {HS_NAME_SHORT, HS_NAME_FULL, HS_NAME_RAW};
    return lua_isnoneornil(lua, arg) ? bind_name_form(lua) : forms[luaL_checkoption(lua, arg, NULL, form_names)];
}

static bool is_decorated(const char *name)
{
    static const char import[] = "__imp_?";
    return name[0] == '?' || strncmp(name, import, sizeof import - 1) == 0;
}

/* Sets the text at the stack top for the name at `name_idx` in the table at `cache_idx`, whose field 1 counts bytes; a
 * table that has grown too large is left alone, for the caller to drop. */
static bool cache_set(lua_State *lua, int cache_idx, int name_idx)
{
    lua_rawgeti(lua, cache_idx, 1);
    lua_Integer size = lua_tointeger(lua, -1) + (lua_Integer)(lua_rawlen(lua, name_idx) + lua_rawlen(lua, -2));
    lua_pop(lua, 1);
    if (size > CACHE_MAX)
        return false;
    lua_pushinteger(lua, size);
    lua_rawseti(lua, cache_idx, 1);
    lua_pushvalue(lua, name_idx);
    lua_pushvalue(lua, -2);
    lua_rawset(lua, cache_idx);
    return true;
}

const char *bind_name_push(lua_State *lua, const char *name, enum hs_name_form form)
{
    luaL_checkstack(lua, 8, NULL);
    lua_pushstring(lua, name);
    if (form == HS_NAME_RAW || !is_decorated(name))
        return lua_tostring(lua, -1);
    int name_idx = lua_gettop(lua), caches_idx = name_idx + 1, cache_idx = name_idx + 2;
    luaL_getsubtable(lua, LUA_REGISTRYINDEX, CACHE_KEY);
    luaL_getsubtable(lua, caches_idx, form_names[form]);
    lua_pushvalue(lua, name_idx);
    if (lua_rawget(lua, cache_idx) != LUA_TSTRING &&
        lua_getfield(lua, LUA_REGISTRYINDEX, HS_BIND_UNDECORATE) == LUA_TFUNCTION) {
        lua_pushvalue(lua, name_idx);
        lua_pushstring(lua, form_names[form]);
        lua_call(lua, 2, 1);
        if (lua_type(lua, -1) != LUA_TSTRING)
            luaL_error(lua, "undecorate: a text expected, got %s", luaL_typename(lua, -1));
        if (!cache_set(lua, cache_idx, name_idx)) {
            lua_pushnil(lua);
            lua_setfield(lua, caches_idx, form_names[form]);
        }
    }
    if (lua_isstring(lua, -1))
        lua_replace(lua, name_idx);
    lua_settop(lua, name_idx);
    return lua_tostring(lua, -1);
}
