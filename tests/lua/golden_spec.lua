-- The text and the JSON of every bundled script on the tiny sample. tests/golden/NAME.txt is rewritten only
-- with HEAPSIFT_GOLDEN_WRITE=1, and then its diff is read.

local program = require "program"
local json = require "dkjson"

local WRITE <const> = os.getenv("HEAPSIFT_GOLDEN_WRITE") == "1"

-- { name of the golden file, script (default: the same), words after the dump ... }
local RUNS <const> = {
    { "info" }, { "heaps" }, { "heaps-wide", "heaps", "--wide" },
    { "stat" }, { "stat-heap", "stat", "--heap", "36f0000", "--top", "5" },
    { "stat-stored", "stat", "--by", "stored,heap", "--grp", "B", "--top", "5" },
    { "blocks", "blocks", "--heap", "36f0000", "--size", "f8", "--limit", "10" },
    { "blocks-by", "blocks", "--size", "f8", "--by", "stored,size" },
    { "blocks-filter", "blocks", "size == 0xf8 and state == busy", "--by", "stored,size,heap" },
    { "block", "block", "0372e598" }, { "block-windbg", "block", "0372e5a4", "--windbg-names" },
    { "block-header", "block", "36f0010" }, { "block-past", "block", "0372e69c" },
    { "traces", "traces", "--top", "5" }, { "trace", "trace", "1" },
    { "modules" }, { "modules-one", "modules", "3rdpartydll", "--exports" },
    { "symbols", "symbols", "ntdll!Rtl*Heap", "7c918f01", "100c8141" },
    { "objects", "objects", "--top", "6" },
    { "memory", "memory", "0372e598", "0372e598+f8+14" },
    { "memory-bytes", "memory", "0372e598", "--as", "bytes", "--length", "24" },
    { "memory-qwords", "memory", "0372e598", "--as", "qwords", "--words", "3" },
    { "types", "types", "_rtl_stack_trace_entry", "160290", "--depth", "1" },
    { "types-heap", "types", "_HEAP", "36f0000" },
    { "types-list", "types", "*heap*" }, { "types-layout", "types", "_STACK_TRACE_DATABASE" },
    { "memory-gap", "memory", "0372eff8", "--words", "4" },
    { "who" }, { "who-explain", "who", "--top", "2", "--explain" }, { "who-heap", "who", "--heap", "1160000" },
}

