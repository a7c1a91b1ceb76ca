-- regions: what lies at an address that holds no block or no bytes.

local text = require "text"
local pick = require "pick"

local regions = {}

local COMMIT <const>, RESERVE <const>, FREE <const> = 0x1000, 0x2000, 0x10000
local USES <const> = { private = "private memory", mapped = "a mapped file", image = "an image" }

-- The region that holds an address, or nil.
function regions.at(dump, va)
    for region in dump:regions() do
        if va >= region.address and va - region.address < region.size then
            return region
        end
    end
    return nil
end

-- "the stack of thread 1a4", "the trace database", nil.
local function special(dump, va)
    for thread in dump:threads() do
        if va >= thread.stack_limit and va < thread.stack_base then
            return string.format("the stack of thread %x", thread.id)
        end
    end
    local traces = dump.traces
    if traces and va >= traces.commit_base and va < traces.index_array then
        return "the stack trace database"
    end
    for heap in dump:heaps() do
        for _, segment in ipairs(heap.segments) do
            if va >= segment.base and va < segment.base + segment.reserved then
                return string.format("heap %x, in a part that could not be read as blocks", heap.address)
            end
        end
    end
    return nil
end

-- What an address is, as the end of a sentence: "it lies in an image: rpcrt4+0x1234
-- (rpcrt4!I_RpcGetBuffer+0xf)".
function regions.describe(dump, va)
    local module = dump:module(va)
    if module then
        return string.format("it lies in the image of %s (%s)", module.name, dump:symbol(va) or module.name)
    end
    local what = special(dump, va)
    if what then
        return "it lies in " .. what
    end
    local region = regions.at(dump, va)
    if not region then
        return "the dump knows no memory there"
    end
    local span = string.format("%s to %s", text.address(dump, region.address),
        text.address(dump, region.address + region.size))
    if region.state == FREE then
        return "it lies in free address space, " .. span
    elseif region.state == RESERVE then
        return "it lies in reserved, uncommitted memory, " .. span
    end
    local unread = #pick.heap_sums(dump).unread
    return string.format("it lies in %s, %s, outside of every heap%s", USES[region.use] or "committed memory",
        span, unread > 0 and " that is read (" .. unread .. " not read)" or "")
end

-- The committed region nearest to an address as "the nearest memory is 00160000 to 00170000", for what is
-- absent.
function regions.nearest(dump, va)
    local best, distance
    for region in dump:regions() do
        if region.state == COMMIT and region.present > 0 then
            local last = region.address + region.size - 1
            local gap = va < region.address and region.address - va or va > last and va - last or 0
            if not distance or gap < distance then
                best, distance = region, gap
            end
        end
    end
    if not best then
        return "it holds no memory at all"
    end
    return string.format("the nearest memory that it holds is %s to %s", text.address(dump, best.address),
        text.address(dump, best.address + best.size))
end

return regions
