-- command_code: u, ub, uf: disassembly by Capstone.

local text = require "text"

local COUNT <const>, INSTRUCTION_MAX <const>, FUNCTION_MAX <const> = 8, 15, 4096

-- As many bytes from va on as the dump has, at most `size`.
local function bytes_at(dump, call, va, size)
    for _, most in ipairs { size, 0x1000 - va % 0x1000 } do
        local bytes = dump:read(va, math.min(most, size))
        if bytes then return bytes end
    end
    call:fail("missing", "the dump holds no memory at %x", va)
end

-- Eight or so instructions that end at va: the farthest start from which decoding meets va exactly.
local function before(dump, call, va, count)
    for back = math.min(va, count * INSTRUCTION_MAX), 1, -1 do
        local bytes = dump:read(va - back, back)
        local list = bytes and call:disassemble(bytes, va - back) or {}
        local last = list[#list]
        if last and last.address + last.size == va and #list >= count then
            return table.move(list, #list - count + 1, #list, 1, {})
        end
    end
    call:fail("missing", "no instructions lead to %x", va)
end

-- To the first return or jump that leaves no branch open behind it.
local function whole_function(dump, call, va)
    local parts = dump:symbol_parts(va)
    local start = parts and parts.near and parts.offset and va - parts.offset or va
    local size = parts and parts.size and parts.size <= FUNCTION_MAX * 4 and parts.size
    local list = call:disassemble(bytes_at(dump, call, start, size or FUNCTION_MAX), start)
    if size then return list end
    local furthest = start
    for i, one in ipairs(list) do
        local target = one.mnemonic:find "^j" and math.tointeger(tonumber(one.operands))
        if target and target > one.address and target < start + FUNCTION_MAX then
            furthest = math.max(furthest, target)
        end
        if (one.mnemonic:find "^ret" or one.mnemonic == "jmp" or one.mnemonic == "int3")
            and one.address >= furthest then
            return table.move(list, 1, i, 1, {})
        end
    end
    return list
end

local function named(dump, operands)
    local target = math.tointeger(tonumber(operands:match "^0x%x+$" or operands:match "%[(0x%x+)%]"))
    local symbol = target and target >= 0 and dump:symbol(target)
    return symbol and ("%s (%s)"):format(operands, symbol) or operands
end

return {
    name = "command_code", kind = "command", words = { "u", "ub", "uf" },
    summary = "code at an address (u), before it (ub), of a whole function (uf)",
    usage = [[
u ntdll!RtlAllocateHeap L10     10 (hex) instructions; eight unless told
ub 7c918f01                     the eight that end there
uf ntdll!RtlAllocateHeap        from the function's start to its last return]],
    run = function(dump, call)
        local list = call:list()
        local first, second = list[1], list[2]
        if first and first.length or list[3] or (second and not second.length) then
            call:fail("usage", "an address and a count such as L10 expected; see .help u")
        end
        local va = first and first.value or call.session.next.u
        if not va then call:fail("usage", "an address expected") end
        if va < 0 then call:fail("missing", "the dump holds no memory at %x", va) end
        local count = second and second.length or COUNT
        if count < 1 or count > 10000 then call:fail("usage", "1 to 0n10000 instructions expected") end
        local found
        if call.word == "ub" then
            found = before(dump, call, va, math.min(count, 100))
        elseif call.word == "uf" then
            found = whole_function(dump, call, va)
        else
            found = call:disassemble(bytes_at(dump, call, va, count * INSTRUCTION_MAX), va, count)
        end
        if #found == 0 then call:fail("missing", "no instruction stands at %x", va) end
        local last = found[#found]
        call.session.next.u = last.address + last.size
        if call.json then
            for _, one in ipairs(found) do one.address = text.hex_address(dump, one.address) end
            return found
        end
        text.say("%s:", dump:symbol(found[1].address) or text.address(dump, found[1].address))
        for _, one in ipairs(found) do
            local bytes = (dump:read(one.address, one.size) or ""):gsub(".", function(char)
                return ("%02x"):format(char:byte())
            end)
            text.say("%s %-17s %-7s %s", text.address(dump, one.address), bytes, one.mnemonic,
                named(dump, one.operands))
        end
    end,
}
