-- attribution.lua: which trace each group of blocks belongs to, when the stored index fits several.
--
-- The model. A block stores the low 16 bits of its trace's index, so the traces with those bits (candidates) compete
-- for it; once the database is full a stored 0 can also mean "not recorded". Stored indexes are judged one at a time,
-- all groups of one together. Its blocks are first put into clumps: one heap, one kind of content, and, where ten
-- blocks or more have one size, one size; the odd sizes of a kind are one clump, and if there are too many clumps to
-- try all ways, the smallest are joined. Assumed: one call site made a clump, as a site makes one kind of thing. Where
-- that fails (two live sites of one kind on one stored index) the share is wrong by the smaller of them.
-- For each way to give clumps to candidates log-odds add up:
--   * counts: the blocks of a candidate cannot exceed its TraceCount C (1 % tolerance, increments may race); a way that
--     needs more pays 20 and up. A candidate with n blocks weighs g(log2 C/n) / h(log2 C): g, how many captures stand
--     behind a live block, h, how often a trace has C captures at all. So 300 blocks speak for a trace with 310
--     captures against one with a million. h is sampled from the database; g starts with "few, falling off slowly" and
--     is learned: from indexes with one candidate, and from the others by the probabilities of the round before.
--   * activity: each owner after the first costs log(rho): rho starts as the share of traces that have live blocks, and
--     is learned from how often two owners explain an index better than one.
--   * content: P(label | allocator). The allocator is the innermost frame outside ntdll. Starts from what allocators
--     are for (MAPIAllocateBuffer makes MAPI buffers, SysAllocString BSTRs, RPC no MAPI memory), learned likewise, with
--     a fallback from the function to its class. Counted once a clump, not once a block: the blocks of a site are no
--     independent witnesses. Objects whose table lies in a module count against stacks without a frame there.
--   * sizes: P(one size, several, many | allocator): how regular a call site is; raised to 0.7, as content says some of
--     it already.
--   * tags: a heap tag was set by one caller: callers that own blocks of that tag under other indexes.
--   * neighbours, links: what one operation allocates stands side by side and points to each other (a row and its
--     extra buffers), and its traces have their caller in common. For a sample of the blocks in doubt: how many
--     neighbours and MAPI links have a (probable) trace with the caller of a candidate, against how often any trace has
--     that caller. Two rounds, as neighbours may be in doubt themselves; at most three witnesses count in full.
-- The sum, times TEMPER for what kinds of evidence have in common, becomes probabilities over all ways. A clump goes to
-- its most probable owner with that probability, lowered by the chance that a second live site of the same kind has
-- some of the blocks (STRAY). Blocks beyond an owner's TraceCount go to the next candidate. TEMPER and STRAY were
-- fitted on seeds 1-10 of tests/synth/variants.lua; everything else is learned from the dump at hand or stated above.
-- What it cannot know: two candidates of one allocator with like counts and no witnesses stay near one half, and say
-- so. Where unrecorded blocks mix in (stored 0) nothing is certain. x64 is as unproven as its database.

local contents = require "contents"

local attribution = {}

local TEMPER <const> = 0.8
local TOLERANCE <const> = 1.01
local FIXED_MIN <const> = 10          -- blocks of one size that are a clump of their own
local WAYS_MAX <const> = 64         -- ways to give clumps to candidates that are tried
local FIRST <const> = 600            -- stored indexes, most bytes first, that are read and learned from at once
local SURE <const> = 0.999           -- later rounds leave it alone
local SAMPLES <const> = 6000          -- blocks in doubt whose neighbours are looked at
local NEAR <const> = 0x400            -- return addresses this close are one function
local CLEAR <const> = 0.995
local FLOOR <const> = 0.004           -- what histograms cannot know
local STRAY_ODD <const>, STRAY_FIXED <const> = 0.3, 0.1     -- a second site of one kind has blocks among these
local ZERO_MOST <const> = 0.9         -- confidence in an owner where unrecorded blocks mix in
local EVIDENCE <const> = { "counts", "content", "sizes", "tags", "neighbours", "links" }
attribution.evidence = EVIDENCE

-- ---- what traces are ----

local GENERIC <const> = "other"
local MAKERS <const> = { -- allocator by name, in modules of that name
    { "^mapiallocatebuffer", "mapi" }, { "^mapiallocatemore", "mapi_more" }, { "^sys.*alloc", "bstr" },
}
local MODULE_MAKERS <const> = { rpcrt4 = "rpc", oleaut32 = "bstr" }

-- Prior of labels by what an allocator is for; strength: worth so many sites.
local STRENGTH <const> = 6
local LABEL_PRIOR <const> = {
    mapi = { mapi = 0.86, mapi_more = 0.06, other = 0.05, zero = 0.02 },
    mapi_more = { mapi_more = 0.8, mapi = 0.1, other = 0.05, text = 0.02, zero = 0.02 },
    bstr = { bstr = 0.88, text = 0.05, other = 0.04, zero = 0.02 },
    rpc = { text = 0.5, other = 0.4, zero = 0.05, bstr = 0.02, object = 0.02 },
    other = { other = 0.35, object = 0.2, text = 0.25, zero = 0.12, bstr = 0.02 },
}
local RARE <const> = 0.004

