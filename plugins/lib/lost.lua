-- lost.lua: blocks that nothing in the process points to, and how much that says.
--
-- One hop: a block counts as held if a register, a stack, a writable section, another busy block or any other private
-- memory holds an address inside it. A block that nothing points to cannot be freed by code that follows pointers. What
-- it does not see: pointers kept encoded, by the kernel (completion keys, window data) or in memory that the dump
-- lacks, so a single block proves little; a call site of which nearly all blocks are lost says much.

local text = require "text"

local lost = {}

local DOUBT <const> = 50      -- so many lost blocks are an even chance; 100 times as many are nearly sure
local SUREST <const> = 0.995  -- one hop is not all
local UNSEEN <const> = 0.9    -- where memory is missing that could hold a pointer
local UNTOLD <const> = 0.5    -- where nobody says how much is missing
local UNREAD <const> = 0.001  -- of the heaps' committed memory: so little is let pass

local COMMIT <const> = 0x1000

-- The share of the process's private memory that the dump holds; nil if it does not say how much there was.
local function share_held(dump, info)
    if not info.usage.exact and not info.full_memory then return nil end
    local committed, present = 0, 0
    for region in dump:regions() do
        if region.state == COMMIT and (region.use == "private" or region.use == "unknown") then
            committed, present = committed + region.size, present + region.present
        end
    end
    return committed > 0 and present / committed or 1.0
end

-- What is missing of the heaps' reading, or nil.
local function heaps_missing(dump)
    if dump.heap_list ~= "whole" then return "heaps may be missing from the list of heaps" end
    local unread, committed = 0, 0
    for heap in dump:heaps() do
        if heap.reason then return "not every heap is read" end
        if heap.unread_segments + heap.unread_large > 0 then return "part of a heap could not be read" end
        unread, committed = unread + heap.unread_size, committed + heap.committed + heap.large_committed
    end
    return unread > UNREAD * committed and "part of a heap could not be read" or nil
end

-- How much of the memory that could hold a pointer was seen: share (of the private memory, 0 .. 1), missing (what was
-- not seen, nil if nothing).
function lost.sight(dump)
    local info = dump:info()
    if info.full_memory and not info.cut then return { share = 1.0, missing = heaps_missing(dump) } end
    local share = share_held(dump, info)
    local missing = info.cut and "the dump is cut" or "the dump does not hold all memory"
    if share and share < 1 then
        missing = ("%s, %s of the private memory is missing"):format(missing, text.share(1 - share, 1))
    end
    return { share = share or UNTOLD, missing = missing }
end

-- How sure it is that a call site leaks of whose `all` blocks `gone` are lost: 0 .. 1. Where half of the memory is
-- missing, a pointer to all of them is there as likely as not.
function lost.confidence(gone, all, sight)
    if all == 0 or gone == 0 then return 0.0 end
    local share = gone / all
    local sure = share >= 0.99 and 1 or share >= 0.95 and 0.98 or share >= 0.8 and 0.93 or share >= 0.5 and 0.86 or
        0.6 * share
    return math.min(sure * gone / (gone + DOUBT), sight.missing and UNSEEN or SUREST) * sight.share
end

return lost
