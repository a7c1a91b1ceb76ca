/* results.c - what scripts see of a store: heapsift.results(path), questions as one SELECT with parameters. */
#include "host/host_internal.h"
#include "store/store.h"

#define RESULTS "heapsift.results"
#define ROWS "heapsift.rows"

struct results {
    struct hs_store *store; /* NULL: closed */
    bool borrowed;          /* the batch that writes it closes it */
};

/* One question; user value 1 is the results userdata, which it keeps alive. */
struct rows {
    struct hs_store_query *query;
};

static struct results *check(lua_State *lua)
{
    struct results *results = luaL_checkudata(lua, 1, RESULTS);
    if (!results->store)
        luaL_error(lua, "the results are closed");
    return results;
}

int host_results(lua_State *lua)
{
    const char *path = luaL_checkstring(lua, 1);
    struct results *results = lua_newuserdatauv(lua, sizeof *results, 1);
    struct hs_error err = {0};
    *results = (struct results){NULL, false};
    luaL_setmetatable(lua, RESULTS);
    lua_pushvalue(lua, 1);
    lua_setiuservalue(lua, -2, 1);
    enum hs_status status = hs_store_open(path, HS_STORE_READ, &results->store, &err);
    if (status == HS_OK)
        return 1;
    lua_pushnil(lua);
    lua_pushfstring(lua, "%s", err.text);
    lua_pushstring(lua, hs_status_name(status));
    return 3;
}

void host_results_push(lua_State *lua, struct hs_store *store)
{
    struct results *results = lua_newuserdatauv(lua, sizeof *results, 1);
    *results = (struct results){store, true};
    luaL_setmetatable(lua, RESULTS);
}

static int results_close(lua_State *lua)
{
    struct results *results = luaL_checkudata(lua, 1, RESULTS);
    if (!results->borrowed)
        hs_store_close(results->store); /* questions that are still open keep the file till they end */
    results->store = NULL;
    return 0;
}

/* ---- values ---- */

static void value_of(lua_State *lua, int idx, unsigned number, struct hs_store_value *value)
{
    *value = (struct hs_store_value){HS_STORE_NULL, 0, 0, NULL, 0};
    switch (lua_type(lua, idx)) {
    case LUA_TNIL: break;
    case LUA_TBOOLEAN:
        value->type = HS_STORE_INTEGER;
        value->integer = lua_toboolean(lua, idx);
        break;
    case LUA_TNUMBER:
        value->type = lua_isinteger(lua, idx) ? HS_STORE_INTEGER : HS_STORE_REAL;
        value->integer = lua_isinteger(lua, idx) ? lua_tointeger(lua, idx) : 0;
        value->real = lua_tonumber(lua, idx);
        break;
    case LUA_TSTRING:
        value->type = HS_STORE_TEXT;
        value->text = lua_tolstring(lua, idx, &value->size);
        break;
    default:
        luaL_error(lua, "parameter %d: a number, text, boolean or nil expected, got %s", (int)number + 1,
                   luaL_typename(lua, idx));
    }
}

static void push_value(lua_State *lua, const struct hs_store_query *query, unsigned idx)
{
    struct hs_store_value value;
    hs_store_query_value(query, idx, &value);
    switch (value.type) {
    case HS_STORE_NULL: lua_pushnil(lua); break;
    case HS_STORE_INTEGER: lua_pushinteger(lua, value.integer); break;
    case HS_STORE_REAL: lua_pushnumber(lua, value.real); break;
    case HS_STORE_TEXT: lua_pushlstring(lua, value.text ? value.text : "", value.size); break;
    }
}

/* ---- questions ---- */

static int rows_close(lua_State *lua)
{
    struct rows *rows = luaL_checkudata(lua, 1, ROWS);
    hs_store_query_close(rows->query);
    rows->query = NULL;
    return 0;
}

/* Gives the parameters of the question: values from stack index 3 on, or a table of them by name. */
static void bind(lua_State *lua, struct hs_store_query *query, int last)
{
    unsigned count = hs_store_query_parameter_count(query);
    bool named = last == 3 && lua_istable(lua, 3);
    if (!named && (unsigned)(last - 2) != count)
        luaL_error(lua, "the statement has %d parameters, %d values were given", (int)count, last - 2);
    for (unsigned i = 0; i < count; i++) {
        struct hs_store_value value;
        struct hs_error err = {0};
        const char *name = hs_store_query_parameter(query, i);
        if (named && !name)
            luaL_error(lua, "parameter %d has no name: values by name are for :name", (int)i + 1);
        if (named)
            lua_getfield(lua, 3, name);
        else
            lua_pushvalue(lua, 3 + (int)i);
        value_of(lua, -1, i, &value);
        if (hs_store_query_bind(query, i, &value, &err) != HS_OK)
            luaL_error(lua, "%s", err.text);
        lua_pop(lua, 1);
    }
}

