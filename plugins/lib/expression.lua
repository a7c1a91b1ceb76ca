-- expression.lua: the debugger's numeric expressions (MASM syntax), as `? poi(ntdll!Name+64)-4*7dfe` takes them.
--
--     local value, message, code, at = expression.try(text, world)
--     local list, message, code, at = expression.list(text, world)     -- "0372e598 L20": what commands take
--
-- A `world` answers for the process: read(va, size) -> integer or nil; symbol(name) -> va or nil; register(name) ->
-- value or nil; pseudo(name) -> value or nil ("peb", "t0", ...). expression.world(dump, session) makes one of a dump.
--
-- Numbers are hex unless told otherwise and never sign-extended; values have 64 bits and wrap. A bare word is a number,
-- else a symbol, else a register. Operators from tight to loose, each from the left:
--     + - not by wo dwo qwo poi hi low    * / % mod    + -    << >> >>>    < <= > >= = == !=    & and    ^ xor    | or

local lpeg = require "lpeg"
local P <const>, R <const>, S <const>, V <const> = lpeg.P, lpeg.R, lpeg.S, lpeg.V
local C <const>, Cc <const>, Cp <const>, Ct <const> = lpeg.C, lpeg.Cc, lpeg.Cp, lpeg.Ct

local expression = {}

local TEXT_MAX <const> = 4096
local DEPTH_MAX <const> = 60 -- of parentheses and unary operators: the grammar recurses

-- ---- words ----

local expect <const>, reset <const>, told <const> = require "furthest".tracker()

local space <const> = S " \t" ^ 0
local any_case = function(word)
    local pattern = P(true)
    for char in word:gmatch "." do pattern = pattern * S(char:lower() .. char:upper()) end
    return pattern
end
local word_char <const> = R("az", "AZ", "09") + S "_$?@~"
local ends_word <const> = -word_char

local function fail(at, code, message)
    error({ at = at, code = code, message = message }, 0)
end

-- ---- numbers ----

local BASES <const> = { x = 16, n = 10, t = 8, y = 2 }
local BASE_NAMES <const> = { [16] = "hex", [10] = "decimal", [8] = "octal", [2] = "binary" }

-- The largest value that can be multiplied by the base within 64 bits.
local LIMITS <const> = { [16] = 0x0fffffffffffffff, [10] = 0x1999999999999999, [8] = 0x1fffffffffffffff,
                         [2] = 0x7fffffffffffffff }

-- The value of digits of a base; nil if one is no digit of it; false if there are more than 64 bits.
local function digits_value(digits, base)
    digits = digits:gsub("`", "")
    if digits == "" then return nil end
    local value = 0
    for char in digits:gmatch "." do
        local digit = tonumber(char, 16)
        if not digit or digit >= base then return nil end
        if math.ult(LIMITS[base], value) then return false end
        local grown = value * base + digit
        if math.ult(grown, digit) then return false end
        value = grown
    end
    return value
end

-- What a word says as a number: its value, nil if it is none, or false and what is wrong.
function expression.number(word)
    local prefix, digits = word:match "^0([xXnNtTyY])([%x`]+)$"
    local base = 16
    if prefix then
        base = BASES[prefix:lower()]
    else
        digits = word:match "^(%x[%x`]*)[hH]$" or word:match "^(%x[%x`]*)$"
    end
    if not digits then return nil end
    local value = digits_value(digits, base)
    if value == false then return false, "a number of at most 64 bits was expected" end
    if value == nil then return false, ("a %s digit was expected"):format(BASE_NAMES[base]) end
    return value
end

-- ---- grammar: a flat list of operands and operators; what binds tighter is worked out behind it ----

