-- What the sample contains, told independently of the dump: figures and groups as JSON, one line per
-- block as TSV. Counting is one table update per block; everything else is derived at the end.

local Truth = {}
Truth.__index = Truth

local NO_INDEX, STATES = 0x1ffff, { "busy", "free", "lookaside", "internal", "uncommitted" }

local HEADER = "heap\taddress\tuser\tsize\ttotal\tflags\tstate\tstored_index\ttrace\tlabel\tfate"
  .. "\t# all numbers hex without 0x; stored_index - = the block has no extra; trace 0 = not recorded\n"

-- lines: an output for block lines, or nil.
function Truth.new(lines)
  if lines then lines:write(HEADER) end
  return setmetatable({ heaps = {}, lines = lines }, Truth)
end

local HeapTruth = {}
HeapTruth.__index = HeapTruth

-- Starts a heap; gives the object that records its blocks.
function Truth:heap(heap)
  local one = setmetatable({ heap = heap, groups = {}, labels = {}, fates = {}, states = {}, rows = {},
    lines = self.lines, prefix = string.format("%x", heap.base) }, HeapTruth)
  for _, state in ipairs(STATES) do one.states[state] = { blocks = 0, bytes = 0 } end
  self.heaps[#self.heaps + 1] = one
  return one
end

local format = string.format

-- Records a block. stored: NO_INDEX = none.
function HeapTruth:block(address, user, size, total, flags, state, stored, trace, label, fate)
  local figure = self.states[state]
  figure.blocks, figure.bytes = figure.blocks + 1, figure.bytes + size
  if state == "busy" then
    local key = size << 42 | stored << 24 | trace
    local groups, labels, fates = self.groups, self.labels, self.fates
    groups[key] = (groups[key] or 0) + 1
    labels[label] = (labels[label] or 0) + 1
    fates[fate] = (fates[fate] or 0) + 1
  end
  if self.lines then
    local rows = self.rows
    rows[#rows + 1] = format("%s\t%x\t%x\t%x\t%x\t%x\t%s\t%s\t%x\t%s\t%s\n", self.prefix, address, user, size,
      total, flags, state, stored == NO_INDEX and "-" or format("%x", stored), trace, label, fate)
    if #rows >= 8192 then
      self.lines:write(table.concat(rows))
      self.rows = {}
    end
  end
end

local function each_group(one, visit)
  for key, count in pairs(one.groups) do
    visit(key >> 42, key >> 24 & 0x3ffff, key & 0xffffff, count)
  end
end

-- Writes out block lines still held back.
function Truth:flush()
  for _, one in ipairs(self.heaps) do
    if self.lines and #one.rows > 0 then self.lines:write(table.concat(one.rows)) end
    one.rows = {}
  end
end

-- Live blocks by true trace, and the number of those without one.
function Truth:live()
  local live, unrecorded = {}, 0
  for _, one in ipairs(self.heaps) do
    each_group(one, function(_, _, trace, count)
      if trace == 0 then unrecorded = unrecorded + count else live[trace] = (live[trace] or 0) + count end
    end)
  end
  return live, unrecorded
end

-- JSON text of plain data: tables with [1] or marked by `array` are arrays, others objects with sorted
-- keys.
local function encode(value, out)
  local kind = type(value)
  if kind == "table" then
    if value[1] ~= nil or value.array then
      out[#out + 1] = "["
      for index, item in ipairs(value) do
        if index > 1 then out[#out + 1] = "," end
        encode(item, out)
      end
      out[#out + 1] = "]"
    else
      local keys = {}
      for key in pairs(value) do keys[#keys + 1] = key end
      table.sort(keys)
      out[#out + 1] = "{"
      for index, key in ipairs(keys) do
        out[#out + 1] = (index > 1 and ",\n" or "") .. format("%q:", key)
        encode(value[key], out)
      end
      out[#out + 1] = "}"
    end
  elseif kind == "string" then
    out[#out + 1] = '"' .. value:gsub('[%c"\\]', function(c) return format("\\u%04x", c:byte()) end) .. '"'
  else
    out[#out + 1] = tostring(value)
  end
end

local function by_order(a, b)
  for index = 1, #a do
    if a[index] ~= b[index] then return a[index] < b[index] end
  end
  return false
end

-- One heap as plain data. Groups are arrays: sizes { size, blocks }, groups { stored or -1, size, trace,
-- blocks }.
local function heap_figures(one)
  local heap = one.heap
  local sizes, groups, size_rows = {}, { array = true }, { array = true }
  each_group(one, function(size, stored, trace, count)
    sizes[size] = (sizes[size] or 0) + count
    groups[#groups + 1] = { stored == NO_INDEX and -1 or stored, size, trace, count }
  end)
  for size, count in pairs(sizes) do size_rows[#size_rows + 1] = { size, count } end
  table.sort(size_rows, by_order)
  table.sort(groups, by_order)
  local reserve, commit, ranges, segments = 0, 0, 0, { array = true }
  for _, segment in ipairs(heap.segments) do
    local gaps = 0
    for _, gap in ipairs(segment.uncommitted) do gaps = gaps + gap.size end
    reserve, commit = reserve + segment.size, commit + segment.size - gaps
    ranges = ranges + #segment.uncommitted
    segments[#segments + 1] = { base = format("%x", segment.base), size = segment.size, uncommitted = gaps }
  end
  return { address = format("%x", heap.base), flags = format("%x", heap.flags), reserve = reserve,
    commit = commit,
    virt = heap.virt, free_bytes = heap.free_bytes, free_list_length = heap.list_length,
    uncommitted_ranges = ranges, large_blocks = #heap.large, lock = heap.serialized,
    contention = heap.spec.contention or 0, front_end = heap.front_end ~= nil,
    listed = heap.spec.listed, segments = segments, states = one.states, labels = one.labels,
      fates = one.fates,
    sizes = size_rows, groups = groups }
end

-- Writes the figures. facts: plain data put beside the heaps.
function Truth:write(output, facts)
  local heaps = { array = true }
  for _, one in ipairs(self.heaps) do heaps[#heaps + 1] = heap_figures(one) end
  facts.heaps = heaps
  facts.schema = "heapsift.sample-truth/1"
  facts.about = "numbers are decimal, addresses hex strings; sizes: [size, blocks];"
    .. " groups: [stored index or -1, size, full trace index or 0, blocks]"
  local out = {}
  encode(facts, out)
  out[#out + 1] = "\n"
  output:write(table.concat(out))
end

return Truth
