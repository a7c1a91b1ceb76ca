/* module.c - modules by address and by name, their images and PDBs on demand, and symbols over both. */
#include "process/process.h"

#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define FORWARDER_STEPS 8

/* "C:\\WINDOWS\\system32\\ntdll.dll" -> "ntdll", as debuggers name modules. NULL when out of memory. */
static const char *short_name(struct hs_process *process, const char *path, hs_va base)
{
    const char *start = path, *end;
    struct hs_text text;
    const char *name;

    for (const char *p = path; *p; p++)
        if (*p == '\\' || *p == '/')
            start = p + 1;
    end = strrchr(start, '.');
    if (!end || end == start)
        end = start + strlen(start);
    hs_text_init(&text);
    if (end > start)
        hs_text_add(&text, "%.*s", (int)(end - start), start);
    else
        hs_text_add(&text, "image%08" PRIx64, base);
    name = text.failed ? NULL : hs_arena_string(&process->arena, text.bytes);
    hs_text_deinit(&text);
    return name;
}

static int compare_names(const char *a, const char *b)
{
    for (; *a && tolower((unsigned char)*a) == tolower((unsigned char)*b); a++, b++)
        ;
    return tolower((unsigned char)*a) - tolower((unsigned char)*b);
}

struct by_base {
    hs_va base;
    uint32_t idx;
};

static int compare_bases(const void *a, const void *b)
{
    const struct by_base *one = a, *two = b;

    if (one->base != two->base)
        return one->base < two->base ? -1 : 1;
    return one->idx < two->idx ? -1 : one->idx > two->idx;
}

static enum hs_status sort_by_base(struct hs_process *process, struct hs_error *err)
{
    struct by_base *order = calloc(process->module_count + 1, sizeof *order);

    process->modules_by_base = hs_arena_alloc(&process->arena, process->module_count, sizeof *process->modules_by_base);
    if (!order || !process->modules_by_base) {
        free(order);
        return hs_fail_memory(err, "the modules");
    }
    for (size_t i = 0; i < process->module_count; i++)
        order[i] = (struct by_base){process->modules[i].facts.base, (uint32_t)i};
    qsort(order, process->module_count, sizeof *order, compare_bases);
    for (size_t i = 0; i < process->module_count; i++)
        process->modules_by_base[i] = order[i].idx;
    free(order);
    return HS_OK;
}

struct by_name {
    const char *name;
    uint32_t idx;
};

static int compare_twins(const void *a, const void *b)
{
    const struct by_name *one = a, *two = b;
    int order = compare_names(one->name, two->name);

    return order ? order : one->idx < two->idx ? -1 : one->idx > two->idx;
}

/* Two modules of one name get their base address behind it, as debuggers do; the first keeps the plain name. */
static enum hs_status tell_twins_apart(struct hs_process *process, struct hs_error *err)
{
    struct by_name *order = calloc(process->module_count + 1, sizeof *order);
    enum hs_status status = HS_OK;

    if (!order)
        return hs_fail_memory(err, "the modules");
    for (size_t i = 0; i < process->module_count; i++)
        order[i] = (struct by_name){process->modules[i].facts.name, (uint32_t)i};
    qsort(order, process->module_count, sizeof *order, compare_twins);
    for (size_t i = 1; status == HS_OK && i < process->module_count; i++) {
        struct hs_module *module = &process->modules[order[i].idx].facts;
        struct hs_text text;

        if (compare_names(order[i - 1].name, order[i].name) != 0)
            continue;
        hs_text_init(&text);
        hs_text_add(&text, "%s_%08" PRIx64, module->name, module->base);
        module->name = text.failed ? NULL : hs_arena_string(&process->arena, text.bytes);
        hs_text_deinit(&text);
        if (!module->name)
            status = hs_fail_memory(err, "a module's name");
    }
    free(order);
    return status;
}

enum hs_status hs_process_init_modules(struct hs_process *process, struct hs_error *err)
{
    const struct hs_file *file = process->file;
    enum hs_status status;

