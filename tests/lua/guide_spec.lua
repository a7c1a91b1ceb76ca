-- guide_spec: every block of code in docs/write-a-script.md is run, and what the page says it prints is compared.
-- And `heapsift help NAME` for the Lua surface.

local program = require "program"

describe("docs/write-a-script.md", function()
    local folder, dump
    setup(function()
        folder = program.folder()
        dump = folder .. "/practice.dmp"
        program.output { "run", "sample", dump, "--scale", "0.02" }
    end)
    teardown(function() program.remove(folder) end)

    local page = program.read_file(program.root .. "/docs/write-a-script.md")
    local number = 0
    for code, shown in page:gmatch "```lua\n(.-)```.-```text\n(.-)```" do
        number = number + 1
        local name = "lost_rows" .. number .. ".lua"
        it("prints what it says: block " .. number, function()
            local script = folder .. "/" .. name
            local file <close> = assert(io.open(script, "w"))
            file:write(code)
            file:close()
            local finished = code:find("heapsift.script", 1, true)
            local words = { "run", script, dump }
            if finished then table.move({ "f8", "--fail-on", "likely" }, 1, 3, 4, words) end
            local out, exit, err = program.run(words)
            assert.equal("", err)
            assert.equal(finished and 1 or 0, exit)
            assert.equal(shown, out)
            if finished then
                local help = program.output { "help", script }
                assert.truthy(help:find("rows of MAPI properties that nothing points to", 1, true))
                local _, usage, line = program.run { "run", script, dump, "zz" }
                assert.equal(2, usage)
                assert.equal(1, #program.lines(line))
                assert.equal(6, (select(2, program.run { "run", script, dump, "f7" })))
                local json = program.run { "run", script, dump, "f8", "--json" }
                assert.truthy(json:find('"schema":%s*"example.lost%-rows/1"'), json)
            end
        end)
    end
    it("has four blocks", function() assert.equal(4, number) end)
end)

describe("heapsift help NAME", function()
    local function help(name) return program.run { "help", name } end

    it("tells of methods and functions", function()
        local out = help "dump:blocks"
        assert.truthy(out:find("dump:blocks(which)", 1, true))
        assert.truthy(out:find("takes  which?", 1, true))
        assert.is_nil(help "blocks":find("Lua object", 1, true))
        assert.truthy(help "heapsift.open":find("io\", \"format\"", 1, true))
    end)
    it("finds a method by its last word, or lists those that have it", function()
        assert.truthy(help "where":find("set:where(text, ...)", 1, true))
        assert.truthy(help "referenced":find("set:referenced", 1, true))
        assert.truthy(help "u32":find("u32: one of\n    block:u32\n    dump:u32", 1, true))
    end)
    it("tells of objects, and of both where a script has the name", function()
        assert.truthy(help "set":find("Methods:\n    set:count()", 1, true))
        local out = help "block"
        assert.truthy(out:find("Usage: heapsift run block", 1, true))
        assert.truthy(out:find("The Lua object of that name: block", 1, true))
        assert.truthy(out:find("field  stored_index", 1, true), out)
    end)
    it("tells of fields", function()
        assert.truthy(help "block.stored_index":find("low bits of its trace's index", 1, true))
        assert.truthy(help "dump.traces":find("nil if there is none", 1, true))
        assert.truthy(help "contention_count":find("^heap%.contention_count"))
    end)
    it("prints the language of filters, every example of it", function()
        local out = help "filter"
        assert.equal(out, (help "filters"))
        local flat = out:gsub("%s+", " ")
        local page = program.read_file(program.root .. "/docs/filters.md")
        local count = 0
        for example in page:gmatch "\n%- (`[^\n]-` : [^\n]*)" do
            count = count + 1
            assert.truthy(flat:find(example, 1, true), example)
        end
        assert.equal(20, count)
        for field in pairs { first_word = 1, stored = 1, previous = 1 } do
            assert.truthy(out:find("\n    [%l_, ]*" .. field), field)
        end
        assert.is_nil(out:find("| --- |", 1, true))
    end)
    it("suggests the nearest name", function()
        local _, wrong, line = program.run { "help", "fliter" }
        assert.equal(2, wrong)
        assert.truthy(line:find("did you mean 'filter'", 1, true), line)
        local out, code, err = help "dump:bloks"
        assert.equal("", out)
        assert.equal(2, code)
        assert.truthy(err:find("did you mean 'dump:blocks'", 1, true), err)
    end)
end)
