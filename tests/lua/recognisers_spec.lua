-- recognisers_spec: what the bundled recognisers say of every busy block, against what the sample knows of it; MAPI
-- memory that the sample has not, made by changing a dump's bytes; and the example of docs/recognisers.md.

local program = require "program"

local LABELS <const> = program.root .. "/tests/lua/scripts/labels.lua"

-- The truth's words for what the recognisers name otherwise.
local NAMED <const> = { object = "vtable", ["rpc.string"] = "string.utf16" }

local folder
setup(function() folder = program.folder() end)
teardown(function() program.remove(folder) end)

-- "a" when the truth says so and the label says so: counts[label] = { right =, true_blocks =, labelled = }
local function compare(...)
    local dump, truth = folder .. "/sample.dmp", folder .. "/truth.tsv"
    program.output { "run", "sample", dump, "--truth-blocks", truth, ... }
    local labels = {}
    for line in program.output({ "run", LABELS, dump, "--blocks" }):gmatch "[^\n]+" do
        local address, label = line:match "^block (%x+) (%S+)$"
        if address then labels[address] = label end
    end
    local counts = setmetatable({}, { __index = function(self, name)
        self[name] = { right = 0, true_blocks = 0, labelled = 0 }
        return self[name]
    end })
    local busy = 0
    for line in io.lines(truth) do
        local address, word = line:match "^%x+\t(%x+)\t%x+\t%x+\t%x+\t%x+\tbusy\t%S+\t%x+\t(%S+)"
        if address then
            busy = busy + 1
            local known, said = NAMED[word] or word, assert(labels[address], address)
            counts[known].true_blocks = counts[known].true_blocks + 1
            counts[said].labelled = counts[said].labelled + 1
            if known == said then counts[known].right = counts[known].right + 1 end
        end
    end
    return counts, busy
end

local SHARP <const> = { "mapi.row", "mapi.rowset", "mapi.more", "mapi.buffer" }
local SOFT <const> = { "string.ascii", "string.utf16", "bstr", "vtable" }

describe("the recognisers", function()
    for _, case in ipairs {
        { least = 50000, words = { "--scale", "0.02" } },
        { least = 1000, words = { "--tiny", "--seed", "3" } },
        { least = 1000, words = { "--tiny", "--no-ust" }, no_objects = true },
        { least = 1000, words = { "--arch", "x64", "--scale", "0.02" } },
    } do
        it("name blocks as the truth does: " .. table.concat(case.words, " "), function()
            local counts, busy = compare(table.unpack(case.words))
            assert.is_true(busy >= case.least, tostring(busy))
            for _, name in ipairs(SHARP) do
                assert.is_true(counts[name].true_blocks > 0, name)
                assert.same({ name, counts[name].true_blocks, counts[name].true_blocks },
                    { name, counts[name].right, counts[name].labelled })
            end
            for _, name in ipairs(SOFT) do
                local c = counts[name]
                local shown = ("%s: %d right, %d labelled, %d in truth"):format(name, c.right, c.labelled,
                    c.true_blocks)
                if not (case.no_objects and name == "vtable") then assert.is_true(c.true_blocks > 0, shown) end
                assert.is_true(c.right >= 0.999 * c.labelled - 1, shown)
                assert.is_true(c.right >= 0.999 * c.true_blocks - 1, shown)
            end
        end)
    end
end)

describe("thin sets", function()
    it("are gone through as thick ones are", function()
        for _, words in ipairs { { "--tiny" }, { "--scale", "0.02" }, { "--arch", "x64", "--scale", "0.02" } } do
            program.output { "run", "sample", folder .. "/sample.dmp", table.unpack(words) }
            local out = program.output { "run", program.root .. "/tests/lua/scripts/thin_sets.lua",
                folder .. "/sample.dmp" }
            assert.truthy(out:find "busy\t%d+\nfree\t%d+\ninternal\t%d+\n", out)
        end
    end)
end)

-- ---- MAPI memory that the sample does not have ----

local TAGS <const> = { 0x0fff0102, 0x001a001e, 0x30070040, 0x300b0102, 0x0037001f, 0x0037001e, 0x003d001f, 0x003d001e,
                       0x0e060040, 0x00390040, 0x1035001e, 0x0c1f001f, 0x0c1f001e, 0x00170003, 0x0e1b000b }

local function packed(tag) return string.pack("<I4I4", tag, 0) end

