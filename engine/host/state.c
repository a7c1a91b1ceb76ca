/* state.c - the Lua state: its memory, its hook, where its files are, and the run of the host's Lua code. */
#include "host/host_internal.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef HEAPSIFT_DATA_RELATIVE
#define HEAPSIFT_DATA_RELATIVE "../share/heapsift" /* from the folder of the program */
#endif

#define HOOK_COUNT 1000 /* Lua instructions between two looks at what was asked from outside */
#define STRESS_COUNT 25 /* the same for the eager collector */
#define MAIN "plugins/lib/host/main.lua"

/* ---- memory ---- */

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct host *host = context;
    size_t old = block ? old_size : 0; /* for a new block the size is a type */
    if (new_size == 0) {
        free(block);
        host->memory_used -= old;
        return NULL;
    }
    if (new_size > old &&
        (host->memory_used - old > host->memory_limit || new_size > host->memory_limit - (host->memory_used - old)))
        return NULL;
    void *moved = realloc(block, new_size);
    if (moved)
        host->memory_used = host->memory_used - old + new_size;
    return moved;
}

struct host *host_of(lua_State *lua)
{
    void *context;
    lua_getallocf(lua, &context);
    return context;
}

static int panic(lua_State *lua)
{
    const char *text = lua_tostring(lua, -1);
    fprintf(stderr, "heapsift: internal error: %s\n", text ? text : "?");
    _exit(5);
}

/* ---- stopping ---- */

void host_stop(lua_State *lua)
{
    lua_getfield(lua, LUA_REGISTRYINDEX, HOST_STOP);
    lua_error(lua);
    abort(); /* lua_error does not return */
}

static void hook(lua_State *lua, lua_Debug *record)
{
    (void)record;
    struct host *host = host_of(lua);
    if (host->gc_stress)
        lua_gc(lua, LUA_GCCOLLECT);
    if (host->stopping || !host_signals_caught() || host_signals_held())
        return;
    lua_sethook(lua, hook, LUA_MASKCOUNT, 1); /* a script that catches it meets it again at once */
    host_stop(lua);
}

void host_watch_again(lua_State *lua)
{
    lua_sethook(lua, hook, LUA_MASKCOUNT, host_of(lua)->gc_stress ? STRESS_COUNT : HOOK_COUNT);
}

/* ---- where things are ---- */

/* Pushes the data folder, which holds scripts/ and plugins/. */
static void data_dir_push(lua_State *lua)
{
    const char *given = getenv("HEAPSIFT_DATA");
    if (given && given[0]) {
        lua_pushstring(lua, given);
        return;
    }
    char program[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
    program[size > 0 ? size : 0] = 0;
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = 0;
    lua_pushfstring(lua, "%s/%s", slash ? program : ".", HEAPSIFT_DATA_RELATIVE);
}

/* Takes what is relative to the working folder out of a search path: a folder of dumps is no place to load code from. */
static void search_path_clean(lua_State *lua, const char *field)
{
    lua_getglobal(lua, "package");
    lua_getfield(lua, -1, field);
    const char *path = lua_tostring(lua, -1);
    luaL_Buffer buffer;
    luaL_buffinit(lua, &buffer);
    bool any = false;
    while (path && *path) {
        size_t size = strcspn(path, ";");
        if (path[0] == '/') {
            if (any)
                luaL_addchar(&buffer, ';');
            luaL_addlstring(&buffer, path, size);
            any = true;
        }
        path += size + (path[size] == ';');
    }
    luaL_pushresult(&buffer);
    lua_setfield(lua, -3, field);
    lua_pop(lua, 2);
}

static int traceback(lua_State *lua)
{
    const char *text = lua_tostring(lua, 1);
    luaL_traceback(lua, lua, text ? text : luaL_tolstring(lua, 1, NULL), 1);
    return 1;
}

/* ---- the run ---- */

/* Called protected, with argc and argv as light values: opens libraries, runs main.lua, returns its exit code. */
static int run(lua_State *lua)
{
    int argc = (int)lua_tointeger(lua, 1);
    char **argv = lua_touserdata(lua, 2);
    lua_settop(lua, 0);
    lua_pushboolean(lua, true);
    lua_setfield(lua, LUA_REGISTRYINDEX, "LUA_NOENV"); /* trusted code comes from the system, not from LUA_PATH */
    luaL_openlibs(lua);
    search_path_clean(lua, "path");
    search_path_clean(lua, "cpath");
    luaL_requiref(lua, "heapsift", luaopen_heapsift, 0);
    lua_settop(lua, 0);
    hs_bind_set_watch(lua, host_signals_watch());

    data_dir_push(lua);
    lua_pushfstring(lua, "%s/" MAIN, lua_tostring(lua, 1));
    if (luaL_loadfilex(lua, lua_tostring(lua, 2), "t") != LUA_OK)
        return lua_error(lua);
    host_core_push(lua);
    lua_pushvalue(lua, 1);
    lua_createtable(lua, argc, 0);
    for (int i = 1; i < argc; i++) {
        lua_pushstring(lua, argv[i]);
        lua_rawseti(lua, -2, i);
    }
    lua_call(lua, 3, 1);
    return 1;
}

static bool set(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] && strcmp(value, "0") != 0;
}

/* Flushes stdout; a reader that went away is no failure, a full disk is. */
static int finish(struct host *host, int code)
{
    errno = 0;
    if (fflush(stdout) != 0 && host->stdout_errno == 0)
        host->stdout_errno = errno ? errno : EIO;
    if (host->stdout_errno == 0 || host->stdout_errno == EPIPE)
        return code;
    fprintf(stderr, "heapsift: cannot write to stdout: %s\n", strerror(host->stdout_errno));
    return code == 0 || code == 1 || code == 4 ? 5 : code;
}

#define KEPT_BYTES (256 << 20) /* free memory up to that is not given back */

/* A question ends where the next begins, and asks for as much memory as was just let go: to give that back to the kernel
 * and to have it cleared again, page by page, would take longer than many a question does. */
static void keep_memory(void)
{
    mallopt(M_ARENA_MAX, 1); /* one thread's memory is the next one's */
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
}

int hs_host_run(int argc, char **argv, const struct hs_prompt *prompt)
{
    struct host host = {.memory_limit = HOST_MEMORY_LIMIT, .gc_stress = set("HEAPSIFT_GC_STRESS"), .prompt = prompt};
    keep_memory();
    host_signals_start();
    lua_State *lua = lua_newstate(allocate, &host);
    if (!lua) {
        fputs("heapsift: out of memory\n", stderr);
        return 5;
    }
    lua_atpanic(lua, panic);
    lua_pushcfunction(lua, traceback);
    lua_pushcfunction(lua, run);
    lua_pushinteger(lua, argc);
    lua_pushlightuserdata(lua, argv);
    if (host.gc_stress)
        lua_gc(lua, LUA_GCINC, 1, 1000, 4);
    lua_sethook(lua, hook, LUA_MASKCOUNT, host.gc_stress ? STRESS_COUNT : HOOK_COUNT);
    int code;
    bool ran = lua_pcall(lua, 2, 1, 1) == LUA_OK;
    if (host_signals_caught())
        host_signals_end(); /* without the work of closing the state */
    if (ran) {
        code = (int)lua_tointeger(lua, -1);
    } else {
        const char *text = lua_tostring(lua, -1);
        fflush(stdout);
        fprintf(stderr, "heapsift: internal error: %s\n", text ? text : "?");
        code = 5;
    }
    lua_close(lua);
    return finish(&host, code);
}
