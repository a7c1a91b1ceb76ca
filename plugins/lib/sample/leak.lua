-- The leaking MAPI heap: rows of QueryRows that were never freed, their linked buffers, one row set in
-- use, and ordinary blocks, in the numbers of the case's size table. `plan` decides what there will be
-- (before addresses are fixed), `fill` puts it into the heap.

local layout = require "sample.layout"
local mapi = require "sample.mapi"

local leak = {}

local HELD_ROWS = 50
local SMALLEST_SCALE = 0.0004            -- below it the row set in use would not fit into the numbers
-- operations; larger: a block of that size
local ROW, UNRECORDED_ROW, FIXED_ROW, HELD_ROW, FREE = 1, 2, 3, 4, 5
local EXTRAS = { "entry_id", "class", "search_key", "subject_w", "subject_a", "message_id", "sender_w",
  "sender_a" }
local TIME_HIGH = 0x01c8cfa5             -- the case's FILETIMEs

local function round(value, unit) return (value + unit - 1) // unit * unit end

local function total_of(abi, ust, size)
  return math.max(2 * abi.unit, round(size + abi.entry_size + (ust and abi.tail_size + abi.extra_size or 0),
    abi.unit))
end

-- Counts of the sizes that the listing cuts off: many small and few larger blocks, each size with fewer
-- bytes than the last listed row, in such numbers that busy bytes and committed bytes come out. Two
-- unknown factors, for sizes below and above `middle`, solve the two equations; fractions of a block are
-- carried to the next size.
local function unlisted_counts(case, abi, listed)
  local bytes, totals = case.busy_bytes, case.block_bytes
  for size, count in pairs(listed) do
    bytes, totals = bytes - size * count, totals - total_of(abi, true, size) * count
  end
  local weights, sums = {}, { { 0, 0 }, { 0, 0 } }
  local first, middle, last = table.unpack(case.unlisted)
  for size = first, last do
    if not listed[size] then
      local part = size <= middle and 1 or 2
      local weight = part == 1 and 1 / size or (middle / size) ^ 1.5 / size
      weights[size] = weight
      local sum = sums[part]
      sum[1], sum[2] = sum[1] + weight * size, sum[2] + weight * total_of(abi, true, size)
    end
  end
  local a, b = sums[1], sums[2]
  local determinant = a[1] * b[2] - a[2] * b[1]
  local factors = { (bytes * b[2] - totals * b[1]) / determinant,
    (a[1] * totals - a[2] * bytes) / determinant }
  local counts, carry, used = {}, 0, 0
  for size = first, last do
    if weights[size] then
      local exact = weights[size] * factors[size <= middle and 1 or 2] + carry
      counts[size] = math.floor(exact)
      carry = exact - counts[size]
      used = used + counts[size] * total_of(abi, true, size)
    end
  end
  local unit = total_of(abi, true, first)
  counts[first] = counts[first] + (totals - used) // unit
  return counts
end

local function shuffle(list, random)
  for at = #list, 2, -1 do
    local other = random(at)
    list[at], list[other] = list[other], list[at]
  end
end

