#!/usr/bin/env bash
# ./dev bench batch: what a batch costs beyond the script itself, and what its parent needs; prints a table. Needs
# HEAPSIFT and WORK, as ./dev sets them.
#
# Overhead a dump: processor time of a batch with one job over N different dumps, its children included, less that of N
# plain runs of the same script on the same dumps, in the same minutes; wall times stand beside it. Memory: the parent's largest resident size (VmHWM) over 10,000 inputs, nearly all of
# them files that are no dumps, so that the inputs and not the dumps are measured, beside that over 100.
set -euo pipefail
count=${COUNT:-200} inputs=${INPUTS:-10000}
work=$WORK/batch
rm -rf "$work"
mkdir -p "$work/dumps" "$work/many"
now() { date +%s.%N; }
calc() { awk "BEGIN { printf \"${2:-%.1f}\", $1 }"; }

"$HEAPSIFT" run sample "$work/one.dmp" --tiny > /dev/null
for ((i = 1; i <= count; i++)); do
    cp "$work/one.dmp" "$work/dumps/$i.dmp"
    printf '%d' "$i" >> "$work/dumps/$i.dmp"
done
cat "$work"/dumps/* > /dev/null

# Runs a command; sets wall and cpu to milliseconds a dump.
TIMEFORMAT='%R %U %S'
cost() {
    local figures
    figures=$({ time "$@" > /dev/null; } 2>&1 | tail -n 1)
    read -r wall cpu <<< "$(awk -v n="$count" '{ print $1 * 1000 / n, ($2 + $3) * 1000 / n }' <<< "$figures")"
}
plain_runs() { for ((i = 1; i <= count; i++)); do "$HEAPSIFT" run heaps "$work/dumps/$i.dmp" --json; done; }

# Plain runs and batches take turns, so that whatever else the machine does hits both.
declare -a plain plain_cpu batch batch_cpu
for round in 1 2 3; do
    cost plain_runs
    plain+=("$wall") plain_cpu+=("$cpu")
    cost "$HEAPSIFT" batch heaps "$work/dumps" --jobs 1 --out "$work/r$round.db"
    batch+=("$wall") batch_cpu+=("$cpu")
done
middle() { printf '%s\n' "$@" | sort -n | sed -n 2p; }
own=$(middle "${plain[@]}") whole=$(middle "${batch[@]}")
own_cpu=$(middle "${plain_cpu[@]}") whole_cpu=$(middle "${batch_cpu[@]}")

# Prints the parent's VmHWM in KiB.
peak() {
    "$HEAPSIFT" batch heaps "$1" --jobs 2 --out "$2" > /dev/null & local pid=$! high=0 seen
    while seen=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$pid/status" 2> /dev/null) && [[ -n $seen ]]; do
        high=$seen
        sleep 0.02
    done
    wait "$pid" || true
    printf '%s' "$high"
}
small=$(peak "$work/dumps" "$work/small.db")
for ((i = 1; i <= inputs; i++)); do printf 'no dump %d' "$i" > "$work/many/$i.dmp"; done
cp "$work"/dumps/1*.dmp "$work/many/"
start=$(now)
large=$(peak "$work/many" "$work/large.db")
many=$(calc "($(now) - $start) * 1000 / $inputs" %.2f)
size=$(calc "$(stat -c %s "$work/r1.db") / $count / 1024")

cat <<END
| what | measured | needed |
| --- | --- | --- |
| \`heaps\` on a tiny dump, a process of its own | $(calc "$own") ms, $(calc "$own_cpu") ms of processor | |
| the same in a batch with one job, for each dump | $(calc "$whole") ms, $(calc "$whole_cpu") ms of processor | |
| overhead a dump | $(calc "$whole - $own") ms, $(calc "$whole_cpu - $own_cpu") ms of processor | at most 15 ms |
| parent, $count inputs | $(calc "$small / 1024") MiB | |
| parent, $inputs inputs | $(calc "$large / 1024") MiB | at most 64 MiB |
| an input that is no dump | $many ms | |
| store, a dump | $size KiB | |
END
rm -rf "$work"
