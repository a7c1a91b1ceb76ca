-- code_spec: u, ub and uf over bytes assembled by hand, put into a block of a tiny sample: no symbol is near there.
-- What compilers make, with symbols, is compared with llvm-objdump by tests/witness/code.sh.

local program = require "program"

-- At each line: offset, bytes, what the debugger prints behind them; %x is the address of offset 0.
local CODE <const> = {
    { 0x00, "55", "push    ebp" },
    { 0x01, "8bec", "mov     ebp,esp" },
    { 0x03, "83ec10", "sub     esp,10h" },
    { 0x06, "64a118000000", "mov     eax,dword ptr fs:[18h]" },
    { 0x0c, "837d0804", "cmp     dword ptr [ebp+8],4" },
    { 0x10, "770d", "ja      %s", 0x1f },
    { 0x12, "8b4508", "mov     eax,dword ptr [ebp+8]" },
    { 0x15, "69c0e9030000", "imul    eax,eax,3e9h" },
    { 0x1b, "c9", "leave" },
    { 0x1c, "c20400", "ret     4" },
    { 0x1f, "8b0485785634f2", "mov     eax,dword ptr [eax*4-0dcba988h]" },
    { 0x26, "f3a5", "rep movsd dword ptr es:[edi],dword ptr [esi]" },
    { 0x28, "e2e8", "loop    %s", 0x12 },
    { 0x2a, "ebf0", "jmp     %s", 0x1c },
    { 0x2c, "cc", "int3" },
    { 0x2d, "ff", "???" },
    { 0x2e, "ff", "???" },
    { 0x2f, "f8", "clc" },
}
local SIZE <const> = 0x30

describe("code", function()
    local folder, dump, va

    setup(function()
        folder = program.folder()
        program.output { "run", "sample", folder .. "/plain.dmp", "--tiny" }
        -- A block whose bytes stand only once in the file.
        local text = program.read_file(folder .. "/plain.dmp")
        local found = program.output { "shell", folder .. "/plain.dmp", "-c", [[
            for block in dump:blocks("state == busy and size >= 0x60"):each() do
                local bytes = block:bytes(0, 0x30)
                print(("%x "):format(block.user) .. bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
            end]] }
        for address, hex in found:gmatch "(%x+) (%x+)\n" do
            local old = hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
            local at = text:find(old, 1, true)
            if at and not text:find(old, at + 1, true) then
                local parts = {}
                for i, line in ipairs(CODE) do
                    parts[i] = line[2]:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)
                end
                local new = table.concat(parts)
                assert.equal(SIZE, #new)
                va = tonumber(address, 16)
                text = text:sub(1, at - 1) .. new .. text:sub(at + SIZE)
                break
            end
        end
        assert(va, "no block for the code")
        dump = folder .. "/code.dmp"
        local file <close> = assert(io.open(dump, "wb"))
        file:write(text)
    end)
    teardown(function() program.remove(folder) end)

    local function line(one)
        local target = one[4] and ("0%xh"):format(va + one[4]):gsub("^0(%d)", "%1") or ""
        return (("%08x %-15s %s"):format(va + one[1], one[2], one[3]:gsub("%%s", target)))
    end
    -- What is printed for the lines with these offsets; a gap between them is shown as one.
    local function lines(...)
        local out, last = {}, nil
        for _, offset in ipairs { ... } do
            for _, one in ipairs(CODE) do
                if one[1] == offset then
                    if last ~= offset then
                        if last then out[#out + 1] = "" end
                        out[#out + 1] = ("%08x:"):format(va + offset)
                    end
                    out[#out + 1] = line(one)
                    last = offset + #one[2] // 2
                end
            end
        end
        return table.concat(out, "\n") .. "\n"
    end
    local function shell(command, ...)
        return program.run { "shell", dump, "-c", (command:gsub("%$", ("%x"):format(va))), ... }
    end

    local ALL <const> = {} -- offsets
    for i, one in ipairs(CODE) do ALL[i] = one[1] end

    it("is listed by count, up to an address, and on from there; bytes that are none stand alone", function()
        assert.equal(lines(table.unpack(ALL)), (shell(("u $ L%x"):format(#CODE))))
        assert.equal(lines(table.unpack(ALL)), (shell "u $ $+2f"))
        assert.equal(lines(table.unpack(ALL, 1, 3)), (shell "u $ $+5"))
        assert.equal(lines(table.unpack(ALL, 1, 8)) .. lines(table.unpack(ALL, 9, 16)), (shell "u $; u"))
    end)

    it("is followed to every end of a function", function()
        local none = "(no symbol is near: from the address itself on)\n"
        assert.equal(lines(table.unpack(ALL, 1, 14)) .. none, (shell "uf $"))
        assert.equal(lines(0x12, 0x15, 0x1b, 0x1c) .. none, (shell "uf $+12"))
        assert.equal(lines(0x2a) .. none, (shell "uf $+2a"))
        assert.equal(lines(0x2c) .. none, (shell "uf $+2c"))
    end)

    it("before an address is what most starts agree on, and said to be guessed", function()
        local out = shell "ub $+1f L5"
        assert.equal(lines(0x10, 0x12, 0x15, 0x1b, 0x1c), (out:gsub("%(guessed.*$", "")))
        assert.truthy(out:find "%(guessed: there is no symbol from which instructions lead to %x+%)\n$")
        assert.equal(lines(0x15), (shell("ub $+1b L1"):gsub("%(guessed.*$", "")))
        assert.equal(lines(0x26, 0x28), (shell("ub $+2a L2"):gsub("%(guessed.*$", "")))
    end)

    it("is data too", function()
        local json = require "dkjson".decode((shell "uf $+10 --json"))
        assert.equal("0x" .. ("%08x"):format(va + 0x10), json.result.code[1].address)
        assert.equal("0x" .. ("%08x"):format(va + 0x1f), json.result.code[1].target)
        assert.truthy(json.result.remark:find "no symbol is near")
        for command, code in pairs { ["u L8"] = 2, ["u 10"] = 6, ["ub 10"] = 6, ["uf 10"] = 6, ["u $ L0"] = 2,
            ["ub $ $+10"] = 2, ["u $ L2711"] = 2, ["u $ 1"] = 2, ["u 1 2 3"] = 2 } do
            local _, is, err = shell(command)
            assert.equal(code, is, command .. ": " .. err)
        end
    end)
end)
