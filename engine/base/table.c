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

struct hs_map_slot {
    uint64_t key, value; /* value 0: free */
};

#define MAP_START 256u

void *hs_grow(void *array, size_t count, size_t *capacity, size_t element_size)
{
    size_t wanted = *capacity ? *capacity * 2 : 64;
    void *grown;

    if (count < *capacity)
        return array;
    grown = wanted <= SIZE_MAX / element_size ? realloc(array, wanted * element_size) : NULL;
    if (grown)
        *capacity = wanted;
    return grown;
}

void hs_map_init(struct hs_map *map)
{
    memset(map, 0, sizeof *map);
}

void hs_map_deinit(struct hs_map *map)
{
    free(map->slots);
    hs_map_init(map);
}

static struct hs_map_slot *map_slot(const struct hs_map *map, uint64_t key)
{
    uint64_t hash = hs_hash(key);
    size_t idx = (hash ^ hash >> 32) & (map->capacity - 1);

    while (map->slots[idx].value && map->slots[idx].key != key)
        idx = (idx + 1) & (map->capacity - 1);
    return &map->slots[idx];
}

static bool map_grow(struct hs_map *map)
{
    struct hs_map bigger = {.capacity = map->capacity ? map->capacity * 2 : MAP_START, .count = map->count};

    bigger.slots = calloc(bigger.capacity, sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].value)
            *map_slot(&bigger, map->slots[i].key) = map->slots[i];
    free(map->slots);
    *map = bigger;
    return true;
}

uint64_t *hs_map_value(struct hs_map *map, uint64_t key)
{
    struct hs_map_slot *slot;

    if (map->count * 2 >= map->capacity && !map_grow(map))
        return NULL;
    slot = map_slot(map, key);
    if (!slot->value) {
        slot->key = key;
        map->count++;
    }
    return &slot->value;
}

uint64_t hs_map_find(const struct hs_map *map, uint64_t key)
{
    return map->capacity ? map_slot(map, key)->value : 0;
}

bool hs_map_next(const struct hs_map *map, size_t *place, uint64_t *key_ret, uint64_t *value_ret)
{
    while (*place < map->capacity) {
        const struct hs_map_slot *slot = &map->slots[(*place)++];

        if (slot->value) {
            *key_ret = slot->key;
            *value_ret = slot->value;
            return true;
        }
    }
    return false;
}
