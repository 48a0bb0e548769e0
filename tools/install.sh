# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Installs from Debian what is missing of the named sets of tools/packages. Sourced.

missing_packages() {
    local wanted installed
    wanted=$(for set in "$@"; do sed -n "s/^$set //p" tools/packages; done | sort -u)
    # shellcheck disable=SC2086 # one argument a package
    installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p' | sort -u)
    comm -23 <(echo "$wanted") <(echo "$installed")
}

# install_packages SET...
install_packages() {
    if ! command -v dpkg-query >/dev/null; then
        say "not a Debian system: expecting what tools/packages names to be here already ($*)"
        return
    fi
    local missing as_root=(env)
    missing=$(missing_packages "$@" | xargs)
    [[ -n $missing ]] || return 0
    if ((EUID != 0)); then
        command -v sudo >/dev/null ||
            die "packages are missing and there is no sudo here; as root: apt-get install --no-install-recommends $missing"
        as_root=(sudo env)
        say "sudo: installing Debian packages needs root"
        sudo -v || die "sudo refused; as root: apt-get install --no-install-recommends $missing"
    fi
    say "missing from Debian:"
    fold -s -w 100 <<<"$missing" | sed 's/^/   /'
    export DEBIAN_FRONTEND=noninteractive
    quietly "fetching Debian's package lists" "${as_root[@]}" apt-get update ||
        die "apt-get update failed (see above); is the network up?"
    # shellcheck disable=SC2086
    quietly "installing $(wc -w <<<"$missing") Debian packages" "${as_root[@]}" DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 $missing ||
        die "apt-get install failed (see above)"
}
