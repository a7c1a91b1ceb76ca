-- run.lua: runs one script: its declaration, its command line, its dump, what it reports, and its exit code.

local core = require "host.core"
local commands = require "host.commands"
local engine = require "heapsift"
local declaration = require "host.declaration"
local ends = require "host.ends"
local json = require "host.json"
local options = require "host.options"
local out = require "host.out"
local plugins = require "host.plugins"
local recognisers = require "host.recognisers"
local record = require "host.record"
local report = require "host.report"
local sandbox = require "host.sandbox"
local scripts = require "host.scripts"
local words = require "host.words"

local run = {}

-- ---- what heapsift.script makes of the command line ----

local function open_input(context, path)
    local worker = context.worker
    local dump, text, code = engine.open(worker and worker.open or path,
        worker and { threads = worker.threads, name = path })
    if not dump then ends.fail(code == "memory" and "failed" or "input", text) end
    if worker then core.hand_over(record.facts(dump)) end
    return dump
end

local function open_results(path)
    local results, text, code = core.results(path)
    if not results then ends.fail(code == "memory" and "failed" or "input", text) end
    return results
end

-- The input is known now: messages name it from here on.
local function set_input(context, path)
    context.input = path
    core.set_input(core.escape(path))
end

local function declare(context, given)
    if context.declaration then error("heapsift.script: called twice", 3) end
    context.declaration = given
    if context.only_declaration then ends.declared(given) end
    if context.preset then
        for _, option in ipairs(given.options) do
            if context.preset[option.name] == nil then context.preset[option.name] = option.default end
        end
        context.globals.args = context.preset
        return
    end
    local name = context.script.file and context.script.shown or context.script.name
    local args, paths = options.parse(name, given, context.line, context.common)
    context.paths = paths
    context.globals.args = args
    context.globals.report = report.new()
    core.set_text_to_stderr(args.json)
    if given.input == "none" then return end
    set_input(context, args.input)
    if given.input == "dump" then
        context.dump = open_input(context, args.input)
        context.globals.dump = context.dump
    elseif given.input == "results" then
        context.globals.results = open_results(args.input)
    end
end

-- ---- the fields of `heapsift` that the host makes ----

-- A plugin failed: a note at the end, once.
local function plugin_failed(context, message)
    for _, note in ipairs(context.plugin_notes) do
        if note == message then return end
    end
    table.insert(context.plugin_notes, message)
end

local FAIL_CODES <const> = { "usage", "input", "failed", "missing" }

