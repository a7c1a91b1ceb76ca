-- Writes a small made-up process with a known truth, for tests of the attribution: same words as the sample, other
-- circumstances. What varies: how often the index wraps, whether the database is full, who leaks and what, where
-- modules lie, how counts are spread. Everything else is drawn anew for each seed.

heapsift.script {
    summary = "write a small dump of a made-up process, to measure attribution",
    input = "output",
    options = {
        kind = { type = "choice", doc = "what is special (default: by seed, not healthy or ledger)", choices = {
            "wraps2", "wraps3", "full", "several", "low", "apart", "nomapi", "cache", "unicode", "heavy", "healthy",
            "ledger" } },
        seed = { type = "integer", default = 1 },
        truth = { type = "path", doc = "what is in it, as JSON" },
        truth_blocks = { type = "path", doc = "one line per block with its true trace, tab separated" },
    },
    json = "heapsift.variant/1",
}

local abi = require "sample.abi".x86
local Content = require "sample.content"
local image = require "sample.image"
local minidump = require "sample.minidump"
local modules = require "sample.modules"
local outlook = require "sample.outlook"
local process = require "sample.process"
local Record = require "sample.record"
local Space = require "sample.space"
local stacks = require "sample.stacks"
local Traces = require "sample.traces"
local Truth = require "sample.truth"
local blocks = require "variant_blocks"
local sites = require "variant_sites"

local KINDS <const> = { "wraps2", "wraps3", "full", "several", "low", "apart", "nomapi", "cache", "unicode", "heavy" }

-- What each kind changes. Drawn first, so that two kinds of one seed are alike in the rest.
local function parameters_of(kind, random)
    local p = { kind = kind, mapi = true, entries = 0x10000 + random(0x4000, 0xf000), operations = random(550, 800),
        bytes = 1800000, live_alpha = 0.85 + 0.25 * random(), live_most = 900, churn = 0.5 + random(),
        twins = 0.1 + 0.2 * random(), tagged = 0.06 + 0.06 * random(), dead_alpha = 0.28 + 0.2 * random(),
        dead_scale = math.exp(2.5 * random()), leaks = { 0.25 + 0.2 * random() } }
    if kind == "wraps3" then
        p.entries = 0x20000 + random(0x4000, 0xf000)
    elseif kind == "full" then
        p.full, p.entries = true, 0x10000 * random(1, 2) + random(0x4000, 0xf000)
    elseif kind == "several" then
        p.leaks = { 0.28, 0.16 * (0.6 + 0.4 * random()), 0.1, 0.06 }
    elseif kind == "low" then
        p.low_leak = true
    elseif kind == "apart" then
        p.third_party = 0x12000000 + random(0, 0x60) * 0x10000
    elseif kind == "nomapi" then
        p.mapi = false
    elseif kind == "cache" then
        p.cache = random(4000, 7000)
    elseif kind == "unicode" then
        p.unicode = true
    elseif kind == "heavy" then
        p.live_alpha, p.live_most, p.dead_alpha, p.operations = 0.6, 4000, 0.25, random(250, 400)
    elseif kind == "ledger" then
        p.ledger = true
    elseif kind == "healthy" then
        p.leaks = {}
        if random() < 0.5 then p.cache = random(2000, 5000) end
        if random() < 0.3 then p.mapi = false end
        if random() < 0.3 then p.entries = 0x20000 + random(0x4000, 0xf000) end
    end
    return p
end

local MAPI_MODULES <const> = { olmapi32 = true, mapi32 = true, emsmdb32 = true }

