-- memory: bytes of the dump, as `dc`, `db`, `dd`, `dq`, `dps`, `dds`, `da` and `du` show them.
-- What the dump does not hold is printed as question marks, as in the debugger.
--
--     0372e598  000d0022 001807d6 10000001 03707d50  "...........P}p.
--     0372e5a8  0fff0102 00000000 00000018 203d4590  .............E=

heapsift.script {
    summary = "memory at an address, as dc, db, dd, dq, dps, da and du",
    description = [[
Addresses are hex and may be sums: 0372e598+f8+14. LAST is the last byte to show, as in `dc START END`.
Without LAST, --words or --length 128 bytes are shown; ascii and unicode run to the end of the text, at most
1024 characters.
--as: dwords-text is `dc`, bytes `db`, words `dw`, dwords `dd`, qwords `dq`, pointers `dp`, symbols `dps`,
dword-symbols `dds`, qword-symbols `dqs`, ascii `da`, unicode `du`.]],
    args = {
        { name = "address", type = "address", doc = "first byte" },
        { name = "last", type = "address", optional = true, doc = "last byte" },
    },
    options = {
        as = { type = "choice", default = "dwords-text", doc = "how to show it",
               choices = { "dwords-text", "bytes", "words", "dwords", "qwords", "pointers", "symbols",
                           "dword-symbols", "qword-symbols", "ascii", "unicode" } },
        words = { type = "integer", min = 1, doc = "how many elements (dwords, bytes, characters)" },
        length = { type = "address", doc = "how many bytes, hex" },
    },
    examples = {
        "heapsift run memory outlook.dmp 0372e598 0372e598+f8+14",
        "heapsift run memory outlook.dmp 00547c24 --as symbols --words 25",
    },
    json = "heapsift.memory/1",
}

local text = require "text"
local regions = require "regions"

local DEFAULT_BYTES <const> = 128
local DEFAULT_CHARACTERS <const> = 1024
local BYTES_MAX <const> = 16 << 20

