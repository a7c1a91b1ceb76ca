/* heap_writer.c - see heap_writer.h. Offsets: Windows XP SP3 x86 and Windows 2003 SP2 x64, from public symbol dumps. */
#include "heap_writer.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PAGE 0x1000u
#define PEB_X86 0x7ffdb000u
#define TEB_X86 0x7ffde000u
#define PEB_X64 0x7fffffdb000u
#define TEB_X64 0x7fffffde000u

struct offsets {
    unsigned peb_heap, peb_flag, peb_count, peb_maximum, peb_list, peb_image;
    unsigned teb_base, teb_limit, teb_self, teb_peb;
    unsigned heap_signature, heap_flags, heap_force, heap_free, heap_large, heap_segments, heap_lock, heap_front,
        heap_front_type, heap_size, heap_ucr;
    unsigned segment_signature, segment_heap, segment_base, segment_pages, segment_first, segment_last,
        segment_uncommitted, segment_holes, segment_list, segment_size;
    unsigned hole_address, hole_length, hole_size;
    unsigned large_previous, large_extra, large_commit, large_reserve, large_header, large_size;
    unsigned extra_tag, extra_settable, extra_size;
    unsigned lookaside_stride;
};

static const struct offsets x86 = {
    .peb_heap = 0x18,
    .peb_flag = 0x68,
    .peb_count = 0x88,
    .peb_maximum = 0x8c,
    .peb_list = 0x90,
    .peb_image = 8,
    .teb_base = 4,
    .teb_limit = 8,
    .teb_self = 0x18,
    .teb_peb = 0x30,
    .heap_signature = 8,
    .heap_flags = 0xc,
    .heap_force = 0x10,
    .heap_free = 0x28,
    .heap_large = 0x50,
    .heap_segments = 0x58,
    .heap_lock = 0x578,
    .heap_front = 0x580,
    .heap_front_type = 0x586,
    .heap_size = 0x640,
    .heap_ucr = 0x598,
    .segment_signature = 8,
    .segment_heap = 0x10,
    .segment_base = 0x18,
    .segment_pages = 0x1c,
    .segment_first = 0x20,
    .segment_last = 0x24,
    .segment_uncommitted = 0x28,
    .segment_holes = 0x2c,
    .segment_list = 0x30,
    .segment_size = 0x40,
    .hole_address = 4,
    .hole_length = 8,
    .hole_size = 0x10,
    .large_previous = 4,
    .large_extra = 8,
    .large_commit = 0x10,
    .large_reserve = 0x14,
    .large_header = 0x18,
    .large_size = 0x20,
    .extra_tag = 2,
    .extra_settable = 4,
    .extra_size = 8,
    .lookaside_stride = 0x30,
};

static const struct offsets x64 = {
    .peb_heap = 0x30,
    .peb_flag = 0xbc,
    .peb_count = 0xe8,
    .peb_maximum = 0xec,
    .peb_list = 0xf0,
    .peb_image = 0x10,
    .teb_base = 8,
    .teb_limit = 0x10,
    .teb_self = 0x30,
    .teb_peb = 0x60,
    .heap_signature = 0x10,
    .heap_flags = 0x14,
    .heap_force = 0x18,
    .heap_free = 0x40,
    .heap_large = 0x90,
    .heap_segments = 0xa0,
    .heap_lock = 0xac8,
    .heap_front = 0xad8,
    .heap_front_type = 0xae2,
    .heap_size = 0xbc0,
    .heap_ucr = 0xb00,
    .segment_signature = 0x10,
    .segment_heap = 0x18,
    .segment_base = 0x28,
    .segment_pages = 0x30,
    .segment_first = 0x38,
    .segment_last = 0x40,
    .segment_uncommitted = 0x48,
    .segment_holes = 0x4c,
    .segment_list = 0x50,
    .segment_size = 0x70,
    .hole_address = 8,
    .hole_length = 0x10,
    .hole_size = 0x20,
    .large_previous = 8,
    .large_extra = 0x10,
    .large_commit = 0x20,
    .large_reserve = 0x28,
    .large_header = 0x30,
    .large_size = 0x40,
    .extra_tag = 2,
    .extra_settable = 8,
    .extra_size = 0x10,
    .lookaside_stride = 0x40,
};

static const struct offsets *offsets_of(const struct hw_process *process)
{
    return process->pointer == 4 ? &x86 : &x64;
}

