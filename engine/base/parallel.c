/* parallel.c - a loop over items on several threads, and the job by which long work is watched and stopped. */
#include "base/base.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define THREADS_MAX 64u

unsigned hs_processor_count(void)
{
    cpu_set_t set;
    int count;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    count = CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}

struct loop {
    void (*run)(void *context, size_t item, unsigned slot);
    void *context;
    size_t item_count;
    atomic_size_t next;
    atomic_uint slots; /* given out: one a thread */
};

static void *loop_run(void *argument)
{
    struct loop *loop = argument;
    unsigned slot = atomic_fetch_add_explicit(&loop->slots, 1, memory_order_relaxed);

    for (;;) {
        size_t item = atomic_fetch_add_explicit(&loop->next, 1, memory_order_relaxed);
        if (item >= loop->item_count)
            return NULL;
        loop->run(loop->context, item, slot);
    }
}

void hs_parallel_slots(unsigned thread_count, size_t item_count, void (*run)(void *context, size_t item, unsigned slot),
                       void *context)
{
    struct loop loop = {.run = run, .context = context, .item_count = item_count};
    pthread_t threads[THREADS_MAX];
    unsigned helpers = 0;

    if (thread_count > THREADS_MAX)
        thread_count = THREADS_MAX;
    if (thread_count > item_count)
        thread_count = (unsigned)item_count;
    while (helpers + 1 < thread_count && pthread_create(&threads[helpers], NULL, loop_run, &loop) == 0)
        helpers++;
    loop_run(&loop);
    for (unsigned i = 0; i < helpers; i++)
        pthread_join(threads[i], NULL);
}

struct plain {
    void (*run)(void *context, size_t item);
    void *context;
};

static void run_plain(void *context, size_t item, unsigned slot)
{
    const struct plain *plain = context;

    (void)slot;
    plain->run(plain->context, item);
}

void hs_parallel(unsigned thread_count, size_t item_count, void (*run)(void *context, size_t item), void *context)
{
    struct plain plain = {run, context};

    hs_parallel_slots(thread_count, item_count, run_plain, &plain);
}

#define TOUCH_BYTES ((size_t)1 << 20) /* of one item */

struct touching {
    uint8_t *memory;
    size_t size;
};

static void touch(void *context, size_t item)
{
    const struct touching *touching = context;
    size_t at = item * TOUCH_BYTES, left = touching->size - at;

    memset(touching->memory + at, 0, left < TOUCH_BYTES ? left : TOUCH_BYTES);
}

void *hs_alloc_touched(unsigned thread_count, size_t size)
{
    struct touching touching = {malloc(size), size};

    if (touching.memory)
        hs_parallel(thread_count, (size + TOUCH_BYTES - 1) / TOUCH_BYTES, touch, &touching);
    return touching.memory;
}

struct hs_job *hs_job_create(void)
{
    return calloc(1, sizeof(struct hs_job));
}

void hs_job_destroy(struct hs_job *job)
{
    free(job);
}

void hs_job_cancel(struct hs_job *job)
{
    atomic_store_explicit(&job->cancel, true, memory_order_relaxed);
}

bool hs_job_cancelled(const struct hs_job *job)
{
    return hs_job_stopped(job);
}

void hs_job_progress(const struct hs_job *job, uint64_t *done_ret, uint64_t *total_ret)
{
    *done_ret = atomic_load_explicit(&job->done, memory_order_relaxed);
    *total_ret = atomic_load_explicit(&job->total, memory_order_relaxed);
}

void hs_job_start(struct hs_job *job, uint64_t total)
{
    if (!job)
        return;
    atomic_store_explicit(&job->done, 0, memory_order_relaxed);
    atomic_store_explicit(&job->total, total, memory_order_relaxed);
}
