/* bind_internal.h - what the files of bind/ share: boxes, classes, sequences, the two error doors.
 *
 * Owner box: userdata "heapsift.dump" with user values 1 = cache of views, 2 = progress function or nil.
 * View box: userdata of a class, user value 1 = the owner box, which it keeps alive.
 * Result box: a set or groups; user value 1 = the owner box; frees C memory, never looks at the dump when it does.
 *
 * No function here holds memory of malloc across a call that can raise. */
#ifndef HS_BIND_INTERNAL_H
#define HS_BIND_INTERNAL_H

#include "base/base.h"
#include "bind/bind.h"
#include <lauxlib.h>
#include <lua.h>

/* ---- classes (bind.c) ---- */

enum bind_type { BIND_BOOL, BIND_U8, BIND_U16, BIND_U32, BIND_U64, BIND_UNSIGNED, BIND_TEXT, BIND_CALL };

/* One property. With BIND_CALL `push` leaves one value at the stack top for the object at stack index 1; else the value
 * lies `offset` bytes into what the class's object() gives. */
struct bind_field {
    const char *name;
    enum bind_type type;
    size_t offset;
    void (*push)(lua_State *lua);
};
#define BIND_MEMBER(name_, type_, struct_, member_)                                                                    \
    {                                                                                                                  \
        name_, type_, offsetof(struct struct_, member_), NULL                                                          \
    }
#define BIND_PUSH(name_, push_)                                                                                        \
    {                                                                                                                  \
        name_, BIND_CALL, 0, push_                                                                                     \
    }
#define BIND_END                                                                                                       \
    {                                                                                                                  \
        NULL, BIND_CALL, 0, NULL                                                                                       \
    }

struct bind_class {
    const char *name;                /* of the metatable: "heapsift.block" */
    const char *noun;                /* in messages: "block" */
    const struct bind_field *fields; /* ends with a NULL name; may be NULL */
    const luaL_Reg *methods;
    const luaL_Reg *metamethods;
    /* The C object behind stack index `idx`; raises if its dump is closed. */
    const void *(*object)(lua_State *lua, int idx);
    /* Pushes element `idx` (any integer a script wrote) of the object at stack index 1, or nil. May be NULL. */
    void (*item)(lua_State *lua, lua_Integer idx);
};

/* Creates the metatable of a class. */
void bind_class_create(lua_State *lua, const struct bind_class *class);

/* ---- boxes ---- */

struct bind_dump {
    struct hs_dump *dump;           /* NULL: closed */
    const struct hs_blocks *blocks; /* NULL: not walked yet */
    const struct hs_traces *traces; /* NULL: none, or not opened yet */
    bool traces_known;
    bool heaps_known;
    size_t heap_count;
    bool heap_list_asked; /* somebody wanted all heaps that the process has */
    bool all_heaps_asked; /* and all that they hold */
    uint8_t *heap_asked;  /* heap_count flags, NULL if there was no memory for them (then all count as asked) */
    bool incomplete;      /* the answer kept for after closing */
};

struct bind_view {
    struct bind_dump *owner;
    size_t idx;
};

struct bind_block {
    struct bind_dump *owner;
    struct hs_block block;
};

struct bind_trace {
    struct bind_dump *owner;
    struct hs_trace trace;
};

extern const struct bind_class bind_dump_class, bind_module_class, bind_thread_class, bind_region_class;
extern const struct bind_class bind_heap_class, bind_block_class, bind_traces_class, bind_trace_class;
extern const struct bind_class bind_set_class, bind_groups_class, bind_column_class;

/* The open dump at a stack index; raises otherwise. */
struct bind_dump *bind_check_dump(lua_State *lua, int idx);
/* The box of a view; raises if it is none of that class or its dump is closed. */
void *bind_check_box(lua_State *lua, int idx, const struct bind_class *class);
/* Pushes a new view; `owner_idx` is the stack index of the dump's userdata. */
void bind_view_push(lua_State *lua, const struct bind_class *class, int owner_idx, size_t idx);
/* The same through the dump's cache: equal indexes give the same userdata. */
void bind_view_push_cached(lua_State *lua, const struct bind_class *class, int owner_idx, size_t idx);
/* Pushes the owner's userdata of the box at stack index `idx` and returns its stack index. */
int bind_owner_push(lua_State *lua, int idx);

void bind_block_push(lua_State *lua, int owner_idx, const struct hs_block *block);
/* Pushes the sequence of traces whose index can be the stored one. */
void bind_candidates_push(lua_State *lua, int owner_idx, bool has_stored, uint16_t stored);
void bind_trace_push(lua_State *lua, int owner_idx, const struct hs_trace *trace);

