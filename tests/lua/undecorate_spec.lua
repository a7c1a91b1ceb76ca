-- undecorate_spec: C++ names. The full form against llvm-undname's answers for what clang makes (tests/witness/names.sh
-- wrote them into the fixture), the short form against the debugger's spellings, nonsense against bounds; and where the
-- program shows them.

local names = require "names"
local program = require "program"

package.path = program.root .. "/plugins/lib/?.lua;" .. package.path
local undecorate = require "undecorate".name

local function fixture()
    local pipe <close> = assert(io.popen(("xz -dc '%s/tests/fixtures/names.txt.xz'"):format(program.root)))
    return names.read(pipe:lines())
end

describe("the full form", function()
    local list = fixture()

    it("is what llvm-undname says, but for names listed with a reason", function()
        local known = names.differences(program.root .. "/tests/fixtures/names-differences.txt")
        local others, count = names.compare(undecorate, list)
        for name, texts in pairs(others) do assert.truthy(known[name], name .. "\n" .. table.concat(texts, "\n")) end
        for name, reason in pairs(known) do assert.truthy(others[name], name .. ", listed for nothing: " .. reason) end
        assert.is_true(#list >= 2000 and count <= 0.02 * #list, ("%d of %d"):format(count, #list))
    end)

    it("decodes what is not listed as undecodable by both", function()
        local same = 0
        for _, entry in ipairs(list) do same = same + (entry[1] == entry[2] and 1 or 0) end
        assert.is_true(same < 30, same)
    end)
end)

-- ---- the short form ----

local SHORT <const> = {
    { "??2@YAPAXI@Z", "operator new" },
    { "??_U@YAPEAX_K@Z", "operator new[]" },
    { "??0DCE_BINDING@@QAE@PAG0000PAJ@Z", "DCE_BINDING::DCE_BINDING" },
    { "??1DCE_BINDING@@QAE@XZ", "DCE_BINDING::~DCE_BINDING" },
    { "?ResolveEndpointIfNecessary@DCE_BINDING@@QAEJXZ", "DCE_BINDING::ResolveEndpointIfNecessary" },
    { "?AllocateCCall@OSF_BINDING_HANDLE@@QAEJPAPAVOSF_CCALL@@PAU_RPC_MESSAGE@@PAIPAH@Z",
        "OSF_BINDING_HANDLE::AllocateCCall" },
    { "??_7?$CComObject@VCFoo@@@ATL@@6BIUnknown@@@", "ATL::CComObject<CFoo>::`vftable'" },
    { "?push_back@?$vector@HV?$allocator@H@std@@@std@@QEAAXAEBH@Z",
        "std::vector<int,std::allocator<int> >::push_back" },
    { "??BFoo@@QEAAPEBDXZ", "Foo::operator char const *" },
    { "??_GFoo@@UEAAPEAXI@Z", "Foo::`scalar deleting destructor'" },
    { "??_R4Foo@@6B@", "Foo::`RTTI Complete Object Locator'" },
    { "??_R0?AVFoo@@@8", "Foo `RTTI Type Descriptor'" },
    { ".?AVFoo@ns@@", "ns::Foo" },
    { "??_C@_02PCEFGMJL@hi?$AA@", "`string'" },
    { "?x@?1??f@A@@QEAAXH@Z@4HA", "`A::f'::`2'::x" },
    { "?x@?A0x1234abcd@@3HA", "`anonymous namespace'::x" },
    { "??__Ex@@YAXXZ", "`dynamic initializer for 'x''" },
    { "??R<lambda_1>@?0??f@@YAXXZ@QEBA@H@Z", "`f'::`1'::<lambda_1>::operator()" },
    { "?f@C@@WBA@AEHXZ", "[thunk]:C::f`adjustor{16}'" },
    { "__imp_?f@C@@QEAAXXZ", "__imp_C::f" },
    { "HeapAlloc", "HeapAlloc" },
    { "_start@8", "_start@8" },
    { "?", "?" },
    { "", "" },
}

describe("the short form", function()
    for _, pair in ipairs(SHORT) do
        it(("of %s is %s"):format(pair[1], pair[2]), function() assert.equal(pair[2], undecorate(pair[1])) end)
    end

    it("of imports in full is the source's", function()
        assert.equal("__declspec(dllimport) void __cdecl f(void)", undecorate("__imp_?f@@YAXXZ", "full"))
    end)

    it("is there for every name that has a full one", function()
        for _, entry in ipairs(fixture()) do
            local full, short = undecorate(entry[1], "full"), undecorate(entry[1])
            assert.equal(full == entry[1], short == entry[1], entry[1])
        end
    end)
end)

-- ---- nonsense ----

-- Runs `f` with so many instructions of Lua at most, and so much new memory.
local INSTRUCTIONS <const>, MEMORY_KIB <const> = 3000000, 16 * 1024

local function bounded(name, form)
    collectgarbage()
    local before = collectgarbage "count"
    debug.sethook(function() error("too long: " .. name:sub(1, 200), 2) end, "", INSTRUCTIONS)
    local text = undecorate(name, form)
    debug.sethook()
    assert.equal("string", type(text))
    assert.is_true(#text <= 1 << 20)
    assert.is_true(collectgarbage "count" - before < MEMORY_KIB, name:sub(1, 200))
    return text
end

local CHARS <const> = "?@$_0123456789ABCDEFGHIPQRSTUVWXYZ"

local function any_char()
    local at = math.random(#CHARS)
    return CHARS:sub(at, at)
end

local function mutated(list)
    local name = list[math.random(#list)][1]
    for _ = 1, math.random(3) do
        local at, kind = math.random(0, #name), math.random(4)
        if kind == 1 then
            name = name:sub(1, at) .. name:sub(at + 2)
        elseif kind == 2 then
            name = name:sub(1, at) .. any_char() .. name:sub(at + 1)
        elseif kind == 3 then
            local other = list[math.random(#list)][1]
            name = name:sub(1, at) .. other:sub(math.random(#other))
        else
            name = name:sub(1, at) .. any_char() .. name:sub(at + 2)
        end
    end
    return name
end

describe("nonsense", function()
    it("is shown as it is or as something, within bounds: names that were changed", function()
        math.randomseed(20)
        local list, decoded = fixture(), 0
        for i = 1, os.getenv "HEAPSIFT_SANITIZED" and 500 or 5000 do
            local name = mutated(list)
            debug.sethook(function() error("too long: " .. name, 2) end, "", INSTRUCTIONS)
            local text = undecorate(name, i % 2 == 0 and "full" or "short")
            debug.sethook()
            assert.is_true(#text <= 1 << 20)
            if text ~= name then decoded = decoded + 1 end
        end
        assert.is_true(decoded > 100) -- else nothing was tried
    end)

    it("of random bytes", function()
        math.randomseed(21)
        for i = 1, 3000 do
            local chars = { "?" }
            for k = 2, math.random(300) do chars[k] = i % 3 == 0 and string.char(math.random(0, 255)) or any_char() end
            undecorate(table.concat(chars), "full")
        end
    end)

    local function bomb(depth, width)
        local parts = { "?f@@YAXP6AXHH@Z" }
        for i = 0, depth - 1 do parts[#parts + 1] = "P6AX" .. tostring(i):rep(width) .. "@Z" end
        return table.concat(parts) .. "@Z"
    end

    it("that would grow without end is shown as it is", function()
        assert.truthy(bounded(bomb(2, 3), "full"):find "^void __cdecl f%(void %(__cdecl %*%)%(int, int%)")
        assert.equal(bomb(9, 100), bounded(bomb(9, 100), "full"))
        assert.equal(bomb(9, 100), bounded(bomb(9, 100)))
    end)

    it("that nests without end is shown as it is", function()
        for _, part in ipairs {
            "?x@@3U?$a@", "P6AP6A", "?1??f@@YA", "??__E?x@$1", "??__E?$x@$1?", "$$C", "PA", "Y0?", "_C@_0", "?x@?1?",
            "?A?$a@", "$$BY01", "P8", "W4?$a@", "$1??$a@", "$M",
        } do
            for _, head in ipairs { "?", "?x@@3", "??$f@", "?f@@YAX", "." } do
                local name = head .. part:rep(16000 // #part)
                assert.equal(name, bounded(name, "full"))
            end
        end
    end)

    it("decodes templates in templates to a depth that programs have, and ends where it cannot", function()
        local function nested(depth)
            return "?x@@3" .. ("U?$a@"):rep(depth) .. "H" .. ("@@"):rep(depth) .. "A"
        end
        local text = "struct " .. ("a<struct "):rep(79) .. "a<int" .. (">"):rep(80) .. " x"
        assert.equal(text, bounded(nested(80), "full"))
        assert.equal(nested(2000), bounded(nested(2000), "full"))
    end)

    it("may have any bytes", function()
        local odd = { "?\0@@3HA", "?\xff\xfe@@3HA", "?x\n@@3HA", ("?"):rep(16384), ("@"):rep(100), "?x@@3HA\0" }
        for _, name in ipairs(odd) do bounded(name, "full") end
        assert.equal("int \xff", undecorate("?\xff@@3HA", "full"))
        assert.equal("?x@@3HA\0", undecorate "?x@@3HA\0")
    end)
end)

-- ---- in the program ----

describe("the program", function()
    local folder, path, script
    local DECORATED <const> = "?Get@DCE_BINDING@@QAEXXZ"

    -- A sample in which an export of rpcrt4 has a decorated name: it takes the place of another of the same length.
    setup(function()
        folder = program.folder()
        path, script = folder .. "/names.dmp", folder .. "/script.lua"
        program.output { "sample", path, "--tiny" }
        local bytes, count = program.read_file(path):gsub("I_RpcGetBufferWithObject", DECORATED)
        assert.is_true(count > 0 and #DECORATED == #"I_RpcGetBufferWithObject")
        local file <close> = assert(io.open(path, "wb"))
        file:write(bytes)
    end)
    teardown(function() program.remove(folder) end)

    local function run(source, ...)
        do
            local file <close> = assert(io.open(script, "w"))
            file:write(source)
        end
        local out, code, err = program.run { "run", script, path, ... }
        return out, code, err
    end

    it("undecorates what it names, in the form that is asked for", function()
        local source = [[
            local va = dump:resolve "rpcrt4!?Get@DCE_BINDING@@QAEXXZ"
            print(dump:symbol(va), dump:symbol(va + 2, nil, "full"), dump:symbol(va, "windbg", "raw"))
            local parts = dump:symbol_parts(va)
            print(parts.name, parts.decorated, dump:symbol_parts(dump:resolve "ntdll!RtlAllocateHeap").decorated)
            print(pcall(dump.symbol, dump, va, nil, "long"))
            for trace in dump.traces do
                for i, frame in ipairs(trace.frames) do
                    local symbol = dump:symbol_parts(frame)
                    if symbol and symbol.decorated and symbol.near then
                        assert(trace:symbols()[i] == dump:symbol(frame))
                        assert(trace:symbols(nil, "raw")[i] == dump:symbol(frame, nil, "raw"))
                        print(trace:symbols(nil, "full")[i])
                        return
                    end
                end
            end]]
        local lines = program.lines((run(source)))
        assert.equal("rpcrt4!DCE_BINDING::Get\trpcrt4!public: void __thiscall DCE_BINDING::Get(void)+0x2\t" ..
            "rpcrt4!" .. DECORATED, lines[1])
        assert.equal("DCE_BINDING::Get\t" .. DECORATED .. "\tnil", lines[2])
        assert.truthy(lines[3]:find("invalid option 'long'", 1, true), lines[3])
        assert.truthy(lines[4]:find("msvcrt!void * __cdecl operator new(unsigned int)", 1, true), lines[4])
        for form, text in pairs { short = "DCE_BINDING::Get", full = "public: void __thiscall DCE_BINDING::Get(void)",
                                  raw = DECORATED } do
            local out = run("print(dump:symbol(dump:resolve 'rpcrt4!" .. DECORATED .. "'))", "--undname", form)
            assert.equal("rpcrt4!" .. text .. "\n", out)
        end
        local _, code, err = run("print()", "--undname", "long")
        assert.equal(2, code)
        assert.truthy(err:find("option '--undname': short, full or raw expected, got 'long'", 1, true), err)
    end)

    it("gives scripts heapsift.undecorate, as its reference says", function()
        local reference = program.read_file(program.root .. "/plugins/lib/heapsift.meta.lua")
        local calls, wanted = {}, {}
        for call, text in reference:gmatch "%-%-%-    (heapsift%.undecorate[^\n]*)\n%-%-%-        %-%-> ([^\n]*)" do
            calls[#calls + 1] = ("print((%s))"):format(call)
            wanted[#wanted + 1] = text
        end
        assert.is_true(#calls >= 5)
        assert.same(wanted, program.lines((run(table.concat(calls, "\n")))))
    end)

    it("shows names as docs/symbols.md says", function()
        local page = program.read_file(program.root .. "/docs/symbols.md")
        local raw = page:match "| `raw` | `rpcrt4!(%?.-)%+0x14a`"
        assert.equal(page:match "| `short` %(default%) | `rpcrt4!(.-)%+0x14a`", undecorate(raw))
        assert.equal(page:match "| `full` | `rpcrt4!(.-)%+0x14a`", undecorate(raw, "full"))
    end)

    it("tells what heapsift.undecorate takes", function()
        local lines = program.lines((run [[
            print(pcall(heapsift.undecorate))
            print(pcall(heapsift.undecorate, "?", "long"))]]))
        assert.truthy(lines[1]:find("heapsift.undecorate: a name expected, got nil", 1, true), lines[1])
        assert.truthy(lines[2]:find("undecorate: a form (short, full) expected, got 'long'", 1, true), lines[2])
    end)
end)
