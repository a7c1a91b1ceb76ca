/* batch.h - the door of batch/: paths, what a file is, child processes with limits, archives. No Lua, no store. */
#ifndef HS_BATCH_H
#define HS_BATCH_H

#include "base/base.h"
#include <stdio.h>

/* ---- walk.c: from what the user wrote to files ---- */

struct hs_walk;

struct hs_walk_item {
    const char *path; /* absolute, without . and // ; lives until the next step */
    uint64_t size;
    int64_t modified_ns;
};

/* Starts a walk over one path: a file, a folder (with all below it), a pattern of glob(7), or @FILE, which holds such
 * paths, one a line (@-: standard input). A path of that name counts before a pattern. HS_ERR_IO: a list cannot be read;
 * what is not there is an item all the same, of size 0. With `null_ended` each path of a list ends with a NUL byte and is
 * no pattern, as find -print0 writes them. */
HS_MUST_CHECK enum hs_status hs_walk_open(const char *path, bool null_ended, struct hs_walk **walk_ret,
                                          struct hs_error *err);
/* The next file: in folders those with the name of a dump or an archive, in the order of their names. HS_NOT_FOUND: no
 * more. */
HS_MUST_CHECK enum hs_status hs_walk_next(struct hs_walk *walk, struct hs_walk_item *item_ret, struct hs_error *err);
/* Files in folders that have no such name, so far. */
uint64_t hs_walk_skipped(const struct hs_walk *walk);
void hs_walk_close(struct hs_walk *walk);
/* Puts the absolute path into `text`, without . and //; .. stays, since a link may stand before it. Nothing need be there.
 * HS_ERR_IO: the working folder is not known. */
HS_MUST_CHECK enum hs_status hs_path_absolute(const char *path, struct hs_text *text, struct hs_error *err);

/* Whether a file name is one of a dump (.dmp, .mdmp, .hdmp, .dump), and of an archive (.zip, .7z, .cab, .gz, .zst). */
bool hs_named_dump(const char *name);
bool hs_named_archive(const char *name);

/* ---- identity.c ---- */

enum hs_content_kind { HS_CONTENT_DUMP, HS_CONTENT_ARCHIVE, HS_CONTENT_OTHER };

#define HS_CONTENT_NAME_SIZE 33

struct hs_content {
    enum hs_content_kind kind;
    char name[HS_CONTENT_NAME_SIZE]; /* of a dump: 32 hex digits, else "" */
    uint64_t size;                   /* bytes */
};

/* What a file is. Files of one name and size hold the same dump: the name is a SHA-256, cut to 128 bits, over the whole
 * file up to 16 MiB; of a larger one over the size, the header, the stream directory, every stream (16 MiB in all), and 64
 * pages spread over the file. Reads with pread only. HS_ERR_IO. */
HS_MUST_CHECK enum hs_status hs_content_read(int descriptor, struct hs_content *content_ret, struct hs_error *err);

/* ---- child.c: child processes ---- */

struct hs_limits {
    double timeout;       /* seconds of wall clock; 0: none */
    uint64_t memory_size; /* private writable memory, bytes; 0: none */
    uint64_t output_size; /* bytes of what the child hands over, and of its stderr; 0: none */
};

/* Descriptors that a child finds open. */
#define HS_CHILD_RESULT 3 /* writes what it hands over here */
#define HS_CHILD_DUMP 4   /* the dump, if it has no path */
#define HS_CHILD_LINK 5   /* of an unpacker: socket to the parent */

/* How a child ended. */
enum hs_child_end { HS_CHILD_EXITED, HS_CHILD_CRASHED, HS_CHILD_TIMEOUT, HS_CHILD_OUTPUT, HS_CHILD_STOPPED };

struct hs_child_report {
    uint64_t id;
    enum hs_child_end end;
    int code;              /* exit code, or number of the signal */
    struct hs_text output; /* what it handed over; the receiver's to deinit */
    struct hs_text errors; /* the last bytes of its stderr, escaped; the receiver's to deinit */
    double seconds, cpu_seconds;
    uint64_t peak_size; /* bytes, mapped dump included */
};

/* A member that an unpacker sends. */
struct hs_member {
    uint64_t id;    /* of the unpacker */
    int descriptor; /* -1: refused; the receiver's to close */
    uint64_t size;
    char *name;   /* bytes as the archive has them; the receiver's to free */
    char *reason; /* why it is refused, else NULL; the receiver's to free */
};

struct hs_pool;
HS_MUST_CHECK enum hs_status hs_pool_create(struct hs_pool **pool_ret, struct hs_error *err);
/* Kills what still runs. NULL is allowed. */
void hs_pool_destroy(struct hs_pool *pool);

/* Starts `program`, an absolute path, or NULL: this very program, with the words `arguments` (NULL-ended, the first is the
 * name it sees). What another program hands over is its stdout. `dump`: a descriptor that the child gets as HS_CHILD_DUMP,
 * -1: none; it stays the caller's. `unpacks`: the child has a link, and its time only counts while it owes a member. A
 * child dies with the thread that started it; a program that cannot be started ends with exit code 127. */
HS_MUST_CHECK enum hs_status hs_pool_start(struct hs_pool *pool, const char *program, char *const *arguments, int dump,
                                           bool unpacks, const struct hs_limits *limits, uint64_t *id_ret,
                                           struct hs_error *err);
/* Lets an unpacker go on to its next member. */
void hs_pool_go_on(struct hs_pool *pool, uint64_t id);

enum hs_pool_event { HS_POOL_NOTHING, HS_POOL_REPORT, HS_POOL_MEMBER };
/* Waits up to `milliseconds` for a child to end or a member to come. */
enum hs_pool_event hs_pool_wait(struct hs_pool *pool, int milliseconds, struct hs_child_report *report_ret,
                                struct hs_member *member_ret);
/* Seconds that the longest running child has been at it, and its id; 0: none runs. */
double hs_pool_slowest(const struct hs_pool *pool, uint64_t *id_ret);

/* ---- program.c ---- */

/* Puts the absolute path of a program into `text`: the first file of that name in a folder of PATH that may be run. Folders
 * that are not absolute do not count: a folder of dumps is no place to run programs from. HS_NOT_FOUND. */
HS_MUST_CHECK enum hs_status hs_program_find(const char *name, struct hs_text *text, struct hs_error *err);

/* ---- unpack.c: the child's side of an archive ---- */

/* Why a member with this name is not taken: NULL if it may be. */
const char *hs_member_name_fault(const char *name);

struct hs_unpack_limits {
    uint64_t member_size; /* bytes a member may have */
    const char *folder;   /* for temporary files */
};
/* Reads the archive and sends each member that is a dump, or is refused, through HS_CHILD_LINK; waits after each for a byte
 * from there. HS_ERR_FORMAT: no archive, or damaged; members before the damage have been sent. */
HS_MUST_CHECK enum hs_status hs_unpack(const char *path, const struct hs_unpack_limits *limits, struct hs_error *err);

#endif