local classes <const> = {}

local function class_of(label)
    if label == "mapi.more" then return "mapi_more" end
    local head = label:match "^[^.]+"
    if head == "mapi" or head == "bstr" or head == "object" or head == "zero" then return head end
    if head == "vtable" then return "object" end
    return head == "string" and "text" or "other"
end

local function label_class(label)
    if not label then return "other" end
    local class = classes[label]
    if not class then
        class = class_of(label)
        classes[label] = class
    end
    return class
end

local Attribution <const> = {}
Attribution.__index = Attribution

-- Module of an address, looked up in the sorted list.
function Attribution:module_at(va)
    local list, low, high = self.modules, 1, #self.modules
    while low <= high do
        local middle = (low + high) // 2
        local module = list[middle]
        if va < module.base then
            high = middle - 1
        elseif va >= module.last then
            low = middle + 1
        else
            return module
        end
    end
    return nil
end

function Attribution:maker_of(frames)
    for _, va in ipairs(frames) do
        local known = self.makers[va]
        if known == nil then
            local module = self:module_at(va)
            known = false
            if module and module.name ~= "ntdll" then
                local parts = self.dump:symbol_parts(va)
                local name = parts and parts.near and parts.name and parts.name:lower() or nil
                local class = MODULE_MAKERS[module.name] or GENERIC
                for _, maker in ipairs(MAKERS) do
                    if name and name:find(maker[1]) then class = maker[2] end
                end
                known = { name = module.name .. "!" .. (name or ""), class = class }
            end
            self.makers[va] = known
        end
        if known then return known end
    end
    return { name = "?", class = GENERIC }
end

