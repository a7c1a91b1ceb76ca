/* walk.c - one pass over the entries of a segment, from its base to its end.
 *
 * A header is trusted when its size keeps it inside the committed run and its PreviousSize is the size of the block
 * before it (the first block behind a hole has PreviousSize 0). Where that fails, the walk looks for the next place
 * from which several headers agree with each other; what lies between is lost and noted, and nothing else is. */
#include "heap/nt.h"

#include <inttypes.h>
#include <stdlib.h>

#define CHAIN_LINKS 4u                 /* headers that must agree before a place is trusted again */
#define LAST_LINKS 64u                 /* headers that may stand between a place and the end of its run */
#define UNKNOWN_UNITS UINT32_MAX       /* the size of the block before is not known */
#define STOP_BYTES (UINT64_C(1) << 20) /* bytes between two looks at the job */

/* Busy blocks by size: small sizes in an array, others in a map. */
#define TALLY_SIZES 4096u
struct tally {
    uint32_t small[TALLY_SIZES];
    struct hs_map large;
    bool failed;
};

/* Counts a block in (1) or out again (-1). */
static inline void tally_add(struct tally *tally, uint64_t size, int amount)
{
    uint64_t *count;

    if (!tally)
        return;
    if (size < TALLY_SIZES) {
        tally->small[size] += (uint32_t)amount;
        return;
    }
    count = hs_map_value(&tally->large, size);
    if (!count) {
        tally->failed = true;
        return;
    }
    /* One more than the count: a map's value is never 0. */
    *count += (*count ? 0 : 1) + (uint64_t)amount;
}

/* Hands the sizes of a finished walk over and frees the tally. */
static void tally_finish(struct tally *tally, struct hs_segment_walk *walk)
{
    uint64_t size, count;
    size_t place = 0, distinct = 0;

    walk->sizes_lost = !tally || tally->failed;
    if (!tally)
        return;
    for (size = 0; size < TALLY_SIZES; size++)
        distinct += tally->small[size] != 0;
    walk->sizes = calloc(distinct + tally->large.count + 1, sizeof *walk->sizes);
    walk->sizes_lost |= !walk->sizes;
    for (size = 0; walk->sizes && size < TALLY_SIZES; size++)
        if (tally->small[size])
            walk->sizes[walk->size_count++] = (struct hs_size_count){size, tally->small[size]};
    while (walk->sizes && hs_map_next(&tally->large, &place, &size, &count))
        walk->sizes[walk->size_count++] = (struct hs_size_count){size, count - 1};
    hs_map_deinit(&tally->large);
    free(tally);
}

struct walker {
    struct hs_heaps *heaps;
    const struct hs_heap_segment *segment;
    struct hs_segment_walk *walk;
    struct hs_extent *extent;     /* the run that is walked */
    hs_va before;                 /* block before the present one, if before_units is known */
    uint32_t before_units;        /* its size */
    hs_va lost_from, lost_to;     /* what was lost last in this run; equal: nothing yet */
    hs_va looked_from, looked_to; /* no header in [looked_from, looked_to) of this run can be trusted */
    struct tally *tally;          /* NULL: no memory for one */
};

/* Callers' blocks of a low-fragmentation front end lie in blocks that say both. */
static bool is_front_area(uint8_t flags)
{
    return (flags & (HS_ENTRY_BUSY | HS_ENTRY_VIRTUAL)) == (HS_ENTRY_BUSY | HS_ENTRY_VIRTUAL);
}

static inline bool is_on_first_list(const struct hs_heaps *heaps, enum hs_block_state state, uint64_t total)
{
    return state == HS_BLOCK_FREE && total >= (uint64_t)HS_NT_FREE_LISTS * heaps->unit;
}

static inline void mark(struct walker *w, hs_va va, uint64_t total, enum hs_block_state state, uint64_t size)
{
    uint64_t unit_idx = (va - w->extent->va) >> w->heaps->unit_shift;

    w->extent->starts[unit_idx / 64] |= UINT64_C(1) << (unit_idx % 64);
    w->walk->totals.count[state]++;
    w->walk->totals.total[state] += total;
    w->walk->totals.size[state] += size;
    if (state == HS_BLOCK_BUSY)
        tally_add(w->tally, size, 1);
    else if (is_on_first_list(w->heaps, state, total))
        w->walk->list_length++;
}

