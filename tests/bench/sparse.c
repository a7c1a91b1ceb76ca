/* sparse.c - a dump larger than any test should write: gigabytes of private memory put into a real one as holes.
 *
 *     sparse DUMP OUT GIB
 *
 * DUMP is a full dump of an x64 process with Memory64List and MemoryInfoList (heapsift run sample --arch x64). OUT is
 * the same process with GIB gigabytes more of committed private memory, one allocation of 2 MB after the other, 64 KB
 * free after each, from 1 TB on. Everything is where a writer would put it: both lists sorted, memory in the order of
 * its list, so that what lies above 1 TB (system modules, TEBs, PEB) comes behind the holes in the file. The added
 * bytes are never written: on a file system with sparse files OUT takes hardly more room than DUMP. The program shares
 * nothing with the engine. It prints the size of OUT and the bytes it takes on disk. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BASE (UINT64_C(1) << 40) /* where the added memory begins */
#define PIECE (UINT64_C(2) << 20)
#define GAP (UINT64_C(64) << 10)
#define INFO_SIZE 48u   /* of a MINIDUMP_MEMORY_INFO */
#define RANGE_SIZE 16u  /* of a MINIDUMP_MEMORY_DESCRIPTOR64 */
#define ENTRY_SIZE 12u  /* of a MINIDUMP_DIRECTORY */
#define MEMORY64_LIST 9 /* MINIDUMP_STREAM_TYPE */
#define MEMORY_INFO_LIST 16
#define MEM_COMMIT 0x1000
#define MEM_FREE 0x10000
#define MEM_PRIVATE 0x20000
#define PAGE_NOACCESS 1
#define PAGE_READWRITE 4

static uint64_t load(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, bytes, size);
    return value;
}

static void store(uint8_t *bytes, size_t size, uint64_t value)
{
    memcpy(bytes, &value, size);
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "sparse: %s\n", what);
    exit(1);
}

static void write_at(int file, const uint8_t *bytes, uint64_t size, uint64_t off)
{
    while (size > 0) {
        ssize_t done = pwrite(file, bytes, (size_t)size, (off_t)off);

        if (done <= 0)
            fail("writing failed");
        bytes += done;
        size -= (uint64_t)done;
        off += (uint64_t)done;
    }
}

static void put_info(uint8_t *info, uint64_t va, uint64_t size, bool used)
{
    memset(info, 0, INFO_SIZE);
    store(info, 8, va);
    store(info + 8, 8, used ? va : 0);
    store(info + 16, 4, used ? PAGE_READWRITE : 0);
    store(info + 24, 8, size);
    store(info + 32, 4, used ? MEM_COMMIT : MEM_FREE);
    store(info + 36, 4, used ? PAGE_READWRITE : PAGE_NOACCESS);
    store(info + 40, 4, used ? MEM_PRIVATE : 0);
}

