-- batch.lua: `heapsift batch`: one script over many dumps. This process lists inputs, starts children and writes the
-- store; no dump is parsed here. Lists live in the store, so that memory does not grow with the number of inputs.

local core = require "host.core"
local engine = require "heapsift"
local batch_options = require "host.batch_options"
local code = require "host.code"
local declaration = require "host.declaration"
local ends = require "host.ends"
local json = require "host.json"
local options = require "host.options"
local records = require "records"
local run = require "host.run"
local view = require "host.batch_view"

local batch = {}

-- Members of one archive that get a row; a longer archive ends there.
local MEMBERS_MAX <const> = 10000

-- What the store says when it cannot: ends the batch, what was finished is safe.
local function stored(given, ok, message, kind)
    if ok ~= nil then return ok, message end
    local hint = kind == "io" and "; what was finished before is in it, --resume goes on" or ""
    ends.fail("failed", message .. hint, given.out)
end

-- ---- before the first dump ----

-- Checks the script and its words once, so that a mistake is told once. `target`: a script or a plugin.
local function check_script(data_dir, common, given, target, is_plugin)
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

local function open_store(given)
    if given.format == "jsonl" then return stored(given, core.store("", "temporary")) end
    local mode = given.resume and "continue" or "new"
    if given.resume and not core.kind(given.out) and #given.paths == 0 then
        ends.fail("missing", "--resume: there are no results yet", given.out)
    end
    local store, message, kind = core.store(given.out, mode)
    if store then return store end
    ends.fail(kind == "argument" and "usage" or "failed", message, given.out)
end

local function open_file(path)
    local file, why = core.output(path)
    if not file then ends.fail("failed", ("cannot write %s: %s"):format(path, why), false) end
    return file
end

-- Lists everything the user named; returns how many files in folders were left alone.
local function list_inputs(given, store)
    local skipped = 0
    stored(given, store:begin())
    if #given.paths == 0 then stored(given, store:list_all()) end
    for _, word in ipairs(given.paths) do
        local walk, message = core.walk(word, given.null)
        if not walk then ends.fail("input", message, word:gsub("^@", "")) end
        while true do
            local path, size, modified = walk:next()
            if path == nil then ends.fail("input", size, word) end
            if not path then break end
            stored(given, store:list(path, size, modified))
            if core.signal() ~= 0 then ends.fail("failed", "interrupted while inputs were listed", false) end
        end
        skipped = skipped + walk:close()
    end
    local shard = given.shard or { index = 0, count = 0 }
    stored(given, store:list_end(shard.index, shard.count))
    return skipped
end

-- ---- one batch ----

local Batch = {}
Batch.__index = Batch