local function words_of(run, ...)
    local script = run[2] or run[1]
    local words = { "run", script, "tiny.dmp" }
    table.move(run, 3, #run, #words + 1, words)
    return table.move({ ... }, 1, select("#", ...), #words + 1, words)
end

-- Every string that stands under a key that names an address must be 0x and hex digits.
local ADDRESS_KEYS <const> = {
    address = true, user = true, base = true, peb = true, stored = true,
    chain = true, commit_base = true, index_array = true, buckets = true, value = true, global_flag = true,
}

local function check_addresses(value, path)
    for key, item in pairs(value) do
        local here = path .. "." .. tostring(key)
        if type(item) == "table" then
            check_addresses(item, here)
        elseif ADDRESS_KEYS[key] then
            assert(type(item) == "string" and item:find("^0x%x+$"), here .. " is " .. tostring(item))
        end
    end
end

describe("a tiny sample", function()
    local folder

    setup(function()
        folder = program.folder()
        program.output({ "run", "sample", "tiny.dmp", "--tiny" }, folder)
    end)

    teardown(function()
        program.remove(folder)
    end)

    for _, run in ipairs(RUNS) do
        local name, script = run[1], run[2] or run[1]

        it(name .. " prints its golden text", function()
            local got = program.output(words_of(run), folder)
            local path = program.root .. "/tests/golden/" .. name .. ".txt"
            if WRITE then
                local file <close> = assert(io.open(path, "wb"))
                file:write(got)
                return
            end
            assert.equal(program.read_file(path), got)
        end)

        it(name .. " gives JSON", function()
            local got = program.output(words_of(run, "--json"), folder)
            local top, _, err = json.decode(got)
            assert.is_nil(err)
            assert.equal("heapsift." .. script .. "/1", top.schema)
            assert.equal("table", type(top.result))
            assert.equal("table", type(top.notes))
            assert.equal("table", type(top.findings))
            assert.truthy(top.dump)
            check_addresses(top.result, "result")
        end)
    end

    -- The first block in a state, by its header's address.
    local function first_in(state)
        local words = { "run", "blocks", "tiny.dmp", "--state", state, "--limit", "1", "--json" }
        local got = program.output(words, folder)
        return json.decode(got).result.rows[1].address
    end

    it("block says of a free block that it has no trace", function()
        local got = program.output({ "run", "block", "tiny.dmp", first_in "free" }, folder)
        assert.truthy(got:find("(free)", 1, true), got)
        assert.truthy(got:find("Trace: none, the block is free.", 1, true), got)
    end)

    it("block says of a hole that no block is there", function()
        local address = first_in "uncommitted"
        local out, code, err = program.run({ "run", "block", "tiny.dmp", address }, folder)
        assert.equal(6, code)
        assert.equal("", out)
        assert.truthy(err:find("it lies in the uncommitted range " .. address:sub(3), 1, true), err)
    end)

    it("every script explains itself", function()
        local names = { "info", "heaps", "stat", "blocks", "block", "traces", "trace", "modules", "memory", "who",
                        "types" }
        for _, name in ipairs(names) do
            local got = program.output({ "run", name, "--help" }, folder)
            assert.truthy(got:find("heapsift run " .. name, 1, true), name)
        end
    end)
end)

-- What a user gets wrong: one line on stderr, nothing on stdout, the right exit code.
local MISTAKES <const> = {
    { 6, "no block holds 00000010", "block", "10" },
    { 6, "no block holds 7c901000", "block", "7c901000" },
    { 6, "there is no trace", "trace", "ffffff" },
    { 6, "there is no trace", "trace", "0" },
    { 6, "there is no heap", "stat", "--heap", "12345678" },
    { 6, "no module is called", "modules", "nonesuch" },
    { 6, "no module is called", "traces", "--module", "nonesuch" },
    { 6, "the dump holds nothing at 00000010", "memory", "10" },
    { 6, "the dump holds nothing at 00000010", "types", "_HEAP", "10" },
    { 6, "no type is called 'nosuch'", "types", "nosuch" },
    { 6, "no type fits 'nosuch*'", "types", "nosuch*" },
    { 2, "no type is called '_HAEP' (did you mean '_HEAP'?)", "types", "_HAEP", "36f0000" },
    { 2, "nothing.h: No such file", "types", "_HEAP", "--declare", "nothing.h" },
    { 2, "before the first", "memory", "372e598", "372e000" },
    { 2, "exclude each other", "memory", "372e598", "--words", "4", "--length", "4" },
    { 2, "exclude each other", "stat", "--heap", "36f0000", "--per-heap" },
    { 2, "is no key", "stat", "--by", "colour" },
    { 2, "stands there twice", "stat", "--by", "size,size" },
    { 2, "in hexadecimal", "blocks", "--size", "zz" },
    { 2, "lowest first", "blocks", "--size", "80-40" },
    { 2, "--exports needs", "modules", "--exports" },
    { 6, "there is no heap", "who", "--heap", "12345678" },
    { 2, "at least 1", "who", "--top", "0" },
}

describe("mistakes", function()
    local folder

    setup(function()
        folder = program.folder()
        program.output({ "run", "sample", "tiny.dmp", "--tiny" }, folder)
    end)

    teardown(function()
        program.remove(folder)
    end)

    for _, mistake in ipairs(MISTAKES) do
        it(table.concat(mistake, " ", 3) .. " ends with " .. mistake[1], function()
            local words = { "run", mistake[3], "tiny.dmp" }
            table.move(mistake, 4, #mistake, #words + 1, words)
            local out, code, err = program.run(words, folder)
            assert.equal(mistake[1], code, err)
            assert.equal("", out)
            assert.truthy(err:find(mistake[2], 1, true), err)
            assert.equal(1, #program.lines(err), err)
        end)
    end
end)
