-- lost.lua: blocks that nothing in the process points to, and how much that says.
--
-- One hop: a block counts as held if a register, a stack, a writable section, another busy block or any other private
-- memory holds an address inside it. A block that nothing points to cannot be freed by code that follows pointers. What
-- it does not see: pointers kept encoded, by the kernel (completion keys, window data) or in memory that the dump
-- lacks, so a single block proves little; a call site of which nearly all blocks are lost says much.

local lost = {}

local DOUBT <const> = 50      -- so many lost blocks are an even chance; 100 times as many are nearly sure
local SUREST <const> = 0.995  -- one hop is not all
local UNSEEN <const> = 0.9    -- where memory is missing that could hold a pointer
local UNREAD <const> = 0.001  -- of the heaps' committed memory: so little is let pass

-- Whether all memory that could hold a pointer was seen: true, or false and what is missing.
function lost.all_seen(dump)
    local info = dump:info()
    if not info.full_memory then return false, "the dump does not hold all memory" end
    if info.cut then return false, "the dump is cut" end
    if dump.heap_list ~= "whole" then return false, "heaps may be missing from the list of heaps" end
    local unread, committed = 0, 0
    for heap in dump:heaps() do
        if heap.reason then return false, "not every heap is read" end
        if heap.unread_segments + heap.unread_large > 0 then return false, "part of a heap could not be read" end
        unread, committed = unread + heap.unread_size, committed + heap.committed + heap.large_committed
    end
    if unread > UNREAD * committed then return false, "part of a heap could not be read" end
    return true
end

-- How sure it is that a call site leaks of whose `all` blocks `gone` are lost: 0 .. 1.
function lost.confidence(gone, all, seen)
    if all == 0 or gone == 0 then return 0.0 end
    local share = gone / all
    local sure = share >= 0.99 and 1 or share >= 0.95 and 0.98 or share >= 0.8 and 0.93 or share >= 0.5 and 0.86 or
        0.6 * share
    return math.min(sure * gone / (gone + DOUBT), seen and SUREST or UNSEEN)
end

return lost
