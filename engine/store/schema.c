/* schema.c - the tables and views of a store, one step a version. docs/store.md explains them, and a test compares the
 * two. A step that was released is never changed: what is to be different is a new step. */
#include "store/store_internal.h"

/* Volatile things (times, sizes in memory, who ran it) stand in runs and timings only: all other tables of two stores are
 * the same, row for row, if the same script saw the same dumps, however often it was killed in between. */
static const char *const step_1[] = {
    "CREATE TABLE scripts(id INTEGER PRIMARY KEY, name TEXT NOT NULL, arguments TEXT NOT NULL, code TEXT NOT NULL,"
    " UNIQUE(name, arguments));",

    "CREATE TABLE runs(id INTEGER PRIMARY KEY, script_id INTEGER NOT NULL REFERENCES scripts, program TEXT NOT NULL,"
    " host TEXT NOT NULL, process_id INTEGER NOT NULL, started_at INTEGER NOT NULL, ended_at INTEGER,"
    " state TEXT NOT NULL, settings TEXT NOT NULL);",

    "CREATE TABLE shards(id INTEGER PRIMARY KEY, script_id INTEGER NOT NULL REFERENCES scripts, list TEXT NOT NULL,"
    " shard INTEGER NOT NULL, shard_count INTEGER NOT NULL, UNIQUE(script_id, list, shard, shard_count));",

    "CREATE TABLE dumps(id INTEGER PRIMARY KEY, content TEXT NOT NULL UNIQUE, size INTEGER NOT NULL, arch TEXT,"
    " pointer_size INTEGER, windows TEXT, windows_build INTEGER, service_pack TEXT, process TEXT, process_path TEXT,"
    " process_id INTEGER, dumped_at INTEGER, started_at INTEGER, user_seconds INTEGER, kernel_seconds INTEGER,"
    " global_flag INTEGER, has_traces INTEGER, full_memory INTEGER, cut INTEGER);",

    "CREATE TABLE inputs(id INTEGER PRIMARY KEY, path TEXT NOT NULL, path_bytes BLOB, size INTEGER NOT NULL,"
    " modified_ns INTEGER NOT NULL, archive_id INTEGER REFERENCES inputs, state TEXT NOT NULL DEFAULT 'listed',"
    " dump_id INTEGER REFERENCES dumps);",
    "CREATE UNIQUE INDEX inputs_path ON inputs(path, coalesce(path_bytes, ''));",
    "CREATE INDEX inputs_dump ON inputs(dump_id);",
    "CREATE INDEX inputs_archive ON inputs(archive_id) WHERE archive_id IS NOT NULL;",

    "CREATE TABLE modules(id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL,"
    " version_number INTEGER NOT NULL, timestamp INTEGER NOT NULL, size INTEGER NOT NULL, pdb TEXT NOT NULL,"
    " pdb_id TEXT NOT NULL, UNIQUE(name, version, timestamp, size, pdb, pdb_id));",
    "CREATE TABLE dump_modules(dump_id INTEGER NOT NULL REFERENCES dumps, module_id INTEGER NOT NULL"
    " REFERENCES modules, PRIMARY KEY(dump_id, module_id)) WITHOUT ROWID;",
    "CREATE INDEX dump_modules_module ON dump_modules(module_id);",

    "CREATE TABLE results(id INTEGER PRIMARY KEY, script_id INTEGER NOT NULL REFERENCES scripts,"
    " dump_id INTEGER NOT NULL REFERENCES dumps, code TEXT NOT NULL, state TEXT NOT NULL, exit_code INTEGER,"
    " schema TEXT, result TEXT, UNIQUE(script_id, dump_id));",
    "CREATE INDEX results_dump ON results(dump_id);",
    "CREATE TABLE timings(result_id INTEGER PRIMARY KEY REFERENCES results, run_id INTEGER NOT NULL REFERENCES runs,"
    " finished_at INTEGER NOT NULL, seconds REAL NOT NULL, cpu_seconds REAL NOT NULL, peak_size INTEGER NOT NULL);",

    "CREATE TABLE sites(id INTEGER PRIMARY KEY, module_id INTEGER NOT NULL REFERENCES modules, rva INTEGER NOT NULL,"
    " function TEXT NOT NULL, offset INTEGER NOT NULL, symbols TEXT NOT NULL,"
    " UNIQUE(module_id, rva, function, symbols));",
    "CREATE TABLE findings(id INTEGER PRIMARY KEY, result_id INTEGER NOT NULL REFERENCES results,"
    " position INTEGER NOT NULL, claim TEXT NOT NULL, confidence REAL NOT NULL, level TEXT NOT NULL, blocks INTEGER,"
    " bytes INTEGER, share REAL, trace TEXT, module TEXT, frame TEXT, site_id INTEGER REFERENCES sites, evidence TEXT,"
    " against TEXT, remedy TEXT, missing TEXT, refute TEXT, UNIQUE(result_id, position));",
    "CREATE INDEX findings_site ON findings(site_id);",
    "CREATE TABLE figures(result_id INTEGER NOT NULL REFERENCES results, position INTEGER NOT NULL, name TEXT NOT NULL,"
    " value, unit TEXT, PRIMARY KEY(result_id, position)) WITHOUT ROWID;",
    "CREATE INDEX figures_name ON figures(name);",
    "CREATE TABLE tables(result_id INTEGER NOT NULL REFERENCES results, position INTEGER NOT NULL, title TEXT NOT NULL,"
    " columns TEXT NOT NULL, PRIMARY KEY(result_id, position)) WITHOUT ROWID;",
    "CREATE TABLE table_rows(result_id INTEGER NOT NULL REFERENCES results, position INTEGER NOT NULL,"
    " row INTEGER NOT NULL, cells TEXT NOT NULL, PRIMARY KEY(result_id, position, row)) WITHOUT ROWID;",
    "CREATE TABLE notes(result_id INTEGER NOT NULL REFERENCES results, position INTEGER NOT NULL, text TEXT NOT NULL,"
    " PRIMARY KEY(result_id, position)) WITHOUT ROWID;",

    "CREATE TABLE errors(id INTEGER PRIMARY KEY, input_id INTEGER UNIQUE REFERENCES inputs,"
    " result_id INTEGER UNIQUE REFERENCES results, reason TEXT NOT NULL, message TEXT NOT NULL,"
    " stderr TEXT NOT NULL DEFAULT '', CHECK((input_id IS NULL) <> (result_id IS NULL)));",

    "CREATE VIEW result_list AS SELECT i.path, s.name AS script, r.state, e.reason, e.message, d.process, d.arch,"
    " d.windows, d.dumped_at, r.exit_code, t.seconds, r.id AS result_id, r.dump_id, i.id AS input_id"
    " FROM results r JOIN scripts s ON s.id = r.script_id JOIN dumps d ON d.id = r.dump_id"
    " JOIN inputs i ON i.dump_id = d.id LEFT JOIN errors e ON e.result_id = r.id LEFT JOIN timings t"
    " ON t.result_id = r.id;",

    "CREATE VIEW module_list AS SELECT i.path, m.name AS module, m.version, m.timestamp, m.size, m.pdb, m.pdb_id,"
    " i.dump_id, m.id AS module_id FROM inputs i JOIN dump_modules x ON x.dump_id = i.dump_id"
    " JOIN modules m ON m.id = x.module_id;",

    /* `site` is one call site in one version; `place` is the same in all versions where a PDB names its function. */
    "CREATE VIEW site_list AS SELECT s.id AS site_id, m.name AS module, m.version, m.version_number, s.rva, s.function,"
    " s.symbols, printf('%s+0x%x', m.name, s.rva) AS site,"
    " CASE WHEN s.symbols = 'pdb' AND s.function <> '' THEN m.name || '!' || s.function"
    " ELSE printf('%s+0x%x (%s)', m.name, s.rva, CASE WHEN m.version <> '' THEN m.version ELSE"
    " printf('%08x', m.timestamp) END) END AS place, m.id AS module_id FROM sites s JOIN modules m ON m.id = s.module_id;",

    "CREATE VIEW finding_list AS SELECT (SELECT min(path) FROM inputs WHERE dump_id = r.dump_id) AS path,"
    " c.name AS script, f.claim, f.confidence, f.level, f.blocks, f.bytes, f.share, f.trace, f.module, f.frame,"
    " s.place, s.site, s.version, d.process, d.windows, r.dump_id, f.id AS finding_id, r.id AS result_id"
    " FROM findings f JOIN results r ON r.id = f.result_id JOIN scripts c ON c.id = r.script_id"
    " JOIN dumps d ON d.id = r.dump_id LEFT JOIN site_list s ON s.site_id = f.site_id;",

    "CREATE VIEW site_totals AS SELECT script, place, module, count(DISTINCT dump_id) AS dumps, sum(blocks) AS blocks,"
    " sum(bytes) AS bytes FROM finding_list WHERE place IS NOT NULL GROUP BY script, place;",

    "CREATE VIEW failure_list AS SELECT i.path, e.reason, e.message, e.stderr, NULL AS script FROM errors e"
    " JOIN inputs i ON i.id = e.input_id UNION ALL SELECT i.path, e.reason, e.message, e.stderr, s.name"
    " FROM errors e JOIN results r ON r.id = e.result_id JOIN scripts s ON s.id = r.script_id"
    " JOIN inputs i ON i.dump_id = r.dump_id;",
    NULL,
};

static const char *const *const steps[] = {step_1};

#define VERSION ((int)(sizeof steps / sizeof *steps))

int hs_store_schema_version(void)
{
    return VERSION;
}

enum hs_status store_migrate(struct hs_store *store, int version, struct hs_error *err)
{
    char text[64];
    if (version > VERSION)
        return hs_fail(err, HS_ERR_UNSUPPORTED, HS_NO_OFF, HS_NO_VA,
                       "results of schema version %d: this heapsift knows versions up to %d, a newer one is needed",
                       version, VERSION);
    if (version == VERSION)
        return HS_OK;
    enum hs_status status = store_text(store, "BEGIN IMMEDIATE", err);
    for (int i = version; status == HS_OK && i < VERSION; i++)
        for (size_t at = 0; status == HS_OK && steps[i][at]; at++)
            status = store_text(store, steps[i][at], err);
    snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d", STORE_APPLICATION_ID, VERSION);
    if (status == HS_OK)
        status = store_text(store, text, err);
    if (status == HS_OK)
        return store_text(store, "COMMIT", err);
    store_rollback(store);
    return status;
}
