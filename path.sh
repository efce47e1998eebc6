# shellcheck shell=bash
# Sourced by every script: `python` becomes the project's, the tools come onto PATH. Works from any directory.
SVMIXER_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SVMIXER_ROOT
_venv=${SVMIXER_VENV:-$SVMIXER_ROOT/.venv}
export PATH="$_venv/bin:$SVMIXER_ROOT/tools:$PATH"
export PYTHONPATH="$SVMIXER_ROOT${PYTHONPATH:+:$PYTHONPATH}"
# One locale for sorting and messages, UTF-8 for file names.
export LC_ALL=C.UTF-8 PYTHONUTF8=1
unset _venv
