// One of everything that the language can put into a name.
#include "names.h"

void *operator new(size_t size);
void *operator new[](size_t size);
void operator delete(void *at) noexcept;
void operator delete[](void *at) noexcept;

// ---- every fundamental type, in every position ----
template <class T> struct Probe {
    static T variable;
    static const T constant;
    static T *volatile pointer;
    void take(T) {}
    void take_const(const T *) const {}
    void take_both(T *, T *const *, const volatile T &) volatile {}
    T *give(T &&) & { return nullptr; }
    const T *give_const(T &&) && { return nullptr; }
    void array(T (&)[4], T (*)[2][3], const T (*)[5]) const & {}
    void function(T *(*)(T *), T *(*)(T *) noexcept, T &(&)(const T &)) {}
    void member(T Probe::*, const T Probe::*, void (Probe::*)(T *), void (Probe::*)(T *) const volatile) {}
    template <class U> U *convert(U, T *, U, T *) { return nullptr; }
};
template <class T> T Probe<T>::variable = T();
template <class T> T *volatile Probe<T>::pointer = nullptr;
#define PROBE(T) template struct Probe<T>; template char *Probe<T>::convert<char>(char, T *, char, T *); \
    void overload(T, T *, const T &, T *, T **) {}
struct Plain { int i; };
class Class { public: class Inner {}; enum E { e }; union U { int i; }; };
union Either { int i; };
enum Old { old };
enum class New : char { a };
namespace { struct Hidden { int h; }; int hidden_function(int) { return 1; } int hidden_variable; }
PROBE(bool)
PROBE(char)
PROBE(signed char)
PROBE(unsigned char)
PROBE(short)
PROBE(unsigned short)
PROBE(int)
PROBE(unsigned)
PROBE(long)
PROBE(unsigned long)
PROBE(long long)
PROBE(unsigned long long)
PROBE(float)
PROBE(double)
PROBE(long double)
PROBE(wchar_t)
PROBE(char8_t)
PROBE(char16_t)
PROBE(char32_t)
PROBE(decltype(nullptr))
PROBE(Plain)
PROBE(Class)
PROBE(Class::Inner)
PROBE(Class::E)
PROBE(Class::U)
PROBE(Either)
PROBE(Old)
PROBE(New)
PROBE(Plain *)
PROBE(const Plain *)
PROBE(Hidden)

// ---- operators ----
struct Number {
    Number(); Number(int); Number(const Number &); Number(Number &&) noexcept; ~Number();
    template <class T> Number(T *, int);
    operator int() const; operator const char *(); operator Plain &(); explicit operator bool() const noexcept;
    template <class T> operator Probe<T>() const;
    Number &operator=(const Number &); Number operator-() const; Number operator+() const; Number &operator++();
    Number operator++(int); Number &operator--(); Number operator--(int); bool operator!() const; Number operator~() const;
    Number *operator&(); int operator*() const; Number *operator->(); int operator->*(int); int operator[](int) const;
    int operator()(int, ...); void operator,(int); static void *operator new(size_t); static void operator delete(void *);
    static void *operator new[](size_t); static void operator delete[](void *);
#define ASSIGN(op) Number &operator op(int);
    ASSIGN(+=) ASSIGN(-=) ASSIGN(*=) ASSIGN(/=) ASSIGN(%=) ASSIGN(&=) ASSIGN(|=) ASSIGN(^=) ASSIGN(<<=) ASSIGN(>>=)
#undef ASSIGN
};
Number::Number() {} Number::Number(int) {} Number::Number(const Number &) {} Number::Number(Number &&) noexcept {}
Number::~Number() {}
template <class T> Number::Number(T *, int) {}
template Number::Number(Plain *, int); template Number::Number(const char *, int);
Number::operator int() const { return 1; } Number::operator const char *() { return "text of a number"; }
Number::operator Plain &() { static Plain plain; return plain; } Number::operator bool() const noexcept { return true; }
template <class T> Number::operator Probe<T>() const { return Probe<T>(); }
template Number::operator Probe<int>() const; template Number::operator Probe<Plain *>() const;
Number &Number::operator=(const Number &) { return *this; } Number Number::operator-() const { return 1; }
Number Number::operator+() const { return 1; } Number &Number::operator++() { return *this; }
Number Number::operator++(int) { return 1; } Number &Number::operator--() { return *this; }
Number Number::operator--(int) { return 1; } bool Number::operator!() const { return true; }
Number Number::operator~() const { return 1; } Number *Number::operator&() { return this; }
int Number::operator*() const { return 1; } Number *Number::operator->() { return this; }
int Number::operator->*(int) { return 1; } int Number::operator[](int) const { return 1; }
int Number::operator()(int, ...) { return 1; } void Number::operator,(int) {}
void *Number::operator new(size_t n) { return ::operator new(n); } void Number::operator delete(void *p) { ::operator delete(p); }
void *Number::operator new[](size_t n) { return ::operator new[](n); } void Number::operator delete[](void *p) { ::operator delete[](p); }
#define ASSIGN(op) Number &Number::operator op(int) { return *this; }
ASSIGN(+=) ASSIGN(-=) ASSIGN(*=) ASSIGN(/=) ASSIGN(%=) ASSIGN(&=) ASSIGN(|=) ASSIGN(^=) ASSIGN(<<=) ASSIGN(>>=)
#define BINARY(op) int operator op(const Number &, const Number &) { return 1; } \
    template <class T> int operator op(const Probe<T> &, T) { return 1; } template int operator op<int>(const Probe<int> &, int);
