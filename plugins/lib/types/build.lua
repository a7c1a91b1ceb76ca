-- build.lua: from trees of the grammar to types with sizes and places, in a scope of names.
--
-- A type: { kind = "void" | "bool" | "int" | "float" | "pointer" | "array" | "struct" | "union" | "enum" | "function",
--     size, align (bytes), depth } and
--     int: signed, text ("narrow" or "wide" for characters);  pointer: to;  array: of, count (nil: flexible)
--     struct, union: tag, alias (the first typedef of one without a tag), members (see types/layout.lua), complete
--     enum: tag, constants = { { name =, value = } }, signed;  function: returns, parameters = { { name =, type = } },
--     varargs
-- A scope: typedefs, tags, constants, functions, variables by name; `parent`: where else to look; `find(name)`: types
-- that come from somewhere else.

local expression = require "types.expression"
local grammar = require "types.grammar"
local layout = require "types.layout"
local source = require "types.source"

local build = {}

local SIZE_MAX <const> = 1 << 40    -- bytes of one type
local DEPTH_MAX <const> = 100       -- types inside types
local MACROS_MAX <const> = 40       -- macros inside macros
local ALIGN_MAX <const> = 8192

local fail = source.fail

local Builder <const> = {}
Builder.__index = Builder

-- ---- scopes ----

local SPACES <const> = { "typedefs", "tags", "constants", "functions", "variables" }

function build.scope(parent, find)
    local scope = { parent = parent, find = find, order = {} }
    for _, space in ipairs(SPACES) do scope[space] = {} end
    return scope
end

local function look_up(scope, space, name)
    while scope do
        local found = scope[space][name]
        if found ~= nil then return found end
        if scope.find and (space == "typedefs" or space == "tags") then
            found = scope.find(name)
            if found then return found end
        end
        scope = scope.parent
    end
end

build.look_up = look_up

-- The type of a plain name: a typedef, else a tag.
function build.named(scope, name)
    return look_up(scope, "typedefs", name) or look_up(scope, "tags", name)
end

