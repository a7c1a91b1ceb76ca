/* query.h - sets of blocks and groups of them: whole-heap questions without a call per block. */
#ifndef HEAPSIFT_QUERY_H
#define HEAPSIFT_QUERY_H

#include <heapsift/heap.h>
#include <heapsift/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A set of blocks of one dump. Owned by the caller. */
struct hs_set;

/* Which blocks hs_set_create takes. */
struct hs_set_options {
    bool one_heap; /* only those of heap_idx */
    size_t heap_idx;
    unsigned states; /* bit 1 << enum hs_block_state for each state to take; 0: all */
};

/* All blocks that fit `options` (NULL: all). Walks the heaps if that has not been done.
 * HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK HS_API enum hs_status hs_set_create(struct hs_dump *dump, const struct hs_set_options *options,
                                                  struct hs_job *job, struct hs_set **set_ret, struct hs_error *err);
/* NULL is allowed; the dump may be closed already. */
HS_API void hs_set_destroy(struct hs_set *set);

enum hs_set_op { HS_SET_OR, HS_SET_AND, HS_SET_MINUS };

/* A new set: a op b. Both must come from the same dump: HS_ERR_ARGUMENT. */
HS_MUST_CHECK HS_API enum hs_status hs_set_combine(const struct hs_set *a, enum hs_set_op op, const struct hs_set *b,
                                                   struct hs_set **set_ret, struct hs_error *err);

/* How many blocks; their sizes added up (user sizes) are hs_set_bytes. */
HS_API uint32_t hs_set_count(const struct hs_set *set);
HS_API uint64_t hs_set_bytes(const struct hs_set *set);
/* Bytes of memory that the set itself takes: for collectors that decide by them. */
HS_API size_t hs_set_memory(const struct hs_set *set);
HS_API bool hs_set_has(const struct hs_set *set, uint32_t id);

/* The smallest id in the set that is at least `id`. HS_NOT_FOUND: there is none. */
HS_MUST_CHECK HS_API enum hs_status hs_set_next(const struct hs_set *set, uint32_t id, uint32_t *id_ret);

/* ---- filters ---- */

/* What one instruction of a filter does. The machine has a stack of up to HS_FILTER_STACK values; a value is a signed
 * 64-bit integer (a truth is 0 or 1) or missing (read past the end of a block, no such field): calculations with a
 * missing value are missing, comparisons with one are false. */
enum hs_filter_code {
    HS_FILTER_PUSH,   /* push `value` */
    HS_FILTER_FIELD,  /* push field `value`, an enum hs_block_field */
    HS_FILTER_READ,   /* pop an offset, push what stands there in the user bytes; value: bytes (1, 2, 4, 8), negative
                            for a signed integer */
    HS_FILTER_ASCII,  /* pop an offset, push how many printable ASCII characters stand there in the user bytes before a
                            0 byte or the end; 0 if any other byte comes first */
    HS_FILTER_UTF16,  /* the same for UTF-16 units of the scripts in use, without surrogates and private characters */
    HS_FILTER_NEGATE, /* -a */
    HS_FILTER_INVERT, /* every bit of a */
    HS_FILTER_ADD,    /* pop b, pop a, push a + b, modulo 2^64; so for the others */
    HS_FILTER_SUBTRACT,
    HS_FILTER_MULTIPLY,
    HS_FILTER_DIVIDE, /* towards minus infinity; by 0: missing */
    HS_FILTER_MODULO, /* sign of b; by 0: missing */
    HS_FILTER_AND,
    HS_FILTER_OR,
    HS_FILTER_XOR,
    HS_FILTER_SHIFT_LEFT,  /* by 64 or more, or less than 0: 0 */
    HS_FILTER_SHIFT_RIGHT, /* zeros come in */
    HS_FILTER_EQUAL,
    HS_FILTER_LESS,
    HS_FILTER_LESS_EQUAL,
    HS_FILTER_AMONG,   /* pop a, push whether it is one of the integers of text `value`: 8 bytes each, little-endian,
                            signed, ascending */
    HS_FILTER_BETWEEN, /* pop high, pop low, pop a, push low <= a <= high */
    HS_FILTER_NOT,     /* 1 if a is 0 or missing, else 0 */
    HS_FILTER_JUMP_IF, /* if the top is true: go on at instruction `value`, which is further on; else pop it */
    HS_FILTER_JUMP_UNLESS,
    HS_FILTER_CONTAINS,         /* push whether the user bytes contain text `value` */
    HS_FILTER_CANDIDATE_MODULE, /* push whether some frame of some candidate lies in a module whose name matches text
                                   `value` */
    HS_FILTER_CANDIDATE_SYMBOL, /* the same for "module!name" of a frame */
    HS_FILTER_CANDIDATE_INDEX,  /* push whether trace `value` is a candidate */
    HS_FILTER_TRACE_MODULE,     /* the same as for candidates, of the attributed trace: see HS_BLOCK_FIELD_TRACE */
    HS_FILTER_TRACE_SYMBOL,
    HS_FILTER_REFERENCED, /* push whether anything points to the block */
    HS_FILTER_LABEL,      /* push whether the block's label matches text `value` */
    HS_FILTER_COLUMN,     /* push the number that the block has in the column named by text `value`; missing without */
    HS_FILTER_CODE_COUNT
};
#define HS_FILTER_STACK 32
#define HS_FILTER_OPS_MAX 4096

