/* minidump_writer.c - see minidump_writer.h. */
#include "minidump_writer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_SIZE 32u
#define ROW_SIZE 12u

void mdw_put(struct mdw *w, uint32_t at, unsigned width, uint64_t value)
{
    assert(at + width <= MDW_BYTES_MAX);
    for (unsigned i = 0; i < width; i++)
        w->bytes[at + i] = (uint8_t)(value >> (8 * i));
}

uint32_t mdw_add(struct mdw *w, unsigned width, uint64_t value)
{
    uint32_t at = w->size;

    mdw_put(w, at, width, value);
    w->size += width;
    return at;
}

uint32_t mdw_add_bytes(struct mdw *w, const void *bytes, uint32_t size)
{
    uint32_t at = w->size;

    assert(size <= MDW_BYTES_MAX - at);
    memcpy(w->bytes + at, bytes, size);
    w->size += size;
    return at;
}

void mdw_align(struct mdw *w, uint32_t align)
{
    while (w->size % align)
        mdw_add(w, 1, 0);
}

void mdw_start(struct mdw *w, uint32_t rows)
{
    memset(w, 0, sizeof *w);
    assert(rows <= MDW_STREAMS_MAX);
    mdw_add_bytes(w, "MDMP", 4);
    mdw_add(w, 2, 0xa793);
    mdw_add(w, 2, 0x1234); /* the writer's own version */
    mdw_add(w, 4, rows);
    mdw_add(w, 4, HEADER_SIZE);
    mdw_add(w, 4, 0);          /* checksum */
    mdw_add(w, 4, 0x4cf1a2b3); /* TimeDateStamp */
    mdw_add(w, 8, 0x1806);     /* Flags */
    for (uint32_t i = 0; i < rows * ROW_SIZE; i++)
        mdw_add(w, 1, 0);
}

uint32_t mdw_string(struct mdw *w, const char *text)
{
    uint32_t at;

    mdw_align(w, 4);
    at = mdw_add(w, 4, 2 * (uint32_t)strlen(text));
    for (; *text; text++)
        mdw_add(w, 2, (unsigned char)*text);
    mdw_add(w, 2, 0);
    return at;
}

uint32_t mdw_begin(struct mdw *w, enum mdw_stream type)
{
    assert(w->stream_count < (uint32_t)(w->bytes[8]));
    mdw_align(w, 8);
    w->open_row = HEADER_SIZE + ROW_SIZE * w->stream_count++;
    mdw_put(w, w->open_row, 4, type);
    mdw_put(w, w->open_row + 8, 4, w->size);
    return w->size;
}

static uint32_t get(const struct mdw *w, uint32_t at)
{
    return w->bytes[at] | (uint32_t)w->bytes[at + 1] << 8 | (uint32_t)w->bytes[at + 2] << 16 |
           (uint32_t)w->bytes[at + 3] << 24;
}

void mdw_end(struct mdw *w)
{
    mdw_put(w, w->open_row + 4, 4, w->size - get(w, w->open_row + 8));
}

uint32_t mdw_row(const struct mdw *w, enum mdw_stream type, unsigned idx)
{
    for (uint32_t i = 0; i < w->stream_count; i++)
        if (get(w, HEADER_SIZE + ROW_SIZE * i) == (uint32_t)type && idx-- == 0)
            return HEADER_SIZE + ROW_SIZE * i;
    return 0;
}

uint32_t mdw_at(const struct mdw *w, enum mdw_stream type)
{
    uint32_t row = mdw_row(w, type, 0);

    assert(row);
    return get(w, row + 8);
}

/* ---- rows ---- */

