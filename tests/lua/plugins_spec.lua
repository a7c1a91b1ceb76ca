-- plugins_spec: plugins from folders: every field checked, failures as notes with file and line, heuristics by name.

local program = require "program"

local folder

local function write(name, text)
    local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
end

-- Runs a script on the tiny dump with folder `plug`; gives stdout, exit code, stderr.
local function run(text, ...)
    write("script.lua", text)
    return program.run({ "run", "script.lua", "tiny.dmp", "--plugins", "plug", ... }, folder)
end

-- What loading plug/p.lua with this text says, behind its name.
local function refused(text)
    write("plug/p.lua", text)
    local out = program.output({ "list", "--plugins", "plug" }, folder)
    os.remove(folder .. "/plug/p.lua")
    return (out:match "\ncannot be loaded: plug/p.lua([^\n]*)" or out)
end

local GOOD <const> = [[
return { name = "p", summary = "s", kind = "heuristic", run = function() end,
         %s }]]

setup(function()
    folder = program.folder()
    os.execute(("mkdir -p '%s/plug' '%s/other'"):format(folder, folder))
    program.output { "sample", folder .. "/tiny.dmp", "--tiny" }
end)
teardown(function() program.remove(folder) end)

describe("a plugin's table", function()
    it("is checked field by field", function()
        assert.same(":2: unknown field 'neds' (did you mean 'needs'?)", refused(GOOD:format "neds = {}"))
        assert.same(":2: unknown field 'recognize' (did you mean 'recognise'?)",
            refused(GOOD:format "recognize = print"))
        assert.same(":2: needs: unknown value 'x' (blocks, labels, traces)", refused(GOOD:format "needs = { 'x' }"))
        assert.same(":2: needs: a table expected, got string", refused(GOOD:format "needs = 'blocks'"))
        assert.same(":2: applies: a function expected, got boolean", refused(GOOD:format "applies = true"))
        assert.same(":2: recognise: only a recogniser has it", refused(GOOD:format "recognise = print"))
        assert.same(":2: filters: only a recogniser has it", refused(GOOD:format "filters = 'size == 8'"))
        assert.same(":1: filters: a text, a list of texts or a function expected, got number", refused(
            "return { name = 'p', summary = 's', kind = 'recogniser', recognise = print, filters = 1 }"))
        assert.same(":2: options.n: a table expected, got number", refused(GOOD:format "options = { n = 1 }"))
        assert.same(":2: options.n: unknown field 'defualt' (did you mean 'default'?)",
            refused(GOOD:format "options = { n = { defualt = 1 } }"))
        assert.same(":2: options.n.type: unknown value 'x' (address, integer, number, string, path, flag, choice)",
            refused(GOOD:format "options = { n = { type = 'x' } }"))
    end)

    it("has what its kind needs", function()
        assert.same(": name: a string expected, got nil", refused "return {}")
        assert.same(": summary: a string expected, got nil", refused "return { name = 'p' }")
        assert.same(":1: name: letters, digits and _ expected", refused "return { name = 'a b' }")
        assert.same(":1: kind: unknown value 'x' (recogniser, heuristic, command)",
            refused "return { name = 'p', summary = 's', kind = 'x' }")
        assert.same(": recognise: a function expected, got nil",
            refused "return { name = 'p', summary = 's', kind = 'recogniser' }")
        assert.same(": run: a function expected, got nil",
            refused "return { name = 'p', summary = 's', kind = 'command' }")
        assert.same(": a plugin returns one table, this one returned nil", refused "local x = 1")
    end)

    it("comes from a file that runs", function()
        assert.truthy(refused("return {"):find "^:1: .*near <eof>$")
        assert.truthy(refused("local t\n\nt.x = 1"):find "^:3: attempt to index a nil value")
        assert.same(":2: no", refused "local function f()\nerror 'no' end f()")
        assert.truthy(refused("return dump"):find "^:1: unknown global 'dump'")
        assert.truthy(refused("heapsift.script {}"):find "^:1: heapsift.script: a plugin has options")
    end)
end)

