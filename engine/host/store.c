/* store.c - the writing side of a store for the host's Lua code: thin, one method a function of store/store.h. Methods give
 * nil, message, code where those fail. */
#include "host/host_internal.h"
#include "store/store.h"

#define STORE "heapsift.host.store"

struct box {
    struct hs_store *store;
};

static int fail(lua_State *lua, enum hs_status status, const struct hs_error *err)
{
    lua_pushnil(lua);
    lua_pushstring(lua, err->text);
    lua_pushstring(lua, hs_status_name(status));
    return 3;
}

static int give(lua_State *lua, enum hs_status status, const struct hs_error *err)
{
    if (status != HS_OK)
        return fail(lua, status, err);
    lua_pushboolean(lua, true);
    return 1;
}

static struct hs_store *check(lua_State *lua)
{
    const struct box *box = luaL_checkudata(lua, 1, STORE);
    if (!box->store)
        luaL_error(lua, "the store is closed");
    return box->store;
}

/* core.store(path, "new" | "continue" | "shared" | "temporary") */
static int open(lua_State *lua)
{
    static const char *const names[] = {"read", "new", "continue", "shared", "temporary", NULL};
    const char *path = luaL_checkstring(lua, 1);
    enum hs_store_mode mode = (enum hs_store_mode)luaL_checkoption(lua, 2, NULL, names);
    struct box *box = lua_newuserdatauv(lua, sizeof *box, 0);
    struct hs_error err = {0};
    box->store = NULL;
    luaL_setmetatable(lua, STORE);
    enum hs_status status = hs_store_open(path, mode, &box->store, &err);
    return status == HS_OK ? 1 : fail(lua, status, &err);
}

static int close(lua_State *lua)
{
    struct box *box = luaL_checkudata(lua, 1, STORE);
    hs_store_close(box->store);
    box->store = NULL;
    return 0;
}

static int begin(lua_State *lua)
{
    struct hs_error err = {0};
    return give(lua, hs_store_begin(check(lua), &err), &err);
}

/* store:run_begin(name, arguments, code, settings) */
static int run_begin(lua_State *lua)
{
    struct hs_store_script script = {luaL_checkstring(lua, 2), luaL_checkstring(lua, 3), luaL_checkstring(lua, 4)};
    struct hs_error err = {0};
    return give(lua, hs_store_run_begin(check(lua), &script, luaL_checkstring(lua, 5), &err), &err);
}

static int run_end(lua_State *lua)
{
    struct hs_error err = {0};
    return give(lua, hs_store_run_end(check(lua), luaL_checkstring(lua, 2), &err), &err);
}

/* store:list(path, size, modified_ns) */
static int list(lua_State *lua)
{
    struct hs_error err = {0};
    enum hs_status status = hs_store_listing_add(check(lua), luaL_checkstring(lua, 2),
                                                 (uint64_t)luaL_checkinteger(lua, 3), luaL_checkinteger(lua, 4), &err);
    return give(lua, status, &err);
}

static int list_all(lua_State *lua)
{
    struct hs_error err = {0};
    return give(lua, hs_store_listing_add_all(check(lua), &err), &err);
}

/* store:list_end(shard, shard_count) */
static int list_end(lua_State *lua)
{
    struct hs_error err = {0};
    unsigned shard = (unsigned)luaL_checkinteger(lua, 2), count = (unsigned)luaL_checkinteger(lua, 3);
    return give(lua, hs_store_listing_end(check(lua), shard, count, &err), &err);
}

/* store:pending(again) -> listed, pending */
static int pending(lua_State *lua)
{
    struct hs_error err = {0};
    uint64_t listed, open_count;
    enum hs_status status = hs_store_pending(check(lua), lua_toboolean(lua, 2), &listed, &open_count, &err);
    if (status != HS_OK)
        return fail(lua, status, &err);
    lua_pushinteger(lua, (lua_Integer)listed);
    lua_pushinteger(lua, (lua_Integer)open_count);
    return 2;
}

/* store:spread(part_count) */
static int spread(lua_State *lua)
{
    struct hs_error err = {0};
    return give(lua, hs_store_pending_spread(check(lua), (unsigned)luaL_checkinteger(lua, 2), &err), &err);
}

/* store:next() -> id, path, part; false after the last */
static int next(lua_State *lua)
{
    struct hs_error err = {0};
    struct hs_store_pending found;
    enum hs_status status = hs_store_input_next(check(lua), &found, &err);
    if (status == HS_NOT_FOUND) {
        lua_pushboolean(lua, false);
        return 1;
    }
    if (status != HS_OK)
        return fail(lua, status, &err);
    lua_pushinteger(lua, found.id);
    lua_pushstring(lua, found.path);
    lua_pushinteger(lua, found.part);
    return 3;
}

/* store:input_failed(id, reason, message) */
static int input_failed(lua_State *lua)
{
    struct hs_error err = {0};
    enum hs_status status = hs_store_input_failed(check(lua), luaL_checkinteger(lua, 2), luaL_checkstring(lua, 3),
                                                  luaL_checkstring(lua, 4), &err);
    return give(lua, status, &err);
}

