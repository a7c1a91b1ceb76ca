/* host.h - the door of host/: trust and limits around scripts. */
#ifndef HS_HOST_H
#define HS_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What can stand where the cursor is: each candidate with a newline behind it, to be freed by the caller; NULL: none.
 * Sets how many bytes before the cursor a candidate replaces. */
typedef char *hs_prompt_complete(void *context, const char *line, size_t size, size_t *typed_ret);

/* A line editor. `open` comes first and tells whether there is one; the line that `read` gives lives until the next
 * call, NULL is the end of input; `interrupted` means that the user gave the line up. */
struct hs_prompt {
    bool (*open)(const char *history_path);
    void (*complete)(hs_prompt_complete *complete, void *context);
    const char *(*read)(const char *prompt, size_t *size_ret, bool *interrupted_ret);
    void (*remember)(const char *line);
    void (*close)(void);
};

/* Runs the command line `heapsift argv[1] ...` and returns its exit code: 0 done, 1 a finding at or above --fail-on,
 * 2 usage, 3 the input cannot be read, 4 part of what was asked for could not be read, 5 a script or a limit failed,
 * 6 what was asked for is not there, 130 interrupted. Writes to stdout and stderr. Once per process. `prompt` is
 * borrowed; NULL: no line editor. */
int hs_host_run(int argc, char **argv, const struct hs_prompt *prompt);

#endif
