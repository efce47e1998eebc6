# shellcheck shell=bash
# For scripts that source it: packages of Debian or Ubuntu.

# install_packages NAME ...: through apt, as root or with a password-free sudo. If that cannot be, says why and what to do, and fails.
install_packages() {
    local as_root=() network=(-o Acquire::Retries=1 -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30)
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
            as_root=(sudo -n)
        else
            say "missing: $*. Not root and no password-free sudo: install with 'sudo apt-get install $*', then run again"
            return 1
        fi
    fi
    if ! command -v apt-get >/dev/null 2>&1; then
        say "missing: $*. Install them with this machine's package manager, then run again"
        return 1
    fi
    # Where that fails, an earlier list may do.
    "${as_root[@]}" apt-get -qq "${network[@]}" update || say "apt-get update failed"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq "${network[@]}" install -y --no-install-recommends "$@" >/dev/null
}