static void store(uint8_t *bytes, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

/* ---- a process ---- */

void hw_process_init(struct hw_process *process, unsigned pointer)
{
    memset(process, 0, sizeof *process);
    process->pointer = pointer;
    process->major = 5;
    process->minor = pointer == 4 ? 1 : 2;
}

void hw_process_deinit(struct hw_process *process)
{
    for (size_t i = 0; i < process->area_count; i++)
        free(process->areas[i].bytes);
    memset(process, 0, sizeof *process);
}

static struct hw_area *area_of(struct hw_process *process, uint64_t va)
{
    for (size_t i = 0; i < process->area_count; i++)
        if (va >= process->areas[i].va && va - process->areas[i].va < process->areas[i].size)
            return &process->areas[i];
    return NULL;
}

uint8_t *hw_map(struct hw_process *process, uint64_t va, uint64_t size)
{
    struct hw_area *area = &process->areas[process->area_count++];

    assert_true(process->area_count <= HW_AREA_MAX);
    *area = (struct hw_area){va, size, calloc(1, size), false};
    assert_non_null(area->bytes);
    return area->bytes;
}

uint8_t *hw_at(struct hw_process *process, uint64_t va)
{
    struct hw_area *area = area_of(process, va);

    if (!area)
        fail_msg("%llx is not mapped", (unsigned long long)va);
    return area->bytes + (va - area->va);
}

void hw_put(struct hw_process *process, uint64_t va, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size; i++)
        *hw_at(process, va + i) = (uint8_t)(value >> (8 * i));
}

void hw_put_pointer(struct hw_process *process, uint64_t va, uint64_t value)
{
    hw_put(process, va, process->pointer, value);
}

uint64_t hw_get(struct hw_process *process, uint64_t va, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)*hw_at(process, va + i) << (8 * i);
    return value;
}

void hw_split(struct hw_process *process, uint64_t va)
{
    struct hw_area *area = area_of(process, va), *tail;
    uint64_t keep = area ? va - area->va : 0;

    if (!area || keep == 0)
        return;
    assert_true(process->area_count < HW_AREA_MAX);
    tail = &process->areas[process->area_count++];
    *tail = (struct hw_area){va, area->size - keep, malloc(area->size - keep), area->absent};
    assert_non_null(tail->bytes);
    memcpy(tail->bytes, area->bytes + keep, tail->size);
    area->size = keep;
}

void hw_omit(struct hw_process *process, uint64_t va, uint64_t size)
{
    hw_split(process, va);
    hw_split(process, va + size);
    for (size_t i = 0; i < process->area_count; i++)
        if (process->areas[i].va >= va && process->areas[i].va < va + size)
            process->areas[i].absent = true;
}

void hw_module(struct hw_process *process, const char *name, uint64_t va, uint64_t size)
{
    assert_true(process->module_count < HW_MODULE_MAX);
    process->modules[process->module_count].va = va;
    process->modules[process->module_count].size = size;
    process->modules[process->module_count++].name = name;
}

/* PEB, TEB and heap list, as areas of their own. */
static void add_process_areas(const struct hw_process *process, struct hw_area *areas, size_t *count)
{
    const struct offsets *o = offsets_of(process);
    uint64_t peb = process->pointer == 4 ? PEB_X86 : PEB_X64, teb = process->pointer == 4 ? TEB_X86 : TEB_X64;
    uint8_t *bytes = calloc(2, PAGE);

    assert_non_null(bytes);
    store(bytes + o->peb_image, process->pointer, process->module_count ? process->modules[0].va : 0x400000);
    store(bytes + o->peb_heap, process->pointer, process->heap_list[0]);
    store(bytes + o->peb_flag, 4, process->global_flag);
    store(bytes + o->peb_count, 4, process->told_heap_count ? process->told_heap_count : process->heap_count);
    store(bytes + o->peb_maximum, 4, 1024);
    store(bytes + o->peb_list, process->pointer, peb + PAGE);
    for (size_t i = 0; i < process->heap_count; i++)
        store(bytes + PAGE + i * process->pointer, process->pointer, process->heap_list[i]);
    areas[(*count)++] = (struct hw_area){peb, PAGE + process->heap_count * process->pointer, bytes, false};
    bytes = calloc(1, PAGE);
    assert_non_null(bytes);
    store(bytes + o->teb_self, process->pointer, teb);
    store(bytes + o->teb_peb, process->pointer, peb);
    areas[(*count)++] = (struct hw_area){teb, PAGE, bytes, process->no_teb};
}

struct writer {
    uint8_t *bytes;
    size_t size;
};

static size_t reserve_bytes(struct writer *w, size_t size)
{
    size_t at = w->size;

    w->bytes = realloc(w->bytes, w->size + size);
    assert_non_null(w->bytes);
    memset(w->bytes + at, 0, size);
    w->size += size;
    return at;
}

static void directory(struct writer *w, unsigned idx, uint32_t type, size_t at, size_t size)
{
    store(w->bytes + 32 + idx * 12, 4, type);
    store(w->bytes + 32 + idx * 12 + 4, 4, size);
    store(w->bytes + 32 + idx * 12 + 8, 4, at);
}

static void write_modules(struct writer *w, const struct hw_process *process)
{
    size_t list = reserve_bytes(w, 4 + process->module_count * 108);

    store(w->bytes + list, 4, process->module_count);
    directory(w, 2, 4, list, 4 + process->module_count * 108);
    for (size_t i = 0; i < process->module_count; i++) {
        size_t length = strlen(process->modules[i].name);
        size_t text = reserve_bytes(w, 4 + 2 * length + 2);
        uint8_t *record = w->bytes + list + 4 + i * 108;

        store(w->bytes + text, 4, 2 * length);
        for (size_t c = 0; c < length; c++)
            w->bytes[text + 4 + 2 * c] = (uint8_t)process->modules[i].name[c];
        store(record, 8, process->modules[i].va);
        store(record + 8, 4, process->modules[i].size);
        store(record + 20, 4, text);
    }
}

