-- stack: the frames of a trace as text and JSON.

local text = require "text"

local stack = {}

-- "ntdll!RtlAllocateHeap+0xe64"; an address outside every module has no name: nil.
function stack.symbol(dump, va)
    return dump:symbol(va)
end

-- "7c918f01 ntdll!RtlAllocateHeap+0xe64"
function stack.frame(dump, va)
    local symbol = stack.symbol(dump, va)
    return text.address(dump, va) .. (symbol and " " .. symbol or "")
end

-- Prints every frame, innermost first.
function stack.print(dump, trace, indent)
    for _, va in ipairs(trace.frames) do
        print(indent .. stack.frame(dump, va))
    end
end

function stack.json(dump, trace)
    local frames = {}
    for i, va in ipairs(trace.frames) do
        frames[i] = { address = text.hex_address(dump, va), symbol = stack.symbol(dump, va) }
    end
    return frames
end

-- A trace with its frames, as every script writes it to JSON.
function stack.trace_json(dump, trace)
    return {
        index = text.hex(trace.index), stored = text.hex(trace.stored),
        address = text.hex_address(dump, trace.address), count = trace.count, depth = trace.depth,
        frames = stack.json(dump, trace),
    }
end

-- An index as wide as the largest one of the database: "07dfe" beside "17dfe".
function stack.index(db, index)
    return string.format("%0" .. math.max(4, #string.format("%x", db.count)) .. "x", index)
end

-- Those of a sequence of traces as "07dfe and 17dfe".
function stack.indexes(db, traces)
    local words = {}
    for i, trace in ipairs(traces) do
        words[i] = stack.index(db, trace.index)
    end
    return text.list(words)
end

return stack
