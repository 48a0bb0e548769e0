# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Configures and builds one preset. Sourced.

jobs=$(nproc)

# build_preset PRESET [TARGET...]: leaves the result in build/PRESET.
build_preset() {
    local preset=$1
    shift
    say "building $preset${*:+: $*} ($jobs at a time)"
    [[ -f build/$preset/build.ninja ]] || cmake --preset "$preset" >/dev/null || die "cmake --preset $preset failed"
    NINJA_STATUS='   [%f/%t %es] ' ninja -C "build/$preset" -j "$jobs" "$@" || die "building $preset failed"
}

# The optimized binary, at build/tokenlet. Renamed into place, so that a running one is not disturbed.
build_tokenlet() {
    build_preset release tokenlet
    cp build/release/cli/tokenlet build/.tokenlet.new
    mv build/.tokenlet.new build/tokenlet
}

# The control plane of tests/cluster, at build/cluster/control_plane, then the clients of tests/clients, in build/clients:
# begun here with the lowest claim on the processors, beside what else is to be built. A group of its own, so that it can be
# ended as a whole with whoever began it.
begin_control_plane() {
    # What the machine has already, of whatever origin, may be newer than Debian's. The build says what is still missing.
    command -v go >/dev/null || (install_packages cluster) || return 0
    { command -v mvn && command -v javac; } >/dev/null || (install_packages clients-java) || :
    command -v npm >/dev/null || (install_packages clients-js) || :
    python3 -c 'import ensurepip' 2>/dev/null || (install_packages clients-py) || :
    mkdir -p build/cluster
    say "building the control plane of tests/cluster and tests/clients beside the rest; the first time it takes minutes"
    set -m
    { nice -n 10 tests/cluster/build.sh build/cluster && nice -n 10 tests/clients/build.sh build/clients; } \
        &>build/cluster/log </dev/null &
    control_plane=$!
    set +m
    trap 'kill -- "-$control_plane" 2>/dev/null || :' EXIT
}

# Waits for it. What cannot be had here is no failure: its tests are skipped.
finish_control_plane() {
    local status=0
    if [[ -n ${control_plane-} ]]; then
        quietly "waiting for the control plane of tests/cluster, and tests/clients" wait "$control_plane" || status=$?
        trap - EXIT
    fi
    [[ -x build/cluster/control_plane ]] && ((status == 0)) && return
    [[ ! -f build/cluster/log ]] || tail -n 40 build/cluster/log >&2
    ((status == 0 || status == 77)) || die "tests/cluster/build.sh or tests/clients/build.sh failed (see above)"
    if [[ -x build/cluster/control_plane ]]; then
        say "SKIPPED: a client of tests/clients, because it cannot be had here (see above)"
    else
        say "SKIPPED: tests/cluster and tests/clients, because the control plane cannot be had here (see above)"
    fi
}

# run_ctest DIRECTORY [CTEST ARGUMENT...]
run_ctest() {
    local directory=$1
    shift
    ctest --test-dir "$directory" --output-on-failure --no-tests=error -j "$jobs" "$@"
}

# join_suites PRESET...: their suites as one, so that one run of ctest, and its closing lines, speak for all.
join_suites() {
    mkdir -p build/all
    local preset
    for preset in "$@"; do
        printf 'subdirs("%s/build/%s")\n' "$PWD" "$preset"
    done >build/all/CTestTestfile.cmake
}
