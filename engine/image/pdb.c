/* pdb.c - a PDB opened: whose it is (GUID, age), and its lists of object files, contributions and sections.
 * Layouts: LLVM's "The PDB File Format" (info and DBI streams) and Microsoft's published sources (microsoft-pdb). */
#include "image/pdb.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define INFO_STREAM 1u
#define INFO_SIZE 28u
#define DBI_STREAM 3u
#define DBI_SIZE 64u
#define DBI_SIGNATURE 0xffffffffu
#define MACHINE_X86 0x14cu
#define NO_STREAM 0xffffu

#define MODULE_HEADER_SIZE 64u
#define MODULE_MAX 65536u
#define CONTRIBUTION_V60 0xf12eba2du /* 28 bytes an entry */
#define CONTRIBUTION_V2 0xf13151e4u  /* 32 */
#define SECTION_ROW_SIZE 40u

/* Optional debug streams, by place (LLVM: DbgHeaderType). */
enum { DEBUG_OMAP_TO_SOURCE = 3, DEBUG_OMAP_FROM_SOURCE = 4, DEBUG_SECTIONS = 5, DEBUG_SECTIONS_SOURCE = 10 };

static enum hs_status read_info(struct hs_pdb *pdb, uint8_t guid[16], struct hs_error *err)
{
    uint8_t info[INFO_SIZE];

    if (!hs_msf_read(&pdb->msf, INFO_STREAM, 0, info, sizeof info))
        return hs_fail(err, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                       "the PDB's info stream has 0x%" PRIx64 " readable bytes, expected %u or more",
                       hs_msf_size(&pdb->msf, INFO_STREAM), INFO_SIZE);
    pdb->age = pdb->dbi_age = hs_load_u32(info + 8);
    memcpy(guid, info + 12, 16);
    return HS_OK;
}

/* The numbers of the streams that the optional debug header lists at [off, off + size) of the DBI stream. */
static void read_debug_streams(struct hs_pdb *pdb, uint64_t off, uint32_t size)
{
    uint8_t row[2];
    uint16_t numbers[DEBUG_SECTIONS_SOURCE + 1];

    for (uint32_t i = 0; i <= DEBUG_SECTIONS_SOURCE; i++) {
        bool has = size >= 2 * (i + 1) && hs_msf_read(&pdb->msf, DBI_STREAM, off + 2 * (uint64_t)i, row, sizeof row);

        numbers[i] = has ? hs_load_u16(row) : NO_STREAM;
    }
    pdb->to_source_stream = numbers[DEBUG_OMAP_TO_SOURCE];
    pdb->from_source_stream = numbers[DEBUG_OMAP_FROM_SOURCE];
    pdb->section_stream = numbers[DEBUG_SECTIONS];
    if (pdb->from_source_stream != NO_STREAM && numbers[DEBUG_SECTIONS_SOURCE] != NO_STREAM)
        pdb->section_stream = numbers[DEBUG_SECTIONS_SOURCE]; /* symbols are told in the layout before the move */
}

static void read_sections(struct hs_pdb *pdb)
{
    uint8_t row[SECTION_ROW_SIZE];

    while (
        pdb->section_count < sizeof pdb->sections / sizeof *pdb->sections &&
        hs_msf_read(&pdb->msf, pdb->section_stream, (uint64_t)pdb->section_count * SECTION_ROW_SIZE, row, sizeof row)) {
        uint32_t size = hs_load_u32(row + 8);

        pdb->sections[pdb->section_count++] =
            (struct hs_pdb_section){hs_load_u32(row + 12), size ? size : hs_load_u32(row + 16)};
    }
}

/* A PDB of types only has no DBI stream: then it names nothing, and that is not damage. */
static void read_dbi(struct hs_pdb *pdb)
{
    uint8_t dbi[DBI_SIZE];
    uint64_t off = DBI_SIZE;

    pdb->globals_stream = pdb->publics_stream = pdb->records_stream = pdb->section_stream = NO_STREAM;
    pdb->to_source_stream = pdb->from_source_stream = NO_STREAM;
    if (!hs_msf_read(&pdb->msf, DBI_STREAM, 0, dbi, sizeof dbi) || hs_load_u32(dbi) != DBI_SIGNATURE)
        return;
    pdb->dbi_age = hs_load_u32(dbi + 8);
    pdb->globals_stream = hs_load_u16(dbi + 12);
    pdb->publics_stream = hs_load_u16(dbi + 16);
    pdb->records_stream = hs_load_u16(dbi + 20);
    pdb->is_x86 = hs_load_u16(dbi + 58) == MACHINE_X86;
    pdb->modules_off = off;
    pdb->modules_size = hs_load_u32(dbi + 24);
    off += pdb->modules_size;
    pdb->contributions_off = off;
    pdb->contributions_size = hs_load_u32(dbi + 28);
    off += pdb->contributions_size;
    /* section map, sources, type servers, edit and continue; then the debug streams */
    off += (uint64_t)hs_load_u32(dbi + 32) + hs_load_u32(dbi + 36) + hs_load_u32(dbi + 40) + hs_load_u32(dbi + 52);
    read_debug_streams(pdb, off, hs_load_u32(dbi + 48));
    read_sections(pdb);
}

