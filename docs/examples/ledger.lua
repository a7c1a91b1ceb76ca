-- ledger.lua: a plugin that labels the records of the ledger library by its own C code: ledger.so beside it, made of
-- ledger.c. See docs/native.md.
local DECLARATIONS <const> = [[
    enum ledger_kind { LEDGER_NONE, LEDGER_ORDER, LEDGER_INVOICE, LEDGER_NOTE, LEDGER_TORN };
    struct ledger_record { uint8_t kind; uint32_t account; int64_t cents; char text[32]; };
    struct ledger_totals { uint64_t records, torn; int64_t cents[4]; };
    __attribute__((pure)) uint8_t ledger_kind(const void *data, size_t size, uint64_t address);
    bool ledger_decode(const void *data, size_t size, struct ledger_record *out);
    void ledger_add(const void *data, size_t size, uint64_t address, struct ledger_totals *totals);
]]
local NAMES <const> = { "order", "invoice", "note", "torn" }

-- The first record of a set, decoded.
local function first(lib, set)
    local record = lib:new "struct ledger_record"
    for block in set:each() do
        if lib.ledger_decode(assert(lib:view(block)), block.size, record) then
            return { account = record.account, cents = record.cents, text = lib:string(record.text) }
        end
    end
end

return {
    name = "ledger",
    summary = "records of the ledger library, by its own C code",
    kind = "recogniser",
    needs = { "blocks" },
    applies = function() return heapsift.allow_native, "needs --allow-native" end,
    recognise = function(_, set)
        local lib = assert(heapsift.native("ledger.so", DECLARATIONS))
        local records = set:where "size >= 12 and u32(0) == 0x5247444c" -- "LDGR"
        records:map(lib.ledger_kind)
        for kind, name in ipairs(NAMES) do
            records:where(("column.ledger_kind == %d"):format(kind)):label("ledger." .. name, 0.98,
                "magic, length and checksum")
        end
        local totals = records:fold(lib.ledger_add, lib:new "struct ledger_totals")
        return { records = totals.records, torn = totals.torn, invoiced = totals.cents[lib.LEDGER_INVOICE],
                 first = first(lib, records) }
    end,
}
