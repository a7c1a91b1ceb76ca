#!/usr/bin/env bash
# ./dev bench symbols: look-ups in PDBs, next to a floor measured in the same moment. The PDB of 100 MB is made by clang
# and lld-link (some minutes, once) and kept in build/bench.
set -euo pipefail
source "$SRC/tests/bench/parts/shared.sh"
tool=$BUILD/bench/symbols
work=$WORK/symbols
mkdir -p "$work"
command -v clang > /dev/null && command -v lld-link > /dev/null ||
    die 'symbols: needs clang and lld-link (apt-get install clang lld)'
# field NAME: the middle of the values behind that word, one line of output a run on stdin.
field() { middle $(sed -E "s/(^|.* )$1 ([0-9.]*).*/\\2/"); }

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
# An address inside a function, and the one behind it, which only publics can name.
read -r rva size_of_it < <("$tool" list "$work/big.pdb" | awk '$1 == "function" && $3 > 40 { if (++n == 50000) print $2, $3 }')
behind=$(printf %x $((0x$rva + size_of_it)))

firsts=$(for _ in 1 2 3 4 5 6 7 8 9; do "$tool" first "$work/big.pdb" "$rva"; done)
first=$(field ms <<< "$firsts")
publics=$(for _ in 1 2 3 4 5 6 7 8 9; do "$tool" first "$work/big.pdb" "$behind"; done)
public=$(field ms <<< "$publics")
private=$(field private <<< "$publics")
# The floor: reading what a public needs, the symbol records, the lists of the DBI stream and the hash tables, once.
floors=$(for _ in 1 2 3 4 5 6 7 8 9; do "$tool" floor "$work/big.pdb"; done)
streams=$(field bytes <<< "$floors")
rates=$(for _ in 1 2 3 4 5; do "$tool" lookup "$work/big.pdb" 4000000; done)
rate=$(field per_second <<< "$rates")

verdict() { [[ $(calc "($1) ? 1 : 0" '%d') == 1 ]] && printf yes || printf '**no**'; }
section symbols << END
## Names from a PDB

Written by \`./dev bench symbols\`: a PDB of $(mib "$size") with $(grouped "$(field functions <<< "$rates")") functions, made by clang and lld-link, file in memory; load of other programs: $(cut -d ' ' -f 1 /proc/loadavg).

| what | measured | floor | needed | holds |
| --- | --- | --- | --- | --- |
| open to the first name, in a function | $first ms (processor: $(field processor_ms <<< "$firsts") ms; private memory: $(grouped "$(field private <<< "$firsts")") bytes) | | at most 50 ms at 100 MB | $(verdict "$first <= 50") |
| open to the first name, between functions: needs all publics | $public ms (processor: $(field processor_ms <<< "$publics") ms) | $(field ms <<< "$floors") ms to read those streams once | at most 50 ms at 100 MB | $(verdict "$public * 100e6 / $size <= 50") |
| private memory after it | $(mib "$private") | $(mib "$streams") of streams read | at most 3 times | $(verdict "$private <= 3 * $streams") |
| look-ups, one core, all functions in turn | $(calc "$rate / 1e6" '%.1f') million/s | | at least 2 million/s | $(verdict "$rate >= 2000000") |
END
