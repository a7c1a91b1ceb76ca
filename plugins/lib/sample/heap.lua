-- An NT heap of XP / Server 2003, built block by block in address order.
-- What: entries with sizes, previous sizes and flags; tail fill and the extra that holds the stored trace
-- index; free blocks on their lists; segment records; large blocks. How: `place` gives a block its
-- address and header at once, `emit` adds its contents later, so that blocks may point to each other;
-- `finish` writes all bookkeeping. Observed (see abi.lua) unless said otherwise.

local Heap = {}
Heap.__index = Heap

local BUSY, EXTRA, FILL, VIRTUAL, LAST = 0x01, 0x02, 0x04, 0x08, 0x10
local LARGEST_UNITS = 0xfe00                       -- of a block inside a segment
local DEDICATED = 128                              -- free lists; list 0 holds larger blocks
local LOOKASIDES = 128
local FLUSH_AT = 16384                             -- pieces kept before they are written
Heap.NO_INDEX = 0x1ffff                            -- stands for "the block has no extra"

-- options: { abi, space, truth, ust, spec, segments, cookie, index }
-- spec: { address, flags, front = look-aside front end, contention }
function Heap.new(options)
  local abi, spec = options.abi, options.spec
  local self = setmetatable({
    abi = abi, space = options.space, truth = options.truth, ust = options.ust, spec = spec,
    base = spec.address, flags = spec.flags, segments = options.segments, cookie = options.cookie,
    out = {}, n = 0, chunks = {}, free_blocks = {}, patches = {}, large = {}, free_bytes = 0,
    lookaside_heads = {}, pads = {}, serialized = spec.flags & 1 == 0,
  }, Heap)
  self.overhead = abi.entry_size + (options.ust and abi.tail_size + abi.extra_size or 0)
  self.smallest = 2 * abi.unit
  self.flags_busy = options.ust and BUSY | EXTRA | FILL or BUSY
  self.cookie_shift = abi.unit == 8 and 3 or 4
  local tail = options.ust and string.rep("\xab", abi.tail_size) or ""
  for pad = 0, 4 * abi.unit do self.pads[pad] = tail .. string.rep("\0", pad) end
  self.header_size = self.serialized and abi.heap.size or abi.heap.size_without_lock
  self.truth_heap = options.truth:heap(self)
  self:open_segment(1)
  return self
end

