-- heapsift batch: inputs, limits, failures as rows, resuming; the store compared with the truth of its samples.

local json = require "dkjson"
local program = require "program"

local folder, truths

local function quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

local function write(name, text)
    local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
    return folder .. "/" .. name
end

local function shell(command)
    local pipe <close> = assert(io.popen(("cd %s && H=%s && {\n%s\n} 2>&1"):format(quote(folder), quote(program.path),
        command)))
    return pipe:read "a"
end

-- Rows of a question, columns joined by |, through SQLite's own shell: somebody else's reader of the same file.
local function ask(db, sql)
    return program.lines(shell(("sqlite3 -batch %s %s"):format(quote(db), quote(sql))))
end

local function batch(...)
    return program.run({ "batch", ... }, folder)
end

-- What must be the same of two stores: every table but runs and timings, without ids.
local CONTENT <const> = [[
SELECT 'input', replace(path, '/again/', '/'), path_bytes, size, state, (SELECT content FROM dumps WHERE id =
dump_id) FROM inputs
UNION ALL SELECT 'dump', content, size, arch, windows, process FROM dumps
UNION ALL SELECT 'module', content, name, version, timestamp, m.size FROM dump_modules JOIN dumps d ON d.id =
dump_id JOIN modules m ON m.id = module_id
UNION ALL SELECT 'result', content, state, exit_code, result, schema FROM results JOIN dumps d ON d.id = dump_id
UNION ALL SELECT 'figure', content, position, name, value, unit FROM figures JOIN results r ON r.id = result_id
JOIN dumps d ON d.id = dump_id
UNION ALL SELECT 'finding', content, position, claim, bytes, (SELECT site FROM site_list s WHERE s.site_id =
f.site_id) FROM findings f JOIN results r ON r.id = result_id JOIN dumps d ON d.id = dump_id
UNION ALL SELECT 'note', content, position, text, NULL, NULL FROM notes JOIN results r ON r.id = result_id JOIN
dumps d ON d.id = dump_id
UNION ALL SELECT 'error', coalesce(path, (SELECT content FROM dumps d JOIN results r ON r.dump_id = d.id WHERE r.id
= result_id)), reason, message, stderr, NULL FROM errors LEFT JOIN inputs i ON i.id = input_id
ORDER BY 1, 2, 3, 4, 5, 6
]]
local function content(db) return ask(db, (CONTENT:gsub("\n", " "))) end

local SCRIPT <const> = [[
heapsift.script { summary = "what the truth knows too", json = "test.totals/1" }
local busy = dump:blocks { state = "busy" }
report:figure("busy blocks", busy:count())
report:figure("busy bytes", busy:bytes(), "bytes")
for row in busy:where("size == 0xf8"):group("stored"):top(1) do
    local trace = dump.traces and dump.traces[row.stored]
    report:add { claim = "rows of one trace", confidence = 0.9, trace = row.stored, blocks = row.count,
        bytes = row.bytes, frame = trace and trace:caller() or nil, evidence = { "counted" } }
end
]]

setup(function()
    folder, truths = program.folder(), {}
    os.execute(("mkdir %s/dumps %s/dumps/deep %s/plugins"):format(folder, folder, folder))
    for seed = 1, 5 do
        local name = ("dumps/%s%d.dmp"):format(seed > 3 and "deep/" or "", seed)
        program.output { "run", "sample", folder .. "/" .. name, "--tiny", "--seed", tostring(seed), "--truth",
            folder .. "/truth.json" }
        truths[folder .. "/" .. name] = json.decode(program.read_file(folder .. "/truth.json"))
    end
    write("totals.lua", SCRIPT)
    shell "cp dumps/1.dmp dumps/deep/copy.dmp; head -c 300 dumps/2.dmp > dumps/cut.dmp; : > dumps/empty.dmp"
    write("dumps/readme.txt", "no dump")
end)

teardown(function() program.remove(folder) end)

