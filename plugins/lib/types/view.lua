-- view.lua: typed views over the memory of a dump. A view knows a type and an address; nothing is read before a field
-- is
-- asked for. It has no names of its own but those of the structure: what is done with a view is done by types.
--
--     row.ulPropTag        an integer, a float, a boolean; nil if it is not in the dump
--     row.Value            a structure, union or array inside: a view again
--     row.lpNext.cValues   a pointer follows by itself; one to void or to a function is an integer
--     row[3]               the fourth of such structures in a row, from 0 as in C; an array's element; what p[3] is

local build = require "types.build"

local view = {}

local KEY <const> = {} -- under it a view holds { dump =, type =, va =, value = of a pointer }
local View <const> = {}

local function outside(text, ...)
    return nil, text:format(...), "outside"
end

-- ---- making ----

local function new(dump, type_, va, value)
    return setmetatable({ [KEY] = { dump = dump, type = type_, va = va, value = value } }, View)
end

view.new = new

-- What is behind a view: { dump, type, va, value }; nil if it is none.
function view.of(object)
    return type(object) == "table" and rawget(object, KEY) or nil
end

-- ---- reading ----

local UNSIGNED <const> = { [1] = "u8", [2] = "u16", [4] = "u32", [8] = "u64" }
local SIGNED <const> = { [1] = "i8", [2] = "i16", [4] = "i32", [8] = "i64" }
local FLOATS <const> = { [4] = "<f", [8] = "<d" }

-- An address that a dump can be asked for: not past the half that processes have.
local function check_va(va, size)
    if va < 0 or va > math.maxinteger - size then
        return outside("%016x is no address of a process", va)
    end
    return va
end

local function bits(dump, member, va)
    local type_ = member.type
    local value, message, code = dump[UNSIGNED[type_.size]](dump, va)
    if not value then return nil, message, code end
    value = value >> member.bit
    if member.width < 64 then value = value & ((1 << member.width) - 1) end
    if type_.kind == "bool" then return value ~= 0 end
    if type_.signed and member.width < 64 and value >> (member.width - 1) ~= 0 then
        value = value - (1 << member.width) end
    return value
end

-- Whether a pointer can be followed.
local function follows(target)
    return target.kind ~= "void" and target.kind ~= "function" and target.complete ~= false
end

-- The value of a type at an address. `member` for bit fields. nil, message, code if it is not in the dump.
local function read(dump, type_, va, member)
    local kind = type_.kind
    local message, code
    va, message, code = check_va(va, type_.size)
    if not va then return nil, message, code end
    if kind == "struct" or kind == "union" or kind == "array" then return new(dump, type_, va) end
    if member and member.width then return bits(dump, member, va) end
    if kind == "int" or kind == "enum" then return dump[(type_.signed and SIGNED or UNSIGNED)[type_.size]](dump, va) end
    if kind == "pointer" then
        local value
        value, message, code = dump[UNSIGNED[type_.size]](dump, va)
        if value and follows(type_.to) then return new(dump, type_, va, value) end
        return value, message, code
    end
    if kind == "bool" then
        local value
        value, message, code = dump:u8(va)
        if value == nil then return nil, message, code end
        return value ~= 0
    end
    if kind == "float" then
        local data
        data, message, code = dump:read(va, type_.size)
        if not data then return nil, message, code end
        return (string.unpack(FLOATS[type_.size], data))
    end
    return outside("nothing can be read as %s", build.describe(type_))
end

view.read_value = read

-- Where elements of a view begin, and their type: of an array, behind a pointer, or of structures in a row.
local function elements(self)
    local type_ = self.type
    if type_.kind == "array" then return self.va, type_.of end
    if type_.kind == "pointer" then
        if self.value == 0 then return outside("a null pointer") end
        return self.value, type_.to
    end
    return self.va, type_
end

-- A flexible array, and one of a single element at the end of so many structures of Windows, has more than its type
-- says.
local function bounded(type_)
    return type_.kind == "array" and type_.count and type_.count > 1
end

function view.element(self, index)
    local base, of, code = elements(self)
    if not base then return nil, of, code end
    if bounded(self.type) and (index < 0 or index >= self.type.count) then
        return outside("element %d of %s", index, build.describe(self.type))
    end
    if of.size == 0 or of.partial and not of.size_known then
        return outside("how large %s is is not known: it has no second one", build.describe(of))
    end
    if math.abs(index) > math.maxinteger // of.size then return outside("element %d", index) end
    local va = base + index * of.size
    if index > 0 and va < base or index < 0 and va > base then return outside("element %d", index) end
    return read(self.dump, of, va)
