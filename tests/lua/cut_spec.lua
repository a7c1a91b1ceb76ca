-- cut_spec: dumps that lack memory, at many places, against what their writer says: what can be read is the truth, what
-- cannot is said, and the exit code is 4 exactly where something that was asked for is missing.

local json = require "dkjson"
local memory_list = require "memory_list"
local program = require "program"

local PAGE <const> = 0x1000
local HEADER <const>, RECORD <const> = 0x640, 0x3c -- bytes of a _HEAP of XP x86, and of the segment record behind it

describe("a dump that lacks memory", function()
    local folder, bytes, pieces, truth

    setup(function()
        folder = program.folder()
        program.output({ "run", "sample", "whole.dmp", "--tiny", "--truth", "truth.json" }, folder)
        bytes = program.read_file(folder .. "/whole.dmp")
        pieces = memory_list.pieces(bytes)
        truth = json.decode(program.read_file(folder .. "/truth.json"))
        for _, heap in ipairs(truth.heaps) do
            heap.va = tonumber(heap.address, 16)
            for _, segment in ipairs(heap.segments) do segment.va = tonumber(segment.base, 16) end
        end
    end)
    teardown(function() program.remove(folder) end)

    local function write(changed)
        local file <close> = assert(io.open(folder .. "/less.dmp", "wb"))
        file:write(changed)
    end

    -- The whole sample, as if the dump held these pieces' memory somewhere else.
    local function without(...)
        local changed = bytes
        for i, va in ipairs { ... } do
            local entry = memory_list.piece_of(bytes, va).entry
            changed = changed:sub(1, entry) .. string.pack("<I8", 0x70000000 + i * 0x100000) .. changed:sub(entry + 9)
        end
        write(changed)
    end

    local function run(...)
        local words = { "run", ... }
        table.insert(words, 3, "less.dmp")
        return program.run(words, folder)
    end

    local function code_of(...)
        local _, code, err = run(...)
        return code, err
    end

    local function heaps()
        local out, code = run("heaps", "--json", "--wide")
        local document = json.decode(out)
        local by_address = {}
        for _, heap in ipairs(document.result.heaps) do by_address[tonumber(heap.address)] = heap end
        return by_address, document.result.heap_list, code
    end

    -- Every script that speaks of all heaps ends with 4 and says why; `words` is in what it prints.
    local function assert_told(words)
        for _, script in ipairs { "heaps", "stat", "blocks", "who" } do
            local out, code = run(script)
            assert.equal(4, code, script)
            assert.truthy((out:gsub("%s+", " ")):find(words, 1, true), script .. ": " .. words .. "\n" .. out)
        end
    end

    it("is the whole sample's opposite", function()
        write(bytes)
        local found, list, code = heaps()
        assert.equal("whole", list)
        assert.equal(0, code)
        for _, heap in ipairs(truth.heaps) do
            if heap.listed then
                assert.equal(0, found[heap.va].unread + found[heap.va].unread_segments + found[heap.va].unread_large)
            end
        end
    end)

    -- ---- files that end early: heaps are found by their signatures, as the PEB is the last thing in the file ----

    -- What a file of `length` bytes must give of a heap: nil (not to be found), or whether all of it is there and how
    -- many records of its segments are not.
    local function expected(heap, length)
        local function holds(va, size) return memory_list.holds(pieces, length, va, size) end
        if not holds(heap.va, HEADER + RECORD) then return nil end
        local whole, lost = heap.large_blocks == 0, 0
        for i, segment in ipairs(heap.segments) do
            if i > 1 and not holds(segment.va, RECORD) then lost = lost + 1 end
            whole = whole and holds(segment.va, segment.size - segment.uncommitted) -- holes may lie before the end
        end
        return { whole = whole, lost = lost }
    end

    for _, part in ipairs { 0.2, 0.35, 0.5, 0.65, 0.8, 0.95 } do
        it(("gives what is there of %d %% of the file"):format(part * 100), function()
            local length = math.floor(#bytes * part)
            write(bytes:sub(1, length))
            local found, list, code = heaps()
            assert.equal("missing", list)
            assert.equal(4, code)
            local count, wholes = 0, 0
            for _, heap in ipairs(truth.heaps) do
                local wanted, got = expected(heap, length), found[heap.va]
                assert.equal(wanted ~= nil, got ~= nil, heap.address)
                if wanted then
                    count = count + 1
                    assert.equal(wanted.lost, got.unread_segments, heap.address)
                    assert.is_true(got.busy_blocks <= heap.states.busy.blocks, heap.address)
                    local complete = got.unread + got.unread_segments + got.unread_large == 0
                    if wanted.whole then
                        wholes = wholes + 1
                        assert.is_true(complete, heap.address)
                    end
                    if complete then
                        assert.equal(heap.states.busy.blocks, got.busy_blocks, heap.address)
                        assert.equal(heap.states.busy.bytes, got.busy_bytes, heap.address)
                    end
                    if heap.va == 0x36f0000 or heap.va == 0x30000 then
                        assert.equal(complete and 0 or 4, code_of("stat", "--heap", heap.address), heap.address)
                    end
                end
            end
            assert.is_true(count > 0)
            assert.is_true(wholes > 0 or part < 0.3)
            for _ in pairs(found) do count = count - 1 end
            assert.equal(0, count) -- and no heap that is none
            if part == 0.5 then assert_told "the PEB's list of heaps could not be read" end
        end)
    end

    -- ---- pages that are missing from the middle ----

    it("tells of a segment whose record is missing", function()
        without(truth.heaps[1].segments[1].va) -- heap 1 is lost as a whole: its header is
        local found, list = heaps()
        assert.equal("its header is not in the dump", found[truth.heaps[1].va].reason)
        assert.equal("whole", list)

        without(0x9140000)
        found, list = heaps()
        assert.equal("whole", list)
        for _, heap in ipairs(truth.heaps) do
            if heap.listed then assert.equal(heap.va == 0x36f0000 and 1 or 0, found[heap.va].unread_segments) end
        end
        assert_told "heap 036f0000: 1 segment of unknown size"
        assert.equal(4, (code_of("stat", "--heap", "36f0000")))
        assert.equal(0, (code_of("stat", "--heap", "1160000")))
        local document = json.decode((run("stat", "--json")))
        assert.equal("whole", document.result.heap_list)
        assert.equal(1, document.result.lists[1].unsized)
        document = json.decode((run("blocks", "--json", "--heap", "1160000")))
        assert.is_nil(document.result.heap_list)
        assert.equal(0, document.result.unsized)
    end)

    it("tells of segments of several heaps whose records are missing", function()
        without(0x9140000, 0x11000000, 0x7f70000)
        local found = heaps()
        assert.equal(2, found[0x36f0000].unread_segments)
        assert.equal(1, found[0x4610000].unread_segments)
        assert_told "heap 036f0000: 2 segments of unknown size"
        assert_told "heap 04610000: 1 segment of unknown size"
    end)

    -- The sample with other bytes at an address.
    local function with(va, replacement) write(memory_list.with(bytes, va, replacement)) end

    local PEB_HEAPS <const> = 0x90 -- ProcessHeaps, in a PEB of XP x86

    it("finds all heaps without the PEB's list, and says that there may be more", function()
        local peb = tonumber(truth.peb, 16)
        local list_va = string.unpack("<I4", bytes, memory_list.offset_of(bytes, peb + PEB_HEAPS) + 1)
        local unlisted = 0
        for _, change in ipairs {
            function() with(peb, ("\0"):rep(PAGE)) end, function() with(peb + PEB_HEAPS, "\0\0\x77\x66") end,
            function() without(list_va) end,
        } do
            change()
            local found, list, code = heaps()
            assert.equal("missing", list)
            assert.equal(4, code)
            for _, heap in ipairs(truth.heaps) do
                unlisted = unlisted + (heap.listed and 0 or 1)
                assert.equal(heap.states.busy.blocks, found[heap.va].busy_blocks, heap.address)
            end
            assert.equal(4, (code_of("stat")))
            assert.equal(0, (code_of("stat", "--heap", "36f0000")))
        end
        assert.is_true(unlisted > 0) -- a heap of its own that no list has, found all the same
        assert_told "the PEB's list of heaps could not be read: only heaps that"

        with(list_va + 8, "\0\0\0\0")
        local _, part, code = heaps()
        assert.equal("part", part)
        assert.equal(4, code)
        assert.truthy((run("heaps")):find("not every heap of the process is known", 1, true))
    end)

    it("has no heap that can be read", function()
        write(bytes:sub(1, pieces[1].at + PAGE))
        local out, code = run("heaps")
        assert.equal(4, code)
        assert.truthy(out:find("No heap was found", 1, true), out)
        assert.truthy(out:find("the PEB's list of heaps could not be read", 1, true), out)
        out, code = run("who")
        assert.equal(4, code)
        assert.truthy(out:find("no heap was found", 1, true), out)
        out, code = run("who", "--json")
        assert.equal(4, code)
        assert.truthy(json.decode(out).result.unread[1]:find("list of heaps", 1, true))
    end)
end)
