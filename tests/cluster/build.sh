#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh DIRECTORY: leaves the control plane of tests/cluster as a program at DIRECTORY/control_plane, unless it is there
# already. Exit code 77: it cannot be had here, for the reason on standard error.
# Cold it takes two processors five minutes and 4 GB of Go's caches; once those are filled, half a minute.
set -euo pipefail
script=$(readlink -f "$0")
program=${script%/*}/program
kubernetes=$(sed -n 's|^\tk8s.io/kubernetes v||p' "$program/go.mod")
toolchain=go1.26.8
mkdir -p "$1"
cd "$1"

unavailable() {
    echo "$*" >&2
    exit 77
}

sources=$(cat "$script" "$program"/{*.go,go.mod,go.sum} | sha256sum)
[[ ! -x control_plane || $(cat control_plane.sources 2>/dev/null) != "$sources" ]] || exit 0
rm -f control_plane
command -v go >/dev/null || unavailable "there is no go here"

# Go's own choice, /tmp, is in memory on many machines.
export GOTMPDIR=$PWD/tmp
mkdir -p "$GOTMPDIR" "$(go env GOCACHE)"
for place in "$GOTMPDIR" "$(go env GOCACHE)"; do
    free=$(df --output=avail -BG "$place" | tail -n 1 | tr -dc 0-9)
    ((free >= 5)) || unavailable "$place has $free GB left, and compiling Kubernetes takes 5"
done

# Debian 12's Go is years too old for Kubernetes, but it can fetch a newer one, which is a module like any other. Modules
# carry neither files called go.mod nor permissions: both are put right here.
go=go
export GOTOOLCHAIN=local GOFLAGS=-mod=mod GO111MODULE=on
wanted=$(sed -n 's/^go //p' "$program/go.mod")
had=$(go env GOVERSION)
if [[ $(printf '%s\n' "$wanted" "${had#go}" | sort -V | head -n 1) != "$wanted" ]]; then
    module=golang.org/toolchain@v0.0.1-$toolchain.$(go env GOOS)-$(go env GOARCH)
    if [[ ! -x $toolchain/bin/go ]]; then
        echo "fetching $toolchain, because Kubernetes needs $wanted and this is $had"
        fetched=$(go mod download -json "$module") || unavailable "$module cannot be fetched: $fetched"
        rm -rf "$toolchain" "$toolchain.new"
        cp -r "$(sed -n 's/^\t"Dir": "\(.*\)".*/\1/p' <<<"$fetched")" "$toolchain.new"
        chmod -R u+w "$toolchain.new"
        find "$toolchain.new" -name _go.mod -execdir mv {} go.mod \;
        chmod +x "$toolchain.new"/bin/* "$toolchain.new"/pkg/tool/*/*
        mv "$toolchain.new" "$toolchain"
    fi
    go=$PWD/$toolchain/bin/go
    unset GOROOT
fi

cd "$program"
export GOFLAGS=-mod=readonly CGO_ENABLED=0
echo "fetching the modules of Kubernetes v$kubernetes"
"$go" list -deps . >/dev/null || unavailable "the modules of Kubernetes v$kubernetes cannot be fetched"
echo "compiling the control plane"
IFS=. read -r major minor _ <<<"$kubernetes"
# Without a version kubectl refuses the server's answer.
version=k8s.io/component-base/version
"$go" build -trimpath -buildvcs=false -o "$OLDPWD/control_plane.new" -ldflags "-s -w -X $version.gitVersion=v$kubernetes
    -X $version.gitMajor=$major -X $version.gitMinor=$minor"
cd "$OLDPWD"
mv control_plane.new control_plane
echo "$sources" >control_plane.sources
