-- heapsift merge killed at twenty moments, each time begun again with the parts in another order: the result is that of
-- one merge that nobody disturbs.

local program = require "program"
local batches = require "batches"
local shell, write = batches.shell, batches.write

local PARTS <const> = 25
local DUMPS <const> = 8

setup(function()
    batches.folder = program.folder()
    shell "mkdir dumps"
    for seed = 1, DUMPS do
        program.output({ "run", "sample", ("dumps/%d.dmp"):format(seed), "--tiny", "--seed", tostring(seed) },
            batches.folder)
    end
    shell "head -c 50 dumps/1.dmp > dumps/cut.dmp; printf MDMP > dumps/no.dmp" -- which fail
    write("rows.lua", [[heapsift.script { summary = "rows", json = "test.rows/1" }
        report:figure("busy", dump:blocks { state = "busy" }:count())
        report:add { claim = "some", confidence = "hint", blocks = 1, evidence = { "seen" } }]])
    -- One real part; the others are copies of it under other paths, with dumps of their own; the last two overlap.
    shell(([["$H" batch rows.lua dumps --out part.db > /dev/null
        for n in $(seq %d); do
            cp part.db $n.db
            same=$((n == %d ? n - 1 : n))
            sqlite3 $n.db "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF;
                UPDATE dumps SET content = printf('%%08x', $same) || substr(content, 9);
                UPDATE inputs SET path = printf('/part%%d', $same) || path;
                UPDATE runs SET process_id = process_id + $n"
        done]]):format(PARTS, PARTS))
end)

teardown(function() program.remove(batches.folder) end)

describe("heapsift merge", function()
    it("gives the same when it is killed at twenty moments", function()
        local out = shell(([[
            parts=$(seq -f %%g.db %d)
            begin=$(date +%%s%%N)
            "$H" merge whole.db $parts
            whole=$((($(date +%%s%%N) - begin) / 1000)) # microseconds that all of it takes here
            for n in $(seq 0 19); do
                mixed=$(printf '%%s\n' $parts | awk "BEGIN { srand($n) } { print rand(), \$1 }" | sort | cut -d' ' -f2)
                "$H" merge kill.db $mixed > /dev/null & pid=$!
                [ $n = 0 ] || sleep $(awk "BEGIN { print $whole * $n / 20 / 1000000 }")
                kill -9 $pid; wait $pid; [ $? != 137 ] || echo killed
            done 2> /dev/null
            "$H" merge kill.db $parts
            ls kill.db* whole.db*
            sqlite3 kill.db 'PRAGMA integrity_check']]):format(PARTS))
        local told = ("%d parts joined, %d dumps, %d results, %d errors\n"):format(PARTS,
            (PARTS - 1) * (DUMPS + 2), (PARTS - 1) * (DUMPS + 2), (PARTS - 1) * 2)
        local killed = select(2, out:gsub("killed\n", ""))
        assert.is_true(killed > 0)
        out = out:gsub("killed\n", "")
        assert.same("whole.db: " .. told .. "kill.db: " .. told .. "kill.db\nwhole.db\nok\n", out)
        assert.same(batches.content "whole.db", batches.content "kill.db")
        local function exported(db)
            return program.lines(program.output({ "run", "export", db, "--what", "all" }, batches.folder))
        end
        assert.same(exported "whole.db", exported "kill.db")
    end)
end)
