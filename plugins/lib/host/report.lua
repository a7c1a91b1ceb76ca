-- report.lua: what a script reports, kept in order and shown at the end: result, figures, tables, findings.

local layout = require "columns"
local json = require "host.json"
local out = require "host.out"
local words = require "host.words"

local report = {}

local FINDING_FIELDS <const> = { "claim", "confidence", "evidence", "against", "blocks", "bytes", "share", "trace",
                                 "module", "frame", "remedy", "missing", "refute" }
local WORD_CONFIDENCE <const> = { certain = 0.99, likely = 0.8, hint = 0.5 }

local function word_of(confidence)
    return confidence >= 0.99 and "certain" or confidence >= 0.8 and "likely" or "hint"
end

local Report = { __metatable = "heapsift.report", __name = "report" }
local methods = {}

function Report.__index(_, key)
    if methods[key] then return methods[key] end
    local names = {}
    for name in pairs(methods) do names[#names + 1] = name end
    table.sort(names)
    error(("report has no field '%s'%s"):format(tostring(key), words.hint(tostring(key), names)), 2)
end

function Report.__newindex()
    error("fields of a report cannot be set", 2)
end

-- Its methods, for the reference.
report.methods = methods

local states = setmetatable({}, { __mode = "k" })

local function state_of(self)
    return states[self] or error("report: use report:method(...)", 3)
end

function report.new()
    local self = setmetatable({}, Report)
    states[self] = { items = {}, findings = {}, result = nil }
    return self
end

local function checked(value, where)
    local ok, prepared = pcall(json.prepare, value, where)
    if not ok then error(prepared, 3) end
    return prepared
end

-- report:result(value): what --json prints as `result`
function methods.result(self, value)
    local state = state_of(self)
    if type(value) ~= "table" then error("report:result: a table expected, got " .. type(value), 2) end
    if state.result ~= nil then error("report:result: there is one already", 2) end
    state.result = checked(value, "result")
end

-- report:figure(name, value[, unit])
function methods.figure(self, name, value, unit)
    local state = state_of(self)
    if type(name) ~= "string" then error("report:figure: a name expected, got " .. type(name), 2) end
    if type(value) ~= "number" and type(value) ~= "string" then
        error("report:figure: a number or text expected, got " .. type(value), 2)
    end
    if unit ~= nil and type(unit) ~= "string" then error("report:figure: the unit is a text", 2) end
    table.insert(state.items, { figure = true, name = name, value = value, unit = unit })
end

-- report:table(title, columns, rows)
function methods.table(self, title, columns, rows)
    local state = state_of(self)
    if type(title) ~= "string" then error("report:table: a title expected, got " .. type(title), 2) end
    if type(columns) ~= "table" or type(rows) ~= "table" then error("report:table: columns and rows are lists", 2) end
    local copy = { title = title, columns = {}, rows = {} }
    for i, column in ipairs(columns) do copy.columns[i] = tostring(column) end
    for i, row in ipairs(rows) do
        if type(row) ~= "table" then error(("report:table: row %d is no list"):format(i), 2) end
        copy.rows[i] = {}
        for j = 1, #copy.columns do
            local cell = row[j]
            copy.rows[i][j] = (type(cell) == "number" or type(cell) == "boolean") and cell
                or cell ~= nil and tostring(cell) or ""
        end
    end
    table.insert(state.items, copy)
end

-- report:add(finding[, told]); told: the script tells of it in its own words
function methods.add(self, finding, told)
    local state = state_of(self)
    if type(finding) ~= "table" then error("report:add: a table expected, got " .. type(finding), 2) end
    for key in pairs(finding) do
        local known = false
        for _, field in ipairs(FINDING_FIELDS) do known = known or field == key end
        if not known then
            error(("report:add: unknown field '%s'%s"):format(tostring(key),
                words.hint(tostring(key), FINDING_FIELDS)), 2)
        end
    end
    if type(finding.claim) ~= "string" or finding.claim == "" then error("report:add: claim: a text expected", 2) end
    local confidence = WORD_CONFIDENCE[finding.confidence] or finding.confidence
    if type(confidence) ~= "number" or not (confidence >= 0 and confidence <= 1) then
        error("report:add: confidence: a number from 0 to 1, or certain, likely or hint expected", 2)
    end
    local copy = checked(finding, "finding")
    copy.confidence = confidence
    if not told then table.insert(state.items, { finding = copy }) end
    table.insert(state.findings, copy)
end

-- ---- text ----

local function grouped(value)
    if math.type(value) ~= "integer" then return tostring(value) end
    local digits = tostring(value)
    local sign, rest = digits:match "^(%-?)(%d+)$"
    return sign .. rest:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
end

local function cell_text(cell)
    if type(cell) == "number" then return math.type(cell) == "integer" and grouped(cell) or ("%.2f"):format(cell) end
    return tostring(cell)
end

-- What is no number may be shortened where it must.
local function print_table(item)
    local list, rows = {}, {}
    for i, row in ipairs(item.rows) do
        rows[i] = {}
        for j in ipairs(item.columns) do rows[i][j] = cell_text(row[j]) end
    end
    for j, column in ipairs(item.columns) do
        local numeric, fixed = #item.rows > 0, true
        for i, row in ipairs(item.rows) do
            numeric = numeric and type(row[j]) == "number"
            fixed = fixed and rows[i][j]:find "^[%x`x.,+-]*$" ~= nil
        end
        list[j] = { column, numeric and "right" or "left", not fixed and "middle" or nil }
    end
    local title, lines = layout.lines(list, rows, "  ", out.width())
    out.heading(item.title)
    if title then out.heading(title) end
    for _, line in ipairs(lines) do out.print(line) end
end

local function value_text(value)
    if type(value) ~= "table" then return cell_text(value) end
    local parts = {}
    for i, each in ipairs(value) do parts[i] = value_text(each) end
    if #parts == 0 then
        local keys = {}
        for key in pairs(value) do keys[#keys + 1] = key end
        table.sort(keys)
        for i, key in ipairs(keys) do parts[i] = ("%s %s"):format(key, value_text(value[key])) end
    end
    return table.concat(parts, "; ")
end

local function print_finding(finding)
    out.heading(("%s (%.2f): %s"):format(word_of(finding.confidence), finding.confidence, finding.claim))
    for _, field in ipairs(FINDING_FIELDS) do
        local value = finding[field]
        if value ~= nil and field ~= "claim" and field ~= "confidence" then
            local text = field == "share" and type(value) == "number" and ("%.1f %%"):format(100 * value)
                or value_text(value)
            out.print(("  %s: %s"):format(field, text))
        end
    end
end

-- What was given to report:result, or what stands for it.
function report.result(self)
    return states[self].result
end

-- Prints everything but the result.
function report.print(self)
    for _, item in ipairs(states[self].items) do
        if item.finding then
            print_finding(item.finding)
        elseif item.figure then
            out.print(("%s: %s%s"):format(item.name, cell_text(item.value), item.unit and " " .. item.unit or ""))
        else
            print_table(item)
        end
    end
end

-- ---- JSON ----

local function finding_object(finding)
    local list = {}
    for _, field in ipairs(FINDING_FIELDS) do
        if finding[field] ~= nil then list[#list + 1] = { field, finding[field] } end
        if field == "confidence" then list[#list + 1] = { "level", word_of(finding.confidence) } end
    end
    return json.object(list)
end

-- The result of a script that gave none is what it reported in figures and tables.
local function default_result(items)
    local figures, tables = {}, {}
    for _, item in ipairs(items) do
        if item.figure then
            figures[#figures + 1] = json.object {
                { "name", item.name }, { "value", item.value }, { "unit", item.unit },
            }
        elseif item.rows then
            tables[#tables + 1] = json.object { { "title", item.title }, { "columns", item.columns },
                                                { "rows", item.rows } }
        end
    end
    if #figures == 0 and #tables == 0 then return json.null end
    return json.object { { "figures", figures }, { "tables", tables } }
end

-- The whole document. `dump` and `notes` are plain tables; `dump` may be nil.
function report.document(self, schema, dump, notes)
    local state = states[self]
    local findings = {}
    for i, finding in ipairs(state.findings) do findings[i] = finding_object(finding) end
    return json.encode(json.object {
        { "schema", schema or json.null },
        { "dump", dump or json.null },
        { "result", state.result or default_result(state.items) },
        { "findings", findings },
        { "notes", notes },
    })
end

report.word_of = word_of

-- What was reported, by kind: { result, figures, tables, findings }; `result` may be nil.
function report.parts(self)
    local state = states[self]
    local parts = { result = state.result, findings = state.findings, figures = {}, tables = {} }
    for _, item in ipairs(state.items) do
        local list = item.figure and parts.figures or item.rows and parts.tables
        if list then list[#list + 1] = item end
    end
    return parts
end

-- Whether a finding reaches this confidence.
function report.reaches(self, level)
    for _, finding in ipairs(states[self].findings) do
        if finding.confidence >= level then return true end
    end
    return false
end

return report