-- Everything the heap will hold. case: see outlook.lua; options: { abi, ust, scale, random }.
-- Returns a plan with `bytes`, what all blocks take.
function leak.plan(case, options)
  local abi, random = options.abi, options.random
  local scale = math.max(options.scale, SMALLEST_SCALE)
  local exact = scale == 1
  local listed = {}
  for _, row in ipairs(case.sizes) do listed[row[1]] = row[2] end
  local row_size = mapi.row_size(abi)
  local entry_size = abi.mapi.header_size + mapi.ENTRY_ID
  local key_size = abi.mapi.header_size + mapi.SEARCH_KEY
  local set_size = abi.mapi.header_size + abi.pointer_size + HELD_ROWS * (8 + abi.pointer_size)
  local counts = {}
  listed[set_size] = 1
  for size, count in pairs(unlisted_counts(case, abi, listed)) do counts[size] = count end
  for size, count in pairs(listed) do counts[size] = count end
  for size, count in pairs(counts) do counts[size] = math.floor(count * scale + 0.5) end
  counts[set_size] = 1
  local plan = { abi = abi, case = case, random = random, ust = options.ust, counts = counts, exact = exact,
    row_size = row_size, entry_size = entry_size, key_size = key_size, set_size = set_size, pins = {} }

  local others = math.max(6, math.floor(case.other_rows * scale + 0.5))
  local rows = counts[row_size] - others
  local unrecorded = others * 3 // 5 + math.max(0, rows - case.row_captures)
  plan.rows, plan.unrecorded = math.min(rows, case.row_captures), unrecorded
  plan.held = math.min(HELD_ROWS, plan.rows)
  local single_rows = others - others * 3 // 5
  if options.ust then
    for _, pin in ipairs(case.pins or {}) do
      plan.pins[#plan.pins + 1] = pin
      if pin.size ~= row_size then counts[pin.size] = math.max(0, (counts[pin.size] or 0) - 1) end
    end
  end
  local fixed = 0
  for _, pin in ipairs(plan.pins) do
    if pin.size == row_size and not pin.case_row then fixed = fixed + 1 end
  end
  local case_row = #plan.pins > 0 and 1 or 0
  plan.stream_rows = plan.rows - fixed - case_row - plan.held

  -- sizes for the strings of rows, in random order; what is left over becomes blocks of its own
  local pool, groups = {}, plan.rows + unrecorded - case_row
  for size = 1, case.unlisted[3] do
    if size ~= row_size and size ~= entry_size and size ~= key_size and size ~= set_size then
      for _ = 1, counts[size] or 0 do pool[#pool + 1] = size end
    end
  end
  shuffle(pool, random)
  plan.pool = pool
  local ops = {}
  local function add(operation, count)
    for _ = 1, count do ops[#ops + 1] = operation end
  end
  add(ROW, plan.stream_rows)
  add(UNRECORDED_ROW, unrecorded)
  add(FIXED_ROW, fixed)
  add(HELD_ROW, plan.held)
  add(row_size, single_rows)
  add(entry_size, math.max(0, counts[entry_size] - groups))
  add(key_size, math.max(0, counts[key_size] - groups))
  for _ = 1, #pool - 6 * groups do
    ops[#ops + 1] = pool[#pool]
    pool[#pool] = nil
  end
  plan.planted = {}
  local planted = math.floor(case.planted_free * math.min(scale, 1))
  while planted > 2 * abi.unit do
    local size = math.min(planted, random(2, 48) * abi.unit) // abi.unit * abi.unit
    plan.planted[#plan.planted + 1], planted = size, planted - size
  end
  add(FREE, #plan.planted)
  shuffle(ops, random)
  plan.ops = ops

  local bytes = 0
  for size, count in pairs(counts) do bytes = bytes + count * total_of(abi, options.ust, size) end
  for _, pin in ipairs(plan.pins) do
    if pin.size ~= row_size then bytes = bytes + total_of(abi, options.ust, pin.size) end
    pin.total = total_of(abi, true, pin.size)
  end
  local missing = math.max(0, 6 * groups - #pool)
  plan.bytes = bytes + missing * total_of(abi, options.ust, 0x30)
  return plan
end

-- Commits the heap's pages for the plan.
function leak.layout(plan, segments)
  local case, abi = plan.case, plan.abi
  local commit = case.commit * 1024
  if not plan.exact or not plan.ust then
    local internal = abi.heap.size + 0x2100 + #segments * 0x1000
    commit = round(plan.bytes + internal + math.max(0x4000, #plan.planted * 64) + #plan.pins * 0x100, 0x1000)
  end
  layout.commit(segments, commit, 0, 0, plan.random)
  layout.pin(segments, plan.pins)
end

local Filler = {}
Filler.__index = Filler

-- Length of the size a string buffer of this row gets.
function Filler:next_size()
  local pool = self.plan.pool
  local size = pool[#pool]
  if not size then return 0x30 end
  pool[#pool] = nil
  return size
end

-- Contents of an extra buffer.
function Filler:extra(name, size, link)
  local content, header = self.content, self.abi.mapi.header_size
  local head = string.pack(self.abi.mapi.header, mapi.MORE_FLAGS, link)
  local rest = size - header
  if name == "entry_id" or name == "search_key" then return head .. content:blob(rest) end
  if name == "class" then return head .. ("IPM.Note" .. content.zeros:sub(1, rest)):sub(1, rest - 1)
    .. "\0" end
  if name:sub(-2) == "_w" then return head .. content:wide(rest) end
  return head .. content:ascii(rest)
end

-- A time of the case's day; the low words stay out of the range of heap addresses.
function Filler:time() return self.random(0x40000000, 0x5fffffff) end

-- A row with its eight buffers. fixed: user address of a row already placed, or nil. Returns the row's
-- user address.
function Filler:row(trace, fate, fixed)
  local heap, abi = self.heap, self.abi
  local entry, header = abi.entry_size, abi.mapi.header_size
  local sizes, at, slots = self.sizes, self.at, self.slots
  for index = 1, 6 do sizes[index] = self:next_size() end
  table.sort(sizes)
  local wanted = self.wanted
  wanted.class, wanted.sender_a, wanted.subject_a = sizes[1], sizes[2], sizes[3]
  wanted.sender_w, wanted.subject_w, wanted.message_id = sizes[4], sizes[5], sizes[6]
  local address, total, slot, flags
  if not fixed then
    address, total, slot, flags = heap:place(self.plan.row_size)
  end
  for index, name in ipairs(EXTRAS) do
    local placed = slots[index]
    placed[1], placed[2], placed[3], placed[4] = heap:place(wanted[name])
    at[name] = placed[1] + entry + header
  end
  local link = 0
  for index, name in ipairs(EXTRAS) do
    local placed, size = slots[index], wanted[name]
    heap:emit(placed[3], placed[1], placed[2], placed[4], size, self:extra(name, size, link),
      self.named[name] or 0,
      "mapi.more", fate)
    link = placed[1] + entry
  end
  -- no prefix: the end of the subject
  at.prefix_w = at.subject_w + (wanted.subject_w - header) // 2 * 2 - 2
  at.prefix_a = at.subject_a + wanted.subject_a - header - 1
  local bytes = mapi.row(self.format, link, at, self:time(), self:time(), self:time(), TIME_HIGH)
  if fixed then
    heap:patch(fixed, bytes)
    return fixed
  end
  heap:emit(slot, address, total, flags, self.plan.row_size, bytes, trace, "mapi.row", fate)
  return address + entry
end

-- Gives the pins their contents. The row of the case and its buffers have addresses that are all known; the
-- other fixed rows are filled in when their buffers exist.
function Filler:prepare_pins()
  local abi, named = self.abi, self.named
  local by_name = {}
  for _, pin in ipairs(self.plan.pins) do if pin.extra then by_name[pin.extra] = pin end end
  for _, pin in ipairs(self.plan.pins) do
    if pin.size == self.plan.row_size and not pin.case_row then
      self.fixed[#self.fixed + 1] = pin.address + abi.entry_size
    end
    pin.emit = function(heap, this)
      local address, total, slot, flags = heap:place(this.size)
      assert(address == this.address and total == this.total, "a fixed block missed its place")
      local trace, label, fate = named.row or 0, "mapi.row", "leaked"
      local bytes
      if this.extra then
        local link = this.link and by_name[this.link].address + abi.entry_size or 0
        bytes, trace, label = self:extra(this.content, this.size, link), named[this.content] or 0, "mapi.more"
      elseif this.case_row then
        bytes = mapi.row(self.format, by_name.sender_a.address + abi.entry_size, self.plan.case.row_values,
          table.unpack(self.plan.case.row_times))
      elseif this.size == self.plan.row_size then
        bytes = self.content:zero(this.size)
      else
        bytes, trace, label, fate = self.content:mapi_more(this.size), self.content.traces:pick("more"),
          "mapi.more",
          "live"
      end
      heap:emit(slot, address, total, flags, this.size, bytes, trace, label, fate)
    end
  end
end

-- Hooks the plan's fixed blocks to the contents; must run before the heap is begun.
function leak.prepare(plan, content)
  local filler = setmetatable({ plan = plan, abi = plan.abi, content = content, random = plan.random,
    named = content.traces and content.traces.named or {}, format = mapi.row_format(plan.abi), fixed = {},
    sizes = {}, at = {}, slots = {}, wanted = { entry_id = plan.entry_size, search_key = plan.key_size } },
      Filler)
  for index = 1, #EXTRAS do filler.slots[index] = {} end
  filler:prepare_pins()
  return filler
end

-- Puts everything into the heap. Returns { row_set = user address, held = row user addresses }.
function Filler:fill(heap)
  self.heap = heap
  local plan, content, named = self.plan, self.content, self.named
  local held, planted = {}, 1
  content:forget()
  for _, op in ipairs(plan.ops) do
    if op == ROW then
      self:row(named.row or 0, "leaked")
    elseif op == UNRECORDED_ROW then
      self:row(0, "leaked")
    elseif op == HELD_ROW then
      held[#held + 1] = self:row(named.row or 0, "held")
    elseif op == FIXED_ROW then
      self:row(named.row or 0, "leaked", table.remove(self.fixed))
    elseif op == FREE then
      if heap:room() > 0x1000 and heap.was_busy then heap:free(plan.planted[planted]) end
      planted = planted + 1
    else
      content:put_mapi(heap, op)
    end
    heap.was_busy = op ~= FREE
    heap:flush()
  end
  local set = mapi.row_set(plan.abi, held)
  local row_set = heap:block(plan.set_size, set, named.row_set or 0, "mapi.rowset", "held")
  return { row_set = row_set, held = held }
end

return leak
