-- shell.lua: `heapsift shell DUMP`: reads lines from a terminal, from -c, from a file or from stdin; a line is commands
-- or Lua.

local absent = require "host.absent"
local core = require "host.core"
local commands = require "host.commands"
local complete = require "host.complete"
local ends = require "host.ends"
local line = require "host.line"
local out = require "host.out"
local report = require "host.report"

local shell = {}

local USAGE <const> = [[
Usage: heapsift shell DUMP [-c 'COMMAND; COMMAND' | -f FILE] [options]

The debugger's commands and Lua at one prompt. A line is a command if its first word is one and what follows is not
= ( . : or , - else it is Lua, with `dump`, `heapsift` and `report` at hand. `;` splits commands, never Lua.
    COMMAND | grep [-ivc] TEXT   also head [N], tail [N], sort [-r] [-u], count, more: all done inside
    COMMAND > FILE               to a file; .logopen FILE keeps all that follows
    .help                        the commands; .help NAME explains one; q ends the shell

  -c COMMANDS   run these lines and end
  -f FILE       run the lines of this file and end; - is stdin
  --json        each command prints one JSON document
Ctrl-C stops the command, not the shell. History: HEAPSIFT_HISTORY, else heapsift/history in XDG_STATE_HOME or
~/.local/state; empty: none is kept. docs/shell.md has the whole language.
Exit codes with -c and -f: of the commands' failures the one that comes first in 2, 3, 5, 6, 1, 4; see heapsift help.
]]

local PRECEDENCE <const> = { [2] = 7, [3] = 6, [5] = 5, [6] = 4, [1] = 3, [4] = 2, [0] = 1 }

-- Runs f with what it prints shown page by page.
local function in_pages(f)
    local push, finish = line.stream({ { name = "more", arguments = "", at = 1 } }, out.write)
    local ok, e = out.to(push, f, true)
    if ok or e == ends.enough then return finish() end
    if not (ends.is(e) and e.stop) then finish() end
    error(e, 0)
end

local function worse(a, b) return (PRECEDENCE[b] or 0) > (PRECEDENCE[a] or 0) and b or a end

local function complain(text)
    out.complain(core.escape(text))
    if out.log() then out.log():write("heapsift: ", core.escape(text), "\n") end
end

-- ---- Lua ----

local function show(...)
    local parts = table.pack(...)
    if parts.n == 0 then return end
    for i = 1, parts.n do
        local value = parts[i]
        if type(value) == "table" then
            local ok, text = pcall(require "host.json".encode, value)
            parts[i] = ok and text or tostring(value)
        end
    end
    out.print(table.unpack(parts, 1, parts.n))
end

-- A chunk of the text, or nil and what is wrong; true in third place: more lines could mend it.
local function compile(text, env)
    local chunk = load("return " .. text, "=line", "t", env)
    if chunk then return chunk end
    local message
    chunk, message = load(text, "=line", "t", env)
    return chunk, message, message and message:find "<eof>" ~= nil
end

-- ---- one line ----

local Shell = {}
Shell.__index = Shell

-- Runs f; whatever ends it is told in one line. Returns the exit code of it.
function Shell:guard(f)
    local ok, e, stopped = core.attempt(self.paged and function() in_pages(f) end or f)
    if ok then return 0 end
    if stopped then
        complain "stopped"
        return 130
    end
    if ends.is(e) then
        if e.stop then error(e, 0) end
        if e.text then complain(e.text) end
        return e.code
    end
    e = { bug = type(e) == "string" and e or ("the error object is a %s value"):format(type(e)) }
    if e.bug:find "not enough memory" then
        core.memory_reached()
        complain "out of memory: see --memory-limit"
    else
        local hint = self:hint(e.bug)
        local bug = hint == "" and e.bug or e.bug:gsub(" %(did you mean .-%)$", "")
        complain((bug:gsub("^line:1: ", "Lua: "):gsub("^line:(%d+): ", "Lua, line %1: ")) .. hint)
    end
    return 5
end

function Shell:report_rest()
    local reported = self.context.globals.report
    self.context.globals.report = report.new()
    report.print(reported)
end

-- What to say of Lua that fails with `message` and opens with the word of a command, of ours or of WinDbg.
function Shell:hint(message, is_syntax)
    local word, size = line.word((self.typed or ""):match "^%s*(.*)$")
    if not word then return "" end
    if self:known(word) then return (" (%s is a command, but what follows makes the line Lua)"):format(word) end
    local typed = self.typed:match("^%s*(.*)$"):sub(1, size)
    if not is_syntax and not message:find(("unknown global '%s'"):format(typed), 1, true) then return "" end
    return absent.hint(typed)
end

function Shell:known(word) return commands.of(self.context).by_word[word] ~= nil end

-- Runs what was typed. Returns an exit code, or nil: the text is Lua that goes on in the next line.
function Shell:run(text)
    if not text:find "%S" or text:find "^%s*%*" or text:find "^%s*%$%$" then return 0 end -- the debugger's comments
    if out.log() then out.log():write(self:prompt(), core.escape(text, true), "\n") end
    local code
    self.typed = text
    if line.is_command(text, function(word) return self:known(word) end) then
        code = self:guard(function() commands.run(self.context, self.dump, text, self.json) end)
    else
        local chunk, message, more = compile(text, self.env)
        if not chunk then
            if more and self.may_go_on then return nil end
            complain(("at position %d: neither a command nor Lua: %s%s"):format(#text:match "^%s*" + 1,
                (message:gsub("^line:%d+: ", "")), self:hint(message, true)))
            return 2
        end
        code = self:guard(function() show(chunk()) self:report_rest() end)
    end
    if out.log() then out.log():flush() end
    return code
end

-- Opens a log; nil, or why not.
function Shell:open_log(path, append)
    if core.same_file(path, self.dump.path) then return "it is the dump that is read" end
    if core.kind(path) == "directory" then return "a folder" end
    local file, why = io.open(path, append and "ab" or "wb")
    if not file then return (why:gsub("^.-: ", "")) end
    out.set_log(file)
    self.log_path = path
end

-- The path of the log that was closed; nil if there was none.
function Shell:close_log()
    if not out.log() then return nil end
    out.set_log(nil)
    return self.log_path
end

function Shell:prompt()
    local session = commands.session(self.dump)
    return ("0:%03d> "):format((session.thread or 1) - 1)
end

-- ---- where lines come from ----

-- Runs lines of `next_line` until there are none or `q`; returns the exit code.
function Shell:lines(next_line)
    local code, waiting = 0, nil
    for text in next_line do
        text = text:gsub("\r$", "")
        local whole = waiting and waiting .. "\n" .. text or text
        self.may_go_on = true
        local one = self:run(whole)
        waiting = one == nil and whole or nil
        code = worse(code, one or 0)
        if self.ended then break end
    end
    if waiting then
        self.may_go_on = false
        code = worse(code, self:run(waiting) or 0)
    end
    return code
end

local function history_path()
    local given = os.getenv "HEAPSIFT_HISTORY"
    if given then return given ~= "" and given or nil end
    local state = os.getenv "XDG_STATE_HOME"
    if state and state:find "^/" then return state .. "/heapsift/history" end
    local home = os.getenv "HOME"
    return home and home:find "^/" and home .. "/.local/state/heapsift/history" or nil
end

function Shell:interact()
    self.interactive = true
    core.print(tostring(self.dump))
    core.print "The debugger's commands and Lua. .help lists the commands, q ends."
    core.one_command(true)
    local waiting
    local completer = complete.completer(self)
    while not self.ended do
        local text, interrupted = core.prompt_read(out.prompt(waiting and "    >> " or self:prompt()), completer)
        if text == nil then
            core.write "\n"
            break
        end
        core.one_command(true)
        if interrupted then
            waiting = nil
        else
            if text:find "%S" then core.prompt_remember(text) end
            local whole = waiting and waiting .. "\n" .. text or text
            -- An empty line ends what waits for more.
            self.may_go_on = not (waiting and not text:find "%S")
            waiting = self:run(whole) == nil and whole or nil
            if core.stdout_gone() then break end
        end
    end
    core.one_command(false)
    core.prompt_close()
    return 0
end

-- The words behind `shell`: dump, and -c or -f with its value.
local function parse(rest)
    local dump, mode, value
    local i = 1
    while rest[i] do
        local word = rest[i]
        if word == "-c" or word == "-f" then
            if mode then ends.fail("usage", "shell: -c and -f stand once, and exclude each other", false) end
            mode, value = word, rest[i + 1]
            if not value then ends.fail("usage", ("shell: %s: a value expected"):format(word), false) end
            i = i + 1
        elseif word:find "^%-." then
            ends.fail("usage", ("shell: unknown option '%s'; see heapsift help shell"):format(word), false)
        elseif dump then
            ends.fail("usage", ("shell: one dump expected, got '%s' too"):format(word), false)
        else
            dump = word
        end
        i = i + 1
    end
    if not dump then ends.fail("usage", "shell: a dump expected; see heapsift help shell", false) end
    return dump, mode, value
end

local function lines_of(path)
    if path == "-" then return io.stdin:lines() end
    local file, why = io.open(path, "rb")
    if not file or core.kind(path) == "directory" then
        ends.fail("usage", ("cannot read %s"):format(why or path .. ": a folder"), false)
    end
    return file:lines()
end

-- `heapsift shell ...`: `open(path)` gives context, dump and the globals of Lua lines.
function shell.main(rest, common, open)
    if common.help then
        core.write(USAGE)
        return 0
    end
    local path, mode, value = parse(rest)
    local next_line
    if mode == "-c" then
        next_line = (value .. "\n"):gmatch "([^\n]*)\n"
    elseif mode == "-f" then
        next_line = lines_of(value)
    end
    local context, dump, env = open(path)
    local self = setmetatable({ context = context, dump = dump, env = env, json = common.json or false }, Shell)
    context.shell = self
    local code
    if not next_line and core.prompt_open(history_path()) then
        code = self:interact()
    else
        code = self:lines(next_line or io.stdin:lines())
        for _, note in ipairs(dump:notes()) do core.complain("note: " .. core.escape(note)) end
        if code == 0 and core.incomplete(dump) then code = 4 end
    end
    out.set_log(nil)
    return code
end

shell.usage = USAGE

return shell
