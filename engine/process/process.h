/* process.h - the door of process/: facts about the process that are not heap. */
#ifndef HS_PROCESS_H
#define HS_PROCESS_H

#include "file/file.h"
#include "image/image.h"
#include "layout/layout.h"
#include "space/space.h"
#include <pthread.h>

/* A module; its image and its PDB, which are read when first asked for. */
struct hs_process_module {
    struct hs_module facts;
    struct hs_image *_Atomic image; /* NULL until read */
    struct hs_pdb *_Atomic pdb;     /* NULL: none, or not looked for yet */
    atomic_bool looked_for_pdb;
    const char *pdb_path;
};

struct hs_process {
    const struct hs_file *file;
    const struct hs_space *space;
    const struct hs_layout *layout;
    struct hs_notes *notes; /* the dump's; written under `lock` once the process is open */
    struct hs_arena arena;
    pthread_mutex_t lock;

    const char *symbol_path; /* NULL: none */
    struct hs_pdb **retired; /* PDBs of before the path was set again: names of theirs may still be held */
    size_t retired_count;
    struct hs_facts facts;
    struct hs_process_module *modules;
    size_t module_count;
    uint32_t *modules_by_base; /* module indexes in address order */
    struct hs_thread *threads;
    size_t thread_count;
    struct hs_region *regions; /* present_size filled */
    size_t region_count;
};

/* Works on the caller's memory; file and space must outlive it. HS_ERR_MEMORY, HS_ERR_UNSUPPORTED (processor). */
HS_MUST_CHECK enum hs_status hs_process_init(struct hs_process *process, const struct hs_file *file,
                                             const struct hs_space *space, struct hs_notes *notes,
                                             struct hs_error *err);
void hs_process_deinit(struct hs_process *process);

/* module.c: modules, their images, and symbols over them. */
HS_MUST_CHECK enum hs_status hs_process_init_modules(struct hs_process *process, struct hs_error *err);
void hs_process_deinit_modules(struct hs_process *process);
/* The image of a module, read when first asked; never changes after. NULL when out of memory. Any thread. */
const struct hs_image *hs_process_image(const struct hs_process *process, size_t module_idx);
/* The PDB of a module, looked for when first asked; NULL if there is none. Any thread. */
struct hs_pdb *hs_process_pdb(const struct hs_process *process, size_t module_idx);
/* pdbs.c: where PDBs are looked for, besides the dump's folder (NULL: only there). What was found before is forgotten and
 * looked for again when needed; no other thread may use the process meanwhile. HS_ERR_MEMORY: nothing has changed. */
HS_MUST_CHECK enum hs_status hs_process_set_symbol_path(struct hs_process *process, const char *path,
                                                        struct hs_error *err);
/* Under the lock: opens the PDB that belongs to a module and sets its pdb_path; NULL if none is found. Notes say which
 * files were not used and why. */
struct hs_pdb *hs_pdb_search(struct hs_process *process, size_t module_idx, const struct hs_image *image);
/* Module that holds `va`; SIZE_MAX if none does. */
size_t hs_process_module_at(const struct hs_process *process, hs_va va);
size_t hs_process_module_named(const struct hs_process *process, const char *name);
/* See hs_dump_symbol and hs_dump_resolve. */
enum hs_status hs_process_symbol(const struct hs_process *process, hs_va va, struct hs_symbol *symbol_ret);
enum hs_status hs_process_resolve(const struct hs_process *process, const char *text, hs_va *va_ret);
/* See hs_dump_next_symbol. */
enum hs_status hs_process_next_symbol(const struct hs_process *process, size_t module_idx,
                                      struct hs_symbol_cursor *cursor, struct hs_symbol *symbol_ret);
enum hs_symbol_source hs_process_symbol_source(const struct hs_process *process, size_t module_idx);
size_t hs_process_symbol_text(const struct hs_process *process, const struct hs_symbol *symbol,
                              enum hs_symbol_style style, char *text_ret, size_t size);
/* Whether a section that can be executed (written) holds `va`. */
bool hs_process_executable(const struct hs_process *process, hs_va va);

/* threads.c: threads, contexts, stack ranges. */
HS_MUST_CHECK enum hs_status hs_process_init_threads(struct hs_process *process, struct hs_error *err);
enum hs_status hs_process_register(const struct hs_process *process, size_t thread_idx, unsigned idx,
                                   struct hs_register *register_ret);

/* Region that holds `va`; SIZE_MAX if none does. */
size_t hs_process_region_at(const struct hs_process *process, hs_va va);

#endif
