/* bind.c - the module table, classes and their field tables, boxes, and the two error doors. */
#include "bind/bind_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define STATE_KEY "heapsift.state"
#define WORD_MAX 40u

/* What one Lua state remembers of its host. */
struct bind_state {
    const struct hs_bind_watch *watch;
    enum hs_symbol_style symbol_style;
    enum hs_name_form name_form;
};

static struct bind_state *state_get(lua_State *lua)
{
    lua_getfield(lua, LUA_REGISTRYINDEX, STATE_KEY);
    struct bind_state *state = lua_touserdata(lua, -1);
    lua_pop(lua, 1);
    return state;
}

void hs_bind_set_watch(struct lua_State *lua, const struct hs_bind_watch *watch)
{
    struct bind_state *state = state_get(lua);
    if (state)
        state->watch = watch;
}

void hs_bind_set_symbol_style(struct lua_State *lua, enum hs_symbol_style style)
{
    struct bind_state *state = state_get(lua);
    if (state)
        state->symbol_style = style;
}

enum hs_symbol_style bind_symbol_style(lua_State *lua)
{
    const struct bind_state *state = state_get(lua);
    return state ? state->symbol_style : HS_SYMBOL_HONEST;
}

void hs_bind_set_name_form(struct lua_State *lua, enum hs_name_form form)
{
    struct bind_state *state = state_get(lua);
    if (state)
        state->name_form = form;
}

enum hs_name_form bind_name_form(lua_State *lua)
{
    const struct bind_state *state = state_get(lua);
    return state ? state->name_form : HS_NAME_SHORT;
}

const struct hs_bind_watch *bind_watch(lua_State *lua)
{
    const struct bind_state *state = state_get(lua);
    return state ? state->watch : NULL;
}

/* ---- errors ---- */

int bind_fail(lua_State *lua, enum hs_status status, const struct hs_error *err)
{
    luaL_pushfail(lua);
    if (status == HS_NOT_FOUND || !err || !err->text[0])
        lua_pushstring(lua, status == HS_NOT_FOUND ? "not found" : hs_status_name(status));
    else
        lua_pushstring(lua, err->text);
    lua_pushstring(lua, hs_status_name(status));
    return 3;
}

int bind_fail_text(lua_State *lua, const char *code, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    luaL_pushfail(lua);
    lua_pushstring(lua, text);
    lua_pushstring(lua, code);
    return 3;
}

void bind_raise(lua_State *lua, enum hs_status status, const struct hs_error *err)
{
    const char *text = status == HS_ERR_CANCELLED ? "interrupted"
                       : err && err->text[0]      ? err->text
                       : status == HS_ERR_MEMORY  ? "not enough memory"
                                                  : hs_status_name(status);
    if (status == HS_ERR_CANCELLED && lua_getfield(lua, LUA_REGISTRYINDEX, HS_BIND_STOP) != LUA_TNIL)
        lua_error(lua);
    luaL_error(lua, "%s", text);
    abort(); /* luaL_error does not return */
}

static const char *type_of(lua_State *lua, int arg)
{
    if (lua_type(lua, arg) == LUA_TNUMBER)
        return "a number that is no integer";
    return luaL_typename(lua, arg);
}

hs_va bind_check_va(lua_State *lua, int arg)
{
    if (!lua_isinteger(lua, arg))
        luaL_argerror(lua, arg, lua_pushfstring(lua, "address (an integer) expected, got %s", type_of(lua, arg)));
    lua_Integer va = lua_tointeger(lua, arg);
    luaL_argcheck(lua, va >= 0, arg, "address out of range: negative");
    return (hs_va)va;
}

lua_Integer bind_check_integer(lua_State *lua, int arg, const char *what, lua_Integer low, lua_Integer high)
{
    if (!lua_isinteger(lua, arg))
        luaL_argerror(lua, arg, lua_pushfstring(lua, "%s (an integer) expected, got %s", what, type_of(lua, arg)));
    lua_Integer value = lua_tointeger(lua, arg);
    if (value < low || value > high)
        luaL_argerror(lua, arg, lua_pushfstring(lua, "%s out of range: %I", what, (LUAI_UACINT)value));
    return value;
}

/* ---- the nearest word ---- */

/* Edits that make one short word of the other. */
static unsigned edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned row[WORD_MAX + 1];
    for (size_t j = 0; j <= b_size; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a_size; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned drop = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < drop ? change : drop;
        }
    }
    return row[b_size];
}

void bind_nearest_init(struct bind_nearest *nearest, const char *word)
{
    nearest->word = word;
    nearest->best = NULL;
    nearest->distance = (unsigned)(strlen(word) / 3 + 2);
}

