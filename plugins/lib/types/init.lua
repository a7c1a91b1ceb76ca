-- types: C types for a dump: declared ones, those of windows.h, those of heapsift's own structures, and typed views.
-- Scripts have it as heapsift.types(dump); the reference is plugins/lib/heapsift.meta.lua.
--
-- Names are looked for in this order: what the script declared, PDB files, heapsift's own rows, windows.h's names.

local abi = require "types.abi"
local build = require "types.build"
local headers = require "types.headers"
local pdb = require "types.pdb"
local ready = require "types.ready"
local show = require "types.show"
local view = require "types.view"

local types = {}

local Types <const> = {}
local Meta <const> = { __name = "heapsift.types", __metatable = "heapsift.types" }
types.methods = Types

local KEY <const> = {}

local function own(self) return rawget(self, KEY) end

-- ---- making ----

-- The names of the headers of an ABI; made once a process.
local header_scopes <const> = {}

function types.header_scope(target)
    local scope = header_scopes[target]
    if not scope then
        scope = build.scope()
        assert(build.declare(scope, target, headers[target.headers], "the headers"))
        header_scopes[target] = scope
    end
    return scope
end

-- services: { rows = function(dump) -> rows of its layout, print = function(text), hint = function(word, candidates) ->
-- text }
function types.of(dump, services)
    local target = abi[dump.arch]
    if not target then
        error(("types: a dump of %s: layouts are known for x86 and x64"):format(dump.arch), 3)
    end
    view.set_hint(services.hint)
    local base = ready.scope(types.header_scope(target), target, services.rows(dump), dump.windows)
    local symbols = pdb.scope(base, target, dump)
    local scope = build.scope(symbols)
    return setmetatable({ [KEY] = { dump = dump, abi = target, scope = scope,
        symbols = symbols, services = services } },
        Meta)
end

-- ---- finding types ----

