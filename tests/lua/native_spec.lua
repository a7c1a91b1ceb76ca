-- heapsift.native: libraries, calls, memory, callbacks; set:map, set:where, set:fold; crashes.

local natives = require "natives"
local program = require "program"

local dump = natives.folder .. "/small.dmp"
program.output { "run", "sample", dump, "--tiny" }
local library = natives.build "records.c"

local DECLARATIONS <const> = [==[
    uint32_t first_word(const void *data, size_t size, uint64_t address);
    __attribute__((pure)) uint64_t sum_pure(const void *data, size_t size, uint64_t address);
    int8_t size_class(const void *data, size_t size, uint64_t address);
    _Bool is_large(const void *data, size_t size, uint64_t address) __attribute__((const));
    uint64_t next_number(const void *data, size_t size, uint64_t address);
    struct totals { uint64_t count, bytes, last, ascending; };
    void add_up(const void *data, size_t size, uint64_t address, struct totals *totals);
    int32_t stop_at(const void *data, size_t size, uint64_t address, const uint64_t *wanted);
    void keep(int (*f)(int)); int call_kept(int x); int call_on_thread(void); int call_twice(int (*f)(int), int x);
    int call_per_block(const void *data, size_t size, uint64_t address);
    int read_null(int offset); int divide(int a, int b); void trap(void); void bus(void); void give_up(void);
    int overflow(int depth); uint32_t write_to_rows(const void *data, size_t size, uint64_t address);
    int absent(void);
]==]
local OPEN <const> = ("local lib = assert(heapsift.native(%q, [==[\n%s]==]))\n"):format(library, DECLARATIONS)

-- Runs a text behind the declarations. What it prints must be what is expected, and nothing go wrong.
local function check(text, expected, ...)
    local out, code, err = natives.run(OPEN .. text, dump, ...)
    assert.same({ expected, 0, "" }, { out, code, err })
end

