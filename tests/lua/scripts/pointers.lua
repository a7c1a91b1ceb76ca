-- pointers: which busy blocks are pointed to, by the engine and by a plain loop, for tests/lua/scan_spec.lua.
-- A line "address engine plain" for each busy block: the sources found, as letters (r, s, m, b, o or -).

heapsift.script { summary = "who points where, twice, for a test" }

local LETTERS <const> = { register = "r", stack = "s", section = "m", block = "b", other = "o" }
local size <const> = dump.pointer_size
local format <const> = size == 4 and "<I4" or "<I8"

-- ---- the plain way: every word of every source, one look-up each ----

local plain = {} -- address of a block -> set of letters

local function note(value, letter, holder)
    local block = value > 0 and dump:block(value)
    if not block or block.state == "uncommitted" or holder and block.address == holder then return end
    plain[block.address] = plain[block.address] or {}
    plain[block.address][letter] = true
end

local function look(from, to, letter, holder)
    from = (from + size - 1) // size * size
    while from + size <= to do
        local bytes = dump:read(from, math.min(to - from, 1 << 16))
        if not bytes or #bytes < size then
            from = from + size -- not in the dump: the next word
        else
            for at = 1, #bytes - size + 1, size do note(string.unpack(format, bytes, at), letter, holder) end
            from = from + #bytes // size * size
        end
    end
end

local known = {} -- ranges of memory whose use is known
for thread in dump:threads() do
    for _, register in ipairs(thread.registers) do
        if register.size == size then note(register.value, "r") end
    end
    local from = thread.stack_limit
    if thread.sp and thread.sp > from and thread.sp < thread.stack_base then from = thread.sp end
    look(from, thread.stack_base, "s")
    known[#known + 1] = { thread.stack_limit, thread.stack_base }
end
for module in dump:modules() do
    for _, section in ipairs(module:sections()) do
        if section.writable then look(section.address, section.address + section.size, "m") end
    end
    known[#known + 1] = { module.base, module.base + module.size }
end
for heap in dump:heaps() do
    for _, segment in ipairs(heap.segments) do
        known[#known + 1] = { segment.base, segment.base + segment.reserved }
    end
end
for block in dump:blocks { state = "busy" }:each() do
    look(block.user, block.user + block.size, "b", block.address)
    if block.large then known[#known + 1] = { block.address & ~0xfff, block.address + block.total } end
end
if dump.traces then known[#known + 1] = { dump.traces.commit_base, dump.traces.index_array } end
table.sort(known, function(a, b) return a[1] < b[1] end)
for region in dump:regions() do
    if region.state == 0x1000 and region.type == 0x20000 then
        local at = region.address
        for _, range in ipairs(known) do
            if range[2] > at and range[1] < region.address + region.size then
                if range[1] > at then look(at, range[1], "o") end
                at = math.max(at, range[2])
            end
        end
        if at < region.address + region.size then look(at, region.address + region.size, "o") end
    end
end

-- ---- the engine's way ----

local busy = dump:blocks { state = "busy" }
local engine = {}
for source, letter in pairs(LETTERS) do
    for block in busy:referenced { sources = source }:each() do
        engine[block.address] = engine[block.address] or {}
        engine[block.address][letter] = true
    end
end

local function letters(set)
    local text = ""
    for _, letter in ipairs { "r", "s", "m", "b", "o" } do
        if set and set[letter] then text = text .. letter end
    end
    return text == "" and "-" or text
end

for block in busy:each() do
    print(("%x %s %s"):format(block.address, letters(engine[block.address]), letters(plain[block.address])))
end
print(("total %d %d"):format(busy:referenced():count(), dump:blocks("state == busy and referenced"):count()))
