-- heapsift batch --engine slurm, with programs in the place of sbatch, squeue and scancel that run tasks, lose them,
-- kill them, or say what no program of Slurm says. tests/witness/slurm.sh does it with Slurm itself.

local program = require "program"
local batches = require "batches"
local ask, content, quote, write = batches.ask, batches.content, batches.quote, batches.write

local top, whole

-- What becomes of a task stands in fake/plan.I, one word a start: run (also where there is none), lose, kill, wait,
-- cancel. One to be killed is held at the input that fake/stop.I names until it is dead, and has a result by then.
local SBATCH <const> = [=[#!/bin/bash
fake=${0%/*}/../fake
printf '%q ' "$@" >> "$fake/calls"; echo >> "$fake/calls"
[ ! -e "$fake/sbatch-says" ] || { cat "$fake/sbatch-says" >&2; cat "$fake/sbatch-prints" 2> /dev/null; exit 1; }
[ ! -e "$fake/sbatch-prints" ] || { cat "$fake/sbatch-prints"; exit 0; }
while [[ $1 == --* ]]; do
    case $1 in --array=*) array=${1#--array=} ;; --output=*) log=${1#--output=} ;; esac
    shift
done
script=$1; shift
job=$(($(cat "$fake/job" 2> /dev/null || echo 100) + 1)); echo $job > "$fake/job"
for range in $(tr , ' ' <<< "${array%\%*}"); do
    for ((i = ${range%-*}; i <= ${range#*-}; i++)); do
        echo "$i" >> "$fake/starts"
        plan=$(sed -n 1p "$fake/plan.$i" 2> /dev/null); sed -i 1d "$fake/plan.$i" 2> /dev/null
        file=${log//%a/$i}; file=${log/%%/%}; file=${log%/*}/$i.log; file=${file//%%/%}
        case ${plan:-run} in
            lose) echo "the node is gone $i" >> "$file" ;;
            cancel) echo "$job $i CANCELLED None" >> "$fake/queue" ;;
            wait) echo "$job $i RUNNING None" >> "$fake/queue"; printf '%s\0' "$script" "$@" > "$fake/waits.$i" ;;
            kill) echo "$job $i FAILED NonZeroExitCode" >> "$fake/queue"
                hold=hold-$(cat "$fake/stop.$i"); cp dumps/1.dmp "$hold"
                SLURM_ARRAY_TASK_ID=$i bash "$script" "$@" > "$file" 2>&1 &
                for ((n = 0; n < 1200; n++)); do
                    [[ $(sqlite3 -readonly "$3/$i.db" 'SELECT count(*) FROM results' 2> /dev/null) != 1 ]] || break
                    sleep 0.05
                done
                kill -9 $!; wait; rm "$hold" ;;
            run) SLURM_ARRAY_TASK_ID=$i bash "$script" "$@" > "$file" 2>&1
                echo "$job $i COMPLETED None" >> "$fake/queue" ;;
        esac
    done
done
echo "$job"
]=]

local SQUEUE <const> = [=[#!/bin/bash
fake=${0%/*}/../fake
printf '%q ' "$@" >> "$fake/asked"; echo >> "$fake/asked"
if [ -e "$fake/squeue-fails" ]; then
    [ "$(wc -l < "$fake/asked")" -gt "$(cat "$fake/squeue-fails")" ] || {
        echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1; }
fi
cat "$fake/garbage" "$fake/queue" 2> /dev/null; true
]=]

local SCANCEL <const> = [=[#!/bin/bash
fake=${0%/*}/../fake
printf '%q ' "$@" >> "$fake/cancels"; echo >> "$fake/cancels"
sed -i 's/RUNNING/CANCELLED/' "$fake/queue" 2> /dev/null; true
]=]

-- until_there FILE [LINES]: waits, a minute at most, until a file has something in it, or so many lines.
local UNTIL_THERE <const> = [[until_there() {
    for n in $(seq 1200); do
        [ -s "$1" ] && [ "$(wc -l < "$1")" -ge "${2:-0}" ] && return
        sleep 0.05
    done
}
]]

-- Lines of sh in the folder, with the programs above in PATH.
local function shell(lines)
    return batches.shell('PATH="$PWD/bin:$PATH"; export PATH\n' .. UNTIL_THERE .. lines)
end

-- A new beginning: `plans`: index -> words.
local function reset(plans)
    shell "rm -rf fake r.db* && mkdir fake"
    for index, words in pairs(plans or {}) do
        write("fake/plan." .. index, (words:gsub(" ", "\n")) .. "\n")
    end
end

local function lines_of(name)
    local file = io.open(batches.folder .. "/" .. name)
    if not file then return {} end
    local text = file:read "a"
    file:close()
    return program.lines(text)
end

local function everything(db)
    return program.lines((program.output({ "run", "export", db, "--what", "all" }, batches.folder)))
end

local function is_whole(db)
    assert.same(whole.content, content(db))
    assert.same(whole.export, everything(db))
    assert.same("", shell("ls -d " .. db .. ".slurm " .. db .. ".lock 2> /dev/null"))
end

local SLURM <const> = '"$H" batch totals.lua dumps --out r.db --engine slurm --tasks 3 '

setup(function()
    top = program.folder()
    -- Everything happens in a folder whose name a shell, sbatch and a list of lines would each take for something else.
    batches.folder = top .. "/a 'b\"$c%a\n#SBATCH --d"
    os.execute("mkdir " .. quote(batches.folder))
    batches.shell "mkdir dumps bin fake"
    for seed = 1, 4 do
        program.output { "run", "sample", ("%s/dumps/%d.dmp"):format(batches.folder, seed), "--tiny", "--seed",
            tostring(seed) }
    end
    batches.shell [[cp dumps/1.dmp dumps/copy.dmp; cp dumps/2.dmp "dumps/*'\"
 --out.dmp"; echo 2 >> "dumps/*'\"
 --out.dmp"; echo no > dumps/no.dmp; (cd dumps && zip -q ../in.zip 3.dmp && mv ../in.zip .)]]
    write("totals.lua", [[heapsift.script { summary = "totals", json = "test.totals/1" }
        ]] .. batches.HELD .. [[
        report:figure("busy", dump:blocks { state = "busy" }:count())
        if args.input:find "/4%.dmp$" then error "a bug" end]])
    for name, text in pairs { sbatch = SBATCH, squeue = SQUEUE, scancel = SCANCEL } do write("bin/" .. name, text) end
    batches.shell "chmod +x bin/*"
    batches.shell '"$H" batch totals.lua dumps --out whole.db'
    whole = { content = content "whole.db", export = everything "whole.db" }
end)

teardown(function() program.remove(top) end)

describe("a batch of Slurm", function()
    it("gives what a batch here gives, though tasks are lost and killed", function()
        reset { [1] = "lose", [2] = "kill run" }
        write("fake/stop.2", "3.dmp") -- the second of its inputs, which are as large as each other
        local out = shell(SLURM .. [[--nodes-max 2 --partition p1,p2 --time 1:30 --task-memory 3G --cores 2 --jobs 1 \
            --progress json; echo "code $?"]])
        assert.truthy(out:find "code 4\n$", out)
        assert.truthy(out:find "\n8 inputs\n", out)
        assert.truthy(out:find '"event":"end","seen":8,"total":8,"done":5,"failed":1,', out)
        is_whole "r.db"
        local calls = lines_of "fake/calls"
        assert.truthy(calls[1]:find("^%-%-parsable %-%-requeue %-%-export=ALL %-%-open%-mode=append %-%-job%-name="))
        for _, option in ipairs { "--array=1-3%2 ", "--partition=p1\\,p2 ", "--time=1:30 ", "--mem=3072M ",
                                  "--cpus-per-task=2 " } do
            assert.truthy(calls[1]:find(option, 1, true), calls[1])
        end
        assert.truthy(calls[2]:find "%-%-array=1%-2%%2 ", calls[2])
        assert.same(2, #calls)
        assert.same({ "1", "2", "3", "1", "2" }, lines_of "fake/starts")
        assert.truthy(lines_of "fake/asked"[1]:find "^%-%-noheader %-%-array %-%-states=all %-%-name=heapsift%-%x+ ")
        assert.same(1, #lines_of "fake/cancels")
        assert.same({ "slurm|done" }, ask("r.db", "SELECT json_extract(settings, '$.engine'), state FROM runs"
            .. " WHERE json_extract(settings, '$.engine') IS NOT NULL"))
        -- All is done: nothing is submitted.
        out = shell(SLURM .. "--resume; echo code $?")
        assert.truthy(out:find "8 inputs, 8 of them done before\n.*code 4\n$", out)
        assert.same(2, #lines_of "fake/calls")
        out = shell '"$H" batch --attach r.db; echo code $?'
        assert.same("r.db: its batch of Slurm is done, all results are in it.\ncode 0\n", out)
    end)

    it("submits again three times, then names the task, and goes on when attached to", function()
        reset { [2] = "lose lose lose lose" }
        local out = shell(SLURM .. "; echo code $?")
        assert.same("heapsift: r.db: 1 of 3 tasks have no result (task 2: it is not in the queue, its last line: the"
            .. " node is gone 2, also when submitted again 3 times). What was done is in it;"
            .. " heapsift batch --attach r.db submits them again, --cancel leaves it at that\ncode 5\n", out)
        assert.same({ "1", "2", "3", "2", "2", "2" }, lines_of "fake/starts")
        assert.same({ "failed" }, ask("r.db", "SELECT state FROM runs WHERE settings LIKE '%slurm%'"))
        assert.truthy(tonumber(ask("r.db", "SELECT count(*) FROM results")[1]) >= 3)
        out = shell(SLURM .. "--resume; echo code $?")
        assert.truthy(out:find "^heapsift: r.db: a batch of Slurm is under way for it .*code 2\n$", out)
        out = shell '"$H" batch --attach r.db; echo code $?'
        assert.truthy(out:find "code 4\n$", out)
        is_whole "r.db"
    end)

    it("does not try again what would be the same again", function()
        reset { [1] = "wait", [2] = "cancel", [3] = "wait" }
        local out = shell(SLURM .. [[--detach; echo "code $?"
            cp totals.lua kept.lua; echo >> totals.lua
            for i in 1 3; do SLURM_ARRAY_TASK_ID=$i xargs -0 bash < fake/waits.$i; echo "task $?"; done 2> /dev/null
            mv kept.lua totals.lua
            "$H" batch --attach r.db; echo "code $?"]])
        assert.truthy(out:find "^Submitted as job 101: 3 tasks over 8 inputs.\n", out)
        assert.truthy(out:find("heapsift batch --attach r.db ", 1, true), out)
        assert.truthy(out:find "code 0\ntask 123\ntask 123\n", out)
        assert.truthy(out:find("(task 1,3: totals.lua: the script, its plugins or heapsift are not those that the batch"
            .. " was submitted with; task 2: cancelled)", 1, true), out)
        assert.same(3, #lines_of "fake/starts")
        -- Given up, and done here.
        out = shell '"$H" batch --cancel r.db; echo code $?; "$H" batch totals.lua --out r.db --resume > /dev/null'
        assert.same("Cancelled. r.db holds 0 results; --resume goes on.\ncode 0\n", out)
        is_whole "r.db"
    end)

    it("goes on when the one who waits does not", function()
        reset { [1] = "wait", [2] = "wait", [3] = "wait" }
        local out = shell(SLURM .. [[ & pid=$!
            until_there fake/asked
            "$H" batch --attach r.db; echo "second $?"
            kill -TERM $pid; wait $pid; echo "first $?"
            SLURM_ARRAY_TASK_ID=2 xargs -0 bash < fake/waits.2 > /dev/null; echo "task $?"
            "$H" batch --attach r.db & pid=$!
            until_there r.db.lock
            "$H" batch --cancel r.db; echo "cancel $?"; wait $pid; echo "third $?"]])
        assert.truthy(out:find "heapsift: r.db: another batch writes to it %(process %d+ on [^\n]*\nsecond 5\n", out)
        assert.truthy(out:find("heapsift: the tasks go on; heapsift batch --attach r.db waits again, --cancel ends them"
            .. "\nheapsift: interrupted\nfirst 143\ntask ", 1, true), out)
        assert.truthy(out:find "Cancelled. r.db holds %d results; %-%-resume goes on.\n", out)
        assert.truthy(out:find "cancel 0\n", out)
        assert.truthy(out:find "third 5\n", out)
        out = shell '"$H" batch totals.lua --out r.db --resume > /dev/null; echo $?'
        assert.same("4\n", out)
        is_whole "r.db"
    end)

    it("has patience with a queue that does not answer, and takes nothing from it that makes no sense", function()
        reset { [3] = "wait" }
        write("fake/garbage", "\27[2J\n1 2\n-1 99999999999999999999 RUNNING None\n999 4 RUNNING None\n5 0 RUNNING x\n"
            .. "N/A\n" .. ("x"):rep(100000) .. "\n101 1 running None\n\0\0\n")
        write("fake/squeue-fails", "2")
        local out = shell(SLURM .. [[ & pid=$!
            until_there fake/asked 3
            SLURM_ARRAY_TASK_ID=3 xargs -0 bash < fake/waits.3 > /dev/null
            wait $pid; echo "code $?"]])
        assert.truthy(out:find "code 4\n$", out)
        assert.falsy(out:find "\27")
        is_whole "r.db"
        reset { [3] = "wait" }
        write("fake/squeue-fails", "1000")
        out = shell("HEAPSIFT_SLURM_PATIENCE=1 " .. SLURM .. "; echo code $?")
        assert.same("heapsift: squeue: slurm_load_jobs error: Unable to contact slurm controller (connect failure);"
            .. " scontrol ping tells whether slurmctld is up (the tasks may go on; heapsift batch --attach r.db waits"
            .. " again)\ncode 5\n", out)
        assert.same({ "submitted" }, ask("r.db", "SELECT state FROM runs WHERE settings LIKE '%slurm%'"))
    end)

    it("says in one line why nothing was submitted, and leaves nothing", function()
        for said, expected in pairs {
            ["sbatch: error: x\nsbatch: fatal: Could not establish a configuration source\n"] =
                "sbatch: Could not establish a configuration source; Slurm is not set up here: ",
            ["sbatch: error: Batch job submission failed: Invalid partition name specified\n"] =
                "sbatch: Batch job submission failed: Invalid partition name specified; sinfo lists the partitions",
            ["sbatch: error: \27[2Jodd\n"] = "sbatch: \\x1b[2Jodd\n",
            [""] = "sbatch: ended with exit code 1\n",
        } do
            reset()
            write("fake/sbatch-says", said)
            local out = shell(SLURM .. "; echo code $?; ls -d r.db*")
            assert.truthy(out:find("heapsift: " .. expected, 1, true) == 1, out)
            assert.truthy(out:find "^[^\n]*\ncode 5\n[^\n]*r.db.[^\n]*No such file[^\n]*\n$", out)
        end
        for _, printed in ipairs { "", "no number\n", "12x\n", ("9"):rep(30) .. "\n", "\0" } do
            reset()
            write("fake/sbatch-prints", printed)
            local out = shell(SLURM .. "; echo code $?; ls -d r.db*")
            assert.truthy(out:find "^heapsift: sbatch: the number of a job expected, got '[^\n]*'\ncode 5\n", out)
            assert.truthy(out:find "No such file", out)
        end
        reset()
        local out = shell("PATH=.:bin:/nowhere " .. SLURM .. "; echo code $?")
        assert.truthy(out:find "^heapsift: sbatch: no such program in the folders of PATH; [^\n]*\ncode 5\n$", out)
    end)

    it("refuses what it cannot do", function()
        reset()
        local function refused(expected, code, ...)
            local _, got, err = program.run({ "batch", ... }, batches.folder)
            assert.same(code, got, err)
            assert.truthy(err:find(expected), err)
            assert.same(1, #program.lines(err), err)
        end
        refused("%-%-tasks goes with %-%-engine slurm", 2, "totals.lua", "dumps", "--out", "r.db", "--tasks", "3")
        refused("leave %-%-shard out", 2, "totals.lua", "dumps", "--out", "r.db", "--engine", "slurm", "--shard", "1/2")
        refused("writes SQLite", 2, "totals.lua", "dumps", "--format", "jsonl", "--engine", "slurm")
        refused("%-%-partition': a name expected", 2, "totals.lua", "dumps", "--out", "r.db", "--engine", "slurm",
            "--partition", "--wrap=x")
        refused("%-%-time': minutes", 2, "totals.lua", "dumps", "--out", "r.db", "--engine", "slurm", "--time", "1 h")
        refused("stands alone, got '%-%-out'", 2, "--attach", "r.db", "--out", "x.db")
        refused("stands alone, got 'dumps'", 2, "--cancel", "r.db", "dumps")
        refused("either %-%-attach or %-%-cancel", 2, "--cancel", "r.db", "--attach", "r.db")
        refused("r.db: no such results", 6, "--attach", "r.db")
        refused("whole.db: no batch of Slurm is under way for it", 6, "--attach", "whole.db")
        refused("totals.lua: no SQLite database", 3, "--attach", "totals.lua")
        batches.shell "mkdir r.db.slurm"
        refused("job.json: cannot be read", 5, "--attach", "r.db")
        for _, text in ipairs { "", "{", "[]", '{"format":2}', '{"format":1,"name":"x"}', ("["):rep(100000) } do
            write("r.db.slurm/job.json", text)
            local wrong = text == "" and "job.json: cannot be read" or "job.json: .*is it damaged%?"
            refused(wrong, 5, "--attach", "r.db")
            refused(wrong, 5, "--cancel", "r.db")
        end
        if batches.shell "id -u" == "0\n" then
            batches.shell "chown 12345 r.db.slurm"
            refused("of another user, who alone can attach it", 2, "--attach", "r.db")
        end
        local _, code, err = program.run({ ":slurm-task", batches.folder .. "/r.db.slurm" }, batches.folder)
        assert.same(2, code, err)
    end)
end)
