-- who_spec: the verdict, and query_rows, on samples whose truth is known: the leak exactly, what is in use, no
-- database, x64, a plugin that fails. Text of a small sample: golden_spec; other processes: who_variants_slow_spec.

local program = require "program"
local json = require "dkjson"

local folder
setup(function() folder = program.folder() end)
teardown(function() program.remove(folder) end)

-- A sample with what its writer knows of each busy block: { label, fate, trace, size } by address.
local function sample(name, ...)
    local dump, truth = folder .. "/" .. name .. ".dmp", folder .. "/" .. name .. ".tsv"
    program.output { "run", "sample", dump, "--truth-blocks", truth, ... }
    local blocks = {}
    for line in io.lines(truth) do
        local address, size, trace, label, fate =
            line:match "^%x+\t(%x+)\t%x+\t(%x+)\t%x+\t%x+\tbusy\t%S+\t(%x+)\t(%S+)\t(%S+)"
        if address then
            blocks[address] = { size = tonumber(size, 16), trace = tonumber(trace, 16), label = label, fate = fate }
        end
    end
    return dump, blocks
end

local function who(dump, ...)
    local out, code, err = program.run { "run", "who", dump, "--json", ... }
    local top = assert(json.decode(out), out .. err)
    return top.result, top, code
end

local function count(blocks, label, fate, trace)
    local n, bytes = 0, 0
    for _, block in pairs(blocks) do
        if block.label == label and block.fate == fate and (not trace or block.trace == trace) then
            n, bytes = n + 1, bytes + block.size
        end
    end
    return n, bytes
end

