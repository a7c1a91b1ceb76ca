-- heapsift batch: inputs, limits, failures as rows, resuming; the store compared with the truth of its samples.

local json = require "dkjson"
local program = require "program"
local batches = require "batches"
local ask, content, quote, shell, write = batches.ask, batches.content, batches.quote, batches.shell, batches.write
local batch = batches.run

local folder, truths

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
    batches.folder = folder
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
        assert.same({ "done|5|5", "partial|1|1" }, ask("r.db", -- partial: the cut one has no list of heaps
            "SELECT state, count(*), count(DISTINCT dump_id) FROM results GROUP BY state ORDER BY state"))
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
        local out, code = batch("bad.lua", "dumps/*.dmp", "dumps/deep", "--out", "f.db", "--timeout", "5",
            "--memory-limit", "32M", "--output-limit", "100K", "nowhere.dmp")
        assert.same(4, code, out)
        local rows = ask("f.db", "SELECT path, reason, message FROM failure_list WHERE path NOT LIKE '%copy%'"
            .. " ORDER BY path")
        for i, row in ipairs(rows) do rows[i] = row:gsub("^[^|]*/", "") end
        assert.same("1.dmp|timeout|not done after 5 s (--timeout)", rows[1])
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
        write("path.lua", "report:figure('path', dump.path)")
        batch("path.lua", "arc/a.zip", "--out", "path.db")
        assert.same({ folder .. "/arc/a.zip//one.dmp" }, ask("path.db", "SELECT value FROM figures"))
        assert.same(ask("r.db", "SELECT f.name, f.value FROM figures f JOIN result_list r USING(result_id)"
            .. " WHERE path LIKE '%/dumps/1.dmp' ORDER BY position LIMIT 2"), ask("a.db",
            "SELECT f.name, f.value FROM figures f JOIN result_list r USING(result_id)"
            .. " WHERE path LIKE '%//one.dmp' ORDER BY position"))
        out = batch("totals.lua", "arc", "--out", "a.db", "--resume")
        assert.truthy(out:find "0 dumps run", out)
    end)

    it("asks across dumps", function()
        local out = program.output({ "run", "top-culprits", "a.db", "--json" }, folder)
        local sites = json.decode(out).result.sites
        assert.truthy(sites[1].place:find "^3rdpartydll%+0xc8141 ")
        assert.same(4, sites[1].dumps)
        assert.truthy(program.output({ "run", "top-culprits", "r.db", "--by", "folder" }, folder):find "/dumps/deep/\n")
        out = json.decode((program.output({ "run", "coverage", "a.db", "--json" }, folder))).result
        assert.same({ known = 4, refused = 5, unpacked = 7, unreadable = 1 }, out.inputs)
        out = json.decode((program.output({ "run", "since", "r.db", "--json" }, folder))).result
        assert.same("1.5.3.0", out.sites[1].since)
        assert.truthy(out.sites[1].earliest)
        out = program.lines(program.output({ "run", "export", "r.db", "--what", "figures" }, folder))
        assert.same("result_id,position,name,value,unit", out[1])
        assert.same(ask("r.db", "SELECT count(*) FROM figures"), { tostring(#out - 1) })
        assert.same("r.db", program.output({ "run", write("ask.lua", [=[
            heapsift.script { input = "none" }
            local r = assert(heapsift.results("]=] .. folder .. [=[/r.db"))
            local function refuses(pattern, ...)
                local ok, message = pcall(r.value, r, ...)
                assert(not ok and message:find(pattern), tostring(message))
            end
            assert(r:value("SELECT count(*) FROM inputs WHERE path LIKE ?", "%.dmp") == 8)
            assert(r:value("SELECT :a + :b", { a = 1, b = 2.5 }) == 3.5 and r:value("SELECT ?", nil) == nil)
            refuses("give the value as a parameter", "SELECT * FROM inputs WHERE path = 'x'")
            refuses("only reading", "DELETE FROM inputs")
            refuses("only reading", "ATTACH ? AS x", "/tmp/x")
            refuses("only reading", "PRAGMA user_version = 9")
            refuses("one statement", "SELECT 1; SELECT 2")
            refuses("no such table", "SELECT * FROM no_such")
            refuses("has 1 parameters, 0 values", "SELECT ?")
            r:close()
            refuses("closed", "SELECT 1")
            local none, message, code = heapsift.results("]=] .. folder .. [=[/ask.lua")
            assert(none == nil and code == "format", message)
            heapsift.write("r.db")
        ]=]) }, folder))
    end)

    it("tells since which version a call site grows", function()
        -- Samples have one version and no PDB: a copy of the store is told that there were two.
        shell [[cp r.db v.db; sqlite3 v.db "UPDATE sites SET symbols = 'pdb', function = 'Leak::Make';
            UPDATE modules SET version = '2.0.0.0', version_number = 2 << 48 WHERE name = '3rdpartydll' AND id IN
                (SELECT module_id FROM module_list WHERE path LIKE '%/deep/4.dmp' OR path LIKE '%/deep/5.dmp');
            DELETE FROM findings WHERE site_id IN (SELECT site_id FROM site_list WHERE version = '1.5.3.0')"]]
        local answer = json.decode((program.output({ "run", "since", "v.db", "--json" }, folder))).result.sites
        assert.same({ "3rdpartydll!Leak::Make", "2.0.0.0", true, nil }, { answer[1].place, answer[1].since,
            answer[1].comparable, answer[1].earliest })
        local versions = answer[1].versions
        assert.same({ "1.5.3.0", 3, 0, 0 }, { versions[1].version, versions[1].dumps, versions[1].found,
            versions[1].mean_bytes })
        assert.same({ "2.0.0.0", 2, 2 }, { versions[2].version, versions[2].dumps, versions[2].found })
        local bytes = tonumber(ask("v.db", "SELECT sum(bytes) FROM findings")[1])
        assert.same(bytes / 2, versions[2].mean_bytes)
        local text = program.output({ "run", "since", "v.db" }, folder)
        assert.truthy(text:find "^3rdpartydll!Leak::Make: grows since 2.0.0.0\n", text)
    end)

    it("streams the same records as JSON lines", function()
        local out, code = batch("totals.lua", "dumps", "--format", "jsonl")
        assert.same(4, code)
        batch("totals.lua", "dumps", "--out", "r.db", "--resume")
        local streamed = program.lines(out)
        local exported = program.lines(program.output({ "run", "export", "r.db", "--what", "all" }, folder))
        table.sort(streamed)
        table.sort(exported)
        assert.same(exported, streamed)
    end)

    it("stores and shows hostile names and texts", function()
        local names = { "x'; DROP TABLE inputs;--.dmp", "a\27[2Jb\nc.dmp", "bad\xff\xfe.dmp", "--out.dmp", "%s%n.dmp" }
        os.execute("mkdir " .. quote(folder .. "/odd"))
        for i, name in ipairs(names) do
            os.execute(("cp %s %s"):format(quote(folder .. "/dumps/1.dmp"), quote(folder .. "/odd/" .. name)))
            if i > 1 then os.execute(("printf %d >> %s"):format(i, quote(folder .. "/odd/" .. name))) end
        end
        write("odd.lua", [[report:add { claim = "'); DELETE FROM runs; --\27]0;x\7 \xff \u{202e}", confidence = 1.0,
            module = "m'\0", evidence = { "<script>", "\r\n" } }
            report:table("t'\27", { "a'\8" }, { { "b\27c" } })
            report:figure("f\27'", "=1+1\x9b")]])
        local out, code, err = batch("odd.lua", "odd", "--out", "o.db", "--jobs", "2")
        assert.same(0, code, out .. err)
        out = out .. batch("odd.lua", "odd", "--out", "o.db", "--resume")
        assert.truthy(out:find "0 dumps run", out)
        assert.same({ "5|5|2" }, ask("o.db", "SELECT count(*), count(dump_id), count(path_bytes) FROM inputs"))
        assert.same({ "1" }, ask("o.db", "SELECT count(DISTINCT claim) FROM findings"))
        out = out .. shell [[cd odd; find . -type f -print0 | "$H" batch ../odd.lua @- --null --out ../null.db]]
        assert.same(ask("o.db", "SELECT path, hex(path_bytes) FROM inputs ORDER BY path"),
            ask("null.db", "SELECT path, hex(path_bytes) FROM inputs ORDER BY path"))
        for _, what in ipairs { "all", "finding_list", "figures", "inputs" } do
            out = out .. program.output({ "run", "export", "o.db", "--what", what }, folder)
        end
        out = out .. shell "sqlite3 o.db .dump | grep -v path_bytes | grep -v '^INSERT INTO inputs'"
        assert.falsy(out:find "[%z\1-\8\11-\31\127]")
        assert.truthy(utf8.len(out))
        assert.truthy(program.output({ "run", "export", "o.db", "--what", "figures" }, folder):find("'=1+1", 1, true))
    end)

    it("lets one batch write", function()
        write("held.lua", "heapsift.script {}\n" .. batches.HELD)
        local out = shell [[
            cp dumps/1.dmp hold-2.dmp
            "$H" batch held.lua dumps/1.dmp dumps/2.dmp --jobs 1 --out two.db > first.txt & first=$!
            for n in $(seq 1200); do [ -s two.db.lock ] && break; sleep 0.05; done
            "$H" batch held.lua dumps/3.dmp --out two.db --resume; echo "second $?"
            rm hold-2.dmp
            wait $first; echo "first $?"
            "$H" batch held.lua dumps/3.dmp --jobs 1 --out two.db --resume > /dev/null; echo "third $?"]]
        assert.truthy(out:find "two.db: another batch writes to it %(process %d+ on [^)]+%)", out)
        assert.truthy(out:find "second 5\nfirst 0\nthird 0\n", out)
        assert.same({ "3" }, ask("two.db", "SELECT count(*) FROM results WHERE state = 'done'"))
    end)

    it("loses nothing to kill -9, Ctrl-C and a full disk", function()
        write("long.lua", SCRIPT .. [[
            local rows = {}
            for i = 1, 300 do rows[i] = { i, ("z"):rep(200) } end
            report:table("long", { "n", "z" }, rows)
            ]] .. batches.HELD)
        batch("long.lua", "dumps", "--out", "whole.db")
        local out = shell [[
            ( ulimit -f 512; "$H" batch long.lua dumps --jobs 1 --out full.db > /dev/null; echo "full $?" )
            "$H" batch long.lua dumps --out full.db --resume > /dev/null; echo "rest $?"
            until_held() { # gives the process that is held
                for n in $(seq 1200); do pgrep -P $pid -f ':worker.*/3[.]dmp' && break; sleep 0.05; done
            }
            cp dumps/1.dmp hold-3.dmp
            "$H" batch long.lua dumps --jobs 1 --out int.db > int.txt & pid=$!
            until_held > /dev/null; kill -TERM $pid; wait $pid; echo "int $?"
            "$H" batch long.lua dumps --jobs 1 --out all.db > all.txt & pid=$!
            child=$(until_held); kill -STOP $pid; kill -TERM $child $pid; kill -CONT $pid; wait $pid; echo "all $?"
            rm hold-3.dmp
            "$H" batch long.lua dumps --out int.db --resume > /dev/null; echo "rest $?"
            "$H" batch long.lua dumps --out all.db --resume > /dev/null; echo "rest $?"
            for pause in 0.05 0.1 0.15 0.2; do
                "$H" batch long.lua dumps --jobs 2 --out kill.db --resume > /dev/null & pid=$!
                sleep $pause; kill -9 $pid 2> /dev/null; wait $pid 2> /dev/null
            done
            "$H" batch long.lua dumps --out kill.db --resume > /dev/null; echo "kill $?"]]
        assert.truthy(out:find "full.db: [^\n]*%-%-resume goes on\nfull 5\nrest 4\n", out)
        assert.truthy(out:find "int 143\n.*all 143\nrest 4\nrest 4\n.*kill 4\n", out)
        local whole = content "whole.db"
        assert.same(whole, content "full.db")
        assert.same(whole, content "int.db")
        assert.same(whole, content "all.db")
        assert.same(whole, content "kill.db")
    end)

    it("joins shards to what one batch gives, in any order and however often", function()
        batch("totals.lua", "dumps", "--out", "unsharded.db")
        local whole = program.lines(program.output({ "run", "export", "unsharded.db", "--what", "all" }, folder))
        local out = shell [[
            for i in 1 2 3; do "$H" batch totals.lua dumps --out part$i.db --shard $i/3; done
            "$H" merge one.db part1.db part2.db part3.db; echo "one $?"
            "$H" merge back.db part3.db part1.db part3.db > /dev/null
            for pause in 0.005 0.01 0.02; do
                "$H" merge back.db part1.db part2.db part3.db > /dev/null & pid=$!
                sleep $pause; kill -9 $pid 2> /dev/null; wait $pid 2> /dev/null
            done
            "$H" merge back.db part2.db part3.db part1.db > /dev/null; echo "two $?"]]
        assert.truthy(out:find "one.db: 3 parts joined, 6 dumps, 6 results, 1 errors\none 0\ntwo 0\n", out)
        for _, db in ipairs { "one.db", "back.db" } do
            local joined = program.lines(program.output({ "run", "export", db, "--what", "all" }, folder))
            assert.same(#whole, #joined)
            for i, line in ipairs(whole) do assert.same(line, joined[i]) end
            assert.same(content "unsharded.db", content(db))
            assert.same({ "6|3" }, ask(db, "SELECT (SELECT count(*) FROM timings), (SELECT count(*) FROM shards)"))
        end
        -- Balanced by size, and the same again.
        local counts = {}
        for i = 1, 3 do counts[i] = tonumber(ask("part" .. i .. ".db", "SELECT count(*) FROM inputs")[1]) end
        assert.same(8, counts[1] + counts[2] + counts[3])
        assert.truthy(math.max(table.unpack(counts)) <= 4)
        local before = ask("part2.db", "SELECT path FROM inputs ORDER BY path")
        batch("totals.lua", "dumps", "--out", "part2b.db", "--shard", "2/3")
        assert.same(before, ask("part2b.db", "SELECT path FROM inputs ORDER BY path"))
        -- Fewer inputs than parts: some have nothing to do, which is no failure.
        out = shell [[
            for i in 1 2 3; do "$H" batch totals.lua dumps/1.dmp --out few$i.db --shard $i/3 > few.txt; echo $?; done
            cat few.txt; "$H" batch totals.lua dumps/1.dmp --out few3.db --shard 3/3 --resume > few.txt; echo $?
            "$H" merge few.db few1.db few2.db few3.db
            mkdir none; "$H" batch totals.lua none --out none.db --shard 1/3; echo $?]]
        assert.truthy(out:find "^0\n0\n0\n0 inputs\n0 dumps run in .*\n0\nfew.db: 3 parts joined, 1 dumps, 1 results,"
            and out:find "heapsift: no input was found\n6\n$", out)
    end)

    it("keeps what more is known of, whichever part comes first", function()
        -- A part that was interrupted, one that could not open its dumps, and one whose script was changed since.
        shell [[for name in listed unreadable worse stale; do cp part1.db $name.db; done
            sqlite3 listed.db "DELETE FROM errors; UPDATE inputs SET state = 'listed', dump_id = NULL"
            sqlite3 unreadable.db "DELETE FROM errors; UPDATE inputs SET state = 'unreadable', dump_id = NULL;
                INSERT INTO errors(input_id, reason, message) SELECT id, 'unreadable', 'x' FROM inputs"
            sqlite3 worse.db "UPDATE results SET state = 'failed'; DELETE FROM figures;
                INSERT INTO errors(result_id, reason, message) SELECT id, 'crash', 'a' FROM results"
            sqlite3 stale.db "UPDATE results SET code = 'old'; UPDATE figures SET value = 0"
            cp worse.db partial.db; sqlite3 partial.db "UPDATE results SET state = 'partial'; DELETE FROM errors"]]
        local whole = content "part1.db"
        for _, other in ipairs { "listed", "unreadable", "worse", "stale" } do
            shell(([["$H" merge a-%s.db part1.db %s.db; "$H" merge b-%s.db %s.db part1.db]]):gsub("%%s", other))
            assert.same(whole, content("a-" .. other .. ".db"))
            assert.same(whole, content("b-" .. other .. ".db"))
        end
        shell [["$H" merge p.db worse.db partial.db; "$H" merge q.db partial.db worse.db]]
        assert.same(content "partial.db", content "p.db")
        assert.same(content "partial.db", content "q.db")
    end)

    it("does not join what does not fit", function()
        local function refused(pattern, part)
            local _, code, err = program.run({ "merge", "one.db", part }, folder)
            assert.truthy(code ~= 0 and err:find(pattern), err)
        end
        local before = content "one.db"
        write("totals.lua", SCRIPT .. "\n")
        batch("totals.lua", "dumps/1.dmp", "--out", "other.db")
        write("totals.lua", SCRIPT)
        refused("^heapsift: other.db: made by another version of the script", "other.db")
        batch("totals.lua", "dumps/1.dmp", "dumps/2.dmp", "--out", "shard.db", "--shard", "1/3")
        refused("^heapsift: shard.db: a shard of another list of inputs", "shard.db")
        shell [[cp part1.db old.db; sqlite3 old.db 'PRAGMA user_version = 9']]
        refused("^heapsift: old.db: results of schema version 9", "old.db")
        shell [[cp part1.db view.db; sqlite3 view.db 'DROP TABLE notes; CREATE VIEW notes AS SELECT 1 AS x']]
        refused("^heapsift: view.db: its tables are not those", "view.db")
        refused("^heapsift: ask.lua: no SQLite database", "ask.lua")
        refused("^heapsift: nowhere.db: no such file", "nowhere.db")
        refused("^heapsift: one.db: cannot be a part of itself", "one.db")
        assert.same(before, content "one.db")
    end)
end)
