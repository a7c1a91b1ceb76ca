/* bind_native_set.c - native functions over the blocks of a set, and the columns that come of it. */
#include "bind/bind_native.h"

#include <stdlib.h>

struct over {
    const struct hs_set *set;
    struct hs_block_function function;
    void *state;
    struct bind_frame frame;
    struct bind_calls *calls;
    struct bind_library *library;
    lua_State *lua;
    pthread_t thread;
    struct hs_column **column; /* in its box, which frees it if anything raises */
    struct hs_set **to;
    int64_t result;
    uint64_t skipped;
};

/* ---- running ---- */

/* Callbacks find the call they belong to where the work runs on Lua's own thread. */
static bool begin(struct over *over)
{
    bool same = pthread_equal(over->thread, pthread_self());
    atomic_fetch_add(&over->library->running, 1); /* nobody may close it */
    if (same) {
        over->frame = (struct bind_frame){over->calls, over->lua, over->calls->frame, false};
        over->calls->frame = &over->frame;
    }
    return same;
}

static enum hs_status end(struct over *over, bool begun, enum hs_status status)
{
    if (begun)
        bind_frame_end(&over->frame);
    atomic_fetch_sub(&over->library->running, 1);
    return status;
}

static enum hs_status work_map(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct over *over = arguments;
    bool begun = begin(over);
    return end(over, begun, hs_set_map(over->set, &over->function, job, over->column, &over->skipped, err));
}

static enum hs_status work_where(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct over *over = arguments;
    bool begun = begin(over);
    return end(over, begun, hs_set_where_native(over->set, &over->function, job, over->to, &over->skipped, err));
}

static enum hs_status work_fold(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct over *over = arguments;
    bool begun = begin(over);
    return end(over, begun,
               hs_set_fold(over->set, &over->function, over->state, job, &over->result, &over->skipped, err));
}

/* Whether argument `arg` is a native function. */
bool bind_is_native(lua_State *lua, int arg)
{
    return luaL_testudata(lua, arg, BIND_FUNCTION) != NULL;
}

/* Prepares `over` for the set at 1 and the function at 2; the library stays on the stack. */
static void over_init(lua_State *lua, struct over *over, const char *method, bool fold)
{
    char text[200];
    memset(over, 0, sizeof *over);
    over->set = bind_set_class.object(lua, 1);
    const struct bind_function *function = luaL_checkudata(lua, 2, BIND_FUNCTION);
    const char *wrong = hs_block_function_of(function->type, fold, &over->function, text, sizeof text);
    if (wrong)
        luaL_error(lua, "set:%s: %s of %s: %s", method, function->place.function, function->place.library, wrong);
    over->function.code = function->code;
    over->function.place = function->place;
    lua_getiuservalue(lua, 2, 1);
    over->library = bind_check_library(lua, lua_gettop(lua));
    over->calls = bind_calls_of(lua);
    over->frame.calls = over->calls;
    over->lua = lua;
    over->thread = pthread_self();
    luaL_checkstack(lua, LUA_MINSTACK, NULL); /* for callbacks */
}

/* Runs over the blocks and gives the status; raises what a callback raised. */
static void over_run(lua_State *lua, int owner_idx, struct over *over, bind_work *work)
{
    struct hs_error err = {0};
    enum hs_status status = bind_run(lua, owner_idx, over->function.place.function, work, over, &err);
    bind_frame_raise(lua, &over->frame);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
}

/* ---- columns ---- */

struct bind_column {
    struct bind_dump *owner;
    struct hs_column *column;
    lua_Integer count, skipped;
    const char *name; /* user value 2 keeps it */
};

static const struct bind_column *column_get(lua_State *lua, int idx)
{
    const struct bind_column *box = bind_check_box(lua, idx, &bind_column_class);
    if (!box->column)
        luaL_error(lua, "the column was freed");
    return box;
}

static const void *column_object(lua_State *lua, int idx)
{
    return column_get(lua, idx);
}

static struct bind_column *column_new(lua_State *lua, int owner_idx, int name_idx)
{
    owner_idx = lua_absindex(lua, owner_idx);
    struct bind_column *box = lua_newuserdatauv(lua, sizeof *box, 2);
    memset(box, 0, sizeof *box);
    box->owner = lua_touserdata(lua, owner_idx);
    box->name = lua_tostring(lua, name_idx);
    lua_pushvalue(lua, owner_idx);
    lua_setiuservalue(lua, -2, 1);
    lua_pushvalue(lua, name_idx);
    lua_setiuservalue(lua, -2, 2);
    luaL_setmetatable(lua, bind_column_class.name);
    return box;
}

static int column_gc(lua_State *lua)
{
    struct bind_column *box = luaL_checkudata(lua, 1, bind_column_class.name);
    hs_column_release(box->column);
    box->column = NULL;
    return 0;
}

