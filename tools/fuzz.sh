#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One fuzzer of build/fuzz for FUZZ_SECONDS, from its seeds and what earlier runs found: tools/fuzz.sh NAME
# FUZZ_SEED repeats the same inputs from the same corpus; without it every run draws others.
# New inputs go to build/corpus; what is worth keeping is copied to tests/fuzz/seeds by hand.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
name=$1
seconds=${FUZZ_SECONDS-60}
seed=${FUZZ_SEED-0}
corpus=build/corpus/$name
log=$corpus.log
mkdir -p "$corpus"

# A single input may take half a minute, on a starved machine, and 2 GiB.
if "build/fuzz/tests/fuzz/${name}_fuzz" -max_total_time="$seconds" -seed="$seed" -timeout=30 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$corpus." "$corpus" "tests/fuzz/seeds/$name" &>"$log"; then
    printf '%-14s %10s executions in %s s\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" "$seconds"
else
    tail -n 60 "$log"
    echo "$name: found something; the input is at $corpus.*, and this repeats it:" \
        "build/fuzz/tests/fuzz/${name}_fuzz INPUT" >&2
    exit 1
fi
