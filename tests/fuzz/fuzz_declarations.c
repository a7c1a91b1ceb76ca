/* fuzz_declarations.c - any bytes as C declarations, laid out for each ABI; what they declare is then looked at in a tiny
 * dump. What cannot be understood must end in a message with a place; anything else that raises is a find. */
#include "lua_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char driver[] =
    "local text = ...\n"
    "if not types then\n"
    "    package.path = (os.getenv 'SRC' or '.') .. '/plugins/lib/?/init.lua;' .. package.path\n"
    "    build, abi, types, show = require 'types.build', require 'types.abi', require 'types', require 'types.show'\n"
    "    view = require 'types.view'\n"
    "    open = assert(heapsift.open(path, { threads = 1 }))\n"
    "end\n"
    "for _, target in pairs { abi.x86, abi.x64, abi.host } do\n"
    "    local scope = build.scope(types.header_scope(target))\n"
    "    local names, message = build.declare(scope, target, text)\n"
    "    if not names then assert(message:find '^declarations: line %d+, column %d+, ', message) end\n"
    "    for i = 1, math.min(names and #names or 0, 20) do\n"
    "        local found = build.named(scope, names[i])\n"
    "        if found then\n"
    "            build.describe(found)\n"
    "            show.type_name(found)\n"
    "            show.lines(open, found, nil, { depth = 2 })\n"
    "            if found.complete ~= false and target == abi.x86 then\n"
    "                show.lines(open, found, 0x372e5a0, { depth = 2 })\n"
    "                local seen = view.read_value(open, found, 0x372e5a0)\n"
    "                if view.of(seen) then\n"
    "                    local count = 0\n"
    "                    for _ in pairs(seen) do count = count + 1 if count > 50 then break end end\n"
    "                    view.path(seen, 'x') view.path(seen, '[1]')\n"
    "                end\n"
    "            end\n"
    "        end\n"
    "    end\n"
    "    local found, why = build.type_of(scope, target, text)\n"
    "    assert(found or type(why) == 'string')\n"
    "end\n"
    "collectgarbage()\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *lua;

    if (!lua)
        lua = fuzz_state();
    if (size > 0 && size <= 4096)
        fuzz_call(lua, driver, data, size);
    return 0;
}
