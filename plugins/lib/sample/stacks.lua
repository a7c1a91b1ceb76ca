-- Call stacks: what the frames of a trace are made of.
-- A stack is: three frames of ntdll's debug allocator, frames of an allocator (MAPIAllocateMore, malloc,
-- ...), the caller that owns the memory, a stretch of a long walk through the modules, and, if 32 frames
-- are enough, the start of a thread. The case's own stacks are given in full.

local stacks = {}

local WALK = 8192           -- frames of the walk that stacks take their middle part from

-- Frames inside allocators, innermost first, by family. Offsets are plausible ones inside the named
-- function.
local OUTLOOK = {
  innermost = { 0x7c96cf9a, 0x7c949564, 0x7c918f01 },
  outermost = { { 0x326172d1, 0x3261710f, 0x7c80b713 }, { 0x3000d2b1, 0x30001b0c, 0x7c80b713 },
    { 0x774fe45e, 0x7c80b713 }, { 0x77e76caf, 0x77e76ad1, 0x77e76c97, 0x7c80b713 } },
  families = {
    buffer = { { 0x38eea271, 0x38eea23c } }, more = { { 0x38eea31c, 0x38eea2d3 } },
    malloc = { { 0x77c2c453 }, { 0x77c2c453, 0x77c29cd0 }, { 0x77c2c453, 0x77c29cd0, 0x77c2a0ca } },
    bstr = { { 0x77124bb2, 0x77124c1c }, { 0x77124c8d } }, rpc = { { 0x77e781f9, 0x77e781d0 } },
    cotask = { { 0x774fd08f } }, localalloc = { { 0x7c809a6b } }, office = { { 0x32601204, 0x32601e61 } },
  },
  -- who calls each family's allocator, by weight
  callers = {
    buffer = { "olmapi32", "olmapi32", "emsmdb32", "outlook", "3rdpartydll" },
    more = { "olmapi32", "emsmdb32", "outlook", "3rdpartydll" },
    malloc = { "emsmdb32", "olmapi32", "3rdpartydll", "outlook", "mapi32" },
    bstr = { "outlook", "mso", "outlook", "3rdpartydll" }, rpc = { "rpcrt4" },
    cotask = { "ole32", "outlook", "mso" }, localalloc = { "user32", "mapi32", "outlook" },
    office = { "mso", "outlook", "mso" },
  },
  walk = { "outlook", "mso", "outlook", "olmapi32", "mso", "emsmdb32", "ole32", "user32", "oleaut32" },
}

local SERVICE = {
  innermost = { 0x77f5c21b, 0x77ed6f3c },
  outermost = { { 0x140001b0c, 0x77d59620 }, { 0x77d6b71a } },
  families = {
    buffer = { { 0x7ff6100a31d } }, more = { { 0x7ff6100a41c } },
    malloc = { { 0x7ff7fc29bd4 }, { 0x7ff7fc29bd4, 0x7ff7fc2a85c } }, bstr = { { 0x7ff56fd5a9c } },
    rpc = { { 0x7ff7fd41a62 } }, cotask = { { 0x7ff5716b21a } }, localalloc = { { 0x77d5a744 } },
    office = { { 0x140011c20 } },
  },
  callers = {
    buffer = { "mapi32", "addin" }, more = { "mapi32", "addin" }, malloc = { "rowserv", "addin", "mapi32" },
    bstr = { "rowserv", "addin" }, rpc = { "rpcrt4" }, cotask = { "ole32", "rowserv" },
    localalloc = { "rowserv", "mapi32" }, office = { "rowserv" },
  },
  walk = { "rowserv", "mapi32", "addin", "ole32", "rowserv", "rpcrt4" },
}

stacks.FAMILIES = { "buffer", "more", "malloc", "bstr", "rpc", "cotask", "localalloc", "office" }

-- The stacks of the leak and of what it is confused with. Each is { frames, count or nil }; names are
-- used by the contents. `row` and `rpc` are the case's, frame by frame; the others end where `row` ends.
local ROW_TAIL = { 0x38ef4783, 0x38f0b31e, 0x38f0b208, 0x38ef82fa, 0x38f2d7fd, 0x100c8141 }
local MORE_SITES = { "entry_id", "class", "search_key", "subject_w", "subject_a", "message_id", "sender_w",
  "sender_a" }

