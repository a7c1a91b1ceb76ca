/* pe_writer.h - writes a small PE image in memory layout, byte by byte. It shares no table with the engine, so that a
 * wrong offset there cannot agree with itself. Offsets are from Microsoft's "PE Format". */
#ifndef PE_WRITER_H
#define PE_WRITER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    IMAGE_SIZE = 0x800,
    PE_AT = 0x80,
    FILE_AT = PE_AT + 4,
    OPTIONAL_AT = PE_AT + 24,
    TEXT_AT = 0x240,
    EXPORTS_AT = 0x300,
    FUNCTIONS_AT = 0x328,
    FUNCTION_COUNT = 8,
    NAMES_AT = 0x348,
    NAME_COUNT = 6,
    ORDINALS_AT = 0x360,
    NAME_TEXT_AT = 0x370,
    EXPORTS_SIZE = 0x100,
    DEBUG_AT = 0x500,
    DEBUG_SIZE = 2 * 28,
    RSDS_AT = 0x540,
    RESOURCES_AT = 0x580,
    RESOURCES_SIZE = 0x100,
    LEAF_AT = 0x5d0,
    VERSION_AT = 0x5e0,
    DATA_AT = 0x680,
    ORDINAL_BASE = 5
};

struct pe_writer {
    uint8_t bytes[IMAGE_SIZE];
    bool is_64;
    uint32_t text_end; /* where the next export name goes */
};

static inline void put(struct pe_writer *pe, uint32_t at, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++)
        pe->bytes[at + i] = (uint8_t)(value >> (8 * i));
}

static inline void put_text(struct pe_writer *pe, uint32_t at, const char *text)
{
    memcpy(pe->bytes + at, text, strlen(text) + 1);
}

static inline uint32_t optional_size(const struct pe_writer *pe)
{
    return pe->is_64 ? 0xf0 : 0xe0;
}

static inline uint32_t directory_at(const struct pe_writer *pe, unsigned idx)
{
    return OPTIONAL_AT + (pe->is_64 ? 112u : 96u) + 8 * idx;
}

static inline uint32_t section_at(const struct pe_writer *pe, unsigned idx)
{
    return OPTIONAL_AT + optional_size(pe) + 40 * idx;
}

static inline void put_section(struct pe_writer *pe, unsigned idx, const char *name, uint32_t at, uint32_t size,
                               uint32_t flags)
{
    uint32_t row = section_at(pe, idx);

    memcpy(pe->bytes + row, name, strlen(name));
    put(pe, row + 8, 4, size);
    put(pe, row + 12, 4, at);
    put(pe, row + 36, 4, flags);
}

static inline void put_headers(struct pe_writer *pe)
{
    put_text(pe, 0, "MZ");
    put(pe, 0x3c, 4, PE_AT);
    put_text(pe, PE_AT, "PE");
    put(pe, FILE_AT, 2, pe->is_64 ? 0x8664 : 0x14c);
    put(pe, FILE_AT + 2, 2, 4);
    put(pe, FILE_AT + 4, 4, 0x4a5bdb01);
    put(pe, FILE_AT + 16, 2, optional_size(pe));
    put(pe, OPTIONAL_AT, 2, pe->is_64 ? 0x20b : 0x10b);
    put(pe, OPTIONAL_AT + 56, 4, IMAGE_SIZE);
    put(pe, OPTIONAL_AT + 60, 4, 0x240);
    put(pe, OPTIONAL_AT + 64, 4, 0xbeef1);
    put(pe, directory_at(pe, 0) - 4, 4, 16);
    put(pe, directory_at(pe, 0), 4, EXPORTS_AT);
    put(pe, directory_at(pe, 0) + 4, 4, EXPORTS_SIZE);
    put(pe, directory_at(pe, 2), 4, RESOURCES_AT);
    put(pe, directory_at(pe, 2) + 4, 4, RESOURCES_SIZE);
    put(pe, directory_at(pe, 6), 4, DEBUG_AT);
    put(pe, directory_at(pe, 6) + 4, 4, DEBUG_SIZE);
    put_section(pe, 0, ".text", TEXT_AT, 0xc0, 0x60000020);
    put_section(pe, 1, ".rdata_8", EXPORTS_AT, 0x280, 0x40000040);
    put_section(pe, 2, ".rsrc", RESOURCES_AT, RESOURCES_SIZE, 0x40000040);
    put_section(pe, 3, ".data", DATA_AT, IMAGE_SIZE - DATA_AT, 0xc0000040);
}

