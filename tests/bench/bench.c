/* bench.c - figures of the engine on one dump, through its public headers, and of whole processes.
 *
 *     bench engine DUMP ROUNDS   wall and processor seconds of each step with 1 thread and with all, look-ups a second,
 *                                private memory
 *     bench time ROUNDS CMD...   median wall seconds, then median processor seconds, of a whole process
 *     bench interrupt MS ROUNDS CMD...   median seconds from Ctrl-C, sent MS milliseconds after its start, to the end of CMD
 *     bench memory CMD...        the most bytes that were the process' own at any time (RssAnon, looked at every 0.2 ms)
 *
 * engine prints "name value" lines. What CMD prints is thrown away. */
#include <heapsift/heapsift.h>

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ROUNDS 999
#define LOOKUPS 4000000u

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double processor(void)
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

/* Bytes of memory that a process has for itself: no file is behind them. path: its /proc/ID/status. 0: it has ended. */
static unsigned long private_bytes(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[256];
    unsigned long kib, found = 0;

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %lu", &kib) == 1)
            found = kib * 1024;
    if (file)
        fclose(file);
    return found;
}

enum step { STEP_OPEN, STEP_WALK, STEP_GROUP, STEP_SIZE, STEP_TERMS, STEP_READ, STEP_COUNT };

static const char *const step_names[] = {"open", "walk", "group", "filter_size", "filter_terms", "filter_read"};

struct times {
    double wall[STEP_COUNT], processor[STEP_COUNT];
};

static double start_wall, start_processor;

static void start(void)
{
    start_processor = processor();
    start_wall = now();
}

static void stop(struct times *times, enum step step)
{
    times->wall[step] = now() - start_wall;
    times->processor[step] = processor() - start_processor;
}

/* Filters as lua makes them of: size == 0xf8; size == 0xf8 and state == busy and stored == 0x7dfe;
 * size == 0xf8 and stored == 0x7dfe or u32(0) == 0x10000001. */
