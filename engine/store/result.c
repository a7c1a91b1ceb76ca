/* result.c - one result put into the store: what a child process handed over as JSON becomes rows, by SQL. SQLite's own
 * JSON reader is the only code of this process that looks inside, and it takes any bytes. */
#include "store/store_internal.h"

#include <time.h>

/* Column of `dumps` from the field of the same name. */
#define FACT(name) #name " = coalesce(?2 ->> '$." #name "', " #name ")"

/* What SQL says for a field that must be of one type, NULL otherwise. j: the value of json_each. */
#define INTEGER_OF(name) "iif(json_type(j.value, '$." name "') = 'integer', j.value ->> '$." name "', NULL)"
#define NUMBER_OF(name) "iif(json_type(j.value, '$." name "') IN ('integer', 'real'), j.value ->> '$." name "', NULL)"
#define TEXT_OF(name) "coalesce(j.value ->> '$." name "', '')"

static enum hs_status put_facts(struct hs_store *store, const struct hs_store_result *result, struct hs_error *err)
{
    enum hs_status status = store_run(
        store, err,
        "UPDATE dumps SET " FACT(arch) ", " FACT(pointer_size) ", " FACT(windows) ", " FACT(windows_build) ", " FACT(service_pack) ", " FACT(process) ", " FACT(process_path) ", " FACT(process_id) ", " FACT(
            dumped_at) ", " FACT(started_at) ", " FACT(user_seconds) ", " FACT(kernel_seconds) ", " FACT(global_flag) ", " FACT(has_traces) ", " FACT(full_memory) ", " FACT(cut) " WHERE id = ?1",
        "it", result->dump_id, result->facts);
    if (status == HS_OK)
        status = store_run(
            store, err,
            "INSERT OR IGNORE INTO modules(name, version, version_number, timestamp, size, pdb, pdb_id)"
            " SELECT " TEXT_OF("name") ", " TEXT_OF("version") ", coalesce(" INTEGER_OF("version_number") ", 0), coalesce(" INTEGER_OF(
                "timestamp") ", 0), coalesce(" INTEGER_OF("size") ", 0), " TEXT_OF("pdb") ", " TEXT_OF("pdb_id") " FROM json_each(?1, '$.modules') j",
            "t", result->facts);
    if (status == HS_OK)
        status = store_run(
            store, err,
            "INSERT OR IGNORE INTO dump_modules SELECT ?1, m.id FROM json_each(?2, '$.modules') j CROSS JOIN modules m"
            " ON m.name = " TEXT_OF("name") " AND m.version = " TEXT_OF("version") " AND m.timestamp = coalesce(" INTEGER_OF(
                "timestamp") ", 0) AND m.size = coalesce(" INTEGER_OF("size") ", 0) AND m.pdb = " TEXT_OF("pdb") " AND m.pdb_id = " TEXT_OF("pdb_id"),
            "it", result->dump_id, result->facts);
    return status;
}

/* The module of a call site, among those of the dump. */
#define SITE_MODULE                                                                                                    \
    "SELECT m.id FROM dump_modules x CROSS JOIN modules m ON m.id = x.module_id WHERE x.dump_id = ?2 AND m.name = "    \
    "j.value ->> '$.site.module' AND m.timestamp = j.value ->> '$.site.timestamp' LIMIT 1"

static enum hs_status put_document(struct hs_store *store, const struct hs_store_result *result, int64_t result_id,
                                   struct hs_error *err)
{
    /* Each takes ?1: the document, ?2: the dump, ?3: the result. */
    static const char *const statements[] = {
        "UPDATE results SET schema = ?1 ->> '$.schema', result = nullif(?1 -> '$.result', 'null') WHERE id = ?3 AND ?2",

        "INSERT OR IGNORE INTO sites(module_id, rva, function, offset, symbols) SELECT (" SITE_MODULE "), "
        "j.value ->> '$.site.rva', " TEXT_OF("site.function") ", coalesce(" INTEGER_OF("site.offset") ", 0), " TEXT_OF(
            "site.symbols") " FROM json_each(?1, '$.findings') j"
                            " WHERE json_type(j.value, '$.site.rva') = 'integer' AND (" SITE_MODULE
                            ") IS NOT NULL AND ?3",

        "INSERT INTO findings(result_id, position, claim, confidence, level, blocks, bytes, share, trace, module, frame,"
        " site_id, evidence, against, remedy, missing, refute) SELECT ?3, j.key + 1, " TEXT_OF("claim") ", coalesce(" NUMBER_OF("confidence") ", 0), " TEXT_OF("level") ", " INTEGER_OF(
            "blocks") ", " INTEGER_OF("bytes") ", " NUMBER_OF("share") ", j.value ->> '$.trace', j.value ->> '$.module', j.value ->> '$.frame',"
                                                                       " (SELECT s.id FROM sites s WHERE s.module_id = (" SITE_MODULE
                                                                       ") AND s.rva = j.value ->> '$.site.rva'"
                                                                       " AND s.function = " TEXT_OF("site.function") " AND s.symbols = " TEXT_OF(
                                                                           "site.symbols") "),"
                                                                                           " j.value ->> '$.evidence', j.value ->> '$.against', j.value ->> '$.remedy', j.value ->> '$.missing',"
                                                                                           " j.value ->> '$.refute' FROM json_each(?1, '$.findings') j",

        "INSERT INTO figures SELECT ?3, j.key + 1, " TEXT_OF("name") ", j.value ->> '$.value', j.value ->> '$.unit'"
                                                                     " FROM json_each(?1, '$.figures') j WHERE ?2",

        "INSERT INTO tables SELECT ?3, j.key + 1, " TEXT_OF("title") ", coalesce(j.value -> '$.columns', '[]')"
                                                                     " FROM json_each(?1, '$.tables') j WHERE ?2",

        ("INSERT INTO table_rows SELECT ?3, j.key + 1, r.key + 1, r.value FROM json_each(?1, '$.tables') j,"
         " json_each(j.value, '$.rows') r WHERE ?2"),

        "INSERT INTO notes SELECT ?3, j.key + 1, j.value FROM json_each(?1, '$.notes') j WHERE ?2",
    };
    enum hs_status status = HS_OK;
    for (size_t i = 0; status == HS_OK && i < sizeof statements / sizeof *statements; i++)
        status = store_run(store, err, statements[i], "tii", result->document, result->dump_id, result_id);
    return status;
}

