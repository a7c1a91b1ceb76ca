-- furthest.lua: what an error of a grammar tells: the furthest place that some pattern was tried at, and what was
-- expected there. One tracker a grammar; a match begins with `reset`.

local lpeg = require "lpeg"

local P <const> = lpeg.P

local furthest = {}

-- Gives expect(pattern, what), reset(), and told() -> the place (from 1, 0: nothing was tried), a sorted list of what
-- was expected there.
function furthest.tracker()
    local place, wanted = 0, {}
    local function expect(pattern, what)
        return pattern + lpeg.Cmt(P(true), function(_, at)
            if at > place then place, wanted = at, {} end
            if at == place then wanted[what] = true end
            return false
        end) * P(false)
    end
    local function reset() place, wanted = 0, {} end
    local function told()
        local list = {}
        for what in pairs(wanted) do list[#list + 1] = what end
        table.sort(list)
        return place, list
    end
    return expect, reset, told
end

return furthest
