-- line.lua: one typed line: is it commands or Lua; where one command ends; what filters and files stand behind it.

local ends = require "host.ends"
local words = require "host.words"

local line = {}

-- The word that a text opens with, as commands are named: !heap, .echo, ?, ~, dds; nil if it opens with none.
function line.word(text)
    local word = text:match "^[!.][%a_][%w_.]*" or text:match "^[?~]" or text:match "^%a%w*"
    return word and word:lower(), word and #word or 0
end

-- Whether the whole line is commands. `known(word)` tells whether there is such a command.
function line.is_command(text, known)
    local trimmed = text:match "^%s*(.*)$"
    local word, size = line.word(trimmed)
    if not word then return false end
    if not word:find "^%a" then return true end -- nothing in Lua starts so
    return known(word) and not trimmed:find("^[%w_]", size + 1) and not trimmed:find("^%s*[=(.:,]", size + 1)
end

-- Calls visit(at, char) for each character outside quotes and parentheses.
local function outside(text, visit)
    local depth, quote = 0, nil
    for at = 1, #text do
        local char = text:sub(at, at)
        if quote then
            if char == quote then quote = nil end
        elseif char == '"' then
            quote = char
        elseif char == "(" or char == "[" then
            depth = depth + 1
        elseif char == ")" or char == "]" then
            depth = math.max(0, depth - 1)
        elseif depth == 0 and visit(at, char) then
            return
        end
    end
end

-- Commands to which all the rest of the line belongs, as in the debugger: paths have ; in them.
local UNSPLIT <const> = { [".sympath"] = true }

