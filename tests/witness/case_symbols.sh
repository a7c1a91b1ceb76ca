#!/usr/bin/env bash
# Both stacks of the Duet case, symbol for symbol, over images and PDBs that clang and lld-link made: what differs without
# PDBs is listed in tests/lua/case.lua. And without the PDBs the private names must be gone again.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { printf '%s\n' "$*" >&2; exit 1; }

bash "$SRC/tests/synth/linked_images.sh" "$work" || exit $?
"$HEAPSIFT" run sample "$work/case.dmp" --images "$work" --scale 0.02 > /dev/null

# The frames as the debugger printed them: "address name", without the place on the stack.
wanted() { sed -n '/^[0-9a-f]\{8\} /s/^[0-9a-f]* //p' "$SRC/tests/golden/case/frames_$1.txt"; }
printed() {
    "$HEAPSIFT" run trace "$work/case.dmp" "$1" --windbg-names "${@:2}" |
        sed -n 's/^[0-9a-f]\{8\}  \([0-9a-f]\{8\} .*\)$/\1/p'
}
count=0
for index in 7dfe 17dfe; do
    diff <(wanted $index) <(printed $index --symbols "$work/pdb") || fail "trace $index differs from the case"
    count=$((count + $(wanted $index | wc -l)))
done
((count == 37)) || fail "$count frames compared, the case has 37"

# By the environment too, and as a store; nothing without a PDB.
diff <(wanted 7dfe) <(_NT_SYMBOL_PATH="$work/pdb" printed 7dfe) || fail '_NT_SYMBOL_PATH differs from --symbols'
id=$("$HEAPSIFT" run modules "$work/case.dmp" ntdll --json | sed -n 's/.*"pdb_id": *"\([0-9A-F]*\)".*/\1/p')
mkdir -p "$work/store/ntdll.pdb/$id"
cp "$work/pdb/ntdll.pdb" "$work/store/ntdll.pdb/$id/"
printed 17dfe --symbols "srv*$work/store" | grep -q 'ntdll!RtlDebugAllocateHeap+0xe1' || fail 'the store is not used'
! printed 7dfe | grep -q DuplicateString || fail 'a name that only the PDB has, without it'

# x ntdll!RtlpStackTraceDataBase
"$HEAPSIFT" run symbols "$work/case.dmp" 'ntdll!RtlpStackTraceDataBase' --symbols "$work/pdb" |
    grep -q '^7c97b170 .*ntdll!RtlpStackTraceDataBase$' || fail 'RtlpStackTraceDataBase is not at 7c97b170'
"$HEAPSIFT" run modules "$work/case.dmp" --symbols "$work/pdb" | grep -q 'rpcrt4 .*(pdb symbols)' ||
    fail 'modules does not say what names come from'

# Objects by class: the blocks of a class are those whose first word is one of its tables.
"$HEAPSIFT" run objects "$work/case.dmp" --symbols "$work/pdb" --top 0 --json > "$work/objects.json"
python3 - "$work/objects.json" << 'END' > "$work/classes" || fail 'objects: no JSON'
import json, sys
for row in json.load(open(sys.argv[1]))["result"]["objects"]:
    if row["module"] == "mapi32":
        print(row["blocks"], len(row["tables"]), row.get("class"), row["where"], sep="\t")
END
cut -f 2,3 "$work/classes" | sort | diff - <(printf '1\tmapi::CList<mapi::Item>\n2\tmapi::CFolderTable\n') ||
    fail 'the classes of mapi32 are others'
while IFS=$'\t' read -r blocks _ class where; do
    ((blocks > 10)) || fail "$class has $blocks objects"
    "$HEAPSIFT" run blocks "$work/case.dmp" "$where and state == busy" --by size --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["result"]["blocks"])' |
        grep -qx "$blocks" || fail "$class: $blocks objects, the filter finds another number"
done < "$work/classes"
"$HEAPSIFT" run symbols "$work/case.dmp" 'mapi32!*vftable*' --symbols "$work/pdb" |
    grep -qF "mapi32!mapi::CFolderTable::\`vftable'" || fail 'a vtable has no name'
