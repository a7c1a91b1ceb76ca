-- entry: a block as one row of `!heap -flt` and `!heap -p -a`, and as JSON.

local text = require "text"

local entry = {}

-- The title over rows, indented like them.
function entry.title(dump, indent)
    local width = dump.pointer_size * 2
    local shape = "%s%-" .. width + 2 .. "s Size Prev Flags %" .. width + 2 .. "s UserSize - state"
    return shape:format(indent, "HEAP_ENTRY", "UserPtr")
end

-- "(busy)", "(busy VirtualAlloc)".
function entry.state(block)
    return "(" .. block.state .. (block.large and " VirtualAlloc" or "") .. ")"
end

-- "0372e598 0022 000d  [07]   0372e5a0    000f8 - (busy)". Size and Prev count units of two pointers.
function entry.row(dump, block)
    return string.format("%s %04x %04x  [%02x]   %s    %05x - %s", text.address(dump, block.address),
        block.units, block.previous_units, block.flags, text.address(dump, block.user), block.size,
        entry.state(block))
end

-- "_HEAP @ 36f0000"
function entry.heap(address)
    return string.format("_HEAP @ %x", address)
end

function entry.json(dump, block)
    return {
        address = text.hex_address(dump, block.address), user = text.hex_address(dump, block.user),
        size = block.size, total = block.total, state = block.state, flags = text.hex(block.flags),
        previous = block.previous_size, large = block.large,
        heap = text.hex_address(dump, block.heap.address), stored_index = text.hex(block.stored_index),
    }
end

return entry
