#!/bin/bash
# Outside witness: C++ compiled by clang for both Windows targets gives decorated names, llvm-undname tells what they
# stand for, and the undecorator says the same. names/*.cpp is compiled, names/by_hand.txt are names that clang does not
# make.
#
#     tests/witness/names.sh             what ctest runs
#     tests/witness/names.sh --write     the fixture anew, tests/fixtures/names.txt.xz (read the diff of its text)
#
# Debian packages: clang llvm. Exit 77: they are not there.
set -euo pipefail

src=${SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
here=$src/tests/witness/names
for tool in clang++ llvm-nm llvm-undname lua5.4 xz; do
    command -v $tool >/dev/null || { echo "names.sh: skipped: no $tool (apt-get install clang llvm)" >&2; exit 77; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for target in i686 x86_64; do
    for source in "$here"/*.cpp; do
        clang++ --target=$target-pc-windows-msvc -std=c++20 -fms-extensions -w -O0 -c "$source" -o "$dir/object"
        llvm-nm --format=just-symbols "$dir/object" | grep '^?' >> "$dir/compiled"
    done
done
cat "$dir/compiled" "$here/by_hand.txt" | LC_ALL=C sort -u > "$dir/names"
# A block a name: the name, and what it stands for or an error (then it exits with 1); blank lines between.
{ llvm-undname < "$dir/names" 2>&1 || :; } | LC_ALL=C awk '
    /^$/ { open = 0; next }
    !open { open = 1; name = $0; next }
    { print name "\t" ($0 ~ /^error: / ? name : $0) }' > "$dir/answers"
if [ "${1:-}" = --write ]; then
    xz -9e --check=crc32 -c "$dir/answers" > "$src/tests/fixtures/names.txt.xz"
    exit
fi
lua5.4 "$src/tests/lua/names.lua" "$src" "$dir/answers"
