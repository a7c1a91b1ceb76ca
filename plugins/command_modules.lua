-- command_modules: lm, lmm PATTERN, lmv MODULE.

local text = require "text"

local WORDS <const> = { pdb = "(pdb symbols)", exports = "(export symbols)", none = "(no symbols)" }

local function chosen(dump, glob)
    local pattern = "^" .. glob:lower():gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
    local list = {}
    for module in dump:modules() do
        if module.name:lower():find(pattern) then list[#list + 1] = module end
    end
    table.sort(list, function(a, b) return a.base < b.base end)
    return list
end

return {
    name = "command_modules", kind = "command", words = { "lm", "lmm", "lmv" },
    summary = "loaded modules, by a pattern, one in detail",
    usage = [[
lm                 all modules, by address
lmm 3r*            those whose name fits; also lm m 3r*
lmv m MSO          one in detail: time stamp, version, PDB
+                  and its sections]],
    run = function(dump, call)
        local words = {}
        for word in call.text:gmatch "%S+" do words[#words + 1] = word end
        local detail = call.word == "lmv" or words[1] == "v" or words[1] == "vm"
        if words[1] == "m" or words[1] == "v" or words[1] == "vm" then table.remove(words, 1) end
        if words[2] then call:fail("usage", "one pattern expected, got '%s' too", words[2]) end
        if call.word == "lmm" and not words[1] then call:fail("usage", "a pattern expected, such as 3r*") end
        local list = chosen(dump, words[1] or "*")
        if #list == 0 then call:fail("missing", "at position %d: no module fits %s", call.at, words[1] or "*") end
        if detail then
            local results = {}
            for i, module in ipairs(list) do results[i] = call:script("modules", { name = module.name }) end
            return call.json and results or nil
        end
        if call.json then
            local rows = {}
            for i, module in ipairs(list) do
                rows[i] = { base = text.hex_address(dump, module.base), size = module.size, name = module.name,
                            path = module.path, symbols = module.symbols }
            end
            return rows
        end
        local width = dump.pointer_size * 2
        text.say("%-" .. width .. "s %-" .. width .. "s   module name", "start", "end")
        for _, module in ipairs(list) do
            text.say("%s %s   %-12s %-17s %s", text.address(dump, module.base), text.address(dump, module.end_address),
                module.name, WORDS[module.symbols] or module.symbols, module.path:match "[^\\/]*$")
        end
    end,
}