-- Bytes a block of `size` takes.
function Heap:total_of(size)
  local unit = self.abi.unit
  return math.max(self.smallest, (size + self.overhead + unit - 1) // unit * unit)
end

-- Adds raw bytes at the current position.
function Heap:put(bytes)
  local n = self.n + 1
  self.out[n], self.n = bytes, n
  return n
end

local function header(self, address, units, previous, flags, unused, tag)
  return self.abi.entry_prefix .. string.pack("<I2I2BBBB", units, previous, tag or
    (address >> self.cookie_shift & 0xff) ~ self.cookie, flags, unused, self.segment_index)
end

-- A block that belongs to the heap itself.
local function internal(self, total, unused, contents, tag)
  local address = self.position
  local last = address + total == self.run.to and LAST or 0
  self:put(header(self, address, total // self.abi.unit, self.previous, BUSY | last, unused, tag))
  self:put(contents)
  self.position, self.previous = address + total, total // self.abi.unit
  self.truth_heap:block(address, address + self.abi.entry_size, total - self.abi.entry_size, total,
    BUSY | last,
    "internal", Heap.NO_INDEX, 0, "internal", "-")
end

local function set_limit(self)
  local pin = self.segment.pins[self.next_pin]
  self.limit = pin and pin.address < self.run.to and pin.address or self.run.to
end

local function open_run(self, index)
  self.run_index, self.run = index, self.segment.runs[index]
  self.position, self.previous = self.run.from, 0
  self.chunks[#self.chunks + 1] = { address = self.position, first = self.n + 1 }
  set_limit(self)
end

function Heap:open_segment(index)
  local abi, entry = self.abi, self.abi.entry_size
  self.segment_index, self.segment, self.next_pin = index - 1, self.segments[index], 1
  open_run(self, 1)
  local record = abi.segment.size
  if index == 1 then
    internal(self, self.header_size, 0, string.rep("\0", self.header_size - entry), self.cookie)
  end
  self.segment.record = self.position
  internal(self, record, 0, string.rep("\0", record - entry))
  self.segment.first_entry = self.position
  if index == 1 and self.spec.front then
    self.front_end = self.position + entry
    local size = LOOKASIDES * abi.lookaside.size
    internal(self, size + entry, entry, string.rep("\0", size))
  end
end

-- Bytes left before the next fixed block or the end of the run.
function Heap:room() return self.limit - self.position end

-- True when the current run is the last one.
function Heap:in_last_run()
  return self.segment_index + 1 == #self.segments and self.run_index == #self.segment.runs
end

-- Room of all runs from the current position on, fixed blocks not counted.
function Heap:capacity()
  local room = self.run.to - self.position
  for index = self.segment_index + 1, #self.segments do
    local segment = self.segments[index]
    local current = index == self.segment_index + 1
    for at, run in ipairs(segment.runs) do
      if not current or at > self.run_index then room = room + run.to - run.from end
    end
    if not current then room = room - self.abi.segment.size end
    for at, pin in ipairs(segment.pins) do
      if not current or at >= self.next_pin then room = room - pin.total end
    end
  end
  return room
end

-- A free block of `total` bytes at the current position. `fresh`: never used, so not filled.
function Heap:free(total, fresh)
  local abi = self.abi
  local largest = LARGEST_UNITS * abi.unit
  while total > 0 do
    local size = math.min(total, largest)
    if total - size == abi.unit then size = size - abi.unit end
    local address, units = self.position, size // abi.unit
    local flags = (fresh and 0 or FILL) | (address + size == self.run.to and LAST or 0)
    self:put(header(self, address, units, self.previous, flags, 0, 0))
    local rest = size - abi.entry_size
    local links = string.rep("\0", 2 * abi.pointer_size)
    self:put(links)
    rest = rest - #links
    self:put(fresh and string.rep("\0", rest) or string.rep("\xee\xfe\xee\xfe", rest // 4))
    self.free_blocks[#self.free_blocks + 1] = { address = address, units = units }
    self.free_bytes = self.free_bytes + size
    self.truth_heap:block(address, address + abi.entry_size, size - abi.entry_size, size, flags, "free",
      Heap.NO_INDEX, 0, "free", "-")
    self.position, self.previous, total = address + size, units, total - size
  end
end

-- Closes the room before the limit and goes on behind it. Returns false when the heap is full.
function Heap:close()
  if self.limit > self.position then self:free(self.limit - self.position, self:in_last_run()) end
  if self.limit < self.run.to then
    local pin = self.segment.pins[self.next_pin]
    self.next_pin = self.next_pin + 1
    set_limit(self)
    pin.emit(self, pin)
    return true
  end
  self.segment.last_entry = self.position - self.previous * self.abi.unit
  if self.run_index < #self.segment.runs then
    open_run(self, self.run_index + 1)
    return true
  end
  if self.segment_index + 1 < #self.segments then
    self:open_segment(self.segment_index + 2)
    return true
  end
  return false
end

-- Gives a block of `size` requested bytes its place. Returns address, total, slot of its contents, flags;
-- or nil when the heap is full. settable: user flags 0x20, 0x40, 0x80.
function Heap:place(size, settable)
  local unit, total = self.abi.unit, self:total_of(size)
  local room = self.limit - self.position
  while total > room do
    if not self:close() then return nil end
    room = self.limit - self.position
  end
  if room - total == unit then total = room end
  local address, units = self.position, total // unit
  local flags = self.flags_busy | (settable or 0)
  if address + total == self.run.to then flags = flags | LAST end
  local n = self.n + 1
  self.out[n] = header(self, address, units, self.previous, flags, total - size)
  self.n = n + 1
  self.position, self.previous = address + total, units
  return address, total, n + 1, flags
end

-- Fills a placed block. stored: index kept in the block; tag: 16-bit tag beside it.
function Heap:emit(slot, address, total, flags, size, contents, trace, label, fate, tag)
  local abi = self.abi
  local pad = total - size - self.overhead
  local stored = Heap.NO_INDEX
  if self.ust then
    stored = trace & 0xffff
    self.out[slot] = contents .. self.pads[pad] .. string.pack(abi.extra, stored, tag or 0, 0)
  else
    trace = 0
    self.out[slot] = contents .. self.pads[pad]
  end
  self.truth_heap:block(address, address + abi.entry_size, size, total, flags, "busy", stored, trace, label,
    fate)
end

-- Place and emit in one step. Returns the user address, or nil when the heap is full.
function Heap:block(size, contents, trace, label, fate, settable, tag)
  local address, total, slot, flags = self:place(size, settable)
  if not address then return nil end
  self:emit(slot, address, total, flags, size, contents, trace, label, fate, tag)
  return address + self.abi.entry_size
end

-- A freed block that hangs on a look-aside list: its header still says busy. Only without +ust.
function Heap:lookaside(size)
  local abi = self.abi
  local address, total, slot, flags = self:place(size)
  if not address then return end
  local head = self.lookaside_heads[total // abi.unit] or { next = 0, depth = 0 }
  self.lookaside_heads[total // abi.unit] = head
  local user = address + abi.entry_size
  self.out[slot] = string.pack("<" .. abi.pointer, head.next)
    .. string.rep("\x5a\xa5\xc3\xf0", (total - abi.entry_size - abi.pointer_size) // 4)
  head.next, head.depth = user, head.depth + 1
  self.truth_heap:block(address, user, total - abi.entry_size, total, flags, "lookaside", Heap.NO_INDEX, 0,
    "lookaside", "-")
end

-- Remembers bytes to be written over what is there, once all blocks are.
function Heap:patch(address, bytes)
  self.patches[#self.patches + 1] = { address, bytes }
end

-- Writes finished blocks; call only when no placed block waits for its contents.
function Heap:flush(force)
  if self.n < FLUSH_AT and not force then return end
  local last = self.chunks[#self.chunks]
  for index, chunk in ipairs(self.chunks) do
    local to = index < #self.chunks and self.chunks[index + 1].first - 1 or self.n
    if to >= chunk.first then
      self.space:write(chunk.address, table.concat(self.out, "", chunk.first, to))
    end
  end
  last.address, last.first = self.position, 1
  self.chunks, self.out, self.n = { last }, {}, 0
end

-- A large block in a range of its own. region: { base, size } as committed; size: what the caller asked
-- for.
function Heap:large_block(region, size, contents, trace, label)
  local abi = self.abi
  local flags = BUSY | EXTRA | VIRTUAL | (self.ust and FILL or 0)
  local busy = region.base + abi.large.busy
  self.large[#self.large + 1] = region
  local stored = self.ust and trace & 0xffff or Heap.NO_INDEX
  local extra = string.pack(abi.extra, self.ust and stored or 0, 0, 0)
  region.bytes = extra .. string.pack("<" .. abi.pointer .. abi.pointer, region.size, region.size)
    .. abi.entry_prefix .. string.pack("<I2I2BBBB", region.size - size, 0, 0, flags, 0, 0)
    .. contents .. self.pads[0]
  self.truth_heap:block(busy, region.base + abi.large.size, size, region.size - abi.large.busy, flags, "busy",
    stored, self.ust and trace or 0, label, "live")
end

Heap.DEDICATED = DEDICATED

return Heap
