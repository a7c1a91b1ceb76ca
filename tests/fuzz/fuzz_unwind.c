/* fuzz_unwind.c - any bytes as the unwind data, the registers and the stack of an x64 process: frames and perhaps a reason
 * come back, at most 200 of them. The input: rva of the instruction, bytes of the function table, rva of the stack (16 bits
 * each); then what lies in the image from rva 200h on, where the table begins. */
#include "lua_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char driver[] =
    "local bytes = ...\n"
    "local unwind = require 'unwind'\n"
    "local BASE <const> = 0x140000000\n"
    "local ip, table_size, stack = string.unpack('<I2I2I2', bytes)\n"
    "local header = 'MZ' .. ('\\0'):rep(0x3a) .. string.pack('<I4', 0x80) .. ('\\0'):rep(0x40) .. 'PE\\0\\0'\n"
    "    .. ('\\0'):rep(20) .. string.pack('<I2', 0x20b) .. ('\\0'):rep(0x6a) .. string.pack('<I4', 16)\n"
    "    .. ('\\0'):rep(24) .. string.pack('<I4I4', 0x200, table_size)\n"
    "local memory = header .. ('\\0'):rep(0x200 - #header) .. bytes:sub(7)\n"
    "local dump = {}\n"
    "function dump:read(va, count)\n"
    "    assert(math.type(va) == 'integer' and va >= 0 and count >= 0)\n"
    "    local at = va - BASE\n"
    "    return at >= 0 and at + count <= #memory and memory:sub(at + 1, at + count) or nil\n"
    "end\n"
    "function dump:u32(va) local b = self:read(va, 4) return b and string.unpack('<I4', b) end\n"
    "function dump:i64(va) local b = self:read(va, 8) return b and string.unpack('<i8', b) end\n"
    "function dump:module(va)\n"
    "    assert(va >= 0)\n"
    "    return va >= BASE and va < BASE + 0x10000 and { base = BASE, size = 0x10000, name = 'image' } or nil\n"
    "end\n"
    "local thread = { ip = BASE + ip, stack_base = BASE + 0x10000, registers = {\n"
    "    { name = 'rsp', value = BASE + stack }, { name = 'rbp', value = BASE + stack + 64 },\n"
    "    { name = 'rbx', value = -1 } } }\n"
    "local epilog = { { mnemonic = 'pop', operands = 'rbx' }, { mnemonic = 'ret', operands = '', flow = 'return' } }\n"
    "local frames, why = unwind.frames(dump, thread, function() return ip % 2 == 1 and epilog or {} end)\n"
    "assert(#frames >= 1 and #frames <= 200 and (why == nil or type(why) == 'string'))\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *lua;

    if (!lua)
        lua = fuzz_state();
    if (size >= 6 && size <= 65536)
        fuzz_call(lua, driver, data, size);
    return 0;
}