static const struct hs_filter_op by_size[] = {
    {HS_FILTER_FIELD, HS_BLOCK_FIELD_SIZE},
    {HS_FILTER_PUSH, 0xf8},
    {HS_FILTER_EQUAL, 0},
};
static const struct hs_filter_op by_terms[] = {
    {HS_FILTER_FIELD, HS_BLOCK_FIELD_SIZE},
    {HS_FILTER_PUSH, 0xf8},
    {HS_FILTER_EQUAL, 0},
    {HS_FILTER_JUMP_UNLESS, 11},
    {HS_FILTER_FIELD, HS_BLOCK_FIELD_STATE},
    {HS_FILTER_PUSH, HS_BLOCK_BUSY},
    {HS_FILTER_EQUAL, 0},
    {HS_FILTER_JUMP_UNLESS, 11},
    {HS_FILTER_FIELD, HS_BLOCK_FIELD_STORED},
    {HS_FILTER_PUSH, 0x7dfe},
    {HS_FILTER_EQUAL, 0},
};
static const struct hs_filter_op by_read[] = {
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

static uint64_t filter(struct hs_dump *dump, const struct hs_set *set, const struct hs_filter_op *ops, size_t count,
                       enum step step, struct times *times)
{
    struct hs_filter *filter;
    struct hs_set *found;
    struct hs_error err;
    uint64_t matches;

    must(hs_filter_create(dump, ops, count, NULL, 0, NULL, &filter, &err), &err);
    start();
    must(hs_set_where(set, filter, NULL, &found, &err), &err);
    stop(times, step);
    matches = hs_set_count(found);
    hs_set_destroy(found);
    hs_filter_destroy(filter);
    return matches;
}

/* Opens, walks, groups by heap and size, filters all blocks. */
static void round_of(const char *path, unsigned threads, struct times *times, uint32_t *count_ret, uint64_t *matches,
                     unsigned long *memory_ret)
{
    static const enum hs_key keys[] = {HS_KEY_HEAP, HS_KEY_SIZE};
    const struct hs_open_options open = {.thread_count = threads};
    const struct hs_set_options busy = {.states = 1u << HS_BLOCK_BUSY};
    const struct hs_blocks *blocks;
    struct hs_groups *groups;
    struct hs_set *set, *all;
    struct hs_dump *dump;
    struct hs_error err;

    start();
    must(hs_dump_open(path, &open, &dump, &err), &err);
    stop(times, STEP_OPEN);
    start();
    must(hs_dump_blocks(dump, NULL, &blocks, &err), &err);
    stop(times, STEP_WALK);
    must(hs_set_create(dump, &busy, NULL, &set, &err), &err);
    start();
    must(hs_set_group(set, keys, NULL, 2, NULL, &groups, &err), &err);
    stop(times, STEP_GROUP);
    must(hs_set_create(dump, NULL, NULL, &all, &err), &err);
    matches[0] = filter(dump, all, by_size, sizeof by_size / sizeof *by_size, STEP_SIZE, times);
    matches[1] = filter(dump, all, by_terms, sizeof by_terms / sizeof *by_terms, STEP_TERMS, times);
    matches[2] = filter(dump, all, by_read, sizeof by_read / sizeof *by_read, STEP_READ, times);
    *count_ret = hs_blocks_count(blocks);
    *memory_ret = private_bytes("/proc/self/status");
    hs_groups_destroy(groups);
    hs_set_destroy(all);
    hs_set_destroy(set);
    hs_dump_close(dump);
}

/* Look-ups of pseudo-random addresses inside heaps: how many in a second, and in a second of processor time. */
static double lookups_a_second(const char *path, double *processor_ret)
{
    const struct hs_open_options open = {.thread_count = 1};
    const struct hs_blocks *blocks;
    struct hs_dump *dump;
    struct hs_error err;
    uint32_t count, found = 0;
    uint64_t seed = 1;
    hs_va *addresses = malloc(LOOKUPS * sizeof *addresses);
    double seconds, processor_seconds;

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
    start();
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        uint32_t id;

        found += hs_blocks_find_id(blocks, addresses[i], &id) == HS_OK;
    }
    processor_seconds = processor() - start_processor;
    seconds = now() - start_wall;
    if (found != LOOKUPS)
        fprintf(stderr, "bench: %u of %u addresses found\n", found, LOOKUPS);
    free(addresses);
    hs_dump_close(dump);
    *processor_ret = LOOKUPS / processor_seconds;
    return LOOKUPS / seconds;
}

/* `step` of all rounds: "name_1 seconds", "name_1_cpu seconds". */
static void print_step(const struct times *times, int rounds, enum step step, const char *threads)
{
    double wall[MAX_ROUNDS], cpu[MAX_ROUNDS];

    for (int i = 0; i < rounds; i++) {
        wall[i] = times[i].wall[step];
        cpu[i] = times[i].processor[step];
    }
    printf("%s_%s %.6f\n%s_%s_cpu %.6f\n", step_names[step], threads, median(wall, rounds), step_names[step], threads,
           median(cpu, rounds));
}

static int engine(const char *path, int rounds)
{
    struct times *times = calloc((size_t)rounds * 2, sizeof *times);
    unsigned long memory = 0, most = 0;
    uint64_t matches[3];
    uint32_t count = 0;
    double lookups;

    if (!times)
        return 1;
    for (int i = 0; i < rounds; i++) {
        round_of(path, 1, &times[i], &count, matches, &memory);
        most = memory > most ? memory : most;
        round_of(path, 0, &times[rounds + i], &count, matches, &memory);
        most = memory > most ? memory : most;
    }
    printf("blocks %u\n", count);
    printf("matches %llu %llu %llu\n", (unsigned long long)matches[0], (unsigned long long)matches[1],
           (unsigned long long)matches[2]);
    for (enum step step = 0; step < STEP_COUNT; step++) {
        print_step(times, rounds, step, "1");
        print_step(times + rounds, rounds, step, "all");
    }
    printf("private_bytes %lu\n", most);
    printf("lookups_a_second %.0f\n", lookups_a_second(path, &lookups));
    printf("lookups_a_second_cpu %.0f\n", lookups);
    free(times);
    return 0;
}