static void write_infos(struct writer *w, const struct hw_process *process)
{
    size_t list = reserve_bytes(w, 16 + process->info_count * 48);

    directory(w, 4, process->info_count ? 16 : 0, list, 16 + process->info_count * 48);
    store(w->bytes + list, 4, 16);
    store(w->bytes + list + 4, 4, 48);
    store(w->bytes + list + 8, 8, process->info_count);
    for (size_t i = 0; i < process->info_count; i++) {
        uint8_t *record = w->bytes + list + 16 + i * 48;

        store(record, 8, process->infos[i].va);
        store(record + 8, 8, process->infos[i].va);
        store(record + 24, 8, process->infos[i].size);
        store(record + 32, 4, process->infos[i].absent ? 0x2000 : 0x1000);
        store(record + 40, 4, 0x20000);
    }
}

uint8_t *hw_minidump(const struct hw_process *process, size_t *size_ret)
{
    struct hw_area areas[HW_AREA_MAX + 2];
    size_t area_count = process->area_count, present = 0, at, memory;
    struct writer w = {0};

    memcpy(areas, process->areas, sizeof process->areas);
    add_process_areas(process, areas, &area_count);
    for (size_t i = 0; i < area_count; i++)
        present += !areas[i].absent;
    reserve_bytes(&w, 32 + 5 * 12);
    memcpy(w.bytes, "MDMP\x93\xa7", 6);
    store(w.bytes + 8, 4, 5);
    store(w.bytes + 12, 4, 32);
    store(w.bytes + 24, 8, 2);
    at = reserve_bytes(&w, 56);
    directory(&w, 0, 7, at, 56);
    store(w.bytes + at, 2, process->pointer == 4 ? 0 : 9);
    w.bytes[at + 6] = 1;
    store(w.bytes + at + 8, 4, process->major);
    store(w.bytes + at + 12, 4, process->minor);
    store(w.bytes + at + 16, 4, 2600);
    store(w.bytes + at + 20, 4, 2);
    at = reserve_bytes(&w, 4 + 48);
    directory(&w, 1, 3, at, 4 + 48);
    store(w.bytes + at, 4, 1);
    store(w.bytes + at + 4, 4, 0x1234);
    store(w.bytes + at + 4 + 16, 8, process->pointer == 4 ? TEB_X86 : TEB_X64);
    write_modules(&w, process);
    write_infos(&w, process);
    memory = reserve_bytes(&w, 16 + present * 16);
    directory(&w, 3, 9, memory, 16 + present * 16);
    store(w.bytes + memory, 8, present);
    store(w.bytes + memory + 8, 8, w.size);
    /* Last area first: so no two that touch in the process do so in the file. */
    for (size_t i = area_count, n = 0; i-- > 0;) {
        if (areas[i].absent)
            continue;
        store(w.bytes + memory + 16 + n * 16, 8, areas[i].va);
        store(w.bytes + memory + 16 + n * 16 + 8, 8, areas[i].size);
        n++;
        at = reserve_bytes(&w, areas[i].size);
        memcpy(w.bytes + at, areas[i].bytes, areas[i].size);
    }
    for (size_t i = process->area_count; i < area_count; i++)
        free(areas[i].bytes);
    *size_ret = w.size;
    return w.bytes;
}

struct hs_dump *hw_open(const struct hw_process *process, unsigned thread_count, uint8_t **bytes_ret)
{
    const struct hs_open_options options = {.thread_count = thread_count};
    struct hs_dump *dump = NULL;
    struct hs_error err = {0};
    size_t size;

    *bytes_ret = hw_minidump(process, &size);
    if (hs_dump_open_bytes("test", *bytes_ret, size, &options, &dump, &err) != HS_OK)
        fail_msg("%s", err.text);
    return dump;
}

/* ---- heaps ---- */

static void add_block(struct hw_segment *segment, const struct hw_block *block)
{
    if (segment->block_count == segment->block_capacity) {
        segment->block_capacity = segment->block_capacity ? segment->block_capacity * 2 : 64;
        segment->blocks = realloc(segment->blocks, segment->block_capacity * sizeof *segment->blocks);
        assert_non_null(segment->blocks);
    }
    segment->blocks[segment->block_count++] = *block;
}

static struct hw_segment *present_segment(struct hw_heap *heap)
{
    return &heap->segments[heap->segment_count - 1];
}

void hw_header(struct hw_heap *heap, uint64_t va, uint16_t units, uint16_t previous, uint8_t flags, uint8_t unused)
{
    va += heap->header_off;
    hw_put(heap->process, va, 2, units);
    hw_put(heap->process, va + 2, 2, previous);
    hw_put(heap->process, va + 5, 1, flags);
    hw_put(heap->process, va + 6, 1, unused);
}

