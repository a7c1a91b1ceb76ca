-- A dump far larger than memory: 40 GB in the middle of an x64 process, written as holes (tests/bench/sparse.c).

local program = require "program"

describe("a sparse dump of 40 GB", function()
    local folder, small, large, disk

    setup(function()
        folder = program.folder()
        small, large = folder .. "/small.dmp", folder .. "/large.dmp"
        program.output { "run", "sample", small, "--arch", "x64", "--tiny" }
        local pipe <close> = assert(io.popen(string.format("'%s/bench/sparse' '%s' '%s' 40",
            os.getenv "BUILD", small, large)))
        local size
        size, disk = pipe:read("n", "n")
        assert(size > 40 << 30, "the file was not written")
    end)

    teardown(function()
        program.remove(folder)
    end)

    it("takes no room", function()
        if disk > 1 << 30 then pending("this file system knows no holes") end
    end)

    it("has the process, modules and heaps of the dump it was made from", function()
        for _, name in ipairs { "stat", "heaps", "modules", "traces" } do
            assert.equal(program.output { "run", name, small }, program.output { "run", name, large })
        end
    end)

    it("counts the memory that was added", function()
        local private = program.output { "run", "info", large }:match("other private +([%d,]+)"):gsub(",", "")
        assert.is_true(tonumber(private) >= 40 << 30)
    end)

    it("is read in the holes, and across their ends", function()
        local out = program.output { "run", "memory", large, "100001ffff0", "--as", "qwords", "--words", "4" }
        assert.truthy(out:find("00000100001ffff0", 1, true) or out:find("00000100`001ffff0", 1, true), out)
        assert.truthy(out:find("????????????????", 1, true), out)
    end)
end)
