/* scan.c - who points here: one pass over everything the process could still reach, one hop.
 *
 * A word is a pointer if its value lies in a block. Almost no word does, so the first test is a bitmap of the pages (or
 * larger granules) that heaps have. Sources are cut into pieces of memory that threads take one by one; what they find
 * is either one bit a block for each source and aim, or a list. */
#include "query/query.h"

#include "query/pointed.h"
#include "query/scan.h"

#include <assert.h>
#include <stdlib.h>

#define GRANULES_MAX (UINT64_C(1) << 24) /* bits of the first test */
#define NARROW_SHIFT 16                  /* a granule of 32-bit pointers: their bits fit into the nearest cache */
#define PIECE_BYTES (UINT64_C(1) << 22)  /* memory of one piece that is not a shard of blocks */

const char *hs_source_name(enum hs_source source)
{
    static const char *const names[HS_SOURCE_COUNT] = {"register", "stack", "section", "block", "other"};

    return (unsigned)source < HS_SOURCE_COUNT ? names[source] : "unknown";
}

const char *hs_aim_name(enum hs_aim aim)
{
    static const char *const names[HS_AIM_COUNT] = {"user", "mapi", "header", "interior"};

    return (unsigned)aim < HS_AIM_COUNT ? names[aim] : "unknown";
}

/* A run of memory to look at. */
struct piece {
    enum hs_source source;
    hs_va va, end;
    uint32_t thread_idx, module_idx;
    const char *name;
};

/* The first test: values in [low, low + span) whose granule's bit is set; without granules, all of them. */
struct test {
    hs_va low;
    uint64_t span;
    unsigned shift;
    uint64_t *granules;
};

/* What one look over memory needs. */
struct look {
    struct hs_dump *dump;
    const struct hs_blocks *blocks;
    struct hs_job *job;
    unsigned pointer;

    struct test test;
    struct piece *pieces;
    size_t piece_count, piece_capacity;
    const struct hs_set *from; /* blocks to look into, */
    uint64_t first_bytes;      /* not further than that */

    /* Results: bits for blocks, or a list. */
    struct hs_scan *scan;
    struct hs_pointed pointed; /* where pointers in blocks lead to, as far as it takes them; else in `scan` already */
    struct hs_references *list;
    uint32_t target_id; /* list: block that the range belongs to, UINT32_MAX if none */
    pthread_mutex_t lock;
    atomic_bool out_of_memory;
};

struct hs_references {
    struct hs_reference *rows;
    size_t count, capacity, limit;
    uint64_t total;
};

/* ---- what counts as a pointer ---- */

static void mark(struct test *test, hs_va va, uint64_t size)
{
    uint64_t at = va - test->low, first = at >> test->shift, last;

    if (at >= test->span || size == 0)
        return;
    last = (at + (size < test->span - at ? size : test->span - at) - 1) >> test->shift;
    for (uint64_t granule = first; granule <= last; granule++)
        test->granules[granule / 64] |= UINT64_C(1) << (granule % 64);
}

/* The first test for blocks. */
static bool test_blocks(struct test *test, const struct hs_heaps *heaps, unsigned pointer)
{
    size_t count = heaps->extents_by_va_count;
    const struct hs_extent *last = count ? &heaps->extents[heaps->extents_by_va[count - 1].idx] : NULL;

    assert(!count || heaps->extents);
    if (pointer == 4) {
        *test = (struct test){.span = UINT64_C(1) << 32, .shift = NARROW_SHIFT};
    } else {
        test->low = count ? heaps->extents_by_va[0].va : 0;
        test->span = last ? last->va + last->size - test->low : 0;
        test->shift = 12;
    }
    while (test->span >> test->shift >= GRANULES_MAX)
        test->shift++;
    test->granules = calloc((size_t)((test->span >> test->shift) / 64 + 1), sizeof *test->granules);
    if (!test->granules)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct hs_extent *extent = &heaps->extents[heaps->extents_by_va[i].idx];

        if (extent->kind != HS_EXTENT_HOLE)
            mark(test, extent->va, extent->size);
    }
    return true;
}

