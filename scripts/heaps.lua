-- heaps: every heap of the process, as `!heap -s` lists them.
-- Which heap is the big one? Commit is what it costs; a large Virt with a small Commit is fragmentation.
-- Sizes are in KiB, Lock cont. is hexadecimal, as in the debugger; "bad" means a heap without a lock of its
-- own.
--
--       Heap     Flags   Reserv  Commit    Virt   Free   List   UCR   Virt    Lock  Fast
--                           (k)     (k)     (k)    (k) length       blocks   cont.  heap
--     ----------------------------------------------------------------------------------
--     01160000 58000062   16384    8380   10104    820     96     9      0   79509  L

heapsift.script {
    summary = "the heaps with their sizes and flags, as !heap -s",
    description = [[
Columns as !heap -s: Reserv, Commit, Virt (reserved up to the last committed page) and Free in KiB, List
length (free blocks of 1 KiB and more, on x64 2 KiB, which share one list: the debugger counts those;
`stat --state free` counts all), UCR (uncommitted ranges), Virt blocks (allocated with VirtualAlloc), Lock
cont. (contention count, hex; "bad": no lock), Fast heap (L: look-aside lists, LFH: low-fragmentation heap).]],
    options = {
        wide = { type = "flag", doc = "adds kind, segments, busy blocks and bytes, unread bytes" },
    },
    examples = { "heapsift run heaps outlook.dmp", "heapsift run heaps outlook.dmp --wide" },
    json = "heapsift.heaps/1",
}

local text = require "text"
local pick = require "pick"

-- The words of `!heap -s` for what NtGlobalFlag switches on in new heaps.
local AIDS <const> = {
    { 0x10, "tail checking" }, { 0x20, "free checking" }, { 0x40, "validate parameters" },
    { 0x80, "validate on call" }, { 0x800, "heap tagging" }, { 0x1000, "stack back traces" },
    { 0x8000, "heap tagging by dll" }, { 0x200000, "disable coalescing of free blocks" },
    { 0x2000000, "page heap" },
}
local FAST <const> = { none = "", lookaside = "L", lfh = "LFH" }

local flag = dump:info().global_flag

local function lock_text(heap)
    if not heap.has_lock then
        return "bad"
    end
    return heap.contention_count and string.format("%x", heap.contention_count) or "?"
end

local function heap_json(heap)
    local row = { address = text.hex_address(dump, heap.address), index = heap.index, kind = heap.kind }
    if not pick.is_read(heap) then
        row.reason = heap.reason
        return row
    end
    row.flags, row.force_flags = text.hex(heap.flags), text.hex(heap.force_flags)
    row.reserved, row.committed, row.virtual = heap.reserved, heap.committed, heap.virtual_size
    row.free, row.free_list_length = heap.free_recorded, heap.free_list_length
    row.uncommitted_ranges, row.segments = heap.uncommitted_ranges, heap.segment_count
    row.large_blocks, row.large_committed = heap.large_count, heap.large_committed
    row.has_lock, row.contention, row.front_end = heap.has_lock, heap.contention_count, heap.front_end
    row.unread, row.unread_percent = pick.unread(heap)
    row.unread_segments, row.unread_large = heap.unread_segments, heap.unread_large
    if args.wide then
        row.busy_blocks, row.busy_bytes = heap.busy_count, heap.busy_bytes
    end
    return row
end

if args.json then
    local rows = {}
    for heap in dump:heaps() do
        rows[#rows + 1] = heap_json(heap)
    end
    return report:result { global_flag = text.hex(flag), heap_list = dump.heap_list, heaps = rows }
end

local function print_aids()
    local words = {}
    for _, aid in ipairs(AIDS) do
        if flag and flag & aid[1] ~= 0 then
            words[#words + 1] = aid[2]
        end
    end
    if not flag then
        print("NtGlobalFlag was not found.")
    elseif #words == 0 then
        print("NtGlobalFlag enables no debugging aids for new heaps.")
    else
        print("NtGlobalFlag enables following debugging aids for new heaps:")
        for _, word in ipairs(words) do
            print("    " .. word)
        end
    end
end

local WIDTH <const> = dump.pointer_size * 2
local HEAD <const> = "%" .. WIDTH .. "s %8s %7s %7s %7s %6s %6s %5s %6s %7s  %-4s"
local ROW <const> = "%s %08x %7d %7d %7d %6d %6d %5d %6d %7s  %-4s"
local WIDE_HEAD <const> = "  %8s %4s %10s %15s %11s"
local WIDE_ROW <const> = "  %8s %4d %10s %15s %11s"

local function out(line)
    print((line:gsub("%s+$", "")))
end

local function print_head()
    local top = HEAD:format("Heap  ", "Flags ", "Reserv", "Commit", "Virt", "Free", "List", "UCR", "Virt",
        "Lock", "Fast")
    local below = HEAD:format("", "", "(k)", "(k)", "(k)", "(k)", "length", "", "blocks", "cont.", "heap")
    if args.wide then
        top = top .. WIDE_HEAD:format("Kind", "Segs", "Busy", "Busy", "Unread")
        below = below .. WIDE_HEAD:format("", "", "blocks", "bytes", "bytes")
    end
    out(top)
    out(below)
    print(string.rep("-", #top))
end

local function print_heap(heap)
    if not pick.is_read(heap) then
        text.say("%s not read: %s", text.address(dump, heap.address), heap.reason)
        return
    end
    local line = ROW:format(text.address(dump, heap.address), heap.flags, text.kib(heap.reserved),
        text.kib(heap.committed), text.kib(heap.virtual_size), text.kib(heap.free_recorded),
        heap.free_count, heap.uncommitted_ranges, heap.large_count, lock_text(heap),
        FAST[heap.front_end] or heap.front_end)
    if args.wide then
        line = line .. WIDE_ROW:format(heap.kind, heap.segment_count, text.count(heap.busy_count),
            text.count(heap.busy_bytes), text.count(heap.unread_size))
    end
    out(line)
end

print_aids()
print_head()
local heaps = {}
for heap in dump:heaps() do
    heaps[#heaps + 1] = heap
    print_heap(heap)
end
pick.print_unread(dump, heaps)
pick.print_list_doubt(dump)
local sums = pick.heap_sums(dump)
print(sums.count > 0 and pick.heap_line(sums) or "No heap was found.")
