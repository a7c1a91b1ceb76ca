/* nt.h - inside heap/: the parts of an NT heap of Windows XP and 2003. */
#ifndef HS_HEAP_NT_H
#define HS_HEAP_NT_H

#include "heap/heap.h"

/* Reads heap `heap_idx` (its va is set, its kind known): header, segments, uncommitted ranges, large blocks. Appends
 * to heaps->segments and heaps->extents. Damage becomes notes. HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_nt_read(struct hs_heaps *heaps, size_t heap_idx, struct hs_error *err);

/* nt_front.c: collects the blocks on look-aside lists. HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_nt_read_lookaside(struct hs_heaps *heaps, size_t heap_idx, struct hs_error *err);

/* heap.c: room for one more element. HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_heaps_add_segment(struct hs_heaps *heaps, const struct hs_heap_segment *segment,
                                                  struct hs_error *err);
HS_MUST_CHECK enum hs_status hs_heaps_add_extent(struct hs_heaps *heaps, const struct hs_extent *extent,
                                                 struct hs_error *err);

/* Free blocks of at least so many units are kept on FreeLists[0], smaller ones each on the list of its size
 * (HEAP_MAXIMUM_FREELISTS; observed). */
#define HS_NT_FREE_LISTS 128u

/* walk.c: what the walk of one segment found. */
struct hs_segment_walk {
    struct hs_heap_totals totals;
    uint64_t lost;               /* bytes between damage and the next point that can be trusted */
    uint64_t front_areas;        /* blocks of a low-fragmentation front end */
    uint64_t list_length;        /* free blocks that belong on FreeLists[0] */
    struct hs_size_count *sizes; /* sizes of busy blocks, in no order; owned by whoever called */
    size_t size_count;
    bool sizes_lost; /* no memory for them */
    struct hs_notes notes;
    bool cancelled;
};

/* Marks the start of every block of a segment in the bitmaps of its extents (which are zeroed). */
void hs_nt_walk_segment(struct hs_heaps *heaps, size_t segment_idx, struct hs_job *job, struct hs_segment_walk *walk);

#endif