static inline bool may_point(const struct test *test, hs_va value)
{
    uint64_t at = value - test->low;

    if (at >= test->span)
        return false;
    at >>= test->shift;
    return !test->granules || (test->granules[at / 64] >> (at % 64) & 1);
}

static enum hs_aim aim_of(const struct look *look, const struct hs_extent *extent, uint64_t off, hs_va value)
{
    const struct hs_heaps *heaps = look->blocks->heaps;
    hs_va header = extent->va + off;
    hs_va user = header + heaps->unit;

    if (extent->kind == HS_EXTENT_LARGE)
        user = extent->va + hs_layout_off(heaps->process->layout, HS_FIELD_VIRTUAL_SIZEOF);
    if (value == user)
        return HS_AIM_USER;
    if (value == user + 2 * (uint64_t)look->pointer)
        return HS_AIM_MAPI;
    return value == header ? HS_AIM_HEADER : HS_AIM_INTERIOR;
}

/* ---- what is done with a pointer ---- */

static void add_to_list(struct look *look, const struct hs_reference *reference)
{
    struct hs_references *list = look->list;
    struct hs_reference *rows;

    pthread_mutex_lock(&look->lock);
    list->total++;
    rows = hs_grow(list->rows, list->count, &list->capacity, sizeof *rows);
    if (rows) {
        list->rows = rows;
        list->rows[list->count++] = *reference;
    } else {
        atomic_store(&look->out_of_memory, true);
    }
    pthread_mutex_unlock(&look->lock);
}

/* Pointers of one piece, or of blocks of one shard, that are still to be followed. One by one, each would wait for the
 * memory of what it leads to and hold up the next. */
#define HITS 64u
#define RECENT 64u
struct hits {
    struct look *look;
    const struct piece *piece;
    hs_va own_va; /* of the block that is looked into: what points there does not count; */
    uint64_t own_size;
    uint32_t holder;                /* its id; UINT32_MAX: memory of no block */
    const struct hs_extent *extent; /* the last pointer led there */
    uint64_t *units, *inside;       /* of that, in look->pointed */
    hs_va recent[RECENT];           /* followed, or about to be: what is no pointer, as property tags, comes often */
    size_t count;
    hs_va values[HITS];
};

/* Where the bit of what a value leads to is; NULL: it leads to no block, or to one without memory. */
static uint64_t *bit_of(struct hits *hits, hs_va value, uint64_t *bit_ret)
{
    const struct look *look = hits->look;
    const struct hs_heaps *heaps = look->blocks->heaps;
    const struct hs_extent *extent = hits->extent;
    uint64_t off;
    uint32_t id;

    if (look->pointed.units && hits->piece->source == HS_SOURCE_BLOCK &&
        (!extent || value - extent->va >= extent->size)) {
        size_t below = hs_heaps_extent_below(heaps, value);

        extent = hits->extent = below == SIZE_MAX ? NULL : &heaps->extents[heaps->extents_by_va[below].idx];
        hits->units = extent ? look->pointed.units[extent - heaps->extents] : NULL;
        hits->inside = extent ? look->pointed.inside[extent - heaps->extents] : NULL;
    }
    if (hits->units && value - extent->va < extent->size) {
        uint64_t unit = (value - extent->va) >> heaps->unit_shift;

        *bit_ret = UINT64_C(1) << (unit % 64);
        return &(value % heaps->unit == 0 ? hits->units : hits->inside)[unit / 64];
    }
    extent = hs_blocks_locate(look->blocks, value, &id, &off);
    if (!extent || extent->kind == HS_EXTENT_HOLE)
        return NULL;
    *bit_ret = UINT64_C(1) << (id % 64);
    return &look->scan->words[hits->piece->source][aim_of(look, extent, off, value)][id / 64];
}

