-- truth: writes a sample dump with what its writer knows of it, and compares that with what the program reads there.
-- Nothing is derived from the dump on the writer's side. For truth_spec.lua and truth_slow_spec.lua.

local assert = require "luassert"
local json = require "dkjson"
local program = require "program"

local truth = {}

local SCRIPTS <const> = program.root .. "/tests/lua/scripts/"

-- Runs `check(dump, file)` on a sample of these options; `file` is where --truth or --truth-blocks put the truth.
local function with_sample(kind, options, check)
    local folder = program.folder()
    local dump, file = folder .. "/sample.dmp", folder .. "/truth"
    local words = { "run", "sample", dump, kind, file }
    for word in options:gmatch("%S+") do
        words[#words + 1] = word
    end
    program.output(words)
    local good, message = pcall(check, dump, file)
    program.remove(folder)
    if not good then
        error(message, 0)
    end
end

-- Every block: heap, address, user address, size, total, flags, state, stored index. Gives the number of blocks.
local function compare_blocks(dump, file)
    local wanted, count = {}, 0
    for line in io.lines(file) do
        if not line:find("^heap\t") then
            local known <const> = line:match("^(" .. ("%x+\t"):rep(6) .. "%l+\t[%x-]+)\t")
            assert(known, line)
            assert(not wanted[known], "twice in the truth: " .. known)
            wanted[known], count = true, count + 1
        end
    end
    local found = 0
    for line in program.output { "run", SCRIPTS .. "truth_blocks.lua", dump }:gmatch("[^\n]+") do
        if not wanted[line] then
            error("not in the truth, or printed twice: " .. line)
        end
        wanted[line], found = nil, found + 1
    end
    assert.equal(count, found, "blocks that were not found, such as " .. (next(wanted) or "none"))
    return count
end

-- Also that addresses lead to their blocks.
function truth.blocks(options)
    with_sample("--truth-blocks", options, function(dump, file)
        local count <const> = compare_blocks(dump, file)
        local inside, outside = program.output { "run", SCRIPTS .. "lookups.lua", dump, "--count", "4000" }
            :match("^(%d+) inside, (%d+) outside\n$")
        assert.is_true(count > 1000 and tonumber(inside) > 10000 and tonumber(outside) > 20)
    end)
end

-- Rows of numbers as truth_figures.lua prints them; `columns` are those of a row that count, added up by the last.
local function as_lines(rows, columns)
    local sums, lines = {}, {}
    for _, row in ipairs(rows) do
        local key = {}
        for i = 1, columns do
            key[i] = row[i]
        end
        local text <const> = table.concat(key, " ")
        sums[text] = (sums[text] or 0) + row[#row]
    end
    for key, sum in pairs(sums) do
        lines[#lines + 1] = key .. " " .. sum
    end
    table.sort(lines)
    return table.concat(lines, "\n")
end

-- Every field of `wanted` that `found` can have, by name.
local function assert_fields(wanted, found, names, what)
    for name in names:gmatch("%S+") do
        assert.same(wanted[name], found[name], what .. ": " .. name)
    end
end

-- Long texts are compared, not shown.
local function assert_lines(wanted, found, what)
    if wanted ~= found then
        local next_line <const> = found:gmatch("[^\n]*")
        for line in wanted:gmatch("[^\n]*") do
            assert.equal(line, next_line(), what)
        end
        error(what .. ": more lines than the truth has")
    end
end

local function file_name(path)
    return path:match("[^\\/]*$")
end

-- Heaps' headers, blocks by heap and size, by heap, stored index and size, by state; modules, threads, the database
-- with the count of every trace that the truth names.
function truth.figures(options)
    with_sample("--truth", options, function(dump, file)
        local wanted <const>, _, wrong = json.decode(program.read_file(file))
        assert(wanted, wrong)
        local found <const> = json.decode(
            program.output { "run", SCRIPTS .. "truth_figures.lua", dump, "--json" }).result
        assert.equal(0, found.notes)
        assert.equal(#wanted.heaps, #found.heaps)
        for i, heap in ipairs(wanted.heaps) do
            local what <const> = "heap " .. heap.address
            assert_fields(heap, found.heaps[i], [[address flags reserve commit free_bytes uncommitted_ranges
                free_list_length large_blocks lock contention front_end segments states]], what)
            assert_lines(as_lines(heap.sizes, 1), found.heaps[i].sizes, what .. ": size, blocks")
            assert_lines(as_lines(heap.groups, 2), found.heaps[i].groups, what .. ": stored index, size, blocks")
        end
        assert.equal(#wanted.modules, #found.modules)
        for i, module in ipairs(wanted.modules) do
            assert_fields(module, found.modules[i], "base size timestamp path pdb exports", module.name)
            assert.equal(file_name(module.path):lower(), file_name(found.modules[i].path):lower())
        end
        assert.same(wanted.threads, found.threads)
        if not wanted.database then
            assert.is_nil(found.database)
            return
        end
        assert_fields(wanted.database, found.database, [[address entries looked_up lost next_free_lower next_free_upper
            index_array pointer_at wraps full unproven]], "database")
        local counts = {}
        for count in found.database.counts:gmatch("%d+") do
            counts[#counts + 1] = tonumber(count)
        end
        assert.equal(wanted.database.entries, #counts)
        for name, trace in pairs(wanted.database.named) do
            assert.equal(trace.count, counts[trace.index], name)
        end
    end)
end

return truth
