/* walk.c - from what the user wrote (files, folders, patterns, lists) to files. Folders are followed down, links to folders
 * are not, so that no walk is endless; a link to a file is that file. */
#include "batch/batch.h"

#include <errno.h>
#include <fts.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

struct hs_walk {
    FILE *list;      /* of @FILE */
    bool null_ended; /* its paths end with NUL, and are taken as they are */
    char *line;      /* its buffer */
    size_t line_size;
    const char *first; /* a path that is to be taken next, else NULL */
    char *first_copy;
    glob_t found;
    bool has_found;
    size_t found_idx;
    FTS *folder;
    struct hs_text path; /* of the last item */
    uint64_t skipped;
};

static bool ends_with(const char *name, const char *const *endings)
{
    const char *dot = strrchr(name, '.');
    for (; dot && *endings; endings++)
        if (strcasecmp(dot, *endings) == 0)
            return true;
    return false;
}

bool hs_named_dump(const char *name)
{
    static const char *const endings[] = {".dmp", ".mdmp", ".hdmp", ".dump", NULL};
    return ends_with(name, endings);
}

bool hs_named_archive(const char *name)
{
    static const char *const endings[] = {".zip", ".7z", ".cab", ".gz", ".zst", NULL};
    return ends_with(name, endings);
}

enum hs_status hs_walk_open(const char *path, bool null_ended, struct hs_walk **walk_ret, struct hs_error *err)
{
    struct hs_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return hs_fail_memory(err, "the walk over the inputs");
    hs_text_init(&walk->path);
    walk->null_ended = null_ended;
    if (path[0] == '@') {
        walk->list = strcmp(path, "@-") == 0 ? stdin : fopen(path + 1, "rbe");
        if (!walk->list) {
            int number = errno;
            hs_walk_close(walk);
            return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot read the list of inputs: %s", strerror(number));
        }
    } else {
        walk->first_copy = strdup(path);
        walk->first = walk->first_copy;
        if (!walk->first) {
            hs_walk_close(walk);
            return hs_fail_memory(err, "a path");
        }
    }
    *walk_ret = walk;
    return HS_OK;
}

void hs_walk_close(struct hs_walk *walk)
{
    if (!walk)
        return;
    if (walk->list && walk->list != stdin)
        fclose(walk->list);
    free(walk->line);
    free(walk->first_copy);
    if (walk->has_found)
        globfree(&walk->found);
    if (walk->folder)
        fts_close(walk->folder);
    hs_text_deinit(&walk->path);
    free(walk);
}

uint64_t hs_walk_skipped(const struct hs_walk *walk)
{
    return walk->skipped;
}

enum hs_status hs_path_absolute(const char *path, struct hs_text *text, struct hs_error *err)
{
    char folder[PATH_MAX];
    text->size = 0;
    if (path[0] != '/') {
        if (!getcwd(folder, sizeof folder))
            return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "the working folder is not known: %s", strerror(errno));
        hs_text_add(text, "%s", strcmp(folder, "/") == 0 ? "" : folder);
    }
    while (*path) {
        size_t size = strcspn(path, "/");
        if (size > 0 && !(size == 1 && path[0] == '.'))
            hs_text_add(text, "/%.*s", (int)size, path);
        path += size;
        path += strspn(path, "/");
    }
    if (text->size == 0)
        hs_text_add(text, "/");
    return text->failed ? hs_fail_memory(err, "a path") : HS_OK;
}

