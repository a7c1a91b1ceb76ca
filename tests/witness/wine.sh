#!/bin/bash
# Outside witness: a full dump of a real x64 process, written by code that is not ours, is read as the process
# itself said it was. selfdump.c, built with MinGW and run under Wine, calls MiniDumpWriteDump on itself and writes
# down the truth; this script compares info, modules, exports, threads, memory and heaps of heapsift with it.
#
#     HEAPSIFT=path/to/heapsift tests/witness/wine.sh
#     KEEP=dir tests/witness/wine.sh      also copies wine.dmp and wine.truth to dir (HEAPSIFT may then be unset)
#
# Debian packages: wine64 gcc-mingw-w64-x86-64 python3. Exit 0 all equal, 1 a difference, 77 skipped (a tool is missing).
#
# What Wine 8's writer does, and a reader must cope with:
# - No MemoryInfoList, ThreadInfoList, UnloadedModuleList, HandleData, though header Flags (0x1826) ask for them;
#   two directory entries at the end are UnusedStream (type 0, size 0, rva 0).
# - Stream 65520 (0xfff0) is Wine's own: a MINIDUMP_MODULE_LIST of Linux libraries whose memory is not in the dump.
# - Nothing is aligned: ThreadList at 0x121, contexts at 0x1b5, Memory64List at 0x169f, memory bytes after it.
# - Thread stacks have a size but rva 0 (their bytes are in Memory64List), from rsp - 8 on only. The thread that writes
#   has no context at all: Stack and ThreadContext are all zeros. SuspendCount and priorities are 0. Contexts are
#   0x4d0 bytes with flags 0x10000b: control, integer and floating point, no DS..GS, no debug registers.
# - Memory64List is sorted, page-sized and whole: one range for each protection, so an image is many neighbours and reads
#   must cross ranges. No-access and guard pages are there with their content; reserved pages are not. It also has
#   memory of no listed module: Unix-side stacks, and a DLL that the writer itself loads after the list was taken.
# - MiscInfo is 24 bytes: process id, no times. Modules have no CodeView record, no padding between records; a module
#   without a version resource (kernelbase.dll) has an all-zero version. SizeOfImage includes DWARF sections.
# - Process: Windows 6.1.7601 Service Pack 1. PEB NumberOfHeaps, MaximumNumberOfHeaps and ProcessHeaps are 0: only
#   ProcessHeap is known. Its heap has 0xffeeffee at +0x10, where Windows 7's first segment has it, but no
#   0xeeffeeff signature and its own "HEAP" at +0xb8: it is a kind that heapsift does not know, and must say so.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
wine=${WINE64:-$(command -v wine64 || echo /usr/lib/wine/wine64)}
server=${WINESERVER:-$(dirname "$wine")/wineserver64}
dlls=${WINEDLLS:-/usr/lib/x86_64-linux-gnu/wine/x86_64-windows}
compiler=x86_64-w64-mingw32-gcc python=/usr/bin/python3
skip() { echo "wine.sh: skipped: $1 (apt-get install wine64 gcc-mingw-w64-x86-64 python3)" >&2; exit 77; }
for tool in "$wine" "$server" "$compiler" "$python" timeout; do
    command -v "$tool" >/dev/null || skip "$tool is missing"
done
[ -f "$dlls/ntdll.dll" ] || skip "no Windows DLLs of Wine in $dlls (WINEDLLS names the folder)"
if [ -z "${HEAPSIFT:-}" ] && [ -z "${KEEP:-}" ]; then echo "wine.sh: HEAPSIFT must name the heapsift program" >&2; exit 2; fi

dir=$(mktemp -d)
export HOME=$dir WINEPREFIX=$dir/prefix WINESERVER=$server WINEDEBUG=-all
# Nothing of a desktop or of Windows' services is wanted: 12 DLLs in system32 are a whole prefix. (wineboot would take
# 30 s and 700 MB.)
export WINEDLLOVERRIDES="mscoree,mshtml,wineboot.exe,services.exe,explorer.exe,winemenubuilder.exe="
unset DISPLAY WAYLAND_DISPLAY WINEARCH WINELOADER || true
mkdir -p "$WINEPREFIX/dosdevices" "$WINEPREFIX/drive_c/windows/system32"
socket=/tmp/.wine-$(id -u)/server-$(printf '%x-%x' "$(stat -c %d "$WINEPREFIX")" "$(stat -c %i "$WINEPREFIX")")
clean() {
    timeout 20 "$server" -k >/dev/null 2>&1 || true
    timeout 20 "$server" -w >/dev/null 2>&1 || true
    rm -rf "$dir" "$socket"
}
trap clean EXIT
trap 'exit 1' INT TERM
ln -s ../drive_c "$WINEPREFIX/dosdevices/c:"
ln -s / "$WINEPREFIX/dosdevices/z:"
for dll in ntdll kernel32 kernelbase dbghelp zlib1 msvcrt ucrtbase version psapi advapi32 sechost rpcrt4; do
    ln -s "$dlls/$dll.dll" "$WINEPREFIX/drive_c/windows/system32/"
