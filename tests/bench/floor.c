/* floor.c - the least that any reader must do: one thread, one pass over the headers of every block of a dump.
 *
 *     floor DUMP RUNS [ROUNDS]
 *
 * RUNS has a line "va end" (hex) for each run of blocks, as tests/bench/runs.lua prints it: where a chain of entries
 * begins and where it ends. The program maps the dump, finds the file offset of each run in Memory64List, and follows
 * Size from header to header, adding up busy blocks and bytes. It prints the median seconds of ROUNDS rounds (default
 * 5), wall and processor, the blocks and the busy bytes. It shares nothing with the engine. x86 dumps only. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct run {
    uint64_t va, end, off;
};

static uint64_t load(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, bytes, size);
    return value;
}

static double now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    const double *one = a, *two = b;
    return *one < *two ? -1 : *one > *two;
}

/* File offset of an address by Memory64List (stream type 9). */
static uint64_t offset_of(const uint8_t *map, uint64_t va)
{
    uint32_t streams = (uint32_t)load(map + 8, 4), directory = (uint32_t)load(map + 12, 4);

    for (uint32_t i = 0; i < streams; i++) {
        const uint8_t *entry = map + directory + i * 12;
        const uint8_t *list = map + load(entry + 8, 4);
        uint64_t count, off;

        if (load(entry, 4) != 9)
            continue;
        count = load(list, 8);
        off = load(list + 8, 8);
        for (uint64_t k = 0; k < count; k++) {
            uint64_t start = load(list + 16 + k * 16, 8), size = load(list + 24 + k * 16, 8);
            if (va - start < size)
                return off + (va - start);
            off += size;
        }
    }
    fprintf(stderr, "floor: %" PRIx64 " is not in the dump\n", va);
    exit(1);
}

int main(int argc, char **argv)
{
    static struct run runs[65536];
    static double seconds[1000], processor[1000];
    size_t count = 0;
    int rounds = argc > 3 ? atoi(argv[3]) : 5;
    uint64_t blocks = 0, bytes = 0;
    struct stat status;
    const uint8_t *map;
    FILE *list;
    int file;

    if (argc < 3 || rounds < 1 || rounds > 1000 || (file = open(argv[1], O_RDONLY)) < 0 || fstat(file, &status) != 0 ||
        !(list = fopen(argv[2], "r"))) {
        fprintf(stderr, "floor: usage: floor DUMP RUNS [ROUNDS]\n");
        return 2;
    }
    map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (map == MAP_FAILED)
        return 1;
    while (count < sizeof runs / sizeof *runs &&
           fscanf(list, "%" SCNx64 " %" SCNx64, &runs[count].va, &runs[count].end) == 2)
        count++;
    for (size_t i = 0; i < count; i++)
        runs[i].off = offset_of(map, runs[i].va);
    for (int round = 0; round < rounds; round++) {
        double start, start_processor;

        /* A fresh mapping each time: page faults are part of what a reader pays. */
        munmap((void *)(uintptr_t)map, (size_t)status.st_size);
        start_processor = now(CLOCK_PROCESS_CPUTIME_ID);
        start = now(CLOCK_MONOTONIC);
        map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (map == MAP_FAILED)
            return 1;
        blocks = bytes = 0;
        for (size_t i = 0; i < count; i++) {
            const uint8_t *at = map + runs[i].off, *end = at + (runs[i].end - runs[i].va);

            while (at < end) {
                uint64_t header = load(at, 8);
                uint64_t size = (header & 0xffff) * 8;

                if (size == 0)
                    break;
                blocks++;
                if (header >> 40 & 1)
                    bytes += size - (header >> 48 & 0xff);
                at += size;
            }
        }
        seconds[round] = now(CLOCK_MONOTONIC) - start;
        processor[round] = now(CLOCK_PROCESS_CPUTIME_ID) - start_processor;
    }
    qsort(seconds, (size_t)rounds, sizeof *seconds, compare);
    qsort(processor, (size_t)rounds, sizeof *processor, compare);
    printf("%.6f %.6f %" PRIu64 " %" PRIu64 "\n", seconds[rounds / 2], processor[rounds / 2], blocks, bytes);
    return 0;
}
