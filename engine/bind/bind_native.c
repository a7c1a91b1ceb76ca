/* bind_native.c - shared libraries, their types and functions, and calls from Lua. The declarations are read by
 * plugins/lib/native; this is what it stands on. */
#include "bind/bind_native.h"

#include <stdarg.h>
#include <stdlib.h>

#define CALLS_KEY "heapsift.native calls"
#define SCRATCH_SIZE 512 /* bytes of arguments that need no memory of their own */

_Noreturn void bind_native_raise(lua_State *lua, const char *format, ...)
{
    va_list arguments;
    luaL_where(lua, 1);
    va_start(arguments, format);
    lua_pushvfstring(lua, format, arguments);
    va_end(arguments);
    lua_concat(lua, 2);
    lua_error(lua);
    abort(); /* lua_error does not return */
}

/* ---- calls in progress ---- */

struct bind_calls *bind_calls_of(lua_State *lua)
{
    if (lua_getfield(lua, LUA_REGISTRYINDEX, CALLS_KEY) != LUA_TUSERDATA) {
        lua_pop(lua, 1);
        struct bind_calls *made = lua_newuserdatauv(lua, sizeof *made, 0);
        memset(made, 0, sizeof *made);
        lua_pushboolean(lua, false); /* the place for an error: later it is only written over, which needs no memory */
        lua_rawsetp(lua, LUA_REGISTRYINDEX, made);
        lua_pushvalue(lua, -1);
        lua_setfield(lua, LUA_REGISTRYINDEX, CALLS_KEY);
    }
    struct bind_calls *calls = lua_touserdata(lua, -1);
    lua_pop(lua, 1);
    return calls;
}

void bind_frame_begin(lua_State *lua, struct bind_frame *frame)
{
    struct bind_calls *calls = bind_calls_of(lua);
    luaL_checkstack(lua, LUA_MINSTACK, NULL); /* for callbacks */
    *frame = (struct bind_frame){calls, lua, calls->frame, false};
    calls->frame = frame;
}

void bind_frame_end(struct bind_frame *frame)
{
    frame->calls->frame = frame->outer;
}

void bind_frame_raise(lua_State *lua, const struct bind_frame *frame)
{
    struct bind_calls *calls = frame->calls;
    if (frame->failed) {
        lua_rawgetp(lua, LUA_REGISTRYINDEX, calls);
        lua_pushboolean(lua, false);
        lua_rawsetp(lua, LUA_REGISTRYINDEX, calls);
        lua_error(lua);
    }
    if (atomic_exchange(&calls->other_thread, false))
        luaL_error(lua, "a callback was called from a thread of its own: Lua cannot run there, so it gave 0");
    if (atomic_exchange(&calls->dead, false))
        luaL_error(lua,
                   "a callback was called after it was freed: it gave 0 (keep the callback while it may be called)");
}

/* ---- libraries ---- */

struct bind_library *bind_check_library(lua_State *lua, int idx)
{
    struct bind_library *box = luaL_checkudata(lua, idx, BIND_LIBRARY);
    if (!box->library)
        luaL_error(lua, "%s is closed", box->name);
    return box;
}

/* core.native_open(path, name, describe) -> library, or nil, message, code */
static int native_open(lua_State *lua)
{
    struct hs_error err = {0};
    const char *path = luaL_checkstring(lua, 1);
    luaL_checktype(lua, 3, LUA_TFUNCTION);
    struct bind_library *box = lua_newuserdatauv(lua, sizeof *box, 3);
    *box = (struct bind_library){.dead_end = &box->dead};
    hs_arena_init(&box->arena);
    luaL_setmetatable(lua, BIND_LIBRARY);
    lua_newtable(lua);
    lua_setiuservalue(lua, -2, 1);
    lua_newtable(lua);
    lua_setiuservalue(lua, -2, 2);
    lua_pushvalue(lua, 3);
    lua_setiuservalue(lua, -2, 3);
    box->name = hs_arena_string(&box->arena, luaL_checkstring(lua, 2));
    if (!box->name)
        bind_raise(lua, HS_ERR_MEMORY, NULL);
    struct bind_frame frame;
    bind_frame_begin(lua, &frame);
    enum hs_status status = hs_library_open(path, &box->library, &err);
    bind_frame_end(&frame);
    bind_frame_raise(lua, &frame);
    return status == HS_OK ? 1 : bind_fail(lua, status, &err);
}