void mdw_add_system(struct mdw *w, unsigned architecture, uint32_t major, uint32_t minor, uint32_t build,
                    uint32_t service_pack_off)
{
    mdw_begin(w, MDW_SYSTEM);
    mdw_add(w, 2, architecture);
    mdw_add(w, 2, 6);      /* ProcessorLevel */
    mdw_add(w, 2, 0x0f06); /* ProcessorRevision */
    mdw_add(w, 1, 2);      /* NumberOfProcessors */
    mdw_add(w, 1, 1);      /* ProductType */
    mdw_add(w, 4, major);
    mdw_add(w, 4, minor);
    mdw_add(w, 4, build);
    mdw_add(w, 4, 2); /* PlatformId: NT */
    mdw_add(w, 4, service_pack_off);
    mdw_add(w, 2, 0x100); /* SuiteMask */
    mdw_add(w, 2, 0);
    for (unsigned i = 0; i < 6; i++)
        mdw_add(w, 4, 0); /* CPU_INFORMATION */
    mdw_end(w);
}

void mdw_add_module(struct mdw *w, uint64_t base, uint32_t size, uint32_t name_off, uint32_t codeview_off,
                    uint32_t codeview_size)
{
    mdw_add(w, 8, base);
    mdw_add(w, 4, size);
    mdw_add(w, 4, 0xc0c0a);    /* CheckSum */
    mdw_add(w, 4, 0x48025d00); /* TimeDateStamp */
    mdw_add(w, 4, name_off);
    mdw_add(w, 4, 0xfeef04bd); /* VS_FIXEDFILEINFO: signature, structure version, file version 5.1.2600.5512 */
    mdw_add(w, 4, 0x10000);
    mdw_add(w, 4, 5 << 16 | 1);
    mdw_add(w, 4, 2600u << 16 | 5512);
    mdw_add(w, 4, 9 << 16 | 8); /* product version */
    mdw_add(w, 4, 7 << 16 | 6);
    for (unsigned i = 0; i < 7; i++)
        mdw_add(w, 4, 0);
    mdw_add(w, 4, codeview_size);
    mdw_add(w, 4, codeview_off);
    mdw_add(w, 8, 0); /* MiscRecord */
    mdw_add(w, 8, 0);
    mdw_add(w, 8, 0);
}

void mdw_add_thread(struct mdw *w, uint32_t id, uint64_t teb_va, uint64_t stack_va, uint32_t stack_size,
                    uint32_t context_off, uint32_t context_size)
{
    mdw_add(w, 4, id);
    mdw_add(w, 4, 1);    /* SuspendCount */
    mdw_add(w, 4, 0x20); /* PriorityClass */
    mdw_add(w, 4, 9);    /* Priority */
    mdw_add(w, 8, teb_va);
    mdw_add(w, 8, stack_va);
    mdw_add(w, 4, stack_size);
    mdw_add(w, 4, 0);
    mdw_add(w, 4, context_size);
    mdw_add(w, 4, context_off);
}

void mdw_add_info(struct mdw *w, uint64_t va, uint64_t size, uint32_t state, uint32_t protect, uint32_t type)
{
    mdw_add(w, 8, va);
    mdw_add(w, 8, va & ~(uint64_t)0xffff);
    mdw_add(w, 4, 0x40); /* AllocationProtect */
    mdw_add(w, 4, 0);
    mdw_add(w, 8, size);
    mdw_add(w, 4, state);
    mdw_add(w, 4, protect);
    mdw_add(w, 4, type);
    mdw_add(w, 4, 0);
}

void mdw_add_exception(struct mdw *w, uint32_t thread_id, uint32_t code, uint64_t va, uint32_t context_off,
                       uint32_t context_size)
{
    mdw_begin(w, MDW_EXCEPTION);
    mdw_add(w, 4, thread_id);
    mdw_add(w, 4, 0);
    mdw_add(w, 4, code);
    mdw_add(w, 4, 0); /* ExceptionFlags */
    mdw_add(w, 8, 0); /* ExceptionRecord */
    mdw_add(w, 8, va);
    mdw_add(w, 4, 2); /* NumberParameters */
    mdw_add(w, 4, 0);
    for (unsigned i = 0; i < 15; i++)
        mdw_add(w, 8, i);
    mdw_add(w, 4, context_size);
    mdw_add(w, 4, context_off);
    mdw_end(w);
}

