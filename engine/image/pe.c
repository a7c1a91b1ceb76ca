/* pe.c - what the headers of an image in memory say: its kind, sections, debug record and version.
 * Layouts: PE format (documented); VS_VERSIONINFO and VS_FIXEDFILEINFO (documented); the RSDS record is known from
 * Microsoft's published PDB sources. */
#include "image/pe.h"

#include <inttypes.h>

#define DOS_SIZE 64u
#define DOS_MAGIC 0x5a4du /* "MZ" */
#define DOS_PE_OFF 0x3cu
#define PE_MAGIC 0x4550u     /* "PE\0\0" */
#define FILE_HEADER_SIZE 24u /* with the magic before it */
#define OPTIONAL_MAX 240u    /* PE32+ with 16 directories */
#define SECTION_SIZE 40u
#define MAGIC_PE32 0x10bu
#define MAGIC_PE32_PLUS 0x20bu
#define SECTION_EXECUTE 0x20000000u
#define SECTION_READ 0x40000000u
#define SECTION_WRITE 0x80000000u

#define DEBUG_ENTRY_SIZE 28u
#define DEBUG_ENTRY_MAX 64u
#define DEBUG_CODEVIEW 2u
#define RSDS_MAGIC 0x53445352u
#define RSDS_NAME_OFF 24u

#define RESOURCE_DEPTH 3u /* type, name, language */
#define RESOURCE_VERSION 16u
#define RESOURCE_ENTRY_MAX 4096u
#define RESOURCE_BRANCH 0x80000000u
#define VERSION_FIXED_OFF 40u /* VS_VERSIONINFO: three words, L"VS_VERSION_INFO" with its 0, padding to 4 */
#define VERSION_MAGIC 0xfeef04bdu

static void note(const struct hs_pe *pe, const struct hs_error *trouble)
{
    hs_notes_add(pe->notes, "%s: %s", pe->name, trouble->text);
}

/* Only running out of memory is the caller's trouble. What the image says against itself becomes a note; bytes that the
 * dump lacks do not: the dump's module list tells debug record and version as well. */
static enum hs_status settle(const struct hs_pe *pe, enum hs_status status, const struct hs_error *trouble,
                             struct hs_error *err)
{
    if (status == HS_ERR_MEMORY)
        return hs_fail_memory(err, "an image");
    if (status == HS_ERR_FORMAT)
        note(pe, trouble);
    return HS_OK;
}

/* ---- headers and sections ---- */

struct headers {
    uint64_t sections_rva;
    uint32_t section_count;
};

static void read_directories(struct hs_pe *pe, const uint8_t *optional, uint32_t optional_size)
{
    uint32_t off = pe->image->is_64 ? 112 : 96;
    uint32_t count = hs_load_u32(optional + off - 4);

    if (count > HS_PE_DIRECTORY_COUNT)
        count = HS_PE_DIRECTORY_COUNT;
    if (count > (optional_size - off) / 8)
        count = (optional_size - off) / 8;
    for (uint32_t i = 0; i < count; i++) {
        pe->directories[i].rva = hs_load_u32(optional + off + 8 * (size_t)i);
        pe->directories[i].size = hs_load_u32(optional + off + 8 * (size_t)i + 4);
    }
}

static enum hs_status read_optional(struct hs_pe *pe, uint64_t rva, uint32_t size, struct hs_error *trouble)
{
    struct hs_image *image = pe->image;
    uint8_t optional[OPTIONAL_MAX];
    uint32_t image_size;
    uint16_t magic;
    enum hs_status status;

