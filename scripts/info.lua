-- info: what is this dump, and is it heap at all?
-- Opens with the committed memory by use. If "heap" is a small share, the leak is elsewhere: look at "other
-- private" (VirtualAlloc), at mapped files, or at the number of stacks. No block is read, so it is quick on
-- any size.
--
--     Committed memory by use           bytes      MiB   share of committed
--       heap                      345,419,776    329.4    71.4 %
--       trace database             16,252,928     15.5     3.4 %
--       stack                       1,048,576      1.0     0.2 %
--       image                     100,663,296     96.0    20.8 %
--       mapped                      4,194,304      4.0     0.9 %
--       other private              16,252,928     15.5     3.4 %
--       all                       483,831,808    461.4   100.0 %
--     Heaps hold 71.4 % of the committed memory, 91.2 % of the private part.
--     Largest free region: 1.2 GiB (1,288,490,188 bytes) at 30000000.

heapsift.script {
    summary = "what the dump is, what the process's memory is used for, and whether allocation stacks exist",
    description = [[
Committed memory by use comes first: is it heap at all? Then the file, the process, Windows, NtGlobalFlag in
the words of gflags, the heaps, and the state of the stack trace database. Reads no blocks, so it is quick.]],
    examples = { "heapsift run info outlook.dmp", "heapsift run info outlook.dmp --json" },
    json = "heapsift.info/1",
}

local text = require "text"
local pick = require "pick"
local database = require "database"

local info = dump:info()
local usage = info.usage
local traces = dump.traces

local heaps = pick.heap_sums(dump)

if args.json then
    local flags, unread = {}, {}
    for i, flag in ipairs(info.global_flags or {}) do
        flags[i] = { bit = text.hex(flag.bit), abbreviation = flag.abbreviation, meaning = flag.meaning }
    end
    for i, heap in ipairs(heaps.unread) do
        unread[i] = { address = text.hex_address(dump, heap.address), reason = heap.reason }
    end
    local committed = {}
    for _, part in ipairs(usage.by_use) do
        committed[(part.use:gsub(" ", "_"))] = part.committed
    end
    return report:result {
        committed = committed,
        committed_total = usage.committed,
        private_total = usage.private,
        reserved_total = usage.reserved,
        free_total = usage.free,
        largest_free = {
            address = text.hex_address(dump, usage.largest_free_address), size = usage.largest_free_size,
        },
        exact = usage.exact,
        file = {
            path = dump.path, size = info.file_size, time = info.dump_time, flags = text.hex(info.dump_flags),
            full_memory = info.full_memory, cut = info.cut, comment = info.comment,
        },
        process = {
            image = info.image_name, path = info.image_path, command_line = info.command_line,
            id = info.process_id, created = info.create_time, user_time = info.user_time,
            kernel_time = info.kernel_time, threads = #dump:threads(), modules = #dump:modules(),
            peb = text.hex_address(dump, info.peb), peb_source = info.peb_source, wow64 = info.wow64,
            exception = info.exception and {
                thread = info.exception.thread_id, code = text.hex(info.exception.code),
                address = text.hex_address(dump, info.exception.address),
            },
        },
        windows = {
            version = dump.windows, service_pack = dump.service_pack, arch = dump.arch,
            processors = info.processor_count,
        },
        global_flag = text.hex(info.global_flag),
        global_flags = flags,
        heaps = {
            count = heaps.count, reserved = heaps.reserved, committed = heaps.committed, large = heaps.large,
            unread = unread,
        },
        traces = traces and {
            address = text.hex_address(dump, traces.address), count = traces.count, added = traces.added,
            unreadable = traces.unreadable, looked_up = traces.looked_up, wraps = traces.wraps,
            full = traces.full, unproven = traces.unproven, index_bits = traces.index_bits,
        },
        remedy = not traces and database.advice(dump) ~= "" and database.remedy(dump) or nil,
    }
end