enum hs_block_field {
    HS_BLOCK_FIELD_ADDRESS,
    HS_BLOCK_FIELD_USER,
    HS_BLOCK_FIELD_SIZE,
    HS_BLOCK_FIELD_TOTAL,
    HS_BLOCK_FIELD_FLAGS,
    HS_BLOCK_FIELD_STATE,   /* enum hs_block_state */
    HS_BLOCK_FIELD_HEAP,    /* address of the heap */
    HS_BLOCK_FIELD_SEGMENT, /* number of the segment in its heap, from 1; missing for a large block */
    HS_BLOCK_FIELD_STORED,  /* missing without one */
    HS_BLOCK_FIELD_TAG,
    HS_BLOCK_FIELD_UNUSED,
    HS_BLOCK_FIELD_PREVIOUS, /* bytes */
    HS_BLOCK_FIELD_SETTABLE,
    HS_BLOCK_FIELD_LARGE,      /* 0 or 1 */
    HS_BLOCK_FIELD_FIRST_WORD, /* first pointer-sized word of the user bytes */
    HS_BLOCK_FIELD_ID,
    HS_BLOCK_FIELD_FILL,  /* enum hs_fill */
    HS_BLOCK_FIELD_TRACE, /* index of the attributed trace; missing where none is likelier than not, or not recorded */
    HS_BLOCK_FIELD_COUNT
};

struct hs_filter_op {
    enum hs_filter_code code;
    int64_t value;
};
/* A text of a filter. Texts that are matched against names are patterns: * stands for any characters, ? for one, case
 * does not matter. */
struct hs_filter_text {
    const char *bytes;
    size_t size;
};

/* A checked program with everything looked up that does not depend on the block: names, candidates, labels as they are
 * now. Owned by the caller; the dump must be open while it is used. */
struct hs_filter;

/* HS_ERR_ARGUMENT: the program is not sound (its text says where). HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK HS_API enum hs_status hs_filter_create(struct hs_dump *dump, const struct hs_filter_op *ops,
                                                     size_t op_count, const struct hs_filter_text *texts,
                                                     size_t text_count, struct hs_job *job,
                                                     struct hs_filter **filter_ret, struct hs_error *err);
HS_API void hs_filter_destroy(struct hs_filter *filter);

/* A new set: the blocks of `set` for which the filter leaves a true value. One pass on all threads.
 * HS_ERR_ARGUMENT: filter and set are of two dumps. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK HS_API enum hs_status hs_set_where(const struct hs_set *set, const struct hs_filter *filter,
                                                 struct hs_job *job, struct hs_set **set_ret, struct hs_error *err);

#define HS_WHERE_MAX 16 /* filters of one pass */
/* The same for several filters at once: one set each, in sets_ret[0 .. count - 1]. Quicker than one after the other, as
 * every block is fetched once. HS_ERR_ARGUMENT also for no filter and for more than HS_WHERE_MAX. */
