/* core.c - what the host's Lua code (plugins/lib/host) cannot do in Lua. Scripts never see this table. */
#include "host/host_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- text out ---- */

/* Printable ASCII, tab and newline need no second look. */
static bool plain(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c >= 0x7f)
            return false;
    }
    return true;
}

/* Writes bytes as they are. False: stdout is gone. */
static bool put_bytes(struct host *host, const char *bytes, size_t size, bool raw)
{
    FILE *file = host->text_to_stderr && !raw ? stderr : stdout;
    errno = 0;
    if (fwrite(bytes, 1, size, file) == size || file == stderr)
        return true;
    if (host->stdout_errno == 0)
        host->stdout_errno = errno ? errno : EIO;
    return host->stopping;
}

/* The same, and the end of the program if stdout is gone. */
static void put(lua_State *lua, const char *bytes, size_t size, bool raw)
{
    if (!put_bytes(host_of(lua), bytes, size, raw))
        host_stop(lua);
}

static void put_escaped(lua_State *lua, const char *bytes, size_t size)
{
    if (plain(bytes, size)) {
        put(lua, bytes, size, false);
        return;
    }
    struct hs_text text;
    hs_text_init(&text);
    hs_text_add_escaped(&text, bytes, size, true);
    bool failed = text.failed;
    bool written = failed || put_bytes(host_of(lua), text.bytes, text.size, false);
    hs_text_deinit(&text);
    if (failed)
        luaL_error(lua, "not enough memory");
    if (!written)
        host_stop(lua);
}

/* core.print(...): as print, escaped */
static int core_print(lua_State *lua)
{
    int count = lua_gettop(lua);
    for (int i = 1; i <= count; i++) {
        size_t size;
        const char *bytes = luaL_tolstring(lua, i, &size);
        if (i > 1)
            put(lua, "\t", 1, false);
        put_escaped(lua, bytes, size);
        lua_settop(lua, count);
    }
    put(lua, "\n", 1, false);
    return 0;
}

/* core.write(...): strings and numbers, escaped, no newline */
static int core_write(lua_State *lua)
{
    int count = lua_gettop(lua);
    for (int i = 1; i <= count; i++) {
        size_t size;
        const char *bytes = luaL_checklstring(lua, i, &size);
        put_escaped(lua, bytes, size);
    }
    return 0;
}

/* core.write_raw(text): to stdout whatever it holds */
static int core_write_raw(lua_State *lua)
{
    size_t size;
    const char *bytes = luaL_checklstring(lua, 1, &size);
    put(lua, bytes, size, true);
    return 0;
}

/* core.complain(text): one line on stderr, after what was printed so far */
static int core_complain(lua_State *lua)
{
    size_t size;
    const char *bytes = luaL_checklstring(lua, 1, &size);
    fflush(stdout);
    fwrite(bytes, 1, size, stderr);
    fputc('\n', stderr);
    return 0;
}

/* core.escape(text[, keep_lines]) */
static int core_escape(lua_State *lua)
{
    size_t size;
    const char *bytes = luaL_checklstring(lua, 1, &size);
    bool keep_lines = lua_toboolean(lua, 2);
    luaL_Buffer buffer;
    char *room = luaL_buffinitsize(lua, &buffer, size * 6 + 1); /* an escape is at most six times its bytes */
    struct hs_text text;
    hs_text_init(&text);
    hs_text_add_escaped(&text, bytes, size, keep_lines);
    size_t length = text.failed || text.size > size * 6 ? 0 : text.size;
    if (length > 0)
        memcpy(room, text.bytes, length);
    bool failed = text.failed;
    hs_text_deinit(&text);
    luaL_pushresultsize(&buffer, length);
    return failed ? luaL_error(lua, "not enough memory") : 1;
}

