-- filters: the examples of docs/filters.md and groups by every key, against plain Lua over every block. Used by
-- filter_spec on a few samples and by filters_slow_spec on fifty.

local program = require "program"

local filters = {}

-- What each example means, written once more in plain Lua over a block. Kept in the order of the page.
local MEANING <const> = [[
local function u(block, name, at) return at >= 0 and block[name](block, at) or nil end
local function any(block, test)
    for trace in block.candidates do if test(trace) then return true end end
    return false
end
local function has_module(block, matches)
    return any(block, function(trace)
        for _, frame in ipairs(trace.frames) do
            local module = dump:module(frame)
            if module and matches(module.name:lower()) then return true end
        end
    end)
end
local function has_symbol(block, name)
    return any(block, function(trace)
        for _, frame in ipairs(trace.frames) do
            local parts = dump:symbol_parts(frame)
            if parts and parts.name and (parts.module .. "!" .. parts.name):lower() == name then return true end
        end
    end)
end
local function bytes(block) return block.state ~= "uncommitted" and block:bytes() or "" end
local function run_of(text, width, ok)
    local count = 0
    for at = 1, #text - width + 1, width do
        local unit = string.unpack(width == 1 and "B" or "<I2", text, at)
        if unit == 0 then return count end
        local plain = unit >= 0x20 and unit <= 0x7e or unit == 9 or unit == 10 or unit == 13
        if not plain and not ok(unit) then return 0 end
        count = count + 1
    end
    return count
end
local function ascii(block) return run_of(bytes(block), 1, function() return false end) end
local function utf16(block)
    return run_of(bytes(block), 2, function(unit)
        return unit >= 0xa0 and unit <= 0x1fff or unit >= 0x2010 and unit <= 0x20cf
            or unit >= 0x3000 and unit <= 0x9fff or unit >= 0xac00 and unit <= 0xd7a3
    end)
end
local pointed = {}
for block in dump:blocks():referenced():each() do pointed[block.address] = true end
local SIZES = { [0x18] = true, [0x20] = true, [0x2a] = true, [0x31] = true, [0x4e] = true, [0x51] = true }
local TYPES = { [0x0102] = true, [0x001e] = true, [0x001f] = true }
return {
    function(b) return b.size == 0xf8 and b.state == "busy" end,
    function(b) return b.size >= 0x40 and b.size <= 0x7f end,
    function(b) return SIZES[b.size] or false end,
    function(b) return b.total - b.size > 64 end,
    function(b) return b.state == "free" or b.state == "lookaside" end,
    function(b) return b.state == "free" and b.size >= 65536 end,
    function(b) return b.fill == "broken" end,
    function(b) return b.stored_index == 0 and b.state == "busy" end,
    function(b) return has_module(b, function(name) return name:find("3rdparty", 1, true) end) end,
    function(b) return has_symbol(b, "olmapi32!mapiallocatebuffer") end,
    function(b)
        return has_module(b, function(name) return name == "rpcrt4" end) and
            not has_module(b, function(name) return name:find("mapi", 1, true) end)
    end,
    function(b) return u(b, "u32", 0) == 0x10000001 end,
    function(b) return u(b, "u32", 0) == 0x10000001 and TYPES[u(b, "u16", 8) or 0] or false end,
    function(b) return not pointed[b.address] and b.state == "busy" and b.size > 32 end,
    function(b) return ascii(b) >= 8 end,
    function(b) return utf16(b) >= 4 and ascii(b) == 0 end,
    function(b)
        local text = bytes(b)
        return (text:find("Outlook", 1, true) or text:find("O\0u\0t\0l\0o\0o\0k\0", 1, true)) and true or false
    end,
    function(b) return u(b, "u32", b.size - 4) == 0 end,
    function(b)
        local word = u(b, "ptr", 0)
        return word ~= nil and word & 0xffff0000 == 0x38ee0000
    end,
    function(b) return b.flags & 0xe0 ~= 0 end,
}
]]

