#!/usr/bin/env bash
# rooms.lua must fail on each of these, and pass what is allowed.  rooms_catches.sh LUA
set -euo pipefail
lua=$1
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

# try EXPECTED FILE LINE: EXPECTED is ok, or a piece of the message
try() {
    rm -rf "$tree/engine" "$tree/include"
    mkdir -p "$tree/engine" "$tree/include" "$tree/$(dirname "$2")"
    printf '%s\n' "$3" > "$tree/$2"
    local output code=0
    output=$("$lua" "$here/rooms.lua" "$tree") || code=$?
    if { [[ $1 == ok ]] && ((code != 0)); } || { [[ $1 != ok ]] && { ((code == 0)) || [[ $output != *"$1"* ]]; }; }; then
        printf 'expected %s for %s in %s, got:\n%s\n' "$1" "$3" "$2" "$output"
        failures=$((failures + 1))
    fi
}

try ok engine/heap/nt.c '#include "space/space.h"'
try ok engine/heap/nt.c '#include "heap/inner.h"'
try ok engine/bind/bind.c '#include <lua.h>'
try ok engine/base/bytes.c 'x = *(const uint32_t *)p;'
try ok engine/bind/bind.c 'x = *(const uint32_t *)p;'
try ok include/heapsift/x.h '#include <heapsift/error.h>'
try 'dump comes after heap' engine/heap/nt.c '#include "dump/dump.h"'
try 'behind the door' engine/heap/nt.c '  #  include "image/pe.h"'
try 'room/file.h' engine/heap/nt.c '#include "inner.h"'
try 'room/file.h' engine/heap/nt.c '#include "../space/space.h"'
try 'is no room' engine/heap/nt.c '#include "report/report.h"'
try 'is no room' engine/report/a.c 'int x;'
try 'know Lua' engine/query/set.c '#include <lua.h>'
try 'know Lua' engine/query/set.c '#include <heapsift/luaopen.h>'
try 'with quotes' engine/heap/nt.c '#include <dump/dump.h>'
try 'stand there itself' engine/heap/nt.c '#include NAME'
try 'cast to' engine/heap/nt.c 'x = *(const uint32_t *)p;'
try 'cast to' engine/heap/nt.c 'x = *(uint16_t*)p;'
try 'public header' include/heapsift/x.h '#include "base/base.h"'
try 'no other headers' include/heapsift/x.h '#include <lua.h>'
exit $((failures != 0))
