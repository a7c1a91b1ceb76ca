/* system.c - programs, folders and users for the host's Lua code, which Lua itself cannot ask for. */
#include "batch/batch.h"
#include "host/host_internal.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

/* Gives true, or nil and why not. */
static int done(lua_State *lua, bool ok)
{
    int number = errno;
    if (!ok) {
        lua_pushnil(lua);
        lua_pushstring(lua, strerror(number));
        return 2;
    }
    lua_pushboolean(lua, true);
    return 1;
}

/* Gives a text that `status` is for, or nil and what is wrong. */
static int give(lua_State *lua, enum hs_status status, const struct hs_error *err, struct hs_text *text)
{
    if (status == HS_OK) {
        lua_pushlstring(lua, text->bytes, text->size);
    } else {
        lua_pushnil(lua);
        lua_pushstring(lua, err->text);
    }
    hs_text_deinit(text);
    return status == HS_OK ? 1 : 2;
}

/* core.find_program(name) -> absolute path, or nil, message */
static int find_program(lua_State *lua)
{
    struct hs_error err = {0};
    struct hs_text text;
    const char *name = luaL_checkstring(lua, 1);
    hs_text_init(&text);
    return give(lua, hs_program_find(name, &text, &err), &err, &text);
}

/* core.absolute(path) -> absolute path, or nil, message */
static int absolute(lua_State *lua)
{
    struct hs_error err = {0};
    struct hs_text text;
    const char *path = luaL_checkstring(lua, 1);
    hs_text_init(&text);
    return give(lua, hs_path_absolute(path, &text, &err), &err, &text);
}

/* core.own_program() -> absolute path of this very program, or nil, message */
static int own_program(lua_State *lua)
{
    char path[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path);
    if (size < 0 || (size_t)size == sizeof path)
        return done(lua, false);
    lua_pushlstring(lua, path, (size_t)size);
    return 1;
}

/* core.make_folder(path) -> true, or nil, message: it must not be there */
static int make_folder(lua_State *lua)
{
    return done(lua, mkdir(luaL_checkstring(lua, 1), 0777) == 0);
}

/* core.enter_folder(path) -> true, or nil, message: relative paths begin there from now on */
static int enter_folder(lua_State *lua)
{
    return done(lua, chdir(luaL_checkstring(lua, 1)) == 0);
}

/* core.owner(path) -> number of the user whose it is, or nil, message */
static int owner(lua_State *lua)
{
    struct stat info;
    if (stat(luaL_checkstring(lua, 1), &info) != 0)
        return done(lua, false);
    lua_pushinteger(lua, (lua_Integer)info.st_uid);
    return 1;
}

/* core.user() -> number of the user */
static int user(lua_State *lua)
{
    lua_pushinteger(lua, (lua_Integer)geteuid());
    return 1;
}

/* core.sleep(milliseconds): less if a signal comes */
static int sleep_for(lua_State *lua)
{
    lua_Integer left = luaL_checkinteger(lua, 1);
    for (; left > 0 && host_signals_caught() == 0; left -= 50)
        usleep(left < 50 ? (useconds_t)left * 1000 : 50000);
    return 0;
}

void host_system_add(lua_State *lua)
{
    static const luaL_Reg functions[] = {{"find_program", find_program},
                                         {"absolute", absolute},
                                         {"own_program", own_program},
                                         {"make_folder", make_folder},
                                         {"enter_folder", enter_folder},
                                         {"owner", owner},
                                         {"user", user},
                                         {"sleep", sleep_for},
                                         {NULL, NULL}};
    luaL_setfuncs(lua, functions, 0);
}
