/* dump.h - a dump: what it says of the process, its memory, modules and threads. */
#ifndef HEAPSIFT_DUMP_H
#define HEAPSIFT_DUMP_H

#include <heapsift/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hs_dump;

enum hs_arch { HS_ARCH_UNKNOWN, HS_ARCH_X86, HS_ARCH_X64, HS_ARCH_ARM, HS_ARCH_ARM64, HS_ARCH_IA64 };

/* "x86", "x64", "arm", "arm64", "ia64", "unknown". Static. */
HS_API const char *hs_arch_name(enum hs_arch arch);

struct hs_open_options {
    unsigned thread_count; /* threads for whole-heap work; 0: one per processor */
    /* Where PDBs are, as _NT_SYMBOL_PATH has it: folders and local stores ("srv*DIR"), separated by ';'. The folder of
     * the dump is looked in too. NULL: only there. Nothing is ever fetched: URLs are named in a note and skipped. */
    const char *symbol_path;
    /* What hs_dump_path gives, where the path that is opened means nothing to people (/proc/self/fd/4); the folder of the
     * dump is that of this name. NULL: the path. */
    const char *name;
};

/* Opens a user-mode minidump read-only and maps it; nothing of it is copied. `options` may be NULL.
 * Damage that leaves something to read is not a failure: it becomes notes (hs_dump_note_count).
 * HS_ERR_IO: cannot be opened. HS_ERR_FORMAT: no dump (empty, text, cut inside the header or directory).
 * HS_ERR_UNSUPPORTED: a kernel dump or a processor that heapsift does not read. HS_ERR_MEMORY. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_open(const char *path, const struct hs_open_options *options,
                                                 struct hs_dump **dump_ret, struct hs_error *err);

/* Frees everything that belongs to the dump. NULL is allowed. */
HS_API void hs_dump_close(struct hs_dump *dump);

/* Where the process environment block was found. */
enum hs_peb_source { HS_PEB_NONE, HS_PEB_FROM_TEB, HS_PEB_FROM_SCAN };

/* What the dump says of the process as a whole. Fixed once the dump is open. */
struct hs_facts {
    enum hs_arch arch;
    unsigned pointer_size; /* bytes: 4 or 8 */
    uint32_t windows_major, windows_minor, windows_build;
    const char *windows;      /* "5.1.2600" */
    const char *service_pack; /* "Service Pack 3", "" if none or not told */
    uint32_t processor_count;
    uint32_t dump_time;  /* seconds since 1970, UTC; 0 if not told */
    uint64_t dump_flags; /* MINIDUMP_TYPE */
    uint64_t file_size;  /* bytes */
    bool full_memory;    /* the dump says that it holds all memory */
    bool cut;            /* the file ends before its streams or memory do */
    bool wow64;          /* a 32-bit process, dumped by a 64-bit debugger: named, heaps left unread */
    bool has_process_id, has_process_times;
    uint32_t process_id;
    uint32_t create_time;            /* seconds since 1970 */
    uint32_t user_time, kernel_time; /* seconds */
    const char *comment;             /* "" if none */
    bool has_exception;
    uint32_t exception_thread_id, exception_code;
    hs_va exception_va;
    hs_va peb_va; /* 0 if not found */
    enum hs_peb_source peb_source;
    bool has_global_flag;
    uint32_t global_flag;     /* NtGlobalFlag */
    const char *image_name;   /* "OUTLOOK.EXE": file name of the first module, "" if there is none */
    const char *image_path;   /* its whole path, "" if there is none */
    const char *command_line; /* "" if it cannot be read */
};

HS_API const struct hs_facts *hs_dump_facts(const struct hs_dump *dump);
HS_API const char *hs_dump_path(const struct hs_dump *dump);

/* One bit of NtGlobalFlag. */
struct hs_global_flag {
    uint32_t bit;
    const char *abbreviation; /* as gflags takes it: "ust" */
    const char *meaning;      /* "Create user mode stack trace database" */
};

/* The idx-th bit (from 0, low bits first) that `flag` has set; NULL past the last. An unknown bit has abbreviation "". */
HS_API const struct hs_global_flag *hs_global_flag_get(uint32_t flag, unsigned idx);

/* Notes: what could not be read, and why. A bounded list in a stable order; valid until the next call that builds
 * something (heaps, blocks, traces). The last one may say how many more there were. */
HS_API size_t hs_dump_note_count(const struct hs_dump *dump);
HS_API const char *hs_dump_note(const struct hs_dump *dump, size_t idx);

/* ---- memory ---- */

/* Copies up to `size` bytes at `va`. *read_ret: how many bytes from the start could be read; they are contiguous.
 * HS_OK only if all were; HS_ERR_UNMAPPED otherwise (what is there has been copied). */
HS_MUST_CHECK HS_API enum hs_status hs_dump_read(const struct hs_dump *dump, hs_va va, void *bytes_ret, size_t size,
                                                 size_t *read_ret, struct hs_error *err);

