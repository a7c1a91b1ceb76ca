/* store.h - the door of store/: results of many dumps in one SQLite file. No Lua, and no dump is read here.
 *
 * docs/store.md tells what the tables mean. A store has one writer, which holds a lock file beside it; readers need
 * none. Ids are local to a store: what two stores have in common are names, paths and content. */
#ifndef HS_STORE_H
#define HS_STORE_H

#include "base/base.h"

struct hs_store;

/* What hs_store_open is to do where there is nothing, or something. */
enum hs_store_mode {
    HS_STORE_READ,      /* must be there; nothing is written */
    HS_STORE_NEW,       /* must hold no results yet */
    HS_STORE_CONTINUE,  /* made where it is not there */
    HS_STORE_SHARED,    /* the same, and may be read on other machines while it is written */
    HS_STORE_TEMPORARY, /* a file without a name that ends with the process; `path` is not used */
};

/* HS_ERR_IO: cannot be opened, or another process writes to it. HS_ERR_FORMAT: no store, or damaged.
 * HS_ERR_UNSUPPORTED: written by a newer heapsift. HS_ERR_ARGUMENT: HS_STORE_NEW and there are results. */
HS_MUST_CHECK enum hs_status hs_store_open(const char *path, enum hs_store_mode mode, struct hs_store **store_ret,
                                           struct hs_error *err);
/* Brings what was written together in one file, and gives the lock back. NULL is allowed. */
void hs_store_close(struct hs_store *store);

/* The number that changes when the schema does. */
int hs_store_schema_version(void);

/* ---- what a batch writes ---- */

/* What is run on the dumps: a script with its words. Its results are those of `code`, a hash over all the Lua that it
 * may use: what was found by other code counts as not done yet. */
struct hs_store_script {
    const char *name, *arguments; /* JSON array of words */
    const char *code;
};

/* Begins a run: a row of `runs`. */
HS_MUST_CHECK enum hs_status hs_store_run_begin(struct hs_store *store, const struct hs_store_script *script,
                                                const char *settings_json, struct hs_error *err);
/* The id in `scripts` of what the run runs. */
int64_t hs_store_script_id(const struct hs_store *store);
/* state: "done", "interrupted", "failed". */
HS_MUST_CHECK enum hs_status hs_store_run_end(struct hs_store *store, const char *state, struct hs_error *err);

/* Inputs are listed first, between hs_store_begin and hs_store_listing_end, which commits. `path`: bytes of the file
 * system; `size` in bytes; `modified_ns` since 1970. A path that is listed twice counts once. */
HS_MUST_CHECK enum hs_status hs_store_listing_add(struct hs_store *store, const char *path, uint64_t size,
                                                  int64_t modified_ns, struct hs_error *err);
/* Lists every input that the store knows. */
HS_MUST_CHECK enum hs_status hs_store_listing_add_all(struct hs_store *store, struct hs_error *err);
/* Makes the listing the inputs of this run; with `shard_count` above 0 only those of shard `shard` (from 1): in the order
 * of size, largest first, then of path, each input goes to the shard that has the fewest bytes so far. A hash over the
 * whole list is kept, by which a merge sees whether parts are of the same list. */
HS_MUST_CHECK enum hs_status hs_store_listing_end(struct hs_store *store, unsigned shard, unsigned shard_count,
                                                  struct hs_error *err);
/* The listed input's member of an archive. `name` is its path: that of the archive, two slashes, its name. */
HS_MUST_CHECK enum hs_status hs_store_member_add(struct hs_store *store, int64_t archive_id, const char *path,
                                                 uint64_t size, int64_t *id_ret, struct hs_error *err);
/* Works out which of the inputs have to be looked at, and how many that are of how many; with `again` failed ones too. */
HS_MUST_CHECK enum hs_status hs_store_pending(struct hs_store *store, bool again, uint64_t *listed_ret,
                                              uint64_t *pending_ret, struct hs_error *err);

/* Spreads them over `part_count` parts, as shards are: none is empty unless there are more parts than inputs. */
HS_MUST_CHECK enum hs_status hs_store_pending_spread(struct hs_store *store, unsigned part_count, struct hs_error *err);

/* One input that is to be looked at. `path` lives until the next call. */
struct hs_store_pending {
    int64_t id;
    const char *path;
    unsigned part; /* from 1; 0 if nothing was spread */
};
/* Part by part, in each in the order of the listing. HS_NOT_FOUND: no more. */
HS_MUST_CHECK enum hs_status hs_store_input_next(struct hs_store *store, struct hs_store_pending *pending_ret,
                                                 struct hs_error *err);

