/* inputs.c - what is to be run: runs, the listing of paths, shards, and which inputs have no result yet. Lists of paths
 * stand in temporary tables, so that a million of them need no memory. */
#include "store/store_internal.h"

#include <nettle/sha2.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- runs ---- */

enum hs_status hs_store_run_begin(struct hs_store *store, const struct hs_store_script *script,
                                  const char *settings_json, struct hs_error *err)
{
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    snprintf(store->code, sizeof store->code, "%s", script->code);
    enum hs_status status = hs_store_begin(store, err);
    if (status != HS_OK)
        return status;
    status = store_run(store, err,
                       "INSERT INTO scripts(name, arguments, code) VALUES(?1, ?2, ?3)"
                       " ON CONFLICT(name, arguments) DO UPDATE SET code = excluded.code",
                       "ttt", script->name, script->arguments, script->code);
    if (status == HS_OK)
        status = store_value(store, &store->script_id, err, "SELECT id FROM scripts WHERE name = ?1 AND arguments = ?2",
                             "tt", script->name, script->arguments);
    /* A run that still says so was killed. */
    if (status == HS_OK)
        status = store_run(store, err, "UPDATE runs SET state = 'killed' WHERE state = 'running'", "");
    if (status == HS_OK)
        status = store_run(store, err,
                           "INSERT INTO runs(script_id, program, host, process_id, started_at, state, settings)"
                           " VALUES(?1, ?2, ?3, ?4, ?5, 'running', ?6)",
                           "ittiit", store->script_id, HEAPSIFT_VERSION, host, (int64_t)getpid(), (int64_t)time(NULL),
                           settings_json);
    store->run_id = sqlite3_last_insert_rowid(store->db);
    status = store_finish(store, status, err);
    if (status != HS_OK)
        return status;
    return store_text(store,
                      "CREATE TEMP TABLE listing(path TEXT NOT NULL, path_bytes BLOB, size INTEGER NOT NULL,"
                      " modified_ns INTEGER NOT NULL);"
                      "CREATE UNIQUE INDEX temp.listing_path ON listing(path, coalesce(path_bytes, ''));"
                      "CREATE TEMP TABLE todo(id INTEGER PRIMARY KEY);"
                      "CREATE TEMP TABLE pending(part INTEGER NOT NULL DEFAULT 0, id INTEGER NOT NULL,"
                      " PRIMARY KEY(part, id)) WITHOUT ROWID;",
                      err);
}

int64_t hs_store_script_id(const struct hs_store *store)
{
    return store->script_id;
}

enum hs_status hs_store_run_end(struct hs_store *store, const char *state, struct hs_error *err)
{
    return store_run(store, err, "UPDATE runs SET state = ?1, ended_at = ?2 WHERE id = ?3", "tii", state,
                     (int64_t)time(NULL), store->run_id);
}

/* ---- listing ---- */

/* A path as it is shown, and its bytes where they are something else. */
struct shown {
    struct hs_text text;
    struct hs_span span;
    const struct hs_span *bytes;
};

static enum hs_status show(struct shown *shown, const char *path, struct hs_error *err)
{
    size_t size = strlen(path);
    hs_text_init(&shown->text);
    hs_text_add_escaped(&shown->text, path, size, false);
    if (shown->text.failed) {
        hs_text_deinit(&shown->text);
        return hs_fail_memory(err, "a path");
    }
    shown->span = (struct hs_span){(const uint8_t *)path, size};
    shown->bytes = shown->text.bytes && strcmp(shown->text.bytes, path) == 0 ? NULL : &shown->span;
    return HS_OK;
}

enum hs_status hs_store_listing_add(struct hs_store *store, const char *path, uint64_t size, int64_t modified_ns,
                                    struct hs_error *err)
{
    struct shown shown;
    enum hs_status status = show(&shown, path, err);
    if (status != HS_OK)
        return status;
    status = store_run(store, err, "INSERT OR IGNORE INTO temp.listing VALUES(?1, ?2, ?3, ?4)", "tbii",
                       shown.text.bytes, shown.bytes, (int64_t)size, modified_ns);
    hs_text_deinit(&shown.text);
    return status;
}

enum hs_status hs_store_listing_add_all(struct hs_store *store, struct hs_error *err)
{
    return store_run(store, err,
                     "INSERT OR IGNORE INTO temp.listing SELECT path, path_bytes, size, modified_ns FROM inputs"
                     " WHERE archive_id IS NULL",
                     "");
}

