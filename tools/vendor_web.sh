#!/usr/bin/env bash
# Fetch onnxruntime-web, which `svmixer demo` runs models with, into svmixer/demo/vendor. Needs npm and network, once; afterwards
# the page works without. The version and its checksums stand in svmixer/demo/onnxruntime_web.py.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# true: fetch again even if the files are there and whole.
force=false

. "$root/tools/parse_options.sh"
[ $# -eq 0 ] || { echo "vendor_web.sh: unexpected argument '$1' (see --help)" >&2; exit 1; }
require_bool force
. "$root/path.sh"

# in_python CODE [ARGUMENT]: with that module as `web`.
in_python() { python -c $'import sys\nfrom svmixer.demo import onnxruntime_web as web\n'"$1" "${@:2}"; }

version=$(in_python 'print(web.VERSION)')
if [ "$force" = false ] && in_python 'web.runtime_files()' 2>/dev/null; then
    echo "[vendor] onnxruntime-web $version is there"
    exit 0
fi
command -v npm >/dev/null || { echo "vendor_web.sh: npm is not on PATH (Debian: apt-get install npm)" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "[vendor] fetching onnxruntime-web $version, 33 MB"
npm pack --loglevel error --pack-destination "$work" "onnxruntime-web@$version" >/dev/null
in_python 'try:
    web.unpack(sys.argv[1])
except web.RuntimeMissingError as error:
    sys.exit(f"vendor_web.sh: {error}")' "$work/onnxruntime-web-$version.tgz"
echo "[vendor] svmixer/demo/vendor: $(du -sh "$root/svmixer/demo/vendor" | cut -f1)"
