/* bind_native.h - what the files bind_native*.c share: libraries, types, memory, and calls in progress.
 *
 * Library box: user values 1 = types by their Lua tables, 2 = the tables by type, 3 = function that describes a table.
 * Everything else has the library box as user value 1, which keeps its types alive. */
#ifndef HS_BIND_NATIVE_H
#define HS_BIND_NATIVE_H

#include "bind/bind_internal.h"
#include "native/native.h"

#include <pthread.h>

#define BIND_LIBRARY "heapsift.native library"
#define BIND_FUNCTION "heapsift.native function"
#define BIND_MEMORY "heapsift.native memory"
#define BIND_CALLBACK "heapsift.native callback"

struct bind_calls;

/* A call into native code that has not come back. */
struct bind_frame {
    struct bind_calls *calls;
    lua_State *lua;
    struct bind_frame *outer;
    bool failed; /* a callback raised: what, is in the registry under the address of bind_calls */
};

/* One a Lua state. */
struct bind_calls {
    struct bind_frame *frame;
    atomic_bool other_thread; /* a callback was called from one */
    atomic_bool dead;         /* a callback was called that had been freed */
};

struct bind_callback;

struct bind_library {
    struct hs_library *library; /* NULL: closed */
    struct hs_arena arena;      /* of the types */
    const char *name;
    atomic_uint running; /* calls in progress */
    struct bind_callback *callbacks;
    /* Freed ones, oldest first: native code that still calls them gets an error and no crash. */
    struct bind_callback *dead, **dead_end;
    size_t dead_count;
};

struct bind_function {
    struct hs_native_type *type;
    void *code;
    struct hs_native_place place;
};

enum bind_memory_kind {
    BIND_MEMORY_OWN,    /* a buffer */
    BIND_MEMORY_PART,   /* of a buffer or a view, which is user value 2 */
    BIND_MEMORY_DUMP,   /* bytes of a dump, whose box is user value 2 */
    BIND_MEMORY_FOREIGN /* what a pointer of native code leads to: its size is not known, nor whether it is there */
};

#define BIND_FENCE 16u /* bytes behind a buffer that must stay as they are */

struct bind_memory {
    enum bind_memory_kind kind;
    struct hs_native_type *type;
    uint8_t *bytes;
    uint64_t size; /* of all from `bytes` on; BIND_MEMORY_FOREIGN: UINT64_MAX */
    bool read_only;
    bool freed;               /* own */
    struct bind_memory *root; /* part: what it is part of, own or dump */
    struct bind_dump *dump;   /* dump */
};

/* ---- bind_native.c ---- */

/* Raises with the caller's position; the format is that of lua_pushfstring. */
_Noreturn void bind_native_raise(lua_State *lua, const char *format, ...);

struct bind_calls *bind_calls_of(lua_State *lua);
/* The open library at a stack index; raises otherwise. */
struct bind_library *bind_check_library(lua_State *lua, int idx);
/* The type of a Lua table of plugins/lib/types/build.lua at `idx`. Raises for what cannot be. */
struct hs_native_type *bind_native_type(lua_State *lua, int library_idx, int idx);
/* What a pointer leads to: made when first asked for. */
struct hs_native_type *bind_native_target(lua_State *lua, int library_idx, struct hs_native_type *pointer);
/* Pushes a function of a library. */
void bind_function_push(lua_State *lua, int library_idx, struct hs_native_type *type, void *code, const char *name);
/* Around native code, which cannot raise: begin may. */
void bind_frame_begin(lua_State *lua, struct bind_frame *frame);
void bind_frame_end(struct bind_frame *frame);
/* Raises what a callback of the call that just ended raised. */
void bind_frame_raise(lua_State *lua, const struct bind_frame *frame);

/* ---- bind_native_memory.c ---- */

/* Pushes a buffer of `size` bytes, all 0. Raises. */
struct bind_memory *bind_memory_new(lua_State *lua, int library_idx, struct hs_native_type *type, uint64_t size);
/* The memory at a stack index, still there; raises otherwise. */
struct bind_memory *bind_check_memory(lua_State *lua, int idx);
/* Raises if something wrote behind the buffer that memory is (part of). */
void bind_memory_check_fence(lua_State *lua, const struct bind_memory *memory, const char *function, int argument);
/* Pushes what a pointer of native code leads to; nil for NULL. */
void bind_memory_push_pointer(lua_State *lua, int library_idx, struct hs_native_type *pointer, void *to);
void bind_native_memory_create(lua_State *lua);

/* ---- bind_native_value.c: between Lua values and bytes ---- */

/* Where a value goes, for messages: "argument 2 of 'f'" or "member 'x'". */
struct bind_place {
    const char *format; /* with one %d or one %s */
    int number;
    const char *name;
};

/* Puts the value at `idx` into `to` as a value of the type. Raises. `anchors_idx`: a table that keeps what pointers lead
 * to, or 0 where somebody else does. */
void bind_native_store(lua_State *lua, int library_idx, const struct bind_place *place, struct hs_native_type *type,
                       int idx, int anchors_idx, uint8_t *to);
/* The same for a bit field, among its neighbours in `unit`, which is where its storage unit begins. */
void bind_native_store_bits(lua_State *lua, int library_idx, const struct bind_place *place,
                            const struct hs_native_member *member, int idx, uint8_t *unit);
/* The member of that name, in unnamed records too; its offset is added to *off. NULL: there is none. */
const struct hs_native_member *bind_native_member(const struct hs_native_type *record, const char *name, uint64_t *off);
/* Pushes the value of a type (no record, array or function) in `bytes`. */
void bind_native_push(lua_State *lua, int library_idx, struct hs_native_type *type, const uint8_t *bytes);
/* The pointer that a value behind the parameters of a function with varargs is. */
enum hs_native_vararg bind_native_vararg(lua_State *lua, const struct bind_place *place, int idx, uint8_t *to);

/* ---- bind_native_callback.c ---- */

void *bind_callback_code(lua_State *lua, int idx, const struct hs_native_type **type_ret);
void bind_callbacks_close(lua_State *lua, struct bind_library *library);
void bind_native_callback_create(lua_State *lua);
int bind_native_callback(lua_State *lua);
int bind_native_free(lua_State *lua);

/* Functions for plugins/lib/native. */
extern const luaL_Reg bind_native_memory_functions[];

#endif
