-- Real PE files in the place of made-up modules: what a loader would map, read from the bytes of the file.
-- Why: names from a PDB need an image whose RSDS record is that of the PDB. Format: PE/COFF specification (documented).
-- A file must be linked at the base of the module that it stands for: nothing is relocated.

local Space = require "sample.space"

local portable = {}

local PAGE = 0x1000
local EXECUTE, WRITE = 0x20000000, 0x80000000
local CODEVIEW = 2

local function round(value, unit) return (value + unit - 1) // unit * unit end

-- Sections of the file: { rva, size (bytes in memory), bytes (from the file), characteristics }.
local function sections_of(file, at, count)
  local sections = {}
  for index = 1, count do
    local name, size, rva, stored, from, characteristics =
      string.unpack("<c8I4I4I4I4xxxxxxxxxxxxI4", file, at + 40 * (index - 1))
    size = size > 0 and size or stored
    sections[index] = { name = name:gsub("\0.*", ""), rva = rva, size = size, characteristics = characteristics,
      bytes = file:sub(from + 1, from + math.min(stored, size)) }
  end
  return sections
end

-- The bytes at an RVA, as far as its section has them in the file.
local function bytes_at(sections, rva, size)
  for _, section in ipairs(sections) do
    if rva >= section.rva and rva < section.rva + section.size then
      return section.bytes:sub(rva - section.rva + 1, rva - section.rva + size)
    end
  end
  return ""
end

local function codeview_of(sections, rva, size)
  for at = 0, size - 28, 28 do
    local entry = bytes_at(sections, rva + at, 28)
    if #entry == 28 then
      local kind, length, where = string.unpack("<I4I4I4", entry, 13)
      if kind == CODEVIEW then return bytes_at(sections, where, length) end
    end
  end
  return nil
end

local function export_count(sections, rva)
  local head = bytes_at(sections, rva, 40)
  if rva == 0 or #head < 40 then return 0 end
  local count, functions = string.unpack("<I4xxxxI4", head, 21)
  local used = 0
  for word in bytes_at(sections, functions, 4 * count):gmatch("....") do
    if word ~= "\0\0\0\0" then used = used + 1 end
  end
  return used
end

-- Addresses in sections that cannot be written from which at least two pointers in a row lead into code.
local function tables_of(abi, image)
  local tables, width = {}, abi.pointer_size
  for _, section in ipairs(image.sections) do
    if section.characteristics & (WRITE | EXECUTE) == 0 then
      local run = 0
      for at = 1, #section.bytes - width + 1, width do
        local target = string.unpack("<" .. abi.pointer, section.bytes, at)
        run = target >= image.text_from and target < image.text_to and run + 1 or 0
        if run == 2 then tables[#tables + 1] = image.base + section.rva + at - 1 - width end
      end
    end
  end
  return tables
end

-- What the file says, or nil and what is wrong with it as an image for `module`.
local function parse(abi, module, file)
  if #file < 0x40 or file:sub(1, 2) ~= "MZ" then return nil, "is no PE file" end
  local nt = string.unpack("<I4", file, 0x3d) + 1
  if nt + 24 + abi.optional_size > #file or file:sub(nt, nt + 3) ~= "PE\0\0" then return nil, "is no PE file" end
  local machine, count, timestamp, _, _, optional_size = string.unpack("<I2I2I4I4I4I2", file, nt + 4)
  if machine ~= abi.machine then
    return nil, string.format("is for machine %04x, expected %04x (%s)", machine, abi.machine, abi.name)
  end
  local optional = nt + 24
  local base = string.unpack("<" .. abi.pointer, file, optional + (abi.pointer_size == 8 and 24 or 28))
  if base ~= module.base then
    return nil, string.format("is linked at %x, expected %x (lld-link /base:0x%x)", base, module.base, module.base)
  end
  local size, header_size, checksum = string.unpack("<I4I4I4", file, optional + 56)
  local tables = optional + 72 + 4 * abi.pointer_size + 8
  local image = { base = base, size = size, timestamp = timestamp, checksum = checksum,
    header = file:sub(1, math.min(header_size, PAGE)), sections = sections_of(file, optional + optional_size, count) }
  for _, section in ipairs(image.sections) do
    if section.rva + section.size > size then return nil, "has a section past its end" end
    if section.characteristics & EXECUTE ~= 0 and not image.text_from then
      image.text_from, image.text_to = base + section.rva, base + section.rva + section.size
    end
    if section.characteristics & WRITE ~= 0 then image.data = image.data or section end
  end
  if not image.text_from then return nil, "has no code" end
  image.exports = export_count(image.sections, (string.unpack("<I4", file, tables)))
  image.codeview = codeview_of(image.sections, string.unpack("<I4I4", file, tables + 6 * 8))
  image.vtables = tables_of(abi, image)
  return image
end

-- Puts the file in the module's place: reserves its range and fills what image.plan fills. `data_at`: where its
-- writable data must lie, if that matters. False and what is wrong with the file.
function portable.plan(abi, space, module, file, data_at)
  local image, wrong = parse(abi, module, file)
  if not image then return false, wrong end
  if image.size > module.size then
    return false, string.format("takes 0x%x bytes in memory, expected at most 0x%x", image.size, module.size)
  end
  if data_at and not (image.data and image.base + image.data.rva == data_at) then
    return false, string.format("has its data elsewhere, expected at %x, for the trace database's pointer", data_at)
  end
  for _, field in ipairs { "size", "timestamp", "checksum", "text_from", "text_to" } do
    module[field] = image[field]
  end
  module.export_count, module.codeview = image.exports, image.codeview or ""
  module.data = image.data and image.base + image.data.rva
  -- Without tables code stands in: what is made for objects then is none.
  module.vtables = #image.vtables > 0 and image.vtables or { module.text_from }
  module.image = image
  local allocation = space:allocate(module.base, image.size, Space.IMAGE, Space.EXECUTE_WRITECOPY)
  space.commit(allocation, module.base, module.base + PAGE, Space.READONLY)
  for _, section in ipairs(image.sections) do
    local protect = section.characteristics & EXECUTE ~= 0 and Space.EXECUTE_READ
      or section.characteristics & WRITE ~= 0 and Space.READWRITE or Space.READONLY
    local from = module.base + section.rva
    space.commit(allocation, from, from + round(section.size, PAGE), protect)
  end
  return true
end

-- Writes what the file has; data that the process changed is written over it afterwards.
function portable.write(space, module)
  space:write(module.base, module.image.header)
  for _, section in ipairs(module.image.sections) do
    if #section.bytes > 0 then space:write(module.base + section.rva, section.bytes) end
  end
end

return portable