static void format_id(char id[48], const uint8_t guid[16], uint32_t age)
{
    int used =
        snprintf(id, 48, "%08" PRIX32 "%04X%04X", hs_load_u32(guid), hs_load_u16(guid + 4), hs_load_u16(guid + 6));

    for (unsigned i = 8; i < 16; i++)
        used += snprintf(id + used, 48 - (size_t)used, "%02X", guid[i]);
    snprintf(id + used, 48 - (size_t)used, "%" PRIX32, age);
}

static enum hs_status open_mapped(struct hs_mapping mapping, struct hs_pdb **pdb_ret, struct hs_error *err)
{
    struct hs_pdb *pdb = calloc(1, sizeof *pdb);
    uint8_t guid[16] = {0};
    enum hs_status status;

    if (!pdb) {
        hs_mapping_close(&mapping);
        return hs_fail_memory(err, "a PDB");
    }
    pdb->mapping = mapping;
    hs_arena_init(&pdb->arena);
    hs_map_init(&pdb->names);
    hs_map_init(&pdb->escaped);
    pthread_mutex_init(&pdb->lock, NULL);
    status = hs_msf_init(&pdb->msf, mapping.bytes, err);
    if (status == HS_OK)
        status = read_info(pdb, guid, err);
    if (status != HS_OK) {
        hs_pdb_close(pdb);
        return status;
    }
    read_dbi(pdb);
    format_id(pdb->id[0], guid, pdb->dbi_age);
    format_id(pdb->id[1], guid, pdb->age);
    *pdb_ret = pdb;
    return HS_OK;
}

enum hs_status hs_pdb_open(const char *path, struct hs_pdb **pdb_ret, struct hs_error *err)
{
    struct hs_mapping mapping;
    enum hs_status status = hs_mapping_open(path, "PDB file", &mapping, err);

    return status == HS_OK ? open_mapped(mapping, pdb_ret, err) : status;
}

enum hs_status hs_pdb_open_bytes(struct hs_span bytes, struct hs_pdb **pdb_ret, struct hs_error *err)
{
    return open_mapped((struct hs_mapping){bytes, -1}, pdb_ret, err);
}

void hs_pdb_close(struct hs_pdb *pdb)
{
    if (!pdb)
        return;
    hs_pdb_drop_symbols(pdb);
    hs_types_destroy(atomic_load(&pdb->types));
    hs_map_deinit(&pdb->names);
    hs_map_deinit(&pdb->escaped);
    hs_arena_deinit(&pdb->arena);
    hs_msf_deinit(&pdb->msf);
    pthread_mutex_destroy(&pdb->lock);
    hs_mapping_close(&pdb->mapping);
    free(pdb);
}

const char *hs_pdb_id(const struct hs_pdb *pdb)
{
    return pdb->id[0];
}

bool hs_pdb_matches(const struct hs_pdb *pdb, const char *id)
{
    return strcmp(pdb->id[0], id) == 0 || strcmp(pdb->id[1], id) == 0;
}

bool hs_pdb_rva(const struct hs_pdb *pdb, uint16_t section, uint32_t off, uint32_t *rva_ret)
{
    if (section == 0 || section > pdb->section_count || off > pdb->sections[section - 1].size)
        return false;
    *rva_ret = pdb->sections[section - 1].rva + off;
    return *rva_ret >= off;
}

const char *hs_pdb_text(struct hs_pdb *pdb, const uint8_t *name, const uint8_t *end)
{
    const uint8_t *p = name;
    struct hs_text text;
    uint64_t *known;
    const char *kept = NULL;

    while (p < end && *p >= ' ' && *p <= '~')
        p++;
    if (p < end && *p == 0)
        return (const char *)name;
    while (p < end && *p)
        p++;
    pthread_mutex_lock(&pdb->lock);
    known = hs_map_value(&pdb->escaped, (uintptr_t)name);
    if (known && !*known) {
        hs_text_init(&text);
        if (pdb->escaped_size <= pdb->mapping.bytes.size)
            hs_text_add_escaped(&text, name, (size_t)(p - name), false);
        if (!text.failed && text.size)
            kept = hs_arena_string(&pdb->arena, text.bytes);
        pdb->escaped_size += text.size;
        hs_text_deinit(&text);
        *known = kept ? (uintptr_t)kept : (uintptr_t) "?";
    }
    kept = known ? (const char *)(uintptr_t)*known : NULL; /* the map holds pointers of our own making */
    pthread_mutex_unlock(&pdb->lock);
    return kept;
}

