-- page.lua: lines of at most 100 columns (fewer on a narrow terminal), sections, and what each of them means where that
-- was asked for.

local page = {}

local WIDEST <const>, LEAST <const> = 100, 40
local LONGEST <const> = 120 -- a line that holds a name that cannot be broken

-- A text as lines; those after the first begin with `hang`.
local function wrapped(text, first, hang)
    local width = math.max(LEAST, math.min(WIDEST, heapsift.width() or WIDEST))
    local lines, line, empty = {}, first, true
    for word in text:gmatch "%S+" do
        if not empty and utf8.len(line .. " " .. word, 1, -1, true) > width then
            lines[#lines + 1], line, empty = line, hang, true
        end
        line, empty = empty and line .. word or line .. " " .. word, false
    end
    lines[#lines + 1] = line
    return lines
end

-- One line that must stay one: cut where it is too long.
function page.line(text)
    if #text > LONGEST then text = text:sub(1, LONGEST - 3) .. "..." end
    print(text)
end

function page.say(text, indent)
    indent = indent or "    "
    for _, line in ipairs(wrapped(text, indent, indent)) do print(line) end
end

function page.item(text, mark)
    for _, line in ipairs(wrapped(text, "    " .. (mark or "-") .. " ", "      ")) do print(line) end
end

function page.items(list)
    for _, text in ipairs(list) do page.item(text) end
end

-- Begins a section; `meaning` is printed where --explain was given.
function page.section(title, meaning)
    print()
    heapsift.heading(title)
    if meaning then
        for _, line in ipairs(wrapped(meaning, "    = ", "      ")) do print(line) end
    end
end

return page