/* Pushes the question that the arguments put. */
static struct rows *ask(lua_State *lua)
{
    struct results *results = check(lua);
    size_t size;
    const char *sql = luaL_checklstring(lua, 2, &size);
    int last = lua_gettop(lua);
    struct rows *rows = lua_newuserdatauv(lua, sizeof *rows, 1);
    struct hs_error err = {0};
    rows->query = NULL;
    luaL_setmetatable(lua, ROWS);
    lua_pushvalue(lua, 1);
    lua_setiuservalue(lua, -2, 1);
    if (hs_store_query_open(results->store, sql, size, &rows->query, &err) != HS_OK)
        luaL_error(lua, "results: %s", err.text);
    bind(lua, rows->query, last);
    return rows;
}

static bool cancelled(void)
{
    return host_signals_caught() != 0;
}

/* The next row of a question; false after the last. */
static bool step(lua_State *lua, struct rows *rows)
{
    struct hs_error err = {0};
    enum hs_status status = hs_store_query_step(rows->query, cancelled, &err);
    if (status == HS_ERR_CANCELLED)
        host_stop(lua);
    if (status != HS_OK && status != HS_NOT_FOUND)
        luaL_error(lua, "results: %s", err.text);
    return status == HS_OK;
}

static int rows_next(lua_State *lua)
{
    struct rows *rows = luaL_checkudata(lua, 1, ROWS);
    lua_getiuservalue(lua, 1, 1);
    const struct results *results = lua_touserdata(lua, -1);
    if (!results->store || !rows->query)
        return luaL_error(lua, "the results are closed");
    if (!step(lua, rows)) {
        lua_pushnil(lua);
        return 1;
    }
    unsigned count = hs_store_query_column_count(rows->query);
    lua_createtable(lua, 0, (int)count);
    for (unsigned i = 0; i < count; i++) {
        lua_pushstring(lua, hs_store_query_column(rows->query, i));
        push_value(lua, rows->query, i);
        lua_rawset(lua, -3);
    }
    return 1;
}

/* results:rows(sql, ...) -> for row in ... do */
static int results_rows(lua_State *lua)
{
    ask(lua);
    lua_pushcfunction(lua, rows_next);
    lua_insert(lua, -2);
    lua_pushnil(lua);
    lua_pushvalue(lua, -2);
    return 4;
}

/* results:value(sql, ...) -> the first column of the first row, or nil */
static int results_value(lua_State *lua)
{
    struct rows *rows = ask(lua);
    if (step(lua, rows))
        push_value(lua, rows->query, 0);
    else
        lua_pushnil(lua);
    hs_store_query_close(rows->query);
    rows->query = NULL;
    return 1;
}

/* results:columns(sql, ...) -> names of the columns, in order */
static int results_columns(lua_State *lua)
{
    struct rows *rows = ask(lua);
    unsigned count = hs_store_query_column_count(rows->query);
    lua_createtable(lua, (int)count, 0);
    for (unsigned i = 0; i < count; i++) {
        lua_pushstring(lua, hs_store_query_column(rows->query, i));
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int results_tostring(lua_State *lua)
{
    const struct results *results = luaL_checkudata(lua, 1, RESULTS);
    lua_getiuservalue(lua, 1, 1);
    lua_pushfstring(lua, "results %s", results->store ? lua_tostring(lua, -1) : "(closed)");
    return 1;
}

static int results_index(lua_State *lua)
{
    lua_pushvalue(lua, 2);
    if (lua_rawget(lua, lua_upvalueindex(1)) == LUA_TNIL)
        return luaL_error(lua, "results have no field '%s' (rows, value, columns, close)",
                          luaL_tolstring(lua, 2, NULL));
    return 1;
}

void host_results_create(lua_State *lua)
{
    static const luaL_Reg methods[] = {{"rows", results_rows},
                                       {"value", results_value},
                                       {"columns", results_columns},
                                       {"close", results_close},
                                       {NULL, NULL}};
    static const luaL_Reg metamethods[] = {
        {"__gc", results_close}, {"__close", results_close}, {"__tostring", results_tostring}, {NULL, NULL}};
    luaL_newmetatable(lua, ROWS);
    lua_pushcfunction(lua, rows_close);
    lua_setfield(lua, -2, "__gc");
    lua_pushcfunction(lua, rows_close);
    lua_setfield(lua, -2, "__close");
    lua_pushliteral(lua, ROWS);
    lua_setfield(lua, -2, "__metatable");
    luaL_newmetatable(lua, RESULTS);
    luaL_setfuncs(lua, metamethods, 0);
    luaL_newlib(lua, methods);
    luaL_getsubtable(lua, LUA_REGISTRYINDEX, HS_BIND_SURFACE);
    lua_pushvalue(lua, -2);
    lua_setfield(lua, -2, RESULTS);
    lua_pop(lua, 1);
    lua_pushcclosure(lua, results_index, 1);
    lua_setfield(lua, -2, "__index");
    lua_pushliteral(lua, RESULTS);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 2);
}