/* Sets the bits of what the hits lead to. */
static void follow(struct hits *hits)
{
    uint64_t *words[HITS], bits[HITS];
    size_t count = 0;

    for (size_t i = 0; i < hits->count; i++) {
        words[count] = bit_of(hits, hits->values[i], &bits[count]);
        if (!words[count])
            continue;
        hs_prefetch(words[count++]);
    }
    for (size_t i = 0; i < count; i++)
        if (!(__atomic_load_n(words[i], __ATOMIC_RELAXED) & bits[i]))
            __atomic_fetch_or(words[i], bits[i], __ATOMIC_RELAXED);
    hits->count = 0;
}

static void list_hit(const struct hits *hits, hs_va va, hs_va value)
{
    struct look *look = hits->look;
    const struct piece *piece = hits->piece;
    uint64_t off;
    uint32_t id;
    const struct hs_extent *extent = hs_blocks_locate(look->blocks, value, &id, &off);
    struct hs_reference reference = {
        .source = piece->source,
        .aim = extent ? aim_of(look, extent, off, value) : HS_AIM_INTERIOR,
        .va = va,
        .value = value,
        .block_id = hits->holder,
        .thread_idx = piece->thread_idx,
        .module_idx = piece->module_idx,
        .name = piece->name,
    };

    if (hits->holder == UINT32_MAX || hits->holder != look->target_id)
        add_to_list(look, &reference);
}

/* A value that passed the first test, found at `va`. */
static inline void found(struct hits *hits, hs_va va, hs_va value)
{
    hs_va *recent;

    if (hits->look->list) {
        list_hit(hits, va, value);
        return;
    }
    recent = &hits->recent[(value ^ value >> 8 ^ value >> 16) % RECENT];
    if (value == *recent || value - hits->own_va < hits->own_size)
        return;
    *recent = value;
    hits->values[hits->count++] = value;
    if (hits->count == HITS)
        follow(hits);
}

/* Looks at every aligned word of memory that lies together; gives how many bytes it has looked at. */
static uint64_t look_at_bytes(struct hits *hits, hs_va va, const uint8_t *bytes, uint64_t size)
{
    const struct test test = hits->look->test; /* a copy: what is found is written to memory, and could be anything */
    uint64_t at = 0;

    if (hits->look->pointer == 4 && test.granules) {
        for (; at + 4 <= size; at += 4) {
            uint32_t value = hs_load_u32(bytes + at);

            if (test.granules[value >> NARROW_SHIFT >> 6] >> (value >> NARROW_SHIFT & 63) & 1)
                found(hits, va + at, value);
        }
    } else if (hits->look->pointer == 4) {
        for (; at + 4 <= size; at += 4) {
            hs_va value = hs_load_u32(bytes + at);

            if (may_point(&test, value))
                found(hits, va + at, value);
        }
    } else {
        for (; at + 8 <= size; at += 8) {
            hs_va value = hs_load_u64(bytes + at);

            if (may_point(&test, value))
                found(hits, va + at, value);
        }
    }
    return at;
}

/* Looks at every aligned word of [va, end). */
static void look_at(struct hits *hits, hs_va va, hs_va end)
{
    struct look *look = hits->look;
    const unsigned pointer = look->pointer;

    va = (va + pointer - 1) / pointer * pointer;
    while (va < end && end - va >= pointer) {
        struct hs_span view = hs_space_view(&look->dump->space, va);
        uint64_t size = view.size < end - va ? view.size : end - va;

        if (size < pointer) {
            hs_va value;
            size_t next;

            if (size && hs_space_pointer(&look->dump->space, va, &value) && may_point(&look->test, value))
                found(hits, va, value);
            next = size ? 0 : hs_space_range_from(&look->dump->space, va);
            if (size)
                va += pointer;
            else if (next == look->dump->space.range_count || look->dump->space.ranges[next].va >= end)
                return;
            else
                va = (look->dump->space.ranges[next].va + pointer - 1) / pointer * pointer;
            continue;
        }
        va += look_at_bytes(hits, va, view.bytes, size);
    }
}

/* ---- sources ---- */

