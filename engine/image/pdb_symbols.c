/* pdb_symbols.c - the symbols of a PDB by address and by name.
 * Publics and data are indexed once, whole; functions an object file at a time, when an address in it is asked for
 * (pdb_procedures.c). */
#include "image/pdb.h"
#include "image/pe.h"

#include <stdlib.h>

#define KIND_LDATA 0x110cu
#define KIND_GDATA 0x110du
#define KIND_PUBLIC 0x110eu
#define KIND_PROCEDURE_REF 0x1125u
#define KIND_LOCAL_PROCEDURE_REF 0x1127u
#define DATA_NAME_OFF 14u /* of data, publics and references alike */
#define HASH_HEADER_SIZE 16u
#define HASH_SIGNATURE 0xffffffffu
#define PUBLICS_HEADER_SIZE 28u

/* ---- publics and data ---- */

/* Address of a public or of data; false for any other record. */
static bool read_entry(const struct hs_pdb *pdb, const struct hs_pdb_record *record, uint32_t *rva_ret)
{
    return (record->kind == KIND_PUBLIC || record->kind == KIND_GDATA || record->kind == KIND_LDATA) &&
           hs_pdb_record_size(record) > DATA_NAME_OFF &&
           hs_pdb_rva(pdb, hs_load_u16(record->bytes + 12), hs_load_u32(record->bytes + 8), rva_ret);
}

/* False when out of memory. */
static bool sort_offsets(uint32_t *offsets, size_t count)
{
    struct hs_rva_key *keys = malloc((count + 1) * 2 * sizeof *keys), *sorted;

    if (!keys)
        return false;
    for (size_t i = 0; i < count; i++)
        keys[i] = (struct hs_rva_key){offsets[i], 0};
    sorted = hs_sort_rvas(keys, keys + count, count);
    for (size_t i = 0; i < count; i++)
        offsets[i] = sorted[i].rva;
    free(keys);
    return true;
}

/* Records do not overlap: what begins inside another one is none. So all names together are no longer than the stream. */
static void drop_overlaps(struct hs_pdb *pdb, size_t from)
{
    uint64_t end = 0;
    size_t kept = from;
    struct hs_pdb_record record;

    for (size_t i = from; i < pdb->live_count; i++) {
        if (pdb->live[i] < end || !hs_pdb_record_at(pdb->records.span, pdb->live[i], &record))
            continue;
        end = pdb->live[i] + hs_pdb_record_size(&record);
        pdb->live[kept++] = pdb->live[i];
    }
    pdb->live_count = kept;
}

/* Appends the offsets of the records that a hash table names: an incremental linker leaves dead records behind, which
 * no table names. Rows of 8 bytes: offset + 1, count of references. */
static enum hs_status read_hash(struct hs_pdb *pdb, uint32_t stream, uint64_t off)
{
    uint8_t header[HASH_HEADER_SIZE];
    struct hs_msf_bytes rows;
    enum hs_status status;
    uint32_t *live;
    size_t count, from = pdb->live_count;
    bool is_sorted = true;

    if (!hs_msf_read(&pdb->msf, stream, off, header, sizeof header) || hs_load_u32(header) != HASH_SIGNATURE)
        return HS_OK;
    status = hs_msf_load(&pdb->msf, stream, off + HASH_HEADER_SIZE, hs_load_u32(header + 8), &rows);
    if (status != HS_OK)
        return status == HS_ERR_MEMORY ? status : HS_OK;
    count = rows.span.size / 8;
    live = realloc(pdb->live, (from + count + 1) * sizeof *live);
    if (!live) {
        hs_msf_unload(&rows);
        return HS_ERR_MEMORY;
    }
    pdb->live = live;
    for (size_t i = 0; i < count; i++) {
        uint32_t row = hs_load_u32(rows.span.bytes + 8 * i);

        if (row == 0)
            continue;
        is_sorted = is_sorted && (pdb->live_count == from || live[pdb->live_count - 1] <= row - 1);
        live[pdb->live_count++] = row - 1;
    }
    hs_msf_unload(&rows);
    if (!is_sorted && !sort_offsets(live + from, pdb->live_count - from))
        return HS_ERR_MEMORY;
    drop_overlaps(pdb, from);
    return HS_OK;
}

