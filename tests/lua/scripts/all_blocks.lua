-- all_blocks: every block of every heap and every segment, one line each, for tests/lua/witness_spec.lua.

heapsift.script { summary = "every block, for a test" }

for heap in dump:heaps() do
    print(string.format("heap %d %d %d %d", heap.address, heap.flags, heap.force_flags, heap.free_recorded))
end
for block in dump:blocks():each() do
    print(string.format("%s %d %d %d %d %d %s %d %d", block.state, block.heap.address, block.address, block.user,
        block.size, block.total, tostring(block.large), block.stored_index or -1, block.settable))
end
for _, note in ipairs(dump:notes()) do
    print("note " .. note)
end
