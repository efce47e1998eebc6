#!/usr/bin/env bash
# Measures on real schedulers how soon slurm.pl and queue.pl notice what goes wrong, and what they cost: runs the tests that
# do so and prints their times as a table, beside those of Kaldi's dispatchers. Needs root (see slurm.sh, sge.sh).
set -euo pipefail

# Further options for pytest, in one string: "-x", "-k time_limit".
pytest_opts=

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$root/tools/parse_options.sh"
. "$root/path.sh"
[ $# -eq 0 ] || { echo "detection_times.sh: unexpected argument '$1' (see --help)" >&2; exit 1; }
require_words pytest_opts

cd "$root"
files=(tests/cluster/test_{array_jobs,failed_tasks,lost_scheduler,stopped}.py)
split_words "$pytest_opts"
exec python -m pytest "${files[@]}" -rs "${words[@]}"
