/* bind_groups.c - groups of blocks as Lua objects: what set:group gives. */
#include "bind/bind_internal.h"

#include <stdlib.h>

/* Groups, or the first of them in another order: then `groups` belongs to the box in user value 3. User value 4 is a
 * table with the name of each key that is an expression. */
struct bind_groups {
    struct bind_dump *owner;
    struct hs_groups *owned;
    const struct hs_groups *groups;
    uint32_t *order; /* NULL: as they stand */
    size_t count;
    enum hs_key keys[HS_KEY_MAX];
    unsigned key_count;
};

static const char *const key_names[] = {
    [HS_KEY_SIZE] = "size",
    [HS_KEY_SIZE_CLASS] = "size_class",
    [HS_KEY_HEAP] = "heap",
    [HS_KEY_STATE] = "state",
    [HS_KEY_STORED] = "stored",
    [HS_KEY_TOTAL] = "total",
    [HS_KEY_FLAGS] = "flags",
    [HS_KEY_TAG] = "tag",
    [HS_KEY_FIRST_WORD] = "first_word",
    [HS_KEY_EXPRESSION] = "an expression",
    [HS_KEY_LABEL] = "type",
    [HS_KEY_CANDIDATE_MODULE] = "candidate_module",
};
#define KEY_COUNT (sizeof key_names / sizeof key_names[0])

struct group_work {
    const struct hs_set *set;
    enum hs_key keys[HS_KEY_MAX];
    const struct hs_filter *expressions[HS_KEY_MAX];
    unsigned key_count;
    struct hs_groups *groups;
};

static enum hs_status work_group(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct group_work *work = arguments;
    return hs_set_group(work->set, work->keys, work->expressions, work->key_count, job, &work->groups, err);
}

static struct bind_groups *groups_new(lua_State *lua, int owner_idx)
{
    owner_idx = lua_absindex(lua, owner_idx);
    struct bind_groups *box = lua_newuserdatauv(lua, sizeof *box, 4);
    memset(box, 0, sizeof *box);
    box->owner = lua_touserdata(lua, owner_idx);
    lua_pushvalue(lua, owner_idx);
    lua_setiuservalue(lua, -2, 1);
    bind_places_push(lua);
    lua_setiuservalue(lua, -2, 2);
    luaL_setmetatable(lua, bind_groups_class.name);
    return box;
}

/* Whether a text can be the name of a key and nothing else. */
static bool is_word(const char *text)
{
    while ((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || *text == '_')
        text++;
    return *text == 0;
}

/* The plain key that a name means; HS_KEY_EXPRESSION for anything that is no single word. Raises for unknown words. */
static enum hs_key key_argument(lua_State *lua, int arg)
{
    const char *name = luaL_checkstring(lua, arg);
    struct bind_nearest nearest;
    bind_nearest_init(&nearest, name);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (i == HS_KEY_EXPRESSION)
            continue;
        if (strcmp(name, key_names[i]) == 0)
            return (enum hs_key)i;
        bind_nearest_offer(&nearest, key_names[i]);
    }
    if (!is_word(name) || strcmp(name, "trace") == 0) /* the attributed trace: a field of filters */
        return HS_KEY_EXPRESSION;
    luaL_argerror(lua, arg,
                  lua_pushfstring(lua, "unknown key '%s'%s%s%s", name, nearest.best ? " (did you mean '" : "",
                                  nearest.best ? nearest.best : "", nearest.best ? "'?)" : ""));
    return HS_KEY_SIZE;
}

/* "tag = u32(8)" at stack index `arg`: leaves the expression alone there and pushes its name; without one the whole text
 * is the name. */
static void split_name(lua_State *lua, int arg)
{
    const char *text = lua_tostring(lua, arg);
    const char *end = text;
    while ((*end >= 'a' && *end <= 'z') || (*end >= 'A' && *end <= 'Z') || (*end >= '0' && *end <= '9') || *end == '_')
        end++;
    const char *equals = end + strspn(end, " ");
    if (end == text || equals[0] != '=' || equals[1] == '=') {
        lua_pushvalue(lua, arg);
        return;
    }
    lua_pushlstring(lua, text, (size_t)(end - text));
    lua_pushstring(lua, equals + 1);
    lua_replace(lua, arg);
}

