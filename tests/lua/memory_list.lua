-- memory_list: what memory a sample's file holds, read from its Memory64List (stream 9) and nothing else.

local memory_list = {}

-- Its pieces, in the order of the file: address, size, at (file offset of the bytes), entry (file offset of the list's
-- entry). Pieces lie one after another from the offset in front of the list.
function memory_list.pieces(bytes)
    local count, directory = string.unpack("<I4I4", bytes, 9)
    for i = 0, count - 1 do
        local kind, _, stream = string.unpack("<I4I4I4", bytes, directory + 12 * i + 1)
        if kind == 9 then
            local number, at = string.unpack("<I8I8", bytes, stream + 1)
            local pieces = {}
            for piece = 1, number do
                local entry = stream + 16 * piece
                local address, size = string.unpack("<I8I8", bytes, entry + 1)
                pieces[piece] = { address = address, size = size, at = at, entry = entry }
                at = at + size
            end
            return pieces
        end
    end
    error "the sample has no Memory64List"
end

function memory_list.piece_of(bytes, va)
    for _, piece in ipairs(memory_list.pieces(bytes)) do
        if va >= piece.address and va < piece.address + piece.size then return piece end
    end
    error "the sample does not hold this address"
end

-- The file offset of an address.
function memory_list.offset_of(bytes, va)
    local piece = memory_list.piece_of(bytes, va)
    return piece.at + va - piece.address
end

-- The file with other bytes at an address.
function memory_list.with(bytes, va, replacement)
    local at = memory_list.offset_of(bytes, va)
    return bytes:sub(1, at) .. replacement .. bytes:sub(at + #replacement + 1)
end

-- Whether a file cut to `length` bytes holds [va, va + size).
function memory_list.holds(pieces, length, va, size)
    local last = va + size
    for _, piece in ipairs(pieces) do -- in address order
        if va >= piece.address and va < piece.address + piece.size then
            if piece.at + math.min(last, piece.address + piece.size) - piece.address > length then return false end
            va = piece.address + piece.size
            if va >= last then return true end
        end
    end
    return false
end

return memory_list
