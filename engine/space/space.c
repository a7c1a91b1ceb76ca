/* space.c - addresses to bytes over sorted ranges of mapped dump memory. */
#include "space/space.h"

#include <assert.h>
#include <stdlib.h>

enum hs_status hs_space_init(struct hs_space *space, const struct hs_range *ranges, size_t range_count,
                             unsigned pointer_size, struct hs_error *err)
{
    memset(space, 0, sizeof *space);
    space->pointer_size = pointer_size;
    if (range_count == 0)
        return HS_OK;
    space->ranges = calloc(range_count, sizeof *ranges);
    if (!space->ranges)
        return hs_fail_memory(err, "the table of memory ranges");
    for (size_t i = 0; i < range_count; i++) {
        struct hs_range *last = space->range_count ? &space->ranges[space->range_count - 1] : NULL;

        if (ranges[i].size == 0)
            continue;
        if (last && last->va + last->size == ranges[i].va && last->bytes + last->size == ranges[i].bytes)
            last->size += ranges[i].size;
        else
            space->ranges[space->range_count++] = ranges[i];
    }
    return HS_OK;
}

void hs_space_deinit(struct hs_space *space)
{
    free(space->ranges);
    memset(space, 0, sizeof *space);
}

size_t hs_space_range_from(const struct hs_space *space, hs_va va)
{
    size_t idx;

    assert(space->ranges || !space->range_count);
    idx = hs_sorted_find(space->ranges, space->range_count, sizeof *space->ranges, offsetof(struct hs_range, va), va);

    if (idx == SIZE_MAX)
        return 0;
    return va - space->ranges[idx].va < space->ranges[idx].size ? idx : idx + 1;
}

struct hs_span hs_space_view(const struct hs_space *space, hs_va va)
{
    size_t idx = hs_space_range_from(space, va);
    const struct hs_range *range;

    if (idx >= space->range_count || space->ranges[idx].va > va)
        return (struct hs_span){NULL, 0};
    range = &space->ranges[idx];
    return (struct hs_span){range->bytes + (va - range->va), range->size - (va - range->va)};
}

struct hs_span hs_space_view_near(const struct hs_space *space, hs_va va, size_t *hint)
{
    const struct hs_range *range = *hint < space->range_count ? &space->ranges[*hint] : NULL;

    if (!range || va < range->va || va - range->va >= range->size) {
        size_t idx = hs_space_range_from(space, va);

        if (idx == space->range_count || space->ranges[idx].va > va)
            return (struct hs_span){NULL, 0};
        *hint = idx;
        range = &space->ranges[idx];
    }
    return (struct hs_span){range->bytes + (va - range->va), range->size - (va - range->va)};
}

uint64_t hs_space_read(const struct hs_space *space, hs_va va, void *bytes_ret, uint64_t size)
{
    uint8_t *bytes = bytes_ret;
    uint64_t done = 0;

    while (done < size) {
        struct hs_span view;
        uint64_t part;

        if (va + done < va)
            break;
        view = hs_space_view(space, va + done);
        part = view.size < size - done ? view.size : size - done;
        if (part == 0)
            break;
        memcpy(bytes + done, view.bytes, part);
        done += part;
    }
    return done;
}

bool hs_space_read_all(const struct hs_space *space, hs_va va, void *bytes_ret, uint64_t size)
{
    return hs_space_read(space, va, bytes_ret, size) == size;
}

bool hs_space_uint(const struct hs_space *space, hs_va va, unsigned size, uint64_t *value_ret)
{
    uint8_t bytes[8];

    if (size > sizeof bytes || !hs_space_read_all(space, va, bytes, size))
        return false;
    *value_ret = hs_load_uint(bytes, size);
    return true;
}

bool hs_space_pointer(const struct hs_space *space, hs_va va, hs_va *value_ret)
{
    return hs_space_uint(space, va, space->pointer_size, value_ret);
}

uint64_t hs_space_present(const struct hs_space *space, hs_va va, uint64_t size)
{
    uint64_t present = 0;
    hs_va end = va + size < va ? UINT64_MAX : va + size;

    for (size_t i = hs_space_range_from(space, va); i < space->range_count && space->ranges[i].va < end; i++) {
        const struct hs_range *range = &space->ranges[i];
        hs_va from = range->va > va ? range->va : va;
        hs_va to = range->va + range->size < end ? range->va + range->size : end;

        present += to - from;
    }
    return present;
}

/* Addresses of one step between two looks at the job. */
#define FIND_STEP 0x1000000u

/* Whether `pattern` stands at `va`, where it crosses the end of a view. */
static enum hs_status matches_across(const struct hs_space *space, const void *pattern, size_t size, hs_va va)
{
    uint8_t *copy = malloc(size);
    bool same;

    if (!copy)
        return HS_ERR_MEMORY;
    same = hs_space_read_all(space, va, copy, size) && memcmp(copy, pattern, size) == 0;
    free(copy);
    return same ? HS_OK : HS_NOT_FOUND;
}

enum hs_status hs_space_find(const struct hs_space *space, const void *pattern, size_t size, hs_va from, hs_va to,
                             uint64_t align, struct hs_job *job, hs_va *va_ret)
{
    hs_va va = from;

    if (size == 0 || align == 0 || to < size)
        return HS_NOT_FOUND;
    while (va <= to - size) {
        size_t idx = hs_space_range_from(space, va);
        struct hs_span view;
        const uint8_t *hit;

        if (hs_job_stopped(job))
            return HS_ERR_CANCELLED;
        if (idx == space->range_count)
            return HS_NOT_FOUND;
        if (space->ranges[idx].va > va) {
            va = space->ranges[idx].va;
            continue;
        }
        view = hs_space_view(space, va);
        assert(view.bytes); /* the range that holds va */
        if (view.size < size) {
            enum hs_status status = HS_NOT_FOUND;

            if (va % align == 0 && memcmp(view.bytes, pattern, view.size) == 0)
                status = matches_across(space, pattern, size, va);
            if (status == HS_OK)
                *va_ret = va;
            if (status != HS_NOT_FOUND)
                return status;
            va++;
            continue;
        }
        if (view.size > to - va)
            view.size = to - va;
        if (view.size > FIND_STEP + size)
            view.size = FIND_STEP + size;
        hit = memmem(view.bytes, view.size, pattern, size);
        if (!hit) {
            va += view.size - size + 1;
            continue;
        }
        va += (uint64_t)(hit - view.bytes);
        if (va % align == 0) {
            *va_ret = va;
            return HS_OK;
        }
        va++;
    }
    return HS_NOT_FOUND;
}