    process->modules = hs_arena_alloc(&process->arena, file->module_count, sizeof *process->modules);
    if (!process->modules)
        return hs_fail_memory(err, "the modules");
    process->module_count = file->module_count;
    for (size_t i = 0; i < file->module_count; i++) {
        const struct hs_module_record *record = &file->modules[i];
        struct hs_module *module = &process->modules[i].facts;

        *module = (struct hs_module){
            .base = record->base,
            .size = record->size,
            .timestamp = record->timestamp,
            .checksum = record->checksum,
            .name = short_name(process, record->path, record->base),
            .path = record->path,
            .has_version = record->has_version,
            .pdb_name = "",
            .pdb_id = "",
        };
        memcpy(module->version, record->version, sizeof module->version);
        if (!module->name ||
            hs_image_codeview(record->codeview, &process->arena, &module->pdb_name, &module->pdb_id) == HS_ERR_MEMORY)
            return hs_fail_memory(err, "a module's name");
    }
    status = sort_by_base(process, err);
    return status == HS_OK ? tell_twins_apart(process, err) : status;
}

void hs_process_deinit_modules(struct hs_process *process)
{
    for (size_t i = 0; i < process->module_count; i++) {
        struct hs_image *image = atomic_load(&process->modules[i].image);

        if (image)
            hs_image_deinit(image);
        free(image);
        hs_pdb_close(atomic_load(&process->modules[i].pdb));
    }
    for (size_t i = 0; i < process->retired_count; i++)
        hs_pdb_close(process->retired[i]);
    free(process->retired);
}

const struct hs_image *hs_process_image(const struct hs_process *process, size_t module_idx)
{
    struct hs_process_module *module = &process->modules[module_idx];
    struct hs_image *image = atomic_load_explicit(&module->image, memory_order_acquire);
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&process->lock;

    if (image)
        return image;
    pthread_mutex_lock(lock);
    image = atomic_load_explicit(&module->image, memory_order_relaxed);
    if (!image && (image = calloc(1, sizeof *image))) {
        if (hs_image_init(image, process->space, module->facts.base, module->facts.size, module->facts.name,
                          process->notes, NULL) == HS_OK) {
            atomic_store_explicit(&module->image, image, memory_order_release);
        } else {
            free(image);
            image = NULL;
        }
    }
    pthread_mutex_unlock(lock);
    return image;
}

struct hs_pdb *hs_process_pdb(const struct hs_process *process, size_t module_idx)
{
    struct hs_process_module *module = &process->modules[module_idx];
    struct hs_process *owner = (struct hs_process *)(uintptr_t)process;
    const struct hs_image *image;

    if (atomic_load_explicit(&module->looked_for_pdb, memory_order_acquire))
        return atomic_load_explicit(&module->pdb, memory_order_relaxed);
    image = hs_process_image(process, module_idx);
    if (!image)
        return NULL;
    pthread_mutex_lock(&owner->lock);
    if (!atomic_load_explicit(&module->looked_for_pdb, memory_order_relaxed)) {
        atomic_store_explicit(&module->pdb, hs_pdb_search(owner, module_idx, image), memory_order_relaxed);
        atomic_store_explicit(&module->looked_for_pdb, true, memory_order_release);
    }
    pthread_mutex_unlock(&owner->lock);
    return atomic_load_explicit(&module->pdb, memory_order_relaxed);
}

size_t hs_process_module_at(const struct hs_process *process, hs_va va)
{
    size_t low = 0, high = process->module_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (process->modules[process->modules_by_base[middle]].facts.base <= va)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return SIZE_MAX;
    low = process->modules_by_base[low - 1];
    return va - process->modules[low].facts.base < process->modules[low].facts.size ? low : SIZE_MAX;
}

/* "ntdll.dll" without its extension equals "ntdll". */
static bool same_without_extension(const char *name, const char *text)
{
    const char *dot = strrchr(text, '.');
    char stem[256];

    if (!dot || (size_t)(dot - text) >= sizeof stem)
        return false;
    memcpy(stem, text, (size_t)(dot - text));
    stem[dot - text] = 0;
    return compare_names(name, stem) == 0;
}

