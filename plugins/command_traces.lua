-- command_traces: !ust and !traces: the stack trace database, one trace, candidates and attribution.

local text = require "text"
local stack = require "stack"

local function attribution(dump, call, va)
    local block = va >= 0 and dump:block(va)
    if not block then call:fail("missing", "no block holds %x", va) end
    local trace, confidence, reasons, others = heapsift.attribution(dump):of(block)
    if call.json then
        local alternatives = {}
        for i, other in ipairs(others or {}) do
            alternatives[i] = { index = other.trace and text.hex(other.trace.index), confidence = other.confidence }
        end
        return { block = text.hex_address(dump, block.address), trace = trace and stack.trace_json(dump, trace),
                 confidence = confidence, reasons = reasons, alternatives = alternatives }
    end
    text.say("block %s: %s, confidence %.2f", text.address(dump, block.address),
        trace and ("trace %x"):format(trace.index) or "no trace is recorded", confidence or 0)
    for _, reason in ipairs(reasons or {}) do print("    " .. reason) end
    if trace then stack.print(dump, trace, "        ") end
    for _, other in ipairs(others or {}) do
        if other.trace then
            text.say("or trace %x, confidence %.2f", other.trace.index, other.confidence or 0)
        end
    end
end

local function candidates(dump, call, stored)
    local db = require "database".need(dump)
    local list = db:candidates(stored & ((1 << db.index_bits) - 1))
    local rows = {}
    for i, trace in ipairs(list) do rows[i] = stack.trace_json(dump, trace) end
    if call.json then return rows end
    text.say("%s fit stored index %04x: %s", text.plural(#rows, "trace"), stored & 0xffff,
        #rows > 0 and stack.indexes(db, list) or "none")
    for _, trace in ipairs(list) do
        if trace.readable then
            text.say("\nTrace %x   TraceCount 0x%x   Depth 0x%x", trace.index, trace.count, trace.depth)
            stack.print(dump, trace, "    ")
        end
    end
end

return {
    name = "command_traces", kind = "command", words = { "!ust", "!traces" },
    summary = "the stack trace database; what an index can mean",
    switches = { c = "address", a = "address", n = "address", all = "flag" },
    usage = [[
+ !ust               the database and the traces captured most often; -n 40 lists 0x40, -all every one
+ !ust 17dfe         one trace by its whole index
+ !ust -c 7dfe       every trace that a stored index can mean
+ !ust -a 0372e598   which trace made a block: attribution, with its reasons]],
    run = function(dump, call)
        if call.given.a then return attribution(dump, call, call.given.a) end
        if call.given.c then return candidates(dump, call, call.given.c) end
        if call.rest[2] then call:fail("usage", "at position %d: one index expected", call.rest[2].at) end
        if call.rest[1] then
            return call:script("trace", { index = call:value(call.rest[1].text, call.rest[1].at) })
        end
        return call:script("traces", { top = call.given.n, all = call.given.all })
    end,
}
