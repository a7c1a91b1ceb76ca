/* bind_trace.c - the trace database and its traces as Lua objects. */
#include "bind/bind_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the database: a view whose dump knows it ---- */

static const struct hs_traces *traces_get(lua_State *lua, int idx)
{
    const struct bind_view *box = bind_check_box(lua, idx, &bind_traces_class);
    return box->owner->traces;
}

static const void *traces_object(lua_State *lua, int idx)
{
    return hs_traces_info(traces_get(lua, idx));
}

/* Pushes the trace of that full index, or nil outside the database. One that cannot be read has no frames. */
static void trace_push_index(lua_State *lua, int owner_idx, const struct hs_traces *traces, uint32_t index)
{
    struct hs_trace trace;
    enum hs_status status = hs_traces_get(traces, index, &trace, NULL);
    if (status == HS_NOT_FOUND) {
        lua_pushnil(lua);
        return;
    }
    if (status != HS_OK) {
        trace = (struct hs_trace){0};
        trace.index = index;
        trace.stored = (uint16_t)index;
    }
    bind_trace_push(lua, owner_idx, &trace);
}

static void traces_item(lua_State *lua, lua_Integer number)
{
    const struct hs_traces *traces = traces_get(lua, 1);
    if (number < 1 || number > UINT32_MAX) {
        lua_pushnil(lua);
        return;
    }
    int owner_idx = bind_owner_push(lua, 1);
    trace_push_index(lua, owner_idx, traces, (uint32_t)number);
}

static void push_source(lua_State *lua)
{
    const struct hs_traces_info *info = traces_object(lua, 1);
    lua_pushstring(lua, info->source == HS_TRACES_SYMBOL ? "symbol" : "scan");
}

static int traces_len(lua_State *lua)
{
    lua_pushinteger(lua, hs_traces_info(traces_get(lua, 1))->count);
    return 1;
}

/* for t in dump.traces do */
static int traces_call(lua_State *lua)
{
    const struct hs_traces *traces = traces_get(lua, 1);
    uint32_t index = 1;
    if (!lua_isnoneornil(lua, 3)) {
        const struct bind_trace *box = luaL_checkudata(lua, 3, bind_trace_class.name);
        if (box->trace.index == UINT32_MAX)
            return 0;
        index = box->trace.index + 1;
    }
    int owner_idx = bind_owner_push(lua, 1);
    trace_push_index(lua, owner_idx, traces, index);
    return 1;
}

/* db:candidates(stored): the traces whose index has these low bits */
static int traces_candidates(lua_State *lua)
{
    traces_get(lua, 1);
    uint16_t stored = (uint16_t)bind_check_integer(lua, 2, "stored index", 0, UINT16_MAX);
    bind_candidates_push(lua, bind_owner_push(lua, 1), true, stored);
    return 1;
}

static unsigned depth_of(const struct hs_trace *trace)
{
    return trace->depth < HS_TRACE_DEPTH_MAX ? trace->depth : HS_TRACE_DEPTH_MAX;
}

struct ranked {
    uint64_t weight;
    uint32_t index;
};

/* Heaviest first, then the smallest index. */
static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *one = a, *other = b;
    if (one->weight != other->weight)
        return one->weight > other->weight ? -1 : 1;
    return one->index < other->index ? -1 : one->index > other->index;
}

static bool passes(const struct hs_trace *trace, hs_va from, hs_va to)
{
    for (unsigned i = 0; i < depth_of(trace); i++)
        if (trace->frames[i] >= from && trace->frames[i] <= to)
            return true;
    return false;
}

/* db:top(n[, "count" | "depth" | "index"[, from, to]]) -> indexes of the first n traces, how many there are, captures of
 * all of them; with `from` only of traces with a frame in [from, to] */
