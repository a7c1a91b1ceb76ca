-- truth_figures: what `heapsift run sample --truth` tells of a dump, found in the dump: --json, with the same names.
-- Long lists of numbers are texts, one "a b c" a line: as JSON they take seconds.

heapsift.script { summary = "heaps, groups, modules, threads, traces as in --truth, for a test", json = "truth/1" }

local function hex(va) return string.format("%x", va) end

local result = { heaps = {}, modules = {}, threads = {}, notes = #dump:notes() }
local heaps = {}
for i, heap in ipairs(dump:heaps()) do
    local states, segments = {}, {}
    for _, state in ipairs { "busy", "free", "lookaside", "internal", "uncommitted" } do
        local set = heap:blocks { state = state }
        states[state] = { blocks = set:count(), bytes = set:bytes() }
    end
    for k, segment in ipairs(heap.segments) do
        segments[k] = { base = hex(segment.base), size = segment.reserved, uncommitted = segment.uncommitted_size }
    end
    heaps[heap.address] = { address = hex(heap.address), flags = hex(heap.flags), reserve = heap.reserved,
        commit = heap.committed, free_bytes = heap.free_recorded, free_list_length = heap.free_list_length,
        uncommitted_ranges = heap.uncommitted_ranges,
        large_blocks = heap.large_count, lock = heap.has_lock, contention = heap.contention_count or 0,
        front_end = heap.front_end == "lookaside", segments = segments, states = states, sizes = {}, groups = {} }
    result.heaps[i] = heaps[heap.address]
end
-- Whole-heap groups, in one go over all heaps. Bytes follow from size and count; that they do is checked here.
local busy = dump:blocks { state = "busy" }
for _, row in ipairs(busy:group("heap", "size")) do
    local sizes = heaps[row.heap].sizes
    sizes[#sizes + 1] = row.size .. " " .. row.count
    if row.bytes ~= row.size * row.count then heapsift.fail("failed", "bytes of a group are not size * count") end
end
for _, row in ipairs(busy:group("heap", "stored", "size")) do
    local groups = heaps[row.heap].groups
    groups[#groups + 1] = (row.stored or -1) .. " " .. row.size .. " " .. row.count
end
for _, heap in ipairs(result.heaps) do
    table.sort(heap.sizes)
    table.sort(heap.groups)
    heap.sizes, heap.groups = table.concat(heap.sizes, "\n"), table.concat(heap.groups, "\n")
end
for i, module in ipairs(dump:modules()) do
    result.modules[i] = { name = module.name, path = module.path, base = hex(module.base), size = module.size,
        timestamp = module.timestamp, pdb = module.pdb, exports = #module:exports() }
end
for i, thread in ipairs(dump:threads()) do
    result.threads[i] = { id = thread.id, teb = hex(thread.teb), sp = hex(thread.sp),
        stack_base = hex(thread.stack_base), stack_limit = hex(thread.stack_limit) }
end
local db <const> = dump.traces
if db then
    local counts = {}
    for i, trace in ipairs(db) do
        if trace.index ~= i or trace.stored ~= i & 0xffff then heapsift.fail("failed", "trace " .. i) end
        counts[i] = trace.count
    end
    result.database = { address = hex(db.address), entries = db.count, looked_up = db.looked_up,
        next_free_lower = hex(db.next_lower), next_free_upper = hex(db.next_upper), index_array = hex(db.index_array),
        pointer_at = hex(db.pointer_address), wraps = db.wraps, full = db.full, unproven = db.unproven,
        lost = db.looked_up - db.captures, counts = table.concat(counts, "\n") }
end
report:result(result)
