-- top-culprits: which call sites hold most memory over all dumps of a batch.
-- Why: one dump says who leaks there; many say who leaks everywhere. A call site is module+RVA in one version of the
-- module; where a PDB names the function, it is module!function over all versions.
-- Known limits: only findings that name a call site count; copies of a dump count once.
-- Sample output:
--           bytes    blocks  dumps  versions  confidence  call site
--         212,384     2,915      5         1        0.99  3rdpartydll+0xc8141 (1.2.3.4)

heapsift.script {
    summary = "call sites by bytes, by dumps or by folder, over all dumps of a batch",
    input = "results",
    options = {
        by = { type = "choice", choices = { "bytes", "dumps", "folder" }, default = "bytes",
            doc = "order; folder: for each folder that dumps lie in" },
        top = { type = "integer", default = 20, min = 0, doc = "so many rows (of each folder); 0: all" },
        script = { type = "string", doc = "only findings of this script" },
        min_confidence = { type = "number", default = 0, min = 0, max = 1, doc = "only findings from there on" },
        module = { type = "string", doc = "only call sites in this module" },
    },
    examples = { "heapsift run top-culprits results.db --by dumps",
                 "heapsift run top-culprits results.db --by folder" },
    json = "heapsift.top-culprits/1",
}

local text = require "text"

local FROM <const> = [[ FROM finding_list f JOIN inputs i ON i.dump_id = f.dump_id
    WHERE f.place IS NOT NULL AND (:script IS NULL OR f.script = :script) AND f.confidence >= :confidence
    AND (:module IS NULL OR lower(f.module) = lower(:module)) ]]

-- One row for a finding, however many copies its dump has; by folder one for each folder with a copy.
local ROWS <const> = [[ SELECT folder, place, count(DISTINCT dump_id) AS dumps, count(DISTINCT version) AS versions,
    sum(blocks) AS blocks, sum(bytes) AS bytes, max(confidence) AS confidence, min(path) AS example
    FROM (SELECT DISTINCT f.finding_id, f.place, f.version, f.blocks, f.bytes, f.confidence, f.dump_id, f.path,
        CASE WHEN :folders THEN rtrim(i.path, replace(i.path, :slash, :empty)) ELSE :empty END AS folder]]
    .. FROM .. ") GROUP BY folder, place ORDER BY folder, "

local ORDER <const> = { bytes = "bytes DESC, dumps DESC, place", dumps = "dumps DESC, bytes DESC, place",
                        folder = "bytes DESC, dumps DESC, place" }

local rows, shown, of_folder, left_out = {}, {}, nil, 0
for row in results:rows(ROWS .. ORDER[args.by], { script = args.script, confidence = args.min_confidence,
    module = args.module, folders = args.by == "folder", slash = "/", empty = "" }) do
    if row.folder ~= of_folder then of_folder, shown = row.folder, {} end
    if args.top == 0 or #shown < args.top then
        shown[#shown + 1] = row
        rows[#rows + 1] = row
    else
        left_out = left_out + 1
    end
end

if args.json then
    for _, row in ipairs(rows) do
        if args.by ~= "folder" then row.folder = nil end
    end
    return report:result { by = args.by, sites = rows, left_out = left_out }
end
if #rows == 0 then
    print "No finding of these results names a call site. `coverage` tells what was read, and what not."
    return
end
local ROW <const> = "%15s  %10s  %6s  %8s  %10s  %s"
of_folder = nil
for _, row in ipairs(rows) do
    if row.folder ~= of_folder then
        if args.by == "folder" then print((of_folder and "\n" or "") .. row.folder) end
        print(ROW:format("bytes", "blocks", "dumps", "versions", "confidence", "call site"))
        of_folder = row.folder
    end
    print(ROW:format(row.bytes and text.count(row.bytes) or "?", row.blocks and text.count(row.blocks) or "?",
        text.count(row.dumps), text.count(row.versions), ("%.2f"):format(row.confidence), row.place))
end
if left_out > 0 then print(("... %s more; --top 0 shows all"):format(text.count(left_out))) end
