/* bytes.c - bounds-checked integers out of raw bytes. */
#include "base/base.h"

uint64_t hs_load_uint(const void *bytes, unsigned size)
{
    const uint8_t *b = bytes;
    uint64_t value = 0;

    for (unsigned i = 0; i < size && i < 8; i++)
        value |= (uint64_t)b[i] << (8 * i);
    return value;
}

bool hs_span_part(struct hs_span span, uint64_t off, uint64_t size, struct hs_span *part_ret)
{
    if (!span.bytes || off > span.size || size > span.size - off)
        return false;
    part_ret->bytes = span.bytes + off;
    part_ret->size = size;
    return true;
}

bool hs_span_u16(struct hs_span span, uint64_t off, uint16_t *value_ret)
{
    struct hs_span part;

    if (!hs_span_part(span, off, 2, &part))
        return false;
    *value_ret = hs_load_u16(part.bytes);
    return true;
}

bool hs_span_u32(struct hs_span span, uint64_t off, uint32_t *value_ret)
{
    struct hs_span part;

    if (!hs_span_part(span, off, 4, &part))
        return false;
    *value_ret = hs_load_u32(part.bytes);
    return true;
}

bool hs_span_u64(struct hs_span span, uint64_t off, uint64_t *value_ret)
{
    struct hs_span part;

    if (!hs_span_part(span, off, 8, &part))
        return false;
    *value_ret = hs_load_u64(part.bytes);
    return true;
}
