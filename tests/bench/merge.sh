#!/usr/bin/env bash
# ./dev bench merge: how long heapsift merge takes over 10, 100 and 1,000 parts of 100 dumps each, and what memory. Needs
# HEAPSIFT and WORK, as ./dev sets them, sqlite3, and 3 GB of disk.
#
# One part is made by a real batch; the others are copies of it whose paths and contents were changed by SQL.
set -euo pipefail
work=$WORK/merge
rm -rf "$work"
mkdir -p "$work/dumps"
"$HEAPSIFT" run sample "$work/one.dmp" --tiny > /dev/null
for i in {1..100}; do
    cp "$work/one.dmp" "$work/dumps/$i.dmp"
    printf '%d' "$i" >> "$work/dumps/$i.dmp"
done
"$HEAPSIFT" batch "${SCRIPT:-heaps}" "$work/dumps" --out "$work/part.db" > /dev/null

printf '| parts of 100 dumps | time | processor | a part | peak memory | store |\n| --- | --- | --- | --- | --- | --- |\n'
made=0
TIMEFORMAT='%R %U %S'
for count in ${COUNTS:-10 100 1000}; do
    for ((; made < count; made++)); do
        cp "$work/part.db" "$work/part-$made.db"
        sqlite3 "$work/part-$made.db" "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF;
            UPDATE dumps SET content = printf('%08x', $made) || substr(content, 9);
            UPDATE inputs SET path = printf('/part%d', $made) || path;
            UPDATE runs SET process_id = process_id + $made" > /dev/null
    done
    rm -f "$work"/all.db*
    parts=()
    for ((i = 0; i < count; i++)); do parts+=("$work/part-$i.db"); done
    { time "$HEAPSIFT" merge "$work/all.db" "${parts[@]}" > /dev/null; } 2> "$work/time.txt" & pid=$!
    peak=0
    while kill -0 "$pid" 2> /dev/null; do
        for child in $(cat "/proc/$pid/task/$pid/children" 2> /dev/null) "$pid"; do
            seen=$(sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$child/status" 2> /dev/null || true)
            ((${seen:-0} <= peak)) || peak=$seen
        done
        sleep 0.05
    done
    wait "$pid"
    dumps=$(sqlite3 "$work/all.db" 'SELECT count(*) FROM results')
    ((dumps == count * 100)) || { echo "merge: $dumps results, expected $((count * 100))" >&2; exit 1; }
    tail -n 1 "$work/time.txt" | awk -v n="$count" -v peak="$peak" -v size="$(stat -c %s "$work/all.db")" \
        '{ printf "| %d | %.1f s | %.1f s | %.0f ms | %.1f MiB | %.1f MiB |\n", n, $1, $2 + $3, $1 * 1000 / n, peak / 1024, size / 1048576 }'
done
rm -rf "$work"
