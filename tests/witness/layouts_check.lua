-- What tests/witness/layouts.sh runs: lua layouts_check.lua SOURCE-FOLDER SCRATCH-FOLDER SEEDS

local root, scratch, seeds = arg[1], arg[2], tonumber(arg[3])
package.path = root .. "/plugins/lib/?.lua;" .. root .. "/tests/lua/?.lua;" .. package.path

local abi = require "types.abi"
local build = require "types.build"
local structures = require "structures"

local COUNT <const> = 300
local TARGETS <const> = { x86 = "i686-pc-windows-msvc -fms-extensions", x64 = "x86_64-pc-windows-msvc -fms-extensions",
                          host = "x86_64-linux-gnu" }

-- What clang says of a program.
local function expected(target, program)
    local path = scratch .. "/program.c"
    local file <close> = assert(io.open(path, "wb"))
    file:write(program)
    file:close()
    local clang = ("clang --target=%s -w -fsyntax-only -Xclang -fdump-record-layouts '%s'"):format(
        TARGETS[target], path)
    local pipe <close> = assert(io.popen(clang))
    local text = pipe:read "a"
    assert(pipe:close(), "clang does not compile the program")
    return structures.clang(text)
end

local function check(target, seed)
    local program = structures.program(seed, COUNT, { host = target == "host" })
    local scope = build.scope()
    assert(build.declare(scope, abi[target], program, "program.c"))
    local from_clang = expected(target, program)
    local difference = structures.difference(from_clang, structures.own(function(tag) return scope.tags[tag] end,
        COUNT))
    if seed == 1 and os.getenv "HEAPSIFT_LAYOUTS_WRITE" == "1" then
        local file <close> = assert(io.open(("%s/tests/fixtures/layouts-%s.txt"):format(root, target), "wb"))
        file:write(from_clang)
    end
    if difference then print(("%s, seed %d: %s"):format(target, seed, difference)) end
    return not difference
end

local wrong = 0
for _, target in ipairs { "x86", "x64", "host" } do
    for seed = 1, seeds do wrong = wrong + (check(target, seed) and 0 or 1) end
end
print(("%d structures, %d programs differ"):format(3 * seeds * COUNT, wrong))
os.exit(wrong == 0)
