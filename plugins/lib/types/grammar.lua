-- grammar.lua: C declarations as trees. Every choice is decided by the next word, so that a text is read once, from
-- left
-- to right, and the first thing that does not fit is what the error tells.
--
--     local tree, after = grammar.declaration(text, at)    the declaration that starts at `at`; nil at the end
--     local tree = grammar.expression(text)                a constant expression
--     local tree = grammar.type_name(text)                 "struct _HEAP *", "ULONG[4]"
--
-- Trees (each node has `at`, its position):
--     declaration   { specifiers =, declarators = { declarator ... } }
--     specifiers    list of { kind = "word" | "qualifier" | "storage" | "name" | "record" | "enum" | "attribute", ... }
--     declarator    { pointers = { { qualifiers } ... }, name = | inner = declarator, suffixes = { array | function
--     ... },
--                     width = expression or nil }
--     expression    list: operand, operator, operand ...; then, otherwise for ?:

local lpeg = require "lpeg"
local P <const>, R <const>, S <const>, V <const> = lpeg.P, lpeg.R, lpeg.S, lpeg.V
local C <const>, Cc <const>, Cg <const>, Cp <const>, Ct <const> = lpeg.C, lpeg.Cc, lpeg.Cg, lpeg.Cp, lpeg.Ct

local grammar = {}

-- ---- words ----

local space <const> = S " \t\r\n\f\v" ^ 0
local word_char <const> = R("az", "AZ", "09") + P "_"

-- `pattern`, or an error that tells what was expected there.
local function must(pattern, what)
    return pattern + lpeg.Cmt(P(true), function(_, at)
        error({ at = at, message = what .. " was expected" }, 0)
    end) * P(false)
end

local function sign(text) return P(text) * space end
local function need(text) return must(P(text), ("'%s'"):format(text)) * space end

-- Any of these words, whole.
local function any_of(text)
    local pattern = P(false)
    for word in text:gmatch "%S+" do pattern = pattern + P(word) * -word_char end
    return pattern
end

local BASE <const> = any_of [[void char short int long signed unsigned float double bool _Bool __signed __signed__
    __int8 __int16 __int32 __int64]]
local QUALIFIERS <const> = any_of [[const volatile restrict __restrict __restrict__ __unaligned __const _Atomic __ptr32
    __ptr64 __sptr __uptr __cdecl __stdcall __fastcall __thiscall __vectorcall __clrcall __w64 _cdecl _stdcall
    __volatile__ __extension__]]
local STORAGE <const> = any_of [[typedef extern static inline __inline __inline__ __forceinline register auto _Noreturn
    _Thread_local]]
local OTHER <const> = any_of [[struct union enum sizeof _Alignof alignof __alignof _Alignas alignas __declspec
    __attribute__ __attribute _Static_assert static_assert class template namespace _Complex _Imaginary if else for
    while do switch case default break continue return goto]]

local raw_word <const> = C((R("az", "AZ") + "_") * word_char ^ 0)

local function word_of(pattern) return C(pattern) * space end

local function keyword(text) return P(text) * -word_char * space end

local identifier <const> = (raw_word - (BASE + QUALIFIERS + STORAGE + OTHER)) * space

local function at_node(kind, pattern)
    return Ct(Cg(Cc(kind), "kind") * Cg(Cp(), "at") * pattern)
end

-- ---- constants ----

local suffix <const> = C(R("az", "AZ", "09") ^ 0) * -word_char
local number <const> = at_node("number",
    P "0" * S "xX" * Cg(Cc(16), "base") * Cg(C(R("09", "af", "AF") ^ 1), "digits") * Cg(suffix, "suffix") +
    P "0" * S "bB" * Cg(Cc(2), "base") * Cg(C(S "01" ^ 1), "digits") * Cg(suffix, "suffix") +
    P "0" * Cg(Cc(8), "base") * Cg(C(R "07" ^ 0), "digits") * Cg(suffix, "suffix") +
    Cg(Cc(10), "base") * Cg(C(R "19" * R "09" ^ 0), "digits") * Cg(suffix, "suffix"))
local character <const> = at_node("character", S "LuU" ^ -1 * P "'" *
    Cg(C((P "\\" * P(1) * R("09", "af", "AF") ^ 0 + (P(1) - S "'\n\\")) ^ 1), "text") * P "'")

