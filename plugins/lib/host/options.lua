-- options.lua: the command line of a script: options that every script has, and those it declares.

local argparse = require "argparse"
local ends = require "host.ends"
local words = require "host.words"

local options = {}

-- Options that mean the same everywhere; they may stand anywhere on the command line.
local COMMON <const> = {
    { name = "json", doc = "print one JSON document instead of text" },
    { name = "help", short = "h", doc = "print this and do nothing else" },
    { name = "no-progress", doc = "no progress line on stderr" },
    { name = "symbols", value = "PATH", many = true,
        doc = "look for PDBs there, before _NT_SYMBOL_PATH: \"DIR;srv*DIR\", local only" },
    { name = "windbg-names", doc = "spell symbols as WinDbg does, even far past an export" },
    { name = "undname", value = "FORM", doc = "C++ names: short (default), full with arguments, or raw" },
    { name = "color", value = "WHEN",
        doc = "auto (default: on a terminal, unless NO_COLOR or TERM=dumb), always, never" },
    { name = "fail-on", value = "LEVEL", doc = "exit with 1 if a finding is certain, likely, hint (or 0..1)" },
    { name = "memory-limit", value = "SIZE", doc = "memory that the script's Lua may use (default 2G)" },
    { name = "plugins", value = "DIR", many = true, doc = "look for modules and plugins here too" },
    { name = "allow-files", doc = "give the script io and os: only for a script you trust" },
    { name = "allow-native", doc = "let the script load shared libraries: only for a script and a library you trust" },
    { name = "traceback", doc = "if the script has a bug, say how it came there" },
}

local FORMS <const> = { short = true, full = true, raw = true }
local COLOURS <const> = { auto = true, always = true, never = true }
local LEVELS <const> = { certain = 0.99, likely = 0.8, hint = 0.0 }

local function common_of(word)
    for _, each in ipairs(COMMON) do
        if word == "--" .. each.name or (each.short and word == "-" .. each.short) then return each end
    end
end

local function common_value(given, each, value)
    local key = each.name:gsub("-", "_")
    if each.name == "memory-limit" then
        local size, expected = words.size(value)
        if not size then ends.fail("usage", ("option '--%s': %s, got '%s'"):format(each.name, expected, value)) end
        if size < 1 << 20 then ends.fail("usage", "option '--memory-limit': at least 1M expected") end
        value = size
    elseif each.name == "undname" then
        if not FORMS[value] then
            ends.fail("usage", ("option '--undname': short, full or raw expected, got '%s'"):format(value))
        end
    elseif each.name == "color" then
        if not COLOURS[value] then
            ends.fail("usage", ("option '--color': auto, always or never expected, got '%s'"):format(value))
        end
    elseif each.name == "fail-on" then
        local level = LEVELS[value] or tonumber(value)
        if not level or level < 0 or level > 1 then
            ends.fail("usage", ("option '--fail-on': certain, likely, hint or a number from 0 to 1 expected, got '%s'")
                :format(value))
        end
        value = level
    end
    if each.many then
        given[key] = given[key] or {}
        table.insert(given[key], value)
    else
        given[key] = value
    end
end

