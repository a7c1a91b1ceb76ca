/* host_internal.h - what the files of host/ share. */
#ifndef HS_HOST_INTERNAL_H
#define HS_HOST_INTERNAL_H

#include "base/base.h"
#include "bind/bind.h"
#include "host/host.h"
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define HOST_MEMORY_LIMIT ((size_t)2 << 30)   /* bytes a Lua state may hold unless told otherwise */
#define HOST_MEMORY_RESERVE ((size_t)8 << 20) /* more, for saying that the limit was reached */

/* Registry keys of values that the host's Lua code gives. */
#define HOST_FAIL "heapsift.host.fail" /* function (code, text): raises what ends the script */
#define HOST_STOP HS_BIND_STOP         /* value to raise when the program is to stop at once */

struct host {
    size_t memory_used, memory_limit;
    bool gc_stress;                 /* a full collection at every hook */
    const struct hs_prompt *prompt; /* NULL: no line editor */
    bool stopping;                  /* the stop value has been caught: raise it no more */
    bool text_to_stderr;            /* stdout is for JSON */
    int stdout_errno;               /* why writing to stdout failed; 0 while it works */
};

/* The host of a state. */
struct host *host_of(lua_State *lua);
/* Raises the stop value. */
_Noreturn void host_stop(lua_State *lua);

/* Looks at signals again as often as at the start, after a stop that did not end the program. */
void host_watch_again(lua_State *lua);

/* prompt.c: functions of core for `heapsift shell`. */
extern const luaL_Reg host_prompt_functions[];

/* disassembly.c: core.disassemble(bytes, address, pointer size[, most]) -> list */
int host_disassemble(lua_State *lua);

/* terminal.c: functions of core for the terminal. */
extern const luaL_Reg host_terminal_functions[];

/* core.c: pushes the table of functions for the host's Lua code. */
void host_core_push(lua_State *lua);

/* store.c, pool.c, system.c: more of that table, which is at the stack top. */
void host_store_add(lua_State *lua);
void host_system_add(lua_State *lua);
void host_pool_add(lua_State *lua);

/* results.c: core.results(path) -> the results object of scripts, or nil, message, code */
int host_results(lua_State *lua);
void host_results_create(lua_State *lua);
/* Pushes such an object over a store that somebody else closes, after the last question. */
struct hs_store;
void host_results_push(lua_State *lua, struct hs_store *store);

/* output.c: core.output(path) -> file, or nil, message */
int host_output(lua_State *lua);
void host_output_create(lua_State *lua);

/* ---- signals.c: Ctrl-C, progress, a mapped file that shrinks ---- */

/* Starts watching: from here on the signals SIGINT, SIGTERM and SIGHUP go to a thread of their own. */
void host_signals_start(void);
/* While on, SIGINT stops what runs now and not the program, unless it comes three times. Forgets what was caught. */
void host_signals_one_command(bool on);
/* Whether SIGINT came for a command only. */
bool host_signals_stopped_command(void);
/* The signal that asked the program to end; 0 if none did. */
int host_signals_caught(void);
/* Ends the program after a signal: what was printed so far, one line, no temporary files. Safe from any thread. */
_Noreturn void host_signals_end(void);
/* Names the input in messages of signal handlers and progress lines, escaped. */
void host_signals_input(const char *input);
void host_signals_progress(bool on);
/* While held, a signal is only noted (host_signals_caught), and the program ends in its own time; a second one ends it. */
void host_signals_hold(bool on);
bool host_signals_held(void);
/* Somebody who watches long work, for hs_bind_set_watch. */
const struct hs_bind_watch *host_signals_watch(void);

/* Files to remove if the program ends in the middle: a slot from 0, -1 when there is none left. */
#define HOST_TEMPORARY_MAX 16
int host_temporary_add(const char *path);
void host_temporary_remove(int slot);

#endif
