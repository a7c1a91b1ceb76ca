-- The filter argument of blocks, and stat --where: against the options that say the same, and against plain counts.

local program = require "program"
local json = require "dkjson"

describe("a filter on the command line", function()
    local folder

    setup(function()
        folder = program.folder()
        program.output({ "run", "sample", "tiny.dmp", "--tiny" }, folder)
    end)

    teardown(function()
        program.remove(folder)
    end)

    local function result(script, ...)
        local words = { "run", script, "tiny.dmp", ... }
        words[#words + 1] = "--json"
        return json.decode(program.output(words, folder)).result
    end

    -- The same blocks, chosen in two ways.
    for _, pair in ipairs {
        { { "size == 0xf8 and state == busy" }, { "--size", "f8" } },
        { { "size == 0xf8" }, { "--size", "f8" } },
        { { "size in 0x40..0x7f" }, { "--size", "40-7f" } },
        { { "size >= 0x40" }, { "--size", "40-ffffffffffffffff" } },
        { { "heap == 0x36f0000", "--state", "free" }, { "--heap", "36f0000", "--state", "free" } },
        { { "stored == 0x12" }, { "--stored", "12" } },
        { { "state == free" }, { "--state", "free" } },
        { { "size > 100 and state == internal" }, { "size > 100", "--state", "internal" } },
        { { "state in {busy, free, lookaside, internal, uncommitted}" }, { "--state", "all" } },
        { { "size == 1 or size == 0xf8", "--heap", "36f0000" }, { "heap == 0x36f0000 and size in {1, 0xf8}" } },
    } do
        it(table.concat(pair[1], " ") .. " is " .. table.concat(pair[2], " "), function()
            local typed, other = result("blocks", table.unpack(pair[1])), result("blocks", table.unpack(pair[2]))
            typed.heap_list, other.heap_list = nil, nil -- told only where no heap is named
            assert.same(other, typed)
            assert.is_true(typed.blocks > 0, "there is no such block")
        end)
    end

    it("means busy blocks unless it speaks of states, and --state wins", function()
        assert.equal(0, result("blocks", "state == free", "--state", "busy").blocks)
        assert.equal("busy", result("stat", "--where", "size > 0").state)
        assert.equal("all", result("stat", "--where", "state == free").state)
        assert.equal(result("blocks", "--state", "free").blocks,
            result("stat", "--where", "not state ~= free").lists[1].blocks)
    end)

    it("goes with every key, and the groups are all blocks", function()
        for _, key in ipairs { "size", "size_class", "heap", "state", "stored", "total", "flags", "tag", "first_word",
                               "candidate_module", "type" } do
            local found = result("blocks", "size in 0x20..0xff", "--by", key, "--limit", "0")
            local count, bytes = 0, 0
            for _, group in ipairs(found.groups) do
                count, bytes = count + group.count, bytes + group.bytes
            end
            assert.equal(found.blocks, count, key)
            assert.equal(found.bytes, bytes, key)
            assert.is_true(count > 100, key)
            local lists = result("stat", "--where", "size in 0x20..0xff", "--by", key, "--top", "0").lists
            assert.same(found.groups, lists[1].groups, key)
        end
    end)

    it("knows what blocks hold", function()
        local rows = result("blocks", 'type == "mapi.row"').blocks
        assert.is_true(rows > 50)
        for _, group in ipairs(result("stat", "--by", "type", "--top", "0").lists[1].groups) do
            if group.type == "mapi.row" then
                assert.equal(rows, group.count)
                rows = nil
            end
        end
        assert.is_nil(rows)
    end)

    for _, words in ipairs {
        { "blocks", "size = 3" }, { "blocks", "size = 3", "--by", "size" }, { "stat", "--where", "size = 3" },
    } do
        it("that is wrong ends with one line: " .. table.concat(words, " "), function()
            table.insert(words, 2, "tiny.dmp")
            local out, code, err = program.run({ "run", table.unpack(words) }, folder)
            assert.equal("", out)
            assert.equal(2, code)
            assert.equal("heapsift: tiny.dmp: filter: at position 6, before '= 3': 'and', 'in', 'or', a comparison, " ..
                "an operator or the end of the filter was expected\n", err)
        end)
    end

    -- A text that would close the parenthesis around it is a bad text, not another filter.
    it("cannot step out of its place", function()
        local _, code = program.run({ "run", "blocks", "tiny.dmp", "size == 1) or (size == 2", "--size", "f8" }, folder)
        assert.equal(2, code)
    end)
end)
