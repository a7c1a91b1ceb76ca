/* bind_scan.c - who points here: set:referenced and dump:referrers. */
#include "bind/bind_internal.h"

struct referenced {
    const struct hs_set *set;
    struct hs_referenced_options options;
    struct hs_set *found;
};

static enum hs_status work_referenced(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct referenced *work = arguments;
    return hs_set_referenced(work->set, &work->options, job, &work->found, err);
}

static const char *source_name(int idx)
{
    return hs_source_name((enum hs_source)idx);
}

static const char *aim_name(int idx)
{
    return hs_aim_name((enum hs_aim)idx);
}

/* Bits for the word, or the list of words, at the stack top. */
static unsigned bits_of(lua_State *lua, int arg, const char *what, const char *(*name)(int idx), int count)
{
    unsigned bits = 0;
    int top = lua_gettop(lua);
    bool list = lua_istable(lua, top);
    lua_Integer last = list ? luaL_len(lua, top) : 1;
    for (lua_Integer i = 1; i <= last; i++) {
        int idx = 0;
        if (list)
            lua_geti(lua, top, i);
        const char *word = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "?";
        while (idx < count && strcmp(word, name(idx)) != 0)
            idx++;
        if (idx == count)
            luaL_argerror(lua, arg, lua_pushfstring(lua, "unknown %s '%s'", what, word));
        bits |= 1u << idx;
        lua_settop(lua, top);
    }
    return bits;
}

/* The number at the top of the stack. */
static uint64_t first_bytes_of(lua_State *lua, int arg)
{
    lua_Integer bytes = lua_isinteger(lua, -1) ? lua_tointeger(lua, -1) : 0;
    luaL_argcheck(lua, bytes > 0, arg, "first_bytes: expected a number of bytes, 1 or more");
    return (uint64_t)bytes;
}

/* { sources =, aims =, from =, first_bytes = } at stack index `arg`, or a set, or nothing. */
static void referenced_options(lua_State *lua, int arg, struct hs_referenced_options *options)
{
    if (lua_isnoneornil(lua, arg))
        return;
    if (lua_isuserdata(lua, arg)) {
        options->from = bind_set_class.object(lua, arg);
        return;
    }
    luaL_checktype(lua, arg, LUA_TTABLE);
    lua_pushnil(lua);
    while (lua_next(lua, arg)) {
        const char *key = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : "?";
        if (strcmp(key, "sources") == 0)
            options->sources = bits_of(lua, arg, "source", source_name, HS_SOURCE_COUNT);
        else if (strcmp(key, "aims") == 0)
            options->aims = bits_of(lua, arg, "aim", aim_name, HS_AIM_COUNT);
        else if (strcmp(key, "from") == 0)
            options->from = bind_set_class.object(lua, lua_gettop(lua));
        else if (strcmp(key, "first_bytes") == 0)
            options->first_bytes = first_bytes_of(lua, arg);
        else
            luaL_argerror(lua, arg,
                          lua_pushfstring(lua, "unknown option '%s' (sources, aims, from, first_bytes)", key));
        lua_pop(lua, 1);
    }
}

/* set:referenced([set | { sources =, aims =, from =, first_bytes = }]) -> set */
int bind_set_referenced(lua_State *lua)
{
    struct referenced work = {.set = bind_set_class.object(lua, 1)};
    struct hs_error err = {0};
    lua_settop(lua, 2);
    referenced_options(lua, 2, &work.options);
    int owner_idx = bind_owner_push(lua, 1);
    struct hs_set **box = bind_set_push(lua, owner_idx);
    enum hs_status status = bind_run(lua, owner_idx, "searching for pointers", work_referenced, &work, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    *box = work.found;
    bind_account(lua, hs_set_memory(work.found));
    return 1;
}

#define REFERRERS_LIMIT 1000 /* kept unless the caller says otherwise */

struct referrers {
    struct hs_dump *dump;
    hs_va from, to;
    size_t limit;
    struct hs_references *found;
};

static enum hs_status work_referrers(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct referrers *work = arguments;
    return hs_dump_references(work->dump, work->from, work->to, work->limit, job, &work->found, err);
}

static int references_gc(lua_State *lua)
{
    struct hs_references **box = lua_touserdata(lua, 1);
    hs_references_destroy(*box);
    *box = NULL;
    return 0;
}

static void push_reference(lua_State *lua, int owner_idx, const struct hs_blocks *blocks,
                           const struct hs_reference *reference)
{
    struct bind_dump *owner = bind_check_dump(lua, owner_idx);
    struct hs_block block;
    lua_createtable(lua, 0, 6);
    bind_set_text(lua, "source", hs_source_name(reference->source));
    bind_set_text(lua, "aim", hs_aim_name(reference->aim));
    bind_set_integer(lua, "value", reference->value);
    if (reference->source != HS_SOURCE_REGISTER)
        bind_set_integer(lua, "address", reference->va);
    if (reference->thread_idx != UINT32_MAX)
        bind_set_integer(lua, "thread", hs_dump_thread(owner->dump, reference->thread_idx)->id);
    if (reference->module_idx != UINT32_MAX)
        bind_set_text(lua, "module", hs_dump_module(owner->dump, reference->module_idx)->name);
    if (reference->name[0])
        bind_set_text(lua, reference->source == HS_SOURCE_REGISTER ? "register" : "section", reference->name);
    if (reference->block_id != UINT32_MAX && hs_blocks_get(blocks, reference->block_id, &block) == HS_OK) {
        bind_block_push(lua, owner_idx, &block);
        lua_setfield(lua, -2, "block");
    }
}

/* dump:referrers(va[, { limit = }]) -> array of plain tables, how many there are in all */
int bind_dump_referrers(lua_State *lua)
{
    struct bind_dump *owner = bind_check_dump(lua, 1);
    struct referrers work = {.dump = owner->dump, .from = bind_check_va(lua, 2), .limit = REFERRERS_LIMIT};
    struct hs_error err = {0};
    struct hs_block block;
    lua_settop(lua, 3);
    if (!lua_isnil(lua, 3)) {
        luaL_checktype(lua, 3, LUA_TTABLE);
        if (lua_getfield(lua, 3, "limit") != LUA_TNIL)
            work.limit = (size_t)bind_check_integer(lua, 4, "limit", 0, INT32_MAX);
    }
    lua_settop(lua, 3);
    const struct hs_blocks *blocks = bind_blocks(lua, 1);
    /* An address inside a block asks for the whole block; any other address for itself. */
    work.to = work.from + 1;
    if (hs_blocks_find(blocks, work.from, &block) == HS_OK) {
        work.from = block.va;
        work.to = block.va + block.total;
    }
    struct hs_references **box = lua_newuserdatauv(lua, sizeof *box, 0);
    *box = NULL;
    lua_createtable(lua, 0, 1);
    lua_pushcfunction(lua, references_gc);
    lua_setfield(lua, -2, "__gc");
    lua_setmetatable(lua, -2);
    enum hs_status status = bind_run(lua, 1, "searching for pointers", work_referrers, &work, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    *box = work.found;
    size_t count = hs_references_count(work.found);
    lua_createtable(lua, count < 1024 ? (int)count : 1024, 0);
    for (size_t i = 0; i < count; i++) {
        push_reference(lua, 1, blocks, hs_references_get(work.found, i));
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    lua_pushinteger(lua, (lua_Integer)hs_references_total(work.found));
    return 2;
}
