/* symbols.c - what the engine reads in a PDB, one thing a line, for tests/witness/pdb.sh; and how long look-ups take, for
 * tests/bench/symbols.sh.
 *
 *   symbols list PDB          id, then every public, datum and function
 *   symbols types PDB         every struct, union and enum with its members
 *   symbols first PDB RVA     name of one address; milliseconds from open to it; private bytes
 *   symbols floor PDB         milliseconds to read the streams that publics need, once; their bytes
 *   symbols lookup PDB COUNT  look-ups a second and core, over COUNT addresses spread over all functions */
#include "image/image.h"
#include "image/pdb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int fail(const char *path, const struct hs_error *err)
{
    fprintf(stderr, "symbols: %s: %s\n", path, err->text);
    return 1;
}

static int list(const char *path)
{
    struct hs_pdb_cursor cursor = {0};
    struct hs_pdb_symbol symbol;
    struct hs_error err = {0};
    struct hs_pdb *pdb;

    if (hs_pdb_open(path, &pdb, &err) != HS_OK)
        return fail(path, &err);
    printf("id %s\n", hs_pdb_id(pdb));
    while (hs_pdb_next(pdb, &cursor, &symbol))
        printf("%s %08" PRIx32 " %" PRIu32 " %s\n",
               symbol.is_public ? "public"
               : symbol.is_data ? "data"
                                : "function",
               symbol.rva, symbol.size, symbol.name);
    hs_pdb_close(pdb);
    return 0;
}

static int types(const char *path)
{
    static const char *const kinds[] = {"unknown", "base", "pointer",  "array",    "struct",
                                        "union",   "enum", "function", "bitfield", "vtable"};
    static const char *const members[] = {"field",  "base",       "virtual_base", "vtable",
                                          "static", "enumerator", "type",         "method"};
    struct hs_type_cursor cursor = {0};
    struct hs_type type, again;
    struct hs_error err = {0};
    struct hs_pdb *pdb;

    if (hs_pdb_open(path, &pdb, &err) != HS_OK)
        return fail(path, &err);
    while (hs_pdb_next_type(pdb, &cursor, &type)) {
        struct hs_member_cursor place = {0};
        struct hs_member member;

        printf("%" PRIx32 " %s %" PRIu64 " %s\n", type.id, kinds[type.kind], type.kind == HS_TYPE_ENUM ? 0 : type.size,
               type.name);
        if (!hs_pdb_type_named(pdb, type.name, &again)) /* by name too: the first of that name */
            printf("  not found by name\n");
        while (hs_pdb_next_member(pdb, &type, &place, &member))
            printf("  %s %" PRIx32 " %" PRIu64 " %u %u %" PRId64 " %s\n", members[member.kind], member.type,
                   member.offset, member.bit_position, member.bit_width, member.value, member.name);
    }
    hs_pdb_close(pdb);
    return 0;
}

/* Private bytes that this process has touched (Rss less what is mapped from files). */
static uint64_t private_bytes(void)
{
    uint64_t kib = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "r");

    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "RssAnon: %" SCNu64, &kib) == 1)
            break;
    if (status)
        fclose(status);
    return kib * 1024;
}

static int first(const char *path, const char *rva)
{
    uint64_t before = private_bytes();
    double start = seconds(CLOCK_MONOTONIC), processor = seconds(CLOCK_PROCESS_CPUTIME_ID);
    struct hs_pdb_symbol symbol;
    struct hs_error err = {0};
    struct hs_pdb *pdb;
    uint32_t offset;
    bool is_near;

    if (hs_pdb_open(path, &pdb, &err) != HS_OK)
        return fail(path, &err);
    if (!hs_pdb_at(pdb, (uint32_t)strtoul(rva, NULL, 16), &symbol, &offset, &is_near))
        return fprintf(stderr, "symbols: %s: nothing at %s\n", path, rva), 1;
    printf("%s+0x%" PRIx32 "%s ms %.2f processor_ms %.2f private %" PRIu64 "\n", symbol.name, offset,
           is_near ? "" : " (far)", (seconds(CLOCK_MONOTONIC) - start) * 1e3,
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - processor) * 1e3, private_bytes() - before);
    hs_pdb_close(pdb);
    return 0;
}

