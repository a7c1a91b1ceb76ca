/* fuzz_batch.c - any bytes as a file that a batch names by its content, as the name of a member of an archive, and as a
 * question to a store. The first byte chooses. */
#include "batch/batch.h"
#include "store/store.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

/* As a file; then as the start of one that is too large to be hashed whole. */
static void name_content(const uint8_t *data, size_t size)
{
    struct hs_content first, second;
    int descriptor = memfd_create("fuzz", MFD_CLOEXEC);
    check(descriptor >= 0 && write(descriptor, data, size) == (ssize_t)size);
    for (int large = 0; large < 2; large++) {
        if (large && ftruncate(descriptor, (off_t)17 << 20) != 0)
            break;
        check(hs_content_read(descriptor, &first, NULL) == HS_OK);
        check(hs_content_read(descriptor, &second, NULL) == HS_OK);
        check(strcmp(first.name, second.name) == 0 && (first.kind == HS_CONTENT_DUMP) == (strlen(first.name) == 32));
    }
    close(descriptor);
}

/* A name that passes never leads out of a folder. */
static void check_name(const uint8_t *data, size_t size)
{
    char *name = malloc(size + 1);
    check(name != NULL);
    if (size)
        memcpy(name, data, size);
    name[size] = 0;
    if (!hs_member_name_fault(name))
        check(name[0] != '/' && name[0] != 0 && strcmp(name, "..") != 0 && strncmp(name, "../", 3) != 0 &&
              !strstr(name, "/../") && !strstr(name, "\\..\\"));
    free(name);
}

static int steps;
static bool enough(void)
{
    return ++steps > 20;
}

/* Either refused with a message, or run without a change to the store. */
static void ask(const uint8_t *data, size_t size)
{
    static struct hs_store *store;
    struct hs_store_query *query;
    struct hs_error err = {HS_OK, 0, 0, ""};
    if (!store)
        check(hs_store_open("", HS_STORE_TEMPORARY, &store, &err) == HS_OK);
    steps = 0;
    if (hs_store_query_open(store, (const char *)data, size, &query, &err) != HS_OK) {
        check(err.text[0] != 0);
        return;
    }
    for (int i = 0; i < 100 && hs_store_query_step(query, enough, &err) == HS_OK; i++) {
        struct hs_store_value value;
        for (unsigned column = 0; column < hs_store_query_column_count(query); column++)
            hs_store_query_value(query, column, &value);
    }
    hs_store_query_close(query);
    check(hs_store_query_open(store, "SELECT count(*) FROM runs", 25, &query, &err) == HS_OK);
    hs_store_query_close(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    switch (data[0] % 3) {
    case 0: name_content(data + 1, size - 1); break;
    case 1: check_name(data + 1, size - 1); break;
    default: ask(data + 1, size - 1); break;
    }
    return 0;
}
