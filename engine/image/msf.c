/* msf.c - the container of a PDB ("MSF 7.00"): superblock, directory, streams made of blocks.
 * Layout: LLVM's "The MSF File Format" and Microsoft's published sources (microsoft-pdb, msf.cpp); the array of block
 * numbers behind the superblock, one for each block of the list of directory blocks, is from the latter. */
#include "image/msf.h"

#include <inttypes.h>
#include <stdlib.h>

#define MAGIC_SIZE 32u
#define BLOCK_SIZE_OFF 32u
#define BLOCK_COUNT_OFF 40u
#define DIRECTORY_SIZE_OFF 44u
#define DIRECTORY_MAP_OFF 52u
#define BLOCK_SIZE_MIN 512u
#define BLOCK_SIZE_MAX 65536u
#define STREAM_MAX 0x100000u /* stream numbers that others name have 16 bits; the rest is generous */
#define DELETED 0xffffffffu

static const char magic[MAGIC_SIZE] = "Microsoft C/C++ MSF 7.00\r\n\x1a"
                                      "DS\0\0"; /* and the 0 that C adds */

static uint64_t blocks_for(const struct hs_msf *msf, uint64_t size)
{
    return (size + msf->block_size - 1) / msf->block_size;
}

/* ---- runs of blocks ---- */

/* The bytes at `off` of what the block numbers in `blocks` make up, up to the end of `size` or of its block; empty if
 * the block lies outside the file. */
static struct hs_span block_part(const struct hs_msf *msf, const uint8_t *blocks, uint64_t off, uint64_t size)
{
    uint64_t number = hs_load_u32(blocks + off / msf->block_size * 4), within = off % msf->block_size;
    uint64_t at = number * msf->block_size + within;
    struct hs_span part = {NULL, msf->block_size - within};

    if (part.size > size)
        part.size = size;
    return hs_span_part(msf->file, at, part.size, &part) ? part : (struct hs_span){NULL, 0};
}

static bool copy_blocks(const struct hs_msf *msf, const uint8_t *blocks, uint64_t off, uint8_t *bytes, uint64_t size)
{
    while (size) {
        struct hs_span part = block_part(msf, blocks, off, size);

        if (!part.size)
            return false;
        memcpy(bytes, part.bytes, part.size);
        bytes += part.size;
        off += part.size;
        size -= part.size;
    }
    return true;
}

static enum hs_status load_blocks(const struct hs_msf *msf, const uint8_t *blocks, uint64_t off, uint64_t size,
                                  struct hs_msf_bytes *bytes_ret)
{
    uint64_t first = off / msf->block_size, last = (off + size - 1) / msf->block_size, i;
    uint64_t number = hs_load_u32(blocks + first * 4);
    uint8_t *copy;

    for (i = first + 1; i <= last && hs_load_u32(blocks + i * 4) == number + (i - first); i++)
        ;
    if (i > last) {
        bytes_ret->copy = NULL;
        return hs_span_part(msf->file, number * msf->block_size + off % msf->block_size, size, &bytes_ret->span)
                   ? HS_OK
                   : HS_ERR_FORMAT;
    }
    copy = malloc(size);
    if (!copy)
        return HS_ERR_MEMORY;
    if (!copy_blocks(msf, blocks, off, copy, size)) {
        free(copy);
        return HS_ERR_FORMAT;
    }
    *bytes_ret = (struct hs_msf_bytes){{copy, size}, copy};
    return HS_OK;
}

/* ---- superblock and directory ---- */

static enum hs_status check_magic(struct hs_span file, struct hs_error *err)
{
    static const char old[] = "Microsoft C/C++ program database 2.00";

    if (file.size >= MAGIC_SIZE && memcmp(file.bytes, magic, MAGIC_SIZE) == 0)
        return HS_OK;
    if (file.size >= sizeof old - 1 && memcmp(file.bytes, old, sizeof old - 1) == 0)
        return hs_fail(err, HS_ERR_UNSUPPORTED, 0, HS_NO_VA,
                       "a PDB in the format of Visual C++ 6 (2.00): heapsift reads 7.00");
    if (file.size >= 4 && memcmp(file.bytes, "BSJB", 4) == 0)
        return hs_fail(err, HS_ERR_UNSUPPORTED, 0, HS_NO_VA, "a portable PDB of .NET: it names no native code");
    if (file.size >= 4 && memcmp(file.bytes, "MSCF", 4) == 0)
        return hs_fail(err, HS_ERR_UNSUPPORTED, 0, HS_NO_VA, "a cabinet: expand it first (expand, cabextract)");
    return hs_fail(err, HS_ERR_FORMAT, 0, HS_NO_VA, "no PDB: the first %u bytes are not \"Microsoft C/C++ MSF 7.00\"",
                   MAGIC_SIZE);
}

static enum hs_status read_superblock(struct hs_msf *msf, uint64_t *directory_size_ret, struct hs_error *err)
{
    uint32_t block_size, directory_size;

