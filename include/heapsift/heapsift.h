/* heapsift.h - everything a program that links libheapsift may use.
 *
 * The library reads a Windows user-mode minidump: its modules, threads and memory, every heap and block, and the
 * stack trace database that `gflags +ust` makes the process keep. It never writes to the dump and never calls back.
 *
 * Rules that hold for every function here:
 *   - a function that can fail returns enum hs_status and takes `struct hs_error *` last (NULL allowed); results are
 *     written only on HS_OK;
 *   - strings are UTF-8, control characters that stood in the dump are already written as \xNN; they belong to the
 *     object they came from;
 *   - `hs_dump_close` ends the life of everything that was got from the dump, but for sets and groups, which are
 *     destroyed on their own and must not be used (only destroyed) after it;
 *   - functions that take a `const struct hs_dump *` may be called from several threads at once.
 */
#ifndef HEAPSIFT_HEAPSIFT_H
#define HEAPSIFT_HEAPSIFT_H

#include <heapsift/dump.h>
#include <heapsift/error.h>
#include <heapsift/heap.h>
#include <heapsift/query.h>
#include <heapsift/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library as text, for instance "0.1.0". */
HS_API const char *hs_version(void);

#ifdef __cplusplus
}
#endif

#endif