/* ---- object files and what they contributed ---- */

enum hs_status hs_pdb_read_modules(struct hs_pdb *pdb)
{
    struct hs_msf_bytes list;
    enum hs_status status = hs_msf_load(&pdb->msf, DBI_STREAM, pdb->modules_off, pdb->modules_size, &list);
    uint64_t off = 0, total = 0;
    size_t capacity;

    if (status != HS_OK)
        return status == HS_ERR_MEMORY ? status : HS_OK;
    capacity = list.span.size / MODULE_HEADER_SIZE;
    if (capacity > MODULE_MAX)
        capacity = MODULE_MAX;
    pdb->modules = calloc(capacity + 1, sizeof *pdb->modules);
    if (!pdb->modules)
        status = HS_ERR_MEMORY;
    while (status == HS_OK && pdb->module_count < capacity && list.span.size - off > MODULE_HEADER_SIZE) {
        const uint8_t *row = list.span.bytes + off, *end = list.span.bytes + list.span.size, *name, *object;
        struct hs_pdb_module *module = &pdb->modules[pdb->module_count];

        module->stream = hs_load_u16(row + 34);
        module->size = module->stream == NO_STREAM ? 0 : hs_load_u32(row + 36);
        if (module->size > hs_msf_size(&pdb->msf, module->stream))
            module->size = (uint32_t)hs_msf_size(&pdb->msf, module->stream);
        total += module->size;
        if (total > pdb->mapping.bytes.size) /* several have one stream: reading it again and again is no use */
            module->size = 0;
        pdb->module_count++;
        name = memchr(row + MODULE_HEADER_SIZE, 0, (size_t)(end - row - MODULE_HEADER_SIZE));
        object = name && name + 1 < end ? memchr(name + 1, 0, (size_t)(end - name - 1)) : NULL;
        if (!object)
            break;
        off = ((uint64_t)(object + 1 - list.span.bytes) + 3) / 4 * 4;
        if (off >= list.span.size)
            break;
    }
    hs_msf_unload(&list);
    return status;
}

static int compare_contributions(const void *a, const void *b)
{
    const struct hs_pdb_contribution *one = a, *two = b;

    if (one->rva != two->rva)
        return one->rva < two->rva ? -1 : 1;
    return one->module < two->module ? -1 : one->module > two->module;
}

enum hs_status hs_pdb_read_contributions(struct hs_pdb *pdb)
{
    struct hs_msf_bytes list;
    enum hs_status status = hs_msf_load(&pdb->msf, DBI_STREAM, pdb->contributions_off, pdb->contributions_size, &list);
    uint32_t version, row_size;
    bool is_sorted = true;
    size_t count;

    if (status != HS_OK)
        return status == HS_ERR_MEMORY ? status : HS_OK;
    if (!hs_span_u32(list.span, 0, &version) || (version != CONTRIBUTION_V60 && version != CONTRIBUTION_V2)) {
        hs_msf_unload(&list);
        return HS_OK;
    }
    row_size = version == CONTRIBUTION_V2 ? 32 : 28;
    count = (list.span.size - 4) / row_size;
    pdb->contributions = malloc((count + 1) * sizeof *pdb->contributions);
    for (size_t i = 0; i < count && pdb->contributions; i++) {
        const uint8_t *row = list.span.bytes + 4 + i * row_size;
        struct hs_pdb_contribution *next = &pdb->contributions[pdb->contribution_count];

        if (!hs_pdb_rva(pdb, hs_load_u16(row), hs_load_u32(row + 4), &next->rva))
            continue;
        next->size = hs_load_u32(row + 8);
        next->module = hs_load_u16(row + 16);
        is_sorted = is_sorted && (pdb->contribution_count == 0 || next[-1].rva <= next->rva);
        pdb->contribution_count++;
    }
    hs_msf_unload(&list);
    if (!pdb->contributions)
        return HS_ERR_MEMORY;
    if (!is_sorted)
        qsort(pdb->contributions, pdb->contribution_count, sizeof *pdb->contributions, compare_contributions);
    return hs_slices_init(&pdb->contribution_slices, pdb->contributions, pdb->contribution_count,
                          sizeof *pdb->contributions)
               ? HS_OK
               : HS_ERR_MEMORY;
}