/* ---- files ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* core.list_dir(path) -> array of names in order, or nil */
static int core_list_dir(lua_State *lua)
{
    DIR *dir = opendir(luaL_checkstring(lua, 1));
    if (!dir)
        return 0;
    char **names = NULL;
    size_t count = 0, capacity = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (count == capacity) {
            size_t more = capacity ? capacity * 2 : 64;
            char **grown = realloc(names, more * sizeof *names);
            if (!grown)
                break;
            names = grown;
            capacity = more;
        }
        names[count] = strdup(entry->d_name);
        if (!names[count])
            break;
        count++;
    }
    closedir(dir);
    if (names)
        qsort(names, count, sizeof *names, compare_names);
    lua_newtable(lua); /* host code on a fresh state: if memory ends here, the process does */
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(lua, names[i]);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
        free(names[i]);
    }
    free(names);
    return 1;
}

/* core.kind(path) -> "file", "directory", "other", or nil */
static int core_kind(lua_State *lua)
{
    struct stat info;
    if (stat(luaL_checkstring(lua, 1), &info) != 0)
        return 0;
    lua_pushstring(lua, S_ISREG(info.st_mode) ? "file" : S_ISDIR(info.st_mode) ? "directory" : "other");
    return 1;
}

/* core.same_file(a, b) */
static int core_same_file(lua_State *lua)
{
    struct stat a, b;
    lua_pushboolean(lua, stat(luaL_checkstring(lua, 1), &a) == 0 && stat(luaL_checkstring(lua, 2), &b) == 0 &&
                             a.st_dev == b.st_dev && a.st_ino == b.st_ino);
    return 1;
}

/* ---- limits and state ---- */

/* core.set_memory_limit(bytes) */
static int core_set_memory_limit(lua_State *lua)
{
    host_of(lua)->memory_limit = (size_t)luaL_checkinteger(lua, 1);
    return 0;
}

/* core.memory_reached(): once the limit was hit, a little more is allowed for saying so */
static int core_memory_reached(lua_State *lua)
{
    host_of(lua)->memory_limit += HOST_MEMORY_RESERVE;
    return 0;
}

/* core.set_input(text): escaped, for signal handlers and progress */
static int core_set_input(lua_State *lua)
{
    host_signals_input(luaL_checkstring(lua, 1));
    return 0;
}

static int core_set_progress(lua_State *lua)
{
    host_signals_progress(lua_toboolean(lua, 1));
    return 0;
}

static int core_set_windbg_names(lua_State *lua)
{
    hs_bind_set_symbol_style(lua, lua_toboolean(lua, 1) ? HS_SYMBOL_WINDBG : HS_SYMBOL_HONEST);
    return 0;
}

/* core.set_name_form("short" | "full" | "raw") */
static int core_set_name_form(lua_State *lua)
{
    static const char *const names[] = {"short", "full", "raw", NULL};
    static const enum hs_name_form forms[] = {HS_NAME_SHORT, HS_NAME_FULL, HS_NAME_RAW};
    hs_bind_set_name_form(lua, forms[luaL_checkoption(lua, 1, NULL, names)]);
    return 0;
}

static int core_set_text_to_stderr(lua_State *lua)
{
    host_of(lua)->text_to_stderr = lua_toboolean(lua, 1);
    return 0;
}

/* What the host hands to bind/ through the registry: core.set_NAME(value); see the keys in bind.h. */
static const struct handed {
    const char *name, *key;
    int type; /* of the value; LUA_TNIL: any */
} handed[] = {
    {"set_symbol_path", HS_BIND_SYMBOL_PATH, LUA_TSTRING}, {"set_undecorate", HS_BIND_UNDECORATE, LUA_TFUNCTION},
    {"set_callers", HS_BIND_CALLERS, LUA_TFUNCTION},       {"set_filter", HS_BIND_FILTER, LUA_TFUNCTION},
    {"set_answers", HS_BIND_ANSWERS, LUA_TTABLE},          {"set_attribute", HS_BIND_ATTRIBUTE, LUA_TFUNCTION},
    {"set_label_source", HS_BIND_LABEL_SOURCE, LUA_TNIL},
};

