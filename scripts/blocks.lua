-- blocks: the blocks of a size (or a range of them), as `!heap -flt s SIZE` and `!heap -flt r LO HI`.
-- A leak's blocks all look alike: take any address printed here to `block`. Prev is the PreviousSize of the
-- header as it stands in memory; Size and Prev count units (8 bytes on x86, 16 on x64).
--
--         _HEAP @ 36f0000
--           HEAP_ENTRY Size Prev Flags    UserPtr UserSize - state
--             037066f0 0022 0020  [07]   037066f8    000f8 - (busy)
--             03707ff0 0022 0022  [07]   03707ff8    000f8 - (busy)

heapsift.script {
    summary = "blocks by size, heap, state or stored index, as !heap -flt",
    description = [[
Without --state, and without `state` in FILTER, only busy blocks are listed, in the order of the heaps and of
addresses. Numbers in the rows are hexadecimal; Size and Prev count units, UserSize bytes.
--by counts the blocks instead, by up to four keys joined with commas: size, size_class, heap, state, stored,
total, flags, tag, first_word, candidate_module (module of the caller, where all candidates agree), type (label).
FILTER is a condition on the fields and bytes of a block, see docs/filters.md; in quotes, because of the shell.]],
    args = { { name = "filter", type = "string", optional = true, doc = "only blocks that this is true for" } },
    options = {
        size = { type = "string", doc = "size in hex (f8), or a range of sizes (40-7f)" },
        heap = { type = "address", doc = "only this heap: its address, or its place in `heaps`, from 1" },
        state = { type = "choice", doc = "only blocks in this state (busy, unless FILTER speaks of states)",
                  choices = { "busy", "free", "lookaside", "internal", "uncommitted", "all" } },
        stored = { type = "address", doc = "only blocks that carry this stored trace index (hex)" },
        by = { type = "string", doc = "count the blocks by these keys (joined with commas)" },
        limit = { type = "integer", default = 100, min = 0, doc = "rows to print, 0 for all" },
    },
    examples = {
        "heapsift run blocks outlook.dmp --size f8 --heap 36f0000",
        "heapsift run blocks outlook.dmp 'size == 0xf8 and u32(0) == 0x10000001' --by stored,size,heap",
        "heapsift run blocks outlook.dmp --size 10000-ffffffff --state free",
    },
    json = "heapsift.blocks/1",
}

local text = require "text"
local pick = require "pick"
local keys = require "keys"
local entry = require "entry"
local firstword = require "firstword"

local wanted = { state = pick.state(args.state, args.filter), stored = args.stored, filter = args.filter }
local names = args.by and keys.parse("by", args.by)
wanted.keys = names
local heaps
if args.heap then
    wanted.heap = pick.heap(dump, args.heap)
    heaps = { wanted.heap }
else
    heaps = pick.read_heaps(dump)
end
if args.size then
    wanted.low, wanted.high = pick.size_range("size", args.size)
end
local chosen = pick.blocks(dump, wanted)
local count, bytes = chosen:count(), chosen:bytes()

local function footer()
    text.say("%s, %s bytes (%s)", text.plural(count, "block"), text.count(bytes), text.size(bytes))
    pick.print_unread(dump, heaps)
    if not args.heap then
        pick.print_list_doubt(dump)
    end
end

-- The answer as JSON, with what of these heaps could not be read.
local function result(fields)
    local unread = 0
    for _, heap in ipairs(heaps) do
        unread = unread + pick.unread(heap)
    end
    fields.blocks, fields.bytes, fields.unread, fields.unsized = count, bytes, unread, pick.count_unsized(heaps)
    fields.heap_list = not args.heap and dump.heap_list or nil
    return report:result(fields)
end

-- The first `limit` blocks.
local function each_shown(visit)
    local shown = 0
    for block in chosen:each() do
        if args.limit ~= 0 and shown == args.limit then
            break
        end
        shown = shown + 1
        visit(block)
    end
    return shown
end

local function print_blocks()
    local address
    local shown = each_shown(function(block)
        local heap = block.heap
        if heap.address ~= address then
            address = heap.address
            print("    " .. entry.heap(heap.address))
            print(entry.title(dump, "      "))
        end
        print("        " .. entry.row(dump, block))
        if args.windbg_names and block.state == "busy" then
            local verdict = firstword.judge(dump, block)
            if verdict then
                print("          " .. firstword.hint(dump, verdict))
            end
        end
    end)
    if shown < count then
        text.say("    ... %s more; --limit 0 shows all, --by size,stored,heap counts them",
            text.plural(count - shown, "block"))
    end
    footer()
end

if names then
    local groups = keys.groups(chosen, names, "S")
    if args.json then
        return result {
            by = names, group_count = #groups, groups = keys.json(dump, names, groups, args.limit, bytes),
        }
    end
    keys.print(dump, names, groups, args.limit, bytes, "these blocks' bytes")
    footer()
elseif args.json then
    local rows = {}
    each_shown(function(block)
        rows[#rows + 1] = entry.json(dump, block)
    end)
    return result { rows = rows }
else
    print_blocks()
end