describe("plugins", function()
    it("are listed with their kind, a user's own with its file", function()
        write("plug/mine.lua", GOOD:format "":gsub('"p"', '"mine"'))
        local out = program.output({ "list", "--plugins", "plug" }, folder)
        assert.truthy(out:find "\nplugins\n", out)
        assert.truthy(out:find "\nmapi +recogniser: rows", out)
        assert.truthy(out:find "\nmine +heuristic: s %(plug/mine.lua%)\n", out)
        os.remove(folder .. "/plug/mine.lua")
    end)

    it("of a user stand for bundled ones of the same name", function()
        write("plug/strings.lua", [[
return { name = "strings", summary = "none", kind = "recogniser", recognise = function() return { mine = true } end }]])
        local out, code = run [[
local notes, facts = heapsift.recognise(dump)
print(#notes, facts.strings.mine, dump:blocks('type ~ "string"'):count(), dump:blocks('type ~ "mapi"'):count() > 0)]]
        assert.same("0\ttrue\t0\ttrue\n", out)
        assert.same(0, code)
        os.remove(folder .. "/plug/strings.lua")
    end)

    it("that fail become notes with file and line, and the others run", function()
        write("plug/bad1.lua", "return { nmae = 'x' }")
        write("plug/bad2.lua", [[
return { name = "bad2", summary = "s", kind = "recogniser", recognise = function(dump, set)
    set:where "size = 5"
end }]])
        write("plug/bad3.lua", [[
return { name = "bad3", summary = "s", kind = "recogniser", applies = function()
    error { 1 }
end, recognise = function() end }]])
        write("plug/bad4.lua", [[
return { name = "bad4", summary = "s", kind = "recogniser", recognise = function(dump)
    heapsift.recognise(dump)
end }]])
        local out, code = run [[
for i = 1, 2 do
    local notes, facts = heapsift.recognise(dump)
    print(#notes, facts.mapi ~= nil, facts.bad2)
end]]
        assert.same(5, code)
        local lines = program.lines(out)
        assert.same({ "4\ttrue\tnil", "4\ttrue\tnil" }, { lines[1], lines[2] })
        local notes = table.concat(lines, "\n", 3)
        assert.truthy(notes:find "note: plug/bad1.lua:1: unknown field 'nmae' %(did you mean 'name'%?%)", notes)
        assert.truthy(notes:find "note: plug/bad2.lua:2: filter: at position 6", notes)
        assert.truthy(notes:find "note: plug/bad3.lua:2: the error object is a table value", notes)
        assert.truthy(notes:find "note: plug/bad4.lua:2: heapsift.recognise: called by a recogniser", notes)
        assert.same(6, #lines)
        for i = 1, 4 do os.remove(("%s/plug/bad%d.lua"):format(folder, i)) end
    end)

    it("get a set for each of their filters, those of all in one pass", function()
        -- Together more filters than one pass has; the second one's cannot be, nor can the third's.
        local function many(from, to)
            local texts = {}
            for size = from, to do texts[#texts + 1] = ("'size == %d'"):format(8 * size) end
            return "{ " .. table.concat(texts, ", ") .. " }"
        end
        local KIND <const> = [[
return { name = "%s", summary = "s", kind = "recogniser", filters = %s,
    recognise = function(_, set, ...)
        local counts = {}
        for i, each in ipairs { ... } do counts[i] = each:count() end
        return { counts = counts, all = set:count() }
    end }]]
        write("plug/f1.lua", KIND:format("f1", many(1, 12)))
        write("plug/f2.lua", KIND:format("f2", "{ 'size == 8', 'size = 5' }"))
        write("plug/f3.lua", KIND:format("f3", "function(d)\n    return d.nothing\nend"))
        write("plug/f4.lua", KIND:format("f4", "function(d) return 'size >= ' .. d.pointer_size end"))
        write("plug/f5.lua", KIND:format("f5", many(13, 28)))
        write("plug/f6.lua", KIND:format("f6", many(1, 17)))
        write("plug/f7.lua", KIND:format("f7", "{ 'size == 8', 8 }"))
        write("plug/f8.lua", KIND:format("f8", "function() end"))
        local out = run [[
local _, facts = heapsift.recognise(dump)
local busy = dump:blocks { state = "busy" }
for i = 1, 28 do
    local counts, at = facts[i <= 12 and "f1" or "f5"].counts, i <= 12 and i or i - 12
    assert(counts[at] == busy:where("size == " .. 8 * i):count(), i)
end
assert(facts.f1.all == busy:count() and #facts.f1.counts == 12 and #facts.f5.counts == 16)
assert(facts.f4.counts[1] == busy:where("size >= 4"):count() and #facts.f8.counts == 0)
print(facts.f2, facts.f3, facts.f6, facts.f7, facts.mapi ~= nil and #facts.mapi.signatures)]]
        assert.truthy(out:find "^nil\tnil\tnil\tnil\t[1-9]", out)
        assert.truthy(out:find "note: plug/f2.lua: filter: at position 6", out)
        assert.truthy(out:find "note: plug/f3.lua:2: dump has no field 'nothing'", out)
        assert.truthy(out:find("note: plug/f6.lua: filters: at most 16 expected, got 17", 1, true), out)
        assert.truthy(out:find("note: plug/f7.lua: filters: text 2 is a number value", 1, true), out)
        for i = 1, 8 do os.remove(("%s/plug/f%d.lua"):format(folder, i)) end
    end)

    it("come from HEAPSIFT_PLUGINS too", function()
        write("other/there.lua", GOOD:format "":gsub('"p"', '"there"'))
        local pipe <close> = assert(io.popen(("cd '%s' && HEAPSIFT_PLUGINS=other:gone '%s' list"):format(folder,
            program.path)))
        local out = pipe:read "a"
        assert.truthy(out:find "\nthere +heuristic", out)
        assert.truthy(out:find "\ncannot be loaded: gone: no such folder of plugins\n", out)
    end)

    it("are labelled by their name unless they say otherwise", function()
        write("plug/aaa.lua", [[
return { name = "aaa", summary = "s", kind = "recogniser", recognise = function(_, set)
    set:where "size == 0xf8":label("from.aaa", 0.99)
end }]])
        write("plug/zzz.lua", [[
return { name = "zzz", summary = "s", kind = "recogniser", recognise = function(_, set)
    set:where "size == 0xf8":label("from.zzz", 0.99)
end }]])
        local out = run [[
heapsift.recognise(dump)
for row in dump:blocks "state == busy and size == 0xf8":group "type" do print(row.type) end]]
        assert.same("from.aaa\n", out)
        os.remove(folder .. "/plug/aaa.lua")
        os.remove(folder .. "/plug/zzz.lua")
    end)
end)

describe("lib/callers.lua of a user", function()
    local function callers(text)
        os.execute(("mkdir -p '%s/plug/lib'"):format(folder))
        write("plug/lib/callers.lua", text)
        local out, code, err = run "print(dump:module('3rdpartydll').name, select(2, dump.traces[0x12]:caller()))"
        os.remove(folder .. "/plug/lib/callers.lua")
        return out, code, err
    end

    it("adds to what trace:caller() passes over", function()
        assert.truthy(callers "return {}":find "3rdpartydll%+0xc8141")
        assert.is_nil(callers 'return { modules = { "3RDPARTYDLL" } }':find "0xc8141")
    end)

    it("is checked", function()
        local _, code, err = callers "return 5"
        assert.same(5, code)
        assert.truthy(err:find("plug/lib/callers.lua: it must return { modules = { ... }, allocators", 1, true), err)
        _, code, err = callers "return {"
        assert.same(5, code)
        assert.truthy(err:find "^heapsift: plug/lib/callers.lua:1: ", err)
    end)
end)

describe("a heuristic", function()
    setup(function()
        write("plug/big.lua", [[
return {
    name = "big", summary = "large blocks", kind = "heuristic", needs = { "blocks", "labels" },
    options = { min_bytes = { default = 1 << 10, doc = "at least so many bytes", min = 1 }, word = { default = "x" },
                loud = { default = false }, kind = { choices = { "a", "b" } } },
    applies = function() return true end,
    run = function(dump, options, report)
        local set = dump:blocks(("state == busy and size >= %d"):format(options.min_bytes))
        report:add { claim = options.word .. (options.loud and "!" or ""), confidence = 0.85, blocks = set:count(),
                     missing = tostring(dump:blocks('type == "mapi.row"'):count() > 0) }
    end,
}]])
        write("plug/sick.lua", [[
return { name = "sick", summary = "s", kind = "heuristic",
         run = function(d) d.x() end }]])
        write("plug/not_here.lua", [[
return { name = "not_here", summary = "s", kind = "heuristic", run = print,
         applies = function() return false, "wrong sort of dump" end }]])
    end)

    it("runs as a script, with its options", function()
        local function big(...)
            return program.run({ "run", "big", "tiny.dmp", "--plugins", "plug", ... }, folder)
        end
        local out, code = big()
        assert.same(0, code)
        assert.truthy(out:find "^likely %(0.85%): x\n  blocks: [%d,]+\n  missing: true\n$", out)
        assert.truthy(big("--word", "huge", "--loud", "--min-bytes", "4096"):find "huge!")
        assert.same(1, select(2, big("--fail-on", "likely")))
        assert.same("heapsift.plugin.big/1", require "dkjson".decode((big "--json")).schema)
        local _, wrong, err = big("--min-bytes", "0")
        assert.same(2, wrong)
        assert.truthy(err:find "at least 1 expected")
        assert.truthy(program.output({ "help", "big", "--plugins", "plug" }, folder):find "at least so many bytes")
    end)

    it("runs from a script", function()
        local out, code = run [[
print(heapsift.heuristic("big", dump, { min_bytes = 2048, kind = "a" }, report))
print(heapsift.heuristic("bigg", dump, {}, report))
print(heapsift.heuristic("mapi", dump))
print(heapsift.heuristic("not_here", dump))
print(pcall(heapsift.heuristic, "big", dump, { min_byte = 1 }))
print(pcall(heapsift.heuristic, "big", dump, { min_bytes = "1" }))
print(pcall(heapsift.heuristic, "big", 5))]]
        assert.same(0, code)
        local lines = program.lines(out)
        assert.same("true\tnil\tnil", lines[1])
        assert.same("nil\tno heuristic is named 'bigg' (did you mean 'big'?)\tnot-found", lines[2])
        assert.truthy(lines[3]:find "not%-found$")
        assert.same("nil\tnot_here: wrong sort of dump\tnot-applicable", lines[4])
        assert.truthy(lines[5]:find "unknown option 'min_byte' %(did you mean 'min_bytes'%?%)")
        assert.truthy(lines[6]:find "option 'min_bytes': a number expected, got string")
        assert.truthy(lines[7]:find "heapsift.heuristic: a dump expected, got number")
    end)

    it("that is run as a script says what it is", function()
        write("one.lua", GOOD:format "")
        local out, code, err = program.run({ "run", "one.lua", "tiny.dmp" }, folder)
        assert.same({ "", 2 }, { out, code })
        assert.same("heapsift: one: one.lua is no script, but a plugin of kind heuristic: put it into a folder for " ..
            "--plugins\n", err)
        write("one.lua", "return { kind = 1 }")
        assert.same({ "", 0, "" }, { program.run({ "run", "one.lua", "tiny.dmp" }, folder) })
    end)

    it("that cannot run says so", function()
        local function ends(name, code, pattern)
            local out, got, err = program.run({ "run", name, "tiny.dmp", "--plugins", "plug" }, folder)
            assert.same(code, got)
            assert.truthy((out .. err):find(pattern), out .. err)
        end
        ends("sick", 5, "note: plug/sick.lua:2: ")
        ends("not_here", 6, "^heapsift: tiny.dmp: not_here: wrong sort of dump\n$")
        ends("mapi", 2, "^heapsift: mapi: a recogniser, not a script")
        ends("nothere", 2, "no script of that name")
        write("plug/torn.lua", "return {")
        ends("torn", 5, "^heapsift: plug/torn.lua:1: ")
        os.remove(folder .. "/plug/torn.lua")
    end)
end)
