-- A function is exported exactly when a public header declares it (luaopen.h aside: that one is a library of its own).
--
--   lua5.4 tests/arch/symbols.lua SOURCE-FOLDER LIBRARY NM

local source, library, nm = arg[1], arg[2], arg[3]
assert(nm, "usage: symbols.lua SOURCE-FOLDER LIBRARY NM")
local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end
local function lines_of(command)
    local pipe, list = assert(io.popen(command)), {}
    for line in pipe:lines() do list[#list + 1] = line end
    assert(pipe:close(), command .. " failed")
    return list
end

local declared = {}
for _, path in ipairs(lines_of("ls " .. quoted(source .. "/include/heapsift") .. "/*.h")) do
    if not path:find("/luaopen%.h$") then
        local text = assert(io.open(path)):read("a"):gsub("/%*.-%*/", " "):gsub("#[^\n]*", "")
        for declaration in text:gmatch("HS_API([^;({]*)%(") do
            declared[declaration:match("([%a_][%w_]*)%s*$")] = path:match("[^/]+$")
        end
    end
end

local exported = {}
for _, line in ipairs(lines_of(quoted(nm) .. " -D --defined-only " .. quoted(library))) do
    local name = line:match("%s(%S+)$")
    if not name:find("^_") then exported[name] = true end -- what the linker or a sanitizer adds starts with _
end

local faults = {}
for name, header in pairs(declared) do
    if not exported[name] then faults[#faults + 1] = name .. ": declared in " .. header .. ", not exported" end
end
for name in pairs(exported) do
    if not declared[name] then faults[#faults + 1] = name .. ": exported, declared in no public header" end
end
table.sort(faults)
for _, text in ipairs(faults) do print(text) end
os.exit(#faults == 0 and next(declared) ~= nil)
