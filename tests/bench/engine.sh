#!/usr/bin/env bash
# ./dev bench engine: how fast the engine is, next to a floor measured in the same run; prints its section of
# docs/performance.md and writes it. Samples stay in build/bench (2.1 GB): only the first run takes minutes. Needs SRC, BUILD, HEAPSIFT, WORK, as
# ./dev sets them. Exit code 0 also where a bar is missed: the table says so, and at the end how many.
#
# What each figure is: the text below says it, where it is printed.
set -euo pipefail

here=$SRC/tests/bench
tool=$BUILD/bench
rounds=9
large_scales=(4 3.5 3 2.5 2 1.5) # the first of them that can be written
source "$here/parts/shared.sh"

# ---- one dump: everything that is measured at each scale ----

declare -A value # value[scale.name]
measure() {
    local scale=$1 dump=$2 name number cpu out floors=() floor_cpus=() stats=() cpus=()
    "$HEAPSIFT" run "$here/runs.lua" "$dump" > "$WORK/runs-$scale.txt"
    cat "$dump" > /dev/null # warm
    # The floor and the program take turns, so that whatever else the machine does hits both.
    for _ in 1 2 3; do
        out=$("$tool/floor" "$dump" "$WORK/runs-$scale.txt" "$rounds")
        read -r number cpu value[$scale.floor_blocks] _ <<< "$out"
        floors+=("$number") floor_cpus+=("$cpu")
        out=$("$tool/bench" time "$rounds" "$HEAPSIFT" run stat "$dump")
        stats+=("${out% *}") cpus+=("${out#* }")
    done
    value[$scale.floor]=$(middle "${floors[@]}")
    value[$scale.floor_cpu]=$(middle "${floor_cpus[@]}")
    value[$scale.stat]=$(middle "${stats[@]}")
    value[$scale.stat_cpu]=$(middle "${cpus[@]}")
    out=$("$tool/bench" engine "$dump" "$rounds")
    while read -r name number; do value[$scale.$name]=$number; done <<< "$out"
    value[$scale.size]=$(stat -c %s "$dump")
    out=$("$tool/bench" time "$rounds" "$HEAPSIFT" run info "$dump")
    value[$scale.info]=${out% *} value[$scale.info_cpu]=${out#* }
}

for scale in 0.1 0.5 1; do
    sample "$scale" --scale "$scale"
    measure "$scale" "$sample"
done
full=$sample
large='' refused=''
for scale in "${large_scales[@]}"; do
    if why=$(sample "$scale" --scale "$scale" 2>&1 > /dev/null) ; then
        sample "$scale" --scale "$scale"
        large=$scale
        break
    fi
    why=$(tail -n 1 <<< "$why")
    say "$why"
    refused+="- ${why##*.dmp: }"$'\n'
done
[[ -n $large ]] || die "no scale above 1 could be written"
measure "$large" "$sample"
huge=$sample
scales=(0.1 0.5 1 "$large")

say "the sparse dump of 40 GB"
sample x64 --arch x64
sparse=$WORK/sparse-40.dmp
trap 'rm -f "$sparse"' EXIT
read -r sparse_size sparse_disk <<< "$("$tool/sparse" "$sample" "$sparse" 40)"
read -r sparse_info sparse_info_cpu <<< "$("$tool/bench" time "$rounds" "$HEAPSIFT" run info "$sparse")"
[[ $("$HEAPSIFT" run stat "$sparse") == "$("$HEAPSIFT" run stat "$sample")" ]] ||
    die "the sparse dump's heaps are not those of the dump it was made from"

say "the same walk with lldb's Python"
lldb='' lldb_line='' walks=()
mapfile -t heaps < <("$HEAPSIFT" run heaps "$full" | grep -oE '^[0-9a-f]{8} ' | tr -d ' ')
for _ in 1 2 3; do
    code=0
    line=$(TIMEOUT=600 bash "$SRC/tests/witness/lldb.sh" "$full" --walk "${heaps[@]}" 2> "$WORK/lldb.log") || code=$?
    if ((code)); then
        lldb_line="Not measured: $(tail -n 1 "$WORK/lldb.log")"
        say "$lldb_line"
        break
    fi
    line=$(tail -n 1 <<< "$line")
    walks+=("$(sed -E 's/.*"seconds": ([0-9.]+).*/\1/' <<< "$line")")
done
if ((${#walks[@]} == 3)); then lldb=$(middle "${walks[@]}"); fi

say "Ctrl-C"
slow_filter='contains("no such text 1")'
for ((i = 2; i <= 300; i++)); do slow_filter+=" or contains(\"no such text $i\")"; done
interrupted=$("$tool/bench" interrupt 600 "$rounds" "$HEAPSIFT" run blocks "$full" "$slow_filter" --by size)

# who asks everything that the engine can do, on a dump that keeps it busy for seconds.
interrupted_who=$("$tool/bench" interrupt 700 "$rounds" "$HEAPSIFT" run who "$huge")

say "every command"
commands=("info" "heaps" "stat" "stat --by heap,stored,size" "blocks --size f8 --limit 20"
    "blocks \"u32(0) == 0x10000001\" --by stored,size,heap" "block 0372e598" "traces" "trace 17dfe" "modules"
    "memory 0372e598")
rows=''
for command in "${commands[@]}"; do
    eval "words=($command)"
    all=("$HEAPSIFT" run "${words[0]}" "$full" "${words[@]:1}")
    out=$("$tool/bench" time 5 "${all[@]}")
    memory=0
    for _ in 1 2 3; do
        now=$("$tool/bench" memory "${all[@]}")
        ((now <= memory)) || memory=$now
    done
    [[ $command != stat ]] || stat_memory=$memory
    rows+="| \`$command\` | $(ms "${out% *}") | $(ms "${out#* }") | $(mib "$memory") |"$'\n'
done

# ---- the bars ----

bars='' held=0 count=0
# bar WHAT MEASURED NEXT-TO NEEDED CONDITION [CONDITION-IN-PROCESSOR-TIME]
bar() {
    local verdict=yes
    count=$((count + 1))
    if [[ $(calc "($5) ? 1 : 0" '%d') == 1 ]]; then held=$((held + 1)); else
        verdict='**no**'
        [[ $# -lt 6 || $(calc "($6) ? 1 : 0" '%d') == 0 ]] || verdict='**no**, in processor time yes'
    fi
    bars+="| $1 | $2 | $3 | $4 | $verdict |"$'\n'
}
v() { printf '%s' "${value[1.$1]}"; }
floor=$(v floor) blocks=$(v blocks)
floor_rate=$(calc "$(v floor_blocks) / $floor" '%.0f')
millions() { calc "$1 / 1e6" '%.1f million/s'; }
times() { calc "$1" '%.2f times'; }

bar "\`stat\` over all heaps, whole process" "$(ms "$(v stat)") ($(ms "$(v stat_cpu)") of processor)" \
    "floor $(ms "$floor"): $(times "$(v stat) / $floor")" "at most 2 times" "$(v stat) <= 2 * $floor" \
    "$(v stat_cpu) <= 2 * $(v floor_cpu)"
if [[ -n $lldb ]]; then
    bar "the same walk with lldb's Python" "$(ms "$lldb")" "\`stat\` $(ms "$(v stat)"): $(times "$lldb / $(v stat)")" \
        "at least 20 times" "$lldb >= 20 * $(v stat)" "$lldb >= 20 * $(v stat_cpu)"
else
    bars+="| the same walk with lldb's Python | not measured | | at least 20 times | |"$'\n'
fi
declare -A filters=([size]='size == 0xf8' [terms]='size == 0xf8 and state == busy and stored == 0x7dfe'
    [read]='size == 0xf8 and stored == 0x7dfe or u32(0) == 0x10000001')
for name in size terms read; do
    rate=$(calc "$blocks / $(v "filter_${name}_1")" '%.0f') cpu=$(calc "$blocks / $(v "filter_${name}_1_cpu")" '%.0f')
    bar "filter \`${filters[$name]}\`, one core" "$(millions "$rate")" \
        "floor $(millions "$floor_rate"): $(times "$rate / $floor_rate")" "at least 0.5 times" \
        "$rate >= $floor_rate / 2" "$cpu >= $floor_rate / 2"
done
if (($(nproc) > 1)); then
    for name in size terms read; do
        bar "filter \`${filters[$name]}\`, all cores" "$(ms "$(v "filter_${name}_all")")" \
            "one core $(ms "$(v "filter_${name}_1")"): $(times "$(v "filter_${name}_1") / $(v "filter_${name}_all")")" \
            "at least 1.5 times (two cores)" "$(v "filter_${name}_1") >= 1.5 * $(v "filter_${name}_all")"
    done
fi
bar "private memory of \`stat\`" "$(mib "$stat_memory")" "" "at most 64 MiB" "$stat_memory <= 67108864"
bar "the same of a C program that walks, groups and filters" "$(mib "$(v private_bytes)")" \
    "$(calc "$(v private_bytes) / $blocks" '%.1f') bytes a block" "at most 4 bytes a block" \
    "$(v private_bytes) <= 4 * $blocks"
bar "address to block, one core, after the walk" "$(millions "$(v lookups_a_second)")" "" "at least 5 million/s" \
    "$(v lookups_a_second) >= 5e6" "$(v lookups_a_second_cpu) >= 5e6"
bar "\`info\`, whole process" "$(ms "$(v info)") ($(ms "$(v info_cpu)") of processor)" "" "at most 50 ms" \
    "$(v info) <= 0.05" "$(v info_cpu) <= 0.05"
bar "\`info\` on a sparse dump of $(calc "$sparse_size / 1073741824" '%.1f') GiB ($(mib "$sparse_disk") on disk)" \
    "$(ms "$sparse_info") ($(ms "$sparse_info_cpu") of processor)" "" "at most 200 ms" "$sparse_info <= 0.2" \
    "$sparse_info_cpu <= 0.2"
bar "from Ctrl-C to the end, in a filter of many seconds" "$(ms "$interrupted")" "" "at most 100 ms" "$interrupted <= 0.1"
bar "the same, in \`who\` at scale $large" "$(ms "$interrupted_who")" "" "at most 100 ms" "$interrupted_who <= 0.1"
low=$(calc "${value[0.1.walk_1_cpu]} / ${value[0.1.blocks]}" '%.12f')
high=$(calc "${value[$large.walk_1_cpu]} / ${value[$large.blocks]}" '%.12f')
bar "a block's share of the walk, scale $large next to 0.1" "$(calc "$high * 1e9" '%.1f ns')" \
    "$(calc "$low * 1e9" '%.1f ns'): $(times "$high / $low")" "linear: at most 1.5 times" "$high <= 1.5 * $low"

# ---- the page ----

{
    cat << END
# How fast it is

Written by \`./dev bench\`, a section for each part: do not edit. All times are medians of whole runs with the file in memory.

Machine: $(nproc) processors, $(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1), $(uname -s) $(uname -m), \
$(sed -E 's/^MemTotal: *([0-9]+) kB/\1/' <<< "$(head -n 1 /proc/meminfo)" | awk '{ printf "%.0f GiB", $1 / 1048576 }'). \
Load of other programs when the page was written: $(cut -d ' ' -f 2 /proc/loadavg) (mean of five minutes, this one's included).

## What must hold

Of the full-scale sample (\`heapsift run sample full.dmp --scale 1\`): $(mib "${value[1.size]}"), $(grouped "$blocks") blocks.

| what | measured | next to | needed | holds |
| --- | --- | --- | --- | --- |
$bars
$held of $count hold.${lldb_line:+ $lldb_line}

- The floor is \`tests/bench/floor.c\`: a bare C program, one thread, that maps the dump and follows the headers of the same
  blocks once, page faults included. It is told where they begin and end; it finds, checks and keeps nothing.
- lldb's walk is \`tests/witness/lldb.sh\`: its Python reads memory in pieces of 1 MB and follows the same headers in all
  heaps. The time to start lldb and to open the dump is left out.
- Filters run over all blocks of every state, through the C library, after the walk.
- Address to block: random addresses inside of random blocks.
- Private memory is what the process has beyond the mapped file, at its largest (\`RssAnon\`).
- The sparse dump (\`tests/bench/sparse.c\`) is an x64 process with 40 GB more of private memory in the middle of its
  address space, written as holes. Its system modules and PEB lie behind them.

## The cost grows with the dump

| scale | dump | blocks | floor | \`stat\` | walk, one core | all cores | filter \`size == 0xf8\` | \`info\` | walk, a block |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
END
    for scale in "${scales[@]}"; do
        printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$scale" "$(mib "${value[$scale.size]}")" \
            "$(grouped "${value[$scale.blocks]}")" "$(ms "${value[$scale.floor]}")" "$(ms "${value[$scale.stat]}")" \
            "$(ms "${value[$scale.walk_1]}")" "$(ms "${value[$scale.walk_all]}")" \
            "$(ms "${value[$scale.filter_size_1]}")" "$(ms "${value[$scale.info]}")" \
            "$(calc "${value[$scale.walk_1]} / ${value[$scale.blocks]} * 1e9" '%.1f ns')"
    done
    if [[ -n $refused ]]; then printf '\nLarger scales do not fit:\n\n%s' "$refused"; fi
    cat << END

## Every command at full scale

| command | time | processor | private memory |
| --- | --- | --- | --- |
$rows
END
} | section engine
say "$held of $count bars hold"
