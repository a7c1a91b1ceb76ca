-- expression.lua: the value of a constant expression of C. A value is { integer, bits (32 or 64), unsigned }, by C's
-- own
-- rules for constants and for the operands of operators; 128-bit and floating values do not occur.
--
--     local value = expression.value(tree, scope)     an integer of Lua: unsigned 64-bit ones may look negative
-- scope: { constant = function(name, at) -> integer, bits, unsigned; size_of(type tree), align_of(...),
--          offset_of(type tree, path, at), cast(type tree) -> bits, unsigned; long_bits = }

local expression = {}

local function fail(at, message)
    error({ at = at, message = message }, 0)
end

-- ---- values ----

local function wrapped(integer, bits, unsigned)
    if bits < 64 then
        integer = integer & ((1 << bits) - 1)
        if not unsigned and integer >> (bits - 1) ~= 0 then integer = integer - (1 << bits) end
    end
    return { integer, bits, unsigned }
end

local function truth(yes) return { yes and 1 or 0, 32, false } end

local function promoted(value)
    return value[2] < 32 and { value[1], 32, false } or value
end

-- The usual arithmetic conversions.
local function common(a, b)
    a, b = promoted(a), promoted(b)
    local bits = math.max(a[2], b[2])
    local unsigned = a[2] == bits and a[3] or b[2] == bits and b[3] or false
    return wrapped(a[1], bits, unsigned), wrapped(b[1], bits, unsigned), bits, unsigned
end

local function less(a, b, unsigned)
    if unsigned then return math.ult(a, b) end
    return a < b
end

