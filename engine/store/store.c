/* store.c - opening a store, its lock, and running statements. */
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define BUSY_MILLISECONDS 10000 /* a reader of the same file may be in the way for a moment */
#define CACHE_KIB 8192
#define VALUE_SIZE_MAX (128 << 20) /* bytes of one text: no question can ask for more, and no result is larger */

/* ---- statements ---- */

enum hs_status store_failed(struct hs_store *store, const char *what, struct hs_error *err)
{
    int code = sqlite3_errcode(store->db), number = sqlite3_system_errno(store->db);
    enum hs_status status = code == SQLITE_NOMEM                              ? HS_ERR_MEMORY
                            : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? HS_ERR_FORMAT
                            : code == SQLITE_INTERRUPT                        ? HS_ERR_CANCELLED
                                                                              : HS_ERR_IO;
    if (code == SQLITE_NOTADB)
        return hs_fail(err, status, HS_NO_OFF, HS_NO_VA, "no SQLite database, expected results of heapsift batch");
    bool system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN;
    return hs_fail(err, status, HS_NO_OFF, HS_NO_VA, "%s: %s%s%s", what, sqlite3_errmsg(store->db),
                   system && number ? ": " : "", system && number ? strerror(number) : "");
}

enum hs_status store_text(struct hs_store *store, const char *sql, struct hs_error *err)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? HS_OK
                                                                       : store_failed(store, "cannot write", err);
}

void store_rollback(struct hs_store *store)
{
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

static sqlite3_stmt *statement_of(struct hs_store *store, const char *sql)
{
    for (size_t i = 0; i < store->statement_count; i++)
        if (store->statements[i].sql == sql)
            return store->statements[i].statement;
    sqlite3_stmt *statement;
    if (store->statement_count == STORE_STATEMENTS_MAX ||
        sqlite3_prepare_v3(store->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK)
        return NULL;
    store->statements[store->statement_count++] = (struct store_statement){sql, statement};
    return statement;
}

static int bind_one(sqlite3_stmt *statement, int at, char type, va_list *list)
{
    switch (type) {
    case 'i': return sqlite3_bind_int64(statement, at, va_arg(*list, int64_t));
    case 'd': return sqlite3_bind_double(statement, at, va_arg(*list, double));
    case 't': return sqlite3_bind_text(statement, at, va_arg(*list, const char *), -1, SQLITE_STATIC);
    default: {
        const struct hs_span *span = va_arg(*list, const struct hs_span *);
        return span ? sqlite3_bind_blob64(statement, at, span->bytes, span->size, SQLITE_STATIC)
                    : sqlite3_bind_null(statement, at);
    }
    }
}

static enum hs_status run(struct hs_store *store, int64_t *value, struct hs_error *err, const char *sql,
                          const char *types, va_list *list)
{
    sqlite3_stmt *statement = statement_of(store, sql);
    if (!statement)
        return store_failed(store, "cannot ask the store", err);
    int code = SQLITE_OK;
    for (int i = 0; code == SQLITE_OK && types[i]; i++)
        code = bind_one(statement, i + 1, types[i], list);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    enum hs_status status = HS_OK;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = store_failed(store, sqlite3_stmt_readonly(statement) ? "cannot read" : "cannot write", err);
    else if (value && code == SQLITE_ROW)
        *value = sqlite3_column_int64(statement, 0);
    else if (value)
        status = HS_NOT_FOUND;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
}

enum hs_status store_run(struct hs_store *store, struct hs_error *err, const char *sql, const char *types, ...)
{
    va_list list;
    va_start(list, types);
    enum hs_status status = run(store, NULL, err, sql, types, &list);
    va_end(list);
    return status;
}

enum hs_status store_value(struct hs_store *store, int64_t *value_ret, struct hs_error *err, const char *sql,
                           const char *types, ...)
{
    va_list list;
    va_start(list, types);
    enum hs_status status = run(store, value_ret, err, sql, types, &list);
    va_end(list);
    return status;
}

enum hs_status hs_store_begin(struct hs_store *store, struct hs_error *err)
{
    return store_text(store, "BEGIN IMMEDIATE", err);
}

enum hs_status hs_store_commit(struct hs_store *store, struct hs_error *err)
{
    return store_finish(store, HS_OK, err);
}

enum hs_status store_finish(struct hs_store *store, enum hs_status status, struct hs_error *err)
{
    if (status == HS_OK)
        status = store_text(store, "COMMIT", err);
    if (status != HS_OK)
        store_rollback(store);
    return status;
}

/* ---- the lock ---- */

/* Who holds the lock, as the holder wrote it down. */
static void read_holder(int descriptor, char *text, size_t size)
{
    ssize_t got = pread(descriptor, text, size - 1, 0);
    text[got > 0 ? got : 0] = 0;
    text[strcspn(text, "\n")] = 0;
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

/* A lock file lives as long as it is held, however its holder ends; SQLite's own locks cannot serve, since a batch does
 * not hold them between two results. */
static enum hs_status lock(struct hs_store *store, struct hs_error *err)
{
    size_t size = strlen(store->path) + sizeof ".lock";
    char *name = malloc(size), holder[128], host[64] = "?";
    if (!name)
        return hs_fail_memory(err, "the lock");
    snprintf(name, size, "%s.lock", store->path);
    enum hs_status status = HS_OK;
    for (;;) {
        int descriptor = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        struct stat here, there;
        if (descriptor < 0) {
            status =
                hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot make the lock file %s: %s", name, strerror(errno));
            break;
        }
        if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
            read_holder(descriptor, holder, sizeof holder);
            close(descriptor);
            status = hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA,
                             "another batch writes to it (%s): wait for its end, or name another file",
                             holder[0] ? holder : "a process not named");
            break;
        }
        /* The holder before may have removed the file between open and flock. */
        if (fstat(descriptor, &here) != 0 || stat(name, &there) != 0 || here.st_ino != there.st_ino) {
            close(descriptor);
            continue;
        }
        gethostname(host, sizeof host - 1);
        int length = snprintf(holder, sizeof holder, "process %ld on %s\n", (long)getpid(), host);
        if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, holder, (size_t)length, 0) < 0)
            errno = 0; /* the lock counts, not the text */
        store->lock = descriptor;
        break;
    }
    free(name);
    return status;
}

