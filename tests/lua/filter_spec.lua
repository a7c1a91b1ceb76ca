-- filter_spec: the examples of docs/filters.md against plain Lua over every block, and what bad texts are told.

local filters = require "filters"
local program = require "program"

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
            assert.is_true(filters.compare(folder, options) >= 8)
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
        { "trace.modul ~ 'x'", "'trace.modul' is no field" },
        { "trace == 'x'", "position 10" },
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
