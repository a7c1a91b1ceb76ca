-- unwind: the callers of a function of an x64 process, by the unwind data of the images. Source: "x64 exception
-- handling", Microsoft Learn (documented): RUNTIME_FUNCTION { begin, end, unwind info } in the exception directory,
-- UNWIND_INFO with codes for what the prolog did, the last one first.

local unwind = {}

local FRAMES_MAX <const>, CHAIN_MAX <const>, EPILOG_MAX <const> = 200, 32, 20
local EXCEPTIONS <const> = 3 -- index of the exception directory in a PE header
local CHAINED <const> = 4    -- flag: another RUNTIME_FUNCTION follows the codes

-- Registers as the codes number them.
local NAMES <const> = { [0] = "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
                        "r13", "r14", "r15" }
local RSP <const> = 4
local NUMBERS <const> = {}
for number, name in pairs(NAMES) do NUMBERS[name] = number end

-- ---- finding what tells of a function ----

-- { address, count } of the table of a module's functions; nil and why there is none.
local function table_of(dump, module)
    local at = dump:u32(module.base + 0x3c)
    local header = at and at < 0x10000 and dump:read(module.base + at, 0x88 + 8 * (EXCEPTIONS + 1))
    if not header or header:sub(1, 4) ~= "PE\0\0" or string.unpack("<I2", header, 0x18 + 1) ~= 0x20b then
        return nil, "the headers of its image are not in the dump"
    end
    local directories = string.unpack("<I4", header, 0x18 + 0x6c + 1)
    local rva, size = string.unpack("<I4I4", header, 0x18 + 0x70 + 8 * EXCEPTIONS + 1)
    if directories <= EXCEPTIONS or rva == 0 or size < 12 then return nil, "its image has no unwind data" end
    if rva + size > module.size then return nil, "its unwind data lies outside of its image" end
    return { address = module.base + rva, count = size // 12 }
end

local function entry_at(dump, va)
    local bytes = dump:read(va, 12)
    if not bytes then return nil end
    local from, to, info = string.unpack("<I4I4I4", bytes)
    return { from = from, to = to, info = info }
end

-- The entry that holds an RVA: nil and why, if the table cannot be read; false if there is none.
local function entry_of(dump, module, functions, rva)
    local low, high = 0, functions.count - 1
    while low <= high do
        local middle = (low + high) // 2
        local entry = entry_at(dump, functions.address + 12 * middle)
        if not entry then return nil, "its unwind data is not in the dump" end
        if rva < entry.from then
            high = middle - 1
        elseif rva >= entry.to then
            low = middle + 1
        else
            if entry.info & 1 == 1 then entry = entry_at(dump, module.base + (entry.info & ~1)) or entry end
            return entry
        end
    end
    return false
end

-- ---- what a prolog did, undone ----

-- Slots of two bytes that a code takes, by its number; of 1 see below. Others are not known.
local SLOTS <const> = { [0] = 1, [2] = 1, [3] = 1, [4] = 2, [5] = 3, [6] = 2, [8] = 2, [9] = 3, [10] = 1 }

-- The word at va; nil also where that is no address: registers hold anything.
local function word_at(dump, va) return va >= 0 and dump:i64(va) or nil end

local function pop(dump, state)
    local value = word_at(dump, state[RSP])
    state[RSP] = state[RSP] + 8
    return value
end

-- Undoes one code. False: the dump lacks what it needs. "frame": it was a frame of the processor, with rip in it.
local function undo(dump, state, code, info, operand, frame)
    if code == 0 then -- push
        state[info] = pop(dump, state)
        return state[info] ~= nil
    elseif code == 1 or code == 2 then -- sub rsp
        state[RSP] = state[RSP] + (code == 2 and 8 * info + 8 or operand)
    elseif code == 3 then -- lea frame,[rsp+offset]
        if not state[frame.register] then return false end
        state[RSP] = state[frame.register] - frame.offset
    elseif code == 4 or code == 5 then -- mov [base+operand],register
        local base = frame.register and state[frame.register] and state[frame.register] - frame.offset or state[RSP]
        state[info] = word_at(dump, base + operand)
        return state[info] ~= nil
    elseif code == 10 then -- pushed by an interrupt: perhaps an error code, then rip, cs, flags, rsp, ss
        local at = state[RSP] + 8 * info
        state.rip, state[RSP] = word_at(dump, at), word_at(dump, at + 24)
        return state.rip and state[RSP] and "frame"
    end
    return true -- 6: of epilogs; 8, 9: xmm registers
end

-- Undoes the codes of an entry, those of the prolog's part that has not run yet left out. Gives what `undo` gives.
local function undo_all(dump, module, entry, state, offset)
    for _ = 1, CHAIN_MAX do
        local va = module.base + entry.info
        local head = dump:read(va, 4)
        local version, _, count, frame_byte = 0, 0, 0, 0
        if head then version, _, count, frame_byte = string.unpack("<BBBB", head) end
        local bytes = head and dump:read(va + 4, 2 * ((count + 1) & ~1) + 12)
            or head and dump:read(va + 4, 2 * count)
        if not bytes or version & 7 < 1 or version & 7 > 2 then return false end
        local frame = { register = frame_byte & 15 ~= 0 and frame_byte & 15 or nil, offset = (frame_byte >> 4) * 16 }
        local slot = 0
        while slot < count do
            local at, operation = string.unpack("<BB", bytes, 2 * slot + 1)
            local code, info = operation & 15, operation >> 4
            local slots = code == 1 and (info == 0 and 2 or 3) or SLOTS[code]
            if not slots or slot + slots > count then return false end
            local operand = slots == 2 and string.unpack("<I2", bytes, 2 * slot + 3) * 8
                or slots == 3 and string.unpack("<I4", bytes, 2 * slot + 3) or 0
            slot = slot + slots
            if not offset or at <= offset then
                local done = undo(dump, state, code, info, operand, frame)
                if done ~= true then return done end
            end
        end
        if version >> 3 & CHAINED == 0 then return true end
        if #bytes < 2 * ((count + 1) & ~1) + 12 then return false end
        local from, to, info = string.unpack("<I4I4I4", bytes, 2 * ((count + 1) & ~1) + 1)
        entry, offset = { from = from, to = to, info = info }, nil
    end
    return false
end

-- If code at rip is the rest of an epilog (rsp raised, registers popped, then a return or a jump out): does what it
-- would do, and gives true. `list`: instructions from there on.
local function finish_epilog(dump, list, state, entry, base)
    local own = setmetatable({}, { __index = state })
    for i, one in ipairs(list) do
        if i > EPILOG_MAX then return false end
        local operands = one.operands:gsub("%s", "")
        local register, amount = operands:match "^(%l%w*),0?(%x+)h?$"
        if i == 1 and one.mnemonic == "add" and register == "rsp" then
            own[RSP] = own[RSP] + tonumber(amount, operands:find "h$" and 16 or 10)
        elseif i == 1 and one.mnemonic == "lea" and operands:find "^rsp,%[" then
            local from, sign, by, hex = operands:match "^rsp,%[(%l%w*)([+-]?)(%x*)(h?)%]$"
            local value = from and own[NUMBERS[from]]
            if not value then return false end
            local distance = by ~= "" and tonumber(by, hex == "h" and 16 or 10) or 0
            own[RSP] = value + (sign == "-" and -distance or distance)
        elseif one.mnemonic == "pop" and NUMBERS[operands] then
            own[NUMBERS[operands]] = pop(dump, own)
        elseif one.flow == "return" or one.flow == "jump" then
            local target = one.target
            if one.flow == "jump" and (not target or target >= base + entry.from and target < base + entry.to) then
                return false
            end
            for number in pairs(NAMES) do state[number] = own[number] end
            return true
        else
            return false
        end
    end
    return false
end

-- ---- the walk ----

-- { { sp, ip, back } }, innermost first: stack pointer in the function, address in it, address it returns to; and why
-- it ends before the thread's start, or nil. `disassemble(va)`: instructions from va on.
function unwind.frames(dump, thread, disassemble)
    local state = {}
    for _, register in ipairs(thread.registers) do
        if NUMBERS[register.name] then state[NUMBERS[register.name]] = register.value end
    end
    local frames, ip = {}, thread.ip
    local tables = {}
    if not state[RSP] or ip < 0 then return frames, "its context has no stack" end
    while #frames < FRAMES_MAX do
        local top = #frames == 0
        frames[#frames + 1] = { sp = state[RSP], ip = ip }
        local module = dump:module(ip)
        if not module then return frames, "no module holds the next address" end
        local found = tables[module.base]
        if not found then
            local functions, why = table_of(dump, module)
            found = { functions = functions, why = why }
            tables[module.base] = found
        end
        if not found.functions then return frames, ("%s: %s"):format(module.name, found.why) end
        -- A call may be the last instruction of its function: what returns is looked for at the call.
        local rva = ip - module.base - (top and 0 or 1)
        local entry, why = entry_of(dump, module, found.functions, rva)
        if entry == nil then return frames, ("%s: %s"):format(module.name, why) end
        local done = true
        if entry then
            if not (top and finish_epilog(dump, disassemble(ip), state, entry, module.base)) then
                done = undo_all(dump, module, entry, state, rva - entry.from)
            end
        elseif not top then -- only a function that calls nothing needs no entry
            return frames, ("%s has no unwind data for the caller"):format(module.name)
        end
        if not done then return frames, ("%s: its unwind data cannot be followed"):format(module.name) end
        local before = frames[#frames].sp
        if done == "frame" then
            ip = state.rip
        else
            ip = pop(dump, state)
        end
        if not ip then return frames, "the stack is not in the dump" end
        frames[#frames].back = ip
        if ip <= 0 then return frames, nil end
        if state[RSP] <= before or state[RSP] > thread.stack_base then return frames, "the stack leads nowhere" end
    end
    return frames, "more are not shown"
end

return unwind