end

-- The structure that a name is looked for in: the view's own, or what its pointer leads to. Returns record and address.
local function record_of(self)
    local type_, va = self.type, self.va
    if type_.kind == "pointer" then type_, va = type_.to, self.value end
    if type_.kind == "struct" or type_.kind == "union" then return type_, va end
    return nil
end

view.record_of = record_of

function view.member(self, name)
    local record, va = record_of(self)
    local member = record and build.member(record, name)
    if not member then return nil, ("%s has no member '%s'"):format(build.describe(self.type), name), "not-found" end
    if self.type.kind == "pointer" and va == 0 then return outside("a null pointer has no '%s'", name) end
    local start, message, code = check_va(va, member.offset)
    if not start then return nil, message, code end
    return read(self.dump, member.type, start + member.offset, member)
end

-- "Value.l", "lpProps[3].ulPropTag", "next->size": the value there; or nil, message, code.
function view.path(object, path)
    local at, value = 1, object
    while at <= #path do
        local self = view.of(value)
        if not self then
            return nil, ("'%s' leads nowhere: what stands before it is a plain value"):format(path:sub(at)), "not-found"
        end
        local name, after = path:match("^%.?([%a_][%w_]*)()", at)
        if not name then name, after = path:match("^%->([%a_][%w_]*)()", at) end
        local index, behind = path:match("^%[(%d+)%]()", at)
        local message, code
        if name then
            value, message, code = view.member(self, name)
        elseif index and #index < 16 then
            value, message, code = view.element(self, math.tointeger(tonumber(index)))
        else
            return nil, ("'%s' is no member and no element"):format(path:sub(at)), "not-found"
        end
        if value == nil then return nil, message, code end
        at = after or behind
    end
    return value
end

-- ---- as scripts see it ----

local nearest = function() return "" end
-- `hint(word, candidates)`: " (did you mean ...?)" or "".
function view.set_hint(hint) nearest = hint end

function View.__index(object, key)
    local self = rawget(object, KEY)
    if math.type(key) == "integer" then return (view.element(self, key)) end
    local record = record_of(self)
    if type(key) ~= "string" or not record then
        error(("%s has no member '%s'"):format(build.describe(self.type), tostring(key)), 2)
    end
    if not build.member(record, key) then
        error(("%s has no member '%s'%s"):format(build.describe(record), key,
            nearest(key, build.member_names(record))), 2)
    end
    local ok, value = pcall(view.member, self, key)
    if ok then return value end
    error((tostring(value):gsub("^[^\n]*view%.lua:%d+: ", "")), 2) -- the dump is closed: the script's line matters
end

function View.__newindex()
    error("what is in a dump cannot be changed", 2)
end

function View.__len(object)
    local type_ = rawget(object, KEY).type
    if type_.kind ~= "array" then error(("%s has no length"):format(build.describe(type_)), 2) end
    return type_.count or 0
end

-- Members in order, those that are not in the dump left out; of an array its elements from 0.
function View.__pairs(object)
    local self = rawget(object, KEY)
    local record = record_of(self)
    local members, index = {}, 0
    local function add(list)
        for _, member in ipairs(list) do
            if member.name then
                members[#members + 1] = member.name
            elseif not member.width then
                add(member.type.members)
            end
        end
    end
    if record then add(record.members) end
    return function()
        while index < (record and #members or self.type.count or 0) do
            index = index + 1
            local key = record and members[index] or index - 1
            local value
            if record then value = view.member(self, key) else value = view.element(self, key) end
            if value ~= nil then return key, value end
        end
    end
end

function View.__eq(a, b)
    a, b = rawget(a, KEY), rawget(b, KEY)
    if not a or not b or a.dump ~= b.dump or a.type.kind ~= b.type.kind then return false end
    if a.type.kind == "pointer" then return a.value == b.value end
    return a.va == b.va and a.type == b.type
end

function View.__tostring(object)
    local self = rawget(object, KEY)
    return ("%s at %x"):format(build.describe(self.type), self.value or self.va)
end

View.__name, View.__metatable = "heapsift.view", "heapsift.view"

return view
