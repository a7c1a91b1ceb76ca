#!/usr/bin/env bash
# ./dev bench who: what the verdict costs on the full-scale sample, next to what must be done at least: the walk over all
# blocks and the scan of all memory for pointers. Writes its section of docs/performance.md. Needs SRC, BUILD, HEAPSIFT,
# WORK, as ./dev sets them.
set -euo pipefail

here=$SRC/tests/bench
tool=$BUILD/bench
source "$here/parts/shared.sh"
rounds=${ROUNDS:-5}

sample 1 --scale 1
cat "$sample" > /dev/null # warm

# The share of Lua: ticks of a hook would slow it; so the same process is sampled from outside.
lua_share() {
    command -v perf > /dev/null || { printf 'not measured (perf is not there)'; return; }
    perf record -q -o "$WORK/who.perf" "$HEAPSIFT" run who "$sample" > /dev/null 2>&1 ||
        { printf 'not measured (perf cannot record here)'; return; }
    perf report -i "$WORK/who.perf" --stdio --sort dso 2> /dev/null |
        awk '/liblua/ { sub("%", "", $1); sum += $1 } END { printf "%.0f %%", sum }'
    rm -f "$WORK/who.perf"
}

read -r stat stat_cpu <<< "$("$tool/bench" time "$rounds" "$HEAPSIFT" run stat "$sample")"
read -r scan scan_cpu <<< "$("$tool/bench" time "$rounds" "$HEAPSIFT" run blocks "$sample" 'not referenced' --by state)"
read -r who who_cpu <<< "$("$tool/bench" time "$rounds" "$HEAPSIFT" run who "$sample")"
memory=0
for _ in 1 2 3; do
    now=$("$tool/bench" memory "$HEAPSIFT" run who "$sample")
    ((now <= memory)) || memory=$now
done

verdict() { [[ $(calc "($1) ? 1 : 0" '%d') == 1 ]] && printf yes || printf '**no**'; }
section who << END
## The verdict

Written by \`./dev bench who\`: \`who\` on the full-scale sample ($(mib "$(stat -c %s "$sample")")), whole process, median of $rounds, file in memory, $(nproc) processors; load of other programs: $(cut -d ' ' -f 1 /proc/loadavg).

| what | time | processor | needed | holds |
| --- | --- | --- | --- | --- |
| \`who\` | $(ms "$who") | $(ms "$who_cpu") | at most 1000 ms | $(verdict "$who <= 1.0") |
| floor: the walk, and every pointer to a block (\`blocks 'not referenced' --by state\`) | $(ms "$scan") | $(ms "$scan_cpu") | | |
| of it the walk (\`stat\`) | $(ms "$stat") | $(ms "$stat_cpu") | | |
| private memory of \`who\` | $(mib "$memory") | | at most 200 MiB | $(verdict "$memory <= 209715200") |
| share of the processor's time in Lua | $(lua_share) | | at most a third | |

\`who\` takes $(calc "$who / $scan" '%.1f') times its floor, $(calc "$who_cpu / $scan_cpu" '%.1f') times in processor time.
END
