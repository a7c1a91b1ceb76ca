-- command_code: u, ub, uf: disassembly by Capstone.

local code = require "code"
local text = require "text"

local COUNT <const>, MOST <const> = 8, 10000

-- "ntdll!RtlAllocateHeap (7c91809d)" in the place of an address that has a name.
local function named(dump, one)
    local operands = one.operands:gsub(", ", ","):gsub(" ([+-]) ", "%1")
    local target = one.target or one.memory
    local symbol = target and target >= 0 and dump:symbol(target)
    if not symbol then return operands end
    local name = ("%s (%s)"):format(symbol, text.address(dump, target))
    if one.target then return name end
    return (operands:gsub("%[.*%]", function() return "[" .. name .. "]" end))
end

local function json_of(dump, found)
    local rows = {}
    for i, one in ipairs(found) do
        rows[i] = { address = text.hex_address(dump, one.address), size = one.size, mnemonic = one.mnemonic,
                    operands = one.operands, target = text.hex_address(dump, one.target) }
    end
    return rows
end

local function print_code(dump, found)
    local last
    for _, one in ipairs(found) do
        if one.address ~= last then
            if last then print() end
            text.say("%s:", dump:symbol(one.address) or text.address(dump, one.address))
        end
        last = one.address + one.size
        local bytes = dump:read(one.address, one.size):gsub(".", function(char) return ("%02x"):format(char:byte()) end)
        local line = ("%s %-15s %-7s %s"):format(text.address(dump, one.address), bytes, one.mnemonic,
            named(dump, one))
        print((line:gsub("%s+$", "")))
    end
end

return {
    name = "command_code", kind = "command", words = { "u", "ub", "uf" },
    summary = "code at an address, before it, of a whole function",
    usage = [[
u ntdll!RtlAllocateHeap L10     10 (hex) instructions; eight unless told; u goes on behind the last one
u 7c918f01 7c918f40             all that begin up to the second address
ub 7c918f01 L4                  the four that end there
uf ntdll!RtlAllocateHeap        the function that holds the address: what can be reached from its start
+ ub decodes from the nearest symbol before the address, if instructions lead from there exactly to it, and on from
+ the one before that. Where there is none it takes, backwards, the instruction on which most starts agree (at most
+ 0n20 of them), and says that it guessed.
+ uf follows branches, jumps and tables of jumps, not into other functions; a jump whose aim is not known is told, and
+ where a PDB has the function's size, all of it is shown. Numbers are signed, as Capstone spells them.]],
    run = function(dump, call)
        local list = call:list()
        local first, second = list[1], list[2]
        if first and first.length or list[3] then
            call:fail("usage", "an address and a count such as L10 expected; see .help u")
        end
        local va = first and first.value or call.session.next.u
        if not va then call:fail("usage", "an address expected") end
        if dump.pointer_size == 4 then va = va & 0xffffffff end
        if va < 0 then call:fail("missing", "the dump holds no memory at %x", va) end
        local count, last = second and second.length or COUNT, nil
        if second and not second.length then
            last = dump.pointer_size == 4 and second.value & 0xffffffff or second.value
            if call.word ~= "u" or last < va then
                call:fail("usage", "at position %d: a count such as L10 expected", second.at + call.at - 1)
            end
            count = math.min(last - va + 1, MOST)
        end
        if count < 1 or count > MOST then call:fail("usage", "1 to 0n%d instructions expected", MOST) end
        if not dump:read(va, 1) then call:fail("missing", "the dump holds no memory at %x", va) end
        local found, remark
        if call.word == "ub" then
            found, remark = code.before(dump, call, va, count)
        elseif call.word == "uf" then
            found, remark = code.whole(dump, call, va)
        else
            found = code.from(dump, call, va, count, last)
        end
        if #found == 0 then
            call:fail("missing", "no instructions lead to %x", va)
        end
        call.session.next.u = found[#found].address + found[#found].size
        if call.json then return { code = json_of(dump, found), remark = remark } end
        print_code(dump, found)
        if remark then print(remark) end
    end,
}
