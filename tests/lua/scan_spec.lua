-- scan_spec: the pointer scan against a plain loop, and against what the sample says it leaked and what it holds.

local program = require "program"

local POINTERS <const> = program.root .. "/tests/lua/scripts/pointers.lua"

local function sample(folder, ...)
    local path = folder .. "/sample.dmp"
    program.output { "run", "sample", path, ... }
    return path
end

describe("the pointer scan", function()
    local folder
    setup(function() folder = program.folder() end)
    teardown(function() program.remove(folder) end)

    for _, options in ipairs {
        { "--tiny" }, { "--tiny", "--seed", "2" }, { "--tiny", "--no-ust" }, { "--tiny", "--arch", "x64" },
    } do
        it("finds what a plain loop finds: " .. table.concat(options, " "), function()
            local path = sample(folder, table.unpack(options))
            local blocks, pointed = 0, 0
            for _, line in ipairs(program.lines(program.output { "run", POINTERS, path })) do
                local address, engine, plain = line:match "^(%x+) (%S+) (%S+)$"
                if address then
                    assert.equal(plain, engine, "block " .. address)
                    blocks = blocks + 1
                    if engine ~= "-" then pointed = pointed + 1 end
                else
                    local by_method, by_filter = line:match "^total (%d+) (%d+)$"
                    assert.equal(pointed, tonumber(by_method))
                    assert.equal(pointed, tonumber(by_filter))
                end
            end
            assert.is_true(blocks > 100 and pointed > 10 and pointed < blocks)
        end)
    end

    it("tells leaked rows from held ones as the truth does", function()
        local truth = folder .. "/truth.tsv"
        local path = sample(folder, "--scale", "0.02", "--truth-blocks", truth)
        local script = folder .. "/pointed.lua"
        local file <close> = assert(io.open(script, "w"))
        file:write [[
for block in dump:blocks("state == busy and referenced"):each() do print(("%x"):format(block.address)) end
]]
        file:close()
        local pointed = {}
        for _, line in ipairs(program.lines(program.output { "run", script, path })) do pointed[line] = true end
        local leaked, held = 0, 0
        for line in io.lines(truth) do
            local address, label, fate = line:match "^%x+\t(%x+)\t.*\t(%S+)\t(%S+)$"
            if fate == "leaked" and label == "mapi.row" then
                leaked = leaked + 1
                assert.is_nil(pointed[address], "leaked " .. address)
            elseif fate == "held" then
                held = held + 1
                assert.is_true(pointed[address], "held " .. address)
            end
        end
        assert.is_true(leaked > 1000)
        assert.is_true(held >= 50)
    end)

    it("lists who points to a block", function()
        local script = folder .. "/referrers.lua"
        local file <close> = assert(io.open(script, "w"))
        file:write [[
local rows = dump:blocks("size == 0xf8 and u32(0) == 0x10000001 and u32(8) == 0x0fff0102"):referenced()
for row in rows:each() do
    local list, total = dump:referrers(row.user)
    assert(#list == total)
    for _, one in ipairs(list) do
        local up = dump:referrers(one.block.user)
        print(#list, one.source, one.aim, one.value == row.user + 8, up[1].source, up[1].aim, up[1].thread ~= nil)
    end
    assert(#dump:referrers(row.user, { limit = 0 }) == 0)
end
print(#dump:referrers(0x7fff1233), pcall(dump.referrers, dump, "x"))
]]
        file:close()
        local path = sample(folder, "--scale", "0.02")
        local lines = program.lines(program.output { "run", script, path })
        assert.equal(51, #lines)
        for i = 1, 50 do assert.equal("1\tblock\tmapi\ttrue\tstack\tuser\ttrue", lines[i]) end
        assert.truthy(lines[51]:find "^0\tfalse\t.*address")
    end)

    it("looks at the first bytes of blocks only, where it is asked to", function()
        local script = folder .. "/first.lua"
        local file <close> = assert(io.open(script, "w"))
        file:write [[
local busy = dump:blocks { state = "busy" }
local pointed = {}
for block in busy:each() do
    local target = block.size >= 8 and dump:block(block:u32(4))
    if target and target ~= block and target.state ~= "uncommitted" then pointed[target.address] = true end
    local first = block.size >= 4 and dump:block(block:u32(0))
    if first and first ~= block and first.state ~= "uncommitted" then pointed[first.address] = true end
end
local wanted, got = 0, dump:blocks():referenced { from = busy, first_bytes = 11 }
for _ in pairs(pointed) do wanted = wanted + 1 end
for block in got:each() do assert(pointed[block.address], ("%x"):format(block.address)) end
assert(got:count() == wanted and wanted > 100 and wanted < dump:blocks():referenced { from = busy }:count())
for _, bad in ipairs { 0, -1, 1.5, "x", {} } do
    print(select(2, pcall(busy.referenced, busy, { from = busy, first_bytes = bad })))
end
print(select(2, pcall(busy.referenced, busy, { first_bytes = 8 })))
]]
        file:close()
        local lines = program.lines(program.output { "run", script, sample(folder, "--scale", "0.02") })
        for i = 1, 5 do assert.truthy(lines[i]:find("first_bytes: expected a number of bytes, 1 or more", 1, true)) end
        assert.truthy(lines[6]:find("first bytes of blocks, but no set of blocks", 1, true))
    end)

    it("finds the same of few blocks, which it looks for alone, as of all", function()
        local script = folder .. "/few.lua"
        local file <close> = assert(io.open(script, "w"))
        file:write [[
local all, found = dump:blocks(), 0
local busy = dump:blocks { state = "busy" }
for _, from in ipairs { busy, busy:where "index % 5 == 0", dump:blocks "size > 0x1000", busy:where "size == 0" } do
    local pointed = all:referenced { from = from }
    local mapi = all:referenced { from = from, aims = "mapi" }
    for _, text in ipairs { "index % 7 == 0", "index % 2 == 0", "size == 0xf8", "size > 0x1000", "not state == busy",
                            "state == uncommitted", "index == 3", "size == 0 and size == 1" } do
        local some = dump:blocks(text)
        for _, pair in ipairs { { pointed }, { mapi, "mapi" } } do
            local wanted, got = pair[1] & some, some:referenced { from = from, aims = pair[2] }
            assert(got:count() == wanted:count() and (got & wanted):count() == wanted:count(), text)
            found = found + got:count()
        end
    end
end
print(found)
]]
        file:close()
        for _, arch in ipairs { "x86", "x64" } do
            local path = sample(folder, "--scale", "0.02", "--arch", arch)
            assert.is_true(tonumber(program.output { "run", script, path }) > 1000, arch)
        end
    end)
end)
