-- What the scripts say where something is missing: no trace database, a dump that is cut, nothing at all.

local json = require "dkjson"
local program = require "program"

describe("a process without +ust", function()
    local folder

    setup(function()
        folder = program.folder()
        program.output({ "run", "sample", "plain.dmp", "--no-ust", "--scale", "0.01" }, folder)
    end)

    teardown(function()
        program.remove(folder)
    end)

    it("info says so and what to do next time", function()
        local got = program.output({ "run", "info", "plain.dmp" }, folder)
        assert.truthy(got:find("The process has no stack trace database", 1, true), got)
        assert.truthy(got:find("gflags /i OUTLOOK.EXE +ust", 1, true), got)
    end)

    for _, words in ipairs { { "traces" }, { "trace", "7dfe" } } do
        it(words[1] .. " ends with 6 and says what to do", function()
            local out, code, err = program.run({ "run", words[1], "plain.dmp", words[2] }, folder)
            assert.equal(6, code)
            assert.equal("", out)
            assert.truthy(err:find("gflags /i OUTLOOK.EXE +ust", 1, true), err)
        end)
    end

    it("block prints the block without a trace", function()
        local got = program.output({ "run", "block", "plain.dmp", "0372e598" }, folder)
        assert.truthy(got:find("Trace: none, no stack trace database was found", 1, true), got)
    end)

    it("stat counts look-aside blocks apart from busy ones", function()
        local got = program.output({ "run", "stat", "plain.dmp", "--by", "state" }, folder)
        assert.is_nil(got:find("lookaside", 1, true), got)
        got = program.output({ "run", "stat", "plain.dmp", "--state", "lookaside" }, folder)
        assert.truthy(got:find("lookaside blocks: %d"), got)
    end)

    it("heaps says that no aid is enabled", function()
        local got = program.output({ "run", "heaps", "plain.dmp" }, folder)
        assert.truthy(got:find("^NtGlobalFlag enables no debugging aids for new heaps%."), got)
    end)
end)

describe("a dump that is cut", function()
    local folder

    setup(function()
        folder = program.folder()
        program.output({ "run", "sample", "whole.dmp", "--tiny" }, folder)
        local whole = program.read_file(folder .. "/whole.dmp")
        local file <close> = assert(io.open(folder .. "/cut.dmp", "wb"))
        file:write(whole:sub(1, #whole // 2))
    end)

    teardown(function()
        program.remove(folder)
    end)

    it("info says that it is cut, and does not say that there was no database", function()
        local out, code = program.run({ "run", "info", "cut.dmp" }, folder)
        assert.is_true(code == 0 or code == 4)
        assert.truthy(out:find("CUT: the file ends before its memory does", 1, true), out)
        assert.is_nil(out:find("The process has no stack trace database", 1, true), out)
    end)

    it("stat prints what is left, says what is not, and ends with 4", function()
        local out, code = program.run({ "run", "stat", "cut.dmp" }, folder)
        assert.equal(4, code)
        assert.truthy(out:find("not read: ", 1, true), out)
    end)
end)

-- A pointer to what looks lost may stand in what is missing: the more of that, the less sure a leak is.
describe("who on a dump that is cut", function()
    local folder

    -- What `who` says of the first `bytes` of the sample, its text and its findings.
    local function verdict(bytes)
        local whole = program.read_file(folder .. "/whole.dmp")
        local file <close> = assert(io.open(folder .. "/cut.dmp", "wb"))
        file:write(whole:sub(1, bytes < 0 and #whole + bytes or #whole // bytes))
        file:close()
        local text = program.run({ "run", "who", "cut.dmp" }, folder)
        return text, json.decode((program.run({ "run", "who", "cut.dmp", "--json" }, folder))).findings
    end

    local function surest(findings)
        local most = 0
        for _, finding in ipairs(findings) do most = math.max(most, finding.confidence) end
        return most
    end

    setup(function()
        folder = program.folder()
        program.output({ "run", "sample", "whole.dmp", "--scale", "0.05" }, folder)
    end)

    teardown(function()
        program.remove(folder)
    end)

    it("is likely of nothing where half is missing, and says how much that is", function()
        local text, findings = verdict(2)
        local missing = tonumber(text:match "the dump is cut, ([%d.]+) %% of the private%s+memory is missing")
        assert.is_true(missing and missing > 30 and missing < 60, text)
        assert.is_true(#findings > 0 and surest(findings) > 0.2, text)
        assert.is_true(surest(findings) <= 1 - missing / 100 + 0.001, text)
        assert.is_nil(text:find("likely (", 1, true), text)
    end)

    it("is likely where next to nothing is missing, and certain of nothing", function()
        local text, findings = verdict(-5000)
        assert.truthy(text:find("the dump is cut", 1, true), text)
        assert.is_true(surest(findings) >= 0.8 and surest(findings) <= 0.9, text)
    end)
end)