BINARY(+) BINARY(-) BINARY(*) BINARY(/) BINARY(%) BINARY(&) BINARY(|) BINARY(^) BINARY(<<) BINARY(>>) BINARY(==) BINARY(!=)
BINARY(<) BINARY(<=) BINARY(>) BINARY(>=) BINARY(&&) BINARY(||)
int operator"" _km(unsigned long long n) { return (int)n; }
int operator"" _text(const char *, size_t) { return 1; }
namespace units { int operator"" _s(long double) { return 1; } }

// ---- classes: access, virtual functions, thunks, tables, run-time types ----
struct Root { virtual ~Root() {} virtual int run(int) { return 1; } int root; };
struct Left : virtual Root { Left(); int run(int) override; virtual void left() {} int l; };
struct Right : virtual Root { Right(); ~Right(); virtual void right() {} int r; };
struct Bottom : Left, Right { Bottom(); ~Bottom(); int run(int) override; void right() override; };
struct One { virtual ~One() {} virtual void one() {} int o; };
struct Two { virtual ~Two() {} virtual void two() {} virtual One *self() { return nullptr; } int t; };
struct Both : One, Two { ~Both(); void two() override; void one() override; Both *self() override; };
Left::Left() {} Right::Right() {} Right::~Right() {} Bottom::Bottom() {} Bottom::~Bottom() {}
int Left::run(int) { return 1; } int Bottom::run(int) { return 1; } void Bottom::right() {}
Both::~Both() {} void Both::two() {} void Both::one() {} Both *Both::self() { return this; }
namespace { struct Secret : One { void one() override {} }; }
template <class T> struct Templated : virtual Root, Two { T t; int run(int) override { return 2; } void two() override {} };
template struct Templated<int>; template struct Templated<Templated<Plain>>;
class Guarded {
    void mine() {} static int my_count; virtual void my_virtual() {} static void my_static() {}
protected:
    void ours() {} static int our_count; virtual void our_virtual() {} static void our_static() {}
public:
    void all() { mine(); ours(); my_static(); our_static(); } static int all_count; virtual void all_virtual() {}
    static void all_static(Guarded *g) { g->all(); }
};
int Guarded::my_count, Guarded::our_count, Guarded::all_count;
auto guarded = &Guarded::all_static;
Guarded a_guarded;

void run_time(Root *root)
{
    if (Bottom *bottom = dynamic_cast<Bottom *>(root)) throw *bottom;
    try { root->run(1); } catch (Bottom &) {} catch (const Two &) {} catch (int) {} catch (const char *) {}
    throw Secret();
}
void members(One *one) { void (One::*f)() = &One::one; (one->*f)(); int (Left::*g)(int) = &Left::run; consume(&g); }
One *more[] = {new Both, new Secret}; Two *two = new Templated<Plain>;

