/* reader.c - bytes of an image by RVA. An image in memory has its RVAs as offsets from its base; what an RVA or count
 * claims is never read past the end that the dump's module list gives the image. */
#include "image/pe.h"

#include <inttypes.h>
#include <stdlib.h>

enum hs_status hs_pe_inside(const struct hs_pe *pe, const char *what, uint64_t rva, uint64_t size,
                            struct hs_error *trouble)
{
    if (rva < pe->limit && size <= pe->limit - rva)
        return HS_OK;
    return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                   "%s at rva 0x%" PRIx64 " (0x%" PRIx64 " bytes) lies outside the image of 0x%" PRIx32 " bytes", what,
                   rva, size, pe->limit);
}

/* Bytes at `rva` and behind it that are contiguous in the dump; clipped to the image. */
static struct hs_span view(struct hs_pe *pe, uint64_t rva)
{
    hs_va va = pe->image->base + rva;
    const struct hs_range *range = pe->range;
    uint64_t size;

    if (rva >= pe->limit)
        return (struct hs_span){NULL, 0};
    if (!range || va - range->va >= range->size) {
        size_t idx = hs_space_range_from(pe->space, va);

        if (idx == pe->space->range_count || pe->space->ranges[idx].va > va)
            return (struct hs_span){NULL, 0};
        pe->range = range = &pe->space->ranges[idx];
    }
    size = range->size - (va - range->va);
    if (size > pe->limit - rva)
        size = pe->limit - rva;
    return (struct hs_span){range->bytes + (va - range->va), size};
}

static enum hs_status fail_absent(const struct hs_pe *pe, const char *what, uint64_t rva, struct hs_error *trouble)
{
    hs_va va = pe->image->base + rva;

    return hs_fail(trouble, HS_ERR_UNMAPPED, HS_NO_OFF, va, "%s at 0x%" PRIx64 " is not in the dump", what, va);
}

enum hs_status hs_pe_read(struct hs_pe *pe, const char *what, uint64_t rva, void *bytes_ret, uint64_t size,
                          struct hs_error *trouble)
{
    enum hs_status status = hs_pe_inside(pe, what, rva, size, trouble);
    struct hs_span span;

    if (status != HS_OK)
        return status;
    span = view(pe, rva);
    if (span.bytes && span.size >= size)
        memcpy(bytes_ret, span.bytes, size);
    else if (!hs_space_read_all(pe->space, pe->image->base + rva, bytes_ret, size))
        return fail_absent(pe, what, rva, trouble);
    return HS_OK;
}

/* Copies what the dump holds of [rva, rva + size) to its place in `bytes`. Returns how many bytes that were. */
static uint64_t copy_present(const struct hs_pe *pe, uint64_t rva, uint64_t size, uint8_t *bytes)
{
    const struct hs_space *space = pe->space;
    hs_va from = pe->image->base + rva, to = from + size;
    uint64_t present = 0;

    for (size_t i = hs_space_range_from(space, from); i < space->range_count && space->ranges[i].va < to; i++) {
        const struct hs_range *range = &space->ranges[i];
        hs_va begin = range->va > from ? range->va : from;
        uint64_t part = range->size - (begin - range->va);

        if (part > to - begin)
            part = to - begin;
        memcpy(bytes + (begin - from), range->bytes + (begin - range->va), part);
        present += part;
    }
    return present;
}

enum hs_status hs_pe_table_init(struct hs_pe *pe, struct hs_pe_table *table, const char *what, uint64_t rva,
                                uint32_t count, uint32_t element_size, struct hs_error *trouble)
{
    enum hs_status status = hs_pe_inside(pe, what, rva, element_size, trouble);
    struct hs_span span;
    uint64_t size;

    memset(table, 0, sizeof *table);
    if (count == 0)
        return HS_OK;
    if (status != HS_OK)
        return status;
    if (count > (pe->limit - rva) / element_size)
        count = (uint32_t)((pe->limit - rva) / element_size);
    size = (uint64_t)count * element_size;
    table->element_size = element_size;
    table->va = pe->image->base + rva;
    span = view(pe, rva);
    if (span.size >= size) {
        table->bytes = span.bytes;
        table->count = count;
        return HS_OK;
    }
    if (hs_space_present(pe->space, table->va, size) == 0)
        return fail_absent(pe, what, rva, trouble);
    table->copy = calloc(count, element_size);
    if (!table->copy)
        return hs_fail_memory(trouble, what);
    table->has_gaps = copy_present(pe, rva, size, table->copy) < size;
    table->bytes = table->copy;
    table->count = count;
    return HS_OK;
}

void hs_pe_table_deinit(struct hs_pe_table *table)
{
    free(table->copy);
    memset(table, 0, sizeof *table);
}

bool hs_pe_table_has(const struct hs_pe *pe, const struct hs_pe_table *table, uint32_t idx)
{
    hs_va va = table->va + (uint64_t)idx * table->element_size;

    return !table->has_gaps || hs_space_present(pe->space, va, table->element_size) == table->element_size;
}

bool hs_pe_name(struct hs_pe *pe, uint64_t rva, struct hs_span *name_ret)
{
    struct hs_span span = view(pe, rva);
    const uint8_t *end;

    if (span.size == 0)
        return false;
    if (span.size > sizeof pe->scratch)
        span.size = sizeof pe->scratch;
    end = memchr(span.bytes, 0, span.size);
    if (!end && span.size < sizeof pe->scratch) {
        uint64_t size = pe->limit - rva < sizeof pe->scratch ? pe->limit - rva : sizeof pe->scratch;

        span.bytes = pe->scratch;
        span.size = hs_space_read(pe->space, pe->image->base + rva, pe->scratch, size);
        end = memchr(span.bytes, 0, span.size);
    }
    if (!end || end == span.bytes)
        return false;
    *name_ret = (struct hs_span){span.bytes, (uint64_t)(end - span.bytes)};
    return true;
}

const char *hs_pe_text(struct hs_pe *pe, struct hs_span bytes)
{
    uint64_t plain = 0;

    /* Nearly every name is plain ASCII, and there are thousands: those need no escapes and no detour. */
    while (plain < bytes.size && bytes.bytes[plain] >= ' ' && bytes.bytes[plain] <= '~')
        plain++;
    if (plain == bytes.size) {
        char *copy = hs_arena_alloc(&pe->image->arena, plain + 1, 1);

        return copy && plain ? memcpy(copy, bytes.bytes, plain) : copy;
    }
    pe->text.size = 0;
    hs_text_add_escaped(&pe->text, bytes.bytes, bytes.size, false);
    if (pe->text.failed)
        return NULL;
    return hs_arena_string(&pe->image->arena, pe->text.size ? pe->text.bytes : "");
}
