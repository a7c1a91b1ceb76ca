-- text: how numbers, addresses and tables are spelled. Every bundled script prints through it.

local columns = require "columns"

local text = {}

local KIB <const> = 1024

-- Prints one formatted line.
function text.say(format, ...)
    print(string.format(format, ...))
end

-- Ends the script with one formatted line and the exit code of `code`: "usage", "missing" (see
-- heapsift.fail).
function text.fail(code, format, ...)
    heapsift.fail(code, string.format(format, ...))
end

-- An address as wide as the process's pointers: "0372e598", "000001f2a4b30010".
function text.address(dump, va)
    return string.format(dump.pointer_size == 8 and "%016x" or "%08x", va)
end

-- The same with 0x before it: JSON, and the values of a `dt`.
function text.hex_address(dump, va)
    return va and "0x" .. text.address(dump, va) or nil
end

-- A number of no fixed width: "0x17dfe". nil stays nil, so that JSON leaves the field out.
function text.hex(n)
    return n and string.format("0x%x", n) or nil
end

-- As `dt` prints an integer: below ten without 0x.
function text.dt(n)
    return n >= 0 and n < 10 and string.format("%d", n) or string.format("0x%x", n)
end

-- Groups of three digits: "213,785,000".
function text.count(n)
    local digits = string.format("%d", n)
    local sign, body = digits:match("^(%-?)(%d+)$")
    body = body:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
    return sign .. body
end

local UNITS <const> = { "KiB", "MiB", "GiB", "TiB" }

-- Bytes in the unit that suits them: "512 bytes", "4.0 KiB", "276.4 MiB".
function text.size(bytes)
    if bytes < KIB then
        return string.format("%d %s", bytes, bytes == 1 and "byte" or "bytes")
    end
    local value, unit = bytes / KIB, 1
    while value >= KIB and unit < #UNITS do
        value, unit = value / KIB, unit + 1
    end
    return string.format("%.1f %s", value, UNITS[unit])
end

-- Bytes as MiB, one unit for a whole column: "276.4".
function text.mib(bytes)
    return string.format("%.1f", bytes / (KIB * KIB))
end

-- Whole KiB, as the columns of `!heap -s`.
function text.kib(bytes)
    return bytes // KIB
end

-- part of whole in percent with `digits` (default 1) behind the point; "-" of nothing.
function text.percent(part, whole, digits)
    if whole == 0 then
        return "-"
    end
    return string.format("%." .. (digits or 1) .. "f", 100 * part / whole)
end

-- part of whole, as the share that is missing: "12.3 %", and "less than 0.1 %" rather than none.
function text.share(part, whole)
    return part < whole / 1000 and "less than 0.1 %" or text.percent(part, whole) .. " %"
end

-- "1 block", "2 blocks".
function text.plural(n, one, many)
    return string.format("%s %s", text.count(n), n == 1 and one or many or one .. "s")
end

-- {"a", "b", "c"} -> "a, b and c".
function text.list(items, last)
    if #items < 2 then
        return items[1] or ""
    end
    return table.concat(items, ", ", 1, #items - 1) .. " " .. (last or "and") .. " " .. items[#items]
end

-- Seconds since 1970 as "2008-06-13 21:04:31 UTC"; nil or 0 as "not told".
function text.time(seconds)
    if not seconds or seconds == 0 then
        return "not told"
    end
    local days, rest = seconds // 86400, seconds % 86400
    -- Civil date from days: years start in March, so that the leap day is the last one; 146097 days are 400
    -- years.
    local shifted = days + 719468
    local era, day = shifted // 146097, shifted % 146097
    local year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day = day - (365 * year + year // 4 - year // 100)
    local month = (5 * day + 2) // 153
    local date = day - (153 * month + 2) // 5 + 1
    month = month < 10 and month + 3 or month - 9
    year = year + era * 400 + (month <= 2 and 1 or 0)
    local hour, minute, second = rest // 3600, rest // 60 % 60, rest % 60
    return string.format("%04d-%02d-%02d %02d:%02d:%02d UTC", year, month, date, hour, minute, second)
end

-- A span of seconds: "2 h 05 min", "4 min 10 s", "9 s".
function text.span(seconds)
    if seconds >= 86400 then
        return string.format("%d d %d h", seconds // 86400, seconds % 86400 // 3600)
    elseif seconds >= 3600 then
        return string.format("%d h %02d min", seconds // 3600, seconds % 3600 // 60)
    elseif seconds >= 60 then
        return string.format("%d min %02d s", seconds // 60, seconds % 60)
    end
    return string.format("%d s", seconds)
end

-- Prints rows of texts in columns. `list`: { { title, "left"|"right"[, how] }, ... }; two blanks lie between them, and
-- `indent` (default "") before each line. On a terminal that is too narrow, columns with a `how` ("start", "middle",
-- "end": where) are shortened; anywhere else nothing is. A missing cell is empty.
function text.table(list, rows, indent)
    local title, lines = columns.lines(list, rows, indent or "", heapsift.width())
    if title then heapsift.heading(title) end
    for _, line in ipairs(lines) do print(line) end
end

-- Prints "name: value" lines, names padded to one width. `pairs_`: { { name, value }, ... }; nil values are
-- left out.
function text.facts(pairs_, indent)
    local width = 0
    for _, pair in ipairs(pairs_) do
        width = math.max(width, pair[2] and #pair[1] or 0)
    end
    for _, pair in ipairs(pairs_) do
        if pair[2] then
            print(string.format("%s%-" .. width + 2 .. "s%s", indent or "", pair[1], pair[2]))
        end
    end
end

return text
