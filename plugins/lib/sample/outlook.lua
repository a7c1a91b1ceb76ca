-- The facts of the case, as printed there: system, heaps, size table, fixed blocks, the row that was
-- dumped.

local outlook = {}

outlook.system = { major = 5, minor = 1, build = 2600, product = 1, service_pack = "Service Pack 3" }
outlook.database_pointer = 0x7c97b170       -- ntdll!RtlpStackTraceDataBase
outlook.routines = { acquire = 0x7c901000, release = 0x7c9010e0, okay = 0x7c9518ea }
outlook.command_line = '"C:\\Program Files\\Microsoft Office\\Office12\\OUTLOOK.EXE" /recycle'
outlook.first_caller = 6                    -- in a named stack: first frame behind the allocator
outlook.process_id = 0xd94
outlook.time = 0x48577e10                   -- June 2008, the days of the FILETIMEs in the row
outlook.comment = "heapsift sample, modelled on a published case: made up, not a real process"
outlook.peb, outlook.first_teb = 0x7ffd7000, 0x7ffdf000

-- The listing: address, flags, reserve, commit, virt, free (all k), list length, uncommitted ranges,
-- contention, look-aside front end, then the sizes of the segments in k (inferred: XP doubles each
-- further segment from 1 MB).
local HEAPS = [[
01160000 58000062 16384  8380   10104  820  96 9  79509 L 1024 1024 2048 4096 8192
01260000 58001062 1088   84     84     3    1  1  0     L 64 1024
01270000 58008060 64     12     12     10   1  1  0     - 64
01480000 58000062 64     8      8      0    0  1  0     L 64
00030000 58001062 1088   124    256    55   4  4  0     L 64 1024
01360000 58001062 15424  12960  12968  61   7  2  a10f  L 64 1024 2048 4096 8192
018a0000 58001062 64     20     20     3    1  1  0     L 64
01a70000 58001062 64     16     16     4    1  1  0     L 64
032f0000 58001062 64     64     64     8    2  0  0     L 64
03300000 58041062 256    92     92     2    1  1  0     L 256
03360000 58001062 1280   304    304    65   11 1  0     L 256 1024
033b0000 58001062 256    76     80     37   2  2  12a   L 256
033f0000 58000062 1024   24     24     0    0  1  0     L 1024
03670000 58001062 1280   480    480    121  7  1  3e34  L 256 1024
036b0000 58001062 256    48     48     6    1  1  1     L 256
036f0000 58001062 326912 289804 289804 51 1 1 10046 L 256 1024 2048 4096 8192 16384 32768 65536 131072 65536
045a0000 58001062 256    32     32     3    1  1  0     L 256
04610000 58001062 31808  26192  26192  356  1  1  0     L 64 1024 2048 4096 8192 16384
06ee0000 58001062 1024   1024   1024   1016 2  0  0     L 1024
07640000 58001062 64     24     24     3    1  1  0     L 64
079b0000 58001062 64     56     56     7    2  1  0     L 64
07d50000 58001063 1280   680    828    246  33 5  0     - 256 1024
07e60000 58001063 256    4      4      2    1  1  0     - 256
07ea0000 58001063 256    4      4      2    1  1  0     - 256
07ee0000 58001063 256    4      4      2    1  1  0     - 256
07f20000 58001063 256    4      4      2    1  1  0     - 256
07f60000 58001062 64     28     28     1    0  1  0     L 64
08b60000 58001062 3328   956    2068   355  24 20 1426  L 256 1024 2048
]]

-- Bases of segments that pointers of the dumped row fix: they lead to blocks of the same heap.
local LEAK_BASES = { [8] = 0x11000000, [9] = 0x18000000, [10] = 0x20000000 }

-- The listing is cut off ("snipped"); this heap stands for the rest and has the large blocks, which no
-- listed heap has.
local SNIPPED = { address = 0x09100000, flags = 0x58001062, reserve = 256, commit = 96, virt = 96, free = 5,
  list = 1,
  ranges = 1, contention = 0, front = true, segments = { { size = 0x40000 } }, listed = false,
  large = { 0x80000, 0x7fff8, 0x123456, 0x9c400, 0xfffe0 } }

