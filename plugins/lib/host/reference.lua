-- reference.lua: `heapsift help NAME` for the functions, methods and objects of the Lua surface, out of the annotated
-- stub. The stub is read as text: comment lines that begin with three dashes, then the function or class they are for.

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

-- Entries by name: "dump:blocks", "heapsift.open", "block". Each has `text`, and for a class its methods.
local function read(path)
    local file <close> = assert(io.open(path))
    local entries, block, class = {}, {}, nil
    for line in file:lines() do
        local comment = line:match "^%-%-%-(.*)$"
        local method, arguments = line:match "^function ([%w_.:]+)(%b())"
        if comment then
            class = class or comment:match "^@class (%S+)"
            block[#block + 1] = comment
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

-- The text for a name, or nil and every name there is. A method is also found by its last part if only one has it,
-- unless `exact`.
function reference.help(data_dir, name, exact)
    local path = data_dir .. "/plugins/lib/heapsift.meta.lua"
    if core.kind(path) ~= "file" then return nil, {} end
    local entries, names, found = read(path), {}, {}
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
