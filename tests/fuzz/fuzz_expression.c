/* fuzz_expression.c - any bytes as an expression and as a list of them, on a dump. A value or a message with its position
 * is fine; an error that is raised, or a hang, is not. */
#include "lua_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char driver[] =
    "local bytes = ...\n"
    "local expression = require 'expression'\n"
    "dump = dump or assert(heapsift.open(path, { threads = 1 }))\n"
    "world = world or expression.world(dump)\n"
    "for _, f in ipairs { expression.try, expression.list } do\n"
    "    local value, message, code = f(bytes, world)\n"
    "    assert(value or message:find '^at ' and (code == 'syntax' or code == 'not-found' or code == 'unmapped'))\n"
    "end\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *lua;

    if (!lua)
        lua = fuzz_state();
    if (size <= 8192)
        fuzz_call(lua, driver, data, size);
    return 0;
}
