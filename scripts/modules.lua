-- modules: what is loaded where, as `lm`; one module in detail, as `lmv`; and what was unloaded.
-- "(pdb symbols)" means that a PDB was found that belongs to the module (--symbols, _NT_SYMBOL_PATH, or beside the
-- dump). "(export symbols)" means that names come from the export table only: far past an export a name is a guess.
--
--     start    end        module name
--     10000000 10294000   3rdpartydll   (export symbols)       3rdpartydll.dll

heapsift.script {
    summary = "loaded and unloaded modules, as lm and lmv",
    description = [[
Without NAME every module is listed. With NAME (or an address inside it) that module in detail: time stamp,
version, PDB, sections and exports.]],
    args = {
        { name = "name", type = "string", optional = true, doc = "module name, or an address in it (hex)" },
    },
    options = {
        exports = { type = "flag", doc = "list the exports of NAME" },
    },
    examples = {
        "heapsift run modules outlook.dmp",
        "heapsift run modules outlook.dmp MSO --exports",
    },
    json = "heapsift.modules/1",
}

local text = require "text"

local SYMBOLS <const> = { pdb = "(pdb symbols)", exports = "(export symbols)", none = "(no symbols)" }

if args.exports and not args.name then
    heapsift.fail("usage", "--exports needs the NAME of a module")
end

local function find(named)
    local module = dump:module(named)
    if not module then
        local va = named:match("^%x+$") or named:match("^0[xX](%x+)$")
        module = va and #va <= 16 and dump:module(tonumber(va, 16) & math.maxinteger)
    end
    if not module then
        text.fail("missing", "no module is called %s, and none lies at that address", named)
    end
    return module
end

local function section_json(section)
    return {
        name = section.name, address = text.hex_address(dump, section.address), size = section.size,
        readable = section.readable, writable = section.writable, executable = section.executable,
    }
end

local function export_json(export)
    return {
        name = export.name, ordinal = export.ordinal, address = text.hex_address(dump, export.address),
        forwarder = export.forwarder,
    }
end

local function module_json(module)
    return {
        base = text.hex_address(dump, module.base), size = module.size, name = module.name,
        path = module.path, timestamp = module.timestamp, checksum = text.hex(module.checksum),
        version = module.version, pdb = module.pdb, pdb_id = module.pdb_id, symbols = module.symbols,
        symbol_file = module.symbol_file,
    }
end

local function unloaded_json(module)
    return {
        base = text.hex_address(dump, module.base), size = module.size, name = module.name,
        timestamp = module.timestamp, checksum = text.hex(module.checksum),
    }
end

local function collect(sequence, convert)
    local out = {}
    for i, item in ipairs(sequence) do
        out[i] = convert(item)
    end
    return out
end

local unloaded = dump:info().unloaded_modules

local function print_sections(module)
    local rows = {}
    for i, section in ipairs(module:sections()) do
        rows[i] = {
            section.name, text.address(dump, section.address), string.format("%x", section.size),
            (section.readable and "r" or "-") .. (section.writable and "w" or "-")
                .. (section.executable and "x" or "-"),
        }
    end
    if #rows == 0 then
        print("    Sections:         the headers of its image are not in the dump")
        return
    end
    print("    Sections:")
    text.table({ { "name", "left" }, { "address", "left" }, { "size", "right" }, { "access", "left" } }, rows,
        "        ")
end

local function print_exports(module)
    print("    Exports:")
    local rows = {}
    for i, export in ipairs(module:exports()) do
        local name = export.name or "Ordinal" .. export.ordinal
        rows[i] = {
            tostring(export.ordinal), export.address and text.address(dump, export.address) or "",
            export.forwarder and name .. " -> " .. export.forwarder or name,
        }
    end
    text.table({ { "ordinal", "right" }, { "address", "left" }, { "name", "left", "middle" } }, rows, "        ")
end

local function print_module(module)
    local width = dump.pointer_size * 2
    text.say("%-" .. width .. "s %-" .. width .. "s   module name", "start", "end")
    text.say("%s %s   %s   %s", text.address(dump, module.base), text.address(dump, module.end_address),
        module.name, SYMBOLS[module.symbols] or module.symbols)
    text.facts({
        { "Image path:", module.path },
        { "Timestamp:", string.format("%s (%08x)", text.time(module.timestamp), module.timestamp) },
        { "CheckSum:", string.format("%08x", module.checksum) },
        { "ImageSize:", string.format("%08x (%s)", module.size, text.size(module.size)) },
        { "File version:", module.version or "not told" },
        { "PDB:", module.pdb and module.pdb .. " " .. (module.pdb_id or "") or "no RSDS record in the dump" },
        { "Exports:", text.count(#module:exports()) },
        { "Symbol file:", module.symbol_file },
    }, "    ")
    print_sections(module)
    if args.exports then
        print_exports(module)
    end
end

if args.name then
    local module = find(args.name)
    if args.json then
        local result = module_json(module)
        result.sections = collect(module:sections(), section_json)
        result.export_count = #module:exports()
        result.exports = args.exports and collect(module:exports(), export_json) or nil
        return report:result(result)
    end
    return print_module(module)
end

if args.json then
    return report:result {
        modules = collect(dump:modules(), module_json), unloaded = collect(unloaded, unloaded_json),
    }
end

local sorted = {}
for i, module in ipairs(dump:modules()) do
    sorted[i] = module
end
table.sort(sorted, function(a, b)
    return a.base < b.base
end)

local rows = {}
for i, module in ipairs(sorted) do
    rows[i] = {
        text.address(dump, module.base) .. " " .. text.address(dump, module.end_address), module.name,
        SYMBOLS[module.symbols] or module.symbols, module.version or "-", module.path,
    }
end
local width <const> = dump.pointer_size * 2
text.table({
    { string.format("%-" .. width .. "s end", "start"), "left" }, { "module name", "left" }, { "", "left" },
    { "version", "left" }, { "path", "left", "start" },
}, rows)

if #unloaded > 0 then
    print()
    print("Unloaded modules:")
    for _, module in ipairs(unloaded) do
        text.say("%s %s  %s  %s", text.address(dump, module.base),
            text.address(dump, module.base + module.size), text.time(module.timestamp), module.name)
    end
end
