/* heap.h - heaps, and the blocks they are made of. */
#ifndef HEAPSIFT_HEAP_H
#define HEAPSIFT_HEAP_H

#include <heapsift/dump.h>

#ifdef __cplusplus
extern "C" {
#endif

enum hs_heap_kind {
    HS_HEAP_UNKNOWN, /* its header is missing or is no heap's */
    HS_HEAP_NT_XP,   /* NT heap of Windows XP and 2003: read */
    HS_HEAP_NT,      /* NT heap of Vista and later: named, not read */
    HS_HEAP_SEGMENT, /* segment heap: named, not read */
    HS_HEAP_PAGE     /* page heap root: named, not read */
};

/* "nt-xp", "nt", "segment", "page", "unknown". Static. */
HS_API const char *hs_heap_kind_name(enum hs_heap_kind kind);

enum hs_front_end { HS_FRONT_NONE, HS_FRONT_LOOKASIDE, HS_FRONT_LFH };

/* A heap as its header and segment records describe it. Sizes in bytes. No block has been read for it. */
struct hs_heap {
    hs_va va;
    enum hs_heap_kind kind;
    const char *reason; /* why it is not read; "" if it is */
    uint32_t flags, force_flags;
    uint64_t reserved;     /* reserve of all segments */
    uint64_t committed;    /* of it, committed */
    uint64_t virtual_size; /* reserve up to the last committed page of each segment, as `!heap -s` counts Virt */
    uint32_t segment_count;
    uint32_t uncommitted_count; /* uncommitted ranges inside segments */
    uint32_t large_count;       /* blocks allocated with VirtualAlloc */
    uint64_t large_committed;   /* bytes */
    uint64_t free_recorded;     /* bytes the heap itself counts as free (TotalFreeSize) */
    uint32_t free_list_length;  /* free blocks of 128 units and more, which FreeLists[0] holds; known after the walk */
    bool has_lock;
    bool has_contention;
    uint32_t contention_count; /* of the lock's critical section, if has_contention */
    enum hs_front_end front_end;
    uint64_t unread_size;     /* bytes of the heap that the dump lacks or that make no sense; known after the walk */
    uint32_t unread_segments; /* segments whose records cannot be read: of a size that nobody knows, in no sum */
    uint32_t unread_large;    /* large blocks without a size that makes sense; one more where their list breaks off */
};

struct hs_segment {
    uint32_t heap_idx;
    hs_va va; /* of its record */
    hs_va base_va;
    uint64_t reserved, committed; /* bytes */
    hs_va first_entry_va, end_va; /* entries lie in [first_entry, end) */
    uint32_t uncommitted_count;
    uint64_t uncommitted_size; /* bytes */
};

/* Finds the heaps when first asked; walks no blocks. A process whose PEB is missing has heaps if they can be found by
 * their signatures; a note says so. HS_ERR_MEMORY. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_heaps(struct hs_dump *dump, size_t *count_ret, struct hs_error *err);

enum hs_heap_list {
    HS_HEAP_LIST_WHOLE,
    HS_HEAP_LIST_PART,   /* some entries cannot be read or name no heap, or there is another list (of 32-bit heaps, in a
                            WOW64 process) that is not read: heaps may be missing */
    HS_HEAP_LIST_MISSING /* no entry can be read: heaps were looked for by their signatures, some may be missing */
};

/* "whole", "part", "missing". Static. */
HS_API const char *hs_heap_list_name(enum hs_heap_list list);
/* After hs_dump_heaps: how much of the PEB's list of heaps could be read. */
HS_API enum hs_heap_list hs_dump_heap_list(const struct hs_dump *dump);
/* After hs_dump_heaps: the idx-th heap in the order of the PEB's list. NULL past the last. */
HS_API const struct hs_heap *hs_dump_heap(const struct hs_dump *dump, size_t idx);
HS_API size_t hs_dump_segment_count(const struct hs_dump *dump, size_t heap_idx);
HS_API const struct hs_segment *hs_dump_segment(const struct hs_dump *dump, size_t heap_idx, size_t idx);
/* Idx of the heap at `va`, or, if `va` is below the number of heaps, that heap (from 0). HS_NOT_FOUND. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_heap_named(const struct hs_dump *dump, hs_va va, size_t *idx_ret);

enum hs_block_state {
    HS_BLOCK_BUSY, /* belongs to a caller */
    HS_BLOCK_FREE,
    HS_BLOCK_LOOKASIDE,  /* freed by its caller, kept on a look-aside list (its header still says busy) */
    HS_BLOCK_INTERNAL,   /* the heap's own: headers, look-aside array, front-end areas */
    HS_BLOCK_UNCOMMITTED /* a hole in a segment */
};
#define HS_BLOCK_STATE_COUNT 5

