"""Outside witness: what lldb finds in a dump is what heapsift finds there. Started by lldb.sh.

    lldb_check.py DUMP [ADDRESS...] [--truth TRUTH.json] [--blocks N] [--block-size BYTES]
    lldb_check.py DUMP --walk ADDRESS...

Without --walk: opens DUMP with lldb's Python API and with $HEAPSIFT and compares modules (name, base, size), threads
(id, instruction and stack pointer) and sha256 of memory blocks: at every ADDRESS, at addresses of the truth file, at the
start, middle and end of memory regions spread over lldb's own region list, and across the ends of regions. Where lldb
has no bytes, heapsift must have none (exit code 6). Exit 0 all equal, 1 a difference or lldb cannot open the dump.

With --walk: counts the blocks of XP/2003 heap segments (or all segments of a heap) by reading memory through lldb in
1 MB pieces and following the headers in Python, and prints counts and time: what a careful Python script in a
debugger reaches, the slow floor of the benchmark.

What lldb 14 needs: SystemInfo with a processor architecture it knows and, to report a pid, MiscInfo (else it says so on
stderr and uses 1). The directory's sizes of ModuleList, ThreadList and MemoryList must be exactly 4 + count * record
(108, 48, 16): a larger one is taken for four bytes of padding after the count, and the records are misread. Threads,
modules and MemoryInfoList may be missing; memory may be in MemoryList or Memory64List. A thread without a context has
pc and sp -1. A read ends where a memory range ends, even if the next one touches it.
"""
import argparse, hashlib, json, ntpath, os, struct, subprocess, sys, tempfile, time
import lldb

PIECE = 1 << 20
THREADS = """
heapsift.script{ summary = "thread ids, instruction and stack pointers" }
local function hex(va) return va and string.format("%x", va) or "-" end
for thread in dump:threads() do print(thread.id, hex(thread.ip), hex(thread.sp)) end
"""


class Dump:
    def __init__(self, path):
        self.debugger = lldb.SBDebugger.Create()
        self.target = self.debugger.CreateTarget("")
        error = lldb.SBError()
        self.process = self.target.LoadCore(path, error)
        if error.Fail() or not self.process.IsValid():
            sys.exit(f"lldb_check: lldb cannot open {path}: {error}")
        self.pointer = self.process.GetAddressByteSize()

    def read(self, address, size):
        """The bytes from address on, up to the first gap: range by range."""
        parts, error = [], lldb.SBError()
        while size > 0:
            part = self.process.ReadMemory(address, size, error)
            if error.Fail() or not part:
                break
            parts.append(part)
            address, size = address + len(part), size - len(part)
        return b"".join(parts)

    def regions(self):
        regions, region = self.process.GetMemoryRegions(), lldb.SBMemoryRegionInfo()
        for i in range(regions.GetSize()):
            regions.GetMemoryRegionAtIndex(i, region)
            if region.IsReadable():
                yield region.GetRegionBase(), region.GetRegionEnd()

    def threads(self):
        for thread in self.process:
            frame = thread.GetFrameAtIndex(0)
            none = frame.GetPC() == lldb.LLDB_INVALID_ADDRESS
            yield thread.GetThreadID(), None if none else frame.GetPC(), None if none else frame.GetSP()

    def modules(self):
        for module in self.target.module_iter():
            base = module.GetObjectFileHeaderAddress().GetLoadAddress(self.target)
            whole = module.GetNumSections() == 1    # lldb's placeholder: one section, the image
            yield module.GetFileSpec().GetFilename(), base, module.GetSectionAtIndex(0).GetByteSize() if whole else None


