/* prompt.c - what `heapsift shell` needs beyond scripts: the line editor, and Ctrl-C that stops a command only. */
#include "host/host_internal.h"

#include <stdlib.h>
#include <unistd.h>

#define COMPLETER "heapsift.host.completer" /* registry: function (text before the cursor) -> typed bytes, list */

static const struct hs_prompt *prompt_of(lua_State *lua)
{
    const struct hs_prompt *prompt = host_of(lua)->prompt;
    if (!prompt)
        luaL_error(lua, "no line editor");
    return prompt;
}

/* core.prompt_open([history path]) -> whether lines can be edited: stdin and stdout are a terminal */
static int prompt_open(lua_State *lua)
{
    const struct hs_prompt *prompt = host_of(lua)->prompt;
    bool terminal = prompt && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    lua_pushboolean(lua, terminal && prompt->open(luaL_optstring(lua, 1, NULL)));
    return 1;
}

/* Called by the editor in the middle of a line: errors give no candidates. */
static char *complete(void *context, const char *line, size_t size, size_t *typed_ret)
{
    lua_State *lua = context;
    int top = lua_gettop(lua);
    char *list = NULL;
    if (lua_checkstack(lua, 8) && lua_getfield(lua, LUA_REGISTRYINDEX, COMPLETER) == LUA_TFUNCTION) {
        lua_pushlstring(lua, line, size);
        if (lua_pcall(lua, 1, 2, 0) == LUA_OK && lua_isinteger(lua, -2) && lua_isstring(lua, -1)) {
            lua_Integer typed = lua_tointeger(lua, -2);
            *typed_ret = typed >= 0 && (size_t)typed <= size ? (size_t)typed : 0;
            list = strdup(lua_tostring(lua, -1));
        }
    }
    lua_settop(lua, top);
    return list;
}

/* core.prompt_read(prompt, completer) -> line; "" and true if it was given up; nil at the end of input */
static int prompt_read(lua_State *lua)
{
    const struct hs_prompt *prompt = prompt_of(lua);
    const char *text = luaL_checkstring(lua, 1);
    luaL_checktype(lua, 2, LUA_TFUNCTION);
    lua_settop(lua, 2);
    lua_setfield(lua, LUA_REGISTRYINDEX, COMPLETER);
    prompt->complete(complete, lua);
    size_t size;
    bool interrupted;
    fflush(stdout);
    const char *line = prompt->read(text, &size, &interrupted);
    if (!line)
        return 0;
    lua_pushlstring(lua, line, size);
    lua_pushboolean(lua, interrupted);
    return 2;
}

/* core.prompt_remember(line) */
static int prompt_remember(lua_State *lua)
{
    prompt_of(lua)->remember(luaL_checkstring(lua, 1));
    return 0;
}

/* core.prompt_close() */
static int prompt_close(lua_State *lua)
{
    prompt_of(lua)->close();
    return 0;
}

static void one_command_begin(lua_State *lua)
{
    host_signals_one_command(true);
    host_watch_again(lua);
}

/* core.one_command(on): while on, Ctrl-C stops what runs now, not the program */
static int one_command(lua_State *lua)
{
    host_signals_one_command(lua_toboolean(lua, 1));
    host_watch_again(lua);
    return 0;
}

/* core.attempt(f) -> true; or false, what it raised, and whether Ctrl-C stopped it. What was caught is forgotten here, in
 * C: the first Lua instruction behind it would meet the stop again. */
static int attempt(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TFUNCTION);
    lua_settop(lua, 1);
    bool ok = lua_pcall(lua, 0, 0, 0) == LUA_OK;
    bool stopped = host_signals_stopped_command();
    if (stopped)
        one_command_begin(lua);
    lua_pushboolean(lua, ok && !stopped);
    if (ok)
        lua_pushnil(lua);
    else
        lua_rotate(lua, -2, 1);
    lua_pushboolean(lua, stopped);
    return 3;
}

/* core.stdout_gone() -> whether nobody reads stdout any more */
static int stdout_gone(lua_State *lua)
{
    lua_pushboolean(lua, host_of(lua)->stdout_errno != 0);
    return 1;
}

const luaL_Reg host_prompt_functions[] = {
    {"prompt_open", prompt_open},   {"prompt_read", prompt_read},      {"prompt_remember", prompt_remember},
    {"prompt_close", prompt_close}, {"one_command", one_command},      {"attempt", attempt},
    {"stdout_gone", stdout_gone},   {"disassemble", host_disassemble}, {NULL, NULL},
};
