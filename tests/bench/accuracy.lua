-- accuracy.lua: how right the attribution is on variants whose truth is known. Needs --allow-files, for the truths.
--
-- Per group of blocks (heap, stored index, size) with two candidates or more ("not recorded" is one, once the database
-- is full): right = min(blocks of a share, true blocks of its trace). accuracy: right bytes of all bytes, unclaimed
-- ones are wrong. calibration: ten bins of confidence, weighted by bytes, of |mean confidence - right / claimed|.
-- certain: shares of at least 0.99 that are wrong in a block or more, of all such shares. leader: dumps whose caller
-- with most unreferenced bytes is one of the largest planted leak (an operation may allocate in several places).
-- oracle: gives each group to the candidate that makes most blocks of its size and heap, told of each call site what
-- the generator knows: how many blocks of it are live, its sizes, its heap. That is more than any analysis can know, so
-- the bar is on the strict side. plain: the lowest candidate, which is what a debugger shows.

heapsift.script {
    summary = "measure the attribution on variants",
    input = "none",
    args = { { name = "folder", doc = "with SEED.dmp and SEED.json of each seed" } },
    options = {
        from = { type = "integer", default = 11 }, to = { type = "integer", default = 30 },
        name = { doc = "files are NAME-SEED.dmp", default = "v" },
        wrong = { type = "flag", doc = "with --all: the certain shares that are wrong" },
        all = { type = "flag", doc = "a line for each dump" },
        only_full = { type = "flag", doc = "all evidence only, without the table" },
    },
}

local EVIDENCE <const> = require "attribution".evidence

-- ---- JSON, as far as the truth needs it ----

local P <const>, R <const>, S <const>, V <const> = lpeg.P, lpeg.R, lpeg.S, lpeg.V
local space <const> = S " \n\r\t" ^ 0
local function sign(text) return P(text) * space end
local text <const> = P '"' * lpeg.C((1 - P '"') ^ 0) * P '"' * space
local json <const> = P {
    space * V "value",
    value = text + lpeg.C(S "-" ^ -1 * R "09" ^ 1 * (S ".eE+-" + R "09") ^ 0) * space / tonumber + V "object" +
        V "array" + sign "true" * lpeg.Cc(true) + sign "false" * lpeg.Cc(false),
    object = lpeg.Cf(lpeg.Ct "" * sign "{" * (V "pair" * (sign "," * V "pair") ^ 0) ^ -1 * sign "}", rawset),
    pair = lpeg.Cg(text * sign ":" * V "value"),
    array = lpeg.Ct(sign "[" * (V "value" * (sign "," * V "value") ^ 0) ^ -1 * sign "]"),
}
lpeg.setmaxstack(2000)

local function read_json(path)
    local file <close> = assert(io.open(path))
    return assert(json:match(file:read "a"), path)
end

-- ---- truth ----

local function key_of(heap, stored, size) return ("%x,%x,%x"):format(heap, stored, size) end

-- group -> trace -> blocks, and bytes by trace
local function truth_groups(truth)
    local groups, bytes = {}, {}
    for _, heap in ipairs(truth.heaps) do
        local address = tonumber(heap.address, 16)
        for _, row in ipairs(heap.groups) do
            local stored, size, trace, blocks = row[1], row[2], row[3], row[4]
            if stored >= 0 then
                local key = key_of(address, stored, size)
                groups[key] = groups[key] or { heap = address, stored = stored, size = size, by = {} }
                local by = groups[key].by
                by[trace] = (by[trace] or 0) + blocks
                bytes[trace] = (bytes[trace] or 0) + blocks * size
            end
        end
    end
    return groups, bytes
end

-- Chance that a site makes a block of this size.
local function size_chance(site, size)
    if site.fixed then
        local hits = 0
        for _, one in ipairs(site.fixed) do if one == size then hits = hits + 1 end end
        return hits / #site.fixed * 0.96 + 1e-5
    end
    local even = site.kind == "wide" or site.kind == "bstr"
    if even and size % 2 == 1 then return 1e-5 end
    local z = (math.log(size + 0.5) - math.log(site.mean)) / site.spread
    return math.exp(-z * z / 2) / (size * site.spread * 2.5066) * (even and 2 or 1) + 1e-5
end