size_t hs_process_module_named(const struct hs_process *process, const char *name)
{
    for (size_t i = 0; i < process->module_count; i++)
        if (compare_names(process->modules[i].facts.name, name) == 0)
            return i;
    for (size_t i = 0; i < process->module_count; i++)
        if (same_without_extension(process->modules[i].facts.name, name))
            return i;
    return SIZE_MAX;
}

enum hs_status hs_process_symbol(const struct hs_process *process, hs_va va, struct hs_symbol *symbol_ret)
{
    size_t idx = hs_process_module_at(process, va);
    const struct hs_image *image;

    if (idx == SIZE_MAX)
        return HS_NOT_FOUND;
    *symbol_ret = (struct hs_symbol){.module_idx = idx, .rva = va - process->modules[idx].facts.base, .name = ""};
    image = hs_process_image(process, idx);
    if (image)
        hs_image_symbol(image, hs_process_pdb(process, idx), va, symbol_ret);
    return HS_OK;
}

enum hs_status hs_process_next_symbol(const struct hs_process *process, size_t module_idx,
                                      struct hs_symbol_cursor *cursor, struct hs_symbol *symbol_ret)
{
    const struct hs_image *image = hs_process_image(process, module_idx);
    struct hs_pdb *pdb = hs_process_pdb(process, module_idx);
    struct hs_pdb_cursor place = {cursor->place[1], cursor->place[2], cursor->place[3]};
    struct hs_pdb_symbol found;
    bool more;

    *symbol_ret = (struct hs_symbol){.module_idx = module_idx, .has_name = true, .near_name = true};
    while (image && cursor->place[0] < image->export_count) {
        const struct hs_export *export = &image->exports[cursor->place[0]++];

        if (!export->va)
            continue;
        symbol_ret->rva = export->va - image->base;
        symbol_ret->name = export->name;
        symbol_ret->ordinal = export->ordinal;
        symbol_ret->source = HS_SYMBOLS_EXPORTS;
        return HS_OK;
    }
    more = pdb && hs_pdb_next(pdb, &place, &found);
    *cursor = (struct hs_symbol_cursor){{cursor->place[0], place.entry, place.module, place.procedure}};
    if (!more)
        return HS_NOT_FOUND;
    symbol_ret->rva = found.rva;
    symbol_ret->name = found.name;
    symbol_ret->size = found.size;
    symbol_ret->is_decorated = found.is_public;
    symbol_ret->source = HS_SYMBOLS_PDB;
    return HS_OK;
}

enum hs_symbol_source hs_process_symbol_source(const struct hs_process *process, size_t module_idx)
{
    const struct hs_image *image = hs_process_image(process, module_idx);

    if (hs_process_pdb(process, module_idx))
        return HS_SYMBOLS_PDB;
    return image && image->export_count ? HS_SYMBOLS_EXPORTS : HS_SYMBOLS_NONE;
}

size_t hs_process_symbol_text(const struct hs_process *process, const struct hs_symbol *symbol,
                              enum hs_symbol_style style, char *text_ret, size_t size)
{
    const char *module = process->modules[symbol->module_idx].facts.name;
    char ordinal[24], rva[24] = "", offset[24] = "";
    const char *name = symbol->name;
    size_t name_size = strlen(name);
    int length, shown;

