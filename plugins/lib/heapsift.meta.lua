---@meta heapsift
-- The Lua reference of heapsift: every function, method and field a script may use, for editors, `heapsift help` and
-- the manual. Never run; tests/lua/reference_spec.lua compares it with the program both ways.
--
-- How to read it:
--   * sizes are bytes, addresses are integers (never text), times are seconds since 1970 UTC;
--   * fields are facts: reading one cannot fail, but an unknown name raises and names the nearest one;
--   * methods may fail: they return nil, a message and a code ("not-found", "unmapped", "outside", "io", "format",
--     "unsupported", "memory", "syntax"); a wrong argument raises;
--   * blocks, traces and the like keep their dump alive; once it is closed, every access raises;
--   * a sequence has #s, s[i] from 1 (nil past the end), and `for x in s do`;
--   * out of memory and Ctrl-C raise.

-- ---------------------------------------------------------------------------------------------------------------
-- The module

---@class heapsift
---@field version string version of the program, "0.1.0"
---@field allow_native boolean whether --allow-native was given: what heapsift.native needs
heapsift = {}

---Opens a user-mode minidump. Damage that leaves something to read is no failure: see dump:notes().
---Raises for an unknown option.
---@param path string
---@param options? { symbols?: string, threads?: integer, name?: string, progress?: fun(what: string, done: integer, total: integer) } symbols: where PDBs are, "DIR;srv*DIR", what --symbols and _NT_SYMBOL_PATH say if not given; threads: for whole-heap work, 0 one per processor; name: what dump.path gives instead of the path; progress: called about ten times a second during long work, on the script's own thread
---@return dump? dump nil on failure
---@return string? message
---@return string? code "io", "format", "unsupported", "memory"
function heapsift.open(path, options) end

---@class heapsift.argument
---@field name string
---@field type? "address"|"integer"|"number"|"string"|"path"|"choice" default "string"; address: hex with or without 0x, 0n for decimal, sums allowed; integer: decimal unless 0x
---@field doc? string
---@field optional? boolean
---@field many? boolean one or more (with optional: none or more); the value is a list
---@field choices? string[] for type "choice"
---@field min? number
---@field max? number

---@class heapsift.option
---@field type? "address"|"integer"|"number"|"string"|"path"|"flag"|"choice" default "string"
---@field doc? string
---@field default? any value if the option is not given (flags: false)
---@field many? boolean may be given several times; the value is a list
---@field choices? string[]
---@field min? number
---@field max? number

---Declares the script: its first statement. Reads the command line and sets the globals args, report and, with input
---"dump", dump; or ends the script with a usage error (exit code 2), an unreadable input (3) or its help text.
---Left out: one dump, no options. Raises for unknown or wrong fields and when called twice.
---@param declaration { summary?: string, description?: string, input?: "dump"|"output"|"none"|"results", args?: heapsift.argument[], options?: table<string, heapsift.option>, examples?: string[], json?: string } options: names with _, on the command line with -; json: name of the schema
function heapsift.script(declaration) end

---Ends the script with one line on stderr, `heapsift: INPUT: text`. Does not return.
---@param code "usage"|"input"|"failed"|"missing" exit code 2, 3, 5, 6
---@param text string
function heapsift.fail(code, text) end

---Writes to stdout without a newline; control characters are escaped, tab and newline stay. With --json all text goes
---to stderr. `print` does the same with tabs between and a newline.
---@param ... string|number
function heapsift.write(...) end

---Prints one line that stands above others: bold on a terminal that has colours, plain elsewhere.
---@param text string
function heapsift.heading(text) end

---Columns of the terminal that printed text goes to, as it is now; nil if it goes elsewhere (too): then nothing is to be
---shortened.
---@return integer?
function heapsift.width() end

