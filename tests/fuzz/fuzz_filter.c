/* fuzz_filter.c - any bytes as a filter: as a text through the grammar, and as a raw program. Either must be refused
 * with a message, or run over every block of a dump without crash or hang and agree with itself.
 *
 * The first byte chooses: even: text; odd: program, 10 bytes an instruction (code, value) behind a byte with the length
 * of the one text. */
#include "lua_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char driver[] =
    "local text = ...\n"
    "dump = dump or assert(heapsift.open(path))\n"
    "local filter = require 'filter'\n"
    "local program, message = filter.try(text)\n"
    "local ok, set = pcall(dump.blocks, dump, text)\n"
    "if program then\n"
    "    assert(ok, set)\n"
    "    local other = dump:blocks('not (' .. text .. ')')\n"
    "    assert(set:count() + other:count() == dump:blocks():count(), 'neither true nor false')\n"
    "else\n"
    "    assert(not ok and type(message) == 'string' and #message < 2000)\n"
    "    assert(message:find('^filter: '), message)\n"
    "end\n"
    "program, message = filter.try(text, true)\n"
    "if program then\n"
    "    local sum = 0\n"
    "    local groups = dump:blocks():group('x = ' .. text)\n"
    "    for i = 1, #groups do sum = sum + groups[i].count end\n"
    "    assert(sum == dump:blocks():count())\n"
    "end\n";

static void run_program(const uint8_t *data, size_t size)
{
    static struct hs_dump *dump;
    struct hs_filter_op ops[64];
    struct hs_filter_text text = {"", 0};
    struct hs_filter *filter;
    struct hs_set *all, *some;
    struct hs_error err = {HS_OK, 0, 0, ""};
    size_t count = 0;

    if (!dump && hs_dump_open(fuzz_dump(), NULL, &dump, &err) != HS_OK)
        abort();
    if (size) {
        text.size = data[0] < size - 1 ? data[0] : size - 1;
        text.bytes = (const char *)data + 1;
        data += 1 + text.size;
        size -= 1 + text.size;
    }
    for (; size >= 10 && count < 64; data += 10, size -= 10, count++) {
        uint64_t value = 0;

        for (int i = 0; i < 8; i++)
            value |= (uint64_t)data[2 + i] << (8 * i);
        /* Mostly small codes and values, so that programs are found that are sound. */
        ops[count].code =
            (enum hs_filter_code)(data[0] & 0x80 ? (int8_t)data[1] : data[0] % (HS_FILTER_CODE_COUNT + 1));
        ops[count].value = data[1] & 0x80 ? (int64_t)value : (int64_t)(data[2] % 70) - 4;
    }
    if (hs_filter_create(dump, ops, count, &text, 1, NULL, &filter, &err) != HS_OK) {
        if (err.status != HS_ERR_ARGUMENT || !err.text[0])
            abort();
        return;
    }
    if (hs_set_create(dump, NULL, NULL, &all, NULL) != HS_OK || hs_set_where(all, filter, NULL, &some, NULL) != HS_OK ||
        hs_set_count(some) > hs_set_count(all))
        abort();
    hs_set_destroy(some);
    hs_set_destroy(all);
    hs_filter_destroy(filter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lua_State *lua;

    if (!lua)
        lua = fuzz_state();
    if (size == 0 || size > 4096)
        return 0;
    if (data[0] & 1)
        run_program(data + 1, size - 1);
    else
        fuzz_call(lua, driver, data + 1, size - 1);
    return 0;
}
