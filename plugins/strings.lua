-- strings: blocks that hold one text from their first byte on.
-- Why: what allocates strings is known (SysAllocString, RPC, CoTaskMemAlloc); text where a stack tells of objects, or
-- objects where it tells of text, shows that the stack is not the block's.
-- Labels: string.ascii, string.utf16, bstr (the text has its length in bytes in front). Confidence is less where other
-- bytes follow the text.
-- Known false alarms: a number that looks like four letters in a block of eight bytes; characters kept in a long buffer
-- have a lower confidence; texts of less than four letters (UTF-16: three, BSTR: two) are not labelled at all.

-- Characters, a terminator and at most 7 bytes of rounding.
local WHOLE_ASCII <const> = "ascii(0) in size - 8..size - 1"
local WHOLE_UTF16 <const> = "2 * utf16(0) in size - 9..size - 2"

-- A BSTR's length stands in the 4 bytes before its text, which is aligned as pointers are.
local function bstr_of(dump)
    return dump.pointer_size, dump.pointer_size - 4
end

-- Cheap tests of single bytes stand first in each filter, as whole heaps go through them, and a test that mostly tells
-- stands before others: each counts the characters anew.
local function find_text(dump)
    local text_at, length_at = bstr_of(dump)
    -- What other recognisers find mostly begins with a byte 1 (flags); no text does, nor the length of a BSTR.
    -- A length is no more than the size, so its highest byte is 0 but in blocks of 16 MiB.
    return ("not u8(0) == 1 and (ascii(0) > 3 or utf16(0) > 2 or (u8(%d) == 0 or size > 0xffffff) and " ..
        "u32(%d) in 4..size and u32(%d) == 2 * utf16(%d))"):format(length_at + 3, length_at, length_at, text_at)
end

local function recognise(dump, _, texts)
    local text_at, length_at = bstr_of(dump)
    local labels, filters = {}, {}
    local function label(where, type, confidence, evidence)
        filters[#filters + 1] = where
        labels[#labels + 1] = { type, confidence, evidence }
    end

    label(("u32(%d) in 4..size - %d and u32(%d) == 2 * utf16(%d)"):format(length_at, text_at + 2, length_at, text_at),
        "bstr", 0.97, "length in bytes before UTF-16 text")

    label("not u8(1) == 0 and " .. WHOLE_ASCII .. " and (size > 11 or ascii(0) > 3)", "string.ascii", 0.95,
        "text to the end of the block")
    label("not u8(1) == 0 and (ascii(0) > 15 or ascii(0) > 7 and 2 * ascii(0) >= size)", "string.ascii", 0.6,
        "text, then other bytes")

    -- Latin text has zeros in between, which other bytes hardly have twice.
    local latin <const> = "u8(1) == 0 and u8(3) == 0 and "
    label(latin .. WHOLE_UTF16 .. " and (size > 14 or utf16(0) > 2)", "string.utf16", 0.95,
        "text to the end of the block")
    label(latin .. "utf16(0) in 4..size / 2 - 1 and (utf16(0) > 15 or 4 * utf16(0) >= size)", "string.utf16", 0.6,
        "text, then other bytes")

    -- Other scripts: most pairs of bytes are some character, so a terminator at the very end, and characters of one
    -- script in front, must speak for it.
    label("(u16(0) in 0x370..0x6ff and u16(2) in 0x370..0x6ff and u16(4) in 0x370..0x6ff or " ..
        "u16(0) in 0x3000..0xd7a3 and u16(2) in 0x3000..0xd7a3 and u16(4) in 0x3000..0xd7a3 and size > 17) and " ..
        "ascii(0) < 4 and utf16(0) > 3 and " .. WHOLE_UTF16, "string.utf16", 0.8,
        "text of another script to the end of the block")

    for i, set_of_label in ipairs { texts:where(table.unpack(filters)) } do
        set_of_label:label(table.unpack(labels[i]))
    end
end

return {
    name = "strings",
    summary = "ASCII and UTF-16 texts, BSTRs",
    kind = "recogniser",
    needs = { "blocks" },
    filters = find_text,
    recognise = recognise,
}
