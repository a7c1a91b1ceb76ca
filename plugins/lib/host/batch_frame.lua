-- batch_frame.lua: what a batch does before its first dump and after its last, whoever runs the dumps in between: the
-- script is checked, the store opened, inputs listed; at the end the store is asked what became of them.

local core = require "host.core"
local code = require "host.code"
local declaration = require "host.declaration"
local ends = require "host.ends"
local json = require "host.json"
local options = require "host.options"
local run = require "host.run"
local view = require "host.batch_view"

local frame = {}

-- What the store says when it cannot: ends the batch, what was finished is safe.
function frame.stored(given, ok, message, kind)
    if ok ~= nil then return ok, message end
    local hint = kind == "io" and "; what was finished before is in it, --resume goes on" or ""
    ends.fail("failed", message .. hint, given.out)
end

-- ---- before the first dump ----

-- Checks the script and its words once, so that a mistake is told once. `target`: a script or a plugin.
function frame.check_script(data_dir, common, given, target, is_plugin)
    local declared, wrong
    if is_plugin then
        declared = run.plugin_declaration(target)
    else
        declared, wrong = run.declaration(data_dir, common, target)
        if declared == nil then ends.fail("failed", wrong, false) end
    end
    declared = declared or declaration.check {}
    if declared.input ~= "dump" then
        ends.fail("usage", ("batch: its input is '%s'; a batch runs scripts that read a dump"):format(declared.input),
            given.script)
    end
    options.parse(given.script, declared, table.move(given.words, 1, #given.words, 2, { "input" }), common)
end

-- Opens the store of a batch that begins, or goes on.
function frame.open_store(given)
    if given.format == "jsonl" then return frame.stored(given, core.store("", "temporary")) end
    local mode = given.shared and "shared" or given.resume and "continue" or "new"
    if given.resume and not core.kind(given.out) and #given.paths == 0 then
        ends.fail("missing", "--resume: there are no results yet", given.out)
    end
    local store, message, kind = core.store(given.out, mode)
    if store then return store end
    ends.fail(kind == "argument" and "usage" or "failed", message, given.out)
end

-- Lists everything the user named; returns how many files in folders were left alone, and how many were not.
local function list_paths(given, store)
    local skipped, found = 0, 0
    frame.stored(given, store:begin())
    if #given.paths == 0 then frame.stored(given, store:list_all()) end
    for _, word in ipairs(given.paths) do
        local walk, message = core.walk(word, given.null)
        if not walk then ends.fail("input", message, word:gsub("^@", "")) end
        while true do
            local path, size, modified = walk:next()
            if path == nil then ends.fail("input", size, word) end
            if not path then break end
            frame.stored(given, store:list(path, size, modified))
            found = found + 1
            if core.signal() ~= 0 then ends.fail("failed", "interrupted while inputs were listed", false) end
        end
        skipped = skipped + walk:close()
    end
    local shard = given.shard or { index = 0, count = 0 }
    frame.stored(given, store:list_end(shard.index, shard.count))
    return skipped, found
end

-- Lists the inputs, and works out which have to be looked at: `listed` and `total` of the state.
function frame.list_inputs(given, store, state)
    local found
    state.skipped, found = list_paths(given, store)
    local listed, pending = store:pending(given.retry_failed or false)
    frame.stored(given, listed, pending)
    state.listed, state.total = listed, pending
    -- A part of fewer inputs than there are parts may have none.
    if listed == 0 and found == 0 then ends.fail("missing", "no input was found", false) end
end

-- What the store is told of the script: { name, arguments, code }. With `given.code` it must still be that.
function frame.script_of(data_dir, common, given, target)
    local hash = code.hash(data_dir, target, common.plugins)
    if given.code and hash ~= given.code then
        ends.fail("usage", "the script, its plugins or heapsift are not those that the batch was submitted with",
            given.script)
    end
    local words = setmetatable(given.words, { __jsontype = "array" })
    return { name = target.name, arguments = json.line(words), code = hash }
end

function frame.run_begin(given, store, script, settings)
    frame.stored(given, store:run_begin(script.name, script.arguments, script.code, json.line(settings)))
end

function frame.settings_of(given)
    return { jobs = given.jobs, timeout = given.timeout, memory = given.memory, output_limit = given.output_limit,
             shard = given.shard and ("%d/%d"):format(given.shard.index, given.shard.count) or nil }
end

-- What is shown of a batch, see host.batch_view.
function frame.new_state(given)
    return { looked = 0, seen = 0, done = 0, failed = 0, known = 0, partial = 0, findings = 0, reasons = {},
             failed_inputs = 0, out = given.out }
end

function frame.new_view(given, common)
    return view.new(given.progress or (core.on_terminal() and not common.no_progress and "line" or "none"))
end

-- ---- after the last dump ----

-- What the store says of the inputs of this run, those of earlier runs included.
function frame.look_back(store, state)
    local questions = store:questions()
    for row in questions:rows([[
        SELECT reason, count(*) AS count, min(path) AS example, max(message) AS message FROM (
            SELECT e.reason, e.message, i.path FROM inputs i JOIN errors e ON e.input_id = i.id
            UNION ALL
            SELECT e.reason, e.message, i.path FROM inputs i JOIN results r ON r.dump_id = i.dump_id
                JOIN errors e ON e.result_id = r.id WHERE r.script_id = ?)
        GROUP BY reason ORDER BY count DESC, reason]], store:script()) do
        table.insert(state.reasons, row)
    end
    state.partial = questions:value("SELECT count(*) FROM results WHERE script_id = ? AND state = ?",
        store:script(), "partial")
    state.findings, state.confidence = store:findings()
    questions:close()
end

-- Exit code of a batch that came to its end.
function frame.exit_code(state, common)
    if state.interrupted then return 128 + core.signal() end
    local code_now = 0
    if state.partial > 0 or #state.reasons > 0 then code_now = 4 end
    if common.fail_on and state.confidence and state.confidence >= common.fail_on then code_now = 1 end
    return code_now
end

return frame
