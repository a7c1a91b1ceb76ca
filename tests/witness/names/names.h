// What the sources of this folder share. They include no other header: any clang can compile them for Windows.
#define _COMMA ,
typedef decltype(sizeof 0) size_t;
extern "C" void consume(const volatile void *);