int main(int argc, char **argv)
{
    uint64_t memory = 0, infos = 0, info_count, range_count, data, low = 0, below = 0, at, pieces, added, info_end;
    uint8_t *head, *info, *range, *list;
    uint8_t *memory_entry = NULL, *info_entry = NULL;
    const uint8_t *in;
    struct stat status;
    int file, out;

    if (argc != 4 || atoi(argv[3]) < 1 || atoi(argv[3]) > 4096) {
        fprintf(stderr, "sparse: usage: sparse DUMP OUT GIB\n");
        return 2;
    }
    pieces = ((uint64_t)atoi(argv[3]) << 30) / PIECE;
    added = pieces * (PIECE + GAP);
    if ((file = open(argv[1], O_RDONLY)) < 0 || fstat(file, &status) != 0)
        fail("the dump cannot be opened");
    in = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (in == MAP_FAILED || memcmp(in, "MDMP", 4) != 0)
        fail("no dump");
    for (uint64_t i = 0; i < load(in + 8, 4); i++) {
        const uint8_t *entry = in + load(in + 12, 4) + i * ENTRY_SIZE;

        if (load(entry, 4) == MEMORY64_LIST)
            memory_entry = (uint8_t *)entry, memory = load(entry + 8, 4);
        if (load(entry, 4) == MEMORY_INFO_LIST)
            info_entry = (uint8_t *)entry, infos = load(entry + 8, 4);
    }
    if (!memory || !infos || load(in + infos, 4) != 16 || load(in + infos + 4, 4) != INFO_SIZE)
        fail("not the lists that are wanted");
    range_count = load(in + memory, 8);
    data = load(in + memory + 8, 8);
    info_count = load(in + infos + 8, 8);

    /* The new lists stand behind the old streams, and the memory behind them. */
    head = calloc(1, (size_t)(data + 32 + (info_count + 2 * pieces + 2) * INFO_SIZE +
                              (range_count + pieces) * RANGE_SIZE + 0x1000));
    if (!head)
        fail("out of memory");
    memcpy(head, in, (size_t)data);
    list = head + data;
    memcpy(list, in + infos, 16);
    info = list + 16;
    for (uint64_t i = 0; i < info_count; i++) {
        const uint8_t *old = in + infos + 16 + i * INFO_SIZE;
        uint64_t from = load(old, 8), to = from + load(old + 24, 8);

        if (from <= BASE && to > BASE) {
            if (load(old + 32, 4) != MEM_FREE || to < BASE + added)
                fail("no room in the address space");
            if (from < BASE)
                put_info(info, from, BASE - from, false), info += INFO_SIZE;
            for (uint64_t k = 0; k < pieces; k++, info += 2 * (size_t)INFO_SIZE) {
                put_info(info, BASE + k * (PIECE + GAP), PIECE, true);
                put_info(info + INFO_SIZE, BASE + k * (PIECE + GAP) + PIECE, GAP, false);
            }
            if (to > BASE + added)
                put_info(info, BASE + added, to - (BASE + added), false), info += INFO_SIZE;
        } else {
            memcpy(info, old, INFO_SIZE);
            info += INFO_SIZE;
        }
    }
    info_end = (uint64_t)(info - head);
    store(list + 8, 8, (info_end - data - 16) / INFO_SIZE);
    store(head + (info_entry - in) + 4, 4, info_end - data);
    store(head + (info_entry - in) + 8, 4, data);

    list = head + info_end;
    range = list + 16;
    for (uint64_t i = 0; i < range_count; i++, range += RANGE_SIZE) {
        const uint8_t *old = in + memory + 16 + i * RANGE_SIZE;

        if (load(old, 8) < BASE) {
            below++;
            low += load(old + 8, 8);
        } else if (i == below) { /* the first above */
            for (uint64_t k = 0; k < pieces; k++, range += RANGE_SIZE) {
                store(range, 8, BASE + k * (PIECE + GAP));
                store(range + 8, 8, PIECE);
            }
        }
        memcpy(range, old, RANGE_SIZE);
    }
    if (below == range_count)
        fail("nothing above 1 TB: no x64 process");
    at = ((uint64_t)(range - head) + 0xfff) & ~UINT64_C(0xfff);
    store(list, 8, range_count + pieces);
    store(list + 8, 8, at);
    store(head + (memory_entry - in) + 4, 4, (uint64_t)(range - list));
    store(head + (memory_entry - in) + 8, 4, info_end);

    if ((out = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0644)) < 0)
        fail("the file to write cannot be opened");
    write_at(out, head, (uint64_t)(range - head), 0);
    write_at(out, in + data, low, at);
    at += low + pieces * PIECE;
    write_at(out, in + data + low, (uint64_t)status.st_size - data - low, at);
    if (fstat(out, &status) != 0 || close(out) != 0)
        fail("writing failed");
    printf("%" PRIu64 " %" PRIu64 "\n", (uint64_t)status.st_size, (uint64_t)status.st_blocks * 512);
    free(head);
    return 0;
}
