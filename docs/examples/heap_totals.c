/* Prints the totals of each heap of a dump. Build it against an installed heapsift:
 *     cc -std=c17 -o heap_totals heap_totals.c $(pkg-config --cflags --libs heapsift)
 */
#include <heapsift/heapsift.h>

#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct hs_dump *dump = NULL;
    const struct hs_blocks *blocks = NULL; /* borrowed: it goes with the dump */
    struct hs_error err;
    size_t heap_count = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: heap_totals DUMP\n");
        return 2;
    }
    if (hs_dump_open(argv[1], NULL, &dump, &err) != HS_OK || hs_dump_heaps(dump, &heap_count, &err) != HS_OK ||
        hs_dump_blocks(dump, NULL, &blocks, &err) != HS_OK) {
        fprintf(stderr, "heap_totals: %s: %s\n", argv[1], err.text);
        hs_dump_close(dump); /* takes NULL */
        return 3;
    }
    printf("libheapsift %s\n", hs_version());
    for (size_t i = 0; i < heap_count; i++) {
        const struct hs_heap *heap = hs_dump_heap(dump, i);
        const struct hs_heap_totals *totals = hs_blocks_totals(blocks, i);
        if (heap->reason[0] != '\0') {
            printf("heap %08" PRIx64 " not read: %s\n", heap->va, heap->reason);
            continue;
        }
        printf("heap %08" PRIx64 " %" PRIu64 " busy blocks, %" PRIu64 " bytes\n", heap->va,
               totals->count[HS_BLOCK_BUSY], totals->size[HS_BLOCK_BUSY]);
        if (heap->unread_size > 0)
            printf("heap %08" PRIx64 " %" PRIu64 " bytes could not be read\n", heap->va, heap->unread_size);
        if (heap->unread_segments + heap->unread_large > 0)
            printf("heap %08" PRIx64 " %" PRIu32 " segments and %" PRIu32 " large blocks could not be read\n", heap->va,
                   heap->unread_segments, heap->unread_large);
    }
    if (hs_dump_heap_list(dump) != HS_HEAP_LIST_WHOLE)
        printf("heaps may be missing\n");
    hs_dump_close(dump);
    return 0;
}
