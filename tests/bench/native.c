/* native.c - what set:map is measured against: the same loop over busy blocks, written in C.
 *
 *     native DUMP LIBRARY FUNCTION ROUNDS
 *
 * Prints the blocks, and the median processor seconds of ROUNDS rounds of two loops that call the function for each block
 * and keep what it gives: over libheapsift's public functions, and over the inner cursor that the engine's own kernels
 * use, one thread each. */
#include "query/query.h"

#include <dlfcn.h>
#include <heapsift/heapsift.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef uint32_t block_function(const void *data, size_t size, uint64_t address);

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    const double *one = a, *two = b;
    return *one < *two ? -1 : *one > *two;
}

static void by_public_functions(struct hs_dump *dump, const struct hs_set *set, block_function *function,
                                int64_t *results)
{
    const struct hs_blocks *blocks;
    struct hs_error err;

    if (hs_dump_blocks(dump, NULL, &blocks, &err) != HS_OK)
        exit(1);
    for (uint32_t id = 0; hs_set_next(set, id, &id) == HS_OK; id++) {
        struct hs_block block;
        const void *bytes;
        uint64_t size;

        if (hs_blocks_get(blocks, id, &block) != HS_OK || hs_dump_view(dump, block.user_va, &bytes, &size) != HS_OK ||
            size < block.size)
            continue;
        results[id] = function(bytes, block.size, block.user_va);
    }
}

static void by_cursor(const struct hs_set *set, block_function *function, int64_t *results)
{
    const struct hs_heaps *heaps = set->blocks->heaps;
    struct hs_spot spots[HS_BATCH];
    struct hs_set_cursor cursor;
    size_t taken;

    hs_set_cursor_init(&cursor, set, set->from, set->to);
    while ((taken = hs_set_cursor_take(&cursor, spots)) > 0) {
        for (size_t i = 0; i < taken; i++) {
            const struct hs_extent *extent = spots[i].extent;
            uint64_t at = extent->kind == HS_EXTENT_HOLE ? 0 : hs_spot_user_off(heaps, &spots[i]);

            if (extent->kind == HS_EXTENT_RUN && at + spots[i].brief.size <= extent->size)
                results[spots[i].id] = function(extent->bytes + at, spots[i].brief.size, extent->va + at);
        }
    }
}

int main(int argc, char **argv)
{
    struct hs_set_options options = {.states = 1u << HS_BLOCK_BUSY};
    double times[2][64];
    struct hs_dump *dump;
    struct hs_set *set;
    struct hs_error err;
    int rounds = argc == 5 ? atoi(argv[4]) : 0;
    void *library = argc == 5 ? dlopen(argv[2], RTLD_NOW) : NULL;
    void *symbol = library ? dlsym(library, argv[3]) : NULL;
    block_function *function;

    if (!symbol || rounds < 1 || rounds > 64) {
        fprintf(stderr, "usage: native DUMP LIBRARY FUNCTION ROUNDS\n");
        return 2;
    }
    memcpy(&function, &symbol, sizeof function);
    if (hs_dump_open(argv[1], NULL, &dump, &err) != HS_OK || hs_set_create(dump, &options, NULL, &set, &err) != HS_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (int i = 0; i < rounds; i++) {
        for (int way = 0; way < 2; way++) {
            double begin = now();
            int64_t *results = calloc((size_t)set->to + 1, sizeof *results);

            if (!results)
                return 1;
            if (way == 0)
                by_public_functions(dump, set, function, results);
            else
                by_cursor(set, function, results);
            times[way][i] = now() - begin;
            free(results);
        }
    }
    for (int way = 0; way < 2; way++)
        qsort(times[way], (size_t)rounds, sizeof times[way][0], compare);
    printf("%" PRIu32 " %.6f %.6f\n", hs_set_count(set), times[0][rounds / 2], times[1][rounds / 2]);
    hs_set_destroy(set);
    hs_dump_close(dump);
    return 0;
}