local function oracle_of(truth)
    local at, heaps = {}, {}
    for _, site in ipairs(truth.sites) do
        if site.index > 0 then at[site.index] = site end
        if site.index == 0 then
            at[0] = at[0] or {}
            table.insert(at[0], site)
        end
    end
    for i, heap in ipairs(truth.heaps) do heaps[tonumber(heap.address, 16)] = i end
    local function made(site, group)
        return site.live * size_chance(site, group.size) * (heaps[group.heap] == site.heap and 1 or 0.001)
    end
    return function(group, count)
        local best, most = nil, -1
        for index = group.stored, count, 0x10000 do
            local expected = 0
            if index == 0 then
                for _, site in ipairs(at[0] or {}) do expected = expected + made(site, group) end
            elseif at[index] then
                expected = made(at[index], group)
            end
            if expected > most then best, most = index, expected end
        end
        return group.by[best] or 0
    end
end

-- ---- measures ----

local BINS <const> = 10
local WRONG <const> = "wrong: heap %x stored %x size %x: %x:%d at %.4f (%s, C %d); true %s"
local LINE <const> = "%2d %-9s %5.1f MB in doubt: accuracy %.4f, oracle %.4f, plain %.3f, certain %d wrong of %d%s"

local function new_score()
    local score = { bytes = 0, right = 0, certain = 0, certain_wrong = 0, leaders = 0, leaks = 0, claimed = {},
        confident = {}, hit = {}, seconds = 0, levels = {} }
    for i = 1, BINS do score.claimed[i], score.confident[i], score.hit[i] = 0, 0, 0 end
    return score
end

local function calibration(score)
    local sum, all = 0, 0
    for i = 1, BINS do
        sum, all = sum + math.abs(score.confident[i] - score.hit[i]), all + score.claimed[i]
    end
    return all > 0 and sum / all or 0
end

local function measure(score, case, a)
    local suspects = {}
    for group in a:groups() do
        local key = key_of(group.heap, group.stored, group.size)
        local true_group = case.groups[key]
        local unheld = (case.unheld[key] or 0) / group.blocks
        for _, share in ipairs(group.shares) do
            local _, caller = nil, nil
            if share.trace then _, caller = a:trace(share.index) end
            if caller then suspects[caller] = (suspects[caller] or 0) + share.blocks * group.size * unheld end
            if case.ambiguous[key] then
                local right = math.min(share.blocks, true_group.by[share.index] or 0)
                local bytes, p = share.blocks * group.size, share.confidence
                score.right = score.right + right * group.size
                local bin = math.min(BINS, math.floor(p * BINS) + 1)
                score.claimed[bin] = score.claimed[bin] + bytes
                score.confident[bin] = score.confident[bin] + bytes * p
                score.hit[bin] = score.hit[bin] + right * group.size
                local nines = math.min(6, math.floor(-math.log(1 - p + 1e-9, 10) * 2))
                local level = score.levels[nines] or { 0, 0 }
                score.levels[nines] = level
                level[1], level[2] = level[1] + 1, level[2] + (right < share.blocks and 1 or 0)
                if p >= 0.99 then
                    score.certain = score.certain + 1
                    if right < share.blocks then
                        score.certain_wrong = score.certain_wrong + 1
                        if args.wrong and score.shown then
                            local truths = {}
                            for trace, blocks in pairs(true_group.by) do
                                truths[#truths + 1] = ("%x:%d(C %s)"):format(trace, blocks,
                                    trace > 0 and case.dump.traces[trace].count or "-")
                            end
                            print(WRONG:format(group.heap, group.stored, group.size, share.index, share.blocks, p,
                                share.trace and a:trace(share.index) or "-", share.trace and share.trace.count or 0,
                                table.concat(truths, " ")))
                        end
                    end
                end
            end
        end
    end
    score.bytes = score.bytes + case.bytes
    if case.leader then
        local best
        for caller, bytes in pairs(suspects) do
            if not best or bytes > suspects[best] or bytes == suspects[best] and caller < best then best = caller end
        end
        score.leaks = score.leaks + 1
        if case.leader[best] then score.leaders = score.leaders + 1 end
        score.missed = not case.leader[best]
    end
end

-- What TraceCount as a mere bound gives: one of the candidates that can hold the group, by lot.
local function bound_right(dump, group)
    local n, able, right = 0, 0, 0
    for _, blocks in pairs(group.by) do n = n + blocks end
    for _, trace in ipairs(dump.traces:candidates(group.stored)) do
        if trace.count >= n then able, right = able + 1, right + (group.by[trace.index] or 0) end
    end
    if group.stored == 0 then able, right = able + 1, right + (group.by[0] or 0) end
    return able > 0 and right / able or 0
