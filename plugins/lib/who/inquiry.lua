-- inquiry.lua: everything that `who` asks of a dump, as one table; nothing is printed here.

local memory = require "who.memory"
local rivals = require "who.rivals"
local suspects = require "who.suspects"
local verdict = require "who.verdict"

local inquiry = {}

local MATERIAL <const> = 0.01 -- of all busy bytes: less is no finding beyond a hint
local HINT <const> = 0.5
local PERHAPS <const> = verdict.PERHAPS

-- Heaps whose blocks are read, and those that are not.
local function sort_heaps(dump)
    local read, unread = {}, {}
    for heap in dump:heaps() do
        local list = heap.reason and unread or read
        list[#list + 1] = heap
    end
    return read, unread
end

-- What query_rows returned, and its findings. A plugin that fails leaves a note, and nothing here.
local function ask_query_rows(dump)
    local findings = {}
    local collector = { add = function(_, finding) findings[#findings + 1] = finding end }
    local done, rows = heapsift.heuristic("query_rows", dump, {}, collector)
    return done and rows or nil, findings
end

local function finding_of(case, suspect)
    local judged, private = suspect.verdict, case.memory.private
    local material = suspect.lost_bytes >= MATERIAL * case.busy_bytes
    return {
        claim = judged.claim, confidence = material and judged.confidence or math.min(judged.confidence, HINT),
        evidence = #judged.evidence > 0 and judged.evidence or nil,
        against = #judged.against > 0 and judged.against or nil,
        blocks = suspect.lost_blocks > 0 and suspect.lost_blocks or suspect.blocks,
        bytes = suspect.lost_bytes > 0 and suspect.lost_bytes or suspect.bytes,
        share = private > 0 and (suspect.lost_bytes > 0 and suspect.lost_bytes or suspect.bytes) / private or nil,
        trace = judged.who.index and ("%x"):format(suspect.trace.index), module = judged.who.module,
        frame = judged.who.full, remedy = judged.leak >= PERHAPS and judged.remedy or nil,
        missing = judged.missing or not suspect.recorded and "the call stack that allocated them" or nil,
        refute = judged.refute,
    }
end

-- Findings: of the suspects, and what query_rows found of nobody among them.
local function findings_of(case, of_rows)
    local list, told = {}, {}
    for i, suspect in ipairs(case.suspects) do
        local material = suspect.lost_bytes >= MATERIAL * case.busy_bytes
        if i == 1 or material then list[#list + 1] = finding_of(case, suspect) end
        if suspect.verdict.rows then told[suspect.verdict.rows.finding] = true end
    end
    for _, finding in ipairs(of_rows) do
        if not told[finding] and finding.bytes >= MATERIAL * case.busy_bytes then list[#list + 1] = finding end
    end
    return list
end

-- options: top, heap (an object, or nil). Gives dump, memory, busy_bytes, read and unread (heaps), suspects (each with
-- its verdict), first (the top one, nil if nothing is read), rivals and hint of the first, rows, findings.
function inquiry.of(dump, options)
    local case = { dump = dump, memory = memory.of(dump), heap = options.heap, suspects = {}, busy_bytes = 0 }
    case.read, case.unread = sort_heaps(dump)
    if #case.read == 0 then
        dump:blocks() -- all of them were asked for: the exit code says that not one was read
        case.findings = {}
        return case
    end
    local _, facts = heapsift.recognise(dump)
    local rows, of_rows = ask_query_rows(dump)
    local attribution = dump.traces and heapsift.attribution(dump) or nil
    case.rows = rows
    case.suspects, case.busy_bytes = suspects.find(dump, { heap = options.heap, rows = rows,
        attribution = attribution }, options.top)
    for _, suspect in ipairs(case.suspects) do suspect.verdict = verdict.of(dump, suspect, rows) end
    case.first = case.suspects[1]
    if case.first then
        local main = case.first.trace and attribution:set(case.first.trace) or case.first.set
        if options.heap then main = main & case.first.set end
        case.rivals = attribution and rivals.of(dump, attribution, case.first, main) or {}
        case.hint = rivals.hint(facts.vtable, case.first, main)
    end
    case.findings = findings_of(case, of_rows)
    return case
end

return inquiry
