/* bind_answer.c - methods of the dump whose work is done in Lua: dump:eval, dump:command. */
#include "bind/bind_internal.h"

/* Hands the arguments to the function `name` of the table HS_BIND_ANSWERS and returns what it gives. */
static int answer(lua_State *lua, const char *name)
{
    bind_check_dump(lua, 1);
    luaL_checktype(lua, 2, LUA_TSTRING);
    if (lua_getfield(lua, LUA_REGISTRYINDEX, HS_BIND_ANSWERS) != LUA_TTABLE)
        return luaL_error(lua, "dump:%s: only the program heapsift answers it", name);
    lua_getfield(lua, -1, name);
    lua_replace(lua, -2);
    lua_insert(lua, 1);
    lua_call(lua, lua_gettop(lua) - 1, LUA_MULTRET);
    return lua_gettop(lua);
}

/* dump:eval(text) -> integer, or nil, message, code */
int bind_dump_eval(lua_State *lua)
{
    return answer(lua, "eval");
}

/* dump:command(line) -> data, or nil, message, code */
int bind_dump_command(lua_State *lua)
{
    return answer(lua, "command");
}
