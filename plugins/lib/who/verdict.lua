-- verdict.lua: what a suspect's blocks are, why they are likely not freed, and how sure that is.

local frames = require "who.frames"
local lost = require "lost"
local stack = require "stack"
local text = require "text"

local verdict = {}

verdict.PERHAPS = 0.2 -- less sure than this, a leak is not spoken of

local ALL_LIVE <const> = 0.9 -- of all captures: that much still in use says something

-- A label of a recogniser as words, one and many; %s: size.
local WORDS <const> = {
    ["mapi.row"] = { "array of MAPI property values", "arrays of MAPI property values" },
    ["mapi.props"] = { "array of MAPI property values", "arrays of MAPI property values" },
    ["mapi.rowset"] = { "MAPI row set or address list", "MAPI row sets or address lists" },
    ["mapi.more"] = { "linked MAPI buffer", "linked MAPI buffers" },
    ["mapi.buffer"] = { "MAPI buffer", "MAPI buffers" },
    ["string.ascii"] = { "text", "texts (ASCII)" }, ["string.utf16"] = { "text", "texts (UTF-16)" },
    bstr = { "BSTR", "BSTRs" }, vtable = { "C++ object", "C++ objects" },
    [""] = { "block of unknown content", "blocks of unknown content" },
}

function verdict.word(confidence)
    return confidence >= 0.99 and "certain" or confidence >= 0.8 and "likely" or "a hint only"
end

-- "likely (0.97)"; what is not quite sure never shows as 1.00.
function verdict.sure(confidence)
    local shown = math.floor(100 * confidence) / 100
    return ("%s (%.2f)"):format(verdict.word(confidence), confidence > 0.999 and 1.0 or shown)
end

local function type_words(type, n)
    local words = WORDS[type] or { type .. " block", type .. " blocks" }
    return text.plural(n, words[1], words[2])
end

-- The finding of query_rows that speaks of this suspect, its signature and site.
local function rows_of(suspect, rows)
    for _, signature in ipairs(rows and rows.signatures or {}) do
        if suspect.recorded or suspect.signature == signature then
            for _, site in ipairs(signature.sites or {}) do
                if site.finding and site.caller == suspect.caller then
                    return site.finding, signature, site
                end
            end
        end
    end
    return nil
end

-- ---- who ----

-- frame (text), full (with the nearest export), module, allocator, free, index ("17dfe"), stored, sure (confidence).
local function allocated_by(dump, suspect)
    local trace, most = suspect.trace, suspect.traces[1]
    local who = { sure = most and most.bytes >= suspect.bytes / 4 and most.confidence or suspect.confidence }
    if not suspect.recorded or not trace then return who end
    who.frame, who.full = frames.name(dump, suspect.caller)
    who.module = frames.module(dump, suspect.caller)
    local allocator, name = frames.allocator(dump, trace, suspect.caller)
    who.allocator, who.free = allocator, frames.free_of(name)
    who.index, who.stored = stack.index(dump.traces, trace.index), ("%04x"):format(trace.stored)
    return who
end

-- ---- what ----

local function content_text(suspect)
    local first, n = suspect.types[1], suspect.mostly_lost and suspect.lost_blocks or suspect.blocks
    if not first or 2 * first.blocks < n then return text.plural(n, "block") .. " of several kinds" end
    local words = type_words(first.type, first.blocks)
    if first.blocks == n and suspect.size_blocks == n then return words .. (" of 0x%x bytes"):format(suspect.size) end
    return first.blocks == n and words or ("%s and %s"):format(words, text.plural(n - first.blocks, "other block"))
end

local function object_text(dump, suspect)
    local row = suspect.types[1] and suspect.types[1].type == "vtable" and
        suspect.shown:where 'type == "vtable"':group("first_word"):top(1)[1]
    if not row or not row.first_word then return nil end
    return ("%s with the class table %s"):format(text.plural(row.count, "object"),
        dump:symbol(row.first_word) or text.address(dump, row.first_word))
