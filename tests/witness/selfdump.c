/*
 * selfdump: a Windows x64 program that writes a full dump of itself, and the truth about itself.
 *
 *     selfdump.exe OUT.dmp OUT.truth
 *
 * The dump comes from dbghelp's MiniDumpWriteDump, thus from code that shares nothing with heapsift. The truth is
 * JSON lines, one object with a "kind" a line, gathered by ordinary Windows calls (GetProcAddress, toolhelp, TEB).
 * Numbers that are addresses or sizes in memory are hex strings without 0x. wine.sh builds, runs and compares.
 *
 *     x86_64-w64-mingw32-gcc -O1 -s -o selfdump.exe selfdump.c -ldbghelp -lpsapi
 */
#define _WIN32_WINNT 0x0601
#include <windows.h>
#include <winternl.h>
#include <dbghelp.h>
#include <psapi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 2
#define BIG_SIZE (1u << 20)

typedef unsigned long long hex;

static FILE *truth;
static const char static_text[] = "heapsift witness: static, read-only, in the image";
static char writable_text[64] = "heapsift witness: ";
static HANDLE go_on;

struct worker {
    HANDLE ready, thread;
    DWORD id;
    NT_TIB *teb;
    unsigned char *local;
    size_t local_size;
    const void *returns[8]; /* addresses that the functions of its stack return to, the outermost first */
    int return_count;
};

static void die(const char *what)
{
    fprintf(stderr, "selfdump: %s: error %lu\n", what, GetLastError());
    exit(1);
}

/* Text as a JSON string; the program's own names are ASCII. */
static void quoted(const char *text)
{
    putc('"', truth);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', truth);
        putc(*text, truth);
    }
    putc('"', truth);
}

static void buffer(const char *name, const void *bytes, size_t size)
{
    const unsigned char *byte = bytes;
    size_t shown = size < 256 ? size : 256;
    uint64_t fnv = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        fnv = (fnv ^ byte[i]) * 1099511628211u;
    fprintf(
        truth,
        "{\"kind\":\"buffer\",\"name\":\"%s\",\"address\":\"%llx\",\"size\":%llu,\"fnv1a64\":\"%016llx\",\"bytes\":\"",
        name, (hex)(uintptr_t)bytes, (hex)size, (hex)fnv);
    for (size_t i = 0; i < shown; i++)
        fprintf(truth, "%02x", byte[i]);
    fprintf(truth, "\"}\n");
}

/* A pattern that no other memory has: an xorshift sequence. */
static void fill(void *bytes, size_t size, uint32_t seed)
{
    unsigned char *byte = bytes;
    for (size_t i = 0; i < size; i++) {
        seed ^= seed << 13, seed ^= seed >> 17, seed ^= seed << 5;
        byte[i] = (unsigned char)(seed >> 24);
    }
}

static void thread_line(const char *role, DWORD id, const NT_TIB *teb)
{
    fprintf(
        truth,
        "{\"kind\":\"thread\",\"role\":\"%s\",\"id\":%lu,\"teb\":\"%llx\",\"stack_base\":\"%llx\",\"stack_limit\":\"%llx\"}\n",
        role, id, (hex)(uintptr_t)teb, (hex)(uintptr_t)teb->StackBase, (hex)(uintptr_t)teb->StackLimit);
}

/* ---- a stack of functions with prologs of every kind; each writes down where it returns to ---- */

#define STACK_FUNCTION __attribute__((noinline)) static double
static volatile double numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8};
static volatile int integers[8];

static void returns_to(struct worker *self, const void *address)
{
    self->returns[self->return_count++] = address;
}

/* Innermost: waits. */
STACK_FUNCTION waits(struct worker *self)
{
    returns_to(self, __builtin_return_address(0));
    SetEvent(self->ready);
    WaitForSingleObject(go_on, INFINITE);
    return numbers[0];
}

