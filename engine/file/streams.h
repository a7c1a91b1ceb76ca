/* streams.h - inside file/: from the directory's entries to the records of struct hs_file. */
#ifndef HS_STREAMS_H
#define HS_STREAMS_H

#include "file/file.h"

/* One entry of the stream directory, already clipped to the file. */
struct hs_stream {
    uint32_t type;
    uint64_t file_off;
    struct hs_span bytes;
};

/* Reads every stream heapsift knows into `file`. Damage becomes notes. HS_ERR_MEMORY only. */
HS_MUST_CHECK enum hs_status hs_streams_read(struct hs_file *file, const struct hs_stream *streams, size_t stream_count,
                                             struct hs_error *err);

/* An address of the dump: 32-bit dumpers sign-extend addresses from 2 GiB up, here they are cut to what they were. */
hs_va hs_file_va(const struct hs_file *file, uint64_t va);

/* How many of `declared` elements of `element_size` bytes the stream holds from `off` on; a shortage becomes a note. */
uint64_t hs_stream_count(struct hs_file *file, const struct hs_stream *stream, const char *what, uint64_t off,
                         uint64_t declared, uint64_t element_size);

#endif
