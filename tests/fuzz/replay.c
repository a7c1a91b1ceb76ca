/* replay.c - runs a fuzz target over files and folders of inputs, where libFuzzer is not linked in. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static unsigned input_count;

static int fail(const char *path)
{
    fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
    return 1;
}

/* The input is copied to a block of its exact size, so that a sanitizer sees each read past its end. */
static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    struct stat facts;
    int result = 1;

    if (!file)
        return fail(path);
    if (fstat(fileno(file), &facts) != 0 || facts.st_size < 0 || (uintmax_t)facts.st_size > INPUT_MAX) {
        fprintf(stderr, "replay: %s: no file of at most %u bytes\n", path, INPUT_MAX);
        goto out;
    }
    size_t size = (size_t)facts.st_size;
    bytes = malloc(size ? size : 1);
    if (!bytes || fread(bytes, 1, size, file) != size) {
        fail(path);
        goto out;
    }
    fprintf(stderr, "replay: %s\n", path);
    LLVMFuzzerTestOneInput(bytes, size);
    input_count++;
    result = 0;
out:
    free(bytes);
    fclose(file);
    return result;
}

static int run_folder(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    int result = 0;

    if (count < 0)
        return fail(path);
    for (int i = 0; i < count; i++) {
        char file[4096];
        int length = snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] == '.')
            ; /* the folder itself, its parent, a placeholder */
        else if (length < 0 || (size_t)length >= sizeof file)
            result = 1;
        else
            result |= run_file(file);
        free(entries[i]);
    }
    free(entries);
    return result;
}

int main(int argc, char **argv)
{
    int result = 0;

    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct stat facts;
        if (stat(argv[i], &facts) != 0) {
            if (errno != ENOENT) /* a target may have no crashes yet */
                result |= fail(argv[i]);
        } else if (S_ISDIR(facts.st_mode))
            result |= run_folder(argv[i]);
        else
            result |= run_file(argv[i]);
    }
    printf("%u inputs\n", input_count);
    return result;
}