local function note_order(scope, name)
    scope.order[#scope.order + 1] = name
end

-- A type in C's spelling: "struct _HEAP_SEGMENT *[64]", "long (*)(void *)".
function build.describe(type_)
    local shape = ""
    while type_.kind == "pointer" or type_.kind == "array" or type_.kind == "function" and shape ~= "" do
        if type_.kind == "pointer" then
            shape = "*" .. shape
        else
            if shape:find "^%*" then shape = "(" .. shape .. ")" end
            shape = shape .. (type_.kind == "array" and ("[%s]"):format(type_.count or "") or "(...)")
        end
        type_ = type_.to or type_.of or type_.returns
    end
    local name = type_.name or type_.alias or type_.kind == "function" and "function" or
        type_.tag and type_.kind .. " " .. type_.tag or type_.kind .. " without a name"
    return name .. (shape ~= "" and " " .. shape or "")
end

-- ---- constants ----

function Builder:evaluate_text(text, at)
    local ok, value, bits, unsigned = pcall(function()
        return expression.value(grammar.expression(text), self.constants)
    end)
    if ok then return value, bits, unsigned end
    if type(value) == "table" and value.at then value = { at = value.shifted and value.at or at,
        message = value.message, shifted = true } end
    error(value, 0)
end

function Builder:constant(name, at)
    local macro = self.source and self.source.macros[name]
    if macro then
        if macro.kind ~= "constant" then
            fail(at, ("macro %s is not understood here: only constants and empty macros are"):format(name))
        end
        if not macro.value then
            if self.macro_depth >= MACROS_MAX then fail(at,
                ("macro %s: macros inside macros, too deep"):format(name)) end
            self.macro_depth = self.macro_depth + 1
            macro.value = table.pack(self:evaluate_text(macro.text, at))
            self.macro_depth = self.macro_depth - 1
        end
        return table.unpack(macro.value, 1, 3)
    end
    local constant = look_up(self.scope, "constants", name)
    if constant then return constant.value, constant.bits, constant.unsigned end
    if self.in_condition then return 0, 32, false end
    fail(at, ("'%s' is no constant that is known"):format(name))
end

local function constants_of(builder)
    local abi = builder.abi
    return {
        long_bits = abi.base.long.size * 8,
        size_bits = abi.pointer_size * 8,
        constant = function(name, at) return builder:constant(name, at) end,
        size_of = function(tree) return builder:complete(builder:type_name(tree), tree.at).size end,
        align_of = function(tree) return builder:complete(builder:type_name(tree), tree.at).align end,
        offset_of = function(tree, path, at)
            local offset, _, message = build.offset(builder:complete(builder:type_name(tree), tree.at), path)
            if not offset then fail(at, message) end
            return offset
        end,
        cast = function(tree)
            local type_ = builder:type_name(tree)
            if type_.kind == "pointer" then return abi.pointer_size * 8, true end
            if type_.kind ~= "int" and type_.kind ~= "enum" and type_.kind ~= "bool" then
                fail(tree.at, ("a constant cannot be cast to %s"):format(build.describe(type_)))
            end
            return type_.size * 8, not type_.signed
        end,
    }
end

function Builder:integer(tree, what, low, high)
    local value = expression.value(tree, self.constants)
    if value < low or value > high then
        fail(tree.at, ("%s: %d to %d was expected, not %d"):format(what, low, high, value))
    end
    return value
end

-- ---- attributes ----

local CHANGES_LAYOUT <const> = { mode = true, vector_size = true, ext_vector_type = true, ms_struct = true,
                                 gcc_struct = true, scalar_storage_order = true, transparent_union = true,
                                 address_space = true, warn_if_not_aligned = true }

-- Adds what attributes say of a layout to `given`: align and packed.
function Builder:attributes(list, given)
    for _, attribute in ipairs(list or {}) do
        for _, one in ipairs(attribute.list or {}) do
            local word = one.word:gsub("^__(.*)__$", "%1")
            if CHANGES_LAYOUT[word] then
                fail(one.at, ("attribute %s changes the layout in a way that is not known here"):format(word))
            elseif word == "packed" then
                given.packed = true
            elseif word == "pure" or word == "const" then
                given.pure = true
            elseif word == "align" or word == "aligned" then
                local align = one.text and one.text ~= "" and self:alignment(one) or 16
                given.align = math.max(given.align or 0, align)
            end
        end
    end
    return given
end

function Builder:alignment(one)
    local ok, type_ = pcall(grammar.type_name, one.text)
    if ok and type_.specifiers[1] and one.word == "align" and type_.specifiers[1].kind == "word" then
        return self:complete(self:type_name(type_), one.at).align
    end
    local align = self:evaluate_text(one.text, one.text_at)
    if align < 1 or align > ALIGN_MAX or align & (align - 1) ~= 0 then
        fail(one.text_at, ("an alignment that is a power of two up to %d was expected, not %d"):format(ALIGN_MAX,
            align))
    end
    return align
end

-- ---- specifiers ----

local ORDER <const> = { "signed", "unsigned", "short", "long", "long long", "char", "int", "float", "double", "void",
    "bool" }
local SAME <const> = { _Bool = "bool", __signed = "signed", __signed__ = "signed" }
local SIZED <const> = { __int8 = "char", __int16 = "short", __int32 = "int", __int64 = "long long" }
local BASE_OF <const> = {}
for _, row in ipairs {
    { "void", "void" }, { "bool", "bool" }, { "char", "char" }, { "signed char", "signed char" },
    { "unsigned char", "unsigned char" }, { "short", "short" }, { "short int", "short" }, { "signed short", "short" },
    { "signed short int", "short" }, { "unsigned short", "unsigned short" }, { "unsigned short int", "unsigned short" },
    { "int", "int" }, { "signed", "int" }, { "signed int", "int" }, { "unsigned", "unsigned int" },
    { "unsigned int", "unsigned int" }, { "long", "long" }, { "long int", "long" }, { "signed long", "long" },
    { "signed long int", "long" }, { "unsigned long", "unsigned long" }, { "unsigned long int", "unsigned long" },
    { "long long", "long long" }, { "long long int", "long long" }, { "signed long long", "long long" },
    { "signed long long int", "long long" }, { "unsigned long long", "unsigned long long" },
    { "unsigned long long int", "unsigned long long" }, { "float", "float" }, { "double", "double" },
    { "long double", "long double" },
} do BASE_OF[row[1]] = row[2] end

local function base_type(self, words)
    local count = {}
    for _, item in ipairs(words) do
        local word = SAME[item.word] or item.word
        word = SIZED[word] or word
        count[word] = (count[word] or 0) + 1
    end
    if count.long and count.long == 2 then count.long, count["long long"] = nil, 1 end
    if count["long long"] and count.int and SIZED[words[#words].word] then count.int = nil end
    local parts = {}
    for _, word in ipairs(ORDER) do
        for _ = 1, count[word] or 0 do parts[#parts + 1] = word end
    end
    local name = BASE_OF[table.concat(parts, " ")]
    if not name then
        local said = {}
        for i, item in ipairs(words) do said[i] = item.word end
        fail(words[1].at, ("'%s' is no type of C"):format(table.concat(said, " ", 1, math.min(#said, 6))))
    end
    return self.abi.base[name]
end

local CONST <const> = { const = true, __const = true }

local function has_const(qualifiers)
    for _, word in ipairs(qualifiers) do
        if CONST[word] then return true end
    end
    return false
end

-- The type that specifiers name, what storage they give, and what else they ask for: align, const, pure.
function Builder:specified(specifiers)
    local words, type_, given, storage, pointer_32 = {}, nil, {}, nil, false
    for _, item in ipairs(specifiers) do
        if item.kind == "word" then
            words[#words + 1] = item
        elseif item.kind == "storage" then
            storage = item.word == "typedef" and "typedef" or storage
        elseif item.kind == "attribute" then
            self:attributes({ item }, given)
        elseif item.kind == "qualifier" and CONST[item.word] then
            given.const = true
        elseif item.kind == "name" then
            type_ = build.named(self.scope, item.name) or self.abi.base[item.name == "wchar_t" and "wchar_t"]
            if not type_ then
                local macro = self.source and self.source.macros[item.name]
                fail(item.at, macro and ("macro %s is not understood here: only constants and empty macros are"):format(
                    item.name) or ("'%s' is no type that is known"):format(item.name))
            end
        elseif item.kind == "record" then
            type_ = self:record(item)
        elseif item.kind == "enum" then
            type_ = self:enum(item)
        end
        if item.word == "__ptr32" then pointer_32 = true end
    end
    if #words > 0 then type_ = base_type(self, words) end
    if pointer_32 and self.abi.pointer_size ~= 4 then fail(specifiers[1].at, "__ptr32 is not supported") end
    return type_, storage, given
end

-- ---- records and enums ----

function Builder:complete(type_, at)
    local element = type_
    while element.kind == "array" do element = element.of end
    if element.complete == false then
        fail(at, ("%s has no definition that is known"):format(build.describe(element)))
    elseif element.kind == "void" or element.kind == "function" then
        fail(at, ("a type with a size was expected, not %s"):format(build.describe(element)))
    end
    return type_
end

-- The record or enum of a tag, made incomplete if it is not known.
function Builder:tagged(tree, kind, defining)
    local found = tree.tag and (defining and self.scope.tags[tree.tag] or
        not defining and look_up(self.scope, "tags", tree.tag))
    if not found and defining and tree.tag then
        -- A forward declaration of an earlier text is completed; anything complete is another type of that name.
        local outer = self.scope.parent.tags[tree.tag]
        found = outer and outer.complete == false and outer or nil
        if outer and not found then
            fail(tree.at, ("%s %s is defined already"):format(outer.kind, tree.tag))
        end
    end
    if found and found.kind ~= kind then
        fail(tree.at, ("%s is a %s"):format(tree.tag, found.kind))
    end
    if found and defining and found.complete ~= false then
        fail(tree.at, ("%s %s is defined already"):format(kind, tree.tag))
    end
    if not found then
        found = { kind = kind, tag = tree.tag, complete = false, size = 0, align = 1, depth = 0 }
        if tree.tag then
            self.scope.tags[tree.tag] = found
            note_order(self.scope, tree.tag)
        end
    elseif defining then
        self.completed[#self.completed + 1] = found
    end
    return found
end

local function check_width(member, at)
    local type_ = member.type
    if type_.kind ~= "int" and type_.kind ~= "enum" and type_.kind ~= "bool" then
        fail(at, ("a bit field has an integer type, not %s"):format(build.describe(type_)))
    end
    local bits = type_.kind == "bool" and 1 or type_.size * 8
    if member.width > bits then fail(at, ("a bit field of %d bits in a type of %d"):format(member.width, bits)) end
    if member.width == 0 and member.name then fail(at, "a bit field of 0 bits has no name") end
end

-- Members that one declaration adds.
function Builder:members_of(tree, members, names)
    if tree.assert then return self:assertion(tree.assert) end
    local base, storage, given = self:specified(tree.specifiers)
    if storage then fail(tree.at, "a member cannot be a typedef") end
    local function add(member, at)
        if member.name then
            if names[member.name] then fail(at, ("there is a member '%s' already"):format(member.name)) end
            names[member.name] = true
        end
        local last = members[#members]
        if last and last.type.kind == "array" and not last.type.count and not self.union_open then
            fail(at, ("nothing can follow '%s', an array without a count"):format(last.name or "?"))
        end
        members[#members + 1] = member
    end
    if #tree.declarators == 0 then
        local is_record = base.kind == "struct" or base.kind == "union"
        if is_record and (not base.tag or self.abi.tagged_anonymous) and base.complete then
            add({ type = base, align = given.align }, tree.at)
        elseif not is_record and base.kind ~= "enum" then
            fail(tree.at, "the name of a member was expected")
        end
        return
    end
    for _, declarator in ipairs(tree.declarators) do
        local type_, name = base, nil
        if declarator.pointers then type_, name = self:declared(base, declarator, given.const) end
        local asked = self:attributes(declarator.attributes, { align = given.align })
        local member = { type = type_, name = name, align = asked.align, packed = asked.packed }
        self:complete(type_, declarator.at)
        if declarator.width then
            member.width = self:integer(declarator.width, "width of a bit field", 0, 64)
            check_width(member, declarator.width.at)
        end
        add(member, declarator.at)
    end
end

function Builder:record(tree)
    local record = self:tagged(tree, tree.what, tree.members ~= nil)
    if not tree.members then return record end
    local given = self:attributes(tree.attributes, {})
    local members, names, outer = {}, {}, self.union_open
    for _, member in ipairs(tree.members) do
        self.union_open = tree.what == "union"
        self:members_of(member, members, names)
    end
    self.union_open = outer
    record.what, record.members, record.packed, record.asked = tree.what, members, given.packed, given.align
    record.pack = self.source and self.source:pack_at(tree.at)
    local depth, bytes = 0, 0
    for _, member in ipairs(members) do
        depth = math.max(depth, member.type.depth or 0)
        bytes = bytes + member.type.size
        if bytes > SIZE_MAX then fail(tree.at, ("a type of more than %d bytes"):format(SIZE_MAX)) end
    end
    record.depth = self:deeper(depth, tree.at)
    layout.record(record, self.abi)
    record.complete = true
    return record
end

function Builder:deeper(depth, at)
    if depth >= DEPTH_MAX then fail(at, ("types inside types, more than %d deep"):format(DEPTH_MAX)) end
    return depth + 1
end

-- The integer type of an enum: int where the ABI says so, else the first that holds all values, as gcc and clang do.
local function enum_type(abi, constants)
    local low, high, wide = 0, 0, false
    for _, constant in ipairs(constants) do
        low = math.min(low, constant.value)
        if constant.value < 0 and constant.unsigned then wide = true else high = math.max(high, constant.value) end
    end
    if abi.enums_are_int then return abi.base.int end
    if low < 0 then
        return low >= -0x80000000 and high <= 0x7fffffff and abi.base.int or abi.base.long
    end
    return not wide and high <= 0xffffffff and abi.base["unsigned int"] or abi.base["unsigned long"]
end

function Builder:enum(tree)
    local enum = self:tagged(tree, "enum", tree.constants ~= nil)
    local underlying = tree.underlying and self:specified(tree.underlying)
    if underlying and underlying.kind ~= "int" then fail(tree.at, "an enum has an integer type") end
    if not tree.constants then
        if enum.complete == false and underlying == nil then enum.size, enum.align = 4, 4 end
        if underlying then enum.size, enum.align, enum.complete = underlying.size, underlying.align, true end
        return enum
    end
    local constants, last = {}, nil
    for i, one in ipairs(tree.constants) do
        local value, bits, unsigned = last and last.value + 1 or 0, last and last.bits or 32, last and last.unsigned
        if one.value then value, bits, unsigned = expression.value(one.value, self.constants) end
        if self.abi.enums_are_int and not underlying then
            value = value & 0xffffffff
            value = value > 0x7fffffff and value - 0x100000000 or value
            bits, unsigned = 32, false
        elseif bits == 32 and (value > 0xffffffff or value < -0x80000000 or not unsigned and value > 0x7fffffff) then
            bits = 64
        end
        if self.scope.constants[one.name] then fail(one.at, ("constant %s is defined already"):format(one.name)) end
        last = { name = one.name, value = value, bits = bits, unsigned = unsigned or false }
        constants[i], self.scope.constants[one.name] = last, last
    end
    local base = underlying or enum_type(self.abi, constants)
    enum.constants, enum.size, enum.align, enum.signed = constants, base.size, base.align, base.signed
    enum.complete, enum.depth = true, 0
    return enum
end

-- ---- declarators ----

-- `const_to`: what it points to is not to be written.
function Builder:pointer_to(type_, at, const_to)
    local size = self.abi.pointer_size
    local depth = (type_.kind == "pointer" or type_.kind == "array" or type_.kind == "function") and type_.depth or 0
    return { kind = "pointer", to = type_, const_to = const_to or nil, size = size, align = size,
             depth = self:deeper(depth, at) }
end

function Builder:array_of(type_, tree)
    self:complete(type_, tree.at)
    if type_.kind == "array" and not type_.count then fail(tree.at, "an array of arrays without a count") end
    local count = tree.count and self:integer(tree.count, "number of elements", 0, SIZE_MAX)
    if count and type_.size > 0 and count > SIZE_MAX // type_.size then
        fail(tree.at, ("a type of more than %d bytes"):format(SIZE_MAX))
    end
    return { kind = "array", of = type_, count = count, size = count and count * type_.size or 0, align = type_.align,
             depth = self:deeper(type_.depth or 0, tree.at) }
end

function Builder:function_of(returns, tree)
    if returns.kind == "array" or returns.kind == "function" then
        fail(tree.at, ("a function cannot give back %s"):format(returns.kind == "array" and "an array" or "a function"))
    end
    local parameters = {}
    for i, parameter in ipairs(tree.parameters) do
        local base, _, given = self:specified(parameter.specifiers)
        local type_, name = self:declared(base, parameter.declarator, given.const)
        if type_.kind == "void" then
            if #tree.parameters > 1 or name then fail(parameter.at, "a parameter cannot be void") end
            break
        end
        if type_.kind == "array" then type_ = self:pointer_to(type_.of, parameter.at, given.const) end
        if type_.kind == "function" then type_ = self:pointer_to(type_, parameter.at) end
        parameters[i] = { name = name, type = type_ }
    end
    return { kind = "function", returns = returns, parameters = parameters, varargs = tree.parameters.varargs,
             no_prototype = #tree.parameters == 0, size = 0, align = 1, depth = self:deeper(returns.depth or 0,
                 tree.at) }
end

-- The type and name that a declarator makes of a base type. `const`: the base is one.
function Builder:declared(base, declarator, const)
    local type_ = base
    while true do
        for _, qualifiers in ipairs(declarator.pointers) do
            type_ = self:pointer_to(type_, declarator.at, const)
            const = has_const(qualifiers)
        end
        for i = #declarator.suffixes, 1, -1 do
            local suffix = declarator.suffixes[i]
            if suffix.kind == "array" then
                if type_.kind == "function" then fail(suffix.at, "an array of functions") end
                type_ = self:array_of(type_, suffix)
            else
                type_ = self:function_of(type_, suffix)
            end
        end
        if not declarator.inner then return type_, declarator.name end
        declarator = declarator.inner
    end
end

function Builder:type_name(tree)
    local base, storage, given = self:specified(tree.specifiers)
    if storage then fail(tree.at, "a type was expected, not a declaration") end
    return (self:declared(base, tree.declarator, given.const))
end

function Builder:assertion(tree)
    if expression.value(tree, self.constants) == 0 then fail(tree.at, "this static assertion does not hold") end
end

-- ---- declarations ----

-- Whether two types are one and the same: a typedef may stand there twice.
local function same(a, b)
    while a ~= b do
        if a.kind ~= b.kind or a.size ~= b.size or a.count ~= b.count or a.signed ~= b.signed then return false end
        if a.kind == "function" then
            if #a.parameters ~= #b.parameters or a.varargs ~= b.varargs then return false end
            for i, parameter in ipairs(a.parameters) do
                if not same(parameter.type, b.parameters[i].type) then return false end
            end
            return same(a.returns, b.returns)
        end
        if a.kind ~= "pointer" and a.kind ~= "array" then return a.tag == b.tag and a.tag ~= nil or a.name == b.name and
            a.name ~= nil end
        a, b = a.to or a.of, b.to or b.of
    end
    return true
end

local function aligned(type_, align)
    if not align or type_.kind == "void" or type_.kind == "function" then return type_ end
    local copy = {}
    for key, value in pairs(type_) do copy[key] = value end
    copy.natural, copy.align, copy.required = type_.natural or type_.align, math.max(type_.align, align), align
    return copy
end

function Builder:declare_one(base, storage, given, declarator)
    local type_, name = self:declared(base, declarator, given.const)
    local asked = self:attributes(declarator.attributes, { align = given.align, pure = given.pure })
    local space = storage == "typedef" and "typedefs" or type_.kind == "function" and "functions" or "variables"
    if space == "typedefs" then
        if (type_.kind == "struct" or type_.kind == "union" or type_.kind == "enum") and not type_.tag then
            type_.alias = type_.alias or name
        end
        type_ = aligned(type_, asked.align)
    end
    if space == "functions" then type_.pure = asked.pure end
    local known = self.scope[space][name] or self.scope.parent[space][name]
    if known and not same(known, type_) then fail(declarator.at, ("'%s' is declared already, as %s"):format(name,
        build.describe(known))) end
    if not known then note_order(self.scope, name) end
    self.scope[space][name] = type_
end

function Builder:declaration(tree)
    if tree.assert then return self:assertion(tree.assert) end
    if not tree.specifiers then return end
    local base, storage, given = self:specified(tree.specifiers)
    for _, declarator in ipairs(tree.declarators) do self:declare_one(base, storage, given, declarator) end
end

-- ---- the doors ----

local function new_builder(scope, abi)
    local builder = setmetatable({ scope = scope, abi = abi, completed = {}, macro_depth = 0 }, Builder)
    builder.constants = constants_of(builder)
    return builder
end

-- "declarations: line 3, column 7, before 'x;': ';' was expected"
local function message_of(e, input, given)
    local line, column, rest = given:place(e.at)
    local shown = rest:match "^[^\n]*":sub(1, 24):gsub("[^\x20-\x7e]", ".")
    return ("%s: line %d, column %d, %s: %s"):format(input, line, column,
        shown:find "%S" and ("before '%s'"):format(shown) or rest:find "%S" and "at the end of the line" or
            "at the end",
        e.message)
end

-- Adds the declarations of a text to a scope, all of them or none. Returns the names that are new, in order; or nil and
-- a message with line, column and what was expected. `input`: what the message calls the text.
function build.declare(scope, abi, text, input)
    local overlay = build.scope(scope)
    local builder = new_builder(overlay, abi)
    local given = source.new(text, abi, function(its_source, condition, at)
        builder.source, builder.in_condition = its_source, true
        local value = builder:evaluate_text(condition, at)
        builder.in_condition = false
        return value
    end)
    builder.source = given
    local ok, e = pcall(function()
        given:prepare()
        local at = 1
        while true do
            local tree, after = grammar.declaration(given.text, at)
            if not tree then break end
            builder:declaration(tree)
            at = after
        end
    end)
    if not ok then
        for _, record in ipairs(builder.completed) do record.complete, record.members = false, nil end
        if type(e) ~= "table" or not e.at then error(e, 0) end
        return nil, message_of(e, input or "declarations", given)
    end
    for _, space in ipairs(SPACES) do
        for name, value in pairs(overlay[space]) do scope[space][name] = value end
    end
    table.move(overlay.order, 1, #overlay.order, #scope.order + 1, scope.order)
    return overlay.order
end

-- The type that a text such as "struct _HEAP *" or "ULONG[4]" names; or nil and a message.
function build.type_of(scope, abi, text)
    local found = build.named(scope, text)
    if found then return found end
    local overlay = build.scope(scope)
    local builder = new_builder(overlay, abi)
    local ok, result = pcall(function() return builder:type_name(grammar.type_name(text)) end)
    if ok then return result end
    if type(result) ~= "table" or not result.at then error(result, 0) end
    return nil, ("type '%s': position %d: %s"):format(text:sub(1, 80):gsub("[^\x20-\x7e]", "."), result.at,
        result.message)
end

-- ---- members by name ----

-- Names to places, those of unnamed members too: made when first asked for.
local function places(record)
    if record.places then return record.places end
    local found = {}
    record.places = found
    for _, member in ipairs(record.members or {}) do
        if member.name then
            found[member.name] = found[member.name] or member
        elseif not member.width then
            for name, inner in pairs(places(member.type)) do
                found[name] = found[name] or { name = name, type = inner.type, offset = member.offset + inner.offset,
                                               bit = inner.bit, width = inner.width, partial = inner.partial }
            end
        end
    end
    return found
end

-- The member of that name, with its offset in the record; nil if there is none.
function build.member(record, name)
    return places(record)[name]
end

-- All names of members, sorted.
function build.member_names(record)
    local names = {}
    for name in pairs(places(record)) do names[#names + 1] = name end
    table.sort(names)
    return names
end

-- "Value.l", "Segments[3]": the offset and the member there; or nil, nil and a message.
function build.offset(type_, path)
    local offset, member, at = 0, { type = type_, offset = 0 }, 1
    while at <= #path do
        local name, after = path:match("^%.?([%a_][%w_]*)()", at)
        local index, behind = path:match("^%[(%d+)%]()", at)
        type_ = member.type
        if name and (type_.kind == "struct" or type_.kind == "union") then
            local found = build.member(type_, name)
            if not found then return nil, nil, ("%s has no member '%s'"):format(build.describe(type_), name) end
            offset, member, at = offset + found.offset, found, after
        elseif index and type_.kind == "array" then
            index = math.tointeger(tonumber(index))
            if not index or index > SIZE_MAX or type_.count and index > type_.count then
                return nil, nil, ("element %s is outside of %s"):format(path:sub(at, behind - 1), build.describe(type_))
            end
            offset, member, at = offset + index * type_.of.size, { type = type_.of, offset = 0 }, behind
        else
            return nil, nil, ("'%s' leads nowhere in %s"):format(path:sub(at), build.describe(type_))
        end
    end
    return offset, member
end

return build