/* Whether entry `a` names an address better than `b`: data by its own name, not by a decorated public. */
static bool is_better(const struct hs_pdb *pdb, uint32_t a, uint32_t b)
{
    uint16_t kind_a = hs_load_u16(pdb->records.span.bytes + a + 2),
             kind_b = hs_load_u16(pdb->records.span.bytes + b + 2);

    if ((kind_a == KIND_PUBLIC) != (kind_b == KIND_PUBLIC))
        return kind_b == KIND_PUBLIC;
    return a < b;
}

static enum hs_status sort_entries(struct hs_pdb *pdb)
{
    struct hs_rva_key *keys = malloc((pdb->live_count + 1) * 2 * sizeof *keys), *sorted;
    struct hs_pdb_record record;
    size_t count = 0;

    if (!keys)
        return HS_ERR_MEMORY;
    for (size_t i = 0; i < pdb->live_count; i++) {
        uint32_t rva;

        if (hs_pdb_record_at(pdb->records.span, pdb->live[i], &record) && read_entry(pdb, &record, &rva))
            keys[count++] = (struct hs_rva_key){rva, pdb->live[i]};
    }
    sorted = hs_sort_rvas(keys, keys + pdb->live_count + 1, count);
    pdb->entries = malloc((count + 1) * sizeof *pdb->entries);
    for (size_t i = 0; i < count && pdb->entries; i++) {
        struct hs_pdb_entry entry = {sorted[i].rva, sorted[i].idx}, *last = &pdb->entries[pdb->entry_count];

        /* Equal addresses stay, the best of them last: look-up takes the last one at or below an address. */
        if (pdb->entry_count && last[-1].rva == entry.rva && !is_better(pdb, entry.off, last[-1].off)) {
            *last = last[-1];
            last[-1] = entry;
        } else {
            *last = entry;
        }
        pdb->entry_count++;
    }
    free(keys);
    return pdb->entries && hs_slices_init(&pdb->entry_slices, pdb->entries, pdb->entry_count, sizeof *pdb->entries)
               ? HS_OK
               : HS_ERR_MEMORY;
}

static enum hs_status load_omap(const struct hs_pdb *pdb, uint16_t stream, struct hs_pdb_omap *omap)
{
    enum hs_status status = hs_msf_load(&pdb->msf, stream, 0, UINT32_MAX, &omap->bytes);

    omap->count = (uint32_t)(omap->bytes.span.size / 8);
    return status == HS_ERR_MEMORY ? status : HS_OK;
}

static void drop_index(struct hs_pdb *pdb)
{
    for (size_t i = 0; i < pdb->module_count; i++)
        hs_pdb_procedures_destroy(atomic_load(&pdb->modules[i].procedures));
    hs_msf_unload(&pdb->to_source.bytes);
    hs_msf_unload(&pdb->from_source.bytes);
    hs_slices_deinit(&pdb->contribution_slices);
    free(pdb->contributions);
    free(pdb->modules);
    pdb->contributions = NULL;
    pdb->modules = NULL;
    pdb->contribution_count = pdb->module_count = 0;
}

static void drop_entries(struct hs_pdb *pdb)
{
    hs_msf_unload(&pdb->records);
    hs_slices_deinit(&pdb->entry_slices);
    free(pdb->entries);
    free(pdb->live);
    pdb->entries = NULL;
    pdb->live = NULL;
    pdb->entry_count = pdb->live_count = pdb->live_globals = 0;
}

void hs_pdb_drop_symbols(struct hs_pdb *pdb)
{
    drop_index(pdb);
    drop_entries(pdb);
}

