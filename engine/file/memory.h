/* memory.h - inside file/: the lists that say which process memory the dump holds. */
#ifndef HS_FILE_MEMORY_H
#define HS_FILE_MEMORY_H

#include "file/streams.h"

/* Each adds the runs of its stream to file->runs, clipped to the file, in the order they are listed. */
HS_MUST_CHECK enum hs_status hs_memory_read_list(struct hs_file *file, const struct hs_stream *stream,
                                                 struct hs_error *err);
HS_MUST_CHECK enum hs_status hs_memory_read_list64(struct hs_file *file, const struct hs_stream *stream,
                                                   struct hs_error *err);
/* MemoryInfoList to file->regions, in the order they are listed. */
HS_MUST_CHECK enum hs_status hs_memory_read_infos(struct hs_file *file, const struct hs_stream *stream,
                                                  struct hs_error *err);
/* Once all lists are in: runs and regions in address order and without overlap. Where two overlap, the one that begins
 * lower keeps its bytes; of two that begin together, the one whose bytes come first in the file (regions: the longer). */
void hs_memory_settle(struct hs_file *file);

#endif