void bind_nearest_offer(struct bind_nearest *nearest, const char *candidate)
{
    size_t size = strlen(nearest->word), candidate_size = strlen(candidate);
    if (size > WORD_MAX || candidate_size > WORD_MAX)
        return;
    unsigned distance = edit_distance(nearest->word, size, candidate, candidate_size);
    if (strstr(candidate, nearest->word) || (candidate_size > 2 && strstr(nearest->word, candidate)))
        distance = 1;
    if (distance < nearest->distance) {
        nearest->distance = distance;
        nearest->best = candidate;
    }
}

/* ---- values ---- */

void bind_set_integer(lua_State *lua, const char *name, uint64_t value)
{
    lua_pushinteger(lua, (lua_Integer)value);
    lua_setfield(lua, -2, name);
}

void bind_set_text(lua_State *lua, const char *name, const char *value)
{
    lua_pushstring(lua, value);
    lua_setfield(lua, -2, name);
}

void bind_set_bool(lua_State *lua, const char *name, bool value)
{
    lua_pushboolean(lua, value);
    lua_setfield(lua, -2, name);
}

void bind_push_integer(lua_State *lua, const void *bytes, unsigned size, bool is_signed)
{
    uint64_t value = hs_load_uint(bytes, size);
    if (is_signed && size < 8 && value >> (size * 8 - 1) & 1)
        value |= UINT64_MAX << (size * 8);
    lua_pushinteger(lua, (lua_Integer)value);
}

int bind_va_digits(const struct hs_dump *dump)
{
    return hs_dump_facts(dump)->pointer_size == 8 ? 16 : 8;
}

/* ---- classes ---- */

static int field_push(lua_State *lua, const struct bind_class *class, const struct bind_field *field)
{
    if (field->type == BIND_CALL) {
        int top = lua_gettop(lua);
        field->push(lua); /* may leave what it needed below the value */
        lua_copy(lua, -1, top + 1);
        lua_settop(lua, top + 1);
        return 1;
    }
    const char *at = (const char *)class->object(lua, 1) + field->offset;
    switch (field->type) {
    case BIND_BOOL: lua_pushboolean(lua, *(const bool *)at); break;
    case BIND_U8: lua_pushinteger(lua, *(const uint8_t *)at); break;
    case BIND_U16: lua_pushinteger(lua, *(const uint16_t *)(const void *)at); break;
    case BIND_U32: lua_pushinteger(lua, *(const uint32_t *)(const void *)at); break;
    case BIND_U64: lua_pushinteger(lua, (lua_Integer) * (const uint64_t *)(const void *)at); break;
    case BIND_UNSIGNED: lua_pushinteger(lua, *(const unsigned *)(const void *)at); break;
    case BIND_TEXT: lua_pushstring(lua, *(const char *const *)(const void *)at); break;
    case BIND_CALL: break;
    }
    return 1;
}

static int unknown_field(lua_State *lua, const struct bind_class *class)
{
    if (lua_type(lua, 2) != LUA_TSTRING)
        return luaL_error(lua, "%s has no field of type %s", class->noun, luaL_typename(lua, 2));
    const char *key = lua_tostring(lua, 2);
    struct bind_nearest nearest;
    bind_nearest_init(&nearest, key);
    for (const struct bind_field *field = class->fields; field && field->name; field++)
        bind_nearest_offer(&nearest, field->name);
    for (const luaL_Reg *method = class->methods; method && method->name; method++)
        bind_nearest_offer(&nearest, method->name);
    if (nearest.best)
        return luaL_error(lua, "%s has no field '%s' (did you mean '%s'?)", class->noun, key, nearest.best);
    return luaL_error(lua, "%s has no field '%s'", class->noun, key);
}

/* Upvalues: map of name -> method or field number, class. */
static int class_index(lua_State *lua)
{
    const struct bind_class *class = lua_touserdata(lua, lua_upvalueindex(2));
    if (class->item && lua_isinteger(lua, 2)) {
        class->object(lua, 1);
        class->item(lua, lua_tointeger(lua, 2));
        return 1;
    }
    lua_pushvalue(lua, 2);
    switch (lua_rawget(lua, lua_upvalueindex(1))) {
    case LUA_TFUNCTION: return 1;
    case LUA_TNUMBER: {
        const struct bind_field *field = class->fields + lua_tointeger(lua, -1);
        lua_settop(lua, 2);
        return field_push(lua, class, field);
    }
    default: return unknown_field(lua, class);
    }
}

static int class_newindex(lua_State *lua)
{
    const struct bind_class *class = lua_touserdata(lua, lua_upvalueindex(2));
    return luaL_error(lua, "fields of a %s cannot be set", class->noun);
}

