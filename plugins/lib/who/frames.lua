-- frames.lua: what a call stack says: who called, through which allocator, and what frees what that allocator gives.

local text = require "text"

local frames = {}

-- Allocator by the name of its function (without what a compiler adds) -> what frees its memory.
local FREES <const> = {
    MAPIAllocateBuffer = "MAPIFreeBuffer", MAPIAllocateMore = "MAPIFreeBuffer on the buffer it is linked to",
    malloc = "free", calloc = "free", realloc = "free", strdup = "free", _strdup = "free", wcsdup = "free",
    _wcsdup = "free", _aligned_malloc = "_aligned_free", ["operator new"] = "delete",
    ["operator new[]"] = "delete[]", SysAllocString = "SysFreeString", SysAllocStringLen = "SysFreeString",
    SysAllocStringByteLen = "SysFreeString", CoTaskMemAlloc = "CoTaskMemFree", CoTaskMemRealloc = "CoTaskMemFree",
    LocalAlloc = "LocalFree", GlobalAlloc = "GlobalFree", HeapAlloc = "HeapFree", VirtualAlloc = "VirtualFree",
}

-- "OLMAPI32!MAPIAllocateBuffer" of the innermost frame outside ntdll that has a name, and its function; nil if none
-- has. Frames from `caller` on are not looked at.
function frames.allocator(dump, trace, caller)
    for _, va in ipairs(trace.frames) do
        if va == caller then break end
        local parts = dump:symbol_parts(va)
        if parts and parts.near and parts.name and parts.module:lower() ~= "ntdll" then
            return parts.module .. "!" .. parts.name, (parts.name:gsub("@%d+$", ""))
        end
    end
    return nil
end

-- What frees memory of that function, or nil.
function frames.free_of(name)
    return name and FREES[name]
end

-- "3rdpartydll+0xc8141" and the nearest export in brackets apart, or the bare address.
function frames.name(dump, va)
    local symbol = dump:symbol(va)
    if not symbol then return text.address(dump, va) end
    return symbol:match "^(.-) %[" or symbol, symbol
end

function frames.module(dump, va)
    local parts = va and dump:symbol_parts(va)
    return parts and parts.module or nil
end

return frames
