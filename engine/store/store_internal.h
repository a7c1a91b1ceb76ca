/* store_internal.h - what the files of store/ share. */
#ifndef HS_STORE_INTERNAL_H
#define HS_STORE_INTERNAL_H

#include "store/store.h"
#include <sqlite3.h>
#include <stdio.h>

#define STORE_APPLICATION_ID 0x68736674 /* "hsft", at offset 68 of the file */
#define STORE_STATEMENTS_MAX 64

struct hs_store {
    sqlite3 *db;
    char *path;
    int lock; /* descriptor of the lock file; -1 if it is not held */
    /* Statements by the address of their text, which is static. */
    struct store_statement {
        const char *sql;
        sqlite3_stmt *statement;
    } statements[STORE_STATEMENTS_MAX];
    size_t statement_count;
    int64_t last_pending, last_part; /* the input that hs_store_input_next gave last */
    struct hs_text path_text;        /* its path */

    int64_t script_id, run_id; /* of the run that was begun */
    char code[80];
};

/* Creates tables, or brings those of an older version up to now. */
enum hs_status store_migrate(struct hs_store *store, int version, struct hs_error *err);

/* Fills `err` from the connection: what = what was done. */
enum hs_status store_failed(struct hs_store *store, const char *what, struct hs_error *err);
/* Runs statements without parameters. */
enum hs_status store_text(struct hs_store *store, const char *sql, struct hs_error *err);
void store_rollback(struct hs_store *store);

/* Runs one statement; `sql` is a static text, by whose address the prepared statement is kept. The values that follow are
 * told by `types`, one letter each: i int64_t, d double, t const char * (NULL allowed), b const struct hs_span *. */
enum hs_status store_run(struct hs_store *store, struct hs_error *err, const char *sql, const char *types, ...);
/* The same for a statement that gives one row: its first column; HS_NOT_FOUND without a row. */
enum hs_status store_value(struct hs_store *store, int64_t *value_ret, struct hs_error *err, const char *sql,
                           const char *types, ...);

/* Begins, and takes the lock of SQLite; ends well or not at all. */
enum hs_status store_finish(struct hs_store *store, enum hs_status status, struct hs_error *err);

#endif
