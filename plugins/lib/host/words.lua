-- words.lua: texts that users type, made into values; and the nearest word to one that is not known.

local words = {}

local function distance(a, b)
    local row = {}
    for j = 0, #b do row[j] = j end
    for i = 1, #a do
        local diagonal = row[0]
        row[0] = i
        for j = 1, #b do
            local change = diagonal + (a:byte(i) == b:byte(j) and 0 or 1)
            diagonal = row[j]
            row[j] = math.min(change, row[j] + 1, row[j - 1] + 1)
        end
    end
    return row[#b]
end

-- The candidate nearest to `word`, or nil if none is near.
function words.nearest(word, candidates)
    if #word > 64 then return nil end
    local best, best_distance = nil, #word // 3 + 2
    for _, candidate in ipairs(candidates) do
        local d = distance(word:lower(), candidate:lower())
        if d < best_distance then best, best_distance = candidate, d end
    end
    return best
end

-- " (did you mean 'x'?)" or "".
function words.hint(word, candidates)
    local best = words.nearest(word, candidates)
    return best and (" (did you mean '%s'?)"):format(best) or ""
end

local function hex(digits)
    digits = digits:gsub("^0+(%x)", "%1")
    if #digits > 16 then return nil end
    local value = math.tointeger(tonumber(digits, 16))
    return value and value >= 0 and value or nil
end

local function decimal(digits)
    local value = tonumber(digits, 10)
    digits = digits:gsub("^0+(%d)", "%1")
    return #digits <= 18 and math.tointeger(value) or nil
end

-- One number of the debugger's kind: hex with or without 0x, 0n for decimal, ` allowed inside.
local function term(text)
    text = text:gsub("`", "")
    local digits = text:match "^0[nN](%d+)$"
    if digits then return decimal(digits) end
    digits = text:match "^0[xX](%x+)$" or text:match "^(%x+)$"
    return digits and hex(digits)
end

-- An address, or a sum of such numbers ("372e598+8"); nil, what was expected.
function words.address(text)
    local expected = "a hex number expected, such as 372e598, 0x372e598 or 0n12"
    local value, sign = nil, 1
    for part, operator in (text .. "+"):gmatch "([^+-]*)([+-])" do
        local number = term(part)
        if not number then return nil, expected end
        value = (value or 0) + sign * number
        if value < 0 then return nil, "an address from 0 to 7fffffffffffffff expected" end
        sign = operator == "+" and 1 or -1
    end
    if not value then return nil, expected end
    return value
end

-- An integer: decimal unless 0x.
function words.integer(text)
    local sign, digits = text:match "^([+-]?)(%d+)$"
    local value
    if digits then
        value = decimal(digits)
    else
        sign, digits = text:match "^([+-]?)0[xX](%x+)$"
        if not digits then
            sign, digits = text:match "^([+-]?)0[nN](%d+)$"
            value = digits and decimal(digits)
        else
            value = hex(digits)
        end
    end
    if not digits then return nil, "an integer expected" end
    if not value then return nil, "an integer below 2^63 expected" end
    return sign == "-" and -value or value
end

function words.number(text)
    local value = text:find "^[%d.+-]" and tonumber(text)
    if not value or value ~= value or value == math.huge or value == -math.huge then
        return nil, "a number expected"
    end
    return value
end

local SCALE <const> = { [""] = 0, k = 10, m = 20, g = 30 }

-- A size in bytes: 300000, 512M, 2G.
function words.size(text)
    local digits, unit = text:match "^(%d+)([kKmMgG]?)[iI]?[bB]?$"
    local value = digits and decimal(digits)
    if not value or value >= 1 << 32 then return nil, "a size expected, such as 512M or 2G" end
    return value << SCALE[unit:lower()]
end

-- The same size as words.size reads it.
function words.size_text(size)
    local units, at = { "", "K", "M", "G" }, 1
    while size > 0 and size & 1023 == 0 and at < #units do size, at = size >> 10, at + 1 end
    return size .. units[at]
end

return words
