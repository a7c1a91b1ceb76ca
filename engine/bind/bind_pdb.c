/* bind_pdb.c - symbols and types of a module's PDB as plain tables, for plugins/lib and the scripts on top. */
#include "bind/bind_internal.h"

#include "dump/dump.h"

#include <stdio.h>

static const char *const kind_names[] = {"unknown", "base", "pointer",  "array",    "struct",
                                         "union",   "enum", "function", "bitfield", "vtable"};
static const char *const encoding_names[] = {"void", "signed", "unsigned", "float", "bool", "character"};
static const char *const member_names[] = {"field",  "base",       "virtual_base", "vtable",
                                           "static", "enumerator", "type",         "method"};

/* The PDB of the module that argument 2 names (a module, a name or an address); NULL if it has none. */
static struct hs_pdb *check_pdb(lua_State *lua)
{
    const struct bind_dump *box = bind_check_dump(lua, 1);
    size_t idx;
    enum hs_status status = HS_OK;
    if (lua_type(lua, 2) == LUA_TUSERDATA) {
        const struct bind_view *view = bind_check_box(lua, 2, &bind_module_class);
        luaL_argcheck(lua, view->owner == box, 2, "a module of another dump");
        idx = view->idx;
    } else if (lua_type(lua, 2) == LUA_TSTRING) {
        status = hs_dump_module_named(box->dump, lua_tostring(lua, 2), &idx);
    } else {
        status = hs_dump_module_at(box->dump, bind_check_va(lua, 2), &idx);
    }
    return status == HS_OK ? hs_process_pdb(&box->dump->process, idx) : NULL;
}

static void push_member(lua_State *lua, const struct hs_member *member)
{
    lua_createtable(lua, 0, 6);
    bind_set_text(lua, "kind", member_names[member->kind]);
    bind_set_text(lua, "name", member->name);
    if (member->kind == HS_MEMBER_ENUMERATOR) {
        lua_pushinteger(lua, member->value);
        lua_setfield(lua, -2, "value");
        return;
    }
    bind_set_integer(lua, "type", member->type);
    if (member->kind == HS_MEMBER_FIELD || member->kind == HS_MEMBER_BASE || member->kind == HS_MEMBER_VIRTUAL_BASE)
        bind_set_integer(lua, "offset", member->offset);
    if (member->bit_width) {
        bind_set_integer(lua, "bit_position", member->bit_position);
        bind_set_integer(lua, "bit_width", member->bit_width);
    }
}

static void set_members(lua_State *lua, struct hs_pdb *pdb, const struct hs_type *type)
{
    struct hs_member_cursor cursor = {0};
    struct hs_member member;
    lua_Integer count = 0;
    lua_newtable(lua);
    while (hs_pdb_next_member(pdb, type, &cursor, &member)) {
        push_member(lua, &member);
        lua_rawseti(lua, -2, ++count);
    }
    lua_setfield(lua, -2, "members");
}

static void set_flag(lua_State *lua, const char *name, bool value)
{
    if (value)
        bind_set_bool(lua, name, true);
}

static void push_type(lua_State *lua, struct hs_pdb *pdb, const struct hs_type *type)
{
    bool has_members = type->kind == HS_TYPE_STRUCT || type->kind == HS_TYPE_UNION || type->kind == HS_TYPE_ENUM;
    lua_createtable(lua, 0, 10);
    bind_set_integer(lua, "id", type->id);
    bind_set_text(lua, "kind", kind_names[type->kind]);
    bind_set_text(lua, "name", type->name);
    bind_set_integer(lua, "size", type->size);
    if (type->kind == HS_TYPE_BASE)
        bind_set_text(lua, "encoding", encoding_names[type->encoding]);
    if (type->kind != HS_TYPE_BASE && type->kind != HS_TYPE_STRUCT && type->kind != HS_TYPE_UNION)
        bind_set_integer(lua, "target", type->target);
    if (type->kind == HS_TYPE_ARRAY)
        bind_set_integer(lua, "count", type->count);
    set_flag(lua, "is_class", type->is_class);
    set_flag(lua, "is_reference", type->is_reference);
    set_flag(lua, "is_const", type->is_const);
    set_flag(lua, "is_volatile", type->is_volatile);
    set_flag(lua, "is_forward", type->is_forward);
    if (has_members)
        set_members(lua, pdb, type);
}

