/* streams.c - the streams of a minidump as plain records: system, modules, threads, process, exception, comments.
 *
 * Layouts: the MINIDUMP_ structures of minidumpapiset.h; offsets are written where they are used. */
#include "file/streams.h"
#include "file/memory.h"

#include <inttypes.h>

#define MODULES_MAX 4096u   /* real processes have below 1,000 */
#define STRING_MAX 65534u   /* bytes of one MINIDUMP_STRING that are read: a path has at most 32,767 units */
#define TEXT_MAX (4u << 20) /* bytes of all of them: thousands of modules may share one long name */

hs_va hs_file_va(const struct hs_file *file, uint64_t va)
{
    return file->arch == HS_ARCH_X86 ? (uint32_t)va : va;
}

uint64_t hs_stream_count(struct hs_file *file, const struct hs_stream *stream, const char *what, uint64_t off,
                         uint64_t declared, uint64_t element_size)
{
    uint64_t held = stream->bytes.size > off ? (stream->bytes.size - off) / element_size : 0;

    if (declared <= held)
        return declared;
    hs_notes_add(file->notes, "%s at offset 0x%" PRIx64 ": %" PRIu64 " entries declared, the stream holds %" PRIu64,
                 what, stream->file_off, declared, held);
    return held;
}

/* Bytes of the file by MINIDUMP_LOCATION_DESCRIPTOR (size, then offset); empty if none, and with a note if not in the
 * file. */
static struct hs_span located(struct hs_file *file, const uint8_t *location, const char *what)
{
    struct hs_span part = {NULL, 0};
    uint32_t size = hs_load_u32(location), off = hs_load_u32(location + 4);

    if (size && !hs_span_part(file->map, off, size, &part)) {
        hs_notes_add(file->notes, "%s: 0x%" PRIx32 " bytes at offset 0x%" PRIx32 " run past the end of the file", what,
                     size, off);
        file->cut = true;
    }
    return part;
}

/* A finished text moved into the arena; NULL when out of memory. */
static const char *keep_text(struct hs_file *file, struct hs_text *text)
{
    const char *kept = text->failed ? NULL : hs_arena_string(&file->arena, text->bytes ? text->bytes : "");

    hs_text_deinit(text);
    return kept;
}

/* The MINIDUMP_STRING at a file offset as escaped UTF-8, cut at an embedded 0; "" with a note if it is not in the
 * file; NULL when out of memory. */
static const char *read_string(struct hs_file *file, uint32_t off, const char *what)
{
    struct hs_text text;
    struct hs_span units;
    uint32_t size;
    size_t count = 0;

    if (off == 0)
        return "";
    if (!hs_span_u32(file->map, off, &size) ||
        !hs_span_part(file->map, (uint64_t)off + 4, size > STRING_MAX ? STRING_MAX : size, &units)) {
        hs_notes_add(file->notes, "%s: its text at offset 0x%" PRIx32 " is past the end of the file", what, off);
        file->cut = true;
        return "";
    }
    if (file->text_size > TEXT_MAX) {
        hs_notes_add(file->notes, "%s: more than %u bytes of texts, the one at offset 0x%" PRIx32 " is left out", what,
                     TEXT_MAX, off);
        return "";
    }
    while (count < units.size / 2 && hs_load_u16(units.bytes + 2 * count))
        count++;
    hs_text_init(&text);
    hs_text_add_utf16(&text, units.bytes, count);
    file->text_size += text.size;
    return keep_text(file, &text);
}

/* Where the array of a list stream begins: behind its 32-bit count, by some writers aligned to 8. */
static uint64_t list_start(const struct hs_stream *stream, uint32_t count, uint64_t element_size)
{
    return stream->bytes.size == 8 + count * element_size ? 8 : 4;
}

