-- headers.lua: what is known before anything is declared, as C: the names of windows.h and its kin that structures are
-- written in [documented: Windows Data Types, winnt.h, windef.h, basetsd.h], and those of the C standard's headers.

local headers = {}

headers.standard = [[
typedef signed char int8_t; typedef unsigned char uint8_t; typedef short int16_t; typedef unsigned short uint16_t;
typedef int int32_t; typedef unsigned int uint32_t; typedef __int64 int64_t; typedef unsigned __int64 uint64_t;
#if defined(_WIN64)
typedef unsigned __int64 size_t, uintptr_t; typedef __int64 ssize_t, ptrdiff_t, intptr_t;
#elif defined(_WIN32)
typedef unsigned int size_t, uintptr_t; typedef int ssize_t, ptrdiff_t, intptr_t;
#else
typedef unsigned long size_t, uintptr_t; typedef long ssize_t, ptrdiff_t, intptr_t;
#endif
]]

headers.windows = headers.standard .. [[
typedef void VOID, *PVOID, *LPVOID; typedef const void *PCVOID, *LPCVOID;
typedef char CHAR, CCHAR, *PCHAR, *LPCH, *PCH, *PSTR, *LPSTR, *NPSTR, *LPTSTR8; typedef const char *PCSTR, *LPCSTR,
    *PCCH;
typedef unsigned char UCHAR, BYTE, BOOLEAN, *PUCHAR, *PBYTE, *LPBYTE, *PBOOLEAN, KIRQL;
typedef wchar_t WCHAR, *PWCHAR, *LPWCH, *PWCH, *PWSTR, *LPWSTR, *BSTR, OLECHAR, *LPOLESTR;
typedef const wchar_t *PCWSTR, *LPCWSTR, *LPCOLESTR;
typedef wchar_t TCHAR, *PTCHAR, *PTSTR, *LPTSTR; typedef const wchar_t *PCTSTR, *LPCTSTR;
typedef short SHORT, *PSHORT, CSHORT; typedef unsigned short USHORT, WORD, ATOM, *PUSHORT, *PWORD, *LPWORD, LANGID;
typedef int INT, BOOL, *PINT, *LPINT, *PBOOL, *LPBOOL; typedef unsigned int UINT, *PUINT;
typedef long LONG, HRESULT, NTSTATUS, SCODE, *PLONG, *LPLONG, LSTATUS;
typedef unsigned long ULONG, DWORD, COLORREF, LCID, ACCESS_MASK, *PULONG, *PDWORD, *LPDWORD, LOGICAL, KAFFINITY32;
typedef __int64 LONGLONG, LONG64, INT64, DWORDLONG64, *PLONGLONG, *PLONG64, *PINT64;
typedef unsigned __int64 ULONGLONG, DWORDLONG, ULONG64, UINT64, DWORD64, *PULONGLONG, *PULONG64, *PUINT64, *PDWORD64;
typedef signed char INT8; typedef unsigned char UINT8; typedef short INT16; typedef unsigned short UINT16;
typedef int INT32, LONG32; typedef unsigned int UINT32, ULONG32, DWORD32;
typedef float FLOAT, *PFLOAT; typedef double DOUBLE, DATE;
#ifdef _WIN64
typedef __int64 INT_PTR, LONG_PTR, *PINT_PTR, *PLONG_PTR; typedef int HALF_PTR; typedef unsigned int UHALF_PTR;
typedef unsigned __int64 UINT_PTR, ULONG_PTR, DWORD_PTR, *PUINT_PTR, *PULONG_PTR, *PDWORD_PTR;
#else
typedef int INT_PTR, *PINT_PTR; typedef long LONG_PTR, *PLONG_PTR; typedef short HALF_PTR;
    typedef unsigned short UHALF_PTR;
typedef unsigned int UINT_PTR, *PUINT_PTR; typedef unsigned long ULONG_PTR, DWORD_PTR, *PULONG_PTR, *PDWORD_PTR;
#endif
typedef ULONG_PTR SIZE_T, KAFFINITY, *PSIZE_T; typedef LONG_PTR SSIZE_T, LPARAM, LRESULT; typedef UINT_PTR WPARAM;
typedef void *HANDLE, *HMODULE, *HINSTANCE, *HLOCAL, *HGLOBAL, *HKEY, *HWND, *HDC, *HBITMAP, *HBRUSH, *HICON, *HCURSOR,
    *HMENU, *HFONT, *HPEN, *HRGN, *HRSRC, *HHOOK, *HDESK, *HWINSTA, *SC_HANDLE, *PSID, *PSECURITY_DESCRIPTOR;
typedef HANDLE *PHANDLE, *LPHANDLE; typedef int (*FARPROC)(void); typedef FARPROC PROC, NEARPROC;
typedef unsigned short VARTYPE; typedef short VARIANT_BOOL;
typedef struct _GUID { ULONG Data1; USHORT Data2, Data3; UCHAR Data4[8]; } GUID, IID, CLSID, UUID, MAPIUID, *LPGUID,
    *LPIID,
    *LPCLSID;
typedef struct _LIST_ENTRY { struct _LIST_ENTRY *Flink, *Blink; } LIST_ENTRY, *PLIST_ENTRY;
typedef struct _SINGLE_LIST_ENTRY { struct _SINGLE_LIST_ENTRY *Next; } SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;
typedef union _LARGE_INTEGER { struct { ULONG LowPart; LONG HighPart; }; struct { ULONG LowPart; LONG HighPart; } u;
    LONGLONG QuadPart; } LARGE_INTEGER, *PLARGE_INTEGER;
typedef union _ULARGE_INTEGER { struct { ULONG LowPart; ULONG HighPart; }; struct { ULONG LowPart; ULONG HighPart; } u;
    ULONGLONG QuadPart; } ULARGE_INTEGER, *PULARGE_INTEGER;
typedef struct _FILETIME { DWORD dwLowDateTime, dwHighDateTime; } FILETIME, *PFILETIME, *LPFILETIME;
typedef struct _SYSTEMTIME { WORD wYear, wMonth, wDayOfWeek, wDay, wHour, wMinute, wSecond, wMilliseconds; } SYSTEMTIME,
    *PSYSTEMTIME, *LPSYSTEMTIME;
typedef struct _UNICODE_STRING { USHORT Length, MaximumLength; PWSTR Buffer; } UNICODE_STRING, *PUNICODE_STRING;
typedef struct _STRING { USHORT Length, MaximumLength; PCHAR Buffer; } STRING, ANSI_STRING, *PSTRING, *PANSI_STRING;
typedef struct _CLIENT_ID { HANDLE UniqueProcess, UniqueThread; } CLIENT_ID, *PCLIENT_ID;
typedef struct tagPOINT { LONG x, y; } POINT, *PPOINT, *LPPOINT; typedef struct tagSIZE { LONG cx, cy; } SIZE, *PSIZE;
typedef struct tagRECT { LONG left, top, right, bottom; } RECT, *PRECT, *LPRECT;
typedef struct _RTL_CRITICAL_SECTION_DEBUG { WORD Type, CreatorBackTraceIndex;
    struct _RTL_CRITICAL_SECTION *CriticalSection;
    LIST_ENTRY ProcessLocksList; DWORD EntryCount, ContentionCount, Flags; WORD CreatorBackTraceIndexHigh, SpareWORD;
    } RTL_CRITICAL_SECTION_DEBUG, *PRTL_CRITICAL_SECTION_DEBUG;
typedef struct _RTL_CRITICAL_SECTION { PRTL_CRITICAL_SECTION_DEBUG DebugInfo; LONG LockCount, RecursionCount;
    HANDLE OwningThread, LockSemaphore; ULONG_PTR SpinCount; } RTL_CRITICAL_SECTION, CRITICAL_SECTION,
        *PCRITICAL_SECTION,
    *LPCRITICAL_SECTION;
enum { FALSE, TRUE };
enum { MAX_PATH = 260, ANYSIZE_ARRAY = 1 };
]]

return headers
