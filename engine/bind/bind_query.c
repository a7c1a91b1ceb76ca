/* bind_query.c - sets of blocks as Lua objects: result boxes that own C memory. */
#include "bind/bind_internal.h"

#include "heap/heap.h"

#include <stdlib.h>

/* ---- boxes ---- */

struct bind_set {
    struct bind_dump *owner;
    struct hs_set *set;
};

static struct bind_set *set_new(lua_State *lua, int owner_idx)
{
    owner_idx = lua_absindex(lua, owner_idx);
    struct bind_set *box = lua_newuserdatauv(lua, sizeof *box, 1);
    box->owner = lua_touserdata(lua, owner_idx);
    box->set = NULL;
    lua_pushvalue(lua, owner_idx);
    lua_setiuservalue(lua, -2, 1);
    luaL_setmetatable(lua, bind_set_class.name);
    return box;
}

struct hs_set **bind_set_push(lua_State *lua, int owner_idx)
{
    return &set_new(lua, owner_idx)->set;
}

static const struct hs_set *set_get(lua_State *lua, int idx)
{
    const struct bind_set *box = bind_check_box(lua, idx, &bind_set_class);
    if (!box->set)
        luaL_error(lua, "the set was freed");
    return box->set;
}

static const void *set_object(lua_State *lua, int idx)
{
    return set_get(lua, idx);
}

static int set_gc(lua_State *lua)
{
    struct bind_set *box = luaL_checkudata(lua, 1, bind_set_class.name);
    hs_set_destroy(box->set);
    box->set = NULL;
    return 0;
}

/* ---- making sets ---- */

struct create {
    struct hs_dump *dump;
    struct hs_set_options options;
    struct hs_set *set;
};

static enum hs_status work_create(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct create *create = arguments;
    return hs_set_create(create->dump, &create->options, job, &create->set, err);
}

static unsigned state_bit(lua_State *lua, int arg)
{
    const char *name = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "?";
    for (int state = 0; state < HS_BLOCK_STATE_COUNT; state++)
        if (strcmp(name, hs_block_state_name((enum hs_block_state)state)) == 0)
            return 1u << state;
    luaL_argerror(lua, arg,
                  lua_pushfstring(lua, "unknown state '%s' (busy, free, lookaside, internal, uncommitted)", name));
    return 0;
}

/* { state = "busy" or { "busy", ... }, heap = heap, address or number } at stack index `arg`. */
static void set_options(lua_State *lua, int owner_idx, int arg, bool heap_allowed, struct hs_set_options *options)
{
    if (lua_isnoneornil(lua, arg))
        return;
    luaL_checktype(lua, arg, LUA_TTABLE);
    lua_pushnil(lua);
    while (lua_next(lua, arg)) {
        const char *key = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : "?";
        if (strcmp(key, "state") == 0) {
            if (lua_istable(lua, -1)) {
                int states = lua_gettop(lua);
                lua_Integer count = luaL_len(lua, states);
                for (lua_Integer i = 1; i <= count && i <= HS_BLOCK_STATE_COUNT; i++) {
                    lua_geti(lua, states, i);
                    options->states |= state_bit(lua, arg);
                    lua_pop(lua, 1);
                }
            } else {
                options->states |= state_bit(lua, arg);
            }
        } else if (heap_allowed && strcmp(key, "heap") == 0) {
            if (!bind_heap_argument(lua, owner_idx, lua_gettop(lua), &options->heap_idx))
                luaL_argerror(lua, arg, "heap: there is no such heap in the dump");
            options->one_heap = true;
        } else {
            luaL_argerror(
                lua, arg,
                lua_pushfstring(lua, "unknown option '%s' (%s)", key, heap_allowed ? "state, heap" : "state"));
        }
        lua_pop(lua, 1);
    }
}

