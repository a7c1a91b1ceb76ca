-- The sample dump from options to files: plans the whole process, then writes it.
-- Order matters: every address range must be known before the dump is begun (its lists come first);
-- traces are planned before heaps (blocks name them) and written after (their counts depend on the
-- blocks).

local abi_tables = require "sample.abi"
local Content = require "sample.content"
local fill = require "sample.fill"
local Heap = require "sample.heap"
local heap_finish = require "sample.heap_finish"
local image = require "sample.image"
local layout = require "sample.layout"
local leak = require "sample.leak"
local minidump = require "sample.minidump"
local modules = require "sample.modules"
local portable = require "sample.portable"
local process = require "sample.process"
local Space = require "sample.space"
local stacks = require "sample.stacks"
local Traces = require "sample.traces"
local Truth = require "sample.truth"
local Record = require "sample.record"

local sample = {}

local FLAGS_UST, DEBUG_HEAP_FLAGS = 0x1040, 0x58000060
local TINY_ENTRIES, TINY_SCALE, FLOOR, TINY_FLOOR = 400, 0.0004, 0x10000, 0x4000
-- in ntdll's .data: heap list and lock debug records (invented)
local HEAP_ARRAY, LOCKS = 0x2e80, 0x1000
-- the case: d6 = low byte of (0372e598 >> 3) xor the heap's cookie
local LEAK_COOKIE = 0x65

sample.LARGEST_ENTRIES = Traces.LARGEST

