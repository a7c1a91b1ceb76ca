-- truth_blocks: every block, as the first eight columns of what `heapsift run sample --truth-blocks` writes.

heapsift.script { summary = "every block as in --truth-blocks, for a test" }

local format <const> = string.format
local count = 0
for heap in dump:heaps() do
    local prefix <const> = format("%x", heap.address)
    for block in heap:blocks():each() do
        local stored <const> = block.stored_index
        print(format("%s\t%x\t%x\t%x\t%x\t%x\t%s\t%s", prefix, block.address, block.user, block.size, block.total,
            block.flags, block.state, stored and format("%x", stored) or "-"))
        count = count + 1
    end
end
if dump:blocks():count() ~= count then heapsift.fail("failed", "the heaps' blocks are not the dump's") end
