-- rivals.lua: what else could be meant: other stacks that fit the same stored index, and why each lost; and the hint
-- that a debugger prints under a block whose first word falls into a module.

local frames = require "who.frames"
local stack = require "stack"
local text = require "text"

local rivals = {}

local TOLERANCE <const> = 1.01 -- TraceCounts may race a little; the same as attribution's

-- The functions of a stack that make strings, by their exported name; nil if there is none.
local function string_maker(dump, trace)
    for _, va in ipairs(trace.frames) do
        local parts = dump:symbol_parts(va)
        if parts and parts.near and parts.name and parts.name:find "[Ss]tr" then
            return parts.module .. "!" .. parts.name
        end
    end
    return nil
end

local function on_stack(dump, trace, word)
    for _, va in ipairs(trace.frames) do
        local parts = dump:symbol_parts(va)
        if parts and parts.near and parts.name and parts.name:find(word) then return true end
    end
    return false
end

local function is_text(type) return type:find "^string" or type == "bstr" end

-- Why a stack cannot be, or is hardly, the blocks': sentences.
local function why_not(dump, trace, blocks, suspect)
    local list = {}
    if not trace.readable then return { "its entry in the database makes no sense" } end
    local type = suspect.types[1] and suspect.types[1].type or ""
    if blocks > trace.count * TOLERANCE then
        list[1] = ("TraceCount %s against %s live blocks: a stack cannot have more blocks than it was captured")
            :format(text.count(trace.count), text.count(blocks))
    end
    local maker = string_maker(dump, trace)
    if maker and type ~= "" and not is_text(type) then
        list[#list + 1] = ("content: %s is on its stack, which makes strings; these blocks are none"):format(maker)
    elseif type:find "^mapi" and not on_stack(dump, trace, "^MAPIAllocate") then
        list[#list + 1] = "content: no function of MAPI that allocates is on its stack; these are MAPI's blocks"
    end
    return list
end

-- The other candidates of the stored index of a suspect's first trace, whose blocks are `main`, likeliest first:
-- { trace, index, frame, confidence, why = sentences }.
function rivals.of(dump, attribution, suspect, main)
    local list = {}
    if not suspect.trace then return list end
    local block = main:group("size"):top(1)[1]
    if not block then return list end
    local blocks = main:where(("size == %d"):format(block.size))
    local _, _, _, others = attribution:of(blocks:sample(1)[1])
    for _, other in ipairs(others or {}) do
        if other.trace then
            local why = why_not(dump, other.trace, block.count, suspect)
            if #why == 0 then why = other.reasons end
            local caller = other.trace:caller()
            list[#list + 1] = { trace = other.trace, index = stack.index(dump.traces, other.trace.index),
                frame = caller and frames.name(dump, caller) or nil, confidence = other.confidence, why = why,
                module = frames.module(dump, caller) }
        else
            list[#list + 1] = { confidence = other.confidence, why = other.reasons }
        end
    end
    return list
end

-- The false hint that a debugger prints under many of `main`, blocks of the suspect, or nil. facts: what the
-- recogniser "vtable" returned.
function rivals.hint(facts, suspect, main)
    for i, hint in ipairs(facts and facts.hints or {}) do
        if i > 3 then break end
        local blocks = hint.blocks * 20 > suspect.blocks and main:where(hint.where):count() or 0
        if blocks * 20 > suspect.blocks and blocks >= 3 then
            return { value = hint.value, debugger = hint.debugger, module = hint.module, base = hint.base,
                end_address = hint.end_address, why = hint.why, blocks = blocks }
        end
    end
    return nil
end

return rivals
