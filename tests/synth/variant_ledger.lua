-- variant_ledger.lua: records of a made-up ledger library, in the buffers of the variant "ledger". The format stands in
-- docs/native.md, whose example decodes them; this is the writer, which shares nothing with it.

local ledger = {}

local KINDS <const> = { "order", "invoice", "note" }
local HEADER <const>, LEAST <const> = 12, 32
local TEXTS <const> = { "paper", "pens and ink", "a chair", "nobody knows", "stamps" }

local function adler32(bytes)
    local a, b = 1, 0
    for i = 1, #bytes do
        a = (a + bytes:byte(i)) % 65521
        b = (b + a) % 65521
    end
    return b << 16 | a
end

-- Puts a record at the start of a buffer's bytes, if they have room for one. Returns them and the label of the truth;
-- nil for a buffer that stays as it is. One in ten records is torn: something wrote over it later.
function ledger.record(random, buffer)
    if #buffer < LEAST then return nil end
    local kind = random(#KINDS)
    local text = TEXTS[random(#TEXTS)]:sub(1, math.min(#buffer, 0xffff) - LEAST)
    local fields = string.pack("<BBI4BBi8", 1, 4, random(1, 500), 2, 8, random(-100000, 100000)) ..
        string.pack("<Bs1", 3, text)
    local sum = adler32(fields)
    local torn = random(10) == 1
    if torn then
        local at = random(#fields)
        fields = fields:sub(1, at - 1) .. string.char(fields:byte(at) ~ random(1, 255)) .. fields:sub(at + 1)
    end
    local record = string.pack("<c4BBI2I4", "LDGR", 1, kind, HEADER + #fields, sum) .. fields
    return record .. buffer:sub(#record + 1), torn and "ledger.torn" or "ledger." .. KINDS[kind]
end

return ledger