static void unlock(struct hs_store *store)
{
    char *name = store->path ? malloc(strlen(store->path) + sizeof ".lock") : NULL;
    if (store->lock >= 0 && name) {
        sprintf(name, "%s.lock", store->path);
        unlink(name);
    }
    free(name);
    if (store->lock >= 0)
        close(store->lock);
}

/* ---- opening ---- */

/* WAL wants shared memory, which a file system of the network does not have. Numbers: statfs(2). */
static bool on_network(const char *path)
{
    static const uint32_t types[] = {0x6969,     0xff534d42, 0xfe534d42, 0x517b,     0x0bd00bd0, 0x65735546,
                                     0x00c36400, 0x01021997, 0x5346414f, 0x47504653, 0x19830326};
    struct statfs info;
    if (statfs(path, &info) != 0)
        return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if ((uint32_t)info.f_type == types[i])
            return true;
    return false;
}

/* Another file than a store is left alone, whatever it is. */
static enum hs_status check_kind(struct hs_store *store, int *version_ret, struct hs_error *err)
{
    int64_t application = 0, version = 0, tables = 0;
    enum hs_status status = store_value(store, &application, err, "PRAGMA application_id", "");
    if (status == HS_OK)
        status = store_value(store, &version, err, "PRAGMA user_version", "");
    if (status == HS_OK)
        status = store_value(store, &tables, err, "SELECT count(*) FROM sqlite_schema", "");
    if (status != HS_OK)
        return status;
    if (application != STORE_APPLICATION_ID && (tables > 0 || application != 0))
        return hs_fail(err, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                       "an SQLite database of another program (application id 0x%" PRIx64
                       "), expected results of heapsift",
                       (uint64_t)application);
    *version_ret = application == STORE_APPLICATION_ID ? (int)version : 0;
    return HS_OK;
}

