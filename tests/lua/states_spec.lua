-- states_spec: what no sample has, planted in one: broken fill, page heaps, heaps of later Windows, WOW64. What is
-- there is read from the file itself, without the engine.

local json = require "dkjson"
local memory_list = require "memory_list"
local program = require "program"

local folder

local function write(name, text)
    local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
end

local function sample(name, ...)
    program.output({ "run", "sample", name, "--tiny", ... }, folder)
    return program.read_file(folder .. "/" .. name)
end

setup(function()
    folder = program.folder()
    write("blocks.lua", [[
for b in dump:blocks():each() do
    print(("%x %x %x %x %s %x %s %s"):format(b.address, b.user, b.size, b.total, b.state, b.flags, b.large, b.fill))
end]])
end)
teardown(function() program.remove(folder) end)

-- What became of a block's fill, from its bytes.
local function fill_of(bytes, block, unit)
    if block.flags & 4 == 0 or block.large then return "none" end
    local from, to, pattern
    if block.state == "busy" then
        from, to, pattern = block.user + block.size, block.user + block.size + unit, "\xab"
    elseif block.state == "free" then
        from, to, pattern = block.address + 2 * unit, block.address + block.total, "\xee\xfe\xee\xfe"
    end
    if not from or from >= to then return "none" end
    local at = memory_list.offset_of(bytes, from)
    local there = bytes:sub(at + 1, at + to - from)
    return there == pattern:rep(#there // #pattern) and "intact" or "broken"
end

describe("fill", function()
    for _, arch in ipairs { "x86", "x64" } do
        it("is intact or broken as the bytes are: " .. arch, function()
            local unit = arch == "x86" and 8 or 16
            local bytes = sample("fill.dmp", "--arch", arch)
            local busy, free

            -- Compares every block; gives how many are intact, and the addresses of those that are broken.
            local function compare()
                local intact, broken = 0, {}
                for line in program.output({ "run", "blocks.lua", "fill.dmp" }, folder):gmatch "[^\n]+" do
                    local address, user, size, total, state, flags, large, fill =
                        line:match "^(%x+) (%x+) (%x+) (%x+) (%l+) (%x+) (%l+) (%l+)$"
                    local block = { address = tonumber(address, 16), user = tonumber(user, 16), state = state,
                        size = tonumber(size, 16), total = tonumber(total, 16), flags = tonumber(flags, 16),
                        large = large == "true" }
                    assert.equal(fill_of(bytes, block, unit), fill, line)
                    if fill == "intact" then
                        intact = intact + 1
                        busy = busy or state == "busy" and block
                        free = free or state == "free" and block
                    elseif fill == "broken" then
                        broken[#broken + 1] = block.address
                    end
                end
                return intact, broken
            end

            local intact, broken = compare()
            assert.is_true(intact > 300)
            assert.same({}, broken)
            for _, va in ipairs { busy.user + busy.size + unit - 1, free.address + free.total - 4 } do
                bytes = memory_list.with(bytes, va, "!")
            end
            write("fill.dmp", bytes)
            local left, both = compare()
            assert.equal(intact - 2, left)
            table.sort(both)
            local wanted = { busy.address, free.address }
            table.sort(wanted)
            assert.same(wanted, both)
            local rows = json.decode(program.output({ "run", "blocks", "fill.dmp", "fill == broken", "--state", "all",
                "--json" }, folder)).result.rows
            assert.equal(2, #rows)
        end)
    end
end)

local HEAP <const>, GLOBAL_FLAG <const> = 0x36f0000, 0x68 -- NtGlobalFlag in a PEB of XP x86

describe("a heap that is named and not read", function()
    local bytes, peb

    setup(function()
        bytes = sample("kinds.dmp", "--truth", "truth.json")
        peb = tonumber(json.decode(program.read_file(folder .. "/truth.json")).peb, 16)
    end)

    local function word(va, value) bytes = memory_list.with(bytes, va, string.pack("<I4", value)) end

    for _, case in ipairs {
        { "page", "a page heap root (NtGlobalFlag has hpa)", function()
            word(HEAP + 8, 0x12345678)
            word(peb + GLOBAL_FLAG, 0x02001000)
        end },
        { "segment", "a segment heap (Windows 8.1 and later)", function() word(HEAP + 8, 0xddeeddee) end },
        { "nt", "an NT heap of Windows Vista or later", function()
            word(HEAP + 8, 0xffeeffee)
            word(HEAP + 0x70, 0xeeffeeff)
        end },
        { "unknown", "its header has 0x0badf00d", function() word(HEAP + 8, 0xbadf00d) end },
    } do
        local kind, words, plant = table.unpack(case)
        it("is told everywhere: " .. kind, function()
            local whole = bytes
            plant()
            write("kinds.dmp", bytes)
            bytes = whole
            for _, script in ipairs { "heaps", "stat", "who" } do
                local out, code = program.run({ "run", script, "kinds.dmp" }, folder)
                assert.equal(4, code, script)
                assert.truthy((out:gsub("%s+", " ")):find(words, 1, true), script .. "\n" .. out)
            end
            local out, code = program.run({ "run", "info", "kinds.dmp" }, folder)
            assert.equal(0, code) -- reads no blocks
            assert.truthy(out:find("036f0000 is not read: " .. words, 1, true), out)
            out, code = program.run({ "run", "stat", "kinds.dmp", "--heap", "36f0000" }, folder)
            assert.equal(6, code)
            assert.equal("", out)
            assert.equal(0, select(2, program.run({ "run", "stat", "kinds.dmp", "--heap", "1160000" }, folder)))
            local heaps = json.decode((program.run({ "run", "heaps", "kinds.dmp", "--json" }, folder))).result.heaps
            for _, heap in ipairs(heaps) do
                assert.equal(heap.address == "0x036f0000" and kind or "nt-xp", heap.kind)
            end
        end)
    end
end)

describe("a 32-bit process in a 64-bit dump", function()
    it("is told, and that its heaps are not all", function()
        local function wide(text) return (text:gsub(".", "%0\0")) end
        local bytes = sample("wow.dmp", "--arch", "x64")
        local from = bytes:find(wide "C:\\Program Files\\Row Server\\addin.dll", 1, true)
        local name = wide "C:\\WINDOWS\\system32\\wow64.dll"
        write("wow.dmp", bytes:sub(1, from - 5) .. string.pack("<I4", #name) .. name .. bytes:sub(from + #name))
        for _, script in ipairs { "heaps", "stat", "who" } do
            local out, code = program.run({ "run", script, "wow.dmp" }, folder)
            assert.equal(4, code, script)
            assert.truthy(out:find("(WOW64): its 32-bit heaps are not read", 1, true), out)
            assert.truthy(out:find("not every heap of the process is known", 1, true), out)
        end
        local result = json.decode(program.output({ "run", "info", "wow.dmp", "--json" }, folder)).result
        assert.is_true(result.process.wow64)
    end)
end)