/* Bytes of mapped dump memory from `va` on: a borrowed pointer, valid while the dump is open, and how many bytes are
 * contiguous there in the file. HS_NOT_FOUND if the dump holds nothing at `va`. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_view(const struct hs_dump *dump, hs_va va, const void **bytes_ret,
                                                 uint64_t *size_ret);

/* The first occurrence of `pattern` at or above `from` and wholly below `to`, at an address that is a multiple of
 * `align` (1 or more). Patterns are found across region borders. HS_NOT_FOUND if there is none; HS_ERR_CANCELLED. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_find(const struct hs_dump *dump, const void *pattern, size_t size,
                                                 hs_va from, hs_va to, uint64_t align, struct hs_job *job,
                                                 hs_va *va_ret, struct hs_error *err);

/* Memory of the process by use; HS_USE_OTHER is private memory of no known use. */
enum hs_use { HS_USE_HEAP, HS_USE_TRACE, HS_USE_STACK, HS_USE_IMAGE, HS_USE_MAPPED, HS_USE_OTHER };
#define HS_USE_COUNT 6

/* "heap", "trace database", "stack", "image", "mapped", "other private". Static. */
HS_API const char *hs_use_name(enum hs_use use);

/* One region of the address space, from MemoryInfoList; without that stream, one per run of memory in the dump. */
struct hs_region {
    hs_va va;
    uint64_t size;       /* bytes */
    hs_va allocation_va; /* base of the VirtualAlloc it belongs to; 0 if not told */
    uint32_t state;      /* MEM_COMMIT 0x1000, MEM_RESERVE 0x2000, MEM_FREE 0x10000 */
    uint32_t type;       /* MEM_PRIVATE 0x20000, MEM_MAPPED 0x40000, MEM_IMAGE 0x1000000; 0 if free or not told */
    uint32_t protect;    /* PAGE_...; 0 if not told */
    uint32_t allocation_protect;
    uint64_t present_size; /* bytes of it that the dump holds */
};

HS_API size_t hs_dump_region_count(const struct hs_dump *dump);
/* Regions in address order. NULL past the last. */
HS_API const struct hs_region *hs_dump_region(const struct hs_dump *dump, size_t idx);
/* The region that holds `va`, or NULL. */
HS_API const struct hs_region *hs_dump_region_at(const struct hs_dump *dump, hs_va va);

/* Committed bytes by use. */
struct hs_usage {
    uint64_t committed[HS_USE_COUNT]; /* by enum hs_use */
    uint64_t committed_total;
    uint64_t private_total;  /* committed and neither image nor mapped */
    uint64_t reserved_total; /* reserved, not committed */
    uint64_t free_total;
    hs_va largest_free_va;
    uint64_t largest_free_size;
    bool exact; /* from MemoryInfoList; false: worked out from what the dump holds */
};

/* Works it out when first asked (reads heap headers and the trace database's header, walks no blocks). */
HS_MUST_CHECK HS_API enum hs_status hs_dump_usage(struct hs_dump *dump, struct hs_usage *usage_ret,
                                                  struct hs_error *err);

/* ---- modules and symbols ---- */

struct hs_module {
    hs_va base;
    uint64_t size;      /* bytes */
    uint32_t timestamp; /* of the PE header, seconds since 1970 */
    uint32_t checksum;
    const char *name; /* as a debugger spells it: file name without its last extension, "3rdpartydll" */
    const char *path;
    bool has_version;
    uint16_t version[4];  /* file version, most significant first */
    const char *pdb_name; /* from the RSDS record, "" if none */
    const char *pdb_id;   /* GUID and age as symbol stores write them: 32 + 1..8 hex digits, "" if none */
};

HS_API size_t hs_dump_module_count(const struct hs_dump *dump);
/* Modules in the order of the dump's list. NULL past the last. */
HS_API const struct hs_module *hs_dump_module(const struct hs_dump *dump, size_t idx);
/* The index of the module whose image holds `va`. HS_NOT_FOUND. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_module_at(const struct hs_dump *dump, hs_va va, size_t *idx_ret);
/* The index of the module of that name; case does not matter, an extension is ignored if nothing else fits. HS_NOT_FOUND. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_module_named(const struct hs_dump *dump, const char *name, size_t *idx_ret);

struct hs_unloaded_module {
    hs_va base;
    uint64_t size;
    uint32_t timestamp, checksum;
    const char *name;
};
HS_API size_t hs_dump_unloaded_count(const struct hs_dump *dump);
HS_API const struct hs_unloaded_module *hs_dump_unloaded(const struct hs_dump *dump, size_t idx);

struct hs_section {
    const char *name; /* up to 8 characters */
    hs_va va;
    uint64_t size; /* bytes in memory */
    bool readable, writable, executable;
};

struct hs_export {
    const char *name;      /* "" for a nameless export */
    uint32_t ordinal;      /* with the ordinal base added */
    hs_va va;              /* 0 for a forwarder */
    const char *forwarder; /* "NTDLL.RtlAllocateHeap", "" if it is none */
};

