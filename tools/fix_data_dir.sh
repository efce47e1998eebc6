#!/usr/bin/env bash
# Repair a data directory: tools/fix_data_dir.sh [--option value …] DIR; --help lists the options.
set -euo pipefail
# shellcheck source=path.sh
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"

# Options come in pairs, so an odd argument at the end is the directory.
if [ $(($# % 2)) -eq 1 ] && [[ ${*: -1} != -* ]]; then
    set -- "${@:1:$#-1}" --data_dir "${*: -1}"
fi
exec python -m svmixer fix_data_dir "$@"
