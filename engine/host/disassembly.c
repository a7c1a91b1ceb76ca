/* disassembly.c - machine code as text, by Capstone, with what a reader of code wants to know of each instruction. */
#include "host/host_internal.h"

#include <capstone/capstone.h>

#define BOX "heapsift.disassembler"
#define MOST 65536 /* instructions of one call */

/* Capstone's own memory, which has to be given back also when Lua raises in between. */
struct box {
    csh engine; /* 0: not open */
    cs_insn *one;
};

static int box_free(lua_State *lua)
{
    struct box *box = luaL_checkudata(lua, 1, BOX);
    if (box->one)
        cs_free(box->one, 1);
    if (box->engine)
        cs_close(&box->engine);
    box->one = NULL;
    box->engine = 0;
    return 0;
}

static struct box *box_push(lua_State *lua, cs_mode mode)
{
    struct box *box = lua_newuserdatauv(lua, sizeof *box, 0);
    *box = (struct box){0};
    if (luaL_newmetatable(lua, BOX)) {
        lua_pushcfunction(lua, box_free);
        lua_setfield(lua, -2, "__gc");
    }
    lua_setmetatable(lua, -2);
    if (cs_open(CS_ARCH_X86, mode, &box->engine) != CS_ERR_OK)
        luaL_error(lua, "disassembly is not to be had");
    cs_option(box->engine, CS_OPT_SYNTAX, CS_OPT_SYNTAX_MASM);
    cs_option(box->engine, CS_OPT_DETAIL, CS_OPT_ON);
    box->one = cs_malloc(box->engine);
    if (!box->one)
        luaL_error(lua, "not enough memory");
    return box;
}

static void set_integer(lua_State *lua, const char *name, uint64_t value)
{
    lua_pushinteger(lua, (lua_Integer)value);
    lua_setfield(lua, -2, name);
}

/* How an instruction goes on: at the next one; elsewhere and back; elsewhere, always or perhaps; back; nowhere. */
enum flow { FLOW_NEXT, FLOW_CALL, FLOW_JUMP, FLOW_BRANCH, FLOW_RETURN, FLOW_STOP };
static const char *const flow_names[] = {NULL, "call", "jump", "branch", "return", "stop"};

static enum flow flow_of(const struct box *box)
{
    const cs_insn *one = box->one;
    const cs_x86 *x86 = &one->detail->x86;
    bool fast_fail = one->id == X86_INS_INT && x86->operands[0].imm == 0x29;
    if (one->id == X86_INS_INT3 || one->id == X86_INS_UD2 || one->id == X86_INS_HLT || fast_fail)
        return FLOW_STOP;
    if (one->id == X86_INS_JMP || one->id == X86_INS_LJMP)
        return FLOW_JUMP;
    if (cs_insn_group(box->engine, one, CS_GRP_CALL))
        return FLOW_CALL;
    if (cs_insn_group(box->engine, one, CS_GRP_RET) || cs_insn_group(box->engine, one, CS_GRP_IRET))
        return FLOW_RETURN;
    if (cs_insn_group(box->engine, one, CS_GRP_JUMP) || cs_insn_group(box->engine, one, CS_GRP_BRANCH_RELATIVE))
        return FLOW_BRANCH;
    return FLOW_NEXT;
}

/* target: where a call or jump leads; memory: the fixed address of a memory operand; table: where the addresses lie, one a
 * pointer, of which an indirect jump takes one. */
static void push_operands(lua_State *lua, const struct box *box, enum flow flow, unsigned pointer_size)
{
    const cs_x86 *x86 = &box->one->detail->x86;
    uint64_t mask = pointer_size == 4 ? UINT32_MAX : UINT64_MAX;
    bool leads = flow == FLOW_CALL || flow == FLOW_JUMP || flow == FLOW_BRANCH;
    for (uint8_t i = 0; i < x86->op_count; i++) {
        const cs_x86_op *operand = &x86->operands[i];
        if (operand->type == X86_OP_IMM && leads && x86->op_count == 1)
            set_integer(lua, "target", (uint64_t)operand->imm & mask);
        if (operand->type != X86_OP_MEM || operand->mem.segment != X86_REG_INVALID)
            continue;
        uint64_t disp = (uint64_t)operand->mem.disp;
        bool indexed = operand->mem.index != X86_REG_INVALID;
        if (operand->mem.base == X86_REG_RIP)
            set_integer(lua, "memory", (disp + box->one->address + box->one->size) & mask);
        else if (operand->mem.base == X86_REG_INVALID && !indexed)
            set_integer(lua, "memory", disp & mask);
        else if (operand->mem.base == X86_REG_INVALID && operand->mem.scale == (int)pointer_size && flow == FLOW_JUMP)
            set_integer(lua, "table", disp & mask);
    }
}

/* core.disassemble(bytes, address, pointer size[, most]) -> list of { address, size, mnemonic, operands[, flow, target,
 * memory, table] }; ends at the first bytes that are no instruction */
int host_disassemble(lua_State *lua)
{
    size_t size;
    const uint8_t *bytes = (const uint8_t *)luaL_checklstring(lua, 1, &size);
    uint64_t address = (uint64_t)luaL_checkinteger(lua, 2);
    unsigned pointer_size = luaL_checkinteger(lua, 3) == 8 ? 8 : 4;
    lua_Integer most = luaL_optinteger(lua, 4, MOST);
    struct box *box = box_push(lua, pointer_size == 8 ? CS_MODE_64 : CS_MODE_32);
    lua_newtable(lua);
    for (lua_Integer i = 1; i <= most && cs_disasm_iter(box->engine, &bytes, &size, &address, box->one); i++) {
        enum flow flow = flow_of(box);
        lua_createtable(lua, 0, 6);
        set_integer(lua, "address", box->one->address);
        set_integer(lua, "size", box->one->size);
        lua_pushstring(lua, box->one->mnemonic);
        lua_setfield(lua, -2, "mnemonic");
        lua_pushstring(lua, box->one->op_str);
        lua_setfield(lua, -2, "operands");
        lua_pushstring(lua, flow_names[flow]); /* NULL is nil */
        lua_setfield(lua, -2, "flow");
        push_operands(lua, box, flow, pointer_size);
        lua_rawseti(lua, -2, i);
    }
    return 1;
}
