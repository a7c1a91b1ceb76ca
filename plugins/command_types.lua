-- command_types: dt, types and their values.

-- Calls visit(text before, text behind, where that begins) for each blank outside parentheses, from the first or, if
-- `back`, from the last; gives what it gives, at the first that is true.
local function splits(typed, back, visit)
    local places, depth = {}, 0
    for at, char in typed:gmatch "()([()%s])" do
        if char == "(" then depth = depth + 1 elseif char == ")" then depth = depth - 1
        elseif depth == 0 then places[#places + 1] = at end
    end
    for i = 1, #places do
        local at = places[back and #places + 1 - i or i]
        local found = visit(typed:sub(1, at - 1):match "^(.-)%s*$", typed:match("^%s*(.*)$", at),
            typed:match("^%s*()", at))
        if found then return found end
    end
    return nil
end

-- The spelling of a name without regard to case; the name itself if no type is called so.
local function spelled(types, name)
    for _, each in ipairs(types:names(name)) do
        if each:lower() == name:lower() then return each end
    end
    return name
end

-- Words of C that stand before another word of the same type. Elsewhere a second word would declare a name.
local BEFORE <const> = { struct = true, union = true, enum = true, unsigned = true, signed = true, const = true,
                         volatile = true, long = true, short = true }

-- What C calls the type that was typed; nil if it is none.
local function type_of(types, typed)
    local name = typed:match '^"(.*)"$' or typed
    if name == "" or name:find "^%x+$" and name:find "%d" then return nil end
    local first = name:match "^([%w_]+)%s+[%w_]"
    if first and not BEFORE[first] then return nil end
    if not name:find "!" then
        name = name:gsub("[%a_][%w_]*", function(word) return BEFORE[word] and word or spelled(types, word) end)
    end
    return types:describe(name) and name or nil
end

-- { type =, expression =, at = }: dt TYPE, dt TYPE ADDRESS, dt ADDRESS TYPE. Where both readings could be, the first
-- word is the type.
local function parse(call, types, typed, at)
    if typed:find "^[^%s()]*[*?][^%s()]*$" and not type_of(types, typed) then return { type = typed } end
    local whole = type_of(types, typed)
    if whole then return { type = whole } end
    local found = splits(typed, true, function(before, behind, place)
        local name = behind ~= "" and type_of(types, before)
        return name and { type = name, expression = behind, at = at + place - 1 }
    end) or splits(typed, false, function(before, behind)
        local name = behind ~= "" and type_of(types, behind)
        return name and { type = name, expression = before, at = at }
    end)
    if found then return found end
    local word, place = typed, at
    -- Of two words the type is the one that is no number.
    local first, behind_at, last = typed:match "^(%S+)%s.-()(%S+)$"
    if first and (first:find "^%x+$" or first:find "[()]") then
        word, place = last, at + behind_at - 1
    elseif first then
        word = first
    end
    local _, message = types:describe(word)
    call:fail("missing", "at position %d: %s", place, message or ("no type is called '%s'"):format(word))
end

return {
    name = "command_types", kind = "command", words = { "dt" },
    summary = "a type, or the values of its fields at an address",
    usage = [[
dt _RTL_STACK_TRACE_ENTRY poi(poi(poi(ntdll!RtlpStackTraceDataBase)+64)-4*17dfe)
dt poi( 7c97b170 ) ntdll!_Stack_Trace_DataBase      either order; type names match without case
dt -r2 _HEAP 36f0000            structures inside too, two deep (-r: one)
dt _HEAP_ENTRY                  its fields;  dt *heap*  which types there are
+ dt ULONG[4] 36f0000           all that C can name; in quotes if it could be read in two ways
+ Types come from PDB files, also from windows.h and, in part, from what heapsift reads itself: docs/types.md.]],
    run = function(dump, call)
        local blank, digits, behind = call.text:match "^()%-r(%d*)()"
        local typed, at = call.text, call.at
        if blank and typed:find("^%s", behind) then
            typed, at = typed:match("^%s*(.*)$", behind), at + typed:match("^%s*()", behind) - 1
        end
        local depth = not blank and 0 or digits == "" and 1 or #digits <= 2 and tonumber(digits) or 99
        if depth > 16 then call:fail("usage", "at position %d: -r takes a depth of at most 16", call.at) end
        if typed == "" then call:fail("usage", "a type expected; see .help dt") end
        local asked = parse(call, heapsift.types(dump), typed, at)
        local va = asked.expression and call:value(asked.expression, asked.at)
        if va and va < 0 then call:fail("missing", "the dump holds no memory at %x", va) end
        return call:script("types", { type = asked.type, address = va, depth = depth })
    end,
}
