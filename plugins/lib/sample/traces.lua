-- The stack-trace database that the global flag +ust makes (RtlpStackTraceDataBase of XP and 2003).
-- Shape: a header with hash buckets; entries packed upwards behind it; an array of entry pointers that
-- grows down from its end: entry i is found at *(EntryIndexArray - pointer size * i). A block stores 16
-- bits of i. In the case 0x1ff6b entries met the array: the database is full, later stacks are not
-- recorded (index 0). Observed in the case: all header figures, both entries, the hash chains that lead
-- upwards. Inferred: the hash (sum of the frames modulo the number of buckets, appended at the end of its
-- chain), the x64 layout (natural alignment).

local Record = require "sample.record"
local Space = require "sample.space"
local stacks = require "sample.stacks"

local Traces = {}
Traces.__index = Traces

local PAGE, BUCKETS, DEEPEST = 0x1000, 0x89, 32
local CASE_ENTRIES, CASE_LOOKED_UP = 0x1ff6b, 0x33c97e8
Traces.CASE_ENTRIES, Traces.LARGEST = CASE_ENTRIES, 0x200000

-- Where entries of the case lie: index, address, and the bucket rule between (see `bucket_rule`).
local CASE_START = 0x160000
local CASE_ANCHORS = { { 55, 0x161c84 }, { 0x7dfe, 0x547c18 }, { 0x7eeb, 0x54ecd0 }, { 0x17dfe, 0xcebde8 },
  { 0x17e27, 0xced18c }, { CASE_ENTRIES + 1, 0x10dffec } }
local FOLLOWERS = { rpc = 0x7eeb, row = 0x17e27 }     -- next in the hash chains of the two printed entries
local CASE_NAMED = { row = 0x17dfe, rpc = 0x7dfe, row_set = 0x183c1, entry_id = 0x6a13, class = 0x11c40,
  search_key = 0x1a2b7, subject_w = 0x93d5, subject_a = 0x1c0f2, message_id = 0xb1e6, sender_w = 0x15d09,
  sender_a = 0x1e7a4 }

local function round(value, unit) return (value + unit - 1) // unit * unit end

