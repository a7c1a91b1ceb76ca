-- command_search: s, search of memory.

local text = require "text"

local SIZES <const> = { b = 1, w = 2, d = 4, q = 8 }
local ROWS_MAX <const> = 1000

local function utf16(bytes)
    return (bytes:gsub(".", "%0\0"))
end

return {
    name = "command_search", kind = "command", words = { "s" },
    summary = "search memory for bytes, numbers or text",
    usage = [[
s -d 36f0000 L1000000 10000001      dwords; -b bytes (the default), -w words, -q qwords
s -a 0 L?7fffffff "PR_ENTRYID"      text of one byte a character; -u: of two
The range is ADDRESS LAST or ADDRESS Ln, n in elements of that size; L? allows any length.
At most 1000 hits are shown; how many more there are is said.]],
    run = function(dump, call)
        local kind, from = "b", 1
        local switch, after = call.text:match "^%-(%a)%s+()"
        if switch then kind, from = switch:lower(), after end
        if not SIZES[kind] and kind ~= "a" and kind ~= "u" then
            call:fail("usage", "at position %d: -b -w -d -q -a or -u expected", call.at)
        end
        local size, body, pattern = SIZES[kind] or 1, call.text:sub(from), nil
        if kind == "a" or kind == "u" then
            local range, wanted = body:match '^([^"]*)"([^"]+)"%s*$'
            if not wanted then
                range, wanted = body:match "^(.-)%s+(%S+)$"
            end
            if not wanted then call:fail("usage", "a range and a text expected; see .help s") end
            body, pattern = range, kind == "u" and utf16(wanted) or wanted
        end
        local list = call:list(body, call.at + from - 1)
        local first, second = list[1], list[2]
        if not first or not second or first.length then call:fail("usage", "a range expected; see .help s") end
        local low = first.value
        local last = second.value or low + second.length * size - 1
        if low < 0 or last < low then call:fail("usage", "the range ends before it begins") end
        if not pattern then
            local parts = {}
            for i = 3, #list do
                if not list[i].value then call:fail("usage", "at position %d: a value expected", list[i].at) end
                parts[#parts + 1] = string.pack("<i8", list[i].value):sub(1, size)
            end
            pattern = table.concat(parts)
            if pattern == "" then call:fail("usage", "what to search for? see .help s") end
        end
        local to = last < math.maxinteger and last + 1 or last
        local hits, count = {}, 0
        for va in dump:find(pattern, { from = low, to = to, align = kind ~= "a" and kind ~= "u" and size or 1 }) do
            count = count + 1
            if count <= ROWS_MAX then hits[count] = va end
        end
        if call.json then
            local rows = {}
            for i, va in ipairs(hits) do rows[i] = text.hex_address(dump, va) end
            return { hits = rows, count = count }
        end
        for _, va in ipairs(hits) do
            local block = dump:block(va)
            local bytes = dump:read(va, 16) or dump:read(va, #pattern)
            local cells = {}
            for i = 1, #bytes do cells[i] = ("%02x"):format(bytes:byte(i)) end
            text.say("%s  %-47s  %s%s", text.address(dump, va), table.concat(cells, " "),
                (bytes:gsub("[^\x20-\x7e]", ".")), block and ("  in block %x"):format(block.address) or "")
        end
        if count > #hits then text.say("... %s more", text.plural(count - #hits, "hit")) end
        if count == 0 then call:fail("missing", "not found in this range") end
    end,
}
