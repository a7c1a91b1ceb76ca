/* dump.h - the door of dump/: the only wiring. Owns everything from the file to the traces. */
#ifndef HS_DUMP_H
#define HS_DUMP_H

#include "heap/heap.h"
#include "trace/trace.h"

struct hs_code_range;

struct hs_dump {
    struct hs_notes notes;
    struct hs_file *file;
    struct hs_space space;
    struct hs_process process;
    unsigned thread_count;

    /* Built when first asked for, under `lock`; never changed after. */
    pthread_mutex_t lock;
    bool has_heaps, has_blocks, has_traces, looked_for_traces;
    struct hs_heaps heaps;
    struct hs_blocks blocks;
    struct hs_traces traces;

    /* What query/scan.c found: a bitmap of blocks for each source and aim; NULL before. */
    struct hs_scan *scan;

    /* What hs_dump_set_callers was told, and what query/ made of it: a module index a stored index. */
    struct hs_code_range *caller_ranges;
    size_t caller_range_count;
    uint64_t *caller_modules;

    /* What query/attribution.c published: a block's trace, UINT32_MAX where it is not known; NULL before. */
    uint32_t *block_traces;

    /* What query/column.c keeps, and how that is freed; NULL before. */
    struct hs_columns *columns;
    void (*columns_destroy)(struct hs_columns *columns);
};

/* Memory whose use is known: heaps, stacks, images, the trace database. */
struct hs_owner {
    hs_va va, end; /* end: exclusive */
    enum hs_use use;
};
/* All of it, sorted, without overlap; after hs_dump_heaps. NULL when out of memory; to be freed. */
struct hs_owner *hs_dump_owners(const struct hs_dump *dump, const struct hs_traces *traces, size_t *count_ret);

/* hs_dump_open over bytes that the caller keeps until close (tests, fuzzing). */
HS_MUST_CHECK enum hs_status hs_dump_open_bytes(const char *name, const void *bytes, size_t size,
                                                const struct hs_open_options *options, struct hs_dump **dump_ret,
                                                struct hs_error *err);

#endif
