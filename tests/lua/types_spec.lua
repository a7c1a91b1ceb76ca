-- heapsift.types: views against the dump's own reads, misses, docs/types.md, and the types script.

local program = require "program"

describe("types", function()
    local folder, path, wide
    setup(function()
        folder = program.folder()
        path, wide = folder .. "/x86.dmp", folder .. "/x64.dmp"
        program.output { "run", "sample", path, "--tiny" }
        program.output { "run", "sample", wide, "--tiny", "--arch", "x64" }
    end)
    teardown(function() program.remove(folder) end)

    local function run(source, dump)
        local script = folder .. "/script.lua"
        local file <close> = assert(io.open(script, "w"))
        file:write(source)
        file:close()
        local out, code, err = program.run { "run", script, dump or path }
        assert.equal("", err)
        assert.equal(0, code)
        return out
    end

    it("do what docs/types.md says", function()
        local page, count = program.read_file(program.root .. "/docs/types.md"), 0
        for code, expected in page:gmatch "```lua\n(.-)```%s+```text\n(.-)```" do
            assert.equal(expected, run(code))
            count = count + 1
        end
        assert.equal(2, count)
    end)

    -- Every kind of value, on both targets, against what the dump itself reads there.
    local KINDS <const> = [[
        local t = heapsift.types(dump)
        local info = dump:info()
        t:declare("struct All { BYTE b; CHAR c; SHORT s; WORD w; LONG l; ULONG u; __int64 q; ULONG64 v; void *p;"
            .. " float f; double d; bool yes; enum { ONE = 1 } e; ULONG low : 4, high : 28; LONG sign : 3;"
            .. " struct { BYTE in[4]; }; char rest[]; };")
        local va = info.peb
        local all = t:at("struct All", va)
        local function at(name) local offset = t:offsetof("struct All", name) return va + offset end
        assert(all.b == dump:u8(at "b") and all.c == dump:i8(at "c"))
        assert(all.s == dump:i16(at "s") and all.w == dump:u16(at "w"))
        assert(all.l == dump:i32(at "l") and all.u == dump:u32(at "u"))
        assert(all.q == dump:i64(at "q") and all.v == dump:u64(at "v"))
        assert(all.p == dump:ptr(at "p"))
        assert(string.pack("<f", all.f) == dump:read(at "f", 4) or all.f ~= all.f)
        assert(string.pack("<d", all.d) == dump:read(at "d", 8) or all.d ~= all.d)
        assert(all.yes == (dump:u8(at "yes") ~= 0) and all.e == dump:i32(at "e"))
        assert(all.low == dump:u32(at "low") & 15 and all.high == dump:u32(at "low") >> 4)
        local sign = dump:u32(at "sign") & 7
        assert(all.sign == (sign > 3 and sign - 8 or sign))
        assert(all["in"][3] == dump:u8(at "in" + 3) and #all["in"] == 4 and all["in"][4] == nil)
        assert(all.rest[5] == dump:i8(at "rest" + 5))
        local names = {}
        for name in pairs(all) do names[#names + 1] = name end
        print(table.concat(names, " "))
        -- PEB -> parameters -> text
        local peb = t:at("_PEB", va)
        assert(t:string(peb.ProcessParameters.ImagePathName) == info.image_path)
        assert(peb.NumberOfHeaps == #dump:heaps() and t:address(peb.ProcessHeaps[0]) == dump:heaps()[1].address)
        assert(t:at("TEB", dump:threads()[1].teb or 0) ~= nil)
        -- misses
        print(select(2, t:read(peb, "ProcessParameters.Nothing")))
        print(select(3, t:read(t:at("_PEB", 16), "NumberOfHeaps")), t:at("_PEB", 16).NumberOfHeaps)
        print(select(3, t:at("ULONG", 16)), select(3, t:at("no such type", 16)))
        print(t:at("_LIST_ENTRY *", 16))
        print(pcall(function() return peb.NumberOfHeap end))
        print(pcall(function() peb.NumberOfHeaps = 3 end))
        print(pcall(t.at, t, "_PEB", -1))
        print(pcall(t.string, t, peb))
        print(pcall(t.string, t, 3))
        print(pcall(function() return t.declar end))
        print(t:sizeof "_PEB")
        print(pcall(t.declare, t, "struct X {\n int a\n};", "mine.h"))
        print(t:at("_PEB", va) == peb, t:at("_PEB", va + 8) == peb, t:sizeof "SIZE_T" == dump.pointer_size)
        assert(select(3, t:at("_PEB", math.maxinteger - 4)) == "outside")
        dump:close()
        print(pcall(function() return peb.NumberOfHeaps end))
    ]]
    local EXPECTED <const> = [[
b c s w l u q v p f d yes e low high sign in rest
struct _RTL_USER_PROCESS_PARAMETERS * has no member 'Nothing'	not-found
unmapped	nil
unmapped	not-found
nil	the dump holds no memory at PLACE	unmapped
false	script.lua: struct _PEB has no member 'NumberOfHeap' (did you mean 'NumberOfHeaps'?)
false	script.lua: what is in a dump cannot be changed
false	at: address out of range: negative
false	string: struct _PEB holds no characters
false	string: a view expected, got number
false	script.lua: types has no method 'declar' (did you mean 'declare'?)
nil	how large struct _PEB is is not known	not-found
false	mine.h: line 3, column 1, before '};': ',' or ';' was expected
true	false	true
false	script.lua: the dump is closed
]]

    for _, arch in ipairs { "x86", "x64" } do
        it("read what the dump reads: " .. arch, function()
            local out = run(KINDS, arch == "x64" and wide or path):gsub("[^\t\n]*/script%.lua:%d+:", "script.lua:")
            local place = ("0"):rep(arch == "x64" and 14 or 6) .. "10"
            assert.equal((EXPECTED:gsub("PLACE", place)), out)
        end)
    end

    it("show every kind of value", function()
        assert.equal([[
A at 372e5a8
   +0x000 c                : 2 ''
   +0x002 w                : 0x4e2d '中'
   +0x004 b                : 0y0000
]], (run [[
            local t = heapsift.types(dump)
            t:declare "struct A { UCHAR c; WCHAR w; ULONG b : 4; };"
            t:dump(t:at("A", 0x372e5a8))
        ]]:gsub("0xfff '[^']+'", "0x4e2d '中'")))
    end)

    it("of x64 layouts are offered as unproven as they are: partial", function()
        local out = program.output { "run", "types", wide, "_HEAP_ENTRY" }
        assert.truthy(out:find("only the members that heapsift itself reads", 1, true), out)
        assert.truthy(out:find("0x10 bytes", 1, true), out)
    end)
end)
