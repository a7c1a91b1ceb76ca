/* error.h - how a call says that it failed, and how long work is watched and stopped. */
#ifndef HEAPSIFT_ERROR_H
#define HEAPSIFT_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32) && defined(HEAPSIFT_SHARED)
#define HS_API __declspec(dllexport)
#elif defined(__GNUC__)
#define HS_API __attribute__((visibility("default")))
#else
#define HS_API
#endif

#if defined(__GNUC__)
#define HS_MUST_CHECK __attribute__((warn_unused_result))
#else
#define HS_MUST_CHECK
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* An address in the process that was dumped. A 32-bit process has addresses below 4 GiB: they are zero-extended. */
typedef uint64_t hs_va;

enum hs_status {
    HS_OK = 0,
    HS_NOT_FOUND,       /* nothing failed: there is no such thing. No text. */
    HS_ERR_IO,          /* the operating system refused: open, size, map */
    HS_ERR_FORMAT,      /* the bytes are not what they should be */
    HS_ERR_UNSUPPORTED, /* the bytes are sound, but of a kind that heapsift does not read */
    HS_ERR_UNMAPPED,    /* the dump holds no memory at that address */
    HS_ERR_MEMORY,      /* out of memory */
    HS_ERR_ARGUMENT,    /* the caller asked for something that cannot be */
    HS_ERR_CANCELLED    /* hs_job_cancel was called */
};

/* What went wrong. Owned by the caller, never allocates. `text` is one line without the file name: what was read,
 * where, what was found and what was expected. */
struct hs_error {
    enum hs_status status;
    uint64_t file_off; /* offset in the dump file, UINT64_MAX if none applies */
    hs_va va;          /* address in the process, UINT64_MAX if none applies */
    char text[240];
};

/* A short name for a status: "ok", "not-found", "io", "format", "unsupported", "unmapped", "memory", "argument",
 * "cancelled". Static. */
HS_API const char *hs_status_name(enum hs_status status);

/* Long work that another thread may watch or stop. The engine only counts in it. */
struct hs_job;

/* NULL when out of memory. Destroy accepts NULL; nobody may be working with the job any more. */
HS_API struct hs_job *hs_job_create(void);
HS_API void hs_job_destroy(struct hs_job *job);

/* Asks the work to end soon (well below 100 ms) with HS_ERR_CANCELLED. Safe from any thread and from a signal handler. */
HS_API void hs_job_cancel(struct hs_job *job);
HS_API bool hs_job_cancelled(const struct hs_job *job);

/* How far the present step is: done of total, in units of the step's own (bytes, blocks). total 0: not known yet. */
HS_API void hs_job_progress(const struct hs_job *job, uint64_t *done_ret, uint64_t *total_ret);

#ifdef __cplusplus
}
#endif

#endif