HS_MUST_CHECK HS_API enum hs_status hs_set_where_each(const struct hs_set *set, const struct hs_filter *const *filters,
                                                      size_t count, struct hs_job *job, struct hs_set **sets_ret,
                                                      struct hs_error *err);

/* ---- labels ---- */

/* Labels the blocks of a set. A block keeps the label of highest confidence; of equal ones, that of the source that
 * comes first in the alphabet. At most 65,534 labels on a dump: HS_ERR_ARGUMENT. HS_ERR_MEMORY. */
HS_MUST_CHECK HS_API enum hs_status hs_set_label(const struct hs_set *set, const struct hs_label *label,
                                                 struct hs_error *err);
/* ---- who points here: one hop ---- */

/* Where a pointer was found. Only what the process could still reach is looked at: stacks from the stack pointer up,
 * the user bytes of busy blocks. */
enum hs_source {
    HS_SOURCE_REGISTER, /* an integer register of a thread */
    HS_SOURCE_STACK,
    HS_SOURCE_SECTION, /* a writable section of a module */
    HS_SOURCE_BLOCK,   /* another busy block */
    HS_SOURCE_OTHER    /* other private memory: weak, nobody is known to own it */
};
#define HS_SOURCE_COUNT 5

/* What of the block it points to. */
enum hs_aim {
    HS_AIM_USER, /* the first byte the caller got from the heap */
    HS_AIM_MAPI, /* user + 2 words: the first byte the caller of MAPIAllocateBuffer got (x64: unproven) */
    HS_AIM_HEADER,
    HS_AIM_INTERIOR /* anything else inside */
};
#define HS_AIM_COUNT 4

/* "register", "stack", "section", "block", "other"; "user", "mapi", "header", "interior". Static. */
HS_API const char *hs_source_name(enum hs_source source);
HS_API const char *hs_aim_name(enum hs_aim aim);

struct hs_reference {
    enum hs_source source;
    enum hs_aim aim; /* HS_AIM_INTERIOR where the target is no block */
    hs_va va;        /* where the pointer stands; 0 for a register */
    hs_va value;
    uint32_t block_id;   /* block: the one it stands in; else UINT32_MAX */
    uint32_t thread_idx; /* register and stack; else UINT32_MAX */
    uint32_t module_idx; /* section; else UINT32_MAX */
    const char *name;    /* of the register or section; else "" */
};

/* Pointers, registers first, then stacks, sections, blocks, others, each in address order. Owned by the caller. */
struct hs_references;

/* Every pointer-aligned word (and register) with a value in [from, to), but for those inside the very block that holds
 * `from`. At most `limit` are kept; hs_references_total counts all. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK HS_API enum hs_status hs_dump_references(struct hs_dump *dump, hs_va from, hs_va to, size_t limit,
                                                       struct hs_job *job, struct hs_references **references_ret,
                                                       struct hs_error *err);
HS_API void hs_references_destroy(struct hs_references *references);
HS_API size_t hs_references_count(const struct hs_references *references);
HS_API uint64_t hs_references_total(const struct hs_references *references);
/* NULL past the last. */
HS_API const struct hs_reference *hs_references_get(const struct hs_references *references, size_t idx);

struct hs_referenced_options {
    unsigned sources;          /* bit 1 << enum hs_source for each to look at; 0: all */
    unsigned aims;             /* bit 1 << enum hs_aim for each to accept; 0: all */
    const struct hs_set *from; /* only pointers in these blocks, busy or not; NULL: all busy blocks */
    uint64_t first_bytes;      /* with `from`: only in so many of the user bytes of each; 0: in all */
};