/* "busy", "free", "lookaside", "internal", "uncommitted". Static. */
HS_API const char *hs_block_state_name(enum hs_block_state state);

/* Bits of hs_block.flags as Windows defines them. */
#define HS_ENTRY_BUSY 0x01u
#define HS_ENTRY_EXTRA 0x02u
#define HS_ENTRY_FILL 0x04u
#define HS_ENTRY_VIRTUAL 0x08u
#define HS_ENTRY_LAST 0x10u
#define HS_ENTRY_SETTABLE 0xe0u

/* What became of the bytes that heap checking put there: 0xab behind what a caller asked for (busy blocks), 0xfeee in
 * free blocks. Broken means that somebody wrote past the end of a block, or into memory that had been freed. */
enum hs_fill {
    HS_FILL_NONE, /* the block has none, or the dump does not hold it */
    HS_FILL_INTACT,
    HS_FILL_BROKEN
};

/* "none", "intact", "broken". Static. */
HS_API const char *hs_fill_name(enum hs_fill fill);

/* One block. Filled on demand; holds no pointer. */
struct hs_block {
    uint32_t id;    /* 0 .. hs_blocks_count - 1: heap by heap, each in segment order, then address order; large
                              blocks behind the segments */
    hs_va va;       /* header; for an uncommitted range its first byte */
    hs_va user_va;  /* what the program got */
    uint64_t size;  /* busy: bytes asked for; free, lookaside, internal: total - header; uncommitted: total */
    uint64_t total; /* bytes from header to the next header (large: to the end of what is committed) */
    enum hs_block_state state;
    uint32_t heap_idx;
    uint32_t segment_idx;    /* inside the heap; UINT32_MAX for a large block */
    uint8_t flags;           /* HS_ENTRY_ bits, raw */
    uint8_t unused_bytes;    /* raw (a large block's count has 16 bits: see size) */
    uint8_t small_tag;       /* SmallTagIndex, raw */
    uint16_t previous_units; /* PreviousSize, raw, in units */
    bool large;              /* allocated with VirtualAlloc */
    bool has_stored;         /* has an extra, and its heap was told to record stack traces */
    uint16_t stored;         /* stored index; 0: not recorded, or a multiple of 0x10000 */
    uint16_t tag;            /* TagIndex of the extra; 0 without one */
    enum hs_fill fill;
    uint64_t settable; /* Settable of the extra; 0 without one */
};

/* Every block of every heap. */
struct hs_blocks;

/* Walks all heaps when first asked, on all threads; later calls are free. Owned by the dump.
 * HS_ERR_MEMORY, HS_ERR_CANCELLED (asking again starts again). Damage is not a failure: see notes and unread_size. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_blocks(struct hs_dump *dump, struct hs_job *job,
                                                   const struct hs_blocks **blocks_ret, struct hs_error *err);

HS_API uint32_t hs_blocks_count(const struct hs_blocks *blocks);

/* The block of that id. HS_NOT_FOUND past the last. */
HS_MUST_CHECK HS_API enum hs_status hs_blocks_get(const struct hs_blocks *blocks, uint32_t id,
                                                  struct hs_block *block_ret);

/* The block that holds `va` (header, user bytes, or rest). HS_NOT_FOUND: no block does. */
HS_MUST_CHECK HS_API enum hs_status hs_blocks_find(const struct hs_blocks *blocks, hs_va va,
                                                   struct hs_block *block_ret);

/* Only its id: the quick way from an address to a block. HS_NOT_FOUND. */
HS_MUST_CHECK HS_API enum hs_status hs_blocks_find_id(const struct hs_blocks *blocks, hs_va va, uint32_t *id_ret);

/* Blocks and bytes of one heap by state. */
struct hs_heap_totals {
    uint64_t count[HS_BLOCK_STATE_COUNT]; /* by enum hs_block_state */
    uint64_t total[HS_BLOCK_STATE_COUNT]; /* bytes with headers */
    uint64_t size[HS_BLOCK_STATE_COUNT];  /* hs_block.size added up; busy: bytes that callers asked for */
};
HS_API const struct hs_heap_totals *hs_blocks_totals(const struct hs_blocks *blocks, size_t heap_idx);

/* ---- labels: what somebody says a block holds ---- */

struct hs_label {
    const char *type;  /* "mapi.row" */
    double confidence; /* 0 .. 1 */
    const char *evidence;
    const char *source; /* name of the plugin, "" if none */
};

/* The label of a block; NULL if it has none. Valid while the dump is open. */
HS_API const struct hs_label *hs_block_label(const struct hs_blocks *blocks, uint32_t id);

/* The type that HS_KEY_LABEL `key` stands for; NULL if none. */
HS_API const char *hs_label_type(const struct hs_blocks *blocks, uint64_t key);

#ifdef __cplusplus
}
#endif

#endif
