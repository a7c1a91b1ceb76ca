-- out.lua: where printed text goes: to stdout and the log, or, while a command is piped or redirected, elsewhere; how
-- wide it may be there, and whether it may have colours.

local core = require "host.core"

local out = {}

local sink -- { to = function (escaped text), before = the sink that `to` itself writes to, paged = }, or nil: stdout
local log  -- file of .logopen
local colour <const> = { stdout = false, stderr = false }

local BOLD <const>, RED <const>, PLAIN <const> = "\27[1m", "\27[1;31m", "\27[0m"

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
    if not sink then return stdout_and_log(text) end
    local own = sink
    sink = own.before
    own.to(core.escape(text, true))
    sink = own
end

function out.print(...)
    if not sink and not log then return core.print(...) end
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    return out.write(table.concat(parts, "\t", 1, parts.n) .. "\n")
end

-- Calls f with all text going to `to`, a function of one text that may itself write: to what stood before. `paged`: it
-- only stops from time to time on the way to the terminal. Gives what pcall gives.
function out.to(to, f, paged)
    local before = sink
    sink = { to = to, before = before, paged = paged or false }
    local results = table.pack(pcall(f))
    sink = before
    return table.unpack(results, 1, results.n)
end

-- The open log, or nil; set_log(nil) closes it.
function out.log() return log end

function out.set_log(file)
    if log then log:close() end
    log = file
end

-- ---- the terminal ----

-- Whether what is printed goes to stdout and nowhere else.
local function is_direct() return not log and (not sink or sink.paged and not sink.before) end

-- Columns of the terminal that text goes to; nil: to none, or not only there, so nothing is to be cut.
function out.width()
    if not is_direct() then return nil end
    return (core.terminal())
end

-- Sets for stdout and stderr whether there are colours. `when`: "auto", "always", "never".
function out.set_colour(when)
    local term, no_color = os.getenv "TERM", os.getenv "NO_COLOR"
    local usable = term and term ~= "dumb" and (no_color or "") == ""
    for name, number in pairs { stdout = 1, stderr = 2 } do
        colour[name] = when == "always" or when == "auto" and usable and core.is_terminal(number) or false
    end
end

-- Prints a line that stands above others.
function out.heading(text)
    if type(text) ~= "string" then error("heapsift.heading: a text expected, got " .. type(text), 2) end
    if not (colour.stdout and not sink and not log) then return out.print(text) end
    core.write_raw(BOLD)
    core.write(text)
    core.write_raw(PLAIN .. "\n")
end

-- One line on stderr: what went wrong, escaped.
function out.complain(text)
    core.complain((colour.stderr and RED .. "heapsift:" .. PLAIN or "heapsift:") .. " " .. text)
end

-- A prompt, which ends with a blank, for the line editor: 0x01 stands around what takes no room. The editor loses what
-- stands at the very end, so the blank is left plain.
function out.prompt(text)
    if not colour.stdout then return text end
    return ("\1%s\1%s\1%s\1 "):format(BOLD, text:sub(1, -2), PLAIN)
end

return out
