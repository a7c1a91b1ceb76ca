/* bind_sequence.c - sequences: #s, s[i] from 1, and `for x in s do`, over things the engine keeps in arrays. */
#include "bind/bind_internal.h"

#define SEQUENCE "heapsift.sequence"

static struct bind_sequence *check(lua_State *lua, int idx)
{
    struct bind_sequence *sequence = luaL_checkudata(lua, idx, SEQUENCE);
    if (!sequence->owner->dump)
        luaL_error(lua, "%s: their dump is closed", sequence->kind->noun);
    return sequence;
}

void bind_places_push(lua_State *lua)
{
    lua_newtable(lua);
    lua_createtable(lua, 0, 1);
    lua_pushliteral(lua, "k");
    lua_setfield(lua, -2, "__mode");
    lua_setmetatable(lua, -2);
}

void bind_sequence_push(lua_State *lua, int owner_idx, const struct bind_sequence_kind *kind, size_t count,
                        size_t argument)
{
    owner_idx = lua_absindex(lua, owner_idx);
    struct bind_sequence *sequence = lua_newuserdatauv(lua, sizeof *sequence, 2);
    *sequence = (struct bind_sequence){lua_touserdata(lua, owner_idx), kind, count, argument};
    lua_pushvalue(lua, owner_idx);
    lua_setiuservalue(lua, -2, 1);
    if (!kind->place) {
        bind_places_push(lua);
        lua_setiuservalue(lua, -2, 2);
    }
    luaL_setmetatable(lua, SEQUENCE);
}

bool bind_view_place(lua_State *lua, const struct bind_class *class, int item_idx, size_t *idx_ret)
{
    const struct bind_view *view = luaL_testudata(lua, item_idx, class->name);
    if (view)
        *idx_ret = view->idx;
    return view != NULL;
}

/* Pushes the element at `place` (from 0) of the sequence at stack index 1, or nil past the end. */
static int element_push(lua_State *lua, const struct bind_sequence *sequence, size_t place)
{
    if (place >= sequence->count) {
        lua_pushnil(lua);
        return 1;
    }
    int owner_idx = bind_owner_push(lua, 1);
    sequence->kind->push(lua, owner_idx, sequence, place);
    if (!sequence->kind->place) {
        lua_getiuservalue(lua, 1, 2);
        lua_pushvalue(lua, -2);
        lua_pushinteger(lua, (lua_Integer)place);
        lua_rawset(lua, -3);
        lua_pop(lua, 1);
    }
    return 1;
}

static bool place_of(lua_State *lua, const struct bind_sequence *sequence, int item_idx, size_t *place_ret)
{
    if (sequence->kind->place)
        return sequence->kind->place(lua, sequence, item_idx, place_ret);
    lua_getiuservalue(lua, 1, 2);
    lua_pushvalue(lua, item_idx);
    bool found = lua_rawget(lua, -2) == LUA_TNUMBER;
    if (found)
        *place_ret = (size_t)lua_tointeger(lua, -1);
    lua_pop(lua, 2);
    return found;
}

/* for x in s do: called as s(nil, previous item). */
static int sequence_call(lua_State *lua)
{
    const struct bind_sequence *sequence = check(lua, 1);
    lua_settop(lua, 3);
    if (lua_isnil(lua, 3))
        return element_push(lua, sequence, 0);
    size_t place;
    if (!place_of(lua, sequence, 3, &place))
        return luaL_error(lua, "%s: the loop was given something that is not from this sequence", sequence->kind->noun);
    return element_push(lua, sequence, place + 1);
}

static int sequence_index(lua_State *lua)
{
    const struct bind_sequence *sequence = check(lua, 1);
    if (!lua_isinteger(lua, 2)) {
        if (lua_type(lua, 2) == LUA_TSTRING)
            return luaL_error(lua, "a sequence of %s has no field '%s': use #s, s[i] or `for x in s do`",
                              sequence->kind->noun, lua_tostring(lua, 2));
        return luaL_error(lua, "a sequence of %s is indexed by integers from 1, got %s", sequence->kind->noun,
                          luaL_typename(lua, 2));
    }
    lua_Integer number = lua_tointeger(lua, 2);
    if (number < 1) {
        lua_pushnil(lua);
        return 1;
    }
    return element_push(lua, sequence, (size_t)number - 1);
}

static int sequence_newindex(lua_State *lua)
{
    return luaL_error(lua, "elements of a sequence cannot be set");
}

static int sequence_len(lua_State *lua)
{
    lua_pushinteger(lua, (lua_Integer)check(lua, 1)->count);
    return 1;
}

static int sequence_next(lua_State *lua)
{
    const struct bind_sequence *sequence = check(lua, 1);
    lua_Integer number = luaL_optinteger(lua, 2, 0) + 1;
    lua_settop(lua, 2);
    if (number < 1 || (lua_Unsigned)number > sequence->count) {
        lua_pushnil(lua);
        return 1;
    }
    lua_pushinteger(lua, number);
    element_push(lua, sequence, (size_t)number - 1);
    lua_pushinteger(lua, number);
    lua_insert(lua, -2);
    return 2;
}

static int sequence_pairs(lua_State *lua)
{
    check(lua, 1);
    lua_pushcfunction(lua, sequence_next);
    lua_pushvalue(lua, 1);
    lua_pushnil(lua);
    return 3;
}

static int sequence_tostring(lua_State *lua)
{
    const struct bind_sequence *sequence = luaL_checkudata(lua, 1, SEQUENCE);
    lua_pushfstring(lua, "%I %s", (LUAI_UACINT)sequence->count, sequence->kind->noun);
    return 1;
}

void bind_sequence_create(lua_State *lua)
{
    static const luaL_Reg metamethods[] = {
        {"__index", sequence_index},
        {"__newindex", sequence_newindex},
        {"__len", sequence_len},
        {"__call", sequence_call},
        {"__pairs", sequence_pairs},
        {"__tostring", sequence_tostring},
        {NULL, NULL},
    };
    luaL_newmetatable(lua, SEQUENCE);
    luaL_setfuncs(lua, metamethods, 0);
    lua_pushliteral(lua, SEQUENCE);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 1);
}
