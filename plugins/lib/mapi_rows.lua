-- mapi_rows.lua: rows of MAPI tables, who holds them, and which nothing holds. What query_rows judges and who tells.
--
-- A row (lpProps of an SRow) is a buffer of its own, with the buffers of its values linked to it; the row set only
-- points to rows. So a row is lost if nothing points to it, or nothing but a row set that is lost itself; the buffers
-- linked to a lost row are lost with it, as MAPIFreeBuffer reaches them through it alone.

local layout = require "mapi_layout"

local rows = {}

local SIGNATURES_MAX <const> = 32 -- most bytes first
local CHAIN_MAX <const> = 64      -- links that are followed from a row
local STORED_MAX <const> = 64     -- different stored indexes of lost rows that are attributed, most blocks first

local ROOTS <const> = { sources = { "register", "stack", "section", "other" } }

-- a | b; making a set costs a look at each of its blocks, so none is made where one of them is empty.
local function join(a, b)
    if b:count() == 0 then return a end
    return a:count() == 0 and b or a | b
end

-- Those of `buffers` that are linked to these blocks, in any number of steps: what the blocks point to, and from there
-- on what the link in a buffer's header leads to, as MAPIFreeBuffer goes.
local function linked_to(blocks, buffers, header)
    local found = buffers:referenced { from = blocks }
    local from = found
    for _ = 1, CHAIN_MAX do
        if from:count() == 0 then break end
        buffers = buffers - from -- the fewer are looked for, the less there is to do
        from = buffers:referenced { from = from, first_bytes = header }
        found = join(found, from)
    end
    return found
end

-- Rows that only lost row sets hold.
local function held_by_lost_sets(all, busy, lost_sets)
    local under = all:referenced { from = lost_sets }
    if under:count() == 0 then return under end
    return under - under:referenced(ROOTS) - under:referenced { from = busy - lost_sets }
end

-- Blocks of `held` by who points to them, the strongest holder first; each block counts once.
local function holders(held, sets)
    local by, rest = {}, held
    local function take(name, some)
        by[name] = some:count()
        rest = rest - some
    end
    take("stack", rest:referenced { sources = { "stack", "register" } })
    take("set", rest:referenced { from = sets })
    take("section", rest:referenced { sources = "section" })
    take("block", rest:referenced { sources = "block" })
    by.other = rest:count()
    return by
end

-- ---- whose rows they are ----

local MAPI_MODULES <const> = { mapi32 = true, olmapi32 = true, msmapi32 = true, exmapi32 = true, emsmdb32 = true,
                               mapistub = true }

-- What a stack says of an array of property values: "mapi" (MAPI allocated it for its caller, as table queries and
-- GetProps do), "own" (the caller asked MAPIAllocateBuffer itself), "other" (no MAPI on the stack). Also the name of
-- the allocator.
local function maker_of(dump, trace)
    local allocator, inner = nil, false
    for _, va in ipairs(trace.frames) do
        local parts = dump:symbol_parts(va)
        local module = parts and parts.module:lower()
        if module and MAPI_MODULES[module] then
            if parts.near and parts.name and parts.name:find "^MAPIAllocate" then
                allocator = allocator or parts.module .. "!" .. parts.name
            else
                inner = true
            end
        elseif allocator or inner then
            break
        end
    end
    return inner and "mapi" or allocator and "own" or "other", allocator
end

-- Linked buffers of each site: those of the largest are what the others leave, as a buffer is linked to one row.
local function share_linked(signature, list)
    local blocks, bytes = signature.linked_blocks, signature.linked_bytes
    for i = #list, 1, -1 do
        local site = list[i]
        site.linked_blocks, site.linked_bytes = 0, 0
        if i == 1 then
            site.linked_blocks, site.linked_bytes = blocks, bytes
        elseif site.gone then
            local linked = linked_to(site.gone, signature.linked, signature.header)
            site.linked_blocks, site.linked_bytes = linked:count(), linked:bytes()
            blocks, bytes = blocks - site.linked_blocks, bytes - site.linked_bytes
        end
    end
end

local AT_ONCE <const> = 16 -- filters of one pass

