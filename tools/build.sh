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
