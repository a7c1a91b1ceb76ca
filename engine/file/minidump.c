/* minidump.c - a minidump as a mapped file: header, stream directory, and what kinds of file are refused.
 *
 * Layouts: MINIDUMP_HEADER and MINIDUMP_DIRECTORY as documented for minidumpapiset.h. */
#include "file/file.h"
#include "file/memory.h"
#include "file/streams.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(sizeof(size_t) == 8, "dumps are mapped whole: heapsift needs a 64-bit host");

#define HEADER_SIZE 32u
#define DIRECTORY_ENTRY_SIZE 12u
#define STREAMS_MAX 1024u /* real dumps have about twenty */

/* Files people hand over instead of a user minidump, by their first bytes. */
static const struct {
    const char *magic;
    size_t size;
    const char *what;
} impostors[] = {
    {"PAGEDUMP", 8, "a kernel dump (32-bit): heapsift reads user-mode process dumps, as `.dump /ma` writes them"},
    {"PAGEDU64", 8, "a kernel dump (64-bit): heapsift reads user-mode process dumps, as `.dump /ma` writes them"},
    {"USERDUMP", 8, "an old-style user dump: convert it with `.dump /ma` in a debugger"},
    {"\x7f\x45LF", 4, "an ELF file: heapsift reads Windows user minidumps"},
    {"MZ", 2, "a Windows program: heapsift reads user minidumps"},
    {"PK\x03\x04", 4, "a zip archive: unpack the dump first"},
    {"7z\xbc\xaf\x27\x1c", 6, "a 7z archive: unpack the dump first"},
    {"MSCF", 4, "a cabinet archive: unpack the dump first"},
    {"\x1f\x8b", 2, "gzip-compressed: unpack the dump first"},
    {"\xfd"
     "7zXZ",
     5, "xz-compressed: unpack the dump first"},
    {"\x28\xb5\x2f\xfd", 4, "zstd-compressed: unpack the dump first"},
};

static enum hs_status refuse(struct hs_span map, struct hs_error *err)
{
    uint8_t start[4] = {0};

    if (map.size == 0)
        return hs_fail(err, HS_ERR_FORMAT, 0, HS_NO_VA, "the file is empty, expected a user minidump");
    for (size_t i = 0; i < sizeof impostors / sizeof *impostors; i++)
        if (map.size >= impostors[i].size && memcmp(map.bytes, impostors[i].magic, impostors[i].size) == 0)
            return hs_fail(err, HS_ERR_UNSUPPORTED, 0, HS_NO_VA, "this is %s", impostors[i].what);
    memcpy(start, map.bytes, map.size < sizeof start ? map.size : sizeof start);
    return hs_fail(err, HS_ERR_FORMAT, 0, HS_NO_VA,
                   "not a user minidump: the file starts with bytes %02x %02x %02x %02x, expected 4d 44 4d 50 (MDMP)",
                   start[0], start[1], start[2], start[3]);
}

/* Reads the directory into `streams` (STREAMS_MAX elements), each clipped to the file. */
static enum hs_status read_directory(struct hs_file *file, struct hs_stream *streams, size_t *stream_count_ret,
                                     struct hs_error *err)
{
    uint32_t declared = hs_load_u32(file->map.bytes + 8);
    uint32_t directory_off = hs_load_u32(file->map.bytes + 12);
    size_t count = 0;

