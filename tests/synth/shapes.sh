#!/usr/bin/env bash
# shapes.sh FOLDER: makes shapes-x86 and shapes-x64 (.dll, .pdb) of shapes.cpp there with clang and lld-link. The PDBs in
# tests/fixtures/pdb were made by it (clang and lld 14). Exit code 77 where one of the two is missing.
set -euo pipefail
folder=$1
source=$(realpath "$(dirname "$0")/shapes.cpp")
for program in clang lld-link; do
    command -v "$program" > /dev/null || { echo "$program is missing (Debian: clang lld)"; exit 77; }
done
mkdir -p "$folder"
folder=$(realpath "$folder")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$source" "$work/shapes.cpp"
cd "$work" # only plain names get into the PDBs
for target in x86:i686:DllMain@12 x64:x86_64:DllMain; do
    IFS=: read -r name machine entry <<< "$target"
    clang "--target=$machine-pc-windows-msvc" -g -gcodeview -O1 -fno-exceptions -fno-rtti -fno-stack-protector \
        -fdebug-compilation-dir=. -c shapes.cpp -o "shapes-$name.obj"
    lld-link /dll /debug /nodefaultlib "/entry:$entry" "/out:shapes-$name.dll" "/pdb:shapes-$name.pdb" \
        /pdbaltpath:%_PDB% "shapes-$name.obj"
    mv "shapes-$name.dll" "shapes-$name.pdb" "$folder"
done
