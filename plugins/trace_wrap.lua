-- trace_wrap: stored indexes that do not say which trace allocated a block.
-- Why: a block keeps 16 bits of its trace's index. Past 0xffff entries a debugger that reads those bits shows the wrong
-- stack, with nothing to tell so. Once the database is full, new stacks are not recorded, and their blocks store 0, as
-- those of trace 0x10000 do. Entries whose frames make no sense come from damage or from a race with a writer.
-- Findings: one for the wrap, one for the database being full, one for senseless entries; none where all is well.
-- Known false alarms: frames of code that was made at run time lie in no module, and are not counted as senseless when
-- they lie in committed private memory; unloaded modules are accepted.
-- Sample output: 130,923 traces, but blocks store 16 bits: 282,289 of 349,690 busy blocks fit two traces or more.

local SAMPLE <const> = 4000 -- entries looked at

local function amount(n)
    local text = tostring(n):reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
    return text
end

-- Blocks of a state, in all and with more than one candidate.
local function count_blocks(db, set)
    local all, doubtful, zero, bytes, doubtful_bytes = 0, 0, 0, 0, 0
    local width <const> = 1 << db.index_bits
    for row in set:group "stored" do
        if row.stored then
            local candidates = (db.count - row.stored) // width + (row.stored > 0 and 1 or 0) +
                (row.stored == 0 and db.full and 1 or 0)
            all, bytes = all + row.count, bytes + row.bytes
            if candidates > 1 then
                doubtful, doubtful_bytes = doubtful + row.count, doubtful_bytes + row.bytes
            end
            if row.stored == 0 then zero = row.count end
        end
    end
    return { all = all, bytes = bytes, doubtful = doubtful, doubtful_bytes = doubtful_bytes, zero = zero }
end

-- Entries of an even sample that nothing could have called.
local function senseless(dump, db)
    local ranges, seen, bad, first = {}, 0, 0, nil
    for region in dump:regions() do
        if region.state == 0x1000 then ranges[#ranges + 1] = { region.address, region.address + region.size } end
    end
    for _, one in ipairs(dump:info().unloaded_modules or {}) do
        ranges[#ranges + 1] = { one.base, one.base + one.size }
    end
    table.sort(ranges, function(a, b) return a[1] < b[1] end)
    local function inside(va)
        local low, high = 1, #ranges
        while low <= high do
            local middle = (low + high) // 2
            if va < ranges[middle][1] then
                high = middle - 1
            elseif va >= ranges[middle][2] then
                low = middle + 1
            else
                return true
            end
        end
        return false
    end
    for index = 1, db.count, math.max(1, db.count // SAMPLE) do
        local trace = db[index]
        local sense = trace.readable and trace.depth > 0
        if sense then
            for _, va in ipairs(trace.frames) do sense = sense and inside(va) end
        end
        seen = seen + 1
        if not sense then bad, first = bad + 1, first or index end
    end
    return bad, seen, first
end

local CAPTURE <const> = "capture with page heap in light mode (gflags /p /enable IMAGE.EXE): its record of a block " ..
    "holds the address of a trace, not 16 bits of an index"

local function run(dump, _, report)
    local db = dump.traces
    local counts = count_blocks(db, dump:blocks "state == busy")
    if db.wraps and counts.doubtful > 0 then
        report:add {
            claim = "stored trace indexes are ambiguous: a debugger shows wrong stacks",
            confidence = 1.0,
            evidence = {
                ("the database has 0x%x entries, a block stores %d bits of an index"):format(db.count, db.index_bits),
                ("%s of %s busy blocks fit two traces or more"):format(amount(counts.doubtful), amount(counts.all)),
            },
            blocks = counts.doubtful, bytes = counts.doubtful_bytes,
            share = counts.bytes > 0 and counts.doubtful_bytes / counts.bytes or 0.0,
            remedy = "read stacks through attribution (heapsift.attribution, in a script); for proof, " .. CAPTURE,
            refute = "fewer than 0x10000 entries in the database",
        }
    end
    if db.full then
        local lost = db.looked_up - db.captures
        report:add {
            claim = "the trace database is full: later stacks were not recorded",
            confidence = 0.99,
            evidence = {
                "the entries and the index array have met",
                ("%s busy blocks store 0: not recorded, or a multiple of 0x%x"):format(amount(counts.zero),
                    1 << db.index_bits),
                lost > 0 and ("about %s captures are in no entry's count"):format(amount(lost)) or nil,
            },
            blocks = counts.zero,
            remedy = "make the database larger (gflags /i IMAGE.EXE /tracedb MEGABYTES), or capture sooner",
            refute = "an entry that was added after these blocks",
        }
    end
    local bad, seen, first = senseless(dump, db)
    if bad > 0 then
        report:add {
            claim = "entries of the trace database make no sense",
            confidence = 0.9,
            evidence = { ("%s of %s entries looked at: no frames, or frames outside of all memory"):format(amount(bad),
                amount(seen)) },
            trace = first,
            remedy = "blocks of these traces have no known caller; compare with another dump",
            refute = "a module that held these addresses and is in no list of the dump",
        }
    end
end

return {
    name = "trace_wrap", kind = "heuristic", needs = { "blocks", "traces" },
    summary = "stored trace indexes that fit several traces, and a full or damaged database",
    run = run,
}