describe("a batch", function()
    it("puts every dump into the store once, with the figures of its truth", function()
        local out, code, err = batch("totals.lua", "dumps", "--out", "r.db")
        assert.same(4, code, out .. err)
        assert.truthy(out:find "8 inputs", out)
        assert.truthy(out:find "1 files in folders have other names", out)
        for path, truth in pairs(truths) do
            local blocks, bytes = 0, 0
            for _, heap in ipairs(truth.heaps) do
                blocks, bytes = blocks + heap.states.busy.blocks, bytes + heap.states.busy.bytes
            end
            assert.same({ "busy blocks|" .. blocks, "busy bytes|" .. bytes }, ask("r.db",
                ("SELECT f.name, f.value FROM inputs i JOIN results r ON r.dump_id = i.dump_id JOIN figures f"
                .. " ON f.result_id = r.id WHERE i.path = '%s' ORDER BY f.position"):format(path)))
            assert.same({ tostring(#truth.modules) }, ask("r.db",
                ("SELECT count(*) FROM module_list WHERE path = '%s'"):format(path)))
        end
        assert.same({ "6|6" }, ask("r.db",
            "SELECT count(*), count(DISTINCT dump_id) FROM results WHERE state = 'done'"))
        assert.same({ "2" }, ask("r.db", "SELECT count(*) FROM inputs WHERE dump_id = (SELECT dump_id FROM inputs"
            .. " WHERE path LIKE '%/copy.dmp')"))
        assert.same({ "unreadable|1" }, ask("r.db", "SELECT reason, count(*) FROM failure_list GROUP BY reason"))
        assert.same({ "5" }, ask("r.db", "SELECT count(*) FROM finding_list WHERE site LIKE '3rdpartydll+0x%'"))
        assert.same("", shell "ls r.db.lock r.db-wal 2> /dev/null")
    end)

    it("goes on where it ended, and runs a changed script again", function()
        local _, code, err = batch("totals.lua", "dumps", "--out", "r.db")
        assert.same(2, code)
        assert.truthy(err:find "%-%-resume goes on", err)
        local before = content "r.db"
        local out = batch("totals.lua", "dumps", "--out", "r.db", "--resume")
        assert.truthy(out:find "0 dumps run", out)
        assert.same(before, content "r.db")
        write("totals.lua", SCRIPT .. "report:figure('more', 1)\n")
        out = batch("totals.lua", "--out", "r.db", "--resume")
        assert.truthy(out:find "6 dumps run", out)
        assert.same({ "6" }, ask("r.db", "SELECT count(*) FROM figures WHERE name = 'more'"))
        write("plugins/mine.lua", "return { name = 'mine', kind = 'heuristic', summary = 's', run = function() end }")
        out = batch("totals.lua", "--out", "r.db", "--resume", "--plugins", "plugins")
        assert.truthy(out:find "6 dumps run", out)
        write("totals.lua", SCRIPT)
    end)

    it("makes a row of every way to fail", function()
        write("bad.lua", [[
            heapsift.script { summary = "fails" }
            local n = tonumber(args.input:match "(%d+)%.dmp$")
            print("about to fail")
            if n == 1 then while true do end end
            if n == 2 then local s = "x" while true do s = s .. s end end
            if n == 3 then error "a bug" end
            if n == 4 then heapsift.fail("missing", "not\27[31m here") end
            for i = 1, 1e7 do print(("y"):rep(1000)) end
        ]])
        local out, code = batch("bad.lua", "dumps/*.dmp", "dumps/deep", "--out", "f.db", "--timeout", "1",
            "--memory-limit", "32M", "--output-limit", "100K", "nowhere.dmp")
        assert.same(4, code, out)
        local rows = ask("f.db", "SELECT path, reason, message FROM failure_list WHERE path NOT LIKE '%copy%'"
            .. " ORDER BY path")
        for i, row in ipairs(rows) do rows[i] = row:gsub("^[^|]*/", "") end
        assert.same("1.dmp|timeout|not done after 1 s (--timeout)", rows[1])
        assert.truthy(rows[2]:find "^2.dmp|memory|out of memory: the limit is 32 MiB", rows[2])
        assert.truthy(rows[3]:find "^3.dmp|script|bad.lua:6: a bug$", rows[3])
        assert.truthy(rows[4]:find "^cut.dmp|output|", rows[4])
        assert.same([[4.dmp|missing|not\x1b[31m here]], rows[5])
        assert.truthy(rows[6]:find "^5.dmp|output|", rows[6])
        assert.same("empty.dmp|unreadable|the file is empty, expected a user minidump", rows[7])
        assert.truthy(rows[8]:find "^nowhere.dmp|unreadable|cannot open the file: No such file", rows[8])
        assert.same({ "about to fail" }, ask("f.db", "SELECT stderr FROM failure_list WHERE reason = 'timeout'"
            .. " AND path LIKE '%/1.dmp'"))
    end)

    it("takes dumps out of archives, and refuses what is not meant well", function()
        shell [[
            mkdir -p arc in; cp dumps/1.dmp in/one.dmp; cp dumps/2.dmp in/two.dmp; echo text > in/readme.txt
            ln -s one.dmp in/link.dmp; cp one.dmp in 2> /dev/null; head -c 200 dumps/3.dmp | tail -c 100 > in/no.dmp
            gzip -c dumps/3.dmp > arc/three.dmp.gz; zstd -q -c dumps/deep/4.dmp > arc/four.dmp.zst
            (cd in && zip -q -y ../arc/a.zip one.dmp readme.txt link.dmp no.dmp && 7z a -bd -bso0 ../arc/b.7z two.dmp)
            tar -C in -czf arc/up.tar.gz --transform 's,two,../../two,' -P two.dmp
            (printf MDMP; head -c 100000000 /dev/zero) | gzip -1 > arc/bomb.dmp.gz
            head -c 20000 arc/b.7z > arc/cut.7z
            zip -q -j arc/nested.zip arc/a.zip
        ]]
        local out, code = batch("totals.lua", "arc", "--out", "a.db", "--unpack-limit", "64M", "--jobs", "2")
        assert.same(4, code, out)
        local rows = ask("a.db", "SELECT i.path, i.state, coalesce(r.state, ''), coalesce(e.message, '') FROM inputs i"
            .. " LEFT JOIN results r ON r.dump_id = i.dump_id LEFT JOIN errors e ON e.input_id = i.id ORDER BY i.path")
        for i, row in ipairs(rows) do rows[i] = row:gsub("^[^|]*/arc/", "") end
        assert.same({
            "a.zip|unpacked||",
            "a.zip//link.dmp|refused||a link",
            "a.zip//no.dmp|refused||not a user minidump",
            "a.zip//one.dmp|known|done|",
            "b.7z|unpacked||",
            "b.7z//two.dmp|known|done|",
            "bomb.dmp.gz|unpacked||",
            "bomb.dmp.gz//bomb.dmp|refused||more than 67108864 bytes when unpacked (--unpack-limit)",
        }, table.move(rows, 1, 8, 1, {}))
        assert.truthy(rows[9]:find "^cut.7z|unreadable||", rows[9])
        assert.same({
            "four.dmp.zst|unpacked||", "four.dmp.zst//four.dmp|known|done|",
            "nested.zip|unpacked||", "nested.zip//a.zip|refused||an archive inside an archive: unpack it first",
            "three.dmp.gz|unpacked||", "three.dmp.gz//three.dmp|known|done|",
            "up.tar.gz|unpacked||", "up.tar.gz//../../two.dmp|refused||a name that leads out of the archive (..)",
        }, table.move(rows, 10, #rows, 1, {}))
        assert.same(ask("r.db", "SELECT f.name, f.value FROM figures f JOIN result_list r USING(result_id)"
            .. " WHERE path LIKE '%/dumps/1.dmp' ORDER BY position LIMIT 2"), ask("a.db",
            "SELECT f.name, f.value FROM figures f JOIN result_list r USING(result_id)"
            .. " WHERE path LIKE '%//one.dmp' ORDER BY position"))
        out = batch("totals.lua", "arc", "--out", "a.db", "--resume")
        assert.truthy(out:find "0 dumps run", out)
    end)
end)
