-- plugins.lua: plugins found, checked and run. A plugin is a Lua file that returns one table; every field of it is
-- checked when it is loaded. One that fails becomes a note with file and line, the others run.

local core = require "host.core"
local declaration = require "host.declaration"
local ends = require "host.ends"
local sandbox = require "host.sandbox"
local words = require "host.words"

local plugins = {}

local KINDS <const> = { "recogniser", "heuristic", "command" }
local FIELDS <const> = { "name", "summary", "kind", "needs", "options", "applies", "filters",
                         "recognise", "run", "words", "switches", "usage" }
local OPTION_FIELDS <const> = { "type", "default", "doc", "choices", "min", "max", "many" }

-- What a plugin can need: whether the dump has it, and what to say if not.
local NEEDS <const> = {
    blocks = { function(dump) return #dump:heaps() > 0 end, "no heap is known" },
    traces = { function(dump) return dump.has_traces end, "no stack trace database" },
    labels = { function() return true end }, -- recognisers run first
}

local function has(list, word)
    for _, each in ipairs(list) do
        if each == word then return true end
    end
    return false
end

-- ---- errors ----

-- Everything that ends the program, or that no plugin is to blame for, goes on.
local function is_grave(e)
    return ends.is(e) or type(e) == "string" and e:find "not enough memory" ~= nil
end

-- Puts the place inside the plugin's own file before a message that tells no place in Lua code.
local function handler_for(shown)
    return function(e)
        if ends.is(e) then return e end
        local text = type(e) == "string" and e or ("the error object is a %s value"):format(type(e))
        if text:find "^[^\n:]+%.lua:%d+: " or text:find "not enough memory" then return text end
        for level = 2, 50 do
            local info = debug.getinfo(level, "Sl")
            if not info then break end
            if info.source == "@" .. shown and info.currentline > 0 then
                return ("%s:%d: %s"):format(shown, info.currentline, text)
            end
        end
        return shown .. ": " .. text
    end
end

-- Calls code of a plugin: true and what it gives, or false and a message with file and line.
local function protected(plugin, f, ...)
    local results = table.pack(xpcall(f, handler_for(plugin.shown), ...))
    if not results[1] and is_grave(results[2]) then error(results[2], 0) end
    return table.unpack(results, 1, results.n)
end

plugins.protected = protected

-- ---- what a plugin says of itself ----

-- Where `word = ` stands in the file first, for messages about a field: ":12" or "".
local function line_of(text, word)
    local number = 0
    for line in (text .. "\n"):gmatch "([^\n]*)\n" do
        number = number + 1
        local code = line:gsub("%-%-.*$", "")
        if code:find("%f[%w_]" .. word:gsub("%W", "%%%0") .. "%f[^%w_]%s*=[^=]") then return ":" .. number end
    end
    return ""
end

local function check_needs(given, wrong)
    local known = {}
    for need in pairs(NEEDS) do known[#known + 1] = need end
    table.sort(known)
    for _, need in ipairs(given) do
        if not NEEDS[need] then
            wrong("needs", ("needs: unknown value '%s' (%s)"):format(tostring(need), table.concat(known, ", ")))
        end
    end
end

local TYPE_OF_DEFAULT <const> = { integer = "integer", float = "number", string = "string", boolean = "flag" }

-- Options of a plugin as a script would declare them: the type may follow from the default.
local function check_options(given, wrong)
    local options = {}
    for name, option in pairs(given) do
        if type(name) ~= "string" then wrong("options", "a table of options by name expected") end
        local where = "options." .. name
        if type(option) ~= "table" then wrong(name, where .. ": a table expected, got " .. type(option)) end
        local copy = {}
        for key, value in pairs(option) do
            if not has(OPTION_FIELDS, key) then
                wrong(tostring(key), ("%s: unknown field '%s'%s"):format(where, tostring(key),
                    words.hint(tostring(key), OPTION_FIELDS)))
            end
            copy[key] = value
        end
        copy.type = copy.type or copy.choices and "choice" or
            TYPE_OF_DEFAULT[math.type(copy.default) or type(copy.default)] or "string"
        options[name] = copy
    end
    local ok, checked = pcall(declaration.check, { options = options })
    if not ok then wrong("options", (tostring(checked):gsub("^.-heapsift%.script: ", ""))) end
    return checked.options
end

local SWITCH_KINDS <const> = { flag = true, address = true, ["address?"] = true }

-- What only commands have: the words that are typed, the switches behind them, and their help.
local function check_command(plugin, given, field, wrong)
    local command = given.kind == "command"
    for _, name in ipairs { "words", "switches", "usage" } do
        if given[name] ~= nil and not command then wrong(name, name .. ": only a command has it") end
    end
    if not command then return end
    plugin.words = field("words", "table", true)
    plugin.switches = field("switches", "table")
    plugin.usage = field("usage", "string")
    if #plugin.words == 0 then wrong("words", "words: at least one expected") end
    for _, word in ipairs(plugin.words) do
        if type(word) ~= "string" or not (word:find "^[!.][%l_][%l%d_.]*$" or word:find "^[?~]$"
            or word:find "^%l[%l%d]*$") then
            wrong("words", ("words: '%s': lower case letters and digits, behind ! or . if any, expected"):format(
                tostring(word)))
        end
    end
    for name, kind in pairs(plugin.switches or {}) do
        if type(name) ~= "string" or not name:find "^%l[%l%d]*$" or not (SWITCH_KINDS[kind] or math.type(kind)) then
            wrong("switches", ("switches.%s: flag, address, address? or a number of words expected"):format(
                tostring(name)))
        end
    end
end

-- What a recogniser looks for first: a text, a list of texts, or a function of the dump that gives one of them.
local function check_filters(given, recognises, wrong)
    if given == nil then return nil end
    if not recognises then wrong("filters", "filters: only a recogniser has it") end
    local kind = type(given)
    if kind ~= "string" and kind ~= "table" and kind ~= "function" then
        wrong("filters", "filters: a text, a list of texts or a function expected, got " .. kind)
    end
    return given
end

-- A checked copy of the table that a plugin returned; `text` is its source. Raises a message with file and line.
local function check(plugin, given, text)
    local function wrong(field, message)
        error(("%s%s: %s"):format(plugin.shown, line_of(text, field), message), 0)
    end
    if type(given) ~= "table" then wrong("", "a plugin returns one table, this one returned " .. type(given)) end
    for key in pairs(given) do
        if not has(FIELDS, key) then
            wrong(tostring(key), ("unknown field '%s'%s"):format(tostring(key), words.hint(tostring(key), FIELDS)))
        end
    end
    local function field(name, kind, needed)
        local value = given[name]
        if value == nil and not needed then return nil end
        if type(value) ~= kind then wrong(name, ("%s: a %s expected, got %s"):format(name, kind, type(value))) end
        return value
    end
    plugin.name = field("name", "string", true)
    if not plugin.name:find "^%a[%w_]*$" then wrong("name", "name: letters, digits and _ expected") end
    plugin.summary = field("summary", "string", true)
    plugin.kind = field("kind", "string", true)
    if not has(KINDS, plugin.kind) then
        wrong("kind", ("kind: unknown value '%s' (%s)"):format(plugin.kind, table.concat(KINDS, ", ")))
    end
    plugin.needs = table.move(field("needs", "table") or {}, 1, #(given.needs or {}), 1, {})
    check_needs(plugin.needs, wrong)
    plugin.options = check_options(field("options", "table") or {}, wrong)
    plugin.applies = field("applies", "function")
    local recognises = plugin.kind == "recogniser"
    plugin.recognise = field("recognise", "function", recognises)
    plugin.filters = check_filters(given.filters, recognises, wrong)
    plugin.run = field("run", "function", not recognises)
    check_command(plugin, given, field, wrong)
    if recognises and plugin.run then wrong("run", "run: a recogniser has recognise instead") end
    if not recognises and plugin.recognise then wrong("recognise", "recognise: only a recogniser has it") end
    return plugin
end

-- ---- finding and loading ----

local function read_text(path)
    local file <close> = io.open(path, "rb")
    return file and file:read "a" or ""
end

-- Loads the file of a plugin. Returns it checked, or nil and a message with file and line.
local function load_plugin(plugin, make_env)
    local chunk, message = sandbox.load_file(plugin.path, plugin.shown, make_env(plugin))
    if not chunk then return nil, message end
    local ok, given = protected(plugin, chunk)
    if not ok then return nil, given end
    ok, message = pcall(check, plugin, given, read_text(plugin.path))
    if not ok then
        if is_grave(message) then error(message, 0) end
        return nil, message
    end
    return plugin
end

local function by_name(a, b) return a.name < b.name end

-- Adds what the files of a folder are whose names `wanted` is true for.
local function load_folder(found, dir, wanted)
    local bundled = dir == found.data_dir .. "/plugins"
    local names = core.list_dir(dir)
    if not names then
        found.failed[#found.failed + 1] = { shown = dir, message = dir .. ": no such folder of plugins" }
    end
    for _, file in ipairs(names or {}) do
        local stem = file:match "^([%w_-]+)%.lua$"
        if stem and wanted(stem, bundled) then
            local path = dir .. "/" .. file
            local plugin, message = load_plugin({
                path = path, dir = dir, bundled = bundled, shown = bundled and "plugins/" .. file or path,
            }, found.make_env)
            if not plugin then
                found.failed[#found.failed + 1] = { shown = path, stem = stem, message = message }
            elseif not found.by_name[plugin.name] then
                found.by_name[plugin.name] = plugin
                found.list[#found.list + 1] = plugin
            end
        end
    end
    table.sort(found.list, by_name)
end

local function is_bundled_command(stem, bundled) return bundled and stem:find "^command_" ~= nil end

-- The plugins of the folders: { list = in the order of their names, by_name =, failed = { { shown =, message = } } }.
-- Of two with one name the one in the folder that comes first counts: a user's own may stand for a bundled one. Bundled
-- commands are left out: only the prompt and lists want them, and a question should not wait for them.
-- `make_env(plugin)` makes the globals of a plugin's file.
function plugins.load(plugin_dirs, data_dir, make_env)
    local found = { list = {}, by_name = {}, failed = {}, data_dir = data_dir, make_env = make_env }
    for _, dir in ipairs(plugin_dirs) do
        load_folder(found, dir, function(...) return not is_bundled_command(...) end)
    end
    return found
end

-- Adds the bundled commands, once.
function plugins.add_commands(found)
    if not found.has_commands then
        found.has_commands = true
        load_folder(found, found.data_dir .. "/plugins", is_bundled_command)
    end
    return found
end

-- ---- running ----

-- Whether a plugin has something to do on a dump: true; false and why not; nil and a message if it failed.
function plugins.applies(plugin, dump)
    for _, need in ipairs(plugin.needs) do
        if not NEEDS[need][1](dump) then return false, NEEDS[need][2] end
    end
    if not plugin.applies then return true end
    local ok, yes, why = protected(plugin, plugin.applies, dump)
    if not ok then return nil, yes end
    if yes then return true end
    return false, type(why) == "string" and why or "it does not apply to this dump"
end

local LUA_TYPES <const> = { integer = "number", number = "number", address = "number", flag = "boolean" }

-- The options a plugin is run with: defaults, and what was given. Raises a message for what does not fit.
local function options_of(plugin, given)
    local values, names = {}, {}
    for i, option in ipairs(plugin.options) do
        names[i] = option.name
        values[option.name] = option.default
        if option.default == nil and option.type == "flag" then values[option.name] = false end
    end
    for name, value in pairs(given or {}) do
        local option
        for _, each in ipairs(plugin.options) do option = each.name == name and each or option end
        if not option then
            error(("plugin %s: unknown option '%s'%s"):format(plugin.name, tostring(name),
                words.hint(tostring(name), names)), 0)
        end
        local expected = LUA_TYPES[option.type] or "string"
        if not option.many and type(value) ~= expected then
            error(("plugin %s: option '%s': a %s expected, got %s"):format(plugin.name, name, expected,
                type(value)), 0)
        end
        values[name] = value
    end
    return values
end

-- Runs a heuristic. Returns true and what its run returned; or nil, message, "not-found" | "not-applicable" | "failed".
-- Raises for wrong options.
function plugins.heuristic(found, name, dump, given, report)
    local plugin = found.by_name[name]
    if not plugin or plugin.kind ~= "heuristic" then
        for _, failed in ipairs(found.failed) do
            if failed.stem == name then return nil, failed.message, "failed" end
        end
        local names = {}
        for _, each in ipairs(found.list) do names[#names + 1] = each.kind == "heuristic" and each.name or nil end
        return nil, ("no heuristic is named '%s'%s"):format(name, words.hint(name, names)), "not-found"
    end
    local values = options_of(plugin, given)
    local yes, why = plugins.applies(plugin, dump)
    if yes == nil then return nil, why, "failed" end
    if not yes then return nil, ("%s: %s"):format(name, why), "not-applicable" end
    local ok, message = protected(plugin, plugin.run, dump, values, report)
    if not ok then return nil, message, "failed" end
    return true, message
end

-- What `heapsift run NAME` takes for a heuristic, as a script's declaration.
function plugins.declaration(plugin)
    local options = {}
    for _, option in ipairs(plugin.options) do
        options[option.name] = { type = option.type, default = option.default, doc = option.doc, many = option.many,
                                 choices = option.choices, min = option.min, max = option.max }
    end
    return declaration.check { summary = plugin.summary, options = options,
                               json = ("heapsift.plugin.%s/1"):format(plugin.name) }
end

return plugins
