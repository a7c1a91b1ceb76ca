-- batch_options_spec: what batch_spec has no room for: cabinets, lists of paths, a limit on memory, progress as JSON.

local batches = require "batches"
local json = require "dkjson"
local program = require "program"

local ask, shell, write = batches.ask, batches.shell, batches.write
local folder

setup(function()
    folder = program.folder()
    batches.folder = folder
    shell "mkdir dumps"
    for seed = 1, 3 do
        program.output { "run", "sample", ("%s/dumps/%d.dmp"):format(folder, seed), "--tiny", "--seed", tostring(seed) }
    end
    write("blocks.lua", "report:figure('blocks', dump:blocks():count())")
end)

teardown(function() program.remove(folder) end)

-- Path and figure (or error) of each input, paths without the folder.
local function rows(db)
    local list = ask(db, "SELECT i.path, i.state, coalesce(f.value, e.reason || ': ' || e.message, '') FROM inputs i"
        .. " LEFT JOIN results r ON r.dump_id = i.dump_id LEFT JOIN figures f ON f.result_id = r.id"
        .. " LEFT JOIN errors e ON e.input_id = i.id OR e.result_id = r.id ORDER BY i.path")
    for i, row in ipairs(list) do list[i] = row:gsub(folder .. "/", "", 1) end
    return list
end

local function blocks(seed)
    local found
    write("count.lua", "print(dump:blocks():count())")
    found = program.output({ "run", "count.lua", ("dumps/%d.dmp"):format(seed) }, folder)
    return found:match "%d+"
end