/* ---- memory ---- */

void mdw_block(struct mdw *w, uint64_t va, uint32_t size, const void *bytes)
{
    assert(w->block_count < MDW_BLOCKS_MAX);
    w->blocks[w->block_count++] = (struct mdw_block){va, size, bytes};
}

void mdw_add_memory64(struct mdw *w)
{
    mdw_begin(w, MDW_MEMORY64);
    mdw_add(w, 8, w->block_count);
    mdw_add(w, 8, 0); /* BaseRva: mdw_end_memory */
    for (uint32_t i = 0; i < w->block_count; i++) {
        mdw_add(w, 8, w->blocks[i].va);
        mdw_add(w, 8, w->blocks[i].size);
    }
    mdw_end(w);
}

void mdw_add_memory(struct mdw *w)
{
    mdw_begin(w, MDW_MEMORY);
    mdw_add(w, 4, w->block_count);
    for (uint32_t i = 0; i < w->block_count; i++) {
        mdw_add(w, 8, w->blocks[i].va);
        mdw_add(w, 4, w->blocks[i].size);
        mdw_add(w, 4, 0);
    }
    mdw_end(w);
}

void mdw_end_memory(struct mdw *w)
{
    uint32_t row64 = mdw_row(w, MDW_MEMORY64, 0), row = mdw_row(w, MDW_MEMORY, 0);

    mdw_align(w, 16);
    w->memory_off = w->size;
    if (row64)
        mdw_put(w, get(w, row64 + 8) + 8, 8, w->size);
    for (uint32_t i = 0; i < w->block_count; i++) {
        if (row) /* the array is at the end of its stream, behind a count that may be padded */
            mdw_put(w, get(w, row + 8) + get(w, row + 4) - 16 * (w->block_count - i) + 12, 4, w->size);
        mdw_add_bytes(w, w->blocks[i].bytes, w->blocks[i].size);
    }
}

/* ---- a whole small process ---- */

static void store(uint8_t *bytes, uint32_t at, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        bytes[at + i] = (uint8_t)(value >> (8 * i));
}

/* Where things are: a 32-bit process with large addresses has its TEBs, PEB and second module above 2 GiB. */
static void choose_places(const struct mdw_process_options *o, struct mdw_process_places *p)
{
    bool high = o->sign_extended;

    *p = (struct mdw_process_places){
        .module_va = {o->is_64 ? 0x140000000 : 0x400000, o->is_64 ? 0x7ff80010000
                                                         : high   ? 0xbc900000
                                                                  : 0x7c900000},
        .module_size = {0x4000, 0x6000},
        .teb_va = {o->is_64 ? 0x7fffffde000
                   : high   ? 0xfffde000
                            : 0x7ffde000,
                   o->is_64 ? 0x7fffffdc000
                   : high   ? 0xfffdd000
                            : 0x7ffdd000},
        .stack_va = {0x12f000, high ? 0x9012f000 : 0x22f000},
        .stack_size = 0x1000,
        .thread_id = {0x1a4, 0x1b8},
        .peb_va = o->is_64 ? 0x7fffffdf000
                  : high   ? 0xfffdf000
                           : 0x7ffdf000,
        .parameters_va = 0x20000,
        .heaps_va = 0x30000,
        .heap_va = 0x150000,
        .global_flag = 0x1040,
        .command_line = "\"C:\\APP\\MAIN.EXE\" /x",
        .context_size = o->short_contexts ? (o->is_64 ? 0x100 : 0xcc) : (o->is_64 ? 1232 : 716),
    };
}

static uint64_t written(const struct mdw_process_options *o, uint64_t va)
{
    return o->sign_extended ? (uint64_t)(int64_t)(int32_t)(uint32_t)va : va;
}