-- The twenty texts of the page.
local function examples()
    local page = program.read_file(program.root .. "/docs/filters.md")
    local list = page:match "## Twenty examples\n(.-)\n## "
    local found = {}
    for text in list:gmatch "\n%- `(.-)` :" do found[#found + 1] = text end
    return found
end

-- Groups by every key, and by several, counted by a plain loop.
local GROUPS <const> = [[
local first = function(b) return b.state ~= "uncommitted" and b:ptr(0) or nil end
local class = function(b) local c = 8 while c < b.size do c = c * 2 end return c end
-- The module of the caller in every candidate of a block.
local function caller_module(b)
    local name
    for trace in b.candidates do
        local module = dump:module((trace:caller()) or 0)
        local one = module and module.name or false
        if trace.readable and name == nil then name = one end
        if trace.readable and name ~= one then return "(several)" end
    end
    return name or nil
end
heapsift.recognise(dump)
local KEYS = {
    size = function(b) return b.size end, total = function(b) return b.total end, size_class = class,
    heap = function(b) return b.heap.address end, state = function(b) return b.state end,
    stored = function(b) return b.stored_index end, flags = function(b) return b.flags end,
    tag = function(b) return b.tag end, first_word = first,
    type = function(b) return b.type end, candidate_module = caller_module,
}
local LISTS = {
    { "size" }, { "total" }, { "size_class" }, { "heap" }, { "state" }, { "stored" }, { "flags" }, { "tag" },
    { "first_word" }, { "type" }, { "candidate_module" }, { "type", "candidate_module", "heap" }, { "heap", "size" },
    { "stored", "size", "heap" }, { "state", "flags", "size_class", "tag" },
    { "stored", "state", "total", "size" }, -- holes are too large for the bits that are left: rows get wide
}
local function compare(what, set, list, blocks)
    local wanted, rows = {}, 0
    for _, block in ipairs(blocks) do
        local parts = {}
        for i, key in ipairs(list) do parts[i] = tostring(KEYS[key](block)) end
        local id = table.concat(parts, ",")
        local sum = wanted[id] or { 0, 0 }
        wanted[id] = { sum[1] + 1, sum[2] + block.size }
    end
    local last
    for row in set:group(table.unpack(list)) do
        local parts = {}
        for i, key in ipairs(list) do parts[i] = tostring(row[key]) end
        local sum = wanted[table.concat(parts, ",")]
        assert(sum and sum[1] == row.count and sum[2] == row.bytes, what .. " " .. table.concat(parts, ","))
        assert(not last or last.bytes > row.bytes or last.bytes == row.bytes and last.count >= row.count, "order")
        last, rows = row, rows + 1
        wanted[table.concat(parts, ",")] = nil
    end
    assert(next(wanted) == nil, what)
end
local all, busy = {}, {}
for block in dump:blocks():each() do
    all[#all + 1] = block
    if block.state == "busy" then busy[#busy + 1] = block end
end
for _, list in ipairs(LISTS) do
    local what = table.concat(list, "+")
    compare("all by " .. what, dump:blocks(), list, all)
    compare("busy by " .. what, dump:blocks { state = "busy" }, list, busy)
    compare("filtered by " .. what, dump:blocks "state == busy", list, busy)
end
-- reads that are looked up in lists, shifted or not, alone and between other tests, each alone and all in one pass
local function read(block, name, offset) return block.state ~= "uncommitted" and block[name](block, offset) or nil end
local high = {}
for i = 1, #busy, math.max(1, #busy // 7) do high[#high + 1] = (read(busy[i], "u32", 0) or 0) >> 16 end
local HIGH, is_high = table.concat(high, ", "), {}
for _, number in ipairs(high) do is_high[number] = true end
local function is_small(n) return n == 1 or n == 2 or n == 8 end
local SHIFTED = {
    { "u32(0) >> 16 in {" .. HIGH .. ", 0x7ffffffffff}", function(b)
        local word = read(b, "u32", 0)
        return word ~= nil and is_high[word >> 16] or false
    end },
    { "not u32(0) >> 16 in {" .. HIGH .. ", 0x7ffffffffff} and state == busy", function(b)
        local word = read(b, "u32", 0)
        return b.state == "busy" and not (word and is_high[word >> 16])
    end },
    { "size > 0x20 and (u8(4) in {1, 2, 8} or u16(0) == 0)", function(b)
        return b.size > 0x20 and (is_small(read(b, "u8", 4)) or read(b, "u16", 0) == 0)
    end },
    { "i8(4) >> 60 in {0xf, 0x10, 0x11} or u8(4) in {1, 2, 8}", function(b)
        local byte = read(b, "i8", 4)
        return byte ~= nil and byte >> 60 == 15 or is_small(read(b, "u8", 4))
    end },
}
local texts = {}
for i, pair in ipairs(SHIFTED) do texts[i] = pair[1] end
local sets = { dump:blocks():where(table.unpack(texts)) }
for i, pair in ipairs(SHIFTED) do
    local alone, count = dump:blocks(pair[1]), 0
    for _, block in ipairs(all) do
        local expected = pair[2](block)
        count = count + (expected and 1 or 0)
        assert(sets[i]:has(block) == expected and alone:has(block) == expected, pair[1])
    end
    assert(sets[i]:count() == count and alone:count() == count and count > 0, pair[1])
end
-- random mixtures of tests with and, or, not: programs of tests alone are run over many blocks at once
local some = busy[#busy // 2]
local ATOMS = {
    { "size == " .. some.size, function(b) return b.size == some.size end },
    { "size == " .. busy[1].size, function(b) return b.size == busy[1].size end },
    { "state == busy", function(b) return b.state == "busy" end },
    { "stored == " .. (some.stored_index or 0), function(b) return b.stored_index == (some.stored_index or 0) end },
    { "flags == " .. some.flags, function(b) return b.flags == some.flags end },
    { "u8(0) == 1", function(b) return read(b, "u8", 0) == 1 end },
    { "u16(2) == 0", function(b) return read(b, "u16", 2) == 0 end },
    SHIFTED[1],
}
local truths = {}
for i, atom in ipairs(ATOMS) do
    truths[i] = {}
    for k, block in ipairs(all) do truths[i][k] = atom[2](block) end
end
local function mixture(depth)
    local kind = depth == 0 and 0 or math.random(0, 4)
    if kind == 0 then
        local i = math.random(#ATOMS)
        return ATOMS[i][1], function(k) return truths[i][k] end
    end
    local text, holds = mixture(depth - 1)
    if kind == 1 then return "not (" .. text .. ")", function(k) return not holds(k) end end
    local other, also = mixture(depth - 1)
    if kind == 2 then return ("(%s) and (%s)"):format(text, other), function(k) return holds(k) and also(k) end end
    return ("(%s) or (%s)"):format(text, other), function(k) return holds(k) or also(k) end
end
math.randomseed(1)
for _ = 1, 40 do
    local text, holds = mixture(5)
    local found = dump:blocks(text)
    for k, block in ipairs(all) do assert(found:has(block) == holds(k), text) end
end
-- algebra, against membership of each block
local a, b = dump:blocks "size >= 0x20", dump:blocks "size <= 0x100 and state == busy"
local union, both, rest = a | b, a & b, a - b
for _, block in ipairs(all) do
    local in_a, in_b = block.size >= 0x20, block.size <= 0x100 and block.state == "busy"
    assert(union:has(block) == (in_a or in_b) and both:has(block) == (in_a and in_b) and
        rest:has(block) == (in_a and not in_b))
end
]]

-- Runs it all on a sample written with these options. Gives how many examples found something; raises on a difference.
function filters.compare(folder, options)
    local list = examples()
    assert(#list == 20, "the page has twenty examples")
    local dump, script = folder .. "/examples.dmp", folder .. "/examples.lua"
    program.output { "run", "sample", dump, table.unpack(options) }
    local parts = { "local MEANING = (function() ", MEANING, " end)()\nlocal TEXTS = {\n" }
    for _, text in ipairs(list) do parts[#parts + 1] = ("%q,\n"):format(text) end
    parts[#parts + 1] = [[
}
for i, text in ipairs(TEXTS) do
    local found, wrong = {}, 0
    for block in dump:blocks(text):each() do found[block.address] = true end
    local wanted = 0
    for block in dump:blocks():each() do
        local meant = MEANING[i](block) or false
        if meant then wanted = wanted + 1 end
        if meant ~= (found[block.address] or false) then wrong = wrong + 1 end
    end
    print(i, wrong, wanted, text)
end
]]
    parts[#parts + 1] = GROUPS
    local file <close> = assert(io.open(script, "w"))
    file:write(table.concat(parts))
    file:close()
    local out, some = program.output { "run", script, dump }, 0
    for number, wrong, wanted, text in out:gmatch "(%d+)\t(%d+)\t(%d+)\t([^\n]*)\n" do
        assert(wrong == "0", number .. ": " .. text .. ": " .. wrong .. " blocks differ")
        if wanted ~= "0" then some = some + 1 end
    end
    return some
end

return filters