/* Things of a dump that are built when first asked for; raise when out of memory or cancelled. */
size_t bind_heaps(lua_State *lua, int owner_idx);
const struct hs_blocks *bind_blocks(lua_State *lua, int owner_idx);
const struct hs_traces *bind_traces(lua_State *lua, int owner_idx);
/* The script looked at blocks of this heap; SIZE_MAX: of all. */
void bind_heap_asked(struct bind_dump *owner, size_t heap_idx);
/* The index of the heap that an argument names: a heap, its address, or its number from 1. False: there is none. */
bool bind_heap_argument(lua_State *lua, int owner_idx, int arg, size_t *idx_ret);

/* ---- sequences (bind_sequence.c) ---- */

struct bind_sequence {
    struct bind_dump *owner;
    const struct bind_sequence_kind *kind;
    size_t count;
    size_t argument; /* what the kind makes of it */
};

struct bind_sequence_kind {
    const char *noun; /* plural: "heaps" */
    /* Pushes element `idx` (from 0, below count). */
    void (*push)(lua_State *lua, int owner_idx, const struct bind_sequence *sequence, size_t idx);
    /* Where the item at `item_idx` stands (from 0); NULL: items are plain tables, remembered by the sequence. */
    bool (*place)(lua_State *lua, const struct bind_sequence *sequence, int item_idx, size_t *idx_ret);
};

/* Pushes a sequence over the dump at `owner_idx`. */
void bind_sequence_push(lua_State *lua, int owner_idx, const struct bind_sequence_kind *kind, size_t count,
                        size_t argument);
/* Pushes a table with weak keys, for items whose place is to be remembered. */
void bind_places_push(lua_State *lua);
/* place() for views of a class whose index is their place. */
bool bind_view_place(lua_State *lua, const struct bind_class *class, int item_idx, size_t *idx_ret);
void bind_sequence_create(lua_State *lua);

/* ---- long work (bind_job.c) ---- */

typedef enum hs_status bind_work(void *arguments, struct hs_job *job, struct hs_error *err);

/* Tells the collector of C memory that the box just made holds, as if Lua had allocated it: it goes on by that much.
 * Finalizers may run. */
void bind_account(lua_State *lua, size_t bytes);

/* Runs `work` with a job that can be watched and cancelled. Raises only if the dump's progress function does. */
enum hs_status bind_run(lua_State *lua, int owner_idx, const char *what, bind_work *work, void *arguments,
                        struct hs_error *err);

/* ---- filters and callers (bind_filter.c, bind_callers.c) ---- */

#define BIND_FILTER_BOX "heapsift.filter box"
void bind_filter_create_class(lua_State *lua);
/* Compiles the text at stack index `arg`, a condition or an expression, for the dump at `owner_idx` and pushes a box that
 * owns the filter. Raises. */
struct hs_filter **bind_filter_push(lua_State *lua, int owner_idx, int arg, bool expression);
/* Pushes the table { allocators, modules } of HS_BIND_CALLERS, or what stands there instead: then false. */
bool bind_callers_push(lua_State *lua);
/* Whether that table at `idx` lists a module (in any case), an allocating function. */
bool bind_callers_has_module(lua_State *lua, int idx, const char *name);
bool bind_callers_has_allocator(lua_State *lua, int idx, const char *name);
/* Tells the dump which code is no caller, by that table. Raises. */
void bind_callers_set(lua_State *lua, int owner_idx);

/* bind_attribution.c: the metatable at the stack top gets the kernel's methods. */
void bind_attribution_methods(lua_State *lua);

/* Whether the attributed traces of blocks were published on the dump at `owner_idx`. */
bool bind_block_traces_known(lua_State *lua, int owner_idx);

/* Pushes a set without blocks of its own yet; the box owns what is put into *result. */
struct hs_set **bind_set_push(lua_State *lua, int owner_idx);

/* ---- values and errors (bind.c) ---- */

/* The failure door: pushes nil, message, code and returns 3. */
int bind_fail(lua_State *lua, enum hs_status status, const struct hs_error *err);
int bind_fail_text(lua_State *lua, const char *code, const char *format, ...) HS_PRINTF(3, 4);
/* The misuse door, and the one for running out of memory: raises with the caller's position. */
_Noreturn void bind_raise(lua_State *lua, enum hs_status status, const struct hs_error *err);

/* An address argument; raises unless it is an integer from 0. */
hs_va bind_check_va(lua_State *lua, int arg);
/* An integer argument in [low, high]; raises otherwise. `what` names it. */
lua_Integer bind_check_integer(lua_State *lua, int arg, const char *what, lua_Integer low, lua_Integer high);

