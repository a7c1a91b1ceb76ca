-- As truth_spec.lua, where it takes long: every block at scale 0.1, groups and figures at full scale.

local truth = require "truth"

describe("a larger sample", function()
    for seed = 1, 3 do
        it("has every block at scale 0.1, seed " .. seed, function()
            truth.blocks("--scale 0.1 --seed " .. seed)
        end)
    end

    it("has the groups and figures of the truth at full scale", function()
        truth.figures("--scale 1")
    end)
end)
