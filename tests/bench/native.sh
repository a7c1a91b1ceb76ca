#!/usr/bin/env bash
# ./dev bench native: a C function over every busy block of the full-scale sample by set:map, next to the same loop in C.
set -euo pipefail
source "$SRC/tests/bench/parts/shared.sh"
sample 1 --scale 1
library=$WORK/records.so
cc -O2 -shared -fPIC -o "$library" "$SRC/tests/native/records.c"
cat "$sample" > /dev/null # warm

# map FUNCTION TYPE [OPTION...]: median processor seconds of 7 rounds
map() {
    "$HEAPSIFT" run "$SRC/tests/bench/native.lua" "$sample" --allow-native --allow-files --library "$library" \
        --rounds 7 --name "$1" --gives "$2" "${@:3}"
}
# wall FUNCTION TYPE [OPTION...]: seconds of one of ten rounds
wall() {
    local begin=$EPOCHREALTIME once
    "$HEAPSIFT" run "$SRC/tests/bench/native.lua" "$sample" --allow-native --allow-files --library "$library" \
        --rounds 1 --name "$1" --gives "$2" "${@:3}" > /dev/null
    once=$(calc "$EPOCHREALTIME - $begin") begin=$EPOCHREALTIME
    "$HEAPSIFT" run "$SRC/tests/bench/native.lua" "$sample" --allow-native --allow-files --library "$library" \
        --rounds 11 --name "$1" --gives "$2" "${@:3}" > /dev/null
    calc "($EPOCHREALTIME - $begin - $once) / 10"
}

rows=
for one in 'first_word uint32_t the first four bytes' 'sum_pure uint64_t a sum over every byte'; do
    read -r name type what <<< "$one"
    maps=() publics=() cursors=() walls=() pures=()
    for _ in 1 2 3; do # in turns, so that what else runs hits all alike
        maps+=("$(map "$name" "$type")")
        read -r blocks public cursor < <("$BUILD/bench/native" "$sample" "$library" "$name" 7)
        publics+=("$public") cursors+=("$cursor")
        walls+=("$(wall "$name" "$type")") pures+=("$(wall "$name" "$type" --pure)")
    done
    map=$(middle "${maps[@]}") public=$(middle "${publics[@]}") cursor=$(middle "${cursors[@]}")
    holds=yes
    if [[ $(calc "$map <= 2 * $cursor ? 1 : 0" '%d') != 1 ]]; then holds='**no**'; fi
    rows+="| \`$name\`: $what | $(ms "$map") | $(ms "$cursor"): $(calc "$map / $cursor" '%.2f') times \
| $(ms "$public") | $(ms "$(middle "${walls[@]}")"), $(ms "$(middle "${pures[@]}")") | at most 2 times | $holds |"$'\n'
done
read -r call callback < <("$HEAPSIFT" run "$SRC/tests/bench/native.lua" "$sample" --allow-native --allow-files \
    --library "$library" --calls)
section native << END
## C code over every block

Written by \`./dev bench native\`: \`set:map\` over the $(grouped "$blocks") busy blocks of the full-scale sample, next to the
same loop in C (\`tests/bench/native.c\`), which keeps each result in an array; load of other programs:
$(cut -d ' ' -f 1 /proc/loadavg).

| function | \`set:map\`, processor | C over the inner cursor | C over public functions | time: one thread, \`pure\` | needed | holds |
| --- | --- | --- | --- | --- | --- | --- |
$rows
A call from Lua, arguments checked: $call ns; a callback into Lua: $callback ns more.
END
