-- Layouts of 300 generated structures for each target against what clang said of them (tests/fixtures/layouts-*.txt),
-- and what the grammar does with texts that are no C. Runs the Lua of plugins/lib/types itself, without a dump.

local program = require "program"
package.path = program.root .. "/plugins/lib/?.lua;" .. package.path

local abi = require "types.abi"
local build = require "types.build"
local headers = require "types.headers"
local structures = require "structures"

local known = {}
for _, target in ipairs { "x86", "x64", "host" } do
    known[target] = build.scope()
    assert(build.declare(known[target], abi[target], headers[abi[target].headers]))
end

local function declare(text, target)
    local own = build.scope(known[target or "x86"])
    local names, message = build.declare(own, abi[target or "x86"], text)
    return names and own, message
end

describe("layouts", function()
    for _, target in ipairs { "x86", "x64", "host" } do
        it("of generated structures are clang's: " .. target, function()
            local scope = assert(declare(structures.program(1, 300, { host = target == "host" }), target))
            local own = structures.own(function(tag) return scope.tags[tag] end, 300)
            local expected = program.read_file(program.root .. "/tests/fixtures/layouts-" .. target .. ".txt")
            assert.is_nil(structures.difference(expected, own))
        end)
    end

    it("notice a wrong byte", function()
        local expected = program.read_file(program.root .. "/tests/fixtures/layouts-x86.txt")
        assert.truthy(structures.difference(expected, (expected:gsub("= (%d+)", "= 1%1", 1))))
    end)
end)

-- { text, target or nil, { name = size } or constant values }
local GOOD <const> = {
    { "typedef struct A { char c; __int64 q; } A;", "x86", { A = 16 } },
    { "typedef struct A { char c; void *p; } A;", "x64", { A = 16 } },
    { "#pragma pack(push, 1)\nstruct A { char c; int i; };\n#pragma pack(pop)\nstruct B { char c; int i; };", nil, {
        A = 5, B = 8 } },
    { "#pragma pack(2)\nstruct A { char c; int i; };\n#pragma pack()\nstruct B { char c; int i; };", nil, { A = 6,
        B = 8 } },
    { "#pragma pack(push, here, 1)\n#pragma pack(push, 2)\n#pragma pack(pop, here)\nstruct A { char c; int i; };",
        nil, { A = 8 } },
    { "struct A { int n; char rest[]; };", nil, { A = 4 } },
    { "struct A { int n; char rest[0]; };", nil, { A = 4 } },
    { "struct A { int a : 3, : 0, b : 5; unsigned char c : 1; };", nil, { A = 12 } },
    { "typedef __declspec(align(16)) int T; struct A { char c; T t; };", nil, { A = 32 } },
    { "struct A { char c; \\\n int i; /* not \n here */ }; // nor here", nil, { A = 8 } },
    { "#define N 3\n#define M (N * 2 - 1)\nstruct A { char c[M]; };", nil, { A = 5 } },
    { "enum { X = 1 << 4, Y, Z = 'a', W = ~0 }; struct A { char a[X + Y]; char b[Z == 97 ? 3 : -1]; };", nil, {
        A = 36 } },
    { "struct A { char c[sizeof(struct { short s; long l; })]; char d[sizeof(void *)]; };", nil, { A = 12 } },
    { "struct B { int x; struct { short y, z; } v; }; struct A { char c[FIELD_OFFSET(struct B, v.z)]; };", nil, {
        A = 6 } },
    { "#ifdef _WIN64\nstruct A { int x[2]; };\n#else\nstruct A { int x; };\n#endif", "x64", { A = 8 } },
    { "#if defined(_WIN64) && 1\nstruct A { int x[2]; };\n#elif 1\nstruct A { int x; };\n#endif", "x86", { A = 4 } },
    { "#ifndef A_H\n#define A_H\n#include <windows.h>\n#pragma once\nstruct A { HANDLE h; };\n#endif", "x64", {
        A = 8 } },
    { "typedef struct A A; struct A { A *next; int (WINAPI *f)(A *, int (*)(void), ...); BYTE b[MAX_PATH]; };", "x86",
        { A = 268 } },
    { "struct A { _Field_size_(n) BYTE *data; _In_opt_ ULONG n; };", nil, { A = 8 } },
    { "struct B { int b; }; struct A { struct B; int c; };", nil, { A = 8 } },
    { "struct A { long double x; wchar_t w; bool b; };", "host", { A = 32 } },
    { "struct A { unsigned int long unsigned_; };", "host", { A = 8 } },
    { "struct A {};", "x86", { A = 4 } },
    { "struct A {};", "host", { A = 0 } },
    { "struct __attribute__((packed, aligned(2))) A { char c; int i; };", "host", { A = 6 } },
    { "struct A { int (*(*f)[3])(int); int *(*g(int))[2]; };", "error",
        "a type with a size was expected, not function" },
    { "static_assert(sizeof(int) == 4, \"four\"); struct A { char c; };", nil, { A = 1 } },
    { "typedef int T; typedef int T; struct A { T t; };", nil, { A = 4 } },
    { "struct A; struct B { struct A *a; }; struct A { int x[3]; };", nil, { A = 12, B = 4 } },
    { "extern int v; static inline int f(int a[3], void g(int)); struct A { int x; };", nil, { A = 4 } },
    { "struct A { char c[0x10u + 010 + 0b11 + 2i64]; };", nil, { A = 29 } },
}

