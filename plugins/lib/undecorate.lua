-- undecorate.lua: the C++ names that MSVC and compatible compilers decorate, as people write them.
--
--     local undecorate = require "undecorate"
--     undecorate.name "?AllocateCCall@OSF_BINDING_HANDLE@@QAEJH@Z"
--         OSF_BINDING_HANDLE::AllocateCCall
--     undecorate.name("?AllocateCCall@OSF_BINDING_HANDLE@@QAEJH@Z", "full")
--         public: long __thiscall OSF_BINDING_HANDLE::AllocateCCall(int)
--
-- undecorate/grammar.lua reads a name into a tree, undecorate/symbols.lua and what it requires write the tree as text.
-- What is no decorated name, and what cannot be decoded, is given back as it is.

local lpeg = require "lpeg"
local grammar = require "undecorate.grammar"
local Renderer = require "undecorate.symbols"

local undecorate = {}

-- Compilers cut names at 4 KiB and put a digest in their place.
local SIZE_MAX <const> = 16 * 1024
-- Entries of LPeg's stack: enough for names as deep as its limit for captures allows, some 90 templates in each other.
local STACK_MAX <const> = 2000

local function render(name, form)
    lpeg.setmaxstack(STACK_MAX)
    local tree = grammar:match(name)
    return tree and Renderer.new(form == "short"):symbol(tree)
end

-- What stands before an imported name (`__imp_?...`): the debugger's spelling, and the source's.
local IMPORT <const> = { short = "__imp_", full = "__declspec(dllimport) " }

-- The text of a decorated name in a form, "short" (default) or "full".
function undecorate.name(name, form)
    form = form or "short"
    local decorated = name:match "^__imp_(%?.*)$" or name
    if not decorated:find "^[?.]" or #decorated > SIZE_MAX then return name end
    local ok, text = pcall(render, decorated, form)
    if ok then return text and (decorated ~= name and IMPORT[form] or "") .. text or name end
    if text == Renderer.GIVE_UP or tostring(text):find "stack overflow" or tostring(text):find "too deep" then
        return name
    end
    error(text, 0)
end

return undecorate
