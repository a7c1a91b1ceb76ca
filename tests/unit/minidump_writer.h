/* minidump_writer.h - writes user minidumps for the tests, byte by byte. It shares no table with the engine, so that a
 * wrong offset there cannot agree with itself. Offsets are from Microsoft's documentation of minidumpapiset.h, winnt.h
 * and winternl.h. */
#ifndef MINIDUMP_WRITER_H
#define MINIDUMP_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MDW_BYTES_MAX = 0x20000, MDW_STREAMS_MAX = 24, MDW_BLOCKS_MAX = 32 };

enum mdw_stream {
    MDW_THREADS = 3,
    MDW_MODULES = 4,
    MDW_MEMORY = 5,
    MDW_EXCEPTION = 6,
    MDW_SYSTEM = 7,
    MDW_THREADS_EX = 8,
    MDW_MEMORY64 = 9,
    MDW_COMMENT_A = 10,
    MDW_COMMENT_W = 11,
    MDW_UNLOADED = 14,
    MDW_MISC = 15,
    MDW_INFOS = 16
};

/* Memory of the process; its bytes are written behind all streams. */
struct mdw_block {
    uint64_t va;
    uint32_t size;
    const void *bytes;
};

struct mdw {
    uint8_t bytes[MDW_BYTES_MAX];
    uint32_t size;
    uint32_t stream_count;
    uint32_t open_row; /* directory row of the stream being written */
    struct mdw_block blocks[MDW_BLOCKS_MAX];
    uint32_t block_count;
    uint32_t memory_off; /* where the bytes of the first block lie, after mdw_end_memory */
};

/* The header and an empty directory of `rows` rows. */
void mdw_start(struct mdw *w, uint32_t rows);
/* Little-endian integers: at a place, and at the end (which gives their place). */
void mdw_put(struct mdw *w, uint32_t at, unsigned width, uint64_t value);
uint32_t mdw_add(struct mdw *w, unsigned width, uint64_t value);
uint32_t mdw_add_bytes(struct mdw *w, const void *bytes, uint32_t size);
void mdw_align(struct mdw *w, uint32_t align);
/* A MINIDUMP_STRING of ASCII text; gives its offset. */
uint32_t mdw_string(struct mdw *w, const char *text);

/* A stream from begin to end; begin gives its offset. */
uint32_t mdw_begin(struct mdw *w, enum mdw_stream type);
void mdw_end(struct mdw *w);
/* Directory row of the idx-th stream of that type (from 0); 0 if there is none. Type, size, offset: 4 bytes each. */
uint32_t mdw_row(const struct mdw *w, enum mdw_stream type, unsigned idx);
/* Offset of the first stream of that type. */
uint32_t mdw_at(const struct mdw *w, enum mdw_stream type);

/* Rows of streams. Offsets are 0 for "none". */
void mdw_add_system(struct mdw *w, unsigned architecture, uint32_t major, uint32_t minor, uint32_t build,
                    uint32_t service_pack_off);
void mdw_add_module(struct mdw *w, uint64_t base, uint32_t size, uint32_t name_off, uint32_t codeview_off,
                    uint32_t codeview_size);
void mdw_add_thread(struct mdw *w, uint32_t id, uint64_t teb_va, uint64_t stack_va, uint32_t stack_size,
                    uint32_t context_off, uint32_t context_size);
void mdw_add_info(struct mdw *w, uint64_t va, uint64_t size, uint32_t state, uint32_t protect, uint32_t type);
void mdw_add_exception(struct mdw *w, uint32_t thread_id, uint32_t code, uint64_t va, uint32_t context_off,
                       uint32_t context_size);

/* Memory: name the blocks, write lists of them, then their bytes. `bytes` must live until mdw_end_memory. */
void mdw_block(struct mdw *w, uint64_t va, uint32_t size, const void *bytes);
void mdw_add_memory64(struct mdw *w); /* a whole Memory64List stream over all blocks */
void mdw_add_memory(struct mdw *w);   /* a whole MemoryList stream over all blocks */
void mdw_end_memory(struct mdw *w);   /* the bytes of all blocks, and their offset into the lists */

/* ---- a whole small process ---- */

enum { MDW_PROCESS_MODULES = 2, MDW_PROCESS_THREADS = 2 };

struct mdw_process_options {
    bool is_64;
    bool sign_extended; /* 32-bit addresses from 2 GiB up are written as 64-bit negative numbers */
    bool padded;        /* 4 bytes between the count of a list and its array */
    bool memory_list;   /* MemoryList, not Memory64List */
    bool threads_ex;    /* ThreadExList, not ThreadList */
    bool no_system, no_infos, no_tebs, no_peb, no_comment;
    bool short_contexts; /* contexts end behind the last integer register */
    const void *image;   /* memory of the first module, or NULL */
    uint32_t image_size;
};

/* Where things are in it. */
struct mdw_process_places {
    uint64_t module_va[MDW_PROCESS_MODULES];
    uint32_t module_size[MDW_PROCESS_MODULES];
    uint64_t teb_va[MDW_PROCESS_THREADS];
    uint64_t stack_va[MDW_PROCESS_THREADS]; /* limit */
    uint32_t stack_size;
    uint32_t thread_id[MDW_PROCESS_THREADS];
    uint64_t peb_va, parameters_va, heaps_va, heap_va;
    uint32_t global_flag;
    const char *command_line;
    uint32_t context_size;
};

/* Writes a process with two modules, two threads, an exception in the second of them, an unloaded module, comments, and
 * memory: TEBs, PEB, process parameters, heap list, the top of each stack. */
void mdw_write_process(struct mdw *w, const struct mdw_process_options *options, struct mdw_process_places *places);

#endif