-- Replaces bytes of a text, at most `count` times.
local function replace(text, old, new, count)
    assert(#old == #new)
    return (text:gsub(old:gsub("%W", "%%%0"), function() return new end, count))
end

-- Labels of a tiny sample whose bytes `change` has changed: lines by their first word.
local function facts_of(change)
    local plain, changed = folder .. "/plain.dmp", folder .. "/changed.dmp"
    program.output { "run", "sample", plain, "--tiny" }
    local file <close> = assert(io.open(changed, "wb"))
    file:write((change(program.read_file(plain))))
    file:close()
    local facts = { signature = {}, set = {}, type = {}, hint = {} }
    for _, line in ipairs(program.lines((program.run { "run", LABELS, changed }))) do
        local word, rest = line:match "^(%l+) (.*)$"
        if facts[word] then table.insert(facts[word], rest) end
    end
    return facts
end

local function count_of(facts, label)
    for _, line in ipairs(facts.type) do
        local count = line:match("^" .. label:gsub("%p", "%%%0") .. " (%d+)$")
        if count then return tonumber(count) end
    end
    return 0
end

describe("MAPI memory", function()
    local rows

    it("as it is: rows and a row set, told by their columns", function()
        local facts = facts_of(function(text) return text end)
        rows = count_of(facts, "mapi.row")
        assert.is_true(rows > 100)
        assert.same({ ("row 15 %d PR_ENTRYID PR_MESSAGE_CLASS_A"):format(rows) }, facts.signature)
        assert.same({ "row set: 50 rows of 15" }, facts.set)
    end)

    it("with columns that are errors is one kind of rows", function()
        local facts = facts_of(function(text)
            text = replace(text, packed(0x0e1b000b), packed(0x0e1b000a), 30)
            return replace(text, packed(0x001a001e), packed(0x001a000a), 7)
        end)
        assert.equal(rows, count_of(facts, "mapi.row"))
        local sum = 0
        for _, line in ipairs(facts.signature) do sum = sum + tonumber(line:match "^row 15 (%d+)") end
        assert.equal(rows, sum)
    end)

    it("with values of its own is mapi.props: multi-values, errors, named properties", function()
        local facts = facts_of(function(text)
            local at = assert(text:find(packed(TAGS[1]), 1, true))
            local row = text:sub(at, at + 16 * #TAGS - 1)
            local new = replace(row, packed(0x0037001f), packed(0x8001101f))
            new = replace(new, packed(0x0037001e), packed(0x3a58101e))
            new = replace(new, packed(0x003d001f), packed(0x8002001f))
            new = replace(new, packed(0x0e060040), packed(0x0e06000a))
            return text:sub(1, at - 1) .. new .. text:sub(at + #row)
        end)
        assert.equal(rows - 1, count_of(facts, "mapi.row"))
        assert.equal(1, count_of(facts, "mapi.props"))
    end)

    it("tells address lists from row sets by PR_RECIPIENT_TYPE", function()
        local facts = facts_of(function(text) return replace(text, packed(0x00170003), packed(0x0c150003)) end)
        assert.same({ "address list: 50 rows of 15" }, facts.set)
    end)

    it("says either where columns do not tell", function()
        local other = { [0x0037] = 0x3003, [0x001a] = 0x3002, [0x003d] = 0x39fe, [0x0e06] = 0x3007, [0x0039] = 0x3008,
                        [0x1035] = 0x3a08, [0x0017] = 0x3905, [0x0e1b] = 0x3a40 }
        local facts = facts_of(function(text)
            for _, tag in ipairs(TAGS) do
                local id = other[tag >> 16]
                if id then text = replace(text, packed(tag), packed(id << 16 | tag & 0xffff)) end
            end
            return text
        end)
        assert.same({ "row set or address list: 50 rows of 15" }, facts.set)
        assert.equal(rows, count_of(facts, "mapi.row"))
    end)

    it("with other flags is learned from its arrays", function()
        local facts = facts_of(function(text)
            text = text:gsub("\1\0\0\16(....\2\1\255\15)", "\5\0\0\64%1")
            return (text:gsub("\1\0\0\32", "\7\0\0\80"))
        end)
        assert.equal(rows, count_of(facts, "mapi.row"))
        assert.is_true(count_of(facts, "mapi.more") > 900)
    end)

    it("without its tags is no row", function()
        local facts = facts_of(function(text)
            for _, tag in ipairs(TAGS) do text = replace(text, packed(tag), packed(0xdeadbee0 + (tag & 0xf))) end
            return text
        end)
        assert.equal(0, count_of(facts, "mapi.row") + count_of(facts, "mapi.props"))
        assert.same({}, facts.set)
    end)

    it("explains the debugger's hint", function()
        local facts = facts_of(function(text) return text end)
        assert.truthy(facts.hint[1]:find "^%? 3rdpartydll%+1: is no multiple of 4; %d+ blocks, mostly mapi.row$",
            facts.hint[1])
    end)
end)

-- ---- the example of the manual ----

describe("docs/recognisers.md", function()
    it("has an example that works", function()
        local page = program.read_file(program.root .. "/docs/recognisers.md")
        local examples = {}
        for code in page:gmatch "```lua\n(.-)```" do examples[#examples + 1] = code end
        local _, lines = examples[1]:gsub("\n", "")
        assert.is_true(lines <= 23, tostring(lines))
        os.execute(("mkdir -p '%s/plug'"):format(folder))
        for name, text in pairs { ["plug/widgets.lua"] = examples[1], ["mine.lua"] = examples[2] } do
            local file <close> = assert(io.open(folder .. "/" .. name, "wb"))
            file:write(text)
        end
        -- Two rows become widgets.
        local plain = folder .. "/plain.dmp"
        program.output { "run", "sample", plain, "--tiny" }
        local file <close> = assert(io.open(folder .. "/widgets.dmp", "wb"))
        file:write((program.read_file(plain):gsub("\1\0\0\16....\2\1\255\15", "WDGT\32\0\0\0\7\0\0\0", 2)))
        file:close()
        -- With filters of its own, and with a pass of its own instead.
        local text = program.read_file(folder .. "/plug/widgets.lua")
        local own, replaced = text:gsub('filters = (%b""),', ""):gsub("function%(_, _, records%)", function()
            return "function(_, set) local records = set:where " .. text:match 'filters = (%b""),'
        end)
        assert.equal(1, replaced)
        for _, each in ipairs { text, own } do
            local plugin <close> = assert(io.open(folder .. "/plug/widgets.lua", "wb"))
            plugin:write(each):flush()
            local out = program.output { "run", folder .. "/mine.lua", folder .. "/widgets.dmp", "--plugins",
                folder .. "/plug" }
            assert.truthy(out:find "\nwidget.record\t2\t496\n", out)
            assert.truthy(out:find "\n7\t2\n$", out)
            assert.truthy(out:find "mapi.row\t%d+", out)
        end
    end)
end)
