/* closure.c - functions that C code can call, made by libffi. */
#include "native/native.h"
#include "native/ffi.h"

#include <stdlib.h>

struct hs_closure {
    ffi_closure *made;
    void *code;
    const struct hs_native_type *function;
    hs_closure_run *run;
    void *context;
};

/* Integers come back as wide as a register. */
static void widen(const struct hs_native_type *type, void *result)
{
    uint64_t value;

    if ((type->kind != HS_NATIVE_INTEGER && type->kind != HS_NATIVE_BOOL) || type->size == 8)
        return;
    memcpy(&value, result, sizeof value); /* the rest is 0 */
    if (type->is_signed && value >> (type->size * 8 - 1) & 1)
        value |= UINT64_MAX << (type->size * 8);
    memcpy(result, &value, sizeof value);
}

static void trampoline(ffi_cif *cif, void *result, void **arguments, void *context)
{
    struct hs_closure *closure = context;
    const struct hs_native_type *type = closure->function->of;
    /* What libffi gives has room for a register or the structure. */
    size_t size = type->kind == HS_NATIVE_VOID ? 0 : type->size < sizeof(ffi_arg) ? sizeof(ffi_arg) : type->size;
    struct hs_guard *guard = hs_guard_suspend();
    uint64_t none[2] = {0, 0};

    (void)cif;
    if (size > 0)
        memset(result, 0, size);
    closure->run(closure->context, size > 0 ? result : none, arguments);
    if (size > 0)
        widen(type, result);
    hs_guard_resume(guard);
}

enum hs_status hs_closure_create(const struct hs_native_type *function, hs_closure_run *run, void *context,
                                 struct hs_closure **closure_ret, struct hs_error *err)
{
    struct hs_signature *signature = function->signature;
    struct hs_closure *closure = calloc(1, sizeof *closure);

    if (!closure)
        return hs_fail_memory(err, "a callback");
    *closure = (struct hs_closure){.function = function, .run = run, .context = context};
    closure->made = ffi_closure_alloc(sizeof *closure->made, &closure->code);
    if (!closure->made ||
        ffi_prep_closure_loc(closure->made, &signature->cif, trampoline, closure, closure->code) != FFI_OK) {
        hs_closure_destroy(closure);
        return hs_fail_memory(err, "a callback");
    }
    *closure_ret = closure;
    return HS_OK;
}

void hs_closure_destroy(struct hs_closure *closure)
{
    if (!closure)
        return;
    if (closure->made)
        ffi_closure_free(closure->made);
    free(closure);
}

void *hs_closure_code(const struct hs_closure *closure)
{
    return closure->code;
}
