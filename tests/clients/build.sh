#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh DIRECTORY: leaves the clients and watchers of this folder in DIRECTORY/{go,java,js,py,go-watcher,...}, unless they
# are there already, with the libraries that go.sum, jars.sha256, package-lock.json and requirements.txt name. Run after
# tests/cluster/build.sh, whose compiled modules it uses. Exit code 77: one cannot be had here, for the reason on standard
# error; the others are there.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
mkdir -p "$1"
cd "$1"

unavailable() {
    echo "SKIPPED: tests/clients/$client: $*" >&2
    exit 77
}

# need COMMAND...
need() {
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null || unavailable "there is no $command here"
    done
}

# Builds $client in the working directory.
build() {
    case $client in
    go*)
        # The one that tests/cluster/build.sh fetched, where the machine's own is too old.
        local go
        go=$(compgen -G "$PWD/../../cluster/go*/bin/go") || go=go
        [[ $go == go ]] || unset GOROOT
        need "$go"
        export CGO_ENABLED=0 GO111MODULE=on GOFLAGS=-mod=readonly GOTMPDIR=$PWD GOTOOLCHAIN=local
        "$go" -C "$here/$client" list -deps . >/dev/null || unavailable "the modules of go.mod cannot be fetched"
        "$go" -C "$here/$client" build -trimpath -buildvcs=false -ldflags "-s -w" -o "$PWD/client" .
        ;;
    java)
        need mvn javac java
        mvn --quiet --batch-mode --file "$here/java/pom.xml" -DoutputDirectory="$PWD/jars" \
            org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies ||
            unavailable "client-java cannot be fetched"
        (cd jars && sha256sum --check --quiet "$here/java/jars.sha256")
        javac -d . -cp 'jars/*' "$here/java/Client.java"
        ;;
    js*)
        need node npm
        # The client looks for the library beside itself.
        cp "$here/$client"/* .
        local library
        library=$(node --print 'Object.keys(require("./package.json").dependencies)[0]')
        npm ci --ignore-scripts --no-audit --no-fund || unavailable "$library cannot be fetched"
        node --input-type=module --eval "import '$library'" ||
            unavailable "Node $(node --version) does not load $library"
        ;;
    py*)
        need python3
        python3 -m venv . || unavailable "$(python3 --version) makes no virtual environment"
        bin/pip install --quiet --no-deps --only-binary :all: --require-hashes --requirement "$here/$client/requirements.txt" ||
            unavailable "the Python library cannot be fetched for $(python3 --version) on $(uname -m)"
        ;;
    esac
}

status=0
for client in go java js py go-watcher js-watcher py-watcher; do
    sources=$(cat "$here/build.sh" "$here/$client"/* | sha256sum)
    [[ $(cat "$client/sources" 2>/dev/null) != "$sources" ]] || continue
    echo "building tests/clients/$client"
    began=$SECONDS
    rm -rf "$client"
    mkdir "$client"
    # Not as a condition, which would keep it from ending at the first error.
    set +e
    (
        set -e
        cd "$client"
        build
        echo "$sources" >sources
    )
    result=$?
    set -e
    ((result == 0 || result == 77)) || exit "$result"
    ((result == 0)) || status=77
    echo "   $((SECONDS - began)) s"
done
exit "$status"
