/* shell.h - the line editor, as functions that the host is given (struct hs_prompt). */
#ifndef HS_CLI_SHELL_H
#define HS_CLI_SHELL_H

#include "host/host.h"

bool hs_shell_open(const char *history_path);
void hs_shell_complete(hs_prompt_complete *complete, void *context);
const char *hs_shell_read(const char *prompt, size_t *size_ret, bool *interrupted_ret);
void hs_shell_remember(const char *line);
void hs_shell_close(void);

#endif