/* What the image of module `module_idx` says, as far as the dump holds it. Counts are 0 where it does not. */
HS_API size_t hs_dump_section_count(const struct hs_dump *dump, size_t module_idx);
HS_API const struct hs_section *hs_dump_section(const struct hs_dump *dump, size_t module_idx, size_t idx);
HS_API size_t hs_dump_export_count(const struct hs_dump *dump, size_t module_idx);
/* Exports in ordinal order; an address exported by several names has one entry a name. NULL past the last. */
HS_API const struct hs_export *hs_dump_export(const struct hs_dump *dump, size_t module_idx, size_t idx);

/* How far past an export an address is still shown as being in it (bytes). Past that the name is only an aid. */
#define HS_SYMBOL_NEAR 0x1000u

/* Where names come from. */
enum hs_symbol_source { HS_SYMBOLS_NONE, HS_SYMBOLS_EXPORTS, HS_SYMBOLS_PDB };

/* "none", "exports", "pdb". Static. */
HS_API const char *hs_symbol_source_name(enum hs_symbol_source source);

/* What the names of a module come from: "pdb" if one that belongs to it was found (it is looked for when first asked).
 * *path_ret (NULL allowed): that file; "" if there is none. Valid while the dump is open. */
HS_API enum hs_symbol_source hs_dump_symbol_source(const struct hs_dump *dump, size_t module_idx,
                                                   const char **path_ret);

/* Sets hs_open_options.symbol_path anew (NULL: only the dump's folder) and forgets which PDBs were found: they are looked
 * for again when needed. Names that were got before stay valid; those that were worked into something, such as a filter,
 * stay as they were. No other thread may use the dump meanwhile. HS_ERR_MEMORY: nothing has changed. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_set_symbol_path(struct hs_dump *dump, const char *path,
                                                            struct hs_error *err);
/* What was set; "" if nothing was. Valid until it is set again. */
HS_API const char *hs_dump_symbol_path(const struct hs_dump *dump);

/* What an address is called. */
struct hs_symbol {
    size_t module_idx;
    uint64_t rva;      /* address - module base */
    bool has_name;     /* the module has a symbol at or below the address */
    const char *name;  /* nearest one at or below; "" if it is a nameless export or there is none */
    uint32_t ordinal;  /* of an export: a nameless one is written "Ordinal577" */
    uint64_t offset;   /* address - address of the symbol */
    uint64_t size;     /* bytes of the symbol; 0 if not told: only a PDB does, of functions */
    bool near_name;    /* the name may be believed: inside a PDB's symbol, or at most HS_SYMBOL_NEAR past an export */
    bool is_decorated; /* a public of a PDB: the linker's name, as "_RtlAllocateHeap@12"; texts show it without */
    enum hs_symbol_source source;
};

/* HS_NOT_FOUND: no module holds `va`. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_symbol(const struct hs_dump *dump, hs_va va, struct hs_symbol *symbol_ret);

enum hs_symbol_style {
    HS_SYMBOL_HONEST, /* "OLMAPI32!MAPIAllocateBuffer+0x58"; far past a name "EMSMDB32+0x1c7ca [HrEmsuiInit+0x96fd]" */
    HS_SYMBOL_WINDBG  /* always "module!name+0xoffset" where there is a name */
};

/* Writes the text of a symbol, at most `size` bytes with the closing 0; returns the length it wants without it. */
HS_API size_t hs_symbol_text(const struct hs_dump *dump, const struct hs_symbol *symbol, enum hs_symbol_style style,
                             char *text_ret, size_t size);

/* Steps through the symbols of a module, HS_NOT_FOUND past the last: those of its exports that have an address,
 * then those of its PDB. rva is the symbol's own, offset 0. `cursor` starts as zeros and is the caller's. */
struct hs_symbol_cursor {
    size_t place[4];
};
HS_MUST_CHECK HS_API enum hs_status hs_dump_next_symbol(const struct hs_dump *dump, size_t module_idx,
                                                        struct hs_symbol_cursor *cursor, struct hs_symbol *symbol_ret);

/* The address of "module!name", "module!Ordinal577", "module" or either with "+0x12" (hex) behind it. Names of exports
 * come before those of a PDB. Forwarders are followed (at most 8 steps). Names match with case, modules without. HS_NOT_FOUND. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_resolve(const struct hs_dump *dump, const char *text, hs_va *va_ret);

/* ---- threads ---- */

struct hs_thread {
    uint32_t id;
    uint32_t suspend_count, priority, priority_class;
    hs_va teb_va;      /* 0 if not told */
    hs_va stack_base;  /* highest address of the stack, exclusive; 0 if not known */
    hs_va stack_limit; /* lowest committed address of the stack */
    bool has_context;
    hs_va ip, sp, bp; /* 0 without a context */
};

HS_API size_t hs_dump_thread_count(const struct hs_dump *dump);
HS_API const struct hs_thread *hs_dump_thread(const struct hs_dump *dump, size_t idx);

struct hs_register {
    const char *name; /* "eax", "rip", "efl" */
    uint64_t value;
    unsigned size; /* bytes */
};

/* The idx-th integer register of a thread's context in the debugger's order; HS_NOT_FOUND past the last. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_register(const struct hs_dump *dump, size_t thread_idx, unsigned idx,
                                                     struct hs_register *register_ret);

#ifdef __cplusplus
}
#endif

#endif