    if (size > sizeof optional)
        size = sizeof optional;
    if (size < 2)
        return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                       "the optional header has %" PRIu32 " bytes, expected 96 or more", size);
    status = hs_pe_read(pe, "the optional header", rva, optional, size, trouble);
    if (status != HS_OK)
        return status;
    magic = hs_load_u16(optional);
    if (magic != MAGIC_PE32 && magic != MAGIC_PE32_PLUS)
        return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                       "the optional header begins with 0x%x, expected 0x10b or 0x20b", magic);
    if (size < (magic == MAGIC_PE32_PLUS ? 112u : 96u))
        return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                       "the optional header has %" PRIu32 " bytes, expected %u or more", size,
                       magic == MAGIC_PE32_PLUS ? 112u : 96u);
    image_size = hs_load_u32(optional + 56);
    if (image->size == 0) {
        if (image_size == 0)
            return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA, "the image says that it has no size");
        image->size = image_size;
        if (image_size < pe->limit)
            pe->limit = image_size;
    }
    image->is_64 = magic == MAGIC_PE32_PLUS;
    image->header_size = hs_load_u32(optional + 60);
    if (image->header_size > pe->limit)
        image->header_size = pe->limit;
    image->checksum = hs_load_u32(optional + 64);
    read_directories(pe, optional, size);
    return HS_OK;
}

static enum hs_status read_headers(struct hs_pe *pe, struct headers *headers_ret, struct hs_error *trouble)
{
    uint8_t dos[DOS_SIZE], file[FILE_HEADER_SIZE];
    uint32_t pe_rva, optional_size;
    enum hs_status status = hs_pe_read(pe, "the DOS header", 0, dos, sizeof dos, trouble);

    if (status != HS_OK)
        return status;
    if (hs_load_u16(dos) != DOS_MAGIC)
        return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, pe->image->base,
                       "the image at 0x%" PRIx64 " begins with 0x%04x, expected \"MZ\"", pe->image->base,
                       hs_load_u16(dos));
    pe_rva = hs_load_u32(dos + DOS_PE_OFF);
    status = hs_pe_read(pe, "the PE header", pe_rva, file, sizeof file, trouble);
    if (status != HS_OK)
        return status;
    if (hs_load_u32(file) != PE_MAGIC)
        return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, pe->image->base + pe_rva,
                       "the PE header at rva 0x%" PRIx32 " begins with 0x%08" PRIx32 ", expected \"PE\"", pe_rva,
                       hs_load_u32(file));
    optional_size = hs_load_u16(file + 20);
    status = read_optional(pe, (uint64_t)pe_rva + FILE_HEADER_SIZE, optional_size, trouble);
    if (status != HS_OK)
        return status;
    pe->image->timestamp = hs_load_u32(file + 8);
    headers_ret->section_count = hs_load_u16(file + 6);
    headers_ret->sections_rva = (uint64_t)pe_rva + FILE_HEADER_SIZE + optional_size;
    return HS_OK;
}

/* One row of the section table: whether it begins inside the image, and whether it had to be cut to end there.
 * HS_ERR_MEMORY. */
static enum hs_status read_section(struct hs_pe *pe, const uint8_t *row, struct hs_section *section_ret,
                                   bool *is_inside_ret, bool *is_cut_ret)
{
    uint32_t size = hs_load_u32(row + 8), rva = hs_load_u32(row + 12), flags = hs_load_u32(row + 36);
    const uint8_t *end = memchr(row, 0, 8);
    struct hs_span name = {row, end ? (uint64_t)(end - row) : 8};

    *is_inside_ret = rva < pe->limit;
    *is_cut_ret = false;
    if (!*is_inside_ret)
        return HS_OK;
    if (size == 0)
        size = hs_load_u32(row + 16); /* old linkers leave VirtualSize empty: the loader takes SizeOfRawData then */
    if (size > pe->limit - rva) {
        size = pe->limit - rva;
        *is_cut_ret = true;
    }
    section_ret->name = hs_pe_text(pe, name);
    section_ret->va = pe->image->base + rva;
    section_ret->size = size;
    section_ret->readable = (flags & SECTION_READ) != 0;
    section_ret->writable = (flags & SECTION_WRITE) != 0;
    section_ret->executable = (flags & SECTION_EXECUTE) != 0;
    return section_ret->name ? HS_OK : HS_ERR_MEMORY;
}

static enum hs_status read_sections(struct hs_pe *pe, const struct headers *headers, struct hs_error *trouble)
{
    struct hs_image *image = pe->image;
    struct hs_pe_table table;
    uint32_t count = headers->section_count, bad;
    enum hs_status status;

