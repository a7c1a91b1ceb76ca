-- batches: what the specs of heapsift batch share: a folder, a shell, questions to a store through SQLite's own shell,
-- and what must be the same of two stores.

local program = require "program"

local batches = {}

-- The folder that all of it happens in: set it first.
batches.folder = nil

function batches.quote(word) return "'" .. word:gsub("'", "'\\''") .. "'" end

function batches.write(name, text)
    local file <close> = assert(io.open(batches.folder .. "/" .. name, "wb"))
    file:write(text)
    return batches.folder .. "/" .. name
end

-- Runs lines of sh in the folder with H as the program; gives what they printed, stderr included.
function batches.shell(command)
    local pipe <close> = assert(io.popen(("cd %s && H=%s && {\n%s\n} 2>&1"):format(batches.quote(batches.folder),
        batches.quote(program.path), command)))
    return pipe:read "a"
end

-- Rows of a question, columns joined by |, through SQLite's own shell: somebody else's reader of the same file.
function batches.ask(db, sql)
    return program.lines(batches.shell(("sqlite3 -batch %s %s"):format(batches.quote(db), batches.quote(sql))))
end

-- What stands in a script, behind heapsift.script, that is to be held at an input NAME for as long as there is a file
-- hold-NAME, a dump, in the folder that the batch was started in: so that a test can meet it in the middle of its work,
-- however fast the machine.
batches.HELD = [[
repeat
    local held = heapsift.open("hold-" .. args.input:match "[^/]*$")
    if held then held:close() end
until not held
]]

function batches.run(...)
    return program.run({ "batch", ... }, batches.folder)
end

-- What must be the same of two stores: every table but runs and timings, without ids.
local CONTENT <const> = [[
SELECT 'input', replace(path, '/again/', '/'), path_bytes, size, state, (SELECT content FROM dumps WHERE id =
dump_id) FROM inputs
UNION ALL SELECT 'dump', content, size, arch, windows, process FROM dumps
UNION ALL SELECT 'module', content, name, version, timestamp, m.size FROM dump_modules JOIN dumps d ON d.id =
dump_id JOIN modules m ON m.id = module_id
UNION ALL SELECT 'result', content, state, exit_code, result, schema FROM results JOIN dumps d ON d.id = dump_id
UNION ALL SELECT 'figure', content, position, name, value, unit FROM figures JOIN results r ON r.id = result_id
JOIN dumps d ON d.id = dump_id
UNION ALL SELECT 'finding', content, position, claim, bytes, (SELECT site FROM site_list s WHERE s.site_id =
f.site_id) FROM findings f JOIN results r ON r.id = result_id JOIN dumps d ON d.id = dump_id
UNION ALL SELECT 'note', content, position, text, NULL, NULL FROM notes JOIN results r ON r.id = result_id JOIN
dumps d ON d.id = dump_id
UNION ALL SELECT 'error', coalesce(path, (SELECT content FROM dumps d JOIN results r ON r.dump_id = d.id WHERE r.id
= result_id)), reason, message, stderr, NULL FROM errors LEFT JOIN inputs i ON i.id = input_id
ORDER BY 1, 2, 3, 4, 5, 6
]]
function batches.content(db) return batches.ask(db, (CONTENT:gsub("\n", " "))) end

return batches
