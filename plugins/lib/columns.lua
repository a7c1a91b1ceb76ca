-- columns: rows of texts laid out in columns, and fitted into the width of a terminal by shortening the columns that
-- may be: names and texts, never an address or a number.

local columns = {}

local LEAST <const> = 24 -- no column is made narrower
local MARK <const> = "..."

-- Characters, not bytes; text that is no UTF-8 counts bytes.
local function width_of(text) return utf8.len(text) or #text end

-- Characters `from` to `to` of a text.
local function part(text, from, to)
    if to < from then return "" end
    if not utf8.len(text) then return text:sub(from, to) end
    return text:sub(utf8.offset(text, from), utf8.offset(text, to + 1) - 1)
end

-- A text of at most `room` characters. `how` tells where the others are left out: "start" (paths), "middle" (names:
-- module and offset stay), "end".
function columns.shorten(text, room, how)
    local size = width_of(text)
    if size <= room then return text end
    local kept = room - #MARK
    local head = how == "end" and kept or how == "start" and 0 or kept // 2
    return part(text, 1, head) .. MARK .. part(text, size - (kept - head) + 1, size)
end

-- The widths that columns get in lines of `room` characters: the widest of those that may be shortened gives first. If
-- all of them cannot give enough, nothing is shortened: the terminal folds such lines anyway.
local function fitted(list, widths, room)
    local fit, size = table.move(widths, 1, #widths, 1, {}), 2 * (#list - 1)
    for _, each in ipairs(widths) do size = size + each end
    while size > room do
        local widest
        for c, column in ipairs(list) do
            if column[3] and fit[c] > LEAST and (not widest or fit[c] > fit[widest]) then widest = c end
        end
        if not widest then return widths end
        fit[widest] = fit[widest] - 1
        size = size - 1
    end
    return fit
end

-- Lines of a table. `list`: { { title, "left"|"right"[, how to shorten] }, ... }; two blanks lie between columns, and
-- `indent` before each line. A missing cell is empty, no line ends with a blank. `room`: characters of a line, nil: as
-- many as it takes. Gives the title's line (nil if no column has a title) and a list of the others.
function columns.lines(list, rows, indent, room)
    local widths = {}
    for c, column in ipairs(list) do
        widths[c] = width_of(column[1])
        for _, row in ipairs(rows) do widths[c] = math.max(widths[c], width_of(row[c] or "")) end
    end
    if room then widths = fitted(list, widths, room - #indent) end
    local function line(cells)
        local parts = {}
        for c, column in ipairs(list) do
            local cell = columns.shorten(cells[c] or "", widths[c], column[3])
            local fill = (" "):rep(widths[c] - width_of(cell))
            parts[c] = column[2] == "right" and fill .. cell or cell .. fill
        end
        return ((indent .. table.concat(parts, "  ")):gsub("%s+$", ""))
    end
    local titles, titled, lines = {}, false, {}
    for c, column in ipairs(list) do
        titles[c] = column[1]
        titled = titled or column[1] ~= ""
    end
    for i, row in ipairs(rows) do lines[i] = line(row) end
    return titled and line(titles) or nil, lines
end

return columns
