#!/usr/bin/env bash
# ./dev bench accuracy: the attribution on variants; fitted on seeds 1-10, scored on 11-30 and on 51-70, which nobody
# looked at before; each kind of evidence switched off in turn.
set -euo pipefail
here=$SRC/tests/bench
source "$here/parts/shared.sh"
folder=$WORK/accuracy
mkdir -p "$folder"
score() { "$HEAPSIFT" --allow-files run "$here/accuracy.lua" "$folder" --from "$1" --to "$2"; }
for seed in {11..30} {51..70}; do
    "$HEAPSIFT" run "$SRC/tests/synth/variants.lua" "$folder/v-$seed.dmp" --seed "$seed" \
        --truth "$folder/v-$seed.json" > /dev/null
done
section accuracy << END
## How right the attribution is

Written by \`./dev bench accuracy\`, on made-up processes whose truth is known; \`tests/bench/accuracy.lua\` tells what each
column is. Needed: accuracy at least 0.95 of the oracle's, the leader first in all, a calibration error of at most 0.05,
at most 1 in 500 certain shares wrong.

\`\`\`
$(score 11 30)

$(score 51 70)
\`\`\`
END
