-- pick: what options such as --heap, --size, --stored and a filter choose. One meaning for every script.

local filter = require "filter"
local text = require "text"

local pick = {}

-- Heaps of a kind that is not read have a reason.
function pick.is_read(heap)
    return heap.reason == nil
end

-- All heaps added up: count, reserved, committed (of segments), large (in VirtualAlloc), unread (array).
function pick.heap_sums(dump)
    local sums = { count = 0, reserved = 0, committed = 0, large = 0, unread = {} }
    for heap in dump:heaps() do
        sums.count = sums.count + 1
        sums.reserved = sums.reserved + heap.reserved
        sums.committed = sums.committed + heap.committed
        sums.large = sums.large + heap.large_committed
        if not pick.is_read(heap) then
            sums.unread[#sums.unread + 1] = heap
        end
    end
    return sums
end

-- "29 heaps: reserved 395.2 MiB, committed 34.1 MiB, and 3.8 MiB in blocks of VirtualAlloc"
function pick.heap_line(sums)
    local unread = #sums.unread > 0 and string.format(" (%d not read)", #sums.unread) or ""
    local large = sums.large > 0 and ", and " .. text.size(sums.large) .. " in blocks of VirtualAlloc" or ""
    return string.format("%s%s: reserved %s, committed %s%s", text.plural(sums.count, "heap"), unread,
        text.size(sums.reserved), text.size(sums.committed), large)
end

-- The heap that the user named by address or number; ends the script if there is none, or if it is not read.
function pick.heap(dump, named)
    local heap = dump:heap(named)
    if not heap then
        text.fail("missing", "there is no heap %x; `heaps` lists them", named)
    elseif not pick.is_read(heap) then
        text.fail("missing", "heap %x is not read: %s", heap.address, heap.reason)
    end
    return heap
end

local function hex_number(part)
    local digits = part:match("^%s*0[xX](%x+)%s*$") or part:match("^%s*(%x+)%s*$")
    digits = digits and digits:gsub("^0+(%x)", "%1")
    local number = digits and #digits <= 16 and math.tointeger(tonumber(digits, 16)) or nil
    return number and number < 0 and math.maxinteger or number -- no block is larger, and Lua's integers have a sign
end

-- "f8" or "40-7f" (hexadecimal, as in `!heap -flt`) -> low, high; ends the script on anything else.
function pick.size_range(option, value)
    local first, last = value:match("^([^-]+)%-([^-]+)$")
    local low, high = hex_number(first or value), hex_number(last or value)
    if not low or not high or low > high then
        text.fail("usage", "--%s %s: expected a size (f8) or a range (40-7f), in hexadecimal, lowest first",
            option, value)
    end
    return low, high
end

-- The heaps that are read, as an array; ends the script if there is none.
function pick.read_heaps(dump)
    local heaps, unread = {}, nil
    for heap in dump:heaps() do
        if pick.is_read(heap) then
            heaps[#heaps + 1] = heap
        else
            unread = unread or heap
        end
    end
    if #heaps == 0 and unread then
        text.fail("missing", "no heap of this process is read; heap %x: %s", unread.address, unread.reason)
    elseif #heaps == 0 then
        text.fail("missing", "no heap was found in the dump")
    end
    return heaps
end

-- What of a heap could not be read: bytes, and percent of what it has committed (nil if that is not to be believed).
function pick.unread(heap)
    local bytes, committed = heap.unread_size, heap.committed + heap.large_committed
    return bytes, committed > 0 and bytes <= committed and 100 * bytes / committed or nil
end

-- What of a heap could not be read and has no size that is known: an array of texts, "2 segments of unknown size".
function pick.unsized(heap)
    local list = {}
    if heap.unread_segments > 0 then
        list[#list + 1] = text.plural(heap.unread_segments, "segment") .. " of unknown size"
    end
    if heap.unread_large > 0 then
        list[#list + 1] = "at least " .. text.plural(heap.unread_large, "large block") .. " of unknown size"
    end
    return list
end

-- Pieces of these heaps that could not be read and whose size is not known.
function pick.count_unsized(heaps)
    local count = 0
    for _, heap in ipairs(heaps) do
        count = count + heap.unread_segments + heap.unread_large
    end
    return count
end

-- What of these heaps could not be read, a line each.
function pick.print_unread(dump, heaps, indent)
    for _, heap in ipairs(heaps) do
        local bytes, percent = pick.unread(heap)
        local start = (indent or "") .. "heap " .. text.address(dump, heap.address)
        if pick.is_read(heap) and bytes > 0 then
            local share = not percent and "more than it says to have committed"
                or string.format("%s of its %s of committed memory", text.share(percent, 100),
                    text.size(heap.committed + heap.large_committed))
            text.say("%s: %s bytes could not be read, %s", start, text.count(bytes), share)
        end
        for _, part in ipairs(pick.unsized(heap)) do
            text.say("%s: %s could not be read", start, part)
        end
    end
end

-- Why heaps may be missing from the list of heaps; nil if none can be.
function pick.list_doubt(dump)
    return dump.heap_list == "part" and "not every heap of the process is known: the notes say why"
        or dump.heap_list == "missing" and
            "the PEB's list of heaps could not be read: only heaps that their signatures gave away are known"
        or nil
end

-- The same as a line, for what is said of all heaps.
function pick.print_list_doubt(dump, indent)
    local doubt = pick.list_doubt(dump)
    if doubt then
        print((indent or "") .. doubt)
    end
end

-- The program of a filter text that the user typed; a bad one ends the script.
local function filter_program(typed)
    local program, message = filter.try(typed)
    if not program then
        text.fail("usage", "%s", message)
    end
    return program
end

-- Labels cost a look at every busy block, so the recognisers run only where somebody asks for types.
local function label_if_asked(dump, program, keys)
    local asked = false
    for _, op in ipairs(program and program.ops or {}) do
        asked = asked or op[1] == "LABEL"
    end
    for _, key in ipairs(keys or {}) do
        asked = asked or key == "type"
    end
    if asked then
        heapsift.recognise(dump)
    end
end

-- The state that blocks must have: the one that --state names; else "busy", unless the user's filter speaks of states
-- itself: then "all".
function pick.state(named, typed)
    if named or not typed then
        return named or "busy"
    end
    for _, op in ipairs(filter_program(typed).ops) do
        if op[1] == "FIELD" and op[2] == "STATE" then
            return "all"
        end
    end
    return "busy"
end

-- The set of blocks that a user chose. `wanted`: heap, state ("all" or nil: every one), low and high (sizes),
-- stored, filter (a filter text of the user's own), keys (what they will be grouped by); each may be left out.
-- A bad filter text ends the script.
function pick.blocks(dump, wanted)
    local conditions, program = {}, nil
    if wanted.low then
        conditions[#conditions + 1] = string.format("size in 0x%x..0x%x", wanted.low, wanted.high)
    end
    if wanted.stored then
        conditions[#conditions + 1] = string.format("stored == %d", wanted.stored)
    end
    if wanted.filter then
        program = filter_program(wanted.filter)
        conditions[#conditions + 1] = "(" .. wanted.filter .. ")"
    end
    label_if_asked(dump, program, wanted.keys)
    -- States alone need no look at any block: the walk has counted them.
    local options = { state = wanted.state ~= "all" and wanted.state or nil }
    local set = wanted.heap and wanted.heap:blocks(options) or dump:blocks(options)
    return #conditions > 0 and set:where(table.concat(conditions, " and ")) or set
end

-- Sorts rows by a value, lowest first; equal ones keep their order.
function pick.sort(rows, value)
    local rank = {}
    for i, row in ipairs(rows) do
        rank[row] = i
    end
    table.sort(rows, function(a, b)
        local first, second = value(a), value(b)
        if first ~= second then
            return first < second
        end
        return rank[a] < rank[b]
    end)
end

return pick
