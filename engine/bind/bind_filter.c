/* bind_filter.c - from a filter text to the engine's checked program. The grammar is Lua (plugins/lib/filter.lua); the
 * host puts its function under HS_BIND_FILTER. */
#include "bind/bind_internal.h"

#include <stdlib.h>

/* Names of the codes and fields as the grammar spells them. */
static const char *const code_names[HS_FILTER_CODE_COUNT] = {
    [HS_FILTER_PUSH] = "PUSH",
    [HS_FILTER_FIELD] = "FIELD",
    [HS_FILTER_READ] = "READ",
    [HS_FILTER_ASCII] = "ASCII",
    [HS_FILTER_UTF16] = "UTF16",
    [HS_FILTER_AMONG] = "AMONG",
    [HS_FILTER_NEGATE] = "NEGATE",
    [HS_FILTER_INVERT] = "INVERT",
    [HS_FILTER_ADD] = "ADD",
    [HS_FILTER_SUBTRACT] = "SUBTRACT",
    [HS_FILTER_MULTIPLY] = "MULTIPLY",
    [HS_FILTER_DIVIDE] = "DIVIDE",
    [HS_FILTER_MODULO] = "MODULO",
    [HS_FILTER_AND] = "AND",
    [HS_FILTER_OR] = "OR",
    [HS_FILTER_XOR] = "XOR",
    [HS_FILTER_SHIFT_LEFT] = "SHIFT_LEFT",
    [HS_FILTER_SHIFT_RIGHT] = "SHIFT_RIGHT",
    [HS_FILTER_EQUAL] = "EQUAL",
    [HS_FILTER_LESS] = "LESS",
    [HS_FILTER_LESS_EQUAL] = "LESS_EQUAL",
    [HS_FILTER_BETWEEN] = "BETWEEN",
    [HS_FILTER_NOT] = "NOT",
    [HS_FILTER_JUMP_IF] = "JUMP_IF",
    [HS_FILTER_JUMP_UNLESS] = "JUMP_UNLESS",
    [HS_FILTER_CONTAINS] = "CONTAINS",
    [HS_FILTER_CANDIDATE_MODULE] = "CANDIDATE_MODULE",
    [HS_FILTER_CANDIDATE_SYMBOL] = "CANDIDATE_SYMBOL",
    [HS_FILTER_CANDIDATE_INDEX] = "CANDIDATE_INDEX",
    [HS_FILTER_TRACE_MODULE] = "TRACE_MODULE",
    [HS_FILTER_TRACE_SYMBOL] = "TRACE_SYMBOL",
    [HS_FILTER_REFERENCED] = "REFERENCED",
    [HS_FILTER_LABEL] = "LABEL",
    [HS_FILTER_COLUMN] = "COLUMN",
};
static const char *const field_names[HS_BLOCK_FIELD_COUNT] = {
    [HS_BLOCK_FIELD_ADDRESS] = "ADDRESS",
    [HS_BLOCK_FIELD_USER] = "USER",
    [HS_BLOCK_FIELD_SIZE] = "SIZE",
    [HS_BLOCK_FIELD_TOTAL] = "TOTAL",
    [HS_BLOCK_FIELD_FLAGS] = "FLAGS",
    [HS_BLOCK_FIELD_STATE] = "STATE",
    [HS_BLOCK_FIELD_HEAP] = "HEAP",
    [HS_BLOCK_FIELD_SEGMENT] = "SEGMENT",
    [HS_BLOCK_FIELD_STORED] = "STORED",
    [HS_BLOCK_FIELD_TAG] = "TAG",
    [HS_BLOCK_FIELD_UNUSED] = "UNUSED",
    [HS_BLOCK_FIELD_PREVIOUS] = "PREVIOUS",
    [HS_BLOCK_FIELD_SETTABLE] = "SETTABLE",
    [HS_BLOCK_FIELD_LARGE] = "LARGE",
    [HS_BLOCK_FIELD_FIRST_WORD] = "FIRST_WORD",
    [HS_BLOCK_FIELD_ID] = "ID",
    [HS_BLOCK_FIELD_FILL] = "FILL",
    [HS_BLOCK_FIELD_TRACE] = "TRACE",
};

/* Index of the string at the stack top in `names`; pops it. Raises if it is not there: the grammar is ours. */
static int name_index(lua_State *lua, const char *const *names, int count)
{
    const char *name = lua_tostring(lua, -1);
    int idx = 0;
    while (idx < count && (!name || strcmp(names[idx], name) != 0))
        idx++;
    if (idx == count)
        luaL_error(lua, "filter program: unknown word '%s'", name ? name : "?");
    lua_pop(lua, 1);
    return idx;
}

