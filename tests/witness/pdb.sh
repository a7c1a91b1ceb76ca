#!/usr/bin/env bash
# PDBs against LLVM's own reader, llvm-pdbutil: GUID, age, every public, datum and function with address and size, every
# struct, union and enum with every member. The PDBs are made here, for x86 and x64: shapes.cpp, the sources that
# names.sh takes its names from (hundreds of templates), and the images of the case; and those of tests/fixtures/pdb.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for program in clang lld-link llvm-pdbutil python3; do
    command -v "$program" > /dev/null || { echo "$program is missing (Debian: clang lld llvm python3)"; exit 77; }
done

bash "$SRC/tests/synth/shapes.sh" "$work"
bash "$SRC/tests/synth/linked_images.sh" "$work/case"
for name in language library; do
    for target in x86:i686 x64:x86_64; do
        out=$work/$name-${target%%:*}
        clang "--target=${target#*:}-pc-windows-msvc" -g -gcodeview -O1 -std=c++20 -fms-extensions -fexceptions -w -fno-threadsafe-statics \
            -fcxx-exceptions -c "$here/names/$name.cpp" -o "$out.obj"
        # What a C++ library would give is left open: nothing here runs.
        lld-link /dll /noentry /debug /nodefaultlib /force:unresolved "/out:$out.dll" "/pdb:$out.pdb" "$out.obj" \
            > /dev/null 2>&1 || [[ -f $out.pdb ]]
    done
done

count=0
for pdb in "$work"/*.pdb "$work"/case/pdb/*.pdb "$SRC"/tests/fixtures/pdb/*.pdb; do
    llvm-pdbutil dump -summary -section-headers -publics -globals -symbols -types "$pdb" > "$work/llvm.txt"
    "$BUILD/bench/symbols" list "$pdb" > "$work/ours.txt"
    "$BUILD/bench/symbols" types "$pdb" >> "$work/ours.txt"
    python3 "$here/pdb_check.py" "$(basename "$pdb")" "$work/llvm.txt" "$work/ours.txt"
    count=$((count + 1))
done
((count == 13)) || { echo "$count PDBs were compared, expected 13" >&2; exit 1; }
