-- The bookkeeping of a heap whose blocks are all in place: heap header, segment records, descriptors of
-- uncommitted ranges, free lists and their bitmap, the list of large blocks, the look-aside array, the
-- lock.

local Record = require "sample.record"
local Heap = require "sample.heap"

local heap_finish = {}

local HEAP_SIGNATURE, SEGMENT_SIGNATURE = 0xeeffeeff, 0xffeeffee
local PAGE = 0x1000
local INLINE_RANGES = 8          -- descriptors inside the heap header; more lie in a segment of descriptors

-- True when the heap needs a descriptor segment for its uncommitted ranges.
function heap_finish.needs_spare(segments)
  local count = 0
  for _, segment in ipairs(segments) do count = count + #segment.uncommitted end
  return count > INLINE_RANGES
end

-- Links circular lists. head: address of the list head; entries: addresses of LIST_ENTRYs. Calls
-- write(address, bytes) for every entry and returns the head's two words.
local function link(abi, head, entries, write)
  local format = "<" .. abi.pointer .. abi.pointer
  for index, at in ipairs(entries) do
    write(at, string.pack(format, entries[index + 1] or head, entries[index - 1] or head))
  end
  return string.pack(format, entries[1] or head, entries[#entries] or head)
end

local function free_lists(heap, record)
  local abi, fields = heap.abi, heap.abi.heap
  local lists = {}
  for index = 0, Heap.DEDICATED - 1 do lists[index] = {} end
  for _, block in ipairs(heap.free_blocks) do
    local list = lists[block.units < Heap.DEDICATED and block.units or 0]
    list[#list + 1] = block
  end
  table.sort(lists[0], function(a, b)
    if a.units ~= b.units then return a.units < b.units end
    return a.address < b.address
  end)
  local bitmap = { 0, 0, 0, 0 }
  for index = 0, Heap.DEDICATED - 1 do
    local entries = {}
    for at, block in ipairs(lists[index]) do entries[at] = block.address + abi.entry_size end
    local offset = fields.free_lists + index * 2 * abi.pointer_size
    record:raw(offset, link(abi, heap.base + offset, entries, function(at, bytes) heap.space:write(at,
      bytes) end))
    if index > 0 and #entries > 0 then
      bitmap[index // 32 + 1] = bitmap[index // 32 + 1] | 1 << index % 32
    end
  end
  record:set(fields.bitmap, "I4I4I4I4", table.unpack(bitmap))
  record:set(fields.non_dedicated, "I4", #lists[0])
  heap.list_length = #lists[0]
end

local function large_blocks(heap, record)
  local abi, offset = heap.abi, heap.abi.heap.large_blocks
  local entries = {}
  for index, region in ipairs(heap.large) do
    entries[index] = region.base
    heap.space:write(region.base + 2 * abi.pointer_size, region.bytes)
  end
  record:raw(offset, link(abi, heap.base + offset, entries, function(at, bytes) heap.space:write(at,
    bytes) end))
end

-- Segment records and the descriptors of their uncommitted ranges. spare: { base } of a descriptor segment.
local function segments(heap, record, spare)
  local abi, fields, range = heap.abi, heap.abi.segment, heap.abi.range
  local pointer, free = abi.pointer, {}
  for index = 0, INLINE_RANGES - 1 do
    free[#free + 1] = heap.base + abi.heap.ranges_at + index * range.size
  end
  if spare then
    local head = Record.new(abi.range_segment.size)
    head:set(abi.range_segment.reserved, pointer, 0x10000):set(abi.range_segment.committed, pointer, PAGE)
    heap.space:write(spare.base, head:bytes())
    record:set(abi.heap.ucr_segments, pointer, spare.base)
    local count = PAGE // range.size - 1
    for index = 1, count do free[#free + 1] = spare.base + index * range.size end
  end
  local function descriptor(at, next, address, size)
    local bytes = Record.new(range.size):set(range.next, pointer, next):set(range.address, pointer, address)
      :set(range.length, pointer, size):bytes()
    if at < heap.base + heap.header_size and at >= heap.base then
      record:raw(at - heap.base, bytes)
    else
      heap.space:write(at, bytes)
    end
  end
  local used = 0
  for index, segment in ipairs(heap.segments) do
    local largest, pages = 0, 0
    for at, gap in ipairs(segment.uncommitted) do
      used = used + 1
      descriptor(free[used], segment.uncommitted[at + 1] and free[used + 1] or 0, gap.address, gap.size)
      largest, pages = math.max(largest, gap.size), pages + gap.size // PAGE
      heap.truth_heap:block(gap.address, gap.address, gap.size, gap.size, 0, "uncommitted", Heap.NO_INDEX, 0,
        "uncommitted", "-")
    end
    local head = Record.new(fields.size - abi.entry_size)
    local function set(field, format, value) head:set(field - abi.entry_size, format, value) end
    set(fields.signature, "I4", SEGMENT_SIGNATURE)
    set(fields.heap, pointer, heap.base)
    set(fields.largest, pointer, largest)
    set(fields.base, pointer, segment.base)
    set(fields.pages, "I4", segment.size // PAGE)
    set(fields.first, pointer, segment.first_entry)
    set(fields.last_valid, pointer, segment.base + segment.size)
    set(fields.uncommitted_pages, "I4", pages)
    set(fields.uncommitted_ranges, "I4", #segment.uncommitted)
    set(fields.ranges, pointer, #segment.uncommitted > 0 and free[used - #segment.uncommitted + 1] or 0)
    set(fields.last_entry, pointer, segment.last_entry)
    heap.space:write(segment.record + abi.entry_size, head:bytes())
    record:set(abi.heap.segments + (index - 1) * abi.pointer_size, pointer, segment.base == heap.base
      and segment.record or segment.base)
  end
  for index = used + 1, #free do descriptor(free[index], free[index + 1] or 0, 0, 0) end
  record:set(abi.heap.unused_ranges, pointer, free[used + 1] or 0)
end

-- The 128 look-aside lists. x86 SLIST_HEADER: next, depth, sequence; x64 (before Windows 8): depth 16,
-- sequence 9, next >> 4 39 bits, then a header type word (inferred for Server 2003).
local function lookasides(heap)
  if not heap.front_end then return end
  local abi, fields = heap.abi, heap.abi.lookaside
  local out = {}
  for index = 0, Heap.DEDICATED - 1 do
    local head = heap.lookaside_heads[index]
    local record = Record.new(fields.size)
    if head then
      if abi.pointer_size == 4 then
        record:set(0, "I4I2I2", head.next, head.depth, head.depth & 0xffff)
      else
        record:set(0, "I8I8", head.depth | (head.depth & 0x1ff) << 16 | (head.next >> 4) << 25, 0)
      end
      record:set(fields.frees, "I4I4", head.depth, 0)
    end
    record:set(fields.depth, "I2I2", 4, 256)
    out[#out + 1] = record:bytes()
  end
  heap.space:write(heap.front_end, table.concat(out))
end

-- Fills what is left of the heap with free blocks and writes all bookkeeping.
-- options: { list_index, lock_debug = address of the lock's debug record, spare = descriptor segment or
-- nil }
function heap_finish.run(heap, options)
  while heap:close() do heap:flush() end
  heap:flush(true)
  local abi, fields, pointer = heap.abi, heap.abi.heap, heap.abi.pointer
  local record = Record.new(heap.header_size - abi.entry_size)
  local unit = abi.unit
  -- offsets count from the heap's start, but its first entry is already written
  local shifted = {}
  function shifted:set(offset, ...)
    record:set(offset - abi.entry_size, ...)
    return self
  end
  function shifted.raw(_, offset, bytes) record:raw(offset - abi.entry_size, bytes) end
  shifted:set(fields.signature, "I4I4I4I4", HEAP_SIGNATURE, heap.flags, heap.flags & 0x58000060, 0xfe00)
  shifted:set(fields.segment_reserve, pointer, 0x100000):set(fields.segment_commit, pointer, 0x2000)
  shifted:set(fields.decommit_block, pointer, PAGE // unit):set(fields.decommit_total, pointer,
    0x10000 // unit)
  shifted:set(fields.total_free, pointer, heap.free_bytes // unit)
  shifted:set(fields.maximum_allocation, pointer, abi.limit - 0x11001)
  shifted:set(fields.list_index, "I2", options.list_index):set(fields.validate_length, "I2", heap.header_size)
  shifted:set(fields.align_round, pointer, heap.overhead + unit - 1)
  shifted:set(fields.align_mask, pointer, pointer == "I4" and (~(unit - 1) & 0xffffffff) or ~(unit - 1))
  large_blocks(heap, shifted)
  segments(heap, shifted, options.spare)
  free_lists(heap, shifted)
  if heap.serialized then
    shifted:set(fields.lock, pointer, heap.base + fields.lock_at)
    shifted:set(fields.lock_at, pointer .. "i4", options.lock_debug, -1)
  end
  if heap.front_end then
    shifted:set(fields.front_end, pointer, heap.front_end):set(fields.front_end_type, "B", 1)
  end
  shifted:set(fields.last_segment, "B", #heap.segments - 1)
  heap.space:write(heap.base + abi.entry_size, record:bytes())
  lookasides(heap)
  for _, patch in ipairs(heap.patches) do heap.space:write(patch[1], patch[2]) end
end

return heap_finish
