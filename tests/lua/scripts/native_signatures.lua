-- native_signatures: calls every function of tests/native/signatures.c with values at their limits. LIBRARY SOURCE;
-- --allow-native. Prints how many functions were called.
heapsift.script {
    input = "none",
    args = { { name = "library", type = "path" }, { name = "source", type = "path" } },
}

local source = assert(heapsift.input(args.source))
local types = source:match "/%* types %*/\n(.-)/%* functions %*/"
local declarations, functions = { types }, {}
for line in source:gmatch "[^\n]+" do
    local prototype = line:match "^([%a][^={]-%))%s*{"
    local name = prototype and prototype:match "(s_[%w_]+)%("
    if name then
        declarations[#declarations + 1] = prototype .. ";"
        functions[name] = true
    end
end
local lib <close> = assert(heapsift.native(args.library, table.concat(declarations, "\n")))

local called = {}
local function call(name, ...)
    called[name] = true
    return lib[name](...)
end

local function same(expected, got, what)
    local equal = expected == got and math.type(expected) == math.type(got) or expected ~= expected and got ~= got
    if not equal then error(("%s: expected %s, got %s"):format(what, tostring(expected), tostring(got)), 2) end
end

-- Values that come back as they were given.
local MAX <const>, MIN <const> = math.maxinteger, math.mininteger
local limits = {
    s_bool = { true, false }, s_char = { -128, 127, 65 }, s_i8 = { -128, -1, 0, 127 }, s_u8 = { 0, 255 },
    s_i16 = { -32768, 32767 }, s_u16 = { 0, 65535 }, s_i32 = { -0x80000000, 0x7fffffff, -1 },
    s_u32 = { 0, 0xffffffff }, s_i64 = { MIN, MAX, -1 }, s_u64 = { 0, -1, MIN, MAX }, s_short = { -32768, 32767 },
    s_long = { MIN, MAX }, s_ulong = { -1, MAX }, s_llong = { MIN, MAX }, s_size = { 0, -1 },
    s_float = { 0.0, -0.5, 3.4028234663852886e38, 1.401298464324817e-45, math.huge, -math.huge, 0 / 0 },
    s_double = { 0.0, 1.7976931348623157e308, 5e-324, -math.huge, 0 / 0 },
    s_ldouble = { 0.0, 1.7976931348623157e308, 5e-324, -math.huge }, s_enum = { 0, 7, 8, 0xffffffff },
    s_wide = { -1, MAX, MIN },
}
for name, values in pairs(limits) do
    for _, value in ipairs(values) do same(value, call(name, value), name) end
end
-- One step past them.
local past = {
    s_i8 = { -129, 128 }, s_u8 = { -1, 256 }, s_i16 = { -32769, 32768 }, s_u16 = { -1, 65536 },
    s_i32 = { -0x80000001, 0x80000000 }, s_u32 = { -1, 0x100000000 }, s_float = { 3.5e38, -3.5e38 },
    s_char = { 128, -129 }, s_enum = { -1, 0x100000000 }, s_short = { 32768 }, s_bool = { 0, 1 },
    s_i64 = { 1.5, 2.0, "1" }, s_double = { "1", true },
}
for name, values in pairs(past) do
    for _, value in ipairs(values) do
        local ok, message = pcall(lib[name], value)
        if ok or not message:find("argument 1 of '" .. name .. "': ", 1, true) then
            error(("%s(%s): %s"):format(name, value, message))
        end
    end
end

-- Structures by value, from tables and from memory.
local function members(name, type_, value)
    local memory = lib:new(type_, value)
    for _, given in ipairs { value, memory } do
        local back = call(name, given)
        for key, expected in pairs(value) do
            if type(expected) ~= "table" and type(expected) ~= "string" then
                same(expected, back[key], name .. "." .. key)
            end
        end
        if lib:bytes(back) ~= lib:bytes(memory) then error(name .. ": other bytes came back") end
    end
end
members("s_pair", "struct pair", { a = -0x80000000, b = 0x7fffffff })
members("s_floats", "struct floats", { x = 1.5, y = -3.4028234663852886e38 })
members("s_three", "struct three", { x = 1.0, y = 2.0, z = 3.0 })
members("s_triple", "struct triple", { a = MIN, b = 5e-324 })
members("s_one", "struct one", { only = 255 })
members("s_big", "struct big", { n = { MIN, MAX, 3, 4, 5, 6, 7, -1 } })
members("s_odd", "struct odd", { bytes = "\xff\0\x7f" })
members("s_nested", "struct nested", { first = { a = 1, b = -1 }, inner = { lo = 65535, hi = 0xffffffff },
                                       name = "twelve chars" })
members("s_matrix", "struct matrix", { cells = { { 1, 2, 3, 4 }, { -32768 }, { 0, 0, 0, 32767 } } })
members("s_deep", "struct deep", { a = { { b = { p = { a = 1, b = 2 } } }, { b = { p = { a = 3, b = -4 } } } } })
same(-7, call("s_pair_swap", { a = 3, b = -7 }).a, "s_pair_swap")
local mixed = call("s_mixed", { kind = 255, weight = -0.25, small = -32768 })
same(255, mixed.kind, "kind") same(-0.25, mixed.weight, "weight") same(-32768, mixed.small, "small")
local deep = call("s_deep", { a = { { b = { p = { a = 1, b = 2 } } }, { b = { p = { a = 3, b = -4 } } } } })
same(-4, deep.a[1].b.p.b, "deep")
same(32767, call("s_matrix", { cells = { {}, {}, { 0, 0, 0, 32767 } } }).cells[2][3], "matrix")

-- Pointers, texts, and what comes out through them.
local bytes = lib:array("uint8_t", 16)
same(nil, call("s_pointer", nil), "NULL")
same(lib:address(bytes), lib:address(call("s_pointer", bytes)), "pointer")
same("a text", lib:string(call("s_text", "a text")), "text")
same(nil, call("s_text", nil), "no text")
same(3, call("s_length", "abc"), "length")
local int, i8, u64, double, bool = lib:new "int", lib:new "int8_t", lib:new "uint64_t", lib:new "double", lib:new "bool"
call("s_out_int", int) same(0x7fffffff, int[0], "out")
call("s_out_many", i8, u64, double, bool)
same(-128, i8[0], "out 1") same(-1, u64[0], "out 2") same(0.5, double[0], "out 3") same(true, bool[0], "out 4")
local pair = lib:new "struct pair"
same(true, call("s_out_pair", pair), "out pair") same(-1, pair.a, "a") same(1, pair.b, "b")
same(false, call("s_out_pair", nil), "no pair")
same(0, call("s_pair_sum", pair), "pair sum")
local text = lib:new "const char *"
call("s_out_pointer", text) same("given", lib:string(text[0]), "out pointer")
same(15, call("s_array_sum", lib:array("int", 5, { 1, 2, 3, 4, 5 }), 5), "array")
same(0, call("s_array_sum", nil, 0), "empty array")
same(5, call("s_array_param", lib:new("int[4]", { 1, 2, 3, 4 })), "array parameter")
call("s_fill", bytes, 16, 0xab) same(("\xab"):rep(16), lib:bytes(bytes), "fill")
local ok, message = pcall(call, "s_overrun", bytes, 16)
same(false, ok, "overrun")
assert(message:find "s_overrun wrote past the end of a buffer of 16 bytes %(argument 1%)", message)

-- Lists, bit fields, unions, flexible arrays.
local second = lib:new("struct node", { value = 30 })
local first = lib:new("struct node", { value = 12, next = second })
same(42, call("s_list_sum", first), "list")
same(30, call("s_list_next", first).value, "next")
same(nil, call("s_list_next", second), "last")
local flags = lib:new("struct flags", { low = 1, mid = 100, high = -3, set = true, rest = 1 })
same(115, call("s_flags", flags), "flags")
call("s_flags_set", flags)
same(7, flags.low, "low") same(127, flags.mid, "mid") same(-16, flags.high, "high") same(true, flags.set, "set")
same(0xffffffffff, flags.rest, "rest")
flags.rest, flags.high = 5, 15
same(5, flags.rest, "rest") same(15, flags.high, "high") same(7, flags.low, "low")
same(false, pcall(function() flags.low = 8 end), "8 in 3 bits")
same(false, pcall(function() flags.high = -17 end), "-17 in 5 bits")
local tight = lib:new("struct tight", { small = -16 })
same(1, lib:sizeof(tight), "tight") same(-16, call("s_tight", tight), "tight")
tight.small = 15
same(15, tight.small, "tight") same(15, call("s_tight", tight), "tight")
same(1.5, call("s_union", lib:new("union any", { f = 1.5 })), "union")
same(33, call("s_holder", lib:new("struct holder", { tag = 1, value = { i = 2 }, x = 10, y = 20 })), "holder")
local counted = lib:array("uint8_t", 10, "\3\0\0\0\1\0\2\0\3\0")
same(6, call("s_counted", counted), "counted")
same(1005, call("s_strings", lib:new("struct strings", { first = "ten chars.", second = "five." })), "strings")

-- Many arguments, varargs.
same(0x7fffffff, call("s_sum2", 0x7ffffffe, 1), "sum2")
same(-128 + 0.5 + 65535 + 0.25 + 10, call("s_sum_mixed", -128, 0.5, 65535, 0.25, 10), "mixed")
same(55, call("s_sum10", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), "sum10")
same(55.0, call("s_sum10d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), "sum10d")
same(36, call("s_small", 1, 2, 3, 4, 5, 6, 7, 8), "small")
same(-4.25, call("s_struct_last", 0.5, {}, 0.25, { a = 9, b = -5 }), "struct last")
local room = lib:array("char", 64)
same(29, call("s_format", room, 64, "%d %s %.2f %c %lld|%s", -5, "text", 1.25, 65, -1 << 35, "x"), "format")
same("-5 text 1.25 A -34359738368|x", lib:string(room), "formatted")
same(6, call("s_sum_varargs", 3, 1, 2, 3), "varargs")
same(0, call("s_sum_varargs", 0), "no varargs")
call "s_nothing"
same(43, lib.variable[0], "variable")
lib.variable[0] = 5
call "s_nothing"
same(6, lib.variable[0], "variable")
same(2, lib.pair_variable.b, "variable")
same(8, lib.BLUE, "constant")

-- Functions: as results, as callbacks.
same(7, call("s_add", 3, 4), "add")
same(7, call("s_function", 1)(3, 4), "function")
same(nil, call("s_function", 0), "no function")
same(12, call("s_call", lib.s_add, 5, 7), "function as argument")
local multiply = lib:callback("binary", function(a, b) return a * b end)
same(-35, call("s_call", multiply, 5, -7), "callback")
same(999000, call("s_call_many", lib:callback("int64_t (*)(int64_t)", function(n) return 2 * n end), 1000), "many")
local negated = call("s_call_pair", lib:callback("struct pair (*)(struct pair)", function(p)
    return { a = -p.a, b = -p.b }
end), { a = 1, b = -2 })
same(2, negated.b, "pair")
same(0.25, call("s_call_mixed", lib:callback("double (*)(int8_t, float, const char *, uint64_t)", function(a, b, c, d)
    return a == -128 and b == 0.5 and lib:string(c) == "text" and d == -1 and 0.25 or 0.0
end)), "callback with many")
call("s_call_out", lib:callback("void (*)(int *)", function(out) out[0] = 77 end), int)
same(77, int[0], "out of a callback")
same(lib:address(bytes), lib:address(call("s_call_pointer", lib:callback("void *(*)(void *)", function(p)
    return p
end), bytes)), "pointer through a callback")
for _, value in ipairs { -128, 127 } do
    same(value, call("s_call_i8", lib:callback("int8_t (*)(int8_t)", function(v) return v end), value), "i8")
end
local ops = lib:new("struct ops", { apply = lib:callback("int (*)(int)", function(x) return 3 * x end) })
same(21, call("s_ops", ops, 7), "table of functions")
call("s_keep", multiply)
same(6, call("s_call_kept", 2, 3), "kept")
call("s_keep", nil)
same(0, call("s_call_kept", 2, 3), "not kept")
same(31 * 1 + 2, call("s_bytes_hash", "\1\2", 2), "bytes")

local count = 0
for name in pairs(functions) do
    count = count + 1
    if not called[name] and name ~= "s_overrun" then error(name .. " was not called") end
end
print(("%d functions"):format(count))
