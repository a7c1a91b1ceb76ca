/* bind_process.c - modules, threads, regions and symbols as Lua objects. */
#include "bind/bind_internal.h"

#include <stdio.h>

#define SYMBOL_ROOM 512u /* most symbol texts fit; longer ones take a second call */

static const struct bind_view *view(lua_State *lua, int idx, const struct bind_class *class)
{
    return bind_check_box(lua, idx, class);
}

/* ---- modules ---- */

static const void *module_object(lua_State *lua, int idx)
{
    const struct bind_view *box = view(lua, idx, &bind_module_class);
    return hs_dump_module(box->owner->dump, box->idx);
}

static void push_module_end(lua_State *lua)
{
    const struct hs_module *module = module_object(lua, 1);
    hs_va end = module->base + module->size;
    lua_pushinteger(lua, (lua_Integer)end);
}

static void push_module_version(lua_State *lua)
{
    const struct hs_module *module = module_object(lua, 1);
    if (module->has_version)
        lua_pushfstring(lua, "%d.%d.%d.%d", module->version[0], module->version[1], module->version[2],
                        module->version[3]);
    else
        lua_pushnil(lua);
}

static void push_text_or_nil(lua_State *lua, const char *text)
{
    if (text[0])
        lua_pushstring(lua, text);
    else
        lua_pushnil(lua);
}

static void push_module_pdb(lua_State *lua)
{
    push_text_or_nil(lua, ((const struct hs_module *)module_object(lua, 1))->pdb_name);
}

static void push_module_pdb_id(lua_State *lua)
{
    push_text_or_nil(lua, ((const struct hs_module *)module_object(lua, 1))->pdb_id);
}

static void push_module_symbols(lua_State *lua)
{
    const struct bind_view *box = view(lua, 1, &bind_module_class);
    lua_pushstring(lua, hs_symbol_source_name(hs_dump_symbol_source(box->owner->dump, box->idx, NULL)));
}

static void push_module_symbol_file(lua_State *lua)
{
    const struct bind_view *box = view(lua, 1, &bind_module_class);
    const char *path;
    hs_dump_symbol_source(box->owner->dump, box->idx, &path);
    push_text_or_nil(lua, path);
}

static void push_section(lua_State *lua, int owner_idx, const struct bind_sequence *sequence, size_t idx)
{
    (void)owner_idx;
    const struct hs_section *section = hs_dump_section(sequence->owner->dump, sequence->argument, idx);
    lua_createtable(lua, 0, 6);
    bind_set_text(lua, "name", section->name);
    bind_set_integer(lua, "address", section->va);
    bind_set_integer(lua, "size", section->size);
    bind_set_bool(lua, "readable", section->readable);
    bind_set_bool(lua, "writable", section->writable);
    bind_set_bool(lua, "executable", section->executable);
}

static void push_export(lua_State *lua, int owner_idx, const struct bind_sequence *sequence, size_t idx)
{
    (void)owner_idx;
    const struct hs_export *export = hs_dump_export(sequence->owner->dump, sequence->argument, idx);
    lua_createtable(lua, 0, 4);
    if (export->name[0])
        bind_set_text(lua, "name", export->name);
    bind_set_integer(lua, "ordinal", export->ordinal);
    if (export->va)
        bind_set_integer(lua, "address", export->va);
    if (export->forwarder[0])
        bind_set_text(lua, "forwarder", export->forwarder);
}

static int module_sections(lua_State *lua)
{
    static const struct bind_sequence_kind kind = {"sections", push_section, NULL};
    const struct bind_view *box = view(lua, 1, &bind_module_class);
    size_t count = hs_dump_section_count(box->owner->dump, box->idx);
    bind_sequence_push(lua, bind_owner_push(lua, 1), &kind, count, box->idx);
    return 1;
}

static int module_exports(lua_State *lua)
{
    static const struct bind_sequence_kind kind = {"exports", push_export, NULL};
    const struct bind_view *box = view(lua, 1, &bind_module_class);
    size_t count = hs_dump_export_count(box->owner->dump, box->idx);
    bind_sequence_push(lua, bind_owner_push(lua, 1), &kind, count, box->idx);
    return 1;
}

static int module_tostring(lua_State *lua)
{
    const struct bind_view *box = luaL_checkudata(lua, 1, bind_module_class.name);
    const struct hs_module *module = box->owner->dump ? hs_dump_module(box->owner->dump, box->idx) : NULL;
    lua_pushfstring(lua, "module %s", module ? module->name : "(dump closed)");
    return 1;
}

