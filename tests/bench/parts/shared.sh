# shared.sh: what the parts of ./dev bench have in common; sourced. Needs SRC, HEAPSIFT, WORK, as ./dev sets them.

say() { printf 'bench: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
# calc EXPRESSION FORMAT
calc() { awk "BEGIN { printf \"${2:-%.6f}\", ($1) }"; }
middle() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
grouped() { printf '%s' "$1" | sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta'; }
mib() { calc "$1 / 1048576" '%.1f MiB'; }
ms() { calc "$1 * 1000" '%.1f ms'; }

# Samples are kept by the text of their writer.
mkdir -p "$WORK"
version=$(cat "$SRC"/plugins/lib/sample/*.lua "$SRC/scripts/sample.lua" | sha256sum | cut -c 1-8)
find "$WORK" -maxdepth 1 -name 'sample-*' ! -name "sample-*-$version*" -delete
# sample NAME OPTION...: sets `sample` to the file; fails with the writer's line on stderr.
sample() {
    sample=$WORK/sample-$1-$version.dmp
    shift
    if [[ -f $sample ]]; then return; fi
    say "writing $(basename "$sample")"
    "$HEAPSIFT" run sample "$sample" "$@" > /dev/null # a failed script leaves no file
}

# section NAME: stdin becomes that part's section of docs/performance.md, between two marks; the other parts' stay.
section() {
    local page=$SRC/docs/performance.md text=$WORK/section-$1.md
    cat -s | sed -e '${/^$/d}' > "$text"
    [[ -f $page ]] || : > "$page"
    if ! grep -q "^<!-- $1 -->\$" "$page"; then printf '\n<!-- %s -->\n<!-- end of %s -->\n' "$1" "$1" >> "$page"; fi
    awk -v from="<!-- $1 -->" -v to="<!-- end of $1 -->" -v text="$text" '
        $0 == to { inside = 0 }
        !inside { print }
        $0 == from { inside = 1; while ((getline line < text) > 0) print line }' "$page" > "$WORK/performance.md"
    cp "$WORK/performance.md" "$page"
    cat "$text"
    say "wrote the section $1 of docs/performance.md"
}
