-- command_types: dt, types and their values.

local text = require "text"
local database = require "database"

-- What is known without heapsift.types: the structures of the trace database.
local BUILT_IN <const> = {
    _rtl_stack_trace_entry = function(dump, call, va)
        local db = database.need(dump)
        local stored = dump:u16(va + dump.pointer_size + 4)
        for _, trace in ipairs(stored and db:candidates(stored) or {}) do
            if trace.address == va then return call:script("trace", { index = trace.index }) end
        end
        call:fail("missing", "no entry of the trace database stands at %x", va)
    end,
    _stack_trace_database = function(dump, call, va)
        local db = database.need(dump)
        if va ~= db.address then call:fail("missing", "the trace database stands at %x, not at %x", db.address, va) end
        if call.json then return database.json(dump, db) end
        database.print(dump, db)
    end,
}

-- heapsift.types for the dump; nil in a version without them.
local function types_of(dump)
    local ok, make = pcall(function() return heapsift.types end)
    return ok and make(dump) or nil
end

-- The type that a word names, without its module and in its own spelling; nil if there is none.
local function known(types, word)
    local name = word:match "^[%w_]+!([%w_]+)$" or word:match "^[%a_][%w_]*$"
    if not name then return nil end
    if BUILT_IN[name:lower()] and not types then return name:lower() end
    for _, each in ipairs(types and types:names(name) or {}) do
        if each:lower() == name:lower() then return each end
    end
    return types and types:describe(word) and word or nil
end

-- The name of the type, and where its address stands: dt TYPE, dt TYPE ADDRESS, dt ADDRESS TYPE.
local function parse(types, call)
    local before, last = call.text:match "^(.-)%s*(%S+)$"
    local name = last and known(types, last)
    if name then return name, before, call.at end
    local first, at, after = call.text:match "^(%S+)%s+()(.+)$"
    name = first and known(types, first)
    if name then return name, after, call.at + at - 1 end
    call:fail("missing", "at position %d: no type is called %s", call.at, first or last or "so")
end

return {
    name = "command_types", kind = "command", words = { "dt" },
    summary = "a type, or the values of its fields at an address",
    usage = [[
dt _RTL_STACK_TRACE_ENTRY poi(poi(poi(ntdll!RtlpStackTraceDataBase)+64)-4*17dfe)
dt poi( 7c97b170 ) ntdll!_Stack_Trace_DataBase      either order; type names match without case
dt _HEAP_ENTRY                                      its fields]],
    run = function(dump, call)
        if call.text == "" then call:fail("usage", "a type expected; see .help dt") end
        local types = types_of(dump)
        local name, expression, at = parse(types, call)
        local va = expression ~= "" and call:value(expression, at) or nil
        if va and va < 0 then call:fail("missing", "the dump holds no memory at %x", va) end
        if not types then
            if not va then call:fail("usage", "at position %d: an address expected behind %s", call.at, name) end
            return BUILT_IN[name](dump, call, va)
        end
        local what, message = name, nil
        if va then what, message = types:at(name, va) end
        if not what then call:fail("missing", "%s", message) end
        if call.json then return types:describe(what) end
        local shown
        shown, message = types:text(what)
        if not shown then call:fail("missing", "%s", message) end
        text.say("%s", (shown:gsub("\n$", "")))
    end,
}