local function print_usage()
    local rows = {}
    for i, part in ipairs(usage.by_use) do
        rows[i] = {
            "  " .. part.use, text.count(part.committed), text.mib(part.committed),
            text.percent(part.committed, usage.committed) .. " %",
        }
    end
    rows[#rows + 1] = {
        "  all", text.count(usage.committed), text.mib(usage.committed),
        text.percent(usage.committed, usage.committed) .. " %",
    }
    text.table({
        { "Committed memory by use", "left" }, { "bytes", "right" }, { "MiB", "right" },
        { "share of committed", "right" },
    }, rows)
    local heap = usage.by_use[1].committed
    text.say("Heaps hold %s %% of the committed memory, %s %% of its private part.",
        text.percent(heap, usage.committed),
        text.percent(heap, usage.private))
    if #heaps.unread > 0 then
        text.say("%s not read; such memory counts as other private.",
            text.plural(#heaps.unread, "heap is", "heaps are"))
    end
    if usage.largest_free_size > 0 then
        text.say("Largest free region: %s (%s bytes) at %s.", text.size(usage.largest_free_size),
            text.count(usage.largest_free_size), text.address(dump, usage.largest_free_address))
    else
        print("Largest free region: not known.")
    end
    if not usage.exact then
        print("The dump has no MemoryInfoList: these figures count the memory that the dump holds.")
    end
end

local function windows_text()
    local pack = dump.service_pack
    return "Windows " .. dump.windows .. (pack ~= "" and " " .. pack or "") .. ", " .. dump.arch .. ", "
        .. text.plural(info.processor_count, "processor")
end

local function process_text()
    local name = info.image_name ~= "" and info.image_name or "(no name)"
    if info.process_id then
        name = string.format("%s, id %x (0n%d)", name, info.process_id, info.process_id)
    end
    return string.format("%s, %s, %s", name, text.plural(#dump:threads(), "thread"),
        text.plural(#dump:modules(), "module"))
end

local function file_text()
    local parts = { dump.path, text.size(info.file_size) }
    parts[#parts + 1] = info.full_memory and "full memory" or "not a full memory dump"
    if info.cut then
        parts[#parts + 1] = "CUT: the file ends before its memory does"
    end
    return table.concat(parts, ", ")
end

local function peb_text()
    if not info.peb then
        return "not found"
    end
    return text.address(dump, info.peb) .. (info.peb_source == "scan" and " (found by its contents)" or "")
end

local function times()
    local created, dumped = info.create_time, info.dump_time
    local up = created and created > 0 and dumped and dumped >= created and dumped - created
    return text.time(created) .. (up and ", " .. text.span(up) .. " before the dump" or "")
end

local function print_facts()
    text.facts {
        { "File", file_text() },
        { "Comment", info.comment ~= "" and info.comment or nil },
        { "Dump taken", text.time(info.dump_time) },
        { "Process", process_text() },
        { "Image", info.image_path ~= "" and info.image_path or nil },
        { "Command line", info.command_line ~= "" and info.command_line or nil },
        { "Started", times() },
        { "CPU time", info.user_time and string.format("user %s, kernel %s", text.span(info.user_time),
            text.span(info.kernel_time)) },
        { "System", windows_text() },
        { "PEB", peb_text() },
        { "Exception", info.exception and string.format("%08x at %s in thread %x", info.exception.code,
            text.address(dump, info.exception.address), info.exception.thread_id) },
        { "NtGlobalFlag", info.global_flag and string.format("%08x", info.global_flag) or "not found" },
    }
    for _, flag in ipairs(info.global_flags or {}) do
        local word = flag.abbreviation ~= "" and flag.abbreviation or string.format("%08x", flag.bit)
        text.say("    %s - %s", word, flag.meaning)
    end
end

local function print_heaps()
    print(pick.heap_line(heaps))
    for _, heap in ipairs(heaps.unread) do
        text.say("    %s is not read: %s", text.address(dump, heap.address), heap.reason)
    end
end

local function print_traces()
    if not traces then
        local absence = database.absence(dump)
        print(absence:sub(1, 1):upper() .. absence:sub(2) .. ".")
        if database.advice(dump) ~= "" then
            text.say("    Next time: %s, restart the program, wait for the problem, dump again (.dump /ma).",
                database.remedy(dump))
        end
        return
    end
    text.say("Stack trace database at %s", text.address(dump, traces.address))
    for _, line in ipairs(database.meaning(traces)) do
        print("    " .. line)
    end
end

print_usage()
print()
print_facts()
print()
print_heaps()
print_traces()
