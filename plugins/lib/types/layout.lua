-- layout.lua: where the members of a structure or union lie, for the rules of one ABI.
--
--     layout.record(record, abi)
-- record: { what = "struct" | "union", members = { { type =, name =, width = bits or nil, align = asked for or nil } },
--           pack = bytes of #pragma pack or nil, packed = true for __attribute__((packed)), asked = alignment asked
--           for or nil }
-- Sets offset (bytes; of a bit field, that of its storage unit) and bit (first bit in that unit) of every member, and
-- size, align, required (the alignment that was asked for, which pack does not lower) of the record.

local layout = {}

local function up(value, align)
    return (value + align - 1) // align * align
end

local function size_of(type_)
    return type_.kind == "array" and not type_.count and 0 or type_.size
end

-- What alignment was asked for by __declspec(align) in a type itself or in what an array is of.
local function required_of(type_)
    while type_.kind == "array" do type_ = type_.of end
    return type_.required or 0
end

-- ---- Microsoft's rules ----

local Microsoft <const> = {}
Microsoft.__index = Microsoft

-- Alignment of a member; what pack leaves of it. Alignment that was asked for counts in full, and for the record too;
-- asked for on a bit field it is lowered like any other.
function Microsoft:alignment(member)
    local natural, required = member.type.align, math.max(required_of(member.type), member.align or 0)
    if member.type.required then natural = member.type.natural end
    if member.width then
        natural = math.max(natural, required)
        required = 0
    else
        self.required = math.max(self.required, required)
    end
    if self.pack then natural = math.min(natural, self.pack) end
    return math.max(natural, required)
end

function Microsoft:plain(member)
    self.unit = nil
    local align, size = self:alignment(member), size_of(member.type)
    self.align = math.max(self.align, align)
    if self.is_union then
        member.offset, self.size = 0, math.max(self.size, size)
    else
        member.offset = up(self.size, align)
        self.size = member.offset + size
    end
end

-- A bit field shares the unit of the one before if their types are of one size and it fits.
function Microsoft:bits(member)
    local size, unit = member.type.size, self.unit
    if unit and not self.is_union and unit.size == size and member.width <= size * 8 - unit.used then
        member.offset, member.bit = unit.offset, unit.used
        unit.used = unit.used + member.width
        return
    end
    local align = self:alignment(member)
    member.bit = 0
    if self.is_union then
        member.offset, self.size = 0, math.max(self.size, size)
        self.unit = { size = size, used = 0, offset = 0 }
        return
    end
    member.offset = up(self.size, align)
    self.size = member.offset + size
    self.align = math.max(self.align, align)
    self.unit = { size = size, used = member.width, offset = member.offset }
end

-- `int : 0` counts only behind a bit field.
function Microsoft:split(member)
    if not self.unit then return end
    self.unit = nil
    local align = self:alignment(member)
    if self.is_union then
        self.size = math.max(self.size, member.type.size)
    else
        self.size = up(self.size, align)
        self.align = math.max(self.align, align)
    end
end

function Microsoft:finish(record, abi)
    local size = up(self.size, self.align)
    local required = math.max(self.required, record.asked or 0)
    local align = self.align
    if required > 0 then
        align = math.max(align, required)
        local rounding = align
        if self.pack then rounding = math.min(rounding, self.pack) end
        size = up(size, math.max(rounding, required))
    end
    if size == 0 then
        size = required >= abi.empty_record_size and align or abi.empty_record_size
    end
    -- A record that asked for an alignment itself keeps all of it, whatever packs what it is a member of.
    if record.asked then required = align end
    record.size, record.align = size, align
    record.required = required > 1 and required or nil
    record.natural = self.align
end

-- ---- System V, as gcc and clang lay out ----

local SystemV <const> = {}
SystemV.__index = SystemV

function SystemV:alignment(member)
    local align = member.packed and 1 or member.type.align
    align = math.max(align, member.align or 0)
    if self.pack then align = math.min(align, self.pack) end
    return align
end

-- Places counted in bits: a plain member starts at the next whole byte that fits its alignment.
function SystemV:plain(member)
    local align, size = self:alignment(member), size_of(member.type)
    self.align = math.max(self.align, align)
    if self.is_union then
        member.offset, self.end_bit = 0, math.max(self.end_bit, size * 8)
    else
        member.offset = up((self.end_bit + 7) // 8, align)
        self.end_bit = (member.offset + size) * 8
    end
end

-- A bit field goes where the last one ended unless it would cross a unit of its type; with pack it may.
function SystemV:bits(member)
    local align, unit = self:alignment(member), member.type.size * 8
    local at = self.is_union and 0 or self.end_bit
    if not self.pack and not member.packed and at % (align * 8) + member.width > unit then at = up(at, align * 8) end
    if member.align then at = up(at, member.align * 8) end
    member.offset = at // unit * member.type.size
    member.bit = at - member.offset * 8
    if member.bit + member.width > unit then -- packed over the end of a unit: counted from its first byte
        member.offset, member.bit = at // 8, at % 8
    end
    self.end_bit = math.max(self.end_bit, at + member.width)
    if member.name then self.align = math.max(self.align, align) end
end

function SystemV:split(member)
    if not self.is_union then self.end_bit = up(self.end_bit, member.type.align * 8) end
end

function SystemV:finish(record, abi)
    local align = math.max(self.align, record.asked or 0)
    record.align = align
    record.size = up((self.end_bit + 7) // 8, align)
    if record.size == 0 then record.size = abi.empty_record_size end
    record.required, record.natural = record.align > self.align and align or nil, self.align
end

-- ---- the door ----

local RULES <const> = { microsoft = Microsoft, system_v = SystemV }

function layout.record(record, abi)
    local pack = record.pack
    if pack and pack > abi.pack_max then pack = nil end
    local work = setmetatable({ is_union = record.what == "union", pack = record.packed and 1 or pack, size = 0,
                                align = 1, required = abi.bit_fields == "microsoft" and abi.pointer_size == 8 and 1 or
                                    0,
                                end_bit = 0 }, RULES[abi.bit_fields])
    for _, member in ipairs(record.members) do
        member.packed = record.packed
        if not member.width then
            work:plain(member)
        elseif member.width == 0 then
            work:split(member)
        else
            work:bits(member)
        end
    end
    work:finish(record, abi)
end

return layout
