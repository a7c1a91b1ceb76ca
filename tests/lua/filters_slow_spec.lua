-- filters_slow_spec: filters, groups and states against plain Lua on fifty seeded samples.

local filters = require "filters"
local program = require "program"

describe("filters and groups", function()
    it("equal a plain loop on fifty samples", function()
        local folder = program.folder()
        local kinds = { {}, { "--no-ust" }, { "--arch", "x64" }, { "--arch", "x64", "--no-ust" } }
        for seed = 1, 50 do
            local options = { "--tiny", "--seed", tostring(seed), table.unpack(kinds[seed % #kinds + 1]) }
            assert.is_true(filters.compare(folder, options) >= 6, "seed " .. seed)
        end
        program.remove(folder)
    end)
end)