/* What leads from an address to the functions of its object file. */
static bool build_index(struct hs_pdb *pdb)
{
    enum hs_status status = hs_pdb_read_modules(pdb);

    if (status == HS_OK)
        status = hs_pdb_read_contributions(pdb);
    if (status == HS_OK)
        status = load_omap(pdb, pdb->to_source_stream, &pdb->to_source);
    if (status == HS_OK)
        status = load_omap(pdb, pdb->from_source_stream, &pdb->from_source);
    if (status != HS_OK)
        drop_index(pdb);
    return status == HS_OK;
}

/* Publics and data: a large stream, which an address inside a function does without. */
static bool build_entries(struct hs_pdb *pdb)
{
    enum hs_status status = hs_msf_load(&pdb->msf, pdb->records_stream, 0, UINT32_MAX, &pdb->records);

    if (status != HS_ERR_MEMORY)
        status = read_hash(pdb, pdb->globals_stream, 0);
    pdb->live_globals = pdb->live_count;
    if (status == HS_OK)
        status = read_hash(pdb, pdb->publics_stream, PUBLICS_HEADER_SIZE);
    if (status == HS_OK)
        status = sort_entries(pdb);
    if (status != HS_OK)
        drop_entries(pdb);
    return status == HS_OK;
}

/* Builds a part when it is first asked for. False when out of memory; the next call tries again. */
static bool need(struct hs_pdb *pdb, atomic_bool *has, bool (*build)(struct hs_pdb *pdb))
{
    bool built = atomic_load_explicit(has, memory_order_acquire);

    if (built)
        return true;
    pthread_mutex_lock(&pdb->lock);
    built = atomic_load_explicit(has, memory_order_relaxed) || build(pdb);
    atomic_store_explicit(has, built, memory_order_release);
    pthread_mutex_unlock(&pdb->lock);
    return built;
}

static bool need_index(struct hs_pdb *pdb)
{
    return need(pdb, &pdb->has_index, build_index);
}

static bool need_entries(struct hs_pdb *pdb)
{
    return need(pdb, &pdb->has_entries, build_entries);
}

/* ---- by address ---- */

/* Where `rva` went; false if it was left out. Rows: from, to (0: nowhere), sorted by from. */
static bool move_rva(const struct hs_pdb_omap *omap, uint32_t rva, uint32_t *moved_ret)
{
    size_t low = 0, high = omap->count;
    const uint8_t *rows = omap->bytes.span.bytes;
    uint32_t to;

    *moved_ret = rva;
    if (omap->count == 0)
        return true;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (hs_load_u32(rows + 8 * middle) <= rva)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    to = hs_load_u32(rows + 8 * (low - 1) + 4);
    *moved_ret = to + (rva - hs_load_u32(rows + 8 * (low - 1)));
    return to != 0;
}

static const struct hs_pdb_contribution *contribution_at(const struct hs_pdb *pdb, uint32_t rva)
{
    size_t idx = hs_slices_at(&pdb->contribution_slices, pdb->contributions, sizeof *pdb->contributions, rva);

    return idx != SIZE_MAX && rva - pdb->contributions[idx].rva < pdb->contributions[idx].size
               ? &pdb->contributions[idx]
               : NULL;
}

static bool fill_procedure(const struct hs_pdb_procedure *procedure, struct hs_pdb_symbol *symbol_ret)
{
    *symbol_ret = (struct hs_pdb_symbol){
        .name = procedure->name, .rva = procedure->rva, .size = procedure->size, .has_size = true};
    return procedure->name;
}

static bool fill_entry(struct hs_pdb *pdb, const struct hs_pdb_entry *entry, struct hs_pdb_symbol *symbol_ret)
{
    struct hs_pdb_record record;

    *symbol_ret = (struct hs_pdb_symbol){.rva = entry->rva};
    if (!hs_pdb_record_at(pdb->records.span, entry->off, &record))
        return false;
    symbol_ret->is_public = record.kind == KIND_PUBLIC;
    symbol_ret->is_data = record.kind != KIND_PUBLIC;
    symbol_ret->name = hs_pdb_text(pdb, record.bytes + DATA_NAME_OFF, record.end);
    return symbol_ret->name && *symbol_ret->name;
}

