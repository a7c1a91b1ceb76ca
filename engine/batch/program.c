/* program.c - where another program is. */
#include "batch/batch.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a shell takes where PATH is not set. */
#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"

static bool may_be_run(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

enum hs_status hs_program_find(const char *name, struct hs_text *text, struct hs_error *err)
{
    const char *folders = getenv("PATH");
    for (const char *at = folders ? folders : PATH_DEFAULT; *at;) {
        size_t size = strcspn(at, ":");
        text->size = 0;
        hs_text_add(text, "%.*s/%s", (int)size, at, name);
        if (text->failed)
            return hs_fail_memory(err, "the path of a program");
        if (at[0] == '/' && may_be_run(text->bytes))
            return HS_OK;
        at += size + (at[size] == ':');
    }
    text->size = 0;
    return hs_fail(err, HS_NOT_FOUND, HS_NO_OFF, HS_NO_VA, "no program of that name in the folders of PATH");
}
