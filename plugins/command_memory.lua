-- command_memory: dc dd db dw dq dp da du dds dps dqs, which the script `memory` prints, and s, which searches.

local SHAPES <const> = {
    dc = { "dwords-text", 4 }, dd = { "dwords", 4 }, db = { "bytes", 1 }, dw = { "words", 2 }, dq = { "qwords", 8 },
    da = { "ascii", 1 }, du = { "unicode", 2 }, dds = { "dword-symbols", 4 }, dps = { "symbols", 0 },
    dqs = { "qword-symbols", 8 }, dp = { "pointers", 0 },
}

local words = {}
for word in pairs(SHAPES) do words[#words + 1] = word end
table.sort(words)

return {
    name = "command_memory", kind = "command", words = words,
    summary = "memory as numbers, as text, as pointers with names",
    usage = [[
dc ADDRESS [LAST]       up to the byte LAST
dd ADDRESS L20          20 (hex) elements
dds poi(poi(poi(ntdll!RtlpStackTraceDataBase)+64)-4*7dfe)
dd                      goes on where the last one ended
dd dwords, dc the same with text, db bytes with text, dw words, dq qwords, dp pointers, da and du text,
dds dqs dps dwords, qwords and pointers with the names of what they point to
128 bytes unless told otherwise; da and du run to the end of the text.]],
    run = function(dump, call)
        local shape = SHAPES[call.word]
        local size = shape[2] > 0 and shape[2] or dump.pointer_size
        local va, count, told = call:range("d", size, 128 // size)
        local characters = call.word == "da" or call.word == "du"
        return call:script("memory", {
            address = va, as = shape[1], words = (told or not characters) and count or nil,
        })
    end,
}
