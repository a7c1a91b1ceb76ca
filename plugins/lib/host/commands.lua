-- commands.lua: runs the commands of the prompt. A command is a plugin of kind "command": its `words` are what people
-- type, its `switches` what they may put behind it, and run(dump, call) prints, or with call.json returns data.

local absent = require "host.absent"
local core = require "host.core"
local ends = require "host.ends"
local line = require "host.line"
local out = require "host.out"
local words = require "host.words"

local commands = {}

-- ---- what lives as long as the dump ----

local sessions = setmetatable({}, { __mode = "k" })

-- Temporaries @$t0 .., the current thread, where d and u go on.
function commands.session(dump)
    if not sessions[dump] then sessions[dump] = { temporaries = {}, next = {} } end
    return sessions[dump]
end

local function world_of(dump)
    return require "expression".world(dump, commands.session(dump))
end

-- dump:eval
function commands.eval(dump, text)
    local value, message, code = require "expression".try(text, world_of(dump))
    if value then return value end
    return nil, "expression: " .. message, code
end

-- ---- the call ----

local Call = {}
Call.__index = Call

-- Ends the command with one line. code: "usage", "missing", "failed".
function Call:fail(code, format, ...)
    local text = select("#", ...) > 0 and format:format(...) or format
    if not text:find "at position" and not text:find "at the end" then
        text = ("at position %d: %s"):format(self.start, text)
    end
    ends.fail(code, ("%s: %s"):format(self.word, text), false)
end

local CODES <const> = { syntax = "usage", ["not-found"] = "missing", unmapped = "missing" }

-- The value of an expression that stands at `at` in the line; left out: what stands behind the command's word.
function Call:value(text, at)
    local value, message, code = require "expression".try(text or self.text, world_of(self.dump), (at or self.at) - 1)
    if not value then self:fail(CODES[code], "%s", message) end
    return value
end

-- The expressions and lengths behind the command's word, see expression.list.
function Call:list(text, at)
    local list, message, code = require "expression".list(text or self.text, world_of(self.dump), (at or self.at) - 1)
    if not list then self:fail(CODES[code], "%s", message) end
    return list
end

-- An address, and how many elements of `size` bytes: ADDR, ADDR L20, ADDR LAST. Without one it goes on where the last
-- range of `key` ended.
function Call:range(key, size, default)
    local list = self:list()
    local next_ = self.session.next
    local first, second = list[1], list[2]
    if not first and not next_[key] then self:fail("usage", "an address expected; see .help %s", self.word) end
    if first and first.length then self:fail("usage", "at position %d: an address expected", first.at + self.at - 1) end
    if list[3] then
        self:fail("usage", "at position %d: the end of the command expected", list[3].at + self.at - 1)
    end
    local va = first and first.value or next_[key]
    if self.dump.pointer_size == 4 then va = va & 0xffffffff end
    local count = default
    if second and second.length then
        count = second.length
    elseif second then
        local last = self.dump.pointer_size == 4 and second.value & 0xffffffff or second.value
        if math.ult(last, va) then
            self:fail("usage", "at position %d: the last byte, %x, lies before the first, %x",
                second.at + self.at - 1, last, va)
        end
        count = (last - va) // size + 1
    end
    if va < 0 then self:fail("missing", "the dump holds no memory at %x", va) end
    if count <= 0 or count > (16 << 20) // size then
        self:fail("usage", "a range of 1 byte to 16 MiB expected")
    end
    next_[key] = va + count * size
    return va, count, second ~= nil
end

-- { { address, size, mnemonic, operands[, flow, target, memory, table] } } of code that stands at va, up to `most` of
-- them or the first bad one: engine/host/disassembly.c.
function Call:disassemble(bytes, va, most)
    return core.disassemble(bytes, va, self.dump.pointer_size, most)
end

-- Runs a bundled script with these values of its arguments and options; gives its result if call.json.
function Call:script(name, preset)
    preset.json = self.json
    return self.context.run_inside(self.context, self.dump, name, preset)
end

-- ---- switches: one parser for all commands ----