-- Facts of a trace that are asked for again and again.
function Attribution:candidate(index)
    local known = self.traces[index]
    if known then return known end
    local trace = self.db[index]
    known = { index = index, trace = trace, count = trace.readable and trace.count or 0, readable = trace.readable }
    local frames = trace.readable and trace.frames or {}
    known.frames, known.maker = frames, self:maker_of(frames)
    known.caller = trace.readable and trace:caller() or frames[#frames]
    self.traces[index] = known
    return known
end

function Attribution:has_module(candidate, base)
    local set = candidate.module_set
    if not set then
        set = {}
        for _, va in ipairs(candidate.frames) do
            local module = self:module_at(va)
            if module then set[module.base] = true end
        end
        candidate.module_set = set
    end
    return set[base]
end

local UNRECORDED <const> = { index = 0, count = math.maxinteger, maker = { name = "?", class = GENERIC }, frames = {},
    readable = true, unrecorded = true }

function Attribution:candidates(stored)
    local list = {}
    for index = stored, self.count, 1 << self.bits do
        if index > 0 then list[#list + 1] = self:candidate(index) end
    end
    if stored == 0 or #list == 0 then list[#list + 1] = UNRECORDED end
    return list
end

-- ---- tables that are learned ----

local function log2(x) return math.log(x, 2) end

-- A histogram of non-negative numbers in bins of `width` with a prior.
local Histogram <const> = {}
Histogram.__index = Histogram

local function histogram(width, bins, prior, strength)
    local self = setmetatable({ width = width, bins = bins, sum = 0 }, Histogram)
    for i = 0, bins - 1 do self[i] = prior(i * width) end
    for i = 0, bins - 1 do self.sum = self.sum + self[i] end
    for i = 0, bins - 1 do self[i] = self[i] / self.sum * strength end
    self.sum = strength
    return self
end

function Histogram:add(x, weight)
    local i = math.min(self.bins - 1, math.floor(x / self.width))
    self[i] = self[i] + weight
    self.sum = self.sum + weight
end

-- Smoothed over neighbours, so that a site is no evidence for just its own bin.
function Histogram:density(x)
    local i = math.min(self.bins - 1, math.floor(x / self.width))
    local low, high = self[i - 1] or self[i], self[i + 1] or self[i]
    return (low + 2 * self[i] + high) / 4 / self.sum
end

local function label_prior(class, label)
    return LABEL_PRIOR[class][label_class(label)] or RARE
end

-- P(label | allocator) with what was learned; falls back from the allocator to its class.
function Attribution:label_likelihood(maker, label)
    local memo = self.memo[maker]
    if not memo then
        memo = {}
        self.memo[maker] = memo
    end
    local known = memo[label or "-"]
    if not known then
        known = self:work_out_label(maker, label)
        memo[label or "-"] = known
    end
    return known
end

function Attribution:work_out_label(maker, label)
    local class, name = self.by_class[maker.class], self.by_maker[maker.name]
    label = label or "-"
    local base = label_prior(maker.class, label ~= "-" and label or nil)
    local kinds = math.max(1, self.labels_of[label_class(label ~= "-" and label or nil)] or 1)
    base = base / kinds
    local from_class = ((class and class[label] or 0) + STRENGTH * base) / ((class and class.sum or 0) + STRENGTH)
    return ((name and name[label] or 0) + STRENGTH * from_class) / ((name and name.sum or 0) + STRENGTH)
end

local function bump(tables, key, label, weight)
    local one = tables[key]
    if not one then
        one = { sum = 0 }
        tables[key] = one
    end
    one[label], one.sum = (one[label] or 0) + weight, one.sum + weight
end

local REGULAR_PRIOR <const> = { single = 0.5, few = 0.2, many = 0.3 }

function Attribution:regular_likelihood(maker, regular)
    local one = self.regular[maker.name]
    return ((one and one[regular] or 0) + STRENGTH * REGULAR_PRIOR[regular]) / ((one and one.sum or 0) + STRENGTH)
end

-- One clump that was given to a candidate with a probability.
function Attribution:learn(clump, candidate, weight)
    if candidate.unrecorded then return end
    local label = clump.label or "-"
    bump(self.by_class, candidate.maker.class, label, weight)
    bump(self.by_maker, candidate.maker.name, label, weight)
    if clump.regular then bump(self.regular, candidate.maker.name, clump.regular, weight) end
    if clump.tag and candidate.caller then
        local list = self.tag_callers[clump.tag]
        if not list then
            list = {}
            self.tag_callers[clump.tag] = list
        end
        list[#list + 1] = { candidate.caller, weight, clump.stored }
    end
end

-- ---- cells and clumps ----

-- Reads cells of a set; returns the stored indexes that were new, most bytes first.
function Attribution:read_cells(set)
    local cells, order = self.cells, {}
    self.notes = contents.each(self.dump, self.recognise, set, function(row, label)
        local list = cells[row.stored]
        if not list then
            list = { bytes = 0, count = 0 }
            cells[row.stored], order[#order + 1] = list, { row.stored, list }
        end
        row.label = label
        list[#list + 1] = row
        list.bytes, list.count = list.bytes + row.bytes, list.count + row.count
        label = label or "-"
        if not self.labels[label] then
            local class = label_class(label ~= "-" and label or nil)
            self.labels[label], self.labels_of[class] = true, (self.labels_of[class] or 0) + 1
        end
    end)
    for _, one in ipairs(order) do one.bytes = one[2].bytes end
    table.sort(order, function(a, b) return a.bytes > b.bytes or a.bytes == b.bytes and a[1] < b[1] end)
    return order
end

-- The indexes with most bytes first; the others are read when somebody asks for them.
function Attribution:read_first()
    local all = self.dump:blocks "state == busy and stored >= 0"
    local by_stored, list = all:group "stored", {}
    self.stored_count = #by_stored
    for row in by_stored:top(FIRST) do list[#list + 1] = row.stored end
    if #list == 0 then return end
    local first = all
    if #list < self.stored_count then
        first = all:where(("stored in {%s}"):format(table.concat(list, ", ")))
        self.rest = all - first
    end
    self.order = self:read_cells(first)
    for row in first:where "tag > 0":group("stored", "size", "tag") do
        self.tags[row.stored << 32 | row.size] = row.tag
    end
end

-- The cells of one index, read now if need be; nil: no busy block stores it.
function Attribution:cells_of(stored)
    if not self.cells[stored] and self.rest then
        self:read_cells(self.rest:where(("stored == %d"):format(stored)))
    end
    return self.cells[stored]
end

-- Puts the cells of a stored index into clumps; the smallest are merged until all ways can be tried.
function Attribution:clumps(stored, ways)
    local by_key, list = {}, {}
    for _, cell in ipairs(self.cells[stored]) do
        local alone = cell.count >= FIXED_MIN and cell.size
        local key = ("%x,%s,%s,%s"):format(cell.heap, cell.label, cell.module, alone)
        local clump = by_key[key]
        if not clump then
            clump = { stored = stored, label = cell.label, module = cell.module, count = 0, bytes = 0, cells = {},
                heap = cell.heap }
            by_key[key], list[#list + 1] = clump, clump
        end
        clump.cells[#clump.cells + 1] = cell
        clump.count, clump.bytes = clump.count + cell.count, clump.bytes + cell.bytes
        clump.tag = clump.tag or self.tags[stored << 32 | cell.size]
        cell.clump = clump
    end
    table.sort(list, function(a, b)
        return a.count > b.count or a.count == b.count and a.cells[1].size < b.cells[1].size
    end)
    while ways ^ #list > WAYS_MAX and #list > 1 do -- the smallest goes to the larger one it is most alike
        local small = table.remove(list)
        local into = list[#list]
        for i = #list, 1, -1 do
            if list[i].label == small.label then into = list[i] break end
        end
        for _, cell in ipairs(small.cells) do
            into.cells[#into.cells + 1], cell.clump = cell, into
        end
        into.mixed = into.mixed or into.label ~= small.label or small.mixed
        into.count, into.bytes, into.tag = into.count + small.count, into.bytes + small.bytes, into.tag or small.tag
    end
    for _, clump in ipairs(list) do
        local sizes = {}
        local distinct = 0
        for _, cell in ipairs(clump.cells) do
            if not sizes[cell.size] then sizes[cell.size], distinct = true, distinct + 1 end
        end
        if clump.count >= 3 then
            clump.regular = distinct == 1 and "single" or distinct * 3 <= clump.count and "few" or "many"
        end
    end
    return list
end

-- ---- the odds ----

function Attribution:count_odds(candidate, n)
    if candidate.unrecorded then return 0 end
    local count = candidate.count
    if count == 0 then return -12 end -- an entry that makes no sense
    local odds = 0
    if self.use.counts then
        if n > count * TOLERANCE then return -20 - math.min(20, log2(n / count)) end
        odds = math.log((self.behind:density(math.max(0, log2(count / n))) + FLOOR) /
            (self.captures:density(log2(count)) + FLOOR))
    end
    return odds
end

local function same_caller(a, b)
    return a and b and a - b < NEAR and b - a < NEAR
end

function Attribution:tag_odds(clump, candidate)
    local list = self.tag_callers[clump.tag]
    if not list then return 0 end
    local same, all = 0, 0
    for _, one in ipairs(list) do
        if one[3] ~= clump.stored then
            all = all + one[2]
            if same_caller(one[1], candidate.caller) then same = same + one[2] end
        end
    end
    local chance = self:chance_of(candidate.caller)
    return math.max(-2, math.min(3, math.log((same + chance) / (all + 1) / chance)))
end

-- How often a trace has this caller: outer frames of a thread are common to many.
function Attribution:chance_of(caller)
    if not caller then return 1 end
    local bucket = caller // NEAR
    local by = self.caller_counts
    return math.max(0.003, ((by[bucket - 1] or 0) + (by[bucket] or 0) + (by[bucket + 1] or 0)) / by.sum)
end

function Attribution:count_callers()
    local by = { sum = 1 }
    for _, candidate in pairs(self.traces) do
        if candidate.caller then
            local bucket = candidate.caller // NEAR
            by[bucket], by.sum = (by[bucket] or 0) + 1, by.sum + 1
        end
    end
    self.caller_counts = by
end

-- What speaks for a candidate as the owner of a clump, counts apart.
function Attribution:clump_odds(clump, candidate)
    if candidate.unrecorded then
        local use = self.use
        local odds = math.log(self.unrecorded)
        if use.content then odds = odds + math.log(self:overall(clump.label)) end
        if use.sizes and clump.regular then odds = odds + math.log(REGULAR_PRIOR[clump.regular]) end
        return odds
    end
    local use, odds = self.use, 0
    if use.content then
        odds = odds + math.log(self:label_likelihood(candidate.maker, clump.label))
        if clump.module then odds = odds + (self:has_module(candidate, clump.module) and 0 or math.log(0.04)) end
    end
    if use.sizes and clump.regular then
        odds = odds + 0.7 * math.log(self:regular_likelihood(candidate.maker, clump.regular))
    end
    if use.tags and clump.tag then odds = odds + self:tag_odds(clump, candidate) end
    if clump.seen then
        for kind, seen in pairs(clump.seen) do
            if use[kind] then odds = odds + self:seen_odds(kind, seen, candidate) end
        end
    end
    return odds
end

-- How often a label occurs over all.
function Attribution:overall(label)
    local sum, all = 0.5, 2
    for _, one in pairs(self.by_class) do
        sum, all = sum + (one[label or "-"] or 0), all + one.sum
    end
    return sum / all
end

-- Neighbours or links that have the candidate's caller; at most three count in full, they are not independent.
local SEEN <const> = { neighbours = 0.35, links = 0.85 }       -- how often they share the caller

function Attribution:seen_odds(kind, seen, candidate)
    local hits = 0
    for _, one in ipairs(seen) do
        local best = 0
        for _, way in ipairs(one) do
            if same_caller(way[1].caller, candidate.caller) then best = best + way[2] end
        end
        hits = hits + best
    end
    local n = #seen
    if n == 0 then return 0 end
    local scale = math.min(1, 3 / n)
    hits = hits * scale
    n = n * scale
    -- a soft hit: the mixture for each, at its mean
    local share = hits / n
    local chance = self:chance_of(candidate.caller)
    local hit = math.max(SEEN[kind], chance)
    return n * math.log((share * hit + (1 - share) * (1 - hit)) / (share * chance + (1 - share) * (1 - chance))
        + 1e-9)
end

-- ---- one stored index ----

-- Probabilities of each clump's owners: clump.odds[i], over candidates.
function Attribution:judge(stored)
    local known = self.judged[stored]
    if known then return known end
    local candidates = self:candidates(stored)
    local k = #candidates
    local clumps = self:clumps(stored, math.max(k, 2))
    local result = { stored = stored, candidates = candidates, clumps = clumps }
    self.judged[stored] = result
    self:weigh(result)
    return result
end

function Attribution:weigh(result)
    local candidates, clumps = result.candidates, result.clumps
    local k, m = #candidates, #clumps
    if k == 1 then
        for _, clump in ipairs(clumps) do clump.odds = { 1 } end
        return
    end
    local given = {}
    for j, clump in ipairs(clumps) do
        given[j] = {}
        for i, candidate in ipairs(candidates) do given[j][i] = self:clump_odds(clump, candidate) end
    end
    local scores, ways, highest = {}, {}, -math.huge
    local way = {}
    local second = math.log(self.second)
    local owners = {}
    local function try(j, sum)
        if j > m then
            local active = 0
            for i, candidate in ipairs(candidates) do
                local n = 0
                for at = 1, m do if way[at] == i then n = n + clumps[at].count end end
                if n > 0 then
                    sum = sum + self:count_odds(candidate, n)
                    if not candidate.unrecorded then active = active + 1 end
                end
            end
            -- where the database is full, index 0x10000 pays too: the unrecorded need no trace of their own
            local paid = result.stored == 0 and active or active - 1
            if paid > 0 then sum = sum + paid * second end
            sum = sum * TEMPER
            owners[#owners + 1] = active
            scores[#scores + 1], ways[#ways + 1] = sum, table.move(way, 1, m, 1, {})
            if sum > highest then highest = sum end
            return
        end
        for i = 1, k do
            way[j] = i
            try(j + 1, sum + given[j][i])
        end
    end
    try(1, 0)
    local total = 0
    for at, score in ipairs(scores) do
        scores[at] = math.exp(score - highest)
        total = total + scores[at]
    end
    result.several = 0
    for at, score in ipairs(scores) do
        if owners[at] > 1 then result.several = result.several + score / total end
    end
    for j, clump in ipairs(clumps) do
        local odds = {}
        for i = 1, k do odds[i] = 0 end
        for at, score in ipairs(scores) do
            local i = ways[at][j]
            odds[i] = odds[i] + score / total
        end
        clump.odds = odds
    end
    local surest = 1
    for _, clump in ipairs(clumps) do surest = math.min(surest, math.max(table.unpack(clump.odds))) end
    result.sure = surest > SURE and (result.sure or 0) + 1 or 0
end

-- ---- all of them ----

-- Captures of traces over the database, sampled.
function Attribution:sample_captures()
    local step = math.max(1, self.count // 6000)
    for index = 1, self.count, step do
        local trace = self.db[index]
        if trace.readable then self.captures:add(log2(math.max(1, trace.count)), 1) end
    end
end

-- Makes the learned tables anew from what was judged.
function Attribution:round()
    self.by_class, self.by_maker, self.regular, self.tag_callers, self.memo = {}, {}, {}, {}, {}
    local behind = histogram(1, 24, function(x) return x < 1 and 1 or 0.5 * math.exp(-x / 4) end, 30)
    local several, contested = 10 * self.active, 10
    for _, one in ipairs(self.order) do
        local result = self.judged[one[1]]
        if not result then break end
        if result.several and #result.clumps > 1 then
            several, contested = several + result.several, contested + 1
        end
        local live = {}
        for _, clump in ipairs(result.clumps) do
            for i, p in ipairs(clump.odds) do
                if p > 0.02 then
                    self:learn(clump, result.candidates[i], p)
                    live[i] = (live[i] or 0) + p * clump.count
                end
            end
        end
        for i, n in pairs(live) do
            local candidate = result.candidates[i]
            if not candidate.unrecorded and candidate.count > 0 and n >= 0.5 then
                behind:add(math.max(0, log2(candidate.count / n)), math.min(1, n))
            end
        end
    end
    self.behind = behind
    self.second = math.min(0.5, several / contested)
end

-- Judges what was read first; what is sure stays.
function Attribution:judge_first()
    for _, one in ipairs(self.order) do
        local result = self.judged[one[1]]
        if not result then
            self:judge(one[1])
        elseif (result.sure or 0) < 1 then
            self:weigh(result)
        end
    end
end

local function clearest(clump)
    local best = 1
    for i, p in ipairs(clump.odds) do if p > clump.odds[best] then best = i end end
    return best, clump.odds[best]
end

-- The clump of a block, if its index was judged.
function Attribution:clump_of(block)
    local result = block.stored_index and self.judged[block.stored_index]
    if not result then return nil end
    for _, cell in ipairs(self.cells[result.stored]) do
        if cell.size == block.size and cell.heap == block.heap.address then return cell.clump, result end
    end
    return nil
end

local function ways_of(clump, result)
    local list = {}
    for i, p in ipairs(clump.odds) do
        if p > 0.05 then list[#list + 1] = { result.candidates[i], p } end
    end
    return list
end

-- Looks at neighbours and links of a sample of the blocks in doubt.
function Attribution:look_around()
    local doubtful = {}
    for _, one in ipairs(self.order) do
        local result = self.judged[one[1]]
        if not result then break end
        for _, clump in ipairs(result.clumps) do
            local _, p = clearest(clump)
            if p < CLEAR then doubtful[result.stored] = true end
        end
    end
    local list = {}
    for stored in pairs(doubtful) do list[#list + 1] = stored end
    if #list == 0 then return end
    table.sort(list)
    local dump, width = self.dump, self.dump.pointer_size
    local pairs_seen = {}
    self.witnesses = pairs_seen
    for _, block in ipairs(dump:blocks(("state == busy and stored in {%s}"):format(table.concat(list, ", ")))
        :sample(SAMPLES)) do
        local clump = self:clump_of(block)
        local _, p = nil, 1
        if clump then _, p = clearest(clump) end
        if clump and p < CLEAR and (clump.looked or 0) < 12 then
            clump.looked = (clump.looked or 0) + 1
            local function witness(kind, other)
                if other and other.state == "busy" and other.stored_index and
                    other.stored_index ~= block.stored_index then
                    local its, result = self:clump_of(other)
                    if its then pairs_seen[#pairs_seen + 1] = { kind, clump, its, result } end
                end
            end
            witness("neighbours", dump:block(block.address - 1))
            witness("neighbours", dump:block(block.address + block.total))
            if clump.label and clump.label:find "^mapi" then
                local link = block:ptr(width)
                if link and link ~= 0 then witness("links", dump:block(link)) end
                -- the first value of a row that points somewhere
                local value = clump.label ~= "mapi.more" and block:ptr(2 * width + 8)
                if value and value ~= 0 then
                    local held = dump:block(value)
                    if held and held.user + 2 * width == value then witness("links", held) end
                end
            end
        end
    end
end

-- A link is seen from both ends.
function Attribution:count_witnesses()
    for _, one in ipairs(self.witnesses or {}) do
        one[2].seen = nil
        one[3].seen = nil
    end
    local function see(clump, kind, its, result)
        local seen = clump.seen or {}
        clump.seen = seen
        seen[kind] = seen[kind] or {}
        seen[kind][#seen[kind] + 1] = ways_of(its, result)
    end
    for _, one in ipairs(self.witnesses or {}) do
        see(one[2], one[1], one[3], one[4])
        if one[1] == "links" then see(one[3], "links", one[2], self.judged[one[2].stored]) end
    end
end

-- ---- results ----

-- Chance that a rival that lost has some blocks of the clump's cell all the same.
function Attribution:stray(result, clump, owner)
    local chance = 0
    for i, candidate in ipairs(result.candidates) do
        if i ~= owner and not candidate.unrecorded then
            local likely = clump.mixed and 1 or self:label_likelihood(candidate.maker, clump.label)
            chance = chance + (#clump.cells > 1 and STRAY_ODD or STRAY_FIXED) * self.second * likely
        end
    end
    return math.min(0.15, chance)
end

function Attribution:confidence(result, clump, owner, p)
    local winner = result.candidates[owner]
    if #result.candidates == 1 then -- nothing to compare with; a damaged entry or index is no good witness
        if winner.unrecorded then return result.stored == 0 and p or 0.0 end
        return winner.readable and clump.count <= winner.count * TOLERANCE and p or 0.5
    end
    p = p * (1 - self:stray(result, clump, owner))
    if result.stored == 0 and self.db.full and not winner.unrecorded then p = p * ZERO_MOST end
    return p
end

-- Shares of each cell, then of each group.
function Attribution:shares_of(result)
    local left, groups, order = {}, {}, {}
    for i, candidate in ipairs(result.candidates) do
        left[i] = candidate.unrecorded and math.maxinteger or math.ceil(candidate.count * TOLERANCE)
    end
    for _, clump in ipairs(result.clumps) do
        local owner, p = clearest(clump)
        p = self:confidence(result, clump, owner, p)
        table.sort(clump.cells, function(a, b) return a.count > b.count or a.count == b.count and a.size < b.size end)
        for _, cell in ipairs(clump.cells) do
            local key = cell.heap << 32 ~ cell.size
            local group = groups[key]
            if not group then
                group = { heap = cell.heap, stored = result.stored, size = cell.size, blocks = 0, shares = {}, by = {} }
                groups[key], order[#order + 1] = group, group
            end
            group.blocks = group.blocks + cell.count
            local function give(i, blocks, confidence)
                if blocks == 0 then return end
                local share = group.by[i]
                if not share then
                    local candidate = result.candidates[i]
                    share = { trace = candidate.trace, index = candidate.index, blocks = 0, confidence = 0 }
                    group.by[i], group.shares[#group.shares + 1] = share, share
                end
                share.confidence = (share.confidence * share.blocks + confidence * blocks) / (share.blocks + blocks)
                share.blocks = share.blocks + blocks
            end
            local mine = #result.candidates == 1 and cell.count or math.min(cell.count, left[owner])
            give(owner, mine, p)
            left[owner] = left[owner] - mine
            local rest = cell.count - mine
            for i in ipairs(result.candidates) do
                local more = math.min(rest, math.max(0, left[i]))
                if i ~= owner and more > 0 then
                    give(i, more, math.min(0.5, clump.odds[i]))
                    left[i], rest = left[i] - more, rest - more
                end
            end
            if rest > 0 then give(owner, rest, 0.05) end
        end
    end
    for _, group in ipairs(order) do
        group.by = nil
        table.sort(group.shares, function(a, b)
            return a.blocks > b.blocks or a.blocks == b.blocks and a.index < b.index
        end)
    end
    return order
end

-- Iterator of groups, those of the stored index with most bytes first. Stop early: later ones are many and small.
function Attribution:groups()
    return coroutine.wrap(function()
        for _, one in ipairs(self.order) do
            local result = self:judge(one[1])
            for _, group in ipairs(self:shares_of(result)) do coroutine.yield(group) end
        end
        if not self.rest then return end
        self.later = self.later or self:read_cells(self.rest)
        for _, one in ipairs(self.later) do
            for _, group in ipairs(self:shares_of(self:judge(one[1]))) do coroutine.yield(group) end
        end
    end)
end

-- ---- call sites ----

local UNDECIDED <const> = 0.5           -- claims below are nobody's

-- The caller of a trace, and whether it is only the outermost frame, since all are allocators or the system.
local function caller_of(trace)
    local caller = trace:caller()
    if caller then return caller, false end
    local frames = trace.frames
    return frames[#frames], true
end

local function more_bytes(a, b)
    return a.bytes > b.bytes or a.bytes == b.bytes and a.order < b.order
end

local function finish_site(row)
    row.confidence = row.bytes > 0 and row.confidence / row.bytes or 0.0
    for _, one in ipairs(row.traces) do one.confidence = one.bytes > 0 and one.confidence / one.bytes or 0.0 end
    table.sort(row.traces, more_bytes)
    local types = {}
    for label, bytes in pairs(row.labels) do types[#types + 1] = { label = label, bytes = bytes, order = label } end
    table.sort(types, more_bytes)
    for i, one in ipairs(types) do row.types[i] = one.label end
    row.labels = nil
end

-- Everything busy, by who asked for it: rows { kind, caller, outermost, blocks, bytes, confidence, traces, types }, with
-- most bytes first. kind: "site"; "unrecorded": the stack was not recorded; "undecided": no owner is likelier than
-- not; "untraced": the heap stores no indexes. Only a site has a caller.
function Attribution:sites()
    if self.rows then return self.rows end
    local rows, by_key, by_trace = {}, {}, {}
    local function row_of(kind, caller, outermost)
        local key = kind == "site" and caller or kind
        local row = by_key[key]
        if not row then
            row = { kind = kind, caller = caller, outermost = outermost, blocks = 0, bytes = 0, confidence = 0.0,
                traces = {}, types = {}, labels = {}, groups = {}, order = caller or 0 }
            by_key[key], rows[#rows + 1] = row, row
        end
        return row
    end
    local function add(row, group, share, confidence)
        local bytes = share.blocks * group.size
        row.blocks, row.bytes = row.blocks + share.blocks, row.bytes + bytes
        row.confidence = row.confidence + bytes * confidence
        row.groups[#row.groups + 1] = { group, share }
        for _, cell in ipairs(self.cells[group.stored]) do
            if cell.size == group.size and cell.heap == group.heap and cell.label then
                row.labels[cell.label] = (row.labels[cell.label] or 0) + cell.bytes
            end
        end
        return bytes
    end
    for group in self:groups() do
        for _, share in ipairs(group.shares) do
            if not share.trace then
                add(row_of "unrecorded", group, share, share.confidence)
            elseif share.confidence < UNDECIDED then
                add(row_of "undecided", group, share, 1 - share.confidence)
            else
                local known = by_trace[share.index]
                if not known then
                    local caller, outermost = caller_of(share.trace)
                    known = { row = row_of("site", caller, outermost), one = { trace = share.trace, blocks = 0,
                        bytes = 0, confidence = 0.0, order = share.index } }
                    by_trace[share.index] = known
                    table.insert(known.row.traces, known.one)
                end
                local one, bytes = known.one, add(known.row, group, share, share.confidence)
                one.blocks, one.bytes = one.blocks + share.blocks, one.bytes + bytes
                one.confidence = one.confidence + bytes * share.confidence
            end
        end
    end
    local untraced = self.dump:blocks "state == busy" - self.dump:blocks "stored >= 0"
    if untraced:count() > 0 then
        local row = row_of "untraced"
        row.blocks, row.bytes, row.confidence = untraced:count(), untraced:bytes(), untraced:bytes() * 1.0
        for one in untraced:group "type" do if one.type then row.labels[one.type] = one.bytes end end
    end
    for _, row in ipairs(rows) do finish_site(row) end
    table.sort(rows, more_bytes)
    self.rows = rows
    return rows
end

-- The blocks of a row of sites, or of a trace: whole groups, and how many blocks exactly are claimed of them.
function Attribution:set(what)
    local groups, count = {}, 0
    local function take(row, index)
        for _, one in ipairs(row.groups) do
            if not index or one[2].index == index then
                groups[#groups + 1], count = one[1], count + one[2].blocks
            end
        end
    end
    if type(what) == "table" and what.kind == "untraced" then
        local set = self.dump:blocks "state == busy" - self.dump:blocks "stored >= 0"
        return set, set:count()
    elseif type(what) == "table" and what.groups then
        take(what)
    else
        local index = type(what) == "number" and what or what.index
        for _, row in ipairs(self:sites()) do
            for _, one in ipairs(row.traces) do
                if one.trace.index == index then take(row, index) end
            end
        end
    end
    local by, order = {}, {}
    for _, group in ipairs(groups) do
        local key = group.stored << 32 ~ group.heap
        if not by[key] then
            by[key] = { group, {} }
            order[#order + 1] = by[key]
        end
        table.insert(by[key][2], group.size)
    end
    local set = self.dump:blocks "size < 0"
    for _, one in ipairs(order) do
        set = set | self.dump:blocks(("state == busy and heap == 0x%x and stored == 0x%x and size in {%s}"):format(
            one[1].heap, one[1].stored, table.concat(one[2], ", ")))
    end
    return set, count
end

local function percent(p) return ("%.1f %%"):format(100 * p) end

-- Why a candidate won or lost: sentences.
function Attribution:reasons(clump, candidate)
    if candidate.unrecorded then
        return { clump.stored ~= 0 and "no trace has this index" or self.db.full and
            "the database was full: the stack was not recorded" or "no trace was stored" }
    end
    local list = {}
    local function add(...) list[#list + 1] = string.format(...) end
    local count = candidate.count
    if clump.count > count * TOLERANCE then
        add("refuted: TraceCount %d, but %d live blocks", count, clump.count)
    else
        add("TraceCount %d against %d live blocks", count, clump.count)
    end
    local likely = self:label_likelihood(candidate.maker, clump.label)
    add("%s makes %s in %s of its sites", candidate.maker.name, clump.label or "unlabelled blocks", percent(likely))
    if clump.module then
        local module = self:module_at(clump.module)
        add("the objects' class is of %s, which %s the stack", module and module.name or "a module",
            self:has_module(candidate, clump.module) and "is on" or "is not on")
    end
    for kind, seen in pairs(clump.seen or {}) do
        local odds = self:seen_odds(kind, seen, candidate)
        if odds > 1 or odds < -1 then
            add("%s (%d looked at) speak %s it", kind, #seen, odds > 0 and "for" or "against")
        end
    end
    table.sort(list, function(a, b) return a:find "^refuted" and not b:find "^refuted" or false end)
    return list
end

-- Who allocated a block: its trace (nil: not recorded, or it stores none), the confidence, reasons, and the other
-- candidates as { trace, confidence, reasons }, likeliest first.
function Attribution:of(block)
    local stored = block.stored_index
    if block.state ~= "busy" or not stored or not self:cells_of(stored) then
        return nil, 0.0, { "the block stores no trace" }, {}
    end
    local result = self:judge(stored)
    local clump
    for _, cell in ipairs(self.cells[stored]) do
        if cell.size == block.size and cell.heap == block.heap.address and
            (not clump or cell.label == block.type) then
            clump = cell.clump
        end
    end
    local owner, p = clearest(clump)
    local others = {}
    for i, candidate in ipairs(result.candidates) do
        if i ~= owner then
            others[#others + 1] = { trace = candidate.trace, confidence = clump.odds[i],
                reasons = self:reasons(clump, candidate) }
        end
    end
    table.sort(others, function(a, b) return a.confidence > b.confidence end)
    local winner = result.candidates[owner]
    p = self:confidence(result, clump, owner, p)
    local reasons = #result.candidates == 1 and not winner.unrecorded and p > 0.5 and
        { "the only trace with this index" } or self:reasons(clump, winner)
    return winner.trace, p, reasons, others
end

-- Attribution of a dump. options: recognise (heapsift.recognise, or nil); without = { counts = true, ... }: evidence to
-- leave out, for the bench.
function attribution.new(dump, options)
    local db = dump.traces
    local self = setmetatable({ dump = dump, db = db, count = db and #db or 0, bits = db and db.index_bits or 16,
        use = {}, traces = {}, makers = {}, judged = {}, modules = {}, notes = {} }, Attribution)
    for _, kind in ipairs(EVIDENCE) do self.use[kind] = not (options.without and options.without[kind]) end
    self.cells, self.order = {}, {}
    if not db then return self end
    for module in dump:modules() do
        self.modules[#self.modules + 1] = { name = module.name:lower(), base = module.base, last = module.end_address }
    end
    table.sort(self.modules, function(a, b) return a.base < b.base end)
    self.recognise, self.labels, self.labels_of, self.tags = options.recognise, {}, {}, {}
    self:read_first()
    self.captures = histogram(1, 33, function(x) return math.exp(-x / 3) end, 5)
    self.behind = histogram(1, 24, function(x) return x < 1 and 1 or 0.5 * math.exp(-x / 4) end, 30)
    self.by_class, self.by_maker, self.regular, self.tag_callers, self.memo = {}, {}, {}, {}, {}
    self:sample_captures()
    self.active = math.min(0.5, (self.stored_count + 1) / (self.count + 1))
    self.second = self.active
    self.unrecorded = db.full and 0.5 or 1e-4
    self:count_callers()
    self:judge_first()
    self:count_callers()
    self:round()
    self:judge_first()
    self:round()
    self:judge_first()
    if self.use.neighbours or self.use.links then
        self:look_around()
        for _ = 1, 2 do
            self:count_witnesses()
            self:judge_first()
        end
    end
    return self
end

local cache <const> = setmetatable({}, { __mode = "k" })

-- The attribution of a dump, made once.
function attribution.of(dump, recognise)
    local known = cache[dump]
    if not known then
        known = attribution.new(dump, { recognise = recognise })
        cache[dump] = known
    end
    return known
end

return attribution
