#!/usr/bin/env bash
# Runs all checks: environment, the static checks of tests/checks.sh, pytest. Every part runs even if an earlier one failed; the
# exit code is 0 only if all passed. The last line is pytest's.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# true: leave out the tests that are slow, run shell stages or start a scheduler; false: run all.
fast=false
# true: run the static checks of tests/checks.sh first; false: the tests alone.
checks=true
# Node, Chromium and onnxruntime-web, which the tests in a browser need: auto: fetch what is missing, and skip those tests if that fails,
# or with --fast true, which leaves most of them out; true: fetch, and stop if that fails; false: fetch nothing.
browser=auto
# Processes that run tests, each with one thread of its own; 1: in this process.
jobs=2
# Further options for pytest, in one string.
pytest_opts=

. "$root/tools/parse_options.sh"
[ $# -eq 0 ] || { echo "run.sh: unexpected argument '$1' (see --help)" >&2; exit 1; }
require_bool fast checks
[[ $browser =~ ^(auto|true|false)$ ]] || option_error "--browser must be auto, true or false, not '$browser'"
require_int 1 jobs
require_words pytest_opts

cd "$root"
failed=false

began=$SECONDS
echo "== set-up"
bash tools/setup.sh
if [ "$fast" = true ] && [ "$browser" = auto ]; then browser=false; fi
if [ "$browser" != false ] && ! bash tools/setup_browser.sh; then
    [ "$browser" = auto ] || { echo "run.sh: --browser true, and something is missing that the tests in a browser need" >&2; exit 1; }
    echo "== tests in a browser are skipped where something is missing for them, see above"
fi
echo "== set-up: done, $((SECONDS - began)) s"
. ./path.sh

[ "$checks" = false ] || bash tests/checks.sh || { failed=true; echo "== a check failed, see above; the tests follow"; }

options=(--durations=15)
[ "$fast" = false ] || options+=(-m "not slow and not recipe and not cluster")
if [ "$jobs" -gt 1 ]; then
    # tests/conftest.py says what stays together and has put what takes longest first.
    options+=(-n "$jobs" --dist loadgroup --no-loadscope-reorder)
    export OMP_NUM_THREADS=1
fi
split_words "$pytest_opts"
options+=("${words[@]}")
python -m pytest "${options[@]}" || failed=true
[ "$failed" = false ]