---A decorated C++ name of MSVC (or clang for its targets) as people write it. Short is what the debugger shows: the qualified
---name with its template arguments. What is no decorated name, or cannot be decoded, comes back as it is.
---    heapsift.undecorate "?ResolveEndpointIfNecessary@DCE_BINDING@@QAEJXZ"
---        --> DCE_BINDING::ResolveEndpointIfNecessary
---    heapsift.undecorate("?ResolveEndpointIfNecessary@DCE_BINDING@@QAEJXZ", "full")
---        --> public: long __thiscall DCE_BINDING::ResolveEndpointIfNecessary(void)
---    heapsift.undecorate "??_7?$CComObject@VCFoo@@@ATL@@6B@"
---        --> ATL::CComObject<CFoo>::`vftable'
---    heapsift.undecorate ".?AVCFoo@@"
---        --> CFoo
---    heapsift.undecorate "HeapAlloc"
---        --> HeapAlloc
---@param name string
---@param form? "short"|"full" default short
---@return string text
function heapsift.undecorate(name, form) end

---Runs every recogniser on a dump, once: from then on blocks have types. A plugin that fails becomes a note, here and at
---the end of the output; the others run.
---@param dump dump
---@return string[] notes what failed, with file and line
---@return table<string, table> facts what each recogniser returned, by its name: see docs/recognisers.md
function heapsift.recognise(dump) end

---Runs one heuristic plugin, which adds findings to a report. Raises for unknown and wrong options. A table with a
---function `add` will do for a report: a script that judges findings itself collects them so.
---@param name string
---@param dump dump
---@param options? table<string, any> those left out have their defaults
---@param report? report default: the script's own
---@return true? done nil if it did not run to its end
---@return string|table? message on success what the plugin's run returned
---@return string? code "not-found", "not-applicable", "failed"
function heapsift.heuristic(name, dump, options, report) end

---Who allocated what, where a stored index fits several traces: made once a dump, after the recognisers. The model
---stands at the top of plugins/lib/attribution.lua, the arithmetic is C.
---@param dump dump
---@param options? { without?: string[] } to measure: kinds of evidence to leave out (counts, content, sizes, tags, neighbours, links); made anew for each call
---@return heapsift.attributed
function heapsift.attribution(dump, options) end

---C types for a dump (docs/types.md): those of its modules' PDB files, those of windows.h, those parts of the heap's and the trace database's structures
---that heapsift itself reads, and what is declared. Raises for a dump that is neither x86 nor x64.
---@param dump dump
---@return types
function heapsift.types(dump) end

---Loads a shared library whose functions scripts and set:map can then call (docs/native.md). Raises without --allow-native,
---and for declarations that cannot be understood.
---@param path string a name without a folder is looked for beside the script, then where the system looks
---@param declarations? string C declarations of its functions, variables and types, laid out for this machine
---@return native? library nil on failure
---@return string? message
---@return string? code "io", "unsupported"
function heapsift.native(path, declarations) end

---Made by heapsift.attribution: a table with these methods.
---    a:of(block) -> trace, confidence, reasons, alternatives: trace is nil where none is recorded; confidence 0 .. 1;
---        reasons: sentences; alternatives: { trace, confidence, reasons } of the other candidates, likeliest first.
---    a:groups() -> iterator of { heap, stored, size, blocks, shares = { { trace, index, blocks, confidence } } }: heap is
---        its address, trace nil and index 0 where the stack was not recorded; those of the stored indexes with most bytes
---        come first, stop when what follows is small. Blocks that are not busy or store no index are in no group.
---    a:sites() -> sequence of { kind, caller, outermost, blocks, bytes, confidence, captures, traces, types }, most bytes
---        first, that add up to all busy blocks. kind "site": caller is the address of the first frame outside allocators
---        and system modules, or of the outermost frame where there is none: then outermost is true; traces: { { trace,
---        blocks, bytes, confidence } }; captures: their TraceCounts added up; confidence: mean by bytes; types: labels,
---        most bytes first. The other kinds have no caller: "unrecorded" (the stack was not recorded), "undecided" (no
---        owner is likelier than not), "untraced" (the heap stores no indexes). Rows, and the items of their traces, are made when they are asked for.
---    a:set(row or trace) -> set, count: the blocks of a row of a:sites(), or of a trace (or its index): blocks of one
---        heap, stored index, content and size are taken whole, so where they are shared the set has more than the
---        `count` blocks that are claimed.
---    a:trace(index) -> name of the trace's allocator, address of its caller, whether that is only the outermost frame.
---@class heapsift.attributed

---Opens what `heapsift batch` wrote, for questions. Tables and views: docs/store.md.
---@param path string
---@return results? results nil on failure
---@return string? message
---@return string? code "io", "format", "unsupported", "memory"
function heapsift.results(path) end

---What the file of a plugin returns: see docs/recognisers.md.
---@class heapsift.plugin
---@field name string letters, digits and _
---@field summary string one line
---@field kind "recogniser"|"heuristic"|"command"
---@field needs? ("blocks"|"traces"|"labels")[] without them it does not apply; labels: recognisers run first
---@field options? table<string, heapsift.option> the type may be left out where there is a default
---@field applies? fun(dump: dump): boolean, string? whether it has something to do; why not
---@field filters? string|string[]|fun(dump: dump): string|string[]|nil recogniser: filter texts, at most 16; those of all recognisers are run over all busy blocks in one pass
---@field recognise? fun(dump: dump, set: set, ...: set): table? recogniser: labels blocks of `set`, all that are busy; behind it the set of each of its filters. What it returns is for other plugins
---@field run? fun(dump: dump, options: table, report: report): table? heuristic: adds findings; what it returns is for the caller. command: run(dump, call), see docs/shell.md
---@field words? string[] command: what is typed for it: "!heap", ".echo", "dds"
---@field switches? table<string, "flag"|"address"|"address?"|integer> command: what -NAME takes: nothing, an expression, one or none, at most so many words
---@field usage? string command: what .help prints

---The bytes of a file. Only a path that the user named (an argument or option of type "path"), or a file in a folder so
---named, can be read: another one raises.
---@param path string
---@return string? bytes nil if it cannot be read
---@return string? message
function heapsift.input(path) end

---A file that the user named: args.input with input "output", or an argument or option of type "path". Anything else
---raises. What is written goes to a temporary file beside it, renamed by close; if the script fails before, nothing is
---left. Write errors end the script with exit code 5.
---@param path string
---@return file file
function heapsift.output(path) end

---@class file
local file = {}

---@param ... string|number
---@return file self
function file:write(...) end

---@param offset integer bytes from the start of the file; past its end leaves a hole
---@return file self
function file:seek(offset) end

---Ends writing and gives the file its name. Leaving a `local f <close>` without an error does the same.
function file:close() end

-- ---------------------------------------------------------------------------------------------------------------
-- The dump

---@class dump
---@field path string as it was given
---@field arch "x86"|"x64"|"arm"|"arm64"|"ia64"|"unknown"
---@field pointer_size integer bytes: 4 or 8
---@field windows string "5.1.2600"
---@field service_pack string "" if none
---@field global_flag? integer NtGlobalFlag; nil if it cannot be read
---@field has_traces boolean whether the process has a stack trace database
---@field traces? traces the stack trace database; nil if there is none
---@field damaged boolean whether something of it could not be read so far: see notes()
---@field heap_list "whole"|"part"|"missing" how much of the PEB's list of heaps could be read; part: heaps may be
---missing; missing: heaps were looked for by their signatures, some may be missing
local dump = {}

---Closes the file. Closing twice is allowed; `local d <close>` does it at the end of a block.
function dump:close() end

---Everything the dump says of its process as one new plain table: path, arch, pointer_size, windows, windows_major,
---windows_minor, windows_build, service_pack, processor_count, dump_time, dump_flags, file_size, full_memory, cut, wow64,
---process_id, create_time, user_time, kernel_time, comment, image_name, image_path, command_line, peb, peb_source ("teb",
---"scan", "none"), exception { thread_id, code, address }, global_flag, global_flags (list of { bit, abbreviation,
---meaning }), usage { by_use (list of { use, committed }), committed, private, reserved, free, largest_free_address,
---largest_free_size, exact }, traces { address, count, looked_up, unreadable, full, index_bits, wraps, unproven },
---unloaded_modules (list of { name, base, size, timestamp, checksum }), has_traces, module_count, unloaded_count,
---thread_count, region_count, heap_count, note_count. What is not known is absent. Walks no blocks.
---@return table
function dump:info() end

---What could not be read, and why, as far as is known by now.
---@return string[]
function dump:notes() end

---@param va integer
---@param n integer bytes
---@return string? bytes nil unless all of them are in the dump
---@return string? message
---@return string? code "unmapped"
function dump:read(va, n) end

---@param va integer
---@return integer? value
---@return string? message
---@return string? code "unmapped"
function dump:u8(va) end

---@param va integer
---@return integer? value
---@return string? message
---@return string? code "unmapped"
function dump:u16(va) end

---@param va integer
---@return integer? value
---@return string? message
---@return string? code "unmapped"
function dump:u32(va) end

---@param va integer
---@return integer? value above 2^63 it wraps to a negative one: see math.ult and %x
---@return string? message
---@return string? code "unmapped"
function dump:u64(va) end

---@param va integer
---@return integer? value
---@return string? message
---@return string? code "unmapped"
function dump:i8(va) end

---@param va integer
---@return integer? value
---@return string? message
---@return string? code "unmapped"
function dump:i16(va) end

---@param va integer
---@return integer? value
---@return string? message
---@return string? code "unmapped"
function dump:i32(va) end

---@param va integer
---@return integer? value
---@return string? message
---@return string? code "unmapped"
function dump:i64(va) end

---A pointer of the process: 4 or 8 bytes.
---@param va integer
---@return integer? value
---@return string? message
---@return string? code "unmapped"
function dump:ptr(va) end

---The text at `va` up to its terminator, as UTF-8: bytes that are no UTF-8 are taken as Latin-1.
---@param va integer
---@param max? integer bytes, default 4096
---@return string? text
---@return boolean|string cut true if `max` or the end of memory came before the terminator; the message on failure
---@return string? code "unmapped"
function dump:cstring(va, max) end

---The UTF-16 text at `va` up to its terminator, as UTF-8.
---@param va integer
---@param max? integer 16-bit units, default 4096
---@return string? text
---@return boolean|string cut as for cstring
---@return string? code "unmapped"
function dump:wstring(va, max) end

---Addresses where these bytes stand, in order: `for va in dump:find("MZ", { align = 0x1000 }) do`.
---@param pattern string not empty
---@param options? { from?: integer, to?: integer, align?: integer } from inclusive, to exclusive (the pattern lies wholly below it)
---@return fun(state: nil, va: integer?): integer?
function dump:find(pattern, options) end

---Modules in the order of the dump's list. The same module is always the same object.
---@return module[]|fun():module
function dump:modules() end

---@param name_or_va string|integer a name (case and extension do not matter) or an address inside
---@return module? module nil if there is none
function dump:module(name_or_va) end

---@return thread[]|fun():thread
function dump:threads() end

---Regions in address order.
---@return region[]|fun():region
function dump:regions() end

---What an address is called: "rpcrt4!I_RpcGetBuffer+0xf". Honest style names a function only inside a symbol of a PDB or
---within 0x1000 bytes of an export, else "EMSMDB32+0x1c7ca [HrEmsuiInit+0x96fd]"; windbg style always names the nearest.
---C++ names are undecorated: in short as the debugger shows them, in full, or raw as they stand in the image or PDB.
---@param va integer
---@param style? "honest"|"windbg" default honest, windbg with --windbg-names
---@param form? "short"|"full"|"raw" default short, or what --undname says; see heapsift.undecorate
---@return string? text nil if no module holds va
function dump:symbol(va, style, form) end

---@param va integer
---@return { module: string, name: string?, decorated: string?, offset: integer?, rva: integer, near: boolean, source: "pdb"|"exports"|nil, size: integer? }? parts nil if no module holds va; decorated: the name as it stands in the image or PDB, where name is undecorated; near: the name may be believed: inside a PDB's symbol, or not far past an export; size: bytes, of functions in a PDB
function dump:symbol_parts(va) end

---@param text string "ntdll!RtlAllocateHeap", "MSO!Ordinal577", "ntdll", each with "+0x12" behind it if need be
---@return integer? va
---@return string? message
---@return string? code "not-found"
function dump:resolve(text) end

---Where PDBs are looked for, besides the dump's folder: what `symbols` was when the dump was opened. With a path it is set
---anew, and PDBs are looked for again when they are needed; what was made of names before, such as a filter, stays.
---@param path? string "dir;srv*dir"; "": only the dump's folder
---@return string path
function dump:symbol_path(path) end

---A type of a module's PDB, as plain data; heapsift.types reads memory with them. Members in the order of their
---declaration; `type` and `target` are numbers to ask with again. Forward references are resolved to their definition.
---Members of kind field, base and virtual_base have an offset; bit fields a bit_position and bit_width too.
---@param module module|string|integer the module, its name, or an address in it
---@param name_or_id string|integer "_HEAP"; or a number that another type told
---@return { id: integer, kind: "base"|"pointer"|"array"|"struct"|"union"|"enum"|"function"|"bitfield"|"vtable"|"unknown", name: string, size: integer, encoding: string?, target: integer?, count: integer?, is_class: boolean?, is_reference: boolean?, is_const: boolean?, is_volatile: boolean?, is_forward: boolean?, members: { kind: "field"|"base"|"virtual_base"|"vtable"|"static"|"enumerator"|"type"|"method", name: string, type: integer?, offset: integer?, bit_position: integer?, bit_width: integer?, value: integer? }[]? }? type nil if the module has no PDB or the PDB no such type; encoding (of base types): "void", "signed", "unsigned", "float", "bool", "character"; target: what a pointer points to, an array is made of, an enum is stored as, a function returns; is_forward: only declared
function dump:pdb_type(module, name_or_id) end

---Structs, unions and enums of a module's PDB.
---@param module module|string|integer
---@param pattern string * and ? stand for any characters and for one; case does not matter
---@return { id: integer, name: string, kind: string, size: integer }[] types empty without a PDB
function dump:pdb_types(module, pattern) end

---The value of a debugger's expression (MASM syntax): "poi(ntdll!RtlpStackTraceDataBase)+64". Numbers are hex, 0n decimal,
---never sign-extended; a bare word is a number, else a symbol, else a register of the current thread. docs/shell.md has
---the whole language.
---@param text string
---@return integer? value 64 bits, wrapping
---@return string? message with the position and what was expected there
---@return string? code "syntax", "not-found", "unmapped"
function dump:eval(text) end

---Runs one command of the prompt, `!heap -s` or the like, and gives what its --json prints as `result`: a table, or true
---where there is nothing to say. Commands are plugins of kind "command"; docs/shell.md lists the bundled ones.
---@param line string without filters and files
---@return table|true? data
---@return string? message with the position
---@return string? code "syntax", "not-found", "failed"
function dump:command(line) end

---Heaps in the order of the PEB's list. The same heap is always the same object.
---@return heap[]|fun():heap
function dump:heaps() end

---@param va_or_number integer its address, or its number from 1 (heap.index)
---@return heap? heap nil if there is none
function dump:heap(va_or_number) end

---The block that holds an address: its header, its user bytes or its rest. Walks the heaps when first asked.
---@param va integer
---@return block? block nil if no block does
function dump:block(va) end

---Who points to the block that holds an address (to any byte of it), or, outside of every block, to that very address.
---Registers first, then stacks (from the stack pointer up), writable sections of modules, busy blocks, and other private
---memory, which is a weak witness. Each: source, aim, value; address where the pointer stands (not for a register);
---thread (id), register, module and section, block where they apply.
---@param va integer
---@param options? { limit?: integer } at most so many are listed, 1000 if not given
---@return table[] referrers
---@return integer total how many there are in all
function dump:referrers(va, options) end

---A set of blocks. Walks the heaps when first asked. Raises for unknown options and for a bad filter text.
---@param which? string|{ state?: string|string[], heap?: heap|integer } a filter text; nothing: every state and heap
---@return set
function dump:blocks(which) end

-- ---------------------------------------------------------------------------------------------------------------
-- Modules, threads, regions

---@class module
---@field name string file name without its last extension
---@field path string
---@field base integer address
---@field size integer bytes
---@field end_address integer first address past it
---@field timestamp integer of the PE header, seconds since 1970
---@field checksum integer
---@field version? string "12.0.6320.5000"
---@field pdb? string file name of its PDB
---@field pdb_id? string GUID and age as symbol stores write them
---@field symbols "pdb"|"exports"|"none" what names of its functions come from; looks for its PDB when first asked
---@field symbol_file? string path of the PDB in use; nil without one
local module = {}

---@return { name: string, address: integer, size: integer, readable: boolean, writable: boolean, executable: boolean }[]
function module:sections() end

---In ordinal order. `name` is absent for a nameless export, `address` for a forwarder.
---@return { name: string?, ordinal: integer, address: integer?, forwarder: string? }[]
function module:exports() end

---Symbols by name, from exports and PDB: exports first, then publics and data by address, then functions.
---@param pattern string * and ? stand for any characters and for one; case does not matter
---@return { name: string, decorated: string?, address: integer, size: integer?, source: "exports"|"pdb", public: boolean }[] symbols decorated: the linker's name where it is another; public: from the PDB's list of publics, a function or datum may follow under its own name
function module:find_symbols(pattern) end

---@class thread
---@field id integer
---@field suspend_count integer
---@field priority integer
---@field priority_class integer
---@field teb integer address, 0 if not told
---@field stack_base integer highest address of its stack, exclusive; 0 if not known
---@field stack_limit integer lowest committed address of its stack
---@field ip? integer instruction pointer; nil without a context
---@field sp? integer
---@field bp? integer
---@field registers { name: string, value: integer, size: integer }[] in the debugger's order, size in bytes; empty without a context

---@class region
---@field address integer
---@field size integer bytes
---@field allocation integer base of the VirtualAlloc it belongs to, 0 if not told
---@field state integer MEM_COMMIT 0x1000, MEM_RESERVE 0x2000, MEM_FREE 0x10000
---@field type integer MEM_PRIVATE 0x20000, MEM_MAPPED 0x40000, MEM_IMAGE 0x1000000; 0 if free or not told
---@field protect integer PAGE_...; 0 if not told
---@field allocation_protect integer
---@field present integer bytes of it that the dump holds
---@field use "private"|"mapped"|"image"|"free"|"unknown" its type as a word

-- ---------------------------------------------------------------------------------------------------------------
-- Heaps and blocks

---Figures of the header cost nothing; those marked (walk) walk all heaps when first asked.
---@class heap
---@field address integer
---@field index integer from 1, in the order of the PEB's list
---@field kind "nt-xp"|"nt"|"segment"|"page"|"unknown"
---@field reason? string why its blocks are not read; nil if they are
---@field flags integer
---@field force_flags integer
---@field reserved integer bytes
---@field committed integer bytes
---@field virtual_size integer bytes up to the last committed page of each segment
---@field segment_count integer
---@field segments { address: integer, base: integer, reserved: integer, committed: integer, first_entry: integer, end_address: integer, uncommitted_count: integer, uncommitted_size: integer }[]
---@field uncommitted_ranges integer holes inside segments, as the header counts them
---@field large_count integer blocks allocated with VirtualAlloc
---@field large_committed integer bytes
---@field free_recorded integer bytes that the heap itself counts as free
---@field free_list_length integer free blocks of 128 units (1 KiB, x64 2 KiB) and more, which FreeLists[0] holds; free_count has all
---@field has_lock boolean
---@field contention_count? integer of its lock
---@field front_end "none"|"lookaside"|"lfh"
---@field busy_bytes integer bytes that callers asked for (walk)
---@field busy_total integer the same with headers and rests (walk)
---@field busy_count integer blocks (walk)
---@field free_bytes integer with headers (walk)
---@field free_count integer (walk)
---@field lookaside_bytes integer with headers (walk)
---@field lookaside_count integer (walk)
---@field internal_bytes integer with headers (walk)
---@field internal_count integer (walk)
---@field uncommitted_bytes integer (walk)
---@field uncommitted_count integer (walk)
---@field unread_size integer bytes that the dump lacks or that make no sense (walk)
---@field unread_segments integer segments whose records cannot be read: of a size that nobody knows, in no sum
---@field unread_large integer large blocks without a size that makes sense; one more where their list breaks off
local heap = {}

---A set of this heap's blocks.
---@param which? string|{ state?: string|string[] } a filter text; nothing: every state
---@return set
function heap:blocks(which) end

---Two block objects are equal (==) if they are the same block; as table keys use block.address.
---@class block
---@field address integer of its header
---@field user integer address that the program got
---@field size integer bytes: asked for (busy), else without header
---@field total integer bytes from header to the next header
---@field units integer total in units of 8 (x86) or 16 bytes (x64), as the header has it
---@field state "busy"|"free"|"lookaside"|"internal"|"uncommitted"
---@field fill "none"|"intact"|"broken" what became of the bytes that heap checking put behind a busy block or into a free one
---@field flags integer raw: 1 busy, 2 extra, 4 fill, 8 virtual, 0x10 last, 0xe0 settable
---@field heap heap
---@field segment? integer number in heap.segments; nil for a large block
---@field large boolean allocated with VirtualAlloc
---@field previous_units integer PreviousSize, raw
---@field previous_size integer the same in bytes
---@field unused_bytes integer raw
---@field small_tag integer SmallTagIndex, raw
---@field stored_index? integer low bits of its trace's index; 0: not recorded, or a multiple of 0x10000; nil: stores none
---@field candidates trace[] every trace whose index has those low bits; empty if there is none
---@field tag integer TagIndex, 0 without one
---@field settable integer Settable value, 0 without one
---@field type? string label of a recogniser; nil while nothing has labelled it
local block = {}

---@param from? integer offset, default 0
---@param to? integer offset past the last byte, default block.size
---@return string? bytes
---@return string? message
---@return string? code "outside", "unmapped"
function block:bytes(from, to) end

---@param offset integer from the first user byte; the integer lies wholly inside the user bytes
---@return integer? value
---@return string? message
---@return string? code "outside", "unmapped"
function block:u8(offset) end

---@param offset integer
---@return integer? value
---@return string? message
---@return string? code
function block:u16(offset) end

---@param offset integer
---@return integer? value
---@return string? message
---@return string? code
function block:u32(offset) end

---@param offset integer
---@return integer? value
---@return string? message
---@return string? code
function block:u64(offset) end

---@param offset integer
---@return integer? value
---@return string? message
---@return string? code
function block:i8(offset) end

---@param offset integer
---@return integer? value
---@return string? message
---@return string? code
function block:i16(offset) end

---@param offset integer
---@return integer? value
---@return string? message
---@return string? code
function block:i32(offset) end

---@param offset integer
---@return integer? value
---@return string? message
---@return string? code
function block:i64(offset) end

---@param offset integer
---@return integer? value
---@return string? message
---@return string? code
function block:ptr(offset) end

-- ---------------------------------------------------------------------------------------------------------------
-- The stack trace database

---A sequence of traces by full index: #db, db[i] (nil outside), `for t in db do`.
---@class traces
---@field address integer of _STACK_TRACE_DATABASE
---@field pointer_address integer of the pointer in ntdll that leads there
---@field source "symbol"|"scan" how it was found
---@field unproven boolean x64: the layout is worked out, not seen
---@field acquire integer lock routine
---@field release integer lock routine
---@field okay integer lock routine
---@field precommitted boolean
---@field dump_in_progress boolean
---@field commit_base integer
---@field lower_limit integer
---@field upper_limit integer
---@field next_lower integer
---@field next_upper integer
---@field looked_up integer NumberOfEntriesLookedUp
---@field added integer NumberOfEntriesAdded, as it stands there
---@field index_array integer EntryIndexArray
---@field bucket_count integer
---@field buckets integer address
---@field count integer entries that can be reached
---@field unreadable integer of them, entries that make no sense
---@field index_bits integer width of the index that a block stores: 16
---@field wraps boolean stored indexes are ambiguous: there are more entries than they can tell apart
---@field full boolean later stacks were not recorded
---@field captures integer sum of all trace counts
local traces = {}

---The traces whose index has these low bits, lowest index first.
---@param stored integer 0 .. 0xffff
---@return trace[]
function traces:candidates(stored) end

---The first n readable traces in an order, as indexes (db[index] is the trace), how many there are, and the captures of all of
---those. With from and to only traces count that have a frame in [from, to].
---@param n integer
---@param by? "count"|"depth"|"index" default count
---@param from? integer
---@param to? integer
---@return integer[] indexes, integer matching, integer captures
function traces:top(n, by, from, to) end

---@class trace
---@field index integer full index, from 1
---@field stored integer low bits of it, as its entry has them
---@field address integer of the entry
---@field chain integer address of the next entry of its hash chain
---@field count integer captures so far; never goes down, so the blocks in use cannot be more
---@field depth integer frames
---@field readable boolean false: the entry makes no sense, only its index is known
---@field frames integer[] return addresses, innermost first
local trace = {}

---@param style? "honest"|"windbg" see dump:symbol
---@param form? "short"|"full"|"raw" see dump:symbol
---@return string[] texts one a frame; the bare address where no module is
function trace:symbols(style, form) end

---The first frame that is neither an allocator's nor a system module's (plugins/lib/callers.lua
---lists them; lib/callers.lua in a folder of plugins adds to it).
---@return integer? va nil if there is none
---@return string? text
---@return integer? number of the frame, from 1
function trace:caller() end

-- ---------------------------------------------------------------------------------------------------------------
-- Sets and groups

---Blocks of one dump. `a | b`, `a & b`, `a - b` are new sets; #set is its count.
---@class set
---@operator bor(set): set
---@operator band(set): set
---@operator sub(set): set
local set = {}

---@return integer blocks
function set:count() end

---@return integer bytes user sizes added up
function set:bytes() end

---Blocks in the order of heaps and addresses. Prefer group and algebra for whole heaps: this makes an object a block.
---@return fun(set: set, previous: block?): block?
---@return set
function set:each() end

---Goes through the blocks, in the order of heaps and addresses, without an object for each: for number, value, ... in
---set:values("address", "size", "u32(0)") do. Each value is that of an expression of the filter language: an integer, nil
---where a block has none; or "state": its name. At most 16. `where` passes over the blocks that a filter text is
---not true for as it goes, so the first comes at once, however large the set is. number counts what it gives, from 1.
---@param expression string
---@param ... string|{ where?: string } more expressions; at last what to pass over
---@return function next, userdata
function set:values(expression, ...) end

---The blocks of the set that a filter text is true for: "size == 0xf8 and state == busy". Raises for a bad text, naming
---the position and what was expected there. With several texts (at most 16) one set each, from one pass over the blocks.
---With a native function as for set:map instead of a text: the blocks for which it gives anything but 0 (docs/native.md),
---and behind the set the number of blocks that are not in the dump in one piece.
---@param text string|function
---@param ... string more texts
---@return set ...
function set:where(text, ...) end

---The blocks of the set that something points to: one hop. A table says what counts: `sources` (register, stack,
---section, block, other), `aims` (user: the first byte the caller got; mapi: user + 2 words; header; interior), `from`:
---only pointers inside these blocks, with `first_bytes` only in so many bytes of each. A set alone means { from = set }. Pointers of a block to itself never count.
---All memory is scanned once a dump; filter texts have the word `referenced` for it.
---@param from? set|{ sources?: string|string[], aims?: string|string[], from?: set, first_bytes?: integer }
---@return set
function set:referenced(from) end

---Says what the blocks of the set hold (block.type). A block keeps the label of highest confidence, of equal ones that
---of the source first in the alphabet.
---@param type string "mapi.row"
---@param confidence number 0 .. 1
---@param evidence? string
---@param source? string who says so; default: the plugin that is running, else ""
---@return set self
function set:label(type, confidence, evidence, source) end

---At most n blocks, evenly spaced over the set; the same ones each time.
---@param n integer
---@return block[]
function set:sample(n) end

---@param block block
---@return boolean
function set:has(block) end

---Groups by up to four keys, most bytes first. A key that is no single word is an expression of the filter language, such
---as "u32(8) & 0xffff": its field in a row is the text itself, or with "tag = u32(8)" the name in front; it is absent where
---the expression has no value (or is -1). Raises for an unknown key and for a bad expression.
---@param key "size"|"size_class"|"heap"|"state"|"stored"|"total"|"flags"|"tag"|"first_word"|"type"|"candidate_module"|"trace" size_class: smallest power of two that holds the size; type: label; candidate_module: module of the caller in every candidate, "(several)" where they disagree; trace: index of the attributed trace, runs the attribution
---@param ... string more keys
---@return groups
function set:group(key, ...) end

---Calls a native function `(const void *data, size_t size, uint64_t address)` for every block and keeps the integers that
---it gives as a column: filters know it as `column.NAME`, and so do groups. On all processors where the function is
---declared __attribute__((pure)), else one after the other, in the order of the blocks. A block whose user bytes are not in
---the dump in one piece has no value.
---@param f function of a library, see heapsift.native
---@param name? string letters, digits and _; that of the function if not given; a column of that name is replaced
---@return column
function set:map(f, name) end

---Calls a native function `(const void *data, size_t size, uint64_t address, T *state)` for every block, one after the
---other, in the order of the blocks, until it gives anything but 0 (one that gives void goes on to the end).
---@param f function of a library
---@param state userdata a buffer, see native:new
---@return userdata state
---@return integer result what it stopped with; 0: it did not
---@return integer skipped blocks that are not in the dump in one piece
function set:fold(f, state) end

---A sequence of rows, plain tables: each key by name (heap: its address; state: its name; stored, first_word, type and
---candidate_module absent where there is none), count (blocks), bytes (user sizes added up).
---@class groups
local groups = {}

---The first n of them, again as groups.
---@param n integer
---@param by? "bytes"|"count" default bytes
---@return groups
function groups:top(n, by) end

---Goes through all rows without a table for each of them: for number, key, ..., count, bytes in groups:values() do. Keys come in
---the order of set:group, nil where a row would not have the field; groups[number] is the row.
---@return function next, groups, integer
function groups:values() end

-- ---------------------------------------------------------------------------------------------------------------
-- Types and views

---A number for each block of a set, made by set:map.
---@class column
---@field name string filters and groups know it as `column.NAME`
---@field count integer blocks that have a number
---@field skipped integer blocks whose user bytes are not in the dump in one piece
local column = {}

---@param block block
---@return integer? value nil if the block has none
function column:of(block) end

---A shared library, made by heapsift.native. What was declared is there by name:
---    lib.crc32("text", 4)            a function; arguments are checked by what was declared
---    lib.KIND_LAST                   a constant of an enum
---    lib.counter[0]                  a variable, as memory
---Memory is what lib:new, lib:array and lib:view give, what pointers lead to, and structures that come back:
---    row.count, row.inner.x          members; row.count = 5
---    list[3], number[0]              elements from 0 as in C
---    #list, a == b                   elements; the same address
---Numbers are Lua's, an unsigned one of 64 bits by its bits; NULL is nil; a structure may be given as a table, an array as
---a list, a `const char *` as a text. A name that is not there, a value out of range, an element outside raise.
---A library may be `<close>`.
---@class native
local native = {}

---Adds C declarations, all of them or none; raises for what is wrong in them.
---@param text string
---@return string[] names that are new
function native:declare(text) end

---The function, variable or constant of that name, also where a method of the library has the same.
---@param name string
---@return any? symbol
---@return string? message
---@return string? code "not-found"
function native:symbol(name) end

---A buffer for a value of a type, all 0 unless a value is given. It ends with its last reference.
---@param type string "struct record", "int[16]"
---@param value? any
---@return userdata memory
function native:new(type, value) end

---A buffer of several.
---@param type string of each
---@param count integer
---@param values? table|string a list; for a type of one byte also a text
---@return userdata memory
function native:array(type, count, values) end

---Memory of the dump itself, not copied, to be read only: the user bytes of a block, or `size` bytes at an address.
---@param block_or_dump block|dump
---@param va_or_type? integer|string of a block the type; of a dump the address
---@param size? integer bytes
---@param type? string default uint8_t; elements follow each other to the end
---@return userdata? memory nil on failure
---@return string? message
---@return string? code "unmapped" (not in the dump in one piece), "outside" (smaller than the type)
function native:view(block_or_dump, va_or_type, size, type) end

---A Lua function that C code can call. An error in it is raised by the call that led to it, once C code comes back. It ends
---with its last reference, lib:free, or the library: keep it as long as it may be called.
---@param type string "int (*)(const void *, const void *)", or the name of such a type
---@param f function
---@return userdata callback
function native:callback(type, f) end

---Ends a buffer or callback before its last reference goes.
---@param what userdata
function native:free(what) end

---@param what string|userdata name of a type, or memory
---@return integer bytes
function native:sizeof(what) end

---@param type string
---@param path string "inner.x", "items[3]"
---@return integer? offset bytes
---@return integer|string|nil bit of a bit field its first bit in the unit at offset; the message on failure
---@return integer|string|nil width of a bit field in bits; "not-found" on failure
function native:offsetof(type, path) end

---Bytes of memory as a string. What a pointer leads to has no size that is known: then `count` must be given.
---@param memory userdata
---@param from? integer default 0
---@param count? integer default all behind it
---@return string? bytes nil on failure
---@return string? message
---@return string? code "unmapped": nothing is where the pointer leads
function native:bytes(memory, from, count) end

---The text at the start of memory, up to a byte 0.
---@param memory userdata
---@param max? integer bytes, default 1M
---@return string? text nil on failure
---@return string? message
---@return string? code "unmapped"
function native:string(memory, max) end

---Where memory is in this program, for messages.
---@param memory userdata
---@return integer address
function native:address(memory) end

---Unloads the library. Its functions raise from then on; memory stays.
function native:close() end

---Types of one dump, and what is done with views. A view is made by t:at; it has no names but those of the structure:
---    row.ulPropTag, row.Value.l      the value there: integer (enums too), float, boolean; nil if it is not in the dump
---    row.lpProps.ulPropTag           a pointer follows by itself; one to void, to a function or to an unknown structure
---                                    is its address, an integer
---    row[3], array[0], pointer[1]    from 0 as in C: structures in a row, elements, what lies behind a pointer
---    #array, pairs(row), a == b
---A name that the structure has not raises. Type names are C's: "SPropValue", "struct _HEAP *", "ULONG[4]"; one that is
---not found as it is written is looked for without regard to case.
---@class types
local types = {}

---Adds C declarations, all of them or none. Known are #define of constants, #if, #pragma pack, __declspec(align),
---__attribute__((packed, aligned)), bit fields, unnamed structures and unions, function types, enums, constant expressions.
---Raises for what is wrong in the text, with line, column and what was expected.
---@param text string
---@param name? string what errors call the text
---@return string[] names that are new
function types:declare(text, name) end

---A view of an address; for a type that is a plain number, the number itself.
---@param name string
---@param va integer
---@return any? view
---@return string? message
---@return string? code "not-found" (no such type), "unmapped" (a number that is not in the dump), "outside" (no address)
function types:at(name, va) end

---@param what string|table name of a type, or a view
---@return integer? bytes nil if it is not known
---@return string? message
---@return string? code "not-found"
function types:sizeof(what) end

---@param what string|table name of a type, or a view
---@param path string "Value.l", "Segments[3]"
---@return integer? offset bytes
---@return integer|string|nil bit of a bit field its first bit in the unit at offset; the message on failure
---@return integer|string|nil width of a bit field in bits; "not-found" on failure
function types:offsetof(what, path) end

---Where a layout comes from: "declared", "ntdll.pdb", "windows.h", "heapsift's own rows for ...".
---@param what string|table name of a type, or a view
---@return string? source
---@return boolean|string partial true if only some members are known; the message on failure
---@return string? code "not-found"
function types:source(what) end

---@param wildcard? string with * and ?, without regard to case; default all
---@return string[] names sorted
function types:names(wildcard) end

---The value at the end of a path. Unlike a field it says why there is none.
---@param view table
---@param path string "Value.l", "lpProps[3].ulPropTag", "Flink->Flink"
---@return any? value
---@return string? message
---@return string? code "unmapped", "outside" (past an array, through a null pointer), "not-found" (no such member)
function types:read(view, path) end

---Where a view lies; for a pointer, where it leads.
---@param view table|integer an integer is given back as it is
---@return integer va
function types:address(view) end

---The text in an array of characters, behind a pointer to characters, or of a UNICODE_STRING, as UTF-8. Raises for
---anything else.
---@param view table
---@param max? integer characters
---@return string? text
---@return boolean|string cut true if the end was not found; the message on failure
---@return string? code "unmapped"
function types:string(view, max) end

---@param what string|table name of a type, or a view
---@return { name: string, kind: string, size: integer?, align: integer, source: string, partial: boolean, address: integer?, fields: table[], constants: table[]?, shown: string? }? description fields: { name, offset, size, bit, width, type, shown }: types and values (shown) as `dt` spells them
---@return string? message
---@return string? code "not-found"
function types:describe(what) end

---What dump prints.
---@param what string|table name of a type, or a view
---@param options? { depth?: integer, fields?: string|string[] } depth: how deep structures inside are shown, default 0; fields: patterns with * and ?
---@return string? text
---@return string? message
---@return string? code "not-found", "unmapped" (a null pointer)
function types:text(what, options) end

---Prints a type, or a view with its values, as `dt` does.
---@param what string|table name of a type, or a view
---@param options? { depth?: integer, fields?: string|string[] }
---@return true? done
---@return string? message
---@return string? code
function types:dump(what, options) end

-- ---------------------------------------------------------------------------------------------------------------
-- What a script gets

---What --json prints as `result`, figures, tables and findings; shown in order at the end.
---@class report
report = {}

---The result for --json: lists and objects of texts, numbers and booleans. Once.
---@param result table
function report:result(result) end

---@param name string
---@param value number|string
---@param unit? string
function report:figure(name, value, unit) end

---@param title string
---@param columns string[]
---@param rows any[][]
function report:table(title, columns, rows) end

---@class finding
---@field claim string
---@field confidence number|"certain"|"likely"|"hint" 0 .. 1; certain from 0.99, likely from 0.8
---@field evidence? string|string[]|table
---@field against? string|string[]|table
---@field blocks? integer
---@field bytes? integer
---@field share? number 0 .. 1
---@field trace? integer|string
---@field module? string
---@field frame? integer|string
---@field remedy? string
---@field missing? string
---@field refute? string what would prove the claim wrong

---Adds a finding. Raises for unknown fields and without claim or confidence.
---@param finding finding
---@param told? boolean true: the script tells of it in its own words; then it counts for --json and --fail-on only
function report:add(finding, told) end

---The parsed command line: args.input, args.json, and every declared argument and option by its name.
---@class args
---@field input? string the path INPUT as it was typed; nil with input "none"
---@field json boolean
args = {}

---The dump of the command line, with input "dump".
---@type dump
dump = nil

---Results of a batch: one SELECT a question, values only as parameters (? or :name), never inside the text of the
---statement: a text in quotes raises, as does anything that does not only read.
---@class results
local results = {}

---    for row in results:rows("SELECT path, bytes FROM finding_list WHERE process = ?", name) do print(row.path) end
---@param sql string
---@param ... string|number|boolean|nil|table values in order; or one table of them by name, for :name
---@return fun(): table row value by column name; NULL is nil
function results:rows(sql, ...) end

---@param sql string
---@param ... string|number|boolean|nil|table
---@return string|number|nil value the first column of the first row
function results:value(sql, ...) end

---@param sql string
---@param ... string|number|boolean|nil|table
---@return string[] names of the columns, in order
function results:columns(sql, ...) end

---Closing twice is allowed.
function results:close() end

---The results of the command line, with input "results".
---@type results
results = nil
