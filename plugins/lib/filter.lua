-- filter.lua: filter texts, such as `size == 0xf8 and state == busy`, as programs that C runs for each block.
--
-- An LPeg grammar makes a tree, the tree becomes a list of instructions for the stack machine of engine/query/filter.c
-- (enum hs_filter_code; the names below are spelled as there). Errors tell the position and what was expected there.
--
--     local program = filter.compile("size in 0x40..0x7f and not contains('MAPI')")
--     local program, message = filter.try(text)       -- nil and a message instead of an error
--     program.ops = { { code, value }, ... }, program.texts = { "MAPI", ... }

local lpeg = require "lpeg"
local P <const>, R <const>, S <const>, V <const> = lpeg.P, lpeg.R, lpeg.S, lpeg.V
local C <const>, Cc <const>, Cp <const>, Ct <const> = lpeg.C, lpeg.Cc, lpeg.Cp, lpeg.Ct

local filter = {}

-- Depth of parentheses and of `not`: the grammar recurses in C and here.
local DEPTH_MAX <const> = 100
local TEXT_MAX <const> = 64 * 1024

-- Fields by name: what enum hs_block_field calls them, and what they are compared with.
filter.fields = {
    address = "ADDRESS", user = "USER", size = "SIZE", total = "TOTAL", flags = "FLAGS", state = "STATE",
    heap = "HEAP", segment = "SEGMENT", stored = "STORED", tag = "TAG", unused = "UNUSED",
    previous = "PREVIOUS", settable = "SETTABLE", large = "LARGE", first_word = "FIRST_WORD",
    index = "ID", fill = "FILL", trace = "TRACE",
}
-- Fields that are compared with words: enum hs_block_state, enum hs_fill.
filter.words = {
    state = { busy = 0, free = 1, lookaside = 2, internal = 3, uncommitted = 4 },
    fill = { none = 0, intact = 1, broken = 2 },
}
filter.reads = {
    u8 = 1, u16 = 2, u32 = 4, u64 = 8, i8 = -1, i16 = -2, i32 = -4, i64 = -8, ptr = "pointer",
}
-- Functions of an offset that measure text.
filter.measures = { ascii = "ASCII", utf16 = "UTF16" }
-- Names that are matched as text, and the code that does it.
filter.names = {
    ["candidate.module"] = "CANDIDATE_MODULE", ["candidate.symbol"] = "CANDIDATE_SYMBOL", ["type"] = "LABEL",
    ["trace.module"] = "TRACE_MODULE", ["trace.symbol"] = "TRACE_SYMBOL",
}

-- ---- words ----

local expect <const>, reset <const>, told <const> = require "furthest".tracker()

local space <const> = S " \t\r\n" ^ 0
local word_char <const> = R("az", "AZ", "09") + P "_"

local function sign(text, what)
    return expect(P(text), what or ("'%s'"):format(text)) * space
end

local function keyword(text)
    return expect(P(text) * -word_char, ("'%s'"):format(text)) * space
end

local UNIT <const> = { k = 1 << 10, K = 1 << 10, M = 1 << 20, G = 1 << 30 }

local SURE_DIGITS <const> = { [10] = 18, [16] = 15 } -- so many always fit

local function to_integer(digits, base, unit)
    if #digits <= SURE_DIGITS[base] then return tonumber(digits, base) * (UNIT[unit] or 1) end
    local value = 0
    for digit in digits:gmatch "." do
        if value > (math.maxinteger - 15) // base and not (base == 16 and #digits:gsub("^0+", "") <= 16) then
            return false
        end
        value = value * base + tonumber(digit, 16)
    end
    return value * (UNIT[unit] or 1)
end

local digits_of_number <const> = lpeg.Cmt(P "0" * S "xX" * C(R("09", "af", "AF") ^ 1) * -word_char,
    function(_, _, digits)
        local value = to_integer(digits, 16)
        if value then return true, value end
    end) + lpeg.Cmt(C(R "09" ^ 1) * C(S "kKMG" ^ -1) * -word_char, function(_, _, digits, unit)
        local value = to_integer(digits, 10, unit)
        if value then return true, value end
    end)
local number <const> = expect(digits_of_number, "a value") * space

local ESCAPES <const> = { n = "\n", r = "\r", t = "\t", ["0"] = "\0" }
local escape <const> = P "\\" * (P "x" * (R("09", "af", "AF") * R("09", "af", "AF")) / function(digits)
    return string.char(tonumber(digits:sub(2), 16))
end + C(1) / function(char) return ESCAPES[char] or char end)

