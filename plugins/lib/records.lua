-- records: everything in the results of a batch as flat records that need no ids: dumps go by their content, scripts by
-- name and words. The order is fixed, so two stores that hold the same give the same text. What varies from run to run
-- (times, sizes in memory) is left out.

local records = {}

local RESULT <const> = [[ JOIN results r ON r.id = x.result_id JOIN scripts s ON s.id = r.script_id
    JOIN dumps d ON d.id = r.dump_id WHERE (:dump IS NULL OR d.id = :dump) ]]

-- { name, SELECT }; :dump is the id of one dump, or NULL for all.
records.list = {
    { "input", [[SELECT i.path, i.size, i.modified_ns, i.state, d.content AS dump, a.path AS archive, e.reason,
        e.message FROM inputs i LEFT JOIN dumps d ON d.id = i.dump_id LEFT JOIN inputs a ON a.id = i.archive_id
        LEFT JOIN errors e ON e.input_id = i.id ORDER BY i.path, i.path_bytes]] },
    { "dump", [[SELECT content AS dump, size, arch, pointer_size, windows, windows_build, service_pack, process,
        process_path, process_id, dumped_at, started_at, user_seconds, kernel_seconds, global_flag, has_traces,
        full_memory, cut FROM dumps WHERE :dump IS NULL OR id = :dump ORDER BY content]] },
    { "module", [[SELECT d.content AS dump, m.name, m.version, m.timestamp, m.size, m.pdb, m.pdb_id
        FROM dump_modules x JOIN dumps d ON d.id = x.dump_id JOIN modules m ON m.id = x.module_id
        WHERE :dump IS NULL OR d.id = :dump ORDER BY 1, 2, 3, 4, 5, 6, 7]] },
    { "result", [[SELECT s.name AS script, s.arguments, r.code, d.content AS dump, r.state, r.exit_code, e.reason,
        e.message, e.stderr, r.schema, r.result FROM results r JOIN scripts s ON s.id = r.script_id
        JOIN dumps d ON d.id = r.dump_id LEFT JOIN errors e ON e.result_id = r.id
        WHERE :dump IS NULL OR d.id = :dump ORDER BY 1, 2, 4]] },
    { "finding", [[SELECT s.name AS script, s.arguments, d.content AS dump, x.position, x.claim, x.confidence,
        x.level, x.blocks, x.bytes, x.share, x.trace, x.module, x.frame, p.site, p.place, p.version, x.evidence,
        x.against, x.remedy, x.missing, x.refute FROM findings x LEFT JOIN site_list p ON p.site_id = x.site_id]]
        .. RESULT .. "ORDER BY 1, 2, 3, 4" },
    { "figure", "SELECT s.name AS script, s.arguments, d.content AS dump, x.position, x.name, x.value, x.unit"
        .. " FROM figures x" .. RESULT .. "ORDER BY 1, 2, 3, 4" },
    { "table", "SELECT s.name AS script, s.arguments, d.content AS dump, x.position, x.title, x.columns FROM tables x"
        .. RESULT .. "ORDER BY 1, 2, 3, 4" },
    { "row", "SELECT s.name AS script, s.arguments, d.content AS dump, x.position, x.row, x.cells FROM table_rows x"
        .. RESULT .. "ORDER BY 1, 2, 3, 4, 5" },
    { "note", "SELECT s.name AS script, s.arguments, d.content AS dump, x.position, x.text FROM notes x"
        .. RESULT .. "ORDER BY 1, 2, 3, 4" },
}

-- ---- as text ----

local ESCAPES <const> = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t", ["\r"] = "\\r" }

local function json_value(value)
    if value == nil then return "null" end
    if math.type(value) == "integer" then return tostring(value) end
    if type(value) == "number" then
        return value == value and value ~= math.huge and value ~= -math.huge and ("%.15g"):format(value) or "null"
    end
    return '"' .. value:gsub('[%c"\\\127]', function(c) return ESCAPES[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

-- One record as a line of JSON: its kind first, NULL left out.
function records.json(kind, columns, row)
    local parts = { ('{"record":%s'):format(json_value(kind)) }
    for _, column in ipairs(columns) do
        if row[column] ~= nil then
            parts[#parts + 1] = ("%s:%s"):format(json_value(column), json_value(row[column]))
        end
    end
    return table.concat(parts, ",") .. "}\n"
end

-- One row as a line of CSV. A text that a spreadsheet would take for a formula gets a ' before it.
function records.csv(columns, row)
    local cells = {}
    for i, column in ipairs(columns) do
        local value = row[column]
        local text = value == nil and "" or type(value) == "number" and json_value(value) or value
        if type(value) == "string" and value:find "^[=+@\t\r-]" then text = "'" .. text end
        if text:find '[",\n\r]' then text = '"' .. text:gsub('"', '""') .. '"' end
        cells[i] = text
    end
    return table.concat(cells, ",") .. "\n"
end

-- Calls put(line) for every record: of one dump (its id) what it has, of all (nil) everything; `kind`: only those.
function records.each(results, dump, put, kind)
    for _, each in ipairs(records.list) do
        local name, sql = table.unpack(each)
        if (kind or name) == name and not (dump and name == "input") then
            local given = { dump = dump } -- the statement of inputs has no :dump, and takes none
            local columns = results:columns(sql, given)
            for row in results:rows(sql, given) do put(records.json(name, columns, row)) end
        end
    end
end

return records
