-- recognisers.lua: all recognisers of a user's and the bundled ones, run on a dump. What they look for first is looked
-- for together: fetching the memory of a block takes longer than what most filters ask of it.

local core = require "host.core"
local plugins = require "host.plugins"

local recognisers = {}

local AT_ONCE <const> = 16 -- filters of one pass; a recogniser has at most as many

-- The filter texts of a recogniser, as a list.
local function texts_of(plugin, dump)
    local texts = plugin.filters
    if type(texts) == "function" then texts = texts(dump) end
    if texts == nil then return {} end
    if type(texts) == "string" then return { texts } end
    if type(texts) ~= "table" then
        error("filters: a text or a list of texts expected, got " .. type(texts), 0)
    elseif #texts > AT_ONCE then
        error(("filters: at most %d expected, got %d"):format(AT_ONCE, #texts), 0)
    end
    for i, text in ipairs(texts) do
        if type(text) ~= "string" then error(("filters: text %d is a %s value"):format(i, type(text)), 0) end
    end
    return texts
end

-- Runs the filters of these recognisers in one pass, and gives each its sets. Where that fails, each gets a pass of its
-- own: that tells whose filter it is.
local function look(busy, tasks, failed)
    local texts = {}
    for _, task in ipairs(tasks) do table.move(task.texts, 1, #task.texts, #texts + 1, texts) end
    if #texts == 0 then return end
    local found = { plugins.protected(tasks[1].plugin, busy.where, busy, table.unpack(texts)) }
    if not found[1] and #tasks == 1 then return failed(tasks[1], found[2]) end
    local next_one = 2
    for _, task in ipairs(tasks) do
        if found[1] then
            task.sets = table.move(found, next_one, next_one + #task.texts - 1, 1, {})
            next_one = next_one + #task.texts
        else
            look(busy, { task }, failed)
        end
    end
end

-- The same pass by pass, as many recognisers in one as fit.
local function look_all(busy, tasks, failed)
    local some, count = {}, 0
    for _, task in ipairs(tasks) do
        if count + #task.texts > AT_ONCE then
            look(busy, some, failed)
            some, count = {}, 0
        end
        some[#some + 1], count = task, count + #task.texts
    end
    look(busy, some, failed)
end

-- Runs every recogniser of `found` on a dump. Returns messages of those that failed, and what they returned, by name.
function recognisers.run(found, dump)
    local notes, facts, tasks = {}, {}, {}
    local function note(message) notes[#notes + 1] = message end
    local function failed(task, message)
        task.failed = true
        note(message)
    end
    for _, file in ipairs(found.failed) do note(file.message) end
    for _, plugin in ipairs(found.list) do
        if plugin.kind == "recogniser" then
            local yes, message = plugins.applies(plugin, dump)
            local ok, texts
            if yes then
                ok, texts = plugins.protected(plugin, texts_of, plugin, dump)
                if ok then tasks[#tasks + 1] = { plugin = plugin, texts = texts, sets = {} } else note(texts) end
            elseif yes == nil then
                note(message)
            end
        end
    end
    if #tasks == 0 then return notes, facts end
    local busy = dump:blocks { state = "busy" }
    core.expect_summaries(dump) -- what recognisers do then asks for little else of most blocks
    look_all(busy, tasks, failed)
    for _, task in ipairs(tasks) do
        if not task.failed then
            core.set_label_source(task.plugin.name)
            local ok, result = plugins.protected(task.plugin, task.plugin.recognise, dump, busy,
                table.unpack(task.sets))
            core.set_label_source(nil)
            task.sets = nil -- the memory of sets is not small
            if ok then facts[task.plugin.name] = result else note(result) end
        end
    end
    return notes, facts
end

return recognisers