-- Heaps in the listing's order; the first is the process heap.
function outlook.heaps()
  local list = {}
  for line in HEAPS:gmatch("[^\n]+") do
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    local heap = { address = tonumber(words[1], 16), flags = tonumber(words[2], 16),
      reserve = tonumber(words[3]),
      commit = tonumber(words[4]), virt = tonumber(words[5]), free = tonumber(words[6]),
        list = tonumber(words[7]),
      ranges = tonumber(words[8]), contention = tonumber(words[9], 16), front = words[10] == "L",
        segments = {},
      listed = true }
    for index = 11, #words do
      heap.segments[index - 10] = { size = tonumber(words[index]) * 1024 }
    end
    heap.segments[1].base = heap.address
    heap.leak = heap.address == 0x36f0000
    if heap.leak then
      for index, base in pairs(LEAK_BASES) do heap.segments[index].base = base end
    end
    list[#list + 1] = heap
  end
  SNIPPED.segments[1].base = SNIPPED.address
  list[#list + 1] = SNIPPED
  return list
end

-- The leaking heap. sizes: the size table as printed. Busy bytes lie in the middle of the range in which
-- every percentage rounds as printed.
local ENTRY = 8
outlook.leak = {
  commit = 289804,
  sizes = { { 0xf8, 0x442ed }, { 0xb6, 0x1067a }, { 0x20, 0x4ddb4 }, { 0x2a, 0x372e0 }, { 0x51, 0x196f8 },
    { 0x4e, 0x18d41 }, { 0x18, 0x4ff0a }, { 0x5f, 0x10665 }, { 0x5a, 0xf221 }, { 0xba, 0x7430 }, { 0x5e,
    0x97bd },
    { 0x31, 0xef87 }, { 0x61, 0x73e0 }, { 0xb8, 0x3c1d }, { 0x12, 0x1eb43 } },
  busy_bytes = 213792000,
  -- committed bytes less heap header, segment records, look-aside block and 51.5 k of free blocks
  block_bytes = 289804 * 1024 - 0x640 - 10 * 0x40 - 0x1808 - 52736,
  unlisted = { 0x11, 0x40, 0x3d0 },     -- smallest size, border between small and large, largest size
  row_captures = 0x442ac,               -- TraceCount of trace 0x17dfe: no more rows can be of it
  other_rows = 0x16d,                   -- blocks of the rows' size that are of no or of another trace
  planted_free = 14000,
  -- the dumped row: FILETIME low words and high word, and where its columns point
  row_times = { 0x500075a0, 0x4a1c9600, 0x55de88e0, 0x01c8cfa5 },
  row_values = { entry_id = 0x203d4590, class = 0x1f867038, search_key = 0x14463e00, subject_w = 0x204a2d48,
    subject_a = 0x204a7170, prefix_w = 0x204b6e00, prefix_a = 0x204b7848, message_id = 0x18686170,
    sender_w = 0x193c8340, sender_a = 0x03707d58 },
}

-- Blocks with fixed addresses: the six of the listing with the predecessors their PreviousSize asks for,
-- and the buffers of the dumped row, newest first in `link` order.
local BUFFERS = { { "entry_id", 0x20 }, { "class", 0x12 }, { "search_key", 0x18 }, { "subject_w", 0x4e },
  { "subject_a", 0x2a }, { "prefix_w", 0x12, "subject_w" }, { "prefix_a", 0x12, "subject_a" },
  { "message_id", 0x5f }, { "sender_w", 0x5a }, { "sender_a", 0x31 } }
local BLOCKS = { { 0x37065f0, 0xe8 }, { 0x37066f0, 0xf8 }, { 0x3707ee0, 0xf8 }, { 0x3707ff0, 0xf8 },
  { 0x372a1c8, 0x100 }, { 0x372a2e0, 0xf8 }, { 0x372c640, 0xf8 }, { 0x372c750, 0xf8 }, { 0x372cf58, 0xf8 },
  { 0x372d068, 0xf8 }, { 0x372e530, 0x4e }, { 0x372e598, 0xf8, true } }

local function fixed_blocks()
  local pins = {}
  for _, block in ipairs(BLOCKS) do
    pins[#pins + 1] = { address = block[1], size = block[2], case_row = block[3] }
  end
  local older
  for _, buffer in ipairs(BUFFERS) do
    local name = buffer[1]
    pins[#pins + 1] = { address = outlook.leak.row_values[name] - 2 * ENTRY, size = buffer[2], extra = name,
      content = buffer[3] or name, link = older }
    older = name
  end
  table.sort(pins, function(a, b) return a.address < b.address end)
  return pins
end
outlook.leak.pins = fixed_blocks()

return outlook