static void library_close(lua_State *lua, struct bind_library *box)
{
    bind_callbacks_close(lua, box);
    hs_library_close(box->library);
    box->library = NULL;
}

/* core.native_close(library) */
static int native_close(lua_State *lua)
{
    struct bind_library *box = luaL_checkudata(lua, 1, BIND_LIBRARY);
    if (box->running)
        return luaL_error(lua, "%s cannot be closed while one of its functions runs", box->name);
    struct bind_frame frame;
    bind_frame_begin(lua, &frame);
    library_close(lua, box);
    bind_frame_end(&frame);
    bind_frame_raise(lua, &frame);
    return 0;
}

static int library_gc(lua_State *lua)
{
    struct bind_library *box = luaL_checkudata(lua, 1, BIND_LIBRARY);
    library_close(lua, box);
    hs_arena_deinit(&box->arena);
    return 0;
}

/* core.native_symbol(library, name) -> whether the library has it */
static int native_symbol(lua_State *lua)
{
    struct bind_library *box = bind_check_library(lua, 1);
    lua_pushboolean(lua, hs_library_symbol(box->library, luaL_checkstring(lua, 2)) != NULL);
    return 1;
}

/* ---- types ---- */

static const char *const kinds[] = {"void",  "bool",   "int",   "enum",     "float", "pointer",
                                    "array", "struct", "union", "function", NULL};

static enum hs_native_kind kind_of(lua_State *lua, int idx, struct hs_native_type *type)
{
    static const enum hs_native_kind meant[] = {
        HS_NATIVE_VOID,    HS_NATIVE_BOOL,  HS_NATIVE_INTEGER, HS_NATIVE_INTEGER, HS_NATIVE_FLOAT,
        HS_NATIVE_POINTER, HS_NATIVE_ARRAY, HS_NATIVE_RECORD,  HS_NATIVE_RECORD,  HS_NATIVE_FUNCTION};
    lua_getfield(lua, idx, "kind");
    int number = luaL_checkoption(lua, -1, NULL, kinds);
    lua_pop(lua, 1);
    type->is_union = strcmp(kinds[number], "union") == 0;
    return meant[number];
}

static uint64_t field_integer(lua_State *lua, int idx, const char *name, uint64_t otherwise)
{
    lua_getfield(lua, idx, name);
    uint64_t value = lua_isinteger(lua, -1) ? (uint64_t)lua_tointeger(lua, -1) : otherwise;
    lua_pop(lua, 1);
    return value;
}

static bool field_true(lua_State *lua, int idx, const char *name)
{
    lua_getfield(lua, idx, name);
    bool value = lua_toboolean(lua, -1);
    lua_pop(lua, 1);
    return value;
}

static void *keep(lua_State *lua, int library_idx, uint64_t count, size_t size)
{
    struct bind_library *box = lua_touserdata(lua, library_idx);
    void *memory = hs_arena_alloc(&box->arena, count ? count : 1, size);
    if (!memory)
        bind_raise(lua, HS_ERR_MEMORY, NULL);
    return memory;
}

static const char *keep_text(lua_State *lua, int library_idx, const char *text)
{
    struct bind_library *box = lua_touserdata(lua, library_idx);
    const char *kept = hs_arena_string(&box->arena, text);
    if (!kept)
        bind_raise(lua, HS_ERR_MEMORY, NULL);
    return kept;
}

/* The type in field `name` of the table at `idx`. */
static struct hs_native_type *field_type(lua_State *lua, int library_idx, int idx, const char *name)
{
    lua_getfield(lua, idx, name);
    struct hs_native_type *type = bind_native_type(lua, library_idx, lua_gettop(lua));
    lua_pop(lua, 1);
    return type;
}