static const struct bind_field module_fields[] = {
    BIND_MEMBER("name", BIND_TEXT, hs_module, name),
    BIND_MEMBER("path", BIND_TEXT, hs_module, path),
    BIND_MEMBER("base", BIND_U64, hs_module, base),
    BIND_MEMBER("size", BIND_U64, hs_module, size),
    BIND_PUSH("end_address", push_module_end),
    BIND_MEMBER("timestamp", BIND_U32, hs_module, timestamp),
    BIND_MEMBER("checksum", BIND_U32, hs_module, checksum),
    BIND_PUSH("version", push_module_version),
    BIND_PUSH("pdb", push_module_pdb),
    BIND_PUSH("pdb_id", push_module_pdb_id),
    BIND_PUSH("symbols", push_module_symbols),
    BIND_PUSH("symbol_file", push_module_symbol_file),
    BIND_END,
};

static const luaL_Reg module_methods[] = {
    {"sections", module_sections},
    {"exports", module_exports},
    {"find_symbols", bind_module_find_symbols},
    {NULL, NULL},
};

static const luaL_Reg module_metamethods[] = {
    {"__tostring", module_tostring},
    {NULL, NULL},
};

const struct bind_class bind_module_class = {
    .name = "heapsift.module",
    .noun = "module",
    .fields = module_fields,
    .methods = module_methods,
    .metamethods = module_metamethods,
    .object = module_object,
};

static void element_module(lua_State *lua, int owner_idx, const struct bind_sequence *sequence, size_t idx)
{
    (void)sequence;
    bind_view_push_cached(lua, &bind_module_class, owner_idx, idx);
}

static bool place_module(lua_State *lua, const struct bind_sequence *sequence, int item_idx, size_t *idx_ret)
{
    (void)sequence;
    return bind_view_place(lua, &bind_module_class, item_idx, idx_ret);
}

int bind_dump_modules(lua_State *lua)
{
    static const struct bind_sequence_kind kind = {"modules", element_module, place_module};
    bind_sequence_push(lua, 1, &kind, hs_dump_module_count(bind_check_dump(lua, 1)->dump), 0);
    return 1;
}

/* dump:module(name or address) -> module, or nil */
int bind_dump_module(lua_State *lua)
{
    const struct bind_dump *box = bind_check_dump(lua, 1);
    size_t idx;
    enum hs_status status = lua_type(lua, 2) == LUA_TSTRING
                                ? hs_dump_module_named(box->dump, lua_tostring(lua, 2), &idx)
                                : hs_dump_module_at(box->dump, bind_check_va(lua, 2), &idx);
    if (status != HS_OK)
        lua_pushnil(lua);
    else
        bind_view_push_cached(lua, &bind_module_class, 1, idx);
    return 1;
}

/* ---- threads ---- */

static const void *thread_object(lua_State *lua, int idx)
{
    const struct bind_view *box = view(lua, idx, &bind_thread_class);
    return hs_dump_thread(box->owner->dump, box->idx);
}

/* Pushes a context register, or nil where the thread has no context. */
static void push_context(lua_State *lua, hs_va value)
{
    if (((const struct hs_thread *)thread_object(lua, 1))->has_context)
        lua_pushinteger(lua, (lua_Integer)value);
    else
        lua_pushnil(lua);
}

static void push_ip(lua_State *lua)
{
    push_context(lua, ((const struct hs_thread *)thread_object(lua, 1))->ip);
}

static void push_sp(lua_State *lua)
{
    push_context(lua, ((const struct hs_thread *)thread_object(lua, 1))->sp);
}

static void push_bp(lua_State *lua)
{
    push_context(lua, ((const struct hs_thread *)thread_object(lua, 1))->bp);
}

