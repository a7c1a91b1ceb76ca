/* child.c - child processes with limits, of this program or of another: started, watched, read from, and ended. Linux only, as the rest
 * of the program is: a child asks the kernel to be killed when its parent dies. */
#include "batch/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ERRORS_KEPT 4096u    /* bytes of the end of stderr */
#define TICK_MILLISECONDS 20 /* between two looks where the kernel has no pidfd */
#define DESCRIPTORS 4u       /* of a child: result, stderr, link, pidfd */
#define MESSAGE_MAX 8192u    /* bytes of a message on a link */

extern char **environ;

struct child {
    uint64_t id;
    pid_t pid;
    int result, errors, link, ended; /* our ends; -1: none or closed */
    struct hs_limits limits;
    double started, owed_since; /* seconds; owed_since: 0 while nothing is owed */
    bool unpacks;
    enum hs_child_end end; /* what we ended it for */
    struct hs_text output;
    char tail[ERRORS_KEPT];
    uint64_t errors_size; /* all of stderr so far */
};

struct hs_pool {
    struct child *children;
    size_t count, capacity;
    uint64_t last_id;
    struct pollfd *polled; /* DESCRIPTORS a child */
    size_t turn;           /* where the next look begins, so that nobody waits for ever */
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void close_one(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

enum hs_status hs_pool_create(struct hs_pool **pool_ret, struct hs_error *err)
{
    struct hs_pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return hs_fail_memory(err, "the processes");
    *pool_ret = pool;
    return HS_OK;
}

static void child_deinit(struct child *child)
{
    close_one(&child->result);
    close_one(&child->errors);
    close_one(&child->link);
    close_one(&child->ended);
    hs_text_deinit(&child->output);
}

void hs_pool_destroy(struct hs_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < pool->count; i++)
        kill(-pool->children[i].pid, SIGKILL);
    for (size_t i = 0; i < pool->count; i++) {
        waitpid(pool->children[i].pid, NULL, 0);
        child_deinit(&pool->children[i]);
    }
    free(pool->children);
    free(pool->polled);
    free(pool);
}

/* ---- starting ---- */

struct start {
    const char *program; /* NULL: this one */
    char *const *arguments;
    int result, errors, link, dump; /* the child's ends */
    uint64_t memory_size;
    pid_t parent;
};

/* Puts `from` at `to`; both lie above HS_CHILD_LINK before. */
static void place(int from, int to)
{
    if (from >= 0)
        dup2(from, to);
    else
        close(to);
}

static void set_limit(unsigned which, rlim_t value)
{
    struct rlimit limit;
    if (getrlimit(which, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max < value ? limit.rlim_max : value;
    limit.rlim_max = limit.rlim_cur;
    setrlimit(which, &limit);
}

/* In the child, between fork and exec: only calls that a signal handler may make. */
static _Noreturn void become(const struct start *start)
{
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != start->parent)
        _exit(127); /* it died before that */
    setpgid(0, 0);  /* Ctrl-C is for the parent; and what it starts itself ends with it */
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(start->program ? start->result : null, STDOUT_FILENO);
    dup2(start->errors, STDERR_FILENO);
    place(start->program ? -1 : start->result, HS_CHILD_RESULT);
    place(start->dump, HS_CHILD_DUMP);
    place(start->link, HS_CHILD_LINK);
    set_limit(RLIMIT_CORE, 0);
#if !defined(__SANITIZE_ADDRESS__) /* its shadow is private writable memory, of terabytes */
    if (start->memory_size > 0)
        set_limit(RLIMIT_DATA, start->memory_size);
#endif
    /* If the machine runs out of memory, rather a child than the batch. */
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0 && write(score, "900", 3) < 0)
        errno = 0;
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(start->program ? start->program : "/proc/self/exe", start->arguments, environ);
    _exit(127);
}

/* A descriptor above those a child finds, closed at exec. */
static int lift(int descriptor)
{
    int lifted = fcntl(descriptor, F_DUPFD_CLOEXEC, 16);
    close(descriptor);
    return lifted;
}

/* Both ends of a pipe or (`linked`) of a socket pair; [0]: ours. */
static bool make_ends(int ends[2], bool linked)
{
    ends[0] = ends[1] = -1;
    if ((linked ? socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) : pipe2(ends, O_CLOEXEC)) != 0)
        return false;
    ends[0] = lift(ends[0]);
    ends[1] = lift(ends[1]);
    return ends[0] >= 0 && ends[1] >= 0;
}

static enum hs_status grow(struct hs_pool *pool, struct hs_error *err)
{
    if (pool->count < pool->capacity)
        return HS_OK;
    size_t capacity = pool->capacity ? pool->capacity * 2 : 8;
    struct child *children = realloc(pool->children, capacity * sizeof *children);
    if (!children)
        return hs_fail_memory(err, "the processes");
    pool->children = children;
    struct pollfd *polled = realloc(pool->polled, capacity * DESCRIPTORS * sizeof *polled);
    if (!polled)
        return hs_fail_memory(err, "the processes");
    pool->polled = polled;
    pool->capacity = capacity;
    return HS_OK;
}

