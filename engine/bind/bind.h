/* bind.h - the door of bind/: engine objects as Lua values. What a script may use is told in
 * plugins/lib/heapsift.meta.lua; this is what the host around the script needs beyond that. */
#ifndef HS_BIND_H
#define HS_BIND_H

#include <heapsift/heapsift.h>
#include <heapsift/luaopen.h>

/* Registry key of the table { allocators = { name = true }, modules = { lower case name = true } } that
 * trace:caller() goes by, or of a function that returns it. Without one every frame is a caller. */
#define HS_BIND_CALLERS "heapsift.callers"

/* Registry key of the function that compiles a filter text: function(text, expression) -> program, or nil and a message;
 * with `expression` true the text is a value to group by and not a condition. The
 * program is a table { ops = { { code, value }, ... }, texts = { ... } } as plugins/lib/filter.lua makes it. */
#define HS_BIND_FILTER "heapsift.filter"
/* Registry field: text that heapsift.open takes for the symbol path where its options give none; nil: none. */
#define HS_BIND_SYMBOL_PATH "heapsift.symbol_path"
/* Registry key of the function that undecorates C++ names: function(name, "short" | "full") -> text, `name` itself where
 * it is none that can be decoded. Without one, names are shown as they stand. */
#define HS_BIND_UNDECORATE "heapsift.undecorate"
/* Registry field: text that is the source of labels whose caller names none; nil: "". */
#define HS_BIND_LABEL_SOURCE "heapsift.label_source"

/* Registry key of a table { eval =, command = function(dump, text) } of functions that do the work of methods of the dump. */
#define HS_BIND_ANSWERS "heapsift.answers"

/* Registry field: the value that is raised where work was cancelled from outside; nil: a text. */
#define HS_BIND_STOP "heapsift.stop"

/* Registry key of a table for tests and documentation: class name -> table whose keys are its fields and methods. */
#define HS_BIND_SURFACE "heapsift.surface"

/* Registry key of a function(dump) that has the attribution made and published, for filters that speak of traces. */
#define HS_BIND_ATTRIBUTE "heapsift.attribute"

/* The kernel behind plugins/lib/attribution.lua, as a C function: see bind_attribution.c. */
int bind_attribution_new(struct lua_State *lua);

/* function(dump): what is asked of blocks again and again will be kept side by side, for what filters and groups many
 * sets. It takes 12 bytes a block; without memory for it nothing is lost but speed. */
int bind_expect_summaries(struct lua_State *lua);

/* Pushes a table of C functions behind plugins/lib/native: see bind_native.c. */
void bind_native_push_functions(struct lua_State *lua);

/* Somebody who watches long work: begin is called before the engine is, end after it, on the same thread. `what` is
 * static and says what is done ("walking heaps"). The job lives from begin to end. */
struct hs_bind_watch {
    void *context;
    void (*begin)(void *context, struct hs_job *job, const char *what);
    void (*end)(void *context);
};

/* Both after luaopen_heapsift. `watch` is borrowed for the life of the state; NULL: nobody watches. */
void hs_bind_set_watch(struct lua_State *lua, const struct hs_bind_watch *watch);
/* How dump:symbol and trace:symbols spell names when the caller does not say. */
void hs_bind_set_symbol_style(struct lua_State *lua, enum hs_symbol_style style);
/* The form of C++ names in them. */
enum hs_name_form { HS_NAME_SHORT, HS_NAME_FULL, HS_NAME_RAW };
void hs_bind_set_name_form(struct lua_State *lua, enum hs_name_form form);

/* Pushes { ROW = { offset, size } } for every row of layout/rows.inc, for the dump at stack index `idx`; size 0: the start
 * of an array or structure. Raises if that is no open dump. */
void hs_bind_layout_push(struct lua_State *lua, int idx);

/* Whether part of a heap or trace database that was asked of the dump at stack index `idx` could not be read. A closed
 * dump answers for the time before. False for anything that is no dump. */
bool hs_bind_incomplete(struct lua_State *lua, int idx);

#endif
