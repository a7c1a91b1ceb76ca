#!/usr/bin/env bash
# Slurm itself, on loopback: an array job over 200 dumps, of which one task's process is killed midway and another task
# is requeued midway, gives the store that a batch here gives. Then detaching, attaching, cancelling, and a cluster that
# is down.
#
# As root, without cgroups and without init: munged, slurmctld and slurmd with a configuration, state and ports of their
# own.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
for program in munged slurmctld slurmd sbatch squeue scancel scontrol sinfo sqlite3; do
    command -v "$program" > /dev/null && continue
    echo "skipped: there is no $program (Debian packages slurm-wlm, munge, sqlite3)"
    exit 77
done
((EUID == 0)) || { echo 'skipped: slurmd starts tasks as root only'; exit 77; }

work=$(mktemp -d /tmp/heapsift-slurm-XXXXXX)
export SLURM_CONF=$work/slurm.conf
daemons=()
up=0

# Processes of ours, by the configuration in their environment; slurmstepd writes over that, but has files in our folder.
left_over() {
    local proc pid
    for proc in /proc/[0-9]*; do
        pid=${proc#/proc/}
        [[ $pid != "$$" && $pid != "$BASHPID" ]] || continue
        if grep -qzF "SLURM_CONF=$work/" "$proc/environ" 2> /dev/null ||
            [[ $(cat "$proc/comm" 2> /dev/null) == slurmstepd && $(ls -l "$proc/fd" 2> /dev/null) == *" $work/"* ]]; then
            printf '%s\n' "$pid"
        fi
    done
}
sweep() {
    local round pid
    for round in 1 2 3; do
        for pid in $(left_over); do kill -9 "$pid"; done
    done
    rm -rf "$work"
}
clean_up() {
    local code=$? pid
    trap - EXIT
    set +e
    if ((code != 0 && code != 77)); then tail -n 30 "$work"/*.out; fi
    exec 2> /dev/null
    ((!up)) || timeout 20 scancel --quiet --user=root --signal=KILL
    for pid in $(jobs -p); do kill "$pid"; done
    for ((i = 0; i < 50; i++)); do
        kill -0 "${daemons[@]}" || break
        sleep 0.1
    done
    sweep
    exit "$code"
}
# Not even kill -9 of this script leaves anything: somebody else looks whether it is there, and has no parent that would
# take it along.
watch() {
    set +e
    while kill -0 "$$"; do sleep 1; done
    [[ ! -e $work ]] || sweep
}
(watch < /dev/null &> /dev/null &)
trap clean_up EXIT
trap 'exit 143' TERM INT HUP

passed() { printf '%4d s: %s\n' "$SECONDS" "$*"; }
fail() { printf 'slurm: %s\n' "$*"; exit 1; }
limited() { timeout 300 "$@"; }
# wait_for SECONDS WHAT COMMAND...
wait_for() {
    local until=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" > /dev/null 2>&1; do
        ((SECONDS < until)) || fail "$what: not in time"
        sleep 0.1
    done
}

# ---- a cluster of one node ----

# free_port FROM: below those that the kernel gives to anybody
free_port() {
    local port
    for ((port = $1 + RANDOM % 5000; ; port++)); do
        (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || { echo "$port"; return; }
    done
}
mkdir "$work/controller" "$work/node"
head -c 1024 /dev/urandom > "$work/munge.key"
chmod 400 "$work/munge.key"
chmod 711 "$work"
host=$(uname -n)
host=${host%%.*}
# Where the name of this machine means an address of loopback, nobody else is listened to. Where it means none, or that
# of a network, Slurm can only listen on all.
address=127.0.0.1 listen=
while read -r found _; do
    if [[ $found == 127.* ]]; then address=$found listen=CommunicationParameters=NoCtldInAddrAny,NoInAddrAny; break; fi
done < <(getent ahostsv4 "$(uname -n)")
cat > "$SLURM_CONF" <<END
ClusterName=heapsift
SlurmctldHost=$host($address)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket,cred_expire=5
$listen
SlurmctldPort=$(free_port 20000)
SlurmdPort=$(free_port 26000)
StateSaveLocation=$work/controller
SlurmdSpoolDir=$work/node
SlurmctldPidFile=$work/controller.pid
SlurmdPidFile=$work/node.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=1,sched_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MessageTimeout=20
SlurmctldTimeout=5
NodeName=$host NodeAddr=$address CPUs=4 RealMemory=512 State=UNKNOWN
PartitionName=night Nodes=ALL Default=YES MaxTime=60 State=UP
END
# Nothing above uses control groups, but slurmd wants to know which kind there is, and ends where it finds none. The old
# kind is only looked for when used.
echo 'CgroupPlugin=cgroup/v1' > "$work/cgroup.conf"
start() {
    local name=$1
    shift
    setpriv --pdeathsig KILL "$@" > "$work/$name.out" 2>&1 & # not even kill -9 of this script leaves them
    daemons+=($!)
}
start munged munged --force --foreground --key-file="$work/munge.key" --socket="$work/munge.socket" \
    --pid-file="$work/munge.pid" --log-file="$work/munge.log" --seed-file="$work/munge.seed"
wait_for 60 munged test -S "$work/munge.socket"
start slurmctld slurmctld -D -c
controller=${daemons[1]}
wait_for 60 slurmctld scontrol ping
up=1
start slurmd slurmd -D
wait_for 60 slurmd sh -c "sinfo --noheader --format=%T | grep -q idle"
passed 'a cluster of one node is up'

# ---- 200 dumps ----

cd "$work"
mkdir dumps
for seed in 1 2 3 4; do "$HEAPSIFT" run sample "seed-$seed.dmp" --tiny --seed "$seed" > /dev/null; done
for ((i = 1; i <= 199; i++)); do
    cp "seed-$((i % 4 + 1)).dmp" "dumps/$i.dmp"
    printf 'copy %d' "$i" >> "dumps/$i.dmp"
done
head -c 100 seed-1.dmp > dumps/200.dmp
# It stays at an input NAME while there is a dump hold-NAME: so a task is met in the middle, however fast the machine.
cat > totals.lua <<'END'
heapsift.script { summary = "totals", json = "test.totals/1" }
repeat
    local held = heapsift.open("hold-" .. args.input:match "[^/]*$")
    if held then held:close() end
until not held
local busy = dump:blocks { state = "busy" }
report:figure("busy blocks", busy:count())
report:figure("busy bytes", busy:bytes(), "bytes")
report:add { claim = "many", confidence = "hint", blocks = busy:count(), evidence = { "counted" } }
END
"$HEAPSIFT" batch totals.lua dumps --out local.db > local.txt || (($? == 4)) || fail "the local batch"

# No task begins before it is known at which input it is to be held.
scontrol update PartitionName=night State=DOWN
limited "$HEAPSIFT" batch totals.lua dumps --out slurm.db --engine slurm --tasks 8 --nodes-max 4 --partition night \
    --time 30 --task-memory 100M --progress json > slurm.txt 2> progress.txt & batch=$!
submitted() { [[ $(squeue --noheader --array --format=%K | wc -l) == 8 ]]; }
wait_for 60 'eight tasks in the queue' submitted
third_of() { tr '\n\0' ' \n' < "slurm.db.slurm/$1.list" | sed -n '3s,.*/,,p'; }
for task in 2 3; do cp seed-1.dmp "hold-$(third_of $task)"; done
scontrol update PartitionName=night State=UP

has_results() { (($(sqlite3 -readonly "slurm.db.slurm/$1.db" 'SELECT count(*) FROM results') == 2)); }
process_of() {
    local file
    for file in /proc/[0-9]*/environ; do
        if grep -qzx "SLURM_ARRAY_TASK_ID=$1" "$file" 2> /dev/null && grep -qzF "SLURM_CONF=$work/" "$file" &&
            tr '\0' ' ' < "${file%environ}cmdline" | grep -q 'heapsift :slurm-task '; then
            basename "${file%/environ}"
            return
        fi
    done
    return 1
}
gone() { ! kill -0 "$1"; }
for task in 2 3; do wait_for 120 "results of task $task" has_results $task; done
process=$(process_of 2)
kill -9 "$process"
wait_for 60 'the end of task 2' gone "$process"
process=$(process_of 3)
job=$(squeue --noheader --array --states=running --format='%F %K' | awk '$2 == 3 { print $1 }')
scontrol requeue "${job}_3"
wait_for 60 'the end of task 3' gone "$process"
rm hold-*
code=0
wait "$batch" || code=$?
((code == 4)) || fail "exit code $code: $(cat slurm.txt progress.txt)"

"$HEAPSIFT" run export local.db --what all > local.jsonl
"$HEAPSIFT" run export slurm.db --what all > slurm.jsonl
cmp local.jsonl slurm.jsonl || fail 'the results are not those of the local batch'
(($(grep -c '"record":"figure"' slurm.jsonl) == 398)) || fail 'figures are missing'
for table in scripts inputs dumps modules dump_modules results timings sites findings figures errors shards notes; do
    counts=$(for db in local slurm; do sqlite3 $db.db "SELECT count(*) FROM $table"; done | uniq | wc -l)
    ((counts == 1)) || fail "$table: not as many rows as in the local store"
done
# Both tasks were really in the middle: their first runs did not come to an end.
cut=$(sqlite3 slurm.db "SELECT count(*) FROM runs WHERE state IN ('killed', 'interrupted')")
((cut == 2)) || fail "$cut runs were cut short, expected 2"
summary() { sed -E 's/ run in .*\), /, /; s/^[^ ]*\.db/X.db/' "$1"; }
diff <(summary local.txt) <(summary slurm.txt) || fail 'the summaries differ'
grep -q '"seen":200,"total":200' progress.txt || fail 'no progress was shown'
nothing_left() {
    [[ ! -e $1.slurm && ! -e $1.lock ]] || fail "left behind: $(ls -d "$1".*)"
    wait_for 60 'an empty queue' sh -c '[ -z "$(squeue --noheader)" ]'
}
nothing_left slurm.db
passed "200 dumps in 8 tasks, $cut runs cut short: the store is that of a batch here"

# ---- detach, attach from elsewhere, cancel ----

mkdir few elsewhere
cp dumps/1.dmp dumps/2.dmp dumps/3.dmp few
limited "$HEAPSIFT" batch totals.lua few --out few-local.db > /dev/null
limited "$HEAPSIFT" batch totals.lua few --out few.db --engine slurm --detach > detached.txt
grep -q "heapsift batch --attach few.db" detached.txt || fail "$(cat detached.txt)"
(cd elsewhere && limited "$HEAPSIFT" batch --attach "$work/few.db" > attached.txt) || fail 'attach'
cmp <("$HEAPSIFT" run export few-local.db --what all) <("$HEAPSIFT" run export few.db --what all) || fail 'after attach'
nothing_left few.db
limited "$HEAPSIFT" batch --attach few.db | grep -q 'its batch of Slurm is done' || fail 'attach to what is done'

scontrol update PartitionName=night State=DOWN
limited "$HEAPSIFT" batch totals.lua few --out cancelled.db --engine slurm --detach > /dev/null
limited "$HEAPSIFT" batch --cancel cancelled.db > cancelled.txt || fail 'cancel'
grep -q '^Cancelled. cancelled.db holds 0 results' cancelled.txt || fail "$(cat cancelled.txt)"
nothing_left cancelled.db
limited "$HEAPSIFT" batch totals.lua --out cancelled.db --resume > /dev/null
cmp <("$HEAPSIFT" run export few-local.db --what all) <("$HEAPSIFT" run export cancelled.db --what all) ||
    fail 'after cancel'

passed 'detached, attached, cancelled, gone on with'

# ---- what sbatch refuses ----

says() {
    local expected=$1 code=0
    shift
    limited "$HEAPSIFT" batch totals.lua few --out refused.db --engine slurm "$@" > refused.txt 2>&1 || code=$?
    ((code == 5 && $(wc -l < refused.txt) == 1)) && grep -q "$expected" refused.txt || fail "$(cat refused.txt)"
    [[ ! -e refused.db && ! -e refused.db.slurm ]] || fail 'left behind by what was refused'
}
says '^heapsift: sbatch: .*; sinfo lists the partitions' --partition day
up=0
kill "$controller"
wait "$controller" || true
says '^heapsift: sbatch: .*; scontrol ping tells'
SLURM_CONF=$work/none says '^heapsift: sbatch: .*; Slurm is not set up here'
passed 'what sbatch refuses is told in a line'