    snprintf(ordinal, sizeof ordinal, "Ordinal%" PRIu32, symbol->ordinal);
    if (!*name) {
        name = ordinal;
        name_size = strlen(name);
    } else if (symbol->is_decorated) {
        name_size = hs_symbol_plain(name, name_size, process->file->arch == HS_ARCH_X86, &name);
    }
    shown = name_size < INT_MAX ? (int)name_size : INT_MAX;
    if (symbol->rva)
        snprintf(rva, sizeof rva, "+0x%" PRIx64, symbol->rva);
    if (symbol->offset)
        snprintf(offset, sizeof offset, "+0x%" PRIx64, symbol->offset);
    if (!symbol->has_name)
        length = snprintf(text_ret, size, "%s%s", module, rva);
    else if (symbol->near_name || style == HS_SYMBOL_WINDBG)
        length = snprintf(text_ret, size, "%s!%.*s%s", module, shown, name, offset);
    else
        length = snprintf(text_ret, size, "%s%s [%.*s%s]", module, rva, shown, name, offset);
    return length > 0 ? (size_t)length : 0;
}

/* The export `name` of a module, forwarders followed; NULL if there is none. */
static const struct hs_export *find_export(const struct hs_process *process, size_t module_idx, const char *name)
{
    char target[512];

    for (int step = 0; step <= FORWARDER_STEPS; step++) {
        const struct hs_image *image = hs_process_image(process, module_idx);
        const struct hs_export *export = image ? hs_image_named(image, name) : NULL;
        char *dot;

        if (!export || !*export->forwarder)
            return export;
        /* "NTDLL.RtlAllocateHeap" or "NTDLL.#12" */
        if (snprintf(target, sizeof target, "%s", export->forwarder) >= (int)sizeof target)
            return NULL;
        dot = strrchr(target, '.');
        if (!dot)
            return NULL;
        *dot = 0;
        module_idx = hs_process_module_named(process, target);
        if (module_idx == SIZE_MAX)
            return NULL;
        name = dot + 1;
        if (*name == '#') {
            static const char word[] = "Ordinal";
            char number[16];

            snprintf(number, sizeof number, "%.15s", name + 1);
            snprintf(target, sizeof target, "%s%s", word, number);
            name = target;
        }
    }
    return NULL;
}

/* The address of "module" or "module!name", as they stand. */
static bool resolve_name(const struct hs_process *process, const char *text, hs_va *va_ret)
{
    char module[1024];
    const struct hs_export *export;
    struct hs_pdb_symbol symbol;
    struct hs_pdb *pdb;
    const char *bang = strchr(text, '!');
    size_t idx;

    if (snprintf(module, sizeof module, "%.*s", (int)(bang ? bang - text : (ptrdiff_t)strlen(text)), text) >=
        (int)sizeof module)
        return false;
    idx = hs_process_module_named(process, module);
    if (idx == SIZE_MAX)
        return false;
    if (!bang) {
        *va_ret = process->modules[idx].facts.base;
        return true;
    }
    export = find_export(process, idx, bang + 1);
    if (export) {
        *va_ret = export->va;
        return true;
    }
    pdb = hs_process_pdb(process, idx);
    if (!pdb || !hs_pdb_named(pdb, bang + 1, &symbol))
        return false;
    *va_ret = process->modules[idx].facts.base + symbol.rva;
    return true;
}

enum hs_status hs_process_resolve(const struct hs_process *process, const char *text, hs_va *va_ret)
{
    char name[1024];
    const char *plus = strrchr(text, '+');
    uint64_t offset;
    char *end;

    /* A plus may be part of the name: the whole text comes first. */
    if (resolve_name(process, text, va_ret))
        return HS_OK;
    if (!plus || !isxdigit((unsigned char)plus[1]) ||
        snprintf(name, sizeof name, "%.*s", (int)(plus - text), text) >= (int)sizeof name)
        return HS_NOT_FOUND;
    offset = strtoull(plus + 1, &end, 16);
    if (*end || !resolve_name(process, name, va_ret))
        return HS_NOT_FOUND;
    *va_ret += offset;
    return HS_OK;
}

bool hs_process_executable(const struct hs_process *process, hs_va va)
{
    size_t idx = hs_process_module_at(process, va);
    const struct hs_image *image = idx == SIZE_MAX ? NULL : hs_process_image(process, idx);
    const struct hs_section *section = image ? hs_image_section_at(image, va) : NULL;

    return section && section->executable;
}
