-- The whole Duet case as one command file for `heapsift shell`, each command as it stands there, at full scale. Every
-- line of the case is answered by the same line (blanks squeezed, zeros that only pad left out), in the same order, or
-- by one that RULES explain; every line beside them is explained too, and every rule is used.

local program = require "program"
local PRIVATE_NAMES <const> = require "case_names"

-- { commands (golden files), reason, same(wanted, got) | added(got, wanted that comes next or nil) | absent(wanted) }
local function begins(...)
    local patterns = { ... }
    return function(line)
        for _, pattern in ipairs(patterns) do
            if line:find("^" .. pattern) then return true end
        end
        return false
    end
end

-- Equal but for the fields whose places are given.
local function but_for(places)
    return function(wanted, got)
        local ours, place = {}, 0
        for word in got:gmatch "%S+" do ours[#ours + 1] = word end
        for word in wanted:gmatch "%S+" do
            place = place + 1
            if word ~= ours[place] and not places[place] then return false end
        end
        return place == #ours
    end
end

local ROW <const> = "%x%x%x%x%x%x%x%x "

local function private_name(wanted, got)
    for address, name in pairs(PRIVATE_NAMES) do
        local from = wanted:find(address .. " " .. name, 1, true)
        local module = name:match "^[^!]+"
        if from and got:sub(1, from + 8) == wanted:sub(1, from + 8)
            and got:sub(from + 9):find("^" .. module .. "[!+]") then return true end
    end
    return false
end

local RULES <const> = {
    { "block words_7dfe frames_7dfe frames_17dfe", "the case has private symbols (PDB), export tables lack the name",
      same = private_name },
    { "block flt", "Prev as it stands in memory; the case contradicts itself (case.lua, 1)",
      same = function(wanted, got)
          return wanted:find "^0372e598 " ~= nil and but_for { [3] = true }(wanted, got) and got:find " 000d " ~= nil
      end },
    { "block", "the stored index means two traces: both are named, with what speaks for them",
      same = function(wanted, got)
          return wanted == "Trace: 7dfe" and got == "Trace: 7dfe, which 2 traces of the database fit: 07dfe and 17dfe"
      end },
    { "block", "the candidates, and what the first word is",
      added = begins("Trace %x+ TraceCount", "Why several: ", "0x%x+ busy blocks carry 7dfe", "so of these ",
          "A debugger shows only", "First word ", "It is no vtable", "that does not mean") },
    { "block", "the frames of the second candidate",
      added = function(got, next_) return next_ == nil and got:find("^" .. ROW .. "%w+[!+]") ~= nil end },
    { "heaps", "free bytes and free blocks are the sample's own; all other columns are the case's",
      same = function(wanted, got)
          return wanted:find("^" .. ROW) ~= nil and but_for { [6] = true, [7] = true }(wanted, got)
      end },
    { "heaps", "the rule under the titles is as wide as the table",
      same = function(wanted, got) return wanted:find "^%-+$" ~= nil and got:find "^%-+$" ~= nil end },
    { "heaps", "the case's listing ends before the last heap; the sum is ours",
      added = function(got, next_)
          return next_ == nil and (got:find "^09100000 " ~= nil or got:find "^29 heaps: " ~= nil)
      end },
    { "stat", "the case's listing is cut after 15 of 32 rows",
      added = function(got, next_) return next_ == nil and got:find "^%x+ %x+ %- %x+ %(0%.44%)$" ~= nil end },
    { "stat", "what is left out is said, with the sums", added = begins("%.%.%. %d+ rows more", "busy blocks: ") },
    { "flt", "the case shows one heap, and cuts it; these are all blocks of the size",
      added = begins("_HEAP @ %x+$", ROW .. "0022 %x%x%x%x %[%x%x%] %x+ 000f8 %- %(busy%)$", "%? [%w_]+[!+]") },
    { "words_7dfe frames_7dfe frames_17dfe", "dds prints 32 words, the case's listing is cut",
      added = function(got, next_) return next_ == nil and got:find("^00%x%x%x%x%x%x %x%x%x%x%x%x%x%x") ~= nil end },
    { "entry_7dfe entry_17dfe", "the title tells the address",
      same = function(wanted, got)
          return wanted == "ntdll!_RTL_STACK_TRACE_ENTRY" and got:find "^_RTL_STACK_TRACE_ENTRY at %x+$" ~= nil
      end },
    { "database", "the title, and where the layout is from",
      added = begins("_STACK_TRACE_DATABASE at 160000$", "%(only the members that heapsift itself reads") },
    { "database", "the type of the lock is not among the members that are read",
      absent = begins "%+0x000 Lock : __unnamed$" },
    { "database", "+0 behind a name is left out",
      same = function(wanted, got) return wanted == got .. "+0" end },
    { "database", "a routine that is not exported: the next name before it",
      same = function(wanted, got)
          return wanted:find("0x7c9518ea unsigned char ntdll!NtdllOkayToLockRoutine", 1, true) ~= nil
              and got:find("0x7c9518ea unsigned char ntdll!", 1, true) ~= nil
              and wanted:match "^%S+ %S+" == got:match "^%S+ %S+"
      end },
    { "database", "more of the bytes that are shown as text, though they are none",
      same = function(wanted, got)
          local number = wanted:match '^(%+0x058 NextFreeUpperMemory : 0x%x+ ")'
          return number ~= nil and got:sub(1, #number) == number
      end },
    { "x", "that a search and no symbol gave the address is said",
      same = function(wanted, got) return got == wanted .. " (found by search, by no symbol)" end },
}

-- What is typed, and the golden file or the text that the case has.
local COMMANDS <const> = {
    { "heaps" }, { "stat" }, { "flt" }, { "block" }, { "memory" }, { "module" }, { "words_7dfe" },
    { "x", "x ntdll!RtlpStackTraceDataBase", "7c97b170 ntdll!RtlpStackTraceDataBase = <no type information>" },
    { "database" }, { "entry_7dfe" },
    { "value_7dfe", "? poi(poi(poi(ntdll!RtlpStackTraceDataBase)+64)-4*7dfe)",
      "Evaluate expression: 5536792 = 00547c18" },
    { "frames_7dfe" }, { "entry_17dfe" },
    { "value_17dfe", "? poi(poi(poi(ntdll!RtlpStackTraceDataBase)+64)-4*17dfe)",
      "Evaluate expression: 13549032 = 00cebde8" },
    { "frames_17dfe" },
}

local function normal_lines(text)
    local lines = {}
    for line in text:gmatch "[^\n]+" do
        line = line:gsub("\u{a0}", " ") -- the listing has some
        line = line:gsub("^%s+", ""):gsub("%s+$", ""):gsub("%s+", " "):gsub("([%w?])%+0x0+(%x)", "%1+0x%2")
        if line ~= "" then lines[#lines + 1] = line end
    end
    return lines
end

-- The command and the lines of the case.
local function case(one)
    if one[2] then return one[2], normal_lines(one[3]) end
    local text = program.read_file(program.root .. "/tests/golden/case/" .. one[1] .. ".txt")
    local command, rest = text:match "^#[^\n]*\n0:000> ([^\n]*)\n(.*)$"
    return command, normal_lines(rest)
end

-- Lays the lines side by side; gives nil, or what is not explained.
local function compare(name, wanted, got, used)
    local rules = {}
    for _, rule in ipairs(RULES) do
        if (" " .. rule[1] .. " "):find(" " .. name .. " ", 1, true) then rules[#rules + 1] = rule end
    end
    local function explained(how, ...)
        for _, rule in ipairs(rules) do
            if rule[how] and rule[how](...) then
                used[rule[2]] = true
                return true
            end
        end
        return false
    end
    local w, g = 1, 1
    while wanted[w] or got[g] do
        local ours, theirs = got[g], wanted[w]
        if ours and theirs and (ours == theirs or explained("same", theirs, ours)) then
            w, g = w + 1, g + 1
        elseif theirs and explained("absent", theirs) then
            w = w + 1
        elseif ours and explained("added", ours, theirs) then
            g = g + 1
        else
            return ("%s: the case has '%s', the shell '%s'"):format(name, theirs or "(its end)", ours or "(its end)")
        end
    end
end

describe("the Duet case typed at the prompt", function()
    local folder

    setup(function() folder = program.folder() end)
    teardown(function() program.remove(folder) end)

    it("gives the case's answers, but for differences that are explained", function()
        local dump = folder .. "/outlook.dmp"
        program.output { "run", "sample", dump, "--scale", "1" }
        local file = assert(io.open(folder .. "/case.txt", "wb"))
        for _, one in ipairs(COMMANDS) do file:write(".echo @@@ ", one[1], "\n", (case(one)), "\n") end
        file:close()
        local out, code, err = program.run { "shell", dump, "-f", folder .. "/case.txt" }
        assert.equal(0, code, err)
        local answers = {}
        for name, text in (out .. "@@@ "):gmatch "(%S+)\n(.-)%f[@]@@@ " do answers[name] = text end
        local used = {}
        for _, one in ipairs(COMMANDS) do
            local _, wanted = case(one)
            assert.is_nil(compare(one[1], wanted, normal_lines(answers[one[1]] or ""), used))
        end
        for _, rule in ipairs(RULES) do assert.is_true(used[rule[2]], "never met: " .. rule[2]) end
    end)
end)
