-- command_session: .help .echo .logopen .logappend .logclose q.

local text = require "text"

local WORDS_WIDTH <const> = 22

-- Rows of the list: the words, in as many lines as they take, and the summary behind the first.
local function add_rows(rows, plugin, margin)
    local line, summary = margin, plugin.summary
    for i, word in ipairs(plugin.words) do
        if i > 1 and #line + 1 + #word > WORDS_WIDTH then
            rows[#rows + 1] = { line, summary }
            line, summary = margin, ""
        end
        line = line .. (line == margin and "" or " ") .. word
    end
    rows[#rows + 1] = { line, summary }
end

local function help(_, call)
    local found = call.commands
    if call.text ~= "" then
        local plugin = found.by_word[call.text:lower()]
        if not plugin then call:fail("usage", "at position %d: no command is called '%s'", call.at, call.text) end
        if call.json then return { words = plugin.words, summary = plugin.summary, usage = plugin.usage } end
        heapsift.write(call.help(plugin))
        return
    end
    local rows, data, seen = {}, {}, {}
    for _, word in ipairs(found.words) do
        local plugin = found.by_word[word]
        if not seen[plugin] then
            seen[plugin] = true
            data[#data + 1] = { table.concat(plugin.words, " "), plugin.summary }
            add_rows(rows, plugin, call.margin(plugin))
        end
    end
    if call.json then return data end
    text.table({ { "", "left" }, { "", "left", "end" } }, rows)
    print [[
  .help NAME explains one. All else is Lua: dump:blocks "size == 0xf8":count()
+ COMMAND --json        prints its data as one JSON document
+ COMMAND | FILTER      grep [-ivc] TEXT, head [N], tail [N], sort [-r] [-u],
+                       count, more; several, one after the other
+ COMMAND > FILE        writes what it prints
+ is heapsift's own, here and in each .help NAME; the rest is as in WinDbg.]]
end

local function log(_, call)
    local session = call.shell
    if not session then call:fail("usage", "logs belong to the shell") end
    if call.word == ".logclose" then
        local path = session:close_log()
        if not path then call:fail("usage", "no log is open") end
        text.say("Closing open log file %s", path)
        return
    end
    local path = call.text:match '^"(.*)"$' or call.text
    if path == "" then call:fail("usage", "a file expected") end
    local why = session:open_log(path, call.word == ".logappend")
    if why then call:fail("failed", "cannot write %s: %s", path, why) end
    text.say("Opened log file '%s'", path)
end

local function echo(_, call)
    if call.json then return { text = call.text } end
    print(call.text)
end

local function more(_, call)
    local session = call.shell
    if not session then call:fail("usage", "pages belong to the shell") end
    if call.text == "on" or call.text == "off" then
        session.paged = call.text == "on"
    elseif call.text ~= "" then
        call:fail("usage", "at position %d: on or off expected, got '%s'", call.at, call.text)
    end
    if call.json then return { on = session.paged or false } end
    text.say("Pages are %s.", session.paged and "on" or "off")
end

local function quit(_, call)
    if call.shell then call.shell.ended = true end
end

local RUN <const> = { [".help"] = help, [".echo"] = echo, [".logopen"] = log, [".logappend"] = log,
                      [".logclose"] = log, [".more"] = more, q = quit }

return {
    name = "command_session", kind = "command",
    words = { ".help", ".echo", ".logopen", ".logappend", ".logclose", ".more", "q" },
    summary = "help, notes, log files, the end",
    usage = [[
.help NAME              explains a command
.echo TEXT              prints it
.logopen FILE           from here on all that is typed and printed goes to FILE too; .logappend adds to it
.logclose               ends that
+ .more on|off          shows what a line prints page by page, where it goes to a terminal; | more does so once
q                       ends the shell]],
    run = function(dump, call) return RUN[call.word](dump, call) end,
}