/* Keeps rsp in a frame register. */
STACK_FUNCTION with_alloca(struct worker *self, size_t size)
{
    volatile char *room = __builtin_alloca(size);
    room[0] = room[size - 1] = 1;
    returns_to(self, __builtin_return_address(0));
    return waits(self) + room[0];
}

/* A stack frame of more than a page. */
STACK_FUNCTION with_much(struct worker *self)
{
    volatile char room[0x5008];
    for (size_t i = 0; i < sizeof room; i += 64)
        room[i] = 1;
    returns_to(self, __builtin_return_address(0));
    return with_alloca(self, 300 + (size_t)room[64]) + room[0];
}

/* Saves xmm registers. */
STACK_FUNCTION with_doubles(struct worker *self)
{
    double a = numbers[0], b = numbers[1], c = numbers[2], d = numbers[3], e = numbers[4];
    returns_to(self, __builtin_return_address(0));
    double sum = with_much(self);
    return sum * a + b * c - d / e;
}

/* Saves every register there is to save. */
STACK_FUNCTION with_registers(struct worker *self)
{
    int a = integers[0], b = integers[1], c = integers[2], d = integers[3];
    int e = integers[4], f = integers[5], g = integers[6], h = integers[7];
    returns_to(self, __builtin_return_address(0));
    double sum = with_doubles(self);
    return sum + a * b + c * d + e * f + g * h + a * h;
}

static void frames_line(const struct worker *self)
{
    fprintf(truth, "{\"kind\":\"frames\",\"id\":%lu,\"returns\":[", self->id);
    for (int i = self->return_count - 1; i >= 0; i--)
        fprintf(truth, "\"%llx\"%s", (hex)(uintptr_t)self->returns[i], i ? "," : "");
    fprintf(truth, "]}\n");
}

static DWORD WINAPI worker_main(void *context)
{
    struct worker *self = context;
    unsigned char local[192];
    self->return_count = 0;
    returns_to(self, __builtin_return_address(0));
    fill(local, sizeof local, GetCurrentThreadId());
    self->teb = (NT_TIB *)NtCurrentTeb();
    self->local = local;
    self->local_size = sizeof local;
    return local[0] + (with_registers(self) > 0);
}

/* The file version in the module's own resources, "6.1.7601.24059", or "" where there is none. */
static const char *file_version(HMODULE module)
{
    static char text[64];
    HRSRC found = FindResourceA(module, MAKEINTRESOURCEA(VS_VERSION_INFO), (LPCSTR)RT_VERSION);
    DWORD *word = found ? LockResource(LoadResource(module, found)) : NULL;
    text[0] = 0;
    for (DWORD i = 0; word && i + 4 <= SizeofResource(module, found) / 4; i++)
        if (word[i] == 0xfeef04bd) {
            snprintf(text, sizeof text, "%lu.%lu.%lu.%lu", word[i + 2] >> 16, word[i + 2] & 0xffff, word[i + 3] >> 16,
                     word[i + 3] & 0xffff);
            break;
        }
    return text;
}