-- Plans the process. options: { arch, scale, entries, seed, tiny, ust, image_file }. image_file(name): the bytes of a
-- PE file to take for the module of that file name, or nil. Returns the plan, or nil and a text when the scale or
-- (third value true) an image does not fit.
function sample.plan(options)
  math.randomseed(options.seed, 0x6865617073696674)
  local random, abi = math.random, abi_tables[options.arch]
  local case = require(options.arch == "x86" and "sample.outlook" or "sample.service")
  local x64 = options.arch == "x64"
  local scale = options.scale or options.tiny and TINY_SCALE or x64 and 0.02 or 0.1
  local plan = { abi = abi, case = case, scale = scale, options = options, random = random,
    space = Space.new(abi.limit), heaps = {} }
  local space = plan.space
  plan.modules = options.arch == "x86" and modules.outlook() or modules.service()
  plan.by_name = modules.prepare(plan.modules, random)
  for _, module in ipairs(plan.modules) do
    local file = options.image_file and options.image_file(module.export_name)
    if file then
      local holds_pointer = module == plan.by_name.ntdll
      local data_at = holds_pointer and module.base + (module.data_rva or 0x1000 + module.text_size) or nil
      local ok, wrong = portable.plan(abi, space, module, file, data_at)
      if not ok then return nil, module.export_name .. " " .. wrong, true end
    else
      image.plan(abi, space, module, random)
    end
  end
  local composer = stacks.new(abi, plan.by_name, random)
  plan.composer = composer
  if options.ust then
    local count = options.entries or options.tiny and TINY_ENTRIES or x64 and 20000 or Traces.CASE_ENTRIES
    plan.traces = Traces.plan { abi = abi, count = count, composer = composer, random = random,
      modules = plan.by_name }
    plan.traces:reserve_space(space)
  end
  local rows = case.heaps()
  -- fixed ranges first, so that searched ones go around them
  plan.leak = leak.plan(case.leak, { abi = abi, ust = options.ust, scale = scale, random = random })
  plan.process = process.plan(abi, case, space, options.tiny)
  for _, row in ipairs(rows) do
    for _, segment in ipairs(row.segments) do
      if segment.base then
        segment.allocation = space:allocate(segment.base, segment.size, Space.PRIVATE, Space.READWRITE)
      end
    end
  end
  for _, row in ipairs(rows) do
    local target = layout.scaled(row, scale, options.tiny and TINY_FLOOR or FLOOR)
    local needed = row.leak and plan.leak.bytes * 1.001 + 0x20000 or target.commit + target.hole_bytes
    local segments = layout.reserve(space, row, needed)
    if not segments then return nil, "heaps of this scale do not fit into the address space" end
    if row.leak then
      leak.layout(plan.leak, segments)
    else
      layout.commit(segments, target.commit, target.holes, target.hole_bytes, random)
    end
    layout.apply(segments)
    local heap = { row = row, segments = segments, target = target, large = {} }
    heap.spare = heap_finish.needs_spare(segments) and { base = space:find(0x10000, 0x1b00000) } or nil
    if heap.spare then
      local allocation = space:allocate(heap.spare.base, 0x10000, Space.PRIVATE, Space.READWRITE)
      space.commit(allocation, heap.spare.base, heap.spare.base + 0x1000, Space.READWRITE)
    end
    for index, size in ipairs(row.large or {}) do
      if options.tiny and index > 1 then break end
      if options.tiny then size = 0x12340 end
      local length = (size + abi.large.size + (options.ust and abi.tail_size or 0) + 0xfff) // 0x1000 * 0x1000
      local base = space:find((length + 0xffff) // 0x10000 * 0x10000, 0x9200000)
      local allocation = space:allocate(base, length, Space.PRIVATE, Space.READWRITE)
      space.commit(allocation, base, base + length, Space.READWRITE)
      heap.large[index] = { base = base, size = length, requested = size }
    end
    plan.heaps[#plan.heaps + 1] = heap
  end
  process.contexts(plan.process, plan.by_name, composer)
  space:finish()
  return plan
end

-- ntdll's writable data: the database pointer, decoys that look like one, and the debug records of heap
-- locks.
local function write_ntdll_data(plan)
  local abi, ntdll, space = plan.abi, plan.by_name.ntdll, plan.space
  local fields, record = abi.lock_debug, Record.new(HEAP_ARRAY)
  local function at(address) return address - ntdll.data end
  local decoys = { ntdll.base, plan.process.peb, 0x20000, ntdll.text_from, ntdll.data + 0x40,
    plan.process.loader }
  for index, decoy in ipairs(decoys) do record:set(0x100 + (index - 1) * abi.pointer_size, abi.pointer,
    decoy) end
  if plan.traces then
    local pointer = at(plan.case.database_pointer)
    record:set(pointer, abi.pointer, plan.traces.base)
    -- near misses: into the database, and to the array's end
    record:set(pointer + 0x20, abi.pointer .. abi.pointer, plan.traces.base + 0x40, plan.traces.top)
  end
  for index, heap in ipairs(plan.heaps) do
    if heap.row.flags & 1 == 0 then
      local base = LOCKS + (index - 1) * fields.size
      local debug = ntdll.data + base
      record:set(base + fields.section, abi.pointer, heap.row.address + abi.heap.lock_at)
      record:set(base + fields.links, abi.pointer .. abi.pointer, debug + fields.links, debug + fields.links)
      record:set(base + fields.contention, "I4", heap.row.contention)
      heap.lock_debug = debug
    end
  end
  space:write(ntdll.data, record:bytes())
end

local function build_heap(plan, planned, index, truth, content, filler)
  local options, random, row = plan.options, plan.random, planned.row
  local spec = { address = row.address, flags = row.flags, front = row.front, contention = row.contention,
    listed = row.listed }
  if not options.ust then spec.flags = spec.flags & ~DEBUG_HEAP_FLAGS end
  local cookie = random(0, 255)
  local heap = Heap.new { abi = plan.abi, space = plan.space, truth = truth, ust = options.ust, spec = spec,
    segments = planned.segments, cookie = row.leak and LEAK_COOKIE or cookie }
  if row.leak then
    plan.held = filler:fill(heap)
  else
    if index == 1 and plan.traces and plan.traces.named.rpc then
      for _, size in ipairs { 0x5c, 0x3a } do
        heap:block(size, content:wide(size), plan.traces.named.rpc, "rpc.string", "live")
      end
    end
    fill.run(heap, content, planned.target, random, not options.ust)
  end
  for at, region in ipairs(planned.large) do
    local trace = plan.traces and plan.traces:pick(at % 2 == 0 and "office" or "localalloc") or 0
    heap:large_block(region, region.requested, content:large(region.requested), trace, "buffer")
  end
  heap_finish.run(heap, { list_index = index, lock_debug = planned.lock_debug, spare = planned.spare })
end

local function address_text(value) return string.format("%x", value) end

-- Figures of the truth that are not about heaps.
local function facts(plan)
  local out = { arch = plan.abi.name, windows = string.format("%d.%d.%d", plan.case.system.major,
    plan.case.system.minor, plan.case.system.build), service_pack = plan.case.system.service_pack,
    scale = plan.scale, seed = plan.options.seed, global_flag = plan.options.ust and FLAGS_UST or 0,
    peb = address_text(plan.process.peb), modules = { array = true }, threads = { array = true } }
  for _, module in ipairs(plan.modules) do
    out.modules[#out.modules + 1] = { name = module.name, base = address_text(module.base),
      size = module.size,
      exports = module.export_count or #module.exports, timestamp = module.timestamp,
      pdb = module.pdb, path = module.path }
  end
  for _, thread in ipairs(plan.process.threads) do
    out.threads[#out.threads + 1] = { id = thread.id, teb = address_text(thread.teb),
      sp = address_text(thread.sp),
      stack_base = address_text(thread.stack_base), stack_limit = address_text(thread.stack_limit) }
  end
  local held = { array = true }
  for index, user in ipairs(plan.held.held) do held[index] = address_text(user) end
  out.held = { row_set = address_text(plan.held.row_set), rows = held }
  local traces = plan.traces
  if traces then
    local named = {}
    for name, index in pairs(traces.named) do
      named[name] = { index = index, stored = index & 0xffff, count = traces.counts[index] }
    end
    out.database = { address = address_text(traces.base), entries = traces.count,
      looked_up = traces.looked_up,
      lost = traces.lost, next_free_lower = address_text(traces.next_lower),
      next_free_upper = address_text(traces.next_upper), index_array = address_text(traces.top),
        named = named,
      pointer_at = address_text(plan.case.database_pointer), wraps = traces.count > 0xffff,
      full = traces.is_case, unproven = plan.abi.pointer_size == 8 }
    out.leak = { heap = "36f0000", trace = traces.named.row or 0, module = plan.abi.pointer_size == 4
      and "3rdpartydll" or "addin" }
  end
  return out
end

-- Writes a planned process. outputs: { dump, truth = nil, blocks = nil }, opened and closed by the caller.
function sample.write(plan, outputs)
  local space, case = plan.space, plan.case
  local head = { abi = plan.abi, system = case.system, modules = plan.modules, threads = plan.process.threads,
    unloaded = { { base = 0x73dc0000, size = 0x3000, timestamp = 0x3b7dfe15, path = "lz32.dll" },
      { base = 0x76d30000, size = 0x4000, timestamp = 0x4802a0e2, path = "wmi.dll" } },
    misc = { pid = case.process_id, created = case.time - 9300, user_time = 412, kernel_time = 97 },
    comment = case.comment, time = case.time }
  minidump.begin(outputs.dump, head, space)
  for _, module in ipairs(plan.modules) do (module.image and portable or image).write(space, module) end
  write_ntdll_data(plan)
  local truth = Truth.new(outputs.blocks)
  local content = Content.new(plan.abi, plan.traces, plan.random)
  local filler = leak.prepare(plan.leak, content)
  for index, planned in ipairs(plan.heaps) do build_heap(plan, planned, index, truth, content, filler) end
  truth:flush()
  if plan.traces then
    local live, unrecorded = truth:live()
    plan.traces:write(space, live, unrecorded, case.routines)
  end
  local addresses = {}
  for index, planned in ipairs(plan.heaps) do addresses[index] = planned.row.address end
  process.write(plan.process, space, { modules = plan.modules, heaps = addresses,
    heap_array = plan.by_name.ntdll.data + HEAP_ARRAY, global_flag = plan.options.ust and FLAGS_UST or 0,
    row_set = plan.held.row_set })
  if outputs.truth then truth:write(outputs.truth, facts(plan)) end
end

return sample
