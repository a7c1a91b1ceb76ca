-- What heaps, stat and blocks say when a header in the middle of a heap is overwritten, and when none is.

local program = require "program"
local json = require "dkjson"
local memory_list = require "memory_list"

describe("a header that was overwritten", function()
    local folder

    setup(function()
        folder = program.folder()
        program.output({ "run", "sample", "whole.dmp", "--tiny" }, folder)
        local bytes = program.read_file(folder .. "/whole.dmp")
        local at = memory_list.offset_of(bytes, 0x372e598)
        local file <close> = assert(io.open(folder .. "/bad.dmp", "wb"))
        file:write(bytes:sub(1, at), ("A"):rep(8), bytes:sub(at + 9))
    end)

    teardown(function()
        program.remove(folder)
    end)

    -- One line, for the damaged heap: 0x110 bytes of the 0x3b000 that it has committed.
    local LINE <const> = "heap 036f0000: 272 bytes could not be read, 0.1 % of its 236.0 KiB of committed memory\n"

    for _, words in ipairs {
        { "heaps" }, { "heaps", "--wide" }, { "stat" }, { "stat", "--per-heap" }, { "stat", "--heap", "36f0000" },
        { "stat", "--by", "heap", "--where", "size > 8" }, { "blocks" }, { "blocks", "--size", "f8", "--by", "stored" },
    } do
        local shown = table.concat(words, " ")

        it("is told by " .. shown, function()
            local out, code = program.run({ "run", words[1], "bad.dmp", table.unpack(words, 2) }, folder)
            assert.equal(4, code)
            local _, times = out:gsub("bytes could not be read", "")
            assert.equal(1, times, out)
            assert.truthy(out:find(LINE, 1, true), out)
        end)

        it("is not invented by " .. shown, function()
            local out = program.output({ "run", words[1], "whole.dmp", table.unpack(words, 2) }, folder)
            assert.is_nil(out:find("could not be read", 1, true), out)
        end)
    end

    it("costs other heaps nothing", function()
        local out, code = program.run({ "run", "stat", "bad.dmp", "--heap", "1160000" }, folder)
        assert.equal(0, code)
        assert.is_nil(out:find("could not be read", 1, true), out)
    end)

    local function result(...)
        local words = { "run", ... }
        words[#words + 1] = "--json"
        local out, code = program.run(words, folder)
        assert.equal(4, code)
        return json.decode(out).result
    end

    it("is in the JSON", function()
        local heaps = result("heaps", "bad.dmp").heaps
        local damaged = 0
        for _, heap in ipairs(heaps) do
            if heap.address == "0x036f0000" then
                damaged = damaged + 1
                assert.equal(272, heap.unread)
                assert.is_true(math.abs(heap.unread_percent - 100 * 272 / heap.committed) < 1e-9)
            else
                assert.equal(0, heap.unread)
                assert.equal(0, heap.unread_percent)
            end
        end
        assert.equal(1, damaged)
        assert.equal(272, result("stat", "bad.dmp").lists[1].unread)
        assert.equal(272, result("blocks", "bad.dmp").unread)
    end)
end)
