/* query.c - questions that others put: one statement that reads, its values as parameters. */
#include "store/store_internal.h"

#include <stdlib.h>

#define STEPS_BETWEEN_LOOKS 20000 /* SQLite instructions between two looks at `cancel` */

struct hs_store_query {
    struct hs_store *store;
    sqlite3_stmt *statement;
};

/* Skips a comment or a name in quotes at `at`; a text in quotes ends with SIZE_MAX. */
static size_t skip_token(const char *sql, size_t size, size_t at)
{
    char c = sql[at];
    if (c == '\'')
        return SIZE_MAX;
    if (c == '-' && at + 1 < size && sql[at + 1] == '-') {
        while (at < size && sql[at] != '\n')
            at++;
        return at;
    }
    if (c == '/' && at + 1 < size && sql[at + 1] == '*') {
        for (at += 2; at + 1 < size && !(sql[at] == '*' && sql[at + 1] == '/'); at++)
            ;
        return at + 2;
    }
    if (c == '"' || c == '`' || c == '[') {
        char end = c == '[' ? ']' : c;
        for (at++; at < size && sql[at] != end; at++)
            ;
    }
    return at + 1;
}

/* Whether a text in quotes stands in the statement. */
static bool has_text(const char *sql, size_t size)
{
    for (size_t at = 0; at < size;)
        if ((at = skip_token(sql, size, at)) == SIZE_MAX)
            return true;
    return false;
}

/* What a question may do: read, and call functions that look at nothing outside. */
static int authorize(void *context, int action, const char *first, const char *second, const char *database,
                     const char *trigger)
{
    (void)context, (void)first, (void)database, (void)trigger;
    if (action == SQLITE_FUNCTION && second && sqlite3_stricmp(second, "load_extension") == 0)
        return SQLITE_DENY;
    return action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_FUNCTION || action == SQLITE_RECURSIVE
               ? SQLITE_OK
               : SQLITE_DENY;
}

enum hs_status hs_store_query_open(struct hs_store *store, const char *sql, size_t sql_size,
                                   struct hs_store_query **query_ret, struct hs_error *err)
{
    if (sql_size > 1 << 20)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "the statement is longer than 1 MiB");
    if (memchr(sql, 0, sql_size))
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "a zero byte in the statement");
    if (has_text(sql, sql_size))
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA,
                       "a text in quotes: write ? or :name in its place and give the value as a parameter");
    struct hs_store_query *query = calloc(1, sizeof *query);
    if (!query)
        return hs_fail_memory(err, "the query");
    const char *rest = NULL;
    query->store = store;
    sqlite3_set_authorizer(store->db, authorize, NULL);
    int code = sqlite3_prepare_v2(store->db, sql, (int)sql_size, &query->statement, &rest);
    sqlite3_set_authorizer(store->db, NULL, NULL);
    enum hs_status status = HS_OK;
    if (code != SQLITE_OK)
        status = hs_fail(err, code == SQLITE_NOMEM ? HS_ERR_MEMORY : HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "%s",
                         code == SQLITE_AUTH ? "only reading is allowed: one SELECT" : sqlite3_errmsg(store->db));
    else if (!query->statement)
        status = hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "the statement is empty");
    for (; status == HS_OK && rest < sql + sql_size; rest++)
        if (!strchr(" \t\r\n;", *rest))
            status =
                hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "one statement expected, there is more behind it");
    if (status == HS_OK && !sqlite3_stmt_readonly(query->statement))
        status = hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA, "only reading is allowed: one SELECT");
    if (status != HS_OK) {
        hs_store_query_close(query);
        return status;
    }
    *query_ret = query;
    return HS_OK;
}

void hs_store_query_close(struct hs_store_query *query)
{
    if (!query)
        return;
    sqlite3_finalize(query->statement);
    free(query);
}

unsigned hs_store_query_parameter_count(const struct hs_store_query *query)
{
    return (unsigned)sqlite3_bind_parameter_count(query->statement);
}

const char *hs_store_query_parameter(const struct hs_store_query *query, unsigned idx)
{
    const char *name = sqlite3_bind_parameter_name(query->statement, (int)idx + 1);
    return name && name[0] != '?' ? name + 1 : NULL;
}

enum hs_status hs_store_query_bind(struct hs_store_query *query, unsigned idx, const struct hs_store_value *value,
                                   struct hs_error *err)
{
    int at = (int)idx + 1, code = SQLITE_OK;
    switch (value->type) {
    case HS_STORE_NULL: code = sqlite3_bind_null(query->statement, at); break;
    case HS_STORE_INTEGER: code = sqlite3_bind_int64(query->statement, at, value->integer); break;
    case HS_STORE_REAL: code = sqlite3_bind_double(query->statement, at, value->real); break;
    case HS_STORE_TEXT:
        code = sqlite3_bind_text64(query->statement, at, value->text, value->size, SQLITE_TRANSIENT, SQLITE_UTF8);
        break;
    }
    return code == SQLITE_OK ? HS_OK : store_failed(query->store, "cannot set a parameter", err);
}

unsigned hs_store_query_column_count(const struct hs_store_query *query)
{
    return (unsigned)sqlite3_column_count(query->statement);
}

const char *hs_store_query_column(const struct hs_store_query *query, unsigned idx)
{
    return sqlite3_column_name(query->statement, (int)idx);
}

static int look(void *cancel)
{
    bool (*asked)(void);
    memcpy(&asked, cancel, sizeof asked);
    return asked();
}

enum hs_status hs_store_query_step(struct hs_store_query *query, bool (*cancel)(void), struct hs_error *err)
{
    if (cancel)
        sqlite3_progress_handler(query->store->db, STEPS_BETWEEN_LOOKS, look, &cancel);
    int code = sqlite3_step(query->statement);
    sqlite3_progress_handler(query->store->db, 0, NULL, NULL);
    return code == SQLITE_ROW    ? HS_OK
           : code == SQLITE_DONE ? HS_NOT_FOUND
                                 : store_failed(query->store, "cannot read the results", err);
}

void hs_store_query_value(const struct hs_store_query *query, unsigned idx, struct hs_store_value *value_ret)
{
    int at = (int)idx;
    *value_ret = (struct hs_store_value){HS_STORE_NULL, 0, 0, NULL, 0};
    switch (sqlite3_column_type(query->statement, at)) {
    case SQLITE_INTEGER:
        value_ret->type = HS_STORE_INTEGER;
        value_ret->integer = sqlite3_column_int64(query->statement, at);
        break;
    case SQLITE_FLOAT:
        value_ret->type = HS_STORE_REAL;
        value_ret->real = sqlite3_column_double(query->statement, at);
        break;
    case SQLITE_TEXT:
    case SQLITE_BLOB:
        value_ret->type = HS_STORE_TEXT;
        value_ret->text = sqlite3_column_blob(query->statement, at);
        value_ret->size = (size_t)sqlite3_column_bytes(query->statement, at);
        break;
    default: break;
    }
}
