-- mapi: what MAPI keeps in its buffers.
-- Why: what QueryRows, GetProps or MAPIAllocateBuffer gave out says so itself; its allocation stack may be lost, or
-- confused with another one.
-- Labels: mapi.row (property values in columns that several buffers share), mapi.props (property values, single),
-- mapi.rowset (row set or address list), mapi.more (linked to another buffer), mapi.buffer (else, by its header).
-- How: flags of the header (one is published; others are learned from the dump: from arrays of property values, and for
-- linked buffers from what links lead to), then tags that make sense for the whole length.
-- Known false alarms: arrays that an object holds look like rows; to be a row is no leak.
-- Limits: x64 is inferred, the header there was never seen.

local layout = require "mapi_layout"

local GROUPS_MAX <const> = 256   -- different beginnings of arrays that are looked at, most bytes first
local SIGNATURES_MAX <const> = 16 -- different arrays with the same beginning
local SAMPLES <const> = 8
local LINKS <const> = 64         -- links that are followed to learn flags
local ROWS_MIN <const> = 4       -- so many arrays with the same columns are rows
local WORDS_MAX <const> = 8      -- different flags
local COLUMNS_MAX <const> = 128  -- compared in C; a longer array is known by these

local MODULES <const> = { "mapi32", "olmapi32", "msmapi32", "exmapi32", "emsmdb32", "mapistub", "mapir" }

local function has_mapi(dump)
    if #dump:modules() == 0 then return true end
    for _, name in ipairs(MODULES) do
        if dump:module(name) then return true end
    end
    return false, "no MAPI module is loaded"
end

-- What is the same for the whole dump: layout, and where heaps lie.
local function context_of(dump)
    local context = layout.of(dump)
    context.dump = dump
    local low, high = math.maxinteger, 0
    for heap in dump:heaps() do
        for _, segment in ipairs(heap.segments) do
            low, high = math.min(low, segment.base), math.max(high, segment.end_address)
        end
    end
    context.low, context.high = low, math.max(low, high)
    return context
end

-- A filter text: the word at this offset can be the address of a block.
local function points(context, offset)
    return ("ptr(%d) in 0x%x..0x%x and ptr(%d) & 7 == 0"):format(offset, context.low, context.high, offset)
end

local function sound_link(context)
    return ("(ptr(%d) == 0 or %s)"):format(context.width, points(context, context.width))
end

-- ---- learning flags ----

