-- heapsift.native at length: random declarations against two C compilers, and a million callbacks.

local natives = require "natives"
local program = require "program"
local declarations = require "scripts.native_declarations"

local COUNT <const> = 2000

local function script(name) return program.root .. "/tests/lua/scripts/" .. name end

describe("random declarations", function()
    for seed = 1, 2 do
        local text = { declarations.HEAD }
        for _, item in ipairs(declarations.make(seed, COUNT)) do text[#text + 1] = item.c end
        local source = natives.write(("random%d.c"):format(seed), table.concat(text, "\n") .. "\n")
        for _, compiler in ipairs { { name = "gcc", command = "gcc -O0 -Wno-psabi" },
                                    { name = "clang", command = "clang -O0" } } do
            it(("work as %s lays them out, or are refused, seed %d"):format(compiler.name, seed), function()
                local library = natives.build(source, compiler)
                local out = program.output { "run", script "native_random.lua", library, tostring(seed),
                                             tostring(COUNT), "--allow-native" }
                local worked, refused = out:match "^(%d+) worked, (%d+) refused\n$"
                assert.same(COUNT, worked + refused)
                assert.truthy(tonumber(worked) > COUNT / 2 and tonumber(refused) > COUNT / 10, out)
            end)
        end
    end
end)

describe("callbacks", function()
    it("are called a million times", function()
        local library = natives.build "signatures.c"
        local text = ([[
            heapsift.script { input = "none" }
            local lib <close> = heapsift.native(%q,
                "int64_t s_call_many(int64_t (*f)(int64_t), int64_t times); struct pair { int a, b; };" ..
                "struct pair s_call_pair(struct pair (*f)(struct pair), struct pair v);")
            local count = 0
            local f = lib:callback("int64_t (*)(int64_t)", function(n) count = count + 1 return n end)
            print(lib.s_call_many(f, 1000000), count)
            collectgarbage() collectgarbage()
            local before = collectgarbage "count"
            for i = 1, 100000 do -- callbacks that come and go
                local p = lib.s_call_pair(lib:callback("struct pair (*)(struct pair)", function(p)
                    return { a = p.b, b = p.a }
                end), { a = i, b = -i })
                if p.a ~= -i or p.b ~= i then error "wrong" end
            end
            collectgarbage() collectgarbage()
            print(collectgarbage "count" - before < 4096)
        ]]):format(library)
        local path = natives.write("million.lua", text)
        assert.same("499999500000\t1000000\ntrue\n", program.output { "run", path, "--allow-native" })
    end)
end)

teardown(function() program.remove(natives.folder) end)