static int set_create(lua_State *lua, int owner_idx, const struct hs_set_options *options)
{
    struct bind_dump *owner = bind_check_dump(lua, owner_idx);
    bind_blocks(lua, owner_idx);
    bind_heap_asked(owner, options->one_heap ? options->heap_idx : SIZE_MAX);
    struct bind_set *box = set_new(lua, owner_idx);
    struct create create = {owner->dump, *options, NULL};
    struct hs_error err = {0};
    enum hs_status status = bind_run(lua, owner_idx, "choosing blocks", work_create, &create, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    box->set = create.set;
    bind_account(lua, hs_set_memory(box->set));
    return 1;
}

struct where {
    const struct hs_set *from;
    const struct hs_filter *filters[HS_WHERE_MAX];
    struct hs_set *sets[HS_WHERE_MAX];
    size_t count;
};

static enum hs_status work_where(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct where *where = arguments;
    return hs_set_where_each(where->from, where->filters, where->count, job, where->sets, err);
}

/* Pushes for each of `count` filter texts from stack index `arg` on the blocks of the set at `from_idx` that it is true
 * for; gives how many sets that are. */
static int set_filter(lua_State *lua, int owner_idx, int from_idx, int arg, int count)
{
    struct where where = {.from = set_get(lua, from_idx), .count = (size_t)count};
    struct bind_set *boxes[HS_WHERE_MAX];
    luaL_checkstack(lua, 2 * count, NULL);
    for (int i = 0; i < count; i++) {
        luaL_checktype(lua, arg + i, LUA_TSTRING);
        where.filters[i] = *bind_filter_push(lua, owner_idx, arg + i, false);
    }
    for (int i = 0; i < count; i++)
        boxes[i] = set_new(lua, owner_idx);
    struct hs_error err = {0};
    enum hs_status status = bind_run(lua, owner_idx, "filtering blocks", work_where, &where, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    size_t bytes = 0;
    for (int i = 0; i < count; i++) {
        boxes[i]->set = where.sets[i];
        bytes += hs_set_memory(where.sets[i]);
    }
    bind_account(lua, bytes);
    return count;
}

/* set:where(text[, text...]) -> a set for each; set:where(native function) */
static int set_where(lua_State *lua)
{
    set_get(lua, 1);
    if (bind_is_native(lua, 2))
        return bind_set_where_native(lua);
    int count = lua_gettop(lua) - 1;
    luaL_argcheck(lua, count >= 1, 2, "a filter text expected");
    luaL_argcheck(lua, count <= HS_WHERE_MAX, HS_WHERE_MAX + 2, "too many filter texts");
    int owner_idx = bind_owner_push(lua, 1);
    return set_filter(lua, owner_idx, 1, 2, count);
}

/* set:label(type, confidence[, evidence[, source]]) */
static int set_label(lua_State *lua)
{
    const struct hs_set *set = set_get(lua, 1);
    lua_settop(lua, 5);
    lua_getfield(lua, LUA_REGISTRYINDEX, HS_BIND_LABEL_SOURCE);
    struct hs_label label = {luaL_checkstring(lua, 2), luaL_checknumber(lua, 3), luaL_optstring(lua, 4, ""),
                             luaL_optstring(lua, 5, lua_isstring(lua, 6) ? lua_tostring(lua, 6) : "")};
    struct hs_error err = {0};
    luaL_argcheck(lua, label.confidence >= 0 && label.confidence <= 1, 3, "a confidence from 0 to 1 expected");
    enum hs_status status = hs_set_label(set, &label, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    lua_settop(lua, 1);
    return 1;
}

/* dump:blocks([filter text | { state =, heap = }]) -> set; without it blocks of every state */
int bind_dump_blocks(lua_State *lua)
{
    struct hs_set_options options = {0};
    bind_check_dump(lua, 1);
    lua_settop(lua, 2);
    bool text = lua_type(lua, 2) == LUA_TSTRING;
    if (!text)
        set_options(lua, 1, 2, true, &options);
    set_create(lua, 1, &options);
    return text ? set_filter(lua, 1, lua_gettop(lua), 2, 1) : 1;
}

int bind_heap_blocks(lua_State *lua)
{
    const struct bind_view *box = bind_check_box(lua, 1, &bind_heap_class);
    struct hs_set_options options = {.one_heap = true, .heap_idx = box->idx};
    lua_settop(lua, 2);
    int owner_idx = bind_owner_push(lua, 1);
    bool text = lua_type(lua, 2) == LUA_TSTRING;
    if (!text)
        set_options(lua, owner_idx, 2, false, &options);
    set_create(lua, owner_idx, &options);
    return text ? set_filter(lua, owner_idx, lua_gettop(lua), 2, 1) : 1;
}

int bind_expect_summaries(lua_State *lua)
{
    struct bind_dump *owner = bind_check_dump(lua, 1);
    bind_blocks(lua, 1);
    hs_blocks_expect_summaries(owner->blocks);
    return 0;
}

static int set_combine(lua_State *lua, enum hs_set_op op)
{
    const struct hs_set *a = set_get(lua, 1), *b = set_get(lua, 2);
    int owner_idx = bind_owner_push(lua, 1);
    struct bind_set *box = set_new(lua, owner_idx);
    struct hs_error err = {0};
    enum hs_status status = hs_set_combine(a, op, b, &box->set, &err);
    if (status != HS_OK) {
        box->set = NULL;
        bind_raise(lua, status, &err);
    }
    bind_account(lua, hs_set_memory(box->set));
    return 1;
}

static int set_or(lua_State *lua)
{
    return set_combine(lua, HS_SET_OR);
}
static int set_and(lua_State *lua)
{
    return set_combine(lua, HS_SET_AND);
}
static int set_minus(lua_State *lua)
{
    return set_combine(lua, HS_SET_MINUS);
}

/* ---- looking into sets ---- */

static int set_count(lua_State *lua)
{
    lua_pushinteger(lua, hs_set_count(set_get(lua, 1)));
    return 1;
}

static int set_bytes(lua_State *lua)
{
    lua_pushinteger(lua, (lua_Integer)hs_set_bytes(set_get(lua, 1)));
    return 1;
}

/* Pushes the first block of the set with an id of at least `id`, or nil. */
static int block_from(lua_State *lua, const struct hs_set *set, uint32_t id)
{
    struct bind_set *box = lua_touserdata(lua, 1);
    int owner_idx = bind_owner_push(lua, 1);
    struct hs_block block;
    if (hs_set_next(set, id, &id) != HS_OK || hs_blocks_get(box->owner->blocks, id, &block) != HS_OK)
        lua_pushnil(lua);
    else
        bind_block_push(lua, owner_idx, &block);
    return 1;
}

static int set_each_next(lua_State *lua)
{
    const struct hs_set *set = set_get(lua, 1);
    if (lua_isnoneornil(lua, 2))
        return block_from(lua, set, 0);
    const struct bind_block *box = bind_check_box(lua, 2, &bind_block_class);
    if (box->block.id == UINT32_MAX)
        return 0;
    return block_from(lua, set, box->block.id + 1);
}

static int set_each(lua_State *lua)
{
    set_get(lua, 1);
    lua_pushcfunction(lua, set_each_next);
    lua_pushvalue(lua, 1);
    lua_pushnil(lua);
    return 3;
}

/* set:sample(n): at most n blocks, evenly spaced over the set, always the same ones */
static int set_sample(lua_State *lua)
{
    const struct hs_set *set = set_get(lua, 1);
    struct bind_set *box = lua_touserdata(lua, 1);
    uint64_t wanted = (uint64_t)bind_check_integer(lua, 2, "number of blocks", 0, UINT32_MAX);
    uint64_t count = hs_set_count(set);
    if (wanted > count)
        wanted = count;
    int owner_idx = bind_owner_push(lua, 1);
    lua_createtable(lua, wanted < 1024 ? (int)wanted : 1024, 0);
    uint64_t taken = 0, place = 0;
    for (uint32_t id = 0; taken < wanted && hs_set_next(set, id, &id) == HS_OK; id++, place++) {
        struct hs_block block;
        if (place != taken * count / wanted)
            continue;
        if (hs_blocks_get(box->owner->blocks, id, &block) != HS_OK)
            break;
        bind_block_push(lua, owner_idx, &block);
        lua_rawseti(lua, -2, (lua_Integer)++taken);
        if (id == UINT32_MAX)
            break;
    }
    return 1;
}

/* set:has(block) */
static int set_has(lua_State *lua)
{
    const struct hs_set *set = set_get(lua, 1);
    const struct bind_block *box = bind_check_box(lua, 2, &bind_block_class);
    const struct bind_set *set_box = lua_touserdata(lua, 1);
    luaL_argcheck(lua, box->owner == set_box->owner, 2, "the block belongs to another dump");
    lua_pushboolean(lua, hs_set_has(set, box->block.id));
    return 1;
}

static int set_tostring(lua_State *lua)
{
    const struct bind_set *box = luaL_checkudata(lua, 1, bind_set_class.name);
    if (!box->owner->dump || !box->set)
        lua_pushliteral(lua, "set (dump closed)");
    else
        lua_pushfstring(lua, "set of %I blocks", (LUAI_UACINT)hs_set_count(box->set));
    return 1;
}

static const luaL_Reg set_methods[] = {
    {"count", set_count},
    {"bytes", set_bytes},
    {"each", set_each},
    {"sample", set_sample},
    {"has", set_has},
    {"group", bind_set_group},
    {"where", set_where},
    {"label", set_label},
    {"referenced", bind_set_referenced},
    {"values", bind_set_values},
    {"map", bind_set_map},
    {"fold", bind_set_fold},
    {NULL, NULL},
};

static const luaL_Reg set_metamethods[] = {
    {"__gc", set_gc},     {"__len", set_count},         {"__bor", set_or}, {"__band", set_and},
    {"__sub", set_minus}, {"__tostring", set_tostring}, {NULL, NULL},
};

const struct bind_class bind_set_class = {
    .name = "heapsift.set",
    .noun = "set",
    .methods = set_methods,
    .metamethods = set_metamethods,
    .object = set_object,
};
