-- How long objects live: boxes outlive the names they came from, a closed dump makes every one of them useless but
-- harmless, and loops that make many of them do not grow. Then long work of the engine that is interrupted.

local program = require "program"

local folder, dump

local function run(text, ...)
    local path = folder .. "/script.lua"
    local file <close> = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return program.run { "run", path, ... }
end

local function holds(text, path)
    local out, code, err = run(text .. "\nprint 'ok'\n", path or dump, "--allow-files")
    assert.same({ "ok\n", 0, "" }, { out, code, (err:gsub("note:[^\n]*\n", "")) })
end

setup(function()
    folder = program.folder()
    dump = folder .. "/tiny.dmp"
    program.output { "sample", dump, "--tiny" }
    program.output { "sample", folder .. "/big.dmp", "--scale", "0.05" }
end)

teardown(function() program.remove(folder) end)

describe("objects", function()
    it("live as long as somebody has them, their dump with them", function()
        holds [[
            local function make()
                local mine = heapsift.open(args.input)
                local busy = mine:blocks "state == busy"
                return busy:where "size > 8" & busy, busy:group("size", "heap"):top(5, "count"):top(3),
                    busy:group("stored"):values(), busy:sample(1)[1]
            end
            local set, top, values, block = make()
            collectgarbage() collectgarbage()
            assert(set:count() > 0 and set:referenced():count() <= set:count())
            assert(#top == 3 and top[1].count > 0)
            assert(block.size > 0 and block.heap.address > 0)
            local garbage = {}
            for i = 1, 200 do garbage[i % 7] = set - set:where(("size == %d"):format(i)) end
            assert(garbage[0]:count() <= set:count() and type(values) == "function")]]
    end)

    it("of a closed dump raise, and are freed all the same", function()
        holds [[
            local mine = heapsift.open(args.input)
            local set = mine:blocks()
            local groups = set:group "size"
            local uses = {
                function() return set:count() end, function() return set:where "size > 1" end,
                function() return set | set end, function() return set:group "heap" end,
                function() return set:referenced() end, function() return groups[1] end,
                function() return groups:top(1) end, function() for _ in groups:values() do return end end,
                function() for _ in groups do return end end, function() return set:sample(1) end,
                function() for _ in set:values "size" do return end end,
            }
            for _, use in ipairs(uses) do use() end
            local next_, cursor = set:values("address", { where = "size > 8" })
            next_(cursor)
            uses[#uses + 1] = function() return next_(cursor) end
            mine:close()
            for i, use in ipairs(uses) do
                local fine, message = pcall(use)
                assert(not fine and message:find("closed", 1, true), i .. ": " .. tostring(message))
            end
            set, groups = nil, nil
            collectgarbage()]]
    end)

    it("that are dropped in a loop do not pile up", function()
        local status <close> = io.open("/proc/self/status")
        if os.getenv "HEAPSIFT_SANITIZED" == "1" or not (status and status:read("a"):find("RssAnon", 1, true)) then
            return pending("not measured here") -- a sanitizer keeps what was freed
        end
        holds([[
            local function kib()
                local file <close> = io.open("/proc/self/status")
                return tonumber(file:read("a"):match("RssAnon:%s*(%d+)"))
            end
            local none = dump:blocks "size == 3 and state == free"
            local groups = dump:blocks():group("size", "stored")
            local before = kib()
            for _ = 1, 3000 do local _ = none | none end -- 21 KiB each
            assert(kib() - before < 32 << 10, "sets: " .. kib() - before .. " KiB")
            for _ = 1, 300 do local _ = groups:top(#groups, "count") end
            assert(kib() - before < 32 << 10, "groups: " .. kib() - before .. " KiB")]], folder .. "/big.dmp")
    end)
end)

-- Runs a script on the larger sample, interrupts it, gives what it printed with its exit code, and prints how long it
-- took to end.
local function interrupted(what, text)
    local path = folder .. "/script.lua"
    local file <close> = assert(io.open(path, "w"))
    file:write("print 'first'\n" .. text)
    file:close()
    local command = ([[cd '%s' && from=$(date +%%s%%N) &&
        { timeout --preserve-status --signal=INT --kill-after=30 0.7 '%s' run script.lua big.dmp 2>&1; code=$?; } &&
        echo "$code $(( ($(date +%%s%%N) - from) / 1000000 - 700 ))"]]):format(folder, program.path)
    local pipe <close> = assert(io.popen(command, "r"))
    local out = pipe:read("a")
    local rest, code, late = out:match("^(.-)(%d+) (%-?%d+)\n$")
    print(("interrupting %s: ended %s ms after the signal"):format(what, late or "?"))
    assert.same("first\nheapsift: interrupted\n130", rest .. code, out)
    assert.is_true(tonumber(late) > -100 and tonumber(late) < 10000, late .. " ms")
end

describe("Ctrl-C", function()
    it("ends a long filter", function()
        interrupted("a filter", [[
            local parts = {}
            for i = 1, 2000 do parts[i] = ("contains(\"no such text %d\")"):format(i) end
            print(dump:blocks(table.concat(parts, " or ")):count())]])
    end)

    it("ends groups by a long expression", function()
        interrupted("groups", [[
            local parts = {}
            for i = 1, 400 do parts[i] = ("utf16(%d) + ascii(%d)"):format(i, i) end
            while true do dump:blocks():group("sum = " .. table.concat(parts, " + ")) end]])
    end)

    it("ends walks", function()
        interrupted("walks", [[
            while true do
                local again <close> = heapsift.open(args.input)
                again:blocks()
            end]])
    end)

    it("ends pointer scans", function()
        interrupted("pointer scans", [[
            local all = dump:blocks()
            while true do all:referenced(all) end]])
    end)
end)