-- The blocks of each group by stored index, in their order.
local function by_stored(set, groups)
    local sets = {}
    for from = 1, #groups, AT_ONCE do
        local filters = {}
        for i = from, math.min(from + AT_ONCE - 1, #groups) do
            local stored = groups[i].stored
            filters[#filters + 1] = stored and ("stored == %d"):format(stored) or "not stored >= 0"
        end
        table.move({ set:where(table.unpack(filters)) }, 1, #filters, from, sets)
    end
    return sets
end

-- Rows by the call site that has them allocated: { caller, blocks, lost, lost_bytes, linked_blocks, linked_bytes,
-- trace, confidence, maker, allocator }, most lost rows first. Blocks whose stack is not known are one entry without a
-- trace.
local function callers(dump, signature, attribution)
    local by_caller, list = {}, {}
    local function entry(key)
        if not by_caller[key] then
            by_caller[key] = { blocks = 0, lost = 0, lost_bytes = 0, sum = 0 }
            list[#list + 1] = by_caller[key]
        end
        return by_caller[key]
    end
    local groups = signature.set:group("stored"):top(STORED_MAX, "count")
    local sets = by_stored(signature.set, groups)
    for i, row in ipairs(groups) do
        local trace, confidence
        if row.stored then trace, confidence = attribution:of(sets[i]:sample(1)[1]) end
        local caller = trace and trace.readable and (trace:caller() or trace.frames[#trace.frames])
        local one, gone = entry(caller or 0), sets[i] & signature.lost
        one.blocks, one.lost = one.blocks + row.count, one.lost + gone:count()
        one.lost_bytes = one.lost_bytes + gone:bytes()
        if gone:count() > 0 then one.gone = one.gone and join(one.gone, gone) or gone end
        if caller then
            one.caller, one.sum = caller, one.sum + confidence * row.count
            if row.count > (one.most or 0) then one.most, one.trace = row.count, trace end
        end
    end
    for _, one in ipairs(list) do
        one.confidence = one.sum / one.blocks
        if one.trace then one.maker, one.allocator = maker_of(dump, one.trace) end
    end
    table.sort(list, function(a, b)
        if a.lost ~= b.lost then return a.lost > b.lost end
        return a.blocks > b.blocks or a.blocks == b.blocks and (a.caller or 0) < (b.caller or 0)
    end)
    share_linked(signature, list)
    return list
end

-- ---- door ----

-- What the rows of a dump are, or nil where the recogniser "mapi" found none. facts: what that recogniser returned.
--   signatures, most lost bytes first, each: names, columns, size, kind ("row", "props"), of ("row set", "address
--     list", "row set or address list"), set, blocks, bytes, lost (a set), lost_blocks, lost_bytes, linked (a set),
--     linked_blocks, linked_bytes, holders { stack, set, section, block, other }: blocks that are not lost, and
--     callers(attribution);
--   lost: sets of all that is lost, the largest first: rows, row sets, and the linked buffers of each signature.
function rows.of(dump, facts)
    if not facts or #facts.signatures == 0 then return nil end
    local busy = dump:blocks { state = "busy" }
    local arrays, sets, buffers = busy:where('type == "mapi.row" or type == "mapi.props"', 'type == "mapi.rowset"',
        'type == "mapi.more"')
    local lost = arrays - arrays:referenced()
    local lost_sets = sets - sets:referenced()
    local in_lost_sets = lost_sets:count() > 0 and held_by_lost_sets(arrays, busy, lost_sets) or lost_sets
    lost = join(lost, in_lost_sets)
    local found = { signatures = {}, lost = { lost, lost_sets } }
    local left = arrays
    for i, known in ipairs(facts.signatures) do
        if i > SIGNATURES_MAX then break end
        local set = #facts.signatures == 1 and left or left:where(known.where)
        left = #facts.signatures > 1 and left - set or left
        local gone = #facts.signatures == 1 and lost or set & lost
        local linked = linked_to(gone, buffers, facts.header)
        local one = { header = facts.header, names = known.names, columns = known.columns, size = known.size,
            kind = known.kind, confidence = known.confidence, of = layout.set_kind(known.columns), set = set,
            blocks = set:count(), bytes = set:bytes(), lost = gone, lost_blocks = gone:count(),
            lost_bytes = gone:bytes(), linked = linked, linked_blocks = linked:count(), linked_bytes = linked:bytes(),
            in_lost_sets = in_lost_sets:count() > 0 and (gone & in_lost_sets):count() or 0,
            holders = holders(set - gone, sets) }
        function one.callers(attribution) return callers(dump, one, attribution) end
        found.lost[#found.lost + 1] = linked
        found.signatures[i] = one
    end
    table.sort(found.lost, function(a, b) return a:count() > b:count() end)
    table.sort(found.signatures, function(a, b)
        local x, y = a.lost_bytes + a.linked_bytes, b.lost_bytes + b.linked_bytes
        return x > y or x == y and (a.bytes > b.bytes or a.bytes == b.bytes and a.size < b.size)
    end)
    return found
end

return rows
