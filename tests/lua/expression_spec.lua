-- The debugger's expressions: values, precedence, errors with their position. The world is a made-up one, so that the
-- grammar is tested alone; case_spec.lua evaluates the case's own on a dump.

local program = require "program"
package.path = program.root .. "/plugins/lib/?.lua;" .. package.path
local expression = require "expression"

local SYMBOLS <const> = { ["ntdll!Foo"] = 0x7c900000, ["3rdpartydll"] = 0x10000000, ["MSO!Ordinal577"] = 0x32617000,
                          ["a!operator new"] = 0x5000, ["a!B::~B"] = 0x6000, ["zulu"] = 0x7000 }
local world = {
    pointer_size = 4,
    read = function(va, size)
        if va < 0x1000 or va >= 0x2000 then return nil end
        return 0x8877665544332211 & (size == 8 and -1 or (1 << 8 * size) - 1)
    end,
    symbol = function(name) return SYMBOLS[name] end,
    register = function(name) return ({ eax = 5, esp = 0x1100, zulu = 1, dead = 1 })[name] end,
    pseudo = function(name) return ({ peb = 0x7ffde000, teb = 0x7ffdf000, t0 = 3 })[name] end,
}

local function value(text) return expression.try(text, world) end

describe("expressions", function()
    it("read numbers in every base, without extending their sign", function()
        for text, wanted in pairs {
            ["10"] = 16, ["0n10"] = 10, ["0N10"] = 10, ["0t17"] = 15, ["0y101"] = 5, ["1fh"] = 31, ["0x1F"] = 31,
            ["dead"] = 0xdead, ["ffffffff"] = 0xffffffff, ["80000000"] = 0x80000000, ["1`00000000"] = 1 << 32,
            ["ffffffffffffffff"] = -1, ["0n18446744073709551615"] = -1, ["000000000000000000001"] = 1,
        } do
            assert.equal(wanted, value(text), text)
        end
    end)

    it("take a bare word for a number, then a symbol, then a register", function()
        assert.equal(0xdead, value "dead")
        assert.equal(0x7000, value "zulu")
        assert.equal(1, value "@zulu")
        assert.equal(5, value "eax")
        assert.equal(0x10000001, value "3rdpartydll+1")
        assert.equal(0x7c900064, value "ntdll!Foo+64")
        assert.equal(0x326171bc, value "MSO!Ordinal577+1bc")
        assert.equal(0x5000, value '@!"a!operator new"')
        assert.equal(0x6000, value "a!B::~B")
        assert.equal(0x7ffde000, value "$peb")
        assert.equal(0x7ffdf000, value "@$teb")
        assert.equal(3, value "@$t0")
    end)

    it("bind as MASM does, from the left", function()
        for text, wanted in pairs {
            ["2+3*4"] = 14, ["(2+3)*4"] = 20, ["10-4-2"] = 10, ["1<<4|1"] = 17, ["1+1<<2"] = 8, ["f&3==3"] = 1,
            ["5 mod 3"] = 2, ["5%3"] = 2, ["5 and 4"] = 4, ["5 xor 1"] = 4, ["4 or 1"] = 5, ["6^3&1"] = 7,
            ["-1"] = -1, ["--1"] = 1, ["1 - -1"] = 2, ["-1 >>> 4"] = -1, ["-1 >> 3f"] = 1, ["1 >> 40"] = 0,
            ["not 0"] = 1, ["not 5"] = 0, ["1 < 2"] = 1, ["-1 > 1"] = 1, ["2 <= 2"] = 1, ["2 >= 3"] = 0,
            ["2 = 2"] = 1, ["2 != 2"] = 0, ["hi(12345678)"] = 0x1234, ["low 12345678"] = 0x5678,
            ["ffffffffffffffff / 10"] = 0x0fffffffffffffff, ["ffffffffffffffff % 10"] = 15,
        } do
            assert.equal(wanted, value(text), text)
        end
    end)

    it("read memory in each width", function()
        for text, wanted in pairs {
            ["by 1000"] = 0x11, ["wo(1000)"] = 0x2211, ["dwo 1000"] = 0x44332211, ["qwo 1000"] = 0x8877665544332211,
            ["poi(1000)"] = 0x44332211, ["poi 1000 + 1"] = 0x44332212, ["poi( 1000 + 4 ) - 4*2"] = 0x44332209,
            ["POI(1`00001000)"] = 0x44332211, -- a 32-bit process has 32-bit addresses
        } do
            assert.equal(wanted, value(text), text)
        end
    end)

    it("say where they are wrong, and what was expected there", function()
        for _, case in ipairs {
            { "", "syntax", "at the end: a value was expected" },
            { "1+", "syntax", "at the end: a value was expected" },
            { "(1", "syntax", "at the end: ')' or an operator was expected" },
            { "1 2", "syntax", "at position 3, before '2': an operator or the end of the expression was expected" },
            { "1/0", "syntax", "at position 2, before '/0': division by zero" },
            { "4 + zork", "not-found", "at position 5, before 'zork': 'zork' is no number, and no symbol" },
            { "poi(0)+4", "unmapped", "at position 1, before 'poi(0)+4': the dump holds no memory at 0" },
            { "0n1f", "syntax", "at position 1, before '0n1f': a decimal digit" },
            { "11111111111111111", "syntax", "a number of at most 64 bits" },
            { "$zork", "not-found", "no pseudo-register" },
            { ("("):rep(5000), "syntax", "longer than 4096 bytes" }, { ("("):rep(90), "syntax", "nested more than" },
            { ("-"):rep(4000) .. "1", "syntax", "nested more than" },
            { ("not "):rep(900) .. "1", "syntax", "nested more than" },
            { ("poi "):rep(1000) .. "1", "syntax", "nested more than" },
        } do
            local got, message, code = value(case[1])
            assert.is_nil(got, case[1])
            assert.equal(case[2], code, message)
            assert.truthy(message:find(case[3], 1, true), message)
        end
    end)

    it("nest as deep as is promised", function()
        assert.equal(1, value(("("):rep(60) .. "1" .. (")"):rep(60)))
        assert.equal(1, value(("-"):rep(60) .. "1"))
        assert.equal(0, value(("("):rep(29) .. ("not "):rep(59) .. "1" .. (")"):rep(29)))
    end)

    it("stand in lists with lengths, as commands take them", function()
        local function list(text)
            local words = {}
            local items, message = expression.list(text, world)
            for i, item in ipairs(items or { { value = 0 } }) do
                words[i] = message or (item.length and "L" .. (item.forced and "?" or "") or "")
                    .. ("%x"):format(item.length or item.value)
            end
            return table.concat(words, " ")
        end
        assert.equal("1000 L20", list "1000 L20")
        assert.equal("1000 Laa", list "1000 l0n170")
        assert.equal("1000 L?20", list "1000 L?20")
        assert.equal("1000 110c", list "1000 1000+f8+14")
        assert.equal("1104 L4", list "esp + 4 L4")
        assert.equal("", list "  ")
        assert.truthy(list("1000 )"):find("position 6", 1, true))
    end)
end)
