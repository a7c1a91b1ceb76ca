-- A thousand tiny dumps, some damaged, some that a plugin never comes back from, some whose process is killed; and a
-- batch that is killed at twenty moments.

local json = require "dkjson"
local program = require "program"
local batches = require "batches"
local ask, shell, write = batches.ask, batches.shell, batches.write

local SEEDS <const> = 20
local totals = {} -- seed -> { blocks, bytes }

local SCRIPT <const> = [[
heapsift.script { summary = "what the truth knows too", json = "test.totals/1" }
local n = tonumber(args.input:match "(%d+)%.dmp$")
local busy = dump:blocks { state = "busy" }
report:figure("busy blocks", busy:count())
report:figure("busy bytes", busy:bytes(), "bytes")
if n % 100 == 7 then heapsift.heuristic("endless", dump) end
if n % 100 == 9 then heapsift.heuristic("waits", dump) end
]]

setup(function()
    batches.folder = program.folder()
    shell "mkdir dumps plugins seeds"
    for seed = 1, SEEDS do
        program.output({ "run", "sample", ("seeds/%d.dmp"):format(seed), "--tiny", "--seed", tostring(seed), "--truth",
            "truth.json" }, batches.folder)
        local blocks, bytes = 0, 0
        for _, heap in ipairs(json.decode(program.read_file(batches.folder .. "/truth.json")).heaps) do
            blocks, bytes = blocks + heap.states.busy.blocks, bytes + heap.states.busy.bytes
        end
        totals[seed] = ("%d|%d"):format(blocks, bytes)
    end
    -- Bytes behind the end make another dump of each copy; every 50th is cut to nothing that can be read.
    shell(([[i=1; while [ $i -le 1000 ]; do f=dumps/$i.dmp
        if [ $((i %% 50)) = 3 ]; then head -c 20 seeds/1.dmp > $f; else cp seeds/$((i %% %d + 1)).dmp $f; fi
        printf 'copy %%d' $i >> $f; i=$((i + 1)); done]]):format(SEEDS))
    write("plugins/endless.lua", [[return { name = "endless", kind = "heuristic", summary = "never ends",
        run = function() while true do end end }]])
    write("plugins/waits.lua", [[return { name = "waits", kind = "heuristic", summary = "waits to be killed",
        run = function() while true do end end }]])
    write("totals.lua", SCRIPT)
end)

teardown(function() program.remove(batches.folder) end)

describe("a thousand dumps", function()
    it("are in the store once each, good and bad", function()
        -- The test kills whatever works on a dump whose number is 9, or ends with 09.
        local out = shell [[
            "$H" batch totals.lua dumps --out r.db --plugins plugins --timeout 4 > out.txt & batch=$!
            while kill -0 $batch 2> /dev/null; do
                for p in $(cat /proc/$batch/task/$batch/children 2> /dev/null || pgrep -P $batch); do
                    tr '\0' '\n' < /proc/$p/cmdline 2> /dev/null | grep -q "^$PWD/dumps/\([0-9]*0\)*9.dmp$" || continue
                    sleep 0.3; kill -SEGV $p 2> /dev/null
                done
                sleep 0.1
            done
            wait $batch; echo "code $?"; cat out.txt]]
        assert.truthy(out:find "code 4\n", out)
        assert.same({ "1000|1000" }, ask("r.db", "SELECT count(*), count(DISTINCT path) FROM inputs"))
        assert.same({ "crash|10", "timeout|10", "unreadable|20" }, ask("r.db",
            "SELECT reason, count(*) FROM failure_list GROUP BY reason ORDER BY reason"))
        assert.same({ "10" }, ask("r.db", "SELECT count(*) FROM failure_list WHERE reason = 'crash'"
            .. " AND path LIKE '%9.dmp' AND message LIKE 'ended by signal 11%'"))
        local good = ask("r.db", "SELECT replace(path, rtrim(path, replace(path, '/', '')), ''), a.value, b.value"
            .. " FROM result_list r JOIN figures a ON a.result_id = r.result_id AND a.position = 1"
            .. " JOIN figures b ON b.result_id = r.result_id AND b.position = 2 WHERE state = 'done'")
        assert.same(960, #good)
        for _, row in ipairs(good) do
            local number, figures = row:match "^(%d+)%.dmp|(.*)$"
            assert.same(totals[tonumber(number) % SEEDS + 1], figures, row)
        end
        assert.same("", shell [[ps -eo args | grep "[:]worker.*$PWD/dumps"]])
    end)

    it("give the same store to a batch that is killed at twenty moments", function()
        write("plain.lua", (SCRIPT:gsub("if n [^\n]*\n", "")))
        shell "mkdir few; cp dumps/1?.dmp dumps/5?.dmp dumps/20?.dmp few"
        local out = shell [[
            "$H" batch plain.lua few --out whole.db > /dev/null; echo "whole $?"
            i=0; while [ $i -lt 20 ]; do
                "$H" batch plain.lua few --out kill.db --resume > /dev/null & pid=$!
                sleep 0.$(awk -v s=$i 'BEGIN { srand(s + 7); printf "%03d", 20 + rand() * 180 }')
                kill -9 $pid 2> /dev/null; wait $pid 2> /dev/null
                i=$((i + 1))
            done
            "$H" batch plain.lua few --out kill.db --resume > /dev/null; echo "rest $?"
            sqlite3 kill.db 'PRAGMA integrity_check']]
        assert.truthy(out:find "whole 4\n.*rest 4\nok\n$", out)
        assert.same(batches.content "whole.db", batches.content "kill.db")
        assert.same(program.output({ "run", "export", "whole.db", "--what", "all" }, batches.folder),
            program.output({ "run", "export", "kill.db", "--what", "all" }, batches.folder))
    end)
end)
