-- keys: what blocks can be grouped by, and how groups are printed: for `stat` and `blocks --by`.

local text = require "text"
local pick = require "pick"

local keys = {}

-- How a key's value is shown: "hex" number, "bytes" (a hex number in text, a plain one in JSON), "address",
-- "text".
local KINDS <const> = {
    size = "bytes", size_class = "bytes", total = "bytes", heap = "address", first_word = "address",
    stored = "hex", flags = "hex", tag = "hex", state = "text", type = "text", candidate_module = "text",
}

local KEYS_MAX <const> = 4

-- "size,heap" -> { "size", "heap" }; ends the script at a key that does not exist or stands there twice.
function keys.parse(option, value)
    local names, seen = {}, {}
    for name in (value .. ","):gmatch("%s*([^,]-)%s*,") do
        if not KINDS[name] or seen[name] then
            local known = {}
            for key in pairs(KINDS) do
                known[#known + 1] = key
            end
            table.sort(known)
            text.fail("usage", "--%s %s: \"%s\" %s; keys are %s", option, value, name,
                seen[name] and "stands there twice" or "is no key", table.concat(known, ", "))
        end
        seen[name] = true
        names[#names + 1] = name
    end
    if #names > KEYS_MAX then
        text.fail("usage", "--%s %s: at most %d keys", option, value, KEYS_MAX)
    end
    return names
end

local ORDERS <const> = {
    B = function(row) return -row.count end,
    A = function(row) return row.count > 0 and row.bytes // row.count or 0 end,
}

-- The groups of a set, as a sequence. Order "S": most bytes first; "B": most blocks first; "A": smallest
-- blocks first.
function keys.groups(set, names, order)
    local groups = set:group(table.unpack(names))
    if not ORDERS[order] then
        return groups -- there may be a million of them, of which few are shown: no row is made before it is
    end
    local rows = {}
    for row in groups do
        rows[#rows + 1] = row
    end
    pick.sort(rows, ORDERS[order])
    return rows
end

-- How many of `count` rows a limit shows; 0 is no limit.
function keys.shown(count, limit)
    return limit == 0 and count or math.min(limit, count)
end

local function value_text(dump, name, value)
    if value == nil then
        return "-"
    elseif KINDS[name] == "text" then
        return value
    elseif KINDS[name] == "address" then
        return text.address(dump, value)
    end
    return string.format("%x", value)
end

local function value_json(dump, name, value)
    if KINDS[name] == "address" then
        return text.hex_address(dump, value)
    elseif KINDS[name] == "hex" then
        return text.hex(value)
    end
    return value
end

-- Prints rows in the shape of `!heap -stat`: keys, #blocks, total and percent of `bytes`.
function keys.print(dump, names, groups, limit, bytes, of)
    local columns, lines, shown = {}, {}, keys.shown(#groups, limit)
    for c, name in ipairs(names) do
        columns[c] = { name, "right" }
    end
    for _, title in ipairs { "#blocks", "", "total" } do
        columns[#columns + 1] = { title, "right" }
    end
    columns[#columns + 1] = { "( %) (percent of " .. of .. ")", "left" }
    for i = 1, shown do
        local row, line = groups[i], {}
        for c, name in ipairs(names) do
            line[c] = value_text(dump, name, row[name])
        end
        line[#line + 1] = string.format("%x", row.count)
        line[#line + 1] = "-"
        line[#line + 1] = string.format("%x", row.bytes)
        line[#line + 1] = "(" .. text.percent(row.bytes, bytes, 2) .. ")"
        lines[i] = line
    end
    text.table(columns, lines, "    ")
    return shown
end

function keys.json(dump, names, groups, limit, bytes)
    local rows = {}
    for i = 1, keys.shown(#groups, limit) do
        local row = groups[i]
        local percent = bytes > 0 and 100 * row.bytes / bytes or 0.0
        rows[i] = { count = row.count, bytes = row.bytes, percent = percent }
        for _, name in ipairs(names) do
            rows[i][name] = value_json(dump, name, row[name])
        end
    end
    return rows
end

return keys
