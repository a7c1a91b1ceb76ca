/* unpack.c - the child's side of an archive: members that are dumps go one by one into temporary files that have no name,
 * whose descriptors are sent to the parent. Names of members are never used as paths; those that try to be are refused, so
 * that somebody looks at such an archive. */
#include "batch/batch.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BLOCK_SIZE (UINT64_C(1) << 16) /* of a read, and of holes in what is written */
#define NAME_MAX_SIZE 4000u

const char *hs_member_name_fault(const char *name)
{
    if (!name || !name[0])
        return "a member without a name";
    if (strlen(name) > NAME_MAX_SIZE)
        return "a name of more than 4000 bytes";
    if (name[0] == '/' || name[0] == '\\' || (name[1] == ':' && ((name[0] | 32) >= 'a' && (name[0] | 32) <= 'z')))
        return "an absolute name";
    for (const char *part = name; *part;) {
        size_t size = strcspn(part, "/\\");
        if (size == 2 && part[0] == '.' && part[1] == '.')
            return "a name that leads out of the archive (..)";
        part += size;
        part += strspn(part, "/\\");
    }
    return NULL;
}

/* ---- to the parent ---- */

static enum hs_status tell(const char *name, uint64_t size, const char *reason, int descriptor, struct hs_error *err)
{
    char bytes[8192];
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    int length = snprintf(bytes, sizeof bytes, "%llu%c%.*s%c%.2000s%c", (unsigned long long)size, 0, (int)NAME_MAX_SIZE,
                          name ? name : "?", 0, reason ? reason : "", 0);
    struct iovec part = {bytes, (size_t)length};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *beside = CMSG_FIRSTHDR(&message);
        beside->cmsg_level = SOL_SOCKET;
        beside->cmsg_type = SCM_RIGHTS;
        beside->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(beside), &descriptor, sizeof(int));
    }
    if (sendmsg(HS_CHILD_LINK, &message, MSG_NOSIGNAL) < 0 || recv(HS_CHILD_LINK, bytes, 1, 0) != 1)
        return hs_fail(err, HS_ERR_CANCELLED, HS_NO_OFF, HS_NO_VA, "the batch wants no more");
    return HS_OK;
}

/* ---- one member ---- */

static int temporary_file(const char *folder)
{
    int descriptor = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor >= 0)
        return descriptor;
    struct hs_text name;
    hs_text_init(&name);
    hs_text_add(&name, "%s/heapsift-XXXXXX", folder);
    descriptor = name.failed ? -1 : mkostemp(name.bytes, O_CLOEXEC);
    if (descriptor >= 0)
        unlink(name.bytes);
    hs_text_deinit(&name);
    return descriptor;
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
    return size > 0 && bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Fills `bytes` from the member; how many there are; -1: the archive is damaged there. */
static ssize_t read_block(struct archive *archive, uint8_t *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        la_ssize_t got = archive_read_data(archive, bytes + done, size - done);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* Writes the member, whose first `got` bytes are in `block`, leaving holes for zeros. NULL, or why not. */
static const char *copy_out(struct archive *archive, uint8_t *block, ssize_t got, uint64_t limit, int descriptor,
                            uint64_t *size_ret)
{
    static char text[160];
    uint64_t size = 0;
    for (; got > 0; got = read_block(archive, block, BLOCK_SIZE)) {
        if ((uint64_t)got > limit - size) {
            snprintf(text, sizeof text, "more than %llu bytes when unpacked (--unpack-limit)",
                     (unsigned long long)limit);
            return text;
        }
        if (!all_zero(block, (size_t)got) && pwrite(descriptor, block, (size_t)got, (off_t)size) != got) {
            snprintf(text, sizeof text, "cannot be unpacked: %s", strerror(errno ? errno : ENOSPC));
            return text;
        }
        size += (uint64_t)got;
    }
    if (got < 0) {
        snprintf(text, sizeof text, "damaged: %.120s", archive_error_string(archive));
        return text;
    }
    if (ftruncate(descriptor, (off_t)size) != 0) {
        snprintf(text, sizeof text, "cannot be unpacked: %s", strerror(errno));
        return text;
    }
    *size_ret = size;
    return NULL;
}

static enum hs_status take_data(struct archive *archive, const char *name, const struct hs_unpack_limits *limits,
                                uint8_t *block, struct hs_error *err)
{
    ssize_t got = read_block(archive, block, BLOCK_SIZE);
    bool is_dump = got >= 4 && memcmp(block, "MDMP", 4) == 0;
    if (got < 0)
        return tell(name, 0, archive_error_string(archive), -1, err);
    if (!is_dump && hs_named_archive(name))
        return tell(name, 0, "an archive inside an archive: unpack it first", -1, err);
    if (!is_dump)
        return hs_named_dump(name) ? tell(name, 0, "not a user minidump", -1, err) : HS_OK;
    int descriptor = temporary_file(limits->folder);
    if (descriptor < 0)
        return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot make a temporary file in %s: %s", limits->folder,
                       strerror(errno));
    uint64_t size = 0;
    const char *why = copy_out(archive, block, got, limits->member_size, descriptor, &size);
    enum hs_status status = tell(name, size, why, why ? -1 : descriptor, err);
    close(descriptor);
    return status;
}

