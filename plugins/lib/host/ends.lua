-- ends.lua: the ways a program run ends before its last line. They are raised as error values that a script can neither
-- make nor keep: the sandbox's pcall hands them on.

local ends = {}

ends.codes = { usage = 2, input = 3, failed = 5, missing = 6 }

local End = { __metatable = false, __name = "heapsift.end" }
function End.__tostring(self)
    return self.text or "the end"
end

function ends.is(value)
    return type(value) == "table" and debug.getmetatable(value) == End
end

-- Ends with one line on stderr. `subject` is what the line names first; nil: the input, or else the script.
function ends.fail(code, text, subject)
    error(setmetatable({ code = ends.codes[code], text = text, subject = subject }, End), 0)
end

-- Ends as `e` did, its line told as of a place, unless it tells one itself.
function ends.within(e, place)
    if not e.text or e.stop or e.text:find "at position %d" or e.text:find "at the end" then error(e, 0) end
    error(setmetatable({ code = e.code, text = place .. ": " .. e.text, subject = false }, End), 0)
end

-- Ends well: what there was to say has been printed.
function ends.done()
    error(setmetatable({ code = 0 }, End), 0)
end

-- The script was only run for its declaration, and this is it (false: it makes none).
function ends.declared(declaration)
    error(setmetatable({ code = 0, declaration = declaration }, End), 0)
end

-- Raised into a command whose further output nobody wants: `head` has its lines, or the reader has left the pager.
ends.enough = setmetatable({ code = 0 }, End)

-- Raised by the engine's side when the program is to stop: Ctrl-C, or nobody reads stdout any more.
ends.stop = setmetatable({ stop = true, text = "interrupted" }, End)

return ends
