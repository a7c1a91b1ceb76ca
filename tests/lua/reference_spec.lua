-- The Lua reference (plugins/lib/heapsift.meta.lua) and what the program really offers, compared both ways.

local program = require "program"

-- Every "class.name" that the stub tells of. A class begins with its ---@class line, which its fields follow; methods
-- and functions stand as `function class:name` or `function class.name`.
local function documented(text)
    local names, class = {}, nil
    for line in text:gmatch "[^\n]*" do
        class = line:match "^%-%-%-@class ([%w_.]+)" or class
        local field = line:match "^%-%-%-@field ([%w_]+)%??%s"
        if field and class then names[class .. "." .. field] = true end
        local owner, method = line:match "^function ([%w_]+)[.:]([%w_]+)%("
        if owner then names[owner .. "." .. method] = true end
    end
    return names
end

-- Tables that scripts write, or that differ from script to script.
local NOT_LIVE = { ["heapsift.argument"] = true, ["heapsift.option"] = true, ["heapsift.plugin"] = true,
                         finding = true, args = true }

describe("the Lua reference", function()
    local stub = documented(program.read_file(program.root .. "/plugins/lib/heapsift.meta.lua"))
    local live = {}
    for _, line in ipairs(program.lines(program.output { "help", ":surface" })) do live[line] = true end

    it("tells of everything that is there", function()
        local missing = {}
        for name in pairs(live) do
            if not stub[name] then missing[#missing + 1] = name end
        end
        table.sort(missing)
        assert.same({}, missing)
    end)

    it("tells of nothing that is not there", function()
        local extra = {}
        for name in pairs(stub) do
            if not live[name] and not NOT_LIVE[name:match "^(.*)%.[^.]*$"] then extra[#extra + 1] = name end
        end
        table.sort(extra)
        assert.same({}, extra)
    end)

    it("is Lua", function()
        assert(loadfile(program.root .. "/plugins/lib/heapsift.meta.lua", "t"))
    end)
end)
