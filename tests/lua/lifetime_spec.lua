-- What scripts may do with objects at odd moments: while the engine works on another thread for a progress function,
-- in the middle of a call by way of metamethods, with things that belong to other dumps. And: memory that only small
-- boxes hold is given back in time.

local program = require "program"

local folder

local function run(text, ...)
    local path = folder .. "/script.lua"
    local file <close> = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
    return program.run({ "run", "script.lua", ... }, folder)
end

local function holds(text, sample)
    local out, code, err = run(text .. "\nprint 'held'", sample or "tiny.dmp")
    assert.same("0 held\n", code .. " " .. out, err)
end

setup(function()
    folder = program.folder()
    program.output({ "run", "sample", "tiny.dmp", "--tiny" }, folder)
    program.output({ "run", "sample", "some.dmp", "--scale", "0.3" }, folder)
end)

teardown(function() program.remove(folder) end)

describe("a progress function", function()
    -- Calls until the work took so long that the function was called: how fast the machine is must not matter.
    local REPEAT <const> = [[
        local function told(open, act)
            for _ = 1, 40 do
                local d = open()
                local ok, e = pcall(function()
                    local set = d:blocks "referenced and contains 'never there'"
                    for _ = 1, 5 do set = set:where "contains 'nor there'" end
                end)
                if calls > 0 then return act(d, ok, e) end
                d:close()
            end
            error "the work was never slow enough to be told of"
        end
    ]]

    it("is called with what is done, how far, of how much", function()
        holds("calls = 0\n" .. REPEAT .. [[
            told(function()
                return heapsift.open(args.input, { progress = function(what, done, total)
                    assert(type(what) == "string" and math.type(done) == "integer" and done <= total)
                    calls = calls + 1
                end })
            end, function(d, ok, e) assert(ok, e) d:close() end)]], "some.dmp")
    end)

    it("can neither use nor close the dump that is at work", function()
        holds("calls = 0\n" .. REPEAT .. [[
            local heap, heaps, set, block
            local acts = {
                function(d) d:close() end, function(d) return d.path end, function(d) return d:blocks() end,
                function() return heap.busy_bytes end, function() return #heaps end, function() return set:count() end,
                function() return block.heap end, function() set:label("x", 1) end,
            }
            for _, act in ipairs(acts) do
                local d
                calls = 0
                told(function()
                    d = heapsift.open(args.input, { progress = function()
                        if not block then return end
                        calls = calls + 1
                        local ok, e = pcall(act, d)
                        assert(not ok and e:find "at work", e)
                    end })
                    block = nil
                    heap, heaps, set = d:heap(1), d:heaps(), d:blocks "size == 1"
                    block = d:blocks():sample(1)[1]
                    return d
                end, function(one, ok, e) assert(ok, e) assert(one:heap(1).index == 1) one:close() end)
            end]], "some.dmp")
    end)

    it("that raises ends the work with its error, and the dump can be used again", function()
        holds("calls = 0\n" .. REPEAT .. [[
            told(function()
                return heapsift.open(args.input, { progress = function() calls = calls + 1 error("enough", 0) end })
            end, function(d, ok, e)
                assert(not ok and e == "enough", e)
                assert(d:heap(1).index == 1)
                d:close()
            end)]], "some.dmp")
    end)
end)

describe("metamethods of arguments", function()
    it("that close the dump in the middle of a call make the call fail", function()
        holds [[
            local function trap(d)
                return setmetatable({}, { __len = function() d:close() return 0 end,
                                          __index = function() d:close() return nil end })
            end
            local calls = {
                function(d, set) return set:referenced { sources = trap(d) } end,
                function(d, set) return set:referenced { aims = trap(d), sources = "stack" } end,
                function(d) return d:blocks { state = trap(d) } end,
                function(d) return d:referrers(0x372e5a0, trap(d)) end,
                function(d) return d:heap(1):blocks { state = trap(d) } end,
                function(d) return d:find("x", trap(d))() end,
            }
            for i, call in ipairs(calls) do
                local d = heapsift.open(dump.path)
                local ok, e = pcall(call, d, d:blocks())
                assert(not ok and e:find "closed", i .. ": " .. tostring(e))
            end
            -- the set to look into belongs to another dump, which closes
            local other = heapsift.open(dump.path)
            local ok, e = pcall(dump:blocks().referenced, dump:blocks(), { from = other:blocks(), sources = trap(other) })
            assert(not ok, e)]]
    end)
end)

describe("what pairs and loops use", function()
    it("refuses anything that is not its object", function()
        holds [[
            local block = dump:blocks():sample(1)[1]
            for _, object in ipairs { block, dump, dump:heap(1), dump:module "ntdll", dump:threads()[1], dump.traces,
                                      dump.traces[1], dump:regions()[1] } do
                local step = pairs(object)
                local names = {}
                for name in pairs(object) do names[#names + 1] = name end
                for _, wrong in ipairs { {}, 5, "x", print, dump:blocks(), dump:heaps(), dump:modules() } do
                    for _, name in ipairs(names) do assert(not pcall(step, wrong, name)) end
                    assert(not pcall(step, wrong)) assert(not pcall(step))
                end
                assert(not pcall(step, object, "nonsense") and not pcall(step, object, 7))
            end]]
    end)

    it("is refused by other dumps, and raises once the dump is closed", function()
        holds [[
            local d = heapsift.open(dump.path)
            local mine, theirs = dump:blocks(), d:blocks()
            for _, f in ipairs { function() return mine | theirs end, function() return mine & theirs end,
                                 function() return theirs - mine end, function() return mine:has(theirs:sample(1)[1]) end,
                                 function() return dump:blocks { heap = d:heap(1) } end,
                                 function() return mine:referenced(theirs) end } do
                local ok, e = pcall(f)
                assert(not ok and (e:find "two dumps" or e:find "another dump"), e)
            end
            local seen = 0
            local ok, e = pcall(function()
                for _ in theirs:each() do seen = seen + 1 if seen == 3 then d:close() end end
            end)
            assert(not ok and seen == 3 and e:find "closed", e)
            d = heapsift.open(dump.path)
            local step, state = d:find "MZ"
            local first = step(state, nil)
            d:close()
            assert(first and not pcall(step, state, first))
            collectgarbage() collectgarbage()]]
    end)
end)

describe("memory behind small objects", function()
    local function peak(text)
        local out, code, err = run(text .. [[
            local f <close> = io.open "/proc/self/status"
            print(f:read "a":match "VmHWM:%s+(%d+)")]], "some.dmp", "--allow-files")
        assert.same(0, code, err)
        return tonumber(out) / 1024
    end

    -- 1,500 sets of 75 KiB and 60 groups of 2 MiB at least: with the collector left to itself all of it would stay.
    it("goes when nobody has them any more", function()
        local before = peak "local a = dump:blocks 'size > 0x20' & dump:blocks 'size < 0x30'"
        local after = peak [[
            local a, b = dump:blocks "size == 0x777", dump:blocks "size == 0x778"
            for _ = 1, 2500 do local _ = a | b end]]
        assert.is_true(after < before + 128, before .. " " .. after)
    end)
end)