    if (directory_off > file->map.size || file->map.size - directory_off < DIRECTORY_ENTRY_SIZE)
        return hs_fail(err, HS_ERR_FORMAT, directory_off, HS_NO_VA,
                       "stream directory at offset 0x%" PRIx32 " lies past the end of the file (0x%" PRIx64
                       " bytes): the dump is cut or no dump",
                       directory_off, file->map.size);
    for (uint32_t i = 0; i < declared; i++) {
        struct hs_span entry;
        uint32_t type, size, off;

        if (i == STREAMS_MAX) {
            hs_notes_add(file->notes, "stream directory: %" PRIu32 " entries declared, only the first %u are read",
                         declared, STREAMS_MAX);
            break;
        }
        if (!hs_span_part(file->map, directory_off + (uint64_t)i * DIRECTORY_ENTRY_SIZE, DIRECTORY_ENTRY_SIZE,
                          &entry)) {
            hs_notes_add(file->notes, "stream directory: entry %" PRIu32 " of %" PRIu32 " is past the end of the file",
                         i, declared);
            file->cut = true;
            break;
        }
        type = hs_load_u32(entry.bytes);
        size = hs_load_u32(entry.bytes + 4);
        off = hs_load_u32(entry.bytes + 8);
        if (type == 0)
            continue;
        if (off >= file->map.size && size) {
            hs_notes_add(file->notes, "stream of type %" PRIu32 ": starts at 0x%" PRIx32 ", past the end of the file",
                         type, off);
            file->cut = true;
            continue;
        }
        if (size > file->map.size - off) {
            hs_notes_add(file->notes,
                         "stream of type %" PRIu32 ": 0x%" PRIx32 " bytes at 0x%" PRIx32
                         " run past the end of the file, the part that is there is read",
                         type, size, off);
            file->cut = true;
            size = (uint32_t)(file->map.size - off);
        }
        streams[count].type = type;
        streams[count].file_off = off;
        streams[count].bytes = (struct hs_span){file->map.bytes + off, size};
        count++;
    }
    if (count == 0)
        return hs_fail(err, HS_ERR_FORMAT, directory_off, HS_NO_VA,
                       "stream directory at offset 0x%" PRIx32 ": none of %" PRIu32 " streams can be read",
                       directory_off, declared);
    *stream_count_ret = count;
    return HS_OK;
}

static enum hs_status parse(struct hs_file *file, struct hs_error *err)
{
    struct hs_stream *streams = NULL;
    size_t stream_count = 0;
    enum hs_status status;

    if (file->map.size < 4 || memcmp(file->map.bytes, "MDMP", 4) != 0)
        return refuse(file->map, err);
    if (file->map.size < HEADER_SIZE)
        return hs_fail(err, HS_ERR_FORMAT, 0, HS_NO_VA,
                       "minidump header: the file has %" PRIu64 " bytes, expected at least %u", file->map.size,
                       HEADER_SIZE);
    if (hs_load_u16(file->map.bytes + 4) != 0xa793)
        hs_notes_add(file->notes, "minidump header: version 0x%04x, expected 0xa793",
                     (unsigned)hs_load_u16(file->map.bytes + 4));
    file->time = hs_load_u32(file->map.bytes + 20);
    file->flags = hs_load_u64(file->map.bytes + 24);

    streams = calloc(STREAMS_MAX, sizeof *streams);
    if (!streams)
        return hs_fail_memory(err, "the stream directory");
    status = read_directory(file, streams, &stream_count, err);
    if (status == HS_OK)
        status = hs_streams_read(file, streams, stream_count, err);
    free(streams);
    if (status == HS_OK)
        hs_memory_settle(file);
    return status;
}

static enum hs_status open_parsed(const char *name, struct hs_mapping mapping, struct hs_notes *notes,
                                  struct hs_file **file_ret, struct hs_error *err)
{
    struct hs_file *file = calloc(1, sizeof *file);
    enum hs_status status;

    if (!file) {
        hs_mapping_close(&mapping);
        return hs_fail_memory(err, "the dump file");
    }
    hs_arena_init(&file->arena);
    file->mapping = mapping;
    file->map = mapping.bytes;
    file->notes = notes;
    file->service_pack = file->comment = "";
    file->path = hs_arena_string(&file->arena, name);
    status = file->path ? parse(file, err) : hs_fail_memory(err, "the file name");
    if (status != HS_OK) {
        hs_file_close(file);
        return status;
    }
    *file_ret = file;
    return HS_OK;
}

enum hs_status hs_file_open(const char *path, struct hs_notes *notes, struct hs_file **file_ret, struct hs_error *err)
{
    struct hs_mapping mapping;
    enum hs_status status = hs_mapping_open(path, "dump file", &mapping, err);

    return status == HS_OK ? open_parsed(path, mapping, notes, file_ret, err) : status;
}

enum hs_status hs_file_open_bytes(const char *name, struct hs_span bytes, struct hs_notes *notes,
                                  struct hs_file **file_ret, struct hs_error *err)
{
    return open_parsed(name, (struct hs_mapping){bytes, -1}, notes, file_ret, err);
}

void hs_file_close(struct hs_file *file)
{
    if (!file)
        return;
    hs_mapping_close(&file->mapping);
    free(file->runs);
    hs_arena_deinit(&file->arena);
    free(file);
}
