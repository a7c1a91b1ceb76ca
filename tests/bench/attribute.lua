-- attribute.lua: who allocated every block of a dump, for tests/bench/attribution.sh. With --clock it prints seconds
-- of processor time for the attribution and for its sites, and the number of busy blocks; needs --allow-files.
heapsift.script {
    summary = "attribute every block",
    options = {
        labels = { type = "flag", doc = "only label the blocks" },
        clock = { type = "flag", doc = "print processor time" },
    },
}

heapsift.recognise(dump)
if args.labels then return end
local clock <const> = args.clock and os.clock or function() return 0.0 end
local start <const> = clock()
local a <const> = heapsift.attribution(dump)
local judged <const> = clock()
local sites <const> = a:sites()
for i = 1, math.min(100, #sites) do assert(sites[i].blocks > 0) end
if args.clock then
    print(("%.6f %.6f %d"):format(judged - start, clock() - judged, dump:blocks("state == busy"):count()))
end