/* MINIDUMP_SYSTEM_INFO */
static enum hs_status read_system(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    static const struct {
        uint16_t value;
        enum hs_arch arch;
    } arches[] = {{0, HS_ARCH_X86}, {5, HS_ARCH_ARM}, {6, HS_ARCH_IA64}, {9, HS_ARCH_X64}, {12, HS_ARCH_ARM64}};
    const uint8_t *b = stream->bytes.bytes;

    if (stream->bytes.size < 28) {
        hs_notes_add(file->notes, "SystemInfo at offset 0x%" PRIx64 ": %" PRIu64 " bytes, expected at least 28",
                     stream->file_off, stream->bytes.size);
        return HS_OK;
    }
    for (size_t i = 0; i < sizeof arches / sizeof *arches; i++)
        if (arches[i].value == hs_load_u16(b))
            file->arch = arches[i].arch;
    file->processor_count = b[6];
    file->windows_major = hs_load_u32(b + 8);
    file->windows_minor = hs_load_u32(b + 12);
    file->windows_build = hs_load_u32(b + 16);
    file->platform_id = hs_load_u32(b + 20);
    file->service_pack = read_string(file, hs_load_u32(b + 24), "SystemInfo");
    file->has_system = true;
    return file->service_pack ? HS_OK : hs_fail_memory(err, "the service pack");
}

/* MINIDUMP_MODULE, 108 bytes each */
static enum hs_status read_modules(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    uint32_t declared;
    uint64_t count, off;

    if (!hs_span_u32(stream->bytes, 0, &declared))
        return HS_OK;
    off = list_start(stream, declared, 108);
    count = hs_stream_count(file, stream, "ModuleList", off, declared, 108);
    if (count > MODULES_MAX) {
        hs_notes_add(file->notes, "ModuleList: %" PRIu64 " modules, only %u are read", count, MODULES_MAX);
        count = MODULES_MAX;
    }
    file->modules = hs_arena_alloc(&file->arena, count, sizeof *file->modules);
    if (!file->modules)
        return hs_fail_memory(err, "the module list");
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *b = stream->bytes.bytes + off + i * 108;
        struct hs_module_record *module = &file->modules[file->module_count];

        module->base = hs_file_va(file, hs_load_u64(b));
        module->size = hs_load_u32(b + 8);
        module->checksum = hs_load_u32(b + 12);
        module->timestamp = hs_load_u32(b + 16);
        module->path = read_string(file, hs_load_u32(b + 20), "ModuleList");
        if (!module->path)
            return hs_fail_memory(err, "a module's name");
        if (hs_load_u32(b + 24) == 0xfeef04bdu) { /* VS_FIXEDFILEINFO.dwSignature */
            module->has_version = true;
            module->version[0] = hs_load_u16(b + 34);
            module->version[1] = hs_load_u16(b + 32);
            module->version[2] = hs_load_u16(b + 38);
            module->version[3] = hs_load_u16(b + 36);
        }
        module->codeview = located(file, b + 76, "ModuleList: a debug record");
        if (module->base && module->size)
            file->module_count++;
        else
            hs_notes_add(file->notes, "ModuleList: entry %" PRIu64 " has base 0 or size 0 and is left out", i);
    }
    return HS_OK;
}

/* MINIDUMP_UNLOADED_MODULE, 24 bytes or more each */
static enum hs_status read_unloaded(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    uint32_t header_size, entry_size, declared;
    uint64_t count;

    if (!hs_span_u32(stream->bytes, 0, &header_size) || !hs_span_u32(stream->bytes, 4, &entry_size) ||
        !hs_span_u32(stream->bytes, 8, &declared))
        return HS_OK;
    if (header_size < 12 || entry_size < 24) {
        hs_notes_add(file->notes,
                     "UnloadedModuleList at offset 0x%" PRIx64 ": header of %" PRIu32 " and entries of %" PRIu32
                     " bytes, expected at least 12 and 24; not used",
                     stream->file_off, header_size, entry_size);
        return HS_OK;
    }
    count = hs_stream_count(file, stream, "UnloadedModuleList", header_size, declared, entry_size);
    if (count > MODULES_MAX) {
        hs_notes_add(file->notes, "UnloadedModuleList: %" PRIu64 " modules, only %u are read", count, MODULES_MAX);
        count = MODULES_MAX;
    }
    file->unloaded = hs_arena_alloc(&file->arena, count, sizeof *file->unloaded);
    if (!file->unloaded)
        return hs_fail_memory(err, "the list of unloaded modules");
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *b = stream->bytes.bytes + header_size + i * entry_size;
        struct hs_unloaded_module *module = &file->unloaded[i];

        module->base = hs_file_va(file, hs_load_u64(b));
        module->size = hs_load_u32(b + 8);
        module->checksum = hs_load_u32(b + 12);
        module->timestamp = hs_load_u32(b + 16);
        module->name = read_string(file, hs_load_u32(b + 20), "UnloadedModuleList");
        if (!module->name)
            return hs_fail_memory(err, "an unloaded module's name");
        file->unloaded_count++;
    }
    return HS_OK;
}