-- { { text =, at = } }: words at blanks outside quotes and parentheses.
local function words_of(text, at)
    local list, from = {}, 1
    while true do
        local start = text:find("%S", from)
        if not start then return list end
        local depth, quote, stop = 0, false, #text
        for i = start, #text do
            local char = text:sub(i, i)
            if char == '"' then quote = not quote end
            if not quote and char == "(" then depth = depth + 1 end
            if not quote and char == ")" then depth = depth - 1 end
            if not quote and depth <= 0 and char:find "%s" then
                stop = i - 1
                break
            end
        end
        list[#list + 1] = { text = text:sub(start, stop), at = at + start - 1 }
        from = stop + 1
    end
end

local function is_switch(word) return word and word.text:find "^%-%a" ~= nil end

-- Fills call.given (by switch: true, a value, or a list of words) and call.rest (the words that belong to none).
local function parse_switches(call, switches)
    local list = words_of(call.text, call.at)
    call.given, call.rest = {}, {}
    local names = {}
    for name in pairs(switches) do names[#names + 1] = "-" .. name end
    table.sort(names)
    local i = 1
    while list[i] do
        local word = list[i]
        local kind = is_switch(word) and switches[word.text:sub(2):lower()]
        if is_switch(word) and not kind then
            call:fail("usage", "at position %d: '%s' is not known%s; see .help %s", word.at, word.text,
                #names > 0 and " (" .. table.concat(names, " ") .. ")" or "", call.word)
        end
        local name = word.text:sub(2):lower()
        if not kind then
            call.rest[#call.rest + 1] = word
        elseif kind == "flag" then
            call.given[name] = true
        elseif type(kind) == "number" then
            local taken = {}
            while #taken < kind and list[i + 1] and not is_switch(list[i + 1]) do
                i = i + 1
                taken[#taken + 1] = list[i]
            end
            call.given[name] = taken
        else
            local value = not is_switch(list[i + 1]) and list[i + 1]
            if value then
                i = i + 1
                call.given[name] = call:value(value.text, value.at)
            elseif kind == "address" then
                call:fail("usage", "at position %d: an address expected behind %s", word.at + #word.text, word.text)
            else
                call.given[name] = true
            end
        end
        i = i + 1
    end
end

-- ---- finding and running ----

-- Commands by word, and the sorted words: of the plugins that `context` leads to.
function commands.of(context)
    if context.commands then return context.commands end
    local found = { by_word = {}, words = {} }
    for _, plugin in ipairs(context.all_plugins(context).list) do
        for _, word in ipairs(plugin.kind == "command" and plugin.words or {}) do
            if not found.by_word[word] then
                found.by_word[word] = plugin
                found.words[#found.words + 1] = word
            end
        end
    end
    table.sort(found.words)
    context.commands = found
    return found
end

-- What stands in the margin of a text about something that WinDbg does not have, and of all else.
local OWN <const>, SHARED <const> = "+ ", "  "

-- Lines of a usage text, each with its margin, and how many of them are heapsift's own.
local function margined(usage)
    local lines, own = {}, 0
    for text in (usage:gsub("^\n", ""):gsub("%s+$", "") .. "\n"):gmatch "([^\n]*)\n" do
        local is_own = text:sub(1, #OWN) == OWN
        own = own + (is_own and 1 or 0)
        lines[#lines + 1] = (((is_own and "" or SHARED) .. text):gsub("%s+$", ""))
    end
    return lines, own
end

-- The text of .help NAME.
function commands.help(plugin)
    local lines, own = margined(plugin.usage or "No text.")
    table.insert(lines, 1, ("%s: %s\n"):format(table.concat(plugin.words, " "), plugin.summary))
    if own > 0 then lines[#lines + 1] = "\n+ is heapsift's own; the rest is as in WinDbg." end
    return table.concat(lines, "\n") .. "\n"
end

-- The margin of a command in a list: all of it is heapsift's own, or a user's.
local function margin(plugin)
    local lines, own = margined(plugin.usage or "")
    return (own == #lines or not plugin.bundled) and OWN or SHARED
end

Call.margin = margin
Call.help = commands.help

-- What to say of a word that is no command.
local function unknown(word, known)
    local hint = word and absent.hint(word) or ""
    return hint ~= "" and hint or words.hint(word or "", known)
end

-- Runs one command without filters: gives its data if `json`. Raises what ends it.
local function run_one(context, dump, text, at, json)
    local found = commands.of(context)
    local word, size = line.word(text)
    local plugin = word and found.by_word[word]
    if not plugin then
        ends.fail("usage", ("at position %d: '%s' is no command%s; see .help"):format(at,
            word or text:match "^%S+" or text, unknown(word, found.words)), false)
    end
    local rest = text:sub(size + 1)
    local blank = #rest:match "^%s*"
    local call = setmetatable({
        word = word, text = rest:sub(blank + 1), at = at + size + blank, start = at, json = json, dump = dump,
        session = commands.session(dump), context = context, commands = found, shell = context.shell,
    }, Call)
    local ahead = call.text:match "^%-%-json%s+()" or call.text:match "^%-%-json()$"
    local behind = call.text:match "^(.*%S)%s+%-%-json$"
    if ahead then call.text, call.at = call.text:sub(ahead), call.at + ahead - 1 end
    if behind then call.text = behind end
    call.json = call.json or ahead ~= nil or behind ~= nil
    if plugin.switches then parse_switches(call, plugin.switches) end
    local ran, ok, data = pcall(context.protected, plugin, plugin.run, dump, call)
    if not ran then
        if ends.is(ok) then ends.within(ok, ("%s: at position %d"):format(word, at)) end
        error(ok, 0)
    end
    if not ok then ends.fail("failed", ("%s: at position %d: %s"):format(word, at, data), false) end
    return data, call.json, plugin
end

local function print_json(context, dump, plugin, data)
    local json = require "host.json"
    out.write(json.encode(json.object {
        { "schema", ("heapsift.command.%s/1"):format((plugin.name:gsub("^command_", ""))) },
        { "dump", context.dump_object(dump) }, { "result", data == nil and json.null or data },
    }) .. "\n")
end

-- Runs one command with its filters and its file, as text.
local function run_part(context, dump, part, json)
    local text, filters, path = line.pipes(part)
    local function go()
        local data, as_json, plugin = run_one(context, dump, text, part.at, json)
        if as_json then print_json(context, dump, plugin, data) end
    end
    if #filters == 0 and not path then return go() end
    local file
    if path then
        if core.same_file(path, dump.path) then
            ends.fail("usage", ("at position %d: %s cannot be written: it is the dump that is read"):format(part.at,
                path), false)
        end
        local why
        file, why = core.output(path)
        if not file then
            ends.fail("failed", ("at position %d: cannot write %s: %s"):format(part.at, path, why), false)
        end
    end
    local closing <close> = file -- luacheck: ignore 211 (an error on the way leaves no file)
    local push, finish = line.stream(filters, function(bytes)
        if file then file:write(bytes) else out.write(bytes) end
    end)
    local ok, e = out.to(push, go, #filters > 0 and filters[1].name == "more" and not file)
    if not ok and e == ends.enough then ok = true end
    if ok or ends.is(e) and not e.stop then finish() end
    if not ok then error(e, 0) end
    if file then file:close() end
end

-- Runs the commands of a line, one after the other; after one that fails the others are not run.
function commands.run(context, dump, text, json)
    for _, part in ipairs(line.split(text)) do run_part(context, dump, part, json) end
end

local NAMES <const> = { [2] = "syntax", [3] = "input", [5] = "failed", [6] = "not-found" }

-- dump:command: the data of one command; or nil, message, code.
function commands.data(context, dump, text)
    local part = { text = text:match "^%s*(.-)%s*$", at = #text:match "^%s*" + 1 }
    local ok, data
    ok, data = out.to(function() end, function() return (run_one(context, dump, part.text, part.at, true)) end)
    if ok then return data == nil and true or data end
    if ends.is(data) and NAMES[data.code] then return nil, data.text, NAMES[data.code] end
    error(data, 0)
end

return commands
