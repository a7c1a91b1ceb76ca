-- Ordinary heaps: fills committed ranges with blocks of common sizes so that the figures of a heap
-- listing come out: bytes free (Free) and number of free blocks of 128 units and more (List length).

local fill = {}

local LARGEST_FREE = 0xfe00
local SMALL = 0x100               -- what follows a hole is no larger

-- Sizes as programs ask for them: mostly small, a long tail.
local function common_size(random, largest)
  return math.min(largest, math.floor(8 + 26 * (1 - random()) ^ -0.75))
end

-- Sizes of the free blocks to plant: `list - 1` large ones and small ones; the last large one ends the
-- heap.
local function plan_free(heap, target, random)
  local unit = heap.abi.unit
  local border = 128 * unit
  local planted, left = {}, target.free + 512
  if target.list > 0 and target.list * LARGEST_FREE * unit <= target.free then
    return planted, target.free
  end
  local tail = target.list == 0 and math.min(left, border * 3 // 4)
    or math.max(border, left * 2 // (target.list + 2))
  left = left - tail
  for index = 1, target.list - 1 do
    local share = left * 3 // 4 // (target.list - index)
    local size = math.max(border, share - random(0, share // 4)) // unit * unit
    if size > left then break end
    planted[#planted + 1], left = size, left - size
  end
  while left >= 2 * unit do
    local size = math.min(left, random(2, 60) * unit) // unit * unit
    planted[#planted + 1], left = size, left - size
  end
  for at = #planted, 2, -1 do
    local other = random(at)
    planted[at], planted[other] = planted[other], planted[at]
  end
  return planted, nil
end

-- Takes the first planned hole that fits here with a block behind it (a hole must not meet the free end of
-- the run), or nil. wanted: free bytes the heap shall have in all.
local function take_hole(heap, planted, wanted)
  local room = heap:room() - 2 * SMALL
  for index, hole in ipairs(planted) do
    local keep = heap:in_last_run() and math.max(wanted - heap.free_bytes - hole, 0) or 0
    if room > hole + keep then return table.remove(planted, index) end
  end
  return nil
end

-- Fills `heap`; target: { free, list } in bytes. lookaside: put freed blocks on look-aside lists now and
-- then.
function fill.run(heap, content, target, random, lookaside)
  local unit = heap.abi.unit
  local planted, whole_tail = plan_free(heap, target, random)
  local capacity = heap:capacity()
  local largest = math.max(64, math.min(0x3000, capacity // 24))
  local step = (capacity - target.free) // (#planted + 2)
  local spacing = 0
  local wanted = whole_tail or target.free + 512
  content:forget()
  while true do
    local limit = largest
    if #planted > 0 and spacing >= math.min(step, 0x20000) then
      local hole = take_hole(heap, planted, wanted)
      if hole then
        heap:free(hole)
        spacing, limit = 0, SMALL
      end
    end
    local size = common_size(random, limit)
    local total = heap:total_of(size)
    if heap:in_last_run() then
      local keep = math.max(wanted - heap.free_bytes, 0)
      local spare = (heap:room() - keep) // unit * unit
      if spare < heap:total_of(8) then break end
      if total > spare then size = spare - heap.overhead end
    elseif total > heap:room() and heap:room() >= heap:total_of(8) then
      size = heap:room() - heap.overhead     -- end the run with a block rather than with a hole
    end
    if lookaside and heap.front_end and size < 100 * unit and random(12) == 1 then
      heap:lookaside(size)
    elseif not content:put(heap, size) then
      break
    end
    spacing = spacing + total
    heap:flush()
  end
end

return fill
