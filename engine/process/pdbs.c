/* pdbs.c - which PDB belongs to a module: looked for along a search path as debuggers know it, never on the network.
 * Stores: NAME/ID/NAME below a root, or, where the store has an index2.txt, below a folder named by the first two letters
 * ("nt/ntdll.pdb/..."); as symstore.exe of the Debugging Tools for Windows writes them. */
#include "process/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#define PATH_ROOM 4096u

/* One search. */
struct search {
    struct hs_process *process;
    const struct hs_module *module;
    const char *id, *name; /* of the PDB: id, file name without folders */
    struct hs_pdb *pdb;    /* found */
    char path[PATH_ROOM];  /* the file being looked at */
};

/* ---- files ---- */

/* Appends "/name" to `path`, in the case in which the folder has it: Windows does not care, Linux does. False if the
 * folder has no such name or it does not fit. */
static bool descend(char *path, const char *name)
{
    size_t length = strlen(path);
    struct dirent *entry;
    struct stat status;
    DIR *folder;
    bool found = false;

    if (length + strlen(name) + 2 > PATH_ROOM)
        return false;
    snprintf(path + length, PATH_ROOM - length, "/%s", name);
    if (stat(path, &status) == 0)
        return true;
    path[length] = 0;
    folder = opendir(length ? path : "/");
    while (folder && !found && (entry = readdir(folder))) {
        found = strcasecmp(entry->d_name, name) == 0;
        if (found)
            snprintf(path + length, PATH_ROOM - length, "/%s", entry->d_name);
    }
    if (folder)
        closedir(folder);
    return found;
}

/* The note gives paths escaped: a search path may come from anywhere. */
static void note_file(const struct search *search, const char *text)
{
    struct hs_text path;

    hs_text_init(&path);
    hs_text_add_escaped(&path, search->path, strlen(search->path), false);
    hs_notes_add(search->process->notes, "%s: %s: %s", search->module->name, path.bytes ? path.bytes : "?", text);
    hs_text_deinit(&path);
}

/* Whether the file at search->path is the PDB: a note says why it is not. */
static bool try_file(struct search *search)
{
    struct hs_error trouble = {0};
    char text[200];

    if (hs_pdb_open(search->path, &search->pdb, &trouble) != HS_OK) {
        note_file(search, trouble.text);
        return false;
    }
    if (hs_pdb_matches(search->pdb, search->id))
        return true;
    snprintf(text, sizeof text, "not used, it belongs to another build: GUID and age %s, expected %s",
             hs_pdb_id(search->pdb), search->id);
    note_file(search, text);
    hs_pdb_close(search->pdb);
    search->pdb = NULL;
    return false;
}

/* The file of that name in the folder search->path, or what is there of it in compressed form. */
static bool try_in_folder(struct search *search)
{
    size_t length = strlen(search->path), name_length = strlen(search->name);
    char compressed[512];

    if (descend(search->path, search->name)) {
        if (try_file(search))
            return true;
    } else if (name_length > 1 && name_length < sizeof compressed) {
        snprintf(compressed, sizeof compressed, "%.*s_", (int)name_length - 1, search->name);
        if (descend(search->path, compressed))
            note_file(search, "is compressed, which heapsift does not read: expand it (expand, cabextract)");
    }
    search->path[length] = 0;
    return false;
}

/* ---- elements of the search path ---- */

/* NAME/ID/NAME below search->path. */
static bool try_store_folder(struct search *search)
{
    size_t length = strlen(search->path);

    if (descend(search->path, search->name) && descend(search->path, search->id) && try_in_folder(search))
        return true;
    search->path[length] = 0;
    return false;
}

static bool is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool try_store(struct search *search)
{
    size_t length = strlen(search->path);
    char letters[3] = {0};

    if (try_store_folder(search))
        return true;
    for (size_t count = 2; count >= 1; count--) {
        memcpy(letters, search->name, strlen(search->name) < count ? strlen(search->name) : count);
        letters[count] = 0;
        if (descend(search->path, letters) && try_store_folder(search))
            return true;
        search->path[length] = 0;
    }
    return false;
}

/* A plain folder, and what debuggers look at below it: the module's extension, and symbols/ with it. */
static bool try_folder(struct search *search)
{
    static const char *const below[][2] = {{NULL, NULL}, {"", NULL}, {"symbols", ""}};
    const char *dot = strrchr(search->module->path, '.');
    const char *extension = dot && !strpbrk(dot, "\\/") && strlen(dot) < 16 ? dot + 1 : "dll";
    size_t length = strlen(search->path);

    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        bool there = true;

        for (size_t step = 0; step < 2 && below[i][step] && there; step++)
            there = descend(search->path, *below[i][step] ? below[i][step] : extension);
        if (there && is_folder(search->path) && try_in_folder(search))
            return true;
        search->path[length] = 0;
    }
    return false;
}