enum hs_status hs_pool_start(struct hs_pool *pool, const char *program, char *const *arguments, int dump, bool unpacks,
                             const struct hs_limits *limits, uint64_t *id_ret, struct hs_error *err)
{
    enum hs_status status = grow(pool, err);
    if (status != HS_OK)
        return status;
    int result[2], errors[2], link[2] = {-1, -1}, lifted = -1;
    bool made = make_ends(result, false);
    made = make_ends(errors, false) && made;
    if (unpacks)
        made = make_ends(link, true) && made;
    if (dump >= 0) {
        lifted = fcntl(dump, F_DUPFD_CLOEXEC, 16);
        made = made && lifted >= 0;
    }
    struct start start = {program, arguments, result[1], errors[1], link[1], lifted, limits->memory_size, getpid()};
    pid_t pid = made ? fork() : -1;
    if (pid == 0)
        become(&start);
    int number = errno;
    close_one(&result[1]);
    close_one(&errors[1]);
    close_one(&link[1]);
    close_one(&lifted);
    if (pid < 0) {
        close_one(&result[0]);
        close_one(&errors[0]);
        close_one(&link[0]);
        return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot start a process: %s", strerror(number));
    }
    setpgid(pid, pid); /* both sides do it: whoever comes first */
    fcntl(result[0], F_SETFL, O_NONBLOCK);
    fcntl(errors[0], F_SETFL, O_NONBLOCK);
    struct child *child = &pool->children[pool->count++];
    *child = (struct child){.id = ++pool->last_id,
                            .pid = pid,
                            .result = result[0],
                            .errors = errors[0],
                            .link = link[0],
                            .ended = -1,
                            .limits = *limits,
                            .started = now(),
                            .unpacks = unpacks,
                            .end = HS_CHILD_EXITED};
    child->owed_since = child->started;
#ifdef SYS_pidfd_open
    child->ended = (int)syscall(SYS_pidfd_open, pid, 0);
#endif
    hs_text_init(&child->output);
    *id_ret = child->id;
    return HS_OK;
}

