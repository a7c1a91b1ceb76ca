-- show.lua: types and views as the debugger's `dt` prints them.
--
--     ntdll!_RTL_STACK_TRACE_ENTRY
--        +0x000 HashChain        : 0x00ced18c _RTL_STACK_TRACE_ENTRY
--        +0x004 TraceCount       : 0x442ac

local build = require "types.build"
local view = require "types.view"

local show = {}

local TEXT_MAX <const> = 64     -- characters of a string
local ELEMENTS_MAX <const> = 16 -- of an array, where its elements are shown at all

-- ---- names of types ----

local function record_name(type_)
    return type_.tag or type_.alias or "__unnamed"
end

-- "Ptr32 _HEAP", "[32] Ptr32 Void", "Uint4B": what `dt TYPE` says of a member.
function show.type_name(type_)
    local kind = type_.kind
    if kind == "pointer" then
        local pointer = ("Ptr%d"):format(type_.size * 8)
        if type_.to.kind == "function" then
            return ("%s     %s"):format(pointer, build.describe(type_.to.returns))
        end
        return pointer .. " " .. show.type_name(type_.to)
    elseif kind == "array" then
        return ("[%d] %s"):format(type_.count or 0, show.type_name(type_.of))
    elseif kind == "int" then
        if type_.text == "narrow" then return type_.signed and "Char" or "UChar" end
        if type_.text == "wide" then return "Wchar" end
        return ("%s%dB"):format(type_.signed and "Int" or "Uint", type_.size)
    elseif kind == "float" then
        return type_.size == 4 and "Float" or "Double"
    elseif kind == "void" or kind == "bool" then
        return kind == "void" and "Void" or "Bool"
    end
    return record_name(type_)
end

local function member_type(member)
    if member.width then return ("Pos %d, %d Bit%s"):format(member.bit, member.width, member.width == 1 and "" or
        "s") end
    return show.type_name(member.type)
end

-- ---- values ----

local function hex_pointer(value, size)
    return ("0x%0" .. size * 2 .. "x"):format(value)
end

-- Below ten without 0x; negative ones in decimal, as `dt` says 0n.
local function integer(value, signed)
    if value >= 0 and value < 10 then return ("%d"):format(value) end
    if signed then return ("0n%d"):format(value) end
    return ("0x%x"):format(value)
end

local function character(value)
    local code = value & 0xff
    return code >= 0x20 and code < 0x7f and string.char(code) or ""
end

local function narrow_text(text)
    return (text:gsub("[^\x20-\x7e]", "?"))
end

-- The text of a character array or behind a pointer to characters, in quotes; nil if there is none.
local function quoted(self, type_, va, count)
    if type_.kind ~= "int" or not type_.text or va <= 0 then return nil end
    local most = math.min(count or TEXT_MAX, TEXT_MAX)
    local text
    if type_.text == "narrow" then
        text = self.dump:cstring(va, most)
    else
        text = self.dump:wstring(va, most)
    end
    return text and ('"%s"'):format(type_.text == "narrow" and narrow_text(text) or text)
end

local function pointer_text(self, type_, value, depth)
    if value == 0 then return "(null)" end
    local target, shown = type_.to, hex_pointer(value, type_.size)
    if target.kind == "function" then
        local symbol = value > 0 and self.dump:symbol(value)
        return ("%s %s %s"):format(shown, build.describe(target.returns), symbol or ""):gsub("%s+$", "")
    elseif target.kind == "pointer" and depth < 4 then
        local inner = value > 0 and self.dump:ptr(value)
        return ("%s -> %s"):format(shown, inner and pointer_text(self, target, inner, depth + 1) or "????")
    elseif target.kind == "struct" or target.kind == "union" or target.kind == "enum" then
        return ("%s %s"):format(shown, record_name(target))
    end
    local text = quoted(self, target, value)
    return text and ("%s %s"):format(shown, text) or shown
end

local function enum_text(type_, value)
    for _, constant in ipairs(type_.constants or {}) do
        if constant.value == value then return ("%s ( %s )"):format(integer(value, type_.signed), constant.name) end
    end
    return integer(value, type_.signed)
end

