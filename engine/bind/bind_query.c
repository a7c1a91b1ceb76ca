/* bind_query.c - sets of blocks and groups as Lua objects: result boxes that own C memory. */
#include "bind/bind_internal.h"

#include <stdlib.h>

/* ---- boxes ---- */

struct bind_set {
    struct bind_dump *owner;
    struct hs_set *set;
};

/* Groups, or the first of them in another order: then `groups` belongs to the box in user value 3. */
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
    [HS_KEY_LABEL] = "type",
    [HS_KEY_CANDIDATE_MODULE] = "candidate_module",
};
#define KEY_COUNT (sizeof key_names / sizeof key_names[0])

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
    return 1;
}

struct where {
    const struct hs_set *from;
    const struct hs_filter *filter;
    struct hs_set *set;
};

static enum hs_status work_where(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct where *where = arguments;
    return hs_set_where(where->from, where->filter, job, &where->set, err);
}

/* Replaces the set at the stack top by those of its blocks that the filter text at stack index `arg` is true for. */
static int set_filter(lua_State *lua, int owner_idx, int arg)
{
    int from_idx = lua_gettop(lua);
    struct where where = {.from = set_get(lua, from_idx)};
    luaL_checktype(lua, arg, LUA_TSTRING);
    where.filter = *bind_filter_push(lua, owner_idx, arg);
    struct bind_set *box = set_new(lua, owner_idx);
    struct hs_error err = {0};
    enum hs_status status = bind_run(lua, owner_idx, "filtering blocks", work_where, &where, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    box->set = where.set;
    lua_replace(lua, from_idx);
    lua_settop(lua, from_idx);
    return 1;
}

/* set:where(text) */
static int set_where(lua_State *lua)
{
    set_get(lua, 1);
    lua_settop(lua, 2);
    int owner_idx = bind_owner_push(lua, 1);
    lua_pushvalue(lua, 1);
    return set_filter(lua, owner_idx, 2);
}

/* set:label(type, confidence[, evidence[, source]]) */
static int set_label(lua_State *lua)
{
    const struct hs_set *set = set_get(lua, 1);
    struct hs_label label = {luaL_checkstring(lua, 2), luaL_checknumber(lua, 3), luaL_optstring(lua, 4, ""),
                             luaL_optstring(lua, 5, "")};
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
    return text ? set_filter(lua, 1, 2) : 1;
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
    return text ? set_filter(lua, owner_idx, 2) : 1;
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

/* ---- groups ---- */

struct group_work {
    const struct hs_set *set;
    enum hs_key keys[HS_KEY_MAX];
    unsigned key_count;
    struct hs_groups *groups;
};

static enum hs_status work_group(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct group_work *work = arguments;
    return hs_set_group(work->set, work->keys, work->key_count, job, &work->groups, err);
}

static struct bind_groups *groups_new(lua_State *lua, int owner_idx)
{
    owner_idx = lua_absindex(lua, owner_idx);
    struct bind_groups *box = lua_newuserdatauv(lua, sizeof *box, 3);
    memset(box, 0, sizeof *box);
    box->owner = lua_touserdata(lua, owner_idx);
    lua_pushvalue(lua, owner_idx);
    lua_setiuservalue(lua, -2, 1);
    bind_places_push(lua);
    lua_setiuservalue(lua, -2, 2);
    luaL_setmetatable(lua, bind_groups_class.name);
    return box;
}

static enum hs_key key_argument(lua_State *lua, int arg)
{
    const char *name = luaL_checkstring(lua, arg);
    struct bind_nearest nearest;
    bind_nearest_init(&nearest, name);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(name, key_names[i]) == 0)
            return (enum hs_key)i;
        bind_nearest_offer(&nearest, key_names[i]);
    }
    luaL_argerror(lua, arg,
                  lua_pushfstring(lua, "unknown key '%s'%s%s%s", name, nearest.best ? " (did you mean '" : "",
                                  nearest.best ? nearest.best : "", nearest.best ? "'?)" : ""));
    return HS_KEY_SIZE;
}

