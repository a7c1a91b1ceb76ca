-- callers.lua: what trace:caller() passes over to find who asked for memory. A user's own lib/callers.lua in a folder
-- of plugins (--plugins DIR, HEAPSIFT_PLUGINS) adds to it: a framework that allocates for others belongs there.
--
-- `modules`: system modules by the debugger's name; a frame in one is never the caller. `allocators`: exported
-- functions of other modules that only hand memory on. A wrong entry hides a caller, a missing one names the messenger:
-- so this holds what allocates for others by contract, nothing that merely appears often.
-- The MAPI runtime allocates for whoever calls it. rpcrt4 is a system module here: in the case of the wrapped index its
-- frames named RPC for memory that was MAPI's.

return {
    modules = {
        "ntdll", "kernel32", "kernelbase", "msvcrt", "ole32", "oleaut32", "combase", "rpcrt4", "user32", "gdi32",
        "advapi32", "mapi32", "olmapi32", "msmapi32", "mapistub", "ucrtbase", "verifier", "vrfcore", "vfbasics",
        "msvcr70", "msvcr71", "msvcr80", "msvcr90", "msvcr100", "msvcr110", "msvcr120",
        "msvcp60", "msvcp71", "msvcp80", "msvcp90", "msvcp100", "msvcp110", "msvcp120", "vcruntime140",
        "mfc42", "mfc42u", "mfc71", "mfc71u", "mfc80", "mfc80u", "mfc90", "mfc90u", "atl", "atl71", "atl80", "atl90",
    },
    allocators = {
        -- MAPI (mapi32, OLMAPI32, MSMAPI32)
        "MAPIAllocateBuffer", "MAPIAllocateBuffer@8", "MAPIAllocateMore", "MAPIAllocateMore@12", "MAPIReallocateBuffer",
        "HrGetMAPIMalloc", "MAPIGetDefaultMalloc", "MAPIGetDefaultMalloc@0",
        -- C and C++
        "malloc", "calloc", "realloc", "_malloc_dbg", "_calloc_dbg", "_realloc_dbg", "strdup", "_strdup", "wcsdup",
        "_wcsdup", "_aligned_malloc", "??2@YAPAXI@Z", "??_U@YAPAXI@Z", "??2@YAPEAX_K@Z", "??_U@YAPEAX_K@Z",
        "operator new", "operator new[]",
        -- COM and Windows, where other modules export them
        "CoTaskMemAlloc", "CoTaskMemRealloc", "SysAllocString", "SysAllocStringLen", "SysAllocStringByteLen",
        "GlobalAlloc", "GlobalReAlloc", "LocalAlloc", "LocalReAlloc", "HeapAlloc", "HeapReAlloc", "RtlAllocateHeap",
        "RtlReAllocateHeap",
    },
}