local function bits_text(value, width)
    if type(value) == "boolean" then value = value and 1 or 0 end
    local digits = {}
    for i = width - 1, 0, -1 do digits[#digits + 1] = value >> i & 1 end
    return ("0y%s%s"):format(table.concat(digits), width > 4 and (" (0x%x)"):format(value & (width < 64 and
        (1 << width) - 1 or -1)) or "")
end

local value_text

-- Lists and counted strings are so common that `dt` shows what is in them.
local WELL_KNOWN <const> = {
    _LIST_ENTRY = function(self, type_, va)
        local size = type_.size // 2
        local forward, back = self.dump:ptr(va), self.dump:ptr(va + size)
        if not (forward and back) then return nil end
        return ("[ %s - %s ]"):format(hex_pointer(forward, size), hex_pointer(back, size))
    end,
    _UNICODE_STRING = function(self, type_, va)
        local text = show.counted(self.dump, type_, va, TEXT_MAX)
        return text and ('"%s"'):format(text)
    end,
}
WELL_KNOWN._STRING = WELL_KNOWN._UNICODE_STRING

local function array_text(self, type_, va)
    local of = type_.of
    local head = ("[%d] "):format(type_.count or 0)
    local text = quoted(self, of, va, type_.count)
    if text then return head .. text end
    if type_.count == 0 or not type_.count then return head .. show.type_name(of) end
    return head .. value_text(self, of, va)
end

-- What stands behind the colon. `member` for bit fields.
function value_text(self, type_, va, member)
    local kind = type_.kind
    if kind == "struct" or kind == "union" then
        local known = WELL_KNOWN[type_.tag] and WELL_KNOWN[type_.tag](self, type_, va)
        return record_name(type_) .. (known and " " .. known or "")
    elseif kind == "array" then
        return array_text(self, type_, va)
    end
    local value = view.read_value(self.dump, type_, va, member)
    if value == nil then return "????" end
    if member and member.width then
        return kind == "enum" and enum_text(type_, value) or bits_text(value, member.width)
    elseif kind == "pointer" then
        local followed = view.of(value)
        return (pointer_text(self, type_, followed and followed.value or value, 0))
    elseif kind == "enum" then
        return enum_text(type_, value)
    elseif kind == "bool" then
        return value and "1" or "0"
    elseif kind == "float" then
        return ("%.9g"):format(value)
    elseif type_.text == "narrow" then
        return ("%s '%s'"):format(integer(value, type_.signed), character(value))
    elseif type_.text == "wide" then
        local letter = value >= 0x20 and (value < 0xd800 or value > 0xdfff) and not (value >= 0x7f and value < 0xa0)
        return ("%s '%s'"):format(integer(value), letter and utf8.char(value) or "")
    end
    return integer(value, type_.signed)
end

-- The text of a UNICODE_STRING or STRING at an address: Length bytes behind Buffer, at most `most` characters.
function show.counted(dump, type_, va, most)
    local length = build.member(type_, "Length")
    local buffer = build.member(type_, "Buffer")
    if not (length and buffer and buffer.type.kind == "pointer") then return nil end
    local bytes = view.read_value(dump, length.type, va + length.offset)
    local at = view.read_value(dump, buffer.type, va + buffer.offset)
    at = view.of(at) and view.of(at).value
    if not bytes or not at or at <= 0 then return bytes == 0 and "" or nil end
    local unit = buffer.type.to.size
    local read = unit == 2 and dump.wstring or dump.cstring
    return read(dump, at, math.min(bytes // unit, most))
end

-- ---- lines ----

-- Whether a member's name matches one of the patterns (all, without any).
local function wanted(name, patterns)
    if not patterns or #patterns == 0 then return true end
    for _, pattern in ipairs(patterns) do
        if name:lower():find(pattern) then return true end
    end
    return false
end

local function add_lines(lines, self, record, va, options, indent, base)
    for _, member in ipairs(record.members) do
        local inner = member.type.kind == "struct" or member.type.kind == "union"
        if not member.name and inner then
            add_lines(lines, self, member.type, va and va + member.offset, options, indent, base + member.offset)
        elseif member.name and wanted(member.name, indent == 1 and options.fields) then
            local text = va and value_text(self, member.type, va + member.offset, member) or member_type(member)
            lines[#lines + 1] = ("%s+0x%03x %-16s : %s"):format(("   "):rep(indent), base + member.offset,
                member.name, text)
            if inner and indent <= (options.depth or 0) then
                add_lines(lines, self, member.type, va and va + member.offset, options, indent + 1, 0)
            elseif member.type.kind == "array" and member.type.count and options.depth and options.depth >= indent then
                show.elements(lines, self, member.type, va and va + member.offset, options, indent + 1)
            end
        end
    end
end

-- The first elements of an array that are worth a line of their own each.
function show.elements(lines, self, type_, va, options, indent)
    if not va or type_.of.text then return end
    local record = type_.of.kind == "struct" or type_.of.kind == "union"
    for i = 0, math.min(type_.count, ELEMENTS_MAX) - 1 do
        local at = va + i * type_.of.size
        lines[#lines + 1] = ("%s[%d] : %s"):format(("   "):rep(indent), i, value_text(self, type_.of, at))
        if record and indent <= options.depth then add_lines(lines, self, type_.of, at, options, indent + 1, 0) end
    end
    if type_.count > ELEMENTS_MAX then
        lines[#lines + 1] = ("%s... %d more"):format(("   "):rep(indent), type_.count - ELEMENTS_MAX)
    end
end

-- Lines for a type, with values if `va` is given. options: depth (how far structures inside are shown, default 0),
-- fields (Lua patterns in lower case: which members).
function show.lines(dump, type_, va, options)
    local lines, self = {}, { dump = dump }
    if type_.kind == "struct" or type_.kind == "union" then
        if type_.complete then add_lines(lines, self, type_, va, options or {}, 1, 0) end
    elseif type_.kind == "enum" then
        for _, constant in ipairs(not va and type_.constants or {}) do
            lines[#lines + 1] = ("   %s = %s"):format(constant.name, integer(constant.value, true))
        end
        if va then lines[1] = "   " .. value_text(self, type_, va) end
    elseif type_.kind == "array" and va and type_.count and not type_.of.text then
        show.elements(lines, self, type_, va, { depth = (options or {}).depth or 0 }, 1)
    else
        lines[1] = "   " .. (va and value_text(self, type_, va) or show.type_name(type_))
    end
    return lines
end

show.value_text = function(dump, type_, va, member) return value_text({ dump = dump }, type_, va, member) end
show.member_type = member_type
show.record_name = record_name

return show
