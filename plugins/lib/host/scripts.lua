-- scripts.lua: where scripts are, and which one a name on the command line means.

local core = require "host.core"
local ends = require "host.ends"
local words = require "host.words"

local scripts = {}

-- Folders with plugins: those of --plugins, of HEAPSIFT_PLUGINS, and our own.
function scripts.plugin_dirs(data_dir, given)
    local dirs = {}
    for _, dir in ipairs(given or {}) do
        if core.kind(dir) ~= "directory" then
            ends.fail("usage", ("option '--plugins': no such folder: %s"):format(dir), false)
        end
        dirs[#dirs + 1] = dir
    end
    for dir in (os.getenv "HEAPSIFT_PLUGINS" or ""):gmatch "[^:]+" do dirs[#dirs + 1] = dir end
    dirs[#dirs + 1] = data_dir .. "/plugins"
    return dirs
end

-- Names of the bundled scripts, in order.
function scripts.names(data_dir)
    local names = {}
    for _, file in ipairs(core.list_dir(data_dir .. "/scripts") or {}) do
        local name = file:match "^([%w_-]+)%.lua$"
        if name then names[#names + 1] = name end
    end
    return names
end

function scripts.bundled(data_dir, name)
    local path = ("%s/scripts/%s.lua"):format(data_dir, name)
    if not name:find "^[%w_-]+$" or core.kind(path) ~= "file" then return nil end
    return { name = name, path = path, dir = data_dir .. "/scripts", shown = ("scripts/%s.lua"):format(name) }
end

-- The script that NAME or FILE.lua means; ends with a usage error if there is none.
function scripts.find(data_dir, word)
    if not word:find "[/\\]" and not word:find "%.lua$" then
        local script = scripts.bundled(data_dir, word)
        if script then return script end
        ends.fail("usage", ("no script of that name%s; see heapsift list"):format(
            words.hint(word, scripts.names(data_dir))), word)
    end
    local kind = core.kind(word)
    if kind == "directory" then ends.fail("usage", "a folder, not a script", word) end
    if not kind then ends.fail("usage", "no such script file", word) end
    return { name = word:match "([^/]+)%.lua$" or word:match "[^/]+$", path = word, shown = word,
             dir = word:match "^(.*)/[^/]*$" or ".", file = true }
end

return scripts
