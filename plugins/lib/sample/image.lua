-- A module as it lies in memory: PE headers, sections, export directory, RSDS record, virtual method
-- tables. Why sparse: only pages with something in them are stored; code is described (sections,
-- protections) but its bytes are left out, as nothing here disassembles. Formats: PE/COFF specification
-- (documented).

local Record = require "sample.record"
local Space = require "sample.space"

local image = {}

local PAGE = 0x1000
local SECTION_CODE, SECTION_READ, SECTION_WRITE = 0x60000020, 0x40000040, 0xc0000040
local VTABLES, SLOTS = 24, 8      -- tables a module has, and slots of each

local function round(value, unit) return (value + unit - 1) // unit * unit end

-- Export directory at `rva` (inside the image): { bytes, size }.
-- exports: { { name = nil or text, ordinal = nil or number, address = va } or { name =, forward = text } }.
local function export_directory(module, rva)
  local named, highest = {}, 0
  for _, export in ipairs(module.exports) do
    if export.ordinal then highest = math.max(highest, export.ordinal) end
    if export.name then named[#named + 1] = export end
  end
  table.sort(named, function(a, b) return a.name < b.name end)
  for _, export in ipairs(named) do
    if not export.ordinal then
      highest = highest + 1
      export.ordinal = highest
    end
  end
  local functions, lowest = {}, highest
  for _, export in ipairs(module.exports) do lowest = math.min(lowest, export.ordinal) end
  local count = highest - lowest + 1
  local functions_at = rva + 40
  local names_at = functions_at + 4 * count
  local ordinals_at = names_at + 4 * #named
  local text_at = ordinals_at + 2 * #named
  local texts = {}
  local function text(value)
    local at = text_at
    texts[#texts + 1] = value .. "\0"
    text_at = text_at + #value + 1
    return at
  end
  local name_at = text(module.export_name)
  local names, ordinals = {}, {}
  for _, export in ipairs(named) do
    names[#names + 1] = string.pack("<I4", text(export.name))
    ordinals[#ordinals + 1] = string.pack("<I2", export.ordinal - lowest)
  end
  for index = 1, count do functions[index] = "\0\0\0\0" end
  for _, export in ipairs(module.exports) do
    local target = export.forward and text(export.forward) or export.address - module.base
    functions[export.ordinal - lowest + 1] = string.pack("<I4", target)
  end
  local head = string.pack("<I4I4I2I2I4I4I4I4I4I4I4", 0, module.timestamp, 0, 0, name_at, lowest, count,
    #named,
    functions_at, #named > 0 and names_at or 0, #named > 0 and ordinals_at or 0)
  return head .. table.concat(functions) .. table.concat(names) .. table.concat(ordinals)
    .. table.concat(texts)
end

-- The RSDS CodeView record of a module.
local function codeview(module, random)
  local guid = string.pack("<I4I2I2I4I4", random(0, 0xffffffff), random(0, 0xffff), random(0, 0xffff),
    random(0, 0xffffffff), random(0, 0xffffffff))
  return "RSDS" .. guid .. string.pack("<I4", 2) .. module.pdb .. "\0"
end

local function section_header(name, rva, size, characteristics)
  return string.pack("<c8I4I4I4I4I4I4I2I2I4", name, size, rva, round(size, 0x200), rva, 0, 0, 0, 0,
    characteristics)
end

local function headers(abi, module, directories, sections)
  local wide = abi.pointer_size == 8
  local record = Record.new(PAGE)
  local nt, optional = 0xe0, 0xe0 + 24
  record:raw(0, "MZ"):set(0x3c, "I4", nt):raw(nt, "PE\0\0")
  record:set(nt + 4, "I2I2I4I4I4I2I2", abi.machine, #sections, module.timestamp, 0, 0, abi.optional_size,
    (module.program and 0x10e or 0x210e))
  record:set(optional, "I2BBI4", abi.optional_magic, 8, 0, module.text_size)
  record:set(optional + 16, "I4I4", module.entry and module.entry - module.base or PAGE, PAGE)
  record:set(optional + (wide and 24 or 28), abi.pointer, module.base)
  record:set(optional + 32, "I4I4I2I2I2I2I2I2I4I4I4I4I2I2", PAGE, 0x200, 5, 1, 5, 1, 4, 0, 0, module.size,
    0x400,
    module.checksum, module.program and 2 or 3, 0)
  local sizes = optional + 72
  for index, value in ipairs { 0x100000, 0x1000, 0x100000, 0x1000 } do
    record:set(sizes + (index - 1) * abi.pointer_size, abi.pointer, value)
  end
  local tables = sizes + 4 * abi.pointer_size
  record:set(tables, "I4I4", 0, 16)
  if directories.export then record:set(tables + 8, "I4I4", table.unpack(directories.export)) end
  record:set(tables + 8 + 6 * 8, "I4I4", table.unpack(directories.debug))
  for index, section in ipairs(sections) do
    record:raw(optional + abi.optional_size + 40 * (index - 1), section)
  end
  return record:bytes()
end

-- Reserves the module's range, commits its sections and prepares what will be written.
-- module: { name, path, base, size, text_size, data_rva, data_size, exports, timestamp, checksum,
-- version, pdb }. Layout: headers, .text, then .data at data_rva, and .rdata behind the later of the two.
-- Fills module.codeview, .text_from, .text_to, .vtables (addresses), .data (va).
function image.plan(abi, space, module, random)
  module.codeview = codeview(module, random)
  module.text_from, module.text_to = module.base + PAGE, module.base + PAGE + module.text_size
  local data_rva = module.data_rva or PAGE + module.text_size
  module.data = module.base + data_rva
  local rdata_rva = math.max(data_rva + module.data_size, PAGE + module.text_size)
  local parts, at = {}, rdata_rva
  local function add(bytes)
    local start = at
    parts[#parts + 1] = bytes .. string.rep("\0", -#bytes % 16)
    at = at + #parts[#parts]
    return start
  end
  module.vtables = {}
  local pointers = {}
  for _ = 1, VTABLES do
    module.vtables[#module.vtables + 1] = module.base + rdata_rva + #pointers * abi.pointer_size
    for slot = 1, SLOTS do
      local target = slot == SLOTS and 0 or module.text_from + random(0, module.text_size // 16 - 1) * 16
      pointers[#pointers + 1] = target
    end
  end
  local packed = {}
  for index, target in ipairs(pointers) do packed[index] = string.pack("<" .. abi.pointer, target) end
  add(table.concat(packed))
  local directories = {}
  if #module.exports > 0 then
    local bytes = export_directory(module, at)
    directories.export = { at, #bytes }
    add(bytes)
  end
  local record_rva = add(module.codeview)
  directories.debug = { at, 28 }
  add(string.pack("<I4I4I2I2I4I4I4I4", 0, module.timestamp, 0, 0, 2, #module.codeview, record_rva,
    record_rva))
  local rdata_size = round(at - rdata_rva, PAGE)
  local rest_rva = rdata_rva + rdata_size
  assert(rest_rva <= module.size, module.name .. ": sections run past the image")
  local sections = {
    section_header(".text", PAGE, module.text_size, SECTION_CODE),
    section_header(".data", data_rva, module.data_size, SECTION_WRITE),
    section_header(".rdata", rdata_rva, rdata_size, SECTION_READ),
  }
  if rest_rva < module.size then
    sections[#sections + 1] = section_header(".rsrc", rest_rva, module.size - rest_rva, SECTION_READ)
  end
  module.header_bytes = headers(abi, module, directories, sections)
  module.rdata_bytes, module.rdata = table.concat(parts), module.base + rdata_rva

  local base = module.base
  local allocation = space:allocate(base, module.size, Space.IMAGE, Space.EXECUTE_WRITECOPY)
  local function commit(from, to, protect, stored)
    if from < to then space.commit(allocation, base + from, base + to, protect, stored) end
  end
  commit(0, PAGE, Space.READONLY)
  commit(PAGE, PAGE + module.text_size, Space.EXECUTE_READ, false)
  commit(PAGE + module.text_size, data_rva, Space.READONLY, false)
  local stored = data_rva + (module.data_stored or 0)
  commit(data_rva, stored, Space.READWRITE)
  commit(stored, data_rva + module.data_size, Space.WRITECOPY, false)
  commit(data_rva + module.data_size, rdata_rva, Space.READONLY, false)
  commit(rdata_rva, rest_rva, Space.READONLY)
  commit(rest_rva, module.size, Space.READONLY, false)
end

-- Writes the prepared parts; data sections are written by whoever owns their contents.
function image.write(space, module)
  space:write(module.base, module.header_bytes)
  space:write(module.rdata, module.rdata_bytes)
end

return image
