/* output.c - files that a script writes: to a temporary file beside the path, renamed when all is well. */
#include "host/host_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUT "heapsift.file"

struct output {
    FILE *file;      /* NULL: closed */
    char *path;      /* where it goes; links are followed */
    char *temporary; /* NULL: written directly, for what is no regular file */
    int slot;
};

static void output_free(struct output *output)
{
    free(output->path);
    free(output->temporary);
    output->path = NULL;
    output->temporary = NULL;
}

/* Ends it without a trace. */
static void output_abandon(struct output *output)
{
    if (!output->file)
        return;
    fclose(output->file);
    output->file = NULL;
    if (output->temporary)
        unlink(output->temporary);
    host_temporary_remove(output->slot);
    output_free(output);
}

/* Ends the script as HOST_FAIL does; the message names the path and why. */
static int output_failed(lua_State *lua, struct output *output, int number)
{
    lua_getfield(lua, LUA_REGISTRYINDEX, HOST_FAIL);
    lua_pushliteral(lua, "failed");
    lua_pushfstring(lua, "cannot write %s: %s", output->path ? output->path : "?", strerror(number));
    output_abandon(output);
    lua_call(lua, 2, 0);
    return luaL_error(lua, "output failed");
}

static struct output *output_check(lua_State *lua)
{
    struct output *output = luaL_checkudata(lua, 1, OUTPUT);
    if (!output->file)
        luaL_error(lua, "the file is closed");
    return output;
}

/* Opens what `output` describes; 0 or an errno. */
static int output_open(struct output *output, const char *path)
{
    struct stat info;
    bool there = stat(path, &info) == 0;
    if (!there && errno != ENOENT)
        return errno;
    if (there && S_ISDIR(info.st_mode))
        return EISDIR;
    if (there && !S_ISREG(info.st_mode)) {
        output->path = strdup(path);
        output->file = output->path ? fopen(path, "wb") : NULL;
        return output->file ? 0 : errno;
    }
    output->path = there ? realpath(path, NULL) : strdup(path);
    if (!output->path)
        return errno;
    if (there && access(output->path, W_OK) != 0)
        return errno;
    size_t size = strlen(output->path) + sizeof ".part-XXXXXX";
    output->temporary = malloc(size);
    if (!output->temporary)
        return ENOMEM;
    snprintf(output->temporary, size, "%s.part-XXXXXX", output->path);
    int descriptor = mkstemp(output->temporary);
    if (descriptor < 0) {
        free(output->temporary);
        output->temporary = NULL;
        return errno;
    }
    output->slot = host_temporary_add(output->temporary);
    mode_t mask = umask(0);
    umask(mask);
    int failed = output->slot < 0 ? EMFILE : fchmod(descriptor, there ? info.st_mode & 0777 : 0666 & ~mask) ? errno : 0;
    output->file = failed ? NULL : fdopen(descriptor, "wb");
    if (output->file)
        return 0;
    failed = failed ? failed : errno;
    close(descriptor);
    unlink(output->temporary);
    host_temporary_remove(output->slot);
    return failed;
}

int host_output(lua_State *lua)
{
    const char *path = luaL_checkstring(lua, 1);
    struct output *output = lua_newuserdatauv(lua, sizeof *output, 0);
    memset(output, 0, sizeof *output);
    output->slot = -1;
    luaL_setmetatable(lua, OUTPUT);
    int number = output_open(output, path);
    if (number == 0)
        return 1;
    output->file = NULL;
    output_free(output);
    luaL_pushfail(lua);
    lua_pushstring(lua, strerror(number));
    return 2;
}

/* f:write(...) -> f; strings and numbers */
static int output_write(lua_State *lua)
{
    struct output *output = output_check(lua);
    int last = lua_gettop(lua);
    for (int arg = 2; arg <= last; arg++) {
        size_t size;
        const char *bytes = luaL_checklstring(lua, arg, &size);
        if (fwrite(bytes, 1, size, output->file) != size)
            return output_failed(lua, output, errno);
    }
    lua_settop(lua, 1);
    return 1;
}

/* f:seek(offset) -> f; from the start of the file, past its end leaves a hole */
static int output_seek(lua_State *lua)
{
    struct output *output = output_check(lua);
    lua_Integer offset = luaL_checkinteger(lua, 2);
    luaL_argcheck(lua, offset >= 0, 2, "offset out of range: negative");
    if (fseeko(output->file, (off_t)offset, SEEK_SET) != 0)
        return output_failed(lua, output, errno);
    lua_settop(lua, 1);
    return 1;
}

static int output_close(lua_State *lua)
{
    struct output *output = output_check(lua);
    FILE *file = output->file;
    if (fflush(file) != 0)
        return output_failed(lua, output, errno);
    int number = fclose(file) != 0 ? errno : 0;
    output->file = NULL;
    if (number == 0 && output->temporary && rename(output->temporary, output->path) != 0)
        number = errno;
    if (number != 0 && output->temporary)
        unlink(output->temporary);
    host_temporary_remove(output->slot);
    if (number != 0)
        return output_failed(lua, output, number);
    output_free(output);
    return 0;
}

/* A block that ends well closes its file, one that ends with an error leaves nothing. */
static int output_leave(lua_State *lua)
{
    struct output *output = luaL_checkudata(lua, 1, OUTPUT);
    if (!output->file)
        return 0;
    if (lua_isnoneornil(lua, 2))
        return output_close(lua);
    output_abandon(output);
    return 0;
}

static int output_gc(lua_State *lua)
{
    output_abandon(luaL_checkudata(lua, 1, OUTPUT));
    return 0;
}

static int output_tostring(lua_State *lua)
{
    const struct output *output = luaL_checkudata(lua, 1, OUTPUT);
    lua_pushfstring(lua, "file %s", output->file ? output->path : "(closed)");
    return 1;
}

static int output_index(lua_State *lua)
{
    lua_pushvalue(lua, 2);
    if (lua_rawget(lua, lua_upvalueindex(1)) == LUA_TNIL)
        return luaL_error(lua, "file has no field '%s' (write, seek, close)", luaL_tolstring(lua, 2, NULL));
    return 1;
}

void host_output_create(lua_State *lua)
{
    static const luaL_Reg methods[] = {
        {"write", output_write}, {"seek", output_seek}, {"close", output_close}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {
        {"__gc", output_gc}, {"__close", output_leave}, {"__tostring", output_tostring}, {NULL, NULL}};
    luaL_newmetatable(lua, OUTPUT);
    luaL_setfuncs(lua, metamethods, 0);
    luaL_newlib(lua, methods);
    luaL_getsubtable(lua, LUA_REGISTRYINDEX, HS_BIND_SURFACE);
    lua_pushvalue(lua, -2);
    lua_setfield(lua, -2, OUTPUT);
    lua_pop(lua, 1);
    lua_pushcclosure(lua, output_index, 1);
    lua_setfield(lua, -2, "__index");
    lua_pushliteral(lua, OUTPUT);
    lua_setfield(lua, -2, "__metatable");
    lua_pop(lua, 1);
}
