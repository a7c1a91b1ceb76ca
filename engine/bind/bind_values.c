/* bind_values.c - set:values(): a few values of each block, without an object a block. */
#include "bind/bind_internal.h"

#include "query/query.h"

#define VALUES_MAX 16
#define CURSOR_BOX "heapsift.values cursor"

/* A loop over a set. User values: 1 the dump, 2 the set, 3 a table with the boxes of the filters. */
struct cursor {
    struct bind_dump *owner;
    struct hs_set_cursor blocks;
    const struct hs_filter *where;              /* NULL: every block */
    const struct hs_filter *values[VALUES_MAX]; /* NULL: the name of the state */
    int value_count;
    lua_Integer number;  /* of the last block given, from 1 */
    size_t place, taken; /* spots[place .. taken - 1] are still to come */
    struct hs_spot spots[HS_BATCH];
};

/* Whether the block at `place` is one of those that are asked for. */
static bool is_wanted(const struct cursor *cursor)
{
    int64_t value;
    return !cursor->where || (hs_filter_value(cursor->where, &cursor->spots[cursor->place], &value) && value);
}

/* Steps to the next block that is asked for; false past the last. */
static bool find_next(struct cursor *cursor)
{
    for (;;) {
        for (; cursor->place < cursor->taken; cursor->place++)
            if (is_wanted(cursor))
                return true;
        cursor->place = 0;
        cursor->taken = hs_set_cursor_take(&cursor->blocks, cursor->spots);
        if (cursor->taken == 0)
            return false;
    }
}

/* The step of the loop: number of the block, then its values; nil for one that is missing. */
static int values_next(lua_State *lua)
{
    struct cursor *cursor = luaL_checkudata(lua, 1, CURSOR_BOX);
    if (!cursor->owner->dump)
        return luaL_error(lua, "the dump is closed");
    if (!find_next(cursor))
        return 0;
    const struct hs_spot *spot = &cursor->spots[cursor->place++];
    luaL_checkstack(lua, cursor->value_count + 1, NULL);
    lua_pushinteger(lua, ++cursor->number);
    for (int i = 0; i < cursor->value_count; i++) {
        int64_t value;
        if (!cursor->values[i])
            lua_pushstring(lua, hs_block_state_name(spot->brief.state));
        else if (hs_filter_value(cursor->values[i], spot, &value))
            lua_pushinteger(lua, (lua_Integer)value);
        else
            lua_pushnil(lua);
    }
    return cursor->value_count + 1;
}

/* Compiles the text at stack index `arg`; the table at `boxes_idx` keeps it alive. */
static const struct hs_filter *compile(lua_State *lua, int owner_idx, int arg, int boxes_idx, bool expression)
{
    const struct hs_filter *filter = *bind_filter_push(lua, owner_idx, arg, expression);
    lua_rawseti(lua, boxes_idx, (lua_Integer)lua_rawlen(lua, boxes_idx) + 1);
    return filter;
}

/* Leaves the text of { where = text } at stack index `arg` in its place; false: there is none. Raises for anything
 * else. */
static bool take_where(lua_State *lua, int arg)
{
    lua_pushnil(lua);
    while (lua_next(lua, arg)) {
        const char *key = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : "?";
        if (strcmp(key, "where") != 0)
            luaL_argerror(lua, arg, lua_pushfstring(lua, "unknown option '%s' (where)", key));
        lua_pop(lua, 1);
    }
    lua_getfield(lua, arg, "where");
    lua_replace(lua, arg);
    luaL_argcheck(lua, lua_isnil(lua, arg) || lua_type(lua, arg) == LUA_TSTRING, arg, "where: a filter text expected");
    return !lua_isnil(lua, arg);
}

/* for number, value, ... in set:values(expression, ...[, { where = filter text }]) do */
int bind_set_values(lua_State *lua)
{
    const struct hs_set *set = bind_set_class.object(lua, 1);
    int last = lua_gettop(lua);
    bool options = last > 1 && lua_istable(lua, last);
    int count = last - 1 - options;
    luaL_argcheck(lua, count >= 1, 2, "an expression expected");
    luaL_argcheck(lua, count <= VALUES_MAX, VALUES_MAX + 2, "too many expressions");
    int owner_idx = bind_owner_push(lua, 1);
    lua_newtable(lua);
    int boxes_idx = lua_gettop(lua);
    struct cursor *cursor = lua_newuserdatauv(lua, sizeof *cursor, 3);
    memset(cursor, 0, sizeof *cursor);
    cursor->owner = lua_touserdata(lua, owner_idx);
    const int kept[] = {owner_idx, 1, boxes_idx};
    for (int i = 0; i < 3; i++) {
        lua_pushvalue(lua, kept[i]);
        lua_setiuservalue(lua, -2, i + 1);
    }
    luaL_setmetatable(lua, CURSOR_BOX);
    for (int i = 0; i < count; i++) {
        luaL_checktype(lua, i + 2, LUA_TSTRING);
        if (strcmp(lua_tostring(lua, i + 2), "state") != 0) /* no number in the language: it has words */
            cursor->values[i] = compile(lua, owner_idx, i + 2, boxes_idx, true);
    }
    cursor->value_count = count;
    if (options && take_where(lua, last))
        cursor->where = compile(lua, owner_idx, last, boxes_idx, false);
    hs_set_cursor_init(&cursor->blocks, set, 0, UINT32_MAX);
    lua_pushcfunction(lua, values_next);
    lua_insert(lua, -2);
    return 2;
}

void bind_values_create_class(lua_State *lua)
{
    if (luaL_newmetatable(lua, CURSOR_BOX)) {
        lua_pushboolean(lua, 0);
        lua_setfield(lua, -2, "__metatable");
    }
    lua_pop(lua, 1);
}