// ---- templates of every kind of parameter ----
template <int N> struct Integer { static void f() {} };
template <long long N> struct Long { static void f() {} };
template <unsigned long long N> struct Unsigned { static void f() {} };
template <bool B, char C, Old O, New E> struct Small { static void f() {} };
template <int *P> struct Address { static void f() {} };
template <const Plain &P> struct Reference { static void f() {} };
template <void (*F)(int)> struct Function { static void f() {} };
template <int Plain::*M> struct DataMember { static void f() {} };
template <class T, int (T::*M)(int)> struct Method { static void f() {} };
template <template <class> class T> struct Template { static void f() {} };
template <template <class, int> class T, class... U> struct TemplatePack { static void f() {} };
template <class... T> struct Pack { static void f() {} template <int... N> static void g() {} };
template <class T> struct Of { static void f() {} };
template <class T, int N> struct Two_ { static void f() {} };
int global; int globals[3]; Plain plain; void callee(int) {}
#define F(...) template struct __VA_ARGS__;
F(Integer<0>) F(Integer<1>) F(Integer<9>) F(Integer<10>) F(Integer<11>) F(Integer<255>) F(Integer<-1>) F(Integer<-2147483647>)
F(Long<0x7fffffffffffffff>) F(Long<-1>) F(Long<(-0x7fffffffffffffff - 1)>) F(Unsigned<0xffffffffffffffff>) F(Unsigned<0x8000000000000000>)
F(Small<true, 'x', old, New::a>) F(Address<&global>) F(Address<nullptr>) F(Reference<plain>) F(Function<callee>) F(Function<nullptr>)
F(DataMember<&Plain::i>) F(DataMember<nullptr>) F(Method<One, nullptr>)
struct Methods { int simple(int) { return 1; } virtual int virtually(int) { return 2; } };
struct MethodsToo : One, Methods { int late(int) { return 3; } };
struct MethodsVirtual : virtual Methods { int later(int) { return 4; } };
F(Method<Methods, &Methods::simple>) F(Method<Methods, &Methods::virtually>) F(Method<MethodsToo, &MethodsToo::late>)
F(Method<MethodsVirtual, &MethodsVirtual::later>)
F(Template<Of>) F(TemplatePack<Two_, int, Plain>) F(Pack<>) F(Pack<int>) F(Pack<int, char, Plain, Pack<>>) F(Pack<Pack<Pack<>, int>, Pack<>>)
template void Pack<int>::g<>(); template void Pack<>::g<1, 2, 3>();
F(Of<void(int)>) F(Of<int() const>) F(Of<void() noexcept>) F(Of<void() volatile &&>) F(Of<void(...)>) F(Of<int[4]>) F(Of<const int[2][3]>) F(Of<int[]>)
F(Of<const int>) F(Of<const volatile Plain>) F(Of<int &>) F(Of<int &&>) F(Of<const Plain &&>) F(Of<void>) F(Of<const void>) F(Of<Plain Class::*>)
F(Of<void (Class::*)(int) const &>) F(Of<int (*)(int, ...)>) F(Of<int (*(*)(char))(long)>) F(Of<int (&)(char)>) F(Of<Of<Of<Of<Of<Of<int>>>>>>)

// ---- back-references ----
namespace alpha { namespace beta { struct alpha { struct beta {}; }; } struct A {}; struct B {}; struct C {}; struct D {}; struct E {}; struct G {}; struct H {}; struct I {}; struct J {}; struct K {}; struct L {}; }
alpha::beta::alpha refer(alpha::beta::alpha::beta *, alpha::A, alpha::B, alpha::A, alpha::B *, alpha::B *) { return {}; }
void many(alpha::A *, alpha::B *, alpha::C *, alpha::D *, alpha::E *, alpha::G *, alpha::H *, alpha::I *, alpha::J *, alpha::K *, alpha::L *, alpha::A *, alpha::L *, alpha::K *) {}
void many(Of<alpha::A>, Of<alpha::B>, Of<Of<alpha::A>>, Of<alpha::A>, Two_<alpha::A, 1>, Of<alpha::B> *) {}
void callbacks(void (*)(int *, int *), void (*)(int *, int *), int *(*)(void (*)(int *, int *), int *), int *) {}
template <class A, class B> A back(A, B, Of<A>, Of<B>, A *, B *) { return A(); }
template Plain back<Plain, alpha::A>(Plain, alpha::A, Of<Plain>, Of<alpha::A>, Plain *, alpha::A *);
template Of<Plain> back<Of<Plain>, Of<Of<Plain>>>(Of<Plain>, Of<Of<Plain>>, Of<Of<Plain>>, Of<Of<Of<Plain>>>, Of<Plain> *, Of<Of<Plain>> *);

