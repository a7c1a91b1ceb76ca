-- Where a heap's segments lie and which of their pages are committed.
-- Why apart from the contents: all ranges of the process must be known before the first byte is written.
-- XP grows a heap by segments whose size doubles from 1 MB; each has ranges of uncommitted pages. The
-- listing of the case gives, per heap: Reserv = sum of the segments, Commit = committed pages, Virt =
-- reach from each segment's start to the end of its last committed page (inferred: it fits every row),
-- UCR = number of uncommitted ranges.

local Space = require "sample.space"

local layout = {}

local PAGE, K = 0x1000, 1024
local LARGEST_SEGMENT, MOST_SEGMENTS = 0x4000000, 64
local SEARCH_FROM = 0x1b00000

local function round(value, unit) return (value + unit - 1) // unit * unit end

-- Reserves the heap's segments. spec: { address, segments = { { size, base and allocation = nil or fixed
-- } } }; `needed`: bytes that must fit, more segments are added for them. Returns the segments, or nil if
-- the address space is full.
function layout.reserve(space, spec, needed)
  local segments, total = {}, 0
  local function add(base, size, allocation)
    if not base or #segments == MOST_SEGMENTS then return false end
    allocation = allocation or space:allocate(base, size, Space.PRIVATE, Space.READWRITE)
    segments[#segments + 1] = { base = base, size = size, allocation = allocation, runs = {}, pins = {} }
    total = total + size
    return true
  end
  local from = spec.address + (SEARCH_FROM > spec.address and SEARCH_FROM - spec.address or 0)
  for _, segment in ipairs(spec.segments) do
    if not add(segment.base or space:find(segment.size, from), segment.size,
      segment.allocation) then return nil end
  end
  while total < needed do
    local size = math.min(LARGEST_SEGMENT, math.max(0x100000, segments[#segments].size * 2))
    if not add(space:find(size, from), size) then return nil end
  end
  return segments
end

-- Splits `pages` into `count` random parts of at least one page, the first of at least `first`.
local function split(pages, count, first, random)
  local parts, left = {}, pages - first - (count - 1)
  for index = 1, count do
    local more = index == count and left or random(0, 2 * left // (count - index + 1))
    more = math.min(more, left)
    left = left - more
    parts[index] = more + (index == 1 and first or 1)
  end
  return parts
end

-- Commits `commit` bytes with `holes` uncommitted ranges of `hole_bytes` in all, segments being used in
-- order.
function layout.commit(segments, commit, holes, hole_bytes, random)
  local reach = math.max((commit + hole_bytes) // PAGE, #segments + (#segments > 1 and 2 or 0))
  for index, segment in ipairs(segments) do
    local later = #segments - index
    segment.reach = math.min(segment.size // PAGE, reach - later)
    reach = reach - segment.reach
    segment.holes, segment.hole_pages = 0, 0
    segment.first = index == 1 and 3 or 1
  end
  local left = hole_bytes // PAGE
  for index = 1, holes do
    local best, room
    for _, segment in ipairs(segments) do
      local free = segment.reach - segment.hole_pages - segment.holes - segment.first - 2
      if not room or free > room then best, room = segment, free end
    end
    local pages = index == holes and left or math.max(1, math.min(left - (holes - index), random(1,
      2 * left // (holes - index + 1))))
    pages = math.min(pages, math.max(room, 1))
    best.holes, best.hole_pages, left = best.holes + 1, best.hole_pages + pages, left - pages
  end
  for _, segment in ipairs(segments) do
    local at = segment.base
    if segment.holes == 0 then
      segment.runs[1] = { from = at, to = at + segment.reach * PAGE }
    else
      local filled = split(segment.reach - segment.hole_pages, segment.holes + 1, segment.first, random)
      local empty = split(segment.hole_pages, segment.holes, 1, random)
      for index, pages in ipairs(filled) do
        segment.runs[index] = { from = at, to = at + pages * PAGE }
        at = at + (pages + (empty[index] or 0)) * PAGE
      end
    end
  end
end

-- Makes sure the pages of the pinned blocks are committed; what lies past a segment's reach becomes an
-- island. pins: sorted { address, total }. Returns the bytes of the islands.
function layout.pin(segments, pins)
  local bytes = 0
  for _, segment in ipairs(segments) do
    for _, pin in ipairs(pins) do
      if pin.address >= segment.base and pin.address < segment.base + segment.size then
        segment.pins[#segment.pins + 1] = pin
        local from, to = pin.address // PAGE * PAGE, round(pin.address + pin.total, PAGE)
        local last = segment.runs[#segment.runs]
        if to > last.to then
          bytes = bytes + to - math.max(from, last.to)
          if from <= last.to then last.to = to else segment.runs[#segment.runs + 1] = { from = from,
            to = to } end
        end
      end
    end
  end
  return bytes
end

-- Tells the space what is committed; computes each segment's uncommitted ranges.
function layout.apply(segments)
  for _, segment in ipairs(segments) do
    local at = segment.base
    segment.uncommitted = {}
    local function gap(to)
      if to > at then segment.uncommitted[#segment.uncommitted + 1] = { address = at, size = to - at } end
    end
    for _, run in ipairs(segment.runs) do
      gap(run.from)
      Space.commit(segment.allocation, run.from, run.to, Space.READWRITE)
      at = run.to
    end
    gap(segment.base + segment.size)
  end
end

-- Figures of a listed heap at a scale: { commit, holes, hole_bytes, free, list }, in bytes. Heaps of up
-- to `floor` bytes keep their size.
function layout.scaled(row, scale, floor)
  local commit, virt = row.commit * K, row.virt * K
  local trailing = virt < row.reserve * K and 1 or 0
  local holes, hole_bytes = row.ranges - trailing, virt - commit
  local free, list = row.free * K, row.list
  local target = math.max(math.min(commit, floor), round(math.floor(commit * scale), PAGE))
  if target ~= commit then
    free = math.floor(free * target / commit)
    list = math.min(list, math.ceil(list * target / commit), free // (2 * K))
    holes = math.max(0, math.min(holes, target // PAGE // 4 - 1))
    hole_bytes = holes == 0 and 0 or math.max(holes * PAGE,
      math.floor(hole_bytes * target / commit) // PAGE * PAGE)
  end
  return { commit = target, holes = holes, hole_bytes = hole_bytes, free = free, list = list }
end

return layout
