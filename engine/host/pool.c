/* pool.c - child processes, paths and contents for the host's Lua code: thin, over batch/batch.h. */
#include "batch/batch.h"
#include "host/host_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define POOL "heapsift.host.pool"
#define WALK "heapsift.host.walk"
#define ARGUMENTS_MAX 4096

static int fail(lua_State *lua, enum hs_status status, const struct hs_error *err)
{
    lua_pushnil(lua);
    lua_pushstring(lua, err->text);
    lua_pushstring(lua, hs_status_name(status));
    return 3;
}

/* ---- paths ---- */

static struct hs_walk **check_walk(lua_State *lua)
{
    struct hs_walk **walk = luaL_checkudata(lua, 1, WALK);
    if (!*walk)
        luaL_error(lua, "the walk is closed");
    return walk;
}

/* core.walk(path[, null_ended]) -> walk */
static int walk_open(lua_State *lua)
{
    struct hs_error err = {0};
    const char *path = luaL_checkstring(lua, 1);
    bool null_ended = lua_toboolean(lua, 2);
    struct hs_walk **walk = lua_newuserdatauv(lua, sizeof *walk, 0);
    *walk = NULL;
    luaL_setmetatable(lua, WALK);
    enum hs_status status = hs_walk_open(path, null_ended, walk, &err);
    return status == HS_OK ? 1 : fail(lua, status, &err);
}

/* walk:next() -> path, size, modified_ns; false after the last */
static int walk_next(lua_State *lua)
{
    struct hs_error err = {0};
    struct hs_walk_item item;
    enum hs_status status = hs_walk_next(*check_walk(lua), &item, &err);
    if (status == HS_NOT_FOUND) {
        lua_pushboolean(lua, false);
        return 1;
    }
    if (status != HS_OK)
        return fail(lua, status, &err);
    lua_pushstring(lua, item.path);
    lua_pushinteger(lua, (lua_Integer)item.size);
    lua_pushinteger(lua, item.modified_ns);
    return 3;
}

/* walk:close() -> files left alone */
static int walk_close(lua_State *lua)
{
    struct hs_walk **walk = luaL_checkudata(lua, 1, WALK);
    lua_pushinteger(lua, *walk ? (lua_Integer)hs_walk_skipped(*walk) : 0);
    hs_walk_close(*walk);
    *walk = NULL;
    return 1;
}

