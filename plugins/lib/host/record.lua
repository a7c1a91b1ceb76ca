-- record.lua: what the child process of a batch hands over: two JSON texts, one a line. The first, as soon as the dump
-- is open, says what the dump is; the second, at the end, what the script reported. engine/store/result.c makes rows of
-- them.

local core = require "host.core"
local json = require "host.json"
local report = require "host.report"

local record = {}

local function one_line(value)
    return (json.line(value) .. "\n")
end

-- Texts may come from anywhere in a dump: what is stored is fit for any terminal.
local function clean(text)
    return core.escape(text, true)
end

-- "1.2.3.4" as one integer that sorts as versions do.
local function version_number(version)
    local number = 0
    local parts = { (version or ""):match "^(%d+)%.(%d+)%.(%d+)%.(%d+)$" }
    for i = 1, 4 do number = number << 16 | (math.tointeger(tonumber(parts[i])) or 0) & 0xffff end
    return number
end

function record.facts(dump)
    local info, modules = dump:info(), {}
    for module in dump:modules() do
        modules[#modules + 1] = {
            name = clean(module.name), version = module.version or "", version_number = version_number(module.version),
            timestamp = module.timestamp, size = module.size, pdb = clean(module.pdb or ""),
            pdb_id = module.pdb_id or "",
        }
    end
    return one_line {
        arch = info.arch, pointer_size = info.pointer_size, windows = info.windows, windows_build = info.windows_build,
        service_pack = clean(info.service_pack), process = clean(info.image_name),
        process_path = clean(info.image_path), process_id = info.process_id, dumped_at = info.dump_time,
        started_at = info.create_time, user_seconds = info.user_time, kernel_seconds = info.kernel_time,
        global_flag = info.global_flag, has_traces = info.has_traces and 1 or 0,
        full_memory = info.full_memory and 1 or 0, cut = info.cut and 1 or 0, modules = modules,
    }
end

-- ---- findings ----

local function address_of(dump, value)
    if math.type(value) == "integer" then return value >= 0 and value or nil end
    if type(value) ~= "string" then return nil end
    local hex = value:match "^0x(%x+)$"
    if hex and #hex <= 16 then return tonumber(hex, 16) end
    local va = dump:resolve((value:gsub("%s*%[.*$", "")))
    return va or nil
end

local function index_of(value)
    if math.type(value) == "integer" then return value end
    local hex = type(value) == "string" and value:match "^0?x?(%x+)$"
    return hex and #hex <= 8 and tonumber(hex, 16) or nil
end

-- The call site of a finding: of its frame, else of the caller in its trace; nil if there is none in a module.
local function site_of(dump, finding)
    local va = address_of(dump, finding.frame)
    local index = not va and index_of(finding.trace)
    if index and index > 0 and dump.has_traces then
        local trace = dump.traces[index]
        va = trace and trace:caller() or nil
    end
    local parts = va and dump:symbol_parts(va)
    local module = parts and dump:module(va)
    if not module then return nil end
    local name = parts.near and parts.name or ""
    return { module = clean(module.name), timestamp = module.timestamp, rva = parts.rva, ["function"] = clean(name),
             offset = name ~= "" and parts.offset or 0, symbols = module.symbols }
end

local function text_of(value)
    if value == nil then return nil end
    return clean(type(value) == "table" and json.line(value) or tostring(value))
end

local function trace_text(value)
    return math.type(value) == "integer" and ("0x%x"):format(value) or text_of(value)
end

local function integer_of(value)
    return type(value) == "number" and math.tointeger(value) or nil
end

local function finding_row(dump, finding)
    return {
        claim = clean(finding.claim), confidence = finding.confidence, level = report.word_of(finding.confidence),
        blocks = integer_of(finding.blocks), bytes = integer_of(finding.bytes),
        share = type(finding.share) == "number" and finding.share or nil, trace = trace_text(finding.trace),
        module = text_of(finding.module), frame = trace_text(finding.frame), evidence = text_of(finding.evidence),
        against = text_of(finding.against), remedy = text_of(finding.remedy), missing = text_of(finding.missing),
        refute = text_of(finding.refute), site = dump and site_of(dump, finding),
    }
end

-- ---- the rest of a report ----

local function cleaned(list)
    local copy = {}
    for i, value in ipairs(list) do copy[i] = type(value) == "string" and clean(value) or value end
    return copy
end

-- `reported` may be nil; `dump` is the open dump or nil; `partial`: part of what was asked for could not be read.
function record.document(reported, schema, dump, notes, partial)
    local parts = reported and report.parts(reported) or { figures = {}, tables = {}, findings = {} }
    local findings, figures, tables = {}, {}, {}
    for i, finding in ipairs(parts.findings) do findings[i] = finding_row(dump, finding) end
    for i, figure in ipairs(parts.figures) do
        figures[i] = { name = clean(figure.name), value = text_of(figure.value) and
            (type(figure.value) == "string" and clean(figure.value) or figure.value), unit = text_of(figure.unit) }
    end
    for i, each in ipairs(parts.tables) do
        local rows = {}
        for j, row in ipairs(each.rows) do rows[j] = cleaned(row) end
        tables[i] = { title = clean(each.title), columns = cleaned(each.columns), rows = rows }
    end
    return one_line {
        schema = schema or json.null, result = parts.result, findings = findings, figures = figures, tables = tables,
        notes = cleaned(notes), partial = partial and 1 or 0,
    }
end

return record
