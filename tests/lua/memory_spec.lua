-- What a script costs in memory of its own beside the mapped dump. The measured figures: ./dev bench.

local program = require "program"

describe("private memory", function()
    local folder

    setup(function() folder = program.folder() end)
    teardown(function() program.remove(folder) end)

    it("stays small after opening, walking, grouping and filtering a sample", function()
        local status <close> = io.open("/proc/self/status")
        if os.getenv "HEAPSIFT_SANITIZED" == "1" or not (status and status:read("a"):find("RssAnon", 1, true)) then
            return pending("not measured here")
        end
        local dump = folder .. "/sample.dmp"
        program.output { "run", "sample", dump, "--scale", "0.05" }
        local blocks, kib = program.output { "run", program.root .. "/tests/lua/scripts/private_memory.lua", dump,
            "--allow-files" }:match("^(%d+) blocks, (%d+) kB\n$")
        assert.is_true(tonumber(blocks) > 100000)
        assert.is_true(tonumber(kib) < 12 * 1024, kib .. " kB") -- 3 MB when this was written
    end)
end)
