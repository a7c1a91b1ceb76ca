-- docs/batch.md, followed: its scripts over a hundred sample dumps, and what it says is printed.

local program = require "program"
local batches = require "batches"

describe("the guide to batches", function()
    it("does what it says", function()
        batches.folder = program.folder()
        local guide = program.read_file(program.root .. "/docs/batch.md")
        local codes = {}
        for text in guide:gmatch "```lua\n(.-)```" do codes[#codes + 1] = text end
        batches.write("rows.lua", codes[1])
        batches.write("spread.lua", codes[2])
        -- Ten seeds, ten of each told apart by a byte behind their end: a hundred samples take half a minute to write.
        batches.shell [[mkdir dumps; for s in 1 2 3 4 5 6 7 8 9 10; do "$H" run sample dumps/$s.dmp --tiny --seed $s
            for n in 1 2 3 4 5 6 7 8 9; do cp dumps/$s.dmp dumps/$s$n$n.dmp; echo $n >> dumps/$s$n$n.dmp; done; done]]
        -- Every command of the guide from the batch on, with what stands below it; ... stands for anything.
        local checked = 0
        for command, expected in guide:gmatch "\n    %$ heapsift ([^\n]+)\n(    [^$\n][^\n]*.-)\n\n" do
            local out = batches.shell('"$H" ' .. command)
            local pattern = expected:gsub("^    ", ""):gsub("\n    ", "\n"):gsub("%p", "%%%0")
            pattern = pattern:gsub("%%%.%%%.%%%.", ".-")
            assert.truthy(out:find(pattern), command .. "\n" .. out .. "\nexpected\n" .. expected)
            checked = checked + 1
        end
        assert.same(4, checked)
        assert.same({ "100" }, batches.ask("results.db", "SELECT count(*) FROM results WHERE state = 'done'"))
        program.remove(batches.folder)
    end)
end)
