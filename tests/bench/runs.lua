-- runs.lua: where chains of heap entries begin and end in a dump, a line "va end" each: what tests/bench/floor.c walks.
heapsift.script { summary = "runs of heap entries, for the floor of the benchmark" }

local last
local function flush(from, to)
    if from and to > from then print(("%x %x"):format(from, to)) end
end

for heap in dump:heaps() do
    for _, segment in ipairs(heap.segments) do
        local from = segment.first_entry
        last = segment["end"] or segment.end_address
        for hole in heap:blocks { state = "uncommitted" }:each() do
            if hole.address >= from and hole.address < last then
                flush(from, hole.address)
                from = hole.address + hole.total
            end
        end
        flush(from, last)
    end
end
