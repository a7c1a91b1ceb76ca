-- The Duet case at full scale: about 380 MB and some seconds (see case.lua).

describe("the Duet case at full scale", function()
    require "case"({ setup = setup, teardown = teardown, it = it }, "1")
end)