static inline void put_name(struct pe_writer *pe, unsigned idx, unsigned function_idx, const char *text)
{
    put(pe, NAMES_AT + 4 * idx, 4, pe->text_end);
    put(pe, ORDINALS_AT + 2 * idx, 2, function_idx);
    put_text(pe, pe->text_end, text);
    pe->text_end += (uint32_t)strlen(text) + 1;
}

static inline void put_function(struct pe_writer *pe, unsigned idx, uint32_t at)
{
    put(pe, FUNCTIONS_AT + 4 * idx, 4, at);
}

static inline void put_exports(struct pe_writer *pe)
{
    put(pe, EXPORTS_AT + 16, 4, ORDINAL_BASE);
    put(pe, EXPORTS_AT + 20, 4, FUNCTION_COUNT);
    put(pe, EXPORTS_AT + 24, 4, NAME_COUNT);
    put(pe, EXPORTS_AT + 28, 4, FUNCTIONS_AT);
    put(pe, EXPORTS_AT + 32, 4, NAMES_AT);
    put(pe, EXPORTS_AT + 36, 4, ORDINALS_AT);
    pe->text_end = NAME_TEXT_AT;
    put_name(pe, 0, 0, "Alpha");
    put_name(pe, 1, 0, "AlphaAlias");
    put_name(pe, 2, 6, "Beta");
    put_name(pe, 3, 4, "Gamma");
    put_name(pe, 4, 3, "HeapAlloc");
    put_name(pe, 5, 7, "Table");
    put_function(pe, 0, TEXT_AT + 0x10);
    put_function(pe, 1, TEXT_AT + 0x20); /* nameless */
    put_function(pe, 3, pe->text_end);   /* ordinal 7 is not in use; 8 is a forwarder */
    put_text(pe, pe->text_end, "NTDLL.RtlAllocateHeap");
    put_function(pe, 4, TEXT_AT + 0x40);
    put_function(pe, 5, TEXT_AT + 0x40); /* nameless, at an address that has a name */
    put_function(pe, 6, TEXT_AT + 0x30);
    put_function(pe, 7, DATA_AT + 0x10);
}

static inline void put_debug(struct pe_writer *pe)
{
    put(pe, DEBUG_AT + 12, 4, 4); /* another kind of record first */
    put(pe, DEBUG_AT + 28 + 12, 4, 2);
    put(pe, DEBUG_AT + 28 + 16, 4, 24 + 19);
    put(pe, DEBUG_AT + 28 + 20, 4, RSDS_AT);
    put_text(pe, RSDS_AT, "RSDS");
    for (unsigned i = 0; i < 16; i++)
        put(pe, RSDS_AT + 4 + i, 1, 0xa0 + i);
    put(pe, RSDS_AT + 20, 4, 0x1a);
    put_text(pe, RSDS_AT + 24, "c:\\build\\small.pdb");
}

/* A resource directory with one named or numbered entry after `before` others. */
static inline void put_resource(struct pe_writer *pe, uint32_t at, unsigned before, uint32_t id, uint32_t off)
{
    put(pe, at + 14, 2, before + 1);
    for (unsigned i = 0; i < before; i++)
        put(pe, at + 16 + 8 * i, 4, i + 3);
    put(pe, at + 16 + 8 * before, 4, id);
    put(pe, at + 16 + 8 * before + 4, 4, off);
}

static inline void put_version(struct pe_writer *pe)
{
    static const char key[] = "VS_VERSION_INFO";

    put_resource(pe, RESOURCES_AT, 1, 16, 0x80000020);
    put_resource(pe, RESOURCES_AT + 0x20, 0, 1, 0x80000038);
    put_resource(pe, RESOURCES_AT + 0x38, 0, 0x409, LEAF_AT - RESOURCES_AT);
    put(pe, LEAF_AT, 4, VERSION_AT);
    put(pe, LEAF_AT + 4, 4, 92);
    put(pe, VERSION_AT, 2, 92);
    put(pe, VERSION_AT + 2, 2, 52);
    for (unsigned i = 0; i < sizeof key; i++)
        put(pe, VERSION_AT + 6 + 2 * i, 2, (unsigned char)key[i]);
    put(pe, VERSION_AT + 40, 4, 0xfeef04bd);
    put(pe, VERSION_AT + 44, 4, 0x10000);
    put(pe, VERSION_AT + 48, 4, 6 << 16 | 1);
    put(pe, VERSION_AT + 52, 4, 7601u << 16 | 17514);
}

static inline void pe_write(struct pe_writer *pe, bool is_64)
{
    memset(pe, 0, sizeof *pe);
    pe->is_64 = is_64;
    put_headers(pe);
    put_exports(pe);
    put_debug(pe);
    put_version(pe);
}

#endif
