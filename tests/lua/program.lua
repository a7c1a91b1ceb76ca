-- program: runs $HEAPSIFT as a child process and makes sample dumps, for the specs beside this file.

local program = {}

-- The source folder, and the program under test (see tests/CMakeLists.txt).
program.root = os.getenv("SRC") or "."
program.path = os.getenv("HEAPSIFT") or program.root .. "/build/heapsift"

local function quote(word)
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

-- Runs the program with these words, in folder `dir` if given. Gives stdout, exit code, stderr.
function program.run(words, dir)
    local errors = os.tmpname()
    local parts = { quote(program.path) }
    for _, word in ipairs(words) do
        parts[#parts + 1] = quote(word)
    end
    local command = table.concat(parts, " ") .. " 2>" .. quote(errors)
    if dir then
        command = "cd " .. quote(dir) .. " && " .. command
    end
    local pipe <close> = assert(io.popen(command, "r"))
    local out = pipe:read("a")
    local _, how, code = pipe:close()
    local file <close> = assert(io.open(errors, "rb"))
    local err = file:read("a")
    os.remove(errors)
    return out, how == "exit" and code or -code, err
end

-- The same, for what must succeed: gives stdout, raises with the whole story otherwise. Exit code 4 (damage)
-- fails too.
function program.output(words, dir)
    local out, code, err = program.run(words, dir)
    if code ~= 0 then
        error(string.format("%s: exit code %d\n%s", table.concat(words, " "), code, err), 2)
    end
    return out
end

-- A new, empty folder.
function program.folder()
    local pipe <close> = assert(io.popen("mktemp -d", "r"))
    return (pipe:read("l"))
end

function program.remove(folder)
    os.execute("rm -rf " .. quote(folder))
end

function program.lines(text)
    local lines = {}
    for line in text:gmatch("([^\n]*)\n?") do
        lines[#lines + 1] = line
    end
    if lines[#lines] == "" then
        lines[#lines] = nil
    end
    return lines
end

function program.read_file(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read("a")
end

return program
