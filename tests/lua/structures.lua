-- structures: C structures made from a seed, and their layouts spelled as clang spells them, for types_layout_spec and
-- tests/witness/layouts.sh. It knows nothing of alignment: what it writes is any C that compilers accept.

local structures = {}

-- ---- a random C program ----

local Writer <const> = {}
Writer.__index = Writer

-- An own generator: the same numbers on every Lua.
function Writer:random(low, high)
    self.state = (self.state * 6364136223846793005 + 1442695040888963407)
    return low + (self.state >> 33) % (high - low + 1)
end

function Writer:pick(list) return list[self:random(1, #list)] end
function Writer:chance(percent) return self:random(1, 100) <= percent end

local SCALARS <const> = { "char", "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned", "long",
    "unsigned long", "long long", "unsigned long long", "float", "double", "_Bool", "unsigned __int64", "__int16",
    "enum E", "long double", "long double" }
local BIT_TYPES <const> = { "char", "unsigned char", "short", "unsigned short", "int", "unsigned", "long",
    "unsigned long", "long long", "unsigned long long", "_Bool" }
local function bits_of(name, long_bits)
    if name == "_Bool" then return 1 end
    if name:find "char" then return 8 end
    if name:find "short" then return 16 end
    if name:find "long long" then return 64 end
    return name:find "long" and long_bits or 32
end

function Writer:name()
    self.names = self.names + 1
    return "m" .. self.names
end

function Writer:align_text()
    return ("%s(%d)"):format(self.host and "__attribute__((aligned" or "__declspec(align", 1 << self:random(0, 6)) ..
        (self.host and "))" or ")")
end

local function without_int64(name) return (name:gsub("__int64", "long long"):gsub("__int16", "short")) end

-- One member, without indentation.
function Writer:member(depth)
    local kind = self:random(1, 100)
    local asked = self:chance(4) and self:align_text() .. " " or ""
    local scalar = self:pick(SCALARS)
    if self.host then scalar = without_int64(scalar) end
    if kind <= 35 then return ("%s%s %s;"):format(asked, scalar, self:name()) end
    if kind <= 60 and not self.no_bits then
        local type_ = self:pick(BIT_TYPES)
        local width = self:random(1, bits_of(type_, self.long_bits))
        if self:chance(8) then return ("%s : 0;"):format(type_) end
        if self:chance(8) then return ("%s : %d;"):format(type_, width) end
        return ("%s %s : %d;"):format(type_, self:name(), width)
    end
    if kind <= 70 then
        local counts = ("[%d]"):format(self:random(1, 7)):rep(self:random(1, 2))
        return ("%s %s%s;"):format(scalar, self:name(), counts)
    end
    if kind <= 76 then return ("void *%s;"):format(self:name()) end
    if kind <= 80 then return ("int (*%s)(int, char *);"):format(self:name()) end
    if kind <= 88 and #self.made > 0 then
        local earlier = self:pick(self.made)
        return ("%s%s %s%s;"):format(asked, earlier, self:name(), self:chance(30) and "[2]" or "")
    end
    if depth < 3 then
        return self:body(self:chance(50) and "union" or "struct", "", depth + 1) ..
            (self:chance(60) and ";" or " " .. self:name() .. ";")
    end
    return ("%s %s;"):format(scalar, self:name())
end

function Writer:body(what, tag, depth)
    local asked = depth == 0 and self:chance(10) and self:align_text() .. " " or ""
    local parts = { ("%s %s%s {"):format(what, asked, tag) }
    local count = self:random(1, depth == 0 and 9 or 4)
    -- A compiler wants one member that is no bit field without a name.
    parts[#parts + 1] = ("%s %s;"):format(self.host and without_int64(self:pick(SCALARS)) or self:pick(SCALARS),
        self:name())
    for _ = 1, count do parts[#parts + 1] = self:member(depth) end
    parts[#parts + 1] = "}"
    return table.concat(parts, " ")
end

-- `count` structures S1 ... as C. options: host = true for gcc's attributes; no_bits = true without bit fields.
function structures.program(seed, count, options)
    options = options or {}
    local writer = setmetatable({ state = seed * 2654435761 + 12345, names = 0, made = {}, host = options.host,
                                  no_bits = options.no_bits, long_bits = options.host and 64 or 32 }, Writer)
    local lines = { "enum E { E0, E1 = 77 };" }
    for i = 1, count do
        local tag = "S" .. i
        local pack = writer:chance(30) and 1 << writer:random(0, 4)
        if pack then lines[#lines + 1] = ("#pragma pack(push, %d)"):format(pack) end
        local what = writer:chance(15) and "union" or "struct"
        lines[#lines + 1] = writer:body(what, tag, 0) .. ";"
        if pack then lines[#lines + 1] = "#pragma pack(pop)" end
        lines[#lines + 1] = ("int use%d[sizeof(%s %s)];"):format(i, what, tag)
        writer.made[#writer.made + 1] = what .. " " .. tag
    end
    return table.concat(lines, "\n") .. "\n"
end

-- ---- layouts as text ----

-- clang's -fdump-record-layouts: "S1 size align" for each S1, then its members (and theirs, deeper) with their places:
-- "depth offset name" or "depth offset:first-last name".
function structures.clang(text)
    local lines, wanted = {}, false
    for line in text:gmatch "[^\n]+" do
        local place, indent, rest = line:match "^ *(%d+[%d:-]*) |( +)(.*)$"
        local depth = place and #indent // 2
        local size, align = line:match "%[sizeof=(%d+),.-align=(%d+)"
        if place and depth == 0 then
            wanted = rest:match "^%a+ (S%d+)$" or false
            if wanted then lines[#lines + 1] = wanted end
        elseif wanted and place and not place:find ":%-" then
            lines[#lines + 1] = ("%d %s %s"):format(depth, place, rest:match "([%w_]*)$")
        elseif wanted and size then
            lines[#lines + 1] = ("= %s %s"):format(size, align)
        end
    end
    return table.concat(lines, "\n") .. "\n"
end

local function add_members(lines, record, base, depth)
    for _, member in ipairs(record.members) do
        local offset = base + (member.offset or 0)
        if not member.width then
            lines[#lines + 1] = ("%d %d %s"):format(depth, offset, member.name or "")
            if member.type.kind == "struct" or member.type.kind == "union" then
                add_members(lines, member.type, offset, depth + 1)
            end
        elseif member.width > 0 then
            local bit = offset * 8 + member.bit
            lines[#lines + 1] = ("%d %d:%d-%d %s"):format(depth, bit // 8, bit % 8, bit % 8 + member.width - 1,
                member.name or "")
        end
    end
end

-- The same of heapsift's own layouts: `find(tag)` gives the type.
function structures.own(find, count)
    local lines = {}
    for i = 1, count do
        local record = find("S" .. i)
        lines[#lines + 1] = "S" .. i
        add_members(lines, record, 0, 1)
        lines[#lines + 1] = ("= %d %d"):format(record.size, record.align)
    end
    return table.concat(lines, "\n") .. "\n"
end

-- The first line where two texts differ, with the structure it is in; nil if they are the same.
function structures.difference(expected, got)
    local a, b, tag = expected:gmatch "[^\n]+", got:gmatch "[^\n]+", "?"
    while true do
        local x, y = a(), b()
        if x == nil and y == nil then return nil end
        if x and x:find "^S%d+$" then tag = x end
        if x ~= y then return ("%s: expected '%s', got '%s'"):format(tag, x or "the end", y or "the end") end
    end
end

return structures
