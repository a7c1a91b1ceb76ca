-- 10,000 seeded command lines made of the commands' own words: each gives an answer or one clear line with a position;
-- none crashes, shows a Lua traceback, or writes where > and .logopen did not say so.

local program = require "program"

local LINES <const> = 10000
local WORDS <const> = {
    "!heap", "-s", "-stat", "-h", "-grp", "S", "A", "20", "-flt", "s", "r", "f8", "-p", "-a", "-x", "-srch", "-m",
    "!ust", "!traces", "-c", "7dfe", "17dfe", "?", ".formats", "dc", "dd", "dq", "db", "da", "du", "dw", "dds", "dps",
    "dqs", "dt", "_RTL_STACK_TRACE_ENTRY", "ntdll!_Stack_Trace_DataBase", "x", "ln", "lm", "lmm", "lmv", "k", "~",
    "~1s", "~*k", "r", "@$t1", "=", "!address", "!peb", "!teb", "u", "ub", "uf", ".logopen", ".logclose",
    ".logappend", ".echo", ".sympath", ".sympath+", ".reload", ".more", "kb", "kn", ".help", "0372e598", "036f0000",
    "poi(", ")", "(", "+", "-", "*", "/", "mod", "<<", "L20", "L?8", "L", ";", "|", ">", "grep", "head", "tail",
    "sort", "count", "more", "on", "off", "/f", "log-a", "out-b",
    "ntdll!Rtl*", "ntdll!RtlAllocateHeap", "3r*", "eax", "$peb", "@$teb", "0n10", "0y101", "0t7", "1fh", "1`00000000",
    "ffffffffffffffff", "\"text\"", "by", "wo", "dwo", "qwo", "hi", "low", "not", "and", "xor", "or", "--json",
    "zork", "'", "\"", "!zork", "0", "1", "m", "-d", "-a", "-u", "==", "&",
}

describe("random command lines", function()
    it("are each answered or told wrong in one line", function()
        local folder = program.folder()
        local dump = folder .. ".dmp"
        program.output { "run", "sample", dump, "--tiny" }
        local seed = 20061125
        local function random(n)
            seed = (seed * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
            return (seed >> 33) % n + 1
        end
        local file = assert(io.open(folder .. ".txt", "wb"))
        local starts = 0
        for i = 1, LINES do
            local words = {}
            for k = 1, random(7) do words[k] = WORDS[random(#WORDS)] end
            local text = table.concat(words, " ")
            if random(3) > 1 then
                repeat words[1] = WORDS[random(67)] until words[1]:find "^[!.?~%l]"
                text = table.concat(words, " ")
            end
            if text:find "^[!.?~]" then starts = starts + 1 end
            file:write(".echo @@", i, "\n", text, "\n")
        end
        file:close()
        assert.is_true(starts > LINES / 10)
        local handle <close> = assert(io.popen(("cd '%s' && '%s' shell '%s' -f '%s.txt' 2>&1 >/dev/null; echo exit $?")
            :format(folder, program.path, dump, folder)))
        local errors, code = 0, nil
        for text in handle:lines() do
            if text:find "^exit" then
                code = text
            else
                assert.truthy(text:find "^heapsift: " or text:find "^note: ", text)
                assert.is_nil(text:find("traceback", 1, true), text)
                assert.is_nil(text:find "plugins/", text)
                assert.is_nil(text:find "internal error", text)
                if not text:find "^heapsift: Lua" and not text:find "^note" then
                    assert.truthy(text:find "at position %d" or text:find "at the end", text)
                    errors = errors + 1
                end
            end
        end
        assert.equal("exit 2", code)
        assert.is_true(errors > LINES / 10)
        -- What was written stands behind a > or .logopen or .logappend of one of these lines.
        local naming = {}
        local function plain(text) return (text:gsub('"', ""):gsub("%-%-json ?", "")) end
        for text in io.lines(folder .. ".txt") do
            if text:find "%s>%s" or text:find "%.log[oa]" then naming[#naming + 1] = plain(text) end
        end
        local list <close> = assert(io.popen(("ls -A '%s'"):format(folder)))
        for name in list:lines() do
            local known = name:find '^"+$' ~= nil and #naming > 0
            for _, text in ipairs(naming) do
                local at = text:find(plain(name), 1, true)
                local before = at and text:sub(1, at - 1)
                known = known or before and (before:find ">%s+$" or before:find "%.log%a+%s+$") ~= nil
            end
            assert.is_true(known, name)
        end
        program.remove(folder)
        os.remove(dump)
        os.remove(folder .. ".txt")
    end)
end)
