-- symbols.lua: whole symbols as text, in full or in the short form: the qualified name without arguments.

local codes = require "undecorate.codes"
local literal = require "undecorate.literal"
local Renderer = require "undecorate.renderer"
require "undecorate.types"
require "undecorate.names"

local spaced <const> = Renderer.spaced

local THUNKS <const> = { [1] = "`adjustor{", [2] = "`vtordisp{", [4] = "`vtordispex{" }

-- Offsets of a thunk have 32 bits; some compilers write negative ones without their sign.
local function signed(offsets)
    local list = {}
    for i, offset in ipairs(offsets) do
        local value = math.tointeger(offset)
        list[i] = value and value > 0x7fffffff and value <= 0xffffffff and tostring(value - (1 << 32)) or offset
    end
    return list
end

-- A function: `name(result)` is its name, which takes the place of the result where it contains it.
local function callable(self, node, name)
    if not node.signature then return self:join(self.short and "" or 'extern "C" ', name()) end
    local before, convention, after, result = self:signature(node.signature)
    local own = name(result)
    local thunk = THUNKS[#node.offsets]
    if thunk then own = self:join(own, thunk, self:list(signed(node.offsets)), "}'") end
    if self.short then return self:join(thunk and "[thunk]:" or "", own) end
    return self:join(thunk and "[thunk]: " or "", codes.function_class[node.class],
        node.extern_c and 'extern "C" ' or "", spaced(before), spaced(convention), own, after)
end

local symbols <const> = {}

function symbols:declared(node)
    local name = self:symbol_name(node)
    if node.callable then return callable(self, node.callable, name) end
    local before, after = self:variable_type(node)
    if node.class then self:type_name(node.class) end
    if self.short then return name() end
    return self:join(codes.storage[node.storage], spaced(before), name(), after)
end

function symbols.md5(_, node)
    return node.text
end

function symbols:table(node)
    local name = self:scoped(codes.table[node.code], node)
    local targets = {}
    for i, target in ipairs(node.targets) do targets[i] = self:join("`", self:type_name(target), "'") end
    if self.short then return name end
    local quals = (node.quals & codes.CONST ~= 0 and "const " or "") ..
        (node.quals & codes.VOLATILE ~= 0 and "volatile " or "")
    return self:join(quals, name, #targets > 0 and "{for " .. table.concat(targets, "s ") .. "}" or "")
end

function symbols:vcall(node)
    local name = self:scoped(self:join("`vcall'{", node.offset, self.short and "}'" or ", {flat}}"), node)
    return self.short and name or self:join("[thunk]: ", node.convention, " ", name)
end

function symbols:untyped(node)
    return self:scoped(codes.untyped[node.code], node)
end

function symbols:base_class(node)
    return self:scoped(self:join("`RTTI Base Class Descriptor at (", self:list(node.numbers), ")'"), node)
end

function symbols:descriptor(node)
    return self:join(spaced(self:type(node.type)), "`RTTI Type Descriptor'")
end

-- The name that a type descriptor holds: in short the type itself.
function symbols:typeinfo(node)
    local text = self:type(node.type)
    return self.short and text or self:join(spaced(text), "`RTTI Type Descriptor Name'")
end

function symbols:guard(node)
    local index = node.index and node.index ~= "0" and "{" .. node.index .. "}" or ""
    return self:scoped(codes.guard[node.code] .. index, node)
end

function symbols:dynamic(node)
    local of
    if node.variable then
        local variable = self:symbol(node.variable)
        of = self.short and self:join("'", variable, "''") or self:join("`", variable, "''")
    else
        local name, waits = self:symbol_name(node)
        if waits then self.give_up() end
        of = self:join("'", name(), "''")
    end
    return callable(self, node.callable, function() return self:join(codes.dynamic[node.code], of) end)
end

function symbols:literal(node)
    local text = literal(node) or self.give_up()
    return self.short and "`string'" or text
end

function Renderer:symbol(node)
    return symbols[node.kind](self, node)
end

return Renderer
