-- The Duet case on a small sample: everything that does not depend on the scale (see case.lua).

describe("the Duet case", function()
    require "case"({ setup = setup, teardown = teardown, it = it }, "0.1")
end)
