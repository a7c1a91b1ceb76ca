-- batch_view.lua: what a batch shows: one line while it runs, or JSON lines; a summary of one screen at its end.

local core = require "host.core"
local json = require "host.json"

local view = {}

local EVERY <const> = { line = 0.25, json = 1.0 } -- seconds between two looks
local REASONS_SHOWN <const> = 8

local function duration(seconds)
    if seconds < 90 then return ("%.0f s"):format(seconds) end
    if seconds < 5400 then return ("%.0f min"):format(seconds / 60) end
    return ("%.1f h"):format(seconds / 3600)
end

local function grouped(n)
    local text = ("%d"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
    return text
end

local View = {}
View.__index = View

-- kind: "line", "json" or "none".
function view.new(kind)
    return setmetatable({ kind = kind, started = core.now(), shown_at = 0, shown = false }, View)
end

local function share(done, total)
    return total > 0 and done / total or 1
end

-- What will have no result: dumps that were run, and inputs that could not be.
local function failed(state) return state.failed + state.failed_inputs end

function View:line(state)
    local seconds = core.now() - self.started
    local finished = state.done + state.failed
    local rate = seconds > 0 and finished / seconds or 0
    local parts = { ("heapsift: batch: %s/%s (%.0f %%)"):format(grouped(state.seen), grouped(state.total),
        100 * share(state.seen, state.total)), ("%.1f/s"):format(rate) }
    if failed(state) > 0 then parts[#parts + 1] = ("%s failed"):format(grouped(failed(state))) end
    if finished > 0 and state.seen < state.total then
        parts[#parts + 1] = duration((state.total - state.seen) * seconds / state.seen) .. " left"
    end
    if state.queue then parts[#parts + 1] = core.escape(state.queue) end
    if state.slowest then
        parts[#parts + 1] = ("slowest %s: %s"):format(duration(state.slowest_seconds),
            core.escape(state.slowest:match "[^/]*$"))
    end
    core.status("\r\27[K" .. table.concat(parts, ", "):sub(1, 200))
    self.shown = true
end

-- state: { seen, total, done, failed (dumps), failed_inputs, known, slowest = path or nil, slowest_seconds }
function View:show(state, last)
    local now = core.now()
    if self.kind == "none" or not last and now - self.shown_at < EVERY[self.kind] then return end
    self.shown_at = now
    if self.kind == "json" then
        core.status(json.line(json.object {
            { "event", last and "end" or "progress" }, { "seen", state.seen }, { "total", state.total },
            { "done", state.done }, { "failed", failed(state) }, { "known", state.known },
            { "seconds", math.floor((now - self.started) * 1000) / 1000 },
            { "slowest", state.slowest and core.escape(state.slowest) },
            { "slowest_seconds", state.slowest and state.slowest_seconds },
        }) .. "\n")
    elseif not last then
        self:line(state)
    end
end

-- Takes the progress line away.
function View:clear()
    if self.shown then core.status "\r\27[K" end
    self.shown = false
end

local function cut(text, width)
    local ok = utf8.len(text)
    if not ok or ok <= width then return text end
    return text:sub(1, utf8.offset(text, width - 2) - 1) .. "..."
end

-- What happened, as text on stdout or as one JSON document.
function View:summary(state, as_json)
    local seconds = core.now() - self.started
    local reasons, failures = state.reasons, 0
    for _, each in ipairs(reasons) do failures = failures + each.count end
    if as_json then
        core.write_raw(json.encode(json.object {
            { "schema", "heapsift.batch/1" }, { "out", state.out }, { "inputs", state.listed },
            { "pending", state.total },
            { "seen", state.seen }, { "done", state.done }, { "failed", failures }, { "known", state.known },
            { "partial", state.partial }, { "findings", state.findings }, { "interrupted", state.interrupted or false },
            { "left_alone", state.skipped }, { "seconds", seconds }, { "reasons", reasons },
        }) .. "\n")
        return
    end
    local left = state.listed - state.total
    core.print(("%s inputs%s%s"):format(grouped(state.listed),
        left > 0 and (", %s of them done before"):format(grouped(left)) or "",
        state.skipped > 0 and (" (%s files in folders have other names and were left alone)"):format(
            grouped(state.skipped)) or ""))
    core.print(("%s dumps run in %s (%.1f/s), %s failed, %s were copies of dumps that are done"):format(
        grouped(state.done + state.failed), duration(seconds), (state.done + state.failed) / math.max(seconds, 1e-3),
        grouped(state.failed), grouped(state.known)))
    core.print(("%s findings%s"):format(grouped(state.findings), state.partial > 0 and
        ("; of %s dumps a part could not be read"):format(grouped(state.partial)) or ""))
    if failures > 0 then core.print(("No result from %s:"):format(grouped(failures))) end
    for i, each in ipairs(reasons) do
        if i > REASONS_SHOWN then
            core.print(("  ... %d reasons more"):format(#reasons - REASONS_SHOWN))
            break
        end
        core.print(("  %-10s %6s  %s"):format(each.reason, grouped(each.count), cut(core.escape(each.message), 80)))
        core.print(("  %-10s %6s  %s"):format("", "", "such as " .. cut(core.escape(each.example), 92)))
    end
    if state.interrupted then
        core.print(("Interrupted: %s inputs are left; the same command with --resume goes on."):format(
            grouped(state.total - state.seen)))
    end
    if state.out then core.print(core.escape(state.out) .. " holds the results; docs/store.md tells its tables.") end
end

return view
