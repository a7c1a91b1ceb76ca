-- Which code may know which: reads every #include under engine/ and include/ and fails on one that is not allowed.
--
--   lua5.4 tests/arch/rooms.lua SOURCE-FOLDER
--
-- A room may include its own files, and the doors (room/room.h) of rooms before it in the list.

local ROOMS = { "base", "file", "space", "image", "layout", "process", "heap", "trace", "dump", "query", "native",
                "store", "batch", "bind", "host", "cli" }
local KNOWS_LUA = { bind = true, host = true, cli = true }
local LUA_HEADERS = { ["lua.h"] = true, ["lauxlib.h"] = true, ["lualib.h"] = true, ["luaconf.h"] = true,
                      ["lua.hpp"] = true, ["heapsift/luaopen.h"] = true }
-- All that a public header may take from outside: no operating system, no Lua.
local PUBLIC_HEADERS = { ["stdbool.h"] = true, ["stddef.h"] = true, ["stdint.h"] = true }
local NO_ROOMS = { install = true }

local source = assert(arg[1], "usage: rooms.lua SOURCE-FOLDER")
local rank = {}
for i, room in ipairs(ROOMS) do rank[room] = i end

local faults, include_count, file_count = {}, 0, 0
local function fault(where, line, text)
    faults[#faults + 1] = ("%s:%d: %s"):format(where, line, text)
end

-- Reasons against `included` ("x/y.h") in a file of `room`; nil if it is fine.
local function against_room(room, included)
    local target, file = included:match("^([^/]+)/([^/]+)$")
    if not target then return "write it as room/file.h, from engine/ on" end
    if not rank[target] then return ("engine/%s is no room"):format(target) end
    if target == room then return nil end
    if rank[target] > rank[room] then return ("%s comes after %s"):format(target, room) end
    if file ~= target .. ".h" then return ("%s is behind the door %s/%s.h"):format(file, target, target) end
end

local function against_outside(room, included)
    if LUA_HEADERS[included] and not KNOWS_LUA[room] then return "only bind, host and cli know Lua" end
    if rank[included:match("^([^/]+)/") or ""] then return "rooms are included with quotes" end
end

local function against_public(kind, included)
    if kind == '"' then return "a public header includes <heapsift/...> only" end
    if included:find("^heapsift/") or PUBLIC_HEADERS[included] then return nil end
    return "users get no other headers than stdbool, stddef and stdint through ours"
end

local function check(path, room)
    file_count = file_count + 1
    local number = 0
    for line in io.lines(source .. "/" .. path) do
        number = number + 1
        if line:find("^%s*#%s*include") then
            include_count = include_count + 1
            local kind, included = line:match('^%s*#%s*include%s*([<"])([^>"]+)[>"]')
            local reason
            if not kind then reason = "the name of an include must stand there itself"
            elseif not room then reason = against_public(kind, included)
            elseif kind == '"' then reason = against_room(room, included)
            else reason = against_outside(room, included) end
            if reason then fault(path, number, ("%s: %s"):format(included or line, reason)) end
        end
        -- Integers come out of raw bytes in base/ alone: no pointer is cast to one of wider integers. Rooms that know
        -- Lua see no raw bytes, but read fields of our own structs that way.
        if room and room ~= "base" and not KNOWS_LUA[room] then
            local cast = line:match("%(%s*(u?int[136][624]_t%s*%*)%s*%)")
                or line:match("%(%s*const%s+(u?int[136][624]_t%s*%*)%s*%)")
            if cast then fault(path, number, ("cast to %s: load integers through base/base.h"):format(cast)) end
        end
    end
end

local function files(folder)
    local list = {}
    local pipe = assert(io.popen(("cd '%s' && find %s -type f \\( -name '*.c' -o -name '*.h' -o -name '*.inc' \\)")
        :format(source:gsub("'", "'\\''"), folder)))
    for path in pipe:lines() do list[#list + 1] = path end
    assert(pipe:close(), "find failed")
    table.sort(list)
    return list
end

for _, path in ipairs(files("engine")) do
    local room = path:match("^engine/([^/]+)/[^/]+$")
    if not room then fault(path, 1, "rooms have no folders inside, and no file lies beside them")
    elseif rank[room] then check(path, room)
    elseif not NO_ROOMS[room] then fault(path, 1, ("engine/%s is no room"):format(room)) end
end
for _, path in ipairs(files("include")) do check(path, nil) end

for _, text in ipairs(faults) do print(text) end
print(("%d includes in %d files, %d wrong"):format(include_count, file_count, #faults))
os.exit(#faults == 0 and file_count > 0)
