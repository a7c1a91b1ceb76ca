-- export: results of a batch as CSV or JSON Lines, for other programs.
-- Why: spreadsheets and pipelines. `all` gives every record in a fixed order without ids and times: two stores with the
-- same results give the same text. Known limits: CSV is one table, so `all` is JSON Lines only.
-- Sample output, of `export results.db --what site_totals`:
--     script,place,module,dumps,blocks,bytes

heapsift.script {
    summary = "results of a batch as CSV or JSON Lines",
    description = [[
Writes one view or table (docs/store.md), or all records, to standard output or to --to FILE. In CSV a text that a
spreadsheet would take for a formula gets a ' before it.]],
    input = "results",
    options = {
        what = { type = "choice", default = "finding_list", doc = "which rows", choices = { "all", "finding_list",
            "site_totals", "site_list", "failure_list", "result_list", "module_list", "inputs", "dumps", "figures",
            "tables", "table_rows", "notes", "runs", "timings" } },
        format = { type = "choice", choices = { "csv", "jsonl" }, doc = "default: csv; jsonl with --what all" },
        to = { type = "path", doc = "write to this file" },
    },
    examples = { "heapsift run export results.db --what site_totals", "heapsift run export results.db --what all" },
    json = "heapsift.export/1",
}

local records = require "records"

local format = args.format or (args.what == "all" and "jsonl" or "csv")
if args.what == "all" and format == "csv" then heapsift.fail("usage", "--what all is JSON Lines: --format jsonl") end
if args.json and not args.to then heapsift.fail("usage", "--json tells what was written: it needs --to FILE") end

local file = args.to and heapsift.output(args.to)
local count = 0
local function put(line)
    if file then file:write(line) else heapsift.write(line) end
end

if args.what == "all" then
    records.each(results, nil, function(line)
        count = count + 1
        put(line)
    end)
else
    local sql = "SELECT * FROM " .. args.what -- one of the choices
    local columns = results:columns(sql)
    if format == "csv" then
        local head = {}
        for _, column in ipairs(columns) do head[column] = column end
        put(records.csv(columns, head))
    end
    for row in results:rows(sql) do
        count = count + 1
        put(format == "csv" and records.csv(columns, row) or records.json(args.what, columns, row))
    end
end
if file then file:close() end
if args.json then report:result { what = args.what, format = format, rows = count, path = args.to } end