/* The record of a segment, as an internal block of `total` bytes. */
static void segment_record(struct hw_heap *heap, struct hw_segment *segment, unsigned number)
{
    const struct offsets *o = offsets_of(heap->process);
    struct hw_process *p = heap->process;
    uint16_t units = (uint16_t)(o->segment_size / heap->unit);
    struct hw_block block = {.va = segment->va,
                             .user_va = segment->va + heap->unit,
                             .total = o->segment_size,
                             .size = o->segment_size - heap->unit,
                             .state = HS_BLOCK_INTERNAL,
                             .flags = 1,
                             .heap_idx = heap->heap_idx,
                             .segment_idx = number,
                             .previous_units = segment->previous_units};

    hw_header(heap, segment->va, units, segment->previous_units, 1, 0);
    hw_put(p, segment->va + heap->header_off + 7, 1, number);
    hw_put(p, segment->va + o->segment_signature, 4, 0xffeeffee);
    hw_put_pointer(p, segment->va + o->segment_heap, heap->va);
    hw_put_pointer(p, segment->va + o->segment_base, segment->base);
    hw_put(p, segment->va + o->segment_pages, 4, segment->reserve / PAGE);
    segment->first_entry = segment->va + o->segment_size;
    hw_put_pointer(p, segment->va + o->segment_first, segment->first_entry);
    hw_put_pointer(p, segment->va + o->segment_last, segment->base + segment->reserve);
    hw_put_pointer(p, heap->va + o->heap_segments + number * p->pointer, segment->va);
    add_block(segment, &block);
    segment->next = segment->first_entry;
    segment->previous_units = units;
}

void hw_heap_init(struct hw_heap *heap, struct hw_process *process, uint64_t va, const struct hw_heap_plan *plan)
{
    static const struct hw_heap_plan usual = {.lock = true};
    const struct offsets *o = offsets_of(process);
    unsigned header_size;
    struct hw_segment *segment;
    struct hw_block block;

    plan = plan ? plan : &usual;
    memset(heap, 0, sizeof *heap);
    heap->process = process;
    heap->heap_idx = (unsigned)process->heap_count;
    heap->unit = 2 * process->pointer;
    heap->header_off = process->pointer == 4 ? 0 : 8;
    heap->va = va;
    heap->flags = plan->flags;
    process->heap_list[process->heap_count++] = va;
    header_size = plan->header_size ? plan->header_size : o->heap_size;

    heap->segment_count = 1;
    segment = present_segment(heap);
    segment->base = va;
    segment->va = va + header_size;
    segment->reserve = plan->reserve ? plan->reserve : 0x40000;
    segment->mapped_to = va + segment->reserve;
    hw_map(process, va, segment->reserve);

    hw_header(heap, va, (uint16_t)(header_size / heap->unit), 0, 1, 0);
    hw_put(process, va + o->heap_signature, 4, 0xeeffeeff);
    hw_put(process, va + o->heap_flags, 4, plan->flags);
    hw_put(process, va + o->heap_force, 4, plan->flags & 0x7f);
    hw_put_pointer(process, va + o->heap_large, va + o->heap_large);
    hw_put_pointer(process, va + o->heap_large + process->pointer, va + o->heap_large);
    hw_put_pointer(process, va + o->heap_lock, plan->lock ? va + header_size - 0x38 : 0);
    heap->last_large = va + o->heap_large;
    /* Records of uncommitted ranges stand behind the fields of _HEAP; more of them in a page of their own. */
    heap->hole_records = va + o->heap_ucr;
    heap->hole_records_end = heap->hole_records + 4 * o->hole_size;
    assert_true(heap->hole_records_end <= segment->va);
    block = (struct hw_block){.va = va,
                              .user_va = va + heap->unit,
                              .size = header_size - heap->unit,
                              .total = header_size,
                              .state = HS_BLOCK_INTERNAL,
                              .flags = 1,
                              .heap_idx = heap->heap_idx};
    add_block(segment, &block);
    segment->previous_units = (uint16_t)(header_size / heap->unit);
    segment_record(heap, segment, 0);
}

void hw_heap_deinit(struct hw_heap *heap)
{
    for (unsigned i = 0; i < heap->segment_count; i++)
        free(heap->segments[i].blocks);
    memset(heap, 0, sizeof *heap);
}

void hw_heap_segment(struct hw_heap *heap, uint64_t va, uint64_t reserve)
{
    struct hw_segment *segment;

    assert_true(heap->segment_count < HW_SEGMENT_MAX);
    heap->segment_count++;
    segment = present_segment(heap);
    segment->base = segment->va = va;
    segment->reserve = reserve;
    segment->mapped_to = va + reserve;
    hw_map(heap->process, va, reserve);
    segment_record(heap, segment, heap->segment_count - 1);
}

