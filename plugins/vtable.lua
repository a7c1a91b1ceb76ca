-- vtable: blocks that are C++ objects, by the virtual method table their first word points to.
-- Why: the class tells the module, whatever the stack says. And a first word that merely falls into a module's image is
-- no vtable: `!heap -p -a` prints "? 3rdpartydll+1" for the MAPI flags 10000001 because a DLL was loaded at 10000000.
-- Labels: vtable. A vtable is aligned, lies in a section that is not writable, and its slots point into executable
-- sections (at least two of them). Where a PDB names the table, the class is known: `objects` groups by it.
-- Known false alarms: other tables of functions in read-only data, such as a C interface or an import table.
-- Sample output (as data): 10000001 in 3rdpartydll: "is no multiple of 4", 280,000 blocks, of them mapi.row ...

local firstword = require "firstword"

local VALUES_MAX <const> = 4096 -- different first words inside images that are judged, most bytes first
local PAGES_MAX <const> = 4000  -- ranges in one filter text

-- A filter text for "the first word lies in (or near) an image"; nil: there are no images.
local function image_filter(dump)
    local shift, pages, count = 16
    repeat
        pages, count = {}, 0
        for module in dump:modules() do
            for page = module.base >> shift, (module.end_address - 1) >> shift do
                if not pages[page] then pages[page], count = true, count + 1 end
            end
        end
        shift = shift + 2
    until count <= PAGES_MAX or shift > 40
    shift = shift - 2
    local list = {}
    for page in pairs(pages) do list[#list + 1] = page end
    if #list == 0 then return nil end
    table.sort(list)
    for i, page in ipairs(list) do list[i] = ("0x%x"):format(page) end
    return ("ptr(0) >> %d in {%s}"):format(shift, table.concat(list, ","))
end

local function list_text(values)
    local texts = {}
    for i, value in ipairs(values) do texts[i] = ("0x%x"):format(value) end
    return "ptr(0) in {" .. table.concat(texts, ",") .. "}"
end

-- The hint that a debugger gives for a first word in an image, and why it is none. lines(): sentences; types(): what
-- the blocks are instead, as rows { type, count, bytes }, from the labels there are when it is called.
local function false_hint(dump, set, row, verdict)
    local hint = {
        value = row.word, module = verdict.module.name, base = verdict.module.base,
        end_address = verdict.module.end_address, section = verdict.section, why = verdict.why,
        debugger = firstword.hint(dump, verdict),
        blocks = row.count, bytes = row.bytes, where = ("ptr(0) == 0x%x"):format(row.word),
    }
    function hint.lines() return firstword.lines(dump, verdict) end
    function hint.types()
        local rows = {}
        for each in set:where(hint.where):group "type" do rows[#rows + 1] = each end
        return rows
    end
    return hint
end

-- Vtables by class: several tables (of base classes, or of one class in several modules' copies) can be of one.
local function by_class(classes)
    local list, known = {}, {}
    for _, each in ipairs(classes) do
        local key = each.module .. "!" .. (each.class or ("%x"):format(each.value))
        local row = known[key]
        if not row then
            row = { class = each.class, module = each.module, symbol = each.symbol, tables = {}, blocks = 0, bytes = 0 }
            known[key], list[#list + 1] = row, row
        end
        row.tables[#row.tables + 1] = each.value
        row.blocks, row.bytes = row.blocks + each.blocks, row.bytes + each.bytes
    end
    for _, row in ipairs(list) do
        table.sort(row.tables)
        row.where = list_text(row.tables)
    end
    table.sort(list, function(a, b)
        if a.bytes ~= b.bytes then return a.bytes > b.bytes end
        return a.tables[1] < b.tables[1]
    end)
    return list
end

-- Returns, for other plugins, most bytes first: classes (each a vtable: value, module, section, symbol, class or nil,
-- blocks, bytes, where), objects (each a class: class or nil, module, symbol, tables, blocks, bytes, where) and hints
-- (first words that fall into an image and are no vtables; see false_hint).
local function recognise(dump, _, inside)
    local facts = { classes = {}, objects = {}, hints = {} }
    if not inside then return facts end
    local judge, sure, likely, looked = firstword.judge_of(dump), {}, {}, 0
    for row in inside:group "word = ptr(0)" do
        looked = looked + 1
        if looked > VALUES_MAX then break end
        local verdict = judge(row.word)
        if verdict and verdict.is_vtable then
            local list = verdict.own_slots and sure or likely
            list[#list + 1] = row.word
            facts.classes[#facts.classes + 1] = {
                value = row.word, module = verdict.module.name, section = verdict.section,
                symbol = dump:symbol(row.word), class = verdict.class, blocks = row.count, bytes = row.bytes,
                where = ("ptr(0) == 0x%x"):format(row.word),
            }
        elseif verdict then
            facts.hints[#facts.hints + 1] = false_hint(dump, inside, row, verdict)
        end
    end
    facts.objects = by_class(facts.classes)
    if #sure > 0 then
        inside:where(list_text(sure)):label("vtable", 0.97, "first word points to a table of the module's own code")
    end
    if #likely > 0 then
        inside:where(list_text(likely)):label("vtable", 0.85, "first word points to a table of code")
    end
    return facts
end

return {
    name = "vtable",
    summary = "objects with a virtual method table, and first words that only look so",
    kind = "recogniser",
    needs = { "blocks" },
    filters = image_filter,
    recognise = recognise,
}
