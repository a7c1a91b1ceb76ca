-- attribution_spec: who allocated what, on a sample and a variant whose truth is known; and trace_wrap.

local program = require "program"

local function run_text(folder, text, dump, ...)
    local script = folder .. "/script.lua"
    local file <close> = assert(io.open(script, "w"))
    file:write(text)
    file:close()
    return program.lines(program.output { "run", script, dump, ... })
end

describe("attribution", function()
    local folder, sample
    setup(function()
        folder = program.folder()
        sample = folder .. "/sample.dmp"
        program.output { "run", "sample", sample, "--scale", "0.02" }
    end)
    teardown(function() program.remove(folder) end)

    it("gives the case's row to trace 17dfe and refutes 7dfe", function()
        local lines = run_text(folder, [[
local a = heapsift.attribution(dump)
local trace, confidence, reasons, others = a:of(dump:block(0x372e5a0))
print(("%x"):format(trace.index), confidence > 0.99, #reasons > 0)
print(("%x"):format(others[1].trace.index), others[1].confidence < 0.01, others[1].reasons[1])
print(a == heapsift.attribution(dump))
]], sample)
        assert.equal("17dfe\ttrue\ttrue", lines[1])
        assert.truthy(lines[2]:find "^7dfe\ttrue\trefuted: TraceCount 2, ")
        assert.equal("true", lines[3])
    end)

    it("gives every busy block with an index to somebody, once", function()
        local lines = run_text(folder, [[
local blocks, shared = 0, 0
for group in heapsift.attribution(dump):groups() do
    blocks = blocks + group.blocks
    for _, share in ipairs(group.shares) do
        shared = shared + share.blocks
        assert(share.confidence >= 0 and share.confidence <= 1)
        assert(share.trace == nil and share.index == 0 or share.trace.index == share.index)
        assert(share.index & 0xffff == group.stored)
    end
end
print(blocks == shared, blocks == dump:blocks("state == busy and stored >= 0"):count())
]], sample)
        assert.equal("true\ttrue", lines[1])
    end)

    it("adds up to all busy blocks by call site", function()
        local lines = run_text(folder, [[
local a = heapsift.attribution(dump)
local all, blocks, bytes, last = dump:blocks "state == busy", 0, 0, math.huge
for i, row in ipairs(a:sites()) do
    blocks, bytes = blocks + row.blocks, bytes + row.bytes
    assert(row.bytes <= last and row.confidence >= 0 and row.confidence <= 1)
    last = row.bytes
    assert((row.kind == "site") == (row.caller ~= nil))
    local traced = 0
    for _, one in ipairs(row.traces) do
        traced = traced + one.blocks
        assert(row.caller == (one.trace:caller() or one.trace.frames[#one.trace.frames]))
    end
    assert(row.kind ~= "site" or traced == row.blocks)
    if i <= 30 then
        local set, count = a:set(row)
        assert(count == row.blocks and set:count() >= count)
    end
end
print(blocks == all:count(), bytes == all:bytes())
local top = a:sites()[1]
print(dump:symbol(top.caller), top.outermost, ("%x"):format(top.traces[1].trace.index), top.types[1])
local set, count = a:set(top.traces[1].trace)
print(count == top.traces[1].blocks, set:has(dump:block(0x372e5a0)))
]], sample)
        assert.equal("true\ttrue", lines[1])
        assert.truthy(lines[2]:find "^3rdpartydll.*\tfalse\t17dfe\tmapi.more$")
        assert.equal("true\ttrue", lines[3])
    end)

    it("is what filters and groups mean by trace", function()
        local lines = run_text(folder, [[
local set = dump:blocks "trace == 0x17dfe"
local a = heapsift.attribution(dump)
local claimed, count = a:set(0x17dfe)
print(set:count() > 1000, (set - claimed):count(), set:has(dump:block(0x372e5a0)))
print(dump:blocks("trace == 0x7dfe"):count() <= dump.traces[0x7dfe].count,
    dump:blocks("candidate.index == 0x7dfe"):count() > 0)
local wrong, seen, groups = 0, 0, 0
for _, block in ipairs(dump:blocks("state == busy and stored >= 0"):sample(3000)) do
    local trace, p = a:of(block)
    local index = p >= 0.5 and trace and trace.index
    seen = seen + 1
    for row in dump:blocks(("address == %d"):format(block.address)):group("trace") do
        if row.trace ~= (index or nil) then wrong = wrong + 1 end
    end
    if seen == 200 then break end
end
print(wrong, seen)
for row in dump:blocks "state == busy":group("trace", "heap") do groups = groups + row.count end
print(groups == dump:blocks("state == busy"):count())
local module = dump:blocks "trace.module ~ 'olmapi32'"
local expected = 0
for row in dump:blocks "trace > 0":group "trace" do
    local trace, found = dump.traces[row.trace], false
    for _, va in ipairs(trace.frames) do
        local its = dump:module(va)
        if its and its.name:lower():find "olmapi32" then found = true end
    end
    if found then expected = expected + row.count end
end
print(module:count() == expected, expected > 1000, dump:blocks("trace.symbol ~ 'MAPIAllocateBuffer'"):count() > 1000)
]], sample)
        assert.equal("true\t0\ttrue", lines[1])
        assert.equal("true\ttrue", lines[2])
        assert.equal("0\t200", lines[3])
        assert.equal("true", lines[4])
        assert.equal("true\ttrue\ttrue", lines[5])
    end)

    it("has nothing to say without a database", function()
        local path = folder .. "/bare.dmp"
        program.output { "run", "sample", path, "--tiny", "--no-ust" }
        local lines = run_text(folder, [[
local a = heapsift.attribution(dump)
for _ in a:groups() do error "a group" end
for block in dump:blocks("state == busy"):each() do print(a:of(block)) break end
]], path)
        assert.truthy(lines[1]:find "^nil\t0.0")
    end)

    it("says so where no trace has the index", function()
        local path = folder .. "/few.dmp"
        program.output { "run", "sample", path, "--tiny" }
        local file <close> = assert(io.open(path, "r+b"))
        local bytes = file:read "a"
        -- the index of blocks whose size is a multiple of 8: right behind the tail fill
        local tail, at, changed = ("\xab"):rep(8), 1, 0
        while changed < 200 do
            at = bytes:find(tail, at, true)
            if not at then break end
            file:seek("set", at + 7)
            file:write "\x77\x77"
            at, changed = at + 16, changed + 1
        end
        file:flush()
        local lines = run_text(folder, [[
local a = heapsift.attribution(dump)
local n = 0
for group in a:groups() do
    if group.stored == 0x7777 then
        assert(#group.shares == 1 and group.shares[1].trace == nil and group.shares[1].confidence == 0)
        n = n + group.blocks
    end
end
print(n > 5)
local block = dump:blocks("state == busy and stored == 0x7777"):sample(1)[1]
local trace, confidence, reasons = a:of(block)
print(trace, confidence, reasons[1])
]], path)
        assert.equal("true", lines[1])
        assert.equal("nil\t0.0\tno trace has this index", lines[2])
    end)

    it("is right about a variant", function()
        local truth = folder .. "/v-4.json"
        program.output { "run", program.root .. "/tests/synth/variants.lua", folder .. "/v-4.dmp", "--seed", "4",
            "--truth", truth }
        local output = program.output { "run", program.root .. "/tests/bench/accuracy.lua", folder,
            "--from", "4", "--to", "4", "--only-full", "--allow-files" }
        local accuracy, _, calibration, leader = output:match "all evidence +(%S+) +(%S+) +(%S+) .- (%d+/%d+)"
        assert.is_true(tonumber(accuracy) > 0.95)
        assert.is_true(tonumber(calibration) < 0.05)
        assert.equal("1/1", leader)
    end)

    it("trace_wrap finds that the index wraps and that the database is full", function()
        local path = folder .. "/full.dmp"
        program.output { "run", program.root .. "/tests/synth/variants.lua", path, "--kind", "full" }
        local output = program.output { "run", "trace_wrap", path }
        assert.truthy(output:find "stored trace indexes are ambiguous")
        assert.truthy(output:find "the trace database is full")
        assert.is_nil(output:find "make no sense")
    end)
end)
