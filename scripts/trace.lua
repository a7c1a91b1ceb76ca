-- trace: one entry of the stack trace database by its full index, as `dt _RTL_STACK_TRACE_ENTRY` and `dds`.
-- `trace 7dfe` and `trace 17dfe` are two different stacks whose blocks carry the same stored index 7dfe.
--
--     ntdll!_RTL_STACK_TRACE_ENTRY at 00cebde8, index 17dfe
--        +0x000 HashChain : 0x00ced18c _RTL_STACK_TRACE_ENTRY
--        +0x004 TraceCount : 0x442ac
--        +0x008 Index : 0x7dfe
--        +0x00a Depth : 0xc
--        +0x00c BackTrace : [32] 0x7c96cf9a
--     00cebdf4  7c96cf9a ntdll!RtlDebugAllocateHeap+0xe1

heapsift.script {
    summary = "one call stack of the trace database, by its full index",
    description = [[
INDEX is the full index (hex), not the 16 bits that a block stores: for those see `block`. Prints the entry,
its frames (address of the slot, return address, name), the stored index that its blocks carry, and which
other traces share it.]],
    args = {
        { name = "index", type = "address", doc = "full index of the trace, hex" },
    },
    examples = { "heapsift run trace outlook.dmp 17dfe" },
    json = "heapsift.trace/1",
}

local text = require "text"
local stack = require "stack"
local database = require "database"

local db = database.need(dump)
if args.index < 1 or args.index > db.count then
    text.fail("missing", "there is no trace %x: the database has indexes 1 to %x", args.index, db.count)
end
local trace = db[args.index]
if not trace.readable then
    text.fail("missing", "trace %x lies nowhere in the dump, or makes no sense", args.index)
end

local others = {}
for _, candidate in ipairs(db:candidates(trace.index & ((1 << db.index_bits) - 1))) do
    if candidate.index ~= trace.index then
        others[#others + 1] = candidate
    end
end
-- The back trace follows HashChain (a pointer), TraceCount (4 bytes), Index and Depth (2 each).
local FRAMES_OFF <const> = dump.pointer_size + 8

if args.json then
    local result = stack.trace_json(dump, trace)
    result.chain = text.hex_address(dump, trace.chain)
    result.shares_stored_with = {}
    for i, other in ipairs(others) do
        result.shares_stored_with[i] = text.hex(other.index)
    end
    return report:result(result)
end

local function field(off, name, value)
    text.say("   +0x%03x %-10s : %s", off, name, value)
end

text.say("ntdll!_RTL_STACK_TRACE_ENTRY at %s, index %x", text.address(dump, trace.address), trace.index)
field(0, "HashChain", text.hex_address(dump, trace.chain) .. " _RTL_STACK_TRACE_ENTRY")
field(dump.pointer_size, "TraceCount", text.dt(trace.count))
field(dump.pointer_size + 4, "Index", string.format("0x%x", trace.stored))
field(dump.pointer_size + 6, "Depth", text.dt(trace.depth))
field(FRAMES_OFF, "BackTrace", "[32] " .. text.hex_address(dump, trace.frames[1]))
for i, va in ipairs(trace.frames) do
    local slot = trace.address + FRAMES_OFF + (i - 1) * dump.pointer_size
    text.say("%s  %s", text.address(dump, slot), stack.frame(dump, va))
end
print()
if db.unproven then
    print("Unproven: the x64 layout is worked out, not documented; the database's own figures agree with it.")
end
if #others == 0 then
    text.say("Blocks of this trace carry stored index %04x. No other trace shares it.", trace.stored)
else
    text.say("Blocks of this trace carry stored index %04x, and so do those of %s.", trace.stored,
        stack.indexes(db, others))
end
