/* identity.c - what a file is, and the name of its content. Runs in the parent of a batch: it reads with pread, so that a
 * file that shrinks meanwhile is a short read and no signal, and believes no count.
 *
 * Layouts: MINIDUMP_HEADER and MINIDUMP_DIRECTORY as documented for minidumpapiset.h. */
#include "batch/batch.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_SIZE 32u
#define ENTRY_SIZE 12u
#define STREAMS_MAX 1024u
#define WHOLE_SIZE (UINT64_C(16) << 20)   /* up to here all bytes count */
#define STREAMS_SIZE (UINT64_C(16) << 20) /* of a larger file, this much of its streams */
#define SAMPLES 64u
#define SAMPLE_SIZE 4096u
#define PIECE_SIZE 65536u

struct reader {
    int descriptor;
    uint64_t size; /* of the file */
    struct sha256_ctx hash;
    uint8_t *piece; /* PIECE_SIZE bytes */
    int failed;     /* errno; 0: fine */
};

/* Reads at most `size` bytes; how many there are. */
static size_t read_at(struct reader *reader, uint64_t off, void *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(reader->descriptor, (uint8_t *)bytes + done, size - done, (off_t)(off + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            reader->failed = errno;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return done;
}

/* Hashes up to `size` bytes at `off`, as far as the file has them. */
static void hash_range(struct reader *reader, uint64_t off, uint64_t size)
{
    if (off >= reader->size)
        return;
    if (size > reader->size - off)
        size = reader->size - off;
    while (size > 0) {
        size_t want = size < PIECE_SIZE ? (size_t)size : PIECE_SIZE;
        size_t got = read_at(reader, off, reader->piece, want);
        sha256_update(&reader->hash, got, reader->piece);
        if (got < want)
            return;
        off += got;
        size -= got;
    }
}

static void hash_large(struct reader *reader, const uint8_t *header)
{
    uint8_t entry[ENTRY_SIZE], number[8];
    uint32_t count = hs_load_u32(header + 8), directory = hs_load_u32(header + 12);
    uint64_t budget = STREAMS_SIZE;
    for (unsigned i = 0; i < sizeof number; i++)
        number[i] = (uint8_t)(reader->size >> 8 * i);
    sha256_update(&reader->hash, sizeof number, number);
    sha256_update(&reader->hash, HEADER_SIZE, header);
    for (uint32_t i = 0; i < count && i < STREAMS_MAX && budget > 0; i++) {
        if (read_at(reader, directory + (uint64_t)i * ENTRY_SIZE, entry, ENTRY_SIZE) < ENTRY_SIZE)
            break;
        sha256_update(&reader->hash, ENTRY_SIZE, entry);
        uint64_t size = hs_load_u32(entry + 4);
        size = size < budget ? size : budget;
        hash_range(reader, hs_load_u32(entry + 8), size);
        budget -= size;
    }
    for (uint64_t i = 0; i < SAMPLES; i++)
        hash_range(reader, (reader->size - SAMPLE_SIZE) / (SAMPLES - 1) * i, SAMPLE_SIZE);
    hash_range(reader, reader->size - SAMPLE_SIZE, SAMPLE_SIZE);
}

static bool is_archive(const uint8_t *bytes, size_t size)
{
    static const struct {
        const char *magic;
        size_t size;
    } magics[] = {{"PK\x03\x04", 4}, {"PK\x05\x06", 4}, {"7z\xbc\xaf\x27\x1c", 6},
                  {"MSCF", 4},       {"\x1f\x8b", 2},   {"\x28\xb5\x2f\xfd", 4}};
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (size >= magics[i].size && memcmp(bytes, magics[i].magic, magics[i].size) == 0)
            return true;
    return false;
}

enum hs_status hs_content_read(int descriptor, struct hs_content *content_ret, struct hs_error *err)
{
    struct reader reader = {.descriptor = descriptor};
    struct hs_content content = {HS_CONTENT_OTHER, "", 0};
    uint8_t header[HEADER_SIZE] = {0}, digest[16];
    struct stat info;
    if (fstat(descriptor, &info) != 0)
        return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot read the file's size: %s", strerror(errno));
    if (!S_ISREG(info.st_mode))
        return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "is %s, expected a dump file",
                       S_ISDIR(info.st_mode) ? "a folder" : "no regular file");
    reader.size = content.size = (uint64_t)info.st_size;
    reader.piece = malloc(PIECE_SIZE);
    if (!reader.piece)
        return hs_fail_memory(err, "reading the file");
    size_t got = read_at(&reader, 0, header, HEADER_SIZE);
    if (is_archive(header, got)) {
        content.kind = HS_CONTENT_ARCHIVE;
    } else if (got >= 4 && memcmp(header, "MDMP", 4) == 0) {
        content.kind = HS_CONTENT_DUMP;
        sha256_init(&reader.hash);
        if (reader.size <= WHOLE_SIZE)
            hash_range(&reader, 0, reader.size);
        else
            hash_large(&reader, header);
        sha256_digest(&reader.hash, sizeof digest, digest);
        for (size_t i = 0; i < sizeof digest; i++)
            snprintf(content.name + 2 * i, 3, "%02x", digest[i]);
    }
    free(reader.piece);
    if (reader.failed)
        return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot read the file: %s", strerror(reader.failed));
    *content_ret = content;
    return HS_OK;
}
