-- variant_sites.lua: who allocates in a variant: operations of modules, each with the call sites it allocates from.
--
-- An operation is one function of a module doing one job again and again: its call sites share their outer frames and
-- allocate together. A site has an allocator (family), one main kind of content, a size model, a heap and maybe a tag.
-- How often an operation ran, how much of it is still live, and where in the database its stacks stand is drawn from
-- `parameters`: everything a variant knows of itself, and what the oracle of the bench is told.

local sites = {}

-- Kinds of content by family; the first is the likely one.
sites.KINDS = {
    malloc = { "object", "object", "blob", "ascii", "pointers", "zero" }, bstr = { "bstr" },
    rpc = { "wide", "wide", "blob" }, cotask = { "wide", "wide", "blob" },
    localalloc = { "wide", "ascii", "blob" }, office = { "blob", "wide", "object", "zero" },
    buffer = { "row", "mapi_buffer" }, more = { "mapi_more" },
}
local FAMILIES <const> = { "malloc", "malloc", "malloc", "bstr", "office", "office", "cotask", "localalloc", "rpc",
    "buffer", "more", "more" }
local VARIED <const> = { ascii = true, wide = true, bstr = true, mapi_more = true }
local MAPI <const> = { buffer = true, more = true }
local SIZES <const> = { 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 56, 64, 72, 80, 88, 96, 104, 112, 128, 136, 152, 160,
    176, 184, 200, 216, 248, 256, 264, 300, 312, 344, 376, 400, 448, 512, 520, 608, 712, 824, 1032 }
local ODD_CONTENT <const>, ODD_SITE <const> = 0.04, 0.03

local function pareto(random, alpha, largest)
    return math.min(largest, math.floor((1 - random()) ^ (-1 / alpha)))
end

local function normal(random)
    return math.sqrt(-2 * math.log(1 - random())) * math.cos(2 * math.pi * random())
end
sites.pareto, sites.normal = pareto, normal