local SHAPES <const> = {
    ["dwords-text"] = { size = 4, per_row = 4, text = true },
    bytes = { size = 1, per_row = 16, text = true },
    words = { size = 2, per_row = 8 },
    dwords = { size = 4, per_row = 4 },
    qwords = { size = 8, per_row = 2 },
    pointers = { size = dump.pointer_size, per_row = 16 // dump.pointer_size },
    symbols = { size = dump.pointer_size, per_row = 1, symbols = true },
    ["dword-symbols"] = { size = 4, per_row = 1, symbols = true },
    ["qword-symbols"] = { size = 8, per_row = 1, symbols = true },
    ascii = { size = 1, characters = true },
    unicode = { size = 2, characters = true },
}
local shape <const> = SHAPES[args.as]

-- How many elements were asked for.
local function element_count()
    local given = (args.last and 1 or 0) + (args.words and 1 or 0) + (args.length and 1 or 0)
    if given > 1 then
        heapsift.fail("usage", "LAST, --words and --length exclude each other")
    end
    local count
    if args.last then
        if args.last < args.address then
            text.fail("usage", "the last byte, %x, lies before the first, %x", args.last,
                args.address)
        end
        count = (args.last - args.address) // shape.size + 1
    elseif args.words then
        count = args.words
    elseif args.length then
        count = math.max(1, (args.length + shape.size - 1) // shape.size)
    elseif shape.characters then
        return DEFAULT_CHARACTERS, true
    else
        count = DEFAULT_BYTES // shape.size
    end
    if count > BYTES_MAX // shape.size then
        text.fail("usage", "that is more than %s at once", text.size(BYTES_MAX))
    end
    return count, false
end

local count <const>, to_end <const> = element_count()

-- The bytes of [va, va + size) as { offset (from 1) = byte }; absent ones are nil. `any`: whether one is
-- there. Whole pages are read at once, and only a page that fails is tried byte by byte.
local PAGE <const> = 0x1000
local function read(va, size)
    local bytes, any, offset = {}, false, 0
    size = math.min(size, math.maxinteger - va) -- past that no process has memory
    while offset < size do
        local step = math.min(size - offset, PAGE - (va + offset) % PAGE)
        local data = dump:read(va + offset, step)
        if data then
            for i = 1, step do
                bytes[offset + i] = data:byte(i)
            end
            any = true
        else
            for i = 1, step do
                local one = dump:read(va + offset + i - 1, 1)
                bytes[offset + i] = one and one:byte() or nil
                any = any or one ~= nil
            end
        end
        offset = offset + step
    end
    return bytes, any
end

local function nothing_there()
    text.fail("missing", "the dump holds nothing at %s; %s", text.address(dump, args.address),
        regions.nearest(dump, args.address))
end

-- Characters up to the first 0 (when no length was asked), the first absent byte, or the end.
local function print_characters()
    local size = shape.size
    local bytes, any = read(args.address, count * size)
    if not any then
        nothing_there()
    end
    local units, ended = {}, "cut"
    for i = 1, count do
        local low, high = bytes[(i - 1) * size + 1], size == 2 and bytes[i * size] or 0
        if not low or not high then
            ended = "absent"
            break
        end
        local unit = low | high << 8
        if unit == 0 and to_end then
            ended = "zero"
            break
        end
        units[#units + 1] = unit
    end
    local parts, i = {}, 1
    while i <= #units do
        local unit, low = units[i], units[i + 1]
        if unit >= 0xd800 and unit <= 0xdbff and low and low >= 0xdc00 and low <= 0xdfff then
            unit, i = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), i + 1
        end
        local plain = unit >= 0x20 and (size == 2 and not (unit >= 0x7f and unit <= 0x9f)
            and not (unit >= 0xd800 and unit <= 0xdfff) or unit < 0x7f)
        parts[#parts + 1] = plain and utf8.char(unit) or "."
        i = i + 1
    end
    local value = table.concat(parts)
    if args.json then
        return report:result {
            address = text.hex_address(dump, args.address), as = args.as, text = value, characters = #units,
            ended = ended,
        }
    end
    text.say("%s  \"%s\"%s", text.address(dump, args.address), value,
        ended == "absent" and "  (the dump holds no more)" or ended == "cut" and to_end and "  ..." or "")
end

-- Little-endian value of `size` bytes from offset `from` (from 0); nil if one of them is absent.
local function value_at(bytes, from, size)
    local value = 0
    for i = size, 1, -1 do
        local byte = bytes[from + i]
        if not byte then
            return nil
        end
        value = value << 8 | byte
    end
    return value
end

local function row_text(bytes, from, size)
    local characters = {}
    for i = 1, size do
        local byte = bytes[from + i]
        characters[i] = not byte and "?" or byte >= 0x20 and byte < 0x7f and string.char(byte) or "."
    end
    return table.concat(characters)
end

-- One line: address, values, and text or symbol.
local function row_line(bytes, from, elements)
    local size, cells = shape.size, {}
    local digits = size * 2
    for i = 1, shape.per_row do
        local value = i <= elements and value_at(bytes, from + (i - 1) * size, size)
        if value then
            cells[i] = string.format("%0" .. digits .. "x", value)
        else
            cells[i] = string.rep(i > elements and " " or "?", digits)
        end
    end
    local line = text.address(dump, args.address + from) .. "  " .. table.concat(cells, " ")
    if shape.text then
        line = line .. "  " .. row_text(bytes, from, elements * size)
    elseif shape.symbols then
        local value = value_at(bytes, from, size)
        local symbol = value and value >= 0 and dump:symbol(value)
        line = line .. (symbol and " " .. symbol or "")
    end
    return (line:gsub("%s+$", ""))
end

local function rows_json(bytes)
    local rows, size = {}, shape.size
    for i = 0, count - 1 do
        local value = value_at(bytes, i * size, size)
        local row = {
            address = text.hex_address(dump, args.address + i * size),
            value = value and string.format("0x%0" .. size * 2 .. "x", value) or nil,
        }
        if shape.symbols and value and value >= 0 then
            row.symbol = dump:symbol(value)
        end
        rows[#rows + 1] = row
    end
    return rows
end

if shape.characters then
    return print_characters()
end

local bytes, any = read(args.address, count * shape.size)
if not any then
    nothing_there()
end
if args.json then
    return report:result {
        address = text.hex_address(dump, args.address), as = args.as, element_size = shape.size,
        elements = rows_json(bytes),
    }
end
for first = 0, count - 1, shape.per_row do
    print(row_line(bytes, first * shape.size, math.min(shape.per_row, count - first)))
end