/* core.content(path or descriptor) -> "dump" | "archive" | "other", name, size */
static int content(lua_State *lua)
{
    static const char *const kinds[] = {"dump", "archive", "other"};
    struct hs_error err = {0};
    struct hs_content found;
    bool by_path = lua_type(lua, 1) == LUA_TSTRING;
    int descriptor =
        by_path ? open(lua_tostring(lua, 1), O_RDONLY | O_CLOEXEC | O_NONBLOCK) : (int)luaL_checkinteger(lua, 1);
    if (descriptor < 0) {
        enum hs_status status =
            hs_fail(&err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot open the file: %s", strerror(errno));
        return fail(lua, status, &err);
    }
    enum hs_status status = hs_content_read(descriptor, &found, &err);
    if (by_path)
        close(descriptor);
    if (status != HS_OK)
        return fail(lua, status, &err);
    lua_pushstring(lua, kinds[found.kind]);
    lua_pushstring(lua, found.name);
    lua_pushinteger(lua, (lua_Integer)found.size);
    return 3;
}

/* core.sha256(text) -> 64 hex digits */
static int sha256(lua_State *lua)
{
    size_t size;
    const char *bytes = luaL_checklstring(lua, 1, &size);
    struct sha256_ctx hash;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char hex[2 * SHA256_DIGEST_SIZE + 1];
    sha256_init(&hash);
    sha256_update(&hash, size, (const uint8_t *)bytes);
    sha256_digest(&hash, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    lua_pushstring(lua, hex);
    return 1;
}

/* ---- processes ---- */

static struct hs_pool *check_pool(lua_State *lua)
{
    struct hs_pool **pool = luaL_checkudata(lua, 1, POOL);
    if (!*pool)
        luaL_error(lua, "the pool is closed");
    return *pool;
}

static int pool_create(lua_State *lua)
{
    struct hs_error err = {0};
    struct hs_pool **pool = lua_newuserdatauv(lua, sizeof *pool, 0);
    *pool = NULL;
    luaL_setmetatable(lua, POOL);
    enum hs_status status = hs_pool_create(pool, &err);
    return status == HS_OK ? 1 : fail(lua, status, &err);
}

static int pool_close(lua_State *lua)
{
    struct hs_pool **pool = luaL_checkudata(lua, 1, POOL);
    hs_pool_destroy(*pool);
    *pool = NULL;
    return 0;
}

/* pool:start(words, { timeout, memory, output }, dump descriptor or nil, unpacks[, program]) -> id. `program`: path of
 * another program than this one. */
static int pool_start(lua_State *lua)
{
    struct hs_error err = {0};
    struct hs_pool *pool = check_pool(lua);
    const char *program = luaL_optstring(lua, 6, NULL);
    luaL_checktype(lua, 2, LUA_TTABLE);
    luaL_checktype(lua, 3, LUA_TTABLE);
    lua_Integer count = luaL_len(lua, 2);
    luaL_argcheck(lua, count < ARGUMENTS_MAX, 2, "too many words");
    char **words = lua_newuserdatauv(lua, sizeof *words * ((size_t)count + 2), 0);
    words[0] = (char *)(program ? program : "heapsift");
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(lua, 2, i); /* the table keeps the text */
        words[i] = (char *)lua_tostring(lua, -1);
        lua_pop(lua, 1);
    }
    words[count + 1] = NULL;
    struct hs_limits limits = {0, 0, 0};
    lua_getfield(lua, 3, "timeout");
    limits.timeout = lua_tonumber(lua, -1);
    lua_getfield(lua, 3, "memory");
    limits.memory_size = (uint64_t)lua_tointeger(lua, -1);
    lua_getfield(lua, 3, "output");
    limits.output_size = (uint64_t)lua_tointeger(lua, -1);
    uint64_t id;
    enum hs_status status = hs_pool_start(pool, program, words, (int)luaL_optinteger(lua, 4, -1), lua_toboolean(lua, 5),
                                          &limits, &id, &err);
    if (status != HS_OK)
        return fail(lua, status, &err);
    lua_pushinteger(lua, (lua_Integer)id);
    return 1;
}

static int pool_go_on(lua_State *lua)
{
    hs_pool_go_on(check_pool(lua), (uint64_t)luaL_checkinteger(lua, 2));
    return 0;
}

static void push_text(lua_State *lua, const char *name, const struct hs_text *text)
{
    lua_pushlstring(lua, text->bytes ? text->bytes : "", text->size);
    lua_setfield(lua, -2, name);
}

static void push_report(lua_State *lua, struct hs_child_report *report)
{
    static const char *const ends[] = {"exited", "crashed", "timeout", "output", "stopped"};
    lua_createtable(lua, 0, 9);
    push_text(lua, "output", &report->output);
    hs_text_deinit(&report->output);
    push_text(lua, "errors", &report->errors);
    hs_text_deinit(&report->errors);
    lua_pushinteger(lua, (lua_Integer)report->id);
    lua_setfield(lua, -2, "id");
    lua_pushstring(lua, ends[report->end]);
    lua_setfield(lua, -2, "ended");
    lua_pushinteger(lua, report->code);
    lua_setfield(lua, -2, "code");
    lua_pushnumber(lua, report->seconds);
    lua_setfield(lua, -2, "seconds");
    lua_pushnumber(lua, report->cpu_seconds);
    lua_setfield(lua, -2, "cpu_seconds");
    lua_pushinteger(lua, (lua_Integer)report->peak_size);
    lua_setfield(lua, -2, "peak_size");
}

static void push_member(lua_State *lua, struct hs_member *member)
{
    lua_createtable(lua, 0, 5);
    lua_pushstring(lua, member->name);
    lua_setfield(lua, -2, "name");
    lua_pushstring(lua, member->reason);
    lua_setfield(lua, -2, "reason");
    free(member->name);
    free(member->reason);
    lua_pushinteger(lua, (lua_Integer)member->id);
    lua_setfield(lua, -2, "id");
    lua_pushinteger(lua, member->descriptor);
    lua_setfield(lua, -2, "descriptor");
    lua_pushinteger(lua, (lua_Integer)member->size);
    lua_setfield(lua, -2, "size");
}

/* pool:wait(milliseconds) -> "report" | "member", table; or nothing. Host code: if memory ends here, the process does. */
static int pool_wait(lua_State *lua)
{
    struct hs_child_report report;
    struct hs_member member;
    switch (hs_pool_wait(check_pool(lua), (int)luaL_checkinteger(lua, 2), &report, &member)) {
    case HS_POOL_REPORT:
        lua_pushliteral(lua, "report");
        push_report(lua, &report);
        return 2;
    case HS_POOL_MEMBER:
        lua_pushliteral(lua, "member");
        push_member(lua, &member);
        return 2;
    case HS_POOL_NOTHING: break;
    }
    return 0;
}

/* pool:slowest() -> seconds, id */
static int pool_slowest(lua_State *lua)
{
    uint64_t id;
    lua_pushnumber(lua, hs_pool_slowest(check_pool(lua), &id));
    lua_pushinteger(lua, (lua_Integer)id);
    return 2;
}

/* ---- the child's side, and small things ---- */

/* core.hand_over(text): to the parent of a batch */
static int hand_over(lua_State *lua)
{
    size_t size;
    const char *bytes = luaL_checklstring(lua, 1, &size);
    while (size > 0) {
        ssize_t written = write(HS_CHILD_RESULT, bytes, size);
        if (written < 0 && errno != EINTR)
            return luaL_error(lua, "the parent of the batch is gone: %s", strerror(errno));
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

/* core.unpack(path, folder, member_size) -> true, or nil, message, code */
static int unpack(lua_State *lua)
{
    struct hs_error err = {0};
    struct hs_unpack_limits limits = {(uint64_t)luaL_checkinteger(lua, 3), luaL_checkstring(lua, 2)};
    enum hs_status status = hs_unpack(luaL_checkstring(lua, 1), &limits, &err);
    if (status != HS_OK)
        return fail(lua, status, &err);
    lua_pushboolean(lua, true);
    return 1;
}

/* core.close_descriptor(n) */
static int close_descriptor(lua_State *lua)
{
    close((int)luaL_checkinteger(lua, 1));
    return 0;
}

/* core.now() -> seconds of a clock that only goes forward */
static int now(lua_State *lua)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    lua_pushnumber(lua, (double)time.tv_sec + (double)time.tv_nsec / 1e9);
    return 1;
}

static int processors(lua_State *lua)
{
    lua_pushinteger(lua, hs_processor_count());
    return 1;
}

/* core.hold_signals(boolean), core.signal() -> number of the one that was caught, 0 */
static int hold_signals(lua_State *lua)
{
    host_signals_hold(lua_toboolean(lua, 1));
    return 0;
}

static int caught_signal(lua_State *lua)
{
    lua_pushinteger(lua, host_signals_caught());
    return 1;
}

/* core.on_terminal(): whether stderr is one */
static int on_terminal(lua_State *lua)
{
    lua_pushboolean(lua, isatty(STDERR_FILENO));
    return 1;
}

/* core.status(text): to stderr as it is, no newline */
static int status_line(lua_State *lua)
{
    size_t size;
    const char *bytes = luaL_checklstring(lua, 1, &size);
    fwrite(bytes, 1, size, stderr);
    fflush(stderr);
    return 0;
}

static void create_class(lua_State *lua, const char *name, const luaL_Reg *methods, lua_CFunction gc)
{
    luaL_newmetatable(lua, name);
    lua_pushcfunction(lua, gc);
    lua_setfield(lua, -2, "__gc");
    lua_newtable(lua);
    luaL_setfuncs(lua, methods, 0);
    lua_setfield(lua, -2, "__index");
    lua_pop(lua, 1);
}

void host_pool_add(lua_State *lua)
{
    static const luaL_Reg walk_methods[] = {{"next", walk_next}, {"close", walk_close}, {NULL, NULL}};
    static const luaL_Reg pool_methods[] = {{"start", pool_start}, {"go_on", pool_go_on},     {"wait", pool_wait},
                                            {"close", pool_close}, {"slowest", pool_slowest}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"walk", walk_open},
                                         {"content", content},
                                         {"sha256", sha256},
                                         {"pool", pool_create},
                                         {"hand_over", hand_over},
                                         {"unpack", unpack},
                                         {"close_descriptor", close_descriptor},
                                         {"now", now},
                                         {"processors", processors},
                                         {"hold_signals", hold_signals},
                                         {"signal", caught_signal},
                                         {"on_terminal", on_terminal},
                                         {"status", status_line},
                                         {NULL, NULL}};
    create_class(lua, WALK, walk_methods, walk_close);
    create_class(lua, POOL, pool_methods, pool_close);
    luaL_setfuncs(lua, functions, 0);
}