-- The size model of a site: { kind fixed size } or { mean, spread } of texts.
local function size_model(world, kind)
    local random = world.random
    if kind == "row" then
        local columns = world.parameters.unicode and random(5, 11) or random(8, 20)
        return { fixed = { 8 + 16 * columns }, columns = columns }
    elseif VARIED[kind] then
        return { mean = math.exp(3.2 + 0.7 * normal(random)), spread = 0.2 + 0.4 * random() }
    end
    local fixed = {}
    for i = 1, random() < 0.75 and 1 or random(2, 4) do
        fixed[i] = SIZES[1 + math.floor(#SIZES * random() ^ 1.6)]
    end
    return { fixed = fixed }
end

function sites.size(site, random)
    local model = site.sizes
    if model.fixed then return model.fixed[#model.fixed == 1 and 1 or random(#model.fixed)] end
    local size = math.floor(model.mean * math.exp(model.spread * normal(random)))
    local even = site.kind == "wide" or site.kind == "bstr"
    size = math.max(10, math.min(2000, size))
    return even and size // 2 * 2 or size
end

local function new_site(world, operation, family, kind)
    local random = world.random
    local kinds = sites.KINDS[family]
    kind = kind or kinds[random(#kinds)]
    if random() < ODD_SITE and not MAPI[family] then kind = "blob" end
    local site = { operation = operation, family = family, kind = kind, sizes = size_model(world, kind),
        module = operation.module, live = 0 }
    site.heap = MAPI[family] and 2 or random() < 0.1 and random(3) or operation.heap
    if random() < world.parameters.tagged then site.tag = operation.tag end
    operation.sites[#operation.sites + 1] = site
    world.sites[#world.sites + 1] = site
    return site
end

-- An operation; runs: how many of its results are live.
local function new_operation(world, module, runs)
    local random = world.random
    local operation = { module = module, runs = runs, sites = {}, heap = ({ 1, 1, 3 })[random(3)],
        tag = random(1, 40) }
    world.operations[#world.operations + 1] = operation
    return operation
end

-- Stacks: allocator frames, the site's frame inside the operation's function, and the outer frames they share. Sites
-- of MAPI have a frame of OLMAPI32 in between and the operation's own frame in common, as the rows of the case have.
local function stack(world, site)
    local composer, operation, random = world.composer, site.operation, world.random
    local heads = composer.heads[site.family]
    local head = heads[random(#heads)]
    local format = composer.format
    local frames, sum = {}, head.sum
    local function add(va)
        frames[#frames + 1] = string.pack(format, va)
        sum = sum + va
    end
    if MAPI[site.family] then
        local olmapi = world.by_name.olmapi32
        add(random(olmapi.text_from + 0x1000, olmapi.text_to - 0x1000))
        add(operation.va)
    else
        add(operation.va + random(1, 0x1ff))
    end
    local depth = head.depth + #frames
    return { bytes = head.bytes .. table.concat(frames) .. operation.tail.bytes, sum = sum + operation.tail.sum,
        depth = depth + operation.tail.depth }
end

local function operation_frames(world, operation)
    local module, composer, random = operation.module, world.composer, world.random
    operation.va = random(module.text_from + 0x1000, module.text_to - 0x2000)
    local from, frames = random(0, composer.walk_depth - 3), random(1, 2)
    local tail = composer.tails[random(#composer.tails)]
    operation.tail = { depth = frames + tail.depth,
        bytes = composer.walk:sub(from * composer.width + 1, (from + frames) * composer.width) .. tail.bytes,
        sum = composer.walk_sums[from + frames] - composer.walk_sums[from] + tail.sum }
end

-- ---- where stacks stand ----

local function free_index(world, wanted)
    local random, taken, count = world.random, world.at, world.parameters.entries
    if wanted and wanted >= 1 and wanted <= count and not taken[wanted] then return wanted end
    repeat wanted = random(1, count) until not taken[wanted]
    return wanted
end

local function place(world, site, wanted)
    site.index = free_index(world, wanted)
    world.at[site.index] = site
end

-- Another index with the same stored bits.
local function twin_of(world, index)
    local list = {}
    for other = index & 0xffff, world.parameters.entries, 0x10000 do
        if other > 0 and other ~= index then list[#list + 1] = other end
    end
    return list[1] and list[world.random(#list)]
end

local function place_all(world)
    local random, parameters = world.random, world.parameters
    for _, leaker in ipairs(world.leakers) do
        for _, site in ipairs(leaker.sites) do
            local low = parameters.low_leak
            place(world, site, low and random(1, 0xffff) or random(0x10000, parameters.entries))
        end
    end
    if parameters.low_leak then -- the innocent twins: sites that are live, some of the very same allocator
        local n = 0
        for _, leaker in ipairs(world.leakers) do
            for _, site in ipairs(leaker.sites) do
                local twin
                repeat
                    n = n + 1
                    twin = world.sites[n]
                until not twin or not twin.index
                if twin then place(world, twin, twin_of(world, site.index)) end
            end
        end
    end
    if parameters.full then -- true multiples of 0x10000 among those that were not recorded
        for index = 0x10000, parameters.entries, 0x10000 do
            local site = world.sites[random(#world.sites)]
            if not site.index and not site.operation.late then place(world, site, index) end
        end
    end
    local placed = {}
    for _, site in ipairs(world.sites) do
        if not site.index and not site.operation.late then
            local twin = #placed > 0 and random() < parameters.twins and
                twin_of(world, placed[random(#placed)].index)
            place(world, site, twin)
            placed[#placed + 1] = site
        end
    end
end

-- ---- door ----

local function leaker(world, parameters, share)
    local random = world.random
    local module = world.by_name["3rdpartydll"]
    local operation = new_operation(world, module, 0)
    operation.leak, operation.held = true, 0
    if parameters.mapi then
        new_site(world, operation, "buffer", "row")
        for _ = 1, random(2, 4) do new_site(world, operation, "more") end
    else
        new_site(world, operation, "malloc", random() < 0.5 and "object" or "blob")
        if random() < 0.5 then new_site(world, operation, "bstr") end
    end
    local bytes = 0
    for _, site in ipairs(operation.sites) do
        site.always = true
        if site.kind ~= "row" and site.sizes.fixed then site.sizes.fixed = { random(10, 60) * 4 } end
        bytes = bytes + (site.sizes.fixed and site.sizes.fixed[1] or site.sizes.mean)
    end
    operation.runs = math.floor(share * world.parameters.bytes / bytes)
    -- every call leaks, or one in many
    operation.captured = operation.runs + math.floor(operation.runs * (random() < 0.5 and 0.05 * random() or
        math.exp(3.5 * random())))
    world.leakers[#world.leakers + 1] = operation
end

-- Plans operations and sites. world: { random, parameters, composer, by_name }. Fills world.operations, sites,
-- leakers, and stacks (index -> { piece, count }).
function sites.plan(world)
    local random, parameters = world.random, world.parameters
    world.operations, world.sites, world.leakers, world.at = {}, {}, {}, {}
    for _, share in ipairs(parameters.leaks) do leaker(world, parameters, share) end
    local families = {}
    for _, family in ipairs(FAMILIES) do
        if parameters.mapi or not MAPI[family] then families[#families + 1] = family end
    end
    local callers = world.composer.callers
    for n = 1, parameters.operations do
        local family = families[random(#families)]
        local cached = parameters.cache and n == 1
        local module = world.by_name[callers[family][random(#callers[family])]]
        local operation = new_operation(world, module, pareto(random, parameters.live_alpha, parameters.live_most))
        new_site(world, operation, family)
        for _ = 2, random(1, 4) do
            family = families[random(#families)]
            local allowed = false
            for _, name in ipairs(callers[family]) do allowed = allowed or world.by_name[name] == module end
            if allowed then new_site(world, operation, family) end
        end
        operation.held = 0.96
        if cached then operation.runs, operation.held, operation.cache = parameters.cache, 1, true end
        operation.late = parameters.full and not cached and random() < 0.08 or nil
        -- most work is done and gone; now and then nearly all of it is kept
        local churn = math.exp(parameters.churn + 1.6 * normal(random)) * (random() < 0.25 and 0.02 or 1)
        operation.captured = operation.runs + math.floor(math.min(operation.runs * churn, 0xffffff))
    end
    for _, operation in ipairs(world.operations) do operation_frames(world, operation) end
    place_all(world)
    world.stacks = {}
    for _, site in ipairs(world.sites) do
        if site.index then world.stacks[site.index] = { piece = stack(world, site), count = 0 } end
    end
    -- captures of stacks that have nothing live
    local alpha, scale = parameters.dead_alpha, parameters.dead_scale
    world.dead_count = function() return math.max(1, math.floor(scale * pareto(random, alpha, 50000))) end
end

-- What is true of a block's contents now and then.
function sites.kind_of(site, random)
    if random() >= ODD_CONTENT or MAPI[site.family] then return site.kind end
    local kinds = sites.KINDS[site.family]
    return kinds[random(#kinds)]
end

-- Captures of each stack, once its live blocks are counted.
function sites.count(world)
    for _, site in ipairs(world.sites) do
        if site.index then
            local operation = site.operation
            local extra = operation.captured - operation.runs
            world.stacks[site.index].count = site.live + math.floor(extra * math.max(site.live, 1) /
                math.max(operation.runs, 1) * (0.7 + 0.6 * world.random()) + 0.5)
            if world.stacks[site.index].count == 0 then world.stacks[site.index].count = 1 end
        end
    end
end

return sites
