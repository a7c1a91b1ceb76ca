-- command_symbols: x MODULE!PATTERN, ln ADDRESS, and where symbols come from: .sympath, .reload.

local text = require "text"

local ROWS_MAX <const> = 5000

local function matches(dump, module, pattern)
    local rows, seen = {}, {}
    for _, symbol in ipairs(module:find_symbols(pattern)) do
        local key = symbol.address .. symbol.name
        if not seen[key] then
            seen[key] = true
            rows[#rows + 1] = { symbol.address, module.name .. "!" .. symbol.name }
        end
    end
    -- The one name that heapsift finds by other means.
    local db = dump.traces
    if #rows == 0 and db and module.name:lower() == "ntdll" and pattern:lower() == "rtlpstacktracedatabase" then
        rows[1] = { db.pointer_address, "ntdll!RtlpStackTraceDataBase", "found by search, by no symbol" }
    end
    return rows
end

local function glob_to_pattern(glob)
    return "^" .. glob:lower():gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

local function examine(dump, call)
    local module_glob, pattern = call.text:match "^([^!%s]+)!(.+)$"
    if not pattern then call:fail("usage", "at position %d: MODULE!PATTERN expected", call.at) end
    local rows, any = {}, false
    for module in dump:modules() do
        if module.name:lower():find(glob_to_pattern(module_glob)) then
            any = true
            table.move(matches(dump, module, pattern), 1, 1 << 20, #rows + 1, rows)
        end
    end
    if not any then call:fail("missing", "at position %d: no module is called %s", call.at, module_glob) end
    if #rows == 0 then
        call:fail("missing", "at position %d: no symbol matches %s", call.at, call.text)
    end
    if call.json then
        local list = {}
        for i, row in ipairs(rows) do list[i] = { address = text.hex_address(dump, row[1]), name = row[2] } end
        return list
    end
    for i = 1, math.min(#rows, ROWS_MAX) do
        text.say("%s %s = <no type information>%s", text.address(dump, rows[i][1]), rows[i][2],
            rows[i][3] and "  (" .. rows[i][3] .. ")" or "")
    end
    if #rows > ROWS_MAX then text.say("... %s more", text.plural(#rows - ROWS_MAX, "symbol")) end
end

local function nearest(dump, call)
    if call.text == "" then call:fail("usage", "an address expected") end
    local va = call:value()
    local parts = va >= 0 and dump:symbol_parts(va)
    if not parts then call:fail("missing", "no module holds %x", va) end
    if call.json then
        return { address = text.hex_address(dump, va), module = parts.module, name = parts.name,
                 offset = parts.offset, near = parts.near }
    end
    if not parts.name then
        text.say("(%s)   %s+0x%x", text.address(dump, va), parts.module, parts.rva)
    else
        text.say("(%s)   %s!%s%s", text.address(dump, va - parts.offset), parts.module, parts.name,
            parts.offset > 0 and ("+0x%x"):format(parts.offset) or "")
        if parts.offset == 0 then print "Exact matches:" text.say("    %s!%s", parts.module, parts.name) end
        if not parts.near then
            print "    far past that symbol: a guess (heapsift)"
        end
    end
end

local function sources(list)
    local rows = {}
    for i, module in ipairs(list) do
        rows[i] = { module = module.name, symbols = module.symbols, file = module.symbol_file }
    end
    return rows
end

local function print_sources(rows)
    local lines = {}
    for i, row in ipairs(rows) do lines[i] = { row.module, row.symbols, row.file or "" } end
    text.table({ { "module", "left" }, { "symbols", "left" }, { "file", "left", "start" } }, lines, "  ")
end

-- Sets the path and tells what is wrong with it.
local function look_again(dump, call, path)
    local before = #dump:notes()
    dump:symbol_path(path)
    if call.json then return end
    for i, note in ipairs(dump:notes()) do
        if i > before then text.say("*** %s", note) end
    end
end

-- .sympath, .sympath PATH, .sympath+ PATH
local function path_of(dump, call)
    local more, path = call.text:match "^(%+?)%s*(.-)%s*$"
    path = path:match '^"(.*)"$' or path
    if more ~= "" and path == "" then call:fail("usage", "at position %d: a path expected behind +", call.at + 1) end
    if path ~= "" then
        local own = dump:symbol_path()
        look_again(dump, call, more ~= "" and own ~= "" and own .. ";" .. path or path)
    end
    local rows = {}
    for module in dump:modules() do rows[#rows + 1] = module end
    rows = sources(rows)
    if call.json then return { path = dump:symbol_path(), modules = rows } end
    local own = dump:symbol_path()
    text.say("Symbol search path is: %s", own ~= "" and own or "<empty>")
    print "Also looked in: the dump's folder. Nothing is ever fetched."
    print_sources(rows)
end

-- .reload, .reload [/f] [MODULE]: everything is looked for again; /f and a module, at once.
local function reload(dump, call)
    local force, name = false, nil
    for at, word in call.text:gmatch "()(%S+)" do
        if word == "/f" then
            force = true
        elseif word:find "^/" or name then
            call:fail("usage", "at position %d: /f or one module expected, got '%s'", call.at + at - 1, word)
        else
            name = word:gsub("%.%w+$", "")
        end
    end
    local list = {}
    for module in dump:modules() do
        if not name or module.name:lower() == name:lower() then list[#list + 1] = module end
    end
    if #list == 0 then call:fail("missing", "at position %d: no module is called %s", call.at, name or "so") end
    look_again(dump, call, dump:symbol_path())
    if not force and not name then
        if call.json then return {} end
        print "All symbols are looked for again when they are needed."
        return
    end
    local rows = sources(list)
    if call.json then return rows end
    print_sources(rows)
end

local RUN <const> = { x = examine, ln = nearest, [".sympath"] = path_of, [".reload"] = reload }

return {
    name = "command_symbols", kind = "command", words = { "x", "ln", ".sympath", ".reload" },
    summary = "symbols by pattern or address; where they come from",
    usage = [[
x ntdll!Rtl*Heap*       * and ? stand for any characters and for one; case does not matter
ln 7c918f01             the symbol at or below an address
.sympath                where PDBs are looked for
+                       and what each module's names come from
.sympath DIR;srv*DIR    sets that, to the end of the line; .sympath+ DIR adds to it
+                       folders and local stores, and the dump's own folder; nothing is ever fetched
.reload                 looks for all PDBs again, when they are needed; .reload /f at once, .reload ntdll shows one
+ x finds ntdll!RtlpStackTraceDataBase also without a PDB. ln says where an address is too far past a symbol.]],
    run = function(dump, call) return RUN[call.word](dump, call) end,
}
