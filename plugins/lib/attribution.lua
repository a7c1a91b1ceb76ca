-- attribution.lua: which trace each group of blocks belongs to, when the stored index fits several.
--
-- The model. A block stores the low 16 bits of its trace's index, so the traces with those bits (candidates) compete
-- for it; once the database is full a stored 0 can also mean "not recorded". Stored indexes are judged one at a time,
-- all blocks of one together. They are first put into clumps: one heap, one label, one module of the objects' class,
-- and, where ten blocks or more have one size, one size; the odd sizes of a kind are one clump. If there are more than
-- can be tried in WAYS ways, the small ones join the large. Assumed: one call site made a clump, as a site makes one
-- kind of thing. Where that fails (two live sites of one kind on one stored index) the share is wrong by the smaller.
-- For each way to give clumps to candidates log-odds add up:
--   * counts: the blocks of a candidate cannot exceed its TraceCount C (1 % tolerance, increments may race); a way that
--     needs more pays 20 and up. A candidate with n blocks weighs g(log2 C/n) / h(log2 C): g, how many captures stand
--     behind a live block, h, how often a trace has C captures at all. So 300 blocks speak for a trace with 310
--     captures against one with a million. h is counted over the database; g starts with "few, falling off slowly" and
--     is learned.
--   * activity: each owner after the first costs log(rho): rho starts as the share of traces that have live blocks, and
--     is learned from how often two owners explain an index better than one.
--   * content: P(label | allocator). The allocator is the innermost frame outside the heap manager. Starts from what
--     allocators are for (LABEL_PRIOR: MAPIAllocateBuffer makes MAPI buffers, SysAllocString BSTRs, RPC no MAPI
--     memory), is learned with a fallback from the function to its class. Counted once a clump, not once a block: the
--     blocks of a site are no independent witnesses. Objects whose class lies in a module count against stacks without
--     a frame there.
--   * sizes: P(one size, several, many | allocator): how regular a call site is; weighed SIZE_WEIGHT, as content says
--     some of it already.
--   * tags: a heap tag was set by one caller: callers that own blocks of that tag under other indexes.
--   * neighbours, links: what one operation allocates stands side by side and points to each other (a row and its
--     extra buffers), and its traces have their caller in common. For a sample of the blocks in doubt, those with most
--     bytes: how many neighbours and MAPI links have a (probable) trace with the caller of a candidate, against how
--     often any trace has that caller. Two rounds, as neighbours may be in doubt; three witnesses count in full.
-- The sum, times TEMPER for what kinds of evidence have in common, becomes probabilities over all ways. Learning: the
-- LEARN stored indexes with most bytes are judged twice, each time with tables made of the probabilities before; then
-- all are judged. A clump goes to its most probable owner with that probability, lowered by the chance that a second
-- live site of the same kind has some of the blocks (STRAY). Blocks beyond an owner's TraceCount go to the next
-- candidate. TEMPER and STRAY were fitted on seeds 1-10 of tests/synth/variants.lua; everything else is learned from
-- the dump at hand or stated here. The arithmetic is C (engine/query/model.c), which knows no name of this file.
-- What it cannot know: two candidates of one allocator with like counts and no witnesses stay near one half, and say
-- so. Where unrecorded blocks mix in (stored 0) nothing is certain. x64 is as unproven as its database.

local attribution = {}

local EVIDENCE <const> = { "counts", "content", "sizes", "tags", "neighbours", "links" }
attribution.evidence = EVIDENCE