/* A hash over paths and sizes of the whole listing. */
static enum hs_status listing_hash(struct hs_store *store, char hex[static 33], struct hs_error *err)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(store->db,
                           "SELECT coalesce(path_bytes, path), size FROM temp.listing"
                           " ORDER BY path, coalesce(path_bytes, '')",
                           -1, &statement, NULL) != SQLITE_OK)
        return store_failed(store, "cannot read the list of inputs", err);
    struct sha256_ctx hash;
    uint8_t digest[16];
    char size[32];
    int code;
    sha256_init(&hash);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        sha256_update(&hash, (size_t)sqlite3_column_bytes(statement, 0), sqlite3_column_blob(statement, 0));
        sha256_update(&hash, (size_t)snprintf(size, sizeof size, "%c%lld%c", 0, sqlite3_column_int64(statement, 1), 0),
                      (const uint8_t *)size);
    }
    sqlite3_finalize(statement);
    if (code != SQLITE_DONE)
        return store_failed(store, "cannot read the list of inputs", err);
    sha256_digest(&hash, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return HS_OK;
}

/* Spreads the rows of `sql` (id, size; the order in which they are taken) over parts: each goes to the one with the fewest
 * bytes so far, and stands in temp.spread then. */
static enum hs_status spread(struct hs_store *store, const char *sql, unsigned part_count, struct hs_error *err)
{
    uint64_t *loads = calloc(part_count, sizeof *loads);
    if (!loads)
        return hs_fail_memory(err, "the parts");
    sqlite3_stmt *statement = NULL;
    enum hs_status status =
        store_text(store, "CREATE TEMP TABLE spread(id INTEGER PRIMARY KEY, part INTEGER NOT NULL)", err);
    if (status == HS_OK && sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        status = store_failed(store, "cannot read the list of inputs", err);
    int code = SQLITE_DONE;
    while (status == HS_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        unsigned least = 0;
        for (unsigned i = 1; i < part_count; i++)
            if (loads[i] < loads[least])
                least = i;
        /* What a dump costs beside its bytes counts too, or all empty files would end in one part. */
        loads[least] += (uint64_t)sqlite3_column_int64(statement, 1) + 65536;
        status = store_run(store, err, "INSERT INTO temp.spread VALUES(?1, ?2)", "ii",
                           (int64_t)sqlite3_column_int64(statement, 0), (int64_t)least + 1);
    }
    if (status == HS_OK && code != SQLITE_DONE)
        status = store_failed(store, "cannot read the list of inputs", err);
    sqlite3_finalize(statement);
    free(loads);
    return status;
}

/* Deletes from the listing what belongs to other shards. */
static enum hs_status keep_shard(struct hs_store *store, unsigned shard, unsigned shard_count, struct hs_error *err)
{
    enum hs_status status =
        spread(store, "SELECT rowid, size FROM temp.listing ORDER BY size DESC, path, coalesce(path_bytes, '')",
               shard_count, err);
    if (status != HS_OK)
        return status;
    return store_run(store, err,
                     "DELETE FROM temp.listing WHERE rowid IN (SELECT id FROM temp.spread WHERE part <> ?1)", "i",
                     (int64_t)shard);
}

static enum hs_status take_listing(struct hs_store *store, unsigned shard, unsigned shard_count, struct hs_error *err)
{
    char hex[33];
    if (shard_count > 0) {
        enum hs_status status = listing_hash(store, hex, err);
        if (status == HS_OK)
            status = store_run(store, err, "INSERT OR IGNORE INTO shards VALUES(NULL, ?1, ?2, ?3, ?4)", "itii",
                               store->script_id, hex, (int64_t)shard, (int64_t)shard_count);
        if (status == HS_OK)
            status = keep_shard(store, shard, shard_count, err);
        if (status != HS_OK)
            return status;
    }
    /* A file that changed is new; what was in it when it was an archive is forgotten. */
    return store_text(store,
                      "CREATE TEMP TABLE changed(id INTEGER PRIMARY KEY);"
                      "INSERT INTO temp.changed SELECT i.id FROM temp.listing l CROSS JOIN inputs i ON i.path = l.path"
                      " AND coalesce(i.path_bytes, '') = coalesce(l.path_bytes, '')"
                      " WHERE i.size <> l.size OR i.modified_ns <> l.modified_ns;"
                      "INSERT INTO temp.changed SELECT m.id FROM temp.changed c CROSS JOIN inputs m"
                      " ON m.archive_id = c.id;"
                      "DELETE FROM errors WHERE input_id IN (SELECT id FROM temp.changed);"
                      "DELETE FROM inputs WHERE id IN (SELECT id FROM temp.changed);"
                      "INSERT OR IGNORE INTO inputs(path, path_bytes, size, modified_ns) SELECT path, path_bytes, size,"
                      " modified_ns FROM temp.listing ORDER BY rowid;"
                      "INSERT OR IGNORE INTO temp.todo SELECT i.id FROM temp.listing l CROSS JOIN inputs i"
                      " ON i.path = l.path AND coalesce(i.path_bytes, '') = coalesce(l.path_bytes, '');"
                      "DROP TABLE temp.changed; DELETE FROM temp.listing;",
                      err);
}

enum hs_status hs_store_listing_end(struct hs_store *store, unsigned shard, unsigned shard_count, struct hs_error *err)
{
    return store_finish(store, take_listing(store, shard, shard_count, err), err);
}

enum hs_status hs_store_member_add(struct hs_store *store, int64_t archive_id, const char *path, uint64_t size,
                                   int64_t *id_ret, struct hs_error *err)
{
    struct shown shown;
    enum hs_status status = show(&shown, path, err);
    if (status != HS_OK)
        return status;
    status = store_run(store, err,
                       "INSERT INTO inputs(path, path_bytes, size, modified_ns, archive_id) SELECT ?1, ?2, ?3,"
                       " modified_ns, ?4 FROM inputs WHERE id = ?4 ON CONFLICT(path, coalesce(path_bytes, ''))"
                       " DO UPDATE SET size = excluded.size, archive_id = excluded.archive_id",
                       "tbii", shown.text.bytes, shown.bytes, (int64_t)size, archive_id);
    if (status == HS_OK)
        status = store_value(store, id_ret, err,
                             "SELECT id FROM inputs WHERE path = ?1 AND coalesce(path_bytes, '') = coalesce(?2, '')",
                             "tb", shown.text.bytes, shown.bytes);
    hs_text_deinit(&shown.text);
    return status;
}

/* ---- what is to be done ---- */

/* No result of this script's present code; with ?3 a failed one is none. */
#define NO_RESULT(input)                                                                                               \
    "NOT EXISTS(SELECT 1 FROM results r WHERE r.dump_id = " input ".dump_id AND r.script_id = ?1 AND r.code = ?2"      \
    " AND NOT (?3 AND r.state = 'failed'))"
#define WANTED(input)                                                                                                  \
    "(" input ".state = 'listed' OR (?3 AND " input ".state IN ('unreadable', 'refused')) OR (" input                  \
    ".state = 'known' AND " NO_RESULT(input) "))"

enum hs_status hs_store_pending(struct hs_store *store, bool again, uint64_t *listed_ret, uint64_t *pending_ret,
                                struct hs_error *err)
{
    int64_t listed = 0, pending = 0;
    enum hs_status status = store_run(
        store, err,
        "INSERT INTO temp.pending(id) SELECT i.id FROM temp.todo t CROSS JOIN inputs i ON i.id = t.id WHERE " WANTED(
            "i") " OR (i.state = 'unpacked' AND EXISTS(SELECT 1 FROM inputs m WHERE m.archive_id = i.id"
                 " AND " WANTED("m") "))",
        "iti", store->script_id, store->code, (int64_t)again);
    if (status == HS_OK)
        status = store_value(store, &listed, err, "SELECT count(*) FROM temp.todo", "");
    if (status == HS_OK)
        status = store_value(store, &pending, err, "SELECT count(*) FROM temp.pending", "");
    *listed_ret = (uint64_t)listed;
    *pending_ret = (uint64_t)pending;
    return status;
}

enum hs_status hs_store_pending_spread(struct hs_store *store, unsigned part_count, struct hs_error *err)
{
    enum hs_status status = hs_store_begin(store, err);
    if (status != HS_OK)
        return status;
    status = spread(store,
                    "SELECT p.id, i.size FROM temp.pending p JOIN inputs i ON i.id = p.id"
                    " ORDER BY i.size DESC, i.path, coalesce(i.path_bytes, '')",
                    part_count, err);
    if (status == HS_OK)
        status = store_text(
            store, "UPDATE temp.pending SET part = (SELECT s.part FROM temp.spread s WHERE s.id = pending.id)", err);
    return store_finish(store, status, err);
}

enum hs_status hs_store_input_next(struct hs_store *store, struct hs_store_pending *pending_ret, struct hs_error *err)
{
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(
            store->db,
            "SELECT i.id, coalesce(i.path_bytes, i.path), p.part FROM temp.pending p JOIN inputs i ON i.id = p.id"
            " WHERE (p.part, p.id) > (?2, ?1) ORDER BY p.part, p.id LIMIT 1",
            -1, &statement, NULL) != SQLITE_OK)
        return store_failed(store, "cannot read the list of inputs", err);
    sqlite3_bind_int64(statement, 1, store->last_pending);
    sqlite3_bind_int64(statement, 2, store->last_part);
    int code = sqlite3_step(statement);
    enum hs_status status = code == SQLITE_DONE  ? HS_NOT_FOUND
                            : code != SQLITE_ROW ? store_failed(store, "cannot read the list of inputs", err)
                                                 : HS_OK;
    if (status == HS_OK) {
        store->last_pending = sqlite3_column_int64(statement, 0);
        store->last_part = sqlite3_column_int64(statement, 2);
        store->path_text.size = 0;
        hs_text_add(&store->path_text, "%.*s", sqlite3_column_bytes(statement, 1),
                    (const char *)sqlite3_column_blob(statement, 1));
        *pending_ret =
            (struct hs_store_pending){store->last_pending, store->path_text.bytes, (unsigned)store->last_part};
        if (store->path_text.failed)
            status = hs_fail_memory(err, "a path");
    }
    sqlite3_finalize(statement);
    return status;
}

