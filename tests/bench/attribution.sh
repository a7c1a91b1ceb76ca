#!/usr/bin/env bash
# ./dev bench attribution: how long it takes to say who allocated every block, at three scales, next to a floor.
set -euo pipefail
here=$SRC/tests/bench
source "$here/parts/shared.sh"
rounds=5 rows=''
for scale in 0.1 0.5 1; do
    sample "$scale" --scale "$scale"
    "$HEAPSIFT" run "$here/runs.lua" "$sample" > "$WORK/runs-$scale.txt"
    cat "$sample" > /dev/null # warm
    floors=() labels=() all=() kernel=() sites=()
    for _ in 1 2 3 4 5; do
        read -r floor _ < <("$BUILD/bench/floor" "$sample" "$WORK/runs-$scale.txt" "$rounds")
        read -r labelled _ < <("$BUILD/bench/bench" time 1 "$HEAPSIFT" run "$here/attribute.lua" "$sample" --labels)
        read -r whole _ < <("$BUILD/bench/bench" time 1 "$HEAPSIFT" run "$here/attribute.lua" "$sample")
        read -r one two blocks < <("$HEAPSIFT" --allow-files run "$here/attribute.lua" "$sample" --clock)
        floors+=("$floor") labels+=("$labelled") all+=("$whole") kernel+=("$one") sites+=("$two")
    done
    memory=$("$BUILD/bench/bench" memory "$HEAPSIFT" run "$here/attribute.lua" "$sample")
    floor=$(middle "${floors[@]}") extra=$(calc "$(middle "${all[@]}") - $(middle "${labels[@]}")")
    rows+="| $scale | $(grouped "$blocks") | $(ms "$floor") | $(ms "$extra") | $(calc "$extra / $floor" '%.1f times') | \
$(ms "$(middle "${kernel[@]}")") | $(ms "$(middle "${sites[@]}")") | $(mib "$memory") |"$'\n'
done
section attribution << END
## Who allocated every block

Written by \`./dev bench attribution\`: \`heapsift.attribution(dump)\` and the first hundred rows of \`a:sites()\`, on blocks that are
labelled already.

| scale | busy blocks | floor | time | next to the floor | processor: attribution | processor: sites | private memory |
| --- | --- | --- | --- | --- | --- | --- | --- |
$rows
- The floor is that of the engine: one thread that follows the headers of all blocks once.
- Time is that of a whole process with the attribution, less that of one that only labels the blocks; medians of five.
- Private memory is that of the whole process, the labels and their making included.
END
