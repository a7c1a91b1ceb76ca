-- database: the header of the stack trace database as text and JSON.

local text = require "text"

local database = {}

-- What to type so that the next dump has a database.
function database.remedy(dump)
    local image = dump:info().image_name
    return string.format("gflags /i %s +ust", image ~= "" and image or "IMAGE.EXE")
end

local UST <const>, XP <const> = 0x1000, 5

-- "; next time: gflags /i OUTLOOK.EXE +ust, restart it, dump again", or "" where that would not help.
function database.advice(dump)
    if dump:info().windows_major > XP then
        return ""
    end
    return string.format("; next time: %s, restart it, dump again", database.remedy(dump))
end

-- Why there is none, as a sentence without its full stop; only for a dump whose `traces` is nil.
function database.absence(dump)
    local info = dump:info()
    if info.windows_major > XP then
        return "stack traces of Windows " .. dump.windows .. " are not read by this version"
    elseif info.cut then
        return "no stack trace database was found, but the dump is cut: it may lie in what is missing"
    elseif not info.full_memory then
        return "no stack trace database was found, but the dump does not hold all memory"
    elseif info.global_flag and info.global_flag & UST ~= 0 then
        return "ust is set in NtGlobalFlag, but no stack trace database was found in ntdll's data"
    end
    return "the process has no stack trace database: its blocks do not say who allocated them"
end

-- The database, or the end of the script with what to do next time.
function database.need(dump)
    local db = dump.traces
    if not db then
        text.fail("missing", "%s%s", database.absence(dump), database.advice(dump))
    end
    return db
end

-- Fields in the order of `dt`, their x86 offsets (Windows XP SP2, printed by `dt` in the Duet case), and how
-- to spell them. x64 offsets are worked out, not seen: they are not printed.
local FIELDS <const> = {
    { 0x38, "AcquireLockRoutine", "acquire", "code" }, { 0x3c, "ReleaseLockRoutine", "release", "code" },
    { 0x40, "OkayToLockRoutine", "okay", "code" }, { 0x44, "PreCommitted", "precommitted", "flag" },
    { 0x45, "DumpInProgress", "dump_in_progress", "flag" }, { 0x48, "CommitBase", "commit_base", "address" },
    { 0x4c, "CurrentLowerCommitLimit", "lower_limit", "address" },
    { 0x50, "CurrentUpperCommitLimit", "upper_limit", "address" },
    { 0x54, "NextFreeLowerMemory", "next_lower", "address" },
    { 0x58, "NextFreeUpperMemory", "next_upper", "address" },
    { 0x5c, "NumberOfEntriesLookedUp", "looked_up", "number" },
    { 0x60, "NumberOfEntriesAdded", "added", "number" },
    { 0x64, "EntryIndexArray", "index_array", "pointer" },
    { 0x68, "NumberOfBuckets", "bucket_count", "number" }, { 0x6c, "Buckets", "buckets", "array" },
}

local function value_text(dump, db, field)
    local value, kind = db[field[3]], field[4]
    if kind == "code" then
        local symbol = dump:symbol(value)
        return text.hex_address(dump, value) .. (symbol and " " .. symbol or "")
    elseif kind == "flag" then
        return value and "1" or "0"
    elseif kind == "number" then
        return text.dt(value)
    elseif kind == "address" then
        return text.hex_address(dump, value)
    end
    local first = dump:ptr(value)
    local target = first and text.hex_address(dump, first) .. " _RTL_STACK_TRACE_ENTRY" or "not in the dump"
    return kind == "array" and "[1] " .. target or text.hex_address(dump, value) .. " -> " .. target
end

function database.print(dump, db)
    text.say("ntdll!_STACK_TRACE_DATABASE at %s", text.address(dump, db.address))
    for _, field in ipairs(FIELDS) do
        local offset = dump.pointer_size == 4 and string.format("+0x%03x ", field[1]) or ""
        text.say("   %s%-23s : %s", offset, field[2], value_text(dump, db, field))
    end
end

-- Captures that left no trace: lookups that no entry's TraceCount accounts for. The sum is right only while
-- no counter raced [unproven], so it is given as an estimate, and only once the database is full.
local function lost(db)
    local missing = db.looked_up - db.captures
    return db.full and missing > 0 and missing or nil
end

-- What the figures mean, a sentence a line.
function database.meaning(db)
    local lines = {}
    local function add(format, ...)
        lines[#lines + 1] = string.format(format, ...)
    end
    add("Found %s. 0x%x (%s) traces, captured 0x%x (%s) times.", db.source == "symbol"
        and "by its symbol" or "by search of ntdll's data", db.count, text.count(db.count), db.captures,
        text.count(db.captures))
    if db.unproven then
        add("Unproven: the x64 layout is worked out, not documented; its own figures agree with it.")
    end
    if db.count ~= db.added then
        add("NumberOfEntriesAdded is 0x%x, but only 0x%x entries can be reached.", db.added, db.count)
    end
    if db.unreadable > 0 then
        add("%s cannot be read.", text.plural(db.unreadable, "entry", "entries"))
    end
    if db.wraps then
        add("Wraps: a block stores only %d bits of the index, so one stored index can stand for %d traces.",
            db.index_bits, (db.count >> db.index_bits) + 1)
    else
        add("Does not wrap: every stored index stands for one trace.")
    end
    if db.full then
        add("Full: entries and index array have met. Stacks that were new after that were not recorded;")
        add("blocks that they allocated carry index 0.")
    else
        add("Not full: every captured stack has an entry.")
    end
    if lost(db) then
        add("Captures lost since then: about %s, %s %% of all lookups (lookups minus captures; an estimate).",
            text.count(lost(db)), text.percent(lost(db), db.looked_up))
    end
    return lines
end

function database.json(dump, db)
    local function address(value)
        return text.hex_address(dump, value)
    end
    return {
        address = address(db.address), pointer = address(db.pointer_address), source = db.source,
        unproven = db.unproven,
        acquire = address(db.acquire), release = address(db.release), okay = address(db.okay),
        precommitted = db.precommitted, dump_in_progress = db.dump_in_progress,
        commit_base = address(db.commit_base), lower_limit = address(db.lower_limit),
        upper_limit = address(db.upper_limit), next_lower = address(db.next_lower),
        next_upper = address(db.next_upper), looked_up = db.looked_up, added = db.added,
        index_array = address(db.index_array), bucket_count = db.bucket_count, buckets = address(db.buckets),
        count = db.count, unreadable = db.unreadable, index_bits = db.index_bits, wraps = db.wraps,
        full = db.full, captures = db.captures, lost = lost(db),
    }
end

return database
