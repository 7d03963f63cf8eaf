# Shared by serve and test: finds the clone, makes sure that what the build needs is there. Sourced, not run.

# The clone's root, whatever directory the caller is in.
martlet_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"

# How everything is built: optimised, and without the run-time half of the exclusivity checks, in the dependencies too
# (docs/decisions/0002-build-flags.md). One place, because another set of flags would build everything anew.
# shellcheck disable=SC2034  # used by the scripts that source this file
martlet_build_flags=(-c release -Xswiftc -enforce-exclusivity=unchecked)

martlet_say() { printf '==> %s\n' "$*" >&2; }

martlet_fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Version 6.2 is what Package.swift asks for (swift-tools-version).
martlet_require_swift() {
    local version=""
    if command -v swift >/dev/null 2>&1; then
        version="$(swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9][0-9]*\.[0-9][0-9]*\).*/\1/p' | head -n 1)"
    fi
    if [ -z "$version" ]; then
        martlet_fail "no Swift toolchain found. Martlet needs Swift 6.2 or newer (6.3 is what it is tested with).
  Get it from https://www.swift.org/install/linux/ , put its usr/bin into PATH, then run this again."
    fi
    local major="${version%%.*}" minor="${version##*.}"
    if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 2 ]; }; then
        martlet_fail "Swift $version found, but Martlet needs 6.2 or newer (6.3 is what it is tested with).
  Get it from https://www.swift.org/install/linux/ , put its usr/bin first in PATH, then run this again."
    fi
}

# Succeeds when what Debian package $1 brings is already there, however it came.
martlet_has() {
    case "$1" in
        libsqlite3-dev) [ -e /usr/include/sqlite3.h ] || pkg-config --exists sqlite3 2>/dev/null ;;
        libpq-dev) [ -e /usr/include/postgresql/libpq-fe.h ] || pkg-config --exists libpq 2>/dev/null ;;
        libhiredis-dev) [ -e /usr/include/hiredis/hiredis.h ] || pkg-config --exists hiredis 2>/dev/null ;;
        haproxy) [ -x /usr/sbin/haproxy ] || command -v haproxy >/dev/null 2>&1 ;;
        postgresql) ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 ;;
        python3-venv) python3 -c 'import ensurepip, venv' >/dev/null 2>&1 ;;
        ca-certificates) [ -e /etc/ssl/certs/ca-certificates.crt ] ;;
        *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

# Installs those of the Debian packages named that are missing, and says so. Nothing missing: silent and quick.
martlet_require_packages() {
    local missing=() name
    for name in "$@"; do
        martlet_has "$name" || missing+=("$name")
    done
    [ "${#missing[@]}" -eq 0 ] && return 0
    local update="apt-get update" install="apt-get install -y --no-install-recommends ${missing[*]}"
    if ! command -v apt-get >/dev/null 2>&1; then
        martlet_fail "missing: ${missing[*]} (names of Debian packages), and this system has no apt-get.
  Install their counterparts with this system's package manager, then run this again."
    fi
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1 || ! { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            martlet_fail "missing Debian packages: ${missing[*]}. Install them as root, then run this again:
  $update && $install"
        fi
        as_root=(sudo)
    fi
    martlet_say "missing Debian packages: ${missing[*]}; installing them (${as_root[*]:+${as_root[*]} }$install)"
    # shellcheck disable=SC2086
    "${as_root[@]}" $update >&2 && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $install >&2 \
        || martlet_fail "apt-get failed (its output is above). Run by hand: $update && $install"
}

# Says what the first build costs; $1 is the build directory, $2 what is built.
martlet_announce_build() {
    if [ ! -e "$1/release" ]; then
        martlet_say "building $2 (optimised). The first build compiles all dependencies: about 8 minutes on 2 cores."
    fi
}
