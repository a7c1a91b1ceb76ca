-- codes.lua: what the single codes of a decorated name stand for. Data only; grammar.lua says where each may stand.
--
-- Source: the name mangler of clang for the MSVC targets and names that Windows DLLs export; the spelling of what they
-- stand for is the one of llvm-undname, which the tests compare with.

local codes = {}

-- ---- types ----

codes.primitive = {
    X = "void", D = "char", C = "signed char", E = "unsigned char", F = "short", G = "unsigned short", H = "int",
    I = "unsigned int", J = "long", K = "unsigned long", M = "float", N = "double", O = "long double",
    _N = "bool", _D = "__int8", _E = "unsigned __int8", _F = "__int16", _G = "unsigned __int16", _H = "__int32",
    _I = "unsigned __int32", _J = "__int64", _K = "unsigned __int64", _L = "__int128", _M = "unsigned __int128",
    _W = "wchar_t", _Q = "char8_t", _S = "char16_t", _U = "char32_t", _P = "auto", _T = "decltype(auto)",
    ["$$T"] = "std::nullptr_t",
}

codes.tag = { T = "union ", U = "struct ", V = "class ", W = "enum " }

-- Qualifiers are sets of bits. __ptr64 is not kept: it says no more than that the process has 64-bit pointers.
codes.CONST, codes.VOLATILE, codes.RESTRICT, codes.UNALIGNED = 1, 2, 4, 8
-- Of what is pointed to; Q to T: of a member.
codes.qualifiers = { A = 0, B = 1, C = 2, D = 3, Q = 0, R = 1, S = 2, T = 3 }
-- Of the pointer itself.
codes.extended = { E = 0, F = codes.UNALIGNED, I = codes.RESTRICT }
codes.pointer = {
    P = { "*", 0 }, Q = { "*", 1 }, R = { "*", 2 }, S = { "*", 3 }, A = { "&", 0 }, B = { "&", 2 },
    ["$$Q"] = { "&&", 0 }, ["$$R"] = { "&&", 2 },
}

-- ---- functions ----

codes.convention = {
    A = "__cdecl", B = "__cdecl", C = "__pascal", D = "__pascal", E = "__thiscall", F = "__thiscall", G = "__stdcall",
    H = "__stdcall", I = "__fastcall", J = "__fastcall", M = "__clrcall", N = "__clrcall", O = "__eabi", P = "__eabi",
    Q = "__vectorcall", S = "__attribute__((__swiftcall__)) ", W = "__attribute__((__swiftasynccall__)) ",
    w = "__regcall",
}

-- Access and kind by the letter behind the name. Each kind has a near and a far letter.
codes.function_class = {}
for a, access in ipairs { "private: ", "protected: ", "public: " } do
    for k, kind in ipairs { "", "static ", "virtual ", "virtual " } do
        for far = 0, 1 do
            local letter = string.char(("A"):byte() + (a - 1) * 8 + (k - 1) * 2 + far)
            codes.function_class[letter] = access .. kind
        end
    end
    codes.function_class[tostring(a * 2 - 2)] = access .. "virtual "
    codes.function_class[tostring(a * 2 - 1)] = access .. "virtual "
end
codes.function_class.Y, codes.function_class.Z = "", ""

codes.storage = {
    ["0"] = "private: static ", ["1"] = "protected: static ", ["2"] = "public: static ", ["3"] = "", ["4"] = "",
}

-- ---- names of their own ----

codes.operator = {
    ["2"] = "operator new", ["3"] = "operator delete", ["4"] = "operator=", ["5"] = "operator>>",
    ["6"] = "operator<<", ["7"] = "operator!", ["8"] = "operator==", ["9"] = "operator!=", A = "operator[]",
    C = "operator->", D = "operator*", E = "operator++", F = "operator--", G = "operator-", H = "operator+",
    I = "operator&", J = "operator->*", K = "operator/", L = "operator%", M = "operator<", N = "operator<=",
    O = "operator>", P = "operator>=", Q = "operator,", R = "operator()", S = "operator~", T = "operator^",
    U = "operator|", V = "operator&&", W = "operator||", X = "operator*=", Y = "operator+=", Z = "operator-=",
    _0 = "operator/=", _1 = "operator%=", _2 = "operator>>=", _3 = "operator<<=", _4 = "operator&=",
    _5 = "operator|=", _6 = "operator^=", _U = "operator new[]", _V = "operator delete[]",
    __L = "operator co_await", __M = "operator<=>",
    _D = "`vbase dtor'", _E = "`vector deleting dtor'", _F = "`default ctor closure'",
    _G = "`scalar deleting dtor'", _H = "`vector ctor iterator'", _I = "`vector dtor iterator'",
    _J = "`vector vbase ctor iterator'", _K = "`virtual displacement map'", _L = "`eh vector ctor iterator'",
    _M = "`eh vector dtor iterator'", _N = "`eh vector vbase ctor iterator'", _O = "`copy ctor closure'",
    _T = "`local vftable ctor closure'", __A = "`managed vector ctor iterator'",
    __B = "`managed vector dtor iterator'", __C = "`EH vector copy ctor iterator'",
    __D = "`EH vector vbase copy ctor iterator'", __G = "`vector copy ctor iterator'",
    __H = "`vector vbase copy constructor iterator'", __I = "`managed vector vbase copy constructor iterator'",
}

-- Tables that belong to a class: `const Class::`vftable'{for `Base'}`.
codes.table = {
    _7 = "`vftable'", _8 = "`vbtable'", _S = "`local vftable'", _R4 = "`RTTI Complete Object Locator'",
}
codes.untyped = { _R2 = "`RTTI Base Class Array'", _R3 = "`RTTI Class Hierarchy Descriptor'" }
codes.guard = { _B = "`local static guard'", __J = "`local static thread guard'" }
codes.dynamic = { __E = "`dynamic initializer for ", __F = "`dynamic atexit destructor for " }

-- ---- string literals ----

-- Characters behind `?`; the letters stand for what lies 0x80 above them.
codes.character = {}
for i, char in ipairs { ",", "/", "\\", ":", ".", " ", "\n", "\t", "'", "-" } do
    codes.character[tostring(i - 1)] = char:byte()
end
for code = 0, 25 do
    codes.character[string.char(("a"):byte() + code)] = 0xe1 + code
    codes.character[string.char(("A"):byte() + code)] = 0xc1 + code
end

return codes
