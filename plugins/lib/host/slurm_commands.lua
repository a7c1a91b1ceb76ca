-- slurm_commands.lua: the programs of Slurm that a batch uses, and what they print. They are found in PATH and started
-- without a shell, with limits on time and output; nothing of what they print is taken that was not expected.

local core = require "host.core"

local commands = {}

local TIMEOUT <const> = 120 -- seconds until a program of Slurm counts as hung
local OUTPUT_MAX <const> = 64 << 20

-- What to do about the last error of a program: the first pattern that its text has.
local ADVICE <const> = {
    { "[Ii]nvalid partition", "sinfo lists the partitions (--partition)" },
    { "job array", "scontrol show config tells MaxArraySize: give fewer --tasks" },
    { "contact slurm controller", "scontrol ping tells whether slurmctld is up" },
    { "Unable to contact", "scontrol ping tells whether slurmctld is up" },
    { "configuration source", "Slurm is not set up here: it needs SLURM_CONF or its slurm.conf" },
    { "configuration file", "Slurm is not set up here: it needs SLURM_CONF or its slurm.conf" },
    { "slurm.conf", "Slurm is not set up here: it needs SLURM_CONF or its slurm.conf" },
    { "node configuration", "sinfo -o '%P %c %m' tells processors and memory of nodes (--cores, --task-memory)" },
    { "[Mm]emory", "sinfo -o '%P %c %m' tells what nodes have (--task-memory)" },
    { "time limit", "sinfo -o '%P %l' tells how long a task may take (--time)" },
    { "[Mm]unge", "munged must run here, with the key of the cluster" },
    { "account", "sbatch reads SBATCH_ACCOUNT" },
    { "[Qq][Oo][Ss]", "sbatch reads SBATCH_QOS" },
}

local function advice_on(text)
    for _, each in ipairs(ADVICE) do
        if text:find(each[1]) then return "; " .. each[2] end
    end
    return ""
end

-- The last error that a program tells, without its own prefix.
local function last_error(name, errors)
    local found, last
    for line in errors:gmatch "[^\n]+" do
        last = line
        found = line:match("^" .. name .. ": error: (.*)$") or line:match("^" .. name .. ": fatal: (.*)$") or found
    end
    return found or last
end

-- What to say if a program is not there; nil: it is.
function commands.missing(name)
    if core.find_program(name) then return nil end
    return name .. ": no such program in the folders of PATH; is this a machine that Slurm is used from? Without it,"
        .. " --shard and heapsift merge do the same (docs/scale.md)"
end

-- Runs a program. Returns what it printed; or nil, one line, and whether there is no such program. `patient`: Ctrl-C
-- waits for its end.
local function call(name, words, patient)
    local path = core.find_program(name)
    if not path then return nil, commands.missing(name), true end
    local pool <close> = setmetatable({ core.pool() }, { __close = function(box) box[1]:close() end })
    local limits = { timeout = TIMEOUT, memory = 0, output = OUTPUT_MAX }
    local id, message = pool[1]:start(words, limits, nil, false, path)
    if not id then return nil, name .. ": " .. message end
    local what, report
    repeat
        what, report = pool[1]:wait(200)
    until what or not patient and core.signal() ~= 0
    if not what then return nil, name .. ": interrupted" end
    if report.ended == "timeout" then
        local text = last_error(name, report.errors)
        return nil, ("%s: no answer in %d s%s"):format(name, TIMEOUT, text and ": " .. text .. advice_on(text) or "")
    end
    if report.ended == "output" then return nil, ("%s: printed more than %d bytes"):format(name, OUTPUT_MAX) end
    if report.ended == "exited" and report.code == 0 then return report.output end
    local text = last_error(name, report.errors) or ("ended with %s %d"):format(
        report.ended == "exited" and "exit code" or "signal", report.code)
    return nil, ("%s: %s%s"):format(name, text, advice_on(text))
end

-- Indices as sbatch takes them: { 1, 2, 3, 7 } is "1-3,7". In order.
function commands.ranges(indices)
    local parts, from = {}, nil
    for i, index in ipairs(indices) do
        from = from or index
        if indices[i + 1] ~= index + 1 then
            parts[#parts + 1] = from == index and ("%d"):format(index) or ("%d-%d"):format(from, index)
            from = nil
        end
    end
    return table.concat(parts, ",")
end

-- Submits the tasks `indices`. `job`: see host.slurm_job; `words`: the script and what follows. Returns the id of the
-- job, or nil, one line, whether there is no sbatch.
function commands.submit(job, indices, words)
    local most = job.at_once and ("%%%d"):format(job.at_once) or ""
    local line = { "--parsable", "--requeue", "--export=ALL", "--open-mode=append", "--job-name=" .. job.name,
                   "--array=" .. commands.ranges(indices) .. most }
    table.move(job.sbatch, 1, #job.sbatch, #line + 1, line)
    table.move(words, 1, #words, #line + 1, line)
    local output, message, missing = call("sbatch", line, true)
    if not output then return nil, message, missing end
    local id = output:match "^(%d+)[;\n]" or output:match "^(%d+)$"
    if not id or #id > 18 then
        return nil, ("sbatch: the number of a job expected, got '%s'"):format(output:sub(1, 60))
    end
    return id
end

-- States after which a task does not run any more, unless it is submitted again.
local ENDED <const> = { BOOT_FAIL = true, CANCELLED = true, COMPLETED = true, DEADLINE = true, FAILED = true,
                        NODE_FAIL = true, OUT_OF_MEMORY = true, PREEMPTED = true, REVOKED = true, TIMEOUT = true }

-- What squeue knows of the tasks 1..count: index -> { state, reason, active }; or nil, one line, whether there is no
-- squeue. Where a task has ended and was submitted again, the active one counts; of two that ended, the last one.
function commands.queue(job, count)
    local output, message, missing = call("squeue", { "--noheader", "--array", "--states=all", "--name=" .. job.name,
        ("--user=%d"):format(job.user), "--format=%A %K %T %r" })
    if not output then return nil, message, missing end
    local tasks = {}
    for line in output:gmatch "[^\n]+" do
        local id, index, state, reason = line:match "^%s*(%d+) (%d+) ([%u_]+) ?(.*)$"
        id, index = math.tointeger(tonumber(id)), math.tointeger(tonumber(index))
        if id and index and index >= 1 and index <= count then
            local task, before = { id = id, state = state, reason = reason:sub(1, 60), active = not ENDED[state] },
                tasks[index]
            if not before or (task.active and not before.active)
                or (task.active == before.active and id > before.id) then
                tasks[index] = task
            end
        end
    end
    return tasks
end

-- Ends all tasks. Returns true, or nil and one line.
function commands.cancel(job)
    local output, message = call("scancel", { "--quiet", "--name=" .. job.name }, true)
    return output and true, message
end

return commands
