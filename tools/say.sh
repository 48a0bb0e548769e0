# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What ./dev says to the person in front of it. Sourced.

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
[[ -t 1 ]] || say() { printf '== %s\n' "$*"; }

die() {
    printf './dev: %s\n' "$*" >&2
    exit 1
}

# quietly LABEL COMMAND...: one line instead of the command's hundreds, the time it took at the end; what it said is
# shown only when it fails.
quietly() {
    local label=$1 log ticker status=0 start=$SECONDS
    shift
    log=$(mktemp)
    say "$label"
    if [[ -t 1 ]]; then
        while sleep 0.5 && kill -0 $$ 2>/dev/null; do
            printf '\r\033[K   %3d s  %.100s' $((SECONDS - start)) "$(tail -n 1 "$log" | tr -d '\r')"
        done &
        ticker=$!
    fi
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [[ -t 1 ]]; then
        kill "$ticker" 2>/dev/null
        wait "$ticker" 2>/dev/null || :
        printf '\r\033[K'
    fi
    if ((status)); then
        tail -n 40 "$log" >&2
    else
        printf '   done in %d s\n' $((SECONDS - start))
    fi
    rm -f "$log"
    return "$status"
}