-- Tags from the start of a block on, as many as make sense in a row, and the sum of their weights.
local function columns_of(context, block)
    local columns, weight = {}, 0
    for offset = context.header, block.size - context.value, context.value do
        local tag = block:u32(offset)
        local worth = tag and layout.weight(tag)
        if not worth or #columns == COLUMNS_MAX then break end
        columns[#columns + 1], weight = tag, weight + worth
    end
    return columns, weight
end

-- Whether blocks with this first word are MAPI buffers, by a few of them.
local function is_buffer_word(context, set)
    local sound, list = 0, set:sample(SAMPLES)
    for _, block in ipairs(list) do
        local columns, weight = columns_of(context, block)
        local link = block:ptr(context.width)
        local target = link and link ~= 0 and context.dump:block(link)
        local linked = link == 0 or target and target.user == link and target.state == "busy"
        if linked and #columns >= 2 and weight >= 0.75 * #columns then sound = sound + 1 end
    end
    return sound >= 3 and sound >= #list / 2
end

local function words_text(words)
    local texts = {}
    for i, word in ipairs(words) do texts[i] = ("0x%x"):format(word) end
    if #texts == 1 then return "u32(0) == " .. texts[1] end
    return "u32(0) in {" .. table.concat(texts, ", ") .. "}"
end

-- A filter text: buffers of MAPIAllocateBuffer by the known flags, and whatever begins as property values do.
local function find_text(context)
    local h, v = context.header, context.value
    return ("%s and size >= %d and %s or u32(%d) == 0 and size >= %d and u16(%d) in %s and u16(%d) in %s"):format(
        words_text { layout.ALLOCATE_BUFFER }, h, sound_link(context), h + 4, h + 2 * v, h, layout.type_list, h + v,
        layout.type_list)
end

-- All buffers of MAPIAllocateBuffer, and their flags, out of what that filter found. Another pass for unknown flags.
local function find_buffers(context, set, found)
    local h, known = context.header, words_text { layout.ALLOCATE_BUFFER }
    local words, others, has_known = {}, 0, false
    for row in found:group "flags = u32(0)" do
        if row.flags == layout.ALLOCATE_BUFFER then
            has_known = true
        else
            others = others + row.count
            if row.count >= ROWS_MIN and row.flags and row.flags ~= 0 and #words < WORDS_MAX and
                    is_buffer_word(context, found:where(("u32(0) == 0x%x"):format(row.flags))) then
                words[#words + 1] = row.flags
            end
        end
    end
    if has_known and #words == 0 then
        return others == 0 and found or found:where(known), { layout.ALLOCATE_BUFFER }
    elseif #words == 0 then
        return nil, words
    end
    if has_known then words[#words + 1] = layout.ALLOCATE_BUFFER end
    table.sort(words)
    return set:where(("%s and size >= %d and %s"):format(words_text(words), h, sound_link(context))), words
end

-- First words of the buffers that links lead to.
local function learn_more(context, buffers, known)
    local is_known, counts, followed = {}, {}, 0
    for _, word in ipairs(known) do is_known[word] = true end
    local linked = buffers:sample(8 * LINKS)
    if buffers:count() > #linked then
        -- Many buffers may have no link at all; then those that have one are looked for.
        local few = 0
        for _, block in ipairs(linked) do few = few + (block:ptr(context.width) ~= 0 and 1 or 0) end
        if few < LINKS then linked = buffers:where(("ptr(%d) ~= 0"):format(context.width)):sample(LINKS) end
    end
    for _, block in ipairs(linked) do
        local link = block:ptr(context.width)
        local target = link and link ~= 0 and context.dump:block(link)
        if target and target.user == link and target.state == "busy" then
            local word = target:u32(0)
            followed = followed + 1
            if word and not is_known[word] then counts[word] = (counts[word] or 0) + 1 end
        end
    end
    local words = {}
    for word, count in pairs(counts) do
        if count >= math.max(2, followed / 5) and word ~= 0 then words[#words + 1] = word end
    end
    table.sort(words)
    return words
end

-- ---- arrays of property values ----

-- A filter text: the block begins with these columns, each with its type or PT_ERROR.
local function columns_text(context, size, columns)
    local parts = { ("size == 0x%x"):format(size) }
    for i, tag in ipairs(columns) do
        local offset = context.header + (i - 1) * context.value
        if tag & 0xffff == layout.PT_ERROR then
            parts[#parts + 1] = ("u16(%d) == 0x%x"):format(offset + 2, tag >> 16)
        else
            parts[#parts + 1] = ("u32(%d) in {0x%x, 0x%x}"):format(offset, tag,
                tag & 0xffff0000 | layout.PT_ERROR)
        end
    end
    return table.concat(parts, " and ")
end

-- How many of the pointers among the values of some blocks lead where values are kept: to the block itself or to a
-- linked buffer; and how many there are.
local function check_pointers(context, set, columns)
    local good, all = 0, 0
    for _, block in ipairs(set:sample(SAMPLES)) do
        for i in ipairs(columns) do
            local offset = context.header + (i - 1) * context.value
            local at = layout.pointer_at((block:u32(offset) or 0) & 0xffff, context.width)
            local va = at and block:ptr(offset + 8 + at)
            if va and va ~= 0 then
                local target = va > 0 and context.dump:block(va)
                all = all + 1
                if target and target.state == "busy" and (target == block or context.is_more[target:u32(0)] or
                        context.is_buffer[target:u32(0)]) then
                    good = good + 1
                end
            end
        end
    end
    return good, all
end

local function names_of(columns)
    local names = {}
    for i, tag in ipairs(columns) do names[i] = layout.name(tag) end
    return names
end

-- What the blocks with the columns of this one are; nil if it is no array. Labels them.
local function judge_array(context, arrays, block)
    local columns, weight = columns_of(context, block)
    local whole = #columns == (block.size - context.header) // context.value
    if #columns == 0 or weight < 0.6 * #columns or #columns < (whole and 1 or 2) then return nil end
    if #columns == 1 and weight < 1 then return nil end
    local where = columns_text(context, block.size, columns)
    local set = arrays:where(where)
    local good, all = check_pointers(context, set, columns)
    if all >= 4 and good < all / 2 then return nil end
    local signature = {
        columns = columns, names = names_of(columns), size = block.size, blocks = set:count(), bytes = set:bytes(),
        pointers = all, sound_pointers = good, whole = whole,
        where = ("%s and %s"):format(words_text(context.words), where),
        kind = whole and set:count() >= ROWS_MIN and "row" or "props",
    }
    local tags = weight / #columns
    signature.confidence = math.min(0.99, 0.7 + 0.2 * tags + (all > 0 and 0.09 * good / all or 0.05) -
        (#columns < 3 and 0.15 or 0) - (whole and 0 or 0.1))
    set:label("mapi." .. signature.kind, signature.confidence,
        ("%d property values: %s%s"):format(#columns, table.concat(signature.names, ", ", 1, math.min(4, #columns)),
            #columns > 4 and ", ..." or ""))
    return signature, set
end

-- Blocks of a group: from the blocks that were looked at already, or with one more pass.
local function one_of(context, arrays, looked_at, row)
    for _, block in ipairs(looked_at) do
        if block.size == row.size and block:u32(context.header) == row.first and
                block:u32(context.header + context.value) == row.second then
            return block
        end
    end
    return arrays:where(("size == 0x%x and u32(%d) == 0x%x%s"):format(row.size, context.header, row.first,
        row.second and (" and u32(%d) == 0x%x"):format(context.header + context.value, row.second) or ""))
        :sample(1)[1]
end

-- A filter text: a buffer that begins with a property value.
local function array_text(context)
    local h = context.header
    return ("size >= %d and u16(%d) in %s and u16(%d) > 0"):format(h + context.value, h, layout.type_list, h + 2)
end

-- The beginning that most blocks of a sample have, as a row of a group; nil: no such.
local function commonest(context, sample)
    local counts, h = {}, context.header
    for _, block in ipairs(sample) do
        local first, second = block:u32(h), block:u32(h + context.value)
        local key = ("%x %x %x"):format(block.size, first, second or 0)
        local row = counts[key] or { size = block.size, first = first, second = second, count = 0 }
        row.count, counts[key] = row.count + 1, row
        if 2 * row.count > #sample then return row end
    end
    return nil
end

-- The tags alone rule most of what is no array out: by itself only a known one counts.
local function may_be_array(context, row)
    local worth = layout.weight(row.first)
    local has_second = row.size >= context.header + 2 * context.value and row.second and layout.weight(row.second)
    return worth and (has_second or worth == 1)
end

-- Labels arrays; returns their signatures, most bytes first.
local function find_arrays(context, arrays)
    local h, signatures = context.header, {}
    local function take(row, looked_at)
        for _ = 1, may_be_array(context, row) and SIGNATURES_MAX or 0 do
            local block = one_of(context, arrays, looked_at, row)
            local signature, matched
            if block then signature, matched = judge_array(context, arrays, block) end
            if not signature then break end
            signatures[#signatures + 1] = signature
            arrays, looked_at = arrays - matched, {}
            if matched:count() >= row.count then break end
        end
    end
    local sample = arrays:sample(LINKS)
    local most = commonest(context, sample)
    if most then -- to group all by their beginnings takes longer than to look for this one
        take(most, sample)
        sample = arrays:sample(LINKS)
    end
    for row in arrays:group("size", ("first = u32(%d)"):format(h), ("second = u32(%d)"):format(h + context.value))
            :top(GROUPS_MAX) do
        take(row, sample)
    end
    table.sort(signatures, function(a, b)
        if a.bytes ~= b.bytes then return a.bytes > b.bytes end
        return a.where < b.where
    end)
    return signatures
end

-- ---- row sets and address lists ----

-- What a row set's rows say of it: the share of its entries that are sound, and which of the two it is.
local function judge_set(context, block)
    local rows = block:u32(context.header)
    local sound, looked, kind = 0, 0, nil
    for i = 0, math.min(rows, 64) - 1 do
        local offset = context.rows + i * context.entry
        local count, va = block:u32(offset + 4), block:ptr(offset + 8)
        local target = va and va > context.header and context.dump:block(va)
        looked = looked + 1
        if target and target.state == "busy" and target.user + context.header == va and
                context.is_buffer[target:u32(0)] and context.header + count * context.value <= target.size then
            local columns = columns_of(context, target)
            if #columns >= math.min(count, COLUMNS_MAX) and count > 0 then sound = sound + 1 end
            local its_kind = layout.set_kind(columns)
            if its_kind == "address list" or its_kind == "row set" and not kind then kind = its_kind end
        end
    end
    return looked > 0 and sound / looked or 0, kind or "row set or address list"
end

-- A filter text: a buffer that begins with a count of rows and a first row.
local function set_text(context)
    local h, first = context.header, context.rows
    return ("size >= %d and u32(%d) in 1..0x100000 and u32(%d) * %d + %d <= size and u32(%d) in 1..0x1000 and %s"):
        format(first + context.entry, h, h, context.entry, first, first + 4, points(context, first + 8))
end

local function find_sets(context, found)
    local h, first = context.header, context.rows
    local sets, groups = {}, 0
    for row in found:group("size", ("rows = u32(%d)"):format(h), ("columns = u32(%d)"):format(first + 4)) do
        groups = groups + 1
        if groups > GROUPS_MAX then break end
        local text = ("size == 0x%x and u32(%d) == %d and u32(%d) == %d"):format(row.size, h, row.rows, first + 4,
            row.columns)
        local set = found:where(text)
        local sum, looked, kind = 0, 0, nil
        for _, block in ipairs(set:sample(SAMPLES)) do
            local share, its_kind = judge_set(context, block)
            sum, looked = sum + share, looked + 1
            kind = (kind == nil or kind == its_kind) and its_kind or "row set or address list"
        end
        if looked > 0 and sum / looked >= 0.5 then
            local confidence = 0.99 * sum / looked
            set:label("mapi.rowset", confidence, ("%s, %d rows of %d columns"):format(kind, row.rows, row.columns))
            sets[#sets + 1] = { kind = kind, rows = row.rows, columns = row.columns, size = row.size,
                                blocks = row.count, bytes = row.bytes, confidence = confidence,
                                where = words_text(context.words) .. " and " .. text }
        end
    end
    return sets
end

-- ---- door ----

-- Returns, for other plugins: header (bytes before what the caller got), flags and more_flags (first words);
-- signatures, each: kind "row" or "props", columns, names, size, blocks, bytes, where (a filter text for them),
-- confidence; and sets, each: kind "row set", "address list" or "row set or address list", rows, columns, size, blocks,
-- bytes, where, confidence.
local function recognise(dump, set, found)
    local context = context_of(dump)
    local buffers, words = find_buffers(context, set, found)
    local facts = { header = context.header, flags = words, more_flags = {}, signatures = {}, sets = {} }
    if #words == 0 then return facts end
    context.words, context.is_buffer, context.is_more = words, {}, {}
    facts.more_flags = learn_more(context, buffers, words)
    for _, word in ipairs(words) do context.is_buffer[word] = true end
    for _, word in ipairs(facts.more_flags) do context.is_more[word] = true end
    if #facts.more_flags > 0 then
        -- Where small numbers could be taken for flags, each link must be sound; what was learned says so else.
        local rare = facts.more_flags[1] >= 0x10000
        set:where(words_text(facts.more_flags) .. (rare and "" or " and " .. sound_link(context)))
            :label("mapi.more", 0.95, "flags of a linked MAPI buffer")
    end
    local arrays, sets = buffers:where(array_text(context), set_text(context))
    facts.signatures, facts.sets = find_arrays(context, arrays), find_sets(context, sets)
    buffers:label("mapi.buffer", 0.6, ("flags 0x%x of a MAPI buffer"):format(words[1]))
    return facts
end

return {
    name = "mapi",
    summary = "rows, property values and buffers of MAPI",
    kind = "recogniser",
    needs = { "blocks" },
    applies = has_mapi,
    filters = function(dump) return find_text(context_of(dump)) end,
    recognise = recognise,
}
