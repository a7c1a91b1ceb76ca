/* batch_test.c - engine/batch/: other programs as children, where they are, paths, and lists of paths. */
#include "batch/batch.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/heapsift-batch-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return chdir("/") == 0 ? system(command) : -1; /* NOLINT(cert-env33-c): a folder of the test's own */
}

static void write_file(const char *name, const char *bytes, size_t size, mode_t mode)
{
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_true(fwrite(bytes, 1, size, file) == size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(name, mode), 0);
}

/* ---- other programs ---- */

static struct hs_child_report run(const char *program, char *const *words, const struct hs_limits *limits)
{
    struct hs_pool *pool;
    struct hs_child_report report;
    struct hs_member member;
    uint64_t id;
    assert_int_equal(hs_pool_create(&pool, NULL), HS_OK);
    assert_int_equal(hs_pool_start(pool, program, words, -1, false, limits, &id, NULL), HS_OK);
    assert_int_equal(hs_pool_wait(pool, 20000, &report, &member), HS_POOL_REPORT);
    assert_true(report.id == id);
    hs_pool_destroy(pool);
    return report;
}

static void report_deinit(struct hs_child_report *report)
{
    hs_text_deinit(&report->output);
    hs_text_deinit(&report->errors);
}

static void assert_text(const struct hs_text *text, const char *expected)
{
    assert_string_equal(text->bytes ? text->bytes : "", expected);
}

static void test_program_output(void **state)
{
    (void)state;
    char *words[] = {"sh", "-c", "printf '%s|' \"$@\"; echo no >&2; exit 3", "sh", "a b", "'\"$x;", "new\nline",
                     "",   NULL};
    struct hs_child_report report = run("/bin/sh", words, &(struct hs_limits){.timeout = 20});
    assert_int_equal(report.end, HS_CHILD_EXITED);
    assert_int_equal(report.code, 3);
    assert_text(&report.output, "a b|'\"$x;|new\nline||");
    assert_text(&report.errors, "no\n");
    report_deinit(&report);
}

/* It finds no descriptors of ours, and nothing to read. */
static void test_program_descriptors(void **state)
{
    (void)state;
    char *words[] = {"sh", "-c", "cat; for n in 3 4 5 16 17 18; do [ -e /proc/self/fd/$n ] && echo $n; done; true",
                     NULL};
    struct hs_child_report report = run("/bin/sh", words, &(struct hs_limits){.timeout = 20});
    assert_int_equal(report.code, 0);
    assert_text(&report.output, "");
    report_deinit(&report);
}

static void test_program_gone(void **state)
{
    (void)state;
    char *words[] = {"gone", NULL};
    struct hs_child_report report = run("/nowhere/gone", words, &(struct hs_limits){.timeout = 20});
    assert_int_equal(report.end, HS_CHILD_EXITED);
    assert_int_equal(report.code, 127);
    report_deinit(&report);
}

static void test_program_bounds(void **state)
{
    (void)state;
    char *endless[] = {"sh", "-c", "while :; do echo yes yes yes yes yes; done", NULL};
    struct hs_child_report report = run("/bin/sh", endless, &(struct hs_limits){.timeout = 20, .output_size = 100000});
    assert_int_equal(report.end, HS_CHILD_OUTPUT);
    assert_true(report.output.size <= 100000);
    report_deinit(&report);
}

/* What hangs is ended, with what it started itself. */
static void test_program_hangs(void **state)
{
    (void)state;
    char *words[] = {"sh", "-c", "sleep 1000 & echo $!; wait", NULL};
    struct hs_child_report report = run("/bin/sh", words, &(struct hs_limits){.timeout = 0.3});
    assert_int_equal(report.end, HS_CHILD_TIMEOUT);
    assert_true(report.output.size > 1);
    char stat_name[64], text[128] = "";
    bool runs = true;
    snprintf(stat_name, sizeof stat_name, "/proc/%d/stat", atoi(report.output.bytes));
    for (int i = 0; runs && i < 200; i++, usleep(10000)) { /* nobody may ever reap it: a zombie is ended too */
        FILE *file = fopen(stat_name, "r");
        runs = file && fgets(text, sizeof text, file) && !strstr(text, ") Z");
        if (file)
            fclose(file);
    }
    assert_false(runs);
    report_deinit(&report);
}

static void test_program_find(void **state)
{
    (void)state;
    struct hs_text text;
    char path[256];
    hs_text_init(&text);
    assert_int_equal(mkdir("one", 0777), 0);
    assert_int_equal(mkdir("two", 0777), 0);
    assert_int_equal(mkdir("one/sbatch", 0777), 0); /* a folder is no program */
    write_file("one/squeue", "x", 1, 0644);         /* nor what may not be run */
    write_file("sbatch", "#!/bin/sh\n", 10, 0755);  /* nor what lies in the working folder */
    write_file("two/sbatch", "#!/bin/sh\n", 10, 0755);
    snprintf(path, sizeof path, ".::two:%s/one:%s/two", folder, folder);
    assert_int_equal(setenv("PATH", path, 1), 0);
    assert_int_equal(hs_program_find("sbatch", &text, NULL), HS_OK);
    snprintf(path, sizeof path, "%s/two/sbatch", folder);
    assert_text(&text, path);
    assert_int_equal(hs_program_find("squeue", &text, NULL), HS_NOT_FOUND);
    assert_int_equal(setenv("PATH", "", 1), 0);
    assert_int_equal(hs_program_find("sh", &text, NULL), HS_NOT_FOUND);
    assert_int_equal(unsetenv("PATH"), 0);
    assert_int_equal(hs_program_find("sh", &text, NULL), HS_OK);
    hs_text_deinit(&text);
}

/* ---- paths ---- */

static void test_path_absolute(void **state)
{
    (void)state;
    struct hs_text text;
    char expected[256];
    hs_text_init(&text);
    assert_int_equal(hs_path_absolute("./a//b/../c.db", &text, NULL), HS_OK);
    snprintf(expected, sizeof expected, "%s/a/b/../c.db", folder);
    assert_text(&text, expected);
    assert_int_equal(hs_path_absolute("//x/./y/", &text, NULL), HS_OK);
    assert_text(&text, "/x/y");
    assert_int_equal(hs_path_absolute("/", &text, NULL), HS_OK);
    assert_text(&text, "/");
    hs_text_deinit(&text);
}

static void test_null_ended_list(void **state)
{
    (void)state;
    static const char list[] = "/a*\0/b\nc.dmp\r\n\0\0@d\0/last"; /* the last one ends with the file's NUL */
    static const char *const expected[] = {"/a*", "/b\nc.dmp\r\n", "/@d", "/last"};
    struct hs_walk *walk;
    struct hs_walk_item item;
    write_file("list", list, sizeof list, 0644);
    assert_int_equal(chdir("/"), 0);
    char name[64];
    snprintf(name, sizeof name, "@%s/list", folder);
    assert_int_equal(hs_walk_open(name, true, &walk, NULL), HS_OK);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(hs_walk_next(walk, &item, NULL), HS_OK);
        assert_string_equal(item.path, expected[i]);
    }
    assert_int_equal(hs_walk_next(walk, &item, NULL), HS_NOT_FOUND);
    hs_walk_close(walk);
    assert_int_equal(chdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_program_output), cmocka_unit_test(test_program_descriptors),
        cmocka_unit_test(test_program_gone),   cmocka_unit_test(test_program_bounds),
        cmocka_unit_test(test_program_hangs),  cmocka_unit_test(test_program_find),
        cmocka_unit_test(test_path_absolute),  cmocka_unit_test(test_null_ended_list),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
