/* space.h - the door of space/: addresses to bytes. */
#ifndef HS_SPACE_H
#define HS_SPACE_H

#include "base/base.h"

/* Memory that the dump holds: `size` bytes at `va` are at `bytes`. */
struct hs_range {
    hs_va va;
    uint64_t size;
    const uint8_t *bytes;
};

/* The address space of the process. Fixed after init; may be read by several threads. */
struct hs_space {
    struct hs_range *ranges; /* in address order, no overlap; ranges that touch in address and in file are one */
    size_t range_count;
    unsigned pointer_size; /* 4 or 8 */
};

/* Takes over sorted, non-overlapping `ranges` (copied). HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_space_init(struct hs_space *space, const struct hs_range *ranges, size_t range_count,
                                           unsigned pointer_size, struct hs_error *err);
void hs_space_deinit(struct hs_space *space);

/* Contiguous bytes from `va` on, borrowed. An empty span if nothing is there. */
struct hs_span hs_space_view(const struct hs_space *space, hs_va va);
/* The same for many look-ups that mostly fall into one range: *hint is the index of the last one, 0 at first. */
struct hs_span hs_space_view_near(const struct hs_space *space, hs_va va, size_t *hint);
/* Copies up to `size` bytes across range borders and returns how many were there from the start. */
uint64_t hs_space_read(const struct hs_space *space, hs_va va, void *bytes_ret, uint64_t size);
/* All of it or false (then bytes_ret is undefined). */
bool hs_space_read_all(const struct hs_space *space, hs_va va, void *bytes_ret, uint64_t size);
/* An unsigned integer of 1 to 8 bytes; a pointer of the process. False if not all of it is there. */
bool hs_space_uint(const struct hs_space *space, hs_va va, unsigned size, uint64_t *value_ret);
bool hs_space_pointer(const struct hs_space *space, hs_va va, hs_va *value_ret);
/* How many of [va, va + size) the dump holds. */
uint64_t hs_space_present(const struct hs_space *space, hs_va va, uint64_t size);
/* First range at or above `va` (index; range_count if none), holding it or behind it. */
size_t hs_space_range_from(const struct hs_space *space, hs_va va);
/* See hs_dump_find. */
enum hs_status hs_space_find(const struct hs_space *space, const void *pattern, size_t size, hs_va from, hs_va to,
                             uint64_t align, struct hs_job *job, hs_va *va_ret);

#endif
