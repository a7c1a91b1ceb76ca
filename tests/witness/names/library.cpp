// Containers in the manner of a standard library, instantiated for many types: names as long programs have them.
#include "names.h"

namespace std {
template <class T> struct allocator {
    T *allocate(size_t count);
    void deallocate(T *at, size_t count) noexcept;
    template <class U> struct rebind { typedef allocator<U> other; };
};
template <class T> T *allocator<T>::allocate(size_t count) { return static_cast<T *>(operator new(count * sizeof(T))); }
template <class T> void allocator<T>::deallocate(T *at, size_t) noexcept { operator delete(at); }

template <class T> struct char_traits { static size_t length(const T *text) { return text[0] ? 1 : 0; } };
template <class T> struct less { bool operator()(const T &a, const T &b) const { return a < b; } };
template <class A, class B> struct pair {
    A first;
    B second;
    pair(const A &a, const B &b) : first(a), second(b) {}
    pair &operator=(pair &&other) noexcept { second = other.second; return *this; }
};

template <class T, class A = allocator<T>> class vector {
public:
    class iterator { public: T *at; iterator &operator++() { ++at; return *this; } T &operator*() const { return *at; } };
    vector() : data_(), size_() {}
    vector(const vector &other) : data_(other.data_), size_(other.size_) {}
    vector(vector &&other) noexcept : data_(other.data_), size_(other.size_) {}
    ~vector() { A().deallocate(data_, size_); }
    vector &operator=(const vector &other) { data_ = other.data_; return *this; }
    void push_back(const T &value) { grow(1); data_[size_++] = value; }
    void push_back(T &&value) { grow(1); data_[size_++] = value; }
    T &operator[](size_t idx) { return data_[idx]; }
    const T &at(size_t idx) const { return data_[idx]; }
    iterator begin() { return iterator{data_}; }
    template <class... U> T &emplace_back(U &&...rest) { grow(sizeof...(rest)); return data_[0]; }
    static vector *make(size_t count) { static vector one; return &one; }
protected:
    void grow(size_t by) { data_ = A().allocate(size_ + by); }
private:
    T *data_;
    size_t size_;
};

template <class C, class T = char_traits<C>, class A = allocator<C>> class basic_string {
public:
    basic_string(const C *text) : text_(text), size_(T::length(text)) {}
    virtual ~basic_string() {}
    basic_string &append(const basic_string &other, size_t from, size_t count) { size_ += count; return *this; }
    int compare(const C *text) const { return text_ == text; }
    const C *c_str() const noexcept { return text_; }
    bool operator<(const basic_string &other) const { return size_ < other.size_; }
    friend bool operator==(const basic_string &a, const basic_string &b) { return a.text_ == b.text_; }
    static const size_t npos = ~size_t(0);
private:
    const C *text_;
    size_t size_;
};
typedef basic_string<char> string;
typedef basic_string<wchar_t> wstring;

template <class K, class V, class P = less<K>, class A = allocator<pair<const K, V>>> class map {
public:
    struct node { node *left, *right; pair<const K, V> value; };
    V *find(const K &key) { for (node *n = root_; n; n = P()(key, n->value.first) ? n->left : n->right) return &n->value.second; return nullptr; }
    pair<node *, bool> insert(const pair<const K, V> &value) { return pair<node *, bool>(root_, false); }
    node *root_ = nullptr;
};

template <class T> struct default_delete { void operator()(T *at) const { delete at; } };
template <class T, class D = default_delete<T>> class unique_ptr {
public:
    explicit unique_ptr(T *at) noexcept : at_(at) {}
    unique_ptr(unique_ptr &&other) noexcept : at_(other.at_) { other.at_ = nullptr; }
    ~unique_ptr() { D()(at_); }
    T *operator->() const noexcept { return at_; }
    explicit operator bool() const noexcept { return at_ != nullptr; }
private:
    T *at_;
};

template <class F> class function;
template <class R, class... A> class function<R(A...)> {
public:
    struct callable { virtual R call(A...) = 0; virtual ~callable() {} };
    template <class F> struct holder : callable { F f; holder(F g) : f(g) {} R call(A... a) override { return f(a...); } };
    template <class F> function(F f) : callable_(new holder<F>(f)) {}
    R operator()(A... a) const { return callable_->call(a...); }
private:
    callable *callable_;
};
template <class T> T &&move(T &at) noexcept { return static_cast<T &&>(at); }
template <class T> void swap(T &a, T &b) { T c = a; a = b; b = c; }
template <size_t N, class T> T &get(T (&at)[N]) { return at[N - 1]; }
template <class... T> struct tuple {};
template <class T, size_t N> struct array { T at_[N]; T &operator[](size_t i) { return at_[i]; } size_t size() const { return N; } };
} // namespace std

namespace app {
struct Row { int tag; bool operator<(const Row &o) const { return tag < o.tag; } };
class Store;
enum Color { red };
enum class Kind : unsigned short { one };
union Value { int i; double d; };
namespace deep { namespace er { template <class T> struct Box { T t; bool operator<(const Box &) const { return false; } }; } }
} // namespace app

#define VECTOR(T) template class std::vector<T>; template class std::vector<std::vector<T>>; template class std::array<T, 3>; \
    template void std::swap<T>(T &, T &); template T &&std::move<T>(T &); template T &std::get<7, T>(T (&)[7]); \
    template T &std::vector<T>::emplace_back<T, int>(T &&, int &&); template class std::unique_ptr<T>;
VECTOR(int)
VECTOR(char)
VECTOR(wchar_t)
VECTOR(char16_t)
VECTOR(char32_t)
VECTOR(char8_t)
VECTOR(bool)
VECTOR(double)
VECTOR(unsigned __int64)
VECTOR(void *)
VECTOR(const char *)
VECTOR(app::Row)
VECTOR(app::Row *)
VECTOR(app::Store *)
VECTOR(app::Color)
VECTOR(app::Kind)
VECTOR(app::Value)
VECTOR(std::string)
VECTOR(app::deep::er::Box<int>)
VECTOR(app::deep::er::Box<app::deep::er::Box<app::Row>>)
typedef void (*Callback)(int, const char *);
typedef int (app::Row::*Method)(Callback, Callback) const;
typedef int app::Row::*Member;
VECTOR(Callback)
VECTOR(Method)
VECTOR(Member)
VECTOR(decltype(nullptr))
#define MAP(K, V) template class std::map<K, V>; template class std::map<K, std::vector<V>>; template struct std::pair<const K, V>;
MAP(int, int)
MAP(std::string, std::string)
MAP(std::wstring, app::Row)
MAP(unsigned, std::function<void(int)>)
MAP(app::Row, app::Store *)
MAP(std::string, std::map<std::string _COMMA std::vector<app::Row>>)
MAP(app::deep::er::Box<char>, std::tuple<>)
MAP(app::Color, std::tuple<int _COMMA char _COMMA app::Row>)
template class std::basic_string<char>;
template class std::basic_string<wchar_t>;
template class std::basic_string<char16_t>;

int use(int n)
{
    std::vector<std::unique_ptr<app::Row>> rows;
    std::function<void(int)> f = [n](int m) { static int calls; calls += n + m; };
    std::function<int(const std::string &, app::Row *)> g = [&](const std::string &s, app::Row *r) {
        auto inner = [=](auto x) { return x + r->tag; };
        return inner(3) + (int)inner(2.5) + s.compare("x");
    };
    f(3);
    return g(std::string("hello, world: a literal that is longer than thirty-two bytes"), nullptr) + (rows[0] ? 1 : 0);
}
