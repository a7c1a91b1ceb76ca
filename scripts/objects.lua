-- objects: C++ objects on the heaps, by class.
-- Why: a million objects of one class say more than a million blocks of one size. A class is known by its virtual
-- method table, which a PDB names; without one the table's address stands for the class.
-- Known limits: classes without virtual functions are not seen; an object counts as what its first word says.
--
--      blocks    bytes  module  class
--           3       96  mapi32  CFolderTable

heapsift.script {
    summary = "C++ objects by class, from their virtual method tables",
    description = [[
Busy blocks whose first word is the address of a virtual method table, grouped by the class that a PDB names
(--symbols, _NT_SYMBOL_PATH), else by the table. The filter of a row for other scripts is in its JSON.]],
    options = {
        top = { type = "integer", default = 40, min = 0, doc = "so many rows, 0 for all" },
    },
    examples = { "heapsift run objects outlook.dmp --symbols 'srv*/symbols'" },
    json = "heapsift.objects/1",
}

local text = require "text"

local _, facts = heapsift.recognise(dump)
local objects = facts.vtable and facts.vtable.objects or {}
local shown = args.top == 0 and #objects or math.min(args.top, #objects)

if args.json then
    local rows = {}
    for i = 1, shown do
        local row = objects[i]
        local tables = {}
        for k, va in ipairs(row.tables) do
            tables[k] = text.hex_address(dump, va)
        end
        rows[i] = {
            class = row.class, module = row.module, symbol = row.symbol, tables = tables, blocks = row.blocks,
            bytes = row.bytes, where = row.where,
        }
    end
    return report:result { objects = rows, total = #objects }
end

if #objects == 0 then
    print("no busy block begins with the address of a virtual method table")
    return
end
local rows = {}
for i = 1, shown do
    local row = objects[i]
    rows[i] = {
        text.count(row.blocks), text.count(row.bytes), row.module,
        row.class or "vtable " .. text.address(dump, row.tables[1]),
    }
end
text.table({ { "blocks", "right" }, { "bytes", "right" }, { "module", "left" }, { "class", "left", "middle" } }, rows)
if shown < #objects then
    text.say("and %s more (--top)", text.count(#objects - shown))
end
