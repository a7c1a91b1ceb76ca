/* pdb.h - inside image/: a PDB opened, and the index over its symbols. */
#ifndef HS_IMAGE_PDB_H
#define HS_IMAGE_PDB_H

#include "file/file.h"
#include "image/image.h"
#include "image/msf.h"
#include <pthread.h>

struct hs_pdb_section {
    uint32_t rva, size;
};

/* One contribution of a module of the program (an object file) to a section: where its code and data went. */
struct hs_pdb_contribution {
    uint32_t rva, size;
    uint16_t module;
};

struct hs_pdb_procedure {
    uint32_t rva, size;
    const char *name; /* fit to be shown; NULL if it has none */
};

/* slices.c: finds elements that are sorted by the rva they begin with. Their range of addresses is cut into about as
 * many slices as there are elements, so that a look-up touches few of them. Every call takes the same elements. */
struct hs_slices {
    uint32_t rva; /* of the first element */
    unsigned shift;
    uint32_t count;
    uint32_t *below; /* one a slice: how many elements lie before it; and how many there are at all */
};
/* False when out of memory. */
HS_MUST_CHECK bool hs_slices_init(struct hs_slices *slices, const void *elements, size_t count, size_t element_size);
void hs_slices_deinit(struct hs_slices *slices);
/* Index of the last element whose rva is at most `rva`; SIZE_MAX: none. */
size_t hs_slices_at(const struct hs_slices *slices, const void *elements, size_t element_size, uint32_t rva);

/* The symbols of one object file. */
struct hs_pdb_procedures {
    struct hs_msf_bytes records;
    struct hs_pdb_procedure *sorted; /* by rva */
    size_t count;
    struct hs_slices slices;
};

struct hs_pdb_module {
    uint16_t stream;
    uint32_t size;                                /* bytes of symbols */
    struct hs_pdb_procedures *_Atomic procedures; /* NULL until asked for */
};

/* A public symbol or a piece of data: its record lies at `off` in the symbol records. */
struct hs_pdb_entry {
    uint32_t rva, off;
};

/* Moves addresses between the layout that the compiler saw and the one after a tool moved the code about. */
struct hs_pdb_omap {
    struct hs_msf_bytes bytes;
    uint32_t count;
};

struct hs_pdb {
    struct hs_mapping mapping;
    struct hs_msf msf;
    uint32_t age, dbi_age; /* of the info stream and of the DBI stream; the image's record has the latter */
    char id[2][48];        /* GUID with either age, as RSDS ids are written */
    bool is_x86;
    struct hs_arena arena;

    uint16_t globals_stream, publics_stream, records_stream;
    uint64_t modules_off, modules_size, contributions_off, contributions_size; /* in the DBI stream */
    uint16_t section_stream;
    uint16_t to_source_stream, from_source_stream;
    struct hs_pdb_section sections[96];
    uint32_t section_count;

    /* Built under `lock` when first asked for, then never changed. */
    pthread_mutex_t lock;
    atomic_bool has_index, has_entries, has_names;
    struct hs_msf_bytes records;
    struct hs_pdb_entry *entries; /* by rva */
    size_t entry_count;
    struct hs_slices entry_slices;
    struct hs_pdb_contribution *contributions; /* by rva */
    size_t contribution_count;
    struct hs_slices contribution_slices;
    struct hs_pdb_module *modules;
    size_t module_count;
    struct hs_pdb_omap to_source, from_source;
    uint32_t *live; /* offsets of the records that the hash tables of globals, then of publics, name; ascending */
    size_t live_globals, live_count;
    struct hs_map names;            /* hash of a plain name -> offset of its record + 1 */
    struct hs_types *_Atomic types; /* type_records.c; NULL until asked for */
    uint64_t escaped_size;          /* bytes of these copies: no more than the file has */
    struct hs_map escaped; /* name in the file -> escaped copy, for the few that are not plain ASCII; under `lock` */
};

/* pdb.c: parts of the index; all under pdb->lock. HS_ERR_MEMORY only: what is damaged is left out. */
HS_MUST_CHECK enum hs_status hs_pdb_read_modules(struct hs_pdb *pdb);
HS_MUST_CHECK enum hs_status hs_pdb_read_contributions(struct hs_pdb *pdb);
/* The rva of section:offset in the compiler's layout; false if there is no such section. */
bool hs_pdb_rva(const struct hs_pdb *pdb, uint16_t section, uint32_t off, uint32_t *rva_ret);

/* pdb_procedures.c */

/* One symbol record: `end` is the end of its bytes, inside the span it was read from. */
struct hs_pdb_record {
    uint16_t kind;
    const uint8_t *bytes, *end;
};

/* The record at `off`; false if none that is whole begins there. */
bool hs_pdb_record_at(struct hs_span records, uint64_t off, struct hs_pdb_record *record_ret);

static inline size_t hs_pdb_record_size(const struct hs_pdb_record *record)
{
    return (size_t)(record->end - record->bytes);
}

/* The function whose record lies at `off`, and its name; false if it is none. */
bool hs_pdb_procedure_of_record(struct hs_pdb *pdb, struct hs_span records, uint64_t off,
                                struct hs_pdb_procedure *procedure_ret);
/* The functions of object file `idx`, read when first asked for; NULL when out of memory. */
const struct hs_pdb_procedures *hs_pdb_procedures_of(struct hs_pdb *pdb, size_t idx);
void hs_pdb_procedures_destroy(struct hs_pdb_procedures *procedures);

/* pdb_symbols.c */
void hs_pdb_drop_symbols(struct hs_pdb *pdb);

/* type_records.c */
void hs_types_destroy(struct hs_types *types);

/* A name in the file, made fit to be shown: as it is if it is plain ASCII and ends before `end`, otherwise an escaped
 * copy that lives as long as the PDB. NULL when out of memory. */
const char *hs_pdb_text(struct hs_pdb *pdb, const uint8_t *name, const uint8_t *end);

#endif