static bool add_piece(struct look *look, const struct piece *piece)
{
    for (hs_va va = piece->va; va < piece->end;) {
        struct piece *pieces = hs_grow(look->pieces, look->piece_count, &look->piece_capacity, sizeof *pieces);
        struct piece part = *piece;

        if (!pieces)
            return false;
        look->pieces = pieces;
        part.va = va;
        if (piece->end - va > PIECE_BYTES)
            part.end = va + PIECE_BYTES;
        look->pieces[look->piece_count++] = part;
        va = part.end;
    }
    return true;
}

static bool add_stacks(struct look *look)
{
    const struct hs_process *process = &look->dump->process;

    for (size_t i = 0; i < process->thread_count; i++) {
        const struct hs_thread *thread = &process->threads[i];
        struct piece piece = {HS_SOURCE_STACK, thread->stack_limit, thread->stack_base, (uint32_t)i, UINT32_MAX, ""};

        /* What lies below the stack pointer is left over from calls that have returned. */
        if (thread->sp > piece.va && thread->sp < piece.end)
            piece.va = thread->sp;
        if (!add_piece(look, &piece))
            return false;
    }
    return true;
}

static bool add_sections(struct look *look)
{
    const struct hs_process *process = &look->dump->process;

    for (size_t i = 0; i < process->module_count; i++) {
        const struct hs_image *image = hs_process_image(process, i);

        for (size_t k = 0; image && k < image->section_count; k++) {
            const struct hs_section *section = &image->sections[k];
            struct piece piece = {HS_SOURCE_SECTION, section->va, section->va + section->size,
                                  UINT32_MAX,        (uint32_t)i, section->name};

            if (section->writable && !add_piece(look, &piece))
                return false;
        }
    }
    return true;
}

/* Committed private memory that nobody is known to own. */
static bool add_others(struct look *look, const struct hs_owner *owners, size_t owner_count)
{
    const struct hs_process *process = &look->dump->process;

    for (size_t i = 0; i < process->region_count; i++) {
        const struct hs_region *region = &process->regions[i];
        hs_va va = region->va, end = region->va + region->size;
        size_t owner;

        if (region->state != 0x1000 || region->type == 0x1000000 || region->type == 0x40000 || !region->present_size)
            continue;
        owner = hs_sorted_find(owners, owner_count, sizeof *owners, offsetof(struct hs_owner, va), va);
        for (owner = owner == SIZE_MAX ? 0 : owner; va < end; owner++) {
            bool more = owner < owner_count && owners[owner].va < end;
            struct piece piece = {HS_SOURCE_OTHER, va,         more && owners[owner].va > va ? owners[owner].va : end,
                                  UINT32_MAX,      UINT32_MAX, ""};

            if ((!more || owners[owner].va > va) && !add_piece(look, &piece))
                return false;
            if (!more)
                break;
            if (owners[owner].end > va)
                va = owners[owner].end;
        }
    }
    return true;
}

static void look_at_registers(struct look *look)
{
    const struct hs_process *process = &look->dump->process;

    for (size_t i = 0; i < process->thread_count; i++) {
        struct hs_register reg;

        for (unsigned r = 0; hs_process_register(process, i, r, &reg) == HS_OK; r++) {
            struct piece piece = {HS_SOURCE_REGISTER, 0, 0, (uint32_t)i, UINT32_MAX, reg.name};
            struct hits hits = {.look = look, .piece = &piece, .holder = UINT32_MAX};

            if (reg.size == look->pointer && may_point(&look->test, reg.value))
                found(&hits, 0, reg.value);
            follow(&hits);
        }
    }
}

#define AHEAD 4u         /* spots */
#define AHEAD_BYTES 512u /* of each at most: the processor itself goes on from there */

/* Brings what follows the first bytes of a block into the cache. */
static inline void fetch_ahead(const struct hs_spot *spot, uint64_t first_bytes)
{
    uint64_t size = spot->brief.size < first_bytes ? spot->brief.size : first_bytes;

    for (uint64_t at = 48; spot->user && at < size && at < AHEAD_BYTES; at += 64)
        hs_prefetch(spot->user + at);
}

