-- literal.lua: string literals, whose decorated names hold at most their first 32 bytes.

local codes = require "undecorate.codes"

local SHOWN_MAX <const> = 32 -- bytes that compilers put in the name
local BYTES_MAX <const> = 4096

local ESCAPES <const> = {
    [0] = "\\0", [7] = "\\a", [8] = "\\b", [9] = "\\t", [10] = "\\n", [11] = "\\v", [12] = "\\f", [13] = "\\r",
    [34] = '\\"', [39] = "\\'", [92] = "\\\\",
}

-- The bytes behind the codes; nil where they make no sense.
local function bytes_of(text)
    local bytes, at = {}, 1
    while at <= #text do
        if #bytes == BYTES_MAX then return nil end
        local code = text:match("^%?(.)", at)
        if text:byte(at) ~= 63 then
            bytes[#bytes + 1] = text:byte(at)
            at = at + 1
        elseif code == "$" then
            local high, low = text:match("^([A-P])([A-P])", at + 2)
            if not high then return nil end
            bytes[#bytes + 1] = (high:byte() - 65) << 4 | low:byte() - 65
            at = at + 4
        else
            if not codes.character[code] then return nil end
            bytes[#bytes + 1] = codes.character[code]
            at = at + 2
        end
    end
    return bytes
end

local function zeros(bytes, from)
    local count = 0
    for i = from, #bytes do count = count + (bytes[i] == 0 and 1 or 0) end
    return count
end

-- Narrow literals do not say how wide they are: zeros tell, those at the end or, if that is cut off, those between.
local function width_of(bytes, size)
    if size % 2 == 1 then return 1 end
    if size < SHOWN_MAX then
        local trailing = 0
        while trailing < #bytes and bytes[#bytes - trailing] == 0 do trailing = trailing + 1 end
        return trailing >= 4 and size % 4 == 0 and 4 or trailing >= 2 and 2 or 1
    end
    local count = zeros(bytes, 1)
    if count >= 2 * #bytes // 3 and size % 4 == 0 then return 4 end
    return count >= #bytes // 3 and 2 or 1
end

local function escape(value)
    if ESCAPES[value] then return ESCAPES[value] end
    if value > 0x1f and value < 0x7f then return string.char(value) end
    local digits = ("%X"):format(value)
    return "\\x" .. (#digits % 2 == 1 and "0" or "") .. digits
end

local PREFIX <const> = { [1] = "", [2] = "u", [4] = "U" }

-- The literal as C++ writes it, from a node of the grammar; nil where its bytes make no sense.
return function(node)
    local bytes = bytes_of(node.text)
    if not bytes then return nil end
    local width = node.width == 1 and 2 or width_of(bytes, node.size)
    if #bytes % width ~= 0 then return nil end
    local texts = {}
    for at = 1, #bytes, width do
        local value = 0
        for i = 0, width - 1 do
            -- Wide ones have their high byte first, unlike all others.
            local shift = node.width == 1 and 8 * (width - 1 - i) or 8 * i
            value = value | bytes[at + i] << shift
        end
        texts[#texts + 1] = escape(value)
    end
    local cut = node.size > #bytes
    if not cut then texts[#texts] = nil end -- the zero at the end
    return (node.width == 1 and "L" or PREFIX[width]) .. '"' .. table.concat(texts) .. '"' .. (cut and "..." or "")
end
