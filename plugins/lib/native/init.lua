-- native: functions of shared libraries by their C declarations, laid out for the machine that heapsift runs on.
-- Scripts have it as heapsift.native(path, declarations); the reference is plugins/lib/heapsift.meta.lua.
--
-- The declarations become types by lib/types; what calls, checks and holds memory is C (engine/bind/bind_native*.c),
-- which is given as `core`.

local abi = require "types.abi"
local build = require "types.build"
local types = require "types"

local native = {}

-- Under it a library holds { core, hint, box, scope, name, known = symbols by name, types = types by text }.
local KEY <const> = {}
local Library <const> = {}
native.methods = Library

local Meta <const> = { __name = "heapsift.native", __metatable = "heapsift.native" }

local function own(self)
    local me = type(self) == "table" and rawget(self, KEY)
    if not me then error("a library (of heapsift.native) expected, got " .. type(self), 3) end
    return me
end

-- ---- loading ----

local function declare(me, text, level)
    local names, message = build.declare(me.scope, abi.host, text, "declarations for " .. me.name)
    if not names then error(message, level + 1) end
    me.types = {}
    return names
end

-- services: { core = C functions, hint = function(word, candidates) -> text }. nil, message, code if the library cannot
-- be loaded; raises for declarations that cannot be understood.
function native.open(path, text, services)
    local me = { core = services.core, hint = services.hint, name = path:match "[^/]+$" or path, known = {}, types = {},
                 scope = build.scope(types.header_scope(abi.host)) }
    if text ~= nil then declare(me, text, 3) end
    local message, code
    me.box, message, code = me.core.open(path, me.name, build.describe)
    if not me.box then return nil, message, code end
    return setmetatable({ [KEY] = me }, Meta)
end

-- ---- names ----

local function declared_names(me)
    local names = {}
    for name in pairs(Library) do names[#names + 1] = name end
    for _, space in ipairs { "functions", "variables", "constants" } do
        for name in pairs(me.scope[space]) do names[#names + 1] = name end
    end
    table.sort(names)
    return names
end

-- The function or variable of that name, or the value of a constant; nil and what is wrong.
local function symbol(me, name)
    local known = me.known[name]
    if known then return known end
    local function_type = build.look_up(me.scope, "functions", name)
    local variable_type = not function_type and build.look_up(me.scope, "variables", name)
    if function_type then
        known = me.core.function_of(me.box, name, function_type)
    elseif variable_type then
        known = me.core.variable(me.box, name, variable_type)
    else
        local constant = build.look_up(me.scope, "constants", name)
        if constant then return constant.value end
        return nil, ("'%s' is not declared for %s%s"):format(name, me.name, me.hint(name, declared_names(me)))
    end
    if not known then return nil, ("%s has no symbol '%s', though it is declared"):format(me.name, name) end
    me.known[name] = known
    return known
end

-- Calls C code; an error tells the script's line and not one of ours. `depth`: calls between the script and this one,
-- where a tail call is none.
local function protected(depth, f, ...)
    local results = table.pack(pcall(f, ...))
    if results[1] then return table.unpack(results, 2, results.n) end
    local message = results[2]
    error(type(message) == "string" and message:gsub("^[^\n]*lib/native/init%.lua:%d+: ", "") or message, 2 + depth)
end

function Meta.__index(self, name)
    if Library[name] then return Library[name] end
    if type(name) ~= "string" then error("the name of a function expected, got " .. type(name), 2) end
    local found, message = protected(1, symbol, own(self), name)
    if found == nil then error(message, 2) end
    return found
end

function Meta.__newindex() error("fields of a library cannot be set", 2) end
function Meta.__tostring(self) return "library " .. own(self).name end
function Meta.__close(self) return Library.close(self) end

function Library:symbol(name)
    if type(name) ~= "string" then error("symbol: a name expected, got " .. type(name), 2) end
    local found, message = protected(1, symbol, own(self), name)
    if found == nil then return nil, message, "not-found" end
    return found
end

function Library:declare(text)
    if type(text) ~= "string" then error("declare: a text expected, got " .. type(text), 2) end
    return declare(own(self), text, 2)
end

function Library:close()
    local me = own(self)
    return protected(0, me.core.close, me.box)
end

-- ---- types and memory ----

local function type_of(me, what, text)
    if type(text) ~= "string" then error(("%s: the name of a type expected, got %s"):format(what, type(text)), 3) end
    if me.types[text] then return me.types[text] end
    local found, message = build.type_of(me.scope, abi.host, text)
    if not found then error(("%s: %s"):format(what, message), 3) end
    me.types[text] = found
    return found
end

function Library:new(name, value)
    local me = own(self)
    return protected(0, me.core.new, me.box, type_of(me, "new", name), nil, value)
end

function Library:array(name, count, value)
    local me = own(self)
    if math.type(count) ~= "integer" then error("array: a number of elements expected, got " .. type(count), 2) end
    return protected(0, me.core.new, me.box, type_of(me, "array", name), count, value)
end

function Library:view(what, va, size, name)
    local me = own(self)
    if type(va) == "string" then va, name = nil, va end -- a block and a type
    return protected(0, me.core.view, me.box, type_of(me, "view", name or "uint8_t"), what, va, size)
end

function Library:callback(name, f)
    local me = own(self)
    if type(f) ~= "function" then error("callback: a function expected, got " .. type(f), 2) end
    return protected(0, me.core.callback, me.box, type_of(me, "callback", name), f)
end

function Library:free(what)
    return protected(0, own(self).core.free, what)
end

function Library:sizeof(what)
    local me = own(self)
    local size = type(what) == "userdata" and protected(1, me.core.memory, what)
    if size then return size end
    return type_of(me, "sizeof", what).size
end

function Library:offsetof(name, path)
    local me = own(self)
    if type(path) ~= "string" then error("offsetof: the name of a member expected, got " .. type(path), 2) end
    local offset, member, message = build.offset(type_of(me, "offsetof", name), path)
    if not offset then return nil, message, "not-found" end
    return offset, member.bit, member.width
end

local function check_memory(me, what, memory)
    if type(memory) ~= "userdata" or not protected(2, me.core.memory, memory) then
        error(("%s: memory expected, got %s"):format(what, type(memory)), 3)
    end
end

function Library:bytes(memory, from, count)
    local me = own(self)
    check_memory(me, "bytes", memory)
    return protected(0, me.core.bytes, memory, from or 0, count)
end

function Library:string(memory, max)
    local me = own(self)
    check_memory(me, "string", memory)
    return protected(0, me.core.text, memory, max or 1 << 20)
end

function Library:address(memory)
    local me = own(self)
    check_memory(me, "address", memory)
    local _, address = me.core.memory(memory)
    return address
end

return native