static void module_lines(void)
{
    static const struct {
        const char *module, *export;
    } exports[] = {
        {"ntdll.dll", "RtlAllocateHeap"},
        {"ntdll.dll", "RtlFreeHeap"},
        {"ntdll.dll", "NtQueryInformationProcess"},
        {"ntdll.dll", "RtlCreateHeap"},
        {"kernel32.dll", "CreateThread"},
        {"kernel32.dll", "GetProcAddress"},
        {"kernel32.dll", "HeapCreate"},
        {"kernel32.dll", "HeapAlloc"},
        {"kernelbase.dll", "VirtualAlloc"},
        {"dbghelp.dll", "MiniDumpWriteDump"},
        {"msvcrt.dll", "malloc"},
    };
    HMODULE modules[256];
    DWORD needed = 0;
    if (!EnumProcessModules(GetCurrentProcess(), modules, sizeof modules, &needed))
        die("EnumProcessModules");
    for (DWORD i = 0; i < needed / sizeof modules[0] && i < 256; i++) {
        char path[MAX_PATH] = "";
        MODULEINFO info = {0};
        IMAGE_NT_HEADERS *nt = (void *)((char *)modules[i] + ((IMAGE_DOS_HEADER *)modules[i])->e_lfanew);
        GetModuleFileNameA(modules[i], path, sizeof path);
        GetModuleInformation(GetCurrentProcess(), modules[i], &info, sizeof info);
        fprintf(
            truth,
            "{\"kind\":\"module\",\"base\":\"%llx\",\"size\":\"%lx\",\"timestamp\":\"%08lx\",\"checksum\":\"%08lx\",\"version\":\"%s\",\"path\":",
            (hex)(uintptr_t)modules[i], info.SizeOfImage, nt->FileHeader.TimeDateStamp, nt->OptionalHeader.CheckSum,
            file_version(modules[i]));
        quoted(path);
        fprintf(truth, "}\n");
    }
    for (size_t i = 0; i < sizeof exports / sizeof exports[0]; i++) {
        HMODULE module = GetModuleHandleA(exports[i].module);
        void *address = module ? (void *)GetProcAddress(module, exports[i].export) : NULL;
        MEMORY_BASIC_INFORMATION where = {0};
        if (!address)
            continue;
        VirtualQuery(address, &where, sizeof where); /* "forwarded": the address lies in another image */
        fprintf(truth,
                "{\"kind\":\"export\",\"module\":\"%s\",\"name\":\"%s\",\"address\":\"%llx\",\"forwarded\":%s}\n",
                exports[i].module, exports[i].export, (hex)(uintptr_t)address,
                where.AllocationBase == (void *)module ? "false" : "true");
    }
}

static void region(const char *name, const void *address)
{
    MEMORY_BASIC_INFORMATION m = {0};
    if (!VirtualQuery(address, &m, sizeof m))
        die("VirtualQuery");
    fprintf(
        truth,
        "{\"kind\":\"region\",\"name\":\"%s\",\"base\":\"%llx\",\"allocation\":\"%llx\",\"size\":\"%llx\",\"state\":\"%lx\",\"protect\":\"%lx\",\"type\":\"%lx\"}\n",
        name, (hex)(uintptr_t)m.BaseAddress, (hex)(uintptr_t)m.AllocationBase, (hex)m.RegionSize, m.State, m.Protect,
        m.Type);
}