/* Forgets what an older result said. */
static enum hs_status clear(struct hs_store *store, int64_t result_id, struct hs_error *err)
{
    static const char *const statements[] = {
        "DELETE FROM findings WHERE result_id = ?1", "DELETE FROM figures WHERE result_id = ?1",
        "DELETE FROM tables WHERE result_id = ?1",   "DELETE FROM table_rows WHERE result_id = ?1",
        "DELETE FROM notes WHERE result_id = ?1",    "DELETE FROM errors WHERE result_id = ?1",
        "DELETE FROM timings WHERE result_id = ?1",
    };
    enum hs_status status = HS_OK;
    for (size_t i = 0; status == HS_OK && i < sizeof statements / sizeof *statements; i++)
        status = store_run(store, err, statements[i], "i", result_id);
    return status;
}

static enum hs_status put(struct hs_store *store, const struct hs_store_result *result, struct hs_error *err)
{
    int64_t id = 0;
    enum hs_status status = store_run(
        store, err,
        "INSERT INTO results(script_id, dump_id, code, state, exit_code) VALUES(?1, ?2, ?3, ?4, nullif(?5, -1))"
        " ON CONFLICT(script_id, dump_id) DO UPDATE SET code = excluded.code, state = excluded.state,"
        " exit_code = excluded.exit_code, schema = NULL, result = NULL",
        "iitti", store->script_id, result->dump_id, store->code, result->state, (int64_t)result->exit_code);
    if (status == HS_OK)
        status = store_value(store, &id, err, "SELECT id FROM results WHERE script_id = ?1 AND dump_id = ?2", "ii",
                             store->script_id, result->dump_id);
    if (status == HS_OK)
        status = clear(store, id, err);
    if (status == HS_OK && result->facts)
        status = put_facts(store, result, err);
    if (status == HS_OK && result->document)
        status = put_document(store, result, id, err);
    if (status == HS_OK && result->reason[0])
        status = store_run(store, err, "INSERT INTO errors(result_id, reason, message, stderr) VALUES(?1, ?2, ?3, ?4)",
                           "ittt", id, result->reason, result->message ? result->message : "",
                           result->errors ? result->errors : "");
    if (status == HS_OK)
        status =
            store_run(store, err, "INSERT INTO timings VALUES(?1, ?2, ?3, ?4, ?5, ?6)", "iiiddi", id, store->run_id,
                      (int64_t)time(NULL), result->seconds, result->cpu_seconds, (int64_t)result->peak_size);
    return status;
}

enum hs_status hs_store_result_put(struct hs_store *store, const struct hs_store_result *result, struct hs_error *err)
{
    int64_t valid = 0;
    enum hs_status status =
        store_value(store, &valid, err, "SELECT json_valid(coalesce(?1, 0)) AND json_valid(coalesce(?2, 0))", "tt",
                    result->facts, result->document);
    if (status == HS_OK && !valid)
        return hs_fail(err, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA, "what the child process handed over is no JSON");
    if (status == HS_OK)
        status = hs_store_begin(store, err);
    if (status != HS_OK)
        return status;
    return store_finish(store, put(store, result, err), err);
}

enum hs_status hs_store_findings(struct hs_store *store, uint64_t *count_ret, double *confidence_ret,
                                 struct hs_error *err)
{
    int64_t count = 0, millionths = 0;
    enum hs_status status = store_value(store, &count, err,
                                        "SELECT count(*) FROM findings f JOIN results r ON r.id = f.result_id"
                                        " WHERE r.script_id = ?1",
                                        "i", store->script_id);
    if (status == HS_OK)
        status = store_value(store, &millionths, err,
                             "SELECT coalesce(max(f.confidence), 0) * 1000000 FROM findings f JOIN results r"
                             " ON r.id = f.result_id WHERE r.script_id = ?1",
                             "i", store->script_id);
    *count_ret = (uint64_t)count;
    *confidence_ret = (double)millionths / 1e6;
    return status;
}