/* A new set: the blocks of `set` that something points to, as `options` (NULL: anything) says. Pointers of a block to
 * itself do not count. All memory is scanned once a dump; a scan from a set of blocks is done each time.
 * HS_ERR_ARGUMENT: two dumps, sources other than blocks together with `from`, `first_bytes` without it. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK HS_API enum hs_status hs_set_referenced(const struct hs_set *set,
                                                      const struct hs_referenced_options *options, struct hs_job *job,
                                                      struct hs_set **set_ret, struct hs_error *err);

/* ---- groups ---- */

/* What blocks can be grouped by. */
enum hs_key {
    HS_KEY_SIZE,            /* user size */
    HS_KEY_SIZE_CLASS,      /* smallest power of two that holds the user size */
    HS_KEY_HEAP,            /* heap index */
    HS_KEY_STATE,           /* enum hs_block_state */
    HS_KEY_STORED,          /* stored index; blocks without one are in a group of their own, HS_KEY_NONE */
    HS_KEY_TOTAL,           /* bytes with header */
    HS_KEY_FLAGS,           /* raw flags */
    HS_KEY_TAG,             /* TagIndex */
    HS_KEY_FIRST_WORD,      /* the first 4 (x86) or 8 (x64) user bytes; HS_KEY_NONE if they cannot be read */
    HS_KEY_LABEL,           /* number of the label's type, see hs_label_type; HS_KEY_NONE without one */
    HS_KEY_EXPRESSION,      /* what a filter program leaves, see hs_set_group; HS_KEY_NONE if that is missing (or -1) */
    HS_KEY_CANDIDATE_MODULE /* index of the module that the caller's frame of every candidate lies in; HS_KEY_SEVERAL
                               where candidates disagree; HS_KEY_NONE without candidates */
};
#define HS_KEY_SEVERAL (UINT64_MAX - 1)
#define HS_KEY_MAX 4           /* keys of one grouping */
#define HS_KEY_NONE UINT64_MAX /* "has none" as a key */

struct hs_group {
    uint64_t keys[HS_KEY_MAX];
    uint64_t count; /* blocks */
    uint64_t bytes; /* user sizes added up */
};

/* Groups of a set, most bytes first; then most blocks, then smallest keys. Owned by the caller. */
struct hs_groups;

/* Who is a caller: code outside of these address ranges (allocators, system modules), sorted, without overlap. They
 * hold for every later grouping by HS_KEY_CANDIDATE_MODULE; without this call the innermost frame counts. */
struct hs_code_range {
    hs_va from, to; /* to: exclusive */
};
HS_MUST_CHECK HS_API enum hs_status hs_dump_set_callers(struct hs_dump *dump, const struct hs_code_range *ranges,
                                                        size_t count, struct hs_error *err);

/* `expressions` is parallel to `keys` and used where the key is HS_KEY_EXPRESSION; NULL if none is.
 * HS_ERR_ARGUMENT: no key, more than HS_KEY_MAX, an expression missing or of another dump. HS_ERR_MEMORY,
 * HS_ERR_CANCELLED. */
HS_MUST_CHECK HS_API enum hs_status hs_set_group(const struct hs_set *set, const enum hs_key *keys,
                                                 const struct hs_filter *const *expressions, unsigned key_count,
                                                 struct hs_job *job, struct hs_groups **groups_ret,
                                                 struct hs_error *err);
HS_API void hs_groups_destroy(struct hs_groups *groups);
HS_API size_t hs_groups_count(const struct hs_groups *groups);
/* Bytes of memory that they take. */
HS_API size_t hs_groups_memory(const struct hs_groups *groups);
/* One group; keys that were not asked for are 0. HS_NOT_FOUND past the last. */
HS_MUST_CHECK HS_API enum hs_status hs_groups_get(const struct hs_groups *groups, size_t idx,
                                                  struct hs_group *group_ret);

#ifdef __cplusplus
}
#endif

#endif