/* set:group(key[, key...]) -> groups, most bytes first */
int bind_set_group(lua_State *lua)
{
    struct group_work work = {.set = bind_set_class.object(lua, 1)};
    int last = lua_gettop(lua);
    luaL_argcheck(lua, last >= 2, 2, "a key expected");
    luaL_argcheck(lua, last - 1 <= (int)HS_KEY_MAX, (int)HS_KEY_MAX + 2, "too many keys");
    int owner_idx = bind_owner_push(lua, 1);
    lua_createtable(lua, (int)HS_KEY_MAX, 0);
    int names_idx = lua_gettop(lua);
    for (int arg = 2; arg <= last; arg++) {
        enum hs_key key = key_argument(lua, arg);
        if (key == HS_KEY_CANDIDATE_MODULE)
            bind_callers_set(lua, owner_idx);
        if (key == HS_KEY_EXPRESSION) {
            split_name(lua, arg);
            lua_rawseti(lua, names_idx, arg - 1);
            work.expressions[work.key_count] = *bind_filter_push(lua, owner_idx, arg, true); /* stays on the stack */
        }
        work.keys[work.key_count++] = key;
    }
    struct bind_groups *box = groups_new(lua, owner_idx);
    lua_pushvalue(lua, names_idx);
    lua_setiuservalue(lua, -2, 4);
    struct hs_error err = {0};
    enum hs_status status = bind_run(lua, owner_idx, "grouping blocks", work_group, &work, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    box->owned = work.groups;
    box->groups = work.groups;
    box->count = hs_groups_count(work.groups);
    memcpy(box->keys, work.keys, sizeof work.keys);
    box->key_count = work.key_count;
    bind_account(lua, hs_groups_memory(work.groups));
    return 1;
}

static struct bind_groups *groups_get(lua_State *lua, int idx)
{
    struct bind_groups *box = bind_check_box(lua, idx, &bind_groups_class);
    if (!box->groups)
        luaL_error(lua, "the groups were freed");
    return box;
}

static const void *groups_object(lua_State *lua, int idx)
{
    return groups_get(lua, idx);
}

static int groups_gc(lua_State *lua)
{
    struct bind_groups *box = luaL_checkudata(lua, 1, bind_groups_class.name);
    hs_groups_destroy(box->owned);
    free(box->order);
    box->owned = NULL;
    box->groups = NULL;
    box->order = NULL;
    return 0;
}

/* Pushes the value of key `idx`; nil where the blocks have none. */
static void key_push(lua_State *lua, const struct bind_groups *box, unsigned idx, uint64_t value)
{
    const struct hs_heap *heap;
    const struct hs_module *module;

    switch (box->keys[idx]) {
    case HS_KEY_HEAP:
        heap = hs_dump_heap(box->owner->dump, (size_t)value);
        lua_pushinteger(lua, heap ? (lua_Integer)heap->va : 0);
        return;
    case HS_KEY_STATE: lua_pushstring(lua, hs_block_state_name((enum hs_block_state)value)); return;
    case HS_KEY_LABEL: lua_pushstring(lua, hs_label_type(box->owner->blocks, value)); return; /* NULL is nil */
    case HS_KEY_CANDIDATE_MODULE:
        module = value >= HS_KEY_SEVERAL ? NULL : hs_dump_module(box->owner->dump, (size_t)value);
        if (value == HS_KEY_NONE)
            lua_pushnil(lua);
        else
            lua_pushstring(lua, module ? module->name : "(several)");
        return;
    case HS_KEY_STORED:
    case HS_KEY_FIRST_WORD:
    case HS_KEY_EXPRESSION:
        if (value == HS_KEY_NONE)
            lua_pushnil(lua);
        else
            lua_pushinteger(lua, (lua_Integer)value);
        return;
    case HS_KEY_SIZE:
    case HS_KEY_SIZE_CLASS:
    case HS_KEY_TOTAL:
    case HS_KEY_FLAGS:
    case HS_KEY_TAG: break;
    }
    lua_pushinteger(lua, (lua_Integer)value);
}

/* Pushes the name of key `idx`; that of an expression is in a table of the groups, which are at stack index 1. */
static void name_push(lua_State *lua, const struct bind_groups *box, unsigned idx)
{
    if (box->keys[idx] != HS_KEY_EXPRESSION) {
        lua_pushstring(lua, key_names[box->keys[idx]]);
        return;
    }
    lua_getiuservalue(lua, 1, 4);
    lua_rawgeti(lua, -1, (lua_Integer)idx + 1);
    lua_remove(lua, -2);
}

/* Row `place` (from 0); false past the end. */
static bool row_get(const struct bind_groups *box, uint64_t place, struct hs_group *group)
{
    return place < box->count &&
           hs_groups_get(box->groups, box->order ? box->order[place] : (size_t)place, group) == HS_OK;
}

/* Pushes row `place` as a plain table; nil past the end. */
static void row_push(lua_State *lua, const struct bind_groups *box, uint64_t place)
{
    struct hs_group group;
    if (!row_get(box, place, &group)) {
        lua_pushnil(lua);
        return;
    }
    lua_createtable(lua, 0, (int)box->key_count + 2);
    for (unsigned i = 0; i < box->key_count; i++) {
        name_push(lua, box, i);
        key_push(lua, box, i, group.keys[i]);
        lua_rawset(lua, -3);
    }
    bind_set_integer(lua, "count", group.count);
    bind_set_integer(lua, "bytes", group.bytes);
}

static void groups_item(lua_State *lua, lua_Integer number)
{
    const struct bind_groups *box = groups_get(lua, 1);
    row_push(lua, box, number < 1 ? UINT64_MAX : (uint64_t)number - 1);
}

/* The step of groups:values(): number of the row before -> number, keys, blocks, bytes. */
static int values_next(lua_State *lua)
{
    const struct bind_groups *box = groups_get(lua, 1);
    lua_Integer number = luaL_checkinteger(lua, 2);
    struct hs_group group;
    if (number < 0 || !row_get(box, (uint64_t)number, &group))
        return 0;
    lua_pushinteger(lua, number + 1);
    for (unsigned i = 0; i < box->key_count; i++)
        key_push(lua, box, i, group.keys[i]);
    lua_pushinteger(lua, (lua_Integer)group.count);
    lua_pushinteger(lua, (lua_Integer)group.bytes);
    return (int)box->key_count + 3;
}

/* for number, key..., count, bytes in groups:values() do */
static int groups_values(lua_State *lua)
{
    groups_get(lua, 1);
    lua_pushcfunction(lua, values_next);
    lua_pushvalue(lua, 1);
    lua_pushinteger(lua, 0);
    return 3;
}

static int groups_len(lua_State *lua)
{
    lua_pushinteger(lua, (lua_Integer)groups_get(lua, 1)->count);
    return 1;
}

/* for row in groups do */
static int groups_call(lua_State *lua)
{
    const struct bind_groups *box = groups_get(lua, 1);
    uint64_t place = 0;
    lua_settop(lua, 3);
    if (!lua_isnil(lua, 3)) {
        lua_getiuservalue(lua, 1, 2);
        lua_pushvalue(lua, 3);
        if (lua_rawget(lua, -2) != LUA_TNUMBER)
            return luaL_error(lua, "groups: the loop was given something that is not one of their rows");
        place = (uint64_t)lua_tointeger(lua, -1) + 1;
    }
    row_push(lua, box, place);
    if (lua_istable(lua, -1)) { /* remember where it stands, for the next turn of the loop */
        lua_getiuservalue(lua, 1, 2);
        lua_pushvalue(lua, -2);
        lua_pushinteger(lua, (lua_Integer)place);
        lua_rawset(lua, -3);
        lua_pop(lua, 1);
    }
    return 1;
}

/* A group by its place among all groups (most bytes first), and what it is ordered by before that. */
struct place {
    uint64_t weight;
    uint32_t idx;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    if (left->weight != right->weight)
        return left->weight < right->weight ? 1 : -1;
    return left->idx < right->idx ? -1 : left->idx > right->idx;
}

/* Fills box->order with the first box->count of the groups of `from`. */
static bool order_groups(const struct bind_groups *from, struct bind_groups *box, bool by_count)
{
    struct place *places = calloc(from->count ? from->count : 1, sizeof *places);
    box->order = calloc(box->count ? box->count : 1, sizeof *box->order);
    if (!places || !box->order) {
        free(places);
        return false;
    }
    for (size_t i = 0; i < from->count; i++) {
        struct hs_group group;
        places[i].idx = from->order ? from->order[i] : (uint32_t)i;
        places[i].weight = by_count && row_get(from, i, &group) ? group.count : 0;
    }
    qsort(places, from->count, sizeof *places, compare_places);
    for (size_t i = 0; i < box->count; i++)
        box->order[i] = places[i].idx;
    free(places);
    return true;
}

/* groups:top(n[, "bytes" | "count"]) -> the first n of them in that order, again as groups */
static int groups_top(lua_State *lua)
{
    static const char *const orders[] = {"bytes", "count", NULL};
    const struct bind_groups *from = groups_get(lua, 1);
    uint64_t wanted = (uint64_t)bind_check_integer(lua, 2, "number of groups", 0, LUA_MAXINTEGER);
    bool by_count = luaL_checkoption(lua, 3, "bytes", orders) == 1;
    int owner_idx = bind_owner_push(lua, 1);
    struct bind_groups *box = groups_new(lua, owner_idx);
    lua_pushvalue(lua, 1);
    lua_setiuservalue(lua, -2, 3); /* keeps the groups themselves alive */
    lua_getiuservalue(lua, 1, 4);
    lua_setiuservalue(lua, -2, 4);
    box->groups = from->groups;
    box->count = wanted < from->count ? (size_t)wanted : from->count;
    memcpy(box->keys, from->keys, sizeof box->keys);
    box->key_count = from->key_count;
    if ((by_count || from->order) && !order_groups(from, box, by_count))
        bind_raise(lua, HS_ERR_MEMORY, NULL);
    if (box->order)
        bind_account(lua, box->count * sizeof *box->order);
    return 1;
}

static int groups_next(lua_State *lua)
{
    const struct bind_groups *box = groups_get(lua, 1);
    lua_Integer number = luaL_optinteger(lua, 2, 0) + 1;
    lua_settop(lua, 2);
    if (number < 1 || (lua_Unsigned)number > box->count) {
        lua_pushnil(lua);
        return 1;
    }
    lua_pushinteger(lua, number);
    row_push(lua, box, (uint64_t)number - 1);
    return 2;
}

static int groups_pairs(lua_State *lua)
{
    groups_get(lua, 1);
    lua_pushcfunction(lua, groups_next);
    lua_pushvalue(lua, 1);
    lua_pushnil(lua);
    return 3;
}

static int groups_tostring(lua_State *lua)
{
    const struct bind_groups *box = luaL_checkudata(lua, 1, bind_groups_class.name);
    lua_pushfstring(lua, "%I groups", (LUAI_UACINT)box->count);
    return 1;
}

static const luaL_Reg groups_methods[] = {
    {"top", groups_top},
    {"values", groups_values},
    {NULL, NULL},
};

static const luaL_Reg groups_metamethods[] = {
    {"__gc", groups_gc},       {"__len", groups_len},           {"__call", groups_call},
    {"__pairs", groups_pairs}, {"__tostring", groups_tostring}, {NULL, NULL},
};

const struct bind_class bind_groups_class = {
    .name = "heapsift.groups",
    .noun = "groups",
    .methods = groups_methods,
    .metamethods = groups_metamethods,
    .object = groups_object,
    .item = groups_item,
};