/* MINIDUMP_THREAD (48 bytes) or, of ThreadExList, MINIDUMP_THREAD_EX (64 bytes) with the same beginning */
static enum hs_status read_thread_entries(struct hs_file *file, const struct hs_stream *stream, uint64_t entry_size,
                                          const char *what, struct hs_error *err)
{
    uint32_t declared;
    uint64_t count, off;

    if (file->thread_count || !hs_span_u32(stream->bytes, 0, &declared))
        return HS_OK;
    off = list_start(stream, declared, entry_size);
    count = hs_stream_count(file, stream, what, off, declared, entry_size);
    file->threads = hs_arena_alloc(&file->arena, count, sizeof *file->threads);
    if (!file->threads)
        return hs_fail_memory(err, "the thread list");
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *b = stream->bytes.bytes + off + i * entry_size;

        file->threads[file->thread_count++] = (struct hs_thread_record){
            .id = hs_load_u32(b),
            .suspend_count = hs_load_u32(b + 4),
            .priority_class = hs_load_u32(b + 8),
            .priority = hs_load_u32(b + 12),
            .teb_va = hs_file_va(file, hs_load_u64(b + 16)),
            .stack_va = hs_file_va(file, hs_load_u64(b + 24)),
            .stack_size = hs_load_u32(b + 32),
            .context = located(file, b + 40, what),
        };
    }
    return HS_OK;
}

static enum hs_status read_threads(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    return read_thread_entries(file, stream, 48, "ThreadList", err);
}

static enum hs_status read_threads_ex(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    return read_thread_entries(file, stream, 64, "ThreadExList", err);
}

/* MINIDUMP_MISC_INFO */
static enum hs_status read_misc(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    uint32_t flags;

    (void)err;
    if (!hs_span_u32(stream->bytes, 4, &flags))
        return HS_OK;
    file->has_process_id = (flags & 1) && hs_span_u32(stream->bytes, 8, &file->process_id);
    file->has_process_times = (flags & 2) && hs_span_u32(stream->bytes, 12, &file->create_time) &&
                              hs_span_u32(stream->bytes, 16, &file->user_time) &&
                              hs_span_u32(stream->bytes, 20, &file->kernel_time);
    return HS_OK;
}

/* MINIDUMP_EXCEPTION_STREAM, 168 bytes */
static enum hs_status read_exception(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    const uint8_t *b = stream->bytes.bytes;

    (void)err;
    if (stream->bytes.size < 168) {
        hs_notes_add(file->notes, "Exception at offset 0x%" PRIx64 ": %" PRIu64 " bytes, expected 168; not used",
                     stream->file_off, stream->bytes.size);
        return HS_OK;
    }
    file->has_exception = true;
    file->exception_thread_id = hs_load_u32(b);
    file->exception_code = hs_load_u32(b + 8);
    file->exception_va = hs_file_va(file, hs_load_u64(b + 24));
    file->exception_context = located(file, b + 160, "Exception: its context");
    return HS_OK;
}

static enum hs_status add_comment(struct hs_file *file, struct hs_text *text, struct hs_error *err)
{
    const char *comment = keep_text(file, text);