-- { { text =, at = } } split at each `;`; empty ones are left out.
function line.split(text)
    local parts, from = {}, 1
    local function add(last)
        local part = text:sub(from, last)
        local blank = #part:match "^%s*"
        if blank < #part then
            parts[#parts + 1] = { text = part:sub(blank + 1):match "^(.-)%s*$", at = from + blank }
        end
        from = last + 2
    end
    outside(text, function(at, char)
        if char == ";" and not UNSPLIT[line.word(text:match("^%s*(.*)$", from))] then add(at - 1) end
    end)
    add(#text)
    return parts
end

-- ---- filters ----

local function fail(at, format, ...)
    ends.fail("usage", ("at position %d: "):format(at) .. format:format(...), false)
end

local function number_of(text, at, default)
    if not text or text == "" then return default end
    local value = words.integer((text:gsub("^%-n?%s*", "")))
    if not value or value < 0 then fail(at, "a number of lines expected, got '%s'", text) end
    return value
end

-- Each makes a filter of its arguments: push(line), and finish(), which may write what was kept.
local FILTERS <const> = {}

function FILTERS.grep(arguments, at, write)
    local flags = {}
    local rest = arguments
    while rest:find "^%-%a+%s" do
        local letters
        letters, rest = rest:match "^%-(%a+)%s+(.*)$"
        for letter in letters:gmatch "." do
            if not letter:find "[ivc]" then fail(at, "grep knows -i, -v and -c, not '-%s'", letter) end
            flags[letter] = true
        end
    end
    local pattern = rest:match '^"(.*)"$' or rest
    if pattern == "" then fail(at, "grep: a text to look for expected") end
    if flags.i then pattern = pattern:lower() end
    local count = 0
    return function(text)
        local found = (flags.i and text:lower() or text):find(pattern, 1, true) ~= nil
        if found == not flags.v then
            count = count + 1
            if not flags.c then write(text) end
        end
    end, function()
        if flags.c then write(tostring(count)) end
    end
end

function FILTERS.head(arguments, at, write)
    local left = number_of(arguments, at, 10)
    return function(text)
        if left > 0 then
            left = left - 1
            write(text)
        end
        if left == 0 then error(ends.enough, 0) end
    end
end

function FILTERS.tail(arguments, at, write)
    local most, kept, first = number_of(arguments, at, 10), {}, 1
    return function(text)
        kept[#kept + 1] = text
        if #kept - first + 1 > most then
            kept[first] = false
            first = first + 1
        end
    end, function()
        for i = first, #kept do write(kept[i]) end
    end
end

function FILTERS.sort(arguments, at, write)
    local reverse, unique = false, false
    for word in arguments:gmatch "%S+" do
        if word == "-r" then reverse = true elseif word == "-u" then unique = true
        else fail(at, "sort knows -r and -u, not '%s'", word) end
    end
    local kept = {}
    return function(text) kept[#kept + 1] = text end, function()
        table.sort(kept, function(a, b)
            if reverse then return b < a end
            return a < b
        end)
        for i, text in ipairs(kept) do
            if not unique or text ~= kept[i - 1] then write(text) end
        end
    end
end

function FILTERS.count(arguments, at, write)
    if arguments ~= "" then fail(at, "count takes nothing, not '%s'", arguments) end
    local count = 0
    return function() count = count + 1 end, function() write(tostring(count)) end
end

function FILTERS.more(arguments, at, write)
    if arguments ~= "" then fail(at, "more takes nothing, not '%s'", arguments) end
    return require "host.pager".new(write)
end

line.filters = { "count", "grep", "head", "more", "sort", "tail" }

-- Commands in which | and > are operators throughout.
local WHOLE <const> = { ["?"] = true, [".formats"] = true, [".echo"] = false }

-- Takes the filters and the file off the end of a command: its own text, { { name, arguments, at } }, path or nil.
function line.pipes(part)
    local word = line.word(part.text)
    if WHOLE[word] then return part.text, {}, nil end
    local marks = {}
    outside(part.text, function(at, char)
        if (char == "|" or char == ">") and part.text:find("^%s", at - 1) and part.text:find("^%s", at + 1) then
            marks[#marks + 1] = { at = at, char = char }
        end
    end)
    if #marks == 0 then return part.text, {}, nil end
    local filters, path = {}, nil
    for i, mark in ipairs(marks) do
        local last = marks[i + 1] and marks[i + 1].at - 1 or #part.text
        local text = part.text:sub(mark.at + 1, last):match "^%s*(.-)%s*$"
        local at = part.at + mark.at - 1
        if path then fail(at, "nothing can stand behind the file of '>'") end
        if mark.char == ">" then
            path = text:match '^"(.*)"$' or text
            if path == "" then fail(at, "a file expected behind '>'") end
        else
            local name, arguments = text:match "^(%a*)%s*(.*)$"
            if not FILTERS[name] then
                fail(at, "'%s' is no filter (%s)%s", name or text, table.concat(line.filters, ", "),
                    words.hint(name or "", line.filters))
            end
            filters[i] = { name = name, arguments = arguments, at = at }
        end
    end
    return part.text:sub(1, marks[1].at - 1):match "^(.-)%s*$", filters, path
end

-- Calls f; false if what it was given is not wanted any more.
local function unless_enough(f, ...)
    local ok, e = pcall(f, ...)
    if not ok and e ~= ends.enough then error(e, 0) end
    return ok
end

-- A function that takes text in pieces, and one that ends it: through the filters into write(text with newline). The
-- first raises ends.enough when nothing more is wanted.
function line.stream(filters, write)
    local push = function(text) write(text .. "\n") end
    local finishers = {}
    for i = #filters, 1, -1 do
        local finish
        push, finish = FILTERS[filters[i].name](filters[i].arguments, filters[i].at, push)
        table.insert(finishers, 1, finish or function() end)
    end
    local open = ""
    return function(text)
        if #filters == 0 then return write(text) end
        text = open .. text
        local from = 1
        for one, next_ in text:gmatch "([^\n]*)\n()" do
            open = ""
            push(one)
            from = next_
        end
        open = text:sub(from)
    end, function()
        if open ~= "" then unless_enough(push, open) end
        for _, finish in ipairs(finishers) do unless_enough(finish) end
    end
end

return line
