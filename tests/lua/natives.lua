-- natives: builds the shared libraries of tests/native for the specs beside this file.

local program = require "program"

local natives = {}

natives.sanitized = os.getenv "HEAPSIFT_SANITIZED" == "1"
natives.folder = program.folder()

-- Compilers and their options: each library is tried as both make it. gcc's sanitizers can be in a library only where
-- they are in the program, too.
natives.compilers = {
    { name = "gcc", command = "gcc -Wall -Wextra -Werror -O1" ..
        (natives.sanitized and " -fsanitize=address,undefined" or "") },
    { name = "clang", command = "clang -Wall -Wextra -Werror -O2" },
}

-- Path of the library made of a C source: of tests/native unless `source` is a path.
function natives.build(source, compiler)
    compiler = compiler or natives.compilers[1]
    local path = source:find "/" and source or program.root .. "/tests/native/" .. source
    local library = ("%s/%s-%s.so"):format(natives.folder, path:match "([%w_]+)%.c$", compiler.name)
    local command = ("%s -std=gnu17 -fPIC -shared -o '%s' '%s' 2>&1"):format(compiler.command,
        library, path)
    local pipe <close> = assert(io.popen(command))
    local said = pipe:read "a"
    assert(pipe:close(), said)
    return library
end

local function write(name, text)
    local path = natives.folder .. "/" .. name
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(text))
    return path
end
natives.write = write

-- Runs a script on a dump with --allow-native. Gives stdout, exit code, stderr, with N for the script's line numbers.
function natives.run(text, dump, ...)
    write("script.lua", text)
    local out, code, err = program.run({ "run", "script.lua", dump, "--allow-native", ... }, natives.folder)
    local function plain(said) return (said:gsub("script%.lua:%d+", "script.lua:N")) end
    return plain(out), code, plain(err)
end

return natives
