-- batch_options.lua: the command line of `heapsift batch`: its options, read into one table and checked.

local core = require "host.core"
local ends = require "host.ends"
local words = require "host.words"

local batch_options = {}

batch_options.USAGE = [[
Usage: heapsift batch NAME|FILE.lua PATH... --out FILE.db [options] [-- words for the script]

Runs a script, or a heuristic plugin, on many dumps: each in a process of its own with limits; what it reports goes into
one SQLite file. A PATH is a dump, a folder (with all folders below it), a pattern in quotes ('*/outlook*.dmp'), an
archive (.zip .7z .cab .gz .zst), or @FILE with such paths, one a line (@- reads them from standard input). In folders,
files named .dmp .mdmp .hdmp .dump and archives are taken.

   --out FILE           where results go
   --null               each path of a list ends with a NUL byte, as find -print0 writes them, and is no pattern
   --resume             go on with FILE: dumps with a result are left out, unless the script or a plugin has changed;
                        without PATH: all inputs that FILE knows
   --retry-failed       with --resume: dumps that failed are run again
   --jobs N             processes at once (default: one per processor)
   --timeout SECONDS    for each dump (default 600; 0: no limit)
   --memory SIZE        private writable memory of each process, the mapped dump not counted (default 4G; 0: no limit)
   --output-limit SIZE  what one dump may hand over, and write to stderr (default 8M, at most 64M)
   --unpack-limit SIZE  size that a dump inside an archive may have (default 64G)
   --temp DIR           where dumps of archives are unpacked, one at a time (default: TMPDIR, or /tmp)
   --format FORMAT      sqlite (default), or jsonl: one JSON record a line, to FILE or to standard output
   --shard I/N          only the I-th of N parts of the inputs, split by size; join the parts with heapsift merge
   --progress FORMAT    line (default on a terminal), json (one object a line on stderr), none

On a cluster (docs/scale.md):
   --engine slurm       an array job of Slurm does it; waits, submits again what was lost, and joins the parts
   --tasks N            tasks of the array (default: one per input, at most 64)
   --nodes-max N        tasks that run at once, so at most as many nodes (default: as Slurm gives)
   --cores N            processors of each task (default: --jobs, or 1); --jobs is dumps at once in each task
   --task-memory SIZE   memory of each task, all its dumps together (--memory and --timeout are for each dump)
   --time TIME          how long a task may take, as sbatch takes it: 90 (minutes), 2:00:00, 1-12
   --partition NAME     where; account and the like: SBATCH_ACCOUNT and the other variables of sbatch
   --detach             submits and ends
   heapsift batch --attach FILE.db    waits for such a batch, from wherever FILE.db is seen
   heapsift batch --cancel FILE.db    ends it, and keeps what is done

Exit codes: 0 all dumps have a result; 1 a finding at or above --fail-on; 4 some have not (the summary says why);
2 usage; 5 the results cannot be written; 6 no input was found; 130 interrupted: --resume goes on.
]]

local function size_of(text)
    local size, expected = words.size(text)
    return size, expected
end

-- The store takes no larger texts.
local function output_size_of(text)
    local size, expected = words.size(text)
    if size and (size == 0 or size > 64 << 20) then return nil, "a size up to 64M expected" end
    return size, expected
end

local function seconds_of(text)
    local value = words.number(text)
    if not value or value < 0 or value > 1e7 then return nil, "seconds expected, such as 60 or 0.5" end
    return value
end

local function count_of(most)
    return function(text)
        local value = words.integer(text)
        if not value or value < 1 or value > most then return nil, ("a number from 1 to %d expected"):format(most) end
        return value
    end
end

-- What sbatch takes, and nothing that it would take for more than that.
local function name_of(text)
    if not text:find "^[%w_][%w_.,-]*$" then return nil, "a name expected" end
    return text
end

local function time_of(text)
    if text ~= "UNLIMITED" and not text:find "^%d[%d:-]*$" then
        return nil, "minutes, or hours:minutes:seconds expected, such as 90 or 2:00:00"
    end
    return text
end

local function shard_of(text)
    local shard, count = text:match "^(%d+)/(%d+)$"
    shard, count = math.tointeger(tonumber(shard)), math.tointeger(tonumber(count))
    if not shard or count > 100000 or shard < 1 or shard > count then
        return nil, "I/N expected, such as 3/8: the third of eight parts"
    end
    return { index = shard, count = count }
end

local function path_of(text)
    if text == "" then return nil, "a path expected" end
    return text
end

local function one_of(...)
    local list = { ... }
    return function(text)
        for _, word in ipairs(list) do
            if word == text then return text end
        end
        return nil, table.concat(list, ", ") .. " expected"
    end
