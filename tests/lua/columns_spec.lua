-- columns_spec: tables and the width of a terminal; how a narrow one is filled.

local program = require "program"

package.path = program.root .. "/plugins/lib/?.lua;" .. package.path
local columns = require "columns"

local COLUMNS <const> = { { "address", "left" }, { "bytes", "right" }, { "name", "left", "middle" },
                          { "path", "left", "start" } }
local ROWS <const> = {
    { "0372e598", "12,345", "olmapi32!CSomething::AVeryLongNameOfAFunction+0x12",
      "C:\\Program Files\\Office\\MSO.DLL" },
    { "00000001", "1", "short", "a.dll" }, { "00000002", "2", nil, "C:\\b" },
}

describe("columns", function()
    it("are as wide as their widest cell where there is no limit", function()
        local title, lines = columns.lines(COLUMNS, ROWS, "  ", nil)
        assert.equal("  address    bytes  name" .. (" "):rep(50 - 4) .. "  path", title)
        assert.equal("  0372e598  12,345  olmapi32!CSomething::AVeryLongNameOfAFunction+0x12  "
            .. "C:\\Program Files\\Office\\MSO.DLL", lines[1])
        assert.equal("  00000002       2  " .. (" "):rep(50) .. "  C:\\b", lines[3])
        assert.is_nil((columns.lines({ { "", "left" } }, { { "x" } }, "")))
    end)

    it("fit every width that names and paths can give, and never lose a number", function()
        local whole = select(2, columns.lines(COLUMNS, ROWS, "", nil))
        for room = 20, 120 do
            local title, lines = columns.lines(COLUMNS, ROWS, "", room)
            local fits = room >= 8 + 6 + 24 + 24 + 6
            for i, line in ipairs(lines) do
                assert.equal(whole[i]:sub(1, 16), line:sub(1, 16))
                if fits then assert.is_true(#line <= room, line) else assert.equal(whole[i], line) end
            end
            assert.is_true(not fits or #title <= room)
            local name = lines[1]:match "olmapi32%S+"
            assert.truthy(name:find "^olmapi32!" and name:find "%+0x12$", name)
            assert.truthy(lines[1]:find "MSO%.DLL$")
        end
    end)

    it("count characters, not bytes", function()
        local _, lines = columns.lines({ { "n", "left", "end" }, { "x", "left" } },
            { { ("é"):rep(40), "1" }, { "\xff" .. ("a"):rep(40), "2" } }, "", 30)
        assert.equal(("é"):rep(24) .. "...  1", lines[1])
        assert.equal("\xff" .. ("a"):rep(23) .. "...  2", lines[2])
        assert.equal("abc...", columns.shorten("abcdefgh", 6, "end"))
        assert.equal("...fgh", columns.shorten("abcdefgh", 6, "start"))
        assert.equal("a...gh", columns.shorten("abcdefgh", 6, "middle"))
        assert.equal("abcdefgh", columns.shorten("abcdefgh", 8, "middle"))
    end)
end)
