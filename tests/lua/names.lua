-- names: the undecorator against a list of names with llvm-undname's answers. Used by undecorate_spec.lua with the
-- fixture, and run by tests/witness/names.sh with a fresh one:
--
--     lua5.4 names.lua SRC LIST

local names = {}

-- "name<tab>answer" lines as { { name, answer }, ... }; `lines` is an iterator.
function names.read(lines)
    local list = {}
    for line in lines do
        local name, answer = line:match "^([^\t]*)\t(.*)$"
        list[#list + 1] = { assert(name, line), answer }
    end
    return list
end

-- Names that are told otherwise than by llvm-undname 14, with the reason: lines behind a `#` line.
function names.differences(path)
    local reasons, reason = {}, nil
    for line in io.lines(path) do
        if line:find "^#" then reason = line:sub(3) elseif line ~= "" then reasons[line] = assert(reason, line) end
    end
    return reasons
end

-- The names of `list` that come out otherwise, as name -> { answer, ours }.
function names.compare(undecorate, list)
    local others, count = {}, 0
    for _, entry in ipairs(list) do
        local ours = undecorate(entry[1], "full")
        if ours ~= entry[2] then
            others[entry[1]] = { entry[2], ours }
            count = count + 1
        end
    end
    return others, count
end

if arg and arg[0] and arg[0]:find "names%.lua$" then
    local src, path = arg[1], arg[2]
    package.path = src .. "/plugins/lib/?.lua;" .. package.path
    local list = names.read(io.lines(path))
    local known = names.differences(src .. "/tests/fixtures/names-differences.txt")
    local others, count = names.compare(require "undecorate".name, list)
    local unknown = 0
    for name, texts in pairs(others) do
        if not known[name] then
            unknown = unknown + 1
            io.stderr:write(name, "\n    llvm-undname: ", texts[1], "\n    heapsift:     ", texts[2], "\n")
        end
    end
    print(("%d names, %d otherwise than llvm-undname, %d of them without a known reason"):format(#list, count, unknown))
    -- Another version of llvm may know more or spell otherwise; the bound holds for each.
    os.exit(#list >= 2000 and count <= 0.02 * #list)
end

return names
