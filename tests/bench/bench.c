/* bench.c - figures of the engine on one dump, through its public headers.
 *
 *     bench engine DUMP          seconds of each step with 1 thread and with all, look-ups a second, private memory
 *     bench time ROUNDS CMD...   median wall seconds of a whole process (its output is thrown away)
 *
 * Prints "name value" lines. */
#include <heapsift/heapsift.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 7
#define LOOKUPS 4000000u

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    const double *one = a, *two = b;
    return *one < *two ? -1 : *one > *two;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

static void must(enum hs_status status, const struct hs_error *err)
{
    if (status != HS_OK) {
        fprintf(stderr, "bench: %s: %s\n", hs_status_name(status), err->text);
        exit(1);
    }
}

/* Bytes of memory that belong to this process alone and not to the mapped file. */
static unsigned long private_bytes(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    unsigned long kib, sum = 0;

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Private_Dirty: %lu", &kib) == 1)
            sum += kib;
    if (file)
        fclose(file);
    return sum * 1024;
}

/* Opens, walks, groups by heap and size, filters; seconds of each in `seconds`. */
static void round_of(const char *path, unsigned threads, double *seconds, uint32_t *count_ret,
                     unsigned long *memory_ret)
{
    /* size == 0xf8 and stored == 0x7dfe or u32(0) == 0x10000001 */
    static const struct hs_filter_op ops[] = {
        {HS_FILTER_FIELD, HS_BLOCK_FIELD_SIZE},
        {HS_FILTER_PUSH, 0xf8},
        {HS_FILTER_EQUAL, 0},
        {HS_FILTER_JUMP_UNLESS, 7},
        {HS_FILTER_FIELD, HS_BLOCK_FIELD_STORED},
        {HS_FILTER_PUSH, 0x7dfe},
        {HS_FILTER_EQUAL, 0},
        {HS_FILTER_JUMP_IF, 12},
        {HS_FILTER_PUSH, 0},
        {HS_FILTER_READ, 4},
        {HS_FILTER_PUSH, 0x10000001},
        {HS_FILTER_EQUAL, 0},
    };
    static const enum hs_key keys[] = {HS_KEY_HEAP, HS_KEY_SIZE};
    const struct hs_open_options open = {.thread_count = threads};
    const struct hs_set_options busy = {.states = 1u << HS_BLOCK_BUSY};
    const struct hs_blocks *blocks;
    struct hs_filter *filter;
    struct hs_groups *groups;
    struct hs_set *set, *found;
    struct hs_dump *dump;
    struct hs_error err;
    double start = now();

    must(hs_dump_open(path, &open, &dump, &err), &err);
    must(hs_dump_blocks(dump, NULL, &blocks, &err), &err);
    seconds[0] = now() - start;
    must(hs_set_create(dump, &busy, NULL, &set, &err), &err);
    start = now();
    must(hs_set_group(set, keys, NULL, 2, NULL, &groups, &err), &err);
    seconds[1] = now() - start;
    must(hs_filter_create(dump, ops, sizeof ops / sizeof *ops, NULL, 0, NULL, &filter, &err), &err);
    start = now();
    must(hs_set_where(set, filter, NULL, &found, &err), &err);
    seconds[2] = now() - start;
    *count_ret = hs_blocks_count(blocks);
    *memory_ret = private_bytes();
    hs_set_destroy(found);
    hs_filter_destroy(filter);
    hs_groups_destroy(groups);
    hs_set_destroy(set);
    hs_dump_close(dump);
}

/* Look-ups of pseudo-random addresses inside heaps. */
static double lookups_a_second(const char *path)
{
    const struct hs_open_options open = {.thread_count = 1};
    const struct hs_blocks *blocks;
    struct hs_dump *dump;
    struct hs_error err;
    uint32_t count, found = 0;
    uint64_t seed = 1;
    hs_va *addresses = malloc(LOOKUPS * sizeof *addresses);
    double start, seconds;

    if (!addresses)
        exit(1);
    must(hs_dump_open(path, &open, &dump, &err), &err);
    must(hs_dump_blocks(dump, NULL, &blocks, &err), &err);
    count = hs_blocks_count(blocks);
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        struct hs_block block;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        must(hs_blocks_get(blocks, (uint32_t)((seed >> 33) % count), &block), &err);
        addresses[i] = block.va + (seed >> 20) % block.total;
    }
    start = now();
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        uint32_t id;

        found += hs_blocks_find_id(blocks, addresses[i], &id) == HS_OK;
    }
    seconds = now() - start;
    if (found != LOOKUPS)
        fprintf(stderr, "bench: %u of %u addresses found\n", found, LOOKUPS);
    free(addresses);
    hs_dump_close(dump);
    return LOOKUPS / seconds;
}

static int engine(const char *path)
{
    static const char *const names[] = {"walk", "group", "filter"};
    double seconds[3][2][ROUNDS];
    unsigned long memory = 0;
    uint32_t count = 0;

    for (int round = 0; round < ROUNDS; round++) {
        for (int all = 0; all < 2; all++) {
            double steps[3];

            round_of(path, all ? 0 : 1, steps, &count, &memory);
            for (int i = 0; i < 3; i++)
                seconds[i][all][round] = steps[i];
        }
    }
    printf("blocks %u\n", count);
    for (int i = 0; i < 3; i++)
        printf("%s_1 %.6f\n%s_all %.6f\n", names[i], median(seconds[i][0], ROUNDS), names[i],
               median(seconds[i][1], ROUNDS));
    printf("private_bytes %lu\n", memory);
    printf("lookups_a_second %.0f\n", lookups_a_second(path));
    return 0;
}

static int time_command(int rounds, char **command)
{
    double *seconds = calloc((size_t)rounds, sizeof *seconds);

    for (int i = 0; seconds && i < rounds; i++) {
        double start = now();
        pid_t child = fork();
        int status;

        if (child == 0) {
            int sink = open("/dev/null", O_WRONLY);

            dup2(sink, 1);
            execvp(command[0], command);
            _exit(127);
        }
        if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status)) {
            fprintf(stderr, "bench: %s failed\n", command[0]);
            return 1;
        }
        seconds[i] = now() - start;
    }
    if (!seconds)
        return 1;
    printf("%.6f\n", median(seconds, rounds));
    free(seconds);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "engine") == 0)
        return engine(argv[2]);
    if (argc > 3 && strcmp(argv[1], "time") == 0 && atoi(argv[2]) > 0 && atoi(argv[2]) < 1000)
        return time_command(atoi(argv[2]), argv + 3);
    fprintf(stderr, "usage: bench engine DUMP | bench time ROUNDS COMMAND...\n");
    return 2;
}
