-- sandbox.lua: the world a script lives in: chosen libraries, its own copies of them, no files, and no unknown globals.

local core = require "host.core"
local ends = require "host.ends"
local out = require "host.out"
local words = require "host.words"

local sandbox = {}

local BASE <const> = { "assert", "error", "getmetatable", "ipairs", "next", "pairs", "rawequal", "rawget", "rawlen",
                       "rawset", "select", "tonumber", "tostring", "type", "_VERSION" }
local LIBRARIES <const> = { "table", "string", "math", "utf8", "coroutine" }

local function copy(from)
    local to = {}
    for key, value in pairs(from) do to[key] = value end
    return to
end

-- ---- base functions that must not be had as they are ----

-- What ends the program passes through every pcall.
local function hand_on(ok, ...)
    if not ok and ends.is((...)) then error((...), 0) end
    return ok, ...
end

local function safe_pcall(f, ...)
    return hand_on(pcall(f, ...))
end

local function safe_xpcall(f, handler, ...)
    return hand_on(xpcall(f, function(e)
        if ends.is(e) then return e end
        return handler(e)
    end, ...))
end

-- A finalizer runs in the middle of anything, so scripts have none; `local x <close>` is what they want.
local function safe_setmetatable(value, meta)
    if type(meta) == "table" and rawget(meta, "__gc") ~= nil then
        error("setmetatable: __gc is not available to scripts (use <close>)", 2)
    end
    return setmetatable(value, meta)
end

local function safe_collectgarbage(option)
    if option == nil or option == "collect" or option == "count" or option == "step" then
        return collectgarbage(option)
    end
    error("collectgarbage: only collect, count and step are available to scripts", 2)
end

-- ---- require ----

local DATA_FORMS <const> = { "?.lua", "lib/?.lua", "lib/?/init.lua" }
local BESIDE_FORMS <const> = { "?.lua", "?/init.lua" }

local compiled = {} -- a path: { text =, shown =, code = }; each plugin has copies of its own of what it requires

-- Loads text chunks only. `shown` is how errors name the file.
function sandbox.load_file(path, shown, env)
    local file, message = io.open(path, "rb")
    if not file then return nil, message end
    local text = file:read "a"
    file:close()
    if not text then return nil, path .. ": cannot be read" end
    if text:sub(1, 2) == "#!" then text = "--" .. text end
    local known = compiled[path]
    if known and known.text == text and known.shown == shown then return load(known.code, nil, "b", env) end
    local chunk, wrong = load(text, "@" .. shown, "t", env)
    if chunk then compiled[path] = { text = text, shown = shown, code = string.dump(chunk) } end
    return chunk, wrong
end

local function make_require(context, env, loaded)
    local dirs_of = { ["@" .. context.script.shown] = context.script.dir } -- chunk name -> its folder
    local by_path = {}

    local function try(dir, forms, name)
        for _, form in ipairs(forms) do
            local path = dir .. "/" .. form:gsub("%?", (name:gsub("%%", "%%%%")))
            if core.kind(path) == "file" then return path end
        end
    end

    -- Beside the file that asks, beside the script, then the plugin folders.
    local function find(name, from)
        local path = from and try(from, BESIDE_FORMS, name) or try(context.script.dir, BESIDE_FORMS, name)
        if path then return path end
        for _, dir in ipairs(context.plugin_dirs) do
            path = try(dir, DATA_FORMS, name)
            if path then return path end
        end
    end

    return function(name)
        if type(name) ~= "string" then error("require: a name expected, got " .. type(name), 2) end
        if loaded[name] ~= nil then return loaded[name] end
        if not name:find "^[%w_][%w_-]*[%w_.-]*$" or name:find("..", 1, true) or name:find "^host%f[.\0]" then
            error(("require: '%s' is not a name of a module"):format(name), 2)
        end
        local caller = debug.getinfo(2, "S")
        local path = find(name:gsub("%.", "/"), caller and dirs_of[caller.source])
        if not path then
            error(("module '%s' is neither beside the script nor in a plugin folder"):format(name), 2)
        end
        if by_path[path] ~= nil then return by_path[path] end
        local shown = path
        if path:sub(1, #context.data_dir + 1) == context.data_dir .. "/" then
            shown = path:sub(#context.data_dir + 2)
        end
        local chunk, message = sandbox.load_file(path, shown, env)
        if not chunk then error(message, 0) end
        dirs_of["@" .. shown] = path:match "^(.*)/"
        by_path[path] = true -- a module that requires itself gets this
        local value = chunk(name, path)
        if value ~= nil then by_path[path] = value end
        return by_path[path]
    end
end

-- ---- the environment ----

-- A read-only face of a table; unknown fields raise.
local function strict(name, fields)
    return setmetatable({}, {
        __metatable = name,
        __index = function(_, key)
            local value = fields[key]
            if value ~= nil then return value end
            local names = {}
            for known in pairs(fields) do names[#names + 1] = known end
            table.sort(names)
            error(("%s has no field '%s'%s"):format(name, tostring(key), words.hint(tostring(key), names)), 2)
        end,
        __newindex = function() error(("fields of %s cannot be set"):format(name), 2) end,
        __pairs = function() return next, copy(fields), nil end,
    })
end

local function assigned_by_chunk()
    local info = debug.getinfo(3, "S")
    return info and (info.what == "main" or info.what == "C")
end

-- Makes the globals of a script. `surface`: the fields of `heapsift`; `late(name)`: gives dump, args or report when it
-- is first asked for, nil for any other name.
function sandbox.new(context, surface, late)
    local env = {}
    for _, name in ipairs(BASE) do env[name] = _G[name] end
    for _, name in ipairs(LIBRARIES) do env[name] = copy(_G[name]) end
    env.string.dump = nil
    env.pcall, env.xpcall = safe_pcall, safe_xpcall
    env.setmetatable, env.collectgarbage = safe_setmetatable, safe_collectgarbage
    env.coroutine.resume = function(...) return hand_on(coroutine.resume(...)) end
    env.coroutine.close = function(...) return hand_on(coroutine.close(...)) end
    env.load = function(chunk, name, _, chunk_env)
        return load(chunk, name or "=load", "t", chunk_env == nil and env or chunk_env)
    end
    env.print = out.print
    env.lpeg = copy(require "lpeg")
    env.heapsift = strict("heapsift", surface)
    if context.common.allow_files then env.io, env.os = io, os end
    env._G = env

    local loaded = { lpeg = env.lpeg, heapsift = env.heapsift }
    for _, name in ipairs(LIBRARIES) do loaded[name] = env[name] end
    env.require = make_require(context, env, loaded)

    -- "x".__index must not lead to the host's own string functions, nor be changed.
    local string_meta = debug.getmetatable("")
    string_meta.__metatable = "string"

    return setmetatable(env, {
        __metatable = "globals",
        __index = function(_, name)
            local value = late(name)
            if value ~= nil then return value end
            local names = { "dump", "args", "report", "results" }
            for known in pairs(env) do names[#names + 1] = known end
            table.sort(names)
            error(("unknown global '%s'%s"):format(tostring(name), words.hint(tostring(name), names)), 2)
        end,
        __newindex = function(_, name, value)
            if not assigned_by_chunk() then
                error(("assignment to unknown global '%s' (write `local`)"):format(tostring(name)), 2)
            end
            rawset(env, name, value)
        end,
    })
end

return sandbox
