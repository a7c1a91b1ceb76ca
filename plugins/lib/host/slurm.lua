-- slurm.lua: `heapsift batch --engine slurm`, `--attach` and `--cancel`: the inputs are spread over the tasks of an
-- array job, each a batch of its own; whoever waits submits again what was lost, and joins the parts. All that is known
-- stands in the folder OUT.slurm (host.slurm_job), so that one can wait at any time, on any machine that sees it.

local core = require "host.core"
local commands = require "host.slurm_commands"
local ends = require "host.ends"
local frame = require "host.batch_frame"
local job = require "host.slurm_job"
local json = require "host.json"
local options = require "host.options"
local out = require "host.out"

local slurm = {}

local AGAIN_MAX <const> = 3      -- times that a task is submitted again
local GONE_SECONDS <const> = 2   -- from when the queue has no task any more to when it counts as lost
local PATIENCE <const> = 600     -- seconds without an answer of Slurm
local PAUSES <const> = { first = 0.5, most = 15, growth = 1.3 } -- seconds between two questions to the queue
local PARTS_A_LOOK <const> = 16
local SHOWN <const> = 3          -- reasons that an error tells
local STUCK_SECONDS <const> = 10 -- from when no task runs to when it is said why

-- A path as it may be typed.
local function typed(path)
    if path:find "^[%w_./+-]+$" then return path end
    return "'" .. path:gsub("'", "'\\''") .. "'"
end

local function shown(path) return core.escape(typed(path)) end

local function patience() return tonumber(os.getenv "HEAPSIFT_SLURM_PATIENCE") or PATIENCE end

-- ---- one who waits ----

local Wait = {}
Wait.__index = Wait

local function new(given, common, store, self_job)
    local open = {}
    for index = 1, self_job.tasks do open[index] = { again = 0 } end
    local state = frame.new_state(given)
    state.listed, state.total, state.skipped = self_job.listed, self_job.total, self_job.skipped
    local view = frame.new_view(given, common)
    view.started = core.now() - math.max(0, os.time() - self_job.submitted_at)
    return setmetatable({ given = given, store = store, job = self_job, open = open, left = self_job.tasks, failed = {},
                          queue = {}, counts = {}, turn = 0, state = state, view = view }, Wait)
end

function Wait:close(index)
    self.open[index] = nil
    self.left = self.left - 1
end

function Wait:give_up(index, reason)
    table.insert(self.failed, { index = index, reason = reason })
    self:close(index)
end

-- A task that is to be submitted again, if it was not often enough.
function Wait:lost(index, reason)
    local task = self.open[index]
    if task.again >= AGAIN_MAX then
        return self:give_up(index, ("%s, also when submitted again %d times"):format(reason, AGAIN_MAX))
    end
    task.due, task.gone_at = true, nil
end

-- Exit codes of a batch after which its results are there: all of them, or with reasons for those that are missing.
local HAS_RESULTS <const> = { [0] = true, [1] = true, [4] = true }

function Wait:look_at_ends()
    for _, name in ipairs(core.list_dir(self.job.folder) or {}) do
        local index = math.tointeger(tonumber(name:match "^(%d+)%.end$"))
        local task = index and self.open[index]
        local code, message
        if task and not task.due then code, message = job.read_end(self.job, index) end
        if code and HAS_RESULTS[code] then
            self:close(index)
        elseif code == ends.codes.failed then
            self:lost(index, message)
        elseif code then -- what would be the same the next time
            self:give_up(index, message)
        end
    end
end

local function reason_of(self, index, known)
    local line = job.last_line(self.job, index)
    local state = known and known.state or "it is not in the queue"
    return state .. (line ~= "" and ", its last line: " .. line or "")
end

-- Slurm did not answer: waits on for a while.
function Wait:unanswered(message, missing)
    self.silent_since = self.silent_since or core.now()
    if missing or core.now() - self.silent_since > patience() then
        ends.fail("failed", ("%s (the tasks may go on; heapsift batch --attach %s waits again)"):format(message,
            typed(self.given.out)), false)
    end
    self.state.queue = message
end

-- Reasons for which a task waits its turn; with others it may wait for ever.
local ORDINARY <const> = { None = true, Resources = true, Priority = true, JobArrayTaskLimit = true, BeginTime = true }

-- Says it once if nothing runs and nothing will.
function Wait:tell_stuck(counts, reason)
    local stuck = counts.active > 0 and counts.runs == 0 and reason and not ORDINARY[reason]
    self.stuck_since = stuck and (self.stuck_since or core.now()) or nil
    if not stuck or core.now() - self.stuck_since < STUCK_SECONDS or self.told == reason then return end
    self.told = reason
    self.view:clear()
    out.complain(("%s: no task runs, Slurm's reason is %s; Ctrl-C and --cancel give up"):format(
        core.escape(self.given.out), core.escape(reason)))
