/* msf.h - inside image/: the container of a PDB, a file of blocks that make up numbered streams. */
#ifndef HS_IMAGE_MSF_H
#define HS_IMAGE_MSF_H

#include "base/base.h"

struct hs_msf {
    struct hs_span file; /* borrowed */
    uint32_t block_size; /* bytes */
    uint32_t stream_count;
    struct hs_span directory;
    uint8_t *copy;        /* of the directory, where its blocks do not lie in a row; else NULL */
    uint64_t *blocks_off; /* one a stream: where its block numbers begin in the directory */
};

/* Reads superblock and directory; `file` must outlive it. HS_ERR_FORMAT, HS_ERR_UNSUPPORTED (a PDB of before 2000, a
 * portable PDB of .NET), HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_msf_init(struct hs_msf *msf, struct hs_span file, struct hs_error *err);
void hs_msf_deinit(struct hs_msf *msf);

/* Bytes of a stream; 0 for one that is not there, was deleted (size 0xffffffff), or cannot be: larger than the file,
 * or with blocks that the directory lacks. */
uint64_t hs_msf_size(const struct hs_msf *msf, uint32_t stream);
/* Copies [off, off + size) of a stream. False, with some of it perhaps written, if not all of it is there. */
bool hs_msf_read(const struct hs_msf *msf, uint32_t stream, uint64_t off, void *bytes_ret, uint64_t size);

/* A part of a stream in one piece: borrowed from the file where its blocks lie in a row, else a copy. */
struct hs_msf_bytes {
    struct hs_span span;
    uint8_t *copy; /* NULL if borrowed */
};
/* Clipped to the stream's end. HS_NOT_FOUND: nothing there. HS_ERR_FORMAT: a block lies outside the file.
 * HS_ERR_MEMORY. */
HS_MUST_CHECK enum hs_status hs_msf_load(const struct hs_msf *msf, uint32_t stream, uint64_t off, uint64_t size,
                                         struct hs_msf_bytes *bytes_ret);
void hs_msf_unload(struct hs_msf_bytes *bytes);

#endif
