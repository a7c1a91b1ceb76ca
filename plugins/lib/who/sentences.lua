-- sentences.lua: what `who` says, in words. Fit to be sent to a vendor: exact, without filler.

local database = require "database"
local memory = require "who.memory"
local pick = require "pick"
local text = require "text"
local verdict = require "who.verdict"

local sentences = {}

-- What each part means and where its figures come from: --explain.
sentences.meaning = {
    ["line 1"] = "bytes that the blocks of the top suspect were asked for, and their share of committed memory that " ..
        "is neither image nor mapped file (MemoryInfoList). If heaps hold little of it, the problem is elsewhere.",
    ["line 2"] = "the first frame outside allocators and system modules (plugins/lib/callers.lua) of the stack that " ..
        "attribution gives most of these blocks, and the probability that they are of this caller (byte-weighted).",
    ["line 3"] = "what recognisers say of the blocks' content, who points to them (one hop), and how sure it is " ..
        "that they are a leak: the less, the more of the private memory the dump lacks.",
    suspect = "all blocks of one caller: user sizes from the heap entries, stacks from the trace database by the " ..
        "attributed index. Lost: no register, stack, writable section, busy block or private memory holds an " ..
        "address inside the block; and MAPI buffers linked to a lost row.",
    evidence = "TraceCount is the number of captures of a stack; it never goes down. Contents come from " ..
        "recognisers (plugins/mapi.lua, strings.lua, vtable.lua), pointers from the scan of all memory.",
    against = "blocks of the caller that are in use, what was not seen, and what would prove the claim wrong.",
    remedy = "what the documentation of the allocator asks for.",
    rivals = "other traces whose index has the same low 16 bits as the stored one: the debugger shows the lowest " ..
        "of them. In brackets the probability that attribution leaves them.",
    hint = "`!heap -p -a` prints this line whenever the first word of a block lies in a module's image.",
    further = "other callers, most lost bytes first. The confidence is that of a leak by this caller.",
    database = "fields of _STACK_TRACE_DATABASE: NumberOfEntriesAdded, NumberOfEntriesLookedUp, the TraceCounts " ..
        "added up, NextFreeLowerMemory and NextFreeUpperMemory.",
    unread = "heaps and parts of heaps without sense or without bytes in the dump; they are in no figure above.",
    next = "what would make this answer surer.",
}

local UST <const> = 0x1000 -- of NtGlobalFlag: it was asked for

local function is_whole(dump)
    local info = dump:info()
    return info.full_memory and not info.cut
end

-- ---- the verdict ----

local function of_private(case, bytes)
    return text.percent(bytes, case.memory.private) .. " % of private memory"
end

