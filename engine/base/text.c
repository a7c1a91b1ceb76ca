/* text.c - growing strings, and text of a dump made fit for a terminal. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

void hs_text_init(struct hs_text *text)
{
    memset(text, 0, sizeof *text);
}

void hs_text_deinit(struct hs_text *text)
{
    free(text->bytes);
    hs_text_init(text);
}

/* Room for `more` bytes and the closing 0. */
static bool reserve(struct hs_text *text, size_t more)
{
    size_t capacity = text->capacity ? text->capacity : 64;
    char *bytes;

    if (text->failed)
        return false;
    while (capacity - text->size <= more) {
        if (capacity > SIZE_MAX / 2) {
            text->failed = true;
            return false;
        }
        capacity *= 2;
    }
    if (capacity == text->capacity)
        return true;
    bytes = realloc(text->bytes, capacity);
    if (!bytes) {
        text->failed = true;
        return false;
    }
    text->bytes = bytes;
    text->capacity = capacity;
    return true;
}

void hs_text_add_bytes(struct hs_text *text, const void *bytes, size_t size)
{
    if (!reserve(text, size))
        return;
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = 0;
}

void hs_text_add(struct hs_text *text, const char *format, ...)
{
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0 || !reserve(text, (size_t)size)) {
        text->failed = true;
        return;
    }
    va_start(arguments, format);
    vsnprintf(text->bytes + text->size, (size_t)size + 1, format, arguments);
    va_end(arguments);
    text->size += (size_t)size;
}

/* Length of the UTF-8 sequence at `bytes` and its code point; 0 if there is none (overlong, surrogate, cut, above
 * U+10FFFF). */
static size_t utf8_next(const uint8_t *bytes, size_t size, uint32_t *point_ret)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length;
    uint32_t point;

    if (bytes[0] < 0x80) {
        *point_ret = bytes[0];
        return 1;
    }
    if (bytes[0] >= 0xc2 && bytes[0] <= 0xdf)
        length = 2;
    else if ((bytes[0] & 0xf0) == 0xe0)
        length = 3;
    else if (bytes[0] >= 0xf0 && bytes[0] <= 0xf4)
        length = 4;
    else
        return 0;
    if (length > size)
        return 0;
    point = bytes[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (bytes[i] & 0x3f);
    }
    if (point < smallest[length] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    *point_ret = point;
    return length;
}

/* A code point that moves the cursor, the colour or the direction of a terminal, or ends a line. */
static bool is_unsafe(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0x61c || point == 0x200e || point == 0x200f ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}

void hs_text_add_escaped(struct hs_text *text, const void *bytes, size_t size, bool keep_lines)
{
    const uint8_t *b = bytes;
    size_t plain = 0; /* start of the run that needs no escape */

    for (size_t i = 0; i < size;) {
        uint32_t point = 0;
        size_t length = utf8_next(b + i, size - i, &point);

        if (length && (!is_unsafe(point) || (keep_lines && (point == '\n' || point == '\t')))) {
            i += length;
            continue;
        }
        hs_text_add_bytes(text, b + plain, i - plain);
        plain = i + (length ? length : 1);
        for (; i < plain; i++)
            hs_text_add(text, "\\x%02x", (unsigned)b[i]);
    }
    hs_text_add_bytes(text, b + plain, size - plain);
}

static size_t utf8_put(char *bytes, uint32_t point)
{
    if (point < 0x80) {
        bytes[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        bytes[0] = (char)(0xc0 | point >> 6);
        bytes[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        bytes[0] = (char)(0xe0 | point >> 12);
        bytes[1] = (char)(0x80 | (point >> 6 & 0x3f));
        bytes[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    bytes[0] = (char)(0xf0 | point >> 18);
    bytes[1] = (char)(0x80 | (point >> 12 & 0x3f));
    bytes[2] = (char)(0x80 | (point >> 6 & 0x3f));
    bytes[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

static void add_utf16(struct hs_text *text, const uint8_t *bytes, size_t unit_count, bool escape)
{
    for (size_t i = 0; i < unit_count; i++) {
        uint32_t point = hs_load_u16(bytes + 2 * i);
        uint32_t low = i + 1 < unit_count ? hs_load_u16(bytes + 2 * (i + 1)) : 0;
        char utf8[4] = {0};

        if ((point & 0xfc00) == 0xd800 && (low & 0xfc00) == 0xdc00) {
            point = 0x10000 + ((point & 0x3ff) << 10 | (low & 0x3ff));
            i++;
        } else if ((point & 0xf800) == 0xd800) {
            if (escape) {
                hs_text_add(text, "\\u%04x", point);
                continue;
            }
            point = 0xfffd;
        }
        if (escape)
            hs_text_add_escaped(text, utf8, utf8_put(utf8, point), false);
        else
            hs_text_add_bytes(text, utf8, utf8_put(utf8, point));
    }
}

void hs_text_add_utf16(struct hs_text *text, const void *bytes, size_t unit_count)
{
    add_utf16(text, bytes, unit_count, true);
}

void hs_text_add_utf16_raw(struct hs_text *text, const void *bytes, size_t unit_count)
{
    add_utf16(text, bytes, unit_count, false);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

bool hs_text_matches(const char *name, const char *pattern, size_t pattern_size)
{
    const char *star_name = NULL; /* where the last * may begin to stand for one character more */
    size_t at = 0, star = 0;

    while (*name) {
        if (at < pattern_size && pattern[at] == '*') {
            star = ++at;
            star_name = name;
        } else if (at < pattern_size && (pattern[at] == '?' || lower(pattern[at]) == lower(*name))) {
            at++;
            name++;
        } else if (star_name) {
            at = star;
            name = ++star_name;
        } else {
            return false;
        }
    }
    while (at < pattern_size && pattern[at] == '*')
        at++;
    return at == pattern_size;
}
