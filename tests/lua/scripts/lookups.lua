-- lookups: dump:block of many addresses against a plain search in a list of all blocks, for tests/lua/truth_spec.lua.

heapsift.script {
    summary = "address to block, twice, for a test",
    options = { seed = { type = "integer", default = 1 }, count = { type = "integer", default = 20000 } },
}

-- Blocks by where they begin: a large block's pages begin with its link record, which counts as the block.
local begins, block_of, size_of = {}, {}, {}
for block in dump:blocks():each() do
    local from <const> = block.large and block.address & ~0xfff or block.address
    begins[#begins + 1], block_of[from] = from, block
    size_of[from] = block.address - from + block.total
end
table.sort(begins)

local function plain(va)
    local low, high = 0, #begins
    while low < high do
        local middle <const> = (low + high + 1) // 2
        if begins[middle] <= va then low = middle else high = middle - 1 end
    end
    local from <const> = begins[low]
    return from and va < from + size_of[from] and block_of[from] or nil
end

local inside, outside = 0, 0
local function check(va)
    local wanted <const>, found <const> = plain(va), dump:block(va)
    if wanted ~= found then
        heapsift.fail("failed", string.format("%x is of block %s, found %s", va,
            wanted and string.format("%x, %s", wanted.address, wanted.state) or "none",
            found and string.format("%x, %s", found.address, found.state) or "none"))
    end
    if wanted then inside = inside + 1 else outside = outside + 1 end
end

math.randomseed(args.seed, 0)
local unit <const> = dump.pointer_size * 2
for _ = 1, args.count do
    local from <const> = begins[math.random(#begins)]
    local size <const> = size_of[from]
    check(from)
    check(from + unit)
    check(from + math.random(0, size - 1))
    check(from + size - 1)
    check(from - 1)
    check(from + size)
end
-- Anywhere near segments and large blocks, too: most of this is outside of all blocks.
for heap in dump:heaps() do
    for _, segment in ipairs(heap.segments) do
        for _ = 1, 200 do check(segment.base + math.random(-0x2000, segment.reserved + 0x2000)) end
    end
end
for block in dump:blocks("large == 1"):each() do
    check(block.address & ~0xfff)
    for _ = 1, 100 do check(block.address + math.random(-0x20, block.total + 0x2000)) end
end
for _, va in ipairs { 0, 1, 0xffffffff, 0x100000000, math.maxinteger } do check(va) end
for module in dump:modules() do check(module.base) end
print(string.format("%d inside, %d outside", inside, outside))
