-- private_memory: asks for all blocks in several ways, then says what the process has of its own. --allow-files.

heapsift.script { summary = "memory of the process' own, for a test" }
-- luacheck: read_globals io

local count = dump:blocks():count()
dump:blocks { state = "busy" }:group("heap", "size")
dump:blocks("size == 0xf8 and stored == 0x7dfe or u32(0) == 0x10000001")
dump:block(dump:heap(1).address)
local file <close> = io.open("/proc/self/status")
print(string.format("%d blocks, %s kB", count, file:read("a"):match("RssAnon:%s*(%d+)")))