/* CONTEXT of winnt.h: each register has a value that tells which one it is. */
static uint32_t add_context(struct mdw *w, bool is_64, uint32_t size, uint64_t ip, uint64_t sp)
{
    uint8_t bytes[1232] = {0};

    if (is_64) {
        store(bytes, 0x30, 4, 0x10000b); /* ContextFlags */
        store(bytes, 0x38, 2, 0x33);     /* SegCs */
        store(bytes, 0x42, 2, 0x2b);     /* SegSs */
        store(bytes, 0x44, 4, 0x246);    /* EFlags */
        for (unsigned i = 0; i < 16; i++)
            store(bytes, 0x78 + 8 * i, 8, 0x1111111100000000 + i); /* Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8.. */
        store(bytes, 0x98, 8, sp);
        store(bytes, 0xf8, 8, ip);
    } else {
        store(bytes, 0, 4, 0x10007);
        for (unsigned i = 0; i < 4; i++)
            store(bytes, 0x8c + 4 * i, 4, 0x30 + i); /* SegGs, Fs, Es, Ds */
        for (unsigned i = 0; i < 7; i++)
            store(bytes, 0x9c + 4 * i, 4, 0x11110000 + i); /* Edi, Esi, Ebx, Edx, Ecx, Eax, Ebp */
        store(bytes, 0xb8, 4, ip);
        store(bytes, 0xbc, 4, 0x1b);  /* SegCs */
        store(bytes, 0xc0, 4, 0x246); /* EFlags */
        store(bytes, 0xc4, 4, sp);
        store(bytes, 0xc8, 4, 0x23); /* SegSs */
    }
    mdw_align(w, 16);
    return mdw_add_bytes(w, bytes, size);
}

enum { TEB_BYTES = 0x70, PEB_BYTES = 0x100, PARAMETERS_BYTES = 0xc0, STACK_BYTES = 0x40 };

struct process_memory {
    uint8_t tebs[MDW_PROCESS_THREADS][TEB_BYTES];
    uint8_t peb[PEB_BYTES], parameters[PARAMETERS_BYTES], heaps[16], heap[16];
    uint8_t stacks[MDW_PROCESS_THREADS][STACK_BYTES];
};

static void fill_memory(struct process_memory *m, const struct mdw_process_options *o,
                        const struct mdw_process_places *p)
{
    unsigned wide = o->is_64 ? 8 : 4;
    uint32_t text_size = 2 * (uint32_t)strlen(p->command_line);

    memset(m, 0, sizeof *m);
    for (unsigned i = 0; i < MDW_PROCESS_THREADS; i++) {
        store(m->tebs[i], wide, wide, p->stack_va[i] + p->stack_size); /* NT_TIB.StackBase */
        store(m->tebs[i], 2 * wide, wide, p->stack_va[i]);             /* StackLimit */
        store(m->tebs[i], o->is_64 ? 0x30 : 0x18, wide, p->teb_va[i]); /* Self */
        store(m->tebs[i], o->is_64 ? 0x60 : 0x30, wide, p->peb_va);
        for (unsigned k = 0; k < STACK_BYTES; k++)
            m->stacks[i][k] = (uint8_t)(16 * i + k);
    }
    store(m->peb, o->is_64 ? 0x10 : 0x08, wide, p->module_va[0]);  /* ImageBaseAddress */
    store(m->peb, o->is_64 ? 0x20 : 0x10, wide, p->parameters_va); /* ProcessParameters */
    store(m->peb, o->is_64 ? 0x30 : 0x18, wide, p->heap_va);       /* ProcessHeap */
    store(m->peb, o->is_64 ? 0xbc : 0x68, 4, p->global_flag);      /* NtGlobalFlag */
    store(m->peb, o->is_64 ? 0xe8 : 0x88, 4, 1);                   /* NumberOfHeaps */
    store(m->peb, o->is_64 ? 0xec : 0x8c, 4, 16);                  /* MaximumNumberOfHeaps */
    store(m->peb, o->is_64 ? 0xf0 : 0x90, wide, p->heaps_va);      /* ProcessHeaps */
    store(m->heaps, 0, wide, p->heap_va);
    memset(m->heap, 0xcc, sizeof m->heap);                      /* no heap that anybody knows */
    store(m->parameters, o->is_64 ? 0x70 : 0x40, 2, text_size); /* CommandLine: Length, MaximumLength, Buffer */
    store(m->parameters, o->is_64 ? 0x72 : 0x42, 2, text_size + 2);
    store(m->parameters, o->is_64 ? 0x78 : 0x44, wide, p->parameters_va + 0x80);
    for (uint32_t i = 0; i < text_size / 2; i++)
        store(m->parameters, 0x80 + 2 * i, 2, (unsigned char)p->command_line[i]);
}