function sentences.memory(case)
    local first = case.first
    if not first then
        if #case.unread > 0 then
            return ("none of %s is read; what they hold counts as VirtualAlloc (%s)"):format(text.plural(#case.unread,
                "heap"), of_private(case, case.memory.largest and case.memory.largest.committed or 0))
        end
        return (#case.read == 0 and "no heap was found; " or "no block is in use; ") .. memory.verdict_text(case.memory)
    end
    return ("%s, %s: %s of one %s; %s"):format(text.size(first.bytes), of_private(case, first.bytes),
        text.plural(first.blocks, "block"), first.recorded and "caller" or "kind", memory.verdict_text(case.memory))
end

function sentences.who(case)
    local dump, first = case.dump, case.first
    local who = first and first.verdict.who
    if not first then
        return "not known: no block can be read"
    elseif not dump.traces then
        return "not known: " .. (is_whole(dump) and database.advice(dump) ~= "" and
            not (dump.global_flag and dump.global_flag & UST ~= 0) and
            "no stack trace database" .. database.advice(dump) or database.absence(dump))
    elseif not who.frame then
        return first.kind == "undecided" and "not decided: several stacks fit these blocks, none is likely" or
            first.kind == "untraced" and "not recorded: the heaps of these blocks record no stacks" or
            dump.traces.full and "not recorded: the trace database was full when these were allocated" or
            "not recorded: these blocks store no trace of the database"
    end
    local through = who.allocator and " through " .. who.allocator or ""
    return ("%s%s%s, trace %s (blocks store %s): %s"):format(first.outermost and "system code only, outermost frame " or
        "", who.frame, through, who.index, who.stored, verdict.sure(who.sure))
end

function sentences.what(case)
    local first = case.first
    if not first then return "not known" end
    local judged = first.verdict
    local leak = judged.leak >= 0.8 and "a leak: " .. verdict.sure(judged.leak) or
        judged.leak >= verdict.PERHAPS and ("perhaps a leak (%.2f)"):format(judged.leak) or "no sign of a leak"
    return ("%s: %s; %s"):format(judged.what, judged.why, leak)
end

-- ---- the parts ----

-- "036f0000 (100.0 %)", the three with most of its bytes.
function sentences.heaps(dump, suspect)
    local parts = {}
    for row in suspect.set:group("heap"):top(3) do
        parts[#parts + 1] = ("%s (%s %%)"):format(text.address(dump, row.heap), text.percent(row.bytes, suspect.bytes))
    end
    return table.concat(parts, ", ")
end

function sentences.attribution_evidence(case)
    local who, first = case.first.verdict.who, case.first
    if not who.index or not first.trace.readable then return {} end
    local list = {}
    if #case.rivals > 0 then
        list[1] = ("their stored index %s fits %s; %s is the likeliest for these blocks"):format(who.stored,
            text.plural(#case.rivals + 1, "stack"), who.index)
    else
        list[1] = ("trace %s is the only one with their stored index"):format(who.index)
    end
    return list
end

function sentences.rival(rival)
    if not rival.trace then return ("Not recorded at all (%.2f)"):format(rival.confidence) end
    return ("Trace %s%s (%.2f)"):format(rival.index, rival.frame and ", allocated by " .. rival.frame or
        ", system code only", rival.confidence)
end

function sentences.hint(dump, hint, suspect)
    local type = suspect.types[1] and suspect.types[1].type or ""
    local value = text.address(dump, hint.value)
    local flags = type:find "^mapi" and ("it is the flags word of a MAPI buffer (%s)"):format(
        hint.value & 0x0fffffff ~= 0 and ("0x%x | 0x%x"):format(hint.value & 0xf0000000, hint.value & 0x0fffffff) or
        ("0x%x"):format(hint.value)) or "it is data"
    return ("A debugger prints this under %s. It is an accident: their first word %s falls into %s, which is " ..
        "loaded from %s to %s, but it is no class table (it %s): %s. Whether %s has to do with the blocks is for " ..
        "the call stack to say."):format(text.plural(hint.blocks, "of these blocks", "of these blocks"), value,
        hint.module, text.address(dump, hint.base), text.address(dump, hint.end_address), hint.why, flags, hint.module)
end

local SHORT <const> = 62
local NOBODY <const> = { unrecorded = "stack not recorded", undecided = "stack not decided",
                         untraced = "the heap records no stacks" }

-- One line for the table of further suspects.
function sentences.short(suspect)
    local line = suspect.verdict.content
    local who = suspect.verdict.who.frame or NOBODY[suspect.kind]
    if who and suspect.outermost then who = who .. " (outermost)" end
    if who then line = who .. "; " .. line end
    return #line > SHORT and line:sub(1, SHORT - 3) .. "..." or line
end

function sentences.no_database(dump)
    local absence = database.absence(dump)
    return absence:sub(1, 1):upper() .. absence:sub(2) .. "."
end

local NAMED <const> = 4 -- heaps

function sentences.unread(case)
    local dump, list, info = case.dump, {}, case.dump:info()
    list[1] = not case.heap and pick.list_doubt(dump) or nil
    local by_reason = {}
    for _, heap in ipairs(case.unread) do
        local one = by_reason[heap.reason]
        if not one then
            one = { reason = heap.reason }
            by_reason[heap.reason], by_reason[#by_reason + 1] = one, one
        end
        one[#one + 1] = text.address(dump, heap.address)
    end
    for _, one in ipairs(by_reason) do
        local more = #one > NAMED and (" and %d more"):format(#one - NAMED) or ""
        list[#list + 1] = ("%s %s%s not read: %s"):format(#one == 1 and "heap" or "heaps", table.concat(one, ", ", 1,
            math.min(NAMED, #one)), more .. (#one == 1 and " is" or " are"), one.reason)
    end
    for _, heap in ipairs(case.read) do
        for _, part in ipairs(pick.unsized(heap)) do
            list[#list + 1] = ("heap %s: %s"):format(text.address(dump, heap.address), part)
        end
        local bytes, percent = pick.unread(heap)
        if bytes > 0 then
            list[#list + 1] = ("heap %s: %s bytes%s"):format(text.address(dump, heap.address), text.count(bytes),
                percent and (", %s of its committed memory"):format(text.share(percent, 100)) or "")
        end
    end
    local db = dump.traces
    if db and db.unreadable > 0 then
        list[#list + 1] = ("%s of the trace database; blocks that carry their indexes may be of them"):format(
            text.plural(db.unreadable, "entry", "entries"))
    end
    if info.cut then list[#list + 1] = "the dump is cut: the file ends before its memory does" end
    if not info.full_memory then list[#list + 1] = "the dump does not hold all memory (.dump /ma does)" end
    return list
end

function sentences.next_steps(case)
    local dump, list = case.dump, {}
    local db, image = dump.traces, dump:info().image_name
    image = image ~= "" and image or "IMAGE.EXE"
    if not db and database.advice(dump) ~= "" then
        list[#list + 1] = ("call stacks: gflags /i %s +ust, restart the program, wait until it has grown, .dump /ma")
            :format(image)
    elseif db and (db.wraps or db.full) then
        list[#list + 1] = ("stacks without doubt: page heap in light mode (gflags /p /enable %s): its record of a " ..
            "block holds the address of a trace, not 16 bits of an index"):format(image)
    end
    if db and db.full then
        list[#list + 1] = ("a larger trace database (gflags /i %s /tracedb MEGABYTES), or an earlier dump: since " ..
            "this one was full, new stacks were not recorded"):format(image)
    end
    if not is_whole(dump) then list[#list + 1] = "a whole dump: .dump /ma, on a disk with room for all of it" end
    if case.memory.verdict ~= "heap" and case.memory.largest then
        list[#list + 1] = "where the rest of the private memory is: `heapsift run info` shows it by use"
    end
    list[#list + 1] = "a second dump, some hours later: a leak has grown, a cache has found its size"
    return list
end

return sentences
