-- mapi_tags.lua: makes plugins/lib/mapi_tags.lua from a table of property tags (tag,property_id,type,pr_name,pid_name).
--     lua5.4 tests/tools/mapi_tags.lua mapi_property_tags.csv > plugins/lib/mapi_tags.lua

local rows, seen = {}, {}
for line in io.lines((assert(arg[1], "the path of the CSV file expected"))) do
    local tag, _, _, pr, pid = line:match "^(0x%x+),([^,]*),([^,]*),([^,]*),([^,\r]*)"
    local name = pr ~= "" and pr or pid
    if tag and name and name ~= "" and not seen[tag:lower()] then
        seen[tag:lower()] = true
        rows[#rows + 1] = { tonumber(tag), name }
    end
end
table.sort(rows, function(a, b) return a[1] < b[1] end)

io.write [[
-- mapi_tags.lua: MAPI property tags by number (id << 16 | type) and their names. Data from published headers and
-- [MS-OXPROPS], made by tests/tools/mapi_tags.lua; a tag that is missing here may still be one.

return {
]]
for _, row in ipairs(rows) do io.write(("[0x%08x]=%q,\n"):format(row[1], row[2])) end
io.write "}\n"
