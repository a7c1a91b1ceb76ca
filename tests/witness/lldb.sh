#!/bin/bash
# Outside witness: lldb opens a dump that heapsift wrote (run sample) or reads, and finds the same modules, threads and
# bytes. This script only makes lldb's Python package usable; lldb_check.py does the comparing (see there).
#
#     HEAPSIFT=path/to/heapsift tests/witness/lldb.sh       on samples of its own, x86 and x64: what ctest runs
#     HEAPSIFT=path/to/heapsift tests/witness/lldb.sh DUMP [--truth TRUTH.json] [ADDRESS...]
#     tests/witness/lldb.sh DUMP --walk SEGMENT...       time a heap walk through lldb (the benchmark's slow floor)
#
# Debian packages: lldb python3-lldb-14 (any version with its liblldb). Exit 77: they are not there.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
python=/usr/bin/python3     # lldb is built for Debian's own Python
skip() { echo "lldb.sh: skipped: $1 (apt-get install lldb python3-lldb-14)" >&2; exit 77; }
# The newest version of which both the package and the library are there.
package='' library=''
for folder in $(printf '%s\n' /usr/lib/llvm-*/lib/python3*/dist-packages/lldb | sort -V); do
    version=${folder#/usr/lib/llvm-} version=${version%%/*}
    [ -f "$folder/__init__.py" ] || continue
    for file in /usr/lib/*-linux-gnu/liblldb-"$version".so* /usr/lib/llvm-"$version"/lib/liblldb.so*; do
        if [ -f "$file" ]; then package=$folder library=$(readlink -f "$file"); break; fi
    done
done
[ -n "$package" ] || skip "no Python package of lldb with its library"
if [ $# -gt 0 ] && [ ! -f "$1" ]; then echo "lldb.sh: $1 is no file" >&2; exit 2; fi
if [ $# -eq 0 ] && [ -z "${HEAPSIFT:-}" ]; then echo "lldb.sh: HEAPSIFT must name the heapsift program" >&2; exit 2; fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
mkdir "$dir/python" "$dir/empty"
cp -r "$package" "$dir/python/lldb"     # its _lldb link leads nowhere in Debian 12
rm -f "$dir"/python/lldb/_lldb*
ln -s "$library" "$dir/python/lldb/_lldb.so"
# An absolute path for what is named relative to the caller's folder: lldb takes module files from the current one.
arguments=()
for argument; do
    if [ -f "$argument" ]; then argument=$(readlink -f "$argument"); fi
    arguments+=("$argument")
done
if [ -n "${HEAPSIFT:-}" ]; then HEAPSIFT=$(readlink -f "$(command -v "$HEAPSIFT")"); export HEAPSIFT; fi
cd "$dir/empty"
check() {
    HOME=$dir PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$dir/python timeout "${TIMEOUT:-300}" \
        "$python" "$here/lldb_check.py" "$@"
}

if [ ${#arguments[@]} -gt 0 ]; then
    check "${arguments[@]}"
    exit
fi
for arch in x86 x64; do
    "$HEAPSIFT" run sample "$dir/$arch.dmp" --arch "$arch" --scale 0.02 --truth "$dir/$arch.json"
    check "$dir/$arch.dmp" --truth "$dir/$arch.json"
done
