-- json.lua: values as JSON whose text depends on nothing but the values: keys in order, no bytes that are no UTF-8.

local dkjson = require "dkjson"

local json = {}

json.null = dkjson.null

-- Bytes that are no UTF-8 as \xNN, the rest as it is.
local function fit(text)
    if utf8.len(text) then return text end
    local parts, from = {}, 1
    while from <= #text do
        local _, bad = utf8.len(text, from)
        if not bad then
            parts[#parts + 1] = text:sub(from)
            break
        end
        parts[#parts + 1] = text:sub(from, bad - 1)
        parts[#parts + 1] = ("\\x%02x"):format(text:byte(bad))
        from = bad + 1
    end
    return table.concat(parts)
end

local DEPTH <const> = 100 -- more is a mistake, most likely a table that holds itself

local prepare

local function prepare_table(value, depth, where)
    if depth > DEPTH then error(("%s: tables inside tables, more than %d deep"):format(where, DEPTH), 0) end
    local meta = debug.getmetatable(value)
    meta = type(meta) == "table" and meta or {}
    if value == dkjson.null then return value end
    local count, keys = #value, {}
    for key in pairs(value) do
        if type(key) == "string" then
            keys[#keys + 1] = key
        elseif math.type(key) ~= "integer" or key < 1 or key > count then
            error(("%s: a table with the key %s is neither a list nor an object"):format(where, tostring(key)), 0)
        end
    end
    local copy = {}
    if #keys == 0 and meta.__jsontype ~= "object" then
        for i = 1, count do copy[i] = prepare(value[i], depth + 1, ("%s[%d]"):format(where, i)) end
        return setmetatable(copy, { __jsontype = "array" })
    end
    if count > 0 then error(("%s: a table with both texts and integers as keys"):format(where), 0) end
    table.sort(keys)
    local order, placed = {}, {}
    for _, key in ipairs(type(meta.__jsonorder) == "table" and meta.__jsonorder or {}) do
        if type(key) == "string" and not placed[key] then
            order[#order + 1], placed[key] = fit(key), true
        end
    end
    for _, key in ipairs(keys) do
        if not placed[key] then order[#order + 1] = fit(key) end
        copy[fit(key)] = prepare(value[key], depth + 1, where .. "." .. key)
    end
    return setmetatable(copy, { __jsontype = "object", __jsonorder = order })
end

function prepare(value, depth, where)
    local kind = type(value)
    if kind == "table" then return prepare_table(value, depth, where) end
    if kind == "string" then return fit(value) end
    if kind == "number" and (value ~= value or value == math.huge or value == -math.huge) then return dkjson.null end
    if kind == "number" or kind == "boolean" then return value end
    if kind == "nil" then return dkjson.null end
    error(("%s: a %s has no place in JSON"):format(where, kind), 0)
end

-- An object whose keys stand in this order: { { key, value }, ... }
function json.object(pairs_in_order)
    local object, order = {}, {}
    for i, pair in ipairs(pairs_in_order) do
        order[i] = pair[1]
        object[pair[1]] = pair[2]
    end
    return setmetatable(object, { __jsonorder = order, __jsontype = "object" })
end

-- Checks and copies what a script gave, so that later changes do not show; raises with the place inside it.
function json.prepare(value, where)
    return prepare(value, 1, where)
end

function json.encode(value)
    return dkjson.encode(prepare(value, 1, "document"), { indent = true })
end

-- The same on one line.
function json.line(value)
    return dkjson.encode(prepare(value, 1, "document"))
end

json.decode = dkjson.decode

return json