end

-- Who points to the blocks of a suspect that are not lost, as counts.
local function holders_of(suspect)
    local by, rest = {}, suspect.held
    local names = { "register", "stack", "section", "block", "other" }
    local words = { "registers", "stacks", "data of modules", "other blocks", "other private memory" }
    for i, name in ipairs(names) do
        local some = rest:referenced { sources = name }
        local n = some:count()
        if n > 0 then by[#by + 1] = ("%s by %s"):format(text.count(n), words[i]) end
        rest = rest - some
    end
    return by
end

local function generic(dump, suspect, who)
    local out = { evidence = {}, against = {} }
    local function add(list, ...) list[#list + 1] = string.format(...) end
    out.content = content_text(suspect)
    out.what = out.content
    if suspect.lost_blocks > 0 then
        add(out.evidence, "no register, stack, module, block or other private memory points to %s of its %s blocks",
            text.count(suspect.lost_blocks), text.count(suspect.blocks))
    end
    local object = object_text(dump, suspect)
    if object then add(out.evidence, "%s", object) end
    local captures = suspect.captures
    if captures > 0 then
        local live = suspect.blocks / captures
        add(live >= ALL_LIVE and out.evidence or out.against,
            "%s of all that these stacks allocated is still there (%s blocks of %s captures)%s",
            text.percent(math.min(suspect.blocks, captures), captures) .. " %", text.count(suspect.blocks),
            text.count(captures), live >= ALL_LIVE and "" or ": the rest was freed")
    end
    if suspect.lost_blocks < suspect.blocks then
        add(out.against, "%s still pointed to: %s", text.plural(suspect.blocks - suspect.lost_blocks, "block is",
            "blocks are"), table.concat(holders_of(suspect), ", "))
    end
    if suspect.mostly_lost then
        out.why = "nothing points to them"
        out.remedy = who.free and ("%s, before the last pointer to it goes"):format(who.free) or
            "free each block before the last pointer to it goes"
        if suspect.types[1] and suspect.types[1].type == "vtable" then
            out.remedy = "Release (or delete) each object; a reference that is taken once too often keeps it for good"
        end
    elseif suspect.lost_blocks > 0 then
        out.why = ("nothing points to %s %% of them"):format(text.percent(suspect.lost_blocks, suspect.blocks))
    else
        out.why = "all are pointed to: in use, cached, or in a list that only grows"
    end
    return out
end

-- ---- door ----

-- Judges a suspect: who { frame, full, module, allocator, index, stored, sure }, content, what, why, evidence, against,
-- remedy, missing, refute, leak (confidence that it is a leak), confidence (of the finding), claim, rows (what
-- query_rows found of it: finding, signature, site), nil if nothing.
function verdict.of(dump, suspect, rows)
    local sight = lost.sight(dump)
    local who = allocated_by(dump, suspect)
    local found, signature, site = rows_of(suspect, rows)
    local out
    if found and site.lost_bytes + site.linked_bytes >= suspect.lost_bytes / 2 then
        out = { content = content_text(suspect) }
        out.rows = { finding = found, signature = signature, site = site }
        out.what = ("%s with %s"):format(site.words, text.plural(site.linked_blocks, "linked buffer"))
        out.why = site.how
        out.evidence, out.against, out.remedy = found.evidence, found.against or {}, found.remedy
        out.leak = lost.confidence(site.lost, site.blocks, sight) * signature.confidence / 0.99
    else
        out = generic(dump, suspect, who)
        out.leak = suspect.leak
    end
    out.who = who
    out.missing = sight.missing
    out.refute = "a pointer to these blocks that the process can follow; a second dump in which they are gone"
    out.confidence = math.min(out.leak, suspect.recorded and who.sure or 0.9)
    out.claim = ("%s: %s%s"):format(out.what, out.why, who.frame and ", allocated by " .. who.frame or "")
    return out
end

return verdict