/* Starts a command whose output nobody wants. */
static pid_t run(char **command)
{
    pid_t child = fork();

    if (child == 0) {
        int sink = open("/dev/null", O_WRONLY);

        dup2(sink, 1);
        signal(SIGINT, SIG_DFL); /* a shell that runs this in the background has it ignored */
        execvp(command[0], command);
        _exit(127);
    }
    return child;
}

static bool succeeded(pid_t child, int status, char **command)
{
    if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    fprintf(stderr, "bench: %s failed\n", command[0]);
    return false;
}

static int time_command(int rounds, char **command)
{
    double wall[MAX_ROUNDS], cpu[MAX_ROUNDS];

    for (int i = 0; i < rounds; i++) {
        double from = now();
        struct rusage usage;
        pid_t child = run(command);
        int status = 0;

        if (child > 0)
            child = wait4(child, &status, 0, &usage);
        wall[i] = now() - from;
        if (!succeeded(child, status, command))
            return 1;
        cpu[i] = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    }
    printf("%.6f %.6f\n", median(wall, rounds), median(cpu, rounds));
    return 0;
}

static int interrupt_command(int milliseconds, int rounds, char **command)
{
    const struct timespec wait = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    double seconds[MAX_ROUNDS];

    for (int i = 0; i < rounds; i++) {
        pid_t child = run(command);
        int status = 0;
        double from;

        nanosleep(&wait, NULL);
        from = now();
        if (child > 0)
            kill(child, SIGINT);
        if (child <= 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 130) {
            fprintf(stderr,
                    "bench: %s, interrupted after %d ms, ended with wait status 0x%x and not with exit code 130\n",
                    command[0], milliseconds, (unsigned)status);
            return 1;
        }
        seconds[i] = now() - from;
    }
    printf("%.6f\n", median(seconds, rounds));
    return 0;
}

static int memory_of_command(char **command)
{
    const struct timespec pause = {.tv_nsec = 200000};
    unsigned long most = 0;
    pid_t child = run(command), ended;
    char path[64];
    int status = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)child);
    while ((ended = waitpid(child, &status, WNOHANG)) == 0) {
        unsigned long bytes = private_bytes(path);

        most = bytes > most ? bytes : most;
        nanosleep(&pause, NULL);
    }
    if (!succeeded(ended, status, command))
        return 1;
    printf("%lu\n", most);
    return 0;
}

int main(int argc, char **argv)
{
    int rounds = argc > 3 ? atoi(argv[strcmp(argv[1], "engine") == 0 ? 3 : 2]) : 0;

    if (argc == 4 && strcmp(argv[1], "engine") == 0 && rounds > 0 && rounds <= MAX_ROUNDS)
        return engine(argv[2], rounds);
    if (argc > 3 && strcmp(argv[1], "time") == 0 && rounds > 0 && rounds <= MAX_ROUNDS)
        return time_command(rounds, argv + 3);
    if (argc > 4 && strcmp(argv[1], "interrupt") == 0 && atoi(argv[2]) > 0 && atoi(argv[3]) > 0 &&
        atoi(argv[3]) <= MAX_ROUNDS)
        return interrupt_command(atoi(argv[2]), atoi(argv[3]), argv + 4);
    if (argc > 2 && strcmp(argv[1], "memory") == 0)
        return memory_of_command(argv + 2);
    fprintf(stderr,
            "usage: bench engine DUMP ROUNDS | bench time ROUNDS COMMAND... | bench interrupt MS ROUNDS COMMAND... | "
            "bench memory COMMAND...\n");
    return 2;
}