/* ---- what becomes of an input ---- */

enum hs_status hs_store_input_failed(struct hs_store *store, int64_t input_id, const char *reason, const char *message,
                                     struct hs_error *err)
{
    enum hs_status status = hs_store_begin(store, err);
    if (status != HS_OK)
        return status;
    status =
        store_run(store, err, "UPDATE inputs SET state = ?2, dump_id = NULL WHERE id = ?1", "it", input_id, reason);
    if (status == HS_OK)
        status = store_run(store, err,
                           "INSERT INTO errors(input_id, reason, message) VALUES(?1, ?2, ?3) ON CONFLICT(input_id)"
                           " DO UPDATE SET reason = excluded.reason, message = excluded.message",
                           "itt", input_id, reason, message);
    return store_finish(store, status, err);
}

static enum hs_status input_state(struct hs_store *store, int64_t input_id, const char *state, int64_t dump_id,
                                  struct hs_error *err)
{
    enum hs_status status = store_run(store, err, "DELETE FROM errors WHERE input_id = ?1", "i", input_id);
    if (status != HS_OK)
        return status;
    return store_run(store, err, "UPDATE inputs SET state = ?2, dump_id = nullif(?3, 0) WHERE id = ?1", "iti", input_id,
                     state, dump_id);
}

enum hs_status hs_store_input_unpacked(struct hs_store *store, int64_t input_id, struct hs_error *err)
{
    enum hs_status status = hs_store_begin(store, err);
    if (status != HS_OK)
        return status;
    return store_finish(store, input_state(store, input_id, "unpacked", 0, err), err);
}

enum hs_status hs_store_input_content(struct hs_store *store, int64_t input_id, const char *content, uint64_t size,
                                      bool again, int64_t *dump_id_ret, enum hs_store_need *need_ret,
                                      struct hs_error *err)
{
    int64_t done = 0;
    enum hs_status status = hs_store_begin(store, err);
    if (status != HS_OK)
        return status;
    status = store_run(store, err, "INSERT OR IGNORE INTO dumps(content, size) VALUES(?1, ?2)", "ti", content,
                       (int64_t)size);
    if (status == HS_OK)
        status = store_value(store, dump_id_ret, err, "SELECT id FROM dumps WHERE content = ?1", "t", content);
    if (status == HS_OK)
        status = input_state(store, input_id, "known", *dump_id_ret, err);
    if (status == HS_OK)
        status = store_value(store, &done, err,
                             "SELECT count(*) FROM results WHERE script_id = ?1 AND dump_id = ?2 AND code = ?3"
                             " AND NOT (?4 AND state = 'failed')",
                             "iiti", store->script_id, *dump_id_ret, store->code, (int64_t)again);
    *need_ret = done ? HS_STORE_KNOWN : HS_STORE_RUN;
    return store_finish(store, status, err);
}
