-- query_rows_spec: what query_rows says of rows in each situation it knows, made by changing bytes of a tiny sample: in
-- a row set on a stack, in a set that is lost, in a cache, on a stack, an address list, arrays of GetProps, arrays that
-- a caller made itself. The sample's 50 rows in use stand in a row set that a stack holds; 56 are lost.

local program = require "program"
local json = require "dkjson"

local LOST <const>, HELD <const> = 56, 50
local FLAGS <const> = "\1\0\0\16"

local folder, plain, truth
setup(function()
    folder = program.folder()
    program.output { "run", "sample", folder .. "/plain.dmp", "--tiny", "--truth", folder .. "/truth.json" }
    plain = program.read_file(folder .. "/plain.dmp")
    truth = json.decode(program.read_file(folder .. "/truth.json"))
end)
teardown(function() program.remove(folder) end)

local function word(value) return string.pack("<I4", value) end
local function tag(value) return string.pack("<I4I4", value, 0) end

-- Replaces bytes of the same length, at most `most` times; fails if there are none.
local function replace(text, old, new, most)
    assert(#old == #new)
    local changed, n = text:gsub(old:gsub("%W", "%%%0"), function() return new end, most)
    assert(n > 0, "nothing to replace")
    return changed
end

-- Findings for the sample with its bytes changed.
local function findings(change, ...)
    local file <close> = assert(io.open(folder .. "/changed.dmp", "wb"))
    file:write(change(plain))
    file:close()
    return json.decode(program.output { "run", "query_rows", folder .. "/changed.dmp", "--json", ... }).findings
end

local function has(list, text)
    return table.concat(list or {}, "\n"):find(text, 1, true) ~= nil
end

local function row_set() return tonumber(truth.held.row_set, 16) end
local function first_row() return tonumber(truth.held.rows[1], 16) end

describe("query_rows", function()
    it("counts what the truth says: rows in a set on a stack are in use", function()
        local list = findings(function(text) return text end)
        assert.equal(1, #list)
        assert.truthy(list[1].claim:find(("^%d MAPI table rows are lost"):format(LOST)))
        assert.is_true(has(list[1].evidence, ("%d rows of the same columns stand in row sets"):format(HELD)))
        assert.equal(1, #list[1].against) -- some are in use, so not all that this stack made is lost
        assert.is_true(has(list[1].against, "45.9 % of all that this stack ever allocated is lost: the rest was freed"))
        assert.truthy(list[1].remedy:find "^FreeProws instead of MAPIFreeBuffer on the set")
    end)

    it("sees rows that only a lost row set holds", function()
        local list = findings(function(text) return replace(text, word(row_set()), word(0)) end)
        assert.truthy(list[1].claim:find(("^%d MAPI table rows are lost"):format(LOST + HELD)))
        assert.is_true(has(list[1].evidence, ("%d of them only by row sets that are lost themselves"):format(HELD)))
    end)

    it("knows a row on a stack", function()
        local list = findings(function(text) return replace(text, word(row_set()), word(first_row() + 8)) end)
        assert.truthy(list[1].claim:find(("^%d MAPI table rows are lost"):format(LOST + HELD - 1)))
        assert.is_true(has(list[1].against, "1 with these columns are on a stack, so in use"))
    end)

    it("knows rows that a cache holds", function()
        local list = findings(function(text)
            return replace(text, FLAGS .. word(0) .. word(HELD), word(0) .. word(0) .. word(HELD))
        end)
        assert.truthy(list[1].claim:find(("^%d MAPI table rows are lost"):format(LOST)))
        assert.is_true(has(list[1].against, ("%d with these columns are held by other blocks or data"):format(HELD)))
    end)

    it("tells address lists by their columns", function()
        local list = findings(function(text) return replace(text, tag(0x00170003), tag(0x0c150003)) end)
        assert.truthy(list[1].claim:find(("^%d entries of MAPI address lists are lost"):format(LOST)))
        assert.truthy(list[1].remedy:find "^FreePadrlist")
    end)

    -- The words of a row, as it stands in the dump.
    local function words_of(user)
        local words = json.decode(program.output { "run", "memory", folder .. "/plain.dmp", ("%x"):format(user),
            "--words", "62", "--json" }).result.elements
        for i, each in ipairs(words) do words[i] = word(tonumber(each.value)) end
        return words
    end

    local function lost_row()
        return tonumber(json.decode(program.output { "run", "blocks", folder .. "/plain.dmp", "--limit", "1", "--json",
            'not referenced and type == "mapi.row"' }).result.rows[1].user)
    end

    it("counts buffers that only the links in their headers lead to", function()
        local words, all = words_of(lost_row()), findings(function(text) return text end)[1].blocks
        local row = table.concat(words)
        for i = 3, #words do
            if (i - 3) % 4 >= 2 then words[i] = word(0) end -- the values: two words behind each tag and its pad
        end
        assert.equal(all, findings(function(text) return replace(text, row, table.concat(words)) end)[1].blocks)
        words[2] = word(0)
        assert.is_true(findings(function(text) return replace(text, row, table.concat(words)) end)[1].blocks < all)
    end)

    -- The text with one row given a column that no other has: an array as GetProps makes them.
    local function single(text, user)
        local row = table.concat(words_of(user))
        return replace(text, row, replace(row, tag(0x0037001f), tag(0x8001001f)))
    end

    it("leaves an array of GetProps alone that something holds", function()
        local list = findings(function(text) return single(text, first_row()) end, "--min-rows", "1")
        assert.equal(1, #list)
        assert.truthy(list[1].claim:find(("^%d MAPI table rows are lost"):format(LOST)))
    end)

    it("does not call a lost array of GetProps a row", function()
        local list = findings(function(text) return single(text, lost_row()) end, "--min-rows", "1")
        assert.equal(2, #list)
        assert.truthy(list[1].claim:find(("^%d MAPI table rows are lost"):format(LOST - 1)))
        assert.truthy(list[2].claim:find "^1 MAPI property array is lost")
        assert.truthy(list[2].remedy:find "MAPIFreeBuffer on each")
        assert.is_true(list[2].confidence < 0.8)
    end)

    it("does not call rows what a caller made with MAPIAllocateBuffer itself", function()
        local frames = { 0x38ef0674, 0x38ef4783, 0x38f0b31e, 0x38f0b208, 0x38ef82fa, 0x38f2d7fd }
        local old, new = "", ""
        for _, va in ipairs(frames) do old, new = old .. word(va), new .. word(0x100c8141) end
        local list = findings(function(text) return replace(text, old, new) end)
        assert.truthy(list[1].claim:find(("^%d MAPI property arrays are lost"):format(LOST)))
        assert.is_true(has(list[1].evidence, "the caller asked OLMAPI32!MAPIAllocateBuffer for them itself"))
        assert.truthy(list[1].remedy:find "^MAPIFreeBuffer on each array")
    end)

    it("says nothing where there are no rows", function()
        assert.same({}, findings(function(text)
            for _, each in ipairs { 0x0fff0102, 0x001a001e, 0x30070040 } do text = replace(text, tag(each), tag(7)) end
            return text
        end))
    end)

    it("takes --min-rows", function()
        assert.same({}, findings(function(text) return text end, "--min-rows", tostring(LOST + 1)))
    end)
end)
