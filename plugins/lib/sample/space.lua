-- The address space of the process that is being made up, and the place of its bytes in the dump.
-- What: allocations (what VirtualAlloc or the loader would have reserved) with their committed parts.
-- Once all are known, `finish` gives every stored byte its place in the file; after that `write` puts
-- bytes at addresses. Why: a full dump lists all ranges before their bytes, so the map must be complete
-- before contents are made.

local Space = {}
Space.__index = Space

-- MEMORY_BASIC_INFORMATION constants (documented, winnt.h).
Space.COMMIT, Space.RESERVE, Space.FREE = 0x1000, 0x2000, 0x10000
Space.PRIVATE, Space.MAPPED, Space.IMAGE = 0x20000, 0x40000, 0x1000000
Space.NOACCESS, Space.READONLY, Space.READWRITE, Space.WRITECOPY = 0x1, 0x2, 0x4, 0x8
Space.EXECUTE_READ, Space.EXECUTE_WRITECOPY, Space.GUARD = 0x20, 0x80, 0x100

local GRANULARITY = 0x10000

-- `limit`: first address that is not the program's.
function Space.new(limit)
  return setmetatable({ limit = limit, allocations = {} }, Space)
end

local function by_base(a, b) return a.base < b.base end

-- Reserves [base, base + size). Raises if it meets another allocation: the map must be consistent.
function Space:allocate(base, size, kind, protect)
  assert(base >= 0 and base + size <= self.limit, "allocation outside the address space")
  for _, other in ipairs(self.allocations) do
    if base < other.base + other.size and other.base < base + size then
      error(string.format("allocation %x..%x meets %x..%x", base, base + size, other.base,
        other.base + other.size))
    end
  end
  local new = { base = base, size = size, kind = kind, protect = protect, parts = {} }
  self.allocations[#self.allocations + 1] = new
  table.sort(self.allocations, by_base)
  return new
end

-- First free address at or above `from` where `size` bytes fit, or nil.
function Space:find(size, from)
  local at = from
  for _, other in ipairs(self.allocations) do
    if other.base + other.size > at then
      if at + size <= other.base then return at end
      at = (other.base + other.size + GRANULARITY - 1) // GRANULARITY * GRANULARITY
    end
  end
  if at + size <= self.limit then return at end
  return nil
end

-- Commits [from, to) of an allocation. `stored` false leaves the bytes out of the dump (guard pages, code).
function Space.commit(allocation, from, to, protect, stored)
  assert(from >= allocation.base and to <= allocation.base + allocation.size and from < to)
  allocation.parts[#allocation.parts + 1] =
    { base = from, size = to - from, protect = protect, stored = stored ~= false }
end

local function add_info(infos, info)
  local last = infos[#infos]
  if last and last.base + last.size == info.base and last.state == info.state
     and last.protect == info.protect and last.kind == info.kind
     and last.allocation_base == info.allocation_base then
    last.size = last.size + info.size
  else
    infos[#infos + 1] = info
  end
end

local function add_range(ranges, base, size)
  local last = ranges[#ranges]
  if last and last.base + last.size == base then
    last.size = last.size + size
  else
    ranges[#ranges + 1] = { base = base, size = size }
  end
end

-- Ends the planning: fills `infos` (what VirtualQuery would say, free regions included) and `ranges`
-- (stored).
function Space:finish()
  local infos, ranges, at = {}, {}, 0
  for _, one in ipairs(self.allocations) do
    if one.base > at then
      add_info(infos, { base = at, size = one.base - at, state = Space.FREE, protect = Space.NOACCESS,
        kind = 0, allocation_base = 0, allocation_protect = 0 })
    end
    table.sort(one.parts, by_base)
    local function info(base, size, state, protect)
      add_info(infos, { base = base, size = size, state = state, protect = protect, kind = one.kind,
        allocation_base = one.base, allocation_protect = one.protect })
    end
    at = one.base
    for _, part in ipairs(one.parts) do
      assert(part.base >= at, "two committed parts overlap")
      if part.base > at then info(at, part.base - at, Space.RESERVE, 0) end
      info(part.base, part.size, Space.COMMIT, part.protect)
      if part.stored then add_range(ranges, part.base, part.size) end
      at = part.base + part.size
    end
    local finish = one.base + one.size
    if at < finish then info(at, finish - at, Space.RESERVE, 0) end
    at = finish
  end
  if at < self.limit then
    add_info(infos, { base = at, size = self.limit - at, state = Space.FREE, protect = Space.NOACCESS,
      kind = 0, allocation_base = 0, allocation_protect = 0 })
  end
  self.infos, self.ranges = infos, ranges
end

-- Gives the stored ranges their places in `file`, the first at `offset`. Returns the end of the file.
function Space:bind(file, offset)
  self.file = file
  for _, range in ipairs(self.ranges) do
    range.offset = offset
    offset = offset + range.size
  end
  self.last = self.ranges[1]
  return offset
end

-- The stored range that holds `va`.
function Space:range_of(va)
  local last = self.last
  if va >= last.base and va < last.base + last.size then return last end
  local ranges, low, high = self.ranges, 1, #self.ranges
  while low <= high do
    local middle = (low + high) // 2
    local range = ranges[middle]
    if va < range.base then
      high = middle - 1
    elseif va >= range.base + range.size then
      low = middle + 1
    else
      self.last = range
      return range
    end
  end
  error(string.format("address %x is not stored in the dump", va))
end

-- Where the byte at `va` stands in the file.
function Space:offset_of(va)
  local range = self:range_of(va)
  return range.offset + va - range.base
end

-- Puts bytes at an address; they must lie in one stored range.
function Space:write(va, bytes)
  local range = self:range_of(va)
  assert(va + #bytes <= range.base + range.size, "bytes run past a stored range")
  self.file:seek(range.offset + va - range.base)
  self.file:write(bytes)
end

return Space