    if (!hs_span_u32(msf->file, BLOCK_SIZE_OFF, &block_size) ||
        !hs_span_u32(msf->file, DIRECTORY_SIZE_OFF, &directory_size) || msf->file.size < DIRECTORY_MAP_OFF + 4)
        return hs_fail(err, HS_ERR_FORMAT, msf->file.size, HS_NO_VA,
                       "the PDB's superblock ends after 0x%" PRIx64 " bytes, expected 0x38 or more", msf->file.size);
    if (block_size < BLOCK_SIZE_MIN || block_size > BLOCK_SIZE_MAX || (block_size & (block_size - 1)))
        return hs_fail(err, HS_ERR_FORMAT, BLOCK_SIZE_OFF, HS_NO_VA,
                       "the PDB's block size is %" PRIu32 ", expected a power of two from %u to %u", block_size,
                       BLOCK_SIZE_MIN, BLOCK_SIZE_MAX);
    if (directory_size < 4 || directory_size > msf->file.size)
        return hs_fail(err, HS_ERR_FORMAT, DIRECTORY_SIZE_OFF, HS_NO_VA,
                       "the PDB's directory has 0x%" PRIx32 " bytes, the file 0x%" PRIx64, directory_size,
                       msf->file.size);
    msf->block_size = block_size;
    *directory_size_ret = directory_size;
    return HS_OK;
}

static enum hs_status read_directory(struct hs_msf *msf, uint64_t size, struct hs_error *err)
{
    uint64_t list_size = blocks_for(msf, size) * 4;
    struct hs_span map;
    struct hs_msf_bytes list = {{NULL, 0}, NULL}, directory = {{NULL, 0}, NULL};
    enum hs_status status = HS_ERR_FORMAT;

    /* Superblock -> blocks of the list -> blocks of the directory. */
    if (hs_span_part(msf->file, DIRECTORY_MAP_OFF, blocks_for(msf, list_size) * 4, &map) &&
        DIRECTORY_MAP_OFF + map.size <= msf->block_size)
        status = load_blocks(msf, map.bytes, 0, list_size, &list);
    if (status == HS_OK)
        status = load_blocks(msf, list.span.bytes, 0, size, &directory);
    hs_msf_unload(&list);
    msf->directory = directory.span;
    msf->copy = directory.copy;
    if (status == HS_ERR_FORMAT) {
        hs_fail(err, status, DIRECTORY_MAP_OFF, HS_NO_VA, "blocks of the PDB's directory lie outside the file");
        return status;
    }
    if (status != HS_OK)
        hs_fail_memory(err, "the directory of a PDB");
    return status;
}

/* Where each stream's block numbers are. What the directory has no room for stays without: its size counts as 0. */
static enum hs_status place_streams(struct hs_msf *msf, struct hs_error *err)
{
    uint32_t count = 0;
    uint64_t off;

    if (!hs_span_u32(msf->directory, 0, &count) || count > STREAM_MAX || count > (msf->directory.size - 4) / 4)
        return hs_fail(err, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                       "the PDB's directory of 0x%" PRIx64 " bytes declares %" PRIu32 " streams", msf->directory.size,
                       count);
    msf->blocks_off = calloc(count + 1u, sizeof *msf->blocks_off);
    if (!msf->blocks_off)
        return hs_fail_memory(err, "the streams of a PDB");
    off = 4 + (uint64_t)count * 4;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = hs_load_u32(msf->directory.bytes + 4 + (size_t)i * 4);
        uint64_t length = size == DELETED ? 0 : blocks_for(msf, size) * 4;

        if (length > msf->directory.size - off)
            break; /* and nobody knows where the ones behind it begin */
        msf->blocks_off[i] = size && size != DELETED && size <= msf->file.size ? off : 0;
        off += length;
    }
    msf->stream_count = count;
    return HS_OK;
}

enum hs_status hs_msf_init(struct hs_msf *msf, struct hs_span file, struct hs_error *err)
{
    uint64_t directory_size = 0;
    enum hs_status status = check_magic(file, err);

    memset(msf, 0, sizeof *msf);
    msf->file = file;
    if (status == HS_OK)
        status = read_superblock(msf, &directory_size, err);
    if (status == HS_OK)
        status = read_directory(msf, directory_size, err);
    if (status == HS_OK)
        status = place_streams(msf, err);
    if (status != HS_OK)
        hs_msf_deinit(msf);
    return status;
}

void hs_msf_deinit(struct hs_msf *msf)
{
    free(msf->copy);
    free(msf->blocks_off);
    memset(msf, 0, sizeof *msf);
}

/* ---- streams ---- */

uint64_t hs_msf_size(const struct hs_msf *msf, uint32_t stream)
{
    if (stream >= msf->stream_count || !msf->blocks_off[stream])
        return 0;
    return hs_load_u32(msf->directory.bytes + 4 + (size_t)stream * 4);
}

bool hs_msf_read(const struct hs_msf *msf, uint32_t stream, uint64_t off, void *bytes_ret, uint64_t size)
{
    uint64_t total = hs_msf_size(msf, stream);

    if (off > total || size > total - off)
        return false;
    return size == 0 || copy_blocks(msf, msf->directory.bytes + msf->blocks_off[stream], off, bytes_ret, size);
}

enum hs_status hs_msf_load(const struct hs_msf *msf, uint32_t stream, uint64_t off, uint64_t size,
                           struct hs_msf_bytes *bytes_ret)
{
    uint64_t total = hs_msf_size(msf, stream);

    *bytes_ret = (struct hs_msf_bytes){{NULL, 0}, NULL};
    if (off >= total || size == 0)
        return HS_NOT_FOUND;
    if (size > total - off)
        size = total - off;
    return load_blocks(msf, msf->directory.bytes + msf->blocks_off[stream], off, size, bytes_ret);
}

void hs_msf_unload(struct hs_msf_bytes *bytes)
{
    free(bytes->copy);
    *bytes = (struct hs_msf_bytes){{NULL, 0}, NULL};
}
