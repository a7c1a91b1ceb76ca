-- The program around scripts: command line, exit codes, the sandbox, limits, reports and output files.

local program = require "program"

local folder

local function write(name, text)
    local path = folder .. "/" .. name
    local file <close> = assert(io.open(path, "wb"))
    file:write(text)
    return path
end

local function run(text, ...)
    write("script.lua", text)
    return program.run({ "run", "script.lua", ... }, folder)
end

-- A command line for the shell, run in the folder with H as the program: gives what it printed and the last line.
local function shell(command)
    local pipe <close> = assert(io.popen(("cd '%s' && H='%s' && { %s; } 2>&1"):format(folder, program.path, command)))
    return pipe:read "a"
end

local NONE <const> = "heapsift.script { input = 'none' }\n"

setup(function()
    folder = program.folder()
    program.output { "sample", folder .. "/tiny.dmp", "--tiny" }
end)

teardown(function() program.remove(folder) end)

describe("the command line", function()
    local function fails(words, code, pattern)
        local out, got, err = program.run(words, folder)
        assert.same("", out)
        assert.same(code, got)
        assert.truthy(err:find(pattern), err)
        assert.truthy(err:find "^heapsift: [^\n]+\n$", err)
    end

    it("knows its commands", function()
        assert.truthy(program.output { "version" }:find "^heapsift %d+%.%d+%.%d+\n$")
        assert.truthy(program.output { "list" }:find "\nstat +busy blocks")
        assert.truthy(program.output { "help" }:find "Exit codes")
        assert.same(program.output { "help", "stat" }, program.output { "stat", "--help" })
        assert.same(program.output { "help", "stat" }, program.output { "run", "stat", "x", "--top", "-h" })
    end)

    it("ends with 2 for what it does not understand", function()
        fails({}, 2, "what to do")
        fails({ "run" }, 2, "name of a script")
        fails({ "stta", "x" }, 2, "did you mean 'stat'")
        fails({ "run", "stta", "x" }, 2, "did you mean 'stat'")
        fails({ "run", "no.lua", "x" }, 2, "no such script file")
        fails({ "--nonsense" }, 2, "unknown option")
        fails({ "tiny.dmp" }, 2, "^heapsift: tiny.dmp: a command is missing; .*`heapsift who FILE`")
        fails({ write("words.lua", ""), "x" }, 2, "a command is missing; .*`heapsift run FILE.lua DUMP`")
        fails({ "." }, 2, "a command is missing; .*`heapsift batch who FOLDER")
        fails({ "stat" }, 2, "missing argument 'INPUT'")
        fails({ "stat", "a", "b" }, 2, "too many arguments")
        fails({ "stat", "tiny.dmp", "--tpo", "3" }, 2, "did you mean '%-%-top'")
        fails({ "stat", "tiny.dmp", "--top", "many" }, 2, "an integer expected, got 'many'")
        fails({ "stat", "tiny.dmp", "--top", "-1" }, 2, "%-%-top")
        fails({ "stat", "tiny.dmp", "--state", "bussy" }, 2, "did you mean 'busy'")
        fails({ "stat", "tiny.dmp", "--memory-limit", "lots" }, 2, "a size expected")
        fails({ "stat", "tiny.dmp", "--fail-on", "2" }, 2, "certain, likely, hint")
        fails({ "stat", "tiny.dmp", "--plugins" }, 2, "a value expected")
        fails({ "stat", "tiny.dmp", "--plugins", "nowhere" }, 2, "no such folder")
        fails({ "block", "tiny.dmp", "12345z" }, 2, "a hex number expected, .*'12345z'")
    end)

    it("ends with 3 for what is no dump", function()
        fails({ "stat", "no.dmp" }, 3, "^heapsift: no.dmp: ")
        fails({ "stat", "." }, 3, "directory")
        fails({ "stat", write("empty.dmp", "") }, 3, "empty")
        fails({ "stat", write("a\27[31m.dmp", "text") }, 3, "a\\x1b%[31m.dmp: ")
    end)

    it("reads numbers as the debugger's users type them", function()
        local text = [[
            heapsift.script { input = "none", args = { { name = "a", type = "address", many = true } },
                              options = { n = { type = "integer" }, x_y = { type = "flag" } } }
            for _, a in ipairs(args.a) do heapsift.write(a, " ") end
            print(args.n, args.x_y)]]
        local out = run(text, "372e598", "0x10", "0n16", "0000`7ff0", "10+8", "20-8", "--n", "0x10", "--x-y")
        assert.same("57861528 16 16 32752 24 24 16\ttrue\n", out)
        assert.same("1 nil\tfalse\n", run(text, "1"))
        assert.truthy(select(3, run(text, "11111111111111111")):find "a hex number expected")
        assert.truthy(select(3, run(text, "1", "--n", "9999999999999999999")):find "below 2%^63")
    end)
end)

