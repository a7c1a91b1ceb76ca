-- complete.lua: what can stand where the cursor is: commands, heaps, modules, symbols, fields of Lua objects.

local core = require "host.core"
local commands = require "host.commands"

local complete = {}

local MOST <const> = 400

local function starts(text, with)
    return text:sub(1, #with):lower() == with:lower()
end

local function symbols(dump, module_name, prefix)
    local found = {}
    local module = dump:module(module_name)
    for _, symbol in ipairs(module and module:find_symbols(prefix:gsub("[*?]", "") .. "*") or {}) do
        if #found == MOST then break end
        if not symbol.name:find "%s" then found[#found + 1] = module_name .. "!" .. symbol.name end
    end
    return found
end

-- Fields and methods behind a path of names such as `dump` or `dump.traces`: only facts are read, nothing is called.
local function members(env, path)
    local value
    for name in path:gmatch "[%w_]+" do
        if value == nil then value = env[name] else value = value[name] end
        if value == nil then return {} end
    end
    local names = {}
    local surface = type(value) == "userdata" and core.surface()[getmetatable(value)]
    for name in pairs(surface or type(value) == "table" and value or {}) do
        if type(name) == "string" then names[#names + 1] = name end
    end
    return names
end

local function globals(env)
    local names = { "dump", "report" }
    for name in pairs(env) do names[#names + 1] = type(name) == "string" and name or nil end
    return names
end

local function candidates(shell, before)
    local dump = shell.dump
    local path, mark, member = before:match "([%a_][%w_.]*)([.:])([%w_]*)$"
    if path then
        local list = {}
        for _, name in ipairs(members(shell.env, path)) do list[#list + 1] = name end
        return #member, list, mark
    end
    local word = before:match "[%w_.!?~$@:]*$"
    if before:sub(1, #before - #word):find "^%s*$" then
        local list = globals(shell.env)
        table.move(commands.of(shell.context).words, 1, #commands.of(shell.context).words, #list + 1, list)
        return #word, list
    end
    local module_name, prefix = word:match "^([%w_]+)!(.*)$"
    if module_name then return #word, symbols(dump, module_name, prefix) end
    local list = {}
    if before:find "^%s*!heap" then
        for heap in dump:heaps() do
            list[#list + 1] = (dump.pointer_size == 8 and "%016x" or "%08x"):format(heap.address)
        end
    elseif before:find "^%s*%.help%s" then
        table.move(commands.of(shell.context).words, 1, #commands.of(shell.context).words, 1, list)
    else
        for _, name in ipairs(globals(shell.env)) do list[#list + 1] = name end
    end
    for module in dump:modules() do
        list[#list + 1] = before:find "^%s*lm" and module.name or module.name .. "!"
    end
    return #word, list
end

-- For the editor: function (text before the cursor) -> bytes that are replaced, candidates with a newline each.
function complete.completer(shell)
    return function(before)
        local typed, list = candidates(shell, before)
        local prefix = before:sub(#before - typed + 1)
        local fitting, seen = {}, {}
        for _, each in ipairs(list) do
            if starts(each, prefix) and not seen[each] and core.escape(each) == each and #fitting < MOST then
                seen[each] = true
                fitting[#fitting + 1] = each
            end
        end
        table.sort(fitting)
        return typed, #fitting > 0 and table.concat(fitting, "\n") .. "\n" or ""
    end
end

return complete
