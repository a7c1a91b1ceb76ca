-- block: which block holds this address, and who may have allocated it? As `!heap -p -a ADDR`.
-- The debugger prints one stack. A block keeps only the low bits of its trace's index, so when the database
-- has more entries than those bits can count, several stacks fit: all of them are printed, and what speaks
-- for each.
--
--         address 0372e598 found in
--         _HEAP @ 36f0000
--           HEAP_ENTRY Size Prev Flags    UserPtr UserSize - state
--             0372e598 0022 000d  [07]   0372e5a0    000f8 - (busy)
--             Trace: 7dfe, which 2 traces of the database fit: 07dfe and 17dfe
--
--             Trace 07dfe   TraceCount 0x2   Depth 0x19
--             7c96cf9a ntdll!RtlDebugAllocateHeap+0xe1

heapsift.script {
    summary = "the block that holds an address, with every trace that fits it, as !heap -p -a",
    description = [[
Prints the block's header row, its state, the stored trace index and every candidate trace with its frames.
An address that no block holds ends with exit code 6 and says what lies there.]],
    args = {
        { name = "address", type = "address", doc = "any address inside the block" },
    },
    examples = { "heapsift run block outlook.dmp 0372e598", "heapsift run block outlook.dmp 0372e598+40" },
    json = "heapsift.block/1",
}

local text = require "text"
local pick = require "pick"
local entry = require "entry"
local stack = require "stack"
local firstword = require "firstword"
local regions = require "regions"

local INDENT <const> = "        "

local va = args.address
local block = dump:block(va)

if not block then
    text.fail("missing", "no block holds %s: %s", text.address(dump, va), regions.describe(dump, va))
elseif block.state == "uncommitted" then
    text.fail("missing", "no block holds %s: it lies in the uncommitted range %s to %s of heap %x",
        text.address(dump, va), text.address(dump, block.address),
        text.address(dump, block.address + block.total), block.heap.address)
end

local traces = dump.traces
local stored = block.stored_index
local candidates = {}
if traces and stored then
    for _, trace in ipairs(traces:candidates(stored)) do
        candidates[#candidates + 1] = trace
    end
end
local verdict = block.state == "busy" and firstword.judge(dump, block) or nil
-- Busy blocks of the whole process that carry the same stored index.
local sharing = stored and stored ~= 0 and pick.blocks(dump, { state = "busy", stored = stored }):count()

if args.json then
    local found = {}
    for i, trace in ipairs(candidates) do
        found[i] = stack.trace_json(dump, trace)
    end
    local result = entry.json(dump, block)
    result.asked = text.hex_address(dump, va)
    result.offset = va - block.user
    result.candidates = found
    result.blocks_with_stored_index = sharing or nil
    result.first_word = verdict and {
        value = text.hex_address(dump, verdict.value), module = verdict.module.name,
        section = verdict.section, is_vtable = verdict.is_vtable, why_not = verdict.why,
    }
    return report:result(result)
end

-- Where in the block the address is, when it is not its header.
local function print_place()
    if va == block.address then
        return
    elseif va < block.user then
        print(INDENT .. "The address lies in the block's header.")
    elseif va < block.user + block.size then
        text.say("%sThe address is user byte 0x%x of 0x%x.", INDENT, va - block.user, block.size)
    else
        text.say("%sThe address lies 0x%x bytes past the end of what the program asked for.", INDENT,
            va - block.user - block.size)
    end
end

-- What an internal block is, as far as its place tells.
local function print_internal()
    local heap = block.heap
    local what = "bookkeeping of the heap (look-aside lists or another front end)"
    if block.address == heap.address then
        what = "the header of the heap"
    else
        for _, segment in ipairs(heap.segments) do
            if segment.address >= block.address and segment.address < block.address + block.total then
                what = "the record of a segment"
            end
        end
    end
    print(INDENT .. "The heap's own memory: " .. what .. ". No program allocated it.")
end

local function print_no_index()
    if block.state ~= "busy" then
        text.say("%sTrace: none, the block is %s.", INDENT, block.state)
    elseif not traces then
        print(INDENT .. "Trace: none, no stack trace database was found (`info` says why).")
    elseif not stored then
        print(INDENT .. "Trace: none, the block has no extra bytes that would hold an index.")
    end
end

local function print_zero()
    text.say("%sTrace: 0000, not recorded%s.", INDENT, #candidates > 0
        and string.format(", or an index that is a multiple of 0x%x", 1 << traces.index_bits) or "")
    if traces.full then
        print(INDENT .. "The database is full: call stacks that were new after that have no entry.")
    end
end

local function print_trace_line()
    if #candidates == 0 then
        text.say("%sTrace: %04x, but the database has only 0x%x entries: no trace fits.", INDENT, stored,
            traces.count)
    elseif #candidates > 1 then
        text.say("%sTrace: %04x, which %d traces of the database fit: %s", INDENT, stored, #candidates,
            stack.indexes(traces, candidates))
    end
end

-- Why there are several, and how many blocks each can account for.
local function print_why()
    local limits = {}
    for i, trace in ipairs(candidates) do
        local index = stack.index(traces, trace.index)
        limits[i] = trace.readable and string.format("0x%x can be of %s", trace.count, index)
            or string.format("an unknown number can be of %s", index)
    end
    print()
    text.say("%sWhy several: a block stores only %d bits of the index, and the database has 0x%x entries.",
        INDENT, traces.index_bits, traces.count)
    if sharing then
        text.say("%s0x%x busy blocks carry %04x. TraceCount counts captures and never goes down,", INDENT,
            sharing, stored)
        text.say("%sso of these blocks at most %s.", INDENT, table.concat(limits, ", at most "))
    end
    if stored ~= 0 then
        text.say("%sA debugger shows only %s; the index alone cannot tell which one allocated this block.",
            INDENT, stack.index(traces, candidates[1].index))
    end
end

local function print_candidates()
    for _, trace in ipairs(candidates) do
        if #candidates > 1 then
            print()
        end
        local index = stack.index(traces, trace.index)
        if trace.readable then
            text.say("%sTrace %s   TraceCount 0x%x   Depth 0x%x", INDENT, index, trace.count, trace.depth)
            stack.print(dump, trace, INDENT)
        else
            text.say("%sTrace %s cannot be read", INDENT, index)
        end
    end
    if #candidates > 1 then
        print_why()
    end
end

print("    address " .. text.address(dump, va) .. " found in")
print("    " .. entry.heap(block.heap.address))
print(entry.title(dump, "      "))
print(INDENT .. entry.row(dump, block))
if verdict and args.windbg_names then
    print(INDENT .. "  " .. firstword.hint(dump, verdict))
end
if block.state ~= "internal" then
    print_place()
end
if block.state == "internal" then
    print_internal()
elseif not traces or not stored or block.state ~= "busy" then
    print_no_index()
elseif stored == 0 then
    print_zero()
    print_candidates()
else
    print_trace_line()
    print_candidates()
end
if verdict then
    print()
    for _, line in ipairs(firstword.lines(dump, verdict)) do
        print(INDENT .. line)
    end
end
