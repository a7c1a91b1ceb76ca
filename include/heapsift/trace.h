/* trace.h - the stack trace database that `gflags +ust` makes ntdll keep inside the process. */
#ifndef HEAPSIFT_TRACE_H
#define HEAPSIFT_TRACE_H

#include <heapsift/dump.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most frames one trace can have: RTL_STACK_TRACE_ENTRY.BackTrace has 32 elements. */
#define HS_TRACE_DEPTH_MAX 32

struct hs_traces;

/* How the database was found. */
enum hs_traces_source {
    HS_TRACES_SYMBOL, /* through ntdll!RtlpStackTraceDataBase */
    HS_TRACES_SCAN    /* through a pointer in ntdll's writable data to something that proves to be one */
};

/* The database's own figures. */
struct hs_traces_info {
    hs_va va;         /* of _STACK_TRACE_DATABASE */
    hs_va pointer_va; /* of the pointer in ntdll that leads there */
    enum hs_traces_source source;
    bool unproven;                         /* x64: the layout is worked out, not seen; its own figures agree */
    hs_va acquire_va, release_va, okay_va; /* lock routines */
    bool precommitted, dump_in_progress;
    hs_va commit_va, lower_limit_va, upper_limit_va, next_lower_va, next_upper_va;
    uint64_t looked_up;   /* NumberOfEntriesLookedUp */
    uint32_t added;       /* NumberOfEntriesAdded, as it stands there */
    hs_va index_array_va; /* EntryIndexArray: the pointer to entry i is at this - pointer size * i */
    uint32_t bucket_count;
    hs_va buckets_va;
    uint32_t count;      /* entries that can be reached: added, bounded by the index array */
    uint32_t unreadable; /* of them, entries that lie nowhere or make no sense */
    unsigned index_bits; /* width of the index a block stores: 16 */
    bool wraps;          /* count is past what index_bits can say: stored indexes are ambiguous */
    bool full;           /* entries and index array have met: later stacks were not recorded */
    uint64_t captures;   /* sum of TraceCount over readable entries */
};

/* Opens the database when first asked and reads every entry once. *traces_ret is NULL, with HS_OK, if the process has
 * none. Owned by the dump. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_traces(struct hs_dump *dump, struct hs_job *job,
                                                   const struct hs_traces **traces_ret, struct hs_error *err);

HS_API const struct hs_traces_info *hs_traces_info(const struct hs_traces *traces);

/* One entry: a unique call stack. */
struct hs_trace {
    uint32_t index;                   /* full index, from 1 */
    uint16_t stored;                  /* the Index field of the entry: the low bits */
    hs_va va;                         /* of the entry */
    hs_va chain_va;                   /* HashChain */
    uint32_t count;                   /* TraceCount: captures so far; never goes down */
    uint16_t depth;                   /* frames, 1 .. HS_TRACE_DEPTH_MAX */
    hs_va frames[HS_TRACE_DEPTH_MAX]; /* return addresses, innermost first */
};

/* The entry with that full index (1 .. count). HS_NOT_FOUND outside; HS_ERR_UNMAPPED or HS_ERR_FORMAT where it cannot
 * be read. */
HS_MUST_CHECK HS_API enum hs_status hs_traces_get(const struct hs_traces *traces, uint32_t index,
                                                  struct hs_trace *trace_ret, struct hs_error *err);

/* How many candidates a stored index has: indexes stored, stored + 2^index_bits, ... up to count (0 is no index). */
HS_API uint32_t hs_traces_candidate_count(const struct hs_traces *traces, uint16_t stored);
/* The idx-th of them, lowest first; 0 past the last. */
HS_API uint32_t hs_traces_candidate(const struct hs_traces *traces, uint16_t stored, uint32_t idx);

#ifdef __cplusplus
}
#endif

#endif