/* Adds up the words of a stream, block by block where they lie. */
static uint64_t read_stream(const struct hs_msf *msf, uint32_t stream, uint64_t *sum)
{
    struct hs_msf_bytes bytes;
    uint64_t word, size = 0;

    if (hs_msf_load(msf, stream, 0, UINT32_MAX, &bytes) != HS_OK)
        return 0;
    for (size = 0; size + sizeof word <= bytes.span.size; size += sizeof word) {
        memcpy(&word, bytes.span.bytes + size, sizeof word);
        *sum += word;
    }
    hs_msf_unload(&bytes);
    return size;
}

static int read_once(const char *path)
{
    double start = seconds(CLOCK_MONOTONIC);
    struct hs_error err = {0};
    struct hs_pdb *pdb;
    uint64_t sum = 0, size = 0;

    if (hs_pdb_open(path, &pdb, &err) != HS_OK)
        return fail(path, &err);
    size += read_stream(&pdb->msf, 3, &sum); /* DBI */
    size += read_stream(&pdb->msf, pdb->globals_stream, &sum);
    size += read_stream(&pdb->msf, pdb->publics_stream, &sum);
    size += read_stream(&pdb->msf, pdb->records_stream, &sum);
    printf("ms %.2f sum %" PRIx64 " bytes %" PRIu64 "\n", (seconds(CLOCK_MONOTONIC) - start) * 1e3, sum, size);
    hs_pdb_close(pdb);
    return 0;
}

static int lookup(const char *path, const char *count_text)
{
    size_t count = strtoul(count_text, NULL, 10), function_count = 0, named = 0;
    uint32_t *rvas = NULL;
    struct hs_pdb_cursor cursor = {0};
    struct hs_pdb_symbol symbol;
    struct hs_error err = {0};
    struct hs_pdb *pdb;
    uint32_t offset;
    bool is_near;
    double start;

    if (hs_pdb_open(path, &pdb, &err) != HS_OK)
        return fail(path, &err);
    while (hs_pdb_next(pdb, &cursor, &symbol)) {
        if (!symbol.has_size || symbol.size == 0)
            continue;
        if (function_count % 4096 == 0)
            rvas = realloc(rvas, (function_count + 4096) * sizeof *rvas);
        rvas[function_count++] = symbol.rva + symbol.size / 2;
    }
    if (function_count == 0)
        return fprintf(stderr, "symbols: %s: no functions\n", path), 1;
    start = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (size_t i = 0; i < count; i++)
        named += hs_pdb_at(pdb, rvas[i * 7919 % function_count], &symbol, &offset, &is_near) && is_near;
    start = seconds(CLOCK_THREAD_CPUTIME_ID) - start;
    printf("functions %zu lookups %zu named %zu per_second %.0f\n", function_count, count, named,
           (double)count / start);
    free(rvas);
    hs_pdb_close(pdb);
    return named == count ? 0 : 1;
}

int main(int count, char **words)
{
    if (count == 3 && strcmp(words[1], "list") == 0)
        return list(words[2]);
    if (count == 3 && strcmp(words[1], "types") == 0)
        return types(words[2]);
    if (count == 3 && strcmp(words[1], "floor") == 0)
        return read_once(words[2]);
    if (count == 4 && strcmp(words[1], "first") == 0)
        return first(words[2], words[3]);
    if (count == 4 && strcmp(words[1], "lookup") == 0)
        return lookup(words[2], words[3]);
    fprintf(stderr, "usage: symbols list PDB | types PDB | floor PDB | first PDB RVA | lookup PDB COUNT\n");
    return 2;
}
