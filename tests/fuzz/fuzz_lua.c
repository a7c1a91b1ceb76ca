/* fuzz_lua.c - any bytes as calls of the Lua surface: functions, methods, fields and operators with odd arguments, on
 * objects of open and closed dumps. Whatever raises is fine; what crashes, leaks or hangs is not.
 *
 * Three bytes a step: an object of the pool, what to do with it, which arguments. Results join the pool. */
#include "lua_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char driver[] =
    "local bytes = ...\n"
    "local STEPS <const> = 120\n"
    "local odd = { nil, 0, 1, -1, 2^53, 0.5, 0/0, math.maxinteger, math.mininteger, '', 'size', 'size == 0xf8', 'busy',\n"
    "    'state == free or u32(size) ~= 0', 'ntdll!RtlAllocateHeap', 'x = u8(0)', '\\0', ('('):rep(300), true, {},\n"
    "    { state = 'busy' }, { state = { 'free', 7 } }, { limit = -1 }, { from = 1, to = 2, align = 0 }, print,\n"
    "    0x372e5a0, 0x36f0000, 0x10000, { sources = 'stack' }, setmetatable({}, { __index = error }) }\n"
    "local names = { 'blocks', 'heaps', 'modules', 'threads', 'regions', 'traces', 'read', 'u32', 'ptr', 'cstring',\n"
    "    'wstring', 'find', 'symbol', 'symbol_parts', 'resolve', 'heap', 'block', 'module', 'referrers', 'notes', 'info',\n"
    "    'where', 'map', 'fold', 'group', 'count', 'bytes', 'each', 'sample', 'has', 'label', 'referenced',\n"
    "    'top', 'candidates', 'caller', 'symbols', 'frames', 'address', 'state', 'segments', 'exports', 'sections', 'registers',\n"
    "    'close', 'busy_bytes', 'stored_index', 'type', 'fill', 'version', 'open', 'nonsense' }\n"
    "local function deed(object, what, arguments)\n"
    "    local kind = what % 12\n"
    "    local one, two = odd[arguments % #odd + 1], odd[arguments // 7 % #odd + 1]\n"
    "    if kind == 0 then return object[one]\n"
    "    elseif kind == 1 then return #object\n"
    "    elseif kind == 2 then local seen = 0 for x in object do seen = seen + 1 if seen > 5 then return x end end\n"
    "    elseif kind == 3 then return tostring(object)\n"
    "    elseif kind == 4 then for k, v in pairs(object) do return k, v end\n"
    "    elseif kind == 5 then object[names[what % #names + 1]] = one\n"
    "    end\n"
    "    local value = object[names[what % #names + 1]]\n"
    "    if type(value) ~= 'function' then return value end\n"
    "    if kind == 6 then return value(one, two) end\n"
    "    local results = table.pack(value(object, one, two))\n"
    "    if type(results[1]) == 'function' then return results[1](results[2], results[3]) end\n"
    "    return table.unpack(results, 1, results.n)\n"
    "end\n"
    "local open <close> = assert(heapsift.open(path, { threads = 1 }))\n"
    "local shut = assert(heapsift.open(path))\n"
    "local pool = { heapsift, open, shut, open:heap(0x36f0000), open:blocks('size == 0xf8'), shut:heap(0x36f0000),\n"
    "    open:block(0x372e5a0), shut:blocks(), open.traces, shut.traces, shut:block(0x372e5a0) }\n"
    "shut:close()\n"
    "for at = 1, math.min(#bytes - 2, 3 * STEPS), 3 do\n"
    "    local which, what, arguments = bytes:byte(at, at + 2)\n"
    "    local object = pool[which % #pool + 1]\n"
    "    local results = table.pack(pcall(deed, object, what, arguments))\n"
    "    for i = 2, results.n do\n"
    "        local one = results[i]\n"
    "        if type(one) == 'userdata' and #pool < 64 then pool[#pool + 1] = one odd[#odd + 1] = one end\n"
    "        if type(one) == 'table' and type(next(one)) == 'number' and type(one[1]) == 'userdata' then\n"
    "            pool[#pool + 1] = one[1]\n"
    "        end\n"
    "    end\n"
    "    if which == 255 then collectgarbage() end\n"
    "end\n"
    "pool, odd = nil, nil\n"
    "collectgarbage()\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *lua;

    if (!lua)
        lua = fuzz_state();
    if (size > 0 && size <= 1024)
        fuzz_call(lua, driver, data, size);
    return 0;
}