local function outlook_named()
  local function behind(head, tail)
    local frames = table.move(OUTLOOK.innermost, 1, 3, 1, {})
    table.move(head, 1, #head, #frames + 1, frames)
    return table.move(tail, 1, #tail, #frames + 1, frames)
  end
  local named = {
    row = { frames = behind({ 0x38eea271, 0x38eea23c, 0x38ef0674 }, ROW_TAIL), count = 0x442ac },
    rpc = { count = 2, frames = behind({ 0x77e781f9, 0x77e781d0, 0x77e7e697, 0x77e7e71a, 0x77e7ed6b,
      0x77e93fde,
      0x77e936d3, 0x77e9f3db, 0x77e800aa, 0x77e7fdbc, 0x77e78a01, 0x77e78a38, 0x77e7906d, 0x77ef557d },
      { 0x38b8ef6a, 0x38b8ef26, 0x38b4c7ca, 0x38b4c70a, 0x38b4965b, 0x326172d1, 0x3261710f, 0x7c80b713 }) },
    row_set = { frames = behind({ 0x38eea271, 0x38eea23c }, { 0x38efb2c4, 0x38f2d81a, 0x100c80f3 }) },
  }
  for index, site in ipairs(MORE_SITES) do
    named[site] = { frames = behind({ 0x38eea31c, 0x38eea2d3, 0x38ef0602 + 9 * index }, ROW_TAIL) }
  end
  return named
end

local function service_named()
  local named = {}
  local head = SERVICE.innermost
  named.row = { frames = { head[1], head[2], 0x7ff6100a31d, 0x7ff6100d2c4, 0x180014a21, 0x180012466,
    0x77d6b71a } }
  named.rpc = { frames = { head[1], head[2], 0x7ff7fd41a62, 0x7ff7fd5238e, 0x7ff7fdf0b9a, 0x140012d11,
    0x77d6b71a } }
  named.row_set = { frames = { head[1], head[2], 0x7ff6100a31d, 0x7ff6100d290, 0x1800149d0, 0x77d6b71a } }
  for index, site in ipairs(MORE_SITES) do
    named[site] = { frames = { head[1], head[2], 0x7ff6100a41c, 0x7ff6100d300 + 9 * index, 0x180014a21,
      0x180012466, 0x77d6b71a } }
  end
  return named
end

-- Order in which named traces get an index when there are few.
stacks.NAMED = { "row", "rpc", "row_set", table.unpack(MORE_SITES) }

-- A packed piece of a stack with the sum of its frames (the database hashes a stack by that sum).
local function piece(format, frames)
  local packed, sum = {}, 0
  for index, frame in ipairs(frames) do
    packed[index] = string.pack(format, frame)
    sum = sum + frame
  end
  return { bytes = table.concat(packed), sum = sum, depth = #frames }
end

-- The names of a list whose modules are loaded.
local function loaded(names, by_name)
  local list = {}
  for _, name in ipairs(names) do if by_name[name] then list[#list + 1] = name end end
  return list
end

local function loaded_callers(source, by_name)
  local callers = {}
  for family, names in pairs(source.callers) do callers[family] = loaded(names, by_name) end
  return callers
end

-- Makes the composer for an architecture: by_name maps module names to modules with text_from, text_to.
function stacks.new(abi, by_name, random)
  local source = abi.pointer_size == 4 and OUTLOOK or SERVICE
  local format = "<" .. abi.pointer
  local self = { width = abi.pointer_size, format = format, source = source, by_name = by_name,
    random = random,
    heads = {}, tails = {}, callers = loaded_callers(source, by_name),
    named = abi.pointer_size == 4 and outlook_named() or service_named() }
  for family, variants in pairs(source.families) do
    self.heads[family] = {}
    for index, frames in ipairs(variants) do
      local all = table.move(source.innermost, 1, #source.innermost, 1, {})
      self.heads[family][index] = piece(format, table.move(frames, 1, #frames, #all + 1, all))
    end
  end
  for index, frames in ipairs(source.outermost) do self.tails[index] = piece(format, frames) end
  local walk, sums, sum = {}, { [0] = 0 }, 0
  local walked = loaded(source.walk, by_name)
  while #walk < WALK do
    local module = by_name[walked[random(#walked)]]
    local around = random(module.text_from + 0x4000, module.text_to - 0x4000)
    for _ = 1, random(2, 7) do
      local frame = around + random(-0x3000, 0x3000)
      walk[#walk + 1] = string.pack(format, frame)
      sum = sum + frame
      sums[#walk] = sum
    end
  end
  self.walk, self.walk_sums, self.walk_depth = table.concat(walk), sums, #walk
  for _, named in pairs(self.named) do named.piece = piece(format, named.frames) end
  return setmetatable(self, { __index = stacks })
end

-- Smallest depth a composed stack can have: the longest head, the caller, one more.
function stacks:smallest()
  local longest = 0
  for _, variants in pairs(self.heads) do
    for _, head in ipairs(variants) do longest = math.max(longest, head.depth) end
  end
  return longest + 2
end

-- Frames of trace `index` as bytes: `depth` of them, called from `module`. When `modulus` is given, the
-- caller's frame is moved up until the sum of all frames is `wanted` (or, if `avoid`, is not `wanted`)
-- modulo it. Returns bytes and the sum.
function stacks:compose(index, family, module, depth, modulus, wanted, avoid)
  local random = self.random
  local variants = self.heads[family]
  local head = variants[index % #variants + 1]
  local rest = depth - head.depth - 1
  local tail = self.tails[index % #self.tails + 1]
  if depth == 32 or rest <= tail.depth then tail = nil end
  local middle = rest - (tail and tail.depth or 0)
  local from = random(0, self.walk_depth - middle)
  local size = module.text_to - module.text_from
  local site = module.text_from + 0x400 + (index * 53 + random(0, 52)) % (size - 0x800)
  local sum = head.sum + site + self.walk_sums[from + middle] - self.walk_sums[from] + (tail and tail.sum
    or 0)
  if modulus then
    local shift = avoid and (sum % modulus == wanted and 1 or 0) or (wanted - sum) % modulus
    site, sum = site + shift, sum + shift
  end
  local width = self.width
  return head.bytes .. string.pack(self.format, site) .. self.walk:sub(from * width + 1,
    (from + middle) * width)
    .. (tail and tail.bytes or ""), sum
end

return stacks
