/* bind_native_callback.c - Lua functions that C code calls.
 *
 * A callback ends with its Lua object, with lib:free, or with its library. What C code may still hold of it stays callable
 * for a good while: it gives 0, and the call that is in progress raises. */
#include "bind/bind_native.h"

#include <stdlib.h>

#define DEAD_MAX 1024 /* freed callbacks of a library that are kept */

struct bind_callback {
    struct bind_callback *next;
    struct bind_callback **box; /* the userdata; NULL: freed */
    struct hs_closure *closure;
    struct hs_native_type *type;
    struct bind_library *library;
    struct bind_calls *calls;
    pthread_t thread; /* where Lua runs */
};
/* Registry: the address of a bind_callback -> { function, library box, last result }. */

struct arguments {
    struct bind_callback *callback;
    void *result;
    void **values;
};

/* ---- being called ---- */

/* Called protected, with struct arguments as a light value. */
static int callback_body(lua_State *lua)
{
    const struct arguments *arguments = lua_touserdata(lua, 1);
    struct bind_callback *callback = arguments->callback;
    const struct hs_native_type *type = callback->type;
    struct hs_native_type *gives = type->of;
    luaL_checkstack(lua, (int)type->member_count + 16, "too many callbacks inside each other");
    lua_rawgetp(lua, LUA_REGISTRYINDEX, callback); /* 2 */
    lua_rawgeti(lua, 2, 2);                        /* 3: the library */
    lua_rawgeti(lua, 2, 1);
    for (size_t i = 0; i < type->member_count; i++) {
        struct hs_native_type *parameter = type->members[i].type;
        if (parameter->kind == HS_NATIVE_RECORD) {
            struct bind_memory *memory = bind_memory_new(lua, 3, parameter, parameter->size);
            memcpy(memory->bytes, arguments->values[i], (size_t)parameter->size);
        } else {
            bind_native_push(lua, 3, parameter, arguments->values[i]);
        }
    }
    lua_call(lua, (int)type->member_count, 1);
    if (gives->kind == HS_NATIVE_VOID)
        return 0;
    int result_idx = lua_gettop(lua);
    struct bind_place place = {"result of a callback (%s)", 0, gives->name};
    if (gives->kind == HS_NATIVE_POINTER && lua_type(lua, result_idx) == LUA_TSTRING)
        return luaL_error(lua, "result of a callback: a text does not live long enough: give a buffer");
    /* A value that raises half-way leaves 0. */
    uint8_t *value = lua_newuserdatauv(lua, (size_t)gives->size + 16, 0);
    bind_native_store(lua, 3, &place, gives, result_idx, 0, value);
    memcpy(arguments->result, value, (size_t)gives->size);
    lua_pushvalue(lua, result_idx); /* what a pointer leads to lives until the next call */
    lua_rawseti(lua, 2, 3);
    return 0;
}

static void callback_run(void *context, void *result, void **values)
{
    struct bind_callback *callback = context;
    struct bind_calls *calls = callback->calls;
    if (!pthread_equal(callback->thread, pthread_self())) {
        atomic_store(&calls->other_thread, true);
        return;
    }
    struct bind_frame *frame = calls->frame;
    if (!callback->box) {
        atomic_store(&calls->dead, true);
        return;
    }
    if (!frame || frame->failed)
        return; /* nobody could be told; or the first error ends the call, once native code comes back */
    lua_State *lua = frame->lua;
    if (!lua_checkstack(lua, LUA_MINSTACK))
        return;
    struct arguments arguments = {callback, result, values};
    callback->library->running++;
    int top = lua_gettop(lua);
    lua_pushcfunction(lua, callback_body);
    lua_pushlightuserdata(lua, &arguments);
    if (lua_pcall(lua, 1, 0, 0) != LUA_OK) {
        frame->failed = true;
        lua_rawsetp(lua, LUA_REGISTRYINDEX, calls); /* writes over what is there: needs no memory */
    }
    lua_settop(lua, top);
    callback->library->running--;
}

/* ---- making and freeing ---- */

