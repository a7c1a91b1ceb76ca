-- ready.lua: types of the structures that heapsift itself walks, so that they can be looked at without a PDB. Where
-- their
-- members lie is asked of the engine (engine/layout/rows.inc); here stand their names in C and what they hold. Only
-- members that heapsift reads are known: such a type is partial and says so.

local build = require "types.build"

local ready = {}

local XP <const> = "Windows XP and 2003"
local ANY <const> = "every Windows since XP"

-- By tag: for which Windows, the row with the size (if known), and members { row, name, type }.
local STRUCTURES <const> = {
    _NT_TIB = { ANY, nil, { "TEB_STACK_BASE", "StackBase", "PVOID" }, { "TEB_STACK_LIMIT", "StackLimit", "PVOID" },
        { "TEB_SELF", "Self", "struct _NT_TIB *" } },
    _TEB = { ANY, nil, { nil, "NtTib", "struct _NT_TIB" },
        { "TEB_PEB", "ProcessEnvironmentBlock", "struct _PEB *" } },
    _PEB = { ANY, nil, { "PEB_IMAGE_BASE", "ImageBaseAddress", "PVOID" },
        { "PEB_PROCESS_PARAMETERS", "ProcessParameters", "struct _RTL_USER_PROCESS_PARAMETERS *" },
        { "PEB_PROCESS_HEAP", "ProcessHeap", "PVOID" }, { "PEB_NT_GLOBAL_FLAG", "NtGlobalFlag", "ULONG" },
        { "PEB_NUMBER_OF_HEAPS", "NumberOfHeaps", "ULONG" },
        { "PEB_MAXIMUM_NUMBER_OF_HEAPS", "MaximumNumberOfHeaps", "ULONG" },
        { "PEB_PROCESS_HEAPS", "ProcessHeaps", "struct _HEAP **" } },
    _RTL_USER_PROCESS_PARAMETERS = { ANY, nil, { "PARAMETERS_IMAGE_PATH", "ImagePathName", "struct _UNICODE_STRING" },
        { "PARAMETERS_COMMAND_LINE", "CommandLine", "struct _UNICODE_STRING" } },
    _HEAP_ENTRY = { XP, "ENTRY_SIZEOF", { "ENTRY_SIZE", "Size", "USHORT" },
        { "ENTRY_PREVIOUS_SIZE", "PreviousSize", "USHORT" }, { "ENTRY_SMALL_TAG", "SmallTagIndex", "UCHAR" },
        { "ENTRY_FLAGS", "Flags", "UCHAR" }, { "ENTRY_UNUSED_BYTES", "UnusedBytes", "UCHAR" },
        { "ENTRY_SEGMENT_INDEX", "SegmentIndex", "UCHAR" } },
    _HEAP_ENTRY_EXTRA = { XP, "EXTRA_SIZEOF", { "EXTRA_TRACE_INDEX", "AllocatorBackTraceIndex", "USHORT" },
        { "EXTRA_TAG_INDEX", "TagIndex", "USHORT" }, { "EXTRA_SETTABLE", "Settable", "ULONG_PTR" } },
    _HEAP = { XP, "HEAP_SIZEOF", { nil, "Entry", "struct _HEAP_ENTRY" }, { "HEAP_SIGNATURE", "Signature", "ULONG" },
        { "HEAP_FLAGS", "Flags", "ULONG" }, { "HEAP_FORCE_FLAGS", "ForceFlags", "ULONG" },
        { "HEAP_TOTAL_FREE_SIZE", "TotalFreeSize", "SIZE_T" },
        { "HEAP_VIRTUAL_BLOCKS", "VirtualAllocdBlocks", "struct _LIST_ENTRY" },
        { "HEAP_SEGMENTS", "Segments", "struct _HEAP_SEGMENT *[64]" },
        { "HEAP_FREE_LISTS", "FreeLists", "struct _LIST_ENTRY[128]" },
        { "HEAP_LOCK", "LockVariable", "struct _RTL_CRITICAL_SECTION *" },
        { "HEAP_FRONT_END", "FrontEndHeap", "PVOID" }, { "HEAP_FRONT_END_TYPE", "FrontEndHeapType", "UCHAR" } },
    _HEAP_SEGMENT = { XP, "SEGMENT_SIZEOF", { nil, "Entry", "struct _HEAP_ENTRY" },
        { "SEGMENT_SIGNATURE", "Signature", "ULONG" }, { "SEGMENT_HEAP", "Heap", "struct _HEAP *" },
        { "SEGMENT_BASE", "BaseAddress", "PVOID" }, { "SEGMENT_PAGE_COUNT", "NumberOfPages", "ULONG" },
        { "SEGMENT_FIRST_ENTRY", "FirstEntry", "struct _HEAP_ENTRY *" },
        { "SEGMENT_LAST_VALID_ENTRY", "LastValidEntry", "struct _HEAP_ENTRY *" },
        { "SEGMENT_UNCOMMITTED_PAGES", "NumberOfUnCommittedPages", "ULONG" },
        { "SEGMENT_UNCOMMITTED_COUNT", "NumberOfUnCommittedRanges", "ULONG" },
        { "SEGMENT_UNCOMMITTED_RANGES", "UnCommittedRanges", "struct _HEAP_UNCOMMMTTED_RANGE *" } },
    _HEAP_UNCOMMMTTED_RANGE = { XP, nil, { "UNCOMMITTED_NEXT", "Next", "struct _HEAP_UNCOMMMTTED_RANGE *" },
        { "UNCOMMITTED_ADDRESS", "Address", "ULONG_PTR" }, { "UNCOMMITTED_SIZE", "Size", "SIZE_T" } },
    _HEAP_VIRTUAL_ALLOC_ENTRY = { XP, "VIRTUAL_SIZEOF", { "VIRTUAL_NEXT", "Entry", "struct _LIST_ENTRY" },
        { "VIRTUAL_EXTRA", "ExtraStuff", "struct _HEAP_ENTRY_EXTRA" }, { "VIRTUAL_COMMIT_SIZE", "CommitSize",
            "SIZE_T" },
        { "VIRTUAL_RESERVE_SIZE", "ReserveSize", "SIZE_T" },
        { "VIRTUAL_BUSY_BLOCK", "BusyBlock", "struct _HEAP_ENTRY" } },
    _STACK_TRACE_DATABASE = { XP, nil, { "DATABASE_ACQUIRE", "AcquireLockRoutine", "long (*)(void *)" },
        { "DATABASE_RELEASE", "ReleaseLockRoutine", "long (*)(void *)" },
        { "DATABASE_OKAY", "OkayToLockRoutine", "unsigned char (*)(void *)" },
        { "DATABASE_PRECOMMITTED", "PreCommitted", "UCHAR" },
        { "DATABASE_DUMP_IN_PROGRESS", "DumpInProgress", "UCHAR" }, { "DATABASE_COMMIT_BASE", "CommitBase", "PVOID" },
        { "DATABASE_LOWER_LIMIT", "CurrentLowerCommitLimit", "PVOID" },
        { "DATABASE_UPPER_LIMIT", "CurrentUpperCommitLimit", "PVOID" },
        { "DATABASE_NEXT_LOWER", "NextFreeLowerMemory", "PCHAR" },
        { "DATABASE_NEXT_UPPER", "NextFreeUpperMemory", "PCHAR" },
        { "DATABASE_LOOKED_UP", "NumberOfEntriesLookedUp", "ULONG" },
        { "DATABASE_ADDED", "NumberOfEntriesAdded", "ULONG" },
        { "DATABASE_INDEX_ARRAY", "EntryIndexArray", "struct _RTL_STACK_TRACE_ENTRY **" },
        { "DATABASE_BUCKET_COUNT", "NumberOfBuckets", "ULONG" },
        { "DATABASE_BUCKETS", "Buckets", "struct _RTL_STACK_TRACE_ENTRY *[1]" } },
    _RTL_STACK_TRACE_ENTRY = { XP, nil, { "TRACE_CHAIN", "HashChain", "struct _RTL_STACK_TRACE_ENTRY *" },
        { "TRACE_COUNT", "TraceCount", "ULONG" }, { "TRACE_INDEX", "Index", "USHORT" },
        { "TRACE_DEPTH", "Depth", "USHORT" }, { "TRACE_FRAMES", "BackTrace", "PVOID[32]" } },
}
-- Every member of these is known; of the others, where the members fill the whole size.
local WHOLE <const> = { _RTL_STACK_TRACE_ENTRY = true, _HEAP_ENTRY_EXTRA = true, _HEAP_UNCOMMMTTED_RANGE = true }