describe("a script", function()
    it("gets its world when it first asks", function()
        local out, code = run("print(dump.arch, args.input, args.json)", "tiny.dmp")
        assert.same("x86\ttiny.dmp\tfalse\n", out:gsub("note:[^\n]*\n", ""))
        assert.same(0, code)
        assert.same(2, select(2, run "print(dump.arch)"))
        assert.same("hello\n", (run "print 'hello'"))
    end)

    it("that fails says how, with the right exit code", function()
        for code, number in pairs { usage = 2, input = 3, failed = 5, missing = 6 } do
            local out, got, err = run(NONE .. ("print 'before' pcall(heapsift.fail, '%s', 'a\\nb')"):format(code))
            assert.same("before\n", out)
            assert.same(number, got)
            assert.same("heapsift: script: a\\x0ab\n", err)
        end
    end)

    it("with a bug gets one line, and the way there on request", function()
        local bug = NONE .. "local function f() local x; return x.y end\nf()"
        local _, code, err = run(bug)
        assert.same(5, code)
        assert.same("heapsift: script.lua:2: attempt to index a nil value (local 'x')\n", err)
        _, code, err = run(bug, "--traceback")
        assert.same(5, code)
        assert.truthy(err:find "stack traceback:\n\tscript.lua:2: in local 'f'\n\tscript.lua:3: in main chunk\n$")
        _, code, err = run "local ="
        assert.same(5, code)
        assert.truthy(err:find "^heapsift: script.lua:1: <name> expected")
        _, code, err = run(NONE .. "error { 1 }")
        assert.same(5, code)
        assert.truthy(err:find "^heapsift: the error object is a table value\n")
        _, code, err = run "heapsift.script { inputs = 'none' }"
        assert.same(5, code)
        assert.truthy(err:find "unknown field 'inputs' %(did you mean 'input'%?%)")
        assert.truthy(err:find "^heapsift: script.lua:1: ", err)
    end)

    it("lives in a sandbox", function()
        local out, code, err = run(NONE .. [[
            local function no(f, ...) local ok, e = pcall(f, ...); assert(not ok); return tostring(e) end
            for _, name in ipairs { "io", "os", "debug", "package", "dofile", "loadfile", "nonsense" } do
                assert(no(function() return _G[name] end):find "unknown global", name)
            end
            assert(no(function() x = 1 end):find "assignment to unknown global")
            assert(no(function() return prnt end):find "did you mean 'print'")
            assert(rawget(string, "dump") == nil and not load("\27Lua") and not load("\27Lua", "x", "b"))
            assert(no(setmetatable, {}, { __gc = print }))
            assert(no(function() getmetatable("").__index = nil end))
            assert(no(function() heapsift.open = nil end) and no(function() return heapsift.opne end):find "open")
            assert(no(function() getmetatable(dump) end):find "input is 'none'")
            for _, name in ipairs { "host.main", "../x", "/etc/passwd", "a..b", "", "no-such" } do no(require, name) end
            assert(require "lpeg" == lpeg and lpeg.match(lpeg.P "a", "a") == 2 and require "heapsift" == heapsift)
            assert(load "return 1 + 1" () == 2 and load("return x", "n", "t", { x = 5 })() == 5)
            assert(no(heapsift.output, "/tmp/never"):find "user named" and no(collectgarbage, "stop"))
            a_global = 1
            print(a_global, coroutine.wrap(function() return 7 end)())]])
        assert.same("", err)
        assert.same("1\t7\n", out)
        assert.same(0, code)
        assert.same("table\n", (run(NONE .. "print(type(io))", "--allow-files")))
    end)

    it("finds modules beside it, in plugin folders, and those beside their own", function()
        write("mine.lua", "local name, path = ... return { name = name, text = require 'text' }")
        write("text.lua", "return 'my own'")
        os.execute("mkdir -p '" .. folder .. "/plug/lib/deep'")
        write("plug/lib/deep/init.lua", "return { inner = require 'inner' }")
        write("plug/lib/deep/inner.lua", "return 'inner'")
        local text = NONE .. [[
            print(require "mine".text, require "mine" == require "mine", type(require "pick".blocks))
            print(require "deep".inner)]]
        assert.same("my own\ttrue\tfunction\ninner\n", (run(text, "--plugins", "plug")))
        assert.truthy(select(3, run(NONE .. "require 'gone'")):find "script.lua:2: module 'gone' is neither")
        write("wrong.lua", "return +")
        assert.truthy(select(3, run(NONE .. "require 'wrong'")):find "wrong.lua:1: ")
    end)

    it("prints nothing that a terminal obeys", function()
        local out = run(NONE .. [[print("a\27[31m\tb\nc", "\xff", "\xe2\x80\xae", "é") heapsift.write("\r\n")]])
        assert.same("a\\x1b[31m\tb\nc\t\\xff\t\\xe2\\x80\\xae\té\n\\x0d\n", out)
    end)

    it("stops at its memory limit", function()
        local _, code, err = run(NONE .. "local t = {} for i = 1, 1e8 do t[i] = ('x'):rep(1000) .. i end",
            "--memory-limit", "32M")
        assert.same(5, code)
        assert.same("heapsift: script.lua: out of memory: the limit is 32 MiB (--memory-limit)\n", err)
    end)

    it("stops at Ctrl-C, whatever it does", function()
        local forms = {
            "while true do pcall(function() while true do end end) end",
            "local s = ('a'):rep(40) print(s:find(('a*'):rep(30) .. 'b'))",
            "coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()",
            "local function f() xpcall(f, f) while true do end end f()",
        }
        for _, form in ipairs(forms) do
            write("script.lua", NONE .. "print 'first'\n" .. form)
            local out = shell "timeout --preserve-status --signal=INT 0.3 \"$H\" run script.lua; echo $?"
            assert.same("first\nheapsift: interrupted\n130\n", out, form)
        end
    end)
end)

