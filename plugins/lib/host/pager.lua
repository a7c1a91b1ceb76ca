-- pager.lua: text in pages, on a terminal. Space or another key: the next page, Enter: one line, q or Ctrl-C: the end.

local core = require "host.core"
local ends = require "host.ends"

local pager = {}

local ASKED <const> = "-- more -- (Space: a page, Enter: a line, q: the end)"
local ENDING <const> = { q = true, Q = true, ["\3"] = true, ["\4"] = true, ["\27"] = true }

-- Rows of the terminal that a line takes, which is folded where it is too long.
local function rows_of(text, columns)
    local tabs = select(2, text:gsub("\t", ""))
    local size = (utf8.len(text) or #text) + 7 * tabs
    return math.max(1, (size + columns - 1) // columns)
end

-- Asks how to go on: "page", "line", "end".
local function ask(columns)
    local shown = ASKED:sub(1, columns - 1)
    core.write_raw(shown)
    local key = core.read_key()
    core.write_raw("\r" .. (" "):rep(#shown) .. "\r")
    if not key or ENDING[key] then return "end" end
    return (key == "\r" or key == "\n") and "line" or "page"
end

-- Whether there is a terminal to show pages on, and somebody to turn them.
function pager.is_possible() return core.is_terminal(0) and core.terminal() ~= nil end

-- A function that takes lines without their ends and hands them to `write` page by page. At the end that the user
-- chooses it raises ends.enough.
function pager.new(write)
    if not pager.is_possible() then return write end
    local left = select(2, core.terminal()) - 1
    local fresh, ended = true, false
    return function(text)
        if ended then error(ends.enough, 0) end
        local columns, rows = core.terminal() -- it may have been resized
        if not columns then return write(text) end
        local needed = rows_of(text, columns)
        if needed > left and not fresh then
            local answer = ask(columns)
            ended = answer == "end"
            if ended then error(ends.enough, 0) end
            left = answer == "page" and math.max(select(2, core.terminal()) or rows, 2) - 1 or needed
        end
        fresh = false
        left = left - needed
        write(text)
    end
end

return pager
