/* bind_heap.c - heaps and blocks as Lua objects. */
#include "bind/bind_internal.h"

#include <stdio.h>

/* ---- heap ---- */

static const struct hs_heap *heap_get(lua_State *lua, int idx)
{
    const struct bind_view *box = bind_check_box(lua, idx, &bind_heap_class);
    return hs_dump_heap(box->owner->dump, box->idx);
}

static const void *heap_object(lua_State *lua, int idx)
{
    return heap_get(lua, idx);
}

static void push_index(lua_State *lua)
{
    const struct bind_view *box = bind_check_box(lua, 1, &bind_heap_class);
    lua_pushinteger(lua, (lua_Integer)box->idx + 1);
}

static void push_kind(lua_State *lua)
{
    lua_pushstring(lua, hs_heap_kind_name(heap_get(lua, 1)->kind));
}

static void push_reason(lua_State *lua)
{
    const char *reason = heap_get(lua, 1)->reason;
    if (reason[0])
        lua_pushstring(lua, reason);
    else
        lua_pushnil(lua);
}

static void push_contention(lua_State *lua)
{
    const struct hs_heap *heap = heap_get(lua, 1);
    if (heap->has_contention)
        lua_pushinteger(lua, heap->contention_count);
    else
        lua_pushnil(lua);
}

static void push_front_end(lua_State *lua)
{
    enum hs_front_end front_end = heap_get(lua, 1)->front_end;
    lua_pushstring(lua, front_end == HS_FRONT_LOOKASIDE ? "lookaside" : front_end == HS_FRONT_LFH ? "lfh" : "none");
}