static enum hs_status open_database(struct hs_store *store, enum hs_store_mode mode, struct hs_error *err)
{
    int flags = mode == HS_STORE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    const char *path = mode == HS_STORE_TEMPORARY ? "" : store->path;
    int version = 0;
    if (sqlite3_open_v2(path, &store->db, flags | SQLITE_OPEN_EXRESCODE, NULL) != SQLITE_OK) {
        int number = store->db ? sqlite3_system_errno(store->db) : 0;
        return hs_fail(err, HS_ERR_IO, HS_NO_OFF, HS_NO_VA, "cannot open the results: %s",
                       number      ? strerror(number)
                       : store->db ? sqlite3_errmsg(store->db)
                                   : "out of memory");
    }
    sqlite3_extended_result_codes(store->db, 0);
    sqlite3_busy_timeout(store->db, BUSY_MILLISECONDS);
    sqlite3_limit(store->db, SQLITE_LIMIT_LENGTH, VALUE_SIZE_MAX);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    char settings[160];
    snprintf(settings, sizeof settings,
             "PRAGMA cache_size = -%d; PRAGMA synchronous = NORMAL; PRAGMA temp_store = FILE", CACHE_KIB);
    enum hs_status status = store_text(store, settings, err);
    if (status == HS_OK)
        status = check_kind(store, &version, err);
    if (status != HS_OK)
        return status;
    if (mode == HS_STORE_READ) {
        if (version == 0)
            return hs_fail(err, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA, "an empty database, expected results of heapsift");
        if (version != hs_store_schema_version())
            return hs_fail(err, HS_ERR_UNSUPPORTED, HS_NO_OFF, HS_NO_VA,
                           "results of schema version %d: this heapsift reads version %d%s", version,
                           hs_store_schema_version(),
                           version < hs_store_schema_version() ? "; a batch with --resume brings it up to date" : "");
        return store_text(store, "PRAGMA query_only = 1", err);
    }
    if (mode != HS_STORE_TEMPORARY) { /* on the network a batch is as safe, and others must wait longer */
        bool shared = mode == HS_STORE_SHARED || on_network(store->path);
        status = store_text(store, shared ? "PRAGMA journal_mode = DELETE" : "PRAGMA journal_mode = WAL", err);
    }
    if (status == HS_OK)
        status = store_migrate(store, version, err);
    int64_t count = 0;
    if (status == HS_OK && mode == HS_STORE_NEW)
        status = store_value(store, &count, err, "SELECT count(*) FROM runs", "");
    if (status == HS_OK && count > 0)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA,
                       "holds results already: --resume goes on with them, or name another file");
    return status;
}

enum hs_status hs_store_open(const char *path, enum hs_store_mode mode, struct hs_store **store_ret,
                             struct hs_error *err)
{
    struct hs_store *store = calloc(1, sizeof *store);
    if (!store)
        return hs_fail_memory(err, "the store");
    store->lock = -1;
    hs_text_init(&store->path_text);
    store->path = mode == HS_STORE_TEMPORARY ? NULL : strdup(path);
    enum hs_status status = HS_OK;
    if (mode != HS_STORE_TEMPORARY && !store->path)
        status = hs_fail_memory(err, "the path of the store");
    if (status == HS_OK && store->path && mode != HS_STORE_READ)
        status = lock(store, err);
    if (status == HS_OK)
        status = open_database(store, mode, err);
    if (status != HS_OK) {
        hs_store_close(store);
        return status;
    }
    *store_ret = store;
    return HS_OK;
}

void hs_store_close(struct hs_store *store)
{
    if (!store)
        return;
    for (size_t i = 0; i < store->statement_count; i++)
        sqlite3_finalize(store->statements[i].statement);
    hs_text_deinit(&store->path_text);
    sqlite3_close_v2(store->db); /* the last connection of a file brings its WAL home */
    unlock(store);
    free(store->path);
    free(store);
}
