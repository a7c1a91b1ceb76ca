-- The heaps of another allocator (tests/fixtures/README.md): every block, range and large block as that allocator
-- itself tells them, and nothing else.

local program = require "program"
local json = require "dkjson"

local FIXTURES <const> = program.root .. "/tests/fixtures/"

local function unpack_to(folder, name)
    local path = folder .. "/" .. name
    assert(os.execute(string.format("xz -dc '%s%s.xz' > '%s'", FIXTURES, name, path)), name)
    return path
end

-- What scripts/all_blocks.lua prints, by heap.
local function read_blocks(text)
    local heaps, notes = {}, {}
    for line in text:gmatch("[^\n]+") do
        local address, flags, force, free = line:match("^heap (%d+) (%d+) (%d+) (%d+)$")
        local note = line:match("^note (.*)")
        if note then
            notes[#notes + 1] = note
        elseif address then
            heaps[tonumber(address)] = { flags = tonumber(flags), force_flags = tonumber(force),
                                         free_recorded = tonumber(free), busy = {}, large = {}, free = {},
                                         uncommitted = {}, internal = {}, lookaside = {} }
        else
            local state, heap, header, user, size, total, large, stored, settable =
                line:match("^(%l+) (%d+) (%d+) (%d+) (%d+) (%d+) (%l+) (%-?%d+) (%-?%d+)$")
            assert(state, line)
            local list = heaps[tonumber(heap)][large == "true" and "large" or state]
            list[#list + 1] = { header = tonumber(header), user = tonumber(user), size = tonumber(size),
                                total = tonumber(total), stored = tonumber(stored), settable = tonumber(settable) }
        end
    end
    return heaps, notes
end

-- Both lists as sorted lines, so that a difference is shown as the line it is.
local function lines(list, line_of)
    local out = {}
    for i, item in ipairs(list) do
        out[i] = line_of(item)
    end
    table.sort(out)
    return out
end

local function assert_same(expected, found, what)
    assert.equal(#expected, #found, what)
    for i, line in ipairs(expected) do
        assert.equal(line, found[i], what)
    end
end

describe("heaps that another allocator made", function()
    local folder, truth, heaps, notes

    setup(function()
        folder = program.folder()
        local dump = unpack_to(folder, "as-xp-x86.dmp")
        local _, wrong
        truth, _, wrong = json.decode(program.read_file(unpack_to(folder, "as-xp-x86.truth.json")))
        assert(truth, wrong)
        heaps, notes = read_blocks(program.output { "run", program.root .. "/tests/lua/scripts/all_blocks.lua", dump })
    end)

    teardown(function()
        program.remove(folder)
    end)

    it("are five, with their flags and free bytes", function()
        assert.equal(5, #truth.heaps)
        for _, heap in ipairs(truth.heaps) do
            local found = assert(heaps[heap.address], heap.name)
            assert.equal(heap.flags, found.flags, heap.name)
            assert.equal(heap.force_flags, found.force_flags, heap.name)
            assert.equal(heap.total_free_units * truth.unit, found.free_recorded, heap.name)
            heaps[heap.address].known = true
        end
        for address, heap in pairs(heaps) do
            assert.is_true(heap.known, string.format("heap %x", address))
        end
    end)

    it("have these live blocks", function()
        local total = 0
        for _, heap in ipairs(truth.heaps) do
            assert_same(
                lines(heap.blocks, function(b) return string.format("%08x %x settable %x", b[1], b[2], b[5]) end),
                lines(heaps[heap.address].busy, function(b)
                    return string.format("%08x %x settable %x", b.user, b.size, b.settable)
                end), heap.name)
            total = total + #heap.blocks
        end
        assert.is_true(total > 10000)
    end)

    it("store these trace indexes", function()
        for _, heap in ipairs(truth.heaps) do
            local recorded = heap.flags & 0x08000000 ~= 0
            assert_same(
                lines(heap.blocks, function(b)
                    return string.format("%08x %d", b[1], recorded and b[4] == 1 and b[6] or -1)
                end),
                lines(heaps[heap.address].busy, function(b) return string.format("%08x %d", b.user, b.stored) end),
                heap.name)
        end
    end)

    it("have these free blocks", function()
        for _, heap in ipairs(truth.heaps) do
            assert_same(lines(heap.free, function(b) return string.format("%08x %x", b[1], b[2]) end),
                lines(heaps[heap.address].free, function(b) return string.format("%08x %x", b.header, b.total) end),
                heap.name)
        end
    end)

    it("have these uncommitted ranges", function()
        for _, heap in ipairs(truth.heaps) do
            local expected = {}
            for _, segment in ipairs(heap.segments) do
                for _, range in ipairs(segment.uncommitted) do
                    expected[#expected + 1] = string.format("%08x %x", range[1], range[2])
                end
            end
            table.sort(expected)
            assert_same(expected, lines(heaps[heap.address].uncommitted, function(b)
                return string.format("%08x %x", b.header, b.total)
            end), heap.name)
        end
    end)

    it("have these large blocks", function()
        local total = 0
        for _, heap in ipairs(truth.heaps) do
            assert_same(lines(heap.large, function(b) return string.format("%08x %x %x", b[1], b[2], b[5]) end),
                lines(heaps[heap.address].large, function(b)
                    return string.format("%08x %x %x", b.user, b.size, b.total + 0x18)
                end), heap.name)
            total = total + #heap.large
        end
        assert.is_true(total >= 10)
    end)

    it("leave nothing unread", function()
        for _, note in ipairs(notes) do
            assert.is_nil(note:find("not read", 1, true), note)
        end
        for _, heap in ipairs(truth.heaps) do
            assert.equal(0, #heaps[heap.address].lookaside)
            -- the heap header and the segments' records
            assert.equal(1 + #heap.segments, #heaps[heap.address].internal, heap.name)
        end
    end)
end)
