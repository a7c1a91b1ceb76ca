/* fuzz_trace.c - any bytes as a stack trace database: finding and reading it must neither crash nor hang.
 *
 * The first byte chooses the pointer width. The rest is memory; ntdll's only data points to its start. */
#include "dump/dump.h"

#include <stdlib.h>

#define DATABASE 0x160000u
#define NTDLL 0x7c900000u
#define MEMORY_MAX 0x40000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        __builtin_trap();
}

static void read_all(const struct hs_traces *traces)
{
    const struct hs_traces_info *info = hs_traces_info(traces);
    struct hs_trace trace;
    uint32_t readable = 0;

    check(info->count > 0 && info->unreadable <= info->count);
    for (uint32_t i = 1; i && i <= info->count && i < 100000; i++) {
        if (hs_traces_get(traces, i, &trace, NULL) != HS_OK)
            continue;
        check(trace.depth >= 1 && trace.depth <= HS_TRACE_DEPTH_MAX && trace.stored == (uint16_t)i);
        readable++;
    }
    check(info->count >= 100000 || readable + info->unreadable == info->count);
    for (uint32_t stored = 0; stored <= 0xffff; stored += 251) {
        uint32_t count = hs_traces_candidate_count(traces, (uint16_t)stored);

        check(count == 0 || hs_traces_candidate(traces, (uint16_t)stored, count - 1) <= info->count);
        check(hs_traces_candidate(traces, (uint16_t)stored, count) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t pointer_bytes[0x1000] = {0};
    struct hs_range ranges[2];
    struct hs_process_module module = {
        .facts = {.base = NTDLL, .size = 0x1000, .name = "ntdll", .path = "", .pdb_name = "", .pdb_id = ""}};
    uint32_t by_base = 0;
    struct hs_process process = {.modules = &module, .module_count = 1, .modules_by_base = &by_base};
    struct hs_traces traces;
    struct hs_space space;
    struct hs_notes notes;
    unsigned pointer;

    if (size < 1 || size > MEMORY_MAX)
        return 0;
    pointer = data[0] & 1 ? 8 : 4;
    for (unsigned i = 0; i < 4; i++)
        pointer_bytes[0x800 + i] = (uint8_t)(DATABASE >> (8 * i));
    ranges[0] = (struct hs_range){DATABASE, size - 1, data + 1};
    ranges[1] = (struct hs_range){NTDLL, sizeof pointer_bytes, pointer_bytes};
    if (hs_space_init(&space, size == 1 ? ranges + 1 : ranges, size == 1 ? 1 : 2, pointer, NULL) != HS_OK)
        return 0;
    hs_notes_init(&notes);
    process.space = &space;
    process.layout = hs_layout_get(pointer);
    process.notes = &notes;
    process.facts.windows_major = 5;
    process.facts.windows = "5.1";
    hs_arena_init(&process.arena);
    pthread_mutex_init(&process.lock, NULL);
    if (hs_traces_init(&traces, &process, &notes, NULL, NULL) == HS_OK)
        read_all(&traces);
    hs_process_deinit_modules(&process);
    pthread_mutex_destroy(&process.lock);
    hs_arena_deinit(&process.arena);
    hs_space_deinit(&space);
    hs_notes_deinit(&notes);
    return 0;
}
