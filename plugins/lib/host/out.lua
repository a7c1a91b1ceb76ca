-- out.lua: where printed text goes: to stdout and the log, or, while a command is piped or redirected, elsewhere.

local core = require "host.core"

local out = {}

local sink -- function (escaped text), or nil: stdout
local log  -- file of .logopen

local function stdout_and_log(text)
    core.write(text)
    if log then log:write(core.escape(text, true)) end
end

-- Strings and numbers, escaped, no newline.
function out.write(...)
    if not sink and not log then return core.write(...) end
    for i = 1, select("#", ...) do
        local part = select(i, ...)
        if type(part) ~= "string" and type(part) ~= "number" then return core.write(...) end -- raises
    end
    local text = table.concat({ ... })
    if sink then return sink(core.escape(text, true)) end
    return stdout_and_log(text)
end

function out.print(...)
    if not sink and not log then return core.print(...) end
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    return out.write(table.concat(parts, "\t", 1, parts.n) .. "\n")
end

-- Calls f with all text going to `to`, a function of one text. Gives what pcall gives.
function out.to(to, f, ...)
    local before = sink
    sink = to
    local results = table.pack(pcall(f, ...))
    sink = before
    return table.unpack(results, 1, results.n)
end

-- The open log, or nil; set_log(nil) closes it.
function out.log() return log end

function out.set_log(file)
    if log then log:close() end
    log = file
end

return out
