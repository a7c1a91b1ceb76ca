#!/usr/bin/env bash
# ./dev must install each package that is not there, and no other; a machine of our own states, with its dpkg-query and
# its apt-get.  dev_needs.sh SRC
set -euo pipefail
machine=$(mktemp -d)
trap 'rm -rf "$machine"' EXIT
mkdir "$machine/bin"
cp "$1/dev" "$machine/dev"

# All are there, but one that nobody ever heard of, one that others speak of, and one that was removed; one is there for
# two architectures.
cat > "$machine/bin/dpkg-query" << 'END'
#!/bin/sh
case $4 in
    lua-lpeg) exit 1 ;;
    libedit-dev) printf 'not-installed ' ;;
    lua-dkjson) printf 'config-files ' ;;
    libffi-dev) printf 'installed installed ' ;;
    *) printf 'installed ' ;;
esac
END
printf '#!/bin/sh\nexit 1\n' > "$machine/bin/apt-get"
printf '#!/bin/sh\nexec "$@"\n' > "$machine/bin/sudo"
chmod +x "$machine"/bin/*

if output=$(PATH="$machine/bin:$PATH" "$machine/dev" build 2>&1); then
    printf 'it built without its packages\n'
    exit 1
fi
expected='dev: apt-get could not install lua-lpeg lua-dkjson libedit-dev'
if [[ $output != *"$expected" ]]; then
    printf 'expected %s, got:\n%s\n' "$expected" "$output"
    exit 1
fi
