-- help_slow_spec: `heapsift help NAME` for every name of the Lua reference, as it is written there.

local program = require "program"

describe("heapsift help NAME", function()
    it("knows every name of the reference", function()
        local names, class = {}, nil
        for line in program.read_file(program.root .. "/plugins/lib/heapsift.meta.lua"):gmatch "[^\n]*" do
            class = line:match "^%-%-%-@class ([%w_.]+)" or class
            local field = line:match "^%-%-%-@field ([%w_]+)%??%s"
            names[#names + 1] = field and class .. "." .. field or line:match "^function ([%w_]+[.:][%w_]+)%("
        end
        assert.is_true(#names > 200)
        for _, name in ipairs(names) do
            local out, code, err = program.run { "help", name }
            assert.same({ name, 0, "" }, { name, code, err })
            assert.truthy(out:find(name:match "[^.:]*$", 1, true) and #out > #name + 4, name .. "\n" .. out)
            assert.is_nil(out:find("---", 1, true), name)
        end
    end)
end)
