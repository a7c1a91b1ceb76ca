-- command_threads: ~ (threads), k (stack), r (registers and the temporaries @$t0 ..).

local text = require "text"
local unwind = require "unwind"

local FRAMES_MAX <const> = 200

local function current(dump, call)
    local thread = require "expression".thread_of(dump, call.session)
    if not thread then call:fail("missing", "the dump tells of no thread") end
    return thread
end

local function number_of(dump, thread)
    for i, each in ipairs(dump:threads()) do
        if each == thread then return i end
    end
end

local function teb_id(dump, thread)
    return ("%x.%x"):format(dump:info().process_id or 0, thread.id)
end

-- Frames by the chain of base pointers (x86): { { base, ip, back } }, the innermost first.
local function chained(dump, thread)
    local list, base = { { base = thread.bp, ip = thread.ip } }, thread.bp
    while #list < FRAMES_MAX and base and base >= thread.sp and base < thread.stack_base do
        local back = dump:ptr(base + 4)
        if not back or back == 0 then break end
        list[#list].back = back
        local next_ = dump:ptr(base)
        list[#list + 1] = { base = next_, ip = back }
        if not next_ or next_ <= base then break end
        base = next_
    end
    return list
end

-- Frames, the innermost first, and why they end too soon.
local function frames(dump, call, thread)
    if not thread.ip then call:fail("missing", "thread %x has no context in the dump", thread.id) end
    if dump.pointer_size == 4 then return chained(dump, thread) end
    return unwind.frames(dump, thread, function(va)
        local bytes = dump:read(va, 0x100) or dump:read(va, 0x1000 - va % 0x1000) or ""
        return call:disassemble(bytes, va, 20)
    end)
end

-- The three words that kb shows: where arguments lie, of x64 only if the function put them there.
local function words_of(dump, frame)
    local words = {}
    local from = dump.pointer_size == 4 and frame.base and frame.base + 8
    for i = 0, 2 do
        local value = from and from < 1 << 32 and dump:ptr(from + 4 * i)
        words[i + 1] = value and text.address(dump, value) or "????????"
    end
    return table.concat(words, " ") .. " "
end

-- `how`: "b" with words of the stack, "n" with numbers; `most` frames.
local function stack_of(dump, call, thread, how, most)
    local list, remark = frames(dump, call, thread)
    most = math.min(most or #list, #list)
    if call.json then
        local rows = {}
        for i = 1, most do
            rows[i] = { address = text.hex_address(dump, list[i].ip), symbol = dump:symbol(list[i].ip),
                        stack_pointer = text.hex_address(dump, list[i].sp) }
        end
        return { thread = text.hex(thread.id), frames = rows, remark = most == #list and remark or nil }
    end
    local words = how == "b" and dump.pointer_size == 4
    local address = dump.pointer_size == 4 and "%-8s %-8s " or "%-16s %-16s "
    local title = (how == "n" and " # " or "")
        .. address:format(dump.pointer_size == 4 and "ChildEBP" or "Child-SP", "RetAddr")
        .. (words and "Args to Child" or dump.pointer_size == 8 and "Call Site" or "")
    print((title:gsub("%s+$", "")))
    for i = 1, most do
        local frame = list[i]
        text.say("%s%s%s%s", how == "n" and ("%02x "):format(i - 1) or "",
            address:format(text.address(dump, frame.sp or frame.base or 0), text.address(dump, frame.back or 0)),
            words and words_of(dump, frame) or "", dump:symbol(frame.ip) or text.hex_address(dump, frame.ip))
    end
    if remark and most == #list then text.say("(ends here: %s)", remark) end
end

local function list_threads(dump, call)
    local chosen = require "expression".thread_of(dump, call.session)
    local rows = {}
    for i, thread in ipairs(dump:threads()) do
        if call.json then
            rows[i] = { number = i - 1, id = text.hex(thread.id), teb = text.hex_address(dump, thread.teb),
                        suspend_count = thread.suspend_count, current = thread == chosen }
        else
            text.say("%s %2d  Id: %s Suspend: %d Teb: %s", thread == chosen and "." or " ", i - 1,
                teb_id(dump, thread), thread.suspend_count, text.address(dump, thread.teb))
        end
    end
    return call.json and rows or nil
end

-- ~, ~N, ~Ns, ~Nk, ~*k
local function threads(dump, call)
    local which, action = call.text:match "^([%d*.]*)%s*(%a*)$"
    if not which then call:fail("usage", "at position %d: ~, ~3, ~3s, ~3k or ~*k expected", call.at) end
    if which == "" and action == "" or which == "*" and action == "" then return list_threads(dump, call) end
    if action ~= "" and action ~= "s" and action ~= "k" then
        call:fail("usage", "at position %d: s or k expected, got '%s'", call.at + #which, action)
    end
    if which == "*" then
        if action ~= "k" then call:fail("usage", "at position %d: ~*k expected", call.at) end
        local results = {}
        for i, thread in ipairs(dump:threads()) do
            if not call.json then text.say("\n%3d  Id: %s", i - 1, teb_id(dump, thread)) end
            results[i] = stack_of(dump, call, thread)
        end
        return call.json and results or nil
    end
    local all = dump:threads()
    local thread = which == "" and current(dump, call) or which == "." and current(dump, call)
        or tonumber(which) and math.tointeger(tonumber(which)) and tonumber(which) < 1 << 31
            and all[math.tointeger(tonumber(which)) + 1]
    if not thread then call:fail("missing", "at position %d: there is no thread %s", call.at, which) end
    if action == "k" then return stack_of(dump, call, thread) end
    if action == "s" then call.session.thread = number_of(dump, thread) end
    if call.json then return { number = number_of(dump, thread) - 1, id = text.hex(thread.id) } end
    text.say("  %2d  Id: %s Suspend: %d Teb: %s%s", number_of(dump, thread) - 1, teb_id(dump, thread),
        thread.suspend_count, text.address(dump, thread.teb),
        thread.ip and "  " .. (dump:symbol(thread.ip) or text.address(dump, thread.ip)) or "")
end

local function assign(call)
    local name, at, value = call.text:match "^@?%$?t(%d%d?)%s*=()%s*(.*)$"
    local number = tonumber(name)
    if not number or number > 19 then
        call:fail("usage", "at position %d: only @$t0 to @$t19 can be set: a dump does not change", call.at)
    end
    local result = call:value(value, call.at + at - 1 + #call.text:sub(at):match "^%s*")
    call.session.temporaries[number] = result
    if call.json then return { name = "$t" .. number, value = text.hex(result) } end
end

local function registers(dump, call)
    if call.text:find "=" then return assign(call) end
    local thread = current(dump, call)
    local temporary = call.text:match "^@?(%$%w+)$"
    if temporary then
        local value = call:value(call.text)
        if call.json then return { name = temporary, value = text.hex(value) } end
        text.say("%s=%s", temporary, text.address(dump, value))
        return
    end
    local wanted, shown, data = call.text:lower():gsub("^@", ""), {}, {}
    for _, register in ipairs(thread.registers) do
        if wanted == "" or wanted == register.name then
            shown[#shown + 1] = ("%s=%0" .. register.size * 2 .. "x"):format(register.name, register.value)
            data[register.name] = text.hex(register.value)
        end
    end
    if #thread.registers == 0 then call:fail("missing", "thread %x has no context in the dump", thread.id) end
    if #shown == 0 then call:fail("usage", "at position %d: no register is called '%s'", call.at, call.text) end
    if call.json then return data end
    for i = 1, #shown, 6 do print(table.concat(shown, " ", i, math.min(i + 5, #shown))) end
    if wanted == "" and thread.ip then print((dump:symbol(thread.ip) or text.address(dump, thread.ip)) .. ":") end
end

-- k, kb, kn, kv; a number says how many frames
local function stack(dump, call)
    local most = call.text ~= "" and call:value() or nil
    if most and (most < 1 or most > FRAMES_MAX) then
        call:fail("usage", "at position %d: 1 to 0n%d frames expected; ~3k names a thread", call.at, FRAMES_MAX)
    end
    local how = call.word:sub(2)
    return stack_of(dump, call, current(dump, call), how == "v" and "b" or how, most)
end

local RUN <const> = { ["~"] = threads, r = registers, k = stack, kb = stack, kn = stack, kv = stack }

return {
    name = "command_threads", kind = "command", words = { "~", "k", "kb", "kn", "kv", "r" },
    summary = "threads, stacks, registers",
    usage = [[
~                the threads; ~3s makes number 3 the current one, ~3k shows its stack, ~*k every one
k [N]            the stack of the current thread, at most N frames; kn numbers them, kb and kv show (x86) three
                 words behind the return address: arguments, if they were put on the stack
r                its registers; r eax one of them; r @$t0 = EXPRESSION sets a temporary
+ Stacks of x86 follow the chain of base pointers: a function that keeps none is missing, with its caller. Stacks of x64
+ follow the unwind data of the images, if they are in the dump; where and why a walk ends too soon is said.]],
    run = function(dump, call) return RUN[call.word](dump, call) end,
}
