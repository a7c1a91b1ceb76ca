#!/usr/bin/env bash
# Installs, moves the tree, and uses it as others would: a CMake project, pkg-config, the program by itself.
#   run.sh CMAKE CC   with HEAPSIFT, BUILD and SRC in the environment, as tests/CMakeLists.txt gives them
set -euo pipefail
cmake=$1 cc=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'tail -n 20 "$work"/*.log "$work"/elsewhere/*.log 2> /dev/null' ERR
tree="$work/moved tree"
die() { printf 'consumer: %s\n' "$*" >&2; exit 1; }

"$cmake" --install "$BUILD" --prefix "$work/prefix" > "$work/install.log"
mv "$work/prefix" "$tree"
if grep -rlF -e "$work/prefix" -e "$SRC" "$tree"; then
    die "these installed files name a folder of this machine"
fi

heapsift=$tree/bin/heapsift
mkdir "$work/elsewhere"
cd "$work/elsewhere"
env -u SRC -u BUILD "$heapsift" version
env -u SRC -u BUILD "$heapsift" run sample tiny.dmp --tiny > sample.log
env -u SRC -u BUILD "$heapsift" run stat tiny.dmp > stat.txt
env -u SRC -u BUILD "$heapsift" help filter > filter.txt
grep -q '^TWENTY EXAMPLES$' filter.txt || die "the installed program does not know: help filter"
[[ -s stat.txt ]] || die "the installed program printed nothing for: run stat"

"$cmake" -S "$SRC/tests/consumer" -B cmake -G Ninja "-DCMAKE_C_COMPILER=$cc" "-DCMAKE_PREFIX_PATH=$tree" > cmake.log
"$cmake" --build cmake >> cmake.log
if "$cmake" -S "$SRC/tests/consumer" -B refused -G Ninja "-DCMAKE_PREFIX_PATH=$tree" -DWANTED=9 > refused.log 2>&1; then
    die "find_package took 0.x for version 9"
fi

pc=$(cd "$tree" && find . -name heapsift.pc)
# pkg-config escapes the blank in the folder's name for a shell to read.
eval "flags=($(PKG_CONFIG_PATH="$tree/$(dirname "$pc")" pkg-config --cflags --libs heapsift))"
libdir=$(cd "$tree/$(dirname "$pc")/.." && pwd)
"$cc" -std=c17 -Wall -Wextra -Werror -o totals_pkgconfig "$SRC/docs/examples/heap_totals.c" "${flags[@]}"
# The program that README.md shows: its indented lines from the first #include to a closing brace of its own.
sed -n '/^    #include <heapsift/,/^    }$/s/^    //p' "$SRC/README.md" > readme.c
"$cc" -std=c17 -Wall -Wextra -Werror -o totals_readme readme.c "${flags[@]}"
for header in "$tree"/include/heapsift/*.h; do
    "$cc" -std=c17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c -I "$tree/include" "$header"
    c++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c++ -I "$tree/include" "$header"
done

export LD_LIBRARY_PATH=$libdir
./totals_readme tiny.dmp > readme.txt || die "the program of README.md fails"
[[ $(cat readme.txt) =~ ^[1-9][0-9]*\ blocks$ ]] || die "the program of README.md prints: $(cat readme.txt)"
./totals_pkgconfig tiny.dmp | tee expected.txt
grep -q '^heap ' expected.txt || die "no heap was printed"
for program in cmake/totals_heapsift cmake/totals_heapsift_static; do
    "$program" tiny.dmp | diff expected.txt - || die "$program prints something else"
done