end

local function load_case(seed)
    local base = ("%s/%s-%d"):format(args.folder, args.name, seed)
    local truth = read_json(base .. ".json")
    local dump = assert(heapsift.open(base .. ".dmp"))
    local groups, by_trace = truth_groups(truth)
    local case = { dump = dump, groups = groups, ambiguous = {}, bytes = 0, oracle = 0, plain = 0, bound = 0,
        unheld = {}, kind = truth.kind }
    local count, oracle = #dump.traces, oracle_of(truth)
    for key, group in pairs(groups) do
        local candidates = #dump.traces:candidates(group.stored) +
            (group.stored == 0 and dump.traces.full and 1 or 0)
        if candidates >= 2 then
            case.ambiguous[key] = true
            for _, blocks in pairs(group.by) do case.bytes = case.bytes + blocks * group.size end
            case.oracle = case.oracle + oracle(group, count) * group.size
            case.bound = case.bound + bound_right(dump, group) * group.size
            case.plain = case.plain + (group.by[group.stored > 0 and group.stored or 0x10000] or 0) * group.size
        end
    end
    for row in dump:blocks "state == busy and stored >= 0 and not referenced":group("heap", "stored", "size") do
        case.unheld[key_of(row.heap, row.stored, row.size)] = row.count
    end
    local most = -1
    for _, leaker in ipairs(truth.leakers) do
        local bytes, called = 0, {}
        for _, trace in ipairs(leaker.traces) do
            bytes = bytes + (by_trace[trace] or 0)
            if trace > 0 then called[dump.traces[trace]:caller()] = true end
        end
        if bytes > most then most, case.leader = bytes, called end
    end
    return case
end

local modes = { { "all evidence", {} } }
if not args.only_full then
    for _, kind in ipairs(EVIDENCE) do modes[#modes + 1] = { "without " .. kind, { kind } } end
    modes[#modes + 1] = { "counts only", table.move(EVIDENCE, 2, #EVIDENCE, 1, {}) }
end

local scores, oracle, plain, bound, all = {}, 0, 0, 0, 0
for i in ipairs(modes) do scores[i] = new_score() end
for seed = args.from, args.to do
    local case <const> = load_case(seed)
    oracle, plain, bound, all = oracle + case.oracle, plain + case.plain, bound + case.bound, all + case.bytes
    for i, mode in ipairs(modes) do
        local started <const> = os.clock()
        local one = args.all and new_score()
        local a = heapsift.attribution(case.dump, { without = mode[2] })
        measure(scores[i], case, a)
        scores[i].seconds = scores[i].seconds + os.clock() - started
        if one and i == 1 then
            one.shown = true
            measure(one, case, a)
            print(LINE:format(seed, case.kind, case.bytes / 1e6, one.right / math.max(1, one.bytes),
                case.oracle / math.max(1, case.bytes), case.plain / math.max(1, case.bytes), one.certain_wrong,
                one.certain, one.missed and ", LEADER MISSED" or ""))
        end
    end
    case.dump:close()
end

print(("seeds %d to %d, %.1f MB in groups with two candidates or more"):format(args.from, args.to, all / 1e6))
print(("oracle accuracy %.4f, a debugger's plain reading %.4f, by lot among those with captures enough %.4f"):format(
    oracle / all, plain / all, bound / all))
print(("%-20s %9s %10s %12s %16s %8s %8s"):format("", "accuracy", "of oracle", "calibration", "certain wrong", "leader",
    "seconds"))
for i, mode in ipairs(modes) do
    local score = scores[i]
    print(("%-20s %9.4f %10.4f %12.4f %6d of %6d %5d/%-2d %8.1f"):format(mode[1], score.right / score.bytes,
        score.right / oracle, calibration(score), score.certain_wrong, score.certain, score.leaders, score.leaks,
        score.seconds))
end
if args.all then
    local score = scores[1]
    for i = 1, BINS do
        if score.claimed[i] > 0 then
            print(("confidence %.1f..%.1f: %7.2f MB, mean %.4f, right %.4f"):format((i - 1) / BINS, i / BINS,
                score.claimed[i] / 1e6, score.confident[i] / score.claimed[i], score.hit[i] / score.claimed[i]))
        end
    end
    for nines = 0, 6 do
        local level = score.levels[nines]
        if level then
            print(("confidence from %.4f: %6d shares, %4d wrong"):format(1 - 10 ^ (-nines / 2), level[1], level[2]))
        end
    end
end
