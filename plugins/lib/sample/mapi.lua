-- MAPI memory as the case's dump shows it: rows of a table query and the buffers linked to them.
-- A buffer of MAPIAllocateBuffer starts with two words: flags (10000001 in the case) and the link to the
-- buffer that MAPIAllocateMore attached last; each of those links to the one before. What the caller got
-- starts behind them. A row is an array of SPropValue with the case's fifteen columns. x64: the same,
-- naturally aligned (inferred).

local mapi = {}

-- the second is invented (the case does not show it)
mapi.BUFFER_FLAGS, mapi.MORE_FLAGS = 0x10000001, 0x20000001

-- Columns: tag and kind of value. Names: PR_ENTRYID, PR_MESSAGE_CLASS_A, PR_CREATION_TIME, PR_SEARCH_KEY,
-- PR_SUBJECT W and A, PR_SUBJECT_PREFIX W and A, PR_MESSAGE_DELIVERY_TIME, PR_CLIENT_SUBMIT_TIME,
-- PR_INTERNET_MESSAGE_ID_A, PR_SENDER_EMAIL_ADDRESS W and A, PR_IMPORTANCE, PR_HASATTACH.
local COLUMNS = { { 0x0fff0102, "binary" }, { 0x001a001e, "text" }, { 0x30070040, "time" }, { 0x300b0102,
  "binary" },
  { 0x0037001f, "text" }, { 0x0037001e, "text" }, { 0x003d001f, "text" }, { 0x003d001e, "text" },
  { 0x0e060040, "time" }, { 0x00390040, "time" }, { 0x1035001e, "text" }, { 0x0c1f001f, "text" },
  { 0x0c1f001e, "text" }, { 0x00170003, "long" }, { 0x0e1b000b, "long" } }
mapi.COLUMNS = #COLUMNS
mapi.ENTRY_ID, mapi.SEARCH_KEY = 0x18, 0x10                  -- bytes of the two binary columns

local FORMATS = {
  [4] = { text = "I4xxxx", binary = "I4I4", time = "I4I4", long = "I4xxxx" },
  [8] = { text = "I8xxxxxxxx", binary = "I4xxxxI8", time = "I4I4xxxxxxxx", long = "I4xxxxxxxxxxxx" },
}

-- Format of a row's contents; its arguments are the header words and the columns' values, in order.
function mapi.row_format(abi)
  local formats = FORMATS[abi.pointer_size]
  local parts = { abi.mapi.header }
  for _, column in ipairs(COLUMNS) do parts[#parts + 1] = "c8" .. formats[column[2]] end
  return table.concat(parts)
end

local TAGS = {}
for index, column in ipairs(COLUMNS) do TAGS[index] = string.pack("<I4I4", column[1], 0) end

-- The contents of a row. at: addresses of the values by name; link: newest extra buffer; low, high: its
-- time.
function mapi.row(format, link, at, created, delivered, submitted, high)
  return string.pack(format, mapi.BUFFER_FLAGS, link,
    TAGS[1], mapi.ENTRY_ID, at.entry_id, TAGS[2], at.class, TAGS[3], created, high,
    TAGS[4], mapi.SEARCH_KEY, at.search_key, TAGS[5], at.subject_w, TAGS[6], at.subject_a,
    TAGS[7], at.prefix_w, TAGS[8], at.prefix_a, TAGS[9], delivered, high, TAGS[10], submitted, high,
    TAGS[11], at.message_id, TAGS[12], at.sender_w, TAGS[13], at.sender_a, TAGS[14], 1, TAGS[15], 1)
end

-- Bytes of a row block, and of an extra buffer around `data` bytes.
function mapi.row_size(abi) return abi.mapi.header_size + abi.mapi.value_size * #COLUMNS end

-- The contents of an SRowSet over rows (user addresses): { cRows, { ulAdrEntryPad, cValues, lpProps } ...
-- }.
function mapi.row_set(abi, rows)
  local out = { string.pack(abi.mapi.header, mapi.BUFFER_FLAGS, 0),
    string.pack(abi.pointer_size == 4 and "<I4" or "<I4xxxx", #rows) }
  for _, user in ipairs(rows) do
    out[#out + 1] = string.pack("<I4I4" .. abi.pointer, 0, #COLUMNS, user + abi.mapi.header_size)
  end
  return table.concat(out)
end

return mapi
