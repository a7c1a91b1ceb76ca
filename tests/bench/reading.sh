#!/usr/bin/env bash
# ./dev bench reading: what a dump costs the disk: how much of it is read, and how long scripts take when nothing of it is
# in memory and when all is. Needs HEAPSIFT and WORK, as ./dev sets them, and SCALE * 370 MB of disk. What a disk, or the
# host of a virtual machine, keeps in its own memory cannot be emptied from here: the column says at most "at least".
set -euo pipefail
work=$WORK/reading
rm -rf "$work"
mkdir -p "$work"
dump=$work/sample.dmp
"$HEAPSIFT" run sample "$dump" --scale "${SCALE:-1}" > /dev/null

# forget: nothing of the dump is in memory any more.
forget() { dd of="$dump" oflag=nocache conv=notrunc,fdatasync count=0 status=none; }
in_memory() { fincore --bytes --noheadings --output RES "$dump" | tr -d ' '; }
# timed COMMAND...: seconds on the clock and of processor
TIMEFORMAT='%R %U %S'
timed() { { time "$@" > /dev/null; } 2>&1 | tail -n 1 | awk '{ printf "%.2f %.2f", $1, $2 + $3 }'; }

size=$(stat -c %s "$dump")
forget
left=$(in_memory)
((left < size / 100)) || { echo "reading: this file system keeps $left of $size bytes in memory" >&2; exit 1; }
read -r seconds _ <<< "$(timed dd if="$dump" bs=1M status=none)"
printf '| over a dump of %d MB | read of it | from the disk | from memory | processor |\n' $((size / 1000000))
printf '| --- | --- | --- | --- | --- |\n'
awk -v s="$seconds" -v b="$size" 'BEGIN { printf "| `dd`, to compare | 100 %% | %.1f s, %.0f MB/s | | |\n", s, b / s / 1e6 }'
for script in info heaps stat who; do
    forget
    read -r cold _ <<< "$(timed "$HEAPSIFT" run $script "$dump")"
    part=$(($(in_memory) * 100 / size))
    cat "$dump" > /dev/null
    read -r warm cpu <<< "$(timed "$HEAPSIFT" run $script "$dump")"
    awk -v n=$script -v c="$cold" -v w="$warm" -v u="$cpu" -v p=$part -v b="$size" 'BEGIN {
        printf "| `%s` | %d %% | %.1f s, %.0f MB/s | %.1f s | %.1f s |\n", n, p, c, p * b / 100 / c / 1e6, w, u }'
done
rm -rf "$work"
