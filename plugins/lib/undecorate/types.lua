-- types.lua: types and signatures as text. C writes a type around a name, so each is two texts: before and after it.

local codes = require "undecorate.codes"
local Renderer = require "undecorate.renderer"

local spaced <const> = Renderer.spaced

-- " const volatile" of a set of qualifiers.
local function qualified(quals)
    return (quals & codes.CONST ~= 0 and " const" or "") .. (quals & codes.VOLATILE ~= 0 and " volatile" or "") ..
        (quals & codes.RESTRICT ~= 0 and " __restrict" or "")
end

local before_and_after <const> = {}

function before_and_after:primitive(node, quals)
    return self:join(node.text, qualified(quals)), ""
end

function before_and_after:tag(node, quals)
    return self:join(self.short and "" or node.tag, self:type_name(node), qualified(quals)), ""
end

function before_and_after:custom(node, quals)
    return self:join(self:name_part(node.leaf), qualified(quals)), ""
end

function before_and_after:qualified(node, quals)
    return self:declarator(node.type, node.quals | quals)
end

function before_and_after:array(node, quals)
    local before, after = self:declarator(node.element, quals)
    local sizes = {}
    for i, size in ipairs(node.dimensions) do sizes[i] = size == "0" and "" or size end
    return before, self:join("[", table.concat(sizes, "]["), "]", after)
end

-- A function: what stands before the calling convention, the convention, what stands after the name; and the type that
-- it returns, nil for constructors.
function Renderer:signature(node)
    local before, after, result = "", "", nil
    if node.result then
        before, after = self:declarator(node.result, 0)
        result = self:join(before, after)
        before = self:join(before, " ")
    end
    local params = {}
    for i, param in ipairs(node.params) do
        if param.kind == "back" then
            params[i] = self:back(self.types, param.digit)
        else
            params[i] = self:type(param.type)
            if param.to - param.from > 1 then self:remember_type(params[i]) end
        end
    end
    if node.variadic then params[#params + 1] = "..." end
    local quals = (node.quals or 0) | (node.ext or 0)
    return before, node.convention, self:join("(", #params > 0 and self:list(params) or "void", ")", qualified(quals),
        quals & codes.UNALIGNED ~= 0 and " __unaligned" or "", node.noexcept and " noexcept" or "",
        node.reference or "", after), result
end

function before_and_after:signature(node)
    local before, convention, after = self:signature(node)
    return self:join(spaced(before), convention), after
end

local function is_array(node)
    while node.kind == "qualified" do node = node.type end
    return node.kind == "array"
end

function before_and_after:pointer(node, quals, target_quals)
    local sign, own = table.unpack(codes.pointer[node.code])
    local class = node.class and self:join(self:type_name(node.class), "::") or ""
    quals = quals | own | (node.ext or 0)
    local mark = self:join(class, sign, (qualified(quals):gsub("^ ", "")))
    local unaligned = quals & codes.UNALIGNED ~= 0 and "__unaligned " or ""
    if node.target.kind == "signature" then
        local before, convention, after = self:signature(node.target)
        return self:join(spaced(before), unaligned, "(", convention, " ", mark), self:join(")", after)
    end
    local before, after = self:declarator(node.target, (node.quals or 0) | (target_quals or 0))
    if is_array(node.target) then return self:join(spaced(before), unaligned, "(", mark), self:join(")", after) end
    return self:join(spaced(before), unaligned, mark), after
end

-- A type with further qualifiers; `target_quals` are those of what it points to.
function Renderer:declarator(node, quals, target_quals)
    return before_and_after[node.kind](self, node, quals, target_quals)
end

-- A type by itself.
function Renderer:type(node)
    local before, after = self:declarator(node, 0)
    return self:join(before, after)
end

-- The type of a variable. `ext` and `quals` stand behind it in the name and belong to the pointer and its target, or to
-- what is no pointer.
function Renderer:variable_type(node)
    if node.type.kind == "pointer" then return self:declarator(node.type, node.ext, node.quals) end
    return self:declarator(node.type, node.quals)
end