-- The numbers of the model, by the names of struct hs_opinions.
local OPINIONS <const> = {
    temper = 0.8,
    tolerance = 1.01,
    fixed_min = 10,                  -- blocks of one size that are a clump of their own
    learn = 4096,
    clear = 0.995,                   -- clumps below are in doubt: their neighbours are looked at
    looks = 6000, looks_clump = 12,  -- blocks looked at: in all, of a clump
    near = 0x400,                    -- return addresses this close are one function
    floor = 0.004,                   -- what histograms cannot know
    strength = 6,                    -- priors are worth so many sites
    size_weight = 0.7,
    module_absent = 0.04,            -- objects of a class whose module is not on the stack
    behind_fall = 4, behind_strength = 30, -- captures behind a live block: how fast the start falls, what it is worth
    stray_odd = 0.3, stray_fixed = 0.1, stray_most = 0.15,
    zero_most = 0.9,                 -- confidence in an owner where unrecorded blocks mix in
    likely_min = 0.05,               -- owners less probable are no witnesses
    witnesses = 3,                   -- that count in full: they are not independent
    seen = { neighbours = 0.35, links = 0.85 }, -- how often they share the caller
    regular = { 0.5, 0.2, 0.3 },     -- one size, several, many
    undecided = 0.5,                 -- claims below are nobody's in sites()
}
local UNRECORDED <const>, UNRECORDED_FULL <const> = 1e-4, 0.5

-- ---- what allocators are ----

local HEAP_MODULES <const> = { ntdll = true } -- frames there are the heap manager's
local GENERIC <const> = "other"
local MAKERS <const> = { -- allocator by name
    { "^mapiallocatebuffer", "mapi" }, { "^mapiallocatemore", "mapi_more" }, { "^sys.*alloc", "bstr" },
}
local MODULE_MAKERS <const> = { rpcrt4 = "rpc", oleaut32 = "bstr" }
local CLASSES <const> = { "mapi", "mapi_more", "bstr", "rpc", "other" }

-- Prior of labels by what an allocator is for.
local LABEL_PRIOR <const> = {
    mapi = { mapi = 0.86, mapi_more = 0.06, other = 0.05, zero = 0.02 },
    mapi_more = { mapi_more = 0.8, mapi = 0.1, other = 0.05, text = 0.02, zero = 0.02 },
    bstr = { bstr = 0.88, text = 0.05, other = 0.04, zero = 0.02 },
    rpc = { text = 0.5, other = 0.4, zero = 0.05, bstr = 0.02, object = 0.02 },
    other = { other = 0.35, object = 0.2, text = 0.25, zero = 0.12, bstr = 0.02 },
}
local RARE <const> = 0.004

-- Labels whose first word tells the module of the class.
local OBJECTS <const> = { "vtable", "object" }