-- Makes the record of a tag. It is known under its tag before its members are, which may point to it.
local function make(tag, structure, rows, scope, abi)
    local record = { kind = "struct", what = "struct", tag = tag, members = {}, size = 0, align = abi.pointer_size,
                     depth = 1, complete = true,
                     source = ("heapsift's own rows for %s, %s"):format(structure[1], abi.name) }
    scope.tags[tag] = record
    local filled = 0
    for i = 3, #structure do
        local row, name, text = structure[i][1], structure[i][2], structure[i][3]
        local type_ = assert(build.type_of(scope, abi, text))
        local place = row == nil and { 0, 0 } or rows[row]
        assert(place[2] == 0 or place[2] == type_.size or type_.kind == "struct", row)
        record.members[i - 2] = { name = name, type = type_, offset = place[1] }
        record.size = math.max(record.size, place[1] + type_.size)
        filled = filled + type_.size
    end
    local size = structure[2] and rows[structure[2]]
    record.size_known = size ~= nil or WHOLE[tag]
    if size then record.size = size[1] end
    record.partial = not (WHOLE[tag] or size and filled == size[1]) or nil
    return record
end

-- A scope with all of them that hold for a dump. `rows`: name -> { offset, size }, of the dump's pointer width.
function ready.scope(parent, abi, rows, windows)
    local is_xp = windows:find "^5%.[12]%f[^%d]" ~= nil
    local scope = build.scope(parent)
    local names = {}
    for tag, structure in pairs(STRUCTURES) do
        if structure[1] == ANY or is_xp then names[#names + 1] = tag end
    end
    table.sort(names)
    scope.order = names
    scope.find = function(tag)
        if scope.tags[tag] then return scope.tags[tag] end
        local structure = STRUCTURES[tag]
        if structure and (structure[1] == ANY or is_xp) then return make(tag, structure, rows, scope, abi) end
    end
    -- C's own spelling of their names without the underscore: PEB, HEAP_ENTRY.
    for _, tag in ipairs(names) do scope.typedefs[tag:sub(2)] = build.look_up(scope, "tags", tag) end
    return scope
end

return ready
