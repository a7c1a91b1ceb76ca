/* over.c - a native function over every block of a set: no libffi and no Lua between two blocks. */
#include "native/native.h"

#include <stdio.h>
#include <stdlib.h>

const char *hs_block_function_of(const struct hs_native_type *function, bool fold,
                                 struct hs_block_function *function_ret, char *text, size_t size)
{
    static const char *const wanted[] = {"(const void *data, size_t size, uint64_t address)",
                                         "(const void *data, size_t size, uint64_t address, void *state)"};
    size_t count = fold ? 4 : 3;
    const struct hs_native_type *result = function->of;
    bool fits = function->member_count == count && !function->varargs;

    for (size_t i = 0; fits && i < count; i++) {
        const struct hs_native_type *type = function->members[i].type;

        if (i == 0 || i == 3)
            fits = type->kind == HS_NATIVE_POINTER;
        else
            fits = type->kind == HS_NATIVE_INTEGER && type->size == 8;
    }
    if (!fits) {
        snprintf(text, size, "a function %s is called for each block", wanted[fold]);
        return text;
    }
    if (!function->members[0].type->is_const) {
        snprintf(text, size, "its first parameter must point to const: a dump cannot be written to");
        return text;
    }
    if (result->kind != HS_NATIVE_INTEGER && result->kind != HS_NATIVE_BOOL &&
        !(fold && result->kind == HS_NATIVE_VOID)) {
        snprintf(text, size, "it gives %s: an integer or bool%s was expected", result->name, fold ? ", or void," : "");
        return text;
    }
    *function_ret = (struct hs_block_function){
        .result_size = result->kind == HS_NATIVE_VOID ? 0 : (unsigned)result->size,
        .result_signed = result->is_signed,
        .pure = function->pure,
    };
    return NULL;
}

/* ---- calling ---- */

/* Calls the function for pieces and keeps what it gives. */
typedef void call_pieces(void *code, struct hs_guard *guard, const struct hs_piece *pieces, size_t count,
                         int64_t *results);

#define CALL_PIECES(name, type)                                                                                        \
    static void name(void *code, struct hs_guard *guard, const struct hs_piece *pieces, size_t count,                  \
                     int64_t *results)                                                                                 \
    {                                                                                                                  \
        type (*function)(const void *, size_t, uint64_t);                                                              \
                                                                                                                       \
        memcpy(&function, &code, sizeof function);                                                                     \
        for (size_t i = 0; i < count; i++) {                                                                           \
            guard->piece = &pieces[i];                                                                                 \
            results[i] = (int64_t)function(pieces[i].bytes, pieces[i].size, pieces[i].va);                             \
        }                                                                                                              \
    }

CALL_PIECES(call_u8, uint8_t)
CALL_PIECES(call_i8, int8_t)
CALL_PIECES(call_u16, uint16_t)
CALL_PIECES(call_i16, int16_t)
CALL_PIECES(call_u32, uint32_t)
CALL_PIECES(call_i32, int32_t)
CALL_PIECES(call_64, uint64_t)

static call_pieces *caller_of(const struct hs_block_function *function)
{
    switch (function->result_size) {
    case 1: return function->result_signed ? call_i8 : call_u8;
    case 2: return function->result_signed ? call_i16 : call_u16;
    case 4: return function->result_signed ? call_i32 : call_u32;
    default: return call_64;
    }
}

/* What a fold's function gives for one piece, as wide as it says. */
static int64_t call_fold(const struct hs_block_function *function, const struct hs_piece *piece, void *state)
{
    uint64_t (*gives)(const void *, size_t, uint64_t, void *);
    void (*gives_nothing)(const void *, size_t, uint64_t, void *);
    unsigned unused = 64 - 8 * function->result_size;
    uint64_t result;

    if (function->result_size == 0) {
        memcpy(&gives_nothing, &function->code, sizeof gives_nothing);
        gives_nothing(piece->bytes, piece->size, piece->va, state);
        return 0;
    }
    memcpy(&gives, &function->code, sizeof gives); /* a smaller result stands in the low bytes of the same register */
    result = gives(piece->bytes, piece->size, piece->va, state) << unused;
    return function->result_signed ? (int64_t)result >> unused : (int64_t)(result >> unused);
}

/* ---- bytes of blocks ---- */

/* The user bytes of a block, if the dump has them in one piece. */
static bool piece_of(const struct hs_heaps *heaps, const struct hs_spot *spot, struct hs_piece *piece)
{
    const struct hs_extent *extent = spot->extent;
    uint64_t at;
    struct hs_span view;

    if (extent->kind == HS_EXTENT_HOLE)
        return false;
    at = hs_spot_user_off(heaps, spot);
    *piece = (struct hs_piece){extent->bytes + at, spot->brief.size, extent->va + at};
    if (extent->kind == HS_EXTENT_RUN && at + piece->size <= extent->size)
        return true;
    view = hs_space_view(heaps->process->space, piece->va);
    piece->bytes = view.bytes;
    return view.size >= piece->size && view.bytes;
}

/* ---- map and where ---- */

struct over {
    const struct hs_set *set;
    const struct hs_block_function *function;
    call_pieces *call;
    struct hs_job *job;
    struct hs_column *column; /* map */
    struct hs_set *to;        /* where */
    atomic_uint_fast64_t skipped, count, bytes;
};