/* The input cannot be run: what `reason` ("unreadable", "refused") and `message` say. */
HS_MUST_CHECK enum hs_status hs_store_input_failed(struct hs_store *store, int64_t input_id, const char *reason,
                                                   const char *message, struct hs_error *err);
/* All members of an archive were seen. */
HS_MUST_CHECK enum hs_status hs_store_input_unpacked(struct hs_store *store, int64_t input_id, struct hs_error *err);

enum hs_store_need {
    HS_STORE_RUN,  /* no result yet, or one of other code */
    HS_STORE_KNOWN /* there is one already */
};
/* The content of an input is known: `content` names it, `size` in bytes. */
HS_MUST_CHECK enum hs_status hs_store_input_content(struct hs_store *store, int64_t input_id, const char *content,
                                                    uint64_t size, bool again, int64_t *dump_id_ret,
                                                    enum hs_store_need *need_ret, struct hs_error *err);

/* What came of running the script on one dump. Texts are UTF-8, NULL where there is none. */
struct hs_store_result {
    int64_t dump_id;
    const char *state;    /* "done", "partial" (part of what was asked for could not be read), "failed" */
    const char *reason;   /* of a failure: "crash", "timeout", "memory", "output", "script", "unreadable"; else "" */
    const char *message;  /* of a failure, one line */
    const char *errors;   /* the last lines of stderr */
    int exit_code;        /* -1: ended by a signal */
    const char *facts;    /* JSON: what the dump says of itself, and its modules */
    const char *document; /* JSON: what the script reported */
    double seconds, cpu_seconds;
    uint64_t peak_size; /* largest resident size, bytes, mapped dump included */
};
/* One transaction: all of it is in the store afterwards, or nothing. HS_ERR_FORMAT: facts or document are no JSON.
 * HS_ERR_IO: cannot be written, for instance because the disk is full. */
HS_MUST_CHECK enum hs_status hs_store_result_put(struct hs_store *store, const struct hs_store_result *result,
                                                 struct hs_error *err);

/* How many findings the script of this run has in all results, and the highest confidence (0 without). */
HS_MUST_CHECK enum hs_status hs_store_findings(struct hs_store *store, uint64_t *count_ret, double *confidence_ret,
                                               struct hs_error *err);

HS_MUST_CHECK enum hs_status hs_store_begin(struct hs_store *store, struct hs_error *err);
HS_MUST_CHECK enum hs_status hs_store_commit(struct hs_store *store, struct hs_error *err);

/* ---- questions ---- */

enum hs_store_type { HS_STORE_NULL, HS_STORE_INTEGER, HS_STORE_REAL, HS_STORE_TEXT };
struct hs_store_value {
    enum hs_store_type type;
    int64_t integer;
    double real;
    const char *text; /* `size` bytes; of a result: lives until the next step */
    size_t size;
};

struct hs_store_query;
/* Prepares one statement that only reads. Values come in as parameters only: a text in quotes is refused, and so is a
 * statement that writes, attaches or sets something (HS_ERR_ARGUMENT). */
HS_MUST_CHECK enum hs_status hs_store_query_open(struct hs_store *store, const char *sql, size_t sql_size,
                                                 struct hs_store_query **query_ret, struct hs_error *err);
void hs_store_query_close(struct hs_store_query *query);
unsigned hs_store_query_parameter_count(const struct hs_store_query *query);
/* Name of the idx-th parameter (from 0) without its first character; NULL: it has none. */
const char *hs_store_query_parameter(const struct hs_store_query *query, unsigned idx);
HS_MUST_CHECK enum hs_status hs_store_query_bind(struct hs_store_query *query, unsigned idx,
                                                 const struct hs_store_value *value, struct hs_error *err);
unsigned hs_store_query_column_count(const struct hs_store_query *query);
const char *hs_store_query_column(const struct hs_store_query *query, unsigned idx);
/* HS_NOT_FOUND: no more rows. `cancel` is looked at now and then; NULL allowed. HS_ERR_CANCELLED. */
HS_MUST_CHECK enum hs_status hs_store_query_step(struct hs_store_query *query, bool (*cancel)(void),
                                                 struct hs_error *err);
void hs_store_query_value(const struct hs_store_query *query, unsigned idx, struct hs_store_value *value_ret);

/* ---- joining ---- */

/* Copies all of `part` into `store` in one transaction: what is there already stays once. Of two results the one of the
 * present code stays, then the better one; of two inputs the newer file, then the one that was looked at. The order of
 * parts does not matter. HS_ERR_UNSUPPORTED: another schema version. HS_ERR_ARGUMENT: results of other code for the same script, or a
 * shard of another list. HS_ERR_FORMAT: no store. */
HS_MUST_CHECK enum hs_status hs_store_merge(struct hs_store *store, const char *part, struct hs_error *err);

#endif
