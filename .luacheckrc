-- Scripts and plugins run inside the program: no io, no os, no loading of files; the program gives them these globals.
std = "lua54"
max_line_length = 120
cache = false
-- A method that does not need its object is still a method; loops give more than each body wants.
self = false
unused_secondaries = false

local inside = {
    std = "lua54",
    read_globals = { "heapsift", "dump", "args", "report", "results", "lpeg" },
    not_globals = { "io", "os", "dofile", "loadfile", "debug", "package", "collectgarbage" },
}
files["scripts"] = inside
files["plugins"] = inside
files["docs/examples"] = inside
-- The program's own code around scripts: it has what they have not.
files["plugins/lib/host"] = {
    std = "lua54",
    read_globals = { "io", "os", "debug", "collectgarbage", package = { other_fields = true, read_only = false } },
}
-- An annotated description of what C gives, never run.
files["plugins/lib/heapsift.meta.lua"] = { ignore = { "1", "2", "3", "4", "631" } }
files["tests/bench"] = inside
files["tests/bench/accuracy.lua"] = { read_globals = { "io", "os" } } -- run with --allow-files
files["tests/bench/attribute.lua"] = { read_globals = { "os" } } -- run with --allow-files
files["tests/bench/native.lua"] = { read_globals = { "os", "collectgarbage" } } -- run with --allow-files
files["tests/synth"] = inside
files["tests/lua"] = { std = "lua54+busted" }
files["tests/lua/scripts"] = inside
