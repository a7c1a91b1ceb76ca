/* guard.c - a crash of native code is reported: which function of which library, and at which block.
 *
 * The handlers stand only while a library is loaded, and claim a signal only if native code runs on the very thread;
 * everything else goes to whoever was asked before. */
#include "native/native.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const struct {
    int number;
    const char *name;
} signals[] = {{SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"}, {SIGFPE, "SIGFPE"}, {SIGILL, "SIGILL"}, {SIGABRT, "SIGABRT"}};
#define SIGNAL_COUNT (sizeof signals / sizeof signals[0])

static struct {
    pthread_mutex_t lock;
    unsigned users;
    struct sigaction before[SIGNAL_COUNT];
    struct hs_guard_stack stack; /* of the thread that loaded the first library */
    pthread_t stack_thread;
    void (*end)(const char *line, int code);
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct hs_guard *volatile current;

void hs_guard_enter(struct hs_guard *guard, const struct hs_native_place *place)
{
    guard->place = place;
    guard->piece = NULL;
    guard->outer = current;
    current = guard;
}

void hs_guard_leave(struct hs_guard *guard)
{
    current = guard->outer;
}

struct hs_guard *hs_guard_suspend(void)
{
    struct hs_guard *guard = current;

    current = NULL;
    return guard;
}

void hs_guard_resume(struct hs_guard *guard)
{
    current = guard;
}

void hs_guard_set_end(void (*end)(const char *line, int code))
{
    watch.end = end;
}

/* ---- the line: no function that a handler may not call ---- */

struct line {
    char text[512];
    size_t size;
};

static void add(struct line *line, const char *text)
{
    for (; *text && line->size + 1 < sizeof line->text; text++) {
        unsigned char c = (unsigned char)*text;

        line->text[line->size++] = c < 0x20 || c >= 0x7f ? '?' : *text;
    }
    line->text[line->size] = 0;
}

static void add_hex(struct line *line, uint64_t value, int digits)
{
    char text[17];
    int at = 16;

    text[16] = 0;
    while (at > 0 && (value || digits > 0)) {
        text[--at] = "0123456789abcdef"[value & 15];
        value >>= 4;
        digits--;
    }
    add(line, text + at);
}

static void report(const struct hs_guard *guard, const char *name, bool has_address, const void *address)
{
    const struct hs_piece *piece = guard->piece;
    struct line line = {.size = 0};

    add(&line, "native code crashed: ");
    add(&line, guard->place->function);
    add(&line, " of ");
    add(&line, guard->place->library);
    add(&line, ": ");
    add(&line, name);
    if (has_address) {
        add(&line, " at address 0x");
        add_hex(&line, (uint64_t)(uintptr_t)address, 1);
    }
    if (piece) {
        add(&line, ", at the block with user address ");
        add_hex(&line, piece->va, 8);
        add(&line, " of 0x");
        add_hex(&line, piece->size, 1);
        add(&line, " bytes");
    }
    if (watch.end)
        watch.end(line.text, HS_NATIVE_CRASHED);
    line.text[line.size] = '\n'; /* add() left room */
    ssize_t written = write(STDERR_FILENO, line.text, line.size + 1);
    (void)written;
    _exit(HS_NATIVE_CRASHED);
}

/* ---- signals ---- */

/* Whether a SIGBUS comes from the dump's file and not from the library: then it became shorter. */
static bool is_of_the_dump(const struct hs_guard *guard, const void *address)
{
    const struct hs_piece *piece = guard->piece;
    uintptr_t at = (uintptr_t)address, from = piece ? (uintptr_t)piece->bytes : 0;

    return piece && at >= from && at - from < piece->size;
}

static void hand_on(size_t idx, int number, siginfo_t *info, void *context)
{
    const struct sigaction *before = &watch.before[idx];

    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(number, info, context);
    } else if (before->sa_handler == SIG_DFL) {
        sigaction(number, before, NULL); /* what caused the signal happens again, or is sent again */
        if (info->si_code <= 0)
            raise(number);
    } else if (before->sa_handler != SIG_IGN) {
        before->sa_handler(number);
    }
}

static void handler(int number, siginfo_t *info, void *context)
{
    const struct hs_guard *guard = current;
    bool sent = info->si_code <= 0;
    size_t idx = 0;

    while (idx + 1 < SIGNAL_COUNT && signals[idx].number != number)
        idx++;
    if (!guard || (sent && info->si_pid != getpid()) || (number == SIGBUS && is_of_the_dump(guard, info->si_addr))) {
        hand_on(idx, number, info, context);
        return;
    }
    report(guard, signals[idx].name, !sent && (number == SIGSEGV || number == SIGBUS), info->si_addr);
}

void hs_guard_stack_use(struct hs_guard_stack *stack)
{
    stack_t now;

    stack->used = false;
    if (sigaltstack(NULL, &now) != 0 || !(now.ss_flags & SS_DISABLE))
        return;
    now = (stack_t){.ss_sp = stack->bytes, .ss_size = sizeof stack->bytes};
    stack->used = sigaltstack(&now, NULL) == 0;
}

void hs_guard_stack_leave(struct hs_guard_stack *stack)
{
    stack_t off = {.ss_flags = SS_DISABLE};

    if (stack->used)
        sigaltstack(&off, NULL);
    stack->used = false;
}

void hs_guard_install(void)
{
    pthread_mutex_lock(&watch.lock);
    if (watch.users++ == 0) {
        struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};

        hs_guard_stack_use(&watch.stack);
        watch.stack_thread = pthread_self();
        sigemptyset(&action.sa_mask);
        for (size_t i = 0; i < SIGNAL_COUNT; i++)
            sigaction(signals[i].number, &action, &watch.before[i]);
    }
    pthread_mutex_unlock(&watch.lock);
}

void hs_guard_uninstall(void)
{
    pthread_mutex_lock(&watch.lock);
    if (--watch.users == 0) {
        for (size_t i = 0; i < SIGNAL_COUNT; i++)
            sigaction(signals[i].number, &watch.before[i], NULL);
        if (pthread_equal(watch.stack_thread, pthread_self()))
            hs_guard_stack_leave(&watch.stack);
    }
    pthread_mutex_unlock(&watch.lock);
}
