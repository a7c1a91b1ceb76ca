-- native_declarations: random C declarations by a seed, with a function for each that a C compiler can make and
-- heapsift can call. Used on both sides: by the spec that writes the C file, and by the script that runs in heapsift.
--
--     make(seed, count) -> list of items
-- item: { text = what is declared, c = the same with bodies, refused = a pattern of the message, or nil,
--     record = name of a structure or nil, members = { { name, width of a bit field } }, values = what goes into it,
--     name = of the function, by_value, long_double = whether one is inside, hash = what it gives for those values,
--     parameters = values of a function of plain parameters }

local M = {}

-- Scalar types: C text, size, low and high (integers), or float.
local SCALARS <const> = {
    { "int8_t", -128, 127 }, { "uint8_t", 0, 255 }, { "int16_t", -32768, 32767 }, { "uint16_t", 0, 65535 },
    { "int", -0x80000000, 0x7fffffff }, { "unsigned", 0, 0xffffffff }, { "long", math.mininteger, math.maxinteger },
    { "unsigned long", math.mininteger, math.maxinteger }, { "long long", math.mininteger, math.maxinteger },
    { "short", -32768, 32767 }, { "char", -128, 127 }, { "uint64_t", math.mininteger, math.maxinteger },
    { "size_t", math.mininteger, math.maxinteger }, { "enum tone", 0, 0xffffffff },
    { "bool", bool = true }, { "float", float = true }, { "double", float = true }, { "long double", float = true },
}

local random = math.random