/* User bytes are filled so that they are no header of anything. */
static void fill_user(struct hw_heap *heap, const struct hw_block *block)
{
    for (uint64_t va = block->user_va; va < block->va + block->total; va += heap->unit)
        memset(hw_at(heap->process, va), block->state == HS_BLOCK_FREE ? 0 : 0xdb, heap->unit);
}

const struct hw_block *hw_block(struct hw_heap *heap, const struct hw_plan *plan)
{
    const struct offsets *o = offsets_of(heap->process);
    struct hw_segment *segment = present_segment(heap);
    bool busy = plan->state == HS_BLOCK_BUSY;
    struct hw_block block = {.va = segment->next,
                             .state = plan->state,
                             .heap_idx = heap->heap_idx,
                             .segment_idx = heap->segment_count - 1,
                             .flags = plan->flags,
                             .small_tag = plan->small_tag,
                             .previous_units = segment->previous_units};
    uint64_t units = (heap->unit + plan->size + (busy && plan->extra ? o->extra_size : 0) +
                      (busy && plan->tail_fill ? heap->unit : 0) + heap->unit - 1) /
                         heap->unit +
                     plan->more_unused;
    uint64_t extra;

    if (units < 2)
        units = 2;
    assert_true(units <= 0xffff);
    block.total = units * heap->unit;
    block.user_va = block.va + heap->unit;
    block.size = busy ? plan->size : block.total - heap->unit;
    block.flags |= plan->state == HS_BLOCK_FREE ? 0 : 1;
    if (busy || plan->state == HS_BLOCK_LOOKASIDE)
        block.unused_bytes = busy ? (uint8_t)(block.total - plan->size) : 8;
    if (busy)
        assert_true(block.total - plan->size <= 0xff);
    if (busy && plan->extra)
        block.flags |= 2;
    if (busy && plan->tail_fill)
        block.flags |= 4;
    if (block.va + block.total > segment->mapped_to)
        fail_msg("segment at %llx is full", (unsigned long long)segment->base);
    fill_user(heap, &block);
    hw_header(heap, block.va, (uint16_t)units, block.previous_units, block.flags, block.unused_bytes);
    hw_put(heap->process, block.va + heap->header_off + 4, 1, plan->small_tag);
    hw_put(heap->process, block.va + heap->header_off + 7, 1, heap->segment_count - 1);
    if (block.flags & 2 && busy) {
        extra = block.va + block.total - o->extra_size;
        hw_put(heap->process, extra, 2, plan->stored);
        hw_put(heap->process, extra + o->extra_tag, 2, plan->tag);
        hw_put_pointer(heap->process, extra + o->extra_settable, plan->settable);
        block.has_stored = (heap->flags & HW_CAPTURE) != 0;
        block.stored = block.has_stored ? plan->stored : 0;
        block.tag = plan->tag;
        block.settable = plan->settable;
    }
    add_block(segment, &block);
    segment->next += block.total;
    segment->previous_units = (uint16_t)units;
    return &segment->blocks[segment->block_count - 1];
}

const struct hw_block *hw_busy(struct hw_heap *heap, uint64_t size)
{
    return hw_block(heap, &(struct hw_plan){.state = HS_BLOCK_BUSY, .size = size});
}

const struct hw_block *hw_free(struct hw_heap *heap, uint64_t user_size)
{
    return hw_block(heap, &(struct hw_plan){.state = HS_BLOCK_FREE, .size = user_size});
}

const struct hw_block *hw_fill(struct hw_heap *heap, unsigned more_pages)
{
    struct hw_segment *segment = present_segment(heap);
    uint64_t end = (segment->next + 2 * heap->unit + PAGE - 1) / PAGE * PAGE + (uint64_t)more_pages * PAGE;

    return hw_free(heap, end - segment->next - heap->unit);
}

void hw_hole(struct hw_heap *heap, uint64_t size)
{
    const struct offsets *o = offsets_of(heap->process);
    struct hw_process *p = heap->process;
    struct hw_segment *segment = present_segment(heap);
    struct hw_block block = {.va = segment->next,
                             .user_va = segment->next,
                             .size = size,
                             .total = size,
                             .state = HS_BLOCK_UNCOMMITTED,
                             .heap_idx = heap->heap_idx,
                             .segment_idx = heap->segment_count - 1};
    uint64_t record;

    assert_true(size > 0 && size % PAGE == 0 && segment->next % PAGE == 0);
    if (heap->hole_records + o->hole_size > heap->hole_records_end) {
        heap->hole_records = heap->va + 0x7000000 + heap->segment_count * 0x10000 + segment->hole_count * 0x1000;
        heap->hole_records_end = heap->hole_records + PAGE;
        hw_map(p, heap->hole_records, PAGE);
    }
    record = heap->hole_records;
    heap->hole_records += o->hole_size;
    hw_put_pointer(p, record + o->hole_address, segment->next);
    hw_put_pointer(p, record + o->hole_length, size);
    hw_put_pointer(p, segment->last_hole_record ? segment->last_hole_record : segment->va + o->segment_list, record);
    segment->last_hole_record = record;
    segment->hole_count++;
    segment->uncommitted += size;
    hw_put(p, segment->va + o->segment_holes, 4, segment->hole_count);
    hw_put(p, segment->va + o->segment_uncommitted, 4, segment->uncommitted / PAGE);
    hw_omit(p, segment->next, size);
    add_block(segment, &block);
    segment->next += size;
    segment->previous_units = 0;
}

