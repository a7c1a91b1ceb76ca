-- absent.lua: what people type who come from WinDbg, that is no command here: what stands for it.

local RUNS <const> = "nothing runs in a dump: no breakpoints, no steps"
local WRITES <const> = "a dump does not change"
local FLOW <const> = "that is what Lua is for: for, if, print, string.format"
local THREAD <const> = "the thread of the exception is the current one; ~ lists them, ~3s takes another"
local LOCALS <const> = "locals are not read; dt TYPE ADDRESS shows a structure, dps the stack"
local EXTENSIONS <const> = "extensions are Windows DLLs; a command of your own is a Lua file: docs/shell.md"

local REASONS <const> = {
    ["g p t gu gh gn pc pt ta tc tt wt bp bu bm ba bl bc bd be sxe sxd sxi .restart .kill .detach .attach"] = RUNS,
    ["e ea eb ed eq ew eu eza f m rm .dvfill .writemem .allocmem .freemem"] = WRITES,
    [".if .else .elsif .for .foreach .while .do .break .continue .block .printf as al ad aS j z"] = FLOW,
    [".ecxr .cxr .exr .thread .lastevent"] = THREAD,
    ["dv dx dtx .frame kp kP kd"] = LOCALS,
    [".load .loadby .unload .chain .extpath .scriptload"] = EXTENSIONS,
    ["!analyze"] = "who blames memory: `heapsift run who DUMP`; ~*k shows every stack",
    ["!umdh !leak !heapstat"] = "`heapsift run who DUMP` says who; !heap -stat and !ust show it",
    ["vertarget version .time .lastevent | || !vadump !vprot"] = "`heapsift run info DUMP`, or dump:info() here",
    ["!address! !dh !lmi !dlls"] = "lmv m MODULE shows a module",
    ["!locks !cs !runaway !handle !uniqstack !gle !error !peb64"] =
        "not read; ~*k shows every stack, dt any structure",
    ["poi hi low by wo dwo qwo"] = "an operator of expressions: ? poi(...)",
    ["quit exit"] = "q ends the shell",
    ["help man hh"] = ".help lists the commands",
    ["dl dlb ddp dpp dqp dpa dpu dda ddu dqa dqu dyb dyd df dD"] =
        "not here; dps and dds show pointers with names, dc and da text",
}

local absent = {}

local WORDS <const> = {}
for words, reason in pairs(REASONS) do
    for word in words:gmatch "%S+" do WORDS[word] = reason end
end

-- " (WinDbg's 'g': nothing runs in a dump)" for a word that WinDbg's users may type; "" for any other.
function absent.hint(word)
    local reason = WORDS[word] or WORDS[word:lower()]
    return reason and (" (WinDbg's '%s': %s)"):format(word, reason) or ""
end

return absent
