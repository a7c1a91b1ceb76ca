-- slurm_job.lua: the folder OUT.slurm, which is all that the tasks of a Slurm array and those who wait for them share:
--   job.json   what was submitted    task      the script given to sbatch
--   I.list     inputs of part I      I.db      its results
--   I.end      how it ended          I.log     what it printed
--   merged     all parts are in OUT
-- A task writes its end itself, so that no accounting is needed to learn of it.

local core = require "host.core"
local engine = require "heapsift"
local ends = require "host.ends"
local json = require "host.json"
local words = require "host.words"

local job = {}

local FORMAT <const> = 1
local TASKS_MAX <const> = 100000
local LOG_TAIL <const> = 4096

-- sbatch copies it; whatever the paths hold, they are words and never part of its text.
local TASK_SCRIPT <const> = '#!/bin/sh\nexec "$@"\n'

function job.folder_of(out) return out .. ".slurm" end

function job.path(self, name) return self.folder .. "/" .. name end

function job.part(self, index) return ("%s/%d.db"):format(self.folder, index) end

local function write(path, text)
    local file, why = core.output(path)
    if not file then ends.fail("failed", ("cannot write %s: %s"):format(path, why), false) end
    file:write(text)
    file:close()
end

local function read(path, size)
    local file <close> = io.open(path, "rb")
    return file and file:read(size)
end

