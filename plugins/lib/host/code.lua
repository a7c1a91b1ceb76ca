-- code.lua: a hash over all the Lua that a script may run on a dump: itself, every plugin, and the modules that they
-- require by a name that stands in their text. When it changes, what was found before counts as not done.

local core = require "host.core"
local engine = require "heapsift"
local scripts = require "host.scripts"

local code = {}

local function read_text(path)
    local file <close> = io.open(path, "rb")
    return file and file:read "a"
end

-- Where `require(name)` in a file of folder `dir` may lead to.
local function places_of(name, dir, script_dir, plugin_dirs)
    local file = name:gsub("%.", "/")
    local places = {}
    for _, beside in ipairs { dir, script_dir } do
        places[#places + 1] = beside .. "/" .. file .. ".lua"
        places[#places + 1] = beside .. "/" .. file .. "/init.lua"
    end
    for _, plugins in ipairs(plugin_dirs) do
        for _, form in ipairs { "/%s.lua", "/lib/%s.lua", "/lib/%s/init.lua" } do
            places[#places + 1] = plugins .. form:format((file:gsub("%%", "%%%%")))
        end
    end
    return places
end

-- 64 hex digits. `script`: as host.scripts gives it, or a plugin.
function code.hash(data_dir, script, given_dirs)
    local plugin_dirs = scripts.plugin_dirs(data_dir, given_dirs)
    local waiting, seen, parts = { script.path }, {}, {}
    for _, dir in ipairs(plugin_dirs) do
        for _, file in ipairs(core.list_dir(dir) or {}) do
            if file:find "^[%w_-]+%.lua$" then waiting[#waiting + 1] = dir .. "/" .. file end
        end
    end
    while #waiting > 0 do
        local path = table.remove(waiting, 1)
        local text = not seen[path] and core.kind(path) == "file" and read_text(path)
        seen[path] = true
        if text then
            parts[#parts + 1] = core.sha256(text)
            for name in text:gmatch "require%s*%(?%s*[\"']([%w_.-]+)[\"']" do
                for _, place in ipairs(places_of(name, path:match "^(.*)/" or ".", script.dir, plugin_dirs)) do
                    waiting[#waiting + 1] = place
                end
            end
        end
    end
    table.sort(parts) -- the folders may lie elsewhere, on another machine
    return core.sha256(engine.version .. "\n" .. table.concat(parts, "\n"))
end

return code
