/* pdb_procedures.c - symbol records, and the functions of one object file, read when an address in it is asked for.
 * Record layouts: CodeView, as LLVM's CodeViewSymbols and Microsoft's published cvinfo.h have them. */
#include "image/pdb.h"
#include "image/pe.h"

#include <stdlib.h>

#define KIND_THUNK 0x1102u
#define MODULE_SIGNATURE_SIZE 4u
#define PROCEDURE_SIZE_MIN 26u /* the shortest record that read_procedure takes */

bool hs_pdb_record_at(struct hs_span records, uint64_t off, struct hs_pdb_record *record_ret)
{
    uint16_t size;

    if (!hs_span_u16(records, off, &size) || size < 2 || (uint64_t)size + 2 > records.size - off)
        return false;
    record_ret->bytes = records.bytes + off;
    record_ret->end = record_ret->bytes + size + 2;
    record_ret->kind = hs_load_u16(record_ret->bytes + 2);
    return true;
}

/* The function that a record is: false if it is none. Its name begins at bytes + *name_off_ret. */
static bool read_procedure(const struct hs_pdb *pdb, const struct hs_pdb_record *record, struct hs_pdb_procedure *ret,
                           uint32_t *name_off_ret)
{
    switch (record->kind) {
    case 0x110f:
    case 0x1110: /* S_LPROC32, S_GPROC32 */
    case 0x1146:
    case 0x1147: /* with ids in place of types */
    case 0x1155:
    case 0x1156: /* deferred procedure calls */
        if (hs_pdb_record_size(record) < 40)
            return false;
        ret->size = hs_load_u32(record->bytes + 16);
        *name_off_ret = 39;
        return hs_pdb_rva(pdb, hs_load_u16(record->bytes + 36), hs_load_u32(record->bytes + 32), &ret->rva);
    case KIND_THUNK:
        if (hs_pdb_record_size(record) < 26)
            return false;
        ret->size = hs_load_u16(record->bytes + 22);
        *name_off_ret = 25;
        return hs_pdb_rva(pdb, hs_load_u16(record->bytes + 20), hs_load_u32(record->bytes + 16), &ret->rva);
    default: return false;
    }
}

bool hs_pdb_procedure_of_record(struct hs_pdb *pdb, struct hs_span records, uint64_t off,
                                struct hs_pdb_procedure *procedure_ret)
{
    struct hs_pdb_record record;
    uint32_t name_off;
    const char *name;

    if (!hs_pdb_record_at(records, off, &record) || !read_procedure(pdb, &record, procedure_ret, &name_off))
        return false;
    name = hs_pdb_text(pdb, record.bytes + name_off, record.end);
    procedure_ret->name = name && *name ? name : NULL;
    return true;
}

/* Names are found here, where the records are walked anyway: a look-up then goes without them. */
static bool load_procedures(struct hs_pdb *pdb, const struct hs_pdb_module *module,
                            struct hs_pdb_procedures *procedures)
{
    enum hs_status status = hs_msf_load(&pdb->msf, module->stream, 0, module->size, &procedures->records);
    size_t capacity = (size_t)procedures->records.span.size / PROCEDURE_SIZE_MIN + 1, first = capacity, count;
    struct hs_rva_key *keys, *sorted;
    struct hs_pdb_procedure procedure;
    struct hs_pdb_record record;
    uint32_t name_off;

    if (status != HS_OK)
        return status != HS_ERR_MEMORY; /* what is damaged has no functions */
    keys = malloc(2 * capacity * sizeof *keys);
    if (!keys)
        return false;
    /* From the end on: of those folded into one address, the first record comes last. */
    for (uint64_t off = MODULE_SIGNATURE_SIZE; hs_pdb_record_at(procedures->records.span, off, &record);
         off += hs_pdb_record_size(&record))
        if (read_procedure(pdb, &record, &procedure, &name_off))
            keys[--first] = (struct hs_rva_key){procedure.rva, (uint32_t)off};
    count = capacity - first;
    sorted = hs_sort_rvas(keys + first, keys + capacity, count);
    procedures->sorted = malloc((count + 1) * sizeof *procedures->sorted);
    for (size_t i = 0; i < count && procedures->sorted; i++)
        if (hs_pdb_procedure_of_record(pdb, procedures->records.span, sorted[i].idx, &procedure))
            procedures->sorted[procedures->count++] = procedure;
    free(keys);
    return procedures->sorted &&
           hs_slices_init(&procedures->slices, procedures->sorted, procedures->count, sizeof *procedures->sorted);
}

void hs_pdb_procedures_destroy(struct hs_pdb_procedures *procedures)
{
    if (!procedures)
        return;
    hs_msf_unload(&procedures->records);
    hs_slices_deinit(&procedures->slices);
    free(procedures->sorted);
    free(procedures);
}

const struct hs_pdb_procedures *hs_pdb_procedures_of(struct hs_pdb *pdb, size_t idx)
{
    struct hs_pdb_module *module = &pdb->modules[idx];
    struct hs_pdb_procedures *procedures = atomic_load_explicit(&module->procedures, memory_order_acquire),
                             *other = NULL;

    if (procedures || !(procedures = calloc(1, sizeof *procedures)))
        return procedures;
    if (!load_procedures(pdb, module, procedures)) {
        hs_pdb_procedures_destroy(procedures);
        return NULL;
    }
    if (atomic_compare_exchange_strong(&module->procedures, &other, procedures))
        return procedures;
    hs_pdb_procedures_destroy(procedures); /* another thread was first */
    return other;
}
