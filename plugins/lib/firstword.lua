-- firstword: does the first word of a block point to a vtable?
-- `!heap -p -a` prints "? module+offset" under a block whenever its first word lies in a module's image. That
-- proves nothing: flags such as 10000001 lie in a DLL that was loaded at 10000000. A vtable is
-- pointer-aligned, lies in a section that is not writable, and its slots point into executable sections.

local text = require "text"

local firstword = {}

local SLOTS <const> = 2 -- a vtable with fewer slots than this is too short to be told from chance

local function section_of(sections, va)
    for _, section in ipairs(sections) do
        if va >= section.address and va < section.address + section.size then
            return section
        end
    end
    return nil
end

-- The class whose vtable begins at an address, as a PDB (or an export) names it: "CFolder" for "CFolder::`vftable'".
local function class_of(dump, va)
    local parts = dump:symbol_parts(va)
    return parts and parts.offset == 0 and parts.name and parts.name:match "^(.*)::`vftable'" or nil
end

-- A function that judges a first word: nil if it points into no image; else { value, module, section (name or nil for
-- the PE header), is_vtable, class = "CFolder" where a PDB names the table, why = "is no multiple of 4",
-- own_slots = they point into the same module }.
function firstword.judge_of(dump)
    local sections = {} -- by base of the module: asked for once

    local function look_up(va)
        local module = va and va >= 0 and dump:module(va)
        if not module then
            return nil
        end
        sections[module.base] = sections[module.base] or module:sections()
        return module, section_of(sections[module.base], va)
    end

    -- How many pointers in a row from `va` on lead into executable sections (at most SLOTS are looked at), and whether
    -- all of them stay in the module.
    local function code_slots(va, home)
        local own = true
        for slot = 0, SLOTS - 1 do
            local module, section = look_up(dump:ptr(va + slot * dump.pointer_size))
            if not section or not section.executable then
                return slot, false
            end
            own = own and module == home
        end
        return SLOTS, own
    end

    return function(value)
        local module, section = look_up(value)
        if not module then
            return nil
        end
        local why, own_slots
        if value % dump.pointer_size ~= 0 then
            why = string.format("is no multiple of %d", dump.pointer_size)
        elseif not section then
            why = "lies in no section"
        elseif section.writable then
            why = "lies in a writable section"
        else
            local slots, own = code_slots(value, module)
            own_slots = own
            if slots < SLOTS then
                why = "is not followed by pointers to code"
            end
        end
        return {
            value = value, module = module, section = section and section.name, is_vtable = not why, why = why,
            class = not why and class_of(dump, value) or nil, own_slots = own_slots,
        }
    end
end

-- The same for the first word of one block; nil too if the block is too small for one.
function firstword.judge(dump, block)
    if block.size < dump.pointer_size then
        return nil
    end
    return firstword.judge_of(dump)(dump:ptr(block.user))
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
        if verdict.class then
            return {
                where,
                string.format("It is the vtable of class %s: the block is an object of it.", verdict.class),
            }
        end
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
