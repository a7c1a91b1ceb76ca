-- A fixed-size binary structure filled field by field, in any order.
-- Why: the Windows structures a dump needs are sparse (a _HEAP has 1416 bytes of which some fifty fields
-- matter); naming the offset beside each value keeps a writer readable and independent of field order.

local Record = {}
Record.__index = Record

-- A structure of `size` zero bytes.
function Record.new(size)
  return setmetatable({ size = size, parts = {} }, Record)
end

-- Puts values at `offset`; `format` is a string.pack format without the byte order (always little endian).
function Record:set(offset, format, ...)
  return self:raw(offset, string.pack("<" .. format, ...))
end

-- Puts bytes at `offset`.
function Record:raw(offset, bytes)
  assert(offset >= 0 and offset + #bytes <= self.size, "field outside its structure")
  self.parts[#self.parts + 1] = { offset = offset, bytes = bytes }
  return self
end

-- The whole structure; two fields that overlap are a mistake of the caller.
function Record:bytes()
  table.sort(self.parts, function(a, b) return a.offset < b.offset end)
  local out, at = {}, 0
  for _, part in ipairs(self.parts) do
    assert(part.offset >= at, "two fields of a structure overlap")
    out[#out + 1] = string.rep("\0", part.offset - at)
    out[#out + 1] = part.bytes
    at = part.offset + #part.bytes
  end
  out[#out + 1] = string.rep("\0", self.size - at)
  return table.concat(out)
end

-- ASCII text as UTF-16LE, without a terminator.
function Record.utf16(text)
  return (text:gsub(".", "%0\0"))
end

return Record
