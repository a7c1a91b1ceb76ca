-- suspects.lua: call sites by what they lost, or where no stacks are recorded kinds of blocks.
--
-- A site's lost blocks are those that nothing points to, and MAPI buffers linked to a lost row. The order is by lost
-- bytes times how sure it is that they are a leak, then by bytes. Sites come most bytes first, so once the rest of them
-- is smaller than that of enough others, the rest need not be looked at: the order of those that are shown is exact.

local lost_blocks = require "lost"

local suspects = {}

local KINDS_MAX <const> = 40     -- kinds of blocks that are looked at where no stacks are recorded
local NO_LEAK <const> = 0.2      -- less sure than this: ordered by size, behind the others
local TINY <const> = 0.001       -- of the busy bytes: no suspect

-- Types of a set, most bytes first; blocks that no recogniser knows are "".
local function types_of(set)
    local list = {}
    for row in set:group "type" do
        list[#list + 1] = { type = row.type or "", blocks = row.count, bytes = row.bytes }
    end
    return list
end

-- Fills in what a suspect has lost: `held` blocks of `held_bytes` are not lost.
local function judge(scene, one, held, held_bytes)
    one.lost_blocks, one.lost_bytes = one.blocks - held, one.bytes - held_bytes
    one.leak = lost_blocks.confidence(one.lost_blocks, one.blocks, scene.sight)
    one.mostly_lost = one.lost_blocks > 0 and 2 * one.lost_blocks >= one.blocks
    one.weight = one.leak >= NO_LEAK and one.leak * one.lost_bytes or 0
    return one
end

local function suspect_of(scene, set, fields)
    fields.set, fields.blocks, fields.bytes = set, set:count(), set:bytes()
    fields.held = set & scene.held -- mostly smaller than what is lost: sets cost what they hold
    return judge(scene, fields, fields.held:count(), fields.held:bytes())
end

local function by_weight(a, b)
    if a.weight ~= b.weight then return a.weight > b.weight end
    if a.bytes ~= b.bytes then return a.bytes > b.bytes end
    return a.order < b.order
end

-- Adds what is asked of those that are shown only.
local function finish(list, wanted)
    table.sort(list, by_weight)
    for i = #list, wanted + 1, -1 do list[i] = nil end
    for _, one in ipairs(list) do
        if not one.set then
            one.set = one.rest:where(one.filter)
            one.held = one.set & one.rest_held
        end
        local shown = one.mostly_lost and one.held:count() > 0 and one.set - one.held or one.set
        one.shown = shown
        one.types = types_of(shown)
        local largest = shown:group("size"):top(1)[1]
        one.size, one.size_blocks = largest and largest.size, largest and largest.count
    end
    return list
end

-- The wanted-th largest weight, 0 if there are fewer.
local function bar_of(list, wanted)
    local weights = {}
    for i, one in ipairs(list) do weights[i] = one.weight end
    table.sort(weights, function(a, b) return a > b end)
    return weights[wanted] or 0
end

-- Blocks and bytes of each type and size, by both.
local function counts_of(set)
    local counts = {}
    for _, type, size, blocks, bytes in set:group("type", "size"):values() do
        counts[(type or "") .. " " .. size] = { blocks, bytes }
    end
    return counts
end

local NONE <const> = { 0, 0 }

-- Adds kinds of blocks to a list: rows of one signature with what is linked to them, then one type and size each, then
-- sizes of what no recogniser knows. kind: why no caller is told; least: bytes, smaller kinds are left out. A kind is
-- judged by its counts; it becomes a set if it is shown.
local function add_kinds(list, scene, set, rows, kind, least)
    local function new(fields)
        fields.order, fields.traces, fields.captures, fields.kind = #list, {}, 0, kind
        fields.confidence, fields.recorded = 0.0, false
        list[#list + 1] = fields
        return fields
    end
    for _, signature in ipairs(rows and rows.signatures or {}) do
        local some = (signature.set | signature.linked) & set
        if some:count() > 0 then suspect_of(scene, some, new { signature = signature }) end
        set = set - some
    end
    local held = set & scene.held
    local counts, groups = counts_of(held), set:group("type", "size")
    for _, typed in ipairs { true, false } do
        local left = KINDS_MAX
        for row in groups do
            if row.bytes < least or left == 0 then break end
            if (row.type ~= nil) == typed then
                left = left - 1
                local one = new { blocks = row.count, bytes = row.bytes, rest = set, rest_held = held,
                    filter = (typed and ("type == '%s'"):format(row.type) or "not type ~ '*'") ..
                        (" and size == %d"):format(row.size) }
                judge(scene, one, table.unpack(counts[(row.type or "") .. " " .. row.size] or NONE))
            end
        end
    end
end

-- Blocks without a caller are no suspect as a whole: many have to do with them. They are taken by kind.
local function from_sites(scene, options, wanted)
    local list, least, attribution = {}, TINY * scene.bytes, options.attribution
    for order, site in ipairs(attribution:sites()) do
        if order > 1 and site.bytes < math.max(least, bar_of(list, wanted)) then break end
        local set = attribution:set(site)
        if options.heap then set = set & scene.busy end
        if not site.caller then
            add_kinds(list, scene, set, options.rows, site.kind, least)
        elseif set:count() > 0 then
            list[#list + 1] = suspect_of(scene, set, { order = #list, caller = site.caller,
                outermost = site.outermost, captures = site.captures, traces = site.traces,
                trace = site.traces[1] and site.traces[1].trace, confidence = site.confidence,
                recorded = true, kind = "site" })
        end
    end
    return finish(list, wanted)
end

local function from_kinds(scene, options, wanted)
    local list = {}
    add_kinds(list, scene, scene.busy, options.rows, "content", 0)
    return finish(list, wanted)
end

-- The first `wanted` of them. options: heap (or nil), rows (what query_rows returned, or nil), attribution (nil: no
-- stacks). Each: set, blocks, bytes, held (a set: those that are not lost), lost_blocks, lost_bytes, leak (confidence),
-- mostly_lost, shown (a set: the lost ones where most are lost, else all), types, size and size_blocks (the commonest
-- size) of those, caller, outermost, traces, captures (TraceCounts of those), trace (of
-- most bytes), confidence (of the attribution), recorded (there is a caller), kind ("site", "unrecorded", "undecided",
-- "untraced", or "content": no stacks at all); signature for rows without a caller. Also the bytes of all busy blocks.
function suspects.find(dump, options, wanted)
    local busy = dump:blocks { state = "busy" }
    local scene = { busy = options.heap and options.heap:blocks { state = "busy" } or busy, bytes = 0 }
    for heap in dump:heaps() do -- what the walk has added up; a set would be gone through for it
        if not options.heap or heap == options.heap then scene.bytes = scene.bytes + heap.busy_bytes end
    end
    scene.held, scene.sight = busy:referenced(), lost_blocks.sight(dump)
    for _, lost in ipairs(options.rows and options.rows.lost or {}) do -- the largest first
        if lost:count() > 0 then scene.held = scene.held - lost end
    end
    local find = options.attribution and from_sites or from_kinds
    return find(scene, options, wanted), scene.bytes
end

return suspects