local function pick(list) return list[random(#list)] end

local function value_of(scalar)
    if scalar.bool then return random(2) == 1 end
    if scalar.float then return random(-4000, 4000) / 4 end
    local way = random(4)
    if way == 1 then return scalar[2] elseif way == 2 then return scalar[3] end
    if scalar[2] == math.mininteger then return random(0) end
    return random(scalar[2], scalar[3])
end

-- What the C code makes of a scalar: floats are multiples of 1/4.
local function number_of(value)
    if value == true then return 1 elseif value == false then return 0 end
    return math.type(value) == "float" and math.tointeger(value * 4) or value
end

local function c_number(scalar, expression)
    return scalar.float and ("(uint64_t)(int64_t)(%s * 4)"):format(expression) or ("(uint64_t)%s"):format(expression)
end

-- ---- records ----

-- Adds what hashes a member: hash = hash * 31 + number, for each scalar in it.
local function hash_scalar(item, scalar, path, value)
    item.long_double = item.long_double or scalar[1] == "long double"
    item.steps[#item.steps + 1] = ("h = h * 31 + %s;"):format(c_number(scalar, "v" .. path))
    item.hash = item.hash * 31 + number_of(value)
end

local add_members

local function array_member(item, name, path, values)
    local scalar, count = pick(SCALARS), random(5)
    local list = {}
    for i = 1, count do
        list[i] = value_of(scalar)
        hash_scalar(item, scalar, ("%s.%s[%d]"):format(path, name, i - 1), list[i])
    end
    values[name] = list
    return ("%s %s[%d];"):format(scalar[1], name, count)
end

local function bit_member(item, name, path, values)
    local signed = random(2) == 1
    local width = random(1, 31)
    item.passable = false
    local low, high = signed and -(1 << (width - 1)) or 0, (1 << (signed and width - 1 or width)) - 1
    local value = pick { low, high, random(low, high) }
    values[name] = value
    hash_scalar(item, { "int" }, path .. "." .. name, value)
    return ("%s %s : %d;%s"):format(signed and "int" or "unsigned", name, width, random(6) == 1 and " int : 0;" or "")
end

local function record_member(item, name, path, values, depth)
    local kind = random(4) == 1 and "union" or "struct"
    local unnamed = random(4) == 1
    local inner = unnamed and values or {}
    if kind == "union" then
        item.passable = false
        local scalar = pick(SCALARS)
        local value = value_of(scalar)
        inner[name .. "u"] = value
        if not unnamed then values[name] = inner end
        hash_scalar(item, scalar, path .. (unnamed and "" or "." .. name) .. "." .. name .. "u", value)
        return ("union { %s %su; uint8_t %sb[%d]; }%s;"):format(scalar[1], name, name, random(20), unnamed and "" or
            " " .. name)
    end
    if not unnamed then values[name] = inner end
    local text = add_members(item, name .. "_", path .. (unnamed and "" or "." .. name), inner, random(3), depth + 1)
    return ("struct { %s }%s;"):format(text, unnamed and "" or " " .. name)
end

function add_members(item, prefix, path, values, count, depth)
    local parts = {}
    for i = 1, count do
        local name, way = prefix .. i, random(20)
        if way <= 11 then
            local scalar = pick(SCALARS)
            values[name] = value_of(scalar)
            hash_scalar(item, scalar, path .. "." .. name, values[name])
            parts[i] = ("%s %s;"):format(scalar[1], name)
        elseif way <= 14 then
            parts[i] = array_member(item, name, path, values)
        elseif way <= 16 and depth < 3 then
            parts[i] = record_member(item, name, path, values, depth)
        elseif way == 17 and random(2) == 1 then
            parts[i] = bit_member(item, name, path, values)
        else
            parts[i] = pick { "void *%s;", "const char *%s;", "int (*%s)(int);", "struct unknown *%s;" }:format(name)
        end
        if depth == 0 then item.members[#item.members + 1] = { name, parts[i]:find " : %d" ~= nil } end
    end
    return table.concat(parts, " ")
end

local function record_item(number)
    local item = { members = {}, values = {}, steps = {}, hash = 0, passable = true, record = "struct r" .. number,
                   name = "f" .. number }
    local count = random(8)
    local text = add_members(item, "m", "", item.values, count, 0)
    local attribute = ""
    if random(12) == 1 then
        item.passable = false
        attribute = pick { " __attribute__((packed))", " __attribute__((aligned(32)))" }
        if attribute:find "packed" then text = "char narrow; double wide; " .. text end -- it does change the layout
    end
    local declared = ("struct%s r%d { %s };"):format(attribute, number, text)
    item.by_value = random(3) > 1
    if not item.passable and item.by_value then item.refused = "cannot be passed by value: " end
    local parameter = item.by_value and "struct r%d v" or "const struct r%d *p"
    local prototype = ("uint64_t f%d(" .. parameter .. ", struct r%d *out)"):format(number, number, number)
    local echo = ("struct r%d g%d(struct r%d v)"):format(number, number, number)
    item.text = ("%s\n%s;\n%s;\nextern const uint64_t layout%d[];"):format(declared, prototype, echo, number)
    local c = { declared, ("const uint64_t layout%d[] = { sizeof(struct r%d), _Alignof(struct r%d)"):format(number,
        number, number) }
    for _, member in ipairs(item.members) do
        if not member[2] and not (member[1] and not text:find("[ *]" .. member[1] .. "[;%[)]")) then
            c[#c + 1] = (", offsetof(struct r%d, %s)"):format(number, member[1])
        else
            member[2] = true
        end
    end
    c[#c + 1] = (" };\n%s { uint64_t h = 0; %s%s *out = v; return h; }\n%s { return v; }"):format(prototype,
        item.by_value and "" or ("struct r%d v = *p; "):format(number), table.concat(item.steps, " "), echo)
    item.c = table.concat(c)
    return item
end

-- ---- functions of plain parameters ----

local function function_item(number)
    local item = { name = "f" .. number, hash = 0, parameters = {}, steps = {} }
    local count, parts = random(0, 12), {}
    for i = 1, count do
        local scalar = pick(SCALARS)
        local value = value_of(scalar)
        item.parameters[i] = value
        parts[i] = ("%s v%d"):format(scalar[1], i)
        item.steps[i] = ("h = h * 31 + %s;"):format(c_number(scalar, "v" .. i))
        item.hash = item.hash * 31 + number_of(value)
    end
    local prototype = ("uint64_t f%d(%s)"):format(number, count == 0 and "void" or table.concat(parts, ", "))
    item.text = prototype .. ";"
    item.c = ("%s { uint64_t h = 0; %s return h; }"):format(prototype, table.concat(item.steps, " "))
    return item
end

-- ---- what cannot be ----

local WRONG <const> = {
    { "int f%d(unknown_t v);", "'unknown_t' is no type that is known" },
    { "int f%d(struct unknown v);", "struct unknown cannot be passed by value: it has no definition" },
    { "int f%d(int a int b);", "line %d+, column %d+" },
    { "int f%d(struct { int x; }", "line %d+, column %d+" },
    { "short double f%d(void);", "is no type of C" },
    { "int f%d(int)[3];", "a function cannot give back an array" },
    { "struct w%d { int x : 40; };", "a bit field of 40 bits in a type of 32" },
    { "struct w%d { int a; int a; };", "there is a member 'a' already" },
    { "struct w%d { struct w%d inner; };", "has no definition that is known" },
    { "int w%d[-1];", "number of elements" },
    { "_Complex double f%d(void);", "line %d+, column %d+" },
    { "__int128 f%d(void);", "line %d+, column %d+" },
    { "union u%d { int a; float f; }; int f%d(union u%d v);", "libffi knows no unions" },
    { "struct v%d { char c[5000]; }; struct v%d f%d(void);", "it is larger than 4096 bytes" },
}

local function wrong_item(number)
    local way = pick(WRONG)
    return { name = "f" .. number, text = (way[1]:gsub("%%d", number)), refused = way[2],
             c = ("int f%d(void) { return 0; }"):format(number) }
end

function M.make(seed, count)
    math.randomseed(seed)
    local list = {}
    for i = 1, count do
        local way = random(20)
        list[i] = way <= 13 and record_item(i) or way <= 17 and function_item(i) or wrong_item(i)
    end
    return list
end

-- What stands before all of them: for both sides, and for the C compiler alone.
M.TYPES = "enum tone { LOW, HIGH = 9 };\nstruct unknown;\n"
M.HEAD = "#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n" .. M.TYPES

return M
