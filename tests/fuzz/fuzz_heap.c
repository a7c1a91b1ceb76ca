/* fuzz_heap.c - any bytes as heap memory of a small process: walking, finding and grouping must neither crash nor hang,
 * and what they say must agree.
 *
 * The first byte chooses the pointer width, which page is missing and how many threads walk. The rest is memory from
 * the heap's address on; a second heap lies in its middle. */
#include "dump/dump.h"
#include "query/query.h"

#include <stdlib.h>

#define HEAP 0x150000u
#define BASE_OF_LIST 0x10000u
#define MEMORY_MAX 0x40000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void store(uint8_t *bytes, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static void check(bool holds)
{
    if (!holds)
        __builtin_trap();
}

static void check_blocks(const struct hs_blocks *blocks, struct hs_dump *dump)
{
    struct hs_block block, found, last = {0};
    uint32_t count = hs_blocks_count(blocks);

    for (uint32_t id = 0; id < count; id++) {
        check(hs_blocks_get(blocks, id, &block) == HS_OK && block.id == id && block.total > 0);
        check(block.state != HS_BLOCK_BUSY || block.size <= block.total + 0x40);
        check(id == 0 || block.large || last.large || last.heap_idx != block.heap_idx ||
              last.segment_idx != block.segment_idx || last.va + last.total <= block.va);
        last = block;
    }
    for (uint32_t id = 0; id < count; id += 1 + count / 64) {
        check(hs_blocks_get(blocks, id, &block) == HS_OK);
        check(hs_blocks_find(blocks, block.va, &found) == HS_OK && found.id == id);
    }
    for (hs_va va = HEAP - 32; va < HEAP + MEMORY_MAX; va += 997)
        if (hs_blocks_find(blocks, va, &found) == HS_OK)
            check(found.id < count);
    (void)dump;
}

/* A summary says what the block says. */
static void check_summaries(const struct hs_blocks *blocks)
{
    const uint64_t *summaries = hs_blocks_summaries(blocks, 2);
    struct hs_block block;
    struct hs_brief brief;

    for (uint32_t id = 0; summaries && id < hs_blocks_count(blocks); id++) {
        check(hs_blocks_get(blocks, id, &block) == HS_OK);
        hs_summary_brief(blocks, id, summaries[id], &brief);
        check(brief.state == block.state && brief.size == block.size && brief.total == block.total &&
              brief.flags == block.flags);
        check(hs_summary_stored(summaries[id]) == (block.has_stored ? block.stored : UINT32_MAX));
    }
}

static void group(struct hs_dump *dump, uint8_t choice)
{
    static const enum hs_key keys[][2] = {{HS_KEY_SIZE, HS_KEY_HEAP},
                                          {HS_KEY_STORED, HS_KEY_FIRST_WORD},
                                          {HS_KEY_SIZE_CLASS, HS_KEY_TAG},
                                          {HS_KEY_STATE, HS_KEY_FLAGS}};
    struct hs_groups *groups = NULL;
    struct hs_set *set = NULL;
    uint64_t count = 0, bytes = 0;

    if (hs_set_create(dump, NULL, NULL, &set, NULL) != HS_OK)
        return;
    if (hs_set_group(set, keys[choice % 4], NULL, 2, NULL, &groups, NULL) == HS_OK) {
        for (size_t i = 0; i < hs_groups_count(groups); i++) {
            struct hs_group group;

            check(hs_groups_get(groups, i, &group) == HS_OK);
            count += group.count;
            bytes += group.bytes;
        }
        check(count == hs_set_count(set) && bytes == hs_set_bytes(set));
        hs_groups_destroy(groups);
    }
    hs_set_destroy(set);
}

/* A process of one list of heaps, found by a PEB that a scan finds, and the memory. */
static uint8_t *write_dump(const uint8_t *data, size_t size, uint8_t choice, size_t *size_ret)
{
    const unsigned pointer = choice & 1 ? 8 : 4;
    const size_t directory = 32, system = directory + 24, list = system + 56;
    const uint64_t missing = (uint64_t)(choice >> 2 & 15) * 0x1000;
    uint64_t head = size, tail = 0, tail_at = 0;
    size_t memory, total;
    uint8_t *bytes, *peb;

    if (missing && missing + 0x1000 < size) {
        head = missing;
        tail_at = missing + 0x1000;
        tail = size - tail_at;
    }
    memory = list + 16 + 3 * 16;
    total = memory + 0x1000 + head + tail;
    bytes = calloc(1, total);
    if (!bytes)
        return NULL;
    store(bytes, 4, 0x504d444d);
    store(bytes + 4, 2, 0xa793);
    store(bytes + 8, 4, 2);
    store(bytes + 12, 4, directory);
    store(bytes + directory, 4, 7);
    store(bytes + directory + 4, 4, 56);
    store(bytes + directory + 8, 4, system);
    store(bytes + directory + 12, 4, 9);
    store(bytes + directory + 16, 4, 64);
    store(bytes + directory + 20, 4, list);
    store(bytes + system, 2, pointer == 8 ? 9 : 0);
    store(bytes + system + 8, 4, 5);
    store(bytes + system + 12, 4, 1);
    store(bytes + list, 8, tail ? 3 : 2);
    store(bytes + list + 8, 8, memory);
    store(bytes + list + 16, 8, BASE_OF_LIST);
    store(bytes + list + 24, 8, 0x1000);
    store(bytes + list + 32, 8, HEAP);
    store(bytes + list + 40, 8, head);
    store(bytes + list + 48, 8, HEAP + tail_at);
    store(bytes + list + 56, 8, tail);
    peb = bytes + memory;
    store(peb + (pointer == 4 ? 8 : 0x10), pointer, BASE_OF_LIST);
    store(peb + (pointer == 4 ? 0x88 : 0xe8), 4, 2);
    store(peb + (pointer == 4 ? 0x8c : 0xec), 4, 16);
    store(peb + (pointer == 4 ? 0x90 : 0xf0), pointer, BASE_OF_LIST + 0x800);
    store(peb + 0x800, pointer, HEAP);
    store(peb + 0x800 + pointer, pointer, HEAP + 0x2000);
    memcpy(bytes + memory + 0x1000, data, head);
    memcpy(bytes + memory + 0x1000 + head, data + tail_at, tail);
    *size_ret = total;
    return bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_open_options options = {.thread_count = 1};
    const struct hs_blocks *blocks;
    struct hs_dump *dump;
    struct hs_usage usage;
    size_t dump_size;
    uint8_t *bytes;

    if (size < 1 || size > MEMORY_MAX)
        return 0;
    options.thread_count = data[0] & 2 ? 2 : 1;
    bytes = write_dump(data + 1, size - 1, data[0], &dump_size);
    if (!bytes)
        return 0;
    if (hs_dump_open_bytes("fuzz", bytes, dump_size, &options, &dump, NULL) == HS_OK) {
        if (hs_dump_blocks(dump, NULL, &blocks, NULL) == HS_OK) {
            check_blocks(blocks, dump);
            group(dump, data[0] >> 6);
            check_summaries(blocks);
            group(dump, data[0] >> 6);
            (void)!hs_dump_usage(dump, &usage, NULL);
        }
        hs_dump_close(dump);
    }
    free(bytes);
    return 0;
}
