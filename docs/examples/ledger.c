/* ledger.c - finds and reads the records of the ledger library, for docs/examples/ledger.lua.
 *
 *     cc -O2 -shared -fPIC -o ledger.so ledger.c
 *
 * What it is given is memory of a process that went wrong: every length is checked before it is followed, and nothing is
 * taken to be aligned. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum ledger_kind { LEDGER_NONE, LEDGER_ORDER, LEDGER_INVOICE, LEDGER_NOTE, LEDGER_TORN };

struct ledger_record {
    uint8_t kind; /* enum ledger_kind */
    uint32_t account;
    int64_t cents;
    char text[32];
};

struct ledger_totals {
    uint64_t records, torn;
    int64_t cents[4]; /* by kind */
};

static uint64_t load(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static uint32_t adler32(const uint8_t *at, size_t size)
{
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < size; i++) {
        a = (a + at[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

/* Which record a block holds. Has no effect and needs nothing but its arguments: declared pure, it runs on all processors. */
uint8_t ledger_kind(const void *data, size_t size, uint64_t address)
{
    const uint8_t *at = data;
    uint64_t length;

    (void)address;
    if (size < 12 || memcmp(at, "LDGR", 4) != 0 || at[4] != 1 || at[5] < LEDGER_ORDER || at[5] > LEDGER_NOTE)
        return LEDGER_NONE;
    length = load(at + 6, 2);
    if (length < 12 || length > size || adler32(at + 12, length - 12) != load(at + 8, 4))
        return LEDGER_TORN;
    return at[5];
}

/* Reads the fields of a sound record. */
bool ledger_decode(const void *data, size_t size, struct ledger_record *out)
{
    const uint8_t *at = data, *end;
    uint8_t kind = ledger_kind(data, size, 0);

    if (kind == LEDGER_NONE || kind == LEDGER_TORN)
        return false;
    memset(out, 0, sizeof *out);
    out->kind = kind;
    end = at + load(at + 6, 2);
    for (at += 12; end - at >= 2 && at[1] <= end - at - 2; at += 2 + at[1]) {
        if (at[0] == 1 && at[1] == 4)
            out->account = (uint32_t)load(at + 2, 4);
        else if (at[0] == 2 && at[1] == 8)
            out->cents = (int64_t)load(at + 2, 8);
        else if (at[0] == 3)
            memcpy(out->text, at + 2, at[1] < sizeof out->text ? at[1] : sizeof out->text - 1);
    }
    return true;
}

/* Adds a block to the totals. */
void ledger_add(const void *data, size_t size, uint64_t address, struct ledger_totals *totals)
{
    struct ledger_record record;

    if (ledger_decode(data, size, &record)) {
        totals->records++;
        totals->cents[record.kind] += record.cents;
    } else if (ledger_kind(data, size, address) == LEDGER_TORN) {
        totals->torn++;
    }
}
