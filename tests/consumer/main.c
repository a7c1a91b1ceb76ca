/* A program outside the source tree that links libheapsift: prints the version, and the totals of each heap. */
#include <heapsift/heapsift.h>

#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct hs_dump *dump = NULL;
    const struct hs_blocks *blocks = NULL;
    struct hs_error err;
    size_t heap_count = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: totals DUMP\n");
        return 2;
    }
    if (hs_dump_open(argv[1], NULL, &dump, &err) != HS_OK || hs_dump_heaps(dump, &heap_count, &err) != HS_OK ||
        hs_dump_blocks(dump, NULL, &blocks, &err) != HS_OK) {
        fprintf(stderr, "totals: %s: %s\n", argv[1], err.text);
        hs_dump_close(dump);
        return 3;
    }
    printf("libheapsift %s\n", hs_version());
    for (size_t i = 0; i < heap_count; i++) {
        const struct hs_heap *heap = hs_dump_heap(dump, i);
        const struct hs_heap_totals *totals = hs_blocks_totals(blocks, i);
        printf("heap %08" PRIx64 " %" PRIu64 " busy blocks, %" PRIu64 " bytes\n", heap->va,
               totals->count[HS_BLOCK_BUSY], totals->busy_size);
    }
    hs_dump_close(dump);
    return 0;
}
