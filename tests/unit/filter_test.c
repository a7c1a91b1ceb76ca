/* filter_test.c - programs of filters that are not sound: each is refused, whatever its code, and says where. */
#include "heap_writer.h"

#include "query/query.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct hs_filter_text texts[] = {{"12345678", 8}, {"odd", 3}};

static bool is_refused(struct hs_dump *dump, const struct hs_filter_op *ops, size_t count, size_t at)
{
    struct hs_filter *filter = NULL;
    struct hs_error err = {0};
    char where[32];

    if (hs_filter_create(dump, ops, count, texts, sizeof texts / sizeof *texts, NULL, &filter, &err) == HS_OK) {
        hs_filter_destroy(filter);
        return false;
    }
    snprintf(where, sizeof where, "instruction %zu", at);
    assert_int_equal(err.status, HS_ERR_ARGUMENT);
    assert_null(filter);
    assert_non_null(strstr(err.text, where));
    return true;
}

static void test_operands(void **state)
{
    static const struct {
        enum hs_filter_code code;
        unsigned pops;
        int64_t wrong[4], right;
    } codes[] = {
        {HS_FILTER_FIELD, 0, {-1, HS_BLOCK_FIELD_COUNT, INT64_MIN, INT64_MAX}, HS_BLOCK_FIELD_SIZE},
        {HS_FILTER_READ, 1, {0, 3, -9, INT64_MIN}, -8},
        {HS_FILTER_AMONG, 1, {-1, 1, 2, INT64_MAX}, 0},
        {HS_FILTER_CONTAINS, 0, {-1, 2, INT64_MIN, INT64_MAX}, 1},
        {HS_FILTER_CANDIDATE_MODULE, 0, {-1, 2, INT64_MIN, INT64_MAX}, 1},
        {HS_FILTER_CANDIDATE_SYMBOL, 0, {-1, 2, INT64_MIN, INT64_MAX}, 1},
        {HS_FILTER_TRACE_MODULE, 0, {-1, 2, INT64_MIN, INT64_MAX}, 1},
        {HS_FILTER_TRACE_SYMBOL, 0, {-1, 2, INT64_MIN, INT64_MAX}, 1},
        {HS_FILTER_LABEL, 0, {-1, 2, INT64_MIN, INT64_MAX}, 1},
    };
    struct hw_process process;
    struct hs_dump *dump;
    uint8_t *bytes;

    (void)state;
    hw_process_init(&process, 4);
    dump = hw_open(&process, 1, &bytes);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        struct hs_filter_op ops[2] = {{HS_FILTER_PUSH, 0}, {codes[i].code, codes[i].right}};
        const struct hs_filter_op *program = ops + (codes[i].pops == 0);

        assert_false(is_refused(dump, program, codes[i].pops + 1, 0));
        for (unsigned k = 0; k < 4; k++) {
            ops[1].value = codes[i].wrong[k];
            assert_true(is_refused(dump, program, codes[i].pops + 1, codes[i].pops));
        }
    }
    assert_true(is_refused(dump, (struct hs_filter_op[]){{HS_FILTER_COLUMN, -1}}, 1, 0)); /* there are no columns */
    assert_true(is_refused(dump, (struct hs_filter_op[]){{HS_FILTER_COLUMN, 2}}, 1, 0));
    assert_true(is_refused(dump, (struct hs_filter_op[]){{HS_FILTER_CODE_COUNT, 0}}, 1, 0));
    assert_true(is_refused(dump, (struct hs_filter_op[]){{(enum hs_filter_code) - 1, 0}}, 1, 0));
    hs_dump_close(dump);
    free(bytes);
    hw_process_deinit(&process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_operands)};

    return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
