-- coverage: what a batch could not read, and why.
-- Why: an answer over many dumps is worth what it covers. Nothing is left out of the count: inputs that were no dumps,
-- members of archives that were refused, dumps that failed, dumps that were read in part.
-- Known limits: notes are grouped by their text without numbers, so two causes with one wording count as one.
-- Sample output:
--     1,000 inputs: 960 dumps, 12 unreadable, 3 refused, 25 copies

heapsift.script {
    summary = "what a batch could not read, and why",
    input = "results",
    options = { top = { type = "integer", default = 10, min = 0, doc = "so many reasons and notes; 0: all" } },
    examples = { "heapsift run coverage results.db" },
    json = "heapsift.coverage/1",
}

local text = require "text"

local answer = { inputs = {}, results = {}, failures = {}, notes = {} }
for row in results:rows "SELECT state, count(*) AS count FROM inputs GROUP BY state ORDER BY state" do
    answer.inputs[row.state] = row.count
end
for row in results:rows [[SELECT s.name AS script, r.state, count(*) AS count FROM results r
    JOIN scripts s ON s.id = r.script_id GROUP BY 1, 2 ORDER BY 1, 2]] do
    table.insert(answer.results, row)
end
answer.dumps = results:value "SELECT count(*) FROM dumps"
answer.copies = (answer.inputs.known or 0) - results:value
    "SELECT count(DISTINCT dump_id) FROM inputs WHERE dump_id IS NOT NULL"
answer.without_traces = results:value "SELECT count(*) FROM dumps WHERE has_traces = 0"
answer.not_run = results:value [[SELECT count(*) FROM inputs i WHERE i.dump_id IS NOT NULL
    AND NOT EXISTS(SELECT 1 FROM results r WHERE r.dump_id = i.dump_id)]] + (answer.inputs.listed or 0)
for row in results:rows [[SELECT reason, message, count(*) AS count, min(path) AS example FROM failure_list
    GROUP BY reason, message ORDER BY count DESC, reason, message]] do
    table.insert(answer.failures, row)
end

-- Notes without their numbers, so that one cause is one row.
local by_text = {}
for row in results:rows "SELECT n.text, r.dump_id FROM notes n JOIN results r ON r.id = n.result_id ORDER BY 1, 2" do
    local key = row.text:gsub("0x%x+", "#"):gsub("%f[%w]%x*%d%x*%f[%W]", "#")
    local note = by_text[key]
    if not note then
        note = { text = key, count = 0, example = row.text }
        by_text[key] = note
        table.insert(answer.notes, note)
    end
    note.count = note.count + 1
end
table.sort(answer.notes, function(a, b)
    if a.count ~= b.count then return a.count > b.count end
    return a.text < b.text
end)

if args.json then return report:result(answer) end

local function amount(n, what) return ("%s %s"):format(text.count(n or 0), what) end

local all = 0
for _, count in pairs(answer.inputs) do all = all + count end
print(("%s: %s, %s, %s, %s, %s"):format(amount(all, "inputs"), amount(answer.dumps, "dumps"),
    amount(answer.copies, "copies of them"), amount(answer.inputs.unpacked, "archives"),
    amount(answer.inputs.unreadable, "unreadable"), amount(answer.inputs.refused, "refused")))
if answer.not_run > 0 then print(amount(answer.not_run, "not run yet: heapsift batch ... --resume")) end
if answer.without_traces > 0 then print(amount(answer.without_traces, "dumps without a trace database")) end
for _, row in ipairs(answer.results) do print(("%s: %s"):format(row.script, amount(row.count, row.state))) end

local function list(title, rows, show)
    if #rows == 0 then return end
    print("\n" .. title)
    for i, row in ipairs(rows) do
        if args.top > 0 and i > args.top then
            print(("  ... %s more; --top 0 shows all"):format(text.count(#rows - args.top)))
            break
        end
        show(row)
    end
end
list("No result, because", answer.failures, function(row)
    print(("  %6s  %s: %s"):format(text.count(row.count), row.reason, row.message))
    print(("  %6s  such as %s"):format("", row.example))
end)
list("Notes (numbers as #)", answer.notes, function(row)
    print(("  %6s  %s"):format(text.count(row.count), row.text))
end)