static enum hs_status give(struct hs_walk *walk, const char *path, const struct stat *info,
                           struct hs_walk_item *item_ret, struct hs_error *err)
{
    enum hs_status status = hs_path_absolute(path, &walk->path, err);
    if (status != HS_OK)
        return status;
    *item_ret = (struct hs_walk_item){walk->path.bytes, 0, 0};
    if (info && S_ISREG(info->st_mode)) {
        item_ret->size = (uint64_t)info->st_size;
        item_ret->modified_ns = (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
    }
    return HS_OK;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* The next file of the folder that is open; HS_NOT_FOUND after the last. */
static enum hs_status next_in_folder(struct hs_walk *walk, struct hs_walk_item *item_ret, struct hs_error *err)
{
    FTSENT *entry;
    struct stat info;
    while ((entry = fts_read(walk->folder)) != NULL) {
        bool named = hs_named_dump(entry->fts_name) || hs_named_archive(entry->fts_name);
        switch (entry->fts_info) {
        case FTS_F:
            if (named)
                return give(walk, entry->fts_path, entry->fts_statp, item_ret, err);
            walk->skipped++;
            break;
        case FTS_SL:
            if (named && stat(entry->fts_path, &info) == 0 && S_ISREG(info.st_mode))
                return give(walk, entry->fts_path, &info, item_ret, err);
            walk->skipped++;
            break;
        case FTS_DNR: /* a folder that cannot be read is told as an input */
        case FTS_ERR: return give(walk, entry->fts_path, NULL, item_ret, err);
        default: break;
        }
    }
    int number = errno;
    fts_close(walk->folder);
    walk->folder = NULL;
    if (number)
        return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot read the folder: %s", strerror(number));
    return HS_NOT_FOUND;
}

/* Takes one path: a folder is opened (HS_NOT_FOUND for now), anything else given. */
static enum hs_status take(struct hs_walk *walk, const char *path, struct hs_walk_item *item_ret, struct hs_error *err)
{
    struct stat info;
    bool there = stat(path, &info) == 0;
    if (!there || !S_ISDIR(info.st_mode))
        return give(walk, path, there ? &info : NULL, item_ret, err);
    enum hs_status status = hs_path_absolute(path, &walk->path, err);
    if (status != HS_OK)
        return status;
    char *roots[] = {walk->path.bytes, NULL};
    walk->folder = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    if (!walk->folder)
        return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot read the folder: %s", strerror(errno));
    return HS_NOT_FOUND;
}

/* Takes what a user wrote: a path that is there, else a pattern, else a path that is not there. */
static enum hs_status take_word(struct hs_walk *walk, const char *word, struct hs_walk_item *item_ret,
                                struct hs_error *err)
{
    struct stat info;
    if ((walk->list && walk->null_ended) || lstat(word, &info) == 0 || !strpbrk(word, "*?["))
        return take(walk, word, item_ret, err);
    walk->has_found = true;
    walk->found_idx = 0;
    if (glob(word, 0, NULL, &walk->found) != 0 || walk->found.gl_pathc == 0)
        return take(walk, word, item_ret, err);
    return HS_NOT_FOUND;
}

/* The next line of the list as the path to take; false after the last. */
static bool next_line(struct hs_walk *walk)
{
    ssize_t size;
    while (walk->list &&
           (size = getdelim(&walk->line, &walk->line_size, walk->null_ended ? 0 : '\n', walk->list)) >= 0) {
        while (size > 0 && !walk->null_ended && strchr("\r\n", walk->line[size - 1]))
            walk->line[--size] = 0;
        if (walk->line[0]) {
            walk->first = walk->line;
            return true;
        }
    }
    return false;
}

enum hs_status hs_walk_next(struct hs_walk *walk, struct hs_walk_item *item_ret, struct hs_error *err)
{
    for (;;) {
        enum hs_status status = HS_NOT_FOUND;
        errno = 0;
        if (walk->folder) {
            status = next_in_folder(walk, item_ret, err);
        } else if (walk->has_found && walk->found_idx < walk->found.gl_pathc) {
            status = take(walk, walk->found.gl_pathv[walk->found_idx++], item_ret, err);
        } else if (walk->first) {
            const char *word = walk->first;
            if (walk->has_found)
                globfree(&walk->found);
            walk->has_found = false;
            walk->first = NULL;
            status = take_word(walk, word, item_ret, err);
        } else if (!next_line(walk)) {
            return HS_NOT_FOUND;
        }
        if (status != HS_NOT_FOUND)
            return status;
    }
}