/* Members of the record, or parameters of the function, that the table at `idx` lists in its field `name`. */
static void read_members(lua_State *lua, int library_idx, int idx, const char *name, struct hs_native_type *type)
{
    if (lua_getfield(lua, idx, name) != LUA_TTABLE) {
        lua_pop(lua, 1);
        return;
    }
    int list = lua_gettop(lua);
    size_t count = (size_t)luaL_len(lua, list);
    type->members = keep(lua, library_idx, count, sizeof *type->members);
    type->member_count = count;
    for (size_t i = 0; i < count; i++) {
        struct hs_native_member *member = &type->members[i];
        lua_rawgeti(lua, list, (lua_Integer)i + 1);
        int at = lua_gettop(lua);
        member->type = field_type(lua, library_idx, at, "type");
        lua_getfield(lua, at, "name");
        member->name = lua_isstring(lua, -1) ? keep_text(lua, library_idx, lua_tostring(lua, -1)) : NULL;
        member->offset = field_integer(lua, at, "offset", 0);
        member->bit = (unsigned)field_integer(lua, at, "bit", 0);
        member->width = (unsigned)field_integer(lua, at, "width", 0);
        if (field_integer(lua, at, "width", 1) == 0)
            member->width = 64, member->name = NULL; /* `int : 0` is a bit field too, though of nothing */
        lua_settop(lua, list);
    }
    lua_pop(lua, 1);
}

static void fill_type(lua_State *lua, int library_idx, int idx, struct hs_native_type *type)
{
    type->size = field_integer(lua, idx, "size", 0);
    type->align = field_integer(lua, idx, "align", 1);
    type->is_signed = field_true(lua, idx, "signed");
    switch (type->kind) {
    case HS_NATIVE_INTEGER: type->is_text = type->size == 1 && field_true(lua, idx, "text"); break;
    case HS_NATIVE_POINTER: type->is_const = field_true(lua, idx, "const_to"); break;
    case HS_NATIVE_ARRAY:
        type->count = field_integer(lua, idx, "count", HS_NATIVE_FLEXIBLE);
        type->of = field_type(lua, library_idx, idx, "of");
        break;
    case HS_NATIVE_RECORD:
        lua_getfield(lua, idx, "complete");
        type->is_known = !lua_isboolean(lua, -1) || lua_toboolean(lua, -1);
        lua_pop(lua, 1);
        read_members(lua, library_idx, idx, "members", type);
        break;
    case HS_NATIVE_FUNCTION:
        type->varargs = field_true(lua, idx, "varargs");
        type->pure = field_true(lua, idx, "pure");
        type->of = field_type(lua, library_idx, idx, "returns");
        read_members(lua, library_idx, idx, "parameters", type);
        break;
    case HS_NATIVE_VOID:
    case HS_NATIVE_BOOL:
    case HS_NATIVE_FLOAT: break;
    }
}

struct hs_native_type *bind_native_type(lua_State *lua, int library_idx, int idx)
{
    luaL_checkstack(lua, 12, "types inside types, too deep");
    luaL_checktype(lua, idx, LUA_TTABLE);
    lua_getiuservalue(lua, library_idx, 1);
    int cache = lua_gettop(lua);
    lua_pushvalue(lua, idx);
    bool found = lua_rawget(lua, cache) == LUA_TLIGHTUSERDATA;
    struct hs_native_type *type = found ? lua_touserdata(lua, -1) : NULL;
    lua_settop(lua, cache);
    /* What was only declared may be defined by now. */
    if (found && !(type->kind == HS_NATIVE_RECORD && !type->is_known && field_true(lua, idx, "complete"))) {
        lua_settop(lua, cache - 1);
        return type;
    }
    if (!found) {
        type = keep(lua, library_idx, 1, sizeof *type);
        lua_getiuservalue(lua, library_idx, 3);
        lua_pushvalue(lua, idx);
        lua_call(lua, 1, 1);
        type->name = keep_text(lua, library_idx, luaL_tolstring(lua, -1, NULL));
        type->kind = kind_of(lua, idx, type);
        lua_pushvalue(lua, idx);
        lua_pushlightuserdata(lua, type);
        lua_rawset(lua, cache);
        lua_getiuservalue(lua, library_idx, 2);
        lua_pushvalue(lua, idx);
        lua_rawsetp(lua, -2, type);
    }
    lua_settop(lua, cache - 1);
    fill_type(lua, library_idx, idx, type);
    return type;
}

