/* signatures.c - functions of every kind of signature, for tests/lua/native_spec.lua. One a line: the script takes the
 * declarations from here, and what stands before the first of them are the types. */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* clang-format off */
/* types */
enum colour { RED, GREEN = 7, BLUE };
enum wide { WIDE_LOW = -1, WIDE_HIGH = 0x7fffffffffffffff };
struct pair { int a, b; };
struct mixed { uint8_t kind; double weight; int16_t small; };
struct floats { float x, y; };
struct three { float x, y, z; };
struct triple { int64_t a; double b; };
struct big { int64_t n[8]; };
struct nested { struct pair first; struct { uint16_t lo; uint32_t hi; } inner; char name[12]; };
struct one { uint8_t only; };
struct odd { uint8_t bytes[3]; };
struct node { struct node *next; int value; };
struct flags { unsigned low : 3, mid : 7; int high : 5; bool set : 1; uint64_t rest : 40; };
struct __attribute__((packed)) tight { int small : 5; };
union any { int32_t i; float f; uint8_t bytes[8]; };
struct holder { int tag; union any value; struct { int x, y; }; };
struct matrix { int16_t cells[3][4]; };
struct counted { uint32_t count; uint16_t items[]; };
struct deep { struct { struct { struct pair p; } b; } a[2]; };
struct strings { const char *first; const char *second; };
struct ops { int (*apply)(int); };
typedef int (*binary)(int, int);
typedef struct pair pair_t;
extern int variable;
extern struct pair pair_variable;
/* functions */
int variable = 42;
struct pair pair_variable = {1, 2};
bool s_bool(bool v) { return v; }
char s_char(char v) { return v; }
int8_t s_i8(int8_t v) { return v; }
uint8_t s_u8(uint8_t v) { return v; }
int16_t s_i16(int16_t v) { return v; }
uint16_t s_u16(uint16_t v) { return v; }
int32_t s_i32(int32_t v) { return v; }
uint32_t s_u32(uint32_t v) { return v; }
int64_t s_i64(int64_t v) { return v; }
uint64_t s_u64(uint64_t v) { return v; }
short s_short(short v) { return v; }
long s_long(long v) { return v; }
unsigned long s_ulong(unsigned long v) { return v; }
long long s_llong(long long v) { return v; }
size_t s_size(size_t v) { return v; }
float s_float(float v) { return v; }
double s_double(double v) { return v; }
long double s_ldouble(long double v) { return v; }
enum colour s_enum(enum colour v) { return v; }
enum wide s_wide(enum wide v) { return v; }
void *s_pointer(void *v) { return v; }
const char *s_text(const char *v) { return v; }
size_t s_length(const char *v) { return strlen(v); }
struct pair s_pair(struct pair v) { return v; }
pair_t s_pair_swap(pair_t v) { int a = v.a; v.a = v.b; v.b = a; return v; }
struct mixed s_mixed(struct mixed v) { return v; }
struct floats s_floats(struct floats v) { return v; }
struct three s_three(struct three v) { return v; }
struct triple s_triple(struct triple v) { return v; }
struct big s_big(struct big v) { return v; }
struct nested s_nested(struct nested v) { return v; }
struct one s_one(struct one v) { return v; }
struct odd s_odd(struct odd v) { return v; }
struct matrix s_matrix(struct matrix v) { return v; }
struct deep s_deep(struct deep v) { return v; }
void s_nothing(void) { variable++; }
int s_sum2(int a, int b) { return a + b; }
double s_sum_mixed(int8_t a, double b, uint16_t c, float d, int64_t e) { return (double)a + b + c + (double)d + (double)e; }
int64_t s_sum10(int64_t a, int64_t b, int64_t c, int64_t d, int64_t e, int64_t f, int64_t g, int64_t h, int64_t i, int64_t j) { return a + b + c + d + e + f + g + h + i + j; }
double s_sum10d(double a, double b, double c, double d, double e, double f, double g, double h, double i, double j) { return a + b + c + d + e + f + g + h + i + j; }
int8_t s_small(int8_t a, uint8_t b, int16_t c, uint16_t d, int8_t e, int8_t f, int8_t g, int8_t h) { return (int8_t)(a + b + c + d + e + f + g + h); }
double s_struct_last(double x, struct big b, float f, struct pair p) { return x + (double)b.n[7] + (double)f + p.b; }
void s_out_int(int *out) { *out = 0x7fffffff; }
void s_out_many(int8_t *a, uint64_t *b, double *c, bool *d) { *a = -128; *b = UINT64_MAX; *c = 0.5; *d = true; }
bool s_out_pair(struct pair *out) { if (!out) return false; out->a = -1; out->b = 1; return true; }
void s_out_pointer(const char **out) { *out = "given"; }
int s_pair_sum(const struct pair *v) { return v->a + v->b; }
int s_array_sum(const int *v, size_t count) { int sum = 0; for (size_t i = 0; i < count; i++) sum += v[i]; return sum; }
int s_array_param(const int v[4]) { return v[0] + v[3]; }
void s_fill(uint8_t *to, size_t size, uint8_t with) { memset(to, with, size); }
void s_overrun(uint8_t *to, size_t size) { memset(to, 0x55, size + 1); }
int s_list_sum(const struct node *at) { int sum = 0; for (; at; at = at->next) sum += at->value; return sum; }
struct node *s_list_next(struct node *at) { return at->next; }
unsigned s_flags(const struct flags *f) { return f->low + f->mid + (unsigned)(f->high + 16) + f->set; }
void s_flags_set(struct flags *f) { f->low = 7; f->mid = 127; f->high = -16; f->set = true; f->rest = 0xffffffffff; }
int s_tight(const struct tight *v) { return v->small; }
float s_union(const union any *v) { return v->f; }
int s_holder(const struct holder *v) { return v->tag + v->value.i + v->x + v->y; }
uint32_t s_counted(const struct counted *v) { uint32_t sum = 0; for (uint32_t i = 0; i < v->count; i++) sum += v->items[i]; return sum; }
size_t s_strings(const struct strings *v) { return strlen(v->first) * 100 + strlen(v->second); }
int s_ops(const struct ops *v, int x) { return v->apply(x); }
int s_format(char *to, size_t size, const char *format, ...) { va_list list; va_start(list, format); int n = vsnprintf(to, size, format, list); va_end(list); return n; }
int s_sum_varargs(int count, ...) { va_list list; int sum = 0; va_start(list, count); while (count-- > 0) sum += va_arg(list, int); va_end(list); return sum; }
int s_add(int a, int b) { return a + b; }
binary s_function(int which) { return which ? s_add : NULL; }
int s_call(binary f, int a, int b) { return f(a, b); }
int64_t s_call_many(int64_t (*f)(int64_t), int64_t times) { int64_t sum = 0; for (int64_t i = 0; i < times; i++) sum += f(i); return sum; }
struct pair s_call_pair(struct pair (*f)(struct pair), struct pair v) { return f(v); }
double s_call_mixed(double (*f)(int8_t, float, const char *, uint64_t)) { return f(-128, 0.5f, "text", UINT64_MAX); }
void s_call_out(void (*f)(int *), int *out) { f(out); }
void *s_call_pointer(void *(*f)(void *), void *v) { return f(v); }
int8_t s_call_i8(int8_t (*f)(int8_t), int8_t v) { return f(v); }
static binary kept;
void s_keep(binary f) { kept = f; }
int s_call_kept(int a, int b) { return kept ? kept(a, b) : 0; }
uint64_t s_bytes_hash(const void *data, size_t size) { const uint8_t *at = data; uint64_t sum = 0; for (size_t i = 0; i < size; i++) sum = sum * 31 + at[i]; return sum; }
