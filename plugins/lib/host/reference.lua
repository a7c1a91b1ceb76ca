-- reference.lua: `heapsift help NAME` for the functions, methods and objects of the Lua surface, out of the annotated
-- stub. The stub is read as text: comment lines that begin with three dashes, then the function or class they are for.
-- Pages of docs/ that are a subject of their own are printed whole.

local core = require "host.core"

local reference = {}

-- A comment block as text: what it says, then parameters, results and fields in columns.
local function render(title, block)
    local out, rows = { title, "" }, {}
    for _, line in ipairs(block) do
        local tag, rest = line:match "^@(%a+)%s*(.*)$"
        if not tag then
            out[#out + 1] = line
        elseif tag == "param" or tag == "field" then
            local name, what = rest:match "^(%S+)%s*(.*)$"
            rows[#rows + 1] = { tag == "param" and "takes" or "field", name .. "  " .. what }
        elseif tag == "return" then
            rows[#rows + 1] = { "gives", rest }
        end
    end
    if #rows > 0 and out[#out] ~= "" then out[#out + 1] = "" end
    for _, row in ipairs(rows) do out[#out + 1] = ("    %-6s %s"):format(row[1], row[2]) end
    return table.concat(out, "\n") .. "\n"
end

-- Entries by name: "dump:blocks", "heapsift.open", "block", "block.size". Each has `text`, and a class its methods.
local function read(path)
    local file <close> = assert(io.open(path))
    local entries, block, class = {}, {}, nil
    for line in file:lines() do
        local comment = line:match "^%-%-%-(.*)$"
        local method, arguments = line:match "^function ([%w_.:]+)(%b())"
        if comment then
            class = class or comment:match "^@class (%S+)"
            block[#block + 1] = comment
            local field, what = comment:match "^@field ([%w_]+%??)%s*(.*)$"
            if class and field then
                entries[class .. "." .. field:gsub("%?", "")] = { text = ("%s.%s  %s\n"):format(class, field, what) }
            end
        else
            if method then
                entries[method] = { text = render(method .. arguments, block) }
                local owner = entries[method:match "^(.-)[.:]"]
                if owner then owner.methods[#owner.methods + 1] = method .. arguments end
            elseif class then
                entries[class] = { text = render(class, block), methods = {} }
            end
            block, class = {}, nil
        end
    end
    return entries
end

-- Pages by the words that ask for them, and by their files.
local PAGES <const> = { filter = "filters.md", filters = "filters.md" }
local WIDTH <const> = 100

-- Words of a paragraph in lines of at most WIDTH columns; those after the first are indented by `hang` blanks.
local function wrap(out, first, paragraph, hang)
    local line, empty = first, true
    for word in paragraph:gmatch "%S+" do
        if not empty and utf8.len(line) + 1 + utf8.len(word) > WIDTH then
            out[#out + 1], line, empty = line, (" "):rep(hang), true
        end
        line, empty = line .. (empty and "" or " ") .. word, false
    end
    out[#out + 1] = line
end

-- The lines of a Markdown table as two columns, without the line of dashes.
local function columns(out, rows)
    local widest = 0
    for _, row in ipairs(rows) do widest = math.max(widest, utf8.len(row[1])) end
    for _, row in ipairs(rows) do
        local first = "    " .. row[1] .. (" "):rep(widest - utf8.len(row[1]) + 2)
        wrap(out, first, row[2], 4 + widest + 2)
    end
end

-- A page of Markdown as text for a terminal.
local function page(path)
    local out, rows = {}, {}
    for line in io.lines(path) do
        local left, right = line:match "^| (.-) | (.*) |$"
        if left then
            if not left:find "^%-+$" then rows[#rows + 1] = { (left:gsub("`", "")), right } end
        else
            if #rows > 0 then columns(out, rows) end
            rows = {}
            local heading = line:match "^#+ (.*)$"
            if heading or line == "" or line:find "^    " then
                out[#out + 1] = heading and heading:upper() or line
            elseif line:find "^%- " then
                wrap(out, "  - ", line:sub(3), 4)
            else
                wrap(out, "", (line:gsub("%*%*", "")), 0)
            end
        end
    end
    if #rows > 0 then columns(out, rows) end
    return table.concat(out, "\n") .. "\n"
end

-- The text for a name, or nil and every name there is. A method is also found by its last part if only one has it,
-- unless `exact`.
function reference.help(data_dir, name, exact)
    local subject = PAGES[name] and data_dir .. "/docs/" .. PAGES[name]
    if subject and core.kind(subject) == "file" then return page(subject) end
    local path = data_dir .. "/plugins/lib/heapsift.meta.lua"
    if core.kind(path) ~= "file" then return nil, {} end
    local entries, names, found = read(path), { "filter" }, {}
    for known in pairs(entries) do
        names[#names + 1] = known
        if known == name or not exact and known:match "[.:]([%w_]+)$" == name then found[#found + 1] = known end
    end
    table.sort(names)
    table.sort(found)
    local entry = entries[name] or #found == 1 and entries[found[1]]
    if entry then
        local methods = entry.methods and #entry.methods > 0
            and "\nMethods:\n    " .. table.concat(entry.methods, "\n    ") .. "\n" or ""
        return entry.text .. methods
    elseif #found > 1 then
        return ("%s: one of\n    %s\n"):format(name, table.concat(found, "\n    "))
    end
    return nil, names
end

return reference