-- Gives the named stacks their indexes.
local function place_named(count)
  local named = {}
  if count >= 0x1e800 then
    for name, index in pairs(CASE_NAMED) do named[name] = index end
  else
    for order, name in ipairs(stacks.NAMED) do
      local index = math.max(order, count * (2 * order - 1) // (2 * #stacks.NAMED))
      if index <= count then named[name] = index end
    end
    if count >= 0x18000 then named.row, named.rpc = CASE_NAMED.row, CASE_NAMED.rpc end
  end
  return named
end

-- Depths of the entries first..last so that their frames number `frames` in all (nil: about 27 each).
local function spread_depths(self, first, last, frames)
  local random, depths, fixed, smallest = self.random, self.depths, self.fixed, self.smallest
  local open = 0
  for index = first, last do
    local named = fixed[index]
    if not named then open = open + 1 elseif frames then frames = frames - named.piece.depth end
  end
  frames = frames or open * 27
  for index = first, last do
    local named = fixed[index]
    local depth
    if named then
      depth = named.piece.depth
    else
      local mean = frames / open
      local share = (mean - (smallest + 31) / 2) / (DEEPEST - (smallest + 31) / 2)
      depth = random() < share and DEEPEST or random(smallest, 31)
      depth = math.max(smallest, frames - DEEPEST * (open - 1), math.min(depth, DEEPEST,
        frames - smallest * (open - 1)))
      frames, open = frames - depth, open - 1
    end
    depths[index] = depth
  end
end

-- Depths of short stacks, so that many entries take little room. full: the last ones are so deep that what is
-- committed for entries ends where the last entry does.
local function short_depths(self, header, first_entry, full)
  local random, depths, smallest, size = self.random, self.depths, self.smallest, first_entry
  for index = 1, self.count do
    local fixed = self.fixed[index]
    depths[index] = fixed and fixed.piece.depth or random(smallest, smallest + 2)
    size = size + header + self.abi.pointer_size * depths[index]
  end
  local missing = full and -size % PAGE // self.abi.pointer_size or 0
  for index = self.count, 1, -1 do
    if missing == 0 then break end
    if not self.fixed[index] then
      local more = math.min(missing, DEEPEST - depths[index])
      depths[index], missing = depths[index] + more, missing - more
    end
  end
end

-- Plans the database: depth, family and caller of each entry, and where everything lies.
-- options: { abi, count, composer, random, modules = by name }. For other processes than the case's:
-- stacks = { index = { piece, count } } instead of the named ones, all others short and of random families;
-- counts: function(index) -> captures of an entry that has no live blocks; full: no room for a further entry.
function Traces.plan(options)
  local abi, count, random = options.abi, options.count, options.random
  local self = setmetatable({ abi = abi, count = count, composer = options.composer, random = random,
    depths = {}, family = {}, module = {}, fixed = {}, lists = {} }, Traces)
  self.named, self.own_counts = options.stacks and {} or place_named(count), options.counts
  for name, index in pairs(self.named) do self.fixed[index] = self.composer.named[name] end
  for index, stack in pairs(options.stacks or {}) do self.fixed[index] = stack end
  self.smallest = self.composer:smallest()
  self.is_case = abi.pointer_size == 4 and count == CASE_ENTRIES and not options.stacks
  local width, header = abi.pointer_size, abi.trace_header_size
  local first_entry = round(abi.database.buckets + BUCKETS * width, width)
  if options.stacks then
    short_depths(self, header, first_entry, options.full)
  elseif self.is_case then
    local index, at = 1, CASE_START + first_entry
    for _, anchor in ipairs(CASE_ANCHORS) do
      spread_depths(self, index, anchor[1] - 1, (anchor[2] - at - header * (anchor[1] - index)) // width)
      index, at = anchor[1], anchor[2]
    end
  else
    spread_depths(self, 1, count)
  end
  local size = first_entry
  for index = 1, count do size = size + header + width * self.depths[index] end
  self.first_entry, self.used = first_entry, size
  -- the case's reserve is 16 MB at 00160000; what does not fit there goes to a reserve of its own
  local needed = round(size, PAGE) + round(width * count, PAGE)
  self.base, self.reserve = CASE_START, 0x1000000
  if needed > self.reserve then self.base, self.reserve = 0x40000000, round(needed, 0x10000) end
  -- both ends on one page boundary
  if options.full then self.reserve = round(round(size, PAGE) + width * count, PAGE) end
  self.top = self.base + self.reserve
  self.next_lower, self.next_upper = self.base + size, self.top - width * count
  self.lower_limit, self.upper_limit = round(self.next_lower, PAGE), self.next_upper // PAGE * PAGE
  self:choose_families(options.modules, options.stacks ~= nil)
  return self
end

-- Family and caller of every entry, and the lists by which contents choose a trace. scattered: in no order.
function Traces:choose_families(by_name, scattered)
  local random, composer = self.random, self.composer
  for _, family in ipairs(stacks.FAMILIES) do self.lists[family] = {} end
  local order = { "malloc", "office", "more", "bstr", "malloc", "buffer", "cotask", "localalloc", "malloc",
    "rpc",
    "office", "more" }
  for at = #order, 1, -1 do
    if #composer.callers[order[at]] == 0 then table.remove(order, at) end
  end
  for index = 1, self.count do
    if not self.fixed[index] then
      local family = order[scattered and random(#order) or index % #order + 1]
      local callers = composer.callers[family]
      local caller = callers[random(#callers)]
      self.family[index], self.module[index] = family, by_name[caller]
      local list = self.lists[family]
      list[#list + 1] = index
    end
  end
  for _, family in ipairs(stacks.FAMILIES) do
    local list = self.lists[family]
    for at = #list, 2, -1 do
      local other = random(at)
      list[at], list[other] = list[other], list[at]
    end
  end
end

-- A trace of `family`, a few of them far more often than the rest; 0 (not recorded) if there is none, or,
-- once in a while, because the database was full when the block was made.
function Traces:pick(family)
  local random = self.random
  local list = self.lists[family]
  if #list == 0 or self.is_case and random(64) == 1 then return 0 end
  local r = random()
  return list[1 + math.floor(#list * r * r * r)]
end

-- Reserves the database's memory.
function Traces:reserve_space(space)
  local allocation = space:allocate(self.base, self.reserve, Space.PRIVATE, Space.READWRITE)
  if self.lower_limit >= self.upper_limit then
    space.commit(allocation, self.base, self.top, Space.READWRITE)
  else
    space.commit(allocation, self.base, self.lower_limit, Space.READWRITE)
    space.commit(allocation, self.upper_limit, self.top, Space.READWRITE)
  end
end

-- TraceCount of every entry: never below its live blocks; what is left of the captures looked up is
-- spread with a heavy tail. live: index -> blocks, unrecorded: live blocks without a trace.
local function trace_counts(self, live, unrecorded)
  local random, counts = self.random, {}
  if self.own_counts then
    local sum = 0
    for index = 1, self.count do
      local fixed = self.fixed[index]
      counts[index] = fixed and fixed.count or self.own_counts(index)
      assert(counts[index] >= (live[index] or 0), "more live blocks than captures of a trace")
      sum = sum + counts[index]
    end
    self.looked_up, self.lost = sum + unrecorded * 12 & 0xffffffff, unrecorded * 12
    return counts
  end
  local total_live, weights, weight_sum = 0, {}, 0
  for index = 1, self.count do
    local blocks = live[index] or 0
    local named = self.fixed[index]
    if named and named.count and self.is_case then
      assert(blocks <= named.count, "more live blocks than captures of a trace")
      counts[index] = named.count
    else
      local weight = math.min((1 - random()) ^ -0.9, 20000)
      weights[index], weight_sum = weight, weight_sum + weight
      counts[index] = math.max(blocks, 1)
    end
    total_live = total_live + counts[index]
  end
  if self.is_case then
    self.looked_up, self.lost = CASE_LOOKED_UP, unrecorded * 40 + 900000
  else
    self.looked_up, self.lost = (total_live + unrecorded) * 12, unrecorded
  end
  local spare = self.looked_up - self.lost - total_live
  assert(spare >= 0, "more live blocks than captures")
  local left, heaviest = spare, nil
  for index = 1, self.count do
    local weight = weights[index]
    if weight then
      local more = math.floor(spare * (weight / weight_sum))
      counts[index] = counts[index] + more
      left = left - more
      if not heaviest or weight > weights[heaviest] then heaviest = index end
    end
  end
  counts[heaviest or 1] = counts[heaviest or 1] + left
  return counts
end

-- The case fixes three hash chains: bucket 0 starts at entry 55, and the entries 0x7dfe and 0x17dfe are
-- followed by 0x7eeb and 0x17e27. Returns the bucket an entry must have, and whether it must rather avoid
-- it.
local function bucket_rule(self, index)
  if not self.is_case then return nil end
  if index < 55 then return 0, true end
  if index == 55 then return 0, false end
  for name, follower in pairs(FOLLOWERS) do
    if index > CASE_NAMED[name] and index <= follower then
      return self.composer.named[name].piece.sum % BUCKETS, index < follower
    end
  end
  return nil
end

-- Writes the database. routines: { acquire, release, okay }.
function Traces:write(space, live, unrecorded, routines)
  local abi, composer = self.abi, self.composer
  local width, header = abi.pointer_size, abi.trace_header_size
  local counts = trace_counts(self, live, unrecorded)
  local buckets, entries, pointers, known = {}, {}, {}, {}
  local pack, format, pointer = string.pack, abi.trace_header, "<" .. abi.pointer
  local at = self.next_lower
  for index = self.count, 1, -1 do
    local depth, named = self.depths[index], self.fixed[index]
    local bytes, sum
    if named then
      bytes, sum = named.piece.bytes, named.piece.sum
    else
      local wanted, avoid = bucket_rule(self, index)
      repeat
        bytes, sum = composer:compose(index, self.family[index], self.module[index], depth, wanted
          and BUCKETS,
          wanted, avoid)
      until not known[bytes]             -- the database holds every stack once
      known[bytes] = true
    end
    at = at - header - width * depth
    local bucket = sum % BUCKETS
    entries[index] = pack(format, buckets[bucket] or 0, counts[index], index & 0xffff, depth) .. bytes
    buckets[bucket] = at
    pointers[self.count - index + 1] = pack(pointer, at)
  end
  local fields = abi.database
  local record = Record.new(self.first_entry)
  record:set(4, "i4", -1)
  local function put(offset, value) record:set(offset, abi.pointer, value) end
  put(fields.acquire, routines.acquire)
  put(fields.release, routines.release)
  put(fields.okay, routines.okay)
  put(fields.commit_base, self.base)
  put(fields.lower_limit, self.lower_limit)
  put(fields.upper_limit, math.max(self.upper_limit, self.lower_limit))
  put(fields.next_lower, self.next_lower)
  put(fields.next_upper, self.next_upper)
  record:set(fields.looked_up, "I4", self.looked_up)
  record:set(fields.added, "I4", self.count)
  put(fields.index_array, self.top)
  record:set(fields.buckets_n, "I4", BUCKETS)
  for bucket = 0, BUCKETS - 1 do put(fields.buckets + width * bucket, buckets[bucket] or 0) end
  space:write(self.base, record:bytes())
  space:write(self.base + self.first_entry, table.concat(entries))
  space:write(self.next_upper, table.concat(pointers))
  self.counts = counts
end

return Traces
