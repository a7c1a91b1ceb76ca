/* merge.c - one store copied into another. Rows are matched by what names them (paths, contents, names), never by id; what
 * both have stays once. Where both have something else for the same thing, which of them stays does not depend on the
 * order of the parts: the better result, the newer file, else the smaller text. */
#include "store/store_internal.h"

/* What orders two rows of one input, the greater one stays: the newer file, then the row that knows more of it. */
#define INPUT_ORDER(row)                                                                                               \
    "(" row ".modified_ns, CASE " row ".state WHEN 'listed' THEN 0 WHEN 'known' THEN 2 WHEN 'unpacked' THEN 2"         \
    " ELSE 1 END, " row ".state)"

/* The same for results, the smaller one stays: of code that the script still has, then the better one. */
#define RESULT_ORDER(row, script, error)                                                                               \
    "(" row ".code <> " script ".code, CASE " row ".state WHEN 'done' THEN 0 WHEN 'partial' THEN 1 ELSE 2 END,"        \
    " coalesce(" error ".reason, ''), coalesce(" error ".message, ''))"

/* Steps over main and part; every one may be repeated. Maps lead from ids of the part to ours. */
static const char *const steps[] = {
    "CREATE TEMP TABLE IF NOT EXISTS map_script(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "CREATE TEMP TABLE IF NOT EXISTS map_dump(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "CREATE TEMP TABLE IF NOT EXISTS map_module(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "CREATE TEMP TABLE IF NOT EXISTS map_site(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "CREATE TEMP TABLE IF NOT EXISTS map_run(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "CREATE TEMP TABLE IF NOT EXISTS map_input(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);"
    "CREATE TEMP TABLE IF NOT EXISTS map_result(old INTEGER PRIMARY KEY, new INTEGER NOT NULL);",

    "DELETE FROM temp.map_script; DELETE FROM temp.map_dump; DELETE FROM temp.map_module; DELETE FROM temp.map_site;"
    "DELETE FROM temp.map_run; DELETE FROM temp.map_input; DELETE FROM temp.map_result;",

    "INSERT OR IGNORE INTO main.scripts(name, arguments, code) SELECT name, arguments, code FROM part.scripts;"
    "INSERT INTO temp.map_script SELECT o.id, n.id FROM part.scripts o JOIN main.scripts n"
    " ON n.name = o.name AND n.arguments = o.arguments;",

    "INSERT OR IGNORE INTO main.shards(script_id, list, shard, shard_count) SELECT m.new, o.list, o.shard, o.shard_count"
    " FROM part.shards o JOIN temp.map_script m ON m.old = o.script_id;",

    /* A run has no name but who it was and when. */
    "INSERT INTO main.runs(script_id, program, host, process_id, started_at, ended_at, state, settings)"
    " SELECT m.new, o.program, o.host, o.process_id, o.started_at, o.ended_at, o.state, o.settings FROM part.runs o"
    " JOIN temp.map_script m ON m.old = o.script_id WHERE NOT EXISTS(SELECT 1 FROM main.runs n WHERE n.host = o.host"
    " AND n.process_id = o.process_id AND n.started_at = o.started_at AND n.script_id = m.new"
    " AND n.settings = o.settings) ORDER BY o.id;"
    "INSERT INTO temp.map_run SELECT o.id, min(n.id) FROM part.runs o JOIN temp.map_script m ON m.old = o.script_id"
    " JOIN main.runs n ON n.host = o.host AND n.process_id = o.process_id AND n.started_at = o.started_at"
    " AND n.script_id = m.new AND n.settings = o.settings GROUP BY o.id;",

    "INSERT INTO main.dumps(content, size, arch, pointer_size, windows, windows_build, service_pack, process,"
    " process_path, process_id, dumped_at, started_at, user_seconds, kernel_seconds, global_flag, has_traces,"
    " full_memory, cut) SELECT content, size, arch, pointer_size, windows, windows_build, service_pack, process,"
    " process_path, process_id, dumped_at, started_at, user_seconds, kernel_seconds, global_flag, has_traces,"
    " full_memory, cut FROM part.dumps WHERE true ORDER BY id ON CONFLICT(content) DO UPDATE SET arch = excluded.arch,"
    " pointer_size = excluded.pointer_size, windows = excluded.windows, windows_build = excluded.windows_build,"
    " service_pack = excluded.service_pack, process = excluded.process, process_path = excluded.process_path,"
    " process_id = excluded.process_id, dumped_at = excluded.dumped_at, started_at = excluded.started_at,"
    " user_seconds = excluded.user_seconds, kernel_seconds = excluded.kernel_seconds,"
    " global_flag = excluded.global_flag, has_traces = excluded.has_traces, full_memory = excluded.full_memory,"
    " cut = excluded.cut WHERE main.dumps.arch IS NULL;"
    "INSERT INTO temp.map_dump SELECT o.id, n.id FROM part.dumps o JOIN main.dumps n ON n.content = o.content;",

    "INSERT OR IGNORE INTO main.modules(name, version, version_number, timestamp, size, pdb, pdb_id)"
    " SELECT name, version, version_number, timestamp, size, pdb, pdb_id FROM part.modules ORDER BY id;"
    "INSERT INTO temp.map_module SELECT o.id, n.id FROM part.modules o JOIN main.modules n ON n.name = o.name"
    " AND n.version = o.version AND n.timestamp = o.timestamp AND n.size = o.size AND n.pdb = o.pdb"
    " AND n.pdb_id = o.pdb_id;"
    "INSERT OR IGNORE INTO main.dump_modules SELECT d.new, m.new FROM part.dump_modules o"
    " JOIN temp.map_dump d ON d.old = o.dump_id JOIN temp.map_module m ON m.old = o.module_id;",

    "INSERT OR IGNORE INTO main.sites(module_id, rva, function, offset, symbols) SELECT m.new, o.rva, o.function,"
    " o.offset, o.symbols FROM part.sites o JOIN temp.map_module m ON m.old = o.module_id ORDER BY o.id;"
    "INSERT INTO temp.map_site SELECT o.id, n.id FROM part.sites o JOIN temp.map_module m ON m.old = o.module_id"
    " JOIN main.sites n ON n.module_id = m.new AND n.rva = o.rva AND n.function = o.function"
    " AND n.symbols = o.symbols;",

    /* Inputs: archives first, so that their members find them; the newer file stays. */
    "DELETE FROM main.errors WHERE input_id IN (SELECT n.id FROM part.inputs o JOIN main.inputs n ON n.path = o.path"
    " AND coalesce(n.path_bytes, '') = coalesce(o.path_bytes, '')"
    " WHERE " INPUT_ORDER("o") " > " INPUT_ORDER("n") ");",

    "INSERT INTO main.inputs(path, path_bytes, size, modified_ns, archive_id, state, dump_id) SELECT o.path,"
    " o.path_bytes, o.size, o.modified_ns, NULL, o.state, m.new FROM part.inputs o"
    " LEFT JOIN temp.map_dump m ON m.old = o.dump_id WHERE true ORDER BY o.id"
    " ON CONFLICT(path, coalesce(path_bytes, '')) DO UPDATE SET size = excluded.size,"
    " modified_ns = excluded.modified_ns, state = excluded.state, dump_id = excluded.dump_id"
    " WHERE " INPUT_ORDER("excluded") " > " INPUT_ORDER("inputs"),

    "INSERT INTO temp.map_input SELECT o.id, n.id FROM part.inputs o JOIN main.inputs n ON n.path = o.path"
    " AND coalesce(n.path_bytes, '') = coalesce(o.path_bytes, '');"
    "UPDATE main.inputs SET archive_id = (SELECT a.new FROM part.inputs o JOIN temp.map_input i ON i.old = o.id"
    " JOIN temp.map_input a ON a.old = o.archive_id WHERE i.new = inputs.id) WHERE archive_id IS NULL"
    " AND id IN (SELECT i.new FROM part.inputs o JOIN temp.map_input i ON i.old = o.id"
    " WHERE o.archive_id IS NOT NULL);"
    "INSERT OR IGNORE INTO main.errors(input_id, reason, message, stderr) SELECT m.new, e.reason, e.message, e.stderr"
    " FROM part.errors e JOIN temp.map_input m ON m.old = e.input_id JOIN main.inputs i ON i.id = m.new"
    " WHERE i.state = (SELECT state FROM part.inputs o WHERE o.id = e.input_id);",

    /* Results. `old` of those that are copied stands in map_result with the id of ours. */
    "INSERT INTO temp.map_result SELECT o.id, 0 FROM part.results o JOIN temp.map_script s ON s.old = o.script_id"
    " JOIN part.scripts so ON so.id = o.script_id JOIN main.scripts sn ON sn.id = s.new"
    " JOIN temp.map_dump d ON d.old = o.dump_id LEFT JOIN main.results n ON n.script_id = s.new AND n.dump_id = d.new"
    " LEFT JOIN part.errors eo ON eo.result_id = o.id LEFT JOIN main.errors en ON en.result_id = n.id"
    " WHERE n.id IS NULL OR " RESULT_ORDER("o", "so", "eo") " < " RESULT_ORDER("n", "sn", "en"),

    "INSERT INTO main.results(script_id, dump_id, code, state, exit_code, schema, result) SELECT s.new, d.new, o.code,"
    " o.state, o.exit_code, o.schema, o.result FROM temp.map_result m JOIN part.results o ON o.id = m.old"
    " JOIN temp.map_script s ON s.old = o.script_id JOIN temp.map_dump d ON d.old = o.dump_id WHERE true ORDER BY o.id"
    " ON CONFLICT(script_id, dump_id) DO UPDATE SET code = excluded.code, state = excluded.state,"
    " exit_code = excluded.exit_code, schema = excluded.schema, result = excluded.result;"
    "UPDATE temp.map_result SET new = (SELECT n.id FROM part.results o JOIN temp.map_script s ON s.old = o.script_id"
    " JOIN temp.map_dump d ON d.old = o.dump_id JOIN main.results n ON n.script_id = s.new AND n.dump_id = d.new"
    " WHERE o.id = map_result.old);",

    "DELETE FROM main.findings WHERE result_id IN (SELECT new FROM temp.map_result);"
    "DELETE FROM main.figures WHERE result_id IN (SELECT new FROM temp.map_result);"
    "DELETE FROM main.tables WHERE result_id IN (SELECT new FROM temp.map_result);"
    "DELETE FROM main.table_rows WHERE result_id IN (SELECT new FROM temp.map_result);"
    "DELETE FROM main.notes WHERE result_id IN (SELECT new FROM temp.map_result);"
    "DELETE FROM main.errors WHERE result_id IN (SELECT new FROM temp.map_result);"
    "DELETE FROM main.timings WHERE result_id IN (SELECT new FROM temp.map_result);",

    "INSERT INTO main.findings(result_id, position, claim, confidence, level, blocks, bytes, share, trace, module,"
    " frame, site_id, evidence, against, remedy, missing, refute) SELECT m.new, o.position, o.claim, o.confidence,"
    " o.level, o.blocks, o.bytes, o.share, o.trace, o.module, o.frame, s.new, o.evidence, o.against, o.remedy,"
    " o.missing, o.refute FROM part.findings o JOIN temp.map_result m ON m.old = o.result_id"
    " LEFT JOIN temp.map_site s ON s.old = o.site_id ORDER BY o.id;"
    "INSERT INTO main.figures SELECT m.new, o.position, o.name, o.value, o.unit FROM part.figures o"
    " JOIN temp.map_result m ON m.old = o.result_id;"
    "INSERT INTO main.tables SELECT m.new, o.position, o.title, o.columns FROM part.tables o"
    " JOIN temp.map_result m ON m.old = o.result_id;"
    "INSERT INTO main.table_rows SELECT m.new, o.position, o.row, o.cells FROM part.table_rows o"
    " JOIN temp.map_result m ON m.old = o.result_id;"
    "INSERT INTO main.notes SELECT m.new, o.position, o.text FROM part.notes o"
    " JOIN temp.map_result m ON m.old = o.result_id;"
    "INSERT INTO main.errors(result_id, reason, message, stderr) SELECT m.new, o.reason, o.message, o.stderr"
    " FROM part.errors o JOIN temp.map_result m ON m.old = o.result_id;"
    "INSERT INTO main.timings SELECT m.new, r.new, o.finished_at, o.seconds, o.cpu_seconds, o.peak_size"
    " FROM part.timings o JOIN temp.map_result m ON m.old = o.result_id JOIN temp.map_run r ON r.old = o.run_id;",
};

/* The part must be what it says: the tables of our schema and nothing else, such as a view in the place of a table. */
static enum hs_status check_part(struct hs_store *store, struct hs_error *err)
{
    int64_t version = 0, application = 0, different = 0;
    enum hs_status status = store_value(store, &application, err, "PRAGMA part.application_id", "");
    if (status == HS_OK)
        status = store_value(store, &version, err, "PRAGMA part.user_version", "");
    if (status != HS_OK)
        return status;
    if (application != STORE_APPLICATION_ID)
        return hs_fail(err, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA, "no results of heapsift");
    if (version != hs_store_schema_version())
        return hs_fail(err, HS_ERR_UNSUPPORTED, HS_NO_OFF, HS_NO_VA,
                       "results of schema version %d, the others have version %d: run its batch again with --resume",
                       (int)version, hs_store_schema_version());
    status = store_value(store, &different, err,
                         "SELECT (SELECT count(*) FROM (SELECT type, name, sql FROM part.sqlite_schema EXCEPT"
                         " SELECT type, name, sql FROM main.sqlite_schema)) + (SELECT count(*) FROM"
                         " (SELECT type, name, sql FROM main.sqlite_schema EXCEPT"
                         " SELECT type, name, sql FROM part.sqlite_schema))",
                         "");
    if (status == HS_OK && different)
        return hs_fail(err, HS_ERR_FORMAT, HS_NO_OFF, HS_NO_VA,
                       "its tables are not those of schema version %d: somebody has changed them", (int)version);
    if (status == HS_OK)
        status = store_value(store, &different, err,
                             "SELECT count(*) FROM part.scripts o JOIN main.scripts n ON n.name = o.name"
                             " AND n.arguments = o.arguments WHERE n.code <> o.code",
                             "");
    if (status == HS_OK && different)
        return hs_fail(err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA,
                       "made by another version of the script, its plugins or heapsift: run one of them again");
    if (status == HS_OK)
        status = store_value(store, &different, err,
                             "SELECT count(*) FROM part.shards o JOIN part.scripts s ON s.id = o.script_id"
                             " JOIN main.scripts t ON t.name = s.name AND t.arguments = s.arguments JOIN main.shards n"
                             " ON n.script_id = t.id AND n.shard_count = o.shard_count WHERE n.list <> o.list",
                             "");
    if (status == HS_OK && different)
        return hs_fail(
            err, HS_ERR_ARGUMENT, HS_NO_OFF, HS_NO_VA,
            "a shard of another list of inputs: the folders changed between the calls, use one @list for all");
    return status;
}

static enum hs_status copy(struct hs_store *store, struct hs_error *err)
{
    enum hs_status status = hs_store_begin(store, err);
    if (status != HS_OK)
        return status;
    status = check_part(store, err);
    for (size_t i = 0; status == HS_OK && i < sizeof steps / sizeof *steps; i++)
        status = store_text(store, steps[i], err);
    return store_finish(store, status, err);
}

enum hs_status hs_store_merge(struct hs_store *store, const char *part, struct hs_error *err)
{
    struct hs_store *opened; /* says in our words what is wrong with the file */
    enum hs_status status = hs_store_open(part, HS_STORE_READ, &opened, err);
    if (status != HS_OK)
        return status;
    status = store_run(store, err, "ATTACH ?1 AS part", "t", part);
    hs_store_close(opened);
    if (status != HS_OK)
        return status;
    status = copy(store, err);
    if (store_text(store, "DETACH part", status == HS_OK ? err : NULL) != HS_OK && status == HS_OK)
        status = HS_ERR_IO;
    return status;
}