class Heapsift:
    def __init__(self, path):
        self.program, self.path = os.environ["HEAPSIFT"], path

    def run(self, name, *arguments, allowed=(0,)):
        command = [self.program, "run", name, self.path, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode not in allowed:
            sys.exit(f"lldb_check: {' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
        return done.returncode, done.stdout

    def modules(self):
        return json.loads(self.run("modules", "--json")[1])["result"]["modules"]

    def threads(self):
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(THREADS)
            script.flush()
            lines = self.run(script.name)[1].splitlines()
        rows = [line.split("\t") for line in lines if not line.startswith("note: ")]
        return [(int(row[0]), *(None if text == "-" else int(text, 16) for text in row[1:3])) for row in rows]

    def read(self, address, size):
        code, out = self.run("memory", f"{address:x}", "--as", "dwords", "--words", str((size + 3) // 4), "--json",
                             allowed=(0, 6))
        return element_bytes(json.loads(out)["result"])[:size] if code == 0 else b""


def element_bytes(result):
    """The bytes of `memory --json`, up to the first element that the dump does not hold."""
    data = b""
    for element in result["elements"]:
        if "value" not in element:
            break
        data += int(element["value"], 16).to_bytes(result["element_size"], "little")
    return data


def number(value):
    return value if value is None or isinstance(value, int) else int(value, 16)


def stem(name):
    name = ntpath.basename(name or "").lower()
    return name[:-4] if name[-4:] in (".dll", ".exe") else name


def truth_addresses(path):
    """Every value with an address's name, wherever it stands in the truth (a JSON document, or one a line)."""
    found = set()

    def visit(value, key):
        if isinstance(value, dict):
            for name, inner in value.items():
                visit(inner, name)
        elif isinstance(value, list):
            for inner in value:
                visit(inner, key)
        elif key in ("address", "user", "base", "header", "segment") and (isinstance(value, int) or value.strip()):
            found.add(number(value))

    with open(path) as file:
        text = file.read()
    try:
        visit(json.loads(text), "")
    except json.JSONDecodeError:
        for line in text.splitlines():
            visit(json.loads(line), "")
    return sorted(found)


def spread(items, count):
    items = list(items)
    return items if len(items) <= count else [items[i * (len(items) - 1) // (count - 1)] for i in range(count)]


def compare(dump, heapsift, options):
    checks, wrong = 0, 0

    def check(what, found, expected):
        nonlocal checks, wrong
        checks += 1
        if found != expected:
            wrong += 1
            print(f"lldb_check: {what}: heapsift {found!r}, lldb {expected!r}")

    ours = {number(m["base"]): m for m in heapsift.modules()}
    theirs = {base: (name, size) for name, base, size in dump.modules()}
    check("module bases", sorted(map(hex, ours)), sorted(map(hex, theirs)))
    for base, (name, size) in theirs.items():
        check(f"name of the module at {base:x}", stem(ours.get(base, {}).get("name")), stem(name))
        if size is not None:
            check(f"size of {name}", number(ours.get(base, {}).get("size")), size)
    check("threads: id, ip, sp", sorted(heapsift.threads(), key=str), sorted(dump.threads(), key=str))

    size, regions = options.block_size, list(dump.regions())
    if not regions:
        sys.exit("lldb_check: lldb finds no memory in the dump")
    places = {number(a) for a in options.address}
    if options.truth:
        places.update(spread(truth_addresses(options.truth), options.blocks))
    for base, end in spread(regions, max(2, options.blocks // 3)):
        places.update((base, max(base, (base + end - size) // 2 & ~3), max(base, end - size // 2)))
    total = 0
    for place in sorted(places):
        theirs = dump.read(place, size)
        ours = heapsift.read(place, len(theirs) or 4)
        total += len(theirs)
        digests = [(len(data), hashlib.sha256(data).hexdigest()) for data in (ours, theirs)]
        check(f"sha256 of {len(theirs)} bytes at {place:x}", *digests)
    print(f"lldb_check: {len(places)} blocks ({total} bytes) of {len(regions)} regions, {checks} comparisons, {wrong} wrong")
    return wrong == 0 and total > 0


class Pieces:
    """Memory in pieces of 1 MB, each starting at the header that the one before did not have whole."""
    def __init__(self, dump):
        self.dump, self.start, self.bytes = dump, 0, b""

    def header(self, address, size):
        offset = address - self.start
        if not 0 <= offset <= len(self.bytes) - size:
            self.start, offset = address, 0
            self.bytes = self.dump.read(address, PIECE)
            if len(self.bytes) < size:
                return None, 0
        return self.bytes, offset


def walk_segment(dump, segment):
    """Blocks of one segment: busy count, busy bytes, free count, whether the walk reached the segment's end."""
    if dump.pointer == 4:       # _HEAP_SEGMENT, _HEAP_ENTRY of XP and 2003
        unit, first, last, ranges, signature, word, sizes = 8, 0x20, 0x24, 0x30, 8, "<I", struct.Struct("<HHBBBB")
    else:
        unit, first, last, ranges, signature, word, sizes = 16, 0x38, 0x40, 0x50, 0x10, "<Q", struct.Struct("<8xHHBBBB")

    def pointer(address):
        data = dump.read(address, dump.pointer)
        return struct.unpack(word, data)[0] if len(data) == dump.pointer else 0

    if dump.read(segment + signature, 4) != b"\xee\xff\xee\xff":
        sys.exit(f"lldb_check: no heap segment at {segment:x}")
    uncommitted, at = {}, pointer(segment + ranges)     # { Next, Address, Size }
    while at and len(uncommitted) < 1 << 16:
        uncommitted[pointer(at + dump.pointer)] = pointer(at + 2 * dump.pointer)
        at = pointer(at)
    address, end, pieces = pointer(segment + first), pointer(segment + last), Pieces(dump)
    busy = busy_bytes = free = 0
    # An entry: Size and PreviousSize in units, SmallTagIndex, Flags (1 busy, 0x10 last before a gap), UnusedBytes, SegmentIndex
    while address < end:
        data, offset = pieces.header(address, unit)
        if data is None:
            return busy, busy_bytes, free, False
        size, _, _, flags, unused, _ = sizes.unpack_from(data, offset)
        if size == 0:
            return busy, busy_bytes, free, False
        if flags & 1:
            busy, busy_bytes = busy + 1, busy_bytes + size * unit - unused
        else:
            free += 1
        address += size * unit
        if flags & 0x10 and address < end:
            if address not in uncommitted:
                return busy, busy_bytes, free, False
            address += uncommitted[address]
    return busy, busy_bytes, free, True


def walk(dump, addresses):
    started, whole = time.monotonic(), True
    total = [0, 0, 0]
    for address in addresses:
        segments = [address]
        if dump.read(address + 2 * dump.pointer, 4) == b"\xff\xee\xff\xee":      # a heap: its 64 segments
            table = dump.read(address + (0x58 if dump.pointer == 4 else 0xa0), 64 * dump.pointer)
            segments = [s for (s,) in struct.iter_unpack("<I" if dump.pointer == 4 else "<Q", table) if s]
        for segment in segments:
            busy, busy_bytes, free, complete = walk_segment(dump, segment)
            ending = "" if complete else ", NOT walked to its end"
            print(f"segment {segment:08x}: {busy} busy blocks of {busy_bytes} bytes, {free} free{ending}")
            total = [a + b for a, b in zip(total, (busy, busy_bytes, free))]
            whole = whole and complete
    seconds = time.monotonic() - started
    rate = round((total[0] + total[2]) / max(seconds, 1e-9))
    print(json.dumps({"busy": total[0], "busy_bytes": total[1], "free": total[2], "complete": whole,
                      "seconds": round(seconds, 3), "blocks_per_second": rate}))
    return whole


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dump")
    parser.add_argument("address", nargs="*")
    parser.add_argument("--truth")
    parser.add_argument("--blocks", type=int, default=60)
    parser.add_argument("--block-size", type=int, default=4096)
    parser.add_argument("--walk", nargs="+", metavar="ADDRESS")
    options = parser.parse_args()
    if not options.walk and "HEAPSIFT" not in os.environ:
        parser.error("HEAPSIFT must name the heapsift program")
    lldb.SBDebugger.Initialize()
    dump = Dump(options.dump)
    good = walk(dump, map(number, options.walk)) if options.walk else compare(dump, Heapsift(options.dump), options)
    sys.stdout.flush()
    os._exit(0 if good else 1)      # lldb's own destructors may crash or wait at exit


main()
