/* fuzz_native.c - any bytes as C declarations of harmless functions, which are then called with odd arguments; their types
 * become buffers, views and callbacks. Whatever raises is fine if it says so in one line; what crashes, leaks or hangs is
 * not.
 *
 * Eight bytes choose arguments, the rest are declarations: of f, g, p, v (tests/fuzz/harmless.c). */
#include "lua_state.h"
#include "native/native.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char driver[] =
    "local bytes = ...\n"
    "if not native then\n"
    "    package.path = (os.getenv 'SRC' or '.') .. '/plugins/lib/?/init.lua;' .. package.path\n"
    "    native = require 'native'\n"
    "    open = assert(heapsift.open(path, { threads = 1 }))\n"
    "    block = open:block(0x372e5a0)\n"
    "end\n"
    "local choice, text = { bytes:byte(1, 8) }, bytes:sub(9)\n"
    "local turn = 0\n"
    "local function line(message)\n"
    "    assert(type(message) == 'string' and not message:find '\\n', message)\n"
    "end\n"
    "local lib <close> = assert(native.open(library, 'int h(int (*)(int));', { core = core, hint = function()\n"
    "    return '' end }))\n"
    "local h = lib.h\n"
    "local ok, names = pcall(lib.declare, lib, text)\n"
    "if not ok then\n"
    "    assert(names:find 'declarations for harmless[^:]*: line %d+, column %d+, ', names)\n"
    "    return\n"
    "end\n"
    "local odd = { 0, 1, -1, 127, -128, 255, 65536, math.maxinteger, math.mininteger, 0.5, -1e308, 0 / 0, 1 / 0, true,\n"
    "    false, 'text', '', ('x'):rep(300), {}, { 1, 2, 3 }, { x = 1 }, { a = { b = 1 } }, print, block,\n"
    "    lib:array('uint8_t', 100), lib:view(block), lib:new 'int', h,\n"
    "    lib:callback('int (*)(int)', function(x) return x end) }\n"
    "local function value()\n"
    "    turn = turn + 1\n"
    "    local at = (choice[turn % #choice + 1] + turn // 3) % (#odd + 1)\n"
    "    return odd[at]\n"
    "end\n"
    "local function try(f, ...)\n"
    "    local results = table.pack(pcall(f, ...))\n"
    "    if not results[1] then line(results[2]) end\n"
    "    local one = results[2]\n"
    "    if type(one) == 'userdata' and #odd < 60 and not tostring(one):find '^function' then odd[#odd + 1] = one end\n"
    "    return table.unpack(results, 1, results.n)\n"
    "end\n"
    "local function small(name)\n"
    "    local fine, size = pcall(lib.sizeof, lib, name)\n"
    "    return fine and size < 1 << 16\n"
    "end\n"
    "for i = 1, math.min(#names, 12) do\n"
    "    local name = names[i]\n"
    "    if small(name) then\n"
    "        local fine, memory = try(lib.new, lib, name)\n"
    "        try(lib.new, lib, name, value())\n"
    "        try(lib.array, lib, name, 3, value())\n"
    "        try(lib.view, lib, block, name)\n"
    "        for key in (fine and text or ''):gmatch '[%a_][%w_]*' do\n"
    "            try(function() return memory[key] end)\n"
    "            try(function() memory[key] = value() end)\n"
    "            turn = turn + 1\n"
    "            if turn > 200 then break end\n"
    "        end\n"
    "        if fine then try(function() memory[0] = value() return memory[0], memory[1] end) end\n"
    "    end\n"
    "    local fine, callback = try(lib.callback, lib, name, function() return value() end)\n"
    "    if fine then odd[#odd + 1] = callback end\n"
    "end\n"
    "for _, name in ipairs { 'f', 'g', 'p', 'v' } do\n"
    "    local fine, symbol = try(function() return lib[name] end)\n"
    "    if fine and type(symbol) == 'userdata' then\n"
    "        for i = 1, 6 do\n"
    "            local arguments, wanted = {}, nil\n"
    "            local called, message = pcall(symbol)\n"
    "            wanted = not called and tonumber(tostring(message):match '(%d+) arguments? expected') or 0\n"
    "            for n = 1, wanted do arguments[n] = value() end\n"
    "            local good, result = try(symbol, table.unpack(arguments, 1, wanted))\n"
    "            if good and type(result) == 'userdata' then\n"
    "                try(function() return result[0] end)\n"
    "                try(lib.bytes, lib, result, 0, 8)\n"
    "                try(lib.string, lib, result, 100)\n"
    "                try(tostring, result)\n"
    "            end\n"
    "            turn = turn + i\n"
    "        end\n"
    "        try(function() return symbol[0], #symbol end)\n"
    "    end\n"
    "end\n"
    "for _, one in ipairs(odd) do\n"
    "    try(h, one)\n"
    "    if turn % 2 == 0 then try(lib.free, lib, one) end\n"
    "end\n"
    "odd = nil\n"
    "if turn % 3 == 0 then collectgarbage() end\n";

/* A crash of native code is a find: libFuzzer keeps the input of a target that exits. */
static void end(const char *line, int code)
{
    fprintf(stderr, "%s\n", line);
    exit(code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *lua;

    if (!lua) {
        lua = fuzz_state();
        hs_guard_set_end(end);
        bind_native_push_functions(lua);
        lua_setglobal(lua, "core");
        lua_pushstring(lua, FUZZ_LIBRARY);
        lua_setglobal(lua, "library");
    }
    if (size > 8 && size <= 2048)
        fuzz_call(lua, driver, data, size);
    return 0;
}