local function quoted(mark)
    return P(mark) * lpeg.Cs((escape + (P(1) - S("\\\n" .. mark))) ^ 0) * P(mark)
end
local plain_text <const> = quoted '"' + quoted "'"

local function utf16(text)
    local units = {}
    for _, point in utf8.codes(text) do
        if point >= 0x10000 then
            point = point - 0x10000
            units[#units + 1] = string.pack("<I2I2", 0xd800 + (point >> 10), 0xdc00 + (point & 0x3ff))
        else
            units[#units + 1] = string.pack("<I2", point)
        end
    end
    return table.concat(units)
end

-- x"10 00 00 10": bytes; L"text": UTF-16; "text": as it stands
local hex_text <const> = P "x" * P '"' * C((R("09", "af", "AF") + " ") ^ 0) * P '"' / function(digits)
    digits = digits:gsub(" ", "")
    return #digits % 2 == 0 and digits:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end) or false
end
local bytes <const> = expect(lpeg.Cmt(hex_text + P "L" * plain_text / function(text)
    return utf8.len(text) and utf16(text) or false
end + plain_text, function(_, _, text)
    return text and #text > 0, text
end), 'a text that is not empty ("text", L"UTF-16 text" or x"hex bytes")') * space
local name_text <const> = expect(plain_text, 'a text in quotes') * space

-- ---- grammar ----

-- Every word that can begin a condition or a value, and those that stand between them.
local KNOWN <const> = { contains = true, referenced = true, ["candidate.index"] = true, ["column.NAME"] = true }
for _, words in ipairs { filter.fields, filter.reads, filter.measures, filter.names } do
    for name in pairs(words) do KNOWN[name] = true end
end
local BETWEEN <const> = { ["and"] = true, ["or"] = true, ["not"] = true, ["in"] = true }

local function unknown_word(word)
    local known = {}
    for name in pairs(KNOWN) do known[#known + 1] = name end
    table.sort(known)
    return ("'%s' is no field; known are %s"):format(word, table.concat(known, ", "))
end

local function node(kind)
    return function(at, ...) return { kind = kind, at = at, ... } end
end

-- a op b op c from the left
local function left(operand, operator)
    return lpeg.Cf(operand * lpeg.Cg(Cp() * operator * operand) ^ 0, function(a, at, op, b)
        return { kind = "binary", at = at, op = op, a, b }
    end)
end

local function operators(list)
    local pattern = P(false)
    for _, entry in ipairs(list) do
        pattern = pattern + (entry[3] or P(entry[1])) * Cc(entry[2]) * space
    end
    return expect(pattern, list.what or "an operator")
end

local function field_names()
    local pattern = P(false)
    local sorted = {}
    for name in pairs(filter.fields) do
        if not filter.words[name] then sorted[#sorted + 1] = name end
    end
    table.sort(sorted, function(a, b) return #a > #b or #a == #b and a < b end)
    for _, name in ipairs(sorted) do pattern = pattern + P(name) * -(word_char + "." * R "az") end
    return expect(C(pattern), "a value") * space
end

local function names_of(...)
    local pattern = P(false)
    for _, list in ipairs { ... } do
        for name in pairs(list) do pattern = pattern + P(name) * -word_char end
    end
    return C(pattern)
end


local comparison <const> = operators {
    what = "a comparison",
    { "==", "EQUAL" }, { "~=", "NOT_EQUAL" }, { "!=", "NOT_EQUAL" }, { "<=", "LESS_EQUAL" }, { ">=", "GREATER_EQUAL" },
    { "<", "LESS", P "<" - P "<<" }, { ">", "GREATER", P ">" - P ">>" },
}
local name_comparison <const> = operators {
    what = "'~' or '=='",
    { "==", "SAME" }, { "~=", "OTHER" }, { "!=", "OTHER" }, { "~", "LIKE" },
}
local word_comparison <const> = operators {
    what = "'==', '~=' or 'in'",
    { "==", "EQUAL" }, { "~=", "NOT_EQUAL" }, { "!=", "NOT_EQUAL" },
}

-- `state == busy`, `fill in {none, broken}`: a field of filter.words and some of its words.
local function word_test(field)
    local words, names = P(false), {}
    for word in pairs(filter.words[field]) do
        words = words + P(word)
        names[#names + 1] = word
    end
    table.sort(names)
    local one = expect(C(words) * -word_char, ("a word for %s (%s)"):format(field, table.concat(names, ", "))) * space
    local list = sign "{" * one * (sign "," * one) ^ 0 * sign "}"
    return Cp() * expect(C(field) * -word_char, "a condition") * space * (
        word_comparison * one / function(op, word) return op, { word } end +
        keyword "in" * Cc "EQUAL" * Ct(list)) / node "words"
end

local rules <const> = {
    "text",
    text = space * V "either" * expect(-P(1), "the end of the filter"),
    either = lpeg.Cf(V "both" * (keyword "or" * lpeg.Cg(Cp() * V "both")) ^ 0, function(a, at, b)
        return { kind = "or", at = at, a, b }
    end),
    both = lpeg.Cf(V "negated" * (keyword "and" * lpeg.Cg(Cp() * V "negated")) ^ 0, function(a, at, b)
        return { kind = "and", at = at, a, b }
    end),
    negated = Cp() * expect(P "not" * -word_char, "a condition") * space * V "negated" / node "not" + V "truth",
    truth = word_test "state" + word_test "fill" + V "candidate_index" + V "name_test" + V "contains" +
        V "referenced" + V "compared",
    candidate_index = Cp() * expect(P "candidate.index" * -word_char, "a condition") * space *
        operators { { "==", "EQUAL" } } * number / node "candidate",
    name_test = Cp() * expect(names_of(filter.names), "a condition") * space * name_comparison * name_text /
        node "name",
    contains = Cp() * expect(P "contains" * -word_char, "a condition") * space * sign "(" * bytes * sign ")" /
        node "contains",
    referenced = Cp() * expect(P "referenced" * -word_char, "a condition") * space / node "referenced",
    -- a comparison, or a truth in parentheses
    compared = Cp() * V "value" * (comparison * V "value" / function(op, value)
        return { op = op, value }
    end + keyword "in" * (V "range" + V "list"))^-1 / function(at, value, test)
        return { kind = "compared", at = at, value, test }
    end,
    range = V "value" * sign ".." * V "value" / function(low, high) return { op = "BETWEEN", low, high } end,
    -- Lists of a thousand numbers are common, and to try all that a value can be takes its time.
    list = (P "{" * space * Ct(V "plain" * (P "," * space * V "plain") ^ 0) * P "}" * space +
        sign "{" * Ct(V "value" * (sign "," * V "value") ^ 0) * sign "}") / function(values)
        return { op = "IN", list = values }
    end,
    plain = Cp() * digits_of_number * space / node "number",
    value = V "bit_or",
    bit_or = left(V "bit_xor", operators { { "|", "OR" } }),
    bit_xor = left(V "bit_and", operators { { "^", "XOR" } }),
    bit_and = left(V "shifted", operators { { "&", "AND" } }),
    shifted = left(V "sum", operators { { "<<", "SHIFT_LEFT" }, { ">>", "SHIFT_RIGHT" } }),
    sum = left(V "product", operators { { "+", "ADD" }, { "-", "SUBTRACT" } }),
    product = left(V "unary", operators { { "*", "MULTIPLY" }, { "/", "DIVIDE" }, { "%", "MODULO" } }),
    unary = Cp() * sign("-", "a value") * V "unary" / node "NEGATE" +
        Cp() * expect(P "~" - P "~=", "a value") * space * V "unary" / node "INVERT" + V "atom",
    atom = Cp() * number / node "number" +
        lpeg.Cmt(Cp() * R "09", function(_, _, at)
            error({ at = at, message = "a number of at most 64 bits was expected (decimal, or hex with 0x)" }, 0)
        end) +
        Cp() * expect(names_of(filter.reads, filter.measures), "a value") * space * sign "(" * V "value" * sign ")" /
        node "read" +
        Cp() * field_names() / node "field" +
        Cp() * P "column." * expect(C(word_char ^ 1), "the name of a column") * space / node "column" +
        Cp() * sign("(", "a value") * V "either" * sign ")" / node "group" +
        lpeg.Cmt(Cp() * C((R("az", "AZ") + "_") * (word_char + ".") ^ 0), function(_, _, at, word)
            if KNOWN[word] or BETWEEN[word] or word:find "^column%." then return false end
            error({ at = at, message = unknown_word(word) }, 0)
        end),
}
local grammar <const> = P(rules)
rules[1] = "expression"
rules.expression = space * V "value" * expect(-P(1), "the end of the expression")
local value_grammar <const> = P(rules)

-- ---- from tree to program ----

local function fail(at, message)
    error({ at = at, message = message }, 0)
end

local Program <const> = {}
Program.__index = Program

function Program:emit(code, value)
    self.ops[#self.ops + 1] = { code, value or 0 }
    return #self.ops
end

-- Index (from 0) of a text.
function Program:text(text)
    for i, known in ipairs(self.texts) do
        if known == text then return i - 1 end
    end
    self.texts[#self.texts + 1] = text
    return #self.texts - 1
end

-- A name pattern: `~` finds the text anywhere unless it has wildcards of its own; `==` means the whole name.
local function pattern_of(op, text)
    if op == "LIKE" and not text:find "[*?]" then return "*" .. text .. "*" end
    return text
end

-- What each kind of node leaves on the stack: "truth" or "value".
local emit

local function emit_kind(program, tree, wanted)
    local kind = emit(program, tree)
    if kind ~= wanted then
        fail(tree.at, wanted == "truth" and "a comparison was expected, not a bare value" or
            "a value was expected, not a comparison")
    end
end

local COMPARE <const> = {
    EQUAL = { "EQUAL" }, NOT_EQUAL = { "EQUAL", true }, LESS = { "LESS" }, LESS_EQUAL = { "LESS_EQUAL" },
    GREATER = { "LESS_EQUAL", true }, GREATER_EQUAL = { "LESS", true },
}

-- Short circuit: the second side runs only if the first did not decide.
local function emit_short(program, tree, jump)
    emit_kind(program, tree[1], "truth")
    local at = program:emit(jump)
    emit_kind(program, tree[2], "truth")
    program.ops[at][2] = #program.ops
    return "truth"
end

-- From this many constants on, a list is looked up in one step instead of one by one.
local AMONG_MIN <const> = 2

local function emit_among(program, value, list)
    local numbers, packed = {}, {}
    for i, element in ipairs(list) do numbers[i] = element[1] end
    table.sort(numbers)
    for i, number_ in ipairs(numbers) do packed[i] = string.pack("<i8", number_) end
    emit_kind(program, value, "value")
    program:emit("AMONG", program:text(table.concat(packed)))
end

local function emit_list(program, value, list)
    local jumps = {}
    local constants = #list >= AMONG_MIN
    for _, element in ipairs(list) do constants = constants and element.kind == "number" end
    if constants then return emit_among(program, value, list) end
    for i, element in ipairs(list) do
        emit_kind(program, value, "value")
        emit_kind(program, element, "value")
        program:emit "EQUAL"
        if i < #list then jumps[#jumps + 1] = program:emit "JUMP_IF" end
    end
    for _, at in ipairs(jumps) do program.ops[at][2] = #program.ops end
end

-- a > b is b < a and not "not (a <= b)": comparisons with something missing are false whichever way they are written.
local function emit_comparison(program, value, op, other)
    if op == "GREATER" or op == "GREATER_EQUAL" then
        value, other, op = other, value, op == "GREATER" and "LESS" or "LESS_EQUAL"
    end
    emit_kind(program, value, "value")
    emit_kind(program, other, "value")
    program:emit(COMPARE[op][1])
    if op == "NOT_EQUAL" then
        -- Missing is not "other than": both sides must be there, that is, equal to themselves.
        program:emit "NOT"
        for _, side in ipairs { value, other } do
            if side.kind ~= "number" then
                local at = program:emit "JUMP_UNLESS"
                emit_kind(program, side, "value")
                emit_kind(program, side, "value")
                program:emit "EQUAL"
                program.ops[at][2] = #program.ops
            end
        end
    end
end

local EMIT <const> = {
    ["or"] = function(program, tree) return emit_short(program, tree, "JUMP_IF") end,
    ["and"] = function(program, tree) return emit_short(program, tree, "JUMP_UNLESS") end,
    ["not"] = function(program, tree)
        emit_kind(program, tree[1], "truth")
        program:emit "NOT"
        return "truth"
    end,
    group = function(program, tree) return emit(program, tree[1]) end,
    number = function(program, tree)
        program:emit("PUSH", tree[1])
        return "value"
    end,
    field = function(program, tree)
        program:emit("FIELD", filter.fields[tree[1]])
        return "value"
    end,
    column = function(program, tree)
        program:emit("COLUMN", program:text(tree[1]))
        return "value"
    end,
    read = function(program, tree)
        emit_kind(program, tree[2], "value")
        if filter.measures[tree[1]] then
            program:emit(filter.measures[tree[1]])
        else
            program:emit("READ", filter.reads[tree[1]])
        end
        return "value"
    end,
    NEGATE = function(program, tree)
        emit_kind(program, tree[1], "value")
        program:emit "NEGATE"
        return "value"
    end,
    INVERT = function(program, tree)
        emit_kind(program, tree[1], "value")
        program:emit "INVERT"
        return "value"
    end,
    binary = function(program, tree)
        emit_kind(program, tree[1], "value")
        emit_kind(program, tree[2], "value")
        program:emit(tree.op)
        return "value"
    end,
    words = function(program, tree)
        local list = {}
        for i, word in ipairs(tree[3]) do
            list[i] = { kind = "number", at = tree.at, filter.words[tree[1]][word] }
        end
        emit_list(program, { kind = "field", at = tree.at, tree[1] }, list)
        if tree[2] == "NOT_EQUAL" then program:emit "NOT" end
        return "truth"
    end,
    candidate = function(program, tree)
        program:emit("CANDIDATE_INDEX", tree[2])
        return "truth"
    end,
    name = function(program, tree)
        program:emit(filter.names[tree[1]], program:text(pattern_of(tree[2], tree[3])))
        if tree[2] == "OTHER" then program:emit "NOT" end
        return "truth"
    end,
    referenced = function(program)
        program:emit "REFERENCED"
        return "truth"
    end,
    contains = function(program, tree)
        program:emit("CONTAINS", program:text(tree[1]))
        return "truth"
    end,
    compared = function(program, tree)
        local value, test = tree[1], tree[2]
        if not test then return emit(program, value) end
        if test.op == "IN" then
            emit_list(program, value, test.list)
        elseif test.op == "BETWEEN" then
            emit_kind(program, value, "value")
            emit_kind(program, test[1], "value")
            emit_kind(program, test[2], "value")
            program:emit "BETWEEN"
        else
            emit_comparison(program, value, test.op, test[1])
        end
        return "truth"
    end,
}

function emit(program, tree) return EMIT[tree.kind](program, tree) end

-- ---- door ----

-- Where `at` (in bytes, from 1) is, for people: the text from there on.
local function place(text, at)
    if at > #text then return "at the end" end
    local rest = text:sub(at, at + 19):gsub("%s+", " ")
    return ("at position %d, before '%s%s'"):format(at, rest, at + 19 < #text and "..." or "")
end

local function check_depth(text)
    local depth, deepest = 0, 0
    for char in text:gmatch "[()]" do
        depth = depth + (char == "(" and 1 or -1)
        deepest = math.max(deepest, depth)
    end
    local _, nots = text:gsub("%f[%w_]not%f[^%w_]", "")
    local _, signs = text:gsub("[-~]%s*[-~]", "")
    if deepest > DEPTH_MAX or nots > DEPTH_MAX or signs > DEPTH_MAX then
        fail(1, ("nested more than %d deep"):format(DEPTH_MAX))
    end
end

local function expected()
    local _, list = told()
    local last = table.remove(list)
    return #list > 0 and table.concat(list, ", ") .. " or " .. last or last
end

local function compile(text, expression)
    if type(text) ~= "string" then fail(1, "a filter text was expected, got " .. math.type(text) or type(text)) end
    if #text > TEXT_MAX then fail(1, ("longer than %d bytes"):format(TEXT_MAX)) end
    check_depth(text)
    reset()
    local tree = (expression and value_grammar or grammar):match(text)
    if not tree then fail((told()), expected() .. " was expected") end
    local program = setmetatable({ ops = {}, texts = {} }, Program)
    emit_kind(program, tree, expression and "value" or "truth")
    return program
end

-- The program of a filter text, or nil and a message with the position. With `expression` the text is a value, such as
-- `u32(8) & 0xffff`, and not a condition: what set:group can group by.
function filter.try(text, expression)
    local ok, result = pcall(compile, text, expression)
    if ok then return result end
    if type(result) == "table" and result.at then
        return nil, ("filter: %s: %s"):format(place(tostring(text), result.at), result.message)
    end
    error(result, 0)
end

-- The same, but a bad text raises the message.
function filter.compile(text)
    local program, message = filter.try(text)
    if not program then error(message, 2) end
    return program
end

return filter