/* column:of(block) -> integer, or nil */
static int column_of(lua_State *lua)
{
    const struct bind_column *box = column_get(lua, 1);
    const struct bind_block *block = bind_check_box(lua, 2, &bind_block_class);
    int64_t value;
    luaL_argcheck(lua, block->owner == box->owner, 2, "the block belongs to another dump");
    if (hs_column_get(box->column, block->block.id, &value))
        lua_pushinteger(lua, value);
    else
        lua_pushnil(lua);
    return 1;
}

static int column_tostring(lua_State *lua)
{
    const struct bind_column *box = luaL_checkudata(lua, 1, bind_column_class.name);
    lua_pushfstring(lua, "column %s of %I blocks", box->name, (LUAI_UACINT)box->count);
    return 1;
}

static const struct bind_field column_fields[] = {
    BIND_MEMBER("name", BIND_TEXT, bind_column, name),
    BIND_MEMBER("count", BIND_U64, bind_column, count),
    BIND_MEMBER("skipped", BIND_U64, bind_column, skipped),
    BIND_END,
};
static const luaL_Reg column_methods[] = {{"of", column_of}, {NULL, NULL}};
static const luaL_Reg column_metamethods[] = {{"__gc", column_gc}, {"__tostring", column_tostring}, {NULL, NULL}};

const struct bind_class bind_column_class = {
    .name = "heapsift.column",
    .noun = "column",
    .fields = column_fields,
    .methods = column_methods,
    .metamethods = column_metamethods,
    .object = column_object,
};

/* ---- methods of sets ---- */

static bool is_name(const char *text)
{
    bool letter = false;
    for (; *text; text++) {
        if ((*text >= '0' && *text <= '9') || *text == '_')
            continue;
        if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z')))
            return false;
        letter = true;
    }
    return letter;
}

/* set:map(function[, name]) -> column */
int bind_set_map(lua_State *lua)
{
    struct over over;
    lua_settop(lua, 3);
    over_init(lua, &over, "map", false);
    if (lua_isnil(lua, 3)) {
        lua_pushstring(lua, over.function.place.function);
        lua_replace(lua, 3);
    }
    if (!is_name(luaL_checkstring(lua, 3)))
        luaL_argerror(lua, 3, "the name of a column expected: letters, digits and _");
    int owner_idx = bind_owner_push(lua, 1);
    struct bind_column *box = column_new(lua, owner_idx, 3);
    over.column = &box->column;
    over_run(lua, owner_idx, &over, work_map);
    box->count = (lua_Integer)hs_column_count(box->column);
    box->skipped = (lua_Integer)over.skipped;
    struct hs_error err = {0};
    enum hs_status status = hs_dump_set_column(bind_check_dump(lua, owner_idx)->dump, box->name, box->column, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    bind_account(lua, hs_column_memory(box->column));
    return 1;
}

/* set:where(function) -> set, blocks that were skipped */
int bind_set_where_native(lua_State *lua)
{
    struct over over;
    if (lua_gettop(lua) > 2)
        return luaL_error(lua, "set:where: one function, or filter texts, expected");
    over_init(lua, &over, "where", false);
    int owner_idx = bind_owner_push(lua, 1);
    over.to = bind_set_push(lua, owner_idx);
    int set_idx = lua_gettop(lua);
    over_run(lua, owner_idx, &over, work_where);
    bind_account(lua, hs_set_memory(*over.to));
    lua_settop(lua, set_idx);
    lua_pushinteger(lua, (lua_Integer)over.skipped);
    return 2;
}

/* set:fold(function, state) -> state, what the function stopped with (0: it did not), blocks that were skipped */
int bind_set_fold(lua_State *lua)
{
    struct over over;
    lua_settop(lua, 3);
    over_init(lua, &over, "fold", true);
    int library_idx = lua_gettop(lua);
    const struct bind_function *function = lua_touserdata(lua, 2);
    struct bind_place place = {"the state of '%s'", 0, function->place.function};
    if (lua_isnil(lua, 3))
        luaL_argerror(lua, 3, "a buffer for the state expected (lib:new)");
    uint8_t pointer[16] = {0};
    bind_native_store(lua, library_idx, &place, function->type->members[3].type, 3, 0, pointer);
    memcpy(&over.state, pointer, sizeof over.state);
    int owner_idx = bind_owner_push(lua, 1);
    over_run(lua, owner_idx, &over, work_fold);
    const struct bind_memory *memory = luaL_testudata(lua, 3, BIND_MEMORY);
    if (memory)
        bind_memory_check_fence(lua, memory, function->place.function, 4);
    lua_pushvalue(lua, 3);
    lua_pushinteger(lua, over.result);
    lua_pushinteger(lua, (lua_Integer)over.skipped);
    return 3;
}
