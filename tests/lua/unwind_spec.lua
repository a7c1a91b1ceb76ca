-- unwind_spec: the walk of x64 stacks over an image and a stack made by hand: every unwind code, prologs and epilogs
-- half way, chains, frames of interrupts, data that leads nowhere. A real stack is compared by tests/witness/wine.sh.

local program = require "program"

package.path = program.root .. "/plugins/lib/?.lua;" .. package.path
local unwind = require "unwind"

local BASE <const>, SIZE <const>, STACK <const>, TOP <const> = 0x140000000, 0x10000, 0x200000, 0x210000
local RBX <const>, RBP <const>, RSI <const>, R12 <const> = 3, 5, 6, 12
local START <const> = 0x8000 -- the thread's first function: returns to 0

-- Codes, as the prolog has them from its last instruction on.
local function push(at, register) return string.pack("<BB", at, register << 4) end
local function small(at, size) return string.pack("<BB", at, 2 | (size // 8 - 1) << 4) end
local function large(at, size) return string.pack("<BBI2", at, 1, size // 8) end
local function huge(at, size) return string.pack("<BBI4", at, 0x11, size) end
local function frame(at) return string.pack("<BB", at, 3) end
local function save(at, register, offset) return string.pack("<BBI2", at, 4 | register << 4, offset // 8) end
local function save_far(at, register, offset) return string.pack("<BBI4", at, 5 | register << 4, offset) end
local function xmm(at, far) return string.pack(far and "<BBI4" or "<BBI2", at, far and 0x69 or 0x68, 2) end
local function machine(at, code) return string.pack("<BB", at, 10 | code << 4) end

local function info(codes, options)
    options = options or {}
    local frame_byte = options.register and options.register | (options.offset or 0) // 16 << 4 or 0
    local bytes = string.pack("<BBBB", (options.version or 1) | (options.flags or 0) << 3, 32,
        options.count or #codes // 2, frame_byte) .. codes
    if #codes // 2 % 2 == 1 then bytes = bytes .. "\0\0" end
    return bytes .. (options.chain or "")
end

-- A dump with one image, whose functions are { { from, to, info } }, and a stack of words by address.
local function world(functions, words, options)
    options = options or {}
    local memory = {}
    local function put(va, bytes)
        for i = 1, #bytes do memory[va + i - 1] = bytes:byte(i) end
    end
    local entries, at = {}, 0x4000
    table.sort(functions, function(a, b) return a[1] < b[1] end)
    for i, one in ipairs(functions) do
        local rva = type(one[3]) == "number" and one[3] or at
        if rva == at then
            put(BASE + at, one[3])
            at = at + #one[3] + 4
        end
        entries[i] = string.pack("<I4I4I4", one[1], one[2], rva)
    end
    local list = table.concat(entries)
    put(BASE, "MZ" .. ("\0"):rep(0x3a) .. string.pack("<I4", 0x80) .. ("\0"):rep(0x40) .. "PE\0\0" .. ("\0"):rep(20)
        .. string.pack("<I2", options.magic or 0x20b) .. ("\0"):rep(0x6a) .. string.pack("<I4", 16) .. ("\0"):rep(24)
        .. string.pack("<I4I4", options.table_rva or 0x2000, options.table_size or #list))
    put(BASE + 0x2000, list)
    for va, word in pairs(words) do put(va, string.pack("<i8", word)) end
    for _, va in ipairs(options.missing or {}) do memory[va] = nil end
    local dump = {}
    function dump:read(va, size)
        assert(math.type(va) == "integer" and va >= 0 and size >= 0 and size < 1 << 20)
        local parts = {}
        for i = 1, size do
            if not memory[va + i - 1] then return nil end
            parts[i] = string.char(memory[va + i - 1])
        end
        return table.concat(parts)
    end
    function dump:u32(va)
        local bytes = self:read(va, 4)
        return bytes and string.unpack("<I4", bytes)
    end
    function dump:i64(va)
        local bytes = self:read(va, 8)
        return bytes and string.unpack("<i8", bytes)
    end
    function dump:module(va)
        assert(va >= 0)
        return va >= BASE and va < BASE + SIZE and { base = BASE, size = SIZE, name = "image" } or nil
    end
    return dump
end

local NAMES <const> = { [RBX] = "rbx", [RBP] = "rbp", [RSI] = "rsi", [R12] = "r12" }

-- What a walk gives: "rva:sp rva:sp ..." and the remark. `registers`: values of others than rsp.
local function walk(functions, words, rva, sp, options)
    functions[#functions + 1] = { START, START + 0x100, info "" }
    local registers = { { name = "rsp", value = sp } }
    for number, value in pairs(options and options.registers or {}) do
        registers[#registers + 1] = { name = NAMES[number], value = value }
    end
    local thread = { ip = BASE + rva, registers = registers, stack_base = TOP }
    local frames, remark = unwind.frames(world(functions, words, options), thread, function()
        return options and options.code or {}
    end)
    local parts = {}
    for i, one in ipairs(frames) do parts[i] = ("%x:%x"):format(one.ip - BASE, one.sp - STACK) end
    return table.concat(parts, " "), remark
end

local function caller(rva) return BASE + rva end

describe("unwind", function()
    it("undoes every code of a prolog, all of it behind the prolog", function()
        for name, case in pairs {
            leaf = { nil, 0, {} },
            push = { push(2, RBX) .. push(1, RBP), 16 },
            ["small and push"] = { small(4, 0x28) .. push(1, RBX), 0x30 },
            large = { large(8, 0x1238), 0x1238 },
            huge = { huge(8, 0x8008), 0x8008 },
            ["saved registers"] = { save(12, RBX, 0x40) .. save_far(10, RSI, 0x48) .. xmm(9) .. xmm(8, true)
                .. small(4, 0x60), 0x60 },
        } do
            local functions = { { 0x3000, 0x3100, case[1] and info(case[1]) } }
            if not case[1] then functions = {} end
            local words = { [STACK + case[2]] = caller(START + 5), [STACK + case[2] + 8] = 0 }
            for at = 0, case[2] - 8, 8 do words[STACK + at] = 0x11 end
            local shown, remark = walk(functions, words, 0x3080, STACK)
            assert.equal(("3080:0 8005:%x"):format(case[2] + 8), shown, name)
            assert.is_nil(remark, name)
        end
    end)

    it("follows a frame register, which the caller's code gives back", function()
        -- f: push rbp; sub rsp,20h; lea rbp,[rsp+10h]; and then alloca. g, above it, uses rbp in the same way.
        local codes = frame(8) .. small(5, 0x20) .. push(1, RBP)
        local functions = { { 0x3000, 0x3100, info(codes, { register = RBP, offset = 0x10 }) },
                            { 0x5000, 0x5100, info(codes, { register = RBP, offset = 0x10 }) } }
        local words = { [STACK + 0x520] = STACK + 0x910, [STACK + 0x528] = caller(0x5050),
                        [STACK + 0x920] = 0x77, [STACK + 0x928] = caller(START + 5), [STACK + 0x930] = 0 }
        assert.equal("3080:0 5050:530 8005:930", (walk(functions, words, 0x3080, STACK,
            { registers = { [RBP] = STACK + 0x510 } })))
        -- saved registers lie at the frame, not at rsp
        functions = { { 0x3000, 0x3100, info(save(9, RBX, 0x18) .. codes, { register = RBP, offset = 0x10 }) },
                      { 0x5000, 0x5100, info(frame(3), { register = RBX }) } }
        words[STACK + 0x518], words[STACK + 0xa00], words[STACK + 0xa08] = STACK + 0xa00, caller(START + 5), 0
        assert.equal("3080:0 5050:530 8005:a08", (walk(functions, words, 0x3080, STACK,
            { registers = { [RBP] = STACK + 0x510 } })))
    end)

    it("undoes only what a prolog has done so far", function()
        local codes = small(6, 0x20) .. push(2, RBX) .. push(1, RBP)
        for offset, size in pairs { [0] = 0, [1] = 8, [2] = 16, [5] = 16, [6] = 0x30 } do
            local words = { [STACK + size] = caller(START + 5), [STACK + size + 8] = 0 }
            for at = 0, size - 8, 8 do words[STACK + at] = 0x11 end
            assert.equal(("%x:0 8005:%x"):format(0x3000 + offset, size + 8),
                (walk({ { 0x3000, 0x3100, info(codes) } }, words, 0x3000 + offset, STACK)), offset)
        end
    end)

    it("does what is left of an epilog", function()
        local codes = small(6, 0x20) .. push(2, RBX) .. push(1, RBP)
        local epilog = { { mnemonic = "add", operands = "rsp, 20h" }, { mnemonic = "pop", operands = "rbx" },
                         { mnemonic = "pop", operands = "rbp" }, { mnemonic = "ret", operands = "", flow = "return" } }
        for done, size in pairs { [0] = 0x30, 16, 8, 0 } do
            local words = { [STACK + size] = caller(START + 5), [STACK + size + 8] = 0 }
            for at = 0, size - 8, 8 do words[STACK + at] = 0x11 end
            local code = table.move(epilog, done + 1, #epilog, 1, {})
            assert.equal(("30f0:0 8005:%x"):format(size + 8),
                (walk({ { 0x3000, 0x3100, info(codes) } }, words, 0x30f0, STACK, { code = code })), done)
            code[#code] = { mnemonic = "jmp", operands = "140009000h", flow = "jump", target = BASE + 0x9000 }
            assert.equal(("30f0:0 8005:%x"):format(size + 8),
                (walk({ { 0x3000, 0x3100, info(codes) } }, words, 0x30f0, STACK, { code = code })), done)
        end
        -- not an epilog: a jump inside the function
        local words = { [STACK + 0x30] = caller(START + 5), [STACK + 0x38] = 0 }
        for at = 0, 0x28, 8 do words[STACK + at] = 0x11 end
        local inside = { { mnemonic = "jmp", operands = "", flow = "jump", target = BASE + 0x3004 } }
        assert.equal("30f0:0 8005:38",
            (walk({ { 0x3000, 0x3100, info(codes) } }, words, 0x30f0, STACK, { code = inside })))
        local lea = { { mnemonic = "lea", operands = "rsp, [rbp + 20h]" }, { mnemonic = "pop", operands = "rbp" },
                      { mnemonic = "ret", operands = "", flow = "return" } }
        words = { [STACK + 0x120] = 1, [STACK + 0x128] = caller(START + 5), [STACK + 0x130] = 0 }
        assert.equal("30f0:0 8005:130", (walk({ { 0x3000, 0x3100, info(codes) } }, words, 0x30f0, STACK,
            { code = lea, registers = { [RBP] = STACK + 0x100 } })))
    end)

    it("follows chains and entries that point to others", function()
        local chain = string.pack("<I4I4I4", 0x3000, 0x3100, 0x6000)
        local words = { [STACK + 0x30] = caller(START + 5), [STACK + 0x38] = 0 }
        for at = 0, 0x28, 8 do words[STACK + at] = 0x11 end
        for _, codes in ipairs { push(2, RSI), push(2, RSI) .. push(1, R12) } do -- an odd and an even number of codes
            local rest = 0x30 - #codes // 2 * 8
            local functions = { { 0x3000, 0x3100, info(codes, { flags = 4, chain = chain }) } }
            local first = string.unpack("<i8", info(small(4, rest)) .. "\0\0\0\0")
            local dump_words = { [BASE + 0x6000] = first }
            for va, word in pairs(words) do dump_words[va] = word end
            assert.equal("3080:0 8005:38", (walk(functions, dump_words, 0x3080, STACK)))
        end
        local functions = { { 0x3000, 0x3100, 0x6001 } }
        words[BASE + 0x6000] = 0x3100 << 32 | 0x3000
        words[BASE + 0x6008] = 0x7000
        words[BASE + 0x7000] = string.unpack("<i8", info(small(4, 0x30)) .. "\0\0\0\0")
        assert.equal("3080:0 8005:38", (walk(functions, words, 0x3080, STACK)))
    end)

    it("takes a call at the very end of its function for that function's", function()
        local functions = { { 0x3000, 0x3100, info(small(4, 8)) }, { 0x3100, 0x3200, info(large(4, 0x108)) },
                            { 0x2f00, 0x3000, info(small(4, 0x18)) } }
        local words = { [STACK + 8] = caller(0x3000), [STACK + 0x28] = caller(START + 5), [STACK + 0x30] = 0 }
        assert.equal("3080:0 3000:10 8005:30", (walk(functions, words, 0x3080, STACK)))
    end)

    it("goes through the frame of an interrupt", function()
        for code, offset in pairs { [0] = 0, 8 } do
            local words = { [STACK + offset] = caller(START + 5), [STACK + offset + 24] = STACK + 0x800,
                            [STACK + 0x800] = 0 }
            assert.equal("3080:0 8005:800",
                (walk({ { 0x3000, 0x3100, info(machine(0, code)) } }, words, 0x3080, STACK)))
        end
    end)

    it("says why it ends too soon, whatever the data is", function()
        local words = { [STACK] = caller(0x3080), [STACK + 8] = 0 }
        local loop = string.pack("<I4I4I4", 0x3000, 0x3100, 0x4000)
        for expected, case in pairs {
            ["no module holds the next address"] = { {}, { [STACK] = 0x1234 } },
            ["image has no unwind data for the caller"] = { {}, { [STACK] = caller(0x7000) } },
            ["image: its image has no unwind data"] = { {}, words, { table_rva = 0 } },
            ["image: its unwind data lies outside of its image"] = { {}, words, { table_rva = 0xfff8 } },
            ["image: the headers of its image are not in the dump"] = { {}, words, { magic = 0x10b } },
            ["image: its unwind data is not in the dump"] = { { { 0x3000, 0x3100, info "" } }, words,
                { missing = { BASE + 0x2004, BASE + 0x2010 } } },
            ["the stack is not in the dump"] = { { { 0x3000, 0x3100, info(small(4, 8)) } }, {} },
            ["the stack leads nowhere"] = { { { 0x3000, 0x3100, info(huge(4, 0xfffffff8)) } },
                { [STACK + 0xfffffff8] = caller(0x3080) } },
        } do
            local _, remark = walk(case[1], case[2], 0x3080, STACK, case[3])
            assert.equal(expected, remark)
        end
        for _, bad in ipairs {
            info("", { version = 3 }), info("", { version = 0 }), info("", { count = 255 }), info "\4\1", info "\4\7",
            info("", { flags = 4, chain = loop }), info(push(1, RBX), { flags = 4 }), "\1\0", info(frame(3),
                { register = R12 }),
        } do
            local _, remark = walk({ { 0x3000, 0x3100, bad } }, {}, 0x3080, STACK)
            assert.equal("image: its unwind data cannot be followed", remark)
        end
        for _, sp in ipairs { -8, math.mininteger, math.maxinteger, 0 } do
            local _, remark = walk({ { 0x3000, 0x3100, info(push(1, RBX)) } }, {}, 0x3080, sp)
            assert.truthy(remark)
        end
    end)

    it("takes any data at all", function()
        local seed, walks = 20061125, 0
        local function random(n)
            seed = (seed * 6364136223846793005 + 1442695040888963407) & 0x7fffffffffffffff
            return (seed >> 33) % n
        end
        for _ = 1, 2000 do
            local functions, words = {}, {}
            for f = 1, 3 do
                local codes = {}
                for c = 1, random(9) do
                    codes[c] = string.char(random(40), random(2) == 0 and random(256) or random(3) | random(4) << 4)
                end
                functions[f] = { 0x1000 * f, 0x1000 * f + 0x100, info(table.concat(codes), {
                    version = random(9) == 0 and random(8) or 1, flags = random(5) == 0 and random(32) or 0,
                    register = random(3) == 0 and random(16) or nil, offset = 16 * random(16),
                    count = random(9) == 0 and random(256) or nil,
                    chain = string.pack("<I4I4I4", 0x1000, 0x1100, 0x4000 + 4 * random(20)) }) }
            end
            for at = 0, 0x400, 8 do
                local kind = random(4)
                words[STACK + at] = kind == 0 and seed or kind == 1 and STACK + 8 * random(0x80)
                    or BASE + 0x1000 * (1 + random(4)) + random(0x100)
            end
            local shown = walk(functions, words, 0x1000 + random(0x100), STACK + 8 * random(16),
                { registers = { [RBP] = STACK + 8 * random(0x80), [RBX] = seed } })
            walks = walks + select(2, shown:gsub(" ", ""))
        end
        assert.is_true(walks > 300, walks)
    end)
end)
