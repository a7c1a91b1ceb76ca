-- main.lua: the first Lua code of the program: works out what the command line asks for and returns the exit code.
-- Called by the host with its table of C functions, the data folder and the words of the command line.

local core, data_dir, line = ...

package.preload["host.core"] = function() return core end
package.path = data_dir .. "/plugins/lib/?.lua;" .. data_dir .. "/plugins/lib/?/init.lua;" .. package.path

-- What only one command needs is loaded by it: each start of the program, and each dump of a batch, would wait for it.
local ends = require "host.ends"
local options = require "host.options"
local out = require "host.out"
local reference = require "host.reference"
local run = require "host.run"
local scripts = require "host.scripts"
local words = require "host.words"

core.set_ends(function(code, text) ends.fail(code, text, false) end, ends.stop)

local COMMANDS <const> = { "run", "batch", "merge", "shell", "list", "help", "version" }

local USAGE <const> = [[
Usage: heapsift run NAME|FILE.lua INPUT [ARG...] [options]
       heapsift NAME INPUT [ARG...] [options]      the same for a bundled script
       heapsift batch NAME|FILE.lua PATH... --out FILE.db [options]      over many dumps; see heapsift help batch
       heapsift shell DUMP [-c 'CMD; CMD' | -f FILE]  the debugger's commands and Lua at one prompt
       heapsift merge OUT.db PART.db...                                  joins results of batches
       heapsift list                               the bundled scripts, and all plugins
       heapsift help [NAME|FILE.lua]               what a script or plugin does and takes; or a name of the Lua surface,
                                                   such as dump:blocks, set, block; or filter
       heapsift version

Every script knows --help and --json. Addresses and trace indexes are hex with or without 0x (0n for decimal), numbers
of options are decimal unless 0x.
Exit codes: 0 done; 1 a finding at or above --fail-on; 2 usage; 3 the input cannot be read as a dump; 4 done, but part
of what was asked for could not be read; 5 a script or limit failed; 6 what was asked for is not there; 7 native code
that a script called crashed.
]]

