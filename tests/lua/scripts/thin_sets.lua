-- thin_sets: sets of many densities, whose blocks C skips to, counted in three ways, for recognisers_spec.lua.

heapsift.script { summary = "sets of many densities, for a test" }

for _, which in ipairs { "busy", "free", "internal" } do
    local all = dump:blocks { state = which }
    for _, step in ipairs { 1, 2, 3, 63, 64, 65, 255, 256, 257, 1000, 70000 } do
        for _, from in ipairs { 0, 1, step - 1 } do
            local text = ("index %% %d == %d"):format(step, from)
            local thin = all:where(text)
            -- Settled by algebra, then gone through by filter, group and one by one.
            local same = (all & thin):where "size >= 0"
            local count, bytes, sum = 0, 0, 0
            for block in same:each() do count, bytes = count + 1, bytes + block.size end
            for row in same:group("size", "state") do
                sum = sum + row.count
                assert(row.state == which, text)
            end
            assert(thin:count() == count and same:count() == count and sum == count, text)
            assert(thin:bytes() == bytes and same:bytes() == bytes, text)
            assert((all - thin):count() == all:count() - count, text)
            assert((all - thin):where(text):count() == 0, text)
        end
    end
    print(which, all:count())
end
