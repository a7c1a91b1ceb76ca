-- Side by side with the Duet case: what the debugger printed there (tests/golden/case/*.txt) and what the
-- scripts print on the sample that models it. Lines are compared with blanks squeezed, and without zeros
-- that only pad. case_spec.lua runs this on a small sample, case_slow_spec.lua at full scale, where what
-- depends on the scale is compared too.
--
-- Where the case contradicts itself, and what is printed here:
--   1. Prev of 0372e598 is 0022 in -flt, 0000 in -p -a, and 000d in the memory dump.
--      Printed: 000d, as it stands in memory.
--   2. `-grp S 20` answers "max-display: 32": the debugger read 20 as hexadecimal.
--      Printed: the number as given, decimal.
--   3. The header of !heap -s names neither tail nor free checking (NtGlobalFlag 0x1040), yet most heaps have
--      flags 0x60 and the block ends in abababab.
--      Printed: the words of NtGlobalFlag; a heap's own flags stand in its row.
--   4. gflags set 00001000 (ust), the process has 00001040 (validate parameters too).
--      Printed: what stands in the PEB.
--   5. 0x442ed blocks have the size f8, but the trace "that made the allocation" was captured 0x442ac times:
--      at least 0x41 blocks are not its. Printed: both numbers, and that limit.
--   6. `dt` shows Index 7dfe for the entries 0x7dfe and 0x17dfe.
--      Printed: the field as it stands, beside the full index.
--   7. -p -a prints "Trace: 7dfe" with the stack of entry 0x7dfe, though the text proves 0x17dfe.
--      Printed: both.
--   8. -p -a pads offsets to eight digits (+0x000000e1), dds does not (+0xe1).
--      Printed: the short form everywhere.
--   9. The first line under the row, "? 3rdpartydll+1", takes a flags word for a vtable.
--      Printed: what the word is and why it is no vtable; the debugger's line with --windbg-names.

local assert = require "luassert"
local program = require "program"

local PRIVATE_NAMES <const> = require "case_names"

local function normal(line)
    return (line:gsub("^%s+", ""):gsub("%s+$", ""):gsub("%s+", " "):gsub("%+0x0+(%x)", "+0x%1"))
end

local function normal_lines(text)
    local lines = {}
    for _, line in ipairs(program.lines(text)) do
        lines[#lines + 1] = normal(line)
    end
    return lines
end

-- Lines of a case file without its remark and the command.
local function case(name)
    local lines = normal_lines(program.read_file(program.root .. "/tests/golden/case/" .. name .. ".txt"))
    assert(lines[1]:find("^# ") and lines[2]:find("^0:000> "), name)
    return table.move(lines, 3, #lines, 1, {})
end

local function contains(lines, wanted)
    for i, line in ipairs(lines) do
        if line == wanted then
            return i
        end
    end
    return nil
end

-- Compares one frame of the case ("7c96cf9a ntdll!Name+0x1") with a printed one.
local function same_frame(wanted, got)
    local address = wanted:match("^(%x+)")
    assert.equal(address, got:match("^(%x+)"))
    if PRIVATE_NAMES[address] then
        local module = PRIVATE_NAMES[address]:match("^[^!]+")
        assert.equal(PRIVATE_NAMES[address], wanted:match("^%x+ (.-)%+0x%x+$"))
        assert.equal(module, got:match("^%x+ ([^!+]+)[!+]"))
        assert.is_nil(got:find(PRIVATE_NAMES[address], 1, true), "no export has that name: " .. got)
    else
        assert.equal(wanted, got)
    end
end

-- Declares the tests for a sample of this scale ("0.1", "1"). busted gives its functions to spec files only:
-- they hand them on.
local function declare(busted, scale)
    local setup <const>, teardown <const>, it <const> = busted.setup, busted.teardown, busted.it
    local full <const> = scale == "1"
    local folder, dump

    local function run(...)
        return normal_lines(program.output { "run", ... })
    end

    setup(function()
        folder = program.folder()
        dump = folder .. "/outlook.dmp"
        program.output { "run", "sample", dump, "--scale", scale }
    end)

    teardown(function()
        program.remove(folder)
    end)

    it("every expression of the case has the case's value", function()
        local got = program.output { "run", program.root .. "/tests/lua/scripts/case_expressions.lua", dump }
        assert.equal("", got)
    end)

    it("memory prints the dump of the block dword for dword", function()
        assert.same(case "memory", run("memory", dump, "0372e598", "0372e598+f8+14"))
    end)

    it("memory --as symbols prints the entry as dds does", function()
        local wanted = case "words_7dfe"
        local got = run("memory", dump, "00547c18", "--as", "symbols", "--words", tostring(#wanted),
            "--windbg-names")
        assert.equal(#wanted, #got)
        for i, line in ipairs(wanted) do
            if i <= 3 then
                assert.equal(line, got[i])
            else
                assert.equal(line:sub(1, 9), got[i]:sub(1, 9))
                same_frame(line:sub(10), got[i]:sub(10))
            end
        end
    end)

    for _, index in ipairs { "7dfe", "17dfe" } do
        it("trace " .. index .. " prints its entry and frames", function()
            local got = run("trace", dump, index, "--windbg-names")
            for _, line in ipairs(case("entry_" .. index)) do
                if line:find("^%+") then
                    assert.truthy(contains(got, line), line)
                end
            end
            local frames = case("frames_" .. index)
            local first
            for i, line in ipairs(got) do
                first = first or line:sub(1, 8) == frames[1]:sub(1, 8) and i
            end
            assert.truthy(first, "no frame line")
            for i, line in ipairs(frames) do
                assert.equal(line:sub(1, 9), got[first + i - 1]:sub(1, 9))
                same_frame(line:sub(10), got[first + i - 1]:sub(10))
            end
            assert.is_nil(got[first + #frames]:find("^%x%x%x%x%x%x%x%x "), "more frames than in the case")
        end)
    end

    it("traces prints the figures of the database", function()
        local got = {}
        for _, line in ipairs(run("traces", dump, "--top", "0")) do
            local off, name, value = line:match("^(%+0x%x+) (%w+) : (.*)$")
            if off then
                got[off .. " " .. name] = value
            end
        end
        for _, line in ipairs(case "database") do
            local off, name, value = line:match("^(%+0x%x+) (%w+) : (.*)$")
            if name ~= "Lock" then -- the lock's own type is not told in the case
                local key = off .. " " .. name
                assert.truthy(got[key], key)
                -- Numbers are compared; what dt guesses behind them (types, bytes as text) is not.
                local wanted_numbers, numbers = {}, {}
                for number in value:gsub("[\"'].*$", ""):gsub("%a+!.*$", ""):gmatch("0?x?%x+") do
                    wanted_numbers[#wanted_numbers + 1] = tonumber(number)
                end
                for number in got[key]:gsub("%a+!.*$", ""):gmatch("0?x?%x+") do
                    numbers[#numbers + 1] = tonumber(number)
                end
                for i, number in ipairs(wanted_numbers) do
                    assert.equal(number, numbers[i], key .. ": " .. value .. " / " .. got[key])
                end
                local routine = value:match("ntdll!%w+")
                if routine and routine ~= "ntdll!NtdllOkayToLockRoutine" then -- that one is not exported
                    assert.truthy(got[key]:find(routine, 1, true), got[key])
                end
            end
        end
    end)

    it("block prints header, sizes, state, stored index and both candidates", function()
        local got = run("block", dump, "0372e598", "--windbg-names")
        local wanted = case "block"
        assert.equal(wanted[1], got[1]) -- address 0372e598 found in
        assert.equal(wanted[2], got[2]) -- _HEAP @ 36f0000
        assert.equal(wanted[3], got[3]) -- HEAP_ENTRY Size Prev Flags UserPtr UserSize - state
        assert.equal("0372e598 0022 0000 [07] 0372e5a0 000f8 - (busy)", wanted[4])
        assert.equal("0372e598 0022 000d [07] 0372e5a0 000f8 - (busy)", got[4]) -- contradiction 1
        assert.equal("Trace: 7dfe", wanted[6])
        assert.equal(wanted[5], got[5]) -- ? 3rdpartydll+1
        assert.truthy(got[6]:find("^Trace: 7dfe"), got[6])
        local first = contains(got, "Trace 07dfe TraceCount 0x2 Depth 0x19")
        local second = contains(got, "Trace 17dfe TraceCount 0x442ac Depth 0xc")
        assert.truthy(first, "no candidate 7dfe")
        assert.truthy(second, "no candidate 17dfe")
        for i = 7, #wanted do
            same_frame(wanted[i], got[first + i - 6])
        end
        for i, line in ipairs(case "frames_17dfe") do
            same_frame(line:sub(10), got[second + i])
        end
    end)

    it("block says what the first word is", function()
        local got = table.concat(run("block", dump, "0372e5a0"), "\n")
        assert.truthy(got:find("First word 10000001 points into 3rdpartydll", 1, true), got)
        assert.truthy(got:find("no vtable", 1, true), got)
    end)

    it("modules prints the third party's line", function()
        local got = run("modules", dump, "3rdpartydll")
        assert.truthy(contains(got, (case("module")[2]:gsub(" %S+$", ""))), table.concat(got, "\n"))
    end)

    it("heaps lists the heaps of the case in its order", function()
        local got, count = {}, 0
        for _, line in ipairs(run("heaps", dump)) do
            local words = {}
            for word in line:gmatch("%S+") do
                words[#words + 1] = word
            end
            if #words >= 9 and line:find("^%x%x%x%x%x%x%x%x %x%x%x%x%x%x%x%x ") then
                count = count + 1
                got[count] = words
            end
        end
        local row = 0
        for _, line in ipairs(case "heaps") do
            local address, flags, reserved, committed = line:match("^(%x+) (%x+) (%d+) (%d+) ")
            if address and #address == 8 then
                row = row + 1
                assert.equal(address, got[row] and got[row][1])
                assert.equal(flags, got[row][2], address)
                if full then
                    assert.equal(reserved, got[row][3], address)
                    assert.equal(committed, got[row][4], address)
                end
            end
        end
        assert.equal(28, row)
        assert.is_true(count >= 28) -- the case's listing is cut there
    end)

    it("heaps opens with the words for NtGlobalFlag", function()
        local got = run("heaps", dump)
        assert.same(table.move(case "heaps", 1, 5, 1, {}), table.move(got, 1, 5, 1, {}))
    end)

    it("blocks lists rows in the shape of -flt", function()
        local got = run("blocks", dump, "--heap", "36f0000", "--size", "f8", "--limit", "0", "--windbg-names")
        local row = contains(got, "0372e598 0022 000d [07] 0372e5a0 000f8 - (busy)")
        assert.truthy(row, "the block of the case is not listed")
        assert.equal("? 3rdpartydll+1", got[row + 1])
        assert.equal("_HEAP @ 36f0000", got[1])
    end)

    it("stat prints the rows of -stat -grp S", function()
        local wanted = case "stat"
        local got = run("stat", dump, "--heap", "036f0000", "--top", "20")
        assert.equal(wanted[1], got[1])
        assert.equal("group-by: TOTSIZE max-display: 32", wanted[2])
        assert.equal("group-by: TOTSIZE max-display: 20", got[2]) -- contradiction 2
        assert.equal(wanted[3], got[3])
        if full then
            for i = 4, 18 do
                assert.equal(wanted[i], got[i])
            end
        end
    end)
end

return declare
