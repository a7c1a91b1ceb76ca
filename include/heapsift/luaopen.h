/* luaopen.h - the engine as a Lua 5.4 module, for programs that have a Lua state of their own. */
#ifndef HEAPSIFT_LUAOPEN_H
#define HEAPSIFT_LUAOPEN_H

#include <heapsift/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lua_State;

/* Pushes the module table `heapsift` and returns 1. Give it to luaL_requiref. May raise a memory error. */
HS_API int luaopen_heapsift(struct lua_State *lua);

#ifdef __cplusplus
}
#endif

#endif
