/* threads.c - threads: registers out of their contexts, stack ranges out of their TEBs. */
#include "process/process.h"

/* A register's place in a CONTEXT record, in the order debuggers print them. */
struct slot {
    const char *name;
    uint16_t off;
    uint8_t size;
};

/* CONTEXT of winnt.h for x86: 716 bytes */
static const struct slot x86_slots[] = {
    {"eax", 0xb0, 4}, {"ebx", 0xa4, 4}, {"ecx", 0xac, 4}, {"edx", 0xa8, 4}, {"esi", 0xa0, 4}, {"edi", 0x9c, 4},
    {"eip", 0xb8, 4}, {"esp", 0xc4, 4}, {"ebp", 0xb4, 4}, {"cs", 0xbc, 2},  {"ss", 0xc8, 2},  {"ds", 0x98, 2},
    {"es", 0x94, 2},  {"fs", 0x90, 2},  {"gs", 0x8c, 2},  {"efl", 0xc0, 4},
};
#define X86_CONTEXT_SIZE 0xccu /* up to and with SegSs */

/* CONTEXT of winnt.h for x64: 1232 bytes */
static const struct slot x64_slots[] = {
    {"rax", 0x78, 8}, {"rbx", 0x90, 8}, {"rcx", 0x80, 8}, {"rdx", 0x88, 8}, {"rsi", 0xa8, 8}, {"rdi", 0xb0, 8},
    {"rip", 0xf8, 8}, {"rsp", 0x98, 8}, {"rbp", 0xa0, 8}, {"r8", 0xb8, 8},  {"r9", 0xc0, 8},  {"r10", 0xc8, 8},
    {"r11", 0xd0, 8}, {"r12", 0xd8, 8}, {"r13", 0xe0, 8}, {"r14", 0xe8, 8}, {"r15", 0xf0, 8}, {"cs", 0x38, 2},
    {"ds", 0x3a, 2},  {"es", 0x3c, 2},  {"fs", 0x3e, 2},  {"gs", 0x40, 2},  {"ss", 0x42, 2},  {"efl", 0x44, 4},
};
#define X64_CONTEXT_SIZE 0x100u /* up to and with Rip */

static const struct slot *slots_of(const struct hs_process *process, size_t *count_ret, uint64_t *size_ret)
{
    bool wide = process->facts.pointer_size == 8;

    *count_ret = wide ? sizeof x64_slots / sizeof *x64_slots : sizeof x86_slots / sizeof *x86_slots;
    *size_ret = wide ? X64_CONTEXT_SIZE : X86_CONTEXT_SIZE;
    return wide ? x64_slots : x86_slots;
}

/* The context of a thread: that of the exception, if it is this thread's, tells where it really was. */
static struct hs_span context_of(const struct hs_process *process, size_t thread_idx)
{
    const struct hs_file *file = process->file;
    const struct hs_thread_record *record = &file->threads[thread_idx];

    if (file->has_exception && file->exception_thread_id == record->id && file->exception_context.size)
        return file->exception_context;
    return record->context;
}

enum hs_status hs_process_register(const struct hs_process *process, size_t thread_idx, unsigned idx,
                                   struct hs_register *register_ret)
{
    struct hs_span context;
    size_t count;
    uint64_t size;
    const struct slot *slots = slots_of(process, &count, &size);

    if (thread_idx >= process->thread_count || idx >= count)
        return HS_NOT_FOUND;
    context = context_of(process, thread_idx);
    if (context.size < size)
        return HS_NOT_FOUND;
    *register_ret = (struct hs_register){slots[idx].name, hs_load_uint(context.bytes + slots[idx].off, slots[idx].size),
                                         slots[idx].size};
    return HS_OK;
}

static uint64_t register_named(const struct hs_process *process, size_t thread_idx, const char *suffix)
{
    struct hs_register reg;

    for (unsigned i = 0; hs_process_register(process, thread_idx, i, &reg) == HS_OK; i++)
        if (strcmp(reg.name + 1, suffix) == 0)
            return reg.value;
    return 0;
}

/* The stack as the TEB tells it, else as the dump's thread list does. */
static void find_stack(const struct hs_process *process, const struct hs_thread_record *record,
                       struct hs_thread *thread)
{
    uint64_t base, limit;

    if (record->teb_va &&
        hs_layout_read(process->layout, process->space, record->teb_va, HS_FIELD_TEB_STACK_BASE, &base) &&
        hs_layout_read(process->layout, process->space, record->teb_va, HS_FIELD_TEB_STACK_LIMIT, &limit) &&
        limit < base) {
        thread->stack_base = base;
        thread->stack_limit = limit;
    } else if (record->stack_size && hs_add_u64(record->stack_va, record->stack_size, &base)) {
        thread->stack_limit = record->stack_va;
        thread->stack_base = base;
    }
}

enum hs_status hs_process_init_threads(struct hs_process *process, struct hs_error *err)
{
    const struct hs_file *file = process->file;

    process->threads = hs_arena_alloc(&process->arena, file->thread_count, sizeof *process->threads);
    if (!process->threads)
        return hs_fail_memory(err, "the threads");
    process->thread_count = file->thread_count;
    for (size_t i = 0; i < file->thread_count; i++) {
        const struct hs_thread_record *record = &file->threads[i];
        struct hs_thread *thread = &process->threads[i];
        struct hs_register reg;

        thread->id = record->id;
        thread->suspend_count = record->suspend_count;
        thread->priority = record->priority;
        thread->priority_class = record->priority_class;
        thread->teb_va = record->teb_va;
        find_stack(process, record, thread);
        thread->has_context = hs_process_register(process, i, 0, &reg) == HS_OK;
        thread->ip = register_named(process, i, "ip");
        thread->sp = register_named(process, i, "sp");
        thread->bp = register_named(process, i, "bp");
    }
    return HS_OK;
}
