-- merge.lua: `heapsift merge`: results of several batches joined in one store.

local core = require "host.core"
local ends = require "host.ends"
local json = require "host.json"
local out = require "host.out"

local merge = {}

-- Runs `heapsift merge OUT.db PART.db...`.
function merge.run(paths, as_json)
    local target = table.remove(paths, 1)
    if not target or not paths[1] then
        ends.fail("usage", "merge: OUT.db PART.db... expected; see heapsift help merge", false)
    end
    for _, part in ipairs(paths) do
        if part:find "^%-" then ends.fail("usage", ("merge: unknown option '%s'"):format(part), false) end
        if not core.kind(part) then ends.fail("input", "no such file", part) end
        if core.same_file(part, target) then ends.fail("usage", "cannot be a part of itself", part) end
    end
    local store, message = core.store(target, "continue")
    if not store then ends.fail("failed", message, target) end
    core.hold_signals(true) -- a part is in it wholly or not at all
    for i, part in ipairs(paths) do
        local ok, why, kind = store:merge(part)
        if not ok then
            store:close()
            ends.fail((kind == "io" or kind == "memory") and "failed" or "input", why, part)
        end
        if core.signal() ~= 0 then
            store:close()
            out.complain(("interrupted after %d of %d parts; the same command goes on"):format(i, #paths))
            return 128 + core.signal()
        end
    end
    local questions = store:questions()
    local dumps = questions:value "SELECT count(*) FROM dumps"
    local results = questions:value "SELECT count(*) FROM results"
    local failed = questions:value "SELECT count(*) FROM errors"
    questions:close()
    store:close()
    if as_json then
        core.write_raw(json.encode(json.object { { "schema", "heapsift.merge/1" }, { "out", target },
            { "parts", #paths }, { "dumps", dumps }, { "results", results }, { "errors", failed } }) .. "\n")
    else
        core.print(("%s: %d parts joined, %d dumps, %d results, %d errors"):format(target, #paths, dumps, results,
            failed))
    end
    return 0
end

merge.USAGE = [[
Usage: heapsift merge OUT.db PART.db...

Joins results of batches, such as those of --shard: every dump and every path is in OUT.db once, in whatever order the
parts come, and however often. OUT.db may be there already. Each part is in it wholly or not at all: after an
interruption the same command goes on. Parts of another schema version, or made by another version of the script, its
plugins or heapsift, are refused, and so are shards of different lists of inputs.
]]
return merge
