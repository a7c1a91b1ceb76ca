-- code: instructions from an address on, before it, and of a whole function. `call` gives call:disassemble.

local text = require "text"

local code = {}

local LONGEST <const>, FUNCTION_MAX <const>, TABLE_MAX <const> = 15, 0x10000, 1024 -- bytes, bytes, addresses
local GUESSED_LEAST <const>, GUESSED_MAX <const>, RUN <const> = 8, 20, 64 -- instructions
local PAGE <const> = 0x1000

-- The bytes from va on, as many as the dump has in a row, at most `size`.
local function bytes_from(dump, va, size)
    local whole = dump:read(va, size)
    if whole then return whole end
    local parts, at = {}, va
    while at < va + size do
        local wanted = math.min(PAGE - at % PAGE, va + size - at)
        local bytes = dump:read(at, wanted)
        if not bytes then break end
        parts[#parts + 1] = bytes
        at = at + wanted
    end
    return table.concat(parts)
end

-- `count` instructions, or all that begin up to `last`. A byte that begins none stands for itself, as "???".
function code.from(dump, call, va, count, last)
    local bytes = bytes_from(dump, va, last and last - va + LONGEST or count * LONGEST)
    local list, at = {}, va
    while #list < count and at - va < #bytes and not (last and at > last) do
        local part = call:disassemble(bytes:sub(at - va + 1), at, count - #list)
        table.move(part, 1, #part, #list + 1, list)
        at = #list > 0 and list[#list].address + list[#list].size or va
        if #list < count and at - va < #bytes then
            list[#list + 1] = { address = at, size = 1, mnemonic = "???", operands = "" }
            at = at + 1
        end
    end
    while last and #list > 0 and list[#list].address > last do list[#list] = nil end
    return list
end

-- The function that a symbol says holds va: its start, and where it ends if that is known; nil without a near symbol.
local function function_of(dump, va)
    local parts = dump:symbol_parts(va)
    if not parts or not parts.near or not parts.offset then return nil end
    local start = va - parts.offset
    return start, parts.size and parts.size <= FUNCTION_MAX and start + parts.size or nil
end

-- ---- ub ----

-- The instructions from `start` on if they meet va exactly; else nil.
local function leading(dump, call, start, va)
    local bytes = va > start and va - start <= FUNCTION_MAX and dump:read(start, va - start)
    local list = bytes and call:disassemble(bytes, start) or {}
    local last = list[#list]
    return last and last.address + last.size == va and list or nil
end

-- Where nothing tells a start, every byte may be one. Decoding falls into step soon: of the instructions that end at an
-- address the one on which most starts agree is taken, and so on backwards, up to `count`. With at least 120 bytes to
-- vote that is right at each of the 678 places of tests/witness/code.sh; the farthest start alone is not.
local function guessed(dump, call, va, count)
    local votes, ending = {}, {}
    for start = math.max(0, va - math.max(count, GUESSED_LEAST) * LONGEST), va - 1 do
        for _, one in ipairs(leading(dump, call, start, va) or {}) do
            if not votes[one.address] then
                local at = one.address + one.size
                ending[at] = ending[at] or {}
                table.insert(ending[at], one)
            end
            votes[one.address] = (votes[one.address] or 0) + 1
        end
    end
    local list, at = {}, va
    while #list < count and ending[at] do
        local best = ending[at][1]
        for _, one in ipairs(ending[at]) do
            if votes[one.address] > votes[best.address] then best = one end
        end
        table.insert(list, 1, best)
        at = best.address
    end
    return list
end

-- The `count` instructions that end at va; fewer if there are no more. And a remark if they are guessed.
function code.before(dump, call, va, count)
    local list, from = {}, va
    while #list < count do
        local start = from > 0 and function_of(dump, from - 1)
        local part = start and leading(dump, call, start, from)
        if not part then break end
        list = table.move(list, 1, #list, #part + 1, part)
        from = start
    end
    if #list > 0 then return table.move(list, math.max(1, #list - count + 1), #list, 1, {}) end
    return guessed(dump, call, va, math.min(count, GUESSED_MAX)),
        ("(guessed: there is no symbol from which instructions lead to %s)"):format(text.address(dump, va))
end

-- ---- uf ----

-- Where a function that begins at `start` ends at the latest: at the next function, or FUNCTION_MAX on.
local function limit_of(dump, start)
    local module = dump:module(start)
    local limit = math.min(start + FUNCTION_MAX, module and module.end_address or start + FUNCTION_MAX)
    return function(va)
        if va < start or va >= limit then return false end
        local parts = dump:symbol_parts(va)
        return not (parts and parts.offset == 0 and va ~= start)
    end
end

-- Where an indirect jump leads: through a table of addresses (x86), or of distances from the table, whose address was
-- taken by `lea` (x64, as clang makes it). As many as lead into the function; {} if it is neither.
local function targets_of(dump, jump, lea, is_inside)
    local targets, at = {}, jump.table or lea and lea.memory or -1
    if at < 0 or at > math.maxinteger - 8 * TABLE_MAX then return targets end -- code may say anything
    for i = 0, TABLE_MAX - 1 do
        local target
        if jump.table then
            target = dump:ptr(at + i * dump.pointer_size)
        else
            local distance = dump:i32(at + 4 * i)
            target = distance and at + distance
        end
        if not target or target < 0 or not is_inside(target) then break end
        targets[#targets + 1] = target
    end
    return targets
end

-- The instructions from va on up to where they cannot go on, into `seen`; the places that they lead to are put on
-- `open`. Gives the jump whose aim is not known, if that ends them.
local function follow(dump, call, va, seen, open, is_inside)
    local lea
    while not seen[va] do
        local list = call:disassemble(bytes_from(dump, va, RUN * LONGEST), va, RUN)
        if #list == 0 then return nil end
        for _, one in ipairs(list) do
            if seen[one.address] then return nil end
            seen[one.address] = one
            va = one.address + one.size
            lea = one.mnemonic == "lea" and one.memory and one or lea
            local jumps = one.flow == "jump" or one.flow == "branch"
            if jumps and one.target and is_inside(one.target) then open[#open + 1] = one.target end
            if one.flow == "jump" and not one.target then
                local targets = targets_of(dump, one, lea, is_inside)
                table.move(targets, 1, #targets, #open + 1, open)
                return #targets == 0 and not one.memory and one or nil
            end
            if one.flow == "jump" or one.flow == "return" or one.flow == "stop" or not is_inside(va) then return nil end
        end
    end
end

-- The instructions of the function that holds va, in the order of addresses, and a remark about what is missing.
function code.whole(dump, call, va)
    local start, stop = function_of(dump, va)
    local remark = not start and "(no symbol is near: from the address itself on)" or nil
    start = start or va
    local seen, open, unknown = {}, { start }, nil
    local is_inside = limit_of(dump, start)
    while #open > 0 do
        unknown = follow(dump, call, table.remove(open), seen, open, is_inside) or unknown
    end
    if stop and unknown then -- what the jump leads to lies in the function, wherever
        for _, one in ipairs(call:disassemble(bytes_from(dump, start, stop - start), start)) do
            seen[one.address] = seen[one.address] or one
        end
        unknown = nil
    end
    local list = {}
    for _, one in pairs(seen) do list[#list + 1] = one end
    table.sort(list, function(a, b) return a.address < b.address end)
    if unknown then
        remark = ("(where the jump at %s leads is not known: the function may have more)"):format(
            text.address(dump, unknown.address))
    end
    return list, remark
end

return code
