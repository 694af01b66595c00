#!/bin/sh
# What the benchmarks need beside Python packages: azcopy (npm, into benchmarks/node) and the
# library it is linked to (apt, only if missing and only as root or with sudo). Both may fail:
# azcopy is then left out of the results, which say so.
set -eu
cd "$(dirname "$0")/.."
if [ "$(uname -s)" = Linux ] && command -v npm >/dev/null 2>&1; then
    npm ci --prefix benchmarks/node --ignore-scripts --loglevel=error >&2 ||
        echo "setup: no azcopy" >&2
    if ! ldconfig -p 2>/dev/null | grep -q libsecret-1 && command -v apt-get >/dev/null; then
        root=
        [ "$(id -u)" = 0 ] || root="sudo -n"
        $root apt-get install -y -qq --no-install-recommends libsecret-1-0 >/dev/null 2>&1 ||
            echo "setup: no libsecret-1-0, and so no azcopy" >&2
    fi
fi