-- All names of a scope and its parents, each once.
local function all_names(scope)
    local names, seen = {}, {}
    while scope do
        for _, name in ipairs(scope.order) do
            if not seen[name] and (scope.typedefs[name] or scope.tags[name] or scope.find) then
                seen[name] = true
                names[#names + 1] = name
            end
        end
        scope = scope.parent
    end
    table.sort(names)
    return names
end

-- The type of a name as it is written, else without regard to case; or nil, message, "not-found".
local function resolve(self, text)
    if type(text) ~= "string" then error("the name of a type expected, got " .. type(text), 3) end
    local me = own(self)
    local module, name = text:match "^([%w_]+)!(.*)$"
    name = name or text
    local of_module = module and me.symbols.of_module(module, name)
    if of_module then return of_module end
    local found, message = build.type_of(me.scope, me.abi, name)
    if found then return found end
    for _, known in ipairs(all_names(me.scope)) do
        if known:lower() == name:lower() then return build.named(me.scope, known) end
    end
    local in_pdb = not name:find "[*?]" and me.symbols.names(name)[1]
    if in_pdb then return build.named(me.scope, in_pdb) end
    if name:find "^[%a_][%w_]*$" then
        message = ("no type is called '%s'%s"):format(name, me.services.hint(name, all_names(me.scope)))
    end
    return nil, message, "not-found"
end

-- A type and, of a view, the address.
local function given(self, what)
    local seen = view.of(what)
    if seen then return seen.type, seen.va, seen end
    local found, message, code = resolve(self, what)
    return found, nil, message, code
end

-- Where a layout comes from. `name`: how it was asked for, if it was by name.
local function source_of(self, found, asked)
    local me, header = own(self), types.header_scope(own(self).abi)
    if asked and not (me.scope.typedefs[asked] or me.scope.tags[asked]) and header.typedefs[asked] then
        return "windows.h"
    end
    local element = found
    while element.kind == "pointer" or element.kind == "array" do element = element.to or element.of end
    if element.source then return element.source end
    local name = element.tag or element.alias
    if name and build.named(me.scope, name) and (me.scope.typedefs[name] or me.scope.tags[name]) then
        return "declared" end
    if name then
        return (header.typedefs[name] or header.tags[name]) and "windows.h" or "declared"
    end
    return element.name and "C" or "declared"
end

-- ---- methods ----

function Types:declare(text, name)
    if type(text) ~= "string" then error("declare: a text expected, got " .. type(text), 2) end
    local me = own(self)
    local names, message = build.declare(me.scope, me.abi, text, name)
    if not names then error(message, 2) end
    return names
end

function Types:at(name, va)
    if math.type(va) ~= "integer" then error("at: an address (an integer) expected, got " .. type(va), 2) end
    if va < 0 then error("at: address out of range: negative", 2) end
    local me = own(self)
    local found, message, code = resolve(self, name)
    if not found then return nil, message, code end
    if found.complete == false then
        return nil, ("%s has no definition that is known"):format(build.describe(found)), "not-found"
    end
    return view.read_value(me.dump, found, va)
end

function Types:sizeof(what)
    local found, _, message, code = given(self, what)
    if not found then return nil, message, code end
    local element = found.kind == "array" and found.of or found
    if element.complete == false or element.partial and not element.size_known then
        return nil, ("how large %s is is not known"):format(build.describe(found)), "not-found"
    end
    return found.size
end

function Types:offsetof(what, path)
    if type(path) ~= "string" then error("offsetof: the name of a member expected, got " .. type(path), 2) end
    local found, _, message, code = given(self, what)
    if not found then return nil, message, code end
    local offset, member, why = build.offset(found, path)
    if not offset then return nil, why, "not-found" end
    return offset, member.bit, member.width
end

function Types:source(what)
    local found, _, message, code = given(self, what)
    if not found then return nil, message, code end
    return source_of(self, found, what), found.partial or false
end

-- A wildcard as a Lua pattern, without regard to case.
local function pattern_of(wildcard)
    return "^" .. wildcard:lower():gsub("[^%w_*?]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

types.pattern_of = pattern_of

function Types:names(wildcard)
    local pattern, found = pattern_of(wildcard or "*"), {}
    for _, name in ipairs(all_names(own(self).scope)) do
        if name:lower():find(pattern) then found[#found + 1] = name end
    end
    local seen = {}
    for _, name in ipairs(found) do seen[name] = true end
    for _, name in ipairs(own(self).symbols.names(wildcard or "*")) do
        if not seen[name] then
            seen[name] = true
            found[#found + 1] = name
        end
    end
    table.sort(found)
    return found
end

local function seen_view(method, what)
    local seen = view.of(what)
    if not seen then error(("%s: a view expected, got %s"):format(method, type(what)), 3) end
    return seen
end

function Types:read(what, path)
    seen_view("read", what)
    if type(path) ~= "string" then error("read: a path expected, such as 'Value.l', got " .. type(path), 2) end
    return view.path(what, path)
end

function Types:address(what)
    if math.type(what) == "integer" then return what end
    local seen = seen_view("address", what)
    return seen.value or seen.va
end

function Types:string(what, max)
    local seen = seen_view("string", what)
    if max ~= nil and (math.type(max) ~= "integer" or max < 0) then error("string: max: an integer from 0 expected",
        2) end
    local type_, va = seen.type, seen.va
    if (type_.kind == "struct" or type_.kind == "union") and build.member(type_, "Length") then
        local text, cut = show.counted(seen.dump, type_, va, max or 0x8000)
        if text then return text, cut or false end
        return nil, "the text is not in the dump", "unmapped"
    end
    local of, count = type_.of, type_.count
    if type_.kind == "pointer" then of, va, count = type_.to, seen.value, nil end
    if not (of and of.text) then error(("string: %s holds no characters"):format(build.describe(type_)), 2) end
    if va <= 0 then return nil, "a null pointer", "unmapped" end
    if count then max = math.min(max or count, count) end
    if of.text == "narrow" then return seen.dump:cstring(va, max) end
    return seen.dump:wstring(va, max)
end

-- One line for each member, with its value where `va` is given: plain tables.
local function fields_of(self, record, va, base, list)
    local dump = own(self).dump
    for _, member in ipairs(record.members or {}) do
        if member.name then
            local here = va and va + member.offset
            list[#list + 1] = {
                name = member.name, offset = base + member.offset, bit = member.bit, width = member.width,
                size = not member.width and member.type.size or nil, type = show.type_name(member.type),
                shown = here and show.value_text(dump, member.type, here, member) or nil,
            }
        elseif not member.width then
            fields_of(self, member.type, va and va + member.offset, base + member.offset, list)
        end
    end
    return list
end

function Types:describe(what)
    local found, va, message, code = given(self, what)
    if not found then return nil, message, code end
    local source, partial = source_of(self, found, what), found.partial or false
    return {
        name = show.type_name(found), kind = found.kind, size = self:sizeof(what), align = found.align, source = source,
        partial = partial, address = va, fields = fields_of(self, found, va, 0, {}), constants = found.constants and
            table.move(found.constants, 1, #found.constants, 1, {}) or nil,
        shown = va and not found.members and show.value_text(own(self).dump, found, va) or nil,
    }
end

-- Which options of dump and text are known, checked.
local function show_options(options)
    local checked = {}
    for key, value in pairs(options or {}) do
        if key == "depth" then
            if math.type(value) ~= "integer" or value < 0 then error("depth: an integer from 0 expected", 3) end
            checked.depth = value
        elseif key == "fields" then
            checked.fields = {}
            for i, one in ipairs(type(value) == "table" and value or { value }) do
                checked.fields[i] = pattern_of(tostring(one))
            end
        else
            error(("unknown option '%s' (depth, fields)"):format(tostring(key)), 3)
        end
    end
    return checked
end

function Types:text(what, options)
    local found, va, message, code = given(self, what)
    if not found then return nil, message, code end
    local checked = show_options(options)
    if found.kind == "pointer" and view.of(what) then
        if not view.of(what).value or view.of(what).value <= 0 then return nil, "a null pointer", "unmapped" end
        found, va = found.to, view.of(what).value
    end
    local lines = show.lines(own(self).dump, found, va, checked)
    table.insert(lines, 1, show.type_name(found) .. (va and (" at %x"):format(va) or ""))
    if found.partial then
        lines[#lines + 1] = ("   (only the members that heapsift itself reads; %s)"):format(source_of(self, found))
    end
    return table.concat(lines, "\n")
end

function Types:dump(what, options)
    local text, message, code = self:text(what, options)
    if not text then return nil, message, code end
    own(self).services.print(text)
    return true
end

function Meta.__index(self, key)
    local method = Types[key]
    if method then return method end
    local names = {}
    for name in pairs(Types) do names[#names + 1] = name end
    table.sort(names)
    error(("types has no method '%s'%s"):format(tostring(key), own(self).services.hint(tostring(key), names)), 2)
end

function Meta.__newindex() error("fields of types cannot be set", 2) end

function Meta.__tostring(self)
    local me = own(self)
    return ("types for %s, %d names"):format(me.abi.name, #all_names(me.scope))
end

return types
