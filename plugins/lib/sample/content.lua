-- What blocks hold: text, BSTRs, C++ objects with real virtual method tables, binary data, arrays of
-- pointers. Everything is cut from a few long master texts, so a block costs one string operation. None
-- of it looks like an address of a heap block by accident: text has no character below '%' that could be
-- a top byte, binary words have their top bit set. A leaked block must really be without references.

local Content = {}
Content.__index = Content

local MASTER = 1 << 16
local RING = 32                     -- recently made blocks that new ones may point to
local WORDS = { "calendar", "meeting", "request", "status", "report", "quarter", "travel", "expense",
  "approval",
  "workflow", "contact", "employee", "manager", "budget", "leave", "project", "customer", "delivery",
    "invoice",
  "planning", "review", "inbox", "folder", "message", "update", "Re:", "FW:", "IPM.Note", "IPM.Appointment",
  "/o=Contoso/ou=First-Administrative-Group/cn=Recipients/cn=", "SMTP:user@contoso.example", "duet",
    "2008-06-16" }

-- Content kinds by allocator family, by weight.
local KINDS = {
  malloc = { "object", "object", "object", "blob", "ascii", "pointers", "zero" },
  bstr = { "bstr" }, rpc = { "wide", "blob" }, cotask = { "wide", "wide", "blob" },
  localalloc = { "wide", "ascii", "blob" }, office = { "blob", "wide", "object", "zero" },
  buffer = { "mapi_buffer" }, more = { "mapi_more" },
}
local FAMILIES = { "malloc", "malloc", "bstr", "office", "cotask", "localalloc", "rpc", "malloc" }
local MAPI_FAMILIES = { "more", "more", "more", "buffer", "malloc", "more" }
-- invented: the case shows the first word of MAPIAllocateBuffer's blocks only
Content.MAPI_MORE_FLAGS = 0x20000001

function Content.new(abi, traces, random)
  local text, size = {}, 0
  while size < MASTER do
    local word = WORDS[random(#WORDS)] .. (random(3) == 1 and "-" .. random(100, 9999) or "")
    text[#text + 1] = word .. "_"
    size = size + #word + 1
  end
  local ascii = table.concat(text):sub(1, MASTER)
  local binary = {}
  for index = 1, MASTER // 4 do binary[index] = string.pack("<I4", 0x80000000 | random(0, 0x7fffffff)) end
  return setmetatable({ abi = abi, traces = traces, random = random, ascii_text = ascii,
    wide_text = ascii:gsub(".", "%0\0"), binary = table.concat(binary), zeros = string.rep("\0", MASTER),
    recent = {}, recent_at = 0, pointer = "<" .. abi.pointer }, Content)
end

-- `size` bytes of text with its terminator.
function Content:ascii(size)
  if size <= 1 then return self.zeros:sub(1, size) end
  local at = self.random(1, MASTER - size)
  return self.ascii_text:sub(at, at + size - 2) .. "\0"
end

-- `size` bytes of UTF-16 text with its terminator; an odd last byte is 0.
function Content:wide(size)
  local length = size // 2 - 1
  if length < 1 then return self.zeros:sub(1, size) end
  local at = 2 * self.random(0, MASTER - length) + 1
  return self.wide_text:sub(at, at + 2 * length - 1) .. (size % 2 == 0 and "\0\0" or "\0\0\0")
end

-- `size` bytes of binary data; starts at a multiple of four in the block.
function Content:blob(size)
  local at = 4 * self.random(0, (MASTER - size) // 4 - 1)
  return self.binary:sub(at + 1, at + size)
end

function Content:zero(size) return self.zeros:sub(1, size) end

function Content:bstr(size)
  local width = self.abi.pointer_size           -- the length is the 4 bytes before the text
  if size < width + 4 then return self:zero(size) end
  local text = self:wide(size - width)
  return string.pack("<I4", (size - width) // 2 * 2 - 2):rep(width // 4) .. text
end

-- A block made a short while ago in the same heap, or 0.
local function neighbour(self)
  return self.recent[self.random(RING)] or 0
end

function Content:pointers(size)
  local width = self.abi.pointer_size
  if size < width then return self:zero(size) end
  local out = {}
  for index = 1, math.min(size // width, 24) do out[index] = string.pack(self.pointer, neighbour(self)) end
  local bytes = table.concat(out)
  return bytes .. self.zeros:sub(1, size - #bytes)
end

-- A C++ object of the module that called the allocator: vtable, reference count, a pointer, fields.
function Content:object(size, trace)
  local width = self.abi.pointer_size
  local module = self.traces and self.traces.module[trace]
  if size < 3 * width or not module then return self:blob(size), "buffer" end
  local vtable = module.vtables[self.random(#module.vtables)]
  local head = string.pack(self.pointer, vtable) .. string.pack(self.pointer, self.random(1, 4))
    .. string.pack(self.pointer, neighbour(self))
  return head .. self:blob(size - #head), "object"
end

-- A buffer of MAPIAllocateMore: flags, link (0: last), then a string or a binary value.
function Content:mapi_more(size)
  local mapi = self.abi.mapi
  local head = string.pack(mapi.header, Content.MAPI_MORE_FLAGS, 0)
  if size < #head then return self:zero(size) end
  local kind = self.random(3)
  local rest = size - #head
  return head .. (kind == 1 and self:ascii(rest) or kind == 2 and self:wide(rest) or self:blob(rest))
end

-- A buffer of MAPIAllocateBuffer that is not a row: flags, link, binary data.
function Content:mapi_buffer(size)
  local head = string.pack(self.abi.mapi.header, 0x10000001, 0)
  if size < #head then return self:zero(size) end
  return head .. self:blob(size - #head)
end

local LABELS = { ascii = "string.ascii", wide = "string.utf16", bstr = "bstr", blob = "buffer", zero = "zero",
  pointers = "pointers", mapi_more = "mapi.more", mapi_buffer = "mapi.buffer" }

-- Puts one ordinary live block of `size` into the heap; family: allocator, or nil for any of a common
-- process. Returns its user address, or nil when the heap is full.
function Content:put(heap, size, family)
  local random = self.random
  family = family or FAMILIES[random(#FAMILIES)]
  local trace = self.traces and self.traces:pick(family) or 0
  local kinds = KINDS[family]
  local kind = kinds[random(#kinds)]
  local bytes, label = self[kind](self, size, trace)
  local settable, tag
  if random(97) == 1 then
    settable, tag = 0x20 << random(0, 2), random(1, 0x7ff)
  end
  local user = heap:block(size, bytes, trace, label or LABELS[kind], "live", settable, tag)
  if user then
    local at = self.recent_at % RING + 1
    self.recent[at], self.recent_at = user, at
  end
  return user
end

-- The same in a heap of MAPI buffers.
function Content:put_mapi(heap, size)
  return self:put(heap, size, MAPI_FAMILIES[self.random(#MAPI_FAMILIES)])
end

-- `size` bytes for a large block.
function Content:large(size)
  return self.binary:rep(size // MASTER) .. self:blob(size % MASTER)
end

-- Forgets recent blocks: pointers stay inside one heap.
function Content:forget()
  self.recent, self.recent_at = {}, 0
end

return Content
