-- names.lua: the parts of a qualified name as text: templates with their arguments, scopes, operators.

local Renderer = require "undecorate.renderer"

-- llvm-undname says "`scalar deleting dtor'", a debugger "`scalar deleting destructor'".
local LONG <const> = { ctor = "constructor", dtor = "destructor" }

-- A name that stands alone, without its scope.
local part <const> = {}

function part:back(node)
    return self:back(self.names, node.digit)
end

function part:simple(node)
    self:remember_name(node.text)
    return node.text
end

function part:anonymous(node)
    self:remember_name(node.text)
    return "`anonymous namespace'"
end

function part:local_scope(node)
    return self:join("`", self:symbol(node.symbol), "'::`", node.number, "'")
end

function part:operator(node)
    if self.short and node.text:find "^`" then return (node.text:gsub("%a+", LONG)) end
    return node.text
end

function part:literal_operator(node)
    return self:join('operator ""', node.text)
end

function part:template(node)
    local text = self:template(node, part)
    self:remember_name(text)
    return text
end

-- Constructors, destructors and conversions are only known once the class or the result is.
function part.structor() Renderer.give_up() end
part.conversion = part.structor

-- ---- templates ----

local argument <const> = {}

function argument:integer(node)
    return node.text
end

function argument:address(node)
    local texts, offsets = {}, node.offsets
    if node.symbol then
        texts[1] = self:symbol(node.symbol)
        if not node.reference and node.symbol.own then self:remember_name(node.symbol.own) end
    end
    if #offsets == 0 then return self:join(node.reference and "" or "&", texts[1] or "") end
    for _, offset in ipairs(offsets) do texts[#texts + 1] = offset end
    return self:join("{", self:list(texts), "}")
end

function argument:member_offset(node)
    return self:join("{", self:list(node.offsets), "}")
end

function argument:type_name(node)
    return self:type_name(node)
end

function argument:deduced(node)
    self:type(node.type)
    return (argument[node.arg.kind] or self.type)(self, node.arg)
end

-- The text of a template with its arguments. They have numbers of their own for what is referred back to. `leaves`
-- renders its name; where that waits for what it is to be called by, a table comes back as `leaf` makes them.
function Renderer:template(node, leaves)
    local names, types = self.names, self.types
    self.names, self.types = {}, {}
    local texts, before, unknown = {}, leaves[node.leaf.kind](self, node.leaf), nil
    if type(before) == "table" then before, unknown = before.text, before.unknown end
    for i, arg in ipairs(node) do texts[i] = (argument[arg.kind] or self.type)(self, arg) end
    self.names, self.types = names, types
    local list = self:list(texts)
    local args = self:join("<", list, self.short and list:find ">$" and " >" or ">")
    if unknown then return { text = before, unknown = unknown, args = args } end
    return self:join(before, args)
end

-- ---- qualified names ----

-- Names of symbols: as parts, but some wait for what they are to be called by, as a table { text, unknown, args }.
local leaf <const> = setmetatable({}, { __index = part })

function leaf.structor(_, node)
    return { text = node.code == "1" and "~" or "", unknown = "class", args = "" }
end

function leaf.conversion()
    return { text = "operator", unknown = "result", args = "" }
end

function leaf:template(node)
    return self:template(node, leaf) -- not remembered, as it is no type
end

function Renderer:name_part(node)
    return part[node.kind](self, node)
end

-- The scopes, outermost last.
local function scopes_of(self, node)
    local texts = {}
    for i, piece in ipairs(node) do texts[i] = self:name_part(piece) end
    return texts
end

-- first::second from { second, first }.
local function qualify(self, own, scopes)
    local parts = {}
    for i = #scopes, 1, -1 do parts[#parts + 1] = scopes[i] end
    parts[#parts + 1] = own
    return self:join(table.concat(parts, "::"))
end

-- The name of a type.
function Renderer:type_name(node)
    local own = self:name_part(node.leaf)
    return qualify(self, own, scopes_of(self, node))
end

-- A name that is none of the source: `own` in the node's scope.
function Renderer:scoped(own, node)
    return qualify(self, own, scopes_of(self, node))
end

-- The name of a symbol, as a function that is given the text of its result, and whether that is part of the name. What
-- the symbol is called without its scope is kept as node.own.
function Renderer:symbol_name(node)
    local own = leaf[node.leaf.kind](self, node.leaf)
    local scopes = scopes_of(self, node)
    if type(own) ~= "table" then
        node.own = own
        return function() return qualify(self, own, scopes) end
    end
    node.own = own.text
    if own.unknown == "class" then
        local class = scopes[1] or self.give_up()
        node.own = self:join(own.text, class, own.args)
        return function() return qualify(self, node.own, scopes) end
    end
    return function(result)
        return qualify(self, self:join(own.text, own.args, " ", result or self.give_up()), scopes)
    end, true
end