describe("who on the case", function()
    local dump, blocks, result, top
    setup(function()
        dump, blocks = sample("case", "--scale", "0.01")
        result, top = who(dump)
    end)

    it("gives the leak to the third party's frame, through MAPI, with the blocks of the truth", function()
        local first = result.suspects[1]
        assert.equal("3rdpartydll", first.module)
        assert.equal("0x100c8141", first.caller)
        assert.equal("OLMAPI32!MAPIAllocateBuffer", first.allocator)
        assert.equal("0x17dfe", first.trace.index)
        assert.equal("0x7dfe", first.trace.stored)
        local rows = count(blocks, "mapi.row", "leaked", 0x17dfe) + count(blocks, "mapi.row", "held", 0x17dfe)
        for _, trace in ipairs(first.traces) do
            if trace.index == "0x17dfe" then
                assert.equal(rows, trace.blocks)
                assert.is_true(trace.confidence > 0.99)
            end
        end
        assert.is_true(first.leak >= 0.95)
        assert.is_true(first.attribution >= 0.99)
    end)

    it("tells lost rows and linked buffers from those in use, each of them", function()
        local lines = program.output { "run", program.root .. "/tests/lua/scripts/lost_rows.lua", dump }
        local said = {}
        for address in lines:gmatch "[^\n]+" do said[address] = true end
        local wanted = 0
        for address, block in pairs(blocks) do
            if block.fate == "leaked" then wanted = wanted + 1 end
            assert.equal(block.fate == "leaked", said[address] or false, address .. " " .. block.label)
        end
        assert.is_true(wanted > 20000)
    end)

    it("names RPC's trace and refutes it by count and by content", function()
        local rival = result.rivals[1]
        assert.equal("0x7dfe", rival.index)
        assert.equal(2, rival.count)
        assert.is_true(rival.confidence < 0.01)
        assert.truthy(rival.why[1]:find "^TraceCount 2 against 2,%d+ live blocks")
        assert.truthy(rival.why[2]:find "^content: rpcrt4!RpcStringBindingComposeW .* strings; these blocks are none$")
    end)

    it("explains the debugger's hint", function()
        assert.equal("? 3rdpartydll+1", result.hint.debugger)
        assert.equal("0x10000001", result.hint.value)
        assert.equal("0x10000000", result.hint.base)
        assert.truthy(result.hint.why:find("flags word of a MAPI buffer (0x10000000 | 0x1)", 1, true))
    end)

    it("has a finding with all that it rests on", function()
        local finding = top.findings[1]
        assert.truthy(finding.claim:find("MAPI table rows", 1, true))
        assert.equal("17dfe", finding.trace)
        assert.equal("3rdpartydll", finding.module)
        assert.truthy(finding.remedy:find "^FreeProws")
        for _, field in ipairs { "evidence", "blocks", "bytes", "share", "frame", "refute" } do
            assert.truthy(finding[field], field)
        end
    end)

    it("ends with 1 where --fail-on is reached, and prints no finding twice", function()
        local out, code = program.run { "run", "who", dump, "--fail-on", "likely" }
        assert.equal(1, code)
        assert.is_nil(out:find "\nlikely %(")
        assert.is_nil(out:find "\n  evidence:")
    end)

    it("answers in three lines, none longer than 120 columns in all", function()
        local lines = program.lines(program.output { "run", "who", dump })
        assert.truthy(lines[1]:find "^1%. Memory  ")
        assert.truthy(lines[2]:find "^2%. Who     3rdpartydll%+0xc8141 through OLMAPI32!MAPIAllocateBuffer, trace 17d")
        assert.truthy(lines[3]:find "^3%. What    [%d,]+ MAPI table rows with [%d,]+ linked buffers: sets freed, ")
        assert.equal("", lines[4])
        for _, line in ipairs(lines) do assert.is_true(utf8.len(line) <= 120, line) end
    end)

    it("looks at one heap with --heap", function()
        local other = who(dump, "--heap", "4610000")
        for _, suspect in ipairs(other.suspects) do
            assert.same(1, #suspect.heaps)
            assert.equal("0x04610000", suspect.heaps[1].address)
        end
    end)
end)

describe("query_rows", function()
    it("has one finding for the rows of the case, and none for those in use", function()
        local dump, blocks = sample("rows", "--scale", "0.008", "--seed", "3")
        local top = json.decode(program.output { "run", "query_rows", dump, "--json" })
        assert.equal(1, #top.findings)
        local finding = top.findings[1]
        local rows = count(blocks, "mapi.row", "leaked", 0x17dfe)
        assert.truthy(finding.claim:find(("^%d,%03d MAPI table rows are lost"):format(rows // 1000, rows % 1000)))
        -- each row of the sample has eight buffers, but for the one of the case, which has ten
        assert.is_true(finding.blocks == rows * 9 + 2 or finding.blocks == rows * 9, tostring(finding.blocks))
        assert.truthy(table.concat(finding.evidence, "\n"):find "\n50 rows of the same columns stand in row sets")
    end)

    it("does not speak of rows of a table where no stack says so", function()
        local dump = sample("plain", "--scale", "0.004", "--no-ust")
        local top = json.decode(program.output { "run", "query_rows", dump, "--json" })
        assert.equal(1, #top.findings)
        assert.truthy(top.findings[1].claim:find "MAPI property arrays are lost")
        assert.is_true(top.findings[1].confidence <= 0.9)
        assert.equal("the call stack that allocated them", top.findings[1].missing)
    end)
end)

describe("who with less to go by", function()
    it("answers by size, content and holder without a trace database, and says how to get one", function()
        local dump, blocks = sample("bare", "--scale", "0.004", "--no-ust")
        local result, top = who(dump)
        local advice = "no stack trace database; next time: gflags /i OUTLOOK.EXE +ust"
        assert.truthy(result.verdict.who:find(advice, 1, true))
        assert.truthy(result.next[1]:find("gflags /i OUTLOOK.EXE +ust", 1, true))
        assert.truthy(result.suspects[1].what:find "MAPI property arrays with [%d,]+ linked buffers")
        local rows, row_bytes = count(blocks, "mapi.row", "leaked")
        local more, more_bytes = count(blocks, "mapi.more", "leaked")
        assert.equal(rows + more, result.suspects[1].lost_blocks)
        assert.equal(row_bytes + more_bytes, result.suspects[1].lost_bytes)
        assert.is_nil(result.suspects[1].frame)
        assert.is_true(top.findings[1].confidence < 0.99)
        for i = 2, #result.suspects do assert.is_nil(result.suspects[i].what:find "property array") end
    end)

    it("answers on x64", function()
        local dump, blocks = sample("x64", "--scale", "0.01", "--arch", "x64")
        local result = who(dump)
        local first = result.suspects[1]
        assert.equal("addin", first.module)
        local rows = count(blocks, "mapi.row", "leaked", tonumber(first.trace.index))
        assert.truthy(first.what:find(("^%d,%03d MAPI table rows"):format(rows // 1000, rows % 1000)), first.what)
    end)

    it("goes on where a plugin raises, with a note and exit code 5", function()
        local dump = sample("plugged", "--tiny")
        os.execute(("mkdir -p '%s/plug'"):format(folder))
        local file <close> = assert(io.open(folder .. "/plug/query_rows.lua", "w"))
        file:write 'return { name = "query_rows", summary = "s", kind = "heuristic",\nrun = function() error "no" end }'
        file:close()
        local out, code = program.run { "run", "who", dump, "--plugins", folder .. "/plug" }
        assert.equal(5, code)
        assert.truthy(out:find "\n2%. Who     [^\n]*certain.*\nWhat to capture next\n")
        assert.truthy(out:find "note: [^\n]*/plug/query_rows.lua:2: no\n")
    end)
end)