void hw_previous(struct hw_heap *heap, uint16_t units)
{
    present_segment(heap)->previous_units = units;
}

void hw_segment_end(struct hw_heap *heap, bool to_the_end)
{
    struct hw_segment *segment = present_segment(heap);
    uint64_t end = segment->base + segment->reserve;

    while (to_the_end && end - segment->next > 0x20000)
        hw_free(heap, 0x10000);
    if (to_the_end) {
        hw_free(heap, end - segment->next - heap->unit);
    } else {
        if (segment->next % PAGE)
            hw_fill(heap, 0);
        if (segment->next < end)
            hw_hole(heap, end - segment->next);
    }
}

const struct hw_block *hw_large(struct hw_heap *heap, uint64_t va, const struct hw_plan *plan, uint64_t commit)
{
    const struct offsets *o = offsets_of(heap->process);
    struct hw_process *p = heap->process;
    uint64_t needed = (o->large_size + plan->size + PAGE - 1) / PAGE * PAGE;
    uint64_t size = commit ? commit : needed;
    struct hw_block *block = &heap->larges[heap->large_count++];
    uint8_t flags = (uint8_t)(0xb | plan->flags);
    uint64_t header = va + o->large_header;

    assert_true(heap->large_count <= 16 && size - plan->size <= 0xffff);
    hw_map(p, va, size);
    memset(hw_at(p, va), 0xdb, size);
    hw_put_pointer(p, heap->last_large, va);
    hw_put_pointer(p, va + o->large_previous, heap->last_large);
    hw_put_pointer(p, va, heap->va + o->heap_large);
    hw_put_pointer(p, heap->va + o->heap_large + p->pointer, va);
    heap->last_large = va;
    hw_put(p, va + o->large_extra, 2, plan->stored);
    hw_put(p, va + o->large_extra + o->extra_tag, 2, plan->tag);
    hw_put_pointer(p, va + o->large_extra + o->extra_settable, plan->settable);
    hw_put_pointer(p, va + o->large_commit, size);
    hw_put_pointer(p, va + o->large_reserve, needed > size ? needed : size);
    hw_header(heap, header, (uint16_t)(size - plan->size), 0, flags, 0);
    hw_put(p, header + heap->header_off + 4, 1, plan->small_tag);
    *block = (struct hw_block){.va = header,
                               .user_va = header + heap->unit,
                               .size = plan->size,
                               .total = size - o->large_header,
                               .state = HS_BLOCK_BUSY,
                               .heap_idx = heap->heap_idx,
                               .segment_idx = UINT32_MAX,
                               .flags = flags,
                               .large = true,
                               .small_tag = plan->small_tag,
                               .has_stored = (heap->flags & HW_CAPTURE) != 0,
                               .tag = plan->tag,
                               .settable = plan->settable};
    block->stored = block->has_stored ? plan->stored : 0;
    return block;
}

uint64_t hw_front_end(struct hw_heap *heap, uint8_t type)
{
    const struct offsets *o = offsets_of(heap->process);
    const struct hw_block *block =
        hw_block(heap, &(struct hw_plan){.state = HS_BLOCK_INTERNAL, .size = 128 * o->lookaside_stride});
    uint64_t user = block->user_va;

    memset(hw_at(heap->process, user), 0, 128 * o->lookaside_stride);
    hw_put_pointer(heap->process, heap->va + o->heap_front, user);
    hw_put(heap->process, heap->va + o->heap_front_type, 1, type);
    return user;
}

void hw_lookaside(struct hw_heap *heap, uint64_t table, unsigned list, const uint64_t *users, size_t count)
{
    const struct offsets *o = offsets_of(heap->process);
    struct hw_process *p = heap->process;
    uint64_t head = table + list * o->lookaside_stride;

    if (p->pointer == 4) {
        hw_put(p, head, 4, count ? users[0] : 0);
        hw_put(p, head + 4, 2, count);
    } else { /* SLIST_HEADER with 8-byte compare: depth 16, sequence 9, next 39 bits of address >> 4 */
        hw_put(p, head, 8, count | (uint64_t)0x15 << 16 | (count ? users[0] >> 4 << 25 : 0));
        hw_put(p, head + 8, 8, 0);
    }
    for (size_t i = 0; i < count; i++)
        hw_put_pointer(p, users[i], i + 1 < count ? users[i + 1] : 0);
}

struct hw_block *hw_all(struct hw_heap *const *heaps, size_t heap_count, size_t *count_ret)
{
    size_t count = 0, n = 0;
    struct hw_block *all;

