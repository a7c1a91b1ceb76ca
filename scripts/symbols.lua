-- symbols: what a name's address is, as `x`, and what lies at an address, as `ln`.
-- Why: frames and pointers are only as good as their names. Each row says whether a PDB or the exports gave it.
-- Known limits: neither an export nor a public of a PDB tells a size. A pattern with ':', '<' or '`', and one
-- that nothing matches otherwise, is held against C++ names as they are shown, another one against the linker's names.
--
--     7c91809d     -  exports  ntdll!RtlAllocateHeap

heapsift.script {
    summary = "symbols by name or address, as x and ln",
    description = [[
NAME is MODULE!PATTERN (* and ? stand for any characters and for one; case does not matter; MODULE may be a pattern
too), or an address. Without --symbols and _NT_SYMBOL_PATH only exports and PDBs beside the dump give names.]],
    args = {
        { name = "name", type = "string", many = true, doc = "MODULE!PATTERN, or an address (hex)" },
    },
    options = {
        limit = { type = "integer", default = 200, min = 0, doc = "so many names are printed, 0 for all" },
        raw = { type = "flag", doc = "names as the linker has them" },
    },
    examples = {
        "heapsift run symbols outlook.dmp 'ntdll!Rtl*Heap'",
        "heapsift run symbols outlook.dmp 7c918f01 --symbols 'srv*/symbols'",
    },
    json = "heapsift.symbols/1",
}

local text = require "text"

-- ---- by address, as ln ----

local function address_of(word)
    local digits = word:match "^0[xX](%x+)$" or word:match "^(%x+)$" or word:gsub("`", ""):match "^(%x+)$"
    return digits and #digits <= 16 and tonumber(digits, 16) or nil
end

local function near(va)
    local parts = va >= 0 and dump:symbol_parts(va)
    if not parts then
        text.fail("missing", "no module lies at %x", va)
    end
    return {
        address = va, symbol = dump:symbol(va), module = parts.module, name = parts.name, decorated = parts.decorated,
        offset = parts.offset, size = parts.size, source = parts.source or "none", certain = parts.near,
    }
end

local function print_near(row)
    text.say("%s  %s", text.address(dump, row.address), row.symbol)
    text.facts({
        { "Module:", row.module },
        { "Name from:", row.source },
        { "Decorated:", row.decorated },
        { "Begins at:", row.offset and text.address(dump, row.address - row.offset) },
        { "Size:", row.size and string.format("0x%x", row.size) },
        { "Certain:", row.name and (row.certain and "yes" or "no: the address lies past the symbol") },
    }, "    ")
end

-- ---- by name, as x ----

-- An anchored Lua pattern for a text with * and ?.
local function lua_pattern_of(pattern)
    return "^" .. pattern:lower():gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

local RANK <const> = { exports = 1, public = 2, pdb = 3 } -- of several for one address and name the best is shown

local function shown_name(symbol)
    if args.raw then
        return symbol.decorated or symbol.name
    end
    return heapsift.undecorate(symbol.name)
end

local function rank(symbol)
    return RANK[symbol.public and "public" or symbol.source]
end

-- The symbols of a module that match, by address then name; one for each of both. `shown`: names as they are shown are
-- looked at, all of them, and not those of the linker.
local function matches_in(module, pattern, shown)
    local best, rows = {}, {}
    local lua_pattern = lua_pattern_of(pattern)
    for _, symbol in ipairs(module:find_symbols(shown and "*" or pattern)) do
        local name = shown_name(symbol)
        if not shown or name:lower():find(lua_pattern) then
            local key = string.format("%x %s", symbol.address, name)
            if not best[key] then
                rows[#rows + 1] = key
            end
            if not best[key] or rank(symbol) > rank(best[key]) then
                best[key] = symbol
            end
        end
    end
    local list = {}
    for i, key in ipairs(rows) do
        local symbol = best[key]
        local name = shown_name(symbol)
        list[i] = {
            address = symbol.address, size = symbol.size, source = symbol.source, module = module.name, name = name,
            decorated = symbol.decorated or name ~= symbol.name and symbol.name or nil,
        }
    end
    table.sort(list, function(a, b)
        if a.address ~= b.address then
            return a.address < b.address
        end
        return a.name < b.name
    end)
    return list
end

local function modules_named(pattern)
    local list = {}
    if not pattern:find "[*?]" then
        list[1] = dump:module(pattern)
    else
        local lua_pattern = lua_pattern_of(pattern)
        for _, module in ipairs(dump:modules()) do
            if module.name:lower():find(lua_pattern) then
                list[#list + 1] = module
            end
        end
    end
    if #list == 0 then
        text.fail("missing", "no module is called %s", pattern)
    end
    return list
end

local function find(word)
    local module_pattern, pattern = word:match "^([^!]*)!(.+)$"
    if not module_pattern then
        heapsift.fail("usage", string.format("MODULE!PATTERN or an address expected, got '%s'", word))
    end
    local rows = {}
    for _, module in ipairs(modules_named(module_pattern)) do
        local found = pattern:find "[:<`~ ]" and {} or matches_in(module, pattern, false)
        if #found == 0 then
            found = matches_in(module, pattern, true)
        end
        table.move(found, 1, #found, #rows + 1, rows)
    end
    if #rows == 0 then
        text.fail("missing", "no symbol matches %s", word)
    end
    return rows
end

local function print_found(rows)
    local limit = args.limit == 0 and #rows or args.limit
    local lines = {}
    for i = 1, math.min(#rows, limit) do
        local row = rows[i]
        lines[i] = {
            text.address(dump, row.address), row.size and string.format("%x", row.size) or "-", row.source,
            row.module .. "!" .. row.name,
        }
    end
    text.table({ { "address", "left" }, { "size", "right" }, { "from", "left" }, { "name", "left", "middle" } }, lines)
    if #rows > limit then
        text.say("and %s more (--limit)", text.count(#rows - limit))
    end
end

-- ----

local named, at = {}, {}
for _, word in ipairs(args.name) do
    local va = not word:find("!", 1, true) and address_of(word)
    if va then
        at[#at + 1] = near(va)
    else
        local rows = find(word)
        table.move(rows, 1, #rows, #named + 1, named)
    end
end

if args.json then
    for _, list in ipairs { named, at } do
        for _, row in ipairs(list) do
            row.address = text.hex_address(dump, row.address)
        end
    end
    return report:result { symbols = named, addresses = at }
end
for _, row in ipairs(at) do
    print_near(row)
end
if #named > 0 then
    print_found(named)
end
