#!/usr/bin/env bash
# ./dev bench symbols: look-ups in PDBs, next to a floor measured in the same moment; prints docs/symbols-performance.md
# and writes it. The PDB of 100 MB is made by clang and lld-link (some minutes, once) and kept in build/bench. Needs SRC,
# BUILD, WORK, as ./dev sets them, and the Debian packages clang and lld.
set -euo pipefail
tool=$BUILD/bench/symbols
report=$SRC/docs/symbols-performance.md
work=$WORK/symbols
mkdir -p "$work"
say() { printf 'bench: %s\n' "$*" >&2; }
middle() { sort -n | sed -n "$(((${1} + 1) / 2))p"; }

# 34 files of functions whose types and locals fill a PDB as a large program's do.
make_big() {
    local file=$1
    awk -v file="$file" 'BEGIN {
        for (i = 0; i < 3000; i++) {
            printf "struct record_%d_%d { int first; struct record_%d_%d *next; unsigned flags : 7; char text[%d]; };\n",
                file, i, file, i, i % 200 + 1
            printf "int a_function_with_a_longer_name_%d_%d(struct record_%d_%d *given, int amount) {\n", file, i, file, i
            for (k = 0; k < 6; k++) printf "    int local_variable_%d = given->first * %d + amount;\n", k, k + i
            printf "    return local_variable_0 ^ local_variable_5 ^ (int)given->flags; }\n"
        }
    }' > "$work/big_$file.c"
    clang --target=x86_64-pc-windows-msvc -g -gcodeview -O0 -c "$work/big_$file.c" -o "$work/big_$file.obj"
    rm "$work/big_$file.c"
}
if [[ ! -f $work/big.pdb ]]; then
    say 'making a PDB of 100 MB'
    export -f make_big
    export work
    seq 1 34 | xargs -P "$(nproc)" -I{} bash -c 'make_big {}'
    (cd "$work" && lld-link /dll /noentry /debug /nodefaultlib /force:unresolved /out:big.dll /pdb:big.pdb big_*.obj)
    rm "$work"/big_*.obj "$work/big.dll"
fi
cat "$work/big.pdb" > /dev/null # warm
size=$(stat -c %s "$work/big.pdb")
rva=$("$tool" list "$work/big.pdb" | awk '$1 == "function" && $3 > 40 { if (++n == 50000) print $2 }')

firsts=$(for _ in 1 2 3 4 5 6 7 8 9; do "$tool" first "$work/big.pdb" "$rva"; done)
first_ms=$(sed 's/.* ms \([0-9.]*\) .*/\1/' <<< "$firsts" | middle 9)
first_cpu=$(sed 's/.*processor_ms \([0-9.]*\) .*/\1/' <<< "$firsts" | middle 9)
private=$(sed 's/.*private //' <<< "$firsts" | middle 9)
# The floor: reading what a first name needs, the symbol records, the lists of the DBI stream and the hash tables, once.
floor=$(for _ in 1 2 3 4 5 6 7 8 9; do "$tool" floor "$work/big.pdb"; done)
floor_ms=$(sed 's/ms \([0-9.]*\) .*/\1/' <<< "$floor" | middle 9)
streams=$(sed 's/.*bytes //' <<< "$floor" | head -n 1)
rates=$(for _ in 1 2 3 4 5; do "$tool" lookup "$work/big.pdb" 4000000; done)
rate=$(sed 's/.*per_second //' <<< "$rates" | middle 5)
functions=$(sed 's/functions \([0-9]*\) .*/\1/' <<< "$rates" | head -n 1)

awk -v size="$size" -v first_ms="$first_ms" -v cpu="$first_cpu" -v floor_ms="$floor_ms" -v private="$private" \
    -v streams="$streams" -v rate="$rate" -v functions="$functions" 'BEGIN {
    print "# Symbols: how fast\n"
    print "Written by `./dev bench symbols`; medians, the file warm. The PDB was made by clang and lld-link.\n"
    print "| what | measured | floor | bar |"
    print "| --- | --- | --- | --- |"
    printf "| PDB | %.0f MB, %d functions | | 100 MB |\n", size / 1e6, functions
    printf "| open to first name | %.1f ms (processor %.1f ms) | %.1f ms to read the streams once | 50 ms |\n", first_ms, cpu, floor_ms
    printf "| private memory after it | %.1f MB | %.1f MB of streams read | 3 times the streams: %s |\n", private / 1e6, streams / 1e6,
        private <= 3 * streams ? "met" : "MISSED"
    printf "| look-ups, one core, all functions in turn | %.1f million a second | | 2 million |\n", rate / 1e6
}' | tee "$report"