    for (size_t h = 0; h < heap_count; h++) {
        count += heaps[h]->large_count;
        for (unsigned s = 0; s < heaps[h]->segment_count; s++)
            count += heaps[h]->segments[s].block_count;
    }
    all = calloc(count + 1, sizeof *all);
    assert_non_null(all);
    for (size_t h = 0; h < heap_count; h++) {
        for (unsigned s = 0; s < heaps[h]->segment_count; s++) {
            const struct hw_segment *segment = &heaps[h]->segments[s];

            memcpy(all + n, segment->blocks, segment->block_count * sizeof *all);
            n += segment->block_count;
        }
        memcpy(all + n, heaps[h]->larges, heaps[h]->large_count * sizeof *all);
        n += heaps[h]->large_count;
    }
    *count_ret = count;
    return all;
}

/* ---- what the engine says of them ---- */

#define CHECK(field)                                                                                                   \
    if (found->field != planted->field)                                                                                \
    fail_msg("block %u at %llx: " #field " is 0x%llx, planted 0x%llx", id, (unsigned long long)planted->va,            \
             (unsigned long long)found->field, (unsigned long long)planted->field)

void hw_assert_block(const struct hs_block *found, const struct hw_block *planted, uint32_t id)
{
    CHECK(va);
    CHECK(user_va);
    CHECK(state);
    CHECK(size);
    CHECK(total);
    CHECK(heap_idx);
    CHECK(segment_idx);
    CHECK(flags);
    CHECK(unused_bytes);
    CHECK(small_tag);
    CHECK(previous_units);
    CHECK(large);
    CHECK(has_stored);
    CHECK(stored);
    CHECK(tag);
    CHECK(settable);
    assert_int_equal(found->id, id);
}

static const struct hs_blocks *blocks_of(struct hs_dump *dump)
{
    const struct hs_blocks *blocks = NULL;
    struct hs_error err = {0};

    if (hs_dump_blocks(dump, NULL, &blocks, &err) != HS_OK)
        fail_msg("%s", err.text);
    return blocks;
}

void hw_assert_blocks(struct hs_dump *dump, const struct hw_block *planted, size_t count)
{
    const struct hs_blocks *blocks = blocks_of(dump);
    struct hs_block_cursor cursor;
    struct hs_block block;
    size_t n = 0;

    hs_block_cursor_init(&cursor, blocks, 0);
    for (; hs_block_cursor_next(&cursor) && n < count; n++) {
        hs_block_fill(blocks, cursor.extent, cursor.id, cursor.off, &block);
        hw_assert_block(&block, &planted[n], (uint32_t)n);
    }
    if (hs_blocks_count(blocks) != count)
        fail_msg("%u blocks, planted %zu; the first that differs: %zu", hs_blocks_count(blocks), count, n);
    assert_int_equal(n, count);
    for (uint32_t id = 0; id < count; id++) {
        assert_int_equal(hs_blocks_get(blocks, id, &block), HS_OK);
        hw_assert_block(&block, &planted[id], id);
        assert_int_equal(hs_blocks_find(blocks, planted[id].va, &block), HS_OK);
        hw_assert_block(&block, &planted[id], id);
        assert_int_equal(hs_blocks_find(blocks, planted[id].va + planted[id].total - 1, &block), HS_OK);
        hw_assert_block(&block, &planted[id], id);
    }
    assert_int_equal(hs_blocks_get(blocks, (uint32_t)count, &block), HS_NOT_FOUND);
    hs_block_cursor_init(&cursor, blocks, (uint32_t)count);
    assert_false(hs_block_cursor_next(&cursor));
}

bool hw_has_note(struct hs_dump *dump, const char *one, const char *two)
{
    for (size_t i = 0; i < hs_dump_note_count(dump); i++) {
        const char *note = hs_dump_note(dump, i);

        if (strstr(note, one) && (!two || strstr(note, two)))
            return true;
    }
    return false;
}

void hw_check_invariants(struct hs_dump *dump)
{
    const struct hs_blocks *blocks = blocks_of(dump);
    uint32_t count = hs_blocks_count(blocks);
    struct hs_heap_totals sums = {0};
    struct hs_block block, last = {0}, found;
    size_t heap_count = 0;

    assert_int_equal(hs_dump_heaps(dump, &heap_count, NULL), HS_OK);
    for (uint32_t id = 0; id < count; id++) {
        assert_int_equal(hs_blocks_get(blocks, id, &block), HS_OK);
        assert_int_equal(block.id, id);
        assert_true(block.total > 0);
        assert_true(block.heap_idx < heap_count);
        if (block.state == HS_BLOCK_BUSY)
            assert_true(block.size <= block.total);
        if (id && !block.large && !last.large && last.heap_idx == block.heap_idx &&
            last.segment_idx == block.segment_idx)
            assert_true(last.va + last.total <= block.va);
        assert_int_equal(hs_blocks_find(blocks, block.va, &found), HS_OK);
        assert_int_equal(found.id, id);
        if (id == 0 || last.heap_idx != block.heap_idx)
            memset(&sums, 0, sizeof sums);
        sums.count[block.state]++;
        sums.total[block.state] += block.total;
        sums.size[block.state] += block.size;
        last = block;
        if (id + 1 == count || (hs_blocks_get(blocks, id + 1, &found) == HS_OK && found.heap_idx != block.heap_idx))
            assert_memory_equal(&sums, hs_blocks_totals(blocks, block.heap_idx), sizeof sums);
    }
}

