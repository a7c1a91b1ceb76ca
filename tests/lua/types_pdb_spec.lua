-- Types of a PDB through heapsift.types: structures of tests/fixtures/pdb/shapes-*.pdb, which clang laid out, against
-- the same structures declared as C; and what views and `types` make of them.

local program = require "program"
local json = require "dkjson"

-- The fixture with the GUID and age of the sample's ntdll, which it is put beside.
local function write_pdb(folder, arch)
    local out = program.output({ "run", "modules", "d.dmp", "ntdll", "--json" }, folder)
    local id = out:match '"(%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x%x+)"'
    assert(id, out)
    local bytes = program.read_file(("%s/tests/fixtures/pdb/shapes-%s.pdb"):format(program.root, arch))
    local at = assert(bytes:find(string.pack("<I4", 20000404), 1, true)) -- info stream: version, signature, age, GUID
    local function number(from, to) return tonumber(id:sub(from, to), 16) end
    local guid = string.pack("<I4I2I2", number(1, 8), number(9, 12), number(13, 16)) ..
        id:sub(17, 32):gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
    local file <close> = assert(io.open(folder .. "/ntdll.pdb", "wb"))
    file:write(bytes:sub(1, at + 7), string.pack("<I4", number(33, #id)), guid, bytes:sub(at + 28))
end

local SCRIPT <const> = [[
local t = heapsift.types(dump)
t:declare "enum Kind { FLAT };"
t:declare [=[
struct Bits { unsigned a : 3; unsigned b : 13; int : 0; signed c : 5; unsigned long long d : 40; bool e : 1; };
union Value { int i; double d; struct { short lo, hi; } parts; unsigned char bytes[12]; };
struct Node { struct Node *next; union Value value; struct Bits bits; unsigned short kind; const char *names[3];
    int (*call)(struct Node *, long long); };
struct Box { long long items[4]; };
]=]
local function same(own, theirs, ...)
    assert(t:sizeof(own) == t:sizeof(theirs), own)
    for _, path in ipairs { ... } do
        local a, b, c = t:offsetof(own, path)
        local x, y, z = t:offsetof(theirs, path)
        assert(a and a == x and b == y and c == z, own .. "." .. path)
    end
end
same("Bits", "geo::Bits", "a", "b", "c", "d", "e")
same("Value", "geo::Value", "i", "d", "parts.hi", "bytes[3]")
same("Node", "geo::Node", "next", "value.parts.lo", "bits.d", "kind", "names[2]", "call")
same("Box", "geo::Box<long long,4>", "items[3]")
local va = dump:info().peb
local own, theirs = t:at("Node", va), t:at("ntdll!geo::Node", va)
assert(own.value.i == theirs.value.i and own.bits.d == theirs.bits.d and own.kind == theirs.kind)
assert(t:address(own.next) == t:address(theirs.next) and own.names[1] ~= nil)
assert(t:at("GEO::NODE", va) == theirs)
print(t:source "geo::Node", t:sizeof "geo::Shape", t:offsetof("geo::Shape", "id"), t:offsetof("geo::Shape", "wide"))
print(t:at("geo::nothing", va))
]]

for arch, expected in pairs { x86 = "ntdll.pdb\tfalse\t40\t4\t16", x64 = "ntdll.pdb\tfalse\t56\t8\t24" } do
    describe("types of a PDB, " .. arch, function()
        local folder
        setup(function()
            folder = program.folder()
            program.output({ "run", "sample", "d.dmp", "--tiny", "--arch", arch }, folder)
            write_pdb(folder, arch)
        end)
        teardown(function() program.remove(folder) end)

        it("are those that C gives", function()
            local file <close> = assert(io.open(folder .. "/script.lua", "w"))
            file:write(SCRIPT)
            file:close()
            local out = program.output({ "run", "script.lua", "d.dmp" }, folder)
            local lines = program.lines(out)
            assert.truthy(lines[1]:find(expected:match "^[^\t]*", 1, true), out)
            assert.equal(expected:gsub("false\t", ""), (lines[1]:gsub("\tnil", ""):gsub("false\t", "")))
            assert.truthy(lines[2]:find("nil", 1, true), out)
        end)

        it("are listed and shown by the script", function()
            local top = json.decode(program.output({ "run", "types", "d.dmp", "*geo::*", "--json" }, folder))
            assert.is_true(#top.result.types >= 10)
            local out = program.output({ "run", "types", "d.dmp", "geo::Bits" }, folder)
            assert.truthy(out:find("+0x008 d                : Pos 0, 40 Bits", 1, true), out)
            assert.truthy(out:find("ntdll.pdb", 1, true), out)
        end)
    end)
end