describe("stdout", function()
    it("may go away", function()
        write("script.lua", NONE .. "for i = 1, 1e6 do pcall(print, i) end")
        assert.same("1\n", shell "\"$H\" run script.lua | head -n 1")
        assert.same("heapsift: cannot write to stdout: No space left on device\n5\n",
            shell "\"$H\" run script.lua > /dev/full; echo $?")
    end)
end)

describe("a report", function()
    it("is shown in order", function()
        local out, code = run(NONE .. [[
            report:figure("blocks", 12345, "blocks")
            report:table("Sizes", { "size", "what" }, { { 1, "a" }, { 22222, "bb" } })
            report:add { claim = "it leaks", confidence = 0.85, share = 0.25, evidence = { "one", "two" },
                         bytes = 4096 }
            report:result { x = 1 }
            print "text"]])
        assert.same(0, code)
        assert.same([[
text
blocks: 12,345 blocks
Sizes
    size  what
       1  a
  22,222  bb
likely (0.85): it leaks
  evidence: one; two
  bytes: 4,096
  share: 25.0 %
]], out)
    end)

    it("as JSON is stable and valid", function()
        local text = NONE:gsub("'none'", "'none', json = 'test/1'") .. [[
            print "for stderr"
            report:add { claim = "c", confidence = "certain" }
            report:result { b = { 1, 2 }, a = "\xff\27é", c = 1.5, d = {}, e = true, f = 0 / 0 }]]
        local out, code, err = run(text, "--json")
        assert.same(0, code)
        assert.same("for stderr\n", err)
        local decoded = require "dkjson".decode(out, 1, nil)
        assert.same("test/1", decoded.schema)
        assert.same({ b = { 1, 2 }, a = "\\xff\27é", c = 1.5, d = {}, e = true }, decoded.result)
        assert.same("certain", decoded.findings[1].level)
        assert.truthy(out:find '"a".*"b".*"c"')
        for _ = 1, 5 do assert.same(out, (run(text, "--json"))) end
        local of_dump = require "dkjson".decode((run("report:figure('n', 1) print(dump)", "tiny.dmp", "--json")))
        assert.same("x86", of_dump.dump.arch)
        assert.same("n", of_dump.result.figures[1].name)
    end)

    it("refuses what it cannot show", function()
        local function wrong(call, pattern)
            local _, code, err = run(NONE .. call)
            assert.same(5, code)
            assert.truthy(err:find("^heapsift: script.lua:2: .*" .. pattern), err)
        end
        wrong("report:add { confidence = 1 }", "claim")
        wrong("report:add { claim = 'x' }", "confidence")
        wrong("report:add { claim = 'x', confidence = 1.5 }", "0 to 1")
        wrong("report:add { claim = 'x', confidence = 1, evidnce = 1 }", "did you mean 'evidence'")
        wrong("report:result(print)", "a table expected")
        wrong("report:result { print }", "function has no place in JSON")
        wrong("local t = {} t.t = t report:result(t)", "deep")
        wrong("report:result { 1, a = 2 }", "both")
        wrong("report:figur('x', 1)", "did you mean 'figure'")
        wrong("report.figure('x', 1)", "report:method")
    end)

    it("decides the exit code with --fail-on", function()
        local text = NONE .. "report:add { claim = 'x', confidence = 0.85 }"
        assert.same(0, select(2, run(text)))
        assert.same(1, select(2, run(text, "--fail-on", "likely")))
        assert.same(1, select(2, run(text, "--fail-on=hint")))
        assert.same(0, select(2, run(text, "--fail-on", "certain")))
        assert.same(1, select(2, run(text, "--fail-on", "0.85")))
        assert.same(6, select(2, run(text .. " heapsift.fail('missing', 'x')", "--fail-on", "hint")))
    end)
end)