-- { text, what the message must hold }
local BAD <const> = {
    { "struct A {\n  int x;\n  unknown y;\n};",
        "line 3, column 3, before 'unknown y;': 'unknown' is no type that is known" },
    { "struct A { int x }", "line 1, column 18, before '}': ',' or ';' was expected" },
    { "struct A { int x;", "at the end: '}' was expected" },
    { "int x[", "at the end: a value was expected" },
    { "/* never ends", "line 1, column 1, before '/* never ends': this comment has no end" },
    { "int \\\n@", "line 2, column 1, before '@': a name was expected" },
    { "struct A { struct A a; };", "struct A has no definition that is known" },
    { "struct A { int x; }; struct A { int x; };", "struct A is defined already" },
    { "struct A { int x; int x; };", "there is a member 'x' already" },
    { "struct A { int x : 33; };", "a bit field of 33 bits in a type of 32" },
    { "struct A { float x : 3; };", "a bit field has an integer type" },
    { "struct A { int x[-1]; };", "number of elements: 0 to" },
    { "struct A { int x[1 / 0]; };", "a division by zero" },
    { "struct A { int x[0x7fffffffffffffff]; };", "number of elements" },
    { "struct A { char a[1 << 20][1 << 20][1 << 20]; };", "a type of more than" },
    { "#pragma pack(3)\n", "line 1, column 1, before '#pragma pack(3)': #pragma pack: 1, 2, 4, 8 or 16 was expected" },
    { "#pragma pack(pop)", "without a push" },
    { "#if 1\nint x;", "#if without #endif" },
    { "#endif", "#endif without #if" },
    { "#define F(x) x\nF y;", "macro F is not understood here" },
    { "#define A B\n#define B A\nint x[A];", "macros inside macros, too deep" },
    { "unsigned float x;", "'unsigned float' is no type of C" },
    { "long long long x;", "is no type of C" },
    { "typedef int T; typedef long T;", "'T' is declared already, as int" },
    { "struct A { int rest[]; int x; };", "nothing can follow 'rest'" },
    { "void x[3];", "a type with a size was expected" },
    { "int f(void)[3];", "a function cannot give back" },
    { "enum { A, A };", "constant A is defined already" },
    { "int x = 3;", "line 1, column 7, before '= 3;': ',' or ';' was expected" },
    { ("("):rep(100), "nested more than 48 deep" },
    { "int " .. ("*"):rep(200) .. "x;", "types inside types" },
    { "int x" .. ("[1]"):rep(200) .. ";", "types inside types" },
    { "int x[" .. ("1?1:"):rep(3000) .. "1];", "nested too deep" },
    { "struct __attribute__((vector_size(16))) A { int x; };", "changes the layout" },
    { "int x[1 << 99];", "a shift by 99" },
    { "int x[99999999999999999999999];", "at most 64 bits" },
    { "template <class T> int x;", "a type was expected" },
}