local BINARY <const> = {
    { { "*", "*" }, { "/", "/" }, { "%", "%" }, { "mod", "%" } },
    { { "+", "+" }, { "-", "-" } },
    { { ">>>", ">>>" }, { "<<", "<<" }, { ">>", ">>" } },
    { { "<=", "<=" }, { ">=", ">=" }, { "==", "=" }, { "!=", "!=" }, { "<", "<" }, { ">", ">" }, { "=", "=" } },
    { { "&", "&" }, { "and", "&" } },
    { { "^", "^" }, { "xor", "^" } },
    { { "|", "|" }, { "or", "|" } },
}
local RANK <const> = {}
local operator
do
    local spelled = {}
    for rank, level in ipairs(BINARY) do
        for _, entry in ipairs(level) do
            RANK[entry[2]] = rank
            spelled[#spelled + 1] = entry
        end
    end
    table.sort(spelled, function(a, b) return #a[1] > #b[1] or #a[1] == #b[1] and a[1] < b[1] end)
    local pattern = P(false)
    for _, entry in ipairs(spelled) do
        local text = entry[1]:find "%a" and any_case(entry[1]) * ends_word or P(entry[1])
        pattern = pattern + text * Cc(entry[2])
    end
    operator = expect(pattern, "an operator")
end

local UNARY <const> = { "poi", "by", "wo", "dwo", "qwo", "hi", "low", "not" }
local unary_word = P(false)
for _, word in ipairs(UNARY) do unary_word = unary_word + any_case(word) / word * ends_word end

-- A name: mod!sym, with :: and ~ inside. A word that starts like a number is one too: 3rdpartydll.
local name <const> = (word_char + P "`" + P "!" * #(word_char) + P "::" + P "." * #R("az", "AZ", "09")) ^ 1
local quoted_name <const> = P '@!"' * C((P(1) - '"') ^ 1) * '"'

-- Built anew for each way of ending: `stop` is where a list's next item begins.
local rules <const> = {
    "whole",
    whole = space * V "expression" * space * expect(-P(1), "the end of the expression"),
    items = Ct(space * V "item" * (S " \t" ^ 1 * V "item") ^ 0 * space * expect(-P(1), "the end of the line")),
    item = Ct(lpeg.Cg(Cp(), "at") * S "lL" * (P "?" * lpeg.Cg(Cc(true), "forced")) ^ -1 *
            #(R("09", "af", "AF") + S "(@$") * lpeg.Cg(V "expression", "length")) +
        Ct(lpeg.Cg(Cp(), "at") * lpeg.Cg(V "expression", "value")),
    expression = Ct(V "operand" * (space * Cp() * operator * space * V "operand") ^ 0),
    operand = Ct(Cp() * expect(S "+-" / "%0", "a value") * space * V "operand") +
        Ct(Cp() * unary_word * space * V "operand") +
        Ct(Cp() * expect(P "(", "a value") * Cc "group" * space * V "expression" * space * expect(P ")", "')'")) +
        Ct(Cp() * quoted_name * Cc "name" / function(at, text) return at, "name", text end) +
        Ct(Cp() * P "@" * Cc "register" * C(word_char ^ 1)) +
        Ct(Cp() * P "$" * Cc "pseudo" * C(word_char ^ 1)) +
        Ct(Cp() * Cc "word" * expect(C(name), "a value")),
}
local whole <const> = P(rules)
rules[1] = "items"
local items <const> = P(rules)

-- ---- values ----

local compute

local function unsigned_divide(a, b)
    if b < 0 then return math.ult(a, b) and 0 or 1 end
    if a >= 0 then return a // b end
    local half = ((a >> 1) // b) << 1
    return math.ult(a - half * b, b) and half or half + 1
end

local function truth(value) return value and 1 or 0 end

local OPERATE <const> = {
    ["*"] = function(a, b) return a * b end,
    ["/"] = unsigned_divide,
    ["%"] = function(a, b) return a - unsigned_divide(a, b) * b end,
    ["+"] = function(a, b) return a + b end,
    ["-"] = function(a, b) return a - b end,
    ["<<"] = function(a, b) return math.ult(b, 64) and a << b or 0 end,
    [">>"] = function(a, b) return math.ult(b, 64) and a >> b or 0 end,
    [">>>"] = function(a, b)
        if not math.ult(b, 64) then return a < 0 and -1 or 0 end
        return a // (1 << b) -- rounds down, as an arithmetic shift does
    end,
    ["<"] = function(a, b) return truth(math.ult(a, b)) end,
    [">"] = function(a, b) return truth(math.ult(b, a)) end,
    ["<="] = function(a, b) return truth(not math.ult(b, a)) end,
    [">="] = function(a, b) return truth(not math.ult(a, b)) end,
    ["="] = function(a, b) return truth(a == b) end,
    ["!="] = function(a, b) return truth(a ~= b) end,
    ["&"] = function(a, b) return a & b end,
    ["^"] = function(a, b) return a ~ b end,
    ["|"] = function(a, b) return a | b end,
}

local READS <const> = { by = 1, wo = 2, dwo = 4, qwo = 8 }

local function read(world, at, va, size)
    if world.pointer_size == 4 then va = va & 0xffffffff end
    local value = va >= 0 and world.read(va, size) or nil
    if not value then fail(at, "unmapped", ("the dump holds no memory at %x"):format(va)) end
    return value
end

-- A bare word: hex number, symbol, register.
local function word_value(world, at, word)
    local value, wrong = expression.number(word)
    if value == false and not word:find "[!_]" then
        value = world.symbol(word)
        if not value then fail(at, "syntax", wrong) end
    end
    value = value or world.symbol(word) or world.register(word)
    if value then return value end
    fail(at, "not-found", ("'%s' is no number, and no symbol or register of that name is known"):format(word))
end

local KINDS <const> = {
    group = function(world, node) return compute(world, node[3]) end,
    name = function(world, node)
        return world.symbol(node[3]) or fail(node[1], "not-found", ("no symbol '%s' is known"):format(node[3]))
    end,
    word = function(world, node) return word_value(world, node[1], node[3]) end,
    register = function(world, node)
        if node[3]:sub(1, 1) == "$" then
            return world.pseudo(node[3]:sub(2)) or
                fail(node[1], "not-found", ("there is no pseudo-register '%s'"):format(node[3]))
        end
        return world.register(node[3]) or world.symbol(node[3]) or
            fail(node[1], "not-found", ("no register or symbol '%s' is known"):format(node[3]))
    end,
    pseudo = function(world, node)
        return world.pseudo(node[3]) or
            fail(node[1], "not-found", ("there is no pseudo-register '$%s'"):format(node[3]))
    end,
    ["+"] = function(world, node) return compute(world, { node[3] }) end,
    ["-"] = function(world, node) return -compute(world, { node[3] }) end,
    ["not"] = function(world, node) return truth(compute(world, { node[3] }) == 0) end,
    hi = function(world, node) return compute(world, { node[3] }) >> 16 & 0xffff end,
    low = function(world, node) return compute(world, { node[3] }) & 0xffff end,
    poi = function(world, node) return read(world, node[1], compute(world, { node[3] }), world.pointer_size) end,
}
for word, size in pairs(READS) do
    KINDS[word] = function(world, node) return read(world, node[1], compute(world, { node[3] }), size) end
end

-- Value of the flat list { operand, at, operator, operand, ... }: operators wait on a stack until a looser one comes.
function compute(world, list)
    local values, waiting = {}, {}
    local function apply()
        local entry = table.remove(waiting)
        local b = table.remove(values)
        local a = table.remove(values)
        if b == 0 and (entry.op == "/" or entry.op == "%") then fail(entry.at, "syntax", "division by zero") end
        values[#values + 1] = OPERATE[entry.op](a, b)
    end
    local i = 1
    while list[i] do
        local node = list[i]
        values[#values + 1] = KINDS[node[2]](world, node)
        local at, op = list[i + 1], list[i + 2]
        if not op then break end
        while #waiting > 0 and RANK[waiting[#waiting].op] <= RANK[op] do apply() end
        waiting[#waiting + 1] = { at = at, op = op }
        i = i + 3
    end
    while #waiting > 0 do apply() end
    return values[1]
end

-- ---- door ----

local function place(text, at, offset)
    if at > #text then return "at the end" end
    local rest = text:sub(at, at + 19):gsub("%s+", " ")
    return ("at position %d, before '%s%s'"):format(at + offset, rest, at + 19 < #text and "..." or "")
end

local function expected()
    local _, list = told()
    local last = table.remove(list)
    return (#list > 0 and table.concat(list, ", ") .. " or " .. last or last) .. " was expected"
end

local function check_depth(text)
    local depth = 0
    for at, char in text:gmatch "()([()])" do
        depth = depth + (char == "(" and 1 or -1)
        if depth > DEPTH_MAX then fail(at, "syntax", ("nested more than %d deep"):format(DEPTH_MAX)) end
    end
    -- Unary operators nest too, with blanks between them or not.
    local words, signs = 0, 0
    for word in text:lower():gmatch "%f[%a]%a+" do
        for _, each in ipairs(UNARY) do words = words + (each == word and 1 or 0) end
    end
    for run in text:gsub("%s", ""):gmatch "[-+]+" do signs = math.max(signs, #run) end
    if math.max(words, signs) > DEPTH_MAX then
        fail(1, "syntax", ("nested more than %d deep"):format(DEPTH_MAX))
    end
end

local function guarded(text, offset, work)
    local ok, result = pcall(function()
        if #text > TEXT_MAX then fail(1, "syntax", ("longer than %d bytes"):format(TEXT_MAX)) end
        check_depth(text)
        return work()
    end)
    if ok then return result end
    if type(result) == "table" and result.message then
        return nil, ("%s: %s"):format(place(text, result.at, offset or 0), result.message), result.code, result.at
    end
    if type(result) == "string" and result:find "stack overflow" then
        return nil, "at position 1: nested more than can be read", "syntax", 1
    end
    error(result, 0)
end

local function parse(grammar, text)
    reset()
    local tree = grammar:match(text)
    if not tree then fail((told()), "syntax", expected()) end
    return tree
end

-- `offset` is added to positions that are told: how much stands before the text in its line.

-- The value of a text; or nil, a message with the position, "syntax" | "not-found" | "unmapped", and the position.
function expression.try(text, world, offset)
    return guarded(text, offset, function() return compute(world, parse(whole, text)) end)
end

-- What stands behind a command, as { { value = }, { length = , forced = } , ... }: expressions one after the other, and
-- L20 lengths. Fails as try does. An operator joins what stands on its two sides, blanks or not.
function expression.list(text, world, offset)
    if not text:find "%S" then return {} end
    return guarded(text, offset, function()
        local out = {}
        for i, item in ipairs(parse(items, text)) do
            out[i] = { at = item.at, forced = item.forced, value = item.value and compute(world, item.value),
                       length = item.length and compute(world, item.length) }
        end
        return out
    end)
end

-- ---- the world of a dump ----

-- Names that are not exported and that the dump tells by other means.
local FOUND <const> = {
    ["ntdll!rtlpstacktracedatabase"] = function(dump) return dump.traces and dump.traces.pointer_address end,
}

local function thread_of(dump, session)
    local threads = dump:threads()
    if session.thread then return threads[session.thread] end
    local exception = dump:info().exception
    for thread in threads do
        if exception and thread.id == exception.thread_id then return thread end
    end
    return threads[1]
end
expression.thread_of = thread_of

local PSEUDO <const> = {
    peb = function(dump) return dump:info().peb end,
    teb = function(dump, session) local thread = thread_of(dump, session) return thread and thread.teb end,
    ip = function(dump, session) local thread = thread_of(dump, session) return thread and thread.ip end,
    csp = function(dump, session) local thread = thread_of(dump, session) return thread and thread.sp end,
    tid = function(dump, session) local thread = thread_of(dump, session) return thread and thread.id end,
    tpid = function(dump) return dump:info().process_id end,
    ptrsize = function(dump) return dump.pointer_size end,
}

-- `session` keeps what lives longer than one expression: temporaries = { [0..19] = value }, thread = number from 1.
function expression.world(dump, session)
    session = session or {}
    local world = { pointer_size = dump.pointer_size }
    function world.read(va, size)
        if size == 1 then return (dump:u8(va)) end
        if size == 2 then return (dump:u16(va)) end
        if size == 4 then return (dump:u32(va)) end
        return (dump:u64(va))
    end
    function world.symbol(word)
        local found = FOUND[word:lower()]
        return dump:resolve(word) or found and found(dump) or nil
    end
    function world.register(word)
        local thread = thread_of(dump, session)
        for _, register in ipairs(thread and thread.registers or {}) do
            if register.name == word:lower() then return register.value end
        end
    end
    function world.pseudo(word)
        word = word:lower()
        local number = word:match "^t(%d%d?)$"
        if number and tonumber(number) < 20 then
            return session.temporaries and session.temporaries[tonumber(number)] or 0
        end
        return PSEUDO[word] and PSEUDO[word](dump, session) or nil
    end
    return world
end

return expression