-- Quotient towards zero and what is left.
local function divided(a, b, unsigned, at)
    if b == 0 then fail(at, "a division by zero") end
    if b == -1 and not unsigned then return -a, 0 end
    if not unsigned then
        local quotient = a // b
        if quotient < 0 and quotient * b ~= a then quotient = quotient + 1 end
        return quotient, a - quotient * b
    end
    if b < 0 then
        if math.ult(a, b) then return 0, a end
        return 1, a - b
    end
    if a >= 0 then return a // b, a % b end
    local quotient = ((a >> 1) // b) << 1
    local rest = a - quotient * b
    if not math.ult(rest, b) then quotient, rest = quotient + 1, rest - b end
    return quotient, rest
end

-- ---- operators ----

local STRENGTH <const> = {
    ["||"] = 1, ["&&"] = 2, ["|"] = 3, ["^"] = 4, ["&"] = 5, ["=="] = 6, ["!="] = 6, ["<"] = 7, [">"] = 7, ["<="] = 7,
    [">="] = 7, ["<<"] = 8, [">>"] = 8, ["+"] = 9, ["-"] = 9, ["*"] = 10, ["/"] = 10, ["%"] = 10,
}

local ARITHMETIC <const> = {
    ["|"] = function(a, b) return a | b end,
    ["^"] = function(a, b) return a ~ b end,
    ["&"] = function(a, b) return a & b end,
    ["+"] = function(a, b) return a + b end,
    ["-"] = function(a, b) return a - b end,
    ["*"] = function(a, b) return a * b end,
    ["/"] = function(a, b, unsigned, at) return (divided(a, b, unsigned, at)) end,
    ["%"] = function(a, b, unsigned, at) return (select(2, divided(a, b, unsigned, at))) end,
}

local COMPARISONS <const> = {
    ["=="] = function(a, b) return a == b end,
    ["!="] = function(a, b) return a ~= b end,
    ["<"] = function(a, b, unsigned) return less(a, b, unsigned) end,
    [">"] = function(a, b, unsigned) return less(b, a, unsigned) end,
    ["<="] = function(a, b, unsigned) return not less(b, a, unsigned) end,
    [">="] = function(a, b, unsigned) return not less(a, b, unsigned) end,
}

local function shifted(a, operator, b, at)
    a = promoted(a)
    local by = b[1]
    if by < 0 or by >= a[2] then fail(at, ("a shift by %d of a %d-bit value"):format(by, a[2])) end
    if operator == "<<" then return wrapped(a[1] << by, a[2], a[3]) end
    if a[3] or a[1] >= 0 then return wrapped(a[1] >> by, a[2], a[3]) end
    return wrapped(a[1] // (1 << by), a[2], false)
end

local function applied(a, operator, b, at)
    if operator == "&&" then return truth(a[1] ~= 0 and b[1] ~= 0) end
    if operator == "||" then return truth(a[1] ~= 0 or b[1] ~= 0) end
    if operator == "<<" or operator == ">>" then return shifted(a, operator, b, at) end
    local left, right, bits, unsigned = common(a, b)
    if COMPARISONS[operator] then return truth(COMPARISONS[operator](left[1], right[1], unsigned)) end
    return wrapped(ARITHMETIC[operator](left[1], right[1], unsigned, at), bits, unsigned)
end

-- ---- operands ----

local LAST_NUMBER <const> = { [2] = ("1"):rep(64), [8] = "1" .. ("7"):rep(21), [10] = "18446744073709551615",
                              [16] = ("f"):rep(16) }

-- The first type that holds the number: int, unsigned (not for decimal numbers), long, ... as C says.
local function number(tree, scope)
    local suffix = tree.suffix:lower()
    local unsigned, size = suffix:match "^(u?)([li%d]*)$"
    if not unsigned then size, unsigned = suffix:match "^(l*)(u?)$" end
    if not size or not (size == "" or size == "l" or size == "ll" or size == "i64" or size == "i32") then
        fail(tree.at, ("'%s' is no suffix of an integer"):format(tree.suffix))
    end
    unsigned = unsigned == "u"
    local base, digits = tree.base, tree.digits:lower():gsub("^0+", "")
    local last = LAST_NUMBER[base]
    if #digits > #last or #digits == #last and digits > last then
        fail(tree.at, "a number of at most 64 bits was expected")
    end
    local value = 0
    for digit in digits:gmatch "." do value = value * base + tonumber(digit, 16) end
    local long_bits = (size == "ll" or size == "i64") and 64 or size == "l" and scope.long_bits or 32
    if long_bits == 32 and value >= 0 and value <= 0x7fffffff then return { value, 32, unsigned } end
    if long_bits == 32 and (unsigned or base ~= 10) and value >= 0 and value <= 0xffffffff then
        return { value, 32, true }
    end
    return { value, 64, unsigned or value < 0 }
end

local ESCAPES <const> = { n = 10, t = 9, r = 13, a = 7, b = 8, f = 12, v = 11, ["0"] = 0 }

local function character(tree)
    local value, count = 0, 0
    local text = tree.text
    local at = 1
    while at <= #text do
        local code, after = text:match("^\\x(%x%x?)()", at)
        if code then
            code = tonumber(code, 16)
        else
            code, after = text:match("^\\([0-7][0-7]?[0-7]?)()", at)
            if code then code = tonumber(code, 8) end
        end
        if not code then
            code, after = text:match("^\\(.)()", at)
            if code then code = ESCAPES[code] or code:byte() end
        end
        if not code then code, after = text:byte(at), at + 1 end
        value, count, at = value << 8 | code & 0xff, count + 1, after
    end
    if count > 4 then fail(tree.at, "a character constant of at most 4 characters was expected") end
    return wrapped(value, 32, false)
end

local evaluate

local PRIMARIES <const> = { number = number, character = character }

function PRIMARIES.expression(tree, scope) return evaluate(tree, scope) end
function PRIMARIES.constant(tree, scope) return { scope.constant(tree.name, tree.at) } end
function PRIMARIES.sizeof(tree, scope)
    local size = tree.what == "sizeof" and scope.size_of(tree.type) or tree.what ~= "sizeof" and
        scope.align_of(tree.type)
    return { size, scope.size_bits, true }
end
function PRIMARIES.offsetof(tree, scope)
    return { scope.offset_of(tree.type, tree.path, tree.at), scope.size_bits, true }
end

local function operand(tree, scope)
    local kind = tree.value.kind
    local value
    if kind == "cast" then
        local bits, unsigned = scope.cast(tree.value.type)
        value = wrapped(operand(tree.value.value, scope)[1], bits, unsigned)
    else
        value = PRIMARIES[kind](tree.value, scope)
    end
    for i = #tree.prefix, 1, -1 do
        local sign = tree.prefix[i].sign
        if sign == "!" then
            value = truth(value[1] == 0)
        else
            value = promoted(value)
            local integer = sign == "-" and -value[1] or sign == "~" and ~value[1] or value[1]
            value = wrapped(integer, value[2], value[3])
        end
    end
    return value
end

-- A flat list sorted by strength: two stacks.
local function flat(list, scope)
    local values, operators = {}, {}
    local function reduce(strength)
        while #operators > 0 and STRENGTH[operators[#operators].sign] >= strength do
            local operator = table.remove(operators)
            local b = table.remove(values)
            values[#values] = applied(values[#values], operator.sign, b, operator.at)
        end
    end
    for i = 1, #list, 2 do
        values[#values + 1] = operand(list[i], scope)
        local sign = list[i + 1]
        if sign then
            reduce(STRENGTH[sign])
            operators[#operators + 1] = { sign = sign, at = list[i + 2].at }
        end
    end
    reduce(0)
    return values[1]
end

function evaluate(tree, scope)
    local value = flat(tree.list, scope)
    if not tree.so then return value end
    local so, otherwise = evaluate(tree.so, scope), evaluate(tree.otherwise, scope)
    local _, _, bits, unsigned = common(so, otherwise)
    return wrapped((value[1] ~= 0 and so or otherwise)[1], bits, unsigned)
end

-- The value, how many bits its type has, and whether that is unsigned.
function expression.value(tree, scope)
    return table.unpack(evaluate(tree, scope), 1, 3)
end

return expression