end

local function folder_of(text)
    if core.kind(text) ~= "directory" then return nil, "a folder expected" end
    return text
end

-- Name -> how its value is read; false: a flag.
local OPTIONS <const> = {
    engine = one_of("local", "slurm"), tasks = count_of(100000), cores = count_of(4096), partition = name_of,
    ["nodes-max"] = count_of(100000), ["task-memory"] = size_of, time = time_of, detach = false, attach = path_of,
    cancel = path_of,
    out = path_of, resume = false, ["retry-failed"] = false, jobs = count_of(1024), timeout = seconds_of,
    memory = size_of, ["output-limit"] = output_size_of, ["unpack-limit"] = size_of, temp = folder_of,
    format = one_of("sqlite", "jsonl"),
    null = false, shard = shard_of, progress = one_of("line", "json", "none"),
}

local function usage(text) ends.fail("usage", "batch: " .. text .. "; see heapsift help batch", false) end

local function unknown(word, has_script)
    local names = {}
    for name in pairs(OPTIONS) do names[#names + 1] = "--" .. name end
    table.sort(names)
    usage(("unknown option '%s'%s%s"):format(word, words.hint(word, names),
        has_script and " (options of the script stand behind --)" or ""))
end

local CLUSTER <const> = { "tasks", "nodes_max", "cores", "task_memory", "time", "partition", "detach" }

-- Options of a cluster: with --engine slurm only, and then without what it cannot do.
local function cluster(given)
    if given.engine ~= "slurm" then
        for _, name in ipairs(CLUSTER) do
            if given[name] then usage(("--%s goes with --engine slurm"):format((name:gsub("_", "-")))) end
        end
        return
    end
    if given.shard then usage "--engine slurm splits the inputs itself: leave --shard out" end
    if given.format == "jsonl" then
        usage "--engine slurm writes SQLite; heapsift run export FILE.db --what all gives the same as JSON lines"
    end
    given.tasks, given.cores = given.tasks or 64, given.cores or given.jobs or 1
end

-- --attach FILE.db and --cancel FILE.db stand alone: all else is known from the batch that was submitted.
local ALONE <const> = { attach = true, cancel = true, progress = true, paths = true, words = true }
local function attached(given, rest)
    local name = given.attach and "attach" or "cancel"
    if given.attach and given.cancel then usage "either --attach or --cancel" end
    if rest[1] then usage(("--%s FILE.db stands alone, got '%s'"):format(name, rest[1])) end
    for other in pairs(given) do
        other = other:gsub("_", "-")
        if not ALONE[other] then usage(("--%s FILE.db stands alone, got '--%s'"):format(name, other)) end
    end
end

-- Reads the words behind `batch`. Returns { script, paths, words, and the options by name with _ }.
function batch_options.parse(line)
    local given, rest, i = { paths = {}, words = {} }, {}, 1
    while i <= #line do
        local word = line[i]
        if word == "--" then
            table.move(line, i + 1, #line, 1, given.words)
            break
        end
        local name, value = word:match "^%-%-([^=]+)=(.*)$"
        name = name or word:match "^%-%-(.+)$"
        if not name and word:find "^%-." then unknown(word, rest[1]) end
        if not name then
            rest[#rest + 1] = word
        else
            local read = OPTIONS[name]
            if read == nil then unknown("--" .. name, rest[1]) end
            if not read then
                if value then usage(("option '--%s' takes no value"):format(name)) end
                given[name:gsub("-", "_")] = true
            else
                if not value then
                    i = i + 1
                    value = line[i]
                end
                if not value then usage(("option '--%s': a value expected"):format(name)) end
                local checked, expected = read(value)
                if not checked then usage(("option '--%s': %s, got '%s'"):format(name, expected, value)) end
                given[name:gsub("-", "_")] = checked
            end
        end
        i = i + 1
    end
    if given.attach or given.cancel then
        attached(given, rest)
        return given
    end
    given.script = table.remove(rest, 1)
    given.paths = rest
    if not given.script then usage "the name of a script expected" end
    if #rest == 0 and not given.resume then usage "no PATH: which dumps?" end
    if given.format == "jsonl" and given.resume then usage "--resume needs the results in SQLite" end
    if not given.out and given.format ~= "jsonl" then usage "--out FILE.db: where are the results to go?" end
    if given.retry_failed and not given.resume then usage "--retry-failed goes with --resume" end
    cluster(given)
    given.jobs = given.jobs or given.cores or core.processors()
    given.timeout = given.timeout or 600
    given.memory = given.memory or 4 << 30
    given.output_limit = given.output_limit or 8 << 20
    given.unpack_limit = given.unpack_limit or 64 << 30
    return given
end

return batch_options
