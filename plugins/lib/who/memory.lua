-- memory.lua: what the process's private memory is used for; whether it is heap at all.

local text = require "text"

local memory = {}

local MOSTLY <const>, PARTLY <const> = 0.5, 0.2

-- heap, private, committed (bytes), share (of private memory that heaps hold), verdict ("heap", "partly", "other"), and
-- largest: the use of private memory that is most, heaps apart, as { use, committed }.
function memory.of(dump)
    local usage = dump:info().usage
    local found = { private = usage.private, committed = usage.committed, heap = 0, uses = usage.by_use,
                    exact = usage.exact }
    for _, part in ipairs(usage.by_use) do
        if part.use == "heap" then
            found.heap = part.committed
        elseif part.use == "stack" or part.use == "trace database" or part.use == "other private" then
            if not found.largest or part.committed > found.largest.committed then found.largest = part end
        end
    end
    found.share = found.private > 0 and found.heap / found.private or 0.0
    found.verdict = found.share >= MOSTLY and "heap" or found.share >= PARTLY and "partly" or "other"
    return found
end

local WHERE <const> = {
    ["stack"] = "stacks", ["trace database"] = "trace database", ["other private"] = "VirtualAlloc",
}

-- "heaps hold 95.4 %: it is heap", "heaps hold 42.0 %, stacks 50.2 %", "heaps hold 12.0 %, stacks 60.2 %: not heap"
function memory.verdict_text(found)
    if found.private == 0 then return "no private memory is known" end
    local share = text.percent(found.heap, found.private) .. " %"
    if found.verdict == "heap" then return ("heaps hold %s: it is heap"):format(share) end
    local other = found.largest and found.largest.committed > 0 and (", %s %s %%"):format(WHERE[found.largest.use],
        text.percent(found.largest.committed, found.private)) or ""
    return ("heaps hold %s%s%s"):format(share, other, found.verdict == "partly" and "" or ": not heap")
end

return memory
