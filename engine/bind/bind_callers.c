/* bind_callers.c - who counts as the caller of an allocator: the lists that the host keeps under HS_BIND_CALLERS, for
 * trace:caller() and, as ranges of code, for groups by candidate_module. */
#include "bind/bind_internal.h"

#include <stdlib.h>

bool bind_callers_push(lua_State *lua)
{
    /* A function in place of the table is called once and replaced by what it gives. */
    if (lua_getfield(lua, LUA_REGISTRYINDEX, HS_BIND_CALLERS) == LUA_TFUNCTION) {
        lua_call(lua, 0, 1);
        lua_pushvalue(lua, -1);
        lua_setfield(lua, LUA_REGISTRYINDEX, HS_BIND_CALLERS);
    }
    return lua_istable(lua, -1);
}

/* Whether table `list` of the table at `idx` has `key`. */
static bool listed(lua_State *lua, int idx, const char *list, const char *key)
{
    bool found = false;
    if (lua_getfield(lua, idx, list) == LUA_TTABLE) {
        lua_getfield(lua, -1, key);
        found = lua_toboolean(lua, -1);
        lua_pop(lua, 1);
    }
    lua_pop(lua, 1);
    return found;
}

bool bind_callers_has_module(lua_State *lua, int idx, const char *name)
{
    char lower[128];
    size_t i = 0;
    for (; name[i] && i + 1 < sizeof lower; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    lower[i] = 0;
    return listed(lua, idx, "modules", lower);
}

bool bind_callers_has_allocator(lua_State *lua, int idx, const char *name)
{
    return name[0] && listed(lua, idx, "allocators", name);
}

/* Ranges found so far; NULL `ranges`: only counted. */
struct ranges {
    struct hs_code_range *ranges;
    size_t count;
};

static void add_range(struct ranges *found, hs_va from, hs_va to)
{
    if (found->ranges)
        found->ranges[found->count] = (struct hs_code_range){from, to};
    found->count++;
}

static void collect(lua_State *lua, int idx, const struct hs_dump *dump, struct ranges *found)
{
    for (size_t m = 0; m < hs_dump_module_count(dump); m++) {
        const struct hs_module *module = hs_dump_module(dump, m);
        if (bind_callers_has_module(lua, idx, module->name)) {
            add_range(found, module->base, module->base + module->size);
            continue;
        }
        for (size_t e = 0; e < hs_dump_export_count(dump, m); e++) {
            const struct hs_export *export = hs_dump_export(dump, m, e);
            if (export->va && bind_callers_has_allocator(lua, idx, export->name))
                add_range(found, export->va, export->va + HS_SYMBOL_NEAR + 1);
        }
    }
}

static int compare_ranges(const void *a, const void *b)
{
    const struct hs_code_range *left = a, *right = b;
    return left->from < right->from ? -1 : left->from > right->from;
}

/* Where the function at `va` ends: before the next export of its module. */
static hs_va export_end(const struct hs_dump *dump, hs_va va, hs_va end)
{
    size_t m;
    if (hs_dump_module_at(dump, va, &m) != HS_OK)
        return end;
    for (size_t e = 0; e < hs_dump_export_count(dump, m); e++) {
        hs_va other = hs_dump_export(dump, m, e)->va;
        if (other > va && other < end)
            end = other;
    }
    return end;
}

void bind_callers_set(lua_State *lua, int owner_idx)
{
    struct bind_dump *owner;
    struct ranges found = {NULL, 0};
    struct hs_error err = {0};
    size_t kept = 0;
    int top = lua_gettop(lua);

    if (!bind_callers_push(lua)) {
        lua_settop(lua, top);
        return;
    }
    owner = bind_check_dump(lua, owner_idx); /* the function may have closed the dump */
    int lists_idx = lua_gettop(lua);
    collect(lua, lists_idx, owner->dump, &found);
    found.ranges = lua_newuserdatauv(lua, (found.count + 1) * sizeof *found.ranges, 0);
    found.count = 0;
    collect(lua, lists_idx, owner->dump, &found);
    qsort(found.ranges, found.count, sizeof *found.ranges, compare_ranges);
    for (size_t i = 0; i < found.count; i++) {
        struct hs_code_range range = found.ranges[i];
        if (range.to - range.from == HS_SYMBOL_NEAR + 1)
            range.to = export_end(owner->dump, range.from, range.to);
        if (kept && range.from < found.ranges[kept - 1].to)
            range.from = found.ranges[kept - 1].to;
        if (range.from < range.to)
            found.ranges[kept++] = range;
    }
    enum hs_status status = hs_dump_set_callers(owner->dump, found.ranges, kept, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    lua_settop(lua, top);
}