/* Takes the blocks of the present run that begin in [from, to) back. */
static void unmark(struct walker *w, hs_va from, hs_va to)
{
    const unsigned unit = w->heaps->unit;
    uint64_t first = (from - w->extent->va) / unit, last = (to - w->extent->va + unit - 1) / unit;

    for (uint64_t idx = first; idx < last; idx++) {
        uint64_t *word = &w->extent->starts[idx / 64];
        uint64_t bit = UINT64_C(1) << (idx % 64);
        struct hs_brief brief;

        if (*word == 0) {
            idx |= 63;
            continue;
        }
        if (!(*word & bit))
            continue;
        *word &= ~bit;
        hs_block_brief(w->heaps, w->extent, idx * unit, &brief);
        w->walk->totals.count[brief.state]--;
        w->walk->totals.total[brief.state] -= brief.total;
        w->walk->totals.size[brief.state] -= brief.size;
        if (brief.state == HS_BLOCK_BUSY)
            tally_add(w->tally, brief.size, -1);
        if (is_on_first_list(w->heaps, brief.state, brief.total))
            w->walk->list_length--;
        if (is_front_area(brief.flags))
            w->walk->front_areas--;
    }
}

/* Where blocks of the present run must end: the next hole, the end of the segment, or, where the dump lacks what
 * follows, somewhere behind the run. */
static hs_va run_limit(const struct walker *w)
{
    const struct hs_extent *extents = w->heaps->extents;
    size_t last = w->segment->first_extent + w->segment->extent_count;

    for (size_t i = (size_t)(w->extent - extents) + 1; i < last; i++)
        if (extents[i].kind == HS_EXTENT_HOLE)
            return extents[i].va;
    return w->segment->facts.end_va;
}

static struct hs_entry entry_at(const struct walker *w, hs_va va)
{
    return hs_entry_load(w->heaps, w->extent->bytes + (va - w->extent->va));
}

static bool in_run(const struct walker *w, hs_va va)
{
    return va >= w->extent->va && va - w->extent->va < w->extent->size;
}

/* Whether headers from `va` on agree with each other. */
static bool chain_agrees(const struct walker *w, hs_va va, hs_va limit)
{
    for (unsigned links = 0; links < CHAIN_LINKS; links++) {
        struct hs_entry entry = entry_at(w, va);
        hs_va next = va + (uint64_t)entry.units * w->heaps->unit;

        if (entry.units == 0 || next > limit)
            return false;
        if (!in_run(w, next)) /* the end of what is there: it must be the end of the run, too */
            return next == limit || links > 0;
        if (entry_at(w, next).previous_units != entry.units)
            return false;
        va = next;
    }
    return true;
}

/* The next trusted header at or above `va`; the end of the run if there is none. */
static hs_va resync(struct walker *w, hs_va va, hs_va limit, struct hs_job *job)
{
    hs_va end = w->extent->va + w->extent->size;
    hs_va from = va;

    /* What was searched is not searched again: headers that lead astray over and over would make it quadratic. */
    if (va >= w->looked_from && va < w->looked_to)
        va = w->looked_to;
    for (; va < end; va += w->heaps->unit) {
        if (chain_agrees(w, va, limit))
            break;
        if ((va & (STOP_BYTES - 1)) == 0 && hs_job_stopped(job))
            return end;
    }
    if (from >= w->looked_from) {
        if (from >= w->looked_to)
            w->looked_from = from;
        w->looked_to = va;
    }
    return va;
}

/* Whether headers from `va` on agree up to the end of the run: few enough that the search for them stays cheap. */
static bool reaches_limit(const struct walker *w, hs_va va, hs_va limit)
{
    for (unsigned links = 0; links < LAST_LINKS; links++) {
        struct hs_entry entry = entry_at(w, va);
        hs_va next = va + (uint64_t)entry.units * w->heaps->unit;

        if (entry.units == 0 || next > limit)
            return false;
        if (!in_run(w, next))
            return next == limit;
        if (entry_at(w, next).previous_units != entry.units)
            return false;
        va = next;
    }
    return false;
}

static void lose(struct walker *w, hs_va from, hs_va to, const char *reason)
{
    if (to <= from)
        return;
    w->walk->lost += to - from;
    if (from != w->lost_to)
        w->lost_from = from;
    w->lost_to = to;
    hs_notes_add(&w->walk->notes, "heap %08" PRIx64 ": %08" PRIx64 "..%08" PRIx64 " (0x%" PRIx64 " bytes) not read: %s",
                 w->heaps->heaps[w->segment->facts.heap_idx].va, from, to, to - from, reason);
}

