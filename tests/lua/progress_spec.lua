-- progress_spec: the line that long work writes on a terminal, here one of script(1).

local program = require "program"

describe("the progress line", function()
    local folder

    setup(function()
        folder = program.folder()
        program.output({ "run", "sample", "big.dmp", "--scale", "0.05" }, folder)
        local function write(name, text)
            local file <close> = assert(io.open(folder .. "/" .. name, "w"))
            file:write(text)
        end
        local long <const> = [[
local parts = {}
for i = 1, COUNT do parts[i] = ("contains(\"no such text %d\")"):format(i) end
print(dump:blocks(table.concat(parts, " or ")):count())]]
        -- So many that it takes seconds, and yet is not at its very beginning after two.
        write("one.lua", (long:gsub("COUNT", os.getenv "HEAPSIFT_SANITIZED" == "1" and "150" or "1000")))
        write("many.lua", [[
while true do
    local again <close> = heapsift.open(args.input)
    again:blocks "contains('no such text')"
end]])
    end)
    teardown(function() program.remove(folder) end)

    -- What a terminal gets while the program runs, at most so many seconds.
    local function terminal(seconds, words)
        if os.execute "command -v script > /dev/null" ~= true then pending "script(1) is not there" end
        local command = ("cd '%s' && script -qec 'timeout --foreground --signal=INT %s %s run %s' /dev/null"):format(
            folder, seconds, program.path, words)
        local pipe <close> = assert(io.popen(command .. " < /dev/null", "r"))
        return pipe:read "a"
    end

    it("tells of one long work how far it is and how long still", function()
        local out = terminal(3, "one.lua big.dmp")
        assert.truthy(out:find("\r\27%[Kheapsift: big.dmp: filtering blocks +%d+ %%, %d+ s left"), out)
    end)

    it("tells of much work of which each piece is short", function()
        local out = terminal(2, "many.lua big.dmp")
        assert.truthy(out:find("\r\27%[Kheapsift: big.dmp: [a-z ]+ +%d+ %%"), out)
    end)

    it("is not there where it is not wanted, or not needed", function()
        assert.is_nil((terminal(2, "one.lua big.dmp --no-progress")):find("\27[K", 1, true))
        if os.getenv "HEAPSIFT_SANITIZED" ~= "1" then
            assert.is_nil((terminal(10, "stat big.dmp --top 1")):find("\27[K", 1, true))
        end
        local _, _, err = program.run({ "run", "stat", "big.dmp" }, folder)
        assert.is_nil(err:find "\27")
    end)
end)