static void name_blocks(struct mdw *w, const struct process_memory *m, const struct mdw_process_options *o,
                        const struct mdw_process_places *p)
{
    mdw_block(w, p->parameters_va, PARAMETERS_BYTES, m->parameters);
    mdw_block(w, p->heaps_va, sizeof m->heaps, m->heaps);
    for (unsigned i = 0; i < MDW_PROCESS_THREADS; i++)
        mdw_block(w, written(o, p->stack_va[i] + p->stack_size - STACK_BYTES), STACK_BYTES, m->stacks[i]);
    mdw_block(w, p->heap_va, sizeof m->heap, m->heap);
    if (o->image)
        mdw_block(w, p->module_va[0], o->image_size, o->image);
    for (unsigned i = 0; i < MDW_PROCESS_THREADS && !o->no_tebs; i++)
        mdw_block(w, written(o, p->teb_va[i]), TEB_BYTES, m->tebs[i]);
    if (!o->no_peb)
        mdw_block(w, written(o, p->peb_va), PEB_BYTES, m->peb);
}

static void begin_list(struct mdw *w, const struct mdw_process_options *o, enum mdw_stream type, uint32_t count)
{
    mdw_begin(w, type);
    mdw_add(w, 4, count);
    if (o->padded)
        mdw_add(w, 4, 0);
}

static void add_modules(struct mdw *w, const struct mdw_process_options *o, const struct mdw_process_places *p)
{
    static const uint8_t rsds[] =
        "RSDS\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x02\0\0\0main.pdb";
    uint32_t first = mdw_string(w, "C:\\APP\\MAIN.EXE"), second = mdw_string(w, "C:\\WINDOWS\\system32\\ntdll.dll");
    uint32_t codeview = mdw_add_bytes(w, rsds, sizeof rsds);

    begin_list(w, o, MDW_MODULES, MDW_PROCESS_MODULES);
    mdw_add_module(w, written(o, p->module_va[0]), p->module_size[0], first, codeview, sizeof rsds);
    mdw_add_module(w, written(o, p->module_va[1]), p->module_size[1], second, 0, 0);
    mdw_end(w);

    second = mdw_string(w, "GONE.DLL");
    mdw_begin(w, MDW_UNLOADED);
    mdw_add(w, 4, 12);
    mdw_add(w, 4, 24);
    mdw_add(w, 4, 1);
    mdw_add(w, 8, written(o, o->sign_extended ? 0x91000000 : 0x61000000));
    mdw_add(w, 4, 0x2000);
    mdw_add(w, 4, 0xabc);
    mdw_add(w, 4, 0x41424344);
    mdw_add(w, 4, second);
    mdw_end(w);
}

