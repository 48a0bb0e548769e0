#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# build.sh DIRECTORY: leaves the kubelet's AtomicWriter as a program at DIRECTORY/atomic_writer. Takes two files out of
# the module k8s.io/kubernetes: importing the package that holds them would compile half of the kubelet.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
kubernetes=v1.36.3
library=v0.36.3
mkdir -p "$1/upstream"
cd "$1"
module=$(go mod download -json "k8s.io/kubernetes@$kubernetes" | sed -n 's/^\t"Dir": "\(.*\)".*/\1/p')
install -m 0644 "$module"/pkg/volume/util/atomic_writer{,_linux}.go upstream/
install -m 0644 "$here/main.go" .
cat >go.mod <<END
module tokenlet.dev/bench

go 1.24

require k8s.io/apimachinery $library
END
go mod tidy
go build -o atomic_writer .