struct hs_native_type *bind_native_target(lua_State *lua, int library_idx, struct hs_native_type *pointer)
{
    if (pointer->of && (pointer->of->kind != HS_NATIVE_RECORD || pointer->of->is_known))
        return pointer->of;
    lua_getiuservalue(lua, library_idx, 2);
    lua_rawgetp(lua, -1, pointer);
    pointer->of = field_type(lua, library_idx, lua_gettop(lua), "to");
    lua_pop(lua, 2);
    return pointer->of;
}

/* ---- functions ---- */

void bind_function_push(lua_State *lua, int library_idx, struct hs_native_type *type, void *code, const char *name)
{
    struct bind_library *library = lua_touserdata(lua, library_idx);
    struct hs_error err = {0};
    enum hs_status status = hs_native_prepare(type, &library->arena, &err);
    if (status != HS_OK)
        luaL_error(lua, "%s of %s: %s", name, library->name, err.text);
    struct bind_function *box = lua_newuserdatauv(lua, sizeof *box, 1);
    *box = (struct bind_function){type, code, {name, library->name}};
    lua_pushvalue(lua, library_idx);
    lua_setiuservalue(lua, -2, 1);
    luaL_setmetatable(lua, BIND_FUNCTION);
}

/* core.native_function(library, name, type table) -> function; nil: the library has no such symbol */
static int native_function(lua_State *lua)
{
    struct bind_library *library = bind_check_library(lua, 1);
    const char *name = luaL_checkstring(lua, 2);
    struct hs_native_type *type = bind_native_type(lua, 1, 3);
    void *code = hs_library_symbol(library->library, name);
    if (!code)
        return 0;
    bind_function_push(lua, 1, type, code, keep_text(lua, 1, name));
    return 1;
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

static void check_count(lua_State *lua, const struct bind_function *box, size_t given)
{
    size_t wanted = box->type->member_count;
    if (given == wanted || (box->type->varargs && given > wanted))
        return;
    luaL_error(lua, "%s: %s%d argument%s expected, got %d", box->place.function, box->type->varargs ? "at least " : "",
               (int)wanted, plural(wanted), (int)given);
}

/* Where each argument stands: aligned to 16 in `base`. */
static uint64_t slot_size(const struct hs_native_type *type)
{
    return (type->size + 15) & ~UINT64_C(15);
}

/* Where arguments are put together. */
struct call {
    void *arguments[HS_NATIVE_PARAMETERS_MAX];
    enum hs_native_vararg more[HS_NATIVE_PARAMETERS_MAX];
    size_t more_count;
};

static void store_arguments(lua_State *lua, const struct bind_function *box, int library_idx, size_t given, uint8_t *at,
                            struct call *call)
{
    const struct hs_native_type *type = box->type;
    for (size_t i = 0; i < given; i++) {
        struct bind_place place = {"argument %d of '%s'", (int)i + 1, box->place.function};
        call->arguments[i] = at;
        if (i >= type->member_count) {
            call->more[call->more_count++] = bind_native_vararg(lua, &place, (int)i + 2, at);
            at += 16;
            continue;
        }
        bind_native_store(lua, library_idx, &place, type->members[i].type, (int)i + 2, 0, at);
        at += slot_size(type->members[i].type);
    }
}

static void check_fences(lua_State *lua, const struct bind_function *box, size_t given)
{
    for (size_t i = 0; i < given; i++) {
        const struct bind_memory *memory = luaL_testudata(lua, (int)i + 2, BIND_MEMORY);
        if (memory)
            bind_memory_check_fence(lua, memory, box->place.function, (int)i + 1);
    }
}

/* function(...) */
static int function_call(lua_State *lua)
{
    struct bind_function *box = luaL_checkudata(lua, 1, BIND_FUNCTION);
    size_t given = (size_t)lua_gettop(lua) - 1;
    struct hs_native_type *gives = box->type->of;
    check_count(lua, box, given);
    if (given > HS_NATIVE_PARAMETERS_MAX)
        return luaL_error(lua, "%s: at most %d arguments are possible", box->place.function,
                          (int)HS_NATIVE_PARAMETERS_MAX);
    lua_getiuservalue(lua, 1, 1);
    int library_idx = lua_gettop(lua);
    struct bind_library *library = bind_check_library(lua, library_idx);

    _Alignas(16) uint8_t small[SCRATCH_SIZE];
    _Alignas(16) uint8_t small_result[16] = {0};
    uint64_t size = 16 * (given - box->type->member_count);
    for (size_t i = 0; i < box->type->member_count; i++)
        size += slot_size(box->type->members[i].type);
    uint8_t *at = small;
    if (size > sizeof small)
        at = (uint8_t *)(((uintptr_t)lua_newuserdatauv(lua, size + 16, 0) + 15) & ~(uintptr_t)15);
    struct call call = {.more_count = 0};
    store_arguments(lua, box, library_idx, given, at, &call);
    void *result = small_result;
    if (gives->kind == HS_NATIVE_RECORD)
        result = bind_memory_new(lua, library_idx, gives, HS_NATIVE_RESULT_SIZE(gives))->bytes;
    int result_idx = lua_gettop(lua);

    struct bind_frame frame;
    struct hs_error err = {0};
    enum hs_status status = HS_OK;
    bind_frame_begin(lua, &frame);
    library->running++;
    if (call.more_count == 0)
        hs_native_call(box->type, box->code, &box->place, call.arguments, result);
    else
        status = hs_native_call_varargs(box->type, box->code, &box->place, call.more, call.more_count, call.arguments,
                                        result, &err);
    library->running--;
    bind_frame_end(&frame);
    bind_frame_raise(lua, &frame);
    if (status != HS_OK)
        return luaL_error(lua, "%s: %s", box->place.function, err.text);
    check_fences(lua, box, given);
    lua_settop(lua, result_idx);
    if (gives->kind == HS_NATIVE_RECORD) {
        struct bind_memory *memory = lua_touserdata(lua, result_idx);
        memory->size = gives->size;
        return 1;
    }
    if (gives->kind == HS_NATIVE_VOID)
        return 0;
    bind_native_push(lua, library_idx, gives, result);
    return 1;
}

static int function_tostring(lua_State *lua)
{
    const struct bind_function *box = luaL_checkudata(lua, 1, BIND_FUNCTION);
    lua_pushfstring(lua, "function %s of %s", box->place.function, box->place.library);
    return 1;
}

/* ---- the door ---- */

static void create_metatable(lua_State *lua, const char *name, const luaL_Reg *metamethods)
{
    luaL_newmetatable(lua, name);
    luaL_setfuncs(lua, metamethods, 0);
    lua_pushstring(lua, name);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 1);
}

void bind_native_push_functions(lua_State *lua)
{
    static const luaL_Reg library_metamethods[] = {{"__gc", library_gc}, {NULL, NULL}};
    static const luaL_Reg function_metamethods[] = {
        {"__call", function_call}, {"__tostring", function_tostring}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"open", native_open},
        {"close", native_close},
        {"symbol", native_symbol},
        {"function_of", native_function},
        {"callback", bind_native_callback},
        {"free", bind_native_free},
        {NULL, NULL},
    };
    create_metatable(lua, BIND_LIBRARY, library_metamethods);
    create_metatable(lua, BIND_FUNCTION, function_metamethods);
    bind_native_memory_create(lua);
    bind_native_callback_create(lua);
    luaL_newlib(lua, functions);
    luaL_setfuncs(lua, bind_native_memory_functions, 0);
}