static int core_set_handed(lua_State *lua)
{
    const struct handed *one = &handed[lua_tointeger(lua, lua_upvalueindex(1))];
    if (one->type != LUA_TNIL)
        luaL_checktype(lua, 1, one->type);
    lua_settop(lua, 1);
    lua_setfield(lua, LUA_REGISTRYINDEX, one->key);
    return 0;
}

/* Adds them to the table at the stack top. */
static void add_handed(lua_State *lua)
{
    for (size_t i = 0; i < sizeof handed / sizeof *handed; i++) {
        lua_pushinteger(lua, (lua_Integer)i);
        lua_pushcclosure(lua, core_set_handed, 1);
        lua_setfield(lua, -2, handed[i].name);
    }
}

/* core.set_ends(fail, stop): see HOST_FAIL and HOST_STOP */
static int core_set_ends(lua_State *lua)
{
    luaL_checktype(lua, 1, LUA_TFUNCTION);
    luaL_checkany(lua, 2);
    lua_settop(lua, 2);
    lua_setfield(lua, LUA_REGISTRYINDEX, HOST_STOP);
    lua_setfield(lua, LUA_REGISTRYINDEX, HOST_FAIL);
    return 0;
}

static int core_incomplete(lua_State *lua)
{
    lua_pushboolean(lua, hs_bind_incomplete(lua, 1));
    return 1;
}

/* core.rows(dump) -> { ROW = { offset, size } }: see hs_bind_layout_push */
static int core_rows(lua_State *lua)
{
    hs_bind_layout_push(lua, 1);
    return 1;
}

/* core.surface() -> { class name = { field or method = ... } }: see HS_BIND_SURFACE */
static int core_surface(lua_State *lua)
{
    lua_getfield(lua, LUA_REGISTRYINDEX, HS_BIND_SURFACE);
    return 1;
}

/* core.guard(f, handler) -> ok, result, errno of stdout or nil: calls f protected; from its end on nothing stops the
 * host's code any more. Does not return after a signal. */
static int core_guard(lua_State *lua)
{
    struct host *host = host_of(lua);
    luaL_checktype(lua, 1, LUA_TFUNCTION);
    luaL_checktype(lua, 2, LUA_TFUNCTION);
    lua_settop(lua, 2);
    lua_insert(lua, 1);
    bool ok = lua_pcall(lua, 0, 1, 1) == LUA_OK;
    host->stopping = true;
    if (host_signals_caught())
        host_signals_end();
    lua_pushboolean(lua, ok);
    lua_insert(lua, -2);
    if (host->stdout_errno)
        lua_pushinteger(lua, host->stdout_errno);
    else
        lua_pushnil(lua);
    return 3;
}

void host_core_push(lua_State *lua)
{
    static const luaL_Reg functions[] = {
        {"attribution", bind_attribution_new},
        {"expect_summaries", bind_expect_summaries},
        {"print", core_print},
        {"write", core_write},
        {"write_raw", core_write_raw},
        {"complain", core_complain},
        {"escape", core_escape},
        {"list_dir", core_list_dir},
        {"kind", core_kind},
        {"same_file", core_same_file},
        {"output", host_output},
        {"results", host_results},
        {"set_memory_limit", core_set_memory_limit},
        {"memory_reached", core_memory_reached},
        {"set_input", core_set_input},
        {"set_progress", core_set_progress},
        {"set_windbg_names", core_set_windbg_names},
        {"set_text_to_stderr", core_set_text_to_stderr},
        {"set_name_form", core_set_name_form},
        {"set_ends", core_set_ends},
        {"incomplete", core_incomplete},
        {"rows", core_rows},
        {"surface", core_surface},
        {"guard", core_guard},
        {NULL, NULL},
    };
    host_output_create(lua);
    host_results_create(lua);
    luaL_newlib(lua, functions);
    add_handed(lua);
    bind_native_push_functions(lua);
    lua_setfield(lua, -2, "native");
    host_store_add(lua);
    host_pool_add(lua);
    host_system_add(lua);
    luaL_setfuncs(lua, host_prompt_functions, 0);
    luaL_setfuncs(lua, host_terminal_functions, 0);
}
