/* bind_info.c - dump:info(): everything the dump says of its process as one plain table. */
#include "bind/bind_internal.h"

static void add_facts(lua_State *lua, const struct hs_facts *facts)
{
    bind_set_text(lua, "arch", hs_arch_name(facts->arch));
    bind_set_integer(lua, "pointer_size", facts->pointer_size);
    bind_set_text(lua, "windows", facts->windows);
    bind_set_integer(lua, "windows_major", facts->windows_major);
    bind_set_integer(lua, "windows_minor", facts->windows_minor);
    bind_set_integer(lua, "windows_build", facts->windows_build);
    bind_set_text(lua, "service_pack", facts->service_pack);
    bind_set_integer(lua, "processor_count", facts->processor_count);
    if (facts->dump_time)
        bind_set_integer(lua, "dump_time", facts->dump_time);
    bind_set_integer(lua, "dump_flags", facts->dump_flags);
    bind_set_integer(lua, "file_size", facts->file_size);
    bind_set_bool(lua, "full_memory", facts->full_memory);
    bind_set_bool(lua, "cut", facts->cut);
    bind_set_bool(lua, "wow64", facts->wow64);
    if (facts->has_process_id)
        bind_set_integer(lua, "process_id", facts->process_id);
    if (facts->has_process_times) {
        bind_set_integer(lua, "create_time", facts->create_time);
        bind_set_integer(lua, "user_time", facts->user_time);
        bind_set_integer(lua, "kernel_time", facts->kernel_time);
    }
    bind_set_text(lua, "comment", facts->comment);
    bind_set_text(lua, "image_name", facts->image_name);
    bind_set_text(lua, "image_path", facts->image_path);
    bind_set_text(lua, "command_line", facts->command_line);
    if (facts->peb_va)
        bind_set_integer(lua, "peb", facts->peb_va);
    bind_set_text(lua, "peb_source",
                  facts->peb_source == HS_PEB_FROM_TEB    ? "teb"
                  : facts->peb_source == HS_PEB_FROM_SCAN ? "scan"
                                                          : "none");
    if (facts->has_exception) {
        lua_createtable(lua, 0, 3);
        bind_set_integer(lua, "thread_id", facts->exception_thread_id);
        bind_set_integer(lua, "code", facts->exception_code);
        bind_set_integer(lua, "address", facts->exception_va);
        lua_setfield(lua, -2, "exception");
    }
}

/* global_flag, and global_flags: { { bit =, abbreviation =, meaning = }, ... } */
static void add_global_flags(lua_State *lua, const struct hs_facts *facts)
{
    if (!facts->has_global_flag)
        return;
    bind_set_integer(lua, "global_flag", facts->global_flag);
    lua_newtable(lua);
    const struct hs_global_flag *flag;
    for (unsigned i = 0; (flag = hs_global_flag_get(facts->global_flag, i)) != NULL; i++) {
        lua_createtable(lua, 0, 3);
        bind_set_integer(lua, "bit", flag->bit);
        bind_set_text(lua, "abbreviation", flag->abbreviation);
        bind_set_text(lua, "meaning", flag->meaning);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    lua_setfield(lua, -2, "global_flags");
}

/* usage: committed bytes by use, as an array in the order they are shown, and the totals. */
static void add_usage(lua_State *lua, const struct hs_usage *usage)
{
    lua_createtable(lua, 0, 8);
    lua_createtable(lua, HS_USE_COUNT, 0);
    for (int use = 0; use < HS_USE_COUNT; use++) {
        lua_createtable(lua, 0, 2);
        bind_set_text(lua, "use", hs_use_name((enum hs_use)use));
        bind_set_integer(lua, "committed", usage->committed[use]);
        lua_rawseti(lua, -2, use + 1);
    }
    lua_setfield(lua, -2, "by_use");
    bind_set_integer(lua, "committed", usage->committed_total);
    bind_set_integer(lua, "private", usage->private_total);
    bind_set_integer(lua, "reserved", usage->reserved_total);
    bind_set_integer(lua, "free", usage->free_total);
    bind_set_integer(lua, "largest_free_address", usage->largest_free_va);
    bind_set_integer(lua, "largest_free_size", usage->largest_free_size);
    bind_set_bool(lua, "exact", usage->exact);
    lua_setfield(lua, -2, "usage");
}

static void add_traces(lua_State *lua, const struct hs_traces *traces)
{
    if (!traces)
        return;
    const struct hs_traces_info *info = hs_traces_info(traces);
    lua_createtable(lua, 0, 8);
    bind_set_integer(lua, "address", info->va);
    bind_set_integer(lua, "count", info->count);
    bind_set_integer(lua, "looked_up", info->looked_up);
    bind_set_integer(lua, "unreadable", info->unreadable);
    bind_set_bool(lua, "full", info->full);
    bind_set_integer(lua, "index_bits", info->index_bits);
    bind_set_bool(lua, "wraps", info->wraps);
    bind_set_bool(lua, "unproven", info->unproven);
    lua_setfield(lua, -2, "traces");
}

static void add_unloaded(lua_State *lua, const struct hs_dump *dump)
{
    size_t count = hs_dump_unloaded_count(dump);
    lua_createtable(lua, (int)(count < 65536 ? count : 65536), 0);
    for (size_t i = 0; i < count; i++) {
        const struct hs_unloaded_module *module = hs_dump_unloaded(dump, i);
        lua_createtable(lua, 0, 5);
        bind_set_text(lua, "name", module->name);
        bind_set_integer(lua, "base", module->base);
        bind_set_integer(lua, "size", module->size);
        bind_set_integer(lua, "timestamp", module->timestamp);
        bind_set_integer(lua, "checksum", module->checksum);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    lua_setfield(lua, -2, "unloaded_modules");
}

int bind_dump_info(lua_State *lua)
{
    const struct bind_dump *box = bind_check_dump(lua, 1);
    const struct hs_facts *facts = hs_dump_facts(box->dump);
    struct hs_usage usage;
    struct hs_error err = {0};
    enum hs_status status = hs_dump_usage(box->dump, &usage, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    size_t heap_count = bind_heaps(lua, 1);
    const struct hs_traces *traces = bind_traces(lua, 1);

    lua_createtable(lua, 0, 40);
    bind_set_text(lua, "path", hs_dump_path(box->dump));
    add_facts(lua, facts);
    add_global_flags(lua, facts);
    add_usage(lua, &usage);
    add_traces(lua, traces);
    add_unloaded(lua, box->dump);
    bind_set_bool(lua, "has_traces", traces != NULL);
    bind_set_integer(lua, "module_count", hs_dump_module_count(box->dump));
    bind_set_integer(lua, "unloaded_count", hs_dump_unloaded_count(box->dump));
    bind_set_integer(lua, "thread_count", hs_dump_thread_count(box->dump));
    bind_set_integer(lua, "region_count", hs_dump_region_count(box->dump));
    bind_set_integer(lua, "heap_count", heap_count);
    bind_set_integer(lua, "note_count", hs_dump_note_count(box->dump));
    return 1;
}
