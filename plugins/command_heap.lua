-- command_heap: !heap in the forms that the debugger's users type.

local text = require "text"
local pick = require "pick"
local entry = require "entry"
local firstword = require "firstword"

local FIRST <const>, ROWS <const> = 40, 500 -- lines written at once: few at first, so that there is something to read

-- `_HEAP @ x`, a row a block, and what its first word points to: what -flt prints, in pieces. `where`: a filter text.
local function print_blocks(dump, set, where)
    local judge, hints = firstword.judge_of(dump), {}
    local width = dump.pointer_size == 8 and "%016x" or "%08x"
    local shape = "        " .. width .. " %04x %04x  [%02x]   " .. width .. "    %05x - (%s)\n"
    local unit = 2 * dump.pointer_size
    local lines, count, most, last = {}, 0, FIRST, nil
    local format, concat = string.format, table.concat
    for _, heap, address, total, previous, flags, user, size, state, large, word in set:values("heap", "address",
        "total", "previous", "flags", "user", "size", "state", "large", "first_word", { where = where }) do
        if heap ~= last then
            last = heap
            count = count + 1
            lines[count] = "    " .. entry.heap(heap) .. "\n"
        end
        if large ~= 0 then state = state .. " VirtualAlloc" end
        count = count + 1
        lines[count] = format(shape, address, total // unit, previous // unit, flags, user, size, state)
        if word and state:find "^busy" then
            local hint = hints[word]
            if hint == nil then
                local verdict = judge(word)
                hint = verdict and "          " .. firstword.hint(dump, verdict) .. "\n" or false
                hints[word] = hint
            end
            if hint then
                count = count + 1
                lines[count] = hint
            end
        end
        if count > most then
            heapsift.write(concat(lines, "", 1, count))
            count, most = 0, ROWS
        end
    end
    heapsift.write(concat(lines, "", 1, count))
end

local function blocks_data(dump, set)
    local rows = {}
    for block in set:each() do rows[#rows + 1] = entry.json(dump, block) end
    return { blocks = set:count(), bytes = set:bytes(), rows = rows }
end

local function word_value(call, word) return call:value(word.text, word.at) end

-- -flt s SIZE, -flt r LOW HIGH
local function filter(dump, call)
    local words = call.given.flt
    local how = words[1] and words[1].text:lower()
    if how ~= "s" and how ~= "r" then
        call:fail("usage", "at position %d: -flt s SIZE or -flt r LOW HIGH expected",
            words[1] and words[1].at or call.at)
    end
    if #words ~= (how == "s" and 2 or 3) then
        call:fail("usage", "at position %d: -flt %s", words[1].at, how == "s" and "s takes a size"
            or "r takes the lowest and the highest size")
    end
    local low = word_value(call, words[2])
    local high = words[3] and word_value(call, words[3]) or low
    if low < 0 or high < low then call:fail("usage", "at position %d: sizes, lowest first, expected", words[2].at) end
    local set = pick.blocks(dump, { heap = call.heap, state = "busy" })
    local sizes = ("size in 0x%x..0x%x"):format(low, high)
    if call.json then return blocks_data(dump, set:where(sizes)) end
    print_blocks(dump, set, sizes)
end

local ORDERS <const> = { A = true, B = true, S = true }

local function statistics(_, call)
    local words = call.given.grp or {}
    local order = words[1] and words[1].text:upper() or "S"
    if not ORDERS[order] then
        call:fail("usage", "at position %d: -grp A, B or S expected, got '%s'", words[1].at, words[1].text)
    end
    local most = words[2] and word_value(call, words[2]) or 20
    if most < 1 or most > 1 << 24 then call:fail("usage", "at position %d: a number of rows expected", words[2].at) end
    return call:script("stat", { heap = call.heap and call.heap.address, per_heap = not call.heap, grp = order,
                                 top = most })
end

local function segments(dump, heap)
    print("    " .. entry.heap(heap.address))
    for i, segment in ipairs(heap.segments) do
        text.say("    Segment%02d at %s: %s to %s, committed %x, %d uncommitted ranges", i - 1,
            text.address(dump, segment.address), text.address(dump, segment.base),
            text.address(dump, segment.base + segment.reserved), segment.committed, segment.uncommitted_count)
    end
end

local function of_heaps(dump, call, named, visit)
    if named == true or not named or named == 0 then
        for _, heap in ipairs(pick.read_heaps(dump)) do visit(heap) end
        return
    end
    if named < 0 then call:fail("missing", "there is no heap %x", named) end
    visit(pick.heap(dump, named))
end

-- -a, -m, -h HEAP: segments, blocks, or both.
local function contents(dump, call, named)
    if call.json then
        local heaps = {}
        of_heaps(dump, call, named, function(heap)
            local data = not call.given.m and blocks_data(dump, heap:blocks()) or {}
            data.heap, data.segments = text.hex_address(dump, heap.address), {}
            for i, segment in ipairs(heap.segments) do
                data.segments[i] = { address = text.hex_address(dump, segment.address),
                                     base = text.hex_address(dump, segment.base), reserved = segment.reserved,
                                     committed = segment.committed }
            end
            heaps[#heaps + 1] = data
        end)
        return heaps
    end
    of_heaps(dump, call, named, function(heap)
        if call.given.a or call.given.m then segments(dump, heap) end
        if not call.given.m then print_blocks(dump, heap:blocks()) end
    end)
end

local HITS <const> = 1000

local function search(dump, call)
    local words = call.given.srch
    local last = words[#words]
    if not last then call:fail("usage", "at position %d: a value to search for expected", call.at) end
    local value = word_value(call, last)
    local pattern = string.pack("<i8", value):sub(1, dump.pointer_size)
    local hits, count = {}, 0
    for va in dump:find(pattern, { align = dump.pointer_size }) do
        local block = dump:block(va)
        if block and block.state == "busy" then
            count = count + 1
            if count <= HITS then hits[count] = { va, block } end
        end
    end
    if call.json then
        local rows = {}
        for i, hit in ipairs(hits) do
            rows[i] = entry.json(dump, hit[2])
            rows[i].found_at = text.hex_address(dump, hit[1])
        end
        return { count = count, rows = rows }
    end
    if count == 0 then call:fail("missing", "no busy block holds %x", value) end
    print(entry.title(dump, "      "))
    for _, hit in ipairs(hits) do
        text.say("        %s  at +0x%x", entry.row(dump, hit[2]), hit[1] - hit[2].user)
    end
    if count > #hits then text.say("... %s more", text.plural(count - #hits, "hit")) end
end

local function list(dump, call)
    local rows = {}
    for heap in dump:heaps() do rows[#rows + 1] = { heap.index, text.address(dump, heap.address), heap.kind } end
    if call.json then
        local data = {}
        for i, row in ipairs(rows) do data[i] = { index = row[1], address = "0x" .. row[2], kind = row[3] } end
        return data
    end
    print "        Heap Address      NT/Segment Heap"
    for _, row in ipairs(rows) do text.say("%3d:    %-16s  %s", row[1], row[2], row[3]) end
end

local function address_of(call)
    local word = call.rest[1]
    local value = math.type(call.given.a) and call.given.a or math.type(call.given.x) and call.given.x
        or math.type(call.given.i) and call.given.i or word and word_value(call, word)
    if not value then call:fail("usage", "at position %d: an address expected", call.at) end
    if value < 0 then call:fail("missing", "no block holds %x", value) end
    return value
end

return {
    name = "command_heap", kind = "command", words = { "!heap" },
    summary = "heaps and their blocks, as in the debugger",
    switches = { s = "flag", stat = "flag", h = "address?", grp = 2, flt = 3, p = "flag", a = "address?",
                 x = "address?", i = "address?", srch = 2, m = "address?", v = "flag" },
    usage = [[
!heap -s                          the heaps with sizes and flags
!heap -stat [-h HEAP] [-grp A|B|S MAX]   busy blocks by size; MAX is hex, as in the debugger
!heap -flt s SIZE                 busy blocks of a size; -flt r LOW HIGH: of a range; with -h HEAP of one heap
!heap -p -a ADDRESS               the block that holds an address, and the stack that allocated it:
+                                 every trace that its index can mean, with TraceCount, not only the first
!heap -x ADDRESS, -i ADDRESS      the same
!heap -h HEAP                     every block of a heap; -m its segments; -a both
!heap -srch VALUE                 busy blocks that hold a pointer-sized value
The line "? module+1" under a block is the debugger's guess from its first word; it proves nothing.
+ -h HEAP may stand behind -flt, too. -p -a says what the first word is.]],
    run = function(dump, call)
        local given = call.given
        local extra = call.rest[given.p and not math.type(given.a) and 2 or (given.x or given.i) and 2 or 1]
        if math.type(given.h) and given.h ~= 0 and (given.stat or given.flt) then
            if given.h < 0 then call:fail("missing", "there is no heap %x", given.h) end
            call.heap = pick.heap(dump, given.h)
        end
        if given.p and (given.a or call.rest[1]) or given.x or given.i then
            return call:script("block", { address = address_of(call), windbg_names = true })
        end
        if extra then call:fail("usage", "at position %d: '%s' is not expected", extra.at, extra.text) end
        if given.stat then return statistics(dump, call) end
        if given.flt then return filter(dump, call) end
        if given.srch then return search(dump, call) end
        if given.s then return call:script("heaps", {}) end
        for _, switch in ipairs { "a", "m", "h" } do
            if given[switch] then
                local named = math.type(given[switch]) and given[switch] or given.h or true
                return contents(dump, call, named)
            end
        end
        return list(dump, call)
    end,
}