int main(int argc, char **argv)
{
    if (argc != 3 || !(truth = fopen(argv[2], "wb"))) {
        fprintf(stderr, "usage: selfdump OUT.dmp OUT.truth\n");
        return 2;
    }
    /* Memory of known content: two heaps, big allocations, pages of every state, the image, three stacks. */
    HANDLE second = HeapCreate(0, 0x10000, 0);
    unsigned char *small = HeapAlloc(GetProcessHeap(), 0, 200), *other = HeapAlloc(second, 0, 5000);
    unsigned char *big = VirtualAlloc(NULL, BIG_SIZE, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    unsigned char *pages = VirtualAlloc(NULL, 0x10000, MEM_RESERVE, PAGE_READWRITE);
    unsigned char *local = _alloca(160);
    if (!second || !small || !other || !big || !pages || !VirtualAlloc(pages, 0x4000, MEM_COMMIT, PAGE_READWRITE))
        die("allocating");
    fill(small, 200, 1), fill(other, 5000, 2), fill(big, BIG_SIZE, 3), fill(pages, 0x4000, 4), fill(local, 160, 5);
    snprintf(writable_text + strlen(writable_text), 32, "process %lu", GetCurrentProcessId());
    /* pages: 0 read-write, 1 read-only, 2 no access, 3 guard, 4.. reserved only */
    DWORD old;
    VirtualProtect(pages + 0x1000, 0x1000, PAGE_READONLY, &old);
    buffer("heap-default", small, 200);
    buffer("heap-second", other, 5000);
    buffer("virtual-big", big, BIG_SIZE);
    buffer("page-readwrite", pages, 0x1000);
    buffer("page-readonly", pages + 0x1000, 0x1000);
    buffer("stack-main", local, 160);
    buffer("image-rdata", static_text, sizeof static_text);
    buffer("image-data", writable_text, sizeof writable_text);
    VirtualProtect(pages + 0x2000, 0x1000, PAGE_NOACCESS, &old);
    VirtualProtect(pages + 0x3000, 0x1000, PAGE_READWRITE | PAGE_GUARD, &old);
    region("page-readwrite", pages);
    region("page-readonly", pages + 0x1000);
    region("page-noaccess", pages + 0x2000);
    region("page-guard", pages + 0x3000);
    region("page-reserved", pages + 0x4000);
    region("virtual-big", big);
    region("image-rdata", static_text);

    struct worker workers[WORKERS];
    go_on = CreateEventA(NULL, TRUE, FALSE, NULL);
    for (int i = 0; i < WORKERS; i++) {
        workers[i].ready = CreateEventA(NULL, TRUE, FALSE, NULL);
        workers[i].thread =
            CreateThread(NULL, 0x10000, worker_main, &workers[i], STACK_SIZE_PARAM_IS_A_RESERVATION, &workers[i].id);
        if (!workers[i].thread || WaitForSingleObject(workers[i].ready, 20000) != WAIT_OBJECT_0)
            die("starting a thread");
        thread_line("worker", workers[i].id, workers[i].teb);
        buffer("stack-worker", workers[i].local, workers[i].local_size);
        frames_line(&workers[i]);
    }
    thread_line("main", GetCurrentThreadId(), (NT_TIB *)NtCurrentTeb());

    module_lines();
    HANDLE heaps[64];
    DWORD count = GetProcessHeaps(64, heaps);
    for (DWORD i = 0; i < count && i < 64; i++)
        fprintf(truth, "{\"kind\":\"heap\",\"address\":\"%llx\",\"default\":%s,\"second\":%s}\n",
                (hex)(uintptr_t)heaps[i], heaps[i] == GetProcessHeap() ? "true" : "false",
                heaps[i] == second ? "true" : "false");
    OSVERSIONINFOEXW version = {.dwOSVersionInfoSize = sizeof version};
    ((LONG(WINAPI *)(OSVERSIONINFOEXW *))(void *)GetProcAddress(GetModuleHandleA("ntdll.dll"), "RtlGetVersion"))(
        &version);
    unsigned char *peb = *(unsigned char **)((char *)NtCurrentTeb() + 0x60);
    fprintf(
        truth,
        "{\"kind\":\"process\",\"pid\":%lu,\"arch\":\"x64\",\"windows\":\"%lu.%lu.%lu\",\"peb\":\"%llx\",\"global_flag\":\"%x\",\"image\":\"%llx\"}\n",
        GetCurrentProcessId(), version.dwMajorVersion, version.dwMinorVersion, version.dwBuildNumber,
        (hex)(uintptr_t)peb, *(unsigned *)(peb + 0xbc), (hex)(uintptr_t)GetModuleHandleA(NULL));

    HANDLE out = CreateFileA(argv[1], GENERIC_READ | GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    int type = MiniDumpWithFullMemory | MiniDumpWithFullMemoryInfo | MiniDumpWithThreadInfo |
               MiniDumpWithUnloadedModules | MiniDumpWithHandleData;
    /* Without this, Wine's writer loads the debug information of all modules first: 70 MB more, all of them its own. */
    if (!SymInitialize(GetCurrentProcess(), NULL, FALSE))
        die("SymInitialize");
    if (out == INVALID_HANDLE_VALUE ||
        !MiniDumpWriteDump(GetCurrentProcess(), GetCurrentProcessId(), out, type, NULL, NULL, NULL))
        die("MiniDumpWriteDump");
    CloseHandle(out);
    SetEvent(go_on);
    for (int i = 0; i < WORKERS; i++)
        WaitForSingleObject(workers[i].thread, 20000);
    if (fclose(truth))
        die("writing the truth");
    return 0;
}
