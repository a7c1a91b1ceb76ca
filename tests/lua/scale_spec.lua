-- docs/scale.md, followed: what it says of GNU parallel and of a Kubernetes Job is run here, each part of it, and
-- merged.

local program = require "program"
local batches = require "batches"
local content, shell, write = batches.content, batches.shell, batches.write

local whole

-- A block of the page that has `pattern` in its first line, as if its folders were those of the test.
local function block(page, pattern)
    for text in page:gmatch "\n\n(    .-)\n\n%f[^\n]" do
        if text:match "[^\n]*":find(pattern) then
            return (text:gsub("^    ", ""):gsub("\n    ", "\n"):gsub("/srv/", batches.folder .. "/"):gsub("/out/",
                batches.folder .. "/out/"))
        end
    end
    error("no such block: " .. pattern)
end

local function is_whole(db)
    assert.same(whole, content(db))
    assert.same({ "64" }, batches.ask(db, "SELECT count(*) FROM shards"))
end

setup(function()
    batches.folder = program.folder()
    shell "mkdir dumps out bin; ln -s \"$H\" bin/heapsift"
    for seed = 1, 3 do
        program.output({ "run", "sample", ("dumps/%d.dmp"):format(seed), "--tiny", "--seed", tostring(seed) },
            batches.folder)
    end
    shell [[cp dumps/1.dmp dumps/copy.dmp; echo no > dumps/no.dmp
        find "$PWD/dumps" -name '*.dmp' > list.txt; "$H" batch who @list.txt --out whole.db]]
    whole = content "whole.db"
end)

teardown(function() program.remove(batches.folder) end)

describe("what docs/scale.md says", function()
    local page = program.read_file(program.root .. "/docs/scale.md")

    it("of GNU parallel is so", function()
        if shell "parallel --version 2> /dev/null" == "" then pending "GNU parallel is not there" end
        write("nodes.txt", ":\n") -- this machine
        shell(("PATH=$PWD/bin:$PATH; export PATH HOME=$PWD\n%s"):format(block(page, "^ *find .* > list.txt$")))
        is_whole "all.db"
    end)

    it("of a Kubernetes Job is so", function()
        if shell "python3 -c 'import yaml' || echo no" ~= "" then pending "python3-yaml is not there" end
        local commands = block(page, "^ *find .* > /out/list.txt$")
        shell(commands:match "^[^\n]*")
        write("job.py", [==[
import os, subprocess, sys, yaml
with open(sys.argv[1]) as file:
    (job,) = yaml.safe_load_all(file)
spec = job["spec"]
assert (job["apiVersion"], job["kind"], spec["completionMode"]) == ("batch/v1", "Job", "Indexed")
pod = spec["template"]["spec"]
(container,) = pod["containers"]
volumes = {volume["name"] for volume in pod["volumes"]}
mounts = {mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] in volumes}
assert mounts == {"/srv/dumps", "/out"}, mounts
command = [word.replace("/out/", sys.argv[2] + "/out/") for word in container["command"] + container["args"]]
for index in range(spec["completions"]):
    code = subprocess.run(command, env={**os.environ, "JOB_COMPLETION_INDEX": str(index)}).returncode
    assert code == 0, (index, code)
print("pods", spec["completions"])
]==])
        local out = shell(("PATH=$PWD/bin:$PATH; export PATH\npython3 job.py %s \"$PWD\"\n%s"):format(
            batches.quote(program.root .. "/docs/examples/kubernetes-job.yaml"), commands:match "[^\n]*$"))
        assert.truthy(out:find "pods 64\n.*64 parts joined", out)
        is_whole "out/all.db"
    end)
end)