static void push_segments(lua_State *lua)
{
    const struct bind_view *box = bind_check_box(lua, 1, &bind_heap_class);
    const struct hs_dump *dump = box->owner->dump;
    size_t count = hs_dump_segment_count(dump, box->idx);
    lua_createtable(lua, count < 64 ? (int)count : 64, 0);
    for (size_t i = 0; i < count; i++) {
        const struct hs_segment *segment = hs_dump_segment(dump, box->idx, i);
        lua_createtable(lua, 0, 8);
        bind_set_integer(lua, "address", segment->va);
        bind_set_integer(lua, "base", segment->base_va);
        bind_set_integer(lua, "reserved", segment->reserved);
        bind_set_integer(lua, "committed", segment->committed);
        bind_set_integer(lua, "first_entry", segment->first_entry_va);
        bind_set_integer(lua, "end_address", segment->end_va);
        bind_set_integer(lua, "uncommitted_count", segment->uncommitted_count);
        bind_set_integer(lua, "uncommitted_size", segment->uncommitted_size);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
}

/* What only a walk can tell: makes sure that it was done. */
static const struct hs_heap_totals *totals(lua_State *lua)
{
    struct bind_view *box = bind_check_box(lua, 1, &bind_heap_class);
    bind_heap_asked(box->owner, box->idx);
    int owner_idx = bind_owner_push(lua, 1);
    const struct hs_blocks *blocks = bind_blocks(lua, owner_idx);
    lua_pop(lua, 1);
    return hs_blocks_totals(blocks, box->idx);
}

static void push_count(lua_State *lua, enum hs_block_state state)
{
    lua_pushinteger(lua, (lua_Integer)totals(lua)->count[state]);
}

static void push_total(lua_State *lua, enum hs_block_state state)
{
    lua_pushinteger(lua, (lua_Integer)totals(lua)->total[state]);
}

static void push_busy_count(lua_State *lua)
{
    push_count(lua, HS_BLOCK_BUSY);
}
static void push_free_count(lua_State *lua)
{
    push_count(lua, HS_BLOCK_FREE);
}
static void push_lookaside_count(lua_State *lua)
{
    push_count(lua, HS_BLOCK_LOOKASIDE);
}
static void push_internal_count(lua_State *lua)
{
    push_count(lua, HS_BLOCK_INTERNAL);
}
static void push_hole_count(lua_State *lua)
{
    push_count(lua, HS_BLOCK_UNCOMMITTED);
}
static void push_busy_total(lua_State *lua)
{
    push_total(lua, HS_BLOCK_BUSY);
}
static void push_free_bytes(lua_State *lua)
{
    push_total(lua, HS_BLOCK_FREE);
}
static void push_lookaside_bytes(lua_State *lua)
{
    push_total(lua, HS_BLOCK_LOOKASIDE);
}
static void push_internal_bytes(lua_State *lua)
{
    push_total(lua, HS_BLOCK_INTERNAL);
}
static void push_hole_bytes(lua_State *lua)
{
    push_total(lua, HS_BLOCK_UNCOMMITTED);
}

static void push_busy_bytes(lua_State *lua)
{
    lua_pushinteger(lua, (lua_Integer)totals(lua)->size[HS_BLOCK_BUSY]);
}

static void push_unread(lua_State *lua)
{
    totals(lua);
    lua_pushinteger(lua, (lua_Integer)heap_get(lua, 1)->unread_size);
}

static int heap_tostring(lua_State *lua)
{
    const struct bind_view *box = luaL_checkudata(lua, 1, bind_heap_class.name);
    if (!box->owner->dump) {
        lua_pushliteral(lua, "heap (dump closed)");
        return 1;
    }
    const struct hs_heap *heap = hs_dump_heap(box->owner->dump, box->idx);
    char text[80];
    snprintf(text, sizeof text, "heap %0*llx (%s)", bind_va_digits(box->owner->dump), (unsigned long long)heap->va,
             hs_heap_kind_name(heap->kind));
    lua_pushstring(lua, text);
    return 1;
}

static const struct bind_field heap_fields[] = {
    BIND_MEMBER("address", BIND_U64, hs_heap, va),
    BIND_PUSH("index", push_index),
    BIND_PUSH("kind", push_kind),
    BIND_PUSH("reason", push_reason),
    BIND_MEMBER("flags", BIND_U32, hs_heap, flags),
    BIND_MEMBER("force_flags", BIND_U32, hs_heap, force_flags),
    BIND_MEMBER("reserved", BIND_U64, hs_heap, reserved),
    BIND_MEMBER("committed", BIND_U64, hs_heap, committed),
    BIND_MEMBER("virtual_size", BIND_U64, hs_heap, virtual_size),
    BIND_MEMBER("segment_count", BIND_U32, hs_heap, segment_count),
    BIND_PUSH("segments", push_segments),
    BIND_MEMBER("uncommitted_ranges", BIND_U32, hs_heap, uncommitted_count),
    BIND_MEMBER("large_count", BIND_U32, hs_heap, large_count),
    BIND_MEMBER("large_committed", BIND_U64, hs_heap, large_committed),
    BIND_MEMBER("free_recorded", BIND_U64, hs_heap, free_recorded),
    BIND_MEMBER("free_list_length", BIND_U32, hs_heap, free_list_length),
    BIND_MEMBER("has_lock", BIND_BOOL, hs_heap, has_lock),
    BIND_PUSH("contention_count", push_contention),
    BIND_PUSH("front_end", push_front_end),
    BIND_PUSH("busy_bytes", push_busy_bytes),
    BIND_PUSH("busy_total", push_busy_total),
    BIND_PUSH("busy_count", push_busy_count),
    BIND_PUSH("free_bytes", push_free_bytes),
    BIND_PUSH("free_count", push_free_count),
    BIND_PUSH("lookaside_bytes", push_lookaside_bytes),
    BIND_PUSH("lookaside_count", push_lookaside_count),
    BIND_PUSH("internal_bytes", push_internal_bytes),
    BIND_PUSH("internal_count", push_internal_count),
    BIND_PUSH("uncommitted_bytes", push_hole_bytes),
    BIND_PUSH("uncommitted_count", push_hole_count),
    BIND_PUSH("unread_size", push_unread),
    BIND_MEMBER("unread_segments", BIND_U32, hs_heap, unread_segments),
    BIND_MEMBER("unread_large", BIND_U32, hs_heap, unread_large),
    BIND_END,
};

static const luaL_Reg heap_methods[] = {
    {"blocks", bind_heap_blocks},
    {NULL, NULL},
};

static const luaL_Reg heap_metamethods[] = {
    {"__tostring", heap_tostring},
    {NULL, NULL},
};

const struct bind_class bind_heap_class = {
    .name = "heapsift.heap",
    .noun = "heap",
    .fields = heap_fields,
    .methods = heap_methods,
    .metamethods = heap_metamethods,
    .object = heap_object,
};

static void element_heap(lua_State *lua, int owner_idx, const struct bind_sequence *sequence, size_t idx)
{
    (void)sequence;
    bind_view_push_cached(lua, &bind_heap_class, owner_idx, idx);
}

static bool place_heap(lua_State *lua, const struct bind_sequence *sequence, int item_idx, size_t *idx_ret)
{
    (void)sequence;
    return bind_view_place(lua, &bind_heap_class, item_idx, idx_ret);
}

int bind_dump_heaps(lua_State *lua)
{
    static const struct bind_sequence_kind kind = {"heaps", element_heap, place_heap};
    bind_sequence_push(lua, 1, &kind, bind_heaps(lua, 1), 0);
    return 1;
}

bool bind_heap_argument(lua_State *lua, int owner_idx, int arg, size_t *idx_ret)
{
    const struct bind_dump *owner = bind_check_dump(lua, owner_idx);
    size_t count = bind_heaps(lua, owner_idx);
    const struct bind_view *view = luaL_testudata(lua, arg, bind_heap_class.name);
    if (view) {
        luaL_argcheck(lua, view->owner == owner, arg, "the heap belongs to another dump");
        *idx_ret = view->idx;
        return true;
    }
    hs_va va = bind_check_va(lua, arg);
    if (va >= 1 && va <= count) {
        *idx_ret = (size_t)va - 1;
        return true;
    }
    return va > count && hs_dump_heap_named(owner->dump, va, idx_ret) == HS_OK;
}

/* dump:heap(address or number from 1) -> heap, or nil */
int bind_dump_heap(lua_State *lua)
{
    size_t idx;
    bind_check_dump(lua, 1);
    if (bind_heap_argument(lua, 1, 2, &idx))
        bind_view_push_cached(lua, &bind_heap_class, 1, idx);
    else
        lua_pushnil(lua);
    return 1;
}

/* ---- block ---- */

static const struct hs_block *block_get(lua_State *lua, int idx)
{
    const struct bind_block *box = bind_check_box(lua, idx, &bind_block_class);
    return &box->block;
}

static const void *block_object(lua_State *lua, int idx)
{
    return block_get(lua, idx);
}

static unsigned block_unit(lua_State *lua)
{
    const struct bind_block *box = bind_check_box(lua, 1, &bind_block_class);
    return 2 * hs_dump_facts(box->owner->dump)->pointer_size;
}

static void push_fill(lua_State *lua)
{
    lua_pushstring(lua, hs_fill_name(block_get(lua, 1)->fill));
}

static void push_state(lua_State *lua)
{
    lua_pushstring(lua, hs_block_state_name(block_get(lua, 1)->state));
}

static void push_heap(lua_State *lua)
{
    int owner_idx = bind_owner_push(lua, 1);
    bind_view_push_cached(lua, &bind_heap_class, owner_idx, block_get(lua, 1)->heap_idx);
}

static void push_segment(lua_State *lua)
{
    uint32_t segment_idx = block_get(lua, 1)->segment_idx;
    if (segment_idx == UINT32_MAX)
        lua_pushnil(lua);
    else
        lua_pushinteger(lua, (lua_Integer)segment_idx + 1);
}

static void push_stored_index(lua_State *lua)
{
    const struct hs_block *block = block_get(lua, 1);
    if (block->has_stored)
        lua_pushinteger(lua, block->stored);
    else
        lua_pushnil(lua);
}

static void push_previous_size(lua_State *lua)
{
    lua_pushinteger(lua, (lua_Integer)block_get(lua, 1)->previous_units * block_unit(lua));
}

static void push_units(lua_State *lua)
{
    lua_pushinteger(lua, (lua_Integer)(block_get(lua, 1)->total / block_unit(lua)));
}

/* The label that a recogniser gave it. */
static void push_type(lua_State *lua)
{
    const struct bind_block *box = bind_check_box(lua, 1, &bind_block_class);
    const struct hs_label *label = hs_block_label(box->owner->blocks, box->block.id);
    if (label)
        lua_pushstring(lua, label->type);
    else
        lua_pushnil(lua);
}

static void element_candidate(lua_State *lua, int owner_idx, const struct bind_sequence *sequence, size_t idx)
{
    const struct hs_traces *traces = sequence->owner->traces;
    struct hs_trace trace = {0};
    trace.stored = (uint16_t)sequence->argument;
    trace.index = hs_traces_candidate(traces, trace.stored, (uint32_t)idx);
    uint32_t index = trace.index;
    if (hs_traces_get(traces, index, &trace, NULL) != HS_OK) { /* known by its index only */
        trace = (struct hs_trace){0};
        trace.index = index;
        trace.stored = (uint16_t)sequence->argument;
    }
    bind_trace_push(lua, owner_idx, &trace);
}

static bool place_candidate(lua_State *lua, const struct bind_sequence *sequence, int item_idx, size_t *idx_ret)
{
    const struct bind_trace *box = luaL_testudata(lua, item_idx, bind_trace_class.name);
    if (!box)
        return false;
    for (size_t i = 0; i < sequence->count; i++) {
        if (hs_traces_candidate(sequence->owner->traces, (uint16_t)sequence->argument, (uint32_t)i) != box->trace.index)
            continue;
        *idx_ret = i;
        return true;
    }
    return false;
}

void bind_candidates_push(lua_State *lua, int owner_idx, bool has_stored, uint16_t stored)
{
    static const struct bind_sequence_kind kind = {"candidates", element_candidate, place_candidate};
    const struct hs_traces *traces = has_stored ? bind_traces(lua, owner_idx) : NULL;
    bind_sequence_push(lua, owner_idx, &kind, traces ? hs_traces_candidate_count(traces, stored) : 0, stored);
}

static void push_candidates(lua_State *lua)
{
    const struct hs_block *block = block_get(lua, 1);
    int owner_idx = bind_owner_push(lua, 1);
    bind_candidates_push(lua, owner_idx, block->has_stored, block->stored);
}

static int block_tostring(lua_State *lua)
{
    const struct bind_block *box = luaL_checkudata(lua, 1, bind_block_class.name);
    char text[96];
    int digits = box->owner->dump ? bind_va_digits(box->owner->dump) : 8;
    snprintf(text, sizeof text, "block %0*llx (%s, %llu bytes)", digits, (unsigned long long)box->block.va,
             hs_block_state_name(box->block.state), (unsigned long long)box->block.size);
    lua_pushstring(lua, text);
    return 1;
}

static int block_eq(lua_State *lua)
{
    const struct bind_block *a = luaL_testudata(lua, 1, bind_block_class.name);
    const struct bind_block *b = luaL_testudata(lua, 2, bind_block_class.name);
    lua_pushboolean(lua, a && b && a->owner == b->owner && a->block.id == b->block.id);
    return 1;
}

static const struct bind_field block_fields[] = {
    BIND_MEMBER("address", BIND_U64, hs_block, va),
    BIND_MEMBER("user", BIND_U64, hs_block, user_va),
    BIND_MEMBER("size", BIND_U64, hs_block, size),
    BIND_MEMBER("total", BIND_U64, hs_block, total),
    BIND_PUSH("units", push_units),
    BIND_PUSH("state", push_state),
    BIND_PUSH("fill", push_fill),
    BIND_MEMBER("flags", BIND_U8, hs_block, flags),
    BIND_PUSH("heap", push_heap),
    BIND_PUSH("segment", push_segment),
    BIND_MEMBER("large", BIND_BOOL, hs_block, large),
    BIND_MEMBER("previous_units", BIND_U16, hs_block, previous_units),
    BIND_PUSH("previous_size", push_previous_size),
    BIND_MEMBER("unused_bytes", BIND_U8, hs_block, unused_bytes),
    BIND_MEMBER("small_tag", BIND_U8, hs_block, small_tag),
    BIND_PUSH("stored_index", push_stored_index),
    BIND_PUSH("candidates", push_candidates),
    BIND_MEMBER("tag", BIND_U16, hs_block, tag),
    BIND_MEMBER("settable", BIND_U64, hs_block, settable),
    BIND_PUSH("type", push_type),
    BIND_END,
};

static const luaL_Reg block_methods[] = {
    {"bytes", bind_block_bytes},
    {"u8", bind_block_u8},
    {"u16", bind_block_u16},
    {"u32", bind_block_u32},
    {"u64", bind_block_u64},
    {"i8", bind_block_i8},
    {"i16", bind_block_i16},
    {"i32", bind_block_i32},
    {"i64", bind_block_i64},
    {"ptr", bind_block_ptr},
    {NULL, NULL},
};

static const luaL_Reg block_metamethods[] = {
    {"__tostring", block_tostring},
    {"__eq", block_eq},
    {NULL, NULL},
};

const struct bind_class bind_block_class = {
    .name = "heapsift.block",
    .noun = "block",
    .fields = block_fields,
    .methods = block_methods,
    .metamethods = block_metamethods,
    .object = block_object,
};

void bind_block_push(lua_State *lua, int owner_idx, const struct hs_block *block)
{
    owner_idx = lua_absindex(lua, owner_idx);
    struct bind_block *box = lua_newuserdatauv(lua, sizeof *box, 1);
    box->owner = lua_touserdata(lua, owner_idx);
    box->block = *block;
    lua_pushvalue(lua, owner_idx);
    lua_setiuservalue(lua, -2, 1);
    luaL_setmetatable(lua, bind_block_class.name);
}

/* dump:block(va) -> the block that holds va, or nil */
int bind_dump_block(lua_State *lua)
{
    struct bind_dump *box = bind_check_dump(lua, 1);
    hs_va va = bind_check_va(lua, 2);
    const struct hs_blocks *blocks = bind_blocks(lua, 1);
    struct hs_block block;
    if (hs_blocks_find(blocks, va, &block) != HS_OK) {
        lua_pushnil(lua);
        return 1;
    }
    bind_heap_asked(box, block.heap_idx);
    bind_block_push(lua, 1, &block);
    return 1;
}