done

"$compiler" -O1 -Wall -Wextra -s -Wl,--stack,0x100000 -o "$dir/selfdump.exe" "$here/selfdump.c" -ldbghelp -lpsapi
# One processor: every page goes through wineserver, and a switch on one processor is four times quicker. No network
# where the user may say so.
alone=()
unshare --net true 2>/dev/null && alone=(unshare --net)
pin=()
taskset -c 0 true 2>/dev/null && pin=(taskset -c 0)
(cd "$dir" && timeout 120 "${alone[@]}" "${pin[@]}" "$wine" selfdump.exe wine.dmp wine.truth </dev/null) ||
    { echo "wine.sh: the program under Wine failed or took too long" >&2; exit 1; }
if [ -n "${KEEP:-}" ]; then cp "$dir/wine.dmp" "$dir/wine.truth" "$KEEP/"; fi
if [ -z "${HEAPSIFT:-}" ]; then exit 0; fi

# Threads and exports are asked for through scripts of the tester's own, as a user would write them.
cat >"$dir/threads.lua" <<'LUA'
heapsift.script{ summary = "threads, as hex" }
local function hex(va) return va and string.format("%x", va) or "-" end
for t in dump:threads() do
    print(t.id, hex(t.teb), hex(t.stack_base), hex(t.stack_limit), hex(t.ip), hex(t.sp))
end
LUA
cat >"$dir/exports.lua" <<'LUA'
heapsift.script{ summary = "addresses of names, and the names of these addresses",
                 args = { { name = "names", type = "string", doc = "module!name", many = true } } }
local function hex(va) return va and string.format("%x", va) or "-" end
for _, name in ipairs(args.names) do
    local va = dump:resolve(name)
    local symbol = va and dump:symbol(va)
    print(name, hex(va), symbol or "-", hex(symbol and dump:resolve(symbol)))
end
LUA

"$python" - "$HEAPSIFT" "$dir" <<'PYTHON'
import json, ntpath, subprocess, sys

heapsift, folder = sys.argv[1:3]
dump = folder + "/wine.dmp"
truth = [json.loads(line) for line in open(folder + "/wine.truth")]
checks, wrong = 0, 0

def of(kind):
    return [line for line in truth if line["kind"] == kind]

def check(what, found, expected):
    global checks, wrong
    checks += 1
    if found != expected:
        wrong += 1
        print(f"wine.sh: {what}: found {found!r}, the process said {expected!r}")

