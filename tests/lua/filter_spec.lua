-- filter_spec: the examples of docs/filters.md against plain Lua over every block, and what bad texts are told.

local program = require "program"

-- ---- the examples ----

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

local function examples()
    local page = program.read_file(program.root .. "/docs/filters.md")
    local list = page:match "## Twenty examples\n(.-)\n## "
    local found = {}
    for text in list:gmatch "\n%- `(.-)` :" do found[#found + 1] = text end
    return found
end

describe("filters", function()
    local folder, path
    setup(function()
        folder = program.folder()
        path = folder .. "/sample.dmp"
        program.output { "run", "sample", path, "--tiny" }
    end)
    teardown(function() program.remove(folder) end)

    local function run(source, dump)
        local script = folder .. "/script.lua"
        local file <close> = assert(io.open(script, "w"))
        file:write(source)
        file:close()
        return program.run { "run", script, dump or path }
    end

    for _, options in ipairs { { "--tiny" }, { "--tiny", "--seed", "3" }, { "--tiny", "--no-ust" } } do
        it("do what docs/filters.md says: " .. table.concat(options, " "), function()
            local list = examples()
            assert.equal(20, #list)
            local dump = folder .. "/examples.dmp"
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
            local out, code, err = run(table.concat(parts), dump)
            assert.equal("", err)
            assert.equal(0, code)
            local some = 0
            for number, wrong, wanted, text in out:gmatch "(%d+)\t(%d+)\t(%d+)\t([^\n]*)\n" do
                assert.equal("0", wrong, number .. ": " .. text)
                if wanted ~= "0" then some = some + 1 end
            end
            assert.is_true(some >= 8, "most examples find nothing:\n" .. out)
        end)
    end

    -- ---- bad texts ----

    local BAD <const> = {
        { "", "at the end: a condition or a value was expected" },
        { "size", "at position 1, before 'size': a comparison was expected, not a bare value" },
        { "size ==", "at the end: a value was expected" },
        { "size = 3", "at position 6, before '= 3'" },
        { "size == 1 2", "at position 11, before '2'" },
        { "size == 1 and", "at the end: a condition or a value was expected" },
        { "and size == 1", "at position 1" },
        { "not", "at the end" },
        { "(size == 1", "at the end" },
        { "size == 1)", "at position 10, before ')'" },
        { "sise == 1", "position 1, before 'sise == 1': 'sise' is no field; known are address" },
        { "size == 0xzz", "position 9" },
        { "size == 99999999999999999999", "a number of at most 64 bits was expected" },
        { "size == 0x10000000000000000", "a number of at most 64 bits was expected" },
        { "1 + (size == 2) == 3", "position 5, before '(size == 2) == 3': a value was expected, not a comparison" },
        { "state == bussy", "a word for state (busy, free, internal, lookaside, uncommitted) was expected" },
        { "state in {}", "position 11, before '}'" },
        { "size in {}", "position 10, before '}'" },
        { "size in 1..", "at the end" },
        { "size in 1", "at the end: '..' or an operator was expected" },
        { "u32 == 1", "position 5, before '== 1': '(' was expected" },
        { "u32(0 == 1", "position 7" },
        { "contains(1)", "position 10, before '1)': a text that is not empty" },
        { "contains('')", "position 10" },
        { "contains(x\"1\")", "a text that is not empty" },
        { "contains('abc", "position 10" },
        { "candidate.module == 3", "position 21, before '3': a text in quotes was expected" },
        { "candidate.modul ~ 'x'", "'candidate.modul' is no field" },
        { "candidate.index == 'x'", "position 20" },
        { "trace.module ~ 'x'", "'trace.module' is not known to this version of filters" },
        { ("("):rep(200) .. "size == 1" .. (")"):rep(200), "nested more than 100 deep" },
        { ("not "):rep(200) .. "size == 1", "nested more than 100 deep" },
        { "size == 1 \0", "position 11" },
        { "size == \xff", "position 9" },
    }

    it("tell where a bad text is wrong, and what was expected", function()
        local parts = { "local TEXTS = {\n" }
        for _, bad in ipairs(BAD) do parts[#parts + 1] = ("%q,\n"):format(bad[1]) end
        parts[#parts + 1] = "}\nfor _, text in ipairs(TEXTS) do print(select(2, pcall(dump.blocks, dump, text))) end\n"
        local out, code, err = run(table.concat(parts))
        assert.equal("", err)
        assert.equal(0, code)
        local lines = program.lines(out)
        assert.equal(#BAD, #lines)
        for i, bad in ipairs(BAD) do
            assert.truthy(lines[i]:find("filter: ", 1, true), lines[i])
            assert.truthy(lines[i]:find(bad[2], 1, true), ("%s\n%s\nwanted: %s"):format(bad[1], lines[i], bad[2]))
        end
    end)

    it("are refused on the command line with one line and exit code 2", function()
        local out, code, err = program.run { "run", "blocks", path, "size = 3" }
        assert.equal("", out)
        assert.equal(2, code)
        assert.equal(1, #program.lines(err))
        assert.truthy(err:find("filter: at position 6", 1, true), err)
    end)

    it("can be groups", function()
        local out = run [[
local s = dump:blocks "state == busy"
local by = {}
for block in s:each() do
    local tag = block.size >= 12 and block:u32(8) & 0xff
    if tag then by[tag] = (by[tag] or 0) + 1 end
end
for row in s:group("tag = u32(8) & 0xff") do
    if row.tag then assert(by[row.tag] == row.count, row.tag) by[row.tag] = nil end
end
assert(next(by) == nil)
print(pcall(s.group, s, "size == 1"))
]]
        assert.truthy(out:find("an operator or the end of the expression was expected", 1, true), out)
    end)
end)