describe("an output file", function()
    local TEXT <const> = "heapsift.script { input = 'output', options = { log = { type = 'path' } } }\n"

    local function files()
        return shell "ls"
    end

    it("appears when it is closed", function()
        local _, code = run(TEXT .. [[
            local f = heapsift.output(args.input)
            f:write("abc", 1):seek(10):write("end"):seek(0):write("A")
            f:close()
            assert(not pcall(f.write, f, "x"))
            local g <close> = heapsift.output(args.log)
            g:write "log"]], "out.bin", "--log", "log.txt")
        assert.same(0, code)
        assert.same("Abc1\0\0\0\0\0\0end", program.read_file(folder .. "/out.bin"))
        assert.same("log", program.read_file(folder .. "/log.txt"))
        os.remove(folder .. "/out.bin")
        os.remove(folder .. "/log.txt")
    end)

    it("leaves nothing when the script fails, and the old file as it was", function()
        write("old.bin", "old")
        local before = files()
        for _, how in ipairs { "error 'x'", "heapsift.fail('failed', 'x')", "" } do
            run(TEXT .. "local f = heapsift.output(args.input) f:write('new') " .. how, "old.bin")
            run(TEXT .. "local f = heapsift.output(args.input) f:write('new') " .. how, "other.bin")
            run(TEXT .. "do local f <close> = heapsift.output(args.input) f:write('new') error 'x' end", "other.bin")
        end
        write("script.lua", TEXT .. "local f = heapsift.output(args.input) f:write('new') while true do end")
        shell "timeout --signal=INT 0.2 \"$H\" run script.lua other.bin"
        write("script.lua", TEXT .. "local f = heapsift.output(args.input) f:write('new') " ..
            "print(('a'):rep(40):find(('a*'):rep(30) .. 'b'))")
        shell "timeout --signal=TERM 0.2 \"$H\" run script.lua other.bin"
        assert.same("old", program.read_file(folder .. "/old.bin"))
        assert.same(before, files())
    end)

    it("that cannot be written ends the script with 5", function()
        local text = TEXT .. [[
            local f = heapsift.output(args.input)
            for i = 1, 10000 do f:write(("x"):rep(1000)) end
            f:close()]]
        local reasons = { ["no/such/x"] = "No such file", ["."] = "directory", ["/dev/full"] = "No space left" }
        for path, why in pairs(reasons) do
            local out, code, err = run(text, path)
            assert.same("", out)
            assert.same(5, code)
            assert.truthy(err:find("^heapsift: cannot write [^\n]*" .. why .. "[^\n]*\n$"), err)
        end
    end)

    it("is never the dump that is read", function()
        local _, code, err = run(
            "heapsift.script { options = { log = { type = 'path' } } } heapsift.output(args.log)",
            "tiny.dmp", "--log", "./tiny.dmp")
        assert.same(2, code)
        assert.truthy(err:find "it is the dump")
    end)
end)

describe("a dump that shrinks while it is read", function()
    it("ends the program with one line", function()
        shell "cp tiny.dmp shrink.dmp"
        write("script.lua", [[
            local base = dump:modules()[1].base
            local f = io.open(args.input, "w") f:close()
            print(dump:read(base, 4096))]])
        local out = shell "\"$H\" run script.lua shrink.dmp --allow-files; echo $?"
        assert.same("heapsift: shrink.dmp: the file became shorter while it was read, or its medium failed\n3\n", out)
    end)
end)