def run(*arguments):
    done = subprocess.run([heapsift, "run", *arguments], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr

def result(name, *arguments):
    code, out, err = run(name, dump, *arguments, "--json")
    if code not in (0, 4):      # 4: a heap that is not known is a part that could not be read
        sys.exit(f"wine.sh: heapsift run {name} ended with {code}: {err.strip()}")
    return json.loads(out)

def lines_of(out):      # without the notes on what could not be read
    return [line for line in out.splitlines() if not line.startswith("note: ")]

def number(value):      # addresses are hex texts, sizes and times plain numbers
    return value if isinstance(value, int) else int(value, 16)

process = of("process")[0]
info = result("info")["result"]
check("architecture", info["windows"]["arch"], process["arch"])
check("Windows version", info["windows"]["version"], process["windows"])
check("process id", info["process"]["id"], process["pid"])
check("PEB", number(info["process"]["peb"]), number(process["peb"]))
check("NtGlobalFlag", number(info["global_flag"]), number(process["global_flag"]))

code, out, err = run(folder + "/threads.lua", dump)
check("threads: exit code, errors", (code, err), (0, ""))
threads = {row[0]: row[1:] for row in (line.split("\t") for line in lines_of(out))}
check("thread ids", sorted(threads), sorted(str(t["id"]) for t in of("thread")))
for t in of("thread"):
    teb, base, limit, ip, sp = threads.get(str(t["id"]), "-----")
    check(f"thread {t['id']}: TEB, stack base, limit", (teb, base, limit), (t["teb"], t["stack_base"], t["stack_limit"]))
    if t["role"] == "main":     # it wrote the dump: no context, and none is made up
        check("main thread's ip and sp", (ip, sp), ("-", "-"))
    else:
        check(f"thread {t['id']}: sp in its stack", sp != "-" and number(t["stack_limit"]) <= number(sp) < number(t["stack_base"]), True)

# k: the functions of a worker's stack, one after the other, up to where it was started; and a wait as the innermost.
def command(line):
    done = subprocess.run([heapsift, "shell", dump, "-c", line, "--json"], capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)["result"]

places = {number(t["id"]): t["number"] for t in command("~")}
check("stacks that are told", len(of("frames")), 2)
for told in of("frames"):
    got = command(f"~{places[told['id']]}k")["frames"]
    addresses = [number(f["address"]) for f in got]
    wanted = [number(a) for a in told["returns"]]
    at = addresses.index(wanted[0]) if wanted[0] in addresses else 0
    check(f"thread {told['id']}: return addresses", addresses[at:at + len(wanted)], wanted)
    check(f"thread {told['id']}: it waits in ntdll", got[0].get("symbol", "").startswith("ntdll!NtWaitFor"), True)
    check(f"thread {told['id']}: the outermost frame", got[-1].get("symbol", "").startswith("ntdll!RtlUserThreadStart"), True)
    pointers = [number(f["stack_pointer"]) for f in got]
    check(f"thread {told['id']}: stack pointers ascend", pointers, sorted(pointers))

def stem(name):
    name = ntpath.basename(name).lower()
    return name[:-4] if name[-4:] in (".dll", ".exe") else name

modules = {number(m["base"]): m for m in result("modules")["result"]["modules"]}
check("module bases", sorted(map(hex, modules)), sorted(hex(number(m["base"])) for m in of("module")))
for m in of("module"):
    got = modules.get(number(m["base"]), {})
    check("module name", stem(got.get("name", "")), stem(m["path"]))
    for key in ("size", "timestamp"):
        check(f"{m['path']} {key}", number(got.get(key) or 0), number(m[key]))
    check(f"{m['path']} version", got.get("version") or "", m["version"])

wanted = {stem(e["module"]) + "!" + e["name"]: e for e in of("export")}
code, out, err = run(folder + "/exports.lua", dump, *wanted)
check("exports: exit code, errors", (code, err), (0, ""))
rows = dict(line.split("\t", 1) for line in lines_of(out))
for name, e in wanted.items():
    found, symbol, back = rows.get(name, "-\t-\t-").split("\t")
    check("resolve " + name, found, e["address"])
    check(f"symbol of {name} ({symbol}) leads back", back, e["address"])
    check(f"symbol of {name} ({symbol}) is a name", "+" in symbol or symbol == "-", False)
    if not e["forwarded"]:
        check(f"module of the symbol of {name}", symbol.split("!")[0].lower(), name.split("!")[0])

def memory(address, size):
    data = b""
    while len(data) < size:
        step = min(size - len(data), 0x40000)
        got = result("memory", f"{address + len(data):x}", "--as", "qwords", "--words", str((step + 7) // 8))["result"]
        part = b""
        for element in got["elements"]:
            if "value" not in element:
                break
            part += int(element["value"], 16).to_bytes(got["element_size"], "little")
        if not part:
            break
        data += part[:step]
    return data

def fnv(data):
    value = 14695981039346656037
    for byte in data:
        value = ((value ^ byte) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"

for b in of("buffer"):
    data = memory(number(b["address"]), b["size"])
    check(f"buffer {b['name']}: size, first bytes, FNV-1a", (len(data), data[:256].hex(), fnv(data)),
          (b["size"], b["bytes"], b["fnv1a64"]))
for r in of("region"):
    if r["name"] == "page-reserved":
        check("memory of a reserved page: exit code", run("memory", dump, r["base"], "--words", "4", "--json")[0], 6)

heaps = result("heaps")["result"]
heaps = heaps["heaps"] if isinstance(heaps, dict) else heaps
default = next(number(h["address"]) for h in of("heap") if h["default"])
check("the default heap is listed", default in [number(h["address"]) for h in heaps], True)
for h in heaps:
    check(f"kind of heap {h['address']}", h["kind"], "unknown")
    check(f"heap {h['address']} has no block figures", h.get("busy_blocks") or h.get("busy_bytes") or 0, 0)
print(f"wine.sh: {checks} comparisons, {wrong} wrong")
sys.exit(wrong > 0)
PYTHON