-- A cabinet of stored files, as the format's description (MS-CAB) has it.
local function cabinet(files)
    local BLOCK <const> = 32768
    local all, entries, at = {}, {}, 0
    for i, file in ipairs(files) do
        all[i] = file.bytes
        entries[i] = string.pack("<I4I4I2I2I2I2z", #file.bytes, at, 0, 0x3a21, 0x6000, 0x20, file.name)
        at = at + #file.bytes
    end
    local bytes, data = table.concat(all), {}
    for from = 1, #bytes, BLOCK do
        local piece = bytes:sub(from, from + BLOCK - 1)
        data[#data + 1] = string.pack("<I4I2I2", 0, #piece, #piece) .. piece
    end
    local names, pieces = table.concat(entries), table.concat(data)
    local files_at = 36 + 8
    local data_at = files_at + #names
    return "MSCF"
        .. string.pack("<I4I4I4I4I4BBI2I2I2I2I2", 0, data_at + #pieces, 0, files_at, 0, 3, 1, 1, #files, 0, 0, 0)
        .. string.pack("<I4I2I2", data_at, #data, 0) .. names .. pieces
end

describe("a cabinet", function()
    it("gives its dumps, and no more", function()
        local one, two = program.read_file(folder .. "/dumps/1.dmp"), program.read_file(folder .. "/dumps/2.dmp")
        shell "mkdir cabs"
        local whole = cabinet {
            { name = "one.dmp", bytes = one }, { name = "readme.txt", bytes = "no dump" },
            { name = "deep\\two.dmp", bytes = two }, { name = "..\\..\\up.dmp", bytes = one },
        }
        write("cabs/a.cab", whole)
        write("cabs/cut.cab", whole:sub(1, #whole // 4))
        write("cabs/no.cab", "MSCF" .. ("\xff"):rep(100))
        local out, code, err = program.run({ "batch", "blocks.lua", "cabs", "--out", "c.db" }, folder)
        assert.equal(4, code, out .. err)
        local found = rows "c.db"
        assert.equal("cabs/a.cab|unpacked|", found[1])
        local members = {}
        for i = 2, #found do members[found[i]:gsub("\\", "/")] = true end
        found = table.concat(found, "\n")
        assert.is_true(members["cabs/a.cab//one.dmp|known|" .. blocks(1)], found)
        assert.is_true(members["cabs/a.cab//deep/two.dmp|known|" .. blocks(2)], found)
        assert.truthy(found:find("up.dmp|refused|refused: a name that leads out of the archive (..)", 1, true), found)
        assert.truthy(found:find("cabs/cut.cab|unreadable|unreadable: ", 1, true), found)
        assert.truthy(found:find("cabs/no.cab|unreadable|unreadable: ", 1, true), found)
    end)
end)

describe("a list of paths", function()
    it("is read line by line, from a file or from standard input", function()
        shell "mkdir lists; ln -s ../dumps/3.dmp 'lists/sp ace.dmp'"
        write("list.txt", "dumps/1.dmp\r\n\ndumps/[2]*.dmp\nlists/sp ace.dmp\nnowhere.dmp")
        local out, code, err = program.run({ "batch", "blocks.lua", "@list.txt", "--out", "l.db" }, folder)
        assert.equal(4, code, out .. err)
        local found = rows "l.db"
        assert.same({
            "dumps/1.dmp|known|" .. blocks(1), "dumps/2.dmp|known|" .. blocks(2),
            "lists/sp ace.dmp|known|" .. blocks(3),
        }, { found[1], found[2], found[3] })
        assert.truthy(found[4]:find "^nowhere.dmp|unreadable|", found[4])
        assert.is_nil(found[5])
        out = shell [[printf 'dumps/3.dmp\ndumps/1.dmp' | "$H" batch blocks.lua @- --out i.db; echo "code $?"]]
        assert.truthy(out:find "code 0\n$", out)
        assert.same({ "dumps/1.dmp|known|" .. blocks(1), "dumps/3.dmp|known|" .. blocks(3) }, rows "i.db")
    end)

    it("that is not there, or empty, is an error of one line", function()
        local _, code, err = program.run({ "batch", "blocks.lua", "@none.txt", "--out", "n.db" }, folder)
        assert.equal(3, code)
        assert.truthy(err:find("none.txt", 1, true), err)
        assert.equal(1, #program.lines(err))
        write("empty.txt", "\n")
        _, code, err = program.run({ "batch", "blocks.lua", "@empty.txt", "--out", "e.db" }, folder)
        assert.equal(6, code)
        assert.equal(1, #program.lines(err))
    end)
end)

describe("--memory", function()
    it("ends a process that takes more, and does not count the dump", function()
        if os.getenv "HEAPSIFT_SANITIZED" == "1" then pending "a sanitizer's memory is terabytes" end
        write("grows.lua", [[
            if args.input:find "2.dmp" then
                local kept = {}
                for i = 1, 1 << 20 do kept[i] = ("x"):rep(1000) .. i end
            end
            report:figure("size", dump:info().file_size)]])
        local sparse = shell [[
            "$H" run sample small.dmp --arch x64 --tiny > /dev/null && mkdir large &&
            "$BUILD/bench/sparse" small.dmp large/40.dmp 40 > /dev/null && stat -c %s large/40.dmp]]
        local out, code = program.run({ "batch", "grows.lua", "dumps", "large", "--memory", "200M", "--out", "m.db" },
            folder)
        shell "rm -f large/40.dmp"
        assert.equal(4, code, out)
        local found = rows "m.db"
        assert.equal(4, #found)
        assert.truthy(found[1]:find "^dumps/1.dmp|known|%d+$", found[1])
        assert.truthy(found[2]:find "^dumps/2.dmp|known|memory: ", found[2])
        assert.truthy(found[3]:find "^dumps/3.dmp|known|%d+$", found[3])
        assert.equal("large/40.dmp|known|" .. sparse:match "%d+", found[4])
        assert.is_true(tonumber(sparse) > 40 << 30)
    end)
end)

describe("--progress json", function()
    it("writes one object a line, the last when it ends", function()
        write("slow.lua", "local s = 0 for i = 1, 3e7 do s = s + i end report:figure('s', s)")
        local _, code, err = program.run({ "batch", "slow.lua", "dumps", "nowhere.dmp", "--jobs", "1", "--out", "p.db",
            "--progress", "json" }, folder)
        assert.equal(4, code, err)
        local lines = program.lines(err)
        assert.is_true(#lines >= 2, err)
        local before = { seen = 0, done = 0, failed = 0, seconds = 0 }
        for i, line in ipairs(lines) do
            local event, _, message = json.decode(line)
            assert.equal("table", type(event), message)
            assert.equal(i == #lines and "end" or "progress", event.event)
            for name, value in pairs(before) do assert.is_true(event[name] >= value, line) end
            assert.is_true(event.seen <= event.total, line)
            before = { seen = event.seen, done = event.done, failed = event.failed, seconds = event.seconds }
        end
        local last = json.decode(lines[#lines])
        assert.same({ 4, 4, 3, 1 }, { last.seen, last.total, last.done, last.failed })
    end)
end)
