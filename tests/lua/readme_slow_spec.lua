-- What README.md shows is what is printed, at full scale. A block that begins with "$ heapsift" is run; its lines must
-- be printed in that order, one right behind the other except where "..." stands.

local program = require "program"

-- The words of a command line, of which some may stand in single quotes.
local function words_of(line)
    local words = {}
    local whole = line:gsub("'([^']*)'", function(quoted)
        return (quoted:gsub(" ", "\0"))
    end)
    for word in whole:gmatch "[^ ]+" do
        words[#words + 1] = (word:gsub("\0", " "))
    end
    return words
end

-- The blocks of the page: { command = text, lines = those it shows, without their indent }.
local function blocks_of(page)
    local blocks, block = {}, nil
    for line in page:gmatch "([^\n]*)\n" do
        local command = line:match "^    %$ heapsift (.*)$"
        if command then
            block = { command = command, lines = {} }
            blocks[#blocks + 1] = block
        elseif line ~= "" and not line:find "^    " then
            block = nil
        elseif block then
            block.lines[#block.lines + 1] = line:gsub("^    ", "")
        end
    end
    for _, each in ipairs(blocks) do
        while each.lines[#each.lines] == "" do
            table.remove(each.lines)
        end
    end
    return blocks
end

describe("README.md", function()
    local folder
    local page = program.read_file(program.root .. "/README.md")

    setup(function()
        folder = program.folder()
        program.output({ "run", "sample", "outlook.dmp", "--scale", "1" }, folder)
        local code = assert(page:match "\n    (heapsift%.script.-)\n\n"):gsub("\n    ", "\n")
        local file <close> = assert(io.open(folder .. "/leaked.lua", "w"))
        file:write(code)
    end)

    teardown(function()
        program.remove(folder)
    end)

    local blocks = blocks_of(page)

    for _, block in ipairs(blocks) do
        it("shows what is printed: " .. block.command, function()
            local printed = program.lines(program.output(words_of(block.command), folder))
            local at, anywhere = 0, false
            for _, line in ipairs(block.lines) do
                if line == "..." then
                    anywhere = true
                else
                    repeat
                        at = at + 1
                    until not anywhere or not printed[at] or printed[at] == line
                    assert.equal(line, printed[at] or "(not printed)")
                    anywhere = false
                end
            end
            if not anywhere then
                assert.equal(#printed, at)
            end
        end)
    end

    it("has eight such blocks", function()
        assert.equal(8, #blocks)
    end)
end)
