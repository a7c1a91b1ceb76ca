-- The objects a script sees, on a tiny sample: boxes, fields, sequences, errors, lifetimes; then the same with a full
-- collection at every other step (HEAPSIFT_GC_STRESS).

local program = require "program"

local folder, dump

local function run(text, ...)
    local path = folder .. "/script.lua"
    local file <close> = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return program.run { "run", path, ... }
end

-- Runs a script that prints nothing but "ok" when its assertions hold.
local function holds(text)
    local out, code, err = run(text .. "\nprint 'ok'\n", dump)
    assert.same("", err)
    assert.same("ok\n", out:gsub("note:[^\n]*\n", ""))
    assert.same(0, code)
end

setup(function()
    folder = program.folder()
    dump = folder .. "/tiny.dmp"
    program.output { "sample", dump, "--tiny" }
end)

teardown(function() program.remove(folder) end)

describe("a sequence", function()
    it("has a length, elements from 1 and a loop", function()
        holds [[
            for _, name in ipairs { "heaps", "modules", "threads", "regions" } do
                local s, n = dump[name](dump), 0
                for x in s do n = n + 1 end
                assert(n == #s and n > 0, name)
                assert(s[0] == nil and s[#s + 1] == nil and s[-1] == nil and s[#s] ~= nil)
                local count = 0
                for i, x in ipairs(s) do count = i end
                assert(count == n)
                count = 0
                for i in pairs(s) do count = i end
                assert(count == n)
            end]]
    end)

    it("of plain tables can be looped over twice at once", function()
        holds [[
            local exports = dump:module "ntdll":exports()
            local n = 0
            for a in exports do
                for b in exports do n = n + 1; if n % 7 == 0 then break end end
                if n > 100 then break end
            end
            local last
            for e in exports do last = e end
            assert(last.ordinal == exports[#exports].ordinal)]]
    end)

    it("raises for fields and strange loops", function()
        holds [[
            local ok, e = pcall(function() return dump:heaps().count end)
            assert(not ok and e:find "no field 'count'" and e:find "script.lua:1:")
            assert(not pcall(function() return dump:heaps()(nil, "x") end))
            assert(not pcall(function() dump:heaps()[1] = 2 end))]]
    end)
end)

describe("objects", function()
    it("are the same each time for heaps, modules and threads", function()
        holds [[
            assert(rawequal(dump:heaps()[1], dump:heap(1)))
            assert(rawequal(dump:heap(dump:heap(1).address), dump:heap(1)))
            assert(rawequal(dump:module "NTDLL.dll", dump:module(dump:module "ntdll".base + 5)))
            assert(rawequal(dump:threads()[1], dump:threads()[1]))
            assert(rawequal(dump.traces, dump.traces))]]
    end)

    it("compare as blocks and traces do", function()
        holds [[
            local b
            for x in dump:blocks { state = "busy" }:each() do b = x break end
            assert(b == dump:block(b.user) and b == dump:block(b.address) and not rawequal(b, dump:block(b.user)))
            assert(b ~= dump.traces[1] and dump.traces[1] == dump.traces[1])]]
    end)

    it("show all their facts to pairs", function()
        holds [[
            local function facts(x)
                local n = 0
                for key, value in pairs(x) do assert(value ~= nil and x[key] ~= nil); n = n + 1 end
                return n
            end
            assert(facts(dump) >= 8 and facts(dump:heap(1)) >= 25 and facts(dump:modules()[1]) >= 7)
            assert(facts(dump:threads()[1]) >= 8 and facts(dump:regions()[1]) == 9)
            assert(facts(dump.traces) == 25 and facts(dump.traces[1]) == 8)
            assert(facts(dump:blocks():sample(1)[1]) >= 14)]]
    end)

    it("name the nearest field", function()
        holds [[
            local function message(f) local ok, e = pcall(f); assert(not ok); return e end
            assert(message(function() return dump:heap(1).comitted end):find "did you mean 'committed'")
            assert(message(function() return dump.pat end):find "did you mean 'path'")
            assert(message(function() return dump:hepas() end):find "did you mean 'heaps'")
            assert(message(function() dump.path = 1 end):find "cannot be set")
            assert(message(function() return dump:blocks():group "sise" end):find "did you mean 'size'")]]
    end)

    it("have locked metatables and one-line texts", function()
        holds [[
            for _, x in ipairs { dump, dump:heap(1), dump:heaps(), dump:modules()[1], dump:threads()[1], dump.traces,
                                 dump:regions()[1], dump.traces[1], dump:blocks(), dump:blocks():group "size" } do
                assert(type(getmetatable(x)) == "string")
                assert(not tostring(x):find "\n" and not tostring(x):find "0x")
            end]]
    end)

    it("raise once their dump is closed, and can still be printed", function()
        holds [[
            local path = dump.path
            local d = heapsift.open(path)
            local all = { d:heap(1), d:modules()[1], d:threads()[1], d:regions()[1], d.traces, d.traces[1], d:blocks(),
                          d:blocks():sample(1)[1], d:heaps(), d:blocks():group "size" }
            local fields = { "address", "name", "id", "address", "count", "count", "count", "size" }
            d:close()
            d:close()
            for i, field in ipairs(fields) do
                local ok, e = pcall(function() return i == 7 and all[i]:count() or all[i][field] end)
                assert(not ok and e:find "closed", field)
            end
            assert(not pcall(function() return #all[9] end) and not pcall(function() return all[10][1] end))
            for _, x in ipairs(all) do tostring(x) end
            assert(tostring(d) == "dump (closed)")
            assert(not pcall(function() return d.path end))
            do local other <close> = heapsift.open(path); assert(other.arch == "x86") end]]
    end)
end)

describe("reading", function()
    it("gives values, or nil, message, code", function()
        holds [[
            local base = dump:module "ntdll".base
            assert(dump:read(base, 2) == "MZ" and dump:u16(base) == 0x5a4d and dump:u8(base) == 0x4d)
            assert(dump:i8(base + 1) == 0x5a and dump:ptr(base) == dump:u32(base) and dump:read(base, 0) == "")
            local v, message, code = dump:read(0, 4)
            assert(v == nil and message:find "no memory at 00000000" and code == "unmapped")
            v, message, code = dump:read(base, math.maxinteger)
            assert(v == nil and message:find "only %d+ of" and code == "unmapped")
            v, message, code = dump:u32(16)
            assert(v == nil and code == "unmapped")
            v, message, code = dump:resolve "ntdll!NoSuchThing"
            assert(v == nil and code == "not-found")
            assert(dump:resolve "ntdll" == base and dump:symbol(0x10) == nil and dump:module(0x10) == nil)
            assert(dump:symbol_parts(dump:resolve "ntdll!RtlAllocateHeap").name == "RtlAllocateHeap")]]
    end)

    it("raises for what is no address", function()
        holds [[
            for _, bad in ipairs { 1.0, "10", true, {}, -1, math.mininteger } do
                local ok, e = pcall(function() return dump:u32(bad) end)
                assert(not ok and e:find "address" and e:find "script.lua:2", e)
            end]]
    end)

    it("stays inside a block", function()
        holds [[
            local b
            for x in dump:blocks { state = "busy" }:each() do
                if x.size >= 8 and x.size % 8 ~= 0 then b = x break end
            end
            assert(#b:bytes() == b.size and b:bytes(0, 4) == dump:read(b.user, 4) and b:bytes(4, 4) == "")
            assert(b:u32(0) == dump:u32(b.user) and b:u8(b.size - 1) == dump:u8(b.user + b.size - 1))
            local v, message, code = b:u32(b.size - 3)
            assert(v == nil and code == "outside")
            v, message, code = b:bytes(0, b.size + 1)
            assert(v == nil and code == "outside")
            assert(not pcall(function() return b:u8(-1) end))]]
    end)

    it("finds bytes", function()
        holds [[
            local n = 0
            for va in dump:find("MZ", { align = 0x1000 }) do
                assert(dump:read(va, 2) == "MZ" and va % 4096 == 0)
                n = n + 1
            end
            assert(n > 0)
            local base = dump:module "ntdll".base
            for va in dump:find("MZ", { from = base, to = base + 1 }) do error "past the end" end
            for va in dump:find("MZ", { from = base, to = base + 2 }) do assert(va == base); n = -1 end
            assert(n == -1)
            assert(not pcall(function() return dump:find "" end))
            assert(not pcall(function() return dump:find("x", { form = 1 }) end))]]
    end)
end)

describe("sets and groups", function()
    it("agree with a plain loop", function()
        holds [[
            local busy = dump:blocks { state = "busy" }
            local count, bytes, sizes = 0, 0, {}
            for b in busy:each() do
                count, bytes = count + 1, bytes + b.size
                sizes[b.size] = (sizes[b.size] or 0) + 1
                assert(b.state == "busy" and busy:has(b))
            end
            assert(count == busy:count() and bytes == busy:bytes() and #busy == count)
            local seen, last = 0, math.maxinteger
            for row in busy:group "size" do
                assert(sizes[row.size] == row.count and row.bytes == row.size * row.count and row.bytes <= last)
                seen, last = seen + row.count, row.bytes
            end
            assert(seen == count)
            local per_heap = 0
            for heap in dump:heaps() do
                local set = heap:blocks { state = "busy" }
                assert(set:count() == heap.busy_count and set:bytes() == heap.busy_bytes)
                assert(set:count() == dump:blocks { heap = heap, state = "busy" }:count())
                per_heap = per_heap + set:count()
            end
            assert(per_heap == count)]]
    end)

    it("have an algebra", function()
        holds [[
            local all, busy = dump:blocks(), dump:blocks { state = "busy" }
            local rest = all - busy
            assert((busy | rest):count() == all:count() and (busy & rest):count() == 0)
            assert((all & busy):bytes() == busy:bytes())
            local other <close> = heapsift.open(dump.path)
            assert(not pcall(function() return all | other:blocks() end))
            assert(dump:blocks { state = { "free", "busy" } }:count() ==
                   (busy | dump:blocks { state = "free" }):count())
            assert(not pcall(function() return dump:blocks { state = "bsy" } end))
            assert(not pcall(function() return dump:blocks { sate = "busy" } end))
            assert(not pcall(function() return dump:blocks { heap = 0x7fffffff } end))]]
    end)

    it("have tops in both orders", function()
        holds [[
            local groups = dump:blocks { state = "busy" }:group("size", "heap")
            local top = groups:top(10, "count")
            assert(#top == 10 and #groups:top(1 << 40) == #groups and #groups:top(0) == 0)
            local last = math.maxinteger
            for row in top do assert(row.count <= last); last = row.count end
            local rank = 0
            for row in groups:top(5) do rank = rank + 1; assert(row.bytes == groups[rank].bytes) end
            local again, before = top:top(3), math.maxinteger
            assert(#again == 3)
            for row in again do assert(row.bytes <= before); before = row.bytes end
            assert(dump:heap(groups[1].heap).address == groups[1].heap)]]
    end)

    it("are filtered by several texts in one pass", function()
        holds [[
            local all = dump:blocks()
            local texts = { "size > 0x40", "state == free", "size == 3 and state == free", "not size > 0x40" }
            local a, b, c, d = all:where(table.unpack(texts))
            for i, set in ipairs { a, b, c, d } do
                local alone = all:where(texts[i])
                assert(set:count() == alone:count() and set:bytes() == alone:bytes() and (set - alone):count() == 0)
            end
            assert(a:count() + d:count() == all:count() and b:count() > 0 and c:count() == 0)
            texts = {}
            for i = 1, 17 do texts[i] = "size > " .. i end
            assert(#{ all:where(table.unpack(texts, 1, 16)) } == 16)
            assert(not pcall(function() all:where(table.unpack(texts)) end) and not pcall(function() all:where() end))]]
    end)

    it("give rows as values too", function()
        holds [[
            local groups, rows = dump:blocks():group("stored", "state", "word = u32(0)"), 0
            for i, stored, state, word, count, bytes in groups:values() do
                local row = groups[i]
                rows = rows + 1
                assert(i == rows and row.stored == stored and row.state == state and row.word == word)
                assert(row.count == count and row.bytes == bytes)
            end
            assert(rows == #groups and rows > 3)
            local n = 0
            for i in groups:top(3, "count"):values() do n = n + i end
            assert(n == 6)]]
    end)

    it("give values of each block, and pass over blocks as they go", function()
        holds [[
            local set, rows, holes = dump:blocks(), 0, 0
            local next_ = set:each()
            local block
            for i, address, user, size, total, flags, state, heap, previous, large, word, id in set:values("address",
                "user", "size", "total", "flags", "state", "heap", "previous", "large", "first_word", "index") do
                block = next_(set, block)
                rows = rows + 1
                assert(i == rows and id == i - 1 and address == block.address and user == block.user)
                assert(size == block.size and total == block.total and flags == block.flags and state == block.state)
                assert(heap == block.heap.address and previous == block.previous_size)
                assert((large == 1) == block.large and word == block:ptr(0))
                holes = holes + (state == "uncommitted" and 1 or 0)
            end
            assert(rows == set:count() and rows > 1000 and holes > 0 and next_(set, block) == nil)

            local busy = dump:blocks { state = "busy" }
            local text, sum, n = "u32(0) == 0x10000001 or size > 1000", 0, 0
            for i, size, double in busy:values("size", "size * 2", { where = text }) do
                n, sum = i, sum + size
                assert(double == 2 * size)
            end
            assert(n == busy:where(text):count() and sum == busy:where(text):bytes() and n > 0)
            for _ in busy:values("size", { where = "size == 12345678" }) do error "none" end
            for _ in busy:values("size", {}) do n = n - 1 end
            assert(n == busy:where(text):count() - busy:count())

            local many = {}
            for i = 1, 17 do many[i] = "size" end
            assert(pcall(function() busy:values(table.unpack(many, 1, 16)) end))
            for _, bad in ipairs { many, {}, { {} }, { "zork" }, { 7 }, { "size", { where = "zork" } },
                                   { "size", { were = "size > 1" } }, { "size", { where = 7 } },
                                   { "size", {}, "size" } } do
                assert(not pcall(busy.values, busy, table.unpack(bad)))
            end
            assert(not pcall(busy:values "size", busy))]]
    end)

    it("give the same sample each time", function()
        holds [[
            local set = dump:blocks()
            local a, b = set:sample(9), set:sample(9)
            assert(#a == 9 and #set:sample(1 << 31) == set:count() and #set:sample(0) == 0)
            for i = 1, 9 do assert(a[i] == b[i] and (i == 1 or a[i].address ~= a[i - 1].address)) end]]
    end)
end)

describe("the trace database", function()
    it("is a sequence with candidates", function()
        holds [[
            local db, n = dump.traces, 0
            for t in db do n = n + 1; assert(t.index == n and t.depth == #t.frames and #t:symbols() == t.depth) end
            assert(n == #db and db[0] == nil and db[n + 1] == nil and n == db.count)
            local c = db:candidates(5)
            assert(#c >= 1 and c[1].index == 5 and c[1].stored == 5 and #db:candidates(0) == 0)
            for t in c do assert(t.index % 0x10000 == 5) end
            local indexes, matching, captures = db:top(5)
            assert(#indexes == 5 and matching == #db - db.unreadable and captures == db.captures)
            local first, second = table.unpack(indexes)
            assert(db[first].count >= db[second].count and db:top(2, "index")[2] == 2)
            local frame = db[7].frames[2]
            local some, found = db:top(#db, "index", frame, frame)
            assert(found == #some and found >= 1 and #db:top(9, "depth", 1, 1) == 0)
            assert(not pcall(function() return db:candidates(0x10000) end))
            local va, text, number = db[1]:caller()
            assert(va == nil or (db[1].frames[number] == va and text == dump:symbol(va)))]]
    end)

    it("is what blocks point to", function()
        holds [[
            local seen = 0
            for b in dump:blocks { state = "busy" }:each() do
                if b.stored_index and b.stored_index > 0 then
                    assert(#b.candidates == #dump.traces:candidates(b.stored_index))
                    for t in b.candidates do assert(t.stored == b.stored_index) end
                    seen = seen + 1
                end
            end
            assert(seen > 0)]]
    end)
end)

describe("progress", function()
    it("functions may fail, and then the call does", function()
        holds [[
            local d <close> = heapsift.open(dump.path, { progress = function(what, done, total) error "enough" end })
            local ok, e = pcall(function() return d:blocks():count() end)
            assert(ok or e:find "enough") -- quick work is over before it is asked
            assert(not pcall(heapsift.open, dump.path, { progres = print }))]]
    end)
end)

describe("an eager collector", function()
    it("changes nothing", function()
        local text = [[
            local function walk(d)
                local n = 0
                for heap in d:heaps() do
                    for row in heap:blocks { state = "busy" }:group("size", "stored"):top(3) do n = n + row.count end
                end
                for t in d.traces:candidates(7) do n = n + #t:symbols() end
                for m in d:modules() do for s in m:sections() do n = n + s.size end end
                for _, b in ipairs(d:blocks():sample(20)) do
                    n = n + b.size + #(b:bytes() or "")
                    for t in b.candidates do n = n + t.index end
                end
                for e in d:module "ntdll":exports() do n = n + e.ordinal end
                return n
            end
            print(walk(heapsift.open(dump.path)), walk(dump))]]
        local plain, code = run(text, dump)
        assert.same(0, code)
        local stressed = program.path
        program.path = program.folder() .. "/heapsift"
        local wrapper = assert(io.open(program.path, "w"))
        wrapper:write(("#!/bin/sh\nHEAPSIFT_GC_STRESS=1 exec '%s' \"$@\"\n"):format(stressed))
        wrapper:close()
        os.execute("chmod +x '" .. program.path .. "'")
        local out, stressed_code, err = run(text, dump)
        program.remove((program.path:match "^(.*)/"))
        program.path = stressed
        assert.same("", err)
        assert.same(0, stressed_code)
        assert.same(plain, out)
    end)
end)
