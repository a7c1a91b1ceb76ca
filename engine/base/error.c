/* error.c - how a failure is told, and the bounded list of notes on what could not be read. */
#include "base/base.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const char *hs_status_name(enum hs_status status)
{
    switch (status) {
    case HS_OK: return "ok";
    case HS_NOT_FOUND: return "not-found";
    case HS_ERR_IO: return "io";
    case HS_ERR_FORMAT: return "format";
    case HS_ERR_UNSUPPORTED: return "unsupported";
    case HS_ERR_UNMAPPED: return "unmapped";
    case HS_ERR_MEMORY: return "memory";
    case HS_ERR_ARGUMENT: return "argument";
    case HS_ERR_CANCELLED: return "cancelled";
    }
    return "unknown";
}

enum hs_status hs_fail(struct hs_error *err, enum hs_status status, uint64_t file_off, hs_va va, const char *format,
                       ...)
{
    if (err) {
        va_list arguments;
        err->status = status;
        err->file_off = file_off;
        err->va = va;
        va_start(arguments, format);
        vsnprintf(err->text, sizeof err->text, format, arguments);
        va_end(arguments);
    }
    return status;
}

enum hs_status hs_fail_memory(struct hs_error *err, const char *what)
{
    return hs_fail(err, HS_ERR_MEMORY, HS_NO_OFF, HS_NO_VA, "out of memory for %s", what);
}

void hs_error_prefix(struct hs_error *err, const char *format, ...)
{
    char text[sizeof err->text];
    va_list arguments;
    int used;

    if (!err)
        return;
    va_start(arguments, format);
    used = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (used < 0 || (size_t)used >= sizeof text)
        return;
    snprintf(text + used, sizeof text - (size_t)used, ": %.*s", (int)(sizeof text - (size_t)used), err->text);
    memcpy(err->text, text, sizeof text);
}

void hs_notes_init(struct hs_notes *notes)
{
    memset(notes, 0, sizeof *notes);
}

void hs_notes_deinit(struct hs_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        free(notes->texts[i]);
    hs_notes_init(notes);
}

void hs_notes_add(struct hs_notes *notes, const char *format, ...)
{
    char text[512];
    char *copy;
    va_list arguments;

    if (notes->count == HS_NOTES_MAX) {
        notes->dropped++;
        return;
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    copy = malloc(strlen(text) + 1);
    if (!copy) {
        notes->dropped++;
        return;
    }
    memcpy(copy, text, strlen(text) + 1);
    notes->texts[notes->count++] = copy;
}

void hs_notes_move(struct hs_notes *to, struct hs_notes *from)
{
    for (size_t i = 0; i < from->count; i++) {
        if (to->count < HS_NOTES_MAX) {
            to->texts[to->count++] = from->texts[i];
        } else {
            free(from->texts[i]);
            to->dropped++;
        }
    }
    to->dropped += from->dropped;
    hs_notes_init(from);
}

size_t hs_notes_lines(const struct hs_notes *notes)
{
    return notes->count + (notes->dropped ? 1 : 0);
}

const char *hs_notes_line(struct hs_notes *notes, size_t idx)
{
    if (idx < notes->count)
        return notes->texts[idx];
    if (idx > notes->count || !notes->dropped)
        return NULL;
    snprintf(notes->more, sizeof notes->more, "and %" PRIu64 " more notes of this kind", notes->dropped);
    return notes->more;
}