static void look_at_shard(struct look *look, size_t shard)
{
    static const struct piece block = {HS_SOURCE_BLOCK, 0, 0, UINT32_MAX, UINT32_MAX, ""};
    const struct hs_heaps *heaps = look->blocks->heaps;
    struct hits hits = {.look = look, .piece = &block};
    struct hs_set_cursor cursor;
    struct hs_spot spots[HS_BATCH];
    size_t count;

    hs_set_cursor_init(&cursor, look->from, hs_shard_from(look->from, shard), hs_shard_to(look->from, shard));
    while ((count = hs_set_cursor_take(&cursor, spots)) > 0) {
        for (const struct hs_spot *spot = spots; spot < spots + count; spot++) {
            const struct hs_extent *extent = spot->extent;
            hs_va user = extent->va + hs_spot_user_off(heaps, spot);
            uint64_t size = spot->brief.size < look->first_bytes ? spot->brief.size : look->first_bytes;

            if (cursor.words && spot + AHEAD < spots + count)
                fetch_ahead(spot + AHEAD, look->first_bytes);
            hits.holder = spot->id;
            hits.own_va = extent->kind == HS_EXTENT_RUN ? extent->va + spot->off : extent->va;
            hits.own_size = extent->kind == HS_EXTENT_RUN ? spot->brief.total : extent->size;
            if (spot->user && user % look->pointer == 0)
                look_at_bytes(&hits, user, spot->user, size);
            else if (extent->kind != HS_EXTENT_HOLE)
                look_at(&hits, user, user + size);
        }
    }
    follow(&hits);
    hs_job_advance(look->job, hs_shard_to(look->from, shard) - hs_shard_from(look->from, shard));
}

static void look_item(void *context, size_t item)
{
    struct look *look = context;

    if (hs_job_stopped(look->job))
        return;
    if (item < look->piece_count) {
        const struct piece *piece = &look->pieces[item];
        struct hits hits = {.look = look, .piece = piece, .holder = UINT32_MAX};

        look_at(&hits, piece->va, piece->end);
        follow(&hits);
    } else {
        look_at_shard(look, item - look->piece_count);
    }
}

/* Looks at all sources, or only into the blocks of look->from. */
static enum hs_status run(struct look *look, bool all_sources, struct hs_error *err)
{
    const struct hs_traces *traces = NULL;
    struct hs_owner *owners = NULL;
    size_t owner_count = 0;
    enum hs_status status = HS_OK;

    if (all_sources) {
        status = hs_dump_traces(look->dump, look->job, &traces, err);
        if (status != HS_OK)
            return status;
        owners = hs_dump_owners(look->dump, traces, &owner_count);
        if (!owners || !add_stacks(look) || !add_sections(look) || !add_others(look, owners, owner_count))
            status = hs_fail_memory(err, "the search for pointers");
        free(owners);
        if (status != HS_OK)
            return status;
        look_at_registers(look);
    }
    hs_job_start(look->job, look->from->to - look->from->from);
    hs_parallel(look->dump->thread_count, look->piece_count + hs_set_shards(look->from), look_item, look);
    if (atomic_load(&look->out_of_memory))
        return hs_fail_memory(err, "the search for pointers");
    if (hs_job_stopped(look->job))
        return hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while searching for pointers");
    if (look->pointed.units)
        hs_pointed_blocks(&look->pointed, look->dump->thread_count, look->scan->words[HS_SOURCE_BLOCK]);
    return HS_OK;
}

static void look_deinit(struct look *look)
{
    pthread_mutex_destroy(&look->lock);
    hs_pointed_deinit(&look->pointed);
    free(look->test.granules);
    free(look->pieces);
}

/* ---- bits for blocks ---- */

