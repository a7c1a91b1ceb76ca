/* exports.c - the export directory: what an image offers by ordinal and by name.
 * Layout: PE format, "The .edata Section" (documented). */
#include "image/pe.h"

#include <inttypes.h>
#include <stdlib.h>

#define DIRECTORY_SIZE 40u
#define ORDINAL_BASE_OFF 16u
#define FUNCTION_COUNT_OFF 20u
#define NAME_COUNT_OFF 24u
#define FUNCTIONS_OFF 28u
#define NAMES_OFF 32u
#define NAME_ORDINALS_OFF 36u

#define FORWARDER_LOST "?" /* see hs_image.exports */

struct exports {
    struct hs_pe *pe;
    uint32_t ordinal_base;
    uint64_t text_left;           /* bytes of names still to be taken: names of a sound image do not overlap */
    struct hs_pe_table functions; /* u32: RVA; 0 for an ordinal not in use */
    struct hs_pe_table names;     /* u32: RVA of the text */
    struct hs_pe_table ordinals;  /* u16: index into functions of the name of the same index */
    const char **texts;           /* one a name, NULL if it cannot be used */
    uint32_t *slots;              /* one a function: number of names, then index of its next export */
    uint32_t bad_functions, bad_names, bad_forwarders;
};

static uint32_t function_rva(const struct exports *exports, uint32_t idx)
{
    return hs_load_u32(exports->functions.bytes + 4 * (size_t)idx);
}

static bool is_usable(const struct exports *exports, uint32_t idx)
{
    uint32_t rva = function_rva(exports, idx);

    return rva != 0 && rva < exports->pe->limit && hs_pe_table_has(exports->pe, &exports->functions, idx);
}

/* How many of the declared elements are looked at. */
static uint32_t bounded(const struct hs_pe *pe, const char *what, uint32_t declared)
{
    if (declared <= HS_PE_EXPORT_MAX)
        return declared;
    hs_notes_add(pe->notes, "%s: the export directory declares %" PRIu32 " %s, only the first %u are read", pe->name,
                 declared, what, HS_PE_EXPORT_MAX);
    return HS_PE_EXPORT_MAX;
}

static void note_cut(const struct hs_pe *pe, const char *what, uint32_t declared, uint32_t count)
{
    if (count < declared)
        hs_notes_add(pe->notes, "%s: the export directory declares %" PRIu32 " %s, the image ends after %" PRIu32,
                     pe->name, declared, what, count);
}

/* HS_ERR_FORMAT, HS_ERR_UNMAPPED: nothing can be read. HS_ERR_MEMORY. Lost names leave the exports nameless. */
static enum hs_status read_tables(struct exports *exports, struct hs_error *trouble)
{
    struct hs_pe *pe = exports->pe;
    uint8_t directory[DIRECTORY_SIZE];
    uint32_t function_count, name_count;
    enum hs_status status = hs_pe_read(pe, "the export directory", pe->directories[HS_PE_EXPORTS].rva, directory,
                                       sizeof directory, trouble);

    if (status != HS_OK)
        return status;
    exports->ordinal_base = hs_load_u32(directory + ORDINAL_BASE_OFF);
    if (exports->ordinal_base > 0xffff)
        hs_notes_add(pe->notes, "%s: the export directory has ordinal base 0x%" PRIx32 ", expected at most 0xffff",
                     pe->name, exports->ordinal_base);
    function_count = bounded(pe, "functions", hs_load_u32(directory + FUNCTION_COUNT_OFF));
    name_count = bounded(pe, "names", hs_load_u32(directory + NAME_COUNT_OFF));

    status = hs_pe_table_init(pe, &exports->functions, "the table of export addresses",
                              hs_load_u32(directory + FUNCTIONS_OFF), function_count, 4, trouble);
    if (status != HS_OK)
        return status;
    note_cut(pe, "functions", function_count, exports->functions.count);

