-- variant_blocks.lua: the blocks of a variant: what each holds, in which order they stand, and who holds them.

local Heap = require "sample.heap"
local heap_finish = require "sample.heap_finish"
local layout = require "sample.layout"
local ledger = require "variant_ledger"
local sites = require "variant_sites"

local blocks = {}

local HELD_PER_TABLE <const> = 60
local LABELS <const> = { row = "mapi.row", ascii = "string.ascii", wide = "string.utf16", bstr = "bstr",
    blob = "buffer", zero = "zero", pointers = "pointers", mapi_more = "mapi.more", mapi_buffer = "mapi.buffer",
    object = "object" }

-- Columns by type; values of W, A and binary columns are pointers.
local UNICODE <const> = { 0x0fff0102, 0x001a001f, 0x0037001f, 0x003d001f, 0x0c1f001f, 0x0c1a001f, 0x0e04001f,
    0x0e03001f, 0x0e060040, 0x0e070003, 0x30070040 }
local MIXED <const> = { 0x0fff0102, 0x001a001e, 0x30070040, 0x300b0102, 0x0037001f, 0x0037001e, 0x003d001f,
    0x003d001e, 0x0e060040, 0x00390040, 0x1035001e, 0x0c1f001f, 0x0c1f001e, 0x00170003, 0x0e1b000b, 0x0e080003,
    0x0e070003, 0x0c1a001e, 0x0e04001e, 0x0e03001e }

