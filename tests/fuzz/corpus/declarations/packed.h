#pragma pack(push, 1)
typedef struct _P { char a; int b : 3, : 0; union { long l; double d; }; struct _P *next; int (__stdcall *f)(int, char *, ...); } P, *PP;
#pragma pack(pop)
enum E { A = 1 << 2, B, C = sizeof(P) };
struct __declspec(align(16)) Q { P p[B]; enum E e; wchar_t w[4]; BOOLEAN yes; UNICODE_STRING u; char rest[]; };
