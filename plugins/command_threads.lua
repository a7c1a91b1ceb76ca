-- command_threads: ~ (threads), k (stack), r (registers and the temporaries @$t0 ..).

local text = require "text"

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

-- Frames by the chain of base pointers: { { base, return address } }, the instruction pointer first.
local function frames(dump, call, thread)
    if not thread.ip then call:fail("missing", "thread %x has no context in the dump", thread.id) end
    if dump.pointer_size == 8 then
        call:fail("missing", "stacks of x64 need unwind data, which is not read; dps @rsp shows the stack's words")
    end
    local list, base = { { thread.bp, thread.ip } }, thread.bp
    while #list < FRAMES_MAX and base and base >= thread.sp and base < thread.stack_base do
        local back = dump:ptr(base + 4)
        if not back or back == 0 then break end
        list[#list].back = back
        local next_ = dump:ptr(base)
        list[#list + 1] = { next_, back }
        if not next_ or next_ <= base then break end
        base = next_
    end
    return list
end

local function stack_of(dump, call, thread)
    local list = frames(dump, call, thread)
    if call.json then
        local rows = {}
        for i, frame in ipairs(list) do
            rows[i] = { address = text.hex_address(dump, frame[2]), symbol = dump:symbol(frame[2]) }
        end
        return { thread = text.hex(thread.id), frames = rows }
    end
    print "ChildEBP RetAddr"
    for _, frame in ipairs(list) do
        text.say("%s %s %s", text.address(dump, frame[1] or 0), text.address(dump, frame.back or 0),
            dump:symbol(frame[2]) or ("0x%x"):format(frame[2]))
    end
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

local RUN <const> = {
    ["~"] = threads, r = registers,
    k = function(dump, call)
        if call.text ~= "" then call:fail("usage", "at position %d: k takes nothing; ~3k names a thread", call.at) end
        return stack_of(dump, call, current(dump, call))
    end,
}

return {
    name = "command_threads", kind = "command", words = { "~", "k", "r" },
    summary = "threads, stacks, registers",
    usage = [[
~                the threads; ~3s makes number 3 the current one, ~3k shows its stack, ~*k every one
k                the stack of the current thread
+                by its chain of base pointers: functions that keep none are missing (x86; none of x64)
r                its registers; r eax one of them; r @$t0 = EXPRESSION sets a temporary]],
    run = function(dump, call) return RUN[call.word](dump, call) end,
}