/* The last function of object file `module` that begins at or below `rva`. */
static bool procedure_at(struct hs_pdb *pdb, size_t module, uint32_t rva, struct hs_pdb_symbol *symbol_ret)
{
    const struct hs_pdb_procedures *procedures = module < pdb->module_count ? hs_pdb_procedures_of(pdb, module) : NULL;
    size_t idx =
        procedures ? hs_slices_at(&procedures->slices, procedures->sorted, sizeof *procedures->sorted, rva) : SIZE_MAX;

    return idx != SIZE_MAX && fill_procedure(&procedures->sorted[idx], symbol_ret);
}

bool hs_pdb_at(struct hs_pdb *pdb, uint32_t image_rva, struct hs_pdb_symbol *symbol_ret, uint32_t *offset_ret,
               bool *near_ret)
{
    const struct hs_pdb_contribution *contribution;
    struct hs_pdb_symbol procedure = {0};
    bool has_procedure;
    uint32_t rva;
    size_t idx;

    if (!need_index(pdb) || !move_rva(&pdb->to_source, image_rva, &rva))
        return false;
    contribution = contribution_at(pdb, rva);
    has_procedure = contribution && procedure_at(pdb, contribution->module, rva, &procedure);
    if (has_procedure && (rva - procedure.rva < procedure.size || rva == procedure.rva)) {
        *symbol_ret = procedure;
        *offset_ret = rva - procedure.rva;
        *near_ret = true;
        return true;
    }
    idx = need_entries(pdb) ? hs_slices_at(&pdb->entry_slices, pdb->entries, sizeof *pdb->entries, rva) : SIZE_MAX;
    if (idx == SIZE_MAX || !fill_entry(pdb, &pdb->entries[idx], symbol_ret)) {
        *symbol_ret = procedure;
        *offset_ret = rva - procedure.rva;
        *near_ret = false;
        return has_procedure;
    }
    *offset_ret = rva - symbol_ret->rva;
    /* A public tells no size. It ends where its contribution does, and is not believed past a function's end; without
     * contributions it goes as far as an export's would. */
    if (pdb->contribution_count)
        *near_ret = contribution && symbol_ret->rva >= contribution->rva &&
                    !(has_procedure && procedure.rva >= symbol_ret->rva);
    else
        *near_ret = *offset_ret <= HS_SYMBOL_NEAR;
    if (has_procedure && procedure.rva >= symbol_ret->rva) { /* the function that ends before it is the nearer name */
        *symbol_ret = procedure;
        *offset_ret = rva - procedure.rva;
    }
    return true;
}

/* ---- by name ---- */