local function list(common)
    local rows, widest = {}, 0
    for _, name in ipairs(scripts.names(data_dir)) do
        local given, wrong = run.declaration(data_dir, common, scripts.bundled(data_dir, name))
        rows[#rows + 1] = { name, given and given.summary or wrong and "cannot be run: " .. wrong or "" }
        widest = math.max(widest, #name)
    end
    local found = run.all_plugins(data_dir, common)
    for _, plugin in ipairs(found.list) do widest = math.max(widest, #plugin.name) end
    for _, row in ipairs(rows) do
        core.print((("%-" .. widest .. "s  %s"):format(row[1], row[2]):gsub("%s+$", "")))
    end
    if #found.list + #found.failed > 0 then core.print "\nplugins" end
    for _, plugin in ipairs(found.list) do
        core.print(("%-" .. widest .. "s  %s: %s%s"):format(plugin.name, plugin.kind, plugin.summary,
            plugin.bundled and "" or " (" .. plugin.shown .. ")"))
    end
    for _, failed in ipairs(found.failed) do core.print("cannot be loaded: " .. failed.message) end
    return 0
end

-- The plugin that a word means where it is no script; nil if there is none. With `to_run` only a heuristic will do.
local function plugin_of(common, word, to_run)
    if word:find "[/\\]" or word:find "%.lua$" or scripts.bundled(data_dir, word) then return nil end
    local found = run.all_plugins(data_dir, common)
    local plugin = found.by_name[word]
    if not plugin then
        for _, failed in ipairs(found.failed) do
            if failed.stem == word then ends.fail("failed", failed.message, false) end
        end
        return nil
    end
    if to_run and plugin.kind ~= "heuristic" then
        ends.fail("usage", ("a %s, not a script; see heapsift help %s"):format(plugin.kind, word), word)
    end
    return plugin
end

local COMMAND_HELP <const> = {
    batch = function() return require "host.batch_options".USAGE end,
    merge = function() return require "host.merge".USAGE end,
    shell = function() return require "host.shell".usage end,
}

-- The help of a command, a script or plugin, or else of a function, method or object of the Lua surface.
local function help_of(common, word)
    if COMMAND_HELP[word] then
        core.write(COMMAND_HELP[word]())
        return 0
    end
    local plugin = plugin_of(common, word)
    if plugin then
        core.write(run.plugin_help(plugin))
        return 0
    end
    if not word:find "[/\\]" and not word:find "%.lua$" and not scripts.bundled(data_dir, word) then
        local text, names = reference.help(data_dir, word)
        if text then
            core.write(text)
            return 0
        end
        for _, name in ipairs(scripts.names(data_dir)) do names[#names + 1] = name end
        ends.fail("usage", ("neither a script nor a plugin nor a name of the Lua surface%s; see heapsift list"):format(
            words.hint(word, names)), word)
    end
    local script = scripts.find(data_dir, word)
    local text, wrong = run.help(data_dir, common, script)
    if not text then ends.fail("failed", wrong, false) end
    core.write(text)
    local object = not script.file and reference.help(data_dir, word, true)
    if object then core.write(("\nThe Lua object of that name: %s"):format(object)) end
    return 0
end

-- Every name a script can use, one a line as "class.name": what the reference is compared with.
local function surface()
    local classes = { heapsift = run.surface_of {}, report = require "host.report".methods,
                      types = require "types".methods, native = require "native".methods }
    for name, members in pairs(core.surface()) do classes[name:gsub("^heapsift%.", "")] = members end
    local lines = {}
    for class, members in pairs(classes) do
        for member in pairs(members) do lines[#lines + 1] = class .. "." .. member end
    end
    table.sort(lines)
    core.write(table.concat(lines, "\n") .. "\n")
    return 0
end

local function run_word(common, rest)
    local word = table.remove(rest, 1)
    if common.help then return help_of(common, word) end
    local plugin = plugin_of(common, word, true)
    if plugin then return run.heuristic(data_dir, common, plugin, rest) end
    return run.script(data_dir, common, scripts.find(data_dir, word), rest)
end

-- `extra`: what a task of a cluster adds to its options.
local function run_batch(common, rest, extra)
    local batch_options = require "host.batch_options"
    if common.help then
        core.write(batch_options.USAGE)
        return 0
    end
    local given = batch_options.parse(rest)
    if given.attach then return require "host.slurm".attach(common, given) end
    if given.cancel then return require "host.slurm".cancel(common, given) end
    for name, value in pairs(extra or {}) do given[name] = value end
    local plugin = plugin_of(common, given.script, true)
    local run_on = require(given.engine == "slurm" and "host.slurm" or "host.batch").run
    return run_on(data_dir, common, given, plugin or scripts.find(data_dir, given.script), plugin ~= nil)
end

-- The child of a batch that runs the script on one dump: OPEN THREADS SCRIPT INPUT WORD...
local function run_worker(common, rest)
    local open, threads, word = table.unpack(rest, 1, 3)
    local script_line = table.move(rest, 4, #rest, 1, {})
    local worker = { open = open, threads = math.tointeger(tonumber(threads)) }
    local plugin = plugin_of(common, word, true)
    if plugin then return run.heuristic(data_dir, common, plugin, script_line, worker) end
    return run.script(data_dir, common, scripts.find(data_dir, word), script_line, worker)
end

-- The child of a batch that unpacks: ARCHIVE FOLDER SIZE
local function run_unpacker(path, folder, size)
    local ok, message, kind = core.unpack(path, folder, math.tointeger(tonumber(size)))
    if not ok then ends.fail(kind == "format" and "input" or "failed", message, path) end
    return 0
end

-- For a line that begins with a file or folder where a command belongs: what its writer may have wanted, or nil.
local function what_was_meant(word)
    local file = io.open(word, "rb")
    if not file then return nil end
    local _, wrong = file:read(1)
    file:close()
    if wrong then return "over the dumps of a folder goes `heapsift batch who FOLDER --out results.db`" end
    if word:find "%.lua$" then return "a script runs with `heapsift run FILE.lua DUMP`" end
    return "the verdict on a dump is `heapsift who FILE`"
end

-- Sees to the common options among these words; returns them, and the words that are left.
local function set_up(given_words)
    local common, rest = options.split(given_words)
    if common.memory_limit then core.set_memory_limit(common.memory_limit) end
    core.set_progress(not common.no_progress and os.getenv "TERM" ~= "dumb")
    out.set_colour((common.json or rest[1] == ":worker") and "never" or common.color or "auto")
    local symbols = table.move(common.symbols or {}, 1, #(common.symbols or {}), 1, {})
    symbols[#symbols + 1] = os.getenv "_NT_SYMBOL_PATH"
    core.set_symbol_path(table.concat(symbols, ";"))
    core.set_windbg_names(common.windbg_names or false)
    core.set_name_form(common.undname or "short")
    return common, rest
end

local function dispatch(common, rest)
    local word = rest[1]
    if not word then
        if common.help then
            core.write(USAGE)
            return 0
        end
        ends.fail("usage", "what to do? `heapsift help` tells", false)
    end
    if word == "--version" or word == "version" then
        core.print("heapsift " .. require "heapsift".version)
        return 0
    end
    if word:find "^%-" then ends.fail("usage", ("unknown option '%s'; see heapsift help"):format(word), false) end
    if word == "batch" then return run_batch(common, table.move(rest, 2, #rest, 1, {})) end
    if word == "merge" then
        local merge = require "host.merge"
        if common.help then
            core.write(merge.USAGE)
            return 0
        end
        return merge.run(table.move(rest, 2, #rest, 1, {}), common.json)
    end
    if word == ":slurm-task" then
        return require "host.slurm".run_task(rest[2], function(task_line, extra)
            local task_common, task_rest = set_up(task_line)
            return run_batch(task_common, task_rest, extra)
        end)
    end
    if word == ":unpack" then return run_unpacker(table.unpack(rest, 2, 4)) end
    if word == ":worker" then
        common.json = true -- what is printed goes to stderr
        return run_worker(common, table.move(rest, 2, #rest, 1, {}))
    end
    if word == "run" then
        table.remove(rest, 1)
        if not rest[1] then
            if common.help then
                core.write(USAGE)
                return 0
            end
            ends.fail("usage", "run: the name of a script expected; see heapsift list", false)
        end
        if rest[1]:find "^%-" then
            ends.fail("usage", ("unknown option '%s' before the name of a script"):format(rest[1]), false)
        end
        return run_word(common, rest)
    end
    if word == "shell" then
        table.remove(rest, 1)
        return run.shell(data_dir, common, rest)
    end
    if word == "list" then return list(common) end
    if word == "help" then
        if rest[2] == ":surface" then return surface() end
        if rest[2] then return help_of(common, rest[2]) end
        core.write(USAGE)
        return 0
    end
    if scripts.bundled(data_dir, word) then return run_word(common, rest) end
    local meant = what_was_meant(word)
    if meant then ends.fail("usage", ("a command is missing; %s"):format(meant), word) end
    local known = scripts.names(data_dir)
    table.move(COMMANDS, 1, #COMMANDS, #known + 1, known)
    ends.fail("usage", ("neither a command nor a script%s; see heapsift help"):format(words.hint(word, known)), word)
end

local function main()
    return dispatch(set_up(line))
end

local ok, result, stdout_error = core.guard(main, function(e)
    return ends.is(e) and e or debug.traceback(tostring(e), 2)
end)
if stdout_error then return 0 end -- the host says why, unless it is only that nobody reads on
if ok then return result end
if not ends.is(result) then
    if tostring(result):find "not enough memory" then
        core.memory_reached()
        out.complain "out of memory: see --memory-limit"
        return 5
    end
    error(result, 0)
end
if result.text then
    local subject = type(result.subject) == "string" and core.escape(result.subject) .. ": " or ""
    out.complain(subject .. core.escape(result.text))
end
return result.code