/* Where the block before the header at `va` begins, as that header tells. */
static hs_va told_start(const struct walker *w, hs_va va)
{
    uint64_t size = (uint64_t)entry_at(w, va).previous_units * w->heaps->unit;

    return size < va ? va - size : 0;
}

/* Whether a trusted header tells of a block that began in what was lost last: then the blocks since are old headers
 * inside that one (it was merged from them), and its own header is what was damaged. */
static bool inside_lost(const struct walker *w, hs_va told)
{
    return told >= w->lost_from && told < w->lost_to && in_run(w, w->lost_to);
}

/* The header at `va` cannot be right. Decides what is lost and returns where the walk goes on.
 *
 * The next trusted header tells how long the block before it is, so where that one begins. If it begins at `va`, only
 * the block at `va` is damaged. If it begins where the block before `va` does, or inside of that one where trusted
 * headers stand, that block's size led astray. The search begins at `va` and not earlier: a merged free block is full of
 * old headers that agree with each other. */
static hs_va recover(struct walker *w, hs_va va, hs_va limit, const char *reason, struct hs_job *job)
{
    bool known = w->before_units != UNKNOWN_UNITS && in_run(w, w->before);
    hs_va next = resync(w, va, limit, job);
    hs_va from = va;

    if (in_run(w, next)) {
        hs_va told = told_start(w, next);

        if (inside_lost(w, told)) {
            from = w->lost_to;
        } else if (known && told == w->before) {
            from = w->before;
        } else if (known && told > w->before && told < va) {
            hs_va inside = resync(w, w->before + w->heaps->unit, limit, job);

            if (inside < va) {
                from = w->before;
                next = inside;
            }
        }
    } else if (known && !hs_job_stopped(job)) {
        /* Nothing behind tells. A block that is too long also hides the last ones before the end. */
        for (hs_va inside = w->before + w->heaps->unit; inside < va; inside += w->heaps->unit) {
            if (reaches_limit(w, inside, limit)) {
                from = w->before;
                next = inside;
                break;
            }
        }
    }
    unmark(w, from, va);
    lose(w, from, next, reason);
    w->before_units = UNKNOWN_UNITS;
    return next;
}

/* The header at `va` can be trusted, but not what it says of the block before it, or that block. Returns where the walk
 * goes on: `va` if it is the header at `va` that is wrong there. */
static hs_va settle(struct walker *w, hs_va va, hs_va limit, struct hs_job *job)
{
    hs_va told = told_start(w, va);
    hs_va from, next = va;

    if (inside_lost(w, told)) {
        from = w->lost_to;
        unmark(w, from, va);
        lose(w, from, va, "old headers inside a larger block");
    } else if (in_run(w, w->before) && told > w->before && told < va &&
               entry_at(w, told).units == entry_at(w, va).previous_units) {
        from = w->before;
        unmark(w, from, va);
        next = resync(w, from + w->heaps->unit, limit, job);
        lose(w, from, next, "the size of the block there leads over other blocks");
    } else {
        hs_notes_add(&w->walk->notes,
                     "heap %08" PRIx64 ": block %08" PRIx64 " says the block before it has 0x%x units, it has "
                     "0x%" PRIx32,
                     w->heaps->heaps[w->extent->heap_idx].va, va, (unsigned)entry_at(w, va).previous_units,
                     w->before_units);
        return va;
    }
    w->before_units = UNKNOWN_UNITS;
    return next;
}

static void mark_internal(struct walker *w, hs_va va, uint64_t total)
{
    mark(w, va, total, HS_BLOCK_INTERNAL, total > w->heaps->unit ? total - w->heaps->unit : 0);
}

/* The heap header and the segment record, before the first entry: told by addresses, not by sizes. */
static hs_va walk_start(struct walker *w, hs_va va)
{
    const struct hs_segment *segment = &w->segment->facts;

    if (va == segment->base_va && segment->va > segment->base_va && in_run(w, va)) {
        mark_internal(w, va, segment->va - va);
        va = segment->va;
    }
    if (va == segment->va && in_run(w, va)) {
        mark_internal(w, va, segment->first_entry_va - va);
        va = segment->first_entry_va;
    }
    return va < segment->first_entry_va ? segment->first_entry_va : va;
}