static uint64_t hash_name(const char *name, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* The plain name in a record of publics or globals; its length, 0 for a record that names no address. */
static size_t plain_name(const struct hs_pdb *pdb, const struct hs_pdb_record *record, const char **name_ret)
{
    const uint8_t *name = record->bytes + DATA_NAME_OFF, *end;
    size_t size;

    switch (record->kind) {
    case KIND_PUBLIC:
    case KIND_GDATA:
    case KIND_LDATA:
    case KIND_PROCEDURE_REF:
    case KIND_LOCAL_PROCEDURE_REF: break;
    default: return 0;
    }
    end = name < record->end ? memchr(name, 0, (size_t)(record->end - name)) : NULL;
    if (!end)
        return 0;
    *name_ret = (const char *)name;
    size = (size_t)(end - name);
    return record->kind == KIND_PUBLIC ? hs_symbol_plain(*name_ret, size, pdb->is_x86, name_ret) : size;
}

/* False when out of memory; what there is by then stays, and the next call goes on. */
static bool build_names(struct hs_pdb *pdb)
{
    struct hs_pdb_record record;

    for (size_t i = 0; i < pdb->live_count; i++) {
        const char *name;
        uint64_t *value;
        size_t size;

        if (!hs_pdb_record_at(pdb->records.span, pdb->live[i], &record) || !(size = plain_name(pdb, &record, &name)))
            continue;
        value = hs_map_value(&pdb->names, hash_name(name, size));
        if (!value)
            return false;
        if (!*value)
            *value = (uint64_t)pdb->live[i] + 1;
    }
    return true;
}

/* The symbol of the record at `off`, if its plain name is this one. */
static bool symbol_of_record(struct hs_pdb *pdb, uint64_t off, const char *name, size_t size,
                             struct hs_pdb_symbol *symbol_ret)
{
    struct hs_pdb_record record;
    struct hs_pdb_procedure procedure;
    const struct hs_pdb_procedures *procedures;
    const char *found;
    uint32_t rva;
    size_t module;

    if (!hs_pdb_record_at(pdb->records.span, off, &record) || plain_name(pdb, &record, &found) != size ||
        memcmp(found, name, size) != 0)
        return false;
    if (read_entry(pdb, &record, &rva)) {
        struct hs_pdb_entry entry = {rva, (uint32_t)off};

        return fill_entry(pdb, &entry, symbol_ret);
    }
    if (record.kind != KIND_PROCEDURE_REF && record.kind != KIND_LOCAL_PROCEDURE_REF)
        return false;
    module = (size_t)hs_load_u16(record.bytes + 12) - 1; /* counted from 1 */
    if (module >= pdb->module_count || !(procedures = hs_pdb_procedures_of(pdb, module)))
        return false;
    return hs_pdb_procedure_of_record(pdb, procedures->records.span, hs_load_u32(record.bytes + 8), &procedure) &&
           fill_procedure(&procedure, symbol_ret);
}

static bool find_named(struct hs_pdb *pdb, const char *name, size_t size, struct hs_pdb_symbol *symbol_ret)
{
    uint64_t off = size ? hs_map_find(&pdb->names, hash_name(name, size)) : 0;

    return off && symbol_of_record(pdb, off - 1, name, size, symbol_ret) &&
           move_rva(&pdb->from_source, symbol_ret->rva, &symbol_ret->rva);
}

bool hs_pdb_named(struct hs_pdb *pdb, const char *name, struct hs_pdb_symbol *symbol_ret)
{
    const char *plain;
    size_t size = strlen(name), plain_size;

    if (!need_index(pdb) || !need_entries(pdb) || !need(pdb, &pdb->has_names, build_names))
        return false;
    if (find_named(pdb, name, size, symbol_ret))
        return true;
    plain_size = hs_symbol_plain(name, size, pdb->is_x86, &plain); /* "_RtlAllocateHeap@12" as it stands in the file */
    return plain_size != size && find_named(pdb, plain, plain_size, symbol_ret);
}

/* ---- all of them ---- */

bool hs_pdb_next(struct hs_pdb *pdb, struct hs_pdb_cursor *cursor, struct hs_pdb_symbol *symbol_ret)
{
    if (!need_index(pdb) || !need_entries(pdb))
        return false;
    while (cursor->entry < pdb->entry_count)
        if (fill_entry(pdb, &pdb->entries[cursor->entry++], symbol_ret) &&
            move_rva(&pdb->from_source, symbol_ret->rva, &symbol_ret->rva))
            return true;
    for (; cursor->module < pdb->module_count; cursor->module++, cursor->procedure = 0) {
        const struct hs_pdb_procedures *procedures = hs_pdb_procedures_of(pdb, cursor->module);

        while (procedures && cursor->procedure < procedures->count)
            if (fill_procedure(&procedures->sorted[cursor->procedure++], symbol_ret) &&
                move_rva(&pdb->from_source, symbol_ret->rva, &symbol_ret->rva))
                return true;
    }
    return false;
}
