#!/usr/bin/env bash
# u, ub and uf on compiled code, x86 and x64, against llvm-objdump: every instruction's address, bytes and mnemonic, with and
# without a PDB; where each function ends; the instructions before every address of it.
set -euo pipefail
for program in clang lld-link llvm-objdump python3; do
    command -v "$program" > /dev/null || { echo "skipped: $program is missing (Debian: clang lld llvm python3)"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$SRC/tests/witness

# build NAME TARGET MACHINE BASE SAMPLE_OPTION...: the code as that sample's oleaut32.dll
build() {
    local name=$1 target=$2 machine=$3 base=$4
    shift 4
    mkdir -p "$work/$name"
    (
        cd "$work/$name"
        clang --target="$target" -O2 -gcodeview -ffreestanding -fno-builtin -c "$here/code.c" -o code.obj
        lld-link /dll /noentry /nodefaultlib /debug "/machine:$machine" /safeseh:no "/base:$base" /out:oleaut32.dll \
            /pdb:oleaut32.pdb /pdbaltpath:%_PDB% code.obj
        mkdir pdb
        mv oleaut32.pdb pdb
        llvm-objdump -d --x86-asm-syntax=intel oleaut32.dll > objdump.txt
        "$HEAPSIFT" run sample code.dmp --tiny --images . "$@" > /dev/null
    )
}
build x86 i686-pc-windows-msvc x86 0x77120000
build x64 x86_64-pc-windows-msvc x64 0x7ff56fd0000 --arch x64
python3 "$here/code_check.py" "$HEAPSIFT" "$work/x86" "$work/x64"
