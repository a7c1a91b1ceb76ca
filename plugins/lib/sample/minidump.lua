-- The minidump container: header, directory, streams and the list of memory ranges of a full user dump.
-- Formats: minidumpapiset.h (documented). The memory itself is written afterwards through the address
-- space.

local Record = require "sample.record"

local minidump = {}

-- Stream types and header flags (documented, MINIDUMP_STREAM_TYPE and MINIDUMP_TYPE).
local THREAD_LIST, MODULE_LIST, SYSTEM_INFO, MEMORY64_LIST = 3, 4, 7, 9
local COMMENT_A, UNLOADED_MODULE_LIST, MISC_INFO, MEMORY_INFO_LIST = 10, 14, 15, 16
local WITH_FULL_MEMORY, WITH_UNLOADED_MODULES, WITH_FULL_MEMORY_INFO = 0x2, 0x20, 0x800
local VERSION = 0xa793

-- A growing file head: `place` appends bytes and returns their file offset.
local Head = {}
Head.__index = Head

function Head:place(bytes)
  local at = self.size
  local padded = bytes .. string.rep("\0", -#bytes % 8)
  self.parts[#self.parts + 1] = padded
  self.size = at + #padded
  return at
end

-- A MINIDUMP_STRING: byte length, UTF-16, terminator.
function Head:string(text)
  local wide = Record.utf16(text)
  return self:place(string.pack("<I4", #wide) .. wide .. "\0\0")
end

local function system_info(head, abi, system)
  local record = Record.new(56)
  record:set(0, "I2I2I2BB", abi.processor, 6, 0x0f06, 2, system.product)
  record:set(8, "I4I4I4I4", system.major, system.minor, system.build, 2)
  record:set(24, "I4", head:string(system.service_pack))
  if abi.pointer_size == 4 then
    record:raw(32, "GenuineIntel"):set(44, "I4I4", 0x6f6, 0xbfebfbff)
  else
    record:set(32, "I8", 0x3fff)
  end
  return record:bytes()
end

-- VS_FIXEDFILEINFO from { a, b, c, d }.
local function fixed_file_info(version)
  local high, low = version[1] << 16 | version[2], version[3] << 16 | version[4]
  return string.pack("<I4I4I4I4I4I4I4I4I4I4I4I4I4", 0xfeef04bd, 0x10000, high, low, high, low, 0x3f, 0,
    0x40004,
    2, 0, 0, 0)
end

local function module_list(head, modules)
  local out = { string.pack("<I4", #modules) }
  for _, module in ipairs(modules) do
    local name = head:string(module.path)
    local codeview = head:place(module.codeview)
    out[#out + 1] = string.pack("<I8I4I4I4I4", module.base, module.size, module.checksum, module.timestamp,
      name)
      .. fixed_file_info(module.version)
      .. string.pack("<I4I4I4I4I8I8", #module.codeview, codeview, 0, 0, 0, 0)
  end
  return table.concat(out)
end

local function unloaded_list(head, modules)
  local out = { string.pack("<I4I4I4", 12, 24, #modules) }
  for _, module in ipairs(modules) do
    out[#out + 1] = string.pack("<I8I4I4I4I4", module.base, module.size, 0, module.timestamp,
      head:string(module.path))
  end
  return table.concat(out)
end

-- Thread records; the stack's place in the file is not known yet and is patched by `finish`.
local function thread_list(head, threads)
  local out = { string.pack("<I4", #threads) }
  for _, thread in ipairs(threads) do
    out[#out + 1] = string.pack("<I4I4I4I4I8I8I4I4I4I4", thread.id, 0, 0x20, 0, thread.teb, thread.sp,
      thread.stack_base - thread.sp, 0, #thread.context, head:place(thread.context))
  end
  return table.concat(out)
end

local function memory_info_list(infos)
  local out = { string.pack("<I4I4I8", 16, 48, #infos) }
  for _, info in ipairs(infos) do
    out[#out + 1] = string.pack("<I8I8I4I4I8I4I4I4I4", info.base, info.allocation_base,
      info.allocation_protect,
      0, info.size, info.state, info.protect, info.kind, 0)
  end
  return table.concat(out)
end

local function misc_info(misc)
  return string.pack("<I4I4I4I4I4I4", 24, 3, misc.pid, misc.created, misc.user_time, misc.kernel_time)
end

-- Writes everything before the memory and binds the space to the file.
-- process: { abi, system, modules, unloaded, threads, misc, comment, time }.
function minidump.begin(file, process, space)
  local streams = {}
  local count = 8
  local head = setmetatable({ parts = {}, size = 32 + 12 * count }, Head)
  local function stream(kind, bytes)
    streams[#streams + 1] = string.pack("<I4I4I4", kind, #bytes, head:place(bytes))
  end
  stream(SYSTEM_INFO, system_info(head, process.abi, process.system))
  stream(MODULE_LIST, module_list(head, process.modules))
  stream(UNLOADED_MODULE_LIST, unloaded_list(head, process.unloaded))
  local threads = thread_list(head, process.threads)
  local threads_at = head.size
  stream(THREAD_LIST, threads)
  stream(MEMORY_INFO_LIST, memory_info_list(space.infos))
  stream(MISC_INFO, misc_info(process.misc))
  stream(COMMENT_A, process.comment .. "\0")
  local size = 16 + 16 * #space.ranges
  local memory = (head.size + size + 0xfff) // 0x1000 * 0x1000
  local ranges = { string.pack("<I8I8", #space.ranges, memory) }
  for _, range in ipairs(space.ranges) do
    ranges[#ranges + 1] = string.pack("<I8I8", range.base, range.size)
  end
  stream(MEMORY64_LIST, table.concat(ranges))
  assert(#streams == count)

  local finish = space:bind(file, memory)
  local flags = WITH_FULL_MEMORY | WITH_UNLOADED_MODULES | WITH_FULL_MEMORY_INFO
  file:write("MDMP", string.pack("<I4I4I4I4I4I8", VERSION, count, 32, 0, process.time, flags))
  file:write(table.concat(streams), table.concat(head.parts))
  for index, thread in ipairs(process.threads) do
    file:seek(threads_at + 4 + 48 * (index - 1) + 36)
    file:write(string.pack("<I4", space:offset_of(thread.sp)))
  end
  file:seek(finish - 1)
  file:write("\0")
  return finish
end

return minidump
