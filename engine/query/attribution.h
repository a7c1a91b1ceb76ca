/* attribution.h - part of the door of query/: which trace made each block, where stored indexes are ambiguous.
 *
 * Three steps. Cells (cells.c): the busy blocks of a dump by stored index, heap, label, module of their class and size.
 * The model (model.c): cells -> clumps -> ways -> probabilities; arrays in, arrays out, it knows no dump. Sites
 * (sites.c): everything added up by the caller of the trace. What a maker is, the priors and the weights come from
 * plugins/lib/attribution.lua, where the model is told. */
#ifndef HS_QUERY_ATTRIBUTION_H
#define HS_QUERY_ATTRIBUTION_H

#include "query/query.h"

/* ---- cells.c ---- */

#define HS_CELL_STORED 0x10000u   /* values of a stored index */
#define HS_CELL_UNTRACED 0x10000u /* stands for "stores none" */
#define HS_CELL_LABELS 255u       /* labels that are told apart; 0: none */
#define HS_CELL_NONE UINT32_MAX
#define HS_CELL_PART 256u /* stored indexes of one item of a parallel loop; UNTRACED is an item of its own */
#define HS_STORED_PARTS (HS_CELL_STORED / HS_CELL_PART)
#define HS_CELL_PARTS (HS_STORED_PARTS + 1)

/* Blocks of one stored index, heap, label, module and size. */
struct hs_cell {
    uint64_t key;   /* heap, label and module, then size in the low bits: see hs_cells_part */
    uint32_t first; /* into ids */
    uint32_t count;
};

/* A heap tag of some block. */
struct hs_cell_tag {
    uint64_t key;
    uint32_t stored;
    uint16_t tag;
};

struct hs_cells {
    unsigned size_bits, module_bits, label_bits;
    struct hs_cell *cells; /* by stored index, then key */
    uint32_t count;
    uint32_t first[HS_CELL_UNTRACED + 2]; /* a stored index: its first cell */
    uint32_t *ids;                        /* of blocks, in the order of cells; ascending in a cell */
    uint32_t id_count;
    struct hs_cell_tag *tags; /* by stored index, then key; each once */
    size_t tag_count;
};

struct hs_cell_part {
    uint64_t size;
    uint32_t heap_idx, label, module; /* module: its index + 1, 0: none */
};

static inline struct hs_cell_part hs_cells_part(const struct hs_cells *cells, uint64_t key)
{
    unsigned label_at = cells->size_bits + cells->module_bits, heap_at = label_at + cells->label_bits;

    return (struct hs_cell_part){key & ((UINT64_C(1) << cells->size_bits) - 1), (uint32_t)(key >> heap_at),
                                 (uint32_t)(key >> label_at & ((UINT64_C(1) << cells->label_bits) - 1)),
                                 (uint32_t)(key >> cells->size_bits & ((UINT64_C(1) << cells->module_bits) - 1))};
}

/* All busy blocks. `objects`: HS_CELL_LABELS + 1 flags, labels whose first word tells a module. HS_ERR_MEMORY,
 * HS_ERR_CANCELLED. */
HS_MUST_CHECK enum hs_status hs_cells_init(struct hs_cells *cells, struct hs_dump *dump, const struct hs_blocks *blocks,
                                           const uint8_t *objects, struct hs_job *job, struct hs_error *err);
void hs_cells_deinit(struct hs_cells *cells);
/* The cell of a key; HS_CELL_NONE: there is none. */
uint32_t hs_cells_find(const struct hs_cells *cells, uint32_t stored, uint64_t key);
/* Stored index and key of a busy block as its labels are now; false if it is not busy. */
bool hs_cells_key(const struct hs_cells *cells, const struct hs_blocks *blocks, const uint8_t *objects, uint32_t id,
                  uint32_t *stored_ret, uint64_t *key_ret);

/* ---- model.c ---- */

/* What the model asks of a trace. */
struct hs_trace_fact {
    hs_va caller;     /* first frame outside allocators and system modules, else the outermost one */
    uint64_t modules; /* bits of modules on the stack, see hs_model.module_bit */
    uint32_t count;   /* TraceCount; 0 if it cannot be read */
    uint32_t maker;   /* number of the allocator */
    bool readable, outermost;
};

enum hs_evidence {
    HS_EVIDENCE_COUNTS,
    HS_EVIDENCE_CONTENT,
    HS_EVIDENCE_SIZES,
    HS_EVIDENCE_TAGS,
    HS_EVIDENCE_NEIGHBOURS,
    HS_EVIDENCE_LINKS,
    HS_EVIDENCE_COUNT
};

/* Regularity of the sizes of a clump: one, several, many; HS_REGULAR_COUNT: too few blocks to say. */
#define HS_REGULAR_COUNT 3
#define HS_BEHIND_BINS 24
#define HS_CAPTURE_BINS 33