    if (count > HS_PE_SECTION_MAX) {
        hs_notes_add(pe->notes, "%s: the PE header declares %" PRIu32 " sections, only the first %u are read", pe->name,
                     count, HS_PE_SECTION_MAX);
        count = HS_PE_SECTION_MAX;
    }
    status = hs_pe_table_init(pe, &table, "the section table", headers->sections_rva, count, SECTION_SIZE, trouble);
    if (status != HS_OK)
        return status;
    bad = count - table.count;
    image->sections = hs_arena_alloc(&image->arena, table.count, sizeof *image->sections);
    if (!image->sections)
        status = HS_ERR_MEMORY;
    for (uint32_t i = 0; i < table.count && status == HS_OK; i++) {
        bool is_inside = false, is_cut = false;

        if (!hs_pe_table_has(pe, &table, i)) {
            bad++;
            continue;
        }
        status = read_section(pe, table.bytes + (size_t)i * SECTION_SIZE, &image->sections[image->section_count],
                              &is_inside, &is_cut);
        if (is_inside && status == HS_OK)
            image->section_count++;
        bad += !is_inside || is_cut;
    }
    if (status == HS_OK && bad)
        hs_notes_add(pe->notes,
                     "%s: %" PRIu32 " of %" PRIu32 " sections are not in the dump or do not lie inside the image",
                     pe->name, bad, count);
    hs_pe_table_deinit(&table);
    return status;
}

/* ---- debug record ---- */

enum hs_status hs_image_codeview(struct hs_span codeview, struct hs_arena *arena, const char **pdb_name_ret,
                                 const char **pdb_id_ret)
{
    struct hs_text text;
    struct hs_span name;
    const uint8_t *guid, *end;
    const char *pdb_name, *pdb_id;
    uint32_t magic;
    enum hs_status status = HS_ERR_MEMORY;

    if (!hs_span_u32(codeview, 0, &magic) || magic != RSDS_MAGIC || codeview.size < RSDS_NAME_OFF)
        return HS_NOT_FOUND;
    guid = codeview.bytes + 4;
    name = (struct hs_span){codeview.bytes + RSDS_NAME_OFF, codeview.size - RSDS_NAME_OFF};
    if (name.size > HS_PE_NAME_MAX + 1)
        name.size = HS_PE_NAME_MAX + 1;
    end = name.size ? memchr(name.bytes, 0, name.size) : NULL;
    if (end)
        name.size = (uint64_t)(end - name.bytes);
    else if (name.size > HS_PE_NAME_MAX)
        name.size = 0; /* half a name is none */

    hs_text_init(&text);
    hs_text_add_escaped(&text, name.bytes, name.size, false);
    if (text.failed)
        goto out;
    pdb_name = hs_arena_string(arena, text.size ? text.bytes : "");
    text.size = 0;
    hs_text_add(&text, "%08" PRIX32 "%04X%04X", hs_load_u32(guid), hs_load_u16(guid + 4), hs_load_u16(guid + 6));
    for (unsigned i = 8; i < 16; i++)
        hs_text_add(&text, "%02X", guid[i]);
    hs_text_add(&text, "%" PRIX32, hs_load_u32(guid + 16));
    if (text.failed)
        goto out;
    pdb_id = hs_arena_string(arena, text.bytes);
    if (!pdb_name || !pdb_id)
        goto out;
    *pdb_name_ret = pdb_name;
    *pdb_id_ret = pdb_id;
    status = HS_OK;
out:
    hs_text_deinit(&text);
    return status;
}

/* The CodeView bytes that one entry of the debug directory points to. HS_NOT_FOUND: they are no RSDS record. */
static enum hs_status read_codeview(struct hs_pe *pe, const uint8_t *entry, struct hs_error *trouble)
{
    uint8_t bytes[RSDS_NAME_OFF + HS_PE_NAME_MAX + 1];
    uint32_t size = hs_load_u32(entry + 16), rva = hs_load_u32(entry + 20);
    uint64_t present;
    enum hs_status status;

