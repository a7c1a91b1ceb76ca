-- command_evaluate: ? EXPRESSION and .formats EXPRESSION.

local text = require "text"

-- "00547c18", "ffffffff`80000000": as the debugger prints a value of the process's width.
local function hex(dump, value)
    if dump.pointer_size == 4 and value >= -0x80000000 and value <= 0xffffffff then
        return ("%08x"):format(value & 0xffffffff)
    end
    return ("%08x`%08x"):format(value >> 32, value & 0xffffffff)
end

local function binary(value)
    local bits = {}
    for i = 63, 0, -1 do
        bits[#bits + 1] = value >> i & 1
        if i % 8 == 0 and i > 0 then bits[#bits + 1] = " " end
    end
    return table.concat(bits)
end

local function characters(value)
    return (string.pack(">i8", value):gsub("[^\x20-\x7e]", "."))
end

local function formats(dump, value)
    local low = value & 0xffffffff
    return {
        { "Hex:", hex(dump, value) }, { "Decimal:", ("%d"):format(value) }, { "Octal:", ("%022o"):format(value) },
        { "Binary:", binary(value) }, { "Chars:", characters(value) }, { "Time:", text.time(low) },
        { "Float:", ("low %g high %g"):format(string.unpack("<f", string.pack("<I4", low)),
            (string.unpack("<f", string.pack("<I4", value >> 32)))) },
        { "Double:", ("%g"):format(string.unpack("<d", string.pack("<i8", value))) },
    }
end

return {
    name = "command_evaluate", kind = "command", words = { "?", ".formats" },
    summary = "the value of an expression; in every format",
    usage = [[
? poi(poi(ntdll!RtlpStackTraceDataBase)+64)-4*17dfe
.formats 10000001
All that follows is the expression: | and > are operators in it.]],
    run = function(dump, call)
        if call.text == "" then call:fail("usage", "an expression expected") end
        local value = call:value()
        if call.json then return { value = text.hex(value), decimal = ("%d"):format(value) } end
        if call.word == "?" then
            text.say("Evaluate expression: %d = %s", value, hex(dump, value))
        else
            print "Evaluate expression:"
            text.facts(formats(dump, value), "  ")
        end
    end,
}