local function module_list(parameters)
    local list = {}
    for _, module in ipairs(modules.outlook()) do
        local name = module.name:lower():match "^(.-)%.%a+$"
        if parameters.mapi or not MAPI_MODULES[name] then list[#list + 1] = module end
        if name == "3rdpartydll" and parameters.third_party then
            local delta = parameters.third_party - module.base
            module.base = module.base + delta
            for _, export in ipairs(module.exports) do
                if export.address then export.address = export.address + delta end
            end
        end
    end
    return list
end

local HEAPS <const> = {
    { number = 1, address = 0x1160000, flags = 0x58000062 }, { number = 2, address = 0x36f0000, flags = 0x58001062 },
    { number = 3, address = 0x4610000, flags = 0x58001062 },
}
local HEAP_ARRAY <const>, LOCKS <const> = 0x2e80, 0x1000

local function plan(kind, seed)
    math.randomseed(seed, 0x76617269616e74)
    local random = math.random
    local world = { random = random, parameters = parameters_of(kind, random), space = Space.new(abi.limit) }
    local space, parameters = world.space, world.parameters
    world.modules = module_list(parameters)
    world.by_name = modules.prepare(world.modules, random)
    for _, module in ipairs(world.modules) do image.plan(abi, space, module, random) end
    world.composer = stacks.new(abi, world.by_name, random)
    sites.plan(world)
    world.tables = {}
    for _, site in ipairs(world.sites) do
        if site.kind == "pointers" and not site.operation.leak then world.tables[#world.tables + 1] = site end
    end
    world.traces = Traces.plan { abi = abi, count = parameters.entries, composer = world.composer, random = random,
        modules = world.by_name, stacks = world.stacks, counts = world.dead_count, full = parameters.full }
    world.traces:reserve_space(space)
    world.process = process.plan(abi, outlook, space, true)
    blocks.plan(world)
    world.heaps = {}
    for i, row in ipairs(HEAPS) do
        local spec = { number = row.number, address = row.address, flags = row.flags,
            segments = { { base = row.address, size = 0x100000 } } }
        world.heaps[i] = blocks.reserve(world, spec, abi)
    end
    process.contexts(world.process, world.by_name, world.composer)
    space:finish()
    return world
end

-- ntdll's writable data: the pointer to the database, the array of heaps, the records of their locks.
local function write_ntdll(world)
    local ntdll, fields, record = world.by_name.ntdll, abi.lock_debug, Record.new(HEAP_ARRAY)
    record:set(outlook.database_pointer - ntdll.data, "I4", world.traces.base)
    for i, heap in ipairs(world.heaps) do
        local base = LOCKS + (i - 1) * fields.size
        local debug = ntdll.data + base
        record:set(base + fields.section, "I4", heap.row.address + abi.heap.lock_at)
        record:set(base + fields.links, "I4I4", debug + fields.links, debug + fields.links)
        record:set(base + fields.contention, "I4", 0)
        heap.lock_debug = debug
    end
    world.space:write(ntdll.data, record:bytes())
end

-- What the oracle is told: of each site its family, kind, sizes, heap and live blocks.
local function facts(world)
    local out = { schema = "heapsift.variant-truth/1", kind = world.parameters.kind, seed = args.seed,
        entries = world.parameters.entries, full = world.traces.lower_limit >= world.traces.upper_limit,
        leakers = { array = true }, sites = { array = true } }
    for _, leaker in ipairs(world.leakers) do
        local one = { module = leaker.module.name, traces = { array = true }, blocks = 0 }
        for i, site in ipairs(leaker.sites) do
            one.traces[i], one.blocks = site.index or 0, one.blocks + site.live
        end
        out.leakers[#out.leakers + 1] = one
    end
    for _, site in ipairs(world.sites) do
        local sizes = site.sizes
        out.sites[#out.sites + 1] = { index = site.index or 0, family = site.family, kind = site.kind, heap = site.heap,
            live = site.live, fixed = sizes.fixed and { array = true, table.unpack(sizes.fixed) } or nil,
            mean = sizes.mean, spread = sizes.spread, tag = site.tag }
    end
    return out
end

local function write(world, outputs)
    local space = world.space
    local head = { abi = abi, system = outlook.system, modules = world.modules, threads = world.process.threads,
        unloaded = {},
        misc = { pid = outlook.process_id, created = outlook.time - 9300, user_time = 1, kernel_time = 1 },
        comment = "heapsift variant: made up, not a real process", time = outlook.time }
    minidump.begin(outputs.dump, head, space)
    for _, module in ipairs(world.modules) do image.write(space, module) end
    write_ntdll(world)
    local truth = Truth.new(outputs.blocks)
    local content = Content.new(abi, world.traces, world.random)
    local tables, addresses = {}, {}
    for i, planned in ipairs(world.heaps) do
        local heap = blocks.write(world, planned, i, truth, content, tables)
        if i == #world.heaps then -- one list of all tables, which a stack holds
            local bytes = {}
            for n, user in ipairs(tables) do bytes[n] = string.pack("<I4", user) end
            local site = world.tables[1]
            world.root = assert(heap:block(4 * #tables, table.concat(bytes), site.index or 0, "table", "live"))
            site.live = site.live + 1
        end
        blocks.finish(heap, { list_index = i, lock_debug = planned.lock_debug })
        addresses[i] = planned.row.address
    end
    truth:flush()
    sites.count(world)
    local live, unrecorded = truth:live()
    world.traces:write(space, live, unrecorded, outlook.routines)
    process.write(world.process, space, { modules = world.modules, heaps = addresses,
        heap_array = world.by_name.ntdll.data + HEAP_ARRAY, global_flag = 0x1040, row_set = world.root })
    if outputs.truth then truth:write(outputs.truth, facts(world)) end
end

local kind = args.kind or KINDS[(args.seed - 1) % #KINDS + 1]
local world = plan(kind, args.seed)
local outputs = { dump = heapsift.output(args.input), truth = args.truth and heapsift.output(args.truth),
    blocks = args.truth_blocks and heapsift.output(args.truth_blocks) }
write(world, outputs)
outputs.dump:close()
if outputs.truth then outputs.truth:close() end
if outputs.blocks then outputs.blocks:close() end
print(("wrote %s: %s, seed %d, %d traces"):format(args.input, kind, args.seed, world.traces.count))
