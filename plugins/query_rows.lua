-- query_rows: rows of MAPI tables that were never freed.
-- Why: QueryRows gives a row set whose rows are buffers of their own. Who frees the set with MAPIFreeBuffer, and not
-- its rows, loses every row with all that is linked to it: the classic leak of MAPI clients. No debugger shows it, as
-- the stack is MAPI's and each block looks like any other.
-- Findings, one for each kind of rows (one column signature) and call site that lost some. A lost array is called a row
-- of a table only if its columns are shared by others and its stack is one of MAPI working for a caller; else it is a
-- property array, and that is said. Returns what plugins/lib/mapi_rows.lua tells.
-- Known false alarms: none of rows that are in use: in a row set (however large), held by a cache or an object, on a
-- stack. Rows that a program keeps by encoded pointers would look lost. One hop: rows that another lost block points
-- to, but no row set, look held.
-- Sample output:
--     certain (0.99): 278,862 MAPI table rows are lost: nothing points to them, asked for by 3rdpartydll+0xc8141 ...

local lost = require "lost"
local mapi_rows = require "mapi_rows"
local text = require "text"

local NAMES <const> = 6 -- columns that are named

-- "PR_ENTRYID, PR_MESSAGE_CLASS_A, ... (15 columns)"
local function columns_text(signature)
    local names = table.concat(signature.names, ", ", 1, math.min(NAMES, #signature.names))
    return ("%s%s (%s)"):format(names, #signature.names > NAMES and ", ..." or "",
        text.plural(#signature.names, "column"))
end

-- What the blocks are called, one and many, by signature and stack.
local function named(signature, site)
    if signature.kind ~= "row" or not site or site.maker ~= "mapi" then
        return "MAPI property array", "MAPI property arrays"
    elseif signature.of == "address list" then
        return "entry of a MAPI address list", "entries of MAPI address lists"
    elseif signature.of == "row set" then
        return "MAPI table row", "MAPI table rows"
    end
    return "row of a MAPI table or address list", "rows of MAPI tables or address lists"
end

local function most_in_lost_sets(signature)
    return 2 * signature.in_lost_sets > signature.lost_blocks
end

local function remedy(signature, site)
    if signature.kind ~= "row" or site and site.maker == "own" then
        return "MAPIFreeBuffer on each array, once its reader is done; that frees the buffers linked to it, too"
    end
    if not site.trace then
        return "rows of a table: FreeProws, or MAPIFreeBuffer on each row's lpProps before the set; arrays of " ..
            "GetProps: MAPIFreeBuffer on each"
    end
    local free = signature.of == "address list" and "FreePadrlist" or signature.of == "row set" and "FreeProws" or
        "FreeProws (an address list: FreePadrlist)"
    if most_in_lost_sets(signature) then
        return free .. " on each set that QueryRows returned: here neither sets nor rows were freed"
    end
    return free .. " instead of MAPIFreeBuffer on the set; or MAPIFreeBuffer on each row's lpProps, then on the set " ..
        "(a set of zero rows needs only itself freed)"
end

-- Whether most of what the stack ever allocated is lost: a leak of each call, not of some.
local function mostly_lost(site)
    return site.trace ~= nil and 2 * site.lost >= site.trace.count
end

local function captures_text(site)
    return ("TraceCount %s: %s of all that this stack ever allocated is lost"):format(text.count(site.trace.count),
        text.percent(site.lost, site.trace.count) .. " %")
end

local function evidence(signature, site)
    local list = {
        ("they hold property values: %s"):format(columns_text(signature)),
        ("%s of %s blocks with these columns%s are lost: no register, stack, module, block or other private memory " ..
            "points to them"):format(text.count(site.lost), text.count(site.blocks),
            site.trace and " from this caller" or ""),
    }
    if site.unrecorded and site.unrecorded > 0 then
        list[#list + 1] = ("%s more with these columns have no recorded stack; they are not counted here"):format(
            text.count(site.unrecorded))
    end
    if signature.in_lost_sets > 0 then
        list[#list + 1] = ("%s of them only by row sets that are lost themselves"):format(
            text.count(signature.in_lost_sets))
    end
    if site.maker == "mapi" then
        list[#list + 1] = ("MAPI allocated them for its caller, with %s"):format(site.allocator or "its allocator")
    elseif site.maker == "own" then
        list[#list + 1] = ("the caller asked %s for them itself"):format(site.allocator)
    end
    if mostly_lost(site) then list[#list + 1] = captures_text(site) end
    if signature.holders.set > 0 then
        list[#list + 1] = ("%s of the same columns stand in row sets that are in use: so these stood in one, too"):
            format(text.plural(signature.holders.set, "row"))
    end
    return list
end

local function against(signature, site, sight)
    local list, held = {}, signature.holders
    local elsewhere = held.block + held.section + held.other
    if elsewhere > 0 then
        list[#list + 1] = ("%s with these columns are held by other blocks or data (a cache, an object): not counted")
            :format(text.count(elsewhere))
    end
    if held.stack > 0 then
        list[#list + 1] = ("%s with these columns are on a stack, so in use: not counted"):format(
            text.count(held.stack))
    end
    if sight.missing then list[#list + 1] = sight.missing .. ": a pointer may be there" end
    if site.trace and not mostly_lost(site) then
        list[#list + 1] = captures_text(site) .. ": the rest was freed, or is in use"
    end
    if not site.trace then list[#list + 1] = "no stack says who allocated them" end
    return list
end

-- Sites whose rows have no recorded stack are told with the site that has most of the same columns.
local function with_unrecorded(list)
    local first, rest = list[1], nil
    for i, site in ipairs(list) do
        if not site.trace then rest = i end
    end
    if not rest or rest == 1 or not first.trace then return end
    first.unrecorded = table.remove(list, rest).lost
end

local function finding(dump, signature, site, sight)
    local one, many = named(signature, site)
    site.words = text.plural(site.lost, one, many)
    site.why = "nothing points to " .. (site.lost == 1 and "it" or "them")
    site.how = signature.kind == "row" and site.maker == "mapi" and (most_in_lost_sets(signature) and
        "neither sets nor rows were freed" or "sets freed, rows not") or site.why
    local bytes = site.lost_bytes + site.linked_bytes
    local private = dump:info().usage.private
    local symbol = site.caller and (dump:symbol(site.caller) or text.address(dump, site.caller))
    local parts = site.caller and dump:symbol_parts(site.caller)
    local opposed = against(signature, site, sight)
    return {
        claim = ("%s %s lost: %s%s"):format(site.words, site.lost == 1 and "is" or "are", site.why,
            symbol and ", asked for by " .. symbol or ""),
        confidence = math.min(lost.confidence(site.lost, site.blocks, sight) * signature.confidence / 0.99,
            site.trace and site.confidence or 0.9),
        evidence = evidence(signature, site), against = #opposed > 0 and opposed or nil,
        blocks = site.lost + site.linked_blocks, bytes = bytes,
        share = private > 0 and bytes / private or nil, trace = site.trace and ("%x"):format(site.trace.index),
        module = parts and parts.module or nil, frame = symbol, remedy = remedy(signature, site),
        missing = not site.trace and "the call stack that allocated them" or nil,
        refute = "a pointer to one of them that the process can follow; a second dump in which they are gone",
    }
end

local function run(dump, options, report)
    local _, facts = heapsift.recognise(dump)
    local rows = mapi_rows.of(dump, facts.mapi)
    if not rows then return nil end
    local attribution, sight = heapsift.attribution(dump), lost.sight(dump)
    for _, signature in ipairs(rows.signatures) do
        if signature.lost_blocks > 0 then
            signature.sites = signature.callers(attribution)
            with_unrecorded(signature.sites)
            for _, site in ipairs(signature.sites) do
                if site.lost >= options.min_rows then
                    site.finding = finding(dump, signature, site, sight)
                    report:add(site.finding)
                end
            end
        end
    end
    return rows
end

return {
    name = "query_rows",
    summary = "rows of MAPI tables that were never freed, and who asked for them",
    kind = "heuristic",
    needs = { "blocks", "labels" },
    options = { min_rows = { default = 16, min = 1, doc = "fewer lost rows of one caller are no finding" } },
    run = run,
}
