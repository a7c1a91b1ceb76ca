-- PDBs from the command line: found along the search path by GUID and age, named where they are not used and why, and
-- what names come from. The PDB of tests/fixtures/pdb is given the GUID and age of the sample's module.

local program = require "program"
local json = require "dkjson"

describe("a search for PDBs", function()
    local folder, id

    local function write(path, bytes)
        local file <close> = assert(io.open(folder .. "/" .. path, "wb"))
        file:write(bytes)
    end

    local function make(path)
        assert(os.execute("mkdir -p '" .. folder .. "/" .. path .. "'"))
    end

    -- The fixture with that GUID and age in its info stream: the GUID of the fixture is found by its RSDS text.
    local function pdb_with(id_text)
        local bytes = program.read_file(program.root .. "/tests/fixtures/pdb/ntdll-x86.pdb")
        -- info stream: version 20000404, signature, age, GUID
        local at = bytes:find(string.pack("<I4", 20000404), 1, true)
        assert(at, "the fixture has no info stream")
        local hex = "(" .. ("%x"):rep(4) .. ")"
        local long = "(" .. ("%x"):rep(16) .. ")"
        local a, b, c, rest, age = id_text:match("^(%x%x%x%x%x%x%x%x)" .. hex .. hex .. long .. "(%x+)$")
        local guid = string.pack("<I4I2I2", tonumber(a, 16), tonumber(b, 16), tonumber(c, 16))
            .. rest:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
        return bytes:sub(1, at + 7) .. string.pack("<I4", tonumber(age, 16)) .. guid .. bytes:sub(at + 28)
    end

    local function module(...)
        local out, _, err = program.run({ "run", "modules", "tiny.dmp", "ntdll", "--json", ... }, folder)
        local top = assert(json.decode(out), out .. err)
        return top.result, table.concat(top.notes, "\n")
    end

    setup(function()
        folder = program.folder()
        program.output({ "run", "sample", "tiny.dmp", "--tiny" }, folder)
        id = module().pdb_id
        for _, name in ipairs { "flat", "deep/symbols/dll", "store/ntdll.pdb/" .. id, "tiers/nt/ntdll.pdb/" .. id,
            "case/NTDLL.PDB/" .. id:lower(), "other", "packed/ntdll.pdb/" .. id, "broken", "beside" } do
            make(name)
        end
        local good, other = pdb_with(id), pdb_with(("0"):rep(31) .. "F1")
        write("flat/ntdll.pdb", good)
        write("deep/symbols/dll/ntdll.pdb", good)
        write("store/ntdll.pdb/" .. id .. "/ntdll.pdb", good)
        write("tiers/nt/ntdll.pdb/" .. id .. "/ntdll.pdb", good)
        write("case/NTDLL.PDB/" .. id:lower() .. "/Ntdll.pdb", good)
        write("other/ntdll.pdb", other)
        write("packed/ntdll.pdb/" .. id .. "/ntdll.pd_", "MSCF")
        write("broken/ntdll.pdb", "no PDB at all\27[31m")
    end)

    teardown(function()
        program.remove(folder)
    end)

    for path, file in pairs {
        ["flat"] = "flat/ntdll.pdb", ["deep"] = "deep/symbols/dll/ntdll.pdb",
        ["srv*store"] = "store/ntdll.pdb/ID/ntdll.pdb", ["SRV*tiers"] = "tiers/nt/ntdll.pdb/ID/ntdll.pdb",
        ["cache*store"] = "store/ntdll.pdb/ID/ntdll.pdb", ["store"] = "store/ntdll.pdb/ID/ntdll.pdb",
        ["symsrv*symsrv.dll*store"] = "store/ntdll.pdb/ID/ntdll.pdb", ["flat/"] = "flat/ntdll.pdb",
        ["srv**store"] = "store/ntdll.pdb/ID/ntdll.pdb", ["other;flat"] = "flat/ntdll.pdb",
    } do
        it("finds it along " .. path, function()
            local found = module("--symbols", path)
            assert.equal("pdb", found.symbols)
            assert.equal((file:gsub("ID", id)), found.symbol_file)
        end)
    end

    it("does not mind the case of names", function()
        assert.equal("case/NTDLL.PDB/" .. id:lower() .. "/Ntdll.pdb", module("--symbols", "srv*case").symbol_file)
    end)

    it("takes several paths, and the environment behind them", function()
        assert.equal("pdb", module("--symbols", "other", "--symbols", "flat").symbols)
        local out = program.output({ "run", "modules", "tiny.dmp", "ntdll" }, folder)
        assert.truthy(out:find("(export symbols)", 1, true))
        local pipe <close> = assert(io.popen("cd '" .. folder .. "' && _NT_SYMBOL_PATH=flat '" .. program.path
            .. "' run modules tiny.dmp ntdll"))
        local text = pipe:read "a"
        assert.truthy(text:find("(pdb symbols)", 1, true), text)
        assert.truthy(text:find("Symbol file: +flat/ntdll.pdb"), text)
    end)

    it("names a PDB of another build and does not use it", function()
        local found, notes = module("--symbols", "other")
        assert.equal("exports", found.symbols)
        assert.is_nil(found.symbol_file)
        assert.truthy(notes:find("ntdll: other/ntdll.pdb: not used, it belongs to another build", 1, true), notes)
        assert.truthy(notes:find("expected " .. id, 1, true), notes)
    end)

    it("names what it cannot read", function()
        local found, notes = module("--symbols", "srv*packed;broken;missing;srv*store2*https://example.org/symbols")
        assert.equal("exports", found.symbols)
        for _, text in ipairs {
            "packed/ntdll.pdb/" .. id .. "/ntdll.pd_: is compressed", "broken/ntdll.pdb: no PDB",
            "missing is no folder here", "store2 is no folder here",
            "https://example.org/symbols is skipped: heapsift never uses the network",
        } do
            assert.truthy(notes:find(text, 1, true), text .. " is not in:\n" .. notes)
        end
    end)

    it("finds it beside the dump without being told", function()
        write("ntdll.pdb", pdb_with(id))
        local found = module()
        os.remove(folder .. "/ntdll.pdb")
        assert.equal("pdb", found.symbols)
        assert.equal("./ntdll.pdb", found.symbol_file)
    end)

    it("names frames, and says from what", function()
        local out = program.output({ "run", "symbols", "tiny.dmp", "7c96cf9a", "ntdll!RtlpStackTraceDataBase",
            "--symbols", "flat" }, folder)
        assert.truthy(out:find("7c96cf9a  ntdll!RtlDebugAllocateHeap+0xe1", 1, true), out)
        assert.truthy(out:find("Decorated:  _RtlDebugAllocateHeap@12", 1, true), out)
        assert.truthy(out:find("7c97b170 +%- +pdb +ntdll!RtlpStackTraceDataBase"), out)
        local trace = program.output({ "run", "trace", "tiny.dmp", "1", "--symbols", "flat" }, folder)
        assert.truthy(trace:find("ntdll!RtlAllocateHeapSlowly+0x44", 1, true), trace)
    end)

    it("gives the address of a name from the PDB", function()
        write("resolve.lua", [[
            print(("%x"):format(dump:resolve "ntdll!_RtlDebugAllocateHeap@12"),
                ("%x"):format(dump:resolve "ntdll!RtlDebugAllocateHeap+0x1"),
                dump:resolve "ntdll!NoSuchName", dump:pdb_type("ntdll", "_HEAP"), #dump:pdb_types("ntdll", "*"))
            print(dump:symbol_parts(0x7c96cf9a).source, dump:module "ntdll".symbols)]])
        local out = program.output({ "run", "resolve.lua", "tiny.dmp", "--symbols", "flat" }, folder)
        assert.equal("7c96ceb9\t7c96ceba\tnil\tnil\t0\npdb\tpdb\n", out)
    end)

    it("is done again by .sympath and .reload", function()
        local function shell(line, ...) return program.run({ "shell", "tiny.dmp", "-c", line, ... }, folder) end
        assert.equal(6, (select(2, shell "x ntdll!RtlDebugSizeHeap")))
        local out = shell ".sympath nothere;srv*store\nx ntdll!RtlDebugSizeHeap"
        assert.truthy(out:find "^%*%*%* [^\n]*nothere is no folder here\n", out)
        assert.truthy(out:find("Symbol search path is: nothere;srv*store\n", 1, true), out)
        assert.truthy(out:find "\n  ntdll +pdb +store/ntdll.pdb/", out)
        assert.truthy(out:find "\n7c96d100 ntdll!RtlDebugSizeHeap", out)
        -- added to, and taken away again
        out = shell ".sympath other\n.sympath+ flat\nln 7c96ceb9\n.sympath other\n.reload /f ntdll.dll"
        assert.truthy(out:find("Symbol search path is: other;flat\n", 1, true), out)
        assert.truthy(out:find "\n  ntdll +pdb +flat/ntdll.pdb", out)
        assert.truthy(out:find("\n(7c96ceb9)   ntdll!RtlDebugAllocateHeap\n", 1, true), out)
        assert.truthy(out:find "\n  ntdll +exports\n$", out)
        assert.equal("flat\tpdb\nother\texports\n", (shell([[
            print(dump:symbol_path(), dump:module("ntdll").symbols)
            print(dump:symbol_path "other", dump:module("ntdll").symbols)]], "--symbols", "flat")))
        assert.equal("All symbols are looked for again when they are needed.\n", (shell ".reload"))
        -- a file that comes while the prompt is open
        make "late"
        local pipe <close> = assert(io.popen(([[cd '%s' && (echo '.sympath late'; sleep 1; cp flat/ntdll.pdb late;
            echo '.reload /f ntdll') | '%s' shell tiny.dmp -f -]]):format(folder, program.path)))
        out = pipe:read "a"
        assert.truthy(out:find "\n  ntdll +exports", out)
        assert.truthy(out:find "\n  ntdll +pdb +late/ntdll.pdb\n$", out)
        for line, is in pairs { [".reload zork"] = 6, [".reload /x"] = 2, [".reload a b"] = 2, [".sympath+"] = 2 } do
            assert.equal(is, (select(2, shell(line))), line)
        end
        assert.equal("flat", json.decode((shell ".sympath flat --json")).result.path)
    end)
end)