local function token()
    local file <close> = assert(io.open("/dev/urandom", "rb"))
    return (file:read(8):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- ---- making ----

-- The options of sbatch that stay the same however often it is called.
local function sbatch_options(given, folder)
    -- Slurm puts things in the place of %a and the like, and nothing in a name with a backslash.
    local log = folder:find("\\", 1, true) and "/dev/null" or folder:gsub("%%", "%%%%") .. "/%a.log"
    local list = { "--output=" .. log, ("--cpus-per-task=%d"):format(given.cores) }
    if given.partition then list[#list + 1] = "--partition=" .. given.partition end
    if given.time then list[#list + 1] = "--time=" .. given.time end
    if given.task_memory then
        list[#list + 1] = ("--mem=%dM"):format(math.max(1, (given.task_memory + (1 << 20) - 1) >> 20))
    end
    return list
end

-- Makes the folder of a batch: { out, folder, name, ... }; the fields that a JSON file needs, see FIELDS.
function job.create(given, script, settings, common_words)
    local out, wrong = core.absolute(given.out)
    if not out then ends.fail("failed", wrong, given.out) end
    local folder = job.folder_of(out)
    local program, why = core.own_program()
    local here = core.absolute "."
    if not program or not here then ends.fail("failed", "its own path is not known: " .. tostring(why), false) end
    local ok, message = core.make_folder(folder)
    if not ok then ends.fail("failed", ("cannot make the folder: %s"):format(message), folder) end
    return {
        format = FORMAT, version = engine.version, name = "heapsift-" .. token(), user = core.user(), out = out,
        folder = folder, program = program, working_folder = here, script = script, settings = settings,
        common = common_words, script_word = given.script, words = given.words, cores = given.cores,
        at_once = given.nodes_max, sbatch = sbatch_options(given, folder), submitted_at = os.time(),
        limits = { "--jobs=" .. given.jobs, "--timeout=" .. given.timeout,
                   "--memory=" .. words.size_text(given.memory),
                   "--output-limit=" .. words.size_text(given.output_limit),
                   "--unpack-limit=" .. words.size_text(given.unpack_limit),
                   given.temp and "--temp=" .. core.absolute(given.temp) or nil },
    }
end

-- Writes down what the tasks need: their lists, from a store whose inputs were listed, and job.json, last.
function job.write(self, store, stored)
    stored(store:spread(self.tasks))
    local part, file = 0, nil
    while true do
        local id, path, of = store:next()
        if id == nil then stored(id, path) end
        if not id or of ~= part then
            if file then file:close() end
            if not id then break end
            part = of
            file = assert(core.output(job.path(self, part .. ".list")))
        end
        file:write(path, "\0")
    end
    write(job.path(self, "task"), TASK_SCRIPT)
    write(job.path(self, "job.json"), json.encode(self) .. "\n")
end

-- The indices of all tasks.
function job.all(self)
    local indices = {}
    for index = 1, self.tasks do indices[index] = index end
    return indices
end

-- What follows the options of sbatch.
function job.task_words(self)
    return { job.path(self, "task"), self.program, ":slurm-task", self.folder }
end

-- ---- reading ----

local FIELDS <const> = {
    format = "integer", version = "string", name = "string", user = "integer", program = "string", script = "table",
    working_folder = "string", settings = "table", common = "table", script_word = "string", words = "table",
    cores = "integer", sbatch = "table", submitted_at = "integer", limits = "table", tasks = "integer",
    listed = "integer", total = "integer", skipped = "integer",
}

local function texts(list)
    for _, text in ipairs(list) do
        if type(text) ~= "string" then return false end
    end
    return true
end

local function fault(self)
    if type(self) ~= "table" then return "no JSON object" end
    if self.format ~= FORMAT then return "made by another version of heapsift" end
    for name, kind in pairs(FIELDS) do
        local value = self[name]
        if (kind == "integer" and math.type(value) or type(value)) ~= kind then
            return ("'%s' is missing"):format(name)
        end
    end
    for _, name in ipairs { "name", "arguments", "code" } do
        if type(self.script[name]) ~= "string" then return ("'script.%s' is missing"):format(name) end
    end
    for _, name in ipairs { "common", "words", "sbatch", "limits" } do
        if not texts(self[name]) then return ("'%s' is no list of texts"):format(name) end
    end
    if self.tasks < 1 or self.tasks > TASKS_MAX then return ("%d tasks"):format(self.tasks) end
    if not self.name:find "^heapsift%-%x+$" then return "'name' is none of ours" end
    return nil
end

-- The value of a JSON text; nil if it is none, or tables in it lie too deep.
local function decode(text)
    local ok, value = pcall(json.decode, text, 1, nil)
    return ok and value or nil
end

-- The batch in a folder: as job.create gives it; or nil and what is wrong.
function job.read(folder)
    local path = folder .. "/job.json"
    local text = read(path, 16 << 20)
    if not text then return nil, path .. ": cannot be read" end
    local self = decode(text)
    local wrong = fault(self)
    if wrong then return nil, ("%s: %s; is it damaged?"):format(path, wrong) end
    self.folder = folder
    return self
end

-- How a task ended: code, message; nil: it wrote no end that can be read.
function job.read_end(self, index)
    local text = read(job.path(self, index .. ".end"), 1 << 16)
    local record = text and decode(text)
    if type(record) ~= "table" or math.type(record.code) ~= "integer" then return nil end
    return record.code, type(record.message) == "string" and record.message or ""
end

function job.forget_end(self, index) os.remove(job.path(self, index .. ".end")) end

-- The last line that a task printed, or that Slurm or the shell printed for it; "" if there is none.
function job.last_line(self, index)
    local file <close> = io.open(job.path(self, index .. ".log"), "rb")
    if not file then return "" end
    local size = file:seek "end"
    file:seek("set", math.max(0, size - LOG_TAIL))
    local last = ""
    for line in (file:read(LOG_TAIL) or ""):gmatch "[^\r\n]+" do last = line end
    return core.escape(last:sub(1, 300))
end

function job.mark_merged(self) write(job.path(self, "merged"), "") end

function job.is_merged(folder) return core.kind(folder .. "/merged") ~= nil end

-- Removes a folder, the mark that all was merged last, so that whoever is interrupted can do it again. Returns whether
-- it is gone. On a file system of the network a file that is still open elsewhere keeps its folder for a moment.
function job.remove(folder)
    for _ = 1, 50 do
        for _, name in ipairs(core.list_dir(folder) or {}) do
            if name ~= "." and name ~= ".." and name ~= "merged" then os.remove(folder .. "/" .. name) end
        end
        os.remove(folder .. "/merged")
        os.remove(folder)
        if not core.kind(folder) then return true end
        core.sleep(100)
    end
    return false
end

-- ---- the task's side ----

-- Writes down how it ended, for those who wait; a task that was asked to end writes nothing, since it is to go on.
local function write_end(self, index, code, message)
    write(job.path(self, index .. ".end"), json.line { code = code, message = message })
end

-- Runs a task: `run_line(words, extra)` runs a batch on words behind `heapsift batch`, common options among them.
function job.run_task(folder, run_line)
    local index = math.tointeger(tonumber(os.getenv "SLURM_ARRAY_TASK_ID"))
    local self, wrong = job.read(folder or "")
    if not self then ends.fail("usage", wrong, false) end
    if not index or index < 1 or index > self.tasks then
        ends.fail("usage", ":slurm-task runs as a task of sbatch --array only", false)
    end
    local line = table.move(self.common, 1, #self.common, 1, {})
    for _, word in ipairs { self.script_word, "@" .. job.path(self, index .. ".list"), "--null", "--resume",
                            "--progress=none", "--out=" .. job.part(self, index) } do
        line[#line + 1] = word
    end
    table.move(self.limits, 1, #self.limits, #line + 1, line)
    line[#line + 1] = "--"
    table.move(self.words, 1, #self.words, #line + 1, line)

    local ok, result = pcall(function()
        local entered, message = core.enter_folder(self.working_folder)
        if not entered then
            ends.fail("usage", "this node cannot enter the folder: " .. message, self.working_folder)
        end
        return run_line(line, { shared = true, processors = self.cores, code = self.script.code })
    end)
    local goes_on = core.signal() ~= 0
    if ok then
        if not goes_on then write_end(self, index, result, "") end
        return result
    end
    if goes_on then error(result, 0) end
    local subject = ends.is(result) and type(result.subject) == "string" and result.subject .. ": " or ""
    write_end(self, index, ends.is(result) and result.code or 5, core.escape(subject .. tostring(result)))
    error(result, 0)
end

return job