-- Where MAPI buffers point to others of the same caller: the link of a buffer, and the first value of a row that is a
-- pointer, to what the caller got.
local function links_of(width)
    local list = {}
    for _, label in ipairs { "mapi.row", "mapi.buffer", "mapi.rowset", "mapi.more" } do
        list[#list + 1] = { label = label, at = width }
        if label ~= "mapi.more" then list[#list + 1] = { label = label, at = 2 * width + 8, target = 2 * width } end
    end
    return list
end

local function label_class(label)
    if label == "mapi.more" then return "mapi_more" end
    local head = label:match "^[^.]+"
    if head == "vtable" then return "object" end
    if head == "string" then return "text" end
    return head
end

-- P(label | class) for each class: unlabelled blocks first, then labels by number. Labels of one kind share its part.
local function priors(labels)
    local kinds, of = { [GENERIC] = 1 }, { GENERIC }
    for i, label in ipairs(labels) do
        local kind = label_class(label)
        of[i + 1], kinds[kind] = kind, (kinds[kind] or 0) + 1
    end
    local rows = {}
    for c, class in ipairs(CLASSES) do
        rows[c] = {}
        for i, kind in ipairs(of) do rows[c][i] = (LABEL_PRIOR[class][kind] or RARE) / kinds[kind] end
    end
    return rows
end

-- Makers by name, for the addresses of innermost frames: number of each address's maker from 0, classes from 0, names.
local MAKERS_MAX <const> = 4000 -- the rest is told apart by class only
local function name_makers(dump, addresses)
    local class_numbers, by_name = {}, {}
    for i, class in ipairs(CLASSES) do class_numbers[class] = i - 1 end
    local numbers, maker_class, names = {}, {}, {}
    local function number_of(name, class)
        if #names >= MAKERS_MAX then name = class end
        if not by_name[name] then
            names[#names + 1], maker_class[#names + 1] = name, class_numbers[class]
            by_name[name] = #names - 1
        end
        return by_name[name]
    end
    for i, va in ipairs(addresses) do
        local module, parts = dump:module(va), dump:symbol_parts(va)
        local name = parts and parts.near and parts.name and parts.name:lower() or nil
        local module_name = module and module.name:lower() or "?"
        local class = MODULE_MAKERS[module_name] or GENERIC
        for _, maker in ipairs(MAKERS) do
            if name and name:find(maker[1]) then class = maker[2] end
        end
        numbers[i] = number_of(module_name .. "!" .. (name or ""), class)
    end
    names[#names + 1], maker_class[#names + 1] = "?", class_numbers[GENERIC] -- stacks without such a frame
    return numbers, maker_class, names
end

-- ---- results ----

local Attribution <const> = {}
Attribution.__index = Attribution

local function with_traces(self, shares)
    for _, share in ipairs(shares) do share.trace = share.index > 0 and self.db[share.index] or nil end
    return shares
end

-- Iterator of groups, those of the stored index with most bytes first. Stop early: later ones are many and small.
function Attribution:groups()
    if not self.db then return function() end end
    self.order = self.order or self.kernel:order()
    local at, list, i = 0, {}, 0
    return function()
        while i >= #list do
            at, i = at + 1, 0
            if not self.order[at] then return nil end
            list = self.kernel:groups(self.order[at])
        end
        i = i + 1
        local group = list[i]
        with_traces(self, group.shares)
        table.sort(group.shares, function(a, b)
            return a.blocks > b.blocks or a.blocks == b.blocks and a.index < b.index
        end)
        return group
    end
end

local function percent(p) return ("%.1f %%"):format(100 * p) end

-- Why a candidate won or lost: sentences, what refutes it first.
local function reasons(self, stored, clump, candidate)
    if candidate.index == 0 then
        return { stored ~= 0 and "no trace has this index" or self.db.full and
            "the database was full: the stack was not recorded" or "no trace was stored" }
    end
    local list = {}
    local function add(...) list[#list + 1] = string.format(...) end
    if clump.blocks > candidate.count * OPINIONS.tolerance then
        add("refuted: TraceCount %d, but %d live blocks", candidate.count, clump.blocks)
    else
        add("TraceCount %d against %d live blocks", candidate.count, clump.blocks)
    end
    add("%s makes %s in %s of its sites", self.makers[candidate.maker], clump.label or "unlabelled blocks",
        percent(candidate.likely))
    if clump.module then
        add("the objects' class is of %s, which %s the stack", clump.module,
            candidate.on_stack and "is on" or "is not on")
    end
    for _, kind in ipairs { "neighbours", "links" } do
        local seen = candidate[kind]
        if seen and (seen.odds > 1 or seen.odds < -1) then
            add("%s (%d looked at) speak %s it", kind, seen.looked, seen.odds > 0 and "for" or "against")
        end
    end
    return list
end

-- Who allocated a block: its trace (nil: not recorded, or it stores none), the confidence, reasons, and the other
-- candidates as { trace, confidence, reasons }, likeliest first.
function Attribution:of(block)
    local clump = self.db and self.kernel:clump(block)
    if not clump then return nil, 0.0, { "the block stores no trace" }, {} end
    local others, winner = {}, clump.candidates[clump.owner]
    for i, candidate in ipairs(clump.candidates) do
        if i ~= clump.owner then
            others[#others + 1] = { trace = candidate.index > 0 and self.db[candidate.index] or nil,
                confidence = candidate.odds, reasons = reasons(self, block.stored_index, clump, candidate) }
        end
    end
    table.sort(others, function(a, b) return a.confidence > b.confidence end)
    local why = #others == 0 and winner.index > 0 and clump.confidence > 0.5 and
        { "the only trace with this index" } or reasons(self, block.stored_index, clump, winner)
    return winner.index > 0 and self.db[winner.index] or nil, clump.confidence, why, others
end

-- ---- call sites ----

-- A sequence whose items are made when they are asked for: list[i], #list, for item in list.
local function sequence(count, make)
    local places = {}
    return setmetatable({}, {
        __len = function() return count end,
        __index = function(list, i)
            local item = math.type(i) and i >= 1 and i <= count and make(i) or nil
            if item then
                rawset(list, i, item)
                places[item] = i
            end
            return item
        end,
        __call = function(list, _, item) return list[(places[item] or 0) + 1] end,
    })
end

-- A row of sites. Its traces may be many, its types cost a look at all its blocks' groups.
local function site(self, number)
    local row, count = self.kernel:site(number)
    self.numbers[row] = number
    row.traces = sequence(count, function(i)
        local one = self.kernel:site_trace(number, i)
        one.trace, one.index = self.db[one.index], nil
        return one
    end)
    return setmetatable(row, { __index = function(_, field)
        if field ~= "types" then return nil end
        row.types = self.kernel:site_types(number)
        return row.types
    end })
end

-- Everything busy, by who asked for it: a sequence of rows { kind, caller, outermost, blocks, bytes, confidence,
-- captures, traces, types }, most bytes first. kind: "site"; "unrecorded": the stack was not recorded; "undecided": no
-- owner is likelier than not; "untraced": the heap stores no indexes. Only a site has a caller.
function Attribution:sites()
    self.rows = self.rows or sequence(self.kernel:site_count(), function(number) return site(self, number) end)
    return self.rows
end

-- The blocks of a row of sites, or of a trace (or its index), and how many of them are claimed: what alone is shared,
-- blocks of one heap, index, content and size, is taken whole.
function Attribution:set(what)
    local number = self.numbers[what]
    if number then return self.kernel:set("site", number) end
    return self.kernel:set("trace", math.type(what) == "integer" and what or what.index)
end

-- What is known of a trace: its allocator by name, its caller, whether that is only the outermost frame.
function Attribution:trace(index)
    local maker, caller, outermost = self.kernel:trace(index)
    return self.makers[maker], caller, outermost
end

-- Filters see each block's trace from now on; done by the first that asks.
function Attribution:publish() self.kernel:publish() end

-- Attribution of a dump whose blocks are labelled. kernel: the C function; given.without: a list of evidence to leave
-- out, to measure what it is worth.
function attribution.new(dump, kernel, given)
    local self = setmetatable({ db = dump.traces, numbers = setmetatable({}, { __mode = "k" }) }, Attribution)
    local addresses
    self.kernel, addresses = kernel(dump, { objects = OBJECTS, links = links_of(dump.pointer_size),
        heap_modules = HEAP_MODULES })
    local model = { use = {}, unrecorded = self.db and self.db.full and UNRECORDED_FULL or UNRECORDED }
    for name, value in pairs(OPINIONS) do model[name] = value end
    for _, kind in ipairs(EVIDENCE) do model.use[kind] = true end
    for _, kind in ipairs(given and given.without or {}) do model.use[kind] = false end
    model.makers, model.maker_class, self.makers = name_makers(dump, addresses)
    model.prior = priors(self.kernel:labels())
    self.kernel:judge(model)
    return self
end

local cache <const> = setmetatable({}, { __mode = "k" })

-- The attribution of a dump, made once; with options, made for them.
function attribution.of(dump, kernel, given)
    if given then return attribution.new(dump, kernel, given) end
    cache[dump] = cache[dump] or attribution.new(dump, kernel)
    return cache[dump]
end

return attribution
