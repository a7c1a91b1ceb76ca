-- grammar.lua: the decorated names of MSVC as an LPeg grammar that makes a tree. What the tree means is render.lua's.
--
-- A decorated name is read from left to right once: every choice is made by its first characters, so that a name that
-- is wrong fails where it is wrong, without trying the rest in other ways. What a digit refers back to is not known
-- here, as it depends on what was read before: a node "back" holds the digit.
--
-- Nodes are tables with `kind` and what each rule says; what is in them without a name are the scopes of a name
-- (innermost first) or the arguments of a template. Every table in a table counts against LPeg's limit for those, 200:
-- templates take two each.

local lpeg = require "lpeg"
local codes = require "undecorate.codes"
local P <const>, R <const>, S <const>, V <const> = lpeg.P, lpeg.R, lpeg.S, lpeg.V
local C <const>, Cc <const>, Cg <const>, Cp <const>, Ct <const> = lpeg.C, lpeg.Cc, lpeg.Cg, lpeg.Cp, lpeg.Ct

-- Dimensions of one array type: more than any compiler takes.
local RANK_MAX <const> = 100

local function node(kind, pattern)
    return Ct(Cg(Cc(kind), "kind") * pattern)
end

local function field(name, pattern)
    return Cg(pattern, name)
end

-- One of the keys of `map` as they stand, longest first; the capture is the value or, without `value`, the key.
local function one_of(map, value)
    local keys, pattern = {}, P(false)
    for key in pairs(map) do keys[#keys + 1] = key end
    table.sort(keys, function(a, b) return #a > #b or #a == #b and a < b end)
    for _, key in ipairs(keys) do pattern = pattern + P(key) end
    return value and pattern / map or C(pattern)
end

-- ---- numbers ----

-- "3" is 4; "BA@" is 0x10; "?" in front is a minus. As text, since values have up to 64 bits and no sign.
local function decimal(digits)
    local value = 0
    for digit in digits:gmatch "." do value = value << 4 | digit:byte() - 65 end
    if value >= 0 then return tostring(value) end
    local tenth = (value >> 1) // 5
    return ("%d%d"):format(tenth, value - tenth * 10)
end
local long_number <const> = C(R "AP" ^ -16) * "@"
local unsigned <const> = R "09" / function(digit) return tostring(tonumber(digit) + 1) end + long_number / decimal
local signed <const> = P "?" * unsigned / function(number) return number == "0" and number or "-" .. number end +
    unsigned

-- "Y", how many dimensions, and each of them: the only count in the language.
local plain_number <const> = lpeg.P(unsigned * Cp())
local dimensions <const> = lpeg.Cmt(P "Y" * unsigned * Cp(), function(subject, _, rank, at)
    rank = tonumber(rank)
    if rank < 1 or rank > RANK_MAX then return false end
    local list = {}
    for i = 1, rank do
        list[i], at = plain_number:match(subject, at)
        if not at then return false end
    end
    return at, list
end)

-- ---- small parts ----

local qualifiers <const> = S "ABCDQRST" / codes.qualifiers
local extended <const> = lpeg.Cf(Cc(0) * (S "EIF" / codes.extended) ^ 0, function(a, b) return a | b end)
local back <const> = node("back", field("digit", R "09" / tonumber))
local simple <const> = node("simple", field("text", C((P(1) - S "@?") * (P(1) - "@") ^ 0))) * "@"
-- The number of a scope in a function, between question marks.
local local_scope <const> = #(P "?" * (R "09" + P "@" + R "BP" * R "AP" ^ 0 * "@") * "?")

local function numbers(count)
    local pattern = P(true)
    for _ = 1, count do pattern = pattern * signed end
    return field("offsets", Ct(pattern))
end

-- A symbol of its own kind, by the code behind its question mark.
local function special(kind, map, pattern)
    return node(kind, "?" * field("code", one_of(map)) * pattern)
end

local named <const> = field("leaf", V "leaf") * V "scope"

local rules <const> = { "name" }

rules.name = (V "symbol" + node("typeinfo", "." * field("type", V "result"))) * -P(1)

-- ---- symbols ----

-- Each kind has codes that no other kind and no operator has, so that none is tried in vain for long.
rules.symbol = node("md5", field("text", C(P "??@" * (P(1) - "@") ^ 1 * "@"))) + "?" * (
    V "table" + V "vcall" + V "untyped" + V "base_class" + V "descriptor" + V "guard" + V "dynamic" + V "literal" +
    V "declared")
rules.declared = node("declared", named * (V "variable" + field("callable", V "callable")))
rules.table = special("table", codes.table, V "scope" * S "67" * field("quals", qualifiers) *
    field("targets", Ct(V "type_name" ^ 0)) * "@")
rules.vcall = node("vcall", "?_9" * V "scope" * "$B" * field("offset", unsigned) * "A" * V "convention")
rules.untyped = special("untyped", codes.untyped, V "scope" * "8")
rules.base_class = node("base_class", "?_R1" * field("numbers", Ct(unsigned * signed * unsigned * unsigned)) *
    V "scope" * "8")
rules.descriptor = node("descriptor", "?_R0" * field("type", V "result") * "@8")
rules.guard = special("guard", codes.guard, V "scope" * (P "4IA" + "5" * field("index", unsigned) ^ -1))
-- Of a static member the whole symbol is told, of another variable the name.
rules.dynamic = special("dynamic", codes.dynamic, (
    (P "?" - "?$") * field("variable", V "declared") * "@@" + (-P "?" + #P "?$") * named) *
    field("callable", V "callable"))
rules.literal = node("literal", "?_C@_" * field("width", S "01" / tonumber) * field("size", unsigned / tonumber) *
    (P(1) - "@") ^ 0 * "@" * field("text", C((P(1) - "@") ^ 0)) * "@")

-- Behind its type a variable tells once more what a pointer points to.
rules.variable = field("storage", one_of(codes.storage)) * (
    #(S "PQRS" * S "EIF" ^ 0 * S "8QRST") * field("type", V "type") * field("ext", extended) *
    field("quals", qualifiers) * field("class", V "type_name") +
    field("type", V "type") * field("ext", extended) * field("quals", qualifiers))

-- Access and kind of a function, the offsets of a thunk, and its signature; only members have qualifiers of `this`.
local function callable(letters, count, signature)
    return field("class", C(S(letters))) * numbers(count) * field("signature", V(signature))
end
rules.callable = node("callable", field("extern_c", P "$$J0" * Cc(true)) ^ -1 * (
    field("extern_c", P "9" * Cc(true)) +
    callable("CDKLSTYZ", 0, "signature") + callable("ABEFIJMNQRUV", 0, "member_signature") +
    callable("GHOPWX", 1, "member_signature") +
    "$R" * callable("012345", 4, "member_signature") + "$" * callable("012345", 2, "member_signature")))

-- ---- names ----

rules.leaf = back + V "template" + "?" * (
    node("structor", field("code", C(S "01"))) + node("conversion", P "B") +
    node("literal_operator", "__K" * field("text", C((P(1) - "@") ^ 1)) * "@") +
    node("operator", field("text", one_of(codes.operator, true)))) + simple
rules.scope = V "piece" ^ 0 * "@"
rules.piece = back + V "template" + node("anonymous", "?A" * field("text", C((P(1) - "@") ^ 0)) * "@") +
    node("local_scope", local_scope * "?" * field("number", unsigned) * "?" * field("symbol", V "symbol")) + simple
local named_type <const> = field("leaf", back + V "template" + simple) * V "scope"
rules.type_name = node("type_name", named_type)
rules.template = node("template", "?$" * field("leaf", V "leaf") * V "arg" ^ 0 * "@")

local function address(code, count)
    return node("address", code * field("symbol", V "symbol") ^ -1 * numbers(count))
end
rules.arg = P "$$$V" + P "$$V" + P "$$Z" + P "$S" + -- where packs end
    "$$Y" * V "type_name" +
    address("$1", 0) + address("$H", 1) + address("$I", 2) + address("$J", 3) +
    node("address", field("reference", P "$E" * Cc(true)) * field("symbol", V "symbol") * numbers(0)) +
    node("member_offset", "$F" * numbers(2)) + node("member_offset", "$G" * numbers(3)) +
    node("integer", "$0" * field("text", signed)) +
    node("deduced", "$M" * field("type", V "type") * field("arg", V "arg")) +
    V "type"

-- ---- types ----

rules.result = "?" * V "qualified" + -P "?" * V "type"
rules.qualified = node("qualified", field("quals", qualifiers) * field("type", V "type"))
rules.type = V "pointer" + V "tag" + V "array" + "$$A8@@" * V "member_signature" + "$$A6" * V "signature" +
    "$$C" * V "qualified" + "$$B" * V "type" +
    node("custom", "?" * field("leaf", V "template" + back + simple) * "@") +
    node("primitive", field("text", one_of(codes.primitive, true)))
rules.tag = node("tag", field("tag", S "TUV" / codes.tag + "W" * R "07" / codes.tag.W) * named_type)
rules.array = node("array", field("dimensions", dimensions) * field("element", V "type"))
rules.pointer = node("pointer", field("code", one_of(codes.pointer)) * (
    "6" * field("target", V "signature") + field("ext", extended) * (
        "8" * field("class", V "type_name") * field("target", V "member_signature") +
        #S "ABCD" * field("target", V "qualified") +
        field("quals", qualifiers) * field("class", V "type_name") * field("target", V "type"))))

-- ---- signatures ----

local signature <const> = V "convention" * ("@" + field("result", V "result")) * V "params" *
    (P "Z" + field("noexcept", P "_E" * Cc(true)))
rules.signature = node("signature", signature)
rules.member_signature = node("signature", field("ext", extended) * field("reference", P "G" / " &" + P "H" / " &&") ^
    -1 * field("quals", qualifiers) * signature)
rules.convention = field("convention", one_of(codes.convention, true))
rules.params = "X" * field("params", Ct(P(true))) +
    field("params", Ct(V "param" ^ 0)) * (P "@" + field("variadic", P "Z" * Cc(true)))
rules.param = back + node("param", field("from", Cp()) * field("type", V "type") * field("to", Cp()))

return P(rules)
