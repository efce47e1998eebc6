#!/usr/bin/env bash
# The environment of the table peers: the project's packages and, on top of them, those that are compared with. It is made
# again if an earlier run did not finish it, or if the packages or the project's environment have changed; else the script ends at
# once.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Folder of the environment. What lies there is removed if it is not up to date.
venv=$root/.venv-benchmarks
# Packages to install, none of what they need: the project's environment has it.
requirements=$root/benchmarks/requirements.txt

. "$root/tools/parse_options.sh"
[ $# -eq 0 ] || { echo "peers_env.sh: unexpected argument '$1' (--help lists the options)" >&2; exit 1; }
[ -r "$requirements" ] || { echo "peers_env.sh: --requirements: cannot read '$requirements'" >&2; exit 1; }
. "$root/path.sh"

stamp=$venv/.benchmarks
packages=$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
wanted=$({ python --version; echo "$packages"; cat "$requirements"; } | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    exit 0
fi
if [ -e "$venv" ] && [ ! -f "$stamp" ]; then
    echo "peers_env.sh: $venv is not this script's: remove it, or name another with --venv" >&2
    exit 1
fi

echo "== environment of the table peers: $venv"
rm -rf "$venv"
# The stamp is empty until the environment is complete.
mkdir -p "$venv"
: >"$stamp"
python -m venv "$venv"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps -r "$requirements"
# Last, so that pip sees this environment alone; the environment's own packages come before the project's.
own=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$packages" >"$own/project.pth"
echo "$wanted" >"$stamp"
