/* nt_front.c - look-aside lists: blocks that their caller has freed and whose headers still say busy.
 *
 * FrontEndHeap points to 128 _HEAP_LOOKASIDE, one a size in units; each heads a singly linked list through the user
 * bytes of the blocks. SLIST_HEADER as in winnt.h: on x86 the first pointer, then a 16-bit depth; on x64 either packed
 * into one quadword (depth 16 bits, sequence 9, address >> 4 in 39) or, with bit 0 of the second quadword set, the
 * address in that one. No x64 dump has been seen: unproven. */
#include "heap/nt.h"

#include <inttypes.h>
#include <stdlib.h>

#define LISTS 128u
#define LIST_MAX 4096u /* blocks of one list: its depth is at most a few hundred */

static int compare_va(const void *a, const void *b)
{
    const hs_va *one = a, *two = b;

    return *one < *two ? -1 : *one > *two;
}

bool hs_block_is_lookaside(const struct hs_heaps *heaps, uint32_t heap_idx, hs_va va)
{
    return bsearch(&va, heaps->lookaside[heap_idx], heaps->lookaside_count[heap_idx], sizeof va, compare_va) != NULL;
}

/* First user address and number of blocks of the list whose header is at `va`. */
static bool read_head(const struct hs_heaps *heaps, hs_va va, hs_va *first_ret, uint64_t *count_ret)
{
    const struct hs_process *process = heaps->process;
    uint64_t low, high;

    if (process->space->pointer_size == 4)
        return hs_layout_read(process->layout, process->space, va, HS_FIELD_LOOKASIDE_FIRST, first_ret) &&
               hs_layout_read(process->layout, process->space, va, HS_FIELD_LOOKASIDE_COUNT, count_ret);
    if (!hs_space_uint(process->space, va, 8, &low) || !hs_space_uint(process->space, va + 8, 8, &high))
        return false;
    *count_ret = low & 0xffff;
    *first_ret = high & 1 ? high & ~UINT64_C(0xf) : low >> 25 << 4;
    return true;
}

/* A block of this heap may begin `unit` below `user`. */
static bool may_be_block(const struct hs_heaps *heaps, size_t heap_idx, hs_va user)
{
    size_t idx = user > heaps->unit ? hs_heaps_extent_below(heaps, user - heaps->unit) : SIZE_MAX;
    const struct hs_extent *extent;

    if (idx == SIZE_MAX)
        return false;
    extent = &heaps->extents[heaps->extents_by_va[idx].idx];
    return extent->kind == HS_EXTENT_RUN && extent->heap_idx == heap_idx && user % heaps->unit == 0 &&
           user - extent->va < extent->size;
}

enum hs_status hs_nt_read_lookaside(struct hs_heaps *heaps, size_t heap_idx, struct hs_error *err)
{
    const struct hs_process *process = heaps->process;
    hs_va table = heaps->front_end_va[heap_idx];
    uint64_t stride = hs_layout_off(process->layout, HS_FIELD_LOOKASIDE_SIZEOF);
    hs_va *found = NULL, *grown;
    size_t count = 0, capacity = 0;

    if (heaps->heaps[heap_idx].front_end != HS_FRONT_LOOKASIDE)
        return HS_OK;
    for (unsigned i = 0; i < LISTS; i++) {
        uint64_t declared, steps = 0;
        hs_va user;

        if (!read_head(heaps, table + i * stride, &user, &declared)) {
            hs_notes_add(heaps->notes, "heap %08" PRIx64 ": look-aside list %u at %08" PRIx64 " is not in the dump",
                         heaps->heaps[heap_idx].va, i, table + i * stride);
            break;
        }
        for (; user; steps++) {
            if (steps == LIST_MAX || steps >= declared || !may_be_block(heaps, heap_idx, user)) {
                hs_notes_add(heaps->notes,
                             "heap %08" PRIx64 ": look-aside list %u (%" PRIu64
                             " blocks declared) is lost after %" PRIu64 " blocks at %08" PRIx64,
                             heaps->heaps[heap_idx].va, i, declared, steps, user);
                break;
            }
            grown = hs_grow(found, count, &capacity, sizeof *found);
            if (!grown) {
                free(found);
                return hs_fail_memory(err, "look-aside lists");
            }
            found = grown;
            found[count++] = user - heaps->unit;
            if (!hs_space_pointer(process->space, user, &user))
                user = 0;
        }
    }
    if (count) {
        heaps->lookaside[heap_idx] = hs_arena_alloc(&heaps->arena, count, sizeof *found);
        if (!heaps->lookaside[heap_idx]) {
            free(found);
            return hs_fail_memory(err, "look-aside lists");
        }
        qsort(found, count, sizeof *found, compare_va);
        memcpy(heaps->lookaside[heap_idx], found, count * sizeof *found);
        heaps->lookaside_count[heap_idx] = count;
    }
    free(found);
    return HS_OK;
}
