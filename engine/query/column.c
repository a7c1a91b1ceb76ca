/* column.c - a number for each block of a set, by which later filters and groups can go. */
#include "query/query.h"

#include <stdlib.h>

struct hs_column *hs_column_create(const struct hs_set *set)
{
    struct hs_column *column = calloc(1, sizeof *column);
    size_t words;

    if (!column)
        return NULL;
    atomic_store(&column->owners, 1);
    column->from = set->from - set->from % 64;
    column->to = set->to;
    words = ((size_t)(column->to - column->from) + 63) / 64;
    column->has = calloc(words + 1, sizeof *column->has);
    column->values = calloc((size_t)(column->to - column->from) + 1, sizeof *column->values);
    if (!column->has || !column->values) {
        hs_column_release(column);
        return NULL;
    }
    return column;
}

struct hs_column *hs_column_retain(struct hs_column *column)
{
    atomic_fetch_add(&column->owners, 1);
    return column;
}

void hs_column_release(struct hs_column *column)
{
    if (!column || atomic_fetch_sub(&column->owners, 1) > 1)
        return;
    free(column->has);
    free(column->values);
    free(column);
}

uint64_t hs_column_count(const struct hs_column *column)
{
    size_t words = ((size_t)(column->to - column->from) + 63) / 64;
    uint64_t count = 0;

    for (size_t i = 0; i < words; i++)
        count += hs_popcount(column->has[i]);
    return count;
}

size_t hs_column_memory(const struct hs_column *column)
{
    size_t blocks = column->to - column->from;

    return sizeof *column + blocks * sizeof *column->values + blocks / 8;
}

/* ---- by name ---- */

struct named {
    char *name;
    struct hs_column *column;
};

struct hs_columns {
    struct named *all;
    size_t count;
};

static void columns_destroy(struct hs_columns *columns)
{
    for (size_t i = 0; i < columns->count; i++) {
        free(columns->all[i].name);
        hs_column_release(columns->all[i].column);
    }
    free(columns->all);
    free(columns);
}

static struct named *find(const struct hs_columns *columns, const char *name)
{
    for (size_t i = 0; columns && i < columns->count; i++)
        if (strcmp(columns->all[i].name, name) == 0)
            return &columns->all[i];
    return NULL;
}

/* A new name; NULL when out of memory. */
static struct named *add(struct hs_dump *dump, const char *name)
{
    struct named *all;
    char *copy;

    if (!dump->columns) {
        dump->columns = calloc(1, sizeof *dump->columns);
        dump->columns_destroy = columns_destroy;
    }
    if (!dump->columns)
        return NULL;
    all = realloc(dump->columns->all, (dump->columns->count + 1) * sizeof *all);
    if (!all)
        return NULL;
    dump->columns->all = all;
    copy = strdup(name);
    if (!copy)
        return NULL;
    all[dump->columns->count] = (struct named){copy, NULL};
    return &all[dump->columns->count++];
}

enum hs_status hs_dump_set_column(struct hs_dump *dump, const char *name, struct hs_column *column,
                                  struct hs_error *err)
{
    struct hs_column *before = NULL;
    struct named *named;

    pthread_mutex_lock(&dump->lock);
    named = find(dump->columns, name);
    if (!named)
        named = add(dump, name);
    if (named) {
        before = named->column;
        named->column = hs_column_retain(column);
    }
    pthread_mutex_unlock(&dump->lock);
    hs_column_release(before);
    return named ? HS_OK : hs_fail_memory(err, "a column");
}

struct hs_column *hs_dump_column(struct hs_dump *dump, const char *name)
{
    struct named *named;
    struct hs_column *column = NULL;

    pthread_mutex_lock(&dump->lock);
    named = find(dump->columns, name);
    if (named)
        column = hs_column_retain(named->column);
    pthread_mutex_unlock(&dump->lock);
    return column;
}
