-- who: who allocated the memory, what it is, and why it is likely not freed.
-- The first three lines are the verdict. Below them stands what speaks for it and against it, which other stack could
-- be meant and why it is not, what could not be read and what to capture next.
-- Known false alarms: blocks that a program holds by encoded pointers look lost, and so do those that only the kernel
-- knows of. One hop is looked at: what a lost object holds looks held.
-- Sample output, the first lines:
--     1. Memory  174.7 MiB, 49.4 % of private memory: 2,512,054 blocks of one caller; heaps hold 95.4 %: it is heap
--     2. Who     3rdpartydll+0xc8141 through OLMAPI32!MAPIAllocateBuffer, trace 17dfe (blocks store 7dfe): certain ...
--     3. What    278,862 MAPI table rows with 2,230,898 linked buffers: sets freed, rows not; a leak: certain (0.99)

heapsift.script {
    summary = "the verdict: who allocated the memory, what it is, why it is not freed, and how sure that is",
    description = [[
Joins the trace database, the contents of blocks and the pointers to them. A stored trace index that fits several
stacks is attributed, never guessed. Confidences are numbers from 0 to 1: certain from 0.99, likely from 0.8.]],
    options = {
        top = { type = "integer", default = 5, min = 1, max = 100, doc = "so many suspects" },
        heap = { type = "address", doc = "blocks of this heap only: its address, or its place in `heaps`, from 1" },
        explain = { type = "flag", doc = "say what each part means and which fields it came from" },
    },
    examples = { "heapsift run who outlook.dmp", "heapsift run who outlook.dmp --explain",
                 "heapsift run who outlook.dmp --json --fail-on likely" },
    json = "heapsift.who/1",
}

local text = require "text"
local pick = require "pick"
local stack = require "stack"
local database = require "database"
local page = require "who.page"
local sentences = require "who.sentences"
local verdict = require "who.verdict"

local NOTHING <const> = { "nothing that was found" }
local OUTER_FRAMES <const> = 10 -- shown of those that called the caller

local case = require "who.inquiry".of(dump, { top = args.top, heap = args.heap and pick.heap(dump, args.heap) })
for _, finding in ipairs(case.findings) do report:add(finding, true) end
if args.json then return report:result(require "who.json".of(case)) end

local first = case.first
local judged = first and first.verdict

local function section(title, name)
    page.section(title, args.explain and sentences.meaning[name] or nil)
end

local function percent_of_private(bytes)
    return text.percent(bytes, case.memory.private) .. " %"
end

local function print_verdict()
    page.line("1. Memory  " .. sentences.memory(case))
    page.line("2. Who     " .. sentences.who(case))
    page.line("3. What    " .. sentences.what(case))
    if args.explain then
        print()
        for _, name in ipairs { "line 1", "line 2", "line 3" } do
            page.item(name .. ": " .. sentences.meaning[name], "=")
        end
    end
end

-- The frames up to the caller, and a few of those that called it.
local function print_frames(trace)
    local last = 0
    for i, va in ipairs(trace.frames) do
        if last == 0 or i <= last then print("        " .. stack.frame(dump, va)) end
        if va == first.caller and last == 0 then last = i + OUTER_FRAMES end
    end
    if last > 0 and last < trace.depth then
        local rest = ("... %d more: heapsift run trace %s %x"):format(trace.depth - last, dump.path, trace.index)
        page.line("        " .. rest)
    end
end

local function print_suspect()
    section("Top suspect", "suspect")
    local size = first.size_blocks > first.blocks // 100 and
        (", most often of 0x%x bytes (%s)"):format(first.size, text.count(first.size_blocks)) or ""
    text.facts({
        { "All", ("%s, %s bytes, %s of private memory%s"):format(text.plural(first.blocks, "block"),
            text.count(first.bytes), percent_of_private(first.bytes), size) },
        { "Lost", ("%s, %s bytes: %s"):format(text.plural(first.lost_blocks, "block"), text.count(first.lost_bytes),
            "nothing points to them, or only what is lost itself") },
        { "Heap", sentences.heaps(dump, first) },
        { "Caller", judged.who.full },
        { "Leak", verdict.sure(judged.leak) },
    }, "    ")
    if first.trace and first.trace.readable then
        local count = #first.traces
        page.say(("Stack of trace %s, TraceCount 0x%x%s:"):format(judged.who.index, first.trace.count, count > 1 and
            (", which has most of these bytes; %s of this caller"):format(text.plural(count - 1, "more trace is",
                "more traces are")) or ""))
        print_frames(first.trace)
    end
end

local function print_evidence()
    section("What speaks for it", "evidence")
    local evidence = sentences.attribution_evidence(case)
    table.move(judged.evidence, 1, #judged.evidence, #evidence + 1, evidence)
    page.items(#evidence > 0 and evidence or NOTHING)
    section("What speaks against it", "against")
    page.items(#judged.against > 0 and judged.against or NOTHING)
    page.item("it would be wrong if there were " .. judged.refute)
    if judged.remedy and judged.leak >= verdict.PERHAPS then
        section("Remedy", "remedy")
        page.say(judged.remedy .. ".")
    end
end

local function print_rivals()
    if #case.rivals > 0 then section("Runner-up, and why it lost", "rivals") end
    for _, rival in ipairs(case.rivals) do
        page.item(sentences.rival(rival))
        for _, why in ipairs(rival.why) do page.say("  " .. why, "      ") end
    end
    if case.hint then
        section(("The hint \"%s\""):format(case.hint.debugger), "hint")
        page.say(sentences.hint(dump, case.hint, first))
    end
end

local function print_further()
    if #case.suspects < 2 then return end
    section("Further suspects", "further")
    local rows = {}
    for i = 2, #case.suspects do
        local one = case.suspects[i]
        rows[#rows + 1] = { text.count(one.lost_bytes), text.count(one.bytes), text.count(one.blocks),
            one.verdict.confidence >= verdict.PERHAPS and verdict.sure(one.verdict.confidence) or
                ("no sign (%.2f)"):format(one.verdict.confidence), sentences.short(one) }
    end
    text.table({ { "lost bytes", "right" }, { "bytes", "right" }, { "blocks", "right" }, { "leak", "left" },
        { dump.traces and "allocated by; content" or "content", "left", "middle" } }, rows, "    ")
end

local function print_database()
    section("Trace database", "database")
    for _, line in ipairs(dump.traces and database.meaning(dump.traces) or { sentences.no_database(dump) }) do
        page.say(line)
    end
end

local function print_unread()
    local lines = sentences.unread(case)
    if #lines == 0 then return end
    section("What could not be read", "unread")
    page.items(lines)
end

print_verdict()
if first then
    print_suspect()
    print_evidence()
    print_rivals()
    print_further()
end
print_database()
print_unread()
section("What to capture next", "next")
page.items(sentences.next_steps(case))