    if (rva == 0)
        return HS_NOT_FOUND; /* only in the file, not loaded */
    status = hs_pe_inside(pe, "the debug record", rva, size, trouble);
    if (status != HS_OK)
        return status;
    if (size > sizeof bytes)
        size = sizeof bytes;
    present = hs_space_read(pe->space, pe->image->base + rva, bytes, size);
    if (present < size && present > RSDS_NAME_OFF) {
        /* The name goes on where the dump has nothing: keep the id, half a name is none. */
        if (!memchr(bytes + RSDS_NAME_OFF, 0, present - RSDS_NAME_OFF))
            present = RSDS_NAME_OFF;
    }
    return hs_image_codeview((struct hs_span){bytes, present}, &pe->image->arena, &pe->image->pdb_name,
                             &pe->image->pdb_id);
}

static enum hs_status read_debug(struct hs_pe *pe, struct hs_error *trouble)
{
    const struct hs_pe_directory *directory = &pe->directories[HS_PE_DEBUG];
    struct hs_pe_table table;
    uint32_t count = directory->size / DEBUG_ENTRY_SIZE;
    enum hs_status first_trouble = HS_OK, status;

    if (directory->rva == 0 || count == 0)
        return HS_OK;
    if (count > DEBUG_ENTRY_MAX)
        count = DEBUG_ENTRY_MAX;
    status = hs_pe_table_init(pe, &table, "the debug directory", directory->rva, count, DEBUG_ENTRY_SIZE, trouble);
    if (status != HS_OK)
        return status;
    for (uint32_t i = 0; i < table.count; i++) {
        const uint8_t *entry = table.bytes + (size_t)i * DEBUG_ENTRY_SIZE;

        if (!hs_pe_table_has(pe, &table, i) || hs_load_u32(entry + 12) != DEBUG_CODEVIEW)
            continue;
        status = read_codeview(pe, entry, first_trouble == HS_OK ? trouble : NULL);
        if (status == HS_OK || status == HS_ERR_MEMORY) {
            first_trouble = status;
            break;
        }
        if (status == HS_ERR_FORMAT)
            first_trouble = status;
    }
    hs_pe_table_deinit(&table);
    return first_trouble;
}

/* ---- version ---- */

/* The offset that the resource directory at `off` (from the start of the resources) gives for `id`, or, for `id` 0,
 * its first entry's. HS_NOT_FOUND. */
static enum hs_status find_resource(struct hs_pe *pe, uint64_t off, uint32_t id, uint32_t *off_ret,
                                    struct hs_error *trouble)
{
    uint64_t rva = pe->directories[HS_PE_RESOURCES].rva + off;
    struct hs_pe_table table;
    uint8_t header[16];
    uint32_t count;
    enum hs_status status = hs_pe_read(pe, "a resource directory", rva, header, sizeof header, trouble);

    if (status != HS_OK)
        return status;
    count = (uint32_t)hs_load_u16(header + 12) + hs_load_u16(header + 14);
    if (count > RESOURCE_ENTRY_MAX)
        return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                       "the resource directory at rva 0x%" PRIx64 " has %" PRIu32 " entries, expected at most %u", rva,
                       count, RESOURCE_ENTRY_MAX);
    if (id == 0 && count > 1)
        count = 1;
    status =
        hs_pe_table_init(pe, &table, "the entries of a resource directory", rva + sizeof header, count, 8, trouble);
    if (status != HS_OK)
        return status;
    status = HS_NOT_FOUND;
    for (uint32_t i = 0; i < table.count && status != HS_OK; i++) {
        if (!hs_pe_table_has(pe, &table, i) || (id && hs_load_u32(table.bytes + 8 * (size_t)i) != id))
            continue;
        *off_ret = hs_load_u32(table.bytes + 8 * (size_t)i + 4);
        status = HS_OK;
    }
    hs_pe_table_deinit(&table);
    return status;
}

static enum hs_status read_version(struct hs_pe *pe, struct hs_error *trouble)
{
    static const uint32_t ids[RESOURCE_DEPTH] = {RESOURCE_VERSION, 0, 0};
    uint8_t leaf[16], bytes[VERSION_FIXED_OFF + 16];
    uint32_t off = RESOURCE_BRANCH, rva, size;
    enum hs_status status;

