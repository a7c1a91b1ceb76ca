// Sample program for the PDB witness: classes, templates, unions, bit fields, nesting, namespaces.
extern "C" int _fltused = 0;
extern "C" __declspec(dllexport) int __stdcall Std(int a, int b) { return a * b + 3; }
extern "C" __declspec(dllexport) int __fastcall Fast(int a, int b) { return a - b; }
extern "C" __declspec(dllexport) int Plain(int a) { return a + 1; }
namespace geo {
enum Kind : unsigned short { FLAT = 1, ROUND = 7, BIG = 0xfff0 };
struct Bits { unsigned a : 3; unsigned b : 13; int : 0; signed c : 5; unsigned long long d : 40; bool e : 1; };
union Value { int i; double d; struct { short lo, hi; } parts; unsigned char bytes[12]; };
struct Node { Node *next; Value value; Bits bits; Kind kind; const char *names[3]; int (*call)(Node *, long long); };
struct Base { virtual ~Base() {} virtual int area() const { return 0; } int id; static int count; };
struct Other { virtual int other() { return 9; } long long wide; };
class Shape : public Base, public Other { public: int area() const override { return w * h; } int other() override { return w; }
  struct Inner { Shape *owner; volatile int flag; } inner; private: int w = 2, h = 4; };
struct Virt : virtual Base { int area() const override { return 5; } int x; };
template <class T, int N> struct Box { T items[N]; T sum() const { T s{}; for (int i = 0; i < N; i++) s += items[i]; return s; } };
int Base::count = 4;
Shape the_shape; Virt the_virt; Node the_node; Box<long long, 4> wide_box; Box<Kind *, 2> kinds;
static int hidden = 5;
namespace { int deep(int n) { return n ? deep(n - 1) + hidden : 0; } }
__declspec(noinline) int measure(const Base *b) { return b->area() + deep(b->id); }
}
void operator delete(void *, unsigned) {} void operator delete(void *) {}
#ifdef _WIN64
void operator delete(void *, unsigned long long) {}
#endif
extern "C" int __cdecl _purecall() { return 0; }
extern "C" int use() { struct Local { int q; char r; } l = {1, 2}; hidden_: return geo::measure(&geo::the_shape) + (int)geo::wide_box.sum() + l.q + l.r + (int)geo::the_virt.area(); }
extern "C" int __stdcall DllMain(void *, unsigned, void *) { return use() + geo::the_node.kind; }
extern "C" int atexit(void (*)()) { return 0; }