/* The field after the one named by the second argument: stateless, so that pairs() needs no memory. */
static int class_next(lua_State *lua)
{
    const struct bind_class *class = lua_touserdata(lua, lua_upvalueindex(2));
    const struct bind_field *field = class->fields;
    lua_settop(lua, 2);
    if (!lua_isnil(lua, 2)) {
        lua_pushvalue(lua, 2);
        if (lua_rawget(lua, lua_upvalueindex(1)) != LUA_TNUMBER)
            return luaL_error(lua, "pairs over a %s: no such field", class->noun);
        field += lua_tointeger(lua, -1) + 1;
        lua_settop(lua, 2);
    }
    for (; field && field->name; field++) {
        lua_pushstring(lua, field->name);
        field_push(lua, class, field);
        if (!lua_isnil(lua, -1))
            return 2;
        lua_settop(lua, 2); /* a fact that is not known */
    }
    lua_pushnil(lua);
    return 1;
}

static int class_pairs(lua_State *lua)
{
    const struct bind_class *class = lua_touserdata(lua, lua_upvalueindex(2));
    luaL_checkudata(lua, 1, class->name);
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_pushvalue(lua, lua_upvalueindex(2));
    lua_pushcclosure(lua, class_next, 2);
    lua_pushvalue(lua, 1);
    lua_pushnil(lua);
    return 3;
}

static void class_closure(lua_State *lua, int map, const struct bind_class *class, const char *name,
                          lua_CFunction function)
{
    lua_pushvalue(lua, map);
    lua_pushlightuserdata(lua, (void *)(uintptr_t) class);
    lua_pushcclosure(lua, function, 2);
    lua_setfield(lua, -2, name);
}

void bind_class_create(lua_State *lua, const struct bind_class *class)
{
    lua_newtable(lua);
    int map = lua_gettop(lua);
    if (class->methods)
        luaL_setfuncs(lua, class->methods, 0);
    for (lua_Integer i = 0; class->fields && class->fields[i].name; i++) {
        lua_pushinteger(lua, i);
        lua_setfield(lua, map, class->fields[i].name);
    }
    luaL_newmetatable(lua, class->name);
    if (class->metamethods)
        luaL_setfuncs(lua, class->metamethods, 0);
    class_closure(lua, map, class, "__index", class_index);
    class_closure(lua, map, class, "__newindex", class_newindex);
    if (class->fields)
        class_closure(lua, map, class, "__pairs", class_pairs);
    lua_pushstring(lua, class->name);
    lua_setfield(lua, -2, "__metatable");
    luaL_getsubtable(lua, LUA_REGISTRYINDEX, HS_BIND_SURFACE);
    lua_pushvalue(lua, map);
    lua_setfield(lua, -2, class->name);
    lua_settop(lua, map - 1);
}

/* ---- boxes ---- */

struct bind_dump *bind_check_dump(lua_State *lua, int idx)
{
    struct bind_dump *box = luaL_checkudata(lua, idx, bind_dump_class.name);
    if (!box->dump)
        luaL_error(lua, "the dump is closed");
    return box;
}

void *bind_check_box(lua_State *lua, int idx, const struct bind_class *class)
{
    void *box = luaL_checkudata(lua, idx, class->name);
    /* Every box of this room starts with a pointer to its owner. */
    struct bind_dump *owner;
    memcpy(&owner, box, sizeof owner);
    if (!owner->dump)
        luaL_error(lua, "%s: its dump is closed", class->noun);
    return box;
}

void bind_view_push(lua_State *lua, const struct bind_class *class, int owner_idx, size_t idx)
{
    owner_idx = lua_absindex(lua, owner_idx);
    struct bind_view *view = lua_newuserdatauv(lua, sizeof *view, 1);
    view->owner = lua_touserdata(lua, owner_idx);
    view->idx = idx;
    lua_pushvalue(lua, owner_idx);
    lua_setiuservalue(lua, -2, 1);
    luaL_setmetatable(lua, class->name);
}

void bind_view_push_cached(lua_State *lua, const struct bind_class *class, int owner_idx, size_t idx)
{
    owner_idx = lua_absindex(lua, owner_idx);
    luaL_checkstack(lua, 6, NULL);
    lua_getiuservalue(lua, owner_idx, 1);
    if (lua_getfield(lua, -1, class->name) != LUA_TTABLE) {
        lua_pop(lua, 1);
        lua_newtable(lua);
        lua_pushvalue(lua, -1);
        lua_setfield(lua, -3, class->name);
    }
    if (lua_rawgeti(lua, -1, (lua_Integer)idx) != LUA_TUSERDATA) {
        lua_pop(lua, 1);
        bind_view_push(lua, class, owner_idx, idx);
        lua_pushvalue(lua, -1);
        lua_rawseti(lua, -3, (lua_Integer)idx);
    }
    lua_replace(lua, -3);
    lua_pop(lua, 1);
}