end

function Wait:look_at_queue()
    local queue, message, missing = commands.queue(self.job, self.job.tasks)
    if not queue then return self:unanswered(message, missing) end
    self.silent_since = nil
    self.queue = queue
    local counts, now, reason = { active = 0, runs = 0 }, core.now(), nil
    for index, task in pairs(self.open) do
        local known = queue[index]
        if known and known.active then
            task.gone_at = nil
            counts.active = counts.active + 1
            counts.runs = counts.runs + (known.state == "RUNNING" and 1 or 0)
            if known.state ~= "RUNNING" and known.reason ~= "None" then reason = known.reason end
        elseif not task.due then
            -- Its end may not be seen here yet.
            task.gone_at = task.gone_at or now
            if now - task.gone_at >= GONE_SECONDS then
                if known and known.state == "CANCELLED" then
                    self:give_up(index, "cancelled")
                else
                    self:lost(index, reason_of(self, index, known))
                end
            end
        end
    end
    self:tell_stuck(counts, reason)
    local waits = counts.active - counts.runs
    self.state.queue = ("%d tasks run%s"):format(counts.runs, waits > 0 and (", %d wait%s"):format(waits,
        reason and (" (%s)"):format(reason) or "") or "")
end

-- Submits all tasks that are due.
function Wait:submit_due()
    local due = {}
    for index = 1, self.job.tasks do
        if self.open[index] and self.open[index].due then due[#due + 1] = index end
    end
    if #due == 0 then return end
    for _, index in ipairs(due) do job.forget_end(self.job, index) end
    local id, message, missing = commands.submit(self.job, due, job.task_words(self.job))
    if not id then return self:unanswered(message, missing) end
    for _, index in ipairs(due) do
        local task = self.open[index]
        task.due, task.again = nil, task.again + 1
    end
    self.submitted_again = true
    return true
end

-- ---- progress ----

local COUNT <const> = [[SELECT (SELECT count(*) FROM inputs WHERE archive_id IS NULL AND state <> :listed) AS looked,
    (SELECT count(*) FROM inputs WHERE state = :known) AS known,
    (SELECT count(*) FROM results WHERE state <> :failed) AS done,
    (SELECT count(*) FROM results WHERE state = :failed) AS failed]]
local STATES <const> = { listed = "listed", known = "known", failed = "failed" }

-- How far a part is; nothing new if its store cannot be read just now.
function Wait:look_at_part(index)
    local questions = core.results(job.part(self.job, index))
    if not questions then return end
    pcall(function()
        for row in questions:rows(COUNT, STATES) do self.counts[index] = row end
    end)
    questions:close()
end

-- Looks at some of the parts that may have grown, each in its turn.
function Wait:look_at_parts(all)
    local looks = all and self.job.tasks or PARTS_A_LOOK
    for _ = 1, self.job.tasks do
        self.turn = self.turn % self.job.tasks + 1
        local known = self.queue[self.turn]
        if all or not self.open[self.turn] and not (self.counts[self.turn] or {}).final or known and known.active then
            self:look_at_part(self.turn)
            if not self.open[self.turn] and self.counts[self.turn] then self.counts[self.turn].final = true end
            looks = looks - 1
        end
        if looks == 0 then break end
    end
    local state = self.state
    state.looked, state.done, state.failed, state.known = 0, 0, 0, 0
    for index, count in pairs(self.counts) do
        state.looked, state.done = state.looked + count.looked, state.done + count.done
        state.failed = state.failed + count.failed
        -- Of a part that is under way it is not known yet which of its inputs are copies.
        local copies = self.open[index] and 0 or count.known - count.done - count.failed
        state.known = state.known + math.max(0, copies)
    end
    state.seen = math.min(state.looked, state.total)
end

function Wait:loop()
    local pause, next_look = PAUSES.first, 0
    while true do
        self:look_at_ends()
        if core.signal() ~= 0 then
            self.state.interrupted = true
            return
        end
        if self.left > 0 and core.now() >= next_look then
            self:look_at_queue()
            if self:submit_due() then pause = PAUSES.first end
            next_look = core.now() + pause
            pause = math.min(PAUSES.most, pause * PAUSES.growth)
        end
        self:look_at_parts(false)
        self.view:show(self.state, false)
        if self.left == 0 then return end
        core.sleep(math.tointeger(math.min(1000, pause * 500) // 1))
    end
end

-- ---- the end ----

-- Joins the parts that there are.
local function join(store, self_job)
    for index = 1, self_job.tasks do
        local part = job.part(self_job, index)
        if core.kind(part) then
            local ok, message, kind = store:merge(part)
            if not ok and kind == "format" and core.kind(part) == "file" then
                -- A task that was killed before its first table was made has left an empty file.
                local file <close> = io.open(part, "rb")
                ok = file and file:seek "end" == 0
            end
            if not ok then ends.fail("failed", message, part) end
        end
    end
end

local function failures(self)
    table.sort(self.failed, function(a, b) return a.index < b.index end)
    local of, reasons, told = {}, {}, {}
    for _, each in ipairs(self.failed) do
        if not of[each.reason] then
            of[each.reason] = {}
            reasons[#reasons + 1] = each.reason
        end
        table.insert(of[each.reason], each.index)
    end
    for i = 1, math.min(SHOWN, #reasons) do
        told[i] = ("task %s: %s"):format(commands.ranges(of[reasons[i]]), reasons[i])
    end
    if #reasons > SHOWN then told[#told + 1] = ("%d reasons more"):format(#reasons - SHOWN) end
    return ("%d of %d tasks have no result (%s). What was done is in it; heapsift batch --attach %s submits them again,"
        .. " --cancel leaves it at that"):format(#self.failed, self.job.tasks, table.concat(told, "; "),
        typed(self.given.out))
end

local function remove(folder)
    if not job.remove(folder) then
        out.complain(("%s: cannot be removed, nothing in it is needed any more"):format(core.escape(folder)))
    end
end

-- Waits for the tasks, joins the parts and tells what came of it. The run has begun. Returns the exit code.
local function wait(given, common, store, self_job)
    local self = new(given, common, store, self_job)
    local ok, failure = pcall(function()
        if not job.is_merged(self_job.folder) then self:loop() end
        self:look_at_parts(true)
        self.view:show(self.state, true)
        self.view:clear()
        if not self.state.interrupted then join(store, self_job) end
    end)
    self.view:clear()
    local state = self.state
    local finished = ok and not state.interrupted and #self.failed == 0
    store:run_end(finished and "done" or ok and not state.interrupted and "failed" or "submitted")
    if not ok then
        store:close()
        error(failure, 0)
    end
    if state.interrupted then
        store:close()
        out.complain(("the tasks go on; heapsift batch --attach %s waits again, --cancel ends them"):format(
            shown(given.out)))
        return 128 + core.signal()
    end
    if #self.failed > 0 then
        store:close()
        ends.fail("failed", failures(self), given.out)
    end
    frame.look_back(store, state)
    if not job.is_merged(self_job.folder) then job.mark_merged(self_job) end
    if self.submitted_again then commands.cancel(self_job) end -- what was submitted twice and was not needed
    remove(self_job.folder)
    store:close()
    self.view:summary(state, common.json)
    return frame.exit_code(state, common)
end

-- ---- beginning ----

local function tell_detached(self_job, id, common, target)
    if common.json then
        core.write_raw(json.encode(json.object { { "schema", "heapsift.slurm/1" }, { "out", target }, { "job", id },
            { "name", self_job.name }, { "tasks", self_job.tasks }, { "inputs", self_job.listed },
            { "pending", self_job.total } }) .. "\n")
        return
    end
    core.print(("Submitted as job %s: %d tasks over %d inputs."):format(id, self_job.tasks, self_job.total))
    for _, each in ipairs { { "heapsift batch --attach " .. shown(target), "waits, and puts the results together" },
                            { "heapsift batch --cancel " .. shown(target), "ends the tasks, and keeps what is done" },
                            { "squeue --name=" .. self_job.name, "shows the tasks" } } do
        core.print(("    %-40s  %s"):format(each[1], each[2]))
    end
end

-- Lists the inputs and makes the job's folder. Returns nil if nothing is to be done.
local function prepare(given, common, store, script, settings)
    local state = frame.new_state(given)
    frame.list_inputs(given, store, state)
    if state.total == 0 then return nil, state end
    local self_job = job.create(given, script, settings, options.again(common))
    self_job.tasks = math.min(given.tasks, state.total)
    self_job.listed, self_job.total, self_job.skipped = state.listed, state.total, state.skipped
    local ok, failure = pcall(job.write, self_job, store, function(...) return frame.stored(given, ...) end)
    if ok then return self_job, state end
    job.remove(self_job.folder)
    error(failure, 0)
end

-- Runs `heapsift batch ... --engine slurm`.
function slurm.run(data_dir, common, given, target, is_plugin)
    local missing = commands.missing "sbatch"
    if missing then ends.fail("failed", missing, false) end
    frame.check_script(data_dir, common, given, target, is_plugin)
    local folder = job.folder_of(given.out)
    if core.kind(folder) then
        ends.fail("usage", ("a batch of Slurm is under way for it (%s): heapsift batch --attach %s waits for it,"
            .. " --cancel ends it"):format(folder, typed(given.out)), given.out)
    end
    local script = frame.script_of(data_dir, common, given, target)
    local settings = frame.settings_of(given)
    settings.engine, settings.tasks = "slurm", given.tasks
    local was_there = core.kind(given.out)
    local store = frame.open_store(given)
    core.hold_signals(true)
    frame.run_begin(given, store, script, settings)
    local ok, self_job, state = pcall(prepare, given, common, store, script, settings)
    local id, message
    if ok and self_job then id, message = commands.submit(self_job, job.all(self_job), job.task_words(self_job)) end
    if ok and not self_job then -- all is done already
        store:run_end "done"
        frame.look_back(store, state)
        store:close()
        frame.new_view(given, common):summary(state, common.json)
        return frame.exit_code(state, common)
    end
    if not id then
        store:run_end "failed"
        store:close()
        if not was_there then os.remove(given.out) end -- nothing is in it, and the next try is to find nothing
        if not ok then error(self_job, 0) end
        job.remove(self_job.folder)
        ends.fail("failed", message, false)
    end
    if not given.detach then return wait(given, common, store, self_job) end
    store:run_end "submitted"
    store:close()
    tell_detached(self_job, id, common, given.out)
    return 0
end

-- ---- attaching, cancelling ----

-- The job of a store; nil: it was finished before. Anything else ends the program.
local function job_of(target, what)
    local folder = job.folder_of(core.absolute(target) or target)
    if core.kind(folder) == "directory" then
        if core.owner(folder) ~= core.user() then
            ends.fail("usage", ("of another user, who alone can %s it"):format(what), folder)
        end
        local self_job, wrong = job.read(folder)
        if self_job then return self_job end
        if not job.is_merged(folder) then ends.fail("failed", wrong, false) end
        remove(folder) -- somebody was interrupted at the very end
        return nil
    end
    if not core.kind(target) then ends.fail("missing", "no such results", target) end
    local questions, message = core.results(target)
    if not questions then ends.fail("input", message, target) end
    local state = questions:value("SELECT state FROM runs WHERE settings LIKE ? ORDER BY id DESC LIMIT 1",
        '%"engine":"slurm"%')
    questions:close()
    if state == "done" then return nil end
    ends.fail("missing", state and "its batch of Slurm is over, its folder is gone: --resume goes on"
        or "no batch of Slurm is under way for it", target)
end

local function finished(given)
    core.print(("%s: its batch of Slurm is done, all results are in it."):format(core.escape(given.out)))
    return 0
end

local function open_again(given, self_job)
    local store, message = core.store(given.out, "continue")
    if not store then return nil, message end
    core.hold_signals(true)
    frame.run_begin(given, store, self_job.script, self_job.settings)
    return store
end

-- Runs `heapsift batch --attach OUT`.
function slurm.attach(common, given)
    given.out = given.attach
    local self_job = job_of(given.out, "attach")
    if not self_job then return finished(given) end
    local store, message = open_again(given, self_job)
    if not store then ends.fail("failed", message, given.out) end
    return wait(given, common, store, self_job)
end

-- Waits until the queue has no task of the job any more.
local function wait_until_gone(self_job)
    for _ = 1, 120 do
        local queue, message = commands.queue(self_job, self_job.tasks)
        if not queue then return nil, message end
        local active = false
        for _, task in pairs(queue) do active = active or task.active end
        if not active then return true end
        core.sleep(500)
        if core.signal() ~= 0 then return nil, "interrupted" end
    end
    return nil, "tasks are still ending"
end

-- Runs `heapsift batch --cancel OUT`.
function slurm.cancel(common, given)
    given.out = given.cancel
    local self_job = job_of(given.out, "cancel")
    if not self_job then return finished(given) end
    core.hold_signals(true)
    local ok, message = commands.cancel(self_job)
    if ok then ok, message = wait_until_gone(self_job) end
    if not ok then ends.fail("failed", message .. ": the same command goes on", given.out) end
    local store
    for _ = 1, 60 do -- somebody who waits sees it, too, and ends
        store, message = open_again(given, self_job)
        if store or core.signal() ~= 0 then break end
        core.sleep(500)
    end
    if not store then ends.fail("failed", message, given.out) end
    join(store, self_job)
    store:run_end "cancelled"
    local questions = store:questions()
    local results = questions:value("SELECT count(*) FROM results WHERE script_id = ?", store:script())
    questions:close()
    store:close()
    remove(self_job.folder)
    if common.json then
        core.write_raw(json.encode(json.object { { "schema", "heapsift.slurm/1" }, { "out", given.out },
            { "name", self_job.name }, { "cancelled", true }, { "results", results } }) .. "\n")
    else
        core.print(("Cancelled. %s holds %d results; --resume goes on."):format(core.escape(given.out), results))
    end
    return 0
end

slurm.run_task = job.run_task

return slurm