/* Takes what the function gave for some blocks. */
static void keep(struct over *over, const struct hs_spot *spots, const int64_t *results, size_t count)
{
    uint64_t found = 0, bytes = 0;

    if (over->column) {
        for (size_t i = 0; i < count; i++)
            hs_column_put(over->column, spots[i].id, results[i]);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!results[i])
            continue;
        over->to->words[spots[i].id / 64] |= UINT64_C(1) << (spots[i].id % 64);
        found++;
        bytes += spots[i].brief.size;
    }
    atomic_fetch_add_explicit(&over->count, found, memory_order_relaxed);
    atomic_fetch_add_explicit(&over->bytes, bytes, memory_order_relaxed);
}

static void over_shard(void *context, size_t shard)
{
    struct over *over = context;
    const struct hs_heaps *heaps = over->set->blocks->heaps;
    struct hs_guard_stack stack;
    struct hs_guard guard;
    struct hs_set_cursor cursor;
    struct hs_spot spots[HS_BATCH];
    struct hs_piece pieces[HS_BATCH];
    int64_t results[HS_BATCH];
    size_t taken, kept;

    hs_guard_stack_use(&stack);
    hs_set_cursor_init(&cursor, over->set, hs_shard_from(over->set, shard), hs_shard_to(over->set, shard));
    while (!hs_job_stopped(over->job) && (taken = hs_set_cursor_take(&cursor, spots)) > 0) {
        kept = 0;
        for (size_t i = 0; i < taken; i++) {
            if (!piece_of(heaps, &spots[i], &pieces[kept]))
                continue;
            spots[kept++] = spots[i];
        }
        hs_guard_enter(&guard, &over->function->place);
        over->call(over->function->code, &guard, pieces, kept, results);
        hs_guard_leave(&guard);
        keep(over, spots, results, kept);
        if (kept < taken)
            atomic_fetch_add_explicit(&over->skipped, taken - kept, memory_order_relaxed);
    }
    hs_guard_stack_leave(&stack);
    hs_job_advance(over->job, hs_shard_to(over->set, shard) - hs_shard_from(over->set, shard));
}

static enum hs_status run(struct over *over, struct hs_error *err)
{
    size_t shards = hs_set_shards(over->set);

    hs_native_flush();
    over->call = caller_of(over->function);
    hs_job_start(over->job, over->set->to - over->set->from);
    if (over->function->pure)
        hs_set_parallel(over->set, over_shard, over);
    for (size_t shard = 0; !over->function->pure && shard < shards; shard++)
        over_shard(over, shard);
    if (hs_job_stopped(over->job))
        return hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while %s ran over blocks",
                       over->function->place.function);
    return HS_OK;
}

enum hs_status hs_set_map(const struct hs_set *set, const struct hs_block_function *function, struct hs_job *job,
                          struct hs_column **column_ret, uint64_t *skipped_ret, struct hs_error *err)
{
    struct over over = {.set = set, .function = function, .job = job, .column = hs_column_create(set)};
    enum hs_status status = over.column ? run(&over, err) : hs_fail_memory(err, "a column");

    if (status != HS_OK) {
        hs_column_release(over.column);
        return status;
    }
    *column_ret = over.column;
    *skipped_ret = over.skipped;
    return HS_OK;
}

enum hs_status hs_set_where_native(const struct hs_set *from, const struct hs_block_function *function,
                                   struct hs_job *job, struct hs_set **set_ret, uint64_t *skipped_ret,
                                   struct hs_error *err)
{
    struct hs_set *set = hs_set_new(from->dump, from->blocks);
    struct over over = {.set = from, .function = function, .job = job, .to = set};
    enum hs_status status = set ? run(&over, err) : hs_fail_memory(err, "a set of blocks");

    if (!set || status != HS_OK) {
        hs_set_destroy(set);
        return status;
    }
    set->count = (uint32_t)over.count;
    set->bytes = over.bytes;
    *set_ret = set;
    *skipped_ret = over.skipped;
    return HS_OK;
}

/* ---- fold ---- */

enum hs_status hs_set_fold(const struct hs_set *set, const struct hs_block_function *function, void *state,
                           struct hs_job *job, int64_t *result_ret, uint64_t *skipped_ret, struct hs_error *err)
{
    const struct hs_heaps *heaps = set->blocks->heaps;
    struct hs_set_cursor cursor;
    struct hs_spot spots[HS_BATCH];
    struct hs_guard_stack stack;
    struct hs_piece piece;
    struct hs_guard guard;
    uint64_t skipped = 0;
    int64_t result = 0;
    size_t taken;

    hs_native_flush();
    hs_guard_stack_use(&stack);
    hs_job_start(job, set->to - set->from);
    hs_set_cursor_init(&cursor, set, set->from, set->to);
    while (result == 0 && !hs_job_stopped(job) && (taken = hs_set_cursor_take(&cursor, spots)) > 0) {
        hs_guard_enter(&guard, &function->place);
        for (size_t i = 0; result == 0 && i < taken; i++) {
            if (!piece_of(heaps, &spots[i], &piece)) {
                skipped++;
                continue;
            }
            guard.piece = &piece;
            result = call_fold(function, &piece, state);
        }
        hs_guard_leave(&guard);
        hs_job_advance(job, taken);
    }
    hs_guard_stack_leave(&stack);
    if (hs_job_stopped(job))
        return hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "stopped while %s ran over blocks",
                       function->place.function);
    *result_ret = result;
    *skipped_ret = skipped;
    return HS_OK;
}
