-- heapsift shell without a terminal: -c, -f and stdin; what is a command and what Lua; filters, files, logs, exit
-- codes; the command of docs/shell.md.

local program = require "program"

describe("shell", function()
    local folder, dump

    setup(function()
        folder = program.folder()
        dump = folder .. "/tiny.dmp"
        program.output { "run", "sample", dump, "--tiny" }
    end)

    teardown(function() program.remove(folder) end)

    local function shell(line, ...) return program.run({ "shell", dump, "-c", line, ... }, folder) end
    local function file_of(name)
        local file = io.open(folder .. "/" .. name, "rb")
        if not file then return nil end
        local text = file:read "a"
        file:close()
        return text
    end

    it("takes commands, split at ;, and Lua, never split", function()
        assert.equal("Evaluate expression: 2 = 00000002\nEvaluate expression: 3 = 00000003\n", (shell "? 1+1; ? 3"))
        assert.equal("3\n", (shell "local a = 1; return a + 2"))
        assert.equal("x = 5\n7\n", (shell ".echo x = 5\nk = 7\nk"):gsub("^(x = 5\n).*$", "%17\n"))
        assert.equal("4\t5\n", (shell "s, db = 4, 5\nreturn s, db"))
        assert.equal("1\n2\n", (shell "for i = 1, 2 do\nprint(i)\nend"))
        assert.equal("5.1.2600\n", (shell "dump.windows"))
    end)

    it("treats | and > as operators in expressions and parentheses, else as filters and files", function()
        assert.equal("Evaluate expression: 3 = 00000003\n", (shell "? 1 | 2"))
        assert.equal("Evaluate expression: 1 = 00000001\n", (shell "? 2 > 1"))
        assert.equal("1\n", (shell ".echo abc | count"))
        assert.equal("29\n", (shell '!heap | grep nt-xp | count'))
        assert.equal("0\n", (shell "lm | grep -c nothing"))
        local sorted = shell "lm | sort -r | head 1"
        assert.equal(1, #program.lines(sorted))
        assert.equal("", (shell ".echo to a file > out.txt"))
        assert.equal("to a file\n", file_of "out.txt")
        assert.equal("", (shell '!heap | grep -v zork | tail 1 > "out 2.txt"'))
        assert.equal(1, #program.lines(file_of "out 2.txt"))
    end)

    it("stops a command whose output nobody wants any more", function()
        assert.equal("2\nnext\n", (shell "!heap -h 36f0000 | head 2 | count; .echo next | head 1"))
        assert.equal("", (shell "lm | head 0"))
        os.execute(("mkdir -p '%s/endless'"):format(folder))
        local file = assert(io.open(folder .. "/endless/endless.lua", "wb"))
        file:write [[return { name = "endless", kind = "command", words = { "!endless" }, summary = "does not end",
            run = function() local n = 0 while true do n = n + 1 print(n) end end }]]
        file:close()
        local plugins = folder .. "/endless"
        assert.equal("1\n2\n", (shell("!endless | head 2", "--plugins", plugins)))
        assert.equal("20\n", (shell("!endless | grep 0 | head 2 | tail 1", "--plugins", plugins)))
        assert.equal("3\n", (shell("!endless | head 3 | count > n.txt", "--plugins", plugins)) .. file_of "n.txt")
        assert.equal("2\n", (shell "lm | sort | head 2 | count"))
        assert.equal(3, #program.lines((shell "lm | sort -r | head 3 | more")))
        shell "lm | head 2 > two.txt"
        assert.equal(2, #program.lines(file_of "two.txt"))
        assert.equal(2, (select(2, shell "lm | more 3")))
        assert.equal("Pages are off.\nPages are on.\n", (shell ".more; .more on"))
        assert.equal(2, (select(2, shell ".more zork")))
    end)

    it("puts escape codes nowhere unless told to, and never into files, logs, filters and JSON", function()
        for _, when in ipairs { "auto", "never", "always" } do
            local line = "report:table('title', { 'a' }, { { 1 } })\n.logopen c.txt\n!traces\n.logclose\n"
                .. "!traces > d.txt\n!traces | tail 100\n!traces --json"
            local out = shell(line, "--color", when)
            assert.equal(when == "always" and 4 or 0, select(2, out:gsub("\27", "")), out)
            for _, name in ipairs { "c.txt", "d.txt" } do assert.is_nil(file_of(name):find "\27") end
            assert.is_nil((shell("!traces", "--color", when, "--json")):find "\27")
        end
        local _, code, err = program.run { "list", "--color", "red" }
        assert.equal(2, code)
        assert.truthy(err:find("auto, always or never expected, got 'red'", 1, true), err)
    end)

    it("leaves nothing behind of a command that failed, and never writes the dump", function()
        local before = #file_of "tiny.dmp"
        local _, code = shell "? zork > failed.txt; .echo x"
        assert.equal(6, code)
        assert.is_nil(file_of "failed.txt")
        local _, code2, err = shell ".echo x > tiny.dmp"
        assert.equal(2, code2)
        assert.truthy(err:find("it is the dump that is read", 1, true))
        assert.equal(before, #file_of "tiny.dmp")
        assert.equal(5, (select(2, shell ".echo x > no/such/folder")))
    end)

    it("keeps logs", function()
        local out = shell ".logopen log.txt\n? 1\n? zork\n.logclose\n? 2\n.logappend log.txt\n? 3\n.logclose"
        assert.truthy(out:find("Opened log file 'log.txt'", 1, true))
        local log = file_of "log.txt"
        assert.truthy(log:find("0:000> ? 1\nEvaluate expression: 1 = 00000001\n", 1, true), log)
        assert.truthy(log:find("'zork' is no number", 1, true), log)
        assert.is_nil(log:find("= 00000002", 1, true))
        assert.truthy(log:find("= 00000003", 1, true))
        assert.equal(2, (select(2, shell ".logclose")))
        assert.equal(5, (select(2, shell ".logopen tiny.dmp")))
    end)

    it("tells each failure in one line with its position, and in the exit code", function()
        for _, case in ipairs {
            { "!zork", 2, "at position 1: '!zork' is no command" },
            { "!heap -zork", 2, "at position 7: '-zork' is not known" },
            { "dd 1000 +", 2, "dd: at the end: a value was expected" },
            { "? 1; dd zork", 6, "at position 9, before 'zork'" },
            { "!heap -flt", 2, "at position" }, { "!heap -flt s", 2, "-flt s takes a size" },
            { "!heap -h 1234", 6, "there is no heap 1234" }, { "lm | zork", 2, "at position 4: 'zork' is no filter" },
            { "error 'x'", 5, "Lua: x" }, { "print(", 2, "neither a command nor Lua" }, { "dump.zork", 5, "zork" },
            { "dd 10", 6, "the dump holds nothing at" }, { "lmm zork*", 6, "no module fits" },
            { "~99", 6, "there is no thread 99" }, { "r eax = 5", 2, "a dump does not change" },
            { "dc (1)", 5, "what follows makes the line Lua" },
            { "g", 5, "unknown global 'g' (WinDbg's 'g': nothing runs in a dump" }, { "bp foo", 2, "no breakpoints" },
            { "eb 1 2", 2, "a dump does not change" }, { ".ecxr", 2, "~ lists them" },
            { "!analyze -v", 2, "heapsift run who DUMP" }, { "g = 1 error 'x'", 5, "Lua: x\n" },
        } do
            local out, code, err = shell(case[1])
            assert.equal(case[2], code, case[1] .. ": " .. out .. err)
            assert.truthy(err:find(case[3], 1, true), err)
            assert.is_nil(err:find("traceback", 1, true))
            assert.equal(1, #program.lines(err), err)
        end
        assert.equal(2, (select(2, shell "? zork\n!zork\n? 1"))) -- 2 comes before 6
        assert.equal(0, (select(2, shell "? 1\nq\n!zork")))
        assert.equal(3, (select(2, program.run({ "shell", folder .. "/none.dmp", "-c", "q" }))))
        assert.equal(2, (select(2, program.run({ "shell" }))))
    end)

    it("runs files and stdin", function()
        local file = assert(io.open(folder .. "/commands.txt", "wb"))
        file:write("* a comment\n$$ another\n? 1\r\n\nprint(\n'lua')\n? 2")
        file:close()
        local wanted = "Evaluate expression: 1 = 00000001\nlua\nEvaluate expression: 2 = 00000002\n"
        assert.equal(wanted, (program.run { "shell", dump, "-f", folder .. "/commands.txt" }))
        local pipe <close> = assert(io.popen(("'%s' shell '%s' < '%s/commands.txt'"):format(program.path, dump,
            folder)))
        assert.equal(wanted, pipe:read "a")
    end)

    it("prints JSON, and gives the same data to scripts", function()
        local out = shell "!heap -s --json"
        assert.truthy(out:find('"schema":"heapsift.command.heap/1"', 1, true), out)
        assert.truthy(out:find('"address":"0x036f0000"', 1, true))
        assert.equal(out, (shell("!heap -s", "--json")))
        assert.equal("0x036f0000\n", (shell [[dump:command("!heap -s").heaps[16].address]]))
        assert.equal("9\n", (shell [[tonumber(dump:command("? 9").decimal)]]))
        assert.equal("nil\tsyntax\n", (shell [[local d, m, c = dump:command "!zork" return d, c]]))
    end)

    it("marks what WinDbg does not have, in every help and in docs/shell.md", function()
        local docs = program.read_file(program.root .. "/docs/shell.md")
        local words, lines, marked = {}, {}, 0
        local list = (shell ".help"):match "^(.-)\n  %.help NAME"
        for line in (list .. "\n"):gmatch "([^\n]*)\n" do
            local mark = line:sub(1, 2)
            assert.is_true(#line <= 80, line)
            for word in (line:match "^..(.-)  " or line:sub(3)):gmatch "%S+" do
                words[word] = mark
                lines[#lines + 1] = ".echo == " .. word .. "\n.help " .. word
            end
        end
        local all, code = shell(table.concat(lines, "\n"))
        assert.equal(0, code)
        for word, help in ("\n" .. all):gsub("\n== ", "\1"):gmatch "\1(%S+)\n([^\1]*)" do
            local own = help:find("\n+ ", 1, true) ~= nil
            marked = marked + (own and 1 or 0)
            assert.equal(own, help:find("+ is heapsift's own; the rest is as in WinDbg.", 1, true) ~= nil, word)
            assert.equal(words[word] == "+ ", help:gsub("\n%+ [^\n]*", ""):find "\n  %S" == nil, word)
            for line in help:gmatch "\n([^\n]+)" do assert.truthy(line:find "^[+ ] ", word .. ": " .. line) end
            assert.truthy(docs:find(word, 1, true), word .. " is not in docs/shell.md")
        end
        assert.equal("+ ", words["!ust"])
        assert.equal("  ", words["!heap"])
        assert.is_true(marked > 15, marked)
        assert.truthy(docs:find("| + | `!ust`, `!traces` |", 1, true))
    end)

    it("shows types: both orders, names without case, anything that C can name", function()
        local heap = shell "dt _HEAP 36f0000"
        assert.truthy(heap:find("+0x008 Signature        : 0xeeffeeff", 1, true), heap)
        for _, same in ipairs { "dt 36f0000 _heap", "dt 36e0000+(10 * 1000) ntdll!_Heap", "dt _heap 36e0000 + 10000",
            'dt "_HEAP" 36f0000', "dt 36f0000 struct _heap", "dt -r0 _heap 0x36f0000" } do
            assert.equal(heap, (shell(same)), same)
        end
        assert.equal("036f0008  4009750271  0xeeffeeff\n", (shell "dt unsigned long 36f0000+8"))
        assert.truthy((shell "dt 36f0000 ulong[4]"):find("[2] : 0xeeffeeff", 1, true))
        assert.truthy((shell "dt _heap_entry"):find("+0x005 Flags            : UChar", 1, true))
        assert.truthy((shell "dt -r _heap 36f0000"):find("\n      +0x005 Flags            : 1 ", 1, true))
        assert.truthy((shell "dt *heap_entry*"):find("_HEAP_ENTRY_EXTRA", 1, true))
        assert.truthy((shell "dt _heap 36f0000 --json"):find('"shown":"0xeeffeeff"', 1, true))
        for line, message in pairs {
            ["dt 1 zork"] = "at position 6: no type is called 'zork'", ["dt zork 1"] = "at position 4: no type",
            ["dt _heap zork"] = "at position 10, before 'zork'", ["dt _heap 10"] = "the dump holds nothing at 00000010",
        } do
            local _, code, err = shell(line)
            assert.equal(6, code, line)
            assert.truthy(err:find(message, 1, true), err)
        end
    end)

    it("keeps temporaries and the current thread", function()
        assert.equal("Evaluate expression: 11 = 0000000b\n", (shell "r @$t3 = 0n10\n? @$t3+1"))
        assert.equal("10\n", (shell "r @$t3 = 0n10\ndump:eval '$t3'"))
        assert.truthy((shell "!address 36f0000"):find("Protect: +00000004 PAGE_READWRITE\n"))
        assert.truthy((shell "~1s\n? $teb"):find "Evaluate expression: %d+ = 7ff")
    end)

    it("takes a command of one's own: the one of docs/shell.md", function()
        local text = program.read_file(program.root .. "/docs/shell.md")
        local code = text:match "(    %-%- biggest%.lua.-\n)\n":gsub("\n    ", "\n"):gsub("^    ", "")
        assert.is_true(#program.lines(code) <= 16)
        os.execute(("mkdir -p '%s/mine'"):format(folder))
        local file = assert(io.open(folder .. "/mine/biggest.lua", "wb"))
        file:write(code)
        file:close()
        local out, code_, err = shell("!biggest -n 3; .help !biggest", "--plugins", folder .. "/mine")
        assert.equal(0, code_, err)
        assert.equal(3, select(2, out:gsub("\nsize %x+: %d+ bytes", "%0")) + (out:find "^size" and 1 or 0), out)
        assert.truthy(out:find("the sizes that hold most", 1, true), out)
        local json = shell("!biggest --json", "--plugins", folder .. "/mine")
        assert.truthy(json:find('"schema":"heapsift.command.biggest/1"', 1, true), json)
    end)
end)
