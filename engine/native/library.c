/* library.c - shared libraries and calls into them. */
#include "native/native.h"
#include "native/ffi.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

struct hs_library {
    void *handle;
    char *name; /* for reports; stays where it is */
};

void hs_native_flush(void)
{
    if (__fpending(stdout) > 0)
        fflush(stdout);
}

enum hs_status hs_library_open(const char *path, struct hs_library **library_ret, struct hs_error *err)
{
    struct hs_library *library;
    struct hs_native_place place = {"loading", path};
    struct hs_guard guard;

#if !defined(__x86_64__) || !defined(__linux__) || !defined(__LP64__)
    return hs_fail(err, HS_ERR_UNSUPPORTED, HS_NO_OFF, HS_NO_VA,
                   "native code: the layout of C types is known for x86-64 Linux only");
#endif
    library = calloc(1, sizeof *library);
    if (!library || !(library->name = strdup(path))) {
        free(library);
        return hs_fail_memory(err, "a library");
    }
    hs_guard_install();
    hs_native_flush();
    hs_guard_enter(&guard, &place);
    library->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    hs_guard_leave(&guard);
    if (!library->handle) {
        const char *why = dlerror();

        hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot load the library: %s", why ? why : "no reason given");
        hs_library_close(library);
        return HS_ERR_IO;
    }
    *library_ret = library;
    return HS_OK;
}

void hs_library_close(struct hs_library *library)
{
    struct hs_guard guard;

    if (!library)
        return;
    if (library->handle) {
        struct hs_native_place place = {"unloading", library->name};

        hs_native_flush();
        hs_guard_enter(&guard, &place);
        dlclose(library->handle);
        hs_guard_leave(&guard);
    }
    hs_guard_uninstall();
    free(library->name);
    free(library);
}

void *hs_library_symbol(const struct hs_library *library, const char *name)
{
    return dlsym(library->handle, name);
}

/* ---- calls ---- */

/* A pointer to code as libffi takes it: C has no cast from one kind of pointer to the other. */
static void (*as_function(void *code))(void)
{
    void (*function)(void);

    memcpy(&function, &code, sizeof function);
    return function;
}

void hs_native_call(const struct hs_native_type *function, void *code, const struct hs_native_place *place,
                    void **arguments, void *result)
{
    struct hs_signature *signature = function->signature;
    struct hs_guard guard;

    hs_native_flush();
    hs_guard_enter(&guard, place);
    ffi_call(&signature->cif, as_function(code), result, arguments);
    hs_guard_leave(&guard);
}

enum hs_status hs_native_call_varargs(const struct hs_native_type *function, void *code,
                                      const struct hs_native_place *place, const enum hs_native_vararg *more,
                                      size_t more_count, void **arguments, void *result, struct hs_error *err)
{
    static ffi_type *const types[] = {[HS_NATIVE_VARARG_INTEGER] = &ffi_type_sint64,
                                      [HS_NATIVE_VARARG_DOUBLE] = &ffi_type_double,
                                      [HS_NATIVE_VARARG_POINTER] = &ffi_type_pointer};
    struct hs_signature whole = *(const struct hs_signature *)function->signature;
    size_t fixed = function->member_count;
    struct hs_guard guard;

    if (fixed + more_count > HS_NATIVE_PARAMETERS_MAX)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "%zu arguments, at most %u are possible",
                       fixed + more_count, HS_NATIVE_PARAMETERS_MAX);
    for (size_t i = 0; i < more_count; i++)
        whole.parameters[fixed + i] = types[more[i]];
    if (ffi_prep_cif_var(&whole.cif, FFI_DEFAULT_ABI, (unsigned)fixed, (unsigned)(fixed + more_count),
                         function->of->ffi, whole.parameters) != FFI_OK)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "libffi takes no such arguments");
    hs_native_flush();
    hs_guard_enter(&guard, place);
    ffi_call(&whole.cif, as_function(code), result, arguments);
    hs_guard_leave(&guard);
    return HS_OK;
}

/* ---- memory that may not be there: the system copies it, and says so instead of a crash ---- */

/* The same where a container forbids the call for that. */
static bool copy_by_file(void *to, const void *from, size_t size, bool writes)
{
    int descriptor = open("/proc/self/mem", (writes ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
    ssize_t copied = -1;

    if (descriptor < 0)
        return false;
    if (writes)
        copied = pwrite(descriptor, from, size, (off_t)(uintptr_t)to);
    else
        copied = pread(descriptor, to, size, (off_t)(uintptr_t)from);
    close(descriptor);
    return copied == (ssize_t)size;
}

bool hs_native_read(void *to, const void *from, size_t size)
{
    struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};

    if (size == 0 || process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size)
        return true;
    return (errno == EPERM || errno == ENOSYS) && copy_by_file(to, from, size, false);
}

bool hs_native_write(void *to, const void *from, size_t size)
{
    struct iovec local = {(void *)(uintptr_t)from, size}, remote = {to, size};

    if (size == 0 || process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size)
        return true;
    return (errno == EPERM || errno == ENOSYS) && copy_by_file(to, from, size, true);
}
