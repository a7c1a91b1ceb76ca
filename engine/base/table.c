/* table.c - memory that lives as long as its owner, and look-up in sorted arrays. */
#include "base/base.h"

#include <stddef.h>
#include <stdlib.h>

#define CHUNK_SIZE 0x4000u

struct hs_arena_chunk {
    struct hs_arena_chunk *next;
    size_t used, size;
    max_align_t bytes[];
};

void hs_arena_init(struct hs_arena *arena)
{
    arena->chunks = NULL;
}

void hs_arena_deinit(struct hs_arena *arena)
{
    while (arena->chunks) {
        struct hs_arena_chunk *next = arena->chunks->next;
        free(arena->chunks);
        arena->chunks = next;
    }
}

void *hs_arena_alloc(struct hs_arena *arena, uint64_t count, size_t size)
{
    const size_t align = sizeof(max_align_t);
    struct hs_arena_chunk *chunk = arena->chunks;
    uint64_t wanted;
    void *bytes;

    if (!hs_mul_u64(count, size, &wanted) || wanted > SIZE_MAX / 2)
        return NULL;
    wanted = (wanted + align - 1) / align * align;
    if (!chunk || chunk->size - chunk->used < wanted) {
        size_t chunk_size = wanted > CHUNK_SIZE ? (size_t)wanted : CHUNK_SIZE;

        chunk = calloc(1, sizeof *chunk + chunk_size);
        if (!chunk)
            return NULL;
        chunk->size = chunk_size;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
    }
    bytes = (char *)chunk->bytes + chunk->used;
    chunk->used += (size_t)wanted;
    return bytes;
}

const char *hs_arena_string(struct hs_arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = hs_arena_alloc(arena, size, 1);

    return copy ? memcpy(copy, text, size) : NULL;
}

size_t hs_sorted_find(const void *array, size_t count, size_t element_size, size_t key_off, uint64_t key)
{
    const char *elements = array;
    size_t low = 0, high = count; /* elements before `low` have keys <= key, those from `high` on have larger ones */

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        uint64_t found;

        memcpy(&found, elements + middle * element_size + key_off, sizeof found);
        if (found <= key)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? low - 1 : SIZE_MAX;
}
