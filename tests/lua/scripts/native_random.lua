-- native_random: declares, lays out and calls what native_declarations makes, against a library of the same. LIBRARY
-- SEED COUNT; --allow-native. Prints how many worked and how many were refused.
heapsift.script {
    input = "none",
    args = { { name = "library", type = "path" }, { name = "seed", type = "integer" },
             { name = "count", type = "integer" } },
}
local declarations = require "native_declarations"

local worked, refused = 0, 0

local function fail(item, text)
    error(("%s\nof: %s"):format(text, item.text), 0)
end

local function same(item, expected, got, path)
    if type(expected) == "table" then
        for key, value in pairs(expected) do
            same(item, value, got[math.type(key) == "integer" and key - 1 or key], path .. "." .. key)
        end
    elseif expected ~= got then
        fail(item, ("%s: expected %s, got %s"):format(path, expected, got))
    end
end

local function check_layout(lib, item)
    local layout = lib["layout" .. item.name:sub(2)]
    if lib:sizeof(item.record) ~= layout[0] then
        fail(item, ("%d bytes, expected %d"):format(lib:sizeof(item.record), layout[0]))
    end
    local at = 2
    for _, member in ipairs(item.members) do
        if not member[2] then
            local offset = lib:offsetof(item.record, member[1])
            if offset ~= layout[at] then
                fail(item, ("%s at %s, expected %d"):format(member[1], offset, layout[at]))
            end
            at = at + 1
        end
    end
end

local function try(item)
    local lib <close> = assert(heapsift.native(args.library, declarations.TYPES .. item.text))
    local f = lib[item.name]
    if item.parameters then
        local got = f(table.unpack(item.parameters))
        if got ~= item.hash then fail(item, ("hash %x, expected %x"):format(got, item.hash)) end
        return
    end
    check_layout(lib, item)
    local given, out = lib:new(item.record, item.values), lib:new(item.record)
    same(item, item.values, given, "given")
    local got = f(given, out)
    if got ~= item.hash then fail(item, ("hash %x, expected %x"):format(got, item.hash)) end
    same(item, item.values, out, "out")
    if not item.by_value then return end
    local ok, echo = pcall(function() return lib["g" .. item.name:sub(2)] end)
    if item.long_double and lib:sizeof(item.record) == 16 then
        if ok or not echo:find "result: .*a long double and nothing else" then fail(item, "returned all the same") end
        return
    end
    if not ok then fail(item, echo) end
    same(item, item.values, echo(item.values), "back")
end

for _, item in ipairs(declarations.make(args.seed, args.count)) do
    local ok, message = pcall(try, item)
    if item.refused then
        if ok or not tostring(message):find(item.refused) or tostring(message):find "\n" then
            fail(item, ("expected a line with '%s', got %s"):format(item.refused, ok or message))
        end
        refused = refused + 1
    else
        if not ok then fail(item, message) end
        worked = worked + 1
    end
end
print(("%d worked, %d refused"):format(worked, refused))