/* Fills an instruction from the table { code, value } at the stack top. */
static void read_op(lua_State *lua, unsigned pointer_size, struct hs_filter_op *op)
{
    lua_geti(lua, -1, 1);
    op->code = (enum hs_filter_code)name_index(lua, code_names, HS_FILTER_CODE_COUNT);
    lua_geti(lua, -1, 2);
    if (op->code == HS_FILTER_FIELD) {
        op->value = name_index(lua, field_names, HS_BLOCK_FIELD_COUNT);
        return;
    }
    /* ptr(offset) reads as many bytes as a pointer of the process has. */
    op->value = lua_isinteger(lua, -1) ? lua_tointeger(lua, -1) : (lua_Integer)pointer_size;
    lua_pop(lua, 1);
}

/* Arrays of the program in userdata, so that nothing is lost when an error is raised. */
struct program {
    struct hs_dump *dump;
    struct hs_filter_op *ops;
    size_t op_count;
    struct hs_filter_text *texts;
    size_t text_count;
    struct hs_filter *filter;
};

static enum hs_status work_filter(void *arguments, struct hs_job *job, struct hs_error *err)
{
    struct program *program = arguments;
    return hs_filter_create(program->dump, program->ops, program->op_count, program->texts, program->text_count, job,
                            &program->filter, err);
}

/* Reads the table of the grammar at the stack top. Leaves userdata with its arrays on the stack. */
static void read_program(lua_State *lua, struct program *program)
{
    int table = lua_gettop(lua);
    lua_getfield(lua, table, "ops");
    program->op_count = (size_t)luaL_len(lua, -1);
    lua_getfield(lua, table, "texts");
    program->text_count = (size_t)luaL_len(lua, -1);
    program->ops = lua_newuserdatauv(lua, (program->op_count + 1) * sizeof *program->ops, 0);
    program->texts = lua_newuserdatauv(lua, (program->text_count + 1) * sizeof *program->texts, 0);
    for (size_t i = 0; i < program->op_count; i++) {
        lua_geti(lua, table + 1, (lua_Integer)i + 1);
        read_op(lua, hs_dump_facts(program->dump)->pointer_size, &program->ops[i]);
        lua_pop(lua, 1);
    }
    for (size_t i = 0; i < program->text_count; i++) {
        lua_geti(lua, table + 2, (lua_Integer)i + 1);
        program->texts[i].bytes = lua_tolstring(lua, -1, &program->texts[i].size);
        lua_pop(lua, 1); /* the table keeps it */
    }
}

/* Has the attribution made if the program asks for traces of blocks. May raise. */
static void need_traces(lua_State *lua, int owner_idx, const struct program *program)
{
    bool asked = false;
    for (size_t i = 0; i < program->op_count; i++) {
        const struct hs_filter_op *op = &program->ops[i];
        asked |= op->code == HS_FILTER_TRACE_MODULE || op->code == HS_FILTER_TRACE_SYMBOL ||
                 (op->code == HS_FILTER_FIELD && op->value == HS_BLOCK_FIELD_TRACE);
    }
    if (!asked || bind_block_traces_known(lua, owner_idx))
        return;
    if (lua_getfield(lua, LUA_REGISTRYINDEX, HS_BIND_ATTRIBUTE) != LUA_TFUNCTION)
        luaL_error(lua, "attributed traces need heapsift's own program around them");
    lua_pushvalue(lua, owner_idx);
    lua_call(lua, 1, 0);
    bind_check_dump(lua, owner_idx);
}

struct hs_filter **bind_filter_push(lua_State *lua, int owner_idx, int arg, bool expression)
{
    struct bind_dump *owner = bind_check_dump(lua, owner_idx);
    struct program program = {.dump = owner->dump};
    struct hs_error err = {0};
    struct hs_filter **box = lua_newuserdatauv(lua, sizeof *box, 0);
    *box = NULL;
    luaL_setmetatable(lua, BIND_FILTER_BOX);
    int top = lua_gettop(lua);

    if (lua_getfield(lua, LUA_REGISTRYINDEX, HS_BIND_FILTER) != LUA_TFUNCTION)
        luaL_error(lua, "filter texts need heapsift's own program around them");
    lua_pushvalue(lua, arg);
    lua_pushboolean(lua, expression);
    lua_call(lua, 2, 2);
    if (!lua_istable(lua, -2))
        luaL_error(lua, "%s", luaL_tolstring(lua, -1, NULL));
    lua_pop(lua, 1);
    read_program(lua, &program);
    need_traces(lua, owner_idx, &program);
    enum hs_status status = bind_run(lua, owner_idx, "preparing the filter", work_filter, &program, &err);
    if (status != HS_OK)
        bind_raise(lua, status, &err);
    *box = program.filter;
    lua_settop(lua, top);
    return box;
}

static int filter_gc(lua_State *lua)
{
    struct hs_filter **box = luaL_checkudata(lua, 1, BIND_FILTER_BOX);
    hs_filter_destroy(*box);
    *box = NULL;
    return 0;
}

void bind_filter_create_class(lua_State *lua)
{
    if (luaL_newmetatable(lua, BIND_FILTER_BOX)) {
        lua_pushcfunction(lua, filter_gc);
        lua_setfield(lua, -2, "__gc");
    }
    lua_pop(lua, 1);
}