-- Takes the common options out of the words of a command line. Returns their values and the words that are left.
function options.split(line)
    local given, rest = {}, {}
    local i = 1
    while i <= #line do
        local word = line[i]
        if word == "--" then
            table.move(line, i, #line, #rest + 1, rest)
            break
        end
        local name, attached = word:match "^(%-%-[^=]+)=(.*)$"
        local each = common_of(name or word)
        if not each then
            rest[#rest + 1] = word
        elseif each.value then
            if not attached then
                i = i + 1
                attached = line[i]
            end
            if not attached then ends.fail("usage", ("option '--%s': a value expected"):format(each.name)) end
            common_value(given, each, attached)
        else
            if attached then ends.fail("usage", ("option '--%s' takes no value"):format(each.name)) end
            given[each.name:gsub("-", "_")] = true
        end
        i = i + 1
    end
    return given, rest
end

-- Words that say the same to a child process, but for what concerns only the parent.
local PARENT_ONLY <const> = { json = true, help = true, ["no-progress"] = true, ["fail-on"] = true }

function options.again(given)
    local list = {}
    for _, each in ipairs(COMMON) do
        local value = not PARENT_ONLY[each.name] and given[(each.name:gsub("-", "_"))]
        if value and not each.value then list[#list + 1] = "--" .. each.name end
        for _, one in ipairs(value and each.value and (each.many and value or { value }) or {}) do
            list[#list + 1] = ("--%s=%s"):format(each.name, one)
        end
    end
    return list
end

-- ---- the parser of one script ----

local PLACES <const> = { address = "ADDRESS", integer = "N", number = "NUMBER", string = "TEXT", path = "FILE" }

local INPUT_DOC <const> = {
    dump = { "INPUT", "the dump to read" },
    output = { "OUTPUT", "the file to write" },
    results = { "RESULTS", "the results to read" },
}

local function place(each)
    if each.type == "choice" then return "{" .. table.concat(each.choices, ",") .. "}" end
    return PLACES[each.type]
end

local function shown_default(each)
    if each.default == nil or each.type == "flag" then return "" end
    return (" (default %s)"):format(tostring(each.default))
end

-- The name as it stands on the command line, without dashes.
local function dashed(name)
    return (name:gsub("_", "-"))
end

local function add_argument(parser, each)
    local count = each.many and (each.optional and "*" or "+") or (each.optional and "?" or 1)
    parser:argument(each.name:upper():gsub("_", "-"), each.doc):target("arg_" .. each.name):args(count)
end

local function add_option(parser, each)
    local name = "--" .. dashed(each.name)
    local doc = (each.doc or "") .. shown_default(each)
    if each.type == "flag" then return parser:flag(name, doc):target("opt_" .. each.name) end
    return parser:option(name, doc):target("opt_" .. each.name):argname(place(each)):count(each.many and "*" or "?")
end

local function add_common(parser)
    local list = {}
    for _, each in ipairs(COMMON) do
        local name = (each.short and "-" .. each.short .. " " or "") .. "--" .. each.name
        local option = each.value and parser:option(name, each.doc):argname(each.value) or parser:flag(name, each.doc)
        list[#list + 1] = option:target("common_" .. each.name)
    end
    parser:group("Options of every script", table.unpack(list))
end

local function usage_of(name, declaration)
    local parts = { "heapsift run", name }
    local input = INPUT_DOC[declaration.input]
    if input then parts[#parts + 1] = input[1] end
    for _, each in ipairs(declaration.args) do
        local word = each.name:upper():gsub("_", "-") .. (each.many and "..." or "")
        parts[#parts + 1] = each.optional and "[" .. word .. "]" or word
    end
    parts[#parts + 1] = "[options]"
    return "Usage: " .. table.concat(parts, " ")
end

local function parser_of(name, declaration)
    local parser = argparse(name):add_help(false):usage(usage_of(name, declaration)):help_max_width(100)
    local input = INPUT_DOC[declaration.input]
    if input then parser:argument(input[1], input[2]):target("input") end
    for _, each in ipairs(declaration.args) do add_argument(parser, each) end
    local own = {}
    for _, each in ipairs(declaration.options) do own[#own + 1] = add_option(parser, each) end
    if #own > 0 then parser:group("Options", table.unpack(own)) end
    add_common(parser)
    return parser
end

-- The text of --help.
function options.help(name, declaration)
    local parts = {}
    if declaration.summary then parts[#parts + 1] = name .. ": " .. declaration.summary .. "\n" end
    local text = parser_of(name, declaration):get_help()
    local usage, rest = text:match "^(.-\n)\n(.*)$"
    parts[#parts + 1] = usage or text
    if declaration.description then parts[#parts + 1] = declaration.description:gsub("%s+$", "") .. "\n" end
    parts[#parts + 1] = rest and rest:gsub("%s+$", "") .. "\n"
    if #declaration.examples > 0 then
        parts[#parts + 1] = "Examples:\n   " .. table.concat(declaration.examples, "\n   ") .. "\n"
    end
    if declaration.json then parts[#parts + 1] = "JSON schema: " .. declaration.json .. "\n" end
    return table.concat(parts, "\n")
end

-- ---- values ----

local CONVERT <const> = {
    address = words.address,
    integer = words.integer,
    number = words.number,
}

local function convert(each, what, text)
    local value, expected = text, nil
    if CONVERT[each.type] then
        value, expected = CONVERT[each.type](text)
    elseif each.type == "path" and text == "" then
        value, expected = nil, "a path expected"
    elseif each.type == "choice" then
        value = nil
        for _, choice in ipairs(each.choices) do
            if choice == text then value = text end
        end
        expected = table.concat(each.choices, ", ") .. " expected"
        if value == nil then
            ends.fail("usage", ("%s: %s, got '%s'%s"):format(what, expected, text, words.hint(text, each.choices)))
        end
    end
    if value == nil then ends.fail("usage", ("%s: %s, got '%s'"):format(what, expected, text)) end
    if type(value) == "number" then
        if each.min and value < each.min then
            ends.fail("usage", ("%s: at least %s expected, got %s"):format(what, each.min, text))
        end
        if each.max and value > each.max then
            ends.fail("usage", ("%s: at most %s expected, got %s"):format(what, each.max, text))
        end
    end
    return value
end

local function convert_all(each, what, given)
    if given == nil then return nil end
    if type(given) ~= "table" then return convert(each, what, given) end
    local values = {}
    for i, text in ipairs(given) do values[i] = convert(each, what, text) end
    return values
end

-- A negative number behind an option is its value, though it looks like an option itself.
local function join_negative(line)
    local joined = {}
    for _, word in ipairs(line) do
        local last = joined[#joined]
        if word:find "^%-%d" and last and last:find "^%-%-[^=]+$" then
            joined[#joined] = last .. "=" .. word
        else
            joined[#joined + 1] = word
        end
    end
    return joined
end

-- Parses the words behind the script's name. Returns its `args` table and the set of paths that the user named for it.
function options.parse(name, declaration, line, common)
    local parser = parser_of(name, declaration)
    local ok, given = parser:pparse(join_negative(line))
    if not ok then
        local text = given:gsub("\n", " "):gsub("Did you mean (.-)%?", "(did you mean %1?)")
        ends.fail("usage", ("%s; see heapsift help %s"):format(text, name))
    end
    local args, paths, known = {}, {}, { "input", "json", "windbg_names" }
    for _, each in ipairs(declaration.args) do
        known[#known + 1] = each.name
        args[each.name] = convert_all(each, ("argument %s"):format(each.name:upper()), given["arg_" .. each.name])
    end
    for _, each in ipairs(declaration.options) do
        known[#known + 1] = each.name
        local value = given["opt_" .. each.name]
        if each.type == "flag" then
            value = value or each.default or false
        elseif value == nil or (each.many and #value == 0) then
            value = each.default
        else
            value = convert_all(each, ("option '--%s'"):format(dashed(each.name)), value)
        end
        args[each.name] = value
    end
    for _, list in ipairs { declaration.args, declaration.options } do
        for _, each in ipairs(list) do
            local value = each.type == "path" and args[each.name] or nil
            for _, path in ipairs(type(value) == "table" and value or { value }) do paths[path] = true end
        end
    end
    args.input = given.input
    args.json = common.json or false
    args.windbg_names = common.windbg_names or false
    if declaration.input == "output" then paths[args.input] = true end
    return setmetatable(args, {
        __metatable = "heapsift.args",
        __index = function(_, key)
            for _, each in ipairs(known) do
                if each == key then return nil end
            end
            error(("args has no field '%s'%s"):format(tostring(key), words.hint(tostring(key), known)), 2)
        end,
    }), paths
end

return options
