#!/bin/bash
# Outside witness: clang's own layouts (-fdump-record-layouts) of generated structures, for x86 and x64 Windows and for
# Linux, against those of plugins/lib/types, field by field. More seeds than the plain tests have, which compare with
# tests/fixtures/layouts-*.txt: with HEAPSIFT_LAYOUTS_WRITE=1 those are written here.
#
# Debian package: clang. Exit 77: it is not there.
set -eu
command -v clang > /dev/null || { echo "layouts.sh: skipped: no clang (apt-get install clang)" >&2; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
lua=$(command -v lua5.4 || command -v lua)
exec "$lua" "$SRC/tests/witness/layouts_check.lua" "$SRC" "$dir" "${1:-20}"