int bind_owner_push(lua_State *lua, int idx)
{
    lua_getiuservalue(lua, idx, 1);
    return lua_gettop(lua);
}

/* ---- the module ---- */

static enum hs_status open_options(lua_State *lua, int idx, struct hs_open_options *options)
{
    *options = (struct hs_open_options){0};
    if (lua_isnoneornil(lua, idx))
        return HS_OK;
    luaL_checktype(lua, idx, LUA_TTABLE);
    lua_pushnil(lua);
    while (lua_next(lua, idx)) {
        const char *key = lua_type(lua, -2) == LUA_TSTRING ? lua_tostring(lua, -2) : "?";
        if (strcmp(key, "threads") == 0) {
            if (!lua_isinteger(lua, -1) || lua_tointeger(lua, -1) < 0 || lua_tointeger(lua, -1) > 1024)
                luaL_argerror(lua, idx, "threads: an integer from 0 to 1024 expected");
            options->thread_count = (unsigned)lua_tointeger(lua, -1);
        } else if (strcmp(key, "progress") == 0) {
            if (!lua_isfunction(lua, -1))
                luaL_argerror(lua, idx, "progress: a function expected");
        } else if (strcmp(key, "symbols") == 0) {
            if (lua_type(lua, -1) != LUA_TSTRING)
                luaL_argerror(lua, idx, "symbols: a search path (a string) expected");
            options->symbol_path = lua_tostring(lua, -1); /* the table keeps it */
        } else if (strcmp(key, "name") == 0) {
            if (lua_type(lua, -1) != LUA_TSTRING)
                luaL_argerror(lua, idx, "name: a string expected");
            options->name = lua_tostring(lua, -1); /* the table keeps it */
        } else {
            luaL_argerror(lua, idx,
                          lua_pushfstring(lua, "unknown option '%s' (symbols, threads, name, progress)", key));
        }
        lua_pop(lua, 1);
    }
    return HS_OK;
}

/* heapsift.open(path[, options]) -> dump, or nil, message, code */
static int module_open(lua_State *lua)
{
    const char *path = luaL_checkstring(lua, 1);
    struct hs_open_options options;
    open_options(lua, 2, &options);
    if (!options.symbol_path && lua_getfield(lua, LUA_REGISTRYINDEX, HS_BIND_SYMBOL_PATH) == LUA_TSTRING)
        options.symbol_path = lua_tostring(lua, -1);

    struct bind_dump *box = lua_newuserdatauv(lua, sizeof *box, 2);
    memset(box, 0, sizeof *box); /* closed until the engine says otherwise */
    luaL_setmetatable(lua, bind_dump_class.name);
    lua_newtable(lua);
    lua_setiuservalue(lua, -2, 1);
    if (lua_istable(lua, 2)) {
        lua_getfield(lua, 2, "progress");
        lua_setiuservalue(lua, -2, 2);
    }

    struct hs_error err = {0};
    enum hs_status status = hs_dump_open(path, &options, &box->dump, &err);
    if (status != HS_OK) {
        box->dump = NULL;
        return bind_fail(lua, status, &err);
    }
    return 1;
}

static const luaL_Reg module_functions[] = {
    {"open", module_open},
    {NULL, NULL},
};

int luaopen_heapsift(struct lua_State *lua)
{
    static const struct bind_class *const classes[] = {
        &bind_dump_class, &bind_module_class, &bind_thread_class, &bind_region_class,
        &bind_heap_class, &bind_block_class,  &bind_traces_class, &bind_trace_class,
        &bind_set_class,  &bind_groups_class, &bind_column_class,
    };
    luaL_checkversion(lua);
    struct bind_state *state = lua_newuserdatauv(lua, sizeof *state, 0);
    *state = (struct bind_state){.watch = NULL, .symbol_style = HS_SYMBOL_HONEST, .name_form = HS_NAME_SHORT};
    lua_setfield(lua, LUA_REGISTRYINDEX, STATE_KEY);
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        bind_class_create(lua, classes[i]);
    bind_sequence_create(lua);
    bind_filter_create_class(lua);
    bind_values_create_class(lua);
    luaL_newlib(lua, module_functions);
    bind_set_text(lua, "version", hs_version());
    return 1;
}

#define ACCOUNT_MAX (size_t)(1 << 20) /* KiB of one step */

void bind_account(lua_State *lua, size_t bytes)
{
    size_t kib = bytes / 1024;
    /* A step of 0 would be another thing; what is as small as that is outweighed by its box. */
    if (kib > 0)
        lua_gc(lua, LUA_GCSTEP, (int)(kib < ACCOUNT_MAX ? kib : ACCOUNT_MAX));
}