/* ---- the stack trace database ---- */

/* Offsets of the fields: x86 from a published `dt`, x64 by natural alignment. */
static const struct {
    char name;
    unsigned x86, x86_size, x64, x64_size;
} trace_fields[] = {
    {'A', 0x38, 4, 0x68, 8}, {'R', 0x3c, 4, 0x70, 8}, {'O', 0x40, 4, 0x78, 8}, {'p', 0x44, 1, 0x80, 1},
    {'d', 0x45, 1, 0x81, 1}, {'c', 0x48, 4, 0x88, 8}, {'l', 0x4c, 4, 0x90, 8}, {'u', 0x50, 4, 0x98, 8},
    {'n', 0x54, 4, 0xa0, 8}, {'N', 0x58, 4, 0xa8, 8}, {'k', 0x5c, 4, 0xb0, 4}, {'a', 0x60, 4, 0xb4, 4},
    {'i', 0x64, 4, 0xb8, 8}, {'b', 0x68, 4, 0xc0, 4},
};

uint64_t hw_trace_field(const struct hw_traces *traces, char field, unsigned *size_ret)
{
    for (size_t i = 0; i < sizeof trace_fields / sizeof *trace_fields; i++) {
        if (trace_fields[i].name != field)
            continue;
        *size_ret = traces->process->pointer == 4 ? trace_fields[i].x86_size : trace_fields[i].x64_size;
        return traces->va + (traces->process->pointer == 4 ? trace_fields[i].x86 : trace_fields[i].x64);
    }
    fail_msg("no field %c", field);
    return 0;
}

void hw_trace_put(struct hw_traces *traces, char field, uint64_t value)
{
    unsigned size;
    uint64_t va = hw_trace_field(traces, field, &size);

    hw_put(traces->process, va, size, value);
}

void hw_traces_init(struct hw_traces *traces, struct hw_process *process, uint64_t va, uint64_t array_va)
{
    *traces = (struct hw_traces){.process = process, .va = va, .array_va = array_va, .next_lower = va + 0x300};
    hw_map(process, va, array_va - va);
}

uint64_t hw_trace(struct hw_traces *traces, uint32_t count, const uint64_t *frames, unsigned depth)
{
    struct hw_process *p = traces->process;
    uint64_t va = traces->next_lower;
    unsigned head = p->pointer == 4 ? 0xc : 0x10;

    traces->count++;
    hw_put_pointer(p, va, 0);
    hw_put(p, va + p->pointer, 4, count);
    hw_put(p, va + p->pointer + 4, 2, traces->count);
    hw_put(p, va + p->pointer + 6, 2, depth);
    for (unsigned i = 0; i < depth; i++)
        hw_put_pointer(p, va + head + i * p->pointer, frames[i]);
    hw_put_pointer(p, traces->array_va - (uint64_t)traces->count * p->pointer, va);
    traces->next_lower += head + depth * p->pointer;
    return va;
}

void hw_traces_end(struct hw_traces *traces)
{
    struct hw_process *p = traces->process;

    hw_trace_put(traces, 'A', 0x7c901000);
    hw_trace_put(traces, 'R', 0x7c9010e0);
    hw_trace_put(traces, 'O', 0x7c9518ea);
    hw_trace_put(traces, 'c', traces->va);
    hw_trace_put(traces, 'n', traces->next_lower);
    hw_trace_put(traces, 'l', (traces->next_lower + PAGE - 1) / PAGE * PAGE);
    hw_trace_put(traces, 'N', traces->array_va - (uint64_t)traces->count * p->pointer);
    hw_trace_put(traces, 'u', (traces->array_va - (uint64_t)traces->count * p->pointer) / PAGE * PAGE);
    hw_trace_put(traces, 'k', 3 * traces->count);
    hw_trace_put(traces, 'a', traces->count);
    hw_trace_put(traces, 'i', traces->array_va);
    hw_trace_put(traces, 'b', 0x89);
}

/* ---- two heaps, opened ---- */

void hw_dump_open(struct hw_dump *dump, unsigned thread_count)
{
    dump->dump = hw_open(&dump->process, thread_count, &dump->bytes);
    assert_int_equal(hs_dump_blocks(dump->dump, NULL, &dump->blocks, NULL), HS_OK);
    dump->count = hs_blocks_count(dump->blocks);
}

void hw_dump_close(struct hw_dump *dump)
{
    hs_dump_close(dump->dump);
    free(dump->bytes);
    hw_heap_deinit(&dump->heaps[0]);
    hw_heap_deinit(&dump->heaps[1]);
    hw_process_deinit(&dump->process);
}
