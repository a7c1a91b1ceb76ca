-- declaration.lua: what a script says of itself in heapsift.script{...}, checked field by field.

local words = require "host.words"

local declaration = {}

local INPUTS <const> = { "dump", "output", "none", "results" }
local TYPES <const> = { "address", "integer", "number", "string", "path", "flag", "choice" }

local FIELDS <const> = { "summary", "description", "input", "args", "options", "examples", "json" }
local ARGUMENT_FIELDS <const> = { "name", "type", "doc", "optional", "many", "choices", "min", "max" }
local OPTION_FIELDS <const> = { "type", "doc", "default", "many", "choices", "min", "max" }

local function has(list, word)
    for _, each in ipairs(list) do
        if each == word then return true end
    end
    return false
end

-- Errors are the script's: they name the place of its heapsift.script call.
local LEVEL <const> = 4

local function known_fields(where, given, fields)
    if type(given) ~= "table" then
        error(("heapsift.script: %s: a table expected, got %s"):format(where, type(given)), LEVEL)
    end
    for key in pairs(given) do
        if type(key) ~= "string" or not has(fields, key) then
            error(("heapsift.script: %s: unknown field '%s'%s"):format(where, tostring(key),
                words.hint(tostring(key), fields)), LEVEL)
        end
    end
end

local function typed(where, given, key, expected)
    local value = given[key]
    if value ~= nil and type(value) ~= expected then
        error(("heapsift.script: %s.%s: a %s expected, got %s"):format(where, key, expected, type(value)), LEVEL)
    end
    return value
end

local function one_of(where, value, list)
    if not has(list, value) then
        error(("heapsift.script: %s: unknown value '%s' (%s)"):format(where, tostring(value),
            table.concat(list, ", ")), LEVEL)
    end
end

local function value_type(where, given)
    local kind = given.type == nil and "string" or given.type
    one_of(where .. ".type", kind, TYPES)
    typed(where, given, "doc", "string")
    typed(where, given, "many", "boolean")
    typed(where, given, "min", "number")
    typed(where, given, "max", "number")
    if kind == "choice" and (type(given.choices) ~= "table" or #given.choices == 0) then
        error(("heapsift.script: %s.choices: a list of texts expected"):format(where), LEVEL)
    end
    return kind
end

local function check_arguments(list)
    local checked = {}
    for i, given in ipairs(list) do
        local where = ("args[%d]"):format(i)
        known_fields(where, given, ARGUMENT_FIELDS)
        if type(given.name) ~= "string" or not given.name:find "^[%a_][%w_]*$" then
            error(("heapsift.script: %s.name: a name expected"):format(where), LEVEL)
        end
        local kind = value_type(where, given)
        if kind == "flag" then
            error(("heapsift.script: %s.type: an argument cannot be a flag"):format(where), LEVEL)
        end
        checked[i] = { name = given.name, type = kind, doc = given.doc, many = given.many, choices = given.choices,
                       min = given.min, max = given.max, optional = typed(where, given, "optional", "boolean") }
    end
    return checked
end

-- As a list in the order of the names, so that help and errors are stable.
local function check_options(given_options)
    local checked = {}
    for name, given in pairs(given_options) do
        local where = "options." .. tostring(name)
        if type(name) ~= "string" or not name:find "^%a[%w_]*$" then
            error(("heapsift.script: %s: not a name (letters, digits, _)"):format(where), LEVEL)
        end
        known_fields(where, given, OPTION_FIELDS)
        local kind = value_type(where, given)
        checked[#checked + 1] = { name = name, type = kind, doc = given.doc, default = given.default,
                                  many = given.many, choices = given.choices, min = given.min, max = given.max }
    end
    table.sort(checked, function(a, b) return a.name < b.name end)
    return checked
end

-- A checked copy with every field filled in; raises at the caller's caller for what is wrong.
function declaration.check(given)
    known_fields("declaration", given, FIELDS)
    local checked = {
        summary = typed("declaration", given, "summary", "string"),
        description = typed("declaration", given, "description", "string"),
        input = given.input == nil and "dump" or given.input,
        examples = typed("declaration", given, "examples", "table") or {},
        json = typed("declaration", given, "json", "string"),
        args = check_arguments(typed("declaration", given, "args", "table") or {}),
        options = check_options(typed("declaration", given, "options", "table") or {}),
    }
    one_of("input", checked.input, INPUTS)
    return checked
end

return declaration
