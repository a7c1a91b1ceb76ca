/* usage.c - is it heap at all? Committed memory of the process by what it is used for. */
#include "dump/dump.h"

#include <stdlib.h>

#define MEM_COMMIT 0x1000u
#define MEM_RESERVE 0x2000u
#define MEM_FREE 0x10000u
#define MEM_MAPPED 0x40000u
#define MEM_IMAGE 0x1000000u
#define X86_USER_END 0x7fff0000u /* without /3GB: the last 64 KiB are never given out */
#define X86_USER_START 0x10000u

const char *hs_use_name(enum hs_use use)
{
    switch (use) {
    case HS_USE_HEAP: return "heap";
    case HS_USE_TRACE: return "trace database";
    case HS_USE_STACK: return "stack";
    case HS_USE_IMAGE: return "image";
    case HS_USE_MAPPED: return "mapped";
    case HS_USE_OTHER: break;
    }
    return "other private";
}

static int compare_owners(const void *a, const void *b)
{
    const struct hs_owner *one = a, *two = b;

    if (one->va != two->va)
        return one->va < two->va ? -1 : 1;
    return one->use < two->use ? -1 : one->use > two->use;
}

/* Of owners that overlap, the one that begins lower keeps its bytes. */
struct hs_owner *hs_dump_owners(const struct hs_dump *dump, const struct hs_traces *traces, size_t *count_ret)
{
    const struct hs_heaps *heaps = &dump->heaps;
    const struct hs_process *process = &dump->process;
    struct hs_owner *owners = calloc(
        heaps->segment_count + heaps->extent_count + process->thread_count + process->module_count + 1, sizeof *owners);
    size_t count = 0, kept = 0;
    hs_va end = 0;

    if (!owners)
        return NULL;
    for (size_t i = 0; i < heaps->segment_count; i++) {
        const struct hs_segment *segment = &heaps->segments[i].facts;
        owners[count++] = (struct hs_owner){segment->base_va, segment->base_va + segment->reserved, HS_USE_HEAP};
    }
    for (size_t i = 0; i < heaps->extent_count; i++)
        if (heaps->extents[i].kind == HS_EXTENT_LARGE)
            owners[count++] =
                (struct hs_owner){heaps->extents[i].va, heaps->extents[i].va + heaps->extents[i].size, HS_USE_HEAP};
    for (size_t i = 0; i < process->thread_count; i++)
        if (process->threads[i].stack_base)
            owners[count++] =
                (struct hs_owner){process->threads[i].stack_limit, process->threads[i].stack_base, HS_USE_STACK};
    for (size_t i = 0; i < process->module_count; i++) {
        const struct hs_module *module = &process->modules[i].facts;
        owners[count++] = (struct hs_owner){module->base, module->base + module->size, HS_USE_IMAGE};
    }
    if (traces) {
        const struct hs_traces_info *info = hs_traces_info(traces);
        owners[count++] = (struct hs_owner){info->commit_va, info->index_array_va, HS_USE_TRACE};
    }
    qsort(owners, count, sizeof *owners, compare_owners);
    for (size_t i = 0; i < count; i++) {
        struct hs_owner owner = owners[i];

        if (owner.va < end)
            owner.va = end;
        if (owner.va >= owner.end)
            continue;
        end = owner.end;
        owners[kept++] = owner;
    }
    *count_ret = kept;
    return owners;
}

/* Shares the bytes of one committed region out to its owners. */
static void add_committed(struct hs_usage *usage, const struct hs_region *region, const struct hs_owner *owners,
                          size_t owner_count)
{
    hs_va end = region->va + region->size;
    uint64_t left = region->size;
    size_t i;

    usage->committed_total += region->size;
    if (region->type == MEM_IMAGE || region->type == MEM_MAPPED) {
        usage->committed[region->type == MEM_IMAGE ? HS_USE_IMAGE : HS_USE_MAPPED] += region->size;
        return;
    }
    i = hs_sorted_find(owners, owner_count, sizeof *owners, offsetof(struct hs_owner, va), region->va);
    for (i = i == SIZE_MAX ? 0 : i; i < owner_count && owners[i].va < end; i++) {
        hs_va from = owners[i].va > region->va ? owners[i].va : region->va;
        hs_va to = owners[i].end < end ? owners[i].end : end;

        if (from < to) {
            usage->committed[owners[i].use] += to - from;
            left -= to - from;
        }
    }
    usage->committed[HS_USE_OTHER] += left;
}

static void add_free(struct hs_usage *usage, hs_va va, uint64_t size)
{
    usage->free_total += size;
    if (size > usage->largest_free_size) {
        usage->largest_free_size = size;
        usage->largest_free_va = va;
    }
}

static void add_regions(const struct hs_dump *dump, struct hs_usage *usage, const struct hs_owner *owners,
                        size_t owner_count)
{
    const struct hs_process *process = &dump->process;
    bool told = dump->file->has_regions;
    hs_va end = X86_USER_START;

    for (size_t i = 0; i < process->region_count; i++) {
        const struct hs_region *region = &process->regions[i];

        if (region->state == MEM_COMMIT)
            add_committed(usage, region, owners, owner_count);
        else if (region->state == MEM_RESERVE)
            usage->reserved_total += region->size;
        else if (region->state == MEM_FREE)
            add_free(usage, region->va, region->size);
        /* Without the list, what lies between the runs of a 32-bit process is free or reserved. */
        if (!told && process->facts.pointer_size == 4 && region->va > end)
            add_free(usage, end, region->va - end);
        end = region->va + region->size;
    }
    if (!told && process->facts.pointer_size == 4 && end < X86_USER_END)
        add_free(usage, end, X86_USER_END - end);
}

enum hs_status hs_dump_usage(struct hs_dump *dump, struct hs_usage *usage_ret, struct hs_error *err)
{
    struct hs_usage usage = {.exact = dump->file->has_regions};
    const struct hs_traces *traces;
    struct hs_owner *owners;
    size_t count;
    enum hs_status status = hs_dump_heaps(dump, &count, err);

    if (status == HS_OK)
        status = hs_dump_traces(dump, NULL, &traces, err);
    if (status != HS_OK)
        return status;
    owners = hs_dump_owners(dump, traces, &count);
    if (!owners)
        return hs_fail_memory(err, "the use of memory");
    add_regions(dump, &usage, owners, count);
    free(owners);
    usage.private_total = usage.committed_total - usage.committed[HS_USE_IMAGE] - usage.committed[HS_USE_MAPPED];
    *usage_ret = usage;
    return HS_OK;
}
