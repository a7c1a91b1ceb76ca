-- What the sample writer says of its dumps is what the program reads there: every block, and all figures. At scale 0.1
-- and at full scale: truth_slow_spec.lua.

local truth = require "truth"

-- Under sanitizers everything takes several times as long: one of each kind.
local brief <const> = os.getenv "HEAPSIFT_SANITIZED" == "1"

describe("every block of a sample", function()
    for _, scale in ipairs { "0.02", "0.05" } do
        for seed = 1, brief and (scale == "0.02" and 1 or 0) or 3 do
            it(string.format("at scale %s, seed %d", scale, seed), function()
                truth.blocks(string.format("--scale %s --seed %d", scale, seed))
            end)
        end
    end
    for _, options in ipairs { "--tiny", "--no-ust --scale 0.01", "--arch x64 --scale 0.01",
                               "--arch x64 --no-ust --scale 0.01", "--arch x64 --tiny", "--tiny --no-ust" } do
        it(options, function()
            truth.blocks(options .. " --seed 4")
        end)
    end
end)

describe("figures of a sample", function()
    for _, options in ipairs { "--tiny", "--scale 0.02", "--no-ust --scale 0.01", "--arch x64 --scale 0.01" } do
        it(options, function()
            truth.figures(options .. " --seed 5")
        end)
    end
end)