static void push_registers(lua_State *lua)
{
    const struct bind_view *box = view(lua, 1, &bind_thread_class);
    struct hs_register value;
    lua_newtable(lua);
    for (unsigned i = 0; hs_dump_register(box->owner->dump, box->idx, i, &value) == HS_OK; i++) {
        lua_createtable(lua, 0, 3);
        bind_set_text(lua, "name", value.name);
        bind_set_integer(lua, "value", value.value);
        bind_set_integer(lua, "size", value.size);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
}

static int thread_tostring(lua_State *lua)
{
    const struct bind_view *box = luaL_checkudata(lua, 1, bind_thread_class.name);
    if (!box->owner->dump) {
        lua_pushliteral(lua, "thread (dump closed)");
        return 1;
    }
    char text[32];
    snprintf(text, sizeof text, "thread %x", (unsigned)hs_dump_thread(box->owner->dump, box->idx)->id);
    lua_pushstring(lua, text);
    return 1;
}

static const struct bind_field thread_fields[] = {
    BIND_MEMBER("id", BIND_U32, hs_thread, id),
    BIND_MEMBER("suspend_count", BIND_U32, hs_thread, suspend_count),
    BIND_MEMBER("priority", BIND_U32, hs_thread, priority),
    BIND_MEMBER("priority_class", BIND_U32, hs_thread, priority_class),
    BIND_MEMBER("teb", BIND_U64, hs_thread, teb_va),
    BIND_MEMBER("stack_base", BIND_U64, hs_thread, stack_base),
    BIND_MEMBER("stack_limit", BIND_U64, hs_thread, stack_limit),
    BIND_PUSH("ip", push_ip),
    BIND_PUSH("sp", push_sp),
    BIND_PUSH("bp", push_bp),
    BIND_PUSH("registers", push_registers),
    BIND_END,
};

static const luaL_Reg thread_metamethods[] = {
    {"__tostring", thread_tostring},
    {NULL, NULL},
};

const struct bind_class bind_thread_class = {
    .name = "heapsift.thread",
    .noun = "thread",
    .fields = thread_fields,
    .metamethods = thread_metamethods,
    .object = thread_object,
};

static void element_thread(lua_State *lua, int owner_idx, const struct bind_sequence *sequence, size_t idx)
{
    (void)sequence;
    bind_view_push_cached(lua, &bind_thread_class, owner_idx, idx);
}

static bool place_thread(lua_State *lua, const struct bind_sequence *sequence, int item_idx, size_t *idx_ret)
{
    (void)sequence;
    return bind_view_place(lua, &bind_thread_class, item_idx, idx_ret);
}

int bind_dump_threads(lua_State *lua)
{
    static const struct bind_sequence_kind kind = {"threads", element_thread, place_thread};
    bind_sequence_push(lua, 1, &kind, hs_dump_thread_count(bind_check_dump(lua, 1)->dump), 0);
    return 1;
}

/* ---- regions ---- */

static const void *region_object(lua_State *lua, int idx)
{
    const struct bind_view *box = view(lua, idx, &bind_region_class);
    return hs_dump_region(box->owner->dump, box->idx);
}

/* What the region's bytes are: "heap" ... "other private" is worked out for the process as a whole by info(); here it
 * is what MEMORY_BASIC_INFORMATION says of the type. */
static void push_region_use(lua_State *lua)
{
    const struct hs_region *region = region_object(lua, 1);
    lua_pushstring(lua, region->state == 0x10000    ? "free"
                        : region->type == 0x1000000 ? "image"
                        : region->type == 0x40000   ? "mapped"
                        : region->type == 0x20000   ? "private"
                                                    : "unknown");
}

static int region_tostring(lua_State *lua)
{
    const struct bind_view *box = luaL_checkudata(lua, 1, bind_region_class.name);
    if (!box->owner->dump) {
        lua_pushliteral(lua, "region (dump closed)");
        return 1;
    }
    const struct hs_region *region = hs_dump_region(box->owner->dump, box->idx);
    char text[80];
    snprintf(text, sizeof text, "region %0*llx (%llu bytes)", bind_va_digits(box->owner->dump),
             (unsigned long long)region->va, (unsigned long long)region->size);
    lua_pushstring(lua, text);
    return 1;
}

static const struct bind_field region_fields[] = {
    BIND_MEMBER("address", BIND_U64, hs_region, va),
    BIND_MEMBER("size", BIND_U64, hs_region, size),
    BIND_MEMBER("allocation", BIND_U64, hs_region, allocation_va),
    BIND_MEMBER("state", BIND_U32, hs_region, state),
    BIND_MEMBER("type", BIND_U32, hs_region, type),
    BIND_MEMBER("protect", BIND_U32, hs_region, protect),
    BIND_MEMBER("allocation_protect", BIND_U32, hs_region, allocation_protect),
    BIND_MEMBER("present", BIND_U64, hs_region, present_size),
    BIND_PUSH("use", push_region_use),
    BIND_END,
};

static const luaL_Reg region_metamethods[] = {
    {"__tostring", region_tostring},
    {NULL, NULL},
};

const struct bind_class bind_region_class = {
    .name = "heapsift.region",
    .noun = "region",
    .fields = region_fields,
    .metamethods = region_metamethods,
    .object = region_object,
};

static void element_region(lua_State *lua, int owner_idx, const struct bind_sequence *sequence, size_t idx)
{
    (void)sequence;
    bind_view_push(lua, &bind_region_class, owner_idx, idx);
}

static bool place_region(lua_State *lua, const struct bind_sequence *sequence, int item_idx, size_t *idx_ret)
{
    (void)sequence;
    return bind_view_place(lua, &bind_region_class, item_idx, idx_ret);
}

int bind_dump_regions(lua_State *lua)
{
    static const struct bind_sequence_kind kind = {"regions", element_region, place_region};
    bind_sequence_push(lua, 1, &kind, hs_dump_region_count(bind_check_dump(lua, 1)->dump), 0);
    return 1;
}

/* ---- symbols ---- */

void bind_push_symbol(lua_State *lua, const struct hs_dump *dump, const struct hs_symbol *symbol,
                      enum hs_symbol_style style, enum hs_name_form form)
{
    char room[SYMBOL_ROOM];
    struct hs_symbol shown = *symbol;
    shown.name = bind_name_push(lua, symbol->name, form);
    if (strcmp(shown.name, symbol->name) != 0)
        shown.is_decorated = false;
    int name_idx = lua_gettop(lua);
    size_t length = hs_symbol_text(dump, &shown, style, room, sizeof room);
    if (length < sizeof room) {
        lua_pushlstring(lua, room, length);
    } else {
        luaL_Buffer buffer;
        char *text = luaL_buffinitsize(lua, &buffer, length + 1);
        hs_symbol_text(dump, &shown, style, text, length + 1);
        luaL_pushresultsize(&buffer, length);
    }
    lua_remove(lua, name_idx);
}

/* dump:symbol(va[, "honest" | "windbg"[, "short" | "full" | "raw"]]) -> text, or nil where no module is */
int bind_dump_symbol(lua_State *lua)
{
    static const char *const names[] = {"honest", "windbg", NULL};
    const struct bind_dump *box = bind_check_dump(lua, 1);
    hs_va va = bind_check_va(lua, 2);
    enum hs_symbol_style style = bind_symbol_style(lua);
    if (!lua_isnoneornil(lua, 3))
        style = luaL_checkoption(lua, 3, NULL, names) == 0 ? HS_SYMBOL_HONEST : HS_SYMBOL_WINDBG;
    struct hs_symbol symbol;
    if (hs_dump_symbol(box->dump, va, &symbol) == HS_OK)
        bind_push_symbol(lua, box->dump, &symbol, style, bind_name_form_argument(lua, 4));
    else
        lua_pushnil(lua);
    return 1;
}

/* The name alone, without decoration. */
static void push_plain_name(lua_State *lua, const struct hs_dump *dump, const struct hs_symbol *symbol)
{
    struct hs_symbol bare = *symbol;
    bare.offset = 0;
    bind_push_symbol(lua, dump, &bare, HS_SYMBOL_WINDBG, HS_NAME_SHORT);
    const char *text = lua_tostring(lua, -1);
    const char *bang = strchr(text + strlen(hs_dump_module(dump, symbol->module_idx)->name), '!');
    lua_pushstring(lua, bang ? bang + 1 : text);
    lua_remove(lua, -2);
}

/* dump:symbol_parts(va) -> { module =, name =, decorated =, offset =, rva =, near =,
 * source =, size = }, or nil */
int bind_dump_symbol_parts(lua_State *lua)
{
    const struct bind_dump *box = bind_check_dump(lua, 1);
    struct hs_symbol symbol;
    if (hs_dump_symbol(box->dump, bind_check_va(lua, 2), &symbol) != HS_OK) {
        lua_pushnil(lua);
        return 1;
    }
    lua_createtable(lua, 0, 8);
    bind_set_text(lua, "module", hs_dump_module(box->dump, symbol.module_idx)->name);
    if (symbol.name[0]) {
        push_plain_name(lua, box->dump, &symbol);
        bool decorated = strcmp(lua_tostring(lua, -1), symbol.name) != 0;
        lua_setfield(lua, -2, "name");
        if (decorated)
            bind_set_text(lua, "decorated", symbol.name);
        bind_set_integer(lua, "offset", symbol.offset);
        bind_set_text(lua, "source", hs_symbol_source_name(symbol.source));
        if (symbol.size)
            bind_set_integer(lua, "size", symbol.size);
    }
    bind_set_integer(lua, "rva", symbol.rva);
    bind_set_bool(lua, "near", symbol.name[0] && symbol.near_name);
    return 1;
}

/* dump:resolve("ntdll!RtlAllocateHeap") -> address, or nil, message, code */
int bind_dump_resolve(lua_State *lua)
{
    const struct bind_dump *box = bind_check_dump(lua, 1);
    luaL_checktype(lua, 2, LUA_TSTRING);
    hs_va va;
    if (hs_dump_resolve(box->dump, lua_tostring(lua, 2), &va) != HS_OK)
        return bind_fail_text(lua, "not-found", "no such name in the dump: %s", lua_tostring(lua, 2));
    lua_pushinteger(lua, (lua_Integer)va);
    return 1;
}

/* dump:symbol_path([path]) -> the path; with one, sets it before */
int bind_dump_symbol_path(lua_State *lua)
{
    const struct bind_dump *box = bind_check_dump(lua, 1);
    const char *path = luaL_optstring(lua, 2, NULL);
    struct hs_error err = {0};
    enum hs_status status = path ? hs_dump_set_symbol_path(box->dump, path, &err) : HS_OK;
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    lua_pushstring(lua, hs_dump_symbol_path(box->dump));
    return 1;
}
