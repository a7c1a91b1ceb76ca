-- abi.lua: what differs between the targets that declarations are laid out for, as data.
--
-- Windows: Microsoft's documentation of storage classes and of bit fields, and clang's implementation of it; Linux: the
-- System V ABI for AMD64. `bit_fields` names one of the rules of types/layout.lua.

local abi = {}

-- size, alignment and kind of every base type; a signed integer has `signed`.
local function base_types(differences)
    local types = {
        void = { kind = "void", size = 0, align = 1 },
        bool = { kind = "bool", size = 1, align = 1 },
        char = { kind = "int", size = 1, align = 1, signed = true, text = "narrow" },
        ["signed char"] = { kind = "int", size = 1, align = 1, signed = true, text = "narrow" },
        ["unsigned char"] = { kind = "int", size = 1, align = 1, text = "narrow" },
        short = { kind = "int", size = 2, align = 2, signed = true },
        ["unsigned short"] = { kind = "int", size = 2, align = 2 },
        int = { kind = "int", size = 4, align = 4, signed = true },
        ["unsigned int"] = { kind = "int", size = 4, align = 4 },
        long = { kind = "int", size = 4, align = 4, signed = true },
        ["unsigned long"] = { kind = "int", size = 4, align = 4 },
        ["long long"] = { kind = "int", size = 8, align = 8, signed = true },
        ["unsigned long long"] = { kind = "int", size = 8, align = 8 },
        wchar_t = { kind = "int", size = 2, align = 2, text = "wide" },
        float = { kind = "float", size = 4, align = 4 },
        double = { kind = "float", size = 8, align = 8 },
        ["long double"] = { kind = "float", size = 8, align = 8 },
    }
    for name, type_ in pairs(differences) do types[name] = type_ end
    for name, type_ in pairs(types) do type_.name = name end
    return types
end

local function windows(arch, pointer_size, macros)
    macros._WIN32, macros._MSC_VER = "1", "1900"
    return {
        name = arch .. " Windows",
        pointer_size = pointer_size,
        bit_fields = "microsoft",
        empty_record_size = 4,    -- of a structure without members, in C
        enums_are_int = true,     -- whatever their values are
        tagged_anonymous = true,  -- `struct A { struct B { int x; }; }` makes x a member of A
        pack_max = pointer_size,  -- #pragma pack with more is ignored
        headers = "windows",      -- what is known before anything is declared: types/headers.lua
        macros = macros,
        base = base_types {},
    }
end

abi.x86 = windows("x86", 4, { _M_IX86 = "600" })
abi.x64 = windows("x64", 8, { _M_X64 = "100", _M_AMD64 = "100", _WIN64 = "1" })

-- The machine that heapsift itself runs on, for native code.
abi.host = {
    name = "x86-64 Linux",
    pointer_size = 8,
    bit_fields = "system_v",
    empty_record_size = 0,
    enums_are_int = false,
    tagged_anonymous = false,
    pack_max = 16,
    headers = "standard",
    macros = { __linux__ = "1", __x86_64__ = "1", __LP64__ = "1" },
    base = base_types {
        long = { kind = "int", size = 8, align = 8, signed = true },
        ["unsigned long"] = { kind = "int", size = 8, align = 8 },
        wchar_t = { kind = "int", size = 4, align = 4, signed = true },
        ["long double"] = { kind = "float", size = 16, align = 16 },
    },
}

return abi