static int traces_top(lua_State *lua)
{
    static const char *const orders[] = {"count", "depth", "index", NULL};
    const struct hs_traces *traces = traces_get(lua, 1);
    uint64_t wanted = (uint64_t)bind_check_integer(lua, 2, "number of traces", 0, LUA_MAXINTEGER);
    int order = luaL_checkoption(lua, 3, "count", orders);
    bool all = lua_isnoneornil(lua, 4);
    hs_va from = all ? 0 : (hs_va)bind_check_integer(lua, 4, "address", 0, LUA_MAXINTEGER);
    hs_va to = all ? 0 : (hs_va)bind_check_integer(lua, 5, "address", 0, LUA_MAXINTEGER);
    uint32_t count = hs_traces_info(traces)->count;
    struct ranked *list = lua_newuserdatauv(lua, (count + (size_t)1) * sizeof *list, 0);
    uint64_t captures = 0;
    size_t found = 0;
    struct hs_trace trace;

    for (uint32_t i = 0; i < count; i++) {
        if (hs_traces_get(traces, i + 1, &trace, NULL) != HS_OK || trace.depth == 0 ||
            (!all && !passes(&trace, from, to)))
            continue;
        captures += trace.count;
        list[found++] = (struct ranked){order == 0 ? trace.count : order == 1 ? trace.depth : 0, i + 1};
    }
    qsort(list, found, sizeof *list, compare_ranked);
    if (wanted > found)
        wanted = found;
    lua_createtable(lua, wanted < UINT16_MAX ? (int)wanted : UINT16_MAX, 0);
    for (size_t i = 0; i < wanted; i++) {
        lua_pushinteger(lua, list[i].index);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    lua_pushinteger(lua, (lua_Integer)found);
    lua_pushinteger(lua, (lua_Integer)captures);
    return 3;
}

static int traces_tostring(lua_State *lua)
{
    const struct bind_view *box = luaL_checkudata(lua, 1, bind_traces_class.name);
    if (!box->owner->dump)
        lua_pushliteral(lua, "traces (dump closed)");
    else
        lua_pushfstring(lua, "%I traces", (LUAI_UACINT)hs_traces_info(box->owner->traces)->count);
    return 1;
}

#define MEMBER(name_, type_) BIND_MEMBER(#name_, type_, hs_traces_info, name_)
#define MEMBER_VA(name_, member_) BIND_MEMBER(name_, BIND_U64, hs_traces_info, member_)

static const struct bind_field traces_fields[] = {
    MEMBER_VA("address", va),
    MEMBER_VA("pointer_address", pointer_va),
    BIND_PUSH("source", push_source),
    MEMBER(unproven, BIND_BOOL),
    MEMBER_VA("acquire", acquire_va),
    MEMBER_VA("release", release_va),
    MEMBER_VA("okay", okay_va),
    MEMBER(precommitted, BIND_BOOL),
    MEMBER(dump_in_progress, BIND_BOOL),
    MEMBER_VA("commit_base", commit_va),
    MEMBER_VA("lower_limit", lower_limit_va),
    MEMBER_VA("upper_limit", upper_limit_va),
    MEMBER_VA("next_lower", next_lower_va),
    MEMBER_VA("next_upper", next_upper_va),
    MEMBER(looked_up, BIND_U64),
    MEMBER(added, BIND_U32),
    MEMBER_VA("index_array", index_array_va),
    MEMBER(bucket_count, BIND_U32),
    MEMBER_VA("buckets", buckets_va),
    MEMBER(count, BIND_U32),
    MEMBER(unreadable, BIND_U32),
    MEMBER(index_bits, BIND_UNSIGNED),
    MEMBER(wraps, BIND_BOOL),
    MEMBER(full, BIND_BOOL),
    MEMBER(captures, BIND_U64),
    BIND_END,
};

static const luaL_Reg traces_methods[] = {
    {"candidates", traces_candidates},
    {"top", traces_top},
    {NULL, NULL},
};

static const luaL_Reg traces_metamethods[] = {
    {"__len", traces_len},
    {"__call", traces_call},
    {"__tostring", traces_tostring},
    {NULL, NULL},
};

const struct bind_class bind_traces_class = {
    .name = "heapsift.traces",
    .noun = "trace database",
    .fields = traces_fields,
    .methods = traces_methods,
    .metamethods = traces_metamethods,
    .object = traces_object,
    .item = traces_item,
};

void bind_dump_traces(lua_State *lua)
{
    if (bind_traces(lua, 1))
        bind_view_push_cached(lua, &bind_traces_class, 1, 0);
    else
        lua_pushnil(lua);
}

/* ---- trace ---- */

static const struct bind_trace *trace_get(lua_State *lua, int idx)
{
    return bind_check_box(lua, idx, &bind_trace_class);
}

static const void *trace_object(lua_State *lua, int idx)
{
    return &trace_get(lua, idx)->trace;
}

void bind_trace_push(lua_State *lua, int owner_idx, const struct hs_trace *trace)
{
    owner_idx = lua_absindex(lua, owner_idx);
    struct bind_trace *box = lua_newuserdatauv(lua, sizeof *box, 1);
    box->owner = lua_touserdata(lua, owner_idx);
    box->trace = *trace;
    lua_pushvalue(lua, owner_idx);
    lua_setiuservalue(lua, -2, 1);
    luaL_setmetatable(lua, bind_trace_class.name);
}

static void push_readable(lua_State *lua)
{
    lua_pushboolean(lua, trace_get(lua, 1)->trace.depth > 0);
}

static void push_frames(lua_State *lua)
{
    const struct hs_trace *trace = &trace_get(lua, 1)->trace;
    unsigned depth = depth_of(trace);
    lua_createtable(lua, (int)depth, 0);
    for (unsigned i = 0; i < depth; i++) {
        lua_pushinteger(lua, (lua_Integer)trace->frames[i]);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
}

/* Pushes "module!name+0x12", or the bare address where no module is. */
static void push_frame_text(lua_State *lua, const struct hs_dump *dump, hs_va va, enum hs_symbol_style style,
                            enum hs_name_form form)
{
    struct hs_symbol symbol;
    if (hs_dump_symbol(dump, va, &symbol) == HS_OK) {
        bind_push_symbol(lua, dump, &symbol, style, form);
        return;
    }
    char text[24];
    snprintf(text, sizeof text, "0x%0*llx", bind_va_digits(dump), (unsigned long long)va);
    lua_pushstring(lua, text);
}

static enum hs_symbol_style style_argument(lua_State *lua, int arg)
{
    static const char *const names[] = {"honest", "windbg", NULL};
    if (lua_isnoneornil(lua, arg))
        return bind_symbol_style(lua);
    return luaL_checkoption(lua, arg, NULL, names) == 0 ? HS_SYMBOL_HONEST : HS_SYMBOL_WINDBG;
}

/* trace:symbols([style[, form]]) -> array of texts, one a frame */
static int trace_symbols(lua_State *lua)
{
    const struct bind_trace *box = trace_get(lua, 1);
    enum hs_symbol_style style = style_argument(lua, 2);
    enum hs_name_form form = bind_name_form_argument(lua, 3);
    unsigned depth = depth_of(&box->trace);
    lua_createtable(lua, (int)depth, 0);
    for (unsigned i = 0; i < depth; i++) {
        push_frame_text(lua, box->owner->dump, box->trace.frames[i], style, form);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* trace:caller() -> address, symbol text, frame number; nil if every frame is an allocator's or the system's */
static int trace_caller(lua_State *lua)
{
    const struct bind_trace *box = trace_get(lua, 1);
    const struct hs_dump *dump = box->owner->dump;
    unsigned depth = depth_of(&box->trace);
    bool lists = bind_callers_push(lua);
    int lists_idx = lua_gettop(lua);
    box = trace_get(lua, 1); /* the function may have closed the dump */
    for (unsigned i = 0; i < depth; i++) {
        struct hs_symbol symbol;
        if (lists && hs_dump_symbol(dump, box->trace.frames[i], &symbol) == HS_OK &&
            (bind_callers_has_module(lua, lists_idx, hs_dump_module(dump, symbol.module_idx)->name) ||
             (symbol.near_name && bind_callers_has_allocator(lua, lists_idx, symbol.name))))
            continue;
        lua_pushinteger(lua, (lua_Integer)box->trace.frames[i]);
        push_frame_text(lua, dump, box->trace.frames[i], bind_symbol_style(lua), bind_name_form(lua));
        lua_pushinteger(lua, (lua_Integer)i + 1);
        return 3;
    }
    lua_pushnil(lua);
    return 1;
}

static int trace_tostring(lua_State *lua)
{
    const struct bind_trace *box = luaL_checkudata(lua, 1, bind_trace_class.name);
    char text[64];
    snprintf(text, sizeof text, "trace %x (%u frames)", (unsigned)box->trace.index, depth_of(&box->trace));
    lua_pushstring(lua, text);
    return 1;
}

static int trace_eq(lua_State *lua)
{
    const struct bind_trace *a = luaL_testudata(lua, 1, bind_trace_class.name);
    const struct bind_trace *b = luaL_testudata(lua, 2, bind_trace_class.name);
    lua_pushboolean(lua, a && b && a->owner == b->owner && a->trace.index == b->trace.index);
    return 1;
}

static const struct bind_field trace_fields[] = {
    BIND_MEMBER("index", BIND_U32, hs_trace, index),
    BIND_MEMBER("stored", BIND_U16, hs_trace, stored),
    BIND_MEMBER("address", BIND_U64, hs_trace, va),
    BIND_MEMBER("chain", BIND_U64, hs_trace, chain_va),
    BIND_MEMBER("count", BIND_U32, hs_trace, count),
    BIND_MEMBER("depth", BIND_U16, hs_trace, depth),
    BIND_PUSH("readable", push_readable),
    BIND_PUSH("frames", push_frames),
    BIND_END,
};

static const luaL_Reg trace_methods[] = {
    {"symbols", trace_symbols},
    {"caller", trace_caller},
    {NULL, NULL},
};

static const luaL_Reg trace_metamethods[] = {
    {"__tostring", trace_tostring},
    {"__eq", trace_eq},
    {NULL, NULL},
};

const struct bind_class bind_trace_class = {
    .name = "heapsift.trace",
    .noun = "trace",
    .fields = trace_fields,
    .methods = trace_methods,
    .metamethods = trace_metamethods,
    .object = trace_object,
};
