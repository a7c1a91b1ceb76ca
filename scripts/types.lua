-- types: what a type looks like and what stands in memory as one, as `dt` shows it.
-- Types come from PDB files where those were found, from --declare, from windows.h, and, in part, from what heapsift
-- itself knows of heaps. A layout that does not belong to the process gives numbers all the same: look at the source.
--
--     _RTL_STACK_TRACE_ENTRY at 160290
--        +0x000 HashChain        : 0x001617e4 _RTL_STACK_TRACE_ENTRY
--        +0x004 TraceCount       : 0x14

heapsift.script {
    summary = "types, and memory as a type, as `dt` shows it",
    description = [[
TYPE alone shows the members and their places, with ADDRESS also what stands there. TYPE may be anything C can name
("struct _HEAP *", "ULONG[4]"); upper and lower case do not matter. With * or ? it lists the types that fit, with
their sizes. --declare reads C declarations from a file (typedef struct ..., #pragma pack, windows.h types), laid out
for the process in the dump.]],
    args = {
        { name = "type", type = "string", optional = true, doc = "a type, or a pattern with * and ?; none: all types" },
        { name = "address", type = "address", optional = true, doc = "where such a thing lies" },
    },
    options = {
        declare = { type = "path", many = true, doc = "a file of C declarations" },
        depth = { type = "integer", default = 0, min = 0, max = 16, doc = "how deep structures inside are shown" },
        field = { type = "string", many = true, doc = "only these members of TYPE; * and ? may be used" },
        count = { type = "integer", default = 1, min = 1, max = 65536, doc = "how many of them stand in a row" },
    },
    examples = {
        "heapsift run types outlook.dmp _HEAP 36f0000",
        "heapsift run types outlook.dmp '*heap*'",
        "heapsift run types outlook.dmp SPropValue 372e5a8 --declare mapi.h --count 15",
    },
    json = "heapsift.types/1",
}

local text = require "text"

local types <const> = heapsift.types(dump)

for _, path in ipairs(args.declare or {}) do
    local declarations, why = heapsift.input(path)
    if not declarations then heapsift.fail("usage", why) end
    local ok, message = pcall(types.declare, types, declarations, path)
    if not ok then heapsift.fail("usage", message) end
end

local function shown_size(name)
    local size = types:sizeof(name)
    return size and text.hex(size) or "-"
end

-- Names that fit a pattern, with sizes and where they come from.
local function list(pattern)
    local names = types:names(pattern)
    if #names == 0 then text.fail("missing", "no type fits '%s'", pattern) end
    if args.json then
        local rows = {}
        for i, name in ipairs(names) do
            local source, partial = types:source(name)
            rows[i] = { name = name, size = types:sizeof(name), source = source, partial = partial }
        end
        return report:result { pattern = pattern, types = rows }
    end
    for _, name in ipairs(names) do
        text.say("%8s  %-32s %s", shown_size(name), name, types:source(name))
    end
end

local function json_of(described)
    for _, field in ipairs(described.fields) do field.offset = text.hex(field.offset) end
    described.address = described.address and text.hex_address(dump, described.address)
    return described
end

-- The view of element `index` (from 0) at ADDRESS; fails if such a type or address is not there.
local function element(index, size)
    local va = args.address + index * size
    local view, message, code = types:at(args.type, va)
    if view == nil then heapsift.fail(code == "not-found" and "usage" or "missing", message) end
    return view, va
end

-- A plain value (an integer, a pointer to void): types has nothing to hold it in.
local function plain(value, va)
    if args.json then
        return { name = args.type, address = text.hex_address(dump, va), shown = tostring(value), fields = {} }
    end
    local hex = math.type(value) == "integer" and ("  0x%x"):format(value) or ""
    text.say("%s  %s%s", text.address(dump, va), tostring(value), hex)
end

local function show_memory()
    local size = 0
    if args.count > 1 then
        local known, message = types:sizeof(args.type)
        if not known then heapsift.fail("usage", message .. ": --count needs a size") end
        size = known
    end
    if args.address > math.maxinteger - args.count * size then heapsift.fail("usage", "--count leads out of memory") end
    if not dump:u8(args.address) then
        element(0, size) -- an unknown type is the first thing to say
        text.fail("missing", "the dump holds nothing at %s", text.address(dump, args.address))
    end
    local rows = {}
    for index = 0, args.count - 1 do
        local view, va = element(index, size)
        if type(view) ~= "table" then
            rows[#rows + 1] = plain(view, va)
        elseif args.json then
            rows[#rows + 1] = json_of(types:describe(view))
        else
            local options = { depth = args.depth, fields = args.field }
            local shown, message = types:text(view, options)
            if shown then print(shown) else text.say("%s  %s", text.address(dump, va), message) end
        end
    end
    if args.json then report:result { type = args.type, elements = rows } end
end

if not args.type or args.type:find "[*?]" and not args.type:find "[%w_]%s*%*+$" then
    list(args.type or "*")
elseif args.address then
    show_memory()
else
    local described, message = types:describe(args.type)
    if not described then
        -- "_HEAP*" is a pattern as well as the pointer that C reads in it: the type decides.
        if args.type:find "%*$" then return list(args.type) end
        heapsift.fail("missing", message)
    end
    if args.type:find "%w%*$" then return list(args.type) end
    if args.json then return report:result { type = args.type, elements = { json_of(described) } } end
    print(types:text(args.type, { depth = args.depth, fields = args.field }))
    local size = types:sizeof(args.type)
    text.say("   %s, %s", size and ("0x%x bytes"):format(size) or "size not known", described.source)
end
