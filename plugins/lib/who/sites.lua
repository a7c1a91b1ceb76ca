-- sites.lua: call sites and the blocks that attribution gives them: the only file here that adds its groups up.

local sites = {}

local GROUPS_MAX <const> = 20000
local KEYS_MAX <const> = 3000

local function new_site(by, list, trace)
    local caller = trace and trace.readable and trace:caller()
    local frames = trace and trace.readable and trace.frames or {}
    local key = trace and (caller or frames[#frames] or trace.address) or 0
    if not by[key] then
        by[key] = { caller = trace and (caller or frames[#frames]), outermost = trace ~= nil and not caller,
                    blocks = 0, bytes = 0, confidence = 0, traces = {}, by = {} }
        list[#list + 1] = by[key]
    end
    return by[key]
end

local function add_share(site, group, share)
    local one = site.by[share.index]
    if not one then
        one = { trace = share.trace, blocks = 0, bytes = 0, confidence = 0, cells = {} }
        site.by[share.index], site.traces[#site.traces + 1] = one, one
    end
    local bytes = share.blocks * group.size
    one.blocks, one.bytes = one.blocks + share.blocks, one.bytes + bytes
    one.confidence = one.confidence + share.confidence * bytes
    site.blocks, site.bytes = site.blocks + share.blocks, site.bytes + bytes
    site.confidence = site.confidence + share.confidence * bytes
    local cells = one.cells
    cells[#cells + 1] = { group.heap, group.stored, group.size }
end

local function by_bytes(a, b)
    return a.bytes > b.bytes or a.bytes == b.bytes and (a.caller or 0) < (b.caller or 0)
end

local function from_groups(attribution)
    local by, list, count = {}, {}, 0
    for group in attribution:groups() do
        count = count + 1
        if count > GROUPS_MAX then break end
        for _, share in ipairs(group.shares) do
            if share.blocks > 0 then add_share(new_site(by, list, share.trace), group, share) end
        end
    end
    for _, site in ipairs(list) do
        site.confidence = site.bytes > 0 and site.confidence / site.bytes or 0
        for _, one in ipairs(site.traces) do
            one.confidence = one.bytes > 0 and one.confidence / one.bytes or 0
        end
        table.sort(site.traces, by_bytes)
    end
    table.sort(list, by_bytes)
    return list
end

-- Call sites, most bytes first: { caller, outermost, blocks, bytes, confidence, traces = { { trace, blocks, bytes,
-- confidence } } }; caller nil: the stack was not recorded.
function sites.of(attribution)
    if attribution.sites then return attribution:sites() end
    return from_groups(attribution)
end

-- The blocks of a site, a set: one pass, a block's stored index and size as one key.
function sites.set(attribution, busy, site)
    if attribution.sites then return (attribution:set(site)) end
    local stored, keys, seen = {}, {}, {}
    for _, one in ipairs(site.traces) do
        for _, cell in ipairs(one.cells) do
            if #keys >= KEYS_MAX then break end
            if not seen[cell[2]] then stored[#stored + 1], seen[cell[2]] = ("0x%x"):format(cell[2]), true end
            keys[#keys + 1] = ("0x%x"):format(cell[3] << 16 | cell[2])
        end
    end
    return busy:where(("stored in {%s} and size * 65536 + stored in {%s}"):format(table.concat(stored, ","),
        table.concat(keys, ",")))
end

return sites