    status = hs_pe_table_init(pe, &exports->names, "the table of export names", hs_load_u32(directory + NAMES_OFF),
                              name_count, 4, trouble);
    if (status == HS_OK)
        status = hs_pe_table_init(pe, &exports->ordinals, "the table of name ordinals",
                                  hs_load_u32(directory + NAME_ORDINALS_OFF), name_count, 2, trouble);
    if (status == HS_ERR_MEMORY)
        return status;
    if (status != HS_OK) {
        hs_notes_add(pe->notes, "%s: %s; its exports are shown by ordinal", pe->name, trouble->text);
        hs_pe_table_deinit(&exports->names);
        return HS_OK;
    }
    if (exports->ordinals.count < exports->names.count)
        exports->names.count = exports->ordinals.count;
    note_cut(pe, "names", name_count, exports->names.count);
    return HS_OK;
}

/* Takes the text at `rva`. *text_ret stays as it is if there is none that can be used. HS_ERR_MEMORY. */
static enum hs_status take_text(struct exports *exports, uint32_t rva, const char **text_ret)
{
    struct hs_span name;
    const char *text;

    if (!hs_pe_name(exports->pe, rva, &name) || name.size > exports->text_left)
        return HS_OK;
    exports->text_left -= name.size;
    text = hs_pe_text(exports->pe, name);
    if (!text)
        return HS_ERR_MEMORY;
    *text_ret = text;
    return HS_OK;
}

static enum hs_status read_names(struct exports *exports)
{
    for (uint32_t i = 0; i < exports->names.count; i++) {
        uint32_t idx = hs_load_u16(exports->ordinals.bytes + 2 * (size_t)i);

        if (hs_pe_table_has(exports->pe, &exports->ordinals, i) && hs_pe_table_has(exports->pe, &exports->names, i) &&
            idx < exports->functions.count && is_usable(exports, idx)) {
            if (take_text(exports, hs_load_u32(exports->names.bytes + 4 * (size_t)i), &exports->texts[i]) != HS_OK)
                return HS_ERR_MEMORY;
        }
        if (exports->texts[i])
            exports->slots[idx]++;
        else
            exports->bad_names++;
    }
    return HS_OK;
}

/* Turns numbers of names into the index of each function's first export; returns the number of exports. */
static uint32_t lay_out(struct exports *exports)
{
    uint32_t total = 0;

    for (uint32_t i = 0; i < exports->functions.count; i++) {
        uint32_t count = exports->slots[i];

        exports->slots[i] = total;
        if (is_usable(exports, i))
            total += count ? count : 1;
        else if (function_rva(exports, i) != 0 || !hs_pe_table_has(exports->pe, &exports->functions, i))
            exports->bad_functions++;
    }
    return total;
}

/* "module.name" or "module.#ordinal". */
static bool is_forwarder_text(struct hs_span text)
{
    const uint8_t *dot = memchr(text.bytes, '.', text.size);

    for (uint64_t i = 0; i < text.size; i++)
        if (text.bytes[i] <= ' ' || text.bytes[i] > '~')
            return false;
    return dot && dot != text.bytes && dot != text.bytes + text.size - 1;
}

/* Address or forwarder of one function. A forwarder is told by its RVA alone: it points at text inside the export
 * directory (PE format, "Export Address Table"). HS_ERR_MEMORY. */
static enum hs_status fill_target(struct exports *exports, uint32_t idx, struct hs_export *target)
{
    const struct hs_pe_directory *directory = &exports->pe->directories[HS_PE_EXPORTS];
    uint32_t rva = function_rva(exports, idx);
    struct hs_span text;

    *target = (struct hs_export){.name = "", .forwarder = ""};
    target->ordinal = exports->ordinal_base <= UINT32_MAX - idx ? exports->ordinal_base + idx : UINT32_MAX;
    if (rva < directory->rva || rva - directory->rva >= directory->size) {
        target->va = exports->pe->image->base + rva;
        return HS_OK;
    }
    target->forwarder = FORWARDER_LOST;
    if (hs_pe_name(exports->pe, rva, &text) && is_forwarder_text(text) &&
        take_text(exports, rva, &target->forwarder) != HS_OK)
        return HS_ERR_MEMORY;
    if (strcmp(target->forwarder, FORWARDER_LOST) == 0)
        exports->bad_forwarders++;
    return HS_OK;
}

