/* native.h - the door of native/: functions of shared libraries, called by types that are known only when the program
 * runs, and over the blocks of a set. Knows no Lua.
 *
 * Whether a type is true cannot be checked: a library does not say what its functions take. */
#ifndef HS_NATIVE_H
#define HS_NATIVE_H

#include "query/query.h"

/* ---- types (type.c) ---- */

enum hs_native_kind {
    HS_NATIVE_VOID,
    HS_NATIVE_BOOL,
    HS_NATIVE_INTEGER, /* 1, 2, 4 or 8 bytes; enums too */
    HS_NATIVE_FLOAT,   /* 4, 8 or 16 bytes */
    HS_NATIVE_POINTER,
    HS_NATIVE_ARRAY,
    HS_NATIVE_RECORD,
    HS_NATIVE_FUNCTION
};

struct hs_native_member {
    const char *name; /* NULL: an unnamed structure or union, or a parameter without a name */
    struct hs_native_type *type;
    uint64_t offset;     /* bytes; of a bit field, that of its storage unit */
    unsigned bit, width; /* width 0: no bit field */
};

#define HS_NATIVE_PARAMETERS_MAX 64u
#define HS_NATIVE_VALUE_MAX 4096u /* bytes of a structure that is passed by value */

/* A type of C in the layout of this machine. All parts live in one arena, as long as its library. */
struct hs_native_type {
    enum hs_native_kind kind;
    const char *name; /* as C spells it */
    uint64_t size, align;
    bool is_signed;
    bool is_text;  /* integer: a character of 1 byte */
    bool is_union; /* record */
    bool is_known; /* false: a record that is only declared */
    bool is_const; /* pointer: what it points to is not to be written */
    bool varargs;  /* function */
    bool pure;     /* function: said to have no effect and to need nothing but its arguments */
    struct hs_native_type
        *of;        /* pointer: target (NULL: the binding has not made it yet); array: element; function: what
                                  it gives */
    uint64_t count; /* array; HS_NATIVE_FLEXIBLE: no count */
    struct hs_native_member *members; /* record: members; function: parameters */
    size_t member_count;
    void *ffi;       /* how libffi knows it, once it was passed */
    void *signature; /* function: its prepared call */
};
#define HS_NATIVE_FLEXIBLE UINT64_MAX

/* Makes a function type callable. HS_ERR_ARGUMENT: it cannot be called; the text says why ("parameter 2, struct s: ...").
 * HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_native_prepare(struct hs_native_type *function, struct hs_arena *arena,
                                               struct hs_error *err);

/* ---- libraries and calls (library.c) ---- */

/* A loaded shared library. While any is loaded, crashes of native code are reported: see below. */
struct hs_library;

/* Loads a library as the system's loader does: a path with a slash, or a name. Its constructors run. HS_ERR_IO: it cannot
 * be loaded, the text says why. HS_ERR_MEMORY, HS_ERR_UNSUPPORTED (this machine). */
HS_MUST_CHECK enum hs_status hs_library_open(const char *path, struct hs_library **library_ret, struct hs_error *err);
/* NULL is allowed. Nothing of the library may be called after. */
void hs_library_close(struct hs_library *library);
/* Address of a symbol; NULL if the library, or what it depends on, has none of that name. */
void *hs_library_symbol(const struct hs_library *library, const char *name);

/* What is running, for the report of a crash. */
struct hs_native_place {
    const char *function, *library; /* names; the function of an address without one is "a function" */
};

/* Room for a result: whatever a function gives, and never less than a register. */
#define HS_NATIVE_RESULT_SIZE(type) ((type)->size < 16 ? (uint64_t)16 : (type)->size)

/* Calls `code` as the prepared `function`. arguments[i] points to the value of parameter i; result has
 * HS_NATIVE_RESULT_SIZE bytes for function->of. */
void hs_native_call(const struct hs_native_type *function, void *code, const struct hs_native_place *place,
                    void **arguments, void *result);
/* The same for a function with varargs: behind its parameters come `more_count` arguments of the given types, which are
 * int, double, 8 byte integers or pointers. HS_ERR_ARGUMENT, HS_ERR_MEMORY. */
enum hs_native_vararg { HS_NATIVE_VARARG_INTEGER, HS_NATIVE_VARARG_DOUBLE, HS_NATIVE_VARARG_POINTER };
HS_MUST_CHECK enum hs_status hs_native_call_varargs(const struct hs_native_type *function, void *code,
                                                    const struct hs_native_place *place,
                                                    const enum hs_native_vararg *more, size_t more_count,
                                                    void **arguments, void *result, struct hs_error *err);

