-- stat: which block sizes make up the heap? As `!heap -stat -h H -grp S N`.
-- One size with a large share is the usual face of a leak: ask `blocks --size` for its blocks and `block` for
-- one of them. size, #blocks and total are hexadecimal, as in the debugger. Only busy blocks count.
--
--      heap @ 036f0000
--     group-by: TOTSIZE max-display: 20
--         size     #blocks       total     ( %) (percent of total busy bytes)
--           f8       442ed -   420d598  (32.40)
--           b6       1067a -    ba9abc  (5.72)

local GROUP_BY <const> = { S = "TOTSIZE", B = "BLOCKCOUNT", A = "ALLOCSIZE" }

heapsift.script {
    summary = "busy blocks grouped by size, as !heap -stat",
    description = [[
Without --heap the blocks of all heaps are grouped together; --per-heap prints one list for each heap.
Numbers in the rows are hexadecimal.
--grp as in the debugger: S by total size, B by number of blocks, A by the size of one block.
--by groups by something else, or by up to four things joined with commas: size, size_class (smallest power of
two that holds the size), heap, state, stored (stored trace index), total (size with header), flags, tag,
first_word, candidate_module (module of the caller, where all candidates agree), type (label).]],
    options = {
        heap = { type = "address", doc = "only this heap: its address, or its place in `heaps`, from 1" },
        per_heap = { type = "flag", doc = "one list for each heap" },
        grp = { type = "choice", choices = { "S", "B", "A" }, default = "S",
                doc = "order: S total size, B number of blocks, A size of one block" },
        by = { type = "string", default = "size", doc = "what to group by" },
        state = { type = "choice", choices = { "busy", "free", "lookaside", "internal", "uncommitted", "all" },
                  doc = "blocks in this state (busy, unless --where speaks of states)" },
        top = { type = "integer", default = 20, min = 0, doc = "rows to print, 0 for all" },
        where = { type = "string", doc = "only blocks that this filter is true for (docs/filters.md)" },
    },
    examples = {
        "heapsift run stat outlook.dmp --heap 36f0000",
        "heapsift run stat outlook.dmp --per-heap --top 5",
        "heapsift run stat outlook.dmp --by stored --grp B",
    },
    json = "heapsift.stat/1",
}

local text = require "text"
local pick = require "pick"
local keys = require "keys"

if args.heap and args.per_heap then
    heapsift.fail("usage", "--heap and --per-heap exclude each other")
end
local names = keys.parse("by", args.by)
local state = pick.state(args.state, args.where)

local function unread_bytes(heaps)
    local bytes = 0
    for _, heap in ipairs(heaps) do
        bytes = bytes + pick.unread(heap)
    end
    return bytes
end

local function choose(heap)
    return pick.blocks(dump, { heap = heap, state = state, filter = args.where, keys = names })
end

local function json_list(chosen, heaps)
    local groups, count, bytes = keys.groups(chosen, names, args.grp), chosen:count(), chosen:bytes()
    return {
        groups = keys.json(dump, names, groups, args.top, bytes), group_count = #groups, blocks = count,
        bytes = bytes, unread = unread_bytes(heaps), unsized = pick.count_unsized(heaps),
    }
end

local function percent_of()
    if args.where then
        return "these blocks' bytes"
    end
    return state == "all" and "all blocks' bytes" or "total " .. state .. " bytes"
end

local function print_list(title, chosen, heaps)
    local groups, count, bytes = keys.groups(chosen, names, args.grp), chosen:count(), chosen:bytes()
    print(" " .. title)
    text.say("group-by: %s max-display: %d", GROUP_BY[args.grp], args.top == 0 and #groups or args.top)
    local shown = keys.print(dump, names, groups, args.top, bytes, percent_of())
    if shown < #groups then
        text.say("    ... %s more; --top 0 shows all", text.plural(#groups - shown, "row"))
    end
    text.say("    %s: %s, %s bytes (%s)", state == "all" and "blocks" or state .. " blocks", text.count(count),
        text.count(bytes), text.size(bytes))
    pick.print_unread(dump, heaps, "    ")
end

local heaps = args.heap and { pick.heap(dump, args.heap) } or pick.read_heaps(dump)

if args.json then
    local lists = {}
    if args.heap or args.per_heap then
        for i, heap in ipairs(heaps) do
            lists[i] = json_list(choose(heap), { heap })
            lists[i].heap = text.hex_address(dump, heap.address)
        end
    else
        lists[1] = json_list(choose(), heaps)
    end
    return report:result {
        by = names, order = args.grp, state = state, lists = lists, heap_list = not args.heap and dump.heap_list or nil,
    }
end

if not args.heap then
    for _, heap in ipairs(pick.heap_sums(dump).unread) do
        text.say("heap @ %s is not read: %s", text.address(dump, heap.address), heap.reason)
    end
end
if args.heap or args.per_heap then
    for i, heap in ipairs(heaps) do
        if i > 1 then
            print()
        end
        print_list("heap @ " .. text.address(dump, heap.address), choose(heap), { heap })
    end
else
    print_list(string.format("all %s together", text.plural(#heaps, "heap")), choose(), heaps)
end
if not args.heap then
    pick.print_list_doubt(dump)
end