static enum hs_status take_member(struct archive *archive, struct archive_entry *entry, const char *name,
                                  const struct hs_unpack_limits *limits, uint8_t *block, struct hs_error *err)
{
    const char *fault = hs_member_name_fault(name);
    if (fault)
        return tell(name, 0, fault, -1, err);
    if (archive_entry_filetype(entry) == AE_IFDIR)
        return HS_OK;
    if (archive_entry_symlink(entry) || archive_entry_hardlink(entry) || archive_entry_filetype(entry) == AE_IFLNK)
        return tell(name, 0, "a link", -1, err);
    if (archive_entry_filetype(entry) != AE_IFREG)
        return tell(name, 0, "no regular file", -1, err);
    if (archive_entry_is_encrypted(entry))
        return tell(name, 0, "encrypted", -1, err);
    return take_data(archive, name, limits, block, err);
}

/* ---- the archive ---- */

/* "outlook.dmp" of "/x/outlook.dmp.gz": what the one stream of a .gz or .zst is called. */
static const char *stream_name(const char *path, char *name, size_t size)
{
    const char *slash = strrchr(path, '/');
    snprintf(name, size, "%s", slash ? slash + 1 : path);
    char *dot = strrchr(name, '.');
    if (dot && dot > name)
        *dot = 0;
    return name;
}

static enum hs_status read_members(struct archive *archive, const char *path, const struct hs_unpack_limits *limits,
                                   uint8_t *block, struct hs_error *err)
{
    struct archive_entry *entry;
    char name[NAME_MAX_SIZE + 1];
    for (;;) {
        int code = archive_read_next_header(archive, &entry);
        if (code == ARCHIVE_EOF)
            return HS_OK;
        if (code == ARCHIVE_RETRY)
            continue;
        if (code < ARCHIVE_WARN)
            return hs_fail(err, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA, "the archive is damaged: %.180s",
                           archive_error_string(archive) ? archive_error_string(archive) : "cannot be read");
        bool raw = archive_format(archive) == ARCHIVE_FORMAT_RAW;
        if (raw && archive_filter_code(archive, 0) == ARCHIVE_FILTER_NONE) /* anything is raw, if nothing packed it */
            return hs_fail(err, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA, "no archive that can be read: no format known");
        enum hs_status status =
            take_member(archive, entry, raw ? stream_name(path, name, sizeof name) : archive_entry_pathname(entry),
                        limits, block, err);
        if (status != HS_OK)
            return status;
    }
}

enum hs_status hs_unpack(const char *path, const struct hs_unpack_limits *limits, struct hs_error *err)
{
    setlocale(LC_CTYPE, "C.UTF-8"); /* or names beyond ASCII are lost */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot open the archive: %s", strerror(errno));
    struct archive *archive = archive_read_new();
    uint8_t *block = malloc(BLOCK_SIZE);
    enum hs_status status = archive && block ? HS_OK : hs_fail_memory(err, "the archive");
    if (status == HS_OK) {
        archive_read_support_filter_gzip(archive);
        archive_read_support_filter_zstd(archive);
        archive_read_support_format_zip(archive);
        archive_read_support_format_7zip(archive);
        archive_read_support_format_cab(archive);
        archive_read_support_format_tar(archive);
        archive_read_support_format_raw(archive);
        if (archive_read_open_fd(archive, descriptor, BLOCK_SIZE) != ARCHIVE_OK)
            status = hs_fail(err, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA, "no archive that can be read: %.180s",
                             archive_error_string(archive));
        else
            status = read_members(archive, path, limits, block, err);
    }
    archive_read_free(archive);
    free(block);
    close(descriptor);
    return status;
}
