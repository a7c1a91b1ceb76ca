-- Writes a sample dump: an Outlook process on Windows XP with a heap leak, modelled on a published case.
-- Why: to try every command on something whose truth is known, and to test heapsift without anybody's
-- memory. Known limits: nothing in it ran; code bytes are left out; what the case does not show is made
-- up. Sample output: "wrote outlook.dmp: x86, scale 0.1, 29 heaps, 130923 traces".

heapsift.script {
  summary = "write a sample dump modelled on the Outlook case",
  description = [[
Writes a full user minidump of a made-up process. With --scale 1 its figures are those of the case: 28
heaps, more than
two million blocks in heap 036f0000, a full trace database of 0x1ff6b entries whose index no longer fits
into a block.
--truth and --truth-blocks say what is in it, told by the writer and not by an analysis.
The same options and the same seed give the same bytes.]],
  input = "output",
  options = {
    scale = { type = "number", doc = "multiplies block counts of heaps, above 0 to 8 (default 0.1)" },
    entries = { type = "integer", doc = "number of traces, 1 to 0x200000 (default: the case's 0x1ff6b)" },
    tiny = { type = "flag", doc = "a dump of at most 2 MB: some hundred blocks and traces" },
    seed = { type = "integer", default = 1, doc = "what may vary varies with it" },
    truth = { type = "path", doc = "also write figures and groups, as JSON" },
    truth_blocks = { type = "path", doc = "also write one line per block, tab separated" },
    no_ust = { type = "flag", doc = "without a trace database; look-aside lists in use" },
    arch = { type = "choice", choices = { "x86", "x64" }, default = "x86",
      doc = "x64: a small Windows Server 2003 process, layout partly unproven" },
    images = { type = "path", doc = "folder of PE files to take for modules of their names, linked at their bases" },
  },
  examples = { "heapsift run sample outlook.dmp",
    "heapsift run sample outlook.dmp --scale 1 --truth outlook.json" },
  json = "heapsift.sample/1",
}

local sample = require "sample.init"

local function usage(text) heapsift.fail("usage", text) end

if args.scale and not (args.scale > 0 and args.scale <= 8) then
  usage(string.format("--scale is %s, expected more than 0 and at most 8", args.scale))
end
if args.entries and not (args.entries >= 1 and args.entries <= sample.LARGEST_ENTRIES) then
  usage(string.format("--entries is %d, expected 1 to 0x%x", args.entries, sample.LARGEST_ENTRIES))
end
if args.tiny and args.scale then usage("--tiny and --scale exclude each other") end
if args.no_ust and args.entries then usage("--no-ust has no trace database, so --entries has no meaning") end

local taken = 0
local function image_file(name)
  for _, spelled in ipairs { name, name:lower() } do
    local bytes = heapsift.input(args.images .. "/" .. spelled)
    if bytes then
      taken = taken + 1
      return bytes
    end
  end
  return nil
end

local plan, reason, is_image = sample.plan { arch = args.arch, scale = args.scale, entries = args.entries,
  seed = args.seed,
  tiny = args.tiny, ust = not args.no_ust, image_file = args.images and image_file }
if is_image then heapsift.fail("failed", args.images .. ": " .. reason) end
if args.images and taken == 0 then
  heapsift.fail("missing", args.images .. ": no file there has the name of a module (ntdll.dll, rpcrt4.dll, ...)")
end
if not plan then usage(string.format("--scale %s: %s", args.scale, reason)) end

local outputs = { dump = heapsift.output(args.input), truth = args.truth and heapsift.output(args.truth),
  blocks = args.truth_blocks and heapsift.output(args.truth_blocks) }
sample.write(plan, outputs)
outputs.dump:close()
if outputs.truth then outputs.truth:close() end
if outputs.blocks then outputs.blocks:close() end

local traces = plan.traces and plan.traces.count or 0
if args.json then
  return report:result { path = args.input, arch = args.arch, scale = plan.scale, heaps = #plan.heaps,
    traces = traces }
end
print(string.format("wrote %s: %s, scale %s, %d heaps, %d traces", args.input, args.arch, plan.scale,
  #plan.heaps,
  traces))
