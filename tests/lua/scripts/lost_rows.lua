-- lost_rows.lua: header addresses of all rows, row sets and linked buffers that query_rows finds lost, one a line.
heapsift.script { summary = "blocks that query_rows finds to be lost" }

local done, rows = heapsift.heuristic("query_rows", dump, {}, { add = function() end })
assert(done and rows)
for _, set in ipairs(rows.lost) do
    for block in set:each() do print(("%x"):format(block.address)) end
end