-- `home`: { dir = } of the plugin that they are for, if it is not the script.
function run.surface_of(context, home)
    local surface = {}
    for key, value in pairs(engine) do surface[key] = value end

    function surface.script(given)
        if type(given) ~= "table" then error("heapsift.script: a table expected, got " .. type(given), 2) end
        declare(context, declaration.check(given))
    end

    function surface.fail(code, text)
        if not ends.codes[code] then
            error(("heapsift.fail: a code (%s) expected, got '%s'"):format(table.concat(FAIL_CODES, ", "),
                tostring(code)), 2)
        end
        if type(text) ~= "string" then error("heapsift.fail: a text expected, got " .. type(text), 2) end
        ends.fail(code, text)
    end

    function surface.output(path)
        if type(path) ~= "string" then error("heapsift.output: a path expected, got " .. type(path), 2) end
        if not (context.paths and context.paths[path]) and not context.common.allow_files then
            error("heapsift.output: only a path that the user named can be written: " .. path, 2)
        end
        if context.dump and context.input and core.same_file(path, context.input) then
            ends.fail("usage", "cannot be written: it is the dump that is read", path)
        end
        local file, why = core.output(path)
        if not file then ends.fail("failed", ("cannot write %s: %s"):format(path, why), false) end
        return file
    end

    function surface.results(path)
        if type(path) ~= "string" then error("heapsift.results: a path expected, got " .. type(path), 2) end
        return core.results(path)
    end

    function surface.input(path)
        if type(path) ~= "string" then error("heapsift.input: a path expected, got " .. type(path), 2) end
        local folder = path:match "^(.*)/[^/]+$"
        local named = context.paths and (context.paths[path] or folder and context.paths[folder])
        if not named and not context.common.allow_files then
            error("heapsift.input: only a path that the user named, or a file in a folder so named, can be read: "
                .. path, 2)
        end
        local file <close>, why = io.open(path, "rb")
        if not file then return nil, why end
        local bytes, wrong = file:read "a"
        if not bytes then return nil, wrong end
        return bytes
    end

    surface.write, surface.heading, surface.width = out.write, out.heading, out.width

    function surface.undecorate(name, form)
        if type(name) ~= "string" then error("heapsift.undecorate: a name expected, got " .. type(name), 2) end
        if form ~= nil and form ~= "short" and form ~= "full" then
            error(("heapsift.undecorate: a form (short, full) expected, got '%s'"):format(tostring(form)), 2)
        end
        return require "undecorate".name(name, form)
    end

    local function check_dump(name, dump)
        if not tostring(dump):find "^dump" or type(dump) ~= "userdata" then
            error(("heapsift.%s: a dump expected, got %s"):format(name, type(dump)), 3)
        end
    end

    function surface.recognise(dump)
        check_dump("recognise", dump)
        local done = context.recognised[dump]
        if done == "running" then error("heapsift.recognise: called by a recogniser", 2) end
        if not done then
            context.recognised[dump] = "running"
            local notes, facts = recognisers.run(run.plugins(context), dump)
            done = { notes = notes, facts = facts }
            context.recognised[dump] = done
            for _, note in ipairs(notes) do plugin_failed(context, note) end
        end
        return table.move(done.notes, 1, #done.notes, 1, {}), done.facts
    end

    function surface.heuristic(name, dump, given, its_report)
        if type(name) ~= "string" then error("heapsift.heuristic: a name expected, got " .. type(name), 2) end
        check_dump("heuristic", dump)
        if given ~= nil and type(given) ~= "table" then
            error("heapsift.heuristic: options: a table expected, got " .. type(given), 2)
        end
        if its_report == nil then its_report = context.globals.report end
        local found = run.plugins(context)
        local plugin = found.by_name[name]
        for _, need in ipairs(plugin and plugin.needs or {}) do
            if need == "labels" then surface.recognise(dump) end
        end
        local ok, done, message, code = pcall(plugins.heuristic, found, name, dump, given, its_report)
        if not ok then error(done, ends.is(done) and 0 or 2) end
        if code == "failed" then plugin_failed(context, message) end
        return done, message, code
    end

    function surface.types(dump)
        check_dump("types", dump)
        return require "types".of(dump, { rows = core.rows, print = out.print, hint = words.hint })
    end

    surface.allow_native = context.common and context.common.allow_native or false

    -- A name without a folder is looked for beside the script or plugin first.
    function surface.native(path, declarations)
        if type(path) ~= "string" then error("heapsift.native: a path expected, got " .. type(path), 2) end
        if declarations ~= nil and type(declarations) ~= "string" then
            error("heapsift.native: declarations (a text) expected, got " .. type(declarations), 2)
        end
        if not context.common.allow_native then
            error(("heapsift.native: %s: native code runs only with --allow-native"):format(path), 2)
        end
        local beside = (home or context.script).dir .. "/" .. path
        if not path:find("/", 1, true) and core.kind(beside) == "file" then path = beside end
        return require "native".open(path, declarations, { core = core.native, hint = words.hint })
    end

    function surface.attribution(dump, given)
        check_dump("attribution", dump)
        if given ~= nil and type(given) ~= "table" then
            error("heapsift.attribution: options: a table expected, got " .. type(given), 2)
        end
        if context.recognised[dump] == "running" then error("heapsift.attribution: called by a recogniser", 2) end
        surface.recognise(dump)
        return require "attribution".of(dump, core.attribution, given)
    end
    return surface
end

-- While only the declaration is wanted, nothing else may be seen of the script.
local function mute(surface)
    local function leave() ends.declared(false) end
    surface.write, surface.heading, surface.width = function() end, function() end, function() end
    surface.open, surface.input, surface.output, surface.results = leave, leave, leave, leave
    surface.fail = leave
    surface.recognise, surface.heuristic, surface.attribution = leave, leave, leave
    surface.types, surface.native = leave, leave
end

-- Globals of a plugin's file: those of a script but for dump, args and report, which its functions are given.
local function plugin_environment(context, plugin)
    local its_context = setmetatable({ script = { shown = plugin.shown, dir = plugin.dir } }, { __index = context })
    local surface = run.surface_of(context, its_context.script)
    function surface.script() error("heapsift.script: a plugin has options in its table instead", 2) end
    return sandbox.new(its_context, surface, function() return nil end)
end

-- The plugins of the folders, loaded when first asked for; see plugins.load.
function run.plugins(context)
    if not context.loaded_plugins then
        context.loaded_plugins = plugins.load(context.plugin_dirs, context.data_dir, function(plugin)
            return plugin_environment(context, plugin)
        end)
    end
    return context.loaded_plugins
end

-- The same with the bundled commands.
local function all_plugins(context)
    return plugins.add_commands(run.plugins(context))
end

local LATE <const> = { dump = true, args = true, report = true, results = true }

local function environment(context)
    local surface = run.surface_of(context)
    if context.only_declaration then mute(surface) end
    local env = sandbox.new(context, surface, function(name)
        if not LATE[name] then return nil end
        if not context.declaration then
            if context.only_declaration then ends.declared(false) end
            declare(context, declaration.check {})
        end
        local value = context.globals[name]
        if value == nil then
            error(("there is no %s: the script's input is '%s'"):format(name, context.declaration.input), 3)
        end
        return value
    end)
    if context.only_declaration then env.print = surface.write end
    return env
end

-- ---- running ----

local function handler(e)
    if ends.is(e) then return e end
    local text = type(e) == "string" and e or ("the error object is a %s value"):format(type(e))
    local trace = debug.traceback(nil, 2):gsub("\n%s*%[C%]: in function 'xpcall'\n[^\n]*lib/host/run%.lua.*$", "")
    return { bug = text, traceback = trace }
end

local function dump_object(dump)
    if not dump then return nil end
    return json.object {
        { "path", dump.path }, { "arch", dump.arch }, { "pointer_size", dump.pointer_size },
        { "windows", dump.windows }, { "service_pack", dump.service_pack }, { "global_flag", dump.global_flag },
    }
end

local function new_context(data_dir, common, script, line)
    return {
        data_dir = data_dir, common = common, script = script, line = line, globals = {},
        plugin_notes = {}, recognised = setmetatable({}, { __mode = "k" }),
        plugin_dirs = scripts.plugin_dirs(data_dir, common.plugins),
        all_plugins = all_plugins, run_inside = run.inside, protected = plugins.protected, dump_object = dump_object,
    }
end

-- What a script returns is nobody's business; but a plugin that is run as a script would do nothing, and not say so.
local function no_plugin(context, returned)
    if type(returned) == "table" and type(returned.kind) == "string" then
        ends.fail("usage", ("%s is no script, but a plugin of kind %s: put it into a folder for --plugins"):format(
            context.script.shown, returned.kind))
    end
end

-- Runs the chunk; returns nil or what it ended with.
local function execute(context)
    local env = environment(context)
    local chunk, message = sandbox.load_file(context.script.path, context.script.shown, env)
    if not chunk then return { bug = message } end
    local ok, e = xpcall(chunk, handler)
    if ok then ok, e = xpcall(no_plugin, handler, context, e) end
    if ok then return nil end
    if type(e) == "string" then e = { bug = e } end -- out of memory comes without the handler
    return e
end

-- The declaration of a script: checked, or false if it makes none, or nil and what is wrong with it.
function run.declaration(data_dir, common, script)
    local context = new_context(data_dir, common, script, {})
    context.only_declaration = true
    local e = execute(context)
    if e == nil then return false end
    if e.bug then return nil, e.bug end
    if e.stop then error(e, 0) end
    return e.declaration or false
end

local function is_open(dump)
    return dump ~= nil and tostring(dump) ~= "dump (closed)"
end

-- Prints what was reported, then the notes of the dump; returns the exit code of a script that came to its end.
local function finish(context)
    local reported = context.globals.report
    local dump = is_open(context.dump) and context.dump or nil
    local notes = dump and dump:notes() or {}
    table.move(context.plugin_notes, 1, #context.plugin_notes, #notes + 1, notes)
    if context.worker then
        local schema = context.declaration and context.declaration.json
        core.hand_over(record.document(reported, schema, dump, notes, context.dump and core.incomplete(context.dump)))
    elseif context.common.json then
        local schema = context.declaration and context.declaration.json
        core.write_raw(report.document(reported or report.new(), schema, dump_object(dump), notes) .. "\n")
    else
        if reported then report.print(reported) end
        for _, note in ipairs(notes) do core.print("note: " .. note) end
    end
    if #context.plugin_notes > 0 then return 5 end
    if reported and context.common.fail_on and report.reaches(reported, context.common.fail_on) then return 1 end
    return context.dump and core.incomplete(context.dump) and 4 or 0
end

local function complain_bug(context, bug)
    if bug.bug:find "not enough memory" then
        core.memory_reached()
        out.complain(("%s: out of memory: the limit is %d MiB (--memory-limit)"):format(
            core.escape(context.input or context.script.shown), (context.common.memory_limit or 2 << 30) >> 20))
        return 5
    end
    out.complain(core.escape(bug.bug))
    if context.common.traceback and bug.traceback then core.complain(core.escape(bug.traceback, true)) end
    return 5
end

-- The lists of lib/callers.lua in every folder of plugins, added up: what trace:caller() passes over.
local function callers_of(data_dir, common)
    local sets = { allocators = {}, modules = {} }
    for _, dir in ipairs(scripts.plugin_dirs(data_dir, common.plugins)) do
        local path = dir .. "/lib/callers.lua"
        if core.kind(path) == "file" then
            local chunk, message = sandbox.load_file(path, path, {})
            local ok, lists = pcall(chunk or error, chunk == nil and message or nil)
            if not ok then ends.fail("failed", tostring(lists), false) end
            for name, set in pairs(sets) do
                local list = type(lists) == "table" and lists[name]
                if type(list) ~= "table" and (list ~= nil or type(lists) ~= "table") then
                    ends.fail("failed", path .. ": it must return { modules = { ... }, allocators = { ... } }", false)
                end
                for _, word in ipairs(list or {}) do set[name == "modules" and word:lower() or word] = true end
            end
        end
    end
    return sets
end

-- Gives the engine's side the Lua it calls.
local function prepare_engine(context)
    core.set_callers(function() return callers_of(context.data_dir, context.common) end)
    core.set_attribute(function(dump) run.surface_of(context).attribution(dump):publish() end)
    core.set_filter(function(text, expression) return require "filter".try(text, expression) end)
    core.set_undecorate(function(name, form) return require "undecorate".name(name, form) end)
    core.set_answers {
        eval = commands.eval,
        command = function(dump, text) return commands.data(context, dump, text) end,
    }
end

-- Exit code of what `execute` or the like returned.
local function conclude(context, e)
    if e == nil then return finish(context) end
    if e.bug then return complain_bug(context, e) end
    if e.subject == nil and not e.stop then e.subject = context.input or context.script.name end
    error(e, 0)
end

-- Runs a script on the words behind its name. Returns the exit code, or raises an end. `worker`: in the child process
-- of a batch, { open = path that is opened, threads = }: what is reported goes to the parent.
function run.script(data_dir, common, script, line, worker)
    local context = new_context(data_dir, common, script, line)
    context.worker = worker
    prepare_engine(context)
    return conclude(context, execute(context))
end

-- ---- plugins by themselves ----

-- The plugins that `common` leads to, for lists.
function run.all_plugins(data_dir, common)
    local context = new_context(data_dir, common, { shown = "heapsift", dir = "." }, {})
    prepare_engine(context)
    return all_plugins(context)
end

-- Runs a heuristic plugin as if it were a script.
function run.heuristic(data_dir, common, plugin, line, worker)
    local context = new_context(data_dir, common, { name = plugin.name, shown = plugin.shown, dir = plugin.dir }, line)
    context.worker = worker
    prepare_engine(context)
    local surface = run.surface_of(context)
    local ok, e = xpcall(function()
        declare(context, plugins.declaration(plugin))
        local options_given = {}
        for _, option in ipairs(plugin.options) do options_given[option.name] = context.globals.args[option.name] end
        local done, message, code = surface.heuristic(plugin.name, context.dump, options_given, context.globals.report)
        if not done and code == "not-applicable" then ends.fail("missing", message) end
    end, handler)
    if not ok and type(e) == "string" then e = { bug = e } end
    return conclude(context, not ok and e or nil)
end

run.plugin_declaration = plugins.declaration

-- ---- the prompt ----

-- Runs a bundled script on an open dump from inside a command. `preset`: its arguments and options by name. Gives its
-- result if preset.json, else it prints.
function run.inside(context, dump, name, preset)
    local inner = setmetatable({
        script = scripts.bundled(context.data_dir, name), preset = preset, dump = dump,
        globals = { dump = dump, report = report.new() }, declaration = false,
    }, { __index = context })
    local chunk, message = sandbox.load_file(inner.script.path, inner.script.shown, environment(inner))
    if not chunk then error(message, 0) end
    chunk()
    if preset.json then return report.result(inner.globals.report) end
    report.print(inner.globals.report)
end

-- `heapsift shell ...`
function run.shell(data_dir, common, rest)
    return require "host.shell".main(rest, common, function(path)
        local context = new_context(data_dir, common, { name = "shell", shown = "line", dir = "." }, {})
        prepare_engine(context)
        core.set_windbg_names(true)
        set_input(context, path)
        context.dump = open_input(context, path)
        context.declaration = declaration.check {}
        context.globals = { dump = context.dump, args = {}, report = report.new() }
        return context, context.dump, environment(context)
    end)
end

-- The text of `help NAME` and `NAME --help`.
function run.help(data_dir, common, script)
    local given, message = run.declaration(data_dir, common, script)
    if given == nil then return nil, message end
    return options.help(script.file and script.shown or script.name, given or declaration.check {})
end

-- The same for a plugin.
function run.plugin_help(plugin)
    if plugin.kind == "heuristic" then return options.help(plugin.name, plugins.declaration(plugin)) end
    if plugin.kind == "command" then return commands.help(plugin) end
    return ("%s: %s\n\nA %s; it is not run by itself.\n"):format(plugin.name, plugin.summary, plugin.kind)
end

return run