/* Once a dump: an element of the path that cannot be used. */
static void note_element(struct hs_process *process, const char *element, const char *text)
{
    struct hs_text shown;

    hs_text_init(&shown);
    hs_text_add_escaped(&shown, element, strlen(element), false);
    hs_notes_add(process->notes, "symbol path: %s %s", shown.bytes ? shown.bytes : "?", text);
    hs_text_deinit(&shown);
}

static void without_slash(char *path)
{
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        path[--length] = 0;
}

/* Calls for each folder of the path: visit(search, is_store, folder) until it returns true. With a NULL search only the
 * notes about what cannot be used are made. */
static bool each_element(struct hs_process *process, struct search *search)
{
    const char *rest = process->symbol_path;

    while (*rest) {
        size_t length = strcspn(rest, ";");
        char element[PATH_ROOM], *part, *next;
        bool is_store = false, first = true;

        if (length < sizeof element) {
            memcpy(element, rest, length);
            element[length] = 0;
            for (part = element; part; part = next, first = false) {
                next = strchr(part, '*');
                if (next)
                    *next++ = 0;
                if (first && next) { /* srv*..., cache*..., symsrv*symsrv.dll*... */
                    is_store = true;
                    if (strcasecmp(part, "symsrv") == 0 && next) {
                        next = strchr(next, '*');
                        next = next ? next + 1 : NULL;
                    } else if (strcasecmp(part, "srv") != 0 && strcasecmp(part, "cache") != 0 && !search) {
                        note_element(process, part, "is no kind of store: srv, symsrv or cache expected");
                    }
                    continue;
                }
                if (!*part)
                    continue; /* "srv**": a default folder of Windows */
                without_slash(part);
                if (strstr(part, "://")) {
                    if (!search)
                        note_element(process, part, "is skipped: heapsift never uses the network");
                } else if (!is_folder(part)) {
                    if (!search)
                        note_element(process, part, "is no folder here");
                } else if (search) {
                    snprintf(search->path, sizeof search->path, "%s", part);
                    if (is_store ? try_store(search) : try_folder(search) || try_store(search))
                        return true;
                }
            }
        } else if (!search) {
            note_element(process, "one element", "is too long and skipped");
        }
        rest += length;
        rest += *rest == ';';
    }
    return false;
}

/* ---- the search ---- */

/* Puts the PDBs that were found aside. */
static bool retire(struct hs_process *process)
{
    size_t room = process->retired_count + process->module_count;
    struct hs_pdb **retired = realloc(process->retired, (room + 1) * sizeof *retired);

    if (!retired)
        return false;
    process->retired = retired;
    for (size_t i = 0; i < process->module_count; i++) {
        struct hs_process_module *module = &process->modules[i];
        struct hs_pdb *pdb = atomic_exchange(&module->pdb, NULL);

        if (pdb)
            retired[process->retired_count++] = pdb;
        module->pdb_path = NULL;
        atomic_store(&module->looked_for_pdb, false);
    }
    return true;
}

enum hs_status hs_process_set_symbol_path(struct hs_process *process, const char *path, struct hs_error *err)
{
    const char *own = hs_arena_string(&process->arena, path ? path : "");

    if (!own || !retire(process))
        return hs_fail_memory(err, "the symbol path");
    process->symbol_path = own;
    each_element(process, NULL);
    return HS_OK;
}

static bool beside_dump(struct search *search)
{
    const struct hs_file *file = search->process->file;
    const char *slash = strrchr(file->path, '/');

    if (file->mapping.descriptor < 0 || (slash && (size_t)(slash - file->path) >= PATH_ROOM))
        return false;
    if (!slash)
        snprintf(search->path, sizeof search->path, ".");
    else
        snprintf(search->path, sizeof search->path, "%.*s", (int)(slash - file->path), file->path);
    return try_in_folder(search);
}

/* The file name in the path that the linker wrote: nothing of a dump says in which folder we look. */
static const char *pdb_file_name(const char *path)
{
    const char *name = path;

    for (const char *p = path; *p; p++)
        if (*p == '\\' || *p == '/')
            name = p + 1;
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ? "" : name;
}

struct hs_pdb *hs_pdb_search(struct hs_process *process, size_t module_idx, const struct hs_image *image)
{
    const struct hs_module *module = &process->modules[module_idx].facts;
    struct search *search;
    struct hs_pdb *pdb = NULL;
    const char *recorded = *module->pdb_id ? module->pdb_name : image->pdb_name;

    if (!*recorded || !*pdb_file_name(recorded) || !(search = calloc(1, sizeof *search)))
        return NULL;
    search->process = process;
    search->module = module;
    search->id = *module->pdb_id ? module->pdb_id : image->pdb_id;
    search->name = pdb_file_name(recorded);
    if ((process->symbol_path && each_element(process, search)) || beside_dump(search)) {
        pdb = search->pdb;
        process->modules[module_idx].pdb_path = hs_arena_string(&process->arena, search->path);
    }
    free(search);
    return pdb;
}
