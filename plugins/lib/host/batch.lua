-- batch.lua: `heapsift batch`: one script over many dumps. This process lists inputs, starts children and writes the
-- store; no dump is parsed here. Lists live in the store, so that memory does not grow with the number of inputs.

local core = require "host.core"
local engine = require "heapsift"
local frame = require "host.batch_frame"
local ends = require "host.ends"
local options = require "host.options"
local records = require "records"

local batch = {}

-- Members of one archive that get a row; a longer archive ends there.
local MEMBERS_MAX <const> = 10000

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
    frame.stored(self.given, self.store:input_failed(id, reason, core.escape(message)))
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
    local dump_id, need = frame.stored(self.given,
        self.store:input_content(id, name, size, self.given.retry_failed or false))
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
    if id == nil then frame.stored(self.given, id, path) end
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
    local words = { ":unpack", path, self.temp, tostring(self.given.unpack_limit) }
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
    local id = frame.stored(self.given, self.store:member_add(archive.id, path, member.size))
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
    frame.stored(self.given, self.store:unpacked(archive.id))
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
    frame.stored(self.given, ok, why, kind)
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

-- Signals that a scheduler, or whoever ends all of a batch, sends to children too, and to them before us.
local ENDING <const> = { [1] = true, [2] = true, [9] = true, [15] = true }

function Batch:report_came(report)
    if report.ended == "crashed" and ENDING[report.code] or report.ended == "exited" and ENDING[report.code - 128] then
        core.sleep(500)
        if core.signal() ~= 0 then return end -- no fault of the dump: it is still to be run
    end
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
    local threads = (given.processors or core.processors()) // given.jobs
    return setmetatable({
        given = given, store = store, pool = core.pool(), view = frame.new_view(given, common),
        common_words = options.again(common),
        limits = { timeout = given.timeout, memory = given.memory, output = given.output_limit },
        threads = math.max(1, threads), temp = given.temp or os.getenv "TMPDIR" or "/tmp",
        running = {}, running_count = 0, in_flight = {},
        queue = {}, unpackers = {}, unpacker_count = 0, waiting_unpackers = {}, state = frame.new_state(given),
    }, Batch)
end

local function open_file(path)
    local file, why = core.output(path)
    if not file then ends.fail("failed", ("cannot write %s: %s"):format(path, why), false) end
    return file
end

-- Runs `heapsift batch` on this machine. `target`: script or plugin that the first word means.
function batch.run(data_dir, common, given, target, is_plugin)
    frame.check_script(data_dir, common, given, target, is_plugin)
    local script = frame.script_of(data_dir, common, given, target)
    local store = frame.open_store(given)
    core.hold_signals(true)
    frame.run_begin(given, store, script, frame.settings_of(given))
    local self = new(given, common, store)
    if given.format == "jsonl" then
        self.questions = store:questions()
        self.file = given.out and open_file(given.out)
    end
    local ok, failure = pcall(function()
        frame.list_inputs(given, store, self.state)
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
    frame.look_back(store, self.state)
    self:stream()
    if self.file then self.file:close() end
    if self.questions then self.questions:close() end
    store:close()
    if given.format ~= "jsonl" or given.out then self.view:summary(self.state, common.json) end
    return frame.exit_code(self.state, common)
end

return batch