/* set:group(key[, key...]) -> groups, most bytes first */
static int set_group(lua_State *lua)
{
    struct group_work work = {.set = set_get(lua, 1)};
    int last = lua_gettop(lua);
    luaL_argcheck(lua, last >= 2, 2, "a key expected");
    luaL_argcheck(lua, last - 1 <= (int)HS_KEY_MAX, (int)HS_KEY_MAX + 2, "too many keys");
    for (int arg = 2; arg <= last; arg++)
        work.keys[work.key_count++] = key_argument(lua, arg);
    int owner_idx = bind_owner_push(lua, 1);
    for (unsigned i = 0; i < work.key_count; i++)
        if (work.keys[i] == HS_KEY_CANDIDATE_MODULE)
            bind_callers_set(lua, owner_idx);
    struct bind_groups *box = groups_new(lua, owner_idx);
    struct hs_error err = {0};
    enum hs_status status = bind_run(lua, owner_idx, "grouping blocks", work_group, &work, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    box->owned = work.groups;
    box->groups = work.groups;
    box->count = hs_groups_count(work.groups);
    memcpy(box->keys, work.keys, sizeof work.keys);
    box->key_count = work.key_count;
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

static void set_key(lua_State *lua, const struct bind_groups *box, enum hs_key key, uint64_t value)
{
    const char *name = key_names[key];
    if (value == HS_KEY_NONE &&
        (key == HS_KEY_STORED || key == HS_KEY_FIRST_WORD || key == HS_KEY_LABEL || key == HS_KEY_CANDIDATE_MODULE))
        return;
    if (key == HS_KEY_HEAP) {
        const struct hs_heap *heap = hs_dump_heap(box->owner->dump, (size_t)value);
        bind_set_integer(lua, name, heap ? heap->va : 0);
    } else if (key == HS_KEY_LABEL) {
        bind_set_text(lua, name, hs_label_type(box->owner->blocks, value));
    } else if (key == HS_KEY_CANDIDATE_MODULE) {
        const struct hs_module *module = value == HS_KEY_SEVERAL ? NULL : hs_dump_module(box->owner->dump, value);
        bind_set_text(lua, name, module ? module->name : "(several)");
    } else if (key == HS_KEY_STATE) {
        bind_set_text(lua, name, hs_block_state_name((enum hs_block_state)value));
    } else {
        bind_set_integer(lua, name, value);
    }
}

/* Pushes row `place` (from 0) as a plain table and remembers where it stood; nil past the end. */
static void row_push(lua_State *lua, const struct bind_groups *box, uint64_t place)
{
    const struct hs_group *group = NULL;
    if (place < box->count)
        group = hs_groups_get(box->groups, box->order ? box->order[place] : (size_t)place);
    if (!group) {
        lua_pushnil(lua);
        return;
    }
    lua_createtable(lua, 0, (int)box->key_count + 2);
    for (unsigned i = 0; i < box->key_count; i++)
        set_key(lua, box, box->keys[i], group->keys[i]);
    bind_set_integer(lua, "count", group->count);
    bind_set_integer(lua, "bytes", group->bytes);
    lua_getiuservalue(lua, 1, 2);
    lua_pushvalue(lua, -2);
    lua_pushinteger(lua, (lua_Integer)place);
    lua_rawset(lua, -3);
    lua_pop(lua, 1);
}

static void groups_item(lua_State *lua, lua_Integer number)
{
    const struct bind_groups *box = groups_get(lua, 1);
    row_push(lua, box, number < 1 ? UINT64_MAX : (uint64_t)number - 1);
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
        places[i].idx = from->order ? from->order[i] : (uint32_t)i;
        places[i].weight = by_count ? hs_groups_get(from->groups, places[i].idx)->count : 0;
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
    box->groups = from->groups;
    box->count = wanted < from->count ? (size_t)wanted : from->count;
    memcpy(box->keys, from->keys, sizeof box->keys);
    box->key_count = from->key_count;
    if ((by_count || from->order) && !order_groups(from, box, by_count))
        bind_raise(lua, HS_ERR_MEMORY, NULL);
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

static const luaL_Reg set_methods[] = {
    {"count", set_count},   {"bytes", set_bytes}, {"each", set_each},
    {"sample", set_sample}, {"has", set_has},     {"group", set_group},
    {"where", set_where},   {"label", set_label}, {"referenced", bind_set_referenced},
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

static const luaL_Reg groups_methods[] = {
    {"top", groups_top},
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
