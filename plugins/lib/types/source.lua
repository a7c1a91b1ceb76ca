-- source.lua: the text of declarations before the grammar sees it: line continuations joined, comments blanked, the
-- directives obeyed. What is left has the same positions, so that errors point into the text as it was written.
--
--     local source = source.new(text, abi, evaluate)
--     source:prepare()
--     source.text                 what the grammar parses
--     source.macros["MAX_PATH"]   { text =, at = }: a constant, evaluated where it is used
--     source:pack_at(position)    #pragma pack in force there: bytes, or nil for the default
--     source:place(position)      line and column in the text as given

local lpeg = require "lpeg"
local P <const>, R <const>, S <const> = lpeg.P, lpeg.R, lpeg.S

local source = {}

local Source <const> = {}
Source.__index = Source

local TEXT_MAX <const> = 1 << 20
local NESTING_MAX <const> = 48 -- of brackets and of #if: the grammar recurses

function source.fail(at, message)
    error({ at = at, message = message }, 0)
end

-- ---- same length, no comments ----

local function blank(text)
    return (text:gsub("[^\n]", " "))
end

-- "\" at the end of a line goes, and with it the end of line. Returns the joined text and where pieces were taken out:
-- { { position after which, how many bytes so far } ... }.
local function join_lines(text)
    local cuts, parts, from, taken, length = {}, {}, 1, 0, 0
    for first, last in text:gmatch "()\\[ \t]*\r?\n()" do
        parts[#parts + 1] = text:sub(from, first - 1)
        length, taken = length + first - from, taken + last - first
        cuts[#cuts + 1] = { length, taken }
        from = last
    end
    parts[#parts + 1] = text:sub(from)
    return table.concat(parts), cuts
end

local quoted <const> = P '"' * (P "\\" * P(1) + (P(1) - S '"\n')) ^ 0 * P '"' +
    P "'" * (P "\\" * P(1) + (P(1) - S "'\n")) ^ 0 * P "'"
local open_comment <const> = lpeg.Cmt(lpeg.Cp() * P "/*", function(_, _, at)
    source.fail(at, "this comment has no end: '*/' was expected")
end)
local comment <const> = (P "//" * (P(1) - "\n") ^ 0 + P "/*" * (P(1) - "*/") ^ 0 * "*/") / blank + open_comment
local without_comments <const> = lpeg.Cs((quoted + comment + P(1)) ^ 0)

-- ---- words that mean nothing to a layout ----

-- Empty macros of windows.h and friends, and source annotations with what they have in parentheses.
local NOISE <const> = {}
for word in ([[IN OUT OPTIONAL FAR NEAR UNALIGNED WINAPI CALLBACK NTAPI APIENTRY PASCAL WINBASEAPI NTSYSAPI
    STDAPICALLTYPE
    STDMETHODCALLTYPE DECLSPEC_IMPORT EXTERN_C RESTRICTED_POINTER MIDL_PASS]]):gmatch "%S+" do
    NOISE[word] = true
end
local word_char <const> = R("az", "AZ", "09") + "_"
local word <const> = (R("az", "AZ") + "_") * word_char ^ 0

-- _In_, _Out_writes_bytes_(size): with what stands in the parentheses, as far as that is of a sane length.
local kinds = P(false)
for kind in ([[Inout In Outptr Out Field Struct Ret Check Success When Post Pre Reserved Null At Must Use Printf
    Interlocked]]):gmatch "%S+" do
    kinds = kinds + P(kind)
end
local plain <const> = P(1) - S "()"
local arguments <const> = S " \t\r\n" ^ 0 * P "(" * (plain + P "(" * plain ^ -200 * ")") ^ -300 * ")"
local annotation <const> = P "_" * kinds * (R("az", "09") + "_") ^ 0 * lpeg.B(P "_") * -word_char *
    arguments ^ -1 / blank

-- Blanks annotations, noise and the words of `empty` (empty macros).
local no_words <const> = {}
local noise_words = no_words
local noise <const> = word / function(name)
    if NOISE[name] or noise_words[name] then return blank(name) end
end
local number <const> = R "09" * word_char ^ 0 -- not a word: its suffix is none either
local no_noise <const> = lpeg.Cs((quoted + annotation + noise + number + P(1)) ^ 0)

local function without_noise(text, empty)
    noise_words = empty
    return no_noise:match(text)
end

local function trim(text)
    return text:match "^%s*(.*%S)" or ""
end

-- ---- directives ----

-- #pragma pack(...): what stands in the parentheses, in words.
local function pragma_pack(self, inside, at)
    local stack, current = self.pack_stack, self.pack
    local words, operation, label = {}, nil, nil
    for part in (inside .. ","):gmatch "([^,]*)," do words[#words + 1] = trim(part) end
    for i, part in ipairs(words) do
        local bytes = math.tointeger(tonumber(part))
        if i == 1 and (part == "push" or part == "pop") then
            operation = part
        elseif i == 1 and part == "show" then
            return
        elseif bytes then
            if bytes < 1 or bytes > 16 or bytes & (bytes - 1) ~= 0 then
                source.fail(at, "#pragma pack: 1, 2, 4, 8 or 16 was expected, not " .. part)
            end
            current = bytes
        elseif part:find "^[%a_][%w_]*$" and operation then
            label = part
        elseif part == "" and #words == 1 then
            current = nil
        else
            source.fail(at, ("#pragma pack: 'push', 'pop' or a number was expected, not '%s'"):format(part))
        end
    end
    if operation == "push" then
        if #stack >= NESTING_MAX then source.fail(at, "#pragma pack(push): nested too deep") end
        stack[#stack + 1] = { pack = self.pack or false, label = label }
    elseif operation == "pop" then
        local level = #stack
        while label and level > 0 and stack[level].label ~= label do level = level - 1 end
        if level == 0 then source.fail(at, "#pragma pack(pop) without a push before it") end
        if not math.tointeger(tonumber(words[#words])) then current = stack[level].pack or nil end
        for i = #stack, level, -1 do stack[i] = nil end
    end
    self.pack = current
    self.packs[#self.packs + 1] = { at = at, pack = current or false }
end

-- A condition of #if: `defined` is answered here, words that are no macros are 0; the rest is a constant expression.
local function condition(self, text, at)
    text = text:gsub("defined%s*%(?%s*([%a_][%w_]*)%s*%)?", function(name)
        return self.macros[name] and "1" or "0"
    end)
    return self.evaluate(self, text, at)
end

local DIRECTIVES <const> = {}

function DIRECTIVES.define(self, rest, at)
    local name, parenthesis, body = rest:match "^([%a_][%w_]*)(%(?)(.*)$"
    if not name then source.fail(at, "#define: a name was expected") end
    if parenthesis ~= "" then
        self.macros[name] = { text = "", at = at, kind = "function" }
        return
    end
    body = trim(body)
    self.macros[name] = { text = body, at = at, kind = body == "" and "empty" or "constant" }
    self.empty[name] = body == "" or nil
end

function DIRECTIVES.undef(self, rest)
    local name = rest:match "^([%a_][%w_]*)"
    if name then self.macros[name], self.empty[name] = nil, nil end
end

function DIRECTIVES.pragma(self, rest, at)
    local inside = rest:match "^pack%s*%((.*)%)"
    if inside then return pragma_pack(self, inside, at) end
    if rest:find "^pack" then source.fail(at, "#pragma pack: '(' and ')' were expected") end
end

function DIRECTIVES.error(_, rest, at)
    source.fail(at, "#error " .. rest)
end

-- The types that headers define are known or missed where they are used; the rest does not touch layouts.
DIRECTIVES.include, DIRECTIVES.line, DIRECTIVES.warning = function() end, function() end, function() end
DIRECTIVES.import = DIRECTIVES.include

local CONDITIONS <const> = {}

local function open_branch(self, at, yes)
    if #self.branches >= NESTING_MAX then source.fail(at, "#if: nested too deep") end
    self.branches[#self.branches + 1] = { at = at, live = self.live, taken = yes }
    self.live = self.live and yes
end

CONDITIONS["if"] = function(self, rest, at) open_branch(self, at, self.live and condition(self, rest, at) ~= 0) end
function CONDITIONS.ifdef(self, rest, at) open_branch(self, at, self.macros[rest:match "^[%w_]*"] ~= nil) end
function CONDITIONS.ifndef(self, rest, at) open_branch(self, at, self.macros[rest:match "^[%w_]*"] == nil) end
CONDITIONS["elif"] = function(self, rest, at)
    local branch = self.branches[#self.branches]
    if not branch then source.fail(at, "#elif without #if") end
    self.live = branch.live and not branch.taken and condition(self, rest, at) ~= 0
    branch.taken = branch.taken or self.live
end
CONDITIONS["else"] = function(self, _, at)
    local branch = self.branches[#self.branches]
    if not branch then source.fail(at, "#else without #if") end
    self.live, branch.taken = branch.live and not branch.taken, true
end
function CONDITIONS.endif(self, _, at)
    local branch = table.remove(self.branches)
    if not branch then source.fail(at, "#endif without #if") end
    self.live = branch.live
end

-- Obeys one line that starts with #.
local function directive(self, line, at)
    local name, rest = trim(line):match "^#%s*(%a*)%s*(.*)$"
    if CONDITIONS[name] then return CONDITIONS[name](self, rest, at) end
    if not self.live or name == "" then return end
    if not DIRECTIVES[name] then source.fail(at, ("#%s is no directive that is known here"):format(name)) end
    DIRECTIVES[name](self, rest, at)
end

-- Blanks directives and what conditions leave out.
local function obey(self, text)
    local parts = {}
    for at, line, newline in text:gmatch "()([^\n]*)(\n?)" do
        local hash = line:match "^%s*()#"
        if hash then
            directive(self, line, at + hash - 1)
            line = blank(line)
        elseif not self.live then
            line = blank(line)
        elseif next(self.empty) then
            line = without_noise(line, self.empty)
        end
        parts[#parts + 1] = line
        parts[#parts + 1] = newline
    end
    if #self.branches > 0 then source.fail(self.branches[#self.branches].at, "#if without #endif") end
    return table.concat(parts)
end

-- Brackets are balanced by the grammar; how deep they may go is decided before.
local function check_nesting(text)
    local depth = 0
    for at, sign in text:gmatch "()([%(%)%[%]{}])" do
        depth = depth + ((sign == "(" or sign == "[" or sign == "{") and 1 or -1)
        if depth > NESTING_MAX then source.fail(at, ("nested more than %d deep"):format(NESTING_MAX)) end
        depth = depth < 0 and 0 or depth
    end
end

-- ---- the door ----

function Source:pack_at(at)
    local packs, low, high = self.packs, 0, #self.packs
    while low < high do
        local middle = (low + high + 1) // 2
        if packs[middle].at <= at then low = middle else high = middle - 1 end
    end
    return low > 0 and packs[low].pack or nil
end

function Source:place(at)
    local shift = 0
    for _, cut in ipairs(self.cuts) do
        if cut[1] >= at then break end
        shift = cut[2]
    end
    at = math.min(at + shift, #self.given + 1)
    local before = self.given:sub(1, at - 1)
    local _, newlines = before:gsub("\n", "")
    return newlines + 1, at - (before:match "^.*\n()" or 1) + 1, self.given:sub(at)
end

-- `evaluate(source, text, at)`: the value of a constant expression in a condition.
function source.new(text, abi, evaluate)
    local self = setmetatable({ given = text, cuts = {}, packs = {}, pack_stack = {}, branches = {}, live = true,
                                macros = {}, empty = {}, evaluate = evaluate }, Source)
    for name, value in pairs(abi.macros) do self.macros[name] = { text = value, at = 1, kind = "constant" } end
    return self
end

-- Makes self.text. Raises { at =, message = }.
function Source:prepare()
    if #self.given > TEXT_MAX then
        source.fail(1, ("the text has %d bytes, at most %d are read"):format(#self.given, TEXT_MAX))
    end
    local joined
    joined, self.cuts = join_lines(self.given)
    local text = obey(self, without_comments:match(joined))
    self.text = without_noise(text, no_words)
    check_nesting(self.text)
end

return source
