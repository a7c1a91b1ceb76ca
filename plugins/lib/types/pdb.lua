-- pdb.lua: types of PDB files (dump:pdb_type) in the shape that types/build.lua gives to declared ones. A structure's
-- members are made when they are first looked at: one name can lead to thousands of types.

local build = require "types.build"

local pdb = {}

local DEPTH_MAX <const> = 40 -- pointers and arrays inside each other, and base classes: a damaged file has circles

local VOID <const> = { kind = "void", name = "void", size = 0, align = 1 }

local Source <const> = {} -- one PDB: { dump =, module =, by_id =, abi = }
Source.__index = Source

-- A size that addresses can be reckoned with, whatever the file says.
local SIZE_MAX <const> = 1 << 40
local function sane(size)
    return size >= 0 and size <= SIZE_MAX and size or 0
end

local function base_type(found)
    local encoding, size = found.encoding, found.size
    if encoding == "float" and (size == 4 or size == 8) then
        return { kind = "float", name = found.name, size = size, align = size }
    elseif encoding == "bool" and size == 1 then
        return { kind = "bool", name = found.name, size = 1, align = 1 }
    elseif encoding ~= "void" and (size == 1 or size == 2 or size == 4 or size == 8) then
        local text = (encoding == "character" or size == 1) and (size == 1 and "narrow" or size == 2 and "wide") or nil
        return { kind = "int", name = found.name, size = size, align = size, text = text,
                 signed = encoding == "signed" or encoding == "character" and size == 1 or nil }
    end
    return VOID
end

local MAKE <const> = {}

function MAKE.base(_, found) return base_type(found) end

function MAKE.pointer(self, found, depth)
    local size = found.size == 8 and 8 or 4
    return { kind = "pointer", to = self:type(found.target, depth + 1), size = size, align = size, depth = 1 }
end

function MAKE.array(self, found, depth)
    local of = self:type(found.target, depth + 1)
    return { kind = "array", of = of, count = found.count > 0 and found.count or nil, size = sane(found.size),
             align = of.align, depth = 1 }
end

MAKE["function"] = function(self, found, depth)
    return { kind = "function", returns = self:type(found.target, depth + 1), parameters = {}, size = 0, align = 1 }
end

function MAKE.enum(self, found, depth)
    local base, constants = self:type(found.target, depth + 1), {}
    for _, member in ipairs(found.members or {}) do
        if member.kind == "enumerator" then
            constants[#constants + 1] = { name = member.name, value = member.value }
        end
    end
    local size = base.kind == "int" and base.size or 4
    return { kind = "enum", tag = found.name, constants = constants, size = size, align = size, signed = base.signed,
             complete = true, source = self.name }
end

local function add_member(self, members, member, depth)
    if member.kind == "vtable" then
        members[#members + 1] = { name = "__VFN_table", offset = 0, type = { kind = "pointer", to = VOID,
            size = self.abi.pointer_size, align = self.abi.pointer_size } }
    elseif member.kind == "base" then
        local base = self:type(member.type, depth + 1)
        if base.kind == "struct" and not base.loading and depth < DEPTH_MAX then
            self:load(base, depth + 1)
            members[#members + 1] = { offset = member.offset, type = base } -- its members are found by their names
        end
    elseif member.kind == "field" then
        local of, width = self:type(member.type, depth + 1), member.bit_width
        if width and of.kind ~= "int" and of.kind ~= "enum" and of.kind ~= "bool" then return end -- a damaged file
        members[#members + 1] = { name = member.name, offset = member.offset, type = of, width = width,
                                  bit = width and member.bit_position }
    end
end

-- Members of a record, once.
function Source:load(record, depth)
    if rawget(record, "members") then return rawget(record, "members") end
    local members = {}
    record.loading = true
    for _, member in ipairs((self.dump:pdb_type(self.module, record.id) or {}).members or {}) do
        add_member(self, members, member, depth)
    end
    record.loading = nil
    record.members = members
    return members
end

local function record(self, found)
    return setmetatable({ kind = found.kind, what = found.kind, tag = found.name, size = sane(found.size), align = 1,
                          depth = 1, id = found.id, complete = not found.is_forward, source = self.name }, {
        __index = function(made, key)
            if key == "members" then return self:load(made, 0) end
        end,
    })
end

MAKE.struct, MAKE.union = record, record

function Source:type(id, depth)
    if self.by_id[id] then return self.by_id[id] end
    if depth > DEPTH_MAX then return VOID end
    local found = self.dump:pdb_type(self.module, id)
    local made = found and MAKE[found.kind] and MAKE[found.kind](self, found, depth) or VOID
    self.by_id[id] = made
    return made
end

function Source:named(name)
    local found = self.dump:pdb_type(self.module, name)
    if not found then return nil end
    return self:type(found.id, 0)
end

-- A scope of the types of all PDBs of a dump: modules in the order of its list.
function pdb.scope(parent, abi, dump)
    local sources
    local function all()
        if not sources then
            sources = {}
            for module in dump:modules() do
                if module.symbols == "pdb" then
                    sources[#sources + 1] = setmetatable({ dump = dump, module = module, by_id = {}, abi = abi,
                                                           name = (module.pdb or module.name) }, Source)
                end
            end
        end
        return sources
    end
    local known = {}
    local scope = build.scope(parent, function(name)
        if known[name] == nil then
            known[name] = false
            for _, source in ipairs(all()) do
                known[name] = known[name] or source:named(name) or false
            end
        end
        return known[name] or nil
    end)
    -- The type of one module's PDB; nil if that module has none.
    scope.of_module = function(module, name)
        for _, source in ipairs(all()) do
            if source.module.name:lower() == module:lower() then return source:named(name) end
        end
    end
    scope.names = function(pattern)
        local names = {}
        for _, source in ipairs(all()) do
            for _, one in ipairs(dump:pdb_types(source.module, pattern)) do names[#names + 1] = one.name end
        end
        return names
    end
    return scope
end

return pdb
