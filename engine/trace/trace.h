/* trace.h - the door of trace/: who allocated. Needs no heap code: a block carries only a number. */
#ifndef HS_TRACE_H
#define HS_TRACE_H

#include "process/process.h"
#include <heapsift/trace.h>

struct hs_traces {
    const struct hs_process *process;
    struct hs_traces_info info;
};

/* Finds the database of Windows XP and 2003 in the process. HS_NOT_FOUND: there is none (a note says so if the global
 * flags ask for one). HS_ERR_CANCELLED. */
HS_MUST_CHECK enum hs_status hs_traces_init(struct hs_traces *traces, const struct hs_process *process,
                                            struct hs_notes *notes, struct hs_job *job, struct hs_error *err);

#endif