    if (pe->directories[HS_PE_RESOURCES].rva == 0)
        return HS_OK;
    for (unsigned depth = 0; depth < RESOURCE_DEPTH; depth++) {
        if (!(off & RESOURCE_BRANCH))
            return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                           "the version resource ends at level %u of its tree, expected %u levels", depth,
                           RESOURCE_DEPTH);
        status = find_resource(pe, off & ~RESOURCE_BRANCH, ids[depth], &off, trouble);
        if (status != HS_OK)
            return status;
    }
    if (off & RESOURCE_BRANCH)
        return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                       "the version resource goes on below level %u of its tree", RESOURCE_DEPTH);
    status = hs_pe_read(pe, "the entry of the version resource", (uint64_t)pe->directories[HS_PE_RESOURCES].rva + off,
                        leaf, sizeof leaf, trouble);
    if (status != HS_OK)
        return status;
    rva = hs_load_u32(leaf);
    size = hs_load_u32(leaf + 4);
    if (size < sizeof bytes)
        return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                       "the version resource has 0x%" PRIx32 " bytes, expected 0x%zx or more", size, sizeof bytes);
    status = hs_pe_read(pe, "the version resource", rva, bytes, sizeof bytes, trouble);
    if (status != HS_OK)
        return status;
    if (hs_load_u32(bytes + VERSION_FIXED_OFF) != VERSION_MAGIC)
        return hs_fail(trouble, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                       "the version resource has signature 0x%08" PRIx32 ", expected 0x%08x",
                       hs_load_u32(bytes + VERSION_FIXED_OFF), VERSION_MAGIC);
    for (size_t i = 0; i < 4; i++) /* each half is a dword whose high word comes first */
        pe->image->version[i] = hs_load_u16(bytes + VERSION_FIXED_OFF + 8 + 4 * (i / 2) + (i % 2 ? 0 : 2));
    pe->image->has_version = true;
    return HS_OK;
}

/* ---- the door ---- */

static enum hs_status read_parts(struct hs_pe *pe, struct hs_error *err)
{
    struct headers headers = {0};
    struct hs_error trouble = {0};
    enum hs_status status = read_headers(pe, &headers, &trouble);

    if (status != HS_OK) {
        /* A dump without the image at all is normal; one with a part of its headers is not. */
        if (status == HS_ERR_FORMAT || hs_space_present(pe->space, pe->image->base, 1) == 1)
            note(pe, &trouble);
        return HS_OK;
    }
    pe->image->readable = true;
    status = read_sections(pe, &headers, &trouble);
    if (status == HS_ERR_UNMAPPED)
        note(pe, &trouble);
    status = settle(pe, status, &trouble, err);
    if (status == HS_OK)
        status = settle(pe, read_debug(pe, &trouble), &trouble, err);
    if (status == HS_OK)
        status = settle(pe, read_version(pe, &trouble), &trouble, err);
    if (status == HS_OK)
        status = hs_exports_read(pe, err);
    if (status == HS_OK)
        status = hs_symbols_build(pe->image, err);
    return status;
}

enum hs_status hs_image_init(struct hs_image *image, const struct hs_space *space, hs_va base, uint64_t size,
                             const char *name, struct hs_notes *notes, struct hs_error *err)
{
    struct hs_pe pe = {.image = image, .space = space, .name = name, .notes = notes};
    enum hs_status status;

    memset(image, 0, sizeof *image);
    hs_arena_init(&image->arena);
    image->base = base;
    image->size = size;
    image->pdb_name = image->pdb_id = "";
    pe.limit = size == 0 || size > UINT32_MAX ? UINT32_MAX : (uint32_t)size;
    if (pe.limit > UINT64_MAX - base)
        pe.limit = (uint32_t)(UINT64_MAX - base);
    hs_text_init(&pe.text);
    status = read_parts(&pe, err);
    hs_text_deinit(&pe.text);
    if (status != HS_OK)
        hs_image_deinit(image);
    return status;
}

void hs_image_deinit(struct hs_image *image)
{
    hs_arena_deinit(&image->arena);
    memset(image, 0, sizeof *image);
    image->pdb_name = image->pdb_id = "";
}
