/* heap_writer.h - writes small processes with Windows XP and 2003 heaps as minidumps in memory.
 *
 * Its offsets are its own (heap_writer.c) and none of the engine's: a wrong one there cannot agree with itself. What it
 * plants it also keeps as a list of struct hw_block, in the order in which the engine must number the blocks. */
#ifndef HEAP_WRITER_H
#define HEAP_WRITER_H

#include "dump/dump.h"

/* ---- a process ---- */

#define HW_AREA_MAX 160u
#define HW_MODULE_MAX 4u

struct hw_area {
    uint64_t va, size;
    uint8_t *bytes;
    bool absent; /* the dump does not hold it */
};

struct hw_process {
    unsigned pointer;      /* 4 or 8 */
    uint32_t major, minor; /* Windows 5.1 (x86) or 5.2 (x64) */
    uint32_t global_flag;
    bool no_teb; /* the thread's TEB is not there, so that nothing leads to the PEB */
    struct hw_area areas[HW_AREA_MAX];
    size_t area_count;
    uint64_t heap_list[64];
    size_t heap_count;
    uint32_t told_heap_count; /* if not 0, NumberOfHeaps */
    struct {
        uint64_t va, size;
        const char *name;
    } modules[HW_MODULE_MAX];
    size_t module_count;
    struct hw_area infos[8]; /* MemoryInfoList, if any: `absent` means MEM_RESERVE */
    size_t info_count;
};

void hw_process_init(struct hw_process *process, unsigned pointer);
void hw_process_deinit(struct hw_process *process);

/* Zeroed memory of the process. Areas may not overlap. */
uint8_t *hw_map(struct hw_process *process, uint64_t va, uint64_t size);
/* The bytes at `va`; the test fails if they are not mapped. */
uint8_t *hw_at(struct hw_process *process, uint64_t va);
void hw_put(struct hw_process *process, uint64_t va, unsigned size, uint64_t value);
void hw_put_pointer(struct hw_process *process, uint64_t va, uint64_t value);
uint64_t hw_get(struct hw_process *process, uint64_t va, unsigned size);
/* [va, va + size) is left out of the dump, or becomes a memory range of its own that follows no other in the file. */
void hw_omit(struct hw_process *process, uint64_t va, uint64_t size);
void hw_split(struct hw_process *process, uint64_t va);
void hw_module(struct hw_process *process, const char *name, uint64_t va, uint64_t size);

/* The process as a minidump, allocated to the byte (free it when the dump is closed). */
uint8_t *hw_minidump(const struct hw_process *process, size_t *size_ret);
/* hs_dump_open_bytes over that; *bytes_ret belongs to the caller. */
struct hs_dump *hw_open(const struct hw_process *process, unsigned thread_count, uint8_t **bytes_ret);

/* ---- heaps ---- */

struct hw_block {
    uint64_t va, user_va, size, total;
    enum hs_block_state state;
    unsigned heap_idx, segment_idx; /* segment_idx UINT32_MAX: large */
    uint8_t flags, unused_bytes, small_tag;
    uint16_t previous_units;
    bool large, has_stored;
    uint16_t stored, tag;
    uint64_t settable;
    bool first_behind_hole;
};

#define HW_SEGMENT_MAX 64u

struct hw_segment {
    uint64_t va, base, reserve, first_entry, next; /* next: where the next block goes */
    uint64_t mapped_to;                            /* end of the run being filled */
    uint64_t uncommitted;
    unsigned hole_count;
    uint64_t last_hole_record;
    uint16_t previous_units;
    struct hw_block *blocks;
    size_t block_count, block_capacity;
};

struct hw_heap {
    struct hw_process *process;
    unsigned heap_idx, unit, header_off;
    uint64_t va;
    uint32_t flags;
    struct hw_segment segments[HW_SEGMENT_MAX];
    unsigned segment_count;
    uint64_t hole_records, hole_records_end;
    struct hw_block larges[16];
    size_t large_count;
    uint64_t last_large;
};

#define HW_CAPTURE 0x08000000u /* heap flag: record stack traces */

/* What to plant. */
struct hw_plan {
    enum hs_block_state state; /* BUSY, FREE, INTERNAL, LOOKASIDE (planted as busy; link it with hw_lookaside) */
    uint64_t size;             /* busy: bytes asked for; else user bytes in all */
    uint8_t flags;             /* besides busy and extra */
    bool extra, tail_fill;
    uint16_t stored, tag;
    uint64_t settable;
    uint8_t small_tag;
    unsigned more_unused; /* units given beyond need */
};

