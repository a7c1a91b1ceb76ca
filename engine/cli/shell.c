/* shell.c - the line editor of `heapsift shell`: libedit with a history file, completion and Ctrl-C. */
#include "cli/shell.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY_MAX 1000 /* lines kept */
#define PROMPT_MARK '\1' /* stands around what takes no room in a prompt */

static struct {
    EditLine *editor;
    History *history;
    char *history_path; /* NULL: kept nowhere */
    const char *prompt;
    hs_prompt_complete *complete;
    void *complete_context;
    bool interrupted;
} shell;

static char *show_prompt(EditLine *editor)
{
    (void)editor;
    return (char *)(uintptr_t)shell.prompt; /* libedit only reads it */
}

static unsigned char on_interrupt(EditLine *editor, int key)
{
    (void)editor;
    (void)key;
    shell.interrupted = true;
    fputs("^C\n", stdout);
    return CC_NEWLINE;
}

/* Bytes that all candidates have in common. `list`: each ends with a newline. */
static size_t common_prefix(const char *list)
{
    size_t common = strcspn(list, "\n");
    for (const char *at = list; *at; at += strcspn(at, "\n") + 1) {
        size_t same = 0;
        while (same < common && at[same] == list[same])
            same++;
        common = same;
    }
    return common;
}

static size_t terminal_width(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void show_candidates(const char *list)
{
    size_t widest = 1, column = 0;
    for (const char *at = list; *at; at += strcspn(at, "\n") + 1)
        if (strcspn(at, "\n") > widest)
            widest = strcspn(at, "\n");
    size_t width = terminal_width();
    putchar('\n');
    for (const char *at = list; *at; at += strcspn(at, "\n") + 1) {
        int size = (int)strcspn(at, "\n");
        bool last = column + 2 * (widest + 2) > width || !at[size + 1];
        printf("%-*.*s%s", last ? size : (int)widest + 2, size, at, last ? "\n" : "");
        column = last ? 0 : column + widest + 2;
    }
    fflush(stdout);
}

static unsigned char on_complete(EditLine *editor, int key)
{
    (void)key;
    const LineInfo *line = el_line(editor);
    size_t typed = 0;
    char *list = shell.complete ? shell.complete(shell.complete_context, line->buffer,
                                                 (size_t)(line->cursor - line->buffer), &typed)
                                : NULL;
    if (!list || !*list) {
        free(list);
        return CC_REFRESH_BEEP;
    }
    size_t common = common_prefix(list), first = strcspn(list, "\n");
    bool single = !list[first + 1];
    unsigned char answer = CC_REFRESH_BEEP;
    if (common > typed || single) {
        el_deletestr(editor, (int)typed); /* the case of what was typed may differ */
        char *text = strndup(list, common);
        if (text && *text)
            el_insertstr(editor, text);
        char end = common > 0 ? list[common - 1] : 0;
        if (single && end != '!' && end != '.' && end != ':')
            el_insertstr(editor, " ");
        free(text);
        answer = CC_REFRESH;
    } else {
        show_candidates(list);
        answer = CC_REDISPLAY;
    }
    free(list);
    return answer;
}

static void make_folders(const char *path)
{
    char *copy = strdup(path);
    for (char *at = copy ? strchr(copy + 1, '/') : NULL; at; at = strchr(at + 1, '/')) {
        *at = 0;
        mkdir(copy, 0700); /* there already, or the file cannot be written either */
        *at = '/';
    }
    free(copy);
}

bool hs_shell_open(const char *history_path)
{
    setlocale(LC_CTYPE, "");
    HistEvent event;
    shell.editor = el_init("heapsift", stdin, stdout, stderr);
    shell.history = history_init();
    if (!shell.editor || !shell.history)
        return false;
    history(shell.history, &event, H_SETSIZE, HISTORY_MAX);
    history(shell.history, &event, H_SETUNIQUE, 1);
    el_set(shell.editor, EL_PROMPT_ESC, show_prompt, PROMPT_MARK);
    el_set(shell.editor, EL_EDITOR, "emacs");
    el_set(shell.editor, EL_HIST, history, shell.history);
    el_set(shell.editor, EL_ADDFN, "heapsift-complete", "completes a word", on_complete);
    el_set(shell.editor, EL_ADDFN, "heapsift-interrupt", "gives the line up", on_interrupt);
    el_set(shell.editor, EL_BIND, "^I", "heapsift-complete", NULL);
    el_set(shell.editor, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(shell.editor, EL_SETTY, "-d", "-isig", NULL); /* Ctrl-C is a key while a line is typed */
    el_set(shell.editor, EL_BIND, "^C", "heapsift-interrupt", NULL);
    if (history_path) {
        make_folders(history_path);
        shell.history_path = strdup(history_path);
        history(shell.history, &event, H_LOAD, history_path);
    }
    return true;
}

void hs_shell_complete(hs_prompt_complete *complete, void *context)
{
    shell.complete = complete;
    shell.complete_context = context;
}

const char *hs_shell_read(const char *prompt, size_t *size_ret, bool *interrupted_ret)
{
    int count = 0;
    shell.prompt = prompt;
    shell.interrupted = false;
    el_resize(shell.editor);
    const char *line = el_gets(shell.editor, &count);
    *interrupted_ret = shell.interrupted;
    *size_ret = 0;
    if (shell.interrupted)
        return "";
    if (!line || count <= 0)
        return NULL;
    *size_ret = (size_t)count - (line[count - 1] == '\n');
    return line;
}

void hs_shell_remember(const char *line)
{
    HistEvent event;
    history(shell.history, &event, H_ENTER, line);
    if (!shell.history_path)
        return;
    mode_t mask = umask(077); /* what was typed is nobody else's */
    history(shell.history, &event, H_SAVE, shell.history_path);
    umask(mask);
}

void hs_shell_close(void)
{
    if (shell.editor)
        el_end(shell.editor);
    if (shell.history)
        history_end(shell.history);
    free(shell.history_path);
    shell.editor = NULL;
    shell.history = NULL;
    shell.history_path = NULL;
}
