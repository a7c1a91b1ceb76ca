-- A made-up 64-bit process on Windows Server 2003 SP2 with the same kinds of things as the case, but small.
-- No outside output of such a process is at hand: what is not in type information is natural alignment,
-- unproven.

local service = {}

service.system = { major = 5, minor = 2, build = 3790, product = 3, service_pack = "Service Pack 2" }
service.database_pointer = 0x77fb1170       -- in ntdll's .data; invented
service.routines = { acquire = 0x77ed2310, release = 0x77ed2440, okay = 0x77f5b0a0 }
service.command_line = '"C:\\Program Files\\Row Server\\rowserv.exe" -service'
service.first_caller = 4                    -- in a named stack: first frame behind the allocator
service.process_id = 0x7a8
service.time = 0x4a2f6c00
service.comment = "heapsift sample, 64-bit, unproven database layout: made up, not a real process"
service.peb, service.first_teb = 0x7fffffdf000, 0x7fffffdc000

local function heap(address, flags, sizes, commit, free, list, contention, front)
  local segments, reserve = {}, 0
  for index, size in ipairs(sizes) do
    segments[index] = { size = size * 1024 }
    reserve = reserve + size
  end
  segments[1].base = address
  return { address = address, flags = flags, reserve = reserve, commit = commit, virt = commit, free = free,
    list = list, ranges = 1, contention = contention, front = front, segments = segments, listed = false }
end

function service.heaps()
  local list = {
    heap(0x1160000, 0x58000062, { 1024, 1024, 2048 }, 3100, 60, 8, 0x51, true),
    heap(0x1500000, 0x58001062, { 64, 1024 }, 400, 20, 3, 0, true),
    heap(0x1700000, 0x58001063, { 256 }, 96, 4, 1, 0, false),
    heap(0x36f0000, 0x58001062, { 256, 1024, 2048, 4096, 8192, 16384 }, 20000, 51, 1, 0x1a, true),
    heap(0x4b00000, 0x58001062, { 256 }, 64, 6, 1, 0, true),
  }
  list[1].holes, list[1].virt, list[1].ranges = true, 3400, 5
  list[4].leak = true
  list[5].large = { 0x100000, 0xfffd0, 0x12345 * 16 }
  return list
end

service.leak = {
  commit = 289804,
  sizes = { { 0x178, 0x442ed }, { 0x28, 0x4ddb4 }, { 0x20, 0x4ff0a }, { 0x32, 0x372e0 }, { 0x59, 0x196f8 },
    { 0x56, 0x18d41 }, { 0xb6, 0x1067a } },
  busy_bytes = 250000000, block_bytes = 370000000,
  unlisted = { 0x19, 0x48, 0x3d0 },
  row_captures = 0x442ac, other_rows = 0x16d, planted_free = 14000,
}

return service
