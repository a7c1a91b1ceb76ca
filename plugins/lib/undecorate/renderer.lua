-- renderer.lua: what rendering a tree of grammar.lua needs everywhere: the names and types that digits refer back to,
-- and a bound on the work.
--
-- A tree is walked in the order of its text, since that is what gives names and types their numbers.

local Renderer = {}
Renderer.__index = Renderer

-- Names and types that can be referred to, each.
local REMEMBERED <const> = 10
-- Bytes that one name may write while it is put together. Ten types, each of which names the one before it a hundred
-- times, would fill any memory otherwise. Thousands of times more than a compiler's longest name needs.
local WORK_MAX <const> = 1 << 20

-- Raised where a name makes no sense or grows too large.
Renderer.GIVE_UP = {}

-- `short`: as a debugger shows it, else in full.
function Renderer.new(short)
    return setmetatable({ short = short, names = {}, types = {}, work = WORK_MAX }, Renderer)
end

function Renderer.give_up()
    error(Renderer.GIVE_UP, 0)
end

-- Texts in a row; every byte counts as work.
function Renderer:join(...)
    local text = table.concat { ... }
    self.work = self.work - #text - 1
    if self.work < 0 then self.give_up() end
    return text
end

-- A list of texts with a comma between.
function Renderer:list(texts)
    local size = 0
    for _, text in ipairs(texts) do size = size + #text + 2 end
    self.work = self.work - size
    if self.work < 0 then self.give_up() end
    return table.concat(texts, self.short and "," or ", ")
end

function Renderer:remember_name(text)
    for _, known in ipairs(self.names) do
        if known == text then return end
    end
    if #self.names < REMEMBERED then table.insert(self.names, text) end
end

function Renderer:remember_type(text)
    if #self.types < REMEMBERED then table.insert(self.types, text) end
end

-- What a digit refers to in `list`, the names or the types.
function Renderer:back(list, digit)
    return list[digit + 1] or self.give_up()
end

-- A text, and the space that divides it from a word behind it.
function Renderer.spaced(text)
    return text:find "[%w>]$" and text .. " " or text
end

return Renderer