-- Plans the order of blocks: runs of operations, neighbours as they were made, some torn apart.
function blocks.plan(world)
    local random, order = world.random, {}
    for _, operation in ipairs(world.operations) do
        for _ = 1, operation.runs do
            order[#order + 1] = operation
        end
    end
    -- work comes in bursts: runs of an operation stay near each other
    local keys = {}
    local centre = {}
    for i, operation in ipairs(order) do
        local burst = operation.runs > 20 and random() or nil
        if not burst then
            centre[operation] = centre[operation] or random()
            burst = centre[operation] + 0.002 * random()
        end
        keys[i] = { burst, operation, i }
    end
    table.sort(keys, function(a, b) return a[1] < b[1] or a[1] == b[1] and a[3] < b[3] end)
    local list = { {}, {}, {} }
    for _, key in ipairs(keys) do
        local operation = key[2]
        local run = { operation = operation, held = random() < operation.held }
        for _, site in ipairs(operation.sites) do
            if site.always or random() < 0.85 then
                local kind = sites.kind_of(site, random)
                local block = { site = site, run = run, kind = kind, size = sites.size(site, random) }
                site.live = site.live + 1
                local heap = list[site.heap]
                heap[#heap + 1] = block
                if kind == "row" then run.row = block end
            end
        end
    end
    world.blocks = list
    world.total = #order
end

-- Room for a heap's blocks; returns what heap_finish and Heap want.
function blocks.reserve(world, row, abi)
    local bytes = 0x4000
    for _, block in ipairs(world.blocks[row.number]) do bytes = bytes + (block.size + 24 + 15) // 8 * 8 end
    bytes = bytes + #world.blocks[row.number] * 6 + 0x8000 -- tables of those who hold, free blocks
    local segments = assert(layout.reserve(world.space, row, bytes + 0x10000))
    layout.commit(segments, (bytes + 0xfff) // 0x1000 * 0x1000, 0, 0, world.random)
    layout.apply(segments)
    return { row = row, segments = segments, target = {}, large = {}, abi = abi }
end

local function row_bytes(world, block, link, values)
    local columns = world.parameters.unicode and UNICODE or MIXED
    local out, random = { string.pack("<I4I4", 0x10000001, link) }, world.random
    local n = (block.size - 8) // 16
    for i = 1, n do
        local tag = columns[(i - 1) % #columns + 1]
        local kind = tag & 0xffff
        local value = values[(i - 1) % math.max(#values, 1) + 1] or 0
        if kind == 0x1e or kind == 0x1f then
            out[#out + 1] = string.pack("<I4I4I4I4", tag, 0, value, 0)
        elseif kind == 0x102 then
            out[#out + 1] = string.pack("<I4I4I4I4", tag, 0, 16, value)
        elseif kind == 0x40 then
            out[#out + 1] = string.pack("<I4I4I4I4", tag, 0, random(0, 0x7fffffff) | 0x80000000, 0x01c8cfa5)
        else
            out[#out + 1] = string.pack("<I4I4I4I4", tag, 0, random(0, 3), 0)
        end
    end
    return table.concat(out) .. string.rep("\0", (block.size - 8) % 16)
end

-- Writes the blocks of one heap; returns the heap. tables: user addresses of what holds others.
function blocks.write(world, planned, number, truth, content, tables)
    local random, abi = world.random, planned.abi
    local heap = Heap.new { abi = abi, space = world.space, truth = truth, ust = true,
        spec = { address = planned.row.address, flags = planned.row.flags, front = true, listed = true },
        segments = planned.segments, cookie = random(0, 255) }
    local held = {}
    content:forget()
    local function hold()
        local bytes = {}
        for i, user in ipairs(held) do bytes[i] = string.pack("<I4", user) end
        local site = world.tables[random(#world.tables)]
        tables[#tables + 1] = assert(heap:block(4 * #held, table.concat(bytes), site.index or 0, "table", "live"))
        site.live, held = site.live + 1, {}
    end
    local list, at = world.blocks[number], 1
    while at <= #list do
        -- the blocks of one run in this heap; a row's buffers are known before the row is written
        local run, last = list[at].run, at
        while last < #list and list[last + 1].run == run do last = last + 1 end
        if random() < 0.02 and heap.was_busy then
            local gap = 8 * random(2, 20)
            if heap:room() >= gap + 2 * abi.unit then heap:free(gap) end
        end
        local row, link, values = nil, 0, {}
        for i = at, last do
            local block = list[i]
            local site = block.site
            local fate = run.operation.leak and "leaked" or run.operation.cache and "cached" or "live"
            local trace = site.index or 0
            if block.kind == "row" and not row then
                row = block
                row.address, row.total, row.slot, row.flags = heap:place(block.size)
                assert(row.address, "heap too small")
                row.fate, row.trace = fate, trace
            else
                local bytes, label
                if block.kind == "mapi_more" and block.size >= 8 then
                    local text = world.parameters.unicode and "wide" or ({ "ascii", "wide", "blob" })[random(3)]
                    bytes = string.pack("<I4I4", 0x20000001, link) .. content[text](content, block.size - 8)
                elseif block.kind == "row" then
                    bytes = row_bytes(world, block, 0, {})
                elseif block.kind == "object" then
                    content.traces.module[trace] = site.module
                    site.vtable = site.vtable or site.module.vtables[random(#site.module.vtables)]
                    bytes = string.pack("<I4I4I4", site.vtable, random(1, 4), 0) ..
                        content:blob(math.max(0, block.size - 12))
                    bytes = bytes:sub(1, block.size)
                else
                    bytes = content[block.kind](content, block.size, trace)
                    if world.parameters.ledger and block.kind == "blob" then
                        local record
                        record, label = ledger.record(random, bytes)
                        bytes = record or bytes
                    end
                end
                local user = assert(heap:block(block.size, bytes, trace, label or LABELS[block.kind], fate,
                    site.tag and 0x20, site.tag), "heap too small")
                if block.kind == "mapi_more" and row then
                    link, values[#values + 1] = user, user + 8
                elseif run.held then
                    held[#held + 1] = user
                end
            end
        end
        if row then
            heap:emit(row.slot, row.address, row.total, row.flags, row.size, row_bytes(world, row, link, values),
                row.trace, "mapi.row", row.fate)
            if run.held then held[#held + 1] = row.address + abi.entry_size + (random() < 0.9 and 8 or 0) end
        end
        if #held >= HELD_PER_TABLE then hold() end
        heap.was_busy, at = true, last + 1
        heap:flush()
    end
    if #held > 0 then hold() end
    return heap
end

blocks.finish = heap_finish.run

return blocks