struct hw_heap_plan {
    uint32_t flags;
    bool lock;
    unsigned header_size; /* 0: as Windows: 0x640 on x86, 0xbc0 on x64 */
    uint64_t reserve;     /* of its first segment; 0: 0x40000 */
};

/* A heap with its first segment at `va`, added to the PEB's list. */
void hw_heap_init(struct hw_heap *heap, struct hw_process *process, uint64_t va, const struct hw_heap_plan *plan);
void hw_heap_deinit(struct hw_heap *heap);
void hw_heap_segment(struct hw_heap *heap, uint64_t va, uint64_t reserve);

/* Each works on the segment added last. */
const struct hw_block *hw_block(struct hw_heap *heap, const struct hw_plan *plan);
const struct hw_block *hw_busy(struct hw_heap *heap, uint64_t size);
const struct hw_block *hw_free(struct hw_heap *heap, uint64_t user_size);
/* A free block up to the next page border (at least one page of it if `more_pages`). */
const struct hw_block *hw_fill(struct hw_heap *heap, unsigned more_pages);
/* An uncommitted range of `size` bytes; the block before it must end at a page border. */
void hw_hole(struct hw_heap *heap, uint64_t size);
/* The next block's PreviousSize will be this (real heaps have 0 behind a hole). */
void hw_previous(struct hw_heap *heap, uint16_t units);
/* Ends the segment: a free block to the page border, the rest uncommitted. `to_the_end`: committed to its end. */
void hw_segment_end(struct hw_heap *heap, bool to_the_end);
/* A large block; `commit` 0: as much as is needed. */
const struct hw_block *hw_large(struct hw_heap *heap, uint64_t va, const struct hw_plan *plan, uint64_t commit);
/* An internal block with the look-aside array, at its natural place; lists are filled by hw_lookaside. */
uint64_t hw_front_end(struct hw_heap *heap, uint8_t type);
void hw_lookaside(struct hw_heap *heap, uint64_t table, unsigned list, const uint64_t *users, size_t count);

/* Writes header `block` again with other numbers: what tests damage it with. */
void hw_header(struct hw_heap *heap, uint64_t va, uint16_t units, uint16_t previous, uint8_t flags, uint8_t unused);

/* All blocks of some heaps in id order; freed by the caller. */
struct hw_block *hw_all(struct hw_heap *const *heaps, size_t heap_count, size_t *count_ret);

/* Fails the test unless the engine's block is the planted one. */
void hw_assert_block(const struct hs_block *found, const struct hw_block *planted, uint32_t id);
/* All blocks of a dump, by id, cursor and address. */
void hw_assert_blocks(struct hs_dump *dump, const struct hw_block *planted, size_t count);
/* A note of the dump holds both texts (NULL: any). */
bool hw_has_note(struct hs_dump *dump, const char *one, const char *two);
/* Every block lies where it says, none overlaps the next, and blocks and unread bytes of a segment fill it. */
void hw_check_invariants(struct hs_dump *dump);

/* ---- the stack trace database ---- */

struct hw_traces {
    struct hw_process *process;
    uint64_t va, array_va, next_lower;
    uint32_t count;
};

/* A database at `va` with its index array below `array_va`; memory for both is mapped as one area. */
void hw_traces_init(struct hw_traces *traces, struct hw_process *process, uint64_t va, uint64_t array_va);
/* Adds the next entry; returns its address. */
uint64_t hw_trace(struct hw_traces *traces, uint32_t count, const uint64_t *frames, unsigned depth);
/* Writes the figures. */
void hw_traces_end(struct hw_traces *traces);
/* Field of the database: 'a' added, 'i' index array, 'c' commit base, 'l' lower limit, 'u' upper limit, 'n' next lower,
 * 'N' next upper, 'b' bucket count, 'k' looked up, 'p' precommitted, 'd' dump in progress, 'A' 'R' 'O' lock
 * routines. */
uint64_t hw_trace_field(const struct hw_traces *traces, char field, unsigned *size_ret);
void hw_trace_put(struct hw_traces *traces, char field, uint64_t value);

/* ---- two heaps, opened ---- */

struct hw_dump {
    struct hw_process process;
    struct hw_heap heaps[2];
    struct hs_dump *dump;
    uint8_t *bytes;
    const struct hs_blocks *blocks;
    uint32_t count; /* of them */
};

/* Opens what is planted in `process` and walks its heaps. */
void hw_dump_open(struct hw_dump *dump, unsigned thread_count);
void hw_dump_close(struct hw_dump *dump);

#endif