/* Walks the present run from `va` on; returns where its last block ends. */
static hs_va walk_run(struct walker *w, hs_va va, struct hs_job *job)
{
    const struct hs_heaps *heaps = w->heaps;
    const hs_va end = w->extent->va + w->extent->size;
    const hs_va limit = run_limit(w);
    hs_va stop_at = va + STOP_BYTES;

    while (va < end) {
        uint64_t off = va - w->extent->va;
        struct hs_entry entry = hs_entry_load(heaps, w->extent->bytes + off);
        hs_va next = va + (uint64_t)entry.units * heaps->unit;
        struct hs_brief brief;

        if (va >= stop_at) {
            hs_job_advance(job, STOP_BYTES);
            stop_at += STOP_BYTES;
            if (hs_job_stopped(job)) {
                w->walk->cancelled = true;
                return end;
            }
        }
        if (entry.units == 0 || next > limit) {
            va = recover(w, va, limit,
                         entry.units ? "a block there reaches over the end of its run" : "a block there has size 0",
                         job);
            continue;
        }
        if (w->before_units != UNKNOWN_UNITS && entry.previous_units != w->before_units) {
            if (!chain_agrees(w, va, limit)) {
                va = recover(w, va, limit, "the header there does not agree with the block before it", job);
                continue;
            }
            next = settle(w, va, limit, job);
            if (next != va) {
                va = next;
                continue;
            }
            next = va + (uint64_t)entry.units * heaps->unit;
        }
        hs_block_brief(heaps, w->extent, off, &brief);
        if (brief.state == HS_BLOCK_BUSY && entry.unused_bytes > brief.total) {
            const char *reason = "a block there has more unused bytes than it is long";

            if (chain_agrees(w, va, limit)) { /* its size is right: only it is lost */
                lose(w, va, next, reason);
                w->before_units = UNKNOWN_UNITS;
                va = next;
            } else {
                va = recover(w, va, limit, reason, job);
            }
            continue;
        }
        mark(w, va, brief.total, brief.state, brief.size);
        if (is_front_area(entry.flags))
            w->walk->front_areas++;
        w->before = va;
        w->before_units = entry.units;
        va = next;
    }
    return va;
}

void hs_nt_walk_segment(struct hs_heaps *heaps, size_t segment_idx, struct hs_job *job, struct hs_segment_walk *walk)
{
    struct walker w = {
        .heaps = heaps, .segment = &heaps->segments[segment_idx], .walk = walk, .before_units = UNKNOWN_UNITS};
    static const char missing[] = "the dump does not hold it", shared[] = "another heap has it, too";
    const char *reason = missing;
    hs_va va = w.segment->facts.base_va;

    w.tally = calloc(1, sizeof *w.tally);
    for (size_t i = 0; i < w.segment->extent_count && !walk->cancelled; i++) {
        struct hs_extent *extent = &heaps->extents[w.segment->first_extent + i];

        if (extent->size == 0) {
            reason = shared;
            continue;
        }
        w.extent = extent;
        w.lost_from = w.lost_to = w.looked_from = w.looked_to = 0;
        if (extent->va > va) {
            lose(&w, va, extent->va, reason);
            reason = missing;
            va = extent->va;
            w.before_units = UNKNOWN_UNITS;
            /* Behind a gap no block is known to begin where the run does. */
            if (extent->kind == HS_EXTENT_RUN && va > w.segment->facts.first_entry_va) {
                hs_va next = resync(&w, va, run_limit(&w), job);

                lose(&w, va, next, "it follows a gap, no header there can be trusted");
                va = next;
            }
        }
        if (extent->kind == HS_EXTENT_HOLE) {
            walk->totals.count[HS_BLOCK_UNCOMMITTED]++;
            walk->totals.total[HS_BLOCK_UNCOMMITTED] += extent->size;
            walk->totals.size[HS_BLOCK_UNCOMMITTED] += extent->size;
            va = extent->va + extent->size;
            w.before_units = UNKNOWN_UNITS;
            continue;
        }
        if (!in_run(&w, va)) /* the last block of the run before reaches over this whole run */
            continue;
        if (va < w.segment->facts.first_entry_va)
            va = walk_start(&w, va);
        va = walk_run(&w, va, job);
    }
    if (hs_job_stopped(job)) /* it may have been seen in the middle of a search, which then found nothing */
        walk->cancelled = true;
    if (!walk->cancelled && va < w.segment->facts.end_va) {
        w.extent = NULL;
        lose(&w, va, w.segment->facts.end_va, reason);
    }
    tally_finish(w.tally, walk);
}
