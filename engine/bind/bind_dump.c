/* bind_dump.c - the dump as a Lua object: the owner box, its facts, and what is built when first asked for. */
#include "bind/bind_internal.h"

#include <stdlib.h>

/* ---- built when first asked for ---- */

size_t bind_heaps(lua_State *lua, int owner_idx)
{
    struct bind_dump *box = bind_check_dump(lua, owner_idx);
    if (!box->heaps_known) {
        struct hs_error err = {0};
        size_t count = 0;
        enum hs_status status = hs_dump_heaps(box->dump, &count, &err);
        if (status != HS_OK)
            bind_raise(lua, status, &err);
        box->heap_asked = calloc(count ? count : 1, 1);
        box->heap_count = count;
        box->heaps_known = true;
    }
    return box->heap_count;
}

static enum hs_status work_blocks(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct bind_dump *box = arguments;
    return hs_dump_blocks(box->dump, job, &box->blocks, err);
}

const struct hs_blocks *bind_blocks(lua_State *lua, int owner_idx)
{
    struct bind_dump *box = bind_check_dump(lua, owner_idx);
    if (!box->blocks) {
        bind_heaps(lua, owner_idx);
        struct hs_error err = {0};
        enum hs_status status = bind_run(lua, owner_idx, "walking heaps", work_blocks, box, &err);
        if (status != HS_OK)
            bind_raise(lua, status, &err);
    }
    return box->blocks;
}

static enum hs_status work_traces(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct bind_dump *box = arguments;
    return hs_dump_traces(box->dump, job, &box->traces, err);
}

const struct hs_traces *bind_traces(lua_State *lua, int owner_idx)
{
    struct bind_dump *box = bind_check_dump(lua, owner_idx);
    if (!box->traces_known) {
        struct hs_error err = {0};
        enum hs_status status = bind_run(lua, owner_idx, "reading traces", work_traces, box, &err);
        if (status != HS_OK)
            bind_raise(lua, status, &err);
        box->traces_known = true;
    }
    return box->traces;
}

void bind_heap_asked(struct bind_dump *owner, size_t heap_idx)
{
    if (heap_idx == SIZE_MAX)
        owner->heap_list_asked = true;
    if (heap_idx == SIZE_MAX || !owner->heap_asked)
        owner->all_heaps_asked = true;
    else if (heap_idx < owner->heap_count)
        owner->heap_asked[heap_idx] = 1;
}

/* ---- closing ---- */

static bool incomplete(const struct bind_dump *box)
{
    if (box->traces && hs_traces_info(box->traces)->unreadable > 0)
        return true;
    if (box->heap_list_asked && hs_dump_heap_list(box->dump) != HS_HEAP_LIST_WHOLE)
        return true;
    if (!box->blocks)
        return false;
    for (size_t i = 0; i < box->heap_count; i++) {
        const struct hs_heap *heap = hs_dump_heap(box->dump, i);
        bool asked = box->all_heaps_asked || (box->heap_asked && box->heap_asked[i]);
        if (heap && asked &&
            (heap->unread_size > 0 || heap->unread_segments > 0 || heap->unread_large > 0 || heap->reason[0]))
            return true;
    }
    return false;
}

bool hs_bind_incomplete(struct lua_State *lua, int idx)
{
    const struct bind_dump *box = luaL_testudata(lua, idx, bind_dump_class.name);
    if (!box)
        return false;
    return box->dump ? incomplete(box) : box->incomplete;
}

/* close, __close and __gc are one function: closing twice is allowed. */
static int dump_close(lua_State *lua)
{
    struct bind_dump *box = luaL_checkudata(lua, 1, bind_dump_class.name);
    if (box->dump) {
        box->incomplete = incomplete(box);
        hs_dump_close(box->dump);
        free(box->heap_asked);
        box->dump = NULL;
        box->blocks = NULL;
        box->traces = NULL;
        box->heap_asked = NULL;
    }
    return 0;
}

static int dump_tostring(lua_State *lua)
{
    const struct bind_dump *box = luaL_checkudata(lua, 1, bind_dump_class.name);
    if (!box->dump) {
        lua_pushliteral(lua, "dump (closed)");
        return 1;
    }
    const struct hs_facts *facts = hs_dump_facts(box->dump);
    lua_pushfstring(lua, "dump %s (%s, Windows %s)", hs_dump_path(box->dump), hs_arch_name(facts->arch),
                    facts->windows);
    return 1;
}

