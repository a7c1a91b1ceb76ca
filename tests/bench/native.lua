-- native.lua: set:map over all busy blocks, for tests/bench/native.sh. Needs --allow-native, and --allow-files for the
-- clock. Prints the median processor seconds of the rounds; with --calls what a call and a callback cost instead.
heapsift.script {
    summary = "measure set:map",
    options = {
        library = { type = "path" }, rounds = { type = "integer", default = 1 }, pure = { type = "flag" },
        name = { default = "first_word" }, gives = { default = "uint32_t" }, calls = { type = "flag" },
    },
}

local clock <const> = os.clock
local lib = assert(heapsift.native(args.library, ("%s %s %s(const void *data, size_t size, uint64_t address);"):format(
    args.pure and "__attribute__((pure))" or "", args.gives, args.name) ..
    "int call_kept(int x); void keep(int (*f)(int)); int divide(int a, int b);"))

if args.calls then
    local count <const> = 1000000
    local divide, begin = lib.divide, clock()
    for i = 1, count do divide(i, 3) end
    local calls = clock() - begin
    local callback = lib:callback("int (*)(int)", function(x) return x end)
    lib.keep(callback)
    local call_kept = lib.call_kept
    begin = clock()
    for i = 1, count do call_kept(i) end
    print(("%.1f %.1f"):format(calls / count * 1e9, (clock() - begin - calls) / count * 1e9))
    return
end

local set = dump:blocks { state = "busy" }
local times = {}
for i = 1, args.rounds do
    local begin = clock()
    set:map(lib[args.name])
    times[i] = clock() - begin
    collectgarbage()
end
table.sort(times)
print(("%.6f"):format(times[(args.rounds + 1) // 2]))
