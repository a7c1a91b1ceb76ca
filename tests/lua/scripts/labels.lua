-- labels: what the recognisers say, for tests/lua/recognisers_spec.lua: one line a type, signature, row set and hint;
-- with --blocks one line a busy block.

heapsift.script { summary = "labels, for a test", options = { blocks = { type = "flag" } } }

local notes, facts = heapsift.recognise(dump)
for _, note in ipairs(notes) do print("note " .. note) end
if args.blocks then
    for block in dump:blocks("state == busy"):each() do
        print(("block %x %s"):format(block.address, block.type or "-"))
    end
    return
end
for row in dump:blocks("state == busy"):group "type" do print(("type %s %d"):format(row.type or "-", row.count)) end
for _, one in ipairs(facts.mapi.signatures) do
    print(("signature %s %d %d %s %s"):format(one.kind, #one.columns, one.blocks, one.names[1], one.names[2]))
    assert(dump:blocks("state == busy and " .. one.where):count() == one.blocks)
end
for _, one in ipairs(facts.mapi.sets) do
    print(("set %s: %d rows of %d"):format(one.kind, one.rows, one.columns))
    assert(dump:blocks("state == busy and " .. one.where):count() == one.blocks)
end
for _, hint in ipairs(facts.vtable.hints) do
    local types = hint.types()
    print(("hint %s: %s; %d blocks, mostly %s"):format(hint.debugger, hint.why, hint.blocks, types[1].type or "-"))
end