/* core.callback(library, type table of a function, Lua function) -> callback */
int bind_native_callback(lua_State *lua)
{
    struct bind_library *library = bind_check_library(lua, 1);
    struct hs_native_type *type = bind_native_type(lua, 1, 2);
    struct hs_error err = {0};
    luaL_checktype(lua, 3, LUA_TFUNCTION);
    if (type->kind == HS_NATIVE_POINTER)
        type = bind_native_target(lua, 1, type);
    if (type->kind != HS_NATIVE_FUNCTION)
        return luaL_error(lua, "callback: the type of a function expected, such as 'int (*)(int)', not %s", type->name);
    if (type->varargs)
        return luaL_error(lua, "callback: a function with '...' cannot be made of Lua");
    enum hs_status status = hs_native_prepare(type, &library->arena, &err);
    if (status != HS_OK)
        return luaL_error(lua, "callback: %s", err.text);
    struct bind_callback **box = lua_newuserdatauv(lua, sizeof *box, 1);
    *box = NULL;
    lua_pushvalue(lua, 1);
    lua_setiuservalue(lua, -2, 1);
    luaL_setmetatable(lua, BIND_CALLBACK);
    struct bind_calls *calls = bind_calls_of(lua);
    lua_createtable(lua, 3, 0);
    lua_pushvalue(lua, 3);
    lua_rawseti(lua, -2, 1);
    lua_pushvalue(lua, 1);
    lua_rawseti(lua, -2, 2);
    struct bind_callback *callback = calloc(1, sizeof *callback);
    if (!callback)
        bind_raise(lua, HS_ERR_MEMORY, NULL);
    *callback = (struct bind_callback){.next = library->callbacks,
                                       .box = box,
                                       .type = type,
                                       .library = library,
                                       .calls = calls,
                                       .thread = pthread_self()};
    library->callbacks = callback; /* from here on the library frees it */
    *box = callback;
    status = hs_closure_create(type, callback_run, callback, &callback->closure, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    lua_rawsetp(lua, LUA_REGISTRYINDEX, callback);
    return 1;
}

static void callback_destroy(struct bind_callback *callback)
{
    hs_closure_destroy(callback->closure);
    free(callback);
}

/* Takes the function from the callback behind a box; its code stays for a while. */
static void callback_free(lua_State *lua, struct bind_callback **box)
{
    struct bind_callback *callback = *box;
    if (!callback)
        return;
    struct bind_library *library = callback->library;
    struct bind_callback **at = &library->callbacks;
    while (*at != callback)
        at = &(*at)->next;
    *at = callback->next;
    callback->next = NULL;
    callback->box = NULL;
    *box = NULL;
    lua_pushnil(lua);
    lua_rawsetp(lua, LUA_REGISTRYINDEX, callback);
    *library->dead_end = callback;
    library->dead_end = &callback->next;
    library->dead_count++;
    while (library->dead_count > DEAD_MAX && !library->running) {
        callback = library->dead;
        library->dead = callback->next;
        library->dead_count--;
        callback_destroy(callback);
    }
}

static void list_close(lua_State *lua, struct bind_callback *callback)
{
    while (callback) {
        struct bind_callback *next = callback->next;
        if (callback->box)
            *callback->box = NULL;
        lua_pushnil(lua);
        lua_rawsetp(lua, LUA_REGISTRYINDEX, callback);
        callback_destroy(callback);
        callback = next;
    }
}

void bind_callbacks_close(lua_State *lua, struct bind_library *library)
{
    list_close(lua, library->callbacks);
    list_close(lua, library->dead);
    library->callbacks = library->dead = NULL;
    library->dead_end = &library->dead;
    library->dead_count = 0;
}

static int callback_gc(lua_State *lua)
{
    callback_free(lua, luaL_checkudata(lua, 1, BIND_CALLBACK));
    return 0;
}

static int callback_tostring(lua_State *lua)
{
    struct bind_callback *const *box = luaL_checkudata(lua, 1, BIND_CALLBACK);
    lua_pushfstring(lua, "callback%s", *box ? "" : " (freed)");
    return 1;
}

/* core.free(buffer or callback): what is freed twice is no mistake */
int bind_native_free(lua_State *lua)
{
    struct bind_callback **callback = luaL_testudata(lua, 1, BIND_CALLBACK);
    struct bind_memory *memory = luaL_testudata(lua, 1, BIND_MEMORY);
    if (callback) {
        callback_free(lua, callback);
        return 0;
    }
    if (!memory || memory->kind != BIND_MEMORY_OWN)
        return luaL_error(lua, "free: a buffer or a callback expected, got %s", luaL_tolstring(lua, 1, NULL));
    memory->freed = true;
    memset(memory->bytes, 0, (size_t)memory->size);
    lua_pushnil(lua);
    lua_setiuservalue(lua, 1, 3);
    return 0;
}

void *bind_callback_code(lua_State *lua, int idx, const struct hs_native_type **type_ret)
{
    struct bind_callback *const *box = luaL_checkudata(lua, idx, BIND_CALLBACK);
    if (!*box)
        bind_native_raise(lua, "the callback was freed");
    *type_ret = (*box)->type;
    return hs_closure_code((*box)->closure);
}

void bind_native_callback_create(lua_State *lua)
{
    static const luaL_Reg metamethods[] = {{"__gc", callback_gc}, {"__tostring", callback_tostring}, {NULL, NULL}};
    luaL_newmetatable(lua, BIND_CALLBACK);
    luaL_setfuncs(lua, metamethods, 0);
    lua_pushliteral(lua, BIND_CALLBACK);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 1);
}
