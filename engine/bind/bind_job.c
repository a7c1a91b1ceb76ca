/* bind_job.c - long work: watched by the host, told to a progress function, cancelled from outside. */
#include "bind/bind_internal.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define POLL_NANOSECONDS 100000000L /* how often a progress function is called */

/* Work on a thread of its own, so that this one can call Lua meanwhile. */
struct task {
    bind_work *work;
    void *arguments;
    struct hs_job *job;
    struct hs_error *err;
    enum hs_status status;
    bool done;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static void *task_main(void *context)
{
    struct task *task = context;
    enum hs_status status = task->work(task->arguments, task->job, task->err);
    pthread_mutex_lock(&task->lock);
    task->status = status;
    task->done = true;
    pthread_cond_signal(&task->changed);
    pthread_mutex_unlock(&task->lock);
    return NULL;
}

/* Waits a while; true once the work is done. */
static bool task_wait(struct task *task)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += POLL_NANOSECONDS;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&task->lock);
    int waited = 0;
    while (!task->done && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&task->changed, &task->lock, &until);
    bool done = task->done;
    pthread_mutex_unlock(&task->lock);
    return done;
}

/* Calls the function at the stack top with (what, done, total); keeps it there. Its error, if any, is left above it. */
static int progress_call(lua_State *lua, const struct hs_job *job, const char *what)
{
    uint64_t done, total;
    hs_job_progress(job, &done, &total);
    lua_pushvalue(lua, -1);
    lua_pushstring(lua, what);
    lua_pushinteger(lua, (lua_Integer)done);
    lua_pushinteger(lua, (lua_Integer)total);
    return lua_pcall(lua, 3, 0, 0);
}

/* The progress function is at the stack top. *failed_ret: it raised, and its error is at the stack top. */
static enum hs_status run_told(lua_State *lua, struct task *task, const char *what, bool *failed_ret)
{
    pthread_t thread;
    *failed_ret = false;
    if (pthread_create(&thread, NULL, task_main, task) != 0)
        return task->work(task->arguments, task->job, task->err);
    while (!task_wait(task)) {
        if (*failed_ret)
            continue;
        *failed_ret = progress_call(lua, task->job, what) != LUA_OK;
        if (*failed_ret)
            hs_job_cancel(task->job);
    }
    pthread_join(thread, NULL);
    return task->status;
}

enum hs_status bind_run(lua_State *lua, int owner_idx, const char *what, bind_work *work, void *arguments,
                        struct hs_error *err)
{
    const struct hs_bind_watch *watch = bind_watch(lua);
    luaL_checkstack(lua, 8, NULL);
    int top = lua_gettop(lua);
    bool told = lua_getiuservalue(lua, owner_idx, 2) == LUA_TFUNCTION;
    struct hs_job *job = hs_job_create();
    if (!job) {
        lua_settop(lua, top);
        return hs_fail_memory(err, what);
    }
    if (watch && watch->begin)
        watch->begin(watch->context, job, what);

    bool failed = false;
    enum hs_status status;
    if (told) {
        struct task task = {
            work, arguments, job, err, HS_OK, false, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};
        status = run_told(lua, &task, what, &failed);
    } else {
        status = work(arguments, job, err);
    }

    if (watch && watch->end)
        watch->end(watch->context);
    hs_job_destroy(job);
    if (failed)
        lua_error(lua);
    lua_settop(lua, top);
    return status;
}