/* The opinions, as numbers: told in plugins/lib/attribution.lua. */
struct hs_opinions {
    double temper, tolerance, floor, strength, size_weight, module_absent, stray_odd, stray_fixed, stray_most,
        zero_most;
    double unrecorded, behind_fall, behind_strength, likely_min, clear, undecided, witnesses;
    double seen[HS_EVIDENCE_COUNT]; /* how often neighbours and links share the caller */
    double regular[HS_REGULAR_COUNT];
    uint32_t fixed_min, near, learn, looks, looks_clump;
    bool use[HS_EVIDENCE_COUNT];
};

/* Blocks that are taken to have one maker. */
struct hs_clump {
    uint64_t bytes;
    uint32_t count, stored;
    uint32_t odds;  /* into hs_model.odds: one a candidate */
    uint32_t owner; /* which candidate */
    float confidence;
    uint16_t tag;
    uint8_t label, module_bit, regular; /* module_bit: 255: none */
    bool mixed, several;                /* of several labels; of several cells */
};

/* A cell whose blocks do not all go to the owner of its clump. */
struct hs_spill {
    uint32_t cell, candidate, blocks;
    float confidence;
};

/* A block of clump `clump` lies beside, or is linked with, one of clump `other`. */
struct hs_witness {
    uint32_t clump, other;
    enum hs_evidence kind;
};

struct hs_model {
    /* What it is told; borrowed. */
    const struct hs_cells *cells;
    const struct hs_trace_fact *traces; /* by full index; [0] is not used */
    uint32_t trace_count;
    unsigned index_bits;
    bool full; /* the database: later stacks were not recorded */
    const struct hs_opinions *opinions;
    uint32_t maker_count, class_count, label_count;
    const uint8_t *maker_class;
    const double *prior;       /* class_count rows of label_count: P(label | class) */
    const uint8_t *module_bit; /* by module + 1; 255: none */
    size_t module_count;
    unsigned thread_count;
    struct hs_job *job;

    /* What it works out. */
    struct hs_clump *clumps; /* by stored index, then most blocks first */
    uint32_t clump_count;
    uint32_t first_clump[HS_CELL_STORED + 1];
    uint32_t *cell_clump; /* a cell (of a stored index): its clump */
    float *odds;
    uint32_t odds_count;
    struct hs_spill *spills; /* by cell */
    size_t spill_count;
    struct hs_learned *learned;
    struct hs_witness *witnesses; /* by clump */
    size_t witness_count;
    float *seen; /* parallel to odds, NULL: no witnesses */
};

/* How many candidates a stored index has, "not recorded" among them, and the idx-th one's full index: 0 is "not
 * recorded", the last. */
static inline uint32_t hs_model_candidates(const struct hs_model *model, uint32_t stored)
{
    uint32_t count =
        stored <= model->trace_count ? ((model->trace_count - stored) >> model->index_bits) + (stored > 0) : 0;

    return count + (stored == 0 || count == 0);
}
static inline uint32_t hs_model_candidate(const struct hs_model *model, uint32_t stored, uint32_t idx)
{
    uint64_t index = stored + ((uint64_t)(idx + (stored == 0)) << model->index_bits);

    return index <= model->trace_count ? (uint32_t)index : 0;
}

/* Puts cells into clumps, judges and learns, until only witnesses are missing. All fields of the first part are set,
 * the others zero. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK enum hs_status hs_model_judge(struct hs_model *model, struct hs_error *err);
/* Clumps that are not clear, most bytes first, at most `count`; returns how many. */
size_t hs_model_doubtful(const struct hs_model *model, uint32_t *clumps, size_t count);
/* Judges again what witnesses speak of. Takes the array (malloc). */
HS_MUST_CHECK enum hs_status hs_model_hear(struct hs_model *model, struct hs_witness *witnesses, size_t count,
                                           struct hs_error *err);
/* Owners, confidences and spills. */
HS_MUST_CHECK enum hs_status hs_model_settle(struct hs_model *model, struct hs_error *err);
void hs_model_deinit(struct hs_model *model);

/* Log-odds that witnesses of a kind add for a candidate of a clump; *looked_ret: how many there are. */
double hs_model_seen(const struct hs_model *model, uint32_t clump, uint32_t candidate, enum hs_evidence kind,
                     size_t *looked_ret);
/* P(label | allocator) as learned. */
double hs_model_likelihood(const struct hs_model *model, uint32_t maker, uint32_t label);

