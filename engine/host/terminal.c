/* terminal.c - the terminal that the program runs in: its size, and keys while nobody edits a line. */
#include "host/host_internal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* core.is_terminal(0, 1 or 2) */
static int is_terminal(lua_State *lua)
{
    lua_pushboolean(lua, isatty((int)luaL_checkinteger(lua, 1)));
    return 1;
}

/* core.terminal() -> columns, rows of the terminal that stdout is, as it is now; nil if it is none */
static int terminal(lua_State *lua)
{
    struct winsize size;
    if (host_of(lua)->text_to_stderr || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 0;
    lua_pushinteger(lua, size.ws_col);
    lua_pushinteger(lua, size.ws_row);
    return 2;
}

/* Reads at least `least` bytes of what is typed, without echo; Ctrl-C is a key. */
static ssize_t read_typed(const struct termios *before, char *bytes, size_t size, cc_t least)
{
    struct termios keys = *before;
    ssize_t count;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    keys.c_cc[VMIN] = least;
    keys.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &keys);
    do
        count = read(STDIN_FILENO, bytes, size);
    while (count < 0 && errno == EINTR);
    return count;
}

/* core.read_key() -> the bytes of one key, Ctrl-C among them; nil if stdin is no terminal or at its end */
static int read_key(lua_State *lua)
{
    struct termios before;
    char bytes[16];
    fflush(stdout);
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return 0;
    ssize_t size = read_typed(&before, bytes, 1, 1);
    if (size == 1 && bytes[0] == '\033') { /* an arrow or function key: the rest of it is there already */
        ssize_t more = read_typed(&before, bytes + 1, sizeof bytes - 1, 0);
        size += more > 0 ? more : 0;
    }
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
    if (size <= 0)
        return 0;
    lua_pushlstring(lua, bytes, (size_t)size);
    return 1;
}

const luaL_Reg host_terminal_functions[] = {
    {"is_terminal", is_terminal},
    {"terminal", terminal},
    {"read_key", read_key},
    {NULL, NULL},
};
