/* lua_state.h - a Lua state with the engine's surface and the filter grammar, and a tiny dump, for fuzz targets.
 *
 * The dump comes from `heapsift run sample --tiny` once a process ($HEAPSIFT, the program of the same build). */
#ifndef FUZZ_LUA_STATE_H
#define FUZZ_LUA_STATE_H

#include "bind/bind.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char fuzz_dump_path[256];

static void fuzz_remove_dump(void)
{
    remove(fuzz_dump_path);
}

/* Path of the dump; ends the program if there is none to be had. */
static const char *fuzz_dump(void)
{
    const char *program = getenv("HEAPSIFT"), *folder = getenv("TMPDIR");
    char command[1200];

    if (fuzz_dump_path[0])
        return fuzz_dump_path;
    snprintf(fuzz_dump_path, sizeof fuzz_dump_path, "%s/fuzz-%ld.dmp", folder ? folder : "/tmp", (long)getpid());
    snprintf(command, sizeof command, "'%s' run sample '%s' --tiny >/dev/null", program ? program : "heapsift",
             fuzz_dump_path);
    if (system(command) != 0) { /* NOLINT(cert-env33-c): the program under test */
        fprintf(stderr, "HEAPSIFT must name the program, to make a sample with\n");
        _exit(1);
    }
    atexit(fuzz_remove_dump);
    return fuzz_dump_path;
}

/* A state with `heapsift`, `path` (of the dump) and plugins/lib of the source folder on package.path. */
static lua_State *fuzz_state(void)
{
    lua_State *lua = luaL_newstate();
    const char *source = getenv("SRC");
    static const char setup[] =
        "local root, path = ...\n"
        "package.path = root .. '/plugins/lib/?.lua;' .. package.path\n"
        "_G.path = path\n"
        "return function(text, expression) return require('filter').try(text, expression) end\n";

    if (!lua)
        _exit(1);
    luaL_openlibs(lua);
    luaL_requiref(lua, "heapsift", luaopen_heapsift, 1);
    lua_pop(lua, 1);
    if (luaL_loadstring(lua, setup) != LUA_OK)
        _exit(1);
    lua_pushstring(lua, source ? source : ".");
    lua_pushstring(lua, fuzz_dump());
    if (lua_pcall(lua, 2, 1, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(lua, -1));
        _exit(1);
    }
    lua_setfield(lua, LUA_REGISTRYINDEX, HS_BIND_FILTER);
    return lua;
}

/* Calls `driver` (Lua source, compiled once a state) with the bytes; an error in it is a find. */
static void fuzz_call(lua_State *lua, const char *driver, const void *data, size_t size)
{
    if (lua_getfield(lua, LUA_REGISTRYINDEX, "fuzz.driver") != LUA_TFUNCTION) {
        lua_pop(lua, 1);
        if (luaL_loadbuffer(lua, driver, strlen(driver), "=driver") != LUA_OK) {
            fprintf(stderr, "%s\n", lua_tostring(lua, -1));
            abort();
        }
        lua_pushvalue(lua, -1);
        lua_setfield(lua, LUA_REGISTRYINDEX, "fuzz.driver");
    }
    lua_pushlstring(lua, data, size);
    if (lua_pcall(lua, 1, 0, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(lua, -1));
        abort();
    }
}

#endif
