#!/bin/bash
# Outside witness: C++ compiled by clang and linked by lld, with its PDB, takes the place of rpcrt4 in a sample dump. Its
# functions are named as in the debugger, in full as llvm-undname says, and raw as llvm-nm does.
#
# Debian packages: clang llvm lld. Exit 77: they are not there.
set -euo pipefail

: "${HEAPSIFT:?must name the heapsift program}"
for tool in clang++ llvm-nm llvm-undname lld-link lua5.4; do
    command -v $tool >/dev/null || { echo "names_pdb.sh: skipped: no $tool (apt-get install clang llvm lld)" >&2; exit 77; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

cat > rpcrt4.cpp <<'END'
struct DCE_BINDING {
    DCE_BINDING(unsigned short *, unsigned short *, long *);
    ~DCE_BINDING();
    long ResolveEndpointIfNecessary();
    template <class T> T *get(T **);
};
DCE_BINDING::DCE_BINDING(unsigned short *, unsigned short *, long *) {}
DCE_BINDING::~DCE_BINDING() {}
template <class T> T *DCE_BINDING::get(T **at) { return *at; }
template DCE_BINDING *DCE_BINDING::get(DCE_BINDING **);
long DCE_BINDING::ResolveEndpointIfNecessary() { return 1; }
void *operator new(unsigned size) { return (void *)size; }
END
clang++ --target=i686-pc-windows-msvc -w -O1 -fno-exceptions -c rpcrt4.cpp -o rpcrt4.o
lld-link /dll /noentry /nodefaultlib /debug /pdb:rpcrt4.pdb /out:rpcrt4.dll rpcrt4.o
"$HEAPSIFT" run sample sample.dmp --tiny > /dev/null

# The dump's rpcrt4 gets the GUID and age of the linked one.
cat > patch.lua <<'END'
local function read(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end
local id = assert(read "rpcrt4.dll":match "RSDS(....................)")
local bytes, count = read "sample.dmp":gsub("(RSDS)....................(rpcrt4%.pdb)", function(a, b) return a .. id .. b end)
assert(count > 0, "no RSDS record of rpcrt4 in the sample")
local file <close> = assert(io.open("sample.dmp", "wb"))
file:write(bytes)
END
lua5.4 patch.lua

cat > names.lua <<'END'
local module = dump:module "rpcrt4"
assert(module.symbols == "pdb")
for name in ("NAMES"):gmatch "%S+" do
    local va = assert(dump:resolve("rpcrt4!" .. name))
    assert(dump:symbol(va, nil, "raw") == "rpcrt4!" .. name)
    print((dump:symbol(va, nil, "full"):gsub("^rpcrt4!", "")))
end
END
llvm-nm --format=just-symbols --defined-only --extern-only rpcrt4.o | grep '^?.*@.*Z$' > names
[ "$(wc -l < names)" -ge 5 ] || { echo "names_pdb.sh: too few names: $(cat names)" >&2; exit 1; }
sed -i "s/NAMES/$(tr '\n' ' ' < names | sed 's/[\/&]/\\&/g')/" names.lua
run() { "$HEAPSIFT" run "$1" sample.dmp --no-progress | grep -v '^note: '; }
run names.lua > ours
llvm-undname < names | awk 'NR % 3 == 2' > theirs
diff theirs ours

# As in the stacks of the case.
cat > short.lua <<'END'
for _, name in ipairs { "??2@YAPAXI@Z", "??0DCE_BINDING@@QAE@PAG0PAJ@Z", "?ResolveEndpointIfNecessary@DCE_BINDING@@QAEJXZ",
                        "??$get@UDCE_BINDING@@@DCE_BINDING@@QAEPAU0@PAPAU0@@Z" } do
    print(dump:symbol(assert(dump:resolve("rpcrt4!" .. name)) + 1))
end
END
diff <(run short.lua) - <<'END'
rpcrt4!operator new+0x1
rpcrt4!DCE_BINDING::DCE_BINDING+0x1
rpcrt4!DCE_BINDING::ResolveEndpointIfNecessary+0x1
rpcrt4!DCE_BINDING::get<DCE_BINDING>+0x1
END
