/* mapping.c - a whole file as read-only memory. */
#include "file/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum hs_status hs_mapping_open(const char *path, const char *expected, struct hs_mapping *mapping_ret,
                               struct hs_error *err)
{
    struct stat status;
    struct hs_span bytes;
    void *map;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (descriptor < 0)
        return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot open the file: %s", strerror(errno));
    if (fstat(descriptor, &status) != 0) {
        hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot read the file's size: %s", strerror(errno));
        goto failed;
    }
    if (!S_ISREG(status.st_mode)) {
        hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "is %s, expected a %s",
                S_ISDIR(status.st_mode) ? "a directory" : "no regular file", expected);
        goto failed;
    }
    bytes = (struct hs_span){NULL, (uint64_t)status.st_size};
    if (status.st_size > 0) {
        map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (map == MAP_FAILED) {
            hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot map the file: %s", strerror(errno));
            goto failed;
        }
        bytes.bytes = map;
    }
    *mapping_ret = (struct hs_mapping){bytes, descriptor};
    return HS_OK;

failed:
    close(descriptor);
    return HS_ERR_IO;
}

void hs_mapping_close(struct hs_mapping *mapping)
{
    if (mapping->descriptor < 0)
        return;
    if (mapping->bytes.size)
        munmap((void *)(uintptr_t)mapping->bytes.bytes, mapping->bytes.size);
    close(mapping->descriptor);
    *mapping = HS_MAPPING_NONE;
}