local binary <const> = C(P "<<" + ">>" + "<=" + ">=" + "==" + "!=" + "&&" + "||" + S "+-*/%<>&^|") * space
local prefix <const> = (Cg(Ct(Cg(Cp(), "at") * Cg(C(S "+-~!"), "sign"))) * space) ^ 0

-- ---- grammar ----

-- A parenthesis opens a cast if a type's keyword follows, or a name and then something that an operand starts with.
local type_ahead <const> = #(word_of(BASE) + word_of(QUALIFIERS) + keyword "struct" + keyword "union" + keyword "enum")
local cast_ahead <const> = type_ahead + #(identifier * sign "*" ^ 0 * P ")" * space * (word_char + S "(~!'"))
local abstract_ahead <const> = #(S "*([" + (P "__" + "_" ) *
    (P "cdecl" + "stdcall" + "fastcall" + "thiscall" + "vectorcall"))

local rules <const> = {
    "declaration",

    declaration = space * (-P(1) * Cc(nil) + at_node("declaration", V "static_assert" + sign ";" +
        Cg(V "specifiers", "specifiers") * Cg(Ct((-P ";" * V "declarator" * (sign "," * V "declarator") ^ 0) ^ -1),
            "declarators") *
        must(P ";", "',' or ';'"))) * Cp(),
    static_assert = (keyword "_Static_assert" + keyword "static_assert") * need "(" * Cg(V "expression", "assert") *
        (sign "," * P '"' * (P "\\" * 1 + (P(1) - S '"\n')) ^ 0 * P '"' * space) ^ -1 * need ")" * must(P ";", "';'"),

    -- ---- specifiers: what stands before the declarators ----

    specifiers = Ct(V "loose" ^ 0 * must(V "words" + V "record" + V "enum" + V "name", "a type") * V "loose" ^ 0),
    loose = at_node("qualifier", Cg(word_of(QUALIFIERS), "word")) + at_node("storage", Cg(word_of(STORAGE), "word")) +
        V "attribute",
    words = V "base" * (V "loose" ^ 0 * V "base") ^ 0,
    base = at_node("word", Cg(word_of(BASE), "word")),
    name = at_node("name", Cg(identifier, "name")),
    attribute = at_node("attribute", keyword "__declspec" * need "(" * Cg(V "attribute_list", "list") * need ")" +
        (keyword "__attribute__" + keyword "__attribute") * need "(" * need "(" * Cg(V "attribute_list", "list") *
        need ")" * need ")" +
        (keyword "_Alignas" + keyword "alignas") * need "(" *
        Cg(Ct(at_node("one", Cg(Cc "align", "word") * Cg(Cp(), "text_at") * Cg(C(V "balanced"), "text"))), "list") *
        need ")"),
    attribute_list = Ct((V "one_attribute" * (sign "," ^ -1 * V "one_attribute") ^ 0) ^ -1),
    one_attribute = at_node("one", Cg(raw_word * space, "word") *
        (P "(" * Cg(Cp(), "text_at") * Cg(C(V "balanced"), "text") * need ")") ^ -1),
    balanced = ((P(1) - S "()") + P "(" * V "balanced" * ")") ^ 0,

    record = at_node("record", Cg(C(P "struct" + "union") * -word_char, "what") * space * Cg(Ct(V "attribute" ^ 0),
        "attributes") *
        Cg(identifier, "tag") ^ -1 * (sign "{" * Cg(Ct(V "member" ^ 0), "members") * need "}") ^ -1),
    member = sign ";" + at_node("declaration", #(P(1) - "}") * (V "static_assert" + Cg(V "specifiers", "specifiers") *
        Cg(Ct((-P ";" * V "field" * (sign "," * V "field") ^ 0) ^ -1), "declarators") * must(P ";", "',' or ';'"))) *
            space,
    field = at_node("declarator", (V "width" + V "declared" * V "width" ^ -1) * V "trailing"),
    width = sign ":" * Cg(V "expression", "width"),

    enum = at_node("enum", keyword "enum" * Cg(Ct(V "attribute" ^ 0), "attributes") * Cg(identifier, "tag") ^ -1 *
        (sign ":" * Cg(V "specifiers", "underlying")) ^ -1 *
        (sign "{" * Cg(Ct(V "enumerators"), "constants") * need "}") ^ -1),
    enumerators = V "enumerator" * (sign "," * -P "}" * V "enumerator") ^ 0 * sign "," ^ -1,
    enumerator = at_node("enumerator", Cg(must(identifier, "the name of a constant"), "name") *
        (sign "=" * Cg(V "expression", "value")) ^ -1),

    -- ---- declarators ----

    declarator = at_node("declarator", V "declared" * V "trailing"),
    declared = V "pointers" * must(Cg(identifier, "name") + sign "(" * Cg(V "nested", "inner") * need ")", "a name") *
        Cg(Ct(V "suffix" ^ 0), "suffixes"),
    nested = at_node("declarator", V "declared"),
    pointers = Cg(Ct((word_of(QUALIFIERS) / 0 * space) ^ 0 * Ct(sign "*" * word_of(QUALIFIERS) ^ 0) ^ 0), "pointers"),
    trailing = Cg(Ct(V "attribute" ^ 0), "attributes"),
    suffix = at_node("array", sign "[" * (-P "]" * Cg(V "expression", "count")) ^ -1 * need "]") +
        at_node("function", sign "(" * Cg(Ct(V "parameters"), "parameters") * need ")"),
    parameters = #P ")" + V "ellipsis" + V "parameter" * (sign "," * (V "ellipsis" + V "parameter")) ^ 0,
    ellipsis = Cg(sign "..." * Cc(true), "varargs"),
    parameter = at_node("declaration", Cg(V "specifiers", "specifiers") * Cg(V "perhaps", "declarator")),
    -- With or without a name: a parenthesis is one around a declarator only if such a thing starts in it.
    perhaps = at_node("declarator", V "pointers" *
        (Cg(identifier, "name") + sign "(" * abstract_ahead * Cg(V "perhaps", "inner") * need ")") ^ -1 *
        Cg(Ct(V "suffix" ^ 0), "suffixes") * V "trailing"),
    type_name = at_node("declaration", Cg(V "specifiers", "specifiers") * Cg(V "perhaps", "declarator")),

    -- ---- constant expressions: flat lists, sorted by strength later ----

    expression = at_node("expression", Cg(Ct(V "operand" * (binary * V "operand") ^ 0), "list") *
        (sign "?" * Cg(V "expression", "so") * need ":" * Cg(V "expression", "otherwise")) ^ -1),
    operand = at_node("operand", Cg(Ct(prefix), "prefix") * Cg(must(V "primary", "a value"), "value")),
    primary = (number + character) * space + V "sizeof" + V "offsetof" + sign "(" * V "parenthesis" +
        at_node("constant", Cg(identifier, "name")),
    parenthesis = cast_ahead * at_node("cast", Cg(V "type_name", "type") * need ")" * Cg(V "operand", "value")) +
        V "expression" * need ")",
    sizeof = at_node("sizeof", Cg((C(P "sizeof") + (P "_Alignof" + "alignof" + "__alignof") / "alignof") * -word_char,
        "what") *
        space * need "(" * Cg(V "type_name", "type") * need ")"),
    offsetof = at_node("offsetof", (P "offsetof" + "FIELD_OFFSET") * -word_char * space * need "(" *
        Cg(V "type_name", "type") * need "," *
        Cg(C(must(raw_word, "a member") * (P "." * raw_word + P "[" * R "09" ^ 1 * P "]") ^ 0), "path") * space *
            need ")"),
}

local function compiled(start, tail)
    local copy = {}
    for name, rule in pairs(rules) do copy[name] = rule end
    copy[1] = "start"
    copy.start = space * V(start) * tail
    return P(copy)
end

local declaration <const> = P(rules)
local expression <const> = compiled("expression", must(-P(1), "an operator or the end"))
local type_name <const> = compiled("type_name", must(-P(1), "the end of the type"))

-- The grammar's calls nest as deep as brackets may, and conditional expressions deeper.
local STACK_MAX <const> = 4000

local function matched(pattern, text, at)
    lpeg.setmaxstack(STACK_MAX)
    local results = table.pack(pcall(pattern.match, pattern, text, at))
    if results[1] then return table.unpack(results, 2, results.n) end
    local e = results[2]
    if type(e) == "string" and e:find("backtrack stack overflow", 1, true) then
        e = { at = at, message = "this is nested too deep" }
    end
    error(e, 0)
end

function grammar.declaration(text, at)
    local tree, after = matched(declaration, text, at)
    return tree, after
end

function grammar.expression(text)
    return (matched(expression, text, 1))
end

function grammar.type_name(text)
    return (matched(type_name, text, 1))
end

return grammar
