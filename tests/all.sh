#!/bin/sh
# Installs what the tests need (on Debian, as root) and runs them all. Elsewhere, install by hand what
# the list below names; a test that misses its program fails and says which.
set -eu
cd "$(dirname "$0")/.."
needed="age zstd git openssh-server openssh-client patch rsync sudo kamailio frr frr-pythontools netcat-openbsd systemd python3-paramiko"
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    missing=
    for package in $needed; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok' || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q
        # shellcheck disable=SC2086 # a list of words is what is meant
        apt-get install -y -q --no-install-recommends $missing
    fi
fi
exec cargo test --locked "$@"
