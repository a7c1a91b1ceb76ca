-- mapi_layout: where things stand in MAPI memory, and what property tags mean. For recognisers and scripts.
--
-- A buffer of MAPIAllocateBuffer or MAPIAllocateMore begins with two words: flags, and a link to the buffer that was
-- attached last (seen in the published case; x64: inferred). What the caller got stands behind them. An SPropValue is a
-- tag (id << 16 | type), a pad, and 8 (x86) or 16 (x64) bytes of value; a row set is a count and, for each row, a pad,
-- the number of its values and a pointer to them (documented in mapidefs.h).

local tags = require "mapi_tags"

local layout = {}

layout.ALLOCATE_BUFFER = 0x10000001 -- seen: 0x10000000 | 1

local ERROR <const> = 0x000a
layout.PT_ERROR = ERROR
layout.PR_RECIPIENT_TYPE = 0x0c150003

-- Types of single values by number (documented in mapidefs.h).
local SINGLE <const> = {
    [0x0002] = "PT_I2", [0x0003] = "PT_LONG", [0x0004] = "PT_R4", [0x0005] = "PT_DOUBLE", [0x0006] = "PT_CURRENCY",
    [0x0007] = "PT_APPTIME", [0x000a] = "PT_ERROR", [0x000b] = "PT_BOOLEAN", [0x000d] = "PT_OBJECT",
    [0x0014] = "PT_I8", [0x001e] = "PT_STRING8", [0x001f] = "PT_UNICODE", [0x0040] = "PT_SYSTIME",
    [0x0048] = "PT_CLSID", [0x00fb] = "PT_SVREID", [0x00fd] = "PT_SRESTRICTION", [0x00fe] = "PT_ACTIONS",
    [0x0102] = "PT_BINARY",
}
local MULTI <const> = { 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x14, 0x1e, 0x1f, 0x40, 0x48, 0x102 }
local MV_FLAG <const> = 0x1000

layout.types = {} -- [number] = name
for number, name in pairs(SINGLE) do layout.types[number] = name end
for _, number in ipairs(MULTI) do layout.types[number | MV_FLAG] = SINGLE[number]:gsub("^PT_", "PT_MV_") end

-- The type numbers as a filter list: "{0x2, 0x3, ...}".
local numbers = {}
for number in pairs(layout.types) do numbers[#numbers + 1] = number end
table.sort(numbers)
for i, number in ipairs(numbers) do numbers[i] = ("0x%x"):format(number) end
layout.type_list = "{" .. table.concat(numbers, ", ") .. "}"

local ids = {}
for tag in pairs(tags) do ids[tag >> 16] = true end

-- How much a tag is worth as a witness: 1 known as it stands (or as a PT_ERROR of a known id), 0.5 a known id with
-- another type (the A and W forms), or a named property; 0.2 any other id with a sound type; nil: no tag.
function layout.weight(tag)
    local id, kind = tag >> 16, tag & 0xffff
    if tags[tag] then return 1 end
    if not layout.types[kind] then return nil end
    if ids[id] then return kind == ERROR and 1 or 0.5 end
    if id >= 0x8000 and id ~= 0xffff then return 0.5 end
    return id ~= 0 and id ~= 0xffff and 0.2 or nil
end

-- "PR_SUBJECT_W", or the tag as hex.
function layout.name(tag)
    local name = tags[tag]
    if name then return name end
    if tag & 0xffff == ERROR then
        for kind in pairs(layout.types) do
            local found = tags[tag & 0xffff0000 | kind]
            if found then return found .. " (PT_ERROR)" end
        end
    end
    return ("0x%08x"):format(tag)
end

-- Sizes and offsets for a dump: header, value (SPropValue), entry (SRow), rows (offset of the first SRow in a row set's
-- buffer).
function layout.of(dump)
    local width = dump.pointer_size
    return { width = width, header = 2 * width, value = 8 + 2 * width, entry = 8 + width, rows = 3 * width }
end

-- Offset of the pointer inside a value of this type, from the value on; nil: it holds none.
function layout.pointer_at(kind, width)
    if kind & MV_FLAG ~= 0 or kind == 0x0102 then return width end
    if kind == 0x001e or kind == 0x001f or kind == 0x0048 then return 0 end
    return nil
end

-- Columns that rows of contents, hierarchy and attachment tables have, and recipients have not.
local NO_RECIPIENT <const> = {
    [0x0037] = true, [0x001a] = true, [0x0e06] = true, [0x0e07] = true, [0x0e08] = true, [0x0e1b] = true,
    [0x0039] = true, [0x1035] = true, [0x3601] = true, [0x3602] = true, [0x360a] = true, [0x0e20] = true,
    [0x0e21] = true, [0x3705] = true, [0x0017] = true, [0x003d] = true,
}

-- What holds rows of these columns: "row set", "address list", or "row set or address list" where they do not tell.
function layout.set_kind(columns)
    local kind
    for _, tag in ipairs(columns) do
        if tag == layout.PR_RECIPIENT_TYPE then return "address list" end
        if NO_RECIPIENT[tag >> 16] then kind = "row set" end
    end
    return kind or "row set or address list"
end

return layout
