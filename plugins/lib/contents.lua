-- contents.lua: what blocks hold, as far as attribution cares: cells of blocks with one heap, stored index, size and
-- label.
--
-- If the program has recognisers, their labels are taken (heapsift.recognise). Otherwise a few checks that run in C
-- stand in for them. Everything that needs to change when recognisers do is in this file.

local contents = {}

-- Ranges where virtual method tables of the loaded modules may lie: sections that are neither writable nor code.
local function table_ranges(dump)
    local ranges = {}
    for module in dump:modules() do
        for _, section in ipairs(module:sections()) do
            if not section.writable and not section.executable and section.size > 0 and section.name ~= ".rsrc" then
                ranges[#ranges + 1] = { section.address, section.address + section.size - 1 }
            end
        end
    end
    return ranges
end

local function object_filter(dump)
    local parts = {}
    for _, range in ipairs(table_ranges(dump)) do
        parts[#parts + 1] = ("ptr(0) in 0x%x..0x%x"):format(range[1], range[2])
    end
    return #parts > 0 and table.concat(parts, " or ") or "size < 0"
end

-- Label and filter, the surer ones first; a block keeps the first that is true.
local function checks(dump)
    local width = dump.pointer_size
    local flags = "u32(0) & 0x0ffffff0 == 0 and u32(0) >> 28 in 1..3 and u32(0) & 15 == 1"
    local text = ("ascii(%d) > 7 or utf16(%d) > 3"):format(2 * width, 2 * width)
    return {
        { "mapi.row", ("u32(0) == 0x10000001 and u32(%d) >> 16 > 0 and u32(%d) & 0xffff in " ..
            "{2, 3, 4, 5, 6, 7, 10, 11, 20, 30, 31, 64, 72, 258, 4098, 4126, 4127, 4354} and u32(%d) == 0")
            :format(2 * width, 2 * width, 2 * width + 4) },
        { "mapi.buffer", "u32(0) == 0x10000001" },
        { "mapi.more", ("(%s) and (u32(0) != 0x10000001 or %s)"):format(flags, text) },
        { "object", object_filter(dump) },
        { "bstr", ("size > 9 and u32(0) in size - 7..size - 6 and utf16(%d) > 1 or u32(0) == size - %d and " ..
            "utf16(%d) > 1"):format(width, width + 2, width) },
        { "string.utf16", "utf16(0) > 2" },
        { "string.ascii", "ascii(0) > 3" },
        { "zero", "u32(0) == 0 and u32(size / 8 * 4) == 0" },
    }
end

-- Calls visit(row, label) for each cell of a set; row: heap, stored, size, count, bytes; label nil: nothing is known.
-- Objects come with row.module, the base of the module that holds their table. Returns the notes of recognisers.
function contents.each(dump, recognise, set, visit)
    local rest = set
    local function objects(some, label)
        for row in some:group("heap", "stored", "size", "first_word") do
            local module = row.first_word and dump:module(row.first_word)
            row.module = module and module.base
            visit(row, label)
        end
    end
    if recognise then
        local notes = recognise(dump)
        local seen = rest:where "type ~ 'object' or type ~ 'vtable'"
        objects(seen, "object")
        for row in (rest - seen):group("heap", "stored", "size", "type") do visit(row, row.type) end
        return notes
    end
    for _, check in ipairs(checks(dump)) do
        local some = rest:where(check[2])
        rest = rest - some
        if check[1] == "object" then
            objects(some, "object")
        else
            for row in some:group("heap", "stored", "size") do visit(row, check[1]) end
        end
    end
    for row in rest:group("heap", "stored", "size") do visit(row, nil) end
    return {}
end

return contents