// ---- names inside functions ----
inline int counted(int n) { static int count = n; static Number number(n); return ++count; }
inline auto local_class(int n) { struct Local { int n; Local(int m) : n(m) {} virtual int f(int k) { static int s = k; return n + s; } }; { struct Local { void g() {} }; Local().g(); } return Local{n}; }
thread_local Number per_thread(3);
inline Number *guarded_thread() { static thread_local Number number(4); return &number; }
template <class T> int local_template(T t) { static T kept = t; struct In { T t; int f() { return 1; } }; auto l = [&](T u) { static int k = 3; k += u == kept; return k; }; return l(t) + In{t}.f(); }
int enter(int n)
{
    auto lambda = [n](int m) { return [m, n](Plain p) { return p.i + m + n; }; };
    auto generic = [](auto a, auto *b) { static int hits; return a + *b + ++hits; };
    int (*pointer)(int) = [](int k) { return k; };
    { { static int in_a_block; consume(&in_a_block); } static int in_a_block; consume(&in_a_block); }
    Hidden hidden{hidden_function(n)}; hidden_variable = hidden.h;
    return lambda(2)(plain) + generic(1, &n) + generic(2.0, &n) + pointer(1) + counted(n) + local_class(n).f(3) + local_template(n) + local_template(2.5) + guarded_thread()->operator*();
}
namespace { template <class T> struct HiddenTemplate { static T t; virtual void f() {} }; template <class T> T HiddenTemplate<T>::t; }
void hidden_use() { HiddenTemplate<int>().f(); HiddenTemplate<Hidden> h; h.f(); consume(&HiddenTemplate<int>::t); }
inline namespace v2 { void versioned() {} }

// ---- variables ----
const volatile int flag = 3; const char *const text = "constant"; int (*table[3])(int); int matrix[2][3]; const int (&row)[3] = matrix[1];
extern const Plain constant_plain; const Plain constant_plain = {3}; int Plain::*member = &Plain::i; void (Class::*method)(); const int *const *chain;
Number dynamic(3); template <class T> struct Static { static Number number; }; template <class T> Number Static<T>::number(5); template struct Static<int>; template struct Static<Plain>;
template <class T> T variable_template = T(); template int variable_template<int>; template Plain variable_template<Plain>;
void use_text() { consume(&flag); consume(text); consume(&chain); consume(&dynamic); }

// ---- literals ----
const void *literals[] = {"", "a", "two words", "\t\r\n\\\"'?,:;-", "\x01\x7f\x80\xe1\xff", "exactly thirty-one characters!!", "this one is rather longer than the limit of thirty-two",
    L"", L"wide", L"wide and longer than the limit", L"\x1234\xabcd", u"sixteen", u"\x1234", u"", U"thirty-two", U"", U"\x12345", u8"eight", "zero\0inside", u"sixteen, but longer than it shows", U"thirty-two, and longer"};

// ---- functions: conventions, results, exceptions ----
#define CALLS(c) void c called(int, Plain *) {} void c called_with(void (c *)(int), void (c Class::*)(int)) {}
namespace by_cdecl { CALLS(__cdecl) } namespace by_stdcall { CALLS(__stdcall) } namespace by_fastcall { CALLS(__fastcall) } namespace by_vectorcall { CALLS(__vectorcall) }
struct Conventions { void __cdecl c() {} void __stdcall s(int) {} void __fastcall f(int) {} void __vectorcall v(int) {} static void __stdcall t() {} int x(int, ...) { return 1; } };
void use_conventions(Conventions c) { c.c(); c.s(1); c.f(1); c.v(1); c.t(); c.x(1); }
void nothing() noexcept {} void takes_nothing(void (*)() noexcept) {} int variadic(const char *, ...) { return 1; } const Plain returns_const() { return {}; }
int (*returns_function(int))(char) { return nullptr; } int (&returns_array())[3] { return globals; } int Plain::*returns_member() { return nullptr; }
auto deduced() { return 1; } auto trailing() -> int { return 1; } decltype(auto) perfect() { return (global); }
void restricted(int *__restrict, int *__restrict const, int __unaligned *, const int __unaligned *) {}
void pointers(int *const *volatile *, int &, int &&, int *&, const int *&&, int (*&)(int), int (&)[2], void *const) {}
void complex_arguments(_Complex float) {}
extern "C" void plain_c(int) {} extern "C" int plain_variable = 1;