static void add_threads(struct mdw *w, const struct mdw_process_options *o, const struct mdw_process_places *p)
{
    uint32_t contexts[MDW_PROCESS_THREADS], crash;

    for (unsigned i = 0; i < MDW_PROCESS_THREADS; i++)
        contexts[i] =
            add_context(w, o->is_64, p->context_size, p->module_va[1] + 0x100 * (i + 1), p->stack_va[i] + 0xfc0);
    crash = add_context(w, o->is_64, p->context_size, p->module_va[0] + 0x250, p->stack_va[1] + 0xfd0);
    begin_list(w, o, o->threads_ex ? MDW_THREADS_EX : MDW_THREADS, MDW_PROCESS_THREADS);
    for (unsigned i = 0; i < MDW_PROCESS_THREADS; i++) {
        mdw_add_thread(w, p->thread_id[i], written(o, p->teb_va[i]),
                       written(o, p->stack_va[i] + p->stack_size - STACK_BYTES), STACK_BYTES, contexts[i],
                       p->context_size);
        for (unsigned k = 0; k < 2 && o->threads_ex; k++)
            mdw_add(w, 8, 0); /* BackingStore */
    }
    mdw_end(w);
    mdw_add_exception(w, p->thread_id[1], 0xc0000005, written(o, p->module_va[0] + 0x250), crash, p->context_size);
}

static void add_comments(struct mdw *w)
{
    static const char text[] = "written by a test";

    mdw_begin(w, MDW_COMMENT_A);
    mdw_add_bytes(w, text, sizeof text);
    mdw_end(w);
    mdw_begin(w, MDW_COMMENT_W);
    for (size_t i = 0; i < sizeof "wide"; i++)
        mdw_add(w, 2, (unsigned char)"wide"[i]);
    mdw_end(w);
}

static void add_infos(struct mdw *w, const struct mdw_process_options *o, const struct mdw_process_places *p)
{
    mdw_begin(w, MDW_INFOS);
    mdw_add(w, 4, 16);
    mdw_add(w, 4, 48);
    mdw_add(w, 8, 4);
    mdw_add_info(w, p->stack_va[0], p->stack_size, 0x1000, 4, 0x20000);
    mdw_add_info(w, p->heap_va, 0x10000, 0x2000, 0, 0x20000);
    mdw_add_info(w, p->heap_va + 0x10000, 0x10000, 0x10000, 1, 0);
    mdw_add_info(w, written(o, p->module_va[1]), p->module_size[1], 0x1000, 0x20, 0x1000000);
    mdw_end(w);
}

void mdw_write_process(struct mdw *w, const struct mdw_process_options *o, struct mdw_process_places *p)
{
    struct process_memory *memory = malloc(sizeof *memory);
    uint32_t service_pack;

    assert(memory);
    choose_places(o, p);
    fill_memory(memory, o, p);
    mdw_start(w, 12);
    if (!o->no_system) {
        service_pack = mdw_string(w, "Service Pack 3");
        mdw_add_system(w, o->is_64 ? 9 : 0, 5, o->is_64 ? 2 : 1, o->is_64 ? 3790 : 2600, service_pack);
    }
    add_modules(w, o, p);
    add_threads(w, o, p);
    mdw_begin(w, MDW_MISC);
    mdw_add(w, 4, 24);
    mdw_add(w, 4, 3); /* process id and times are valid */
    mdw_add(w, 4, 0xd3c);
    mdw_add(w, 4, 0x4cf19000);
    mdw_add(w, 4, 77);
    mdw_add(w, 4, 66);
    mdw_end(w);
    if (!o->no_comment)
        add_comments(w);
    if (!o->no_infos)
        add_infos(w, o, p);
    name_blocks(w, memory, o, p);
    if (o->memory_list) {
        mdw_add_memory(w);
        if (o->padded) { /* its array moved up by 4 bytes */
            memmove(w->bytes + mdw_at(w, MDW_MEMORY) + 8, w->bytes + mdw_at(w, MDW_MEMORY) + 4, 16 * w->block_count);
            mdw_put(w, mdw_at(w, MDW_MEMORY) + 4, 4, 0);
            w->size += 4;
            mdw_end(w);
        }
    } else {
        mdw_add_memory64(w);
    }
    mdw_end_memory(w);
    free(memory);
}
