/* signals.c - Ctrl-C, progress lines, and a mapped file that shrinks while it is read.
 *
 * A thread of its own takes the signals and writes the progress line: so neither has to care what the main thread is
 * in the middle of, and a signal handler is needed for SIGBUS only. */
#include "host/host_internal.h"
#include "native/native.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TICK_NANOSECONDS 100000000L /* between two looks at the job */
#define GRACE_NANOSECONDS 70000000L /* from the signal to the hard end */
#define PROGRESS_AFTER 1.0          /* seconds since the first work of a run before any of it is talked about */
#define INPUT_MAX 256

static struct {
    pthread_mutex_t lock; /* guards job, what, started, busy, first, shown */
    struct hs_job *job;
    const char *what;
    struct timespec started;
    bool busy;             /* some work has been begun, ... */
    struct timespec first; /* ... the first of it then */
    bool shown;
    bool progress;
    atomic_bool held; /* the main thread sees to the end itself */
    atomic_int caught;
    atomic_bool one_command; /* SIGINT stops a command only */
    atomic_int interrupts;   /* of this command */
    atomic_bool said;        /* that the program was interrupted */
    char input[INPUT_MAX];
    char bus_line[INPUT_MAX + 96]; /* ready for a handler that may not format */
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
    atomic_bool used;
    char path[PATH_MAX];
} temporary[HOST_TEMPORARY_MAX];

/* ---- temporary files ---- */

int host_temporary_add(const char *path)
{
    if (strlen(path) >= PATH_MAX)
        return -1;
    for (int slot = 0; slot < HOST_TEMPORARY_MAX; slot++) {
        if (atomic_load(&temporary[slot].used))
            continue;
        memcpy(temporary[slot].path, path, strlen(path) + 1);
        atomic_store(&temporary[slot].used, true);
        return slot;
    }
    return -1;
}

void host_temporary_remove(int slot)
{
    if (slot >= 0)
        atomic_store(&temporary[slot].used, false);
}

/* What has been printed so far, if that can be had without waiting for anybody. */
static void flush_stdout(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT) || ftrylockfile(stdout) != 0)
        return;
    fflush(stdout);
    funlockfile(stdout);
}

/* Only calls that a signal handler may make. */
static _Noreturn void end_at_once(const char *line, int code)
{
    for (int slot = 0; slot < HOST_TEMPORARY_MAX; slot++)
        if (atomic_load(&temporary[slot].used))
            unlink(temporary[slot].path);
    ssize_t written = write(STDERR_FILENO, line, strlen(line));
    (void)written;
    _exit(code);
}

void host_signals_end(void)
{
    flush_stdout();
    end_at_once(atomic_exchange(&watch.said, true) ? "" : "heapsift: interrupted\n", 128 + atomic_load(&watch.caught));
}

/* ---- the thread ---- */

static double seconds_since(const struct timespec *then)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

static void progress_clear(void)
{
    if (watch.shown)
        fputs("\r\033[K", stderr);
    watch.shown = false;
}

static void progress_show(void)
{
    if (!watch.job || seconds_since(&watch.first) < PROGRESS_AFTER)
        return;
    double seconds = seconds_since(&watch.started);
    uint64_t done, total;
    hs_job_progress(watch.job, &done, &total);
    fprintf(stderr, "\r\033[Kheapsift: %s: %s", watch.input, watch.what);
    if (total > 0 && done <= total) {
        double share = (double)done / (double)total;
        fprintf(stderr, " %3.0f %%", 100 * share);
        if (share > 0.02)
            fprintf(stderr, ", %.0f s left", seconds / share - seconds);
    }
    fflush(stderr);
    watch.shown = true;
}

static void signal_caught(int number)
{
    bool one_command = number == SIGINT && atomic_load(&watch.one_command);
    int before = one_command ? atomic_fetch_add(&watch.interrupts, 1) - 1 : atomic_load(&watch.caught);
    if (before > 0)
        host_signals_end(); /* asked twice; of a command, three times */
    atomic_store(&watch.caught, number);
    pthread_mutex_lock(&watch.lock);
    progress_clear();
    watch.progress = watch.progress && one_command;
    if (watch.job)
        hs_job_cancel(watch.job);
    pthread_mutex_unlock(&watch.lock);
}

