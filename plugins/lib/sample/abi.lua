-- Offsets and formats of the Windows structures the sample writes, for both pointer widths.
-- Why data: x86 and x64 share all code; only the numbers differ. The analysing engine has tables of its
-- own, so a wrong number here cannot agree with itself there. Sources: [pdb] type information of XP SP3
-- x86 / Server 2003 SP2 x64 ntdll as published in open collections of PDB dumps; [doc] Windows SDK
-- headers; [seen] published debugger output; [inferred] by natural alignment.

local abi = {}

abi.x86 = {
  name = "x86", pointer_size = 4, pointer = "I4", pad = "",
  limit = 0x7fff0000,
  unit = 8, entry_size = 8, entry_prefix = "", extra_size = 8, tail_size = 8,
  extra = "<I2I2I4",                          -- _HEAP_ENTRY_EXTRA [pdb]; index, tag, settable value
  -- _HEAP [pdb]
  heap = {
    signature = 0x08, flags = 0x0c, force_flags = 0x10, virtual_threshold = 0x14, segment_reserve = 0x18,
    segment_commit = 0x1c, decommit_block = 0x20, decommit_total = 0x24, total_free = 0x28,
    maximum_allocation = 0x2c, list_index = 0x30, validate_length = 0x32, ucr_segments = 0x40,
    unused_ranges = 0x44, align_round = 0x48, align_mask = 0x4c, large_blocks = 0x50, segments = 0x58,
    bitmap = 0x158, non_dedicated = 0x16c, free_lists = 0x178, lock = 0x578, front_end = 0x580,
    front_end_type = 0x586, last_segment = 0x587,
    ranges_at = 0x588,                        -- eight range descriptors follow the structure [seen]
    lock_at = 0x608, size = 0x640, size_without_lock = 0x608,               -- [seen]
  },
  segment = {                                 -- _HEAP_SEGMENT [pdb]; records are 0x40 apart [seen]
    size = 0x40, signature = 0x08, heap = 0x10, largest = 0x14, base = 0x18, pages = 0x1c, first = 0x20,
    last_valid = 0x24, uncommitted_pages = 0x28, uncommitted_ranges = 0x2c, ranges = 0x30, last_entry = 0x38,
  },
  range = { size = 0x10, next = 0, address = 4, length = 8 },               -- _HEAP_UNCOMMMTTED_RANGE [pdb]
  range_segment = { size = 0x10, next = 0, reserved = 4, committed = 8 },   -- _HEAP_UCR_SEGMENT [pdb]
  -- _HEAP_LOOKASIDE [pdb]; the array of 128 is one block of the heap [seen: heap+680, 1808 bytes]
  lookaside = { size = 0x30, depth = 0x08, allocates = 0x0c, misses = 0x10, frees = 0x14 },
  -- VIRTUAL_ALLOC_ENTRY [pdb]
  large = { size = 0x20, extra = 0x08, commit = 0x10, reserve = 0x14, busy = 0x18 },
  lock = { size = 0x18, debug = 0, lock_count = 4, spin = 0x14 },           -- RTL_CRITICAL_SECTION [doc]
  lock_debug = { size = 0x20, section = 4, links = 8, entries = 0x10, contention = 0x14 }, -- [doc]
  database = {                                -- _STACK_TRACE_DATABASE [pdb]
    acquire = 0x38, release = 0x3c, okay = 0x40, commit_base = 0x48, lower_limit = 0x4c, upper_limit = 0x50,
    next_lower = 0x54, next_upper = 0x58, looked_up = 0x5c, added = 0x60, index_array = 0x64,
      buckets_n = 0x68,
    buckets = 0x6c,
  },
  trace_header = "<I4I4I2I2", trace_header_size = 12,                       -- _RTL_STACK_TRACE_ENTRY [pdb]
  peb = {                                     -- [pdb]; image base, and the sizes of what follows [doc]
    size = 0x210, image = 0x08, ldr = 0x0c, parameters = 0x10, process_heap = 0x18, global_flag = 0x68,
    segment_reserve = 0x78, segment_commit = 0x7c, decommit_total = 0x80, decommit_block = 0x84,
    heaps_n = 0x88, heaps_max = 0x8c, heaps = 0x90, os = 0xa4, processors = 0x64,
  },
  teb = { size = 0xfb8, stack_base = 4, stack_limit = 8, self = 0x18, client = 0x20, peb = 0x30 },
  parameters = { size = 0x290, directory = 0x24, dll_path = 0x30, image = 0x38, command = 0x40,
    environment = 0x48 },
  ldr = { size = 0x28, load = 0x0c, memory = 0x14, init = 0x1c },
  ldr_entry = { size = 0x50, load = 0, memory = 0x08, init = 0x10, base = 0x18, entry = 0x1c,
    image_size = 0x20,
    full_name = 0x24, base_name = 0x2c, flags = 0x34, time = 0x44 },
  context = { size = 716, flags = 0, flags_value = 0x1003f, segments = { 0x8c, 0, 0x90, 0x3b, 0x94, 0x23,
    0x98, 0x23, 0xbc, 0x1b, 0xc8, 0x23 }, segment_format = "I4", eflags = 0xc0, ip = 0xb8, sp = 0xc4,
    bp = 0xb4,
    general = { 0x9c, 0xa0, 0xa4, 0xa8, 0xac, 0xb0 } },
  machine = 0x14c, optional_magic = 0x10b, optional_size = 0xe0, processor = 0,
  mapi = { header = "<I4I4", header_size = 8, value_size = 16 },            -- header [seen], SPropValue [doc]
}