/* dump:pdb_type(module, name or number) -> type, or nil */
int bind_dump_pdb_type(lua_State *lua)
{
    struct hs_pdb *pdb = check_pdb(lua);
    struct hs_type type;
    bool found;
    if (lua_type(lua, 3) == LUA_TSTRING) {
        found = pdb && hs_pdb_type_named(pdb, lua_tostring(lua, 3), &type);
    } else {
        lua_Integer id = bind_check_integer(lua, 3, "the number of a type", 0, UINT32_MAX);
        found = pdb && hs_pdb_type(pdb, (uint32_t)id, &type);
    }
    if (found)
        push_type(lua, pdb, &type);
    else
        lua_pushnil(lua);
    return 1;
}

/* dump:pdb_types(module, pattern) -> { { id =, name =, kind =, size = }, ... } */
int bind_dump_pdb_types(lua_State *lua)
{
    struct hs_pdb *pdb = check_pdb(lua);
    size_t size;
    const char *pattern = luaL_checklstring(lua, 3, &size);
    struct hs_type_cursor cursor = {0};
    struct hs_type type;
    lua_Integer count = 0;
    lua_newtable(lua);
    while (pdb && hs_pdb_next_type(pdb, &cursor, &type)) {
        if (!hs_text_matches(type.name, pattern, size))
            continue;
        lua_createtable(lua, 0, 4);
        bind_set_integer(lua, "id", type.id);
        bind_set_text(lua, "name", type.name);
        bind_set_text(lua, "kind", kind_names[type.kind]);
        bind_set_integer(lua, "size", type.size);
        lua_rawseti(lua, -2, ++count);
    }
    return 1;
}

/* ---- symbols ---- */

#define NAME_ROOM 1024u /* longer names are matched and given by their first bytes */

static void push_found(lua_State *lua, const struct hs_dump *dump, const struct hs_symbol *symbol, const char *plain)
{
    lua_createtable(lua, 0, 5);
    bind_set_text(lua, "name", plain);
    if (symbol->is_decorated && strcmp(plain, symbol->name) != 0)
        bind_set_text(lua, "decorated", symbol->name);
    bind_set_integer(lua, "address", hs_dump_module(dump, symbol->module_idx)->base + symbol->rva);
    if (symbol->size)
        bind_set_integer(lua, "size", symbol->size);
    bind_set_text(lua, "source", hs_symbol_source_name(symbol->source));
    bind_set_bool(lua, "public", symbol->is_decorated);
}

/* module:find_symbols(pattern) -> { { name =, address =, source =, public =, decorated =, size = }, ... } */
int bind_module_find_symbols(lua_State *lua)
{
    const struct bind_view *box = bind_check_box(lua, 1, &bind_module_class);
    const struct hs_dump *dump = box->owner->dump;
    bool is_x86 = hs_dump_facts(dump)->arch == HS_ARCH_X86;
    size_t pattern_size;
    const char *pattern = luaL_checklstring(lua, 2, &pattern_size);
    struct hs_symbol_cursor cursor = {{0}};
    struct hs_symbol symbol;
    lua_Integer count = 0;
    lua_newtable(lua);
    while (hs_dump_next_symbol(dump, box->idx, &cursor, &symbol) == HS_OK) {
        char name[NAME_ROOM];
        const char *plain = symbol.name;
        size_t size = strlen(plain);
        if (symbol.is_decorated)
            size = hs_symbol_plain(plain, size, is_x86, &plain);
        if (size == 0) {
            size = (size_t)snprintf(name, sizeof name, "Ordinal%u", (unsigned)symbol.ordinal);
        } else {
            size = size < sizeof name ? size : sizeof name - 1;
            memcpy(name, plain, size);
        }
        name[size] = 0;
        if (!hs_text_matches(name, pattern, pattern_size))
            continue;
        push_found(lua, dump, &symbol, name);
        lua_rawseti(lua, -2, ++count);
    }
    return 1;
}
