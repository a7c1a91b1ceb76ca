/* ffi.h - what only the files of native/ know of libffi. */
#ifndef HS_NATIVE_FFI_H
#define HS_NATIVE_FFI_H

#include "native/native.h"

#include <ffi.h>

/* How a function type is called. */
struct hs_signature {
    ffi_cif cif;
    ffi_type *parameters[HS_NATIVE_PARAMETERS_MAX];
};

#endif
