-- What a process has beside heaps: PEB, loader list, parameters, threads with TEBs, contexts and stacks.

local Record = require "sample.record"
local Space = require "sample.space"

local process = {}

local PAGE = 0x1000
local STACK_RESERVE, MAIN_RESERVE = 0x40000, 0x100000
local THREADS = {                                  -- committed stack and what runs there
  { commit = 0x6000, stack = "main" }, { commit = 0x4000, stack = "holder" }, { commit = 0x3000,
    stack = "rpc" },
  { commit = 0x3000, stack = "worker" }, { commit = 0x2000, stack = "worker" } }

-- Reserves the small structures and the stacks. case: outlook or service. Returns the process plan.
function process.plan(abi, case, space, small)
  local plan = { abi = abi, case = case, threads = {} }
  local function block(base, size, kind)
    local allocation = space:allocate(base, 0x10000, kind or Space.PRIVATE, Space.READWRITE)
    space.commit(allocation, base, base + size, Space.READWRITE)
    return base
  end
  plan.environment = block(0x10000, PAGE)
  plan.parameters = block(0x20000, PAGE)
  plan.loader = block(0x150000, 3 * PAGE)
  local shared = space:allocate(0x7ffe0000, 0x10000, Space.PRIVATE, Space.READONLY)
  space.commit(shared, 0x7ffe0000, 0x7ffe1000, Space.READONLY)
  plan.peb = case.peb
  space.commit(space:allocate(case.peb, PAGE, Space.PRIVATE, Space.READWRITE), case.peb, case.peb + PAGE,
    Space.READWRITE)
  local code_page = space:allocate(0x7f6f0000, 0x100000, Space.MAPPED, Space.READONLY)
  space.commit(code_page, 0x7f6f0000, 0x7f6f7000, Space.READONLY, false)
  local teb_size = (abi.teb.size + PAGE - 1) // PAGE * PAGE
  for index, thread in ipairs(THREADS) do
    local reserve = index == 1 and MAIN_RESERVE or STACK_RESERVE
    local base = index == 1 and 0x40000 or space:find(reserve, 0x2000000)
    local allocation = space:allocate(base, reserve, Space.PRIVATE, Space.READWRITE)
    local commit = small and 0x2000 or thread.commit
    local top = base + reserve
    space.commit(allocation, top - commit - PAGE, top - commit, Space.READWRITE | Space.GUARD, false)
    space.commit(allocation, top - commit, top, Space.READWRITE)
    local teb = case.first_teb - (index - 1) * teb_size
    space.commit(space:allocate(teb, teb_size, Space.PRIVATE, Space.READWRITE), teb, teb + teb_size,
      Space.READWRITE)
    plan.threads[index] = { id = case.process_id + 4 * index, teb = teb, stack_base = top,
      stack_limit = top - commit,
      sp = top - commit // 2, kind = thread.stack }
  end
  return plan
end

-- Return addresses a thread's stack shows, innermost first.
local function return_addresses(plan, kind, composer)
  local named = composer.named
  local shown = named[kind == "holder" and "row" or kind]
  if shown then                                    -- the stack it would allocate with, less the allocator
    return table.move(shown.frames, plan.case.first_caller, #shown.frames, 1, {})
  end
  local module = plan.by_name[kind == "main" and "user32" or "rpcrt4"] or plan.by_name.kernel32
  local frames = {}
  for index = 1, 6 do frames[index] = module.text_from + 0x8000 + 0x1234 * index end
  frames[#frames + 1] = composer.source.outermost[1][#composer.source.outermost[1]]
  return frames
end

-- Contexts, once module addresses are known.
function process.contexts(plan, by_name, composer)
  local abi = plan.abi
  plan.by_name = by_name
  for _, thread in ipairs(plan.threads) do
    thread.frames = return_addresses(plan, thread.kind, composer)
    local fields = abi.context
    local record = Record.new(fields.size)
    record:set(fields.flags, "I4", fields.flags_value)
    for index = 1, #fields.segments, 2 do
      record:set(fields.segments[index], fields.segment_format, fields.segments[index + 1])
    end
    local wait = by_name.ntdll.text_from + 0xd514
    for index, offset in ipairs(fields.general) do record:set(offset, abi.pointer, index * 0x11) end
    record:set(fields.ip, abi.pointer, wait):set(fields.sp, abi.pointer, thread.sp)
      :set(fields.bp, abi.pointer, thread.sp + 4 * abi.pointer_size):set(fields.eflags, "I4", 0x246)
    thread.context = record:bytes()
  end
end

-- Stacks: a chain of frames above the stack pointer; the holder's has the pointer to the row set in a
-- local.
local function write_stacks(plan, space, row_set)
  local abi = plan.abi
  local width, format = abi.pointer_size, "<" .. abi.pointer
  for _, thread in ipairs(plan.threads) do
    local words = { thread.frames[1], 0, 0xffff, 2 }
    for index, frame in ipairs(thread.frames) do
      local next_frame = thread.sp + (#words + 6) * width
      words[#words + 1] = index < #thread.frames and next_frame or 0
      words[#words + 1] = frame
      words[#words + 1] = index
      words[#words + 1] = thread.kind == "holder" and index == 3 and row_set or 0
      words[#words + 1] = thread.teb
      words[#words + 1] = plan.peb
    end
    local bytes = {}
    for index, word in ipairs(words) do bytes[index] = string.pack(format, word) end
    space:write(thread.sp, table.concat(bytes))
    local teb = Record.new(abi.teb.size)
    teb:set(0, abi.pointer, thread.stack_base - 4 * width):set(abi.teb.stack_base, abi.pointer,
      thread.stack_base)
    teb:set(abi.teb.stack_limit, abi.pointer, thread.stack_limit):set(abi.teb.self, abi.pointer, thread.teb)
    teb:set(abi.teb.client, abi.pointer .. abi.pointer, plan.case.process_id, thread.id)
    teb:set(abi.teb.peb, abi.pointer, plan.peb)
    space:write(thread.teb, teb:bytes())
  end
end

-- A pool of UNICODE_STRINGs at an address.
local function string_pool(abi, base, limit)
  local pool = { base = base, at = base, parts = {} }
  function pool:add(text)
    local wide = Record.utf16(text)
    local at = self.at
    local padded = wide .. string.rep("\0", 2 + -(#wide + 2) % 8)
    self.parts[#self.parts + 1] = padded
    self.at = at + #padded
    assert(self.at <= limit)
    return string.pack("<I2I2" .. abi.pad .. abi.pointer, #wide, #wide + 2, at)
  end
  return pool
end

local function write_loader(plan, space, modules)
  local abi, fields, base = plan.abi, plan.abi.ldr_entry, plan.loader
  local first = base + 0x80
  local pool = string_pool(abi, base + 0x1400, base + 0x3000)
  local head = Record.new(abi.ldr.size)
  head:set(0, "I4I4", abi.ldr.size, 1)
  for name, offset in pairs { load = abi.ldr.load, memory = abi.ldr.memory, init = abi.ldr.init } do
    local list = {}
    for index in ipairs(modules) do
      -- the program itself is not initialised, so it is not in the third list
      if not (name == "init" and index == 1) then
        list[#list + 1] = first + (index - 1) * fields.size + fields[name]
      end
    end
    local links = { [0] = base + offset, table.unpack(list) }
    links[#list + 1] = base + offset
    head:set(offset, abi.pointer .. abi.pointer, links[1], links[#list])
    for index = 1, #list do
      local module = modules[name == "init" and index + 1 or index]
      module.links = module.links or {}
      module.links[name] = { links[index + 1], links[index - 1] }
    end
  end
  space:write(base, head:bytes())
  for index, module in ipairs(modules) do
    local entry = Record.new(fields.size)
    for name, pair in pairs(module.links) do entry:set(fields[name], abi.pointer .. abi.pointer, pair[1],
      pair[2]) end
    entry:set(fields.base, abi.pointer, module.base):set(fields.entry, abi.pointer, module.entry or 0)
    entry:set(fields.image_size, "I4", module.size):set(fields.flags, "I4", index == 1 and 0x4000 or 0x84004)
    entry:raw(fields.full_name, pool:add(module.path)):raw(fields.base_name, pool:add(module.export_name))
    entry:set(fields.time, "I4", module.timestamp)
    space:write(first + (index - 1) * fields.size, entry:bytes())
  end
  space:write(pool.base, table.concat(pool.parts))
end

local function write_parameters(plan, space, modules)
  local abi, fields, base = plan.abi, plan.abi.parameters, plan.parameters
  local pool = string_pool(abi, base + fields.size, base + PAGE)
  local record = Record.new(fields.size)
  record:set(0, "I4I4I4", PAGE, PAGE, 1)
  record:raw(fields.directory, pool:add("C:\\WINDOWS\\system32\\")):raw(fields.dll_path,
    pool:add("C:\\WINDOWS\\system32;."))
  record:raw(fields.image, pool:add(modules[1].path)):raw(fields.command, pool:add(plan.case.command_line))
  record:set(fields.environment, abi.pointer, plan.environment)
  space:write(base, record:bytes())
  space:write(pool.base, table.concat(pool.parts))
  space:write(plan.environment, Record.utf16("COMPUTERNAME=CLIENT01\0OS=Windows_NT\0\0"))
end

-- Writes everything. facts: { modules, heaps = addresses, heap_array = va, global_flag, row_set }.
function process.write(plan, space, facts)
  local abi, fields, system = plan.abi, plan.abi.peb, plan.case.system
  local peb = Record.new(fields.size)
  local function put(offset, value) peb:set(offset, abi.pointer, value) end
  put(fields.image, facts.modules[1].base)
  put(fields.ldr, plan.loader)
  put(fields.parameters, plan.parameters)
  put(fields.process_heap, facts.heaps[1])
  peb:set(fields.processors, "I4", 2):set(fields.global_flag, "I4", facts.global_flag)
  put(fields.segment_reserve, 0x100000)
  put(fields.segment_commit, 0x2000)
  put(fields.decommit_total, 0x10000)
  put(fields.decommit_block, 0x1000)
  peb:set(fields.heaps_n, "I4I4", #facts.heaps, 64)
  put(fields.heaps, facts.heap_array)
  peb:set(fields.os, "I4I4I2I2I4", system.major, system.minor, system.build, 0x300, 2)
  space:write(plan.peb, peb:bytes())
  local array = {}
  for index, address in ipairs(facts.heaps) do array[index] = string.pack("<" .. abi.pointer, address) end
  space:write(facts.heap_array, table.concat(array))
  write_loader(plan, space, facts.modules)
  write_parameters(plan, space, facts.modules)
  write_stacks(plan, space, facts.row_set)
end

return process