-- Runs a text that must fail: its message and exit code.
local function fails(text, message, code)
    local _, got, err = natives.run(OPEN .. text, dump)
    assert.same(code or 5, got)
    assert.truthy(err:find(message, 1, true), err)
    assert.same(1, #program.lines(err), err)
end

teardown(function() program.remove(natives.folder) end)

describe("heapsift.native", function()
    for _, compiler in ipairs(natives.compilers) do
        it("round-trips values at their limits through " .. compiler.name, function()
            local built = natives.build("signatures.c", compiler)
            local source = program.root .. "/tests/native/signatures.c"
            local script = program.root .. "/tests/lua/scripts/native_signatures.lua"
            assert.same("75 functions\n", program.output { "run", script, built, source, "--allow-native" })
        end)
    end

    it("runs only with --allow-native", function()
        local script = natives.write("script.lua", OPEN .. "print(heapsift.allow_native)")
        local out, code, err = program.run { "run", script, dump }
        assert.same({ "", 5 }, { out, code })
        assert.truthy(err:find("script.lua:1: heapsift.native: " .. library ..
            ": native code runs only with --allow-native", 1, true), err)
        check("print(heapsift.allow_native)", "true\n")
        local shell = { "shell", dump, "-c", ("print(heapsift.native(%q, 'int call_kept(int);'))"):format(library) }
        assert.truthy(select(3, program.run(shell)):find("only with --allow-native", 1, true))
        shell[#shell + 1] = "--allow-native"
        assert.same("library records-gcc.so\n", (program.run(shell)))
    end)

    it("says what is wrong with a library", function()
        local _, _, err = natives.run("print(heapsift.native '/nowhere/x.so')", dump)
        assert.same("", err)
        local out = natives.run("print(heapsift.native '/nowhere/x.so')", dump)
        assert.truthy(out:find("^nil\tcannot load the library: /nowhere/x.so: cannot open", 1), out)
        out = natives.run(("print(heapsift.native %q)"):format(dump), dump)
        assert.truthy(out:find("invalid ELF header\tio\n", 1, true), out)
        fails("lib.absent()", "script.lua:N: records-gcc.so has no symbol 'absent', though it is declared")
        fails("lib.call_kepd(1)", "'call_kepd' is not declared for records-gcc.so (did you mean 'call_kept'?)")
        fails("lib:declare 'int f(unknown x);'", "declarations for records-gcc.so: line 1, column 7")
        fails("lib:close() lib.divide(1, 1)", "records-gcc.so is closed")
    end)

    it("refuses prototypes that cannot be called", function()
        for prototype, why in pairs {
            ["union u { int a; float f; }; int divide(union u v);"] =
                "parameter 1: union u cannot be passed by value: libffi knows no unions",
            ["struct b { int a : 3; }; int divide(struct b v);"] = "it has bit fields",
            ["struct __attribute__((packed)) p { char c; int a; }; struct p divide(void);"] =
                "result: struct p cannot be passed by value: it is packed",
            ["struct s; int divide(struct s v);"] = "it has no definition",
            ["struct e { }; int divide(struct e v);"] = "it is empty",
            ["struct f { int n; int rest[]; }; int divide(struct f v);"] = "a member has no size",
            ["struct l { char c[5000]; }; int divide(struct l v);"] = "it is larger than 4096 bytes",
        } do
            local out = natives.run(("local lib = heapsift.native(%q, %q)"):format(library, prototype) ..
                "print(pcall(function() return lib.divide end))", dump)
            assert.truthy(out:find("divide of records-gcc.so: ", 1, true) and out:find(why, 1, true), out)
        end
    end)

    it("checks arguments", function()
        fails("lib.divide(1)", "divide: 2 arguments expected, got 1")
        fails("lib.divide(1, 2, 3)", "divide: 2 arguments expected, got 3")
        fails("lib.divide(1, {})", "argument 2 of 'divide': an integer expected, got table")
        fails("lib.divide(1, 0x80000000)", "argument 2 of 'divide': 2147483648 is out of range for int")
        fails("lib.keep(function() end)", "a callback expected, got a Lua function: lib:callback makes one of it")
        fails("lib.keep(lib.divide)",
            "int (*)(...) expected, got a function of another type (2 parameters, gives int)")
        fails("lib.keep(lib:callback('int (*)(long)', function() return 0 end))", "got a function of another type")
        fails("lib.keep(lib:array('uint8_t', 64))", "int (*)(...) expected, got memory of unsigned char")
        fails("lib.keep(lib:view(dump:blocks():sample(1)[1]))", "int (*)(...) expected, got memory of unsigned char")
        fails("lib.add_up(dump:blocks():sample(1)[1], 1, 1, lib:new 'struct totals')", "lib:view(block) is its memory")
        fails("lib.add_up(0x1000, 1, 1, nil)", "an address of the dump is none of this program")
        fails("lib.add_up(nil, 1, 1, lib:new 'int[8]')", "struct totals * expected, got memory of int [8]")
        fails("lib.add_up(nil, 1, 1, lib:array('uint8_t', 8))", "struct totals has 32 bytes, the memory given only 8")
        fails("lib.add_up(nil, 1, 1, 'text')", "struct totals * expected, got string")
        fails("lib.add_up(nil, 1, 1, lib:view(dump:blocks 'size >= 32':sample(1)[1]))",
            "what is in a dump cannot be written to")
    end)

    it("knows how long memory lives and where it ends", function()
        check([[
            local b = lib:array("int", 4, { 1, 2, 3 })
            print(#b, b[0], b[3], lib:sizeof(b), lib:sizeof "struct totals", (lib:offsetof("struct totals", "last")))
            print(pcall(function() return b[4] end))
            print(pcall(function() b[-1] = 0 end))
            print(pcall(function() return lib:bytes(b, 10, 8) .. "" end))
            local part = lib:new("struct totals[2]")[1]
            collectgarbage()
            part.count = 5
            print(part.count)
            lib:free(b) lib:free(b)
            print(pcall(function() return b[0] end))
            print(pcall(lib.divide, b, 1))
        ]], "4\t1\t0\t16\t32\t16\n" ..
            "false\tscript.lua:N: element 4 is outside of 16 bytes: 4 elements of int, from 0\n" ..
            "false\tscript.lua:N: element -1 is outside of 16 bytes: 4 elements of int, from 0\n" ..
            "false\tscript.lua:N: bytes 10 to 18 are outside of 16 bytes\n5\n" ..
            "false\tscript.lua:N: the buffer was freed\n" ..
            "false\targument 1 of 'divide': an integer expected, got int, 16 bytes\n")
    end)

    it("gives views of the dump without copying, as long as it is open", function()
        check([[
            local block = dump:blocks "state == busy and size >= 32":sample(1)[1]
            local view = lib:view(block)
            print(lib:bytes(view) == block:bytes(), #view == block.size, lib.first_word(view, #view, 0) == block:u32(0))
            print(lib:view(block, "uint32_t")[1] == block:u32(4))
            print(lib:view(dump, block.user, 4)[0] == block:u8(0))
            print(lib:view(dump, 16, 4))
            print(lib:view(block, "struct totals[10000]"))
            print(pcall(function() view[0] = 1 end))
            local other = heapsift.open(dump.path)
            local its = lib:view(other:block(block.user))
            other:close()
            print(pcall(function() return its[0] end))
        ]], "true\ttrue\ttrue\ntrue\ntrue\n" ..
            "nil\tthe 4 bytes at 10 are not in the dump in one piece\tunmapped\n" ..
            "nil\tstruct totals [10000] has 320000 bytes, here are 92\toutside\n" ..
            "false\tscript.lua:N: what is in a dump cannot be changed\n" ..
            "false\tscript.lua:N: view: its dump is closed\n")
    end)
end)

describe("callbacks", function()
    it("carry errors to the caller, whatever they are", function()
        check([[
            local calls = 0
            local bad = lib:callback("int (*)(int)", function(x) calls = calls + 1 error { x } end)
            local ok, e = pcall(lib.call_twice, bad, 7)
            print(ok, type(e), e[1], calls)
            print(lib.call_twice(lib:callback("int (*)(int)", function(x) return x end), 7))
            print(pcall(lib.call_twice, lib:callback("int (*)(int)", function() return "x" end), 7))
            print(pcall(lib.call_twice, lib:callback("int (*)(int)", function() return 1 << 40 end), 7))
            local inner = lib:callback("int (*)(int)", function(x)
                local fine = pcall(lib.call_twice, bad, x)
                return fine and 1 or 2
            end)
            print(lib.call_twice(inner, 7))
            local co = coroutine.wrap(function() return lib.call_twice(lib:callback("int (*)(int)", function()
                coroutine.yield() return 1 end), 1) end)
            print(pcall(co))
        ]], "false\ttable\t7\t1\n807\n" ..
            "false\tresult of a callback (int): an integer expected, got string\n" ..
            "false\tresult of a callback (int): 1099511627776 is out of range for int (-2147483648 to 2147483647)\n" ..
            "202\nfalse\tattempt to yield across a C-call boundary\n")
    end)

    it("can be called after they were freed, and by other threads, without harm", function()
        check([[
            local f = lib:callback("int (*)(int)", function(x) return x + 1 end)
            lib.keep(f)
            print(lib.call_kept(1))
            print(pcall(lib.call_on_thread))
            lib:free(f)
            print(pcall(lib.call_kept, 1))
            print(pcall(lib.keep, f))
            lib.keep(lib:callback("int (*)(int)", function(x) return x end))
            for _ = 1, 3000 do lib:callback("int (*)(int)", function(x) return x end) end
            collectgarbage() collectgarbage()
            print(pcall(function() lib:close() end))
            print(pcall(lib.call_kept, 1))
        ]], "2\n" ..
            "false\ta callback was called from a thread of its own: Lua cannot run there, so it gave 0\n" ..
            "false\ta callback was called after it was freed: it gave 0 (keep the callback while it may be called)\n" ..
            "false\tthe callback was freed\n" ..
            "true\nfalse\trecords-gcc.so is closed\n")
    end)

    it("run over blocks on the script's own thread", function()
        check([[
            local set = dump:blocks "state == busy and size < 0x10000"
            local sum = 0
            lib.keep(lib:callback("int (*)(int)", function(size) sum = sum + size return size end))
            local column = set:map(lib.call_per_block)
            print(column.count == #set, sum == set:bytes())
            lib.keep(lib:callback("int (*)(int)", function() error "enough" end))
            print(pcall(set.map, set, lib.call_per_block))
            lib.keep(lib:callback("int (*)(int)", function() lib:close() end))
            print(pcall(lib.call_kept, 1))
        ]], "true\ttrue\nfalse\tscript.lua:N: enough\n" ..
            "false\tscript.lua:N: records-gcc.so cannot be closed while one of its functions runs\n")
    end)
end)

describe("native functions over blocks", function()
    it("make columns that filters and groups use", function()
        check([[
            local set = dump:blocks "state == busy"
            local column = set:map(lib.first_word, "word")
            print(column.count == #set, column.skipped, column.name)
            local wrong = 0
            for block in set:each() do
                if block.size >= 4 and column:of(block) ~= block:u32(0) then wrong = wrong + 1 end
            end
            print(wrong, column:of(dump:blocks "state == free":sample(1)[1]))
            local sized = set:where "size >= 4"
            print(#(sized:where "column.word ~= u32(0)"), #(sized:where "column.word == u32(0)") == #sized)
            local total = 0
            for row in set:group("word = column.word", "size") do total = total + row.count end
            print(total == #set)
            set:map(lib.size_class)
            print(#(set:where "column.size_class == -8") == #(set:where "size == 8"))
            print(#(dump:blocks "column.word == column.word") == #set, #(dump:blocks "column.word ~= 0") < #set)
            print(pcall(set.where, set, "column.nothing == 1"))
            print(pcall(set.where, set, "column. == 1"))
            set:map(lib.size_class, "word")
            print(#(set:where "column.word == 1") == #(set:where "size >= 64"))
            print(pcall(function() set:map(lib.size_class, "a name") end))
        ]], "true\t0\tword\n0\tnil\n0\ttrue\ntrue\ntrue\ntrue\ttrue\n" ..
            "false\tfilter: there is no column 'nothing' on this dump: set:map makes one\n" ..
            "false\tfilter: at position 8, before ' == 1': the name of a column was expected\ntrue\n" ..
            "false\tscript.lua:N: bad argument #2 to 'map' (the name of a column expected: letters, digits and _)\n")
    end)

    it("choose blocks and add up, in order", function()
        check([[
            local set = dump:blocks()
            local large, skipped = set:where(lib.is_large)
            print(#large == #(set:where "size >= 1000 and state ~= uncommitted"),
                skipped == #(set:where "state == uncommitted"))
            local totals = lib:new "struct totals"
            local busy = dump:heap(1):blocks "state == busy"
            local state, stopped, left = busy:fold(lib.add_up, totals)
            print(state == totals, stopped, left, totals.count == #busy, totals.bytes == busy:bytes(),
                totals.ascending == #busy)
            local wanted = lib:new("uint64_t", busy:sample(3)[2].user)
            print(select(2, busy:fold(lib.stop_at, wanted)))
            print(pcall(function() busy:fold(lib.add_up) end))
            print(pcall(busy.fold, busy, lib.add_up, lib:new "int"))
            print(pcall(busy.map, busy, lib.add_up))
            print(pcall(function() busy:map(print) end))
            print(pcall(busy.where, busy, lib.is_large, "size == 1"))
        ]], "true\ttrue\ntrue\t0\t0\ttrue\ttrue\ttrue\n-7\t0\n" ..
            "false\tscript.lua:N: bad argument #2 to 'fold' (a buffer for the state expected (lib:new))\n" ..
            "false\tthe state of 'add_up': struct totals * expected, got memory of int\n" ..
            "false\tset:map: add_up of records-gcc.so: a function (const void *data, size_t size, " ..
            "uint64_t address) is called for each block\n" ..
            "false\tscript.lua:N: bad argument #1 to 'map' (heapsift.native function expected, got function)\n" ..
            "false\tset:where: one function, or filter texts, expected\n")
    end)

    it("give the same on one thread and on several", function()
        check([[
            local function sums(threads)
                local d <close> = heapsift.open(dump.path, { threads = threads })
                local set, list = d:blocks(), {}
                local column = set:map(lib.sum_pure)
                local first = set:map(lib.next_number, "n")
                for block in set:each() do
                    list[#list + 1] = ("%s %s"):format(column:of(block), first:of(block) ~= nil)
                end
                return table.concat(list, "\n"), #(set:where "column.n >= 0"), column.count
            end
            local a, n = sums(1)
            for threads = 2, 5 do
                local b, m, count = sums(threads)
                if a ~= b or n ~= m or m ~= count then error "they differ" end
            end
            print "the same"
        ]], "the same\n")
        check([[ -- a function that is not pure is called in the order of the blocks
            local set, last = dump:blocks "state == busy", -1
            local column = set:map(lib.next_number)
            for block in set:each() do
                if column:of(block) ~= last + 1 then error "not in order" end
                last = last + 1
            end
            print(last + 1 == #set)
        ]], "true\n")
    end)

    it("are refused where they want to write", function()
        fails("lib:declare 'int divide(int, int);' local l = heapsift.native('" .. library ..
            "', 'uint32_t first_word(void *d, size_t n, uint64_t a);') dump:blocks():map(l.first_word)",
            "its first parameter must point to const: a dump cannot be written to")
        fails("local l = heapsift.native('" .. library ..
            "', 'double first_word(const void *d, size_t n, uint64_t a);') dump:blocks():map(l.first_word)",
            "it gives double: an integer or bool was expected")
    end)
end)

describe("a crash of native code", function()
    local shown = "heapsift: " .. dump .. ": native code crashed: "

    for call, line in pairs {
        ["read_null(16)"] = "read_null of records-gcc.so: SIGSEGV at address 0x10",
        ["divide(1, 0)"] = "divide of records-gcc.so: SIGFPE",
        ["trap()"] = "trap of records-gcc.so: SIGILL",
        ["bus()"] = "bus of records-gcc.so: SIGBUS",
        ["give_up()"] = "give_up of records-gcc.so: SIGABRT",
        ["overflow(0)"] = "overflow of records-gcc.so: SIGSEGV at address 0x",
        ["call_twice(lib:callback('int (*)(int)', function() return lib.read_null(32) end), 1)"] =
            "read_null of records-gcc.so: SIGSEGV at address 0x20",
    } do
        it("is told: " .. call:match "^[%w_]+", function()
            -- The sanitizers of a library tell of some of these themselves.
            if natives.sanitized and not call:find "^call_twice" and not call:find "^trap" then return end
            local out, code, err = natives.run(("%sprint('before', #dump.path > 0)\nlib.%s\nprint 'after'"):format(OPEN,
                call), dump)
            assert.same({ "before\ttrue\n", 7 }, { out, code })
            assert.same(1, #program.lines(err), err)
            assert.same(shown .. line, err:sub(1, #shown + #line))
        end)
    end

    for _, pure in ipairs { "", "__attribute__((pure)) " } do
        it("names the block: " .. (pure == "" and "one thread" or "several threads"), function()
            local text = ("local lib = heapsift.native(%q, %q)\n"):format(library, pure ..
                "uint32_t write_to_rows(const void *data, size_t size, uint64_t address);") .. [[
                local rows = {}
                for row in dump:blocks "size == 0xf8 and u32(0) == 0x10000001":each() do rows[row.user] = true end
                for user in pairs(rows) do print(("%08x"):format(user)) end
                heapsift.open(dump.path, { threads = 2 }):blocks():map(lib.write_to_rows)
            ]]
            local out, code, err = natives.run(text, dump)
            assert.same(7, code)
            local line, user = err:match "^(.-), at the block with user address (%x+) of 0xf8 bytes\n$"
            assert.truthy(line and line:find("write_to_rows of records-gcc.so: SIGSEGV at address 0x", 1, true), err)
            assert.truthy(out:find(user .. "\n", 1, true), err)
        end)
    end

    it("is none of the library where the dump became shorter", function()
        local short = natives.folder .. "/short.dmp"
        natives.write("short.dmp", program.read_file(dump))
        local out, code, err = natives.run(OPEN .. [[
            local libc = heapsift.native("libc.so.6", "int truncate(const char *path, long size);")
            local set = dump:blocks "state == busy"
            print(libc.truncate(dump.path, 4096), #set > 0)
            set:map(lib.sum_pure)
        ]], short)
        assert.same({ "0\ttrue\n", 3 }, { out, code })
        assert.same("heapsift: " .. short .. ": the file became shorter while it was read, or its medium failed\n", err)
    end)

    it("is told by a batch", function()
        local script = natives.write("crash.lua", OPEN .. "lib.trap()")
        local out = program.run { "batch", script, dump, "--allow-native", "--out", natives.folder .. "/results.db" }
        assert.truthy(out:find("native code crashed: trap of records-gcc.so: SIGILL", 1, true), out)
    end)
end)

describe("the collector", function()
    it("may run at any time", function()
        local script = natives.write("script.lua", OPEN .. [[
            local set = dump:blocks "state == busy and size >= 64":where "index % 50 == 0"
            for i = 1, 20 do
                local f = lib:callback("int (*)(int)", function(x) return #{ x, x } + i end)
                if lib.call_twice(f, i) ~= 101 * (2 + i) then error "wrong" end
                set:map(lib.sum_pure, "c" .. i % 3)
                set:where(lib.is_large)
                local n = lib:new("struct totals", { count = i })
                set:fold(lib.add_up, n)
                if n.count ~= #set + i then error "wrong" end
            end
            print "done"
        ]])
        local pipe <close> = assert(io.popen(("HEAPSIFT_GC_STRESS=1 '%s' run '%s' '%s' --allow-native 2>&1"):format(
            program.path, script, dump)))
        assert.same("done\n", pipe:read "a")
    end)
end)
