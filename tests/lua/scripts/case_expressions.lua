-- Every expression that the case types, with the value that its next lines show; prints those that differ.
local WANTED <const> = {
    { "0372e598", 0x372e598 }, { "0372e598+f8+14", 0x372e6a4 }, { "036f0000", 0x36f0000 }, { "20", 32 },
    { "ntdll!RtlpStackTraceDataBase", 0x7c97b170 }, { "poi( 7c97b170 )", 0x160000 },
    { "poi(poi(ntdll!RtlpStackTraceDataBase)+64)", 0x1160000 },
    { "poi(poi(poi(ntdll!RtlpStackTraceDataBase)+64)-4*7dfe)", 0x547c18 },
    { "poi(poi(poi(ntdll!RtlpStackTraceDataBase)+64)-4*17dfe)", 0xcebde8 },
    { "00547c18+c", 0x547c24 }, { "00cebde8+c", 0xcebdf4 },
    -- The numbers in its text: the two flags of a MAPI buffer, and that index and stored index are one.
    { "0x10000000 | 0x1", 0x10000001 }, { "17dfe & ffff", 0x7dfe },
}
for _, pair in ipairs(WANTED) do
    local value, message = dump:eval(pair[1])
    if value ~= pair[2] then print(("%s: %s"):format(pair[1], value and ("%x"):format(value) or message)) end
end
