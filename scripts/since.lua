-- since: from which version of its module on a call site grows.
-- Why: the version in which a leak came tells the change that made it. Compared is the mean of a call site's bytes over
-- all dumps of a module version, those without the finding counted as 0, with the versions before.
-- Known limits: versions can only be compared where a PDB names the function; otherwise an address means something else
-- in each version, and the answer says so. Few dumps of a version prove little: their number is shown.
-- Sample output:
--     addin!Leak::Make: grows since 2.0.0.0
--             version   dumps   with it      mean bytes
--             1.0.0.0      12         0               0
--             2.0.0.0       9         9       1,204,224   <-

heapsift.script {
    summary = "first version of its module in which a call site grows",
    input = "results",
    options = {
        site = { type = "string", doc = "only call sites whose name has this in it" },
        script = { type = "string", doc = "only findings of this script" },
        factor = { type = "number", default = 2, min = 1, doc = "grows: so many times the mean of earlier versions" },
        top = { type = "integer", default = 10, min = 0, doc = "so many call sites, most bytes first; 0: all" },
    },
    examples = { "heapsift run since results.db", "heapsift run since results.db --site addin" },
    json = "heapsift.since/1",
}

local text = require "text"

local PLACES <const> = [[ SELECT p.place, p.module, max(p.symbols = :pdb) AS named, sum(f.bytes) AS bytes
    FROM findings f JOIN site_list p ON p.site_id = f.site_id JOIN results r ON r.id = f.result_id
    JOIN scripts s ON s.id = r.script_id WHERE (:script IS NULL OR s.name = :script)
    AND (:site IS NULL OR instr(lower(p.place), lower(:site)) > 0)
    GROUP BY p.place ORDER BY bytes DESC, p.place ]]

-- Every version of a module, with the dumps that have it and a result, and what the call site has in them.
local VERSIONS <const> = [[ SELECT version, max(version_number) AS number, count(*) AS dumps,
    count(bytes) AS found, coalesce(sum(bytes), 0) AS bytes FROM (
        SELECT m.version, m.version_number, x.dump_id, (SELECT sum(f.bytes) FROM results r
            JOIN scripts s ON s.id = r.script_id JOIN findings f ON f.result_id = r.id
            JOIN site_list p ON p.site_id = f.site_id WHERE r.dump_id = x.dump_id AND p.place = :place
            AND p.module_id = m.id AND (:script IS NULL OR s.name = :script)) AS bytes
        FROM modules m JOIN dump_modules x ON x.module_id = m.id WHERE m.name = :module
        AND EXISTS(SELECT 1 FROM results r JOIN scripts s ON s.id = r.script_id WHERE r.dump_id = x.dump_id
            AND r.state <> :failed AND (:script IS NULL OR s.name = :script)))
    GROUP BY version ORDER BY number, version ]]

-- The first version that grows, as its place in the list; nil if none does.
local function first_growing(versions)
    local bytes, dumps = 0, 0
    for i, each in ipairs(versions) do
        local before = dumps > 0 and bytes / dumps or 0
        if each.mean > 0 and each.mean >= args.factor * before then return i end
        bytes, dumps = bytes + each.bytes, dumps + each.dumps
    end
end

local function inquire(place)
    local versions = {}
    for row in results:rows(VERSIONS, { place = place.place, module = place.module, script = args.script,
        failed = "failed" }) do
        row.mean = row.bytes / row.dumps
        versions[#versions + 1] = row
    end
    local first = first_growing(versions)
    local answer = { place = place.place, module = place.module, comparable = place.named == 1 or #versions == 1,
                     versions = {}, since = first and versions[first].version, earliest = first == 1 or nil }
    for i, each in ipairs(versions) do
        answer.versions[i] = { version = each.version, dumps = each.dumps, found = each.found, mean_bytes = each.mean }
    end
    return answer
end

local answers, left_out = {}, 0
for place in results:rows(PLACES, { pdb = "pdb", script = args.script, site = args.site }) do
    if args.top == 0 or #answers < args.top then
        answers[#answers + 1] = inquire(place)
    else
        left_out = left_out + 1
    end
end

if args.json then return report:result { factor = args.factor, sites = answers, left_out = left_out } end
if #answers == 0 then print "No finding of these results names such a call site." end

local function shown(version) return version ~= "" and version or "(no version)" end

for _, each in ipairs(answers) do
    local verdict = "does not grow"
    if not each.comparable then
        verdict = "other versions cannot be compared: no PDB names the function (--symbols)"
    elseif each.since and each.earliest then
        verdict = ("is there since %s, the first version that was seen"):format(shown(each.since))
    elseif each.since then
        verdict = ("grows since %s"):format(shown(each.since))
    end
    print(("%s: %s"):format(each.place, verdict))
    print(("  %18s  %6s  %8s  %14s"):format("version", "dumps", "with it", "mean bytes"))
    for _, version in ipairs(each.versions) do
        print(("  %18s  %6s  %8s  %14s%s"):format(shown(version.version), text.count(version.dumps),
            text.count(version.found), text.count(math.floor(version.mean_bytes + 0.5)),
            each.comparable and version.version == each.since and "  <-" or ""))
    end
end
if left_out > 0 then print(("... %s more; --top 0 shows all"):format(text.count(left_out))) end