/* What of a cell goes to one trace. */
struct hs_share {
    uint32_t trace, blocks; /* trace 0: not recorded */
    float confidence;
};
/* Writes at most `room` shares of a cell, most blocks first, and returns how many there are. */
size_t hs_model_shares(const struct hs_model *model, uint32_t cell, struct hs_share *shares, size_t room);
/* The same for cells in ascending order: *spill is hs_model_spill of one of them or before it, and moves on. */
size_t hs_model_shares_next(const struct hs_model *model, uint32_t cell, size_t *spill, struct hs_share *shares,
                            size_t room);
size_t hs_model_spill(const struct hs_model *model, uint32_t cell);

/* ---- attribution.c: all of it on a dump ---- */

/* Where a block with this label points to another of the same maker. */
struct hs_link_rule {
    uint8_t label;
    uint16_t at; /* offset of the pointer in the user bytes */
    bool exact;  /* it must point to user + `target` of the other block, else anywhere into it */
    uint16_t target;
};
#define HS_LINK_RULES_MAX 16u

enum hs_site_kind {
    HS_SITE_CALLER,
    HS_SITE_UNRECORDED, /* the stack was not recorded */
    HS_SITE_UNDECIDED,  /* no owner is likely enough */
    HS_SITE_UNTRACED    /* the heap stores no indexes */
};

struct hs_site {
    enum hs_site_kind kind;
    bool outermost;
    hs_va caller;
    uint64_t blocks, bytes;
    double confidence;      /* mean by bytes */
    uint32_t trace, traces; /* the first of hs_attribution.site_traces, and how many */
};
struct hs_site_trace {
    uint32_t site, trace;
    uint64_t blocks, bytes;
    double confidence;
};
struct hs_site_type {
    uint32_t label;
    uint64_t bytes;
};

struct hs_attribution {
    struct hs_dump *dump;
    const struct hs_blocks *blocks;
    const struct hs_traces *traces; /* NULL: none */
    uint8_t objects[HS_CELL_LABELS + 1];
    struct hs_link_rule links[HS_LINK_RULES_MAX];
    size_t link_count;
    struct hs_cells cells;
    struct hs_trace_fact *facts; /* maker: number in maker_vas + 1 until it is judged */
    hs_va *maker_vas;            /* innermost frames that are no part of the heap manager, each once */
    uint32_t maker_va_count;
    uint8_t *module_bit;
    uint32_t *makers; /* by number in maker_vas + 1 */
    uint8_t *maker_class;
    double *prior;
    struct hs_opinions opinions;
    struct hs_model model;
    bool judged;

    struct hs_site *sites; /* most bytes first */
    uint32_t site_count;
    struct hs_site_trace *site_traces; /* by caller, most bytes first */
    uint32_t *ownerless;               /* cells with blocks that are unrecorded or undecided */
    uint32_t ownerless_count;
    uint32_t *trace_site; /* a trace: its site; UINT32_MAX: none */
};

/* Reads the blocks and the traces. `heap_modules`: a flag a module: part of the heap manager, no maker. The fields
 * objects, links and link_count are set. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK enum hs_status hs_attribution_read(struct hs_attribution *attribution, struct hs_dump *dump,
                                                 const uint8_t *heap_modules, struct hs_job *job, struct hs_error *err);
/* Judges; the fields makers, maker_class, prior and opinions and the counts of `model` are set. */
HS_MUST_CHECK enum hs_status hs_attribution_judge(struct hs_attribution *attribution, struct hs_job *job,
                                                  struct hs_error *err);
/* look.c: blocks beside those of clumps that are not clear are heard as witnesses. HS_ERR_MEMORY, HS_ERR_CANCELLED. */
HS_MUST_CHECK enum hs_status hs_attribution_look(struct hs_attribution *attribution, struct hs_error *err);
/* Adds everything up by site, when first asked. */
HS_MUST_CHECK enum hs_status hs_attribution_sites(struct hs_attribution *attribution, struct hs_error *err);
/* The blocks of a site, or of a trace (then `site` is UINT32_MAX): whole cells; *count_ret: how many are claimed. */
HS_MUST_CHECK enum hs_status hs_attribution_set(struct hs_attribution *attribution, uint32_t site, uint32_t trace,
                                                struct hs_set **set_ret, uint64_t *count_ret, struct hs_error *err);
/* The labels of a site's blocks, most bytes first; sites are made. types: HS_CELL_LABELS of them. Gives how many. */
size_t hs_attribution_types(const struct hs_attribution *attribution, uint32_t site, struct hs_site_type *types);
/* Lets filters see the trace of each block (HS_BLOCK_FIELD_TRACE): the owner of its clump, if that is likely enough. */
HS_MUST_CHECK enum hs_status hs_attribution_publish(const struct hs_attribution *attribution, struct hs_error *err);
/* Most bytes first. */
void hs_site_types_sort(struct hs_site_type *types, size_t count);
void hs_attribution_deinit(struct hs_attribution *attribution);

#endif
