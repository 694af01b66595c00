#!/bin/sh
# Installs what the tests need and pip does not bring: Azurite and playwright-core (npm, into
# tests/servers/node), sshd, libfuse2 and chromium (apt, only if missing and only as root or with
# sudo).
# Safe to run again; quick when done.
set -eu
cd "$(dirname "$0")/.."

node_dir=tests/servers/node
stamp=$node_dir/node_modules/.installed-from
if ! cmp -s "$node_dir/package-lock.json" "$stamp"; then
    if ! command -v npm >/dev/null 2>&1; then
        echo "setup: npm is missing; install nodejs and npm (Azurite runs on it)" >&2
        exit 1
    fi
    echo "setup: npm ci in $node_dir" >&2
    npm ci --prefix "$node_dir" --ignore-scripts --loglevel=error >&2
    cp "$node_dir/package-lock.json" "$stamp"
fi

if ! command -v sshd >/dev/null 2>&1 && [ ! -x /usr/sbin/sshd ]; then
    root=
    [ "$(id -u)" = 0 ] || root="sudo -n"
    echo "setup: apt-get install openssh-server (its service stays off)" >&2
    $root env DEBIAN_FRONTEND=noninteractive sh -c '
        set -e
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            # Debian asks this script before a package may start its service; 101 forbids it.
            printf "#!/bin/sh\nexit 101\n" >$policy
            chmod +x $policy
            trap "rm -f $policy" EXIT
        fi
        apt-get install -y -qq --no-install-recommends openssh-server >/dev/null 2>&1 || {
            apt-get update -qq
            apt-get install -y -qq --no-install-recommends openssh-server
        }
        if command -v systemctl >/dev/null 2>&1; then
            systemctl disable --quiet ssh.service ssh.socket 2>/dev/null || true
        fi
    ' >&2 || echo "setup: no openssh-server; the SFTP tests will be skipped" >&2
fi

if ! PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q 'libfuse\.so\.2'; then
    root=
    [ "$(id -u)" = 0 ] || root="sudo -n"
    echo "setup: apt-get install libfuse2 (the disk that folds names)" >&2
    # Ubuntu since 24.04 calls it libfuse2t64, and takes the old name too.
    $root env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get install -y -qq --no-install-recommends libfuse2 >/dev/null 2>&1 || {
            apt-get update -qq
            apt-get install -y -qq --no-install-recommends libfuse2
        }
    ' >&2 || echo "setup: no libfuse2; the tests of disks that fold names will be skipped" >&2
fi

if ! command -v chromium >/dev/null 2>&1; then
    root=
    [ "$(id -u)" = 0 ] || root="sudo -n"
    echo "setup: apt-get install chromium (the browser of the JupyterLab tests)" >&2
    $root env DEBIAN_FRONTEND=noninteractive sh -c '
        apt-get install -y -qq --no-install-recommends chromium >/dev/null 2>&1 || {
            apt-get update -qq
            apt-get install -y -qq --no-install-recommends chromium
        }
    ' >&2 || echo "setup: no chromium; the JupyterLab tests will be skipped" >&2
fi
