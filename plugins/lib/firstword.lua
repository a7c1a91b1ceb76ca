-- firstword: does the first word of a block point to a vtable?
-- `!heap -p -a` prints "? module+offset" under a block whenever its first word lies in a module's image. That
-- proves nothing: flags such as 10000001 lie in a DLL that was loaded at 10000000. A vtable is
-- pointer-aligned, lies in a section that is not writable, and its slots point into executable sections.

local text = require "text"

local firstword = {}

local SLOTS <const> = 2 -- a vtable with fewer slots than this is too short to be told from chance

local function section_of(module, va)
    for _, section in ipairs(module:sections()) do
        if va >= section.address and va < section.address + section.size then
            return section
        end
    end
    return nil
end

-- How many pointers in a row from `va` on lead into executable sections (at most SLOTS are looked at).
local function code_slots(dump, va)
    for slot = 0, SLOTS - 1 do
        local target = dump:ptr(va + slot * dump.pointer_size)
        local module = target and target >= 0 and dump:module(target)
        local section = module and section_of(module, target)
        if not section or not section.executable then
            return slot
        end
    end
    return SLOTS
end

-- nil if the word points into no image; else { value, module, section (name or nil for the PE header),
-- is_vtable, why = "is not pointer-aligned" }.
function firstword.judge(dump, block)
    if block.size < dump.pointer_size then
        return nil
    end
    local value = dump:ptr(block.user)
    local module = value and value >= 0 and dump:module(value)
    if not module then
        return nil
    end
    local section = section_of(module, value)
    local why
    if value % dump.pointer_size ~= 0 then
        why = string.format("is no multiple of %d", dump.pointer_size)
    elseif not section then
        why = "lies in no section"
    elseif section.writable then
        why = "lies in a writable section"
    elseif code_slots(dump, value) < SLOTS then
        why = "is not followed by pointers to code"
    end
    return {
        value = value, module = module, section = section and section.name, is_vtable = not why, why = why,
    }
end

-- "? 3rdpartydll+1", as the debugger prints it.
function firstword.hint(dump, verdict)
    local symbol = dump:symbol(verdict.value, "windbg") or verdict.module.name
    return "? " .. (symbol:gsub("%+0x", "+"))
end

-- Sentences, each one line.
function firstword.lines(dump, verdict)
    local module = verdict.module
    local where = string.format("First word %s points into %s (%s to %s), %s.",
        text.address(dump, verdict.value), module.name, text.address(dump, module.base),
        text.address(dump, module.end_address),
        verdict.section and "section " .. verdict.section or "PE header")
    if verdict.is_vtable then
        return {
            where,
            string.format("It looks like a vtable: aligned, not writable, then pointers to code (%s+0x%x).",
                module.name, verdict.value - module.base),
        }
    end
    return {
        where,
        string.format("It is no vtable: the value %s. A debugger prints \"%s\" here;", verdict.why,
            firstword.hint(dump, verdict)),
        string.format("that does not mean that %s has anything to do with the block.", module.name),
    }
end

return firstword
