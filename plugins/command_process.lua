-- command_process: !address, !peb, !teb.

local text = require "text"
local regions = require "regions"

local STATES <const> = { [0x1000] = "MEM_COMMIT", [0x2000] = "MEM_RESERVE", [0x10000] = "MEM_FREE" }
local TYPES <const> = { [0x20000] = "MEM_PRIVATE", [0x40000] = "MEM_MAPPED", [0x1000000] = "MEM_IMAGE" }

-- PAGE_ constants of winnt.h (documented).
local PROTECTIONS <const> = {
    { 0x01, "PAGE_NOACCESS" }, { 0x02, "PAGE_READONLY" }, { 0x04, "PAGE_READWRITE" }, { 0x08, "PAGE_WRITECOPY" },
    { 0x10, "PAGE_EXECUTE" }, { 0x20, "PAGE_EXECUTE_READ" }, { 0x40, "PAGE_EXECUTE_READWRITE" },
    { 0x80, "PAGE_EXECUTE_WRITECOPY" }, { 0x100, "PAGE_GUARD" }, { 0x200, "PAGE_NOCACHE" },
    { 0x400, "PAGE_WRITECOMBINE" },
}

-- "00000104 PAGE_READWRITE | PAGE_GUARD"; nil if it is not told.
local function protection(value)
    if value == 0 then return nil end
    local names = {}
    for _, one in ipairs(PROTECTIONS) do
        if value & one[1] ~= 0 then names[#names + 1] = one[2] end
    end
    return (("%08x %s"):format(value, table.concat(names, " | ")):gsub(" $", ""))
end

local function facts(call, rows)
    if not call.json then return text.facts(rows, "    ") end
    local data = {}
    for _, row in ipairs(rows) do
        if row[2] then data[row[3]] = row[2] end
    end
    return data
end

local function address(dump, call)
    if call.text == "" or call.text:lower() == "-summary" then return call:script("info", {}) end
    local va = call:value()
    if va < 0 then call:fail("missing", "the dump knows no memory at %x", va) end
    local region = regions.at(dump, va)
    if not region then call:fail("missing", "%s", regions.describe(dump, va)) end
    local block = dump:block(va)
    local usage = block and ("heap %x, block %x (%s)"):format(block.heap.address, block.address, block.state)
        or regions.describe(dump, va):gsub("^it lies in ", "")
    return facts(call, {
        { "Base Address:", text.address(dump, region.address), "base" },
        { "End Address:", text.address(dump, region.address + region.size), "end_address" },
        { "Region Size:", ("%x (%s)"):format(region.size, text.size(region.size)), "size" },
        { "State:", STATES[region.state] or ("%x"):format(region.state), "state" },
        { "Protect:", protection(region.protect), "protect" },
        { "Type:", TYPES[region.type] or nil, "type" },
        { "Allocation Base:", region.allocation ~= 0 and text.address(dump, region.allocation) or nil, "allocation" },
        { "Usage:", usage, "usage" },
    })
end

local function peb(dump, call)
    local info = dump:info()
    if not info.peb or info.peb == 0 then call:fail("missing", "the PEB was not found in the dump") end
    if not call.json then text.say("PEB at %s", text.address(dump, info.peb)) end
    return facts(call, {
        { "NtGlobalFlag:", info.global_flag and ("%x"):format(info.global_flag), "global_flag" },
        { "ProcessHeaps:", ("%d"):format(info.heap_count), "heap_count" },
        { "ImageFile:", info.image_path, "image_path" },
        { "CommandLine:", info.command_line, "command_line" },
        { "Modules:", ("%d"):format(info.module_count), "module_count" },
    })
end

local function teb(dump, call)
    local wanted = call.text ~= "" and call:value() or nil
    local thread
    for each in dump:threads() do
        if each.teb == wanted then thread = each end
    end
    thread = not wanted and require "expression".thread_of(dump, call.session) or thread
    if not thread then call:fail("missing", "no thread has its TEB at %x", wanted or 0) end
    if not call.json then text.say("TEB at %s", text.address(dump, thread.teb)) end
    return facts(call, {
        { "StackBase:", text.address(dump, thread.stack_base), "stack_base" },
        { "StackLimit:", text.address(dump, thread.stack_limit), "stack_limit" },
        { "ClientId:", ("%x . %x"):format(dump:info().process_id or 0, thread.id), "client_id" },
        { "PEB Address:", dump:info().peb and text.address(dump, dump:info().peb), "peb" },
    })
end

local RUN <const> = { ["!address"] = address, ["!peb"] = peb, ["!teb"] = teb }

return {
    name = "command_process", kind = "command", words = { "!address", "!peb", "!teb" },
    summary = "what an address is; the process; a thread",
    usage = [[
!address -summary      what memory is used for, as the script `info`
+ !address             the same, not a list of all regions
!address 0372e598      the region that holds an address, and what it is
+                      also the heap and the block that hold it
!peb
!teb [ADDRESS]         of the current thread]],
    run = function(dump, call)
        if call.word == "!peb" and call.text ~= "" then
            call:fail("usage", "at position %d: !peb takes nothing", call.at)
        end
        return RUN[call.word](dump, call)
    end,
}