void hs_pool_go_on(struct hs_pool *pool, uint64_t id)
{
    for (size_t i = 0; i < pool->count; i++) {
        struct child *child = &pool->children[i];
        if (child->id != id || child->link < 0)
            continue;
        child->owed_since = now();
        if (send(child->link, "g", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            errno = 0; /* it ended: its report tells */
    }
}

/* ---- reading ---- */

static void end_for(struct child *child, enum hs_child_end why)
{
    if (child->end == HS_CHILD_EXITED)
        child->end = why;
    kill(-child->pid, SIGKILL);
    kill(child->pid, SIGKILL);
}

static void read_output(struct child *child)
{
    char bytes[65536];
    for (;;) {
        ssize_t got = read(child->result, bytes, sizeof bytes);
        if (got > 0) {
            bool over = child->limits.output_size && child->output.size + (size_t)got > child->limits.output_size;
            if (!over)
                hs_text_add_bytes(&child->output, bytes, (size_t)got);
            if (over || child->output.failed)
                end_for(child, HS_CHILD_OUTPUT);
            continue;
        }
        if (got == 0)
            close_one(&child->result);
        if (got == 0 || errno != EINTR)
            return;
    }
}

static void read_errors(struct child *child)
{
    char bytes[4096];
    for (;;) {
        ssize_t got = read(child->errors, bytes, sizeof bytes);
        for (ssize_t i = 0; i < got; i++)
            child->tail[child->errors_size++ % ERRORS_KEPT] = bytes[i];
        if (got > 0 && child->limits.output_size && child->errors_size > child->limits.output_size)
            end_for(child, HS_CHILD_OUTPUT);
        if (got == 0)
            close_one(&child->errors);
        if (got == 0 || (got < 0 && errno != EINTR))
            return;
    }
}

/* A message of an unpacker: size in decimal, 0, name, 0, reason; with the descriptor of the member beside it. */
static bool read_member(struct child *child, struct hs_member *member)
{
    char bytes[MESSAGE_MAX + 1];
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {bytes, MESSAGE_MAX};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(child->link, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got <= 0) {
        if (got == 0)
            close_one(&child->link);
        return false;
    }
    *member = (struct hs_member){.id = child->id, .descriptor = -1};
    struct cmsghdr *beside = CMSG_FIRSTHDR(&message);
    if (beside && beside->cmsg_type == SCM_RIGHTS && beside->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&member->descriptor, CMSG_DATA(beside), sizeof(int));
    bytes[got] = 0;
    const char *name = bytes + strlen(bytes) + 1;
    const char *reason = name < bytes + got ? name + strlen(name) + 1 : NULL;
    member->size = strtoull(bytes, NULL, 10);
    member->name = strdup(name < bytes + got ? name : "?");
    member->reason = reason && reason < bytes + got && *reason ? strdup(reason) : NULL;
    child->owed_since = 0;
    if (member->name && (member->descriptor >= 0 || member->reason))
        return true;
    close_one(&member->descriptor);
    free(member->name);
    free(member->reason);
    hs_pool_go_on(&(struct hs_pool){.children = child, .count = 1}, child->id);
    return false;
}

/* ---- ending ---- */

static void take_errors(struct child *child, struct hs_text *text)
{
    char bytes[ERRORS_KEPT];
    size_t size = child->errors_size < ERRORS_KEPT ? (size_t)child->errors_size : ERRORS_KEPT;
    for (size_t i = 0; i < size; i++)
        bytes[i] = child->tail[(child->errors_size - size + i) % ERRORS_KEPT];
    size_t from = 0;
    if (child->errors_size > ERRORS_KEPT) /* whole lines, if there are any */
        for (size_t i = 0; i + 1 < size && from == 0; i++)
            from = bytes[i] == '\n' ? i + 1 : 0;
    hs_text_add_escaped(text, bytes + from, size - from, true);
}

/* Takes a child that has ended out of the pool; false while it runs. */
static bool take_report(struct hs_pool *pool, size_t idx, struct hs_child_report *report)
{
    struct child *child = &pool->children[idx];
    struct rusage usage;
    int state;
    if (wait4(child->pid, &state, WNOHANG, &usage) != child->pid)
        return false;
    kill(-child->pid, SIGKILL); /* what it started itself */
    if (child->result >= 0)
        read_output(child);
    if (child->errors >= 0)
        read_errors(child);
    *report = (struct hs_child_report){.id = child->id, .end = child->end};
    report->code = WIFEXITED(state) ? WEXITSTATUS(state) : WTERMSIG(state);
    if (child->end == HS_CHILD_EXITED && WIFSIGNALED(state))
        report->end = HS_CHILD_CRASHED;
    report->seconds = now() - child->started;
    report->cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    report->peak_size = (uint64_t)usage.ru_maxrss << 10;
    report->output = child->output;
    hs_text_init(&child->output);
    hs_text_init(&report->errors);
    take_errors(child, &report->errors);
    child_deinit(child);
    pool->children[idx] = pool->children[--pool->count];
    return true;
}

/* ---- waiting ---- */

static void add_poll(struct hs_pool *pool, size_t *count, int descriptor)
{
    if (descriptor >= 0)
        pool->polled[(*count)++] = (struct pollfd){descriptor, POLLIN, 0};
}

/* Waits for news; milliseconds are cut to the next end of somebody's time. */
static void wait_for_news(struct hs_pool *pool, int milliseconds)
{
    size_t count = 0;
    double time = now();
    for (size_t i = 0; i < pool->count; i++) {
        const struct child *child = &pool->children[i];
        add_poll(pool, &count, child->result);
        add_poll(pool, &count, child->errors);
        add_poll(pool, &count, child->link);
        add_poll(pool, &count, child->ended);
        if (child->ended < 0 && milliseconds > TICK_MILLISECONDS)
            milliseconds = TICK_MILLISECONDS;
        if (child->limits.timeout > 0 && child->owed_since > 0) {
            double left = (child->owed_since + child->limits.timeout - time) * 1000;
            if (left < milliseconds)
                milliseconds = left < 0 ? 0 : (int)left + 1;
        }
    }
    if (poll(pool->polled, (nfds_t)count, milliseconds) < 0)
        errno = 0; /* a signal: the caller looks */
}

enum hs_pool_event hs_pool_wait(struct hs_pool *pool, int milliseconds, struct hs_child_report *report_ret,
                                struct hs_member *member_ret)
{
    double until = now() + milliseconds / 1000.0;
    for (bool waited = false;; waited = true) {
        double time = now();
        for (size_t step = 0; step < pool->count; step++) {
            size_t idx = (pool->turn + step) % pool->count;
            struct child *child = &pool->children[idx];
            if (child->result >= 0)
                read_output(child);
            if (child->errors >= 0)
                read_errors(child);
            bool came = child->link >= 0 && read_member(child, member_ret);
            if (!came && child->limits.timeout > 0 && child->owed_since > 0 &&
                time - child->owed_since > child->limits.timeout)
                end_for(child, HS_CHILD_TIMEOUT);
            if (came || take_report(pool, idx, report_ret)) {
                pool->turn = idx;
                return came ? HS_POOL_MEMBER : HS_POOL_REPORT;
            }
        }
        double left = (until - now()) * 1000;
        if (left <= 0 || (waited && pool->count == 0))
            return HS_POOL_NOTHING;
        wait_for_news(pool, (int)left + 1);
        if (waited && milliseconds == 0)
            return HS_POOL_NOTHING;
    }
}

double hs_pool_slowest(const struct hs_pool *pool, uint64_t *id_ret)
{
    double first = 0;
    *id_ret = 0;
    for (size_t i = 0; i < pool->count; i++)
        if (!pool->children[i].unpacks && (*id_ret == 0 || pool->children[i].started < first)) {
            first = pool->children[i].started;
            *id_ret = pool->children[i].id;
        }
    return *id_ret ? now() - first : 0;
}