/* store:input_content(id, content, size, again) -> dump_id, whether it has to be run */
static int input_content(lua_State *lua)
{
    struct hs_error err = {0};
    int64_t dump_id;
    enum hs_store_need need;
    enum hs_status status =
        hs_store_input_content(check(lua), luaL_checkinteger(lua, 2), luaL_checkstring(lua, 3),
                               (uint64_t)luaL_checkinteger(lua, 4), lua_toboolean(lua, 5), &dump_id, &need, &err);
    if (status != HS_OK)
        return fail(lua, status, &err);
    lua_pushinteger(lua, dump_id);
    lua_pushboolean(lua, need == HS_STORE_RUN);
    return 2;
}

/* store:member_add(archive_id, path, size) -> id */
static int member_add(lua_State *lua)
{
    struct hs_error err = {0};
    int64_t id;
    enum hs_status status = hs_store_member_add(check(lua), luaL_checkinteger(lua, 2), luaL_checkstring(lua, 3),
                                                (uint64_t)luaL_checkinteger(lua, 4), &id, &err);
    if (status != HS_OK)
        return fail(lua, status, &err);
    lua_pushinteger(lua, id);
    return 1;
}

static int unpacked(lua_State *lua)
{
    struct hs_error err = {0};
    return give(lua, hs_store_input_unpacked(check(lua), luaL_checkinteger(lua, 2), &err), &err);
}

/* Text field of the table at stack index 2; NULL if it is not there. */
static const char *text_field(lua_State *lua, const char *name)
{
    lua_getfield(lua, 2, name); /* stays on the stack, so that the text lives */
    return lua_tostring(lua, -1);
}

static double number_field(lua_State *lua, const char *name)
{
    lua_getfield(lua, 2, name);
    return lua_tonumber(lua, -1);
}

/* store:put { dump_id, state, reason, message, errors, exit_code, facts, document, seconds, cpu_seconds, peak_size } */
static int put(lua_State *lua)
{
    struct hs_error err = {0};
    struct hs_store *store = check(lua);
    luaL_checktype(lua, 2, LUA_TTABLE);
    luaL_checkstack(lua, 16, NULL);
    struct hs_store_result result = {.dump_id = (int64_t)number_field(lua, "dump_id"),
                                     .state = text_field(lua, "state"),
                                     .reason = text_field(lua, "reason"),
                                     .message = text_field(lua, "message"),
                                     .errors = text_field(lua, "errors"),
                                     .exit_code = (int)number_field(lua, "exit_code"),
                                     .facts = text_field(lua, "facts"),
                                     .document = text_field(lua, "document"),
                                     .seconds = number_field(lua, "seconds"),
                                     .cpu_seconds = number_field(lua, "cpu_seconds"),
                                     .peak_size = (uint64_t)number_field(lua, "peak_size")};
    return give(lua, hs_store_result_put(store, &result, &err), &err);
}

/* store:merge(path) */
static int merge(lua_State *lua)
{
    struct hs_error err = {0};
    return give(lua, hs_store_merge(check(lua), luaL_checkstring(lua, 2), &err), &err);
}

/* store:script() -> id of the script of this run */
static int script(lua_State *lua)
{
    lua_pushinteger(lua, hs_store_script_id(check(lua)));
    return 1;
}

/* store:findings() -> how many, highest confidence */
static int findings(lua_State *lua)
{
    struct hs_error err = {0};
    uint64_t count;
    double confidence;
    enum hs_status status = hs_store_findings(check(lua), &count, &confidence, &err);
    if (status != HS_OK)
        return fail(lua, status, &err);
    lua_pushinteger(lua, (lua_Integer)count);
    lua_pushnumber(lua, confidence);
    return 2;
}

/* store:questions() -> a results object that must not outlive the store */
static int questions(lua_State *lua)
{
    host_results_push(lua, check(lua));
    return 1;
}

void host_store_add(lua_State *lua)
{
    static const luaL_Reg methods[] = {{"close", close},
                                       {"begin", begin},
                                       {"run_begin", run_begin},
                                       {"run_end", run_end},
                                       {"list", list},
                                       {"list_all", list_all},
                                       {"list_end", list_end},
                                       {"pending", pending},
                                       {"spread", spread},
                                       {"next", next},
                                       {"input_failed", input_failed},
                                       {"input_content", input_content},
                                       {"member_add", member_add},
                                       {"unpacked", unpacked},
                                       {"put", put},
                                       {"merge", merge},
                                       {"script", script},
                                       {"findings", findings},
                                       {"questions", questions},
                                       {NULL, NULL}};
    luaL_newmetatable(lua, STORE);
    lua_pushcfunction(lua, close);
    lua_setfield(lua, -2, "__gc");
    luaL_newlib(lua, methods);
    lua_setfield(lua, -2, "__index");
    lua_pop(lua, 1);
    lua_pushcfunction(lua, open);
    lua_setfield(lua, -2, "store");
}