/* What was printed so far comes out before code runs that may end the program. */
void hs_native_flush(void);

/* Copies memory of this process that may not be there: false then. */
bool hs_native_read(void *to, const void *from, size_t size);
bool hs_native_write(void *to, const void *from, size_t size);

/* ---- callbacks (closure.c) ---- */

/* A function that C code can call, made of one that is called with a context. Owned by the caller. */
struct hs_closure;
typedef void hs_closure_run(void *context, void *result, void **arguments);

/* `function` is prepared and has no varargs; `result` of `run` has HS_NATIVE_RESULT_SIZE bytes, all 0.
 * HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_closure_create(const struct hs_native_type *function, hs_closure_run *run,
                                               void *context, struct hs_closure **closure_ret, struct hs_error *err);
void hs_closure_destroy(struct hs_closure *closure);
void *hs_closure_code(const struct hs_closure *closure);

/* ---- crashes (guard.c) ---- */

#define HS_NATIVE_CRASHED 7 /* exit code of the program */

/* A block's bytes, as a native function gets them. */
struct hs_piece {
    const uint8_t *bytes;
    uint64_t size;
    hs_va va;
};

/* Native code that runs on this thread: from enter to leave. Nests. */
struct hs_guard {
    const struct hs_native_place *place;
    const struct hs_piece *volatile piece; /* the block it looks at; NULL: none */
    struct hs_guard *outer;
};
void hs_guard_enter(struct hs_guard *guard, const struct hs_native_place *place);
void hs_guard_leave(struct hs_guard *guard);
/* While our own code runs inside of native code, as a callback does: what crashes then is ours. */
struct hs_guard *hs_guard_suspend(void);
void hs_guard_resume(struct hs_guard *guard);

/* A stack for the handler, on a thread of our own. */
struct hs_guard_stack {
    char bytes[64 * 1024];
    bool used;
};
void hs_guard_stack_use(struct hs_guard_stack *stack);
void hs_guard_stack_leave(struct hs_guard_stack *stack);

/* Starts and ends watching for SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT; counted. Handlers that were there before get
 * every signal that native code did not cause, and are back after the last end. */
void hs_guard_install(void);
void hs_guard_uninstall(void);
/* What ends the program: gets a line without a newline and the exit code, may call only what a signal handler may. NULL:
 * the line goes to stderr. */
void hs_guard_set_end(void (*end)(const char *line, int code));

/* ---- over the blocks of a set (over.c) ---- */

/* A function `result (const void *data, size_t size, uint64_t address)`; for a fold with a pointer to the state behind
 * that. `data` are the user bytes of a block, read-only. */
struct hs_block_function {
    void *code;
    struct hs_native_place place;
    unsigned result_size; /* bytes of the integer it gives; 0: void */
    bool result_signed;
    bool pure; /* may be called for several blocks at once, in any order */
};

/* Why a function type cannot be called for each block; NULL: it can, and *function_ret is filled but for code and place.
 * A text is at most `size` bytes and stands in `text`. */
const char *hs_block_function_of(const struct hs_native_type *function, bool fold,
                                 struct hs_block_function *function_ret, char *text, size_t size);

/* Blocks whose user bytes are not in the dump in one piece are not looked at; *skipped_ret counts them.
 *
 * map: what the function gives for each block, as a column. where: the blocks for which it gives anything but 0. fold:
 * calls it in the order of addresses within each heap with `state`, until it gives anything but 0 (*result_ret) or to the
 * end (0). HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK enum hs_status hs_set_map(const struct hs_set *set, const struct hs_block_function *function,
                                        struct hs_job *job, struct hs_column **column_ret, uint64_t *skipped_ret,
                                        struct hs_error *err);
HS_MUST_CHECK enum hs_status hs_set_where_native(const struct hs_set *from, const struct hs_block_function *function,
                                                 struct hs_job *job, struct hs_set **set_ret, uint64_t *skipped_ret,
                                                 struct hs_error *err);
HS_MUST_CHECK enum hs_status hs_set_fold(const struct hs_set *set, const struct hs_block_function *function,
                                         void *state, struct hs_job *job, int64_t *result_ret, uint64_t *skipped_ret,
                                         struct hs_error *err);

#endif
