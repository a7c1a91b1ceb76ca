-- traces: the stack trace database: its figures as `dt _STACK_TRACE_DATABASE`, and the stacks captured most
-- often. NumberOfEntriesAdded past 0xffff means that stored indexes are ambiguous: `block` then shows several
-- candidates. A high TraceCount says that a stack allocated often, not that its blocks still live.
--
--     +0x05c NumberOfEntriesLookedUp : 0x33c97e8
--     +0x060 NumberOfEntriesAdded : 0x1ff6b
--
--      TraceCount  share   index  stored  depth  caller
--          442ac   0.5 %   17dfe    7dfe      c  3rdpartydll+0xc8141

heapsift.script {
    summary = "the stack trace database: its figures and the traces captured most often",
    description = [[
Figures as in `dt _STACK_TRACE_DATABASE`, then what they mean, then the traces by --sort. `trace INDEX`
prints one of them whole. Counts, indexes and depths are hexadecimal, as in the debugger.]],
    options = {
        top = { type = "integer", default = 20, min = 0, doc = "traces to list, 0 for none" },
        all = { type = "flag", doc = "list every trace" },
        sort = { type = "choice", choices = { "count", "index", "depth" }, default = "count",
                 doc = "count: most captures first; index: oldest first; depth: deepest first" },
        module = { type = "string", doc = "only traces with a frame in this module" },
    },
    examples = {
        "heapsift run traces outlook.dmp",
        "heapsift run traces outlook.dmp --module 3rdpartydll --top 50",
        "heapsift run traces outlook.dmp --all --sort index",
    },
    json = "heapsift.traces/1",
}

local text = require "text"
local stack = require "stack"
local database = require "database"

local db = database.need(dump)

local module
if args.module then
    module = dump:module(args.module)
    if not module then
        text.fail("missing", "no module is called %s; `modules` lists them", args.module)
    end
end
local indexes, matching, captures = db:top(args.all and db.count or args.top, args.sort, module and module.base,
    module and module.base + module.size - 1)

if args.json then
    local out = {}
    for i, index in ipairs(indexes) do
        out[i] = stack.trace_json(dump, db[index])
    end
    return report:result {
        database = database.json(dump, db), matching = matching, captures = captures, traces = out,
    }
end

database.print(dump, db)
print()
for _, line in ipairs(database.meaning(db)) do
    print(line)
end
if #indexes > 0 then
    local lines = {}
    for i, index in ipairs(indexes) do
        local trace = db[index]
        local caller = trace:caller()
        lines[i] = {
            string.format("%x", trace.count), text.percent(trace.count, db.captures) .. " %",
            string.format("%x", trace.index), string.format("%04x", trace.stored),
            string.format("%x", trace.depth),
            caller and (stack.symbol(dump, caller) or text.address(dump, caller)) or "(system modules only)",
        }
    end
    print()
    text.table({
        { "TraceCount", "right" }, { "share", "right" }, { "index", "right" }, { "stored", "right" },
        { "depth", "right" }, { "caller (first frame outside allocators and system modules)", "left", "middle" },
    }, lines)
end
local missing = matching - #indexes
if args.module then
    text.say("%s pass through %s, with 0x%x captures.", text.plural(matching, "trace"), args.module, captures)
end
if missing > 0 then
    text.say("... %s more; --all lists every one", text.plural(missing, "trace"))
end
