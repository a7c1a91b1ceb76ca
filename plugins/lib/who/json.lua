-- json.lua: the result of `who --json`; its fields stand in docs/json.md.

local database = require "database"
local sentences = require "who.sentences"
local stack = require "stack"
local text = require "text"

local json = {}

local function trace_of(dump, suspect)
    return suspect.trace and suspect.trace.readable and stack.trace_json(dump, suspect.trace) or nil
end

local function suspect_json(case, suspect)
    local dump, judged = case.dump, suspect.verdict
    local traces, types = {}, {}
    for i, one in ipairs(suspect.traces) do
        if one.trace and #traces < 16 then
            traces[#traces + 1] = { index = text.hex(one.trace.index), blocks = one.blocks, bytes = one.bytes,
                                    confidence = one.confidence }
        end
        if i >= 16 then break end
    end
    for i, one in ipairs(suspect.types) do
        types[i] = { type = one.type ~= "" and one.type or nil, blocks = one.blocks, bytes = one.bytes }
    end
    local heaps = {}
    for row in suspect.set:group "heap" do
        heaps[#heaps + 1] = { address = text.hex_address(dump, row.heap), blocks = row.count, bytes = row.bytes }
    end
    return {
        blocks = suspect.blocks, bytes = suspect.bytes, share = case.memory.private > 0 and
            suspect.bytes / case.memory.private or nil,
        lost_blocks = suspect.lost_blocks, lost_bytes = suspect.lost_bytes, size = suspect.size,
        caller = judged.who.frame and text.hex_address(dump, suspect.caller) or nil, frame = judged.who.full,
        module = judged.who.module, outermost = judged.who.frame and suspect.outermost or nil,
        allocator = judged.who.allocator, attribution = judged.who.frame and judged.who.sure or nil,
        trace = trace_of(dump, suspect), traces = traces, types = types, heaps = heaps, what = judged.what,
        why = judged.why, leak = judged.leak, confidence = judged.confidence, evidence = judged.evidence,
        against = judged.against, remedy = judged.remedy, refute = judged.refute,
    }
end

local function rivals_json(case)
    local list = {}
    for i, rival in ipairs(case.rivals or {}) do
        list[i] = { index = rival.trace and text.hex(rival.trace.index) or nil,
                    count = rival.trace and rival.trace.readable and rival.trace.count or nil, frame = rival.frame,
                    module = rival.module, confidence = rival.confidence, why = rival.why }
    end
    return list
end

local function hint_json(case)
    local hint = case.hint
    return hint and {
        value = text.hex_address(case.dump, hint.value), debugger = hint.debugger, module = hint.module,
        base = text.hex_address(case.dump, hint.base), blocks = hint.blocks,
        why = sentences.hint(case.dump, hint, case.first),
    } or nil
end

function json.of(case)
    local dump, suspects, found = case.dump, {}, case.memory
    for i, suspect in ipairs(case.suspects) do suspects[i] = suspect_json(case, suspect) end
    return {
        verdict = { memory = sentences.memory(case), who = sentences.who(case), what = sentences.what(case) },
        memory = { private = found.private, committed = found.committed, heap = found.heap, heap_share = found.share,
                   verdict = found.verdict, busy = case.busy_bytes },
        suspects = suspects, rivals = rivals_json(case), hint = hint_json(case),
        database = dump.traces and database.json(dump, dump.traces) or nil,
        unread = sentences.unread(case), next = sentences.next_steps(case),
    }
end

return json
