#!/usr/bin/env bash
# Make the project's environment: system parts (sox, ffmpeg), a virtual environment, the Python packages of setup.cfg.
# Idempotent: when nothing changed since the last run it says so and ends at once.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Where the virtual environment goes.
venv=${SVMIXER_VENV:-$root/.venv}
# Extras of setup.cfg that are needed besides torch; empty = torch alone, which embeds and evaluates. More may be there.
extras=train,dev,docs,browser
# Python to build the environment with; empty = the newest of 3.12, 3.11, 3.10 that starts (3.12 first).
python=${SVMIXER_PYTHON:-}
# true: install sox and ffmpeg through apt if they are missing; false: only check for them.
system=true
# true: install again even if the environment is up to date.
force=false
# true: install nothing; exit 0 if the environment is up to date, 1 if not.
check=false

. "$root/tools/parse_options.sh"
[ $# -eq 0 ] || { echo "setup.sh: unexpected argument '$1' (see --help)" >&2; exit 1; }
require_bool system force check
. "$root/tools/apt.sh"

say() { echo "[setup] $*" >&2; }
step=0
progress() { step=$((step + 1)); say "($step/4, ${SECONDS} s) $*"; }

# What an up-to-date environment was made from; its stamp has this and the extras.
wanted=$(cat "$root/setup.cfg" "$root/tools/setup.sh" | sha256sum | cut -d' ' -f1)
stamp=$venv/.svmixer-setup

missing_system() {
    local tool
    for tool in sox ffmpeg; do
        command -v "$tool" >/dev/null 2>&1 || echo "$tool"
    done
}

# All extras that are needed are in the stamp "$1", a digest and a list.
has_extras() {
    local extra
    for extra in ${extras//,/ }; do
        [[ ,${1#* }, == *",$extra,"* ]] || return 1
    done
}

up_to_date() {
    local stamped
    [ -x "$venv/bin/python" ] && [ -f "$stamp" ] || return 1
    stamped=$(cat "$stamp")
    [ "${stamped%% *}" = "$wanted" ] && has_extras "$stamped" && [ -z "$(missing_system)" ]
}

if [ "$force" = false ] && up_to_date; then
    say "up to date: $venv"
    exit 0
fi
if [ "$check" = true ]; then
    say "missing or older than setup.cfg: $venv"
    exit 1
fi

find_python() {
    local candidate
    for candidate in ${python:-python3.12 python3.11 python3.10 python3}; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then
            command -v "$candidate"
            return 0
        fi
    done
    say "no usable Python: need 3.10 to 3.13 with the venv module (Debian: apt-get install python3-venv), or name one with --python"
    return 1
}

install_system() {
    local missing=()
    mapfile -t missing < <(missing_system)
    if [ ${#missing[@]} -eq 0 ]; then
        progress "system parts: sox and ffmpeg are there"
        return 0
    fi
    if [ "$system" = false ]; then
        say "missing: ${missing[*]}. Install them with this machine's package manager, then run again"
        return 1
    fi
    progress "system parts: installing ${missing[*]} through apt"
    install_packages "${missing[@]}"
}

main() {
    local chosen target
    install_system
    chosen=$(find_python)
    progress "virtual environment: $venv ($("$chosen" --version))"
    if [ -e "$venv" ] && ! "$venv/bin/python" -c '' 2>/dev/null; then
        # Whatever else lies there is somebody's.
        if [ ! -f "$venv/pyvenv.cfg" ] && [ ! -f "$stamp" ] && [ -n "$(ls -A "$venv")" ]; then
            say "$venv is no virtual environment: remove it, or name another folder with --venv"
            return 1
        fi
        say "the environment at $venv does not start: installing it again"
        rm -rf "$venv"
    fi
    rm -f "$stamp"
    [ -x "$venv/bin/python" ] || "$chosen" -m venv "$venv"
    progress "Python packages [torch${extras:+,$extras}]: the first time takes some minutes and about 6 GB of disk"
    target="${root}[torch${extras:+,$extras}]"
    # pip writes build metadata into the tree it installs from; -e keeps the checkout as the one source.
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --progress-bar off -e "$target"
    progress "check: importing"
    "$venv/bin/python" -c 'import torch, svmixer; print(f"[setup] torch {torch.__version__}, svmixer {svmixer.__version__}")' >&2
    printf '%s %s\n' "$wanted" "$extras" >"$stamp.tmp"
    mv "$stamp.tmp" "$stamp"
    say "done after ${SECONDS} s"
}
main
