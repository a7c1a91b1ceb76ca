/* fuzz_undecorate.c - any bytes as a decorated C++ name: a text of bounded size comes back. Time and memory are
 * libFuzzer's to watch. */
#include "lua_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char driver[] = "local name = ...\n"
                             "local undecorate = require('undecorate').name\n"
                             "for _, text in ipairs { name, '?' .. name, '__imp_?' .. name, '.?AV' .. name } do\n"
                             "    local short, full = undecorate(text), undecorate(text, 'full')\n"
                             "    assert(#short <= 1 << 20 and #full <= 1 << 20)\n"
                             "end\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *lua;

    if (!lua)
        lua = fuzz_state();
    if (size <= 4096)
        fuzz_call(lua, driver, data, size);
    return 0;
}