/* ---- facts ---- */

static const void *dump_object(lua_State *lua, int idx)
{
    return hs_dump_facts(bind_check_dump(lua, idx)->dump);
}

static void push_path(lua_State *lua)
{
    lua_pushstring(lua, hs_dump_path(bind_check_dump(lua, 1)->dump));
}

static void push_arch(lua_State *lua)
{
    lua_pushstring(lua, hs_arch_name(hs_dump_facts(bind_check_dump(lua, 1)->dump)->arch));
}

static void push_global_flag(lua_State *lua)
{
    const struct hs_facts *facts = hs_dump_facts(bind_check_dump(lua, 1)->dump);
    if (facts->has_global_flag)
        lua_pushinteger(lua, facts->global_flag);
    else
        lua_pushnil(lua);
}

static void push_has_traces(lua_State *lua)
{
    lua_pushboolean(lua, bind_traces(lua, 1) != NULL);
}

static void push_heap_list(lua_State *lua)
{
    bind_heaps(lua, 1);
    struct bind_dump *box = bind_check_dump(lua, 1);
    box->heap_list_asked = true;
    lua_pushstring(lua, hs_heap_list_name(hs_dump_heap_list(box->dump)));
}

static void push_damaged(lua_State *lua)
{
    const struct bind_dump *box = bind_check_dump(lua, 1);
    lua_pushboolean(lua, hs_dump_facts(box->dump)->cut || hs_dump_note_count(box->dump) > 0);
}

static int dump_notes(lua_State *lua)
{
    const struct bind_dump *box = bind_check_dump(lua, 1);
    size_t count = hs_dump_note_count(box->dump);
    lua_createtable(lua, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushstring(lua, hs_dump_note(box->dump, i));
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const struct bind_field dump_fields[] = {
    BIND_PUSH("path", push_path),
    BIND_PUSH("arch", push_arch),
    BIND_MEMBER("pointer_size", BIND_UNSIGNED, hs_facts, pointer_size),
    BIND_MEMBER("windows", BIND_TEXT, hs_facts, windows),
    BIND_MEMBER("service_pack", BIND_TEXT, hs_facts, service_pack),
    BIND_PUSH("global_flag", push_global_flag),
    BIND_PUSH("has_traces", push_has_traces),
    BIND_PUSH("traces", bind_dump_traces),
    BIND_PUSH("damaged", push_damaged),
    BIND_PUSH("heap_list", push_heap_list),
    BIND_END,
};

static const luaL_Reg dump_methods[] = {
    {"close", dump_close},
    {"info", bind_dump_info},
    {"notes", dump_notes},
    {"read", bind_dump_read},
    {"u8", bind_dump_u8},
    {"u16", bind_dump_u16},
    {"u32", bind_dump_u32},
    {"u64", bind_dump_u64},
    {"i8", bind_dump_i8},
    {"i16", bind_dump_i16},
    {"i32", bind_dump_i32},
    {"i64", bind_dump_i64},
    {"ptr", bind_dump_ptr},
    {"cstring", bind_dump_cstring},
    {"wstring", bind_dump_wstring},
    {"find", bind_dump_find},
    {"modules", bind_dump_modules},
    {"module", bind_dump_module},
    {"threads", bind_dump_threads},
    {"regions", bind_dump_regions},
    {"symbol", bind_dump_symbol},
    {"symbol_parts", bind_dump_symbol_parts},
    {"resolve", bind_dump_resolve},
    {"symbol_path", bind_dump_symbol_path},
    {"pdb_type", bind_dump_pdb_type},
    {"pdb_types", bind_dump_pdb_types},

    {"eval", bind_dump_eval},
    {"command", bind_dump_command},
    {"heaps", bind_dump_heaps},
    {"heap", bind_dump_heap},
    {"block", bind_dump_block},
    {"blocks", bind_dump_blocks},
    {"referrers", bind_dump_referrers},
    {NULL, NULL},
};

static const luaL_Reg dump_metamethods[] = {
    {"__gc", dump_close},
    {"__close", dump_close},
    {"__tostring", dump_tostring},
    {NULL, NULL},
};

const struct bind_class bind_dump_class = {
    .name = "heapsift.dump",
    .noun = "dump",
    .fields = dump_fields,
    .methods = dump_methods,
    .metamethods = dump_metamethods,
    .object = dump_object,
};