abi.x64 = {
  name = "x64", pointer_size = 8, pointer = "I8", pad = "xxxx",
  limit = 0x7fffffef0000,
  unit = 16, entry_size = 16, entry_prefix = string.rep("\0", 8), extra_size = 16, tail_size = 16,
  extra = "<I2I2xxxxI8",
  heap = {                                    -- _HEAP [pdb]
    signature = 0x10, flags = 0x14, force_flags = 0x18, virtual_threshold = 0x1c, segment_reserve = 0x20,
    segment_commit = 0x28, decommit_block = 0x30, decommit_total = 0x38, total_free = 0x40,
    maximum_allocation = 0x48, list_index = 0x50, validate_length = 0x52, ucr_segments = 0x70,
    unused_ranges = 0x78, align_round = 0x80, align_mask = 0x88, large_blocks = 0x90, segments = 0xa0,
    bitmap = 0x2a0, non_dedicated = 0x2b4, free_lists = 0x2c8, lock = 0xac8, front_end = 0xad8,
    front_end_type = 0xae2, last_segment = 0xae3,
    ranges_at = 0xaf0, lock_at = 0xbf0, size = 0xc60, size_without_lock = 0xbf0, -- [inferred]
  },
  segment = {                                 -- _HEAP_SEGMENT [pdb]
    size = 0x70, signature = 0x10, heap = 0x18, largest = 0x20, base = 0x28, pages = 0x30, first = 0x38,
    last_valid = 0x40, uncommitted_pages = 0x48, uncommitted_ranges = 0x4c, ranges = 0x50, last_entry = 0x60,
  },
  range = { size = 0x20, next = 0, address = 8, length = 0x10 },
  range_segment = { size = 0x20, next = 0, reserved = 8, committed = 0x10 },
  lookaside = { size = 0x40, depth = 0x10, allocates = 0x14, misses = 0x18, frees = 0x1c },
  large = { size = 0x40, extra = 0x10, commit = 0x20, reserve = 0x28, busy = 0x30 },
  lock = { size = 0x28, debug = 0, lock_count = 8, spin = 0x20 },
  lock_debug = { size = 0x30, section = 8, links = 0x10, entries = 0x20, contention = 0x24 },
  database = {                                -- [inferred]: the x86 fields, naturally aligned
    acquire = 0x68, release = 0x70, okay = 0x78, commit_base = 0x88, lower_limit = 0x90, upper_limit = 0x98,
    next_lower = 0xa0, next_upper = 0xa8, looked_up = 0xb0, added = 0xb4, index_array = 0xb8,
      buckets_n = 0xc0,
    buckets = 0xc8,
  },
  trace_header = "<I8I4I2I2", trace_header_size = 16,                       -- frames at 0x10 [inferred]
  peb = {                                     -- [pdb]
    size = 0x358, image = 0x10, ldr = 0x18, parameters = 0x20, process_heap = 0x30, global_flag = 0xbc,
    segment_reserve = 0xc8, segment_commit = 0xd0, decommit_total = 0xd8, decommit_block = 0xe0,
    heaps_n = 0xe8, heaps_max = 0xec, heaps = 0xf0, os = 0x118, processors = 0xb8,
  },
  teb = { size = 0x17d8, stack_base = 8, stack_limit = 0x10, self = 0x30, client = 0x40, peb = 0x60 },
  parameters = { size = 0x3f0, directory = 0x38, dll_path = 0x50, image = 0x60, command = 0x70,
    environment = 0x80 },
  ldr = { size = 0x48, load = 0x10, memory = 0x20, init = 0x30 },
  ldr_entry = { size = 0x98, load = 0, memory = 0x10, init = 0x20, base = 0x30, entry = 0x38,
    image_size = 0x40,
    full_name = 0x48, base_name = 0x58, flags = 0x68, time = 0x80 },
  context = { size = 1232, flags = 0x30, flags_value = 0x10000f, segments = { 0x38, 0x33, 0x3a, 0x2b, 0x3c,
    0x2b,
    0x3e, 0x53, 0x40, 0x2b, 0x42, 0x2b }, segment_format = "I2", eflags = 0x44, ip = 0xf8, sp = 0x98,
      bp = 0xa0,
    general = { 0x78, 0x80, 0x88, 0x90, 0xa8, 0xb0 } },
  machine = 0x8664, optional_magic = 0x20b, optional_size = 0xf0, processor = 9,
  mapi = { header = "<I8I8", header_size = 16, value_size = 24 },           -- header [inferred]
}

return abi