/* Places one entry a name, and one for each function without a name, in ordinal order. */
static enum hs_status place(struct exports *exports, uint32_t total)
{
    struct hs_image *image = exports->pe->image;
    uint32_t count = exports->functions.count;

    image->export_count = total < HS_PE_EXPORT_MAX ? total : HS_PE_EXPORT_MAX;
    if (total == 0)
        return HS_OK;
    image->exports = hs_arena_alloc(&image->arena, image->export_count, sizeof *image->exports);
    if (!image->exports)
        return HS_ERR_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = exports->slots[i], end = i + 1 < count ? exports->slots[i + 1] : total;
        struct hs_export target;

        if (slot >= image->export_count)
            break;
        if (slot == end)
            continue;
        if (fill_target(exports, i, &target) != HS_OK)
            return HS_ERR_MEMORY;
        for (; slot < end && slot < image->export_count; slot++)
            image->exports[slot] = target;
    }
    for (uint32_t i = 0; i < exports->names.count; i++) {
        uint32_t slot;

        if (!exports->texts[i])
            continue;
        slot = exports->slots[hs_load_u16(exports->ordinals.bytes + 2 * (size_t)i)]++;
        if (slot < image->export_count)
            image->exports[slot].name = exports->texts[i];
    }
    return HS_OK;
}

static void note_losses(const struct exports *exports, uint32_t total)
{
    const struct hs_pe *pe = exports->pe;

    if (exports->bad_functions || exports->bad_names || exports->bad_forwarders)
        hs_notes_add(pe->notes,
                     "%s: exports: %" PRIu32 " of %" PRIu32 " addresses, %" PRIu32 " of %" PRIu32 " names and %" PRIu32
                     " forwarders cannot be read (not in the dump, or senseless)",
                     pe->name, exports->bad_functions, exports->functions.count, exports->bad_names,
                     exports->names.count, exports->bad_forwarders);
    if (total > HS_PE_EXPORT_MAX)
        hs_notes_add(pe->notes, "%s: of %" PRIu32 " exports only the first %u are kept", pe->name, total,
                     HS_PE_EXPORT_MAX);
}

enum hs_status hs_exports_read(struct hs_pe *pe, struct hs_error *err)
{
    struct exports exports = {.pe = pe};
    struct hs_error trouble = {0};
    uint32_t total;
    enum hs_status status = HS_OK;

    if (pe->directories[HS_PE_EXPORTS].rva == 0)
        return HS_OK;
    status = read_tables(&exports, &trouble);
    if (status == HS_ERR_FORMAT || status == HS_ERR_UNMAPPED) {
        hs_notes_add(pe->notes, "%s: %s; it has no names", pe->name, trouble.text);
        status = HS_OK;
        goto out;
    }
    if (status != HS_OK || exports.functions.count == 0)
        goto out;
    exports.text_left = hs_space_present(pe->space, pe->image->base, pe->limit);
    exports.slots = calloc(exports.functions.count, sizeof *exports.slots);
    exports.texts = calloc((size_t)exports.names.count + 1, sizeof *exports.texts);
    if (!exports.slots || !exports.texts) {
        status = HS_ERR_MEMORY;
        goto out;
    }
    status = read_names(&exports);
    if (status != HS_OK)
        goto out;
    total = lay_out(&exports);
    status = place(&exports, total);
    if (status == HS_OK)
        note_losses(&exports, total);
out:
    free(exports.slots);
    free(exports.texts);
    hs_pe_table_deinit(&exports.functions);
    hs_pe_table_deinit(&exports.names);
    hs_pe_table_deinit(&exports.ordinals);
    return status == HS_ERR_MEMORY ? hs_fail_memory(err, "the exports of an image") : status;
}