/* The word of `words` nearest to `word`, NULL if none is near. */
struct bind_nearest {
    const char *word, *best;
    unsigned distance;
};
void bind_nearest_init(struct bind_nearest *nearest, const char *word);
void bind_nearest_offer(struct bind_nearest *nearest, const char *candidate);

/* Fields of the table at the stack top. */
void bind_set_integer(lua_State *lua, const char *name, uint64_t value);
void bind_set_text(lua_State *lua, const char *name, const char *value);
void bind_set_bool(lua_State *lua, const char *name, bool value);

enum hs_symbol_style bind_symbol_style(lua_State *lua);
enum hs_name_form bind_name_form(lua_State *lua);
/* bind_names.c: the form that argument `arg` names ("short", "full", "raw"), or the state's. */
enum hs_name_form bind_name_form_argument(lua_State *lua, int arg);
/* Pushes what a symbol is called by in a form and returns it: the same text as `name` where that is not decorated. */
const char *bind_name_push(lua_State *lua, const char *name, enum hs_name_form form);
const struct hs_bind_watch *bind_watch(lua_State *lua);

/* "u8" to "i64" and "ptr": pushes the integer in `bytes`. */
void bind_push_integer(lua_State *lua, const void *bytes, unsigned size, bool is_signed);

/* Digits an address of this dump is written with: 8 or 16. */
int bind_va_digits(const struct hs_dump *dump);

/* ---- parts of the dump's surface that live in other files ---- */

int bind_dump_info(lua_State *lua);    /* bind_info.c */
int bind_dump_modules(lua_State *lua); /* bind_process.c */
int bind_dump_module(lua_State *lua);
int bind_dump_threads(lua_State *lua);
int bind_dump_regions(lua_State *lua);
int bind_dump_symbol(lua_State *lua);
int bind_dump_symbol_parts(lua_State *lua);
int bind_dump_resolve(lua_State *lua);
int bind_dump_symbol_path(lua_State *lua);
int bind_dump_pdb_type(lua_State *lua); /* bind_pdb.c */
int bind_dump_pdb_types(lua_State *lua);
int bind_module_find_symbols(lua_State *lua);
int bind_dump_heaps(lua_State *lua); /* bind_heap.c */
int bind_dump_heap(lua_State *lua);
int bind_dump_block(lua_State *lua);
int bind_dump_blocks(lua_State *lua); /* bind_query.c */
int bind_heap_blocks(lua_State *lua);
int bind_dump_referrers(lua_State *lua); /* bind_scan.c */
int bind_set_referenced(lua_State *lua);
int bind_dump_eval(lua_State *lua); /* bind_answer.c */
int bind_dump_command(lua_State *lua);
int bind_set_group(lua_State *lua);  /* bind_groups.c */
int bind_set_values(lua_State *lua); /* bind_values.c */
void bind_values_create_class(lua_State *lua);
int bind_set_map(lua_State *lua); /* bind_native_set.c */
int bind_set_where_native(lua_State *lua);
int bind_set_fold(lua_State *lua);
bool bind_is_native(lua_State *lua, int arg);
void bind_dump_traces(lua_State *lua); /* bind_trace.c: the property */
int bind_dump_u8(lua_State *lua);      /* bind_read.c */
int bind_dump_u16(lua_State *lua);
int bind_dump_u32(lua_State *lua);
int bind_dump_u64(lua_State *lua);
int bind_dump_i8(lua_State *lua);
int bind_dump_i16(lua_State *lua);
int bind_dump_i32(lua_State *lua);
int bind_dump_i64(lua_State *lua);
int bind_dump_ptr(lua_State *lua);
int bind_dump_read(lua_State *lua);
int bind_dump_cstring(lua_State *lua);
int bind_dump_wstring(lua_State *lua);
int bind_dump_find(lua_State *lua);
int bind_block_u8(lua_State *lua);
int bind_block_u16(lua_State *lua);
int bind_block_u32(lua_State *lua);
int bind_block_u64(lua_State *lua);
int bind_block_i8(lua_State *lua);
int bind_block_i16(lua_State *lua);
int bind_block_i32(lua_State *lua);
int bind_block_i64(lua_State *lua);
int bind_block_ptr(lua_State *lua);
int bind_block_bytes(lua_State *lua);
/* Pushes the text of a symbol. */
void bind_push_symbol(lua_State *lua, const struct hs_dump *dump, const struct hs_symbol *symbol,
                      enum hs_symbol_style style, enum hs_name_form form);

#endif
