#!/usr/bin/env bash
# Native calls under valgrind, which shares nothing with the sanitizers: every signature at its limits, callbacks that
# come and go, columns, a dump that is closed. No error, no byte lost.
set -euo pipefail
if ! command -v valgrind > /dev/null; then
    echo "valgrind: not installed, nothing was checked"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -O1 -shared -fPIC -o "$work/signatures.so" "$SRC/tests/native/signatures.c"
cc -O1 -shared -fPIC -o "$work/records.so" "$SRC/tests/native/records.c"
"$HEAPSIFT" run sample "$work/small.dmp" --tiny > /dev/null
cat > "$work/blocks.lua" << 'END'
local lib <close> = assert(heapsift.native("records.so", [[
    __attribute__((pure)) uint64_t sum_pure(const void *data, size_t size, uint64_t address);
    struct totals { uint64_t count, bytes, last, ascending; };
    void add_up(const void *data, size_t size, uint64_t address, struct totals *totals);
    void keep(int (*f)(int)); int call_kept(int x);
    int call_per_block(const void *data, size_t size, uint64_t address);
]]))
local set = dump:blocks "state == busy"
for i = 1, 3 do
    set:map(lib.sum_pure, "sums")
    if #set:where "column.sums == column.sums" ~= #set then error "blocks without a value" end
    local totals = set:fold(lib.add_up, lib:new "struct totals")
    if totals.count ~= #set then error "blocks were left out" end
    local f = lib:callback("int (*)(int)", function(x) return x + i end)
    lib.keep(f)
    set:map(lib.call_per_block)
    lib:free(f)
    pcall(lib.call_kept, 1)
    collectgarbage()
end
print "done"
END
check() {
    valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
        "$HEAPSIFT" "$@" --allow-native
}
[[ $(check run "$SRC/tests/lua/scripts/native_signatures.lua" "$work/signatures.so" "$SRC/tests/native/signatures.c") == \
    '75 functions' ]]
[[ $(check run "$work/blocks.lua" "$work/small.dmp") == done ]]
echo "valgrind: no error in 75 signatures and in columns, folds and callbacks over blocks"