-- Words of the child that runs the script on `input`, opened as `open`.
function Batch:worker_words(input, open)
    local words = { ":worker", "--no-progress" }
    for _, word in ipairs(self.common_words) do words[#words + 1] = word end
    for _, word in ipairs { open, tostring(self.threads), self.given.script, input } do words[#words + 1] = word end
    return table.move(self.given.words, 1, #self.given.words, #words + 1, words)
end

-- A row without a result.
function Batch:input_failed(id, reason, message)
    self.state.failed_inputs = self.state.failed_inputs + 1
    stored(self.given, self.store:input_failed(id, reason, core.escape(message)))
end

function Batch:start_dump(task)
    local words = self:worker_words(task.path, task.descriptor and "/proc/self/fd/4" or task.path)
    local id, message = self.pool:start(words, self.limits, task.descriptor)
    if task.descriptor then core.close_descriptor(task.descriptor) end
    if not id then ends.fail("failed", message, false) end
    self.running[id] = task
    self.running_count = self.running_count + 1
end

-- A file whose content is known: a task if it has to be run, else nil.
function Batch:task_of(id, path, name, size, descriptor)
    local dump_id, need = stored(self.given, self.store:input_content(id, name, size, self.given.retry_failed or false))
    if not need or self.in_flight[dump_id] then
        self.state.known = self.state.known + 1
        if descriptor then core.close_descriptor(descriptor) end
        return nil
    end
    self.in_flight[dump_id] = true
    return { dump_id = dump_id, path = path, descriptor = descriptor }
end

-- Looks at the next input. Returns false if there is none left to look at now.
function Batch:next_input()
    if self.ended_list or self.unpacker_count >= self.given.jobs then return false end
    local id, path = self.store:next()
    if id == nil then stored(self.given, id, path) end
    if not id then
        self.ended_list = true
        return false
    end
    self.state.looked = self.state.looked + 1
    local kind, name, size = core.content(path)
    if kind == nil then
        self:input_failed(id, "unreadable", name)
    elseif kind == "dump" then
        local task = self:task_of(id, path, name, size)
        if task then self:start_dump(task) end
    elseif kind == "archive" then
        self:start_unpacker(id, path)
    else
        local dump, message = engine.open(path) -- which says what it is instead
        if dump then dump:close() end
        self:input_failed(id, "unreadable", message or "no dump")
    end
    return true
end

-- ---- archives ----

function Batch:start_unpacker(id, path)
    local words = { ":unpack", path, self.given.temp, tostring(self.given.unpack_limit) }
    local child, message = self.pool:start(words, { timeout = self.given.timeout, memory = self.given.memory,
        output = 1 << 20 }, nil, true)
    if not child then ends.fail("failed", message, false) end
    self.unpackers[child] = { id = id, path = path, names = {}, members = 0, open = 0 }
    self.unpacker_count = self.unpacker_count + 1
end

function Batch:member_came(member)
    local archive = self.unpackers[member.id]
    archive.members = archive.members + 1
    self.waiting_unpackers[member.id] = archive.members < MEMBERS_MAX or nil -- it gets no more, and its time runs out
    local count = (archive.names[member.name] or 0) + 1
    archive.names[member.name] = count
    local path = archive.path .. "//" .. member.name .. (count > 1 and "#" .. count or "")
    local id = stored(self.given, self.store:member_add(archive.id, path, member.size))
    if member.reason then return self:input_failed(id, "refused", member.reason) end
    local kind, name, size = core.content(member.descriptor)
    if kind ~= "dump" then
        core.close_descriptor(member.descriptor)
        return self:input_failed(id, "unreadable", kind and "not a user minidump" or name)
    end
    local task = self:task_of(id, path, name, size, member.descriptor)
    if not task then return end
    task.archive = archive
    archive.open = archive.open + 1
    table.insert(self.queue, task)
end

-- Its end is written down when its members are, so that a batch that is killed unpacks it again.
function Batch:archive_ended(archive)
    if archive.open > 0 or not archive.report then return end
    if archive.message then return self:input_failed(archive.id, "unreadable", archive.message) end
    stored(self.given, self.store:unpacked(archive.id))
end

-- ---- results ----

local SIGNALS <const> = { [4] = "illegal instruction", [6] = "abort", [7] = "bus error", [8] = "arithmetic fault",
                          [9] = "killed", [11] = "segmentation fault", [15] = "terminated", [24] = "processor time",
                          [25] = "file size" }
local REASON_OF_CODE <const> = { [2] = "script", [3] = "unreadable", [5] = "script", [6] = "missing" }

local function plain(text)
    return (text:gsub("%p", "%%%0"))
end

-- The last line that begins as ours do, without program and path.
local function last_complaint(errors)
    local found
    for line in errors:gmatch "[^\n]+" do found = line:match "^heapsift: (.*)$" or found end
    return found and found:gsub("^INPUT: ", "") or nil
end

-- What a report means: state, reason, message.
local function judge(given, report, errors, document)
    if report.ended == "timeout" then
        return "failed", "timeout", ("not done after %g s (--timeout)"):format(given.timeout)
    end
    if report.ended == "output" then
        return "failed", "output", ("more than %d bytes handed over or written (--output-limit)"):format(
            given.output_limit)
    end
    if report.ended == "crashed" then
        return "failed", "crash", ("ended by signal %d (%s)"):format(report.code, SIGNALS[report.code] or "?")
    end
    local message = last_complaint(errors)
    if report.code == 0 or report.code == 1 or report.code == 4 then
        if not document then return "failed", "output", "the process ended without a result" end
        return report.code == 4 and "partial" or "done", "", ""
    end
    if (message or ""):find "out of memory" or errors:find "not enough memory" then
        return "failed", "memory", message or "out of memory"
    end
    return "failed", REASON_OF_CODE[report.code] or "crash", message or ("exit code %d"):format(report.code)
end

-- The lines that a child handed over whole: facts, document. A script that never looked at its dump gives no facts.
local function parts_of(output)
    local first, rest = output:match "^([^\n]+)\n(.*)$"
    if first and first:find('"modules":', 1, true) then return first, rest:match "^([^\n]+)\n$" end
    return nil, first
end

function Batch:dump_ended(task, report)
    self.running_count = self.running_count - 1
    self.in_flight[task.dump_id] = nil
    local facts, document = parts_of(report.output)
    local errors = report.errors:gsub(plain(core.escape(task.path)), "INPUT")
    local state, reason, message = judge(self.given, report, errors, document)
    local row = {
        dump_id = task.dump_id, state = state, reason = reason, message = message,
        errors = state == "failed" and errors or "", exit_code = report.ended == "exited" and report.code or -1,
        facts = facts, document = document, seconds = report.seconds, cpu_seconds = report.cpu_seconds,
        peak_size = report.peak_size,
    }
    local ok, why, kind = self.store:put(row)
    if not ok and kind == "format" then
        row.facts, row.document, row.state, row.reason, row.message = nil, nil, "failed", "output", why
        ok, why, kind = self.store:put(row)
    end
    stored(self.given, ok, why, kind)
    if row.state == "failed" then
        self.state.failed = self.state.failed + 1
    else
        self.state.done = self.state.done + 1
    end
    self:stream(task.dump_id)
    if task.archive then
        task.archive.open = task.archive.open - 1
        self:archive_ended(task.archive)
    end
end

-- With --format jsonl: the records of a dump as soon as they are stored; nil: those of all inputs.
function Batch:stream(dump_id)
    if self.given.format ~= "jsonl" then return end
    records.each(self.questions, dump_id, function(line)
        if self.file then self.file:write(line) else core.write_raw(line) end
    end, not dump_id and "input" or nil)
end

function Batch:report_came(report)
    local archive = self.unpackers[report.id]
    if not archive then
        local task = self.running[report.id]
        self.running[report.id] = nil
        return self:dump_ended(task, report)
    end
    self.unpackers[report.id], self.waiting_unpackers[report.id] = nil, nil
    self.unpacker_count = self.unpacker_count - 1
    archive.report = true
    if report.ended ~= "exited" or report.code ~= 0 then
        local _, _, message = judge(self.given, report, report.errors:gsub(plain(core.escape(archive.path)), "INPUT"))
        archive.message = message
    end
    self:archive_ended(archive)
end

-- ---- the loop ----

function Batch:progress(last)
    local state = self.state
    state.seen = state.looked - self.running_count - self.unpacker_count
    local seconds, id = self.pool:slowest()
    local task = self.running[id]
    state.slowest, state.slowest_seconds = task and task.path, seconds
    self.view:show(state, last)
end

-- Starts what can be started.
function Batch:fill()
    while self.running_count < self.given.jobs do
        local task = table.remove(self.queue, 1)
        if task then
            self:start_dump(task)
        else
            for child in pairs(self.waiting_unpackers) do self.pool:go_on(child) end
            self.waiting_unpackers = {}
            if not self:next_input() then break end
        end
    end
end

function Batch:loop()
    while core.signal() == 0 do
        self:fill()
        if self.running_count == 0 and self.unpacker_count == 0 and #self.queue == 0 and self.ended_list then return end
        local what, news = self.pool:wait(200)
        if what == "report" then
            self:report_came(news)
        elseif what == "member" then
            self:member_came(news)
        end
        self:progress()
    end
    self.state.interrupted = true
end

local function new(given, common, store)
    local progress = given.progress or (core.on_terminal() and not common.no_progress and "line" or "none")
    return setmetatable({
        given = given, store = store, pool = core.pool(), view = view.new(progress),
        common_words = options.again(common),
        limits = { timeout = given.timeout, memory = given.memory, output = given.output_limit },
        threads = math.max(1, core.processors() // given.jobs), running = {}, running_count = 0, in_flight = {},
        queue = {}, unpackers = {}, unpacker_count = 0, waiting_unpackers = {},
        state = { looked = 0, seen = 0, done = 0, failed = 0, known = 0, partial = 0, findings = 0, reasons = {},
                  failed_inputs = 0, out = given.out },
    }, Batch)
end

local function settings_of(given)
    return json.line { jobs = given.jobs, timeout = given.timeout, memory = given.memory,
                       output_limit = given.output_limit, shard = given.shard and
                       ("%d/%d"):format(given.shard.index, given.shard.count) or nil }
end

-- What the store says of the inputs of this run, those of earlier runs included. Returns the highest confidence.
function Batch:look_back()
    local state, questions = self.state, self.store:questions()
    for row in questions:rows([[
        SELECT reason, count(*) AS count, min(path) AS example, max(message) AS message FROM (
            SELECT e.reason, e.message, i.path FROM inputs i JOIN errors e ON e.input_id = i.id
            UNION ALL
            SELECT e.reason, e.message, i.path FROM inputs i JOIN results r ON r.dump_id = i.dump_id
                JOIN errors e ON e.result_id = r.id WHERE r.script_id = ?)
        GROUP BY reason ORDER BY count DESC, reason]], self.store:script()) do
        table.insert(state.reasons, row)
    end
    state.partial = questions:value("SELECT count(*) FROM results WHERE script_id = ? AND state = ?",
        self.store:script(), "partial")
    state.findings, state.confidence = self.store:findings()
    questions:close()
    return state.confidence
end

-- Exit code of a batch that came to its end.
local function exit_code(self, common, confidence)
    local state = self.state
    if state.interrupted then return 128 + core.signal() end
    local code_now = 0
    if state.partial > 0 or #state.reasons > 0 then code_now = 4 end
    if common.fail_on and confidence and confidence >= common.fail_on then code_now = 1 end
    return code_now
end

-- Runs `heapsift batch` on the words behind it. `target`: script or plugin that the first of them means.
function batch.run(data_dir, common, given, target, is_plugin)
    check_script(data_dir, common, given, target, is_plugin)
    local store = open_store(given)
    core.hold_signals(true)
    stored(given, store:run_begin(target.name, json.line(setmetatable(given.words, { __jsontype = "array" })),
        code.hash(data_dir, target, common.plugins), settings_of(given)))
    local self = new(given, common, store)
    if given.format == "jsonl" then
        self.questions = store:questions()
        self.file = given.out and open_file(given.out)
    end
    local ok, failure = pcall(function()
        self.state.skipped = list_inputs(given, store)
        local listed, pending = store:pending(given.retry_failed or false)
        stored(given, listed, pending)
        self.state.listed, self.state.total = listed, pending
        if listed == 0 then ends.fail("missing", "no input was found", false) end
        self:loop()
    end)
    self:progress(true)
    self.pool:close()
    self.view:clear()
    store:run_end(not ok and "failed" or self.state.interrupted and "interrupted" or "done")
    if not ok then
        store:close()
        error(failure, 0)
    end
    local confidence = self:look_back()
    self:stream()
    if self.file then self.file:close() end
    if self.questions then self.questions:close() end
    store:close()
    if given.format ~= "jsonl" or given.out then self.view:summary(self.state, common.json) end
    return exit_code(self, common, confidence)
end

-- Runs `heapsift merge OUT.db PART.db...`.
function batch.merge(paths, as_json)
    local out = table.remove(paths, 1)
    if not out or not paths[1] then
        ends.fail("usage", "merge: OUT.db PART.db... expected; see heapsift help merge", false)
    end
    for _, part in ipairs(paths) do
        if part:find "^%-" then ends.fail("usage", ("merge: unknown option '%s'"):format(part), false) end
        if not core.kind(part) then ends.fail("input", "no such file", part) end
        if core.same_file(part, out) then ends.fail("usage", "cannot be a part of itself", part) end
    end
    local store, message = core.store(out, "continue")
    if not store then ends.fail("failed", message, out) end
    core.hold_signals(true) -- a part is in it wholly or not at all
    for i, part in ipairs(paths) do
        local ok, why, kind = store:merge(part)
        if not ok then
            store:close()
            ends.fail((kind == "io" or kind == "memory") and "failed" or "input", why, part)
        end
        if core.signal() ~= 0 then
            store:close()
            out.complain(("interrupted after %d of %d parts; the same command goes on"):format(i, #paths))
            return 128 + core.signal()
        end
    end
    local questions = store:questions()
    local dumps = questions:value "SELECT count(*) FROM dumps"
    local results = questions:value "SELECT count(*) FROM results"
    local failed = questions:value "SELECT count(*) FROM errors"
    questions:close()
    store:close()
    if as_json then
        core.write_raw(json.encode(json.object { { "schema", "heapsift.merge/1" }, { "out", out }, { "parts", #paths },
            { "dumps", dumps }, { "results", results }, { "errors", failed } }) .. "\n")
    else
        core.print(("%s: %d parts joined, %d dumps, %d results, %d errors"):format(out, #paths, dumps, results, failed))
    end
    return 0
end

batch.MERGE_USAGE = [[
Usage: heapsift merge OUT.db PART.db...

Joins results of batches, such as those of --shard: every dump and every path is in OUT.db once, in whatever order the
parts come, and however often. OUT.db may be there already. Each part is in it wholly or not at all: after an
interruption the same command goes on. Parts of another schema version, or made by another version of the script, its
plugins or heapsift, are refused, and so are shards of different lists of inputs.
]]
batch.USAGE = batch_options.USAGE
return batch