    if (!comment)
        return hs_fail_memory(err, "the comment");
    if (!*file->comment)
        file->comment = comment;
    return HS_OK;
}

static enum hs_status read_comment_ascii(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    uint64_t size = stream->bytes.size < STRING_MAX ? stream->bytes.size : STRING_MAX;
    struct hs_text text;

    hs_text_init(&text);
    hs_text_add_escaped(&text, stream->bytes.bytes, strnlen((const char *)stream->bytes.bytes, size), false);
    return add_comment(file, &text, err);
}

static enum hs_status read_comment_wide(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err)
{
    uint64_t size = stream->bytes.size < STRING_MAX ? stream->bytes.size : STRING_MAX;
    struct hs_text text;
    size_t count = 0;

    while (count < size / 2 && hs_load_u16(stream->bytes.bytes + 2 * count))
        count++;
    hs_text_init(&text);
    hs_text_add_utf16(&text, stream->bytes.bytes, count);
    return add_comment(file, &text, err);
}

/* The streams that are read, in the order they are read in: SystemInfo first, because the pointer width decides how
 * addresses are taken. Of several streams of one type the first is used. */
static const struct {
    uint32_t type; /* MINIDUMP_STREAM_TYPE */
    const char *name;
    enum hs_status (*read)(struct hs_file *file, const struct hs_stream *stream, struct hs_error *err);
} readers[] = {
    {7, "SystemInfo", read_system},
    {4, "ModuleList", read_modules},
    {14, "UnloadedModuleList", read_unloaded},
    {3, "ThreadList", read_threads},
    {8, "ThreadExList", read_threads_ex},
    {15, "MiscInfo", read_misc},
    {6, "Exception", read_exception},
    {10, "CommentA", read_comment_ascii},
    {11, "CommentW", read_comment_wide},
    {9, "Memory64List", hs_memory_read_list64},
    {5, "MemoryList", hs_memory_read_list},
    {16, "MemoryInfoList", hs_memory_read_infos},
};

/* Without SystemInfo the first addresses of the dump tell the width: a 32-bit process has none above 4 GiB. */
static void guess_system(struct hs_file *file, const struct hs_stream *streams, size_t stream_count)
{
    if (file->has_system)
        return;
    file->arch = HS_ARCH_X86;
    for (size_t i = 0; i < stream_count; i++) {
        uint32_t count;
        uint64_t va;

        if (streams[i].type == 4 && hs_span_u32(streams[i].bytes, 0, &count) &&
            hs_span_u64(streams[i].bytes, list_start(&streams[i], count, 108), &va) && va >> 32 &&
            va >> 32 != UINT32_MAX)
            file->arch = HS_ARCH_X64;
    }
    hs_notes_add(file->notes, "SystemInfo is missing: taken for a Windows XP %s process by its addresses",
                 file->arch == HS_ARCH_X86 ? "x86" : "x64");
    file->windows_major = 5;
    file->windows_minor = file->arch == HS_ARCH_X86 ? 1 : 2;
}

enum hs_status hs_streams_read(struct hs_file *file, const struct hs_stream *streams, size_t stream_count,
                               struct hs_error *err)
{
    for (size_t r = 0; r < sizeof readers / sizeof *readers; r++) {
        const struct hs_stream *used = NULL;

        for (size_t i = 0; i < stream_count; i++) {
            if (streams[i].type != readers[r].type)
                continue;
            if (streams[i].bytes.size == 0) {
                hs_notes_add(file->notes, "%s: the stream is empty", readers[r].name);
            } else if (!used) {
                enum hs_status status;

                used = &streams[i];
                status = readers[r].read(file, used, err);
                if (status != HS_OK)
                    return status;
            } else {
                hs_notes_add(file->notes,
                             "%s: a second one at offset 0x%" PRIx64 " is ignored, the one at 0x%" PRIx64 " is used",
                             readers[r].name, streams[i].file_off, used->file_off);
            }
        }
        if (readers[r].type == 7)
            guess_system(file, streams, stream_count);
    }
    return HS_OK;
}
