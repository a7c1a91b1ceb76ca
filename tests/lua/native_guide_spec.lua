-- docs/native.md from an empty file to a result: what it shows is built and run, and what it prints is compared. And
-- the plugin of docs/examples, block by block against the truth of the dump.

local natives = require "natives"
local program = require "program"

local folder = natives.folder
local dump = folder .. "/ledger.dmp"

local function copy(from, to)
    natives.write(to, program.read_file(program.root .. "/" .. from))
end

local function compile(source, library)
    local command = ("cd '%s' && cc -O2 -Wall -Wextra -Werror -shared -fPIC -o %s %s"):format(folder, library, source)
    assert.truthy(os.execute(command))
end

local blocks = { c = {}, lua = {}, text = {} }
local page = program.read_file(program.root .. "/docs/native.md"):match "## From an empty file(.-)\n## "
for language, text in page:gmatch "```(%l+)\n(.-)```" do table.insert(blocks[language], text) end

describe("docs/native.md", function()
    setup(function()
        program.output { "run", program.root .. "/tests/synth/variants.lua", dump, "--kind", "ledger",
                         "--truth-blocks", folder .. "/truth.tsv" }
        os.execute(("mkdir -p '%s/plugins'"):format(folder))
    end)
    teardown(function() program.remove(folder) end)

    it("shows a function and a script, and what they print", function()
        natives.write("kinds.c", blocks.c[1])
        compile("kinds.c", "kinds.so")
        natives.write("kinds.lua", blocks.lua[1])
        assert.same(blocks.text[1], program.output({ "run", "kinds.lua", dump, "--allow-native" }, folder))
    end)

    it("shows a plugin, and what it finds", function()
        copy("docs/examples/ledger.c", "plugins/ledger.c")
        copy("docs/examples/ledger.lua", "plugins/ledger.lua")
        compile("plugins/ledger.c", "plugins/ledger.so")
        natives.write("totals.lua", blocks.lua[2])
        assert.same(blocks.text[2], program.output({ "run", "totals.lua", dump, "--plugins", "plugins",
                                                     "--allow-native" }, folder))
    end)

    it("has a plugin that is right about every block", function()
        local truth, count = {}, 0
        for line in io.lines(folder .. "/truth.tsv") do
            local user, label = line:match "^%x+\t%x+\t(%x+)\t%x+\t%x+\t%x+\tbusy\t[^\t]*\t%x+\t([^\t]*)"
            if label and label:find "^ledger" then
                truth[user] = label
                count = count + 1
            end
        end
        natives.write("labels.lua", [[
            heapsift.recognise(dump)
            for block in dump:blocks("type ~ 'ledger.*'"):each() do print(("%x %s"):format(block.user, block.type)) end
        ]])
        local found = 0
        for line in program.output({ "run", "labels.lua", dump, "--plugins", "plugins", "--allow-native" }, folder)
            :gmatch "[^\n]+" do
            local user, label = line:match "^(%x+) (.*)$"
            assert.same(truth[user], label)
            found = found + 1
        end
        assert.same(count, found)
        assert.truthy(count > 900)
    end)

    it("has a plugin that says what it needs", function()
        local out, code = program.run({ "run", "labels.lua", dump, "--plugins", "plugins" }, folder)
        assert.same({ "", 0 }, { out, code })
    end)
end)