/* With bits for these sources. */
static struct hs_scan *scan_new(uint32_t block_count, unsigned sources, unsigned thread_count)
{
    const size_t words = (size_t)block_count / 64 + 1, all = words * hs_popcount(sources) * HS_AIM_COUNT;
    struct hs_scan *scan = hs_alloc_touched(thread_count, sizeof *scan + all * sizeof(uint64_t));
    uint64_t *next = scan ? scan->bits : NULL;

    for (unsigned source = 0; scan && source < HS_SOURCE_COUNT; source++)
        for (unsigned aim = 0; (sources >> source & 1) && aim < HS_AIM_COUNT; aim++, next += words)
            scan->words[source][aim] = next;
    return scan;
}

#define MANY 64u /* a set with such a part of all blocks is worth bits for their heaps */

/* Looks into the first bytes of the blocks of `from` and, if that is wanted, into everything else. */
static enum hs_status scan_run(struct hs_dump *dump, const struct hs_set *from, uint64_t first_bytes, bool all_sources,
                               struct hs_job *job, struct hs_scan **scan_ret, struct hs_error *err)
{
    struct look look = {.dump = dump,
                        .blocks = from->blocks,
                        .job = job,
                        .from = from,
                        .first_bytes = first_bytes,
                        .pointer = dump->space.pointer_size};
    unsigned sources = all_sources ? (1u << HS_SOURCE_COUNT) - 1 : 1u << HS_SOURCE_BLOCK;
    enum hs_status status = HS_OK;

    pthread_mutex_init(&look.lock, NULL);
    look.scan = scan_new(from->blocks->count, sources, dump->thread_count);
    if (!look.scan || !test_blocks(&look.test, look.blocks->heaps, look.pointer))
        status = hs_fail_memory(err, "the search for pointers");
    else if (from->count >= from->blocks->count / MANY)
        status = hs_pointed_init(&look.pointed, from->blocks, dump->thread_count, err);
    if (status == HS_OK)
        status = run(&look, all_sources, err);
    if (status == HS_OK)
        *scan_ret = look.scan;
    else
        free(look.scan);
    look_deinit(&look);
    return status;
}

/* The busy blocks of a dump, as a set. */
static enum hs_status busy_blocks(struct hs_dump *dump, struct hs_job *job, struct hs_set **set_ret,
                                  struct hs_error *err)
{
    const struct hs_set_options busy = {.states = 1u << HS_BLOCK_BUSY};

    return hs_set_create(dump, &busy, job, set_ret, err);
}

enum hs_status hs_dump_scan(struct hs_dump *dump, struct hs_job *job, const struct hs_scan **scan_ret,
                            struct hs_error *err)
{
    struct hs_set *busy;
    struct hs_scan *scan;
    enum hs_status status;

    pthread_mutex_lock(&dump->lock);
    *scan_ret = dump->scan;
    pthread_mutex_unlock(&dump->lock);
    if (*scan_ret)
        return HS_OK;
    status = busy_blocks(dump, job, &busy, err);
    if (status != HS_OK)
        return status;
    status = scan_run(dump, busy, UINT64_MAX, true, job, &scan, err);
    hs_set_destroy(busy);
    if (status != HS_OK)
        return status;
    pthread_mutex_lock(&dump->lock);
    if (dump->scan)
        free(scan); /* somebody else was quicker */
    else
        dump->scan = scan;
    *scan_ret = dump->scan;
    pthread_mutex_unlock(&dump->lock);
    return HS_OK;
}

uint64_t hs_scan_word(const struct hs_scan *scan, size_t word, unsigned sources, unsigned aims)
{
    uint64_t bits = 0;

    for (unsigned source = 0; source < HS_SOURCE_COUNT; source++)
        for (unsigned aim = 0; aim < HS_AIM_COUNT; aim++)
            if ((sources >> source & 1) && (aims >> aim & 1))
                bits |= scan->words[source][aim][word];
    return bits;
}