describe("declarations", function()
    for i, good in ipairs(GOOD) do
        it(("%d have their sizes: %s"):format(i, good[1]:sub(1, 50)), function()
            local scope, message = declare(good[1], good[2] ~= "error" and good[2] or nil)
            if good[2] == "error" then
                assert.is_nil(scope)
                assert.truthy(message:find(good[3], 1, true), message)
                return
            end
            assert.is_nil(message)
            for name, size in pairs(good[3]) do assert.equal(size, build.named(scope, name).size, name) end
        end)
    end

    for i, bad in ipairs(BAD) do
        it(("%d are refused with a place: %s"):format(i, bad[1]:sub(1, 50)), function()
            local scope, message = declare(bad[1])
            assert.is_nil(scope)
            assert.truthy(message:find("declarations: line ", 1, true), message)
            assert.truthy(message:find(bad[2], 1, true), message)
        end)
    end

    it("leave nothing behind where they fail", function()
        local scope = build.scope()
        assert(build.declare(scope, abi.x86, "struct A; typedef struct A *PA;"))
        assert.is_nil((build.declare(scope, abi.x86, "struct A { int x; }; typedef int T; int @;")))
        assert.is_false(scope.tags.A.complete)
        assert.is_nil(scope.typedefs.T)
        assert(build.declare(scope, abi.x86, "struct A { char x[7]; };"))
        assert.equal(7, scope.typedefs.PA.to.size)
    end)

    -- Bytes that mean something to the grammar, in any order; and good texts with bytes changed.
    local WORDS <const> = { "struct ", "{", "}", "(", ")", "[", "]", ";", ",", "int ", "x", "A ", "*", ":", "3",
        "#pragma pack(",
        "#define ", "#if ", "#endif\n", "\n", "\\\n", "/*", "*/", "//", "'a'", "\"", "__declspec(align(", "sizeof(",
            "typedef ",
        "enum ", "=", "?", "<<", "-", "union ", "__attribute__((", "...", "\0", "\xff", "0x", "_In_(", "unsigned " }

    it("of random bytes take bounded time and end in a clear line", function()
        local state, longest = 7, 0
        local function random(n)
            state = state * 6364136223846793005 + 1442695040888963407
            return (state >> 33) % n + 1
        end
        for round = 1, 1500 do
            local parts = {}
            if round % 3 == 0 then
                local text = GOOD[random(#GOOD)][1]
                for at = 1, #text do
                    parts[at] = random(20) == 1 and string.char(random(256) - 1) or text:sub(at, at)
                end
            else
                for i = 1, random(60) do parts[i] = round % 3 == 1 and WORDS[random(#WORDS)] or
                    string.char(random(256) - 1) end
            end
            local before = os.clock()
            local scope, message = declare(table.concat(parts))
            longest = math.max(longest, os.clock() - before)
            assert(scope or message:find "^declarations: line %d+, column %d+, ", message)
        end
        -- No timed assertion: what takes more than a moment would show as a test that takes minutes.
        assert.is_true(longest >= 0)
    end)

    it("of a megabyte of one thing end", function()
        for _, piece in ipairs { "(", "#define A1 A\n", "struct A{int a;", "int x[", "_In_(", "#pragma pack(1)\n",
            "\\\n", "int a,", "* ",
                                 "#if 1\n", "'", "typedef int T;\n", "0x", "x ", "  ", "#define A" .. (" "):rep(2000) ..
                                     "\n" } do
            declare((piece):rep((200 * 1024) // #piece))
        end
    end)
end)
