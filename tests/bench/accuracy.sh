#!/usr/bin/env bash
# The attribution on variants: fitted on seeds 1-10, scored on 11-30; each kind of evidence switched off in turn.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$WORK/accuracy
mkdir -p "$folder"
for seed in $(seq 11 30); do
    "$HEAPSIFT" run "$here/../synth/variants.lua" "$folder/v-$seed.dmp" --seed "$seed" --truth "$folder/v-$seed.json" \
        > /dev/null
done
"$HEAPSIFT" --allow-files run "$here/accuracy.lua" "$folder" --from 11 --to 30 --all "$@"