enum hs_status hs_set_referenced(const struct hs_set *set, const struct hs_referenced_options *options,
                                 struct hs_job *job, struct hs_set **set_ret, struct hs_error *err)
{
    unsigned sources = options && options->sources ? options->sources : (1u << HS_SOURCE_COUNT) - 1;
    unsigned aims = options && options->aims ? options->aims : (1u << HS_AIM_COUNT) - 1;
    const struct hs_set *from = options ? options->from : NULL;
    const struct hs_scan *scan = NULL;
    struct hs_scan *own = NULL;
    struct hs_set *pointed;
    enum hs_status status;

    if (!from && options && options->first_bytes)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "first bytes of blocks, but no set of blocks");
    if (from && (from->blocks != set->blocks || (options->sources && options->sources != 1u << HS_SOURCE_BLOCK)))
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA,
                       from->blocks != set->blocks ? "the sets come from two dumps"
                                                   : "a set of blocks as the source goes with no other source");
    pointed = hs_set_new(set->dump, set->blocks);
    if (!pointed)
        return hs_fail_memory(err, "a set of blocks");
    if (from)
        sources = 1u << HS_SOURCE_BLOCK;
    status = from ? scan_run(set->dump, from, options->first_bytes ? options->first_bytes : UINT64_MAX, false, job,
                             &own, err)
                  : hs_dump_scan(set->dump, job, &scan, err);
    if (status == HS_OK) {
        bool settled = atomic_load(&set->settled);

        for (size_t word = 0; word < (size_t)set->blocks->count / 64 + 1; word++)
            if (!settled || set->words[word])
                pointed->words[word] = hs_scan_word(own ? own : scan, word, sources, aims);
        status = hs_set_combine(set, HS_SET_AND, pointed, set_ret, err);
    }
    free(own);
    hs_set_destroy(pointed);
    return status;
}

/* ---- a list ---- */

static int compare_references(const void *a, const void *b)
{
    const struct hs_reference *one = a, *two = b;

    if (one->source != two->source)
        return one->source < two->source ? -1 : 1;
    if (one->va != two->va)
        return one->va < two->va ? -1 : 1;
    if (one->thread_idx != two->thread_idx)
        return one->thread_idx < two->thread_idx ? -1 : 1;
    return strcmp(one->name, two->name);
}

enum hs_status hs_dump_references(struct hs_dump *dump, hs_va from, hs_va to, size_t limit, struct hs_job *job,
                                  struct hs_references **references_ret, struct hs_error *err)
{
    struct look look = {.dump = dump,
                        .job = job,
                        .test = {.low = from, .span = to > from ? to - from : 0},
                        .target_id = UINT32_MAX,
                        .first_bytes = UINT64_MAX,
                        .pointer = dump->space.pointer_size};
    struct hs_set *busy;
    uint64_t off;
    enum hs_status status = busy_blocks(dump, job, &busy, err);

    if (status != HS_OK)
        return status;
    look.blocks = busy->blocks;
    look.from = busy;
    pthread_mutex_init(&look.lock, NULL);
    look.list = calloc(1, sizeof *look.list);
    if (look.list) {
        hs_blocks_locate(look.blocks, from, &look.target_id, &off);
        status = run(&look, true, err);
    } else {
        status = hs_fail_memory(err, "the search for pointers");
    }
    hs_set_destroy(busy);
    look_deinit(&look);
    if (status != HS_OK) {
        hs_references_destroy(look.list);
        return status;
    }
    if (look.list->count)
        qsort(look.list->rows, look.list->count, sizeof *look.list->rows, compare_references);
    if (look.list->count > limit)
        look.list->count = limit;
    *references_ret = look.list;
    return HS_OK;
}

void hs_references_destroy(struct hs_references *references)
{
    if (!references)
        return;
    free(references->rows);
    free(references);
}

size_t hs_references_count(const struct hs_references *references)
{
    return references->count;
}

uint64_t hs_references_total(const struct hs_references *references)
{
    return references->total;
}

const struct hs_reference *hs_references_get(const struct hs_references *references, size_t idx)
{
    return idx < references->count ? &references->rows[idx] : NULL;
}