static void *watch_main(void *context)
{
    const sigset_t *set = context;
    for (;;) {
        int caught = atomic_load(&watch.caught);
        struct timespec tick = {0, caught ? GRACE_NANOSECONDS : TICK_NANOSECONDS};
        int number = sigtimedwait(set, NULL, &tick);
        if (number > 0) {
            signal_caught(number);
        } else if (caught && !atomic_load(&watch.held) && !(caught == SIGINT && atomic_load(&watch.one_command))) {
            host_signals_end();
        }
        pthread_mutex_lock(&watch.lock);
        if (watch.progress)
            progress_show();
        pthread_mutex_unlock(&watch.lock);
    }
    return NULL;
}

static void bus_handler(int number)
{
    (void)number;
    end_at_once(watch.bus_line, 3);
}

/* A crash of native code: its line, behind what names the input. */
static void native_end(const char *line, int code)
{
    char text[1024];
    size_t size = 0;
    const char *const pieces[] = {"heapsift: ", watch.input, ": ", line, "\n"};

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        for (const char *at = pieces[i]; *at && size + 1 < sizeof text; at++)
            text[size++] = *at;
    text[size] = 0;
    end_at_once(text, code);
}

void host_signals_start(void)
{
    static sigset_t set;
    host_signals_input("the dump");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of write, as a full disk is */
    struct sigaction bus = {.sa_handler = bus_handler};
    sigemptyset(&bus.sa_mask);
    sigaction(SIGBUS, &bus, NULL);
    hs_guard_set_end(native_end);

    sigemptyset(&set);
    const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction old;
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaddset(&set, numbers[i]);
    }
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &set, &before);
    pthread_t thread;
    if (pthread_create(&thread, NULL, watch_main, &set) == 0)
        pthread_detach(thread);
    else
        pthread_sigmask(SIG_SETMASK, &before, NULL); /* Ctrl-C ends the program the plain way */
}

int host_signals_caught(void)
{
    return atomic_load_explicit(&watch.caught, memory_order_relaxed);
}

void host_signals_one_command(bool on)
{
    if (atomic_load(&watch.caught) > 0 && atomic_load(&watch.caught) != SIGINT)
        return; /* the end is near */
    pthread_mutex_lock(&watch.lock);
    watch.busy = false;
    pthread_mutex_unlock(&watch.lock);
    atomic_store(&watch.one_command, on);
    atomic_store(&watch.interrupts, 0);
    atomic_store(&watch.caught, 0);
}

bool host_signals_stopped_command(void)
{
    return atomic_load(&watch.caught) == SIGINT && atomic_load(&watch.one_command);
}

void host_signals_input(const char *input)
{
    pthread_mutex_lock(&watch.lock);
    snprintf(watch.input, sizeof watch.input, "%s", input);
    snprintf(watch.bus_line, sizeof watch.bus_line,
             "heapsift: %s: the file became shorter while it was read, or its medium failed\n", watch.input);
    pthread_mutex_unlock(&watch.lock);
}

void host_signals_hold(bool on)
{
    atomic_store(&watch.held, on);
}

bool host_signals_held(void)
{
    return atomic_load(&watch.held);
}

void host_signals_progress(bool on)
{
    pthread_mutex_lock(&watch.lock);
    watch.progress = on && isatty(STDERR_FILENO);
    pthread_mutex_unlock(&watch.lock);
}

/* ---- long work ---- */

static void work_begin(void *context, struct hs_job *job, const char *what)
{
    (void)context;
    pthread_mutex_lock(&watch.lock);
    watch.job = job;
    watch.what = what;
    clock_gettime(CLOCK_MONOTONIC, &watch.started);
    if (!watch.busy)
        watch.first = watch.started;
    watch.busy = true;
    pthread_mutex_unlock(&watch.lock);
    if (host_signals_caught())
        hs_job_cancel(job);
}

static void work_end(void *context)
{
    (void)context;
    pthread_mutex_lock(&watch.lock);
    watch.job = NULL;
    progress_clear();
    pthread_mutex_unlock(&watch.lock);
}

const struct hs_bind_watch *host_signals_watch(void)
{
    static const struct hs_bind_watch functions = {NULL, work_begin, work_end};
    return &functions;
}
