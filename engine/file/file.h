/* file.h - the door of file/: a dump as a file of streams, and files as memory. Knows no process. */
#ifndef HS_FILE_H
#define HS_FILE_H

#include "base/base.h"
#include <heapsift/dump.h>

/* A run of process memory and where its bytes lie in the file. */
struct hs_run {
    hs_va va;
    uint64_t size;
    uint64_t file_off;
};

struct hs_module_record {
    hs_va base;
    uint64_t size;
    uint32_t timestamp, checksum;
    const char *path; /* escaped UTF-8 */
    bool has_version;
    uint16_t version[4];
    struct hs_span codeview; /* CvRecord; empty if none or past the file */
};

struct hs_thread_record {
    uint32_t id, suspend_count, priority_class, priority;
    hs_va teb_va;
    hs_va stack_va; /* of the stack memory descriptor */
    uint64_t stack_size;
    struct hs_span context; /* empty if none or past the file */
};

/* A file mapped read-only: its size is that at the time of opening. descriptor -1: the bytes are somebody else's. */
struct hs_mapping {
    struct hs_span bytes;
    int descriptor;
};
#define HS_MAPPING_NONE ((struct hs_mapping){{NULL, 0}, -1})
/* `expected` says in a message what it should have been ("dump file"). HS_ERR_IO. */
HS_MUST_CHECK enum hs_status hs_mapping_open(const char *path, const char *expected, struct hs_mapping *mapping_ret,
                                             struct hs_error *err);
void hs_mapping_close(struct hs_mapping *mapping);

/* Everything a dump file says, as plain records. Arrays live in the arena of the file. */
struct hs_file {
    const char *path;
    struct hs_mapping mapping;
    struct hs_span map; /* the whole file */
    struct hs_arena arena;
    struct hs_notes *notes; /* borrowed: the dump's */

    uint64_t flags;
    uint32_t time;
    bool cut;           /* a stream, text or memory ends past the file */
    uint64_t text_size; /* bytes of the texts that streams point to, so far */

    bool has_system;
    enum hs_arch arch;
    uint32_t windows_major, windows_minor, windows_build, processor_count;
    uint32_t platform_id;
    const char *service_pack;

    bool has_process_id, has_process_times;
    uint32_t process_id, create_time, user_time, kernel_time;
    const char *comment;

    bool has_exception;
    uint32_t exception_thread_id, exception_code;
    hs_va exception_va;
    struct hs_span exception_context;

    struct hs_module_record *modules;
    size_t module_count;
    struct hs_unloaded_module *unloaded;
    size_t unloaded_count;
    struct hs_thread_record *threads;
    size_t thread_count;

    struct hs_run *runs; /* in address order, without overlap, each wholly inside the file */
    size_t run_count;
    bool full_memory; /* Memory64List present */

    struct hs_region *regions; /* MemoryInfoList in address order, without overlap; present_size 0 */
    size_t region_count;
    bool has_regions;
};

/* Opens, maps and reads all lists. Damage becomes notes. See hs_dump_open for statuses. */
HS_MUST_CHECK enum hs_status hs_file_open(const char *path, struct hs_notes *notes, struct hs_file **file_ret,
                                          struct hs_error *err);
/* The same over bytes that the caller keeps (tests, fuzzing). `name` is used in messages. */
HS_MUST_CHECK enum hs_status hs_file_open_bytes(const char *name, struct hs_span bytes, struct hs_notes *notes,
                                                struct hs_file **file_ret, struct hs_error *err);
void hs_file_close(struct hs_file *file);

#endif
